"""A writer of small ESE databases, for tests: made after the format's public description, read by a library that
nobody here wrote.

Pages of 4,096 bytes, one root page a table with leaf pages under it, fixed, variable and
tagged columns. No indexes, no long values in pages of their own, no checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

PAGE = 4096
CATALOG = 4
LONG, DATE, TEXT, LONG_BINARY, LONG_TEXT = 4, 8, 10, 11, 12
ROOT, LEAF, NEW_FORMAT = 0x1, 0x2, 0x800
UNICODE = 1200
Value = int | str | bytes | None


@dataclass(frozen=True)
class Column:
    """One column: fixed below 128, variable below 256, tagged above."""

    number: int
    name: str
    kind: int


@dataclass
class Table:
    """One table: its columns, and its rows in the order of their keys."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Value]] = ()
    deleted: frozenset[int] = field(default_factory=frozenset)


def file_time(moment: datetime) -> int:
    """A Windows file time."""
    return (moment - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10


def database(
    tables: Sequence[Table],
    *,
    state: int = 3,
    rows_a_page: int = 3,
    break_leaf: Literal["zeros", "circle"] | None = None,
) -> bytes:
    """The bytes of a database file; ``break_leaf`` damages the second leaf page of the first table."""
    pages: dict[int, bytes] = {1: _page([]), 2: _page([]), 3: _page([])}
    catalog: list[bytes] = []
    following = 20
    for number, table in enumerate(tables, 2):
        root = following
        following += 1
        leaves: list[int] = []
        for at in range(0, len(table.rows), rows_a_page):
            nodes = [_record(table.columns, row) for row in table.rows[at : at + rows_a_page]]
            gone = {place - at for place in table.deleted}
            pages[following] = _page(nodes, flags=LEAF | NEW_FORMAT, deleted=gone)
            leaves.append(following)
            following += 1
        if break_leaf is not None and number == 2:
            if break_leaf == "zeros":
                pages[leaves[1]] = _page([struct.pack("<I", 0)], flags=LEAF, spoilt=True)
            else:
                leaves[1] = leaves[0]
        children = [struct.pack("<I", leaf) for leaf in leaves]
        pages[root] = _page(children, flags=ROOT) if leaves else _page([], flags=ROOT | LEAF)
        catalog.append(_object(number, 1, number, root, 0, 0, table.name))
        catalog += [
            _object(number, 2, c.number, c.kind, {LONG: 4, DATE: 8}.get(c.kind, 0), UNICODE, c.name)
            for c in table.columns
        ]
    per_page = 40
    groups = [catalog[at : at + per_page] for at in range(0, len(catalog), per_page)]
    for place, group in enumerate(groups):
        pages[5 + place] = _page(group, flags=LEAF | NEW_FORMAT)
    pages[CATALOG] = _page([struct.pack("<I", 5 + place) for place in range(len(groups))], flags=ROOT)
    header = bytearray(PAGE)
    struct.pack_into("<II", header, 4, 0x89ABCDEF, 0x620)
    struct.pack_into("<I", header, 52, state)
    struct.pack_into("<II", header, 232, 20, PAGE)
    blank = _page([])
    return bytes(header) * 2 + b"".join(pages.get(number, blank) for number in range(1, max(pages) + 1))


def _page(
    nodes: Sequence[bytes], *, flags: int = 0, deleted: frozenset[int] | set[int] = frozenset(), spoilt: bool = False
) -> bytes:
    data, tags = b"", [(0, 0)]
    for place, node in enumerate(nodes):
        whole = struct.pack("<HI", 4, place) + node
        tags.append((len(whole), len(data) | (2 << 13 if place in deleted else 0)))
        data += whole
    if spoilt:
        tags[1:] = [(0, 0)]
    head = struct.pack("<QQIIIHHHHI", 0, 0, 0, 0, 0, 0, 0, len(data), len(tags), flags)
    foot = b"".join(struct.pack("<HH", size, at) for size, at in reversed(tags))
    return head + data + bytes(PAGE - len(head) - len(data) - len(foot)) + foot


def _object(table: int, kind: int, number: int, what: int, space: int, locale: int, name: str) -> bytes:
    fixed = struct.pack("<IHIIIII", table, kind, number, what, space, 0, locale)
    return (
        struct.pack("<BBH", 7, 128, 4 + len(fixed) + 1) + fixed + b"\0" + struct.pack("<H", len(name)) + name.encode()
    )


def _record(columns: Sequence[Column], row: Mapping[str, Value]) -> bytes:
    fixed = [c for c in columns if c.number < 128]
    variable = [c for c in columns if 128 <= c.number < 256]
    tagged = [c for c in columns if c.number >= 256 and row.get(c.name) is not None]
    body, nulls = b"", 0
    for place, column in enumerate(fixed):
        value = row.get(column.name)
        nulls |= (value is None) << place
        number = value if isinstance(value, int) else 0
        body += struct.pack(
            "<q" if column.kind == DATE else "<I", number % 2**63 if column.kind == DATE else number % 2**32
        )
    bitmap = nulls.to_bytes((len(fixed) + 7) // 8, "little")
    ends, content = [], b""
    for column in variable:
        value = row.get(column.name)
        content += _bytes(value)
        ends.append(len(content) | (0x8000 if value is None else 0))
    head = struct.pack("<BBH", len(fixed), 127 + len(variable), 4 + len(body) + len(bitmap))
    array, values, at = b"", b"", 4 * len(tagged)
    for column in tagged:
        array += struct.pack("<I", column.number | (at + len(values)) << 16)
        values += _bytes(row[column.name])
    return head + body + bitmap + struct.pack(f"<{len(ends)}H", *ends) + content + array + values


def _bytes(value: Value) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-16-le")
    return value if isinstance(value, bytes) else b""
