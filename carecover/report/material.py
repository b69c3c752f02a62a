"""What a report is made of: the tables of a case, and the counts that more than one section needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

from carecover.errors import UsageError
from carecover.model import (
    ACTIONABLE_KINDS,
    FINDING_KINDS,
    TABLES,
    CaseFacts,
    Plan,
    RevocationReason,
    SignOff,
    person_key,
)
from carecover.report.document import (
    ABSENT,
    MAX_DETAIL,
    MAX_LETTERS,
    MAX_ROWS,
    MAX_TEXT,
    Act,
    Columns,
    Execution,
    Heading,
    Kind,
    OpenField,
    Table,
    cell,
    clean,
    minute,
)
from carecover.report.fields import paragraphs
from carecover.report.recorded import in_zone
from carecover.report.texts import Words
from carecover.report.timeline import Timeline

VERDICTS: Final = ("proved", "pending", "failed", "contradicted")
# Columns that hold sentences of the case's tables, which the rooms write in English.
RECORDED: Final = frozenset(
    f"column_{name}"
    for name in (
        "why", "meaning", "step", "asks", "figure", "aspect", "what", "crl", "cdp", "ocsp", "log", "database", "seen",
        "rule", "stage", "item", "place", "row",
    )
)  # fmt: skip
# Tables show first what needs somebody.
URGENCY: Final = tuple(reversed(VERDICTS))


@dataclass(frozen=True)
class Material:
    """Everything that a report is made of, gathered once."""

    name: str
    facts: CaseFacts
    tables: Mapping[str, pd.DataFrame]
    plan: Plan | None
    sign_offs: tuple[SignOff, ...]
    rehearsal: Execution | None
    executions: tuple[Execution, ...]
    outcomes: pd.DataFrame | None
    journal_head: str
    made_at: datetime
    version: str
    trusted_until: datetime | None
    zone: ZoneInfo | None
    say: Words
    told: Mapping[str, str] = field(default_factory=dict)
    acts: tuple[Act, ...] = ()
    edition: str = "full"
    timeline: Timeline | None = None
    """The picture's counts where they are of more tables than these: an edition for outsiders shows them all."""
    new_crls: pd.DataFrame | None = None
    """The lists handed to ``verify``, in the columns of table crls."""

    def table(self, name: str) -> pd.DataFrame:
        """The table, empty where the case has none."""
        found = self.tables.get(name)
        return TABLES[name].empty() if found is None else found

    @cached_property
    def ca(self) -> str:
        """The CA's name, as far as one is known."""
        return clean(self.facts.ca or (self.plan.ca_name if self.plan else None) or self.say("unnamed_ca"))

    @cached_property
    def kinds(self) -> dict[str, int]:
        """Findings by kind, in the order of the field."""
        counts = self.table("findings")["kind"].value_counts()
        return {kind: int(counts.get(kind, 0)) for kind in FINDING_KINDS if counts.get(kind, 0)}

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """The decisions in force: the last one of each finding."""
        return self.table("decisions").drop_duplicates("finding_id", keep="last")

    @cached_property
    def undecided(self) -> int:
        """Findings that could be acted on and have no decision."""
        findings = self.table("findings")
        actionable = findings.loc[findings["kind"].isin(list(ACTIONABLE_KINDS)), "finding_id"]
        decided = self.decisions.loc[self.decisions["action"] != "undecided", "finding_id"]
        return int((~actionable.isin(list(decided))).sum())

    @cached_property
    def signed(self) -> bool:
        """True where two different people signed exactly this plan, one in each role."""
        if self.plan is None:
            return False
        here = [s for s in self.sign_offs if s.digest == self.plan.digest]
        return any(
            a.role == "analyst" and b.role == "reviewer" and person_key(a.person) != person_key(b.person)
            for a in here
            for b in here
        )

    @cached_property
    def proved(self) -> int:
        """Items of the plan that have a proved outcome for exactly what was decided."""
        if self.plan is None or self.outcomes is None:
            return 0
        green = self.outcomes.loc[self.outcomes["verdict"] == "proved", ["finding_id", "action"]]
        pairs = set(green.itertuples(index=False, name=None))
        return sum((item.finding_id, item.action) in pairs for item in self.plan.items)

    @cached_property
    def dropped(self) -> int:
        """Serial numbers that the new CRLs lost without anybody having planned it."""
        changes = self.table("crl_changes")
        return int(((changes["change"] == "dropped") & (changes["verdict"] == "unexpected")).sum())

    @cached_property
    def verdicts(self) -> dict[str, int]:
        """What is proved about the real CA, counted."""
        return counts(self.outcomes, "verdict", VERDICTS)

    def sheet(
        self,
        caption: str,
        columns: Columns,
        rows: Iterable[Sequence[object]],
        total: int,
        source: str = "",
    ) -> Table:
        """A Table of the first rows: at most MAX_ROWS, and no more than MAX_LETTERS hold.

        ``source`` names the case's table that holds the rest.
        """
        english: list[tuple[int, int]] = []
        letters, once = 0, set[tuple[int, str]]()
        shown: list[tuple[str, ...]] = []
        for row in islice(rows, MAX_ROWS):
            texts: list[str] = []
            for value, (title, kind) in zip(row, columns, strict=True):
                # Sentences are said to their end: what they say last counts as much.
                limit = MAX_DETAIL if kind == "detail" or title in RECORDED else MAX_TEXT
                text = self.cell(self._open(value, kind), limit)
                if title in RECORDED and isinstance(value, str):
                    text, foreign = self.recorded(text)
                    english += [(len(shown), len(texts))] if foreign else []
                # What repeats is told once, below the table.
                letters += 0 if kind == "detail" and (len(texts), text) in once else len(text)
                once.add((len(texts), text))
                texts.append(text)
            if letters > MAX_LETTERS and shown:
                english = [place for place in english if place[0] < len(shown)]
                break
            shown.append(tuple(texts))
        foreign_columns = {column for _, column in english}
        headings = tuple(
            Heading(self.titled(title), kind, recorded=n in foreign_columns) for n, (title, kind) in enumerate(columns)
        )
        note = None
        if total > len(shown):
            note = self.say("more_rows" if source else "more_rows_plain", shown=len(shown), total=total, source=source)
        return Table(self.say(caption), headings, tuple(shown), total, note, source or None, tuple(english))

    def recorded(self, text: str) -> tuple[str, bool]:
        """A sentence of the tables in the report's language, its times in the case's zone; True where it is English."""
        told, foreign = (text, False) if text == ABSENT else self.say.recorded(text)
        return (in_zone(told, self.zone) if self.zone else told), foreign

    def _open(self, value: object, kind: Kind) -> object:
        """What is left out needs no line of its own below a row: the head says that it is."""
        return None if kind == "detail" and self.edition == "redacted" and value == self.say("withheld") else value

    def cell(self, value: object, limit: int) -> str:
        """A table's value in the words of the language; a time in the case's own zone, with its offset."""
        if self.zone and isinstance(value, datetime) and not pd.isna(value):
            return local(value, self.zone)
        if isinstance(value, int) and not isinstance(value, bool):
            return self.say.number(value)
        return self.say.value(cell(value, limit, self.say("and_more")))

    def titled(self, key: str) -> str:
        """A column's title; it names UTC only where the times are in UTC."""
        return self.say(key).replace(" (UTC)", "") if self.zone else self.say(key)

    def open_field(self, name: str, prompt: str) -> OpenField:
        """What people wrote, or room for it; an edition for outsiders shows neither."""
        text = (self.say("withheld"),) if self.edition == "redacted" else paragraphs(self.told.get(name, ""))
        return OpenField(self.say(name), self.say(prompt), text)

    def when(self, moment: datetime | None) -> str | None:
        """A time in UTC and in the case's own zone."""
        if moment is None:
            return None
        utc = f"{minute(moment)} UTC"
        return f"{utc} ({local(moment, self.zone)})" if self.zone else utc

    def date(self, moment: object) -> str | None:
        """A day in the case's own zone, else in UTC."""
        if not isinstance(moment, datetime):
            return None
        return (local(moment, self.zone) if self.zone else minute(moment))[:10]

    def listed(self, prefix: str, counts: Mapping[str, int]) -> str:
        """Counts as a phrase: '2 to revoke, 1 to leave and watch'."""
        return self.say("and").join(self.say(f"{prefix}_{key}", n=n) for key, n in counts.items() if n)


def counts(frame: pd.DataFrame | None, column: str, words: Sequence[str]) -> dict[str, int]:
    """How often each word stands in the column, in the order of the words."""
    if frame is None:
        return dict.fromkeys(words, 0)
    found = frame[column].value_counts()
    return {word: int(found.get(word, 0)) for word in words}


def first_of(table: pd.DataFrame, column: str, order: Sequence[str]) -> pd.DataFrame:
    """The rows that will be shown, the most urgent words first; a word that is not in the order comes last."""
    rank = table[column].map({word: n for n, word in enumerate(order)}).fillna(len(order))
    return table.loc[rank.sort_values(kind="stable").index[:MAX_ROWS]]


def rows_of(table: pd.DataFrame, names: Sequence[str]) -> list[tuple[object, ...]]:
    """The first rows as plain Python values, in the order of the names."""
    return [tuple(row[name] for name in names) for row in table.head(MAX_ROWS).to_dict("records")]


def flag(column: pd.Series[Any]) -> pd.Series[bool]:
    """True where the flag is known to be set."""
    return column.fillna(value=False).astype(bool)


def word(value: object) -> object:
    """A word of a value list as people write it."""
    return value.replace("_", " ") if isinstance(value, str) else value


def reason_text(code: object) -> str | None:
    """A revocation reason by number and name."""
    if not isinstance(code, int):
        return None
    known = {int(reason): reason.designation for reason in RevocationReason}
    return f"{code} {known.get(code, '')}".strip()


def file_name(path: object) -> str:
    """The last part of a path, whichever system it comes from: folders may name people and machines."""
    return clean(str(path).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1])


def parsed(text: str | None) -> datetime | None:
    """A plan's time text as a time."""
    return None if text is None else datetime.fromisoformat(text)


def moment_of(value: pd.Timestamp | None) -> datetime | None:
    """A table's time as a time, None where it is absent."""
    return None if value is None or pd.isna(value) else value.to_pydatetime(warn=False)


def zone(name: str | None) -> ZoneInfo | None:
    """The zone by its name; raises UsageError for an unknown one."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"'{clean(name, 60)}' is no time zone; give one such as Europe/Berlin.") from None


def local(moment: datetime, zone: ZoneInfo) -> str:
    """A time in a zone, with its offset from UTC."""
    try:
        there = moment.astimezone(zone)
    except OverflowError:
        # The first and last hours that Python's calendar has: a forged date, shown as it is.
        there = moment
    offset = there.strftime("%z")
    return f"{there:%Y-%m-%d %H:%M} {offset[:3]}:{offset[3:5]}"
