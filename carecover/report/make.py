"""make_document: the tables of a case, put into the sections of a post-incident report.

The sections are those that NIST SP 800-61r3, RFC 3227 4.1 and the usual templates of
incident reports ask for. What only people know is left open, visibly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pandas as pd

from carecover.model import CaseFacts, Plan, SignOff
from carecover.report import found, narrative, proving, records
from carecover.report.document import Document, Execution, clean, minute
from carecover.report.material import Material, zone
from carecover.report.texts import Words


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
) -> Document:
    """The report on a case as it stands; nothing is read, written or looked up.

    ``tables`` are the case's tables by name, ``outcomes`` (those of the real CA) among them;
    missing ones count as empty. ``rehearsal`` is the newest one, or just its outcomes, and
    ``executions`` are the runs on the real CA. ``trusted_until`` is the end of the visibility
    clock (proof.trusted_until of table visibility). Raises UsageError where the case's time zone or the
    language is unknown.
    """
    case = Material(
        case_name,
        facts,
        tables,
        plan,
        tuple(sign_offs),
        Execution(rehearsal) if isinstance(rehearsal, pd.DataFrame) else rehearsal,
        tuple(executions),
        tables.get("outcomes"),
        journal_head,
        made_at,
        version,
        trusted_until,
        zone(facts.time_zone),
        Words(language),
    )
    say = case.say
    writers = (
        narrative.summary,
        narrative.happened,
        found.steps,
        found.findings,
        narrative.impact,
        records.decisions,
        proving.rehearsal,
        proving.execution,
        narrative.risks,
        records.evidence,
        narrative.method,
    )
    return Document(
        language=language,
        title=say("title"),
        subtitle=say("subtitle"),
        ca_name=case.ca,
        status=narrative.status(case),
        head=narrative.head(case),
        sections=tuple(writer(case) for writer in writers),
        footer=say("footer", version=version, made_at=minute(made_at) + " UTC", case=clean(case_name)),
        interface={key: say(key) for key in ("contents", "skip", "open_field", "about")},
    )
