"""Readers on other machines: what they read is the evidence only where its bytes have the hash that is known here.

A worker of a cluster finds the evidence where the shared storage has it: at the same path, or at an fsspec
address (``s3://…``, ``sftp://…``) below which it has the same name. Whatever lies there, nothing of it is taken
for evidence unless its SHA-256 is that of the same bytes here (promise 2): else the worker says so, and the bytes
are read here.
"""

from __future__ import annotations

import hashlib
import mmap
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, ParamSpec, TypeVar, cast

from carecover.errors import PathError
from carecover.evidence.units import HEAD_BYTES, Buffer, Source

# How often somebody who waits looks whether there still is whom to wait for.
_LOOK_EVERY_SECONDS: Final = 1.0
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Distant(Executor):
    """An executor of ``concurrent.futures`` whose workers are not on this machine.

    ``shared`` is the fsspec address of the folder that has the evidence, under the names that it has here; without
    one the workers find it at the same path. ``lost`` says when nobody will answer any more: what is waited for is
    cancelled then, and nothing more is taken. ``at_once`` ranges of a mailbox are under way.
    """

    def __init__(
        self, executor: Executor, shared: str | None = None, lost: Callable[[], bool] = bool, at_once: int = 8
    ) -> None:
        self.at_once = at_once
        self._executor = executor
        self._shared = shared
        self._lost = lost

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """As the executor behind it does; RuntimeError where nobody is there."""
        if self._lost():
            raise RuntimeError("The readers are gone.")
        return self._executor.submit(fn, *args, **kwargs)

    def wait_for(self, future: Future[_T]) -> None:
        """Return when the future is done, or cancelled because nobody will do it."""
        while not wait((future,), _LOOK_EVERY_SECONDS).done:
            if self._lost():
                future.cancel()
                return

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As the executor behind it does."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)

    def place_of(self, path: Path) -> str:
        """Where a worker finds the file that lies here at ``path``."""
        return str(path) if self._shared is None else f"{self._shared.rstrip('/')}/{path.name}"


def is_address(place: str) -> bool:
    """True of an fsspec address, which is no path."""
    return "://" in place


def check(place: str, data: Buffer, sha256: str) -> None:
    """Raise PathError where the bytes are not those that are meant."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise PathError(f"{place} has other bytes here than where the case is.")


@contextmanager
def fetched_range(address: str, start: int, end: int) -> Iterator[Source]:
    """The bytes from ``start`` to ``end`` of a file at an fsspec address, and its head, where they are in the file.

    What lies between and behind is not there: reads as zeros. Raises PathError where they cannot be fetched.
    """
    with _remote(address) as remote, tempfile.TemporaryFile() as local:
        head = remote.read(HEAD_BYTES)
        remote.seek(start)
        data = remote.read(end - start)
        if len(data) != end - start:
            raise PathError(f"{address} ends before byte {end}.")
        local.truncate(end)
        local.write(head[:end])
        local.seek(start)
        local.write(data)
        local.flush()
        with mmap.mmap(local.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield Source.of(Path(address.rpartition("/")[2]), mapped)


@contextmanager
def fetched(address: str) -> Iterator[Path]:
    """A whole file of an fsspec address, as a file of this machine; raises PathError where it cannot be fetched."""
    with tempfile.TemporaryDirectory(prefix="carecover-") as folder:
        path = Path(folder, "evidence")
        with _remote(address) as remote, path.open("wb") as local:
            shutil.copyfileobj(remote, local, 1 << 20)
        yield path


@contextmanager
def _remote(address: str) -> Iterator[IO[bytes]]:
    try:
        import fsspec  # noqa: PLC0415 - an extra, and only where storage is shared by it
    except ImportError:
        raise PathError(f"{address} needs fsspec where it is read: pip install carecover[distributed]") from None
    try:
        with fsspec.open(address, "rb") as file:
            yield cast("IO[bytes]", file)
    except (OSError, ValueError, ImportError) as error:
        # ImportError: the package of this protocol is not installed there.
        raise PathError(f"{address} cannot be read: {error}.") from None
