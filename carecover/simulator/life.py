"""What a simulated CA lived through: who asked for what and when, and what became of it.

A life of a million requests is arithmetic, not memory: whatever happened to a request
follows from the seed and its request ID; only what is rare (pending and denied requests,
revocations) is kept in sets. A row is made when it is asked for.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cryptography import x509
from cryptography.x509.oid import NameOID

from carecover.model import Disposition, SerialNumber
from carecover.simulator.authority import (
    CLOCK_SKEW,
    Authority,
    DatabaseRow,
    Template,
    der,
    derive,
    derive_key,
    thumbprint,
)

DOMAIN: Final = "corp.example"
HOST: Final = f"pki01.{DOMAIN}"
CA_NAME: Final = "Example Issuing CA 1"
CONFIG: Final = f"{HOST}\\{CA_NAME}"
NETBIOS: Final = "CORP"

# Reasons by how often they are met; 2 (CA compromise) is for CA certificates only.
REASONS: Final = (0, 0, 1, 3, 4, 4, 5, 5)
HOLD: Final = 6
UNREVOKE: Final = -1

_SERVER: Final = "1.3.6.1.5.5.7.3.1"
_CLIENT: Final = "1.3.6.1.5.5.7.3.2"
_MAIL: Final = "1.3.6.1.5.5.7.3.4"
_OID: Final = "1.3.6.1.4.1.311.21.8.15886664.4298044.8996776.14853544.7902291.169"
_YEAR: Final = timedelta(days=365)

MACHINE: Final = Template("Machine", "Computer", None, _YEAR, (_SERVER, _CLIENT))
USER: Final = Template("CorpUser", "Corp User", f"{_OID}.1048576.1", _YEAR, (_CLIENT, _MAIL))
WORKSTATION: Final = Template(
    "CorpWorkstation", "Corp Workstation Authentication", f"{_OID}.1048577.2", timedelta(days=40), (_CLIENT,)
)
WEB: Final = Template("CorpWebServer", "Corp Web Server", f"{_OID}.1048578.3", 2 * _YEAR, (_SERVER,))
CODE_SIGNING: Final = Template(
    "CorpCodeSigning", "Corp Code Signing", f"{_OID}.1048579.4", _YEAR, ("1.3.6.1.5.5.7.3.3",), False
)
DOMAIN_CONTROLLER: Final = Template(
    "DomainController", "Domain Controller", None, _YEAR, (_CLIENT, _SERVER), infrastructure=True
)
OCSP: Final = Template(
    "OCSPResponseSigning",
    "OCSP Response Signing",
    f"{_OID}.1.32",
    timedelta(days=14),
    ("1.3.6.1.5.5.7.3.9",),
    key_encipherment=False,
    infrastructure=True,
)
# CT_FLAG_DONOTPERSISTINDB: for certificates that live too briefly to be revoked.
NOT_PERSISTED: Final = Template(
    "CorpShortLived", "Corp Short-Lived Access", f"{_OID}.1048580.5", timedelta(days=30), (_CLIENT,)
)
CA_EXCHANGE: Final = Template(
    "CAExchange", "CA Exchange", None, timedelta(days=7), ("1.3.6.1.4.1.311.21.5",), infrastructure=True
)
ENROLLMENT_AGENT: Final = Template(
    "EnrollmentAgent",
    "Enrollment Agent",
    None,
    2 * _YEAR,
    ("1.3.6.1.4.1.311.20.2.1",),
    key_encipherment=False,
    infrastructure=True,
)
_MIX: Final = (MACHINE,) * 30 + (USER,) * 35 + (WORKSTATION,) * 17 + (WEB,) * 10 + (CODE_SIGNING,) * 2
_INFRASTRUCTURE: Final = (DOMAIN_CONTROLLER, OCSP, CA_EXCHANGE, ENROLLMENT_AGENT)
# One request in so many is for infrastructure, so that small incidents have some too.
_INFRASTRUCTURE_EVERY: Final = 12

_DOMAIN_COMPONENTS: Final = ((NameOID.DOMAIN_COMPONENT, "example"), (NameOID.DOMAIN_COMPONENT, "corp"))
CA_SUBJECT: Final = x509.Name(
    [x509.NameAttribute(oid, value) for oid, value in (*_DOMAIN_COMPONENTS, (NameOID.COMMON_NAME, CA_NAME))]
)
_FIRST: Final = ("Anna", "Bilal", "Chloé", "David", "Élise", "Farid", "Greta", "Hana", "Ivo", "Jörg", "Kaja", "Lea")
_LAST: Final = ("Beck", "Costa", "Dubois", "Eriksen", "Faßbender", "Grün", "Huber", "Ito", "Jansen", "Krug", "Müller")
_ASCII: Final = str.maketrans({"é": "e", "É": "E", "ö": "oe", "ü": "ue", "ß": "ss"})
_ISSUED_MESSAGE: Final = "Issued"


class Calendar:
    """Spreads requests over a stretch of time: working hours, fewer at night and at weekends."""

    # (hour, share of the day's requests that have come by then)
    _DAY: Final = ((0, 0.0), (7, 0.08), (12, 0.5), (18, 0.92), (24, 1.0))
    _WEEKEND: Final = 0.12

    def __init__(self, start: datetime, end: datetime, zone: ZoneInfo) -> None:
        self._edges: list[datetime] = []
        self._weights = [0.0]
        day = start.astimezone(zone).date()
        while True:
            midnight = datetime.combine(day, time(), zone).astimezone(UTC)
            share = self._WEEKEND if day.weekday() >= 5 else 1.0
            day += timedelta(days=1)
            for (hour, before), (_, after) in zip(self._DAY, self._DAY[1:], strict=False):
                edge = midnight + timedelta(hours=hour)
                self._edges.append(edge)
                self._weights.append(self._weights[-1] + share * (after - before))
            if midnight + timedelta(hours=24) > end + timedelta(hours=2):
                break
        self._edges.append(midnight + timedelta(hours=26))
        self._low, self._high = self._position(start), self._position(end)

    def moment(self, share: float) -> datetime:
        """The time by which ``share`` (0 up to 1) of the requests have come; it never falls."""
        target = self._low + (self._high - self._low) * share
        i = min(max(bisect_right(self._weights, target) - 1, 0), len(self._edges) - 2)
        width = self._weights[i + 1] - self._weights[i]
        inside = (target - self._weights[i]) / width if width else 0.0
        return (self._edges[i] + (self._edges[i + 1] - self._edges[i]) * inside).replace(microsecond=0)

    def _position(self, moment: datetime) -> float:
        i = min(max(bisect_right(self._edges, moment) - 1, 0), len(self._edges) - 2)
        inside = (moment - self._edges[i]) / (self._edges[i + 1] - self._edges[i])
        return self._weights[i] + (self._weights[i + 1] - self._weights[i]) * min(inside, 1.0)


@dataclass(frozen=True, slots=True)
class Act:
    """One revocation (reason 0-6) or release (UNREVOKE) of one certificate."""

    at: datetime
    effective: datetime
    reason: int


@dataclass(frozen=True, slots=True)
class Publication:
    """One base CRL."""

    number: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a certificate is for."""

    requester: str
    upn: str | None
    names: tuple[tuple[x509.ObjectIdentifier, str], ...]
    """RDNs as encoded: root first."""
    alternative_names: tuple[str, ...] = ()

    @property
    def name(self) -> x509.Name:
        """The subject."""
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in self.names])

    @property
    def text(self) -> str | None:
        """The subject as certutil prints it: leaf first, values with commas in quotes."""
        spelt = (f'"{value}"' if "," in value else value for _, value in reversed(self.names))
        kinds = (_SHORT[oid] for oid, _ in reversed(self.names))
        return ", ".join(f"{kind}={value}" for kind, value in zip(kinds, spelt, strict=True)) or None

    @property
    def common_name(self) -> str | None:
        """Every common name, root first, joined by line feeds as the database joins them."""
        return "\n".join(value for oid, value in self.names if oid == NameOID.COMMON_NAME) or None


_SHORT: Final = {
    NameOID.COMMON_NAME: "CN",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.LOCALITY_NAME: "L",
    NameOID.COUNTRY_NAME: "C",
    NameOID.EMAIL_ADDRESS: "E",
}


@dataclass(eq=False)
class Life:
    """What became of every request; request 1 is the CA's own certificate.

    ``name`` keeps two lives of one CA apart: the restored CA starts a second one at the
    backup, with the same request IDs and other certificates.
    """

    seed: int
    name: str
    authority: Authority
    renewed_at: tuple[datetime, ...]
    """When the CA certificates of index 1, 2, … came into use."""
    submitted: Callable[[int], datetime]
    """Time at which a request came."""
    signs: Callable[[int], bool]
    """Whether the certificate of a request is really signed."""
    pending: set[int] = field(default_factory=set)
    """Requests that an officer has to decide."""
    approved: dict[int, datetime] = field(default_factory=dict)
    denied: dict[int, datetime] = field(default_factory=dict)
    ca_requests: dict[int, int] = field(default_factory=dict)
    """Request IDs of the CA's own certificates: CA-certificate index."""
    acts: dict[int, list[Act]] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    not_persisted: float = 0.0
    """Share of the requests whose template keeps certificates out of the database."""
    own_keys: bool = False
    """Whether every certificate has a key of its own, by which its key identifier tells it."""

    @lru_cache(maxsize=4_096)  # noqa: B019 - a life lives as long as its incident
    def draw(self, request_id: int) -> bytes:
        """The 32 bytes that decide everything about a request that nothing else decides."""
        return derive(self.seed, self.name, request_id)

    def template(self, request_id: int) -> Template:
        """The template that was asked for."""
        salt = self.draw(request_id)
        if not self.persists(request_id):
            return NOT_PERSISTED
        if request_id % _INFRASTRUCTURE_EVERY == 5:
            return _INFRASTRUCTURE[salt[1] % len(_INFRASTRUCTURE)]
        return _MIX[int.from_bytes(salt[1:3], "big") % len(_MIX)]

    def persists(self, request_id: int) -> bool:
        """False where the certificate never gets a row; only what is issued at once can be of that kind."""
        if not self.not_persisted or any(request_id in s for s in (self.pending, self.denied, self.failed)):
            return True
        return request_id in self.ca_requests or share("not persisted", request_id, seed=self.seed) >= (
            self.not_persisted
        )

    def resolved(self, request_id: int) -> datetime | None:
        """When the certificate was issued; None where none was."""
        if request_id in self.approved:
            return self.approved[request_id]
        if any(request_id in settled for settled in (self.pending, self.denied, self.failed)):
            return None
        return self.submitted(request_id)

    def ca_cert_index(self, request_id: int) -> int:
        """Index of the CA certificate that signed a request's certificate."""
        moment = self.resolved(request_id)
        return bisect_right(self.renewed_at, moment) if moment else 0

    def not_after(self, request_id: int) -> datetime:
        """End of validity, never beyond the CA certificate's own."""
        moment = self.resolved(request_id) or self.submitted(request_id)
        end = moment - CLOCK_SKEW + self.template(request_id).validity
        return min(end, self.authority.certificates[self.ca_cert_index(request_id)].not_valid_after_utc)

    @lru_cache(maxsize=16_384)  # noqa: B019 - a life lives as long as its incident
    def certificate(self, request_id: int) -> bytes:
        """The certificate of an issued request, DER; the same bytes whenever it is asked for."""
        if request_id in self.ca_requests:
            return der(self.authority.certificates[self.ca_requests[request_id]])
        resolved = self.resolved(request_id)
        assert resolved is not None  # noqa: S101 - only issued requests are asked for
        template = self.template(request_id)
        holder = self.holder(request_id, template)
        index = self.ca_cert_index(request_id)
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in holder.alternative_names]
        key = derive_key(self.seed, "subject", self.name, request_id).public_key() if self.own_keys else None
        return der(
            self.authority.issue(
                self.authority.serial_for(request_id, ca_cert_index=index, life=self.name),
                subject=holder.name,
                template=template,
                not_before=resolved - CLOCK_SKEW,
                not_after=self.not_after(request_id),
                alternative_names=names,
                public_key=key,
                ca_cert_index=index,
            )
        )

    def key_id(self, request_id: int) -> str:
        """Subject key identifier of an issued certificate, hex."""
        certificate = x509.load_der_x509_certificate(self.certificate(request_id))
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()

    def holder(self, request_id: int, template: Template) -> Holder:
        """Whom a request is for."""
        salt = self.draw(request_id)
        number = int.from_bytes(salt[4:7], "big")
        if template is USER or template is CODE_SIGNING or template is ENROLLMENT_AGENT:
            first, last = _FIRST[salt[7] % len(_FIRST)], _LAST[salt[8] % len(_LAST)]
            account = f"{first}.{last}{number % 1000}".translate(_ASCII).lower()
            mail = ((NameOID.EMAIL_ADDRESS, f"{account}@{DOMAIN}"),) if template is USER else ()
            person = (
                *_DOMAIN_COMPONENTS,
                (NameOID.COMMON_NAME, "Users"),
                (NameOID.COMMON_NAME, f"{first} {last}"),
                *mail,
            )
            return Holder(f"{NETBIOS}\\{account}", f"{account}@{DOMAIN}", person)
        if template is WEB:
            host = f"web{number % 5000}.{DOMAIN}"
            site = (
                (NameOID.COUNTRY_NAME, "DE"),
                (NameOID.LOCALITY_NAME, "Köln"),
                (NameOID.ORGANIZATION_NAME, "Example, Inc."),
                (NameOID.COMMON_NAME, host),
            )
            return Holder(f"{NETBIOS}\\web.admin", f"web.admin@{DOMAIN}", site, (host, f"www.{host}"))
        if template is CA_EXCHANGE:
            return Holder(f"{NETBIOS}\\PKI01$", None, (*_DOMAIN_COMPONENTS, (NameOID.COMMON_NAME, f"{CA_NAME}-Xchg")))
        stem = {DOMAIN_CONTROLLER: "dc", OCSP: "ocsp", MACHINE: "srv"}.get(template, "ws")
        short = f"{stem}{number % (9 if template.infrastructure else 90_000) + 1:02}"
        host = f"{short}.{DOMAIN}"
        # Workstations have no subject: their name is in the alternative name only.
        names = () if template is WORKSTATION else ((NameOID.COMMON_NAME, host),)
        return Holder(f"{NETBIOS}\\{short.upper()}$", None, names, (host,))

    def request(self, request_id: int) -> DatabaseRow:
        """The request as it was once it was settled, revocations left aside (what mails tell)."""
        submitted, resolved = self.submitted(request_id), self.resolved(request_id)
        if request_id in self.denied:
            # A denied row shows a validity all the same.
            return replace(
                self.waiting(request_id),
                disposition=Disposition.DENIED,
                resolved_at=self.denied[request_id],
                not_before=submitted - CLOCK_SKEW,
                not_after=self.not_after(request_id),
                message=f"Denied by {NETBIOS}\\pki.officer",
            )
        if resolved is None:
            return self.waiting(request_id)
        template = self.template(request_id)
        holder = self.holder(request_id, template)
        index = self.ca_cert_index(request_id)
        signed = self.certificate(request_id) if self.signs(request_id) else None
        return DatabaseRow(
            request_id=request_id,
            disposition=Disposition.ISSUED,
            submitted_at=submitted,
            requester=holder.requester,
            subject=holder.text,
            common_name=holder.common_name,
            template=template,
            serial=self.authority.serial_for(request_id, ca_cert_index=index, life=self.name),
            not_before=resolved - CLOCK_SKEW,
            not_after=self.not_after(request_id),
            resolved_at=resolved,
            issuer_name_id=self.authority.issuer_name_id(index),
            thumbprint=thumbprint(signed) if signed else self.draw(request_id)[12:].hex(),
            certificate=signed,
            upn=holder.upn,
            message=_ISSUED_MESSAGE
            if request_id not in self.pending
            else f"Issued  Resubmitted by {NETBIOS}\\pki.officer",
        )

    def waiting(self, request_id: int) -> DatabaseRow:
        """The request as it was before an officer decided."""
        template = self.template(request_id)
        holder = self.holder(request_id, template)
        return DatabaseRow(
            request_id=request_id,
            disposition=Disposition.PENDING,
            submitted_at=self.submitted(request_id),
            requester=holder.requester,
            subject=holder.text,
            common_name=holder.common_name,
            template=template,
            upn=holder.upn,
            message="Taken Under Submission",
        )

    def ca_row(self, request_id: int) -> DatabaseRow:
        """The row of one of the CA's own certificates."""
        index = self.ca_requests[request_id]
        own = self.authority.certificates[index]
        return DatabaseRow(
            request_id=request_id,
            disposition=Disposition.CA_CERTIFICATE,
            submitted_at=own.not_valid_before_utc + CLOCK_SKEW,
            requester=f"{NETBIOS}\\PKI01$",
            subject=f"CN={CA_NAME}, DC=corp, DC=example",
            common_name=CA_NAME,
            serial=SerialNumber(own.serial_number),
            not_before=own.not_valid_before_utc,
            not_after=own.not_valid_after_utc,
            resolved_at=own.not_valid_before_utc + CLOCK_SKEW,
            issuer_name_id=self.authority.issuer_name_id(index),
            thumbprint=thumbprint(der(own)),
            certificate=der(own),
            message=_ISSUED_MESSAGE,
        )

    def row(self, request_id: int, at: datetime) -> DatabaseRow:
        """The database row as it was at a time."""
        if request_id in self.ca_requests:
            return self.ca_row(request_id)
        row = self.request(request_id)
        if row.resolved_at is not None and row.resolved_at >= at:
            # Not decided yet; an issued name comes with the certificate only.
            row = replace(self.waiting(request_id), subject=None, common_name=None)
        elif row.disposition is Disposition.PENDING:
            row = replace(row, subject=None, common_name=None)
        elif row.disposition is Disposition.DENIED:
            row = replace(row, subject=None)
        act = self.last_act(request_id, at)
        if act is None:
            return row
        return revoked_row(row, act) if act.reason != UNREVOKE else released_row(row)

    def last_act(self, request_id: int, at: datetime) -> Act | None:
        """The last revocation or release before a time."""
        before = [act for act in self.acts.get(request_id, ()) if act.at < at]
        return before[-1] if before else None

    def act(self, request_id: int, at: datetime, reason: int) -> None:
        """Revoke or release; the effective time can lie a minute before."""
        early = timedelta(seconds=60 if self.draw(request_id)[9] % 3 == 0 and reason != UNREVOKE else 0)
        self.acts.setdefault(request_id, []).append(Act(at, at - early, reason))


def revoked_row(row: DatabaseRow, act: Act) -> DatabaseRow:
    """The row of a revoked certificate; an UNREVOKE keeps its number, as only mails show it."""
    return replace(
        row,
        disposition=Disposition.REVOKED,
        revoked_at=act.at,
        effective_revoked_at=act.effective,
        reason=act.reason,
        message=f"Revoked by {NETBIOS}\\pki.officer",
    )


def released_row(row: DatabaseRow) -> DatabaseRow:
    """The row of a certificate taken off hold."""
    return replace(row, message=f"Unrevoked by {NETBIOS}\\pki.officer")


def spread(seed: int, label: str, population: Sequence[int], count: int) -> list[int]:
    """``count`` different members of ``population`` (fewer where it is smaller), in the seed's order."""
    chooser = random.Random(int.from_bytes(derive(seed, "spread", label), "big"))  # noqa: S311 - a simulation
    return chooser.sample(population, min(count, len(population)))


def between(start: datetime, end: datetime, share: float) -> datetime:
    """A time between two others, to the second."""
    return (start + (end - start) * share).replace(microsecond=0)


def share(*labels: object, seed: int) -> float:
    """A number from 0 up to 1 that the seed and the labels determine."""
    return int.from_bytes(derive(seed, "share", *labels)[:6], "big") / (1 << 48)
