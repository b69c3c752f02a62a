"""Units as lines of text: they come back as they were, and what is no line of ours is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecover.evidence.driver import READERS
from carecover.evidence.frozen import frozen, thawed
from carecover.evidence.units import Duplicate, Irrelevant, Parsed, PrintedTime, Rejected, Source, Unit
from tests.evidence.test_driver import SAMPLES

_ZONES = st.none() | st.integers(-1439, 1439).map(lambda n: timezone(timedelta(minutes=n)))
_CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.text(),
    st.binary(max_size=40),
    st.datetimes(timezones=st.just(UTC)),
    st.lists(st.text(max_size=9), max_size=4),
    st.builds(PrintedTime, st.text(max_size=20), _ZONES, st.sampled_from([None, "dmy", "mdy"])),
)
_KEYS = st.none() | st.binary(min_size=1, max_size=32)
_ROWS = st.lists(st.tuples(st.sampled_from(["notifications", "rejects"]), st.dictionaries(st.text(max_size=9), _CELLS)))
_UNITS: st.SearchStrategy[Unit] = st.one_of(
    st.builds(Parsed, _ROWS.map(tuple), st.integers(0, 9), st.just(()), _KEYS),
    st.builds(Irrelevant, st.integers(1, 10**9), _KEYS),
    st.just(Duplicate()),
    st.builds(Rejected, st.text(), st.sampled_from(["open", "parse"]), st.text(), st.integers(0, 9), st.text(), _KEYS),
)


@given(st.lists(_UNITS, max_size=5))
def test_units_come_back_as_they_were(units: list[Unit]) -> None:
    assert thawed(frozen(units)) == units


@pytest.mark.parametrize("kind", ["mbox", "mail", "view_text", "events", "registry", "certificate"])
def test_what_readers_give_comes_back_as_it_was(kind: str) -> None:
    source = Source.of(Path("x"), SAMPLES[kind])
    reader = next(reader for reader in READERS if reader.kind == kind and reader.recognises(source))
    units = list(reader.read(source, lambda _: None))
    assert thawed(frozen(units)) == units


def test_packed_columns_are_not_kept() -> None:
    with pytest.raises(ValueError, match="columns"):
        frozen([Parsed((), columns=(("crl_entries", {}),))])
    with pytest.raises(ValueError, match="timedelta"):
        frozen([Parsed((("rejects", {"size": timedelta(1)}),))])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda c: st.lists(c, max_size=3)))
def test_what_is_no_line_of_ours_is_refused_or_a_unit(body: Any) -> None:
    told = {"parsed": [["rejects", {"reason": body}]], "units": 1}
    try:
        (unit,) = thawed([json.dumps(told)])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return
    assert isinstance(unit, Parsed)


def test_a_moment_keeps_its_microseconds() -> None:
    moment = datetime(2026, 7, 11, 13, 17, 0, 123456, tzinfo=UTC)
    (unit,) = thawed(frozen([Parsed((("notifications", {"sent_at": moment}),))]))
    assert isinstance(unit, Parsed)
    assert unit.rows[0][1]["sent_at"] == moment
