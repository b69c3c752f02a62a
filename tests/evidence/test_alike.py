"""Two lanes, one truth: what the patterns read of random mailboxes is what the slow lane says of the same bytes."""

from __future__ import annotations

import base64
import io
import quopri
import random
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carecover.evidence import Context, Profile, driver, frozen, mbox, read
from carecover.evidence.alike import Lane
from carecover.evidence.driver import opened, read_all
from carecover.evidence.units import Alike, Unit
from carecover.evidence.wording import Line, Wording
from carecover.model import Accounting
from tests.evidence.conftest import check
from tests.evidence.test_fuzz import bent
from tests.evidence.test_mail import HASH, HEADERS, ISSUED, REVOKED, SERIAL, TITLE_ISSUED, make_mail
from tests.evidence.test_mbox import LINE, TRAP
from tests.evidence.test_x509 import make_certificate

CONTEXTS = (Context(), Context("Europe/Berlin", None), Context("America/New_York", "mdy"), Context("UTC", "dmy"))
TITLE_REVOKED = TITLE_ISSUED.replace("has been issued", "was revoked")
CDO = """\
Received: from pki01.corp.example by mx1.corp.example with ESMTP id {number:08x};
\tSat, 11 Jul 2026 11:{minute:02}:01 +0000
thread-index: {clock}
From: "CA" <ca@corp.example>
Subject: {subject}
Date: Sat, 11 Jul 2026 13:{minute:02}:00 +0200
Message-ID: <{number:032X}@pki01.corp.example>
MIME-Version: 1.0
X-Mailer: Microsoft CDO for Windows 2000
"""
OWN = Profile(
    "of the registry",
    (
        Wording(
            "issued",
            Line("Zertifikat ausgestellt:", ("ca_name",), ("",)),
            tuple(
                Line(f"{label}:", (column,), ("",))
                for label, column in (("Anforderung", "request_id"), ("Seriennummer", "serial"), ("CA", "ca_name"))
            ),
            ("request_id", "serial"),
        ),
        Wording("revoked", Line("Your certificate was revoked by", ("ca_name",), ("",)), (), ("request_id",)),
    ),
    "registry",
)

# What may stand behind a label; most are not what the label says.
VALUES = (
    "20", "0x14", "0x14 (20)", "0", "007", "-5", "99999999999", "\u0662", "???", "EMPTY", "Unavailable", "%3", "%%3",
    "%3 of 4", "", " ", "Every one", "\u00a0", SERIAL, SERIAL.upper(), f" {SERIAL} ", "00" + SERIAL, HASH,
    HASH.replace(" ", ""), HASH + " " * 80, "7/11/2026 1:06 PM", "11.07.2026 13:06", "2/3/2026 1:06 AM",
    "13/11/2026 13:06:22", "2026/1/1 8:00", "7/11/2026 1:06 PM GMT", "7/11/2026", "10/25/2026 2:30 AM",
    "3/29/2026 2:30 AM", "99/99/2026 1:00", "7/11/1200 1:00", "CN=x, O=Request ID: 7", "CN=M\u00fcller", "CN=MIKE",
    "1.3.6.1.4.1.311.21.8.39 Web", "0x1 -- Reason: Key Compromise", "0xffffffff (-1)", "x" * 300, "a\tb",
    base64.b64encode(make_certificate()).decode(), "\x1f5", "5\x0b", "\ufeff5", "\u20285",
)  # fmt: skip
LINES = ("", "", "Hello", "Request ID: 21", "Serial Number: 45", " ", "-- ", "Regards", "Unknown: 5", "request id : 9")
# What may stand in a header block; many a line is odd.
HEADS = (
    "Received: from mail pickup service by host with Microsoft SMTPSVC;\n Sat, 11 Jul 2026 11:17:00 -0000",
    "Received: from [192.0.2.1] (HELO x) by y with SMTP; Sat, 11 Jul 2026 11:17:00 +0100",
    "Received: nobody knows", "thread-index: xyz", "Thread-Index: AdJ95xC3WthkIFbPRrOnrv7P2lwRYQ==", "X-Odd: \r x",
    "Date: Sat, 11 Jul 2026 25:17:00 +0200", "Date: 11 Jul 2026 13:17 GMT", "Date: Sat, 11 Jul 2026 13:17:00 -0000",
    "Date: Sun, 5 Jul 2026 23:59:60 +0200", "Message-ID:\n <folded@x>", "X-Folded: a\n b\n\tc", "SUBJECT: second",
    "Content-Disposition: inline", "Content-Disposition: attachment; filename=a.eml", "From nobody", "no header at all",
    "X-Blank: x\n ",
    "Content-Length: 5", "Subject: =?utf-8?b?w7w=?=", "Cc: \u00fc@x", "X-Long: " + "x" * 9000,
)  # fmt: skip
CHARSETS = ("us-ascii", "utf-8", "iso-8859-1", "windows-1252", "utf-16le", "utf-16", "utf-7", "x-none", "cp850")


def changed(text: str, chance: random.Random) -> str:
    """A body with a few of its values and lines changed."""
    lines = text.split("\n")
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        at = chance.randrange(len(lines))
        match chance.randrange(5):
            case 0:
                lines.insert(at, chance.choice(LINES))
            case 1:
                del lines[at]
                lines = lines or [""]
            case 2:
                lines.insert(chance.randrange(len(lines)), lines[at])
            case _:
                label, colon, _ = lines[at].partition(":")
                lines[at] = f"{label}{colon}{chance.choice((' ', '', '  '))}{chance.choice(VALUES)}"
    return "\n".join(lines)


def sent(subject: str, text: str, number: int, chance: random.Random) -> bytes:
    """A mail of this text, in one of the ways that mails are sent."""
    clock = base64.b64encode(bytes.fromhex("01dcb0a0") + chance.randbytes(18)).decode()
    head = CDO.format(subject=subject, number=number, minute=number % 60, clock=clock)
    if chance.random() < 0.2:
        head = HEADERS.format(subject=subject, number=number)
    if chance.random() < 0.15:
        lines = head.splitlines(keepends=True)
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(HEADS) + "\n")
        head = "".join(lines)
    if chance.random() < 0.03:
        head = head.replace("Date:", "X-Date:")
    charset = chance.choice(CHARSETS) if chance.random() < 0.2 else "utf-8"
    data = text.encode(charset if charset != "x-none" else "utf-8", "replace")
    kind = f"Content-Type: text/plain; charset={charset}\n"
    match chance.choice((0, 0, 0, 0, 1, 1, 2, 3, 4)):
        case 0:
            head += kind + "Content-Transfer-Encoding: 7bit\n"
        case 1:
            head, data = head + kind + "Content-Transfer-Encoding: base64\n", base64.encodebytes(data)
        case 2:
            head, data = head + kind + "Content-Transfer-Encoding: quoted-printable\n", quopri.encodestring(data)
        case 3:
            head += 'Content-Type: multipart/alternative; boundary="b"\n'
            page = b"Content-Type: text/html\n\n<p>" + data
            if chance.random() < 0.3:
                page = chance.choice((b"Content-Type: message/rfc822\n\n" + make_mail(number=number), b"\n\n\n"))
            data = b"--b\n" + kind.encode() + b"\n" + data + b"\n--b\n" + page + b"\n--b--\n"
        case _:
            pass
    mail = head.encode("utf-8") + b"\n" + data
    if chance.random() < 0.15 and charset not in ("utf-16le", "utf-16"):
        mail = mail.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return mail


def mailbox(seed: str, mails: int = 80) -> bytes:
    """Mails of few wordings, and what else is in a mailbox; a tenth of them bent, some twice."""
    chance = random.Random(seed)
    own = "Anforderung: 20\nSeriennummer: 4400\nCA: Andere\n"
    kinds = (
        (TITLE_ISSUED, ISSUED), (TITLE_ISSUED, ISSUED), (TITLE_ISSUED, ISSUED), (TITLE_REVOKED, REVOKED),
        (f"FW: {TITLE_ISSUED}", ISSUED), ("Lunch?", TRAP), ("Lunch?", ISSUED), ("Zertifikat ausgestellt: X", own),
        (TITLE_ISSUED.replace("has been issued by", "is pending on"), ISSUED),
    )  # fmt: skip
    made = [make_mail()]
    for number in range(mails):
        subject, text = chance.choice(kinds)
        body = changed(text.replace("ID: 20", f"ID: {20 + number}"), chance)
        mail = sent(subject, body, number, chance)
        if chance.random() < 0.1:
            mail = bent(mail, chance)
        if made and chance.random() < 0.05:
            mail = chance.choice(made)
        made.append(mail)
    return b"".join(LINE + mail + b"\n" for mail in made)


def by_the_slow_lane(patch: pytest.MonkeyPatch, do: Callable[[], Any]) -> Any:
    with patch.context() as inner:
        inner.setattr("carecover.evidence.alike._MAX_BYTES", -1)
        return do()


def same(left: tuple[dict[str, pd.DataFrame], Accounting], right: tuple[dict[str, pd.DataFrame], Accounting]) -> None:
    assert left[1] == right[1]
    assert {name for name, table in left[0].items() if len(table)} == {n for n, table in right[0].items() if len(table)}
    for name, table in right[0].items():
        if len(table):
            pd.testing.assert_frame_equal(left[0][name], table)


def in_a_zip(*files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, data in enumerate(files):
            archive.writestr(f"{number}.mbox", data)
    return out.getvalue()


def compared(place: Path, data: bytes, context: Context, patch: pytest.MonkeyPatch) -> int:
    """Read both ways; the notifications that there are."""
    place.write_bytes(data)

    def reading() -> tuple[dict[str, pd.DataFrame], Accounting]:
        found = read(place, context)
        check(found)
        return dict(found.tables), found.accounting

    fast = reading()
    same(fast, by_the_slow_lane(patch, reading))
    return len(fast[0].get("notifications", ()))


@pytest.mark.parametrize("seed", range(8))
def test_both_lanes_say_the_same_of_random_mailboxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    context = chance.choice(CONTEXTS)
    if seed % 2:
        context = Context(context.time_zone, context.date_order, (OWN,))
    data = mailbox(str(seed))
    if seed % 3 == 2:
        data = in_a_zip(data, mailbox(f"{seed} again", 20), data)
    assert compared(tmp_path / "box", data, context, monkeypatch) > 20


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(150))
def test_both_lanes_say_the_same_of_many_random_mailboxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    context = chance.choice(CONTEXTS)
    if seed % 2:
        context = Context(context.time_zone, context.date_order, (OWN,))
    if seed % 7 == 0:
        monkeypatch.setattr("carecover.evidence.alike._BATCH", 7)
    assert compared(tmp_path / "box", mailbox(f"thorough {seed}", 200), context, monkeypatch) > 50


@pytest.fixture(autouse=True)
def forms_are_learned_at_first_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that every odd form that comes is read by its pattern, too."""
    monkeypatch.setattr("carecover.evidence.alike._TELLING", 1)
    monkeypatch.setattr("carecover.evidence.alike._MAX_FORMS", 500)


def units(data: bytes, place: Path) -> list[Unit]:
    place.write_bytes(data)
    with opened(place) as source:
        return list(mbox.READER.read(source, lambda _: None))


def rows_of(found: Sequence[Unit]) -> int:
    return sum(len(each.keys) for each in found if isinstance(each, Alike))


def test_the_lane_takes_most_of_what_it_is_made_for(tmp_path: Path) -> None:
    """A test of two lanes says nothing where the fast one refuses all."""
    chance = random.Random(1)
    mails = [make_mail(body=ISSUED.replace("ID: 20", f"ID: {n}"), number=n) for n in range(1, 60)]
    assert rows_of(units(b"".join(LINE + mail + b"\n" for mail in mails), tmp_path / "a")) >= 50
    mixed = b"".join(LINE + sent(TITLE_REVOKED, REVOKED, n, chance) + b"\n" for n in range(300))
    assert rows_of(units(mixed, tmp_path / "b")) >= 150
    assert rows_of(units(mailbox("x", 200), tmp_path / "c")) >= 30


def test_ranges_threads_and_what_is_kept_of_them_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "box"
    place.write_bytes(mailbox("ranges", 150))
    whole = by_the_slow_lane(monkeypatch, lambda: read(place, CONTEXTS[1]))
    monkeypatch.setattr(driver, "RANGE_BYTES", 40_000)
    kept: dict[str, list[str]] = {}

    class Store:
        def load(self, name: str) -> list[str] | None:
            return kept.get(name)

        def keep(self, name: str, lines: list[str]) -> None:
            kept[name] = lines

    with ThreadPoolExecutor(1) as executor:
        for _ in range(2):
            found = read(place, CONTEXTS[1], executor=executor, store=Store())
            same((dict(found.tables), found.accounting), (dict(whole.tables), whole.accounting))
    assert any("alike" in line for lines in kept.values() for line in lines)
    assert rows_of([unit for lines in kept.values() for unit in frozen.thawed(lines)]) > 20


def test_many_files_of_one_hand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    for number in range(3):
        files.append((f"E{number}", tmp_path / f"{number}.mbox"))
        files[-1][1].write_bytes(mailbox(f"of many {number}", 40))
    fast, counted = read_all(files, CONTEXTS[0])
    slow, told = by_the_slow_lane(monkeypatch, lambda: read_all(files, CONTEXTS[0]))
    assert counted == told
    same((fast, Accounting()), (slow, Accounting()))
    assert set(fast["notifications"]["evidence_id"]) == {"E0", "E1", "E2"}


def test_what_is_kept_of_columns_must_fit_together(tmp_path: Path) -> None:
    mails = b"".join(LINE + make_mail(number=n) + b"\n" for n in range(20))
    (line,) = frozen.frozen(unit for unit in units(mails, tmp_path / "a") if isinstance(unit, Alike))
    assert frozen.frozen(frozen.thawed([line])) == [line]
    with pytest.raises(ValueError, match="as many"):
        frozen.thawed([line.replace('"moments": [', '"moments": [0, ', 1)])
    with pytest.raises(ValueError, match="as many"):
        frozen.thawed([line.replace('"hints": [', '"hints": [0, ', 1)])


def test_what_waits_is_bounded_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carecover.evidence.alike._BATCH", 10)
    lane, given = Lane(), []
    for number in range(1, 40):
        given += list(lane.take(make_mail(body=ISSUED.replace("ID: 20", f"ID: {number}"), number=number), number))
        given += list(lane.take(make_mail("Lunch?", "x\n", number=number), number))
    given += list(lane.rest())
    batches = [each for each in given if isinstance(each, Alike)]
    assert len(batches) >= 3
    assert max(len(each.keys) for each in batches) <= 10
    numbers = [number for each in batches for number in each.columns["request_id"].to_pylist()]
    assert numbers == sorted(numbers)
