"""The days one by one: an outage is certain where something else shows it, and only a suspicion where nothing does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from carecover.analysis import make_activity
from carecover.analysis.activity import MAX_DAYS
from carecover.analysis.layout import CaLayout
from carecover.model import TABLES, CaseFacts

BACKUP = datetime(2026, 11, 2, 2, tzinfo=UTC)  # a Monday
FAILURE = BACKUP + timedelta(days=9, hours=10)
FACTS = CaseFacts(backup=BACKUP, failure=FAILURE, restored=FAILURE + timedelta(days=1))
LAYOUT = CaLayout(firsts={"number": frozenset({"44"})})


def days(
    *, mails: list[dict[str, Any]] | None = None, events: list[dict[str, Any]] | None = None,
    rows: list[dict[str, Any]] | None = None, certificates: list[dict[str, Any]] | None = None,
    registry: list[dict[str, Any]] | None = None, findings: list[dict[str, Any]] | None = None,
    facts: CaseFacts = FACTS,
) -> pd.DataFrame:  # fmt: skip
    table = make_activity(
        TABLES["notifications"].frame(mails or []),
        TABLES["audit_events"].frame(events or []),
        TABLES["ca_rows"].frame(rows or []),
        TABLES["certificates"].frame(certificates or []),
        TABLES["registry"].frame(registry or []),
        LAYOUT,
        TABLES["findings"].frame(findings or []),
        facts=facts,
    )
    return table.set_index(table["day"].dt.strftime("%Y-%m-%d"))


def why(table: pd.DataFrame, day: str) -> str:
    return str(table.loc[day, "why"])


def mail(at: datetime, request_id: int, event: str = "issued") -> dict[str, Any]:
    return {"event": event, "request_id": request_id, "sent_at": at}


def every_day(first: int = -80, last: int = 11, skip: tuple[int, ...] = (), number: int = 3) -> list[dict[str, Any]]:
    """So many mails at noon of every day but those to skip; days count from the backup."""
    return [
        mail(BACKUP + timedelta(days=day, hours=10, minutes=n), 1000 * (day + 100) + n)
        for day in range(first, last)
        if day not in skip
        for n in range(number)
    ]


def serial(request_id: int) -> str:
    return f"44{request_id:08x}" + "ab" * 8 + f"0000{request_id:08x}"


def test_a_case_without_a_window_has_no_days() -> None:
    assert days(facts=CaseFacts()).empty
    assert days(mails=every_day(), facts=CaseFacts()).empty
    # Without a backup the newest row of before the cut begins the window.
    row = {"request_id": 1, "submitted_at": BACKUP}
    assert len(days(rows=[row], facts=CaseFacts(failure=FAILURE))) == len(days()) - 1


def test_a_day_is_counted_where_the_ca_stands() -> None:
    facts = CaseFacts(backup=BACKUP, failure=FAILURE, time_zone="Asia/Tokyo")
    late = datetime(2026, 11, 3, 16, tzinfo=UTC)  # one o'clock of the fourth in Tokyo
    table = days(
        mails=[mail(late, 7)],
        events=[{"event_id": 4887, "recorded_at": late}],
        rows=[{"request_id": 7, "submitted_at": late}],
        facts=facts,
    )
    counted = table[table["mails"] > 0]
    assert list(counted["day"]) == [pd.Timestamp("2026-11-03T15:00Z")]
    assert counted[["mails", "issued", "events", "rows"]].to_numpy().tolist() == [[1, 1, 1, 1]]


def test_clocks_that_change_at_midnight_lose_no_day() -> None:
    # Clocks in Beirut went from 23:59:59 to 01:00 on 2026-03-29: the midnight is not there.
    facts = CaseFacts(
        backup=datetime(2026, 3, 27, tzinfo=UTC), failure=datetime(2026, 3, 31, tzinfo=UTC), time_zone="Asia/Beirut"
    )
    sent = [mail(datetime(2026, 3, 28, 12, tzinfo=UTC) + timedelta(hours=12 * n), n) for n in range(4)]
    table = days(mails=sent, facts=facts)
    assert table["mails"].sum() == 4
    assert table["day"].is_monotonic_increasing
    assert table["day"].is_unique


def test_event_46_is_an_outage_for_certain() -> None:
    lost = [
        {"event_id": 46, "recorded_at": BACKUP + timedelta(days=3), "detail": f"EXITEVENT_{what} to x@corp.example"}
        for what in ("CERTISSUED", "CERTISSUED", "CERTDENIED")
    ]
    table = days(mails=every_day(), events=lost)
    assert list(table.index[table["outage"]]) == ["2026-11-05"]
    assert "denied 1, issued 2" in why(table, "2026-11-05")
    # Another exit module's failure is no mail that was lost.
    other = [{**lost[0], "detail": "The Notify method of Example.Exit returned an error"}]
    assert not days(mails=every_day(), events=other)["outage"].any()


@pytest.mark.parametrize("shown_by", ["events", "rows", "certificates"])
def test_requests_that_something_else_shows_and_no_mail_are_an_outage(shown_by: str) -> None:
    day = -2 if shown_by == "rows" else 2
    at = BACKUP + timedelta(days=day, hours=6)
    shown: dict[str, Any] = {
        "events": [{"event_id": 4887, "recorded_at": at, "request_id": 9}],
        "rows": [{"request_id": 9, "disposition": 20, "submitted_at": at}],
        "certificates": [{"serial": serial(9), "signed_by_ca": True, "not_before": at}],
    }
    only: dict[str, Any] = {shown_by: shown[shown_by]}
    table = days(mails=every_day(skip=(day,)), **only)
    (outage,) = table[table["outage"]].to_dict("records")
    assert outage["why"].startswith("There is no mail")
    # The mail about it came on another day: then it is a quiet day like others, and told as that.
    late = [*every_day(skip=(day,)), mail(at + timedelta(days=1), 9)]
    table = days(mails=late, **only)
    (quiet,) = table[table["outage"]].to_dict("records")
    assert quiet["why"].startswith("Unlike its like")


def test_a_day_of_which_most_mails_are_missing_is_an_outage() -> None:
    at = BACKUP + timedelta(days=2, hours=6)
    logged = [{"event_id": 4887, "recorded_at": at, "request_id": n} for n in range(1, 7)]
    table = days(mails=[*every_day(), mail(at, 1), mail(at, 2)], events=logged)
    assert list(table.index[table["outage"]]) == ["2026-11-04"]
    assert "Of 6 requests" in why(table, "2026-11-04")
    few = days(mails=[*every_day(), *(mail(at, n) for n in range(1, 5))], events=logged)
    assert not few["outage"].any()


def test_a_silent_weekday_is_only_unlike_its_like() -> None:
    table = days(mails=every_day(skip=(2,)))
    assert list(table.index[table["outage"]]) == ["2026-11-04"]
    assert "no mail on a Wednesday" in why(table, "2026-11-04")
    assert "holiday" in why(table, "2026-11-04")


def test_weekends_on_which_nothing_ever_comes_are_no_outage() -> None:
    weekends = tuple(d for d in range(-80, 11) if (BACKUP + timedelta(days=d)).weekday() >= 5)
    assert not days(mails=every_day(skip=weekends))["outage"].any()


def test_half_a_day_without_mails_shows_only_where_there_are_many() -> None:
    busy = [*every_day(skip=(2,), number=40), *every_day(first=2, last=3, number=5)]
    assert "5 mails on a Wednesday" in (t := days(mails=busy))[t["outage"]]["why"].iloc[0]
    quiet = [*every_day(skip=(2,), number=8), *every_day(first=2, last=3, number=1)]
    assert not days(mails=quiet)["outage"].any()


def test_outside_the_mailbox_and_after_the_failure_nothing_is_judged() -> None:
    table = days(mails=every_day(first=1, last=6))
    assert not table["outage"].any()
    assert "Before the first mail" in why(table, "2026-10-30")
    assert "After the last mail" in why(table, "2026-11-10")
    assert "After the failure" in why(table, "2026-11-12")
    assert days()["outage"].isna().all()


def test_what_the_exit_module_never_mails_is_not_missed() -> None:
    at = BACKUP + timedelta(days=2, hours=6)
    refused = [{"event_id": 4888, "recorded_at": at, "request_id": n} for n in range(1, 7)]
    off = [{"key": "ExitModules\\X\\SMTP", "name": "EventFilter", "type": "REG_DWORD", "value": [str(0x1 | 0x8)]}]
    assert days(mails=every_day(), events=refused)["outage"].any()
    assert not days(mails=every_day(), events=refused, registry=off)["outage"].any()
    # Another CA's registry says nothing.
    foreign = [{**off[0], "ca_name": "Other CA"}]
    named = CaseFacts(ca="This CA", backup=BACKUP, failure=FAILURE)
    assert days(mails=every_day(), events=refused, registry=foreign, facts=named)["outage"].any()


def test_mails_of_another_ca_do_not_count_and_a_mail_in_two_mailboxes_counts_once() -> None:
    facts = CaseFacts(ca="This CA", backup=BACKUP, failure=FAILURE)
    mine = [{**m, "ca_name": "This CA"} for m in every_day()]
    theirs = [{**mail(BACKUP + timedelta(days=1), n), "ca_name": "Other CA"} for n in range(5)]
    assert days(mails=mine + mine + theirs, facts=facts).equals(days(mails=mine, facts=facts))


def test_a_mail_that_does_not_add_up_counts_on_no_day() -> None:
    """As for the coverage: what the picture marks, and what is said about it, is counted by the same mails."""
    forged = {**mail(BACKUP + timedelta(days=5, hours=9), 7), "evidence_id": "E2", "location": "byte 7"}
    suspect = {"kind": "suspect_notification", "finding_id": "s", "evidence": ["E2 byte 7 (issued mail, suspect)"]}
    silent = every_day(skip=(5,))
    day = (BACKUP + timedelta(days=5)).date().isoformat()
    assert days(mails=[*silent, forged]).loc[day, "mails"] == 1
    told = days(mails=[*silent, forged], findings=[suspect])
    assert (told.loc[day, "mails"], told.loc[day, "outage"]) == (0, True)


def test_a_window_of_years_is_shown_by_its_end() -> None:
    facts = CaseFacts(backup=BACKUP - timedelta(days=20_000), failure=FAILURE)
    table = days(mails=every_day(), facts=facts)
    assert len(table) == MAX_DAYS
    assert table.index[-1] == "2026-11-11"


@settings(deadline=None, max_examples=50)
@given(
    times=st.lists(st.datetimes(timezones=st.just(UTC)), max_size=8),
    backup=st.none() | st.datetimes(timezones=st.just(UTC)),
    zone=st.sampled_from([None, "Pacific/Kiritimati", "America/Havana", "UTC"]),
    event=st.sampled_from(["issued", "startup", "denied"]),
)
@example(times=[], backup=datetime(3, 1, 1, tzinfo=UTC), zone=None, event="issued")
@example(
    times=[datetime(1, 1, 1, tzinfo=UTC)], backup=datetime(1, 1, 1, tzinfo=UTC), zone="America/Havana", event="issued"
)
@example(times=[], backup=datetime.max.replace(tzinfo=UTC), zone="Pacific/Kiritimati", event="issued")
def test_whatever_the_dates_every_day_comes_once_and_no_count_is_lost(
    times: list[datetime], backup: datetime | None, zone: str | None, event: str
) -> None:
    failure = None if backup is None or backup.year > 9000 else backup + timedelta(days=30)
    facts = CaseFacts(backup=backup, failure=failure, time_zone=zone)
    table = days(mails=[mail(t, n, event) for n, t in enumerate(times)], facts=facts)
    assert table["day"].is_unique
    assert len(table) <= MAX_DAYS
    assert table["mails"].sum() <= len(times)
