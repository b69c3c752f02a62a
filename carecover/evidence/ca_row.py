"""The columns of a CA database view → one row of ``ca_rows``; shared by text and csv.

English display names and schema names as certutil prints them (Windows Server 2022, 79
columns; the ones that carecover needs). A text dump brings its own labels in its Schema
block; the English ones serve captures without it, and csv.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from carecover.evidence import values
from carecover.evidence.units import PrintedTime, Row
from carecover.evidence.x509 import certificate_row

ENGLISH: Final[Mapping[str, str]] = {
    "Request ID": "Request.RequestID",
    "Binary Request": "Request.RawRequest",
    "Archived Key": "Request.RawArchivedKey",
    "Key Recovery Agent Hashes": "Request.KeyRecoveryHashes",
    "Old Certificate": "Request.RawOldCertificate",
    "Request Attributes": "Request.RequestAttributes",
    "Request Type": "Request.RequestType",
    "Request Flags": "Request.RequestFlags",
    "Request Status Code": "Request.StatusCode",
    "Request Disposition": "Request.Disposition",
    "Request Disposition Message": "Request.DispositionMessage",
    "Request Submission Date": "Request.SubmittedWhen",
    "Request Resolution Date": "Request.ResolvedWhen",
    "Revocation Date": "Request.RevokedWhen",
    "Effective Revocation Date": "Request.RevokedEffectiveWhen",
    "Revocation Reason": "Request.RevokedReason",
    "Requester Name": "Request.RequesterName",
    "Caller Name": "Request.CallerName",
    "Request Distinguished Name": "Request.DistinguishedName",
    "Request Common Name": "Request.CommonName",
    "Issued Request ID": "RequestID",
    "Binary Certificate": "RawCertificate",
    "Certificate Hash": "CertificateHash",
    "Certificate Template": "CertificateTemplate",
    "Template Enrollment Flags": "EnrollmentFlags",
    "Serial Number": "SerialNumber",
    "Issuer Name ID": "IssuerNameID",
    "Certificate Effective Date": "NotBefore",
    "Certificate Expiration Date": "NotAfter",
    "Issued Subject Key Identifier": "SubjectKeyIdentifier",
    "Publish Expired Certificate in CRL": "PublishExpiredCertInCRL",
    "User Principal Name": "UPN",
    "Issued Distinguished Name": "DistinguishedName",
    "Issued Common Name": "CommonName",
    "Issued Email Address": "EMail",
}

# ca_rows column → (schema columns in order of preference, how the value is read)
_COLUMNS: Final[tuple[tuple[str, tuple[str, ...], Callable[[str | None], object]], ...]] = (
    ("request_id", ("Request.RequestID", "RequestID"), values.request_id),
    ("serial", ("SerialNumber",), values.serial),
    ("disposition", ("Request.Disposition",), values.integer),
    ("requester", ("Request.RequesterName",), values.plain),
    ("subject", ("DistinguishedName", "CommonName"), values.plain),
    ("template", ("CertificateTemplate",), values.template),
    ("template_oid", ("CertificateTemplate",), values.template_oid),
    ("reason", ("Request.RevokedReason",), values.reason),
    ("issuer_name_id", ("IssuerNameID",), values.integer),
    ("thumbprint", ("CertificateHash",), values.thumbprint),
)
_TIMES: Final = (
    ("not_before", "NotBefore"),
    ("not_after", "NotAfter"),
    ("submitted_at", "Request.SubmittedWhen"),
    ("revoked_at", "Request.RevokedWhen"),
    ("effective_revoked_at", "Request.RevokedEffectiveWhen"),
)
# What carecover reads of a view; the text of other columns need not be kept.
NEEDED: Final = frozenset(name for _, names, _ in _COLUMNS for name in names) | {
    *(name for _, name in _TIMES),
    "RawCertificate",
}


def ca_row(
    cells: Mapping[str, str | None], *, location: str, der: bytes | None = None, flags: tuple[str, ...] = ()
) -> Row:
    """One row of ``ca_rows`` from schema names and printed values (None: the row says that there is none).

    Where the row carries its certificate, serial, thumbprint and validity come from the DER:
    printed dates have neither zone nor seconds.
    """
    noted = list(flags)
    row: dict[str, object] = {"location": location}
    for column, names, read in _COLUMNS:
        for name in names:
            text = cells.get(name)
            if text is None:
                continue
            try:
                row[column] = read(text)
            except ValueError:
                noted.append(f"{column}_invalid")
            if row.get(column) is not None:
                break
    for column, name in _TIMES:
        if (printed := values.given(cells.get(name))) is not None:
            row[column] = PrintedTime(printed)
    for column in ("requester", "subject", "template"):
        if (flag := values.damaged_letters(row.get(column))) is not None and flag not in noted:
            noted.append(flag)
    if der is not None:
        _from_certificate(row, der, noted)
    row["flags"] = noted
    return row


def _from_certificate(row: dict[str, object], der: bytes, flags: list[str]) -> None:
    try:
        certificate = certificate_row(der)
    except ValueError:
        flags.append("certificate_invalid")
        return
    for column in ("serial", "thumbprint"):
        if row.get(column) is not None and row[column] != certificate[column]:
            flags.append("row_contradicts_certificate")
            break
    for column in ("serial", "thumbprint", "certificate_sha256", "not_before", "not_after"):
        row[column] = certificate[column]
    if row.get("subject") is None:
        row["subject"] = certificate["subject"]
