"""No wrong green: each story leaves one thing out that a proof needs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecover.model import TABLES
from carecover.proof import judge

from .conftest import NOW, OWN, ROW_HASH, SERIAL, Story, answer, crl

ROW = {"request_id": 200, "serial": SERIAL, "disposition": 21, "reason": 5, "thumbprint": ROW_HASH}
DONE = [f"@@CR 1 {SERIAL} import 0", f"@@CR 1 {SERIAL} revoke 0", f"@@CR 1 {SERIAL} done 0", "@@CR end 0 done=1"]


def assert_verdict(story: Story, word: str, *parts: str) -> None:
    """The verdict is the word, for a reason that names the parts."""
    verdict, why = story.verdict()
    assert verdict == word, why
    for part in parts:
        assert part in why, why


def test_a_new_signed_list_with_serial_and_reason_proves_a_revocation(story: Story) -> None:
    assert_verdict(story, "proved", "CRL 414", "5 (Cessation of Operation)", "2026-03-13 12:00 UTC")
    assert story.outcome()["crl"] == "CRL 414: listed, reason 5 (Cessation of Operation)"


def test_reason_0_is_an_entry_without_reason_code(story: Story) -> None:
    story.change(reason=0).entries[0]["reason"] = 0
    assert_verdict(story, "proved")
    story.entries[0]["reason"] = None
    assert_verdict(story, "proved")


def test_the_log_and_the_database_alone_prove_nothing(story: Story) -> None:
    story.crls, story.log, story.rows = [], DONE, [ROW]
    assert_verdict(story, "pending", "No CRL of the CA's key was handed in")
    assert story.outcome()["transcript"] == "done"
    assert story.outcome()["database"] == "revoked, reason 5 (Cessation of Operation)"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unsigned": ({"signed_by_ca": False}, "no valid signature"),
    "signature not checked": ({"signed_by_ca": None}, "cannot be checked"),
    "of another key": ({"ca_version": 1 << 16}, "No CRL of the CA's key"),
    "of an unknown key": ({"ca_version": None}, "does not say of which CA key it is"),
    "a delta": ({"is_delta": True, "base_crl_number": "412"}, "Only a delta CRL"),
    "not told whether a delta": ({"is_delta": None}, "No CRL of the CA's key"),
    "the last public number": ({"crl_number": "412"}, "not newer than the last public one (412)"),
    "a lower number": ({"crl_number": "399"}, "not newer"),
    "without number": ({"crl_number": None}, "No CRL of the CA's key"),
    "with a number that is none": ({"crl_number": "-5"}, "No CRL of the CA's key"),
    "expired": ({"next_update": NOW - timedelta(seconds=1)}, "ended on"),
    "expired this second": ({"next_update": NOW}, "ended on"),
    "without an end": ({"next_update": None}, "No CRL of the CA's key"),
    "without a begin": ({"this_update": None}, "No CRL of the CA's key"),
    "of tomorrow": ({"this_update": NOW + timedelta(days=1)}, "a clock is wrong"),
}


@pytest.mark.parametrize(("changes", "why"), REFUSED.values(), ids=REFUSED)
def test_no_list_proves_anything_that_is(story: Story, changes: dict[str, Any], why: str) -> None:
    story.crls = [crl("new", 414) | changes]
    assert_verdict(story, "pending", why)


@pytest.mark.parametrize(("changes", "why"), REFUSED.values(), ids=REFUSED)
def test_no_such_list_proves_a_restore_either(story: Story, changes: dict[str, Any], why: str) -> None:
    story.change(action="restore", reason=None, method="original")
    story.crls, story.entries = [crl("new", 414) | changes], []
    story.rows = [ROW | {"disposition": 20, "reason": None}]
    assert_verdict(story, "pending", why)


def test_a_list_that_was_public_before_proves_nothing_even_when_handed_in_again(story: Story) -> None:
    story.crls = [crl("old", 500)]
    story.entries = [{"crl_sha256": "old", "serial": SERIAL, "reason": 5}]
    story.before = [crl("old", 500)]
    assert_verdict(story, "pending", "CRL 500 of the CA's key was published before the work", "from after it")


def test_an_old_list_that_is_handed_in_for_the_first_time_is_called_old(story: Story) -> None:
    story.crls = [crl("other", 399, this_update=NOW - timedelta(days=30))]
    assert_verdict(
        story, "pending", "CRL 399", "was published before the work", "not newer than the last public one (412)"
    )


def test_the_number_must_also_pass_lists_that_the_plan_did_not_know(story: Story) -> None:
    story.before.append(crl("later", 414))
    assert_verdict(story, "pending", "last public one (414)")


def test_a_foreign_old_list_cannot_raise_the_bar(story: Story) -> None:
    story.before.append(crl("forged", 10**9, signed_by_ca=False))
    assert_verdict(story, "proved")


def test_without_any_known_public_number_nothing_shows_that_a_list_is_new(story: Story) -> None:
    story.last, story.before = {}, []
    assert_verdict(story, "pending", "Hand in the last list that was public")


def test_numbers_are_compared_as_numbers_and_may_have_160_bits(story: Story) -> None:
    story.last = {"0": str(2**159)}
    story.crls[0]["crl_number"] = str(2**159 + 1)
    assert_verdict(story, "proved")
    story.last = {"0": "99"}
    story.crls[0]["crl_number"] = "100"
    story.before = []
    assert_verdict(story, "proved")


def test_only_the_newest_list_counts(story: Story) -> None:
    """A serial that dropped out again (a dummy that ended too early) is not green by an older list."""
    story.crls.append(crl("newer", 415))
    story.log = [*DONE, "@@CR crl 1 0"]
    assert_verdict(story, "contradicted", "CRL 415 does not list it", "expired row")


def test_an_expired_newest_list_is_not_replaced_by_an_older_one(story: Story) -> None:
    story.crls.append(crl("newer", 415, next_update=NOW - timedelta(days=1)))
    assert_verdict(story, "pending", "CRL 415, ended")


def test_another_reason_than_planned_is_contradicted(story: Story) -> None:
    story.entries[0]["reason"] = 6
    assert_verdict(story, "contradicted", "6 (Certificate Hold)", "5 (Cessation of Operation)")


def test_two_lists_of_one_number_that_disagree_are_contradicted(story: Story) -> None:
    story.crls.append(crl("twin", 414))
    assert_verdict(story, "contradicted", "Two different lists")
    story.entries.append({"crl_sha256": "twin", "serial": SERIAL, "reason": 5})
    assert_verdict(story, "proved")


def test_a_delta_that_takes_it_off_again_contradicts(story: Story) -> None:
    story.crls.append(crl("delta", 415, is_delta=True, base_crl_number="414"))
    assert_verdict(story, "proved")
    story.entries.append({"crl_sha256": "delta", "serial": SERIAL, "reason": 8})
    assert_verdict(story, "contradicted", "delta CRL 415 takes it off CRL 414 again")


def test_a_delta_never_proves_what_the_base_does_not_list(story: Story) -> None:
    story.crls.append(crl("delta", 415, is_delta=True, base_crl_number="414"))
    story.entries = [{"crl_sha256": "delta", "serial": SERIAL, "reason": 5}]
    assert_verdict(story, "pending", "CRL 414 does not list it")
    story.change(action="unrevoke", reason=None, method="row").rows = [ROW | {"disposition": 20}]
    assert_verdict(story, "contradicted", "though it was to stay valid")
    story.entries[0]["reason"] = 8
    assert_verdict(story, "pending", "next base CRL")


def test_a_delta_of_another_base_says_nothing(story: Story) -> None:
    story.crls.append(crl("delta", 420, is_delta=True, base_crl_number="419"))
    story.entries.append({"crl_sha256": "delta", "serial": SERIAL, "reason": 8})
    assert_verdict(story, "pending", "delta CRL 420", "base CRL 419", "hand that in")
    # One of an older base than the last public one is of long ago.
    story.crls[1] = crl("delta", 413, is_delta=True, base_crl_number="401")
    assert_verdict(story, "proved")


def test_a_delta_never_mends_the_reason_that_the_base_gives(story: Story) -> None:
    """Clients that fetch no deltas see a hold where a final revocation was planned."""
    story.crls.append(crl("delta", 415, is_delta=True, base_crl_number="414"))
    story.entries = [
        {"crl_sha256": "new", "serial": SERIAL, "reason": 6},
        {"crl_sha256": "delta", "serial": SERIAL, "reason": 5},
    ]
    assert_verdict(story, "pending", "CRL 414 still lists it with the reason 6", "the next base CRL will prove it")
    story.entries[1]["reason"] = 1
    assert_verdict(story, "contradicted", "the reason 1 (Key Compromise)")
    story.entries[0]["reason"] = 5
    assert_verdict(story, "contradicted", "the reason 1 (Key Compromise)")


def test_no_delta_hides_another_that_clients_may_use(story: Story) -> None:
    """A newer delta that many clients refuse, or that begins only later, leaves the word to the one before it."""
    story.entries.append({"crl_sha256": "delta", "serial": SERIAL, "reason": 8})
    for odd in (
        {"unknown_critical": ["1.2.3.4.5"]},
        {"scope": ["ca_certificates"]},
        {"this_update": NOW + timedelta(hours=1)},
        {"crl_number": "415"},
    ):
        story.crls[1:] = [
            crl("delta", 415, is_delta=True, base_crl_number="414"),
            crl("later", 416, is_delta=True, base_crl_number="414") | odd,
        ]
        assert_verdict(story, "contradicted", "delta CRL 415 takes it off CRL 414 again")


def test_a_delta_that_clients_refuse_holds_the_proof_back(story: Story) -> None:
    """openssl then takes neither it nor the base: it cannot tell."""
    delta = crl("delta", 415, is_delta=True, base_crl_number="414")
    story.crls.append(delta | {"unknown_critical": ["1.2.3.4.5"]})
    assert_verdict(story, "pending", "The delta CRL 415 has a critical extension", "cannot tell")
    story.crls[1] = crl("later", 416, is_delta=True, base_crl_number="414")
    story.crls.append(delta | {"unknown_critical": ["1.2.3.4.5"]})
    assert_verdict(story, "proved")


def test_a_delta_that_was_fetched_speaks_as_well(story: Story) -> None:
    story.points = [crl("new", 414), crl("delta", 415, is_delta=True, base_crl_number="414")]
    assert_verdict(story, "proved")
    story.entries.append({"crl_sha256": "delta", "serial": SERIAL, "reason": 8})
    assert_verdict(story, "contradicted", "delta CRL 415 takes it off CRL 414 again")
    # An old delta is used with no base of a higher number.
    story.points[1] = crl("delta", 413, is_delta=True, base_crl_number="410")
    assert_verdict(story, "proved")


def test_each_key_has_its_own_lists_and_numbers(story: Story) -> None:
    story.change(ca_key_index=2)
    assert_verdict(story, "pending", "the CA's key 2")
    story.crls[0]["ca_version"] = (2 << 16) + 3
    story.last = {"0": "9000", "2": "412"}
    assert_verdict(story, "proved")


def test_a_key_may_be_told_by_its_identifier_where_another_list_names_both(story: Story) -> None:
    story.before = [crl("old", 412, authority_key_id="aa")]
    story.crls = [crl("new", 414, ca_version=None, authority_key_id="aa")]
    assert_verdict(story, "proved")
    story.crls[0]["authority_key_id"] = "bb"
    assert_verdict(story, "pending")


def test_a_row_with_another_certificate_is_contradicted(story: Story) -> None:
    story.change(expected_thumbprint=ROW_HASH)
    story.rows = [ROW]
    assert_verdict(story, "proved")
    story.rows = [ROW | {"thumbprint": "cd" * 20}]
    assert_verdict(story, "contradicted", "holds another certificate")


def test_two_rows_for_one_serial_need_a_person(story: Story) -> None:
    story.rows = [ROW, ROW | {"thumbprint": "cd" * 20}]
    assert_verdict(story, "contradicted", "2 rows")
    story.rows = [ROW, dict(ROW)]
    assert_verdict(story, "proved")


def test_a_listed_serial_that_the_database_calls_good_is_contradicted(story: Story) -> None:
    story.rows = [ROW | {"disposition": 20, "reason": None}]
    assert_verdict(story, "contradicted", "the next CRL would drop it")


def test_where_the_batch_stopped_the_outcome_failed(story: Story) -> None:
    story.entries = []
    story.log = [f"@@CR 1 {SERIAL} import -2146885628", f"@@CR 1 {SERIAL} failed-import -2146885628"]
    assert_verdict(story, "failed", "failed-import", "-2146885628", "CRL 414 does not list it")
    story.crls = []
    assert_verdict(story, "failed", "No CRL")


def test_what_was_mended_after_a_stop_is_proved_by_the_list(story: Story) -> None:
    story.log = [f"@@CR 1 {SERIAL} failed-import 5"]
    assert_verdict(story, "proved")


def test_an_interrupted_item_is_pending_and_not_called_revoked(story: Story) -> None:
    story.entries, story.log = [], [f"@@CR 1 {SERIAL} import 0"]
    assert_verdict(story, "pending", "not been applied")


def test_a_log_of_another_plan_says_nothing(story: Story) -> None:
    story.entries, story.log, story.log_digest = [], [f"@@CR 1 {SERIAL} failed-import 5"], "d" * 64
    assert_verdict(story, "pending")
    assert story.outcome()["transcript"] == "not in the log"


def test_revoked_in_the_database_but_not_published_is_pending(story: Story) -> None:
    story.entries, story.log = [], DONE
    assert_verdict(story, "pending", "publish a CRL")
    story.log, story.rows = None, [ROW]
    assert_verdict(story, "pending", "publish a CRL")


def test_log_and_database_that_exclude_each_other_are_contradicted(story: Story) -> None:
    story.entries, story.log, story.rows = [], DONE, [ROW | {"disposition": 20}]
    assert_verdict(story, "contradicted", "shows it as issued")


# ---------------------------------------------------------------- certificates that have ended

ENDED = datetime(2026, 3, 1, tzinfo=UTC)
FOUND = {"serial": SERIAL, "signed_by_ca": True, "certificate_sha256": "f" * 64, "not_after": ENDED, "eku": []}


def ended(story: Story) -> Story:
    """It ended before the new list, and the list does not name it."""
    story.change(kind="lost_revocation", method="row", not_after="2026-03-01T00:00:00Z").entries = []
    return story


def test_a_certificate_that_ended_need_not_be_listed_where_the_database_has_it_revoked(story: Story) -> None:
    """RFC 5280 5: a list names the unexpired ones; then the row is what is left to prove."""
    ended(story).rows = [ROW | {"not_after": ENDED}]
    assert_verdict(story, "proved", "as revoked", "ended on 2026-03-01 00:00 UTC", "need not list it", "RFC 5280")
    story.rows = [ROW | {"not_after": ENDED, "reason": 1}]
    assert_verdict(story, "contradicted", "1 (Key Compromise)")
    story.rows = [ROW | {"not_after": ENDED, "disposition": 20, "reason": None}]
    assert_verdict(story, "pending", "shows it as issued", "decide to leave it")


def test_what_has_to_be_handed_in_to_settle_an_ended_certificate_is_said(story: Story) -> None:
    ended(story).certificates = [FOUND]
    assert_verdict(story, "pending", "need not list it", "a later view of the database")
    story.log = [f"@@CR 1 {SERIAL} failed-revoke 87"]
    assert_verdict(story, "failed", "failed-revoke")


def test_the_end_that_only_a_mail_gives_settles_nothing(story: Story) -> None:
    """The plan's NotAfter may come from a mail; a forged one must not make an unlisted certificate green."""
    ended(story).rows = [ROW]
    assert_verdict(story, "pending", "nothing that the CA signed or holds says so")
    story.rows = [ROW | {"not_after": NOW + timedelta(days=90)}]
    assert_verdict(story, "pending", "does not list it")
    story.rows, story.certificates = [ROW], [FOUND | {"signed_by_ca": False}]
    assert_verdict(story, "pending", "nothing that the CA signed or holds says so")
    story.rows, story.certificates = [ROW | {"not_after": ENDED}], [FOUND | {"not_after": NOW + timedelta(days=90)}]
    assert_verdict(story, "pending", "does not list it")


def test_the_end_of_a_dummy_is_not_the_end_of_the_certificate(story: Story) -> None:
    story.change(method="dummy", kind="orphaned", not_after=None).entries = []
    story.rows = [ROW | {"not_after": ENDED}]
    verdict, _ = story.verdict()
    assert verdict != "proved"


def test_a_certificate_that_ended_after_the_list_was_made_had_to_be_on_it(story: Story) -> None:
    just = NOW - timedelta(minutes=1)
    story.change(kind="lost_revocation", method="row", not_after=just.isoformat()).entries = []
    story.rows = [ROW | {"not_after": just}]
    assert_verdict(story, "pending", "does not list it yet")


def test_in_an_unknown_zone_it_has_ended_only_when_it_has_in_all(story: Story) -> None:
    almost = NOW - timedelta(hours=13)
    ended(story).rows = [ROW | {"not_after": almost, "flags": ["zone_assumed_utc"]}]
    assert story.verdict()[0] == "pending"
    story.rows = [ROW | {"not_after": ENDED, "flags": ["zone_assumed_utc"]}]
    assert story.verdict()[0] == "proved"


@pytest.mark.parametrize("eku", ["1.3.6.1.5.5.7.3.3", "1.3.6.1.4.1.311.61.1.1"])
def test_code_signing_outlives_its_certificate(story: Story, eku: str) -> None:
    """AD CS keeps these on its lists (EKUOIDsForPublishExpiredCertInCRL): signatures with a time stamp still count."""
    ended(story).rows, story.certificates = [ROW | {"not_after": ENDED}], [FOUND | {"eku": [eku]}]
    assert_verdict(story, "pending", "code signing")


def test_what_nobody_decided_is_not_said_to_be_as_decided(story: Story) -> None:
    story.change(action="undecided", reason=None, method="none").entries = []
    assert_verdict(story, "proved", "Nobody decided", "waived", "clients take it as valid")
    assert "as decided" not in story.verdict()[1]


def test_the_dates_of_a_second_revocation_are_told_in_order(story: Story) -> None:
    story.change(original_revoked_at="2026-03-01T10:00:00Z")
    story.entries[0]["revoked_at"] = datetime(2026, 3, 6, 9, tzinfo=UTC)
    assert_verdict(
        story, "proved", "Before the failure it counted as revoked from 2026-03-01 10:00 UTC on",
        "by the new list it does from 2026-03-06 09:00 UTC on", "count as valid",
    )  # fmt: skip


@pytest.mark.parametrize(("action", "method"), [("restore", "original"), ("unrevoke", "row")])
def test_what_stays_valid_needs_the_database_and_the_list(story: Story, action: str, method: str) -> None:
    story.change(action=action, reason=None, method=method).entries = []
    good = ROW | {"disposition": 20, "reason": None}
    assert_verdict(story, "pending", "a later view")
    story.rows = [good]
    assert_verdict(story, "proved", "as issued", "CRL 414 does not list it")
    story.rows = []
    assert_verdict(story, "failed", "no row")
    story.rows, story.log = [], [f"@@CR 1 {SERIAL} done 0"]
    assert_verdict(story, "contradicted", "no row")
    story.rows = [ROW]
    assert_verdict(story, "contradicted", "as revoked")
    story.rows, story.entries = [good], [{"crl_sha256": "new", "serial": SERIAL, "reason": 1}]
    assert_verdict(story, "contradicted", "though it was to stay valid")


def test_a_hold_that_is_still_listed_waits_for_undo_and_for_the_next_list(story: Story) -> None:
    story.change(action="unrevoke", reason=None, method="row").entries[0]["reason"] = 6
    assert_verdict(story, "pending", "undo.cmd has not been applied")
    story.log = [f"@@CR 1 {SERIAL} unrevoke 0", f"@@CR 1 {SERIAL} done 0"]
    assert_verdict(story, "pending", "publish a CRL")
    story.log = [f"@@CR 1 {SERIAL} failed-unrevoke 87"]
    assert_verdict(story, "failed", "still lists it as on hold")


def test_what_is_left_alone_is_proved_by_a_list_without_it(story: Story) -> None:
    story.change(action="leave", reason=None, method="none").entries = []
    assert_verdict(story, "proved", "Left as it is")
    story.crls = []
    assert_verdict(story, "pending")


def test_a_hold_that_came_back_and_that_nobody_decided_about_is_on_hold_as_was_waived(story: Story) -> None:
    """Nothing was to be done about it, and nothing was done: it is no contradiction, but who holds it must be told."""
    story.change(kind="lost_release", action="undecided", reason=None, method="none").entries[0]["reason"] = 6
    assert_verdict(story, "proved", "Nobody decided", "waived", "lists it as on hold, as the restore left it")
    story.entries[0]["reason"] = 1
    assert_verdict(story, "contradicted", "1 (Key Compromise)")


def test_a_hold_that_came_back_and_is_left_stays_on_the_list(story: Story) -> None:
    story.change(kind="lost_release", action="leave", reason=None, method="none").entries[0]["reason"] = 6
    assert_verdict(story, "proved", "lists it as on hold")
    story.entries[0]["reason"] = 1
    assert_verdict(story, "contradicted", "1 (Key Compromise)")


def test_what_clients_fetch_is_a_second_proof(story: Story) -> None:
    story.points = [crl("new", 414)]
    assert_verdict(story, "proved")
    assert story.outcome()["cdp"] == "CRL 414 at a distribution point says the same"
    story.points = [crl("old", 412)]
    assert_verdict(story, "pending", "Clients cannot see it yet", "CRL 412", "in force until 2026-03-13 12:00 UTC")
    story.points = [crl("old", 412), crl("new", 414)]
    assert_verdict(story, "pending", "CRL 412")
    story.points = [crl("new", 414, signed_by_ca=False)]
    assert_verdict(story, "pending", "what was fetched at a distribution point has no valid signature")


def fetch(name: str, url: str, hour: int, kind: str = "crl") -> dict[str, object]:
    """One list or answer, fetched that hour."""
    at = NOW + timedelta(hours=hour)
    return {"url": url, "sha256": name, "kind": kind, "fetched_at": at, "after_work": True}


def test_at_each_place_the_last_fetch_counts(story: Story) -> None:
    story.points = [crl("old", 412), crl("new", 414)]
    story.fetched = [fetch("old", "http://a/ca.crl", 1), fetch("new", "http://a/ca.crl", 2)]
    assert_verdict(story, "proved")
    assert story.outcome()["cdp"] == "CRL 414 at http://a/ca.crl says the same"
    story.fetched = [fetch("new", "http://a/ca.crl", 1), fetch("old", "http://a/ca.crl", 2)]
    assert_verdict(story, "pending", "CRL 412 at http://a/ca.crl")
    story.fetched = [fetch("new", "http://a/ca.crl", 1), fetch("old", "http://b/ca.crl", 1)]
    assert_verdict(story, "pending", "CRL 412 at http://b/ca.crl")
    # Two servers behind one name.
    story.fetched = [fetch("new", "http://a/ca.crl", 2), fetch("old", "http://a/ca.crl", 2)]
    assert_verdict(story, "pending", "CRL 412 at http://a/ca.crl")


def test_a_page_that_says_404_is_no_list(story: Story) -> None:
    story.fetched = [fetch("html", "http://a/ca.crl", 1)]
    assert_verdict(story, "pending", "what was fetched at http://a/ca.crl cannot be read as a CRL")
    story.points, story.fetched = [crl("new", 414)], [*story.fetched, fetch("new", "http://a/ca.crl", 2)]
    assert_verdict(story, "proved")


def test_a_later_list_at_a_distribution_point_that_says_otherwise_contradicts(story: Story) -> None:
    story.points = [crl("newer", 415)]
    assert_verdict(story, "contradicted", "CRL 415 at a distribution point", "does not list it")


def test_only_fetched_lists_are_not_what_the_ca_wrote(story: Story) -> None:
    story.points, story.crls = story.crls, []
    assert_verdict(story, "pending", "No CRL of the CA's key was handed in")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"scope": ["ca_certificates"]}, "is limited to CA certificates"),
        ({"scope": ["attribute_certificates"]}, "is limited to attribute certificates"),
        ({"scope": ["some_reasons"]}, "is limited to some reasons"),
        ({"scope": ["indirect"]}, "is an indirect CRL"),
        ({"scope": ["other_names"]}, "has no URL"),
        ({"unknown_critical": ["1.2.3.4"]}, "critical extension that clients may not know (1.2.3.4)"),
        ({"signer_key_index": 1}, "says that it is of the CA's key 0, but key 1 signed it"),
        ({"signed_by_ca": False, "issuer": "CN=Other"}, "CRL 414 is of another CA (CN=Other)"),
        ({"signed_by_ca": False, "authority_key_id": "bb"}, "names a key that is not the CA's (bb)"),
        ({"crl_number": str(10**60)}, "has no CRL number that could be compared"),
    ],
)
def test_a_list_that_clients_would_not_use_proves_nothing_and_is_said_so(
    story: Story, changes: dict[str, Any], why: str
) -> None:
    story.crls = [crl("new", 414) | changes]
    assert_verdict(story, "pending", why)
    story.change(action="leave", reason=None, method="none")
    assert_verdict(story, "pending", why)


def test_a_damaged_list_that_says_that_it_is_newer_holds_the_proof_back(story: Story) -> None:
    damaged = crl("damaged", 415, signed_by_ca=False)
    story.crls.append(damaged)
    assert_verdict(story, "pending", "CRL 415, which was handed in as well", "its signature is not good")
    for harmless in (
        {"crl_number": "413"},
        {"issuer": "CN=Other"},
        {"authority_key_id": "bb"},
        {"ca_version": 1 << 16},
    ):
        story.crls[1] = damaged | harmless
        assert_verdict(story, "proved")


def test_a_later_list_outdoes_a_damaged_one(story: Story) -> None:
    """Otherwise anyone could hold a case back for ever with a file that he made himself."""
    for forged in ({"this_update": NOW - timedelta(hours=2)}, {"this_update": datetime(2049, 1, 1, tzinfo=UTC)}):
        story.crls[1:] = [crl("forged", 10**40, signed_by_ca=False) | forged]
        assert_verdict(story, "proved")
    story.crls[1]["this_update"] = None
    assert_verdict(story, "pending", "its signature is not good")


def test_a_list_from_before_the_failure_is_not_made_by_the_restored_ca(story: Story) -> None:
    """Of a list that was public and that nobody knew of: it names what was revoked before the restore undid it."""
    story.last, story.failure = {"0": "400"}, NOW - timedelta(hours=2)
    story.before = [crl("old", 400, this_update=NOW - timedelta(days=9))]
    story.crls = [crl("new", 410, this_update=NOW - timedelta(days=1))]
    assert_verdict(story, "pending", "CRL 410 is dated 2026-03-05 12:00 UTC, before the failure")
    story.crls[0]["this_update"] = story.failure - timedelta(minutes=10)
    assert_verdict(story, "proved")


def test_an_ended_ca_certificate_proves_nothing_any_more(story: Story) -> None:
    story.own = [OWN | {"not_after": NOW - timedelta(days=1)}]
    assert_verdict(story, "pending", "certificate of the CA's key ended on 2026-03-05 12:00 UTC")
    # Renewed with the same key, it lives on.
    story.own.append(OWN | {"certificate_sha256": "d" * 64, "ca_version": 1})
    assert_verdict(story, "proved")


def test_a_list_that_is_dated_before_the_old_one_holds_the_proof_back(story: Story) -> None:
    story.before[0]["this_update"] = NOW - timedelta(minutes=30)
    assert_verdict(story, "pending", "before CRL 412", "A clock is or was wrong")


def test_a_list_for_user_certificates_proves_nothing_about_a_ca(story: Story) -> None:
    story.crls[0]["scope"] = ["user_certificates"]
    assert_verdict(story, "proved")
    story.certificates = [{"serial": SERIAL, "certificate_sha256": "a", "signed_by_ca": True, "is_ca": True}]
    assert_verdict(story, "pending", "limited to certificates that are no CA's")


def test_a_list_for_other_distribution_points_proves_nothing(story: Story) -> None:
    story.crls[0]["point_urls"] = ["http://a/ca.crl", "ldap:///CN=CA"]
    # Nothing says what the certificate names: openssl would not use the list for it.
    assert_verdict(story, "pending", "only for the distribution points that it names", "no certificate")
    other = {"serial": "07", "certificate_sha256": "b", "signed_by_ca": True}
    story.certificates = [other | {"crl_urls": ["http://a/ca.crl"]}]
    assert_verdict(story, "proved")
    story.certificates = [other | {"crl_urls": ["http://a/ca.crl"], "signed_by_ca": False}]
    assert_verdict(story, "pending", "no certificate")
    known = {"serial": SERIAL, "certificate_sha256": "a", "signed_by_ca": True}
    story.certificates = [known | {"crl_urls": ["http://a/ca.crl"]}]
    assert_verdict(story, "proved")
    story.certificates = [known | {"crl_urls": ["http://partition-7/ca.crl"]}]
    assert_verdict(story, "pending", "for other distribution points")


def test_a_serial_that_is_listed_twice_with_different_reasons_is_contradicted(story: Story) -> None:
    story.entries.append({"crl_sha256": "new", "serial": SERIAL, "reason": 1})
    assert_verdict(story, "contradicted", "more than once")


def test_a_dummy_that_ends_too_early_is_never_green(story: Story) -> None:
    """The CA judges by the row: the serial will drop out of a later list while the certificate lives."""
    story.rows = [ROW | {"not_after": datetime(2027, 2, 28, tzinfo=UTC)}]
    assert_verdict(story, "contradicted", "dummy in the database ends on 2027-02-28", "(2027-03-01 00:00 UTC)")
    story.rows = [ROW | {"not_after": datetime(2027, 3, 1, tzinfo=UTC)}]
    assert_verdict(story, "proved")
    story.change(not_after=None)
    assert_verdict(story, "contradicted", "before the CA certificate")
    story.change(method="original")
    assert_verdict(story, "proved")


def test_the_end_of_a_dummy_in_a_clock_of_unknown_zone_is_no_end(story: Story) -> None:
    """14:00 somewhere: before 12:00 UTC in Berlin's summer, after it in New York."""
    story.rows = [ROW | {"not_after": datetime(2027, 3, 1, 1, tzinfo=UTC), "flags": ["zone_assumed_utc"]}]
    assert_verdict(story, "pending", "time zone", "-gmt")
    story.rows[0]["not_after"] = datetime(2027, 2, 28, 20, tzinfo=UTC)
    assert_verdict(story, "pending", "time zone")
    story.rows[0]["not_after"] = datetime(2027, 2, 28, 2, tzinfo=UTC)
    assert_verdict(story, "contradicted", "dummy in the database ends")
    story.rows[0]["not_after"] = datetime(2027, 3, 2, tzinfo=UTC)
    assert_verdict(story, "proved")


def test_a_row_that_a_filtered_view_leaves_out_may_well_be_there(story: Story) -> None:
    story.change(action="restore", reason=None, method="original").entries = []
    story.rows, story.whole = [ROW | {"serial": "07", "disposition": 20}], False
    assert_verdict(story, "pending", "leaves rows out")
    assert pd.isna(story.outcome()["database"])
    story.whole = True
    assert_verdict(story, "failed", "no row")


def test_what_stays_valid_and_was_mended_after_a_stop_is_proved_by_database_and_list(story: Story) -> None:
    """An old log, handed in once more, must not turn red what is done."""
    story.change(action="restore", reason=None, method="original").entries = []
    story.log = [f"@@CR 1 {SERIAL} failed-import 5"]
    assert_verdict(story, "failed", "failed-import")
    story.rows = [ROW | {"disposition": 20, "reason": None}]
    assert_verdict(story, "proved")


def test_a_narrow_and_a_wide_view_of_one_row_are_one_row(story: Story) -> None:
    story.rows = [ROW | {"not_after": None}, ROW | {"not_after": datetime(2027, 3, 1, tzinfo=UTC), "thumbprint": None}]
    assert_verdict(story, "proved")


def test_revoking_again_sets_a_new_date_and_that_is_said(story: Story) -> None:
    story.change(original_revoked_at="2026-02-01T08:00:00Z")
    story.entries[0]["revoked_at"] = NOW
    assert_verdict(story, "proved", "as revoked from 2026-02-01 08:00 UTC on", "from 2026-03-06 12:00 UTC on")
    row = story.outcome()
    assert (row["old_revoked_at"], row["new_revoked_at"]) == (pd.Timestamp("2026-02-01T08:00Z"), pd.Timestamp(NOW))
    story.change(original_revoked_at=None)
    story.entries.append({"crl_sha256": "old", "serial": SERIAL, "reason": 5, "revoked_at": NOW - timedelta(9)})
    assert story.outcome()["old_revoked_at"] == pd.Timestamp(NOW - timedelta(9))


# ---------------------------------------------------------------------------------- OCSP answers


def test_an_answer_that_agrees_leaves_the_proof_green(story: Story) -> None:
    story.answers = [answer("revoked")]
    assert_verdict(story, "proved")
    assert story.outcome()["ocsp"] == "OCSP (CN=Responder): revoked, reason 5 (Cessation of Operation)"
    story.answers = [answer("revoked", reason=0)]
    assert_verdict(story, "proved")


def test_an_answer_alone_proves_nothing(story: Story) -> None:
    story.answers, story.crls = [answer("revoked")], []
    assert_verdict(story, "pending", "No CRL")


def test_good_from_before_the_new_list_is_an_old_answer(story: Story) -> None:
    """Windows copies thisUpdate from the list that it answers from: produced now, but of the old list."""
    old = NOW - timedelta(days=3)
    story.answers = [answer("good", this_update=old, next_update=NOW + timedelta(days=4))]
    assert_verdict(story, "pending", "good as of 2026-03-03 12:00 UTC", "valid until 2026-03-10 12:00 UTC")
    story.answers[0]["next_update"] = None
    assert_verdict(story, "pending", "an end that it does not give")


def test_good_from_after_the_new_list_contradicts_it(story: Story) -> None:
    story.answers = [answer("good", this_update=NOW - timedelta(minutes=39))]
    assert_verdict(story, "contradicted", "clients are told otherwise", "OCSP (CN=Responder): good")
    story.answers[0]["this_update"] = NOW - timedelta(minutes=41)
    assert_verdict(story, "pending")


def test_the_newest_answer_of_each_responder_counts(story: Story) -> None:
    old = answer("good", this_update=NOW - timedelta(days=3))
    story.answers = [answer("revoked"), old]
    assert_verdict(story, "proved")
    story.answers[0]["responder"] = "CN=Another"
    assert_verdict(story, "pending", "OCSP (CN=Responder): good")
    story.fetched = [
        fetch(str(row["response_sha256"]), "http://ocsp/", -n, "ocsp") for n, row in enumerate(story.answers)
    ]
    story.fetched.reverse()
    assert_verdict(story, "proved")
    assert str(story.outcome()["ocsp"]).startswith("OCSP (http://ocsp/): revoked")


def test_an_old_answer_that_a_responder_gave_last_is_what_it_gives(story: Story) -> None:
    """A farm of which one member did not notice, or somebody who replays: clients get this one."""
    story.answers = [answer("revoked"), answer("good", this_update=NOW - timedelta(days=3))]
    story.fetched = [fetch("answer-revoked", "http://o/", 1, "ocsp"), fetch("answer-good", "http://o/", 2, "ocsp")]
    assert_verdict(story, "pending", "OCSP (http://o/): good")
    story.fetched[1]["fetched_at"] = story.fetched[0]["fetched_at"]
    assert_verdict(story, "pending", "OCSP (http://o/): good")


def test_the_same_answer_from_two_places_is_seen_at_both(story: Story) -> None:
    story.answers = [answer("revoked"), answer("good", this_update=NOW - timedelta(days=3))]
    places = (("answer-good", "http://b/"), ("answer-good", "http://a/"), ("answer-revoked", "http://a/"))
    story.fetched = [fetch(name, url, hour, "ocsp") for hour, (name, url) in enumerate(places)]
    assert_verdict(story, "pending", "OCSP (http://b/): good")


def test_an_answer_that_says_both_is_not_taken_for_one(story: Story) -> None:
    """One response may hold two answers about a serial number; which one a client takes is its own affair."""
    both = [answer("revoked", response_sha256="x"), answer("good", response_sha256="x")]
    for story.answers in (both, both[::-1]):
        assert_verdict(story, "pending", "good")


def test_an_answer_that_nobody_authorised_counts_for_nothing(story: Story) -> None:
    story.answers = [answer("good", signed_by_ca=False)]
    assert_verdict(story, "proved")
    assert "not signed by the CA" in story.outcome()["ocsp"]
    story.answers = [answer("good", signer_key_index=1)]
    assert_verdict(story, "proved")
    assert "another CA key" in story.outcome()["ocsp"]


@pytest.mark.parametrize(
    ("changes", "word", "why"),
    [
        ({"status": "unknown"}, "pending", "unknown"),
        ({"reason": 6}, "contradicted", "revoked, reason 6"),
        ({"reason": 6, "this_update": NOW - timedelta(days=1)}, "pending", "revoked, reason 6"),
        ({"this_update": NOW + timedelta(hours=1)}, "pending", "a clock is wrong"),
        ({"status": "good", "next_update": NOW}, "proved", "CRL 414"),
    ],
)
def test_other_answers(story: Story, changes: dict[str, Any], word: str, why: str) -> None:
    story.answers = [answer("revoked") | {"this_update": NOW} | changes]
    assert_verdict(story, word, why)


def test_what_stays_valid_must_be_answered_with_good(story: Story) -> None:
    story.change(action="restore", reason=None, method="original").entries = []
    story.rows, story.answers = [ROW | {"disposition": 20, "reason": None}], [answer("good")]
    assert_verdict(story, "proved")
    story.answers = [answer("revoked", this_update=NOW - timedelta(days=2))]
    assert_verdict(story, "pending", "revoked, reason 5")
    story.answers = [answer("unknown")]
    assert_verdict(story, "pending", "unknown")


def test_a_hold_that_is_left_is_answered_with_revoked(story: Story) -> None:
    story.change(kind="lost_release", action="leave", reason=None, method="none").entries[0]["reason"] = 6
    story.answers = [answer("revoked", reason=6)]
    assert_verdict(story, "proved")
    story.answers = [answer("revoked", reason=0, this_update=NOW)]
    assert_verdict(story, "contradicted", "revoked, reason 0")


@given(st.data())
def test_nothing_but_a_good_list_is_ever_green(data: st.DataObject) -> None:
    """Whatever is thrown together: green implies a list with everything that a proof needs."""
    story = Story()
    story.change(reason=data.draw(st.sampled_from([0, 1, 5])))
    flag = st.sampled_from([True, False, None])
    story.crls = [
        crl(
            f"crl{n}",
            data.draw(st.sampled_from([None, "", "x", "411", "412", "413", "414"])),
            signed_by_ca=data.draw(flag),
            is_delta=data.draw(flag),
            base_crl_number=data.draw(st.sampled_from([None, "411", "414"])),
            ca_version=data.draw(st.sampled_from([None, 0, 1, 1 << 16])),
            next_update=data.draw(st.sampled_from([None, NOW - timedelta(1), NOW + timedelta(1)])),
            this_update=data.draw(st.sampled_from([None, NOW - timedelta(1), NOW + timedelta(1)])),
        )
        for n in range(data.draw(st.integers(0, 3)))
    ]
    story.entries = [
        {"crl_sha256": f"crl{n}", "serial": SERIAL, "reason": data.draw(st.sampled_from([None, 0, 1, 5, 8]))}
        for n in data.draw(st.sets(st.integers(0, 3)))
    ]
    story.log = data.draw(st.sampled_from([None, [], DONE]))
    if story.verdict()[0] == "proved":
        reasons = {e["crl_sha256"]: e["reason"] or 0 for e in story.entries}
        assert any(
            one["signed_by_ca"] is True
            and one["is_delta"] is False
            and one["crl_number"] in ("413", "414")
            and one["ca_version"] in (0, 1)
            and one["next_update"] == NOW + timedelta(1)
            and one["this_update"] == NOW - timedelta(1)
            and reasons.get(one["crl_sha256"]) == story.item.reason
            for one in story.crls
        )


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, Python's and C's: a measure that knows no clock."""
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


def test_a_million_entries_are_not_walked_one_by_one(story: Story) -> None:
    count = 1_000_000
    serials = pd.Series([f"63{n:08x}" for n in np.arange(count)], dtype=pd.StringDtype("pyarrow"))
    entries = pd.DataFrame(
        {
            "crl_sha256": pd.Series(["new"] * count, dtype=pd.StringDtype("pyarrow")),
            "serial": serials,
            "revoked_at": pd.Series([NOW] * count),
            "reason": pd.Series([5] * count, dtype="Int64"),
        }
    )
    story.change(serial=str(serials[777_777]))

    def judged(among: pd.DataFrame) -> list[str]:
        outcomes = judge(
            story.plan,
            transcripts=[],
            view=None,
            crls=TABLES["crls"].frame(story.crls),
            crl_entries=among,
            before_crls=TABLES["crls"].frame(story.before),
            now=NOW,
        )
        return list(outcomes["verdict"])

    few = entries[777_000:778_000].reset_index(drop=True)
    assert judged(entries) == judged(few) == ["proved"]
    # Only pandas walks them: a thousand times as many take hardly a call more.
    assert calls(lambda: judged(entries)) < 1.1 * calls(lambda: judged(few))
