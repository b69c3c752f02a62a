"""The protocol of whatever carries out a bundle: a simulated CA, this machine, a CA reached by SSH."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Backend(Protocol):
    """Runs one script of a bundle and hands its console output on while it runs."""

    @property
    def name(self) -> str:
        """What the journal and the report call it: ``simulator``, ``local``, ``ssh``."""
        ...

    @property
    def details(self) -> Mapping[str, str]:
        """What the journal says of it beside its name: the machine, the key that it showed. Not secret, and short."""
        ...

    def execute(self, directory: Path, script: str, arguments: Sequence[str], on_output: Callable[[str], None]) -> int:
        """Run ``script`` (a file name in ``directory``) and return its exit code, 0 to 9.

        ``on_output`` receives console text as it comes; what it raises ends the run. Files that
        the script writes (``logs``, ``out``, ``dummies``) are in ``directory`` when this returns.
        Raises RunError where the script did not come to its end (cancelled, out of time, cut
        off): what it was doing may be done or not, and only the CA can say.
        """
        ...
