"""Forged, replayed and odd evidence against find_gap: each test is one attack or one honest oddity, told as a story."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from carecover.analysis import Baseline, assemble_baseline, assess_coverage, find_gap, make_activity, make_impact
from carecover.analysis.layout import CaLayout
from carecover.errors import QuestionError
from carecover.model import TABLES, CaseFacts
from tests.analysis.test_gap import (
    BACKUP,
    CRL,
    CRL_AT,
    ENDS,
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

AFTER_CRL = CRL_AT + timedelta(hours=12)
LATER = {"crl_sha256": "d" * 64, "crl_number": "10", "this_update": CRL_AT + timedelta(hours=6)}
HELD = row(1, disposition=21, reason=6, revoked_at=BACKUP - timedelta(days=2))


def original(request_id: int, **more: Any) -> dict[str, Any]:
    plain = {
        "certificate_sha256": "a" * 64, "serial": serial(request_id), "thumbprint": "e" * 40, "subject": "CN=host",
        "issuer": "CN=Corp CA", "signed_by_ca": True, "not_before": IN_GAP, "not_after": ENDS, "evidence_id": "E0003",
    }  # fmt: skip
    return {**plain, **more}


def own_ca(index: int, key: int, **more: Any) -> dict[str, Any]:
    plain = {
        "certificate_sha256": f"{index:064x}", "serial": f"{index + 10:02x}", "subject": "CN=Corp CA",
        "issuer": "CN=Root", "is_ca": True, "own_ca": True, "ca_version": key << 16 | index, "signed_by_ca": False,
        "from_mail": False,
    }  # fmt: skip
    return {**plain, **more}


# ------------------------------------------------------- getting a good certificate revoked


def test_a_forged_mail_cannot_ride_on_a_hold_that_the_crls_show_as_released() -> None:
    """The hold came and went, as two CRLs prove; a later 'revoked' mail is a mail alone."""
    found = only(
        gap(
            ca_rows=[row(1)],
            crls=[signed_crl(), signed_crl(**LATER)],
            crl_entries=[entry(1, 6)],
            notifications=[mail("revoked", 1, reason=1, sent_at=AFTER_CRL)],
        )
    )
    assert (found["kind"], found["suggested_action"], found["confidence"]) == ("lost_revocation", None, "medium")


def test_a_forged_mail_cannot_make_a_proved_hold_final() -> None:
    found = only(
        gap(
            ca_rows=[row(1)],
            crls=[signed_crl()],
            crl_entries=[entry(1, 6)],
            notifications=[mail("revoked", 1, reason=1, sent_at=AFTER_CRL)],
        )
    )
    assert (found["suggested_action"], found["suggested_reason"]) == ("revoke", 6)
    assert "mail" in found["why"]


def test_an_old_crl_of_before_the_backup_does_not_bring_a_hold_back() -> None:
    """Genuine, signed, and stale: the hold was released before the backup, as the row itself shows."""
    stale = signed_crl(this_update=BACKUP - timedelta(days=30), crl_number="2")
    found = gap(ca_rows=[row(1)], crls=[stale], crl_entries=[entry(1, 6, BACKUP - timedelta(days=40))])
    if len(found):
        assert (only(found)["suggested_action"], only(found)["confidence"]) == (None, "low")


def test_a_good_original_is_not_revoked_on_the_word_of_a_mail() -> None:
    found = only(gap(ca_rows=[row(1)], certificates=[original(2)], notifications=[mail("revoked", 2, reason=1)]))
    assert (found["kind"], found["suggested_action"]) == ("orphaned", None)
    assert "mail" in found["why"]


def test_a_revoked_mail_about_an_orphan_that_a_later_crl_contradicts_suggests_nothing() -> None:
    mails = [mail("issued", 2, not_after=ENDS), mail("revoked", 2, reason=1, revoked_at=IN_GAP)]
    found = only(gap(ca_rows=[row(1)], notifications=mails, crls=[signed_crl()]))
    assert found["suggested_action"] is None
    assert "suspect" in found["why"]


def test_a_forged_template_does_not_turn_a_domain_controller_into_a_web_server() -> None:
    mails = [
        mail("issued", 2, template="WebServer", location="byte 0", sent_at=IN_GAP - timedelta(days=2)),
        mail("issued", 2, template="DomainController"),
    ]
    assert only(gap(ca_rows=[row(1)], notifications=mails))["infrastructure"]


def test_a_mail_alone_makes_no_sure_conflict() -> None:
    again = row(2, submitted_at=RESTORED + timedelta(hours=2), thumbprint="b" * 40)
    found = only(gap(ca_rows=[row(1), again], notifications=[mail("issued", 2, thumbprint="a" * 40)]))
    assert (found["kind"], found["confidence"]) == ("serial_conflict", "low")


def test_a_serial_with_another_cas_first_byte_is_not_taken_for_this_cas() -> None:
    found = only(gap(ca_rows=[row(1)], notifications=[mail("issued", 2, serial=serial(2, first="7f"))]))
    assert found["confidence"] == "low"
    event = {"event_id": 4870, "recorded_at": IN_GAP, "serial": serial(2, first="7f"), "reason": 1}
    assert only(gap(ca_rows=[row(1)], audit_events=[event]))["confidence"] == "low"


def test_a_byte_reversed_twin_of_a_row_is_flagged_and_no_orphan() -> None:
    default = "15fba3bb000000010102"
    twin = bytes.fromhex(default)[::-1].hex()
    rows = [row(0x10102, serial=default), row(2, serial="15fba3bc000000000002")]
    found = only(gap(ca_rows=rows, notifications=[{**mail("revoked", 7, serial=twin, reason=1), "request_id": None}]))
    assert found["kind"] == "suspect_notification"
    assert default in found["why"]


def test_a_mail_whose_certificate_the_ca_did_not_sign_is_suspect() -> None:
    forged = mail("issued", 2, flags=["certificate_not_verified"])
    found = only(gap(ca_rows=[row(1)], notifications=[forged], certificates=[own_ca(0, 0)]))
    assert found["kind"] == "suspect_notification"


def test_a_hold_is_not_lifted_by_the_crl_of_another_key() -> None:
    """A view of few columns does not say which key; the serial does, and no CRL of that key is here."""
    held = {**HELD, "issuer_name_id": None, "serial": serial(1, index=1)}
    crls = [signed_crl(ca_version=0)]
    assert len(gap(ca_rows=[held], crls=crls, certificates=[own_ca(0, 0), own_ca(1, 1)])) == 0


def test_a_hold_whose_time_zone_is_a_guess_is_not_lifted_by_a_crl_of_the_same_day() -> None:
    held = {**HELD, "revoked_at": CRL_AT - timedelta(hours=3), "flags": ["zone_assumed_utc"]}
    assert len(gap(ca_rows=[held], crls=[signed_crl()])) == 0


# --------------------------------------------------------------------- hiding what was lost


@pytest.mark.parametrize("reason", [0, 1, 5])
def test_a_forged_release_does_not_hide_a_final_revocation_that_the_crl_shows(reason: int) -> None:
    found = only(
        gap(
            ca_rows=[row(1)],
            crls=[signed_crl()],
            crl_entries=[entry(1, reason)],
            notifications=[mail("unrevoked", 1, sent_at=AFTER_CRL)],
        )
    )
    assert (found["suggested_action"], found["suggested_reason"]) == ("revoke", reason)


def test_a_forged_release_does_not_hide_a_hold_that_the_crl_shows() -> None:
    found = only(
        gap(
            ca_rows=[row(1)],
            crls=[signed_crl()],
            crl_entries=[entry(1, 6)],
            notifications=[mail("unrevoked", 1, sent_at=AFTER_CRL)],
        )
    )
    assert (found["kind"], found["suggested_action"], found["original_reason"]) == ("lost_revocation", None, 6)
    assert "mail" in found["why"]


def test_a_forged_release_does_not_hide_a_final_revocation_that_only_a_mail_shows() -> None:
    mails = [mail("revoked", 1, reason=1), mail("unrevoked", 1, sent_at=AFTER_CRL)]
    assert only(gap(ca_rows=[row(1)], notifications=mails))["kind"] == "lost_revocation"


def test_a_forged_release_does_not_get_a_held_original_restored() -> None:
    mails = [mail("unrevoked", 2, sent_at=AFTER_CRL)]
    found = only(
        gap(
            ca_rows=[row(1)],
            certificates=[original(2)],
            notifications=mails,
            crls=[signed_crl()],
            crl_entries=[entry(2, 6)],
        )
    )
    assert (found["kind"], found["suggested_action"]) == ("orphaned", None)


@pytest.mark.parametrize("known", [FACTS, CaseFacts(ca="Corp CA", restored=RESTORED)], ids=["failure known", "not"])
@pytest.mark.parametrize("reason", [1, 6])
def test_the_restored_cas_own_first_crl_hides_nothing(known: CaseFacts, reason: int) -> None:
    """The service publishes a CRL as it starts, before people call the CA restored; it lacks what was lost."""
    own_first = signed_crl(crl_sha256="f" * 64, crl_number="8", this_update=RESTORED - timedelta(hours=1))
    found = find_gap(
        ca_rows=TABLES["ca_rows"].frame([row(1)]),
        crls=TABLES["crls"].frame([signed_crl(), own_first]),
        crl_entries=TABLES["crl_entries"].frame([entry(1, reason)]),
        facts=known,
    )
    lost = only(found[found["kind"] != "crl_number_regression"])
    assert (lost["suggested_action"], lost["suggested_reason"]) == ("revoke", reason)


def test_a_forged_mail_does_not_shorten_the_life_that_a_dummy_must_have() -> None:
    """A dummy that ends before the real certificate lets the serial drop from the CRL."""
    mails = [
        mail("issued", 2, not_after=IN_GAP + timedelta(days=1), location="byte 0"),
        mail("issued", 2, not_after=ENDS),
    ]
    assert only(gap(ca_rows=[row(1)], notifications=mails))["not_after"] == pd.Timestamp(ENDS)


def test_a_forged_twin_does_not_make_a_true_mail_suspect() -> None:
    mails = [
        mail("issued", 2),
        {**mail("issued", 2, flags=["certificate_not_verified", "forwarded"]), "request_id": 9},
    ]
    found = only(gap(ca_rows=[row(1)], notifications=mails, certificates=[own_ca(0, 0)]))
    assert (found["kind"], found["confidence"]) == ("orphaned", "medium")


def test_what_only_mails_show_is_never_of_high_confidence() -> None:
    """Whoever knows the CA's serials can write a mail that nobody can tell: high would say that it is settled."""
    alone = only(gap(ca_rows=[row(1)], notifications=[mail("issued", 2)]))
    assert alone["confidence"] == "medium"
    assert "a mail can be forged" in alone["why"].lower()
    assert "carries the mail's request ID" in alone["why"]
    signed = only(gap(ca_rows=[row(1)], notifications=[mail("issued", 2)], certificates=[original(2)]))
    assert signed["confidence"] == "high"
    renewal = gap(
        ca_rows=[row(1)], notifications=[mail("issued", 2, serial=serial(2, index=1))],
        certificates=[own_ca(0, 0), own_ca(1, 0)],
    )  # fmt: skip
    told = renewal[renewal["serial"] == serial(2, index=1)]
    assert list(told["confidence"]) == ["medium"]


def test_an_imported_row_in_a_late_view_is_no_second_certificate() -> None:
    """An import takes a new request ID after the restore, with the old serial number: that is mending, no conflict."""
    asked = RESTORED + timedelta(hours=5)
    imported = {**row(2, submitted_at=asked), "request_id": 77}
    mails = [mail("issued", 2)]
    same = {**imported, "thumbprint": "e" * 40}
    assert len(gap(ca_rows=[row(1), same], notifications=mails, certificates=[original(2)])) == 0
    assert len(gap(ca_rows=[row(1), imported], notifications=mails)) == 0
    dummy = only(gap(ca_rows=[row(1), imported], notifications=mails, certificates=[original(2)]))
    assert (dummy["kind"], dummy["confidence"]) == ("serial_conflict", "medium")
    assert "dummy" in dummy["why"]
    again = only(gap(ca_rows=[row(1), row(2, submitted_at=asked)], notifications=mails, certificates=[original(2)]))
    assert (again["kind"], again["confidence"]) == ("serial_conflict", "high")


def test_a_mail_whose_serial_was_made_ambiguous_is_told_and_not_forgotten() -> None:
    """The UPN stands before the serial number and may hold a line break: two serials, neither believed."""
    blinded = mail("issued", 2, serial=None, flags=["label_repeated", "serial_ambiguous"])
    found = only(gap(ca_rows=[row(1)], notifications=[blinded]))
    assert (found["kind"], found["request_id"], found["serial"]) == ("unaccounted_request", 2, None)
    assert found["evidence"] == ["E0001 byte 2 (issued mail)"]
    assert len(gap(ca_rows=[row(1)], notifications=[blinded, mail("issued", 2)])) == 1


def test_a_certificate_with_a_serial_of_no_layout_is_an_orphan_and_no_lost_renewal() -> None:
    """An imported certificate: 16 bytes that happen to read as index 0x0a7e."""
    odd = "4411223344556677889a" + "0a7e" + "00000005"
    found = only(gap(ca_rows=[row(1)], certificates=[own_ca(0, 0), original(2, serial=odd)]))
    assert (found["kind"], found["suggested_action"]) == ("orphaned", "restore")


def test_one_imported_row_does_not_make_every_odd_serial_uncovered() -> None:
    odd = "2211223344556677889a" + "000000000005"
    rows = [row(500), row(501, serial="4411223344556677889a" + "000000000003")]
    found = only(gap(ca_rows=rows, certificates=[original(2, serial=odd)]))
    assert found["kind"] == "orphaned"


# ------------------------------------------------------------------- honest but odd evidence


def test_a_hold_of_before_the_backup_that_became_final_is_a_lost_revocation() -> None:
    found = only(gap(ca_rows=[HELD], crls=[signed_crl()], crl_entries=[entry(1, 1)]))
    assert (found["kind"], found["suggested_action"], found["suggested_reason"]) == ("lost_revocation", "revoke", 1)
    by_mail = only(gap(ca_rows=[HELD], notifications=[mail("revoked", 1, reason=1)]))
    assert (by_mail["kind"], by_mail["suggested_action"]) == ("lost_revocation", None)


def test_a_certificate_of_a_subordinate_ca_says_nothing_about_this_cas_renewals() -> None:
    subordinate = own_ca(3, 2, certificate_sha256="9" * 64, subject="CN=Sub CA", own_ca=False)
    assert (
        only(gap(ca_rows=[row(1)], notifications=[mail("issued", 2)], certificates=[subordinate]))["kind"] == "orphaned"
    )
    lost = mail("issued", 2, serial=serial(2, index=3))
    found = gap(ca_rows=[row(1)], notifications=[lost], certificates=[own_ca(0, 0), subordinate])
    assert only(found)["kind"] == "lost_ca_certificate"


def test_a_crl_that_names_no_serial_or_does_not_say_whether_it_is_a_delta_takes_nothing_down() -> None:
    crls = pd.DataFrame([{k: v for k, v in signed_crl().items() if k != "is_delta"}])
    entries = TABLES["crl_entries"].frame([{"crl_sha256": CRL, "serial": None, "reason": 1}, entry(1, 1)])
    held = TABLES["ca_rows"].frame([row(1), {**HELD, "serial": serial(2)}])
    found = find_gap(ca_rows=held, crls=crls, crl_entries=entries, facts=FACTS)
    assert "lost_revocation" in set(found["kind"])


def test_the_question_which_ca_was_lost_can_be_printed_anywhere() -> None:
    mails = [mail("issued", 2, ca_name="Evil!d800!001b[31m CA"), mail("issued", 3, ca_name="Other CA")]
    with pytest.raises(QuestionError) as asked:
        find_gap(TABLES["notifications"].frame(mails), facts=CaseFacts(restored=RESTORED))
    assert str(asked.value).isprintable()
    str(asked.value).encode("utf-8")


def test_a_later_view_without_request_ids_is_asked_about() -> None:
    rows = [{**row(1), "evidence_id": "E1"}, {**row(1), "request_id": None, "disposition": 21, "evidence_id": "E2"}]
    views = [
        {"evidence_id": e, "columns": ["RequestID", "SerialNumber"], "rows": 1, "complete": True} for e in ("E1", "E2")
    ]
    with pytest.raises(QuestionError, match="E2"):
        assemble_baseline(TABLES["ca_rows"].frame(rows), TABLES["views"].frame(views))


def test_coverage_says_which_columns_the_view_lacks() -> None:
    bare = [{"request_id": 1, "serial": serial(1), "evidence_id": "E1"}]
    views = [{"evidence_id": "E1", "columns": ["RequestID", "SerialNumber"], "rows": 1, "complete": True}]
    baseline = assemble_baseline(TABLES["ca_rows"].frame(bare), TABLES["views"].frame(views))
    table = assess_coverage(
        *(TABLES["notifications"].empty(), baseline, TABLES["crls"].empty(), TABLES["findings"].empty()),
        *(TABLES["accounting"].empty(), TABLES["certificates"].empty()),
        facts=FACTS,
    )
    lacks = table[table["aspect"] == "columns of the view"]
    assert list(lacks["verdict"]) == ["gap"]
    assert "Request.Disposition" in lacks["why"].iloc[0]
    assert "CertificateHash" in lacks["why"].iloc[0]


def test_dates_of_the_far_past_and_future_are_only_dates() -> None:
    edges = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
    mails = [
        mail(
            event, n, reason=1, sent_at=at, revoked_at=at, not_before=at, not_after=at, flags=flags, location=f"{n}{k}"
        )
        for n in (1, 2)
        for event in ("issued", "revoked", "unrevoked")
        for k, at in enumerate(edges)
        for flags in ([], ["forwarded"])
    ]
    assert len(gap(ca_rows=[row(1)], notifications=mails))
    assert FAILURE < RESTORED


def cacerthash(*hashes: str, ca_name: str | None = "Corp CA") -> dict[str, Any]:
    return {"ca_name": ca_name, "name": "CACertHash", "type": "REG_MULTI_SZ", "value": list(hashes)}


FOREIGN_KEY = {"ca_version": 5 << 16 | 5, "signer_key_index": 5}


# --------------------------------------------- getting a good certificate revoked: second round


def test_a_forged_end_of_validity_does_not_bring_a_released_hold_back() -> None:
    """The row says until when the certificate is valid; a mail that ends it before the second list does not count."""
    early = mail("revoked", 1, reason=6, not_after=IN_GAP + timedelta(days=1))
    lists: dict[str, Any] = {"crls": [signed_crl(), signed_crl(**LATER)], "crl_entries": [entry(1, 6)]}
    assert not len(gap(ca_rows=[row(1)], **lists))
    found = gap(ca_rows=[row(1)], notifications=[early], **lists)
    assert found["suggested_action"].isna().all()


def test_a_forged_end_of_validity_does_not_get_an_orphan_revoked_that_was_released() -> None:
    early = mail("issued", 2, not_after=IN_GAP + timedelta(days=1))
    lists: dict[str, Any] = {"crls": [signed_crl(), signed_crl(**LATER)], "crl_entries": [entry(2, 6)]}
    assert only(gap(ca_rows=[row(1)], notifications=[early], **lists))["suggested_action"] is None


@pytest.mark.parametrize("self_asserted", [5 << 16 | 5, 0])
def test_a_list_of_another_key_revokes_nothing(self_asserted: int) -> None:
    """A self-made CA certificate of an index that nothing contradicts signs a list; what it says of itself is free."""
    forged = signed_crl(**{**FOREIGN_KEY, "ca_version": self_asserted})
    found = only(
        gap(ca_rows=[row(1)], crls=[forged], crl_entries=[entry(1, 1)], certificates=[own_ca(0, 0), own_ca(5, 5)])
    )
    assert (found["kind"], found["suggested_action"], found["confidence"]) == ("lost_revocation", None, "low")
    assert "key 5" in found["why"]
    orphan = only(
        gap(
            ca_rows=[row(1)],
            notifications=[mail("issued", 2)],
            crls=[forged],
            crl_entries=[entry(2, 1)],
            certificates=[own_ca(0, 0), own_ca(5, 5)],
        )
    )
    assert (orphan["kind"], orphan["suggested_action"]) == ("orphaned", None)


def test_a_list_of_another_key_takes_no_true_revocation_back() -> None:
    later = signed_crl(**{**LATER, **FOREIGN_KEY})
    certificates = [own_ca(0, 0), own_ca(5, 5)]
    held = only(gap(ca_rows=[row(1)], crls=[signed_crl(), later], crl_entries=[entry(1, 6)], certificates=certificates))
    assert (held["suggested_action"], held["suggested_reason"]) == ("revoke", 6)


def test_an_original_that_another_key_signed_is_not_put_on_the_import_list() -> None:
    cas = [own_ca(0, 0, key_id="a0"), own_ca(5, 5, key_id="a5")]
    true_one = only(gap(ca_rows=[row(1)], certificates=[*cas, original(2, authority_key_id="a0")]))
    assert true_one["suggested_action"] == "restore"
    forged = only(gap(ca_rows=[row(1)], certificates=[*cas, original(2, authority_key_id="a5")]))
    assert (forged["kind"], forged["suggested_action"], forged["confidence"]) == ("orphaned", None, "low")


def test_a_serial_whose_request_id_is_another_certificates_is_suspect() -> None:
    """One request, one certificate: the database has it, and it has another serial number."""
    forged = mail("issued", 2, serial=serial(2).replace("0011223344", "aa11223344"))
    found = only(gap(ca_rows=[row(1), row(2)], notifications=[forged]))
    assert found["kind"] == "suspect_notification"
    assert serial(2) in found["why"]
    # A request that was refused, or waited, at the backup may have been issued since.
    for disposition in (9, 31):
        waited = row(2, disposition=disposition, serial=None)
        assert only(gap(ca_rows=[row(1), waited], notifications=[forged]))["kind"] == "orphaned"
    # A row of after the restore has taken the number over.
    reused = row(2, submitted_at=RESTORED + timedelta(hours=1))
    assert only(gap(ca_rows=[row(1), reused], notifications=[forged]))["kind"] == "orphaned"


def test_of_two_serials_of_one_request_a_mail_alone_makes_neither_sure() -> None:
    rival = mail("issued", 2, serial=serial(2).replace("0011223344", "aa11223344"), location="byte 99")
    both = gap(ca_rows=[row(1)], notifications=[mail("issued", 2), rival])
    assert list(both["kind"]) == ["orphaned", "orphaned"]
    assert set(both["confidence"]) == {"low"}
    assert both["why"].str.contains("same request ID").all()
    proved = gap(ca_rows=[row(1)], notifications=[mail("issued", 2), rival], certificates=[original(2)])
    assert dict(zip(proved["serial"], proved["confidence"], strict=True)) == {
        serial(2): "high",
        rival["serial"]: "low",
    }


# --------------------------------------------------------- hiding what was lost: second round


@pytest.mark.parametrize("ca_name", ["Corp CA", "Evil CA", None])
def test_a_forged_registry_does_not_take_the_cas_own_certificate_away(ca_name: str | None) -> None:
    """CACertHash without the CA's certificate would leave nothing to mend: its own rows know better."""
    listed = cacerthash("ff " * 20, ca_name=ca_name)
    own = own_ca(0, 0, thumbprint="a" * 40)
    found = only(gap(ca_rows=[row(1)], notifications=[mail("issued", 2)], certificates=[own], registry=[listed]))
    assert found["kind"] == "orphaned"
    nameless = only(
        gap(
            ca_rows=[row(1, issuer_name_id=None)],
            notifications=[mail("issued", 2)],
            certificates=[own],
            registry=[listed],
        )
    )
    assert nameless["kind"] == "orphaned"


def test_another_cas_registry_says_nothing_about_a_renewal_without_rows() -> None:
    cas = [own_ca(0, 0, thumbprint="a" * 40), own_ca(1, 1, thumbprint="b" * 40, not_before=BACKUP - timedelta(days=3))]
    issued = mail("issued", 2, serial=serial(2, index=1))
    for other in (cacerthash("ff " * 20, ca_name="Root CA"), cacerthash("ff " * 20, ca_name=None)):
        found = only(gap(ca_rows=[row(1)], notifications=[issued], certificates=cas, registry=[other]))
        assert found["kind"] == "orphaned"
    # The CA's own registry does: it lists the one certificate and not the other.
    mine = gap(ca_rows=[row(1)], notifications=[issued], certificates=cas, registry=[cacerthash("aa " * 20)])
    assert set(mine["kind"]) == {"lost_ca_certificate"}


def test_one_forged_mail_about_ones_own_certificate_does_not_set_the_clocks() -> None:
    """Whoever asked for a certificate knows its hash, and so can write a mail that the database confirms."""
    early = BACKUP + timedelta(days=1)
    evil = mail(
        "issued", 1, sent_at=early, thread_index_at=early + timedelta(hours=5), received_at=early + timedelta(hours=7),
        thumbprint=f"{1:040x}",
    )  # fmt: skip
    flood = [{**evil, "location": f"byte {n}"} for n in range(90, 120)]
    true_ones = [
        mail("issued", n, thread_index_at=IN_GAP, received_at=IN_GAP + timedelta(seconds=3)) for n in range(20, 30)
    ]
    found = gap(ca_rows=[row(1)], notifications=[*true_ones, *flood])
    assert list(found.loc[found["serial"].notna(), "kind"]) == ["orphaned"] * 10


def test_a_flood_about_ones_own_certificate_does_not_make_the_true_sender_strange() -> None:
    evil = mail("issued", 1, sender="evil@example.org", thumbprint=f"{1:040x}")
    flood = [{**evil, "location": f"byte {n}"} for n in range(100, 200)]
    true_ones = [mail("issued", n, sender="pki@corp.example") for n in range(20, 30)]
    found = gap(ca_rows=[row(1)], notifications=[*true_ones, *flood])
    assert list(found.loc[found["serial"].notna(), "kind"]) == ["orphaned"] * 10


def test_one_mail_about_a_known_row_does_not_name_the_restored_ca() -> None:
    """Where nobody said which CA it is, a forged mail must not make all true ones another CA's."""
    true_ones = [mail("issued", n) for n in (2, 3, 4)]
    evil = mail("issued", 1, ca_name="Evil CA", thumbprint=f"{1:040x}")
    frames: dict[str, Any] = {
        "notifications": TABLES["notifications"].frame([*true_ones, evil]),
        "ca_rows": TABLES["ca_rows"].frame([row(1)]),
        "facts": CaseFacts(restored=RESTORED),
    }
    with pytest.raises(QuestionError, match="2 CAs"):
        find_gap(**frames)
    # Its own certificate says how it is called.
    named = find_gap(**frames, certificates=TABLES["certificates"].frame([own_ca(0, 0)]))
    assert set(named.loc[named["kind"] == "orphaned", "serial"]) == {serial(n) for n in (2, 3, 4)}


def test_a_forged_hash_does_not_turn_a_proved_revocation_into_a_conflict() -> None:
    """The view does not say when the row was requested, so a mail may speak of a certificate of before."""
    lists: dict[str, Any] = {"crls": [signed_crl()], "crl_entries": [entry(1, 1)]}
    other = mail("issued", 1, thumbprint="f" * 40)
    found = only(gap(ca_rows=[row(1, submitted_at=None)], notifications=[other], **lists))
    assert (found["kind"], found["suggested_action"], found["suggested_reason"]) == ("lost_revocation", "revoke", 1)
    assert "f" * 40 in found["why"]
    alone = only(gap(ca_rows=[row(1, submitted_at=None)], notifications=[other]))
    assert (alone["kind"], alone["confidence"]) == ("serial_conflict", "low")


def test_an_earlier_forged_mail_does_not_make_a_true_revocation_suspect() -> None:
    """The list of in between contradicts the forged one only; the true one, forwarded, has no date to be read."""
    forged = mail("revoked", 1, reason=1, sent_at=CRL_AT - timedelta(days=3))
    true_one = mail("revoked", 1, reason=1, flags=["forwarded"], revoked_at=None, location="byte 2")
    found = only(gap(ca_rows=[row(1)], notifications=[forged, true_one], crls=[signed_crl()]))
    assert found["kind"] == "lost_revocation"


def test_the_log_says_received_and_a_mail_says_issued() -> None:
    received = {"event_id": 4886, "request_id": 2, "recorded_at": IN_GAP, "evidence_id": "E0004", "location": "1"}
    found = only(gap(ca_rows=[row(1)], audit_events=[received], notifications=[mail("issued", 2, serial=None)]))
    assert found["why"].startswith("A mail says that request 2 was issued")


# ------------------------------------------------------------------------ floods and leaps


def test_a_revoked_import_does_not_carry_the_request_ids_away() -> None:
    """Imported years ago: what its serial seems to carry is another CA's number, and its row has its own."""
    imported = "15fba3bb00007fffffff"
    rows = [row(1, serial="15fba3ba000000000001"), row(2, serial=imported)]
    found = only(gap(ca_rows=rows, crls=[signed_crl()], crl_entries=[{**entry(1, 1), "serial": imported}]))
    assert (found["kind"], found["suggested_action"]) == ("lost_revocation", "revoke")
    foreign = {**entry(1, 1), "serial": serial(5_000_000, first="52")}
    lost = gap(ca_rows=[row(1)], crls=[signed_crl()], crl_entries=[foreign])
    assert list(lost["kind"]) == ["orphaned"]


def test_many_suspect_mails_about_one_serial_are_told_in_few_words() -> None:
    forged = [{**mail("issued", 2, location=f"byte {n}"), "request_id": n} for n in range(5, 3_005)]
    alone = only(gap(ca_rows=[row(1)], notifications=forged))
    assert len(alone["evidence"]) == 3_000
    assert len(alone["why"]) < 5_000
    assert "2,980 more" in alone["why"]
    better = only(gap(ca_rows=[row(1)], notifications=[mail("issued", 2), *forged]))
    assert better["kind"] == "orphaned"
    assert len(better["why"]) < 10_000
    assert "2,980 more" in better["why"]


def test_a_flood_of_invented_serials_does_not_set_the_clocks_against_the_true_mails() -> None:
    """Nothing confirms any of them; a fifth of all mails is enough to be the CA's habit."""
    true_ones = [mail("issued", n, thread_index_at=IN_GAP) for n in range(20, 30)]
    flood = [mail("issued", n, thread_index_at=IN_GAP + timedelta(hours=5)) for n in range(40, 60)]
    found = gap(ca_rows=[row(1)], notifications=[*true_ones, *flood])
    kinds = dict(zip(found["serial"], found["kind"], strict=True))
    assert {kinds[serial(n)] for n in range(20, 30)} == {"orphaned"}


def test_an_old_registry_does_not_take_a_ca_certificate_away_that_signed_rows() -> None:
    """Exported before a renewal, genuine and stale; the view does not show IssuerNameID, but its serials do."""
    cas = [own_ca(0, 0, thumbprint="a" * 40), own_ca(1, 1, thumbprint="b" * 40, not_before=BACKUP - timedelta(days=90))]
    rows = [row(1, issuer_name_id=None), row(2, serial=serial(2, index=1), issuer_name_id=None)]
    issued = mail("issued", 3, serial=serial(3, index=1))
    found = only(gap(ca_rows=rows, certificates=cas, notifications=[issued], registry=[cacerthash("aa " * 20)]))
    assert found["kind"] == "orphaned"


def test_many_mails_about_one_request_are_all_told() -> None:
    denied = [mail("denied", 2, serial=None, location=f"byte {n}") for n in range(500)]
    pending = [mail("pending", 3, serial=None, location=f"byte {n}") for n in range(500)]
    found = only(gap(ca_rows=[row(1)], notifications=[*denied, *pending]))
    assert (found["kind"], found["request_id"], len(found["evidence"])) == ("lost_pending", 3, 500)


# --------------------------------------------------------------- what is no error of anybody's


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", None])
def test_a_mail_from_the_ends_of_the_calendar_stops_no_table(zone: str | None) -> None:
    """The zone of the case would carry these dates over the edge."""
    edges = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
    mails = TABLES["notifications"].frame([mail("issued", n, sent_at=at) for n, at in enumerate(edges, start=1)])
    facts = CaseFacts(ca="Corp CA", backup=BACKUP, failure=FAILURE, restored=RESTORED, time_zone=zone)
    nothing = {name: TABLES[name].empty() for name in ("audit_events", "certificates", "registry")}
    rows = TABLES["ca_rows"].frame([row(1)])
    days = make_activity(mails, rows=rows, layout=CaLayout(), facts=facts, **nothing)
    assert len(days)
    told = assess_coverage(
        *(mails, Baseline(rows, ("E1",)), TABLES["crls"].empty(), TABLES["findings"].empty()),
        *(TABLES["accounting"].empty(), TABLES["certificates"].empty()),
        facts=facts,
    )
    assert "edges of the mailbox" in set(told["aspect"])


def test_times_that_people_named_may_be_the_first_of_all() -> None:
    dawn = datetime(1, 1, 1, tzinfo=UTC)
    facts = CaseFacts(ca="Corp CA", backup=dawn, failure=dawn, restored=dawn)
    rows = TABLES["ca_rows"].frame([row(1)])
    mails = TABLES["notifications"].frame([mail("issued", 2, sent_at=dawn)])
    assert len(find_gap(mails, rows, facts=facts))
    told = assess_coverage(
        *(mails, Baseline(rows, ("E1",)), TABLES["crls"].empty(), TABLES["findings"].empty()),
        *(TABLES["accounting"].empty(), TABLES["certificates"].empty()),
        facts=facts,
    )
    assert len(told)


def test_a_ca_name_with_half_a_character_about_a_known_row_is_a_question() -> None:
    mails = [mail("issued", 1, ca_name="Evil!d800 CA"), mail("issued", 3, ca_name="Other CA")]
    frames = (TABLES["notifications"].frame(mails), TABLES["ca_rows"].frame([row(1)]))
    with pytest.raises(QuestionError, match="2 CAs"):
        find_gap(*frames, facts=CaseFacts(restored=RESTORED))
    assert len(find_gap(*frames, facts=CaseFacts(ca="Evil!d800 CA", restored=RESTORED))) == 0


def test_a_list_whose_number_is_none_and_an_entry_without_a_serial_count_as_that() -> None:
    crls = [signed_crl(crl_number="x"), signed_crl(**LATER)]
    nameless = {"crl_sha256": LATER["crl_sha256"], "serial": None, "reason": None}
    found = gap(ca_rows=[row(1)], crls=crls, crl_entries=[entry(1, 1), nameless])
    assert only(found)["suggested_action"] == "revoke"
    impact = make_impact(found, TABLES["crls"].frame(crls), TABLES["crl_entries"].frame([nameless]))
    assert len(impact)


def test_a_ca_certificate_with_a_lost_serial_number_takes_no_findings_name() -> None:
    """Whoever makes a certificate chooses its serial number; a decision must be about one finding."""
    cas = [
        own_ca(0, 0),
        own_ca(1, 1, not_before=IN_GAP, serial=serial(2, index=1)),
        own_ca(2, 2, not_before=IN_GAP, serial=serial(2, index=1)),
    ]
    found = gap(ca_rows=[row(1)], notifications=[mail("issued", 2, serial=serial(2, index=1))], certificates=cas)
    assert list(found["kind"]) == ["lost_ca_certificate"] * 3
    assert found["finding_id"].is_unique
    assert f"lost_ca_certificate-{serial(2, index=1)}" in set(found["finding_id"])
