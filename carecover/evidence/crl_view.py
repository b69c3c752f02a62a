"""The columns of the CRL table (``certutil -view … CRL``) → one row of ``crl_rows``.

Schema names and what they mean: [MS-CSRA] 3.1.1.4.1. No capture of this view is public; the
English display names are assumed where no public script names them, and serve only csv and
captures without a Schema block. That CRLNameId has the form of IssuerNameID is assumed too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from carecover.evidence import values
from carecover.evidence.units import PrintedTime, Row

ENGLISH: Final[Mapping[str, str]] = {
    "CRL Row ID": "CRLRowId",
    "CRL Number": "CRLNumber",
    "CRL Minimum Base": "CRLMinBase",
    "CRL Name ID": "CRLNameId",
    "CRL Count": "CRLCount",
    "CRL This Update": "CRLThisUpdate",
    "CRL Next Update": "CRLNextUpdate",
    "CRL This Publish": "CRLThisPublish",
    "CRL Next Publish": "CRLNextPublish",
    "CRL Effective": "CRLEffective",
    "CRL Propagation Complete": "CRLPropagationComplete",
    "CRL Last Published": "CRLLastPublished",
    "CRL Publish Attempts": "CRLPublishAttempts",
    "CRL Publish Flags": "CRLPublishFlags",
    "CRL Publish Status Code": "CRLPublishStatusCode",
    "CRL Publish Error Information": "CRLPublishError",
    "CRL Raw CRL": "CRLRawCRL",
}
_TIMES: Final = (
    ("this_update", "CRLThisUpdate"),
    ("next_update", "CRLNextUpdate"),
    ("published_at", "CRLThisPublish"),
)
NEEDED: Final = frozenset(
    {"CRLRowId", "CRLNumber", "CRLMinBase", "CRLNameId", "CRLPublishFlags", "CRLPublishStatusCode"}
    | {name for _, name in _TIMES}
)
# certsrv.h: CPF_BASE, CPF_DELTA.
_BASE, _DELTA = 1, 2


def crl_row(cells: Mapping[str, str | None], *, location: str) -> Row:
    """One row of ``crl_rows`` from schema names and printed values (None: the row says that there is none)."""
    row: dict[str, object] = {
        "location": location,
        "crl_row_id": _integer(cells.get("CRLRowId")),
        "name_id": _integer(cells.get("CRLNameId")),
        "publish_status": _integer(cells.get("CRLPublishStatusCode")),
        "is_delta": _is_delta(_integer(cells.get("CRLMinBase")), _integer(cells.get("CRLPublishFlags"))),
    }
    number = _integer(cells.get("CRLNumber"))
    row["crl_number"] = None if number is None or number < 0 else str(number)
    for column, name in _TIMES:
        if (printed := values.given(cells.get(name))) is not None:
            row[column] = PrintedTime(printed)
    return row


def _integer(text: str | None) -> int | None:
    try:
        return values.integer(text)
    except ValueError:
        return None


def _is_delta(minimum_base: int | None, flags: int | None) -> bool | None:
    """[MS-CSRA] 3.1.1.4.1: a minimum base of 0 is a base CRL's; else the flags tell."""
    if minimum_base is not None:
        return minimum_base != 0
    told = (flags or 0) & (_BASE | _DELTA)
    return None if told not in (_BASE, _DELTA) else told == _DELTA
