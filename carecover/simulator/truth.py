"""The truth about an incident: what happened, and what perfect reading of the evidence shows.

``truth.json`` (format 2) holds

- ``ca``, ``scenario``, ``times``, the newest request IDs at backup and at failure;
- ``lost``: every certificate issued between backup and failure: serial, request_id,
  template, subject, requester, not_before, not_after, thumbprint, certificate_sha256,
  state (issued, revoked, held) with reason and revoked_at, ``persisted``, ``shown_by``,
  ``revocation_shown_by``, and in small incidents the DER in base64;
- ``not_persisted``: certificates from before the backup that never got a row;
- ``lost_revocations``, ``lost_releases``, ``lost_pending``, each with ``shown_by``;
- ``forgeries``: every forged mail with its tells, and whether they can be read in what is
  handed in;
- ``requests`` (fate of every request of the window), ``reissued_request_ids``,
  ``collisions`` (lost serials that the restored CA issued again), ``crl`` (numbers),
  ``lost_ca_certificates``;
- ``expected``: by finding kind what perfect reading of the evidence shows (serials, request
  IDs, or indexes of CA keys);
- ``undetectable``: by finding kind what forged mails that nobody can tell make of it: may
  be found, with no suggestion that a mail alone supports;
- ``either``: by finding kind what can be read one way or the other.

``shown_by`` names what reveals a thing: mail_issued, mail_retrieved, mail_revoked,
mail_unrevoked, mail_pending, crl, delta, crl_absence (a release: the last CRL no longer
lists the hold), audit, found; where it is empty, nothing can. What a lost CA key signed
shows nothing unless its CA certificate was found: nobody can check it.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import fields
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from carecover.model import sha256_hex, utc_text
from carecover.simulator import life as lives
from carecover.simulator.authority import CLOCK_SKEW, DatabaseRow
from carecover.simulator.forgery import Forgery
from carecover.simulator.life import HOLD, UNREVOKE, Act
from carecover.simulator.traces import Traces

# Truth carries the certificates themselves up to here (one is about 1.5 kB of base64).
MAX_CERTIFICATES_IN_TRUTH: Final = 5_000
# Not more request IDs without a trace are told one by one (the rest is counted).
MAX_UNACCOUNTED: Final = 1_000


class Truth:
    """Puts the truth together; ``forgeries`` are those whose mails are handed in."""

    def __init__(self, traces: Traces, forgeries: list[Forgery]) -> None:
        self.traces = traces
        self.history = traces.history
        self.life = traces.life
        self.forgeries = forgeries

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        h = self.history
        forged = self.forgeries
        return {
            "format": 2,
            "ca": lives.CA_NAME,
            "scenario": {item.name: _plain(getattr(h.scenario, item.name)) for item in fields(h.scenario)},
            "times": {
                "start": utc_text(h.start),
                "backup": utc_text(h.backup),
                "failure": utc_text(h.failure),
                "restored": utc_text(h.restored_at),
                "exported": utc_text(h.exported_at),
            },
            "newest_request_id_at_backup": h.last_before,
            "newest_request_id_at_failure": h.last,
            "lost": self.lost,
            "not_persisted": [self._lost(i, with_certificate=False) for i in h.forgotten_ids],
            "lost_revocations": self.changes[0],
            "lost_releases": self.changes[1],
            "lost_pending": [self._waiting(i) for i in h.pending_ids],
            "forgeries": [self._forged(forgery) for forgery in forged],
            "requests": {str(i): self._fate(i) for i in range(h.last_before + 1, h.last + 1) if self._small},
            "reissued_request_ids": [i for i in h.reissued_ids if i <= h.last],
            "collisions": self.collisions,
            "crl": {"last_published": h.last_publication.number, "restored": h.restored.crl_number},
            "lost_ca_certificates": self._lost_ca_certificates(),
            "expected": self._expected(),
            "undetectable": self._undetectable(),
            "either": self._either(),
        }

    # ------------------------------------------------------------------------ what happened

    @property
    def _small(self) -> bool:
        return len(self.history.lost_ids) <= MAX_CERTIFICATES_IN_TRUTH

    @cached_property
    def lost(self) -> list[dict[str, Any]]:
        """Certificates issued between backup and failure."""
        return [self._lost(i, with_certificate=self._small) for i in self.history.lost_ids]

    @cached_property
    def changes(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Lost revocations, and lost releases."""
        h, life = self.history, self.life
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
        return revocations, releases

    @cached_property
    def collisions(self) -> list[str]:
        """Lost serials that the restored CA issued again."""
        h = self.history
        again = {h.second.request(i).serial for i in h.reissued_ids}
        return sorted(h.serial(i).text for i in h.lost_ids if h.serial(i) in again)

    def _lost(self, request_id: int, *, with_certificate: bool) -> dict[str, Any]:
        h, life = self.history, self.life
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
            "persisted": life.persists(request_id),
            "shown_by": self.traces.shown_by(request_id),
            "revocation_shown_by": self.traces.acts_shown_by(request_id) if revoked else [],
            "certificate": b64encode(data).decode("ascii") if with_certificate else None,
        }

    def _changed(self, request_id: int, act: Act) -> dict[str, Any]:
        """A certificate from before the backup whose state the restore set back."""
        return {
            **self._identity(self.life.request(request_id)),
            "reason": act.reason,
            "revoked_at": utc_text(act.effective),
            "state": "issued" if act.reason == UNREVOKE else "held" if act.reason == HOLD else "revoked",
            "shown_by": self.traces.acts_shown_by(request_id),
        }

    def _waiting(self, request_id: int) -> dict[str, Any]:
        """A request that nobody had decided at the failure."""
        return {
            "request_id": request_id,
            "requester": self.life.waiting(request_id).requester,
            "shown_by": self._waiting_shown_by(request_id),
        }

    def _waiting_shown_by(self, request_id: int) -> list[str]:
        s = self.traces.scenario
        shown = ["mail_pending"] if self.traces.arrived("pending", request_id) else []
        return shown + ["audit"] * (s.audit and s.audit_all)

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

    @staticmethod
    def _forged(forgery: Forgery) -> dict[str, Any]:
        return {
            "event": forgery.event,
            "serial": forgery.serial.text,
            "request_id": forgery.request_id,
            "about_row": forgery.about_row,
            "tells": list(forgery.tells),
            "detectable": forgery.detectable,
            "sent_at": utc_text(forgery.sent_at),
        }

    def _fate(self, request_id: int) -> str:
        life = self.life
        if request_id in life.ca_requests:
            return "CA certificate"
        if request_id in life.denied:
            return "denied"
        if request_id in life.failed:
            return "failed"
        return "issued" if life.resolved(request_id) else "pending"

    def _lost_ca_certificates(self) -> list[dict[str, Any]]:
        """The CA certificate of a lost renewal, and whether it was found."""
        index, authority = self.traces.lost_ca_index, self.life.authority
        if index is None:
            return []
        serial = f"{authority.certificates[index].serial_number:x}"
        found = self.traces.scenario.lost_ca_found
        return [{"serial": serial, "ca_cert_index": index, "ca_key_index": authority.key_index[index], "found": found}]

    # ----------------------------------------------------------------- what can be found

    def _expected(self) -> dict[str, list[Any]]:
        shown = [item for item in (*self.lost, *self._forgotten) if item["shown_by"]]
        renewals = len(self.history.restored.authority.certificates)
        without_ca = {item["serial"] for item in shown if item["ca_cert_index"] >= renewals}
        # Even a bare serial on a CRL tells: it was revoked before the row's certificate was made.
        conflicts = {item["serial"] for item in shown} & set(self.collisions)
        hidden = without_ca | set(self.collisions)
        found_ca = [item["serial"] for item in self._lost_ca_certificates() if item["found"]]
        return {
            "orphaned": sorted(i["serial"] for i in shown if i["serial"] not in hidden),
            "lost_revocation": sorted(i["serial"] for i in self.changes[0] if i["shown_by"]),
            "lost_release": sorted(i["serial"] for i in self.changes[1] if i["shown_by"]),
            "serial_conflict": sorted(conflicts),
            "lost_ca_certificate": sorted([*without_ca, *found_ca]),
            "reused_request_id": [
                i for i in self.history.reissued_ids if i <= self.history.last and self.traces.left_a_trace(i)
            ],
            "lost_pending": self._expected_pending(),
            "unaccounted_request": self._expected_unaccounted(),
            "crl_number_regression": self._regressed(certain=True),
            "suspect_notification": sorted({f.serial.text for f in self.forgeries if f.detectable}),
        }

    @cached_property
    def _forgotten(self) -> list[dict[str, Any]]:
        return [self._lost(i, with_certificate=False) for i in self.history.forgotten_ids]

    def _expected_pending(self) -> list[int]:
        """Requests that something shows waiting, and nothing shows decided: neither row, mail nor event."""
        h, life = self.history, self.life
        return [
            i
            for i in sorted(life.pending)
            if i > h.last_before and self._waiting_shown_by(i) and not self._decision_shown(i)
        ]

    def _decision_shown(self, request_id: int) -> bool:
        h, traces, s = self.history, self.traces, self.traces.scenario
        if request_id in self.life.denied:
            return traces.arrived("denied", request_id) or (s.audit and s.audit_all)
        return h.is_issued(request_id) and (bool(traces.shown_by(request_id)) or traces.audited(request_id))

    @cached_property
    def _newest_row(self) -> int:
        """The newest request of the backup that the database shows."""
        h = self.history
        return next(i for i in range(h.last_before, 0, -1) if self.life.persists(i))

    def _expected_unaccounted(self) -> list[int]:
        """Request IDs of the window whose fate nothing shows, and those issued under no serial that is known."""
        h, traces = self.history, self.traces
        claimed = {f.request_id for f in self._believed if not f.about_row}
        window = range(self._newest_row + 1, h.last + 1)
        known = {i for i in window if traces.is_accounted_for(i)} | claimed
        highest = max([*known, *(i for i in window if traces.was_received(i))], default=0)
        silent = [i for i in range(self._newest_row + 1, highest + 1) if i not in known]
        nameless = [i for i in (*h.forgotten_ids, *h.lost_ids) if traces.audited(i) and not traces.shown_by(i)]
        return sorted({*silent[:MAX_UNACCOUNTED], *nameless})

    def _regressed(self, *, certain: bool) -> list[int]:
        """Keys of which something shows a CRL of after the backup; ``certain``: and the restored CA has the key.

        Not certain is also what was published so shortly after the backup that the clock skew of AD CS hides it.
        """
        h, traces, s = self.history, self.traces, self.traces.scenario
        published = [p.at for p in (h.last_publication, h.last_crl)] if s.crl else []
        if s.audit:
            published += [p.at for p in (*h.publications, *h.deltas)]
        margin = CLOCK_SKEW + abs(s.clock_offset) + timedelta(minutes=5)
        late = max((at for at in published), default=h.backup)
        if late <= h.backup - margin or (certain and late <= h.backup + margin):
            return []
        known = set(h.restored.authority.keys)
        keys = traces.keys_at(h.last_publication.at)
        if certain:
            return [key for key in keys if key in known]
        return keys

    # ------------------------------------------------------------ what cannot be found well

    @property
    def _believed(self) -> list[Forgery]:
        """Forgeries that nobody can tell; what names another CA is no notification of this one."""
        return [f for f in self.forgeries if not f.detectable and "ca_name" not in f.tells]

    def _undetectable(self) -> dict[str, list[Any]]:
        rows = sorted(f.serial.text for f in self._believed if f.about_row)
        nothing = sorted(f.serial.text for f in self._believed if not f.about_row)
        return {
            "lost_revocation": rows,
            "orphaned": nothing,
            "unaccounted_request": sorted(f.request_id for f in self._believed if not f.about_row),
        }

    def _either(self) -> dict[str, list[Any]]:
        h, traces = self.history, self.traces
        # A tell that only a comparison with other mails shows may be seen with fewer of them.
        guessed = sorted(f.serial.text for f in self.forgeries if f.tells and not f.detectable)
        nameless = [i for i in (*h.forgotten_ids, *h.lost_ids) if traces.audited(i) and i in traces.found_ids]
        return {
            "suspect_notification": guessed,
            "crl_number_regression": self._regressed(certain=False),
            # Found under the key of a lost CA certificate: whether the file is the event's, nobody can check.
            "unaccounted_request": [i for i in nameless if not traces.shown_by(i)],
        }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, tuple):
        return list(value)
    return value.total_seconds() if isinstance(value, timedelta) else value
