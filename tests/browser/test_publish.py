"""2-revoke-and-publish in a real browser: two people get from findings to a signed and exported bundle."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from carecover.case import Case
from carecover.model import ACTIONABLE_KINDS, sha256_hex
from carecover.notebook import grid
from carecover.simulator import Scenario, make_incident
from tests.big_case import make_big_case
from tests.browser.lab import NARROW, PATIENCE_SECONDS, Desktop, Panel, Tab, begun, unbuild
from tests.browser.reading import complaints

ANALYST, REVIEWER = "Ada Analyst", "Rob Reviewer"
_SECOND = "2-revoke-and-publish.ipynb"
_FIRST_BOX = '.ccg .ag-row[row-index="0"] .ag-selection-checkbox input'


@pytest.fixture(scope="package")
def read_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case with evidence and no decision."""
    place = tmp_path_factory.mktemp("to-publish")
    made = make_incident(Scenario(seed=3, certificates=60, lost=10))
    made.write(place)
    facts = json.loads((place / "facts.json").read_text(encoding="utf-8"))
    Case.create(place / "my-case", **facts).add([place / "evidence"])
    return place / "my-case"


def test_two_people_decide_sign_and_export_and_a_change_voids_both_signatures(
    desktop: Desktop, read_once: Path, album: Path
) -> None:
    if not grid.available():
        pytest.skip("The review grid is not built here: start.py test builds it where npm is found.")
    folder = desktop.lay_out("publish", case=read_once)
    tab = desktop.tab(folder / _SECOND)
    tab.run_all()
    begun(tab)
    decide_in_the_grid(tab)
    case = Case.open(folder / "my-case")
    assert case.plan().items, "all is decided"
    signed(tab, ANALYST, "analyst", case)

    # The second person sits at a tab of his own, with a kernel of its own.
    other = desktop.tab(folder / _SECOND, size=NARROW, dark=True)
    other.run_all()
    other.panel("Two signatures").says(re.compile(f"✓ {ANALYST}"))
    signed(other, REVIEWER, "reviewer", case)
    first = case.plan().digest

    # Something is changed after all: both signatures are void, and both people see it.
    picked = other.page.locator(_FIRST_BOX)
    begun(other)
    acted(other, picked.click, decide=("leave", "second thoughts", REVIEWER))
    assert case.plan().digest != first
    assert case.sign_offs() == ()
    other.panel("Two signatures").says(re.compile("^Void since"))
    other.panel("Two signatures").picture(album / "void-dark-narrow.png")
    tab.run_all()
    tab.panel("Two signatures").says(re.compile(f"{REVIEWER} decided about 1 of the findings"))
    signed(tab, ANALYST, "analyst", case)
    signed(tab, REVIEWER, "reviewer", case)
    for title in ("Decide", "The plan", "Two signatures"):
        assert complaints(tab.panel(title)) == [], title
    tab.panel("The plan").picture(album / "plan-light-wide.png")
    tab.panel("Two signatures").picture(album / "signed-light-wide.png")
    exported(tab, folder, album)

    # The work of the night is in the case, whatever becomes of the kernel.
    tab.restart()
    tab.run_all()
    tab.panel("The bundle").says(re.compile("^Written for the plan as it is now"))
    assert case.check() == []


@pytest.mark.thorough
def test_without_the_grid_the_same_work_is_done(desktop: Desktop, read_once: Path, album: Path) -> None:
    folder = desktop.lay_out("unbuilt", case=read_once)
    unbuild(folder / _SECOND)
    tab = desktop.tab(folder / _SECOND)
    tab.run_all()
    assert tab.page.locator(".ccg").count() == 0
    case = Case.open(folder / "my-case")
    decide_by_lists(tab, case)
    tab.panel("Decide").picture(album / "plain-light-wide.png")
    signed(tab, ANALYST, "analyst", case)
    signed(tab, REVIEWER, "reviewer", case)
    exported(tab, folder, album)


@pytest.mark.thorough
def test_a_hundred_thousand_are_decided_by_one_act(desktop: Desktop, tmp_path: Path, album: Path) -> None:
    if not grid.available():
        pytest.skip("The review grid is not built here: start.py test builds it where npm is found.")
    number = 100_000
    folder = desktop.lay_out("many", case=make_big_case(tmp_path, number).path)
    tab = desktop.tab(folder / _SECOND)
    tab.run_all()
    begun(tab)
    panel, page = tab.panel("Decide"), tab.page
    page.locator('.ccg-chip[data-chip="kind:orphaned"]').click()
    page.locator('.ccg-chip[data-chip="confidence:medium"]').click()
    shown = int(page.locator(".ccg").get_attribute("data-shown") or 0)
    assert shown >= number
    panel.at.get_by_role("button", name="Select all shown", exact=True).click()
    acted(tab, lambda: None, decide=("leave", "the owners are asked", ANALYST))
    tab.picture(album / "many-light.png")
    panel.says(re.compile("decided: leave"))
    case = Case.open(folder / "my-case")
    assert len(case.table("decisions")) >= number
    acted(tab, lambda: panel.at.get_by_role("button", name="Undo", exact=True).click())
    last = case.table("decisions").drop_duplicates("finding_id", keep="last")
    assert set(last["action"]) == {"undecided"}
    tab.save()
    assert (folder / _SECOND).stat().st_size < 400_000


# --------------------------------------------------------------------------------- the steps


def acted(tab: Tab, choose: Callable[[], None], *, decide: tuple[str, str, str] | None = None) -> None:
    """Choose rows, decide (action, note, name) where that is given, and wait for what Python says to it."""
    shown = tab.page.locator(".ccg")
    before = int(shown.get_attribute("data-rev") or 0)
    choose()
    if decide is not None:
        action, note, by = decide
        panel = tab.panel("Decide")
        panel.choose("Action", action)
        panel.put("Note", note)
        panel.put("Your name", by)
        tab.page.locator(".ccg-main").click()
    tab.page.wait_for_function(
        "before => { const e = document.querySelector('.ccg');"
        " return Number(e.dataset.rev) > before && e.dataset.busy === 'false'; }",
        arg=before,
        timeout=PATIENCE_SECONDS * 1000,
    )


def decide_in_the_grid(tab: Tab) -> None:
    """Take every suggestion, leave the rest, and decide about what many at once never take one by one."""
    panel, page = tab.panel("Decide"), tab.page
    every = panel.at.get_by_role("button", name="Select all shown", exact=True)
    page.locator('.ccg-chip[data-chip="flags:suggestion"]').click()
    every.click()
    panel.put("Your name", ANALYST)
    acted(tab, panel.at.get_by_role("button", name="Take the suggestions", exact=True).click)
    page.locator('.ccg-chip[data-chip="flags:suggestion"]').click()
    undecided = page.locator('.ccg-chip[data-chip="action:undecided"]')
    undecided.click()
    acted(tab, every.click, decide=("leave", "nobody knows its owner", ANALYST))
    while shown := int(page.locator(".ccg").get_attribute("data-shown") or 0):
        first = page.locator(_FIRST_BOX)
        acted(tab, first.click, decide=("leave", "others depend on it", ANALYST))
        assert int(page.locator(".ccg").get_attribute("data-shown") or 0) == shown - 1


def decide_by_lists(tab: Tab, case: Case) -> None:
    """The same by the plain controls."""
    panel = tab.panel("Decide")
    panel.choose("Show", "with a suggestion")
    panel.choose("Applies to", "all that match the filter")
    panel.put("Your name", ANALYST)
    panel.press("Take the suggestions", until=re.compile("decided as suggested"))
    panel.choose("Show", "not decided yet")
    panel.choose("Action", "leave: do nothing; it stays on the watch list")
    panel.put("Note", "nobody knows its owner")
    panel.at.get_by_role("button", name=re.compile("^Decide about")).click()
    panel.says(re.compile("decided: leave"))
    panel.choose("Applies to", "what is selected")
    while _undecided(case):
        left = _undecided(case)
        panel.at.locator("select[size]").first.select_option(index=0)
        # After each act it is chosen anew.
        panel.choose("Action", "leave: do nothing; it stays on the watch list")
        panel.at.get_by_role("button", name="Decide about 1", exact=True).click()
        panel.says(re.compile(rf"^{left - 1} findings?( of|$)"))
        assert _undecided(case) == left - 1


def _undecided(case: Case) -> int:
    decided = set(case.table("decisions").query("action != 'undecided'")["finding_id"])
    actionable = case.findings[case.findings["kind"].isin(ACTIONABLE_KINDS)]
    return len(set(actionable["finding_id"]) - decided)


def signed(tab: Tab, person: str, role: str, case: Case) -> None:
    """Read the digest, tick the box, and sign."""
    panel = tab.panel("Two signatures")
    panel.says(case.plan().digest)
    panel.put("Your name", person)
    panel.choose("You sign as", role)
    panel.at.get_by_label(re.compile("^I have read the plan")).check()
    panel.press("Sign this plan", until=re.compile(f"^{person} signed as {role}, by name only"))
    assert person in {one.person for one in case.sign_offs()}


def exported(tab: Tab, folder: Path, album: Path) -> None:
    """Export, and see that what the browser was given is the very file."""
    panel: Panel = tab.panel("The bundle")
    panel.press("Export", until=re.compile("files were written to"))
    (packed,) = folder.glob("my-case-bundle-*.zip")
    with tab.page.expect_download() as download:
        panel.at.get_by_role("button", name=re.compile("^Download ")).click()
    assert download.value.suggested_filename == packed.name
    assert Path(download.value.path()).read_bytes() == packed.read_bytes()
    panel.says(re.compile(f"SHA-256 of the ZIP file: {sha256_hex(packed.read_bytes())}$"))
    assert "manifest.json" in " ".join(zipfile.ZipFile(packed).namelist())
    panel.picture(album / "bundle-light-wide.png")
