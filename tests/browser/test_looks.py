"""Every panel of every notebook, light and dark, wide and narrow: pictures to be looked at, and axe-core's word.

CARECOVER_PICTURES keeps the pictures. axe-core looks at the panels alone: what is around them is JupyterLab's.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from carecover.case import Case
from carecover.demo import run_demo
from carecover.notebook import grid
from tests.browser.lab import NARROW, WIDE, Desktop, Tab, begun, unbuild
from tests.report.test_access import AXE

FIRST, SECOND, THIRD = "1-explore.ipynb", "2-revoke-and-publish.ipynb", "3-report.ipynb"
_LOOKS: Final = [
    pytest.param(size, dark, id=f"{'dark' if dark else 'light'}-{size[0]}")
    for size in (NARROW, WIDE)
    for dark in (False, True)
]
_TITLES: Final = "es => es.filter(e => e.checkVisibility()).map(e => e.textContent)"
# How far anything of a panel stands out beyond the notebook, or a control beyond its panel, in pixels.
_BEYOND: Final = """e => {
  const right = x => x.getBoundingClientRect().right;
  const out = [right(e) - right(e.closest('.jp-Notebook, body'))];
  for (const control of e.querySelectorAll('button, input, select, textarea'))
    if (control.checkVisibility() && !control.closest('.cc-scroll, .ag-root')) out.push(right(control) - right(e));
  return Math.max(...out);
}"""
# Text that stands out too little from what is behind it (WCAG 2.2, 1.4.3). axe-core passes over what JupyterLab's
# windowed notebook holds, so this is worked out here: each text over the grounds behind it, from the page's own style.
_FAINT: Final = """e => {
  const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = colour => {
    paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = paint.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, ground) => [0, 1, 2].map(i => top[i] * top[3] + ground[i] * (1 - top[3])).concat(1);
  const ground = x => {
    const layers = [];
    for (let at = x; at; at = at.parentElement) {
      layers.push(rgba(getComputedStyle(at).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = c => {
    const [r, g, b] = c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = new Map();
  let seen = 0;
  const judge = (x, colour, words) => {
    const below = ground(x), [a, b] = [light(over(rgba(colour), below)), light(below)].sort((m, n) => n - m);
    const ratio = (a + 0.05) / (b + 0.05), style = getComputedStyle(x), size = parseFloat(style.fontSize);
    seen += 1;
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) found.set(`${x.tagName}.${x.className} ${ratio.toFixed(2)}`, words.slice(0, 40));
  };
  const shown = x => x.checkVisibility({opacityProperty: true}) && !x.closest(':disabled, svg, style, script, option');
  const texts = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
  for (let at = texts.nextNode(); at; at = texts.nextNode())
    if (at.data.trim() && shown(at.parentElement))
      judge(at.parentElement, getComputedStyle(at.parentElement).color, at.data.trim());
  for (const x of e.querySelectorAll('input[placeholder], textarea[placeholder]'))
    if (x.placeholder && shown(x)) judge(x, getComputedStyle(x, '::placeholder').color, x.placeholder);
  return [seen, [...found].map(([what, words]) => `${what}: ${words}`)];
}"""


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
    tab.page.evaluate(AXE.read_text(encoding="utf-8") if AXE.is_file() else "")
    for number, title in enumerate(tab.page.locator(".carecover.widget-vbox h3").evaluate_all(_TITLES)):
        panel = tab.panel(title)
        place = f"{name} {number:02} {re.sub('[^A-Za-z]+', '-', title).strip('-')}"
        panel.picture(album / f"{place}.png")
        if folded := [one for one in panel.at.locator(".jupyter-widget-Collapse-header").all() if one.is_visible()]:
            for one in folded:
                one.click()
            panel.picture(album / f"{place} unfolded.png")
        if (beyond := panel.at.evaluate(_BEYOND)) > 0.5:
            found.append(f"{name} {title}: stands out by {beyond} px")
        seen, faint = panel.at.evaluate(_FAINT)
        assert seen
        found += [f"{name} {title}: too faint: {told}" for told in faint]
        if AXE.is_file():
            result = panel.at.evaluate("e => axe.run(e, {resultTypes: ['violations']})")
            found += [f"{name} {title}: {told}" for told in violations(result)]
    return found


def violations(result: dict[str, Any]) -> list[str]:
    """What axe-core found, a line each."""
    return [
        f"{found['id']}: {node['target']} {node['failureSummary']}"
        for found in result["violations"]
        for node in found["nodes"]
    ]
