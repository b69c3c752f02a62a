"""Request IDs and CRL numbers: what comes back for others, what waits, what nobody can account for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from carecover.analysis import Evidence, find_gap, investigate
from carecover.analysis.requests import MAX_LEAP, MAX_LISTED
from carecover.model import TABLES, CaseFacts
from tests.analysis.test_attacks import original
from tests.analysis.test_gap import (
    BACKUP,
    FACTS,
    FAILURE,
    IN_GAP,
    RESTORED,
    everything,
    mail,
    row,
    serial,
    signed_crl,
)

AGAIN = {"submitted_at": RESTORED + timedelta(hours=1), "requester": "CORP\\new"}


def of_kind(kind: str, **tables: list[dict[str, Any]]) -> pd.DataFrame:
    found = everything(**tables)
    return found[found["kind"] == kind].reset_index(drop=True)


def event(event_id: int, request_id: int | None = None, **more: Any) -> dict[str, Any]:
    plain = {"event_id": event_id, "request_id": request_id, "recorded_at": IN_GAP, "evidence_id": "E0004"}
    return {**plain, "location": f"event {request_id}", **more}


# ------------------------------------------------------------------------- reused request IDs


def test_a_request_id_that_the_restored_ca_gave_to_somebody_else_is_told_with_both_names() -> None:
    mails = [mail("issued", 2, requester="CORP\\old")]
    other = row(2, serial=serial(2, first="44")[:10] + "ffffffffffffffff" + serial(2)[26:], **AGAIN)
    found = of_kind("reused_request_id", ca_rows=[row(1), other], notifications=mails)
    assert list(found["request_id"]) == [2]
    assert "CORP\\old" in found["why"][0]
    assert "CORP\\new" in found["why"][0]
    assert found["evidence"][0][0].startswith("E0001 byte 2")
    orphan = of_kind("orphaned", ca_rows=[row(1), other], notifications=mails)
    assert "request_id_taken" in orphan["circumstances"][0]


def test_an_id_that_nothing_shows_before_the_failure_is_not_called_reused() -> None:
    assert not len(of_kind("reused_request_id", ca_rows=[row(1), row(2, **AGAIN)]))


def test_a_view_without_submission_times_tells_by_the_start_of_validity() -> None:
    rows = [
        row(1, submitted_at=None, not_before=BACKUP - timedelta(days=1)),
        row(
            2,
            submitted_at=None,
            not_before=RESTORED + timedelta(hours=1),
            serial=serial(2)[:10] + "ab" * 8 + serial(2)[26:],
        ),
    ]
    assert list(of_kind("reused_request_id", ca_rows=rows, notifications=[mail("issued", 2)])["request_id"]) == [2]


# --------------------------------------------------------------------------- lost and pending


def test_a_pending_request_that_the_restore_lost_must_be_made_again() -> None:
    found = of_kind("lost_pending", ca_rows=[row(1)], notifications=[mail("pending", 2, serial=None)])
    assert list(found["finding_id"]) == ["lost_pending-2"]
    by_log = of_kind("lost_pending", ca_rows=[row(1)], audit_events=[event(4889, 2)])
    assert list(by_log["confidence"]) == ["high"]


@pytest.mark.parametrize("later", ["issued", "denied"])
def test_a_pending_request_that_was_decided_is_not_pending(later: str) -> None:
    mails = [mail("pending", 2, serial=None), mail(later, 2, sent_at=IN_GAP + timedelta(hours=1))]
    assert not len(of_kind("lost_pending", ca_rows=[row(1)], notifications=mails))


def test_a_pending_request_that_the_database_still_has_is_not_lost() -> None:
    rows = [row(1), row(2, serial=None, disposition=9)]
    assert not len(of_kind("lost_pending", ca_rows=rows, notifications=[mail("pending", 2, serial=None)]))
    # The same ID, given to somebody else since, is another request.
    assert len(
        of_kind("lost_pending", ca_rows=[row(1), row(2, **AGAIN)], notifications=[mail("pending", 2, serial=None)])
    )


# ------------------------------------------------------------------------- unaccounted requests


def test_ids_between_others_that_left_no_trace_are_told_one_by_one() -> None:
    mails = [mail("issued", 3), mail("denied", 5, serial=None)]
    found = of_kind("unaccounted_request", ca_rows=[row(1)], notifications=mails)
    assert list(found["request_id"]) == [2, 4]
    assert all("can be neither found nor revoked" in why for why in found["why"])
    assert found["serial"].isna().all()


def test_with_string_serials_the_missing_serial_can_be_computed() -> None:
    rows = [row(n, serial=f"4411223344556677{0:04x}{n:08x}") for n in (1, 2)]
    mails = [mail("issued", 4, serial=f"4411223344556677{0:04x}{4:08x}")]
    found = of_kind("unaccounted_request", ca_rows=rows, notifications=mails)
    assert list(found["request_id"]) == [3]
    assert "4411223344556677000000000003" in found["why"][0]


def test_a_string_serial_that_the_restored_ca_can_issue_again_is_warned_of() -> None:
    rows = [row(n, serial=f"4411223344556677{0:04x}{n:08x}") for n in (1, 2)]
    mails = [mail("issued", 4, serial=f"4411223344556677{0:04x}{4:08x}")]
    orphan = of_kind("orphaned", ca_rows=rows, notifications=mails)
    assert "serial_may_return" in orphan["circumstances"][0]
    assert "this very serial" in orphan["why"][0]
    assert (
        "serial_may_return"
        not in of_kind("orphaned", ca_rows=[row(1)], notifications=[mail("issued", 4)])["circumstances"][0]
    )


def test_a_forged_id_far_away_does_not_make_a_million_findings() -> None:
    mails = [mail("issued", 3), mail("issued", 3 + MAX_LEAP + 1), mail("issued", 2_000_000_000)]
    assert list(of_kind("unaccounted_request", ca_rows=[row(1)], notifications=mails)["request_id"]) == [2]
    near = [mail("issued", 3), mail("issued", 3 + MAX_LEAP)]
    assert len(of_kind("unaccounted_request", ca_rows=[row(1)], notifications=near)) == MAX_LISTED


def test_an_event_without_a_serial_is_paired_with_the_certificate_of_its_key() -> None:
    """Event 4887 of version 0 (servers before 2025) gives a key identifier and no serial."""
    bare = event(4887, 2, key_id="ab" * 20, subject="CN=host")
    alone = of_kind("unaccounted_request", ca_rows=[row(1)], audit_events=[bare])
    assert (list(alone["request_id"]), list(alone["confidence"])) == ([2], ["medium"])
    found = everything(ca_rows=[row(1)], audit_events=[bare], certificates=[original(2, key_id="ab" * 20)])
    assert set(found["kind"]) == {"orphaned"}
    assert "E0004 event 2 (event 4887)" in found["evidence"][0]


def test_a_request_of_which_only_the_arrival_is_logged_is_unaccounted() -> None:
    found = of_kind("unaccounted_request", ca_rows=[row(1)], audit_events=[event(4886, 2)])
    assert "nothing says what became of it" in found["why"][0]


def test_the_trail_counts_what_the_findings_do_not_list() -> None:
    frames = {"notifications": [mail("issued", 3), mail("issued", 5000)], "ca_rows": [row(1)]}
    tables = (TABLES[n].frame(frames.get(n, [])) for n in Evidence.__dataclass_fields__)
    trail = investigate(Evidence.of(*tables), facts=FACTS).trail
    assert (trail.first, trail.last, trail.seen, trail.missing) == (2, 5000, 2, 4997)
    assert trail.untraced(2) == [2, 4]


# --------------------------------------------------------------------------------- CRL numbers


def test_a_crl_of_after_the_backup_has_a_number_that_the_database_forgot() -> None:
    found = of_kind("crl_number_regression", ca_rows=[row(1)], crls=[signed_crl()])
    assert list(found["finding_id"]) == ["crl_number_regression-key0"]
    assert "CRL number 9" in found["why"][0]
    old = signed_crl(this_update=BACKUP - timedelta(days=2))
    assert not len(of_kind("crl_number_regression", ca_rows=[row(1)], crls=[old]))


def test_each_key_has_its_numbers() -> None:
    crls = [signed_crl(), signed_crl(crl_sha256="d" * 64, ca_version=1 << 16 | 1, crl_number="9")]
    found = of_kind("crl_number_regression", ca_rows=[row(1)], crls=crls)
    assert list(found["ca_key_index"]) == [0, 1]


def test_the_log_alone_shows_the_last_number_too() -> None:
    logged = event(4872, crl_number="31")
    found = of_kind("crl_number_regression", ca_rows=[row(1)], audit_events=[logged])
    assert "CRL number 31" in found["why"][0]
    late = event(4872, crl_number="31", recorded_at=RESTORED + timedelta(hours=1))
    assert not len(of_kind("crl_number_regression", ca_rows=[row(1)], audit_events=[late]))


def test_the_databases_own_crl_table_settles_it() -> None:
    known = [{"crl_row_id": 3, "crl_number": "9", "name_id": 0}]
    assert not len(of_kind("crl_number_regression", ca_rows=[row(1)], crls=[signed_crl()], crl_rows=known))
    behind = [{"crl_row_id": 3, "crl_number": "7", "name_id": 0}]
    found = of_kind("crl_number_regression", ca_rows=[row(1)], crls=[signed_crl()], crl_rows=behind)
    assert "ends at 7" in found["why"][0]


def test_an_unsigned_list_raises_no_alarm() -> None:
    forged = signed_crl(signed_by_ca=False, crl_number="999999")
    assert not len(of_kind("crl_number_regression", ca_rows=[row(1)], crls=[forged]))


# -------------------------------------------------------------------------------- circumstances


def test_what_was_issued_before_the_backup_was_not_lost_by_the_restore() -> None:
    """A template that keeps certificates out of the database, a deleted row, or a wrong backup time."""
    early = mail("issued", 9, sent_at=BACKUP - timedelta(days=3))
    found = of_kind("orphaned", ca_rows=[row(1)], notifications=[early])
    assert "before_backup" in found["circumstances"][0]
    assert "DONOTPERSISTINDB" in found["why"][0]


def test_expired_meanwhile_revoked_in_the_window_and_on_hold_are_told_apart() -> None:
    mails = [
        mail("issued", 2, not_after=FAILURE),
        mail("issued", 3),
        mail("revoked", 3, reason=1, sent_at=IN_GAP + timedelta(days=1)),
        mail("issued", 4),
        mail("revoked", 4, reason=6, sent_at=IN_GAP + timedelta(days=1)),
    ]
    found = of_kind("orphaned", ca_rows=[row(1)], notifications=mails).set_index("request_id")["circumstances"]
    assert "expired" in found[2]
    assert "revoked_in_window" in found[3]
    assert "held_in_window" in found[4]
    assert all("mail_only" in words for words in found)


def test_without_a_backup_time_nothing_is_claimed_of_the_window() -> None:
    facts = CaseFacts(ca="Corp CA", restored=RESTORED)
    mails = TABLES["notifications"].frame([mail("issued", 2)])
    found = find_gap(mails, TABLES["ca_rows"].frame([row(1)]), facts=facts)
    assert found["circumstances"][0] == ["mail_only"]


def test_a_request_that_waited_at_the_backup_and_was_issued_since_is_unaccounted_without_its_serial() -> None:
    """The restored database still shows it as pending; the log of version 0 gives no serial."""
    rows = [row(1), row(2, serial=None, disposition=9)]
    found = of_kind("unaccounted_request", ca_rows=rows, audit_events=[event(4887, 2)])
    assert list(found["request_id"]) == [2]
    assert not len(of_kind("unaccounted_request", ca_rows=[row(1), row(2)], audit_events=[event(4887, 2)]))
