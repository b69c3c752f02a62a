"""Findings → decisions: what a person may decide about a finding, and what is refused.

A suggestion is never applied by itself; whatever is decided is one row of the table
``decisions`` with a name under it. The last row of a finding is the one that counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import pandas as pd

from carecover.errors import RefusedError, UsageError
from carecover.model import (
    ACTIONABLE_KINDS,
    ACTIONS,
    FINDING_KINDS,
    TABLES,
    Action,
    RevocationReason,
    SerialNumber,
    records,
)

# A name has to fit on one line of a signature list; a note has to fit on a page.
MAX_PERSON: Final = 100
MAX_NOTE: Final = 2_000
# How many of many serial numbers an error names.
MAX_NAMED: Final = 5

_KINDS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "revoke": ("orphaned", "lost_revocation", "serial_conflict"),
    "restore": ("orphaned",),
    "unrevoke": ("lost_release",),
    "leave": FINDING_KINDS,
    "undecided": FINDING_KINDS,
}

# A template by its OID alone: no view of the database gave it a name.
_OID: Final = re.compile(r"\d+(?:\.\d+)+", re.ASCII)
# Version 1 templates by which AD CS issues CA certificates ([MS-WCCE] 3.2.2.6.2.1 calls them by these names).
_CA_TEMPLATES: Final = frozenset({"CA", "SubCA", "CrossCA"})

# What is looked at of a finding before it is decided about.
_LOOKED_AT: Final = (
    "finding_id",
    "serial",
    "kind",
    "template",
    "infrastructure",
    "confidence",
    "original_sha256",
    "suggested_action",
    "suggested_reason",
)
_CANONICAL: Final = re.compile(r"(?:[1-9a-f][0-9a-f]|0[1-9a-f])(?:[0-9a-f]{2}){0,19}", re.ASCII)

_NOT_WRITTEN: Final[Mapping[int, str]] = {
    RevocationReason.UNREVOKE: (
        "Reason -1 is no reason to revoke: it takes a certificate off hold. Decide 'unrevoke' instead, "
        "where a finding says that a release from hold was lost."
    ),
    7: "Reason 7 is not used by RFC 5280 and is in no Microsoft list: choose one of 0 to 6.",
    RevocationReason.REMOVE_FROM_CRL: (
        "Reason 8 (Remove From CRL) is a mark that the CA itself puts into delta CRLs; it is read, "
        "never written: choose one of 0 to 6."
    ),
    9: "Reason 9 (privilegeWithdrawn) is in no Microsoft list for certutil: choose one of 0 to 6.",
    10: "Reason 10 (aACompromise) is for attribute certificates and in no Microsoft list: choose one of 0 to 6.",
}


class Skipped(NamedTuple):
    """A finding that ``--all`` did not take."""

    finding_id: str
    serial: str | None
    why: str


class Decided(NamedTuple):
    """New rows of the table ``decisions``, and what a selection by kind left out."""

    rows: pd.DataFrame
    skipped: tuple[Skipped, ...]


def decide(
    findings: pd.DataFrame,
    *,
    select_all: str | None = None,
    serials: Sequence[str] = (),
    action: Action,
    reason: int | None = None,
    note: str | None = None,
    by: str,
    at: datetime,
) -> Decided:
    """Decide one thing about every selected finding.

    ``findings``: schema findings. Either ``select_all`` (a kind of finding) or ``serials``
    (hexadecimal, in any spelling) selects. A selection by kind leaves out infrastructure,
    certificates about which the evidence is of low confidence, and whatever the action
    does not fit; a serial number that is named must fit. ``at`` is timezone-aware.

    Raises UsageError (unknown serial, kind, action, reason, name) or RefusedError (a
    reason that is never written, an action that this finding does not allow).
    """
    findings = TABLES["findings"].conform(findings)[list(_LOOKED_AT)]
    note = _checked(by, at, note)
    if action not in ACTIONS:
        raise UsageError(f"'{_shown(action)}' is no action: choose one of {', '.join(ACTIONS)}.")
    check_reason(action, reason)
    taken: list[tuple[Mapping[str, Any], str, int | None]] = []
    skipped: list[Skipped] = []
    for finding in _selected(findings, select_all, serials):
        why = refusal(finding, action, reason, note)
        if select_all is not None:
            why = _why_not_all(finding, action) or why
        elif why is not None:
            raise RefusedError(f"{finding['serial']}: {why}")
        if why is None:
            taken.append((finding, action, reason))
        else:
            skipped.append(Skipped(str(finding["finding_id"]), _text(finding["serial"]), why))
    return Decided(_rows(taken, note, by, at), tuple(skipped))


def take_suggestions(
    findings: pd.DataFrame,
    *,
    select_all: str | None = None,
    serials: Sequence[str] = (),
    note: str | None = None,
    by: str,
    at: datetime,
) -> Decided:
    """Decide for every selected finding what the finding itself suggests.

    A suggestion is never applied by itself: this is a person's act, under the same rules
    as ``decide``. Findings without a suggestion are left out and named.
    """
    findings = TABLES["findings"].conform(findings)[list(_LOOKED_AT)]
    note = _checked(by, at, note)
    taken: list[tuple[Mapping[str, Any], str, int | None]] = []
    skipped: list[Skipped] = []
    for finding in _selected(findings, select_all, serials):
        action = finding["suggested_action"]
        reason = finding["suggested_reason"] if action == "revoke" else None
        why = _why_not_all(finding, action) if select_all is not None else None
        if why is None and action is None:
            why = "the evidence suggests nothing: a person must decide."
        if why is None:
            check_reason(action, reason)
            why = refusal(finding, action, reason, note)
        if why is None:
            taken.append((finding, action, reason))
        else:
            skipped.append(Skipped(str(finding["finding_id"]), _text(finding["serial"]), why))
    return Decided(_rows(taken, note, by, at), tuple(skipped))


def current(decisions: pd.DataFrame) -> pd.DataFrame:
    """The last decision about each finding, in the order in which findings were first decided."""
    decisions = TABLES["decisions"].conform(decisions)
    last = {finding_id: position for position, finding_id in enumerate(decisions["finding_id"])}
    return decisions.iloc[list(last.values())].reset_index(drop=True)


def check_person(name: str) -> None:
    """Raise UsageError unless ``name`` can stand under a decision: printable, 1 to MAX_PERSON characters."""
    if not name.strip():
        raise UsageError("A decision needs a name under it: say who you are (--by).")
    if len(name) > MAX_PERSON:
        raise UsageError(f"The name has {len(name)} characters; at most {MAX_PERSON} are kept: shorten it.")
    if not name.isprintable():
        raise UsageError("The name holds characters that cannot be printed: type it again.")


def check_reason(action: str, reason: int | None) -> None:
    """Raise unless ``reason`` goes with ``action``: 0 to 6 with revoke, none with anything else.

    The table is the seed article's; unrevoke means -1 by itself, so -1 may be said with it.
    """
    if action != "revoke":
        if reason is not None and not (action == "unrevoke" and reason == RevocationReason.UNREVOKE):
            raise UsageError(f"A reason goes with 'revoke' only; '{action}' takes none.")
        return
    if reason is None:
        raise UsageError("To revoke needs a reason: one of 0 to 6 (RFC 5280 5.3.1).")
    if reason in _NOT_WRITTEN:
        raise RefusedError(_NOT_WRITTEN[reason])
    if reason not in range(7):
        raise UsageError(f"{reason} is no revocation reason: choose one of 0 to 6 (RFC 5280 5.3.1).")


def refusal(finding: Mapping[str, Any], action: str, reason: int | None, note: str | None) -> str | None:
    """Why this action may not be decided about this finding (a row of findings); None where it may."""
    kind = finding["kind"]
    if kind not in _KINDS_OF.get(action, ()):
        fitting = [name for name, kinds in _KINDS_OF.items() if kind in kinds]
        return f"'{action}' does not fit a finding of kind {kind}: choose one of {', '.join(fitting)}."
    if action == "restore" and _text(finding["original_sha256"]) is None:
        return (
            "only the verified original can be restored, and none was found: add the certificate itself "
            "as evidence, or decide 'revoke' or 'leave'."
        )
    if (
        reason == RevocationReason.CA_COMPROMISE
        and action == "revoke"
        and note is None
        and finding["template"] not in _CA_TEMPLATES
    ):
        return (
            "reason 2 (CA Compromise) is for certificates of CAs, and nothing says that this is one: choose "
            "reason 1 (Key Compromise), or say in a note why it is."
        )
    return None


def _why_not_all(finding: Mapping[str, Any], action: str | None) -> str | None:
    if finding["infrastructure"] is True:
        return (
            "an infrastructure certificate (CA, domain controller, OCSP, RA, recovery agent): decide it by its "
            "serial number."
        )
    if action == "revoke" and _OID.fullmatch(finding["template"] or ""):
        return (
            f"its template is known only by its OID ({finding['template']}), so nobody can tell whether it is "
            "infrastructure: add a view of the database with the column CertificateTemplate, or decide it by its "
            "serial number."
        )
    if finding["kind"] in ACTIONABLE_KINDS and finding["confidence"] == "low":
        return "the evidence is of low confidence: look at it and decide it by its serial number."
    return None


def _checked(by: str, at: datetime, note: str | None) -> str | None:
    """The note without blanks around it, once person, time and note have been found usable."""
    check_person(by)
    if at.tzinfo is None:
        raise UsageError("The time of a decision needs a time zone.")
    if note is not None and len(note) > MAX_NOTE:
        raise UsageError(f"The note has {len(note)} characters; at most {MAX_NOTE} are kept: shorten it.")
    return note.strip() or None if note else None


def _rows(
    taken: Sequence[tuple[Mapping[str, Any], str, int | None]], note: str | None, by: str, at: datetime
) -> pd.DataFrame:
    """One row of the table decisions for each finding, action and reason."""
    return TABLES["decisions"].frame(
        [
            {
                "finding_id": finding["finding_id"],
                "serial": finding["serial"],
                "action": action,
                "reason": reason if action == "revoke" else None,
                "note": note,
                "decided_by": by.strip(),
                "decided_at": at,
            }
            for finding, action, reason in taken
        ]
    )


def _selected(findings: pd.DataFrame, kind: str | None, serials: Sequence[str]) -> list[dict[str, Any]]:
    if (kind is None) == (not serials):
        raise UsageError("Select either all findings of one kind or serial numbers, not both and not neither.")
    return _named(findings, serials) if kind is None else _of_kind(findings, kind)


def _of_kind(findings: pd.DataFrame, kind: str) -> list[dict[str, Any]]:
    if kind not in FINDING_KINDS:
        raise UsageError(f"'{_shown(kind)}' is no kind of finding: choose one of {', '.join(FINDING_KINDS)}.")
    return records(findings[findings["kind"] == kind])


def _named(findings: pd.DataFrame, serials: Sequence[str]) -> list[dict[str, Any]]:
    """The findings of these serial numbers: what can be acted on first, each once, in the order named."""
    if not all(isinstance(serial, str) for serial in serials):
        raise UsageError(
            "A finding without a serial number cannot be decided by one: decide it by its kind (all_of, --all KIND)."
        )
    wanted = dict.fromkeys(canonical(serial) for serial in serials)
    findings = findings[findings["serial"].notna()]
    numbers = [canonical(serial) for serial in findings["serial"].tolist()]
    places = [place for place, number in enumerate(numbers) if number in wanted]
    by_serial: dict[str, list[dict[str, Any]]] = {}
    for place, record in zip(places, records(findings.iloc[places]), strict=True):
        by_serial.setdefault(numbers[place], []).append(record)
    unknown = [number for number in wanted if number not in by_serial]
    if unknown:
        more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
        raise UsageError(
            f"No finding has serial number {', '.join(unknown[:MAX_NAMED])}{more}: nothing was decided. "
            "The table findings lists those that can be decided."
        )
    taken = []
    for number in wanted:
        found = by_serial[number]
        taken += [finding for finding in found if finding["kind"] in ACTIONABLE_KINDS] or found
    return taken


def canonical(serial: str) -> str:
    """A serial number as ``SerialNumber.text`` writes it; raises UsageError where it is none."""
    return serial if _CANONICAL.fullmatch(serial) else SerialNumber.parse(serial).text


def _text(cell: object) -> str | None:
    return cell if isinstance(cell, str) and cell else None


def _shown(text: str) -> str:
    return text[:40].encode("ascii", "backslashreplace").decode("ascii")
