"""The sections that close a report: lessons with owner and date, and what is attached to it."""

from __future__ import annotations

from typing import Final

from carecover.model import TABLES
from carecover.report.document import Block, Columns, Paragraph, Section, Terms, clean
from carecover.report.fields import lessons as lessons_of
from carecover.report.material import Material

_LESSONS: Final[Columns] = (("column_lesson", "text"), ("column_owner", "name"), ("column_due", "time"))
_TABLES: Final[Columns] = (("column_table", "name"), ("column_rows", "number"), ("column_row", "text"))
_GLOSSARY: Final = ("orphan", "baseline", "dummy", "plan", "bundle", "pin", "crl", "ocsp", "hold")


def lessons(case: Material) -> Section:
    """What changes, who sees to it, and by when: people's words, or room for them."""
    say, given = case.say, lessons_of(case.told.get("lessons", ""))
    blocks: list[Block] = []
    if given:
        rows = ((clean(one.what, 1_000), one.owner, one.due) for one in given)
        blocks.append(case.sheet("lessons_caption", _LESSONS, rows, len(given)))
    else:
        blocks.append(case.open_field("lessons", "lessons_prompt"))
    return Section("lessons", say("lessons"), tuple(blocks))


def appendices(case: Material) -> Section:
    """Which tables belong to the report, how to get them, and what the words mean."""
    say = case.say
    found = [(name, len(case.tables[name]), TABLES[name].row) for name in TABLES if len(case.table(name))]
    return Section(
        "appendices",
        say("appendices"),
        (
            Paragraph(say("appendices_lead")),
            case.sheet("tables_caption", _TABLES, found, len(found)),
            Paragraph(say("glossary"), "quiet"),
            Terms(tuple((say(f"term_{key}"), say(f"meaning_{key}"), "text") for key in _GLOSSARY)),
        ),
    )
