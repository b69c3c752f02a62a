"""The serial numbers that evidence names, each with a number of its own, and the baseline's rows about them.

A database has millions of rows, and evidence speaks of few. What must be asked of every row is
asked of whole columns, by Arrow and numpy; rows become values of Python only where a finding
needs them. So the cost of a row that nothing speaks of is that of some passes over its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from carecover.analysis.numbering import Flags, Numbers, Texts, number

# So many rows at a time: what is made on the way stays in the cache, and small beside the tables.
_PIECE: Final = 1 << 18
# Slots for every request ID that is asked for, so that few others fall into one of theirs; and at most 32 MB of them.
_SPARSE: Final = 32
_MOST_BITS: Final = 25
_HEX: Final = b"0123456789abcdef"
_MAX_DIGITS: Final = 40


@dataclass(frozen=True)
class Named:
    """Serials by number, and the rows of the baseline that have one of them.

    Whatever is told of each number is an array with one element more, which stands for no serial
    at all: the number -1.
    """

    serials: pa.Array
    """Number → serial, each once."""
    at: Numbers
    """Where in the baseline the rows stand, ascending."""
    of: Numbers
    """The number of each of these rows' serials."""

    def __len__(self) -> int:
        return len(self.serials)

    def flags(self, numbers: Numbers) -> Flags:
        """Number → True where it is among these."""
        found = np.zeros(len(self) + 1, bool)
        found[numbers] = True
        found[-1] = False
        return found

    def first(self, which: Flags) -> Numbers:
        """Number → where its first row stands, of the rows (of ``at``) that are marked; -1 where there is none."""
        return self._stand(np.flatnonzero(which)[::-1])

    def last(self, which: Flags) -> Numbers:
        """As ``first``, the last row."""
        return self._stand(np.flatnonzero(which))

    def _stand(self, order: Numbers) -> Numbers:
        """What is assigned last stays."""
        found = np.full(len(self) + 1, -1)
        found[self.of[order]] = self.at[order]
        found[-1] = -1
        return found

    def texts(self, which: Flags) -> list[str]:
        """The serials of the numbers that are marked."""
        return self.serials.filter(pa.array(which[:-1])).to_pylist()  # type: ignore[no-any-return]

    def among(self, serials: Iterable[str]) -> Flags:
        """Number → True where its serial is one of these."""
        wanted = pa.array(list(serials), pa.large_string())
        return np.append(np.asarray(pc.is_in(self.serials, value_set=wanted), bool), np.False_)


def name(rows: pd.Series[Any], *columns: pd.Series[Any]) -> tuple[Named, list[Numbers]]:
    """Number the serials of these columns; with the rows of the baseline (their serials) that have one of them.

    Returns the numbers of each column's cells as well; -1 where a cell is NA.
    """
    chunks = [chunk for column in columns for chunk in _chunks(column)]
    numbering, numbers = number(pa.concat_arrays(chunks or [pa.array([], pa.large_string())]))
    at, of = numbering.find(_pieces(rows)) if len(numbering.serials) else (numbers[:0], numbers[:0])
    ends = np.cumsum([len(c) for c in columns])
    return Named(numbering.serials, at, of), np.split(numbers, ends[:-1])


def _chunks(column: pd.Series[Any]) -> list[pa.Array]:
    """What a text column is made of; nothing is copied."""
    found = pa.array(column.array, pa.large_string(), from_pandas=True)
    return found.chunks if isinstance(found, pa.ChunkedArray) else [found]


def _pieces(column: pd.Series[Any]) -> Iterator[tuple[int, pa.Array]]:
    """A text column piece by piece, with the place where each begins."""
    begin = 0
    for chunk in _chunks(column):
        for first in range(0, len(chunk), _PIECE):
            yield begin + first, chunk.slice(first, _PIECE)
        begin += len(chunk)


def canonical(serials: pd.Series[Any]) -> bool:
    """True where all that is not NA is canonical hex for certain (``SerialNumber.text``); False says nothing."""
    return all(_canonical(piece) for _, piece in _pieces(serials))


def _canonical(texts: pa.Array) -> bool:
    ends = Texts(texts).ends
    lengths = np.diff(ends)
    # NA takes no place; an empty text does neither and is no serial.
    if int((lengths == 0).sum()) != texts.null_count or (lengths % 2).any() or (lengths > _MAX_DIGITS).any():
        return False
    if ends[0] == ends[-1]:
        return True
    data = texts.buffers()[2].slice(ends[0], ends[-1] - ends[0])
    if data.to_pybytes().translate(None, _HEX):
        return False
    begins = ends[:-1][lengths > 0] - ends[0]
    digits = np.frombuffer(data, np.uint8)
    return not ((digits[begins] == ord("0")) & (digits[begins + 1] == ord("0"))).any()


def carried_ids(serials: pd.Series[Any]) -> Numbers:
    """The number in the last eight digits of each serial (canonical hex); -1 where it is shorter, or NA.

    It is the request ID in every layout of AD CS but the foreign ones ([MS-WCCE] 3.2.1.4.2.1.4.6).
    """
    found = [np.empty(0, np.int64)]
    for _, piece in _pieces(serials):
        texts = Texts(piece)
        letters = texts.tails().view(np.uint8).reshape(len(texts), -1).astype(np.int64)
        # Of a digit the low half of its byte is the value, of a letter (0x61 to 0x66) it is nine less.
        digits = (letters & 15) + 9 * (letters >> 6)
        found.append(np.where(texts.usable, digits @ (1 << np.arange(28, -4, -4)), -1))
    return np.concatenate(found)


def with_ids(column: pd.Series[Any], ids: Iterable[int] | npt.NDArray[np.int64]) -> Numbers:
    """Where the rows stand whose request ID (of ``column``) is one of these, ascending."""
    wanted = np.fromiter(ids, np.int64) if not isinstance(ids, np.ndarray) else ids
    mask = (1 << min((_SPARSE * len(wanted)).bit_length(), _MOST_BITS)) - 1
    slots = np.zeros(mask + 1, bool)
    slots[wanted & mask] = True
    where, which = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for first in range(0, len(column) if len(wanted) else 0, _PIECE):
        piece = column.iloc[first : first + _PIECE]
        values = piece.to_numpy(np.int64, na_value=0)
        may = np.flatnonzero(slots[values & mask] & piece.notna().to_numpy())
        where.append(first + may)
        which.append(values[may])
    return np.concatenate(where)[among_ids(np.concatenate(which), wanted)]


def among_ids(ids: Numbers, wanted: Numbers) -> Flags:
    """True for request IDs that are among these."""
    if not len(ids):
        return np.zeros(0, bool)
    # A mail can give any number. Those that are asked for lie close together, and a small table tells of them.
    return np.isin(ids, wanted[(wanted >= ids.min()) & (wanted <= ids.max())])


def picked(table: pd.DataFrame, at: Numbers) -> pd.DataFrame:
    """The rows in these places, which ascend; numbered anew.

    pandas would join the pieces of a text column first, and so copy all of it.
    """
    return pd.DataFrame({name: _picked(table[name], at) for name in table.columns}, index=pd.RangeIndex(len(at)))


def _picked(column: pd.Series[Any], at: Numbers) -> Any:  # noqa: ANN401 - an array of any of pandas' kinds
    if not isinstance(column.dtype, pd.StringDtype):
        return column.iloc[at].array
    chunks = _chunks(column)
    begins = np.cumsum([0, *map(len, chunks)])
    places = np.split(at, np.searchsorted(at, begins[1:-1]))
    taken = [
        chunk.take(pa.array(mine - begin))
        for chunk, mine, begin in zip(chunks, places, begins, strict=False)
        if len(mine)
    ]
    return pd.array(pa.chunked_array(taken, pa.large_string()), dtype=column.dtype)


def compared(column: pd.Series[Any], at: Numbers, others: pd.Series[Any]) -> tuple[Flags, Flags]:
    """Texts of ``others`` against that of the row in the place ``at`` (-1: no row): the same, and another.

    Neither where one of them is NA.
    """
    same, another = np.zeros(len(others), bool), np.zeros(len(others), bool)
    both = np.flatnonzero((at >= 0) & others.notna().to_numpy())
    both = both[np.argsort(at[both], kind="stable")]
    if len(both):
        equal = _picked(column, at[both]) == others.iloc[both].array
        same[both], another[both] = equal.fillna(False), ~equal.fillna(True)
    return same, another


def kept(table: pd.DataFrame, which: Sequence[bool] | Flags | pd.Series[bool]) -> pd.DataFrame:
    """The rows that are marked; the table itself where all are, for a copy of a million mails is not small."""
    marked = np.asarray(which, bool)
    return table if marked.all() else table[marked]
