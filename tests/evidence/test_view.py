"""``certutil -view``: real captures pinned by eye, and every way that a value can lie."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.analysis.baseline import assemble_baseline
from carecover.errors import EvidenceError, QuestionError
from carecover.evidence import Context, read, read_view, view_text
from carecover.evidence.views import restriction_of
from carecover.model import Reading
from tests.evidence.conftest import check
from tests.evidence.test_x509 import make_certificate, pem

ReadBytes = Callable[[bytes], Reading]
NAVIGATION = "view__lufann-stewart__lab-01-event-log-navigation__"

COLUMNS = (
    ("Request.RequestID", "Request ID", "Long"),
    ("Request.Disposition", "Request Disposition", "Long"),
    ("Request.RequesterName", "Requester Name", "String"),
    ("Request.CommonName", "Request Common Name", "String"),
    ("Request.Locality", "Request City", "String"),
    ("SerialNumber", "Serial Number", "String"),
    ("CommonName", "Issued Common Name", "String"),
    ("NotAfter", "Certificate Expiration Date", "Date"),
    ("CertificateHash", "Certificate Hash", "String"),
)
SERIAL = "44000000030d20ca71500ba5c4000000000003"
ROW = (
    "0x3",
    "0x14 (20) -- Issued",
    '"CORP\\host03$"',
    '"host03"',
    "EMPTY",
    f'"{SERIAL}"',
    '"host03.corp.example"',
    "7/25/2027 1:06 PM",
    f'"{" ".join(["ab"] * 20)}"',
)


def schema(columns: Sequence[tuple[str, str, str]] = COLUMNS) -> str:
    lines = "".join(f"  {name:28}  {label:28}  {kind:6}  4 -- Indexed\n" for name, label, kind in columns)
    rule = f"  {'-' * 28}  {'-' * 28}  ------  ---------\n"
    return (
        "Schema:\n  Column Name                   Localized Name                Type    MaxLength\n"
        + rule
        + lines
        + "\n"
    )


def row(number: int, values: Sequence[str] = ROW, columns: Sequence[tuple[str, str, str]] = COLUMNS) -> str:
    pairs = zip(columns, values, strict=True)
    return f"Row {number}:\n" + "".join(f"  {label}: {value}\n" for (_, label, _), value in pairs) + "\n"


def trailer(rows: int) -> str:
    return (
        f"Maximum Row Index: {rows}\n\n{rows} Rows\n"
        f"  18 Row Properties, Total Size = 1132, Max Size = 76, Ave Size = 62\n"
        f"   0 Request Attributes, Total Size = 0, Max Size = 0, Ave Size = 0\n"
        f"CertUtil: -view command completed successfully.\n"
    )


def changed(**new: str) -> list[str]:
    names = [name.rpartition(".")[2] if name != "Request.CommonName" else "RequestCN" for name, _, _ in COLUMNS]
    return [new.get(name, value) for name, value in zip(names, ROW, strict=True)]


# -------------------------------------------------------------------------------------- real captures


def test_a_full_export_of_revoked_rows(corpus: Path) -> None:
    reading = read(corpus / "certutil" / f"{NAVIGATION}03.txt", Context("America/Los_Angeles"))
    rows, view = reading.tables["ca_rows"], reading.tables["views"].iloc[0]
    assert list(rows["request_id"]) == [4, 5, 6, 7]
    assert list(rows["serial"]) == [
        "4400000004b742b5daba3d4deb000000000004",
        "4400000005b4922c2e24e100eb000000000005",
        "4400000006ef8822623405f57a000000000006",
        "44000000077b992849f1d2f20e000000000007",
    ]
    assert list(rows["disposition"]) == [21] * 4
    assert list(rows["reason"]) == [5] * 4
    assert set(rows["requester"]) == {"CORP\\pki.admin"}
    assert set(rows["subject"]) == {"CN=PKI Admin"}
    unnamed = "1.3.6.1.4.1.311.21.8.15886664.4298044.8996776.14853544.7902291.169.5191136.12906913"
    assert list(rows["template"]) == [unnamed, "CVI Code Signing", unnamed, unnamed]
    assert rows["thumbprint"].iloc[0] == "4f2aa3df007c2193e719a7bfe75cf98523636d54"
    assert set(rows["issuer_name_id"]) == {0}
    assert rows["submitted_at"].iloc[0] == datetime(2026, 5, 24, 0, 39, tzinfo=UTC)
    assert rows["revoked_at"].iloc[2] == datetime(2026, 5, 28, 22, 34, tzinfo=UTC)
    assert rows["effective_revoked_at"].iloc[2] == datetime(2026, 5, 28, 22, 33, tzinfo=UTC)
    # From the DER, to the second; the column prints 5/23/2026 5:29 PM.
    assert rows["not_before"].iloc[0] == datetime(2026, 5, 24, 0, 29, 13, tzinfo=UTC)
    assert rows["not_after"].iloc[0] == datetime(2027, 4, 26, 2, 36, 58, tzinfo=UTC)
    assert all(flags == [] for flags in rows["flags"])
    assert (view["rows"], view["rows_claimed"], view["complete"]) == (4, 4, True)
    assert view["restriction"] == "Disposition=21"
    assert len(view["columns"]) == 79
    other = read(corpus / "certutil" / f"{NAVIGATION}04.txt", Context("America/Los_Angeles")).tables["ca_rows"]
    pd.testing.assert_frame_equal(rows, other)


@pytest.mark.parametrize(
    "name",
    [
        f"{NAVIGATION}03.txt",
        "view__DimaShchetinin__ESC9__01.txt",
        "view__DimaShchetinin__ESC10__02.txt",
        "view__ejbca-ce__CaImportMsCaCertificatesTest-javadoc-revoked.txt",
    ],
)
def test_certificates_in_rows_against_openssl(corpus: Path, name: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not at hand")
    path = corpus / "certutil" / name
    blocks = re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", path.read_text("utf-8"), re.DOTALL)
    rows = read_view(path)
    assert len(rows) == len(blocks)
    for block, (_, each) in zip(blocks, rows.iterrows(), strict=True):
        run = subprocess.run(
            [program, "x509", "-noout", "-serial", "-fingerprint", "-sha256"],
            input=block, capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
        serial, fingerprint = (line.split("=", 1)[1] for line in run.stdout.splitlines())
        assert each["serial"] == serial.lower()
        assert each["certificate_sha256"] == fingerprint.replace(":", "").lower()


def test_the_v_form(corpus: Path) -> None:
    each = read_view(corpus / "certutil" / "view__DimaShchetinin__ESC9__01.txt").iloc[0]
    assert each["request_id"] == 85
    assert each["serial"] == "2000000055b6d772ba7b06d5ea000000000055"
    assert each["disposition"] == 20
    assert each["requester"] == "ESSOS\\viserys.targaryen"
    assert pd.isna(each["subject"])
    assert each["template"] == "ESC9"
    assert each["thumbprint"] == "4f8bc10a30778dd3fdeecb7ecebaf2be66f1b2d9"
    assert each["certificate_sha256"] == "f1fc302abc85eaf0f2a4670019487a8f6ea13673a94c8677159a957a93f0889f"
    assert each["submitted_at"] == datetime(2025, 8, 17, 18, 35, tzinfo=UTC)
    assert each["not_before"] == datetime(2025, 8, 17, 18, 25, 35, tzinfo=UTC)
    assert pd.isna(each["revoked_at"])
    assert each["flags"] == []
    each = read_view(corpus / "certutil" / "view__DimaShchetinin__ESC10__02.txt").iloc[0]
    assert (each["request_id"], each["template"]) == (94, "User")
    assert each["serial"] == "200000005ef5f537a136632f8d00000000005e"
    assert "CN=Users" in each["subject"]


def test_narrow_views(corpus: Path) -> None:
    table = read_view(corpus / "certutil" / "view__lufann-stewart__lab-02-ca-health-check__04.txt")
    assert len(table) == 9
    assert table["serial"].iloc[0] == SERIAL
    assert table["serial"].iloc[8] == "440000001254dedd3d93104db0000000000012"
    assert table["subject"].iloc[7] == "CVI Issuing CA 1-Xchg"
    table = read_view(corpus / "certutil" / "view__lufann-stewart__lab-02-ca-health-check__05.txt")
    assert list(table["request_id"]) == [11, 12, 13, 17]
    assert list(table["template"]) == ["OCSP Response Signing"] * 3 + ["CAExchange"]
    assert table["not_after"].iloc[3] == datetime(2026, 7, 17, 9, 14, tzinfo=UTC)
    assert table["flags"].iloc[0] == ["zone_assumed_utc"]
    table = read_view(corpus / "certutil" / f"{NAVIGATION}06.txt")
    assert len(table) == 8
    assert table["request_id"].isna().all()
    table = read_view(corpus / "certutil" / "view__district.local__requestid-ge-8__denied-has-validity.txt")
    assert list(table["disposition"]) == [31, 20]
    # All dates of this capture but these are the ninth of the ninth: no order is needed.
    assert table["not_after"].iloc[0] == datetime(2028, 9, 9, 20, 8, tzinfo=UTC)


def test_indentation_lost_and_trailer_missing(corpus: Path) -> None:
    path = corpus / "certutil" / "view__ejbca-ce__CaImportMsCaCertificatesTest-javadoc-revoked.txt"
    reading = read(path)
    each = reading.tables["ca_rows"].iloc[0]
    assert each["serial"] == "72000000030be25c8e00a15a31000000000003"
    assert (each["disposition"], each["template"]) == (21, "EFOSFunctionClientServerAuth_SAT")
    assert not reading.tables["views"]["complete"].iloc[0]


def test_nothing_matched_and_cut_captures(corpus: Path) -> None:
    for name in (f"{NAVIGATION}05.txt", "view__ms-kb2233022__empty-result.txt"):
        reading = read(corpus / "certutil" / name)
        assert reading.kind == "view_text"
        assert (reading.accounting.irrelevant, reading.accounting.units) == (1, 1)
        assert reading.tables["views"]["complete"].iloc[0]
    reading = read(corpus / "certutil" / f"{NAVIGATION}02.txt")
    assert reading.accounting.rejected == 1
    assert "certutil -gmt -seconds -view" in reading.tables["rejects"]["reason"].iloc[0]


def test_every_file_of_certutil_ends_with_rows_or_a_reason(corpus: Path) -> None:
    kinds: dict[str, set[str]] = {}
    for path in sorted((corpus / "certutil").iterdir()):
        reading = read(path)
        check(reading)
        kinds.setdefault(reading.kind, set()).add(path.name)
        # Only what is recognised as an empty result, a bare schema, or a value that is not there, is neither.
        told = reading.accounting.parsed or reading.accounting.rejected
        assert told or reading.kind in {"view_text", "registry"}, path.name
    assert kinds["view_csv"] == {"26-csv-fixtures-secondhand.txt"}
    # -schema prints a Schema block too, and no view.
    assert all(name.startswith(("view__", "schema__")) for name in kinds["view_text"])
    assert sum(name.startswith("view__") for name in kinds["view_text"]) == 13
    assert len({name for name in kinds["dump"] if name.startswith(("store__", "dump__"))}) > 20


# -------------------------------------------------------------------------------------- the shape


def test_pages_labels_of_any_language_and_foreign_lines(read_bytes: ReadBytes) -> None:
    german = tuple(zip([c[0] for c in COLUMNS], ["Anforderungs-ID", "Disposition", "Antragsteller", "Allg. Name",
        "Ort", "Seriennummer", "Name", "Ablaufdatum", "Hash"], ["Lang"] * 9, strict=True))  # fmt: skip
    values = changed(Locality="LEER", NotAfter="25.07.2027 13:06", Disposition="0x14 (20) -- Ausgestellt")
    page = schema(german) + row(1, values, german).replace("Row", "Zeile")
    second = page.replace("0x3\n", "0x4\n").replace('0003"', '0004"')
    end = (
        "Maximaler Zeilenindex: 1\n\n1 Zeilen\n"
        "  9 Zeileneigenschaften, Gesamt = 1, Max = 1, Mittel = 1\nCertUtil: -view-Befehl ok.\n"
    )
    data = f"Fri 07/25/2026\nC:\\>certutil -view -restrict 'RequestID>0'\n{page}{end}{second}{end}_ADCS_ROW_COUNT: 2\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp850"):
        reading = read_bytes(data.replace("\n", "\r\n").encode(encoding))
        rows, views = reading.tables["ca_rows"], reading.tables["views"]
        assert list(rows["request_id"]) == [3, 4], encoding
        assert rows["not_after"].iloc[0] == datetime(2027, 7, 25, 13, 6, tzinfo=UTC)
        assert list(views["rows"]) == [1, 1]
        assert list(views["complete"]) == [True, True]
        assert views["restriction"].iloc[0] == "RequestID>0"
        assert list(views["first_request_id"]) == [3, 4]


def test_code_page_850_is_guessed_and_said_so(read_bytes: ReadBytes) -> None:
    data = schema() + row(1, changed(RequestCN='"Büro"', CommonName='"Büro"')) + trailer(1)
    each = read_bytes(data.encode("cp850")).tables["ca_rows"].iloc[0]
    assert each["subject"] == "Büro"
    assert "encoding_guessed" in each["flags"]


def test_a_capture_without_schema_uses_english_labels_and_is_incomplete(read_bytes: ReadBytes) -> None:
    reading = read_bytes((row(1) + trailer(1)).encode())
    each = reading.tables["ca_rows"].iloc[0]
    assert (each["request_id"], each["serial"]) == (3, SERIAL)
    assert "incomplete" in each["flags"]
    assert not reading.tables["views"]["complete"].iloc[0]


@pytest.mark.parametrize("keep", [3, 5, 7, 9, 10])
def test_a_capture_cut_in_a_row_keeps_the_row_and_says_so(read_bytes: ReadBytes, keep: int) -> None:
    cut = "\n".join(row(2, changed(RequestID="0x4")).split("\n")[:keep])
    reading = read_bytes((schema() + row(1) + cut).encode())
    rows = reading.tables["ca_rows"]
    assert list(rows["request_id"]) == [3, 4]
    assert ("incomplete" in rows["flags"].iloc[1]) == (keep < 10)
    assert not reading.tables["views"]["complete"].iloc[0]


def test_counts_that_disagree_and_failures_make_a_view_incomplete(read_bytes: ReadBytes) -> None:
    assert not read_bytes((schema() + row(1) + trailer(2)).encode()).tables["views"]["complete"].iloc[0]
    failed = trailer(1).replace("completed successfully.", "FAILED: 0x80070006 (WIN32: 6)")
    assert not read_bytes((schema() + row(1) + failed).encode()).tables["views"]["complete"].iloc[0]
    only = (
        b"Schema:\nCertUtil: -view command FAILED: 0x800706ba (WIN32: 1722)\nCertUtil: The RPC server is unavailable.\n"
    )
    reading = read_bytes(only)
    assert reading.accounting.rejected == 1
    assert "does not prove" in reading.tables["rejects"]["reason"].iloc[0]


def test_a_row_without_a_column_of_its_schema_is_rejected(read_bytes: ReadBytes) -> None:
    columns = (("SerialNumber", "Serial: Number", "String"),)
    reading = read_bytes((schema(columns) + row(1, ['"ab"\n'], columns)).encode())
    assert (reading.accounting.parsed, reading.accounting.rejected) == (0, 1)


def test_a_console_that_wraps(read_bytes: ReadBytes) -> None:
    columns = (("Request.RequestID", "Request ID", "Long"), ("CertificateTemplate", "Certificate Template", "String"))
    wrapped = '"1.3.6.1.4.1.311.21.8.15886664.4298044.8996776.14853544.79\n02291.169.5191136.12906913" CVI Code'
    data = schema(columns) + row(1, ["0x3", wrapped], columns) + trailer(1)
    assert read_bytes(data.encode()).tables["ca_rows"]["template"].iloc[0] == "CVI Code"


def test_a_row_that_contradicts_its_certificate(read_bytes: ReadBytes) -> None:
    columns = (*COLUMNS, ("RawCertificate", "Binary Certificate", "Binary"))
    der = make_certificate(serial=int(SERIAL, 16))
    values = [*ROW, "\n" + pem(der).decode()]
    each = read_bytes((schema(columns) + row(1, values, columns) + trailer(1)).encode()).tables["ca_rows"].iloc[0]
    assert "row_contradicts_certificate" in each["flags"]
    assert each["thumbprint"] == hashlib.sha1(der, usedforsecurity=False).hexdigest()
    assert each["certificate_sha256"] == hashlib.sha256(der).hexdigest()


# ------------------------------------------------------------------------------------- values that lie

EVIL = "1400000099178d21c3ed6a4575000000000099"


@pytest.mark.parametrize(
    "lie",
    [
        f'"x\n  Serial Number: "{EVIL}"\n"',
        f'"x"\n  Serial Number: "{EVIL}"',
        f'"x\n\nRow 2:\n  Request ID: 0x63\n  Serial Number: "{EVIL}"\ny"',
        f'"x\nMaximum Row Index: 0\n\n0 Rows\n  1 a, b = 1, c = 1, d = 1\nCertUtil: done\n{EVIL}"',
        '"x\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"',
        '"a "quoted" word"',
        '"never closed',
        '""',
        '"x\nSchema:\n  Column Name\n  -------  ------  ------  -------\n  SerialNumber  Request ID  String  4\n"',
    ],
)
def test_a_value_cannot_move_the_columns(read_bytes: ReadBytes, lie: str) -> None:
    for column in ("RequestCN", "CommonName"):
        data = schema() + row(1, changed(**{column: lie})) + row(2, changed(RequestID="0x4")) + trailer(2)
        rows = read_bytes(data.encode()).tables["ca_rows"]
        assert list(rows["request_id"]) == [3, 4]
        assert set(rows["serial"]) == {SERIAL}
        assert set(rows["thumbprint"]) == {"ab" * 20}


def test_a_row_that_can_be_read_in_two_ways_is_rejected(read_bytes: ReadBytes) -> None:
    rest = (
        f'"x"\n  Request City: EMPTY\n  Serial Number: "{EVIL}"\n  Issued Common Name: "y"\n'
        f'  Certificate Expiration Date: 7/25/2027 1:06 PM\n  Certificate Hash: "{" ".join(["cd"] * 20)}"'
    )
    data = schema() + row(1, changed(RequestCN=rest)) + row(2, changed(RequestID="0x4")) + trailer(2)
    reading = read_bytes(data.encode())
    assert reading.accounting.rejected == 1
    assert "more than one way" in reading.tables["rejects"]["reason"].iloc[0]
    assert list(reading.tables["ca_rows"]["request_id"]) == [4]
    assert not reading.tables["views"]["complete"].iloc[0]


_LINE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30)
_VALUE = st.lists(_LINE, min_size=1, max_size=4).map("\n".join).filter(lambda text: '"' not in text)
_HEX = st.integers(1, 2**152 - 1).map(lambda number: f"{number:x}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2**31), _HEX, _VALUE, _VALUE), min_size=1, max_size=5), st.booleans())
def test_rendered_rows_are_read_back(tmp_path: Path, values: list[tuple[int, str, str, str]], with_bom: bool) -> None:
    text = schema()
    for number, (request_id, serial, requester, common) in enumerate(values, 1):
        shown = f"0x{request_id:x}" + (f" ({request_id})" if request_id > 9 else "")
        text += row(number, changed(RequestID=shown, SerialNumber=f'"{serial}"', RequesterName=f'"{requester}"',
                                    CommonName=f'"{common}"'))  # fmt: skip
    path = tmp_path / "view.txt"
    path.write_bytes((text + trailer(len(values))).encode("utf-8-sig" if with_bom else "utf-8"))
    reading = read(path)
    check(reading)
    rows = reading.tables["ca_rows"]
    assert list(rows["request_id"]) == [v[0] for v in values]
    assert [int(s, 16) for s in rows["serial"]] == [int(v[1], 16) for v in values]
    assert [None if pd.isna(x) else x for x in rows["requester"]] == [v[2].strip() or None for v in values]
    assert [None if pd.isna(x) else x for x in rows["subject"]] == [v[3].strip() or None for v in values]
    assert reading.tables["views"]["complete"].iloc[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(range(9)), _LINE), min_size=0, max_size=6), st.sampled_from(["\n", "\n\n", ""])
)
def test_the_quick_way_and_the_careful_way_agree(tmp_path: Path, changes: list[tuple[int, str]], gap: str) -> None:
    values = list(ROW)
    for place, value in changes:
        values[place] = value
    data = schema() + row(1) + row(2, values) + gap + row(3) + trailer(3)
    path = tmp_path / "view.txt"
    path.write_text(data, encoding="utf-8", newline="\n")
    quick = read(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(view_text, "_template", lambda _: None)
        careful = read(path)
    assert quick.accounting == careful.accounting
    for name in quick.tables:
        pd.testing.assert_frame_equal(quick.tables[name], careful.tables[name])


def test_hostile_sizes_are_bounded(read_bytes: ReadBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_text, "MAX_ROW_LINES", 100)
    long = row(1).rstrip("\n") + "\n" + "  x\n" * 1000 + "\n"
    reading = read_bytes((schema() + long + row(2) + trailer(2)).encode())
    assert reading.accounting.rejected >= 1
    assert len(reading.tables["ca_rows"]) == 1
    endless = schema() + row(1) + "x" * (3 * view_text.MAX_LINE_CHARS) + "\n" + row(2)
    assert len(read_bytes(endless.encode()).tables["ca_rows"]) == 2
    never = "".join(row(n, changed(CommonName='"open')) for n in range(1, 300))
    assert len(read_bytes((schema() + never).encode()).tables["ca_rows"]) == 299


# ----------------------------------------------------------------------------------------------- csv


HEADER = (
    '"Request ID","Request Disposition","Requester Name","Serial Number","Certificate Template",'
    '"Certificate Expiration Date","Binary Certificate"\n'
)


def test_csv(read_bytes: ReadBytes, tmp_path: Path) -> None:
    data = HEADER + (
        f'"101","20 -- Issued","CORP\\a, ""b""\nc","{SERIAL}",'
        '"1.3.6.1.4.1.311.21.8.9904716 RDP_Template","25/07/2027 13:06","1657 Bytes"\n'
        f"102,0x15 (21) -- Revoked,CORP\\b,{EVIL},Machine,02/03/2027 13:06,EMPTY\n"
        '"103","31 -- Denied","EMPTY","EMPTY","User","EMPTY","EMPTY"\n'
        '"104","31 -- Denied"\n'
        "CertUtil: -view command completed successfully.\n"
    )
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        reading = read_bytes(data.replace("\n", "\r\n").encode(encoding))
        assert reading.kind == "view_csv"
        rows = reading.tables["ca_rows"]
        assert list(rows["request_id"]) == [101, 102, 103]
        assert list(rows["disposition"]) == [20, 21, 31]
        assert rows["requester"].iloc[0] == 'CORP\\a, "b"\nc'
        assert list(rows["serial"].iloc[:2]) == [SERIAL, EVIL]
        assert rows["serial"].isna().iloc[2]
        assert list(rows["template"]) == ["RDP_Template", "Machine", "User"]
        assert rows["not_after"].iloc[1] == datetime(2027, 3, 2, 13, 6, tzinfo=UTC)
        assert reading.accounting.rejected == 1
        assert "2 columns" in reading.tables["rejects"]["reason"].iloc[0]
        assert not reading.tables["views"]["complete"].iloc[0]
    (tmp_path / "x.csv").write_text(HEADER)
    empty = read_view(tmp_path / "x.csv")
    assert len(empty) == 0
    assert empty.attrs["accounting"]["irrelevant"] == 1


def test_csv_with_schema_names_and_in_another_language(read_bytes: ReadBytes) -> None:
    reading = read_bytes(b'"Request.RequestID","SerialNumber"\n"7","' + SERIAL.encode() + b'"\n')
    assert reading.tables["ca_rows"]["request_id"].iloc[0] == 7
    assert pd.isna(reading.tables["views"]["complete"].iloc[0])
    foreign = '"Anforderungs-ID","Disposition","Antragsteller"\n"7","20 -- Ausgestellt","CORP\\a"\n'
    reading = read_bytes(foreign.encode())
    assert reading.kind == "view_csv"
    assert "language" in reading.tables["rejects"]["reason"].iloc[0]


def test_an_unclosed_quote_in_a_csv_is_bounded(read_bytes: ReadBytes) -> None:
    data = HEADER + '"1","20 -- Issued","CORP\\a","aa","T","EMPTY","EMPTY"\n"2","' + "x" * 300_000
    reading = read_bytes(data.encode())
    assert (reading.accounting.parsed, reading.accounting.rejected) == (1, 1)


def test_wrong_kind(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(make_certificate())
    with pytest.raises(EvidenceError, match="is a certificate file"):
        read_view(tmp_path / "x")


# --------------------------------------------------------------------------- which view it is


def asked(reading: Reading) -> str:
    """The question that the baseline asks about a view; "" where it asks none."""
    check(reading)
    rows = reading.tables["ca_rows"].assign(evidence_id="E0001")
    try:
        assemble_baseline(rows, reading.tables["views"].assign(evidence_id="E0001"))
    except QuestionError as question:
        return str(question)
    return ""


def of_dispositions(*rows: tuple[int, int]) -> str:
    body = "".join(
        row(number, changed(RequestID=f"0x{request_id:x}", Disposition=f"0x{state:x} ({state}) -- x"))
        for number, (request_id, state) in enumerate(rows, 1)
    )
    return schema() + body + trailer(len(rows))


@pytest.mark.parametrize(
    ("command", "restriction"),
    [
        ("C:\\>certutil -gmt -seconds -view Revoked > revoked.txt", "view Revoked"),
        ('certutil.exe -view -out "SerialNumber,Request.Disposition" LogFail csv', "view LogFail"),
        ('certutil -view -restrict "RequestID>0,RequestID<=50" Log', "view Log,RequestID>0,RequestID<=50"),
        ('"C:\\Windows\\certutil.exe" -restrict "RequestID>0" -view queue', "view queue,RequestID>0"),
        ('certutil -view -restrict "RequesterName=CORP\\Log"', "RequesterName=CORP\\Log"),
        ("certutil -view > Log", None),
        ("certutil -view csv | find Log", None),
        ("certutil -v -view", None),
        ("certutil -getreg Log", None),
    ],
)
def test_what_a_command_leaves_out(command: str, restriction: str | None) -> None:
    assert restriction_of(command) == restriction


@pytest.mark.parametrize("name", ["Queue", "Log", "LogFail", "Revoked"])
def test_a_predefined_view_is_never_taken_for_the_whole_database(read_bytes: ReadBytes, name: str) -> None:
    whole = of_dispositions((1, 15), (2, 20), (3, 21))
    assert asked(read_bytes(whole.encode())) == ""
    assert asked(read_bytes(f"C:\\>certutil -view\n{whole}".encode())) == ""
    assert "filtered" in asked(read_bytes(f"C:\\>certutil -view {name}\n{whole}".encode()))
    listed = f'C:\\>certutil -view {name} csv\n"Request ID","Serial Number"\n"1","ab"\n'
    assert "filtered" in asked(read_bytes(listed.encode()))


@pytest.mark.parametrize(
    ("rows", "filtered"),
    [
        # Nobody kept the command; the rows tell.
        ([(5, 21), (9, 21)], True),
        ([(50, 21)], True),
        ([(5, 9), (9, 9)], True),
        ([(5, 30), (9, 31), (12, 31)], True),
        # Without a gap nothing is left out, and a page of several kinds is a page.
        ([(5, 21), (6, 21)], False),
        ([(1, 21)], False),
        ([(5, 20), (9, 20)], False),
        ([(5, 21), (9, 20)], False),
        ([(5, 21), (9, 31)], False),
        ([(50, 20)], False),
    ],
)
def test_rows_of_one_kind_with_gaps_are_a_filtered_view(
    read_bytes: ReadBytes, rows: list[tuple[int, int]], filtered: bool
) -> None:
    assert ("filtered" in asked(read_bytes(of_dispositions(*rows).encode()))) == filtered
    listed = "".join(f'"{number}","{state} -- x","ab"\n' for number, state in rows)
    data = f'"Request ID","Request Disposition","Serial Number"\n{listed}'
    assert ("filtered" in asked(read_bytes(data.encode()))) == filtered


@pytest.mark.parametrize(
    ("columns", "values", "listed"),
    [
        (
            (
                ("ExtensionRequestId", "Extension Request ID", "Long"),
                ("ExtensionName", "Extension Name", "String"),
                ("ExtensionRawValue", "Extension Raw Value", "Binary"),
            ),
            ("0x3", '"2.5.29.15"', "\n0000  03 02 05 a0    ...."),
            '"3","2.5.29.15","4 Bytes"',
        ),
        (
            (
                ("AttributeRequestId", "Attribut-Anforderungs-ID", "Long"),
                ("AttributeName", "Attribute Name", "String"),
                ("AttributeValue", "Attribute Value", "String"),
            ),
            ("0x3", '"ccm"', '"x\nRow 2:\n  Serial Number: "ab""'),
            '"3","ccm","x"',
        ),
    ],
)
def test_extensions_and_attributes_are_no_rows_of_the_database(
    read_bytes: ReadBytes, columns: Sequence[tuple[str, str, str]], values: Sequence[str], listed: str
) -> None:
    text = schema(columns) + row(1, values, columns) + row(2, ("0x4", *values[1:]), columns) + trailer(2)
    header = ",".join(f'"{name}"' for name, _, _ in columns)
    for data, units in ((text, 2), (f"{header}\n{listed}\n", 1)):
        reading = read_bytes(data.encode())
        assert reading.kind in {"view_text", "view_csv"}
        assert (reading.accounting.irrelevant, reading.accounting.units) == (units, units)
        assert not {"ca_rows", "crl_rows", "views"} & set(reading.tables)
