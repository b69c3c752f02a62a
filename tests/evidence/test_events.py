"""Events of the Security log, as XML and .evtx."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from carecover.evidence import events, read
from carecover.model import Reading
from tests.evidence.conftest import check

ReadBytes = Callable[[bytes], Reading]


def event(number: int, **data: str) -> str:
    rows = "".join(f'<Data Name="{name}">{value}</Data>' for name, value in data.items())
    return (
        '<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System>'
        f"<EventID>{number}</EventID><TimeCreated SystemTime='2026-07-11T13:16:31.1234567Z'/>"
        f"<Computer>ca01.corp.example</Computer></System><EventData>{rows}</EventData></Event>"
    )


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
        assert (reading.kind == "events") == (path.suffix == ".evtx" or ".xml" in path.name)


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
