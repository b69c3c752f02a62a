"""The sections that tell: head, summary, what happened, impact, open risks, method."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import pandas as pd

from carecover.model import ACTIONABLE_KINDS, ACTIONS, RevocationReason
from carecover.report.document import (
    ABSENT,
    MAX_DETAIL,
    MAX_LIST,
    Block,
    Columns,
    Items,
    Kind,
    Paragraph,
    Picture,
    Section,
    Terms,
    Tiles,
    Tone,
    clean,
    minute,
)
from carecover.report.material import Material, file_name, first_of, flag, local, moment_of, rows_of
from carecover.report.timeline import make_timeline

_IMPACT: Final[Columns] = (
    ("column_aspect", "text"),
    ("column_item", "name"),
    ("column_figure", "text"),
    ("column_meaning", "detail"),
)
_DUMMIES: Final[Columns] = (
    ("column_state", "verdict"),
    ("column_serial", "serial"),
    ("column_person", "name"),
    ("column_when", "time"),
    ("column_file", "detail"),
    ("column_sha256", "detail"),
)
_REPLACE: Final[Columns] = (
    ("column_serial", "serial"),
    ("column_subject", "name"),
    ("column_template", "name"),
    ("column_ends", "time"),
    ("column_requester", "detail"),
)
_OWNERS: Final[Columns] = (
    ("column_requester", "name"),
    ("column_account", "text"),
    ("column_certificates", "number"),
    ("column_infrastructure", "number"),
    ("column_replace", "number"),
    ("column_last_end", "time"),
)


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
    if case.dropped:
        return Paragraph(say("status_dropped", n=case.dropped), "bad")
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
        ("head_edition", say(f"edition_{case.edition}"), "text"),
        *(
            (f"{name}", told, "name")
            for name in ("classification", "authors", "approvers")
            if (told := _told(case, name))
        ),
    ]
    return Terms(tuple((say(key), clean(value) if value else say("unknown"), kind) for key, value, kind in rows))


def _told(case: Material, name: str) -> str | None:
    """One line of what people wrote; room for it where nobody has."""
    if case.edition == "redacted":
        return case.say("withheld") if name != "classification" else None
    return clean(case.told.get(name) or case.say("open_field"))


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
        texts.append(say("summary_dates", **{k: _at(case, at) or say("unknown") for k, at in stated.items()}))
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
    texts.append(f"{say('head_key')}: {say(f'key_{facts.key_exposed}')}.")
    if owners := len(case.table("owners")):
        first = int(flag(case.table("findings")["replace_first"]).sum())
        texts.append(say("summary_owners", n=owners) + (" " + say("summary_replace", n=first) if first else ""))
    if case.rehearsal:
        texts.append(say("summary_rehearsed"))
    timeline = case.timeline or make_timeline(case.tables, facts, say.language)
    caption = say("picture_caption" if timeline.bins else "picture_empty", description=timeline.description)
    steps = case.table("first_steps")
    stop = steps.loc[steps["when"] == "stop", "step"].dropna()
    return Section(
        "summary",
        say("summary"),
        (
            *([Paragraph(_stop(case, stop), "bad")] if len(stop) else []),
            Paragraph(say("summary_what")),
            Tiles(tuple((say.number(n), say(key, n=n), tone) for n, key, tone in tiles)),
            Items(tuple(texts)),
            Picture(timeline, caption),
        ),
    )


def _stop(case: Material, steps: pd.Series[str]) -> str:
    """What has to be settled before anything else: the page stands alone, so it says what."""
    first = case.recorded(clean(steps.iloc[0], MAX_DETAIL))[0]
    more = " " + case.say("steps_stop_more", n=len(steps) - 1) if len(steps) > 1 else ""
    return case.say("steps_stop", step=first) + more


def _until(case: Material) -> str:
    if case.trusted_until is None:
        return case.say("summary_until_unknown")
    key = "summary_until" if case.trusted_until > case.made_at else "summary_until_past"
    return case.say(key, until=_at(case, case.trusted_until))


def _at(case: Material, moment: datetime | None) -> str | None:
    """A time on the first page: in the reader's zone with the offset, else in UTC; the head has both."""
    return local(moment, case.zone) if moment and case.zone else case.when(moment)


def happened(case: Material) -> Section:
    """Everything that has a time, in order."""
    say, events = case.say, _events(case)
    cause = case.open_field("cause", "cause_prompt")
    if not events:
        return Section("happened", say("happened"), (Paragraph(say("events_none"), "quiet"), cause))
    zone = case.zone
    if zone is None:
        lead = say("events_lead_utc")
        columns: Columns = (("column_utc", "time"), ("column_event", "text"))
        rows: list[tuple[str, ...]] = [(minute(at), what) for at, what in events]
    else:
        lead = say("events_lead", zone=clean(case.facts.time_zone))
        columns = (("column_utc", "time"), ("column_local", "time"), ("column_event", "text"))
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
    lists = pd.concat([case.table("crls").head(MAX_LIST), *([] if case.new_crls is None else [case.new_crls])])
    for row in lists.drop_duplicates("crl_sha256").head(2 * MAX_LIST).to_dict("records"):
        if row["signed_by_ca"] is True and isinstance(row["crl_number"], str):
            key = "event_crl_delta" if row["is_delta"] is True else "event_crl"
            events.append((moment_of(row["this_update"]), say(key, number=clean(row["crl_number"], 50))))
    sent = pd.concat([case.table("notifications")["sent_at"]]).dropna()
    if facts.restored is not None and len(later := sent[sent > facts.restored]):
        events.append((moment_of(later.min()), say("event_first_mail")))
    decided = case.decisions["decided_at"].dropna()
    if len(decided):
        events.append((moment_of(decided.min()), say("event_first_decision")))
    events += [(s.at, say("event_signed", person=clean(s.person), role=say.value(s.role))) for s in case.sign_offs]
    if case.rehearsal:
        events.append((case.rehearsal.at, say("event_rehearsed")))
    events += [(run.at, say("event_run", name=clean(run.name or ABSENT))) for run in case.executions]
    return sorted(((at, what) for at, what in events if at is not None), key=lambda event: event[0])


def impact(case: Material) -> Section:
    """Whom revoking would hit: what to replace before, the counts, the owners."""
    say, findings = case.say, case.table("findings")
    systems = case.open_field("systems", "impact_prompt")
    counted, owners = case.table("impact"), case.table("owners")
    acted = findings[findings["kind"].isin(ACTIONABLE_KINDS)]
    if acted.empty:
        return Section("impact", say("impact"), (Paragraph(say("impact_none")), systems))
    blocks: list[Block] = [Paragraph(say("impact_lead"), "quiet")]
    if infrastructure := int(flag(acted["infrastructure"]).sum()):
        blocks.append(Paragraph(say("impact_infrastructure", n=infrastructure), "warning"))
    if len(counted):
        told = rows_of(counted, ("aspect", "item", "figure", "why"))
        blocks.append(case.sheet("impact_caption", _IMPACT, told, len(counted), "impact"))
    first = acted[flag(acted["replace_first"])]
    if len(first):
        blocks.append(Paragraph(say("replace_lead"), "warning"))
        listed = rows_of(first, ("serial", "subject", "template", "not_after", "requester"))
        blocks.append(case.sheet("replace_caption", _REPLACE, listed, len(first), "findings"))
    if len(owners):
        names = ("requester", "account", "certificates", "infrastructure", "replace_first", "last_not_after")
        blocks.append(case.sheet("owners_caption", _OWNERS, rows_of(owners, names), len(owners), "owners"))
    return Section("impact", say("impact"), (*blocks, systems))


def risks(case: Material) -> Section:
    """What stays open, worst first, in plain sentences."""
    say, plan, until = case.say, case.plan, case.trusted_until
    coverage = case.table("coverage")
    gaps = int((coverage["verdict"] != "good").sum())
    items = plan.items if plan else ()
    shown = case.outcomes if case.outcomes is not None else case.table("outcomes")
    rows = shown["database"].notna() & (shown["database"] != "no row")
    # What a later view shows; that a plan wants it is no row in any database.
    imported = set(shown.loc[rows.fillna(value=False).astype(bool), "serial"])
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
        "risk_dummies": sum(item.method == "dummy" and item.serial in imported for item in items),
        "risk_leftover": int((case.table("dummies")["state"] == "leftover").sum()),
        "risk_reused": case.kinds.get("reused_request_id", 0),
        "risk_trace": case.kinds.get("unaccounted_request", 0),
        "risk_dropped": case.dropped,
        "risk_redated": sum(item.action == "revoke" and bool(item.original_revoked_at) for item in items),
        "risk_suspect": case.kinds.get("suspect_notification", 0),
        "risk_waivers": len(plan.waivers) if plan else 0,
        "risk_rejects": len(case.table("rejects")),
    }
    texts += [say(key, n=n) for key, n in counted.items() if n]
    if plan and plan.newest_request_id is not None:
        texts.append(say("risk_baseline", newest=plan.newest_request_id))
    asked = case.outcomes is not None and bool(case.outcomes["ocsp"].notna().any())
    texts += [say("risk_ocsp_seen" if asked else "risk_ocsp"), say("risk_external")]
    blocks: list[Block] = [Items(tuple(texts)), Items(tuple(say(f"monitor_{n}") for n in range(1, 5)), say("monitor"))]
    dummies = case.table("dummies")
    if len(dummies):
        listed = (
            (state, serial, by, at, file_name(file), digest)
            for state, serial, by, at, file, digest in rows_of(
                first_of(dummies, "state", ("leftover", "pinned")), ("state", "serial", "by", "at", "file", "sha256")
            )
        )
        blocks.append(case.sheet("dummies_caption", _DUMMIES, listed, len(dummies), "dummies"))
    return Section("risks", say("risks"), tuple(blocks))


def method(case: Material) -> Section:
    """How it was found out, what that cannot show, and what people have still to write."""
    say = case.say
    reasons = [(str(int(r)), r.designation, say.value(r.description)) for r in RevocationReason]
    columns: Columns = (
        ("column_number", "number"),
        ("column_designation", "text"),
        ("column_use", "text"),
    )
    return Section(
        "method",
        say("method"),
        (
            Items(tuple(say(f"method_{n}") for n in range(1, 10))),
            *([Paragraph(say("method_recorded"), "quiet")] if say.language != "en" else []),
            Items(tuple(say(f"other_{n}") for n in range(1, 6)), say("other")),
            case.sheet("reasons_caption", columns, reasons, len(reasons)),
        ),
    )
