"""Equal texts by equal numbers, in columns of millions: found by their last bytes, then compared byte for byte.

A hash table of texts costs a hash of each text and a miss of the cache, ten million times. The
last eight characters of an AD CS serial are its request ID, which no two certificates of one CA
have in common, so a small table of these alone says nearly always which text may be equal; and
whether it is, is asked of all of them at once, word by word. What shares a place of that table
with another text, by chance or because somebody made it so, goes through Arrow's hash table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Flags: TypeAlias = npt.NDArray[np.bool_]
Numbers: TypeAlias = npt.NDArray[np.int64]

# Places for every text, so that few texts share one with another; and at most 32 MB of them.
_SPARSE: Final = 8
_MOST_BITS: Final = 23
_WORD: Final = 8
# An odd number near 2^64 divided by the golden ratio: neighbours fall far apart (Knuth, 6.4).
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_NOBODY: Final = -1


class Texts:
    """An Arrow array of texts as numpy sees it: where each begins and ends, and every place of its bytes as a word."""

    def __init__(self, array: pa.Array) -> None:
        """``array``: large_string, in one piece."""
        self.array = array
        data = array.buffers()[2]
        self.ends: Numbers = np.zeros(1, np.int64)
        if len(array):
            self.ends = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
        size = 0 if data is None else data.size
        self.words: npt.NDArray[np.uint64] = np.zeros(1, np.uint64)
        if size >= _WORD:
            self.words = np.ndarray((size - _WORD + 1,), np.uint64, data, strides=(1,))
        # What is shorter than a word is not compared by words.
        self.usable: Flags = np.diff(self.ends) >= _WORD
        if array.null_count:
            self.usable &= np.asarray(array.is_valid(), bool)

    def __len__(self) -> int:
        return len(self.array)

    def tails(self) -> npt.NDArray[np.uint64]:
        """The last eight bytes of each text, as they stand in memory; anything where it is not usable."""
        return self.words[np.where(self.usable, self.ends[1:] - _WORD, 0)]

    def places(self, bits: int) -> Numbers:
        """A place in a table of 2^bits for each text, by its last word; what is too short shares the first."""
        return np.where(self.usable, (self.tails() * _SPREAD) >> np.uint64(64 - bits), np.uint64(0)).astype(np.int64)

    def same(self, mine: Numbers, other: Texts, theirs: Numbers) -> Flags:
        """True where text ``mine`` is text ``theirs`` of the other; False for what is too short, or NA."""
        begins, others = self.ends[mine], other.ends[theirs]
        length = self.ends[mine + 1] - begins
        equal: Flags = self.usable[mine] & other.usable[theirs] & (length == other.ends[theirs + 1] - others)
        for at in range(0, int(length.max(initial=0)), _WORD):
            # The last word overlaps with the one before it; where a text is at its end, it is compared once more.
            step = np.where(equal, np.minimum(at, length - _WORD), 0)
            safe = np.where(equal, begins, 0), np.where(equal, others, 0)
            equal &= self.words[safe[0] + step] == other.words[safe[1] + step]
        return equal


@dataclass(frozen=True)
class Numbering:
    """Texts, each once, by number; and what is needed to find them in other columns."""

    serials: pa.Array
    """Number → text."""
    _texts: Texts
    _bits: int
    _first: Numbers
    """Place → where a text stands that has it; -1 where none has."""
    _number: Numbers
    """Where a text stands → its number."""
    _crowded: Flags
    """Place → True where several texts have it, or one that is too short."""
    _others: Numbers
    """Numbers of those that are not found by their place."""

    def find(self, pieces: Iterable[tuple[int, pa.Array]]) -> tuple[Numbers, Numbers]:
        """Where these texts stand in a column, ascending, and the number of each.

        The column comes piece by piece, each with the place where it begins.
        """
        at: list[Numbers] = [np.empty(0, np.int64)]
        of: list[Numbers] = [np.empty(0, np.int64)]
        left: list[Numbers] = [np.empty(0, np.int64)]
        unlike: list[pa.Array] = []
        for begin, piece in pieces:
            texts = Texts(piece)
            places = texts.places(self._bits)
            first = self._first[places]
            may = np.flatnonzero(first != _NOBODY)
            same = texts.same(may, self._texts, first[may])
            at.append(begin + may[same])
            of.append(self._number[first[may[same]]])
            rest = may[~same]
            rest = rest[self._crowded[places[rest]]]
            left.append(begin + rest)
            unlike.append(piece.take(pa.array(rest)))
        wanted = self.serials.take(pa.array(self._others))
        found = pc.index_in(pa.chunked_array(unlike, pa.large_string()), value_set=wanted, skip_nulls=True)
        which = np.asarray(pc.fill_null(found, _NOBODY), np.int64)
        at.append(np.concatenate(left)[which != _NOBODY])
        of.append(self._others[which[which != _NOBODY]])
        where = np.concatenate(at)
        order = np.argsort(where, kind="stable")
        return where[order], np.concatenate(of)[order]


def number(array: pa.Array) -> tuple[Numbering, Numbers]:
    """Number the texts of a large_string array, in the order in which they first stand in it; NA is -1.

    Returns what finds them elsewhere, and the number of each cell.
    """
    texts = Texts(array)
    bits = min(max((_SPARSE * len(texts)).bit_length(), 1), _MOST_BITS)
    places = texts.places(bits)
    first: Numbers = np.full(1 << bits, _NOBODY, np.int32)
    usable = np.flatnonzero(texts.usable)[::-1]
    # What is assigned last stays: of several texts with one place the first.
    first[places[usable]] = usable
    speaks = first[places].astype(np.int64)
    same = texts.same(np.arange(len(texts)), texts, np.maximum(speaks, 0)) & (speaks != _NOBODY)
    rest = np.flatnonzero(~same & np.asarray(array.is_valid(), bool))
    encoded = array.take(pa.array(rest)).dictionary_encode()
    codes = np.asarray(encoded.indices, np.int64)
    begins: Numbers = np.zeros(len(encoded.dictionary), np.int64)
    begins[codes[::-1]] = rest[::-1]
    speaks[~same] = _NOBODY
    speaks[rest] = begins[codes]
    known = speaks == np.arange(len(texts))
    numbers = np.where(known, np.cumsum(known) - 1, _NOBODY)
    crowded: Flags = np.zeros(1 << bits, bool)
    crowded[places[begins]] = True
    # Those that are too short have a place where nobody else may be.
    bare = begins[first[places[begins]] == _NOBODY]
    first[places[bare]] = bare
    told = np.where(speaks == _NOBODY, _NOBODY, numbers[speaks])
    found = Numbering(array.filter(pa.array(known)), texts, bits, first, numbers, crowded, numbers[begins])
    return found, told
