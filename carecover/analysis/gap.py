"""The gap: what the restored CA's database does not know, or knows wrongly.

The serial number is the only identity. For every serial that any source shows, a dossier
is made of what happened to it before the failure, in order; the dossier is then held
against the baseline. Only serials that can matter get one, so the cost of a large database
is two set look-ups a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from carecover.analysis.dossier import (
    CLOCK_SKEW,
    CrlStates,
    Dossier,
    Known,
    Mark,
    Row,
    cell_moment,
    cell_value,
    gather,
    place,
    until,
)
from carecover.errors import QuestionError, UsageError
from carecover.model import (
    TABLES,
    CaseFacts,
    Disposition,
    RevocationReason,
    SerialAnatomy,
    SerialNumber,
    utc_text,
)

_CANONICAL: Final = r"(?:[1-9a-f][0-9a-f]|0[1-9a-f])(?:[0-9a-f]{2}){0,19}"
# [MS-WCCE] 3.1.1.4.1.1 SanitizedCAName: a character that is not allowed becomes !xxxx.
_SANITIZED: Final = re.compile(r"!([0-9a-f]{4})", re.IGNORECASE)

# Templates whose certificates carry others' trust: taken one by one, never by --all.
_INFRASTRUCTURE: Final = frozenset(
    {
        "ca",
        "subca",
        "crossca",
        "caexchange",
        "domaincontroller",
        "domaincontrollerauthentication",
        "kerberosauthentication",
        "directoryemailreplication",
        "ocspresponsesigning",
        "enrollmentagent",
        "enrollmentagentoffline",
        "machineenrollmentagent",
        "exchangeenrollmentagent",
        "cepencryption",
        "keyrecoveryagent",
        "efsrecovery",
        "rasandiasserver",
    }
)
_INFRASTRUCTURE_EKUS: Final = frozenset(
    {
        "1.3.6.1.5.5.7.3.9",  # OCSP signing
        "1.3.6.1.5.2.3.5",  # KDC authentication
        "1.3.6.1.4.1.311.20.2.1",  # certificate request agent
        "1.3.6.1.4.1.311.21.5",  # private key archival (CA exchange)
        "1.3.6.1.4.1.311.21.6",  # key recovery agent
        "1.3.6.1.4.1.311.10.3.4.1",  # EFS recovery
    }
)


def find_gap(
    notifications: pd.DataFrame | None = None,
    ca_rows: pd.DataFrame | None = None,
    certificates: pd.DataFrame | None = None,
    crls: pd.DataFrame | None = None,
    crl_entries: pd.DataFrame | None = None,
    audit_events: pd.DataFrame | None = None,
    *,
    facts: CaseFacts | None = None,
    baseline_at: datetime | None = None,
) -> pd.DataFrame:
    """Compare everything that was handed in with the baseline; return table ``findings``.

    Each argument is a frame with the columns of its table in ``carecover.model.TABLES``
    (missing columns count as unknown). ``ca_rows`` is the baseline. ``baseline_at`` bounds
    what can have been lost where ``facts`` holds neither restore nor failure.

    Raises QuestionError where the mails name several CAs and ``facts.ca`` does not say
    which one was restored.
    """
    facts = facts or CaseFacts()
    mails = _table("notifications", notifications)
    rows = _table("ca_rows", ca_rows)
    certs = _table("certificates", certificates)
    lists = _table("crls", crls)
    entries = _table("crl_entries", crl_entries)
    events = _table("audit_events", audit_events)
    cut = facts.cut or baseline_at

    mails = _as_sent_by_the_ca(_of_this_ca(mails, rows, facts.ca))
    known_ca = certs[(certs["is_ca"] == True) & (certs["from_mail"] != True) & certs["ca_version"].notna()]  # noqa: E712
    key_of_index = {int(v) & 0xFFFF: int(v) >> 16 for v in known_ca["ca_version"]}
    lists = lists[(lists["signed_by_ca"] == True) & until(lists["this_update"], cut)]  # noqa: E712

    present = _present(rows)
    crl_states = CrlStates(lists, entries)
    dossiers = gather(
        mails[until(mails["sent_at"], cut)],
        certs,
        events[until(events["recorded_at"], cut)],
        crl_states,
        _known(rows, present, cut),
        cut,
    )

    held = rows[(rows["disposition"] == Disposition.REVOKED) & (rows["reason"] == RevocationReason.CERTIFICATE_HOLD)]
    wanted = set(dossiers) | set(held["serial"].dropna())
    of_serial = {r["serial"]: r for r in rows[rows["serial"].isin(wanted)].to_dict("records") if r["serial"] in present}

    lowest = rows["request_id"].min()
    judge = _Judge(
        learnt=_learn_layout(rows),
        key_of_index=key_of_index,
        first_request_id=None if pd.isna(lowest) else int(lowest),
        cut=cut,
        crl_states=crl_states,
        template_names=_template_names(rows),
    )
    found: list[dict[str, Any]] = []
    for serial in sorted(wanted, key=lambda s: int(s, 16)):
        row = of_serial.get(serial)
        finding = judge.judge(dossiers.get(serial) or Dossier(serial), row)
        if finding is not None:
            found.append(finding)
    return TABLES["findings"].frame(found)


# ------------------------------------------------------------------------------ reading in


def _table(name: str, table: pd.DataFrame | None) -> pd.DataFrame:
    schema = TABLES[name]
    if table is None:
        return schema.empty()
    frame = schema.conform(table)
    if "serial" in frame.columns:
        odd = frame["serial"].notna() & ~frame["serial"].str.fullmatch(_CANONICAL).fillna(value=False).astype(bool)
        if odd.any():
            frame = frame.copy()
            try:
                canonical = [SerialNumber.parse(str(text)).text for text in frame.loc[odd, "serial"]]
            except UsageError as error:
                raise UsageError(f"Table {name}: {error}") from None
            frame.loc[odd, "serial"] = canonical
    return frame


def plain_ca_name(name: str) -> str:
    """A CA name without the escapes of SanitizedCAName, for comparison only."""
    return _SANITIZED.sub(lambda m: chr(int(m.group(1), 16)), name).casefold().strip()


def _of_this_ca(mails: pd.DataFrame, rows: pd.DataFrame, ca_name: str | None) -> pd.DataFrame:
    named = mails["ca_name"].dropna().unique()
    if ca_name is None:
        # Only a CA that names rows of this database can be the restored one.
        known = set(rows["serial"].dropna())
        mine = mails[mails["serial"].isin(known)]["ca_name"].dropna().map(plain_ca_name).unique()
        names = sorted({plain_ca_name(str(n)) for n in named})
        if len(names) <= 1:
            return mails
        if len(mine) != 1:
            raise QuestionError(
                f"The mails name {len(names)} CAs ({', '.join(names[:5])}) and nothing tells which one was restored. "
                "Say so: carecover init CASE --ca NAME"
            )
        ca_name = str(mine[0])
    wanted = plain_ca_name(ca_name)
    keep = mails["ca_name"].isna() | mails["ca_name"].isin([n for n in named if plain_ca_name(str(n)) == wanted])
    return mails[keep]


def _as_sent_by_the_ca(mails: pd.DataFrame) -> pd.DataFrame:
    """A forwarded mail was dated by who forwarded it: what it says of the event itself counts instead."""
    forwarded = mails["flags"].map(lambda flags: "forwarded" in flags).astype(bool)
    if not forwarded.any():
        return mails
    told = mails["revoked_at"].where(mails["event"].isin(["revoked", "unrevoked"]), mails["not_before"] + CLOCK_SKEW)
    return mails.assign(sent_at=mails["sent_at"].where(~forwarded, told))


def _present(rows: pd.DataFrame) -> set[str]:
    """Serials that the baseline holds a certificate for; an unknown disposition counts as one."""
    holding = [d.value for d in Disposition if d.holds_certificate]
    return set(rows.loc[rows["disposition"].isna() | rows["disposition"].isin(holding), "serial"].dropna())


def _known(rows: pd.DataFrame, present: set[str], cut: datetime | None) -> Known:
    revoked = (rows["disposition"] == Disposition.REVOKED) & (rows["reason"] != RevocationReason.CERTIFICATE_HOLD)
    hashed = rows[rows["serial"].notna() & rows["thumbprint"].notna()].drop_duplicates("serial")
    settled = set(rows.loc[revoked.fillna(value=False).astype(bool), "serial"].dropna())
    late = set() if cut is None else set(rows.loc[rows["submitted_at"] > cut, "serial"].dropna())
    return Known(present, settled - late, late & present, hashed.set_index("serial")["thumbprint"])


# --------------------------------------------------------------------------------- judging


def _learn_layout(rows: pd.DataFrame) -> Mapping[str, set[str]]:
    """Which serial layouts, and which first bytes of the 19-byte one, the CA's rows have."""
    learnt: dict[str, set[str]] = {}
    sample = rows.loc[rows["disposition"].isin([Disposition.ISSUED, Disposition.REVOKED]), "serial"].dropna()
    # The layout changes only with the CA's configuration: the first and last thousand tell.
    for serial in pd.concat([sample.head(1000), sample.tail(1000)]).unique():
        anatomy = SerialNumber.parse(str(serial)).anatomy
        learnt.setdefault(anatomy.layout, set()).add(anatomy.prefix or "")
    return learnt


def _template_names(rows: pd.DataFrame) -> Mapping[str, str]:
    """Template OID → name: mails and certificates carry the OID, certutil prints both."""
    known = rows[rows["template_oid"].notna() & (rows["template"] != rows["template_oid"])]
    pairs = known[["template_oid", "template"]].drop_duplicates("template_oid")
    return dict(zip(pairs["template_oid"], pairs["template"], strict=True))


@dataclass(frozen=True)
class _Judge:
    """Holds one dossier against one row."""

    learnt: Mapping[str, set[str]]
    key_of_index: Mapping[int, int]
    first_request_id: int | None
    cut: datetime | None
    crl_states: CrlStates
    template_names: Mapping[str, str]

    def judge(self, dossier: Dossier, row: Row | None) -> dict[str, Any] | None:
        anatomy = SerialNumber.parse(dossier.serial).anatomy
        state, last = self._state(dossier)
        if row is None:
            return self._missing(dossier, anatomy, state)
        conflict = self._conflict(dossier, row)
        if conflict is not None:
            return self._finding("serial_conflict", dossier, anatomy, row, None, "high", conflict)
        disposition = cell_value(row["disposition"])
        if disposition == Disposition.ISSUED and state is not None:
            return self._lost_revocation(dossier, anatomy, row, state)
        if disposition == Disposition.REVOKED and cell_value(row["reason"]) == RevocationReason.CERTIFICATE_HOLD:
            return self._lost_release(dossier, anatomy, row, last)
        return None

    def _state(self, dossier: Dossier) -> tuple[Mark | None, Mark | None]:
        """The revocation in force before the failure, and the last change of any kind.

        At equal times the stronger source speaks last: a CRL is what the CA itself signed.
        """
        strength = {"mail": 0, "audit": 1, "crl": 2}
        earliest = datetime.min.replace(tzinfo=UTC)
        changes = [m for m in dossier.marks if m.reason is not None]
        changes.sort(key=lambda m: (m.at or earliest, strength.get(m.source, 0)))
        if not changes:
            return None, None
        last = changes[-1]
        if last.reason == RevocationReason.UNREVOKE:
            return None, last
        # Several sources tell of one revocation; the effective time comes from whoever has it.
        same = [m for m in changes if m.reason == last.reason and m.revoked_at is not None]
        best = max(same, key=lambda m: strength.get(m.source, 0), default=last)
        return Mark(last.at, last.reason, last.source, last.evidence, best.revoked_at), last

    def _missing(self, dossier: Dossier, anatomy: SerialAnatomy, state: Mark | None) -> dict[str, Any] | None:
        covered_from = self.first_request_id or 0
        if anatomy.request_id is not None and anatomy.layout in self.learnt and anatomy.request_id < covered_from:
            # The baseline does not cover it: missing from a page is not missing.
            return None
        sources = dossier.sources()
        doubts = self._doubts(dossier, anatomy)
        if sources == {"mail"} and doubts:
            return self._finding("suspect_notification", dossier, anatomy, None, None, "low", " ".join(doubts))
        if self.key_of_index and anatomy.ca_cert_index is not None and anatomy.ca_cert_index not in self.key_of_index:
            why = (
                f"The serial names CA certificate index {anatomy.ca_cert_index}, which the restored CA does not have: "
                "a renewal of the CA was lost. No dummy is possible."
            )
            return self._finding("lost_ca_certificate", dossier, anatomy, None, state, "medium", why)
        words = {
            "certificate": "the certificate itself, with the CA's signature verified",
            "crl": "a CRL that the CA signed",
            "audit": "the CA's audit log",
            "mail": "the CA's mail",
        }
        shown = [text for source, text in words.items() if source in sources]
        confidence = "high" if sources & {"certificate", "crl", "audit"} else "medium"
        why = f"Not in the restored database; shown by {', '.join(shown)}."
        if sources == {"mail"}:
            if anatomy.layout in self.learnt and anatomy.request_id in dossier.request_ids:
                confidence = "high"
                why += " The serial has this CA's form and carries the mail's request ID."
            else:
                why += " A mail can be forged, and nothing else confirms it."
            if "forwarded" in dossier.flags:
                confidence = "medium"
                why += " It was forwarded by a person, not sent by the CA."
        return self._finding("orphaned", dossier, anatomy, None, state, confidence, why)

    def _doubts(self, dossier: Dossier, anatomy: SerialAnatomy) -> list[str]:
        """Reasons not to believe a serial that only mails show."""
        doubts = []
        native = anatomy.layout in ("number", "default")
        if native and dossier.request_ids and anatomy.request_id not in dossier.request_ids:
            ids = ", ".join(str(i) for i in sorted(dossier.request_ids))
            doubts.append(f"The mail says request ID {ids}, the serial carries {anatomy.request_id}.")
        if self.learnt and anatomy.layout not in self.learnt:
            doubts.append(f"Serials of this CA have the form {', '.join(sorted(self.learnt))}; this one has not.")
        return doubts

    def _conflict(self, dossier: Dossier, row: Row) -> str | None:
        theirs = cell_value(row["thumbprint"])
        others = sorted(t for t in dossier.thumbprints if theirs is not None and t != theirs)
        verified = dossier.certificate is not None and dossier.certificate["thumbprint"] in others
        submitted = cell_moment(row["submitted_at"])
        reissued = self.cut is not None and submitted is not None and submitted > self.cut
        if reissued and dossier.marks:
            seen = "was requested after the restore, yet the serial was in use before the failure"
        elif verified:
            seen = f"has the hash {theirs}, a certificate that the CA signed has {', '.join(others)}"
        else:
            return None
        return (
            f"One serial, two certificates: the row {seen}. Revoking the serial revokes both; importing is refused. "
            "A person must look."
        )

    def _lost_revocation(self, dossier: Dossier, anatomy: SerialAnatomy, row: Row, state: Mark) -> dict[str, Any]:
        proven = {m.source for m in dossier.marks if m.reason is not None} & {"crl", "audit"}
        if proven:
            confidence, why = "high", "The row is good, but the CA had revoked it before the failure."
        else:
            confidence = "medium"
            why = (
                "The row is good; only a mail says that it was revoked, and a mail can be forged: a person must decide."
            )
            newest = self.crl_states.latest_base(_key_index(row))
            ends = cell_moment(row["not_after"])
            later = newest is not None and state.at is not None and newest[0] > state.at
            if newest and later and dossier.serial not in newest[2] and (ends is None or ends > newest[0]):
                confidence = "low"
                why += f" CRL {cell_value(newest[1]['crl_number'])} of a later time does not list it: suspect."
        finding = self._finding("lost_revocation", dossier, anatomy, row, state, confidence, why)
        if not proven:
            finding["suggested_action"] = finding["suggested_reason"] = None
        return finding

    def _lost_release(
        self, dossier: Dossier, anatomy: SerialAnatomy, row: Row, last: Mark | None
    ) -> dict[str, Any] | None:
        held_at = cell_moment(row["effective_revoked_at"]) or cell_moment(row["revoked_at"])
        newest = self.crl_states.latest_base(_key_index(row))
        ends = cell_moment(row["not_after"])
        evidence = list(dossier.marks)
        released = last is not None and last.reason == RevocationReason.UNREVOKE
        proven = any(m.reason == RevocationReason.UNREVOKE and m.source != "mail" for m in dossier.marks)
        # The service may have published between effective time and entry only within the skew.
        later = newest is not None and held_at is not None and newest[0] > held_at + CLOCK_SKEW
        listed = newest is not None and dossier.serial in newest[2]
        older = newest is not None and last is not None and last.at is not None and last.at < newest[0]
        if (
            newest
            and later
            and not listed
            and (ends is None or ends > newest[0])
            and (last is None or released or older)
        ):
            text = place(newest[1], f"CRL {cell_value(newest[1]['crl_number'])} does not list it")
            evidence.append(Mark(newest[0], int(RevocationReason.UNREVOKE), "crl", text))
            released = proven = True
        if not released:
            return None
        dossier.marks = evidence
        why = "The row is on hold again, but the hold had been released before the failure."
        if not proven:
            why += " Only a mail says so: a person must decide."
        finding = self._finding("lost_release", dossier, anatomy, row, None, "high" if proven else "medium", why)
        finding["original_reason"] = int(RevocationReason.UNREVOKE)
        finding["suggested_action"] = "unrevoke" if proven else None
        finding["suggested_reason"] = int(RevocationReason.UNREVOKE) if proven else None
        return finding

    def _finding(
        self,
        kind: str,
        dossier: Dossier,
        anatomy: SerialAnatomy,
        row: Row | None,
        state: Mark | None,
        confidence: str,
        why: str,
    ) -> dict[str, Any]:
        row = row or {}
        known = dossier.facts

        def best(name: str) -> Any:  # noqa: ANN401 - a cell of any kind
            from_row = cell_moment(row.get(name)) if name.startswith("not_") else cell_value(row.get(name))
            return from_row if from_row is not None else known.get(name)

        index = anatomy.ca_cert_index if anatomy.layout != "foreign" else None
        name_id = cell_value(row.get("issuer_name_id"))
        if name_id is not None:
            index = int(name_id) & 0xFFFF
        index = 0 if index is None else index
        key = int(name_id) >> 16 if name_id is not None else self.key_of_index.get(index, 0)
        verified = dossier.certificate
        row_id = cell_value(row.get("request_id"))
        native = anatomy.layout in ("number", "default") or anatomy.layout in self.learnt
        request_id = anatomy.request_id if native else row_id
        if request_id is None and dossier.request_ids:
            request_id = min(dossier.request_ids)
        action: str | None = None
        reason: int | None = None
        if kind in ("orphaned", "lost_revocation") and state is not None:
            action, reason = "revoke", state.reason
        elif kind == "orphaned" and verified is not None:
            action = "restore"
        if reason is not None and not 0 <= reason <= 6:
            action = reason = None
        template = self.template_names.get(best("template"), best("template"))
        ends = best("not_after")
        infrastructure = _is_infrastructure(template, verified)
        return {
            "finding_id": f"{kind}-{dossier.serial}",
            "kind": kind,
            "serial": dossier.serial,
            "request_id": request_id,
            "ca_cert_index": index,
            "ca_key_index": key,
            "subject": best("subject"),
            "requester": best("requester"),
            "template": template,
            "not_before": best("not_before"),
            "not_after": ends,
            "issued_at": dossier.issued_at or cell_moment(row.get("submitted_at")),
            "original_revoked_at": state.revoked_at or state.at if state else None,
            "original_reason": state.reason if state else None,
            "evidence": list(dict.fromkeys(m.evidence for m in dossier.marks)),
            "confidence": confidence,
            "why": why + _expiry_note(ends, self.cut),
            "blast_radius": _blast_radius(template, best("subject"), ends, infrastructure=infrastructure),
            "suggested_action": action,
            "suggested_reason": reason,
            "infrastructure": infrastructure,
            "original_sha256": verified["certificate_sha256"] if verified else None,
            "row_thumbprint": cell_value(row.get("thumbprint")),
        }


def _key_index(row: Row) -> int | None:
    version = cell_value(row.get("issuer_name_id"))
    return None if version is None else int(version) >> 16


def _is_infrastructure(template: str | None, certificate: Row | None) -> bool:
    name = re.sub(r"[^a-z0-9]", "", (template or "").casefold())
    ekus: Iterable[str] = certificate["eku"] if certificate else ()
    is_ca = certificate is not None and certificate["is_ca"] is True
    return name in _INFRASTRUCTURE or is_ca or not _INFRASTRUCTURE_EKUS.isdisjoint(ekus)


def _expiry_note(not_after: datetime | None, cut: datetime | None) -> str:
    if not_after is not None and cut is not None and not_after <= cut:
        return f" It expired on {utc_text(not_after)}, before the restore."
    return ""


def _blast_radius(
    template: str | None, subject: str | None, not_after: datetime | None, *, infrastructure: bool
) -> str:
    who = subject or "an unknown holder"
    what = f"a certificate of template {template}" if template else "a certificate of unknown template"
    until = f"valid until {utc_text(not_after)}" if not_after else "its end of validity is unknown"
    text = f"Revoking hits {who}: {what}, {until}."
    if infrastructure:
        text += " It is infrastructure: others depend on it. Replace it before you revoke it."
    return text
