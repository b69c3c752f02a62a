"""What an Online Responder can be handed until, and besides, the CA's own list (docs/ocsp.md).

Its local CRL revokes bare serial numbers for OCSP clients at once. Its directory of issued
serial numbers (KB2960124) makes it answer Unknown, not Good, about everything else: the
lost certificates that nobody has accounted for are then no longer called good.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from carecover.model import TABLES, Disposition, Plan

_ISSUED: Final = [int(Disposition.ISSUED), int(Disposition.REVOKED)]


def local_crl(plan: Plan, decisions: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Table ``local_crl``: the plan's revocations, with their dates from before the failure where those are known."""
    decided = decisions.drop_duplicates("finding_id", keep="last").set_index("finding_id")["decided_at"]
    proved = set(outcomes.loc[outcomes["verdict"] == "proved", "finding_id"])
    return TABLES["local_crl"].frame(
        [
            {
                "ca_key_index": item.ca_key_index,
                "serial": item.serial,
                "reason": item.reason,
                "revoked_at": item.original_revoked_at or decided.get(item.finding_id),
                "not_after": item.not_after,
                "proved": item.finding_id in proved,
            }
            for item in plan.items
            if item.action == "revoke"
        ]
    )


def issued_serials(
    ca_rows: pd.DataFrame, later: pd.DataFrame | None, originals: pd.DataFrame, kept: Sequence[str]
) -> pd.DataFrame:
    """Table ``issued_serials``: what the database knows, and the verified originals of what was decided to stay valid.

    ``later`` is a view from after the work; ``originals`` are certificates (their signature checked),
    ``kept`` the serial numbers decided to be restored, released or left. A serial number that only
    a mail names is not in it: the responder must not call it good on a mail's word.
    """
    parts = [_rows(ca_rows, "baseline"), *([] if later is None else [_rows(later, "later view")])]
    verified = originals[originals["signed_by_ca"].fillna(value=False).astype(bool)]
    mine = verified[verified["serial"].isin(list(kept))]
    unknown = pd.Series(pd.NA, index=mine.index, dtype="Int64")
    parts.append(mine[["serial", "not_after"]].assign(ca_key_index=unknown, source="verified original"))
    whole = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    whole = whole.dropna(subset=["serial"]).drop_duplicates("serial").sort_values("serial", kind="stable")
    return TABLES["issued_serials"].conform(whole.reset_index(drop=True))


def _rows(ca_rows: pd.DataFrame, source: str) -> pd.DataFrame:
    issued = ca_rows[ca_rows["disposition"].isin(_ISSUED)]
    # IssuerNameID: key index << 16 | certificate index.
    return issued[["serial", "not_after"]].assign(ca_key_index=issued["issuer_name_id"] // 65536, source=source)
