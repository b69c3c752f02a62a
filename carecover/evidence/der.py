"""DER elements by position, for what the library checks but does not show.

Only bytes that the library has accepted as a whole are walked, so what can go wrong here is
small; every length is still held against the end of its parent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OBJECT_IDENTIFIER: Final = 0x06
ENUMERATED: Final = 0x0A
BOOLEAN: Final = 0x01
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
# X.690 8.19 sets no limit; nobody's identifier has more.
_MAX_OID_BYTES: Final = 64
_TIMES: Final = {
    UTC_TIME: re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z"),
    GENERALIZED_TIME: re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z"),
}


class Element(NamedTuple):
    """One element: its tag, and where its content begins and ends."""

    tag: int
    start: int
    stop: int


def element(data: bytes, at: int, end: int) -> Element:
    """The element that begins at ``at``; ValueError where it is cut off or not in DER."""
    if at + 2 > end:
        raise ValueError("it is cut off")
    length, start = data[at + 1], at + 2
    if length >= 0x80:
        octets = length & 0x7F
        if not 1 <= octets <= 4 or start + octets > end:
            raise ValueError("a length in it is not DER")
        length, start = int.from_bytes(data[start : start + octets], "big"), start + octets
    if start + length > end:
        raise ValueError("it is cut off")
    return Element(data[at], start, start + length)


def elements(data: bytes, start: int, stop: int) -> Iterator[Element]:
    """The elements between two positions, one behind the other."""
    at = start
    while at < stop:
        found = element(data, at, stop)
        yield found
        at = found.stop


class RawExtension(NamedTuple):
    """One extension as it is written: identifier, the critical flag, the content of its OCTET STRING."""

    oid: str
    critical: bool
    value: bytes


def extensions(data: bytes, start: int, stop: int) -> list[RawExtension]:
    """The extensions of a SEQUENCE OF Extension between two positions; ValueError where one is damaged."""
    found = []
    for each in elements(data, start, stop):
        parts = list(elements(data, each.start, each.stop))
        flags = [part for part in parts if part.tag == BOOLEAN]
        if len(parts) < 2 or parts[0].tag != OBJECT_IDENTIFIER or parts[-1].tag != OCTET_STRING:
            raise ValueError("an extension in it is damaged")
        critical = any(data[flag.start : flag.stop] != b"\0" for flag in flags)
        identifier = object_identifier(data[parts[0].start : parts[0].stop])
        found.append(RawExtension(identifier, critical, data[parts[-1].start : parts[-1].stop]))
    return found


def object_identifier(content: bytes) -> str:
    """An object identifier in dotted form (X.690 8.19); ValueError where it is none."""
    if not content or len(content) > _MAX_OID_BYTES or content[-1] & 0x80:
        raise ValueError("an object identifier in it is damaged")
    arcs, value = [], 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def moment(tag: int, content: bytes) -> datetime:
    """A UTCTime or GeneralizedTime in the only form that RFC 5280 4.1.2.5 allows; ValueError otherwise."""
    form = _TIMES.get(tag)
    parts = form.fullmatch(content) if form else None
    if parts is None:
        raise ValueError("a time in it is not in the form that RFC 5280 asks for")
    year, *rest = map(int, parts.groups())
    if tag == UTC_TIME:
        year += 1900 if year >= 50 else 2000
    return datetime(year, *rest, tzinfo=UTC)  # type: ignore[misc,arg-type]
