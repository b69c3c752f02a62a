"""One story told twice: the batches run in our interpreter and in Wine's cmd.exe, and all that can be seen is compared.

    def story(bundle: Bundle) -> None: ...      runs scripts, breaks things, asserts what must hold
    both(story)                                 tells it to SimulatedHost and to WineHost, each with a CA of its own

Compared are exit codes, the screen, every start of a program with its arguments and its order, every
call that the CA answered, the CA's database, and every file that is left, byte for byte. Whatever differs is a fault of
the interpreter, or of a batch that leaves the ground that both share.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from carecover.model import Plan
from carecover.remediation import Backend
from carecover.simulator import Behaviour, SimulatedCA, SimulatedHost
from carecover.simulator.windows import CallResult, Folder, Program
from tests.planned_bundle import Bundle
from tests.wine.wine import FlakeError, Start, Wine, WineHost, windows_path

# What cmd.exe itself says of files differs in its words.
_OWN_WORDS: Final = ("work/errors.txt",)
_MAX_REPEATS: Final = 2


class InterpretedHost(SimulatedHost):
    """SimulatedHost that keeps a record of what was started, as WineHost does."""

    def __init__(self, ca: SimulatedCA, *, own_find: bool, **given: Any) -> None:
        super().__init__(ca, **given)
        self._own_find = own_find
        self.starts: list[Start] = []

    @property
    def programs(self) -> Mapping[str, Program]:
        """The same programs, each start noted."""
        return {name: self._noted(name, program) for name, program in super().programs.items()}

    def _noted(self, name: str, program: Program) -> Program:
        def noted(arguments: Sequence[str], folder: Folder, /) -> CallResult:
            if not (self._own_find and name == "find.exe"):
                self.starts.append(Start(name, tuple(arguments), folder.current, "device"))
            return program(arguments, folder)

        return noted


@dataclass(slots=True)
class Seen:
    """What one telling showed; ``runs``: script and arguments, screen, exit code or "interrupted"."""

    runs: list[tuple[tuple[str, ...], list[str], int | str]] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)


@dataclass(slots=True)
class Totals:
    """What all comparisons of a session amount to."""

    stories: int = 0
    runs: int = 0
    starts: int = 0
    calls: int = 0
    repeated: list[str] = field(default_factory=list)


class WatchedBundle(Bundle):
    """A bundle whose runs are recorded."""

    seen: Seen

    def run(self, script: str, *arguments: str, **given: Any) -> int:
        code: int | str = "interrupted"
        try:
            code = super().run(script, *arguments, **given)
        finally:
            self.seen.runs.append(((script, *arguments), list(self.lines), code))
        return code


class Both:
    """Tells stories in a folder of its own, twice."""

    def __init__(self, wine: Wine, place: Path, totals: Totals) -> None:
        self._wine = wine
        self._place = place
        self._totals = totals

    def __call__(
        self,
        story: Callable[[WatchedBundle], None],
        *,
        plan: Plan,
        behaviour: Behaviour | None = None,
        folder: str = "bundle",
        own_find: bool = False,
    ) -> WatchedBundle:
        """Tell ``story`` of a bundle in a folder of that name; the bundle as Wine's cmd.exe left it.

        ``own_find``: with the find.exe of Wine, whose starts are not on record then.
        """
        given = (story, plan, behaviour, folder, own_find)
        ours = self._tell("ours", *given)
        for attempt in range(_MAX_REPEATS + 1):
            try:
                wines = self._tell("wine", *given)
                break
            except FlakeError as error:
                # Said at the end of the tests; a second time in a row it is no chance any more.
                self._totals.repeated.append(str(error))
                if attempt == _MAX_REPEATS:
                    raise
        for mine, theirs in zip(ours.seen.runs, wines.seen.runs, strict=True):
            # Said in full: what differs now may not differ the next time.
            assert mine == theirs, f"ours: {mine}\nWine: {theirs}\nstarts there: {self._starts(wines)}"
        assert self._starts(ours) == self._starts(wines)
        assert ours.ca.calls == wines.ca.calls
        assert ours.ca.table().equals(wines.ca.table())
        assert ours.ca.crls == wines.ca.crls
        assert tree(ours.directory) == tree(wines.directory)
        self._totals.stories += 1
        self._totals.runs += len(wines.seen.runs)
        self._totals.starts += len(wines.seen.starts)
        self._totals.calls += len(wines.ca.calls)
        return wines

    def _tell(
        self,
        who: str,
        story: Callable[[WatchedBundle], None],
        plan: Plan,
        behaviour: Behaviour | None,
        folder: str,
        own_find: bool,
    ) -> WatchedBundle:
        directory = self._place / who / folder
        shutil.rmtree(self._place / who, ignore_errors=True)
        directory.mkdir(parents=True)
        seen = Seen()

        def host(ca: SimulatedCA, **given: Any) -> Backend:
            given["own_find"] = own_find
            made = WineHost(ca, wine=self._wine, **given) if who == "wine" else InterpretedHost(ca, **given)
            # The one list that both fill, whichever host a run gets.
            made.starts = seen.starts
            return made

        bundle = WatchedBundle(directory, behaviour, plan, host)
        bundle.seen = seen
        story(bundle)
        return bundle

    def _starts(self, bundle: WatchedBundle) -> list[Start]:
        """Starts with the folder named alike on both sides; nothing is ever to wait for standard input."""
        here = windows_path(bundle.directory.resolve())
        return [
            Start(
                s.program,
                tuple(a.replace(here, Folder.ROOT.rstrip("\\")) for a in s.arguments),
                s.directory.replace(here, Folder.ROOT.rstrip("\\")),
                s.standard_input,
            )
            for s in bundle.seen.starts
        ]


def tree(directory: Path) -> dict[str, bytes]:
    """Every file below a folder, but what holds cmd.exe's own words."""
    found = {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}
    return {name: data for name, data in found.items() if name not in _OWN_WORDS}
