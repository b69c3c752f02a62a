"""Whole incidents with known truth: what a responder is handed, and what really happened.

A simulated CA issues, revokes, holds and publishes for months, is backed up, lives on,
fails and is restored; what the restored CA no longer knows is the gap. ``evidence/`` is
what a responder would have, ``facts.json`` what people know, ``truth.json`` what happened;
the product never reads the truth, and nothing here uses the readers of evidence.

``truth.json`` (format 1) holds

- ``ca``, ``scenario``, ``times``, the newest request IDs at backup and at failure;
- ``lost``: every certificate issued between backup and failure: serial, request_id,
  template, subject, requester, not_before, not_after, thumbprint, certificate_sha256,
  state (issued, revoked, held) with reason and revoked_at, ``shown_by``,
  ``revocation_shown_by``, and in small incidents the DER in base64;
- ``lost_revocations``, ``lost_releases``, ``lost_pending``, each with ``shown_by``;
- ``requests`` (fate of every request of the window), ``reissued_request_ids``,
  ``collisions`` (lost serials that the restored CA issued again), ``crl`` (numbers);
- ``expected``: by finding kind what perfect reading of the evidence shows.

``shown_by`` names what reveals a thing: mail_issued, mail_retrieved, mail_revoked,
mail_unrevoked, mail_pending, crl, crl_absence (a release: the last CRL no longer lists the
hold), audit, found; where it is empty, nothing can. What a lost CA key signed shows nothing:
nobody can check it.

The same scenario gives the same bytes. Up to SIGN_ALL certificates every row's hash is
that of a real certificate; above, rows of certificates that appear nowhere else have an
invented one, because signing a million certificates that nobody looks at is waste.
"""

from __future__ import annotations

import codecs
import json
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta
from functools import cached_property
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any, Final

from carecover.errors import PathError, RefusedError
from carecover.model import CaseFacts, sha256_hex, utc_text
from carecover.simulator import life as lives
from carecover.simulator.authority import DatabaseRow, der
from carecover.simulator.correspondence import Event, Mail, Mailer, archive
from carecover.simulator.eventlog import security_log
from carecover.simulator.history import History, RestoredState, event_of
from carecover.simulator.life import HOLD, UNREVOKE, Act, Calendar, Life, revoked_row
from carecover.simulator.rendering import DateStyle, pem, view_columns, view_csv, view_text
from carecover.simulator.scenario import Scenario

__all__ = ["Incident", "RestoredState", "Scenario", "make_incident"]

# Truth carries the certificates themselves up to here (one is about 1.5 kB of base64).
MAX_CERTIFICATES_IN_TRUTH: Final = 5_000
# The audit log holds so much before the backup: logs are rotated.
_AUDIT_BEFORE_BACKUP: Final = timedelta(days=7)
_REBOOT_EVERY: Final = timedelta(days=30)
# Least and most ordinary mails where the scenario does not say how many.
_ORDINARY: Final = (40, 2_000)
# Between what the CA does and the Date of the mail about it.
_DELAY: Final = timedelta(seconds=1)

VIEW_COLUMNS: Final = (
    "Request.RequestID",
    "Request.Disposition",
    "Request.SubmittedWhen",
    "Request.RevokedWhen",
    "Request.RevokedEffectiveWhen",
    "Request.RevokedReason",
    "Request.RequesterName",
    "CertificateHash",
    "CertificateTemplate",
    "SerialNumber",
    "IssuerNameID",
    "NotBefore",
    "NotAfter",
    "DistinguishedName",
    "CommonName",
)


def make_incident(scenario: Scenario | None = None) -> Incident:
    """The incident of a scenario. Files are made when they are asked for."""
    return Incident(scenario or Scenario())


class Incident:
    """One incident: ``files()`` is what ``write`` writes, ``truth`` what really happened."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.history = History(scenario)

    @property
    def restored(self) -> RestoredState:
        """The restored CA at the moment of the export."""
        return self.history.restored

    # ------------------------------------------------------------------- what is handed in

    @cached_property
    def facts(self) -> CaseFacts:
        """What people know about the incident."""
        h = self.history
        return CaseFacts(
            ca=lives.CA_NAME,
            backup=h.backup,
            failure=h.failure,
            restored=h.restored_at,
            time_zone=self.scenario.time_zone,
            date_order=self._style.order,
            key_exposed="no",
            config=lives.CONFIG,
        )

    def files(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Every file as a relative POSIX path and its content in pieces."""
        h = self.history
        s = self.scenario
        if s.mail:
            yield from archive(s.format, "evidence/mail", "ca-mailbox", self._mails())
        columns = view_columns(VIEW_COLUMNS)
        style = replace(self._style, zone=None) if s.gmt else self._style
        yield "evidence/database/view.txt", self._encode(view_text(h.restored.rows, columns, style))
        yield "evidence/database/view.csv", self._encode(view_csv(h.restored.rows, columns, style))
        if s.crl:
            for key, crl in h.last_crls.items():
                yield f"evidence/crl/{h.life.authority.crl_stem(key)}.crl", iter([der(crl)])
        authority = h.restored.authority
        for index, certificate in enumerate(authority.certificates):
            yield f"evidence/ca/{authority.file_stem(index)}.cer", iter([der(certificate)])
        for n, i in enumerate(sorted({*h.found_ids, *h.found_known}), start=1):
            data = h.life.certificate(i)
            content = pem(data).replace("\n", "\r\n").encode("ascii") if n % 3 == 0 else data
            yield f"evidence/found/{n:04}.cer", iter([content])
        if s.audit:
            yield "evidence/events/security.xml", security_log(lives.HOST, self._audited())
        yield "facts.json", iter([_json(self.facts.to_json())])
        yield "truth.json", iter([_json(self.truth)])

    def write(self, directory: Path, progress: Callable[[str, int], None] | None = None) -> None:
        """Write all files below a new or empty directory; ``progress`` gets path and bytes of each.

        Raises RefusedError where the directory holds anything, PathError where it cannot be
        written.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise RefusedError(f"'{directory}' is not empty. Name a new folder for the incident.")
            for name, pieces in self.files():
                path = directory / name
                path.parent.mkdir(parents=True, exist_ok=True)
                size = 0
                with path.open("wb") as file:
                    for piece in pieces:
                        size += file.write(piece)
                if progress is not None:
                    progress(name, size)
        except OSError as error:
            raise PathError(f"The incident cannot be written to '{directory}': {error.strerror}.") from error

    @property
    def _style(self) -> DateStyle:
        return DateStyle(self.scenario.date_locale, self.history.zone)

    def _encode(self, pieces: Iterator[str]) -> Iterator[bytes]:
        encoding: str = self.scenario.encoding
        plain = "ascii"
        if encoding == "utf-16":
            yield codecs.BOM_UTF16_LE
            encoding = plain = "utf-16-le"
        while batch := list(islice(pieces, 1_000)):
            # Python's code page codecs are slow, and most rows are plain ASCII.
            lines = (piece.replace("\n", "\r\n") for piece in batch)
            yield b"".join(line.encode(plain if line.isascii() else encoding) for line in lines)

    # -------------------------------------------------------------------------------- mail

    def _mails(self) -> Iterator[Mail]:
        mailer = Mailer(self.scenario.seed, lives.CA_NAME, lives.HOST, lives.DOMAIN, self._style, self.history.zone)
        return merge(
            self._submission_mails(mailer),
            self._later_mails(mailer),
            self._ordinary_mails(mailer),
            key=lambda mail: mail.sent_at,
        )

    def _issued_mail(self, mailer: Mailer, event: Event, life: Life, i: int, at: datetime) -> Mail:
        carries = self.history.share("carries", i) < self.scenario.mail_carries_certificate
        return mailer.notification(event, life.request(i), at + _DELAY, carries_certificate=carries)

    def _submission_mails(self, mailer: Mailer) -> Iterator[Mail]:
        """What the CA says at once, by request ID: issued, pending, or denied by its policy."""
        h = self.history
        life = h.life
        for i in range(2, h.last + 1):
            at = life.submitted(i)
            if i in life.ca_requests:
                continue
            if i in life.pending:
                if h.arrived("pending", i):
                    yield mailer.notification("pending", life.waiting(i), at + _DELAY)
            elif i in life.denied:
                if h.arrived("denied", i):
                    yield mailer.notification("denied", life.request(i), at + _DELAY)
            elif h.arrived("issued", i):
                yield self._issued_mail(mailer, "issued", life, i, at)
        second = h.second
        yield mailer.notification("startup", None, h.restored_at + _DELAY)
        # Two more after the export: their mails must not disturb.
        for i in range(h.last_before + 1, h.restored.next_request_id + 2):
            yield self._issued_mail(mailer, "issued", second, i, second.submitted(i))

    def _later_mails(self, mailer: Mailer) -> Iterator[Mail]:
        """Everything else that the CA said, in order of time."""
        h = self.history
        life = h.life
        said: list[tuple[datetime, Event, int, Act | None]] = []
        for i, at in life.approved.items():
            said.append((at, "issued", i, None))
            if h.retrieved(i):
                said.append((h.retrieved_at(i), "retrieve_pending", i, None))
        said += [(at, "denied", i, None) for i, at in life.denied.items() if i in life.pending]
        for i, acts in life.acts.items():
            said += [(act.at, event_of(act), i, act) for act in acts]
        said += [(publication.at, "crl_issued", 0, None) for publication in h.publications]
        for at in self._reboots():
            said += [(at, "shutdown", 0, None), (at + timedelta(minutes=4), "startup", 0, None)]
        for at, event, i, act in sorted(said, key=lambda item: item[:3]):
            if i and not h.arrived(event, i):
                continue
            if not i:
                yield mailer.notification(event, None, at + _DELAY)
            elif act is not None:
                row = revoked_row(life.request(i), act)
                yield mailer.notification(event, row, at + _DELAY)
            elif event == "denied":
                yield mailer.notification(event, life.request(i), at + _DELAY)
            else:
                yield self._issued_mail(mailer, event, life, i, at)

    def _reboots(self) -> Iterator[datetime]:
        at = self.history.start
        while at < self.history.failure - timedelta(minutes=10):
            yield at
            at += _REBOOT_EVERY

    def _ordinary_mails(self, mailer: Mailer) -> Iterator[Mail]:
        h = self.history
        count = self.scenario.ordinary_mail
        if count is None:
            count = max(_ORDINARY[0], min(h.last // 2, _ORDINARY[1]))
        # A quarter comes after the backup, so that some reply to notifications of the gap.
        early = Calendar(h.start, h.backup, h.zone)
        late = Calendar(h.backup, h.exported_at + timedelta(days=1), h.zone)
        # Quoted is only what also arrived by itself: whether quotes count changes nothing.
        quotable = {*filter(h.is_issued, range(2, min(h.last_before, 50))), *h.lost_ids[:40]}
        requests = sorted((h.issued_at(i), i) for i in quotable if h.arrived("issued", i))
        rows = [h.life.request(i) for _, i in requests]
        for n in range(count):
            first = count - count // 4
            at = early.moment((n + 0.5) / first) if n < first else late.moment((n - first + 0.5) / (count - first))
            told = bisect_left(requests, (at, 0))
            yield mailer.ordinary(n, at, [("issued", row) for row in rows[max(told - 10, 0) : told]])

    # ------------------------------------------------------------------------------- audit

    @property
    def _audit_start(self) -> datetime:
        return max(self.history.start, self.history.backup - _AUDIT_BEFORE_BACKUP)

    def _audited(self) -> Iterator[tuple[datetime, int, dict[str, str]]]:
        """Events of the CA's Security log from shortly before the backup to the failure."""
        h = self.history
        life, begin = h.life, self._audit_start
        first = bisect_left(range(1, h.last + 1), begin, key=life.submitted) + 1
        events: list[tuple[datetime, int, dict[str, str]]] = [
            (h.backup, 4876, {"BackupType": "1"}),
            (h.backup, 4877, {}),
        ]
        events += [
            (h.issued_at(i), 4887, _issuance(life.request(i)))
            for i in sorted({*range(first, h.last + 1), *life.approved})
            if h.is_issued(i) and h.issued_at(i) >= begin
        ]
        for i, acts in life.acts.items():
            serial = h.serial(i).text
            events += [
                (act.at, 4870, {"CertificateSerialNumber": serial, "RevocationReason": str(act.reason)})
                for act in acts
                if act.at >= begin
            ]
        for publication in h.publications:
            if publication.at >= begin:
                data = {
                    "IsBaseCRL": "Yes",
                    "CRLNumber": str(publication.number),
                    "KeyContainer": lives.CA_NAME,
                    "NextPublish": f"{self._style.text(publication.at + self.scenario.crl_period)} 0.0s",
                    "PublishURLs": "",
                }
                events += [(publication.at, 4872, data), (publication.at, 4872, {**data, "IsBaseCRL": "No"})]
        return iter(sorted(events, key=lambda event: event[:2]))

    # ------------------------------------------------------------------------------- truth

    def _lost(self, request_id: int, *, with_certificate: bool) -> dict[str, Any]:
        h = self.history
        life = h.life
        row = life.request(request_id)
        act = life.last_act(request_id, h.failure)
        revoked = act is not None and act.reason != UNREVOKE
        data = life.certificate(request_id)
        return {
            **self._identity(row),
            "not_before": utc_text(row.not_before),
            "certificate_sha256": sha256_hex(data),
            "ca_cert_index": life.ca_cert_index(request_id),
            "issued_at": utc_text(row.resolved_at),
            "state": "issued" if act is None or not revoked else "held" if act.reason == HOLD else "revoked",
            "reason": act.reason if act is not None and revoked else None,
            "revoked_at": utc_text(act.effective) if act is not None and revoked else None,
            "shown_by": h.shown_by(request_id),
            "revocation_shown_by": h.acts_shown_by(request_id) if revoked else [],
            "certificate": b64encode(data).decode("ascii") if with_certificate else None,
        }

    def _changed(self, request_id: int, act: Act) -> dict[str, Any]:
        """A certificate from before the backup whose state the restore set back."""
        return {
            **self._identity(self.history.life.request(request_id)),
            "reason": act.reason,
            "revoked_at": utc_text(act.effective),
            "state": "issued" if act.reason == UNREVOKE else "held" if act.reason == HOLD else "revoked",
            "shown_by": self.history.acts_shown_by(request_id),
        }

    def _waiting(self, request_id: int) -> dict[str, Any]:
        """A request that nobody had decided at the failure."""
        return {
            "request_id": request_id,
            "requester": self.history.life.waiting(request_id).requester,
            "shown_by": ["mail_pending"] if self.history.arrived("pending", request_id) else [],
        }

    @staticmethod
    def _identity(row: DatabaseRow) -> dict[str, Any]:
        return {
            "serial": row.serial.text if row.serial else None,
            "request_id": row.request_id,
            "template": row.template.identifier if row.template else None,
            "subject": row.subject,
            "requester": row.requester,
            "not_after": utc_text(row.not_after),
            "thumbprint": row.thumbprint,
        }

    @cached_property
    def truth(self) -> dict[str, Any]:
        """What really happened; JSON values, see the module's docstring."""
        h = self.history
        life = h.life
        with_certificates = len(h.lost_ids) <= MAX_CERTIFICATES_IN_TRUTH
        lost = [self._lost(i, with_certificate=with_certificates) for i in h.lost_ids]
        revocations, releases = [], []
        for i in sorted(set(life.acts) - set(h.lost_ids)):
            before, after = life.last_act(i, h.backup), life.last_act(i, h.failure)
            if after is None or after == before:
                continue
            if after.reason == UNREVOKE:
                # Held and released in the window: as it was at the backup.
                if before is not None:
                    releases.append(self._changed(i, after))
            else:
                revocations.append(self._changed(i, after))
        pending = [self._waiting(i) for i in h.pending_ids]
        again = {h.second.request(i).serial for i in h.reissued_ids}
        collisions = sorted(h.serial(i).text for i in h.lost_ids if h.serial(i) in again)
        renewals = len(h.restored.authority.certificates)
        shown = [item for item in lost if item["shown_by"]]
        without_ca = {item["serial"] for item in shown if item["ca_cert_index"] >= renewals}
        # Even a bare serial on a CRL tells: it was revoked before the row's certificate was made.
        conflicts = {item["serial"] for item in shown} & set(collisions)
        hidden = without_ca | set(collisions)
        return {
            "format": 1,
            "ca": lives.CA_NAME,
            "scenario": {item.name: _plain(getattr(self.scenario, item.name)) for item in fields(self.scenario)},
            "times": {
                "start": utc_text(h.start),
                "backup": utc_text(h.backup),
                "failure": utc_text(h.failure),
                "restored": utc_text(h.restored_at),
                "exported": utc_text(h.exported_at),
            },
            "newest_request_id_at_backup": h.last_before,
            "newest_request_id_at_failure": h.last,
            "lost": lost,
            "lost_revocations": revocations,
            "lost_releases": releases,
            "lost_pending": pending,
            "requests": {str(i): self._fate(i) for i in range(h.last_before + 1, h.last + 1) if with_certificates},
            "reissued_request_ids": [i for i in h.reissued_ids if i <= h.last],
            "collisions": collisions,
            "crl": {"last_published": h.last_crl.number, "restored": h.restored.crl_number},
            "expected": {
                "orphaned": sorted(i["serial"] for i in shown if i["serial"] not in hidden),
                "lost_revocation": sorted(i["serial"] for i in revocations if i["shown_by"]),
                "lost_release": sorted(i["serial"] for i in releases if i["shown_by"]),
                "lost_pending": [i["request_id"] for i in pending if i["shown_by"]],
                "serial_conflict": sorted(conflicts),
                "lost_ca_certificate": sorted(without_ca),
            },
        }

    def _fate(self, request_id: int) -> str:
        life = self.history.life
        if request_id in life.ca_requests:
            return "CA certificate"
        if request_id in life.denied:
            return "denied"
        return "issued" if life.resolved(request_id) else "pending"


def _issuance(row: DatabaseRow) -> dict[str, str]:
    """The data of event 4887 version 1; Disposition 3 is CR_DISP_ISSUED, not the database's 20."""
    template = row.template.name if row.template else ""
    return {
        "RequestId": str(row.request_id),
        "Requester": row.requester or "",
        "Attributes": f"CertificateTemplate:{template}",
        "Disposition": "3",
        "SubjectKeyIdentifier": "",
        "Subject": row.subject or "",
        "SubjectAlternativeName": "",
        "CertificateTemplate": template,
        "SerialNumber": row.serial.text if row.serial else "",
        "AuthenticationService": "Kerberos",
        "AuthenticationLevel": "Privacy",
        "DCOMorRPC": "RPC",
    }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return utc_text(value)
    return value.total_seconds() if isinstance(value, timedelta) else value


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
