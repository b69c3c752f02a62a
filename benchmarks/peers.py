"""The same work by what a user would take instead, written as such users write it.

A peer finds request ID and serial number (in mails), or makes a table of the same columns
(of views); place, reason and account of what could not be read it gives none.
"""

from __future__ import annotations

import mmap
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks import truths
from benchmarks.work import Work

_ZONE: Final = "Europe/Berlin"
_SENDER: Final = "pki@"
_ID: Final = re.compile(r"Request ID(?: is)?: (\d+)")
_SERIAL: Final = re.compile(r"Serial Number: ([0-9a-f]+)")
_MAIL: Final = re.compile(rb"(?:\A|\n\n)From [^\n]*\n(?=[!-9;-~]+:)")
_DATES: Final = "%m/%d/%Y %I:%M %p"
_DATE_COLUMNS: Final = (
    "Request Submission Date",
    "Revocation Date",
    "Effective Revocation Date",
    "Certificate Effective Date",
    "Certificate Expiration Date",
)


def _said(text: str) -> Iterator[str]:
    if (said := _ID.search(text)) is not None:
        serial = _SERIAL.search(text)
        yield f"{said[1]} {serial[1] if serial else '-'}"


def _compat32(mail: Any) -> Iterator[str]:
    """What is in a mail of the email package, in the text of its first part that is text."""
    if _SENDER not in str(mail["From"]):
        return
    for part in mail.walk():
        if part.get_content_type() == "text/plain":
            charset = part.get_content_charset("us-ascii")
            yield from _said(part.get_payload(decode=True).decode(charset, "replace"))
            return


def stdlib_mailbox() -> Work:
    """``mailbox.mbox`` and ``email`` (compat32), the standard library."""
    import mailbox

    def do(folder: Path, name: str) -> list[str]:
        return [pair for mail in mailbox.mbox(folder / name, create=False) for pair in _compat32(mail)]

    return Work(do, truths.of_mails)


def _each(parse: Callable[[bytes], Iterator[str]]) -> Work:
    """A parser of single mails, behind a split by one regular expression over the mapped file."""

    def do(folder: Path, name: str) -> list[str]:
        pairs: list[str] = []
        with (folder / name).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            begin = None
            for match in _MAIL.finditer(data):
                if begin is not None:
                    pairs.extend(parse(data[begin : match.start()]))
                begin = match.end()
            pairs.extend(parse(data[begin:]))
        return pairs

    return Work(do, truths.of_mails)


def fast_mail_parser() -> Work:
    """fast-mail-parser, which is written in Rust."""
    from fast_mail_parser import parse_email

    def parse(data: bytes) -> Iterator[str]:
        mail = parse_email(data)
        if _SENDER in str(mail.headers.get("From")) and mail.text_plain:
            yield from _said(mail.text_plain[0])

    return _each(parse)


def mail_parser() -> Work:
    """mail-parser."""
    import mailparser

    def parse(data: bytes) -> Iterator[str]:
        mail = mailparser.parse_from_bytes(data)
        if any(_SENDER in address for _, address in mail.from_) and mail.text_plain:
            yield from _said(mail.text_plain[0])

    return _each(parse)


def scan() -> Work:
    """``rg -c '^From '``: the lines alone, with the fastest search there is; grep where there is no ripgrep."""
    command = [searcher(), "-c", "^From "]
    return Work(
        lambda folder, name: subprocess.run(
            [*command, str(folder / name)], stdout=subprocess.DEVNULL, check=True, env={"LC_ALL": "C"}
        )
    )


def searcher() -> str:
    """ripgrep, else grep; a full path."""
    found = shutil.which("rg") or shutil.which("grep")
    if found is None:
        raise FileNotFoundError("neither rg nor grep is there")
    return found


# ------------------------------------------------------------------------------------- views


def _encoding(name: str) -> str:
    return "utf-16" if name.startswith("utf16") else "utf-8"


def line_loop() -> Work:
    """A loop over the lines of ``certutil -view``, as scripts have it: a list of dicts of text, no dates read."""

    def do(folder: Path, name: str) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = []
        row: dict[str, str] = {}
        with (folder / name).open(encoding=_encoding(name)) as file:
            for line in file:
                if line.startswith("Row "):
                    row = {}
                    rows.append(row)
                elif line.startswith("  ") and rows:
                    label, _, value = line.partition(": ")
                    row[label.strip()] = value.strip().strip('"')
                elif line.startswith("Maximum Row Index"):
                    break
        return rows

    def found(rows: list[dict[str, str]]) -> truths.Truth:
        import pandas as pd

        truth = truths.Rows()
        for first in range(0, len(rows), 100_000):
            piece = rows[first : first + 100_000]
            ids = pd.Series([int(row["Request ID"].split()[0], 16) for row in piece])
            serials = pd.Series([row["Serial Number"] for row in piece], dtype="str").replace("EMPTY", None)
            ends = pd.Series([row["Certificate Expiration Date"] for row in piece]).replace("EMPTY", None)
            truth.take(ids, serials, _utc(ends), _ZONE)
        return truth.told()

    return Work(do, found)


def _utc(printed: Any) -> Any:
    import pandas as pd

    local = pd.to_datetime(printed, format=_DATES)
    return local.dt.tz_localize(_ZONE, ambiguous=True, nonexistent="shift_forward").dt.tz_convert("UTC")


def pandas_csv() -> Work:
    """pandas' C reader, with numbers and dates parsed."""
    import pandas as pd

    def do(folder: Path, name: str) -> Any:
        rows = pd.read_csv(
            folder / name, dtype="str", encoding=_encoding(name), keep_default_na=False, na_values=["EMPTY"]
        )
        for column in ("Request Disposition", "Revocation Reason", "Issuer Name ID"):
            rows[column] = pd.to_numeric(rows[column].str.partition(" ")[0]).astype("Int64")
        for column in _DATE_COLUMNS:
            rows[column] = _utc(rows[column])
        rows["Request ID"] = pd.to_numeric(rows["Request ID"])
        return rows

    def found(rows: Any) -> truths.Truth:
        truth = truths.Rows()
        return truth.take(rows["Request ID"], rows["Serial Number"], rows["Certificate Expiration Date"], _ZONE).told()

    return Work(do, found)


# --------------------------------------------------------------------------------------- gap


def _columns(folder: Path) -> Any:
    """The serial numbers of both sides, as pandas has text by default."""
    import pandas as pd

    return [pd.read_parquet(folder / f"{name}.parquet") for name in ("notifications", "ca_rows")]


def pandas_merge() -> Work:
    """``DataFrame.merge`` on the serial number: which mails have no row, and nothing more."""
    import pandas as pd  # noqa: F401 - imported before the clock runs

    def do(loaded: Any, _name: str) -> Any:
        mails, rows = loaded
        both = mails.merge(rows[["serial"]], on="serial", how="left", indicator=True)
        return both.loc[both["_merge"] == "left_only", "serial"]

    return Work(do, truths.of_mails, _columns)


def duckdb_join() -> Work:
    """duckdb, anti join on Arrow tables: which mails have no row, and nothing more."""
    import duckdb
    import pyarrow.parquet as pq

    def load(folder: Path) -> Any:
        names = ("notifications", "ca_rows")
        return [pq.read_table(folder / f"{name}.parquet", columns=["serial"]) for name in names]

    def do(loaded: Any, _name: str) -> Any:
        connection = duckdb.connect()
        for name, table in zip(("mails", "rows"), loaded, strict=True):
            connection.register(name, table)
        return connection.sql("SELECT serial FROM mails ANTI JOIN rows USING (serial)").fetchall()

    return Work(do, lambda rows: truths.of_mails(row[0] for row in rows), load)


# ------------------------------------------------------------------------------- a whole case


def scripts() -> Work:
    """What a person would write for the whole job: the standard library's mailbox, a line loop, and a set."""
    mails, rows = stdlib_mailbox(), line_loop()

    def do(folder: Path, name: str) -> list[str]:
        known = {row["Serial Number"] for row in rows.do(folder.parent / "views", "view.txt")}
        told = {pair.partition(" ")[2] for pair in mails.do(folder, name)}
        return sorted(told - known - {"-"})

    return Work(do, truths.of_mails)
