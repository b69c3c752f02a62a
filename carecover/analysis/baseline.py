"""One baseline out of the views that were handed in, or a question.

A filtered view invents orphans, one made after the mending hides them, and a cut one does
both. So views are joined only where they cannot contradict each other: pages whose request
IDs do not overlap, and several exports of the very same rows (text and csv). Everything
else is asked about. A view is one capture, whether a file, an archive or a file of many pages
holds it: a responder packs the view of after the mending beside that of before.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from carecover.analysis.cells import asked_after, true
from carecover.errors import QuestionError
from carecover.model import TABLES, SerialNumber

# What makes two exports of one row the same row.
_STATE: Final = ["serial", "disposition", "reason"]
# A RequestID window is how large databases are exported page by page; it filters nothing out.
_WINDOW: Final = re.compile(r"\s*(Request\.)?RequestID\s*(>=?|<=?)\s*(0x[0-9a-f]+|\d+)\s*", re.IGNORECASE)

# Where a row or a capture stands: in which file of an archive, and at which line of it.
_LINE: Final = re.compile(r"(?:(.*), )?line (\d+)(?:, row \d+)?", re.DOTALL)

# Zones reach from -12 to +14 hours.
_ANY_ZONE: Final = timedelta(hours=14)

# People name the time at which a backup began; the CA goes on meanwhile.
_BACKUP_TAKES: Final = timedelta(hours=1)

# So many names of evidence stand in a sentence.
_MAX_NAMED: Final = 20
# And so much of the name of a file in an archive.
_MAX_NAME: Final = 100


@dataclass(frozen=True)
class Baseline:
    """The restored CA's database as it was right after the restore.

    ``rows`` is a ca_rows frame with one row a request ID (rows without one are kept);
    ``evidence_ids`` the views it was made of; ``notes`` sentences for the coverage.
    """

    rows: pd.DataFrame
    evidence_ids: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def first_request_id(self) -> int | None:
        """Lowest request ID; nothing below it is judged."""
        lowest = self.rows["request_id"].min()
        return None if pd.isna(lowest) else int(lowest)

    @property
    def newest_request_id(self) -> int | None:
        """Highest request ID: what the restored CA had handed out when it was exported."""
        highest = self.rows["request_id"].max()
        return None if pd.isna(highest) else int(highest)


def assemble_baseline(
    ca_rows: pd.DataFrame,
    views: pd.DataFrame,
    chosen: Sequence[str] | None = None,
    *,
    backup: datetime | None = None,
    failure: datetime | None = None,
    restored: datetime | None = None,
) -> Baseline:
    """Join the views (tables ``ca_rows`` and ``views``) into the one baseline.

    ``chosen`` names the evidence a person decided on; it settles every question but that
    of two chosen views which contradict each other. ``restored`` is when the restored CA
    first ran: what was mended since shows in a view that was made too late. ``backup`` and
    ``failure`` enclose the requests that the restored CA cannot know: they show in a view, or a database
    file, of the CA that was lost. Raises QuestionError otherwise.
    """
    present = [str(e) for e in views["evidence_id"].dropna().unique()]
    if chosen:
        missing = [e for e in chosen if e not in present]
        if missing:
            if not present:
                raise QuestionError(f"{', '.join(missing)} holds no database view, nor does any other. Hand in a view.")
            raise QuestionError(f"{', '.join(missing)} holds no database view. {_how_to_choose(present)}")
        usable = list(chosen)
    else:
        usable = _usable(views, present)
    rows = ca_rows[ca_rows["evidence_id"].isin(usable)]
    notes: list[str] = []
    pages: list[_Page] = []
    for evidence_id in usable:
        part = rows[rows["evidence_id"] == evidence_id]
        if not chosen and (mended := _mended(part, restored)):
            raise QuestionError(
                f"{evidence_id} was made after mending had begun ({mended}): what was mended no longer looks lost. "
                f"Hand in the view from right after the restore; later ones belong to 'carecover verify'. "
                f"{_how_to_choose(present, evidence_id)}"
            )
        if not chosen and (lost := _of_the_lost_ca(part, backup, failure or restored)):
            raise QuestionError(
                f"{evidence_id} looks like the database of before the failure: {lost}, which a CA restored from that "
                "backup cannot know. Were it taken for the restored CA's, nothing would look lost. Where the "
                "transaction logs were replayed, or the time of the backup is another, say so. "
                f"{_how_to_choose(present, evidence_id)}"
            )
        for name, capture in _captures(evidence_id, part, views[views["evidence_id"] == evidence_id]):
            known = capture["request_id"].dropna()
            if known.duplicated().any() and not _same_state(capture):
                raise QuestionError(
                    f"{name} lists the same request IDs more than once with different states: pages made at "
                    "different times. Export the database again in one go."
                )
            if known.value_counts().nunique() > 1:
                raise QuestionError(
                    f"{name} lists some request IDs more than once and others not: exports that overlap, one of which "
                    "is older, newer or filtered. Export the database again in one go."
                )
            once = capture[~(capture["request_id"].notna() & capture["request_id"].duplicated())]
            _place(pages, _Page(evidence_id, name, once), usable, notes)
    merged = pd.concat([page.rows for page in pages], ignore_index=True) if pages else TABLES["ca_rows"].empty()
    return Baseline(merged, tuple(usable), tuple(notes))


def _usable(views: pd.DataFrame, present: Sequence[str]) -> list[str]:
    """Views that can serve without asking; raises QuestionError for the first that cannot."""
    usable: list[str] = []
    without_serial: list[str] = []
    for evidence_id in present:
        mine = views[views["evidence_id"] == evidence_id]
        columns = {name for cell in mine["columns"] for name in cell}
        if "SerialNumber" not in columns and "RawCertificate" not in columns:
            without_serial.append(evidence_id)
            continue
        filters = [text for text in mine["restriction"].dropna() if not is_window(str(text))]
        if filters:
            raise QuestionError(
                f"{evidence_id} is a filtered view: it {_how_filtered(str(filters[0]))}, so rows that it lacks may "
                f"well be in the database. Hand in an unfiltered export. {_how_to_choose(present, evidence_id)}"
            )
        if (mine["complete"] == False).any():  # noqa: E712 - NA (csv has no trailer) is no complaint
            claimed = mine["rows_claimed"].sum()
            claims = f"it claims {int(claimed)} rows and holds" if claimed else "its end is missing; it holds"
            raise QuestionError(
                f"{evidence_id} is incomplete: {claims} {int(mine['rows'].sum())}. Certificates from the missing rows "
                f"would look lost. Hand in a complete export. {_how_to_choose(present, evidence_id)}"
            )
        usable.append(evidence_id)
    if not usable and without_serial:
        raise QuestionError(
            f"{', '.join(without_serial)} has no column SerialNumber, so nothing can be compared with it. Export with: "
            'certutil -gmt -seconds -view -out "RequestID,SerialNumber,Request.Disposition,CertificateHash,…"'
        )
    return usable


def _how_to_choose(present: Sequence[str], *doubtful: str) -> str:
    """The command that answers the question, with the views that nothing is known against; else with all."""
    chosen = [e for e in present if e not in doubtful] or list(present)
    named = ", ".join(present[:_MAX_NAMED]) + (" …" if len(present) > _MAX_NAMED else "")
    command = f"carecover baseline CASE {' '.join(chosen[:_MAX_NAMED])} --by YOUR-NAME"
    return f"Views at hand: {named}. Say which to use, such as: {command}"


def _how_filtered(restriction: str) -> str:
    if restriction.startswith("view "):
        return f"is the predefined view '{restriction.removeprefix('view ')[:20]}'"
    if restriction.startswith("rows of "):
        return f"holds {restriction[:40]}, with gaps between them"
    return "was made with -restrict"


def _mended(rows: pd.DataFrame, restored: datetime | None) -> str:
    """What in the rows was done after the restore to mend it, in words; nothing where nothing was.

    An imported certificate takes a new request ID, while its serial carries the old one
    (ICertAdmin::ImportCertificate returns a new RequestID).
    """
    if restored is None:
        return ""
    # Local time that was taken for UTC may be anywhere within the zones.
    guessed = any("zone_assumed_utc" in flags for flags in rows["flags"])
    since = restored + (_ANY_ZONE if guessed else timedelta())
    again = rows[true(rows["revoked_at"] > since) & ~asked_after(rows, restored)]
    old = rows.loc[true(rows["submitted_at"] <= since), "request_id"].max()
    late = rows[rows["serial"].notna() & rows["request_id"].notna() & rows["submitted_at"].isna()]
    late = late[true(late["request_id"] > old)] if not pd.isna(old) else late.iloc[:0]
    imported = sum(_imported(str(s), int(i)) for s, i in zip(late["serial"], late["request_id"], strict=True))
    told = [
        f"{n} {what if n == 1 else many}"
        for n, what, many in (
            (imported, "certificate was imported", "certificates were imported"),
            (len(again), "row was revoked since", "rows were revoked since"),
        )
        if n
    ]
    return ", ".join(told)


def _of_the_lost_ca(rows: pd.DataFrame, backup: datetime | None, end: datetime | None) -> str:
    """Requests in the rows that were made after the backup and before the failure, in words; nothing where none was."""
    if backup is None or end is None:
        return ""
    guessed = any("zone_assumed_utc" in flags for flags in rows["flags"])
    # The zone that somebody named, or the clock, may be wrong as well; the lost CA went on until the failure, so the
    # later half of the window tells it even then.
    margin = _ANY_ZONE if guessed else min(_ANY_ZONE, max(_BACKUP_TAKES, (end - backup) / 2))
    inside = rows[
        true(rows["submitted_at"] > backup + margin)
        & true(rows["submitted_at"] <= end - (margin if guessed else _BACKUP_TAKES))
    ]
    if not len(inside):
        return ""
    newest = inside["submitted_at"].max().strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{len(inside)} of its requests {'was' if len(inside) == 1 else 'were'} made between the backup and the "
        f"failure, the newest at {newest}"
    )


def _imported(serial: str, request_id: int) -> bool:
    """True where the 19-byte form, which checks itself, carries another request ID than the row has."""
    anatomy = SerialNumber.parse(serial).anatomy
    return anatomy.layout == "number" and anatomy.request_id != request_id


def is_window(restriction: str) -> bool:
    """True where a -restrict argument only bounds request IDs, as pages of one export do."""
    return all(_WINDOW.fullmatch(part) for part in restriction.split(","))


def _same_state(rows: pd.DataFrame) -> bool:
    known = rows[rows["request_id"].notna()]
    return not bool((known.groupby("request_id")[_STATE].nunique(dropna=False) > 1).to_numpy().any())


@dataclass
class _Page:
    """The rows of one capture; ``name`` is how it is told of."""

    evidence_id: str
    name: str
    rows: pd.DataFrame
    ids: npt.NDArray[np.int64] = field(init=False)
    first: int = field(init=False)
    last: int = field(init=False)

    def __post_init__(self) -> None:
        """The request IDs, each once and in order, which are looked at again for each other page; -1 for none."""
        self.ids = np.unique(self.rows["request_id"].dropna().to_numpy(np.int64))
        self.first, self.last = (int(self.ids[0]), int(self.ids[-1])) if self.ids.size else (-1, -1)


def _captures(evidence_id: str, rows: pd.DataFrame, views: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of one piece of evidence by the capture that they stand in, by request ID; and how each is told of.

    A capture begins at the line that its row of ``views`` names, and ends where the next one of the same file begins.
    """
    begins: dict[str, list[int]] = {}
    for place in views["location"].dropna():
        if (found := _LINE.fullmatch(place)) is not None:
            begins.setdefault(found[1] or "", []).append(int(found[2]))
    if len(views) <= 1:
        return [(evidence_id, rows)]
    for lines in begins.values():
        lines.sort()
    members: dict[tuple[str, int], list[int]] = {}
    for number, place in enumerate(rows["location"].fillna("")):
        found = _LINE.fullmatch(place)
        member, line = (found[1] or "", int(found[2])) if found else (place.rpartition(", ")[0], 0)
        members.setdefault((member, bisect_right(begins.get(member, []), line)), []).append(number)
    captures = []
    for (member, number), positions in members.items():
        at = begins.get(member, [])
        where = [member] if member else []
        if len(at) > 1:
            where.append(f"line {at[max(number - 1, 0)]}")
        name = f"{evidence_id} ({', '.join(where)[-_MAX_NAME:]})" if where else evidence_id
        captures.append((name, rows.iloc[positions]))
    return captures


def _place(pages: list[_Page], part: _Page, usable: Sequence[str], notes: list[str]) -> None:
    """Put one more view among the pages, which are in the order of their request IDs: a further page, or one again."""
    if pages and not (part.ids.size and pages[0].ids.size):
        raise QuestionError(
            f"{part.name} or a view before it has no request IDs, so nothing tells whether they are pages of one "
            f"export or made at different times. {_how_to_settle(part, pages[0], usable)}"
        )
    number = bisect_right(pages, part.first, key=lambda page: page.first)
    for at, page in enumerate(pages[max(number - 1, 0) : number + 1], start=max(number - 1, 0)):
        how = _how_to_settle(part, page, usable)
        if np.array_equal(part.ids, page.ids):
            if not _same_state(pd.concat([page.rows, part.rows], ignore_index=True)):
                raise QuestionError(
                    f"{part.name} shows rows in another state than {page.name}: they were made at different times. "
                    f"Later views belong to 'carecover verify'. {how}"
                )
            notes.append(f"{part.name} shows the same rows once more and is used to fill in missing columns.")
            pages[at].rows = _filled(page.rows, part.rows)
            return
        if np.intersect1d(part.ids, page.ids, assume_unique=True).size:
            raise QuestionError(
                f"{part.name} overlaps with {page.name}, and one of them has rows that the other lacks: one is older, "
                f"newer or filtered. Later views belong to 'carecover verify'. {how}"
            )
        if part.first < page.last and page.first < part.last:
            raise QuestionError(
                f"{part.name} and {page.name} interleave: each has request IDs that the other lacks in the same range, "
                f"so at least one is filtered. {how}"
            )
    pages.insert(number, part)


def _how_to_settle(part: _Page, page: _Page, usable: Sequence[str]) -> str:
    """What answers the question which of two views counts; in one file nobody can choose between them."""
    if part.evidence_id == page.evidence_id:
        return (
            f"{part.evidence_id} holds both. Take it apart, hand in the view from right after the restore as a file of "
            "its own, and choose that: carecover baseline CASE EVIDENCE_ID --by YOUR-NAME"
        )
    return _how_to_choose(usable, *usable[usable.index(part.evidence_id) :])


def _filled(page: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """The page, with what it lacks taken from another export of the same rows."""
    filled = page.set_index("request_id", drop=False)
    other = part.set_index("request_id", drop=False)
    for column in filled.columns.difference(["evidence_id", "location", "flags", "request_id"], sort=False):
        filled[column] = filled[column].where(filled[column].notna(), other[column].reindex(filled.index))
    return filled.reset_index(drop=True)
