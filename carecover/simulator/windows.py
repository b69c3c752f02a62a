"""What a batch finds around it on the server: its folder, and the programs that are not certutil.

``find.exe``, ``fc.exe``, ``whoami.exe``, ``wevtutil.exe``, ``reg.exe`` and ``tzutil.exe`` answer just the calls that
carecover's batches make.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from carecover.errors import RefusedError

# The console code page of a western European server: what programs write into a redirected file.
OEM: Final = "cp850"
NEWLINE: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a program left behind: its exit code (signed 32 bits) and the bytes that it wrote."""

    exit_code: int
    output: bytes = b""
    error: bytes = b""


class Program(Protocol):
    """A program as the batch sees it: arguments without its own name, and the folder it runs in."""

    def __call__(self, arguments: Sequence[str], folder: Folder, /) -> CallResult:
        """Do the work; the exit code tells how it went."""


# ------------------------------------------------------------------------------- the folder


class Folder:
    """A directory as Windows would see it: names without case, backslashes, and no way out.

    Paths are relative to the current directory or lie under ``C:\\carecover``, which stands
    for the directory. Anything else, devices, streams, wildcards and links that lead out of
    the directory are refused with RefusedError. ``outside``: files elsewhere on the server, by
    their full Windows path, which may be read and copied only by a pattern.
    """

    ROOT: Final = "C:\\carecover\\"
    _DEVICES: Final = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))})

    def __init__(
        self,
        directory: Path,
        outside: Mapping[str, bytes] = MappingProxyType({}),
        room: Callable[[], int | None] = lambda: None,
    ) -> None:
        """``directory`` must exist; the current directory is its root.

        ``room`` says how many bytes of what is written next still fit on the disk; None is all of them.
        """
        self._directory = directory.resolve(strict=True)
        self._room = room
        self._outside = dict(outside)
        self._current: tuple[str, ...] = ()

    @property
    def current(self) -> str:
        """The current directory as ``%CD%`` shows it: without a backslash at its end."""
        return (self.ROOT + "\\".join(self._current)).rstrip("\\")

    def path(self, name: str) -> Path:
        """The real path of a Windows path inside the folder, which need not exist."""
        text = name.replace("/", "\\")
        if text.lower().startswith(self.ROOT.lower()):
            parts: list[str] = []
            text = text[len(self.ROOT) :]
        elif ":" in text or text.startswith("\\"):
            raise RefusedError(
                f"The batch names {name!r}, which lies outside its own folder; nothing was touched there."
            )
        else:
            parts = list(self._current)
        for part in text.split("\\"):
            if part == "..":
                if not parts:
                    raise RefusedError(
                        f"The batch names {name!r}, which leads out of its own folder; nothing was touched there."
                    )
                parts.pop()
            elif part not in ("", "."):
                self._check(part, name)
                parts.append(part)
        real, linked = self._directory, False
        for part in parts:
            real = self._child(real, part)
            linked = linked or real.is_symlink()
        # A link inside the folder must not carry a write to somewhere else.
        if linked and not real.resolve().is_relative_to(self._directory):
            raise RefusedError(f"{name!r} is a link out of the batch's folder; put the file itself there.")
        return real

    def read(self, name: str) -> bytes:
        """The bytes of a file; raises OSError where it cannot be read."""
        return self._outside[name] if name in self._outside else self.path(name).read_bytes()

    def matching(self, pattern: str) -> list[str]:
        """The names of the files that a pattern fits, in order; stars stand in its last part only."""
        head, _, last = pattern.rpartition("\\")
        if "*" in head or "?" in pattern:
            raise RefusedError(f"The batch names {pattern!r}, which is no pattern that is simulated.")
        if ":" in head and not pattern.lower().startswith(self.ROOT.lower()):
            found = [name for name in self._outside if name.rpartition("\\")[0].lower() == head.lower()]
        else:
            place, before = self.path(head or "."), head + "\\" if head else ""
            found = [before + child.name for child in place.iterdir() if child.is_file()] if place.is_dir() else []
        fits = re.compile(re.escape(last).replace(r"\*", ".*"), re.IGNORECASE)
        # A name with a quote is none on Windows, and would end the quotes that it is put into.
        fitting = (name for name in found if fits.fullmatch(name.rpartition("\\")[2]) and '"' not in name)
        return sorted(fitting, key=str.lower)

    def write(self, name: str, data: bytes, *, append: bool = False) -> None:
        """Write or extend a file; raises OSError where its directory is missing.

        What does not fit on the disk is cut off without a word, as what a program prints is.
        """
        with self.path(name).open("ab" if append else "wb") as file:
            file.write(data[: self._room()])

    def store(self, name: str, data: bytes) -> None:
        """Write a file and look whether it fits; raises OSError, and leaves what did fit."""
        self.write(name, data)
        if self.path(name).stat().st_size < len(data):
            raise OSError(ENOSPC, "There is not enough space on the disk.")

    def make(self, name: str) -> None:
        """Make a directory, with those above it, where it is not there; raises OSError."""
        self.path(name).mkdir(parents=True, exist_ok=True)

    def is_empty(self, name: str) -> bool:
        """True where there is nothing in a directory, or no such directory; raises OSError where it is a file."""
        path = self.path(name)
        return not path.exists() or not any(path.iterdir())

    def exists(self, name: str) -> bool:
        """True for a file or directory; with a backslash at the end only for a directory."""
        path = self.path(name)
        return path.is_dir() if name.endswith(("\\", "/")) else path.exists()

    def change(self, name: str) -> None:
        """Make an existing directory the current one; raises NotADirectoryError."""
        path = self.path(name)
        if not path.is_dir():
            raise NotADirectoryError(name)
        self._current = path.relative_to(self._directory).parts

    def _check(self, part: str, name: str) -> None:
        odd = part.endswith((".", " ")) or any(c in '<>:"|?*' or c < " " for c in part)
        if odd or part.split(".", maxsplit=1)[0].lower() in self._DEVICES:
            raise RefusedError(f"The batch names {name!r}, which is no plain file name on Windows.")

    @staticmethod
    def _child(directory: Path, part: str) -> Path:
        exact = directory / part
        if os.path.lexists(exact) or not directory.is_dir():
            return exact
        return next((child for child in directory.iterdir() if child.name.lower() == part.lower()), exact)


# ------------------------------------------------------------------------------ the programs


_PIECE = re.compile(r'(?P<slashes>\\*)(?P<quote>")|(?P<blank>[ \t]+)|\\+|[^\\" \t]+')
_QUOTED_PIECE = re.compile(r'(?P<slashes>\\*)(?P<quote>")|(?P<blank>(?!))|\\+|[^\\"]+')


def split_arguments(text: str) -> list[str]:
    """Cut a command line into arguments as programs built with Microsoft's C runtime do.

    Backslashes are plain but before a quote, where each pair gives one and an odd one makes
    the quote plain; two quotes inside a quoted part give one (Microsoft: "Parsing C
    command-line arguments").
    """
    arguments: list[str] = []
    current: str | None = None
    quoted = False
    at = 0
    while at < len(text):
        piece = (_QUOTED_PIECE if quoted else _PIECE).match(text, at)
        assert piece is not None  # noqa: S101 - the patterns leave no character out
        at = piece.end()
        slashes, quote = piece["slashes"], piece["quote"]
        if piece["blank"]:
            if current is not None:
                arguments.append(current)
            current = None
        elif slashes and quote:
            current = (current or "") + "\\" * (len(slashes) // 2)
            if len(slashes) % 2:
                current += '"'
            else:
                at -= 1
        elif quote:
            current = current or ""
            if quoted and text.startswith('"', at):
                current += '"'
                at += 1
            else:
                quoted = not quoted
        else:
            current = (current or "") + piece[0]
    return arguments if current is None else [*arguments, current]


def find(arguments: Sequence[str], folder: Folder) -> CallResult:
    """find.exe "text" "file": 0 where a line holds the text (case counts), 1 where none does, 2 for a bad call.

    A missing file is 1 as well, so the caller must know that the file is there.
    """
    if len(arguments) != 2 or arguments[0].startswith("/"):
        return CallResult(2, error=b"FIND: Parameter format not correct" + NEWLINE)
    text, name = arguments
    try:
        lines = folder.read(name).split(NEWLINE)
    except OSError:
        return CallResult(1, error=f"File not found - {name.upper()}".encode(OEM, "replace") + NEWLINE)
    hits = [line for line in lines if text.encode(OEM, "replace") in line]
    header = NEWLINE + f"---------- {name.upper()}".encode(OEM, "replace") + NEWLINE
    return CallResult(0 if hits else 1, header + b"".join(line + NEWLINE for line in hits))


def fc(arguments: Sequence[str], folder: Folder) -> CallResult:
    """fc.exe /b "one" "other": 0 for equal bytes, 1 for different ones, 2 where a file is missing.

    (fc.exe of Wine 8 does nothing and leaves 0 for any two files.)
    """
    if len(arguments) != 3 or arguments[0].lower() != "/b":
        return CallResult(-1, b"FC: Invalid Switch" + NEWLINE)
    try:
        one, other = folder.read(arguments[1]), folder.read(arguments[2])
    except OSError:
        return CallResult(2, error=b"FC: cannot find at least one of the files" + NEWLINE)
    if one == other:
        return CallResult(0, b"FC: no differences encountered" + NEWLINE)
    return CallResult(1, b"FC: the files differ" + NEWLINE)


def whoami(*, elevated: bool, administrator: bool = True) -> Program:
    """whoami.exe /groups in an elevated session (High Mandatory Level) or a plain one (Medium).

    Only the SIDs are the same in every language: S-1-16-12288 is high, S-1-16-8192 medium, S-1-5-32-544 the
    administrators (Microsoft: "Well-known SIDs"). Without elevation an administrator's token is filtered: the group is
    there, "used for deny only".
    """
    level = ("High", "S-1-16-12288") if elevated else ("Medium", "S-1-16-8192")
    by_default = "Mandatory group, Enabled by default, Enabled group"
    owned = f"{by_default}, Group owner" if elevated else "Group used for deny only"
    admins = f"BUILTIN\\Administrators                  Alias            S-1-5-32-544 {owned}\r\n"
    text = (
        "\r\nGROUP INFORMATION\r\n-----------------\r\n\r\n"
        f"Everyone                                Well-known group S-1-1-0      {by_default}\r\n"
        f"{admins if administrator else ''}"
        f"BUILTIN\\Users                           Alias            S-1-5-32-545 {by_default}\r\n"
        f"Mandatory Label\\{level[0]} Mandatory Level    Label            {level[1]}\r\n"
    )

    def answer(arguments: Sequence[str], _folder: Folder) -> CallResult:
        if not arguments:
            return CallResult(0, b"corp\\ca-admin" + NEWLINE)
        if [a.lower() for a in arguments] != ["/groups"]:
            return CallResult(1, error=b"ERROR: Invalid argument/option" + NEWLINE)
        return CallResult(0, text.encode("ascii"))

    return answer


def wevtutil(logs: Mapping[str, bytes]) -> Program:
    """wevtutil.exe epl CHANNEL "path" "/q:query": the events of a channel as the server's log has them.

    The real one writes .evtx, which nobody here can; this one writes the XML of the same events, without regard to
    the query, into the same file. carecover tells the two apart by content.
    """

    def answer(arguments: Sequence[str], folder: Folder) -> CallResult:
        if len(arguments) != 4 or arguments[0] != "epl" or not arguments[3].startswith("/q:*[System["):
            return CallResult(87, error=b"Invalid option." + NEWLINE)
        channel, name = arguments[1], arguments[2]
        if channel not in logs:
            return CallResult(5, error=b"Failed to export log. Access is denied." + NEWLINE)
        if folder.exists(name):
            return CallResult(80, error=b"Failed to export log. The file exists." + NEWLINE)
        try:
            folder.store(name, logs[channel])
        except OSError:
            return CallResult(112, error=b"Failed to export log. There is not enough space on the disk." + NEWLINE)
        return CallResult(0)

    return answer


def reg(export: str, *, cluster: bool = False) -> Program:
    """reg.exe export KEY "path": ``export`` is the text of the .reg file, written as Windows does, in UTF-16.

    reg.exe query HKLM\\Cluster: 0 on a node of a failover cluster (``cluster``), 1 elsewhere, as for every other key.
    """

    def answer(arguments: Sequence[str], folder: Folder) -> CallResult:
        if len(arguments) == 2 and arguments[0] == "query":
            if cluster and arguments[1].lower() == "hklm\\cluster":
                return CallResult(0, NEWLINE + b"HKEY_LOCAL_MACHINE\\Cluster\\Nodes" + NEWLINE)
            text = b"ERROR: The system was unable to find the specified registry key or value."
            return CallResult(1, error=text + NEWLINE)
        if len(arguments) != 3 or arguments[0] != "export" or not arguments[1].startswith("HKLM\\"):
            return CallResult(1, error=b"ERROR: Invalid syntax." + NEWLINE)
        try:
            folder.store(arguments[2], "\ufeff".encode("utf-16-le") + export.encode("utf-16-le"))
        except OSError:
            return CallResult(1, error=b"ERROR: There is not enough space on the disk." + NEWLINE)
        return CallResult(0, b"The operation completed successfully." + NEWLINE)

    return answer


def tzutil(arguments: Sequence[str], _folder: Folder) -> CallResult:
    """tzutil.exe /g: Windows' own name of the time zone, without a line end."""
    if list(arguments) != ["/g"]:
        return CallResult(1, error=b"Invalid argument." + NEWLINE)
    return CallResult(0, b"W. Europe Standard Time")
