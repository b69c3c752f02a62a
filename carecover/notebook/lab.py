"""JupyterLab on the notebooks: on this machine only, with a token, asking nobody outside.

The notebooks are copied beside the case, so that what a person writes into them stays with
the incident and the installed ones stay as they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from carecover.errors import PathError, UsageError
from carecover.folder import write_atomically

CASE_VARIABLE: Final = "CARECOVER_CASE"
FIRST_NOTEBOOK: Final = "1-explore.ipynb"
# A file handed over in the browser is one message; Tornado's own limit of 10 MB closes the connection.
MAX_MESSAGE_BYTES: Final = 256 << 20

_AS_ROOT: Final = "--allow-root"
_SETTINGS: Final = Path(__file__).with_name("settings")

Runner = Callable[[Sequence[str], Mapping[str, str]], int]
"""Carries a command out in an environment and gives its exit code."""


def start_lab(
    case: Path | None,
    *,
    notebooks: Path | None = None,
    arguments: Sequence[str] = (),
    runner: Runner | None = None,
) -> int:
    """Open JupyterLab on the notebooks for ``case``; return its exit code when it ends.

    ``notebooks`` is the folder to work in: by default ``CASE-notebooks`` beside the case, or
    ``carecover-notebooks`` here. Notebooks that are missing there are put there; one that is
    there already is a person's own and stays as it is. Raises PathError where that fails, and
    UsageError for root without ``--allow-root`` (Jupyter's own rule) among the arguments.
    """
    if os.name == "posix" and os.geteuid() == 0 and _AS_ROOT not in arguments:
        raise UsageError(
            "JupyterLab is not meant to be run by root: whoever gets at the notebooks gets at the machine. Start it as "
            f"the person who works on the case, from a folder of their own, or add {_AS_ROOT}."
        )
    case = case.expanduser().resolve() if case else None
    folder = notebooks or (case.with_name(f"{case.name}-notebooks") if case else Path("carecover-notebooks"))
    folder = folder.expanduser().resolve()
    lay_out(folder)
    environment = dict(os.environ)
    # A terminal of JupyterLab knows the command carecover then, as the panels name it.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    # JupyterLab's own first question is whether it may fetch news: these settings answer no; people's own go before.
    known = [path for path in (environment.get("JUPYTER_CONFIG_PATH"), str(_SETTINGS)) if path]
    environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(known)
    if case:
        environment[CASE_VARIABLE] = str(case)
    else:
        # Whatever an earlier shell left there, nobody named a case now.
        environment.pop(CASE_VARIABLE, None)
    return (runner or _run)([*command(folder), *arguments], environment)


def lay_out(folder: Path) -> list[Path]:
    """Copy the notebooks into ``folder``, without touching one that is there; return those copied."""
    written = []
    with ExitStack() as stack:
        for name, data in _notebooks(stack).items():
            target = folder / name
            if target.exists():
                continue
            try:
                write_atomically(target, data)
            except OSError as error:
                raise PathError(
                    f"The notebooks cannot be put into {folder}: {error.strerror or error}. Name another folder."
                ) from None
            written.append(target)
    return written


def command(folder: Path) -> list[str]:
    """The command line of the server; the token is made by Jupyter, which prints the address to open."""
    return [
        sys.executable, "-m", "jupyterlab",
        "--ip=127.0.0.1",
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url=/lab/tree/{FIRST_NOTEBOOK}",
        # The address is told all the same; what else a server says hides it.
        "--ServerApp.log_level=WARN",
        # Nothing calls home: neither for news nor for a newer version.
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        f"--ServerApp.tornado_settings={{'websocket_max_message_size': {MAX_MESSAGE_BYTES}}}",
    ]  # fmt: skip


def _notebooks(stack: ExitStack) -> dict[str, bytes]:
    """Name → content, from the installed package or from the tree that it was installed from."""
    package = files("carecover")
    places = (package / "_notebooks", package / ".." / "notebooks")
    for place in places:
        found = stack.enter_context(as_file(place)) if place.is_dir() else None
        if found is not None and (found / FIRST_NOTEBOOK).is_file():
            return {path.name: path.read_bytes() for path in sorted(found.glob("*.ipynb"))}
    raise PathError("The notebooks are missing from this installation of carecover: install it again.")


def _run(line: Sequence[str], environment: Mapping[str, str]) -> int:
    try:
        return subprocess.run(line, env=environment, check=False).returncode
    except KeyboardInterrupt:
        # Ctrl+C is how a person ends the server, which has had it, too.
        return 0
