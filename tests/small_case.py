"""One small incident as a case, as far along as a test wants it; no test changes another's."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from carecover.case import Case
from carecover.simulator import Scenario, SimulatedCA, SimulatedHost, make_incident

ANALYST, REVIEWER = "Ada Analyst", "Rob Reviewer"
# Every kind of finding that can be acted on but a conflict, with and without a suggestion.
SCENARIO = Scenario(seed=3, certificates=60)


class Clock:
    """Two days after the failure; every look takes a second."""

    def __init__(self) -> None:
        self.now = SCENARIO.failure + timedelta(hours=52)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass(frozen=True)
class Story:
    """Where an incident lies, and cases made from it that stopped at a certain point."""

    place: Path

    @classmethod
    def begin(cls, place: Path) -> Story:
        """Write the incident; make a case with its evidence, one decided about, and one signed."""
        make_incident(SCENARIO).write(place / "incident")
        story = cls(place)
        clock = Clock()
        case = Case.create(place / "added", clock=clock, **story.facts)
        case.add([story.evidence])
        shutil.copytree(place / "added", place / "decided")
        decide_everything(Case.open(place / "decided", clock=clock))
        shutil.copytree(place / "decided", place / "signed")
        sign(Case.open(place / "signed", clock=clock))
        return story

    @property
    def evidence(self) -> Path:
        return self.place / "incident" / "evidence"

    @property
    def facts(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.place / "incident" / "facts.json").read_text(encoding="utf-8"))
        return found

    def copy(self, state: str, folder: Path) -> Case:
        """A case of one's own that stopped at ``added``, ``decided`` or ``signed``."""
        shutil.copytree(self.place / state, folder / "case")
        clock = Clock()
        clock.now += timedelta(hours=1)
        return Case.open(folder / "case", clock=clock)

    def host(self) -> SimulatedHost:
        """The incident's own CA, restored: what a run is made on, and what makes the dummies."""
        return SimulatedHost(SimulatedCA.from_state(make_incident(SCENARIO).restored))


def decide_everything(case: Case) -> None:
    """Suggestions where there are any, a hold where nothing is known."""
    for kind in ("orphaned", "lost_revocation", "lost_release"):
        case.decide(all_of=kind, action="suggested", by=ANALYST)
    findings = case.findings
    decided = set(case.table("decisions")["finding_id"])
    actions = {"orphaned": ("revoke", 6), "lost_revocation": ("revoke", 0), "lost_release": ("unrevoke", None)}
    for kind, (action, reason) in actions.items():
        rest = findings[(findings["kind"] == kind) & ~findings["finding_id"].isin(decided)]
        if len(rest):
            case.decide(serials=list(rest["serial"]), action=action, reason=reason, by=ANALYST)  # type: ignore[arg-type]


def sign(case: Case) -> None:
    """Both signatures."""
    case.sign_off(by=ANALYST, role="analyst")
    case.sign_off(by=REVIEWER, role="reviewer")
