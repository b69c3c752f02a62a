"""The register of a case: a large mailbox is read by ranges, and a reading that was stopped goes on where it was."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carecover import Case, register
from carecover.evidence import driver, mbox, profiles
from carecover.evidence.sample import MICROSOFT_SAMPLE
from carecover.evidence.units import Unit
from carecover.model import sha256_hex
from tests.evidence.test_mail import ISSUED, make_mail
from tests.evidence.test_mbox import LINE


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A mailbox of forty notifications, the first of them once more at the end, in ranges of three or four."""
    days = [f"{1 + n % 9}/{3 + n % 9}/2026" for n in range(40)]
    bodies = [ISSUED.replace("ID: 20", f"ID: {n}").replace("7/11/2026", day) for n, day in enumerate(days)]
    mails = [make_mail(number=n, body=body) for n, body in enumerate(bodies)]
    mails += [mails[0], make_mail("Lunch?", "x\n", number=99)]
    path = tmp_path / "box.mbox"
    path.write_bytes(b"".join(LINE + mail + b"\n" for mail in mails))
    return path


@pytest.fixture
def read_ranges(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where the ranges begin that were really read."""
    monkeypatch.setattr(driver, "RANGE_BYTES", 3000)
    monkeypatch.setattr(register, "_WORTH_KEEPING", 0)
    started: list[int] = []
    real = driver.units_of_range

    def noted(path: str, reader: int, start: int, *more: Any) -> list[Unit]:
        started.append(start)
        return real(path, reader, start, *more)

    monkeypatch.setattr(driver, "units_of_range", noted)
    return started


def plain(tmp_path: Path, box: Path) -> dict[str, pd.DataFrame]:
    """What the mailbox gives in one piece, in a case of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "RANGE_BYTES", 1 << 40)
        case = Case.create(tmp_path / "plain")
        case.add([box])
        return {name: case.table(name) for name in ("notifications", "rejects", "accounting", "certificates")}


def same(case: Case, tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        pd.testing.assert_frame_equal(case.table(name), table)


def test_a_reading_that_was_stopped_goes_on_where_it_was(tmp_path: Path, box: Path, read_ranges: list[int]) -> None:
    expected = plain(tmp_path, box)
    case = Case.create(tmp_path / "case")
    told: list[str] = []

    def stop_half_way(what: str, _done: int, _total: int) -> None:
        told.append(what)
        if (percent := re.search(r", (\d+) % of [\d,]+ bytes$", what)) is not None and int(percent[1]) >= 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        case.add([box], progress=stop_half_way)
    before = list(read_ranges)
    assert 3 < len(before) < 9
    same(Case.open(tmp_path / "case"), expected)
    assert set(read_ranges[len(before) :]).isdisjoint(before)
    assert len(read_ranges) == len(set(read_ranges)) > len(before) + 3


def test_another_time_zone_reads_no_mail_again(tmp_path: Path, box: Path, read_ranges: list[int]) -> None:
    case = Case.create(tmp_path / "case")
    case.add([box])
    once = len(read_ranges)
    first = case.table("notifications")["not_before"]
    case._change_facts(time_zone="Asia/Tokyo")
    later = Case.open(tmp_path / "case").table("notifications")["not_before"]
    assert (first - later).eq(pd.Timedelta(hours=7)).all(), "the mails' own zone is two hours ahead of Greenwich"
    assert len(read_ranges) == once


@pytest.mark.parametrize("damage", ["bytes", "lines", "cells", "seal"])
def test_a_damaged_cache_only_costs_time(tmp_path: Path, box: Path, read_ranges: list[int], damage: str) -> None:
    expected = plain(tmp_path, box)
    case = Case.create(tmp_path / "case")
    case.add([box])
    once = len(read_ranges)
    kept = sorted((tmp_path / "case" / "cache").glob("range-*"))
    assert len(kept) == once > 8
    for other in (tmp_path / "case" / "cache").glob("[ft]*"):
        for file in other.iterdir():
            file.unlink()
    for place in kept:
        line = '{"parsed": 1}' if damage == "lines" else '{"parsed": [["rejects", {"reason": ["x"]}]], "units": 1}'
        pq.write_table(pa.table({"line": [line]}), place / "lines.parquet")
        data = (place / "lines.parquet").read_bytes()
        if damage == "bytes":
            (place / "lines.parquet").write_bytes(data[:-9])
        if damage != "seal":
            (place / "seal.json").write_text(json.dumps({"lines": sha256_hex((place / "lines.parquet").read_bytes())}))
    same(Case.open(tmp_path / "case"), expected)
    assert len(read_ranges) == 2 * once


def test_other_wordings_do_not_meet_in_the_cache() -> None:
    """What no wording explained once may be a notification under the wording that a person accepts later."""
    reader = mbox.READER
    with profiles.using(()):
        plain_name = driver._range_name(reader, 0, 100)
        assert plain_name == driver._range_name(reader, 0, 100)
    with profiles.using((MICROSOFT_SAMPLE,)):
        assert driver._range_name(reader, 0, 100) != plain_name
