"""A child process under watch: its output as it comes and made harmless, its time and its volume bounded."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from carecover.errors import PathError, RunError, UsageError

# What a batch of ours is called, and called with: nothing that any command interpreter takes for more than a word.
_SCRIPT: Final = re.compile(r"[a-z]{1,20}\.cmd", re.ASCII)
_ARGUMENT: Final = re.compile(r"[A-Za-z0-9]{1,20}", re.ASCII)
_MAX_ARGUMENTS: Final = 4
# The whole of a plan of 20,000 certificates is a few megabytes: what says more is no batch of ours.
MAX_OUTPUT: Final = 16 << 20
_BLOCK: Final = 1 << 16
# How often cancelling and time are looked at.
_TICK_SECONDS: Final = 0.2
# Blocks that may wait to be shown; then the process waits as well.
_WAITING: Final = 16
# A process that was told to end gets so long before it is killed; a pipe that somebody inherited, too.
_GRACE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call of a script: seconds in all, seconds without a word, bytes of output."""

    whole: float = 24 * 3600.0
    silence: float = 30 * 60.0
    output: int = MAX_OUTPUT


class EndedError(RunError):
    """The process was ended from here: cancelled, out of time, or beyond a bound."""


def check_call(script: str, arguments: Sequence[str]) -> None:
    """Raise UsageError unless this is a call of one of our batches, in plain words."""
    if not _SCRIPT.fullmatch(script):
        raise UsageError(f"{script!r} is no batch of a bundle, such as revoke.cmd.")
    if len(arguments) > _MAX_ARGUMENTS or not all(_ARGUMENT.fullmatch(word) for word in arguments):
        raise UsageError(f"{script} is called with words such as apply FIRST; these are none: {' '.join(arguments)!r}")


class Console:
    """Bytes of a console → text that can be shown anywhere; every character that commands a screen is a dot."""

    def __init__(self, code_page: str) -> None:
        self._bytes = codecs.getincrementaldecoder(code_page)(errors="replace")
        self._ends = io.IncrementalNewlineDecoder(None, translate=True)

    def __call__(self, data: bytes, *, final: bool = False) -> str:
        """The text of the next bytes."""
        text = self._ends.decode(self._bytes.decode(data, final), final)
        return "".join(c if c.isprintable() or c in "\n\t" else "·" for c in text)


def watched(
    command: Sequence[str],
    *,
    cwd: Path,
    console: Console,
    on_output: Callable[[str], None],
    limits: Limits,
    cancel: threading.Event | None = None,
    environment: Mapping[str, str] | None = None,
    check: Callable[[], str | None] = lambda: None,
) -> int:
    """Run a command without a shell, and return its exit code.

    Standard input is closed, both outputs are one. ``check`` is asked a few times a second; a
    sentence from it ends the process. Raises PathError where the command cannot be started,
    and EndedError where it was ended from here; by then it and its children are gone.
    """
    process, pipe = _started(command, cwd, environment)
    try:
        shown = 0
        begun = heard = time.monotonic()
        for data in _output(process, pipe):
            now = time.monotonic()
            shown += len(data)
            heard = now if data else heard
            why = _too_much(limits, now - begun, now - heard, shown, cancel) or check()
            if why is not None:
                raise EndedError(why)
            if data:
                on_output(console(data))
        on_output(console(b"", final=True))
        if (why := check()) is not None:
            raise EndedError(why)
        return process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        raise EndedError("it closed its output and did not end.") from None
    except KeyboardInterrupt:
        raise EndedError("it was cancelled.") from None
    finally:
        _end(process)
        pipe.close()


def _started(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str] | None
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    # A group of its own: ctrl-C in this window is for us, who then end the whole group.
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            creationflags=flags,
            start_new_session=sys.platform != "win32",
        )
    except OSError as error:
        raise PathError(f"{command[0]} cannot be started: {error.strerror or error}.") from None
    return process, cast("IO[bytes]", process.stdout)


def _too_much(limits: Limits, in_all: float, silent: float, shown: int, cancel: threading.Event | None) -> str | None:
    if cancel is not None and cancel.is_set():
        return "it was cancelled."
    if in_all > limits.whole:
        return f"it did not end within {_long(limits.whole)}."
    if silent > limits.silence:
        return f"there was no word of it for {_long(limits.silence)}. A dialog may be waiting on the CA's own screen."
    if shown > limits.output:
        return f"it said more than {limits.output:,} bytes: no batch of carecover's does."
    return None


def _long(seconds: float) -> str:
    return f"{seconds / 60:,.0f} minutes" if seconds >= 120 else f"{seconds:,.0f} seconds"


def _output(process: subprocess.Popen[bytes], pipe: IO[bytes]) -> Iterator[bytes]:
    """Blocks of output as they come; an empty one a few times a second where none comes."""
    blocks, over = queue.Queue[bytes](_WAITING), threading.Event()

    def hand_over(data: bytes) -> bool:
        while not over.is_set():
            with contextlib.suppress(queue.Full):
                blocks.put(data, timeout=_TICK_SECONDS)
                return bool(data)
        return False

    def read() -> None:
        # Windows cannot wait for a pipe and a clock at once: a thread waits for the pipe.
        with contextlib.suppress(OSError, ValueError):
            while hand_over(os.read(pipe.fileno(), _BLOCK)):
                pass

    threading.Thread(target=read, daemon=True).start()
    ended: float | None = None
    try:
        while True:
            try:
                data = blocks.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                if process.poll() is not None:
                    ended = time.monotonic() if ended is None else ended
                    # Somebody inherited the pipe and keeps it open: no reason to wait for them.
                    if time.monotonic() - ended > _GRACE_SECONDS:
                        return
                yield b""
                continue
            if not data:
                return
            yield data
    finally:
        over.set()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the process and its children."""
    if sys.platform == "win32":
        if process.poll() is None:
            taskkill = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "taskkill.exe"
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(
                    [str(taskkill), "/T", "/F", "/PID", str(process.pid)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    timeout=30,
                    check=False,
                )
            process.kill()
    else:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
