"""Coverage never says complete, and says what is missing with its figure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carecover.analysis import Baseline, assess_coverage
from carecover.analysis.requests import Trace, Trail
from carecover.model import TABLES, CaseFacts

RESTORED = datetime(2026, 11, 21, tzinfo=UTC)
BACKUP = datetime(2026, 11, 1, tzinfo=UTC)
FAILURE = datetime(2026, 11, 20, tzinfo=UTC)
FACTS = CaseFacts(backup=BACKUP, failure=FAILURE, restored=RESTORED)
Rows = list[dict[str, Any]]


def assessed(
    *, mails: Rows | None = None, rows: Rows | None = None, crls: Rows | None = None, events: Rows | None = None,
    registry: Rows | None = None, views: Rows | None = None, own: Rows | None = None, certificates: Rows | None = None,
    findings: Rows | None = None, notes: tuple[str, ...] = (), rejected: int = 0, facts: CaseFacts | None = None,
    trail: Trail | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    table = assess_coverage(
        TABLES["notifications"].frame(mails or []),
        Baseline(TABLES["ca_rows"].frame(rows or []), ("E1",), notes),
        TABLES["crls"].frame(crls or []),
        TABLES["findings"].frame(findings or []),
        TABLES["accounting"].frame([{"units": 10, "rejected": rejected}]),
        TABLES["certificates"].frame(own or []),
        TABLES["audit_events"].frame(events or []),
        TABLES["registry"].frame(registry or []),
        TABLES["views"].frame(views or []),
        TABLES["certificates"].frame(certificates or []),
        facts=facts or CaseFacts(backup=BACKUP, restored=RESTORED),
        trail=trail,
    )
    return table.to_dict("records")  # type: ignore[return-value]


def verdicts(**tables: Any) -> dict[str, tuple[str, str]]:
    return {row["aspect"]: (row["verdict"], row["figure"]) for row in assessed(**tables)}


def why(aspect: str, **tables: Any) -> str:
    (row,) = [r for r in assessed(**tables) if r["aspect"] == aspect]
    return str(row["why"])


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


def test_a_forged_request_id_far_away_does_not_make_the_range_absurd() -> None:
    seen = verdicts(mails=[mail(4), mail(2**31)], rows=[row(3)])
    assert seen["request IDs in the gap"][1] == "1 of 1 seen (4 to 4)"


def test_an_unbroken_range_is_good_but_never_called_complete() -> None:
    seen = verdicts(mails=[mail(4), mail(5)], rows=[row(1), row(3)])
    assert seen["request IDs in the gap"] == ("good", "2 of 2 seen (4 to 5)")
    assert seen["notifications"][0] == "unknown"


def test_a_view_that_begins_late_is_a_gap_and_what_could_not_be_read_is_open() -> None:
    """A rejected unit may be anything, such as a mail that the recovery caused: that is nothing missing for certain."""
    seen = verdicts(mails=[], rows=[row(500)], rejected=2)
    assert seen["evidence read"] == ("unknown", "2 of 10 rejected")
    assert seen["database view"][0] == "gap"


def test_only_a_signed_crl_from_before_the_restore_counts() -> None:
    before = {"crl_number": "7", "this_update": BACKUP, "signed_by_ca": True}
    assert verdicts(mails=[], rows=[], crls=[before])["last published CRL"][0] == "good"
    unsigned = {**before, "signed_by_ca": False}
    later = {**before, "this_update": RESTORED + timedelta(hours=1)}
    assert verdicts(mails=[], rows=[], crls=[unsigned, later])["last published CRL"][0] == "gap"


# ---------------------------------------------------------------- the verdict


def test_the_last_row_is_the_verdict_and_is_never_good() -> None:
    everything_well: dict[str, Any] = {
        "mails": [*steady_mails(), {**mail(1), "sent_at": BACKUP - timedelta(days=1)}],
        "rows": [{**row(1), "disposition": 20, "thumbprint": "aa", "template": "T", "reason": 0}],
        "own": [{"thumbprint": "bb", "ca_version": 0}],
        "crls": [{"crl_number": "7", "this_update": FAILURE, "signed_by_ca": True}],
    }
    told = assessed(**everything_well, facts=FACTS)
    assert told[-1]["aspect"] == "verdict"
    assert told[-1]["verdict"] == "unknown"
    assert told[-1]["why"].startswith("Nothing is known to be missing; ")
    assert "does not prove" in told[-1]["why"]
    worse = assessed(**{**everything_well, "rejected": 1}, facts=FACTS)
    assert worse[-1]["verdict"] == "unknown"
    assert "evidence read" in worse[-1]["why"]
    assert "for certain" not in worse[-1]["why"]


def test_the_verdict_says_of_request_ids_what_the_findings_say() -> None:
    seen = assessed(mails=[mail(4), mail(7)], rows=[row(3)])[-1]["why"]
    assert "2 of 4 request IDs of the gap left a trace" in seen
    without = assessed(mails=[mail(4)], rows=[{"serial": "44", "disposition": 20}])[-1]["why"]
    assert "no request ID" not in without, "the mail shows one; only where the gap begins is not known"
    assert "where the gap's request IDs begin" in without
    assert "nothing shows a request ID above those of the backup" in assessed(rows=[row(3)])[-1]["why"]


def test_a_day_that_the_picture_marks_is_named_by_the_coverage_too() -> None:
    """The picture begins a week before the backup; a day that it marks there is no day of the gap, but it is marked."""
    early = BACKUP - timedelta(days=3)
    failed = {"event_id": 46, "recorded_at": early, "detail": "EXITEVENT_CERTISSUED to pki@example.net."}
    (told,) = [r for r in assessed(mails=steady_mails(), events=[failed], facts=FACTS)
               if r["aspect"] == "mails day by day"]  # fmt: skip
    assert "No day of the gap stands out" in told["why"]
    assert early.date().isoformat() in told["why"]
    assert told["verdict"] == "good"


@settings(deadline=None, max_examples=30)
@given(
    moments=st.lists(st.none() | st.datetimes(timezones=st.just(UTC)), min_size=6, max_size=6),
    numbers=st.lists(st.integers(1, 2**31 - 1), min_size=4, max_size=4),
    event=st.sampled_from(["issued", "revoked", "startup", "shutdown", "crl_issued"]),
    event_id=st.sampled_from([46, 26, 38, 1102, 4870, 4872, 4880, 4881, 4885, 4887, 4896]),
    text=st.text(max_size=40),
    facts=st.sampled_from([FACTS, CaseFacts(), CaseFacts(backup=BACKUP), CaseFacts(failure=FAILURE, time_zone="UTC")]),
)
def test_whatever_the_evidence_says_there_is_a_verdict_and_it_is_not_good(
    moments: list[datetime | None], numbers: list[int], event: str, event_id: int, text: str, facts: CaseFacts
) -> None:
    a, b, c, d, e, f = moments
    told = assessed(
        mails=[
            {"event": event, "request_id": n, "sent_at": a, "received_at": b, "thread_index_at": c, "not_before": d}
            for n in numbers
        ],
        rows=[{"request_id": n, "serial": f"44{n:08x}" + "00" * 10 + f"{n:08x}", "disposition": 20, "submitted_at": e}
              for n in numbers],
        events=[{"event_id": event_id, "recorded_at": f, "detail": text, "crl_number": "7", "request_id": numbers[0]}],
        crls=[{"this_update": b, "next_update": c, "signed_by_ca": True, "crl_number": text, "delta_urls": [text]}],
        registry=[{"key": text, "name": "EventFilter", "value": [text, str(numbers[0])], "type": "REG_DWORD"}],
        views=[{"evidence_id": "E1", "restriction": text, "complete": None}],
        certificates=[{"serial": "44" + "00" * 18, "signed_by_ca": True, "not_before": d}],
        facts=facts,
    )  # fmt: skip
    assert [r["aspect"] for r in told].count("verdict") == 1
    assert told[-1]["verdict"] in ("gap", "unknown")
    assert {r["verdict"] for r in told} <= {"good", "gap", "unknown"}
    assert all(r["why"] for r in told)


# ---------------------------------------------------------------- request IDs without a trace


def missing_one(serials: list[str]) -> dict[str, Any]:
    old = [{**row(n), "serial": serials[n - 1], "disposition": 20} for n in (1, 2, 3)]
    return {"rows": old, "mails": [mail(4), mail(6)]}


def test_with_random_serials_what_left_no_trace_cannot_be_revoked_and_it_is_said_what_helps() -> None:
    case = missing_one([f"44{n:08x}{n:016x}0000{n:08x}" for n in (1, 2, 3)])
    assert verdicts(**case)["request IDs without a trace"] == ("gap", "5")
    text = why("request IDs without a trace", **case)
    for words in ("cannot be revoked", "deterministic answers", "CRLs never see it", "Ask the requesters"):
        assert words in text


def test_with_string_serials_the_number_can_be_computed() -> None:
    case = missing_one([f"52acdc540c9bba0000{n:08x}" for n in (1, 2, 3)])
    assert "request 5 would be 52acdc540c9bba000000000005" in why("request IDs without a trace", **case)
    assert "cannot be revoked" not in why("request IDs without a trace", **case)


def test_a_great_many_without_a_trace_are_counted_not_listed() -> None:
    trail = Trail(3, 1_000_000, {n: Trace("issued", {}, (), None, hard=True) for n in (4, 1_000_000)})
    seen = verdicts(rows=[row(3)], trail=trail)
    assert seen["request IDs in the gap"] == ("gap", "2 of 999997 seen (4 to 1000000)")
    assert seen["request IDs without a trace"][1] == "5, 6, 7, 8, 9, 10 and 999989 more"


# ---------------------------------------------------------------- the view


def test_a_view_made_after_the_mending_had_begun_shows_it() -> None:
    native = [{**row(n), "serial": f"44{n:08x}{n:016x}0000{n:08x}", "disposition": 20} for n in range(1, 6)]
    imported = {**native[0], "request_id": 9, "submitted_at": RESTORED + timedelta(hours=1)}
    assert "rows that look imported" not in verdicts(rows=native)
    assert verdicts(rows=[*native, imported])["rows that look imported"] == ("gap", "1 row")
    # An import of before the backup is an older story.
    assert "rows that look imported" not in verdicts(rows=[*native, {**imported, "submitted_at": BACKUP}])
    # In the ten-byte layout only the other rows tell: four bytes, index, request ID.
    short = [{**row(n), "serial": f"15fba3b{n}0000{n:08x}", "disposition": 20} for n in range(1, 6)]
    moved = {**short[0], "request_id": 9, "submitted_at": None}
    assert verdicts(rows=[*short, moved])["rows that look imported"][0] == "gap"
    foreign = [{**row(n), "serial": f"1169f0517d9b598e4ba7af4{n}", "disposition": 20} for n in range(1, 6)]
    assert "rows that look imported" not in verdicts(rows=foreign)


def test_holes_in_the_view_are_named() -> None:
    assert "holes in the view" not in verdicts(rows=[row(1), row(2), row(3)])
    seen = verdicts(rows=[row(n) for n in (1, 2, 5, 6, 8, 8)])
    assert seen["holes in the view"] == ("unknown", "3 request IDs")
    assert "3 to 4, 7." in why("holes in the view", rows=[row(n) for n in (1, 2, 5, 6, 8)])


def test_rows_of_after_the_restore_say_that_the_ca_has_issued_again() -> None:
    late = {"request_id": 4, "disposition": 20, "submitted_at": RESTORED + timedelta(hours=1)}
    assert verdicts(rows=[row(3), late])["requests after the restore"] == ("unknown", "1 row")
    assert "issued 1 certificate before" in why("requests after the restore", rows=[row(3), late])


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ({"restriction": "RequestID>=1,RequestID<=5000", "complete": True}, None),
        ({"restriction": "Disposition=20", "complete": True}, ("filter of the view", "gap")),
        ({"complete": False}, ("end of the view", "gap")),
        ({"complete": None}, ("end of the view", "unknown")),
    ],
)
def test_a_view_that_a_person_chose_all_the_same_keeps_its_limits(
    view: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    seen = verdicts(rows=[row(1)], views=[{"evidence_id": "E1", **view}])
    found = [(a, v) for a, (v, _) in seen.items() if a in ("filter of the view", "end of the view")]
    assert found == ([expected] if expected else [])


def test_certificates_of_before_the_backup_above_the_last_row_say_that_the_view_is_cut() -> None:
    old = [{**row(n), "serial": f"44{n:08x}{n:016x}0000{n:08x}", "disposition": 20} for n in (1, 2, 3)]
    early = [
        {"kind": "orphaned", "serial": f"44{n:08x}{n:016x}0000{n:08x}", "circumstances": ["before_backup"]}
        for n in (4, 5, 6)
    ]
    seen = verdicts(rows=old, findings=early)
    assert seen["certificates of before the backup"] == ("gap", "3 missing")
    assert verdicts(rows=old, findings=early[:1])["certificates of before the backup"][0] == "unknown"


# ---------------------------------------------------------------- the mailbox


def steady_mails(begin: timedelta = timedelta(days=-30), end: timedelta = timedelta(days=22)) -> Rows:
    """A mail every day at noon; days count from the backup."""
    return [
        {"event": "crl_issued", "sent_at": BACKUP + timedelta(days=d, hours=12), "location": f"byte {d + 99}"}
        for d in range(begin.days, end.days)
    ]


def test_a_mailbox_that_begins_late_or_ends_early_is_a_gap() -> None:
    def edges(**span: timedelta) -> tuple[str, str]:
        return verdicts(mails=steady_mails(**span), facts=FACTS)["edges of the mailbox"]

    assert edges()[0] == "good"
    assert edges(begin=timedelta(days=4))[0] == "gap"
    assert edges(end=timedelta(days=15))[0] == "gap"
    # A day's silence is nothing new in a mailbox that gets a mail a day.
    assert edges(end=timedelta(days=19))[0] == "unknown"
    text = why("edges of the mailbox", mails=steady_mails(begin=timedelta(days=4)), facts=FACTS)
    assert "begins 4 d 12 h after the backup" in text


def test_a_shutdown_that_only_a_mail_tells_is_no_end_of_the_mailbox_by_itself() -> None:
    """The last mail of a planned shutdown: whether the CA was started again, and mailed on, no mail can tell."""
    name = "edges of the mailbox"

    def told(last: timedelta, facts: CaseFacts, events: Rows | None = None) -> str:
        mails = [m for m in steady_mails(end=timedelta(days=60)) if m["sent_at"] < BACKUP + last]
        mails.append({"event": "shutdown", "sent_at": BACKUP + last})
        return verdicts(mails=mails, facts=facts, events=events)[name][0]

    at = FAILURE - BACKUP
    assert told(at - timedelta(minutes=20), FACTS) == "good", "the shutdown is the failure, by clocks that may differ"
    assert told(at - timedelta(hours=7), FACTS) == "unknown"
    nothing_said = CaseFacts(backup=BACKUP)
    assert told(at, nothing_said) == "unknown", "nobody said when the CA was lost"
    logged = [{"event_id": 4881, "recorded_at": FAILURE}]
    assert told(at, nothing_said, logged) == "good"
    assert "before the restore" in why(
        name,
        mails=[*steady_mails(end=timedelta(days=19)), {"event": "shutdown", "sent_at": FAILURE - timedelta(hours=3)}],
        facts=CaseFacts(backup=BACKUP, restored=RESTORED),
    )


def test_a_forwarded_or_forged_date_does_not_move_the_edges() -> None:
    late = steady_mails(begin=timedelta(days=4))
    old = {"event": "issued", "request_id": 4, "sent_at": BACKUP - timedelta(days=9), "evidence_id": "E2"}
    forwarded = {**old, "flags": ["forwarded"]}
    forged = {**old, "location": "byte 7"}
    suspect = {"kind": "suspect_notification", "finding_id": "suspect", "evidence": ["E2 byte 7 (issued mail)"]}
    assert verdicts(mails=[*late, forwarded], facts=FACTS)["edges of the mailbox"][0] == "gap"
    assert verdicts(mails=[*late, forged], facts=FACTS)["edges of the mailbox"][0] == "good"
    assert verdicts(mails=[*late, forged], findings=[suspect], facts=FACTS)["edges of the mailbox"][0] == "gap"


def test_the_share_of_lost_mails_is_measured_where_something_else_shows_the_requests() -> None:
    logged = [
        {"event_id": 4887, "request_id": n, "recorded_at": BACKUP + timedelta(days=3, hours=n)} for n in range(4, 8)
    ]
    mails = [*steady_mails(), *(mail(n) for n in (4, 5, 6))]
    assert verdicts(mails=mails, events=logged, facts=FACTS)["requests with a mail"] == ("gap", "3 of 4 have a mail")
    assert "25 %" in why("requests with a mail", mails=mails, events=logged, facts=FACTS)
    whole = [*mails, mail(7)]
    assert verdicts(mails=whole, events=logged, facts=FACTS)["requests with a mail"][0] == "good"


def test_a_day_that_is_certainly_without_mails_is_a_gap_and_an_odd_one_is_open() -> None:
    odd = [m for m in steady_mails() if m["sent_at"].date() != (BACKUP + timedelta(days=3)).date()]
    assert verdicts(mails=steady_mails(), facts=FACTS)["mails day by day"][0] == "good"
    assert verdicts(mails=odd, facts=FACTS)["mails day by day"][0] == "unknown"
    logged = [{"event_id": 4887, "request_id": 9, "recorded_at": BACKUP + timedelta(days=3, hours=8)}]
    assert verdicts(mails=odd, events=logged, facts=FACTS)["mails day by day"][0] == "gap"
    assert "2026-11-04" in why("mails day by day", mails=odd, events=logged, facts=FACTS)


# ---------------------------------------------------------------- the exit module


def test_event_46_counts_lost_mails_by_event_and_recipient() -> None:
    lost = [
        {"event_id": 46, "recorded_at": BACKUP + timedelta(days=1), "detail": f"EXITEVENT_{what} to {who}"}
        for what, who in (("CERTDENIED", "Unavailable"), ("PENDING", "a@x.example"), ("RETRIEVEPENDING", "a@x.example"))
    ]
    assert verdicts(events=lost)["mails that could not be sent"] == ("gap", "3 mails, to 2 recipients")
    text = why("mails that could not be sent", events=lost)
    assert "denied 1, pending 1, retrieve_pending 1" in text
    assert verdicts()["mails that could not be sent"][0] == "unknown"


def event_filter(*values: int, **more: Any) -> Rows:
    key = "ExitModules\\CertificateAuthority_MicrosoftDefault.Exit\\SMTP"
    return [{"key": key, "name": "EventFilter", "type": "REG_DWORD", "value": [str(v)], **more} for v in values]


def test_events_that_the_registry_switched_off_are_named_with_what_follows() -> None:
    name = "events that are mailed"
    assert verdicts()[name] == ("unknown", "EventFilter not read")
    assert verdicts(registry=event_filter(0x2FF))[name] == ("good", "EventFilter 0x2ff")
    assert verdicts(registry=event_filter(0x2FE))[name][0] == "gap"
    assert "Not mailed: issued." in why(name, registry=event_filter(0x2FE))
    assert "event 4870 must" in why(name, registry=event_filter(0x2FF & ~0x8))
    assert verdicts(registry=event_filter(0x2FF & ~0x6))[name][0] == "good"
    assert "refused or waited" in why(name, registry=event_filter(0x2FF & ~0x6))
    # Mails of an event that is off: the filter was another one.
    assert verdicts(registry=event_filter(0x2FE), mails=[mail(4)])[name][0] == "unknown"
    assert verdicts(registry=event_filter(0x2FF, 0x2FE))[name][0] == "unknown"


def test_a_registry_without_a_filter_of_another_ca_or_damaged_says_nothing() -> None:
    name, named = "events that are mailed", CaseFacts(ca="This CA", backup=BACKUP, restored=RESTORED)
    key = event_filter(1)[0]["key"]
    server = [{"key": key, "name": "SMTPServer", "type": "REG_SZ", "value": ["mail.example"]}]
    assert verdicts(registry=server)[name][0] == "unknown"
    assert "names no EventFilter" in why(name, registry=server)
    assert verdicts(registry=event_filter(1, ca_name="Other CA"), facts=named)[name][0] == "unknown"
    assert verdicts(registry=event_filter(1, ca_name="This CA"), facts=named)[name][0] == "gap"
    assert verdicts(registry=[{**event_filter(1)[0], "value": ["9" * 400]}])[name][0] == "unknown"


def test_templates_with_a_key_of_their_own_are_told() -> None:
    own = event_filter(0x2FF)[0]
    keys = [
        {**own, "key": own["key"] + f"\\Templates\\{name}\\Issued", "name": "To"} for name in ("Default", "WebServer")
    ]
    assert "1 template with a key" in why("events that are mailed", registry=[own, *keys])


# ---------------------------------------------------------------- the service and its log


def turned(*turns: tuple[str, int]) -> Rows:
    """Starts and stops by hours after the backup."""
    ids = {"start": 4880, "stop": 4881}
    return [{"event_id": ids[word], "recorded_at": BACKUP + timedelta(hours=hours)} for word, hours in turns]


def test_a_stop_without_a_start_bounds_the_failure() -> None:
    name = "start and stop of the service"
    assert verdicts(facts=FACTS)[name] == ("unknown", "none seen")
    ends = turned(("stop", 1), ("start", 2), ("stop", 300))
    assert verdicts(events=ends, facts=FACTS)[name] == ("good", "1 start, 2 stops since the backup")
    assert "which bounds the failure" in why(name, events=ends, facts=FACTS)
    # At work after it stopped: then a start is not in the evidence.
    working = [*ends, {"event_id": 4887, "recorded_at": BACKUP + timedelta(hours=301)}]
    assert verdicts(events=working, facts=FACTS)[name][0] == "gap"
    assert verdicts(events=ends[:2], facts=FACTS)[name][0] == "unknown"


def test_the_mail_and_the_events_about_one_stop_are_one_stop() -> None:
    stop = BACKUP + timedelta(hours=300)
    events = [{"event_id": n, "recorded_at": stop + timedelta(seconds=n / 100)} for n in (4881, 38)]
    told = verdicts(events=events, mails=[{"event": "shutdown", "sent_at": stop}], facts=FACTS)
    assert told["start and stop of the service"] == ("good", "0 starts, 1 stop since the backup")


def test_a_long_stand_still_and_a_turn_without_its_counterpart_are_told() -> None:
    text = why(
        "start and stop of the service",
        events=turned(("stop", 1), ("start", 50), ("start", 60), ("stop", 300)),
        facts=FACTS,
    )
    assert "1 time for more than an hour, 2 d 1 h at most" in text
    assert "1 of them lack a counterpart" in text


def test_a_start_between_failure_and_restore_is_asked_about_but_not_the_restored_cas_own() -> None:
    name = "start and stop of the service"
    between = [{"event_id": 4880, "recorded_at": FAILURE + timedelta(hours=8)}]
    assert "what ran then" in why(name, events=between, facts=FACTS)
    own = [{"event_id": 4880, "recorded_at": RESTORED - timedelta(minutes=7)}]
    assert verdicts(events=own, facts=FACTS)[name] == ("unknown", "none seen")


@pytest.mark.parametrize(
    ("events", "verdict", "words"),
    [
        ([(4887, 12), (4870, 400)], "gap", "begins 12 h after the backup"),
        ([(4887, -12), (4870, 200), (1102, 300)], "gap", "It was cleared"),
        ([(4887, -12), (4870, 200), (4885, 300)], "unknown", "audit filter was changed"),
        ([(4887, -12), (4870, 200), (4896, 300)], "unknown", "deleted 1 time"),
        ([(4887, -12), (4887, 400)], "unknown", "1 of 1 events 4887 give no serial"),
        ([(4870, -12), (4870, 400)], "good", "reaches over the window"),
    ],
)
def test_the_security_log_tells_its_own_edges_and_holes(
    events: list[tuple[int, int]], verdict: str, words: str
) -> None:
    logged = [{"event_id": n, "recorded_at": BACKUP + timedelta(hours=h)} for n, h in events]
    assert verdicts(events=logged, facts=FACTS)["Security log"][0] == verdict
    assert words in why("Security log", events=logged, facts=FACTS)


def test_a_log_that_ends_before_the_mails_do_or_was_never_to_hold_requests_is_a_gap() -> None:
    logged = [{"event_id": 4870, "recorded_at": BACKUP + timedelta(hours=h)} for h in (-12, 24)]
    assert verdicts(events=logged, mails=[mail(4)], facts=FACTS)["Security log"][0] == "gap"
    half = [{"key": "", "name": "AuditFilter", "type": "REG_DWORD", "value": ["8"]}]
    assert "requests and what became of them" in why("Security log", events=logged, registry=half, facts=FACTS)
    none = [{**half[0], "value": ["0"]}]
    assert "there can be none" in why("Security log", registry=none, facts=FACTS)
    assert verdicts(facts=FACTS)["Security log"][0] == "unknown"


# ---------------------------------------------------------------- clocks


Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        (lambda m: m, "good", "agree within minutes"),
        (lambda m: {**m, "received_at": m["sent_at"] + timedelta(minutes=7)}, "gap", "7 min behind the first mail"),
        (lambda m: {**m, "thread_index_at": m["sent_at"] - timedelta(hours=1)}, "gap", "1 h ahead of their own Thread"),
        (lambda m: {**m, "not_before": m["not_before"] + timedelta(hours=2)}, "gap", "2 h ahead of the mails' Date"),
    ],
)  # fmt: skip
def test_a_clock_or_a_zone_that_is_off_is_told_with_its_size(change: Change, verdict: str, words: str) -> None:
    exact = [
        {**mail(n), "sent_at": (at := BACKUP + timedelta(hours=9 * n)), "received_at": at + timedelta(seconds=2),
         "thread_index_at": at, "not_before": at - timedelta(minutes=10)}
        for n in range(4, 14)
    ]  # fmt: skip
    mails = [change(m) for m in exact]
    assert verdicts(mails=mails)["clocks and time zone"][0] == verdict
    assert words in why("clocks and time zone", mails=mails)
    assert "clocks and time zone" not in verdicts(mails=mails[:3])


def test_mails_that_waited_are_no_wrong_clock() -> None:
    waited = [{**mail(n), "received_at": BACKUP + timedelta(days=3, minutes=n * n)} for n in range(4, 12)]
    at_once = [{**mail(n), "received_at": BACKUP + timedelta(days=3)} for n in range(12, 20)]
    assert verdicts(mails=waited + at_once)["clocks and time zone"][0] == "good"
    # Where each waited in its own way nothing is measured.
    assert "clocks and time zone" not in verdicts(mails=waited)


def test_a_view_in_another_zone_than_the_case_is_told_by_the_mails_about_its_rows() -> None:
    serials = {n: f"44{n:08x}{n:016x}0000{n:08x}" for n in range(1, 9)}
    at = {n: BACKUP - timedelta(days=9, hours=-n) for n in serials}
    mails = [{"event": "issued", "request_id": n, "serial": s, "sent_at": at[n]} for n, s in serials.items()]
    rows = [
        {"request_id": n, "serial": s, "disposition": 20, "submitted_at": at[n] - timedelta(hours=6)}
        for n, s in serials.items()
    ]
    assert "6 h behind the Date of the mails" in why("clocks and time zone", mails=mails, rows=rows)


# ---------------------------------------------------------------- CRLs and CA certificates


def crl(number: int, at: datetime, **more: Any) -> dict[str, Any]:
    return {"crl_number": str(number), "this_update": at, "signed_by_ca": True, "ca_version": 0, **more}


def test_a_last_list_from_before_the_backup_shows_nothing_of_the_gap() -> None:
    old = crl(7, BACKUP - timedelta(days=1))
    assert verdicts(crls=[old])["last published CRL"][0] == "gap"
    assert verdicts(crls=[old, crl(8, BACKUP + timedelta(days=1))])["last published CRL"][0] == "good"


def test_every_key_of_the_ca_needs_its_own_list() -> None:
    own = [{"thumbprint": "aa", "ca_version": 0}, {"thumbprint": "bb", "ca_version": 1 << 16 | 1}]
    seen = verdicts(crls=[crl(8, FAILURE)], own=own)
    assert seen["last published CRL, key 0"][0] == "good"
    assert seen["last published CRL, key 1"] == ("gap", "0")
    # A renewal with the same key has no list of its own.
    same = [own[0], {"thumbprint": "bb", "ca_version": 1}]
    assert verdicts(crls=[crl(8, FAILURE)], own=same)["last published CRL"][0] == "good"


def test_a_delta_that_the_base_points_to_is_missed_and_an_old_one_shows_nothing() -> None:
    base = crl(8, FAILURE, delta_urls=["http://pki.example/ca+.crl"])
    assert verdicts(crls=[base])["last delta CRL"] == ("gap", "0")
    assert verdicts(crls=[base, crl(8, FAILURE, is_delta=True)])["last delta CRL"][0] == "good"
    old = crl(6, BACKUP - timedelta(days=1), is_delta=True)
    assert verdicts(crls=[base, old])["last delta CRL"][0] == "gap"


def test_a_later_publication_that_log_or_mail_tells_of_is_missed() -> None:
    given_in = [crl(8, BACKUP + timedelta(days=2))]
    logged = [{"event_id": 4872, "crl_number": "9", "recorded_at": BACKUP + timedelta(days=5)}]
    assert "CRL 9 was published" in why("later CRLs", crls=given_in, events=logged, facts=FACTS)
    told = [{"event": "crl_issued", "sent_at": BACKUP + timedelta(days=5)}]
    assert "a CRL was published" in why("later CRLs", crls=given_in, mails=told, facts=FACTS)
    # Its own mail, and what the restored CA published, are no others.
    own = [{"event": "crl_issued", "sent_at": BACKUP + timedelta(days=2, minutes=10)}]
    after = [{"event": "crl_issued", "sent_at": RESTORED + timedelta(hours=2)}]
    forwarded = [{**told[0], "flags": ["forwarded"]}]
    assert "later CRLs" not in verdicts(crls=given_in, mails=own + after + forwarded, facts=FACTS)


def test_rows_under_a_ca_certificate_that_was_not_handed_in_are_told() -> None:
    own = [{"thumbprint": "bb", "ca_version": 1 << 16 | 1}]
    rows = [{**row(1), "issuer_name_id": 0}, {**row(2), "issuer_name_id": 1 << 16 | 1}]
    assert verdicts(rows=rows, own=own)["earlier CA certificates"] == ("gap", "1 missing")
    assert "earlier CA certificates" not in verdicts(rows=rows[1:], own=own)


def test_requests_of_before_the_backup_behind_the_views_last_row_are_told() -> None:
    """Only the log of version 0 shows them, without a serial: the view was cut off, or the backup is older."""
    early = [
        {"event_id": 4886, "request_id": n, "recorded_at": BACKUP - timedelta(hours=9 - n), "location": f"event {n}"}
        for n in (4, 5, 6)
    ]
    seen = verdicts(rows=[row(3)], events=early)
    assert seen["requests of before the backup"] == ("gap", "3 missing")
    assert "above the view's last" in why("requests of before the backup", rows=[row(3)], events=early)
    assert verdicts(rows=[row(3)], events=early[:1])["requests of before the backup"][0] == "unknown"
    since = [{**e, "recorded_at": BACKUP + timedelta(hours=1)} for e in early]
    assert "requests of before the backup" not in verdicts(rows=[row(3)], events=since)
