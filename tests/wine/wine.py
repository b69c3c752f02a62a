"""Wine's cmd.exe as a backend: it runs a batch for real, and the simulated server answers what the batch starts.

    with Wine.begin(directory) as wine:                       a new prefix, with stand-ins for the programs
        host = WineHost(ca, wine=wine)                        a Backend like SimulatedHost
        host.execute(directory, "revoke.cmd", ["apply"], print)
        host.starts                                           what was started, in order

What Wine itself brings is no judge: its certutil.exe, fc.exe and whoami.exe accept anything. So ``stand_in.c`` is put
into their place in the prefix; it asks this process over loopback, where the programs of the simulated server answer.
find.exe too, so that each search is on record; with ``own_find`` it is Wine's own, which does search, and so it is an
oracle for ours.
"""

from __future__ import annotations

import contextlib
import platform
import re
import secrets
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from carecover.errors import CarecoverError, PathError, RunError
from carecover.simulator import SimulatedCA, SimulatedHost
from carecover.simulator.windows import OEM, Folder

SOURCE: Final = Path(__file__).with_name("stand_in.c")
COMPILER: Final = "x86_64-w64-mingw32-gcc"
# Debian keeps both off PATH; its package wine would bring the wrapper.
_WINE: Final = ("/usr/lib/wine/wine64", "wine64", "wine")
_SERVER: Final = ("/usr/lib/wine/wineserver64", "wineserver64", "wineserver")
STAND_INS: Final = ("certutil", "find", "fc", "whoami", "wevtutil", "reg", "tzutil")
# A whole run takes seconds; a batch that waits for somebody must not hold up the tests for ever.
LIMIT: Final = 300.0
_SOCKET_LIMIT: Final = 60.0
_MAX_TEXT: Final = 1 << 16


def missing() -> str | None:
    """What is not installed, in a sentence; None where everything is."""
    found = {"wine64": _first(_WINE), "wineserver64": _first(_SERVER), COMPILER: shutil.which(COMPILER)}
    lacking = [name for name, place in found.items() if place is None]
    return f"The batches cannot be run in Wine: {', '.join(lacking)} is not here." if lacking else None


def _first(places: Sequence[str]) -> str | None:
    return next((found for place in places if (found := shutil.which(place))), None)


def _fixed_addresses() -> list[str]:
    """What a command begins with so that it and all its children are laid out in memory alike each time.

    Wine needs certain addresses for itself. Where chance has put something else there, a program does not start: once
    in some thousands. Some containers do not allow it; then a story that met this is told again.
    """
    command = ["setarch", platform.machine(), "-R"]
    allowed = (
        shutil.which(command[0]) and not subprocess.run([*command, "true"], check=False, capture_output=True).returncode
    )
    return command if allowed else []


class Wine:
    """One prefix: a Windows of its own in a folder, alive until it is left."""

    def __init__(self, directory: Path) -> None:
        self.prefix = directory / "prefix"
        wine, server = _first(_WINE), _first(_SERVER)
        if wine is None or server is None:
            raise PathError("Wine is not installed.")
        self.command = [*_fixed_addresses(), wine]
        self._server = [*_fixed_addresses(), server]
        # Nothing of the user's environment, which a batch would see as variables of its session.
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(directory),
            "WINEPREFIX": str(self.prefix),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml,winemenubuilder.exe,winedbg.exe=d",
        }

    @classmethod
    @contextlib.contextmanager
    def begin(cls, directory: Path) -> Iterator[Self]:
        """Make the prefix, put the stand-ins into it; remove all of it (700 MB) at the end."""
        wine = cls(directory)
        try:
            # Wine's services start here, where nothing is captured: they would keep a pipe open for ever.
            wine._quietly([*wine._server, "-p600"])
            wine._quietly([*wine.command, "wineboot", "-i"])
            program = directory / "stand_in.exe"
            build(program)
            for name in STAND_INS:
                place = wine.system32 / f"{name}.exe"
                place.unlink(missing_ok=True)
                shutil.copy(program, place)
            yield wine
        finally:
            wine._quietly([*wine._server, "-k"])
            wine._quietly([*wine._server, "-w"])
            shutil.rmtree(directory, ignore_errors=True)

    def overrides(self, *, own_find: bool) -> dict[str, str]:
        """The variable that makes Wine take our programs: without it Wine's own win, whatever lies in System32."""
        ours = ",".join(f"{name}.exe" for name in STAND_INS if not (own_find and name == "find"))
        found = self.environment["WINEDLLOVERRIDES"] + f";{ours}=n"
        return {"WINEDLLOVERRIDES": found + (";find.exe=b" if own_find else "")}

    @property
    def system32(self) -> Path:
        return self.prefix / "drive_c" / "windows" / "system32"

    def _quietly(self, command: list[str]) -> None:
        subprocess.run(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT,
            check=False,
        )


def build(target: Path) -> None:
    """Compile the stand-in."""
    command = [COMPILER, "-Os", "-s", "-Wall", "-Wextra", "-Werror", "-municode"]
    subprocess.run([*command, "-o", str(target), str(SOURCE), "-lws2_32"], check=True, timeout=LIMIT)


# ------------------------------------------------------------------------------- the backend


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a stand-in: its file name, its arguments, where it stood and what it could read."""

    program: str
    arguments: tuple[str, ...]
    directory: str
    standard_input: str


class FlakeError(CarecoverError):
    """Wine did not start a program that is there: seen once in thousands of starts, and no answer of the batch."""


class WineHost:
    """The server of one simulated CA, with Wine's cmd.exe in the place of the interpreter.

    Takes what SimulatedHost takes, and the prefix to run in. ``starts`` is what the batches started, in order.
    ``at`` is where the prompt stands and ``call`` how the script is called there; None: in its folder, by its name.
    """

    name: Final = "wine"

    def __init__(
        self,
        ca: SimulatedCA,
        *,
        wine: Wine,
        environment: Mapping[str, str] | None = None,
        enrolled: Mapping[str, bytes] | None = None,
        limit: float = LIMIT,
        at: Path | None = None,
        own_find: bool = False,
        **given: Any,
    ) -> None:
        self._programs = SimulatedHost(ca, **given).programs
        self._wine = wine
        self._environment = dict(environment or {})
        self._enrolled = dict(enrolled or {})
        self._limit = limit
        self._at = at
        self._overrides = wine.overrides(own_find=own_find)
        self.starts: list[Start] = []

    @property
    def details(self) -> Mapping[str, str]:
        """Nothing that a journal would want."""
        return {}

    def execute(self, directory: Path, script: str, arguments: Sequence[str], on_output: Callable[[str], None]) -> int:
        """Run ``script`` in ``directory`` and return its exit code, as Backend says.

        Raises RunError where it was killed (by the faults of the CA, or because it did not come back in time), and
        FlakeError where Wine failed to start something.
        """
        if not (directory / script).is_file():
            raise PathError(f"{directory / script} cannot be read. Write the bundle again.")
        self._enroll()
        with _Desk(self._programs, directory, self.starts) as desk:
            called = script if self._at is None else windows_path(directory / script)
            process = subprocess.Popen(
                [*self._wine.command, "cmd", "/d", "/c", called, *arguments],
                cwd=self._at or directory,
                env={**self._wine.environment, **self._overrides, **desk.environment, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            said = []
            try:
                desk.serve(process)
                timer = threading.Timer(self._limit, desk.out_of_time)
                timer.start()
                assert process.stdout is not None
                for line in process.stdout:
                    said.append(line.decode(OEM).rstrip("\r\n") + "\n")
                    on_output(said[-1])
                code = process.wait()
                timer.cancel()
            finally:
                process.kill()
                process.wait()
                assert process.stdout is not None
                process.stdout.close()
        if desk.trouble is not None:
            raise RunError(f"{script} was interrupted: {desk.trouble}") from None
        if (unstarted := _unstarted(directory, said)) is not None:
            raise FlakeError(f"{script}: {unstarted}")
        return code

    def _enroll(self) -> None:
        place = self._wine.system32 / "CertSrv" / "CertEnroll"
        shutil.rmtree(place, ignore_errors=True)
        for name, data in self._enrolled.items():
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)


def _unstarted(directory: Path, said: Sequence[str]) -> str | None:
    """What Wine's cmd.exe says where it could not start a program that is there; None where it could.

    It stands wherever the batch sent the errors of that program: on the screen, or in a file that the next program's
    answer may have replaced by then. So the exit code that comes with it counts too, which every batch logs.
    """
    for line in said:
        if "Can't recognize" in line:
            return line.strip()
    for path in sorted(p for folder in ("work", "out") for p in (directory / folder).glob("*.txt")):
        if "Can't recognize" in (text := path.read_text(OEM)):
            return f"{path.name}: {text.strip()}"
    for path in sorted((directory / "logs").glob("*.log")):
        for line in path.read_text(OEM).splitlines():
            if re.search(r"^@@CR .*\b9009\b", line):
                return f"{path.name}: {line}"
    return None


def windows_path(path: Path) -> str:
    r"""A path of this machine as Wine shows it: drive Z: is the root."""
    return "Z:" + str(path).replace("/", "\\")


class _Desk:
    """Answers the stand-ins of one run, one after the other, as the batch starts them."""

    def __init__(self, programs: Mapping[str, Any], directory: Path, starts: list[Start]) -> None:
        self._programs = programs
        self._directory = directory.resolve()
        self._starts = starts
        self._token = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._answer_all, daemon=True)
        self.trouble: CarecoverError | None = None

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._thread.ident is not None:
            self._thread.join(_SOCKET_LIMIT)

    @property
    def environment(self) -> dict[str, str]:
        """What a stand-in must know to find us."""
        port = self._listener.getsockname()[1]
        return {"CARECOVER_STAND_IN_PORT": str(port), "CARECOVER_STAND_IN_TOKEN": self._token}

    def serve(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._thread.start()

    def out_of_time(self) -> None:
        """Kill a run that does not end."""
        if self._process is not None and self._process.poll() is None:
            self.trouble = self.trouble or RunError("it did not come back in time.")
            self._process.kill()

    def _answer_all(self) -> None:
        while self.trouble is None:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(_SOCKET_LIMIT)
            with connection:
                try:
                    self._answer(connection)
                except CarecoverError as error:
                    self._kill(error, connection)
                except (OSError, ValueError, struct.error) as error:
                    self._kill(RunError(f"a stand-in and the test did not understand each other: {error}"), connection)

    def _kill(self, trouble: CarecoverError, connection: socket.socket) -> None:
        """cmd.exe first, so that it never hears of the program's end; then wait for the program's own end."""
        assert self._process is not None
        self.trouble = trouble
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass

    def _answer(self, connection: socket.socket) -> None:
        token, program, directory, standard_input, *arguments = _texts(connection)
        if not secrets.compare_digest(token, self._token):
            # Somebody else's program, or one of an earlier run: no answer, and no record.
            return
        name = program.rpartition("\\")[2].lower()
        self._starts.append(Start(name, tuple(arguments), directory, standard_input))
        # The simulated server knows the folder of the batch as C:\carecover.
        here = windows_path(self._directory)
        inside = [
            Folder.ROOT + a[len(here) + 1 :] if a.lower().startswith(here.lower() + "\\") else a for a in arguments
        ]
        folder = Folder(self._directory)
        if directory.lower().rstrip("\\") != here.lower():
            folder = Folder(Path(directory.removeprefix("Z:").replace("\\", "/")))
        result = self._programs[name](inside, folder)
        for kind, data in ((b"o", result.output), (b"e", result.error)):
            if data:
                connection.sendall(kind + struct.pack("<I", len(data)) + data)
        connection.sendall(b"x" + struct.pack("<I", result.exit_code % (1 << 32)))


def _texts(connection: socket.socket) -> list[str]:
    (count,) = struct.unpack("<I", _exactly(connection, 4))
    texts = []
    for _ in range(min(count, 256)):
        (length,) = struct.unpack("<I", _exactly(connection, 4))
        if length > _MAX_TEXT:
            raise ValueError(f"a text of {length} bytes")
        texts.append(_exactly(connection, length).decode("utf-8"))
    if len(texts) < 4:
        raise ValueError("too few texts")
    return texts


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ValueError("it ended early")
        data += piece
    return data
