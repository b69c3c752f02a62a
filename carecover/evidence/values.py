"""Single values as certutil and the exit module print them, checked by their shape.

A label is never trusted alone: on a CA with other BodyArg defaults label and value are
shifted against each other. Every function returns None for "not given" and raises
ValueError for "given, but not this".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from carecover.errors import UsageError
from carecover.model import RevocationReason, SerialNumber

# EMPTY: certutil. ???: wszREGEXITPROPNOTFOUND of certsrv.h. Unavailable: event 46 of the CA.
_ABSENT: Final = frozenset({"", "EMPTY", "???", "Unavailable"})
# A format string with more places than arguments leaves its own text behind (assumed).
_PLACEHOLDER = re.compile(r"%{1,2}\d{1,2}")
_NUMBER = re.compile(
    r"(?:0x([0-9a-f]{1,8})|(-?\d{1,10}))(?:\s*\((-?\d{1,10})\))?(?:\s.*)?",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
_THUMBPRINT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_OID_AND_NAME = re.compile(r"(\d+(?:\.\d+){3,})(?:\s+(\S.*))?", re.ASCII | re.DOTALL)
# What SerialNumber.parse would give back unchanged: lower case, even, no leading zeros.
_CANONICAL_SERIAL = re.compile(r"(?!00)(?:[0-9a-f]{2}){1,20}", re.ASCII)
_UNSIGNED: Final = 1 << 32
# Views repeat these values in nearly every row.
_REMEMBERED: Final = 4096

_REASONS: Final = {
    **{reason.designation.replace(" ", "").lower(): int(reason) for reason in RevocationReason},
    "unspecified": 0,
    "remove": 8,
}


def given(text: str | None) -> str | None:
    """The value without blanks around it, or None where the program says that there is none."""
    if text is None:
        return None
    stripped = text.strip(" \t\r\n\u00a0")
    if stripped in _ABSENT or (stripped[0] == "%" and _PLACEHOLDER.fullmatch(stripped)):
        return None
    return stripped


def plain(text: str | None) -> str | None:
    """A free text without blanks around it; None where nothing is left."""
    return (text or "").strip() or None


def damaged_letters(value: object) -> str | None:
    """What a wrong code page did to a text before it was handed in; None where nothing shows.

    ``characters_lost``: U+FFFD stands where letters were. ``encoded_twice``: UTF-8 that somebody
    took for Windows-1252 or Latin-1 ("Ã¼"). Neither is mended: what was there is not certain.
    """
    if not isinstance(value, str) or value.isascii():
        return None
    if "\ufffd" in value:
        return "characters_lost"
    for encoding in ("cp1252", "latin-1"):
        try:
            return "encoded_twice" if value.encode(encoding).decode("utf-8") != value else None
        except UnicodeError:
            continue
    return None


@lru_cache(maxsize=_REMEMBERED)
def integer(text: str | None) -> int | None:
    """``85``, ``0x55``, ``0x55 (85)`` or ``0x15 (21) -- Revoked``, as the number."""
    value = given(text)
    if value is None:
        return None
    match = _NUMBER.fullmatch(value)
    if match is None:
        raise ValueError(value)
    number = int(match[1], 16) if match[1] else int(match[2])
    if match[1] and match[3] and int(match[3]) % _UNSIGNED != number:
        raise ValueError(value)
    return number


def request_id(text: str | None) -> int | None:
    """A request ID: a positive number of at most 32 bits."""
    number = integer(text)
    if number is not None and not 0 < number < _UNSIGNED:
        raise ValueError(text)
    return number


def serial(text: str | None) -> str | None:
    """A serial number as canonical text."""
    value = given(text)
    if value is None:
        return None
    if _CANONICAL_SERIAL.fullmatch(value):
        return value
    try:
        return SerialNumber.parse(value).text
    except UsageError as error:
        raise ValueError(value) from error


def thumbprint(text: str | None) -> str | None:
    """A SHA-1 of 20 bytes, with or without blanks between them."""
    value = given(text)
    if value is None:
        return None
    digits = re.sub(r"[\s:\u200e]", "", value[:200]).lower()
    if not _THUMBPRINT.fullmatch(digits):
        raise ValueError(value)
    return digits


@lru_cache(maxsize=_REMEMBERED)
def reason(text: str | None) -> int | None:
    """A revocation reason: number, ``0x1 -- Reason: Key Compromise``, designation or CRL_REASON_*."""
    value = given(text)
    if value is None:
        return None
    word = re.sub(r"[\s_]", "", value[:80].casefold()).removeprefix("crlreason").removeprefix("reason:")
    if word in _REASONS:
        return _REASONS[word]
    if "unrevoke" in word:
        return int(RevocationReason.UNREVOKE)
    number = integer(value)
    if number == _UNSIGNED - 1:
        number = int(RevocationReason.UNREVOKE)
    if number is None or number not in set(RevocationReason):
        raise ValueError(value)
    return number


@lru_cache(maxsize=_REMEMBERED)
def template(text: str | None) -> str | None:
    """A template: the name where the OID has one behind it, else the OID or the v1 name."""
    value = given(text)
    if value is None:
        return None
    match = _OID_AND_NAME.fullmatch(value)
    return (match[2] or match[1]) if match else value


@lru_cache(maxsize=_REMEMBERED)
def template_oid(text: str | None) -> str | None:
    """The OID of a v2 or later template, or None for a v1 name."""
    match = _OID_AND_NAME.fullmatch(given(text) or "")
    return match[1] if match else None
