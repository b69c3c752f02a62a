"""The CA's own command interpreter: for a desk that is the CA server itself.

Nobody has run this on Windows: its tests give it Wine's cmd.exe in the place of the system's.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from threading import Event
from typing import Final

from carecover.backends.process import Console, EndedError, Limits, check_call, watched
from carecover.errors import PathError, RefusedError, RunError


class LocalHost:
    """This machine, which must be the CA. A prompt opened with Run as administrator, as for the batch by hand.

    ``interpreter``: command that begins each call, with its switches; ``code_page``: of its output; ``environment``:
    its variables. All three are the system's own where they are None. ``windows`` says whether this is Windows.
    """

    name: Final = "local"

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        cancel: Event | None = None,
        interpreter: Sequence[str] | None = None,
        code_page: str = "oem",
        environment: Mapping[str, str] | None = None,
        windows: bool = sys.platform == "win32",
    ) -> None:
        """Raise RefusedError where this machine cannot be a CA, or its cmd.exe is not where Windows has it."""
        if not windows:
            raise RefusedError(
                "This machine runs no Windows, so it is not the CA. From here: --on ssh://USER@HOST, or carry the "
                "folder to the CA by hand (README.txt in it)."
            )
        self._limits, self._cancel, self._environment = limits or Limits(), cancel, environment
        self._code_page = code_page
        self._interpreter = list(interpreter or _system_interpreter())

    @property
    def details(self) -> Mapping[str, str]:
        """What the journal says of it."""
        return {"machine": platform.node()}

    def execute(self, directory: Path, script: str, arguments: Sequence[str], on_output: Callable[[str], None]) -> int:
        """Run ``script`` in ``directory``; RunError where it was ended before its own end."""
        check_call(script, arguments)
        if not (directory / script).is_file():
            raise PathError(f"{directory / script} cannot be read. Write the bundle again.")
        try:
            return watched(
                # By its place: where a variable of the session forbids it, cmd.exe does not look in its own folder.
                [*self._interpreter, f".\\{script}", *arguments],
                cwd=directory,
                console=Console(self._code_page),
                on_output=on_output,
                limits=self._limits,
                cancel=self._cancel,
                environment=self._environment,
            )
        except EndedError as error:
            raise RunError(
                f"{script} was ended before its end: {error} What it was doing may be done or not: call the same "
                "again; it asks the CA and goes on where the CA stands."
            ) from None


def _system_interpreter() -> list[str]:
    """cmd.exe by its full path: whatever is named so elsewhere is not the system's. /d: no AutoRun of the registry."""
    root = PureWindowsPath(os.environ.get("SYSTEMROOT", ""))
    found = root / "System32" / "cmd.exe"
    if not root.is_absolute() or not Path(found).is_file():
        raise RefusedError("cmd.exe is not where %SystemRoot% says. Call the batches by hand (README.txt).")
    return [str(found), "/d", "/c"]
