"""Values and texts of many mails at once: what all of them have in common is looked at once.

Each function gives what the one for a single value gives, or ``ODD`` where that one must look.
"""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from carecover.evidence import values
from carecover.evidence.charsets import codec_of, decoded, normal, printable
from carecover.evidence.mime import without_coding
from carecover.evidence.tables import strings as packed


class _Odd:
    """What stands for a value that the other lane must look at."""


ODD: Final = _Odd()
# A letter is a byte in these, and a zero is nothing else.
_PLAIN: Final = frozenset({"us-ascii", "utf-8", "iso-8859-1", "cp1252"})
_NUMBERS: Final = re.compile(r"(?:[1-9][0-9]{0,8}\n)*+")
_SERIALS: Final = re.compile(r"(?:(?!00)[0-9a-f]{2,40}+\n)*+")
_THUMBPRINTS: Final = re.compile(r"(?:[0-9a-f]{40}\n)*+")
_MAX_HEADER: Final = 400
_LONG: Final = 100


def texts(bodies: Sequence[bytes], way: str, charset: str) -> list[str]:
    """Bodies without their last line end, of one transfer encoding and charset, as texts; each ends with one."""
    if way == "base64":
        bodies = [_without_base64(body) for body in bodies]
        joined = b"\0".join(bodies)
    else:
        joined = b"\n\0".join([*bodies, b""])[:-1]
    if way == "quoted-printable":
        joined = quopri.decodestring(joined)
    text = _together(joined, len(bodies) - 1, charset)
    if text is not None:
        return normal(text).split("\0")
    if way != "base64":
        bodies = [without_coding(body + b"\n", way) for body in bodies]
    return [normal(decoded(body, charset)) for body in bodies]


def _without_base64(body: bytes) -> bytes:
    try:
        return binascii.a2b_base64(body.replace(b"\n", b""), strict_mode=True)
    except binascii.Error:
        return without_coding(body + b"\n", "base64")


def _together(joined: bytes, zeros: int, charset: str) -> str | None:
    """Texts with a zero between them, decoded; None where one may have to be decoded otherwise than the others."""
    codec = codec_of(charset)
    if codec not in _PLAIN or joined.count(b"\0") != zeros or joined.endswith(b"\0"):
        return None
    if joined.isascii():
        return joined.decode("ascii")
    if codec in {"us-ascii", "utf-8"}:
        try:
            return joined.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return None


def strings(column: Sequence[str | None]) -> Any:  # noqa: ANN401 - Arrow's types have no common name
    """Texts packed; one that all have is packed once."""
    if column and column[0] is not None and column.count(column[0]) == len(column):
        (once,) = packed(column[:1])
        return pa.repeat(once, len(column))
    return packed(column)


def printables(column: Sequence[bytes | None]) -> list[str | None]:
    """``printable`` of each."""
    joined = b"\n".join([b"" if value is None else value for value in column])
    if joined.isascii():
        found = joined.decode("ascii").split("\n")
        if (
            len(found) == len(column)
            and max(map(len, found), default=0) <= _MAX_HEADER
            and "".join(found).isprintable()
        ):
            return [text.strip() or None for text in found]
    return [printable(value) for value in column]


def free_texts(column: Sequence[str]) -> list[Any]:
    """``values.given`` of each."""
    return [text if text and text[0] not in "E?U%" else values.given(text) for text in _stripped(column)]


def times(column: Sequence[str]) -> list[Any]:
    """Printed times."""
    return [text if text and text[0].isdigit() else values.given(text) for text in _stripped(column)]


def _stripped(column: Sequence[str]) -> list[str]:
    return [text.strip() for text in column]


def by_each(check: Callable[[Any], object]) -> Callable[[Sequence[Any]], list[Any]]:
    """A check of single values, for values that come again and again."""

    def read(column: Sequence[Any]) -> list[Any]:
        known = {value: _value(check, value) for value in set(column)}
        return [known[value] for value in column]

    return read


def _value(check: Callable[[Any], object], value: object) -> object:
    try:
        return check(value.strip() if isinstance(value, str) else value)
    except ValueError:
        return ODD


def numbers(column: Sequence[str]) -> list[Any]:
    """``values.request_id`` of each."""
    if _NUMBERS.fullmatch("\n".join([*column, ""])):
        return list(map(int, column))
    return [
        int(text)
        if text.isdigit() and text.isascii() and len(text) < 10 and text[0] != "0"
        else _value(values.request_id, text)
        for text in _stripped(column)
    ]


def serials(column: Sequence[str]) -> list[Any]:
    """``values.serial`` of each."""
    if _SERIALS.fullmatch("\n".join([*column, ""])) and not any(len(text) % 2 for text in column):
        return list(column)
    return [_value(values.serial, text) for text in column]


def thumbprints(column: Sequence[str]) -> list[Any]:
    """``values.thumbprint`` of each."""
    bare = "\n".join([*column, ""]).replace(" ", "")
    if _THUMBPRINTS.fullmatch(bare) and max(map(len, column), default=0) < _LONG:
        return bare.split("\n")[:-1]
    return [_value(values.thumbprint, text) for text in column]
