"""The CRL table of the database: ``certutil -view CRL``, as text and csv."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import Context, crl_view, read
from carecover.model import TABLES, Reading
from tests.evidence.conftest import check
from tests.evidence.test_view import of_dispositions, row, schema, trailer

ReadBytes = Callable[[bytes], Reading]

COLUMNS = tuple(
    (name, label, "Date" if "Update" in name or name.endswith("Publish") else "Long")
    for label, name in crl_view.ENGLISH.items()
    if name != "CRLRawCRL"
)
BASE = {
    "CRLRowId": "0x1f (31)",
    "CRLNumber": "0x1e (30)",
    "CRLMinBase": "0x0",
    "CRLNameId": "0x10001 (65537)",
    "CRLCount": "0x2",
    "CRLThisUpdate": "7/11/2026 1:06:31.000 PM GMT",
    "CRLNextUpdate": "7/19/2026 1:26:31.000 AM GMT",
    "CRLThisPublish": "7/11/2026 1:16:31.000 PM GMT",
    "CRLPublishFlags": "0x5",
    "CRLPublishStatusCode": "0x0 (WIN32: 0) -- The operation completed successfully.",
    "CRLPublishError": '"CORP\\\\pki.admin"',
}
DELTA = BASE | {
    "CRLRowId": "0x20 (32)",
    "CRLMinBase": "0x1e (30)",
    "CRLPublishFlags": "0x6",
    "CRLPublishStatusCode": "0x80070005 (WIN32: 5 ERROR_ACCESS_DENIED) -- Access is denied.",
}


def printed(*rows: dict[str, str], columns: Sequence[tuple[str, str, str]] = COLUMNS) -> str:
    body = "".join(
        row(number, [values.get(name, "EMPTY") for name, _, _ in columns], columns)
        for number, values in enumerate(rows, 1)
    )
    return schema(columns) + body + trailer(len(rows))


def only(reading: Reading) -> list[dict[str, Any]]:
    check(reading)
    assert not {"ca_rows", "views"} & set(reading.tables), "a CRL is no certificate, and its view no baseline"
    return [
        {str(k): None if pd.isna(v) else v for k, v in each.items()}
        for each in reading.tables["crl_rows"].to_dict("records")
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp850"])
def test_base_and_delta(read_bytes: ReadBytes, encoding: str) -> None:
    german = tuple((name, f"Größe {number}", kind) for number, (name, _, kind) in enumerate(COLUMNS))
    for columns in (COLUMNS, german):
        reading = read_bytes(printed(BASE, DELTA, columns=columns).encode(encoding))
        assert reading.kind == "view_text"
        assert reading.accounting.parsed == reading.accounting.units == 2
        base, delta = only(reading)
        assert base == {
            "crl_row_id": 31,
            "crl_number": "30",
            "is_delta": False,
            "name_id": 65537,
            "this_update": datetime(2026, 7, 11, 13, 6, 31, tzinfo=UTC),
            "next_update": datetime(2026, 7, 19, 1, 26, 31, tzinfo=UTC),
            "published_at": datetime(2026, 7, 11, 13, 16, 31, tzinfo=UTC),
            "publish_status": 0,
            "evidence_id": None,
            "location": base["location"],
        }
        assert (delta["is_delta"], delta["crl_number"], delta["publish_status"]) == (True, "30", 0x80070005)


def test_without_schema_block_and_as_csv(read_bytes: ReadBytes) -> None:
    bare = printed(BASE, DELTA).partition("\n\n")[2]
    assert [each["crl_row_id"] for each in only(read_bytes(bare.encode()))] == [31, 32]
    for names in ([label for _, label, _ in COLUMNS], [name for name, _, _ in COLUMNS]):
        header = ",".join(f'"{name}"' for name in names)
        cells = [
            ",".join('"' + values.get(name, "EMPTY").strip('"') + '"' for name, _, _ in COLUMNS)
            for values in (BASE, DELTA)
        ]
        reading = read_bytes("\n".join([header, *cells, "CertUtil: -view command completed successfully.\n"]).encode())
        assert reading.kind == "view_csv"
        assert [(each["crl_number"], each["is_delta"]) for each in only(reading)] == [("30", False), ("30", True)]


@pytest.mark.parametrize(
    ("minimum_base", "flags", "delta"),
    [("0x0", "0x6", False), ("EMPTY", "0x5", False), ("EMPTY", "0x6", True), ("EMPTY", "0x4", None), ("x", "x", None)],
)
def test_whether_it_is_a_delta(read_bytes: ReadBytes, minimum_base: str, flags: str, delta: bool | None) -> None:
    values = BASE | {"CRLMinBase": minimum_base, "CRLPublishFlags": flags}
    assert only(read_bytes(printed(values).encode()))[0]["is_delta"] is delta


def test_what_is_damaged_is_absent_and_an_empty_table_is_irrelevant(read_bytes: ReadBytes) -> None:
    values = BASE | {"CRLNumber": "0x1e (31)", "CRLThisUpdate": "yesterday", "CRLNameId": "EMPTY"}
    found = only(read_bytes(printed(values).encode()))[0]
    assert [found[name] for name in ("crl_number", "this_update", "name_id")] == [None, None, None]
    reading = read_bytes(printed().encode())
    assert (reading.accounting.irrelevant, reading.accounting.units) == (1, 1)
    assert set(reading.tables) == set()


def test_crls_and_requests_in_one_file_are_kept_apart(read_bytes: ReadBytes) -> None:
    for text in (printed(BASE) + of_dispositions((3, 20)), of_dispositions((3, 20)) + printed(BASE)):
        reading = read_bytes(text.encode())
        check(reading)
        assert list(reading.tables["ca_rows"]["request_id"]) == [3]
        assert list(reading.tables["crl_rows"]["crl_number"]) == ["30"]
        assert list(reading.tables["views"]["rows"]) == [1]


def test_printed_times_follow_the_case(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(printed(BASE | {"CRLThisPublish": "02/09/2017 10:39"}))
    table = read(tmp_path / "x", Context("Europe/Paris", "dmy")).tables["crl_rows"]
    assert table["published_at"].iloc[0] == datetime(2017, 9, 2, 8, 39, tzinfo=UTC)


_LINE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=30)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(10, 2**31 - 1), st.integers(0, 9), _LINE), min_size=1, max_size=4))
def test_rendered_rows_are_read_back(tmp_path: Path, rows: list[tuple[int, int, str]]) -> None:
    """Whatever the error text of a publication holds, quotes and forged lines excepted."""
    shown = [
        BASE
        | {
            "CRLNumber": f"0x{number:x} ({number})",
            "CRLMinBase": f"0x{base:x}",
            "CRLPublishError": '"' + error.replace('"', "") + '"',
        }
        for number, base, error in rows
    ]
    (tmp_path / "x").write_text(printed(*shown), encoding="utf-8", newline="\n")
    reading = read(tmp_path / "x")
    assert [(each["crl_number"], each["is_delta"]) for each in only(reading)] == [
        (str(number), base != 0) for number, base, _ in rows
    ]
    table = reading.tables["crl_rows"]
    assert TABLES["crl_rows"].conform(table) is table


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.integers(0, 1500), st.binary(max_size=20), st.integers(0, 40))
def test_damaged_tables_end_with_an_account(tmp_path: Path, at: int, noise: bytes, cut: int) -> None:
    data = printed(BASE, DELTA).encode()
    (tmp_path / "x").write_bytes(data[:at] + noise + data[at + cut :])
    check(read(tmp_path / "x"))
