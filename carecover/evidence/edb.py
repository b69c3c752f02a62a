"""The CA's own database file (an ESE database, ``<CA name>.edb``): its requests and its CRLs.

The library reads pages and records; here its trees are walked (a damaged or hostile page may
lead in a circle), its values are checked like printed ones, and Requests and Certificates,
which both stand in the order of their request IDs, are joined as they come.

Table and column names are those that the public project dissect.target lists, with or
without "$" before a text column; times are Windows file times in UTC there (assumed of a real
CA, of which no public sample exists). Attributes and extensions are parts of a row, in tables
of their own, and are not looked at: the certificate has them.
"""

from __future__ import annotations

import io
import mmap
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from carecover.evidence import crl_view
from carecover.evidence.ca_row import ENGLISH, NEEDED, ca_row
from carecover.evidence.units import Irrelevant, Parsed, Reader, Rejected, Row, Source, Unit
from carecover.evidence.views import Extent

_MAGIC: Final = b"\xef\xcd\xab\x89"
_MAGIC_AT: Final = 4
_HEADER: Final = 4096
# JET_dbstateCleanShutdown; 2 is dirty.
_CLEAN: Final = 3
_CATALOG_PAGES: Final = 20_000
# A long value of 64 kB has some 20 chunks; whoever needs thousands of pages for one record walks in a circle.
_PAGES_OF_A_RECORD: Final = 2_000
# fNDDeleted of a node.
_DELETED: Final = 2
_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_TICKS: Final = 10
_YEARS: Final = range(1990, 2200)
# What a library that was written for whole files raises over damaged ones.
_DAMAGED: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
_REQUESTS: Final = "requests"
_CERTIFICATES: Final = "certificates"
_LISTS: Final = "crls"
# In the file a column has no table's name before it.
_OF_REQUESTS: Final[Mapping[str, str]] = {
    name.removeprefix("Request.").casefold(): name for name in ENGLISH.values() if name.startswith("Request.")
}
_OF_CERTIFICATES: Final[Mapping[str, str]] = {
    **{name.casefold(): name for name in ENGLISH.values() if not name.startswith("Request.")},
    "certificatehash2": "CertificateHash",
}
_OF_LISTS: Final[Mapping[str, str]] = {
    **{name.casefold(): name for name in crl_view.ENGLISH.values()},
    **{name.removeprefix("CRL").casefold(): name for name in crl_view.ENGLISH.values()},
}
_MEANINGS: Final = {_REQUESTS: _OF_REQUESTS, _CERTIFICATES: _OF_CERTIFICATES, _LISTS: _OF_LISTS}
_WANTED: Final = NEEDED | crl_view.NEEDED
_TIMES: Final = ("When", "NotBefore", "NotAfter", "Update", "Publish")
INSTEAD: Final = "Or hand in certutil -view and certutil -view CRL of the running CA, which read the same rows."


@dataclass(frozen=True, slots=True)
class Damage:
    """A page or record that could not be read: where, why, and its bytes where they are known."""

    place: str
    reason: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Found:
    """One record: its place, its values by schema name, which of them could not be read."""

    place: str
    cells: Mapping[str, object]
    unread: tuple[str, ...] = ()


# --------------------------------------------------------------------------- values → the words of a view


def _printed(value: object) -> str | None:
    """A value as ``certutil`` would print it, for the same checks; None where there is none."""
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or isinstance(value, bool | float):
        return None
    if isinstance(value, int):
        return str(value % (1 << 32))
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def _moment(value: object) -> str | None:
    """A Windows file time as text in UTC."""
    if not isinstance(value, int) or value <= 0:
        return None
    try:
        moment = _EPOCH + timedelta(microseconds=value // _TICKS)
    except OverflowError:
        return "beyond the calendar"
    # What lies outside is no file time: it is kept as a text that no date reader reads, and flagged there.
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond:06} UTC" if moment.year in _YEARS else f"year {moment.year}"


def _cells(found: Found) -> dict[str, str | None]:
    return {
        name: _moment(value) if name.endswith(_TIMES) else _printed(value)
        for name, value in found.cells.items()
        if name != "RawCertificate"
    }


# ---------------------------------------------------------------------------------- tables → units


def units_of(tables: Mapping[str, Callable[[], Iterator[Found | Damage]]], *, clean: bool) -> Iterator[Unit]:
    """The units of a database: a request each, a CRL each, and a reject for whatever could not be read.

    ``tables`` are the records of requests, certificates and crls, by those names, each in the
    order of its key.
    """
    extent, rejected = Extent(), 0
    columns: set[str] = set()
    flags = () if clean else ("database_dirty",)
    for request, certificate in _joined(tables):
        if isinstance(request, Damage):
            rejected += 1
            yield _reject(request)
            continue
        unit = _request(request, certificate, flags)
        if isinstance(unit, Rejected):
            rejected += 1
        else:
            row = unit.rows[0][1]
            extent.met(row.get("request_id"), row.get("disposition"))
            columns.update(name for each in (request, certificate) if each for name in each.cells)
        yield unit
    if extent.rows or rejected or _REQUESTS in tables:
        view: Row = {
            "location": "table Requests",
            "columns": sorted(columns),
            "rows": extent.rows,
            "complete": clean and not rejected,
            "restriction": None,
            "first_request_id": extent.first_id,
            "last_request_id": extent.last_id,
        }
        yield Parsed((("views", view),), units=0)
    listed = 0
    for found in tables[_LISTS]() if _LISTS in tables else ():
        listed += 1
        if isinstance(found, Damage):
            yield _reject(found)
        else:
            yield Parsed((("crl_rows", crl_view.crl_row(_cells(found), location=found.place)),))
    if not extent.rows and not rejected and not listed:
        yield Irrelevant()


def _reject(damage: Damage) -> Rejected:
    return Rejected.of(damage.place, "parse", f"It cannot be read: {damage.reason}. {INSTEAD}", damage.data)


def _request(request: Found, certificate: Found | None, flags: tuple[str, ...]) -> Parsed | Rejected:
    unread = [*request.unread, *(certificate.unread if certificate else ())]
    if any(name != "RawCertificate" for name in unread):
        reason = f"A column of it cannot be read ({', '.join(sorted(unread))}). {INSTEAD}"
        return Rejected.of(request.place, "parse", reason, repr(sorted(request.cells)).encode())
    cells = {**_cells(request), **(_cells(certificate) if certificate else {})}
    der = certificate.cells.get("RawCertificate") if certificate else None
    noted = flags + (("certificate_invalid",) if unread else ())
    whole = bytes(der) if isinstance(der, bytes | bytearray | memoryview) and len(der) else None
    return Parsed((("ca_rows", ca_row(cells, location=request.place, der=whole, flags=noted)),))


def _joined(
    tables: Mapping[str, Callable[[], Iterator[Found | Damage]]],
) -> Iterator[tuple[Found, Found | None] | tuple[Damage, None]]:
    """Requests with their certificates; both come in the order of their request IDs."""
    requests = tables[_REQUESTS]() if _REQUESTS in tables else iter(())
    certificates = tables[_CERTIFICATES]() if _CERTIFICATES in tables else iter(())
    waiting = next(certificates, None)
    for request in requests:
        if isinstance(request, Damage):
            yield request, None
            continue
        number = _number(request, "Request.RequestID")
        while waiting is not None and (isinstance(waiting, Damage) or _number(waiting, "RequestID") < number):
            yield from _alone(waiting)
            waiting = next(certificates, None)
        if isinstance(waiting, Found) and _number(waiting, "RequestID") == number:
            yield request, waiting
            waiting = next(certificates, None)
        else:
            yield request, None
    while waiting is not None:
        yield from _alone(waiting)
        waiting = next(certificates, None)


def _alone(found: Found | Damage) -> Iterator[tuple[Damage, None]]:
    """A certificate's record whose request was not found: told, because a row without disposition says nothing."""
    if isinstance(found, Damage):
        yield found, None
    elif found.cells.get("SerialNumber") or found.cells.get("RawCertificate") or found.unread:
        yield Damage(found.place, "its request is missing or not in order"), None


def _number(found: Found, name: str) -> int:
    value = found.cells.get(name)
    return value if isinstance(value, int) else -1


# ----------------------------------------------------------------------------------- the file


class _Guard:
    """Pages by number, with an end: what asks for more pages than it can need is led in a circle."""

    def __init__(self, page: Callable[[int], Any], limit: int) -> None:
        self._page = page
        self.left = limit

    def __call__(self, number: int) -> Any:  # noqa: ANN401 - the library has no types
        self.left -= 1
        if self.left < 0:
            raise ValueError("its pages lead in a circle")
        return self._page(number)


def _records(database: Any, table: Any, guard: _Guard) -> Iterator[Found | Damage]:  # noqa: ANN401 - the library has no types
    from dissect.database.ese.record import Record  # noqa: PLC0415 - only for this kind of evidence

    kind = table.name.casefold()
    columns = {
        column.name: meaning
        for column in table.columns
        if (meaning := _MEANINGS[kind].get(column.name.lstrip("$").casefold())) is not None and meaning in _WANTED
    }
    count = 0
    for node in _nodes(database, table, guard):
        if isinstance(node, Damage):
            yield node
            continue
        count += 1
        guard.left = _PAGES_OF_A_RECORD
        place = f"table {table.name}, record {count}"
        cells: dict[str, object] = {}
        unread: list[str] = []
        try:
            record = Record(table, node)
            _ = record.get("RequestID") if "RequestID" in table.column_names else None
        except _DAMAGED as error:
            yield Damage(place, _line(error), bytes(node.data))
            continue
        for name, meaning in columns.items():
            try:
                value = record.get(name)
            except _DAMAGED:
                unread.append(meaning)
                continue
            if cells.get(meaning) is None:
                cells[meaning] = value
        yield Found(place, cells, tuple(unread))


def _nodes(database: Any, table: Any, guard: _Guard) -> Iterator[Any]:  # noqa: ANN401 - the library has no types
    """The leaf nodes of a table in order, each page once; a page that cannot be read is a Damage."""
    stack, seen, last = [table.root_page], set(), None
    while stack:
        number = stack.pop()
        place = f"table {table.name}, page {number}"
        if number in seen:
            yield Damage(place, "its pages lead in a circle")
            continue
        seen.add(number)
        guard.left = _PAGES_OF_A_RECORD
        try:
            page = database.page(number)
            is_leaf, nodes = page.is_leaf, list(page.nodes())
            children = [] if is_leaf else [node.child for node in nodes]
        except _DAMAGED as error:
            yield Damage(place, _line(error), _raw_page(database, number))
            continue
        if is_leaf:
            last = page
            # A deleted row stays in its page until it is cleaned up; the CA shows it no more.
            yield from (node for node in nodes if not int(node.tag.flags) & _DELETED)
        stack.extend(reversed(children))
        if not stack and last is not None and last.next_page and last.next_page not in seen:
            # Pages that a split had not yet hung into the tree when the file was copied.
            stack.append(last.next_page)


def _raw_page(database: Any, number: int) -> bytes:  # noqa: ANN401 - the library has no types
    try:
        return bytes(database.read_page(number + 2))
    except _DAMAGED:
        return b""


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    from dissect.database.ese import ESE  # noqa: PLC0415 - only for this kind of evidence
    from dissect.database.exception import Error  # noqa: PLC0415 - as above

    file = source.data if isinstance(source.data, mmap.mmap) else io.BytesIO(bytes(source.data))
    try:
        database = _opened(ESE, file)
        tables = {table.name.casefold(): table for table in database.tables()}
        state = int(database.header.dbstate)
    except (*_DAMAGED, Error, MemoryError) as error:
        reason = f"The ESE database cannot be opened: {_line(error)}. {INSTEAD}"
        yield Rejected.of("header", "open", reason, source.data)
        return
    if _REQUESTS not in tables or _CERTIFICATES not in tables:
        reason = "This ESE database is none of a CA: it has no tables Requests and Certificates."
        yield Rejected.of("header", "detect", reason, source.data)
        return
    clean = state == _CLEAN
    if not clean:
        reason = (
            f"The database was not shut down cleanly (state {state}): its last transactions are only in its logs "
            f"(edb*.log), so rows may be missing or old. Recover a copy (esentutl /r). {INSTEAD}"
        )
        yield Rejected.of("header", "validate", reason, source.head[:_HEADER])
    records = {name: partial(_records, database, tables[name], database.page) for name in _MEANINGS if name in tables}
    yield from units_of(records, clean=clean)
    progress(source.size)


def _opened(kind: Any, file: Any) -> Any:  # noqa: ANN401 - the library has no types
    """The database, whose pages are counted from the first one on."""
    database = kind.__new__(kind)
    # The catalog is read while the object is made, and may lead in a circle already.
    database.page = _Guard(partial(kind.page, database), _CATALOG_PAGES)
    database.__init__(file)
    database.page = _Guard(database.page, _PAGES_OF_A_RECORD)
    return database


def _line(error: BaseException) -> str:
    words = " ".join(str(error).split())[:200] or type(error).__name__
    return words.encode("ascii", "backslashreplace").decode("ascii").rstrip(".")


READER: Final = Reader("edb", lambda source: source.head[_MAGIC_AT : _MAGIC_AT + 4] == _MAGIC, _read, alone=True)
