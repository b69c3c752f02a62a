"""The sections that record: findings, decisions, rehearsal, execution and evidence, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from carecover.model import ACTIONS, FINDING_KINDS
from carecover.report.document import (
    MAX_LIST,
    MAX_ROWS,
    Block,
    Columns,
    Items,
    OpenField,
    Paragraph,
    Section,
    Table,
    clean,
)
from carecover.report.material import URGENCY, VERDICTS, Material, counts, file_name, parsed, reason_text, word

# The columns of every table here, left to right.
_FINDINGS: Final[Columns] = (
    ("column_kind", "text"),
    ("column_serial", "serial"),
    ("column_subject", "name"),
    ("column_template", "name"),
    ("column_ends", "time"),
    ("column_confidence", "detail"),
    ("column_requester", "detail"),
    ("column_why", "detail"),
    ("column_evidence", "detail"),
)
_COVERAGE: Final[Columns] = (
    ("column_aspect", "text"),
    ("column_figure", "text"),
    ("column_verdict", "verdict"),
    ("column_meaning", "text"),
)
_SIGN_OFFS: Final[Columns] = (
    ("column_person", "name"),
    ("column_role", "text"),
    ("column_when", "time"),
    ("column_digest", "digest"),
)
_DECISIONS: Final[Columns] = (
    ("column_serial", "serial"),
    ("column_action", "text"),
    ("column_reason", "text"),
    ("column_method", "text"),
    ("column_by", "name"),
    ("column_when", "time"),
    ("column_note", "detail"),
)
_WATCH: Final[Columns] = (
    ("column_serial", "serial"),
    ("column_subject", "name"),
    ("column_ends", "time"),
    ("column_note", "detail"),
)
_PHASES: Final[Columns] = (("column_phase", "text"), ("column_code", "number"))
_RUNS: Final[Columns] = (
    ("column_run", "name"),
    ("column_when", "time"),
    ("column_phase", "text"),
    ("column_code", "number"),
    ("column_transcript", "digest"),
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
_EVIDENCE: Final[Columns] = (
    ("column_id", "name"),
    ("column_file", "name"),
    ("column_file_kind", "text"),
    ("column_bytes", "number"),
    ("column_units", "number"),
    ("column_parsed", "number"),
    ("column_irrelevant", "number"),
    ("column_duplicate", "number"),
    ("column_rejected", "number"),
    ("column_sha256", "detail"),
)
_REJECTS: Final[Columns] = (
    ("column_id", "name"),
    ("column_place", "text"),
    ("column_stage", "text"),
    ("column_bytes", "number"),
    ("column_why", "detail"),
    ("column_sha256", "detail"),
)
_OUTCOMES: Final[Columns] = (
    ("column_verdict", "verdict"),
    ("column_serial", "serial"),
    ("column_action", "text"),
    ("column_log", "text"),
    ("column_database", "text"),
    ("column_crl", "text"),
    ("column_cdp", "text"),
    ("column_why", "detail"),
)


def findings(case: Material) -> Section:
    """What the restored CA is wrong about, and how complete that is."""
    say, table = case.say, case.table("findings")
    blocks: list[Block] = []
    if table.empty:
        blocks.append(Paragraph(say("findings_none")))
    else:
        names = ("kind", "serial", "subject", "template", "not_after", "confidence", "requester", "why", "evidence")
        rows = ((word(kind), *rest) for kind, *rest in _rows(_first(table, "kind", FINDING_KINDS), names))
        blocks.append(Paragraph(case.listed("kind", case.kinds) + "."))
        blocks.append(case.sheet("findings_caption", _FINDINGS, rows, len(table), "findings"))
    coverage = case.table("coverage")
    if coverage.empty:
        blocks.append(Paragraph(say("coverage_none"), "warning"))
    else:
        looked = _rows(coverage, ("aspect", "figure", "verdict", "why"))
        blocks.append(case.sheet("coverage", _COVERAGE, looked, len(coverage), "coverage"))
    return Section("findings", say("findings"), tuple(blocks))


def decisions(case: Material) -> Section:
    """Who decided what and why, and who signed it."""
    say, plan, table = case.say, case.plan, case.decisions
    blocks: list[Block] = []
    if plan is not None:
        good = Paragraph(say("sign_offs_good"), "good")
        blocks.append(good if case.signed else Paragraph(say("sign_offs_open"), "warning"))
    if case.sign_offs:
        signed = ((s.person, s.role, s.at, s.digest) for s in case.sign_offs)
        blocks.append(case.sheet("sign_offs_caption", _SIGN_OFFS, signed, len(case.sign_offs)))
    else:
        blocks.append(Paragraph(say("sign_offs_none"), "warning"))
    if plan is not None and plan.waivers:
        blocks.append(Items(tuple(clean(w) for w in plan.waivers[:MAX_LIST]), say("waivers")))
    if table.empty:
        blocks.append(Paragraph(say("decisions_none")))
        return Section("decisions", say("decisions"), tuple(blocks))
    blocks.append(Paragraph(case.listed("action", counts(table, "action", ACTIONS)) + "."))
    methods = {item.finding_id: say(f"method_{item.method}") for item in plan.items} if plan else {}
    names = ("finding_id", "serial", "action", "reason", "decided_by", "decided_at", "note")
    rows = (
        (serial, action, reason_text(reason), methods.get(str(finding)), person, at, note)
        for finding, serial, action, reason, person, at, note in _rows(table, names)
    )
    blocks.append(case.sheet("decisions_caption", _DECISIONS, rows, len(table), "decisions"))
    left = [item for item in plan.items if item.action == "leave"] if plan else []
    if left:
        watched = ((i.serial, i.subject, parsed(i.not_after), i.note) for i in left)
        blocks += [Paragraph(say("watch_lead")), case.sheet("watch", _WATCH, watched, len(left), "decisions")]
    return Section("decisions", say("decisions"), tuple(blocks))


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
        blocks.append(_outcomes(case, unproved, "rehearsal_open_caption"))
    if run.assumptions:
        blocks.append(Items(tuple(clean(a) for a in run.assumptions[:MAX_LIST]), say("assumptions")))
    return Section("rehearsal", say("rehearsal"), tuple(blocks))


def execution(case: Material) -> Section:
    """What was run on the real CA, and what is proved about every decision."""
    say, crls = case.say, case.table("crls")
    blocks: list[Block] = []
    if case.executions:
        rows = [
            (run.name, run.at, phase, code, " ".join(run.transcript_sha256[:3]) or None)
            for run in case.executions
            for phase, code in run.phases or ((None, None),)
        ]
        blocks.append(case.sheet("runs_caption", _RUNS, rows, len(rows)))
    if case.outcomes is not None and len(case.outcomes):
        blocks += [Paragraph(say("outcomes_lead"), "quiet"), _outcomes(case, case.outcomes, "outcomes_caption")]
    if not blocks:
        blocks.append(Paragraph(say("execution_none"), "warning"))
    if len(crls):
        names = ("crl_number", "is_delta", "this_update", "next_update", "entries", "signed_by_ca", "crl_sha256")
        listed = (
            (number, say("delta" if delta is True else "base"), begin, end, n, say("yes" if own is True else "no"), sha)
            for number, delta, begin, end, n, own, sha in _rows(crls, names)
        )
        blocks.append(case.sheet("crls_caption", _CRLS, listed, len(crls), "crls"))
    return Section("execution", say("execution"), tuple(blocks))


def evidence(case: Material) -> Section:
    """What was handed in, what became of it, and what could not be used."""
    say = case.say
    files, accounting, rejects = (case.table(name) for name in ("evidence", "accounting", "rejects"))
    custody = OpenField(say("custody"), say("custody_prompt"))
    if files.empty:
        return Section("evidence", say("evidence"), (Paragraph(say("evidence_none"), "warning"), custody))
    parts = ("parsed", "irrelevant", "duplicate", "rejected")
    sums = {name: int(accounting[name].sum()) for name in ("units", *parts)}
    blocks: list[Block] = [Paragraph(say("evidence_lead", **sums))]
    if sums["units"] != sum(sums[part] for part in parts):
        blocks.append(Paragraph(say("evidence_identity_broken", units=sums["units"]), "bad"))
    per_file = accounting.groupby("evidence_id")[["units", *parts]].sum()
    rows = (
        (number, file_name(path), word(kind), size, *(per_file[n].get(number) for n in ("units", *parts)), sha256)
        for number, path, kind, size, sha256 in _rows(files, ("evidence_id", "path", "kind", "size", "sha256"))
    )
    blocks.append(case.sheet("evidence_caption", _EVIDENCE, rows, len(files), "evidence"))
    if rejects.empty:
        blocks.append(Paragraph(say("rejects_none")))
    else:
        refused = _rows(rejects, ("evidence_id", "location", "stage", "size", "reason", "sha256"))
        blocks.append(case.sheet("rejects_caption", _REJECTS, refused, len(rejects), "rejects"))
    return Section("evidence", say("evidence"), (*blocks, custody))


def _outcomes(case: Material, outcomes: pd.DataFrame, caption: str) -> Table:
    names = ("verdict", "serial", "action", "transcript", "database", "crl", "cdp", "why")
    rows = _rows(_first(outcomes, "verdict", URGENCY), names)
    return case.sheet(caption, _OUTCOMES, rows, len(outcomes), "outcomes")


def _first(table: pd.DataFrame, column: str, order: Sequence[str]) -> pd.DataFrame:
    """The rows that will be shown, the most urgent words first; a word that is not in the order comes last."""
    rank = table[column].map({word: n for n, word in enumerate(order)}).fillna(len(order))
    return table.loc[rank.sort_values(kind="stable").index[:MAX_ROWS]]


def _rows(table: pd.DataFrame, names: Sequence[str]) -> list[tuple[object, ...]]:
    """The first rows as plain Python values, in the order of the names."""
    return [tuple(row[name] for name in names) for row in table.head(MAX_ROWS).to_dict("records")]
