"""The bundle: byte-exact batches, nothing from evidence in them, nothing written that does not hold together.

Goldens are in ``goldens/``; after a change that is meant, refresh them with
``CARECOVER_UPDATE_GOLDENS=1 python -m pytest tests/remediation/test_bundle.py`` and read the diff.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.errors import RefusedError
from carecover.model import TABLES, CaseFacts, Pin, Plan, PlanItem
from carecover.remediation import certificate_name, check_dummies, pinned_bundle, prepare_bundle
from carecover.remediation.bundle import MAX_ITEMS
from tests.remediation.conftest import (
    CA_END,
    HELD,
    KEPT,
    KNOWN_ORPHAN,
    ORPHAN,
    REVOKED,
    Incident,
    certificate,
    certificate_row,
    thumbprint,
)

GOLDENS = Path(__file__).parent / "goldens"
DUMMY_NAME = f"dummies/{ORPHAN}.cer"


def whole(incident: Incident, **more: Any) -> dict[str, bytes]:
    """The pinned bundle of this incident."""
    plan = incident.plan(**more)
    dummy = certificate(ORPHAN, subject="dummy")
    names = [certificate_name(item) for item in plan.items if item.serial == ORPHAN]
    pins = check_dummies(plan, {names[0]: dummy}, incident.ca_certificates)
    return pinned_bundle(plan, incident.certificates, pins, {ORPHAN: dummy})


# ---------------------------------------------------------------------------------- goldens


def _item(number: int, serial: str, kind: str, action: Any, reason: int | None, method: Any, **more: Any) -> PlanItem:
    values: dict[str, Any] = {
        "finding_id": f"{kind}-{serial}",
        "certificate_sha256": None,
        "expected_thumbprint": None,
        "not_after": "2027-01-01T00:00:00Z",
        "ca_cert_index": 0,
        "ca_key_index": 0,
        "hash_waived": False,
        "original_reason": None,
        "original_revoked_at": None,
        "subject": "CN=somebody",
        "requester": "CORP\\somebody",
        "template": "WebServer",
        "note": None,
        "decided_by": "Ada",
    }
    return PlanItem(
        number=number, serial=serial, kind=kind, action=action, reason=reason, method=method, **{**values, **more}
    )


# A certificate that never changes: made once by certificate(), kept here because a signature is never the same twice.
CA_DER = (GOLDENS / "ca.cer").read_bytes()
ORIGINAL_DER = (GOLDENS / "original.cer").read_bytes()


def fixed_plan() -> tuple[Plan, dict[str, bytes], list[Pin], dict[str, bytes]]:
    """A plan with every kind of step, the same on every machine and in every year."""
    ca, original = hashlib.sha256(CA_DER).hexdigest(), hashlib.sha256(ORIGINAL_DER).hexdigest()
    high = "f0" + ORPHAN[2:]
    items = (
        _item(
            1,
            REVOKED,
            "lost_revocation",
            "revoke",
            4,
            "row",
            expected_thumbprint="ab" * 20,
            original_reason=4,
            original_revoked_at="2026-01-30T12:00:00Z",
        ),
        _item(2, HELD, "lost_revocation", "revoke", 6, "row", hash_waived=True),
        _item(3, ORPHAN, "orphaned", "revoke", 1, "dummy", replace_first=True),
        _item(4, high, "orphaned", "revoke", 0, "dummy"),
        _item(
            5,
            KEPT,
            "orphaned",
            "restore",
            None,
            "original",
            certificate_sha256=original,
            expected_thumbprint=thumbprint(ORIGINAL_DER),
        ),
        _item(6, KNOWN_ORPHAN, "lost_release", "unrevoke", None, "row", expected_thumbprint="cd" * 20),
        _item(7, "4711", "orphaned", "leave", None, "none"),
    )
    plan = Plan("incident", "Corp Issuing CA", "CA01\\Corp Issuing CA (1)", ca, {"0": ca}, 12, {"0": "41"}, items)
    dummies = {ORPHAN: b"dummy one", high: b"dummy two"}
    pins = [
        Pin(serial, hashlib.sha256(data).hexdigest(), thumbprint(data), CA_END, "CN=dummy", False)
        for serial, data in dummies.items()
    ]
    return plan, {ca: CA_DER, original: ORIGINAL_DER}, pins, dummies


@pytest.mark.parametrize("name", ["prepare.cmd", "revoke.cmd", "undo.cmd", "README.txt", "plan.html", "manifest.json"])
def test_files_are_byte_for_byte_the_golden_ones(name: str) -> None:
    plan, certificates, pins, dummies = fixed_plan()
    made = pinned_bundle(plan, certificates, pins, dummies, journal_head="0" * 64)[name]
    golden = GOLDENS / name
    if os.environ.get("CARECOVER_UPDATE_GOLDENS") == "1":
        golden.write_bytes(made)
    kept = golden.read_bytes()
    diff = difflib.unified_diff(kept.decode().splitlines(), made.decode().splitlines(), "golden", "made", lineterm="")
    assert made == kept, "\n".join(diff)


# ------------------------------------------------------------------------------- what is in it


def test_where_dummies_are_needed_revoke_comes_with_the_pins(incident: Incident) -> None:
    plan = incident.plan()
    first = prepare_bundle(plan, incident.certificates)
    assert "prepare.cmd" in first
    assert not {"revoke.cmd", "undo.cmd", DUMMY_NAME} & set(first)
    assert {"prepare.cmd", "revoke.cmd", "undo.cmd", DUMMY_NAME} <= set(whole(incident))


def test_without_dummies_revoke_is_there_at_once(incident: Incident) -> None:
    incident.choices[0] = {"serials": [ORPHAN], "action": "leave"}
    files = prepare_bundle(incident.plan(), incident.certificates)
    assert "prepare.cmd" not in files
    assert ORPHAN.encode() not in files["revoke.cmd"], "what is left is not touched"


def test_undo_is_there_only_where_something_can_be_undone(incident: Incident) -> None:
    incident.choices = [{"serials": [f["serial"]], "action": "leave"} for f in incident.findings]
    assert "undo.cmd" not in prepare_bundle(incident.plan(), incident.certificates)


def test_the_manifest_names_every_file_and_the_digest(incident: Incident) -> None:
    plan = incident.plan()
    files = prepare_bundle(plan, incident.certificates, journal_head="f" * 64)
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["plan"] == plan.digest == hashlib.sha256(files["plan.json"]).hexdigest()
    assert manifest["journal_head"] == "f" * 64
    assert manifest["files"] == {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in files.items()
    }


def test_a_batch_that_is_written_again_names_the_head_of_the_first_time(incident: Incident) -> None:
    plan = incident.plan()
    first = prepare_bundle(plan, incident.certificates, journal_head="a" * 64)
    again = prepare_bundle(
        plan, incident.certificates, journal_head="b" * 64, written={"prepare.cmd": "a" * 64, "README.txt": "c" * 64}
    )
    assert again["prepare.cmd"] == first["prepare.cmd"], "it may lie on a CA already"
    assert json.loads(again["manifest.json"])["journal_head"] == "b" * 64


def test_text_files_are_ascii_with_windows_line_ends(incident: Incident) -> None:
    for name, data in whole(incident).items():
        if name.endswith((".cmd", ".txt", ".html")) or name == "manifest.json":
            assert data.isascii(), name
            assert data.replace(b"\r\n", b"").count(b"\n") == data.replace(b"\r\n", b"").count(b"\r") == 0, name
            assert data.endswith(b"\r\n"), name


def test_the_same_plan_makes_the_same_bytes(incident: Incident) -> None:
    plan = incident.plan()
    assert prepare_bundle(plan, incident.certificates) == prepare_bundle(plan, incident.certificates)


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ("CA01\\Corp Issuing CA", True),
        ("ca-01.corp.example\\Corp_CA (2)", True),
        (None, False),
        ("Corp Issuing CA", False),
        ("CA01\\Zertifizierungsstelle M\u00fcller", False),
        ('CA01\\Corp" & del x & "', False),
        ("CA01\\100% CA", False),
        ("CA01\\Corp\\", False),
        ("CA01\\Corp\nCA", False),
        ("CA01\\" + "A" * 65, False),
    ],
)
def test_only_a_plain_configuration_string_is_written(incident: Incident, config: str | None, kept: bool) -> None:
    files = whole(incident, facts=CaseFacts(config=config))
    for name in ("prepare.cmd", "revoke.cmd", "undo.cmd"):
        assert (b'set "CACONFIG=' in files[name]) is kept
        assert (b'-config "%CACONFIG%"' in files[name]) is kept
    # An administrator reads which CA is asked, also where a name had to be left out.
    assert (f"The CA that is asked is {config}.".encode() in files["README.txt"]) is kept
    assert (b"run this on the CA itself" in files["README.txt"]) is not kept


def test_a_high_serial_is_asked_for_in_both_spellings(incident: Incident) -> None:
    serial = "ff" + REVOKED[2:]
    incident.findings[3]["serial"] = serial
    incident.ca_rows[0]["serial"] = serial
    incident.choices[3] = {"serials": [serial], "action": "revoke", "reason": 4}
    lines = whole(incident)["revoke.cmd"].decode().splitlines()
    assert [line.split('"')[7] for line in lines if line.startswith("call :item") and serial in line] == ["00"]
    assert [line.split('"')[7] for line in lines if line.startswith("call :item") and KEPT in line] == [""]


# ------------------------------------------------------------------------- nothing from evidence

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
EVIL = st.sampled_from(
    ["%COMSPEC%", '" & calc & "', "\r\ndel *", "a\nb", "^", "!x!", "%~dp0", "x\x00y", "\ufeff", "| more", ") & x", "/?"]
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXT | EVIL, min_size=8, max_size=8))
def test_no_text_of_the_evidence_reaches_a_batch(incident: Incident, texts: list[str]) -> None:
    calm = whole(incident)
    wild = Incident(
        findings=[
            {
                **f,
                "subject": texts[0],
                "requester": texts[1],
                "template": texts[2],
                "why": texts[3],
                "evidence": texts[4:5],
            }
            for f in incident.findings
        ],
        ca_rows=[{**r, "requester": texts[0], "subject": texts[1], "template": texts[2]} for r in incident.ca_rows],
        choices=[{**c, "note": texts[5]} for c in incident.choices],
        ca_certificate=incident.ca_certificate,
        originals=incident.originals,
        crls=incident.crls,
        facts=CaseFacts(config="CA01\\Corp Issuing CA", ca=texts[6]),
    )
    files = whole(wild, case=texts[7])
    for name in ("prepare.cmd", "revoke.cmd", "undo.cmd", "README.txt"):
        assert _without_digests(files[name]) == _without_digests(calm[name])
    assert set(files) == set(calm)


def _without_digests(data: bytes) -> bytes:
    """The bytes but for the plan's digest and for the dummy's hashes, which differ with each signature."""
    return re.sub(rb"[0-9a-f]{64}|(?:[0-9a-f]{2} ){19,31}[0-9a-f]{2}", b"-", data)


# -------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "change",
    [
        {"serial": "4400&calc"},
        {"serial": "44AB"},
        {"serial": "0044ab"},
        {"serial": "4"},
        {"serial": "44" * 21},
        {"reason": 7},
        {"reason": 8},
        {"reason": -1},
        {"reason": None},
        {"expected_thumbprint": '" & calc'},
        {"expected_thumbprint": None},
        {"method": "none"},
        {"action": "leave"},
        {"action": "unrevoke"},
        {"action": "erase"},
        {"number": 2},
        {"ca_cert_index": -1},
        {"ca_cert_index": '0" & calc'},
    ],
)
def test_a_plan_with_a_value_of_another_kind_is_refused(incident: Incident, change: dict[str, Any]) -> None:
    plan = incident.plan()
    bad = replace(plan, items=(replace(plan.items[0], **change), *plan.items[1:]))
    with pytest.raises(RefusedError, match="Item 1 of the plan does not hold together"):
        prepare_bundle(bad, incident.certificates)


@pytest.mark.parametrize(
    "change",
    [
        {"ca_certificate_sha256": "x"},
        {"signer_sha256": {"0; calc": "0" * 64}},
        {"newest_request_id": -1},
        {"newest_request_id": 1 << 40},
    ],
)
def test_a_plan_with_bad_facts_of_the_ca_is_refused(incident: Incident, change: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        prepare_bundle(replace(incident.plan(), **change), incident.certificates)


def test_a_plan_too_large_for_a_batch_is_refused(incident: Incident) -> None:
    plan = incident.plan()
    with pytest.raises(RefusedError, match=f"takes {MAX_ITEMS}"):
        prepare_bundle(replace(plan, items=plan.items[:1] * (MAX_ITEMS + 1)), incident.certificates)


def test_a_missing_or_other_certificate_is_refused(incident: Incident) -> None:
    plan = incident.plan()
    for sha256 in incident.certificates:
        rest = {k: v for k, v in incident.certificates.items() if k != sha256}
        with pytest.raises(RefusedError, match=sha256):
            prepare_bundle(plan, rest)
        with pytest.raises(RefusedError, match=sha256):
            prepare_bundle(plan, {**rest, sha256: b"another"})


def test_an_original_with_another_thumbprint_is_refused(incident: Incident) -> None:
    rows = [certificate_row(der, thumbprint="00" * 20) for der in incident.originals]
    with pytest.raises(RefusedError, match="thumbprint"):
        prepare_bundle(incident.plan(originals=TABLES["certificates"].frame(rows)), incident.certificates)


def test_a_dummy_that_was_not_checked_is_not_pinned(incident: Incident) -> None:
    plan = incident.plan()
    dummy = certificate(ORPHAN, subject="dummy")
    (pin,) = check_dummies(plan, {DUMMY_NAME: dummy}, incident.ca_certificates)
    for pins, dummies, says in (
        ([], {ORPHAN: dummy}, "was not checked"),
        ([pin], {}, "was not checked"),
        ([pin], {ORPHAN: dummy + b"\0"}, "was changed after"),
        ([replace(pin, problems=("It is wrong.",))], {ORPHAN: dummy}, "It is wrong."),
    ):
        with pytest.raises(RefusedError, match=says):
            pinned_bundle(plan, incident.certificates, pins, dummies)


def test_names_of_files_hold_serials_only(incident: Incident) -> None:
    names = [certificate_name(item) for item in incident.plan().items]
    assert names[1:3] == [DUMMY_NAME, f"certs/{KNOWN_ORPHAN}.cer"]
