"""Every panel of every notebook, light and dark, wide and narrow: pictures to be looked at, and axe-core's word.

CARECOVER_PICTURES keeps the pictures. axe-core looks at the panels alone: what is around them is JupyterLab's.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest

from carecover.case import Case
from carecover.demo import run_demo
from carecover.notebook import grid
from tests.browser.lab import NARROW, WIDE, Desktop, Tab, begun, unbuild
from tests.browser.reading import complaints

FIRST, SECOND, THIRD = "1-explore.ipynb", "2-revoke-and-publish.ipynb", "3-report.ipynb"
_LOOKS: Final = [
    pytest.param(size, dark, id=f"{'dark' if dark else 'light'}-{size[0]}")
    for size in (NARROW, WIDE)
    for dark in (False, True)
]
_TITLES: Final = "es => es.filter(e => e.checkVisibility()).map(e => e.textContent)"


@pytest.fixture(scope="package")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The case of a demonstration: all of it was done, and proved."""
    place = tmp_path_factory.mktemp("done") / "demo"
    run_demo(place, 11, lambda _: None)
    return place / "case"


@pytest.fixture(scope="package")
def read(done: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, before anybody decided anything."""
    place = tmp_path_factory.mktemp("to-decide") / "case"
    facts = json.loads((done.parent / "facts.json").read_text(encoding="utf-8"))
    Case.create(place, **facts).add([done.parent / "evidence"])
    return place


@pytest.mark.thorough
@pytest.mark.parametrize(("size", "dark"), _LOOKS)
@pytest.mark.parametrize("state", ["empty", "read", "unbuilt", "done"])
def test_every_panel_looks_well_and_can_be_read_by_everybody(
    desktop: Desktop, album: Path, request: pytest.FixtureRequest, state: str, size: tuple[int, int], *, dark: bool
) -> None:
    case = None if state == "empty" else request.getfixturevalue("done" if state == "done" else "read")
    look = f"{state} {size[0]} {'dark' if dark else 'light'}"
    folder = desktop.lay_out(look.replace(" ", "-"), case=case)
    against: list[str] = []
    for notebook in (FIRST, SECOND, THIRD):
        if state == "unbuilt":
            unbuild(folder / notebook)
        tab = desktop.tab(folder / notebook, size=size, dark=dark)
        tab.command("application:toggle-left-area")
        tab.run_all()
        if case is not None and notebook != THIRD:
            chosen(tab, built=state != "unbuilt" and grid.available())
        against += looked_at(tab, album, f"{look} {notebook[0]}")
        tab.page.context.close()
    assert not against, "\n".join(against)


def chosen(tab: Tab, *, built: bool) -> None:
    """Choose an orphaned certificate, so that its evidence is shown."""
    if built:
        begun(tab)
        tab.page.locator('.ccg-chip[data-chip="kind:orphaned"]').click()
        tab.page.locator('.ccg .ag-row[row-index="1"] .ag-cell[col-id="kind"]').click()
    else:
        tab.page.locator(".carecover select[size]").last.select_option(index=1)
    tab.page.locator(".carecover.widget-vbox pre.cc-raw").last.wait_for()


def looked_at(tab: Tab, album: Path, name: str) -> list[str]:
    """Take a picture of every panel; what stands out of one, and what axe-core has against one."""
    found = []
    for number, title in enumerate(tab.page.locator(".carecover.widget-vbox h3").evaluate_all(_TITLES)):
        panel = tab.panel(title)
        place = f"{name} {number:02} {re.sub('[^A-Za-z]+', '-', title).strip('-')}"
        panel.picture(album / f"{place}.png")
        if folded := [one for one in panel.at.locator(".jupyter-widget-Collapse-header").all() if one.is_visible()]:
            for one in folded:
                one.click()
            panel.picture(album / f"{place} unfolded.png")
        found += [f"{name} {title}: {told}" for told in complaints(panel)]
    return found
