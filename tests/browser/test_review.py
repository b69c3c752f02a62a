"""The review grid in a real browser: keys that would delete its cell, an act on many, and the case after a restart."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from carecover.case import Case
from carecover.model import ACTIONABLE_KINDS
from carecover.notebook import grid
from carecover.simulator import Scenario, make_incident
from tests.browser.lab import NARROW, Desktop, Tab, begun

ANALYST = "Ada Analyst"
_CELLS = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
_HEAR_COPIES = (
    "() => document.querySelector('.ccg')"
    ".addEventListener('copy', e => { window.copied = e.clipboardData.getData('text/plain'); })"
)


@pytest.fixture
def folder(desktop: Desktop, tmp_path: Path) -> Path:
    """The notebooks beside a case with evidence and no decision."""
    if not grid.available():
        pytest.skip("The review grid is not built here: start.py test builds it where npm is found.")
    place = desktop.lay_out("review")
    made = make_incident(Scenario(seed=3, certificates=60, lost=16))
    made.write(tmp_path)
    facts = json.loads((tmp_path / "facts.json").read_text(encoding="utf-8"))
    Case.create(place / "my-case", **facts).add([tmp_path / "evidence"])
    return place


def test_many_are_decided_in_the_grid_and_no_key_deletes_its_cell(desktop: Desktop, folder: Path, album: Path) -> None:
    tab = desktop.tab(folder / "2-revoke-and-publish.ipynb")
    tab.run_all()
    begun(tab)
    page, panel = tab.page, tab.panel("Decide")
    cells = page.evaluate(_CELLS)
    page.locator('.ccg .ag-row[row-index="0"] .ag-cell[col-id="kind"]').click()
    panel.says("what a revocation hits")
    page.keyboard.type("ddx")
    assert page.evaluate(_CELLS) == cells
    a_click_looks_and_a_box_selects(tab, Case.open(folder / "my-case"))
    tab.picture(album / "review-light.png")

    page.locator('.ccg-chip[data-chip="kind:orphaned"]').click()
    panel.at.get_by_role("button", name="Select all shown", exact=True).click()
    panel.choose("Action", "leave")
    panel.put("Note", "owner unknown")
    panel.put("Your name", ANALYST)
    button = panel.at.get_by_role("button", name=re.compile("^Decide about"))
    named = button.inner_text()
    button.click()
    panel.says(re.compile("decided: leave"))
    page.wait_for_function("document.querySelector('.ccg-form select').value === ''")
    decided = Case.open(folder / "my-case").table("decisions")
    assert set(decided["action"]) == {"leave"}
    assert re.match(r"Decide about (\d+)", named)[1] == str(len(decided)), "the button said how many it takes"  # type: ignore[index]
    assert set(decided["decided_by"]) == {ANALYST}

    tab.restart()
    tab.run_all()
    begun(tab)
    leave = page.locator('.ccg-chip[data-chip="action:leave"] b')
    assert leave.inner_text() == str(len(decided)), "the case is as it was left"
    dark = desktop.tab(folder / "2-revoke-and-publish.ipynb", size=NARROW, dark=True)
    dark.run_all()
    begun(dark)
    dark.panel("Decide").picture(album / "review-dark-narrow.png")
    tab.save()
    assert (folder / "2-revoke-and-publish.ipynb").stat().st_size < 200_000, "no bundle, and no more than is shown"


def a_click_looks_and_a_box_selects(tab: Tab, case: Case) -> None:
    """What is looked at and what is selected are two things; both by mouse and by keyboard, as everywhere."""
    page = tab.page

    def cell(row: int, column: str) -> Locator:
        return page.locator(f'.ccg .ag-row[row-index="{row}"] .ag-cell[col-id="{column}"]')

    def selected(number: int) -> None:
        page.locator(f'.ccg[data-selected="{number}"]').wait_for()

    selected(0)
    page.locator('.ccg .ag-row[row-index="1"] .ag-selection-checkbox input').click()
    selected(1)
    cell(3, "subject").click()
    cell(4, "kind").click()
    selected(1)
    cell(4, "kind").click(modifiers=["Shift"])
    selected(4)
    cell(2, "kind").click(modifiers=["ControlOrMeta"])
    selected(3)
    page.keyboard.press("Space")
    selected(4)
    # Only both ends of a serial number are shown: the whole is copied, and is in the details.
    cell(2, "serial").click()
    findings = case.findings
    serial = findings[findings["kind"].isin(ACTIONABLE_KINDS)]["serial"].iloc[2]
    assert cell(2, "serial").inner_text() == f"{serial[:4]}…{serial[-6:]}"
    page.locator(".ccg-why").get_by_text(serial, exact=True).wait_for()
    page.evaluate(_HEAR_COPIES)
    page.keyboard.press("ControlOrMeta+c")
    assert page.evaluate("window.copied") == serial
    # Infrastructure is marked by an edge and a word, and it is said that many at once do not take it.
    page.locator('.ccg-chip[data-chip="flags:infrastructure"]').click()
    selected(0)
    assert "infrastructure" in cell(0, "subject").inner_text()
    edge = "e => getComputedStyle(e, '::before').width"
    assert page.locator('.ccg .ag-row[row-index="0"] .ag-cell[aria-colindex="1"]').evaluate(edge) == "4px"
    page.get_by_role("button", name="Clear filters", exact=True).click()
    page.get_by_role("button", name="Select all shown", exact=True).click()
    button = page.locator(".ccg-main")
    assert re.fullmatch(r"Decide about \d+ \(\d+ infrastructure: one by one\)", button.inner_text())
    page.get_by_role("button", name="Select none", exact=True).click()
    selected(0)
