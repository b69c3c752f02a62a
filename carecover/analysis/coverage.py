"""How far the evidence can be believed to be complete; never "complete" from absence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from carecover.analysis import sources
from carecover.analysis.activity import believed, direct, find_owed, list_days, mails_of
from carecover.analysis.baseline import Baseline, is_window
from carecover.analysis.cells import asked_after, cell_moment, cell_value, forward, true
from carecover.analysis.layout import CaLayout, learn_layout
from carecover.analysis.named import carried_ids
from carecover.analysis.naming import mails_of_other_cas, other_name
from carecover.analysis.published import key_of
from carecover.analysis.requests import Trail, follow_requests
from carecover.analysis.settings import read_settings
from carecover.analysis.sources import aspect, many, shown_value, when
from carecover.model import TABLES, CaseFacts, Disposition, utc_text

# A CA is renewed a few times in its life; more certificates than this are worth a look in the table.
_MAX_NAMED: Final = 6
# A backup takes hours, and people name its beginning, its end or its day.
_BACKUP_TAKES: Final = timedelta(hours=24)
# Mails about a CRL go out when it is published; so much later they are about another one.
_LATER: Final = timedelta(minutes=30)
# The digits of a serial that hold the request ID.
_ID_DIGITS: Final = 8


def assess_coverage(
    notifications: pd.DataFrame,
    baseline: Baseline,
    crls: pd.DataFrame,
    findings: pd.DataFrame,
    accounting: pd.DataFrame,
    ca_certificates: pd.DataFrame,
    audit_events: pd.DataFrame | None = None,
    registry: pd.DataFrame | None = None,
    views: pd.DataFrame | None = None,
    certificates: pd.DataFrame | None = None,
    *,
    facts: CaseFacts,
    trail: Trail | None = None,
    layout: CaLayout | None = None,
) -> pd.DataFrame:
    """Table ``coverage``: one row an aspect, with its figure, verdict and a sentence; the last row is the verdict.

    Verdicts are ``good`` (nothing missing was seen), ``gap`` (something is missing for
    certain) and ``unknown`` (the evidence cannot tell). ``trail`` and ``layout`` are what
    ``investigate`` found; without them they are made from these tables.
    """
    events = TABLES["audit_events"].empty() if audit_events is None else audit_events
    settings = read_settings(TABLES["registry"].empty() if registry is None else registry, facts.ca)
    views = TABLES["views"].empty() if views is None else views
    mails = believed(mails_of(notifications, facts), findings)
    rows, mine = baseline.rows, crls[true(crls["signed_by_ca"])]
    if layout is None:
        values = TABLES["registry"].empty() if registry is None else registry
        layout = learn_layout(rows, ca_certificates, mine, values, backup=facts.backup, cut=facts.cut)
    if trail is None:
        trail = _trail(mails, events, findings, rows, layout, facts.cut)
    found = TABLES["certificates"].empty() if certificates is None else certificates
    dated = direct(mails)
    owed = find_owed(mails, events, rows, found, settings, layout, facts.cut)
    days = list_days(dated, events, rows, owed, facts=facts)
    known = sources.read_service(dated, events, facts)
    told = [
        *other_name(notifications, ca_certificates, found, layout, facts),
        _baseline(baseline),
        *_limits(baseline, views, facts),
        *_older_than_said(findings, trail, layout),
        *_arrived_before(trail, facts.backup),
        *_columns(baseline),
        *(aspect("views of the database", "", "good", note) for note in baseline.notes),
        _times(facts),
        sources.service(known, dated, events, facts),
        *_ca_certificates(ca_certificates, rows),
        *_request_ids(trail, layout),
        *mails_of_other_cas(notifications, mails_of(notifications, facts), layout),
        *sources.mailbox(mails, dated, facts, known),
        *sources.daily(days, facts),
        *sources.loss_rate(dated, owed),
        sources.lost_mails(events, facts),
        sources.event_filter(settings, mails),
        sources.audit_log(events, dated, settings, facts),
        *sources.clocks(dated, rows, facts),
        *sources.unzoned(rows),
        *_crls(mine, dated, events, ca_certificates, facts),
        _units(accounting),
    ]
    return TABLES["coverage"].frame([*told, _verdict(told, trail)])


def assess_lists(
    crls: pd.DataFrame,
    notifications: pd.DataFrame,
    audit_events: pd.DataFrame,
    ca_certificates: pd.DataFrame,
    *,
    facts: CaseFacts,
) -> pd.DataFrame:
    """The rows of table ``coverage`` about CRLs alone: they need no database to be compared with."""
    mine = crls[true(crls["signed_by_ca"])]
    dated = direct(mails_of(notifications, facts))
    return TABLES["coverage"].frame(list(_crls(mine, dated, audit_events, ca_certificates, facts)))


def _trail(
    mails: pd.DataFrame,
    events: pd.DataFrame,
    findings: pd.DataFrame,
    rows: pd.DataFrame,
    layout: CaLayout,
    cut: datetime | None,
) -> Trail:
    before = mails if cut is None else mails[mails["sent_at"].isna() | (mails["sent_at"] <= cut)]
    logged = events if cut is None else events[events["recorded_at"].isna() | (events["recorded_at"] <= cut)]
    orphaned = findings.loc[findings["kind"] == "orphaned", "serial"].dropna()
    shown = ((str(s), "finding", False) for s in orphaned)
    return follow_requests(
        before, np.ones(len(before), bool), logged, shown, rows, asked_after(rows, cut).to_numpy(), layout
    )


# ------------------------------------------------------------------------- database view


def _baseline(baseline: Baseline) -> dict[str, Any]:
    first, last = baseline.first_request_id, baseline.newest_request_id
    if not len(baseline.rows):
        why = (
            "No view of the restored database was handed in, or it is empty: everything the evidence shows looks lost."
        )
        return aspect("database view", "0 rows", "gap", why)
    figure = f"{len(baseline.rows)} rows, request IDs {first} to {last}"
    if first is not None and first > 1:
        why = f"The view begins at request ID {first}: nothing below it is judged."
        return aspect("database view", figure, "gap", why)
    why = "Certificates that a template keeps out of the database (DONOTPERSISTINDB) look lost as well."
    return aspect("database view", figure, "good", why)


def _limits(baseline: Baseline, views: pd.DataFrame, facts: CaseFacts) -> Iterable[dict[str, Any]]:
    """What the baseline may not hold: filtered, cut off, with holes, made too late."""
    used = views[views["evidence_id"].isin(baseline.evidence_ids)]
    filtered = [str(text) for text in used["restriction"].dropna() if not is_window(str(text))]
    if filtered:
        why = (
            f"The view was made with -restrict {shown_value(filtered[0])}: rows that it lacks may well be in the "
            "database, and then what looks lost is not. Export it without."
        )
        yield aspect("filter of the view", f"{len(filtered)} filtered", "gap", why)
    whole = used["complete"]
    if (whole == False).any():  # noqa: E712 - NA (csv has no trailer) is no complaint
        why = "The view's end is missing, or it claims other rows than it holds: certificates of the rest look lost."
        yield aspect("end of the view", f"{int((whole == False).sum())} cut off", "gap", why)  # noqa: E712
    elif len(used) and not true(whole).any():
        why = (
            "The export has no trailer (csv has none), so nothing tells whether it was cut off. The text form of "
            "certutil -view ends with its number of rows."
        )
        yield aspect("end of the view", "no trailer", "unknown", why)
    yield from _holes(baseline.rows)
    yield from _mended(baseline.rows, facts)
    yield from _impossible(baseline.rows, facts)
    late = asked_after(baseline.rows, facts.cut)
    if late.any():
        held = baseline.rows.loc[late, "disposition"]
        issued = int(held.isin([d.value for d in Disposition if d.holds_certificate]).sum())
        why = (
            f"The restored CA had taken {many(int(late.sum()), 'request')} and issued {many(issued, 'certificate')} "
            "before the view was made: request IDs of the gap are in use again, for others. Act by serials only."
        )
        yield aspect("requests after the restore", many(int(late.sum()), "row"), "unknown", why)


def _impossible(rows: pd.DataFrame, facts: CaseFacts) -> Iterable[dict[str, Any]]:
    """Rows that were asked for between backup and failure: no restored database has them."""
    end = facts.failure or facts.cut
    if facts.backup is None or end is None:
        return
    inside = rows[true((rows["submitted_at"] > facts.backup) & (rows["submitted_at"] <= end))]
    if not len(inside):
        return
    far = bool(true(inside["submitted_at"] > facts.backup + _BACKUP_TAKES).any())
    why = (
        f"The view shows {many(len(inside), 'row')} that were requested between backup and failure, which the restored "
        "database cannot have: a page of the view is the lost CA's own, or the time of the backup or the time zone is "
        "wrong. What such a page lists does not look lost."
    )
    yield aspect("rows of the gap", many(len(inside), "row"), "gap" if far else "unknown", why)


def _older_than_said(findings: pd.DataFrame, trail: Trail, layout: CaLayout) -> Iterable[dict[str, Any]]:
    """Certificates of before the backup that the view lacks: is it cut off, or the backup older than people say?"""
    early = findings.loc[findings["circumstances"].map(lambda words: "before_backup" in words), "serial"].dropna()
    if not len(early):
        return
    ids = [layout.request_id(str(serial)) for serial in early]
    newest = trail.newest_known
    above = sum(1 for i in ids if i is not None and newest is not None and i > newest)
    why = (
        f"{many(len(early), 'certificate')} of before the backup are not in the view: their templates keep them out of "
        "the database, or their rows were deleted."
    )
    if above:
        why += (
            f" {above} of them have request IDs above the view's last one of that time: the view may be cut off, or "
            "the backup older than people say."
        )
    # One at the end may well be of such a template; many, and none in between, are not.
    cut_off = above == len(early) and above > 2
    yield aspect("certificates of before the backup", f"{len(early)} missing", "gap" if cut_off else "unknown", why)


def _arrived_before(trail: Trail, backup: datetime | None) -> Iterable[dict[str, Any]]:
    """Requests that arrived before the backup, and of which the view knows nothing."""
    newest = trail.newest_known
    if backup is None or newest is None:
        return
    early = [i for i, trace in trail.traces.items() if i > newest and trace.at is not None and trace.at < backup]
    if early:
        why = (
            f"Evidence shows {many(len(early), 'request')} of before the backup with request IDs above the view's last "
            "one of that time: the view may be cut off, or the backup older than people say."
        )
        yield aspect(
            "requests of before the backup", f"{len(early)} missing", "gap" if len(early) > 2 else "unknown", why
        )


def _holes(rows: pd.DataFrame) -> Iterable[dict[str, Any]]:
    ids = rows["request_id"].dropna().drop_duplicates().sort_values()
    if len(ids) < 2:
        return
    first, last = int(ids.iloc[0]), int(ids.iloc[-1])
    lacking = last - first + 1 - len(ids)
    if not lacking:
        return
    before = ids.shift()
    after_hole = ids[true(ids - before > 1)]
    ranges = [(int(before[k]) + 1, int(ids[k]) - 1) for k in after_hole.index[:_MAX_NAMED]]
    named = ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in ranges)
    named += f" and {len(after_hole) - len(ranges)} more ranges" if len(after_hole) > len(ranges) else ""
    why = (
        f"No row has request ID {named}. Rows were deleted, or a template keeps its certificates out of the database, "
        "or the export left them out; certificates of those requests look lost."
    )
    yield aspect("holes in the view", f"{lacking} request IDs", "unknown", why)


def _mended(rows: pd.DataFrame, facts: CaseFacts) -> Iterable[dict[str, Any]]:
    """Rows whose serial holds another request ID than the row: an import gets a new one."""
    held = rows[["request_id", "serial", "disposition", "submitted_at"]]
    held = held[held["disposition"].isin([Disposition.ISSUED, Disposition.REVOKED]) & held["request_id"].notna()]
    held = held[held["serial"].str.len() >= _ID_DIGITS + 4]
    fits = pd.Series(carried_ids(held["serial"]) == held["request_id"].to_numpy(np.int64), index=held.index)
    # Only the 19-byte layout checks itself; another one counts where most rows of that length have it.
    length_of = held["serial"].str.len()
    usual = fits.groupby(length_of).transform("mean") > 0.5
    twice = (length_of == 38) & (held["serial"].str[2:10] == held["serial"].str[-_ID_DIGITS:])
    moved = held[true(~fits & (usual | twice))]
    if facts.backup is not None:
        # What was imported before the backup is an older story.
        moved = moved[~true(moved["submitted_at"] <= facts.backup)]
    if not len(moved):
        return
    named = ", ".join(str(i) for i in moved["request_id"].head(_MAX_NAMED))
    why = (
        f"The serial numbers of {len(moved)} rows (request IDs {named}{', …' if len(moved) > _MAX_NAMED else ''}) hold "
        "another request ID than the row, as imported certificates do: the view was made after the mending had begun, "
        "and hides what was mended before. Hand in a view from right after the restore, or its transcripts."
    )
    yield aspect("rows that look imported", many(len(moved), "row"), "gap", why)


# ca_rows column → its name in the view, and what cannot be told without it.
_TELLING: Final = {
    "disposition": (
        "Request.Disposition",
        "whether a row was issued, denied or revoked, so no lost revocation is found",
    ),
    "reason": ("Request.RevokedReason", "which revoked rows are only on hold"),
    "thumbprint": (
        "CertificateHash",
        "whether a row is the very certificate, so every revocation of a row needs a waiver",
    ),
    "submitted_at": ("Request.SubmittedWhen", "which rows the restored CA issued itself"),
    "template": ("CertificateTemplate", "what a template's OID stands for, so infrastructure may not be known as such"),
}


def _columns(baseline: Baseline) -> list[dict[str, Any]]:
    """What the view does not say about any of its rows."""
    rows = baseline.rows
    revoked = rows[rows["disposition"].isna() | (rows["disposition"] == Disposition.REVOKED)]
    # No reason in any row says nothing where no row is revoked.
    lacking = [n for n in _TELLING if len(part := revoked if n == "reason" else rows) and part[n].isna().all()]
    if not lacking:
        return []
    said = "; ".join(f"{_TELLING[name][0]} ({_TELLING[name][1]})" for name in lacking)
    why = f"The view of the database does not show {said}. Export it again with these columns."
    return [aspect("columns of the view", f"{len(lacking)} missing", "gap", why)]


# ------------------------------------------------------------------------- what people say


def _times(facts: CaseFacts) -> dict[str, Any]:
    if facts.cut is None:
        why = (
            "Neither failure nor restore is known, so what the restored CA issued after the export cannot be told from "
            "what was lost. Say when: carecover init CASE --restored TIME"
        )
        return aspect("failure and restore", "", "unknown", why)
    figure = ", ".join(
        f"{name} {utc_text(moment)}"
        for name, moment in (("backup", facts.backup), ("failure", facts.failure), ("restored", facts.restored))
        if moment
    )
    if facts.backup is None:
        why = "When the backup was made is not known, so no day can be said to lie in the gap: init CASE --backup TIME"
        return aspect("failure and restore", figure, "unknown", why)
    return aspect("failure and restore", figure, "good", "As people said.")


def _ca_certificates(ca_certificates: pd.DataFrame, rows: pd.DataFrame) -> Iterable[dict[str, Any]]:
    if not len(ca_certificates):
        why = (
            "No certificate of the CA was handed in: nothing can be verified, no original is trusted, no batch can be "
            "made. Add the CA's certificate file."
        )
        yield aspect("CA certificate", "0", "gap", why)
        return
    prints = ", ".join(str(p) for p in sorted(ca_certificates["thumbprint"].dropna().unique())[:_MAX_NAMED])
    why = (
        "Everything signed is believed on its word: compare the thumbprint with what you know of your CA "
        "(certutil -ca.cert, the GUI, a partner)."
    )
    figure = f"{len(ca_certificates)}: SHA-1 {prints}"
    yield aspect("CA certificate", figure, "good", why)
    given = {int(v) & 0xFFFF for v in ca_certificates["ca_version"].dropna()}
    used = {int(v) & 0xFFFF for v in rows["issuer_name_id"].dropna().unique()}
    if given and (lacking := sorted(used - given)):
        named = ", ".join(map(str, lacking[:_MAX_NAMED]))
        why = (
            f"Rows of the database were signed under CA certificate {named}, which was not handed in: what it signed "
            "cannot be verified, nor its CRLs. Add every certificate of the CA, the old ones too."
        )
        yield aspect("earlier CA certificates", f"{len(lacking)} missing", "gap", why)


# ----------------------------------------------------------------------------- request IDs


def _request_ids(trail: Trail, layout: CaLayout) -> Iterable[dict[str, Any]]:
    """Request IDs between the backup and the highest that anything shows: which left no trace?"""
    name = "request IDs in the gap"
    if not trail.span:
        why = "Nothing that was handed in shows a request ID above those of the backup; that proves nothing."
        yield aspect(name, "", "unknown", why)
        return
    figure = f"{trail.seen} of {trail.span} seen ({trail.first} to {trail.last})"
    if not trail.missing:
        alone = trail.by_mail_alone
        why = f"Every request ID up to {trail.last} left a trace; later ones, if any, did not."
        why += f" {alone} of them by mails alone, and a mail can be forged." if alone else ""
        yield aspect(name, figure, "good", why)
        return
    why = f"{many(trail.missing, 'request ID')} left no trace: refused, failed, or a certificate that nobody knows."
    yield aspect(name, figure, "gap", why)
    yield _without_trace(trail, layout)


def _without_trace(trail: Trail, layout: CaLayout) -> dict[str, Any]:
    """What follows for requests that nobody can account for, and what helps."""
    first = trail.untraced(_MAX_NAMED)
    figure = ", ".join(map(str, first)) + (
        f" and {trail.missing - len(first)} more" if trail.missing > _MAX_NAMED else ""
    )
    helps = (
        "Ask the requesters and the owners of the templates; search AD (userCertificate), endpoints and scans for "
        "certificates of this CA from those days."
    )
    if layout.strings:
        serial = f"{max(layout.strings)}{layout.newest:04x}{first[0]:08x}"
        why = (
            "This CA makes serial numbers of a constant, the index and the request ID, so they can be computed: "
            f"request {first[0]} would be {serial}. Whether there was such a certificate is not known. {helps}"
        )
    else:
        why = (
            "This CA's serial numbers are random: nobody knows those of these requests, so they cannot be revoked, and "
            "no CRL can name them. What still helps: an Online Responder with deterministic answers says Unknown or "
            "Revoked for every serial that is not in its directory of issued ones, orphans without a name too. What "
            f"does not: clients that read CRLs never see it. {helps}"
        )
    return aspect("request IDs without a trace", figure, "gap", why)


# ------------------------------------------------------------------------------------ CRLs


def _crls(
    mine: pd.DataFrame,
    mails: pd.DataFrame,
    events: pd.DataFrame,
    ca_certificates: pd.DataFrame,
    facts: CaseFacts,
) -> Iterable[dict[str, Any]]:
    """The last public base list of every key, the last delta, and whether later ones are known of."""
    before = mine if facts.cut is None else mine[mine["this_update"] <= facts.cut]
    before = before[before["this_update"].notna()].sort_values("this_update", kind="stable")
    if not len(before):
        why = (
            "No CRL that the CA signed before the failure was handed in: revocations made in the gap show only in "
            "mails. Fetch a copy from a distribution point before it is overwritten."
        )
        yield aspect("last published CRL", "0", "gap", why)
        return
    lists = before.to_dict("records")
    keys = {key_of(crl) or 0 for crl in lists} | {int(v) >> 16 for v in ca_certificates["ca_version"].dropna()}
    # Base and delta of one publication share their number; a delta alone is nothing that clients can use.
    for key in sorted(keys):
        name = "last published CRL" if len(keys) == 1 else f"last published CRL, key {key}"
        yield _last_base(name, [c for c in lists if (key_of(c) or 0) == key], facts)
    deltas = before[true(before["is_delta"])]
    named = any(len(urls) for urls in before["delta_urls"])
    if len(deltas) or named:
        yield _last_delta(deltas, facts)
    later = _later_publication(before, mails, events, facts)
    if later:
        yield aspect("later CRLs", "seen, not handed in", "gap", later)


def _last_base(name: str, lists: Sequence[Mapping[Any, Any]], facts: CaseFacts) -> dict[str, Any]:
    bases = [crl for crl in lists if cell_value(crl["is_delta"]) is not True]
    if not bases:
        why = (
            "No base CRL of this key of the CA was handed in, so its revocations show only in mails and in the audit "
            "log. Fetch it from a distribution point before it is overwritten."
        )
        return aspect(name, "0", "gap", why)
    newest = bases[-1]
    published = cell_moment(newest["this_update"])
    figure = f"number {shown_value(newest['crl_number'], 50) or '?'}, {utc_text(published)}"
    if facts.backup is not None and published is not None and forward(published) < facts.backup:
        why = (
            "It is older than the backup, and shows nothing of the gap. Fetch the last list that was public, from "
            "every distribution point, cache or backup of a web server."
        )
        return aspect(name, figure, "gap", why)
    until = cell_moment(newest["next_update"])
    why = "Revocations made after it show only in mails or in the audit log."
    why += f" Clients believe it until {when(until)}." if until else ""
    return aspect(name, figure, "good", why)


def _last_delta(deltas: pd.DataFrame, facts: CaseFacts) -> dict[str, Any]:
    if not len(deltas):
        why = "The base CRL says where delta CRLs are, and none was handed in: later revocations may be on them."
        return aspect("last delta CRL", "0", "gap", why)
    newest = deltas.iloc[-1]
    published = cell_moment(newest["this_update"])
    figure = f"number {shown_value(newest['crl_number'], 50) or '?'}, {utc_text(published)}"
    if facts.backup is not None and published is not None and forward(published) < facts.backup:
        return aspect("last delta CRL", figure, "gap", "It is older than the backup, and shows nothing of the gap.")
    return aspect("last delta CRL", figure, "good", "Revocations made after it show only in mails or in the audit log.")


def _later_publication(before: pd.DataFrame, mails: pd.DataFrame, events: pd.DataFrame, facts: CaseFacts) -> str | None:
    """A sentence where log or mails tell of a publication before the failure that was not handed in."""
    end = facts.failure or facts.cut
    newest = cell_moment(before["this_update"].max())
    if newest is None:
        return None
    limit = forward(newest) + _LATER
    logged = events[(events["event_id"] == 4872) & (events["recorded_at"] > limit)]
    told = mails[(mails["event"] == "crl_issued") & (mails["sent_at"] > limit)]
    if end is not None:
        logged, told = logged[logged["recorded_at"] <= end], told[told["sent_at"] <= end]
    if len(logged):
        last = logged.sort_values("recorded_at", kind="stable").iloc[-1]
        number = shown_value(last["crl_number"], 50)
        at = when(cell_moment(last["recorded_at"]))
        return (
            f"Event 4872 shows that CRL {number or 'of unknown number'} was published at {at}, later than any that was "
            "handed in: revocations on it are not seen. Fetch it before it is overwritten."
        )
    if len(told):
        at = when(cell_moment(told["sent_at"].max()))
        return (
            f"A mail of {at} says that a CRL was published, later than any that was handed in: revocations on it are "
            "not seen. Fetch it before it is overwritten."
        )
    return None


# --------------------------------------------------------------------------------- verdict


def _units(accounting: pd.DataFrame) -> dict[str, Any]:
    rejected, units = int(accounting["rejected"].sum()), int(accounting["units"].sum())
    if rejected:
        why = "Rejected units may hold evidence: carecover table CASE rejects says where and why."
        # A mail that the recovery itself caused may be one of them: nothing is missing for certain.
        return aspect("evidence read", f"{rejected} of {units} rejected", "unknown", why)
    return aspect("evidence read", f"{units} units", "good", "Nothing was rejected.")


def _verdict(told: Sequence[Mapping[str, Any]], trail: Trail) -> dict[str, Any]:
    """All of it in plain words; never that it is complete."""
    gaps = [str(row["aspect"]) for row in told if row["verdict"] == "gap"]
    unknown = [str(row["aspect"]) for row in told if row["verdict"] == "unknown"]
    figure = f"{many(len(gaps), 'gap')}, {len(unknown)} open, {len(told) - len(gaps) - len(unknown)} good"
    if trail.span:
        seen = f"{trail.seen} of {trail.span} request IDs of the gap left a trace"
    elif trail.newest_known is None and trail.traces:
        seen = "where the gap's request IDs begin is not known, as the database has none"
    else:
        seen = "nothing shows a request ID above those of the backup"
    if gaps:
        why = (
            f"Something is missing for certain ({', '.join(gaps)}); {seen}. What was found counts all the same, but "
            "more may be lost than the findings show."
        )
        return aspect("verdict", figure, "gap", why)
    why = (
        f"Nothing is known to be missing; {seen}. That does not prove that nothing else was lost: a mail that was "
        "never sent and an event that was never logged leave no trace."
    )
    if unknown:
        why += f" Open: {', '.join(unknown)}."
    return aspect("verdict", figure, "unknown", why)
