"""Wine's cmd.exe at the other end of SSH, and the simulated CA that answers what a batch starts there."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from carecover.errors import CarecoverError
from carecover.simulator import SimulatedCA, SimulatedHost
from carecover.simulator.windows import Program
from tests.backends.sshd import Server
from tests.wine.wine import Start, Wine, _Desk

_PATIENCE: Final = 60.0


class Desk(_Desk):
    """Answers a batch that somebody else has started; where the CA hangs there is no answer until ``give_up`` is set.

    ``starts`` is what was started, in order.
    """

    def __init__(self, programs: Mapping[str, Any], directory: Path) -> None:
        self.starts: list[Start] = []
        super().__init__(programs, directory, self.starts)
        self.give_up = threading.Event()

    def begin(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def end(self) -> None:
        """End what runs there, as a server does that falls over: programs of Wine belong to no session of sshd."""
        self.give_up.set()
        mark = f"CARECOVER_STAND_IN_TOKEN={self._token}".encode()
        for place in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if place.name.isdecimal() and mark in (place / "environ").read_bytes():
                    os.kill(int(place.name), signal.SIGKILL)

    def _kill(self, trouble: CarecoverError, connection: socket.socket) -> None:
        """No answer at all: a dialog is open on a screen that nobody sees."""
        del trouble, connection
        self.give_up.wait(_PATIENCE)


@contextlib.contextmanager
def answering(
    ca: SimulatedCA, directory: Path, watch: Callable[[str, Program], Program] | None = None
) -> Iterator[Desk]:
    """This CA's server answers a batch that runs in ``directory``; ``watch`` may stand between (name, program)."""
    directory.mkdir(exist_ok=True)
    programs = SimulatedHost(ca).programs
    if watch is not None:
        programs = {name: watch(name, program) for name, program in programs.items()}
    with Desk(programs, directory) as desk:
        desk.begin()
        yield desk


@contextlib.contextmanager
def windows(
    server: Server,
    wine: Wine,
    ca: SimulatedCA,
    folder: str,
    watch: Callable[[str, Program], Program] | None = None,
) -> Iterator[Desk]:
    """The server's shell is Wine's cmd.exe, and this CA answers what a batch in ``folder`` starts."""
    with answering(ca, server.home / folder, watch) as desk:
        environment = {**wine.environment, **wine.overrides(own_find=False), **desk.environment}
        exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        # Wine takes the computer's name from this machine; a batch wants the one of the CA's server.
        named = f'"set COMPUTERNAME={ca.computer}&$SSH_ORIGINAL_COMMAND"'
        server.obey(f"exec env -i {exports} {' '.join(wine.command)} cmd /d /c {named}")
        yield desk
