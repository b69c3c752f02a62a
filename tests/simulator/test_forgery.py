"""Forged mails: each carries exactly the tells that the truth names, and the perfect ones none."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from carecover.model import Disposition, SerialNumber
from carecover.simulator.incident import Incident, Scenario, make_incident
from tests.simulator.test_incident import MAIL, content, notifications

LAYOUTS = ["default", "number", "string", "generated_string"]


def forged(layout: Any = "number", **knobs: Any) -> Incident:
    counts = {"forged_issued": 24, "forged_revoked": 18, "perfect_issued": 4, "perfect_revoked": 6, "failed": 5}
    return make_incident(Scenario(seed=6, certificates=160, serial_layout=layout, **{**counts, **knobs}))


def by_serial(incident: Incident, tmp_path: Path) -> dict[str, list[tuple[str, str, Message]]]:
    """Serial → (subject, body, mail) of every notification that names it."""
    found: dict[str, list[tuple[str, str, Message]]] = {}
    for subject, body, mail in notifications(content(incident)[MAIL], tmp_path):
        serial = re.search("^Serial Number: ([0-9a-f]+)$", body, re.MULTILINE)
        if serial:
            found.setdefault(serial[1], []).append((subject, body, mail))
    return found


def thread_time(mail: Message) -> datetime:
    ticks = int.from_bytes(b64decode(str(mail["thread-index"]))[:6], "big") << 16
    return datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)


def received(mail: Message) -> datetime:
    return parsedate_to_datetime(str(mail["Received"]).rpartition(";")[2].strip())


def tells_of(incident: Incident, item: dict[str, Any], subject: str, body: str, mail: Message) -> set[str]:
    """The tells that the mail's own bytes show, found here by plain reading."""
    told = set()
    serial, at = item["serial"], parsedate_to_datetime(str(mail["Date"]))
    said = int(re.findall("^Request ID: ([0-9]+)$", body, re.MULTILINE)[0])
    genuine = [
        row.serial.text for row in incident.restored.rows if row.serial and row.disposition is Disposition.ISSUED
    ]
    prefix = {text[:-12] for text in genuine} if "string" in incident.scenario.serial_layout else set()
    first = {text[:2] for text in genuine} if incident.scenario.serial_layout == "number" else set()
    lengths = {len(text) for text in genuine}
    odd = len(serial) not in lengths or (prefix and serial[:-12] not in prefix) or (first and serial[:2] not in first)
    if odd:
        told.add("layout")
    elif int(serial[-12:-8], 16) > 3:
        told.add("ca_cert_index")
    if said != int(serial[-8:], 16):
        told.add("request_id")
    if incident.truth["ca"] not in subject:
        told.add("ca_name")
    if str(mail["From"]) != "pki@corp.example" or "from pki01.corp.example by" not in str(mail["Received"]):
        told.add("sender")
    begins = re.findall("^Valid not before: (.*)$", body, re.MULTILINE)
    zone = incident.history.zone
    starts = [datetime.strptime(text, "%m/%d/%Y %I:%M %p").replace(tzinfo=zone) for text in begins]
    apart = [thread_time(mail) - at, received(mail) - at, *(at - start - timedelta(minutes=10) for start in starts)]
    if any(abs(span) > timedelta(minutes=5) for span in apart):
        told.add("clock")
    if "-----BEGIN" in body:
        carried = x509.load_pem_x509_certificate(body[body.index("-----BEGIN") :].encode())
        assert SerialNumber(carried.serial_number).text == serial
        try:
            carried.verify_directly_issued_by(incident.restored.authority.certificates[0])
        except (InvalidSignature, ValueError):
            told.add("signature")
    if item["about_row"]:
        crl = incident.traces.last_crls[0]
        published = crl.last_update_utc + timedelta(minutes=10)
        if at < published and crl.get_revoked_certificate_by_serial_number(int(serial, 16)) is None:
            told.add("crl")
    return told


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_forgery_has_exactly_the_tells_that_the_truth_names(layout: str, tmp_path: Path) -> None:
    incident = forged(layout)
    mails = by_serial(incident, tmp_path)
    seen: set[str] = set()
    for item in incident.truth["forgeries"]:
        about = [m for m in mails[item["serial"]] if "revoked by" in m[0] or item["event"] == "issued"]
        assert len(about) == 1, "a forgery has its serial to itself"
        assert tells_of(incident, item, *about[0]) == set(item["tells"])
        seen |= set(item["tells"])
    assert seen == {"ca_name", "layout", "ca_cert_index", "request_id", "clock", "sender", "signature", "crl"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_true_notifications_have_no_tells(layout: str, tmp_path: Path) -> None:
    incident = forged(layout)
    about = {item["serial"] for item in incident.truth["forgeries"]}
    for serial, mails in by_serial(incident, tmp_path).items():
        if serial in about:
            continue
        for subject, body, mail in mails:
            item = {"serial": serial, "about_row": False}
            # What an officer approved is fetched later than it begins.
            late = {"clock"} if "retrieved" in subject else set()
            assert tells_of(incident, item, subject, body, mail) <= late


def test_what_can_be_told_is_expected_and_the_rest_is_not() -> None:
    truth = forged().truth
    told = {item["serial"] for item in truth["forgeries"] if item["detectable"]}
    assert set(truth["expected"]["suspect_notification"]) == told
    perfect = [item for item in truth["forgeries"] if not item["tells"]]
    assert perfect
    assert not any(item["detectable"] for item in perfect)
    fakes = {item["serial"] for item in perfect if not item["about_row"]}
    rows = {item["serial"] for item in perfect if item["about_row"]}
    assert fakes <= set(truth["undetectable"]["orphaned"])
    assert rows <= set(truth["undetectable"]["lost_revocation"])
    everything = {key for keys in truth["expected"].values() for key in keys}
    assert not (fakes | rows) & everything
    assert forged(mail=False).truth["forgeries"] == []


def test_perfect_forgeries_take_request_ids_that_failed_first() -> None:
    incident = forged()
    perfect = [i for i in incident.truth["forgeries"] if not i["tells"] and not i["about_row"]]
    fates = {incident.truth["requests"].get(str(item["request_id"]), "never handed out") for item in perfect}
    assert fates <= {"failed", "never handed out"}
    assert "failed" in fates


def test_without_other_mails_nobody_knows_from_where_the_ca_sends() -> None:
    items = forged(lost_mails=1.0).truth["forgeries"]
    assert any(item["tells"] == ["sender"] for item in items)
    assert not any(item["detectable"] for item in items if item["tells"] == ["sender"])


def test_without_a_crl_nothing_contradicts_a_dated_back_revocation() -> None:
    with_list, without = forged().truth, forged(crl=False).truth
    assert {i["detectable"] for i in with_list["forgeries"] if i["tells"] == ["crl"]} == {True}
    assert {i["detectable"] for i in without["forgeries"] if i["tells"] == ["crl"]} == {False}
