"""What a capture of ``certutil -view`` shows: which table of the database, and whether all of it.

certutil has predefined views: Queue (pending requests), Log (all others), LogFail (failed and
denied), Revoked, and the tables Ext, Attrib and CRL. The first four look like an export of
the database and leave rows out; what they leave out must not look lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from carecover.model import Disposition

Table: TypeAlias = Literal["requests", "crls", "others"]

# A command's end: what it was redirected to is no part of it.
_COMMAND = re.compile(r"(?i)certutil(?:\.exe)?\"?\s(?:.*\s)?-view\b([^|>]*)")
_RESTRICTION = re.compile(r"(?i)\s-restrict\s+(?:\"([^\"]*)\"|'([^']*)'|(\S+))")
_OUT = re.compile(r"(?i)\s-out\s+(?:\"([^\"]*)\"|'([^']*)'|(\S+))")
_ARGUMENTS = re.compile(r"(?i)\s-(?:restrict|out|config)\s+(?:\"[^\"]*\"|'[^']*'|\S+)")
_NAMED_VIEW = re.compile(r"(?i)(?<=\s)(Queue|LogFail|Log|Revoked)(?=\s|$)")
# Lines are longer only where they are made to be.
_MAX_COMMAND: Final = 2_000
# Rows of these dispositions alone are what Queue, Revoked and LogFail show.
_ALONE: Final = (
    frozenset({int(Disposition.PENDING)}),
    frozenset({int(Disposition.REVOKED)}),
    frozenset({int(Disposition.FAILED), int(Disposition.DENIED)}),
)


def is_command(line: str) -> bool:
    """True for a line that shows a ``certutil -view`` command, with or without its prompt."""
    return _COMMAND.search(line[:_MAX_COMMAND]) is not None


def restriction_of(line: str) -> str | None:
    """What a command leaves out: its ``-restrict`` argument, and ``view Revoked`` for a predefined view; else None."""
    command = _COMMAND.search(line[:_MAX_COMMAND])
    if command is None:
        return None
    # -restrict may stand before -view, and may hold ">".
    restrict = _RESTRICTION.search(line[:_MAX_COMMAND])
    bare = _COMMAND.search(_ARGUMENTS.sub(" ", line[:_MAX_COMMAND]))
    named = _NAMED_VIEW.search(bare[1]) if bare else None
    parts = [f"view {named[1]}"] if named else []
    if restrict:
        parts.append(next((part for part in restrict.groups() if part is not None), ""))
    return ",".join(parts) if parts else None


def columns_asked(line: str) -> list[str] | None:
    """The columns of a command's ``-out``, in order; None where it names none."""
    if _COMMAND.search(line[:_MAX_COMMAND]) is None or (out := _OUT.search(line[:_MAX_COMMAND])) is None:
        return None
    named = next(part for part in out.groups() if part is not None)
    return [name.strip() for name in named.split(",")]


def table_of(columns: Iterable[str | None]) -> Table:
    """The table that the columns belong to, by their schema names."""
    names = [name for name in columns if name]
    if any(name.startswith("CRL") for name in names):
        return "crls"
    return "others" if names and all(name.startswith(("Extension", "Attribute")) for name in names) else "requests"


@dataclass(slots=True)
class Extent:
    """How much of the database the rows of one capture are."""

    rows: int = 0
    first_id: int | None = None
    last_id: int | None = None
    _dispositions: set[int] = field(default_factory=set)

    def met(self, request_id: object, disposition: object) -> None:
        """Count a row."""
        self.rows += 1
        if isinstance(request_id, int):
            self.first_id = request_id if self.first_id is None else min(self.first_id, request_id)
            self.last_id = request_id if self.last_id is None else max(self.last_id, request_id)
        # No set that is looked for has more members than these, and hostile ones have any number.
        if len(self._dispositions) < 10:
            self._dispositions.add(disposition if isinstance(disposition, int) else -1)

    def met_all(self, rows: int, request_ids: pa.Array | None, dispositions: pa.Array | None) -> None:
        """Count rows that were read together; a column that the view does not have is None."""
        self.rows += rows
        ids = () if request_ids is None else [i for i in pc.min_max(request_ids).as_py().values() if i is not None]
        for request_id in ids:
            self.first_id = request_id if self.first_id is None else min(self.first_id, request_id)
            self.last_id = request_id if self.last_id is None else max(self.last_id, request_id)
        for disposition in [None] if dispositions is None else dispositions.unique().to_pylist():
            if len(self._dispositions) < 10:
                self._dispositions.add(-1 if disposition is None else disposition)

    def restriction(self, stated: str | None) -> str | None:
        """What the capture leaves out: what its command says, and what its rows show.

        Rows of one kind with gaps between their request IDs are a filtered view, whoever kept
        the command line to himself; so is a lone row that is not the first of the database.
        """
        shown = frozenset(self._dispositions)
        gaps = self.first_id is None or self.last_id is None or self.last_id - self.first_id + 1 != self.rows
        lone = self.rows == 1 and self.first_id != 1
        if not self.rows or not any(shown <= alone for alone in _ALONE) or not (gaps or lone):
            return stated
        told = f"rows of disposition {' and '.join(map(str, sorted(shown)))} only"
        return f"{stated},{told}" if stated else told
