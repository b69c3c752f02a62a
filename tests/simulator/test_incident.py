"""An incident's evidence agrees with its truth, read here without any reader of carecover."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import mailbox
import os
import re
import subprocess
import sys
import zipfile
from base64 import b64decode
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from carecover.errors import PathError, RefusedError, UsageError
from carecover.model import SerialNumber
from carecover.simulator.incident import Incident, Scenario, make_incident
from tests.simulator.conftest import OpenSsl

MAIL = "evidence/mail/ca-mailbox.mbox"
VIEW = "evidence/database/view.txt"


def content(incident: Incident) -> dict[str, bytes]:
    return {name: b"".join(pieces) for name, pieces in incident.files()}


def digest(incident: Incident) -> str:
    whole = hashlib.sha256()
    for name, data in content(incident).items():
        whole.update(f"{name}\0{len(data)}\0".encode() + data)
    return whole.hexdigest()


def rows_of(text: str) -> dict[int, dict[str, str]]:
    """Rows of a view by request ID, label → value; enough for this simulator's own output."""
    rows = {}
    for block in re.split(r"\r\n\r\nRow \d+:\r\n", text.partition("\r\n\r\nMaximum Row Index")[0])[1:]:
        cells = re.findall(r'^  ([A-Z][A-Za-z ]+): ("(?:.|\n)*?"(?: [^"\r\n]*)?|[^\r\n]*)\r?$', block, re.MULTILINE)
        row = dict(cells)
        rows[int(row["Request ID"].split()[0], 16)] = row
    return rows


def notifications(data: bytes, tmp_path: Path) -> list[tuple[str, str, Message]]:
    """(subject, body, mail) of everything in an mbox that the exit module sent."""
    path = tmp_path / "all.mbox"
    path.write_bytes(data)
    found: list[tuple[str, str, Message]] = []
    for mail in read_mbox(path):
        if mail["X-Mailer"]:
            payload = mail.get_payload(decode=True)
            assert isinstance(payload, bytes)
            found.append((str(mail["Subject"]), payload.decode("utf-8"), mail))
    return found


def read_mbox(path: Path) -> list[mailbox.mboxMessage]:
    """All mails, read by the standard library."""
    with closing(mailbox.mbox(path, create=False)) as box:
        return list(box)


# ------------------------------------------------------------------------- same seed, same bytes


def test_the_same_scenario_gives_the_same_bytes_in_any_process() -> None:
    scenario = "Scenario(seed=11, certificates=60, lost=15, audit=True, lost_mails=0.2)"
    program = (
        "from tests.simulator.test_incident import digest, make_incident, Scenario\n"
        f"print(digest(make_incident({scenario})))"
    )
    root = Path(__file__).parents[2]
    seen = set()
    for hash_seed in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": "Asia/Tokyo"}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True, check=True
        )
        seen.add(done.stdout.strip())
    here = make_incident(Scenario(seed=11, certificates=60, lost=15, audit=True, lost_mails=0.2))
    assert seen == {digest(here)}
    assert digest(here) == digest(here), "asking for the files twice changes nothing"


def test_another_seed_is_another_incident() -> None:
    assert digest(make_incident(Scenario(seed=1, certificates=20))) != digest(
        make_incident(Scenario(seed=2, certificates=20))
    )


# ---------------------------------------------------------------------- evidence against the truth


def test_the_view_shows_the_state_of_the_backup_and_nothing_lost(incident: Incident) -> None:
    truth, files = incident.truth, content(incident)
    text = files[VIEW].decode("cp850")
    rows = rows_of(text)
    assert list(rows) == list(range(1, incident.restored.next_request_id))
    assert f"{len(rows)} Rows\r\n" in text
    for item in truth["lost"]:
        assert item["serial"] not in text
    for item in truth["lost_revocations"]:
        row = rows[item["request_id"]]
        assert row["Request Disposition"] == "0x14 (20) -- Issued"
        assert row["Serial Number"] == f'"{item["serial"]}"'
        assert row["Certificate Hash"].replace(" ", "") == f'"{item["thumbprint"]}"'
        assert row["Revocation Date"] == "EMPTY"
    for item in truth["lost_releases"]:
        assert rows[item["request_id"]]["Request Disposition"] == "0x15 (21) -- Revoked"
        assert rows[item["request_id"]]["Revocation Reason"] == "0x6 -- Reason: Certificate Hold"
    late = [item["request_id"] for item in truth["lost"] if item["request_id"] <= incident.history.last_before]
    assert late, "a request pending at the backup was approved after it"
    for request_id in late:
        assert rows[request_id]["Request Disposition"] == "0x9 -- Taken Under Submission"
        assert rows[request_id]["Serial Number"] == "EMPTY"
    assert {row["Issuer Name ID"] for row in rows.values()} <= {"0x0 CA Version 0.0", "EMPTY"}
    assert any("\n" in row["Issued Common Name"] for row in rows.values())


def test_csv_and_text_show_the_same_rows(incident: Incident) -> None:
    files = content(incident)
    rows = rows_of(files[VIEW].decode("cp850"))
    table = list(csv.DictReader(io.StringIO(files["evidence/database/view.csv"].decode("cp850"), newline="")))
    assert [int(row["Request ID"]) for row in table] == list(rows)
    for row in table:
        other = rows[int(row["Request ID"])]
        for label in ("Serial Number", "Certificate Hash", "Issued Distinguished Name", "Issued Common Name"):
            assert row[label] == (other[label][1:-1] if other[label].startswith('"') else other[label])
        for label in ("Certificate Effective Date", "Revocation Date"):
            assert row[label] == other[label]


def test_rows_and_found_files_have_the_hash_of_the_certificate(incident: Incident) -> None:
    hashes = {row.request_id: row.thumbprint for row in incident.restored.rows}
    hashes |= {item["request_id"]: item["thumbprint"] for item in incident.truth["lost"]}
    found = {name: data for name, data in content(incident).items() if name.startswith("evidence/found/")}
    assert any(data.startswith(b"-----BEGIN") for data in found.values())
    assert any(data.startswith(b"\x30\x82") for data in found.values())
    for data in found.values():
        if data.startswith(b"-----BEGIN"):
            certificate = x509.load_pem_x509_certificate(data)
        else:
            certificate = x509.load_der_x509_certificate(data)
        request_id = SerialNumber(certificate.serial_number).anatomy.request_id
        assert request_id is not None
        der = certificate.public_bytes(Encoding.DER)
        assert hashlib.sha1(der, usedforsecurity=False).hexdigest() == hashes[request_id]
    shown = {item["serial"] for item in incident.truth["lost"] if "found" in item["shown_by"]}
    assert 0 < len(shown) < len(found), "some originals are of certificates that the CA still knows"


def test_the_mailbox_shows_what_the_truth_says_it_shows(tmp_path: Path) -> None:
    incident = make_incident(Scenario(seed=3, certificates=200, lost=60, lost_mails=0.4, mail_carries_certificate=0.5))
    mails = notifications(content(incident)[MAIL], tmp_path)
    subjects = {
        "mail_issued": "Your certificate has been issued by",
        "mail_retrieved": "Your certificate has been retrieved from",
        "mail_revoked": "Your certificate was revoked by",
        "mail_unrevoked": "Your certificate was revoked by",
    }
    shown: dict[str, set[str]] = {}
    released = "Reason for being revoked: 0xffffffff"
    for subject, body, _ in mails:
        serial = re.search("^Serial Number: ([0-9a-f]+)$", body, re.MULTILINE)
        for source, title in subjects.items():
            if serial and subject.startswith(title) and (source != "mail_unrevoked") == (released not in body):
                shown.setdefault(serial.group(1), set()).add(source)
        if "Binary Certificate" in body:
            carried = x509.load_pem_x509_certificate(body[body.index("-----BEGIN") :].encode())
            assert serial
            assert SerialNumber(carried.serial_number).text == serial.group(1)
    for item in incident.truth["lost"]:
        assert shown.get(item["serial"], set()) == {s for s in item["shown_by"] if s.startswith("mail_")}
    for kind in ("lost_revocations", "lost_releases"):
        for item in incident.truth[kind]:
            sources = {s for s in item["shown_by"] if s.startswith("mail_")}
            assert sources <= shown.get(item["serial"], set())
    hidden = [item for item in incident.truth["lost"] if not item["shown_by"]]
    assert hidden, "with so many mails lost some certificates are undetectable"
    assert not {item["serial"] for item in hidden} & set(incident.truth["expected"]["orphaned"])


def test_ordinary_mail_resembles_notifications_but_is_not_from_the_exit_module(
    incident: Incident, tmp_path: Path
) -> None:
    path = tmp_path / "all.mbox"
    path.write_bytes(content(incident)[MAIL])
    box = read_mbox(path)
    count = Counter("module" if mail["X-Mailer"] else "person" for mail in box)
    assert count["person"] > 50
    assert count["module"] > incident.scenario.certificates
    subjects = [str(mail["Subject"]) for mail in box if not mail["X-Mailer"]]
    assert any(subject.startswith("RE: Your certificate") for subject in subjects)
    assert any(subject.startswith("FW: Your certificate") for subject in subjects)
    assert {mail.get_content_type() for mail in box} == {"text/plain", "multipart/mixed", "multipart/alternative"}
    encodings = Counter(str(mail["Content-Transfer-Encoding"]) for mail in box if mail["X-Mailer"])
    assert set(encodings) == {"7bit", "quoted-printable", "base64"}
    assert b"\n>From what I saw" in path.read_bytes()


def test_events_of_the_service_frame_the_failure(incident: Incident, tmp_path: Path) -> None:
    mails = notifications(content(incident)[MAIL], tmp_path)
    starts = [mail["Date"] for subject, _, mail in mails if subject.endswith("has started")]
    assert datetime.strptime(str(starts[-1]), "%a, %d %b %Y %H:%M:%S %z") > incident.history.restored_at
    crls = sum(subject.startswith("A new CRL") for subject, _, _ in mails)
    assert crls == incident.truth["crl"]["last_published"]
    later = [body for subject, body, mail in mails if "Request ID" in body][-2:]
    highest = incident.restored.next_request_id
    assert [f"Request ID: {highest + n}\n" in body for n, body in enumerate(later)] == [True, True]


def test_thread_index_and_date_tell_the_same_time(incident: Incident, tmp_path: Path) -> None:
    for _, _, mail in notifications(content(incident)[MAIL], tmp_path)[:20]:
        raw = b64decode(str(mail["thread-index"]))
        assert len(raw) == 22
        filetime = int.from_bytes(raw[:6], "big") << 16
        said = datetime.strptime(str(mail["Date"]), "%a, %d %b %Y %H:%M:%S %z")
        assert abs(filetime / 10**7 - 11_644_473_600 - said.timestamp()) < 0.01


def test_audit_events_show_every_lost_serial(incident: Incident) -> None:
    root = ET.fromstring(content(incident)["evidence/events/security.xml"])  # noqa: S314 - made here
    space = "{http://schemas.microsoft.com/win/2004/08/events/event}"
    events: list[tuple[int, dict[str, str]]] = []
    for event in root.iter(f"{space}Event"):
        number = event.findtext(f"{space}System/{space}EventID")
        assert number is not None
        events.append((int(number), {d.get("Name", ""): d.text or "" for d in event.iter(f"{space}Data")}))
    issued = {data["SerialNumber"] for number, data in events if number == 4887}
    assert {item["serial"] for item in incident.truth["lost"]} <= issued
    revoked = {data["CertificateSerialNumber"] for number, data in events if number == 4870}
    assert {item["serial"] for item in incident.truth["lost_revocations"]} <= revoked
    assert {item["serial"] for item in incident.truth["lost_releases"]} <= revoked


def test_openssl_finds_the_revoked_ones_on_the_last_crl(incident: Incident, openssl: OpenSsl, tmp_path: Path) -> None:
    files = content(incident)
    (name,) = (name for name in files if name.endswith(".crl"))
    crl = x509.load_der_x509_crl(files[name])
    (tmp_path / "last.pem").write_bytes(crl.public_bytes(Encoding.PEM))
    ca = x509.load_der_x509_certificate(files["evidence/ca/Example-Issuing-CA-1.cer"])
    (tmp_path / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    listed = {SerialNumber(entry.serial_number).text for entry in crl}
    at = str(int((crl.last_update_utc + timedelta(minutes=20)).timestamp()))
    states = Counter[bool]()
    for item in incident.truth["lost"]:
        certificate = x509.load_der_x509_certificate(b64decode(item["certificate"]))
        if not certificate.not_valid_before_utc < crl.last_update_utc < certificate.not_valid_after_utc:
            continue
        leaf = tmp_path / "leaf.pem"
        leaf.write_bytes(certificate.public_bytes(Encoding.PEM))
        arguments: list[str | Path] = ["verify", "-crl_check", "-attime", at, "-CAfile", tmp_path / "ca.pem"]
        result = openssl([*arguments, "-CRLfile", tmp_path / "last.pem", leaf])
        assert ("certificate revoked" in result.stderr) is (item["serial"] in listed), result.stderr
        assert (result.returncode == 0) is (item["serial"] not in listed), result.stderr
        states[item["serial"] in listed] += 1
    assert states[True]
    assert states[False]
    missing = [i for i in incident.truth["lost"] if i["state"] != "issued" and i["serial"] not in listed]
    assert missing, "some revocations came after the last CRL"
    for item in incident.truth["lost"] + incident.truth["lost_revocations"]:
        assert ("crl" in item["shown_by"]) is (item["serial"] in listed)


def test_a_lost_renewal_leaves_certificates_of_a_ca_certificate_that_is_gone() -> None:
    incident = make_incident(Scenario(certificates=80, lost=30, lost_renewal="new_key", renewal="same_key"))
    files = content(incident)
    assert sorted(n for n in files if n.startswith("evidence/ca/")) == [
        "evidence/ca/Example-Issuing-CA-1(1).cer",
        "evidence/ca/Example-Issuing-CA-1.cer",
    ]
    assert sorted(n for n in files if n.endswith(".crl")) == [
        "evidence/crl/Example-Issuing-CA-1(1).crl",
        "evidence/crl/Example-Issuing-CA-1.crl",
    ]
    expected = incident.truth["expected"]
    assert expected["lost_ca_certificate"]
    assert {serial[-12:-8] for serial in expected["lost_ca_certificate"]} == {"0002"}
    assert {serial[-12:-8] for serial in expected["orphaned"]} <= {"0000", "0001"}


def test_a_string_serial_layout_makes_the_restored_ca_issue_lost_serials_again() -> None:
    incident = make_incident(Scenario(serial_layout="generated_string", after_restore=5))
    truth = incident.truth
    assert truth["collisions"]
    assert truth["expected"]["serial_conflict"] == truth["collisions"]
    assert not set(truth["collisions"]) & set(truth["expected"]["orphaned"])
    assert set(truth["reissued_request_ids"]) == {int(s[-8:], 16) for s in truth["collisions"]} | {
        i for i in truth["reissued_request_ids"] if truth["requests"][str(i)] != "issued"
    }


def test_a_release_shows_on_the_last_crl_by_what_is_no_longer_there() -> None:
    incident = make_incident(Scenario(seed=4, mail=False, releases=12))
    (crl,) = incident.traces.last_crls.values()
    listed = {SerialNumber(entry.serial_number).text for entry in crl}
    releases = incident.truth["lost_releases"]
    assert len(releases) == 12
    for item in releases:
        if item["serial"] in listed:
            assert item["shown_by"] == []
        else:
            assert item["shown_by"] == ["crl_absence"]
    assert 0 < len(incident.truth["expected"]["lost_release"]) < 12


def test_what_a_lost_ca_key_signed_shows_nothing_that_could_be_checked() -> None:
    incident = make_incident(Scenario(mail=False, lost_renewal="new_key", originals=1.0))
    for item in incident.truth["lost"]:
        gone = item["ca_cert_index"] == 1
        assert ("found" in item["shown_by"]) is not gone
        assert not (gone and item["shown_by"])
    assert incident.truth["expected"]["lost_ca_certificate"] == []


def test_passing_holds_leave_no_finding_and_no_stale_evidence() -> None:
    incident = make_incident(Scenario(seed=6, certificates=120, passing_holds=4, lost_mails=1.0))
    history, truth = incident.history, incident.truth
    assert len(history.passing) == 8
    known = {history.serial(i).text for i in history.passing if i not in history.lost_ids}
    assert len(known) == 4
    assert not known & {item["serial"] for item in truth["lost_revocations"] + truth["lost_releases"]}
    assert not history.passing & set(incident.traces.on_last_crl)
    for item in truth["lost"]:
        if item["request_id"] in history.passing:
            assert item["state"] == "issued"
            assert {"mail_revoked", "mail_unrevoked"} <= set(item["shown_by"])


# ---------------------------------------------------------------------------------- the files


def test_write_puts_down_exactly_the_files(tmp_path: Path) -> None:
    incident = make_incident(Scenario(certificates=10))
    told: dict[str, int] = {}
    incident.write(tmp_path / "new" / "incident", told.__setitem__)
    root = tmp_path / "new" / "incident"
    written = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert written == content(incident)
    assert told == {name: len(data) for name, data in written.items()}
    facts = json.loads(written["facts.json"])
    assert facts["config"] == "pki01.corp.example\\Example Issuing CA 1"
    assert {name.split("/")[0] for name in written} == {"evidence", "facts.json", "truth.json"}
    assert set(json.loads(written["truth.json"])) == set(incident.truth)


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(RefusedError, match="not empty"):
        make_incident(Scenario(certificates=10)).write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(PathError, match="file"):
        make_incident(Scenario(certificates=10)).write(tmp_path / "file")


def test_every_container_holds_the_same_mails(tmp_path: Path) -> None:
    def mails(form: Any) -> list[tuple[str, bytes]]:
        files = content(make_incident(Scenario(certificates=30, format=form)))
        held = {name: data for name, data in files.items() if name.startswith("evidence/mail/")}
        if form == "mbox":
            path = tmp_path / "box"
            path.write_bytes(held[MAIL])
            with closing(mailbox.mbox(path, create=False)) as box:
                raw = [box.get_bytes(key) for key in box.iterkeys()]
        elif form == "zip":
            with zipfile.ZipFile(io.BytesIO(held["evidence/mail/ca-mailbox.zip"])) as archive:
                assert archive.testzip() is None
                raw = [archive.read(name) for name in archive.namelist()]
        else:
            raw = [held[name] for name in sorted(held, key=lambda n: n.split(".")[-2] if form == "maildir" else n)]
        parsed = [message_from_bytes(data) for data in raw]
        return [(str(mail["Message-ID"]), str(mail["Subject"]).encode()) for mail in parsed]

    expected = mails("mbox")
    assert len(expected) > 100
    assert mails("eml") == mails("zip") == expected
    assert sorted(mails("maildir")) == sorted(expected)


def test_without_mail_and_crl_only_what_was_found_shows_anything() -> None:
    incident = make_incident(Scenario(mail=False, crl=False, originals=0.5))
    assert not [name for name in content(incident) if "mail" in name or name.endswith(".crl")]
    assert {source for item in incident.truth["lost"] for source in item["shown_by"]} == {"found"}
    assert incident.truth["expected"]["lost_revocation"] == []


@pytest.mark.parametrize(
    ("encoding", "start"), [("utf-16", b"\xff\xfeS\x00c\x00"), ("utf-8", b"Schema:"), ("cp850", b"Schema:")]
)
def test_the_view_comes_in_the_encodings_that_windows_writes(encoding: Any, start: bytes) -> None:
    view = content(make_incident(Scenario(certificates=60, encoding=encoding)))[VIEW]
    assert view.startswith(start)
    assert "Köln" in view.decode(encoding)


@pytest.mark.parametrize(
    ("locale", "gmt", "pattern"),
    [
        ("en-US", False, r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d [AP]M"),
        ("en-US", True, r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d [AP]M GMT"),
        ("de-DE", False, r"\d\d\.\d\d\.\d{4} \d\d:\d\d"),
        ("en-GB", False, r"\d\d/\d\d/\d{4} \d\d:\d\d"),
        ("ja-JP", False, r"\d{4}/\d\d/\d\d \d\d:\d\d"),
    ],
)
def test_dates_follow_the_cas_locale(locale: Any, gmt: bool, pattern: str) -> None:
    view = content(make_incident(Scenario(certificates=20, date_locale=locale, gmt=gmt)))[VIEW].decode("cp850")
    for row in rows_of(view).values():
        assert re.fullmatch(pattern, row["Request Submission Date"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"language": "de"},
        {"format": "pst"},
        {"certificates": 1},
        {"certificates": 10, "lost": 10},
        {"lost": 0},
        {"originals": 1.5},
        {"originals": 2},
        {"holds": 10**9},
        {"after_restore": -1},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "Europe"},
        {"time_zone": ""},
        {"time_zone": "../etc/passwd"},
        {"serial_layout": "octal"},
        {"failure": datetime(2026, 1, 1)},  # noqa: DTZ001 - the point
        {"failure": datetime(1995, 1, 1, tzinfo=UTC)},
        {"window": timedelta(minutes=1)},
        {"window": timedelta(days=1, microseconds=5)},
        {"crl_period": timedelta(days=1000)},
        {"lost_renewal": "yes"},
        {"view": "half"},
        {"audit_version": 2},
        {"events_off": ("unrevoked",)},
        {"smtp_outage": timedelta(days=30)},
        {"clock_offset": timedelta(hours=2)},
        {"clock_offset": timedelta(microseconds=1)},
        {"facts_time_zone": "Mars/Olympus"},
        {"not_persisted": -0.5},
        {"forged_issued": -1},
    ],
)
def test_what_no_incident_can_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"\.$"):
        Scenario(**wrong)


def test_small_incidents_are_made_in_no_time_and_large_ones_sign_little() -> None:
    large = make_incident(Scenario(certificates=60_000, lost=50))
    known = next(i for i in range(2, 5_000) if large.history.is_issued(i) and i not in large.history.life.acts)
    assert large.history.life.request(known).certificate is None
    for request_id in large.history.lost_ids:
        assert large.history.life.request(request_id).certificate is not None
