"""Forged notifications, from crude to perfect, and what gives each of them away.

A mail is unauthenticated: whoever knows the wording can write one. The crude ones carry
one or two tells, each a contradiction that a careful reader finds; the perfect ones carry
none, and nobody can tell them from true ones by the mail alone. Every forgery is about a
serial number of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import count
from typing import Final, Literal

from carecover.model import Disposition, SerialNumber
from carecover.simulator import life as lives
from carecover.simulator.authority import CLOCK_SKEW, Authority, DatabaseRow, der, derive, thumbprint
from carecover.simulator.correspondence import Event, Mail, Mailer, Transport
from carecover.simulator.history import History
from carecover.simulator.life import Act, between, revoked_row, spread
from carecover.simulator.traces import Traces

Tell = Literal["ca_name", "layout", "ca_cert_index", "request_id", "clock", "sender", "signature", "crl"]

_ISSUED_TELLS: Final[tuple[Tell, ...]] = (
    "ca_name",
    "layout",
    "ca_cert_index",
    "request_id",
    "clock",
    "sender",
    "signature",
)
_ROW_TELLS: Final[tuple[Tell, ...]] = ("ca_name", "request_id", "clock", "sender")
_NOTHING_TELLS: Final[tuple[Tell, ...]] = ("ca_name", "layout", "ca_cert_index", "request_id", "clock", "sender")
_OTHER_CA: Final = "Example Issuing CA 2"
# Fewer mails about rows of the database, and nobody knows from where the CA sends.
ENOUGH_MAILS: Final = 3


@dataclass(frozen=True, slots=True)
class Forgery:
    """One forged mail: what it claims, what gives it away (nothing: it is perfect), and its bytes."""

    event: Event
    serial: SerialNumber
    request_id: int
    """As the mail says it."""
    about_row: bool
    """It is about a certificate that the database has."""
    tells: tuple[Tell, ...]
    detectable: bool
    sent_at: datetime
    mail: Mail


class Forger:
    """Makes the forgeries of one incident."""

    def __init__(self, traces: Traces, mailer: Mailer) -> None:
        self.traces = traces
        self.history: History = traces.history
        self.scenario = traces.scenario
        self.mailer = mailer
        self._other = Authority(
            self.scenario.seed, lives.CA_SUBJECT, self._authority.high_serial, "http://pki.example", label="forger"
        )
        for own in self._authority.certificates:
            self._other.renew(own.not_valid_before_utc, own.not_valid_after_utc)

    @property
    def _authority(self) -> Authority:
        return self.history.restored.authority

    @cached_property
    def forgeries(self) -> list[Forgery]:
        """All of them, by time."""
        s = self.scenario
        if not s.mail:
            return []
        unused, rows = self._unused_ids(), self._good_rows()
        made = [self._fabricated("issued", f"perfect issued {n}", next(unused), ()) for n in range(s.perfect_issued)]
        for n in range(s.perfect_revoked):
            if n % 3 == 2 or not rows:
                made.append(self._fabricated("revoked", f"perfect revoked {n}", next(unused), ()))
            else:
                made.append(self._of_row(f"perfect revoked {n}", rows.pop(), ("crl",) if self._may_precede(n) else ()))
        for n in range(s.forged_issued):
            label = f"forged issued {n}"
            made.append(self._fabricated("issued", label, next(unused), self._tells(label, _ISSUED_TELLS)))
        for n in range(s.forged_revoked):
            label = f"forged revoked {n}"
            if n % 3 == 2 or not rows:
                made.append(self._fabricated("revoked", label, next(unused), self._tells(label, _NOTHING_TELLS)))
            else:
                made.append(self._of_row(label, rows.pop(), self._tells(label, _ROW_TELLS)))
        return sorted(made, key=lambda forgery: forgery.sent_at)

    # ------------------------------------------------------------------- what is forged

    def _unused_ids(self) -> Iterator[int]:
        """Request IDs that stand for no certificate: of failed requests, then beyond all that were handed out.

        Never one that the restored CA handed out again: with constant prefixes that would be a serial of its own.
        """
        h = self.history
        again = range(h.last_before + 1, h.restored.next_request_id + 2)
        failed = [i for i in spread(self.scenario.seed, "forged", sorted(h.life.failed), 1_000) if i not in again]
        yield from failed
        yield from count(max(h.last, again.stop) + 1)

    def _good_rows(self) -> list[int]:
        """Rows that nothing happened to, to be revoked by a forged mail."""
        h = self.history
        wanted = self.scenario.forged_revoked + self.scenario.perfect_revoked
        return h.pick("forged revocations", 2, h.last_before, wanted, h.is_good) if wanted else []

    def _tells(self, label: str, choices: Sequence[Tell]) -> tuple[Tell, ...]:
        """One tell, and in every third forgery another one."""
        salt = derive(self.scenario.seed, "tells", label)
        first = choices[salt[0] % len(choices)]
        second = choices[salt[1] % len(choices)]
        return (first, second) if salt[2] % 3 == 0 and second != first else (first,)

    def _may_precede(self, number: int) -> bool:
        """Every other perfect revocation of a row is dated before the last CRL, where the window has room."""
        h = self.history
        return number % 3 == 0 and h.last_crl.at - h.backup > timedelta(hours=2)

    def is_told(self, tells: Sequence[Tell], *, about_row: bool) -> bool:
        """Whether any of the tells can be read in what is handed in."""
        if "ca_name" in tells:
            return about_row or self._claims_to_be_ours(tells)
        return any(self._is_readable(tell) for tell in tells)

    def _claims_to_be_ours(self, tells: Sequence[Tell]) -> bool:
        """Whether the serial of a mail that names another CA is this one's; otherwise nobody looks at such a mail.

        A constant prefix of several bytes says so; a first byte, which another CA may have as well, only together
        with this CA's address; the random bytes of the default layout never.
        """
        layout = self.scenario.serial_layout
        by_address = layout == "number" and "sender" not in tells and self.reference >= ENOUGH_MAILS
        return "layout" not in tells and (layout in ("string", "generated_string") or by_address)

    def _is_readable(self, tell: Tell) -> bool:
        if tell == "sender":
            return self.reference >= ENOUGH_MAILS
        return tell != "crl" or self.scenario.crl

    @cached_property
    def reference(self) -> int:
        """How many issued notifications about rows of the database arrived, up to enough."""
        h, known = self.history, 0
        for i in range(2, h.last_before + 1):
            if h.is_issued(i) and h.life.persists(i) and h.issued_at(i) < h.backup:
                known += self.traces.arrived("issued", i)
            if known >= ENOUGH_MAILS:
                break
        return known

    # ------------------------------------------------------------------------ the mails

    def _of_row(self, label: str, i: int, tells: tuple[Tell, ...]) -> Forgery:
        """A revocation of a good certificate."""
        h = self.history
        begin, end = h.last_publication.at, h.failure
        if tells == ("crl",):
            begin, end = h.backup + timedelta(minutes=30), h.last_crl.at - timedelta(minutes=30)
        at = between(begin, end, 0.1 + 0.8 * h.share(label))
        row = revoked_row(h.life.request(i), Act(at, at, self._reason(label)))
        if "request_id" in tells:
            row = replace(row, request_id=i + 1 + derive(self.scenario.seed, label)[0])
        return self._mail("revoked", label, row, at, tells, about_row=True)

    def _fabricated(self, event: Event, label: str, request_id: int, tells: tuple[Tell, ...]) -> Forgery:
        """A mail about a certificate that does not exist."""
        h = self.history
        salt = derive(self.scenario.seed, label)
        begin = h.backup if event == "issued" else h.last_publication.at
        at = between(begin, h.failure, 0.05 + 0.9 * h.share(label))
        serial = self._serial(request_id, salt, tells)
        issued = at if event == "issued" else between(h.backup, at, 0.5)
        template = (lives.USER, lives.WEB, lives.MACHINE)[salt[20] % 3]
        holder = h.life.holder(request_id, template)
        row = DatabaseRow(
            request_id=request_id + (1 + salt[21] if "request_id" in tells else 0),
            disposition=Disposition.ISSUED,
            submitted_at=issued,
            requester=holder.requester,
            subject=holder.text,
            common_name=holder.common_name,
            template=template,
            serial=serial,
            not_before=issued - CLOCK_SKEW,
            not_after=issued - CLOCK_SKEW + template.validity,
            resolved_at=issued,
            thumbprint=salt[:20].hex(),
            upn=holder.upn,
            message="Issued",
        )
        if "signature" in tells:
            certificate = der(
                self._other.issue(
                    serial,
                    subject=holder.name,
                    template=template,
                    not_before=issued - CLOCK_SKEW,
                    not_after=issued - CLOCK_SKEW + template.validity,
                )
            )
            row = replace(row, certificate=certificate, thumbprint=thumbprint(certificate))
        if event == "revoked":
            row = revoked_row(row, Act(at, at, self._reason(label)))
        return self._mail(event, label, row, at, tells, about_row=False)

    def _mail(
        self, event: Event, label: str, row: DatabaseRow, at: datetime, tells: tuple[Tell, ...], *, about_row: bool
    ) -> Forgery:
        salt = derive(self.scenario.seed, label, "transport")
        transport, mailer = Transport(), self.mailer
        sent_at = at + timedelta(seconds=1)
        if "sender" in tells:
            stranger = f"{salt[:3].hex()}.example"
            transport = replace(transport, sender=f"pki@{stranger}", relay=f"mail.{stranger}")
            if salt[3] % 3 == 0:
                transport = replace(transport, sender=None)
            elif salt[3] % 3 == 1:
                transport = replace(transport, relay=None)
        if "clock" in tells:
            away = timedelta(days=3 + salt[4] % 20, minutes=salt[5])
            match salt[6] % (4 if event == "issued" else 3):
                case 0:
                    transport = replace(transport, thread_at=sent_at + away)
                case 1:
                    transport = replace(transport, received_at=sent_at + away)
                case 2:
                    transport = replace(transport, received_at=sent_at - away)
                case _:
                    row = replace(row, not_before=at - away)
        if "ca_name" in tells:
            mailer = replace(mailer, ca_name=_OTHER_CA)
        mail = mailer.notification(event, row, sent_at, carries_certificate="signature" in tells, transport=transport)
        assert row.serial is not None  # noqa: S101 - every forgery has one
        detectable = self.is_told(tells, about_row=about_row)
        return Forgery(event, row.serial, row.request_id, about_row, tells, detectable, sent_at, mail)

    def _serial(self, request_id: int, salt: bytes, tells: Sequence[Tell]) -> SerialNumber:
        """A serial number as this CA would make it, but for the tells."""
        h = self.history
        index = h.restored.authority.newest
        if "ca_cert_index" in tells:
            index = 0x80 + salt[22]
        if "layout" not in tells:
            return self._authority.high_serial.serial(request_id, index, salt[8:16])
        low = index.to_bytes(2, "big") + request_id.to_bytes(4, "big")
        # Eight bytes are no layout of today's CAs; the first byte of nineteen is the CA's own.
        raw = b"\x25" + salt[8:11] + request_id.to_bytes(4, "big")
        if self.scenario.serial_layout == "number" and salt[23] % 2:
            first = self._authority.high_serial.serial(request_id, index, salt[8:16]).text[:2]
            raw = bytes([0x2F if first != "2f" else 0x3F]) + request_id.to_bytes(4, "big") + salt[8:16] + low
        return SerialNumber(int.from_bytes(raw, "big"))

    def _reason(self, label: str) -> int:
        return lives.REASONS[derive(self.scenario.seed, label, "reason")[0] % len(lives.REASONS)]
