"""What is known and what is only assumed about certutil and the CA behind it.

Nobody who wrote this had a real CA at hand. Every behaviour that no source settles is a
switch of ``Behaviour`` whose default is marked "assumed"; the tests run the batches under
each setting, so that a wrong assumption makes a batch stop, never do harm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal

from carecover.simulator.rendering import VIEW_COLUMNS

# HRESULTs by their symbols ([MS-ERREF] 2.1.1; winerror.h).
FILE_NOT_FOUND: Final = 0x80070002
ACCESS_DENIED: Final = 0x80070005
INVALID_DATA: Final = 0x8007000D
FILE_EXISTS: Final = 0x80070050
DIRECTORY_NOT_EMPTY: Final = 0x80070091
INVALID_PARAMETER: Final = 0x80070057
RPC_UNAVAILABLE: Final = 0x800706BA
CRYPT_E_NOT_FOUND: Final = 0x80092004
CRYPT_E_EXISTS: Final = 0x80092005
BAD_REQUESTSTATUS: Final = 0x80094003
PROPERTY_EMPTY: Final = 0x80094004
CERT_SIGNATURE: Final = 0x80096004
ACCESS_VIOLATION: Final = 0xC0000005

Language = Literal["en", "de", "fr", "none"]
Right = Literal["read", "officer", "manager", "key", "backup"]
EVERYTHING: Final[frozenset[Right]] = frozenset({"read", "officer", "manager", "key", "backup"})


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One switch for each thing that nobody knows about a real CA.

    The exit codes are HRESULTs; a program hands them over as signed 32-bit numbers.
    """

    dummy_validity: timedelta | Literal["ca"] = "ca"
    """Life of what ``-sign SERIAL`` makes: assumed to end with the CA certificate; documented nowhere."""
    dummy_subject: Literal["ca", "empty"] = "ca"
    """Assumed: the CA's own name."""
    dummy_is_ca: bool = False
    """Basic constraints CA:TRUE in a dummy: assumed not."""
    dummy_eku: tuple[str, ...] = ()
    """Extended key usage of a dummy: assumed none."""
    cert_option_suppresses_dialog: bool = True
    """With ``-Cert`` no certificate list is shown: third-party runbook for emergency CRLs."""
    duplicate_import: int = CRYPT_E_EXISTS
    """-importcert of a known serial is refused (ICertAdmin::ImportCertificate); the code is assumed."""
    duplicate_import_refused: bool = True
    """False: a duplicate serial gets a second row. Against the documentation, to see what the batch does."""
    bad_signature: int = CERT_SIGNATURE
    """-importcert of a certificate of another CA is refused (same page); the code is assumed."""
    revoke_unknown_serial: int = PROPERTY_EMPTY
    """Inferred: CERTSRV_E_PROPERTY_EMPTY."""
    unrevoke_not_held: int = BAD_REQUESTSTATUS
    """Only a hold can be undone (ICertAdmin::RevokeCertificate); the code is assumed."""
    restriction_ignores_case: bool = True
    """Known of RequesterName (KB 2233022), assumed of SerialNumber."""
    high_serials_padded: bool = False
    """Unknown: whether the database writes an imported serial number with its top bit set as ``00ff…``."""
    view_crl_numbers: bool = True
    """Assumed: ``-view -restrict "CRLNumber>N" -out CRLNumber CRL`` is answered like any other view."""
    getcrl_index: Literal["certificate", "key"] = "certificate"
    """What the index of -GetCRL counts ("CRL index or key index" in Microsoft's help): assumed CA certificates."""
    importcert_right: Right = "officer"
    """Assumed: "Issue and Manage Certificates", as for -revoke."""
    hash_spaced: bool = False
    """-hashfile prints pairs with blanks up to Windows Server 2012 R2, one string later."""
    language: Language = "en"
    """Of certutil's status lines; ``none`` garbles every word to show that no batch reads words."""
    publishes_at_start: bool = False
    """Assumed: a start of the service alone makes no CRL. True: it has made one since the restore."""
    crl_numbers_behind: int = 2
    """Assumed: how far the restored CRL number lies behind the last public one, where no evidence tells."""
    crl_period: timedelta = timedelta(days=7)
    """CRLPeriodUnits 1, CRLPeriod Weeks: Microsoft's default for an issuing CA."""
    crl_overlap: timedelta = timedelta(hours=12)
    """Default overlap: a tenth of the period, at most twelve hours."""

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What a rehearsal under these settings takes for granted, in sentences for a report."""
        life = "as long as the CA certificate" if self.dummy_validity == "ca" else f"for {self.dummy_validity}"
        dialog = "shows no dialog" if self.cert_option_suppresses_dialog else "waits at a dialog"
        again = "refused" if self.duplicate_import_refused else "taken as a second row"
        start = "publishes a CRL" if self.publishes_at_start else "publishes nothing"
        return (
            f"A dummy made by certutil -sign lives {life}; how long it really lives is documented nowhere.",
            f"certutil -sign with -Cert {dialog}.",
            f"Importing a serial number that the database has is {again}.",
            f"Importing takes the right '{self.importcert_right}', and the row carries the certificate's own hash.",
            f"Starting the service {start}; each certutil -crl raises the number by one for every key.",
        )


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong in one run; calls are counted from 1."""

    fail_at: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """Number of a call → HRESULT that it fails with, without any effect."""
    fail_verb: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Verb (``revoke``) → HRESULT that each call of it fails with."""
    die_before: int | None = None
    """The batch is killed when it makes this call: nothing of the call happens."""
    die_after: int | None = None
    """The batch is killed when this call has been carried out, before it hears of it."""


# ----------------------------------------------------------------------------- certutil's words


@dataclass(frozen=True, slots=True)
class _Message:
    """An HRESULT's symbol and its sentence in the languages that are known."""

    symbol: str
    en: str
    de: str | None = None
    fr: str | None = None


_MESSAGES: Final[Mapping[int, _Message]] = MappingProxyType(
    {
        FILE_NOT_FOUND: _Message(
            "ERROR_FILE_NOT_FOUND",
            "The system cannot find the file specified.",
            "Das System kann die angegebene Datei nicht finden.",
            "Le fichier spécifié est introuvable.",
        ),
        ACCESS_DENIED: _Message("ERROR_ACCESS_DENIED", "Access is denied.", "Zugriff verweigert", "Accès refusé."),
        INVALID_DATA: _Message("ERROR_INVALID_DATA", "The data is invalid.", "Die Daten sind unzulässig."),
        FILE_EXISTS: _Message("ERROR_FILE_EXISTS", "The file exists.", "Die Datei ist vorhanden."),
        DIRECTORY_NOT_EMPTY: _Message("ERROR_DIR_NOT_EMPTY", "The directory is not empty."),
        INVALID_PARAMETER: _Message(
            "ERROR_INVALID_PARAMETER",
            "The parameter is incorrect.",
            "Falscher Parameter.",
            "Paramètre incorrect.",
        ),
        RPC_UNAVAILABLE: _Message(
            "RPC_S_SERVER_UNAVAILABLE",
            "The RPC server is unavailable.",
            "Der RPC-Server ist nicht verfügbar.",
            "Le serveur RPC n\u2019est pas disponible.",
        ),
        CRYPT_E_NOT_FOUND: _Message("CRYPT_E_NOT_FOUND", "Cannot find object or property."),
        CRYPT_E_EXISTS: _Message("CRYPT_E_EXISTS", "The object or property already exists."),
        BAD_REQUESTSTATUS: _Message(
            "CERTSRV_E_BAD_REQUESTSTATUS",
            "The request's current status does not allow this operation.",
        ),
        PROPERTY_EMPTY: _Message("CERTSRV_E_PROPERTY_EMPTY", "The requested property value is empty."),
        CERT_SIGNATURE: _Message("TRUST_E_CERT_SIGNATURE", "The signature of the certificate cannot be verified."),
    }
)
_UNNAMED: Final = _Message("", "The operation failed.")
_WIN32: Final = 0x80070000


def code_text(hresult: int) -> str:
    """An HRESULT as certutil prints it: ``0x80070057 (WIN32: 87 ERROR_INVALID_PARAMETER)``."""
    symbol = _MESSAGES.get(hresult, _UNNAMED).symbol
    number = f"WIN32: {hresult & 0xFFFF}" if hresult & 0xFFFF0000 == _WIN32 else f"{signed(hresult)}"
    return f"{hresult:#010x} ({number}{' ' + symbol if symbol else ''})"


def signed(hresult: int) -> int:
    """An HRESULT as a process exit code and as %ERRORLEVEL% show it."""
    return hresult - (1 << 32) if hresult >> 31 else hresult


def sentence(hresult: int, language: Language) -> str:
    """The system's message for an HRESULT, in English where no translation is known."""
    message = _MESSAGES.get(hresult, _UNNAMED)
    return {"de": message.de, "fr": message.fr}.get(language) or message.en


def completed(verb: str, language: Language) -> str:
    """certutil's last line after success (captures in English, German and French)."""
    match language:
        case "de":
            return f"CertUtil: -{verb}-Befehl wurde erfolgreich ausgeführt.\n"
        case "fr":
            return f"CertUtil: -{verb} La commande s\u2019est terminée correctement.\n"
    return f"CertUtil: -{verb} command completed successfully.\n"


def failed(verb: str, hresult: int, language: Language) -> str:
    """certutil's last two lines after a failure; both go to standard output."""
    code = code_text(hresult)
    match language:
        case "de":
            first = f"CertUtil: -{verb}-Befehl ist fehlgeschlagen: {code}"
        case "fr":
            first = f"CertUtil: -{verb} La commande a échoué : {code}"
        case _:
            first = f"CertUtil: -{verb} command FAILED: {code}"
    return f"{first}\nCertUtil: {sentence(hresult, language)}\n"


_GARBLED: Final = str.maketrans("aeiounAEIOUN", "äéîöüñÄÉÎÖÜÑ")


def garbled(text: str) -> str:
    """Every word outside quotes in a language that nobody reads; numbers, values and schema names stay."""

    def word(match: re.Match[str]) -> str:
        name = match[0] in VIEW_COLUMNS or match[0] == "CRLNumber"
        kept = name or match[0].startswith(("0x", '"')) or re.fullmatch("(?:[0-9a-f]{2})+", match[0])
        return match[0] if kept else match[0].translate(_GARBLED)

    return re.sub(r'"[^"]*"|[^\s"]+', word, text)
