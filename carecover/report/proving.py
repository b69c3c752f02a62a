"""The sections that prove: what the rehearsal showed, what ran, and what is proved and for whom."""

from __future__ import annotations

from typing import Final

import pandas as pd

from carecover.model import RevocationReason
from carecover.report.document import MAX_LIST, Block, Columns, Items, Paragraph, Section, Table, Tone, clean
from carecover.report.material import (
    URGENCY,
    VERDICTS,
    Material,
    counts,
    first_of,
    flag,
    moment_of,
    parsed,
    reason_text,
    rows_of,
)

_PHASES: Final[Columns] = (("column_phase", "text"), ("column_code", "number"))
_RUNS: Final[Columns] = (
    ("column_run", "name"),
    ("column_when", "time"),
    ("column_phase", "text"),
    ("column_code", "number"),
    ("column_transcript", "detail"),
)
_OUTCOMES: Final[Columns] = (
    ("column_verdict", "verdict"),
    ("column_serial", "serial"),
    ("column_action", "text"),
    ("column_crl", "text"),
    ("column_cdp", "text"),
    ("column_why", "detail"),
    ("column_ocsp", "detail"),
    ("column_log", "detail"),
    ("column_database", "detail"),
)
_DATES: Final[Columns] = (
    ("column_serial", "serial"),
    ("column_reason", "text"),
    ("column_old_date", "time"),
    ("column_new_date", "time"),
    ("column_between", "number"),
    ("column_template", "detail"),
)
_PLACES: Final[Columns] = (
    ("column_place_kind", "text"),
    ("column_key", "number"),
    ("column_current", "verdict"),
    ("column_until", "time"),
    ("column_url", "name"),
    ("column_seen", "detail"),
    ("column_meaning", "detail"),
)
_CHANGES: Final[Columns] = (
    ("column_verdict", "verdict"),
    ("column_change", "text"),
    ("column_serial", "serial"),
    ("column_from_to", "text"),
    ("column_reasons", "text"),
    ("column_meaning", "detail"),
)
_LINT: Final[Columns] = (
    ("column_severity", "verdict"),
    ("column_crl", "serial"),
    ("column_what", "text"),
    ("column_rule", "detail"),
    ("column_sha256", "detail"),
)
_CRLS: Final[Columns] = (
    ("column_number", "serial"),
    ("column_base", "text"),
    ("column_begins", "time"),
    ("column_ends", "time"),
    ("column_entries", "number"),
    ("column_signature", "text"),
    ("column_sha256", "digest"),
)


def rehearsal(case: Material) -> Section:
    """What happened on the simulated CA, and what that is worth."""
    say, run = case.say, case.rehearsal
    if run is None:
        return Section("rehearsal", say("rehearsal"), (Paragraph(say("rehearsal_none"), "warning"),))
    blocks: list[Block] = [Paragraph(say("rehearsal_lead"), "warning")]
    if run.plan_digest is not None and (case.plan is None or run.plan_digest != case.plan.digest):
        blocks.append(Paragraph(say("rehearsal_other_plan", digest=clean(run.plan_digest)), "bad"))
    verdicts = counts(run.outcomes, "verdict", VERDICTS)
    if sum(verdicts.values()):
        blocks.append(Paragraph(say("verdicts_would", text=case.listed("verdict", verdicts))))
    if run.phases:
        blocks.append(case.sheet("phases_caption", _PHASES, run.phases, len(run.phases)))
    if run.outcomes is not None and len(run.outcomes) > verdicts["proved"]:
        unproved = run.outcomes[run.outcomes["verdict"] != "proved"]
        blocks.append(_outcomes(case, unproved, "rehearsal_open_caption", ""))
    if run.assumptions:
        blocks.append(Items(tuple(case.recorded(clean(a))[0] for a in run.assumptions[:MAX_LIST]), say("assumptions")))
    return Section("rehearsal", say("rehearsal"), tuple(blocks))


def execution(case: Material) -> Section:
    """What was run on the real CA, what is proved about every decision, and what clients can see of it."""
    say = case.say
    blocks: list[Block] = []
    if case.executions:
        runs = [
            (run.name, run.at, phase, code, " ".join(run.transcript_sha256) or None)
            for run in case.executions
            for phase, code in run.phases or ((None, None),)
        ]
        blocks.append(case.sheet("runs_caption", _RUNS, runs, len(runs)))
    if case.outcomes is not None and len(case.outcomes):
        blocks += [Paragraph(say("outcomes_lead"), "quiet")]
        blocks.append(_outcomes(case, case.outcomes, "outcomes_caption", "outcomes"))
    if not blocks:
        blocks.append(Paragraph(say("execution_none"), "warning"))
    blocks += [*_dates(case), *_places(case), *_changes(case), *_lint(case), *_lists(case)]
    return Section("execution", say("execution"), tuple(blocks))


def _outcomes(case: Material, outcomes: pd.DataFrame, caption: str, source: str) -> Table:
    names = ("verdict", "serial", "action", "crl", "cdp", "why", "ocsp", "transcript", "database")
    listed = rows_of(first_of(outcomes, "verdict", URGENCY), names)
    return case.sheet(caption, _OUTCOMES, listed, len(outcomes), source)


def _dates(case: Material) -> list[Block]:
    """Old and new revocation date of what is revoked for the second time, and what lies between."""
    items = case.plan.items if case.plan else ()
    again = [item for item in items if item.action == "revoke" and item.original_revoked_at]
    if not again:
        return []
    say, new = case.say, {}
    if case.outcomes is not None:
        shown = case.outcomes.dropna(subset=["new_revoked_at"])
        new = dict(zip(shown["finding_id"], shown["new_revoked_at"], strict=True))
    listed = []
    for item in again:
        old, late = parsed(item.original_revoked_at), moment_of(new.get(item.finding_id))
        days = None if late is None or old is None else max((late - old).days, 0)
        after = say("date_to_come") if late is None else late
        listed.append((item.serial, reason_text(item.reason), old, after, days, item.template))
    texts = [say("dates_signatures")]
    stolen = sum(item.original_reason == RevocationReason.KEY_COMPROMISE for item in again)
    held = sum(item.original_reason == RevocationReason.CERTIFICATE_HOLD for item in again)
    texts += [say("dates_stolen", n=stolen)] if stolen else []
    texts += [say("dates_held", n=held)] if held else []
    return [
        Paragraph(say("dates_lead", n=len(again)), "warning"),
        Items(tuple(texts)),
        case.sheet("dates_caption", _DATES, listed, len(again), "outcomes" if new else ""),
    ]


def _places(case: Material) -> list[Block]:
    """The two proofs apart: what the CA wrote is above, what clients can fetch is here."""
    say, table = case.say, case.table("visibility")
    if table.empty:
        return []
    current = int(flag(table["current"]).sum())
    known = int(table["url"].notna().sum())
    tone: Tone = "good" if known and current == len(table) else "warning"
    names = ("kind", "ca_key_index", "current", "trusted_until", "url", "seen", "why")
    listed = (
        (say(f"place_{kind}") if kind in ("base", "delta", "ocsp") else kind, key, _current(case, now), *rest)
        for kind, key, now, *rest in rows_of(table, names)
    )
    return [
        Paragraph(say("places_current", n=current, of=len(table)), tone),
        Paragraph(say("places_lead"), "quiet"),
        case.sheet("places_caption", _PLACES, listed, len(table), "visibility"),
    ]


def _current(case: Material, now: object) -> str:
    """Whether the new list is there; where nothing was fetched nobody knows."""
    if now is True:
        return case.say("current_yes")
    return case.say("current_no" if now is False else "current_unknown")


def _changes(case: Material) -> list[Block]:
    say, table = case.say, case.table("crl_changes")
    if table.empty:
        return []
    lost = case.dropped
    names = (
        "verdict", "change", "serial", "old_number", "new_number", "old_reason", "new_reason", "why",
    )  # fmt: skip
    listed = (
        (verdict, change, serial, f"CRL {old} → CRL {new}", _from_to(before, after), why)
        for verdict, change, serial, old, new, before, after, why in rows_of(
            first_of(table, "verdict", ("unexpected", "expired", "planned")), names
        )
    )
    told = Paragraph(say("changes_lost", n=lost), "bad") if lost else Paragraph(say("changes_kept"), "good")
    return [told, case.sheet("changes_caption", _CHANGES, listed, len(table), "crl_changes")]


def _from_to(before: object, after: object) -> str | None:
    told = [text for text in (reason_text(before), reason_text(after)) if text]
    return " → ".join(dict.fromkeys(told)) or None


def _lint(case: Material) -> list[Block]:
    table = case.table("crl_lint")
    if table.empty:
        return []
    names = ("severity", "crl_number", "what", "rule", "crl_sha256")
    listed = rows_of(first_of(table, "severity", ("error", "warning", "notice")), names)
    return [case.sheet("lint_caption", _LINT, listed, len(table), "crl_lint")]


def _lists(case: Material) -> list[Block]:
    crls = case.table("crls")
    blocks: list[Block] = [] if crls.empty else [_listed(case, crls, "crls_caption", "crls")]
    if case.new_crls is not None and len(case.new_crls):
        blocks.append(_listed(case, case.new_crls, "new_crls_caption", ""))
    return blocks


def _listed(case: Material, crls: pd.DataFrame, caption: str, source: str) -> Table:
    say = case.say
    names = ("crl_number", "is_delta", "this_update", "next_update", "entries", "signed_by_ca", "crl_sha256")
    listed = (
        (number, say("delta" if delta is True else "base"), begin, end, n, say("yes" if own is True else "no"), sha)
        for number, delta, begin, end, n, own, sha in rows_of(crls, names)
    )
    return case.sheet(caption, _CRLS, listed, len(crls), source)
