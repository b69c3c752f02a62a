"""How far the evidence can be believed to be complete; never "complete" from absence."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from carecover.analysis.baseline import Baseline
from carecover.model import TABLES, CaseFacts, Disposition, SerialNumber, utc_text

# A CA is renewed a few times in its life; more certificates than this are worth a look in the table.
_MAX_NAMED: Final = 6


def assess_coverage(
    notifications: pd.DataFrame,
    baseline: Baseline,
    crls: pd.DataFrame,
    findings: pd.DataFrame,
    accounting: pd.DataFrame,
    ca_certificates: pd.DataFrame,
    *,
    facts: CaseFacts,
) -> pd.DataFrame:
    """Table ``coverage``: one row an aspect, with its figure, verdict and a sentence.

    Verdicts are ``good`` (nothing missing was seen), ``gap`` (something is missing for
    certain) and ``unknown`` (the evidence cannot tell).
    """
    rows = [
        _baseline(baseline),
        _times(facts),
        _ca_certificate(ca_certificates),
        _request_ids(notifications, baseline, findings, facts),
        _mails(notifications, facts),
        _crls(crls, facts),
        _units(accounting),
    ]
    rows += _columns(baseline)
    rows += [
        {"aspect": "views of the database", "figure": "", "verdict": "good", "why": note} for note in baseline.notes
    ]
    zones = baseline.rows["flags"].map(lambda flags: "zone_assumed_utc" in flags)
    if zones.any():
        rows.append(
            {
                "aspect": "time zone",
                "figure": f"{int(zones.sum())} rows",
                "verdict": "unknown",
                "why": "The view prints local time without a zone and the case names none, so its times are taken as "
                "UTC. Say where the CA is: carecover init CASE --time-zone Europe/Berlin",
            }
        )
    return TABLES["coverage"].frame(rows)


def _baseline(baseline: Baseline) -> dict[str, Any]:
    first, last = baseline.first_request_id, baseline.newest_request_id
    if not len(baseline.rows):
        why = (
            "No view of the restored database was handed in, or it is empty: everything the evidence shows looks lost."
        )
        return {"aspect": "database view", "figure": "0 rows", "verdict": "gap", "why": why}
    figure = f"{len(baseline.rows)} rows, request IDs {first} to {last}"
    if first is not None and first > 1:
        why = f"The view begins at request ID {first}: nothing below it is judged."
        return {"aspect": "database view", "figure": figure, "verdict": "gap", "why": why}
    why = "Certificates that a template keeps out of the database (DONOTPERSISTINDB) look lost as well."
    return {"aspect": "database view", "figure": figure, "verdict": "good", "why": why}


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
    return [{"aspect": "columns of the view", "figure": f"{len(lacking)} missing", "verdict": "gap", "why": why}]


def _times(facts: CaseFacts) -> dict[str, Any]:
    if facts.cut is None:
        why = (
            "Neither failure nor restore is known, so what the restored CA issued after the export cannot be told from "
            "what was lost. Say when: carecover init CASE --restored TIME"
        )
        return {"aspect": "failure and restore", "figure": "", "verdict": "unknown", "why": why}
    figure = ", ".join(
        f"{name} {utc_text(moment)}"
        for name, moment in (("backup", facts.backup), ("failure", facts.failure), ("restored", facts.restored))
        if moment
    )
    return {"aspect": "failure and restore", "figure": figure, "verdict": "good", "why": "As people said."}


def _ca_certificate(ca_certificates: pd.DataFrame) -> dict[str, Any]:
    if len(ca_certificates):
        prints = ", ".join(str(p) for p in sorted(ca_certificates["thumbprint"].dropna().unique())[:_MAX_NAMED])
        why = (
            "Everything signed is believed on its word: compare the thumbprint with what you know of your CA "
            "(certutil -ca.cert, the GUI, a partner)."
        )
        figure = f"{len(ca_certificates)}: SHA-1 {prints}"
        return {"aspect": "CA certificate", "figure": figure, "verdict": "good", "why": why}
    why = (
        "No certificate of the CA was handed in: nothing can be verified, no original is trusted, no batch can be "
        "made. Add the CA's certificate file."
    )
    return {"aspect": "CA certificate", "figure": "0", "verdict": "gap", "why": why}


def _request_ids(
    notifications: pd.DataFrame, baseline: Baseline, findings: pd.DataFrame, facts: CaseFacts
) -> dict[str, Any]:
    """Request IDs between the backup and the highest that anything shows: which left no trace?"""
    aspect = "request IDs in the gap"
    submitted = baseline.rows["submitted_at"]
    old = baseline.rows if facts.cut is None else baseline.rows[submitted.isna() | (submitted <= facts.cut)]
    start = old["request_id"].max()
    sent = notifications["sent_at"]
    lost = notifications if facts.cut is None else notifications[sent.isna() | (sent <= facts.cut)]
    traced = {int(i) for i in lost["request_id"].dropna()}
    for serial in findings.loc[findings["kind"] == "orphaned", "serial"]:
        request_id = SerialNumber.parse(str(serial)).anatomy.request_id
        if request_id is not None:
            traced.add(request_id)
    if pd.isna(start) or not traced or max(traced) <= int(start):
        why = "Nothing that was handed in shows a request ID above those of the backup; that proves nothing."
        return {"aspect": aspect, "figure": "", "verdict": "unknown", "why": why}
    # A forged ID far away must not make the range absurd: what the gap holds is counted, not listed.
    first, last = int(start) + 1, max(traced)
    seen = sum(1 for i in traced if i >= first)
    missing = last - first + 1 - seen
    figure = f"{seen} of {last - first + 1} seen ({first} to {last})"
    if missing:
        why = (
            f"{missing} request IDs left no trace. Some may have been certificates: with random serials they cannot be "
            "found, nor revoked, without further evidence."
        )
        return {"aspect": aspect, "figure": figure, "verdict": "gap", "why": why}
    why = f"Every request ID up to {last} left a trace; later ones, if any, did not."
    return {"aspect": aspect, "figure": figure, "verdict": "good", "why": why}


def _mails(notifications: pd.DataFrame, facts: CaseFacts) -> dict[str, Any]:
    count = len(notifications)
    if not count:
        why = "No notification was found: issued certificates show only where another source names them."
        return {"aspect": "notifications", "figure": "0", "verdict": "gap", "why": why}
    window = notifications
    if facts.backup is not None:
        window = window[window["sent_at"] >= facts.backup]
    if facts.cut is not None:
        window = window[window["sent_at"] <= facts.cut]
    why = "The exit module neither queues nor repeats: a mail that is missing proves nothing about its certificate."
    return {"aspect": "notifications", "figure": f"{count}, {len(window)} in the gap", "verdict": "unknown", "why": why}


def _crls(crls: pd.DataFrame, facts: CaseFacts) -> dict[str, Any]:
    mine = crls[crls["signed_by_ca"] == True]  # noqa: E712
    before = mine if facts.cut is None else mine[mine["this_update"] <= facts.cut]
    if not len(before):
        why = (
            "No CRL that the CA signed before the failure was handed in: revocations made in the gap show only in "
            "mails. Fetch a copy from a distribution point before it is overwritten."
        )
        return {"aspect": "last published CRL", "figure": "0", "verdict": "gap", "why": why}
    newest = before.sort_values("this_update").iloc[-1]
    figure = f"number {newest['crl_number']}, {utc_text(newest['this_update'].to_pydatetime())}"
    why = "Revocations made after it show only in mails or in the audit log."
    return {"aspect": "last published CRL", "figure": figure, "verdict": "good", "why": why}


def _units(accounting: pd.DataFrame) -> dict[str, Any]:
    rejected, units = int(accounting["rejected"].sum()), int(accounting["units"].sum())
    if rejected:
        why = "Rejected units may hold evidence: carecover table CASE rejects says where and why."
        return {"aspect": "evidence read", "figure": f"{rejected} of {units} rejected", "verdict": "gap", "why": why}
    return {"aspect": "evidence read", "figure": f"{units} units", "verdict": "good", "why": "Nothing was rejected."}
