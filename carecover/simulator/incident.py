"""Whole incidents with known truth: what a responder is handed, and what really happened.

A simulated CA issues, revokes, holds and publishes for months, is backed up, lives on,
fails and is restored; what the restored CA no longer knows is the gap. ``evidence/`` is
what a responder would have, ``facts.json`` what people know, ``truth.json`` what happened;
the product never reads the truth, and nothing here uses the readers of evidence.

``truth.json`` (format 1): ``ca``, ``scenario`` and ``times``; ``lost`` (every certificate
issued between backup and failure: serial, request_id, template, subject, requester,
not_before, not_after, thumbprint, certificate_sha256, state issued/revoked/held, reason,
revoked_at, ``shown_by``, ``revocation_shown_by``, and up to 5,000 of them the DER in
base64); ``lost_revocations`` and ``lost_releases`` with their ``shown_by``; ``requests``
(fate of every request in the window), ``reissued_request_ids``, ``collisions``, ``crl``
(last published and restored CRL number) and ``expected``: the serials by finding kind
that perfect reading of the evidence shows. ``shown_by`` names what reveals a thing:
mail_issued, mail_retrieved, mail_revoked, mail_unrevoked, crl, audit, found; where it is
empty nothing can.

The same scenario gives the same bytes. Up to SIGN_ALL certificates every row's hash is
that of a real certificate; above, rows of certificates that appear nowhere else have an
invented one, because signing a million certificates that nobody looks at is waste.
"""

from __future__ import annotations

import json
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from heapq import merge
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from carecover.errors import PathError, RefusedError, UsageError
from carecover.model import CaseFacts, sha256_hex, utc_text
from carecover.simulator import life as lives
from carecover.simulator.authority import (
    CLOCK_SKEW,
    Authority,
    CrlEntry,
    DatabaseRow,
    HighSerial,
    SerialLayout,
    der,
    derive,
    stays_on_crl,
)
from carecover.simulator.correspondence import Event, Mail, Mailer
from carecover.simulator.life import HOLD, UNREVOKE, Act, Calendar, Life, Publication, between, share, spread
from carecover.simulator.rendering import DateLocale, DateStyle, pem, view_columns, view_csv, view_text
from carecover.simulator.surroundings import Archive, ArchiveFormat, security_log

# Signing costs about 0.15 ms a certificate; up to here everything is signed.
SIGN_ALL: Final = 20_000
# Truth carries the certificates themselves up to here (one is about 1.5 kB of base64).
MAX_CERTIFICATES_IN_TRUTH: Final = 5_000
MAX_CERTIFICATES: Final = 2_000_000
# The audit log holds so much before the backup: logs are rotated.
_AUDIT_BEFORE_BACKUP: Final = timedelta(days=7)
_REBOOT_EVERY: Final = timedelta(days=30)

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

Renewal = Literal["none", "same_key", "new_key"]
Encoding = Literal["cp850", "utf-8", "utf-16"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Every knob of an incident. A count of None is scaled to the size of the incident.

    Counts are upper bounds: a CA of ten certificates cannot have fifty revocations.
    Raises UsageError for a value outside its list or range.
    """

    seed: int = 1
    certificates: int = 200
    """Certificates issued before the failure, the lost ones among them."""
    lost: int | None = None
    """Of these, issued between backup and failure."""
    format: ArchiveFormat = "mbox"
    language: str = "en"
    serial_layout: SerialLayout = "number"
    time_zone: str = "Europe/Berlin"
    date_locale: DateLocale = "en-US"
    gmt: bool = False
    """The view was exported with -gmt."""
    encoding: Encoding = "cp850"
    """Of the view files: cmd's code page, or UTF-16 as PowerShell redirects."""
    failure: datetime = datetime(2026, 10, 6, 11, 47, 12, tzinfo=UTC)
    window: timedelta = timedelta(days=9, hours=9, minutes=47, seconds=12)
    """From backup to failure."""
    history: timedelta = timedelta(days=300)
    """From the CA's first day to the backup."""
    crl_period: timedelta = timedelta(days=3)
    renewal: Renewal = "none"
    """Of the CA certificate, before the backup."""
    lost_renewal: bool = False
    """The CA certificate was renewed with a new key between backup and failure."""
    mail: bool = True
    crl: bool = True
    audit: bool = False
    originals: float = 0.3
    """Share of the lost certificates whose original was found elsewhere."""
    mail_carries_certificate: float = 0.25
    """Share of the issued notifications that carry the certificate."""
    lost_mails: float = 0.0
    """Share of the notifications that never arrived."""
    ordinary_mail: int | None = None
    lost_revocations: int | None = None
    """Certificates from before the backup, revoked between backup and failure."""
    revoked_lost: int | None = None
    """Lost certificates that were revoked before the failure."""
    holds: int | None = None
    """How many of each of these two are on hold rather than revoked."""
    releases: int | None = None
    """Certificates on hold at the backup, released before the failure."""
    passing_holds: int | None = None
    """Certificates held and released again between backup and failure: no finding."""
    late_approvals: int | None = None
    """Lost certificates whose request was pending at the backup."""
    pending: int | None = None
    denied: int | None = None
    after_restore: int = 3
    """Certificates that the restored CA issued before the export; they take lost request IDs again."""

    def __post_init__(self) -> None:
        """Refuse what no incident can be."""
        if self.language != "en":
            raise UsageError(f"Mails in '{self.language}' cannot be simulated yet; only 'en' can.")
        for name, choices in (
            ("format", get_args(ArchiveFormat)),
            ("serial_layout", get_args(SerialLayout)),
            ("date_locale", get_args(DateLocale)),
            ("renewal", get_args(Renewal)),
            ("encoding", get_args(Encoding)),
        ):
            if getattr(self, name) not in choices:
                raise UsageError(f"{name} is '{getattr(self, name)}'; it must be one of {', '.join(choices)}.")
        if not 2 <= self.certificates <= MAX_CERTIFICATES:
            raise UsageError(f"An incident has 2 to {MAX_CERTIFICATES:,} certificates, not {self.certificates}.")
        if self.lost is not None and not 1 <= self.lost < self.certificates:
            raise UsageError(
                f"{self.lost} of {self.certificates} certificates cannot be lost: at least one is, and one is not."
            )
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, float) and not 0 <= value <= 1:
                raise UsageError(f"{item.name} is a share from 0 to 1, not {value}.")
            if isinstance(value, int) and item.name != "seed" and value < 0:
                raise UsageError(f"{item.name} cannot be negative.")
        if self.failure.tzinfo is None or self.failure.microsecond:
            raise UsageError("The time of the failure needs a time zone, and is given in whole seconds.")
        if self.window < timedelta(hours=1) or self.history < timedelta(days=1):
            raise UsageError("At least a day passes before the backup, and an hour between it and the failure.")
        if self.crl_period < timedelta(hours=1):
            raise UsageError("CRLs are published at most once an hour.")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise UsageError(f"'{self.time_zone}' is no time zone; names look like Europe/Berlin.") from None

    @property
    def lost_count(self) -> int:
        """``lost``, or its scaled value."""
        if self.lost is not None:
            return self.lost
        return self.certificates // 4 if self.certificates < 100 else max(25, self.certificates // 200)


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


def make_incident(scenario: Scenario | None = None) -> Incident:
    """The incident of a scenario. Files are made when they are asked for."""
    return Incident(scenario or Scenario())


class Incident:
    """One incident: ``files()`` is what ``write`` writes, ``truth`` what really happened."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        s = scenario
        self.failure = s.failure.astimezone(UTC)
        self.backup = self.failure - s.window
        self.start = self.backup - s.history
        self.restored_at = self.failure + timedelta(hours=30)
        self.exported_at = self.restored_at + timedelta(hours=20)
        self._zone = ZoneInfo(s.time_zone)
        self._publications = self._publish()
        self._last_crl = self._publications[-1]
        self._found_known: set[int] = set()
        self._needed: set[int] = set()
        self._passing: set[int] = set()
        self._live()
        self._restore()

    # ------------------------------------------------------------------- what happened

    def _publish(self) -> list[Publication]:
        """Base CRLs at even intervals, the last one a little before the failure."""
        period = self.scenario.crl_period
        last = self.failure - between_share(period, 0.3)
        count = max(int((last - self.start) / period), 0)
        return [Publication(i + 1, last - period * (count - i)) for i in range(count + 1)]

    def _live(self) -> None:
        s = self.scenario
        before = s.certificates - s.lost_count
        late = _count(s.late_approvals, s.lost_count // 12, s.lost_count - 1)
        approved = before // 40
        pending = before // 200 + (before >= 50)
        denied = before // 30
        renewed = s.renewal != "none"
        self.last_before = 1 + renewed + before + pending + late + denied
        window_pending = _count(s.pending, s.lost_count // 12 + 1)
        window_denied = _count(s.denied, s.lost_count // 12 + 1)
        width = s.lost_count - late + window_pending + window_denied + s.lost_renewal
        self.last = self.last_before + width

        first_calendar = Calendar(self.start, self.backup, self._zone)
        window_calendar = Calendar(self.backup, self.failure, self._zone)
        second = timedelta(seconds=1)

        def submitted(request_id: int) -> datetime:
            if request_id == 1:
                return self.start
            jitter = derive(s.seed, "jitter", request_id)[0] / 256
            if request_id <= self.last_before:
                moment = first_calendar.moment((request_id - 2 + jitter) / (self.last_before - 1))
                return min(max(moment, self.start), self.backup - second)
            moment = window_calendar.moment((request_id - self.last_before - 1 + jitter) / width)
            return min(max(moment, self.backup + second), self.failure - second)

        authority = Authority(
            s.seed, lives.CA_SUBJECT, HighSerial.of(s.serial_layout, s.seed), f"http://pki.{lives.DOMAIN}"
        )
        ca_requests = {1: 0}
        if renewed:
            ca_requests[2 + (self.last_before - 2) * 3 // 5] = 1
        if s.lost_renewal:
            ca_requests[self.last_before + 1 + width // 2] = len(ca_requests)
        renewed_at = tuple(submitted(i) for i in list(ca_requests)[1:])
        for index, moment in enumerate((self.start, *renewed_at)):
            # Twelve years from each renewal.
            ends = moment + timedelta(days=12 * 365)
            authority.renew(
                moment - CLOCK_SKEW, ends, new_key=not (index == 1 and s.renewal == "same_key")
            )
        self.life = Life(
            s.seed,
            "first",
            authority,
            renewed_at,
            submitted,
            signs=lambda i: s.certificates <= SIGN_ALL or i > self.last_before or i in self._needed,
            ca_requests=ca_requests,
        )

        rare = self._pick("rare", 2, self.last_before, approved + pending + late + denied)
        self._settle(rare, approved, late, denied, self.backup)
        window = self._pick("rare in window", self.last_before + 1, self.last, window_pending + window_denied)
        self._settle(window, 0, 0, window_denied, self.failure)
        waiting = self._pick("approved in window", self.last_before + 1, self.last, (s.lost_count - late) // 8)
        for i in waiting:
            self.life.pending.add(i)
            self.life.approved[i] = between(submitted(i), self.failure, 0.02 + 0.6 * self._share("approved", i))
        self._revoke_before()
        self._revoke_in_window()
        self._found_known = set(self._pick("found", 2, self.last_before, min(5, before // 10), self._is_issued))
        self._needed |= self._found_known

    def _settle(self, ids: Sequence[int], approved: int, late: int, denied: int, end: datetime) -> None:
        """Officers decide: the first ``approved`` of ids, then ``late`` in the window, then ``denied``."""
        life = self.life
        for n, i in enumerate(ids):
            came = life.submitted(i)
            soon = min(came + timedelta(days=2), end)
            if n < approved:
                life.approved[i] = between(came, soon, 0.05 + 0.6 * self._share("approved", i))
            elif n < approved + late:
                moment = between(self.backup, self.failure, 0.1 + 0.8 * self._share("approved", i))
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
        self._releases = _count(s.releases, s.lost_count // 12 + 1, before // 4)
        for i in self._pick("revoked before", 2, self.last_before, before // 25, self._is_issued):
            life.act(i, self._moment("revoked", i, self.start, self.backup), self._reason(i))
        held = self._pick(
            "held before",
            2,
            self.last_before,
            self._releases + before // 100,
            lambda i: self._is_issued(i) and self._lives_on(i),
        )
        for i in held:
            life.act(i, self._moment("held", i, self.start, self.backup), HOLD)
        for i in held[: self._releases]:
            life.act(i, self._moment("released", i, self.backup, self.failure), UNREVOKE)
            self._needed.add(i)

    def _revoke_in_window(self) -> None:
        s, life = self.scenario, self.life
        known = self._pick(
            "lost revocations",
            2,
            self.last_before,
            _count(s.lost_revocations, s.lost_count // 5 + 1),
            lambda i: self._is_issued(i) and self._lives_on(i),
        )
        lost = [i for i in self.lost_ids if i not in life.acts]
        lost = spread(s.seed, "revoked lost", lost, _count(s.revoked_lost, s.lost_count // 5, s.lost_count))
        for chosen in (known, lost):
            holds = _count(s.holds, len(chosen) // 4, len(chosen))
            for n, i in enumerate(chosen):
                reason = HOLD if n < holds else self._reason(i)
                life.act(i, self._moment("revoked", i, self.backup, self.failure), reason)
        passing = self._pick(
            "passing holds",
            2,
            self.last_before,
            _count(s.passing_holds, s.lost_count // 25),
            lambda i: self._is_issued(i) and life.not_after(i) > self.failure,
        )
        if s.passing_holds is None:
            passing += [i for i in self.lost_ids if i not in life.acts and life.not_after(i) > self.failure][
                : s.lost_count // 25
            ]
        for i in passing:
            # Both acts lie on one side of the last CRL: a list between them would be stale evidence,
            # which shows a hold where there is none any more.
            begin = max(self._issued_at(i), self.backup)
            if begin + timedelta(minutes=5) < self._last_crl.at:
                end = self._last_crl.at
            else:
                begin, end = max(begin, self._last_crl.at), self.failure
            life.act(i, between(begin, end, 0.3), HOLD)
            life.act(i, between(begin, end, 0.7), UNREVOKE)
        self._passing = set(passing)
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

        self._second = Life(
            s.seed, "restored", authority, old.renewed_at[: survived - 1], submitted, signs=lambda _: True
        )
        known = [p for p in self._publications if p.at < self.backup]
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
            yield self._second.row(i, self.exported_at)

    # -------------------------------------------------------------------- small questions

    @property
    def reissued_ids(self) -> range:
        """Request IDs that the restored CA handed out before the export."""
        return range(self.last_before + 1, self.last_before + 1 + self.scenario.after_restore)

    @cached_property
    def lost_ids(self) -> list[int]:
        """Requests whose certificate was issued between backup and failure."""
        life = self.life
        late = sorted(i for i, at in life.approved.items() if at >= self.backup and i <= self.last_before)
        return late + [i for i in range(self.last_before + 1, self.last + 1) if self._is_issued(i)]

    def _is_issued(self, request_id: int) -> bool:
        life = self.life
        return request_id not in life.ca_requests and life.resolved(request_id) is not None

    def _lives_on(self, request_id: int) -> bool:
        """Whether a certificate from before the backup is still worth an act after it."""
        return self._issued_at(request_id) < self.backup and (
            self.life.not_after(request_id) > self.backup + timedelta(minutes=30)
        )

    def _issued_at(self, request_id: int) -> datetime:
        return self.life.resolved(request_id) or self.failure

    def _moment(self, label: str, request_id: int, start: datetime, end: datetime) -> datetime:
        """A time for an act: within the bounds and within the certificate's life."""
        begin = max(start, self._issued_at(request_id))
        stop = min(end, self.life.not_after(request_id))
        return between(begin, stop, 0.02 + 0.95 * self._share(label, request_id)) + timedelta(seconds=0)

    def _reason(self, request_id: int) -> int:
        return lives.REASONS[self.life.draw(request_id)[10] % len(lives.REASONS)]

    def _share(self, *labels: object) -> float:
        return share(*labels, seed=self.scenario.seed)

    def _pick(
        self, label: str, first: int, last: int, count: int, suits: Callable[[int], bool] = lambda _: True
    ) -> list[int]:
        """Up to ``count`` requests that suit and of which nothing is settled yet."""
        life = self.life
        population = range(first, last + 1)
        # Where most suit, a sample is enough; a small CA is looked at as a whole.
        size = len(population) if len(population) <= 10_000 else min(20 * count + 1_000, len(population))
        taken = (life.ca_requests, life.pending, life.denied, life.acts)
        chosen = []
        for i in spread(self.scenario.seed, label, population, size):
            if len(chosen) == count:
                break
            if (suits is not _ANY and i in life.approved) or not any(i in group for group in taken):
                if i not in life.ca_requests and i not in life.acts and suits(i):
                    chosen.append(i)
        return chosen
