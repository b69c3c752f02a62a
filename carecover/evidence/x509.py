"""X.509 certificates and CRLs as files: DER, PEM (any number of blocks), bare base64.

Microsoft's private extensions are read here too: CA version 1.3.6.1.4.1.311.21.1 (key
index << 16 | certificate index), Next CRL Publish 21.4, template 21.7 (v2 and later, OID)
and 20.2 (v1, name).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ObjectIdentifier

from carecover.errors import UsageError
from carecover.evidence.crl import read_list
from carecover.evidence.extensions import (
    DAMAGED,
    ca_version,
    distribution_urls,
    extension_value,
    first_line,
    key_identifier,
    name_urls,
    or_none,
    printed_name,
    quietly,
    raw_extension,
    short_content,
)
from carecover.evidence.units import Buffer, Parsed, Reader, Rejected, Row, Source, Unit
from carecover.model import SerialNumber, sha256_hex

_TEMPLATE_NAME: Final = ObjectIdentifier("1.3.6.1.4.1.311.20.2")

# The CA database stores a certificate in 16,384 bytes; nobody needs one of a megabyte.
MAX_CERTIFICATE_BYTES: Final = 1024 * 1024
# Ten million entries; a CRL that no client could fetch.
MAX_CRL_BYTES: Final = 512 * 1024 * 1024

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 #]{1,40})-----")
_BASE64_ONLY = re.compile(rb"[\sA-Za-z0-9+/=]+")
_CERTIFICATE_LABELS: Final = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})
_CRL_LABELS: Final = frozenset({"X509 CRL", "CRL"})


@quietly
def certificate_row(der: bytes, *, location: str = "", from_mail: bool = False) -> Row:
    """One row of ``certificates`` from DER; raises ValueError where it is no usable certificate."""
    certificate = load_certificate(der)
    extensions = or_none(lambda: certificate.extensions)
    return {
        "certificate_sha256": sha256_hex(der),
        "serial": _serial(certificate.serial_number),
        "thumbprint": sha1_hex(der),
        "subject": or_none(lambda: printed_name(certificate.subject)),
        "issuer": or_none(lambda: printed_name(certificate.issuer)),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
        "template": _template(extensions),
        "location": location,
        "is_ca": bool(extension_value(extensions, x509.BasicConstraints, lambda value: value.ca)),
        "from_mail": from_mail,
        "ca_version": ca_version(extensions),
        "key_id": extension_value(extensions, x509.SubjectKeyIdentifier, lambda value: value.digest.hex()),
        "authority_key_id": extension_value(extensions, x509.AuthorityKeyIdentifier, key_identifier),
        "crl_urls": distribution_urls(extension_value(extensions, x509.CRLDistributionPoints, list) or []),
        "ocsp_urls": _ocsp_urls(extensions),
        "eku": extension_value(extensions, x509.ExtendedKeyUsage, lambda value: [oid.dotted_string for oid in value])
        or [],
        "der": der,
    }


@quietly
def load_certificate(der: bytes) -> x509.Certificate:
    """A certificate from exactly this DER; raises ValueError with a sentence otherwise."""
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise ValueError(f"It has {len(der)} bytes; a certificate of more than {MAX_CERTIFICATE_BYTES} is not read.")
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.serial_number, certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except DAMAGED as error:
        raise ValueError(f"It is not a well-formed X.509 certificate: {first_line(error)}.") from None
    return certificate


def _serial(number: int) -> str:
    try:
        return SerialNumber(number).text
    except UsageError as error:
        raise ValueError(str(error)) from None


def sha1_hex(der: bytes) -> str:
    """Microsoft's thumbprint (CertificateHash): a name for the bytes, never a proof."""
    return hashlib.sha1(der, usedforsecurity=False).hexdigest()


# ------------------------------------------------------------------------------- extensions


def _ocsp_urls(extensions: x509.Extensions | None) -> list[str]:
    about = extension_value(extensions, x509.AuthorityInformationAccess, list) or []
    found = name_urls(
        each.access_location for each in about if each.access_method == AuthorityInformationAccessOID.OCSP
    )
    return list(dict.fromkeys(found))


def _template(extensions: x509.Extensions | None) -> str | None:
    oid = extension_value(extensions, x509.MSCertificateTemplate, lambda value: value.template_id.dotted_string)
    if oid is not None:
        return oid
    name = short_content(raw_extension(extensions, _TEMPLATE_NAME), 0x1E)
    return or_none(lambda: name.decode("utf-16-be")) if name else None


# ---------------------------------------------------------------------------------- readers


def der_of_base64(text: bytes) -> bytes | None:
    """DER from base64 of any line length, or None where it is not that."""
    compact = b"".join(text.split())
    if not compact.startswith(b"M") or len(compact) % 4:
        return None
    try:
        return outer_element(base64.b64decode(compact, validate=True))
    except (binascii.Error, ValueError):
        return None


def outer_element(data: bytes, *, followed: bool = False) -> bytes | None:
    """The one SEQUENCE that the data begins with; None where there is none, or where more follows unless it may.

    Blanks and NULs behind it, which transports add, are cut off.
    """
    if len(data) < 4 or data[0] != 0x30:
        return None
    length, header = data[1], 2
    if length > 0x80:
        octets = length & 0x7F
        if octets > 4:
            return None
        length, header = int.from_bytes(data[2 : 2 + octets], "big"), 2 + octets
    elif length == 0x80:
        return None
    end = header + length
    if end > len(data) or (data[end:].strip(b"\0\r\n\t ") and not followed):
        return None
    return data[:end]


def _kind_of(source: Source) -> str | None:
    """``certificate`` or ``crl`` by the first thing that the file holds."""
    head = source.head.lstrip(b"\xef\xbb\xbf \t\r\n")
    labels = [match[1].decode("ascii") for match in _PEM.finditer(head)]
    for label in labels:
        if label in _CERTIFICATE_LABELS:
            return "certificate"
        if label in _CRL_LABELS:
            return "crl"
    if labels:
        return None
    der = _single(source)
    if der is None:
        return "crl" if _followed_list(source) is not None else None
    return "crl" if _looks_like_crl(der) else "certificate" if _looks_like_certificate(der) else None


def _single(source: Source) -> bytes | None:
    """The DER of a file that is nothing but one DER element or its base64."""
    if source.size > MAX_CRL_BYTES:
        return None
    if source.head[:1] == b"\x30":
        return outer_element(bytes(source.data[:]))
    head = source.head.removeprefix(b"\xef\xbb\xbf")
    if head.lstrip()[:1] == b"M" and _BASE64_ONLY.fullmatch(head):
        return der_of_base64(bytes(source.data[:]).removeprefix(b"\xef\xbb\xbf"))
    return None


def _followed_list(source: Source) -> bytes | None:
    """The CRL that a file of DER begins with, where something follows it: openssl and others read it all the same."""
    if source.size > MAX_CRL_BYTES or source.head[:1] != b"\x30":
        return None
    der = outer_element(bytes(source.data[:]), followed=True)
    return der if der is not None and _looks_like_crl(der) else None


def _looks_like_crl(der: bytes) -> bool:
    return or_none(lambda: x509.load_der_x509_crl(der)) is not None


def _looks_like_certificate(der: bytes) -> bool:
    try:
        load_certificate(der)
    except ValueError:
        return False
    return True


def _blocks(data: bytes) -> Iterator[tuple[int, str, bytes | None, bytes]]:
    """The PEM blocks: byte position, label, DER (None where it is no base64), the block's bytes."""
    at = 0
    while (begin := _PEM.search(data, at)) is not None:
        following = _PEM.search(data, begin.end())
        limit = following.start() if following else len(data)
        end = data.find(b"-----END " + begin[1] + b"-----", begin.end(), limit)
        at = limit if end < 0 else end
        body = data[begin.end() : at]
        # OpenSSL's own "TRUSTED" blocks and Proc-Type headers are not base64 alone; they are rejected.
        yield begin.start(), begin[1].decode("ascii"), der_of_base64(body) if end >= 0 else None, body


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    der = _single(source)
    if der is not None:
        yield _unit("crl" if _looks_like_crl(der) else "certificate", der, "byte 0")
        return
    if (der := _followed_list(source)) is not None:
        yield _unit("crl", der, "byte 0")
        rest = bytes(source.data[len(der) :])
        reason = f"{len(rest)} bytes follow the CRL. Clients may read it or refuse it: fetch it again."
        yield Rejected.of(f"byte {len(der)}", "parse", reason, rest)
        return
    if source.size > MAX_CRL_BYTES:
        reason = f"The file has more than {MAX_CRL_BYTES} bytes, too much for certificates or CRLs."
        yield Rejected.of("byte 0", "open", reason, source.data)
        return
    for at, label, der, body in _blocks(bytes(source.data[:])):
        progress(at)
        kind = "certificate" if label in _CERTIFICATE_LABELS else "crl" if label in _CRL_LABELS else None
        location = f"byte {at}"
        if kind is None:
            yield Rejected.of(location, "detect", f"A PEM block '{label}' is neither certificate nor CRL.", body)
        elif der is None:
            reason = f"The PEM block '{label}' is cut off or not plain base64. Hand in the file again."
            yield Rejected.of(location, "parse", reason, body)
        else:
            yield _unit(kind, der, location)


def _unit(kind: str, der: bytes, location: str) -> Unit:
    try:
        if kind == "certificate":
            return Parsed((("certificates", certificate_row(der, location=location)),))
        return read_list(der, location=location)
    except ValueError as error:
        return Rejected.of(location, "parse", str(error), der)


def _missing(data: Buffer) -> int:
    """How many bytes a file lacks of what its first DER element says."""
    head = bytes(data[:6])
    octets = head[1] & 0x7F if head[1] > 0x80 else 0
    length = int.from_bytes(head[2 : 2 + octets], "big") if octets else head[1] & 0x7F
    return 2 + octets + length - len(data) if octets <= 4 else 0


def what_der_is(data: Buffer) -> str | None:
    """A word for DER or PEM that carecover does not read; None where it is neither."""
    head = bytes(data[:4096])
    match = _PEM.search(head)
    if match:
        return f"a PEM file of '{match[1].decode('ascii')}'"
    if head[:2] in (b"\x30\x80", b"\x30\x81", b"\x30\x82", b"\x30\x83", b"\x30\x84"):
        if (missing := _missing(data)) > 0:
            return f"a certificate, CRL or OCSP response in DER that is cut off: {missing} bytes are missing at its end"
        if b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02" in head[:64]:
            return "a PKCS #7 file (.p7b)"
        return "ASN.1 that is neither a certificate nor a CRL, or is damaged"
    return None


CERTIFICATE_READER: Final = Reader("certificate", lambda source: _kind_of(source) == "certificate", _read)
CRL_READER: Final = Reader("crl", lambda source: _kind_of(source) == "crl", _read)
