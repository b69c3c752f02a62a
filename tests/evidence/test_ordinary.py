"""What is told of ordinary mail without taking it apart: nothing that the long way would find is lost by it."""

from __future__ import annotations

import base64
import quopri
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carecover.evidence import Context, read
from carecover.evidence.ordinary import cannot_matter
from carecover.evidence.profiles import using
from carecover.model import Reading
from tests.evidence.conftest import check
from tests.evidence.test_alike import OWN, changed, mailbox, same, sent
from tests.evidence.test_fuzz import bent
from tests.evidence.test_mail import ATTACHED, ISSUED, TITLE_ISSUED, make_mail
from tests.evidence.test_mbox import LINE

PROSE = "Hello,\n\nthe printer on the third floor is out of paper again.\n\nRegards\n"
UMLAUTS = "Guten Tag,\n\nf\u00fcr die T\u00fcr fehlt der Schl\u00fcssel.\n\nGr\u00fc\u00dfe\n"
MULTIPART = 'MIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary="b-1"\n'


def in_base64(text: str, charset: str = "utf-8") -> str:
    return base64.encodebytes(text.encode(charset)).decode()


def quoted(text: str) -> str:
    """Every letter of a word as its number, and a line end in the middle."""
    return (
        "".join(f"={ord(letter):02X}" for letter in text[:6]) + "=\n" + quopri.encodestring(text[6:].encode()).decode()
    )


# Ways to send a text that do not say what it is; {0} is the text.
FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: f"\n{text}",
    "7bit": lambda text: f"Content-Type: text/plain; charset=us-ascii\nContent-Transfer-Encoding: 7bit\n\n{text}",
    "in capitals": lambda text: f"\n{text.upper()}",
    "base64": lambda text: f"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n{in_base64(text)}",
    "quoted-printable": lambda text: f"Content-Transfer-Encoding: quoted-printable\n\n{quoted(text)}",
    "utf-16": lambda text: (
        "Content-Type: text/plain; charset=utf-16le\nContent-Transfer-Encoding: base64\n\n"
        + in_base64(text, "utf-16-le")
    ),
    "utf-7": lambda text: (
        "Content-Type: text/plain; charset=utf-7\n\n" + "+" + text[:4].encode("utf-7").decode() + "-" + text[4:]
        if not text.isascii()
        else "Content-Type: text/plain; charset=utf-7\n\n" + text.replace("e", "+AGU-")
    ),
    "another k": lambda text: f"Content-Type: text/plain; charset=utf-8\n\n{text.replace('s', chr(0x17F))}",
    "no charset": lambda text: f"Content-Type: text/plain; charset=x-none\nContent-Transfer-Encoding: 8bit\n\n{text}",
    "html": lambda text: "Content-Type: text/html\n\n<p>" + text.replace("\n", "<br>\n") + "</p>\n",
    "the second part": lambda text: (
        MULTIPART.format(kind="mixed") + f"\nto see\n--b-1\n\n\n--b-1\nContent-Type: text/plain\n\n{text}\n--b-1--\n"
    ),
    "html beside an empty text": lambda text: (
        MULTIPART.format(kind="alternative")
        + "\n--b-1\n\n \n--b-1\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n"
        + in_base64("<p>" + text.replace("\n", "<br>\n"))
        + "--b-1--\n"
    ),
    "within another part": lambda text: (
        MULTIPART.format(kind="mixed")
        + '\n--b-1\nContent-Type: multipart/related; boundary="c"\n\n--c\nContent-Type: text/plain\n\n'
        + f"{text}\n--c--\n--b-1--\n"
    ),
}  # fmt: skip


def mail(form: str, text: str, subject: str = "Lunch?", *, ending: str = "\n") -> bytes:
    head = f"From: a@corp.example\nSubject: {subject}\nDate: Sat, 11 Jul 2026 15:17:00 +0200\n"
    return (head + FORMS[form](text)).replace("\n", ending).encode()


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("form", FORMS)
def test_prose_is_told_in_every_form_and_a_wording_hides_in_none(form: str, ending: str) -> None:
    for subject in ("Lunch?", "=?utf-8?b?R3LDvMOfZQ==?=", "Gr\u00fc\u00dfe", ""):
        prose, worded = mail(form, PROSE, subject, ending=ending), mail(form, ISSUED, subject, ending=ending)
        assert cannot_matter(prose, 0, len(prose))
        assert not cannot_matter(worded, 0, len(worded))
        # From its place among others, without a look beyond.
        both = prose + worded + prose
        assert cannot_matter(both, 0, len(prose))
        assert cannot_matter(both, len(prose) + len(worded), len(both))
    if form not in ("utf-7", "another k"):
        umlauts = mail(form, UMLAUTS, ending=ending)
        assert cannot_matter(umlauts, 0, len(umlauts))


@pytest.mark.parametrize("form", ["in capitals", "plain", "quoted-printable", "base64", "utf-16", "html"])
def test_a_wording_under_a_subject_of_its_own_is_rejected_and_not_thrown_away(tmp_path: Path, form: str) -> None:
    path = tmp_path / "box"
    path.write_bytes(LINE + mail(form, ISSUED) + b"\n" + LINE + mail(form, PROSE))
    reading = read(path, Context())
    check(reading)
    assert (reading.accounting.rejected, reading.accounting.irrelevant) == (1, 1)
    assert "worded like a notification" in reading.tables["rejects"]["reason"][0]


@pytest.mark.parametrize("subject", [TITLE_ISSUED, f"FW: {TITLE_ISSUED}", "[EXTERNAL] " + TITLE_ISSUED.upper()])
def test_a_title_is_seen_in_whatever_letters(subject: str) -> None:
    encoded = base64.b64encode(subject.encode("utf-16-be")).decode()
    for text in (subject, f"=?utf-16be?b?{encoded}?=", f"=?utf-8?q?{subject.replace(' ', '_')}?="):
        found = mail("plain", PROSE, text)
        assert not cannot_matter(found, 0, len(found)), text


@pytest.mark.parametrize("form", ATTACHED)
def test_an_attached_mail_is_looked_at(form: str) -> None:
    part = ATTACHED[form].format(plain="x", base64="eA==", quoted="x")
    found = f"Subject: x\n{MULTIPART.format(kind='mixed')}\n--b-1\n\nhello\n--b-1\n{part}\n--b-1--\n".encode()
    assert not cannot_matter(found, 0, len(found))
    found = f"Subject: x\n{MULTIPART.format(kind='digest')}\n--b-1\n\nSubject: y\n\nhello\n--b-1--\n".encode()
    assert not cannot_matter(found, 0, len(found))


@pytest.mark.parametrize(
    "odd",
    [
        b"", b"\n", b"\n\nhello", b"Subject: x", b"no header\n\nhello", b"Subject : x\n\nhello", b" x: y\n\nhello",
        b"Subject: a\rb\n\nhello", b"Subject: a\r\nX: y\n\nhello", b"X: y\n" * 20_000 + b"\nhello",
        b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n\nq\n" * 100,
        b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n" * 6_000,
        b"Content-Type: text/plain; " + b"a" * 9_000 + b"\n\nhello",
        b"Content-Type: message/partial\n\nhello", b"Content-Transfer-Encoding: x-uue\n\nhello",
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\nno header\n\nhello\n--x--\n",
        b"Content-Type: text/plain\n\n" + b"x" * 2_000_000,
    ],
)  # fmt: skip
def test_what_is_of_an_odd_form_proves_nothing(odd: bytes) -> None:
    assert not cannot_matter(odd, 0, len(odd))


def test_where_every_mail_may_be_one_nothing_is_told() -> None:
    found = mail("plain", PROSE)
    with using((), lambda *_: None):
        assert not cannot_matter(found, 0, len(found))
    assert cannot_matter(found, 0, len(found))


# ------------------------------------------------------------------------------------ both ways


def mixed(chance: random.Random, mails: int) -> bytes:
    """Prose, wordings and notifications in every form, some bent."""
    made = [make_mail()]
    for number in range(mails):
        text = chance.choice((PROSE, PROSE, UMLAUTS, changed(ISSUED, chance), f"{PROSE}\n> " + ISSUED))
        subject = chance.choice(("Lunch?", "Lunch?", "=?utf-8?b?R3LDvMOfZQ==?=", TITLE_ISSUED, f"Re: {TITLE_ISSUED}"))
        one = mail(chance.choice(list(FORMS)), text, subject, ending=chance.choice(("\n", "\n", "\r\n")))
        if chance.random() < 0.2:
            one = sent(subject, text, number, chance)
        made.append(bent(one, chance) if chance.random() < 0.3 else one)
    return b"".join(LINE + one + b"\n" for one in made)


def both_ways(path: Path, context: Context, patch: pytest.MonkeyPatch) -> int:
    """Read with and without the short way; the mails that are none of carecover's business."""

    def reading() -> Reading:
        found = read(path, context)
        check(found)
        return found

    def no(_data: bytes, _begin: int, _end: int) -> bool:
        return False

    short = reading()
    with patch.context() as inner:
        inner.setattr("carecover.evidence.ordinary.cannot_matter", no)
        inner.setattr("carecover.evidence.mbox.cannot_matter", no)
        long = reading()
    left: Any = (dict(short.tables), short.accounting)
    same(left, (dict(long.tables), long.accounting))
    return short.accounting.irrelevant


@pytest.mark.parametrize("seed", range(6))
def test_both_ways_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chance = random.Random(seed)
    path = tmp_path / "box"
    path.write_bytes(mixed(chance, 120) + mailbox(f"ordinary {seed}", 20))
    context = Context("Europe/Berlin", "mdy", (OWN,) if seed % 2 else ())
    assert both_ways(path, context, monkeypatch) > 20


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(200))
def test_both_ways_find_the_same_in_many_mailboxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chance = random.Random(f"many {seed}")
    path = tmp_path / "box"
    path.write_bytes(mixed(chance, 300))
    context = Context("Europe/Berlin", "mdy", (OWN,) if seed % 2 else ())
    assert both_ways(path, context, monkeypatch) > 50


def test_a_mail_is_told_as_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "1.eml"
    path.write_bytes(make_mail("Lunch?", PROSE))
    assert read(path, Context()).accounting.irrelevant == 1
