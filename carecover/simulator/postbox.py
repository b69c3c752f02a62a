"""The mailboxes of an incident: what the CA said, what people wrote, and what strangers sent."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from heapq import merge
from typing import Final

from carecover.model import Disposition
from carecover.simulator import life as lives
from carecover.simulator.authority import CLOCK_SKEW, DatabaseRow, HighSerial, derive
from carecover.simulator.correspondence import Event, Mail, Mailer
from carecover.simulator.forgery import Forger
from carecover.simulator.life import Act, Calendar, Life, revoked_row
from carecover.simulator.mending import Mending
from carecover.simulator.rendering import DateStyle
from carecover.simulator.traces import Traces, event_of

_REBOOT_EVERY: Final = timedelta(days=30)
# Least and most ordinary mails where the scenario does not say how many.
_ORDINARY: Final = (40, 2_000)
# Between what the CA does and the Date of the mail about it.
DELAY: Final = timedelta(seconds=1)
_OTHER_CA: Final = ("Partner Issuing CA 7", "pki09.partner.example", "partner.example")


class Postbox:
    """All mails of one incident."""

    def __init__(self, traces: Traces, mending: Mending, style: DateStyle) -> None:
        self.traces = traces
        self.history = traces.history
        self.scenario = traces.scenario
        self.mending = mending
        self.mailer = Mailer(
            self.scenario.seed,
            lives.CA_NAME,
            lives.HOST,
            lives.DOMAIN,
            style,
            self.history.zone,
            self.scenario.clock_offset,
            wording=self.scenario.mail_wording,
        )
        self.forger = Forger(traces, self.mailer)

    @property
    def mails(self) -> Iterator[Mail]:
        """The mailbox that gets the CA's mails, by time."""
        return merge(
            self._submission_mails(),
            self._later_mails(),
            self._ordinary_mails(),
            iter(sorted((f.mail for f in self.forger.forgeries), key=lambda mail: mail.sent_at)),
            self._other_ca_mails(),
            self._recovery_mails(),
            key=lambda mail: mail.sent_at,
        )

    @property
    def second(self) -> Iterator[Mail]:
        """A second mailbox: the very same mails once more, and some that a person forwarded."""
        genuine = merge(self._submission_mails(), self._later_mails(), key=lambda mail: mail.sent_at)
        chosen = [
            mail for n, mail in enumerate(genuine) if self.history.share("duplicate", n) < self.scenario.duplicates
        ]
        told = [mail for mail in chosen if mail.text.strip()]
        forwarded = [
            self.mailer.forwarded(n, mail, mail.sent_at + timedelta(hours=3)) for n, mail in enumerate(told[::4])
        ]
        return merge(chosen, forwarded, key=lambda mail: mail.sent_at)

    # ------------------------------------------------------------------------- the CA's own

    def _issued_mail(self, event: Event, life: Life, i: int, at: datetime) -> Mail:
        carries = self.history.share("carries", i) < self.scenario.mail_carries_certificate
        return self.mailer.notification(event, life.request(i), at + DELAY, carries_certificate=carries)

    def _submission_mails(self) -> Iterator[Mail]:
        """What the CA says at once, by request ID: issued, pending, or denied by its policy."""
        h, traces, mailer = self.history, self.traces, self.mailer
        life = h.life
        for i in range(2, h.last + 1):
            at = life.submitted(i)
            if i in life.ca_requests or i in life.failed:
                continue
            if i in life.pending:
                if traces.arrived("pending", i):
                    yield mailer.notification("pending", life.waiting(i), at + DELAY)
            elif i in life.denied:
                if traces.arrived("denied", i):
                    yield mailer.notification("denied", life.request(i), at + DELAY)
            elif traces.arrived("issued", i):
                yield self._issued_mail("issued", life, i, at)
        second = h.second
        if traces.switched_on("startup"):
            yield mailer.notification("startup", None, h.restored_at + DELAY)
        # Two more after the export: their mails must not disturb.
        if traces.switched_on("issued"):
            for i in range(h.last_before + 1, h.restored.next_request_id + 2):
                yield self._issued_mail("issued", second, i, second.submitted(i))

    def _later_mails(self) -> Iterator[Mail]:
        """Everything else that the CA said, in order of time."""
        h, traces, mailer = self.history, self.traces, self.mailer
        life = h.life
        said: list[tuple[datetime, Event, int, Act | None]] = []
        for i, at in life.approved.items():
            said.append((at, "issued", i, None))
            if traces.retrieved(i):
                said.append((traces.retrieved_at(i), "retrieve_pending", i, None))
        said += [(at, "denied", i, None) for i, at in life.denied.items() if i in life.pending]
        for i, acts in life.acts.items():
            said += [(act.at, event_of(act), i, act) for act in acts]
        said += [(publication.at, "crl_issued", 0, None) for publication in (*h.publications, *h.deltas)]
        for at in self.reboots:
            said += [(at, "shutdown", 0, None), (at + timedelta(minutes=4), "startup", 0, None)]
        for at, event, i, act in sorted(said, key=lambda item: item[:3]):
            if i and not traces.arrived(event, i):
                continue
            if not i:
                if traces.switched_on(event) and not traces.in_outage(at):
                    yield mailer.notification(event, None, at + DELAY)
            elif act is not None:
                row = revoked_row(life.request(i), act)
                yield mailer.notification(event, row, at + DELAY)
            elif event == "denied":
                yield mailer.notification(event, life.request(i), at + DELAY)
            else:
                yield self._issued_mail(event, life, i, at)

    @cached_property
    def reboots(self) -> list[datetime]:
        """When the service was stopped; it started again four minutes later."""
        moments, at = [], self.history.start
        while at < self.history.failure - timedelta(minutes=10):
            moments.append(at)
            at += _REBOOT_EVERY
        return moments

    def _recovery_mails(self) -> Iterator[Mail]:
        for step in self.mending.steps if self.scenario.recovery_mails else ():
            if self.traces.switched_on(step.event):
                yield self.mailer.notification(step.event, step.row, step.at + DELAY)

    # ------------------------------------------------------------------------------ others'

    def _ordinary_mails(self) -> Iterator[Mail]:
        h = self.history
        count = self.scenario.ordinary_mail
        if count is None:
            count = max(_ORDINARY[0], min(h.last // 2, _ORDINARY[1]))
        # A quarter comes after the backup, so that some reply to notifications of the gap.
        early = Calendar(h.start, h.backup, h.zone)
        late = Calendar(h.backup, h.exported_at + timedelta(days=1), h.zone)
        # Quoted is only what also arrived by itself: whether quotes count changes nothing.
        quotable = {*filter(h.is_issued, range(2, min(h.last_before, 50))), *h.lost_ids[:40]}
        requests = sorted((h.issued_at(i), i) for i in quotable if self.traces.arrived("issued", i))
        rows = [h.life.request(i) for _, i in requests]
        for n in range(count):
            first = count - count // 4
            at = early.moment((n + 0.5) / first) if n < first else late.moment((n - first + 0.5) / (count - first))
            told = bisect_left(requests, (at, 0))
            yield self.mailer.ordinary(n, at, [("issued", row) for row in rows[max(told - 10, 0) : told]])

    def _other_ca_mails(self) -> Iterator[Mail]:
        """Notifications of another CA, which comes by a way of its own and makes other serial numbers."""
        h, seed = self.history, self.scenario.seed
        name, host, domain = _OTHER_CA
        mailer = replace(
            self.mailer,
            ca_name=name,
            host=host,
            domain=domain,
            mailbox=lives.DOMAIN,
            clock_offset=timedelta(),
            wording="sample",
        )
        ours = h.restored.authority.high_serial.prefix[:1]
        theirs = HighSerial("number", b"\x6d" if ours != b"\x6d" else b"\x5b")
        begin, count = h.backup - self.scenario.window, self.scenario.other_ca_mails
        for n in range(count):
            salt = derive(seed, "other CA", n)
            at = (begin + (h.failure - begin) * ((n + 0.5) / count)).replace(microsecond=0)
            request_id = h.last_before - count // 2 + n if h.last_before > count else n + 1
            template = (lives.USER, lives.WEB)[salt[0] % 2]
            holder = h.life.holder(request_id + 7, template)
            row = DatabaseRow(
                request_id=request_id,
                disposition=Disposition.ISSUED,
                submitted_at=at,
                requester=holder.requester.replace(lives.NETBIOS, "PARTNER"),
                subject=holder.text,
                template=template,
                serial=theirs.serial(request_id, 0, salt[8:16]),
                not_before=at - CLOCK_SKEW,
                not_after=at - CLOCK_SKEW + template.validity,
                thumbprint=salt[:20].hex(),
                message="Issued",
            )
            event: Event = "issued"
            if n % 4 == 3:
                event, row = "revoked", revoked_row(row, Act(at, at, 4))
            yield mailer.notification(event, row, at + DELAY)
