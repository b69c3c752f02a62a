"""How other administrators word the mails of their CA: formats of the registry, and what is printed by them.

``%n`` is the n-th column of the argument list; a place beyond it stays as it is (assumed). Sub-keys and values are
those of Microsoft's sample script; that other keys below ``Templates`` are overrides for one template is assumed,
and so is that an approved request that is fetched is mailed by the Issued key: there is none of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from carecover.simulator.authority import DatabaseRow
from carecover.simulator.rendering import pem, spaced_hex

MailWording = Literal["sample", "english", "german", "html", "override"]
WORDINGS: Final = get_args(MailWording)

_TAG: Final = re.compile(r"<[^>]{1,40}>")
_STYLE: Final = re.compile(r"<head>.{1,200}</head>")
_PLACE: Final = re.compile(r"%(\d{1,2})")


@dataclass(frozen=True, slots=True)
class Format:
    """One key of an event: its title, the lines of its body, and the columns of both."""

    title: str
    lines: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    title_columns: tuple[str, ...] = ("SanitizedCAName",)


_ISSUED: Final = (
    *("Request.RequestID", "UPN", "Request.RequesterName", "SerialNumber", "NotBefore", "NotAfter"),
    *("DistinguishedName", "CertificateTemplate", "CertificateHash", "Request.DispositionMessage", "RawCertificate"),
)
_PENDING: Final = (
    *("Request.RequestID", "UPN", "Request.RequesterName", "Request.SubmittedWhen", "DistinguishedName"),
    *("CertificateTemplate", "Request.DispositionMessage"),
)
_DENIED: Final = (
    *("Request.RequestID", "Request.RequesterName", "Request.SubmittedWhen", "Request.DistinguishedName"),
    *("Request.DispositionMessage", "Request.StatusCode"),
)
_REVOKED: Final = (
    *("Request.RequestID", "Request.RevokedWhen", "Request.RevokedEffectiveWhen", "Request.RevokedReason", "UPN"),
    *("Request.RequesterName", "SerialNumber", "NotBefore", "NotAfter", "DistinguishedName", "CertificateTemplate"),
    *("CertificateHash", "Request.DispositionMessage"),
)

_ENGLISH: Final = {
    "Issued": Format(
        "[PKI] New certificate from %1",
        (
            *("", "Dear colleague,", "", "a certificate was issued for %7", "Request %1 of %3 (%2)"),
            *("Serial %4, hash %9", "Usable from %5 until %6", "Template = %8", "State: %10", "", "%11"),
        ),
        _ISSUED,
    ),
    "Pending": Format(
        "[PKI] Request waits at %1",
        ("Request %1 of %3 (%2) waits for approval.", "Subject: %5", "Sent in: %4", "Template = %6", "State: %7"),
        _PENDING,
    ),
    "Denied": Format(
        "[PKI] Request refused by %1",
        ("Request %1 of %2 was refused.", "Subject: %4", "Sent in: %3", "State: %5", "Code: %6"),
        _DENIED,
    ),
    "Revoked": Format(
        "[PKI] Certificate no longer valid, says %1",
        (
            *("Request %1 of %6 (%5)", "Serial %7, hash %12", "Revoked %2, effective %3, reason %4"),
            *("Was usable from %8 until %9", "Template = %11", "State: %13", "It was for %10"),
        ),
        _REVOKED,
    ),
    "CRLIssued": Format("[PKI] CRL of %1", ("There is a new list.",)),
}
_GERMAN: Final = {
    "Issued": Format(
        "Zertifikat ausgestellt von %1",
        (
            *("Guten Tag,", "für Sie wurde ein Zertifikat ausgestellt.", "", "Anforderungs-ID: %1", "UPN: %2"),
            *("Anforderer: %3", "Seriennummer: %4", "Gültig von: %5", "Gültig bis: %6", "Name des Antragstellers: %7"),
            *("Vorlage: %8", "Fingerabdruck: %9", "Status: %10", "Zertifikat:", "%11"),
        ),
        _ISSUED,
    ),
    "Pending": Format(
        "Zertifikatanforderung wartet bei %1",
        (
            *("Anforderungs-ID: %1", "UPN: %2", "Anforderer: %3", "Eingereicht: %4", "Name des Antragstellers: %5"),
            *("Vorlage: %6", "Status: %7"),
        ),
        _PENDING,
    ),
    "Denied": Format(
        "Zertifikatanforderung abgelehnt von %1",
        (
            *("Anforderungs-ID: %1", "Anforderer: %2", "Eingereicht: %3", "Name des Antragstellers: %4"),
            *("Status: %5", "Fehlercode: %6"),
        ),
        _DENIED,
    ),
    "Revoked": Format(
        "Zertifikat gesperrt von %1",
        (
            *("Anforderungs-ID: %1", "Gesperrt am: %2", "Wirksam ab: %3", "Sperrgrund: %4", "UPN: %5"),
            *("Anforderer: %6", "Seriennummer: %7", "War gültig von: %8", "War gültig bis: %9"),
            *("Name des Antragstellers: %10", "Vorlage: %11", "Fingerabdruck: %12", "Status: %13"),
        ),
        _REVOKED,
    ),
    "CRLIssued": Format("Neue Sperrliste von %1", ("Es gibt eine neue Sperrliste.",)),
}


def _as_html(formats: Mapping[str, Format]) -> dict[str, Format]:
    """The same in a table, as people write who want it to look well."""
    made = {}
    for event, each in formats.items():
        lines = tuple(f"<tr><td>{line}</td></tr>" for line in each.lines)
        whole = ("<html><head><style>td { font: 12px }</style></head><body><table>", *lines, "</table></body></html>")
        made[event] = Format(each.title, whole, each.columns)
    return made


# Of a wording: template or None → event key → format.
_FORMATS: Final[Mapping[str, Mapping[str | None, Mapping[str, Format]]]] = MappingProxyType(
    {
        "english": {None: _ENGLISH},
        "german": {None: _GERMAN},
        "html": {None: _as_html(_GERMAN)},
        # The same title, and lines of their own for one template.
        "override": {
            None: _ENGLISH,
            "CorpWebServer": {
                "Issued": Format(
                    "[PKI] New certificate from %1",
                    (
                        *("Web server certificate, request no. %1", "Owner: %2 / %3", "No. %4", "SHA-1: %9"),
                        *("From: %5", "Until: %6", "For: %7", "By: %8", "%11"),
                    ),
                    _ISSUED,
                )
            },
        },
    }
)
_KEYS: Final = {
    "issued": "Issued",
    "retrieve_pending": "Issued",
    "pending": "Pending",
    "denied": "Denied",
    "revoked": "Revoked",
    "unrevoked": "Revoked",
    "crl_issued": "CRLIssued",
}


def as_seen(text: str) -> str:
    """What a person sees of a body, and a mail program quotes of it."""
    return _TAG.sub("", _STYLE.sub("", text)) if text.startswith("<html>") else text


def format_of(wording: str, event: str, template: str | None) -> Format | None:
    """The format by which a mail is worded; None where the wording has none of its own."""
    formats = _FORMATS.get(wording, {})
    key = _KEYS.get(event, "")
    return formats.get(template, {}).get(key) or formats.get(None, {}).get(key)


def keys_of(wording: str) -> Iterator[tuple[str, Format]]:
    """The keys below ``exit\\smtp`` that a wording has, in the newer layout."""
    for template, formats in _FORMATS.get(wording, {}).items():
        for event, each in formats.items():
            direct = event == "CRLIssued"
            yield event if direct else f"Templates\\{template or 'Default'}\\{event}", each


def printed(
    lines: Sequence[str], columns: Sequence[str], ca_name: str, row: DatabaseRow | None, when: Callable[..., str]
) -> str:
    """The lines with their values; ``when`` says how a time is written."""

    def value(place: re.Match[str]) -> str:
        number = int(place[1])
        if not 1 <= number <= len(columns):
            return place[0]
        return column_of(columns[number - 1], ca_name, row, when)

    return "".join(_PLACE.sub(value, line) + "\n" for line in lines)


def column_of(name: str, ca_name: str, row: DatabaseRow | None, when: Callable[..., str]) -> str:
    """What the exit module prints of one column: ``???`` where there is no value (certsrv.h)."""
    if name == "SanitizedCAName":
        return ca_name
    if row is None:
        return "???"
    values: dict[str, str | None] = {
        "RequestID": str(row.request_id),
        "RequesterName": row.requester,
        "UPN": row.upn,
        "SerialNumber": row.serial.text if row.serial else None,
        "DistinguishedName": row.subject,
        "CertificateTemplate": row.template.identifier if row.template else None,
        "CertificateHash": spaced_hex(row.thumbprint) if row.thumbprint else None,
        "DispositionMessage": row.message,
        # CERTSRV_E_ADMIN_DENIED_REQUEST
        "StatusCode": "0x80094014",
        "RevokedReason": f"{(row.reason or 0) & 0xFFFFFFFF:#x}",
        "RawCertificate": pem(row.certificate).rstrip() if row.certificate is not None else None,
    }
    times = {
        "NotBefore": row.not_before,
        "NotAfter": row.not_after,
        "SubmittedWhen": row.submitted_at,
        "RevokedWhen": row.revoked_at,
        "RevokedEffectiveWhen": row.effective_revoked_at,
    }
    bare = name.removeprefix("Request.")
    text = when(times[bare]) if bare in times else values[bare]
    return text or "???"
