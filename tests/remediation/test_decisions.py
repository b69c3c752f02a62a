"""What may be decided, by whom, about what; and what a selection by kind leaves alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
import pytest

from carecover.errors import CarecoverError, RefusedError, UsageError
from carecover.model import TABLES
from carecover.remediation import Decided, current, decide, take_suggestions
from tests.remediation.conftest import HELD, NOW, ORPHAN, REVOKED, Incident, finding


def table(*rows: dict[str, object]) -> pd.DataFrame:
    return TABLES["findings"].frame(rows)


def decided(findings: pd.DataFrame, **more: Any) -> Decided:
    arguments: dict[str, Any] = {"action": "revoke", "reason": 1, "by": "Ada", "at": NOW}
    return decide(findings, **{**arguments, **more})


def test_a_finding_without_a_serial_is_not_decided_by_one() -> None:
    bare: list[Any] = [pd.NA]
    with pytest.raises(UsageError, match="by its kind"):
        decide(TABLES["findings"].empty(), serials=bare, action="leave", by="Ada", at=NOW)


def test_a_decision_is_one_row_with_everything_in_it() -> None:
    choice = decided(table(finding("orphaned", ORPHAN)), serials=[ORPHAN.upper()], by=" Ada ", note=" stolen laptop ")
    assert choice.skipped == ()
    assert choice.rows.to_dict("records") == [
        {
            "finding_id": f"orphaned-{ORPHAN}",
            "serial": ORPHAN,
            "action": "revoke",
            "reason": 1,
            "note": "stolen laptop",
            "decided_by": "Ada",
            "decided_at": pd.Timestamp(NOW),
        }
    ]
    assert [choice.rows[c.name].dtype for c in TABLES["decisions"].columns] == [
        TABLES["decisions"].empty()[c.name].dtype for c in TABLES["decisions"].columns
    ]


def test_the_last_decision_about_a_finding_counts(incident: Incident) -> None:
    findings = incident.findings_table
    first = decided(findings, serials=[ORPHAN, REVOKED])
    second = decided(findings, serials=[ORPHAN], action="leave", reason=None)
    now = current(pd.concat([first.rows, second.rows], ignore_index=True))
    assert dict(zip(now["serial"], now["action"], strict=True)) == {ORPHAN: "leave", REVOKED: "revoke"}


def test_one_serial_named_twice_is_decided_once() -> None:
    spaced = " ".join(ORPHAN[i : i + 2] for i in range(0, len(ORPHAN), 2))
    assert len(decided(table(finding("orphaned", ORPHAN)), serials=[ORPHAN, spaced, "0x" + ORPHAN]).rows) == 1


def test_all_takes_neither_infrastructure_nor_doubtful_evidence() -> None:
    serials = [f"{ORPHAN[:-2]}{n:02x}" for n in range(0x20, 0x24)]
    findings = table(
        finding("orphaned", serials[0]),
        finding("orphaned", serials[1], infrastructure=True),
        finding("orphaned", serials[2], confidence="low"),
        finding("lost_revocation", serials[3]),
    )
    choice = decided(findings, select_all="orphaned")
    assert list(choice.rows["serial"]) == [serials[0]]
    assert [(s.serial, s.why.split(" ")[1]) for s in choice.skipped] == [
        (serials[1], "infrastructure"),
        (serials[2], "evidence"),
    ]
    named = decided(findings, serials=serials[:3])
    assert list(named.rows["serial"]) == serials[:3], "what a person names is taken"


def test_all_restore_takes_those_with_an_original() -> None:
    other = ORPHAN[:-2] + "99"
    findings = table(finding("orphaned", ORPHAN), finding("orphaned", other, original_sha256="ab" * 32))
    choice = decided(findings, select_all="orphaned", action="restore", reason=None)
    assert list(choice.rows["serial"]) == [other]
    assert "original" in choice.skipped[0].why


def test_what_can_be_acted_on_is_taken_before_what_cannot() -> None:
    findings = table(finding("suspect_notification", ORPHAN, finding_id="s1"), finding("orphaned", ORPHAN))
    assert list(decided(findings, serials=[ORPHAN]).rows["finding_id"]) == [f"orphaned-{ORPHAN}"]


def test_a_finding_without_a_serial_is_acknowledged_by_its_kind() -> None:
    findings = table(finding("unaccounted_request", None, finding_id="u17", confidence="low"))
    choice = decided(findings, select_all="unaccounted_request", action="leave", reason=None)
    assert list(choice.rows["finding_id"]) == ["u17"]
    assert choice.rows["serial"].isna().all()


@pytest.mark.parametrize(
    ("kind", "action", "fits"),
    [
        ("orphaned", "revoke", True),
        ("lost_revocation", "revoke", True),
        ("serial_conflict", "revoke", True),
        ("lost_release", "revoke", False),
        ("suspect_notification", "revoke", False),
        ("lost_ca_certificate", "revoke", False),
        ("orphaned", "restore", False),
        ("lost_revocation", "restore", False),
        ("lost_release", "unrevoke", True),
        ("orphaned", "unrevoke", False),
        ("lost_revocation", "unrevoke", False),
        ("lost_pending", "leave", True),
        ("serial_conflict", "undecided", True),
    ],
)
def test_actions_fit_kinds(kind: str, action: str, fits: bool) -> None:
    findings = table(finding(kind, ORPHAN))
    arguments = {"serials": [ORPHAN], "action": action, "reason": 1 if action == "revoke" else None}
    if fits:
        assert list(decided(findings, **arguments).rows["action"]) == [action]
    else:
        with pytest.raises(RefusedError, match=ORPHAN):
            decided(findings, **arguments)


@pytest.mark.parametrize("reason", range(7))
def test_reasons_that_are_written(reason: int) -> None:
    rows = decided(table(finding("orphaned", ORPHAN)), serials=[ORPHAN], reason=reason, note="a subordinate CA").rows
    assert list(rows["reason"]) == [reason]


@pytest.mark.parametrize(
    ("reason", "error", "says"),
    [
        (-1, RefusedError, "off hold"),
        (7, RefusedError, "not used"),
        (8, RefusedError, "delta CRL"),
        (9, RefusedError, "privilegeWithdrawn"),
        (10, RefusedError, "aACompromise"),
        (11, UsageError, "11 is no revocation reason"),
        (-2, UsageError, "-2 is no revocation reason"),
        (None, UsageError, "needs a reason"),
    ],
)
def test_reasons_that_are_not(reason: int | None, error: type[CarecoverError], says: str) -> None:
    with pytest.raises(error, match=says):
        decided(table(finding("orphaned", ORPHAN)), serials=[ORPHAN], reason=reason)


def test_ca_compromise_wants_a_ca_or_a_note() -> None:
    with pytest.raises(RefusedError, match="reason 2"):
        decided(table(finding("orphaned", ORPHAN)), serials=[ORPHAN], reason=2)
    assert len(decided(table(finding("orphaned", ORPHAN)), serials=[ORPHAN], reason=2, note="a CA").rows) == 1
    assert len(decided(table(finding("orphaned", ORPHAN, template="SubCA")), serials=[ORPHAN], reason=2).rows) == 1
    assert len(decided(table(finding("orphaned", ORPHAN)), select_all="orphaned", reason=2).skipped) == 1


def test_only_revoke_has_a_reason() -> None:
    with pytest.raises(UsageError, match="goes with 'revoke' only"):
        decided(table(finding("orphaned", ORPHAN)), serials=[ORPHAN], action="leave", reason=1)
    rows = decided(table(finding("lost_release", HELD)), serials=[HELD], action="unrevoke", reason=-1).rows
    assert rows["reason"].isna().all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"serials": ["ab" * 8]}, "No finding has serial number abababababababab:"),
        ({"serials": [f"{n:016x}" for n in range(1, 9)]}, "and 3 more"),
        ({"serials": ["no serial"]}, "is not a serial number"),
        ({"serials": []}, "Select either"),
        ({"serials": [ORPHAN], "select_all": "orphaned"}, "Select either"),
        ({"select_all": "orphans"}, "'orphans' is no kind"),
        ({"serials": [ORPHAN], "action": "delete\u202e"}, "is no action"),
        ({"serials": [ORPHAN], "by": " \t"}, "needs a name"),
        ({"serials": [ORPHAN], "by": "A" * 101}, "at most 100"),
        ({"serials": [ORPHAN], "by": "Ada\u202e"}, "cannot be printed"),
        ({"serials": [ORPHAN], "by": "Ada\nBob"}, "cannot be printed"),
        ({"serials": [ORPHAN], "note": "n" * 2001}, "at most 2000"),
        ({"serials": [ORPHAN], "at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 - the mistake
    ],
)
def test_calls_that_are_wrong(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        decided(table(finding("orphaned", ORPHAN)), **arguments)


def test_nothing_is_decided_where_one_serial_is_refused(incident: Incident) -> None:
    with pytest.raises(RefusedError, match=HELD):
        decided(incident.findings_table, serials=[ORPHAN, HELD])


def test_a_suggestion_is_taken_by_a_person_under_the_same_rules() -> None:
    serials = [f"{ORPHAN[:-2]}{n:02x}" for n in range(0x20, 0x25)]
    findings = table(
        finding("orphaned", serials[0], suggested_action="revoke", suggested_reason=4),
        finding("orphaned", serials[1], suggested_action="restore", original_sha256="ab" * 32),
        finding("orphaned", serials[2]),
        finding("orphaned", serials[3], suggested_action="revoke", suggested_reason=1, infrastructure=True),
        finding("orphaned", serials[4], suggested_action="restore"),
        finding("lost_pending", None, finding_id="p1", suggested_action="leave"),
    )
    choice = take_suggestions(findings, select_all="orphaned", by="Ada", at=NOW)
    assert list(choice.rows["serial"]) == serials[:2]
    assert list(choice.rows["action"]) == ["revoke", "restore"]
    assert list(choice.rows["reason"].fillna(-9)) == [4, -9]
    assert [s.serial for s in choice.skipped] == serials[2:]
    acknowledged = take_suggestions(findings, select_all="lost_pending", by="Ada", at=NOW).rows
    assert list(acknowledged["finding_id"]) == ["p1"]
    with pytest.raises(UsageError, match="needs a name"):
        take_suggestions(findings, select_all="orphaned", by="", at=NOW)
