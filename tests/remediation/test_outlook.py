"""What carrying a plan out means, told before anybody signs: the same in plan.html and in the panels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from carecover.model import TABLES, Plan
from carecover.remediation import differences, duration, estimate, for_ever, phases, prepare_bundle, stops_working
from tests.remediation.conftest import Incident


def test_every_phase_that_calls_certutil_is_explained(incident: Incident) -> None:
    calls = estimate(incident.plan())
    shown = phases(calls)
    assert {p.call: p.calls for p in shown} == calls
    assert all(p.what for p in shown)


@pytest.mark.parametrize(
    ("calls", "words"), [(1, "less than 1 min"), (119, "less than 1 min"), (120, "about 1 min"), (121, "about 2 min")]
)
def test_the_estimate_is_rounded_up(calls: int, words: str) -> None:
    assert duration(calls) == words


def test_the_page_says_what_the_panels_say(incident: Incident) -> None:
    plan = incident.plan()
    page = prepare_bundle(plan, incident.certificates)["plan.html"].decode("ascii")
    assert all(sentence in page for sentence in for_ever(plan))
    assert all(phase.what in page for phase in phases(estimate(plan)))


def test_what_stops_working_is_infrastructure_first_and_only_what_is_revoked(incident: Incident) -> None:
    plan = incident.plan()
    revoked = [item for item in plan.items if item.action == "revoke"]
    left = next(item for item in plan.items if item.action != "revoke")
    assert len(revoked) >= 2
    marks: list[tuple[str, Any, Any]] = [
        (revoked[0].finding_id, False, True), (revoked[1].finding_id, True, None), (left.finding_id, True, True),
    ]  # fmt: skip
    rows = [
        {"finding_id": i, "infrastructure": a, "replace_first": b, "blast_radius": "the web shop"} for i, a, b in marks
    ]
    hit = stops_working(plan, TABLES["findings"].frame(rows))
    assert list(hit["infrastructure"].fillna(value=False)) == [True, False]
    assert list(hit["reason"]) == [revoked[1].reason, revoked[0].reason]
    assert stops_working(plan, TABLES["findings"].empty()).empty


def test_the_same_plan_has_no_differences(incident: Incident) -> None:
    plan = incident.plan()
    assert differences(plan, plan) == []
    renumbered = replace(plan, items=tuple(replace(i, number=i.number + 1) for i in plan.items))
    assert differences(plan, renumbered) != [], "another digest never goes without a word"


def test_each_difference_is_told(incident: Incident) -> None:
    plan = incident.plan()
    first, second, *rest = plan.items

    def changed(**what: Any) -> Plan:
        return replace(plan, **what)

    other = changed(items=(replace(first, action="leave", reason=None, method="none", decided_by="Eve"), second, *rest))
    (told,) = differences(plan, other)
    assert told.startswith(f"{first.serial}: {first.action}")
    assert told.endswith("now leave, decided by Eve.")
    (told,) = differences(plan, changed(items=(replace(first, note="another"), second, *rest)))
    assert "its note, or what is known of it, is another" in told
    assert differences(plan, changed(items=(second, *rest))) == [f"1 no longer in the plan: {first.serial}."]
    assert differences(changed(items=(second, *rest)), plan) == [f"1 new in the plan: {first.serial}."]
    assert differences(plan, changed(waivers=("undecided: x",))) == ["Waived since: undecided: x"]
    assert differences(plan, changed(newest_request_id=None))[0].endswith("now not known.")
    assert differences(plan, changed(last_crl_numbers={"0": "99"})) == [
        "What is known of the CA's certificates or public CRLs."
    ]
    many = replace(plan, items=tuple(replace(first, serial=f"{n:04x}", number=n) for n in range(1, 40)))
    assert differences(replace(many, items=()), many)[0].endswith("and 34 more.")
    swapped = replace(many, items=tuple(replace(item, decided_by="Eve") for item in many.items))
    assert len(differences(many, swapped)) == 6
    assert pd.notna(differences(many, swapped)[-1])
