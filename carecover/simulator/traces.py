"""What of a simulated history left a trace: mails, CRLs, audit events, certificates found elsewhere.

Decided by the scenario and its seed alone. What the restored CA cannot check, because
nobody has the certificate of the key that signed it, shows nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from cryptography import x509

from carecover.simulator.authority import CLOCK_SKEW, CrlEntry, stays_on_crl
from carecover.simulator.correspondence import Event
from carecover.simulator.history import History
from carecover.simulator.life import HOLD, UNREVOKE, Act, Publication, between

# The audit log holds so much before the backup: logs are rotated.
AUDIT_BEFORE_BACKUP: Final = timedelta(days=7)
_REMOVE_FROM_CRL: Final = 8


def event_of(act: Act) -> Event:
    """The notification that an act causes."""
    return "unrevoked" if act.reason == UNREVOKE else "revoked"


class Traces:
    """What a history shows to somebody who was not there; request IDs stand for certificates."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.scenario = history.scenario
        self.life = history.life

    # ------------------------------------------------------------------------------ CRLs

    @cached_property
    def last_crls(self) -> dict[int, x509.CertificateRevocationList]:
        """The last base CRL before the failure, by key index."""
        authority, last = self.life.authority, self.history.last_crl
        return {
            key: authority.sign_crl(
                (
                    CrlEntry(self.history.serial(i), act.effective, act.reason)
                    for i, act in self.on_last_crl.items()
                    if authority.key_index[self.life.ca_cert_index(i)] == key
                ),
                number=last.number,
                this_update=last.at - CLOCK_SKEW,
                next_update=self._next_update(last),
                next_publish=(last.at + self.scenario.crl_period).replace(microsecond=0),
                key_index=key,
            )
            for key in self.keys_at(last.at)
        }

    @cached_property
    def last_deltas(self) -> dict[int, x509.CertificateRevocationList]:
        """The last delta CRL before the failure, by key index; none where no delta was published."""
        h = self.history
        if not h.deltas:
            return {}
        authority, last = self.life.authority, h.deltas[-1]
        return {
            key: authority.sign_crl(
                (
                    CrlEntry(h.serial(i), act.effective, _REMOVE_FROM_CRL if act.reason == UNREVOKE else act.reason)
                    for i, act in self.on_last_delta.items()
                    if authority.key_index[self.life.ca_cert_index(i)] == key
                ),
                number=last.number,
                this_update=last.at - CLOCK_SKEW,
                next_update=self._next_update(last),
                next_publish=(h.last_crl.at + self.scenario.crl_period).replace(microsecond=0),
                key_index=key,
                base_number=h.last_crl.number,
            )
            for key in self.keys_at(h.last_crl.at)
        }

    def _next_update(self, publication: Publication) -> datetime:
        period = self.scenario.crl_period
        # AD CS lets a CRL overlap the next one; ten percent of the period, at most twelve hours.
        return (publication.at + period + min(period / 10, timedelta(hours=12))).replace(microsecond=0)

    def keys_at(self, moment: datetime) -> list[int]:
        """Indexes of the keys that the CA had at a time."""
        had = 1 + sum(renewed < moment for renewed in self.life.renewed_at)
        return sorted(set(self.life.authority.key_index[:had]))

    @cached_property
    def on_last_crl(self) -> dict[int, Act]:
        """What the last base CRL before the failure lists, newest first."""
        h = self.history
        previous = h.publications[-2].at if len(h.publications) > 1 else None
        listed = {}
        for i in self.life.acts:
            act = self.life.last_act(i, h.last_crl.at)
            if act is not None and act.reason != UNREVOKE and stays_on_crl(self.life.not_after(i), previous):
                listed[i] = act
        return dict(sorted(listed.items(), key=lambda item: (item[1].at, item[0]), reverse=True))

    @cached_property
    def on_last_delta(self) -> dict[int, Act]:
        """What the last delta CRL lists: revoked since the base CRL, or released and listed there."""
        h = self.history
        listed = {}
        for i in self.life.acts if h.deltas else ():
            act, before = self.life.last_act(i, h.deltas[-1].at), self.life.last_act(i, h.last_crl.at)
            if act is not None and act is not before and (act.reason != UNREVOKE or i in self.on_last_crl):
                listed[i] = act
        return dict(sorted(listed.items(), key=lambda item: (item[1].at, item[0]), reverse=True))

    # ----------------------------------------------------------------------------- mails

    @cached_property
    def outage(self) -> tuple[datetime, datetime] | None:
        """From when to when no mail was sent."""
        h, length = self.history, self.scenario.smtp_outage
        if not length:
            return None
        start = between(h.backup, h.failure - length, h.share("outage"))
        return start, start + length

    def in_outage(self, moment: datetime) -> bool:
        """Whether a mail of that time was never sent."""
        return self.outage is not None and self.outage[0] <= moment < self.outage[1]

    def switched_on(self, event: Event) -> bool:
        """Whether the exit module was told to send mails of an event; a release goes with the revocations."""
        return ("revoked" if event == "unrevoked" else event) not in self.scenario.events_off

    def sent(self, event: Event, request_id: int) -> bool:
        """Whether the exit module tried to send a mail, and a mail server took it."""
        if not self.scenario.mail or not self.switched_on(event):
            return False
        if self._is_passing(event, request_id):
            # Both mails of a passing hold share one fate, or the evidence would lie.
            return not any(self.in_outage(act.at) for act in self.life.acts[request_id])
        return not self.in_outage(self.told_at(event, request_id))

    def arrived(self, event: Event, request_id: int) -> bool:
        """Whether a notification exists; passing holds keep theirs, or the evidence would lie."""
        if not self.sent(event, request_id):
            return False
        share = self.history.share("mail", event, request_id)
        return self._is_passing(event, request_id) or share >= self.scenario.lost_mails

    def _is_passing(self, event: Event, request_id: int) -> bool:
        return request_id in self.history.passing and event in ("revoked", "unrevoked")

    def told_at(self, event: Event, request_id: int) -> datetime:
        """When the CA did what a notification tells of."""
        life = self.life
        match event:
            case "pending":
                return life.submitted(request_id)
            case "denied":
                return life.denied[request_id]
            case "retrieve_pending":
                return self.retrieved_at(request_id)
            case "revoked" | "unrevoked":
                return next(act.at for act in life.acts[request_id] if event_of(act) == event)
            case _:
                return self.history.issued_at(request_id)

    def retrieved_at(self, request_id: int) -> datetime:
        """When the requester fetched a certificate that an officer had approved."""
        delay = timedelta(minutes=int(30 + 2_000 * self.history.share("retrieved", request_id)))
        return self.life.approved[request_id] + delay

    def retrieved(self, request_id: int) -> bool:
        """Whether that was before the failure."""
        return request_id in self.life.approved and self.retrieved_at(request_id) < self.history.failure

    def mails_about(self, request_id: int) -> list[Event]:
        """The notifications about one request that arrived."""
        life = self.life
        told: set[Event] = {event_of(act) for act in life.acts.get(request_id, ())}
        if self.retrieved(request_id):
            told.add("retrieve_pending")
        if request_id in life.pending:
            told.add("pending")
        if request_id in life.denied:
            told.add("denied")
        if self.history.is_issued(request_id):
            told.add("issued")
        return sorted(event for event in told if self.arrived(event, request_id))

    # ----------------------------------------------------------------- what reveals a thing

    @property
    def audit_start(self) -> datetime:
        """From when on the Security log goes back."""
        return max(self.history.start, self.history.backup - AUDIT_BEFORE_BACKUP)

    @cached_property
    def found_ids(self) -> frozenset[int]:
        """Lost certificates whose original was found elsewhere."""
        h = self.history
        return frozenset(i for i in h.lost_ids if h.share("found", i) < self.scenario.originals)

    @property
    def lost_ca_index(self) -> int | None:
        """Index of the CA certificate that the restored CA does not have."""
        return None if self.scenario.lost_renewal == "none" else len(self.history.restored.authority.certificates)

    def key_of(self, request_id: int) -> int:
        """Index of the key that signed a certificate."""
        return self.life.authority.key_index[self.life.ca_cert_index(request_id)]

    def checkable(self, key: int) -> bool:
        """Whether what a key signed can be checked: its CA certificate is there, or was found elsewhere."""
        return key in self.history.restored.authority.keys or self.scenario.lost_ca_found

    def _listed(self, request_id: int) -> Act | None:
        """What the last base CRL says, if it is handed in and can be checked."""
        known = self.scenario.crl and self.checkable(self.key_of(request_id))
        return self.on_last_crl.get(request_id) if known else None

    def _on_delta(self, request_id: int) -> Act | None:
        """What the last delta CRL says, if it is handed in and can be checked."""
        h = self.history
        known = self.scenario.crl and self.checkable(self.key_of(request_id))
        published = self.key_of(request_id) in self.keys_at(h.last_crl.at)
        return self.on_last_delta.get(request_id) if known and published else None

    def _unlisted(self, request_id: int, released: Act) -> bool:
        """Whether the last CRL shows a release: on hold before it, valid, and not on it."""
        published = self.history.last_crl.at
        held = next(act for act in self.life.acts[request_id] if act.reason == HOLD)
        return (
            self.scenario.crl
            and released.at < published
            and held.effective + CLOCK_SKEW < published
            and self.life.not_after(request_id) > published
        )

    def acts_shown_by(self, request_id: int) -> list[str]:
        """What reveals the last revocation or release of a certificate, if it came after the backup."""
        last = self.life.acts[request_id][-1]
        shown = []
        if self.arrived(event_of(last), request_id):
            shown.append(f"mail_{event_of(last)}")
        if self._listed(request_id) is last:
            shown.append("crl")
        if self._on_delta(request_id) is last:
            shown.append("delta")
        if last.reason == UNREVOKE and self._unlisted(request_id, last):
            shown.append("crl_absence")
        if self.scenario.audit:
            shown.append("audit")
        return shown

    def shown_by(self, request_id: int) -> list[str]:
        """What reveals the serial number of a certificate that the database lacks."""
        life, s, shown = self.life, self.scenario, []
        if self.arrived("issued", request_id):
            shown.append("mail_issued")
        if self.retrieved(request_id) and self.arrived("retrieve_pending", request_id):
            shown.append("mail_retrieved")
        events = {event_of(act) for act in life.acts.get(request_id, ())}
        shown += [f"mail_{event}" for event in sorted(events) if self.arrived(event, request_id)]
        if self._listed(request_id):
            shown.append("crl")
        if self._on_delta(request_id):
            shown.append("delta")
        if s.audit and (request_id in life.acts or (s.audit_version == 1 and self.audited(request_id))):
            shown.append("audit")
        if request_id in self.found_ids and self.checkable(self.key_of(request_id)):
            shown.append("found")
        return shown

    def audited(self, request_id: int) -> bool:
        """Whether the Security log has the issuance of a certificate (event 4887)."""
        return self.scenario.audit and self.history.issued_at(request_id) >= self.audit_start

    def left_a_trace(self, request_id: int) -> bool:
        """Whether anything before the failure shows the request, by its ID or inside a serial number."""
        return self.was_received(request_id) or self.is_accounted_for(request_id)

    def was_received(self, request_id: int) -> bool:
        """Whether the Security log has the arrival of a request (event 4886)."""
        h, s = self.history, self.scenario
        logged = s.audit and s.audit_all and h.life.submitted(request_id) >= self.audit_start
        return logged and request_id not in h.life.ca_requests

    def is_accounted_for(self, request_id: int) -> bool:
        """Whether anything shows what became of a request; that it arrived does not."""
        h, s = self.history, self.scenario
        if self.mails_about(request_id):
            return True
        if s.audit and s.audit_all and (request_id in h.life.pending or request_id in h.life.denied):
            return True
        if h.is_issued(request_id):
            return self.audited(request_id) or bool(self.shown_by(request_id))
        return False
