"""The driver: tells a file's kind, runs its reader, counts its units, builds the tables.

Only the driver opens files, counts and makes frames. A new format is one module and one
line in ``READERS``. An archive is read as if its members had been handed in; where a row
comes from is then told as ``folder/inbox.mbox, byte 123``, and in an archive in an archive as
``mails.zip!inbox.mbox, byte 123``.

The module is long because who reads, what lies in what, and what is counted where are one matter.
"""

from __future__ import annotations

import gc
import hashlib
import io
import mmap
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from carecover.errors import PathError
from carecover.evidence import (
    archives,
    distant,
    dump,
    edb,
    event_text,
    events,
    frozen,
    ldif,
    mail,
    mbox,
    ocsp,
    other,
    profiles,
    pst,
    registry,
    unpacking,
    view_csv,
    view_text,
    x509,
)
from carecover.evidence.dates import DateReader
from carecover.evidence.tables import TableBuilder, taken
from carecover.evidence.units import (
    HEAD_BYTES,
    Alike,
    Buffer,
    ColumnBatch,
    Context,
    Duplicate,
    Irrelevant,
    Parsed,
    RangeStore,
    Reader,
    Rejected,
    Row,
    Source,
    Unit,
)
from carecover.evidence.wording import Profile
from carecover.model import TABLES, Accounting, Reading

UNKNOWN: Final = "unknown"
ARCHIVE: Final = "archive"
MAIL_KINDS: Final = ("mbox", "mail", "msg", "pst", ARCHIVE)
"""Kinds of evidence that may hold mails."""
_WITHOUT_ID: Final = {name for name, schema in TABLES.items() if "evidence_id" not in {c.name for c in schema.columns}}
_WITHOUT_PLACE: Final = {name for name, schema in TABLES.items() if "location" not in {c.name for c in schema.columns}}
_NO_PATH: Final = Path()
NOTHING_KNOWN: Final = Context()
# Below this a file is simply read; above it is mapped, so that an archive need not fit into memory.
_MAP_FROM: Final = 16 * 1024 * 1024

# Ranges of a mailbox that are read side by side; a few thousand notifications, or ten mails with films.
RANGE_BYTES: Final = 32 * 1024 * 1024
_RANGES_AHEAD: Final = 8
# So many more things than before, and the collector looks for cycles; Python's own figure is 700.
_OBJECTS: Final = 100_000
# A member of an archive above this is only held in memory where its start says what it is.
_HELD_UNSEEN: Final = 64 * 1024 * 1024
# What begins so is told by its whole: DER of more than 64 kB.
_TOLD_BY_THE_WHOLE: Final = (b"0\x83", b"0\x84")

# The first that recognises a file reads it. Mails come first: they may quote anything else.
READERS: Final[tuple[Reader, ...]] = (
    edb.READER,
    events.EVTX_READER,
    mbox.READER,
    mail.READER,
    mail.MSG_READER,
    pst.READER,
    events.XML_READER,
    view_text.READER,
    event_text.CSV_READER,
    view_csv.READER,
    event_text.READER,
    ldif.READER,
    ldif.CSVDE_READER,
    x509.CERTIFICATE_READER,
    x509.CRL_READER,
    ocsp.READER,
    registry.FILE_READER,
    registry.TEXT_READER,
    dump.HEX_READER,
    dump.READER,
    other.CERTUTIL_READER,
)


def read_all(
    files: Iterable[tuple[str, Path]], context: Context = NOTHING_KNOWN
) -> tuple[dict[str, pd.DataFrame], list[tuple[str, str, Accounting]]]:
    """Read many small files at once; the tables have their evidence_id filled in.

    ``files`` are pairs of evidence_id and path; with the tables comes (evidence_id, kind,
    accounting) for each. Mails in many files are one mailbox: the order of day and month is
    inferred from all of them together. A view is another export each, and stands alone; only
    the titles of a csv in another language are those that a view in text names.
    Raises like ``read``.
    """
    with profiles.using(context.profiles):
        return _read_all(files, context)


def _read_all(
    files: Iterable[tuple[str, Path]], context: Context
) -> tuple[dict[str, pd.DataFrame], list[tuple[str, str, Accounting]]]:
    gathered, labels = _Gathering(), dict[str, str]()
    counted: list[tuple[str, str, Accounting]] = []
    waiting: list[tuple[int, str, Path]] = []
    for place, (evidence_id, path) in enumerate(files):
        with opened(path) as source:
            if view_csv.waits_for_labels(source):
                waiting.append((place, evidence_id, path))
                continue
            counted.append((evidence_id, *gathered.take(source, evidence_id)))
            if counted[-1][1] == view_text.READER.kind:
                # Two exports may be of two languages; a title that both use for different columns names neither.
                for label, name in view_text.labels_of(source).items():
                    labels[label] = name if labels.get(label, name) == name else ""
    for place, evidence_id, path in waiting:
        with opened(path) as source:
            named = replace(source, labels={label: name for label, name in labels.items() if name})
            counted.insert(place, (evidence_id, *gathered.take(named, evidence_id)))
    return gathered.tables(DateReader(context), lambda: DateReader(context)), counted


def read(
    path: Path,
    context: Context = NOTHING_KNOWN,
    *,
    progress: Callable[[int, int], None] | None = None,
    executor: Executor | None = None,
    store: RangeStore | None = None,
) -> Reading:
    """Read one file of evidence, whatever it is.

    ``progress`` is called with the bytes done and the bytes in all; what it raises stops the
    reading. An ``executor`` of ``concurrent.futures`` (threads, processes or others that can open
    the path) reads the ranges of a large mailbox side by side; a range that its workers do not
    bring back (one died, it was shut down) is read here. Where they are on other machines it is a ``Distant`` one,
    and a range of which they found other bytes is read here, too. With a ``store`` of these bytes,
    ranges that were read before are not read again. The tables are those of one reading either
    way. Raises PathError where
    the path is missing, no file, or cannot be opened, and UsageError for an unknown time
    zone; whatever else is wrong with the file is counted and told in the table ``rejects``.
    """
    with opened(path) as source, profiles.using(context.profiles), _rarely_collected():
        dates = DateReader(context)
        gathered = _Gathering()

        def done(position: int) -> None:
            if progress is not None:
                progress(min(position, source.size), source.size)

        kind, accounting = gathered.take(source, None, done, _Ranges(executor, store))
        return Reading(kind, gathered.tables(dates, lambda: DateReader(context)), accounting)


def read_elsewhere(place: str, context: Context, sha256: str) -> Reading:
    """Read a whole file where this runs: on another machine, at a path or an fsspec address there.

    Raises PathError where the file there is not the one of this hash, and otherwise like ``read``.
    """
    if distant.is_address(place):
        with distant.fetched(place) as path:
            return read_elsewhere(str(path), context, sha256)
    with opened(Path(place)) as source:
        distant.check(place, source.data, sha256)
    return read(Path(place), context)


def kind_of(path: Path) -> str:
    """The kind of a file, by its content; raises PathError like ``read``."""
    with opened(path) as source:
        if archives.archive_kind(source.head) is not None:
            return ARCHIVE
        reader = _reader_of(source)
        return UNKNOWN if reader is None else reader.kind


def unexplained_mails(path: Path, known: tuple[Profile, ...], tell: Callable[[str, str, str, str], None]) -> None:
    """Tell subject, body, sender and place of every mail of a file that no wording explains; raises like ``read``."""
    with opened(path) as source, profiles.using(known, tell):
        _Gathering().take(source, None)


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Let the collector of cycles look around a hundred times less often: rows by the million are none."""
    often = gc.get_threshold()
    if often[0]:
        gc.set_threshold(max(often[0], _OBJECTS), *often[1:])
    try:
        yield
    finally:
        gc.set_threshold(*often)


def _nothing(_position: int) -> None:
    """Progress that nobody looks at."""


def _reader_of(source: Source) -> Reader | None:
    """The reader of a file that is no archive, or None where nobody reads it."""
    if not source.size or other.is_container(source):
        return None
    return next((reader for reader in READERS if reader.recognises(source)), None)


def _untold(source: Source) -> Unit:
    """What becomes of a file that nobody reads: a holiday's picture is none of our business, all else is looked at."""
    if other.is_no_evidence(source):
        return Irrelevant()
    if not source.size:
        return Rejected.of("byte 0", "detect", "The file is empty.", source.data)
    reason = other.what_it_is(source) or (
        "The file is of no kind that carecover reads: no mail, no view or file of a CA's database, no certificate, no "
        "CRL, no LDIF, registry export or event log."
    )
    return Rejected.of("byte 0", "detect", reason, source.data)


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """A file as a source, mapped where it is large; raises PathError where it cannot be opened."""
    if path.is_dir():
        raise PathError(f"{path} is a folder; name the files in it.")
    if path.exists() and not path.is_file():
        raise PathError(f"{path} is no regular file.")
    try:
        file = path.open("rb")
    except OSError as error:
        raise PathError(f"{path} cannot be opened: {error.strerror or error}.") from None
    with file:
        try:
            data: Buffer
            if path.stat().st_size < _MAP_FROM:
                yield Source.of(path, file.read())
                return
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise PathError(f"{path} cannot be read: {error.strerror or error}.") from None
        with data:
            yield Source.of(path, data)


class _Gathering:
    """What many files give, archives and all that is in them, as the tables of one reading."""

    def __init__(self) -> None:
        self._shared = _Tally()
        self._alone: list[_Tally] = []

    def take(
        self,
        source: Source,
        evidence_id: str | None,
        done: Callable[[int], None] = _nothing,
        ranges: _Ranges | None = None,
    ) -> tuple[str, Accounting]:
        """Read one file that was handed in: its kind, and what was counted."""
        return _OneFile(self._shared, self._alone, evidence_id, source.size, ranges or _Ranges()).read(source, done)

    def tables(self, dates: DateReader, others: Callable[[], DateReader]) -> dict[str, pd.DataFrame]:
        """The frames; each view has its own reader of dates from ``others``, all the rest shares ``dates``."""
        frames: dict[str, list[pd.DataFrame]] = {}
        for tally, reader in (*((each, others()) for each in self._alone), (self._shared, dates)):
            for name, table in tally.tables(reader).items():
                frames.setdefault(name, []).append(table)
        return {
            name: parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True) for name, parts in frames.items()
        }


class _Ranges:
    """How the ranges of a large file are read: by whom, and where what they give is kept."""

    def __init__(self, executor: Executor | None = None, store: RangeStore | None = None) -> None:
        self._executor, self._store = executor, store
        self._distant = executor if isinstance(executor, distant.Distant) else None

    def __bool__(self) -> bool:
        return self._executor is not None or self._store is not None

    def units(
        self,
        source: Source,
        reader: Reader,
        cuts: Callable[[Source, int], Iterator[int]],
        done: Callable[[int], None],
    ) -> Iterator[Unit]:
        """The units of a file in their order; with an executor a few ranges are read ahead."""
        number, known = READERS.index(reader), profiles.in_use().profiles
        ahead: deque[tuple[int, int, list[Unit] | Future[list[Unit]] | None]] = deque()
        limit = 1 if self._executor is None else _RANGES_AHEAD
        if self._distant is not None:
            limit = self._distant.at_once
        try:
            for start, end in pairwise((*cuts(source, RANGE_BYTES), source.size)):
                found: list[Unit] | Future[list[Unit]] | None = self._kept(reader, start, end)
                if found is None and self._executor is not None:
                    found = self._submitted(self._executor, source, number, start, end, known)
                ahead.append((start, end, found))
                if len(ahead) >= limit:
                    yield from self._first(ahead, source, reader, done)
            while ahead:
                yield from self._first(ahead, source, reader, done)
        finally:
            for _, _, future in ahead:
                if isinstance(future, Future):
                    future.cancel()

    def _submitted(
        self, executor: Executor, source: Source, reader: int, start: int, end: int, known: tuple[Profile, ...]
    ) -> Future[list[Unit]] | None:
        """A range that is being read elsewhere, or None where the executor takes nothing any more."""
        try:
            if self._distant is not None:
                place = self._distant.place_of(source.path)
                sha256 = hashlib.sha256(memoryview(source.data)[start:end]).hexdigest()
                return executor.submit(units_of_range, place, reader, start, end, known, sha256)
            return executor.submit(units_of_range, str(source.path), reader, start, end, known)
        except RuntimeError:
            # It was shut down, or a worker died and broke it (BrokenExecutor): the rest is read here.
            self._executor = None
            return None

    def _brought(self, found: Future[list[Unit]]) -> list[Unit] | None:
        """What a worker brought back, or None: whatever happened to it, the range is read here then."""
        if self._distant is not None:
            self._distant.wait_for(found)
        try:
            return found.result() if found.exception() is None else None
        except CancelledError:
            return None

    def _first(
        self,
        ahead: deque[tuple[int, int, list[Unit] | Future[list[Unit]] | None]],
        source: Source,
        reader: Reader,
        done: Callable[[int], None],
    ) -> Iterator[Unit]:
        start, end, found = ahead.popleft()
        if isinstance(found, list):
            units = found
        else:
            brought = None if found is None else self._brought(found)
            number = READERS.index(reader)
            units = units_of_range(str(source.path), number, start, end) if brought is None else brought
            if self._store is not None:
                self._store.keep(_range_name(reader, start, end), frozen.frozen(units))
        yield from units
        done(end)

    def _kept(self, reader: Reader, start: int, end: int) -> list[Unit] | None:
        lines = None if self._store is None else self._store.load(_range_name(reader, start, end))
        try:
            return None if lines is None else frozen.thawed(lines)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            # A cache is only a cache: whatever is wrong with it, the range is read again.
            return None


def _range_name(reader: Reader, start: int, end: int) -> str:
    """What a range's units are kept under; other wordings of notifications give other units."""
    known = hashlib.sha256(repr(profiles.in_use().profiles).encode("utf-8", "replace")).hexdigest()
    return f"{reader.kind}-{start}-{end}-{known[:12]}"


def units_of_range(
    path: str,
    reader: int,
    start: int,
    end: int,
    known: tuple[Profile, ...] | None = None,
    sha256: str | None = None,
) -> list[Unit]:
    """The units between two cuts of a file, by the reader of that number; irrelevant ones are counted together.

    ``known`` are the profiles that count, where that is not said already: another process does not know. On another
    machine ``path`` may be an fsspec address, and ``sha256`` is that of the bytes that are meant: raises PathError
    where others lie there.
    """
    read_range = READERS[reader].read_range
    if read_range is None:
        raise PathError(f"{path} is of a kind that is not read by ranges.")
    units: list[Unit] = []
    there = distant.fetched_range(path, start, end) if distant.is_address(path) else opened(Path(path))
    with there as source, profiles.using(profiles.in_use().profiles if known is None else known):
        if sha256 is not None:
            distant.check(path, source.data[start:end], sha256)
        for unit in read_range(source, start, end):
            last = units[-1] if units else None
            if isinstance(unit, Irrelevant) and isinstance(last, Irrelevant) and unit.key is None and last.key is None:
                units[-1] = Irrelevant(last.units + unit.units)
            else:
                units.append(unit)
    return units


class _OneFile:
    """One file that was handed in: it is counted as a whole, whatever archives lie in it."""

    def __init__(
        self, shared: _Tally, alone: list[_Tally], evidence_id: str | None, size: int, ranges: _Ranges
    ) -> None:
        self._ranges = ranges
        shared.evidence_id = evidence_id
        shared.keys = set()
        self._shared, self._alone = shared, alone
        self._before = shared.accounting()
        self._counted_alone = Accounting()
        self._budget = unpacking.Budget(size)
        self._seen: dict[bytes, int] = {}

    def read(self, source: Source, done: Callable[[int], None]) -> tuple[str, Accounting]:
        kind = self._source(source, "", 0, done)
        return kind, self._counted()

    def _counted(self) -> Accounting:
        return _together(self._shared.accounting().since(self._before), self._counted_alone)

    def _source(self, source: Source, place: str, depth: int, done: Callable[[int], None]) -> str:
        """Read a file, or a member that is in memory; ``place`` is where it is in what was handed in."""
        kind = archives.archive_kind(source.head)
        if kind is not None and depth < unpacking.MAX_DEPTH:
            before = self._counted()
            self._members(archives.members(source, kind, self._budget, done), place, depth)
            if self._counted() == before:
                self._tell(place, Rejected.of("byte 0", "open", f"The {kind} archive is empty.", source.data))
            return ARCHIVE
        if kind is not None:
            reason = (
                f"The archive lies in more than {unpacking.MAX_DEPTH} others: it was made to be deep, and is not read."
            )
            self._tell(place, Rejected.of("byte 0", "open", reason, source.data))
            return ARCHIVE
        reader = _reader_of(source)
        if reader is None:
            self._tell(place, _untold(source))
            return UNKNOWN
        units = reader.read(source, done)
        if self._ranges and not place and source.size > RANGE_BYTES and reader.cuts is not None:
            units = self._ranges.units(source, reader, reader.cuts, done)
        self._units(reader, units, place)
        return reader.kind

    def _units(self, reader: Reader, units: Iterable[Unit], place: str) -> None:
        tally = self._shared
        if reader.alone:
            tally = _Tally()
            tally.evidence_id = self._shared.evidence_id
            self._alone.append(tally)
        before = tally.accounting()
        tally.place = place
        for unit in units:
            tally.take(unit)
        if tally.accounting() == before:
            tally.take(Irrelevant())
        tally.place = ""
        if tally is not self._shared:
            self._counted_alone = _together(self._counted_alone, tally.accounting())

    def _tell(self, place: str, unit: Unit) -> None:
        self._shared.place = place
        self._shared.take(unit)
        self._shared.place = ""

    def _members(self, found: Iterator[unpacking.Member | Rejected], place: str, depth: int) -> None:
        names: dict[str, int] = {}
        where = place
        for member in found:
            if isinstance(member, Rejected):
                self._tell(place, member)
                continue
            number = names[member.name] = names.get(member.name, 0) + 1
            name = member.name if number == 1 else f"{member.name} #{number}"
            where = f"{place}!{name}" if place else name
            if member.refused is None:
                self._member(member, where, depth + 1)
            else:
                self._tell(where, _hashed("byte 0", member.refused, b"", member.content))
            if member.trouble is not None:
                self._tell(where, Rejected.of("its end", "open", member.trouble, b""))
        if self._budget.over is not None and not self._budget.told:
            self._budget.told = True
            reason = f"{self._budget.over} Nothing is read from what follows. Unpack it, and hand in what is wanted."
            self._tell(where, Rejected.of("its end", "open", reason, b""))

    def _member(self, member: unpacking.Member, place: str, depth: int) -> None:
        """Read a member in memory where it fits in; by its stream where it does not, or need not."""
        content = member.content
        head = content.peek(HEAD_BYTES)
        kind = archives.archive_kind(head)
        if kind not in (None, "zip") and depth < unpacking.MAX_DEPTH:
            before = self._counted()
            self._members(archives.stream_members(content, kind, self._budget), place, depth)
            if self._counted() == before:
                self._tell(place, Rejected.of("byte 0", "open", f"The {kind} archive is empty.", head))
            # Its checksum stands at its end.
            for _ in content:
                pass
            return
        with io.BytesIO() as spool:
            limit = min(_HELD_UNSEEN, unpacking.MAX_HELD - self._budget.held)
            reader = None
            for piece in content:
                if spool.tell() + len(piece) > limit:
                    reader = _reader_of(Source.of(_NO_PATH, head))
                    limit = unpacking.MAX_HELD - self._budget.held
                    wanted = kind is not None or reader is not None or head.startswith(_TOLD_BY_THE_WHOLE)
                    if (reader is not None and reader.read_stream) or not wanted or spool.tell() + len(piece) > limit:
                        self._large(reader, _chained(spool.getvalue(), piece, content), place, wanted=wanted)
                        return
                spool.write(piece)
            data = spool.getvalue()
        self._in_memory(data, place, depth)

    def _in_memory(self, data: bytes, place: str, depth: int) -> None:
        digest = hashlib.sha256(data).digest()
        if digest in self._seen:
            self._shared.take_again(self._seen[digest])
            return
        before = self._counted()
        self._budget.held += len(data)
        self._source(Source.of(_NO_PATH, data), place, depth, _nothing)
        self._budget.held -= len(data)
        self._seen[digest] = self._counted().since(before).units

    def _large(self, reader: Reader | None, pieces: Iterable[bytes], place: str, *, wanted: bool) -> None:
        """A member that is not held in memory: read by pieces, or told with its size and hash."""
        if reader is not None and reader.read_stream is not None:
            self._units(reader, reader.read_stream(pieces), place)
            return
        reason = "The member is of no kind that carecover reads."
        if wanted:
            reason = (
                f"The member has more than the {unpacking.MAX_HELD} bytes that are held in memory at once. Unpack it, "
                "and hand in the file itself."
            )
        self._tell(place, _hashed("byte 0", reason, b"", pieces))


def _together(left: Accounting, right: Accounting) -> Accounting:
    return Accounting(
        left.parsed + right.parsed,
        left.irrelevant + right.irrelevant,
        left.duplicate + right.duplicate,
        left.rejected + right.rejected,
    )


def _chained(start: bytes, piece: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield start
    del start
    yield piece
    yield from rest


def _hashed(location: str, reason: str, start: bytes, pieces: Iterable[bytes]) -> Rejected:
    """A reject of bytes that are never in memory together."""
    digest, size = hashlib.sha256(start), len(start)
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return Rejected(location, "open", reason, size, digest.hexdigest())


class _Tally:
    """Counts units and collects rows; the one place that does."""

    def __init__(self) -> None:
        self._parsed = self._irrelevant = self._duplicate = self._rejected = 0
        self._tables: dict[str, TableBuilder] = {}
        self.evidence_id: str | None = None
        self.place = ""
        self.keys: set[bytes] = set()

    def take(self, unit: Unit) -> None:
        if not isinstance(unit, Duplicate | Alike) and unit.key is not None:
            if unit.key in self.keys:
                self._duplicate += 1
                return
            self.keys.add(unit.key)
        match unit:
            case Parsed(rows, units, columns):
                self._parsed += units
                for table, row in rows:
                    self._add(table, row)
                for table, batch in columns:
                    # What has no place of its own (a CRL's entries) belongs to a row that has one.
                    packed = self._placed(batch) if "location" in batch else batch
                    self._tables.setdefault(table, TableBuilder(table)).add_columns(packed)
            case Irrelevant(units):
                self._irrelevant += units
            case Duplicate():
                self._duplicate += 1
            case Alike():
                self._take_alike(unit)
            case Rejected(location, stage, reason, size, sha256):
                self._rejected += 1
                row = {"location": location, "stage": stage, "reason": reason, "size": size, "sha256": sha256}
                self._add("rejects", row)

    def _take_alike(self, unit: Alike) -> None:
        """Notifications as columns, and what lies between them: each in its turn, for the first of a key counts."""
        table = self._tables.setdefault("notifications", TableBuilder("notifications"))
        table.pack()
        kept: list[int] = []
        before: list[int] = []
        at = 0
        for place, single in (*unit.between, (len(unit.keys), None)):
            kept += self._first_of_their_key(unit.keys, at, place)
            at = place
            if single is not None:
                had = table.waiting
                self.take(single)
                before += [len(kept)] * (table.waiting - had)
        self._parsed += len(kept)
        self._duplicate += len(unit.keys) - len(kept)
        if kept:
            columns = unit.columns if len(kept) == len(unit.keys) else taken(unit.columns, kept)
            table.add_columns(self._placed(columns), before)

    def _first_of_their_key(self, keys: Sequence[bytes], start: int, stop: int) -> Iterable[int]:
        """Which of some keys were not there before; mostly that is all of them."""
        some = keys[start:stop]
        new = set(some)
        if len(new) == len(some) and self.keys.isdisjoint(new):
            self.keys |= new
            return range(start, stop)
        kept: list[int] = []
        for number, key in enumerate(some, start):
            if key not in self.keys:
                self.keys.add(key)
                kept.append(number)
        return kept

    def _placed(self, columns: ColumnBatch) -> ColumnBatch:
        """The columns of rows that say where they are, with what was handed in before it."""
        if self.place:
            columns = {**columns, "location": pc.binary_join_element_wise(self.place, columns["location"], ", ")}
        if self.evidence_id is not None:
            columns = {**columns, "evidence_id": pa.repeat(self.evidence_id, len(columns["location"]))}
        return columns

    def take_again(self, units: int) -> None:
        """Count units that were there before, as a whole member."""
        self._duplicate += units

    def _add(self, table: str, row: Row) -> None:
        if table not in self._tables:
            self._tables[table] = TableBuilder(table)
        if self.place and table not in _WITHOUT_PLACE:
            row = {**row, "location": f"{self.place}, {row.get('location')}"}
        if self.evidence_id is not None and table not in _WITHOUT_ID:
            row = {**row, "evidence_id": self.evidence_id}
        self._tables[table].add(row)

    def accounting(self) -> Accounting:
        return Accounting(self._parsed, self._irrelevant, self._duplicate, self._rejected)

    def tables(self, dates: DateReader) -> dict[str, pd.DataFrame]:
        """The frames, in the order of the schemas; printed times are read now that all are known."""
        for builder in self._tables.values():
            builder.see_dates(dates)
        return {name: self._tables[name].frame(dates) for name in TABLES if name in self._tables}
