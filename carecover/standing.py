"""Where a case stands on the way from the decisions to the proof, and what is next.

A pure function of its tables, its plan and its journal: nothing of it is kept anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from carecover.journal import Entry
from carecover.model import ROLES, Plan, SignOff

# Backends that reach a real CA; a run on the simulator proves nothing about it.
_REAL: Final = ("local", "ssh")
# What table ``outcomes`` says where no log shows that anything was done.
_NOT_LOGGED: Final = ("not in the log", "nothing to do")
_PUBLISHED: Final = ("revoke.cmd publish: 0", "revoke.cmd publish: 1")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, whether it is done, what is known of it, and what to do where it is not."""

    name: str
    done: bool
    told: str
    ahead: str
    needed: bool = True
    """False where this plan has nothing for the step to do."""


def steps(
    *, decided: pd.DataFrame, plan: Plan | None, sign_offs: Sequence[SignOff], entries: Sequence[Entry],
    outcomes: pd.DataFrame,
) -> tuple[Step, ...]:  # fmt: skip
    """The steps decide, sign, rehearse, export, pin, run and prove, in this order.

    ``decided`` has one row a finding that can be acted on, with the action that counts (or NA). ``plan`` is the plan
    as it is now (None: there can be none), ``sign_offs`` stand under it. Table ``outcomes`` is about it as well.
    """
    digest = None if plan is None else plan.digest
    mine = [e for e in entries if digest is not None and e.details.get("digest") == digest]
    return (
        _decide(decided),
        _sign(plan, sign_offs, entries),
        _rehearse(mine, entries),
        _export(mine, entries),
        pin := _pin(plan, mine),
        _run(mine, outcomes, pin),
        _prove(outcomes),
    )


def following(known: Sequence[Step]) -> Step | None:
    """The first step that is needed and not done."""
    return next((step for step in known if step.needed and not step.done), None)


def _decide(decided: pd.DataFrame) -> Step:
    made = int((decided["action"].notna() & (decided["action"] != "undecided")).sum())
    total = len(decided)
    told = f"{made:,} of {total:,}" if total else "nothing to decide"
    return Step("decide", made == total, told, f"decide about {total - made:,} more of {total:,} findings")


def _sign(plan: Plan | None, sign_offs: Sequence[SignOff], entries: Sequence[Entry]) -> Step:
    missing = [role for role in ROLES if role not in {s.role for s in sign_offs}]
    people = ", ".join(s.person for s in sign_offs)
    last = next((e for e in reversed(entries) if e.act in ("sign", "void")), None)
    if plan is None:
        return Step("sign", False, "no plan yet", "mend what stands in the way of the plan: its panel says what")
    if not missing:
        return Step("sign", True, people, "")
    if sign_offs:
        told, ahead = f"{people}; {missing[0]} missing", f"have somebody else read the plan and sign it as {missing[0]}"
    elif last is not None and last.act == "void":
        told, ahead = "void: the plan was changed", "have the changed plan read and signed again by two people"
        if "why" in last.details:
            told, ahead = f"withdrawn by {last.details['by']}", "have the plan read and signed again by two people"
    else:
        told, ahead = "not signed", "have an analyst and a reviewer read the plan and sign it"
    return Step("sign", False, told, ahead)


def _rehearse(mine: Sequence[Entry], entries: Sequence[Entry]) -> Step:
    ahead = "rehearse it against the simulated CA"
    last = _last(mine, "rehearsal")
    if last is not None:
        # The first records of this act did not say whether it went through to its end.
        whole = bool(last.details.get("finished", True))
        again = "look at the rehearsal, which stopped part-way, and repeat it"
        return Step("rehearse", whole, "went through" if whole else "stopped part-way", again)
    return Step("rehearse", False, "not this plan" if _last(entries, "rehearsal") else "not yet", ahead)


def _export(mine: Sequence[Entry], entries: Sequence[Entry]) -> Step:
    if _last(mine, "export") is not None:
        return Step("export", True, "done", "")
    told = "an older plan" if _last(entries, "export") else "not yet"
    return Step("export", False, told, "export the bundle for the CA")


def _pin(plan: Plan | None, mine: Sequence[Entry]) -> Step:
    dummies = 0 if plan is None else sum(item.method == "dummy" for item in plan.items)
    if plan is not None and not dummies:
        return Step("pin", False, "no dummies needed", "", needed=False)
    last = next((e for e in reversed(mine) if e.act in ("pin", "longer")), None)
    if last is not None and last.act == "pin":
        return Step("pin", True, f"{len(last.details['pins']):,} by {last.details['by']}", "")
    if last is not None:
        ahead = "run longer.cmd on the CA, bring its dummies back, and pin them"
        return Step("pin", False, "some end too early", ahead)
    ahead = "run prepare.cmd on the CA, bring its dummies back, and have a second person pin them"
    return Step("pin", False, f"{dummies:,} to come" if dummies else "not yet", ahead)


def _run(mine: Sequence[Entry], outcomes: pd.DataFrame, pin: Step) -> Step:
    if _prove(outcomes).done:
        return Step("run", True, "as the new CRL shows", "")
    ahead = "carry the bundle out on the CA: by hand, as its README.txt says, or from here by SSH"
    runs = [e for e in mine if e.act == "run"]
    real = [e for e in runs if e.details["backend"] in _REAL]
    published = any(phase in _PUBLISHED for e in real for phase in e.details["phases"])
    logged = bool((outcomes["transcript"].notna() & ~outcomes["transcript"].isin(_NOT_LOGGED)).any())
    if (published or logged) and pin.needed and not pin.done:
        # No revoke.cmd of this plan has carried it out: there is none before the dummies are pinned.
        return Step("run", False, "before the dummies were pinned", "pin the dummies, then carry the bundle out")
    if published:
        return Step("run", True, f"by {real[-1].details['backend']}", "")
    if logged:
        return Step("run", True, "its log came back", "")
    if real:
        return Step("run", False, "begun", "run the rest of it, to revoke.cmd publish")
    return Step("run", False, "on the simulator only" if runs else "not yet", ahead)


def _prove(outcomes: pd.DataFrame) -> Step:
    proved, total = int((outcomes["verdict"] == "proved").sum()), len(outcomes)
    if not total:
        ahead = "hand in the log, the new CRL and a new export of the database"
        return Step("prove", False, "not yet", ahead)
    ahead = f"see in the last panel why {total - proved:,} of {total:,} decisions are not proved"
    return Step("prove", proved == total, f"{proved:,} of {total:,}", ahead)


def _last(entries: Sequence[Entry], act: str) -> Entry | None:
    return next((e for e in reversed(entries) if e.act == act), None)
