"""X.509 certificates and CRLs as files: DER (one behind the other, too), PEM, bare base64, PKCS #7.

What a PEM block holds is told by its bytes, not by its label: certutil -encode writes
"CERTIFICATE" above anything.

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
from itertools import islice
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ObjectIdentifier

from carecover.errors import UsageError
from carecover.evidence import der as asn1
from carecover.evidence import pkcs7, text
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
from carecover.evidence.units import Buffer, Irrelevant, Parsed, Reader, Rejected, Row, Source, Unit
from carecover.model import SerialNumber, sha256_hex

_TEMPLATE_NAME: Final = ObjectIdentifier("1.3.6.1.4.1.311.20.2")

# The CA database stores a certificate in 16,384 bytes; nobody needs one of a megabyte.
MAX_CERTIFICATE_BYTES: Final = 1024 * 1024
# Ten million entries; a CRL that no client could fetch.
MAX_CRL_BYTES: Final = 512 * 1024 * 1024

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 #]{1,40})-----")
_PEM_END = re.compile(rb"-----END [A-Z0-9 #]{1,40}-----")
_BASE64_ONLY = re.compile(rb"[\sA-Za-z0-9+/=]+")
# "TRUSTED CERTIFICATE" is OpenSSL's: behind the certificate stands what it is trusted for.
_TRUSTED: Final = "TRUSTED CERTIFICATE"
_LABELS: Final = frozenset(
    {
        *("CERTIFICATE", "X509 CERTIFICATE", _TRUSTED, "X509 CRL", "CRL"),
        *("PKCS7", "PKCS #7 SIGNED DATA", "CMS", "CERTIFICATE CHAIN"),
    }
)
# A bag in a bag in a bag was made to be deep.
_MAX_BAGS: Final = 3
_CERTIFICATE: Final = "certificate"
_CRL: Final = "crl"
_BAG: Final = "bag"
_EXPLICIT_VERSION: Final = 0xA0
_NEITHER: Final = "ASN.1 that is neither a certificate nor a CRL, or is damaged"
# PFX: version 3 and a SEQUENCE; CertificationRequest: a SEQUENCE of version 0, a name, a key.
_PFX = re.compile(rb"\x30(?:\x81.|\x82..|\x83...|\x84....|\x80)\x02\x01\x03\x30", re.DOTALL)
_REQUEST = re.compile(rb"\x30(?:\x81.|\x82..)\x30(?:[\0-\x7f]|\x81.|\x82..)\x02\x01\x00\x30", re.DOTALL)


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


def der_of_base64(encoded: bytes, *, followed: bool = False) -> bytes | None:
    """DER from base64 of any line length, or None where it is not that; ``followed`` as in ``outer_element``."""
    compact = b"".join(encoded.split())
    if not compact.startswith(b"M") or len(compact) % 4:
        return None
    try:
        return outer_element(base64.b64decode(compact, validate=True), followed=followed)
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


def what_it_holds(der: bytes) -> str | None:
    """``certificate``, ``crl`` or ``bag`` (PKCS #7) by the structure of the DER alone, damaged or not; else None."""
    if pkcs7.content_type(der) is not None:
        return _BAG
    try:
        outer = asn1.element(der, 0, len(der))
        parts = _first(der, outer, 3)
        if [part.tag for part in parts] != [asn1.SEQUENCE, asn1.SEQUENCE, asn1.BIT_STRING]:
            return None
        fields = _first(der, parts[0], 6)
    except ValueError:
        return None
    if fields and fields[0].tag in (_EXPLICIT_VERSION, asn1.INTEGER):
        numbered, fields = True, fields[1:]
    else:
        numbered = False
    tags = [field.tag for field in fields[:3]]
    if tags[:1] == [asn1.INTEGER]:
        return _CERTIFICATE
    if tags[:2] != [asn1.SEQUENCE, asn1.SEQUENCE]:
        return None
    if tags[2:] in ([asn1.UTC_TIME], [asn1.GENERALIZED_TIME]):
        return _CRL
    # A certificate of version 1 has its serial where others have their version; a request has no third SEQUENCE.
    return _CERTIFICATE if numbered and tags[2:] == [asn1.SEQUENCE] else None


def _first(der: bytes, parent: asn1.Element, limit: int) -> list[asn1.Element]:
    return list(islice(asn1.elements(der, parent.start, parent.stop), limit))


def units_of_der(der: bytes, location: str, *, bags: int = 0) -> Iterator[Unit]:
    """What one DER element gives: a certificate's row, a CRL's rows, all that a PKCS #7 carries, or a reject."""
    kind = what_it_holds(der)
    if kind == _BAG:
        yield from _units_of_bag(der, location, bags)
    elif kind is None:
        words = what_der_is(der) or "neither a certificate nor a CRL"
        yield Rejected.of(location, "detect", f"It is {words}.", der)
    else:
        yield _unit(kind, der, location)


def _units_of_bag(der: bytes, location: str, bags: int) -> Iterator[Unit]:
    content = pkcs7.content_type(der)
    if content != "signed data" or bags >= _MAX_BAGS:
        shown = f"It is PKCS #7 of type '{content}', which carries no certificates that can be read."
        reason = shown if bags < _MAX_BAGS else f"It lies in more than {_MAX_BAGS} PKCS #7: it was made to be deep."
        yield Rejected.of(location, "detect", reason, der)
        return
    number = 0
    try:
        for number, item in enumerate(pkcs7.items(der), 1):
            place = f"{location}, {item.kind if item.kind != 'other' else 'item'} {number}"
            if item.kind == "other":
                reason = "It is a certificate or status of a kind that carecover does not read (RFC 5652 10.2)."
                yield Rejected.of(place, "detect", reason, item.der)
            else:
                yield from units_of_der(item.der, place, bags=bags + 1)
    except ValueError as error:
        yield Rejected.of(location, "parse", str(error), der)
        return
    if not number:
        yield Irrelevant()


def _unit(kind: str, der: bytes, location: str) -> Unit:
    try:
        if kind == _CERTIFICATE:
            return Parsed((("certificates", certificate_row(der, location=location)),))
        return read_list(der, location=location)
    except ValueError as error:
        shown = _serial_of_damaged(der) if kind == _CERTIFICATE else None
        reads = f" Its serial number reads {shown}: look at it." if shown else ""
        return Rejected.of(location, "parse", f"{error}{reads}", der)


def _serial_of_damaged(der: bytes) -> str | None:
    """The serial number of a certificate that the library refuses; None where it is not there, or no serial number."""
    try:
        outer = asn1.element(der, 0, len(der))
        fields = _first(der, _first(der, outer, 1)[0], 2)
        field = next(field for field in fields if field.tag == asn1.INTEGER)
        return _serial(int.from_bytes(der[field.start : field.stop], "big", signed=True))
    except (ValueError, IndexError, StopIteration):
        return None


# ------------------------------------------------------------------------------ files, as bytes or as text


def _text(data: Buffer) -> tuple[bytes, int, int]:
    """The bytes of a text in ASCII, how many bytes of the file one is, and where the text begins.

    What is no ASCII is none of a certificate's business.
    """
    encoding, skip = text.told_encoding(data)
    if encoding.startswith("utf-16"):
        return bytes(data[skip:]).decode(encoding, "replace").encode("ascii", "replace"), 2, skip
    return bytes(data[skip:]), 1, skip


def _blocks(data: bytes) -> Iterator[tuple[int, str, bytes | None, bytes]]:
    """The PEM blocks: byte position, label, DER (None where it is no base64), the block's bytes."""
    at = 0
    while (begin := _PEM.search(data, at)) is not None:
        following = _PEM.search(data, begin.end())
        limit = following.start() if following else len(data)
        # A block whose END is lost is whole all the same where its DER says so.
        end = _PEM_END.search(data, begin.end(), limit)
        at = end.start() if end else limit
        body = data[begin.end() : at]
        label = begin[1].decode("ascii")
        # Proc-Type headers are not base64 alone; such a block is rejected.
        yield begin.start(), label, der_of_base64(body, followed=label == _TRUSTED), body


def _elements_of_base64(plain: bytes) -> Iterator[tuple[bytes | None, bytes]]:
    """Bare base64, element by element: each says how long it is; (None, rest) where no element is."""
    compact = b"".join(plain.split())
    at = 0
    while at < len(compact):
        length = _length(_decoded(compact[at : at + 8]))
        size = 0 if length is None else (length + 2) // 3 * 4
        der = _decoded(compact[at : at + size]) if size and at + size <= len(compact) else None
        if der is None:
            yield None, compact[at:]
            return
        yield der[:length], compact[at : at + size]
        at += size


def _decoded(compact: bytes) -> bytes | None:
    try:
        return base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        return None


def _length(start: bytes | None) -> int | None:
    """The length of the SEQUENCE in DER that begins so, its head included; None where none does."""
    if start is None or len(start) < 6 or start[0] != asn1.SEQUENCE or start[1] == 0x80:
        return None
    octets = start[1] & 0x7F if start[1] > 0x80 else 0
    if octets > 4:
        return None
    return 2 + octets + int.from_bytes(start[2 : 2 + octets], "big") if octets else 2 + start[1]


def _is_bare_base64(head: bytes) -> bool:
    return head.lstrip()[:1] == b"M" and _BASE64_ONLY.fullmatch(head) is not None


def _kind_of(source: Source) -> str | None:
    """``certificate`` or ``crl`` by the first thing that the file holds; a PKCS #7 by what it carries first."""
    if source.head[:1] == b"\x30":
        return _kind_of_der(source)
    head = _text(source.head)[0]
    blocks = [(label, der) for _, label, der, _ in _blocks(head)]
    kind = next((kind for _, der in blocks if der is not None and (kind := _told(der)) is not None), None)
    if kind is None and any(label in _LABELS for label, _ in blocks):
        named = next(label for label, _ in blocks if label in _LABELS)
        return _CRL if "CRL" in named else _CERTIFICATE
    if kind is not None or blocks or not _is_bare_base64(head):
        return kind
    first = next(_elements_of_base64(_text(source.data)[0]), (None, b""))[0]
    return _told(first) if first is not None else None


def _kind_of_der(source: Source) -> str | None:
    if source.size > MAX_CRL_BYTES:
        return None
    if source.head[1:2] == b"\x80":
        return _told(bytes(source.data[:]))
    length = _length(source.head[:6])
    return _told(bytes(source.data[:length])) if length is not None and length <= source.size else None


def _told(der: bytes) -> str | None:
    kind = what_it_holds(der)
    if kind != _BAG:
        return kind
    try:
        first = next((item.kind for item in pkcs7.items(der)), _CERTIFICATE) if _is_signed(der) else _CERTIFICATE
    except ValueError:
        return _CERTIFICATE
    return _CRL if first == "crl" else _CERTIFICATE


def _is_signed(der: bytes) -> bool:
    return pkcs7.content_type(der) == "signed data"


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    if source.size > MAX_CRL_BYTES:
        reason = f"The file has more than {MAX_CRL_BYTES} bytes, too much for certificates or CRLs."
        yield Rejected.of("byte 0", "open", reason, source.data)
        return
    if source.head[:1] == b"\x30":
        yield from _read_der(bytes(source.data[:]), progress)
        return
    data, width, skip = _text(source.data)
    if _PEM.search(data) is None:
        yield from _read_base64(data)
        return
    for at, label, der, body in _blocks(data):
        place = skip + width * at
        progress(place)
        location = f"byte {place}"
        if der is not None and (label in _LABELS or what_it_holds(der) is not None):
            yield from units_of_der(der, location)
        elif label not in _LABELS:
            yield Rejected.of(location, "detect", f"A PEM block '{label}' is neither certificate nor CRL.", body)
        else:
            reason = f"The PEM block '{label}' is cut off or not plain base64. Hand in the file again."
            yield Rejected.of(location, "parse", reason, body)


def _read_der(data: bytes, progress: Callable[[int], None]) -> Iterator[Unit]:
    """DER elements, one behind the other; what follows that is none is told."""
    if data[1:2] == b"\x80":
        yield from units_of_der(data, "byte 0")
        return
    at, what = 0, "element"
    while at < len(data):
        length = _length(data[at : at + 6].ljust(6, b"\0"))
        held = what_it_holds(data[at : at + length]) if length is not None and at + length <= len(data) else None
        if length is None or held is None:
            break
        what = {_CRL: "CRL", _BAG: "PKCS #7"}.get(held, held)
        yield from units_of_der(data[at : at + length], f"byte {at}")
        at += length
        progress(at)
        while data[at : at + 1] in (b"\0", b"\r", b"\n", b"\t", b" "):
            at += 1
    if rest := data[at:]:
        reason = f"{len(rest)} bytes follow the {what}. Clients may read it or refuse it: fetch it again."
        yield Rejected.of(f"byte {at}", "parse", reason, rest)


def _read_base64(data: bytes) -> Iterator[Unit]:
    for number, (der, encoded) in enumerate(_elements_of_base64(data), 1):
        location = "byte 0" if number == 1 else f"element {number}"
        if der is None:
            reason = "From here on the base64 is cut off, or holds no certificate or CRL. Hand in the file again."
            yield Rejected.of(location, "parse", reason, encoded)
        else:
            yield from units_of_der(der, location)


def _missing(data: Buffer) -> int:
    """How many bytes a file lacks of what its first DER element says."""
    length = _length(bytes(data[:6]).ljust(6, b"\0"))
    return 0 if length is None else length - len(data)


def what_der_is(data: Buffer) -> str | None:
    """A word for DER or PEM that carecover does not read; None where it is neither."""
    head = _text(bytes(data[:8192]))[0][:4096]
    match = _PEM.search(head)
    if match:
        return f"a PEM file of '{match[1].decode('ascii')}'"
    if head[:2] in (b"\x30\x80", b"\x30\x81", b"\x30\x82", b"\x30\x83", b"\x30\x84"):
        if (missing := _missing(data)) > 0:
            return f"a certificate, CRL or OCSP response in DER that is cut off: {missing} bytes are missing at its end"
        if _PFX.match(head):
            return "a PKCS #12 file (.pfx, .p12), which holds private keys: export the certificates alone"
        if _REQUEST.match(head):
            return "a certificate request (PKCS #10): a certificate is what the CA made of it"
        return _NEITHER
    return _NEITHER if head[:1] == b"\x30" and _missing(data) == 0 else None


CERTIFICATE_READER: Final = Reader("certificate", lambda source: _kind_of(source) == "certificate", _read)
CRL_READER: Final = Reader("crl", lambda source: _kind_of(source) == "crl", _read)
