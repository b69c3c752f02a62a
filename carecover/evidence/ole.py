"""Compound files ([MS-CFB], "OLE"): the small file system that an Outlook message is.

An own reader, because the common ones read every stream at once and follow the tree of
directories by recursion: here chains of sectors end after as many steps as a stream has
sectors, the tree is walked without recursion and no entry twice, and all that is read together
is no more than the file holds, however often its entries point to the same sectors.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from carecover.evidence.units import Buffer

MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# A message with a thousand attachments has some 40,000.
MAX_ENTRIES: Final = 200_000
_HEADER: Final = struct.Struct("<8s16s5H6x9L")
_ENTRY: Final = struct.Struct("<64sHBB3L36xLQ")
_NOTHING, _END = 0xFFFFFFFF, 0xFFFFFFFE
_STORAGE, _STREAM, _ROOT = 1, 2, 5


class OleError(Exception):
    """A sentence about a compound file that is damaged; never leaves the room."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stream or a storage (folder) in a compound file."""

    name: str
    is_stream: bool
    siblings: tuple[int, int]
    child: int
    start: int
    size: int


class CompoundFile:
    """Reads a compound file; raises OleError where it is damaged."""

    def __init__(self, data: Buffer) -> None:
        if len(data) < 512 or data[:8] != MAGIC:
            raise OleError("The file is cut off: its header is missing.")
        _, _, _, _, order, shift, mini_shift, _, fats, directory, _, self._cutoff, mini, minis, difat, difats = (
            _HEADER.unpack_from(data[: _HEADER.size])
        )
        if order != 0xFFFE or shift not in (9, 12) or mini_shift != 6:
            raise OleError("The file's header is damaged.")
        self._data, self._sector = data, 1 << shift
        # What may still be read of streams.
        self._left = len(data)
        self._fat = self._load_fat(fats, difat, difats)
        entries = self._chain(directory, min(MAX_ENTRIES * _ENTRY.size, len(data)), to_its_end=True)
        self._entries = list(self._parsed(entries, large=shift == 12))
        if not self._entries:
            raise OleError("The file's directory is missing: it is cut off or damaged.")
        self.root = self._entries[0]
        self._mini = _numbers(self._chain(mini, min(minis * self._sector, len(data))))
        self._mini_stream: bytes | None = None
        self._met: set[int] = set()

    def _load_fat(self, fats: int, difat: int, difats: int) -> array[int]:
        """The table of which sector follows which, from the sectors that the header and its chain name."""
        places = list(_numbers(self._data[76:512]))[: min(fats, 109)]
        for _ in range(min(difats, len(self._data) // self._sector)):
            block = self._at(difat)
            if len(block) < self._sector:
                break
            numbers = _numbers(block)
            places += numbers[:-1]
            difat = numbers[-1]
        table = array("I")
        for place in places[: min(fats, len(self._data) // self._sector + 1)]:
            table.extend(_numbers(self._at(place)))
        return table

    def _at(self, sector: int) -> bytes:
        start = (sector + 1) * self._sector
        return bytes(self._data[start : start + self._sector]) if sector < _NOTHING - 5 else b""

    def _chain(self, sector: int, size: int, *, to_its_end: bool = False) -> bytes:
        """Up to so many bytes of the chain that begins at a sector; fewer where it ends or leads nowhere.

        One whose size is not known goes ``to_its_end``, and must have one.
        """
        parts: list[bytes] = []
        for _ in range(-(-size // self._sector)):
            block = self._at(sector)
            if not block:
                break
            parts.append(block)
            sector = self._fat[sector] if sector < len(self._fat) else _NOTHING
        if to_its_end and sector != _END:
            raise OleError("The file's directory is cut off or damaged.")
        return b"".join(parts)[:size]

    def _parsed(self, directory: bytes, *, large: bool) -> Iterator[Entry]:
        for at in range(0, len(directory) - _ENTRY.size + 1, _ENTRY.size):
            name, length, kind, _, left, right, child, start, size = _ENTRY.unpack_from(directory, at)
            text = name[: max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
            child = child if kind in (_STORAGE, _ROOT) else _NOTHING
            # Small files have but 32 bits of a size, and anything in the others.
            yield Entry(text, kind == _STREAM, (left, right), child, start, size if large else size & 0xFFFFFFFF)

    def children(self, storage: Entry) -> dict[str, Entry]:
        """What is in a storage, by upper-case name; an entry that was met before is in none."""
        found: dict[str, Entry] = {}
        waiting = [storage.child]
        while waiting:
            number = waiting.pop()
            if number >= len(self._entries) or number in self._met:
                continue
            self._met.add(number)
            found.setdefault(self._entries[number].name.upper(), self._entries[number])
            waiting += self._entries[number].siblings
        return found

    def read(self, entry: Entry) -> bytes:
        """A stream's bytes; raises OleError where they are not all there."""
        size = min(entry.size, self._left)
        if size < entry.size:
            raise OleError("The file's streams lie over each other or are longer than the file: it is not read.")
        self._left -= size
        found = self._chain(entry.start, size) if size >= self._cutoff else self._small(entry.start, size)
        if len(found) < size:
            raise OleError(f"The file is cut off or damaged: its stream {entry.name!r} is not all there.")
        return found

    def _small(self, sector: int, size: int) -> bytes:
        """A stream of a few bytes, which lies with others like it in one stream."""
        if self._mini_stream is None:
            self._mini_stream = self._chain(self.root.start, min(self.root.size, len(self._data)))
        parts = []
        for _ in range(-(-size // 64)):
            parts.append(self._mini_stream[sector * 64 : sector * 64 + 64])
            if sector >= len(self._mini):
                break
            sector = self._mini[sector]
        return b"".join(parts)[:size]


def _numbers(data: bytes) -> array[int]:
    """Numbers of four bytes each, the lowest first."""
    numbers = array("I", data[: len(data) // 4 * 4])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
