"""Wine's cmd.exe at the other end of SSH, and the simulated CA that answers what a batch starts there."""

from __future__ import annotations

import contextlib
import shlex
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
    """Answers a batch that somebody else has started; where the CA hangs it never answers.

    ``starts`` is what was started, in order; ``hanging`` is set while somebody waits for an answer in vain.
    """

    def __init__(self, programs: Mapping[str, Any], directory: Path) -> None:
        self.starts: list[Start] = []
        super().__init__(programs, directory, self.starts)
        self.hanging = threading.Event()

    def begin(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def _kill(self, trouble: CarecoverError, connection: socket.socket) -> None:
        """No answer at all, until the other end is gone: an endless dialog."""
        del trouble
        self.hanging.set()
        connection.settimeout(_PATIENCE)
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass
        self.hanging.clear()


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
        server.obey(f'exec env -i {exports} {wine.wine} cmd /d /c "$SSH_ORIGINAL_COMMAND"')
        yield desk
