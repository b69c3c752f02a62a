"""A simulated AD CS certification authority: keys, certificates, CRLs and serial numbers.

Everything is derived from a seed: P-256 keys by hashing, signatures by RFC 6979, so that
the same seed gives the same bytes. The private keys therefore protect nothing and exist
only for simulated incidents.

Extensions and their order follow what Microsoft's CA writes ([MS-WCCE] 3.2.2.6.2.1.4,
Microsoft object identifiers 1.3.6.1.4.1.311.20 and .21).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, Self, get_args

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from carecover.errors import UsageError
from carecover.model import Disposition, SerialNumber

# ClockSkewMinutes, default 10: notBefore and thisUpdate lie that much before the act.
CLOCK_SKEW: Final = timedelta(minutes=10)

CA_VERSION: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.21.1")
NEXT_CRL_PUBLISH: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.21.4")
ENROLL_CERTTYPE: Final = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2")

SerialLayout = Literal["default", "number", "string", "generated_string"]

# Order of the P-256 group (NIST SP 800-186, 3.2.1.3).
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def derive(seed: int, *labels: object) -> bytes:
    """32 bytes that depend on the seed and the labels only, on every machine."""
    return hashlib.sha256("\x00".join(["carecover", str(seed), *map(str, labels)]).encode()).digest()


@lru_cache(maxsize=256)  # one seed's keys are asked for again for every certificate
def derive_key(seed: int, *labels: object) -> ec.EllipticCurvePrivateKey:
    """A P-256 key that the seed determines: reproducible, hence worthless as a secret."""
    number = int.from_bytes(derive(seed, "key", 0, *labels) + derive(seed, "key", 1, *labels), "big")
    return ec.derive_private_key(number % (_P256_ORDER - 1) + 1, ec.SECP256R1())


# --------------------------------------------------------------------------- serial numbers


@dataclass(frozen=True, slots=True)
class HighSerial:
    """The CA's registry value HighSerial, which rules the layout of its serial numbers.

    [MS-WCCE] 3.2.1.4.2.1.4.6: ``default`` (value 0, 10 bytes), ``number`` (one byte, 19
    bytes), ``string`` (a constant of up to 13 bytes in front) and ``generated_string``
    (0xFFFFFFFF: eight bytes chosen once and kept as a string).
    """

    layout: SerialLayout
    prefix: bytes

    @classmethod
    def of(cls, layout: SerialLayout, seed: int) -> Self:
        """The setting that this seed's CA has; raises UsageError for an unknown layout."""
        chosen = derive(seed, "HighSerial", layout)
        match layout:
            case "default":
                return cls(layout, b"")
            case "number":
                return cls(layout, bytes([chosen[0] % 0x7F + 1]))
            case "string":
                return cls(layout, chosen[: 4 + chosen[31] % 8])
            case "generated_string":
                return cls(layout, chosen[:8])
        raise UsageError(f"'{layout}' is no serial layout; one of {', '.join(get_args(SerialLayout))} is.")

    def serial(self, request_id: int, ca_cert_index: int, random: bytes) -> SerialNumber:
        """The serial number of one request; ``random`` has at least eight bytes.

        Two CAs of one string setting give one request ID the same serial: that is how a
        restored CA can issue a lost serial number again.
        """
        low = ca_cert_index.to_bytes(2, "big") + request_id.to_bytes(4, "big")
        match self.layout:
            case "default":
                raw = random[:4] + low
            case "number":
                raw = self.prefix + request_id.to_bytes(4, "big") + random[:8] + low
            case _:
                raw = self.prefix + low
        return SerialNumber(int.from_bytes(bytes([_top_byte(raw[0])]) + raw[1:], "big"))


def _top_byte(value: int) -> int:
    """The last step of every layout: a first byte without sign bit and without leading zero."""
    value &= 0x7F
    if value == 0:
        return 0x61
    return value ^ 0x10 if value >> 4 == 0 else value


# ------------------------------------------------------------------------- templates and rows


@dataclass(frozen=True, slots=True)
class Template:
    """A certificate template; ``oid`` is None for version 1, which certificates name by name."""

    name: str
    display_name: str
    oid: str | None
    validity: timedelta
    eku: tuple[str, ...]
    key_encipherment: bool = True
    infrastructure: bool = False

    @property
    def identifier(self) -> str:
        """What the database column CertificateTemplate holds: OID (v2 and later) or name (v1)."""
        return self.oid or self.name


@dataclass(frozen=True, slots=True)
class DatabaseRow:
    """One row of the CA database. Times are timezone-aware; absent values are None."""

    request_id: int
    disposition: Disposition
    submitted_at: datetime | None
    requester: str | None
    subject: str | None = None
    """Issued distinguished name in certutil's order and spelling."""
    common_name: str | None = None
    """Issued common name; several values are joined by a line feed."""
    template: Template | None = None
    serial: SerialNumber | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    resolved_at: datetime | None = None
    revoked_at: datetime | None = None
    effective_revoked_at: datetime | None = None
    reason: int | None = None
    issuer_name_id: int | None = None
    thumbprint: str | None = None
    certificate: bytes | None = None
    """DER, where this row's certificate was really signed."""
    upn: str | None = None
    message: str | None = None
    """Request disposition message."""


@dataclass(frozen=True, slots=True)
class CrlEntry:
    """One revoked certificate on a CRL; reason 0 is written without a reason code."""

    serial: SerialNumber
    revoked_at: datetime
    reason: int


def stays_on_crl(not_after: datetime, previous_base: datetime | None) -> bool:
    """True where an entry is still listed: an expired certificate stays for one more base CRL.

    ``previous_base`` is when the base CRL before this one was published
    (https://technet.microsoft.com/en-us/library/cc737180(v=ws.10).aspx).
    """
    return previous_base is None or not_after >= previous_base


_REASON_FLAGS: Final = {
    1: x509.ReasonFlags.key_compromise,
    2: x509.ReasonFlags.ca_compromise,
    3: x509.ReasonFlags.affiliation_changed,
    4: x509.ReasonFlags.superseded,
    5: x509.ReasonFlags.cessation_of_operation,
    6: x509.ReasonFlags.certificate_hold,
    8: x509.ReasonFlags.remove_from_crl,
}


# ------------------------------------------------------------------------------ the authority


@dataclass
class Authority:
    """The CA's names, keys and certificates; certificate and key indexes count renewals.

    ``certificates[i]`` is the CA certificate of index i, ``key_index[i]`` the key it
    certifies. A same-key renewal adds a certificate but no key, and so no CRL.
    """

    seed: int
    name: x509.Name
    high_serial: HighSerial
    publication_url: str
    """Where CRLs and CA certificates are, without a trailing slash."""
    label: str = "ca"
    """Two authorities of one seed with different labels have different keys."""
    certificates: list[x509.Certificate] = field(default_factory=list)
    key_index: list[int] = field(default_factory=list)

    @property
    def common_name(self) -> str:
        """The CA's common name."""
        return str(self.name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    @property
    def newest(self) -> int:
        """Index of the CA certificate that signs now."""
        return len(self.certificates) - 1

    @property
    def keys(self) -> range:
        """All key indexes; each key has its own CRL."""
        return range(max(self.key_index) + 1)

    def key(self, key_index: int) -> ec.EllipticCurvePrivateKey:
        """The private key of one key index."""
        return derive_key(self.seed, self.label, key_index)

    def issuer_name_id(self, ca_cert_index: int) -> int:
        """Database column IssuerNameID and CA version extension: key index << 16 | certificate index."""
        return self.key_index[ca_cert_index] << 16 | ca_cert_index

    def certificate_of_key(self, key_index: int) -> int:
        """Index of the newest CA certificate of one key."""
        return max(i for i, key in enumerate(self.key_index) if key == key_index)

    def renew(self, not_before: datetime, not_after: datetime, *, new_key: bool = True) -> x509.Certificate:
        """Make the next CA certificate (the first one too), self-signed as a root CA's is."""
        index = len(self.certificates)
        key_index = 0 if not index else max(self.key_index) + new_key
        key = self.key(key_index)
        # A CA's own serial is sixteen random bytes and follows no layout.
        serial = int.from_bytes(b"\x10" + derive(self.seed, self.label, "CA serial", index)[:15], "big")
        certificate = (
            x509.CertificateBuilder(self.name, self.name, key.public_key(), serial)
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(_key_usage(digital_signature=True, key_cert_sign=True, crl_sign=True), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_ca_version(key_index << 16 | index), critical=False)
            .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
        )
        self.certificates.append(certificate)
        self.key_index.append(key_index)
        return certificate

    def serial_for(self, request_id: int, *, ca_cert_index: int | None = None, life: str = "") -> SerialNumber:
        """The serial number of a request; ``life`` tells the CA before from the one after a restore."""
        index = self.newest if ca_cert_index is None else ca_cert_index
        return self.high_serial.serial(request_id, index, derive(self.seed, self.label, "serial", life, request_id))

    def issue(
        self,
        serial: SerialNumber,
        *,
        subject: x509.Name,
        template: Template,
        not_before: datetime,
        not_after: datetime,
        alternative_names: Sequence[x509.GeneralName] = (),
        public_key: ec.EllipticCurvePublicKey | None = None,
        ca_cert_index: int | None = None,
    ) -> x509.Certificate:
        """Sign one certificate, with the extensions that the template asks for.

        Without ``public_key`` all certificates share one key: a simulated incident needs
        their identity, not their holders.
        """
        index = self.newest if ca_cert_index is None else ca_cert_index
        subject_key = public_key or derive_key(self.seed, "subject").public_key()
        eku = [x509.ObjectIdentifier(oid) for oid in template.eku]
        usage = _key_usage(digital_signature=True, key_encipherment=template.key_encipherment)
        builder = (
            x509.CertificateBuilder(self.name, subject, subject_key, serial.value)
            .not_valid_before(not_before)
            .not_valid_after(not_after)
            .add_extension(_template_extension(template), critical=False)
            .add_extension(x509.ExtendedKeyUsage(eku), critical=False)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject_key), critical=False)
        )
        if alternative_names:
            # RFC 5280 4.2.1.6: critical where the subject is empty.
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative_names), critical=not subject.rdns)
        key_index = self.key_index[index]
        crl, ca = self._crl_url(key_index), f"{self.publication_url}/{self.file_stem(index)}.crt"
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl)], None, None, None)
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(ca))
        return (
            builder.add_extension(self._authority_key_identifier(key_index), critical=False)
            .add_extension(x509.CRLDistributionPoints([point]), critical=False)
            .add_extension(x509.AuthorityInformationAccess([access]), critical=False)
            .sign(self.key(key_index), hashes.SHA256(), ecdsa_deterministic=True)
        )

    def sign_dummy(
        self,
        serial: SerialNumber,
        *,
        not_before: datetime,
        not_after: datetime,
        ca_cert_index: int | None = None,
        subject: x509.Name | None = None,
        extensions: Sequence[x509.Extension[x509.ExtensionType]] = (),
    ) -> x509.Certificate:
        """A certificate made only to carry a serial number, as ``certutil -sign SERIAL`` makes it.

        What Microsoft's dummy holds is documented nowhere; subject and key of the CA itself
        are assumed.
        """
        index = self.newest if ca_cert_index is None else ca_cert_index
        key = self.key(self.key_index[index])
        builder = (
            x509.CertificateBuilder(
                self.name, self.name if subject is None else subject, key.public_key(), serial.value
            )
            .not_valid_before(not_before)
            .not_valid_after(not_after)
        )
        for extension in extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)

    def sign_crl(
        self,
        entries: Iterable[CrlEntry],
        *,
        number: int,
        this_update: datetime,
        next_update: datetime,
        next_publish: datetime,
        key_index: int | None = None,
        base_number: int | None = None,
    ) -> x509.CertificateRevocationList:
        """Sign the CRL of one key; with ``base_number`` it is a delta CRL.

        Times are written as given: AD CS puts ``this_update`` CLOCK_SKEW before the publication.
        """
        key = self.key_index[self.newest] if key_index is None else key_index
        builder = (
            x509.CertificateRevocationListBuilder(self.name, this_update, next_update)
            .add_extension(self._authority_key_identifier(key), critical=False)
            .add_extension(_ca_version(self.issuer_name_id(self.certificate_of_key(key))), critical=False)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        if base_number is not None:
            builder = builder.add_extension(x509.DeltaCRLIndicator(base_number), critical=True)
        published = asn1.encode_der(asn1.UTCTime(next_publish.astimezone(UTC).replace(microsecond=0)))
        builder = builder.add_extension(x509.UnrecognizedExtension(NEXT_CRL_PUBLISH, published), critical=False)
        for entry in entries:
            builder = builder.add_revoked_certificate(_revoked(entry))
        return builder.sign(self.key(key), hashes.SHA256(), ecdsa_deterministic=True)

    def file_stem(self, ca_cert_index: int) -> str:
        """File name of a CA certificate without its ending: ``(1)`` marks the first renewal."""
        return self.common_name.replace(" ", "-") + (f"({ca_cert_index})" if ca_cert_index else "")

    def crl_stem(self, key_index: int, *, delta: bool = False) -> str:
        """File name of a CRL without its ending; delta CRLs have a plus sign."""
        return self.common_name.replace(" ", "-") + (f"({key_index})" if key_index else "") + "+" * delta

    def _crl_url(self, key_index: int) -> str:
        return f"{self.publication_url}/{self.crl_stem(key_index)}.crl"

    def _authority_key_identifier(self, key_index: int) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key(key_index).public_key())


def der(item: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    """The DER encoding."""
    return item.public_bytes(Encoding.DER)


def thumbprint(certificate: bytes) -> str:
    """Microsoft's CertificateHash: SHA-1 over the DER, lower-case hex."""
    return hashlib.sha1(certificate, usedforsecurity=False).hexdigest()


def _revoked(entry: CrlEntry) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(entry.serial.value, entry.revoked_at)
    if entry.reason:
        builder = builder.add_extension(x509.CRLReason(_REASON_FLAGS[entry.reason]), critical=False)
    return builder.build()


def _template_extension(template: Template) -> x509.ExtensionType:
    if template.oid is not None:
        return x509.MSCertificateTemplate(x509.ObjectIdentifier(template.oid), 100, 4)
    text = template.name.encode("utf-16-be")
    # A BMPString (X.690 tag 30); template names are far shorter than 128 bytes.
    return x509.UnrecognizedExtension(ENROLL_CERTTYPE, bytes([0x1E, len(text)]) + text)


def _ca_version(version: int) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(CA_VERSION, asn1.encode_der(version))


def _key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
