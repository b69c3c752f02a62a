"""RFC 3161 time stamps of the journal's head, by exchange of files; nothing here uses a network.

The request's imprint is the head itself, for a head is a SHA-256: so ``openssl ts -verify -digest HEAD`` checks a
stamp without carecover. The answer says: this head existed at that time; with it, everything that the
journal said until then. Needs the extra ``stamp`` (rfc3161-client).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from carecover.errors import PathError, RefusedError, UsageError
from carecover.journal import Entry, preimage

_MAX_FILE: Final = 1 << 20
# What cryptography raises for a certificate that is not one.
_UNREADABLE: Final = (
    *(ValueError, TypeError, OverflowError, UnsupportedAlgorithm, InvalidSignature),
    *(x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType),
)
# id-ct-TSTInfo (RFC 3161 2.4.2), as DER writes it.
_TST_INFO: Final = bytes.fromhex("060b2a864886f70d0109100104")
# id-signedData (RFC 5652 5.1): what a token is, and what neither a certificate nor a CRL is in that place.
_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")
# [0] IMPLICIT CertificateSet (RFC 5652 5.1).
_CERTIFICATES: Final = 0xA0
# An honest name of an authority is far shorter; the journal keeps it.
_MAX_NAME: Final = 300
_SHA256: Final = "2.16.840.1.101.3.4.2.1"
_NEEDED: Final = "Time stamps need rfc3161-client: pip install 'carecover[stamp]'"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a time stamp says: of which digest, and when."""

    imprint: str
    at: datetime


def request(entry: Entry) -> bytes:
    """A request (.tsq) for a stamp of the journal as it is after this act."""
    client = _client()
    builder = client.TimestampRequestBuilder().data(preimage(entry))
    built: bytes = builder.hash_algorithm(client.HashAlgorithm.SHA256).build().as_bytes()
    return built


def is_stamp(data: bytes) -> bool:
    """True where the bytes look like an answer (.tsr) of an authority that holds a stamp."""
    if len(data) > _MAX_FILE or not data.startswith(b"\x30") or _TST_INFO not in data:
        return False
    try:
        # TimeStampResp (RFC 3161 2.4.2): status, then ContentInfo (RFC 5652 3), which begins with its type.
        _, at, _ = _element(data, _element(data, _element(data, 0)[1])[2])
    except IndexError:
        return False
    return data.startswith(_SIGNED_DATA, at)


def is_answer(path: Path) -> bool:
    """True where a file looks like an answer of an authority; False for one that cannot be read."""
    try:
        with path.open("rb") as stream:
            # Evidence may be of any size: of most files the first byte says that they are none.
            first = stream.read(1)
            return first == b"\x30" and is_stamp(first + stream.read(_MAX_FILE))
    except OSError:
        return False


def read(data: bytes) -> Stamp:
    """What an answer says, believed by nobody yet; raises RefusedError where it is none."""
    info = _decoded(data).tst_info
    if info.message_imprint.hash_algorithm.dotted_string != _SHA256:
        raise RefusedError("This time stamp is of another kind of digest than SHA-256: it stamps no journal.")
    return Stamp(info.message_imprint.message.hex(), info.gen_time.astimezone(UTC))


def verify(data: bytes, certificates: bytes, named: str | Path) -> str:
    """Check an answer against the certificates of its authority, as ``authority`` gives them; return who signed it.

    That is the issuer of the certificate that signed, and in brackets its serial number.

    The certificates need only have been valid when it was made. Whether they were revoked is not looked up.
    Raises RefusedError where it does not hold; ``named`` says in it where the certificates are from.
    """
    client = _client()
    answer = _decoded(data)
    try:
        builder = client.VerifierBuilder()
        for certificate in x509.load_pem_x509_certificates(certificates):
            builder = builder.add_root_certificate(certificate)
        builder.build().verify(answer, answer.tst_info.message_imprint.message)
        signer = next(iter(answer.signed_data.signer_infos))
        return f"{signer.issuer.rfc4514_string()[:_MAX_NAME]} ({signer.serial_number:x})"
    except (client.VerificationError, StopIteration, *_UNREADABLE) as error:
        raise RefusedError(f"The time stamp does not hold under {named}: {str(error)[:200]}.") from None


def authority(path: Path) -> bytes:
    """The certificates in a file (PEM or DER) as PEM, each once and nothing else: a key beside them stays behind.

    Raises PathError where it cannot be opened, UsageError where there is none in it.
    """
    data = content(path)
    try:
        found = (
            x509.load_pem_x509_certificates(data) if b"-----BEGIN" in data else [x509.load_der_x509_certificate(data)]
        )
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in dict.fromkeys(found))
    except _UNREADABLE:
        raise UsageError(f"{path} holds no certificate of a time-stamping authority (PEM or DER).") from None


def content(path: Path) -> bytes:
    """The bytes of a small file, of a larger one only the first; raises PathError where it cannot be opened."""
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise PathError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or 'it is no path'}.") from None


def _decoded(data: bytes) -> Any:  # noqa: ANN401 - of a library that may be missing
    client = _client()
    try:
        answer = client.decode_timestamp_response(_in_order(data))
        if answer.status not in (0, 1):
            raise RefusedError("The authority refused: this answer holds no time stamp.")
        answer.tst_info.message_imprint.hash_algorithm.dotted_string  # noqa: B018 - raises where there is none
    except _UNREADABLE as error:
        raise RefusedError(f"This is no time stamp that could be read: {str(error)[:200]}.") from None
    return answer


def _in_order(data: bytes) -> bytes:
    """The answer with its certificates in the order that DER asks for, which the library insists on.

    OpenSSL's authorities send them as they are configured. No signature covers that order, nor does any length
    change with it.
    """
    try:
        _, at, _ = _element(data, 0)  # TimeStampResp (RFC 3161 2.4.2): status, then the token
        _, at, _ = _element(data, _element(data, at)[2])  # ContentInfo (RFC 5652 3): its type, then [0]
        _, at, _ = _element(data, _element(data, at)[2])
        _, at, _ = _element(data, at)  # SignedData (RFC 5652 5.1): version, digestAlgorithms, encapContentInfo
        for _ in range(3):
            at = _element(data, at)[2]
        tag, begin, end = _element(data, at)
        parts, at = [], begin
        while tag == _CERTIFICATES and at < end:
            following = _element(data, at)[2]
            parts.append(data[at:following])
            at = following
    except IndexError:
        return data
    return data[:begin] + b"".join(sorted(parts)) + data[end:] if parts and at == end else data


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, begin of the content and end of the element at ``at`` (X.690 8.1); raises IndexError where there is none."""
    size = data[at + 1]
    begin = at + 2
    if size & 0x80:
        octets = size & 0x7F
        if not 1 <= octets <= 4:
            raise IndexError
        size = int.from_bytes(data[begin : begin + octets], "big")
        begin += octets
    if begin + size > len(data):
        raise IndexError
    return data[at], begin, begin + size


def _client() -> Any:  # noqa: ANN401 - of a library that may be missing
    try:
        import rfc3161_client  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError(_NEEDED) from None
    return rfc3161_client
