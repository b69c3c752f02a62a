"""Backends that touch a real CA: this machine's command interpreter, and the CA's by SSH.

host = backend("ssh://jane@ca01.example", known_hosts=Path("known_hosts"))
code = host.execute(folder, "revoke.cmd", ["preflight"], print)

Both run the batch that was exported, byte for byte, and neither ever says that something was
done: a run may be cut off at any moment, and what the CA says decides (the batch asks it).
What comes back from the other side is not trusted: it is bounded, and shown without
control characters.
"""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Final

from carecover.backends.local import LocalHost
from carecover.backends.process import Limits
from carecover.backends.ssh import SshHost, SshTarget
from carecover.errors import UsageError

__all__ = ["Limits", "LocalHost", "SshHost", "SshTarget", "backend"]

_MINUTE: Final = 60


def backend(
    on: str,
    *,
    known_hosts: Path | None = None,
    identity: Path | None = None,
    patience: float = Limits().silence / _MINUTE,
    cancel: Event | None = None,
) -> LocalHost | SshHost:
    """The backend that a person named: ``local``, or ``ssh://user@host[:port]``.

    ``known_hosts`` and ``identity`` are files for SSH; ``patience`` is the number of minutes without a word after
    which a run is ended; ``cancel`` ends it when it is set. Raises UsageError for another name, RefusedError where
    this machine cannot be that.
    """
    longest = Limits().whole / _MINUTE
    if not 0 < patience <= longest:
        raise UsageError(f"The patience is a number of minutes up to {longest:g}, not {patience:g}.")
    limits = Limits(silence=patience * _MINUTE)
    if on == "local":
        return LocalHost(limits=limits, cancel=cancel)
    if on.startswith("ssh://"):
        return SshHost(SshTarget.parse(on), known_hosts=known_hosts, identity=identity, limits=limits, cancel=cancel)
    raise UsageError("That is no place to run a bundle: simulator, local, or ssh://USER@HOST[:PORT].")
