"""The panels of 1-explore as a tired person uses them: with typing errors, wrong files and half-known facts."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from traitlets import TraitError

from carecover.case import Case
from carecover.folder import CaseFolder
from carecover.notebook import add_evidence, coverage, facts, first_steps
from carecover.notebook.choosing import piece
from carecover.notebook.desk import Desk
from carecover.notebook.exploring import OpenPanel
from carecover.notebook.panel import Panel, choice
from carecover.simulator import Incident
from tests.evidence.test_other import PNG

from .conftest import hand_over, press, put, said


@pytest.fixture
def empty(tmp_path: Path) -> Case:
    """A case in which nothing is known yet."""
    return Case.create(tmp_path / "empty")


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


# --------------------------------------------------------------------------------- the name


def test_a_misspelled_ca_is_told_first_and_set_right_by_one_button(case: Case) -> None:
    right = case.facts.ca
    assert right
    Case.create(case.path, ca="Exmaple CA")
    panel, steps = facts(case), first_steps(case)
    assert f"bear another: {right}" in said(panel)
    first = case.table("first_steps").iloc[0]
    assert first["step"].startswith(f"Set the CA's name right: what was handed in is of {right}")
    assert "in the facts, at CA name." in said(steps)
    assert "suspect" not in said(steps)
    opened = OpenPanel(case)
    assert "Next: set the CA's name right" in said(opened)
    put(panel.boxes["config"], value=r"SERVER\half typed")
    assert f"The CA of this case is {right} now." in html.unescape(press(panel, "Take"))
    assert Case.open(case.path).facts.ca == right
    assert typed(panel)["ca"] == right
    assert typed(panel)["config"] == r"SERVER\half typed"
    assert panel.take_name.layout.display == "none"
    assert "Set the CA's name right" not in html.unescape(said(steps))
    assert "name right" not in said(opened)


def test_what_is_added_to_a_case_with_another_name_says_so_at_once(
    empty: Case, incident: tuple[Incident, Path]
) -> None:
    Case.create(empty.path, ca="Exmaple CA")
    panel = add_evidence(empty)
    put(panel.paths, value=str(incident[1] / "evidence"))
    said_so = html.unescape(press(panel, "Add to the case"))
    assert "Files added:" in said_so
    assert "nothing in it bears the CA's name in the case" in said_so


def test_a_case_without_a_name_is_offered_that_of_the_certificate(
    empty: Case, incident: tuple[Incident, Path], case: Case
) -> None:
    panel = facts(empty)
    assert panel.take_name.layout.display == "none"
    empty.add([incident[1] / "evidence"])
    Desk.of(empty).changed()
    assert panel.take_name.description == f"Take '{case.facts.ca}'"
    press(panel, "Take")
    assert Case.open(empty.path).facts.ca == case.facts.ca


# ------------------------------------------------------------------------------- evidence


def test_a_file_that_is_no_evidence_is_no_step_for_ever_and_damaged_evidence_is(case: Case) -> None:
    panel, steps = add_evidence(case), first_steps(case)
    hand_over(panel.upload, ("holiday.png", PNG), ("notes.txt", b"Buy milk."))
    told = press(panel, "Add to the case")
    assert 'class="cc-note warning"' in told, "nothing was read: that is no success"
    names = "<bdi>holiday.png</bdi>, <bdi>notes.txt</bdi>"
    assert f"Nothing that carecover reads: {names}. That does no harm." in said(panel)
    assert "could not be read" not in said(steps)
    hand_over(panel.upload, ("ca.cer", b"MIIC damaged certificate"))
    press(panel, "Add to the case")
    assert "Look at what could not be read. The panel Evidence names it." in said(steps)
    table = said(panel)
    assert "<bdi>ca.cer</bdi>" in table
    assert "<bdi>the whole file</bdi>" in table
    assert "<bdi>telling what it is</bdi>" in table


def test_what_was_handed_in_before_is_counted_as_that(case: Case, incident: tuple[Incident, Path]) -> None:
    panel = add_evidence(case)
    again = next((incident[1] / "evidence").rglob("*.mbox"))
    put(panel.paths, value=str(again))
    told = press(panel, "Add to the case")
    assert "Files added: 0. Files of which everything was seen before: 1." in told
    assert 'class="cc-note warning"' in told


def test_a_piece_of_evidence_is_named_as_it_was_and_by_the_copy_that_is_kept(empty: Case) -> None:
    panel = add_evidence(empty)
    hand_over(panel.upload, ("ca-mailbox.mbox", b"From a@b Mon Oct  5 10:00:00 2026\nSubject: Hi\n\nHi.\n"))
    press(panel, "Add to the case")
    shown = piece(Desk.of(empty), "E0001 mail 1 (mail)")
    assert "<bdi>ca-mailbox.mbox</bdi>" in shown
    assert "carecover-upload" not in shown
    (copy,) = re.findall(r"its copy in the case</dt><dd><bdi>([^<]+)", shown)
    assert (empty.path / copy).is_file()


def test_an_empty_name_is_said_and_the_next_step_is_told_once(tmp_path: Path) -> None:
    panel = OpenPanel(Case(CaseFolder(tmp_path / "case")))
    told = press(panel, "Make this case")
    assert "without the name of the CA" in told
    assert 'class="cc-note warning"' in told
    assert "Next: fill in the facts as far as they are known, then add evidence." in said(panel)


# ---------------------------------------------------------------------------- all panels


def test_a_list_is_never_blank() -> None:
    """Neither where it was empty once, nor where a browser says so; and what was chosen stays."""
    box = choice("Role", [("analyst", "a"), ("reviewer", "r")])
    said_now = []
    put(box, index=1)
    for options in ([("reviewer", "r"), ("somebody", "s")], [], [("analyst", "a"), ("reviewer", "r")]):
        box.options = options
        said_now.append(box.value)
    assert said_now == ["r", None, "a"]
    put(box, index=None)
    assert (box.value, box.index) == ("a", 0)
    with pytest.raises(TraitError):
        put(box, index=7)
    assert box.label == "analyst"


def test_a_saved_panel_says_loudly_that_it_is_of_before_and_when(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Panel, "now", staticmethod(lambda: datetime(2026, 11, 25, 3, 14, tzinfo=UTC)))
    page = coverage(case)._still()["text/html"]
    assert page.index("Not the case as it is now.") < page.index("How complete is this?")
    assert "This was drawn on 2026-11-25 at 03:14 UTC" in page
