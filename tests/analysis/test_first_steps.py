"""What to do first follows from the evidence: it appears with its cause, and goes when it was done."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from carecover.analysis import Situation, list_first_steps
from carecover.analysis.layout import CaLayout
from carecover.model import TABLES, CaseFacts

BACKUP = datetime(2026, 11, 1, tzinfo=UTC)
FAILURE = datetime(2026, 11, 20, tzinfo=UTC)
RESTORED = datetime(2026, 11, 21, tzinfo=UTC)
FACTS = CaseFacts(backup=BACKUP, failure=FAILURE, key_exposed="no")
Rows = list[dict[str, Any]]


def steps(
    *, facts: CaseFacts = FACTS, layout: CaLayout | None = None, question: str = "", exported: bool = False,
    **tables: Rows,
) -> list[tuple[str, str, str]]:  # fmt: skip
    def table(name: str, schema: str = "") -> pd.DataFrame:
        return TABLES[schema or name].frame(tables.get(name, []))

    situation = Situation(
        facts=facts,
        findings=table("findings"),
        coverage=table("coverage"),
        decisions=table("decisions"),
        outcomes=table("outcomes"),
        rows=table("rows", "ca_rows"),
        certificates=table("certificates"),
        crls=table("crls"),
        registry=table("registry"),
        layout=layout or CaLayout(),
        question=question,
        exported=exported,
    )
    told = list_first_steps(situation)
    return [(r["when"], r["step"], r["why"]) for r in told.to_dict("records")]


def one(start: str, **case: Any) -> tuple[str, str, str]:
    """The only step that begins so."""
    (found,) = [s for s in steps(**case) if s[1].startswith(start)]
    return found


def asked(start: str, **case: Any) -> bool:
    return any(s[1].startswith(start) for s in steps(**case))


def finding(kind: str, number: int, **more: Any) -> dict[str, Any]:
    return {"finding_id": f"{kind}-{number}", "kind": kind, "serial": f"440{number}", "infrastructure": False, **more}


def gap(aspect: str, why: str = "because") -> dict[str, Any]:
    return {"aspect": aspect, "figure": "1", "verdict": "gap", "why": why}


LATE = {"request_id": 9, "disposition": 20, "submitted_at": RESTORED + timedelta(hours=1)}
ROW = {"request_id": 1, "disposition": 20, "submitted_at": BACKUP - timedelta(days=1)}


# ---------------------------------------------------------------- the name


def test_a_misspelled_ca_is_the_first_step_and_what_follows_from_it_is_no_advice() -> None:
    facts = CaseFacts(ca="Exmaple CA", backup=BACKUP, failure=FAILURE)
    wrong = {**gap("name of the CA", "200 mails bear another"), "figure": "Example CA"}
    told = steps(
        facts=facts, exported=True, findings=[finding("suspect_notification", n) for n in range(3)],
        coverage=[wrong, gap("CA certificate"), gap("notifications"), gap("last published CRL")],
    )  # fmt: skip
    assert told[0] == (
        "now",
        "Set the CA's name right: what was handed in is of Example CA, and in the case it is Exmaple CA.",
        "200 mails bear another",
    )
    starts = ("Hand in", "Look at", "Copy every CRL")
    assert not [step for _, step, _ in told if step.startswith(starts)]
    assert any(step.startswith("Copy the old database") for _, step, _ in told), "what is overwritten cannot wait"


# ---------------------------------------------------------------- the key


def test_a_key_at_risk_is_the_only_step() -> None:
    facts = CaseFacts(backup=BACKUP, failure=FAILURE, key_exposed="yes")
    told = steps(facts=facts, findings=[finding("orphaned", 1)], coverage=[gap("CA certificate")])
    assert [when for when, _, _ in told] == ["stop"]
    assert "certificate revoked by its parent" in told[0][1]


def test_a_key_of_which_nobody_said_anything_is_asked_about_first() -> None:
    facts = CaseFacts(backup=BACKUP, failure=FAILURE)
    told = steps(facts=facts, findings=[finding("orphaned", 1)])
    assert told[0][0] == "before_start"
    assert not asked("Ask whether the CA's key")
    printed = re.findall(r"carecover init CASE --key-exposed [^ ]+", told[0][1])
    assert [command.rsplit(" ", 1)[1] for command in printed] == ["yes", "no"], "each is one command for a shell"


def test_while_it_is_asked_which_view_counts_what_needs_no_view_is_told() -> None:
    question = "E0001 is a filtered view. Say which to use, such as: carecover baseline CASE E0001 --by YOUR-NAME"
    told = steps(
        facts=CaseFacts(backup=BACKUP, failure=FAILURE), question=question, exported=True, crls=[LAST],
        coverage=[gap("last published CRL")],
    )  # fmt: skip
    starts = ("Ask whether the CA's key", "Copy every CRL", "Copy the old database", "The last CRL", "Keep the CA in")
    assert [any(step.startswith(start) for _, step, _ in told) for start in starts] == [True] * 5
    assert [why for _, step, why in told if step.startswith("Settle which view")] == [question]
    assert "before_start" not in {when for when, _, _ in told}, "a view was exported, so the service runs"
    assert not asked("Settle which view")


# ---------------------------------------------------------------- order and time


def test_the_most_urgent_comes_first() -> None:
    told = steps(
        facts=CaseFacts(backup=BACKUP, failure=FAILURE),
        findings=[finding("orphaned", 1)],
        coverage=[gap("last published CRL"), gap("Security log")],
        layout=CaLayout(strings=frozenset({"52ac"})),
    )
    order = ["stop", "before_start", "now", "later"]
    assert [when for when, _, _ in told] == sorted((when for when, _, _ in told), key=order.index)
    begins = [step.split()[0] for _, step, _ in told[:4]]
    assert begins == ["Ask", "Let", "Copy", "Copy"], "the key, the serial numbers, and then what would be overwritten"


def test_once_the_restored_service_has_run_before_is_now() -> None:
    case: dict[str, Any] = {"coverage": [gap("last published CRL")]}
    assert one("Copy every CRL", **case)[0] == "before_start"
    for ran, words in (
        ({"rows": [LATE]}, "taken 1 request"),
        ({"rows": [ROW]}, "database was exported"),
        ({"crls": [{"this_update": RESTORED, "signed_by_ca": True}]}, "published a CRL"),
        ({"facts": CaseFacts(backup=BACKUP, failure=FAILURE, restored=RESTORED)}, "people say when"),
    ):
        when, _, why = one("Copy every CRL", **case, **ran)
        assert when == "now"
        assert words in why


# ---------------------------------------------------------------- serial numbers that come back


STRINGS = CaLayout(strings=frozenset({"52acdc540c9bba"}))
REGISTRY = {"key": "", "name": "HighSerial", "value": ["52ac"]}


@pytest.mark.parametrize(
    "sign",
    [
        {"layout": STRINGS},
        {"registry": [{**REGISTRY, "type": "REG_SZ"}]},
        {"findings": [finding("orphaned", 1, circumstances=["serial_may_return"])]},
    ],
    ids=["the rows", "the registry", "a finding"],
)
def test_serials_that_can_come_back_stop_issuing_before_anything_else(sign: dict[str, Any]) -> None:
    told = steps(coverage=[gap("last published CRL")], **sign)
    assert told[0][1].startswith("Let the restored CA issue nothing before HighSerial is changed")
    assert told[0][0] == "before_start"


def test_a_high_serial_that_was_changed_is_no_step_any_more() -> None:
    changed = [{**REGISTRY, "type": "REG_DWORD", "value": ["68"]}]
    assert asked("Let the restored", layout=STRINGS)
    assert not asked("Let the restored", layout=STRINGS, registry=changed)
    assert not asked("Let the restored", layout=CaLayout(firsts={"number": frozenset({"44"})}))


def test_what_the_ca_issued_already_is_counted() -> None:
    case: dict[str, Any] = {"layout": STRINGS, "rows": [ROW, LATE]}
    assert "taken 1 request already" in one("Let the restored", **case)[2]
    assert "issued 1 certificate since" in one("Keep the CA in maintenance mode", **case)[2]


# ---------------------------------------------------------------- CRLs


def test_the_distribution_points_are_those_of_the_certificates_that_the_ca_issued() -> None:
    issued = {"signed_by_ca": True, "own_ca": False, "crl_urls": ["http://pki.example/ca.crl", "ldap:///CN=CA"]}
    parents = {"signed_by_ca": True, "own_ca": True, "crl_urls": ["http://pki.example/root.crl"]}
    foreign = {"signed_by_ca": False, "own_ca": False, "crl_urls": ["http://evil.example/x.crl"]}
    case: dict[str, Any] = {"certificates": [issued, parents, foreign], "coverage": [gap("last published CRL, key 1")]}
    step = one("Copy every CRL", **case)[1]
    assert "http://pki.example/ca.crl, ldap:///CN=CA" in step
    assert "root.crl" not in step
    assert "evil" not in step
    many = {**issued, "crl_urls": [f"http://pki.example/{n}.crl" for n in range(400)]}
    assert "and 394 more" in one("Copy every CRL", certificates=[many], coverage=[gap("later CRLs")])[1]


def test_an_url_out_of_a_certificate_commands_no_terminal() -> None:
    sly = {"signed_by_ca": True, "own_ca": False, "crl_urls": ["http://x/\x1b[2J\n" + "a" * 9_000]}
    step = one("Copy every CRL", certificates=[sly], coverage=[gap("last delta CRL")])[1]
    assert step.isprintable()
    assert len(step) < 500


def test_crls_that_were_handed_in_need_no_copying() -> None:
    good = {"aspect": "last published CRL", "figure": "7", "verdict": "good", "why": "x"}
    assert not asked("Copy every CRL", coverage=[good])


LAST = {
    "crl_number": "103", "signed_by_ca": True, "ca_version": 0, "this_update": FAILURE - timedelta(days=1),
    "next_update": FAILURE + timedelta(days=2), "next_publish": FAILURE + timedelta(days=1, hours=21),
}  # fmt: skip


def test_the_end_of_the_last_crl_is_a_deadline_told_as_a_time() -> None:
    _, step, why = one("The last CRL of key 0 (103) ends on 2026-11-22T00:00:00Z", crls=[LAST])
    assert "have a new one out before; at once, where that is past" in step, "nobody knows when it is read"
    assert "certutil -sign old.crl new.crl now+14:00 -2.5.29.46" in step
    assert "replaces the emergency one" in why
    assert "refuse everything" not in why
    over = {**LAST, "next_update": FAILURE - timedelta(hours=1)}
    assert "refuse everything" in one("The last CRL of key 0", crls=[over])[2]


def test_each_key_has_its_deadline_and_the_nearest_comes_first() -> None:
    other = {**LAST, "ca_version": 1 << 16 | 1, "next_update": FAILURE + timedelta(days=1)}
    told = [s for s in steps(crls=[LAST, other]) if s[1].startswith("The last CRL of key")]
    assert ["of key 1" in told[0][1], "of key 0" in told[1][1]] == [True, True]


def test_only_a_crl_that_the_ca_signed_after_the_work_takes_the_deadline_away() -> None:
    crls = [LAST, {**LAST, "crl_number": "7", "ca_version": 1 << 16 | 1}]
    found = [finding("orphaned", 1, ca_key_index=0), finding("orphaned", 2, ca_key_index=1)]
    shown: Rows = [{"finding_id": f["finding_id"], "verdict": "pending", "transcript": "done"} for f in found]
    pending: dict[str, Any] = {"crls": crls, "findings": found}
    assert asked("The last CRL of key 0", outcomes=shown, **pending), "a log is no CRL"
    shown[0]["crl"] = "CRL 104: listed, reason 1"
    assert not asked("The last CRL of key 0", outcomes=shown, **pending)
    assert asked("The last CRL of key 1", outcomes=shown, **pending), "each key has its own"
    assert not asked("The last CRL of key 1", crls=crls, findings=found[:1], outcomes=shown[:1])


def test_a_crl_that_the_restored_ca_published_is_looked_at_instead() -> None:
    since = {**LAST, "crl_number": "98", "this_update": FAILURE + timedelta(hours=3)}
    assert "published CRL 98 at 2026-11-20T03:00:00Z" in one("Look at what the restored CA has", crls=[LAST, since])[2]
    assert not asked("The last CRL of key", crls=[LAST, since])


# ---------------------------------------------------------------- evidence that is missing


def test_an_empty_case_is_told_to_hand_evidence_in_and_nothing_else_about_it() -> None:
    missing = [gap(n) for n in ("database view", "CA certificate", "notifications", "last published CRL")]
    told = steps(coverage=missing)
    assert [s for _, s, _ in told if s.startswith("Hand in")] == [one("Hand in the evidence", coverage=missing)[1]]
    assert asked("Copy every CRL", coverage=missing)


def test_every_gap_has_a_step_and_gaps_with_one_remedy_share_it() -> None:
    told = steps(coverage=[gap("mails day by day", "A day."), gap("requests with a mail", "A share."), gap("new one")])
    assert one("Fill from elsewhere", coverage=[gap("mails day by day", "A.")])[2] == "A."
    assert [w for _, s, w in told if s.startswith("Fill from elsewhere")] == ["A day. A share."]
    assert [s for _, s, _ in told if "new one" in s] == ["Close the gap in the evidence: new one."]
    logged = {"aspect": "Security log", "figure": "9", "verdict": "good", "why": "x"}
    assert not asked("Fill from elsewhere", coverage=[gap("mails day by day"), logged])


def test_what_could_not_be_read_is_looked_at_though_nothing_is_missing_for_certain() -> None:
    open_ = {"aspect": "evidence read", "figure": "1 of 9 rejected", "verdict": "unknown", "why": "x"}
    assert asked("Look at what could not be read", coverage=[open_])
    assert not asked("Look at what could not be read", coverage=[{**open_, "verdict": "good"}])


# ---------------------------------------------------------------- decisions


FINDINGS = [
    finding("orphaned", 1, infrastructure=True, replace_first=True),
    finding("orphaned", 2, suggested_action="restore"),
    finding("lost_revocation", 3, suggested_action="revoke", suggested_reason=1),
    finding("orphaned", 4),
    {"finding_id": "reused_request_id-9", "kind": "reused_request_id"},
]


def decided(*numbers: int, action: str = "revoke") -> Rows:
    ids = [f["finding_id"] for f in FINDINGS]
    return [{"finding_id": ids[n - 1], "action": action} for n in numbers]


def test_open_decisions_are_counted_and_go_one_by_one() -> None:
    assert asked("Look at 1 finding about infrastructure", findings=FINDINGS)
    assert asked("Decide 1 revocation ", findings=FINDINGS)
    assert asked("Before any of 1 certificate in use is revoked, replace it", findings=FINDINGS)
    assert asked("Ask the owners about 1 finding ", findings=FINDINGS)
    assert asked("Decide what is not decided: 4 findings", findings=FINDINGS)
    some = decided(1, 3)
    assert not asked("Look at 1 finding about infrastructure", findings=FINDINGS, decisions=some)
    assert not asked("Decide 1 revocation ", findings=FINDINGS, decisions=some)
    assert "2 of 4" in one("Decide what is not decided: 2", findings=FINDINGS, decisions=some)[2]
    # A decision that was taken back is open again.
    undone = [*some, *decided(3, action="undecided")]
    assert asked("Decide 1 revocation ", findings=FINDINGS, decisions=undone)


def test_only_what_may_be_revoked_is_to_be_replaced_first() -> None:
    used = [
        finding("orphaned", 1, replace_first=True),
        finding("orphaned", 2, replace_first=True, suggested_action="restore"),
        finding("lost_release", 3, replace_first=True),
    ]
    assert asked("Before any of 1 certificate in use is revoked", findings=used)
    to_go = [{"finding_id": "orphaned-1", "action": "revoke"}, {"finding_id": "orphaned-2", "action": "leave"}]
    case: dict[str, Any] = {"findings": used, "decisions": to_go}
    assert asked("Replace 1 certificate that is to be revoked", **case)
    assert not asked("Before any", **case)
    waiting = {"finding_id": "orphaned-1", "action": "revoke", "verdict": "pending"}
    valid = {"finding_id": "orphaned-2", "action": "leave", "verdict": "proved"}
    assert asked("Replace 1", **case, outcomes=[waiting, valid]), "nothing was carried out: it only waits"
    assert not asked("Replace 1", **case, outcomes=[waiting | {"verdict": "failed"}, valid])


def test_lost_releases_and_conflicts_have_steps_of_their_own() -> None:
    some = [
        finding("lost_release", 1, suggested_action="unrevoke", suggested_reason=-1),
        finding("lost_release", 2),
        finding("serial_conflict", 3),
    ]
    _, step, why = one("Decide 2 releases from hold", findings=some)
    assert "--action suggested" in step
    assert "1 of them" in why
    assert asked("Look at 1 serial number with two certificates", findings=some)
    assert not asked("Ask the owners", findings=some), "a hold helps neither of them"
    seen = [{"finding_id": f["finding_id"], "action": "leave"} for f in some]
    assert not asked("Decide 2 releases", findings=some, decisions=seen)
    assert not asked("Look at 1 serial number", findings=some, decisions=seen)


def test_when_all_is_decided_two_people_sign() -> None:
    case: dict[str, Any] = {"findings": FINDINGS, "decisions": decided(1, 2, 3, 4)}
    assert asked("Sign the plan, by two people", **case)
    assert not asked("Decide what", **case)
    # What was decided copies no database, and a restore with its logs would still make all of it needless.
    assert asked("Ask whether the old transaction logs", **case)
    assert asked("Copy the old database", **case)
    done = [{"finding_id": FINDINGS[0]["finding_id"], "action": "revoke", "verdict": "failed"}]
    assert not asked("Ask whether the old transaction logs", **case, outcomes=done)
    assert asked("Copy the old database", **case, outcomes=done)
    assert not asked("Sign the plan", findings=FINDINGS)
    assert not asked("Sign the plan", findings=FINDINGS[4:])


def test_the_mails_that_the_recovery_sends_are_told_by_the_event_filter() -> None:
    start = "Warn the requesters"
    assert "'revoked' up to 4 times, 'imported' up to 3 times" in one(start, findings=FINDINGS)[2]
    kept = decided(1, 2, action="leave")
    assert "'revoked' up to 2 times, 'imported' up to 1 time," in one(start, findings=FINDINGS, decisions=kept)[2]
    smtp = {"key": "ExitModules\\X\\SMTP", "name": "EventFilter", "type": "REG_DWORD"}
    only_crls = [{**smtp, "value": [str(0x20)]}]
    assert "'revoked'" not in one(start, findings=FINDINGS, registry=only_crls)[2]
    assert not asked(start, findings=FINDINGS, registry=[{**smtp, "value": ["0"]}])
    assert not asked(start, findings=FINDINGS, coverage=[gap("notifications")])


def test_what_cannot_be_acted_on_is_seen_to_until_somebody_has() -> None:
    others = [
        {"finding_id": "a", "kind": "suspect_notification"},
        {"finding_id": "b", "kind": "lost_pending"},
        {"finding_id": "c", "kind": "lost_ca_certificate"},
        {"finding_id": "d", "kind": "unaccounted_request", "issued_at": FAILURE},
        {"finding_id": "e", "kind": "unaccounted_request"},
    ]
    starts = (
        "Look at 1 mail that",
        "Have 1 request made",
        "Find the CA certificate",
        "Find the serial numbers behind 1 ",
    )
    assert [asked(start, findings=others) for start in starts] == [True] * 4
    seen = [{"finding_id": x, "action": "leave"} for x in "abcd"]
    assert [asked(start, findings=others, decisions=seen) for start in starts] == [False] * 4


# ---------------------------------------------------------------- afterwards


def test_afterwards_a_backup_and_two_more_crls() -> None:
    case: dict[str, Any] = {"findings": FINDINGS, "crls": [LAST], "rows": [ROW]}
    assert one("Make a new full backup", **case)[0] == "later"
    when, step, _ = one("Check again at the next two base CRLs", **case)
    assert when == "later"
    # Published on the 19th at 00:10 (AD CS backdates by ten minutes), the next two days, 20:50 hours later.
    assert "2026-11-21T21:00:00Z and 2026-11-24T17:50:00Z" in step
    weekly = [
        {"key": "", "name": "CRLPeriod", "type": "REG_SZ", "value": ["Weeks"]},
        {"key": "", "name": "CRLPeriodUnits", "type": "REG_DWORD", "value": ["1"]},
    ]
    assert "2026-11-28T21:00:00Z (every 7 d)" in one("Check again", **case, registry=weekly)[1]


def test_what_is_proved_leaves_only_what_comes_afterwards() -> None:
    case: dict[str, Any] = {
        "findings": FINDINGS,
        "decisions": decided(1, 2, 3, 4),
        "crls": [LAST],
        "rows": [ROW, LATE],
        "layout": STRINGS,
        "coverage": [gap("last published CRL"), gap("Security log")],
    }
    assert len(steps(**case)) > 2
    proved = [{"finding_id": "x", "verdict": "proved"}]
    assert {when for when, _, _ in steps(**case, outcomes=proved)} == {"later"}
    pending = [*proved, {"finding_id": "y", "verdict": "pending"}]
    assert "now" in {when for when, _, _ in steps(**case, outcomes=pending)}


def test_dates_at_the_end_of_the_calendar_are_only_dates() -> None:
    last = datetime(9999, 12, 31, 23, tzinfo=UTC)
    edge = {**LAST, "this_update": BACKUP, "next_update": last, "next_publish": last}
    assert "9999-12-31" in one("Check again", findings=FINDINGS, crls=[edge])[1]
    backwards = {**LAST, "next_publish": LAST["this_update"]}
    assert "every" not in one("Check again", findings=FINDINGS, crls=[backwards])[1]
