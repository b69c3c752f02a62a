"""Serials and request IDs of evidence among the rows of a database, found as a dictionary would, and without one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carecover.analysis import find_gap, gap
from carecover.analysis.named import canonical, compared, kept, name, picked, with_ids
from carecover.analysis.suspicion import twin
from carecover.model import TABLES, CaseFacts, SerialNumber, records
from tests.test_reading_work import calls

BACKUP = datetime(2026, 10, 1, tzinfo=UTC)
FACTS = CaseFacts("Corp CA", BACKUP, BACKUP + timedelta(days=9), BACKUP + timedelta(days=10))
# Many that end alike, as a forger would have them, some that are too short to have an end, and none.
TAILS = st.sampled_from(["", "00000001", "12345678", "deadbeef"])
SERIALS = st.one_of(
    st.none(),
    st.sampled_from(["", "0a", "0b", "1234567", "12345678"]),
    st.builds(lambda begin, tail: begin + tail, st.text("ab", max_size=32), TAILS),
)


def column(texts: list[str | None], *cuts: int) -> pd.Series[Any]:
    """A text column that lies in as many pieces, as one that was read by the piece does."""
    bounds = [0, *sorted(min(cut, len(texts)) for cut in cuts), len(texts)]
    pieces = [pa.array(texts[a:b], pa.large_string()) for a, b in pairwise(bounds)]
    return pd.Series(pd.array(pa.chunked_array(pieces), dtype=pd.StringDtype("pyarrow")))


@settings(deadline=None, max_examples=60)
@given(st.lists(SERIALS, max_size=12), st.lists(SERIALS, max_size=4), st.lists(SERIALS, max_size=20), st.data())
def test_serials_are_found_as_a_dictionary_finds_them(
    mails: list[str | None], events: list[str | None], rows: list[str | None], data: st.DataObject
) -> None:
    cut, begin = data.draw(st.integers(0, 20)), data.draw(st.integers(0, len(rows)))
    named, (by_mail, by_event) = name(column(rows, cut).iloc[begin:], column(mails, cut // 2), column(events))
    numbers = {serial: n for n, serial in enumerate(dict.fromkeys(s for s in (*mails, *events) if s is not None))}
    assert named.serials.to_pylist() == list(numbers)
    assert by_mail.tolist() == [-1 if s is None else numbers[s] for s in mails]
    assert by_event.tolist() == [-1 if s is None else numbers[s] for s in events]
    found = [(at, numbers[s]) for at, s in enumerate(rows[begin:]) if s in numbers]
    assert list(zip(named.at.tolist(), named.of.tolist(), strict=True)) == found
    every = np.ones(len(named.at), bool)
    assert named.first(every)[:-1].tolist() == [
        min((a for a, o in found if o == n), default=-1) for n in range(len(named))
    ]
    assert named.last(every)[:-1].tolist() == [
        max((a for a, o in found if o == n), default=-1) for n in range(len(named))
    ]
    wanted = [s for s in mails[:3] if s is not None]
    assert named.texts(named.among(wanted)) == [s for s in numbers if s in wanted]


def test_what_no_serial_has_is_told_of_none() -> None:
    named, (numbers,) = name(column(["0a", "0b"]), column([None, "0b"]))
    flags = named.flags(numbers)
    assert flags.tolist() == [True, False], "the last is for no serial at all"
    assert not flags[numbers][0]
    assert named.first(np.ones(1, bool))[numbers].tolist() == [-1, 1]


def test_a_piece_may_have_bytes_where_it_is_na() -> None:
    """Arrow allows that; whoever compares bytes must not take them for a serial."""
    texts = pa.array(["1234567890", "abcdefabcd"], pa.large_string())
    hidden = pa.Array.from_buffers(pa.large_string(), 2, [pa.py_buffer(b"\x02"), *texts.buffers()[1:]])
    rows = pd.Series(pd.array(hidden, dtype=pd.StringDtype("pyarrow")))
    assert rows.isna().tolist() == [True, False]
    named, (numbers,) = name(rows, column(["1234567890"]))
    assert (len(named.at), numbers.tolist()) == (0, [0])
    named, (numbers,) = name(column(["1234567890"]), rows)
    assert (len(named.at), numbers.tolist()) == (0, [-1, 0])


IDS = st.one_of(st.none(), st.integers(-3, 12), st.integers(-(2**63), 2**63 - 1))


@settings(deadline=None, max_examples=60)
@given(st.lists(IDS, max_size=20), st.lists(IDS, max_size=8))
def test_request_ids_are_found_whatever_numbers_a_mail_gives(rows: list[int | None], wanted: list[int | None]) -> None:
    ids = [i for i in wanted if i is not None]
    at = with_ids(pd.Series(rows, dtype="Int64"), ids)
    assert at.tolist() == [n for n, i in enumerate(rows) if i in ids]


@settings(deadline=None, max_examples=60)
@given(st.lists(SERIALS | st.sampled_from(["0A", "00", "000b", "0b0", "é0", "0a" * 20, "0a" * 21]), max_size=8))
def test_what_passes_for_canonical_is(serials: list[str | None]) -> None:
    expected = [s is None or bool(re.fullmatch("(?!00)([0-9a-f]{2}){1,20}", s)) for s in serials]
    assert canonical(column(serials, 2)) == all(expected)


@pytest.mark.parametrize("serial", ["0a", "0100", "61000000000002", "ff" * 20, "010000"])
def test_a_twin_is_what_the_model_says_it_is(serial: str) -> None:
    reverse = SerialNumber.parse(serial).reversed
    assert reverse is not None
    assert twin(serial) == reverse.text


def test_rows_are_picked_out_of_columns_in_pieces() -> None:
    table = pd.DataFrame({"serial": column(["0a", None, "0b", "0c", "0d"], 1, 1, 3), "request_id": range(5)})
    for at in ([0, 1, 4], [2], [], [0, 1, 2, 3, 4]):
        expected = table.iloc[at].reset_index(drop=True)
        pd.testing.assert_frame_equal(picked(table, np.array(at, np.int64)), expected)
    assert kept(table, [True] * 5) is table
    same, another = compared(table["serial"], np.array([3, 1, -1, 0, 0]), column(["0c", "0b", "0a", "0b", None]))
    assert (same.tolist(), another.tolist()) == ([True] + [False] * 4, [False] * 3 + [True, False])


# ----------------------------------------------------------------------- what a row may cost


def serial(request_id: int) -> str:
    return f"61{request_id * 7919 & 0xFFFFFF:06x}0000{request_id:08x}"


def tables(count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A database of so many rows; mails about twenty of them, and about ten certificates that it lacks."""
    ids = range(2, count + 2)
    # Whatever the count, the first of them are the same, and the newest is as far from the failure.
    at = pd.date_range(end=BACKUP - timedelta(hours=1), periods=count, freq="min").as_unit("us")
    rows = pd.DataFrame({"request_id": ids, "serial": [serial(i) for i in ids], "disposition": 20, "issuer_name_id": 0})
    rows = rows.assign(submitted_at=at, not_before=at, not_after=at + timedelta(days=365))
    lost = [
        {"request_id": i, "serial": serial(i), "sent_at": BACKUP + timedelta(days=1)}
        for i in range(count + 2, count + 12)
    ]
    old = [{"request_id": i, "serial": serial(i), "sent_at": BACKUP - timedelta(hours=2)} for i in range(2, 22)]
    mails = [
        {**mail, "event": "issued", "ca_name": "Corp CA", "location": f"byte {n}"}
        for n, mail in enumerate([*old, *lost])
    ]
    return TABLES["notifications"].frame(mails), TABLES["ca_rows"].conform(rows)


def test_a_row_that_no_evidence_names_costs_no_call() -> None:
    """Ten times the rows, and the same mails: Python is called as often as before."""
    few, many = (calls(partial(find_gap, *tables(count), facts=FACTS)) for count in (2_100, 21_000))
    assert many < 1.01 * few


def test_a_mail_that_the_database_bears_out_costs_no_call() -> None:
    mails, rows = tables(2_100)
    flood = mails.iloc[[*range(len(mails)), *(100 * [*range(20)])]]
    few, many = (calls(partial(find_gap, each, rows, facts=FACTS)) for each in (mails, flood))
    assert many < 1.01 * few


def test_rows_become_values_of_python_where_a_finding_needs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    taken_apart: list[int] = []

    def counted(table: pd.DataFrame) -> list[dict[str, Any]]:
        taken_apart.append(len(table))
        return records(table)

    monkeypatch.setattr(gap, "records", counted)
    findings = find_gap(*tables(2_100), facts=FACTS)
    assert findings["kind"].value_counts().to_dict() == {"orphaned": 10}
    assert sum(taken_apart) == 10, "the mails about what is lost"


def test_tables_that_lie_in_pieces_tell_the_same() -> None:
    mails, rows = tables(2_100)
    torn = pd.concat([rows.iloc[begin : begin + 300] for begin in range(0, len(rows), 300)])
    # One mail names a request ID that no CA reaches.
    mails.loc[0, "request_id"] = 2**62
    pd.testing.assert_frame_equal(find_gap(mails, torn, facts=FACTS), find_gap(mails, rows, facts=FACTS))
