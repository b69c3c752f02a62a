"""The gap: what the restored CA's database does not know, or knows wrongly.

The serial number is the only identity. For every serial that any source shows, a dossier
is made of what happened to it before the failure, in order; the dossier is then held
against the baseline. Only serials that can matter get one, so the cost of a large database
is two set look-ups a row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from carecover.analysis.history import History, history_of
from carecover.analysis.impact import blast_radius, expiry_note, is_infrastructure
from carecover.errors import QuestionError, UsageError
from carecover.model import (
    TABLES,
    CaseFacts,
    Disposition,
    RevocationReason,
    SerialAnatomy,
    SerialNumber,
)

_CANONICAL: Final = r"(?:[1-9a-f][0-9a-f]|0[1-9a-f])(?:[0-9a-f]{2}){0,19}"
# [MS-WCCE] 3.1.1.4.1.1 SanitizedCAName: a character that is not allowed becomes !xxxx.
_SANITIZED: Final = re.compile(r"!([0-9a-f]{4})", re.IGNORECASE)

# Local time that was read as UTC may be off by as much (zones reach from -12 to +14 hours).
_ZONE_UNKNOWN: Final = timedelta(hours=14)


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
    # A subordinate's certificate counts its own renewals; it says nothing about this CA's.
    own = _true(certs["is_ca"]) & ~_true(certs["from_mail"]) & certs["own_ca"].fillna(value=True).astype(bool)
    known_ca = certs[own & certs["ca_version"].notna()]
    key_of_index = {int(v) & 0xFFFF: int(v) >> 16 for v in known_ca["ca_version"]}
    lists = lists[(lists["signed_by_ca"] == True) & until(lists["this_update"], cut)]  # noqa: E712

    present = _present(rows)
    crl_states = CrlStates(lists, entries, facts.failure or cut)
    mails = mails[until(mails["sent_at"], cut)]
    dossiers = gather(
        mails,
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
        present=present,
        ca_known=bool(own.any()) and bool(certs["signed_by_ca"].notna().any()),
        cut=cut,
        snapshot=_snapshot(rows, facts, cut),
        crl_states=crl_states,
        template_names=_template_names(rows),
    )
    found: list[dict[str, Any]] = []
    for serial in sorted(wanted, key=lambda s: int(s, 16)):
        row = of_serial.get(serial)
        finding = judge.judge(dossiers.get(serial) or Dossier(serial), row)
        if finding is not None:
            found.append(finding)
    found += _unaccounted(mails, rows, dossiers, cut)
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


def _shown(name: str) -> str:
    """A name out of a mail, fit for a message: nothing that moves a cursor or has no encoding."""
    return "".join(c if c.isprintable() else "?" for c in name[:80])


def _true(flags: pd.Series[Any]) -> pd.Series[Any]:
    return flags.fillna(value=False).astype(bool)


def _of_this_ca(mails: pd.DataFrame, rows: pd.DataFrame, ca_name: str | None) -> pd.DataFrame:
    named = mails["ca_name"].dropna().unique()
    if ca_name is None:
        # Only a CA that names rows of this database can be the restored one.
        known = set(rows["serial"].dropna())
        mine = mails[mails["serial"].isin(known)]["ca_name"].dropna().map(plain_ca_name).unique()
        names = sorted({_shown(plain_ca_name(str(n))) for n in named})
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


def _snapshot(rows: pd.DataFrame, facts: CaseFacts, cut: datetime | None) -> datetime | None:
    """The latest moment that the restored database is known to show: its backup, or its newest row of before."""
    end = facts.failure or cut
    newest = None if end is None else cell_moment(rows.loc[rows["submitted_at"] <= end, "submitted_at"].max())
    return max((t for t in (facts.backup, newest) if t is not None), default=None)


def _unaccounted(
    mails: pd.DataFrame, rows: pd.DataFrame, dossiers: Mapping[str, Dossier], cut: datetime | None
) -> list[dict[str, Any]]:
    """Mails that give a request ID and no serial that can be believed: told, as nothing can be done by them."""
    without = mails[mails["serial"].isna() & mails["request_id"].notna()]
    old = rows[until(rows["submitted_at"], cut)]
    revoked = old.loc[old["disposition"] == Disposition.REVOKED, "request_id"]
    known = {"issued": set(old["request_id"].dropna()), "revoked": set(revoked.dropna())}
    for serial, dossier in dossiers.items():
        named = {SerialNumber.parse(serial).anatomy.request_id, *dossier.request_ids} - {None}
        known["issued"] |= named
        if any(mark.reason is not None for mark in dossier.marks):
            known["revoked"] |= named
    known["retrieve_pending"] = known["issued"]
    told: dict[int, dict[str, Any]] = {}
    for row in without[without["event"].isin(list(known))].to_dict("records"):
        event, request_id = str(row["event"]), int(row["request_id"])
        if request_id in known[event]:
            continue
        names = ("requester", "subject", "template", "not_before", "not_after")
        finding = told.setdefault(
            request_id,
            {
                "finding_id": f"unaccounted_request-{request_id}",
                "kind": "unaccounted_request",
                "request_id": request_id,
                **{name: cell_value(row[name]) for name in names},
                "issued_at": cell_value(row["sent_at"]) if event != "revoked" else None,
                "evidence": [],
                "confidence": "low",
                "why": f"A mail says that request {request_id} was {event.replace('_', ' ')}, but gives no serial "
                "number that can be believed. Look at the mail: what it is about may be lost.",
                "infrastructure": False,
            },
        )
        finding["evidence"].append(place(row, f"{event} mail"))
    return list(told.values())


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
    present: set[str]
    ca_known: bool
    cut: datetime | None
    snapshot: datetime | None
    crl_states: CrlStates
    template_names: Mapping[str, str]

    def judge(self, dossier: Dossier, row: Row | None) -> dict[str, Any] | None:
        anatomy = SerialNumber.parse(dossier.serial).anatomy
        history = history_of(dossier.marks)
        if row is None:
            return self._missing(dossier, anatomy, history)
        conflict = self._conflict(dossier, row)
        if conflict is not None:
            confidence = "low" if dossier.sources() <= {"mail"} else "high"
            return self._finding("serial_conflict", dossier, anatomy, row, None, confidence, conflict)
        disposition, state = cell_value(row["disposition"]), history.state
        if disposition == Disposition.ISSUED and state is not None:
            return self._lost_revocation(dossier, anatomy, row, history)
        if disposition == Disposition.REVOKED and cell_value(row["reason"]) == RevocationReason.CERTIFICATE_HOLD:
            if state is not None and state.reason != RevocationReason.CERTIFICATE_HOLD:
                return self._lost_revocation(dossier, anatomy, row, history)
            return self._lost_release(dossier, anatomy, row, history.last)
        return None

    def _native(self, anatomy: SerialAnatomy) -> bool:
        """True where the CA's own rows have this form: layout, and the bytes that are the same in all serials."""
        return (anatomy.prefix or "") in self.learnt.get(anatomy.layout, ())

    def _carries(self, anatomy: SerialAnatomy) -> bool:
        """True where index and request ID in the serial can be believed; the 19-byte form checks itself."""
        return anatomy.layout == "number" or self._native(anatomy) or (not self.learnt and anatomy.layout == "default")

    def _last_list(self, row: Row | None, anatomy: SerialAnatomy) -> tuple[datetime, Row, Row] | None:
        """The newest base CRL of the key that signed this certificate; None where that is not certain."""
        version = None if row is None else cell_value(row["issuer_name_id"])
        key = None if version is None else int(version) >> 16
        if key is None and self._carries(anatomy) and anatomy.ca_cert_index is not None:
            key = self.key_of_index.get(anatomy.ca_cert_index)
        if key is None and len(set(self.key_of_index.values())) > 1:
            return None
        return self.crl_states.latest_base(key)

    def _contradicted(self, serial: str, at: datetime | None, ends: datetime | None, newest: Any) -> str:  # noqa: ANN401
        """A sentence where a CRL of after a revocation does not list it; else nothing."""
        if newest is None or at is None or newest[0] <= at or serial in newest[2]:
            return ""
        if ends is not None and ends <= newest[0]:
            return ""
        return f" CRL {cell_value(newest[1]['crl_number'])} of a later time does not list it: suspect."

    def _missing(self, dossier: Dossier, anatomy: SerialAnatomy, history: History) -> dict[str, Any] | None:
        covered_from = self.first_request_id or 0
        if anatomy.request_id is not None and self._native(anatomy) and anatomy.request_id < covered_from:
            # The baseline does not cover it: missing from a page is not missing.
            return None
        sources, state = dossier.sources(), history.state
        doubts = self._doubts(dossier, anatomy)
        if sources == {"mail"} and doubts:
            return self._finding("suspect_notification", dossier, anatomy, None, None, "low", " ".join(doubts))
        if self._carries(anatomy) and self.key_of_index and (anatomy.ca_cert_index or 0) > max(self.key_of_index):
            why = (
                f"The serial names CA certificate index {anatomy.ca_cert_index}, which the restored CA does not have: "
                "a renewal of the CA was lost. No dummy is possible."
            )
            return self._finding("lost_ca_certificate", dossier, anatomy, None, state, "medium", why)
        if dossier.another:
            why = (
                "One serial, two certificates: the CA signed both, and the database has neither; one may be a dummy. "
                "Revoking the serial revokes both. A person must look."
            )
            return self._finding("serial_conflict", dossier, anatomy, None, None, "high", why)
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
            if self._native(anatomy) and anatomy.request_id in dossier.request_ids:
                confidence = "high"
                why += " The serial has this CA's form and carries the mail's request ID."
            else:
                why += " A mail can be forged, and nothing else confirms it."
            if not dossier.direct:
                confidence = "medium"
                why += " It was forwarded by a person, not sent by the CA."
        if sources <= {"mail", "audit"} and self.learnt and not self._native(anatomy):
            # An event log names the host and not the CA, and one log may hold several.
            confidence = "low"
            why += " No serial of the database begins as this one does: it may be another CA's."
        finding = self._finding("orphaned", dossier, anatomy, None, state, confidence, why + history.said)
        if history.released_by_mail:
            finding["suggested_action"] = finding["suggested_reason"] = None
        elif state is not None and not history.proved:
            ends = dossier.facts.get("not_after")
            against = self._contradicted(dossier.serial, state.at, ends, self._last_list(None, anatomy))
            if against or dossier.certificate is not None:
                finding["why"] += f" Only a mail says that it was revoked: a person must decide.{against}"
                finding["suggested_action"] = finding["suggested_reason"] = None
        elif state is None and history.ever:
            finding["why"] += " It was on hold, and only a mail says that it was released: a person must decide."
            finding["suggested_action"] = None
        return finding

    def _doubts(self, dossier: Dossier, anatomy: SerialAnatomy) -> list[str]:
        """Reasons not to believe a serial that only mails show."""
        doubts = []
        native = anatomy.layout in ("number", "default")
        if native and dossier.request_ids and anatomy.request_id not in dossier.request_ids:
            ids = ", ".join(str(i) for i in sorted(dossier.request_ids))
            doubts.append(f"The mail says request ID {ids}, the serial carries {anatomy.request_id}.")
        if self.learnt and anatomy.layout not in self.learnt:
            doubts.append(f"Serials of this CA have the form {', '.join(sorted(self.learnt))}; this one has not.")
        twin = SerialNumber.parse(dossier.serial).reversed
        if twin is not None and twin.text in self.present:
            doubts.append(f"It is the serial {twin} of the database with its bytes reversed.")
        # What a key signed that the case does not have cannot be verified, and is no forgery for that.
        checkable = self.ca_known and (not self.key_of_index or (anatomy.ca_cert_index or 0) in self.key_of_index)
        if checkable and not dossier.credible:
            doubts.append("The certificate that the mail carries was not signed by the CA.")
        return doubts

    def _conflict(self, dossier: Dossier, row: Row) -> str | None:
        theirs = cell_value(row["thumbprint"])
        others = sorted(t for t in dossier.thumbprints if theirs is not None and t != theirs)
        verified = dossier.certificate is not None and dossier.certificate["thumbprint"] in others
        submitted = cell_moment(row["submitted_at"])
        reissued = self.cut is not None and submitted is not None and submitted > self.cut
        if reissued and dossier.marks:
            by = "a mail says that the serial" if dossier.sources() <= {"mail"} else "the serial"
            seen = f"was requested after the restore, yet {by} was in use before the failure"
        elif verified:
            seen = f"has the hash {theirs}, a certificate that the CA signed has {', '.join(others)}"
        elif others and submitted is None:
            seen = f"has the hash {theirs}, a mail says {', '.join(others)}, and nothing tells when it was requested"
        else:
            return None
        return (
            f"One serial, two certificates: the row {seen}. Revoking the serial revokes both; importing is refused. "
            "A person must look."
        )

    def _lost_revocation(
        self, dossier: Dossier, anatomy: SerialAnatomy, row: Row, history: History
    ) -> dict[str, Any] | None:
        state = history.state
        if state is None:
            return None
        held = cell_value(row["disposition"]) == Disposition.REVOKED
        now = "only on hold" if held else "good"
        decided = history.proved and not history.released_by_mail
        if history.proved:
            confidence = "medium" if history.released_by_mail else "high"
            why = f"The row is {now}, but the CA had revoked it before the failure.{history.said}"
            hold = state.reason == RevocationReason.CERTIFICATE_HOLD
            if hold and state.at is not None and self.snapshot is not None and state.at <= self.snapshot:
                confidence, decided = "low", False
                why += (
                    " What shows the hold is older than the restored database, in which it is good: it was released "
                    "since, or the time of the backup is wrong. A person must decide."
                )
        else:
            confidence = "medium"
            why = (
                f"The row is {now}; only a mail says that it was revoked, and a mail can be forged: a person must "
                "decide."
            )
            against = self._contradicted(
                dossier.serial, state.at, cell_moment(row["not_after"]), self._last_list(row, anatomy)
            )
            if against:
                confidence, why = "low", why + against
        finding = self._finding("lost_revocation", dossier, anatomy, row, state, confidence, why)
        if not decided:
            finding["suggested_action"] = finding["suggested_reason"] = None
        return finding

    def _lost_release(
        self, dossier: Dossier, anatomy: SerialAnatomy, row: Row, last: Mark | None
    ) -> dict[str, Any] | None:
        held_at = cell_moment(row["effective_revoked_at"]) or cell_moment(row["revoked_at"])
        newest = self._last_list(row, anatomy)
        ends = cell_moment(row["not_after"])
        # Local time that was taken for UTC may be anywhere within the zones.
        skew = CLOCK_SKEW + (_ZONE_UNKNOWN if "zone_assumed_utc" in row["flags"] else timedelta())
        evidence = list(dossier.marks)
        released = last is not None and last.reason == RevocationReason.UNREVOKE
        proven = any(m.reason == RevocationReason.UNREVOKE and m.source != "mail" for m in dossier.marks)
        # The service may have published between effective time and entry only within the skew.
        later = newest is not None and held_at is not None and newest[0] > held_at + skew
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

        index = anatomy.ca_cert_index if self._carries(anatomy) else None
        name_id = cell_value(row.get("issuer_name_id"))
        if name_id is not None:
            index = int(name_id) & 0xFFFF
        index = 0 if index is None else index
        key = int(name_id) >> 16 if name_id is not None else self.key_of_index.get(index, 0)
        verified = dossier.certificate
        row_id = cell_value(row.get("request_id"))
        native = anatomy.layout in ("number", "default") or self._native(anatomy)
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
        # One source that says so is enough: a forged template must not hide a domain controller.
        names = {template, *(self.template_names.get(t, t) for t in dossier.templates)}
        infrastructure = any(is_infrastructure(name, verified) for name in names)
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
            "why": why + expiry_note(ends, self.cut),
            "blast_radius": blast_radius(template, best("subject"), ends, infrastructure=infrastructure),
            "suggested_action": action,
            "suggested_reason": reason,
            "infrastructure": infrastructure,
            "original_sha256": verified["certificate_sha256"] if verified else None,
            "row_thumbprint": cell_value(row.get("thumbprint")),
        }
