"""What to do first, and what was found: findings, suspect mails, IDs without a trace, and coverage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from carecover.model import ACTIONABLE_KINDS, CIRCUMSTANCES, FINDING_KINDS, SerialAnatomy, SerialNumber
from carecover.report.document import MAX_DETAIL, Block, Columns, Items, Paragraph, Section, clean
from carecover.report.material import Material, first_of, flag, reason_text, rows_of, word
from carecover.report.texts import Words

_STEPS: Final[Columns] = (("column_urgency", "verdict"), ("column_step", "text"), ("column_asks", "detail"))
_URGENCY: Final = ("stop", "before_start", "now", "later")
_FINDINGS: Final[Columns] = (
    ("column_kind", "text"),
    ("column_serial", "serial"),
    ("column_subject", "name"),
    ("column_template", "name"),
    ("column_ends", "time"),
    ("column_confidence", "detail"),
    ("column_suggested", "detail"),
    ("column_why", "detail"),
    ("column_circumstances", "detail"),
    ("column_requester", "detail"),
    ("column_evidence", "detail"),
)
_TOLD: Final[Columns] = (
    ("column_kind", "text"),
    ("column_request", "number"),
    ("column_serial", "serial"),
    ("column_requester", "name"),
    ("column_confidence", "detail"),
    ("column_why", "detail"),
    ("column_circumstances", "detail"),
    ("column_evidence", "detail"),
)
_COVERAGE: Final[Columns] = (
    ("column_aspect", "text"),
    ("column_figure", "text"),
    ("column_verdict", "verdict"),
    ("column_meaning", "text"),
)
_OUTAGES: Final[Columns] = (
    ("column_day", "time"),
    ("column_mails", "number"),
    ("column_events", "number"),
    ("column_requests", "number"),
    ("column_why", "text"),
)


def steps(case: Material) -> Section:
    """What is still open of what has to be done first."""
    say, table = case.say, case.table("first_steps")
    if case.edition == "redacted":
        # The sentences are free text: that they are left out does not mean that there are none.
        return Section("steps", say("steps"), (Paragraph(say("withheld")),))
    if table.empty:
        return Section("steps", say("steps"), (Paragraph(say("steps_none")),))
    blocks: list[Block] = []
    stop = table.loc[table["when"] == "stop", "step"].dropna()
    blocks += [Paragraph(case.recorded(clean(step, MAX_DETAIL))[0], "bad") for step in stop.head(3)]
    listed = ((word(when), step, why) for when, step, why in rows_of(first_of(table, "when", _URGENCY), _names(table)))
    blocks.append(case.sheet("steps_caption", _STEPS, listed, len(table), "first_steps"))
    return Section("steps", say("steps"), tuple(blocks))


def _names(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table.columns]


def findings(case: Material) -> Section:
    """What the restored CA is wrong about, what only people can settle, and how complete that is."""
    say, table = case.say, case.table("findings")
    blocks: list[Block] = []
    if table.empty:
        blocks.append(Paragraph(say("findings_none")))
    else:
        blocks.append(Paragraph(case.listed("kind", case.kinds) + "."))
        acted = table[table["kind"].isin(ACTIONABLE_KINDS)]
        suspect = table[table["kind"] == "suspect_notification"]
        told = table[~table.index.isin(acted.index) & ~table.index.isin(suspect.index)]
        if len(acted):
            blocks.append(case.sheet("findings_caption", _FINDINGS, _acted(case, acted), len(acted), "findings"))
        if len(told):
            blocks.append(Paragraph(say("told_lead"), "quiet"))
            blocks.append(case.sheet("told_caption", _TOLD, _told(case, told), len(told), "findings"))
        if len(suspect):
            blocks.append(Paragraph(say("suspect_lead"), "warning"))
            blocks.append(case.sheet("suspect_caption", _TOLD, _told(case, suspect), len(suspect), "findings"))
    blocks += [*_without_a_trace(case), *_coverage(case)]
    return Section("findings", say("findings"), tuple(blocks))


def _acted(case: Material, findings: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    names = (
        "kind", "serial", "subject", "template", "not_after", "confidence", "suggested_action", "suggested_reason",
        "why", "circumstances", "requester", "evidence",
    )  # fmt: skip
    for kind, serial, *who, confidence, action, reason, why, special, requester, shown in rows_of(
        first_of(findings, "kind", FINDING_KINDS), names
    ):
        named = reason_text(reason) if action == "revoke" else None
        suggested = f"{case.say.value(str(action))} ({named})" if named else action
        yield word(kind), serial, *who, confidence, suggested, why, circumstances(special, case.say), requester, shown


def _told(case: Material, findings: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    names = ("kind", "request_id", "serial", "requester", "confidence", "why", "circumstances", "evidence")
    for kind, request_id, serial, requester, confidence, why, special, shown in rows_of(
        first_of(findings, "kind", FINDING_KINDS), names
    ):
        # A request ID is a name, not a quantity.
        number = None if pd.isna(request_id) else str(request_id)  # type: ignore[call-overload]
        yield word(kind), number, serial, requester, confidence, why, circumstances(special, case.say), shown


def circumstances(words: object, say: Words) -> str | None:
    """What tells a finding apart, in sentences."""
    known = words if isinstance(words, list) else []
    return " ".join(say.value(CIRCUMSTANCES[w]) for w in known if w in CIRCUMSTANCES) or None


def _without_a_trace(case: Material) -> list[Block]:
    """What can and what cannot be done about requests that no evidence explains."""
    say, n = case.say, case.kinds.get("unaccounted_request", 0)
    if not n:
        return []
    layouts = _layouts(case)
    form = "random" if layouts & {"number", "default"} else "string" if "string" in layouts else "unknown"
    texts = [say(f"trace_{form}"), say("trace_helps"), say("trace_helps_not"), say("trace_search")]
    return [Paragraph(say("trace_lead", n=n), "warning"), Items(tuple(texts), say("trace_title"))]


def _layouts(case: Material) -> set[str]:
    """The serial layouts of the CA's own rows; of what was found missing where there are none."""
    shown = case.table("ca_rows")["serial"].dropna()
    if shown.empty:
        findings = case.table("findings")
        shown = findings.loc[findings["kind"].isin(ACTIONABLE_KINDS), "serial"].dropna()
    # The layout changes only with the CA's configuration: the newest rows tell how it is now.
    anatomies = [_anatomy(serial) for serial in shown.tail(1000)]
    return {one.layout for one in anatomies if one is not None}


def _anatomy(serial: Any) -> SerialAnatomy | None:  # noqa: ANN401 - a cell of any frame
    digits = str(serial)
    plain = len(digits) <= 40 and digits.isascii() and digits.isalnum() and digits.strip("0")
    try:
        return SerialNumber(int(digits, 16)).anatomy if plain else None
    except ValueError:
        return None


def _coverage(case: Material) -> list[Block]:
    say, coverage, activity = case.say, case.table("coverage"), case.table("activity")
    blocks: list[Block] = []
    if coverage.empty:
        blocks.append(Paragraph(say("coverage_none"), "warning"))
    else:
        # What was counted and why is free text, which outsiders do not get.
        shown = [0, 2] if case.edition == "redacted" else [0, 1, 2, 3]
        names = [("aspect", "figure", "verdict", "why")[n] for n in shown]
        columns = [_COVERAGE[n] for n in shown]
        blocks.append(case.sheet("coverage", columns, rows_of(coverage, names), len(coverage), "coverage"))
    out = activity[flag(activity["outage"])]
    if len(out):
        days = (
            (case.date(day), *counts, why)
            for day, *counts, why in rows_of(out, ("day", "mails", "events", "rows", "why"))
        )
        blocks.append(case.sheet("outages_caption", _OUTAGES, days, len(out), "activity"))
    return blocks
