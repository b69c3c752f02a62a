"""The work as carecover does it: the whole way from file to validated table with provenance."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from benchmarks import truths
from benchmarks.work import Work

_COMMAND: Final = [str(Path(sys.executable).with_name("carecover.exe" if os.name == "nt" else "carecover"))]
_ZONE: Final = "Europe/Berlin"
_TIMES: Final = ("submitted_at", "not_before", "not_after", "sent_at")


def _reading(table: str, processes: int = 0) -> Any:
    """Read a file as a case does, but without the case's folder; every table is in its schema then."""
    from carecover import evidence
    from carecover.model import TABLES

    def do(folder: Path, name: str) -> Any:
        context = evidence.Context(time_zone=_ZONE, date_order="mdy")

        def by(executor: Executor | None) -> Any:
            reading = evidence.read(folder / name, context, executor=executor)
            return {n: TABLES[n].conform(frame) for n, frame in reading.tables.items()}[table]

        if not processes:
            return by(None)
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            return by(pool)

    return do


def _pairs(mails: Any) -> truths.Truth:
    told = mails[mails["request_id"].notna()]
    return truths.of_mails(f"{i} {s}" for i, s in zip(told["request_id"], told["serial"].fillna("-"), strict=True))


def mails() -> Work:
    """An mbox, in one process."""
    return Work(_reading("notifications"), _pairs)


def mails_by_two() -> Work:
    """An mbox, by two processes."""
    return Work(_reading("notifications", 2), _pairs)


def view() -> Work:
    """A view, text or csv."""

    def found(rows: Any) -> truths.Truth:
        return truths.Rows().take(rows["request_id"], rows["serial"], rows["not_after"], _ZONE).told()

    return Work(_reading("ca_rows"), found)


def digest() -> Work:
    """SHA-256 of the file, as a case takes it; a part of no other work here."""
    from carecover.folder import hash_file

    return Work(lambda folder, name: hash_file(folder / name))


def gap() -> Work:
    """``find_gap``, on tables that are loaded: with findings, confidence and reasons."""
    from datetime import datetime

    import pandas as pd

    from carecover import CaseFacts, find_gap
    from carecover.model import TABLES

    def load(folder: Path) -> Any:
        said = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        backup, failure, restored = (datetime.fromisoformat(said[key]) for key in ("backup", "failure", "restored"))
        tables = []
        for name in ("notifications", "ca_rows"):
            frame = pd.read_parquet(folder / f"{name}.parquet")
            for column in [name for name in _TIMES if name in frame]:
                frame[column] = frame[column].dt.tz_localize("UTC")
            tables.append(TABLES[name].conform(frame))
        return CaseFacts(said["ca"], backup, failure, restored), *tables

    def do(loaded: Any, _name: str) -> Any:
        facts, mails, rows = loaded
        return find_gap(mails, rows, facts=facts)

    def found(findings: Any) -> truths.Truth:
        return truths.of_mails(findings.loc[findings["kind"] == "orphaned", "serial"])

    return Work(do, found, load)


def whole_case() -> Work:
    """What a person types, each command a process: init, add, gaps."""

    def do(folder: Path, _name: str) -> Any:
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        place = Path(tempfile.mkdtemp(prefix="bench-case-", dir=folder))
        case = str(place / "case")
        options = [f"--{key.replace('_', '-')}={value}" for key, value in facts.items() if value is not None]
        evidence = [folder / "mixed.mbox", folder.parent / "views" / "view.txt"]
        evidence += sorted([*folder.glob("*.cer"), *folder.glob("*.crl")])
        said = ""
        for verb, *rest in (("init", *options), ("add", *map(str, evidence)), ("gaps",)):
            done = subprocess.run([*_COMMAND, verb, case, *rest], capture_output=True, text=True, check=False)
            # 1: done, and something needs a person.
            if done.returncode not in {0, 1}:
                raise RuntimeError(f"carecover {verb}: {done.stderr}")
            said = done.stdout
        return place, said

    def found(result: Any) -> truths.Truth:
        place, said = result
        assert said.strip(), "carecover gaps said nothing"
        command = [*_COMMAND, "table", str(place / "case"), "findings", "--format", "json"]
        findings = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        shutil.rmtree(place)
        return truths.of_mails(row["serial"] for row in findings if row["kind"] == "orphaned")

    return Work(do, found)


def usage() -> Work:
    """``carecover --help``, a process by itself."""
    return Work(lambda _folder, _name: subprocess.run([*_COMMAND, "--help"], stdout=subprocess.DEVNULL, check=True))


def nothing() -> Work:
    """``python -c pass``: what a process costs that does nothing."""
    command = [sys.executable, "-c", "pass"]
    return Work(lambda _folder, _name: subprocess.run(command, env=os.environ, check=True))
