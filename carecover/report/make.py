"""make_document: the tables of a case, put into the sections of a post-incident report.

The sections are those that NIST SP 800-61r3, RFC 3227 4.1 and the usual templates of
incident reports ask for. What only people know is left open, visibly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import pandas as pd

from carecover.errors import UsageError
from carecover.model import CaseFacts, Plan, SignOff
from carecover.report import closing, found, narrative, proving, records, redacted
from carecover.report.document import Act, Document, Execution, Kind, Section, clean, minute
from carecover.report.fields import checked
from carecover.report.material import Material, zone
from carecover.report.redacted import Pseudonyms
from carecover.report.texts import Words
from carecover.report.timeline import make_timeline

AUDIENCES: Final = ("all", "leadership", "technical", "legal")


def make_document(
    *,
    case_name: str,
    facts: CaseFacts,
    tables: Mapping[str, pd.DataFrame],
    plan: Plan | None,
    sign_offs: Sequence[SignOff],
    rehearsal: Execution | pd.DataFrame | None,
    journal_head: str,
    made_at: datetime,
    version: str,
    executions: Sequence[Execution] = (),
    trusted_until: datetime | None = None,
    language: str = "en",
    audience: str = "all",
    told: Mapping[str, str] | None = None,
    acts: Sequence[Act] = (),
    pseudonyms: Pseudonyms | None = None,
    new_crls: pd.DataFrame | None = None,
) -> Document:
    """The report on a case as it stands; nothing is read, written or looked up.

    ``tables`` are the case's tables by name, ``outcomes`` (those of the real CA) among them;
    missing ones count as empty. ``rehearsal`` is the newest one, or just its outcomes, and
    ``executions`` are the runs on the real CA. ``trusted_until`` is the end of the visibility
    clock (proof.trusted_until of table visibility). ``told`` is what people wrote (fields.FIELDS), ``acts`` the
    journal, ``new_crls`` the lists handed to ``verify`` (columns of table crls). ``audience`` is one of AUDIENCES, and
    ``pseudonyms`` makes the edition for outsiders. Raises UsageError where the case's time zone, the language, the
    audience or a field is unknown.
    """
    say = Words(language)
    if audience not in AUDIENCES:
        raise UsageError(f"There is no report for '{clean(audience, 40)}'; there is one for: {', '.join(AUDIENCES)}.")
    rehearsed = Execution(rehearsal) if isinstance(rehearsal, pd.DataFrame) else rehearsal
    # Drawn of numbers and times only: outsiders see what everybody sees, though not the tables behind it.
    drawn = make_timeline(tables, facts, language)
    if pseudonyms is not None:
        names = replace(pseudonyms, withheld=say("withheld"))
        case_name, facts = names("case", case_name) or "", redacted.facts(facts, names)
        tables, plan, told = redacted.tables(tables, names), redacted.plan(plan, names), {}
        sign_offs = [redacted.sign_off(one, names) for one in sign_offs]
        rehearsed = redacted.execution(rehearsed, names)
        executions = [run for run in (redacted.execution(one, names) for one in executions) if run is not None]
        acts = [redacted.act(one, names) for one in acts]
        new_crls = None if new_crls is None else redacted.tables({"crls": new_crls}, names)["crls"]
    case = Material(
        case_name,
        facts,
        tables,
        plan,
        tuple(sign_offs),
        rehearsed,
        tuple(executions),
        tables.get("outcomes"),
        journal_head,
        made_at,
        version,
        trusted_until,
        zone(facts.time_zone),
        say,
        checked(told or {}),
        tuple(acts),
        "full" if pseudonyms is None else "redacted",
        drawn,
        new_crls,
    )
    written = [(writer(case), readers) for writer, readers in _WRITERS]
    sections = tuple(section for section, readers in written if audience == "all" or audience in readers)
    return Document(
        language=language,
        title=say("title"),
        subtitle=say("subtitle"),
        ca_name=case.ca,
        status=narrative.status(case),
        head=replace(head := narrative.head(case), rows=(*head.rows, _readers(say, audience, written))),
        sections=sections,
        footer=say("footer", version=version, made_at=minute(made_at) + " UTC", case=clean(case_name)),
        interface={key: say(key) for key in _INTERFACE},
        made_at=made_at,
        anchors=f"journal head: {journal_head}" + (f"; plan: {plan.digest}" if plan else ""),
        edition=case.edition,
        audience=audience,
    )


def _readers(say: Words, audience: str, written: Sequence[tuple[Section, frozenset[str]]]) -> tuple[str, str, Kind]:
    """Who of the three audiences reads which sections, or for which of them this report was cut."""

    def titles(keep: Callable[[frozenset[str]], bool]) -> str:
        return ", ".join(section.title for section, readers in written if keep(readers))

    if audience == "all":
        some, few = titles(lambda readers: "leadership" in readers), titles(lambda readers: "legal" not in readers)
        return say("head_readers"), say("readers_all", leadership=some, not_legal=few), "text"
    return say("head_readers"), say(f"readers_{audience}", n=len(written)), "text"


# The few words that a renderer adds.
_INTERFACE: Final = (
    "contents", "skip", "open_field", "about", "table", "page", "of", "picture", "recorded", "notes",
)  # fmt: skip
_EVERYBODY: Final = frozenset(("leadership", "technical", "legal"))
# The sections in order, and who reads them; a report for all has them all.
_WRITERS: Final = (
    (narrative.summary, _EVERYBODY),
    (narrative.happened, _EVERYBODY),
    (found.steps, frozenset(("technical",))),
    (found.findings, frozenset(("technical", "legal"))),
    (narrative.impact, _EVERYBODY),
    (records.decisions, frozenset(("technical", "legal"))),
    (proving.rehearsal, frozenset(("technical",))),
    (proving.execution, frozenset(("technical", "legal"))),
    (narrative.risks, _EVERYBODY),
    (closing.lessons, _EVERYBODY),
    (records.evidence, frozenset(("technical", "legal"))),
    (narrative.method, frozenset(("technical", "legal"))),
    (closing.appendices, frozenset(("technical", "legal"))),
)
