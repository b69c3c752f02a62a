"""find_gap, told as small stories: a few rows, a few mails, one finding (or none)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from carecover.analysis import find_gap
from carecover.errors import QuestionError, UsageError
from carecover.model import TABLES, CaseFacts

BACKUP = datetime(2026, 11, 1, tzinfo=UTC)
CRL_AT = datetime(2026, 11, 19, tzinfo=UTC)
FAILURE = datetime(2026, 11, 20, 2, tzinfo=UTC)
RESTORED = datetime(2026, 11, 21, tzinfo=UTC)
FACTS = CaseFacts(ca="Corp CA", backup=BACKUP, failure=FAILURE, restored=RESTORED)
IN_GAP = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
ENDS = datetime(2027, 11, 10, tzinfo=UTC)
CRL = "c" * 64


def serial(request_id: int, index: int = 0, first: str = "44") -> str:
    """A serial in the 19-byte form that carries this request ID."""
    return f"{first}{request_id:08x}00112233445566{request_id % 256:02x}{index:04x}{request_id:08x}"


def row(request_id: int, **more: Any) -> dict[str, Any]:
    plain = {
        "request_id": request_id, "serial": serial(request_id), "disposition": 20, "thumbprint": f"{request_id:040x}",
        "submitted_at": BACKUP - timedelta(days=5), "not_after": ENDS, "issuer_name_id": 0,
    }  # fmt: skip
    return {**plain, **more}


def mail(event: str, request_id: int, **more: Any) -> dict[str, Any]:
    plain = {
        "event": event, "ca_name": "Corp CA", "request_id": request_id, "serial": serial(request_id),
        "sent_at": IN_GAP, "subject": "CN=host", "evidence_id": "E0001", "location": f"byte {request_id}",
    }  # fmt: skip
    return {**plain, **more}


def everything(**tables: list[dict[str, Any]]) -> pd.DataFrame:
    frames = {name: TABLES[name].frame(rows) for name, rows in tables.items()}
    return find_gap(**frames, facts=FACTS)  # type: ignore[arg-type]


def gap(**tables: list[dict[str, Any]]) -> pd.DataFrame:
    """Findings but those about numbers, which have stories of their own (test_numbers)."""
    found = everything(**tables)
    return found[~found["kind"].isin(["crl_number_regression", "reused_request_id"])].reset_index(drop=True)


def only(findings: pd.DataFrame) -> dict[str, Any]:
    assert len(findings) == 1, findings[["kind", "serial", "why"]].to_string()
    return {
        str(k): None if not isinstance(v, list) and pd.isna(v) else v for k, v in findings.iloc[0].to_dict().items()
    }


def signed_crl(**more: Any) -> dict[str, Any]:
    plain = {
        "crl_sha256": CRL, "crl_number": "9", "this_update": CRL_AT, "signed_by_ca": True, "is_delta": False,
        "ca_version": 0, "evidence_id": "E0002",
    }  # fmt: skip
    return {**plain, **more}


def entry(request_id: int, reason: int, at: datetime = IN_GAP) -> dict[str, Any]:
    return {"crl_sha256": CRL, "serial": serial(request_id), "revoked_at": at, "reason": reason}


def test_nothing_in_gives_nothing_out() -> None:
    assert len(find_gap()) == 0
    assert len(gap(ca_rows=[row(1), row(2)])) == 0


def test_a_mail_about_a_missing_serial_is_an_orphan() -> None:
    found = only(gap(ca_rows=[row(1)], notifications=[mail("issued", 2)]))
    assert found["kind"] == "orphaned"
    assert found["serial"] == serial(2)
    assert found["request_id"] == 2
    assert found["confidence"] == "medium", "a mail can be forged"
    assert found["suggested_action"] is None
    assert found["evidence"] == ["E0001 byte 2 (issued mail)"]
    assert found["issued_at"] == pd.Timestamp(IN_GAP)


def test_a_mail_about_a_row_that_is_there_is_nothing() -> None:
    assert len(gap(ca_rows=[row(1), row(2)], notifications=[mail("issued", 2)])) == 0


def test_serials_are_compared_as_integers() -> None:
    spelled = pd.DataFrame([{**row(2), "serial": "00" + serial(2).upper()}])
    mails = TABLES["notifications"].frame([mail("issued", 2)])
    assert len(find_gap(mails, spelled, facts=FACTS)) == 0
    with pytest.raises(UsageError, match="ca_rows"):
        find_gap(mails, pd.DataFrame([{"serial": "no serial"}]), facts=FACTS)


def test_the_same_request_id_is_not_the_same_certificate() -> None:
    reissued = row(
        2,
        serial=serial(2, first="44")[:10] + "ffffffffffffffff" + serial(2)[26:],
        submitted_at=RESTORED + timedelta(hours=1),
    )
    found = only(gap(ca_rows=[row(1), reissued], notifications=[mail("issued", 2)]))
    assert found["kind"] == "orphaned"


def test_mails_after_the_restore_make_no_finding() -> None:
    late = mail("issued", 3, sent_at=RESTORED + timedelta(hours=1))
    assert len(gap(ca_rows=[row(1)], notifications=[late])) == 0


def test_mails_of_another_ca_make_no_finding() -> None:
    assert len(gap(ca_rows=[row(1)], notifications=[mail("issued", 2, ca_name="Other CA")])) == 0
    sanitized = mail("issued", 2, ca_name="corp!0020ca")
    assert len(gap(ca_rows=[row(1)], notifications=[sanitized])) == 1


def test_two_cas_and_no_name_is_a_question() -> None:
    mails = TABLES["notifications"].frame([mail("issued", 2), mail("issued", 3, ca_name="Other CA")])
    with pytest.raises(QuestionError, match="2 CAs"):
        find_gap(mails, TABLES["ca_rows"].frame([row(1)]), facts=CaseFacts(restored=RESTORED))


def test_of_two_cas_the_one_that_the_database_knows_is_meant() -> None:
    mails = [*(mail("issued", n) for n in (1, 2, 3, 4)), mail("issued", 5, ca_name="Other CA")]
    rows = TABLES["ca_rows"].frame([row(n) for n in (1, 2, 3)])
    found = find_gap(TABLES["notifications"].frame(mails), rows, facts=CaseFacts(restored=RESTORED))
    assert list(found["serial"]) == [serial(4)]


def test_pending_and_denied_mails_are_no_certificates() -> None:
    mails = [mail("pending", 2, serial=None), mail("denied", 3, serial=None)]
    found = only(gap(ca_rows=[row(1)], notifications=mails))
    assert (found["kind"], found["request_id"], found["serial"]) == ("lost_pending", 2, None)


def test_a_denied_row_does_not_hold_the_certificate() -> None:
    found = only(gap(ca_rows=[row(1), row(2, disposition=31)], notifications=[mail("issued", 2)]))
    assert found["kind"] == "orphaned"


def test_an_orphan_that_was_revoked_keeps_its_reason_and_the_crl_suggests_it() -> None:
    mails = [mail("issued", 2), mail("revoked", 2, reason=1, revoked_at=IN_GAP, sent_at=IN_GAP + timedelta(days=1))]
    said = only(gap(ca_rows=[row(1)], notifications=mails))
    assert (said["suggested_action"], said["original_reason"]) == (None, 1)
    assert said["original_revoked_at"] == pd.Timestamp(IN_GAP)
    shown = only(gap(ca_rows=[row(1)], notifications=mails, crls=[signed_crl()], crl_entries=[entry(2, 1)]))
    assert (shown["suggested_action"], shown["suggested_reason"]) == ("revoke", 1)


def test_a_hold_that_was_released_in_the_gap_leaves_nothing_to_do() -> None:
    mails = [
        mail("revoked", 1, reason=6, sent_at=IN_GAP),
        mail("unrevoked", 1, sent_at=IN_GAP + timedelta(days=1)),
    ]
    assert len(gap(ca_rows=[row(1)], notifications=mails)) == 0


def test_nothing_is_replaced_before_it_is_taken_off_hold() -> None:
    held = row(1, disposition=21, reason=6, revoked_at=BACKUP - timedelta(days=2), template="WebServer")
    released = mail("unrevoked", 1, sent_at=IN_GAP, template="WebServer")
    found = only(gap(ca_rows=[held], notifications=[released]))
    assert (found["kind"], found["replace_first"]) == ("lost_release", False)
    assert found["blast_radius"].startswith("It is on hold")


def test_an_orphan_whose_original_was_found_is_suggested_to_be_restored() -> None:
    found_one = {
        "certificate_sha256": "a" * 64, "serial": serial(2), "thumbprint": f"{2:040x}", "subject": "CN=host",
        "issuer": "CN=Corp CA", "signed_by_ca": True, "not_before": IN_GAP, "not_after": ENDS, "evidence_id": "E0003",
    }  # fmt: skip
    found = only(gap(ca_rows=[row(1)], certificates=[found_one]))
    assert (found["suggested_action"], found["original_sha256"]) == ("restore", "a" * 64)
    assert found["confidence"] == "high"
    assert len(gap(ca_rows=[row(1)], certificates=[{**found_one, "signed_by_ca": False}])) == 0
    assert len(gap(ca_rows=[row(1)], certificates=[{**found_one, "signed_by_ca": None}])) == 0


def test_without_any_mail_a_signed_crl_shows_both_kinds() -> None:
    found = gap(ca_rows=[row(1), row(2)], crls=[signed_crl()], crl_entries=[entry(2, 4), entry(3, 1)])
    assert list(found["kind"]) == ["lost_revocation", "orphaned"]
    assert list(found["suggested_reason"]) == [4, 1]
    assert set(found["confidence"]) == {"high"}


def test_an_unsigned_crl_proves_nothing() -> None:
    crls = [signed_crl(signed_by_ca=False)]
    assert len(gap(ca_rows=[row(1), row(2)], crls=crls, crl_entries=[entry(2, 4), entry(3, 1)])) == 0


def test_without_any_mail_the_audit_log_shows_both_kinds() -> None:
    events = [
        {"event_id": 4887, "recorded_at": IN_GAP, "request_id": 3, "serial": serial(3), "requester": "CORP\\h$"},
        {"event_id": 4870, "recorded_at": IN_GAP, "serial": serial(2), "reason": 5},
    ]
    found = gap(ca_rows=[row(1), row(2)], audit_events=events)
    assert list(found["kind"]) == ["lost_revocation", "orphaned"]
    assert found["suggested_reason"].iloc[0] == 5
    assert found["requester"].iloc[1] == "CORP\\h$"


def test_a_mail_alone_never_suggests_revoking_a_row_that_is_good() -> None:
    found = only(gap(ca_rows=[row(1)], notifications=[mail("revoked", 1, reason=1)]))
    assert found["kind"] == "lost_revocation"
    assert found["suggested_action"] is None
    assert found["original_reason"] == 1
    assert found["confidence"] == "medium"


def test_a_revoked_mail_that_a_later_crl_contradicts_is_suspect() -> None:
    found = only(
        gap(ca_rows=[row(1)], notifications=[mail("revoked", 1, reason=1)], crls=[signed_crl()], crl_entries=[])
    )
    assert found["confidence"] == "low"
    assert "suspect" in found["why"]
    assert found["suggested_action"] is None


def test_a_crl_confirms_the_mail() -> None:
    found = only(
        gap(
            ca_rows=[row(1)],
            notifications=[mail("revoked", 1, reason=1, revoked_at=IN_GAP)],
            crls=[signed_crl()],
            crl_entries=[entry(1, 1)],
        )
    )
    assert (found["suggested_action"], found["suggested_reason"]) == ("revoke", 1)
    assert len(found["evidence"]) == 2


def test_a_hold_that_is_back_was_released_says_the_crl() -> None:
    held = row(1, disposition=21, reason=6, revoked_at=BACKUP - timedelta(days=2))
    found = only(gap(ca_rows=[held], crls=[signed_crl()], crl_entries=[]))
    assert (found["kind"], found["suggested_action"]) == ("lost_release", "unrevoke")
    assert len(gap(ca_rows=[held], crls=[signed_crl()], crl_entries=[entry(1, 6)])) == 0
    by_mail = only(gap(ca_rows=[held], notifications=[mail("unrevoked", 1, reason=-1)]))
    assert (by_mail["kind"], by_mail["suggested_action"]) == ("lost_release", None)


def test_a_mail_that_contradicts_its_serial_is_suspect_and_no_orphan() -> None:
    found = only(gap(ca_rows=[row(1)], notifications=[mail("issued", 2, serial=serial(9))]))
    assert found["kind"] == "suspect_notification"
    assert found["suggested_action"] is None


def test_one_serial_two_certificates_is_a_conflict_and_nothing_else() -> None:
    again = row(2, submitted_at=RESTORED + timedelta(hours=2), thumbprint="b" * 40)
    mails = [mail("issued", 2, thumbprint="a" * 40), mail("revoked", 2, reason=1, thumbprint="a" * 40)]
    found = only(gap(ca_rows=[row(1), again], notifications=mails))
    assert found["kind"] == "serial_conflict"
    assert found["suggested_action"] is None


def test_what_the_view_does_not_cover_is_not_missing() -> None:
    assert len(gap(ca_rows=[row(500), row(501)], notifications=[mail("issued", 20)])) == 0
    assert len(gap(ca_rows=[row(500), row(501)], notifications=[mail("issued", 502)])) == 1


def test_a_lost_renewal_leaves_no_dummy_to_make() -> None:
    own = {
        "certificate_sha256": "d" * 64, "serial": "0a", "subject": "CN=Corp CA", "issuer": "CN=Root", "is_ca": True,
        "ca_version": 0, "signed_by_ca": False, "from_mail": False,
    }  # fmt: skip
    later = mail("issued", 2, serial=serial(2, index=1))
    found = only(gap(ca_rows=[row(1)], notifications=[later], certificates=[own]))
    assert found["kind"] == "lost_ca_certificate"


def test_infrastructure_is_marked() -> None:
    found = only(gap(ca_rows=[row(1)], notifications=[mail("issued", 2, template="DomainController")]))
    assert found["infrastructure"]
    assert "Replace it before you revoke it" in found["blast_radius"]


def test_the_database_names_the_template_of_which_a_mail_knows_only_the_oid() -> None:
    oid = "1.3.6.1.4.1.311.21.8.1.2.3"
    known = row(1, template="OCSP Response Signing", template_oid=oid)
    found = only(gap(ca_rows=[known], notifications=[mail("issued", 2, template=oid)]))
    assert found["template"] == "OCSP Response Signing"
    assert found["infrastructure"]


def test_a_forwarded_mail_is_dated_by_what_it_tells() -> None:
    late = {"sent_at": RESTORED + timedelta(days=1), "flags": ["forwarded"]}
    found = only(gap(ca_rows=[row(1)], notifications=[mail("issued", 2, not_before=IN_GAP, **late)]))
    assert found["confidence"] == "medium"
    after = RESTORED + timedelta(hours=3)
    assert len(gap(ca_rows=[row(1)], notifications=[mail("issued", 2, not_before=after, **late)])) == 0


def test_two_mails_about_one_certificate_are_one_finding() -> None:
    mails = [mail("issued", 2), mail("retrieve_pending", 2, location="byte 9"), mail("issued", 2, evidence_id="E0009")]
    found = only(gap(ca_rows=[row(1)], notifications=mails))
    assert len(found["evidence"]) == 3
