"""How complete each source is in itself: mailbox, exit module, service, Security log, and their clocks.

Every function gives rows of table ``coverage``. ``mails`` are this CA's own, with its own dates
(``activity.direct``). What a source lacks is told by the source's
own edges and by the others; where nothing tells, the verdict is ``unknown``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal

import pandas as pd

from carecover.analysis.activity import Day, Owed, not_mailed
from carecover.analysis.cells import CLOCK_SKEW, before, cell_moment, cell_value
from carecover.analysis.settings import AUDIT_BITS, Settings
from carecover.model import CaseFacts, Disposition, among, utc_text

Verdict = Literal["good", "gap", "unknown"]

# What an event log records within so much of a mail is the same start or stop.
_SAME_EVENT: Final = timedelta(minutes=5)
_CLEARED, _FILTER_CHANGED, _ISSUED, _ROWS_DELETED = 1102, 4885, 4887, 4896
# 26 and 38 are the Application log's.
_TURNS: Final = {4880: "start", 26: "start", 4881: "stop", 38: "stop"}
# What shows that the service ran: it issued, refused, revoked or published.
_AT_WORK: Final = (4870, 4872, 4886, 4887, 4888, 4889)
# A clock that is off is off for all mails alike; fewer than these show nothing, and so do less.
_CLOCK_SAMPLE: Final = 5
_CLOCK_OFF: Final = timedelta(minutes=3)
# Zones differ by quarters of an hour at least; some minutes are the CA's own (ClockSkewMinutes, no seconds printed).
_ZONE_OFF: Final = timedelta(minutes=14)
_QUARTER: Final = timedelta(minutes=15)
# So many of the mails must be off alike.
_COMMON: Final = 0.4
_NAMED: Final = 5
# How long before the backup the mailbox's silences are looked at.
_LOOK_BACK: Final = timedelta(days=60)
# A restored CA starts when people say that it ran again, by clocks that may differ.
_ABOUT: Final = timedelta(hours=1)


def aspect(name: str, figure: str, verdict: Verdict, why: str) -> dict[str, Any]:
    """One row of table ``coverage``."""
    return {"aspect": name, "figure": figure, "verdict": verdict, "why": why}


def when(moment: datetime | None) -> str:
    """A time for a figure: ISO 8601 in UTC, to the second."""
    return "?" if moment is None else str(utc_text(moment.replace(microsecond=0)))


def length(span: timedelta) -> str:
    """A length of time in the two units that matter: '3 d 4 h', '2 h 15 min', '20 min', '7 s'."""
    seconds = int(abs(span).total_seconds())
    days, hours, minutes = seconds // 86_400, seconds // 3_600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{seconds} s"


def many(count: int, word: str) -> str:
    """The count with its word, in the plural where it is due."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


# -------------------------------------------------------------------------------- mailbox


def mailbox(mails: pd.DataFrame, dated: pd.DataFrame, facts: CaseFacts, known: Service) -> list[dict[str, Any]]:
    """The notifications, and where the mailbox begins and ends against the window."""
    if not len(mails):
        why = "No notification was found: issued certificates show only where another source names them."
        return [aspect("notifications", "0", "gap", why)]
    window = mails
    if facts.backup is not None:
        window = window[window["sent_at"] >= facts.backup]
    if facts.cut is not None:
        window = window[window["sent_at"] <= facts.cut]
    why = "The exit module neither queues nor repeats: a mail that is missing proves nothing about its certificate."
    counted = aspect("notifications", f"{len(mails)}, {len(window)} in the gap", "unknown", why)
    return [counted, *_edges(dated, facts, known)]


def _edges(mails: pd.DataFrame, facts: CaseFacts, known: Service) -> list[dict[str, Any]]:
    """First and last mail against backup and end, by the longest silence that the mailbox has anyway.

    A stop of the service is an end, too; one that only a mail tells leaves open what came after
    it. A mail of after the end, of the restored CA, shows as well that the mailbox went on.
    """
    sent = mails["sent_at"]
    begin, last = cell_moment(sent.min()), cell_moment(sent.max())
    end = min((t for t in (facts.failure, known.stopped, facts.cut) if t is not None), default=None)
    named = facts.failure or facts.cut
    if begin is None or last is None or (facts.backup is None and end is None):
        return []
    figure = f"{when(begin)} to {when(last)}"
    inside = sent if end is None else sent[sent <= end]
    inside = inside if facts.backup is None else inside[inside >= before(facts.backup, _LOOK_BACK)]
    silence = inside.sort_values().diff().max()
    longest = timedelta() if pd.isna(silence) else silence.to_pytimedelta()
    said = []
    if facts.backup is not None and begin > facts.backup:
        said.append((begin - facts.backup, f"begins {length(begin - facts.backup)} after the backup"))
    if end is not None and end > last:
        said.append((end - last, f"ends {length(end - last)} before the CA did"))
    gaps = [(span, text) for span, text in said if span > longest]
    if gaps:
        both = " and ".join(text for _, text in gaps)
        why = (
            f"The mailbox {both}, longer than any silence in it ({length(longest)}): what happened there left no mail. "
            "Look for older and later mails: archive, journal, deleted items, the relay's queue and Badmail folder."
        )
        return [aspect("edges of the mailbox", figure, "gap", why)]
    if said:
        both = " and ".join(text for _, text in said)
        why = f"The mailbox {both}; it is silent for as long elsewhere ({length(longest)})."
        return [aspect("edges of the mailbox", figure, "unknown", why)]
    # A shutdown that only a mail tells is an end only where people put the failure there as well: a CA that was
    # started again and whose later mails are lost leaves the same mailbox. Clocks and memories may differ by an hour.
    if not known.logged and end is not None and (named is None or named - max(last, end) > _ABOUT):
        what = "failure" if facts.failure is not None else "restore"
        since = "and when the CA was lost nobody said" if named is None else f"{length(named - last)} before the {what}"
        why = (
            f"The mailbox ends with a shutdown, {since}; only a mail tells of that. If the CA was started again, its "
            "mails are missing."
        )
        return [aspect("edges of the mailbox", figure, "unknown", why)]
    return [aspect("edges of the mailbox", figure, "good", "It reaches over the window on both sides.")]


def daily(days: Sequence[Day], facts: CaseFacts) -> list[dict[str, Any]]:
    """Outages by the day, in the window; those that the picture marks around it are named as well."""

    def in_gap(day: Day) -> bool:
        begun = facts.backup is None or day.begins + timedelta(days=1) > facts.backup
        return begun and (facts.failure is None or day.begins <= facts.failure)

    window = [d for d in days if in_gap(d)]
    if not window or all(d.outage is None for d in window):
        return []
    certain = [d for d in window if d.outage and d.certain]
    odd = [d for d in window if d.outage and not d.certain]
    marked = len(certain) + len(odd)
    outside = [d for d in days if d.outage and not in_gap(d)]
    around = f" Outside the gap: {_dates(outside)}." if outside else ""
    figure = f"{many(len(window), 'day')}, {many(sum(d.mails for d in window), 'mail')}, {many(marked, 'day')} marked"
    if certain:
        why = f"Mails are missing for certain on {_dates(certain)}. {certain[0].why}"
        if odd:
            why += f" Unlike their like: {_dates(odd)}."
        return [aspect("mails day by day", figure, "gap", f"{why}{around} See table activity.")]
    if odd:
        why = f"{_dates(odd)}: {odd[0].why}{around} See table activity."
        return [aspect("mails day by day", figure, "unknown", why)]
    why = f"No day of the gap stands out.{around} A few missing mails would not show here."
    return [aspect("mails day by day", figure, "good", why)]


def _dates(days: Sequence[Day]) -> str:
    named = ", ".join(d.day.isoformat() for d in days[:_NAMED])
    return named if len(days) <= _NAMED else f"{named} and {len(days) - _NAMED} more days"


def loss_rate(mails: pd.DataFrame, owed: Owed) -> list[dict[str, Any]]:
    """How many requests that log or database show have a mail: the measured part of what is lost."""
    sent = mails["sent_at"]
    begin, end = cell_moment(sent.min()), cell_moment(sent.max())
    if begin is None or end is None:
        return []
    total, lacking = owed.between(begin, end)
    if not total:
        return []
    figure = f"{total - lacking} of {total} have a mail"
    if lacking:
        share = f"{100 * lacking / total:.1f}".removesuffix(".0")
        why = (
            f"Log, database and found certificates show {many(lacking, 'request')} between the first and the last mail "
            f"that no mail is about ({share} %). So mails do not show everything; in the gap as many may be missing."
        )
        return [aspect("requests with a mail", figure, "gap", why)]
    why = "Every request that something else shows between the first and the last mail has one."
    return [aspect("requests with a mail", figure, "good", why)]


# ---------------------------------------------------------------------------- exit module


def lost_mails(events: pd.DataFrame, facts: CaseFacts) -> dict[str, Any]:
    """Event 46: mails that the CA could not send."""
    lost = not_mailed(events)
    if facts.cut is not None:
        lost = lost[lost["recorded_at"].isna() | (lost["recorded_at"] <= facts.cut)]
    if not len(lost):
        why = (
            "Event 46 of the Application log proves mails that the CA could not send. None was handed in; add that "
            "log, as nothing else tells whether there were any."
        )
        return aspect("mails that could not be sent", "no event 46", "unknown", why)
    kinds = ", ".join(f"{event} {count}" for event, count in sorted(Counter(lost["exit_event"]).items()))
    recipients = int(lost["detail"].astype("string").str.extract(r" to (.{1,200}?)\.?$", expand=False).nunique())
    to = f", to {many(recipients, 'recipient')}" if recipients else ""
    since = lost if facts.backup is None else lost[lost["recorded_at"] >= facts.backup]
    why = (
        f"The CA itself says that these mails were not sent ({kinds}); {len(since)} of them after the backup. What "
        "they were about must come from the Security log, or is not known."
    )
    return aspect("mails that could not be sent", f"{many(len(lost), 'mail')}{to}", "gap", why)


def event_filter(settings: Settings, mails: pd.DataFrame) -> dict[str, Any]:
    """Which events the exit module was told to mail, by its registry."""
    name = "events that are mailed"
    mailed = settings.mailed
    if mailed is None:
        what = (
            "The registry of the exit module was read, and names no EventFilter"
            if settings.exit_module
            else "The registry of the exit module was not handed in"
        )
        why = f"{what}: which events were mailed at all is not known. On the CA: certutil -getreg exit\\smtp"
        return aspect(name, "EventFilter not read", "unknown", why)
    figure = "EventFilter " + ", ".join(f"0x{value:x}" for value in sorted(settings.filters))
    told: list[str] = []
    off = [e for e in ("issued", "revoked", "pending", "denied", "retrieve_pending", "crl_issued") if e not in mailed]
    came = sorted(set(mails["event"].dropna()) & set(off))
    if off:
        told.append(f"Not mailed: {', '.join(off)}.")
    if "issued" in off:
        told.append("So no mail shows an issued certificate; Security log and found certificates must.")
    if "revoked" in off:
        told.append("So no mail shows a revocation; the last CRL and event 4870 must.")
    if {"pending", "denied"} & set(off):
        told.append("Request IDs without a trace may be requests that were refused or waited.")
    if came:
        told.append(f"Yet there are mails of {', '.join(came)}: the filter was changed since.")
    if len(settings.filters) > 1:
        told.append("Two exports differ; only what both have on counts.")
    if settings.own_wording:
        told.append(
            f"{many(len(settings.own_wording), 'template')} with a key of their own may be mailed in other words."
        )
    told.append("This is the restored registry: what was changed after the backup is not in it.")
    doubtful = bool(came) or len(settings.filters) > 1
    verdict: Verdict = "unknown" if doubtful else "gap" if {"issued", "revoked"} & set(off) else "good"
    return aspect(name, figure, verdict, " ".join(told))


# -------------------------------------------------------------------------------- service


@dataclass(frozen=True)
class Service:
    """Starts and stops of the service, in order: (when, 'start' or 'stop').

    ``logged``: an event log shows the last of them; otherwise a mail alone does.
    """

    turns: tuple[tuple[datetime, str], ...] = ()
    logged: bool = False

    @property
    def stopped(self) -> datetime | None:
        """When it stopped and did not start again; None where it did, or nothing is known."""
        return self.turns[-1][0] if self.turns and self.turns[-1][1] == "stop" else None


def read_service(mails: pd.DataFrame, events: pd.DataFrame, facts: CaseFacts) -> Service:
    """Events 4880 and 4881 (26 and 38 of the Application log), start-up and shutdown mails, up to the cut."""
    cut, restored = facts.cut, facts.restored
    turns: list[tuple[datetime, str]] = []
    for table, column, at, words in (
        (events, "event_id", "recorded_at", _TURNS),
        (mails, "event", "sent_at", {"startup": "start", "shutdown": "stop"}),
    ):
        part = table[table[column].isin(list(words)) & table[at].notna()]
        if cut is not None:
            part = part[part[at] <= cut]
        turns += [(moment.to_pydatetime(), words[word]) for moment, word in zip(part[at], part[column], strict=True)]
    kept: list[tuple[datetime, str]] = []
    for moment, word in sorted(turns):
        if restored is not None and abs(restored - moment) <= _ABOUT and word == "start":
            # The restored CA's own.
            continue
        same = next((k for k in reversed(kept) if k[1] == word), None)
        if same is None or moment - same[0] > _SAME_EVENT:
            kept.append((moment, word))
    recorded = events.loc[events["event_id"].isin(list(_TURNS)), "recorded_at"]
    logged = bool(kept) and bool(((recorded - kept[-1][0]).abs() <= _SAME_EVENT).any())
    return Service(tuple(kept), logged)


def service(known: Service, mails: pd.DataFrame, events: pd.DataFrame, facts: CaseFacts) -> dict[str, Any]:
    """What starts and stops say about the end of the CA, and about gaps between."""
    name = "start and stop of the service"
    if not known.turns:
        why = (
            "Nothing shows when the service started or stopped (events 4880 and 4881, start-up and shutdown mails), so "
            "nothing bounds the failure but what people say."
        )
        return aspect(name, "none seen", "unknown", why)
    window = [t for t in known.turns if facts.backup is None or t[0] >= facts.backup]
    starts = sum(1 for _, word in window if word == "start")
    figure = f"{many(starts, 'start')}, {many(len(window) - starts, 'stop')} since the backup"
    told, verdict = [], _Worst()
    alone = sum(1 for (_, a), (_, b) in pairwise(window) if a == b)
    if alone:
        verdict.at_least("unknown")
        told.append(f"{alone} of them lack a counterpart: the service crashed, or the traces are lost.")
    down = [b - a for (a, x), (b, y) in pairwise(window) if (x, y) == ("stop", "start") and b - a > timedelta(hours=1)]
    if down:
        told.append(f"It stood still {many(len(down), 'time')} for more than an hour, {length(max(down))} at most.")
    stopped, last = known.stopped, known.turns[-1]
    if stopped is not None:
        at_work = _last_work(mails, events, facts)
        if at_work is not None and at_work - stopped > _SAME_EVENT:
            verdict.at_least("gap")
            told.append(f"It stopped at {when(stopped)}, yet was at work at {when(at_work)}: a start left no trace.")
        else:
            told.append(f"It stopped at {when(stopped)} and no start is seen after it, which bounds the failure.")
    elif facts.failure is not None and last[0] > facts.failure:
        verdict.at_least("unknown")
        told.append(
            f"It started at {when(last[0])}, after the failure and before the restore that people named: what ran "
            "then, and did it issue?"
        )
    else:
        verdict.at_least("unknown")
        told.append(f"It started last at {when(last[0])}; its end left no trace, as when a machine dies.")
    return aspect(name, figure, verdict.verdict, " ".join(told))


def _last_work(mails: pd.DataFrame, events: pd.DataFrame, facts: CaseFacts) -> datetime | None:
    end = facts.failure or facts.cut
    working = events.loc[events["event_id"].isin(_AT_WORK), "recorded_at"]
    times = pd.concat([working, mails.loc[~mails["event"].isin(["startup", "shutdown"]), "sent_at"]])
    return cell_moment((times if end is None else times[times <= end]).max())


class _Worst:
    """The worst verdict of several."""

    def __init__(self) -> None:
        self.verdict: Verdict = "good"

    def at_least(self, verdict: Verdict) -> None:
        order: tuple[Verdict, ...] = ("good", "unknown", "gap")
        self.verdict = max(self.verdict, verdict, key=order.index)


# --------------------------------------------------------------------------- Security log


def audit_log(events: pd.DataFrame, mails: pd.DataFrame, settings: Settings, facts: CaseFacts) -> dict[str, Any]:
    """The CA's Security log: its edges, whether it was cleared, and what it never recorded."""
    name = "Security log"
    of_security = events[(events["event_id"] > 1000) & events["recorded_at"].notna()]
    off = [what for bit, what in AUDIT_BITS.items() if settings.logged(bit) is False]
    not_logged = f" The registry's AuditFilter leaves out: {', '.join(off)}." if off else ""
    if not len(of_security):
        why = (
            "No event of the CA was handed in. Where auditing was on, the Security log names every certificate and "
            "every revocation, whatever became of the mails: add it."
        )
        if len(off) == len(AUDIT_BITS):
            why = f"No event of the CA was handed in, and there can be none.{not_logged}"
        return aspect(name, "no events", "unknown", why)
    times = of_security["recorded_at"] if facts.cut is None else of_security["recorded_at"][
        of_security["recorded_at"] <= facts.cut
    ]  # fmt: skip
    begin, last = cell_moment(times.min()), cell_moment(times.max())
    figure = f"{len(of_security)} events, {when(begin)} to {when(last)}"
    told, verdict = [], _Worst()
    since = of_security if facts.backup is None else of_security[of_security["recorded_at"] >= facts.backup]
    since = since if facts.cut is None else since[since["recorded_at"] <= facts.cut]
    if facts.backup is not None and begin is not None and begin > facts.backup:
        verdict.at_least("gap")
        told.append(f"It begins {length(begin - facts.backup)} after the backup: what came before was overwritten.")
    work = _last_mail(mails, facts)
    if last is not None and work is not None and work - last > timedelta(hours=1):
        verdict.at_least("gap")
        told.append(f"It ends at {when(last)}, and mails show certificates until {when(work)}.")
    cleared = since[since["event_id"] == _CLEARED]
    if len(cleared):
        verdict.at_least("gap")
        told.append(f"It was cleared at {when(cell_moment(cleared['recorded_at'].max()))} (event 1102).")
    changed = since[since["event_id"] == _FILTER_CHANGED]
    if len(changed):
        verdict.at_least("unknown")
        at = when(cell_moment(changed["recorded_at"].max()))
        told.append(f"The audit filter was changed at {at} (event 4885): what it left out is not recorded.")
    if off:
        verdict.at_least("gap")
        told.append(not_logged.strip())
    deleted = int((since["event_id"] == _ROWS_DELETED).sum())
    if deleted:
        verdict.at_least("unknown")
        told.append(f"Rows of the database were deleted {many(deleted, 'time')} (event 4896).")
    issued = since[since["event_id"] == _ISSUED]
    bare = int(issued["serial"].isna().sum())
    if bare:
        verdict.at_least("unknown")
        told.append(f"{bare} of {len(issued)} events 4887 give no serial number (version 0 of the event).")
    if not told:
        told.append("It reaches over the window, and nothing says that it was cleared or narrowed.")
    return aspect(name, figure, verdict.verdict, " ".join(told))


def _last_mail(mails: pd.DataFrame, facts: CaseFacts) -> datetime | None:
    """The last mail of before the failure about what even a narrow audit filter logs."""
    about = mails.loc[mails["event"].isin(["issued", "revoked", "unrevoked"]), "sent_at"]
    end = facts.failure or facts.cut
    return cell_moment((about if end is None else about[about <= end]).max())


# --------------------------------------------------------------------------------- clocks


def clocks(mails: pd.DataFrame, rows: pd.DataFrame, facts: CaseFacts) -> list[dict[str, Any]]:
    """Whether the times of mails and rows can be laid beside each other; systematic offsets with their size."""
    sent = mails
    told: list[str] = []
    measured: list[str] = []

    def look(name: str, differences: pd.Series[Any], least: timedelta, why: str) -> None:
        offset = _steady(differences, least)
        if offset is None:
            return
        measured.append(name)
        if abs(offset) >= least:
            if least == _ZONE_OFF:
                offset = round(offset / _QUARTER) * _QUARTER
            ahead = "ahead of" if offset > timedelta() else "behind"
            told.append(why.format(length(offset), ahead))

    look(
        "Thread-Index",
        sent["sent_at"] - sent["thread_index_at"],
        _CLOCK_OFF,
        "The mails' Date is {0} {1} their own Thread-Index, which the same machine wrote: its time zone was wrong, or "
        "a server changed the dates.",
    )
    look(
        "Received",
        sent["sent_at"] - sent["received_at"],
        _CLOCK_OFF,
        "The mails' Date is {0} {1} the first mail server's clock: the CA's clock was wrong by as much, or that "
        "server's.",
    )
    zone = facts.time_zone or "UTC"
    issued = sent[sent["event"].isin(["issued"]) & sent["certificate_sha256"].isna()]
    look(
        "NotBefore in mails",
        issued["not_before"] + CLOCK_SKEW - issued["sent_at"],
        _ZONE_OFF,
        f"The local times in the mails, read in {zone}, are {{0}} {{1}} the mails' Date: the case's time zone is "
        "wrong by as much.",
    )
    told_by_mail = sent.loc[(sent["event"] == "issued") & sent["serial"].notna(), ["serial", "sent_at"]]
    told_by_mail = told_by_mail.drop_duplicates("serial")
    known = rows[["serial", "submitted_at", "disposition"]][among(rows["serial"], told_by_mail["serial"])]
    known = known[known["disposition"].isin([Disposition.ISSUED, Disposition.REVOKED])]
    if len(known):
        both = known.merge(told_by_mail, on="serial")
        look(
            "SubmittedWhen in the view",
            both["submitted_at"] - both["sent_at"],
            _ZONE_OFF,
            f"The times of the database view, read in {zone}, are {{0}} {{1}} the Date of the mails about the same "
            "certificates: the case's time zone is wrong by as much, or the view was exported in another one.",
        )
    if not measured:
        return []
    figure = "compared: " + ", ".join(measured)
    if any("read in" in sentence for sentence in told):
        told.append("Set it right: carecover init CASE --time-zone ZONE")
    if told:
        return [aspect("clocks and time zone", figure, "gap", " ".join(told))]
    return [aspect("clocks and time zone", figure, "good", "They agree within minutes.")]


def _steady(differences: pd.Series[Any], unit: timedelta) -> timedelta | None:
    """The commonest difference, to the unit; None where there is none, or too few to tell.

    Not the median: mails that waited are many and late each in its own way, and a wrong zone is
    off by another hour in summer.
    """
    known = differences.dropna()
    if len(known) < _CLOCK_SAMPLE:
        return None
    common = known.dt.round(unit).mode().iloc[0]
    alike = known[(known - common).abs() <= unit]
    return alike.median().to_pytimedelta() if len(alike) >= _COMMON * len(known) else None


def unzoned(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows whose view printed local time while the case names no zone."""
    count = sum("zone_assumed_utc" in flags for flags in rows["flags"])
    if not count:
        return []
    why = (
        "The view prints local time without a zone and the case names none, so its times are taken as UTC. Say where "
        "the CA is: carecover init CASE --time-zone Europe/Berlin"
    )
    return [aspect("time zone", f"{count} rows", "unknown", why)]


def shown_value(cell: object, limit: int = 200) -> str:
    """A text from evidence, fit for a sentence: bounded, nothing that moves a cursor."""
    text = str(cell_value(cell) or "")[:limit]
    return "".join(c if c.isprintable() else "?" for c in text)
