"""Archives and compressed files: what is in them, as streams, within limits, never on disk.

Read are zip, tar, gzip, bzip2 and xz, in each other to ``unpacking.MAX_DEPTH``. Every length is
checked against the bytes that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Final

from carecover.evidence.tars import is_tar, tar_members
from carecover.evidence.units import HEAD_BYTES, Rejected, Source
from carecover.evidence.unpacking import PIECE, Budget, Member, Stream, decompressor, inflated, shown_name, slices
from carecover.evidence.zips import zip_members

_COMPRESSED: Final = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}


def archive_kind(head: bytes) -> str | None:
    """``zip``, ``tar``, ``gzip``, ``bzip2`` or ``xz``, by the first bytes; None for anything else."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic) and (magic != b"BZh" or head[4:10] in (b"1AY&SY", b"\x17rE8P\x90")):
            return name
    return "tar" if is_tar(head) else None


def members(source: Source, kind: str, budget: Budget, done: Callable[[int], None]) -> Iterator[Member | Rejected]:
    """The files in an archive that is in memory or mapped, in their order.

    ``done`` is called with how far it has been read. A reject is about the archive itself: what
    follows its place in it cannot be read.
    """
    if kind == "zip":
        yield from zip_members(source.data, budget, done)
    else:
        yield from stream_members(Stream(slices(source.data, 0, source.size, done)), kind, budget)


def stream_members(stream: Stream, kind: str, budget: Budget) -> Iterator[Member | Rejected]:
    """The same for what comes one after the other: every kind but zip, whose directory is at its end."""
    if kind == "tar":
        yield from tar_members(stream, budget)
        return
    name = _gzip_name(stream.peek(HEAD_BYTES)) if kind == "gzip" else ""
    member = Member(shown_name(name) if name else "content")
    budget.meet()
    member.content = Stream(_decompressed(stream, kind, member, budget))
    yield member


def _decompressed(stream: Stream, kind: str, member: Member, budget: Budget) -> Iterator[bytes]:
    """A compressed file, which may be several one after the other (RFC 1952 2.2, and bzip2 and xz alike)."""
    magic = next(start for start, name in _COMPRESSED.items() if name == kind)
    while True:
        inner = decompressor(kind)
        yield from inflated(inner, iter(stream), member, budget)
        if member.trouble:
            return
        stream = Stream(_first(inner.unused_data, stream))
        # Padding to whole blocks, of tapes and of xz.
        while (ahead := stream.peek(PIECE)) and not ahead.strip(b"\0"):
            stream.take(PIECE)
        if not ahead:
            return
        if not ahead.lstrip(b"\0").startswith(magic):
            member.trouble = "Something else follows the compressed data: it was not read."
            return
        stream.skip(len(ahead) - len(ahead.lstrip(b"\0")))


def _first(start: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    if start:
        yield start
    yield from rest


def _gzip_name(head: bytes) -> str:
    """The file name in a gzip header (RFC 1952 2.3), or nothing."""
    flags = int.from_bytes(head[3:4], "little")
    if not flags & 8:
        return ""
    at = 10
    if flags & 4:
        at += 2 + int.from_bytes(head[at : at + 2], "little")
    end = head.find(b"\0", at)
    return PurePosixPath(head[at:end].decode("latin-1")).name if end > at else ""
