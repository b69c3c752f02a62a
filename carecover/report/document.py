"""The report as one frozen document: what is said, in order, without a word on how it looks.

A renderer needs nothing but the Document. Texts in it may come from evidence; they are cut
to a bound and freed of invisible characters here, and escaped by the renderer.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import pandas as pd

from carecover.report.timeline import Timeline

# A board reads no thousand rows; the case holds them all.
MAX_ROWS: Final = 200
# About eight pages of print: two hundred honest rows stay below it, hostile ones of six thousand letters do not.
MAX_LETTERS: Final = 60_000
# Longer than any honest subject or file name; a hostile one must not fill the report.
MAX_TEXT: Final = 300
# Reasons are whole sentences, and what they say last counts as much.
MAX_DETAIL: Final = 1_200
MAX_LIST: Final = 50
# What a cell shows where nothing is known.
ABSENT: Final = "—"

Kind = Literal["text", "name", "serial", "digest", "number", "time", "verdict", "detail"]
"""What a value is; a ``detail`` is long and belongs below its row, not beside it."""

Columns = Sequence[tuple[str, Kind]]
"""Columns of a table as they are declared: (key of the title's text, kind of the cells)."""
Tone = Literal["plain", "quiet", "good", "warning", "bad"]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; anything but ``plain`` and ``quiet`` stands out and says why in words."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Items:
    """A list of sentences."""

    texts: tuple[str, ...]
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """Names and values: (name, value, kind of value)."""

    rows: tuple[tuple[str, str, Kind], ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's title and the kind of its cells."""

    title: str
    kind: Kind = "text"
    recorded: bool = False
    """True where some of the cells have no words in the report's language and are English, as recorded."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; ``note`` says where the rest is when not every row is shown.

    ``source`` is the case's table that every figure of it comes from, None where it is no table's.
    """

    caption: str
    columns: tuple[Heading, ...]
    rows: tuple[tuple[str, ...], ...]
    total: int
    note: str | None = None
    source: str | None = None
    english: tuple[tuple[int, int], ...] = ()
    """(row, column) of each cell that is English, as recorded, in a report of another language."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Up to four figures that carry the summary: (number, what it counts, tone)."""

    figures: tuple[tuple[str, str, Tone], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """The timeline, counted but not yet drawn."""

    timeline: Timeline
    caption: str


@dataclass(frozen=True, slots=True)
class OpenField:
    """What only people can write: their text, or room for it and what belongs there."""

    title: str
    prompt: str
    text: tuple[str, ...] = ()


Block = Paragraph | Items | Terms | Table | Tiles | Picture | OpenField


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its anchor, its title and its blocks."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A post-incident report; equal inputs make equal documents."""

    language: str
    title: str
    subtitle: str
    ca_name: str
    status: Paragraph
    head: Terms
    sections: tuple[Section, ...]
    footer: str
    interface: Mapping[str, str]
    """The few words that a renderer adds: contents, skip, open_field, about, table, page, of, picture."""
    made_at: datetime
    anchors: str
    """Head of the journal and digest of the plan, for the properties of files: ``carecover check`` finds them there."""
    edition: str = "full"
    audience: str = "all"


@dataclass(frozen=True)
class Execution:
    """One time that the bundle ran, rehearsed or real; what is not known is left out.

    ``outcomes`` is the table of that name as judged afterwards, ``phases`` are the calls and
    their exit codes in order ('revoke.cmd apply', 0), ``assumptions`` the sentences on what
    a simulated CA took for granted.
    """

    outcomes: pd.DataFrame | None = None
    at: datetime | None = None
    name: str | None = None
    plan_digest: str | None = None
    phases: tuple[tuple[str, int], ...] = ()
    transcript_sha256: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """One act of the journal, for the custody log: its number, time, name, who did it and by which command."""

    number: int
    at: datetime
    act: str
    by: str | None
    command: str | None
    digest: str


# ------------------------------------------------------------------------- values as texts


def clean(value: object, limit: int = MAX_TEXT) -> str:
    """Text from anywhere as one line that hides nothing: invisible characters are shown by number.

    >>> clean("a\\u202eb\\nc")
    'a[U+202E]b c'
    """
    whole = str(value)
    text = " ".join(whole[: limit + 1].split())
    # A cut that falls between two words leaves no letter too many, and is a cut all the same.
    cut = len(text) > limit or bool(whole[limit + 1 :].strip())
    shown = "".join(f"[U+{ord(c):04X}]" if unicodedata.category(c)[0] == "C" else c for c in text[:limit])
    return shown + "…" if cut else shown


def cell(value: object, limit: int = MAX_TEXT, more: str = "and {n:,} more") -> str:
    """A table's value as a text; absent is a dash. ``more`` says how many of a list are not shown."""
    if isinstance(value, list | tuple):
        texts = [clean(v) for v in value[:3]] + ([more.format(n=len(value) - 3)] if len(value) > 3 else [])
        return "; ".join(texts) or ABSENT
    if value is None or value is pd.NA or value is pd.NaT:
        return ABSENT
    if isinstance(value, datetime):
        return minute(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return clean(value, limit)


def minute(moment: datetime) -> str:
    """A time in UTC, to the minute."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
