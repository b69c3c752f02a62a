"""One baseline out of the views that were handed in, or a question.

A filtered view invents orphans, one made after the mending hides them, and a cut one does
both. So views are joined only where they cannot contradict each other: pages whose request
IDs do not overlap, and several exports of the very same rows (text and csv). Everything
else is asked about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pandas as pd

from carecover.analysis.cells import asked_after, true
from carecover.errors import QuestionError
from carecover.model import TABLES, SerialNumber

# What makes two exports of one row the same row.
_STATE: Final = ["serial", "disposition", "reason"]
# A RequestID window is how large databases are exported page by page; it filters nothing out.
_WINDOW: Final = re.compile(r"\s*(Request\.)?RequestID\s*(>=?|<=?)\s*(0x[0-9a-f]+|\d+)\s*", re.IGNORECASE)

# Zones reach from -12 to +14 hours.
_ANY_ZONE: Final = timedelta(hours=14)

# So many names of evidence stand in a sentence.
_MAX_NAMED: Final = 20


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
    restored: datetime | None = None,
) -> Baseline:
    """Join the views (tables ``ca_rows`` and ``views``) into the one baseline.

    ``chosen`` names the evidence a person decided on; it settles every question but that
    of two chosen views which contradict each other. ``restored`` is when the restored CA
    first ran: what was mended since shows in a view that was made too late. Raises
    QuestionError otherwise.
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
    pages: list[pd.DataFrame] = []
    for evidence_id in usable:
        part = rows[rows["evidence_id"] == evidence_id]
        known = part["request_id"].dropna()
        if known.duplicated().any() and not _same_state(part):
            raise QuestionError(
                f"{evidence_id} lists the same request IDs more than once with different states: pages made at "
                "different times. Export the database again in one go."
            )
        if not chosen and (mended := _mended(part, restored)):
            raise QuestionError(
                f"{evidence_id} was made after mending had begun ({mended}): what was mended no longer looks lost. "
                f"Hand in the view from right after the restore; later ones belong to 'carecover verify'. "
                f"{_how_to_choose(present, evidence_id)}"
            )
        _place(pages, part[~(part["request_id"].notna() & part["request_id"].duplicated())], evidence_id, usable, notes)
    merged = pd.concat(pages, ignore_index=True) if pages else TABLES["ca_rows"].empty()
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
    guessed = rows["flags"].map(lambda flags: "zone_assumed_utc" in flags).astype(bool).any()
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


def _place(
    pages: list[pd.DataFrame], part: pd.DataFrame, evidence_id: str, usable: Sequence[str], notes: list[str]
) -> None:
    """Put one more view among the pages: a further page, or another export of one of them."""
    how_to_choose = _how_to_choose(usable, *usable[usable.index(evidence_id) :])
    ids = set(part["request_id"].dropna())
    if pages and not (ids and all(page["request_id"].notna().any() for page in pages)):
        raise QuestionError(
            f"{evidence_id} or a view before it has no request IDs, so nothing tells whether they are pages of one "
            f"export or made at different times. {how_to_choose}"
        )
    for number, page in enumerate(pages):
        others = set(page["request_id"].dropna())
        if ids and ids == others:
            if not _same_state(pd.concat([page, part], ignore_index=True)):
                raise QuestionError(
                    f"{evidence_id} shows rows in another state than the views before it: they were made at different "
                    f"times. Later views belong to 'carecover verify'. {how_to_choose}"
                )
            notes.append(f"{evidence_id} shows the same rows once more and is used to fill in missing columns.")
            pages[number] = _filled(page, part)
            return
        if ids & others:
            raise QuestionError(
                f"{evidence_id} overlaps with the views before it, and one of them has rows that the other lacks: one "
                f"is older, newer or filtered. Later views belong to 'carecover verify'. {how_to_choose}"
            )
        if ids and others and min(ids) < max(others) and min(others) < max(ids):
            raise QuestionError(
                f"{evidence_id} and the views before it interleave: each has request IDs that the other lacks in the "
                f"same range, so at least one is filtered. {how_to_choose}"
            )
    pages.append(part)


def _filled(page: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """The page, with what it lacks taken from another export of the same rows."""
    filled = page.set_index("request_id", drop=False)
    other = part.set_index("request_id", drop=False)
    for column in filled.columns.difference(["evidence_id", "location", "flags", "request_id"], sort=False):
        filled[column] = filled[column].where(filled[column].notna(), other[column].reindex(filled.index))
    return filled.reset_index(drop=True)
