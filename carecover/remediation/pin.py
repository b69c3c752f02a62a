"""The check of every dummy before it may be imported.

How long a dummy lives is documented nowhere, and a CA drops an expired serial number from its
CRL: a dummy that ends before the real certificate would make that certificate good again,
silently. So each is parsed, and whatever is not as it must be is a problem in words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import pandas as pd
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from carecover.errors import RefusedError, UsageError
from carecover.model import TABLES, Pin, Plan, PlanItem, SerialNumber, sha256_hex, utc_text
from carecover.remediation.bundle import certificate_name
from carecover.remediation.decisions import MAX_NAMED, records

# A certificate of some hundred bytes is expected; the CA's database takes 16,384 (RawCertificate).
MAX_DUMMY: Final = 16_384


def check_dummies(plan: Plan, files: Mapping[str, bytes], ca_certificates: pd.DataFrame) -> list[Pin]:
    """One Pin for every dummy that the plan needs, problems included, in the plan's order.

    ``files``: name in the bundle (``dummies/<serial>.cer``) → bytes as ``prepare.cmd`` made
    them. ``ca_certificates``: schema certificates, the CA's own, with their DER.
    Raises RefusedError where a file is missing.
    """
    given = {name.replace("\\", "/").rsplit("/", 1)[-1].lower(): data for name, data in files.items()}
    needed = [item for item in plan.items if item.method == "dummy"]
    missing = [item.serial for item in needed if _file_name(item) not in given]
    if missing:
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise RefusedError(
            f"{len(missing)} of {len(needed)} dummies are not there ({', '.join(missing[:MAX_NAMED])}{more}): run "
            "prepare.cmd to its end and bring its folder dummies back."
        )
    signers = {
        int(record["ca_version"] or 0) & 0xFFFF: x509.load_der_x509_certificate(record["der"])
        for record in records(TABLES["certificates"].conform(ca_certificates))
        if record["der"] is not None
    }
    return [_pin(item, given[_file_name(item)], signers.get(item.ca_cert_index)) for item in needed]


def _file_name(item: PlanItem) -> str:
    return certificate_name(item).rsplit("/", 1)[-1]


def _pin(item: PlanItem, data: bytes, signer: x509.Certificate | None) -> Pin:
    try:
        if len(data) > MAX_DUMMY:
            raise ValueError  # noqa: TRY301 - too large is as little a certificate as any other file
        # certutil writes DER; anything else has been through other hands.
        certificate = x509.load_der_x509_certificate(data)
        subject = certificate.subject.rfc4514_string()
        is_ca, eku = _extensions(certificate)
        serial = SerialNumber(certificate.serial_number).text
    except (ValueError, UsageError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        detail = f" ({error})" if str(error) else ""
        return Pin(
            serial=item.serial,
            sha256=sha256_hex(data),
            thumbprint=hashlib.sha1(data, usedforsecurity=False).hexdigest(),
            not_after=datetime.fromtimestamp(0, UTC),
            subject="",
            is_ca=False,
            problems=(f"The file is no certificate in DER{detail}: delete it and run prepare.cmd again.",),
        )
    return Pin(
        serial=item.serial,
        sha256=sha256_hex(data),
        thumbprint=hashlib.sha1(data, usedforsecurity=False).hexdigest(),
        not_after=certificate.not_valid_after_utc,
        subject=subject,
        is_ca=is_ca,
        eku=eku,
        problems=tuple(_problems(item, certificate, serial, signer)),
    )


def _problems(
    item: PlanItem, certificate: x509.Certificate, serial: str, signer: x509.Certificate | None
) -> Iterator[str]:
    """What bars this dummy from being imported."""
    if serial != item.serial:
        yield f"Its serial number is {serial}, not {item.serial}."
    if signer is None:
        yield f"CA certificate number {item.ca_cert_index}, which should have signed it, is not in the case."
        return
    try:
        # Compares the issuer's name as well; the key is the one of the planned CA certificate.
        certificate.verify_directly_issued_by(signer)
    except InvalidSignature:
        yield f"Its signature is not by the key of CA certificate number {item.ca_cert_index}."
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        yield f"It was not issued by CA certificate number {item.ca_cert_index}: {error}."
    needed = datetime.fromisoformat(item.not_after) if item.not_after else signer.not_valid_after_utc
    if certificate.not_valid_after_utc < needed:
        whose = "the real certificate's" if item.not_after else "the CA certificate's, as the real one's is not known"
        yield (
            f"It ends on {utc_text(certificate.not_valid_after_utc)}, before {utc_text(needed)} ({whose}): the "
            "CA would drop "
            "the serial number from its CRL too early. On the CA, sign the file again with a longer life into a new "
            "one (certutil -Cert "
            f"{SerialNumber(signer.serial_number)} -sign OLD.cer NEW.cer now+DAYS:HOURS), and put that in its place."
        )


def _extensions(certificate: x509.Certificate) -> tuple[bool, tuple[str, ...]]:
    """CA:TRUE, and the extended key usages: shown to the person who confirms."""
    try:
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return is_ca, ()
    return is_ca, tuple(usage.dotted_string for usage in usages)
