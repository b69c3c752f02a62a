"""1-explore and 3-report in a real browser, from an empty folder to the findings and the report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from carecover.case import Case
from carecover.model import sha256_hex
from carecover.simulator import Scenario, make_incident
from tests.browser.lab import Desktop, Lossy, Tab, begun

_FACTS = {
    "CA name": "ca", "CA configuration": "config", "Time zone": "time_zone", "Last backup": "backup",
    "Failure": "failure", "Restored": "restored",
}  # fmt: skip
# What would be seen if any of it were taken for more than text.
_HOSTILE = b"<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"


@pytest.fixture(scope="package")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the evidence and facts of a small incident; a mail about a lost certificate holds a script."""
    place = tmp_path_factory.mktemp("incident")
    made = make_incident(Scenario(seed=5, certificates=120, lost=16))
    made.write(place)
    (mailbox,) = (place / "evidence" / "mail").glob("*.mbox")
    mails = mailbox.read_bytes()
    assert b"X-Mailer: Microsoft CDO" in mails
    mailbox.write_bytes(mails.replace(b"X-Mailer: Microsoft CDO", b"X-Mailer: " + _HOSTILE))
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


def test_from_an_empty_folder_to_the_findings_and_the_report(desktop: Desktop, incident: Path) -> None:
    folder = desktop.lay_out("dropped")
    # A server may drop a message: what a page sends of the files, and what it is answered.
    lossy = Lossy([b'"kind": "heard"', b'"kind":"parts"'])
    tab = desktop.tab(folder / "1-explore.ipynb", lossy=lossy)
    tab.run_all()
    made = tab.panel("The case")
    made.put("CA name", facts_of(incident)["ca"])
    made.press("Make this case", until=re.compile("The case of .* was made in"))
    fill_in(tab, facts_of(incident))
    evidence = tab.panel("Evidence")
    files = sorted(path for path in (incident / "evidence").rglob("*") if path.is_file())
    evidence.drop(files)
    assert len(lossy.lost) == 2
    assert not lossy.words
    told = evidence.press("Add to the case", until=re.compile("Files added"))
    assert f"Files added: {len(files)}" in told
    tab.panel("The baseline").says(re.compile("nothing to ask"))
    case = Case.open(folder / "my-case")
    assert sorted(case.table("evidence")["sha256"]) == sorted(sha256_hex(path.read_bytes()) for path in files)
    begun(tab)
    tab.panel("Findings").says(re.compile(f"^{len(case.findings)} findings$"))

    # The kernel is restarted in the middle: the same cells show the case as it is.
    tab.restart()
    tab.run_all()
    begun(tab)
    findings = tab.panel("Findings")
    findings.says(re.compile(f"^{len(case.findings)} findings$"))
    only_mails = case.findings[case.findings["evidence"].map(lambda places: "mail)" in places[0])].iloc[0]
    findings.put("Search in the findings", only_mails["serial"])
    findings.says(re.compile("1 shown$"))
    findings.at.locator('.ag-row[row-index="0"] .ag-cell[col-id="kind"]').click()
    shown = findings.at.locator("pre.cc-raw")
    shown.wait_for()
    assert "<script>document.title='owned'</script>" in shown.inner_text(), "the very mail, and all of it text"
    assert findings.at.locator("pre.cc-raw *").count() == 0, "no element was made of it"
    assert tab.page.title() != "owned"

    tab = desktop.tab(folder / "3-report.ipynb")
    tab.run_all()
    report = tab.panel("The report")
    report.put("Root cause", "Two disks of one array died within an hour.")
    report.put("Lesson", "a backup each night")
    report.put("Owner", "Operations")
    report.put("Due", "2026-12-31")
    report.press("Write the report", until=re.compile("The report was written to"))
    with tab.page.expect_download() as download:
        report.at.get_by_role("button", name=re.compile("^Download ")).click()
    page = folder / "my-case-report.html"
    assert Path(download.value.path()).read_bytes() == page.read_bytes()
    assert sha256_hex(page.read_bytes()) in report.says(re.compile("^SHA-256 "))
    text = page.read_text(encoding="utf-8")
    assert "Two disks of one array died" in text
    assert "a backup each night" in text

    # A saved notebook is small, and holds nothing of the case but what it shows.
    tab.save()
    saved = (folder / "3-report.ipynb").read_bytes()
    assert len(saved) < 1_000_000
    assert b"application/vnd.jupyter.widget-state+json" not in saved

    # Where there is no kernel it is read as plain HTML, as a page of a code host shows it.
    outputs = [output for cell in json.loads(saved)["cells"] for output in cell.get("outputs", ())]
    still = "".join("".join(output["data"].get("text/html", "")) for output in outputs)
    assert "data:image/svg+xml;base64," in still
    assert "request IDs of the gap" in still
    assert "<script" not in still
