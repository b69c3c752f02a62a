"""The quirks of certutil -view that real captures and public parsers show, one by one.

What other tests hold already: two columns of request IDs, revoked rows, templates, -v, dates
from the DER, denied rows with validity, a schema that overflows, hex dumps and PEM, cut
trailers, empty results (test_view.py, on real captures); labels of any language, pages, code
pages, GMT (ibid.); values that span lines or lie (ibid.); serial numbers and single values
(test_values.py, test_model.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from carecover.evidence import read
from carecover.evidence.driver import read_all
from carecover.model import Reading
from tests.evidence.test_view import COLUMNS, HEADER, ROW, SERIAL, changed, row, schema, trailer
from tests.evidence.test_x509 import make_certificate, pem

ReadBytes = Callable[[bytes], Reading]


def rows_of(reading: Reading) -> pd.DataFrame:
    return reading.tables["ca_rows"]


# --------------------------------------------------------------------------------------- text


@pytest.mark.parametrize("blanks", [1, 4, 12])
@pytest.mark.parametrize("with_schema", [True, False])
def test_a_capture_pasted_with_an_indentation(read_bytes: ReadBytes, blanks: int, with_schema: bool) -> None:
    plain = (schema() if with_schema else "") + row(1) + row(2, changed(RequestID="0x4")) + trailer(2)
    moved = "".join(" " * blanks + line if line.strip() else line for line in plain.splitlines(keepends=True))
    left = ["location"]
    pd.testing.assert_frame_equal(
        rows_of(read_bytes(moved.encode())).drop(columns=left), rows_of(read_bytes(plain.encode())).drop(columns=left)
    )
    one, other = (read_bytes(text.encode()).tables["views"].drop(columns=left) for text in (plain, moved))
    pd.testing.assert_frame_equal(one, other)


def test_an_indented_capture_larger_than_a_piece(read_bytes: ReadBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carecover.evidence.text._PIECE", 37)
    plain = schema() + "".join(row(n, changed(RequestID=f"0x{n:x}")) for n in range(1, 9)) + trailer(8)
    moved = "".join("    " + line if line.strip() else line for line in plain.splitlines(keepends=True))
    assert list(rows_of(read_bytes(moved.encode()))["request_id"]) == list(range(1, 9))


def test_a_page_that_doubled_the_line_ends(read_bytes: ReadBytes) -> None:
    plain = schema() + row(1) + row(2, changed(RequestID="0x4")) + trailer(2)
    reading = read_bytes(plain.replace("\n", "\n\n").encode())
    assert list(rows_of(reading)["request_id"]) == [3, 4]
    assert list(rows_of(reading)["serial"]) == [SERIAL, SERIAL]
    assert reading.tables["views"]["complete"].iloc[0]


def test_rows_beyond_nine_and_of_many_pages(read_bytes: ReadBytes) -> None:
    """One script's pattern fails at rows 10, 20, 30; row numbers start again on every page."""
    page = schema() + "".join(row(n, changed(RequestID=f"0x{n:x} ({n})")) for n in range(1, 32)) + trailer(31)
    reading = read_bytes(f"Fri 07/25/2026\n{page}{page}_ADCS_ROW_COUNT: 62\n".encode())
    assert list(rows_of(reading)["request_id"]) == [*range(1, 32), *range(1, 32)]
    assert list(reading.tables["views"]["complete"]) == [True, True]


def test_the_row_number_is_no_request_id(read_bytes: ReadBytes) -> None:
    assert list(rows_of(read_bytes((schema() + row(7) + trailer(1)).encode()))["request_id"]) == [3]


def test_a_name_that_is_empty_and_one_that_is_called_so(read_bytes: ReadBytes) -> None:
    for value, subject in (("EMPTY", None), ('"EMPTY"', "EMPTY")):
        each = rows_of(read_bytes((schema() + row(1, changed(CommonName=value)) + trailer(1)).encode())).iloc[0]
        assert (None if pd.isna(each["subject"]) else each["subject"]) == subject


def test_a_name_of_several_values_spans_lines(read_bytes: ReadBytes) -> None:
    made = schema() + row(1, changed(CommonName='"Users\nviserys.targaryen"')) + trailer(1)
    assert rows_of(read_bytes(made.encode()))["subject"].iloc[0] == "Users\nviserys.targaryen"


def test_colons_in_values(read_bytes: ReadBytes) -> None:
    name = '"CN=a:b, OU=http://x/y: z"'
    each = rows_of(read_bytes((schema() + row(1, changed(CommonName=name)) + trailer(1)).encode())).iloc[0]
    assert each["subject"] == name.strip('"')


def test_attributes_that_begin_with_a_line_end_and_hold_blank_lines(read_bytes: ReadBytes) -> None:
    columns = (COLUMNS[0], ("Request.RequestAttributes", "Request Attributes", "String"), *COLUMNS[1:])
    values = [ROW[0], '"\ncdc:DC01.corp.example\nrmd:ca01\n\nccm:host"', *ROW[1:]]
    reading = read_bytes((schema(columns) + row(1, values, columns) + trailer(1)).encode())
    assert (rows_of(reading)["serial"].iloc[0], rows_of(reading)["flags"].iloc[0]) == (SERIAL, ["zone_assumed_utc"])


def test_an_error_code_in_the_message_of_an_issued_row(read_bytes: ReadBytes) -> None:
    columns = (*COLUMNS[:2], ("Request.DispositionMessage", "Request Disposition Message", "String"), *COLUMNS[2:])
    values = [*ROW[:2], '"Issued  0x80094004, The Enrollee (x) has no E-Mail name"', *ROW[2:]]
    reading = read_bytes((schema(columns) + row(1, values, columns) + trailer(1)).encode())
    assert rows_of(reading)["disposition"].iloc[0] == 20
    assert reading.tables["views"]["complete"].iloc[0]


def test_a_row_right_behind_a_certificate(read_bytes: ReadBytes) -> None:
    """EJBCA's importer meets this; the same certificate in two rows, too."""
    columns = (*COLUMNS, ("RawCertificate", "Binary Certificate", "Binary"))
    der = make_certificate(serial=int(SERIAL, 16))
    both = [row(n, [*ROW, "\n" + pem(der).decode().rstrip()], columns).rstrip("\n") + "\n" for n in (1, 2)]
    for encoding in ("utf-8", "utf-16"):
        table = rows_of(read_bytes((schema(columns) + "".join(both) + "\n" + trailer(2)).encode(encoding)))
        assert len(table) == 2
        assert table["certificate_sha256"].nunique() == 1


@pytest.mark.parametrize("gap", ["\t", "    ", "  "])
def test_hex_dumps_with_tabs_or_blanks(read_bytes: ReadBytes, gap: str) -> None:
    columns = (*COLUMNS, ("Request.RawName", "Request Binary Name", "Binary"))
    values = [*ROW, f"\n0000{gap}30 14 31 12 30 10 06 03  55 04 03 13 09 52 6f 77   0.1.0...U....Row\n0010{gap}3a   :"]
    table = rows_of(read_bytes((schema(columns) + row(1, values, columns) + trailer(1)).encode()))
    assert list(table["serial"]) == [SERIAL]


@pytest.mark.parametrize("number", [9, 12, 15, 16, 17, 20, 21, 30, 31])
@pytest.mark.parametrize("word", ["Issued", "Ausgestellt", "Délivré", "已颁发", "\ufffd\ufffd"])
def test_a_disposition_is_its_number(read_bytes: ReadBytes, number: int, word: str) -> None:
    shown = f"0x{number:x}{f' ({number})' if number > 9 else ''} -- {word}"
    table = rows_of(read_bytes((schema() + row(1, changed(Disposition=shown)) + trailer(1)).encode()))
    assert list(table["disposition"]) == [number]


@pytest.mark.parametrize(
    ("subject", "flag"),
    [
        ("B\u00fcro", None),
        ("\u5df2\u9881\u53d1", None),
        ("B\u00c3\u00bcro", "encoded_twice"),
        ("B\ufffdro", "characters_lost"),
        ("\u00c3\u2030cole", "encoded_twice"),
        ("\u00c3", None),
    ],
)
def test_letters_that_were_damaged_are_told_apart(read_bytes: ReadBytes, subject: str, flag: str | None) -> None:
    made = schema() + row(1, changed(CommonName=f'"{subject}"')) + trailer(1)
    each = rows_of(read_bytes(made.encode("utf-8"))).iloc[0]
    assert each["subject"] == subject, "it is not mended"
    assert (set(each["flags"]) & {"encoded_twice", "characters_lost"}) == ({flag} if flag else set())


def test_a_chinese_console_read_as_utf8_keeps_its_numbers(read_bytes: ReadBytes) -> None:
    chinese = tuple((name, f"\u5217{number}", kind) for number, (name, _, kind) in enumerate(COLUMNS))
    made = schema(chinese) + row(1, changed(Disposition="0x14 (20) -- \u5df2\u9881\u53d1"), chinese) + trailer(1)
    for encoding in ("cp936", "utf-8", "utf-16"):
        each = rows_of(read_bytes(made.encode(encoding))).iloc[0]
        assert (each["serial"], each["disposition"], each["request_id"]) == (SERIAL, 20, 3)
        assert ("encoding_guessed" in each["flags"]) == (encoding == "cp936")


# ---------------------------------------------------------------------------------------- csv

GERMAN = '"Anforderungs-ID","Anforderungsdisposition","Antragstellername","Seriennummer","Ablaufdatum"\n'
GERMAN_ROW = f'"101","20 -- Ausgestellt","CORP\\J\u00fcrgen, a","{SERIAL}","25.07.2027 13:06"\n'
COMMAND = (
    "C:\\>certutil -view -restrict RequestID>0 -out "
    '"Request.RequestID,Request.Disposition,Request.RequesterName,SerialNumber,NotAfter" csv\n'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp850"])
def test_a_csv_in_another_language_is_read_by_the_order_of_its_command(read_bytes: ReadBytes, encoding: str) -> None:
    second = GERMAN_ROW.replace("101", "102").replace(SERIAL, "LEER").replace("CORP\\J\u00fcrgen, a", "LEER")
    reading = read_bytes((COMMAND + GERMAN + GERMAN_ROW + second).replace("\n", "\r\n").encode(encoding))
    table = rows_of(reading)
    assert list(table["request_id"]) == [101, 102]
    assert list(table["disposition"]) == [20, 20]
    assert table["requester"].iloc[0] == "CORP\\J\u00fcrgen, a"
    assert table["not_after"].iloc[0] == datetime(2027, 7, 25, 13, 6, tzinfo=UTC)
    assert table["serial"].isna().iloc[1], "the word for nothing is learned from the numbers of the row"
    assert table["requester"].isna().iloc[1]
    assert reading.tables["views"]["restriction"].iloc[0] == "RequestID>0"
    assert list(reading.tables["views"]["columns"].iloc[0])[3] == "SerialNumber"


def of_titles(labels: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    names = ("Request.RequestID", "Request.Disposition", "Request.RequesterName", "SerialNumber", "NotAfter")
    return tuple((name, label, "String") for name, label in zip(names, labels, strict=True))


LABELS = ("Anforderungs-ID", "Anforderungsdisposition", "Antragstellername", "Seriennummer", "Ablaufdatum")


@pytest.mark.parametrize("csv_first", [True, False])
def test_a_csv_learns_its_titles_from_a_view_beside_it(tmp_path: Path, csv_first: bool) -> None:
    """A capture of no row at all is enough: its Schema block has the titles."""
    (tmp_path / "a.csv").write_text(GERMAN + GERMAN_ROW, encoding="utf-16")
    (tmp_path / "b.txt").write_text(schema(of_titles(LABELS)) + trailer(0), encoding="cp850")
    files = [("E0001", tmp_path / "a.csv"), ("E0002", tmp_path / "b.txt")]
    tables, counted = read_all(files if csv_first else files[::-1])
    assert [each[:2] for each in counted] == [
        (name, "view_csv" if path.suffix == ".csv" else "view_text")
        for name, path in (files if csv_first else files[::-1])
    ]
    table = tables["ca_rows"]
    assert (table["request_id"].iloc[0], table["serial"].iloc[0], table["disposition"].iloc[0]) == (101, SERIAL, 20)
    assert table["not_after"].iloc[0] == datetime(2027, 7, 25, 13, 6, tzinfo=UTC)


def test_a_title_of_two_meanings_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GERMAN + GERMAN_ROW, encoding="utf-8")
    for number, labels in enumerate((LABELS, (*LABELS[:3], LABELS[4], LABELS[3]))):
        (tmp_path / f"{number}.txt").write_text(schema(of_titles(labels)) + trailer(0), encoding="utf-8")
    table = read_all([(path.name, path) for path in sorted(tmp_path.iterdir())])[0]["ca_rows"]
    assert (table["request_id"].iloc[0], table["disposition"].iloc[0]) == (101, 20)
    assert table["serial"].isna().all()
    assert table["not_after"].isna().all()


def test_a_command_of_other_columns_is_not_believed(read_bytes: ReadBytes) -> None:
    reading = read_bytes((COMMAND.replace(",NotAfter", "") + GERMAN + GERMAN_ROW).encode())
    assert "ca_rows" not in reading.tables
    assert "Put the line of the command" in reading.tables["rejects"]["reason"].iloc[0]


def test_pages_of_csv_with_their_lines_between(read_bytes: ReadBytes) -> None:
    one = f'"1","20 -- Issued","CORP\\a","{SERIAL}","User","25/07/2027 13:06","1657 Bytes"\n'
    end = "\nMaximum Row Index: 2\n\n2 Rows\nCertUtil: -view command completed successfully.\n"
    reading = read_bytes((HEADER + one + HEADER + one.replace('"1"', '"2"', 1) + end).encode())
    assert (reading.accounting.parsed, reading.accounting.rejected) == (2, 0)
    view = reading.tables["views"].iloc[0]
    assert (view["rows"], view["rows_claimed"], view["complete"]) == (2, 2, True)
    short = read_bytes((HEADER + one + end).encode()).tables["views"].iloc[0]
    assert not short["complete"], "it claims two rows"


def test_a_serial_of_letters_is_no_word_for_nothing(read_bytes: ReadBytes) -> None:
    reading = read_bytes(b'"Request ID","Serial Number"\n"1","abcdefab"\n"2","EMPTY"\n')
    assert rows_of(reading)["serial"].iloc[0] == "abcdefab"
    assert rows_of(reading)["serial"].isna().iloc[1]


def test_the_fixture_that_is_public(corpus: Path) -> None:
    table = rows_of(read(corpus / "certutil" / "26-csv-fixtures-secondhand.txt"))
    assert list(table["request_id"]) == [101, 102, 103]
    assert list(table["disposition"]) == [20, 21, 31]
    assert list(table["template"]) == ["RADIUS Server", "RDP_Template", "User"]
