"""Request IDs: which of the window left a trace, and what became of those without a serial to act on.

A CA hands out request IDs one after the other, to every request, whatever becomes of it.
So between the newest ID of the backup and the highest that anything shows, each ID without
a trace is a request that nobody can account for. Request IDs are no identity: the restored
CA hands the lost ones out again, to others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

import numpy as np
import pandas as pd

from carecover.analysis.cells import Row, cell_moment, cell_value, place, true
from carecover.analysis.layout import CaLayout
from carecover.analysis.named import among_ids, picked, with_ids
from carecover.analysis.numbering import Flags
from carecover.model import Disposition, records

# More IDs without a trace are counted by the coverage, not listed one by one.
MAX_LISTED: Final = 1_000
# A mail alone is not believed about an ID so far above every other: the range would be absurd.
MAX_LEAP: Final = 100_000

_FATE_OF_MAIL: Final = {
    "issued": "issued",
    "retrieve_pending": "issued",
    "revoked": "issued",
    "unrevoked": "issued",
    "denied": "denied",
    "pending": "pending",
}
# 4886 received, 4887 issued, 4888 denied, 4889 set to pending.
_FATE_OF_EVENT: Final = {4886: "received", 4887: "issued", 4888: "denied", 4889: "pending"}
# What says most about a request stands last.
_WEIGHT: Final = {"received": 0, "pending": 1, "denied": 2, "issued": 3}


@dataclass(frozen=True)
class Trace:
    """The best that is known about one request ID of before the cut."""

    fate: str
    row: Row
    evidence: tuple[str, ...]
    at: datetime | None
    hard: bool
    """True where the CA's own log or a signed object says what became of it, not a mail alone."""
    logged: bool = False
    """True where the CA's own log or a signed object knows the request at all."""


@dataclass(frozen=True)
class Trail:
    """What the evidence shows of request IDs before the cut.

    ``newest_known``: the highest ID of the restored database from before the cut; ``last``: the
    highest that credible evidence shows (None: none above it); ``traces``: request ID → trace, for
    requests that the restored database does not know the end of.
    """

    newest_known: int | None = None
    last: int | None = None
    traces: Mapping[int, Trace] = field(default_factory=dict)

    @property
    def first(self) -> int | None:
        """The lowest ID that the backup does not know."""
        return None if self.newest_known is None else self.newest_known + 1

    @property
    def span(self) -> int:
        """How many IDs lie between the backup and the last that is shown."""
        return 0 if self.last is None or self.first is None else self.last - self.first + 1

    @property
    def seen(self) -> int:
        """How many of them left a trace."""
        first, last = self.first, self.last
        return 0 if first is None or last is None else sum(1 for i in self.traces if first <= i <= last)

    @property
    def missing(self) -> int:
        """How many of them did not."""
        return self.span - self.seen

    @property
    def by_mail_alone(self) -> int:
        """How many of those with a trace only mails know."""
        first, last = self.first, self.last
        if first is None or last is None:
            return 0
        return sum(1 for i, trace in self.traces.items() if first <= i <= last and not trace.logged)

    def untraced(self, limit: int = MAX_LISTED) -> list[int]:
        """The first of those without a trace, lowest first."""
        if self.first is None or self.last is None:
            return []
        return list(islice((i for i in range(self.first, self.last + 1) if i not in self.traces), limit))


def follow_requests(
    mails: pd.DataFrame,
    believed: Flags,
    events: pd.DataFrame,
    shown: Iterable[tuple[str, str, bool]],
    rows: pd.DataFrame,
    late: Flags,
    layout: CaLayout,
) -> Trail:
    """The trail of request IDs.

    ``mails`` (those that are ``believed``) and ``events`` are those of before the cut; ``shown`` are
    serials that evidence shows, as (serial, where, hard), whose layout carries a request ID;
    ``rows`` is the baseline, and those that are ``late`` are the restored CA's own.
    """
    found: dict[int, Trace] = {}
    places: dict[int, list[str]] = {}

    def take(request_id: int, fate: str, row: Row, where: str, at: datetime | None, *, hard: bool) -> None:
        known = found.get(request_id)
        # A list that grows: a flood about one request must not cost the square of it.
        places.setdefault(request_id, []).append(where)
        if known is None:
            found[request_id] = Trace(fate, row, (), at, hard, hard)
            return
        bare = cell_value(known.row.get("serial")) is None
        better = (_WEIGHT[fate], bare and cell_value(row.get("serial")) is not None) > (_WEIGHT[known.fate], False)
        found[request_id] = Trace(
            fate if better else known.fate,
            row if better else known.row,
            (),
            at if better else known.at,
            hard if _WEIGHT[fate] > _WEIGHT[known.fate] else known.hard or (hard and fate == known.fate),
            hard or known.logged,
        )

    # What the restored database knows the end of needs no trace: that is most of the mails.
    telling = believed & np.asarray(mails["event"].isin(list(_FATE_OF_MAIL)), bool)
    logging = true(events["event_id"].isin(list(_FATE_OF_EVENT))).to_numpy()
    told, logged = _unsettled((mails, telling), (events, logging), rows=rows, late=late)
    for row in records(told):
        event = str(row["event"])
        take(
            int(row["request_id"]),
            _FATE_OF_MAIL[event],
            row,
            place(row, f"{event} mail"),
            cell_moment(row["sent_at"]),
            hard=False,
        )
    for row in records(logged):
        number = int(row["event_id"])
        take(
            int(row["request_id"]),
            _FATE_OF_EVENT[number],
            row,
            place(row, f"event {number}"),
            cell_moment(row["recorded_at"]),
            hard=True,
        )
    for serial, where, hard in shown:
        anatomy = layout.decode(serial)
        # Another CA's or an imported certificate carries somebody else's number.
        request_id = anatomy.request_id if layout.native(anatomy) or not layout.firsts else None
        if request_id is not None:
            take(request_id, "issued", {"serial": serial}, where, None, hard=hard)

    highest = rows["request_id"].max() if not late.any() else rows.loc[~late, "request_id"].max()
    newest = None if pd.isna(highest) else int(highest)
    traces = {request_id: replace(trace, evidence=tuple(places[request_id])) for request_id, trace in found.items()}
    return Trail(newest, _last(traces, newest), traces)


def _unsettled(*tables: tuple[pd.DataFrame, Flags], rows: pd.DataFrame, late: Flags) -> list[pd.DataFrame]:
    """Of each table the marked rows whose request is one that the restored database does not know the end of.

    It knows the end of those of before; but one that waited may have been decided since.
    """
    asked = [np.flatnonzero(which & table["request_id"].notna().to_numpy()) for table, which in tables]
    ids = [table["request_id"].iloc[at].to_numpy(np.int64) for (table, _), at in zip(tables, asked, strict=True)]
    at = with_ids(rows["request_id"], np.concatenate(ids))
    at = at[~late[at]]
    at = at[~true(rows["disposition"].iloc[at] == Disposition.PENDING).to_numpy()]
    settled = rows["request_id"].iloc[at].to_numpy(np.int64)
    return [
        picked(table, places[~among_ids(mine, settled)])
        for (table, _), places, mine in zip(tables, asked, ids, strict=True)
    ]


def _last(found: Mapping[int, Trace], newest: int | None) -> int | None:
    """The highest ID that can be believed; a mail alone does not carry it far beyond all others."""
    if newest is None:
        return None
    last = newest
    for request_id in sorted(i for i in found if i > newest):
        if not found[request_id].logged and request_id - last > MAX_LEAP:
            break
        last = request_id
    return last if last > newest else None


# -------------------------------------------------------------------------------- findings


def request_findings(
    trail: Trail,
    rows: pd.DataFrame,
    late: Flags,
    serials: Iterable[str],
    layout: CaLayout,
) -> list[dict[str, Any]]:
    """Findings about request IDs: reused, pending and lost, unaccounted for.

    ``serials`` are those that have a finding or a row of their own: a request with one of them
    is accounted for. ``late`` marks the rows of the baseline that are the restored CA's own.
    """
    at = with_ids(rows["request_id"], trail.traces)
    again = picked(rows, at[late[at]]).drop_duplicates("request_id").to_dict("records")
    taken = {int(row["request_id"]): row for row in again}
    known = frozenset(rows["request_id"].iloc[at[~late[at]]].tolist())
    settled = {layout.request_id(serial) for serial in serials} | {
        request_id for request_id, trace in trail.traces.items() if cell_value(trace.row.get("serial")) is not None
    }
    found = [
        _reused(request_id, trail.traces[request_id], row)
        for request_id, row in sorted(taken.items())
        if request_id in trail.traces and request_id not in known
    ]
    for request_id, trace in sorted(trail.traces.items()):
        if trace.fate == "pending" and request_id not in known:
            found.append(_lost_pending(request_id, trace))
        elif trace.fate == "received" and request_id not in known:
            why = f"The CA received request {request_id}; nothing says what became of it."
            found.append(_unaccounted(request_id, trace, why, "medium"))
        elif trace.fate == "issued" and request_id not in settled:
            said = "The CA's log says" if trace.hard else "A mail says"
            why = (
                f"{said} that request {request_id} was issued, but no serial number that can be believed is known. "
                "Look at the evidence, and for the certificate itself (by its key identifier, requester, subject): "
                "it may be lost."
            )
            found.append(_unaccounted(request_id, trace, why, "medium" if trace.hard else "low"))
    found += [_untraced(request_id, layout) for request_id in trail.untraced()]
    return found


def _finding(kind: str, request_id: int, trace: Trace | None, confidence: str, why: str) -> dict[str, Any]:
    row = {} if trace is None else trace.row
    names = ("requester", "subject", "template", "not_before", "not_after")
    return {
        "finding_id": f"{kind}-{request_id}",
        "kind": kind,
        "request_id": request_id,
        **{name: cell_value(row.get(name)) for name in names},
        "issued_at": trace.at if trace is not None and trace.fate == "issued" else None,
        "evidence": [] if trace is None else list(dict.fromkeys(trace.evidence)),
        "confidence": confidence,
        "why": why,
        "infrastructure": False,
        "replace_first": False,
    }


def _reused(request_id: int, trace: Trace, row: Row) -> dict[str, Any]:
    was, now = cell_value(trace.row.get("requester")), cell_value(row.get("requester"))
    before = f"{was}'s" if was else "another"
    after = f"{now}'s" if now else "another"
    why = (
        f"The restored CA has handed request ID {request_id} out again: before the failure it was {before} request, in "
        f"the restored database it is {after}. Whoever still holds the old number must not ask by it, and nobody "
        "may resolve, deny or fetch by it without looking."
    )
    finding = _finding("reused_request_id", request_id, trace, "high" if trace.hard else "medium", why)
    finding["evidence"].append(place(row, "row of the restored CA"))
    return finding


def _lost_pending(request_id: int, trace: Trace) -> dict[str, Any]:
    why = (
        f"Request {request_id} was waiting for an officer when last heard of, nothing later says what became of it, "
        "and the restored CA does not know it: have it made again. Never resolve it by its number, which may be "
        "somebody else's now."
    )
    return _finding("lost_pending", request_id, trace, "high" if trace.hard else "medium", why)


def _unaccounted(request_id: int, trace: Trace, why: str, confidence: str) -> dict[str, Any]:
    return _finding("unaccounted_request", request_id, trace, confidence, why)


def _untraced(request_id: int, layout: CaLayout) -> dict[str, Any]:
    why = (
        f"Nothing that was handed in says what became of request {request_id}, which lies between others that the CA "
        "had. It may have been a certificate. "
    )
    if layout.strings:
        why += (
            f"Its serial number would be {max(layout.strings)}{layout.newest:04x}{request_id:08x}, by this CA's "
            "layout: look for that one."
        )
    else:
        why += "Its serial number is random, so it can be neither found nor revoked without further evidence."
    finding = _finding("unaccounted_request", request_id, None, "low", why)
    finding["evidence"] = ["continuity of request IDs (absence)"]
    return finding
