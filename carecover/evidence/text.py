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

import numpy as np
import pyarrow as pa

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
_FIRST_LOOK: Final = 64 * 1024


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
    return ("utf-8" if all(is_utf8(part) for part, _ in _parts(data, 0)) else OEM), 0


def is_utf8(data: bytes) -> bool:
    """True for well-formed UTF-8; Arrow looks at it many times as fast as a decoder makes text of it."""
    ends = pa.py_buffer(np.array([0, len(data)], np.int32))
    try:
        pa.StringArray.from_buffers(1, ends, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _parts(data: Buffer, at: int) -> Iterator[tuple[bytes, int]]:
    """Pieces of UTF-8 that end between characters, each with the byte position that it ends at."""
    while at < len(data):
        part = bytes(data[at : at + _PIECE])
        if at + len(part) < len(data):
            # What begins a character within the last four bytes may go on behind them.
            back = next((n for n in range(1, min(4, len(part) - 1) + 1) if not 0x80 <= part[-n] < 0xC0), 0)
            part = part[:-back] if back and part[-back] >= 0xC0 else part
        at += len(part)
        yield part, at


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


def utf8_pieces(data: Buffer, encoding: str, skip: int) -> Iterator[tuple[bytes, int]]:
    """The text as UTF-8 in pieces, each with the byte position that it ends at: what ``pieces`` gives, in bytes.

    Only that a line may also end in CR LF, which no piece parts: to take the CRs out of a file costs more than
    to find its lines.
    """
    held = b""
    for part, done in _encoded(data, encoding, skip):
        piece = held + part
        held = b"\r" if piece.endswith(b"\r") else b""
        piece = _without_lone_cr(piece[: len(piece) - len(held)])
        if piece:
            yield piece, done
    if held:
        yield b"\n", len(data)


def _encoded(data: Buffer, encoding: str, skip: int) -> Iterator[tuple[bytes, int]]:
    if encoding == "utf-8":
        for part, done in _parts(data, skip):
            # Behind a byte order mark nobody has looked yet.
            yield (part if not skip or is_utf8(part) else part.decode("utf-8", "replace").encode()), done
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for at in range(skip, len(data), _PIECE):
        end = min(at + _PIECE, len(data))
        yield decoder.decode(bytes(data[at:end])).encode(), end
    yield decoder.decode(b"", final=True).encode(), len(data)


def _without_lone_cr(piece: bytes) -> bytes:
    """A CR without an LF behind it ends a line, too; where there is one, all lines end in LF."""
    letters = np.frombuffer(piece, np.uint8)
    cr = np.flatnonzero(letters == ord("\r"))
    if not len(cr) or (cr[-1] + 1 < len(piece) and (letters[cr + 1] == ord("\n")).all()):
        return piece
    return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class Window:
    """A text as UTF-8 that slides by: what ``utf8_pieces`` gives, none of it empty, from where one is."""

    def __init__(self, pieces: Iterator[tuple[bytes, int]]) -> None:
        self._pieces = pieces
        self._text = b""
        self._at = 0
        self._passed = 0
        self.ended = False
        """Nothing follows what is ahead."""
        self.bytes_done = 0
        """How far the file was read."""

    @property
    def passed(self) -> int:
        """How many bytes of the text lie behind."""
        return self._passed + self._at

    def reach(self, size: int) -> int:
        """Make sure that so many bytes are ahead, or all that is left; how many are."""
        while len(self._text) - self._at < size and not self.ended:
            piece, done = next(self._pieces, (b"", self.bytes_done))
            self.ended = not piece
            self.bytes_done = done
            self._passed += self._at
            self._text = self._text[self._at :] + piece
            self._at = 0
        return len(self._text) - self._at

    def ahead(self) -> bytes:
        """All that was reached."""
        self._passed += self._at
        self._text = self._text[self._at :]
        self._at = 0
        return self._text

    def skip(self, size: int) -> None:
        """Go on by so many bytes."""
        self._at += size

    def text(self, size: int) -> str:
        """About so many bytes of text, with LF line ends, and no character or line end parted; "" at the end."""
        self.reach(min(size, 1))
        end = min(self._at + size, len(self._text))
        while end < len(self._text) and (0x80 <= self._text[end] < 0xC0 or self._text[end] == ord("\n")):
            end += 1
        part = self._text[self._at : end]
        self._at = end
        return part.decode("utf-8").replace("\r\n", "\n")

    def line(self) -> str | None:
        """The next line with its LF, or the first ``MAX_LINE_CHARS`` of a longer one; None at the end."""
        size = _FIRST_LOOK
        while (end := self._text.find(b"\n", self._at)) < 0 and not self.ended and size <= 4 * MAX_LINE_CHARS:
            size = 2 * max(self.reach(size), size)
        stop = len(self._text) if end < 0 else end + 1
        part = self._text[self._at : min(stop, self._at + 4 * MAX_LINE_CHARS)]
        text = part.decode("utf-8", "ignore").replace("\r\n", "\n")
        if len(text) > MAX_LINE_CHARS or self._at + len(part) < stop:
            text = text[:MAX_LINE_CHARS]
            stop = self._at + len(text.encode())
        self._at = stop
        return text or None


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
