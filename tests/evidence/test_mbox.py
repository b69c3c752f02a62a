"""Mailboxes as programs write them: every dialect gives the same mails."""

from __future__ import annotations

import mailbox
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import driver, mbox, read
from carecover.evidence.mbox import split_mbox
from carecover.evidence.units import Unit
from carecover.model import Accounting, Reading
from tests.evidence.test_mail import ISSUED, make_mail

ReadBytes = Callable[[bytes], Reading]

# Prose that would split a mail: with an empty line before it, a time in it, and a header's look behind it.
TRAP = "Text.\n\nFrom here on it is 12:30\nTo: whom it concerns\n\nFrom me\nRe: nothing\n"
MAILS = [
    make_mail(number=1),
    make_mail("Lunch?", TRAP, number=2),
    make_mail(number=3, body=ISSUED.replace("ID: 20", "ID: 21") + "\n> From the CA\n"),
    make_mail("Hello", ">From me\n", number=4),
]
LINE = b"From ca@corp.example Sat Jul 11 13:17:00 2026\n"


def escaped(mail: bytes, *, again: bool) -> bytes:
    """mboxrd marks every "From " line, mboxo only those that have no mark yet."""
    head, _, body = mail.partition(b"\n\n")
    lines = []
    for line in body.split(b"\n"):
        marked = (line.lstrip(b">") if again else line).startswith(b"From ")
        lines.append(b">" + line if marked else line)
    return head + b"\n\n" + b"\n".join(lines)


def with_length(mail: bytes) -> bytes:
    head, _, body = mail.partition(b"\n\n")
    return head + b"\nContent-Length: %d\n\n" % len(body) + body


DIALECTS: dict[str, Callable[[], bytes]] = {
    "mboxo": lambda: b"".join(LINE + escaped(m, again=False) + b"\n" for m in MAILS),
    "mboxrd": lambda: b"".join(LINE + escaped(m, again=True) + b"\n" for m in MAILS),
    "mboxcl": lambda: b"".join(LINE + with_length(escaped(m, again=False)) + b"\n" for m in MAILS),
    "mboxcl2": lambda: b"".join(LINE + with_length(m) + b"\n" for m in MAILS),
    "mboxcl2 without empty lines between": lambda: b"".join(LINE + with_length(m) for m in MAILS),
    "Gmail Takeout": lambda: b"".join(
        b"From 1844273419387412%03d@xxx Sat Jul 11 13:17:00 +0000 2026\r\n"
        b"X-GM-THRID: 1844\r\nX-Gmail-Labels: Inbox\r\n" % n + escaped(m, again=False).replace(b"\n", b"\r\n") + b"\r\n"
        for n, m in enumerate(MAILS)
    ),
    "Thunderbird": lambda: b"".join(
        b"From - Sat Jul 11 13:17:00 2026\nX-Mozilla-Status: 0001\n" + escaped(m, again=False) + b"\n" for m in MAILS
    ),
}


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("change", ["LF", "CRLF", "mixed", "BOM", "empty lines first", "no end of line"])
def test_every_dialect_gives_the_same_mails(read_bytes: ReadBytes, name: str, change: str) -> None:
    data = DIALECTS[name]()
    if change == "CRLF":
        # A length counts the bytes that are there.
        mails = [m.replace(b"\n", b"\r\n") for m in MAILS]
        if name.startswith("mboxcl2"):
            gap = b"" if "without" in name else b"\r\n"
            data = b"".join(
                LINE.replace(b"\n", b"\r\n")
                + m.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(m.partition(b"\r\n\r\n")[2]), 1)
                + gap
                for m in mails
            )
        else:
            data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    elif change == "mixed":
        half = data.index(LINE[:5], len(data) // 2)
        data = data[:half] + data[half:].replace(b"\r\n", b"\n")
    elif change == "BOM":
        data = b"\xef\xbb\xbf" + data
    elif change == "empty lines first":
        data = b"\n\r\n\n" + data
    elif change == "no end of line":
        data = data.rstrip(b"\r\n")
    reading = read_bytes(data)
    assert reading.kind == "mbox"
    table = reading.tables["notifications"]
    assert table["request_id"].tolist() == [20, 21]
    assert reading.accounting == Accounting(parsed=2, irrelevant=2)


@pytest.mark.parametrize("length", [0, 5, 300, 10**8, 10**30])
def test_a_length_that_leads_nowhere_is_not_believed(read_bytes: ReadBytes, length: int) -> None:
    """Other programs rewrite mails and keep the header; a sender may lie, to hide the mails behind it."""
    liar = make_mail("Lunch?", "x\n", number=9).replace(b"\n\n", b"\nContent-Length: %d\n\n" % length, 1)
    mails = b"".join(LINE + m + b"\n" for m in (liar, make_mail(number=1), make_mail(number=2)))
    assert read_bytes(mails).accounting == Accounting(parsed=2, irrelevant=1)


def test_a_length_that_leads_to_a_later_mail_hides_it_and_nothing_can_be_done(read_bytes: ReadBytes) -> None:
    """What lies inside is the liar's body: it is searched, and told where it is worded like a notification."""
    hidden = make_mail(number=1)
    body = b"x\n\n" + LINE + hidden + b"\n"
    liar = b"From: a@b\nSubject: Lunch?\nContent-Length: %d\n\n" % len(body) + body
    reading = read_bytes(LINE + liar + LINE + make_mail(number=2) + b"\n")
    assert reading.accounting == Accounting(parsed=1, rejected=1)
    assert "worded like a notification" in reading.tables["rejects"]["reason"].iloc[0]


def test_the_standard_librarys_mailboxes_are_read(tmp_path: Path) -> None:
    for name, make in (("mbox", mailbox.mbox), ("mmdf-free", mailbox.mbox)):
        box = make(tmp_path / name)
        for mail in MAILS:
            box.add(mail)
        box.close()
        assert read(tmp_path / name).accounting == Accounting(parsed=2, irrelevant=2)


def test_a_maildir_of_the_standard_library_is_read_file_by_file(tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "box")
    for mail in MAILS:
        message = mailbox.MaildirMessage(mail)
        message.set_subdir("cur")
        message.set_flags("RS")
        box.add(message)
    files = [p for p in (tmp_path / "box").rglob("*") if p.is_file()]
    assert all(p.name.endswith(":2,RS") for p in files)
    assert sum(read(p).accounting.parsed for p in files) == 2
    assert {read(p).kind for p in files} == {"mail"}


def test_a_single_mail_with_a_from_line_or_a_bom(read_bytes: ReadBytes) -> None:
    assert read_bytes(LINE + MAILS[0]).accounting == Accounting(parsed=1)
    assert read_bytes(b"\xef\xbb\xbf" + MAILS[0]).accounting == Accounting(parsed=1)
    assert read_bytes(b"\xef\xbb\xbf\r\n" + MAILS[0].replace(b"\n", b"\r\n")).accounting == Accounting(parsed=1)


@settings(deadline=None)
@given(st.lists(st.sampled_from(MAILS), min_size=1, max_size=6))
def test_lengths_split_where_the_library_wrote(mails: list[bytes]) -> None:
    data = b"".join(LINE + with_length(m) + b"\n" for m in mails)
    found = [data[start:end] for start, end in split_mbox(data)]
    assert found == [LINE + with_length(m) + b"\n" for m in mails]


def test_lines_that_only_look_like_it_do_not_split() -> None:
    long = b"From " + b"x" * 2000 + b" 1:23\nTo: x\n\n"
    assert not mbox.looks_like_mbox(long)
    assert mbox.looks_like_mbox(LINE + b"Subject: x\n\n")
    assert not mbox.looks_like_mbox(b"From here\nit is prose\n")


# ------------------------------------------------------------------------------------ in ranges


def same(left: Reading, right: Reading) -> None:
    assert (left.kind, left.accounting) == (right.kind, right.accounting)
    assert set(left.tables) == set(right.tables)
    for name, table in left.tables.items():
        pd.testing.assert_frame_equal(table, right.tables[name])


ODD = [
    *MAILS,
    make_mail(body=ISSUED.replace("7/11/2026", "2/9/2025").replace("7/25/2027", "2/9/2027"), number=5),
    make_mail(body=ISSUED.replace("ID: 20", "ID: ???").replace("Serial Number: 44", "Serial: "), number=6),
    make_mail("something else", ISSUED, number=7),
    with_length(make_mail("Lunch?", TRAP, number=8)),
]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(ODD), min_size=1, max_size=12),
    st.integers(1, 3000),
    st.sampled_from([b"", b"\xef\xbb\xbf\n"]),
)
def test_ranges_of_any_size_give_the_tables_of_one_piece(
    tmp_path: Path, mails: list[bytes], size: int, start: bytes
) -> None:
    path = tmp_path / "box"
    path.write_bytes(start + b"".join(LINE + m + b"\n" for m in mails))
    whole = read(path)
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as executor:
        patch.setattr(driver, "RANGE_BYTES", size)
        calls: list[tuple[int, int]] = []
        same(read(path, executor=executor, progress=lambda done, total: calls.append((done, total))), whole)
    if path.stat().st_size > size:
        assert calls[-1] == (path.stat().st_size, path.stat().st_size)


def test_processes_read_ranges_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "box"
    path.write_bytes(b"".join(LINE + m + b"\n" for m in ODD * 5))
    whole = read(path)
    monkeypatch.setattr(driver, "RANGE_BYTES", 4000)
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        same(read(path, executor=executor), whole)


def test_a_reading_that_is_stopped_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "box"
    path.write_bytes(b"".join(LINE + m + b"\n" for m in MAILS * 50))
    monkeypatch.setattr(driver, "RANGE_BYTES", 1000)
    started: list[int] = []
    real = driver.units_of_range

    def counted(path: str, reader: int, start: int, *more: Any) -> list[Unit]:
        started.append(start)
        return real(path, reader, start, *more)

    monkeypatch.setattr(driver, "units_of_range", counted)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt(f"{done} of {total}")

    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        read(path, executor=executor, progress=stop)
    assert len(started) < 20, "of some eighty ranges"


def test_a_small_mailbox_needs_nobody(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(LINE + MAILS[0])
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    assert read(path, executor=executor).accounting.parsed == 1
