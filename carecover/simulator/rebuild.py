"""What evidence tells about a CA, put together so that a simulated one can take its place.

Only evidence is used, never the truth of a simulated incident. Where evidence is silent
the assumption is a switch of ``Behaviour``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pandas as pd
from cryptography import x509

from carecover.errors import EvidenceError
from carecover.model import TABLES, Disposition, SerialNumber
from carecover.simulator.authority import Authority, HighSerial, der, thumbprint
from carecover.simulator.behaviour import Behaviour

# A stand-in needs some seed; its keys protect nothing.
_STAND_IN_SEED: Final = 0
# Where neither evidence nor a default says otherwise: the CA certificate of a stand-in.
_UNKNOWN_URL: Final = "http://pki.example/CertEnroll"


@dataclass(frozen=True, slots=True)
class CrlCounter:
    """What the database knows of one key's CRLs: the last number, and when that base was published."""

    number: int
    published_at: datetime | None = None


def own_certificates(table: pd.DataFrame) -> dict[int, x509.Certificate]:
    """CA certificates by CA-certificate index, from their CA version extension (0 where it is missing).

    Raises EvidenceError where there is none, or two for one index.
    """
    own: dict[int, x509.Certificate] = {}
    for version, data in zip(table["ca_version"], table["der"], strict=True):
        if isinstance(data, bytes):
            index = 0 if pd.isna(version) else int(version) & 0xFFFF
            certificate = x509.load_der_x509_certificate(data)
            if own.setdefault(index, certificate) != certificate:
                raise EvidenceError(
                    f"Two different certificates claim to be number {index} of this CA, so it cannot be rebuilt for "
                    "a rehearsal; keep the one that certutil -ca.cert writes."
                )
    if not own:
        raise EvidenceError(
            "The CA's own certificate is not in the evidence, so the CA cannot be rebuilt for a rehearsal; add it."
        )
    return own


def with_reasons(ca_rows: pd.DataFrame, crl_entries: pd.DataFrame) -> pd.DataFrame:
    """The rows; where a view without dates and reasons shows a row as revoked, the CRLs tell both."""
    rows, entries = TABLES["ca_rows"].conform(ca_rows), TABLES["crl_entries"].conform(crl_entries)
    bare = (rows["disposition"] == Disposition.REVOKED) & rows["reason"].isna()
    if not bare.any() or entries.empty:
        return rows
    told = entries.drop_duplicates("serial", keep="last").set_index("serial")
    rows = rows.copy()
    for column in ("reason", "revoked_at"):
        missing = bare & rows[column].isna()
        rows.loc[missing, column] = rows.loc[missing, "serial"].map(told[column])
    return rows


def certificate_record(certificate: x509.Certificate, ca_version: int) -> dict[str, object]:
    """A CA certificate as a row of the table certificates."""
    data = der(certificate)
    return {
        "certificate_sha256": hashlib.sha256(data).hexdigest(),
        "serial": SerialNumber(certificate.serial_number).text,
        "thumbprint": thumbprint(data),
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
        "signed_by_ca": True,
        "is_ca": True,
        "ca_version": ca_version,
        "key_id": x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest.hex(),
        "der": data,
    }


def stand_in(own: Mapping[int, x509.Certificate]) -> Authority:
    """An authority of the same name with as many certificates and keys as the CA had."""
    newest = own[max(own)]
    authority = Authority(
        _STAND_IN_SEED, newest.subject, HighSerial.of("number", _STAND_IN_SEED), _UNKNOWN_URL, label="stand-in"
    )
    previous: x509.Certificate | None = None
    for index in range(max(own) + 1):
        real = own.get(index, newest)
        renewed = previous is None or real.public_key() != previous.public_key()
        authority.renew(real.not_valid_before_utc, real.not_valid_after_utc, new_key=renewed)
        previous = real
    return authority


def crl_counters_of(
    table: pd.DataFrame, authority: Authority, backup: datetime | None, behaviour: Behaviour
) -> dict[int, CrlCounter]:
    """The restored CA's CRL counters: rolled back to the last CRL before the backup, where one is known."""
    counters: dict[int, CrlCounter] = {}
    for key in authority.keys:
        index = authority.certificate_of_key(key)
        of_key = table[(table["ca_version"].fillna(index) // (1 << 16) == key) & table["crl_number"].notna()]
        lists = sorted(
            (int(number), at.to_pydatetime())
            for number, at in zip(of_key["crl_number"], of_key["this_update"], strict=True)
        )
        before = [(number, at) for number, at in lists if backup is not None and at <= backup]
        if before:
            counters[key] = CrlCounter(*before[-1])
        elif lists:
            counters[key] = CrlCounter(max(lists[-1][0] - behaviour.crl_numbers_behind, 0))
    return counters
