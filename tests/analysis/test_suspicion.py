"""Mails that do not add up: each test is one tell, or one honest oddity that is none."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from carecover.analysis import find_gap
from carecover.model import TABLES, CaseFacts
from tests.analysis.test_attacks import original, own_ca
from tests.analysis.test_gap import (
    BACKUP,
    CRL_AT,
    ENDS,
    FACTS,
    FAILURE,
    IN_GAP,
    RESTORED,
    entry,
    everything,
    gap,
    mail,
    only,
    row,
    serial,
    signed_crl,
)

ROWS = [row(n) for n in range(1, 9)]
PRINTED = timedelta(minutes=10)


def proper(request_id: int, sent_at: datetime = IN_GAP, event: str = "issued", **more: Any) -> dict[str, Any]:
    """A notification as the CA's own mails are: its address, its host, clocks that agree."""
    plain = {
        "sender": "pki@corp.example", "received_from": "pki01.corp.example", "sent_at": sent_at,
        "thread_index_at": sent_at, "received_at": sent_at + timedelta(seconds=2), "not_before": sent_at - PRINTED,
        "thumbprint": f"{request_id:040x}",
    }  # fmt: skip
    return {**mail(event, request_id), **plain, **more}


CONFIRMED = [proper(n, BACKUP - timedelta(days=9 - n)) for n in range(1, 9)]


def about(odd: dict[str, Any], **tables: list[dict[str, Any]]) -> pd.DataFrame:
    """Findings of one more mail among the CA's own."""
    found = gap(ca_rows=ROWS, notifications=[*CONFIRMED, odd], **tables)
    mine: pd.DataFrame = found[found["serial"] == odd["serial"]]
    return mine.reset_index(drop=True)


def test_a_mail_like_the_others_is_believed() -> None:
    assert only(about(proper(9)))["kind"] == "orphaned"


@pytest.mark.parametrize(
    ("tell", "said"),
    [
        ({"request_id": 12}, "It says request ID 12, and its serial carries 9"),
        ({"serial": serial(9, first="52")}, "begin with 44"),
        ({"serial": "15fba3bb000000000009"}, "of another"),
        ({"serial": serial(9, index=0x80)}, "renewed so often"),
        ({"thread_index_at": IN_GAP + timedelta(hours=5)}, "Date and its Thread-Index are 5 hours apart"),
        ({"received_at": IN_GAP - timedelta(hours=3)}, "took it 3 hours before its Date"),
        ({"received_at": IN_GAP + timedelta(days=4)}, "took it only 4 days after its Date"),
        ({"not_before": IN_GAP - timedelta(days=3)}, "3 days after NotBefore"),
        ({"not_before": IN_GAP + timedelta(hours=4)}, "4 hours before NotBefore"),
        ({"sender": "helpdesk@corp.example"}, "sent from helpdesk@corp.example"),
        ({"received_from": "laptop7.corp.example"}, "handed in by laptop7.corp.example"),
        ({"received_from": None, "received_at": None}, "no Received header"),
    ],
)
def test_one_contradiction_is_enough(tell: dict[str, Any], said: str) -> None:
    found = only(about({**proper(9), **tell}))
    assert (found["kind"], found["suggested_action"], found["confidence"]) == ("suspect_notification", None, "low")
    assert said in found["why"]


def test_a_certificate_that_the_ca_did_not_sign_makes_its_mail_suspect() -> None:
    odd = proper(9, certificate_sha256="7" * 64, flags=["certificate_not_verified"])
    found = only(about(odd, certificates=[own_ca(0, 0)]))
    assert found["kind"] == "suspect_notification"
    assert "not signed by the CA" in found["why"]


def test_a_certificate_of_a_lost_key_cannot_be_checked_and_is_no_forgery_for_that() -> None:
    odd = proper(9, serial=serial(9, index=1), certificate_sha256="7" * 64, flags=["certificate_not_verified"])
    assert only(about(odd, certificates=[own_ca(0, 0)]))["kind"] == "lost_ca_certificate"


def test_a_mail_in_another_cas_name_with_this_cas_numbers_is_told() -> None:
    found = only(about(proper(9, ca_name="Other CA")))
    assert found["kind"] == "suspect_notification"
    assert "names another CA" in found["why"]
    # An honest mail of another CA comes from elsewhere, whatever its serial looks like.
    elsewhere: dict[str, Any] = {"sender": "other@corp.example", "received_from": "pki02.corp.example"}
    assert not len(about(proper(9, ca_name="Other CA", **elsewhere)))
    # But a serial of this CA's database is this CA's, whoever writes.
    revoked = proper(1, event="revoked", reason=1, ca_name="Other CA", **elsewhere)
    assert only(about(revoked))["kind"] == "suspect_notification"


def test_a_suspect_mail_is_evidence_for_nothing() -> None:
    """The same serial in a good mail: the good one counts, the suspect one is told with it."""
    odd = proper(9, sender="evil@example.org", not_after=ENDS + timedelta(days=9999), location="byte 1")
    good = proper(9, not_after=ENDS, location="byte 2")
    found = gap(ca_rows=ROWS, notifications=[*CONFIRMED, odd, good])
    orphan = only(found)
    assert orphan["kind"] == "orphaned"
    assert orphan["evidence"] == ["E0001 byte 2 (issued mail)"]
    assert orphan["not_after"] == pd.Timestamp(ENDS)
    assert "byte 1" in orphan["why"]
    assert "evil@example.org" in orphan["why"]


def test_a_suspect_mail_accounts_for_no_request() -> None:
    odd = proper(9, sender="evil@example.org")
    found = gap(ca_rows=ROWS, notifications=[*CONFIRMED, odd, proper(10)])
    assert set(found.loc[found["kind"] == "unaccounted_request", "request_id"]) == {9}


def test_a_suspect_mail_without_a_serial_is_told_by_its_place() -> None:
    odd = proper(9, event="pending", serial=None, sender="evil@example.org")
    found = gap(ca_rows=ROWS, notifications=[*CONFIRMED, odd])
    assert list(found["finding_id"]) == ["suspect_notification-E0001-byte-9"]


def test_a_forged_revocation_that_a_later_crl_does_not_list_is_suspect() -> None:
    forged = proper(1, event="revoked", reason=1, revoked_at=IN_GAP)
    found = only(about(forged, crls=[signed_crl()]))
    assert (found["kind"], found["suggested_action"]) == ("suspect_notification", None)
    assert "does not list it" in found["why"]


def test_a_hold_that_a_later_crl_does_not_list_may_have_been_released() -> None:
    held = proper(1, event="revoked", reason=6, revoked_at=IN_GAP)
    found = about(held, crls=[signed_crl()])
    assert not len(found) or only(found)["suggested_action"] is None


def test_a_perfect_forgery_of_after_the_last_crl_is_a_question_and_no_suggestion() -> None:
    forged = proper(1, CRL_AT + timedelta(hours=4), event="revoked", reason=1, not_before=BACKUP)
    found = only(about(forged, crls=[signed_crl()]))
    assert (found["kind"], found["suggested_action"], found["suggested_reason"]) == ("lost_revocation", None, None)


def test_a_forged_pair_of_mails_suggests_no_revocation_of_what_does_not_exist() -> None:
    forged = [proper(9), proper(9, IN_GAP + timedelta(hours=4), event="revoked", reason=1, not_before=IN_GAP)]
    found = only(gap(ca_rows=ROWS, notifications=[*CONFIRMED, *forged]))
    assert (found["kind"], found["suggested_action"], found["suggested_reason"]) == ("orphaned", None, None)
    assert found["original_reason"] == 1


# ------------------------------------------------------------------------- honest oddities


def test_a_ca_whose_clock_is_off_is_off_in_all_its_mails() -> None:
    late = timedelta(minutes=47)
    mails = [{**m, "received_at": m["sent_at"] - late} for m in [*CONFIRMED, proper(9)]]
    assert only(gap(ca_rows=ROWS, notifications=mails))["kind"] == "orphaned"


def test_a_clock_that_is_off_is_seen_without_any_confirmed_mail() -> None:
    """Issued mails were never switched on: nothing is confirmed, and all mails together tell the offset."""
    ahead = timedelta(minutes=14)
    mails = [proper(n, IN_GAP + timedelta(hours=n), event="revoked", reason=1, not_before=BACKUP) for n in (1, 2, 3, 4)]
    found = gap(ca_rows=ROWS, notifications=[{**m, "received_at": m["sent_at"] - ahead} for m in mails])
    assert set(found["kind"]) == {"lost_revocation"}
    alone = gap(ca_rows=ROWS, notifications=[{**mails[0], "received_at": mails[0]["sent_at"] - ahead}])
    assert set(alone["kind"]) == {"lost_revocation"}


def test_a_long_constant_beginning_is_this_cas_whoever_is_named() -> None:
    rows = [row(n, serial=f"4411223344556677{0:04x}{n:08x}") for n in (1, 2)]
    forged = proper(3, ca_name="Other CA", serial=f"4411223344556677{0:04x}{3:08x}", sender="x@elsewhere.example",
                    received_from="mail.elsewhere.example")  # fmt: skip
    assert only(gap(ca_rows=rows, notifications=[forged]))["kind"] == "suspect_notification"


def test_a_wrong_time_zone_shifts_every_printed_time_and_makes_nobody_suspect() -> None:
    mails = [{**m, "not_before": m["not_before"] + timedelta(hours=7)} for m in [*CONFIRMED, proper(9)]]
    assert only(gap(ca_rows=ROWS, notifications=mails))["kind"] == "orphaned"


def test_an_address_that_changed_in_the_gap_is_the_cas_when_it_is_common() -> None:
    mails = [*CONFIRMED, *(proper(n, IN_GAP + timedelta(hours=n), sender="new@corp.example") for n in range(9, 15))]
    assert set(gap(ca_rows=ROWS, notifications=mails)["kind"]) == {"orphaned"}


def test_mails_that_waited_while_the_mail_server_was_away_are_believed_when_others_did_too() -> None:
    held = [{**m, "received_at": m["sent_at"] + timedelta(hours=9)} for m in CONFIRMED[:4]]
    late = proper(9, received_at=IN_GAP + timedelta(hours=11))
    assert only(gap(ca_rows=ROWS, notifications=[*held, *CONFIRMED[4:], late]))["kind"] == "orphaned"


def test_two_mails_are_too_few_to_tell_what_is_usual() -> None:
    found = gap(ca_rows=ROWS, notifications=[*CONFIRMED[:2], proper(9, sender="somebody@corp.example")])
    assert only(found)["kind"] == "orphaned"


def test_a_retrieved_certificate_is_fetched_days_after_it_was_issued() -> None:
    fetched = proper(9, event="retrieve_pending", not_before=IN_GAP - timedelta(days=6))
    assert only(about(fetched))["kind"] == "orphaned"


def test_a_forwarded_mail_has_the_path_of_who_forwarded_it() -> None:
    passed_on = proper(9, sender="anna@corp.example", received_from=None, received_at=None, flags=["forwarded"])
    assert only(about(passed_on))["kind"] == "orphaned"


def test_what_hard_evidence_shows_stands_whatever_a_mail_says() -> None:
    odd = proper(9, sender="evil@example.org")
    found = only(about(odd, certificates=[own_ca(0, 0), original(9, thumbprint=f"{9:040x}")]))
    assert (found["kind"], found["suggested_action"]) == ("orphaned", "restore")
    assert "was not used" in found["why"]


def test_the_recoverys_own_mails_make_no_finding() -> None:
    """Imported, revoked and CRL mails of after the restore are the mending itself."""
    after = RESTORED + timedelta(hours=3)
    own = [
        proper(9, after, event="imported"),
        proper(9, after, event="revoked", reason=1),
        {**proper(9, after, event="crl_issued"), "serial": None, "request_id": None},
        {**proper(9, after, event="startup"), "serial": None, "request_id": None},
    ]
    assert len(everything(ca_rows=ROWS, notifications=[*CONFIRMED, *own])) == 0


def test_a_mail_that_was_dated_back_from_after_the_failure_is_suspect() -> None:
    """Sent as the recovery goes on, dated into the gap: the first server's clock tells."""
    forged = proper(9, FAILURE - timedelta(hours=3), received_at=RESTORED + timedelta(days=1))
    found = only(about(forged))
    assert found["kind"] == "suspect_notification"


def test_facts_that_nobody_knows_do_not_stop_the_look() -> None:
    frames = {"notifications": [*CONFIRMED, proper(9)], "ca_rows": ROWS, "crl_entries": [entry(1, 1)]}
    found = find_gap(**{n: TABLES[n].frame(r) for n, r in frames.items()}, facts=CaseFacts())  # type: ignore[arg-type]
    assert set(found["kind"]) == {"orphaned"}
    assert FACTS.cut == RESTORED
