"""The csv form of ``certutil -view``: display names in the first line, one row a line.

No capture with data rows is public, so the exact quoting is unknown: numbers are accepted
with and without quotes, binary columns are sizes (``1657 Bytes``) and lost, line breaks may
stand inside quotes, and the status line at the end may be there or not. The columns must be
named by their English display names or their schema names, or by the command itself, whose
``-out`` gives their order (its line may stand above the header, as a console shows it), or by the
Schema block of a view in text that was handed in beside it. Other languages cannot be told from
a csv alone and are refused with the way out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carecover.evidence import ca_columns, crl_view
from carecover.evidence.ca_row import ENGLISH, NEEDED, ca_row
from carecover.evidence.text import OEM, encoding_of, head_text, lines
from carecover.evidence.units import Irrelevant, Parsed, Reader, Rejected, Source, Unit
from carecover.evidence.views import Extent, columns_asked, is_command, restriction_of, table_of

# Prompts, dates and comments that stand before the header in real captures.
_LINES_BEFORE_HEADER: Final = 20
_ENOUGH: Final = 512
# Rows that are read together, and how few are not worth it.
_TOGETHER: Final = 8192
_WORTH: Final = 8
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
# Numbers, dates and hashes: a word without a digit there is no value, in whatever language.
_WITH_DIGITS: Final = _WANTED - {"Request.RequesterName", "DistinguishedName", "CommonName", "CertificateTemplate"}
_WORD = re.compile(r"[^\W\d_]{2,30}")
# A serial number may have no digit but letters of hex.
_HEX_WORD = re.compile(r"(?:[0-9a-f]{2})+", re.IGNORECASE | re.ASCII)
_TRAILER = re.compile(r"(?:(\d{1,9})\s+[^\W\d_]+|\S[^:]*:\s*\d{1,9})\s*")
_MAX_TRAILER: Final = 200
EXPORT_ADVICE: Final = (
    "Export as text (certutil -gmt -seconds -view -out ...), which names its own columns in any language."
)


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


@dataclass(frozen=True, slots=True)
class _Header:
    """The line of the header (from 0), its fields, and the schema names that they stand for."""

    number: int
    labels: list[str]
    names: list[str | None]


def _header(text: str, learnt: Mapping[str, str]) -> _Header | None:
    """The header: at least one known name among two fields or more, or as many fields as the command asked for.

    ``learnt`` are titles that a view in text named; all fields but a few must be among them.
    """
    asked: list[str] | None = None
    for number, line in enumerate(text.split("\n", _LINES_BEFORE_HEADER)[:_LINES_BEFORE_HEADER]):
        if is_command(line):
            asked = columns_asked(line) or asked
            continue
        fields = _fields(line)
        names = [_FOLDED.get(field.strip().casefold()) for field in fields]
        known = sum(name is not None for name in names)
        quoted = line.lstrip().startswith('"')
        if known and (len(fields) > 1 or quoted) and known * 2 >= len(fields):
            return _Header(number, fields, names)
        if quoted and asked is not None and len(fields) == len(asked) > 1:
            return _Header(number, fields, [_FOLDED.get(name.casefold()) for name in asked])
        names = [learnt.get(field.strip().casefold()) for field in fields]
        if len(fields) > 1 and sum(name is not None for name in names) * 2 > len(fields):
            return _Header(number, fields, names)
    return None


def _foreign_header(text: str) -> bool:
    """True for a csv of quoted names whose next line is a row of a CA database, in another language."""
    above = text.split("\n", _LINES_BEFORE_HEADER)
    first = [line for line in above if line.strip() and not is_command(line)][:2]
    if not first or not first[0].startswith('"'):
        return False
    fields = _fields(first[0])
    return len(fields) > 1 and any(
        " -- " in value or value.endswith(" Bytes") for value in _fields(first[1] if len(first) > 1 else "")
    )


def _recognises(source: Source) -> bool:
    text = head_text(source.head)
    return _header(text, source.labels) is not None or _foreign_header(text)


def waits_for_labels(source: Source) -> bool:
    """True for a csv whose titles a view in text, handed in beside it, may name."""
    if not head_text(source.head[:_ENOUGH]).lstrip().startswith('"'):
        return False
    text = head_text(source.head)
    return _header(text, {}) is None and _foreign_header(text)


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    header = _header(head_text(source.head), source.labels)
    if header is None:
        reason = (
            "This csv names its columns in a language that carecover cannot tell. Put the line of the command that "
            'made it above its first line (certutil ... -view -out "..." csv), or hand in a view as text with it, or: '
            f"{EXPORT_ADVICE}"
        )
        yield Rejected.of("line 1", "parse", reason, source.data)
        return
    before, labels, names = header.number, header.labels, header.names
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
    claimed: int | None = None
    extent = Extent()
    waiting: list[tuple[int, list[str]]] = []
    while True:
        line_number = before + 2 + reader.line_num
        location = f"line {line_number}"
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            rejected += 1
            yield from _together(names, waiting, flags, extent)
            reason = f"From here on the csv cannot be split into rows ({error}). {EXPORT_ADVICE}"
            yield Rejected.of(location, "split", reason, source.data)
            break
        if not cells or not any(cell.strip() for cell in cells):
            continue
        first = cells[0].strip()
        if len(cells) < len(names) and first.casefold().startswith("certutil:"):
            complete = "0x8" not in first
            continue
        if cells == labels or is_command(first):
            continue
        if len(cells) == 1 < len(names) and (trailer := _TRAILER.fullmatch(first[:_MAX_TRAILER])):
            # "12 Rows"; "Maximum Row Index: 12" says the same once more.
            claimed = int(trailer[1]) if trailer[1] else claimed
            continue
        if len(cells) != len(names):
            rejected += 1
            yield from _together(names, waiting, flags, extent)
            reason = f"The row has {len(cells)} columns, the header has {len(names)}. {EXPORT_ADVICE}"
            yield Rejected.of(location, "parse", reason, ",".join(cells).encode("utf-8", "replace"))
            continue
        done += sum(map(len, cells))
        progress(done)
        if table == "requests":
            waiting.append((line_number, cells))
            if len(waiting) == _TOGETHER:
                yield from _together(names, waiting, flags, extent)
            continue
        values = _values(names, cells)
        extent.rows += 1
        listed = (("crl_rows", crl_view.crl_row(values, location=location)),)
        yield Parsed(listed) if table == "crls" else Irrelevant()
    yield from _together(names, waiting, flags, extent)
    if extent.rows + rejected == 0:
        yield Irrelevant()
    if table != "requests":
        return
    view = {
        "location": f"line {before + 1}",
        "columns": [name or label for name, label in zip(names, labels, strict=True)],
        "rows": extent.rows,
        "rows_claimed": claimed,
        "complete": False if rejected or (claimed is not None and claimed != extent.rows) else complete,
        "restriction": extent.restriction(restriction),
        "first_request_id": extent.first_id,
        "last_request_id": extent.last_id,
    }
    yield Parsed((("views", view),), units=0)


def _values(names: list[str | None], cells: list[str]) -> dict[str, str | None]:
    """The columns of one row that are wanted; None where the row says that there is none."""
    absent = _absent(names, cells)
    return {
        name: None if cell.strip() in absent else cell
        for name, cell in zip(names, cells, strict=True)
        if name in _WANTED
    }


def _together(
    names: list[str | None], waiting: list[tuple[int, list[str]]], flags: tuple[str, ...], extent: Extent
) -> Iterator[Unit]:
    """The rows that wait, each with the number of its line: those that are proved as columns, each other by itself."""
    columns, proved = _columns(names, waiting)
    at = taken = 0
    # Few rows that are proved are not worth a batch of their own.
    edges = np.flatnonzero(np.diff(np.concatenate([[0], proved, [0]]))).reshape(-1, 2)
    for begin, end in [(b, e) for b, e in edges.tolist() if e - b >= _WORTH]:
        yield from (_one(names, row, flags, extent) for row in waiting[at:begin])
        taken = int(proved[:begin].sum())
        batch = {name: column[taken : taken + end - begin] for name, column in columns.items()}
        extent.met_all(end - begin, batch.get("request_id"), batch.get("disposition"))
        for name in set(ca_columns.TIMES.values()) & batch.keys():
            batch[name] = (batch[name], np.zeros(end - begin, np.int64), [(None, None)])
        batch["flags"] = [flags] * (end - begin)
        yield Parsed((), units=end - begin, columns=(("ca_rows", batch),))
        at = end
    yield from (_one(names, row, flags, extent) for row in waiting[at:])
    waiting.clear()


def _one(names: list[str | None], row: tuple[int, list[str]], flags: tuple[str, ...], extent: Extent) -> Unit:
    """One row by itself."""
    read = ca_row(_values(names, row[1]), location=f"line {row[0]}", flags=flags)
    extent.met(read.get("request_id"), read.get("disposition"))
    return Parsed((("ca_rows", read),))


def _columns(names: list[str | None], waiting: list[tuple[int, list[str]]]) -> tuple[dict[str, Any], Any]:
    """The columns of the rows that are proved, and which rows those are."""
    wanted = [name for name in names if name in _WANTED]
    if len(waiting) < _WORTH or len(set(wanted)) != len(wanted):
        return {}, np.zeros(len(waiting), bool)
    cells = {
        name: column for name, column in zip(names, zip(*(c for _, c in waiting), strict=True), strict=True) if name
    }
    packed = {name: pa.array(cells[name], pa.string()) for name in wanted}
    told = {
        text.strip()
        for name in _WITH_DIGITS & packed.keys()
        for text in packed[name].filter(pc.invert(pc.match_substring_regex(packed[name], "[0-9]"))).unique().to_pylist()
    }
    nothing = {"EMPTY", *(cell for cell in told if _WORD.fullmatch(cell) and not _HEX_WORD.fullmatch(cell))}
    sure = np.ones(len(waiting), bool)
    texts: dict[str, pa.Array] = {}
    for name in wanted:
        column = packed[name]
        if name not in _WITH_DIGITS:
            # A name that is another language's word for nothing is one where the row itself uses the word.
            foreign = pc.is_in(column, pa.array(sorted(nothing - {"EMPTY"}), pa.string()))
            sure &= ~foreign.to_numpy(zero_copy_only=False)
        absent = pc.is_in(column, pa.array(sorted(nothing if name in _WITH_DIGITS else {"EMPTY"})))
        texts[name] = pc.if_else(absent, None, column)
    found, proved = ca_columns.columns_of(texts, lambda _name, text: None if text.strip() in nothing else text)
    sure &= proved
    lines = pa.array([line for line, _ in waiting]).cast(pa.string())
    found["location"] = pc.binary_join_element_wise("line ", lines, "")
    return {name: column.filter(pa.array(sure)) for name, column in found.items()}, sure


def _absent(names: list[str | None], cells: list[str]) -> set[str]:
    """The words that stand for "nothing" in a row: EMPTY, and what a number or date without a digit says instead.

    A name that really is that word cannot be told from an absent one in this form.
    """
    told = {cell.strip() for name, cell in zip(names, cells, strict=True) if name in _WITH_DIGITS}
    return {"EMPTY", *(cell for cell in told if _WORD.fullmatch(cell) and not _HEX_WORD.fullmatch(cell))}


READER: Final = Reader("view_csv", _recognises, _read, alone=True)
