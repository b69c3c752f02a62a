"""zip archives: stored, Deflate and bzip2, also zip64; entries may not lie over each other.

The standard library's reader makes an object of each entry before it can be asked how many
there are, and reads one that lies over others. Here the directory is bounded and compared.
APPNOTE.TXT 6.3.10 describes the format.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from carecover.evidence.units import Buffer, Rejected
from carecover.evidence.unpacking import (
    Budget,
    Member,
    Stream,
    bounded,
    decompressor,
    inflated,
    shown_name,
    slices,
)

# The directory of a zip: some 130 bytes for a member.
MAX_DIRECTORY_BYTES: Final = 64 << 20
_NOT_THERE: Final = "The zip says that it lies where it does not: it is cut off or damaged. Hand in the file itself."
_ZIP_METHODS: Final = {
    1: "Shrink",
    6: "Implode",
    9: "Deflate64",
    14: "LZMA",
    93: "Zstandard",
    95: "xz",
    98: "PPMd",
    99: "AES encryption",
}
_END: Final = struct.Struct("<4s4H2LH")
_END64_AT: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_ENTRY: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_MAX_COMMENT: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a zip's directory; ``start`` is where its local header lies."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int


class _ZipError(Exception):
    """A sentence about a zip that cannot be read at all; never leaves this module."""


def zip_members(data: Buffer, budget: Budget, done: Callable[[int], None]) -> Iterator[Member | Rejected]:
    """The files of a zip in the order of its directory; a reject is about the archive itself."""
    try:
        entries, first, overlapping = _directory(data)
    except _ZipError as error:
        yield Rejected.of("byte 0", "open", str(error), data)
        return
    if any(entry.name == "[Content_Types].xml" for entry in entries):
        what = "This is an Office document (.docx, .xlsx …). Hand in what it was made from: the mails, or a csv."
        yield Rejected.of("byte 0", "open", what, data)
        return
    any_file = False
    for number, entry in enumerate(entries):
        if entry.name.endswith(("/", "\\")) and not entry.size:
            continue
        any_file = True
        if not budget.meet():
            return
        member = Member(shown_name(entry.name) or "a member without a name")
        start = first + entry.start
        begin = _content_at(data, start)
        if number in overlapping:
            member.refused = "It lies over other members, as in a zip that was made to fill memory: it is not read."
            member.content = Stream([bytes(data[max(0, start) : max(0, start) + _LOCAL.size])])
        elif (refused := _refusal(entry)) is not None or begin is None or begin + entry.packed > len(data):
            member.refused = refused or _NOT_THERE
            end = min(len(data), start + _LOCAL.size + entry.packed)
            member.content = Stream(slices(data, max(0, start), end, done))
        else:
            member.content = Stream(_zip_content(data, begin, entry, member, budget, done))
        yield member
        if budget.over:
            return
    if not any_file:
        yield Rejected.of("byte 0", "open", "The zip holds no file.", data)


def _refusal(entry: _Entry) -> str | None:
    if entry.flags & 0x41 or entry.method == 99:
        return "It is encrypted: carecover asks for no passwords. Unpack it and hand in its files."
    if entry.method not in (0, 8, 12):
        how = _ZIP_METHODS.get(entry.method, f"method {entry.method}")
        return f"It is compressed with {how}, which is not read. Unpack it and hand in its files."
    return None


def _directory(data: Buffer) -> tuple[list[_Entry], int, frozenset[int]]:
    """The entries, what stands before the archive (bytes), and which entries lie over each other."""
    at = data.rfind(b"PK\x05\x06", max(0, len(data) - _END.size - _MAX_COMMENT))
    if at < 0 or at + _END.size > len(data):
        raise _ZipError("The zip is cut off: its directory, at its end, is missing. Hand it in whole.")
    _, disk, first_disk, _, _, size, start, _ = _END.unpack(data[at : at + _END.size])
    end = at
    if disk not in (0, 0xFFFF) or first_disk not in (0, 0xFFFF):
        raise _ZipError("The zip is one part of several. Join them, or unpack them and hand in the files.")
    if data[max(0, at - _END64_AT.size) : at].startswith(b"PK\x06\x07"):
        end, size, start = _zip64(data, at)
    if size > MAX_DIRECTORY_BYTES:
        raise _ZipError(f"The zip has a directory of more than {MAX_DIRECTORY_BYTES} bytes. Unpack it.")
    first = end - size - start
    if first < 0:
        raise _ZipError("The zip's directory is not where it says: it is cut off or damaged. Hand it in whole.")
    entries = list(_entries(bytes(data[first + start : end])))
    return entries, first, _overlapping(entries)


def _zip64(data: Buffer, end: int) -> tuple[int, int, int]:
    """The same for a zip of more than 4 GiB or 65,535 members: end, size and start of the directory."""
    at = end - _END64_AT.size
    if at >= 0 and len(data[at:end]) == _END64_AT.size:
        _, _, place, _ = _END64_AT.unpack(data[at:end])
        # What stands before the archive moves the record, which has no other place than before its locator.
        place = place if data[place : place + 4] == b"PK\x06\x06" else data.rfind(b"PK\x06\x06", max(0, at - 4096), at)
        if 0 <= place <= at - _END64.size:
            _, _, _, _, _, _, _, _, size, start = _END64.unpack(data[place : place + _END64.size])
            return place, size, start
    raise _ZipError("The zip's directory is not where it says: it is cut off or damaged. Hand it in whole.")


def _entries(directory: bytes) -> Iterator[_Entry]:
    at = 0
    while at + _ENTRY.size <= len(directory) and directory[at : at + 4] == b"PK\x01\x02":
        fields = _ENTRY.unpack_from(directory, at)
        flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
        name_size, extra_size, comment_size, start = fields[10], fields[11], fields[12], fields[16]
        name = directory[at + _ENTRY.size : at + _ENTRY.size + name_size]
        at += _ENTRY.size + name_size
        if 0xFFFFFFFF in (packed, size, start):
            size, packed, start = _wide(directory[at : at + extra_size], size, packed, start)
        at += extra_size + comment_size
        # Bit 11 is UTF-8; Windows' own zips without it hold the OEM code page, of which ASCII is sure.
        yield _Entry(
            name.decode("utf-8" if flags & 0x800 else "cp437", "replace"), flags, method, crc, packed, size, start
        )
    if at != len(directory):
        raise _ZipError("The zip's directory is damaged, so what it holds is not known. Hand in its files.")


def _wide(extra: bytes, *narrow: int) -> list[int]:
    """Sizes and start, where they are too large for 32 bits, from the zip64 field."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 1:
            wide = iter(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            return [next(wide, value) if value == 0xFFFFFFFF else value for value in narrow]
        at += 4 + length
    return list(narrow)


def _overlapping(entries: list[_Entry]) -> frozenset[int]:
    """The numbers of entries that lie over another one: each lies alone in a zip that a program made."""
    order = sorted(range(len(entries)), key=lambda number: entries[number].start)
    over: set[int] = set()
    reach, last = -1, -1
    for number in order:
        entry = entries[number]
        if entry.start < reach:
            over |= {number, last}
        end = entry.start + _LOCAL.size + entry.packed
        if end > reach:
            reach, last = end, number
    return frozenset(over)


def _content_at(data: Buffer, start: int) -> int | None:
    header = data[start : start + _LOCAL.size] if start >= 0 else b""
    if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
        return None
    fields = _LOCAL.unpack(header)
    return start + _LOCAL.size + int(fields[9]) + int(fields[10])


def _zip_content(
    data: Buffer, begin: int, entry: _Entry, member: Member, budget: Budget, done: Callable[[int], None]
) -> Iterator[bytes]:
    """A member's bytes; at its end its length and checksum are compared with the directory's."""
    packed = slices(data, begin, begin + entry.packed, done)
    if entry.method == 0:
        pieces = bounded(Stream(packed), entry.packed, member, budget)
    else:
        pieces = inflated(decompressor("bzip2" if entry.method == 12 else "deflate"), packed, member, budget)
    crc = size = 0
    for piece in pieces:
        crc, size = zlib.crc32(piece, crc), size + len(piece)
        if size > entry.size:
            member.trouble = f"The zip says that it has {entry.size} bytes, and it has more: only those were read."
            if len(piece) > size - entry.size:
                yield piece[: len(piece) - (size - entry.size)]
            return
        yield piece
    if member.trouble is None and (crc, size) != (entry.crc, entry.size):
        member.trouble = "Its length or checksum is not what the zip says: it is damaged. What was read may be wrong."
