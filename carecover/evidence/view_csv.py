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

from carecover.evidence import crl_view
from carecover.evidence.ca_row import ENGLISH, NEEDED, ca_row
from carecover.evidence.text import OEM, encoding_of, head_text, lines
from carecover.evidence.units import Irrelevant, Parsed, Reader, Rejected, Source, Unit
from carecover.evidence.views import Extent, restriction_of, table_of

# Prompts, dates and comments that stand before the header in real captures.
_LINES_BEFORE_HEADER: Final = 20
# The csv module's own limit for a field, 128 kB, is above every column of the CA database.
# Extensions and attributes name no certificate by themselves; they are known to be told apart.
_OTHERS: Final = {
    "Extension Request ID": "ExtensionRequestId",
    "Extension Name": "ExtensionName",
    "Extension Flags": "ExtensionFlags",
    "Extension Raw Value": "ExtensionRawValue",
    "Attribute Request ID": "AttributeRequestId",
    "Attribute Name": "AttributeName",
    "Attribute Value": "AttributeValue",
}
_FOLDED: Final = {
    spelling.casefold(): name
    for labels in (ENGLISH, crl_view.ENGLISH, _OTHERS)
    for label, name in labels.items()
    for spelling in (label, name)
}
_WANTED: Final = NEEDED | crl_view.NEEDED
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
    restriction = None
    for _ in range(before + 1):
        restriction = restriction_of(next(following)) or restriction
    table = table_of(names)
    reader = csv.reader(following)
    rejected = done = 0
    complete: bool | None = None
    extent = Extent()
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
            if name in _WANTED
        }
        done += sum(map(len, cells))
        progress(done)
        if table == "requests":
            row = ca_row(values, location=location, flags=flags)
            extent.met(row.get("request_id"), row.get("disposition"))
            yield Parsed((("ca_rows", row),))
            continue
        extent.rows += 1
        listed = (("crl_rows", crl_view.crl_row(values, location=location)),)
        yield Parsed(listed) if table == "crls" else Irrelevant()
    if extent.rows + rejected == 0:
        yield Irrelevant()
    if table != "requests":
        return
    view = {
        "location": f"line {before + 1}",
        "columns": [name or label for name, label in zip(names, labels, strict=True)],
        "rows": extent.rows,
        "complete": False if rejected else complete,
        "restriction": extent.restriction(restriction),
        "first_request_id": extent.first_id,
        "last_request_id": extent.last_id,
    }
    yield Parsed((("views", view),), units=0)


READER: Final = Reader("view_csv", _recognises, _read, alone=True)
