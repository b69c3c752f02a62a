"""Events of the Security log, as XML and .evtx."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import events, read
from carecover.model import Reading
from tests.evidence.conftest import check

ReadBytes = Callable[[bytes], Reading]

CA_SERVICE = "Microsoft-Windows-CertificationAuthority"
NOT_MAILED = (
    "The Certification Authority was unable to send an email notification for EXITEVENT_CERTDENIED to {recipient}."
)


def event(number: int, **data: str) -> str:
    rows = "".join(f'<Data Name="{name}">{value}</Data>' for name, value in data.items())
    return any_event(number, f"<EventData>{rows}</EventData>")


def any_event(number: int, body: str, provider: str = "", channel: str = "") -> str:
    return (
        '<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System>'
        + (f'<Provider Name="{provider}" Guid="{{6A71D062-9AFE-4F35-AD08-52134F85DFB9}}"/>' if provider else "")
        + f"<EventID Qualifiers='49754'>{number}</EventID><TimeCreated SystemTime='2026-07-11T13:16:31.1234567Z'/>"
        + (f"<Channel>{channel}</Channel>" if channel else "")
        + f"<Computer>ca01.corp.example</Computer></System>{body}</Event>"
    )


def service_event(number: int, *data: str, provider: str = CA_SERVICE, rendered: str = "") -> str:
    rows = "".join(f"<Data>{value}</Data>" for value in data)
    shown = f"<RenderingInfo Culture='de-DE'><Message>{rendered}</Message></RenderingInfo>" if rendered else ""
    return any_event(number, f"<EventData Name='X'>{rows}</EventData>{shown}", provider, "Application")


def details(reading: Reading) -> list[str | None]:
    check(reading)
    return [None if pd.isna(x) else str(x) for x in reading.tables["audit_events"]["detail"]]


def test_events_copied_from_the_event_viewer(corpus: Path) -> None:
    row = read(corpus / "evtx" / "event4887__ESC9__06.xml.txt").tables["audit_events"].iloc[0]
    assert row["event_id"] == 4887
    assert row["request_id"] == 85
    assert row["serial"] == "2000000055b6d772ba7b06d5ea000000000055"
    assert row["requester"] == "ESSOS\\viserys.targaryen"
    assert row["template"] == "ESC9"
    assert row["computer"] == "braavos.essos.local"
    assert pd.isna(row["subject"])
    assert row["recorded_at"] == datetime(2025, 8, 17, 18, 35, 36, 64589, tzinfo=UTC)


def test_every_file_of_the_corpus_is_accounted_for(corpus: Path) -> None:
    for path in sorted((corpus / "evtx").iterdir()):
        reading = read(path)
        check(reading)
        assert reading.kind == ("unknown" if path.name == "SOURCES.tsv" else "events")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_exports_of_many_events(read_bytes: ReadBytes, encoding: str) -> None:
    body = "\n".join(
        [
            event(4870, CertificateSerialNumber="44 00 0b", RevocationReason="6"),
            event(4872, **{"CRL Number": "31"}),
            event(4624, TargetUserName="bob"),
            event(4888, RequestId="9", Requester="CORP\\a&amp;b"),
            event(4887, RequestId="1", SerialNumber="not hex"),
        ]
    )
    for text in (f"<?xml version='1.0'?>\n<Events>{body}</Events>", body):
        reading = read_bytes(text.encode(encoding))
        rows = reading.tables["audit_events"]
        assert list(rows["event_id"]) == [4870, 4872, 4888, 4887]
        assert (rows["serial"].iloc[0], rows["reason"].iloc[0]) == ("44000b", 6)
        assert rows["crl_number"].iloc[1] == "31"
        assert rows["requester"].iloc[2] == "CORP\\a&b"
        assert pd.isna(rows["serial"].iloc[3])
        assert reading.accounting.irrelevant == 1


def test_declarations_are_refused(read_bytes: ReadBytes) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + event(4887, RequestId="&b;")
    reading = read_bytes(bomb.encode())
    assert "audit_events" not in reading.tables
    assert reading.accounting.rejected == 1


def test_damage_is_rejected_piece_by_piece(read_bytes: ReadBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_EVENT_BYTES", 5000)
    good = event(4887, RequestId="1")
    data = good + "<Event><EventID>4887</x></Event>" + event(4887, Attributes="x" * 6000) + good + good[:-20]
    reading = read_bytes(data.encode())
    assert (reading.accounting.parsed, reading.accounting.rejected) == (2, 3)


def test_an_event_log_of_noise(read_bytes: ReadBytes) -> None:
    assert read_bytes(b"ElfFile\0" + b"\xff" * 10_000).accounting.parsed == 0
    assert read_bytes(b"ElfFile\0").accounting.rejected == 1


# ------------------------------------------------------------------------- what else an event says


@pytest.mark.parametrize(
    ("number", "data", "detail"),
    [
        # Names by the provider's manifest, values as the text form of real events shows them.
        (
            4872,
            {
                "IsBaseCRL": "Yes",
                "CRLNumber": "31",
                "KeyContainer": "CVI Issuing CA 1",
                "NextPublish": "7/11/2125 8:16 PM 22.165s",
                "PublishURLs": "C:\\CVI.crl;",
            },
            "base; next publish 7/11/2125 8:16 PM 22.165s; key container CVI Issuing CA 1; URLs C:\\CVI.crl;",
        ),
        (4872, {"IsBaseCRL": "No", "CRLNumber": "31"}, "delta"),
        (4872, {"IsBaseCRL": "Nein", "CRLNumber": "31"}, "delta"),
        (4872, {"IsBaseCRL": "perhaps", "CRLNumber": "31"}, None),
        (4870, {"SubjectUserName": "pki.admin", "SubjectDomainName": "CORP"}, "by CORP\\pki.admin"),
        (
            4871,
            {"NextUpdate": "0", "NextPublishForBaseCRL": "Yes", "NextPublishForDeltaCRL": "No"},
            "next update 0; base Yes; delta No",
        ),
        (4876, {"BackupType": "1", "SubjectUserName": "x"}, "backup type 1; by x"),
        (4878, {}, None),
        (4880, {"CertificateDatabaseHash": "", "PrivateKeyUsageCount": "12"}, "private key used 12"),
        (4885, {"AuditFilter": "0", "SubjectUserName": "a", "SubjectDomainName": "B"}, "audit filter 0; by B\\a"),
        (4896, {"TableId": "0", "Filter": "x", "RowsDeleted": "9"}, "table 0; filter x; rows deleted 9"),
    ],
)
def test_details(read_bytes: ReadBytes, number: int, data: dict[str, str], detail: str | None) -> None:
    assert details(read_bytes(event(number, **data).encode())) == [detail]


def test_an_issued_event_without_serial_names_the_key(read_bytes: ReadBytes) -> None:
    """Version 0 of event 4887 has no serial number; the key tells which certificate it was."""
    key = "06 2F 87 bd 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff"
    old = {"RequestId": "0x14", "Requester": "CORP\\a$", "Attributes": "", "Disposition": "3", "Subject": "CN=a"}
    new = {**old, "SerialNumber": "4400000014", "CertificateTemplate": "Machine"}
    body = "".join(
        event(4887, **data, SubjectKeyIdentifier=shown)
        for data, shown in ((old, key), (new, key.replace(" ", "")), (old, "not a key"), (old, ""))
    )
    table = read_bytes(body.encode()).tables["audit_events"]
    assert list(table["key_id"].iloc[:2]) == [key.replace(" ", "").lower()] * 2
    assert table["key_id"].isna().tolist() == [False, False, True, True]
    assert list(table["request_id"]) == [20] * 4
    assert table["serial"].isna().tolist() == [True, False, True, True]


def test_real_events_carry_the_key(corpus: Path) -> None:
    row = read(corpus / "evtx" / "event4887__ESC9__06.xml.txt").tables["audit_events"].iloc[0]
    assert len(row["key_id"]) == 40
    ids = []
    for path in sorted((corpus / "evtx").iterdir()):
        table = read(path).tables.get("audit_events")
        ids += list(table["event_id"]) if table is not None and (path.suffix == ".evtx" or ".xml" in path.name) else []
    # The other events of the corpus are other providers', and one is about a template (4898).
    assert sorted(ids) == [4886, 4886, 4886, 4887, 4887, 4887]


@pytest.mark.parametrize(
    ("made", "detail"),
    [
        (
            service_event(46, "Windows default", "Notify", "0x8009400f", NOT_MAILED.format(recipient="Unavailable")),
            "EXITEVENT_CERTDENIED to Unavailable",
        ),
        (
            service_event(46, NOT_MAILED.format(recipient="bob@corp.example;eve@corp.example") + " Too many sessions."),
            "EXITEVENT_CERTDENIED to bob@corp.example;eve@corp.example",
        ),
        # Only the constant is the same in every language.
        (
            service_event(46, "Benachrichtigung für EXITEVENT_PENDING an a@b konnte nicht gesendet werden."),
            "EXITEVENT_PENDING",
        ),
        (
            service_event(46, "EXITEVENT_CERTRETRIEVEPENDING", "a@corp.example"),
            "EXITEVENT_CERTRETRIEVEPENDING to a@corp.example",
        ),
        (
            service_event(46, rendered=NOT_MAILED.format(recipient="a@b.example").replace(" for ", "\n for ")),
            "EXITEVENT_CERTDENIED to a@b.example",
        ),
        (service_event(46, "Windows default", "Initialize", "0x80070005"), "Windows default; Initialize; 0x80070005"),
        (service_event(46), None),
        (service_event(26, "Corp CA", "DC=dc01"), "Corp CA; DC=dc01"),
        (service_event(38, "Corp CA", provider="CertSvc"), "Corp CA"),
        (service_event(65, "0", "http://pki/x.crl", "Access denied\r\n"), "0; http://pki/x.crl; Access denied"),
        (service_event(17, "x" * 5000), "x" * 500),
    ],
)
def test_what_the_service_says(read_bytes: ReadBytes, made: str, detail: str | None) -> None:
    assert details(read_bytes(made.encode())) == [detail]


def test_who_cleared_the_security_log(read_bytes: ReadBytes) -> None:
    body = (
        '<UserData><LogFileCleared xmlns="http://manifests.microsoft.com/win/2004/08/windows/eventlog">'
        "<SubjectUserSid>S-1</SubjectUserSid><SubjectUserName>eve</SubjectUserName>"
        "<SubjectDomainName>CORP</SubjectDomainName></LogFileCleared></UserData>"
    )
    reading = read_bytes(any_event(1102, body, "Microsoft-Windows-Eventlog", "Security").encode())
    assert details(reading) == ["by CORP\\eve"]
    assert reading.tables["audit_events"]["event_id"].iloc[0] == 1102


@pytest.mark.parametrize(
    ("number", "provider"),
    [
        (46, "Microsoft-Windows-Kernel-Power"),
        (26, "Application Popup"),
        (38, ""),
        (65, "Microsoft-Windows-Security-Auditing"),
        (1102, ""),
        (1102, CA_SERVICE),
        (4887, "Some Application"),
        (4887, CA_SERVICE),
        (4624, "Microsoft-Windows-Security-Auditing"),
        (27, CA_SERVICE),
    ],
)
def test_a_number_says_nothing_without_its_provider(read_bytes: ReadBytes, number: int, provider: str) -> None:
    body = f"<EventData><Data>{NOT_MAILED}</Data></EventData>"
    reading = read_bytes(any_event(number, body, provider, "Security").encode())
    check(reading)
    assert reading.accounting.irrelevant == reading.accounting.units == 1
    # Damaged, it is no more the CA's than before, unless it may have been.
    damaged = any_event(number, "<EventData><Data></EventData>", provider).encode()
    assert read_bytes(damaged).accounting.rejected == int(number in {4887, 1102})


_MARKUP = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=60)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from([*sorted(events.AUDIT_IDS | events.SERVICE_IDS), 1102]),
    st.lists(st.tuples(st.sampled_from(["", "RequestId", "SerialNumber", "NextPublish", "SubjectUserName"]), _MARKUP)),
    st.sampled_from(["", CA_SERVICE, "Microsoft-Windows-Security-Auditing", "Microsoft-Windows-Eventlog"]),
)
def test_whatever_the_data_are_the_row_fits_its_table(
    tmp_path: Path, number: int, data: list[tuple[str, str]], provider: str
) -> None:
    rows = "".join(f'<Data Name="{name}">{escape(value)}</Data>' for name, value in data)
    path = tmp_path / "x.xml"
    path.write_bytes(any_event(number, f"<EventData>{rows}</EventData>", provider).encode())
    reading = read(path)
    check(reading)
    assert reading.accounting.rejected == 0
    for detail in reading.tables["audit_events"]["detail"].dropna() if reading.accounting.parsed else ():
        assert detail.isprintable()
        assert 0 < len(detail) <= 500
