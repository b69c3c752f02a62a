"""The keys with which people sign a plan: made and kept by each of them, never in a case.

A key file is PKCS#8 (RFC 5958), encrypted with a password, and holds an Ed25519 key (RFC 8032,
8410): ``openssl pkey`` reads it. The public key lies beside it, to be handed to the others in
person, before it is needed. What is signed is one canonical JSON text (``statement``), so anybody
can check a signature without carecover.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from carecover.errors import CarecoverError, PathError, RefusedError, UsageError
from carecover.journal import Entry, owner_only
from carecover.model import canonical_json, sha256_hex

# The file may be copied, and tried as often as one likes: the password is what holds.
MIN_PASSWORD: Final = 12
MAX_PASSWORD: Final = 1000
_MAX_FILE: Final = 1 << 16
_ENCRYPTED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An opened key; what it shows of itself is public."""

    _private: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"SigningKey(public_key={self.public_key!r})"

    @property
    def public_key(self) -> str:
        """The public key as lower-case hex of its SubjectPublicKeyInfo (DER)."""
        info = self._private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return info.hex()

    def sign(self, data: bytes) -> str:
        """The signature over the bytes, lower-case hex."""
        return self._private.sign(data).hex()


def make_key(path: Path, password: str) -> str:
    """Make a key, write it to ``path`` (and its public half to ``path``.pub); return its fingerprint.

    That is SHA-256 of the public key (SubjectPublicKeyInfo, DER), which two people compare.

    Raises UsageError for a weak password, RefusedError where the file exists or would lie in a case,
    PathError where it cannot be written. No text of any of them holds the password.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD or len(set(password)) < 5:
        raise UsageError(
            f"The password of a key file has at least {MIN_PASSWORD} characters, and not all alike: several words that "
            "do not belong together are easiest to keep in mind."
        )
    beside = path.with_name(path.name + ".pub")
    _refuse_case(path)
    private = Ed25519PrivateKey.generate()
    try:
        sealed = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(_bytes(password)))
    except ValueError:
        raise UsageError("This password cannot be used: take one that is shorter.") from None
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if beside.exists():
        raise RefusedError(f"{beside} exists: a key that was signed with is never overwritten. Name another file.")
    for target, data in ((path, sealed), (beside, public)):
        try:
            with open(target, "xb", opener=owner_only) as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        except FileExistsError:
            raise RefusedError(
                f"{target} exists: a key that was signed with is never overwritten. Name another file."
            ) from None
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise PathError(f"{target} cannot be written: {error.strerror}. No key was made.") from None
    return sha256_hex(private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def open_key(path: Path, password: str) -> SigningKey | CarecoverError:
    """Open a key file, or say why it cannot be (PathError, RefusedError), without a word of the password.

    The error is returned, without its way here, for whoever forgets the password first and raises it then: a
    traceback with the variables of each frame, as a notebook can show one, has none that holds it.
    """
    try:
        return _open(path, password)
    except CarecoverError as error:
        return error.with_traceback(None)


def _open(path: Path, password: str) -> SigningKey:
    _refuse_case(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_FILE)
    except (OSError, ValueError) as error:
        raise PathError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or 'it is no path'}.") from None
    if _ENCRYPTED not in data:
        raise RefusedError(
            f"{path} is no key file with a password (PKCS#8, ENCRYPTED PRIVATE KEY). Make one: carecover keygen FILE"
        )
    try:
        private = load_pem_private_key(data, _bytes(password))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise RefusedError(f"{path} was not opened: the password is wrong, or the file is damaged.") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise RefusedError(f"{path} holds another kind of key than Ed25519. Make one: carecover keygen FILE")
    return SigningKey(private)


def statement(*, digest: str, person: str, role: str, at: str, journal: str) -> bytes:
    """What a person signs: the plan's digest, who signs as what and when, and the journal's head before it.

    With the head the signature vouches for all that the journal said until then: who wants to
    change that needs the keys of both people.
    """
    said = {"at": at, "by": person, "digest": digest, "journal": journal, "role": role}
    return canonical_json({"carecover": "sign-off", "format": 1, **said})


def sign_details(key: SigningKey, said: Mapping[str, Any], at: str, journal: str) -> dict[str, str]:
    """What the record of a sign-off (``digest``, ``by``, ``role``) bears of a key."""
    text = statement(digest=said["digest"], person=said["by"], role=said["role"], at=at, journal=journal)
    return {"public_key": key.public_key, "signature": key.sign(text)}


def signed(entry: Entry) -> bool:
    """True where the record of a sign-off bears a signature that holds; raises nothing, whatever it bears."""
    said: Any = entry.details
    try:
        key = load_der_public_key(bytes.fromhex(said["public_key"]))
        text = statement(
            digest=said["digest"], person=said["by"], role=said["role"], at=entry.at, journal=entry.previous
        )
        if not isinstance(key, Ed25519PublicKey):
            return False
        key.verify(bytes.fromhex(said["signature"]), text)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        return False
    return True


def _refuse_case(path: Path) -> None:
    """A key in the case would be in the hands of whoever has the case."""
    try:
        inside = any((folder / "case.json").is_file() for folder in path.resolve().parents)
    except (OSError, ValueError):
        return
    if inside:
        raise RefusedError(f"{path} lies in a case folder: whoever has the case would have the key. Keep it elsewhere.")


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
