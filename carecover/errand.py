"""A run or rehearsal in a process of its own, for a notebook: it goes on when the kernel or the tab does not.

errand = begin(case.path, {"kind": "run", "directory": str(bundle), "on": "simulator"})
errand.over()                                        # whether the process has ended; then errand.failed

What to do goes through a pipe and not the command line, which others on the machine can read. What the scripts say
is in the case as they say it (``carecover.underway``), and so is the end; through the pipe comes only the sentence
of an error, for whoever still listens.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from carecover.backends import backend
from carecover.case import Case
from carecover.errors import CarecoverError, PathError, UsageError
from carecover.journal import Journal
from carecover.remediation import Backend
from carecover.underway import Cancel

_MAX_SAID: Final = 1 << 16
_PATHS: Final = ("known_hosts", "identity")


class Errand:
    """A process that was begun here; ``failed`` is the sentence of its error, once it is over."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.failed: str | None = None

    def over(self) -> bool:
        """Whether it has ended, well or not."""
        if self._process.poll() is None:
            return False
        pipe = self._process.stdout
        if pipe is not None and not pipe.closed:
            said = pipe.read(_MAX_SAID).decode("utf-8", "replace").strip()
            pipe.close()
            code = self._process.returncode
            self.failed = said or (None if code == 0 else f"Its process ended at once ({code}), without a word.")
        return True


def begin(case: Path, what: Mapping[str, Any]) -> Errand:
    """Start it in a session of its own, which outlives this process; PathError where no process can be started.

    ``what``: ``kind`` (run or rehearsal); of a run ``directory`` and ``on``, and whatever ``Case.run`` and
    ``backends.backend`` take besides, paths as text.
    """
    order = json.dumps({"case": str(case.resolve()), "command": Journal.command, **what}).encode("utf-8")
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    try:
        # Where this very code lies: what is in the current folder may be anybody's.
        code = "import sys; sys.path.insert(0, sys.argv[1]); from carecover.errand import main; sys.exit(main())"
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, str(Path(__file__).resolve().parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=flags,
            start_new_session=sys.platform != "win32",
        )
        with cast("Any", process.stdin) as pipe:
            pipe.write(order)
    except OSError as error:
        raise PathError(f"No process can be started here: {error.strerror or error}. Nothing was begun.") from None
    return Errand(process)


def main() -> int:
    """Do what the other end of standard input says; the sentence of an error goes to standard output."""
    try:
        _do(json.load(sys.stdin))
    except CarecoverError as error:
        return _say(str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - nobody looks at a traceback here
        return _say(f"It failed unexpectedly ({type(error).__name__}). The case is unharmed: run the same again.", 5)
    return 0


def _do(what: dict[str, Any]) -> None:
    Journal.command = what.pop("command")
    case, kind = Case.open(what.pop("case")), what.pop("kind")
    if kind == "rehearsal":
        case.rehearse()
        return
    place, on = Path(what.pop("directory")), what.pop("on")
    files = {name: what.pop(name, None) for name in _PATHS}
    there: str | Backend = on
    if on != "simulator":
        known_hosts, identity = (None if files[name] is None else Path(files[name]) for name in _PATHS)
        there = backend(on, known_hosts=known_hosts, identity=identity, cancel=Cancel(case.path))
    if set(what) - {"call", "by", "ca_name", "no_dialog"}:
        raise UsageError("That is no way to run a bundle: run the cell again.")
    case.run(place, on=there, **what)


def _say(sentence: str, code: int) -> int:
    # The kernel that asked may be gone.
    with contextlib.suppress(OSError):
        os.write(1, sentence.encode("utf-8", "backslashreplace"))
    return code
