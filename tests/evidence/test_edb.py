"""The CA's database file. No real one is public: the mapping is tried on a database that tests/evidence/ese.py
writes and on the library's own generic ones."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import edb, read, read_view
from carecover.evidence.units import Parsed, Rejected
from carecover.evidence.x509 import sha1_hex
from carecover.model import Reading
from tests.evidence.conftest import check
from tests.evidence.ese import DATE, LONG, LONG_BINARY, LONG_TEXT, TEXT, Column, Table, database, file_time
from tests.evidence.test_x509 import make_certificate

ReadBytes = Callable[[bytes], Reading]
WHEN = datetime(2026, 7, 25, 13, 6, 31, 123456, tzinfo=UTC)
LATER = datetime(2027, 7, 25, tzinfo=UTC)
REQUESTS = (
    Column(1, "RequestID", LONG),
    Column(2, "Disposition", LONG),
    Column(3, "SubmittedWhen", DATE),
    Column(4, "RevokedWhen", DATE),
    Column(5, "RevokedEffectiveWhen", DATE),
    Column(6, "RevokedReason", LONG),
    Column(128, "$RequesterName", TEXT),
    Column(256, "$DispositionMessage", LONG_TEXT),
)
CERTIFICATES = (
    Column(1, "RequestID", LONG),
    Column(2, "NotBefore", DATE),
    Column(3, "NotAfter", DATE),
    Column(4, "IssuerNameID", LONG),
    Column(128, "$SerialNumber", TEXT),
    Column(129, "$CertificateHash2", TEXT),
    Column(130, "$CommonName", TEXT),
    Column(256, "$CertificateTemplate", LONG_TEXT),
    Column(257, "$DistinguishedName", LONG_TEXT),
    Column(258, "RawCertificate", LONG_BINARY),
)
LISTS = (
    Column(1, "RowId", LONG),
    Column(2, "Number", LONG),
    Column(3, "MinBase", LONG),
    Column(4, "NameId", LONG),
    Column(5, "ThisUpdate", DATE),
    Column(6, "NextUpdate", DATE),
    Column(7, "ThisPublish", DATE),
    Column(8, "PublishStatusCode", LONG),
    Column(9, "PropgationComplete", DATE),
)
DERS = {number: make_certificate(serial=0x4400000000 + number, subject=f"host{number}") for number in range(1, 9)}


def request(number: int, state: int = 20, **more: int | str | None) -> dict[str, int | str | bytes | None]:
    return {
        "RequestID": number,
        "Disposition": state,
        "SubmittedWhen": file_time(WHEN),
        "$RequesterName": f"CORP\\J\u00fcrgen{number}",
        "$DispositionMessage": "Issued",
        **more,
    }


def certificate(number: int, **more: int | str | bytes | None) -> dict[str, int | str | bytes | None]:
    der = DERS[number]
    return {
        "RequestID": number,
        "NotBefore": file_time(WHEN),
        "NotAfter": file_time(LATER),
        "IssuerNameID": 0x10001,
        "$SerialNumber": f"{0x4400000000 + number:x}",
        "$CertificateHash2": " ".join(f"{byte:02x}" for byte in bytes.fromhex(sha1_hex(der))),
        "$CommonName": f"host{number}",
        "$CertificateTemplate": "1.3.6.1.4.1.311.21.8.1.2.3",
        "$DistinguishedName": f"CN=host{number}, DC=\u00f6",
        "RawCertificate": der,
        **more,
    }


def tables(**more: Table) -> list[Table]:
    made = {
        "requests": Table(
            "Requests",
            REQUESTS,
            [
                request(1, 15),
                request(2),
                request(3, 31),
                request(4, 21, RevokedReason=5, RevokedWhen=file_time(WHEN), RevokedEffectiveWhen=file_time(LATER)),
                request(7, 9),
                request(8),
            ],
        ),
        "certificates": Table(
            "Certificates",
            CERTIFICATES,
            [certificate(1), certificate(2), {"RequestID": 3}, certificate(4), certificate(8, RawCertificate=None)],
        ),
        "lists": Table(
            "CRLs",
            LISTS,
            [
                {
                    "RowId": 1,
                    "Number": 31,
                    "MinBase": 0,
                    "NameId": 0,
                    "ThisUpdate": file_time(WHEN),
                    "PublishStatusCode": 0,
                },
                {"RowId": 2, "Number": 32, "MinBase": 31, "NameId": 0, "ThisUpdate": file_time(WHEN)},
            ],
        ),
        **more,
    }
    return list(made.values())


def test_a_database_gives_the_rows_that_a_view_gives(read_bytes: ReadBytes) -> None:
    reading = read_bytes(database(tables()))
    assert reading.kind == "edb"
    assert (reading.accounting.parsed, reading.accounting.units) == (8, 8)
    rows = reading.tables["ca_rows"]
    assert list(rows["request_id"]) == [1, 2, 3, 4, 7, 8]
    assert list(rows["disposition"]) == [15, 20, 31, 21, 9, 20]
    assert list(rows["serial"].dropna()) == [f"{0x4400000000 + n:x}" for n in (1, 2, 4, 8)]
    assert list(rows["requester"]) == [f"CORP\\J\u00fcrgen{n}" for n in (1, 2, 3, 4, 7, 8)]
    assert rows["subject"].iloc[1] == "CN=host2, DC=\u00f6"
    assert rows["template_oid"].iloc[1] == "1.3.6.1.4.1.311.21.8.1.2.3"
    assert rows["thumbprint"].iloc[5] == sha1_hex(DERS[8])
    assert rows["certificate_sha256"].notna().sum() == 3
    assert (rows["submitted_at"] == WHEN).all()
    assert (rows["revoked_at"].iloc[3], rows["effective_revoked_at"].iloc[3]) == (WHEN, LATER)
    assert (rows["reason"].iloc[3], rows["issuer_name_id"].iloc[1]) == (5, 0x10001)
    assert rows["not_after"].iloc[5] == LATER, "without a certificate the column counts"
    assert all(flags == [] for flags in rows["flags"])
    view = reading.tables["views"].iloc[0]
    assert (view["rows"], view["complete"], view["first_request_id"], view["last_request_id"]) == (6, True, 1, 8)
    lists = reading.tables["crl_rows"]
    assert (list(lists["crl_number"]), list(lists["is_delta"])) == (["31", "32"], [False, True])
    assert lists["this_update"].iloc[0] == WHEN


def test_it_is_a_view_for_who_wants_only_a_table(tmp_path: Path) -> None:
    path = tmp_path / "CA.edb"
    path.write_bytes(database(tables()))
    assert list(read_view(path)["request_id"]) == [1, 2, 3, 4, 7, 8]


def test_a_dirty_database_is_told(read_bytes: ReadBytes) -> None:
    reading = read_bytes(database(tables(), state=2))
    assert "not shut down cleanly" in reading.tables["rejects"]["reason"].iloc[0]
    assert reading.tables["rejects"]["size"].iloc[0] == 4096, "the header says so"
    assert not reading.tables["views"]["complete"].iloc[0]
    assert set(map(tuple, reading.tables["ca_rows"]["flags"])) == {("database_dirty",)}


def test_a_deleted_row_is_gone(read_bytes: ReadBytes) -> None:
    made = tables()
    made[0].deleted = frozenset({1})
    reading = read_bytes(database(made))
    assert list(reading.tables["ca_rows"]["request_id"]) == [1, 3, 4, 7, 8]
    assert "its request is missing" in reading.tables["rejects"]["reason"].iloc[0]


@pytest.mark.parametrize("damage", ["zeros", "circle"])
def test_a_damaged_page_is_told_and_the_rest_is_read(read_bytes: ReadBytes, damage: str) -> None:
    reading = read_bytes(database(tables(), break_leaf="zeros" if damage == "zeros" else "circle"))
    assert list(reading.tables["ca_rows"]["request_id"]) == [1, 2, 3]
    reasons = " ".join(reading.tables["rejects"]["reason"])
    assert ("circle" in reasons) == (damage == "circle")
    assert damage == "circle" or 4096 in list(reading.tables["rejects"]["size"])
    assert not reading.tables["views"]["complete"].iloc[0]


def test_a_certificate_that_contradicts_its_row(read_bytes: ReadBytes) -> None:
    made = tables(certificates=Table("Certificates", CERTIFICATES, [certificate(2, **{"$SerialNumber": "44ff"})]))
    row = read_bytes(database(made)).tables["ca_rows"].iloc[1]
    assert "row_contradicts_certificate" in row["flags"]
    bent = tables(certificates=Table("Certificates", CERTIFICATES, [certificate(2, RawCertificate=b"0\x03\x02\x01")]))
    row = read_bytes(database(bent)).tables["ca_rows"].iloc[1]
    assert "certificate_invalid" in row["flags"]
    assert row["serial"] == "4400000002"


def test_times_that_are_none(read_bytes: ReadBytes) -> None:
    made = tables(requests=Table("Requests", REQUESTS, [request(1, SubmittedWhen=5), request(2, SubmittedWhen=2**62)]))
    rows = read_bytes(database(made)).tables["ca_rows"]
    assert rows["submitted_at"].isna().all()
    assert all("date_unreadable" in flags for flags in rows["flags"])


def test_other_databases_are_told(corpus: Path, tmp_path: Path) -> None:
    for path in sorted((corpus / "edb").glob("*.gz")):
        (tmp_path / "a.edb").write_bytes(gzip.decompress(path.read_bytes()))
        reading = read(tmp_path / "a.edb")
        check(reading)
        assert (reading.kind, reading.accounting.rejected) == ("edb", 1)
        assert "none of a CA" in reading.tables["rejects"]["reason"].iloc[0]


def test_what_the_library_reads_of_real_files_is_printed_alike(corpus: Path, tmp_path: Path) -> None:
    """Integers, texts and bytes of a real ESE file come out of the walk as the library's own records give them."""
    from dissect.database.ese import ESE  # noqa: PLC0415 - only here

    (tmp_path / "a.edb").write_bytes(gzip.decompress((corpus / "edb" / "generic_ese__SRUDB.dat.gz").read_bytes()))
    with (tmp_path / "a.edb").open("rb") as file:
        whole = edb._opened(ESE, file)
        compared = 0
        for table in whole.tables():
            ours = [bytes(node.data) for node in edb._nodes(whole, table, whole.page)]
            theirs = [bytes(node.data) for node in table.root.iter_leaf_nodes() if not int(node.tag.flags) & 2]
            assert ours == theirs, table.name
            compared += len(ours)
    assert compared > 500


def test_records_out_of_order_are_told_not_joined() -> None:
    def certificates() -> Iterator[edb.Found | edb.Damage]:
        yield edb.Found("second", {"RequestID": 2, "SerialNumber": "44"})
        yield edb.Found("first", {"RequestID": 1, "SerialNumber": "45"})
        yield edb.Damage("third", "it is damaged")

    def requests() -> Iterator[edb.Found | edb.Damage]:
        for number in (1, 2):
            yield edb.Found(f"r{number}", {"Request.RequestID": number, "Request.Disposition": 20})

    units = list(edb.units_of({"requests": requests, "certificates": certificates}, clean=True))
    rows = [unit.rows[0][1] for unit in units if isinstance(unit, Parsed) and unit.units]
    assert [row.get("serial") for row in rows] == [None, "44"]
    assert sum(isinstance(unit, Rejected) for unit in units) == 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bent_databases_are_told(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    made = bytearray(database(tables()))
    for _ in range(data.draw(st.integers(1, 12))):
        made[data.draw(st.integers(8, len(made) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("bent") / "a.edb"
    path.write_bytes(bytes(made[: data.draw(st.integers(4096, len(made)))]))
    reading = read(path)
    check(reading)
    assert reading.kind == "edb"


def test_the_start_of_a_file_alone(read_bytes: ReadBytes) -> None:
    reading = read_bytes(b"....\xef\xcd\xab\x89")
    assert "ESE database cannot be opened" in reading.tables["rejects"]["reason"].iloc[0]
    reading = read_bytes(database(tables())[:9000])
    assert reading.accounting.rejected >= 1
    assert isinstance(reading.tables["rejects"], pd.DataFrame)
