"""How a table stands on a page: what repeats becomes a note, what is long a line below, and each column its share.

Every form that people read uses it, so that all of them show a table alike. The widths follow from the texts alone:
a page that measured every cell by itself would take minutes over one long word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from carecover.report.document import ABSENT, Heading, Table

# So often a detail is told beside each row; from then on it is told once, below the table.
REPEATED: Final = 3
# About so many letters of the print stand side by side on A4.
_LINE: Final = 134.0
# What a letter takes of one of those: digits are wide, serial numbers and digests are set small.
_LETTER: Final = {"number": 1.1, "time": 0.99, "serial": 0.97, "verdict": 1.3, "digest": 0.8}
_PADDING: Final = 1.7
_DIGEST: Final = 24
_SERIAL: Final = 42
_TEXT: Final = (8.0, 60.0)
# A word of this length stays whole where that is possible, as a person's pseudonym does; longer ones are broken, and
# get so much.
_WHOLE: Final = 19
_WORD: Final = 16
_MEASURED: Final = 200


@dataclass(frozen=True, slots=True)
class Row:
    """A row: the cells side by side, the numbers of its notes, and what stands below it with its title.

    ``english`` are the places of cells that are English as recorded; a heading of what is below says it by itself.
    """

    cells: tuple[str, ...]
    english: frozenset[int]
    notes: tuple[int, ...]
    below: tuple[tuple[Heading, str], ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as it is shown; ``shares`` are parts of the width that add up to 1, a last one for the notes if any."""

    columns: tuple[Heading, ...]
    rows: tuple[Row, ...]
    notes: tuple[tuple[Heading, str], ...]
    shares: tuple[float, ...]


def arranged(table: Table, notes_title: str) -> Sheet:
    """The table for readers; nothing that is known is left out.

    ``notes_title`` heads the column of the notes' numbers.
    """
    beside = [n for n, column in enumerate(table.columns) if column.kind != "detail"]
    # A column that is a dash in every row tells nothing, and costs the others their room.
    known = [n for n in beside if any(row[n] != ABSENT for row in table.rows)]
    beside = (known or beside[:1]) if table.rows else beside
    below = [n for n, column in enumerate(table.columns) if column.kind == "detail"]
    english = frozenset(table.english)

    def heading(r: int, n: int) -> Heading:
        return replace(table.columns[n], recorded=(r, n) in english)

    often = Counter((n, row[n]) for row in table.rows for n in below if row[n] != ABSENT)
    repeated = [key for key, count in often.items() if count >= REPEATED]
    notes = {key: number for number, key in enumerate(repeated, start=1)}
    rows = tuple(
        Row(
            tuple(row[n] for n in beside),
            frozenset(place for place, n in enumerate(beside) if (r, n) in english),
            tuple(notes[n, row[n]] for n in below if (n, row[n]) in notes),
            tuple((heading(r, n), row[n]) for n in below if row[n] != ABSENT and (n, row[n]) not in notes),
        )
        for r, row in enumerate(table.rows)
    )
    columns = tuple(table.columns[n] for n in beside)
    needs = [_need(column, [row.cells[n] for row in rows]) for n, column in enumerate(columns)]
    if notes:
        columns = (*columns, Heading(notes_title, "text"))
        longest = max(len(numbers(row)) for row in rows)
        width = max(longest * 0.85, len(notes_title) * 1.1) + 1
        needs.append((width, width))
    first = {(n, row[n]): r for r, row in reversed(list(enumerate(table.rows))) for n in below}
    told = tuple((heading(first[n, text], n), text) for n, text in notes)
    return Sheet(columns, rows, told, _shares(needs))


def numbers(row: Row) -> str:
    """The numbers of a row's notes, as they are shown."""
    return ", ".join(str(n) for n in row.notes)


def _need(column: Heading, texts: Sequence[str]) -> tuple[float, float]:
    """How wide a column has to be at least, and how wide it would best be, in letters."""
    title = max((len(word) for word in column.title.split()), default=0) * 1.1
    longest = max((len(text) for text in texts), default=0)
    match column.kind:
        case "number" | "time" | "verdict":
            width = max(title, min(longest, 30) * _LETTER[column.kind]) + _PADDING + (column.kind != "time")
        case "serial":
            width = max(title, min(longest, _SERIAL) * _LETTER["serial"]) + _PADDING
        case "digest":
            width = _DIGEST * _LETTER["digest"] + _PADDING
        case _:
            # A quarter of the texts may take another line.
            middle = sorted(len(text) for text in texts)[len(texts) * 3 // 4] if texts else 0
            word = max((len(word) for text in texts for word in text[:_MEASURED].split()), default=0)
            least, most = _TEXT
            narrow = max(title, least, (word if word <= _WHOLE else _WORD) * 1.1)
            return narrow + _PADDING, max(narrow, min(middle, most)) + _PADDING
    return width, width


def _shares(needs: Sequence[tuple[float, float]]) -> tuple[float, ...]:
    """Parts of the line: each column gets what it must have, and what is left goes by what they would like."""
    spare = max(_LINE - sum(least for least, _ in needs), 0.0)
    wishes = [best - least for least, best in needs]
    # Where every wish is met the texts take the rest, or all columns alike.
    weights = wishes if sum(wishes) else [least for least, _ in needs]
    widths = [least + spare * weight / sum(weights) for (least, _), weight in zip(needs, weights, strict=True)]
    whole = sum(widths)
    return tuple(width / whole for width in widths)
