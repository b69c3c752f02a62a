"""Events as text: every way that Windows prints them says what the XML says, or tells that it does not."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import read
from carecover.model import Reading
from tests.evidence.conftest import check

ReadBytes = Callable[[bytes], Reading]
AUDIT = "Microsoft-Windows-Security-Auditing"
SERVICE = "Microsoft-Windows-CertificationAuthority"
SERIAL = "2000000015ecf4e4c40afef4f6000000000015"
KEY = " ".join(["ba"] * 20)
# Number, provider, sentence, then label in the text, name in the XML, value: as real samples and the manifest have it.
EVENTS: list[tuple[int, str, str, list[tuple[str, str, str]]]] = [
    (
        4887,
        AUDIT,
        "Certificate Services approved a certificate request and issued a certificate.",
        [
            ("Request ID", "RequestId", "21"),
            ("Requester", "Requester", "ESSOS\\viserys"),
            ("Attributes", "Attributes", "CertificateTemplate:User"),
            ("Disposition", "Disposition", "3"),
            ("SKI", "SubjectKeyIdentifier", KEY),
            ("Subject", "Subject", "CN=viserys, DC=essos"),
            ("Certificate Template", "CertificateTemplate", "User"),
            ("Serial Number", "SerialNumber", SERIAL),
        ],
    ),
    (
        4870,
        AUDIT,
        "Certificate Services revoked a certificate.",
        [("Serial Number", "CertificateSerialNumber", SERIAL), ("Reason", "RevocationReason", "5")],
    ),
    (
        4872,
        AUDIT,
        "Certificate Services published the certificate revocation list (CRL).",
        [
            ("Base CRL", "IsBaseCRL", "Yes"),
            ("CRL Number", "CRLNumber", "31"),
            ("Key Container", "KeyContainer", "CVI Issuing CA 1"),
            ("Next Publish", "NextPublish", "7/25/2125 8:16 PM 22.165s"),
            ("Publish URLs", "PublishURLs", "C:\\CVI.crl;"),
        ],
    ),
    (
        4888,
        AUDIT,
        "Certificate Services denied a certificate request.",
        [("Request ID", "RequestId", "22"), ("Requester", "Requester", "ESSOS\\bob"), ("Subject", "Subject", "CN=bob")],
    ),
    (
        4885,
        AUDIT,
        "The audit filter for Certificate Services changed.",
        [("Filter", "AuditFilter", "127")],
    ),
    (26, SERVICE, "Active Directory Certificate Services for CVI was started.  DC=DC01", []),
    (46, SERVICE, 'The "Windows default" Exit Module "Notify" method: EXITEVENT_CERTISSUED to a@example.com.', []),
    (4624, AUDIT, "An account was successfully logged on.", [("Account Name", "TargetUserName", "bob")]),
]
TIME = "7/25/2026 1:16:31 PM"


def message(sentence: str, data: list[tuple[str, str, str]]) -> list[str]:
    return [sentence, *(["\t"] if data else []), *(f"{label}:\t{value}" for label, _, value in data)]


def as_xml() -> str:
    made = []
    for number, provider, sentence, data in EVENTS:
        inner = "".join(f'<Data Name="{name}">{escape(value)}</Data>' for _, name, value in data)
        inner = inner or f"<Data>{escape(sentence)}</Data>"
        made.append(
            f'<Event><System><Provider Name="{provider}"/><EventID>{number}</EventID>'
            '<TimeCreated SystemTime="2026-07-25T13:16:31.000Z"/><Computer>ca01</Computer></System>'
            f"<EventData>{inner}</EventData></Event>"
        )
    return "\n".join(made)


def as_list(*, wrap: int | None = None) -> str:
    made = []
    for number, provider, sentence, data in EVENTS:
        told = message(sentence, data)
        if wrap:
            told = [part for line in told for part in ([line[:wrap], line[wrap:]] if len(line) > wrap else [line])]
        first, *rest = told
        made.append(
            f"TimeCreated  : {TIME}\nProviderName : {provider}\nId           : {number}\nMachineName  : ca01\n"
            f"Message      : {first}\n" + "".join(f"               {line}\n" for line in rest)
        )
    return "\n" + "\n".join(made) + "\n"


def as_details() -> str:
    return "\n".join(
        f"Log Name:      Security\nSource:        {provider}\nDate:          {TIME}\nEvent ID:      {number}\n"
        "Task Category: Certification Services\nLevel:         Information\nKeywords:      Audit Success\n"
        "User:          N/A\nComputer:      ca01\nDescription:\n" + "\n".join(message(sentence, data)) + "\n"
        for number, provider, sentence, data in EVENTS
    )


def as_wevtutil() -> str:
    return "\n".join(
        f"Event[{place}]:\n  Log Name: Security\n  Source: {provider}\n  Date: 2026-07-25T13:16:31.000\n"
        f"  Event ID: {number}\n  Task: Certification Services\n  Level: Information\n  Opcode: Info\n"
        "  Keyword: Audit Success\n  User: N/A\n  User Name: N/A\n  Computer: ca01\n  Description: \n"
        + "\n".join(message(sentence, data))
        + "\n"
        for place, (number, provider, sentence, data) in enumerate(EVENTS)
    )


def as_csv(form: str) -> str:
    out = io.StringIO()
    titles = {
        "viewer": ["Keywords", "Date and Time", "Source", "Event ID", "Task Category"],
        "german": ["Schlüsselwörter", "Datum und Uhrzeit", "Quelle", "Ereignis-ID", "Aufgabenkategorie"],
        "powershell": ["Message", "Id", "Version", "ProviderName", "MachineName", "TimeCreated"],
    }
    writer = csv.writer(out, delimiter="\t" if form == "tab" else ",", lineterminator="\r\n")
    if form == "powershell":
        out.write("#TYPE System.Diagnostics.Eventing.Reader.EventLogRecord\r\n")
    writer.writerow(titles.get(form, titles["viewer"]))
    for number, provider, sentence, data in EVENTS:
        told = "\n".join(message(sentence, data))
        if form == "powershell":
            writer.writerow([told, number, "0", provider, "ca01", TIME])
        else:
            writer.writerow(["Audit Success", TIME, provider, number, "Certification Services", told])
    return out.getvalue()


FORMS: Mapping[str, Callable[[], str]] = {
    "list": as_list,
    "wrapped list": lambda: as_list(wrap=45),
    "details": as_details,
    "wevtutil": as_wevtutil,
    "csv": lambda: as_csv("viewer"),
    "german csv": lambda: as_csv("german"),
    "tab": lambda: as_csv("tab"),
    "powershell csv": lambda: as_csv("powershell"),
}
# What a text cannot hold: Event Viewer's csv has no computer.
WITHOUT_COMPUTER = {"csv", "german csv", "tab"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_form_gives_what_the_xml_gives(tmp_path: Path, form: str, encoding: str) -> None:
    (tmp_path / "a.xml").write_text(as_xml(), encoding="utf-8")
    (tmp_path / "a.txt").write_text(FORMS[form](), encoding=encoding, newline="")
    expected, got = read(tmp_path / "a.xml"), read(tmp_path / "a.txt")
    check(got)
    assert got.kind == "events"
    assert got.accounting == expected.accounting
    left = ["location", "flags", *(["computer"] if form in WITHOUT_COMPUTER else [])]
    pd.testing.assert_frame_equal(
        got.tables["audit_events"].drop(columns=left), expected.tables["audit_events"].drop(columns=left)
    )
    assert all(flags == ["zone_assumed_utc"] for flags in got.tables["audit_events"]["flags"])


def test_real_texts_and_their_xml_agree(corpus: Path) -> None:
    """The write-up shows the same three events in both forms."""
    for text, xml in (
        ("ESC10__07", "4887__ESC10__08"),
        ("ESC10__05", "4886__ESC10__06"),
        ("ESC11__01", "4886__ESC11__02"),
    ):
        ours = read(corpus / "evtx" / f"eventtext__{text}.txt").tables["audit_events"]
        theirs = read(corpus / "evtx" / f"event{xml}.xml.txt").tables["audit_events"]
        missing = ["recorded_at", "computer", "location", "flags"]
        pd.testing.assert_frame_equal(ours.drop(columns=missing), theirs.drop(columns=missing))
        assert ours["flags"].iloc[0] == ["time_missing"]


def test_real_lists_and_tables(corpus: Path) -> None:
    published = read(corpus / "evtx" / "getwinevent_4872__lufann-stewart__lab-03-audit-logging-configuration__03.txt")
    assert list(published.tables["audit_events"]["crl_number"]) == ["31", "31"]
    assert [detail.split(";")[0] for detail in published.tables["audit_events"]["detail"]] == ["delta", "base"]
    service = read(corpus / "evtx" / "getwinevent_app__lucy-arukwe__lab-03-restore-from-backup__01.txt")
    assert list(service.tables["audit_events"]["event_id"]) == [17, 38, 26]
    assert service.tables["audit_events"]["recorded_at"].iloc[0] == datetime(2026, 6, 18, 21, 18, 24, tzinfo=UTC)
    assert (
        "did not start: Unable to initialize the database connection"
        in service.tables["audit_events"]["detail"].iloc[0]
    )
    table = read(corpus / "evtx" / "getwinevent_app__lufann-stewart__lab-02-ca-recovery-simulation__01.txt")
    assert list(table.tables["audit_events"]["event_id"]) == [17, 38, 26, 38]
    assert table.accounting.irrelevant == 1, "event 44 is not looked for"


def test_copied_details_are_read_from_the_xml_below_them(read_bytes: ReadBytes) -> None:
    event = (
        as_xml()
        .partition("\n")[0]
        .replace("<Event>", '<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event">')
    )
    details = as_details().partition("\nLog Name")[0]
    german = details.replace("Request ID", "Anforderungs-ID").replace("Serial Number", "Seriennummer")
    for text in (details, german):
        table = read_bytes(f"{text}\nEvent Xml:\n{event}\n".encode()).tables["audit_events"]
        assert list(table["serial"]) == [SERIAL]
        assert table["flags"].iloc[0] == []


def test_a_text_in_another_language_is_told_where_its_values_count(read_bytes: ReadBytes) -> None:
    text = (
        f"TimeCreated : 25.07.2026 13:16:31\nId          : 4887\nMessage     : Ein Zertifikat wurde ausgestellt.\n"
        f"              Anforderungs-ID:\t21\n              Seriennummer:\t{SERIAL}\n\n"
        "TimeCreated : 25.07.2026 13:17:31\nId          : 4880\nMessage     : Die Zertifikatdienste wurden gestartet.\n"
        f"\nTimeCreated : 25.07.2026 13:18:31\nProviderName : {SERVICE}\nId          : 26\nMessage     : Gestartet.\n"
        "\nTimeCreated : 25.07.2026 13:19:31\nId          : 26\nMessage     : Irgendein Dienst.\n"
    )
    reading = read_bytes(text.encode())
    assert list(reading.tables["audit_events"]["event_id"]) == [4880, 26]
    reasons = list(reading.tables["rejects"]["reason"])
    assert "not in English" in reasons[0]
    assert "another program's" in reasons[1]


def test_a_table_cuts_its_messages_off_and_says_so(read_bytes: ReadBytes) -> None:
    text = (
        "TimeCreated                      Id LevelDisplayName Message\n"
        "-----------                      -- ---------------- -------\n"
        "7/25/2026 8:20:06 AM           4887 Information      Certificate Services approved a certificate req...\n"
        "7/25/2026 8:20:07 AM           4880 Information      Certificate Services started....\n"
    )
    reading = read_bytes(text.encode())
    assert list(reading.tables["audit_events"]["event_id"]) == [4880]
    assert "cut off" in reading.tables["rejects"]["reason"].iloc[0]


def test_a_table_that_wraps_its_messages(read_bytes: ReadBytes) -> None:
    number, _, sentence, data = EVENTS[0]
    told = message(sentence, data)
    text = (
        "\n   ProviderName: Microsoft-Windows-Security-Auditing\n\n"
        "TimeCreated                      Id LevelDisplayName Message\n"
        "-----------                      -- ---------------- -------\n"
        + "".join(
            f"7/25/2026 8:20:0{n} AM           {number} Information      {told[0]}\n"
            + "".join(f"{'':53}{line}\n" for line in told[1:])
            for n in range(2)
        )
        + "7/25/2026 8:20:07 AM           4880 Information      Certificate Services started.\n"
    )
    table = read_bytes(text.encode()).tables["audit_events"]
    assert list(table["event_id"]) == [4887, 4887, 4880]
    assert list(table["serial"].iloc[:2]) == [SERIAL, SERIAL]
    assert list(table["requester"].iloc[:2]) == ["ESSOS\\viserys"] * 2


@pytest.mark.parametrize("label", ["Serial Number", "Request ID", "Requester"])
def test_a_requester_cannot_write_labels_into_an_event(read_bytes: ReadBytes, label: str) -> None:
    lie = f"CertificateTemplate:User\n{label}:\t4400"
    made = as_details().replace("CertificateTemplate:User", lie)
    reading = read_bytes(made.encode())
    assert 4887 not in list(reading.tables["audit_events"]["event_id"])
    assert "in two ways" in reading.tables["rejects"]["reason"].iloc[0]


def test_what_is_no_event(read_bytes: ReadBytes) -> None:
    assert read_bytes(b"Id : 5\nName : x\n").kind == "unknown"
    wide = "Message,Id,TimeCreated\n" + '"' + "x" * 200_000 + '",4887,7/25/2026\n'
    assert "cannot be split" in read_bytes(wide.encode()).tables["rejects"]["reason"].iloc[0]
    short = read_bytes(b"TimeCreated,Id,Message\n7/25/2026 1:16 PM\n")
    assert "fewer than" in short.tables["rejects"]["reason"].iloc[0]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(FORMS)),
    st.lists(st.tuples(st.integers(0, 3000), st.text(max_size=4)), max_size=4),
    st.data(),
)
def test_bent_texts_are_accounted_for(
    tmp_path: Path, form: str, changes: list[tuple[int, str]], data: st.DataObject
) -> None:
    text = FORMS[form]()
    for at, new in changes:
        text = text[:at] + new + text[at + data.draw(st.integers(0, 3)) :]
    path = tmp_path / "bent.txt"
    path.write_bytes(text.encode("utf-8", "replace"))
    reading = read(path)
    check(reading)
    for serial in reading.tables["audit_events"]["serial"].dropna() if "audit_events" in reading.tables else ():
        assert serial == SERIAL or changes
