"""What is known and what is only assumed about certutil and the CA behind it.

Nobody who wrote this had a real CA at hand. Every behaviour that no source settles is a
switch of ``Behaviour`` whose default is marked "assumed"; the tests run the batches under
each setting, so that a wrong assumption makes a batch stop, never do harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal

from carecover.errors import UsageError
from carecover.model import Disposition

# HRESULTs by their symbols ([MS-ERREF] 2.1.1; winerror.h).
FILE_NOT_FOUND: Final = 0x80070002
PATH_NOT_FOUND: Final = 0x80070003
ACCESS_DENIED: Final = 0x80070005
INVALID_DATA: Final = 0x8007000D
FILE_EXISTS: Final = 0x80070050
INVALID_PARAMETER: Final = 0x80070057
DISK_FULL: Final = 0x80070070
DIRECTORY_NOT_EMPTY: Final = 0x80070091
RPC_UNAVAILABLE: Final = 0x800706BA
DS_OBJ_NOT_FOUND: Final = 0x8007208D
SILENT_CONTEXT: Final = 0x80090022
CRYPT_E_NOT_FOUND: Final = 0x80092004
CRYPT_E_EXISTS: Final = 0x80092005
BAD_REQUESTSTATUS: Final = 0x80094003
PROPERTY_EMPTY: Final = 0x80094004
ROLE_CONFLICT: Final = 0x80094008
RESTRICTED_OFFICER: Final = 0x80094009
NO_DB_SESSIONS: Final = 0x8009400F
CERT_SIGNATURE: Final = 0x80096004
ACCESS_VIOLATION: Final = 0xC0000005

Language = Literal["en", "de", "fr", "es", "it", "pt-BR", "ru", "ja", "zh-CN", "none"]
Right = Literal["read", "officer", "manager", "key", "backup"]
EVERYTHING: Final[frozenset[Right]] = frozenset({"read", "officer", "manager", "key", "backup"})
# What one account can do, of which each has one role; everybody may read.
ROLES: Final[Mapping[str, frozenset[Right]]] = MappingProxyType(
    {
        "key": frozenset({"read", "key"}),
        "officer": frozenset({"read", "officer"}),
        "manager": frozenset({"read", "manager"}),
        "backup": frozenset({"read", "backup"}),
    }
)
# Roles of the CA ("Role-based administration"); access to its key is no role.
CA_ROLES: Final[frozenset[Right]] = frozenset({"officer", "manager", "backup"})


def signed(hresult: int) -> int:
    """An HRESULT as a process exit code and as %ERRORLEVEL% show it."""
    return hresult - (1 << 32) if hresult >> 31 else hresult


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One switch for each thing that nobody knows about a real CA.

    The exit codes are HRESULTs; a program hands them over as signed 32-bit numbers.
    """

    # ------------------------------------------------------------------------- the signing

    dummy_validity: timedelta | Literal["ca"] = "ca"
    """Life of what ``-sign SERIAL`` makes: assumed to end with the CA certificate; documented nowhere."""
    dummy_subject: Literal["ca", "empty"] = "ca"
    """Assumed: the CA's own name."""
    dummy_is_ca: bool = False
    """Basic constraints CA:TRUE in a dummy: assumed not."""
    dummy_eku: tuple[str, ...] = ()
    """Extended key usage of a dummy: assumed none."""
    cert_option_suppresses_dialog: bool = True
    """With ``-Cert`` no certificate list is shown: third-party runbook for emergency CRLs. False: it hangs there."""
    silent_signs: bool = True
    """Assumed: ``-silent`` signs as well. False: it fails, as with keys whose holder is asked (NTE_SILENT_CONTEXT)."""
    resign_validity: Literal["honoured", "ignored", "refused"] = "honoured"
    """``-sign FILE NEW now+dd:hh`` (Microsoft's page has the syntax): that it holds for a dummy is assumed."""
    resign_serial: Literal["kept", "new"] = "kept"
    """Signing a file again keeps its serial number: third-party text."""

    # -------------------------------------------------------------------------- the import

    importcert_right: Right = "officer"
    """Assumed: "Issue and Manage Certificates", as for -revoke."""
    duplicate_import: int = CRYPT_E_EXISTS
    """-importcert of a known serial is refused (ICertAdmin::ImportCertificate); the code is assumed."""
    duplicate_import_refused: bool = True
    """Documented on the same page. False: a duplicate serial gets a second row, to see what the batch does."""
    bad_signature: int = CERT_SIGNATURE
    """-importcert of a certificate of another CA is refused (same page); the code is assumed."""
    imported_disposition: Disposition = Disposition.ISSUED
    """Assumed of an imported row."""
    imported_hash: Literal["own", "none", "other"] = "own"
    """Assumed: an imported row's CertificateHash is the SHA-1 of the file."""
    request_ids_skipped: int = 0
    """Inferred: lost request IDs are handed out again. Otherwise the first new one lies this far above the newest."""
    import_mails: bool = True
    """Inferred: -importcert makes the exit module send EXITEVENT_CERTIMPORTED where EventFilter has it."""

    # ---------------------------------------------------------------------- the revocation

    revoke_unknown_serial: int = PROPERTY_EMPTY
    """Inferred: CERTSRV_E_PROPERTY_EMPTY."""
    unrevoke_not_held: int = BAD_REQUESTSTATUS
    """Only a hold can be undone (ICertAdmin::RevokeCertificate); the code is assumed."""
    reason_zero: Literal["zero", "empty"] = "zero"
    """Assumed: reason 0 is stored as 0, not as nothing."""
    release: Literal["clears", "keeps reason", "keeps row"] = "clears"
    """Assumed: -1 leaves disposition 20 and no date or reason. ``keeps reason``: 20, date and reason stay. ``keeps
    row``: 21 with reason 8, off the CRL (third-party text says so of a release by ``-revoke SERIAL 8``)."""

    # ------------------------------------------------------------------------- the questions

    restriction_ignores_case: bool = True
    """Known of RequesterName (KB 2233022), assumed of SerialNumber."""
    short_disposition: bool = True
    """Assumed: ``Disposition`` is understood without its table's name, ``Request.``."""
    repeated_column: Literal["and", "first", "last", "refused"] = "and"
    """Assumed: a column that is restricted twice must fulfil both; else one of the two counts, or the call fails."""
    high_serials_padded: bool = False
    """Unknown: whether an imported serial number with its top bit set is written as ``00ff…``."""
    view_crl_numbers: bool = True
    """Assumed: ``-view -restrict "CRLNumber>N" -out CRLNumber CRL`` is answered like any other view."""

    # ------------------------------------------------------------------------------ the CRLs

    publishes_at_start: bool = False
    """Assumed: a start of the service alone makes no CRL. True: it has made one since the restore."""
    publishes_by_timer: timedelta | None = None
    """Assumed: the period does not end while a batch runs. Otherwise the service publishes by itself, so often."""
    delta_crls: Literal["none", "same number", "own number"] = "none"
    """Whether the CA makes delta CRLs (a setting), and which number one has: assumed that of its base (4872 events of
    one publication show one number), else the next one."""
    crl_numbers: Literal["one", "per key"] = "one"
    """Assumed: all keys' CRLs of one publication have one number (4872 events of one publication show one)."""
    crl_numbers_behind: int = 2
    """Assumed: how far the restored CRL number lies behind the last public one, where no evidence tells."""
    crl_period: timedelta = timedelta(days=7)
    """CRLPeriodUnits 1, CRLPeriod Weeks: Microsoft's default for an issuing CA."""
    crl_overlap: timedelta = timedelta(hours=12)
    """Default overlap: a tenth of the period, at most twelve hours."""
    getcrl_index: Literal["certificate", "key"] = "certificate"
    """What the index of -GetCRL counts ("CRL index or key index" in Microsoft's help): assumed CA certificates."""

    # -------------------------------------------------------------- files, rights, codes, words

    ca_cert_default: Literal["newest", "first"] = "newest"
    """Assumed: what ``-ca.cert FILE`` without an index writes."""
    ca_cert_form: Literal["der", "base64"] = "der"
    """Assumed: -ca.cert writes DER."""
    hash_spaced: bool = False
    """General knowledge: -hashfile prints pairs with blanks up to Windows Server 2012 R2, one string later."""
    hash_upper: bool = False
    """General knowledge: -hashfile prints lower case."""
    backup_right: Right = "backup"
    """General knowledge: -backupDB takes the right "Back up files and directories" (role of the backup operator)."""
    backup_folder_full: int = DIRECTORY_NOT_EMPTY
    """-backupDB refuses a folder that holds something (``-f`` would overwrite): the code is assumed."""
    unavailable: int = RPC_UNAVAILABLE
    """What a call ends with where the service or its database is down: seen."""
    access_denied: int = ACCESS_DENIED
    """What a call ends with where a right is missing: seen of other verbs."""
    restricted_officer: int = RESTRICTED_OFFICER
    """-revoke by an officer who may not manage that template: third-party test on a lab CA."""
    role_conflict: int = ROLE_CONFLICT
    """With role separation an account of two roles may do nothing ("Using role separation"); the code is assumed."""
    language: Language = "en"
    """Of certutil's status lines, as sources show them (words.py). What a view is like in another language is unknown:
    ``none`` garbles every word, to show that no batch reads words."""

    def __post_init__(self) -> None:
        """Raises UsageError for a timer of less than a second: no call would ever end."""
        if self.publishes_by_timer is not None and self.publishes_by_timer < timedelta(seconds=1):
            raise UsageError(f"A CA publishes at most once a second by itself, not every {self.publishes_by_timer}.")

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What a rehearsal under these settings takes for granted, in sentences for a report."""
        life = "as long as the CA certificate" if self.dummy_validity == "ca" else f"for {self.dummy_validity}"
        dialog = "shows no dialog" if self.cert_option_suppresses_dialog else "waits at a dialog"
        again = "refused" if self.duplicate_import_refused else "taken as a second row"
        start = "publishes a CRL" if self.publishes_at_start else "publishes nothing"
        row = {"own": "the certificate's own hash", "other": "another hash", "none": "no hash"}[self.imported_hash]
        step = "two" if self.delta_crls == "own number" else "one"
        return (
            f"A dummy made by certutil -sign lives {life}; how long it really lives is documented nowhere.",
            f"certutil -sign with -Cert {dialog}.",
            f"Importing a serial number that the database has is {again}.",
            f"Importing takes the right '{self.importcert_right}', and the row carries {row}.",
            f"Starting the service {start}; each certutil -crl raises the number by {step} for every key.",
        )


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong in one run; calls of certutil are counted from 1. All of it may go wrong together."""

    fail_at: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """Number of a call → HRESULT that it fails with, without any effect."""
    fail_verb: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Verb (``revoke``) → HRESULT that each call of it fails with."""
    die_before: int | None = None
    """The batch is killed when it makes this call: nothing of the call happens."""
    die_after: int | None = None
    """The batch is killed when this call has been carried out, before it hears of it."""
    hang_before: int | None = None
    """This call never answers, and nothing of it happens: whoever runs the batch gives up."""
    hang_after: int | None = None
    """This call is carried out and never answers."""
    down_from: int | None = None
    """From this call on the service or its database is away: every verb that asks it fails, until that is mended."""
    disk_full_from: int | None = None
    """From this call on nothing more fits on the disk of the batch's folder."""
    disk_keeps: int = 0
    """How many bytes of each thing written still fit then: an answer that is cut off."""
    unpublished: int | None = None
    """-CRL makes and stores the CRLs, does not reach one of the places, and fails with this HRESULT."""
    denied_templates: frozenset[str] = frozenset()
    """Templates (their names) of which this officer may revoke nothing."""
