"""Each contestant in a process of its own, in turn, some times over."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from benchmarks.contests import Contest, Contestant

ROUNDS: Final = 5
_ROOT: Final = Path(__file__).resolve().parent.parent


class ContestError(Exception):
    """A contestant fell, or did not find what is there."""


@dataclass(frozen=True)
class Result:
    """All rounds of one contestant: seconds of the work, of the whole process with its start, and memory in MB."""

    work: tuple[float, ...]
    whole: tuple[float, ...]
    peak_mb: float
    above_mb: float
    """Peak above what was in memory before the work."""

    @property
    def least(self) -> float:
        """The quickest round."""
        return min(self.work)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.work)


def in_turn(
    contest: Contest,
    contestants: Sequence[Contestant],
    folder: Path,
    peers: Path,
    say: Callable[[str], None],
    rounds: int = ROUNDS,
) -> dict[str, Result]:
    """A B C A B C …, so that what the machine does besides meets all alike; by name of the contestant.

    Raises ContestError where somebody fails, or finds something else than what is there.
    """
    truth = None
    if contest.truth is not None:
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))[contest.truth]
    runs: dict[str, list[dict[str, Any]]] = {each.name: [] for each in contestants}
    for number in range(rounds):
        for each in contestants:
            say(f"{contest.name}: round {number + 1} of {rounds}, {each.name}")
            run = once(each.work, folder, contest.file, peers)
            if run["found"] is not None and run["found"] != truth:
                raise ContestError(f"{each.name} found {run['found']} in {contest.name}, and there was {truth}.")
            runs[each.name].append(run)
    return {name: _result(of) for name, of in runs.items()}


def _result(runs: Sequence[Mapping[str, Any]]) -> Result:
    return Result(
        tuple(run["seconds"] for run in runs),
        tuple(run["whole"] for run in runs),
        statistics.median(run["peak_mb"] for run in runs),
        statistics.median(run["peak_mb"] - run["before_mb"] for run in runs),
    )


def once(work: str, folder: Path, file: str, peers: Path) -> dict[str, Any]:
    """What ``benchmarks.work`` prints, and how long the process took as a ``whole``."""
    path = os.pathsep.join(map(str, (_ROOT, peers)))
    start = perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.work", work, str(folder), file],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    whole = perf_counter() - start
    if done.returncode:
        raise ContestError(f"{work} failed: {done.stderr[-2000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "whole": whole}
