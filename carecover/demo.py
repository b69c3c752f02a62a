"""The whole main job on a fresh simulated incident, as two people would do it.

The incident's own simulated CA stands for the real one here: it runs the bundle, and its
new CRL is what proves the work. Nothing reads the incident's truth.
"""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from carecover.bundles import Run
from carecover.case import Case
from carecover.errors import PathError, RefusedError, RunError
from carecover.simulator import Scenario, SimulatedCA, SimulatedHost, make_incident

ANALYST: Final = "Ada Analyst"
REVIEWER: Final = "Rob Reviewer"
# The incident's CA runs again 30 hours after the failure, and is exported 20 hours later.
_AGO: Final = timedelta(hours=52)
# Marks a folder that an earlier demonstration made, and that a later one may replace.
_MARK: Final = ".carecover-demo"
_MAKING: Final = ".making"
_PARTS: Final = ("evidence", "case", "bundle", "bundle.zip", "report.html", "facts.json", "truth.json", _MAKING, _MARK)


def run_demo(out: Path, seed: int, say: Callable[[str], None], clock: Callable[[], datetime] | None = None) -> str:
    """Carry the demonstration out in ``out``; return the summary to print.

    The CA failed two days ago by ``clock``, so that what is looked at later is still fresh.
    Raises RefusedError where ``out`` holds anything that no demonstration made.
    """
    _clear(out)
    say("1/7  A CA lives, is lost, and is restored from its backup …")
    clock = clock or (lambda: datetime.now(UTC))
    incident = make_incident(demo_scenario(seed, clock()))
    # Beside its place first: an interrupted demonstration can always be replaced.
    incident.write(out / _MAKING)
    for part in sorted((out / _MAKING).iterdir()):
        part.rename(out / part.name)
    (out / _MAKING).rmdir()

    say("2/7  The evidence is handed in …")
    facts = json.loads((out / "facts.json").read_text(encoding="utf-8"))
    case = Case.create(out / "case", clock=clock, **facts)
    handed_in = case.add([out / "evidence"])

    say("3/7  The gap is found, and two people decide …")
    findings = case.findings
    _decide(case)
    for person, role in ((ANALYST, "analyst"), (REVIEWER, "reviewer")):
        case.sign_off(by=person, role=role)

    say("4/7  The plan is rehearsed on a CA made from the evidence …")
    rehearsal = case.rehearse()

    say("5/7  The bundle is written, the dummies are made, checked and pinned …")
    bundle = out / "bundle"
    case.batch(bundle)
    ca = SimulatedCA.from_state(incident.restored)
    host = SimulatedHost(ca)
    if case.plan().needs_dummies:
        _expect(case.run(bundle, on=host))
        case.pin(bundle, by=REVIEWER)

    say("6/7  It runs on the incident's own simulated CA, and the new CRL is held against the plan …")
    run = _expect(case.run(bundle, on=host))
    outcomes = case.verify([bundle / "logs", bundle / "out"])

    say("7/7  The report is written …")
    case.report(out / "report.html")

    kinds = findings["kind"].value_counts()
    orphaned, undone = int(kinds.get("orphaned", 0)), int(kinds.get("lost_revocation", 0))
    rejected = int(handed_in["rejected"].sum())
    rehearsed = "every decision took effect" if rehearsal.proved else "NOT every decision took effect: see the report"
    proved = int((outcomes["verdict"] == "proved").sum())
    return textwrap.dedent(f"""\

        A simulated CA was lost and restored. This is what carecover did with what was left.

          Evidence    {int(handed_in["units"].sum())} units in {len(handed_in)} files read, {rejected} rejected
          The gap     {orphaned} certificates that the restored CA does not know
                      {undone} revocations that the restore undid
                      {len(findings) - orphaned - undone} other findings
          Rehearsal   {rehearsed}
          The run     {", ".join(f"{phase.split()[-1]} {code}" for phase, code in run.phases)} (exit codes)
          Proof       {proved} of {len(outcomes)} decisions proved by the new CRL

        Logic checked against assumptions: no real CA was touched.

          {out / "evidence"}    what a responder is handed
          {out / "case"}        the case: journal, decisions, plan, runs
          {out / "bundle" / "revoke.cmd"}
          {out / "report.html"}  open this in a browser
        """)


def demo_scenario(seed: int, now: datetime) -> Scenario:
    """The demonstration's incident: one that was restored a day ago and exported just now."""
    return Scenario(seed=seed, failure=now.replace(microsecond=0) - _AGO)


def _decide(case: Case) -> None:
    """What two people could well decide: suggestions first, a hold where nothing is known."""
    findings = case.findings
    for kind in ("orphaned", "lost_revocation", "lost_release"):
        if (findings["kind"] == kind).any():
            case.decide(all_of=kind, action="suggested", by=ANALYST, note="as the evidence suggests")
    served = findings[findings["suggested_action"].notna() & findings["infrastructure"].astype(bool)]
    if len(served):
        note = "looked at one by one: as the evidence suggests"
        case.decide(serials=list(served["serial"]), action="suggested", by=ANALYST, note=note)
    plain = findings[findings["suggested_action"].isna() & ~findings["infrastructure"].astype(bool)]
    unsure = list(plain.loc[plain["kind"] == "orphaned", "serial"])
    if unsure:
        note = "nobody knows the owner yet: on hold until one answers"
        case.decide(serials=unsure, action="revoke", reason=6, by=ANALYST, note=note)
    decided = set(case.table("decisions")["finding_id"])
    actionable = findings["kind"].isin(["orphaned", "lost_revocation", "lost_release", "serial_conflict"])
    rest = findings[actionable & ~findings["finding_id"].isin(decided)]
    if len(rest):
        note = "looked at by hand: stays valid, on the watch list"
        case.decide(serials=list(rest["serial"]), action="leave", by=ANALYST, note=note)


def _expect(run: Run) -> Run:
    if not run.finished:
        raise RunError(f"The bundle stopped: {run.phases}. Its output is in {run.directory}.")
    return run


def _clear(out: Path) -> None:
    """Make room: an earlier demonstration is replaced, anything else is left alone."""
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            if not (out / _MARK).is_file():
                raise RefusedError(f"{out} is not empty and no demonstration made it. Name another folder: --out DIR")
            yours = sorted(p.name for p in out.iterdir() if p.name not in _PARTS)
            if yours:
                raise RefusedError(
                    f"{out} holds files of yours ({', '.join(yours[:3])}). Move them, or name another folder."
                )
            # The mark goes last: what is interrupted here can be replaced as well.
            for place in (out / name for name in _PARTS):
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                else:
                    place.unlink(missing_ok=True)
        out.mkdir(parents=True, exist_ok=True)
        (out / _MARK).write_text("Made by 'carecover demo', which may replace it.\n", encoding="ascii")
    except OSError as error:
        raise PathError(f"{out} cannot be written: {error.strerror}.") from None
