"""What ``certutil -sign`` makes with the key of a simulated CA: dummies, and files that are signed again.

Subject, key, extensions and life of a dummy are documented nowhere: each is a switch of ``Behaviour``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from carecover.errors import CarecoverError, UsageError
from carecover.model import SerialNumber
from carecover.simulator import behaviour as known
from carecover.simulator.authority import CLOCK_SKEW, Authority, der, derive
from carecover.simulator.behaviour import Behaviour
from carecover.simulator.commandline import CommandLine, RefusalError, UnsupportedCallError
from carecover.simulator.windows import Folder

_SERIAL: Final = re.compile(r"(?:00(?=[89a-fA-F]))?(?!00)(?:[0-9a-fA-F]{2}){1,20}", re.ASCII)
_VALIDITY: Final = re.compile(r"now\+([0-9]{1,6}):([0-9]{1,2})", re.ASCII)


class HangError(CarecoverError):
    """certutil does not come back: it waits for a person at a dialog, or for a service that does not answer."""


class Signer:
    """The key of a CA as certutil has it: ``own`` are the CA's certificates by index, which ``-Cert`` names."""

    def __init__(self, authority: Authority, own: Mapping[int, x509.Certificate], behaviour: Behaviour) -> None:
        self._authority = authority
        self._own = own
        self._behaviour = behaviour

    def sign(self, call: CommandLine, folder: Folder, now: datetime) -> str:
        """Answer ``-sign SERIAL FILE`` and ``-sign FILE NEW now+DAYS:HOURS``; raises RefusalError and HangError."""
        if len(call.values) not in (2, 3):
            raise UnsupportedCallError("certutil -sign takes a serial number or a file, a new file and a validity.")
        text, target, *validity = call.values
        again = folder.exists(text) if "." in text else False
        if validity and not again:
            # "Validity period and other options must not be present" with a serial number (Microsoft's page).
            raise RefusalError(known.FILE_NOT_FOUND if "." in text else known.INVALID_PARAMETER)
        serial = _serial_of(load(read(folder, text))) if again else command_serial(text)
        chosen = call.options.get("cert")
        if chosen is None or not self._behaviour.cert_option_suppresses_dialog:
            raise HangError(
                "certutil -sign shows its Certificate List dialog and waits for somebody to choose; run "
                "prepare.cmd at the server's screen."
            )
        if "silent" in call.flags and not self._behaviour.silent_signs:
            raise RefusalError(known.SILENT_CONTEXT)
        index = self._index_of(chosen)
        life: timedelta | str = self._behaviour.dummy_validity
        if validity:
            asked = _validity(validity[0])
            if self._behaviour.resign_validity == "refused":
                raise RefusalError(known.INVALID_PARAMETER)
            life = asked if self._behaviour.resign_validity == "honoured" else life
            if self._behaviour.resign_serial == "new":
                number = derive(0, "signed again", serial.value)[:18]
                serial = SerialNumber(int.from_bytes(b"\x52" + number, "big"))
        create(folder, target, der(self._made(serial, index, life, now)))
        return ""

    def _made(self, serial: SerialNumber, index: int, life: timedelta | str, now: datetime) -> x509.Certificate:
        last = self._authority.certificates[index].not_valid_after_utc
        extensions: list[x509.Extension[x509.ExtensionType]] = []
        if self._behaviour.dummy_is_ca:
            basic = x509.BasicConstraints(ca=True, path_length=None)
            extensions.append(x509.Extension(basic.oid, True, basic))
        if self._behaviour.dummy_eku:
            eku = x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in self._behaviour.dummy_eku])
            extensions.append(x509.Extension(eku.oid, False, eku))
        return self._authority.sign_dummy(
            serial,
            not_before=now - CLOCK_SKEW,
            not_after=min(last, now + life) if isinstance(life, timedelta) else last,
            ca_cert_index=index,
            subject=x509.Name([]) if self._behaviour.dummy_subject == "empty" else None,
            extensions=extensions,
        )

    def _index_of(self, text: str) -> int:
        """Index of the CA certificate whose serial number ``-Cert`` names."""
        try:
            wanted = SerialNumber.parse(text).value
        except UsageError:
            raise RefusalError(known.CRYPT_E_NOT_FOUND) from None
        index = next((i for i, own in self._own.items() if own.serial_number == wanted), None)
        if index is None:
            raise RefusalError(known.CRYPT_E_NOT_FOUND)
        return index


def command_serial(text: str) -> SerialNumber:
    """A serial number as certutil wants it: an even number of hex digits, 00 only before a high bit."""
    if not _SERIAL.fullmatch(text):
        raise RefusalError(known.INVALID_PARAMETER)
    return SerialNumber(int(text, 16))


def _serial_of(certificate: x509.Certificate) -> SerialNumber:
    try:
        return SerialNumber(certificate.serial_number)
    except UsageError:
        raise RefusalError(known.INVALID_DATA) from None


def _validity(text: str) -> timedelta:
    """``now+dd:hh``: how long the file lives that -sign makes of another."""
    match = _VALIDITY.fullmatch(text)
    if not match:
        raise UnsupportedCallError(f"carecover signs files again for now+DAYS:HOURS, not for {text!r}.")
    return timedelta(days=int(match[1]), hours=int(match[2]))


# What cryptography raises where a certificate or CRL is built differently from what it looked like.
UNREADABLE: Final = (
    *(ValueError, OverflowError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, x509.InvalidVersion),
)


def read(folder: Folder, name: str) -> bytes:
    """The bytes of a file that certutil is to read; raises RefusalError."""
    try:
        return folder.read(name)
    except OSError:
        raise RefusalError(known.FILE_NOT_FOUND) from None


def create(folder: Folder, name: str, data: bytes) -> None:
    """Write a file of certutil's own: never over another one without ``-f``; raises RefusalError."""
    if folder.exists(name):
        raise RefusalError(known.FILE_EXISTS)
    try:
        folder.store(name, data)
    except FileNotFoundError:
        raise RefusalError(known.PATH_NOT_FOUND) from None
    except PermissionError:
        raise RefusalError(known.ACCESS_DENIED) from None
    except OSError:
        raise RefusalError(known.DISK_FULL) from None


def load(data: bytes) -> x509.Certificate:
    """A certificate in DER or PEM; raises RefusalError."""
    try:
        return (
            x509.load_pem_x509_certificate(data) if data.startswith(b"-----") else x509.load_der_x509_certificate(data)
        )
    except UNREADABLE:
        raise RefusalError(known.INVALID_DATA) from None
