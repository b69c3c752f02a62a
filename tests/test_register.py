"""The register of a case: a large mailbox is read by ranges, and a reading that was stopped goes on where it was."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from carecover import Case, evidence, register
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
        if (percent := re.search(r", (\d+) % of [\d,]+ bytes", what)) is not None and int(percent[1]) >= 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        case.add([box], progress=stop_half_way)
    before = list(read_ranges)
    assert 3 < len(before) < 9
    same(Case.open(tmp_path / "case"), expected)
    assert set(read_ranges[len(before) :]).isdisjoint(before)
    assert len(read_ranges) == len(set(read_ranges)) > len(before) + 3


def inside(what: str) -> bool:
    return " % of " in what


@pytest.mark.parametrize("workers", [0, 2], ids=["alone", "with an executor"])
def test_stopped_at_any_range_it_goes_on_there(
    tmp_path: Path, box: Path, read_ranges: list[int], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    expected, ranges = plain(tmp_path, box), 0
    monkeypatch.setattr(driver, "RANGE_BYTES", 6000)
    for stop_at in range(1, 40):
        read_ranges.clear()
        case, seen = Case.create(tmp_path / f"case {stop_at}"), list[str]()

        def stop(what: str, _done: int, _total: int, at: int = stop_at, seen: list[str] = seen) -> None:
            seen += [what] if inside(what) else []
            if len(seen) == at:
                raise KeyboardInterrupt

        with ThreadPoolExecutor(max(workers, 1)) as pool:
            executor = pool if workers else None
            try:
                case.add([box], progress=stop, executor=executor)
            except KeyboardInterrupt:
                ranges = stop_at
            kept = {int(p.name.split("-")[5]) for p in (case.path / "cache").glob("range-*")}
            assert len(kept) >= min(stop_at, ranges)
            read_ranges.clear()
            Case.open(case.path).add(executor=executor)
        assert kept.isdisjoint(read_ranges), "what was kept is not read again"
        same(Case.open(case.path), expected)
        if ranges < stop_at:
            break
    assert 3 < ranges < 39, "interrupted at each range once"


def died() -> Executor:
    """An executor whose worker dies before it has read anything."""
    return ProcessPoolExecutor(1, get_context("spawn"), initializer=os._exit, initargs=(3,))


def shut() -> Executor:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    return executor


@pytest.mark.parametrize(
    "make",
    [lambda: ThreadPoolExecutor(3), lambda: ProcessPoolExecutor(1, get_context("spawn")), died, shut],
    ids=["threads", "a process", "a process that dies", "shut down"],
)
def test_whoever_reads_the_ranges_the_case_is_the_same(
    tmp_path: Path, box: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Executor]
) -> None:
    expected = plain(tmp_path, box)
    monkeypatch.setattr(driver, "RANGE_BYTES", 3000)
    monkeypatch.setattr(register, "_WORTH_KEEPING", 0)
    case = Case.create(tmp_path / "case")
    with make() as executor:
        case.add([box], executor=executor)
    same(case, expected)


def test_above_a_size_processes_read_by_themselves(tmp_path: Path, box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, made = plain(tmp_path, box), list[Executor]()
    monkeypatch.setattr(driver, "RANGE_BYTES", 8000)
    monkeypatch.setattr(register, "_WORTH_KEEPING", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)

    class Noted(ProcessPoolExecutor):
        def __init__(self, *given: Any, **more: Any) -> None:
            made.append(self)
            super().__init__(*given, **more)

    monkeypatch.setattr(register, "ProcessPoolExecutor", Noted)
    for number, (limit, mine, expect) in enumerate(((0, False, 0), (1 << 40, True, 0), (0, True, 1))):
        monkeypatch.setattr(register, "PROCESSES_FROM", limit)
        monkeypatch.setattr(register, "_may_start", lambda mine=mine: mine)
        case = Case.create(tmp_path / f"case {number}")
        case.add([box])
        same(case, expected)
        assert len(made) == expect


def test_somebody_elses_program_is_not_run_again_by_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for file, name, may in (
        ("/x/analysis.py", None, False),
        ("/x/bin/carecover", None, True),
        ("/x/carecover/__main__.py", "carecover.__main__", True),
        ("/x/pytest/__main__.py", "pytest.__main__", False),
        (None, None, True),
    ):
        main = type("Main", (), {})()
        if file is not None:
            main.__file__ = file
        main.__spec__ = None if name is None else type("Spec", (), {"name": name})()
        monkeypatch.setitem(sys.modules, "__main__", main)
        assert register._may_start() is may


def test_progress_says_how_long_the_rest_takes(tmp_path: Path, box: Path, read_ranges: list[int]) -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    told: list[str] = []

    def look(what: str, _done: int, _total: int) -> None:
        now[0] += timedelta(minutes=6)
        told.append(what)

    Case.create(tmp_path / "case", clock=lambda: now[0]).add([box], progress=look)
    left = [int(found[1]) for what in told if (found := re.search(r" bytes, about (\d+) min left$", what))]
    assert len(read_ranges) > 8
    assert left == sorted(left, reverse=True)
    # Some dozen ranges of six minutes each, the first of which only starts the clock.
    assert 6 * (len(read_ranges) - 4) <= left[0] <= 6 * len(read_ranges)
    assert told[-1].endswith(" bytes"), "nothing is left at the end"


@pytest.mark.parametrize(
    ("pace", "size", "words"),
    [
        ([(0.0, 10)], 100, ""),
        ([(0.0, 10), (0.0, 20)], 100, ""),
        ([(9.0, 10), (5.0, 20)], 100, ""),
        ([(0.0, 10), (10.0, 20)], 50, ", less than a minute left"),
        ([(0.0, 0), (60.0, 10)], 100, ", about 9 min left"),
        ([(0.0, 0), (3600.0, 10)], 100, ", about 9 h left"),
        ([(0.0, 0), (60.0, 100)], 100, ""),
    ],
)
def test_nothing_is_guessed_from_a_clock_that_stands_or_goes_back(
    pace: list[tuple[float, int]], size: int, words: str
) -> None:
    assert register._left(pace, size) == words


def test_ranges_of_another_version_of_the_readers_are_cleaned_away(
    tmp_path: Path, box: Path, read_ranges: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case.create(tmp_path / "case")
    case.add([box])
    cache, once = case.path / "cache", len(read_ranges)
    old = {p.name for p in cache.glob("range-*")}
    monkeypatch.setattr(evidence, "READER_VERSION", "next")
    Case.open(case.path).add()
    new = {p.name for p in cache.glob("range-*")}
    assert len(old) == len(new) == once
    assert old.isdisjoint(new)


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
