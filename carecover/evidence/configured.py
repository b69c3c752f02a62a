"""The wordings of a CA's own registry → a profile.

Below ``ExitModules\\…\\SMTP`` each event has a key with ``TitleFormat``, ``TitleArg``, ``BodyFormat``
and ``BodyArg``: in the old layout at once, in the newer one below ``Templates\\Default``. Assumed,
because no source shows them: other keys below ``Templates`` are overrides for one template; where an
argument list is not in the export, the default is that behind Microsoft's sample
(which appends one column to Issued and prints it as the eleventh).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import pandas as pd

from carecover.evidence.markup import text_of_html
from carecover.evidence.wording import CERTIFICATE, FREE, MAX_FORMAT_LINES, Profile, Wording, line_of, lines_of

REGISTRY: Final = "registry"
# A CA has some hundred templates at most that somebody words a mail for.
_MAX_WORDINGS: Final = 500
_EVENTS: Final[Mapping[str, str]] = {
    "issued": "issued",
    "pending": "pending",
    "denied": "denied",
    "revoked": "revoked",
    "imported": "imported",
    "crlissued": "crl_issued",
    "startup": "startup",
    "shutdown": "shutdown",
}
# Columns of the CA's database, without "Request." before them, and the system property.
_COLUMNS: Final[Mapping[str, str | None]] = {
    "sanitizedcaname": "ca_name",
    "requestid": "request_id",
    "serialnumber": "serial",
    "requestername": "requester",
    "upn": "upn",
    "distinguishedname": "subject",
    "certificatetemplate": "template",
    "notbefore": "not_before",
    "notafter": "not_after",
    "revokedeffectivewhen": "revoked_at",
    "revokedreason": "reason",
    "certificatehash": "thumbprint",
    "rawcertificate": CERTIFICATE,
    # Numbers, times and bytes: the CA's own values, which nobody can write a label into.
    **dict.fromkeys(
        (
            *("submittedwhen", "resolvedwhen", "revokedwhen", "statuscode", "disposition", "issuernameid"),
            *("subjectkeyidentifier", "rawrequest", "rawpublickey", "publickeylength", "requesttype", "requestflags"),
            *("callername", "dispositionmessage", "rawname", "keyrecoveryhashes", "certificatehash2"),
        )
    ),
}
_DEFAULTS: Final[Mapping[str, Sequence[str]]] = {
    "issued": (
        *("Request.RequestID", "UPN", "Request.RequesterName", "SerialNumber", "NotBefore", "NotAfter"),
        *("DistinguishedName", "CertificateTemplate", "CertificateHash", "Request.DispositionMessage"),
    ),
    "pending": (
        *("Request.RequestID", "UPN", "Request.RequesterName", "Request.SubmittedWhen", "DistinguishedName"),
        *("CertificateTemplate", "Request.DispositionMessage"),
    ),
    "revoked": (
        *("Request.RequestID", "Request.RevokedWhen", "Request.RevokedEffectiveWhen", "Request.RevokedReason", "UPN"),
        *("Request.RequesterName", "SerialNumber", "NotBefore", "NotAfter", "DistinguishedName"),
        *("CertificateTemplate", "CertificateHash", "Request.StatusCode"),
    ),
    "crl_issued": (),
}
_NEEDS: Final = {"pending": ("request_id",), "denied": ("request_id",)}
_TAG = re.compile(r"</?[a-z][a-z0-9]{0,10}[\s/>]", re.IGNORECASE)


def configured(registry: pd.DataFrame) -> tuple[Profile, ...]:
    """The profiles that a table ``registry`` holds: one for all of it, none where no mail is worded there.

    Two exports of one CA, from before and after a change, give the wordings of both.
    """
    wordings: dict[Wording, Wording] = {}
    smtp = registry[registry["key"].str.contains(r"\\smtp\\", case=False, na=False)]
    for (ca_name, _, key), values in smtp.groupby(["ca_name", "evidence_id", "key"], sort=False, dropna=False):
        known = {str(n).casefold(): list(v) for n, v in zip(values["name"], values["value"], strict=True)}
        wording = _wording(str(key), known)
        if wording is None or len(wordings) >= _MAX_WORDINGS:
            continue
        named = ca_name if isinstance(ca_name, str) else None
        same = wordings.get(wording)
        # A wording that two CAs share says nothing about which of them a mail is of.
        wordings[wording] = replace(wording, ca_name=named if same is None or same.ca_name == named else None)
    return (Profile(REGISTRY, tuple(wordings.values()), "registry"),) if wordings else ()


def _wording(key: str, values: Mapping[str, Sequence[str]]) -> Wording | None:
    """What one key of an event says; None where it is none, or has no title."""
    parts = key.split("\\")
    at = max(number for number, part in enumerate(parts) if part.casefold() == "smtp")
    rest = parts[at + 1 :]
    overrides = len(rest) == 3 and rest[0].casefold() == "templates"
    event = _EVENTS.get(rest[-1].casefold()) if overrides or len(rest) == 1 else None
    title = " ".join(" ".join(values.get("titleformat", ())).split())
    if event is None or not title:
        return None
    template = rest[1] if overrides and rest[1].casefold() != "default" else None
    title_columns = _named(values.get("titlearg") or ("SanitizedCAName",))
    formats = [line for text in values.get("bodyformat", ()) for line in text.splitlines()][:MAX_FORMAT_LINES]
    arguments = values.get("bodyarg")
    if arguments is None:
        arguments = _DEFAULTS.get(event)
    if arguments is None and any("%" in line for line in formats):
        # What is printed there, nobody knows.
        return None
    html = any(_TAG.search(line) for line in formats)
    if html:
        formats = text_of_html("\n".join(formats)).split("\n")
    lines = lines_of(formats, _named(arguments or ()))
    held = {column for line in lines for column in line.columns}
    needs = tuple(name for name in _NEEDS.get(event, ("request_id", "serial")) if name in held)
    return Wording(event, line_of(title, title_columns), lines, needs, template=template, html=html)


def _named(arguments: Sequence[str]) -> list[str | None]:
    """Columns of a database as those of table ``notifications``; what is not known there is somebody's text."""
    bare = [argument.strip().casefold().removeprefix("request.") for argument in arguments]
    return [_COLUMNS.get(name, FREE) for name in bare]
