"""Arrow arrays of text as pieces of one buffer: where each begins and ends."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

Index: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
"""Whole numbers, one for each row."""


def spans(texts: pa.Array) -> tuple[Index, Index, Any]:
    """Begin and end (bytes) of each text of an array of strings, and the buffer that they lie in."""
    _, offsets, data = texts.buffers()
    at = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    return at[:-1], at[1:], data if data is not None else pa.py_buffer(b"")


def strings(data: Any, begin: Index, end: Index) -> pa.Array:  # noqa: ANN401 - bytes or an Arrow buffer
    """Texts from their places in a buffer of UTF-8, which follow each other without overlapping."""
    if not len(begin):
        return pa.array([], pa.string())
    offsets = np.empty(2 * len(begin), np.int32)
    offsets[0::2], offsets[1::2] = begin, end
    every = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))
    return every.take(pa.array(np.arange(0, len(offsets) - 1, 2)))
