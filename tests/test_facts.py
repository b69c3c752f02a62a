"""What people say about an incident: kept as said, or refused with the name of the fact."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecover.errors import UsageError
from carecover.facts import change_facts, person_name
from carecover.model import CaseFacts, person_key


def test_facts_are_changed_one_by_one() -> None:
    facts = change_facts(CaseFacts(), {"ca": " Example CA ", "backup": None})
    facts = change_facts(facts, {"key_exposed": "no"})
    assert facts == CaseFacts(ca="Example CA", key_exposed="no")
    assert change_facts(CaseFacts(), facts.to_json()) == facts


@pytest.mark.parametrize(
    ("said", "zone", "utc"),
    [
        ("2026-10-06T11:47", "Europe/Berlin", "2026-10-06T09:47"),
        ("2026-10-06T11:47+00:00", "Europe/Berlin", "2026-10-06T11:47"),
        ("2026-10-06T11:47Z", None, "2026-10-06T11:47"),
        ("2026-10-06T11:47", None, "2026-10-06T11:47"),
        ("2026-12-01", "America/New_York", "2026-12-01T05:00"),
        ("2026-10-25T02:30+01:00", "Europe/Berlin", "2026-10-25T01:30"),
    ],
)
def test_times_are_read_in_the_zone_of_the_case(said: str, zone: str | None, utc: str) -> None:
    facts = change_facts(CaseFacts(), {"failure": said, "time_zone": zone})
    assert facts.failure == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize("said", ["2026-10-25T02:30", "2026-03-29T02:30"])
def test_a_time_that_came_twice_or_never_is_asked_about(said: str) -> None:
    with pytest.raises(UsageError, match=r"failure.*offset"):
        change_facts(CaseFacts(), {"failure": said, "time_zone": "Europe/Berlin"})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"failure": "yesterday"}, "failure"),
        ({"backup": "0001-01-01T00:00+14:00"}, "backup"),
        ({"time_zone": "Berlin"}, "Berlin"),
        ({"time_zone": "../../etc/passwd"}, "time zone"),
        ({"time_zone": ""}, "time zone"),
        ({"time_zone": "Europe"}, "time zone"),
        ({"date_order": "ydm"}, "date_order"),
        ({"key_exposed": "maybe"}, "key_exposed"),
        ({"ca": ""}, "ca"),
        ({"ca": "x" * 201}, "ca"),
        ({"ca": "a\x1b[2Jb"}, "ca"),
        ({"ca": "a\udcff"}, "ca"),
        ({"config": "host"}, "configuration string"),
        ({"config": "host\\"}, "configuration string"),
        ({"config": "\\CA"}, "configuration string"),
        ({"config": "a\\b\\c"}, "configuration string"),
        ({"colour": "red"}, "colour"),
        ({"backup": "2026-02-01", "restored": "2026-01-01"}, "backup"),
        ({"failure": "2026-02-01", "restored": "2026-01-01"}, "failure"),
    ],
)
def test_what_is_no_fact_is_refused_by_name(changes: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        change_facts(CaseFacts(), changes)


@given(st.text(max_size=120))
def test_a_recorded_name_can_be_printed_and_is_one_person(name: str) -> None:
    try:
        clean = person_name(name)
    except UsageError:
        return
    assert clean.isprintable()
    assert 0 < len(clean) <= 100
    assert person_name(clean) == clean
    assert person_key(clean) == person_key(name)
