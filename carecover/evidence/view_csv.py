"""The csv form of ``certutil -view``: display names in the first line, one row a line.

No capture with data rows is public, so the exact quoting is unknown: numbers are accepted
with and without quotes, binary columns are sizes (``1657 Bytes``) and lost, line breaks may
stand inside quotes, and the status line at the end may be there or not. The columns must be
named by their English display names or their schema names; other languages cannot be told
from a csv and are refused with the way out.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from typing import Final

from carecover.evidence.ca_row import ENGLISH, NEEDED, SCHEMA_NAMES, ca_row
from carecover.evidence.text import OEM, encoding_of, head_text, lines
from carecover.evidence.units import Irrelevant, Parsed, Reader, Rejected, Source, Unit

# Prompts, dates and comments that stand before the header in real captures.
_LINES_BEFORE_HEADER: Final = 20
# The csv module's own limit for a field, 128 kB, is above every column of the CA database.
_FOLDED: Final = {label.casefold(): name for label, name in ENGLISH.items()} | {
    name.casefold(): name for name in SCHEMA_NAMES
}
EXPORT_ADVICE: Final = (
    "Export as text (certutil -gmt -seconds -view -out ...), which names its own columns in any language."
)


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _header(text: str) -> tuple[int, list[str]] | None:
    """Line number (from 0) and fields of the header, by at least one known name among two fields or more."""
    for number, line in enumerate(text.split("\n", _LINES_BEFORE_HEADER)[:_LINES_BEFORE_HEADER]):
        fields = _fields(line)
        known = sum(field.strip().casefold() in _FOLDED for field in fields)
        quoted = line.lstrip().startswith('"')
        if known and (len(fields) > 1 or quoted) and known * 2 >= len(fields):
            return number, fields
    return None


def _foreign_header(text: str) -> bool:
    """True for a csv of quoted names whose next line is a row of a CA database, in another language."""
    first = [line for line in text.split("\n", _LINES_BEFORE_HEADER) if line.strip()][:2]
    if not first or not first[0].startswith('"'):
        return False
    fields = _fields(first[0])
    return len(fields) > 1 and any(
        " -- " in value or value.endswith(" Bytes") for value in _fields(first[1] if len(first) > 1 else "")
    )


def _recognises(source: Source) -> bool:
    text = head_text(source.head)
    return _header(text) is not None or _foreign_header(text)


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    header = _header(head_text(source.head))
    if header is None:
        reason = f"This csv names its columns in a language that carecover cannot tell. {EXPORT_ADVICE}"
        yield Rejected.of("line 1", "parse", reason, source.data)
        return
    before, labels = header
    names = [_FOLDED.get(label.strip().casefold()) for label in labels]
    encoding, skip = encoding_of(source.data)
    flags = ("encoding_guessed",) if encoding == OEM else ()
    following = lines(source.data, encoding, skip)
    for _ in range(before + 1):
        next(following)
    reader = csv.reader(following)
    rows = rejected = 0
    complete: bool | None = None
    ids: list[int] = []
    done = 0
    while True:
        line_number = before + 2 + reader.line_num
        location = f"line {line_number}"
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            rejected += 1
            reason = f"From here on the csv cannot be split into rows ({error}). {EXPORT_ADVICE}"
            yield Rejected.of(location, "split", reason, source.data)
            break
        if not cells or not any(cell.strip() for cell in cells):
            continue
        first = cells[0].strip()
        if len(cells) < len(names) and first.casefold().startswith("certutil:"):
            complete = "0x8" not in first
            continue
        if cells == labels:
            continue
        if len(cells) != len(names):
            rejected += 1
            reason = f"The row has {len(cells)} columns, the header has {len(names)}. {EXPORT_ADVICE}"
            yield Rejected.of(location, "parse", reason, ",".join(cells).encode("utf-8", "replace"))
            continue
        # A name that really is "EMPTY" cannot be told from an absent one in this form.
        values = {
            name: None if cell.strip() == "EMPTY" else cell
            for name, cell in zip(names, cells, strict=True)
            if name in NEEDED
        }
        row = ca_row(values, location=location, flags=flags)
        if isinstance(number := row.get("request_id"), int):
            ids.append(number)
        rows += 1
        done += sum(map(len, cells))
        progress(done)
        yield Parsed((("ca_rows", row),))
    if rows + rejected == 0:
        yield Irrelevant()
    view = {
        "location": f"line {before + 1}",
        "columns": [name or label for name, label in zip(names, labels, strict=True)],
        "rows": rows,
        "complete": False if rejected else complete,
        "first_request_id": min(ids, default=None),
        "last_request_id": max(ids, default=None),
    }
    yield Parsed((("views", view),), units=0)


READER: Final = Reader("view_csv", _recognises, _read)
