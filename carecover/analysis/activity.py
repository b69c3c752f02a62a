"""The days of the incident, one by one, and the days on which mails are missing.

An outage is certain only where something other than the mails shows it: event 46, or
requests of that day in the log or in the database that no mail is about. A day that is only
unlike other days of its kind is told as that; a public holiday looks the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from carecover.analysis.cells import CLOCK_SKEW, asked_after, cell_moment, true
from carecover.analysis.gap import plain_ca_name
from carecover.analysis.layout import CaLayout
from carecover.analysis.named import among_ids
from carecover.analysis.settings import Settings, read_settings
from carecover.model import TABLES, CaseFacts, Disposition, among, utc_text

# So many days before the backup are shown: every weekday once.
_BEFORE: Final = timedelta(days=7)
# A window of more days than this is shown by its end.
MAX_DAYS: Final = 1_100
# Nearer to the ends of the calendar no zone can be reckoned with.
_FIRST: Final = datetime(2, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9998, 12, 31, tzinfo=UTC)
# Other days of the same weekday that a day is compared with: eight weeks to either side.
_LIKE_WEEKS: Final = 8
_LIKE_AT_LEAST: Final = 4
# Fewer mails than half of the least of its like are a sign only where chance plays no great part.
_BUSY: Final = 20
_PART_OF: Final = 3
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# What a mail is due for, by the CA's own log and by the state of its row.
_DUE_BY_EVENT: Final[Mapping[int, str]] = {4887: "issued", 4888: "denied", 4889: "pending"}
_DUE_BY_ROW: Final[Mapping[int, str]] = {
    Disposition.ISSUED: "issued",
    Disposition.REVOKED: "issued",
    Disposition.DENIED: "denied",
    Disposition.PENDING: "pending",
}
EVENT_NOT_MAILED: Final = 46


@dataclass(frozen=True, slots=True)
class Day:
    """One day: what was counted, and what is known about its mails.

    ``outage``: None where there are no mails at all to judge by. ``certain``: something other
    than the mails shows that mails are missing.
    """

    day: date
    begins: datetime
    mails: int
    issued: int
    events: int
    rows: int
    outage: bool | None = False
    certain: bool = False
    why: str = ""


@dataclass(frozen=True)
class Owed:
    """Requests of before the cut that log or database show, of a kind that the exit module mails.

    ``requests``: request_id, at, mailed (a mail is about it). One row a request.
    """

    requests: pd.DataFrame

    def between(self, begin: datetime, end: datetime) -> tuple[int, int]:
        """How many there are from ``begin`` to ``end``, and how many of these no mail is about."""
        part = self.requests[(self.requests["at"] >= begin) & (self.requests["at"] <= end)]
        return len(part), int((~part["mailed"]).sum())


def make_activity(
    notifications: pd.DataFrame,
    audit_events: pd.DataFrame,
    rows: pd.DataFrame,
    certificates: pd.DataFrame,
    registry: pd.DataFrame,
    layout: CaLayout,
    findings: pd.DataFrame | None = None,
    *,
    facts: CaseFacts,
) -> pd.DataFrame:
    """Table ``activity``: the days from a week before the backup to the cut, in the case's time zone.

    ``rows`` is the baseline, ``layout`` how the CA makes its serial numbers. Mails of another CA
    do not count, nor do those that ``findings`` call suspect. Without backup and without a row of
    before the cut there is no window and so no day; a window of more than ``MAX_DAYS`` days is
    shown by its last ones.
    """
    mails = mails_of(notifications, facts)
    mails = mails if findings is None else believed(mails, findings)
    owed = find_owed(mails, audit_events, rows, certificates, read_settings(registry, facts.ca), layout, facts.cut)
    days = list_days(direct(mails), audit_events, rows, owed, facts=facts)
    return TABLES["activity"].frame(
        [
            {
                "day": d.begins,
                "mails": d.mails,
                "issued": d.issued,
                "events": d.events,
                "rows": d.rows,
                "outage": d.outage,
                "why": d.why or None,
            }
            for d in days
        ]
    )


def mails_of(notifications: pd.DataFrame, facts: CaseFacts) -> pd.DataFrame:
    """This CA's mails, each once, as the case names the CA; all of them where it names none."""
    mails = notifications
    if facts.ca is not None:
        named = mails["ca_name"].dropna().unique()
        wanted = plain_ca_name(facts.ca)
        mine = [name for name in named if plain_ca_name(str(name)) == wanted]
        mails = mails[mails["ca_name"].isna() | mails["ca_name"].isin(mine)]
    # Two mailboxes may hold one mail.
    return mails.drop_duplicates(["event", "request_id", "serial", "sent_at"])


def believed(mails: pd.DataFrame, findings: pd.DataFrame) -> pd.DataFrame:
    """Without the mails that do not add up: a forged date must not move the mailbox's edges, nor fill a silent day."""
    suspect = findings.loc[findings["kind"] == "suspect_notification", "evidence"]
    places = {str(where).rsplit(" (", 1)[0] for evidence in suspect for where in evidence}
    if not places:
        return mails
    where = mails["evidence_id"].fillna("").str.cat(mails["location"].fillna(""), sep=" ")
    return mails[~among(where, places)]


def direct(mails: pd.DataFrame) -> pd.DataFrame:
    """The mails that have the CA's own date: whoever forwards one dates it anew."""
    sent = np.array(["forwarded" not in flags for flags in mails["flags"]], bool)
    return mails[sent & mails["sent_at"].notna()]


def find_owed(
    mails: pd.DataFrame,
    events: pd.DataFrame,
    rows: pd.DataFrame,
    certificates: pd.DataFrame,
    settings: Settings,
    layout: CaLayout,
    cut: datetime | None,
) -> Owed:
    """Requests that log, database and found certificates show, and whether a mail is about each.

    A mail is about a request by its request ID or its serial. Of the certificates only those
    count that the CA signed, and whose serial gives the request ID.
    """
    parts = []
    for table, kinds, column, at in (
        (events, _DUE_BY_EVENT, "event_id", "recorded_at"),
        (rows[~asked_after(rows, cut)], _DUE_BY_ROW, "disposition", "submitted_at"),
    ):
        due = [number for number, event in kinds.items() if settings.may_be_mailed(event)]
        part = table[table[column].isin(due) & table["request_id"].notna()]
        parts.append(part[["request_id", "serial", at]].rename(columns={at: "at"}))
    if settings.may_be_mailed("issued"):
        issued = true(certificates["signed_by_ca"]) & ~true(certificates["own_ca"]) & certificates["serial"].notna()
        found = certificates[issued]
        ids = pd.array([layout.request_id(str(serial)) for serial in found["serial"]], dtype="Int64")
        shown = pd.DataFrame({"request_id": ids, "serial": found["serial"], "at": found["not_before"] + CLOCK_SKEW})
        parts.append(shown[shown["request_id"].notna()])
    due_all = pd.concat(parts, ignore_index=True)
    due_all = due_all[due_all["at"].notna()]
    if cut is not None:
        due_all = due_all[due_all["at"] <= cut]
    asked, told = due_all["request_id"].to_numpy(np.int64), mails["request_id"].dropna().to_numpy(np.int64)
    mailed = among_ids(asked, told)
    # A look-up of text costs most: only for what no request ID tells.
    mailed[~mailed] = among(due_all.loc[~mailed, "serial"], mails["serial"])
    due_all["mailed"] = mailed
    # One request is one, whatever tells of it; the log knows its moment best.
    seen = due_all.groupby("request_id", sort=False).agg(at=("at", "first"), mailed=("mailed", "any"))
    return Owed(seen.reset_index())


def list_days(
    mails: pd.DataFrame, events: pd.DataFrame, rows: pd.DataFrame, owed: Owed, *, facts: CaseFacts
) -> list[Day]:
    """Every day of the window with its counts and its judgement; ``mails`` are ``direct`` ones."""
    window = _window(mails, events, rows, facts)
    if window is None:
        return []
    zone = case_zone(facts)
    first, last = (moment.astimezone(zone).date() for moment in window)
    first = max(first, last - timedelta(days=MAX_DAYS - 1))
    around = timedelta(weeks=_LIKE_WEEKS)
    span = (_midnight(first - around, zone), _midnight(last + around + timedelta(days=1), zone))
    sent = _by_day(mails["sent_at"], span, zone)
    issued = _by_day(mails.loc[mails["event"] == "issued", "sent_at"], span, zone)
    logged = _by_day(events["recorded_at"], span, zone)
    asked = _by_day(rows["submitted_at"], span, zone)
    lost = _not_mailed(events, span, zone)
    due = _by_day(owed.requests["at"], span, zone)
    unmailed = _by_day(owed.requests.loc[~owed.requests["mailed"], "at"], span, zone)
    began, ended = (cell_moment(mails["sent_at"].min()), cell_moment(mails["sent_at"].max()))
    judge = _Judge(sent, due, unmailed, lost, began, ended, facts.failure, zone)
    days = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        outage, certain, why = judge.judge(day)
        days.append(
            Day(day, _midnight(day, zone), sent[day], issued[day], logged[day], asked[day], outage, certain, why)
        )
    return days


def case_zone(facts: CaseFacts) -> tzinfo:
    """The case's time zone; UTC where it has none."""
    try:
        return ZoneInfo(facts.time_zone) if facts.time_zone else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


@dataclass(frozen=True)
class _Judge:
    """Judges one day's mails by what else is known of it."""

    sent: Counter[date]
    due: Counter[date]
    unmailed: Counter[date]
    lost: Mapping[date, Counter[str]]
    began: datetime | None
    ended: datetime | None
    failure: datetime | None
    zone: tzinfo

    def judge(self, day: date) -> tuple[bool | None, bool, str]:
        """Outage, whether it is certain, and why."""
        if (lost := self.lost.get(day)) is not None:
            named = ", ".join(f"{event} {count}" for event, count in sorted(lost.items()))
            return True, True, f"Event 46: mails that the CA could not send ({named})."
        if self.began is None or self.ended is None:
            return None, False, "No notification was handed in: there is nothing to judge by."
        due, unmailed, sent = self.due[day], self.unmailed[day], self.sent[day]
        outside = self._outside(day)
        if unmailed and not sent:
            return (
                True,
                True,
                f"There is no mail, and log, database or found certificates show requests ({unmailed}).{outside}",
            )
        if due >= _PART_OF and 2 * unmailed >= due:
            return True, True, f"Of {due} requests that are shown otherwise, {unmailed} have no mail.{outside}"
        if outside:
            return False, False, outside.strip()
        return self._unlike(day, sent)

    def _outside(self, day: date) -> str:
        """A sentence for a day on which mails cannot be expected, or not be judged by their like."""
        first, last = (_local_day(moment, self.zone) for moment in (self.began, self.ended) if moment)
        if self.failure is not None and day > _local_day(self.failure, self.zone):
            return " After the failure."
        if day < first:
            return f" Before the first mail that was handed in ({utc_text(self.began)})."
        if day > last:
            return f" After the last mail that was handed in ({utc_text(self.ended)})."
        return ""

    def _unlike(self, day: date, sent: int) -> tuple[bool, bool, str]:
        first, last = (_local_day(moment, self.zone) for moment in (self.began, self.ended) if moment)
        end = last if self.failure is None else min(last, _local_day(self.failure, self.zone))
        if not first < day < end:
            # Days that are not whole have fewer mails.
            return False, False, ""
        weeks = (day + timedelta(weeks=n) for n in range(-_LIKE_WEEKS, _LIKE_WEEKS + 1) if n)
        like = [self.sent[other] for other in weeks if first < other < end]
        if len(like) < _LIKE_AT_LEAST:
            return False, False, ""
        least, name = min(like), _WEEKDAYS[day.weekday()]
        others = f"the {len(like)} other {name}s around it have {least} to {max(like)}"
        if not sent and least:
            return True, False, f"Unlike its like: no mail on a {name}, {others}. A public holiday looks the same."
        if least >= _BUSY and 2 * sent < least:
            return True, False, f"Unlike its like: {sent} mails on a {name}, {others}. A public holiday looks the same."
        return False, False, ""


def _window(
    mails: pd.DataFrame, events: pd.DataFrame, rows: pd.DataFrame, facts: CaseFacts
) -> tuple[datetime, datetime] | None:
    """From a week before the backup (or the newest row of before the cut) to the cut (or the last sign of life)."""
    old = rows[~asked_after(rows, facts.cut)] if facts.cut is not None else rows.iloc[:0]
    begin = facts.backup or cell_moment(old["submitted_at"].max())
    if begin is None:
        return None
    end = facts.cut
    if end is None:
        latest = begin + timedelta(days=MAX_DAYS) if begin.year < 9000 else begin
        seen = [t[t <= latest].max() for t in (mails["sent_at"], events["recorded_at"])]
        end = max([begin, *(m for s in seen if (m := cell_moment(s)) is not None)])
    begin = begin - _BEFORE if begin.year > 1 else begin
    # Nearer to the ends of the calendar neither a zone nor the longest window can be reckoned with.
    return (begin, end) if begin <= end and begin.year > 10 and end.year < 9990 else None


def _local_day(moment: datetime, zone: tzinfo) -> date:
    """The day in that zone; a mail may bear a date so near to the ends of the calendar that a zone carries it over."""
    return min(max(moment, _FIRST), _LAST).astimezone(zone).date()


def _midnight(day: date, zone: tzinfo) -> datetime:
    """When the day begins; where clocks change at midnight, the earlier reading."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _by_day(times: pd.Series[Any], span: Sequence[datetime], zone: tzinfo) -> Counter[date]:
    """How many of the times lie on each local day of the span."""
    within = times[(times >= span[0]) & (times < span[1])]
    # Local wall time without a zone: a midnight that a zone leaves out is no error then.
    local = within.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    return Counter({day.date(): int(count) for day, count in local.value_counts().items()})


def _not_mailed(events: pd.DataFrame, span: Sequence[datetime], zone: tzinfo) -> dict[date, Counter[str]]:
    """Local day → exit event → how many mails event 46 says were not sent."""
    told: dict[date, Counter[str]] = {}
    lost = not_mailed(events)
    lost = lost[(lost["recorded_at"] >= span[0]) & (lost["recorded_at"] < span[1])]
    for at, event in zip(lost["recorded_at"], lost["exit_event"], strict=True):
        told.setdefault(at.tz_convert(zone).date(), Counter())[event] += 1
    return told


def not_mailed(events: pd.DataFrame) -> pd.DataFrame:
    """The events 46 about a mail, with ``exit_event`` in the words of table ``notifications``.

    An event 46 of another exit module names no exit event, and is none of these.
    """
    failed = events[events["event_id"] == EVENT_NOT_MAILED]
    named = failed["detail"].astype("string").str.extract(r"EXITEVENT_(?:CERT)?([A-Z]{4,20})", expand=False)
    words = named.str.casefold().replace({"retrievepending": "retrieve_pending", "crlissued": "crl_issued"})
    return failed.assign(exit_event=words.astype(object))[words.notna()]
