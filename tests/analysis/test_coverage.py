"""Coverage never says complete, and says what is missing with its figure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from carecover.analysis import Baseline, assess_coverage
from carecover.model import TABLES, CaseFacts

RESTORED = datetime(2026, 11, 21, tzinfo=UTC)
BACKUP = datetime(2026, 11, 1, tzinfo=UTC)


def verdicts(
    *, mails: list[dict[str, Any]], rows: list[dict[str, Any]], crls: list[dict[str, Any]] | None = None,
    rejected: int = 0, facts: CaseFacts | None = None,
) -> dict[str, tuple[str, str]]:  # fmt: skip
    table = assess_coverage(
        TABLES["notifications"].frame(mails),
        Baseline(TABLES["ca_rows"].frame(rows), ("E1",)),
        TABLES["crls"].frame(crls or []),
        TABLES["findings"].empty(),
        TABLES["accounting"].frame([{"units": 10, "rejected": rejected}]),
        TABLES["certificates"].empty(),
        facts=facts or CaseFacts(backup=BACKUP, restored=RESTORED),
    )
    return {row["aspect"]: (row["verdict"], row["figure"]) for row in table.to_dict("records")}


def row(request_id: int) -> dict[str, Any]:
    return {"request_id": request_id, "submitted_at": BACKUP - timedelta(days=1)}


def mail(request_id: int) -> dict[str, Any]:
    return {"event": "issued", "request_id": request_id, "sent_at": BACKUP + timedelta(days=3)}


def test_an_empty_case_is_nothing_but_gaps_and_unknowns() -> None:
    seen = verdicts(mails=[], rows=[], facts=CaseFacts())
    assert seen["database view"][0] == "gap"
    assert seen["notifications"][0] == "gap"
    assert seen["last published CRL"][0] == "gap"
    assert seen["CA certificate"][0] == "gap"
    assert seen["failure and restore"][0] == "unknown"
    assert seen["request IDs in the gap"][0] == "unknown"


def test_request_ids_without_a_trace_are_counted() -> None:
    seen = verdicts(mails=[mail(4), mail(7)], rows=[row(1), row(2), row(3)])
    assert seen["request IDs in the gap"] == ("gap", "2 of 4 seen (4 to 7)")


def test_a_forged_request_id_far_away_costs_no_time() -> None:
    seen = verdicts(mails=[mail(4), mail(2**31)], rows=[row(3)])
    assert seen["request IDs in the gap"][1].startswith("2 of 2147483645 seen")


def test_an_unbroken_range_is_good_but_never_called_complete() -> None:
    seen = verdicts(mails=[mail(4), mail(5)], rows=[row(1), row(3)])
    assert seen["request IDs in the gap"] == ("good", "2 of 2 seen (4 to 5)")
    assert seen["notifications"][0] == "unknown"


def test_rejected_units_and_a_view_that_begins_late_are_gaps() -> None:
    seen = verdicts(mails=[], rows=[row(500)], rejected=2)
    assert seen["evidence read"] == ("gap", "2 of 10 rejected")
    assert seen["database view"][0] == "gap"


def test_only_a_signed_crl_from_before_the_restore_counts() -> None:
    before = {"crl_number": "7", "this_update": BACKUP, "signed_by_ca": True}
    assert verdicts(mails=[], rows=[], crls=[before])["last published CRL"][0] == "good"
    unsigned = {**before, "signed_by_ca": False}
    later = {**before, "this_update": RESTORED + timedelta(hours=1)}
    assert verdicts(mails=[], rows=[], crls=[unsigned, later])["last published CRL"][0] == "gap"
