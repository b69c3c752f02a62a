"""A run or rehearsal that is under way: one at a time in a case, and seen and stopped from any process.

Whoever runs holds a lock that the operating system drops with the process, however that ends, and writes what the
scripts say into ``runs/<directory>/output.txt`` as they say it. So another process can follow it: a notebook whose
kernel was restarted, a second tab, a shell. To stop it, a file is laid down that the run looks for.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Final

from carecover.errors import CaseError, RefusedError
from carecover.folder import try_lock
from carecover.journal import Entry, owner_only

OUTPUT: Final = "output.txt"
# Both are empty: what they say is that they are locked, and that they are there.
LOCK: Final = ".running"
CANCEL: Final = ".cancel"
# Whoever only looks whether a run is going on holds the lock for a moment.
_PATIENCE_SECONDS: Final = 2.0
_SIMULATED: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9]{1,9}-(?:rehearsal|run)", re.ASCII)


@contextlib.contextmanager
def turn(case: Path) -> Iterator[None]:
    """Be the one run or rehearsal of this case; raises RefusedError while there is another."""
    try:
        lock = os.fdopen(owner_only(str(case / LOCK), os.O_RDWR | os.O_CREAT), "r+b")
    except OSError as error:
        raise CaseError(
            f"{case} cannot be written ({error.strerror}): nothing was begun. Make it writable, or work on a copy."
        ) from None
    with lock:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not try_lock(lock):
            if time.monotonic() > deadline:
                raise RefusedError(
                    "A run or rehearsal of this case is going on, and there is one at a time: nothing was begun. Wait "
                    "for its end, or cancel it in the panel that shows it."
                )
            time.sleep(0.05)
        # What was meant for an earlier one.
        _forget_cancel(case)
        try:
            yield
        finally:
            _forget_cancel(case)


def is_going(case: Path) -> bool:
    """True while any process runs or rehearses this case."""
    try:
        with (case / LOCK).open("r+b") as lock:
            return not try_lock(lock, shared=True)
    except OSError:
        return False


class Cancel(Event):
    """Set once somebody asked for the end of what is going on in this case, in this process or another."""

    def __init__(self, case: Path) -> None:
        super().__init__()
        self._place = case / CANCEL

    def is_set(self) -> bool:
        """Whether to stop."""
        return super().is_set() or self._place.exists()


def ask_to_stop(case: Path) -> None:
    """Ask what is going on to stop; raises RefusedError where nothing is, CaseError where that cannot be written."""
    if not is_going(case):
        raise RefusedError("Nothing is running any more: there is nothing to cancel.")
    try:
        os.close(owner_only(str(case / CANCEL), os.O_WRONLY | os.O_CREAT))
    except OSError as error:
        raise CaseError(
            f"{case} cannot be written ({error.strerror}): the run goes on. Make it writable, and try again."
        ) from None


def directory(case: Path, entries: Sequence[Entry]) -> Path | None:
    """Where what is going on keeps what it says; None where nothing is, or where it has not said a word."""
    if not is_going(case):
        return None
    over = {e.details.get("directory") for e in entries if e.act in ("rehearsal", "run", "run-cut")}
    found = []
    for place in (case / "runs").glob(f"*/{OUTPUT}"):
        with contextlib.suppress(OSError):
            if place.parent.name not in over:
                found.append((place.stat().st_mtime_ns, place.parent))
    return max(found)[1] if found else None


def without_end(entries: Iterable[Entry]) -> Entry | None:
    """The newest run that was begun on a CA, where no end of it is recorded."""
    begun: Entry | None = None
    for entry in entries:
        if entry.act == "run-begun":
            begun = entry
        elif begun is not None and entry.details.get("begun") == begun.number:
            begun = None
    return begun


def told(begun: Entry) -> str:
    """What to say of a run without an end that nobody carries on."""
    return (
        f"The run of {', '.join(begun.details['calls'])} that {begun.details['by']} began at {begun.at} "
        f"({begun.details['backend']}) has no end in the journal: this program or machine stopped, and the batch "
        "may have gone on. Run the same again: it asks the CA, and goes on where that stands."
    )


def sweep(case: Path, entries: Iterable[Entry]) -> None:
    """Delete what simulated runs have left that were killed: what they said, of a CA that is gone. In its turn only."""
    known = {entry.details.get("directory") for entry in entries}
    for place in (case / "runs").glob("*"):
        if _SIMULATED.fullmatch(place.name) and place.name not in known and not place.is_symlink():
            with contextlib.suppress(OSError):
                if {path.name for path in place.iterdir()} <= {OUTPUT}:
                    shutil.rmtree(place)


def _forget_cancel(case: Path) -> None:
    with contextlib.suppress(OSError):
        (case / CANCEL).unlink(missing_ok=True)
