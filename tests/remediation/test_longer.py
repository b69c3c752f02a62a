"""longer.cmd: only a dummy that was looked at is signed again, and long enough."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from carecover.errors import RefusedError
from carecover.model import Pin, Plan
from carecover.remediation import check_dummies, grammar, leftovers, longer_bundle, pinned_bundle
from carecover.remediation.longer import life
from tests.remediation.conftest import CA_END, NOW, ORPHAN, Incident, certificate, thumbprint
from tests.remediation.test_bundle import CA_DER, fixed_plan

SHORT = datetime(2026, 3, 3, tzinfo=UTC)
FIRST, LONGER = f"dummies/{ORPHAN}.cer", f"dummies/{ORPHAN}-longer.cer"


def short_of(incident: Incident, plan: Plan) -> tuple[list[Pin], bytes]:
    der = certificate(ORPHAN, ends=SHORT)
    return check_dummies(plan, {FIRST: der}, incident.ca_certificates), der


def test_a_short_dummy_gets_a_script_that_knows_its_hash(incident: Incident) -> None:
    plan = incident.plan()
    pins, der = short_of(incident, plan)
    files = longer_bundle(plan, incident.certificates, pins, {ORPHAN: der}, now=NOW)
    assert {"longer.cmd", "prepare.cmd", FIRST} <= set(files)
    assert not {"revoke.cmd", "undo.cmd", LONGER} & set(files)
    (call,) = [line for line in files["longer.cmd"].decode().splitlines() if line.startswith("call :longer")]
    assert hashlib.sha256(der).hexdigest() in call
    assert call.endswith(f'"dummies\\{ORPHAN}-longer.cer" "{life_of(plan, incident)}"')
    verbs = {
        line.split()[3] for line in files["longer.cmd"].decode().splitlines() if line.startswith('"%CERTUTIL%" -Cert')
    }
    assert verbs == {"-sign"}
    asked = [line for line in files["longer.cmd"].decode().splitlines() if line.startswith('"%CERTUTIL%"')]
    assert not any(word in line for line in asked for word in ("-f ", "-importcert", "-revoke", "-crl"))


def life_of(plan: Plan, incident: Incident, now: datetime = NOW) -> str:
    item = next(item for item in plan.items if item.serial == ORPHAN)
    return life(item, x509.load_der_x509_certificate(incident.ca_certificate), now)


@pytest.mark.parametrize(
    "der",
    [certificate(ORPHAN), certificate(ORPHAN, key=1, ends=SHORT), certificate(5, ends=SHORT), b"junk"],
    ids=["long enough", "other key", "other serial", "junk"],
)
def test_nothing_else_is_signed_again(incident: Incident, der: bytes) -> None:
    plan = incident.plan()
    pins = check_dummies(plan, {FIRST: der}, incident.ca_certificates)
    assert longer_bundle(plan, incident.certificates, pins, {ORPHAN: der}, now=NOW) == {}


def test_the_longer_one_is_pinned_under_its_own_name(incident: Incident) -> None:
    plan = incident.plan()
    first, second = certificate(ORPHAN, ends=SHORT), certificate(ORPHAN)
    given_ = {FIRST: first, LONGER: second}
    pins = check_dummies(plan, given_, incident.ca_certificates)
    assert (pins[0].name, pins[0].problems) == (LONGER, ())
    left = leftovers(pins, given_)
    assert left == {FIRST: hashlib.sha256(first).hexdigest()}
    files = pinned_bundle(plan, incident.certificates, pins, {ORPHAN: second}, leftovers=left)
    assert files[LONGER] == second
    assert FIRST not in files
    spaced = bytes.fromhex(thumbprint(second)).hex(" ")
    calls = [line for line in files["revoke.cmd"].decode().splitlines() if line.startswith("call :item")]
    assert [line for line in calls if f"dummies\\{ORPHAN}-longer.cer" in line and spaced in line]
    assert left[FIRST].encode() in files["plan.html"]


def test_what_was_pinned_before_stays_for_the_database_may_hold_it(incident: Incident) -> None:
    plan = incident.plan()
    both = {FIRST: certificate(ORPHAN, subject="one"), LONGER: certificate(ORPHAN, subject="two")}
    before = {hashlib.sha256(both[FIRST]).hexdigest()}
    assert check_dummies(plan, both, incident.ca_certificates)[0].name == LONGER
    assert check_dummies(plan, both, incident.ca_certificates, pinned=before)[0].name == FIRST
    # And where it turns out to be too short, nothing can take its place any more.
    both[FIRST] = certificate(ORPHAN, ends=SHORT)
    before = {hashlib.sha256(both[FIRST]).hexdigest()}
    (pin,) = check_dummies(plan, both, incident.ca_certificates, pinned=before)
    assert (pin.name, pin.can_be_longer, pin.ends_early) == (FIRST, False, True)
    assert pin.problems != ()


def test_an_accepted_short_dummy_has_no_problem_and_its_mark(incident: Incident) -> None:
    plan = incident.plan(waivers=(f"short {ORPHAN}: the flag is set (Ada)",))
    (pin,) = short_of(incident, plan)[0]
    assert (pin.problems, pin.ends_early, pin.can_be_longer) == ((), True, False)
    other = incident.plan(waivers=("short 4711: another one (Ada)",))
    assert short_of(incident, other)[0][0].problems != ()
    assert plan.digest != incident.plan().digest
    with pytest.raises(RefusedError, match="Two dummies were pinned"):
        pinned_bundle(plan, incident.certificates, [pin, pin], {})


@settings(max_examples=100, deadline=None)
@given(
    needed=st.datetimes(datetime(2026, 1, 1), CA_END.replace(tzinfo=None), timezones=st.just(UTC)),  # noqa: DTZ001
    now=st.datetimes(datetime(2026, 1, 1), datetime(2039, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    late=st.timedeltas(timedelta(minutes=-10), timedelta(days=9)),
)
def test_it_outlives_the_real_one_and_hardly_the_ca(needed: datetime, now: datetime, late: timedelta) -> None:
    """Whenever the script is run after it was written, and where the CA dates ten minutes back."""
    item = replace(next(i for i in fixed_plan()[0].items if i.method == "dummy"), not_after=needed.isoformat())
    signer = x509.load_der_x509_certificate(CA_DER)
    days, hours = map(int, life(item, signer, now).split(":"))
    assert 0 <= hours < 24
    lives = timedelta(days=days, hours=hours)
    assert now + late + lives >= min(needed, now + timedelta(hours=23))
    if needed < CA_END - timedelta(hours=2) and needed > now + timedelta(days=2):
        assert now + lives < CA_END + timedelta(hours=1)


@pytest.mark.parametrize(
    "line",
    [
        'call :longer "1" "44ab" "11" "dummies\\44ab.cer" "HASH" "SPACED" "dummies\\44ac-longer.cer" "30:00"',
        'call :longer "1" "44ab" "11" "dummies\\44ac.cer" "HASH" "SPACED" "dummies\\44ab-longer.cer" "30:00"',
        'call :longer "1" "44ab" "11" "ca.cer" "HASH" "SPACED" "dummies\\44ab-longer.cer" "30:00"',
        'call :longer "1" "44ab" "11" "dummies\\44ab.cer" "" "SPACED" "dummies\\44ab-longer.cer" "30:00"',
        'call :longer "1" "44ab" "11" "dummies\\44ab.cer" "HASH" "SPACED" "dummies\\44ab.cer" "30:00"',
        'call :longer "1" "44ab" "11" "dummies\\44ab.cer" "HASH" "SPACED" "dummies\\44ab-longer.cer" "never"',
        '"%CERTUTIL%" -Cert %SIGNER% -sign "request.cer" "%FILE%" now+%LIFE% >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -f -Cert %SIGNER% -sign "%SOURCE%" "%FILE%" now+%LIFE% >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -Cert %SIGNER% -sign "%SOURCE%" "%FILE%" now+%LIFE% @ext.inf >> "%LOG%" 2>&1',
    ],
)
def test_no_other_file_can_be_written_into_the_script(incident: Incident, line: str) -> None:
    plan = incident.plan()
    pins, der = short_of(incident, plan)
    good = longer_bundle(plan, incident.certificates, pins, {ORPHAN: der}, now=NOW)["longer.cmd"]
    grammar.check(good)
    line = line.replace("HASH", "ab" * 32).replace("SPACED", " ".join(["ab"] * 32))
    with pytest.raises(RefusedError, match="outside the form"):
        grammar.check(good.replace(b"goto :finish\r\n", line.encode() + b"\r\ngoto :finish\r\n", 1))
