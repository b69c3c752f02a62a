"""Whatever the knobs, an incident holds together: the two lives of the CA, and the truth about them."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import timedelta
from itertools import pairwise

from cryptography import x509
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from carecover.model import Disposition, SerialNumber
from carecover.simulator.incident import Scenario, make_incident
from tests.simulator.test_incident import content

scenarios = st.builds(
    Scenario,
    seed=st.integers(0, 1 << 30),
    certificates=st.integers(2, 120),
    serial_layout=st.sampled_from(["default", "number", "string", "generated_string"]),
    date_locale=st.sampled_from(["en-US", "en-GB", "de-DE", "ja-JP"]),
    time_zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]),
    format=st.sampled_from(["mbox", "maildir", "eml", "zip"]),
    window=st.timedeltas(timedelta(hours=1), timedelta(days=40)).map(
        lambda t: timedelta(seconds=int(t.total_seconds()))
    ),
    history=st.integers(1, 400).map(lambda days: timedelta(days=days)),
    crl_period=st.integers(1, 24).map(lambda hours: timedelta(hours=hours)),
    renewal=st.sampled_from(["none", "same_key", "new_key"]),
    lost_renewal=st.sampled_from(["none", "same_key", "new_key"]),
    gmt=st.booleans(),
    mail=st.booleans(),
    crl=st.booleans(),
    audit=st.booleans(),
    originals=st.floats(0, 1),
    mail_carries_certificate=st.floats(0, 1),
    lost_mails=st.floats(0, 1),
    ordinary_mail=st.integers(0, 12),
    lost_revocations=st.none() | st.integers(0, 30),
    revoked_lost=st.none() | st.integers(0, 30),
    holds=st.none() | st.integers(0, 30),
    releases=st.none() | st.integers(0, 30),
    passing_holds=st.none() | st.integers(0, 10),
    late_approvals=st.none() | st.integers(0, 10),
    pending=st.none() | st.integers(0, 10),
    denied=st.none() | st.integers(0, 10),
    after_restore=st.integers(0, 12),
    lost_ca_found=st.booleans(),
    smtp_outage=st.sampled_from([timedelta(), timedelta(minutes=50)]),
    events_off=st.sampled_from([(), ("issued",), ("revoked", "pending", "crl_issued")]),
    registry=st.booleans(),
    clock_offset=st.integers(-15, 15).map(lambda minutes: timedelta(minutes=minutes)),
    duplicates=st.sampled_from([0.0, 0.3, 1.0]),
    other_ca_mails=st.integers(0, 5),
    recovery_mails=st.booleans(),
    forged_issued=st.integers(0, 4),
    forged_revoked=st.integers(0, 4),
    perfect_issued=st.integers(0, 3),
    perfect_revoked=st.integers(0, 3),
    failed=st.integers(0, 4),
    not_persisted=st.sampled_from([0.0, 0.2, 1.0]),
    delta_crls=st.integers(0, 3),
    audit_version=st.sampled_from([0, 1]),
    audit_all=st.booleans(),
    view=st.sampled_from(["whole", "filtered", "cut", "late"]),
)


# An officer approved request 68, and the mail that said so got lost: what is left shows it waiting.
APPROVED_UNSEEN = Scenario(
    seed=8540,
    certificates=62,
    window=timedelta(hours=1),
    history=timedelta(days=1),
    crl_period=timedelta(hours=1),
    lost_mails=0.7,
    late_approvals=0,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios)
@example(APPROVED_UNSEEN)
def test_every_scenario_holds_together(scenario: Scenario) -> None:
    incident = make_incident(scenario)
    truth, history = incident.truth, incident.history
    rows = list(incident.restored.rows)

    never = set(history.forgotten_ids)
    assert [row.request_id for row in rows] == [
        i for i in range(1, incident.restored.next_request_id) if i not in never
    ]
    assert len(truth["lost"]) == scenario.lost_count
    issued = [i for i in range(1, history.last + 1) if history.is_issued(i)]
    assert len(issued) == scenario.certificates

    serials = [row.serial for row in rows if row.serial is not None]
    assert len(set(serials)) == len(serials), "a database never has a serial twice"
    lost = {item["serial"] for item in truth["lost"]}
    assert len(lost) == len(truth["lost"])
    again = {serial.text for serial in serials} & lost
    assert sorted(again) == truth["collisions"]
    if scenario.serial_layout in ("default", "number"):
        assert not again

    for item in truth["lost"]:
        text = item["serial"]
        assert int(text[-8:], 16) == item["request_id"]
        assert int(text[-12:-8], 16) == item["ca_cert_index"]
        certificate = x509.load_der_x509_certificate(b64decode(item["certificate"]))
        assert SerialNumber(certificate.serial_number).text == text
        authority = history.life.authority
        certificate.verify_directly_issued_by(authority.certificates[item["ca_cert_index"]])
        assert history.backup <= history.issued_at(item["request_id"]) < history.failure
        if item["state"] != "issued":
            assert item["not_after"] > item["revoked_at"]

    forged = [item["serial"] for item in truth["forgeries"]]
    assert len(set(forged)) == len(forged)
    about = {item["serial"] for item in truth["forgeries"] if item["about_row"]}
    good = {row.serial.text for row in rows if row.serial and row.disposition is Disposition.ISSUED}
    assert about <= good
    assert not set(forged) & lost
    assert not (set(forged) - about) & {serial.text for serial in serials}
    assert not about & {item["serial"] for item in truth["lost_revocations"] + truth["lost_releases"]}

    moments = [publication.at for publication in history.publications + history.deltas]
    numbers = [publication.number for publication in history.publications + history.deltas]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(a < b for a, b in pairwise(moments))
    assert moments[-1] < history.failure
    assert truth["crl"]["restored"] == sum(moment < history.backup for moment in moments) > 0
    assert len(set(moments[-1 - len(history.deltas) :])) == len(history.deltas) + 1

    by_id = {row.request_id: row for row in rows}
    for item in truth["lost_revocations"]:
        assert by_id[item["request_id"]].disposition is Disposition.ISSUED
    for item in truth["lost_releases"]:
        assert by_id[item["request_id"]].disposition is Disposition.REVOKED
        assert by_id[item["request_id"]].reason == 6
    decided = {item["request_id"]: item["shown_by"] for item in truth["lost"] + truth["not_persisted"]}
    for request_id in truth["expected"]["lost_pending"]:
        # Nobody decided, or an officer did and nothing is left that shows it: the mail got lost.
        assert request_id in history.life.pending
        assert not decided.get(request_id)
    for row in rows[: history.last_before - len(never)]:
        # Nothing that happened after the backup is in the restored database.
        times = (row.submitted_at, row.resolved_at, row.revoked_at)
        assert all(moment < history.backup for moment in times if moment is not None)

    # Nothing but acts, and no act outside the life of its certificate.
    for request_id, acts in history.life.acts.items():
        assert all(history.issued_at(request_id) <= act.at <= history.life.not_after(request_id) for act in acts)
        assert all(a.at <= b.at for a, b in pairwise(acts))
        assert all(act.at < history.failure for act in acts)
    json.dumps(truth)
    assert content(incident)["truth.json"]


def test_an_approval_that_nothing_shows_leaves_the_request_waiting() -> None:
    """What was lost was issued, what can be found is a request that waits: truth tells both."""
    incident = make_incident(APPROVED_UNSEEN)
    (lost,) = (item for item in incident.truth["lost"] if item["request_id"] == 68)
    assert (lost["state"], lost["shown_by"]) == ("issued", [])
    assert 68 in incident.truth["expected"]["lost_pending"]
    assert 68 not in {item["request_id"] for item in incident.truth["lost_pending"]}
    assert lost["serial"] not in incident.truth["expected"]["orphaned"]
