"""How much is done, counted in calls: it grows with the evidence and not faster, and an attachment costs nothing.

Times differ from machine to machine and from hour to hour; how often Python calls something does not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from carecover import find_gap
from carecover.evidence import Context, mbox, read
from carecover.simulator import Scenario, make_incident
from carecover.simulator.correspondence import Mail, mbox_entry
from carecover.simulator.incident import Incident

_CONTEXT = Context(time_zone="Europe/Berlin", date_order="mdy")


def calls(work: Callable[[], Any]) -> int:
    """How often Python or C functions are called by the work; caches are filled by doing it once before."""
    work()
    count = 0

    def seen(_frame: FrameType, event: str, _what: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def incident(certificates: int) -> Incident:
    return make_incident(Scenario(seed=3, certificates=certificates, lost=25, ordinary_mail=0))


def written(made: Incident, folder: Path, name: str) -> Path:
    """One file of an incident."""
    path = folder / f"{made.scenario.certificates}-{Path(name).name}"
    path.write_bytes(b"".join(next(pieces for found, pieces in made.files() if found == name)))
    return path


@pytest.mark.parametrize(
    "name", ["evidence/mail/ca-mailbox.mbox", "evidence/database/view.txt", "evidence/database/view.csv"]
)
def test_eight_times_the_rows_are_at_most_eight_times_the_calls(tmp_path: Path, name: str) -> None:
    few, many = (written(incident(count), tmp_path, name) for count in (120, 960))
    some, all_of_them = (calls(partial(read, path, _CONTEXT)) for path in (few, many))
    assert all_of_them < 8.5 * some


@pytest.mark.thorough
def test_the_gap_of_eight_times_the_rows_is_at_most_eight_times_the_calls(tmp_path: Path) -> None:
    counted = []
    for count in (120, 960):
        made = incident(count)
        mails = read(written(made, tmp_path, "evidence/mail/ca-mailbox.mbox"), _CONTEXT).tables["notifications"]
        rows = read(written(made, tmp_path, "evidence/database/view.csv"), _CONTEXT).tables["ca_rows"]
        counted.append(calls(partial(find_gap, mails, rows, facts=made.facts)))
    assert counted[1] < 8.5 * counted[0]


def test_an_attachment_of_any_size_is_passed_over(tmp_path: Path) -> None:
    made = incident(30)
    counted = []
    for size in (1, 400):
        path = tmp_path / f"{size}.mbox"
        at = made.history.backup
        mails = (made.postbox.mailer.ordinary(6 * n + 5, at + timedelta(hours=n), []) for n in range(25))
        entries = [mbox_entry(mail) for mail in mails]
        line = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU2Nzg5QUJDREVGR0hJSktMTU5PUFFSU1RV\n"
        path.write_bytes(
            b"".join(entry.replace(b"\n\nJVBERi0", b"\n\n" + size * line + b"JVBERi0") for entry in entries)
        )
        counted.append(calls(partial(read, path, _CONTEXT)))
    assert counted[1] < 1.1 * counted[0]


def test_a_mail_with_nothing_to_find_costs_little_beside_a_notification(tmp_path: Path) -> None:
    made = incident(200)
    at = made.history.backup
    ordinary, told = tmp_path / "ordinary.mbox", tmp_path / "told.mbox"
    plain = [made.postbox.mailer.ordinary(6 * n, at + timedelta(hours=n), []) for n in range(200)]
    ordinary.write_bytes(b"".join(map(mbox_entry, plain)))
    notes = [mail for mail in made.postbox.mails if mail.title][:200]
    told.write_bytes(b"".join(map(mbox_entry, notes)))
    assert calls(partial(read, ordinary, _CONTEXT)) < 1.2 * calls(partial(read, told, _CONTEXT))


def boxed(mails: Iterable[Mail], path: Path) -> Path:
    path.write_bytes(b"".join(map(mbox_entry, mails)))
    return path


def calls_for_each_more(few: Path, many: Path, mails: int) -> float:
    """What each of so many more mails costs, without what is done once."""
    return (calls(partial(read, many, _CONTEXT)) - calls(partial(read, few, _CONTEXT))) / mails


def test_a_mail_of_any_kind_costs_some_calls_and_no_more(tmp_path: Path) -> None:
    made = incident(500)
    at = made.history.backup
    for kind in range(6):
        mails = [made.postbox.mailer.ordinary(6 * n + kind, at + timedelta(hours=n), []) for n in range(240)]
        few, many = boxed(mails[:40], tmp_path / "few"), boxed(mails, tmp_path / "many")
        assert calls_for_each_more(few, many, 200) < 200
    notes = [mail for mail in made.postbox.mails if mail.title and b"CERTIFICATE" not in mail.data]
    few, many = boxed(notes[:200], tmp_path / "few"), boxed(notes[:500], tmp_path / "many")
    assert calls_for_each_more(few, many, 300) < 400


def test_a_mail_of_many_windows_is_fetched_three_times_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for what was fetched with the mails before it, and less than twice while twice as much is asked for."""
    fetched: list[int] = []
    window = mbox._File.window

    def counted(file: mbox._File, at: int, held: bytes, size: int) -> bytes:
        data = window(file, at, held, size)
        fetched.append(len(data))
        return data

    monkeypatch.setattr(mbox._File, "window", counted)
    monkeypatch.setattr(mbox, "_WINDOW", 1 << 16)
    monkeypatch.setattr(mbox, "MAX_HEADER_BYTES", 1 << 12)
    line = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU2Nzg5QUJDREVGR0hJSktMTU5PUFFSU1RV\n"
    mail = b"From a@b Sat Jul 11 13:17:00 2026\nSubject: x\nContent-Transfer-Encoding: base64\n\n"
    path = tmp_path / "large.mbox"
    path.write_bytes((mail + b"\n") * 10 + (mail + 30_000 * line + b"\n") * 3 + (mail + b"\n") * 10)
    assert read(path, _CONTEXT).accounting.irrelevant == 23
    assert sum(fetched) < 3.5 * path.stat().st_size


def test_of_a_mapped_mailbox_no_more_is_kept_than_what_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[tuple[int, int]] = []

    def told(_data: object, start: int, end: int) -> int:
        gone.append((start, end))
        return end

    monkeypatch.setattr(mbox, "let_go", told)
    monkeypatch.setattr(mbox, "_WINDOW", 1 << 15)
    monkeypatch.setattr(mbox, "MAX_HEADER_BYTES", 1 << 12)
    made = incident(500)
    path = boxed((mail for mail in made.postbox.mails if mail.title), tmp_path / "box")
    assert read(path, _CONTEXT).accounting.parsed >= 500
    assert gone[0][0] == 0
    assert all(before[1] == after[0] and after[1] - after[0] < 3 << 15 for before, after in pairwise(gone))
    assert path.stat().st_size - gone[-1][1] < 3 << 15


@pytest.mark.parametrize(("name", "encoding"), [("view.txt", "utf-16"), ("view.csv", "utf-8")])
def test_rows_of_an_export_are_read_by_the_thousand(tmp_path: Path, name: str, encoding: str) -> None:
    """Twice as many rows again, on the same days, cost less than one call for each of them."""
    export = written(incident(150), tmp_path, f"evidence/database/{name}").read_text(encoding="cp850")
    first = export.index("Row 1:\n") if name == "view.txt" else export.index("\n") + 1
    end = export.index("Maximum Row Index") if name == "view.txt" else len(export)
    counted, rows = [], []
    for times in (8, 24):
        parts = re.split(r"(?m)^Row \d+:$", times * export[first:end])
        body = parts[0] + "".join(f"Row {number}:{part}" for number, part in enumerate(parts[1:], start=1))
        path = tmp_path / f"{times}-{name}"
        path.write_bytes((export[:first] + body).replace("\n", "\r\n").encode(encoding))
        rows.append(len(read(path, _CONTEXT).tables["ca_rows"]))
        counted.append(calls(partial(read, path, _CONTEXT)))
    assert rows[1] == 3 * rows[0] > 3_000
    assert counted[1] - counted[0] < rows[1] - rows[0], counted
