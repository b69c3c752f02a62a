"""Rows → tables, a column at a time, so that a million rows of Python objects never exist.

Rows are packed into Arrow columns in batches as they come. Printed times stay text until
the whole file has been seen, because only then the order of day and month is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from carecover.evidence.dates import DateReader, Parted, parted
from carecover.evidence.units import ColumnBatch, PrintedTime, Row
from carecover.model import TABLES, Column, DateOrder, TableSchema

# Rows that are kept as Python objects before they are packed: some 40 MB of the widest table.
_BATCH: Final = 16_384
# Printed times that are read together.
_TOGETHER: Final = 128 * 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_Hint: TypeAlias = tuple[timezone | None, DateOrder | None]
_NO_HINT: Final[_Hint] = (None, None)
_NOT_A_TIME: Final = np.iinfo(np.int64).min


class TableBuilder:
    """Collects the rows of one table and gives its frame, in the schema of ``model.TABLES``."""

    def __init__(self, name: str) -> None:
        """Start an empty table of this name."""
        self._schema: TableSchema = TABLES[name]
        self._rows: list[Row] = []
        self._batches: list[dict[str, Any]] = []
        self._times: dict[str, list[_Times]] = {c.name: [] for c in self._schema.columns if c.kind == "time"}

    def add(self, row: Row) -> None:
        """Add one row; a column that the schema does not have is a fault of the reader (KeyError)."""
        self._rows.append(row)
        if len(self._rows) >= _BATCH:
            self._pack()

    def add_columns(self, columns: ColumnBatch, before: Sequence[int] | None = None) -> None:
        """Add a batch of rows as packed columns; a table that has bytes takes none, and lists but flags are empty.

        Rows that were added one by one since ``waiting`` was 0 come first; or each between the others, where
        ``before`` says how many of the batch are before it.
        """
        if not before:
            self._pack()
        length = len(next(iter(columns.values())))
        batch: dict[str, Any] = {}
        for column in self._schema.columns:
            packed = columns.get(column.name)
            if column.kind == "time":
                batch[column.name] = _Times.of(packed, length)
            elif column.kind == "list":
                # ``frame`` makes lists of its own of the flags.
                batch[column.name] = packed or [()] * length if column.name == "flags" else [[] for _ in range(length)]
            else:
                batch[column.name] = pa.nulls(length, _ARROW[column.kind]) if packed is None else packed
        if before:
            self._pack()
            single = self._batches.pop()
            order = np.argsort(np.concatenate([2 * np.array(before), 2 * np.arange(length) + 1]), kind="stable")
            batch = {name: _merged(single[name], packed, order) for name, packed in batch.items()}
        self._batches.append(batch)

    @property
    def waiting(self) -> int:
        """Rows that were added one by one and are not packed yet."""
        return len(self._rows)

    def pack(self) -> None:
        """Pack the rows that wait, so that none does."""
        if self._rows:
            self._pack()

    def _pack(self) -> None:
        known = {column.name for column in self._schema.columns}
        for row in self._rows:
            if not known.issuperset(row):
                raise KeyError(f"{self._schema.name} has no column {sorted(set(row) - known)}")
        self._batches.append(
            {c.name: _packed(c, [row.get(c.name) for row in self._rows]) for c in self._schema.columns}
        )
        self._rows = []

    def see_dates(self, dates: DateReader) -> None:
        """Show every printed time to the reader of dates."""
        for name in self._times:
            for part in self._joined(name):
                dates.see_all(part.printed, part.parted)

    def _joined(self, name: str) -> list[_Times]:
        """The batches of a time column, small ones made one: a shape or a day is looked at once in each."""
        self.pack()
        parts = [batch.pop(name) for batch in self._batches if name in batch]
        self._times[name] += _Times.joined(parts)
        return self._times[name]

    def frame(self, dates: DateReader) -> pd.DataFrame:
        """The table; printed times are read, and what is odd about them is added to ``flags``."""
        self.pack()
        length = sum(len(batch[self._schema.columns[0].name]) for batch in self._batches)
        flags: list[list[str]] | None = None
        if any(column.name == "flags" for column in self._schema.columns):
            flags = [list(cell) for batch in self._batches for cell in batch["flags"]]
        series: dict[str, Any] = {}
        for column in self._schema.columns:
            if column.name != "flags":
                series[column.name] = self._column(column, dates, flags)
        if flags is not None:
            series["flags"] = pd.Series(flags, dtype=object)
        names = [column.name for column in self._schema.columns]
        return pd.DataFrame(series, columns=names, index=pd.RangeIndex(length))

    def _column(self, column: Column, dates: DateReader, flags: list[list[str]] | None) -> Any:  # noqa: ANN401 - pandas and Arrow types have no common name
        if column.kind == "time":
            return _times(self._joined(column.name), dates, flags)
        parts = [batch[column.name] for batch in self._batches]
        if column.kind in ("list", "bytes"):
            return pd.Series([cell for part in parts for cell in part], dtype=object)
        chunks = pa.chunked_array(parts, type=_ARROW[column.kind])
        if column.kind == "text":
            return pd.Series(pd.array(chunks, dtype=pd.StringDtype("pyarrow")))
        missing = chunks.is_null().to_numpy()
        if column.kind == "flag":
            return pd.Series(pd.arrays.BooleanArray(chunks.fill_null(False).to_numpy(), missing))
        return pd.Series(pd.arrays.IntegerArray(chunks.fill_null(0).to_numpy(), missing))


_ARROW: Final = {"text": pa.string(), "integer": pa.int64(), "flag": pa.bool_()}


class _Times:
    """One batch of a time column: moments, and texts that are to be read."""

    def __init__(self, cells: Sequence[object]) -> None:
        self.moments = np.array(
            [_microseconds(c) if isinstance(c, datetime) else _NOT_A_TIME for c in cells], dtype=np.int64
        )
        self.printed = pa.array([c.text if isinstance(c, PrintedTime) else None for c in cells], pa.string())
        numbers: dict[_Hint, int] = {}
        hints = [(c.fallback, c.order) if isinstance(c, PrintedTime) else _NO_HINT for c in cells]
        self.hints: Any = np.array([numbers.setdefault(hint, len(numbers)) for hint in hints], dtype=np.int64)
        self.kinds: list[_Hint] = list(numbers)
        self._parted: Parted | None = None

    @classmethod
    def of(cls, moments: Any, length: int) -> _Times:  # noqa: ANN401 - numpy's and Arrow's types have no common name
        """A batch of moments in microseconds since 1970, or of texts as printed with their hints."""
        times = cls(())
        if isinstance(moments, tuple):
            times.printed, times.hints, times.kinds, *known = moments
            times._parted = known[0] if known else None
            times.moments = np.full(length, _NOT_A_TIME, dtype=np.int64)
            return times
        times.moments = np.full(length, _NOT_A_TIME, dtype=np.int64) if moments is None else moments.copy()
        times.printed = pa.nulls(length, pa.string())
        times.hints, times.kinds = np.zeros(length, dtype=np.int64), [_NO_HINT]
        return times

    @classmethod
    def joined(cls, parts: Sequence[_Times]) -> list[_Times]:
        """The same rows in as few batches as are not parted yet."""
        found: list[_Times] = []
        waiting: list[_Times] = []
        rows = 0
        for part in [*parts, None]:
            if waiting and (part is None or part._parted is not None or rows >= _TOGETHER):
                found.append(waiting[0] if len(waiting) == 1 else cls._of_all(waiting))
                waiting, rows = [], 0
            if part is not None:
                (waiting if part._parted is None else found).append(part)
                rows += len(part)
        return found

    @classmethod
    def _of_all(cls, parts: Sequence[_Times]) -> _Times:
        times = cls(())
        numbers: dict[_Hint, int] = {}
        hints = []
        for part in parts:
            known = np.array([numbers.setdefault(kind, len(numbers)) for kind in part.kinds], dtype=np.int64)
            hints.append(known[part.hints])
        times.moments = np.concatenate([part.moments for part in parts])
        times.printed = pa.concat_arrays([part.printed for part in parts])
        times.hints, times.kinds = np.concatenate(hints), list(numbers)
        return times

    @property
    def parted(self) -> Parted:
        """The printed texts, parted once."""
        if self._parted is None:
            self._parted = parted(self.printed)
        return self._parted

    def __len__(self) -> int:
        return len(self.moments)


def _packed(column: Column, cells: list[Any]) -> Any:  # noqa: ANN401 - pandas and Arrow types have no common name
    if column.kind == "time":
        return _Times(cells)
    if column.kind == "list":
        return [list(cell) if cell else [] for cell in cells]
    if column.kind == "bytes":
        return cells
    if column.kind == "text":
        return strings(cells)
    return pa.array(cells, _ARROW[column.kind])


def strings(cells: Sequence[str | None]) -> Any:  # noqa: ANN401 - Arrow's types have no common name
    """Texts packed; lone surrogates of damaged mails have no place in Arrow's UTF-8."""
    try:
        return pa.array(cells, pa.string())
    except UnicodeEncodeError:
        kept = [None if c is None else c if c.isascii() else c.encode("utf-8", "replace").decode() for c in cells]
        return pa.array(kept, pa.string())


def taken(columns: ColumnBatch, rows: Sequence[int]) -> dict[str, Any]:
    """Some rows of packed columns."""
    wanted = pa.array(rows, pa.int64())
    made: dict[str, Any] = {}
    for name, column in columns.items():
        if isinstance(column, tuple):
            made[name] = (column[0].take(wanted), column[1][np.array(rows)], column[2])
        else:
            made[name] = column[np.array(rows)] if isinstance(column, np.ndarray) else column.take(wanted)
    return made


def _merged(left: Any, right: Any, order: Any) -> Any:  # noqa: ANN401 - pandas and Arrow types have no common name
    """Two batches of a column as one, in an order."""
    if isinstance(left, list):
        both = [*left, *right]
        return [both[n] for n in order]
    if isinstance(left, _Times):
        times = _Times(())
        times.moments = np.concatenate([left.moments, right.moments])[order]
        times.printed = pa.concat_arrays([left.printed, right.printed]).take(pa.array(order))
        times.hints = np.concatenate([left.hints, right.hints + len(left.kinds)])[order]
        times.kinds = [*left.kinds, *right.kinds]
        return times
    return pa.concat_arrays([left, right]).take(pa.array(order))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _times(parts: list[_Times], dates: DateReader, flags: list[list[str]] | None) -> Any:  # noqa: ANN401 - pandas and Arrow types have no common name
    at = 0
    for part in parts:
        if part.printed.null_count < len(part):
            for place, odd in _read(part, dates):
                if flags is not None:
                    noted = flags[at + place]
                    noted.extend(flag for flag in odd if flag not in noted)
        at += len(part)
    told = np.concatenate([part.moments for part in parts]) if parts else np.array([], dtype=np.int64)
    return pd.Series(told.view("M8[us]")).dt.tz_localize(UTC)


def _read(part: _Times, dates: DateReader) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Read a batch's printed times, a day at a time; the rows of which something is odd, and what."""
    part.moments = part.moments.copy()
    hints, kinds = part.hints, part.kinds
    found = part.parted
    alone = found.others
    group, groups = pd.factorize(found.day * len(kinds) + hints[found.rows])
    starts = [dates.day(found.days[each // len(kinds)], *kinds[each % len(kinds)]) for each in groups.tolist()]
    part.moments[found.rows] = np.array([0 if s is None else s[0] for s in starts], np.int64)[group] + found.since
    for number, start in enumerate(starts):
        if start is None:
            alone += found.rows[group == number].tolist()
        elif start[1]:
            yield from ((row, start[1]) for row in found.rows[group == number].tolist())
    for row in alone:
        moment, odd = dates.read(PrintedTime(part.printed[row].as_py(), *kinds[hints[row]]))
        part.moments[row] = _NOT_A_TIME if moment is None else _microseconds(moment)
        if odd:
            yield row, odd
