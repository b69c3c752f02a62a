"""What is handed in and what is missing from it: outages, switched-off events, clocks, copies, logs and lists."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from cryptography import x509

from carecover.model import Disposition, SerialNumber
from carecover.simulator.incident import Scenario, make_incident
from tests.simulator.test_forgery import received, thread_time
from tests.simulator.test_incident import MAIL, VIEW, content, notifications, read_mbox, rows_of

SPACE = "{http://schemas.microsoft.com/win/2004/08/events/event}"


def events(data: bytes) -> list[tuple[int, int, datetime, dict[str, str]]]:
    """(ID, version, time, data) of every event of an XML log."""
    found = []
    for event in ET.fromstring(data).iter(f"{SPACE}Event"):  # noqa: S314 - made here
        numbers = [event.findtext(f"{SPACE}System/{SPACE}{name}") for name in ("EventID", "Version")]
        created = event.find(f"{SPACE}System/{SPACE}TimeCreated")
        assert created is not None
        at = datetime.fromisoformat(created.get("SystemTime", "")[:19]).replace(tzinfo=UTC)
        items = {d.get("Name", ""): d.text or "" for d in event.iter(f"{SPACE}Data")}
        found.append((int(numbers[0] or 0), int(numbers[1] or 0), at, items))
    return found


def ids_of(mails: list[tuple[str, str, Any]], word: str) -> set[int]:
    """Request IDs that the mails with a word in their subject give."""
    given = (re.search("Request ID(?: is)?: ([0-9]+)", body) for subject, body, _ in mails if word in subject)
    return {int(match[1]) for match in given if match}


def test_an_outage_leaves_days_without_any_notification_and_events_46_tell_of_some(tmp_path: Path) -> None:
    incident = make_incident(Scenario(seed=2, certificates=200, lost=80, smtp_outage=timedelta(days=3), audit=True))
    outage = incident.traces.outage
    assert outage is not None
    files = content(incident)
    sent = [parsedate_to_datetime(str(mail["Date"])) for _, _, mail in notifications(files[MAIL], tmp_path)]
    assert not [at for at in sent if outage[0] + timedelta(seconds=5) < at < outage[1]]
    unsent = [i for i in incident.history.lost_ids if incident.traces.in_outage(incident.history.issued_at(i))]
    assert unsent
    assert all("mail_issued" not in incident.traces.shown_by(i) for i in unsent)
    log = events(files["evidence/events/application.xml"])
    assert {number for number, _, _, _ in log} == {46}
    assert all(outage[0] <= at < outage[1] for _, _, at, _ in log)
    told = Counter(re.findall("notification for (EXITEVENT_[A-Z]+) to", data["param4"])[0] for *_, data in log)
    assert 0 < told["EXITEVENT_CERTISSUED"] < len(unsent)


def test_events_that_are_switched_off_are_in_the_registry_and_never_in_the_mailbox(tmp_path: Path) -> None:
    incident = make_incident(Scenario(seed=2, certificates=160, events_off=("revoked", "pending"), registry=True))
    files = content(incident)
    subjects = Counter(subject.partition(" Example")[0] for subject, _, _ in notifications(files[MAIL], tmp_path))
    assert subjects["Your certificate has been issued by"] > 50
    assert not [subject for subject in subjects if "revoked" in subject or "pending" in subject]
    listing = files["evidence/registry/getreg.txt"].decode("ascii")
    mask = re.findall(r"EventFilter +REG_DWORD = ([0-9a-f]+) \(([0-9]+)\)", listing)
    assert mask == [("2f5", "757")], "0x2ff without pending (2) and revoked (8)"
    assert "EXITEVENT_CERTISSUED -- 1" in listing
    assert "EXITEVENT_CERTREVOKED" not in listing
    assert not any(s.startswith("mail_") for item in incident.truth["lost_revocations"] for s in item["shown_by"])


@pytest.mark.parametrize(("layout", "shape"), [("number", "REG_DWORD = "), ("string", "REG_SZ = ")])
def test_the_registry_holds_the_setting_that_made_the_serials(layout: Any, shape: str) -> None:
    incident = make_incident(Scenario(certificates=20, serial_layout=layout, registry=True))
    listing = content(incident)["evidence/registry/getreg.txt"].decode("ascii")
    (value,) = re.findall(f"  HighSerial {shape}([0-9a-f]+)", listing)
    start = incident.truth["lost"][0]["serial"][: len(value)]
    # The last step of every layout changes the first byte only.
    assert value[2:] == start[2:]
    assert listing.count("command completed successfully") == listing.count("HKEY_LOCAL_MACHINE")


@pytest.mark.parametrize("minutes", [-12, 9])
def test_a_wrong_clock_of_the_ca_moves_its_own_times_and_nobody_elses(minutes: int, tmp_path: Path) -> None:
    ahead = timedelta(minutes=minutes)
    incident = make_incident(Scenario(seed=2, certificates=40, clock_offset=ahead))
    for _, _, mail in notifications(content(incident)[MAIL], tmp_path):
        said = parsedate_to_datetime(str(mail["Date"]))
        assert abs(thread_time(mail) - said) < timedelta(seconds=1)
        assert received(mail) == said - ahead + timedelta(seconds=1)
    assert incident.facts.backup == incident.history.backup - ahead
    right = content(make_incident(Scenario(seed=2, certificates=40)))
    assert content(incident)[VIEW] == right[VIEW], "the database holds the CA's own times"


def test_a_wrong_zone_is_in_the_facts_only() -> None:
    wrong = content(make_incident(Scenario(certificates=20, facts_time_zone="Asia/Kolkata")))
    right = content(make_incident(Scenario(certificates=20)))
    assert json.loads(wrong["facts.json"])["time_zone"] == "Asia/Kolkata"
    assert {name for name in right if right[name] != wrong[name]} == {"facts.json", "truth.json"}


def test_a_second_mailbox_holds_the_very_same_mails_and_forwarded_ones(tmp_path: Path) -> None:
    incident = make_incident(Scenario(seed=2, certificates=60, duplicates=0.5))
    files = content(incident)
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(files[MAIL])
    second.write_bytes(files["evidence/mail/second-mailbox.mbox"])
    originals = {str(mail["Message-ID"]): mail.as_bytes() for mail in read_mbox(first)}
    copies = read_mbox(second)
    same = [mail for mail in copies if str(mail["Message-ID"]) in originals]
    assert len(same) > 30
    assert all(mail.as_bytes() == originals[str(mail["Message-ID"])] for mail in same)
    others = [mail for mail in copies if str(mail["Message-ID"]) not in originals]
    assert all(str(mail["Subject"]).startswith("FW: ") for mail in others)
    attached = [mail for mail in others if mail.is_multipart()]
    assert 0 < len(attached) < len(others)
    for mail in attached:
        inner = mail.get_payload(1).get_payload(0)  # type: ignore[union-attr]
        assert str(inner["Message-ID"]) in originals  # type: ignore[index]


def test_another_ca_has_a_name_a_way_and_serials_of_its_own(tmp_path: Path) -> None:
    incident = make_incident(Scenario(seed=2, certificates=60, other_ca_mails=12))
    theirs = [m for m in notifications(content(incident)[MAIL], tmp_path) if "Partner Issuing CA 7" in m[0]]
    assert len(theirs) == 12
    ours = {
        row.serial.text[:2] for row in incident.restored.rows if row.disposition is Disposition.ISSUED and row.serial
    }
    for _, body, mail in theirs:
        (serial,) = re.findall("^Serial Number: ([0-9a-f]+)$", body, re.MULTILINE)
        assert serial[:2] not in ours
        assert str(mail["From"]) == "pki@partner.example"
        assert "from pki09.partner.example by mx1.corp.example" in str(mail["Received"])
        assert not [kind for kind, keys in incident.truth["expected"].items() if serial in keys]


def test_what_is_kept_out_of_the_database_has_mails_and_never_a_row(tmp_path: Path) -> None:
    incident = make_incident(Scenario(seed=2, certificates=120, not_persisted=0.15))
    files = content(incident)
    early = incident.truth["not_persisted"]
    late = [item for item in incident.truth["lost"] if not item["persisted"]]
    assert early
    assert late
    view = files[VIEW].decode("cp850")
    issued = ids_of(notifications(files[MAIL], tmp_path), "issued")
    for item in early + late:
        assert item["serial"] not in view
        assert item["request_id"] in issued
        assert item["serial"] in incident.truth["expected"]["orphaned"]
        assert item["state"] == "issued"
    assert not {item["request_id"] for item in early} & set(rows_of(view))


def test_deltas_count_on_from_the_last_base_list_and_show_what_came_after_it() -> None:
    incident = make_incident(Scenario(seed=5, certificates=400, lost=120, delta_crls=2, mail=False, releases=20))
    files = content(incident)
    base = x509.load_der_x509_crl(files["evidence/crl/Example-Issuing-CA-1.crl"])
    delta = x509.load_der_x509_crl(files["evidence/crl/Example-Issuing-CA-1+.crl"])

    def number(crl: x509.CertificateRevocationList) -> int:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number

    assert number(delta) == number(base) + 2
    indicator = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert indicator.critical
    assert indicator.value.crl_number == number(base)
    reasons = Counter(
        entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        for entry in delta
        if len(entry.extensions)
    )
    assert reasons["removeFromCRL"], "a hold on the base list ended before the delta"
    listed = {SerialNumber(entry.serial_number).text for entry in delta}
    for item in incident.truth["lost_revocations"] + incident.truth["lost_releases"]:
        assert ("delta" in item["shown_by"]) is (item["serial"] in listed)
    assert incident.truth["crl"]["last_published"] == number(delta)


def test_event_4887_of_version_0_gives_a_key_identifier_and_no_serial() -> None:
    incident = make_incident(Scenario(seed=2, certificates=60, audit=True, audit_version=0, lost_mails=0.5))
    log = events(content(incident)["evidence/events/security.xml"])
    issued = {int(data["RequestId"]): data for number, _, _, data in log if number == 4887}
    assert {version for number, version, _, _ in log if number == 4887} == {0}
    assert not [data for data in issued.values() if "SerialNumber" in data]
    identifiers = [data["SubjectKeyIdentifier"] for data in issued.values()]
    assert len(set(identifiers)) == len(identifiers)
    for i in incident.history.lost_ids:
        found = x509.load_der_x509_certificate(incident.history.life.certificate(i))
        key_id = found.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        assert issued[i]["SubjectKeyIdentifier"] == key_id.hex(" ")
    nameless = [item["request_id"] for item in incident.truth["lost"] if not item["shown_by"]]
    assert nameless
    assert set(nameless) <= set(incident.truth["expected"]["unaccounted_request"])


def test_the_whole_log_shows_what_arrived_waited_and_was_denied() -> None:
    incident = make_incident(
        Scenario(seed=2, certificates=80, mail=False, audit=True, audit_all=True, failed=3, window=timedelta(days=30))
    )
    log = events(content(incident)["evidence/events/security.xml"])
    ids: dict[int, set[int]] = {}
    for number, _, _, data in log:
        ids.setdefault(number, set()).add(int(data.get("RequestId", 0)))
    window = range(incident.history.last_before + 1, incident.history.last + 1)
    assert set(window) <= ids[4886]
    assert set(incident.truth["expected"]["lost_pending"]) <= ids[4889]
    fates = incident.truth["requests"]
    assert {int(i) for i, fate in fates.items() if fate == "denied"} <= ids[4888]
    failed = {int(i) for i, fate in fates.items() if fate == "failed"}
    assert len(failed) == 3
    assert failed <= set(incident.truth["expected"]["unaccounted_request"]), "that it arrived is not what became of it"
    stopped = [at for number, _, at, _ in log if number == 4881]
    assert stopped == [at for at in incident.postbox.reboots if at >= incident.traces.audit_start]
    assert stopped


def test_two_keys_have_two_lists_and_two_pairs_of_events() -> None:
    incident = make_incident(Scenario(seed=2, certificates=80, renewal="new_key", audit=True))
    files = content(incident)
    assert len([name for name in files if name.endswith(".crl")]) == 2
    log = [data for number, _, _, data in events(files["evidence/events/security.xml"]) if number == 4872]
    newest = [data for data in log if data["CRLNumber"] == str(incident.truth["crl"]["last_published"])]
    assert Counter((data["KeyContainer"], data["IsBaseCRL"]) for data in newest) == {
        (f"Example Issuing CA 1{suffix}", base): 1 for suffix in ("", "(1)") for base in ("Yes", "No")
    }
    assert incident.truth["expected"]["crl_number_regression"] == [0, 1]


@pytest.mark.parametrize(("kind", "keys"), [("same_key", 1), ("new_key", 2)])
@pytest.mark.parametrize("found", [False, True])
def test_a_lost_renewal_is_of_the_same_or_a_new_key_and_its_certificate_may_be_found(
    kind: Any, keys: int, found: bool
) -> None:
    incident = make_incident(
        Scenario(seed=1, certificates=80, lost=30, lost_renewal=kind, lost_ca_found=found, mail=False, originals=1.0)
    )
    files = content(incident)
    truth = incident.truth
    (lost,) = truth["lost_ca_certificates"]
    assert (lost["ca_cert_index"], lost["ca_key_index"]) == (1, keys - 1)
    assert ("evidence/found/ca.cer" in files) is found
    under = {item["serial"] for item in truth["lost"] if item["ca_cert_index"] == 1}
    assert under
    # Signed with the old key, or with one whose certificate was found: it can be checked.
    expected = set(truth["expected"]["lost_ca_certificate"])
    assert expected == (under if found or kind == "same_key" else set()) | ({lost["serial"]} if found else set())
    if found:
        own = x509.load_der_x509_certificate(files["evidence/found/ca.cer"])
        assert f"{own.serial_number:x}" == lost["serial"]
        certificate = x509.load_der_x509_certificate(incident.history.life.certificate(incident.history.lost_ids[-1]))
        certificate.verify_directly_issued_by(own)
