"""tar archives as streams: v7, ustar, GNU and pax; only regular files are read.

The standard library's reader goes into itself for each header before a member, and holds what
they say; here both are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from carecover.evidence.units import Rejected
from carecover.evidence.unpacking import Budget, Member, Stream, bounded, shown_name

# Long names and pax headers of a tar.
MAX_NOTE: Final = 64 * 1024
_NOTES_IN_A_ROW: Final = 8
_BLOCK: Final = 512


def is_tar(head: bytes) -> bool:
    """True for a header block whose checksum is right (POSIX ustar; v7 has no magic)."""
    return len(head) >= _BLOCK and head[0] != 0 and _checksum_is_right(head[:_BLOCK])


def _checksum_is_right(block: bytes) -> bool:
    stated = _number(block[148:156])
    body = block[:148] + b" " * 8 + block[156:]
    return stated is not None and stated in (sum(body), sum(body) - 256 * sum(byte > 127 for byte in body))


def _number(digits: bytes) -> int | None:
    """A number of a tar header: octal digits, or GNU's base 256."""
    if digits[:1] == b"\x80":
        return int.from_bytes(digits[1:], "big")
    text = digits.strip(b" \0")
    try:
        return int(text or b"0", 8)
    except ValueError:
        return None


@dataclass(slots=True)
class _Notes:
    """What the headers before a member say about it: GNU's long name, pax path and size."""

    name: bytes | None = None
    size: int | None = None
    sparse: bool = False
    count: int = 0


def tar_members(stream: Stream, budget: Budget) -> Iterator[Member | Rejected]:
    """The files of a tar; a reject is about the archive itself."""
    at, notes, any_file = 0, _Notes(), False
    # Two blocks of zeros end a tar; one is taken for it as well.
    while (block := stream.take(_BLOCK)).strip(b"\0"):
        if len(block) < _BLOCK or not _checksum_is_right(block):
            what = "The tar is cut off or damaged here: what follows cannot be read. Hand in its files."
            yield Rejected.of(f"byte {at}", "open", what, block)
            return
        kind, size = block[156:157], _number(block[124:136])
        if size is None:
            yield Rejected.of(f"byte {at}", "open", "The tar gives a member no size: what follows is lost.", block)
            return
        at += _BLOCK
        if kind in (b"L", b"K", b"x", b"g"):
            at += _padded(size)
            if size > MAX_NOTE or notes.count >= _NOTES_IN_A_ROW:
                what = "The tar has a header that is longer than any name: what follows is not read."
                yield Rejected.of(f"byte {at}", "open", what, block)
                return
            _note(notes, kind, stream.take(_padded(size))[:size])
            continue
        size = size if notes.size is None else notes.size
        name = _name(block, notes)
        if kind in (b"0", b"\0", b"7") and not name.endswith("/"):
            any_file = True
            if not budget.meet():
                return
            member = Member(name)
            if notes.sparse:
                member.refused = "A sparse file in a tar is not read. Hand in the file itself."
            member.content = Stream(bounded(stream, size, member, budget))
            yield member
            for _ in member.content:
                pass
            if member.trouble or budget.over:
                return
        elif kind in (b"1", b"2", b"3", b"4", b"6"):
            any_file = True
            yield Member(name, Stream([block]), refused="A link, pipe or device in a tar is no file: nothing is read.")
            size = 0
        elif kind == b"S":
            any_file = True
            what = "A sparse file in a tar is not read, nor what follows it. Hand in its files."
            yield Member(name, Stream([block]), refused=what)
            return
        if kind not in (b"0", b"\0", b"7") or name.endswith("/"):
            stream.skip(size)
        stream.skip(_padded(size) - size)
        at += _padded(size)
        notes = _Notes()
    if not any_file:
        yield Rejected.of("byte 0", "open", "The tar holds no file.", b"")
    if not block:
        what = "The tar ends without its end mark: it may be cut off, and then members are missing. Hand it in whole."
        yield Rejected.of(f"byte {at}", "open", what, b"")
    if any(piece.strip(b"\0") for piece in stream):
        what = "Something follows the end of the tar: it was not read. Unpack it, or hand in its files."
        yield Rejected.of(f"byte {at}", "open", what, b"")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _note(notes: _Notes, kind: bytes, data: bytes) -> None:
    """Take in a header that describes the next member; one that describes all of them is passed over."""
    notes.count += 1
    if kind == b"L":
        notes.name = data.rstrip(b"\0")
    if kind != b"x":
        return
    while data:
        # "27 path=folder/file\n", its own length first.
        length, _, rest = data.partition(b" ")
        if not length.isdigit() or len(length) > 9 or int(length) <= len(length) + 1:
            return
        keyword, _, value = rest[: int(length) - len(length) - 2].partition(b"=")
        if keyword == b"path":
            notes.name = value
        elif keyword == b"size" and value.isdigit() and len(value) < 20:
            notes.size = int(value)
        elif keyword.startswith(b"GNU.sparse."):
            notes.sparse = True
        data = data[int(length) :]


def _name(block: bytes, notes: _Notes) -> str:
    name = notes.name
    if name is None:
        name = block[:100].partition(b"\0")[0]
        prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
        name = prefix + b"/" + name if prefix else name
    return shown_name(name.decode("utf-8", "replace")) or "a member without a name"
