"""PKCS #7 / CMS SignedData (RFC 5652 5.1): the certificates and CRLs that a .p7b, .p7c or .p7s carries.

Signatures in it are not looked at: whether a certificate is the CA's is settled by the CA's
own signature on it. Windows writes DER; other programs write BER with indefinite lengths
around the certificates, which are followed. A certificate itself is DER wherever it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["certificate", "crl", "other"]

_SIGNED_DATA: Final = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
_PKCS7: Final = _SIGNED_DATA[:-1]
# id-data … id-encryptedData, as RFC 2315 14 numbers them.
_TYPES: Final = {
    1: "data",
    3: "enveloped data",
    4: "signed and enveloped data",
    5: "digested data",
    6: "encrypted data",
}
_CERTIFICATES, _LISTS = 0xA0, 0xA1
_SEQUENCE: Final = 0x30
# A layer within a layer of unknown length: a message in a message in a message has a few.
MAX_DEPTH: Final = 64


class Item(NamedTuple):
    """One thing in the bag: what it is, where it begins, its bytes."""

    kind: Kind
    at: int
    der: bytes


class _Element(NamedTuple):
    """One element: its tag, where it begins, where its content begins and ends, where the next element begins."""

    tag: int
    at: int
    start: int
    stop: int
    after: int


def content_type(data: bytes) -> str | None:
    """``signed data`` or another type of PKCS #7; None where the data is none."""
    try:
        outer = _element(data, 0, len(data))
    except ValueError:
        return None
    if outer.tag != _SEQUENCE or not data.startswith(_PKCS7, outer.start):
        return None
    number = data[outer.start + len(_PKCS7)] if outer.start + len(_PKCS7) < outer.stop else 0
    return "signed data" if number == 2 else _TYPES.get(number)


def items(data: bytes) -> Iterator[Item]:
    """The certificates and CRLs of a SignedData, in order; ValueError with a sentence where it is damaged."""
    try:
        outer = _element(data, 0, len(data))
        wrapped = _element(data, outer.start + len(_SIGNED_DATA), outer.stop)
        signed = _element(data, wrapped.start, wrapped.stop)
        for part in _elements(data, signed.start, signed.stop):
            if part.tag in (_CERTIFICATES, _LISTS):
                for each in _elements(data, part.start, part.stop):
                    plain = each.tag == _SEQUENCE
                    kind: Kind = ("certificate" if part.tag == _CERTIFICATES else "crl") if plain else "other"
                    yield Item(kind, each.at, data[each.at : each.after])
    except ValueError as error:
        raise ValueError(f"The PKCS #7 file is damaged: {error}.") from None


def _elements(data: bytes, start: int, stop: int) -> Iterator[_Element]:
    at = start
    while at < stop:
        found = _element(data, at, stop)
        yield found
        at = found.after


def _element(data: bytes, at: int, end: int) -> _Element:
    tag, start, length = _head(data, at, end)
    if length is not None:
        return _Element(tag, at, start, start + length, start + length)
    stop = _end_of_contents(data, start, end)
    return _Element(tag, at, start, stop, stop + 2)


def _head(data: bytes, at: int, end: int) -> tuple[int, int, int | None]:
    """Tag, start of the content and its length; None for an indefinite one."""
    if at + 2 > end:
        raise ValueError("it is cut off")
    tag, length, start = data[at], data[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise ValueError("a tag in it is none of PKCS #7")
    if length == 0x80:
        return tag, start, None
    if length > 0x80:
        octets = length & 0x7F
        if octets > 4 or start + octets > end:
            raise ValueError("a length in it is not DER")
        length, start = int.from_bytes(data[start : start + octets], "big"), start + octets
    if start + length > end:
        raise ValueError("it is cut off")
    return tag, start, length


def _end_of_contents(data: bytes, at: int, end: int) -> int:
    """Where the two NULs stand that end contents of indefinite length; in one pass, layers counted."""
    depth = 1
    while True:
        if data[at : at + 2] == b"\0\0":
            depth -= 1
            if not depth:
                return at
            at += 2
            continue
        _, start, length = _head(data, at, end)
        if length is None:
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"it has more than {MAX_DEPTH} layers")
        at = start + (length or 0)
