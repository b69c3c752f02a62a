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
from carecover.evidence.arrow import Index, Letters, Sure, strings
from carecover.evidence.ca_columns import QUOTED, REPEATED, TIMES, decimals
from carecover.evidence.view_cells import NAMED, cell

# Values and rows beyond these are for the careful way, which has limits of its own.
_MAX_VALUE: Final = 64 * 1024
_MAX_LINES: Final = 600
# Below this a run costs more than its rows one by one.
_WORTH: Final = 8
_QUOTE: Final = ord('"')
_ALNUM: Final = np.zeros(256, bool)
_ALNUM[[*range(48, 58), *range(65, 91), *range(97, 123)]] = True
# What is behind the last byte is looked at, and never counts.
_PADDING: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class Run:
    """Rows that follow each other: columns of ``ca_rows``, the number of the first, how much of the text they are."""

    columns: Mapping[str, Any]
    first: int
    rows: int
    chars: int
    lines: int


class Runs:
    """The runs of a piece of text that begins with the head of a row; ``head`` is what stands before the number."""

    def __init__(
        self, text: str, line: int, head: str, columns: Sequence[tuple[str, str]], wanted: frozenset[str]
    ) -> None:
        """``columns`` are schema names and labels; ``line`` is the number of the text's first line."""
        self._data = text.encode("utf-8", "replace")
        padded = self._data + _PADDING
        self._buf: Any = np.frombuffer(padded, np.uint8)
        # The eight bytes that begin at each place, as one number.
        self._words: Any = np.ndarray((len(padded) - 7,), "<u8", padded, strides=(1,))
        self._line, self._names = line, [name for name, _ in columns]
        self._wanted = wanted
        self._ends: Index = np.flatnonzero(self._buf == ord("\n"))
        self._starts: Index = np.concatenate([[0], self._ends[:-1] + 1]) if len(self._ends) else self._ends
        self._rows(head.encode("utf-8", "replace"), columns)
        ready = int(self._good.sum()) >= _WORTH
        self.until = line + (int(self._heads[-1]) if ready else len(self._ends))
        """The number of the line up to which nothing more is to be found than is known here."""
        self._columns: dict[str, Any] = self._packed() if ready else {}
        if not ready:
            self._good[:] = False
        self._place = np.cumsum(self._good) - self._good
        self._at = {int(head): row for row, head in enumerate(self._heads)}
        self._stops: Index = np.flatnonzero(~self._good)

    def beginning(self, line: int) -> Run | None:
        """The run that begins at this line, if one does that is worth it."""
        row = self._at.get(line - self._line)
        if row is None or not self._good[row]:
            return None
        stop = int(self._stops[np.searchsorted(self._stops, row)])
        if stop - row < _WORTH:
            return None
        at, count = int(self._place[row]), stop - row
        begin, end = self._starts[self._heads[row]], self._starts[self._heads[stop]]
        letters = self._buf[begin:end]
        packed = {name: column[at : at + count] for name, column in self._columns.items()}
        for name in set(TIMES.values()) & packed.keys():
            packed[name] = (packed[name], np.zeros(count, np.int64), [(None, None)])
        return Run(
            packed,
            int(self._numbers[row]),
            count,
            int(np.count_nonzero((letters & 0xC0) != 0x80)),
            int(self._heads[stop] - self._heads[row]),
        )

    # ---------------------------------------------------------------------------- which rows are proved

    def _begins(self, at: Index, word: bytes) -> Sure:
        """Where a word stands at these places."""
        found = np.ones(len(at), bool)
        words = len(word) // 8
        for offset in [*range(0, 8 * words, 8), *([len(word) - 8] if words else [])]:
            said = int.from_bytes(word[offset : offset + 8], "little")
            found &= self._words[np.minimum(at + offset, len(self._words) - 1)] == said
        for offset, letter in enumerate(b"" if words else word):
            found &= self._buf[np.minimum(at + offset, len(self._buf) - 1)] == letter
        return found

    def _rows(self, head: bytes, columns: Sequence[tuple[str, str]]) -> None:
        buf, starts, ends = self._buf, self._starts, self._ends
        empty = starts == ends
        maybe = np.flatnonzero(buf[starts] == head[0])
        maybe = maybe[(maybe == 0) | empty[maybe - 1]]
        heads = maybe[self._begins(starts[maybe], head)]
        begin, end = starts[heads] + len(head), ends[heads] - 1
        number, whole = decimals(Letters(self._data), begin, end)
        whole &= (end - begin <= 9) & (buf[np.maximum(end, 0)] == ord(":")) & (buf[begin] != ord("0"))
        self._heads, self._numbers = heads, number
        self._good = np.zeros(len(heads), bool)
        self._cells: dict[str, tuple[Index, Index, Sure]] = {}
        if len(heads) < _WORTH:
            return
        good = whole.copy()
        good[:-1] &= whole[1:] & (number[1:] == number[:-1] + 1)
        good[-1] = False
        following = np.concatenate([heads[1:], heads[-1:]])
        good &= following - heads <= _MAX_LINES
        last = np.where(empty, 0, buf[np.maximum(ends - 1, 0)])
        closing = np.flatnonzero((last == _QUOTE) & ~empty)
        odd = np.concatenate([[0], np.cumsum(~empty & ((last <= ord(" ")) | (last >= 0x80)))])
        pos = heads + 1
        for column, (name, label) in enumerate(columns):
            good &= pos < following - 1
            pos = np.where(good, pos, heads)
            word = f"  {label}: ".encode()
            labelled = self._begins(starts[pos], word) & (starts[pos] + len(word) < ends[pos])
            good &= labelled
            if column == 0:
                # The careful way knows a head by the label below it.
                good[:-1] &= self._begins(starts[np.minimum(heads + 1, len(starts) - 1)], word)[1:]
            begin = np.minimum(starts[pos] + len(word), ends[pos])
            end = ends[pos].copy()
            quoted = buf[begin] == _QUOTE
            closed = quoted & (last[pos] == _QUOTE) & (end - begin > 1)
            if name in NAMED:
                good &= closed | ~quoted | (name in self._wanted)
                closed |= quoted
            good &= quoted | _ALNUM[buf[begin]]
            several = np.flatnonzero(good & quoted & ~closed)
            pos = pos + 1
            if len(several):
                place = np.searchsorted(closing, pos[several])
                close = closing[np.minimum(place, len(closing) - 1)] if len(closing) else pos[several]
                fits = (place < len(closing)) & (close < following[several] - 1)
                fits &= odd[close] == odd[pos[several] - 1]
                fits &= np.fromiter(
                    (
                        self._data.count(b'"', a, b) == 1
                        for a, b in zip(begin[several].tolist(), end[several].tolist(), strict=True)
                    ),
                    bool,
                    len(several),
                )
                good[several[~fits]] = False
                end[several] = np.where(fits, ends[close], end[several])
                pos[several] = np.where(fits, close + 1, pos[several])
            good &= end - begin <= _MAX_VALUE
            if name in self._wanted and name != "RawCertificate":
                self._cells[name] = (begin, end, quoted)
        good &= (pos == following - 1) & empty[following - 1]
        self._good = good

    # -------------------------------------------------------------------------------------- their columns

    def _packed(self) -> dict[str, Any]:
        """The columns of the rows that are proved; a cell that is not takes its row out of them."""
        where = np.flatnonzero(self._good)
        sure = np.ones(len(where), bool)
        texts: dict[str, pa.Array] = {}
        for name, (begins, ends, all_quoted) in self._cells.items():
            begin, end, quoted = begins[where], ends[where], all_quoted[where]
            if name in QUOTED:
                texts[name], proved = self._inner(name, begin, end, quoted)
            else:
                raw = strings(self._data, begin, end)
                texts[name] = raw if name in REPEATED else self._unquoted(name, raw)
                proved = self._one_line(raw) if name in NAMED else ~quoted
            sure &= proved
        found, proved = ca_columns.columns_of(texts, cell)
        sure &= proved
        heads = pa.array(self._line + self._heads[where]).cast(pa.string())
        numbers = pa.array(self._numbers[where]).cast(pa.string())
        found["location"] = pc.binary_join_element_wise("line ", heads, ", row ", numbers, "")
        self._good[where[~sure]] = False
        return {name: packed.filter(pa.array(sure)) for name, packed in found.items()}

    @staticmethod
    def _one_line(texts: pa.Array) -> Sure:
        """Where a quoted value with a name behind it is closed: a quote, what has none, and a blank before the name."""
        encoded = texts.dictionary_encode()
        plain = pc.match_substring_regex(encoded.dictionary, r'^(?:[^"].*|"[^"]*"(?: [^" ][^"]*)?)$')
        proved: Sure = plain.take(encoded.indices).to_numpy(zero_copy_only=False)
        return proved

    def _inner(self, name: str, begin: Index, end: Index, quoted: Sure) -> tuple[pa.Array, Sure]:
        """What stands between quotes, null for a word that stands for nothing."""
        bare = np.flatnonzero(~quoted)
        sure = np.ones(len(begin), bool)
        known: dict[bytes, bool] = {}
        for place in bare.tolist():
            text = self._data[begin[place] : end[place]]
            if text not in known:
                known[text] = cell(name, text.decode("utf-8")) is None
            sure[place] = known[text]
        inner = strings(self._data, np.where(quoted, begin + 1, begin), np.where(quoted, end - 1, begin))
        return (inner if not len(bare) else pc.if_else(pa.array(quoted), inner, None)), sure

    @staticmethod
    def _unquoted(name: str, texts: pa.Array) -> pa.Array:
        """Numbers and dates, null for a word that stands for nothing, in whatever language."""
        words = pc.invert(pc.match_substring_regex(texts, "[0-9]"))
        if not pc.any(words).as_py():
            return texts
        encoded = texts.filter(words).unique()
        nothing = [text for text in encoded.to_pylist() if cell(name, text) is None]
        return pc.if_else(pc.is_in(texts, pa.array(nothing, pa.string())), None, texts)
