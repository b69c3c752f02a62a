"""The driver: tells a file's kind, runs its reader, counts its units, builds the tables.

Only the driver opens files, counts and makes frames. A new format is one module and one
line in ``READERS``.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pandas as pd

from carecover.errors import PathError
from carecover.evidence import events, mail, ocsp, other, registry, view_csv, view_text, x509
from carecover.evidence.dates import DateReader
from carecover.evidence.tables import TableBuilder
from carecover.evidence.units import (
    Buffer,
    Context,
    Duplicate,
    Irrelevant,
    Parsed,
    Reader,
    Rejected,
    Row,
    Source,
)
from carecover.model import TABLES, Accounting, Reading

UNKNOWN: Final = "unknown"
_WITHOUT_ID: Final = {name for name, schema in TABLES.items() if "evidence_id" not in {c.name for c in schema.columns}}
NOTHING_KNOWN: Final = Context()
# Below this a file is simply read; above it is mapped, so that an archive need not fit into memory.
_MAP_FROM: Final = 16 * 1024 * 1024

# The first that recognises a file reads it. Mails come first: they may quote anything else.
READERS: Final[tuple[Reader, ...]] = (
    events.EVTX_READER,
    mail.MBOX_READER,
    mail.MAIL_READER,
    view_text.READER,
    view_csv.READER,
    events.XML_READER,
    x509.CERTIFICATE_READER,
    x509.CRL_READER,
    ocsp.READER,
    registry.FILE_READER,
    registry.TEXT_READER,
    other.CERTUTIL_READER,
)


def read_all(
    files: Iterable[tuple[str, Path]], context: Context = NOTHING_KNOWN
) -> tuple[dict[str, pd.DataFrame], list[tuple[str, str, Accounting]]]:
    """Read many small files at once; the tables have their evidence_id filled in.

    ``files`` are pairs of evidence_id and path; with the tables comes (evidence_id, kind,
    accounting) for each. Mails in many files are one mailbox: the order of day and month is
    inferred from all of them together. A view is another export each, and stands alone.
    Raises like ``read``.
    """
    shared, counted = _Tally(), []
    frames: dict[str, list[pd.DataFrame]] = {}
    for evidence_id, path in files:
        with _opened(path) as source:
            reader = _reader_of(source)
            alone = reader in (view_text.READER, view_csv.READER)
            tally = _Tally() if alone else shared
            before = tally.accounting()
            tally.evidence_id = evidence_id
            _read_into(tally, source, reader, before, lambda _position: None)
            kind = UNKNOWN if reader is None else reader.kind
            counted.append((evidence_id, kind, tally.accounting().since(before)))
            if alone:
                _collect(frames, tally.tables(DateReader(context)))
    _collect(frames, shared.tables(DateReader(context)))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in frames.items()}, counted


def read(
    path: Path, context: Context = NOTHING_KNOWN, *, progress: Callable[[int, int], None] | None = None
) -> Reading:
    """Read one file of evidence, whatever it is.

    ``progress`` is called with the bytes done and the bytes in all. Raises PathError where
    the path is missing, no file, or cannot be opened, and UsageError for an unknown time
    zone; whatever else is wrong with the file is counted and told in the table ``rejects``.
    """
    with _opened(path) as source:
        dates = DateReader(context)
        reader = _reader_of(source)
        tally = _Tally()

        def done(position: int) -> None:
            if progress is not None:
                progress(min(position, source.size), source.size)

        _read_into(tally, source, reader, tally.accounting(), done)
        kind = UNKNOWN if reader is None else reader.kind
        return Reading(kind, tally.tables(dates), tally.accounting())


def _read_into(
    tally: _Tally, source: Source, reader: Reader | None, before: Accounting, done: Callable[[int], None]
) -> None:
    if reader is None:
        tally.take(_untold(source))
        return
    for unit in reader.read(source, done):
        tally.take(unit)
    if tally.accounting() == before:
        tally.take(Irrelevant())


def _collect(frames: dict[str, list[pd.DataFrame]], tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        frames.setdefault(name, []).append(table)


def _reader_of(source: Source) -> Reader | None:
    if not source.size or other.is_container(source):
        return None
    return next((reader for reader in READERS if reader.recognises(source)), None)


def _untold(source: Source) -> Rejected:
    if not source.size:
        return Rejected.of("byte 0", "detect", "The file is empty.", source.data)
    reason = other.what_it_is(source) or (
        "The file is of no kind that carecover reads: no mail, certutil -view, certificate, CRL or event log."
    )
    return Rejected.of("byte 0", "detect", reason, source.data)


@contextmanager
def _opened(path: Path) -> Iterator[Source]:
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


class _Tally:
    """Counts units and collects rows; the one place that does."""

    def __init__(self) -> None:
        self._parsed = self._irrelevant = self._duplicate = self._rejected = 0
        self._tables: dict[str, TableBuilder] = {}
        self.evidence_id: str | None = None

    def take(self, unit: Parsed | Irrelevant | Duplicate | Rejected) -> None:
        match unit:
            case Parsed(rows, units, columns):
                self._parsed += units
                for table, row in rows:
                    self._add(table, row)
                for table, batch in columns:
                    self._tables.setdefault(table, TableBuilder(table)).add_columns(batch)
            case Irrelevant(units):
                self._irrelevant += units
            case Duplicate():
                self._duplicate += 1
            case Rejected(location, stage, reason, size, sha256):
                self._rejected += 1
                row = {"location": location, "stage": stage, "reason": reason, "size": size, "sha256": sha256}
                self._add("rejects", row)

    def _add(self, table: str, row: Row) -> None:
        if table not in self._tables:
            self._tables[table] = TableBuilder(table)
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
