"""What a plan is, what it refuses, and who may let it go."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from carecover.errors import RefusedError, UsageError
from carecover.model import TABLES, Action, CaseFacts, Plan, SignOff
from carecover.remediation import check_key, check_signoffs, explain
from tests.remediation.conftest import (
    HELD,
    KEPT,
    KNOWN_ORPHAN,
    NOW,
    ORPHAN,
    REVOKED,
    Incident,
    ca_row,
    certificate,
    certificate_row,
    finding,
    thumbprint,
)


def signed(plan: Plan, person: str, role: str) -> SignOff:
    return SignOff(plan.digest, person, role, NOW)  # type: ignore[arg-type]


def test_a_plan_holds_every_decision_in_order(incident: Incident) -> None:
    plan = incident.plan()
    assert [(i.number, i.serial, i.action, i.reason, i.method) for i in plan.items] == [
        (1, REVOKED, "revoke", 4, "row"),
        (2, ORPHAN, "revoke", 1, "dummy"),
        (3, KNOWN_ORPHAN, "revoke", 6, "original"),
        (4, KEPT, "restore", None, "original"),
        (5, HELD, "unrevoke", None, "row"),
    ]
    row, dummy, original = plan.items[:3]
    assert row.expected_thumbprint == thumbprint(REVOKED.encode())
    assert row.original_revoked_at == "2026-01-30T12:00:00Z"
    assert dummy.expected_thumbprint is None
    assert dummy.not_after == "2027-01-01T00:00:00Z"
    assert original.certificate_sha256 == hashlib.sha256(incident.originals[0]).hexdigest()
    assert original.expected_thumbprint == thumbprint(incident.originals[0])
    assert (plan.ca_name, plan.newest_request_id, plan.last_crl_numbers) == ("Corp Issuing CA", 12, {"0": "41"})
    assert plan.needs_dummies
    assert Plan.from_json(plan.to_json()) == plan


def test_the_order_of_the_evidence_does_not_matter(incident: Incident) -> None:
    digest = incident.plan().digest
    incident.findings.reverse()
    incident.ca_rows.reverse()
    incident.choices.reverse()
    assert incident.plan().digest == digest


def test_keys_come_one_after_the_other(incident: Incident) -> None:
    incident.findings[0]["ca_key_index"] = 1
    assert [item.serial for item in incident.plan().items][-1] == ORPHAN


def test_any_change_of_a_field_changes_the_digest(incident: Incident) -> None:
    plan = incident.plan()
    digests = {plan.digest}
    changes: list[Plan] = [
        replace(plan, **{f.name: _other(getattr(plan, f.name))}) for f in fields(plan) if f.name != "items"
    ]
    changes += [
        replace(
            plan, items=(replace(plan.items[0], **{f.name: _other(getattr(plan.items[0], f.name))}), *plan.items[1:])
        )
        for f in fields(plan.items[0])
    ]
    changes += [replace(plan, items=plan.items[:-1]), replace(plan, items=plan.items[::-1])]
    digests.update(changed.digest for changed in changes)
    assert len(digests) == 1 + len(changes)


def _other(value: object) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "0"
        case None:
            return "something"
        case tuple():
            return (*value, "undecided: x")
        case dict():
            return {**value, "7": "7"}
    raise AssertionError(value)


@pytest.mark.parametrize("undecided", ["no decision", "undecided"])
def test_undecided_findings_are_refused_unless_waived(incident: Incident, undecided: str) -> None:
    choice = incident.choices.pop(0)
    if undecided == "undecided":
        incident.choices.append({"serials": choice["serials"], "action": "undecided"})
    told = rf"1 of 5 findings are not decided \(1 orphaned: {ORPHAN}\).*'undecided: why'"
    with pytest.raises(RefusedError, match=told):
        incident.plan()
    incident.waivers = ("undecided: the owner is asked first",)
    plan = incident.plan()
    assert [(i.action, i.method) for i in plan.items if i.serial == ORPHAN] == [("undecided", "none")]
    assert plan.waivers == incident.waivers
    assert "Waived: undecided: the owner is asked first" in explain(plan)


def test_what_is_left_stays_on_the_plan(incident: Incident) -> None:
    incident.choices[0] = {"serials": [ORPHAN], "action": "leave"}
    plan = incident.plan()
    assert [(i.action, i.method) for i in plan.items if i.serial == ORPHAN] == [("leave", "none")]
    assert not plan.needs_dummies
    assert any("watch list" in sentence for sentence in explain(plan))
    assert not any("leaves valid what" in sentence for sentence in explain(plan))


@pytest.mark.parametrize("action", ["leave", "restore", "undecided"])
def test_a_revocation_that_the_plan_forgets_is_told_before_anybody_signs(incident: Incident, action: Action) -> None:
    plan = incident.plan()
    lost = next(item for item in plan.items if item.kind == "lost_revocation" and item.action == "revoke")
    assert lost.original_revoked_at is not None
    assert not any("leaves valid what" in sentence for sentence in explain(plan))
    forgets = replace(lost, action=action, method="none", reason=None, original_reason=1)
    items = tuple(forgets if item is lost else item for item in plan.items)
    (told,) = [sentence for sentence in explain(replace(plan, items=items)) if "leaves valid what" in sentence]
    assert f"{lost.serial} (1 Key Compromise)" in told
    lifted = replace(forgets, original_reason=-1)
    items = tuple(lifted if item is lost else item for item in plan.items)
    assert not any("leaves valid what" in sentence for sentence in explain(replace(plan, items=items)))


@pytest.mark.parametrize("waiver", ["hash: no time", f"hash {REVOKED}: no time"])
def test_a_row_whose_hash_is_unknown_needs_a_waiver(incident: Incident, waiver: str) -> None:
    incident.findings[3]["row_thumbprint"] = None
    incident.ca_rows[0]["thumbprint"] = None
    with pytest.raises(RefusedError, match=rf"{REVOKED}: the hash .* 'hash {REVOKED}: why'"):
        incident.plan()
    incident.waivers = (f"hash {ORPHAN}: another one",)
    with pytest.raises(RefusedError, match="hash"):
        incident.plan()
    incident.waivers = (waiver,)
    item = incident.plan().items[0]
    assert (item.serial, item.hash_waived, item.expected_thumbprint) == (REVOKED, True, None)


@pytest.mark.parametrize("waiver", ["", "please", "hash:", "reason: because", "hash zz: x", "undecided: " + "x" * 500])
def test_a_waiver_says_what_and_why(incident: Incident, waiver: str) -> None:
    with pytest.raises(UsageError, match="A waiver says"):
        incident.plan(waivers=[waiver])


def test_a_stolen_key_stops_the_work(incident: Incident) -> None:
    incident.facts = CaseFacts(key_exposed="yes")
    with pytest.raises(RefusedError, match="out of service"):
        incident.plan()
    with pytest.raises(RefusedError, match="out of service"):
        check_key(incident.facts)
    check_key(CaseFacts(key_exposed="unknown"))


def test_no_ca_certificate_no_plan(incident: Incident) -> None:
    with pytest.raises(RefusedError, match=r"-ca\.cert"):
        incident.plan(ca_certificates=TABLES["certificates"].empty())


def test_two_ca_certificates_with_one_index_are_not_guessed_about(incident: Incident) -> None:
    other = certificate_row(certificate(99, is_ca=True), ca_version=0)
    both = TABLES["certificates"].frame([certificate_row(incident.ca_certificate, ca_version=0), other])
    with pytest.raises(RefusedError, match="Two different certificates"):
        incident.plan(ca_certificates=both)


def test_a_lost_ca_renewal_makes_no_dummy(incident: Incident) -> None:
    incident.findings[0]["ca_cert_index"] = 1
    with pytest.raises(RefusedError, match=rf"{ORPHAN}: the CA certificate that signed it has index 1"):
        incident.plan()
    incident.choices[0] = {"serials": [ORPHAN], "action": "leave"}
    assert incident.plan().items[-1].ca_cert_index == 1


def test_an_unknown_index_is_the_only_certificate_there_is(incident: Incident) -> None:
    incident.findings[0].update(ca_cert_index=None, ca_key_index=None)
    item = next(i for i in incident.plan().items if i.serial == ORPHAN)
    assert (item.ca_cert_index, item.ca_key_index) == (0, 0)
    second = certificate_row(certificate(99, is_ca=True), ca_version=0x10001)
    both = TABLES["certificates"].frame([certificate_row(incident.ca_certificate, ca_version=0), second])
    with pytest.raises(RefusedError, match="is not known"):
        incident.plan(ca_certificates=both)


def test_the_newest_ca_certificate_is_compared(incident: Incident) -> None:
    second = certificate_row(certificate(99, is_ca=True), ca_version=0x10001)
    both = TABLES["certificates"].frame([second, certificate_row(incident.ca_certificate, ca_version=0)])
    plan = incident.plan(ca_certificates=both)
    assert plan.ca_certificate_sha256 == second["certificate_sha256"]
    assert list(plan.signer_sha256) == ["0", "1"]


def test_an_original_nobody_verified_is_not_imported(incident: Incident) -> None:
    unverified = [certificate_row(der, signed_by_ca=False) for der in incident.originals]
    with pytest.raises(RefusedError, match=rf"{KEPT}: the original"):
        incident.plan(originals=TABLES["certificates"].frame(unverified))


def test_findings_that_contradict_the_baseline_are_refused(incident: Incident) -> None:
    incident.ca_rows.append(ca_row(13, ORPHAN))
    with pytest.raises(RefusedError, match="the baseline has a row"):
        incident.plan()
    del incident.ca_rows[-1]
    del incident.ca_rows[0]
    with pytest.raises(RefusedError, match="does not have a row"):
        incident.plan()


def test_one_serial_has_one_finding(incident: Incident) -> None:
    incident.findings.append(finding("serial_conflict", ORPHAN))
    incident.choices.append({"select_all": "serial_conflict", "action": "leave"})
    with pytest.raises(RefusedError, match="Two findings"):
        incident.plan()


def test_a_baseline_without_request_ids_needs_a_waiver(incident: Incident) -> None:
    for row in incident.ca_rows:
        row["request_id"] = None
    with pytest.raises(RefusedError, match="'baseline: why'"):
        incident.plan()
    incident.waivers = ("baseline: exported without",)
    assert incident.plan().newest_request_id is None


def test_a_hand_edited_decision_is_checked_again(incident: Incident) -> None:
    decisions = incident.decisions
    decisions.loc[decisions["serial"] == ORPHAN, "reason"] = 8
    with pytest.raises(RefusedError, match="delta CRL"):
        incident.plan(decisions=decisions)


def test_only_crls_of_this_ca_count(incident: Incident) -> None:
    forged = {"crl_sha256": "1" * 64, "crl_number": "9000", "signed_by_ca": False, "ca_version": 0}
    second_key = {"crl_sha256": "2" * 64, "crl_number": "7", "signed_by_ca": True, "ca_version": 0x10001}
    crls = TABLES["crls"].frame([*incident.crls, forged, second_key])
    assert incident.plan(crls=crls).last_crl_numbers == {"0": "41", "1": "7"}


def test_the_log_names_numbers_of_lists_that_nobody_kept(incident: Incident) -> None:
    """Event 4872 gives one number for all keys; a list that claims another key counts for the key that signed it."""
    events = TABLES["audit_events"].frame([{"event_id": 4872, "crl_number": "97"}, {"event_id": 4870}])
    assert incident.plan(audit_events=events).last_crl_numbers == {"0": "97"}
    assert incident.plan(audit_events=events.iloc[1:]).last_crl_numbers == {"0": "41"}
    claimed = TABLES["crls"].frame(
        [{"signed_by_ca": True, "crl_number": "50", "ca_version": 1 << 16 | 1, "signer_key_index": 0}]
    )
    assert incident.plan(crls=claimed).last_crl_numbers == {"0": "50"}


def test_the_two_people_are_told_what_cannot_be_undone(incident: Incident) -> None:
    told = "\n".join(explain(incident.plan()))
    for words in (
        "2 certificates will be revoked for ever",
        "1 will be put on hold",
        "the date of the day it is done instead of the old one, for certutil -revoke takes no date",
        "2026-01-30T12:00:00Z",
        "2 original certificates will be imported",
        "1 dummy will be signed",
        "1 certificate will be taken off hold",
        "1 signature, 3 imports, 4 changes of revocation",
    ):
        assert words in told


def test_what_something_works_with_is_replaced_first(incident: Incident) -> None:
    assert "Replace before" not in " ".join(explain(incident.plan()))
    for one in incident.findings:
        one["replace_first"] = True
    plan = incident.plan()
    marked = {item.serial for item in plan.items if item.replace_first}
    assert marked == {REVOKED, ORPHAN, KNOWN_ORPHAN}, "only what is revoked stops working"
    (told,) = [sentence for sentence in explain(plan) if sentence.startswith("Replace before you revoke: 3")]
    assert all(serial in told for serial in marked)


def test_a_plan_from_before_the_mark_keeps_its_digest(incident: Incident) -> None:
    plan = incident.plan()
    body = plan.to_json()
    assert all("replace_first" not in item for item in body["items"])
    assert Plan.from_json(body).digest == plan.digest
    incident.findings[0]["replace_first"] = True
    marked = incident.plan()
    assert marked.digest != plan.digest
    assert Plan.from_json(marked.to_json()) == marked


def test_a_new_date_is_explained_by_what_it_does_to_signatures(incident: Incident) -> None:
    revoked = next(f for f in incident.findings if f["serial"] == REVOKED)
    plain = " ".join(explain(incident.plan()))
    assert "code signing and for signed documents" in plain
    assert "key compromise" not in plain
    revoked.update(template="Contoso Code Signing", original_reason=1)
    incident.choices[3] = {"serials": [REVOKED], "action": "revoke", "reason": 1}
    told = " ".join(explain(incident.plan()))
    assert f"code signing, which is what {REVOKED} did" in told
    assert "ICertAdmin::RevokeCertificate takes one" in told
    assert "the reason was key compromise: whoever has the key may have signed between the two dates" in told
    revoked.update(original_reason=6)
    assert "1 of them had been on hold" in " ".join(explain(incident.plan()))


def test_no_new_date_nothing_said_of_it(incident: Incident) -> None:
    incident.choices[3] = {"serials": [REVOKED], "action": "leave"}
    assert "between the two dates" not in " ".join(explain(incident.plan()))


def test_a_dummy_for_code_signing_leaves_the_list_too_early(incident: Incident) -> None:
    assert "CRLF_PUBLISH_EXPIRED_CERT_CRLS" not in " ".join(explain(incident.plan()))
    incident.findings[0]["template"] = "CodeSigning"
    told = " ".join(explain(incident.plan()))
    assert "1 dummy stands for code signing" in told
    assert f"drops off when it expires: {ORPHAN}" in told


# ------------------------------------------------------------------------------- signatures


def test_two_people_sign(incident: Incident) -> None:
    plan = incident.plan()
    check_signoffs(plan, [signed(plan, "Ada", "analyst"), signed(plan, "Bob", "reviewer")])
    extra = [signed(plan, "Ada", "reviewer"), signed(plan, "Ada", "analyst"), signed(plan, "Bob", "reviewer")]
    check_signoffs(plan, extra)


@pytest.mark.parametrize(
    ("people", "says"),
    [
        ([], "not signed by an analyst and a reviewer"),
        ([("Ada", "analyst")], "not signed by a reviewer"),
        ([("Bob", "reviewer")], "not signed by an analyst"),
        ([("Ada", "analyst"), ("Bob", "analyst")], "not signed by a reviewer"),
        ([("Ada", "analyst"), ("Ada", "reviewer")], "same person"),
        ([("Ada  Lovelace", "analyst"), ("ada lovelace ", "reviewer")], "same person"),
        ([("Ada", "analyst"), ("\uff21\uff44\uff41", "reviewer")], "same person"),
    ],
)
def test_fewer_than_two_people_do_not(incident: Incident, people: list[tuple[str, str]], says: str) -> None:
    plan = incident.plan()
    with pytest.raises(RefusedError, match=says):
        check_signoffs(plan, [signed(plan, person, role) for person, role in people])


def test_a_change_voids_both_signatures(incident: Incident) -> None:
    plan = incident.plan()
    signoffs = [signed(plan, "Ada", "analyst"), signed(plan, "Bob", "reviewer")]
    incident.findings[0]["not_after"] = datetime(2028, 1, 1, tzinfo=UTC)
    with pytest.raises(RefusedError, match="changed after it was signed"):
        check_signoffs(incident.plan(), signoffs)
