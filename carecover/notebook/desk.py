"""The desk: what all panels of one case share, so that an act in one shows in the others.

It holds no truth. Tables are remembered only until the journal grows; everything else is
asked of the case, or read from its plain files, whenever a panel draws itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import pandas as pd

from carecover.case import Case
from carecover.errors import CarecoverError, CaseError
from carecover.folder import CaseFolder
from carecover.journal import Entry, Journal
from carecover.model import ACTIONABLE_KINDS, TABLES, Plan
from carecover.standing import Step, steps

# Acts that change nothing of what a panel shows, but for that of the report.
BESIDE: Final = frozenset({"report", "pseudonyms", "stamp", "stamp-request"})


class Drawn(Protocol):
    """What the desk knows of a panel."""

    def refresh(self) -> None:
        """Draw the case as it is now."""

    def retire(self) -> None:
        """Make room for a newer panel of the same kind."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """A rehearsal or a run as the case keeps it."""

    at: str
    digest: str
    phases: tuple[str, ...]
    directory: Path
    output: tuple[str, ...]
    outcomes: pd.DataFrame


class Desk:
    """One case and the panels that show it; get it with ``Desk.of(case)``."""

    _all: dict[Path, Desk] = {}  # noqa: RUF012 - one a case folder, for the life of the kernel

    def __init__(self, case: Case) -> None:
        self.case = case
        self._panels: dict[str, Drawn] = {}
        self._kept: dict[str, Any] = {}
        self._kept_at: object = None

    @classmethod
    def of(cls, case: Case) -> Desk:
        """The desk of this case folder, the same for every panel of it."""
        desk = cls._all.setdefault(case.path.resolve(), cls(case))
        desk.case = case
        return desk

    # ------------------------------------------------------------------ panels

    def take(self, name: str, panel: Drawn) -> None:
        """Put a panel on the desk in place of an older one of the same name."""
        if older := self._panels.get(name):
            older.retire()
        self._panels[name] = panel

    def changed(self) -> None:
        """Draw every panel again: the case has changed."""
        for panel in list(self._panels.values()):
            panel.refresh()

    # ------------------------------------------------------------------ the case

    def table(self, name: str) -> pd.DataFrame:
        """A table of the case, computed once for each state of the journal."""
        table: pd.DataFrame = self._keep(f"table {name}", lambda: self.case.table(name))
        return table

    @property
    def plan(self) -> Plan:
        """The plan as it is now; raises what ``Case.plan`` raises."""
        plan: Plan = self._keep("plan", self.case.plan)
        return plan

    @property
    def plan_digest(self) -> str | None:
        """Digest of the plan as it is now; None where there can be none yet."""
        try:
            return self.plan.digest
        except CarecoverError:
            return None

    @property
    def history(self) -> Sequence[Entry]:
        """Every act on the case, in order."""
        entries: Sequence[Entry] = self._keep("history", lambda: tuple(Journal(self._journal).entries()))
        return entries

    @property
    def steps(self) -> Sequence[Step]:
        """Where the case stands between the decisions and the proof; raises QuestionError where a person is asked."""
        found: Sequence[Step] = self._keep("steps", self._steps)
        return found

    def _steps(self) -> Sequence[Step]:
        plan = self.plan if self.plan_digest is not None else None
        return steps(
            decided=self.decided, plan=plan, sign_offs=() if plan is None else self.case.sign_offs(plan),
            entries=self.history, outcomes=self.table("outcomes"),
        )  # fmt: skip

    @property
    def decided(self) -> pd.DataFrame:
        """Findings that can be acted on, each with the action, reason, note and name that count (or NA)."""
        table: pd.DataFrame = self._keep("decided", self._decided)
        return table

    def _decided(self) -> pd.DataFrame:
        findings = self.table("findings")
        actionable = findings[findings["kind"].isin(ACTIONABLE_KINDS)]
        last = self.table("decisions").drop_duplicates("finding_id", keep="last")
        return actionable.merge(last.drop(columns="serial"), on="finding_id", how="left")

    def last_run(self, kind: str) -> PastRun | None:
        """The newest ``rehearsal`` or ``run``; None where there was none."""
        entry = next((e for e in reversed(self.history) if e.act == kind), None)
        if entry is None:
            return None
        place = self.case.path / "runs" / entry.details["directory"]
        try:
            output = (place / "output.txt").read_text(encoding="utf-8").splitlines()
            rows = json.loads((place / "outcomes.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # The journal knows of it all the same; the panel says that its files are gone.
            output, rows = [f"{place} is missing or damaged."], []
        outcomes = TABLES["outcomes"].frame(rows)
        details: Mapping[str, Any] = entry.details
        return PastRun(entry.at, details["digest"], tuple(details["phases"]), place, tuple(output), outcomes)

    def original(self, evidence_id: str) -> Path:
        """The file of this evidence, hashed just now; raises CaseError where its bytes are no longer those recorded."""
        added = (file for entry in self.history if entry.act == "add" for file in entry.details["files"])
        record = next((file for file in added if file["evidence_id"] == evidence_id), None)
        if record is None:
            raise CaseError(f"The journal knows of no evidence {evidence_id}: 'carecover check' says what is wrong.")
        return CaseFolder(self.case.path).unchanged(record)

    def bundle_folder(self) -> Path | None:
        """Where the bundle of the plan as it is now is expected: beside the case, named after the plan."""
        digest = self.plan_digest
        if digest is None:
            return None
        place = self.case.path.resolve()
        return place.with_name(f"{place.name}-bundle-{digest[:8]}")

    @property
    def state(self) -> object:
        """What changes whenever the journal grows, whoever writes it: this kernel, another tab, a command."""
        return self._state()

    def since(self, state: object, beside: Collection[str] = ()) -> str:
        """Who did what after that state, in a few words; empty where nothing was done but acts ``beside``."""
        size = state[0] if isinstance(state, tuple) else 0
        if self.state == state or not size:
            return ""
        with self._journal.open("rb") as file:
            known = file.read(size).count(b"\n")
        later = [entry for entry in self.history[known:] if entry.act not in beside]
        if not later:
            return ""
        people = sorted({str(entry.details["by"]) for entry in later if "by" in entry.details})
        acts = ", ".join(sorted({entry.act for entry in later}))
        return f"{acts}{' by ' + ', '.join(people) if people else ''}"

    def _keep(self, name: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever make gives
        state = self._state()
        if state != self._kept_at:
            self._kept, self._kept_at = {}, state
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    @property
    def _journal(self) -> Path:
        return self.case.path / "journal.jsonl"

    def _state(self) -> object:
        try:
            stat = self._journal.stat()
        except OSError:
            return None
        return stat.st_size, stat.st_mtime_ns
