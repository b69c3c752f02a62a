"""How much is done, counted in calls: it grows with the evidence and not faster, and an attachment costs nothing.

Times differ from machine to machine and from hour to hour; how often Python calls something does not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from carecover import find_gap
from carecover.evidence import Context, read
from carecover.simulator import Scenario, make_incident
from carecover.simulator.correspondence import mbox_entry
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
