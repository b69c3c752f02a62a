"""``python3 start.py bench``: carecover and its peers, in turn, on evidence made by the simulator."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parent.parent
if str(_ROOT) not in sys.path:
    sys.path.insert(0, str(_ROOT))

from benchmarks import growth, machine, measure, page  # noqa: E402 - found only now
from benchmarks.contests import BY_NAME, Contest, Contestant, place_of  # noqa: E402

_HELP: Final = """\
carecover beside what a user would take instead: every contestant in a fresh process, in
turn, at least five times. Ratios are told, and no bare times. A run of the full size takes
about half an hour and 6 GB below the cache; a small one two minutes.
"""
_NAMES: Final = (*BY_NAME, "growth")


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser("start.py bench", description=_HELP, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(_NAMES)}")
    parser.add_argument("--size", choices=("small", "full"), default="small")
    parser.add_argument("--rounds", type=int, default=measure.ROUNDS, help="how often each (5)")
    parser.add_argument("--ours", action="store_true", help="carecover alone, without its peers: for a profile's sake")
    parser.add_argument("--cache", type=Path, default=_cache(), help=f"where the evidence is kept ({_cache()})")
    parser.add_argument("--page", type=Path, help="a Markdown file to put the results into (docs/performance.md)")
    asked = parser.parse_args(given)
    if unknown := [name for name in asked.names if name not in _NAMES]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(_NAMES)}.")
    return asked


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carecover-bench"


def install(place: Path) -> str | None:
    """The peers of requirements.lock, by their hashes, into a folder of their own; else the reason why not."""
    lock = _ROOT / "benchmarks" / "requirements.lock"
    stamp, wanted = place / "stamp", lock.read_text(encoding="utf-8") + sys.version
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return None
    shutil.rmtree(place, ignore_errors=True)
    _say("fetching the peers of benchmarks/requirements.lock ...")
    base = getattr(sys, "_base_executable", None) or sys.executable
    uv = shutil.which("uv")
    installers = [[uv, "pip", "install", "--python", sys.executable]] if uv else []
    installers += [[python, "-m", "pip", "--no-input", "install"] for python in (sys.executable, base)]
    locked = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(place), "-r", str(lock)]
    for installer in installers:
        if not subprocess.run([*installer, *locked], capture_output=True, check=False).returncode:
            stamp.write_text(wanted, encoding="utf-8")
            return None
    return "it could not be installed from the package index"


def _to_run(contest: Contest, *, ours: bool, no_peers: str | None) -> tuple[list[Contestant], dict[str, str]]:
    """Who runs, and who cannot and why."""
    able = [each for each in contest.contestants if not (each.needs and no_peers)]
    missing = {each.name: f"{no_peers}." for each in contest.contestants if each not in able and no_peers}
    return [each for each in able if not ours or each.work.startswith("product.")], missing


def results(asked: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Each contest's name with what is to be told of it."""
    asked.cache.mkdir(parents=True, exist_ok=True)
    peers = asked.cache / "peers"
    no_peers = None if asked.ours else install(peers)
    for name in asked.names or _NAMES:
        if name == "growth":
            continue
        contest = BY_NAME[name]
        _make(asked, contest.corpus, *contest.also)
        able, missing = _to_run(contest, ours=asked.ours, no_peers=no_peers)
        busy, folder = machine.load(), place_of(asked.cache, asked.size, contest.corpus)
        found = measure.in_turn(contest, able, folder, peers, _say, asked.rounds)
        told = page.table(contest, found, missing)
        title = contest.title if asked.size == "full" else f"{contest.title}; here a small part of it"
        yield name, page.section(name, title, told, _how(asked, asked.rounds, busy))
    if "growth" in (asked.names or _NAMES):
        _make(asked, "growth")
        busy, folder = machine.load(), place_of(asked.cache, asked.size, "growth")
        costs = growth.measured(folder, peers, _say)
        told = growth.table(costs)
        if asked.page:
            growth.picture(costs, asked.page.parent / "pictures" / "cost-per-row.svg")
            told += "\n\n![Cost per row by number of rows](pictures/cost-per-row.svg)"
        yield "growth", page.section("growth", "Cost per row", told, _how(asked, growth.ROUNDS, busy))


def _make(asked: argparse.Namespace, *corpora: str) -> None:
    """In a process of its own: this one stays small, for a child begins with the memory of its parent."""
    made = [sys.executable, "-m", "benchmarks.corpora", str(asked.cache), asked.size, *corpora]
    subprocess.run(made, cwd=_ROOT, env={**os.environ, "PYTHONPATH": str(_ROOT)}, check=True)


def _how(asked: argparse.Namespace, rounds: int, busy: str) -> str:
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    versions = machine.versions(asked.cache / "peers")
    return f"{rounds} rounds on {day}, {asked.size} size; {machine.machine()}; {busy}. {versions}."


def main(given: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 where a contestant fell or found something else than the truth."""
    asked = arguments(given)
    try:
        for name, text in results(asked):
            print(text, flush=True)
            if asked.page:
                page.put(asked.page, name, text)
    except (measure.ContestError, subprocess.CalledProcessError) as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
