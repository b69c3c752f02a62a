"""Who else has a case open: another notebook or tab of this account, on this machine.

Each kernel keeps a locked file among Jupyter's own running files, never in the case: the lock goes with the kernel,
however it ends. Other accounts and machines are not seen here; what they do is, by the journal, as soon as it is done.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, Protocol
from weakref import WeakSet

from jupyter_core.paths import jupyter_runtime_dir

from carecover.folder import try_lock
from carecover.model import sha256_hex
from carecover.report.document import clean

LOOK_SECONDS: Final = 3.0
# The server tells each kernel for which notebook it was started.
_NOTEBOOK: Final = "JPY_SESSION_NAME"
_MAX_SHOWN: Final = 3
_MAX_FILE: Final = 1 << 12


class Presence:
    """One kernel with one case open, for as long as this object lives."""

    def __init__(self, case: Path, runtime: Path | None = None) -> None:
        """Say so in ``runtime`` (Jupyter's own folder for it); where nothing can be written there, nobody is told."""
        name = sha256_hex(str(case.resolve()).encode("utf-8", "surrogatepass"))[:16]
        self._folder = (runtime or Path(jupyter_runtime_dir())) / "carecover-open" / name
        self._own = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock: IO[bytes] | None = None
        said = {"notebook": Path(os.environ.get(_NOTEBOOK, "")).name, "since": datetime.now(UTC).isoformat()}
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self._folder / f"{self._own}.json").write_text(json.dumps(said), encoding="utf-8")
            self._lock = (self._folder / f"{self._own}.lock").open("x+b")
            try_lock(self._lock)

    def close(self) -> None:
        """Leave the case."""
        if self._lock is not None:
            self._lock.close()
            self._forget(self._own)

    def others(self) -> list[str]:
        """The other kernels that have the case open, each in a few words; what is left of ended ones is removed."""
        try:
            locks = sorted(self._folder.glob("*.lock"))
        except OSError:
            return []
        return [said for lock in locks if lock.stem != self._own and (said := self._other(lock))]

    def _other(self, lock: Path) -> str:
        with contextlib.suppress(OSError), lock.open("r+b") as stream:
            if try_lock(stream):
                self._forget(lock.stem)
                return ""
        try:
            with lock.with_suffix(".json").open("rb") as file:
                known: dict[str, Any] = json.loads(file.read(_MAX_FILE))
            since = datetime.fromisoformat(known["since"]).strftime("%H:%M UTC")
            name = clean(known["notebook"], 60)
        except (OSError, ValueError, KeyError, TypeError):
            return "another kernel"
        return f"{name or 'another kernel'} since {since}"

    def _forget(self, name: str) -> None:
        for ending in (".lock", ".json"):
            with contextlib.suppress(OSError):
                (self._folder / f"{name}{ending}").unlink()


class Onlooker(Protocol):
    """What is told from time to time to look whether somebody else was at work."""

    def look_around(self) -> None:
        """Look, and say so."""


_present: dict[Path, Presence] = {}
_onlookers: WeakSet[Any] = WeakSet()
_tasks: set[asyncio.Task[None]] = set()


def enter(case: Path) -> None:
    """Say that this kernel has the case open, from now on."""
    place = case.resolve()
    if place not in _present:
        _present[place] = Presence(place)


def leave_all() -> None:
    """Say that this kernel has no case open any more."""
    while _present:
        _present.popitem()[1].close()


# A kernel that ends by itself takes its files along; of one that is killed the next to look removes them.
atexit.register(leave_all)


def elsewhere(case: Path) -> str:
    """A sentence where somebody else has the case open; empty where nobody has, or this kernel never said so."""
    presence = _present.get(case.resolve())
    others = presence.others() if presence else []
    if not others:
        return ""
    more = f" and {len(others) - _MAX_SHOWN} more" if len(others) > _MAX_SHOWN else ""
    return f"This case is also open in {', '.join(others[:_MAX_SHOWN])}{more}. What is done there is told here."


def watch(panel: Onlooker) -> None:
    """Have a panel look around every few seconds, where there is an event loop (in a kernel there is)."""
    _onlookers.add(panel)
    if not _tasks:
        with contextlib.suppress(RuntimeError):
            _tasks.add(asyncio.get_running_loop().create_task(_watch()))


def unwatch(panel: Onlooker) -> None:
    """Leave a panel in peace."""
    _onlookers.discard(panel)


async def _watch() -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for panel in list(_onlookers):
            panel.look_around()
