"""The tables of a case as attachments of the report: CSV files in one archive, or one workbook.

A formula cannot come out of either. In the workbook every cell is a text, whatever it begins with. In CSV, which has
no types, a cell that a spreadsheet would take for a formula gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import pandas as pd
import xlsxwriter

from carecover.model import TABLES, utc_text

# A worksheet ends at row 1,048,576 and at 32,767 characters a cell; far below it, people open the CSV.
MAX_ROWS: Final = 100_000
MAX_CELL: Final = 32_000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
# The first moment that a ZIP archive can write.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_README: Final = (
    "The tables of the case, one file each: UTF-8 with byte order mark, commas, CRLF, times in UTC as ISO 8601, "
    "lists\r\n"
    "joined by '; ', an empty cell where nothing is known. What the columns mean: docs/tables.md of carecover.\r\n"
    "A cell that begins with = + - @ or a control character has an apostrophe (') before it, so that no spreadsheet\r\n"
    "takes it for a formula: take it away where a program reads these files.\r\n"
)


def render_csv(tables: Mapping[str, pd.DataFrame], anchors: str) -> bytes:
    """Every table that has rows as ``NAME.csv``, and README.txt, in one ZIP archive.

    ``anchors`` are the digests by which the tables can be held against their case; README.txt ends with them.
    """
    files = {"README.txt": f"{_README}{anchors}\r\n".encode("ascii")}
    for name in TABLES:
        table = tables.get(name)
        if table is not None and len(table):
            text = io.StringIO(newline="")
            out = csv.writer(text, lineterminator="\r\n")
            out.writerow(table.columns)
            out.writerows([_harmless(text_of(value)) for value in row] for row in _rows(table))
            files[f"{name}.csv"] = text.getvalue().encode("utf-8-sig", "replace")
    return zipped(files)


def render_xlsx(tables: Mapping[str, pd.DataFrame], title: str, anchors: str) -> bytes:
    """Every table that has rows as a worksheet of texts; the first sheet lists them.

    ``anchors`` as for ``render_csv``; they are the workbook's keywords, of at most 255 characters.
    """
    target = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    book = xlsxwriter.Workbook(target, options)
    created = datetime(*_EPOCH)  # noqa: DTZ001 - a fixed moment: the same tables make the same bytes
    book.set_properties({"title": title, "author": "carecover", "keywords": anchors, "created": created})
    bold = book.add_format({"bold": True, "bottom": 1, "valign": "top"})
    shown = [(name, tables[name]) for name in TABLES if name in tables and len(tables[name])]
    index = book.add_worksheet("tables")
    index.set_column(0, 0, 22)
    index.set_column(1, 2, 14)
    index.set_column(3, 3, 90)
    for place, head in enumerate(("table", "rows", "rows shown", "one row is")):
        index.write_string(0, place, head, bold)
    for row, (name, table) in enumerate(shown, start=1):
        kept = min(len(table), MAX_ROWS)
        for place, text in enumerate((name, str(len(table)), str(kept), TABLES[name].row)):
            index.write_string(row, place, text)
    for name, table in shown:
        _fill(book.add_worksheet(name[:31]), table, bold)
    book.close()
    return target.getvalue()


def _fill(sheet: xlsxwriter.worksheet.Worksheet, table: pd.DataFrame, bold: xlsxwriter.format.Format) -> None:
    sheet.freeze_panes(1, 0)
    for place, name in enumerate(table.columns):
        sheet.write_string(0, place, str(name), bold)
        sheet.set_column(place, place, min(max(len(str(name)) + 2, 18), 40))
    for row, values in enumerate(_rows(table.head(MAX_ROWS)), start=1):
        for place, value in enumerate(values):
            if text := text_of(value):
                sheet.write_string(row, place, text[:MAX_CELL])
    sheet.autofilter(0, 0, min(len(table), MAX_ROWS), len(table.columns) - 1)


def _rows(table: pd.DataFrame) -> Iterable[Sequence[object]]:
    return zip(*(table[name].tolist() for name in table.columns), strict=True)


def text_of(value: object) -> str:
    """A table's value as text that comes out the same everywhere; absent is empty."""
    if isinstance(value, list | tuple):
        return "; ".join(text_of(one) for one in value)
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):  # noqa: PLR0124 - not a number
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return utc_text(value.astimezone(UTC)) or ""
    return str(value)


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A ZIP archive that is the same whenever and wherever it is made."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            entry.create_system = 3
            archive.writestr(entry, data)
    return target.getvalue()
