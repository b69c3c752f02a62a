"""Old and new base CRL of each key, held against each other: nothing may drop out that should be there.

A CA leaves a serial number out of its list when it was released from hold, or when the
certificate has expired (AD CS keeps it for one more base CRL). Whatever else is missing
from the new list was lost: clients take the certificate as valid again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final

import pandas as pd

from carecover.model import TABLES, Plan, RevocationReason
from carecover.proof.lists import Authority, RevocationList, clock, moment, reason_text, revocation_lists

PLANNED: Final = "planned"
EXPIRED: Final = "expired"
UNEXPECTED: Final = "unexpected"
_NOBODY: Final = "No decision of the plan is about it: somebody else did this, before or after the restore."
_COLUMNS: Final = ["serial", "reason", "revoked_at"]


def compare_lists(
    plan: Plan | None,
    *,
    before_crls: pd.DataFrame,
    crls: pd.DataFrame,
    crl_entries: pd.DataFrame,
    ends: pd.DataFrame,
    ca_certificates: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Table ``crl_changes``: the newest old base list of each key against the newest one handed in after the work.

    ``crl_entries`` holds the entries of both; ``ends`` has the columns serial and not_after of
    every certificate whose end is known. Set-based: a million entries are joined, not looked up.
    """
    ca = Authority(ca_certificates, before_crls, crls)
    old, new = _newest(before_crls, ca), _newest(crls, ca)
    frames = [
        _compare(plan, old[key], new[key], crl_entries, _known_ends(ends))
        for key in sorted(old.keys() & new.keys())
        if old[key].sha256 != new[key].sha256
    ]
    frames = [frame for frame in frames if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else TABLES["crl_changes"].empty()


def warnings_about(changes: pd.DataFrame) -> list[str]:
    """A sentence for each key whose new list lost what it should have."""
    lost = changes[(changes["change"] == "dropped") & (changes["verdict"] == UNEXPECTED)]
    told = []
    for (key, old, new), part in lost.groupby(["ca_key_index", "old_number", "new_number"], sort=True):
        named = ", ".join(part["serial"].head(3)) + (" …" if len(part) > 3 else "")
        told.append(
            f"{len(part)} serial number(s) of CRL {old} are missing from CRL {new} (CA key {key}) and nobody planned "
            f"that: clients take these certificates as valid ({named}). See: carecover table CASE crl_changes"
        )
    return told


def _newest(crls: pd.DataFrame, ca: Authority) -> dict[int, RevocationList]:
    """Key index → its base list with the highest number, of those that are for all certificates."""
    newest: dict[int, RevocationList] = {}
    for one in revocation_lists(crls, ca):
        if one.is_delta or one.refused or one.user_only:
            continue
        if one.key not in newest or newest[one.key].number < one.number:
            newest[one.key] = one
    return newest


def _known_ends(ends: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    known = ends.dropna(subset=["serial", "not_after"])
    # Where two certificates bear one serial, the one that lives longer decides whether it may drop out.
    return known.groupby("serial", sort=False)["not_after"].max()


def _entries(crl_entries: pd.DataFrame, one: RevocationList) -> pd.DataFrame:
    mine = crl_entries.loc[crl_entries["crl_sha256"] == one.sha256, _COLUMNS].dropna(subset=["serial"])
    return mine.assign(reason=mine["reason"].fillna(0)).drop_duplicates("serial", keep="last")


def _compare(
    plan: Plan | None,
    old: RevocationList,
    new: RevocationList,
    crl_entries: pd.DataFrame,
    ends: pd.Series[pd.Timestamp],
) -> pd.DataFrame:
    both = _entries(crl_entries, old).merge(
        _entries(crl_entries, new), on="serial", how="outer", suffixes=("_old", "_new"), indicator=True
    )
    there = both["_merge"] == "both"
    reason = there & (both["reason_old"] != both["reason_new"]).fillna(value=False).astype(bool)
    date = there & ~reason & (both["revoked_at_old"] != both["revoked_at_new"])
    changed = pd.Series(pd.NA, index=both.index, dtype="string")
    changed[both["_merge"] == "left_only"] = "dropped"
    changed[both["_merge"] == "right_only"] = "added"
    changed[reason] = "reason"
    changed[date] = "date"
    few = both[changed.notna()].assign(change=changed[changed.notna()])
    # pandas cannot look anything up in a column of times without rows.
    lasts = few["serial"].map(ends) if len(ends) else pd.Series(pd.NaT, index=few.index)
    few = few.assign(not_after=lasts).sort_values("serial", kind="stable")
    planned = {item.serial: (item.action, item.reason) for item in plan.items} if plan else {}
    # Most rows of a long table are about serial numbers of which nobody decided anything: one sentence for all.
    few = few.assign(verdict=UNEXPECTED, why=_NOBODY)
    mine = few[(few["change"] == "dropped") | few["serial"].isin(list(planned))]
    said = [_judged(row, planned.get(row["serial"]), new) for row in mine.to_dict("records")]
    few.loc[mine.index, ["verdict", "why"]] = pd.DataFrame(said, columns=["verdict", "why"], index=mine.index)
    names = {f"{what}_{when}": f"{when}_{what}" for what in ("reason", "revoked_at") for when in ("old", "new")}
    few = few.rename(columns=names).reset_index(drop=True)
    few = few.assign(ca_key_index=new.key, old_number=str(old.number), new_number=str(new.number))
    # Column by column: a table of a million rows is not taken apart into cells.
    empty = TABLES["crl_changes"].empty()
    return TABLES["crl_changes"].conform(few[list(empty.columns)].astype(empty.dtypes.to_dict()))


def _judged(row: Mapping[Hashable, Any], item: tuple[str, int | None] | None, new: RevocationList) -> tuple[str, str]:
    action, reason = item or (None, None)
    change, end = row["change"], row["not_after"]
    if change == "dropped":
        if action == "unrevoke" and row["reason_old"] == RevocationReason.CERTIFICATE_HOLD:
            return PLANNED, "It was released from hold, as planned."
        if not pd.isna(end) and moment(end) <= new.this_update:
            return EXPIRED, f"The certificate ended on {clock(moment(end))}: a CA leaves expired ones out."
        if pd.isna(end):
            return UNEXPECTED, "Nobody planned a release, and when the certificate ends is not known."
        return UNEXPECTED, f"Nobody planned a release, and the certificate is valid until {clock(moment(end))}."
    if action == "revoke" and row["reason_new"] == reason:
        told = {
            "added": "It was revoked, as planned.",
            "reason": "It was revoked with another reason, as planned.",
            "date": "It was revoked again, as planned: a new revocation has a new date.",
        }
        return PLANNED, told[str(change)]
    if action == "revoke":
        return UNEXPECTED, f"The plan says the reason {reason_text(reason)}."
    return UNEXPECTED, _NOBODY
