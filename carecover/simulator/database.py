"""The database of a simulated CA: its rows, and the restrictions of ``certutil -view -restrict``.

Rows are made when they are asked for: a restored CA can have a million of them, of which
a recovery touches a few thousand.
"""

from __future__ import annotations

import hashlib
import operator
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Self

import pandas as pd

from carecover.errors import EvidenceError, UsageError
from carecover.model import TABLES, Disposition, SerialNumber
from carecover.simulator.authority import DatabaseRow, Template
from carecover.simulator.behaviour import Behaviour
from carecover.simulator.commandline import UnsupportedCallError
from carecover.simulator.rendering import VIEW_COLUMNS, Cell, ViewColumn, view_columns

_SIGNS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CLAUSE = re.compile(r"\s*([A-Za-z. ]+?)\s*(<=|>=|==|=|<|>)\s*(.*?)\s*")
_NUMBER = re.compile(r"-?(?:0x[0-9a-fA-F]+|[0-9]+)", re.ASCII)
_LOADED: Final = (
    *("request_id", "disposition", "requester", "subject", "template", "serial", "reason", "issuer_name_id"),
    *("thumbprint", "submitted_at", "not_before", "not_after", "revoked_at", "effective_revoked_at"),
)
_TIMES: Final = ("submitted_at", "not_before", "not_after", "revoked_at", "effective_revoked_at")


class Database:
    """Rows by request ID, in ascending order; what is put in replaces what ``load`` would make."""

    def __init__(
        self,
        ids: Sequence[int],
        load: Callable[[int], DatabaseRow],
        *,
        serials: Iterable[tuple[int, int]],
        revoked: Iterable[int],
    ) -> None:
        """``load`` makes the row of one of the ``ids``; ``serials`` are pairs of serial number and request ID."""
        self._ids = list(ids)
        self._load = load
        self._by_serial: dict[int, list[int]] = {}
        for serial, request_id in serials:
            self._by_serial.setdefault(serial, []).append(request_id)
        self._revoked = set(revoked)
        self._changed: dict[int, DatabaseRow] = {}

    @classmethod
    def of_rows(cls, rows: Iterable[DatabaseRow]) -> Self:
        """A database of rows that are all there."""
        by_id = {row.request_id: row for row in rows}
        return cls(
            sorted(by_id),
            by_id.__getitem__,
            serials=[(row.serial.value, i) for i, row in by_id.items() if row.serial],
            revoked=[i for i, row in by_id.items() if row.disposition is Disposition.REVOKED],
        )

    @classmethod
    def of_table(cls, ca_rows: pd.DataFrame) -> Self:
        """A database as a table in the schema ca_rows shows it; raises EvidenceError without request IDs."""
        table = TABLES["ca_rows"].conform(ca_rows)
        if table["request_id"].isna().any():
            raise EvidenceError(
                "Rows of the baseline have no request ID, so the CA cannot be rebuilt; "
                "export the view again with RequestID."
            )
        table = table.sort_values("request_id", kind="stable", ignore_index=True)
        position = {int(request_id): at for at, request_id in enumerate(table["request_id"])}
        # A single cell of an array is found ten times faster than a row of the frame.
        arrays = {name: table[name].array for name in _LOADED}
        with_serial = table[table["serial"].notna()]
        return cls(
            list(position),
            lambda request_id: _row_of(arrays, position[request_id]),
            serials=[
                (int(s, 16), int(i)) for s, i in zip(with_serial["serial"], with_serial["request_id"], strict=True)
            ],
            revoked=[int(i) for i in table.loc[table["disposition"] == Disposition.REVOKED, "request_id"]],
        )

    @property
    def newest(self) -> int:
        """The highest request ID; 0 where there is no row."""
        return self._ids[-1] if self._ids else 0

    def of_serial(self, serial: int) -> list[DatabaseRow]:
        """The rows with a serial number: one, unless something is wrong."""
        return [self._row(i) for i in self._by_serial.get(serial, ())]

    def revoked(self) -> Iterator[DatabaseRow]:
        """The rows that are revoked or on hold, by request ID."""
        return (self._row(i) for i in sorted(self._revoked))

    def put(self, row: DatabaseRow) -> None:
        """Change a row, or add one under a request ID above all others."""
        if row.request_id > self.newest:
            self._ids.append(row.request_id)
            if row.serial is not None:
                self._by_serial.setdefault(row.serial.value, []).append(row.request_id)
        self._changed[row.request_id] = row
        if row.disposition is Disposition.REVOKED:
            self._revoked.add(row.request_id)
        else:
            self._revoked.discard(row.request_id)

    def select(self, restriction: str, behaviour: Behaviour) -> list[DatabaseRow]:
        """The rows that a restriction lets through; commas mean "and", ``$`` is the highest request ID.

        Raises UsageError for an unknown column or a value that is no number where one must be.
        """
        clauses = [self._clause(part, behaviour) for part in restriction.split(",") if part.strip()]
        match behaviour.repeated_column:
            case "refused" if len({column.name for column, _, _ in clauses}) < len(clauses):
                raise UsageError(f"A column is restricted twice in '{restriction}'.")
            case "first":
                clauses = list({clause[0].name: clause for clause in reversed(clauses)}.values())
            case "last":
                clauses = list({clause[0].name: clause for clause in clauses}.values())
        ignore_case = behaviour.restriction_ignores_case
        ids: Sequence[int] = self._ids
        for column, sign, value in clauses:
            if column.name == "SerialNumber" and sign == "=":
                try:
                    ids = self._by_serial.get(SerialNumber.parse(str(value)).value, [])
                except UsageError:
                    return []
                break
            if column.name.endswith("RequestID") and sign == ">":
                ids = self._ids[bisect_right(self._ids, int(value)) :]
        rows = (self._row(i) for i in ids)
        return [row for row in rows if all(_holds(row, *clause, ignore_case=ignore_case) for clause in clauses)]

    def table(self) -> pd.DataFrame:
        """All rows as they are now, in the schema ca_rows."""
        return TABLES["ca_rows"].frame([_record(self._row(i)) for i in self._ids])

    def _row(self, request_id: int) -> DatabaseRow:
        return self._changed.get(request_id) or self._load(request_id)

    def _clause(self, text: str, behaviour: Behaviour) -> tuple[ViewColumn, str, str | int]:
        match = _CLAUSE.fullmatch(text)
        if not match:
            raise UsageError(f"'{text}' is no restriction.")
        column = named_columns([match[1]], behaviour)[0]
        sign, value = match[2].replace("==", "="), match[3]
        if column.type == "Long":
            if value == "$":
                return column, sign, self.newest
            if not _NUMBER.fullmatch(value):
                raise UsageError(f"'{value}' is no number.")
            return column, sign, int(value, 0 if "x" in value else 10)
        if column.type != "String":
            raise UnsupportedCallError(f"The simulated CA restricts numbers and text only, not {column.name}.")
        return column, sign, value


def named_columns(names: Iterable[str], behaviour: Behaviour) -> tuple[ViewColumn, ...]:
    """Columns as certutil takes their names: ``Disposition`` stands for ``Request.Disposition`` too.

    Where ``high_serials_padded``, a serial number whose first bit is set is written with ``00`` in front.
    Raises UsageError for a name that the database does not have.
    """
    known = {name.casefold() for name in VIEW_COLUMNS}

    def full(name: str) -> str:
        bare, prefixed = name.strip().casefold(), f"request.{name.strip().casefold()}"
        short = behaviour.short_disposition or bare != "disposition"
        return prefixed if bare not in known and prefixed in known and short else name

    columns = view_columns(full(name) for name in names)
    if not behaviour.high_serials_padded:
        return columns
    return tuple(replace(c, value=_padded_serial) if c.name == "SerialNumber" else c for c in columns)


def _padded_serial(row: DatabaseRow) -> str | None:
    if row.serial is None:
        return None
    return ("00" if row.serial.text[0] in "89abcdef" else "") + row.serial.text


def _holds(row: DatabaseRow, column: ViewColumn, sign: str, value: str | int, *, ignore_case: bool) -> bool:
    cell: Cell = column.value(row)
    if ignore_case and isinstance(value, str) and isinstance(cell, str):
        cell, value = cell.casefold(), value.casefold()
    # EMPTY compares with nothing.
    return type(cell) is type(value) and _SIGNS[sign](cell, value)


def _row_of(arrays: Mapping[str, Any], at: int) -> DatabaseRow:
    values: dict[str, Any] = {name: None if pd.isna(cell := array[at]) else cell for name, array in arrays.items()}
    times = {name: values[name] and values[name].to_pydatetime() for name in _TIMES}
    template, serial, reason, issuer = (values[n] for n in ("template", "serial", "reason", "issuer_name_id"))
    return DatabaseRow(
        request_id=int(values["request_id"]),
        disposition=Disposition(int(values["disposition"])),
        requester=values["requester"],
        subject=values["subject"],
        template=template and Template(template, template, None, timedelta(0), ()),
        serial=serial and SerialNumber.parse(serial),
        reason=None if reason is None else int(reason),
        issuer_name_id=None if issuer is None else int(issuer),
        thumbprint=values["thumbprint"],
        **times,
    )


def _record(row: DatabaseRow) -> dict[str, object]:
    return {
        "request_id": row.request_id,
        "serial": row.serial.text if row.serial else None,
        "disposition": int(row.disposition),
        "requester": row.requester,
        "subject": row.subject,
        "template": row.template.identifier if row.template else None,
        **{name: getattr(row, name) for name in _TIMES},
        "reason": row.reason,
        "issuer_name_id": row.issuer_name_id,
        "thumbprint": row.thumbprint,
        "certificate_sha256": hashlib.sha256(row.certificate).hexdigest() if row.certificate else None,
    }
