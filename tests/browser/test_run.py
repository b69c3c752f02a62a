"""A run in a real browser: it goes on while the kernel is restarted, is cancelled, fails part-way and is resumed."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from carecover.case import Case
from carecover.errors import RunError
from carecover.model import ACTIONABLE_KINDS
from carecover.simulator import Scenario, SimulatedCA, SimulatedHost, make_incident
from tests.browser.lab import NARROW, Desktop, Panel

ANALYST, REVIEWER = "Ada Analyst", "Rob Reviewer"
_DONE = re.compile("Every script ended as it should")


class Ca(SimulatedHost):
    """A CA that a run reaches as one by SSH; what it does is the simulator's, what holds it up is the story's."""

    name = "ssh"  # type: ignore[misc]

    def __init__(self, ca: SimulatedCA, before: Callable[[str], None]) -> None:
        super().__init__(ca)
        self._before = before

    def execute(self, directory: Path, script: str, arguments: Sequence[str], on_output: Callable[[str], None]) -> int:
        self._before(" ".join([script, *arguments]))
        return super().execute(directory, script, arguments, on_output)


@pytest.fixture
def signed(desktop: Desktop, tmp_path: Path) -> tuple[Case, SimulatedCA]:
    """The notebooks beside a signed case with its bundle; and the CA that it is about."""
    place = desktop.lay_out("run")
    made = make_incident(Scenario(seed=3, certificates=60, lost=10))
    made.write(tmp_path)
    facts = json.loads((tmp_path / "facts.json").read_text(encoding="utf-8"))
    case = Case.create(place / "my-case", **facts)
    case.add([tmp_path / "evidence"])
    findings = case.findings[case.findings["kind"].isin(ACTIONABLE_KINDS)]
    case.decide(action="suggested", serials=list(findings["serial"]), by=ANALYST)
    needs_a_dummy = (findings["kind"] == "orphaned") & findings["original_sha256"].isna()
    rest = findings[findings["suggested_action"].isna() | needs_a_dummy]
    case.decide(action="leave", serials=list(rest["serial"]), by=ANALYST, note="on the watch list")
    case.sign_off(by=ANALYST, role="analyst")
    case.sign_off(by=REVIEWER, role="reviewer")
    case.batch(bundle(case))
    return case, SimulatedCA.from_state(made.restored)


def bundle(case: Case) -> Path:
    return case.path.with_name(f"my-case-bundle-{case.plan().digest[:8]}")


def begun(case: Case, host: Ca) -> threading.Thread:
    """A run that goes on in another process than the kernel's, as one from a shell does."""

    def carry_out() -> None:
        with contextlib.suppress(RunError):
            case.run(bundle(case), on=host, by="Olga Operator", ca_name=case.plan().ca_name)

    worker = threading.Thread(target=carry_out, daemon=True)
    worker.start()
    return worker


def shown(panel: Panel, line: str) -> None:
    panel.at.locator(".cc-follow pre").get_by_text(line).first.wait_for()


@pytest.mark.thorough
def test_a_run_outlives_the_kernel_is_cancelled_and_resumed(
    desktop: Desktop, signed: tuple[Case, SimulatedCA], album: Path
) -> None:
    case, ca = signed
    notebook = case.path.parent / "2-revoke-and-publish.ipynb"
    reached, onward = threading.Event(), threading.Event()

    def before(call: str) -> None:
        if call == "revoke.cmd apply":
            reached.set()
            onward.wait(600)

    worker = begun(case, Ca(ca, before))
    assert reached.wait(120)
    tab = desktop.tab(notebook)
    tab.run_all()
    panel = tab.panel("Run")
    panel.says("The run is going on.")
    panel.picture(album / "run-going-light.png")
    tab.restart()
    tab.run_all()
    panel = tab.panel("Run")
    panel.says("The run is going on.")
    panel.press("Cancel the run", until="It was asked to stop")
    onward.set()
    panel.says(re.compile("was cancelled before undo.cmd apply"))
    worker.join(120)
    panel.picture(album / "run-cancelled-light.png")

    def never(_call: str) -> None:
        raise RunError("The connection ended. Run the same again.")

    worker = begun(case, Ca(ca, never))
    worker.join(120)
    panel.says(re.compile("The connection ended"))

    worker = begun(case, Ca(ca, lambda _call: None))
    panel.says(_DONE)
    worker.join(120)
    dark = desktop.tab(notebook, size=NARROW, dark=True)
    dark.run_all()
    dark.panel("Run").picture(album / "run-ended-dark-narrow.png")

    again = dark.panel("Run")
    again.choose("Where", "this machine, which is the CA")
    again.put("CA name", "another CA")
    again.press("Run on the CA", until=re.compile("Type the name of the CA"))
    again.choose("Where", "the simulator")
    again.press("Run on the simulator", until="The run is being started.")
    dark.restart()
    dark.run_all()
    dark.panel("Run").says(re.compile("Kept|kept in"))
    rehearsing = dark.panel("Rehearse")
    # What the kernel began that is gone now may still be on its way.
    while rehearsing.press("Rehearse", until=re.compile("It has begun|one at a time")) != (
        "It has begun: what the scripts say comes below."
    ):
        pass
    rehearsing.says(_DONE)
    rehearsing.picture(album / "rehearsed-dark-narrow.png")
    newest = max((case.path / "runs").glob("*-run"), key=lambda place: place.stat().st_mtime_ns)
    assert json.loads((newest / "outcomes.json").read_text(encoding="utf-8"))
    assert Case.open(case.path).check() == []
    # JupyterLab says so of the last word of a kernel whose panels are gone: it was restarted while they moved.
    late = [e for e in desktop.seen.errors if e.startswith("console: Comm not found for comm id ")]
    desktop.seen.errors[:] = [e for e in desktop.seen.errors if e not in late]
