"""One dossier held against one row of the baseline: which finding it is, how far to believe it, what to do.

A suggestion is made only where something that cannot be forged carries it: a signed CRL,
the CA's audit log, a certificate whose signature verifies. What only mails say is told, and
left to a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from carecover.analysis.cells import CLOCK_SKEW, Row, cell_moment, cell_value, place
from carecover.analysis.dossier import Dossier, Mark
from carecover.analysis.history import History, history_of
from carecover.analysis.impact import blast_radius, expiry_note, is_infrastructure, replace_first
from carecover.analysis.layout import CaLayout
from carecover.analysis.published import CrlStates, Published
from carecover.model import CIRCUMSTANCES, Disposition, RevocationReason, SerialAnatomy

# Local time that was read as UTC may be off by as much (zones reach from -12 to +14 hours).
_ZONE_UNKNOWN: Final = timedelta(hours=14)
_SHOWN_BY: Final = {
    "certificate": "the certificate itself, with the CA's signature verified",
    "crl": "a CRL that the CA signed",
    "audit": "the CA's audit log",
    "mail": "the CA's mail",
    "foreign": "a CRL of another of the CA's keys",
}


def _only(dossier: Dossier) -> str:
    """Who says that it was revoked, where nobody who proves it does."""
    keys = sorted({mark.key for mark in dossier.marks if mark.source == "foreign" and mark.key is not None})
    if not keys:
        return "Only a mail says"
    named = " and ".join(str(key) for key in keys)
    return f"Only a CRL of the CA's key {named}, which did not sign this certificate, says"


@dataclass(frozen=True)
class Judge:
    """Everything about the CA that a judgement needs; made once for all dossiers."""

    layout: CaLayout
    first_request_id: int | None
    """Lowest ID of the baseline: nothing below it is judged."""
    newest_request_id: int | None
    taken: frozenset[int]
    """Request IDs that the restored CA has handed out itself."""
    backup: datetime | None
    cut: datetime | None
    born: datetime | None
    """Rows that were asked for after this are the restored CA's own."""
    snapshot: datetime | None
    """The latest moment that the restored database is known to show."""
    published: CrlStates
    template_names: Mapping[str, str]

    def judge(self, dossier: Dossier, row: Row | None) -> dict[str, Any] | None:
        """The finding about this serial; None where there is nothing wrong with it."""
        anatomy = self.layout.decode(dossier.serial)
        self._set_apart(dossier, anatomy, row)
        history = history_of(dossier.marks)
        if row is None:
            return self._missing(dossier, anatomy, history)
        conflict = self._conflict(dossier, anatomy, row)
        # A hash that only a mail gives does not stand against what is proved, where nothing dates the row.
        undated = cell_moment(row["submitted_at"]) is None
        if conflict is not None and not (undated and history.proved and dossier.hashes_by_mail_alone):
            confidence = "low" if dossier.sources() <= {"mail"} else "high"
            if confidence == "high" and self._imported(dossier, anatomy, row):
                confidence = "medium"
                conflict += (
                    " The row looks imported (it has another request ID than its serial number carries): it may be the "
                    "dummy of this very certificate, and the view of after the mending."
                )
            return self._finding("serial_conflict", dossier, anatomy, row, None, confidence, conflict)
        disposition, state = cell_value(row["disposition"]), history.state
        if disposition == Disposition.ISSUED and state is not None:
            return self._lost_revocation(dossier, anatomy, row, history)
        if disposition == Disposition.REVOKED and cell_value(row["reason"]) == RevocationReason.CERTIFICATE_HOLD:
            if state is not None and state.reason != RevocationReason.CERTIFICATE_HOLD:
                return self._lost_revocation(dossier, anatomy, row, history)
            return self._lost_release(dossier, anatomy, row, history.last)
        return None

    def _set_apart(self, dossier: Dossier, anatomy: SerialAnatomy, row: Row | None) -> None:
        """A list of another key than the certificate's says nothing about it (RFC 5280 6.3.3), whoever signed it."""
        version = None if row is None else cell_value(row["issuer_name_id"])
        key = self.layout.key_of(anatomy) if version is None else int(version) >> 16
        if key is not None:
            dossier.marks = [
                replace(m, source="foreign") if m.source == "crl" and m.key not in (None, key) else m
                for m in dossier.marks
            ]

    def _strange_original(self, dossier: Dossier, anatomy: SerialAnatomy) -> str:
        """A sentence where another key signed the original than the one that its serial names; else nothing."""
        signer = None if dossier.certificate is None else cell_value(dossier.certificate["authority_key_id"])
        key = self.layout.key_of(anatomy)
        expected = None if key is None else self.layout.key_ids.get(key)
        if signer is None or not expected or signer in expected:
            return ""
        return (
            f" The certificate that was found was signed with another key than key {key} of the CA: do not import it."
        )

    # ------------------------------------------------------------------ no row: orphaned

    def _missing(self, dossier: Dossier, anatomy: SerialAnatomy, history: History) -> dict[str, Any] | None:
        layout, covered_from = self.layout, self.first_request_id or 0
        if anatomy.request_id is not None and layout.native(anatomy) and anatomy.request_id < covered_from:
            # The baseline does not cover it: missing from a page is not missing.
            return None
        state = history.state
        if layout.unheld(anatomy):
            why = (
                f"The serial names CA certificate index {anatomy.ca_cert_index}, which the restored CA does not have: "
                "a renewal of the CA was lost. No dummy is possible."
            )
            by_mail = dossier.sources() <= {"mail"}
            if by_mail:
                why += " Only a mail shows the certificate, and a mail can be forged."
            confidence = "high" if anatomy.ca_cert_index in layout.lost and not by_mail else "medium"
            return self._finding("lost_ca_certificate", dossier, anatomy, None, state, confidence, why)
        if dossier.another:
            why = (
                "One serial, two certificates: the CA signed both, and the database has neither; one may be a dummy. "
                "Revoking the serial revokes both. A person must look."
            )
            return self._finding("serial_conflict", dossier, anatomy, None, None, "high", why)
        finding = self._finding("orphaned", dossier, anatomy, None, state, *self._belief(dossier, anatomy))
        strange = self._strange_original(dossier, anatomy)
        if strange:
            finding["confidence"], finding["why"] = "low", finding["why"] + strange
        elif dossier.certificate is not None:
            finding["suggested_action"] = "restore"
        if state is not None:
            finding["why"] += history.said
            if history.proved and not history.released_by_mail:
                self._suggest_revocation(finding, state)
            else:
                finding["suggested_action"] = None
            if not history.proved:
                against = self._contradicted(dossier, state, self.list_of(None, anatomy))
                finding["why"] += f" {_only(dossier)} that it was revoked: a person must decide.{against}"
        elif history.ever:
            finding["why"] += " It was on hold, and only a mail says that it was released: a person must decide."
            finding["suggested_action"] = None
        return finding

    def _belief(self, dossier: Dossier, anatomy: SerialAnatomy) -> tuple[str, str]:
        """How far to believe in a certificate that the database lacks, and why."""
        sources, native = dossier.sources(), self.layout.native(anatomy)
        shown = [text for source, text in _SHOWN_BY.items() if source in sources]
        confidence = "high" if sources & {"certificate", "crl", "audit"} else "medium"
        why = f"Not in the restored database; shown by {', '.join(shown)}."
        if sources == {"foreign"}:
            confidence = "low"
        if sources == {"mail"}:
            # Never high: who knows the CA's serial numbers can write a mail that nobody tells from a true one.
            if native and anatomy.request_id in dossier.request_ids:
                why += (
                    " The serial has this CA's form and carries the mail's request ID, yet a mail can be forged, and "
                    "nothing else confirms it."
                )
            else:
                why += " A mail can be forged, and nothing else confirms it."
            if not dossier.direct:
                why += " It was forwarded by a person, not sent by the CA."
        if sources <= {"mail", "audit"} and self.layout.firsts and not native:
            # An event log names the host and not the CA, and one log may hold several.
            confidence = "low"
            why += " No serial of the database begins as this one does: it may be another CA's."
        return confidence, why

    @staticmethod
    def _suggest_revocation(finding: dict[str, Any], state: Mark) -> None:
        """Revoke with the known reason, where it is one that a batch may write."""
        writable = state.reason is not None and 0 <= state.reason <= 6
        finding["suggested_action"] = "revoke" if writable else None
        finding["suggested_reason"] = state.reason if writable else None

    # -------------------------------------------------------------- a row: another certificate

    def _imported(self, dossier: Dossier, anatomy: SerialAnatomy, row: Row) -> bool:
        """True for a row that an import made: ICertAdmin::ImportCertificate gives a new request ID."""
        certificate = dossier.certificate
        same = certificate is not None and certificate["thumbprint"] == cell_value(row["thumbprint"])
        own, inside = cell_value(row["request_id"]), anatomy.request_id if self.layout.native(anatomy) else None
        return same or (own is not None and inside is not None and own != inside)

    def _conflict(self, dossier: Dossier, anatomy: SerialAnatomy, row: Row) -> str | None:
        theirs = cell_value(row["thumbprint"])
        others = sorted(t for t in dossier.thumbprints if theirs is not None and t != theirs)
        verified = dossier.certificate is not None and dossier.certificate["thumbprint"] in others
        submitted = cell_moment(row["submitted_at"])
        late = self.born is not None and submitted is not None and submitted > self.born
        # Mended before the view was made: the old certificate under a new request ID.
        reissued = late and not self._imported(dossier, anatomy, row)
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

    # ----------------------------------------------------------------- a row: revoked, released

    def _lost_revocation(
        self, dossier: Dossier, anatomy: SerialAnatomy, row: Row, history: History
    ) -> dict[str, Any] | None:
        state = history.state
        if state is None:
            return None
        held = cell_value(row["disposition"]) == Disposition.REVOKED
        now = "only on hold" if held else "good"
        if not history.proved and "foreign" in dossier.sources():
            why = f"The row is {now}. {_only(dossier)} that it was revoked: a person must decide."
            return self._finding("lost_revocation", dossier, anatomy, row, state, "low", why)
        if not history.proved:
            against = self._contradicted(dossier, state, self.list_of(row, anatomy), cell_moment(row["not_after"]))
            # A final revocation is never taken back: a later list of that key without it says that it never was.
            final = state.reason != RevocationReason.CERTIFICATE_HOLD
            if against and final and self._all_contradicted(dossier, row, anatomy):
                why = f"A mail says that it was revoked, for ever.{against}"
                return self._finding("suspect_notification", dossier, anatomy, row, state, "low", why)
            why = (
                f"The row is {now}; only a mail says that it was revoked, and a mail can be forged: a person must "
                f"decide.{against}"
            )
            return self._finding("lost_revocation", dossier, anatomy, row, state, "low" if against else "medium", why)
        confidence, decided = ("medium" if history.released_by_mail else "high"), not history.released_by_mail
        why = f"The row is {now}, but the CA had revoked it before the failure.{history.said}"
        if self._conflict(dossier, anatomy, row) is not None:
            others = ", ".join(sorted(dossier.thumbprints))
            why += f" A mail gives it another hash than the row has ({others}): look at that mail."
        hold = state.reason == RevocationReason.CERTIFICATE_HOLD
        key = self.layout.key_of(anatomy)
        later = self.published.later_without(dossier.serial, state.at, key if key is not None else state.key)
        if later is not None and (cell_moment(row["not_after"]) or later.at) >= later.at:
            confidence, decided = "low", False
            why += (
                f" {later.name} of a later time does not list it, and nothing says when the CA failed or was restored: "
                "it was released since, or the restored CA made that list. A person must decide."
            )
        if hold and state.at is not None and self.snapshot is not None and state.at <= self.snapshot:
            confidence, decided = "low", False
            why += (
                " What shows the hold is older than the restored database, in which it is good: it was released "
                "since, or the time of the backup is wrong. A person must decide."
            )
        finding = self._finding("lost_revocation", dossier, anatomy, row, state, confidence, why)
        if decided:
            self._suggest_revocation(finding, state)
        return finding

    def _lost_release(
        self, dossier: Dossier, anatomy: SerialAnatomy, row: Row, last: Mark | None
    ) -> dict[str, Any] | None:
        held_at = cell_moment(row["effective_revoked_at"]) or cell_moment(row["revoked_at"])
        newest = self.list_of(row, anatomy)
        ends = cell_moment(row["not_after"])
        # Local time that was taken for UTC may be anywhere within the zones.
        skew = CLOCK_SKEW + (_ZONE_UNKNOWN if "zone_assumed_utc" in row["flags"] else timedelta())
        evidence = list(dossier.marks)
        released = last is not None and last.reason == RevocationReason.UNREVOKE
        proven = any(m.reason == RevocationReason.UNREVOKE and m.source != "mail" for m in dossier.marks)
        # The service may have published between effective time and entry only within the skew.
        later = newest is not None and held_at is not None and newest.at > held_at + skew
        listed = newest is not None and dossier.serial in newest.serials
        older = newest is not None and last is not None and last.at is not None and last.at < newest.at
        if (
            newest
            and later
            and not listed
            and (ends is None or ends > newest.at)
            and (last is None or released or older)
        ):
            text = place(newest.row, f"{newest.name} does not list it")
            evidence.append(Mark(newest.at, int(RevocationReason.UNREVOKE), "crl", text))
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

    # ------------------------------------------------------------------------- which list

    def list_of(self, row: Row | None, anatomy: SerialAnatomy) -> Published | None:
        """The newest base CRL of the key that signed this certificate; None where that is not certain."""
        version = None if row is None else cell_value(row["issuer_name_id"])
        key = None if version is None else int(version) >> 16
        if key is None and self.layout.carries(anatomy) and anatomy.ca_cert_index is not None:
            key = self.layout.key_of_index.get(anatomy.ca_cert_index)
        if key is None and len(set(self.layout.key_of_index.values())) > 1:
            return None
        return self.published.latest_base(key)

    def _all_contradicted(self, dossier: Dossier, row: Row, anatomy: SerialAnatomy) -> bool:
        """True where the later list contradicts every mail; one of after it, or without a date, may be true."""
        newest = self.list_of(row, anatomy)
        said = [m for m in dossier.marks if m.reason not in (None, int(RevocationReason.UNREVOKE))]
        return newest is not None and all(m.at is not None and m.at < newest.at for m in said)

    @staticmethod
    def _contradicted(dossier: Dossier, state: Mark, newest: Published | None, ends: datetime | None = None) -> str:
        """A sentence where a CRL of after a revocation does not list it; else nothing."""
        ends = ends or dossier.facts.get("not_after")
        if newest is None or state.at is None or newest.at <= state.at or dossier.serial in newest.serials:
            return ""
        if ends is not None and ends <= newest.at:
            return ""
        return f" {newest.name} of a later time does not list it: suspect."

    # ------------------------------------------------------------------------- the finding

    def _indexes(self, anatomy: SerialAnatomy, row: Row) -> tuple[int, int]:
        """CA-certificate index and CA-key index: the row's, else the serial's."""
        name_id = cell_value(row.get("issuer_name_id"))
        if name_id is not None:
            return int(name_id) & 0xFFFF, int(name_id) >> 16
        index = anatomy.ca_cert_index if self.layout.carries(anatomy) else None
        index = 0 if index is None else index
        return index, self.layout.key_of_index.get(index, 0)

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

        index, key = self._indexes(anatomy, row)
        verified = dossier.certificate
        native = anatomy.layout in ("number", "default") or self.layout.native(anatomy)
        request_id = anatomy.request_id if native else cell_value(row.get("request_id"))
        if request_id is None and dossier.request_ids:
            request_id = min(dossier.request_ids)
        template = self.template_names.get(best("template"), best("template"))
        ends = best("not_after")
        # One source that says so is enough: a forged template must not hide a domain controller.
        names = {template, *(self.template_names.get(t, t) for t in dossier.templates)}
        infrastructure = any(is_infrastructure(name, verified) for name in names)
        # What is to be taken off hold is not to be revoked, so nothing has to be replaced before.
        replace = kind != "lost_release" and any(
            replace_first(name, verified, ends, self.cut, infrastructure=infrastructure, revoked=state is not None)
            for name in names
        )
        issued_at = dossier.issued_at or cell_moment(row.get("submitted_at"))
        words = self._circumstances(kind, dossier, anatomy, state, issued_at, ends)
        told = "".join(f" {CIRCUMSTANCES[word]}" for word in words if word in ("before_backup", "serial_may_return"))
        hits = blast_radius(
            template, best("subject"), ends,
            infrastructure=infrastructure, replace=replace, held=kind == "lost_release", cut=self.cut,
        )  # fmt: skip
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
            "issued_at": issued_at,
            "original_revoked_at": state.revoked_at or state.at if state else None,
            "original_reason": state.reason if state else None,
            "evidence": list(dict.fromkeys(m.evidence for m in dossier.marks)),
            "confidence": confidence,
            "why": why + told + expiry_note(ends, self.cut),
            "blast_radius": hits,
            "suggested_action": None,
            "suggested_reason": None,
            "infrastructure": infrastructure,
            "original_sha256": verified["certificate_sha256"] if verified else None,
            "row_thumbprint": cell_value(row.get("thumbprint")),
            "circumstances": words,
            "replace_first": replace,
        }

    def _circumstances(
        self,
        kind: str,
        dossier: Dossier,
        anatomy: SerialAnatomy,
        state: Mark | None,
        issued_at: datetime | None,
        ends: datetime | None,
    ) -> list[str]:
        """Words of ``model.CIRCUMSTANCES`` that apply, in its order."""
        layout, backup = self.layout, self.backup
        missing = kind in ("orphaned", "lost_ca_certificate")
        native = layout.native(anatomy)
        index, request_id = anatomy.ca_cert_index, anatomy.request_id if native else None
        beyond = request_id is not None and (self.newest_request_id is None or request_id > self.newest_request_id)
        revoked_at = None if state is None else state.revoked_at or state.at
        in_window = revoked_at is not None and (backup is None or revoked_at > backup)
        hold = state is not None and state.reason == RevocationReason.CERTIFICATE_HOLD
        applies = {
            "expired": ends is not None and self.cut is not None and ends <= self.cut,
            # Requests of before the backup that were approved after it are issued in the window.
            "before_backup": missing and backup is not None and issued_at is not None and issued_at < backup,
            "revoked_in_window": in_window and not hold,
            "held_in_window": in_window and hold,
            "serial_may_return": missing and anatomy.prefix in layout.strings and index == layout.newest and beyond,
            "request_id_taken": missing and request_id in self.taken,
            "mail_only": dossier.sources() <= {"mail"},
            "old_key": layout.carries(anatomy)
            and layout.key_of_index.get(index or 0, 0) < layout.key_of_index.get(layout.newest, 0),
            "other_ca_certificate": layout.carries(anatomy) and index is not None and index != layout.newest,
        }
        return [word for word in CIRCUMSTANCES if applies[word]]
