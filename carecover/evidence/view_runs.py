"""Many rows of ``certutil -view`` text at once: the way through an export of a million rows.

A piece of text is looked at as bytes: where its lines end, which of them head a row, and
whether between two heads stand the columns of the Schema block, each once, in order, each
value closed where the careful way (``view_text``) closes it. Rows for which all that is
proved come as columns; every other row is left to the careful way, in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carecover.evidence import ca_columns
from carecover.evidence.arrow import Index, Letters, Octets, Sure, strings
from carecover.evidence.ca_columns import EMPTY, QUOTED, REPEATED, TIMES, Cells
from carecover.evidence.view_cells import NAMED, cell

# Values and rows beyond these are for the careful way, which has limits of its own.
_MAX_VALUE: Final = 64 * 1024
_MAX_LINES: Final = 600
# Below this a run costs more than its rows one by one.
_WORTH: Final = 8
_QUOTE, _NEWLINE, _CR, _BLANK, _COLON, _ZERO = b'"\n\r :0'
_ALNUM: Final = np.zeros(256, bool)
_ALNUM[[*range(48, 58), *range(65, 91), *range(97, 123)]] = True
# Where a quoted value with a name behind it is closed: a quote, what has none, and a blank before the name.
_ONE_LINE: Final = r'^(?:[^"].*|"[^"]*"(?: [^" ][^"]*)?)$'


@dataclass(frozen=True, slots=True)
class Run:
    """Rows that follow each other: columns of ``ca_rows``, the number of the first, where they end (bytes), lines."""

    columns: Mapping[str, Any]
    first: int
    rows: int
    stop: int
    lines: int


class _Lines:
    """The lines of a piece of text that end in it: where they begin, and where they end before CR and LF."""

    def __init__(self, letters: Letters, size: int) -> None:
        self._octets = letters.octets
        breaks = np.flatnonzero(letters.octets[:size] == _NEWLINE)
        self.start: Index = np.concatenate([[0], breaks + 1])
        """One more than there are lines."""
        self.end: Index = breaks - (letters.octets[np.maximum(breaks, 1) - 1] == _CR)
        self._closing: Index | None = None
        self._odd: Index | None = None

    def __len__(self) -> int:
        return len(self.end)

    def last(self, lines: Index) -> Octets:
        """The last letter of each line; of an empty one whatever is before it."""
        found: Octets = self._octets[np.maximum(self.end[lines], 1) - 1]
        return found

    def closing(self) -> tuple[Index, Index]:
        """The lines that end in a quote, and how many lines before each one end in what may be a blank."""
        if self._closing is None or self._odd is None:
            last = self.last(np.arange(len(self)))
            there = self.start[:-1] != self.end
            self._closing = np.flatnonzero((last == _QUOTE) & there)
            self._odd = np.concatenate([[0], np.cumsum(there & ((last <= _BLANK) | (last >= 0x80)))])
        return self._closing, self._odd


class Runs:
    """The runs of a piece of text that begins with the head of a row; ``head`` is what stands before the number."""

    def __init__(
        self, data: bytes, line: int, head: str, columns: Sequence[tuple[str, str]], wanted: frozenset[str]
    ) -> None:
        """``data`` is UTF-8; ``columns`` are schema names and labels; ``line`` is the number of the first line."""
        self._letters = Letters(data)
        self._lines = _Lines(self._letters, len(data))
        self._line, self._wanted = line, wanted
        self._quotes: Index | None = None
        self._rows(head.encode("utf-8", "replace"), columns)
        ready = int(self._good.sum()) >= _WORTH
        self.until = line + (int(self._heads[-1]) if ready else len(self._lines))
        """The number of the line up to which nothing more is to be found than is known here."""
        self._columns: dict[str, Any] = self._packed() if ready else {}
        if not ready:
            self._good[:] = False
        self._place = np.cumsum(self._good) - self._good
        self._stops: Index = np.flatnonzero(~self._good)

    def beginning(self, line: int) -> Run | None:
        """The run that begins at this line, if one does that is worth it."""
        row = int(np.searchsorted(self._heads, line - self._line))
        if row == len(self._heads) or self._heads[row] != line - self._line or not self._good[row]:
            return None
        stop = int(self._stops[np.searchsorted(self._stops, row)])
        if stop - row < _WORTH:
            return None
        at, count = int(self._place[row]), stop - row
        packed = {name: column[at : at + count] for name, column in self._columns.items()}
        for name in set(TIMES.values()) & packed.keys():
            packed[name] = (packed[name], np.zeros(count, np.int64), [(None, None)])
        return Run(
            packed,
            int(self._numbers[row]),
            count,
            int(self._lines.start[self._heads[stop]]),
            int(self._heads[stop] - self._heads[row]),
        )

    # ---------------------------------------------------------------------------- which rows are proved

    def _rows(self, head: bytes, columns: Sequence[tuple[str, str]]) -> None:
        letters, starts, ends, octets = self._letters, self._lines.start, self._lines.end, self._letters.octets
        maybe = np.flatnonzero(octets[starts[:-1]] == head[0])
        before = np.maximum(maybe, 1) - 1
        maybe = maybe[(maybe == 0) | (starts[before] == ends[before])]
        heads = maybe[letters.begins(starts[maybe], head)]
        begin, end = starts[heads] + len(head), ends[heads] - 1
        number, whole = ca_columns.decimals(letters, begin, end)
        whole &= (end - begin <= 9) & (octets[np.maximum(end, 0)] == _COLON) & (octets[begin] != _ZERO)
        self._heads, self._numbers = heads, number
        self._good = np.zeros(len(heads), bool)
        self._cells: dict[str, tuple[Index, Index, Sure, Sure]] = {}
        if len(heads) < _WORTH:
            return
        good = whole.copy()
        good[:-1] &= whole[1:] & (number[1:] == number[:-1] + 1)
        good[-1] = False
        following = np.concatenate([heads[1:], heads[-1:]])
        good &= following - heads <= _MAX_LINES
        pos = heads + 1
        for column, (name, label) in enumerate(columns):
            good &= pos < following - 1
            # A row that is not good any more is looked at where it does no harm.
            pos = np.where(good, pos, heads)
            word = f"  {label}: ".encode()
            start, end = starts[pos], ends[pos]
            begin = start + len(word)
            good &= letters.begins(start, word) & (begin < end)
            if column == 0:
                # The careful way knows a head by the label below it.
                good[:-1] &= letters.begins(starts[heads + 1], word)[1:]
            begin = np.minimum(begin, end)
            first, last = octets[begin], octets[np.maximum(end, 1) - 1]
            quoted = first == _QUOTE
            closed = quoted & (last == _QUOTE) & (end - begin > 1)
            if name in NAMED:
                good &= closed | ~quoted | (name in self._wanted)
                closed |= quoted
            good &= quoted | _ALNUM[first]
            several = np.flatnonzero(good & quoted & ~closed)
            more = np.zeros(len(heads), bool)
            pos = pos + 1
            if len(several):
                more[several] = True
                self._several(several, following, begin, end, pos, good)
            good &= end - begin <= _MAX_VALUE
            if name in self._wanted and name != "RawCertificate":
                self._cells[name] = (begin, end, quoted, more)
        good &= (pos == following - 1) & (starts[following - 1] == ends[following - 1])
        self._good = good

    def _several(self, rows: Index, following: Index, begin: Index, end: Index, pos: Index, good: Sure) -> None:
        """Where values of several lines end, and which line is behind them; those that are not proved are not good."""
        lines = self._lines
        closing, odd = lines.closing()
        if self._quotes is None:
            self._quotes = np.flatnonzero(self._letters.octets == _QUOTE)
        place = np.searchsorted(closing, pos[rows])
        close = closing[np.minimum(place, len(closing) - 1)] if len(closing) else pos[rows]
        fits = (place < len(closing)) & (close < following[rows] - 1)
        fits &= odd[close] == odd[pos[rows] - 1]
        fits &= np.searchsorted(self._quotes, end[rows]) - np.searchsorted(self._quotes, begin[rows]) == 1
        good[rows[~fits]] = False
        end[rows] = np.where(fits, lines.end[close], end[rows])
        pos[rows] = np.where(fits, close + 1, pos[rows])

    # -------------------------------------------------------------------------------------- their columns

    def _packed(self) -> dict[str, Any]:
        """The columns of the rows that are proved; a cell that is not takes its row out of them."""
        where = np.flatnonzero(self._good)
        sure = np.ones(len(where), bool)
        cells: dict[str, Cells] = {}
        for name, (begins, ends, all_quoted, all_more) in self._cells.items():
            begin, end, quoted, more = begins[where], ends[where], all_quoted[where], all_more[where]
            there = np.ones(len(where), bool)
            if name in QUOTED:
                begin, end, there = begin + quoted, end - quoted, quoted.copy()
                # What stands without quotes is a word for nothing, or odd.
                rest, nothing = self._words(name, begin, end, ~quoted)
                sure[rest] &= nothing
            elif name in REPEATED:
                sure &= ~(more if name in NAMED else quoted)
            else:
                sure &= ~quoted
                wordy = self._letters.octets[begin] - np.uint8(_ZERO) >= 10
                rest, nothing = self._words(name, begin, end, wordy)
                there[rest] = ~nothing
            cells[name] = Cells(begin, end, there)
        ca_columns.spared(cells)
        texts = {name: column.texts(self._letters) for name, column in cells.items()}
        for name in NAMED & texts.keys():
            texts[name] = texts[name].dictionary_encode()
            proved = pc.match_substring_regex(texts[name].dictionary, _ONE_LINE).take(texts[name].indices)
            sure &= proved.to_numpy(zero_copy_only=False)
        for name in QUOTED & texts.keys():
            texts[name] = self._without_cr(texts[name], self._cells[name][3][where] & cells[name].there)
        found, proved = ca_columns.columns_of(texts, cell)
        sure &= proved
        heads = pa.array(self._line + self._heads[where]).cast(pa.string())
        numbers = pa.array(self._numbers[where]).cast(pa.string())
        found["location"] = pc.binary_join_element_wise("line ", heads, ", row ", numbers, "")
        if sure.all():
            return found
        self._good[where[~sure]] = False
        return {name: packed.filter(pa.array(sure)) for name, packed in found.items()}

    def _words(self, name: str, begin: Index, end: Index, which: Sure) -> tuple[Index, Sure]:
        """The places of some unquoted values, and which of them stand for nothing, in any language."""
        rest = np.flatnonzero(which)
        begin, end = begin[rest], end[rest]
        nothing: Sure = (self._letters.words_until(begin, end) == EMPTY) & (end - begin == len("EMPTY"))
        others = np.flatnonzero(~nothing)
        if len(others):
            texts = strings(self._letters.data, begin[others], end[others]).dictionary_encode()
            said = np.array([cell(name, text) is None for text in texts.dictionary.to_pylist()])
            nothing[others] = said[texts.indices.to_numpy()]
        return rest, nothing

    @staticmethod
    def _without_cr(texts: pa.Array, several: Sure) -> pa.Array:
        """Values of several lines with the line ends that the careful way gives them."""
        which = np.flatnonzero(several)
        return texts if not len(which) else ca_columns.replaced(texts, which, (("\r\n", "\n"),))
