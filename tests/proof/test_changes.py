"""Old list and new list: what was lost is told, what was meant is told apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from carecover.model import TABLES, Plan
from carecover.proof import compare_lists, warnings_about

from .conftest import ITEM, NOW, SERIAL, crl

LATER = NOW + timedelta(days=30)
PLAN = Plan(
    "case", "CA", None, "c" * 64, {"0": "c" * 64}, 99, {"0": "412"},
    (ITEM, replace(ITEM, number=2, serial="0a", action="unrevoke", reason=None)),
)  # fmt: skip


def entry(crl_name: str, serial: str, reason: int = 5, at: Any = NOW) -> dict[str, object]:
    return {"crl_sha256": crl_name, "serial": serial, "reason": reason, "revoked_at": at}


def changes(
    entries: list[dict[str, object]], ends: dict[str, Any] | None = None, plan: Plan | None = PLAN, **new: object
) -> dict[str, tuple[str, str, str]]:
    """Serial → change, verdict, reason."""
    known = TABLES["certificates"].frame([{"serial": s, "not_after": end} for s, end in (ends or {}).items()])
    table = compare_lists(
        plan,
        before_crls=TABLES["crls"].frame([crl("older", 411), crl("old", 412)]),
        crls=TABLES["crls"].frame([crl("new", 414) | new]),
        crl_entries=TABLES["crl_entries"].frame(entries),
        ends=known[["serial", "not_after"]],
    )
    assert set(zip(table["old_number"], table["new_number"], strict=True)) <= {("412", "414")}
    return {row["serial"]: (row["change"], row["verdict"], row["why"]) for row in table.to_dict("records")}


def test_what_both_lists_say_is_no_change() -> None:
    assert changes([entry("old", "01"), entry("new", "01")]) == {}


def test_a_serial_that_dropped_out_unasked_is_unexpected() -> None:
    found = changes([entry("old", "01"), entry("old", "02")], {"02": LATER})
    assert found["01"] == (
        "dropped", "unexpected", "Nobody planned a release, and when the certificate ends is not known."
    )  # fmt: skip
    assert found["02"][1] == "unexpected"
    assert "valid until 2026-04-05" in found["02"][2]


def test_expired_and_released_ones_may_go() -> None:
    found = changes([entry("old", "01"), entry("old", "0a", 6), entry("old", "0b", 6)], {"01": NOW - timedelta(days=1)})
    assert found["01"][:2] == ("dropped", "expired")
    assert found["0a"][:2] == ("dropped", "planned")
    assert found["0b"][:2] == ("dropped", "unexpected")


def test_a_certificate_that_ended_after_the_list_was_made_was_lost() -> None:
    """Until thisUpdate it was valid, and AD CS keeps it for one more list besides."""
    assert changes([entry("old", "01")], {"01": NOW})["01"][1] == "unexpected"


def test_planned_revocations_are_told_from_others() -> None:
    found = changes([entry("new", SERIAL), entry("new", "02")])
    assert found[SERIAL][:2] == ("added", "planned")
    assert found["02"][:2] == ("added", "unexpected")
    assert changes([entry("new", SERIAL, 1)])[SERIAL] == (
        "added", "unexpected", "The plan says the reason 5 (Cessation of Operation)."
    )  # fmt: skip
    assert changes([entry("new", SERIAL)], plan=None)[SERIAL][1] == "unexpected"


def test_other_reasons_and_dates_are_changes_too() -> None:
    again = [entry("old", SERIAL, 5, NOW - timedelta(days=9)), entry("new", SERIAL, 5, NOW)]
    assert changes(again)[SERIAL][:2] == ("date", "planned")
    other = [entry("old", "02", 6), entry("new", "02", 1), entry("old", "03"), entry("new", "03", at=LATER)]
    found = changes(other)
    assert found["02"][:2] == ("reason", "unexpected")
    assert found["03"][:2] == ("date", "unexpected")


def test_lists_that_are_not_for_all_certificates_are_not_compared() -> None:
    for new in ({"scope": ["ca_certificates"]}, {"is_delta": True}, {"signed_by_ca": False}, {"ca_version": 1 << 16}):
        assert changes([entry("old", "01")], **new) == {}


def test_what_was_lost_is_a_warning_of_one_sentence() -> None:
    table = compare_lists(
        PLAN,
        before_crls=TABLES["crls"].frame([crl("old", 412)]),
        crls=TABLES["crls"].frame([crl("new", 414)]),
        crl_entries=TABLES["crl_entries"].frame([entry("old", "01"), entry("old", "02"), entry("new", SERIAL)]),
        ends=TABLES["certificates"].empty()[["serial", "not_after"]],
    )
    (warning,) = warnings_about(table)
    assert warning.startswith("2 serial number(s) of CRL 412 are missing from CRL 414 (CA key 0)")
    assert "(01, 02)" in warning
    assert warnings_about(table[table["change"] == "added"]) == []


def test_many_entries_are_joined_not_looked_up() -> None:
    # Looked up one by one, this would take hours.
    count = 200_000
    serials = pd.Series([f"63{n:08x}" for n in np.arange(count)], dtype=pd.StringDtype("pyarrow"))

    def listed(name: str, mine: pd.Series[str]) -> pd.DataFrame:
        return TABLES["crl_entries"].conform(
            pd.DataFrame({"crl_sha256": name, "serial": mine, "revoked_at": pd.Timestamp(NOW), "reason": 5})
        )

    entries = pd.concat([listed("old", serials), listed("new", serials[1:])], ignore_index=True)
    table = compare_lists(
        None,
        before_crls=TABLES["crls"].frame([crl("old", 412)]),
        crls=TABLES["crls"].frame([crl("new", 414)]),
        crl_entries=entries,
        ends=pd.DataFrame({"serial": serials, "not_after": pd.Timestamp(LATER)}),
    )
    assert list(table["serial"]) == [serials[0]]
