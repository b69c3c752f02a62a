"""Rows read together and rows read one by one: the same tables, rejects, account and places, whatever the text."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import Context, read, read_all, view_csv, view_text
from carecover.evidence.view_runs import Runs
from carecover.model import Reading
from carecover.simulator import Scenario, make_incident
from carecover.simulator.incident import VIEW_COLUMNS
from carecover.simulator.rendering import DateLocale, DateStyle, view_columns
from carecover.simulator.rendering import view_csv as rendered_csv
from carecover.simulator.rendering import view_text as rendered

ZONE = "Europe/Berlin"
SCENARIO = Scenario(seed=5, certificates=120, lost=6, mail=False, ordinary_mail=0, window=timedelta(days=20))
# Captions of certutil in German are in no public capture; what matters is that they are not the English ones.
GERMAN = {"Request ID": "Anforderungskennung", "Serial Number": "Seriennummer", "Issued Common Name": "Ausgestellt für"}
PIECES = (
    *('"', "\n", " ", '""', "EMPTY", "LEER", "\u00a0", "é", "\t", "\r", "Ã¼", "\ufffd", "0x", "(5)", '"\n', "\n\n"),
    "Row 5:\n",
    "\n\nRow 7:\n  Request ID: 0x7\n",
    '  Serial Number: "00"\n',
    "  Request ID: 0x9 (9)\n",
    "12/31/2025 3:00 PM",
    "13/13/2025 1:00 AM",
    '"a" b',
    "%1",
    "???",
)


def one_by_one(path: Path, context: Context) -> Reading:
    """The same file, no rows of it read together."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(view_text._Ahead, "here", lambda *_: None)
        patched.setattr(view_csv, "_quickly", lambda *_: iter(()))
        return read(path, context)


def assert_same(path: Path, context: Context) -> Reading:
    together, alone = read(path, context), one_by_one(path, context)
    assert (together.kind, together.accounting) == (alone.kind, alone.accounting)
    assert together.tables.keys() == alone.tables.keys()
    for name, table in together.tables.items():
        pd.testing.assert_frame_equal(table, alone.tables[name])
    return together


@pytest.fixture(scope="module")
def export() -> str:
    rows = list(make_incident(SCENARIO).view_rows)
    return "".join(rendered(rows, view_columns(VIEW_COLUMNS), DateStyle("en-US", ZoneInfo(ZONE))))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each run had."""
    found: list[int] = []
    beginning = Runs.beginning

    def watched(runs: Runs, line: int) -> object:
        run = beginning(runs, line)
        found.extend([run.rows] if run else [])
        return run

    monkeypatch.setattr(Runs, "beginning", watched)
    return found


@pytest.mark.parametrize("locale", ["en-US", "en-GB", "de-DE", "ja-JP"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp850"])
def test_an_export_is_read_the_same_either_way(
    tmp_path: Path, locale: DateLocale, encoding: str, counted: list[int]
) -> None:
    rows = list(make_incident(SCENARIO).view_rows)
    text = "".join(rendered(rows, view_columns(VIEW_COLUMNS), DateStyle(locale, ZoneInfo(ZONE))))
    for label, other in GERMAN.items() if locale == "de-DE" else ():
        text = text.replace(label, other)
    (tmp_path / "view.txt").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    for context in (Context(ZONE, "mdy"), Context(), Context("America/New_York")):
        reading = assert_same(tmp_path / "view.txt", context)
        assert reading.accounting.parsed == len(rows)
    # Names of two parts, quotes in names and umlauts stand among them: nearly all rows go together.
    assert sum(counted) > 0.9 * 3 * len(rows)


def test_real_captures_are_read_the_same_either_way(corpus: Path) -> None:
    for path in sorted((corpus / "certutil").glob("*.txt")):
        assert_same(path, Context("America/Los_Angeles"))


def test_a_row_that_is_not_proved_is_read_in_its_place(tmp_path: Path, export: str, counted: list[int]) -> None:
    """In the middle of all others: a serial number in capitals, a template in two lines, a name that was damaged."""
    rows = export.split("\nRow ")
    for number, (old, new) in {
        30: ('Serial Number: "', 'Serial Number: "00'),
        50: ('Requester Name: "', 'Requester Name: "Ã¼'),
        70: ("Request Disposition: 0x14 (20)", "Request Disposition: 0x14 (21)"),
    }.items():
        assert old in rows[number]
        rows[number] = rows[number].replace(old, new)
    (tmp_path / "view.txt").write_text("\nRow ".join(rows), encoding="utf-8")
    table = assert_same(tmp_path / "view.txt", Context(ZONE, "mdy")).tables["ca_rows"]
    assert len(counted) == 4
    assert table["flags"].iloc[49] == ["encoded_twice"]
    assert table["flags"].iloc[69] == ["disposition_invalid"]
    assert list(table["location"].str.extract(r"row (\d+)")[0].astype(int)) == list(range(1, len(table) + 1))


def test_where_rows_come_from_is_told_with_them(tmp_path: Path, export: str) -> None:
    (tmp_path / "view.txt").write_text(export, encoding="utf-8")
    lines = export.split("\n")
    tables, _ = read_all([("E0007", tmp_path / "view.txt")], Context(ZONE))
    rows = tables["ca_rows"]
    assert set(rows["evidence_id"]) == {"E0007"}
    for number, place in enumerate(rows["location"], start=1):
        line = int(place.removeprefix("line ").partition(",")[0])
        assert lines[line - 1] == f"Row {number}:"


def test_pages_that_begin_anew_are_pages_of_their_own(tmp_path: Path, export: str) -> None:
    (tmp_path / "view.txt").write_text(export + "\n" + export, encoding="utf-8")
    reading = assert_same(tmp_path / "view.txt", Context(ZONE, "mdy"))
    assert len(reading.tables["views"]) == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=12)
@given(
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=8),
    st.sampled_from(["utf-8", "utf-16", "cp850"]),
)
def test_whatever_is_done_to_a_text_both_ways_agree(
    tmp_path: Path, export: str, changes: list[tuple[float, int, str]], encoding: str
) -> None:
    text = export
    for place, cut, put in changes:
        at = int(len(text) * place)
        text = text[:at] + put + text[at + cut :]
    (tmp_path / "view.txt").write_bytes(text.encode(encoding, "replace"))
    assert_same(tmp_path / "view.txt", Context(ZONE, "mdy"))


@pytest.fixture(scope="module")
def csv_export() -> str:
    rows = list(make_incident(SCENARIO).view_rows)
    return "".join(rendered_csv(rows, view_columns(VIEW_COLUMNS), DateStyle("de-DE", ZoneInfo(ZONE))))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp850"])
@pytest.mark.parametrize("nothing", ["EMPTY", "LEER"])
def test_a_csv_is_read_the_same_either_way(tmp_path: Path, csv_export: str, encoding: str, nothing: str) -> None:
    """Also where a person has the name that stands for nothing in the other columns of other rows."""
    text = csv_export.replace('"EMPTY"', f'"{nothing}"').replace('"CORP\\web.admin"', '"LEER"')
    (tmp_path / "view.csv").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    for context in (Context(ZONE), Context()):
        reading = assert_same(tmp_path / "view.csv", context)
        assert reading.accounting.parsed == len(list(make_incident(SCENARIO).view_rows))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=12)
@given(st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=8))
def test_whatever_is_done_to_a_csv_both_ways_agree(
    tmp_path: Path, csv_export: str, changes: list[tuple[float, int, str]]
) -> None:
    text = csv_export
    for place, cut, put in changes:
        at = int(len(text) * place)
        text = text[:at] + put + text[at + cut :]
    (tmp_path / "view.csv").write_text(text, encoding="utf-8")
    assert_same(tmp_path / "view.csv", Context(ZONE))


@pytest.mark.thorough
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=1500)
@given(
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 60), st.sampled_from(PIECES)), min_size=1, max_size=20),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp850"]),
    st.sampled_from([None, ZONE, "America/New_York"]),
)
def test_whatever_is_done_to_a_text_both_ways_agree_widely(
    tmp_path: Path, export: str, changes: list[tuple[float, int, str]], encoding: str, zone: str | None
) -> None:
    text = export
    for place, cut, put in changes:
        at = int(len(text) * place)
        text = text[:at] + put + text[at + cut :]
    (tmp_path / "view.txt").write_bytes(text.encode(encoding, "replace"))
    assert_same(tmp_path / "view.txt", Context(zone))
