"""OCSP responses (RFC 6960), as openssl and Windows write them: DER, its base64, or PEM.

One row a SingleResponse. Windows copies thisUpdate and nextUpdate of an answer from the CRL
that it was made from, so an answer tells which list its responder knew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from cryptography import x509
from cryptography.x509 import ocsp

from carecover.errors import UsageError
from carecover.evidence.extensions import DAMAGED, first_line, or_none, printed_name, quietly
from carecover.evidence.units import Parsed, Reader, Rejected, Row, Source, Unit
from carecover.evidence.x509 import der_of_base64, outer_element
from carecover.model import SerialNumber, sha256_hex

# An answer about one certificate with its responder's certificate has 2,000 bytes.
MAX_RESPONSE_BYTES: Final = 1024 * 1024
# RFC 6960 4.4.1 (nonce) and 4.4.4; the others that it names are for single answers.
_KNOWN: Final = frozenset({"1.3.6.1.5.5.7.48.1.2", "1.3.6.1.5.5.7.48.1.9"})
_PEM: Final = re.compile(
    rb"-----BEGIN OCSP RESPONSE-----([A-Za-z0-9+/=\s]*)-----END OCSP RESPONSE-----", re.ASCII | re.IGNORECASE
)
# OCSPResponse ::= SEQUENCE { responseStatus ENUMERATED (one octet), … }
_SUCCESSFUL: Final = b"\x0a\x01"
_REASONS: Final = {
    x509.ReasonFlags.unspecified: 0,
    x509.ReasonFlags.key_compromise: 1,
    x509.ReasonFlags.ca_compromise: 2,
    x509.ReasonFlags.affiliation_changed: 3,
    x509.ReasonFlags.superseded: 4,
    x509.ReasonFlags.cessation_of_operation: 5,
    x509.ReasonFlags.certificate_hold: 6,
    x509.ReasonFlags.remove_from_crl: 8,
    x509.ReasonFlags.privilege_withdrawn: 9,
    x509.ReasonFlags.aa_compromise: 10,
}
_STATUS: Final = {
    ocsp.OCSPCertStatus.GOOD: "good",
    ocsp.OCSPCertStatus.REVOKED: "revoked",
    ocsp.OCSPCertStatus.UNKNOWN: "unknown",
}


@quietly
def response_rows(der: bytes, *, location: str = "") -> list[Row]:
    """The rows of ``ocsp_responses`` of one response; ValueError with a sentence where it says nothing."""
    try:
        response = ocsp.load_der_ocsp_response(der)
        _refuse(response)
        digest, produced = sha256_hex(der), response.produced_at_utc
        responder = or_none(lambda: printed_name(response.responder_name) if response.responder_name else None)
        if responder is None and response.responder_key_hash is not None:
            responder = response.responder_key_hash.hex()
        return [
            {
                "response_sha256": digest,
                "serial": SerialNumber(each.serial_number).text,
                "status": _STATUS[each.certificate_status],
                "revoked_at": each.revocation_time_utc,
                "reason": _reason(each),
                "this_update": each.this_update_utc,
                "next_update": each.next_update_utc,
                "produced_at": produced,
                "issuer_key_hash": each.issuer_key_hash.hex(),
                "responder": responder,
                "location": location,
                "der": der,
            }
            for each in response.responses
        ]
    except UsageError as error:
        raise ValueError(str(error)) from None
    except (*DAMAGED, KeyError) as error:
        raise ValueError(f"It is not a well-formed OCSP response: {first_line(error)}.") from None


def _refuse(response: ocsp.OCSPResponse) -> None:
    """Raise UsageError with a sentence where the response answers nothing that may be used."""
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        refused = response.response_status.name.lower().replace("_", " ")
        raise UsageError(f"The responder answered '{refused}': it says nothing about a certificate.")
    critical = [each.oid.dotted_string for each in response.extensions if each.critical]
    if unknown := [oid for oid in critical if oid not in _KNOWN]:
        raise UsageError(f"The answer has a critical extension that is not known ({unknown[0]}): nobody may use it.")


def _reason(each: ocsp.OCSPSingleResponse) -> int | None:
    if each.certificate_status is not ocsp.OCSPCertStatus.REVOKED:
        return None
    return 0 if each.revocation_reason is None else _REASONS[each.revocation_reason]


def _der(source: Source) -> bytes | None:
    """The DER of a file that is nothing but one OCSP response, in any of its forms; None where it is none."""
    if source.size > MAX_RESPONSE_BYTES:
        return None
    data = bytes(source.data[:])
    if data[:1] == b"\x30":
        der = outer_element(data)
    else:
        text = data.removeprefix(b"\xef\xbb\xbf").strip()
        block = _PEM.fullmatch(text)
        der = der_of_base64(block[1] if block else text)
    if der is None:
        return None
    header = 2 if der[1] < 0x80 else 2 + (der[1] & 0x7F)
    return der if der[header : header + 2] == _SUCCESSFUL else None


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    progress(0)
    der = _der(source)
    if der is None:
        yield Rejected.of("byte 0", "parse", "The OCSP response is cut off. Hand it in again.", source.data)
        return
    try:
        rows = response_rows(der, location="byte 0")
    except ValueError as error:
        yield Rejected.of("byte 0", "parse", str(error), der)
        return
    yield Parsed(tuple(("ocsp_responses", row) for row in rows))


READER: Final = Reader("ocsp", lambda source: _der(source) is not None, _read)
