"""Many rows of a csv of ``certutil -view`` at once: the way through an export of a million rows.

A piece of csv is looked at as bytes: where its quotes, commas and line ends are. Where every
quote opens a cell, closes one, or is one of two that stand for one, Python's ``csv`` finds the
same cells, and they are read as columns. The first record of which that is not proved ends the
piece, and is left to the careful way (``view_csv``) with whatever follows it there.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc

from carecover.evidence import ca_columns
from carecover.evidence.arrow import Index, Letters, Sure, digit_bits, strings
from carecover.evidence.ca_columns import EMPTY, QUOTED, Cells

# Longer records are for the careful way: no cell or line of a shorter one is beyond any limit.
_MAX_RECORD: Final = 64 * 1024
_QUOTE, _COMMA, _NEWLINE, _CR = b'",\n\r'
# More words for "nothing" than any language has.
_MAX_WORDS: Final = 8
# A command has this word in it, without any letter that has another case beyond ASCII.
_COMMAND: Final = "cert"
_WORD = re.compile(r"[^\W\d_]{2,30}")
# A serial number may have no digit but letters of hex.
_HEX_WORD = re.compile(r"(?:[0-9a-f]{2})+", re.IGNORECASE | re.ASCII)
_DIGIT = re.compile(r"[0-9]", re.ASCII)


def words_for_nothing(texts: Iterable[str]) -> set[str]:
    """What stands for "nothing": EMPTY, and what numbers and dates (``texts``) say without any digit."""
    stripped = {text.strip() for text in texts if not _DIGIT.search(text)}
    return {"EMPTY", *(word for word in stripped if _WORD.fullmatch(word) and not _HEX_WORD.fullmatch(word))}


@dataclass(frozen=True, slots=True)
class Records:
    """The whole records at the start of a piece of csv, as far as it is proved where they and their cells are."""

    letters: Letters
    start: Index
    """Where each record begins (bytes)."""
    stop: Index
    """Where it ends, behind its line end."""
    line: Index
    """How many lines are before it."""
    first: Index
    """The number of its first cell."""
    cells: Index
    """How many cells it has."""
    begin: Index
    """Where each cell begins, without its quote."""
    end: Index
    odd: Sure
    """Cells that are not what is printed between their quotes: with quotes or line ends in them."""
    lines: int
    """How many lines all records are."""
    whole: bool
    """All the records that end in the piece are here."""

    def __len__(self) -> int:
        return len(self.start)

    def parsed(self, number: int) -> list[str]:
        """The cells of one record, by the csv module."""
        text = self.letters.data[self.start[number] : self.stop[number]].decode("utf-8").replace("\r\n", "\n")
        return next(csv.reader(line + "\n" for line in text.removesuffix("\n").split("\n")), [])


def records_of(data: bytes) -> Records:
    """The records at the start of ``data``, which is UTF-8 and begins where a record does."""
    letters = Letters(data)
    octets = letters.octets[: len(data)]
    special = octets == _QUOTE
    special |= octets == _COMMA
    special |= octets == _NEWLINE
    places = np.flatnonzero(special)
    kinds = octets[places]
    quote = kinds == _QUOTE
    # Behind an odd number of quotes one is open.
    inside = (np.cumsum(quote, dtype=np.uint8) & 1).view(bool)
    parting = np.flatnonzero(~(quote | inside))
    at, kind = places[parting], kinds[parting]
    last = np.flatnonzero(kind == _NEWLINE)
    count = int(last[-1]) + 1 if len(last) else 0
    end = at[:count].copy()
    begin = np.concatenate([[0], end[:-1] + 1]) if count else end
    end[last] -= octets[np.maximum(end[last], 1) - 1] == _CR
    quoted = (octets[np.minimum(begin, len(data) - 1)] == _QUOTE) if count else np.zeros(0, bool)
    quoted &= (octets[np.maximum(end, 1) - 1] == _QUOTE) & (end - begin >= 2)
    # Two quotes beside each other where none opens or closes.
    known = int(parting[count - 1]) + 1 if count else 0
    twice = np.flatnonzero(quote[: known - 1] & quote[1:known] & ~inside[: known - 1]) if count else last
    twice = twice[places[twice + 1] == places[twice] + 1]
    proved = len(last)
    if np.count_nonzero(quote[:known]) != 2 * (np.count_nonzero(quoted) + len(twice)):
        counted = quote[:known].astype(np.int64)
        counted[twice] -= 2
        wrong = np.flatnonzero(np.diff(np.cumsum(counted)[parting[:count]], prepend=0) != 2 * quoted)
        proved = int(np.searchsorted(last, wrong[0]))
    first = np.concatenate([[0], last[:-1] + 1]) if len(last) else last
    start, stop = begin[first], at[last] + 1
    far = np.flatnonzero(stop - start > _MAX_RECORD)
    proved = min(proved, int(far[0])) if len(far) else proved
    newline = np.flatnonzero(kinds[:known] == _NEWLINE)
    lines = np.flatnonzero(~inside[newline]) + 1
    odd = np.zeros(count, bool)
    odd[np.searchsorted(parting[:count], np.concatenate([twice, newline[inside[newline]]]))] = True
    return Records(
        letters,
        start[:proved],
        stop[:proved],
        np.concatenate([[0], lines[:-1]])[:proved] if len(lines) else lines,
        first[:proved],
        (last - first + 1)[:proved],
        begin + quoted,
        end - quoted,
        odd,
        int(lines[proved - 1]) if proved else 0,
        proved == len(last),
    )


def rows_of(records: Records, labels: Sequence[str]) -> Sure:
    """Which records are rows beyond doubt: as many cells as there are labels, no header, no command, nothing blank."""
    found: Sure = records.cells == len(labels)
    begin, end = records.begin[records.first], records.end[records.first]
    letter = records.letters.octets[begin]
    found &= (end > begin) & (letter > ord(" ")) & (letter < 0x80) & ~records.odd[records.first]
    if header := labels[0].encode("utf-8", "replace"):
        found &= ~(records.letters.begins(begin, header) & (end - begin == len(header)))
    # The shortest command is longer.
    if (end - begin > len("certutil -view") - 1).any():
        said = pc.match_substring(strings(records.letters.data, begin, end), _COMMAND, ignore_case=True)
        found &= ~said.to_numpy(zero_copy_only=False)
    return found


def columns_of(
    records: Records, rows: Index, places: Mapping[str, int], numeric: frozenset[str]
) -> tuple[dict[str, Any], Sure]:
    """The columns of ``ca_rows`` of some records that are rows, and which of those are proved.

    ``places`` are the numbers of the schema columns that are wanted; those in ``numeric`` have a digit in each value.
    """
    letters, first = records.letters, records.first[rows]
    sure = np.ones(len(rows), bool)
    cells: dict[str, Cells] = {}
    without: dict[str, tuple[Index, Any]] = {}
    for name, place in places.items():
        begin, end = records.begin[first + place], records.end[first + place]
        word = letters.words_until(begin, end)
        empty = (word == EMPTY) & (end - begin == len("EMPTY"))
        cells[name] = Cells(begin, end, ~empty)
        if name not in QUOTED or name in numeric:
            sure &= ~records.odd[first + place]
        if name in numeric:
            rest = np.flatnonzero((digit_bits(word) == 0) & ~empty)
            if len(rest):
                without[name] = rest, strings(letters.data, begin[rest], end[rest]).dictionary_encode()
    nothing = words_for_nothing(text for _, texts in without.values() for text in texts.dictionary.to_pylist())
    for name, (rest, texts) in without.items():
        said = np.array([text in nothing for text in texts.dictionary.to_pylist()])
        cells[name].there[rest[said[texts.indices.to_numpy()]]] = False
    ca_columns.spared(cells)
    packed = {name: column.texts(letters) for name, column in cells.items()}
    for name in QUOTED & packed.keys() - numeric:
        odd = np.flatnonzero(records.odd[first + places[name]] & cells[name].there)
        if len(odd):
            packed[name] = ca_columns.replaced(packed[name], odd, (('""', '"'), ("\r\n", "\n")))
    foreign = nothing - {"EMPTY"}
    if len(foreign) > _MAX_WORDS:
        sure[:] = False
    for name in packed.keys() - numeric if foreign else ():
        for word_for_nothing in foreign:
            # A name that is another language's word for nothing is one where the row itself uses the word.
            sure &= ~pc.match_substring(packed[name], word_for_nothing).fill_null(False).to_numpy(zero_copy_only=False)
    found, proved = ca_columns.columns_of(packed, lambda _name, text: None if text.strip() in nothing else text)
    return found, sure & proved
