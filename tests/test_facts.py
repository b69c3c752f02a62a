"""What people say about an incident: kept as said, or refused with the name of the fact."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecover.errors import FactError, UsageError
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
        ("06.10.2026 13:47", "Europe/Berlin", "2026-10-06T11:47"),
        (" 6.10.2026, 13:47:05 Uhr ", "Europe/Berlin", "2026-10-06T11:47:05"),
        ("06.10.2026 13:47+00:00", "Europe/Berlin", "2026-10-06T13:47"),
        ("06.10.2026", "Europe/Berlin", "2026-10-05T22:00"),
    ],
)
def test_times_are_read_in_the_zone_of_the_case(said: str, zone: str | None, utc: str) -> None:
    facts = change_facts(CaseFacts(), {"failure": said, "time_zone": zone})
    assert facts.failure == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize("said", ["2026-10-25T02:30", "2026-03-29T02:30"])
def test_a_time_that_came_twice_or_never_is_asked_about(said: str) -> None:
    with pytest.raises(UsageError, match=r"Failure.*offset"):
        change_facts(CaseFacts(), {"failure": said, "time_zone": "Europe/Berlin"})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"failure": "yesterday"}, "Failure"),
        ({"failure": "06/10/2026 13:47"}, "2026-11-23 04:30"),
        ({"failure": "31.02.2026"}, "Failure"),
        ({"failure": "10.13.2026 10:00"}, "Failure"),
        ({"backup": "0001-01-01T00:00+14:00"}, "Last backup"),
        ({"time_zone": "Berlin"}, "Berlin"),
        ({"time_zone": "../../etc/passwd"}, "time zone"),
        ({"time_zone": ""}, "time zone"),
        ({"time_zone": "Europe"}, "time zone"),
        ({"date_order": "ydm"}, "date_order"),
        ({"key_exposed": "maybe"}, "key_exposed"),
        ({"ca": ""}, "CA name"),
        ({"ca": "x" * 201}, "CA name"),
        ({"ca": "a\x1b[2Jb"}, "CA name"),
        ({"ca": "a\udcff"}, "CA name"),
        ({"config": "host"}, "configuration string"),
        ({"config": "host\\"}, "configuration string"),
        ({"config": "\\CA"}, "configuration string"),
        ({"config": "a\\b\\c"}, "configuration string"),
        ({"colour": "red"}, "colour"),
        ({"backup": "2026-02-01", "restored": "2026-01-01"}, "Last backup"),
        ({"failure": "2026-02-01", "restored": "2026-01-01"}, "Failure"),
    ],
)
def test_what_is_no_fact_is_refused_by_name(changes: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        change_facts(CaseFacts(), changes)


def test_what_contradicts_is_told_as_it_was_typed_and_by_the_names_of_the_boxes() -> None:
    known = change_facts(CaseFacts(), {"time_zone": "Europe/Berlin", "restored": "2026-10-05 19:47"})
    with pytest.raises(FactError) as told:
        change_facts(known, {"failure": "06.10.2026 13:47"})
    assert str(told.value).startswith(
        "Failure (06.10.2026 13:47) cannot be after Restored (2026-10-05 19:47 Europe/Berlin)"
    )
    assert told.value.facts == ("failure", "restored")


def test_a_zone_without_its_continent_is_guessed_at_and_not_taken() -> None:
    with pytest.raises(FactError, match=r"'Berlin' is no time zone\. Did you mean Europe/Berlin\?") as told:
        change_facts(CaseFacts(), {"time_zone": "Berlin"})
    assert told.value.facts == ("time_zone",)


def test_what_was_typed_is_shown_short_and_without_control_characters() -> None:
    with pytest.raises(FactError) as told:
        change_facts(CaseFacts(), {"backup": "\x1b[2J" + "9" * 10_000})
    assert "\x1b" not in str(told.value)
    assert len(str(told.value)) < 300


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
