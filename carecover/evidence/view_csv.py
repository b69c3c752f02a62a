"""The csv form of ``certutil -view``: display names in the first line, one row a line.

No capture with data rows is public, so the exact quoting is unknown: numbers are accepted
with and without quotes, binary columns are sizes (``1657 Bytes``) and lost, line breaks may
stand inside quotes, and the status line at the end may be there or not. The columns must be
named by their English display names or their schema names, or by the command itself, whose
``-out`` gives their order (its line may stand above the header, as a console shows it), or by the
Schema block of a view in text that was handed in beside it. Other languages cannot be told from
a csv alone and are refused with the way out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carecover.evidence import ca_columns, crl_view, csv_runs
from carecover.evidence.arrow import Index
from carecover.evidence.ca_row import ENGLISH, NEEDED, ca_row
from carecover.evidence.text import OEM, Window, encoding_of, head_text, utf8_pieces
from carecover.evidence.units import Irrelevant, Parsed, Reader, Rejected, Source, Unit
from carecover.evidence.views import Extent, Table, columns_asked, is_command, restriction_of, table_of

# Prompts, dates and comments that stand before the header in real captures.
_LINES_BEFORE_HEADER: Final = 20
_ENOUGH: Final = 512
# How much text is looked at at once for rows that are read together, and how few rows are not worth it.
_PIECE: Final = 8 * 1024 * 1024
_WORTH: Final = 8
# The csv module's own limit for a field, 128 kB, is above every column of the CA database.
# Extensions and attributes name no certificate by themselves; they are known to be told apart.
_OTHERS: Final = {
    "Extension Request ID": "ExtensionRequestId",
    "Extension Name": "ExtensionName",
    "Extension Flags": "ExtensionFlags",
    "Extension Raw Value": "ExtensionRawValue",
    "Attribute Request ID": "AttributeRequestId",
    "Attribute Name": "AttributeName",
    "Attribute Value": "AttributeValue",
}
_FOLDED: Final = {
    spelling.casefold(): name
    for labels in (ENGLISH, crl_view.ENGLISH, _OTHERS)
    for label, name in labels.items()
    for spelling in (label, name)
}
_WANTED: Final = NEEDED | crl_view.NEEDED
# Numbers, dates and hashes: a word without a digit there is no value, in whatever language.
_WITH_DIGITS: Final = _WANTED - {"Request.RequesterName", "DistinguishedName", "CommonName", "CertificateTemplate"}
_TRAILER = re.compile(r"(?:(\d{1,9})\s+[^\W\d_]+|\S[^:]*:\s*\d{1,9})\s*")
_MAX_TRAILER: Final = 200
EXPORT_ADVICE: Final = (
    "Export as text (certutil -gmt -seconds -view -out ...), which names its own columns in any language."
)


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


@dataclass(frozen=True, slots=True)
class _Header:
    """The line of the header (from 0), its fields, and the schema names that they stand for."""

    number: int
    labels: list[str]
    names: list[str | None]


def _header(text: str, learnt: Mapping[str, str]) -> _Header | None:
    """The header: at least one known name among two fields or more, or as many fields as the command asked for.

    ``learnt`` are titles that a view in text named; all fields but a few must be among them.
    """
    asked: list[str] | None = None
    for number, line in enumerate(text.split("\n", _LINES_BEFORE_HEADER)[:_LINES_BEFORE_HEADER]):
        if is_command(line):
            asked = columns_asked(line) or asked
            continue
        fields = _fields(line)
        names = [_FOLDED.get(field.strip().casefold()) for field in fields]
        known = sum(name is not None for name in names)
        quoted = line.lstrip().startswith('"')
        if known and (len(fields) > 1 or quoted) and known * 2 >= len(fields):
            return _Header(number, fields, names)
        if quoted and asked is not None and len(fields) == len(asked) > 1:
            return _Header(number, fields, [_FOLDED.get(name.casefold()) for name in asked])
        names = [learnt.get(field.strip().casefold()) for field in fields]
        if len(fields) > 1 and sum(name is not None for name in names) * 2 > len(fields):
            return _Header(number, fields, names)
    return None


def _foreign_header(text: str) -> bool:
    """True for a csv of quoted names whose next line is a row of a CA database, in another language."""
    above = text.split("\n", _LINES_BEFORE_HEADER)
    first = [line for line in above if line.strip() and not is_command(line)][:2]
    if not first or not first[0].startswith('"'):
        return False
    fields = _fields(first[0])
    return len(fields) > 1 and any(
        " -- " in value or value.endswith(" Bytes") for value in _fields(first[1] if len(first) > 1 else "")
    )


def _recognises(source: Source) -> bool:
    text = head_text(source.head)
    return _header(text, source.labels) is not None or _foreign_header(text)


def waits_for_labels(source: Source) -> bool:
    """True for a csv whose titles a view in text, handed in beside it, may name."""
    if not head_text(source.head[:_ENOUGH]).lstrip().startswith('"'):
        return False
    text = head_text(source.head)
    return _header(text, {}) is None and _foreign_header(text)


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    header = _header(head_text(source.head), source.labels)
    if header is None:
        reason = (
            "This csv names its columns in a language that carecover cannot tell. Put the line of the command that "
            'made it above its first line (certutil ... -view -out "..." csv), or hand in a view as text with it, or: '
            f"{EXPORT_ADVICE}"
        )
        yield Rejected.of("line 1", "parse", reason, source.data)
        return
    encoding, skip = encoding_of(source.data)
    text = _Lines(Window(utf8_pieces(source.data, encoding, skip)))
    restriction = None
    for _ in range(header.number + 1):
        restriction = restriction_of(next(text)) or restriction
    rows = _Rows(header, restriction, ("encoding_guessed",) if encoding == OEM else ())
    rest = True
    while rest:
        yield from _quickly(text, rows, progress)
        rest = yield from _carefully(text, rows, source, progress)
    yield from rows.summary()


class _Lines:
    """The lines of a text, each with its LF, and the number of the next one."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.number = 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.window.line()
        if line is None:
            raise StopIteration
        self.number += 1
        return line


def _quickly(text: _Lines, rows: _Rows, progress: Callable[[int], None]) -> Iterator[Unit]:
    """The rows that are proved a piece at a time, up to the first record that is not proved to be one.

    While one piece is made columns, the records of the next one are looked for.
    """
    if rows.table != "requests":
        return
    with ThreadPoolExecutor(1) as aside:
        before: tuple[csv_runs.Records, int, Future[_Proved]] | None = None
        whole = True
        while whole and text.window.reach(_PIECE):
            records = csv_runs.records_of(text.window.ahead())
            whole = records.whole and len(records) > 0
            if len(records):
                text.window.skip(int(records.stop[-1]))
                number, text.number = text.number, text.number + records.lines
                found = aside.submit(_proved, rows.header, records)
                if before is not None:
                    yield from rows.together(before[0], before[1], *before[2].result())
                before = records, number, found
            progress(text.window.bytes_done)
        if before is not None:
            yield from rows.together(before[0], before[1], *before[2].result())


def _carefully(
    text: _Lines, rows: _Rows, source: Source, progress: Callable[[int], None]
) -> Generator[Unit, None, bool]:
    """The records that were looked at and not proved, by the csv module; whether there is more behind them."""
    until = text.window.passed + text.window.reach(1)
    reader = csv.reader(text)
    while text.window.passed < until or rows.table != "requests":
        number = text.number
        try:
            cells = next(reader)
        except StopIteration:
            return False
        except csv.Error as error:
            rows.rejected += 1
            reason = f"From here on the csv cannot be split into rows ({error}). {EXPORT_ADVICE}"
            yield Rejected.of(f"line {number}", "split", reason, source.data)
            return False
        yield from rows.take(number, cells)
        progress(text.window.bytes_done)
    return text.window.reach(1) > 0


_Proved: TypeAlias = tuple[Index, dict[str, pa.Array]]


@dataclass
class _Rows:
    """What the records of a csv are, one after the other, and what is known of all of them."""

    header: _Header
    restriction: str | None
    flags: tuple[str, ...]
    extent: Extent = field(default_factory=Extent)
    rejected: int = 0
    complete: bool | None = None
    claimed: int | None = None
    table: Table = field(init=False)

    def __post_init__(self) -> None:
        """Learn whose rows they are."""
        self.table = table_of(self.header.names)

    def take(self, number: int, cells: list[str]) -> Iterator[Unit]:
        """One record, which begins at the line of this number."""
        labels, names, location = self.header.labels, self.header.names, f"line {number}"
        if not cells or not any(cell.strip() for cell in cells):
            return
        first = cells[0].strip()
        if len(cells) < len(names) and first.casefold().startswith("certutil:"):
            self.complete = "0x8" not in first
            return
        if cells == labels or is_command(first):
            return
        if len(cells) == 1 < len(names) and (trailer := _TRAILER.fullmatch(first[:_MAX_TRAILER])):
            # "12 Rows"; "Maximum Row Index: 12" says the same once more.
            self.claimed = int(trailer[1]) if trailer[1] else self.claimed
            return
        if len(cells) != len(names):
            self.rejected += 1
            reason = f"The row has {len(cells)} columns, the header has {len(names)}. {EXPORT_ADVICE}"
            yield Rejected.of(location, "parse", reason, ",".join(cells).encode("utf-8", "replace"))
            return
        values = self._values(cells)
        if self.table != "requests":
            self.extent.rows += 1
            listed = (("crl_rows", crl_view.crl_row(values, location=location)),)
            yield Parsed(listed) if self.table == "crls" else Irrelevant()
            return
        read = ca_row(values, location=location, flags=self.flags)
        self.extent.met(read.get("request_id"), read.get("disposition"))
        yield Parsed((("ca_rows", read),))

    def together(
        self, records: csv_runs.Records, number: int, rows: Index, columns: Mapping[str, pa.Array]
    ) -> Iterator[Unit]:
        """Records that follow each other from the line of this number: what is proved as columns, others one by one."""
        at = 0
        # Few rows that are proved are not worth a batch of their own.
        edges = np.flatnonzero(np.diff(rows, prepend=-2, append=-2) != 1)
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if end - begin < _WORTH:
                continue
            for record in range(at, rows[begin]):
                yield from self.take(number + int(records.line[record]), records.parsed(record))
            at = int(rows[end - 1]) + 1
            batch = {name: column[begin:end] for name, column in columns.items()}
            self.extent.met_all(end - begin, batch.get("request_id"), batch.get("disposition"))
            for name in set(ca_columns.TIMES.values()) & batch.keys():
                batch[name] = (batch[name], np.zeros(end - begin, np.int64), [(None, None)])
            lines = pa.array(records.line[rows[begin:end]] + number).cast(pa.string())
            batch["location"] = pc.binary_join_element_wise("line ", lines, "")
            batch["flags"] = [self.flags] * (end - begin)
            yield Parsed((), units=end - begin, columns=(("ca_rows", batch),))
        for record in range(at, len(records)):
            yield from self.take(number + int(records.line[record]), records.parsed(record))

    def _values(self, cells: list[str]) -> dict[str, str | None]:
        """The columns of one row that are wanted; None where the row says that there is none.

        A name that really is a word for nothing cannot be told from an absent one in this form.
        """
        pairs = list(zip(self.header.names, cells, strict=True))
        absent = csv_runs.words_for_nothing(cell for name, cell in pairs if name in _WITH_DIGITS)
        return {name: None if cell.strip() in absent else cell for name, cell in pairs if name in _WANTED}

    def summary(self) -> Iterator[Unit]:
        """The row of ``views``."""
        extent, header = self.extent, self.header
        if extent.rows + self.rejected == 0:
            yield Irrelevant()
        if self.table != "requests":
            return
        short = self.claimed is not None and self.claimed != extent.rows
        view = {
            "location": f"line {header.number + 1}",
            "columns": [name or label for name, label in zip(header.names, header.labels, strict=True)],
            "rows": extent.rows,
            "rows_claimed": self.claimed,
            "complete": False if self.rejected or short else self.complete,
            "restriction": extent.restriction(self.restriction),
            "first_request_id": extent.first_id,
            "last_request_id": extent.last_id,
        }
        yield Parsed((("views", view),), units=0)


def _proved(header: _Header, records: csv_runs.Records) -> _Proved:
    """Which records are proved to be rows that are what they look like, and their columns."""
    wanted = [name for name in header.names if name in _WANTED]
    rows = np.flatnonzero(csv_runs.rows_of(records, header.labels))
    if len(rows) < _WORTH or len(set(wanted)) != len(wanted):
        return rows[:0], {}
    places = {name: place for place, name in enumerate(header.names) if name is not None and name in _WANTED}
    columns, sure = csv_runs.columns_of(records, rows, places, _WITH_DIGITS)
    if sure.all():
        return rows, columns
    return rows[sure], {name: column.filter(pa.array(sure)) for name, column in columns.items()}


READER: Final = Reader("view_csv", _recognises, _read, alone=True)
