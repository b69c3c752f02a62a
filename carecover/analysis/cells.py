"""Cells and rows of tables as plain Python values: what every module of this room reads them with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import pandas as pd

# A row of a table as pandas hands it out: column name → cell.
Row: TypeAlias = Mapping[Any, Any]

# Asked of millions of cells, pandas takes its time to say that a text is one.
_NEVER_NA: Final = frozenset({str, int, bool, list, datetime})
# AD CS backdates thisUpdate and NotBefore by ClockSkewMinutes; the default is 10 minutes.
CLOCK_SKEW: Final = timedelta(minutes=10)
# The greatest time less than the skew: a signed list may bear any date.
_LATEST: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


def cell_value(cell: object) -> Any:  # noqa: ANN401 - a cell of any kind
    """The cell, or None where it is NA, NaT or NaN."""
    if cell is None or type(cell) in _NEVER_NA:
        return cell
    return None if pd.isna(cell) else cell  # type: ignore[call-overload]


def cell_moment(cell: object) -> datetime | None:
    """A time cell as a timezone-aware datetime, or None where it is NA."""
    value = cell_value(cell)
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def forward(moment: datetime) -> datetime:
    """A time that AD CS backdated, brought forward to when it happened."""
    return min(moment, _LATEST) + CLOCK_SKEW


def before(moment: datetime, span: timedelta) -> datetime:
    """A time so much earlier, or the first of all: people may name any, and a forged mail may bear any."""
    return moment - span if moment - _EARLIEST >= span else _EARLIEST


def place(row: Row, what: str) -> str:
    """Where a row comes from and what it is, as findings name their evidence."""
    where = " ".join(
        str(v) for v in (cell_value(row.get("evidence_id")), cell_value(row.get("location"))) if v is not None
    )
    return f"{where} ({what})" if where else what


def until(times: pd.Series[Any], cut: datetime | None) -> pd.Series[Any]:
    """True where the time is not after the cut; what has no time is kept and judged on its own."""
    if cut is None:
        return pd.Series(data=True, index=times.index)
    return times.isna() | (times <= cut)


def true(flags: pd.Series[Any]) -> pd.Series[Any]:
    """A flag column as plain booleans; unknown is false."""
    return flags.fillna(value=False).astype(bool)


def divide(backup: datetime | None, cut: datetime | None) -> datetime | None:
    """The moment that divides the restored database's rows: before it the lost CA's, after it its own.

    Between backup and restore there can be none, so the middle is the safest place: a backup
    takes hours, and a time zone that people got wrong moves every row by some.
    """
    return cut if backup is None or cut is None or backup >= cut else backup + (cut - backup) / 2


def asked_after(rows: pd.DataFrame, moment: datetime | None) -> pd.Series[Any]:
    """True for rows whose request came after this moment (see ``divide``): the restored CA's own.

    The time of submission tells; without it the start of validity, which is the time of
    issuance less the skew.
    """
    if moment is None:
        return pd.Series(data=False, index=rows.index)
    begun = rows["not_before"] > before(moment, CLOCK_SKEW)
    return true((rows["submitted_at"] > moment).where(rows["submitted_at"].notna(), begun))
