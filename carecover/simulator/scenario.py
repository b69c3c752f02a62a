"""The knobs of a simulated incident, all checked. Every trouble is off by default."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from carecover.errors import UsageError
from carecover.simulator.authority import SerialLayout
from carecover.simulator.correspondence import ArchiveFormat
from carecover.simulator.rendering import DateLocale
from carecover.simulator.worded import WORDINGS, MailWording

MAX_CERTIFICATES: Final = 2_000_000
# Before: no AD CS. After: the Next CRL Publish extension is a UTCTime, which ends in 2049.
_YEARS: Final = (2000, 2045)

Renewal = Literal["none", "same_key", "new_key"]
Encoding = Literal["cp850", "utf-8", "utf-16"]
View = Literal["whole", "filtered", "cut", "late"]
# What the exit module can be told to send (EventFilter, certexit.h); a release goes with "revoked".
Filterable = Literal[
    "issued", "pending", "denied", "revoked", "retrieve_pending", "crl_issued", "shutdown", "startup", "imported"
]
# Clocks of one network differ by minutes; more is another trouble.
MAX_CLOCK_OFFSET: Final = timedelta(minutes=15)


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
    lost_renewal: Renewal = "none"
    """Of the CA certificate, between backup and failure."""
    lost_ca_found: bool = False
    """The CA certificate of that renewal was found elsewhere."""
    mail: bool = True
    mail_wording: MailWording = "sample"
    """How the CA's mails are worded; ``registry`` exports the formats of one that is not Microsoft's sample."""
    crl: bool = True
    audit: bool = False
    originals: float = 0.3
    """Share of the lost certificates whose original was found elsewhere."""
    mail_carries_certificate: float = 0.25
    """Share of the issued notifications that carry the certificate."""
    lost_mails: float = 0.0
    """Share of the notifications that never arrived."""
    smtp_outage: timedelta = timedelta()
    """How long no mail was sent, from somewhere in the window on; with ``audit``, events 46 tell of some."""
    events_off: tuple[Filterable, ...] = ()
    """Events that the exit module was never told to send."""
    registry: bool = False
    """The registry of CA and exit module was exported."""
    clock_offset: timedelta = timedelta()
    """How far the CA's clock was ahead of everybody else's; negative: behind."""
    facts_time_zone: str | None = None
    """The time zone that people say, where it is the wrong one."""
    duplicates: float = 0.0
    """Share of the notifications that a second mailbox holds too; a person forwarded some of them."""
    other_ca_mails: int = 0
    """Notifications of another CA in the same mailbox."""
    recovery_mails: bool = False
    """The mailbox was exported after the mending, and holds what that caused."""
    forged_issued: int = 0
    """Forged issued mails that do not add up, each in its own way or two."""
    forged_revoked: int = 0
    """The same of revocations: of good rows, and of serial numbers that do not exist."""
    perfect_issued: int = 0
    """Forged issued mails that nobody can tell from true ones by the mail alone."""
    perfect_revoked: int = 0
    """The same of revocations; of good rows some are dated before the last CRL, which contradicts them."""
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
    failed: int = 0
    """Requests of the window that failed: no mail and no certificate, but the request ID is gone."""
    not_persisted: float = 0.0
    """Share of the certificates whose template keeps them out of the database (CT_FLAG_DONOTPERSISTINDB)."""
    delta_crls: int = 0
    """Delta CRLs published between the last base CRL and the failure."""
    audit_version: Literal[0, 1] = 1
    """Of events 4886 and 4887; version 0 gives no serial number."""
    audit_all: bool = False
    """Also log what arrives, is denied or waits, and starts and stops of the service."""
    view: View = "whole"
    """filtered: made with -restrict, which shows; cut: the last rows are silently not there; late: made after
    some of the mending."""
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
            ("mail_wording", WORDINGS),
            ("lost_renewal", get_args(Renewal)),
            ("view", get_args(View)),
            ("audit_version", (0, 1)),
        ):
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"{name} is '{getattr(self, name)}'; it must be one of {', '.join(map(str, choices))}."
                )
        for event in self.events_off:
            if event not in get_args(Filterable):
                raise UsageError(
                    f"'{event}' is no event that can be switched off; those are {', '.join(get_args(Filterable))}."
                )
        if not 2 <= self.certificates <= MAX_CERTIFICATES:
            raise UsageError(f"An incident has 2 to {MAX_CERTIFICATES:,} certificates, not {self.certificates}.")
        if self.lost is not None and not 1 <= self.lost < self.certificates:
            raise UsageError(
                f"{self.lost} of {self.certificates} certificates cannot be lost: at least one is, and one is not."
            )
        for name in ("originals", "mail_carries_certificate", "lost_mails", "duplicates", "not_persisted"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is a share from 0 to 1, not {getattr(self, name)}.")
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int) and item.name != "seed" and not 0 <= value <= MAX_CERTIFICATES:
                raise UsageError(f"{item.name} is a count from 0 to {MAX_CERTIFICATES:,}, not {value}.")
        if self.failure.tzinfo is None or not _YEARS[0] <= self.failure.year <= _YEARS[1]:
            raise UsageError(f"The failure needs a time zone, and a year from {_YEARS[0]} to {_YEARS[1]}.")
        if self.failure.microsecond or self.window.microseconds or self.history.microseconds:
            raise UsageError("The times of an incident are given in whole seconds.")
        if self.window < timedelta(hours=1) or self.history < timedelta(days=1):
            raise UsageError("At least a day passes before the backup, and an hour between it and the failure.")
        if not timedelta(hours=1) <= self.crl_period <= self.history:
            raise UsageError("A CRL period is between an hour and the CA's whole history.")
        for name in ("smtp_outage", "clock_offset"):
            if getattr(self, name).microseconds:
                raise UsageError(f"{name} is given in whole seconds.")
        if not timedelta() <= self.smtp_outage <= self.window:
            raise UsageError("An SMTP outage lies between backup and failure.")
        if abs(self.clock_offset) > MAX_CLOCK_OFFSET:
            raise UsageError(f"A CA's clock is off by at most {MAX_CLOCK_OFFSET.seconds // 60} minutes here.")
        for zone in (self.time_zone, self.facts_time_zone or "UTC"):
            try:
                ZoneInfo(zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise UsageError(f"'{zone}' is no time zone; names look like Europe/Berlin.") from None

    @property
    def lost_count(self) -> int:
        """``lost``, or its scaled value."""
        if self.lost is not None:
            return self.lost
        return self.certificates // 4 if self.certificates < 100 else max(25, self.certificates // 200)
