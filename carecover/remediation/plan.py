"""Decisions → plan: everything that will be done, in order, frozen, known by its digest.

The order is by CA key (each key has its own CRL), then by what is done (revocations first:
where a run ends early, what takes trust away has happened), then by serial number as an
integer (the same findings always give the same plan, in whatever order they were found).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import pandas as pd
from cryptography import x509
from cryptography.x509.oid import NameOID

from carecover.errors import RefusedError, UsageError
from carecover.model import (
    ACTIONABLE_KINDS,
    TABLES,
    Action,
    CaseFacts,
    Disposition,
    Method,
    Plan,
    PlanItem,
    RevocationReason,
    SerialNumber,
    SignOff,
    among,
    person_key,
    records,
    utc_text,
)
from carecover.remediation.decisions import MAX_NAMED, canonical, check_reason, current, refusal

# A waiver is one sentence that two people sign with the plan.
MAX_WAIVER: Final = 500
# The flag and its value 0x200 are in Microsoft's certsrv.h; certutil -setreg itself says that the service is to be
# restarted. It is a setting of the CA, and no batch of carecover changes any.
KEEP_EXPIRED: Final = (
    "When a dummy ends, the CA drops the serial number from its CRL, and the real certificate is good again, unless "
    "the CA keeps expired ones on the CRL: certutil -setreg CA\\CRLFlags +CRLF_PUBLISH_EXPIRED_CERT_CRLS, and a "
    "restart of the service, both by a person who decides it; no script here does that."
)
_WAIVER = re.compile(r"(undecided|hash|baseline|short)(?: ([0-9a-f]{2,40}))?: *(\S.*)", re.ASCII | re.DOTALL)
_HOLDING: Final = frozenset(d.value for d in Disposition if d.holds_certificate)
# The columns of findings that a plan is made of; its records are many.
_DRAWN_FROM: Final = (
    "finding_id",
    "serial",
    "kind",
    "ca_cert_index",
    "ca_key_index",
    "subject",
    "requester",
    "template",
    "not_after",
    "original_reason",
    "original_revoked_at",
    "original_sha256",
    "row_thumbprint",
    "replace_first",
)
_ORDER: Final[Mapping[str, int]] = {"revoke": 0, "restore": 1, "unrevoke": 2, "leave": 3, "undecided": 4}


def make_plan(
    *,
    case: str,
    facts: CaseFacts,
    findings: pd.DataFrame,
    decisions: pd.DataFrame,
    ca_rows: pd.DataFrame,
    ca_certificates: pd.DataFrame,
    originals: pd.DataFrame,
    crls: pd.DataFrame,
    audit_events: pd.DataFrame | None = None,
    waivers: Sequence[str] = (),
) -> Plan:
    """Freeze the decisions about every finding that can be acted on.

    Tables in the schemas findings, decisions, ca_rows (the baseline), certificates
    (``ca_certificates``: this CA's own; ``originals``: those that it signed), crls and
    audit_events (4872 names CRL numbers that were public without the list being at hand). A
    waiver is ``undecided: why``, ``hash: why`` (or ``hash <serial>: why`` for one
    certificate), ``short: why`` (or ``short <serial>: why``: a dummy that ends too early) or
    ``baseline: why``.

    Raises RefusedError where the plan would not be safe; the sentence says what to do.
    """
    check_key(facts)
    given = _Waivers(waivers)
    signers = _signers(ca_certificates)
    newest = max(signers)
    findings = TABLES["findings"].conform(findings)
    findings = findings.loc[findings["kind"].isin(ACTIONABLE_KINDS), list(_DRAWN_FROM)]
    last = current(decisions)
    # Asked first: while people still decide, every look at the case comes this far.
    _refuse_undecided(findings, last, given)
    actionable = records(findings)
    rows = {
        canonical(r["serial"]): r
        for r in _of(ca_rows, "ca_rows", "serial", findings["serial"])
        # A denied or failed row may bear a serial; it holds no certificate.
        if r["disposition"] is None or r["disposition"] in _HOLDING
    }
    found = {
        r["certificate_sha256"]: r
        for r in _of(originals, "certificates", "certificate_sha256", findings["original_sha256"])
        if r["signed_by_ca"]
    }
    chosen = {r["finding_id"]: r for r in records(last)}
    _refuse_doubles(actionable)

    drafts = [_draft(finding, chosen.get(finding["finding_id"]), rows, found, signers, given) for finding in actionable]
    drafts.sort(key=lambda d: (d["ca_key_index"], _ORDER[d["action"]], int(d["serial"], 16)))
    return Plan(
        case=case,
        ca_name=facts.ca or _common_name(signers[newest]),
        config=facts.config,
        ca_certificate_sha256=signers[newest]["certificate_sha256"],
        signer_sha256={str(index): record["certificate_sha256"] for index, record in sorted(signers.items())},
        newest_request_id=_newest_request_id(ca_rows, given),
        last_crl_numbers=_last_crl_numbers(crls, audit_events, signers),
        items=tuple(PlanItem(number=number, **draft) for number, draft in enumerate(drafts, start=1)),
        waivers=given.texts,
    )


def check_waiver(text: str) -> None:
    """Raise UsageError unless the text says what is waived, and why."""
    _Waivers([text])


def check_signoffs(plan: Plan, signoffs: Sequence[SignOff]) -> None:
    """Raise RefusedError unless an analyst and a reviewer, two different people, signed this digest.

    Signatures under another digest (an earlier form of the plan) do not count.
    """
    digest = plan.digest
    signed = [signoff for signoff in signoffs if signoff.digest == digest]
    by_role = {
        role: {person_key(signoff.person) for signoff in signed if signoff.role == role}
        for role in ("analyst", "reviewer")
    }
    pairs = any(a != r for a in by_role["analyst"] for r in by_role["reviewer"])
    if pairs:
        return
    if signoffs and not signed:
        raise RefusedError(
            "The plan was changed after it was signed: a change voids both signatures. Read it again, "
            "and have an analyst and a reviewer sign it."
        )
    if by_role["analyst"] and by_role["reviewer"]:
        raise RefusedError("Analyst and reviewer are the same person: the second signature must be somebody else's.")
    missing = " and ".join(
        f"a{'n' if role == 'analyst' else ''} {role}" for role, people in by_role.items() if not people
    )
    raise RefusedError(f"The plan is not signed by {missing}: two different people must sign it (sign-off).")


def explain(plan: Plan) -> list[str]:
    """What the two people should know before they sign, as sentences."""
    told = []
    revoked = [item for item in plan.items if item.action == "revoke"]
    final = [item for item in revoked if item.reason != RevocationReason.CERTIFICATE_HOLD]
    dummies = [item for item in plan.items if item.method == "dummy"]
    originals = [item for item in plan.items if item.method == "original"]
    held = len(revoked) - len(final)
    lifted = [item for item in plan.items if item.action == "unrevoke"]
    left = [item for item in plan.items if item.method == "none"]
    again = [item for item in revoked if item.original_revoked_at is not None]
    forgotten = [
        item
        for item in plan.items
        if item.action in ("leave", "restore", "undecided")
        and item.original_revoked_at is not None
        and item.original_reason != RevocationReason.UNREVOKE
    ]
    first = [item for item in revoked if item.replace_first]
    waived = [item for item in plan.items if item.hash_waived]
    if final:
        told.append(f"{_count(final, 'certificate')} will be revoked for ever: only a hold can be undone.")
    if held:
        told.append(
            f"{held} will be put on hold; undo.cmd, which takes certificates off hold, can release each of them later, "
            "one at a time."
        )
    if first:
        told.append(
            f"Replace before you revoke: {_count(first, 'certificate')} that something works with now. Have a new one "
            f"in place of each first: {_named(first)}."
        )
    if again:
        told += _dated_anew(again)
    if lifted:
        told.append(
            f"{_count(lifted, 'certificate')} will be taken off hold and be good again, as decided: that is what "
            "undo.cmd is for. It takes nothing of this plan back."
        )
    if originals:
        told.append(
            f"{_count(originals, 'original certificate')} will be imported. Each takes a new request ID, "
            "and the archived key of a lost request does not come back."
        )
    if dummies:
        told.append(
            f"{_count(dummies, 'dummy', 'dummies')} will be signed with the CA key, only to carry a serial "
            "number. Once a "
            "dummy is imported, the real certificate can never be imported: the CA allows a serial number once. Each "
            "dummy is a certificate that this CA signed: it counts as dangerous until it is revoked or destroyed. Its "
            "end of validity is checked before it is used, because the CA drops an expired serial number from its CRL: "
            "one that ends too early is signed again by longer.cmd. Should one be a CA certificate itself (CA:TRUE), "
            "pin stops until somebody else than the analyst takes it knowingly."
        )
    if accepted := [item for item in plan.items if item.short_waived]:
        told.append(
            f"{_count(accepted, 'dummy', 'dummies')} may end before the real certificate: {_named(accepted)}. That was "
            f"accepted in writing. {KEEP_EXPIRED} It must stay set until {_last_end(accepted)}."
        )
    if short := [item for item in dummies if _signs_code(item)]:
        told.append(
            f"{_count(short, 'dummy', 'dummies')} stand{'s' if len(short) == 1 else ''} for code signing: AD CS keeps "
            "such a certificate on its CRL after it has expired, for its signatures outlive it. A dummy has no such "
            f"use and drops off when it expires: {_named(short)}. {KEEP_EXPIRED}"
        )
    if waived:
        told.append(
            f"For {_count(waived, 'certificate')} the hash of the database row is not known: the serial number alone "
            "decides what is revoked. This was waived in writing."
        )
    if forgotten:
        reasons = [f"{item.serial}{_reason(item)}" for item in forgotten[:MAX_NAMED]]
        more = f" and {len(forgotten) - MAX_NAMED} more" if len(forgotten) > MAX_NAMED else ""
        told.append(
            f"This plan leaves valid what had been revoked: {_count(forgotten, 'certificate')} had been revoked before "
            f"the failure, as a CRL, the log or a mail says, and clients will accept them: {', '.join(reasons)}{more}. "
            "Sign only if you know why."
        )
    if left:
        stays = "it stays" if len(left) == 1 else "they stay"
        told.append(f"Nothing is done about {_count(left, 'certificate')}; {stays} on the watch list of the report.")
    told.append(
        f"The CA will be asked for {_count(dummies, 'signature')}, {_count([*dummies, *originals], 'import')}, "
        f"{_count([*revoked, *lifted], 'change')} of revocation, and a new CRL for each of its keys."
    )
    if plan.config is None:
        told.append(
            "No check which server this is: no configuration string was given (fact 'CA configuration'). The batches "
            "ask the CA of the server that they run on, and go on only where its certificate is this CA's, byte for "
            "byte: a copy of it, restored elsewhere for a test, has the same."
        )
    told += [f"Waived: {waiver}" for waiver in plan.waivers]
    return told


def _dated_anew(again: Sequence[PlanItem]) -> list[str]:
    """What it means that a revocation of before the failure gets a new date.

    ``certutil -revoke`` has no argument for a date (its help text); the call behind it has
    one, the effective date (ICertAdmin::RevokeCertificate).
    """
    oldest = min(again, key=lambda item: item.original_revoked_at or "")
    told = []
    told.append(
        f"{_count(again, 'certificate')} had been revoked before the failure. The CA will write the date of the day it "
        "is done instead of the old one, for certutil -revoke takes no date. Old and new date stand side by side in "
        f"the plan; the oldest is {oldest.serial}: {oldest.original_revoked_at}."
    )
    code = [item for item in again if _signs_code(item)]
    told.append(
        "What that means for signatures: one with a time stamp between the two dates counts as made before the "
        "revocation, and so as good again. That matters for code signing"
        + (f", which is what {_named(code)} did by the template's name" if code else " and for signed documents")
        + ". Only the date would mend it (ICertAdmin::RevokeCertificate takes one; no command of certutil does): "
        "where such signatures exist, distrust the certificate on the clients as well."
    )
    if stolen := [item for item in again if item.original_reason == RevocationReason.KEY_COMPROMISE]:
        told.append(
            f"For {_count(stolen, 'of them', 'of them')} the reason was key compromise: whoever has the key may have "
            f"signed between the two dates, and those signatures will count as the owner's: {_named(stolen)}. Tell "
            "those who rely on them the old date."
        )
    if held := [item for item in again if item.original_reason == RevocationReason.CERTIFICATE_HOLD]:
        told.append(
            f"{_count(held, 'of them', 'of them')} had been on hold: between restore and the new CRL the hold was not "
            f"in force, and the CRL will show it as new: {_named(held)}."
        )
    return told


def _last_end(items: Sequence[PlanItem]) -> str:
    """When the last of the real certificates has ended."""
    ends = [item.not_after for item in items]
    return "the CA certificate ends" if None in ends else max(end for end in ends if end is not None)


def _signs_code(item: PlanItem) -> bool:
    """True where the template's name says code signing: the plan knows no more of its use."""
    return "codesign" in re.sub("[^a-z]", "", (item.template or "").casefold())


def _named(items: Sequence[PlanItem]) -> str:
    """The first few serial numbers; the plan marks every one."""
    more = f" and {len(items) - MAX_NAMED} more" if len(items) > MAX_NAMED else ""
    return ", ".join(item.serial for item in items[:MAX_NAMED]) + more


def _reason(item: PlanItem) -> str:
    if item.original_reason is None:
        return ""
    known = {reason.value: reason.designation for reason in RevocationReason}
    return f" ({item.original_reason} {known.get(item.original_reason, 'no known reason')})"


def check_key(facts: CaseFacts) -> None:
    """Raise RefusedError where the CA's key may be in other hands: plan, bundle and run stop there."""
    if facts.key_exposed == "yes":
        # The seed article's advice.
        raise RefusedError(
            "The key of this CA may be in other hands (--key-exposed yes): whoever has it can sign any serial number, "
            "so revoking the known ones proves nothing. Close the way in, take the CA out of service, have its "
            "certificate revoked by its parent, and build a new one."
        )


class _Waivers:
    """What two people will accept in writing; the texts are part of the digest."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.topics: set[tuple[str, str | None]] = set()
        for text in texts:
            match = _WAIVER.fullmatch(text.strip())
            if match is None or len(text) > MAX_WAIVER:
                raise UsageError(
                    "A waiver says what is waived, and why, in at most "
                    f"{MAX_WAIVER} characters: 'undecided: why', 'hash: why', 'hash <serial>: why', 'short: why', "
                    "'short <serial>: why' or 'baseline: why'."
                )
            self.topics.add((match[1], SerialNumber.parse(match[2]).text if match[2] else None))
        self.texts = tuple(sorted({text.strip() for text in texts}))

    def covers(self, topic: str, serial: str | None = None) -> bool:
        return (topic, None) in self.topics or (topic, serial) in self.topics


def _draft(
    finding: Mapping[str, Any],
    decision: Mapping[str, Any] | None,
    rows: Mapping[str, Mapping[str, Any]],
    originals: Mapping[str, Mapping[str, Any]],
    signers: Mapping[int, Mapping[str, Any]],
    waivers: _Waivers,
) -> dict[str, Any]:
    """The fields of one PlanItem, all but its number."""
    serial = canonical(finding["serial"])
    row = rows.get(serial)
    action: Action = decision["action"] if decision else "undecided"
    reason: int | None = decision["reason"] if decision else None
    if decision is not None:
        check_reason(action, reason)
        why = refusal(finding, action, reason, decision["note"])
        if why is not None:
            raise RefusedError(f"{serial}: {why}")
    _refuse_stale(finding, serial, row)

    original = originals.get(finding["original_sha256"])
    if action in ("leave", "undecided"):
        method: Method = "none"
    elif row is not None:
        method = "row"
    elif original is not None:
        method = "original"
    elif action == "restore":
        raise RefusedError(
            f"{serial}: the original that should be restored is not among the certificates whose signature "
            "was checked: add it again, or decide otherwise."
        )
    else:
        method = "dummy"

    index, key = _indexes(finding, row, signers, serial, method)
    thumbprint = None
    if method == "original" and original is not None:
        thumbprint = original["thumbprint"]
    elif method == "row" and row is not None:
        thumbprint = finding["row_thumbprint"] or row["thumbprint"]
    hash_waived = method == "row" and thumbprint is None
    if hash_waived and not waivers.covers("hash", serial):
        raise RefusedError(
            f"{serial}: the hash of the CA's row is not known, so the serial number alone would decide what is "
            "revoked. Export the database again with the column CertificateHash, or have it waived in writing: "
            f"'hash {serial}: why'."
        )
    not_after: datetime | None = (original or row or finding)["not_after"] or finding["not_after"]
    return {
        "finding_id": finding["finding_id"],
        "serial": serial,
        "kind": finding["kind"],
        "action": action,
        "reason": reason if action == "revoke" else None,
        "method": method,
        "certificate_sha256": finding["original_sha256"] if method == "original" else None,
        "expected_thumbprint": thumbprint,
        "not_after": utc_text(not_after),
        "ca_cert_index": index,
        "ca_key_index": key,
        "hash_waived": hash_waived,
        "original_reason": finding["original_reason"],
        "original_revoked_at": utc_text(finding["original_revoked_at"]),
        "subject": finding["subject"],
        "requester": finding["requester"],
        "template": finding["template"],
        "note": decision["note"] if decision else None,
        "decided_by": decision["decided_by"] if decision else "",
        "replace_first": action == "revoke" and finding["replace_first"] is True,
        "short_waived": method == "dummy" and waivers.covers("short", serial),
    }


def _indexes(
    finding: Mapping[str, Any],
    row: Mapping[str, Any] | None,
    signers: Mapping[int, Mapping[str, Any]],
    serial: str,
    method: Method,
) -> tuple[int, int]:
    """CA-certificate index and CA-key index; refused where a signature would need a certificate that is not there."""
    index, key = finding["ca_cert_index"], finding["ca_key_index"]
    if row is not None and row["issuer_name_id"] is not None:
        index = row["issuer_name_id"] & 0xFFFF if index is None else index
        key = row["issuer_name_id"] >> 16 if key is None else key
    if index is None and len(signers) == 1:
        (index,) = signers
    if method in ("dummy", "original") and index not in signers:
        said = "is not known" if index is None else f"has index {index}, and that one is not in the case"
        raise RefusedError(
            f"{serial}: the CA certificate that signed it {said}, so nothing can be made or checked for it. Add "
            "the CA's own "
            "certificates (certutil -ca.cert); where a CA renewal was lost, decide 'leave'."
        )
    if key is None:
        key = _ca_version(signers[index]) >> 16 if index in signers else 0
    return (0 if index is None else int(index)), int(key)


def _of(table: pd.DataFrame, schema: str, column: str, wanted: pd.Series[Any]) -> list[dict[str, Any]]:
    """The rows that a finding speaks of: a database may have a million others."""
    table = TABLES[schema].conform(table)
    return records(table[among(table[column], wanted)])


def _signers(ca_certificates: pd.DataFrame) -> dict[int, dict[str, Any]]:
    """CA-certificate index → the CA's own certificate."""
    signers: dict[int, dict[str, Any]] = {}
    for record in records(TABLES["certificates"].conform(ca_certificates)):
        index = _ca_version(record) & 0xFFFF
        if signers.setdefault(index, record)["certificate_sha256"] != record["certificate_sha256"]:
            raise RefusedError(
                f"Two different certificates claim to be this CA's certificate number {index}: "
                f"{signers[index]['certificate_sha256']} and {record['certificate_sha256']}. Only one can be "
                "compared with the CA."
            )
    if not signers:
        raise RefusedError(
            "The CA's own certificate is not in the case, so the batch could not tell whether it runs on the "
            "right CA: add "
            "it (certutil -ca.cert file, on the CA)."
        )
    return signers


def _ca_version(record: Mapping[str, Any]) -> int:
    """1.3.6.1.4.1.311.21.1 as a number; a CA that was never renewed may lack it, which means 0."""
    return int(record["ca_version"] or 0)


def _newest_request_id(ca_rows: pd.DataFrame, waivers: _Waivers) -> int | None:
    known = ca_rows["request_id"].dropna() if "request_id" in ca_rows.columns else pd.Series(dtype="Int64")
    if len(known):
        return int(known.max())
    if not waivers.covers("baseline"):
        raise RefusedError(
            "The baseline has no row with a request ID, so the batch could not see whether the CA has issued "
            "since. Export "
            "the database with the column RequestID, or have it waived in writing: 'baseline: why'."
        )
    return None


def _last_crl_numbers(
    crls: pd.DataFrame, audit_events: pd.DataFrame | None, signers: Mapping[int, Mapping[str, Any]]
) -> dict[str, str]:
    """CA-key index → highest public number: of CRLs that this key signed, and of those that the CA's log names.

    A publication has one number for all keys ([MS-CSRA] 3.1.4.1.6); event 4872 names it.
    """
    numbers: dict[int, int] = {}
    for crl in records(TABLES["crls"].conform(crls)):
        if crl["signed_by_ca"] and crl["crl_number"]:
            signed = crl["signer_key_index"]
            key = int(crl["ca_version"] or 0) >> 16 if signed is None else int(signed)
            numbers[key] = max(numbers.get(key, 0), int(crl["crl_number"]))
    if audit_events is not None:
        events = TABLES["audit_events"].conform(audit_events)
        logged = [int(n) for n in events.loc[events["event_id"] == 4872, "crl_number"].dropna()]
        for key in {_ca_version(record) >> 16 for record in signers.values()} if logged else ():
            numbers[key] = max(numbers.get(key, 0), *logged)
    return {str(key): str(number) for key, number in sorted(numbers.items())}


def _refuse_undecided(actionable: pd.DataFrame, last: pd.DataFrame, waivers: _Waivers) -> None:
    made = last.loc[(last["action"] != "undecided").fillna(value=True), "finding_id"]
    left = actionable[~among(actionable["finding_id"], made)]
    if len(left) and not waivers.covers("undecided"):
        kinds = ", ".join(f"{count} {kind}" for kind, count in left["kind"].value_counts().sort_index().items())
        serials = [str(serial) for serial in left["serial"].iloc[:MAX_NAMED]]
        more = f" and {len(left) - MAX_NAMED} more" if len(left) > MAX_NAMED else ""
        raise RefusedError(
            f"{len(left)} of {len(actionable)} findings are not decided ({kinds}: {', '.join(serials)}{more}): decide "
            "each kind, then one by one what that leaves out, 'leave' included; or have it waived in writing: "
            "'undecided: why'."
        )


def _refuse_doubles(actionable: Sequence[Mapping[str, Any]]) -> None:
    seen: dict[str, str] = {}
    for finding in actionable:
        serial = canonical(finding["serial"])
        if serial in seen:
            raise RefusedError(
                f"Two findings want to act on serial number {serial}: {seen[serial]} and {finding['finding_id']}. A "
                "certificate has one such finding: compute the findings again from the evidence."
            )
        seen[serial] = finding["finding_id"]


def _refuse_stale(finding: Mapping[str, Any], serial: str, row: Mapping[str, Any] | None) -> None:
    """A finding that contradicts the baseline was made from another one."""
    kind = finding["kind"]
    if (kind == "orphaned" and row is not None) or (kind in ("lost_revocation", "lost_release") and row is None):
        there = "has" if row is not None else "does not have"
        raise RefusedError(
            f"{serial}: the finding says {kind}, but the baseline {there} a row for it: the findings are older "
            "than the "
            "baseline. Compute them again."
        )


def _common_name(record: Mapping[str, Any]) -> str:
    """The CA's name for people: the common name of its certificate's subject, else the whole subject."""
    try:
        subject = x509.Name.from_rfc4514_string(record["subject"] or "", {"E": NameOID.EMAIL_ADDRESS})
        names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        names = []
    return str(names[-1].value) if names else str(record["subject"] or "")


def _count(things: Sequence[object], one: str, many: str | None = None) -> str:
    return f"{len(things)} {one if len(things) == 1 else many or one + 's'}"
