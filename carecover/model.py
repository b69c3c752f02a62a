"""The words of carecover as types, and the schema of every table.

What passes between two rooms is a table declared here or a frozen dataclass of this
module, never a bare string. The file is long because it is the one place for both: a
reader who knows this file knows every column, every value list and every record.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import IntEnum
from functools import cached_property
from typing import Any, Final, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from carecover.errors import UsageError

# --------------------------------------------------------------------------- serial numbers

# RFC 5280 4.1.2.2: at most 20 octets.
MAX_SERIAL_DIGITS: Final = 40
# Copied values carry these: blanks, colons, hyphens, quotes, NO-BREAK SPACE, and the
# LEFT-TO-RIGHT MARK which the Windows certificate dialog puts in front.
_SERIAL_NOISE = re.compile("[\\s:\\-\"'\u00a0\u200b\u200c\u200d\u200e\u200f\u202a-\u202e\ufeff]+")
_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)

Layout = Literal["default", "number", "string", "foreign"]


@dataclass(frozen=True, slots=True)
class SerialAnatomy:
    """What a serial number says about itself, by the rules of [MS-WCCE] 3.2.1.4.2.1.4.6.

    ``layout`` is ``default`` (10 bytes), ``number`` (19 bytes, the request ID is there
    twice), ``string`` (HighSerial bytes of unknown length before index and request ID:
    a guess that only the CA's other rows can confirm) or ``foreign``. The other fields
    are None where the layout does not carry them.
    """

    layout: Layout
    request_id: int | None = None
    ca_cert_index: int | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class SerialNumber:
    """A certificate's serial number: compared as an integer, written as certutil writes it.

    >>> SerialNumber.parse("44 00 00 00 0B").text
    '440000000b'
    >>> SerialNumber.parse("00ab") == SerialNumber.parse("AB")
    True
    """

    value: int

    def __post_init__(self) -> None:
        """Refuse what RFC 5280 4.1.2.2 forbids and what no CA row can hold."""
        if self.value <= 0:
            raise UsageError("A serial number must be a positive number; zero and negative ones are refused.")
        if len(f"{self.value:x}") > MAX_SERIAL_DIGITS:
            raise UsageError(
                f"A serial number has at most {MAX_SERIAL_DIGITS} hex digits (RFC 5280 4.1.2.2); this one has more."
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read hexadecimal text in any of the spellings that Windows tools use.

        Raises UsageError for anything else; never repairs by guessing, and never reads
        decimal (a hexadecimal serial may by chance consist of digits only).
        """
        stripped = _SERIAL_NOISE.sub("", text[:200])
        if stripped[:2] in ("0x", "0X"):
            stripped = stripped[2:]
        if not _HEX.fullmatch(stripped):
            shown = text[:60].encode("ascii", "backslashreplace").decode("ascii")
            raise UsageError(f"'{shown}' is not a serial number: hexadecimal digits are expected.")
        return cls(int(stripped, 16))

    @property
    def text(self) -> str:
        """Canonical text: lower-case hex, an even number of digits, no leading 00."""
        digits = f"{self.value:x}"
        return digits if len(digits) % 2 == 0 else "0" + digits

    def __str__(self) -> str:
        return self.text

    @property
    def reversed(self) -> SerialNumber | None:
        """The byte-reversed twin, or None where it is not a serial number."""
        twin = int.from_bytes(bytes.fromhex(self.text)[::-1], "big")
        return SerialNumber(twin) if twin > 0 else None

    @property
    def anatomy(self) -> SerialAnatomy:
        """Decode the request ID and CA-certificate index that AD CS puts into a serial.

        Layouts: [MS-WCCE] 3.2.1.4.2.1.4.6.1 (default), .6.2 (number), .6.3 (string).
        """
        raw = bytes.fromhex(self.text)
        size = len(raw)
        native = raw[0] & 0x80 == 0 and raw[0] >> 4 != 0
        index = int.from_bytes(raw[-6:-4], "big")
        request_id = int.from_bytes(raw[-4:], "big")
        number_form = 19
        default_form = 10
        if native and size == number_form and raw[1:5] == raw[15:19]:
            return SerialAnatomy("number", request_id, index, raw[:1].hex())
        # More than 4095 renewals of one CA, or a request ID above 2^31, is no AD CS serial.
        if native and request_id < 1 << 31 and request_id > 0 and index < 1 << 12:
            if size == default_form:
                return SerialAnatomy("default", request_id, index)
            if default_form < size < number_form:
                return SerialAnatomy("string", request_id, index, raw[:-6].hex())
        return SerialAnatomy("foreign")


# ------------------------------------------------------------------ reasons, actions, kinds


class RevocationReason(IntEnum):
    """RFC 5280 5.3.1 reasons by their CRL numbers, with Microsoft's designations.

    The table is the seed article's (0-6, 8, -1); 7 is unused, 9 and 10 are in no
    Microsoft list. certutil is only ever handed 0-6, and -1 to undo a hold.
    """

    UNREVOKE = -1
    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    REMOVE_FROM_CRL = 8

    @classmethod
    def parse(cls, text: str) -> RevocationReason:
        """Read a number (``1``) or a designation (``Key Compromise``, ``keyCompromise``, ``CRL_REASON_…``)."""
        plain = re.sub(r"[^a-z0-9-]", "", text.casefold().removeprefix("crl_reason_"))
        for reason in cls:
            if plain in (str(reason.value), re.sub("[^a-z]", "", reason.designation.casefold())):
                return reason
        table = ", ".join(f"{r.value} {r.designation}" for r in cls if r.writable)
        raise UsageError(f"'{text[:40]}' is no revocation reason. Reasons: {table}.")

    @property
    def designation(self) -> str:
        """Microsoft's name of the reason, as certutil prints it."""
        return _REASONS[self][0]

    @property
    def description(self) -> str:
        """When to use it, in one sentence."""
        return _REASONS[self][1]

    @property
    def writable(self) -> bool:
        """True for the reasons that a plan may revoke with (0-6)."""
        return 0 <= self.value <= 6

    @property
    def final(self) -> bool:
        """True where the revocation can never be undone (everything but a hold)."""
        return self.writable and self is not RevocationReason.CERTIFICATE_HOLD


_REASONS: Final[dict[int, tuple[str, str]]] = {
    -1: ("Unrevoke", "Takes a certificate off hold; works only after reason 6."),
    0: ("Unspecified", "No reason is given; the CRL entry carries no reason code."),
    1: ("Key Compromise", "The private key is, or may be, in the wrong hands."),
    2: ("CA Compromise", "The key of a CA is, or may be, in the wrong hands (CA certificates only)."),
    3: ("Affiliation Changed", "The holder left the organisation or changed name or role."),
    4: ("Superseded", "Another certificate has taken this one's place."),
    5: ("Cessation of Operation", "The service or device no longer exists."),
    6: ("Certificate Hold", "Suspended; the only reason that can be undone."),
    8: ("Remove From CRL", "A delta CRL's mark that a hold ended; read, never written."),
}


class Disposition(IntEnum):
    """The state of a CA row (Request.Disposition); numbers are language-neutral."""

    PENDING = 9
    FOREIGN = 12
    CA_CERTIFICATE = 15
    CA_CERTIFICATE_CHAIN = 16
    KEY_RECOVERY_AGENT = 17
    ISSUED = 20
    REVOKED = 21
    FAILED = 30
    DENIED = 31

    @property
    def holds_certificate(self) -> bool:
        """True where the row stands for a certificate of this CA that exists in the world.

        A denied row can carry validity dates and a common name all the same.
        """
        return self in (Disposition.CA_CERTIFICATE, Disposition.ISSUED, Disposition.REVOKED)


EVENTS: Final = (
    "issued",
    "pending",
    "denied",
    "revoked",
    "unrevoked",
    "retrieve_pending",
    "imported",
    "crl_issued",
    "startup",
    "shutdown",
)

# A certificate has exactly one finding that can be acted on: the first of these that fits.
ACTIONABLE_KINDS: Final = ("serial_conflict", "orphaned", "lost_revocation", "lost_release")
# What each kind of finding means, in the words that people see.
KIND_MEANINGS: Final[Mapping[str, str]] = {
    "serial_conflict": "one serial number, two different certificates: a person must look",
    "orphaned": "issued, but missing from the restored database: it cannot be revoked as it is",
    "lost_revocation": "was revoked before the failure; the restored CA holds it to be good again",
    "lost_release": "was released from hold before the failure; the restored CA has it on hold again",
    "reused_request_id": "the restored CA handed a request ID out again",
    "unaccounted_request": "a request that left a trace, but no certificate to act on",
    "lost_pending": "a request that was waiting for approval, and is gone",
    "crl_number_regression": "the restored CA counts its CRLs from behind the last public one",
    "lost_ca_certificate": "signed under a CA certificate that the restored CA does not have: a renewal was lost",
    "suspect_notification": "a mail that does not add up: forged, of another CA, or damaged",
}
FINDING_KINDS: Final = tuple(KIND_MEANINGS)

# What tells one finding of a kind apart from another; words of findings.circumstances.
CIRCUMSTANCES: Final[Mapping[str, str]] = {
    "expired": "The certificate had expired by the restore: no client accepts it any more.",
    "before_backup": "It was issued before the backup: the restore did not lose it. Its template keeps certificates "
    "out of the database (DONOTPERSISTINDB), its row was deleted, or the time of the backup is wrong.",
    "revoked_in_window": "It was revoked between backup and failure.",
    "held_in_window": "It was put on hold between backup and failure.",
    "serial_may_return": "The CA makes serials of a constant prefix and the request ID: the restored CA can issue "
    "this very serial to somebody else.",
    "request_id_taken": "The restored CA has handed its request ID out again.",
    "mail_only": "Only mails say so, and a mail can be forged.",
    "old_key": "It was signed with an earlier key of the CA: its serial belongs on that key's CRL.",
    "other_ca_certificate": "It was signed under another CA certificate than the newest.",
}

Action = Literal["revoke", "restore", "unrevoke", "leave", "undecided"]
ACTIONS: Final[tuple[Action, ...]] = ("revoke", "restore", "unrevoke", "leave", "undecided")

Confidence = Literal["high", "medium", "low"]
Method = Literal["row", "original", "dummy", "none"]
Role = Literal["analyst", "reviewer"]
ROLES: Final[tuple[Role, ...]] = ("analyst", "reviewer")


# --------------------------------------------------------------------------------- schemas


def among(texts: pd.Series[Any], wanted: Iterable[Any]) -> pd.Series[bool]:
    """True for texts that are among these; what is NA is not. The same as ``isin``, which takes ten times as long."""
    found = pc.is_in(
        pa.array(texts.array, pa.large_string(), from_pandas=True),
        value_set=pa.array(
            wanted if isinstance(wanted, pd.Series) else list(wanted), pa.large_string(), from_pandas=True
        ),
        skip_nulls=True,
    )
    return pd.Series(np.asarray(found), index=texts.index)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries of plain values: NA is None, a time a datetime in UTC."""
    names = [str(name) for name in table.columns]
    columns = [_plain_cells(table.iloc[:, place]) for place in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain_cells(column: pd.Series[Any]) -> list[Any]:
    """The cells of a column; a list and bytes are never NA."""
    if column.dtype == _DTYPES["time"]:
        # pandas takes fifty times as long to make its own Timestamps.
        moments = column.to_numpy("datetime64[us]").astype(object)
        return [None if moment is None else moment.replace(tzinfo=UTC) for moment in moments]
    absent = column.isna()
    cells: list[Any] = column.tolist()
    return [None if na else cell for na, cell in zip(absent, cells, strict=True)] if absent.any() else cells


ColumnKind = Literal["text", "integer", "time", "flag", "list", "bytes"]

_DTYPES: Final[dict[str, Any]] = {
    "text": pd.StringDtype("pyarrow"),
    "integer": pd.Int64Dtype(),
    "time": pd.DatetimeTZDtype("us", UTC),
    "flag": pd.BooleanDtype(),
    "list": object,
    "bytes": object,
}
_OBJECTS: Final = frozenset({"list", "bytes"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, kind and meaning; ``private`` columns are not shown or exported."""

    name: str
    kind: ColumnKind
    meaning: str
    private: bool = False


@dataclass(frozen=True, slots=True)
class TableSchema:
    """One table: what a row is, and its columns in order."""

    name: str
    row: str
    columns: tuple[Column, ...]

    def empty(self) -> pd.DataFrame:
        """A frame without rows that has every column in its declared type."""
        return self.frame(())

    def frame(self, rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
        """Rows as a frame with exactly the declared columns and types; absent values are NA.

        Raises UsageError for a column that the schema does not have.
        """
        data = rows if isinstance(rows, Sequence) else list(rows)
        names = {column.name for column in self.columns}
        unknown = {key for row in data for key in row} - names
        if unknown:
            raise UsageError(f"Table {self.name} has no column {', '.join(sorted(unknown))}.")
        return self.typed({c.name: [row.get(c.name) for row in data] for c in self.columns}, len(data))

    def typed(self, columns: Mapping[str, Sequence[object] | pd.Series[Any]], length: int) -> pd.DataFrame:
        """Columns of equal length as a frame in the declared order and types."""
        series: dict[str, pd.Series[Any]] = {}
        for column in self.columns:
            values = columns.get(column.name)
            if values is None and column.kind not in _OBJECTS:
                series[column.name] = pd.Series(None, index=pd.RangeIndex(length), dtype=_DTYPES[column.kind])
                continue
            series[column.name] = self._series(column, [None] * length if values is None else values)
        return pd.DataFrame(series, columns=[c.name for c in self.columns], index=pd.RangeIndex(length))

    def conform(self, table: pd.DataFrame) -> pd.DataFrame:
        """A user's own frame brought into this schema: missing columns NA, types converted.

        Columns that the schema does not know are left out. Raises UsageError where a
        value does not fit its column's kind. A frame that fits already is returned as it is.
        """
        if list(table.columns) == [c.name for c in self.columns] and all(
            table[c.name].dtype == _DTYPES[c.kind] for c in self.columns
        ):
            return table
        present: dict[str, Any] = {c.name: table[c.name] for c in self.columns if c.name in table.columns}
        return self.typed(present, len(table))

    def to_csv(self, table: pd.DataFrame) -> str:
        """The public columns as csv: times with Z, lists as JSON in the cell, absent empty."""
        frame = pd.DataFrame(
            {c.name: [_csv_cell(v) for v in self._cells(table, c)] for c in self._public()}, dtype=object
        )
        return frame.to_csv(index=False, lineterminator="\n")

    def to_json(self, table: pd.DataFrame) -> str:
        """The public columns as a JSON array, one object a row: times with Z, absent null."""
        rows = self.json_rows(table)
        return "[" + ",\n ".join(json.dumps(row, ensure_ascii=False) for row in rows) + "]\n"

    def json_rows(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        """The public columns as JSON values, one object a row: what ``to_json`` writes."""
        columns = self._public()
        cells = [self._cells(table, c) for c in columns]
        names = [c.name for c in columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True)]

    def _public(self) -> list[Column]:
        return [c for c in self.columns if not c.private]

    @staticmethod
    def _cells(table: pd.DataFrame, column: Column) -> list[Any]:
        """A column's cells as JSON values."""
        values = list(table[column.name])
        if column.kind == "list":
            return [list(v) for v in values]
        present: list[Any] = [v if type(v) in _PLAIN else None if pd.isna(v) else v for v in values]
        if column.kind == "time":
            return [None if v is None else utc_text(v.to_pydatetime()) for v in present]
        convert = {"integer": int, "flag": bool}.get(column.kind, str)
        return [None if v is None else convert(v) for v in present]

    def _series(self, column: Column, values: Sequence[object] | pd.Series[Any]) -> pd.Series[Any]:
        try:
            if isinstance(values, pd.Series):
                if _is_of(column.kind, values.dtype):
                    # No cell has to be looked at: of a million rows that takes longer than all the rest.
                    return values.reset_index(drop=True).astype(_DTYPES[column.kind])
                values = list(values)
            if column.kind == "list":
                # A list cell is never NA: no evidence is an empty list.
                cells: list[object] = [
                    list(v) if isinstance(v, Iterable) and not isinstance(v, str) else [] for v in values
                ]
                return pd.Series(cells, dtype=object)
            if column.kind == "bytes":
                return pd.Series([v if isinstance(v, bytes) else None for v in values], dtype=object)
            if column.kind == "time":
                # Without a format pandas takes the first text's, and refuses a fraction of a second after none.
                moments = pd.to_datetime(pd.Series(list(values), dtype=object), utc=True, format="ISO8601")
                return pd.Series(moments.astype(_DTYPES["time"]))
            cleaned: list[Any] = [
                v if v is None or type(v) in _PLAIN else None if pd.isna(v) else v  # type: ignore[call-overload]
                for v in values
            ]
            return pd.Series(cleaned, dtype=_DTYPES[column.kind])  # type: ignore[no-any-return]
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(
                f"Column {self.name}.{column.name} holds a value that is no {column.kind}: {error}"
            ) from None


def _is_of(kind: ColumnKind, dtype: Any) -> bool:  # noqa: ANN401 - whatever type pandas or somebody else has made
    """True where every cell of such a column is NA or a value of this kind already."""
    if kind == "text":
        return isinstance(dtype, pd.StringDtype)
    if kind == "integer":
        return pd.api.types.is_signed_integer_dtype(dtype) and not isinstance(dtype, pd.ArrowDtype)
    if kind == "time":
        return isinstance(dtype, pd.DatetimeTZDtype)
    return kind == "flag" and (dtype == np.dtype(bool) or isinstance(dtype, pd.BooleanDtype))


def _csv_cell(value: object) -> object:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _table(name: str, row: str, *columns: tuple[str, ColumnKind, str]) -> TableSchema:
    return TableSchema(name, row, tuple(Column(n.lstrip("_"), k, m, n.startswith("_")) for n, k, m in columns))


_EVIDENCE_ID: Final[tuple[str, ColumnKind, str]] = ("evidence_id", "text", "the evidence it comes from")
_LOCATION: Final[tuple[str, ColumnKind, str]] = (
    "location",
    "text",
    "where in the evidence: 'byte 1234', 'line 56'; in an archive 'folder/in.mbox, byte 1', 'a.zip!in.mbox, byte 1'",
)

TABLES: Final[dict[str, TableSchema]] = {
    schema.name: schema
    for schema in (
        _table(
            "evidence",
            "a file handed in",
            ("evidence_id", "text", "short name within the case: E0001, E0002, …"),
            ("path", "text", "where it was when it was added"),
            ("kind", "text", "what it holds: mbox, mail, view_text, view_csv, certificate, crl, archive, …"),
            ("size", "integer", "bytes"),
            ("sha256", "text", "SHA-256 of its bytes, lower-case hex"),
            ("added_at", "time", "when it was added"),
        ),
        _table(
            "notifications",
            "one mail of the SMTP exit module",
            ("event", "text", "what happened: issued, revoked, … (carecover.model.EVENTS)"),
            ("ca_name", "text", "the CA that the mail names (SanitizedCAName)"),
            ("request_id", "integer", "request ID; not an identity, a restored CA hands it out again"),
            ("serial", "text", "serial number, canonical hex"),
            ("requester", "text", "DOMAIN\\name of the requester"),
            ("upn", "text", "user principal name"),
            ("subject", "text", "distinguished name"),
            ("template", "text", "certificate template: OID (v2 and later) or name (v1)"),
            ("not_before", "time", "start of validity"),
            ("not_after", "time", "end of validity"),
            ("revoked_at", "time", "effective time of the revocation"),
            ("reason", "integer", "revocation reason, RFC 5280 number; -1 unrevoked"),
            ("thumbprint", "text", "SHA-1 of the certificate, lower-case hex"),
            ("certificate_sha256", "text", "SHA-256 of the certificate that the mail carries"),
            ("sent_at", "time", "the Date header"),
            ("profile", "text", "the wording that explained the mail"),
            ("flags", "list", "what is odd about it: words such as zone_unknown, serial_invalid, date_order_unknown"),
            _EVIDENCE_ID,
            _LOCATION,
            ("sender", "text", "the From header's address"),
            ("message_id", "text", "the Message-ID header"),
            ("thread_index_at", "time", "the sending machine's clock, from the Thread-Index header"),
            ("received_at", "time", "when the first mail server took it, by its Received header"),
            ("received_from", "text", "the host that handed it to that server, as the server named it"),
        ),
        _table(
            "ca_rows",
            "one row of the restored CA's database, from certutil -view",
            ("request_id", "integer", "the row's request ID"),
            ("serial", "text", "serial number, canonical hex; NA where no certificate was made"),
            ("disposition", "integer", "9 pending, 15 CA certificate, 20 issued, 21 revoked, 30 failed, 31 denied"),
            ("requester", "text", "DOMAIN\\name of the requester"),
            ("subject", "text", "issued distinguished name, else issued common name"),
            ("template", "text", "certificate template: name where certutil printed one, else OID"),
            ("not_before", "time", "start of validity"),
            ("not_after", "time", "end of validity"),
            ("submitted_at", "time", "when the request arrived"),
            ("revoked_at", "time", "when the revocation was made"),
            ("effective_revoked_at", "time", "since when it is revoked"),
            ("reason", "integer", "revocation reason, RFC 5280 number"),
            ("issuer_name_id", "integer", "key index << 16 | CA-certificate index"),
            ("thumbprint", "text", "CertificateHash: SHA-1 of the certificate, lower-case hex"),
            ("certificate_sha256", "text", "SHA-256 of the certificate where the row printed it"),
            _EVIDENCE_ID,
            _LOCATION,
            ("flags", "list", "what is odd: incomplete, zone_assumed_utc, date_order_unknown, serial_invalid"),
            ("template_oid", "text", "OID of a v2 or later template, by which mails and certificates name it"),
        ),
        _table(
            "views",
            "one capture of certutil -view (a file may hold several pages)",
            _EVIDENCE_ID,
            _LOCATION,
            ("columns", "list", "schema names of the columns, in order"),
            ("rows", "integer", "rows read"),
            ("rows_claimed", "integer", "rows that the trailer claims"),
            ("complete", "flag", "true where the capture has its trailer and the counts agree"),
            ("restriction", "text", "what it leaves out: -restrict or view name of its command; what its rows show"),
            ("first_request_id", "integer", "lowest request ID"),
            ("last_request_id", "integer", "highest request ID"),
        ),
        _table(
            "certificates",
            "one X.509 certificate found outside the CA database",
            ("certificate_sha256", "text", "SHA-256 of the DER"),
            ("serial", "text", "serial number, canonical hex"),
            ("thumbprint", "text", "SHA-1 of the DER"),
            ("subject", "text", "distinguished name (RFC 4514)"),
            ("issuer", "text", "issuer's distinguished name (RFC 4514)"),
            ("not_before", "time", "start of validity"),
            ("not_after", "time", "end of validity"),
            ("template", "text", "template OID (1.3.6.1.4.1.311.21.7) or name (1.3.6.1.4.1.311.20.2)"),
            ("signed_by_ca", "flag", "true only when the signature was checked with a CA certificate of this case"),
            _EVIDENCE_ID,
            _LOCATION,
            ("is_ca", "flag", "BasicConstraints CA:TRUE"),
            ("from_mail", "flag", "carried by a mail: never taken for a CA certificate"),
            ("own_ca", "flag", "a certificate of the restored CA itself"),
            ("ca_version", "integer", "1.3.6.1.4.1.311.21.1 of a CA certificate: key index << 16 | certificate index"),
            ("key_id", "text", "subject key identifier, hex"),
            ("authority_key_id", "text", "authority key identifier, hex"),
            ("eku", "list", "extended key usage OIDs"),
            ("crl_urls", "list", "URLs of its CRL distribution points (2.5.29.31)"),
            ("ocsp_urls", "list", "URLs of OCSP responders (authority information access)"),
            ("_der", "bytes", "the certificate itself"),
        ),
        _table(
            "crls",
            "one certificate revocation list",
            ("crl_sha256", "text", "SHA-256 of the DER"),
            ("issuer", "text", "issuer's distinguished name (RFC 4514)"),
            ("crl_number", "text", "CRL number, decimal (may have 160 bits)"),
            ("this_update", "time", "thisUpdate; AD CS sets it about ten minutes back"),
            ("next_update", "time", "nextUpdate: until then a client may believe this list"),
            ("next_publish", "time", "1.3.6.1.4.1.311.21.4"),
            ("is_delta", "flag", "true where a delta CRL indicator is present"),
            ("base_crl_number", "text", "BaseCRLNumber of a delta CRL, decimal"),
            ("entries", "integer", "number of entries"),
            ("signed_by_ca", "flag", "true only when the signature was checked with a CA certificate of this case"),
            _EVIDENCE_ID,
            _LOCATION,
            ("ca_version", "integer", "1.3.6.1.4.1.311.21.1: key index << 16 | certificate index"),
            ("authority_key_id", "text", "authority key identifier, hex"),
            ("scope", "list", "what its issuing distribution point limits it to: user_certificates, some_reasons, …"),
            ("unknown_critical", "list", "OIDs of critical extensions, of list or entries, that a client may not know"),
            ("urls", "list", "where it says that it is published: issuing distribution point, published locations"),
            ("delta_urls", "list", "where its delta CRLs are (Freshest CRL, 2.5.29.46)"),
            ("point_urls", "list", "URLs of its issuing distribution point: it is for certificates that name one"),
            ("signer_key_index", "integer", "index of the CA key whose signature was found good"),
            ("_der", "bytes", "the list itself"),
        ),
        _table(
            "crl_entries",
            "one entry of a CRL",
            ("crl_sha256", "text", "the list it is in"),
            ("serial", "text", "serial number, canonical hex"),
            ("revoked_at", "time", "revocation date of the entry"),
            ("reason", "integer", "RFC 5280 number; 0 where the entry has no reason code"),
        ),
        _table(
            "audit_events",
            "one event of the CA in the Windows Security log, or of its service in the Application log",
            ("event_id", "integer", "Windows event ID, such as 4887 or 4870"),
            ("recorded_at", "time", "when Windows recorded it"),
            ("request_id", "integer", "request ID"),
            ("serial", "text", "serial number, canonical hex"),
            ("requester", "text", "DOMAIN\\name of the requester"),
            ("subject", "text", "subject of the certificate"),
            ("reason", "integer", "revocation reason, RFC 5280 number; -1 unrevoked"),
            ("crl_number", "text", "CRL number, decimal"),
            _EVIDENCE_ID,
            _LOCATION,
            ("template", "text", "certificate template"),
            ("computer", "text", "the host that recorded it"),
            ("detail", "text", "what else it says: exit event not mailed, to whom (46); base or delta (4872), …"),
            ("key_id", "text", "subject key identifier of an issued certificate (4887), hex"),
            (
                "flags",
                "list",
                "what is odd about an event that was handed in as text: zone_assumed_utc, time_missing, …",
            ),
        ),
        _table(
            "registry",
            "one value of the CA's registry, from certutil -getreg or a .reg file",
            ("key", "text", "path of the key below the CA's own (NA: that one itself), such as ExitModules\\…\\SMTP"),
            ("name", "text", "name of the value, such as EventFilter"),
            ("type", "text", "REG_DWORD, REG_SZ, REG_MULTI_SZ, …"),
            ("value", "list", "its lines; a number as decimal text, bytes as hex; empty where nobody can tell"),
            ("ca_name", "text", "the CA whose key it is (sanitized name); NA for values of all CAs (Configuration)"),
            _EVIDENCE_ID,
            _LOCATION,
        ),
        _table(
            "profiles",
            "one wording of the CA's mails: built in, of its registry, accepted by a person, or proposed",
            ("profile_id", "text", "short name of the wording, by which it is accepted"),
            ("profile", "text", "its name in table notifications"),
            ("origin", "text", "built_in, registry, accepted, proposed; unexplained: worded like one, but not read"),
            ("event", "text", "what its mails say that happened"),
            ("template", "text", "the template that it is for; NA: every one without its own"),
            ("title", "text", "its subject; … stands for a value"),
            ("columns", "list", "what it gives of a mail"),
            ("mails", "integer", "mails that it explains; of a proposal: that it would explain"),
            ("share", "integer", "percent of the CA's mails, rounded down: those explained and those unexplained"),
            ("serials", "integer", "different serial numbers in these mails"),
            ("known", "integer", "how many of them the CA's rows have"),
            ("agreeing", "integer", "of a proposal: those of them whose mails agree with the row in another value too"),
            ("checked", "list", "of a proposal: columns whose values were found in the CA's rows"),
            ("examples", "list", "of a proposal: what it would read of some mails"),
            ("senders", "list", "of a proposal: where these mails say they come from, most of them first"),
        ),
        _table(
            "crl_rows",
            "one row of the CRL table of the CA's database, from certutil -view CRL",
            ("crl_row_id", "integer", "number of the row"),
            ("crl_number", "text", "CRL number, decimal"),
            ("is_delta", "flag", "true for a delta CRL"),
            ("name_id", "integer", "key index << 16 | CA-certificate index"),
            ("this_update", "time", "thisUpdate"),
            ("next_update", "time", "nextUpdate"),
            ("published_at", "time", "when it was made and first published (CRLThisPublish)"),
            ("publish_status", "integer", "HRESULT of the publication, 0 is well"),
            _EVIDENCE_ID,
            _LOCATION,
        ),
        _table(
            "ocsp_responses",
            "the answer about one certificate in an OCSP response",
            ("response_sha256", "text", "SHA-256 of the response's DER"),
            ("serial", "text", "serial number, canonical hex"),
            ("status", "text", "good, revoked, unknown"),
            ("revoked_at", "time", "revocation date, where revoked"),
            ("reason", "integer", "RFC 5280 number; 0 where it is revoked and no reason is given"),
            ("this_update", "time", "thisUpdate"),
            ("next_update", "time", "nextUpdate; NA: newer information is always available"),
            ("produced_at", "time", "when it was signed"),
            ("issuer_key_hash", "text", "hash of the issuer's key, hex"),
            ("responder", "text", "name or key hash of the responder"),
            ("signed_by_ca", "flag", "true only when signed by the CA, or by a responder that it authorised"),
            ("signer_key_index", "integer", "index of the CA key that signed it, or that authorised the responder"),
            _EVIDENCE_ID,
            _LOCATION,
            ("_der", "bytes", "the response itself"),
        ),
        _table(
            "printed",
            "one certificate, CRL or CRL entry as certutil -dump or -store printed it: a text, which proves nothing",
            ("what", "text", "certificate, crl or crl_entry"),
            ("serial", "text", "serial number, canonical hex"),
            ("thumbprint", "text", "SHA-1 that is printed for it"),
            ("subject", "text", "subject as printed"),
            ("issuer", "text", "issuer as printed"),
            ("template", "text", "certificate template as printed"),
            ("not_before", "time", "start of validity; of a CRL thisUpdate"),
            ("not_after", "time", "end of validity; of a CRL nextUpdate"),
            ("revoked_at", "time", "of a CRL entry: since when it is revoked"),
            ("reason", "integer", "of a CRL entry: revocation reason, RFC 5280 number"),
            ("flags", "list", "what is odd: incomplete, zone_assumed_utc, date_order_unknown, serial_invalid"),
            _EVIDENCE_ID,
            _LOCATION,
        ),
        _table(
            "fetched",
            "one list or answer that clients can get, and where it was fetched",
            ("url", "text", "the distribution point that it was fetched at, or the responder that was asked"),
            ("sha256", "text", "the list (crls.crl_sha256) or answer (ocsp_responses.response_sha256)"),
            ("kind", "text", "crl, ocsp"),
            ("fetched_at", "time", "when it was handed in as fetched there, by the journal"),
            ("after_work", "flag", "true where it was handed to verify, false where it came with the evidence"),
        ),
        _table(
            "rejects",
            "one unit of evidence that could not be used",
            _EVIDENCE_ID,
            _LOCATION,
            ("stage", "text", "where it failed: open, detect, split, parse, validate"),
            ("reason", "text", "why, in a sentence"),
            ("size", "integer", "bytes of the unit"),
            ("sha256", "text", "SHA-256 of the unit's bytes"),
        ),
        _table(
            "accounting",
            "what became of the units of one piece of evidence",
            _EVIDENCE_ID,
            ("units", "integer", "mails, rows, certificates, CRLs, events found"),
            ("parsed", "integer", "units that gave rows"),
            ("irrelevant", "integer", "units that are none of carecover's business"),
            ("duplicate", "integer", "units seen before"),
            ("rejected", "integer", "units that could not be used (table rejects)"),
        ),
        _table(
            "findings",
            "one thing about which the restored CA is wrong",
            ("finding_id", "text", "stable name: kind and serial or request ID"),
            ("kind", "text", "orphaned, lost_revocation, lost_release, serial_conflict, …"),
            ("serial", "text", "serial number, canonical hex"),
            ("request_id", "integer", "request ID before the failure"),
            ("ca_cert_index", "integer", "index of the CA certificate that signed it"),
            ("ca_key_index", "integer", "index of the CA key; each key has its own CRL"),
            ("subject", "text", "distinguished name"),
            ("requester", "text", "DOMAIN\\name of the requester"),
            ("template", "text", "certificate template"),
            ("not_before", "time", "start of validity"),
            ("not_after", "time", "end of validity"),
            ("issued_at", "time", "when it was issued, by the best evidence"),
            ("original_revoked_at", "time", "when it was revoked before the failure"),
            ("original_reason", "integer", "reason of that revocation"),
            ("evidence", "list", "what shows it: 'E0001 byte 1234 (issued)'"),
            ("confidence", "text", "high, medium, low"),
            ("why", "text", "the reasons, in words"),
            ("blast_radius", "text", "what a revocation would hit, in words"),
            ("suggested_action", "text", "revoke, restore, unrevoke, leave; NA where a person must decide unaided"),
            ("suggested_reason", "integer", "reason that goes with it"),
            ("infrastructure", "flag", "CA, domain controller, OCSP, RA, recovery agent: never taken by --all"),
            ("original_sha256", "text", "SHA-256 of the verified original, where one was found"),
            ("row_thumbprint", "text", "CertificateHash of the CA row, where there is one"),
            ("circumstances", "list", "what tells it apart (carecover.model.CIRCUMSTANCES)"),
            ("replace_first", "flag", "in use and valid: to be replaced before it is revoked"),
        ),
        _table(
            "coverage",
            "one aspect of how far the evidence can be believed to be complete",
            ("aspect", "text", "what was looked at"),
            ("figure", "text", "what was counted"),
            ("verdict", "text", "good, gap, unknown"),
            ("why", "text", "what it means, in a sentence"),
        ),
        _table(
            "activity",
            "one day of the incident, in the case's time zone",
            ("day", "time", "its beginning"),
            ("mails", "integer", "notifications sent"),
            ("issued", "integer", "issued notifications among them"),
            ("events", "integer", "events of the CA's logs"),
            ("rows", "integer", "requests of the baseline submitted"),
            ("outage", "flag", "true where mails are missing for certain, or the day is unlike its like"),
            ("why", "text", "what tells so"),
        ),
        _table(
            "first_steps",
            "one thing to do now, the most urgent first",
            ("when", "text", "stop, before_start (of the restored service), now, later"),
            ("step", "text", "what to do, in a sentence"),
            ("why", "text", "what in the evidence asks for it"),
        ),
        _table(
            "owners",
            "one requester who holds certificates that findings are about",
            ("requester", "text", "DOMAIN\\name of the requester"),
            ("account", "text", "machine (the name ends in $) or user, a person or a service; NA where unknown"),
            ("certificates", "integer", "findings that can be acted on"),
            ("infrastructure", "integer", "of these, certificates that others depend on"),
            ("replace_first", "integer", "of these, to be replaced before they are revoked"),
            ("templates", "list", "their templates"),
            ("subjects", "list", "their subjects"),
            ("serials", "list", "their serial numbers"),
            ("last_not_after", "time", "until when the longest of them is valid"),
            ("suggested", "list", "what is suggested about them"),
        ),
        _table(
            "impact",
            "what revoking would hit, counted",
            ("aspect", "text", "template, validity left, growth of the CRL, …"),
            ("item", "text", "which one"),
            ("figure", "text", "how many or how much"),
            ("why", "text", "what it means, in a sentence"),
        ),
        _table(
            "decisions",
            "what is to be done about one finding",
            ("finding_id", "text", "the finding"),
            ("serial", "text", "serial number, canonical hex"),
            ("action", "text", "revoke, restore, unrevoke, leave, undecided"),
            ("reason", "integer", "revocation reason, RFC 5280 number"),
            ("note", "text", "why"),
            ("decided_by", "text", "who"),
            ("decided_at", "time", "when"),
        ),
        _table(
            "outcomes",
            "what is proved about one decision",
            ("finding_id", "text", "the finding"),
            ("serial", "text", "serial number, canonical hex"),
            ("action", "text", "what was decided"),
            ("transcript", "text", "what the batch logged"),
            ("database", "text", "what a later view of the database shows"),
            ("crl", "text", "what the new CRL of the CA shows"),
            ("cdp", "text", "what the distribution point that clients use shows"),
            ("verdict", "text", "proved, pending, failed, contradicted"),
            ("why", "text", "the reason, in a sentence"),
            ("ocsp", "text", "what OCSP responders answered"),
            ("old_revoked_at", "time", "since when it was revoked before the failure"),
            ("new_revoked_at", "time", "since when it is revoked by the new CRL"),
        ),
        _table(
            "visibility",
            "one place where clients ask, and until when they may believe an old answer",
            ("url", "text", "distribution point or responder; NA where no certificate names one"),
            ("kind", "text", "base, delta, ocsp"),
            ("ca_key_index", "integer", "index of the CA key whose list is there"),
            ("seen", "text", "what was fetched there: 'CRL 12 of …', 'nothing'"),
            ("current", "flag", "true where the new list or answer was fetched there"),
            ("trusted_until", "time", "the latest nextUpdate of an old answer; NA where unknown"),
            ("why", "text", "in a sentence"),
        ),
        _table(
            "local_crl",
            "one entry for the local CRL of an Online Responder: a planned revocation, OCSP clients see it at once",
            ("ca_key_index", "integer", "index of the CA key: each key is a revocation configuration of its own"),
            ("serial", "text", "serial number, canonical hex"),
            ("reason", "integer", "revocation reason, RFC 5280 number"),
            ("revoked_at", "time", "when it was revoked before the failure, else when it was decided"),
            ("not_after", "time", "end of validity; from then on the entry may go"),
            ("proved", "flag", "true where the new CRL lists it: the entry may go when no old list is valid any more"),
        ),
        _table(
            "issued_serials",
            "one serial number that an Online Responder with deterministic answers (KB2960124) may call good",
            ("ca_key_index", "integer", "index of the CA key"),
            ("serial", "text", "serial number, canonical hex: the name of its file in the directory"),
            ("not_after", "time", "end of validity"),
            ("source", "text", "what vouches for it: baseline, later view, verified original"),
        ),
        _table(
            "dummies",
            "one dummy file that the CA signed, as pin met it; listed until it is revoked or destroyed, and after",
            ("sha256", "text", "SHA-256 of the file"),
            ("file", "text", "its name in the bundle it came back in"),
            ("serial", "text", "serial number, canonical hex, by the name of the file"),
            ("state", "text", "pinned, leftover (dangerous until destroyed), revoked (proved by a CRL), destroyed"),
            ("by", "text", "who pinned it, met it, or says that every copy is destroyed"),
            ("at", "time", "when that was"),
        ),
        _table(
            "stamps",
            "one answer of a time-stamping authority (RFC 3161) about the journal of the case, checked and kept",
            ("act", "integer", "the act of the journal up to which all is stamped"),
            ("head", "text", "what is stamped: the SHA-256 of that act's line"),
            ("stamped_at", "time", "when that existed, by the authority's clock"),
            ("authority", "text", "the certificate that signed it: its issuer, and in brackets its serial number"),
            ("sha256", "text", "SHA-256 of the answer; it lies in reports/ under the first 16 digits"),
            ("by", "text", "who handed it in, where somebody was named"),
            ("kept_at", "time", "when it was handed in, by the clock of the machine"),
        ),
        _table(
            "crl_lint",
            "one thing about a CRL that a standard or AD CS does not do",
            ("crl_sha256", "text", "the list"),
            ("crl_number", "text", "CRL number, decimal"),
            ("severity", "text", "error (clients may refuse it), warning, notice"),
            ("rule", "text", "which rule, with its source: RFC 5280 5.3.1, …"),
            ("what", "text", "what is wrong, in a sentence"),
        ),
        _table(
            "crl_changes",
            "one serial number that two base CRLs of a key treat differently",
            ("ca_key_index", "integer", "index of the CA key"),
            ("old_number", "text", "number of the last list from before the work"),
            ("new_number", "text", "number of the list that counts now"),
            ("serial", "text", "serial number, canonical hex"),
            ("change", "text", "added, dropped, reason, date"),
            ("old_reason", "integer", "RFC 5280 number"),
            ("new_reason", "integer", "RFC 5280 number"),
            ("old_revoked_at", "time", "revocation date in the old list"),
            ("new_revoked_at", "time", "revocation date in the new list"),
            ("verdict", "text", "planned, expired, unexpected"),
            ("why", "text", "in a sentence"),
        ),
    )
}


# --------------------------------------------------------------------------------- records


# What JSON has one spelling for, and what is never NA; a plan of 100,000 items has millions of these.
_PLAIN: Final = frozenset({str, int, bool})


def canonical_json(value: object) -> bytes:
    """One spelling for one value: sorted keys, no blanks, UTF-8, no floats.

    Digests of plans and journal entries are taken over it, so it must never change.
    """

    def refuse(other: object) -> object:
        raise TypeError(f"{type(other).__name__} has no canonical form")

    def check(item: object) -> None:
        if isinstance(item, float):
            raise TypeError("floats have no canonical form")
        if isinstance(item, Mapping):
            for key, inner in item.items():
                if not isinstance(key, str):
                    raise TypeError("keys must be text")
                if type(inner) not in _PLAIN:
                    check(inner)
        elif isinstance(item, list | tuple):
            for inner in item:
                if type(inner) not in _PLAIN:
                    check(inner)

    check(value)
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=refuse
    ).encode("utf-8")


def sha256_hex(data: bytes) -> str:
    """SHA-256 of the bytes, lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def utc_text(moment: datetime | None) -> str | None:
    """A time as ISO 8601 with ``Z``, to the second where nothing finer is known."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="auto")
    return text + "Z"


DateOrder = Literal["dmy", "mdy", "ymd"]
KeyExposed = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What people know about the incident; everything may be unknown.

    Times are timezone-aware. ``config`` is the CA's configuration string ``HOST\\CA name``
    as a person typed it; nothing from evidence ever goes there.
    """

    ca: str | None = None
    backup: datetime | None = None
    failure: datetime | None = None
    restored: datetime | None = None
    time_zone: str | None = None
    date_order: DateOrder | None = None
    key_exposed: KeyExposed = "unknown"
    config: str | None = None

    @property
    def cut(self) -> datetime | None:
        """The moment up to which lost certificates can have been issued: restore, else failure.

        Nothing that the CA said between failure and restore can come from the restored CA,
        so the restore is the wider and the safer bound of the two.
        """
        return self.restored or self.failure

    def to_json(self) -> dict[str, str | None]:
        """The facts as JSON values (times in UTC)."""
        return {
            f.name: utc_text(value) if isinstance(value := getattr(self, f.name), datetime) else value
            for f in fields(self)
        }


@dataclass(frozen=True, slots=True)
class Accounting:
    """Units of one piece of evidence; ``units`` is always the sum of the other four."""

    parsed: int = 0
    irrelevant: int = 0
    duplicate: int = 0
    rejected: int = 0

    @property
    def units(self) -> int:
        """All units found."""
        return self.parsed + self.irrelevant + self.duplicate + self.rejected

    def since(self, before: Accounting) -> Accounting:
        """What was counted after ``before``."""
        return Accounting(
            self.parsed - before.parsed,
            self.irrelevant - before.irrelevant,
            self.duplicate - before.duplicate,
            self.rejected - before.rejected,
        )


@dataclass(frozen=True)
class Reading:
    """Everything that one file gave: its kind, its tables and its accounting.

    ``tables`` holds frames in their schemas without evidence_id filled in (the case does
    that); ``rejects`` is one of them whenever something was rejected.
    """

    kind: str
    tables: Mapping[str, pd.DataFrame]
    accounting: Accounting


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One step of a plan: one certificate and what is done about it."""

    number: int
    finding_id: str
    serial: str
    kind: str
    action: Action
    reason: int | None
    method: Method
    """row: the CA has it; original: import the real certificate; dummy: sign one; none: nothing to do."""
    certificate_sha256: str | None
    """The original that is imported."""
    expected_thumbprint: str | None
    """CertificateHash that the CA row must have: original's or exported row's; None for an unpinned dummy."""
    not_after: str | None
    """End of validity of the real certificate (UTC text): a dummy must not end before it."""
    ca_cert_index: int
    ca_key_index: int
    hash_waived: bool
    """Two people accept that the CA row's hash is not known."""
    original_reason: int | None
    original_revoked_at: str | None
    subject: str | None
    requester: str | None
    template: str | None
    note: str | None
    decided_by: str
    replace_first: bool = False
    """Something stops working when it is revoked: a new certificate is to be in place before."""
    short_waived: bool = False
    """Two people accept that its dummy ends before the real certificate: the CA keeps expired ones on its CRL."""

    def to_json(self) -> dict[str, Any]:
        """The step as JSON values; a mark that is not set is left out: plans that know none keep their digest."""
        body = {name: getattr(self, name) for name in _ITEM_FIELDS}
        for mark in ("replace_first", "short_waived"):
            if not body[mark]:
                del body[mark]
        return body


_ITEM_FIELDS: Final = tuple(f.name for f in fields(PlanItem))


@dataclass(frozen=True)
class Plan:
    """The decisions in order, frozen; known by its digest."""

    case: str
    ca_name: str
    config: str | None
    ca_certificate_sha256: str
    """The CA certificate (newest key and index) that preflight compares byte by byte."""
    signer_sha256: Mapping[str, str]
    """CA-certificate index (decimal text) → SHA-256 of that CA certificate, for dummies."""
    newest_request_id: int | None
    """Highest request ID of the baseline; a higher one on the CA stops the batch."""
    last_crl_numbers: Mapping[str, str]
    """CA-key index (decimal text) → highest public CRL number, decimal text."""
    items: tuple[PlanItem, ...]
    waivers: tuple[str, ...] = ()
    format: int = 1

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values; ``from_json`` gives an equal plan."""
        body: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        body["items"] = [item.to_json() for item in self.items]
        body["waivers"] = list(self.waivers)
        body["signer_sha256"] = dict(self.signer_sha256)
        body["last_crl_numbers"] = dict(self.last_crl_numbers)
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Self:
        """Read a plan back; raises UsageError where a field is missing or unknown."""
        try:
            items = tuple(PlanItem(**item) for item in body["items"])
            rest = {k: v for k, v in body.items() if k != "items"}
            return cls(**{**rest, "items": items, "waivers": tuple(rest.get("waivers", ()))})
        except (KeyError, TypeError) as error:
            raise UsageError(f"The plan file is damaged or of another format: {error}.") from None

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON: what the two people sign."""
        return sha256_hex(canonical_json(self.to_json()))

    @property
    def needs_dummies(self) -> bool:
        """True where ``prepare.cmd`` has something to sign."""
        return any(item.method == "dummy" for item in self.items)


@dataclass(frozen=True, slots=True)
class SignOff:
    """One person's signature under one digest: by a key of that person's, or by name only."""

    digest: str
    person: str
    role: Role
    at: datetime
    public_key: str | None = None
    """SubjectPublicKeyInfo (DER, lower-case hex) of the Ed25519 key that signed; None: by name only."""

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of the public key, which two people compare; None where the name is all there is."""
        return None if self.public_key is None else sha256_hex(bytes.fromhex(self.public_key))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at in a dummy: passed, failed, for a person to look at, or not to be told."""

    name: Literal["serial", "issuer", "signature", "end", "CA", "usage"]
    verdict: Literal["pass", "fail", "look", "not checked"]
    why: str


@dataclass(frozen=True, slots=True)
class Pin:
    """One dummy as it was found: what it is, and what is wrong with it (nothing, if it may be used)."""

    serial: str
    sha256: str
    thumbprint: str
    not_after: datetime
    subject: str
    is_ca: bool
    eku: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=())
    name: str = ""
    """The file in the bundle: ``dummies/SERIAL.cer``, or ``dummies/SERIAL-longer.cer`` as longer.cmd made it."""
    ends_early: bool = False
    """It ends before the real certificate. Where ``problems`` is empty all the same, two people accepted it."""
    can_be_longer: bool = False
    """Signed again with a longer life it may do: that it ends early is its only problem."""
    own_key: bool = True
    """Its key is the CA's own; else nobody here knows who has the private key."""
    needed_until: datetime | None = None
    """Before this it must not end; None where that is not known."""
    checks: tuple[Check, ...] = ()
    """Every single check; each that failed is a problem."""


def person_key(name: str) -> str:
    """Two names with the same key are the same person: case, blanks and width do not count."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def nearly_the_same(one: str, other: str) -> bool:
    """Whether two different names may be one person who mistyped: a letter or two, or words in another order.

    Counted are letters put in, left out, changed, and swapped with the next: of short names one at most.
    """
    left, right = person_key(one), person_key(other)
    if left == right or abs(len(left) - len(right)) > 2:
        return False
    if sorted(left.replace(",", " ").split()) == sorted(right.replace(",", " ").split()):
        return True
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, letter in enumerate(left, 1):
        before, last, row = row, before, [i]
        for j, facing in enumerate(right, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != facing)))
            if i > 1 and j > 1 and letter == right[j - 2] and left[i - 2] == facing:
                row[j] = min(row[j], last[j - 2] + 1)
    return row[-1] <= min(2, min(len(left), len(right)) // 3)
