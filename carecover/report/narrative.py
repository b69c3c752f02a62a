"""The sections that tell: head, summary, what happened, impact, open risks, method."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import pandas as pd

from carecover.model import ACTIONS, RevocationReason
from carecover.report.document import (
    ABSENT,
    MAX_LIST,
    Block,
    Columns,
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
)
from carecover.report.material import Material, file_name, local, moment_of
from carecover.report.timeline import make_timeline

# Groups that a reader can take in; most are of one certificate each.
MAX_GROUPS: Final = 10


def status(case: Material) -> Paragraph:
    """How far the case has come, in one sentence; the worst news first."""
    say, proved = case.say, case.proved
    if case.facts.key_exposed == "yes":
        return Paragraph(say("status_exposed"), "bad")
    if case.plan is None:
        return Paragraph(say("status_no_plan"), "warning")
    if not case.signed:
        return Paragraph(say("status_unsigned"), "warning")
    n, bad = len(case.plan.items), case.verdicts["failed"] + case.verdicts["contradicted"]
    if bad:
        return Paragraph(say("status_bad", bad=bad, n=n), "bad")
    if not sum(case.verdicts.values()):
        return Paragraph(say("status_not_verified"), "warning")
    if proved < n:
        return Paragraph(say("status_open", proved=proved, open=n - proved, n=n), "warning")
    return Paragraph(say("status_proved", n=n), "good")


def head(case: Material) -> Terms:
    """What identifies the case, the CA, the plan and this report."""
    say, facts, plan = case.say, case.facts, case.plan
    rows: list[tuple[str, str | None, Kind]] = [
        ("head_case", clean(case.name), "name"),
        ("head_ca", case.ca, "name"),
        ("head_config", clean(facts.config) if facts.config else None, "name"),
        ("head_certificate", plan.ca_certificate_sha256 if plan else None, "digest"),
        ("head_backup", case.when(facts.backup), "time"),
        ("head_failure", case.when(facts.failure), "time"),
        ("head_restored", case.when(facts.restored), "time"),
        ("head_zone", clean(facts.time_zone) if facts.time_zone else None, "name"),
        ("head_key", say(f"key_{facts.key_exposed}"), "text"),
        ("head_plan", plan.digest if plan else None, "digest"),
        ("head_journal", case.journal_head, "digest"),
        ("head_version", f"carecover {case.version}", "text"),
        ("head_made_at", case.when(case.made_at), "time"),
    ]
    return Terms(tuple((say(key), clean(value) if value else say("unknown"), kind) for key, value, kind in rows))


def summary(case: Material) -> Section:
    """One page for somebody who reads no other."""
    say, facts = case.say, case.facts
    lost, revoked = case.kinds.get("orphaned", 0), case.kinds.get("lost_revocation", 0)
    decided = len(case.plan.items) if case.plan else 0
    proved = case.proved
    tiles: list[tuple[int, str, Tone]] = [
        (lost, "tile_lost", "bad" if lost else "plain"),
        (revoked, "tile_revoked", "bad" if revoked else "plain"),
        (decided, "tile_decided", "plain"),
        (proved, "tile_proved", "good" if 0 < proved == decided else "plain"),
    ]
    texts = []
    if facts.backup or facts.failure or facts.restored:
        stated = {"backup": facts.backup, "failure": facts.failure, "restored": facts.restored}
        texts.append(say("summary_dates", **{k: minute(at) if at else say("unknown") for k, at in stated.items()}))
    texts.append(say("summary_lost", text=case.listed("kind", case.kinds)) if case.kinds else say("summary_none"))
    if case.plan and case.plan.items:
        actions: dict[str, int] = {action: sum(item.action == action for item in case.plan.items) for action in ACTIONS}
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
    timeline = make_timeline(case.tables, facts)
    caption = say("picture_caption" if timeline.bins else "picture_empty", description=timeline.description)
    return Section(
        "summary",
        say("summary"),
        (
            Paragraph(say("summary_what")),
            Tiles(tuple((f"{n:,}", say(key, n=n), tone) for n, key, tone in tiles)),
            Items(tuple(texts)),
            Picture(timeline, caption),
        ),
    )


def _until(case: Material) -> str:
    if case.trusted_until is None:
        return case.say("summary_until_unknown")
    key = "summary_until" if case.trusted_until > case.made_at else "summary_until_past"
    return case.say(key, until=case.when(case.trusted_until))


def happened(case: Material) -> Section:
    """Everything that has a time, in order."""
    say, events = case.say, _events(case)
    cause = OpenField(say("cause"), say("cause_prompt"))
    if not events:
        return Section("happened", say("happened"), (Paragraph(say("events_none"), "quiet"), cause))
    zone = case.zone
    if zone is None:
        lead = say("events_lead_utc")
        columns: Columns = (("column_utc", "time"), ("column_what", "text"))
        rows: list[tuple[str, ...]] = [(minute(at), what) for at, what in events]
    else:
        lead = say("events_lead", zone=clean(case.facts.time_zone))
        columns = (("column_utc", "time"), ("column_local", "time"), ("column_what", "text"))
        rows = [(minute(at), local(at, zone), what) for at, what in events]
    sheet = case.sheet("events", columns, rows, len(rows))
    return Section("happened", say("happened"), (Paragraph(lead, "quiet"), sheet, cause))


def _events(case: Material) -> list[tuple[datetime, str]]:
    say, facts = case.say, case.facts
    events: list[tuple[datetime | None, str]] = [
        (facts.backup, say("event_backup")),
        (facts.failure, say("event_failure")),
        (facts.restored, say("event_restored")),
        (case.trusted_until, say("event_until")),
    ]
    findings = case.table("findings")
    lost = findings.loc[findings["kind"] == "orphaned", ["issued_at", "not_before"]]
    issued = lost["issued_at"].fillna(lost["not_before"]).dropna()
    if len(issued):
        events += [
            (moment_of(issued.min()), say("event_first_lost")),
            (moment_of(issued.max()), say("event_last_lost")),
        ]
    for at, paths in case.table("evidence").groupby("added_at")["path"]:
        what = say("event_evidence", n=len(paths), name=file_name(paths.iloc[0]))
        events.append((moment_of(pd.Timestamp(str(at))), what))
    for row in case.table("crls").head(MAX_LIST).to_dict("records"):
        if row["signed_by_ca"] is True and isinstance(row["crl_number"], str):
            key = "event_crl_delta" if row["is_delta"] is True else "event_crl"
            events.append((moment_of(row["this_update"]), say(key, number=clean(row["crl_number"], 50))))
    events += [(s.at, say("event_signed", person=clean(s.person), role=s.role)) for s in case.sign_offs]
    if case.rehearsal:
        events.append((case.rehearsal.at, say("event_rehearsed")))
    events += [(run.at, say("event_run", name=clean(run.name or ABSENT))) for run in case.executions]
    return sorted(((at, what) for at, what in events if at is not None), key=lambda event: event[0])


def impact(case: Material) -> Section:
    """Whom it hit: by template and by requester."""
    say, table = case.say, case.table("findings")
    systems = OpenField(say("systems"), say("impact_prompt"))
    shown = ["kind", "template", "requester", "not_after", "infrastructure"]
    hit = table.loc[table["kind"].isin(["orphaned", "lost_revocation"]), shown]
    if hit.empty:
        return Section("impact", say("impact"), (Paragraph(say("impact_none")), systems))
    blocks: list[Block] = []
    infrastructure = int(hit["infrastructure"].fillna(value=False).sum())
    if infrastructure:
        blocks.append(Paragraph(say("impact_infrastructure", n=infrastructure), "warning"))
    blocks += [_grouped(case, hit, "template"), _grouped(case, hit, "requester"), systems]
    return Section("impact", say("impact"), tuple(blocks))


def _grouped(case: Material, hit: pd.DataFrame, column: str) -> Table:
    """The groups that were hit most."""
    frame = pd.DataFrame(
        {
            "group": hit[column].fillna(case.say("no_template")),
            "lost": hit["kind"] == "orphaned",
            "revoked": hit["kind"] == "lost_revocation",
            "valid": (hit["not_after"] > case.made_at).fillna(value=False),
            "end": hit["not_after"],
        }
    )
    groups = frame.groupby("group").agg({"lost": "sum", "revoked": "sum", "valid": "sum", "end": "max"}).reset_index()
    groups = groups.sort_values(["lost", "revoked", "group"], ascending=[False, False, True])
    columns: Columns = (
        (f"column_{column}", "name"),
        ("column_lost", "number"),
        ("column_lost_revocations", "number"),
        ("column_valid", "number"),
        ("column_last_end", "time"),
    )
    rows = groups.head(MAX_GROUPS).to_dict("split")["data"]
    return case.sheet(f"impact_{column}", columns, rows, len(groups), "findings")


def risks(case: Material) -> Section:
    """What stays open, worst first, in plain sentences."""
    say, plan, until = case.say, case.plan, case.trusted_until
    coverage = case.table("coverage")
    gaps = int((coverage["verdict"] != "good").sum())
    items = plan.items if plan else ()
    texts = [] if case.facts.key_exposed == "no" else [say(f"risk_key_{case.facts.key_exposed}")]
    texts.append(say("risk_unseen") + (" " + say("risk_unseen_gaps", n=gaps) if gaps else ""))
    if until is None:
        texts.append(say("risk_until_unknown"))
    elif until > case.made_at:
        texts.append(say("risk_until", until=case.when(until)))
    counted = {
        "risk_unproved": len(items) - case.proved,
        "risk_undecided": case.undecided,
        "risk_watch": sum(item.action == "leave" for item in items),
        "risk_dummies": sum(item.method == "dummy" for item in items),
        "risk_reused": case.kinds.get("reused_request_id", 0),
        "risk_suspect": case.kinds.get("suspect_notification", 0),
        "risk_waivers": len(plan.waivers) if plan else 0,
        "risk_rejects": len(case.table("rejects")),
    }
    texts += [say(key, n=n) for key, n in counted.items() if n]
    if plan and plan.newest_request_id is not None:
        texts.append(say("risk_baseline", newest=plan.newest_request_id))
    texts += [say("risk_ocsp"), say("risk_external")]
    return Section("risks", say("risks"), (Items(tuple(texts)),))


def method(case: Material) -> Section:
    """How it was found out, what that cannot show, and what people have still to write."""
    say = case.say
    reasons = [(str(int(reason)), reason.designation, reason.description) for reason in RevocationReason]
    columns: Columns = (
        ("column_number", "number"),
        ("column_designation", "text"),
        ("column_use", "text"),
    )
    return Section(
        "method",
        say("method"),
        (
            Items(tuple(say(f"method_{n}") for n in range(1, 8))),
            case.sheet("reasons_caption", columns, reasons, len(reasons)),
            OpenField(say("lessons"), say("lessons_prompt")),
            OpenField(say("authors"), say("authors_prompt")),
        ),
    )
