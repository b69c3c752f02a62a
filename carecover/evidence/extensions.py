"""What a certificate, a CRL and an OCSP answer say, asked of the library without surprises.

What is odd about them is evidence: a damaged field is NA, and no warning of the library's
reaches the user.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

_CA_VERSION: Final = ObjectIdentifier("1.3.6.1.4.1.311.21.1")
# RFC 4514 has no short name for it; Windows writes E=.
_SHORT_NAMES: Final = {NameOID.EMAIL_ADDRESS: "E"}
# What is published at more places is somebody's play, and so is a longer name.
MAX_URLS: Final = 50
_MAX_URL: Final = 2048

# What the library raises over a damaged extension or name; the field is NA then.
DAMAGED: Final = (
    ValueError,
    TypeError,
    NotImplementedError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
# "ParseError { kind: ExtraData, location: ["TBSCertList::signature"] }", as the library's Rust prints it.
_PARSE_ERROR = re.compile(r"ParseError \{ kind: (\w{1,40})(?:.{0,200}?location: \[(.{0,400}?)\])?")
_FIELD = re.compile(r'"([A-Za-z_:]{1,80})"')
T = TypeVar("T")
P = ParamSpec("P")


def quietly(function: Callable[P, T]) -> Callable[P, T]:
    """Without the library's warnings: what is odd about a certificate is evidence, not a fault of ours."""

    @wraps(function)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> T:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **kwargs)

    return quiet


def or_none(get: Callable[[], T]) -> T | None:
    """A field of a certificate, or None where the library finds it damaged."""
    try:
        return get()
    except DAMAGED:
        return None


Extension = TypeVar("Extension", bound=x509.ExtensionType)


def printed_name(name: x509.Name) -> str | None:
    """A distinguished name as text (RFC 4514); None for the empty one."""
    return name.rfc4514_string(_SHORT_NAMES) or None


def extension_value(
    extensions: x509.Extensions | None, kind: type[Extension], get: Callable[[Extension], T]
) -> T | None:
    """What ``get`` makes of the extension of this kind, or None where there is none."""
    if extensions is None:
        return None
    try:
        return get(extensions.get_extension_for_class(kind).value)
    except x509.ExtensionNotFound:
        return None


def raw_extension(extensions: x509.Extensions | None, oid: ObjectIdentifier) -> bytes | None:
    """The content of an extension that the library does not know, or None where there is none."""
    if extensions is None:
        return None
    try:
        value = extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    return value.value if isinstance(value, x509.UnrecognizedExtension) else None


def key_identifier(value: x509.AuthorityKeyIdentifier) -> str | None:
    """The key identifier in it as hex, or None where it has none."""
    return value.key_identifier.hex() if value.key_identifier else None


def short_content(raw: bytes | None, tag: int) -> bytes | None:
    """The content of one short DER element of this tag."""
    if raw is None or len(raw) < 2 or raw[0] != tag or raw[1] != len(raw) - 2 or raw[1] > 0x7F:
        return None
    return raw[2:]


def ca_version(extensions: x509.Extensions | None) -> int | None:
    """Microsoft's CA version: key index << 16 | certificate index; None where it is missing or odd."""
    content = short_content(raw_extension(extensions, _CA_VERSION), 0x02)
    if not content or len(content) > 5:
        return None
    return int.from_bytes(content, "big", signed=True)


def name_urls(names: Iterable[x509.GeneralName]) -> list[str]:
    """The URLs among general names, bounded in number and length."""
    uris = (str(name.value) for name in names if isinstance(name, x509.UniformResourceIdentifier))
    return [uri[:_MAX_URL] for uri in uris if uri][:MAX_URLS]


def distribution_urls(points: Iterable[x509.DistributionPoint]) -> list[str]:
    """The URLs of distribution points, each once, in their order."""
    return list(dict.fromkeys(url for point in points for url in name_urls(point.full_name or [])))[:MAX_URLS]


def first_line(error: Exception) -> str:
    """What a library says, safe to print: one line of printable ASCII; of asn1's errors the field and what is odd."""
    text = (str(error).splitlines() or [type(error).__name__])[0]
    if parse := _PARSE_ERROR.search(text):
        fields = _FIELD.findall(parse[2] or "")
        what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", parse[1]).lower()
        text = f"{what} in {fields[-1]}" if fields else what
    text = text[:160]
    return text.encode("ascii", "backslashreplace").decode("ascii").rstrip(". ") or type(error).__name__
