"""A Dask cluster as the readers of evidence (``carecover[distributed]``).

The scheduler and its workers run the same carecover in the same Python; whoever can reach the scheduler can run
programs on them, so the address is one of a network of one's own, or ``tls://`` with Dask's own settings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from carecover import evidence
from carecover.errors import PathError, UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor

_PATIENCE: Final = "20s"
# A worker that was killed is there again before.
_WITHOUT_WORKERS_SECONDS: Final = 60.0
_MOST_AT_ONCE: Final = 64
_ADDRESSES: Final = ("tcp://", "tls://", "ws://", "wss://", "ucx://")


@contextmanager
def readers_of(address: str, shared: str | None = None) -> Iterator[Executor]:
    """The workers of the cluster whose scheduler is at ``address``, as an executor for ``Case.add``.

    They find the evidence at the same path, or at ``shared``: the fsspec address of a folder that has it under the
    names that it has here. What differs from the evidence here is read here. Raises UsageError where the address is
    none or distributed is not installed, PathError where no scheduler answers, or it has no workers.
    """
    if not address.startswith(_ADDRESSES):
        raise UsageError(f"'{address}' is no address of a scheduler; those look like tcp://scheduler:8786.")
    try:
        from distributed import Client  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise UsageError("A cluster needs Dask: pip install carecover[distributed]") from None
    # Its functions have no types, though the package says so.
    connect: Any = Client
    try:
        client = connect(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        why = str(error) or "it took too long"
        raise PathError(f"No scheduler of a Dask cluster answers at {address}: {why}.") from None
    try:
        _look_at(client, address)
        # Two ranges for each reader, so that none waits for the next; what they bring is held here until its turn.
        at_once = max(8, min(_MOST_AT_ONCE, 2 * sum(client.nthreads().values())))
        yield evidence.Distant(client.get_executor(pure=False), shared, _Watch(client), at_once)
    finally:
        # The scheduler may be gone by now, and what was read without it counts all the same.
        with contextlib.suppress(Exception):
            client.close(timeout=2)


class _Watch:
    """Whether nobody will answer any more: the scheduler is gone, or has been without a worker for long."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - distributed has no types of its own
        self._client = client
        self._seen = monotonic()

    def __call__(self) -> bool:
        """Look."""
        if self._client.status != "running":
            return True
        with contextlib.suppress(OSError, ValueError):
            if self._client.scheduler_info(n_workers=1)["workers"]:
                self._seen = monotonic()
        return monotonic() - self._seen > _WITHOUT_WORKERS_SECONDS


def reader_version() -> str:
    """What a worker would read with."""
    return evidence.READER_VERSION


def _look_at(client: Any, address: str) -> None:  # noqa: ANN401 - distributed has no types of its own
    """Raise PathError unless there are workers, all with the readers that are here."""
    try:
        found = client.run(reader_version)
    except Exception as error:  # noqa: BLE001 - whatever a worker raises is sent here as it is
        why = " ".join(str(error).split())[:200]
        raise PathError(f"A worker of the cluster at {address} does not know this carecover: {why}") from None
    if not found:
        raise PathError(f"The cluster at {address} has no workers: start some (dask worker {address}).")
    if others := sorted(worker for worker, version in found.items() if version != evidence.READER_VERSION):
        raise PathError(f"Workers of the cluster have another version of carecover: {', '.join(others)}.")
