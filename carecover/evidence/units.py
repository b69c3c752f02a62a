"""What a reader is handed and what it gives back.

A reader is one module with one ``Reader``: it says whether it recognises a file and then
yields units. It never counts, builds no frames and opens no files; the driver does.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timezone
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeAlias

from carecover.evidence.wording import Profile
from carecover.model import DateOrder

Buffer: TypeAlias = bytes | mmap.mmap
Row: TypeAlias = Mapping[str, object]
# Columns of equal length of one table, packed: Arrow arrays, for times int64 microseconds since 1970 (numpy).
ColumnBatch: TypeAlias = Mapping[str, Any]
Stage: TypeAlias = Literal["open", "detect", "split", "parse", "validate"]

# What the detector may look at: more than any header block or Schema block is long.
HEAD_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Context:
    """What people know about the evidence and no file says: the case's zone and date order.

    ``time_zone`` is an IANA name, such as ``Europe/Berlin``, in which printed times without
    a zone are read; ``date_order`` settles ``7/11/2026``. Both may be unknown. ``profiles`` are
    the wordings of this CA's mails, as far as they are known beside the built-in one.
    """

    time_zone: str | None = None
    date_order: DateOrder | None = None
    profiles: tuple[Profile, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """One file as bytes; ``head`` is its start, for the detector.

    ``labels`` are column titles (case folded) that views handed in beside it named, and the
    schema names that they stand for: a csv brings none.
    """

    path: Path
    data: Buffer
    head: bytes = field(repr=False)
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.data)

    @classmethod
    def of(cls, path: Path, data: Buffer) -> Source:
        """A source over bytes that somebody else keeps open."""
        return cls(path, data, bytes(data[:HEAD_BYTES]))


@dataclass(frozen=True, slots=True)
class PrintedTime:
    """A time as some program printed it: read only when the whole file has told its date order.

    ``fallback`` is a zone and ``order`` an order of day and month that the surrounding evidence
    suggests (a mail's Date header and its other dates).
    """

    text: str
    fallback: timezone | None = None
    order: DateOrder | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """Units that gave rows; ``rows`` are pairs of table name and row.

    Rows that belong to no unit of their own (the description of a view, the certificate that
    a mail carries) come with the unit's rows or with ``units=0``. ``columns`` are rows by the
    hundred thousand: pairs of table name and packed columns (a CRL's entries). Of units with
    the same ``key`` (the same mail in two folders of an archive) only the first counts, in
    all that is handed in as one file.
    """

    rows: tuple[tuple[str, Row], ...]
    units: int = 1
    columns: tuple[tuple[str, ColumnBatch], ...] = ()
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """Units that are none of carecover's business; ``key`` as in ``Parsed``."""

    units: int = 1
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A unit that this file has given before."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One unit that could not be used: where it is, why, and which bytes it was; ``key`` as in ``Parsed``."""

    location: str
    stage: Stage
    reason: str
    size: int
    sha256: str
    key: bytes | None = None

    @classmethod
    def of(cls, location: str, stage: Stage, reason: str, data: Buffer, key: bytes | None = None) -> Rejected:
        """A reject that hashes the unit's bytes itself."""
        return cls(location, stage, reason, len(data), hashlib.sha256(data).hexdigest(), key)


@dataclass(frozen=True, slots=True)
class Alike:
    """Notifications by the thousand, each a unit with a key as in ``Parsed``, and the other units between them.

    ``columns`` are those of the table, packed: a time is int64 microseconds, or texts as printed with what is known
    of each (zone and order, as in ``PrintedTime``), and parted where somebody has done that. ``between`` says of each
    other unit how many are before it.
    """

    keys: tuple[bytes, ...]
    columns: ColumnBatch
    between: tuple[tuple[int, Unit], ...] = ()


Unit: TypeAlias = "Parsed | Irrelevant | Duplicate | Rejected | Alike"


class RangeStore(Protocol):
    """Where what was read of a file's ranges is kept, so that a reading that was stopped goes on there."""

    def load(self, name: str) -> list[str] | None:
        """The lines kept under this name (``frozen``), or None where there are none."""

    def keep(self, name: str, lines: list[str]) -> None:
        """Keep lines; that they cannot be kept only costs the next reading time."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One kind of evidence: its name, how it is recognised, and how it is read.

    ``read`` is handed the source and a function to call with the bytes done so far.
    ``read_stream`` reads what does not fit into memory, piece by piece, where a kind can be
    read so; its units are those that ``read`` gives. ``cuts`` says where a large file can be cut
    into ranges of about so many bytes, and ``read_range`` reads one: the units of all ranges in
    their order are again those of ``read``. The views of one file are an export each,
    and so ``alone``: what order of day and month others have says nothing about them.
    """

    kind: str
    recognises: Callable[[Source], bool]
    read: Callable[[Source, Callable[[int], None]], Iterator[Unit]]
    read_stream: Callable[[Iterable[bytes]], Iterator[Unit]] | None = None
    alone: bool = False
    cuts: Callable[[Source, int], Iterator[int]] | None = None
    read_range: Callable[[Source, int, int], Iterator[Unit]] | None = None
