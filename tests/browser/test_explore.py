"""1-explore and 3-report in a real browser, from an empty folder to the findings and the report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from carecover.case import Case
from carecover.simulator import Scenario, make_incident
from tests.browser.lab import Desktop, Tab

_FACTS = {
    "CA name": "ca", "CA configuration": "config", "Time zone": "time_zone", "Last backup": "backup",
    "Failure": "failure", "Restored": "restored",
}  # fmt: skip


@pytest.fixture(scope="package")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the evidence and facts of a small incident."""
    place = tmp_path_factory.mktemp("incident")
    make_incident(Scenario(seed=5, certificates=120, lost=16)).write(place)
    return place


def facts_of(incident: Path) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((incident / "facts.json").read_text(encoding="utf-8"))
    return known


def fill_in(tab: Tab, facts: dict[str, Any]) -> None:
    """Type the facts, as people know them, into the panel of the facts."""
    panel = tab.panel("The facts")
    for label, name in _FACTS.items():
        panel.put(label, str(facts[name]))
    panel.choose("CA key exposed?", facts["key_exposed"])
    panel.press("Save the facts", until="Saved.")


def test_from_an_empty_folder_to_the_findings(desktop: Desktop, incident: Path, album: Path) -> None:
    folder = desktop.lay_out("dropped")
    tab = desktop.tab(folder / "1-explore.ipynb")
    tab.run_all()
    made = tab.panel("The case")
    made.put("CA name", facts_of(incident)["ca"])
    made.press("Make this case", until=re.compile("The case was made in"))
    fill_in(tab, facts_of(incident))
    evidence = tab.panel("Evidence")
    files = sorted(path for path in (incident / "evidence").rglob("*") if path.is_file())
    evidence.drop(files)
    told = evidence.press("Add to the case", until=re.compile("Files added"))
    assert f"Files added: {len(files)}" in told
    tab.panel("The baseline").says("nothing to ask")
    case = Case.open(folder / "my-case")
    findings = tab.panel("Findings")
    findings.says(re.compile(f"^{len(case.findings)} findings$"))
    for title in ("What to do first", "Evidence", "The gap", "How complete is this?", "Findings"):
        tab.panel(title).picture(album / f"{title}.png".replace("?", ""))
