"""The history of one incident: two lives of one CA.

The first life goes from the CA's first day to the failure, the second from the backup (the
restore sets the CA back to it) to the export of the database. Which acts happen is decided
here by the scenario and its seed alone; what of them left a trace, in ``traces``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from carecover.model import SerialNumber
from carecover.simulator import life as lives
from carecover.simulator.authority import (
    CLOCK_SKEW,
    Authority,
    DatabaseRow,
    HighSerial,
    derive,
)
from carecover.simulator.life import HOLD, UNREVOKE, Calendar, Life, Publication, between, share, spread
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
        self.deltas = self._publish_deltas()
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

    def _publish_deltas(self) -> list[Publication]:
        """Delta CRLs at even intervals after the last base CRL; they count on with its numbers."""
        count, last = self.scenario.delta_crls, self.last_crl
        return [
            Publication(last.number + n, between(last.at, self.failure, n / (count + 1))) for n in range(1, count + 1)
        ]

    @property
    def last_publication(self) -> Publication:
        """The last CRL of any kind before the failure."""
        return self.deltas[-1] if self.deltas else self.last_crl

    def _live(self) -> None:
        """The first life: how many requests of which kind, and what became of them."""
        s = self.scenario
        before = s.certificates - s.lost_count
        late = _count(s.late_approvals, s.lost_count // 12, s.lost_count - 1)
        approved, pending, denied = before // 40, before // 200 + (before >= 50), before // 30
        self.last_before = 1 + (s.renewal != "none") + before + pending + late + denied
        window_pending = _count(s.pending, s.lost_count // 12 + 1)
        window_denied = _count(s.denied, s.lost_count // 12 + 1)
        width = s.lost_count - late + window_pending + window_denied + s.failed + (s.lost_renewal != "none")
        self.last = self.last_before + width
        self.life = self._born(self._submissions(width))

        known, window = (2, self.last_before), (self.last_before + 1, self.last)
        rare = self.pick("rare", *known, approved + pending + late + denied, self._unsettled)
        self._settle(rare, approved, late, denied, self.backup)
        rare = self.pick("rare in window", *window, window_pending + window_denied + s.failed, self._unsettled)
        decided = len(rare) - s.failed
        self._settle(rare[:decided], 0, 0, window_denied, self.failure)
        self.life.failed.update(rare[decided:])
        for i in self.pick("approved in window", *window, (s.lost_count - late) // 8, self._unsettled):
            soon = 0.02 + 0.6 * self.share("approved", i)
            self.life.pending.add(i)
            self.life.approved[i] = between(self.life.submitted(i), self.failure, soon)
        self._revoke_before()
        self._revoke_in_window()
        self.found_known = set(self.pick("found", *known, min(5, before // 10), self._is_known))
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
        if s.lost_renewal != "none":
            own.append((self.last_before + 1 + self.last) // 2)
        for index, request_id in enumerate(own):
            at = submitted(request_id)
            kind = s.lost_renewal if index and at >= self.backup else s.renewal
            same_key = index > 0 and kind == "same_key"
            authority.renew(at - CLOCK_SKEW, at + _CA_VALIDITY, new_key=not same_key)
        return Life(
            s.seed,
            "first",
            authority,
            tuple(submitted(i) for i in own[1:]),
            submitted,
            signs=lambda i: s.certificates <= SIGN_ALL or i > self.last_before or i in self._needed,
            ca_requests={request_id: index for index, request_id in enumerate(own)},
            not_persisted=s.not_persisted,
            own_keys=s.audit_version == 0,
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
        for i in self.pick("revoked before", 2, self.last_before, before // 25, self._is_known):
            life.act(i, self._moment("revoked", i, self.start, self.backup), self._reason(i))
        held = self.pick("held before", 2, self.last_before, releases + before // 100, self._lives_on)
        for i in held:
            life.act(i, self._moment("held", i, self.start, self.backup), HOLD)
        for i in held[:releases]:
            life.act(i, self._moment("released", i, self.backup, self.failure), UNREVOKE)
            self._needed.add(i)

    def _revoke_in_window(self) -> None:
        s, life = self.scenario, self.life
        count = _count(s.lost_revocations, s.lost_count // 5 + 1)
        known = self.pick("lost revocations", 2, self.last_before, count, self._lives_on)
        lost = [i for i in self.lost_ids if i not in life.acts and life.persists(i)]
        lost = spread(s.seed, "revoked lost", lost, _count(s.revoked_lost, s.lost_count // 5, s.lost_count))
        for chosen in (known, lost):
            holds = _count(s.holds, len(chosen) // 4, len(chosen))
            for n, i in enumerate(chosen):
                reason = HOLD if n < holds else self._reason(i)
                life.act(i, self._moment("revoked", i, self.backup, self.failure), reason)
        count = _count(s.passing_holds, s.lost_count // 25)
        passing = [
            *self.pick("passing holds", 2, self.last_before, count, self._outlives),
            *spread(s.seed, "passing holds", list(filter(self._outlives_lost, self.lost_ids)), count),
        ]
        for i in passing:
            # Both acts lie on one side of the last CRL, base or delta: a list between them would be stale
            # evidence, which shows a hold where there is none any more.
            begin = max(self.issued_at(i), self.backup)
            if begin + timedelta(minutes=5) < self.last_crl.at:
                end = self.last_crl.at
            else:
                begin, end = max(begin, self.last_publication.at), self.failure
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
        numbers = [p.number for p in (*known, *self.deltas) if p.at < self.backup]
        self.restored = RestoredState(
            authority=authority,
            crl_number=max(numbers, default=0),
            published_at=known[-1].at if known else self.start,
            next_request_id=first + s.after_restore,
            exported_at=self.exported_at,
            make_rows=self._restored_rows,
        )

    def _restored_rows(self) -> Iterator[DatabaseRow]:
        for i in range(1, self.last_before + 1):
            if self.life.persists(i):
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
        return not any(request_id in settled for settled in (life.ca_requests, life.pending, life.denied, life.failed))

    def _is_known(self, request_id: int) -> bool:
        """Issued before the backup, with a row, and nothing was done about it yet."""
        return (
            self.is_issued(request_id)
            and self.issued_at(request_id) < self.backup
            and request_id not in self.life.acts
            and self.life.persists(request_id)
        )

    def _lives_on(self, request_id: int) -> bool:
        """Known, and still worth an act after the backup."""
        ends = self.backup + timedelta(minutes=30)
        return self._is_known(request_id) and self.life.not_after(request_id) > ends

    def is_good(self, request_id: int) -> bool:
        """A row that nothing ever happened to, of a certificate that is valid beyond the failure."""
        return request_id > 1 and self._outlives(request_id) and request_id not in self.found_known

    def _outlives(self, request_id: int) -> bool:
        """Known, and valid beyond the failure."""
        return self._is_known(request_id) and self.life.not_after(request_id) > self.failure

    def _outlives_lost(self, request_id: int) -> bool:
        """Lost, untouched, and valid beyond the failure."""
        life = self.life
        return request_id not in life.acts and life.persists(request_id) and life.not_after(request_id) > self.failure

    @cached_property
    def forgotten_ids(self) -> list[int]:
        """Requests whose certificate was issued before the backup and never got a row."""
        if not self.scenario.not_persisted:
            return []
        return [i for i in range(2, self.last_before + 1) if self.is_issued(i) and not self.life.persists(i)]

    def serial(self, request_id: int) -> SerialNumber:
        """The serial number of a certificate of the first life."""
        life = self.life
        index = life.ca_cert_index(request_id)
        return life.authority.serial_for(request_id, ca_cert_index=index, life=life.name)

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

    def pick(self, label: str, first: int, last: int, count: int, suits: Callable[[int], bool]) -> list[int]:
        """Up to ``count`` of the requests ``first`` to ``last`` that suit, by the seed's choice."""
        population = range(first, last + 1)
        # Where most suit, a sample is enough; a small CA is looked at as a whole.
        size = len(population) if len(population) <= 10_000 else min(20 * count + 1_000, len(population))
        return list(islice(filter(suits, spread(self.scenario.seed, label, population, size)), count))


def _count(value: int | None, scaled: int, limit: int = MAX_CERTIFICATES) -> int:
    return max(0, min(scaled if value is None else value, limit))
