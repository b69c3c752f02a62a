"""A CA with certificates, and the tables that a small incident leaves behind."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from carecover.model import TABLES, CaseFacts, Plan
from carecover.remediation import decide, make_plan

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
START = datetime(2020, 1, 1, tzinfo=UTC)
CA_END = datetime(2040, 1, 1, tzinfo=UTC)
CA_SERIAL = 0x1122334455667788

ORPHAN = "4400000014178d21c3ed6a4575000000000014"
KNOWN_ORPHAN = "4400000015278d21c3ed6a4575000000000015"
REVOKED = "440000000a178d21c3ed6a457500000000000a"
HELD = "440000000b178d21c3ed6a457500000000000b"
KEPT = "4400000016378d21c3ed6a4575000000000016"


@cache
def ca_key(number: int = 0) -> rsa.RSAPrivateKey:
    """The key of a CA; which one is made does not matter to any test, so each is made once."""
    del number
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def _leaf_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    serial: int | str,
    *,
    issuer: str = "Corp Issuing CA",
    subject: str | None = None,
    key: int = 0,
    ends: datetime = CA_END,
    is_ca: bool = False,
    eku: tuple[str, ...] = (),
) -> bytes:
    """One certificate in DER, signed by CA key ``key``."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject or issuer))
        .issuer_name(name(issuer))
        .public_key((ca_key(key) if is_ca else _leaf_key()).public_key())
        .serial_number(int(serial, 16) if isinstance(serial, str) else serial)
        .not_valid_before(START)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
    )
    if eku:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in eku]), critical=False
        )
    return builder.sign(ca_key(key), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def thumbprint(data: bytes) -> str:
    """Microsoft's thumbprint: SHA-1, lower-case hex."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def certificate_row(der: bytes, **more: object) -> dict[str, object]:
    """The row of schema certificates for these bytes."""
    parsed = x509.load_der_x509_certificate(der)
    digits = f"{parsed.serial_number:x}"
    return {
        "certificate_sha256": hashlib.sha256(der).hexdigest(),
        "serial": digits.zfill(len(digits) + len(digits) % 2),
        "thumbprint": thumbprint(der),
        "subject": parsed.subject.rfc4514_string(),
        "issuer": parsed.issuer.rfc4514_string(),
        "not_before": parsed.not_valid_before_utc,
        "not_after": parsed.not_valid_after_utc,
        "signed_by_ca": True,
        "der": der,
        **more,
    }


def finding(kind: str, serial: str | None, **more: object) -> dict[str, object]:
    """The row of schema findings, with what every finding has."""
    return {
        "finding_id": f"{kind}-{serial}",
        "kind": kind,
        "serial": serial,
        "ca_cert_index": 0,
        "ca_key_index": 0,
        "subject": "CN=somebody",
        "requester": "CORP\\somebody",
        "template": "WebServer",
        "not_after": datetime(2027, 1, 1, tzinfo=UTC),
        "confidence": "high",
        "infrastructure": False,
        **more,
    }


def ca_row(request_id: int, serial: str | None, disposition: int = 20, **more: object) -> dict[str, object]:
    """The row of schema ca_rows."""
    return {
        "request_id": request_id,
        "serial": serial,
        "disposition": disposition,
        "issuer_name_id": 0,
        "thumbprint": thumbprint(serial.encode()) if serial else None,
        "not_after": datetime(2027, 1, 1, tzinfo=UTC),
        **more,
    }


@dataclass
class Incident:
    """Tables as a case would have them; change what a test is about, then ask for the plan."""

    findings: list[dict[str, object]]
    ca_rows: list[dict[str, object]]
    choices: list[Mapping[str, Any]]
    ca_certificate: bytes
    originals: list[bytes] = field(default_factory=list)
    crls: list[dict[str, object]] = field(default_factory=list)
    facts: CaseFacts = field(default_factory=lambda: CaseFacts(config="CA01\\Corp Issuing CA"))
    waivers: tuple[str, ...] = ()
    ca_rows_of_certificate: dict[str, object] = field(default_factory=lambda: {"is_ca": True, "ca_version": 0})

    @property
    def findings_table(self) -> pd.DataFrame:
        return TABLES["findings"].frame(self.findings)

    @property
    def ca_certificates(self) -> pd.DataFrame:
        return TABLES["certificates"].frame([certificate_row(self.ca_certificate, **self.ca_rows_of_certificate)])

    @property
    def decisions(self) -> pd.DataFrame:
        rows = [decide(self.findings_table, by="Ada", at=NOW, **choice).rows for choice in self.choices]
        return pd.concat(rows, ignore_index=True) if rows else TABLES["decisions"].empty()

    @property
    def certificates(self) -> dict[str, bytes]:
        return {hashlib.sha256(der).hexdigest(): der for der in (self.ca_certificate, *self.originals)}

    def plan(self, **more: Any) -> Plan:
        arguments: dict[str, Any] = {
            "case": "incident",
            "facts": self.facts,
            "findings": self.findings_table,
            "decisions": self.decisions,
            "ca_rows": TABLES["ca_rows"].frame(self.ca_rows),
            "ca_certificates": self.ca_certificates,
            "originals": TABLES["certificates"].frame([certificate_row(der) for der in self.originals]),
            "crls": TABLES["crls"].frame(self.crls),
            "waivers": self.waivers,
        }
        return make_plan(**{**arguments, **more})


@pytest.fixture
def incident() -> Incident:
    """One orphan without and one with its original, one lost revocation, one lost release, one kept."""
    original = certificate(KNOWN_ORPHAN, subject="www.corp.example", ends=datetime(2027, 1, 1, tzinfo=UTC))
    kept = certificate(KEPT, subject="kept.corp.example", ends=datetime(2027, 1, 1, tzinfo=UTC))
    return Incident(
        findings=[
            finding("orphaned", ORPHAN),
            finding("orphaned", KNOWN_ORPHAN, original_sha256=hashlib.sha256(original).hexdigest()),
            finding("orphaned", KEPT, original_sha256=hashlib.sha256(kept).hexdigest()),
            finding(
                "lost_revocation",
                REVOKED,
                original_reason=4,
                original_revoked_at=NOW - timedelta(days=30),
                row_thumbprint=thumbprint(REVOKED.encode()),
            ),
            finding("lost_release", HELD, row_thumbprint=thumbprint(HELD.encode())),
        ],
        ca_rows=[ca_row(10, REVOKED), ca_row(11, HELD, 21, reason=6), ca_row(12, None, 31)],
        choices=[
            {"serials": [ORPHAN], "action": "revoke", "reason": 1},
            {"serials": [KNOWN_ORPHAN], "action": "revoke", "reason": 6},
            {"serials": [KEPT], "action": "restore"},
            {"serials": [REVOKED], "action": "revoke", "reason": 4},
            {"serials": [HELD], "action": "unrevoke"},
        ],
        ca_certificate=certificate(CA_SERIAL, is_ca=True),
        originals=[original, kept],
        crls=[{"crl_sha256": "0" * 64, "crl_number": "41", "signed_by_ca": True, "ca_version": 0}],
    )
