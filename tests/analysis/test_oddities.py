"""Honest but odd CAs: nothing of theirs may be lost in silence, and no true mail accused that hard evidence clears."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from carecover.analysis import find_gap
from carecover.analysis.baseline import Baseline
from carecover.analysis.coverage import assess_coverage
from carecover.model import TABLES, CaseFacts
from tests.analysis.test_attacks import LATER, original, own_ca
from tests.analysis.test_gap import (
    BACKUP,
    FACTS,
    FAILURE,
    IN_GAP,
    RESTORED,
    entry,
    gap,
    mail,
    only,
    row,
    serial,
    signed_crl,
)
from tests.analysis.test_suspicion import CONFIRMED, ROWS, proper


def aspects(
    rows: list[dict[str, Any]],
    mails: list[dict[str, Any]],
    facts: CaseFacts = FACTS,
    **tables: list[dict[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Aspect → row of the coverage."""
    baseline = Baseline(TABLES["ca_rows"].frame(rows), ("E0009",))
    told = assess_coverage(
        *(TABLES["notifications"].frame(mails), baseline, TABLES["crls"].empty(), TABLES["findings"].empty()),
        *(TABLES["accounting"].empty(), TABLES["certificates"].empty()),
        audit_events=TABLES["audit_events"].frame(tables.get("audit_events", [])),
        facts=facts,
    )
    return {str(each["aspect"]): {str(k): v for k, v in each.items()} for each in told.to_dict("records")}


# ------------------------------------------------------------------ true mails that differ


def test_where_only_the_first_ca_certificate_was_handed_in_mails_of_the_second_are_not_accused() -> None:
    """The rows know of two; what the second key signed cannot be checked, and is no forgery for that."""
    rows = [row(1), row(2, serial=serial(2, index=1, first="52"), issuer_name_id=1 << 16 | 1)]
    carried = mail(
        "issued", 3, serial=serial(3, index=1, first="52"), certificate_sha256="7" * 64,
        flags=["certificate_not_verified"],
    )  # fmt: skip
    known = original(1, thumbprint=f"{1:040x}")
    found = only(gap(ca_rows=rows, certificates=[own_ca(0, 0), known], notifications=[carried]))
    assert found["kind"] == "orphaned"


def test_a_journal_without_received_headers_beside_a_mailbox_with_them_is_no_forgery() -> None:
    journal = [proper(n, received_from=None, received_at=None) for n in range(9, 14)]
    found = gap(ca_rows=ROWS, notifications=[*CONFIRMED, *journal])
    assert list(found["kind"]) == ["orphaned"] * 5


def test_a_clock_that_jumped_in_the_window_accuses_no_mail() -> None:
    late = timedelta(minutes=25)
    jumped = [proper(n, received_at=IN_GAP - late) for n in range(9, 14)]
    found = gap(ca_rows=ROWS, notifications=[*CONFIRMED, *jumped])
    assert list(found["kind"]) == ["orphaned"] * 5
    # One alone is unlike the others, and is told with its serial.
    alone = only(gap(ca_rows=ROWS, notifications=[*CONFIRMED, jumped[0]]))
    assert (alone["kind"], alone["serial"]) == ("suspect_notification", serial(9))


def test_revocations_that_come_from_an_address_of_their_own_are_believed() -> None:
    revoked = [proper(n, event="revoked", reason=1, sender="revocations@corp.example") for n in (1, 2, 3)]
    found = gap(ca_rows=ROWS, notifications=[*CONFIRMED, *revoked])
    assert list(found["kind"]) == ["lost_revocation"] * 3


# --------------------------------------------------------------- serial numbers that change


STRING = "6c6f6e677374726e"


def stringy(request_id: int) -> str:
    return f"{STRING}{0:04x}{request_id:08x}"


def test_a_high_serial_that_was_changed_in_the_window_is_learnt_from_what_the_ca_signed() -> None:
    """From 0x44 to 0xFFFFFFFF, and so to a string: two certificates found with it clear the mails about others."""
    found_ones = [
        original(n, serial=stringy(n), certificate_sha256=f"{n:064x}", thumbprint=f"{n:040x}") for n in (21, 22)
    ]
    mails = [mail("issued", n, serial=stringy(n)) for n in (21, 22, 23)]
    found = gap(ca_rows=[row(n) for n in range(1, 21)], certificates=found_ones, notifications=mails)
    assert list(found["kind"]) == ["orphaned"] * 3
    # The restored CA has the old HighSerial: it does not make these serials again.
    assert not found["circumstances"].map(lambda words: "serial_may_return" in words).any()
    # Without them, the mails are told with their serials.
    alone = gap(ca_rows=[row(n) for n in range(1, 21)], notifications=mails)
    assert set(alone["serial"]) == {stringy(n) for n in (21, 22, 23)}


def test_a_number_that_was_changed_in_the_window_is_learnt_too() -> None:
    signed = original(21, serial=serial(21, first="52"))
    mails = [mail("issued", n, serial=serial(n, first="52")) for n in (21, 22)]
    found = gap(ca_rows=[row(n) for n in range(1, 21)], certificates=[signed, own_ca(0, 0)], notifications=mails)
    assert list(found["kind"]) == ["orphaned", "orphaned"]


def test_a_string_that_was_changed_in_the_middle_of_the_rows_is_two_strings() -> None:
    old = [row(n, serial=f"1122334455667788{0:04x}{n:08x}") for n in (1, 2)]
    new = [row(n, serial=stringy(n)) for n in (3, 4)]
    found = only(gap(ca_rows=[*old, *new], notifications=[mail("issued", 5, serial=stringy(5))]))
    assert (found["kind"], found["confidence"]) == ("orphaned", "medium")


# ------------------------------------------------------------------------- facts that lack


def test_without_any_fact_a_list_that_lacks_a_hold_does_not_hide_it() -> None:
    """It may be the restored CA's own, which has forgotten the hold: told, and left to a person."""
    tables: dict[str, Any] = {
        "ca_rows": TABLES["ca_rows"].frame([row(1)]),
        "crls": TABLES["crls"].frame([signed_crl(), signed_crl(**LATER)]),
        "crl_entries": TABLES["crl_entries"].frame([entry(1, 6)]),
    }
    found = find_gap(**tables, facts=CaseFacts(), baseline_at=RESTORED + timedelta(days=2))
    lost = only(found[found["kind"] == "lost_revocation"])
    assert (lost["suggested_action"], lost["confidence"]) == (None, "low")
    assert "CRL 10" in lost["why"]


def test_without_any_fact_a_list_that_lacks_a_revocation_accuses_no_mail() -> None:
    tables: dict[str, Any] = {
        "ca_rows": TABLES["ca_rows"].frame([row(1)]),
        "crls": TABLES["crls"].frame([signed_crl(**LATER)]),
        "notifications": TABLES["notifications"].frame([mail("revoked", 1, reason=1)]),
    }
    found = find_gap(**tables, facts=CaseFacts(), baseline_at=RESTORED + timedelta(days=2))
    assert "lost_revocation" in set(found["kind"])
    assert "suspect_notification" not in set(found["kind"])


def test_only_a_list_and_only_a_log_are_enough_to_tell_what_they_show() -> None:
    by_list = only(gap(ca_rows=[row(1)], crls=[signed_crl()], crl_entries=[entry(1, 1)]))
    assert (by_list["kind"], by_list["suggested_action"]) == ("lost_revocation", "revoke")
    event = {"event_id": 4887, "request_id": 2, "serial": serial(2), "recorded_at": IN_GAP}
    assert only(gap(ca_rows=[row(1)], audit_events=[event]))["kind"] == "orphaned"


def test_a_ca_that_was_restored_twice_keeps_what_was_issued_in_between() -> None:
    """The second restore takes back what the first restored CA issued; the failure people name is the first one."""
    between = RESTORED + timedelta(days=1)
    again = CaseFacts(ca="Corp CA", backup=BACKUP, failure=FAILURE, restored=RESTORED + timedelta(days=3))
    rival = serial(2).replace("0011223344", "aa11223344")
    mails = [mail("issued", 2), mail("issued", 2, serial=rival, sent_at=between, location="byte 9")]
    found = find_gap(TABLES["notifications"].frame(mails), TABLES["ca_rows"].frame([row(1)]), facts=again)
    assert set(found["serial"].dropna()) == {serial(2), rival}
    assert found["why"].str.contains("restored twice").all()


def test_a_backup_time_that_is_wrong_by_a_day_loses_nothing() -> None:
    for wrong in (timedelta(days=1), -timedelta(days=1)):
        facts = CaseFacts(ca="Corp CA", backup=BACKUP + wrong, failure=FAILURE, restored=RESTORED)
        rows = [row(1, submitted_at=BACKUP - timedelta(hours=2)), row(2, submitted_at=RESTORED + timedelta(hours=2))]
        mails = [mail("issued", 3), mail("issued", 4, sent_at=BACKUP + timedelta(hours=1))]
        found = find_gap(TABLES["notifications"].frame(mails), TABLES["ca_rows"].frame(rows), facts=facts)
        assert {serial(3), serial(4)} <= set(found.loc[found["kind"] == "orphaned", "serial"])


# -------------------------------------------------------------------------------- coverage


def test_rows_that_the_restored_database_cannot_have_are_told() -> None:
    """A page that the old CA's nightly job exported: joined with the others, it hides what it lists."""
    rows = [row(1), row(2, submitted_at=IN_GAP)]
    told = aspects(rows, [])["rows of the gap"]
    assert told["verdict"] == "gap"
    assert "1 row" in told["figure"]
    # A zone that is not known, or a backup time a little off, moves rows by hours: that is asked, not said.
    near = aspects([row(1), row(2, submitted_at=BACKUP + timedelta(hours=5))], [])
    assert near["rows of the gap"]["verdict"] == "unknown"
    assert "rows of the gap" not in aspects([row(1), row(2, submitted_at=RESTORED + timedelta(hours=1))], [])


def test_request_ids_that_only_mails_account_for_are_told_as_that() -> None:
    mails = [mail("denied", n, serial=None) for n in (2, 3)]
    told = aspects([row(1)], mails)["request IDs in the gap"]
    assert told["verdict"] == "good"
    assert "2 of them by mails alone" in told["why"]


def test_mails_in_another_name_are_counted_and_those_with_this_cas_serials_are_a_question() -> None:
    """A CA that was renamed on its way: nothing of its mails is put aside in silence."""
    mails = [mail("issued", 2, ca_name="Corp CA 2"), mail("issued", 3, ca_name="Other CA", serial="5a" * 16)]
    told = aspects([row(1)], mails)["mails of other CAs"]
    assert (told["figure"], told["verdict"]) == ("2", "unknown")
    assert "Corp CA 2" in told["why"]
    plain = aspects([row(1)], mails[1:])["mails of other CAs"]
    assert plain["verdict"] == "good"
    assert "mails of other CAs" not in aspects([row(1)], [mail("issued", 2)])


def test_a_mail_of_a_shutdown_does_not_make_the_mailbox_reach_the_end() -> None:
    """A CA that stopped early mails no more; but a mail alone says that it stopped."""
    mails = [
        mail("issued", 1, sent_at=BACKUP - timedelta(days=1)),
        mail("issued", 2, sent_at=BACKUP + timedelta(days=1)),
        {**mail("shutdown", 3, serial=None, sent_at=BACKUP + timedelta(days=1, hours=1)), "request_id": None},
    ]
    told = aspects([row(1)], mails)["edges of the mailbox"]
    assert told["verdict"] == "unknown"
    assert "only a mail" in told["why"]
    logged = {"event_id": 4881, "recorded_at": BACKUP + timedelta(days=1, hours=1)}
    assert aspects([row(1)], mails, audit_events=[logged])["edges of the mailbox"]["verdict"] == "good"


# --------------------------------------------------- request IDs in use again, names of one's own


REUSED = row(2, serial=serial(2).replace("0011223344", "bb11223344"), submitted_at=RESTORED + timedelta(hours=3))


@pytest.mark.parametrize(
    ("facts", "taken"),
    [
        (CaseFacts(), REUSED),
        (CaseFacts(ca="Corp CA", restored=RESTORED), {**REUSED, "submitted_at": RESTORED - timedelta(hours=4)}),
        (FACTS, {**REUSED, "submitted_at": None}),
    ],
    ids=["no facts", "local time taken for UTC", "a view without times"],
)
def test_where_nothing_tells_who_took_a_request_id_a_true_mail_is_not_accused(
    facts: CaseFacts, taken: dict[str, Any]
) -> None:
    """The row may be the restored CA's own, which has handed the ID out again."""
    found = find_gap(
        TABLES["notifications"].frame([mail("issued", 2)]),
        TABLES["ca_rows"].frame([row(1), taken]),
        facts=facts,
        baseline_at=RESTORED + timedelta(days=3),
    )
    assert "orphaned" in set(found["kind"])
    assert "suspect_notification" not in set(found["kind"])


def test_a_title_with_a_name_of_its_own_loses_no_mail() -> None:
    """'Your certificate has been issued by PKI Team': free text, and all mails have it."""
    mails = [mail("issued", n, ca_name="PKI Team") for n in (2, 3, 5)]
    cas = TABLES["certificates"].frame([own_ca(0, 0)])
    frames = (TABLES["notifications"].frame(mails), TABLES["ca_rows"].frame([row(1)]))
    found = find_gap(*frames, certificates=cas, facts=CaseFacts(restored=RESTORED))
    assert set(found.loc[found["kind"] == "orphaned", "serial"]) == {serial(2), serial(3), serial(5)}
    # With a name in the case they are another CA's, but no mail is this one's: each is told.
    named = gap(ca_rows=[row(1)], notifications=mails)
    assert list(named["kind"]) == ["suspect_notification"] * 3
    assert set(named["serial"]) == {serial(2), serial(3), serial(5)}
    # Where mails do name it, another name is another CA's.
    both = gap(ca_rows=[row(1)], notifications=[*mails, mail("issued", 4)])
    assert list(both["serial"].dropna()) == [serial(4)]


def test_without_rows_a_found_certificate_says_not_how_all_serials_are() -> None:
    """No view of the database at all: nothing tells what is usual, so nothing is unlike it."""
    signed = original(21, serial=serial(21, first="52"))
    found = gap(certificates=[signed, own_ca(0, 0)], notifications=[mail("issued", 22, serial=stringy(22))])
    assert list(found["kind"]) == ["orphaned", "orphaned"]
