"""make_document: the tables of a case, put into the sections of a post-incident report.

The sections are those that NIST SP 800-61r3, RFC 3227 4.1 and the usual templates of
incident reports ask for. What only people know is left open, visibly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

from carecover.errors import UsageError
from carecover.model import (
    ACTIONABLE_KINDS,
    ACTIONS,
    FINDING_KINDS,
    TABLES,
    CaseFacts,
    Plan,
    RevocationReason,
    SignOff,
    person_key,
)
from carecover.report.document import (
    MAX_LIST,
    Block,
    Document,
    Execution,
    Items,
    Kind,
    OpenField,
    Paragraph,
    Picture,
    Section,
    Table,
    Terms,
    Tiles,
    Tone,
    clean,
    minute,
    table,
)
from carecover.report.texts import Words
from carecover.report.timeline import make_timeline

VERDICTS: Final = ("contradicted", "failed", "pending", "proved")


def make_document(
    *,
    case_name: str,
    facts: CaseFacts,
    tables: Mapping[str, pd.DataFrame],
    plan: Plan | None,
    signoffs: Sequence[SignOff],
    rehearsal: Execution | None,
    outcomes: pd.DataFrame | None,
    journal_head: str,
    made_at: datetime,
    version: str,
    executions: Sequence[Execution] = (),
    trusted_until: datetime | None = None,
    language: str = "en",
) -> Document:
    """The report on a case as it stands; nothing is read, written or looked up.

    ``tables`` are the case's tables by name (missing ones count as empty), ``outcomes`` those
    of the real CA, ``trusted_until`` is proof.last_trust_moment of the lists from before the
    work. Raises UsageError where the case's time zone or the language is unknown.
    """
    case = _Case(
        case_name,
        facts,
        tables,
        plan,
        tuple(signoffs),
        rehearsal,
        tuple(executions),
        outcomes,
        journal_head,
        made_at,
        version,
        trusted_until,
        _zone(facts.time_zone),
        Words(language),
    )
    say = case.say
    writers = (_summary, _happened, _impact, _findings, _decisions, _rehearsal, _execution, _risks, _evidence, _method)
    return Document(
        language=language,
        title=say("title"),
        subtitle=say("subtitle"),
        ca_name=case.ca,
        status=_status(case),
        head=_head(case),
        sections=tuple(writer(case) for writer in writers),
        footer=say("footer", version=version, made_at=minute(made_at) + " UTC", case=clean(case_name)),
        interface={key: say(key) for key in ("contents", "skip", "open_field")},
    )


@dataclass(frozen=True)
class _Case:
    name: str
    facts: CaseFacts
    tables: Mapping[str, pd.DataFrame]
    plan: Plan | None
    signoffs: tuple[SignOff, ...]
    rehearsal: Execution | None
    executions: tuple[Execution, ...]
    outcomes: pd.DataFrame | None
    journal_head: str
    made_at: datetime
    version: str
    trusted_until: datetime | None
    zone: ZoneInfo | None
    say: Words

    def table(self, name: str) -> pd.DataFrame:
        """The table, empty where the case has none."""
        found = self.tables.get(name)
        return TABLES[name].empty() if found is None else found

    @cached_property
    def ca(self) -> str:
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
        findings = self.table("findings")
        actionable = findings.loc[findings["kind"].isin(list(ACTIONABLE_KINDS)), "finding_id"]
        decided = self.decisions.loc[self.decisions["action"] != "undecided", "finding_id"]
        return int((~actionable.isin(list(decided))).sum())

    @cached_property
    def signed(self) -> bool:
        """True where two different people signed exactly this plan, one in each role."""
        if self.plan is None:
            return False
        here = [s for s in self.signoffs if s.digest == self.plan.digest]
        return any(
            a.role == "analyst" and b.role == "reviewer" and person_key(a.person) != person_key(b.person)
            for a in here
            for b in here
        )

    @cached_property
    def verdicts(self) -> dict[str, int]:
        return _counts(self.outcomes, "verdict", VERDICTS)

    def more(self, source: str, total: int) -> str:
        """The note under a table that does not show every row."""
        return self.say("more_rows", shown=_limit(total), total=total, source=source)

    def listed(self, prefix: str, counts: Mapping[str, int]) -> str:
        """'2 to revoke, 1 to leave and watch'."""
        return self.say("and").join(self.say(f"{prefix}_{key}", n=n) for key, n in counts.items() if n)


# ------------------------------------------------------------------------- head and summary


def _status(case: _Case) -> Paragraph:
    say, n = case.say, sum(case.verdicts.values())
    if case.facts.key_exposed == "yes":
        return Paragraph(say("status_exposed"), "bad")
    if case.plan is None:
        return Paragraph(say("status_no_plan"), "warning")
    if not case.signed:
        return Paragraph(say("status_unsigned"), "warning")
    if n == 0:
        return Paragraph(say("status_not_verified"), "warning")
    bad = case.verdicts["failed"] + case.verdicts["contradicted"]
    if bad:
        return Paragraph(say("status_bad", bad=bad, n=n), "bad")
    if case.verdicts["pending"]:
        return Paragraph(
            say("status_open", proved=case.verdicts["proved"], open=case.verdicts["pending"], n=n), "warning"
        )
    return Paragraph(say("status_proved", n=n), "good")


def _head(case: _Case) -> Terms:
    say, facts, plan = case.say, case.facts, case.plan
    rows: list[tuple[str, str | None, Kind]] = [
        ("head_case", clean(case.name), "name"),
        ("head_ca", case.ca, "name"),
        ("head_config", clean(facts.config) if facts.config else None, "name"),
        ("head_certificate", plan.ca_certificate_sha256 if plan else None, "digest"),
        ("head_backup", _when(case, facts.backup), "time"),
        ("head_failure", _when(case, facts.failure), "time"),
        ("head_restored", _when(case, facts.restored), "time"),
        ("head_zone", clean(facts.time_zone) if facts.time_zone else None, "name"),
        ("head_key", say(f"key_{facts.key_exposed}"), "text"),
        ("head_plan", plan.digest if plan else None, "digest"),
        ("head_journal", case.journal_head, "digest"),
        ("head_version", f"carecover {case.version}", "text"),
        ("head_made_at", _when(case, case.made_at), "time"),
    ]
    return Terms(tuple((say(key), clean(value) if value else say("unknown"), kind) for key, value, kind in rows))


def _summary(case: _Case) -> Section:
    say, facts = case.say, case.facts
    dates = ""
    if facts.backup or facts.failure or facts.restored:
        times = {
            name: _when(case, getattr(facts, name)) or say("unknown") for name in ("backup", "failure", "restored")
        }
        dates = say("summary_dates", **times)
    lost, revoked = case.kinds.get("orphaned", 0), case.kinds.get("lost_revocation", 0)
    decided = len(case.plan.items) if case.plan else 0
    proved = case.verdicts["proved"]
    tiles = [
        (lost, "tile_lost", "bad" if lost else "plain"),
        (revoked, "tile_revoked", "bad" if revoked else "plain"),
        (decided, "tile_decided", "plain"),
        (proved, "tile_proved", "good" if proved and proved == sum(case.verdicts.values()) else "plain"),
    ]
    figures = tuple((f"{n:,}", say(key, n=n), tone) for n, key, tone in tiles)
    blocks: list[Block] = [Paragraph(say("summary_what", ca=case.ca, dates=dates)), Tiles(_toned(figures))]
    texts = [say("summary_lost", text=case.listed("kind", case.kinds)) if case.kinds else say("summary_none")]
    if case.plan and case.plan.items:
        actions = _item_counts(case.plan)
        texts.append(say("summary_decided", text=case.listed("action", actions)))
    else:
        texts.append(say("summary_undecided"))
    if sum(case.verdicts.values()):
        texts.append(say("summary_verdicts", text=case.listed("verdict", case.verdicts)))
    else:
        texts.append(say("summary_unverified"))
    texts.append(_until(case))
    if case.rehearsal:
        texts.append(say("summary_rehearsed"))
    return Section("summary", say("summary"), (*blocks, Items(tuple(texts))))


def _until(case: _Case) -> str:
    if case.trusted_until is None:
        return case.say("summary_until_unknown")
    key = "summary_until" if case.trusted_until > case.made_at else "summary_until_past"
    return case.say(key, until=_when(case, case.trusted_until))


# ----------------------------------------------------------------- what happened and impact


def _happened(case: _Case) -> Section:
    say = case.say
    timeline = make_timeline(case.tables, case.facts)
    caption = say("picture_caption" if timeline.bins else "picture_empty", description=timeline.description)
    events = _events(case)
    zone = clean(case.facts.time_zone or "")
    columns: list[tuple[str, Kind]] = [(say("column_utc"), "time")]
    if case.zone:
        columns.append((zone, "time"))
    columns.append((say("column_what"), "text"))
    rows = [(minute(at), *([_local(at, case.zone)] if case.zone else []), what) for at, what in events]
    blocks: list[Block] = [Picture(timeline, caption)]
    if rows:
        blocks.append(Paragraph(say("events_lead", zone=zone) if case.zone else say("events_lead_utc"), "quiet"))
        note = say("more_rows_plain", shown=_limit(len(rows)), total=len(rows))
        blocks.append(table(say("events"), columns, rows, len(rows), note))
    else:
        blocks.append(Paragraph(say("events_none"), "quiet"))
    return Section("happened", say("happened"), (*blocks, OpenField(f"{say('cause')}. {say('cause_prompt')}")))


def _events(case: _Case) -> list[tuple[datetime, str]]:
    say, facts = case.say, case.facts
    events: list[tuple[datetime | None, str]] = [
        (facts.backup, say("event_backup")),
        (facts.failure, say("event_failure")),
        (facts.restored, say("event_restored")),
        (case.trusted_until, say("event_until")),
    ]
    findings = case.table("findings")
    lost = findings[findings["kind"] == "orphaned"]
    issued = lost["issued_at"].fillna(lost["not_before"]).dropna()
    if len(issued):
        events += [(_moment(issued.min()), say("event_first_lost")), (_moment(issued.max()), say("event_last_lost"))]
    for row in case.table("evidence").head(MAX_LIST).to_dict("records"):
        events.append((_moment(row["added_at"]), say("event_evidence", name=_file(row["path"]))))
    for row in case.table("crls").head(MAX_LIST).to_dict("records"):
        if row["signed_by_ca"] is True and isinstance(row["crl_number"], str):
            key = "event_crl_delta" if row["is_delta"] is True else "event_crl"
            events.append((_moment(row["this_update"]), say(key, number=clean(row["crl_number"], 50))))
    events += [(s.at, say("event_signed", person=clean(s.person), role=s.role)) for s in case.signoffs]
    if case.rehearsal:
        events.append((case.rehearsal.at, say("event_rehearsed")))
    events += [(run.at, say("event_run", name=clean(run.name))) for run in case.executions]
    return sorted(((at, what) for at, what in events if at is not None), key=lambda event: event[0])


def _impact(case: _Case) -> Section:
    say = case.say
    findings = case.table("findings")
    hit = findings[findings["kind"].isin(["orphaned", "lost_revocation"])]
    if hit.empty:
        return Section("impact", say("impact"), (Paragraph(say("impact_none")), OpenField(say("impact_prompt"))))
    blocks: list[Block] = []
    infrastructure = int(hit["infrastructure"].fillna(value=False).sum())
    if infrastructure:
        blocks.append(Paragraph(say("impact_infrastructure", n=infrastructure), "warning"))
    for column in ("template", "requester"):
        blocks.append(_grouped(case, hit, column))
    return Section("impact", say("impact"), (*blocks, OpenField(say("impact_prompt"))))


def _grouped(case: _Case, hit: pd.DataFrame, column: str) -> Table:
    say = case.say
    frame = pd.DataFrame(
        {
            "group": hit[column].fillna(say("no_template")),
            "lost": hit["kind"] == "orphaned",
            "revoked": hit["kind"] == "lost_revocation",
            "valid": (hit["not_after"] > case.made_at).fillna(value=False),
            "end": hit["not_after"],
        }
    )
    groups = frame.groupby("group").agg({"lost": "sum", "revoked": "sum", "valid": "sum", "end": "max"}).reset_index()
    groups = groups.sort_values(["lost", "revoked", "group"], ascending=[False, False, True])
    rows = ((r.group, int(r.lost), int(r.revoked), int(r.valid), r.end) for r in groups.head(20).itertuples())
    columns: list[tuple[str, Kind]] = [
        (say(f"column_{column}"), "name"),
        (say("column_lost"), "number"),
        (say("column_lost_revocations"), "number"),
        (say("column_valid"), "number"),
        (say("column_last_end"), "time"),
    ]
    note = say("more_rows", shown=min(20, len(groups)), total=len(groups), source="findings")
    return table(say(f"impact_{column}"), columns, rows, len(groups), note)


# ----------------------------------------------------------------------- findings, decisions


def _findings(case: _Case) -> Section:
    say = case.say
    findings = case.table("findings")
    blocks: list[Block] = []
    if findings.empty:
        blocks.append(Paragraph(say("findings_none")))
    else:
        blocks.append(Paragraph(case.listed("kind", case.kinds) + "."))
        rank = findings["kind"].map({kind: n for n, kind in enumerate(FINDING_KINDS)})
        first = findings.loc[rank.sort_values(kind="stable").index].head(_limit(len(findings)))
        columns = _columns(
            case,
            ("column_kind", "text"),
            ("column_serial", "serial"),
            ("column_subject", "name"),
            ("column_template", "name"),
            ("column_requester", "name"),
            ("column_ends", "time"),
            ("column_confidence", "text"),
            ("column_why", "text"),
            ("column_evidence", "text"),
        )
        rows = (
            (
                _word(r["kind"]),
                r["serial"],
                r["subject"],
                r["template"],
                r["requester"],
                r["not_after"],
                r["confidence"],
            )
            + (r["why"], r["evidence"])
            for r in first.to_dict("records")
        )
        blocks.append(
            table(say("findings_caption"), columns, rows, len(findings), case.more("findings", len(findings)))
        )
    coverage = case.table("coverage")
    if coverage.empty:
        blocks.append(Paragraph(say("coverage_none"), "warning"))
    else:
        columns = _columns(
            case,
            ("column_aspect", "text"),
            ("column_figure", "text"),
            ("column_verdict", "verdict"),
            ("column_meaning", "text"),
        )
        rows_of = zip(*(coverage[c] for c in ("aspect", "figure", "verdict", "why")), strict=True)
        blocks.append(table(say("coverage"), columns, rows_of, len(coverage), case.more("coverage", len(coverage))))
    return Section("findings", say("findings"), tuple(blocks))


def _decisions(case: _Case) -> Section:
    say, plan = case.say, case.plan
    blocks: list[Block] = []
    if plan is not None:
        blocks.append(
            Paragraph(say("signoffs_good"), "good") if case.signed else Paragraph(say("signoffs_open"), "warning")
        )
    if case.signoffs:
        columns = _columns(
            case,
            ("column_person", "name"),
            ("column_role", "text"),
            ("column_when", "time"),
            ("column_digest", "digest"),
        )
        signed = ((s.person, s.role, s.at, s.digest) for s in case.signoffs)
        note = say("more_rows_plain", shown=_limit(len(case.signoffs)), total=len(case.signoffs))
        blocks.append(table(say("signoffs_caption"), columns, signed, len(case.signoffs), note))
    else:
        blocks.append(Paragraph(say("signoffs_none"), "warning"))
    if plan is not None and plan.waivers:
        blocks.append(Items(tuple(clean(w) for w in plan.waivers[:MAX_LIST]), say("waivers")))
    decisions = case.decisions
    if decisions.empty:
        blocks.append(Paragraph(say("decisions_none")))
        return Section("decisions", say("decisions"), tuple(blocks))
    counts = _counts(decisions, "action", ACTIONS)
    blocks.append(Paragraph(case.listed("action", counts) + "."))
    methods = {item.finding_id: say(f"method_{item.method}") for item in plan.items} if plan else {}
    columns = _columns(
        case,
        ("column_serial", "serial"),
        ("column_action", "text"),
        ("column_reason", "text"),
        ("column_method", "text"),
        ("column_by", "name"),
        ("column_when", "time"),
        ("column_note", "text"),
    )
    rows = (
        (r["serial"], r["action"], _reason(r["reason"]), methods.get(r["finding_id"]))
        + (r["decided_by"], r["decided_at"], r["note"])
        for r in decisions.head(_limit(len(decisions))).to_dict("records")
    )
    blocks.append(
        table(say("decisions_caption"), columns, rows, len(decisions), case.more("decisions", len(decisions)))
    )
    left = [item for item in plan.items if item.action == "leave"] if plan else []
    if left:
        columns = _columns(
            case,
            ("column_serial", "serial"),
            ("column_subject", "name"),
            ("column_ends", "time"),
            ("column_note", "text"),
        )
        watched = ((i.serial, i.subject, _parsed(i.not_after), i.note) for i in left)
        blocks.append(Paragraph(say("watch_lead")))
        blocks.append(table(say("watch"), columns, watched, len(left), case.more("decisions", len(left))))
    return Section("decisions", say("decisions"), tuple(blocks))


# --------------------------------------------------------------------- rehearsal, execution


def _rehearsal(case: _Case) -> Section:
    say, run = case.say, case.rehearsal
    if run is None:
        return Section("rehearsal", say("rehearsal"), (Paragraph(say("rehearsal_none"), "warning"),))
    blocks: list[Block] = [Paragraph(say("rehearsal_lead"), "warning")]
    if case.plan is None or run.plan_digest != case.plan.digest:
        blocks.append(Paragraph(say("rehearsal_other_plan", digest=clean(run.plan_digest)), "bad"))
    verdicts = _counts(run.outcomes, "verdict", VERDICTS)
    if sum(verdicts.values()):
        blocks.append(Paragraph(say("verdicts_would", text=case.listed("verdict", verdicts))))
    if run.phases:
        columns = _columns(case, ("column_phase", "text"), ("column_code", "number"))
        note = say("more_rows_plain", shown=_limit(len(run.phases)), total=len(run.phases))
        blocks.append(table(say("phases_caption"), columns, run.phases, len(run.phases), note))
    if run.outcomes is not None and len(run.outcomes) > verdicts["proved"]:
        blocks.append(_outcomes(case, run.outcomes[run.outcomes["verdict"] != "proved"]))
    if run.assumptions:
        blocks.append(Items(tuple(clean(a) for a in run.assumptions[:MAX_LIST]), say("assumptions")))
    return Section("rehearsal", say("rehearsal"), tuple(blocks))


def _execution(case: _Case) -> Section:
    say = case.say
    blocks: list[Block] = []
    if case.executions:
        columns = _columns(
            case,
            ("column_run", "name"),
            ("column_when", "time"),
            ("column_phase", "text"),
            ("column_code", "number"),
            ("column_transcript", "digest"),
        )
        rows = [
            (run.name, run.at, phase, code, " ".join(run.transcript_sha256) or None)
            for run in case.executions
            for phase, code in run.phases or (("–", 0),)
        ]
        note = say("more_rows_plain", shown=_limit(len(rows)), total=len(rows))
        blocks.append(table(say("runs_caption"), columns, rows, len(rows), note))
    if case.outcomes is not None and len(case.outcomes):
        blocks.append(Paragraph(say("outcomes_lead"), "quiet"))
        blocks.append(_outcomes(case, case.outcomes))
    if not blocks:
        blocks.append(Paragraph(say("execution_none"), "warning"))
    crls = case.table("crls")
    if len(crls):
        columns = _columns(
            case,
            ("column_number", "serial"),
            ("column_base", "text"),
            ("column_begins", "time"),
            ("column_ends", "time"),
            ("column_entries", "number"),
            ("column_signature", "text"),
            ("column_sha256", "digest"),
        )
        listed = (
            (
                r["crl_number"],
                say("delta") if r["is_delta"] is True else say("base"),
                r["this_update"],
                r["next_update"],
            )
            + (r["entries"], say("yes") if r["signed_by_ca"] is True else say("no"), r["crl_sha256"])
            for r in crls.head(_limit(len(crls))).to_dict("records")
        )
        blocks.append(table(say("crls_caption"), columns, listed, len(crls), case.more("crls", len(crls))))
    return Section("execution", say("execution"), tuple(blocks))


def _outcomes(case: _Case, outcomes: pd.DataFrame) -> Table:
    columns = _columns(
        case,
        ("column_verdict", "verdict"),
        ("column_serial", "serial"),
        ("column_action", "text"),
        ("column_log", "text"),
        ("column_database", "text"),
        ("column_crl", "text"),
        ("column_cdp", "text"),
        ("column_why", "text"),
    )
    names = ("verdict", "serial", "action", "transcript", "database", "crl", "cdp", "why")
    rank = outcomes["verdict"].map({verdict: n for n, verdict in enumerate(VERDICTS)})
    first = outcomes.loc[rank.sort_values(kind="stable").index].head(_limit(len(outcomes)))
    rows = zip(*(first[name] for name in names), strict=True)
    more = case.more("outcomes", len(outcomes))
    return table(case.say("outcomes_caption"), columns, rows, len(outcomes), more)


# ------------------------------------------------------------------------- risks and method


def _risks(case: _Case) -> Section:
    say, plan = case.say, case.plan
    coverage = case.table("coverage")
    gaps = int((coverage["verdict"] != "good").sum())
    unproved = sum(n for verdict, n in case.verdicts.items() if verdict != "proved")
    dummies = sum(item.method == "dummy" for item in plan.items) if plan else 0
    rejected = len(case.table("rejects"))
    watched = sum(item.action == "leave" for item in plan.items) if plan else 0
    unseen = say("risk_unseen") + (" " + say("risk_unseen_gaps", n=gaps) if gaps else "")
    risks = [
        say(f"risk_key_{case.facts.key_exposed}") if case.facts.key_exposed != "no" else None,
        unseen,
        say("risk_until_unknown") if case.trusted_until is None else None,
        say("risk_until", until=_when(case, case.trusted_until))
        if case.trusted_until is not None and case.trusted_until > case.made_at
        else None,
        say("risk_ocsp"),
        say("risk_external"),
        say("risk_baseline", newest=plan.newest_request_id) if plan and plan.newest_request_id is not None else None,
        *(
            say(key, n=n) if n else None
            for key, n in (
                ("risk_unproved", unproved),
                ("risk_undecided", case.undecided),
                ("risk_watch", watched),
                ("risk_dummies", dummies),
                ("risk_reused", case.kinds.get("reused_request_id", 0)),
                ("risk_suspect", case.kinds.get("suspect_notification", 0)),
                ("risk_waivers", len(plan.waivers) if plan else 0),
                ("risk_rejects", rejected),
            )
        ),
    ]
    return Section("risks", say("risks"), (Items(tuple(risk for risk in risks if risk)),))


def _evidence(case: _Case) -> Section:
    say = case.say
    evidence, accounting, rejects = (case.table(name) for name in ("evidence", "accounting", "rejects"))
    if evidence.empty:
        return Section(
            "evidence", say("evidence"), (Paragraph(say("evidence_none"), "warning"), OpenField(say("custody_prompt")))
        )
    parts = ("parsed", "irrelevant", "duplicate", "rejected")
    sums = {name: int(accounting[name].sum()) for name in ("units", *parts)}
    blocks: list[Block] = [Paragraph(say("evidence_lead", **sums))]
    if sums["units"] != sum(sums[part] for part in parts):
        blocks.append(Paragraph(say("evidence_identity_broken", units=sums["units"]), "bad"))
    first = evidence.head(_limit(len(evidence)))
    per_file = accounting.groupby("evidence_id")[["units", *parts]].sum()
    columns = _columns(
        case,
        ("column_id", "name"),
        ("column_file", "name"),
        ("column_file_kind", "text"),
        ("column_bytes", "number"),
        *((f"column_{name}", "number") for name in ("units", *parts)),
        ("column_sha256", "digest"),
    )
    rows = (
        (r["evidence_id"], _file(r["path"]), r["kind"], r["size"])
        + tuple(int(per_file[n].get(r["evidence_id"], 0)) for n in ("units", *parts))
        + (r["sha256"],)
        for r in first.to_dict("records")
    )
    blocks.append(table(say("evidence_caption"), columns, rows, len(evidence), case.more("evidence", len(evidence))))
    if rejects.empty:
        blocks.append(Paragraph(say("rejects_none")))
    else:
        columns = _columns(
            case,
            ("column_id", "name"),
            ("column_place", "text"),
            ("column_stage", "text"),
            ("column_why", "text"),
            ("column_bytes", "number"),
            ("column_sha256", "digest"),
        )
        names = ("evidence_id", "location", "stage", "reason", "size", "sha256")
        rejected = zip(*(rejects[name].head(_limit(len(rejects))) for name in names), strict=True)
        blocks.append(
            table(say("rejects_caption"), columns, rejected, len(rejects), case.more("rejects", len(rejects)))
        )
    return Section("evidence", say("evidence"), (*blocks, OpenField(say("custody_prompt"))))


def _method(case: _Case) -> Section:
    say = case.say
    reasons = [(str(int(reason)), reason.designation, reason.description) for reason in RevocationReason]
    columns = _columns(case, ("column_number", "number"), ("column_designation", "text"), ("column_use", "text"))
    return Section(
        "method",
        say("method"),
        (
            Items(tuple(say(f"method_{n}") for n in range(1, 8))),
            table(say("reasons_caption"), columns, reasons, len(reasons), ""),
            OpenField(f"{say('lessons')}. {say('lessons_prompt')}"),
            OpenField(f"{say('head_authors')}."),
        ),
    )


# --------------------------------------------------------------------------------- helpers


def _columns(case: _Case, *columns: tuple[str, Kind]) -> list[tuple[str, Kind]]:
    return [(case.say(key), kind) for key, kind in columns]


def _counts(frame: pd.DataFrame | None, column: str, words: Sequence[str]) -> dict[str, int]:
    if frame is None:
        return dict.fromkeys(words, 0)
    counts = frame[column].value_counts()
    return {word: int(counts.get(word, 0)) for word in words}


def _item_counts(plan: Plan) -> dict[str, int]:
    return {action: sum(item.action == action for item in plan.items) for action in ACTIONS}


def _toned(figures: Sequence[tuple[str, str, str]]) -> tuple[tuple[str, str, Tone], ...]:
    return tuple((number, text, tone) for number, text, tone in figures)  # type: ignore[misc]


def _limit(total: int) -> int:
    from carecover.report.document import MAX_ROWS

    return min(MAX_ROWS, total)


def _word(value: object) -> object:
    return value.replace("_", " ") if isinstance(value, str) else value


def _reason(code: object) -> str | None:
    if not isinstance(code, int):
        return None
    known = {int(reason): reason.designation for reason in RevocationReason}
    return f"{code} {known.get(code, '')}".strip()


def _file(path: object) -> str:
    """The last part of a path, whichever system it comes from: folders may name people and machines."""
    return clean(str(path).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1])


def _parsed(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _moment(value: Any) -> datetime | None:
    return None if value is None or pd.isna(value) else pd.Timestamp(value).to_pydatetime(warn=False)


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"'{clean(name, 60)}' is no time zone; give one such as Europe/Berlin.") from None


def _when(case: _Case, moment: datetime | None) -> str | None:
    if moment is None:
        return None
    utc = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{utc} ({_local(moment, case.zone)})" if case.zone else utc


def _local(moment: datetime, zone: ZoneInfo | None) -> str:
    local = moment.astimezone(zone or UTC)
    offset = local.strftime("%z")
    return f"{local:%Y-%m-%d %H:%M} {offset[:3]}:{offset[3:5]}"
