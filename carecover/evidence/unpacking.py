"""What comes out of archives, whatever they are: streams of bytes, counted against a budget.

The standard library's own readers trust what an archive says about itself. Here what comes out
is counted against what went in, on all levels together, and names are only text: nothing is
ever written where a name points to.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from carecover.evidence.units import Buffer

# A mail in a zip in a mail's folder in a tar.gz has four; more was made to be deep.
MAX_DEPTH: Final = 5
# Of one file that is handed in, on all levels together: a mailbox of single mails has some 100,000.
MAX_MEMBERS: Final = 500_000
# What may come out of one file, all levels together: a large mailbox has some 50 GiB.
MAX_UNPACKED: Final = 64 << 30
# Text compresses to a tenth or twentieth, many like mails to a hundredth; Deflate ends at a thousandth.
MAX_RATIO: Final = 250
# So much may come out whatever went in: a small file has headers, not bombs.
RATIO_FREE: Final = 64 << 20
# What is held in memory at once of members that cannot be read piece by piece (mboxes can).
MAX_HELD: Final = 512 << 20
# A path of Windows has 32,767 characters; nobody reads so many.
MAX_SHOWN_NAME: Final = 160
_XZ_MEMORY: Final = 128 << 20
PIECE: Final = 1 << 20
CUT_OFF: Final = "It is cut off: what is there was read, and the rest is missing."


@dataclass(slots=True)
class Budget:
    """What may still come out of one file that was handed in; ``over`` says why nothing more may.

    ``packed`` is the file's own size, ``held`` what of its members is in memory now; ``told`` is
    true when somebody has been told that it is over.
    """

    packed: int
    unpacked: int = 0
    members: int = 0
    held: int = 0
    over: str | None = None
    told: bool = False

    def spend(self, size: int) -> bool:
        """Note that so many bytes came out; False where that is too much."""
        self.unpacked += size
        if self.over is None and self.unpacked > MAX_UNPACKED:
            self.over = f"More than {MAX_UNPACKED} bytes come out of the archive."
        if self.over is None and self.unpacked > RATIO_FREE + MAX_RATIO * self.packed:
            self.over = f"The archive grows to more than {MAX_RATIO} times its size: it was made to fill memory."
        return self.over is None

    def meet(self) -> bool:
        """Note one more member; False where that is too many."""
        self.members += 1
        if self.over is None and self.members > MAX_MEMBERS:
            self.over = f"The archive has more than {MAX_MEMBERS} members."
        return self.over is None


class Stream:
    """Bytes that come one after the other: read by pieces, and looked at before."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        """The next bytes without taking them; fewer than ``size`` only at the end."""
        if len(self._ahead) < size:
            parts, have = [self._ahead], len(self._ahead)
            while have < size and (piece := next(self._pieces, None)) is not None:
                parts.append(piece)
                have += len(piece)
            self._ahead = b"".join(parts)
        return self._ahead[:size]

    def take(self, size: int) -> bytes:
        """The next bytes; fewer than ``size`` only at the end."""
        taken = self.peek(size)
        self._ahead = self._ahead[len(taken) :]
        return taken

    def skip(self, size: int) -> int:
        """Pass over bytes; how many there were."""
        left = size
        while left and (piece := self.take(min(left, PIECE))):
            left -= len(piece)
        return size - left

    def __iter__(self) -> Iterator[bytes]:
        """Everything that is left, in pieces."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            yield ahead
        yield from self._pieces


@dataclass(slots=True)
class Member:
    """One file in an archive.

    ``content`` must be read before the next member is asked for; ``trouble`` says, when it has
    been read, what is wrong with it: that it is cut off, or that its checksum is another one.
    ``refused`` says why a member is not read at all; its content is then what the archive has of it.
    """

    name: str
    content: Stream = field(default_factory=lambda: Stream(()))
    trouble: str | None = None
    refused: str | None = None


def shown_name(name: str) -> str:
    """A member's name as text that can be shown anywhere: one line, what is no letter escaped, not too long.

    ``!`` stands between an archive and its member, so a name's own is escaped as well.
    """
    start = name[: MAX_SHOWN_NAME + 1]
    shown = "".join(c if c.isprintable() and c not in "\\!" else _escaped(c) for c in start)
    return shown if len(name) <= MAX_SHOWN_NAME else f"{shown[: MAX_SHOWN_NAME - 1]}…"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def slices(data: Buffer, start: int, end: int, done: Callable[[int], None]) -> Iterator[bytes]:
    """A part of a file in pieces; ``done`` is called with how far it was read."""
    for at in range(start, end, PIECE):
        done(min(end, at + PIECE))
        yield bytes(data[at : min(end, at + PIECE)])


class Decompressor(Protocol):
    """What bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflate:
    """zlib with the manners of bz2 and lzma."""

    def __init__(self, window: int) -> None:
        self._inner = zlib.decompressobj(window)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail and not self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def decompressor(kind: str) -> Decompressor:
    """For ``gzip``, ``bzip2``, ``xz`` or bare ``deflate``."""
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    if kind == "xz":
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    return _Inflate(31 if kind == "gzip" else -15)


def inflated(inner: Decompressor, stream: Iterator[bytes], member: Member, budget: Budget) -> Iterator[bytes]:
    """What one compressed stream gives, by pieces; trouble is noted on the member."""
    while True:
        data = b""
        if inner.needs_input:
            data = next(stream, b"")
        try:
            piece = inner.decompress(data, PIECE)
        except (zlib.error, OSError, lzma.LZMAError, ValueError, EOFError) as error:
            member.trouble = f"It is damaged ({error}): what stands before the damage was read, and the rest is lost."
            return
        if not budget.spend(len(piece)):
            member.trouble = f"{budget.over} Nothing more is read from it."
            return
        if piece:
            yield piece
        if inner.eof:
            return
        if not data and not piece and inner.needs_input:
            member.trouble = CUT_OFF
            return


def bounded(stream: Stream, size: int, member: Member, budget: Budget) -> Iterator[bytes]:
    """So many bytes of a stream as they are; trouble is noted on the member."""
    left = size
    while left:
        piece = stream.take(min(left, PIECE))
        if not piece:
            member.trouble = CUT_OFF
            return
        left -= len(piece)
        if not budget.spend(len(piece)):
            member.trouble = f"{budget.over} Nothing more is read from it."
            return
        yield piece
