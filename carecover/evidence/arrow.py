"""Arrow arrays of text as pieces of one buffer: where each begins and ends, and eight bytes of it as one number."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

Index: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
"""Whole numbers, one for each row."""
Octets: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Words: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
"""Eight bytes each, the first of them the lowest."""
Sure: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
"""True for a row that is proved."""

# What is behind the last byte is looked at, and never counts.
_PADDING: Final = 64
FIRST: Final = np.array([(1 << (8 * n)) - 1 for n in range(9)], np.uint64)
"""The first so many bytes of a word."""


class Letters:
    """The bytes of a text, looked at from any place; behind its end there are zeros."""

    def __init__(self, data: Any) -> None:  # noqa: ANN401 - bytes or an Arrow buffer
        """``data`` is copied, and kept."""
        self.data = data
        self._padded = bytes(data) + bytes(_PADDING)
        self.octets: Octets = np.frombuffer(self._padded, np.uint8)
        self._words: Words = np.ndarray((len(self._padded) - 7,), "<u8", self._padded, strides=(1,))

    def words(self, at: Index) -> Words:
        """The eight bytes from each place on."""
        found: Words = self._words[at]
        return found

    def words_until(self, at: Index, end: Index) -> Words:
        """The eight bytes from each place on, those from ``end`` on as zeros; no place is 50 bytes behind the text."""
        found: Words = self._words[at]
        found &= FIRST.take(end - at, mode="clip")
        return found

    def begins(self, at: Index, word: bytes) -> Sure:
        """Where a word, which does not end in a zero, stands at these places."""
        size = len(word)
        places = len(self._padded) - size + 1
        every: Any = np.ndarray((max(places, 0),), f"S{size}", self._padded, strides=(1,))
        if places <= 0 or not len(at):
            return np.zeros(len(at), bool)
        found: Sure = every[np.minimum(at, places - 1)] == word
        return found


def digit_bits(words: Words) -> Words:
    """The highest bit of each byte that is a decimal digit."""
    # No byte carries into the next: each has its own highest bit taken off before.
    low = words & _LOW
    found: Words = (low + _FROM_ZERO) & ~(low + _BEHIND_NINE) & ~words & _HIGH
    return found


_LOW: Final = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH: Final = np.uint64(0x8080808080808080)
_FROM_ZERO: Final = np.uint64(0x0101010101010101 * (0x80 - ord("0")))
_BEHIND_NINE: Final = np.uint64(0x0101010101010101 * (0x80 - ord("9") - 1))


def letters_of(texts: pa.Array) -> tuple[Letters, Index, Index]:
    """The bytes of an array of strings, one behind the other, and where each text begins and ends in them."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return Letters(b""), np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    at = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    first, last = int(at[0]), int(at[-1])
    at -= first
    return Letters(data.slice(first, last - first)), at[:-1], at[1:]


def strings(data: Any, begin: Index, end: Index, there: Sure | None = None) -> pa.Array:  # noqa: ANN401 - bytes or an Arrow buffer
    """Texts from their places in a buffer of UTF-8, which follow each other without overlapping; null if not there."""
    if not len(begin):
        return pa.array([], pa.string())
    offsets = np.empty(2 * len(begin), np.int32)
    offsets[0::2], offsets[1::2] = begin, end
    every = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))
    places = np.arange(0, len(offsets) - 1, 2)
    return every.take(pa.array(places, mask=None if there is None else ~there))
