"""What only people can write: root cause, lessons and the like, as fields of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from carecover.errors import UsageError
from carecover.report.document import clean

# One text for each, in the order of the report. Keys are also those of the texts that ask for them.
FIELDS: Final = ("classification", "authors", "approvers", "cause", "systems", "custody", "lessons")
MAX_FIELD: Final = 8_000


@dataclass(frozen=True, slots=True)
class Lesson:
    """What changes, who sees to it, and by when (ISO date); the last two may be open."""

    what: str
    owner: str | None = None
    due: str | None = None


def checked(told: Mapping[str, str]) -> dict[str, str]:
    """The fields with text; raises UsageError for an unknown field, one that is too long, or a date that is none.

    An empty text stays in: it takes back what was written before.
    """
    for name, text in told.items():
        if name not in FIELDS:
            raise UsageError(f"A report has no field '{clean(name, 40)}'; it has: {', '.join(FIELDS)}.")
        if len(text) > MAX_FIELD:
            raise UsageError(
                f"The field '{name}' is longer than {MAX_FIELD:,} characters: put it into an own document."
            )
    lessons(told.get("lessons", ""))
    return {name: told[name].strip() for name in FIELDS if name in told}


def lessons(text: str) -> tuple[Lesson, ...]:
    """The lessons of a text: one a line, ``what | owner | YYYY-MM-DD``; raises UsageError for a date that is none."""
    found = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        what, owner, due = (*(part.strip() or None for part in line.split("|", 2)), None, None)[:3]
        if due is not None:
            try:
                due = date.fromisoformat(due).isoformat()
            except ValueError:
                raise UsageError(
                    f"'{clean(due, 40)}' is no date. A lesson is a line: what | owner | date as 2026-12-31."
                ) from None
        found.append(Lesson(what or "—", owner, due))
    return tuple(found)


def paragraphs(text: str) -> tuple[str, ...]:
    """A text of several lines as lines; nothing invisible stays invisible."""
    return tuple(clean(line, MAX_FIELD) for line in text.splitlines() if line.strip())
