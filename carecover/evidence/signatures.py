"""Which certificates and CRLs the CA really signed: the one place where a signature is believed.

The CA's own certificates are found by name among the certificates that were handed in as
files (a mail is unauthenticated, so one that came by mail is never taken for the CA's).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from carecover.evidence.x509 import DAMAGED, load_certificate, quietly, sha1_hex
from carecover.model import TABLES

# Collisions are made at will: a signature over these proves nothing. SHA-1 is still read,
# because CAs of 2008 R2 signed with it and their certificates are what is to be revoked.
_BROKEN: Final = (hashes.MD5,)
_ESCAPED = re.compile(r"!([0-9a-fA-F]{4})")


@dataclass(frozen=True, slots=True)
class _Key:
    certificate: x509.Certificate
    subject: x509.Name
    key_id: str | None
    public: CertificatePublicKeyTypes


def ca_key(name: str) -> str:
    """Two CA names with the same key are the same CA: a SanitizedCAName writes ``!00fc`` for ``ü``.

    Names longer than 64 characters are shortened and hashed by Windows when sanitized; those
    two spellings do not meet here.
    """
    plain = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), name)
    return " ".join(unicodedata.normalize("NFKC", plain).casefold().split())


@quietly
def verify_signatures(
    certificates: pd.DataFrame, crls: pd.DataFrame, *, ca_name: str | None, known_thumbprints: Collection[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Fill ``signed_by_ca`` in both frames, and name the CA's own certificates.

    Returns new frames: certificates, crls, and the rows of ``certificates`` that are this
    CA's own. ``signed_by_ca`` is NA where no CA certificate is known, True only where the
    signature verified with the key of one, else False. Without ``ca_name`` the CA is the
    issuer of most of the evidence.

    A name is no proof: anyone can make a CA certificate of that name. Where two keys claim
    the same CA-certificate index, only that one is believed of which ``known_thumbprints``
    (the CertificateHash of database rows) holds a certificate; where this tells none of them,
    none is believed, and the CA's own certificates are all returned, for a person to see.
    Cost is linear: issuer and key identifier choose the keys.
    """
    certificates = TABLES["certificates"].conform(certificates).copy()
    crls = TABLES["crls"].conform(crls).copy()
    loaded = [_certificate(der) for der in certificates["der"]]
    lists = [_crl(der) for der in crls["der"]]
    own = _own(certificates, loaded, lists, ca_name)
    versions = [int(version) & 0xFFFF for version in certificates["ca_version"].fillna(0)]
    keys = [_key(each) if mine and each is not None else None for each, mine in zip(loaded, own, strict=True)]
    claims = _claims([(index, key) for index, key in zip(versions, keys, strict=True) if key is not None])
    trusted = {index: _vouched(rivals, loaded, known_thumbprints) for index, rivals in claims.items()}
    # The rival of a key that the database knows is not the CA's.
    ours = [
        mine and (key is None or not (believed := trusted[index]) or key.public in [each.public for each in believed])
        for mine, key, index in zip(own, keys, versions, strict=True)
    ]
    usable = _distinct([key for believed in trusted.values() for key in believed])
    certificates["signed_by_ca"] = pd.array([_certificate_signed(each, usable) for each in loaded], dtype="boolean")
    crls["signed_by_ca"] = pd.array([_crl_signed(each, usable) for each in lists], dtype="boolean")
    return (
        certificates,
        crls,
        certificates[pd.Series(ours, dtype="bool", index=certificates.index)].reset_index(drop=True),
    )


def _certificate(der: object) -> x509.Certificate | None:
    if not isinstance(der, bytes):
        return None
    try:
        return load_certificate(der)
    except ValueError:
        return None


def _crl(der: object) -> x509.CertificateRevocationList | None:
    if not isinstance(der, bytes):
        return None
    try:
        return x509.load_der_x509_crl(der)
    except ValueError:
        return None


def _name(get: x509.Certificate | x509.CertificateRevocationList | None, which: str) -> x509.Name | None:
    try:
        name = getattr(get, which, None)
    except DAMAGED:
        return None
    return name if isinstance(name, x509.Name) else None


def _own(
    certificates: pd.DataFrame,
    loaded: Sequence[x509.Certificate | None],
    lists: Sequence[x509.CertificateRevocationList | None],
    ca_name: str | None,
) -> list[bool]:
    """Which rows are this CA's own certificates."""
    candidates = [
        bool(is_ca is True or is_ca == 1) and not (from_mail is True or from_mail == 1)
        for is_ca, from_mail in zip(
            certificates["is_ca"].fillna(False), certificates["from_mail"].fillna(False), strict=True
        )
    ]
    subjects = [_name(each, "subject") if chosen else None for each, chosen in zip(loaded, candidates, strict=True)]
    if ca_name is not None:
        wanted = ca_key(ca_name)
        return [
            subject is not None
            and any(ca_key(str(cn.value)) == wanted for cn in subject.get_attributes_for_oid(NameOID.COMMON_NAME))
            for subject in subjects
        ]
    keys = _distinct([key for c, s in zip(loaded, subjects, strict=True) if c and s and (key := _key(c)) is not None])
    issued: dict[x509.Name, int] = {}
    for each in (*loaded, *lists):
        issuer = _name(each, "issuer")
        # A self-signed certificate says nothing about who issued the others, and a name alone says nothing at all.
        if issuer is None or issuer == _name(each, "subject"):
            continue
        if _certificate_signed(each, keys) if isinstance(each, x509.Certificate) else _crl_signed(each, keys):
            issued[issuer] = issued.get(issuer, 0) + 1
    known = {subject: issued.get(subject, 0) for subject in subjects if subject is not None}
    if not known:
        return [False] * len(loaded)
    most = max(known.values())
    best = [subject for subject, count in known.items() if count == most]
    return [len(best) == 1 and subject == best[0] for subject in subjects]


def _key(certificate: x509.Certificate) -> _Key | None:
    try:
        public = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    try:
        key_id = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    except (*DAMAGED, x509.ExtensionNotFound):
        key_id = None
    return _Key(certificate, certificate.subject, key_id, public)


def _claims(keys: Sequence[tuple[int, _Key]]) -> dict[int, list[_Key]]:
    """CA-certificate index → the different keys that claim it; more than one is a forgery, or another CA's."""
    claims: dict[int, list[_Key]] = {}
    for index, key in keys:
        claims[index] = _distinct([*claims.get(index, []), key])
    return claims


def _vouched(
    rivals: Sequence[_Key], loaded: Sequence[x509.Certificate | None], known_thumbprints: Collection[str]
) -> list[_Key]:
    """The key of an index, or none of its rivals: only what the database knows by its hash tells them apart."""
    if len(rivals) == 1:
        return list(rivals)
    known = [c for c in loaded if c is not None and sha1_hex(c.public_bytes(Encoding.DER)) in known_thumbprints]
    vouched = [rival for rival in rivals if any(_certificate_signed(each, [rival]) for each in known)]
    return vouched if len(vouched) == 1 else []


def _distinct(keys: Sequence[_Key]) -> list[_Key]:
    """Each key once: a CA certificate renewed with its key, or handed in twice, is tried once."""
    distinct: list[_Key] = []
    for key in keys:
        if not any(other.public == key.public and other.subject == key.subject for other in distinct):
            distinct.append(key)
    return distinct


def _fitting(issuer: x509.Name | None, key_id: str | None, keys: Sequence[_Key]) -> list[_Key]:
    """The keys that may have signed: of this name, and of this key identifier where one has it."""
    named = [key for key in keys if key.subject == issuer]
    exact = [key for key in named if key_id is not None and key.key_id == key_id]
    return exact or named


def _authority_key_id(each: x509.Certificate | x509.CertificateRevocationList) -> str | None:
    try:
        value = each.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except (*DAMAGED, x509.ExtensionNotFound):
        return None
    return value.key_identifier.hex() if value.key_identifier else None


def _broken(each: x509.Certificate | x509.CertificateRevocationList) -> bool:
    try:
        return isinstance(each.signature_hash_algorithm, _BROKEN)
    except (UnsupportedAlgorithm, *DAMAGED):
        return True


def _certificate_signed(each: x509.Certificate | None, keys: Sequence[_Key]) -> bool | None:
    if not keys:
        return None
    if each is None or _broken(each):
        return False
    for key in _fitting(_name(each, "issuer"), _authority_key_id(each), keys):
        try:
            each.verify_directly_issued_by(key.certificate)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            continue
        return True
    return False


def _crl_signed(each: x509.CertificateRevocationList | None, keys: Sequence[_Key]) -> bool | None:
    if not keys:
        return None
    if each is None or _broken(each):
        return False
    for key in _fitting(_name(each, "issuer"), _authority_key_id(each), keys):
        try:
            if each.is_signature_valid(key.public):  # type: ignore[arg-type]
                return True
        except (UnsupportedAlgorithm, ValueError, TypeError):
            continue
    return False
