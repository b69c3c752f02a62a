"""The check of every dummy before it may be imported.

How long a dummy lives is documented nowhere, and a CA drops an expired serial number from its
CRL: a dummy that ends before the real certificate would make that certificate good again,
silently. So each is parsed, and whatever is not as it must be is a problem in words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import pandas as pd
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from carecover.errors import RefusedError
from carecover.model import TABLES, Pin, Plan, PlanItem, SerialNumber, sha256_hex
from carecover.remediation.bundle import certificate_name
from carecover.remediation.decisions import MAX_NAMED, records

# A certificate of some hundred bytes is expected; the CA's database takes 16,384 (RawCertificate).
MAX_DUMMY: Final = 16_384


def check_dummies(plan: Plan, files: Mapping[str, bytes], ca_certificates: pd.DataFrame) -> list[Pin]:
    """One Pin for every dummy that the plan needs, problems included, in the plan's order.

    ``files``: name in the bundle (``dummies/0001-….cer``) → bytes as ``prepare.cmd`` made
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
    certificate = None
    if len(data) <= MAX_DUMMY:
        certificate = _load(data)
    if certificate is None:
        return Pin(
            serial=item.serial,
            sha256=sha256_hex(data),
            thumbprint=hashlib.sha1(data, usedforsecurity=False).hexdigest(),
            not_after=datetime.fromtimestamp(0, UTC),
            subject="",
            is_ca=False,
            problems=("The file is no certificate: delete it and run prepare.cmd again.",),
        )
    der = certificate.public_bytes_der
    problems: list[str] = []
    return Pin(item.serial, sha256_hex(data), "", certificate.not_valid_after_utc, "", False, (), tuple(problems))
