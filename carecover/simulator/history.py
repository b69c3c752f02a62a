"""The history of one incident: two lives of one CA, and what of it left a trace.

The first life goes from the CA's first day to the failure, the second from the backup (the
restore sets the CA back to it) to the export of the database. Which acts happen, and which
of them a mail, a CRL, an audit event or a certificate found elsewhere shows, is decided
here by the scenario and its seed alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from cryptography import x509

from carecover.model import SerialNumber
from carecover.simulator import life as lives
from carecover.simulator.authority import (
    CLOCK_SKEW,
    Authority,
    CrlEntry,
    DatabaseRow,
    HighSerial,
    derive,
    stays_on_crl,
)
from carecover.simulator.correspondence import Event
from carecover.simulator.life import HOLD, UNREVOKE, Act, Calendar, Life, Publication, between, share, spread
from carecover.simulator.scenario import MAX_CERTIFICATES, Scenario

# Signing costs about 0.15 ms a certificate; up to here everything is signed.
SIGN_ALL: Final = 20_000
_CA_VALIDITY: Final = timedelta(days=12 * 365)


@dataclass(frozen=True)
class RestoredState:
    """The restored CA at the moment of the export: what a stand-in CA needs to go on."""

    authority: Authority
    crl_number: int
    """Number of the last base CRL that it remembers."""
    published_at: datetime
    """When that CRL was published."""
    next_request_id: int
    exported_at: datetime
    make_rows: Callable[[], Iterator[DatabaseRow]]

    @property
    def rows(self) -> Iterator[DatabaseRow]:
        """All rows by request ID; ``certificate`` is filled where it was really signed."""
        return self.make_rows()


class History:
    """What happened in one scenario; request IDs stand for requests and their certificates."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.failure = scenario.failure.astimezone(UTC)
        self.backup = self.failure - scenario.window
        self.start = self.backup - scenario.history
        self.restored_at = self.failure + timedelta(hours=30)
        self.exported_at = self.restored_at + timedelta(hours=20)
        self.zone = ZoneInfo(scenario.time_zone)
        self.publications = self._publish()
        self.last_crl = self.publications[-1]
        self._needed: set[int] = set()
        self._live()
        self._restore()

    # -------------------------------------------------------------------- what happened

    def _publish(self) -> list[Publication]:
        """Base CRLs at even intervals, the last one a little before the failure."""
        period = self.scenario.crl_period
        last = (self.failure - period * 0.3).replace(microsecond=0)
        count = max(int((last - self.start) / period), 0)
        return [Publication(i + 1, last - period * (count - i)) for i in range(count + 1)]

    def _live(self) -> None:
        """The first life: how many requests of which kind, and what became of them."""
        s = self.scenario
        before = s.certificates - s.lost_count
        late = _count(s.late_approvals, s.lost_count // 12, s.lost_count - 1)
        approved, pending, denied = before // 40, before // 200 + (before >= 50), before // 30
        self.last_before = 1 + (s.renewal != "none") + before + pending + late + denied
        window_pending = _count(s.pending, s.lost_count // 12 + 1)
        window_denied = _count(s.denied, s.lost_count // 12 + 1)
        width = s.lost_count - late + window_pending + window_denied + s.lost_renewal
        self.last = self.last_before + width
        self.life = self._born(self._submissions(width))

        known, window = (2, self.last_before), (self.last_before + 1, self.last)
        rare = self._pick("rare", *known, approved + pending + late + denied, self._unsettled)
        self._settle(rare, approved, late, denied, self.backup)
        rare = self._pick("rare in window", *window, window_pending + window_denied, self._unsettled)
        self._settle(rare, 0, 0, window_denied, self.failure)
        for i in self._pick("approved in window", *window, (s.lost_count - late) // 8, self._unsettled):
            decided = 0.02 + 0.6 * self.share("approved", i)
            self.life.pending.add(i)
            self.life.approved[i] = between(self.life.submitted(i), self.failure, decided)
        self._revoke_before()
        self._revoke_in_window()
        self.found_known = set(self._pick("found", *known, min(5, before // 10), self._is_known))
        self._needed |= self.found_known

    def _submissions(self, width: int) -> Callable[[int], datetime]:
        """When each request came, by its ID; ``width`` of them came between backup and failure."""
        known = Calendar(self.start, self.backup, self.zone)
        window = Calendar(self.backup, self.failure, self.zone)
        second = timedelta(seconds=1)

        @lru_cache(maxsize=4_096)  # asked for again and again while one request is told
        def submitted(request_id: int) -> datetime:
            if request_id == 1:
                return self.start
            jitter = derive(self.scenario.seed, "jitter", request_id)[0] / 256
            if request_id <= self.last_before:
                moment = known.moment((request_id - 2 + jitter) / (self.last_before - 1))
                return min(max(moment, self.start), self.backup - second)
            moment = window.moment((request_id - self.last_before - 1 + jitter) / width)
            return min(max(moment, self.backup + second), self.failure - second)

        return submitted

    def _born(self, submitted: Callable[[int], datetime]) -> Life:
        """The CA with all certificates that it will ever have before the failure."""
        s = self.scenario
        authority = Authority(
            s.seed, lives.CA_SUBJECT, HighSerial.of(s.serial_layout, s.seed), f"http://pki.{lives.DOMAIN}"
        )
        own = [1]
        if s.renewal != "none":
            own.append(2 + (self.last_before - 2) * 3 // 5)
        if s.lost_renewal:
            own.append((self.last_before + 1 + self.last) // 2)
        for index, request_id in enumerate(own):
            at = submitted(request_id)
            same_key = index == 1 and s.renewal == "same_key"
            authority.renew(at - CLOCK_SKEW, at + _CA_VALIDITY, new_key=not same_key)
        return Life(
            s.seed,
            "first",
            authority,
            tuple(submitted(i) for i in own[1:]),
            submitted,
            signs=lambda i: s.certificates <= SIGN_ALL or i > self.last_before or i in self._needed,
            ca_requests={request_id: index for index, request_id in enumerate(own)},
        )

    def _settle(self, ids: Sequence[int], approved: int, late: int, denied: int, end: datetime) -> None:
        """Officers decide: the first ``approved`` of ids, then ``late`` in the window, then ``denied``."""
        life = self.life
        for n, i in enumerate(ids):
            came = life.submitted(i)
            soon = min(came + timedelta(days=2), end)
            if n < approved:
                life.approved[i] = between(came, soon, 0.05 + 0.6 * self.share("approved", i))
            elif n < approved + late:
                moment = between(self.backup, self.failure, 0.1 + 0.8 * self.share("approved", i))
                life.approved[i] = max(moment, self.backup + timedelta(seconds=1))
                self._needed.add(i)
            elif n < approved + late + denied:
                life.denied[i] = came if i % 2 else between(came, soon, 0.3)
                if i % 2:
                    continue
            life.pending.add(i)

    def _revoke_before(self) -> None:
        s, life = self.scenario, self.life
        before = s.certificates - s.lost_count
        releases = _count(s.releases, s.lost_count // 12 + 1, before // 4)
        for i in self._pick("revoked before", 2, self.last_before, before // 25, self._is_known):
            life.act(i, self._moment("revoked", i, self.start, self.backup), self._reason(i))
        held = self._pick("held before", 2, self.last_before, releases + before // 100, self._lives_on)
        for i in held:
            life.act(i, self._moment("held", i, self.start, self.backup), HOLD)
        for i in held[:releases]:
            life.act(i, self._moment("released", i, self.backup, self.failure), UNREVOKE)
            self._needed.add(i)

    def _revoke_in_window(self) -> None:
        s, life = self.scenario, self.life
        count = _count(s.lost_revocations, s.lost_count // 5 + 1)
        known = self._pick("lost revocations", 2, self.last_before, count, self._lives_on)
        lost = [i for i in self.lost_ids if i not in life.acts]
        lost = spread(s.seed, "revoked lost", lost, _count(s.revoked_lost, s.lost_count // 5, s.lost_count))
        for chosen in (known, lost):
            holds = _count(s.holds, len(chosen) // 4, len(chosen))
            for n, i in enumerate(chosen):
                reason = HOLD if n < holds else self._reason(i)
                life.act(i, self._moment("revoked", i, self.backup, self.failure), reason)
        count = _count(s.passing_holds, s.lost_count // 25)
        passing = [
            *self._pick("passing holds", 2, self.last_before, count, self._outlives),
            *spread(s.seed, "passing holds", list(filter(self._outlives_lost, self.lost_ids)), count),
        ]
        for i in passing:
            # Both acts lie on one side of the last CRL: a list between them would be stale evidence,
            # which shows a hold where there is none any more.
            begin = max(self.issued_at(i), self.backup)
            if begin + timedelta(minutes=5) < self.last_crl.at:
                end = self.last_crl.at
            else:
                begin, end = max(begin, self.last_crl.at), self.failure
            life.act(i, between(begin, end, 0.3), HOLD)
            life.act(i, between(begin, end, 0.7), UNREVOKE)
        self.passing = set(passing)
        self._needed.update(known, lost, passing)

    def _restore(self) -> None:
        """The CA goes on from the backup: same request IDs, same CRL numbers, other certificates."""
        s, old = self.scenario, self.life
        survived = 1 + sum(moment < self.backup for moment in old.renewed_at)
        authority = replace(
            old.authority,
            certificates=old.authority.certificates[:survived],
            key_index=old.authority.key_index[:survived],
        )
        step = (self.exported_at - self.restored_at) / (s.after_restore + 2)
        first = self.last_before + 1

        def submitted(request_id: int) -> datetime:
            # Two more come after the export: their mails must not disturb.
            n = request_id - first + 1
            late = max(0, n - s.after_restore)
            return (self.restored_at + step * (n + late)).replace(microsecond=0)

        self.second = Life(
            s.seed, "restored", authority, old.renewed_at[: survived - 1], submitted, signs=lambda _: True
        )
        known = [p for p in self.publications if p.at < self.backup]
        self.restored = RestoredState(
            authority=authority,
            crl_number=known[-1].number if known else 0,
            published_at=known[-1].at if known else self.start,
            next_request_id=first + s.after_restore,
            exported_at=self.exported_at,
            make_rows=self._restored_rows,
        )

    def _restored_rows(self) -> Iterator[DatabaseRow]:
        for i in range(1, self.last_before + 1):
            yield self.life.row(i, self.backup)
        for i in self.reissued_ids:
            yield self.second.row(i, self.exported_at)

    # -------------------------------------------------------------------- small questions

    @property
    def reissued_ids(self) -> range:
        """Request IDs that the restored CA handed out before the export."""
        return range(self.last_before + 1, self.last_before + 1 + self.scenario.after_restore)

    @property
    def pending_ids(self) -> list[int]:
        """Requests that came after the backup and were undecided at the failure."""
        undecided = self.life.pending - set(self.life.approved) - set(self.life.denied)
        return sorted(i for i in undecided if i > self.last_before)

    @cached_property
    def lost_ids(self) -> list[int]:
        """Requests whose certificate was issued between backup and failure."""
        life = self.life
        late = sorted(i for i, at in life.approved.items() if at >= self.backup and i <= self.last_before)
        return late + [i for i in range(self.last_before + 1, self.last + 1) if self.is_issued(i)]

    def is_issued(self, request_id: int) -> bool:
        """Whether a request of the first life led to a certificate (the CA's own ones left aside)."""
        life = self.life
        return request_id not in life.ca_requests and life.resolved(request_id) is not None

    def _unsettled(self, request_id: int) -> bool:
        life = self.life
        return not (request_id in life.ca_requests or request_id in life.pending or request_id in life.denied)

    def _is_known(self, request_id: int) -> bool:
        """Issued before the backup, and nothing was done about it yet."""
        return (
            self.is_issued(request_id) and self.issued_at(request_id) < self.backup and request_id not in self.life.acts
        )

    def _lives_on(self, request_id: int) -> bool:
        """Known, and still worth an act after the backup."""
        ends = self.backup + timedelta(minutes=30)
        return self._is_known(request_id) and self.life.not_after(request_id) > ends

    def _outlives(self, request_id: int) -> bool:
        """Known, and valid beyond the failure."""
        return self._is_known(request_id) and self.life.not_after(request_id) > self.failure

    def _outlives_lost(self, request_id: int) -> bool:
        """Lost, untouched, and valid beyond the failure."""
        return request_id not in self.life.acts and self.life.not_after(request_id) > self.failure

    def issued_at(self, request_id: int) -> datetime:
        """When the certificate was issued; the failure where none was."""
        return self.life.resolved(request_id) or self.failure

    def _moment(self, label: str, request_id: int, start: datetime, end: datetime) -> datetime:
        """A time for an act: within the bounds and within the certificate's life."""
        begin = max(start, self.issued_at(request_id))
        stop = min(end, self.life.not_after(request_id))
        return between(begin, stop, 0.02 + 0.95 * self.share(label, request_id))

    def _reason(self, request_id: int) -> int:
        return lives.REASONS[self.life.draw(request_id)[10] % len(lives.REASONS)]

    def share(self, *labels: object) -> float:
        """A number from 0 up to 1 that the seed and the labels determine."""
        return share(*labels, seed=self.scenario.seed)

    def _pick(self, label: str, first: int, last: int, count: int, suits: Callable[[int], bool]) -> list[int]:
        """Up to ``count`` of the requests ``first`` to ``last`` that suit, by the seed's choice."""
        population = range(first, last + 1)
        # Where most suit, a sample is enough; a small CA is looked at as a whole.
        size = len(population) if len(population) <= 10_000 else min(20 * count + 1_000, len(population))
        return list(islice(filter(suits, spread(self.scenario.seed, label, population, size)), count))

    # -------------------------------------------------------------------- what left a trace

    @cached_property
    def last_crls(self) -> dict[int, x509.CertificateRevocationList]:
        """The last base CRL before the failure, by key index."""
        authority, at = self.life.authority, self.last_crl.at
        published = 1 + sum(moment < at for moment in self.life.renewed_at)
        period = self.scenario.crl_period
        return {
            key: authority.sign_crl(
                (
                    CrlEntry(self.serial(i), act.effective, act.reason)
                    for i, act in self.on_last_crl.items()
                    if authority.key_index[self.life.ca_cert_index(i)] == key
                ),
                number=self.last_crl.number,
                this_update=at - CLOCK_SKEW,
                # AD CS lets a CRL overlap the next one; ten percent of the period, at most twelve hours.
                next_update=(at + period + min(period / 10, timedelta(hours=12))).replace(microsecond=0),
                next_publish=(at + period).replace(microsecond=0),
                key_index=key,
            )
            for key in sorted(set(authority.key_index[:published]))
        }

    @cached_property
    def on_last_crl(self) -> dict[int, Act]:
        """What the last CRL before the failure lists, newest first."""
        previous = self.publications[-2].at if len(self.publications) > 1 else None
        listed = {}
        for i in self.life.acts:
            act = self.life.last_act(i, self.last_crl.at)
            if act is not None and act.reason != UNREVOKE and stays_on_crl(self.life.not_after(i), previous):
                listed[i] = act
        return dict(sorted(listed.items(), key=lambda item: (item[1].at, item[0]), reverse=True))

    @cached_property
    def found_ids(self) -> frozenset[int]:
        """Lost certificates whose original was found elsewhere."""
        return frozenset(i for i in self.lost_ids if self.share("found", i) < self.scenario.originals)

    def arrived(self, event: Event, request_id: int) -> bool:
        """Whether a notification exists; passing holds keep theirs, or the evidence would lie."""
        if not self.scenario.mail:
            return False
        lossless = request_id in self.passing and event in ("revoked", "unrevoked")
        return lossless or self.share("mail", event, request_id) >= self.scenario.lost_mails

    def retrieved_at(self, request_id: int) -> datetime:
        """When the requester fetched a certificate that an officer had approved."""
        delay = timedelta(minutes=int(30 + 2_000 * self.share("retrieved", request_id)))
        return self.life.approved[request_id] + delay

    def retrieved(self, request_id: int) -> bool:
        """Whether that was before the failure."""
        return request_id in self.life.approved and self.retrieved_at(request_id) < self.failure

    def serial(self, request_id: int) -> SerialNumber:
        """The serial number of a certificate of the first life."""
        life = self.life
        index = life.ca_cert_index(request_id)
        return life.authority.serial_for(request_id, ca_cert_index=index, life=life.name)

    def _checkable(self, request_id: int) -> bool:
        """Whether a signature can be checked: nobody has the certificate of a key that was lost."""
        key = self.life.authority.key_index[self.life.ca_cert_index(request_id)]
        return key in self.restored.authority.keys

    def _listed(self, request_id: int) -> Act | None:
        """What the last CRL says, if it is handed in and can be checked."""
        known = self.scenario.crl and self._checkable(request_id)
        return self.on_last_crl.get(request_id) if known else None

    def _unlisted(self, request_id: int, released: Act) -> bool:
        """Whether the last CRL shows a release: on hold before it, valid, and not on it."""
        published = self.last_crl.at
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
        if last.reason == UNREVOKE and self._unlisted(request_id, last):
            shown.append("crl_absence")
        if self.scenario.audit:
            shown.append("audit")
        return shown

    def shown_by(self, request_id: int) -> list[str]:
        """What reveals that a lost certificate exists."""
        life, shown = self.life, []
        if self.arrived("issued", request_id):
            shown.append("mail_issued")
        if self.retrieved(request_id) and self.arrived("retrieve_pending", request_id):
            shown.append("mail_retrieved")
        events = {event_of(act) for act in life.acts.get(request_id, ())}
        shown += [f"mail_{event}" for event in sorted(events) if self.arrived(event, request_id)]
        if self._listed(request_id):
            shown.append("crl")
        if self.scenario.audit:
            shown.append("audit")
        if request_id in self.found_ids and self._checkable(request_id):
            shown.append("found")
        return shown


def event_of(act: Act) -> Event:
    """The notification that an act causes."""
    return "unrevoked" if act.reason == UNREVOKE else "revoked"


def _count(value: int | None, scaled: int, limit: int = MAX_CERTIFICATES) -> int:
    return max(0, min(scaled if value is None else value, limit))
