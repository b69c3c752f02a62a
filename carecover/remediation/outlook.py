"""What carrying a plan out means: which calls run and for about how long, what stays for ever, what stops working.

plan.html and the panels show the same of it. No time is measured: nobody has timed certutil on a CA like this one,
so each call counts half a second, and whatever shows the estimate says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from carecover.model import TABLES, Plan, PlanItem, RevocationReason

# Of one call of certutil: nobody has measured one. A guess for the estimate, and called one wherever it is shown.
SECONDS_A_CALL: Final = 0.5
ASSUMED: Final = "half a second for a call of certutil, which is assumed: nobody has measured one on your CA"

_WHAT: Final[Mapping[str, str]] = {
    "prepare.cmd": "signs a dummy for each serial number whose certificate was not found, with the key of the CA",
    "revoke.cmd backup": "copies the database as it is",
    "revoke.cmd apply": "imports what the database lacks, then revokes; it may be interrupted and called again",
    "undo.cmd": "takes off hold what the plan wants off it",
    "revoke.cmd publish": "has the CA write a new CRL for each of its keys",
    "revoke.cmd status": "writes down what the database says then; changes nothing",
}


@dataclass(frozen=True, slots=True)
class Phase:
    """One script with its word: what it does, how often it calls certutil, and for about how long."""

    call: str
    what: str
    calls: int

    @property
    def time(self) -> str:
        """The estimate in words."""
        return duration(self.calls)


def phases(calls: Mapping[str, int]) -> tuple[Phase, ...]:
    """The phases in their order; ``calls`` are of certutil, of each script and word."""
    return tuple(Phase(call, _WHAT[call], number) for call, number in calls.items())


def duration(calls: int) -> str:
    """How long that many calls of certutil take: assumed."""
    minutes = calls * SECONDS_A_CALL / 60
    # Six phases of "about 1 min" each would add up to twice what all of it takes.
    return "less than 1 min" if minutes < 1 else f"about {math.ceil(minutes):,} min"


def for_ever(plan: Plan) -> list[str]:
    """What of the plan cannot be undone, as sentences."""
    hold = RevocationReason.CERTIFICATE_HOLD
    final = sum(item.action == "revoke" and item.reason != hold for item in plan.items)
    dummies = sum(item.method == "dummy" for item in plan.items)
    imported = dummies + sum(item.method == "original" for item in plan.items)
    told = []
    if final:
        told.append(f"{final:,} revocations: what is revoked for another reason than hold stays so.")
    if imported:
        told.append(
            f"{imported:,} imports: a row stays in the database, and its serial number cannot be imported again."
        )
    if dummies:
        told.append(f"{dummies:,} signatures with the key of the CA, and the CRL numbers that publish uses up.")
    else:
        told.append("The CRL numbers that publish uses up.")
    return told


def stops_working(plan: Plan, findings: pd.DataFrame) -> pd.DataFrame:
    """What a revocation of this plan hits at once, worst first: infrastructure, and what is to be replaced before.

    Columns: serial, subject, template, reason, blast_radius, infrastructure, replace_first. ``findings``: table of
    that name.
    """
    revoked = {item.finding_id: item.reason for item in plan.items if item.action == "revoke"}
    found = TABLES["findings"].conform(findings)
    marks = [found[name].fillna(value=False).astype(bool) for name in ("infrastructure", "replace_first")]
    hit = found[found["finding_id"].isin(list(revoked)) & (marks[0] | marks[1])]
    hit = hit.assign(reason=hit["finding_id"].map(revoked).astype("Int64"))
    hit = hit.sort_values("infrastructure", ascending=False, kind="stable", na_position="last")
    columns = ["serial", "subject", "template", "reason", "blast_radius", "infrastructure", "replace_first"]
    return hit[columns].reset_index(drop=True)


def differences(before: Plan, after: Plan) -> list[str]:
    """What is not the same in two plans of one case, as sentences.

    Empty only where both do the same.
    """
    old, new = ({item.serial: replace(item, number=0) for item in plan.items} for plan in (before, after))
    told = [
        f"{serial}: {_done(old[serial])}; now {_done(new[serial])}."
        if _done(old[serial]) != _done(new[serial])
        else f"{serial}: still {_done(new[serial])}; its note, or what is known of it, is another."
        for serial in old
        if serial in new and old[serial] != new[serial]
    ]
    told = [*told[:_MAX_NAMED], *([f"… and {len(told) - _MAX_NAMED:,} more."] if len(told) > _MAX_NAMED else [])]
    told += _named([item for serial, item in new.items() if serial not in old], "new in the plan")
    told += _named([item for serial, item in old.items() if serial not in new], "no longer in the plan")
    told += [f"Waived since: {waiver}" for waiver in after.waivers if waiver not in before.waivers]
    told += [f"No longer waived: {waiver}" for waiver in before.waivers if waiver not in after.waivers]
    told += [
        f"{what}: {getattr(before, name) or 'not known'} before, now {getattr(after, name) or 'not known'}."
        for name, what in _ABOUT_THE_CA.items()
        if getattr(before, name) != getattr(after, name)
    ]
    if not told and before != after:
        told.append("What is known of the CA's certificates or public CRLs.")
    return told


_MAX_NAMED: Final = 5
_ABOUT_THE_CA: Final[Mapping[str, str]] = {
    "ca_name": "The name of the CA",
    "config": "Its configuration string",
    "newest_request_id": "The newest request of the baseline",
    "ca_certificate_sha256": "The CA's certificate",
}


def _done(item: PlanItem) -> str:
    reason = "" if item.reason is None else f" ({item.reason} {RevocationReason(item.reason).designation})"
    how = f", by {item.method}" if item.method in ("original", "dummy") else ""
    return f"{item.action}{reason}{how}, decided by {item.decided_by or 'nobody'}"


def _named(items: Sequence[PlanItem], what: str) -> Iterator[str]:
    if items:
        more = f" and {len(items) - _MAX_NAMED:,} more" if len(items) > _MAX_NAMED else ""
        yield f"{len(items):,} {what}: {', '.join(item.serial for item in items[:_MAX_NAMED])}{more}."
