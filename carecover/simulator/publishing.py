"""The CRLs of a simulated CA: who is on them, which number they have, and when the service writes them by itself.

PublishCRL, [MS-CSRA] 3.1.4.1.6: one base CRL for each key, and a delta with it where the CA makes deltas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from carecover.model import RevocationReason
from carecover.simulator.authority import CLOCK_SKEW, Authority, CrlEntry, DatabaseRow, der, stays_on_crl
from carecover.simulator.behaviour import Behaviour
from carecover.simulator.rebuild import CrlCounter
from carecover.simulator.rendering import CrlTableRow

# Between two calls lies a second; only a test lets years pass.
MAX_MISSED: Final = 100


@dataclass(frozen=True, slots=True)
class _Written:
    """One CRL of the database's table."""

    number: int
    key: int
    published_at: datetime | None
    base: int = 0
    """CRLMinBase: the number of the base that a delta belongs to."""


class Publisher:
    """Numbers, files and times of one CA's CRLs."""

    def __init__(
        self,
        authority: Authority,
        counters: Mapping[int, CrlCounter],
        behaviour: Behaviour,
        rows: Callable[[], Iterable[DatabaseRow]],
        now: datetime,
    ) -> None:
        """``counters`` are what the database knows of each key's last base; ``rows`` gives those revoked now."""
        self._authority = authority
        self._behaviour = behaviour
        self._rows = rows
        self._last = dict(counters)
        self._newest = {key: counter.number for key, counter in counters.items()}
        self._table = {(key, False): _Written(c.number, key, c.published_at) for key, c in counters.items()}
        self._due = None if behaviour.publishes_by_timer is None else now + behaviour.publishes_by_timer
        self.bases: dict[int, bytes] = {}
        """DER of the last base CRL by key index, where one was made here."""
        self.deltas: dict[int, bytes] = {}
        self.elsewhere: dict[int, bytes] = {}
        """The base CRLs as they lie at the place that a failing publication does not reach."""

    def passed(self, now: datetime) -> Iterator[datetime]:
        """The moments, up to now, at which the service is to publish by itself; of very many the last ones."""
        period = self._behaviour.publishes_by_timer
        if period is None or self._due is None or self._due > now:
            return
        missed = (now - self._due) // period
        first, self._due = self._due, self._due + (missed + 1) * period
        for number in range(max(0, missed - MAX_MISSED), missed + 1):
            yield first + number * period

    def publish(self, now: datetime, *, keep_expired: bool, everywhere: bool = True) -> None:
        """Write new CRLs of all keys; ``keep_expired`` is CRLF_PUBLISH_EXPIRED_CERT_CRLS."""
        entries: dict[int, list[CrlEntry]] = {key: [] for key in self._authority.keys}
        for row in self._rows():
            key = (row.issuer_name_id or 0) >> 16
            if row.serial is not None and key in entries and row.reason != RevocationReason.REMOVE_FROM_CRL:
                previous = self._last[key].published_at if key in self._last else None
                ended = row.not_after is not None and row.not_after < now and not keep_expired
                if not (ended and row.not_after and not stays_on_crl(row.not_after, previous)):
                    since = row.effective_revoked_at or row.revoked_at or now
                    entries[key].append(CrlEntry(row.serial, since, row.reason or 0))
        highest = max(self._newest.values(), default=0)
        for key, listed in entries.items():
            before = self._newest.get(key, 0) if self._behaviour.crl_numbers == "per key" else highest
            self._write(key, listed, before + 1, now)
        if everywhere:
            self.elsewhere = dict(self.bases)

    def _write(self, key: int, entries: list[CrlEntry], number: int, now: datetime) -> None:
        self.bases[key] = self._signed(key, entries, number, now)
        self._table[key, False] = _Written(number, key, now)
        self._newest[key] = number
        if self._behaviour.delta_crls != "none":
            # Everything is on the base that was just made, so its delta is empty.
            own = number + (self._behaviour.delta_crls == "own number")
            self.deltas[key] = self._signed(key, [], own, now, base=number)
            self._table[key, True] = _Written(own, key, now, base=number)
            self._newest[key] = own
        self._last[key] = CrlCounter(number, now)

    def _signed(self, key: int, entries: list[CrlEntry], number: int, now: datetime, base: int | None = None) -> bytes:
        publish = now + self._behaviour.crl_period
        return der(
            self._authority.sign_crl(
                entries,
                number=number,
                this_update=now - CLOCK_SKEW,
                next_update=publish + self._behaviour.crl_overlap,
                next_publish=publish,
                key_index=key,
                base_number=base,
            )
        )

    def table(self) -> list[CrlTableRow]:
        """The CRL table: here the last base CRL of each key, and its delta; a real one keeps many."""
        rows = []
        for row_id, written in enumerate((self._table[at] for at in sorted(self._table)), start=1):
            at = written.published_at
            end = at and at + self._behaviour.crl_period + self._behaviour.crl_overlap
            name_id = self._authority.issuer_name_id(self._authority.certificate_of_key(written.key))
            since = at and at - CLOCK_SKEW
            rows.append(CrlTableRow(row_id, written.number, name_id, since, end, at, min_base=written.base))
        return rows
