"""Which certificates and CRLs the CA really signed: the one place where a signature is believed.

The CA's own certificates are found by name among the certificates that were handed in as
files (a mail is unauthenticated, so one that came by mail is never taken for the CA's).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

import pandas as pd
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from carecover.evidence.der import SEQUENCE, element, elements, object_identifier
from carecover.evidence.extensions import DAMAGED, ca_version, extension_value, quietly
from carecover.evidence.x509 import load_certificate, sha1_hex
from carecover.model import TABLES

# Collisions are made at will: a signature over these proves nothing. SHA-1 is still read,
# because CAs of 2008 R2 signed with it and their certificates are what is to be revoked.
_BROKEN: Final = (hashes.MD5,)
_PSS_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "1.3.14.3.2.26": hashes.SHA1(),  # noqa: S303
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
# A response carries the responder's certificate, and may carry its chain.
_MAX_DELEGATES: Final = 10
T = TypeVar("T")
_ESCAPED = re.compile(r"!([0-9a-fA-F]{4})")


@dataclass(frozen=True, slots=True)
class _Key:
    certificate: x509.Certificate
    subject: x509.Name
    key_id: str | None
    public: CertificatePublicKeyTypes
    index: int | None
    """Index of the key, from the CA version of its certificate; None where that has none."""
    signs_lists: bool
    """False where the certificate's key usage leaves cRLSign out: no client accepts a CRL under it."""


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
    believed = _distinct([key for each in trusted.values() for key in each])
    # A CA renewed with its key has two indexes and one key: one key index with two keys is a forgery as well.
    usable = [key for rivals in _by_index(believed).values() for key in _vouched(rivals, loaded, known_thumbprints)]
    usable += [key for key in believed if key.index is None]
    # The rival of a key that the database knows is not the CA's.
    ours = [
        mine and (key is None or not _outdone(key, trusted[index], usable))
        for mine, key, index in zip(own, keys, versions, strict=True)
    ]
    certificates["signed_by_ca"] = pd.array([_certificate_signed(each, usable) for each in loaded], dtype="boolean")
    crls["signed_by_ca"], crls["signer_key_index"] = _signed_lists(lists, usable)
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
    except DAMAGED:
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
        if (
            _certificate_signed(each, keys)
            if isinstance(each, x509.Certificate)
            else _crl_signer(each, keys) is not None
        ):
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
    version = _extension(certificate, ca_version)
    usage = _extension(certificate, lambda found: extension_value(found, x509.KeyUsage, lambda value: value.crl_sign))
    return _Key(
        certificate, certificate.subject, key_id, public, None if version is None else version >> 16, usage is not False
    )


def _extension(certificate: x509.Certificate, get: Callable[[x509.Extensions], T | None]) -> T | None:
    try:
        return get(certificate.extensions)
    except DAMAGED:
        return None


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


def _by_index(keys: Sequence[_Key]) -> dict[int, list[_Key]]:
    """Key index → the different keys that claim it; those that name none are left out."""
    claims: dict[int, list[_Key]] = {}
    for key in keys:
        if key.index is not None:
            claims.setdefault(key.index, []).append(key)
    return claims


def _outdone(key: _Key, trusted: Sequence[_Key], usable: Sequence[_Key]) -> bool:
    """True where another key is believed to be what this one claims to be, by certificate index or by key index."""
    if key.public in [each.public for each in usable]:
        return False
    same = any(each.index is not None and each.index == key.index for each in usable)
    return same or (bool(trusted) and key.public not in [each.public for each in trusted])


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
            if not _sha1_verifies(each, each.tbs_certificate_bytes, key.public):
                continue
        return True
    return False


def _signed_lists(
    lists: Sequence[x509.CertificateRevocationList | None], keys: Sequence[_Key]
) -> tuple[pd.Series[bool], pd.Series[int]]:
    """Columns signed_by_ca and signer_key_index."""
    signers = [_crl_signer(each, keys) for each in lists]
    signed = [None if not keys else signer is not None for signer in signers]
    indexes = [None if signer is None else signer.index for signer in signers]
    return pd.Series(signed, dtype="boolean"), pd.Series(indexes, dtype="Int64")


def _crl_signer(each: x509.CertificateRevocationList | None, keys: Sequence[_Key]) -> _Key | None:
    if not keys or each is None or _broken(each):
        return None
    for key in _fitting(_name(each, "issuer"), _authority_key_id(each), keys):
        if not key.signs_lists:
            continue
        try:
            good = each.is_signature_valid(key.public)  # type: ignore[arg-type]
        except (UnsupportedAlgorithm, ValueError, TypeError):
            good = False
        if good or _sha1_verifies(each, each.tbs_certlist_bytes, key.public):
            return None if _borrows(each, key, keys) else key
    return None


def _sha1_verifies(
    each: x509.Certificate | x509.CertificateRevocationList, tbs: bytes, public: CertificatePublicKeyTypes
) -> bool:
    """True where this key signed it over SHA-1, which the library checks in certificates and lists no more."""
    if not isinstance(each.signature_hash_algorithm, hashes.SHA1):
        return False
    try:
        whole = each.public_bytes(Encoding.DER)
        outer = element(whole, 0, len(whole))
        _, named, *_ = elements(whole, outer.start, outer.stop)
        inner = element(tbs, 0, len(tbs))
        within = next(part for part in elements(tbs, inner.start, inner.stop) if part.tag == SEQUENCE)
        # RFC 5280 4.1.1.2: both say the same, or somebody changed one.
        same = whole[named.start : named.stop] == tbs[within.start : within.stop]
        return same and _verifies(each.signature, tbs, hashes.SHA1(), padding.PKCS1v15(), public)  # noqa: S303
    except (*DAMAGED, UnsupportedAlgorithm, StopIteration):
        return False


def _borrows(each: x509.CertificateRevocationList, key: _Key, keys: Sequence[_Key]) -> bool:
    """True where a key without index signed a list that says it is of another key, one that is known."""
    if key.index is not None:
        return False
    try:
        version = ca_version(each.extensions)
    except DAMAGED:
        return False
    return version is not None and any(other.index == version >> 16 for other in keys)


# ------------------------------------------------------------------------------ OCSP answers


@quietly
def verify_responses(own: pd.DataFrame, responses: pd.DataFrame) -> pd.DataFrame:
    """Fill ``signed_by_ca`` and ``signer_key_index`` of OCSP answers (a new frame).

    ``own`` are the CA's own certificates, as ``verify_signatures`` names them; where two of
    their keys claim one index, neither is believed. An answer counts only where the CA's key
    that its CertID names signed it, or a responder whose certificate that same key issued,
    with the extended key usage OCSPSigning, valid when the answer was produced (RFC 6960
    4.2.2.2). NA where no CA certificate is known.
    """
    responses = TABLES["ocsp_responses"].conform(responses).copy()
    loaded = [_certificate(der) for der in own["der"]]
    versions = [int(version) & 0xFFFF for version in own["ca_version"].fillna(0)]
    claims = _claims([(n, key) for n, each in zip(versions, loaded, strict=True) if each and (key := _key(each))])
    alone = _distinct([key for rivals in claims.values() if len(rivals) == 1 for key in rivals])
    rivals = _by_index(alone)
    keys = [key for key in alone if key.index is None or len(rivals[key.index]) == 1]
    signers: dict[tuple[str, int], _Key | None] = {}
    found = []
    for number, der in zip(_places(responses), responses["der"], strict=True):
        if number not in signers:
            signers[number] = _response_signer(der, number[1], keys) if isinstance(der, bytes) else None
        found.append(signers[number])
    signed = [None if not keys else signer is not None for signer in found]
    responses["signed_by_ca"] = pd.Series(signed, dtype="boolean", index=responses.index)
    indexes = [None if signer is None else signer.index for signer in found]
    responses["signer_key_index"] = pd.Series(indexes, dtype="Int64", index=responses.index)
    return responses


def _places(responses: pd.DataFrame) -> list[tuple[str, int]]:
    """Which answer of its response each row is."""
    digests = responses["response_sha256"].astype(str)
    return list(zip(digests, responses.groupby(digests, sort=False).cumcount(), strict=True))


def _response_signer(der: bytes, place: int, keys: Sequence[_Key]) -> _Key | None:
    """The CA key that stands behind the answer at this place of a response, or None."""
    try:
        response = ocsp.load_der_ocsp_response(der)
        answer = next(islice(response.responses, place, None), None)
        digest, filled = _response_algorithm(der, response)
        if answer is None or isinstance(digest, _BROKEN):
            return None
        named = [key for key in keys if _names_key(answer, key)]
        for key in named:
            signed = response.signature, response.tbs_response_bytes, digest, filled
            if _is_responder(response, key.certificate) and _verifies(*signed, key.public):
                return key
            for delegate in response.certificates[:_MAX_DELEGATES]:
                if not _may_answer(delegate, key, response):
                    continue
                if _verifies(*signed, delegate.public_key()):
                    return key
    except (*DAMAGED, UnsupportedAlgorithm):
        return None
    return None


def _names_key(answer: ocsp.OCSPSingleResponse, key: _Key) -> bool:
    """True where the CertID is of a certificate that this key issued."""

    def hashed(data: bytes) -> bytes:
        digest = hashes.Hash(answer.hash_algorithm)
        digest.update(data)
        return digest.finalize()

    # The hash of a key is over its bits only, without tag and length (RFC 6960 4.1.1).
    info = key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    outer = element(info, 0, len(info))
    *_, bits = elements(info, outer.start, outer.stop)
    names = hashed(key.subject.public_bytes()) == answer.issuer_name_hash
    return names and hashed(info[bits.start + 1 : bits.stop]) == answer.issuer_key_hash


def _is_responder(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    return response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _may_answer(delegate: x509.Certificate, key: _Key, response: ocsp.OCSPResponse) -> bool:
    produced = response.produced_at_utc
    usage = _extension(delegate, lambda found: extension_value(found, x509.ExtendedKeyUsage, list)) or []
    return (
        ExtendedKeyUsageOID.OCSP_SIGNING in usage
        and delegate.not_valid_before_utc <= produced <= delegate.not_valid_after_utc
        and _is_responder(response, delegate)
        and _certificate_signed(delegate, [key]) is True
    )


def _response_algorithm(
    der: bytes, response: ocsp.OCSPResponse
) -> tuple[hashes.HashAlgorithm | None, padding.AsymmetricPadding]:
    """The hash and the padding of a response's signature; raises UnsupportedAlgorithm or ValueError.

    RSASSA-PSS (AlternateSignatureAlgorithm of a Windows CA) the library does not read here.
    """
    if response.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
        return response.signature_hash_algorithm, padding.PKCS1v15()
    # OCSPResponse { status, [0] { SEQUENCE { type, OCTET STRING { BasicOCSPResponse { data, algorithm, … } } } } }
    at = element(der, 0, len(der))
    for place in (1, 0, 1, 0):
        at = list(elements(der, at.start, at.stop))[place]
    _, algorithm, *_ = elements(der, at.start, at.stop)
    _, parameters = elements(der, algorithm.start, algorithm.stop)
    first = next(elements(der, parameters.start, parameters.stop), None)
    if first is None or first.tag != 0xA0:  # [0] hashAlgorithm DEFAULT sha1
        return hashes.SHA1(), padding.PSS(padding.MGF1(hashes.SHA1()), padding.PSS.AUTO)  # noqa: S303
    inner = element(der, first.start, first.stop)
    name = element(der, inner.start, inner.stop)
    digest = _PSS_HASHES.get(object_identifier(der[name.start : name.stop]))
    if digest is None:
        raise UnsupportedAlgorithm("a hash that is not known here")
    return digest, padding.PSS(padding.MGF1(digest), padding.PSS.AUTO)


def _verifies(
    signature: bytes,
    signed: bytes,
    digest: hashes.HashAlgorithm | None,
    filled: padding.AsymmetricPadding,
    public: CertificatePublicKeyTypes,
) -> bool:
    try:
        if isinstance(public, rsa.RSAPublicKey) and digest is not None:
            public.verify(signature, signed, filled, digest)
        elif isinstance(public, ec.EllipticCurvePublicKey) and digest is not None:
            public.verify(signature, signed, ec.ECDSA(digest))
        elif isinstance(public, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            public.verify(signature, signed)
        else:
            return False
    except InvalidSignature:
        return False
    return True
