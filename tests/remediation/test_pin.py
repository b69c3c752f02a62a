"""No dummy is imported unseen: each thing that can be wrong with one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from carecover.errors import RefusedError
from carecover.model import TABLES, Pin
from carecover.remediation import check_dummies
from carecover.remediation.pin import MAX_DUMMY
from tests.remediation.conftest import CA_END, ORPHAN, Incident, certificate, certificate_row, thumbprint

NAME = f"dummies/{ORPHAN}.cer"


def test_a_good_dummy_has_no_problems(incident: Incident) -> None:
    der = certificate(ORPHAN, subject="dummy", eku=("1.3.6.1.5.5.7.3.3",))
    (pin,) = check_dummies(incident.plan(), {NAME: der}, incident.ca_certificates)
    assert pin.problems == ()
    assert (pin.serial, pin.subject, pin.is_ca, pin.eku) == (ORPHAN, "CN=dummy", False, ("1.3.6.1.5.5.7.3.3",))
    assert (pin.sha256, pin.thumbprint) == (hashlib.sha256(der).hexdigest(), thumbprint(der))
    assert pin.not_after == CA_END


def test_windows_paths_name_the_same_file(incident: Incident) -> None:
    name = "D:\\bundle\\" + NAME.replace("/", "\\").upper()
    assert check_dummies(incident.plan(), {name: certificate(ORPHAN)}, incident.ca_certificates)[0].problems == ()


def test_a_ca_certificate_as_dummy_is_shown(incident: Incident) -> None:
    (pin,) = check_dummies(incident.plan(), {NAME: certificate(ORPHAN, is_ca=True)}, incident.ca_certificates)
    assert pin.is_ca


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: certificate("77" * 10), "Its serial number is 7777"),
        (lambda: certificate(ORPHAN, key=1), "not by the key of CA certificate number 0"),
        (lambda: certificate(ORPHAN, issuer="Other CA"), "not issued by CA certificate number 0"),
        (lambda: certificate(ORPHAN, ends=datetime(2026, 12, 31, tzinfo=UTC)), "before 2027-01-01T00:00:00Z"),
        (lambda: b"", "no certificate in DER"),
        (lambda: b"\x30\x82" + b"\x00" * 100, "no certificate in DER"),
        (lambda: b"-----BEGIN CERTIFICATE-----\n", "no certificate in DER"),
        (lambda: certificate(ORPHAN) + b"\0", "no certificate in DER"),
        (lambda: certificate(ORPHAN)[:-1], "no certificate in DER"),
        (lambda: b"0" * (MAX_DUMMY + 1), "no certificate in DER"),
    ],
)
def test_a_bad_dummy_says_what_is_wrong(incident: Incident, make: Callable[[], bytes], says: str) -> None:
    (pin,) = check_dummies(incident.plan(), {NAME: make()}, incident.ca_certificates)
    assert any(says in problem for problem in pin.problems)


def test_everything_that_is_wrong_is_said(incident: Incident) -> None:
    der = certificate("77" * 10, key=1, ends=datetime(2021, 1, 1, tzinfo=UTC))
    (pin,) = check_dummies(incident.plan(), {NAME: der}, incident.ca_certificates)
    assert len(pin.problems) == 3


def test_an_unknown_end_is_the_ca_certificates(incident: Incident) -> None:
    incident.findings[0]["not_after"] = None
    plan = incident.plan()
    short = certificate(ORPHAN, ends=datetime(2039, 12, 31, tzinfo=UTC))
    assert (
        "as the real one's is not known" in check_dummies(plan, {NAME: short}, incident.ca_certificates)[0].problems[0]
    )
    assert check_dummies(plan, {NAME: certificate(ORPHAN)}, incident.ca_certificates)[0].problems == ()


def test_the_signer_is_the_one_of_that_index(incident: Incident) -> None:
    renewed = certificate(99, is_ca=True, key=1)
    both = [certificate_row(incident.ca_certificate, ca_version=0), certificate_row(renewed, ca_version=0x10001)]
    table = TABLES["certificates"].frame(both)
    incident.findings[0].update(ca_cert_index=1, ca_key_index=1)
    plan = incident.plan(ca_certificates=table)
    name = f"{ORPHAN}.cer"
    assert check_dummies(plan, {name: certificate(ORPHAN, key=1)}, table)[0].problems == ()
    assert check_dummies(plan, {name: certificate(ORPHAN, key=0)}, table)[0].problems != ()
    assert "is not in the case" in check_dummies(plan, {name: certificate(ORPHAN, key=1)}, table[:1])[0].problems[0]


def test_missing_dummies_are_named(incident: Incident) -> None:
    with pytest.raises(RefusedError, match=rf"1 of 1 dummies are not there \({ORPHAN}\)"):
        check_dummies(incident.plan(), {f"dummies/0001-{ORPHAN}.cer": b""}, incident.ca_certificates)


def verdicts(pin: Pin) -> dict[str, str]:
    return {check.name: check.verdict for check in pin.checks}


def test_each_single_check_is_told(incident: Incident) -> None:
    good = {"serial": "pass", "issuer": "pass", "signature": "pass", "end": "pass", "CA": "pass", "usage": "pass"}
    cases: list[tuple[bytes, dict[str, str]]] = [
        (certificate(ORPHAN), {}),
        (certificate("77" * 10), {"serial": "fail"}),
        (certificate(ORPHAN, key=1), {"signature": "fail"}),
        (certificate(ORPHAN, issuer="Other CA"), {"issuer": "fail", "signature": "not checked"}),
        (certificate(ORPHAN, ends=datetime(2026, 12, 31, tzinfo=UTC)), {"end": "fail"}),
        (certificate(ORPHAN, is_ca=True), {"CA": "look"}),
        (certificate(ORPHAN, eku=("1.3.6.1.5.5.7.3.3",)), {"usage": "look"}),
    ]
    for der, other in cases:
        (pin,) = check_dummies(incident.plan(), {NAME: der}, incident.ca_certificates)
        assert verdicts(pin) == {**good, **other}
        assert [c.why for c in pin.checks if c.verdict == "fail"] == list(pin.problems), "one truth"
    (broken,) = check_dummies(incident.plan(), {NAME: b"x"}, incident.ca_certificates)
    assert [c.why for c in broken.checks] == list(broken.problems)
