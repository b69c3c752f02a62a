"""The only part of carecover that opens a connection: it asks an OCSP responder, and only when told to.

One POST a certificate (RFC 6960 appendix A.1), by hash, without a nonce (an Online Responder
answers from its cache and ignores one). Bounded in number, size and time; a redirect is not
followed, no proxy is asked, and nothing but the serial number and the hashes of the CA's
name and key leaves the machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import SplitResult, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from carecover.errors import RefusedError, RunError, UsageError

MAX_QUESTIONS: Final = 1_000
MAX_ANSWER_BYTES: Final = 64 * 1024
# Seconds for one answer, and for all of them.
TIMEOUT: Final = 10.0
PATIENCE: Final = 120.0
_MAX_URL: Final = 2048
_OK: Final = 200


def check_url(url: str) -> SplitResult:
    """The parts of a responder's URL; raises UsageError where it is no plain http or https URL."""
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        raise UsageError("This is no URL of an OCSP responder: http://HOST/PATH is expected.") from None
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= _MAX_URL and port_fits
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise UsageError("A responder is asked by http or https: http://HOST/PATH is expected, without blanks.")
    if parts.username is not None or parts.password is not None:
        raise UsageError("A name or password in a responder's URL would be written into the journal: leave it out.")
    return parts


def question(issuer: bytes, serial: str) -> bytes:
    """The request about one serial number (hex) of the CA whose certificate is ``issuer`` (DER)."""
    certificate = x509.load_der_x509_certificate(issuer)
    name = hashlib.sha1(certificate.subject.public_bytes(), usedforsecurity=False).digest()
    # SubjectKeyIdentifier.from_public_key is the same SHA-1 over the key's bits (RFC 5280 4.2.1.2).
    key = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    # Windows looks its configuration up by SHA-1 hashes (RFC 5019 2.1.1).
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(name, key, int(serial, 16), hashes.SHA1())  # noqa: S303
    return builder.build().public_bytes(Encoding.DER)


def ask(
    url: str, questions: Iterable[tuple[str, bytes]], *, clock: Callable[[], float] = time.monotonic
) -> Iterator[tuple[str, bytes]]:
    """Ask about each (serial, request); yields (serial, response) as they come.

    Raises UsageError for a URL that is none, RefusedError for more than MAX_QUESTIONS, and
    RunError where the responder cannot be reached, is too slow, or sends something else.
    """
    parts = check_url(url)
    wanted = list(questions)
    if len(wanted) > MAX_QUESTIONS:
        raise RefusedError(
            f"The plan has {len(wanted)} serial numbers, and a responder is asked about {MAX_QUESTIONS} at most. "
            "Fetch the CRL instead and hand it to verify --fetched-from URL."
        )
    end = clock() + PATIENCE
    for serial, request in wanted:
        left = end - clock()
        if left <= 0:
            raise RunError(f"The responder at {url} was asked for {PATIENCE:.0f} seconds; the rest was left out.")
        yield serial, _answer(parts, url, request, min(TIMEOUT, left))


def _answer(parts: SplitResult, url: str, request: bytes, timeout: float) -> bytes:
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=timeout)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response", "Connection": "close"}
    # A responder that sends one byte a second is within the timeout of every single read.
    late = threading.Event()
    guard = threading.Timer(timeout, _cut, [connection, late])
    guard.daemon = True
    guard.start()
    try:
        connection.request("POST", path, body=request, headers=headers)
        response = connection.getresponse()
        status, body = response.status, response.read(MAX_ANSWER_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        said = "it was too slow" if late.is_set() else getattr(error, "strerror", None) or type(error).__name__
        raise RunError(f"The responder at {url} cannot be asked: {said}.") from None
    finally:
        guard.cancel()
        connection.close()
    if late.is_set():
        raise RunError(f"The responder at {url} cannot be asked: it was too slow.")
    if status != _OK:
        raise RunError(
            f"The responder at {url} answered with HTTP status {status}, not with an OCSP answer. "
            "(A redirect is not followed: name the place where it leads to.)"
        )
    if len(body) > MAX_ANSWER_BYTES:
        raise RunError(f"The responder at {url} sent more than {MAX_ANSWER_BYTES} bytes: that is no OCSP answer.")
    return body


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    """End a connection that has had its time, in the middle of a read."""
    late.set()
    with contextlib.suppress(OSError):
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
