"""The journal: what was written stays, and what was changed shows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.errors import CaseError
from carecover.journal import GENESIS, MAX_LINE, Journal

NOW = datetime(2026, 11, 23, 3, 14, tzinfo=UTC)


def _journal(folder: Path, acts: int = 3) -> Journal:
    journal = Journal(folder / "journal.jsonl")
    for number in range(acts):
        journal.append("add", NOW, {"file": f"mail {number} ü"})
    return journal


def test_a_new_journal_is_empty(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    assert list(journal.entries()) == []
    assert journal.head == GENESIS


def test_acts_are_numbered_and_chained(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    entries = list(journal.entries())
    assert [e.number for e in entries] == [1, 2, 3]
    assert [e.previous for e in entries] == [GENESIS, entries[0].digest, entries[1].digest]
    assert journal.head == entries[-1].digest
    assert entries[0].at == "2026-11-23T03:14:00Z"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(min_value=0), byte=st.integers(min_value=0, max_value=255))
def test_any_changed_byte_is_found(tmp_path: Path, place: int, byte: int) -> None:
    path = tmp_path / "journal.jsonl"
    if not path.exists():
        _journal(tmp_path)
    good = path.read_bytes()
    before = Journal(path).head
    place %= len(good)
    if good[place] == byte:
        return
    path.write_bytes(good[:place] + bytes([byte]) + good[place + 1 :])
    try:
        # A change in the last line leaves a chain that holds: the printed head tells.
        assert Journal(path).head != before
    except CaseError:
        pass
    finally:
        path.write_bytes(good)


def test_a_removed_line_is_found(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    path = tmp_path / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(CaseError, match="line 2"):
        list(journal.entries())


@pytest.mark.parametrize("keep", [1, 10, 100])
def test_a_crash_in_the_middle_of_a_line_loses_nothing(tmp_path: Path, keep: int) -> None:
    journal = _journal(tmp_path)
    head = journal.head
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:keep].replace(b"\n", b""))
    assert journal.head == head
    entry = journal.append("decide", NOW, {})
    assert entry.number == 4
    assert [e.number for e in journal.entries()] == [1, 2, 3, 4]
    assert path.with_suffix(".torn").exists()


def test_a_record_that_would_never_be_read_again_is_refused(tmp_path: Path) -> None:
    journal = _journal(tmp_path)
    with pytest.raises(CaseError, match="larger"):
        journal.append("add", NOW, {"file": "x" * MAX_LINE})
    assert len(list(journal.entries())) == 3
