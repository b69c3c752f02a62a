"""Bytes that certutil or PowerShell wrote, as text: which encoding, and in bounded pieces.

A redirected certutil writes the console's OEM code page, ``-Unicode`` and Windows
PowerShell's ``>`` write UTF-16LE, PowerShell 7 writes UTF-8. Nothing in the file says so,
so the order is: BOM, NUL bytes, strict UTF-8, else code page 850 with a flag: the labels
come out wrong in other code pages, but they are matched against the file's own Schema
block, and everything that carecover acts on is ASCII.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import Final

from carecover.evidence.units import Buffer

_PIECE: Final = 4 * 1024 * 1024
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# A UTF-16 text of Latin letters has a NUL in nearly every second byte.
_SAMPLE: Final = 4096
_NUL_SHARE: Final = 0.2
OEM: Final = "cp850"
# Longer than any line of a certutil export but one that was made to be long.
MAX_LINE_CHARS: Final = 1024 * 1024


def told_encoding(data: Buffer) -> tuple[str, int]:
    """The encoding that the first bytes tell and the length of the BOM; UTF-8 where they tell none."""
    start = bytes(data[:_SAMPLE])
    for bom, name in _BOMS:
        if start.startswith(bom):
            return name, len(bom)
    if start:
        even, odd = start[0::2].count(0), start[1::2].count(0)
        if max(even, odd) > _NUL_SHARE * len(start) / 2:
            return ("utf-16-be" if even > odd else "utf-16-le"), 0
    return "utf-8", 0


def encoding_of(data: Buffer) -> tuple[str, int]:
    """The encoding of a text and the length of its BOM; ``cp850`` where it must be guessed."""
    encoding, skip = told_encoding(data)
    if skip or encoding != "utf-8":
        return encoding, skip
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        for at in range(0, len(data), _PIECE):
            decoder.decode(bytes(data[at : at + _PIECE]))
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return OEM, 0
    return "utf-8", 0


def head_text(head: bytes) -> str:
    """The start of a file as text, good enough to tell its kind; a cut character does no harm."""
    encoding, skip = encoding_of(head)
    if encoding == OEM:
        encoding = "utf-8"
    text = head[skip:].decode(encoding, "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def pieces(data: Buffer, encoding: str, skip: int) -> Iterator[tuple[str, int]]:
    """The text in pieces with LF line ends, each with the byte position that it ends at."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)("replace"), translate=True)
    for at in range(skip, len(data), _PIECE):
        end = min(at + _PIECE, len(data))
        yield decoder.decode(bytes(data[at:end])), end
    yield decoder.decode(b"", final=True), len(data)


def lines(data: Buffer, encoding: str, skip: int) -> Iterator[str]:
    """The text line by line, each with its LF; what is longer than ``MAX_LINE_CHARS`` comes in parts."""
    rest = ""
    for piece, _ in pieces(data, encoding, skip):
        rest += piece
        at = 0
        while (end := rest.find("\n", at, at + MAX_LINE_CHARS)) >= 0 or len(rest) - at >= MAX_LINE_CHARS:
            end = end + 1 if end >= 0 else at + MAX_LINE_CHARS
            yield rest[at:end]
            at = end
        rest = rest[at:]
    if rest:
        yield rest
