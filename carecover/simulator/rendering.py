"""The text of ``certutil -view``: schema block, rows, trailer and csv, as captures show them.

The forms are those of real output (Windows Server 2019 and later); csv is described in
public scripts only, no capture of it exists: its quoting is assumed. Line ends are LF
here; who writes a file turns them into what Windows writes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from carecover.errors import UsageError
from carecover.model import DateOrder, Disposition, RevocationReason
from carecover.simulator.authority import DatabaseRow

Cell = str | int | datetime | bytes | None
ColumnType = Literal["Long", "String", "Date", "Binary"]
DateLocale = Literal["en-US", "en-GB", "de-DE", "ja-JP"]

# Short date and time pattern by locale: order, text of the date, twelve-hour clock.
_LOCALES: Final[dict[DateLocale, tuple[DateOrder, str, bool]]] = {
    "en-US": ("mdy", "{m}/{d}/{y}", True),
    "en-GB": ("dmy", "{d:02}/{m:02}/{y}", False),
    "de-DE": ("dmy", "{d:02}.{m:02}.{y}", False),
    "ja-JP": ("ymd", "{y}/{m:02}/{d:02}", False),
}


@dataclass(frozen=True, slots=True)
class DateStyle:
    """How one host writes a time: locale, zone (None is ``-gmt``) and whether with seconds."""

    locale: DateLocale = "en-US"
    zone: ZoneInfo | None = None
    seconds: bool = False

    @property
    def order(self) -> DateOrder:
        """Order of day, month and year."""
        return _LOCALES[self.locale][0]

    def text(self, moment: datetime) -> str:
        """The time as certutil and the exit module print it: ``8/17/2025 6:35 PM``."""
        local = moment.astimezone(self.zone or UTC)
        _, date, twelve = _LOCALES[self.locale]
        hour, half = local.hour, ""
        if twelve:
            hour, half = hour % 12 or 12, " AM" if hour < 12 else " PM"
        clock = f"{hour}:{local.minute:02}" if twelve else f"{hour:02}:{local.minute:02}"
        if self.seconds:
            # The form with -seconds is assumed; no capture shows it.
            clock += f":{local.second:02}.{local.microsecond // 1000:03}"
        zone = "" if self.zone else " GMT"
        return f"{date.format(d=local.day, m=local.month, y=local.year)} {clock}{half}{zone}"


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """One column of the CA database: schema name, English name, type, length, and its value in a row of its table."""

    name: str
    label: str
    type: ColumnType
    limit: str
    value: Callable[[Any], Cell]


def _hash(row: DatabaseRow) -> str | None:
    return None if row.thumbprint is None else spaced_hex(row.thumbprint)


def _template(row: DatabaseRow) -> str | None:
    return None if row.template is None else row.template.identifier


def _serial(row: DatabaseRow) -> str | None:
    return None if row.serial is None else row.serial.text


VIEW_COLUMNS: Final[dict[str, ViewColumn]] = {
    column.name: column
    for column in (
        ViewColumn("Request.RequestID", "Request ID", "Long", "4 -- Indexed", lambda r: r.request_id),
        ViewColumn(
            "Request.Disposition",
            "Request Disposition",
            "Long",
            "4 -- Indexed",
            lambda r: r.disposition.value,
        ),
        ViewColumn("Request.DispositionMessage", "Request Disposition Message", "String", "8192", lambda r: r.message),
        ViewColumn(
            "Request.SubmittedWhen",
            "Request Submission Date",
            "Date",
            "8 -- Indexed",
            lambda r: r.submitted_at,
        ),
        ViewColumn("Request.ResolvedWhen", "Request Resolution Date", "Date", "8 -- Indexed", lambda r: r.resolved_at),
        ViewColumn("Request.RevokedWhen", "Revocation Date", "Date", "8", lambda r: r.revoked_at),
        ViewColumn(
            "Request.RevokedEffectiveWhen",
            "Effective Revocation Date",
            "Date",
            "8 -- Indexed",
            lambda r: r.effective_revoked_at,
        ),
        ViewColumn("Request.RevokedReason", "Revocation Reason", "Long", "4", lambda r: r.reason),
        ViewColumn("Request.RequesterName", "Requester Name", "String", "2048 -- Indexed", lambda r: r.requester),
        ViewColumn("RequestID", "Issued Request ID", "Long", "4 -- Indexed", lambda r: r.request_id),
        ViewColumn("RawCertificate", "Binary Certificate", "Binary", "16384", lambda r: r.certificate),
        ViewColumn("CertificateHash", "Certificate Hash", "String", "128 -- Indexed", _hash),
        ViewColumn("CertificateTemplate", "Certificate Template", "String", "254 -- Indexed", _template),
        ViewColumn("SerialNumber", "Serial Number", "String", "128 -- Indexed", _serial),
        ViewColumn("IssuerNameID", "Issuer Name ID", "Long", "4", lambda r: r.issuer_name_id),
        ViewColumn("NotBefore", "Certificate Effective Date", "Date", "8", lambda r: r.not_before),
        ViewColumn("NotAfter", "Certificate Expiration Date", "Date", "8 -- Indexed", lambda r: r.not_after),
        ViewColumn("UPN", "User Principal Name", "String", "2048 -- Indexed", lambda r: r.upn),
        ViewColumn("DistinguishedName", "Issued Distinguished Name", "String", "8192", lambda r: r.subject),
        ViewColumn("CommonName", "Issued Common Name", "String", "8192 -- Indexed", lambda r: r.common_name),
    )
}


@dataclass(frozen=True, slots=True)
class CrlTableRow:
    """One row of the database's CRL table ([MS-CSRA] 3.1.1.4.1): a base CRL of one key."""

    row_id: int
    number: int
    name_id: int
    """Key index << 16 | index of the CA certificate."""
    this_update: datetime | None
    next_update: datetime | None
    published_at: datetime | None
    min_base: int = 0
    """The number of the base that a delta CRL belongs to; 0 for a base."""


# Schema names from [MS-CSRA] 3.1.1.4.1 and certsrv.h; the English labels are assumed.
CRL_COLUMNS: Final[dict[str, ViewColumn]] = {
    column.name: column
    for column in (
        ViewColumn("CRLRowId", "CRL Row ID", "Long", "4 -- Indexed", lambda r: r.row_id),
        ViewColumn("CRLNumber", "CRL Number", "Long", "4 -- Indexed", lambda r: r.number),
        ViewColumn("CRLNameId", "CRL Name ID", "Long", "4", lambda r: r.name_id),
        ViewColumn("CRLMinBase", "CRL Minimum Base", "Long", "4", lambda r: r.min_base),
        ViewColumn("CRLCount", "CRL Count", "Long", "4", lambda _r: None),
        ViewColumn("CRLThisUpdate", "CRL This Update", "Date", "8", lambda r: r.this_update),
        ViewColumn("CRLNextUpdate", "CRL Next Update", "Date", "8 -- Indexed", lambda r: r.next_update),
        ViewColumn("CRLThisPublish", "CRL This Publish", "Date", "8", lambda r: r.published_at),
        ViewColumn("CRLNextPublish", "CRL Next Publish", "Date", "8 -- Indexed", lambda _r: None),
        ViewColumn("CRLPropagationComplete", "CRL Propagation Complete", "Date", "8 -- Indexed", lambda _r: None),
        ViewColumn("CRLPublishFlags", "CRL Publish Flags", "Long", "4", lambda _r: 5),
        ViewColumn("CRLPublishStatusCode", "CRL Publish Status Code", "Long", "4 -- Indexed", lambda _r: 0),
    )
}

# Microsoft's words for the dispositions that a CA row can show.
_DISPOSITIONS: Final = {
    Disposition.PENDING: "Taken Under Submission",
    Disposition.FOREIGN: "Foreign",
    Disposition.CA_CERTIFICATE: "CA Cert",
    Disposition.CA_CERTIFICATE_CHAIN: "CA Cert Chain",
    Disposition.KEY_RECOVERY_AGENT: "Key Recovery Agent",
    Disposition.ISSUED: "Issued",
    Disposition.REVOKED: "Revoked",
    Disposition.FAILED: "Failed",
    Disposition.DENIED: "Denied",
}


def view_columns(
    names: Iterable[str], table: Mapping[str, ViewColumn] = MappingProxyType(VIEW_COLUMNS)
) -> tuple[ViewColumn, ...]:
    """Columns by schema name or English display name, in any case, as ``-out`` takes them.

    Raises UsageError for a name that the table does not have.
    """
    known = {name.casefold(): column for name, column in table.items()}
    known |= {column.label.casefold(): column for column in table.values()}
    chosen = []
    for name in names:
        column = known.get(name.strip().casefold())
        if column is None:
            raise UsageError(f"The simulated CA database has no column '{name}'.")
        chosen.append(column)
    return tuple(chosen)


def hex_number(value: int) -> str:
    """A number as the row dump prints it: ``0x3``, and from ten on ``0xb (11)``."""
    return f"{value:#x}" if value < 10 else f"{value:#x} ({value})"


def spaced_hex(digits: str) -> str:
    """Hex pairs with blanks between, as certutil prints hashes."""
    return bytes.fromhex(digits).hex(" ")


def pem(certificate: bytes) -> str:
    """A certificate as certutil prints it: 64 characters a line, with its BEGIN and END lines."""
    return f"-----BEGIN CERTIFICATE-----\n{base64_lines(certificate)}-----END CERTIFICATE-----\n"


def base64_lines(data: bytes, width: int = 64) -> str:
    """Base64 in lines of ``width`` characters, each ended by a line feed."""
    text = b64encode(data).decode("ascii")
    return "".join(f"{text[i : i + width]}\n" for i in range(0, len(text), width))


# ------------------------------------------------------------------------------ the row dump


def schema_block(columns: Sequence[ViewColumn]) -> str:
    """The ``Schema:`` preamble; a name too long for its place is followed by two blanks."""
    lines = [
        "Schema:",
        "  Column Name                   Localized Name                Type    MaxLength",
        "  ----------------------------  ----------------------------  ------  ---------",
    ]
    lines += [f"  {c.name:<28}  {c.label:<28}  {c.type:<6}  {c.limit}" for c in columns]
    return "\n".join(lines) + "\n"


def row_block(index: int, row: DatabaseRow | CrlTableRow, columns: Sequence[ViewColumn], style: DateStyle) -> str:
    """One row of the dump; ``index`` counts from 1 and is not the request ID."""
    lines = [f"Row {index}:"]
    for column in columns:
        value = column.value(row)
        if isinstance(value, bytes):
            lines.append(f"  {column.label}:\n{pem(value)}")
        else:
            lines.append(f"  {column.label}: {_text_cell(column, value, row, style)}")
    return "\n".join(lines) + "\n"


def trailer(rows: int, sizes: Sequence[int]) -> str:
    """The counts behind the last row; ``sizes`` are number, total and largest size of all cells."""
    count, total, largest = sizes
    average = total // count if count else 0
    cells = f"Total Size = {total}, Max Size = {largest}, Ave Size = {average}"
    none = "Total Size = 0, Max Size = 0, Ave Size = 0"
    return (
        f"Maximum Row Index: {rows}\n\n{rows} Rows\n"
        f"{count:>4} Row Properties, {cells}\n"
        f"   0 Request Attributes, {none}\n"
        f"   0 Certificate Extensions, {none}\n"
        f"{count:>4} Total Fields, {cells}\n"
    )


def completed(verb: str) -> str:
    """The English line of success."""
    return f"CertUtil: -{verb} command completed successfully.\n"


def view_text(
    rows: Iterable[DatabaseRow | CrlTableRow], columns: Sequence[ViewColumn], style: DateStyle
) -> Iterator[str]:
    """A whole ``certutil -view`` row dump, piece by piece."""
    yield schema_block(columns)
    count = total = largest = 0
    for count, row in enumerate(rows, start=1):
        yield "\n"
        yield row_block(count, row, columns, style)
        sizes = [_size(column.value(row)) for column in columns]
        total += sum(sizes)
        largest = max(largest, *sizes)
    yield "\n"
    yield trailer(count, (count * len(columns), total, largest))
    yield completed("view")


def view_csv(rows: Iterable[DatabaseRow], columns: Sequence[ViewColumn], style: DateStyle) -> Iterator[str]:
    """A whole ``certutil -view … csv``: a header of display names, then the rows.

    Quoting everything and doubling quotes is assumed; so is the absence of a status line.
    """
    yield ",".join(f'"{c.label}"' for c in columns) + "\n"
    for row in rows:
        cells = (_csv_cell(c, c.value(row), row, style) for c in columns)
        yield ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"


def _text_cell(column: ViewColumn, value: Cell, row: DatabaseRow | CrlTableRow, style: DateStyle) -> str:
    if value is None or value == "":
        return "EMPTY"
    if isinstance(value, int):
        meaning = _meaning(column, value)
        if column.name == "IssuerNameID":
            return f"{hex_number(value)} {meaning}"
        return f"{hex_number(value)} -- {meaning}" if meaning else hex_number(value)
    if isinstance(value, datetime):
        return style.text(value)
    template = row.template if isinstance(row, DatabaseRow) and column.name == "CertificateTemplate" else None
    if template is not None and template.oid is not None:
        return f'"{value!s}" {template.display_name}'
    return f'"{value!s}"'


def _csv_cell(column: ViewColumn, value: Cell, row: DatabaseRow, style: DateStyle) -> str:
    if value is None or value == "":
        return "EMPTY"
    if isinstance(value, bytes):
        return f"{len(value)} Bytes"
    if isinstance(value, int):
        meaning = _meaning(column, value)
        if column.name == "IssuerNameID":
            return f"{value} {meaning}"
        return f"{value} -- {meaning}" if meaning else str(value)
    if isinstance(value, datetime):
        return style.text(value)
    if column.name == "CertificateTemplate" and row.template is not None and row.template.oid is not None:
        return f"{value} {row.template.display_name}"
    return value


def _meaning(column: ViewColumn, value: int) -> str:
    match column.name:
        case "Request.Disposition":
            return _DISPOSITIONS[Disposition(value)]
        case "Request.RevokedReason":
            return f"Reason: {RevocationReason(value).designation}"
        case "IssuerNameID":
            return f"CA Version {value & 0xFFFF}.{value >> 16}"
        case _:
            return ""


def _size(value: Cell) -> int:
    if isinstance(value, str):
        return 2 * len(value)
    if isinstance(value, bytes):
        return len(value)
    return 0 if value is None else 8 if isinstance(value, datetime) else 4
