"""The panels of 1-explore as a tired person uses them: with typing errors, wrong files and half-known facts."""

from __future__ import annotations

from typing import Any

import pytest

from carecover.case import Case
from carecover.notebook import facts
from carecover.notebook.desk import Desk
from carecover.notebook.panel import Panel

from .conftest import press, put


@pytest.fixture
def empty(tmp_path: Any) -> Case:
    """A case in which nothing is known yet."""
    return Case.create(tmp_path / "case")


def typed(panel: Panel) -> dict[str, str]:
    return {name: box.value for name, box in panel.boxes.items()}


def marked(panel: Panel) -> list[str]:
    """The boxes that are marked as wrong."""
    boxes = panel.boxes.items()
    return [name for name, box in boxes if "cc-wrong" in box._dom_classes]


@pytest.mark.parametrize(
    ("wrong", "said", "boxes"),
    [
        ({"time_zone": "Berlin"}, "Did you mean Europe/Berlin?", ["time_zone"]),
        (
            {"failure": "06/10/2026 13:47"},
            "06/10/2026 13:47&#x27; is no time. Write it as 2026-11-23 04:30",
            ["failure"],
        ),
        (
            {"failure": "06.10.2026 13:47"},
            "Failure (06.10.2026 13:47) cannot be after Restored (2026-10-05 19:47)",
            ["failure", "restored"],
        ),
        ({"config": "SERVER"}, "CA configuration", ["config"]),
    ],
)
def test_one_wrong_fact_costs_none_of_the_others(
    empty: Case, wrong: dict[str, str], said: str, boxes: list[str]
) -> None:
    panel = facts(empty)
    right = {
        "ca": "Example Issuing CA 1", "time_zone": "Europe/Berlin", "backup": "27.09.2026 04:00",
        "failure": "2026-10-04 13:47", "restored": "2026-10-05 19:47",
    }  # fmt: skip
    for name, value in {**right, **wrong}.items():
        put(panel.boxes[name], value=value)
    put(panel.boxes["key_exposed"], index=1)
    before = typed(panel)
    assert said in press(panel, "Save the facts")
    assert typed(panel) == before, "what was typed is the person's until it is saved"
    assert marked(panel) == boxes
    assert empty.facts.ca is None
    for name in wrong:
        put(panel.boxes[name], value=right.get(name, r"SERVER\Example Issuing CA 1"))
    assert "Saved." in press(panel, "Save the facts")
    assert marked(panel) == []
    known = Case.open(empty.path).facts
    assert (known.ca, known.time_zone, known.key_exposed) == ("Example Issuing CA 1", "Europe/Berlin", "no")
    assert typed(panel)["backup"] == "2026-09-27 04:00+02:00", "after that the boxes show the case"


def test_what_is_being_typed_outlives_what_others_do(empty: Case) -> None:
    panel = facts(empty)
    put(panel.boxes["ca"], value="Example Issu")
    Case.create(empty.path, failure="2026-10-06 13:47", ca="Another")
    Desk.of(empty).changed()
    assert typed(panel)["ca"] == "Example Issu"
    assert typed(panel)["failure"] == "2026-10-06 13:47+00:00", "an untouched box shows the case"
    assert "Saved." in press(panel, "Save the facts")
    assert Case.open(empty.path).facts.ca == "Example Issu"


def test_a_fact_that_was_emptied_is_told_with_its_value(case: Case) -> None:
    panel = facts(case)
    was = typed(panel)["failure"]
    put(panel.boxes["failure"], value="")
    assert f"Failure (it is {was}): a fact can be corrected" in press(panel, "Save the facts")
    assert marked(panel) == ["failure"]
