"""The append-only, hash-chained record of every act on a case.

One line of canonical JSON an act. Each line carries the SHA-256 of what it says, and that
of the line before it, so damage shows at its line, and an edit, a removal or a reordering at
the first line after it at the latest. A chain cannot show that its tail was cut off or made
anew: the head is therefore printed in every bundle and report, where the case folder's
keeper cannot reach it (``carecover check CASE --against FILE``).
"""

from __future__ import annotations

import contextlib
import getpass
import io
import json
import os
import platform
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final

from carecover import __version__
from carecover.errors import CaseError, UsageError
from carecover.model import canonical_json, sha256_hex, utc_text

GENESIS: Final = "0" * 64
# The largest record names every file of a bundle of 20,000 certificates; a longer line is damage, not a record.
MAX_LINE: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Entry:
    """One act: number from 1, the act itself, and the digests of this record and of the one before.

    ``at`` is UTC. ``how`` says by which version, command, account and machine, and that machine's offset from
    UTC; records of format 1 have none of it but the version, among their details.
    """

    number: int
    at: str
    act: str
    details: Mapping[str, Any]
    previous: str
    digest: str
    how: Mapping[str, str] = field(default_factory=dict)


class Journal:
    """The journal of one case folder; every append is on disk before it returns.

    ``command`` is what every record says of the way in which carecover was called; whoever calls sets it.
    """

    command: ClassVar[str] = "python"

    def __init__(self, path: Path, *, until: int | None = None) -> None:
        """Open the journal at ``path``; a torn last line (a crash while writing) is cut off.

        A torn line was never acknowledged to anybody, so nothing is lost with it; it is
        kept beside the journal for whoever wants to look. ``until``: as it was after the act
        of that number, to read only.
        """
        self._path = path
        self._until = until
        # What was read and checked last, byte for byte: the same bytes are not checked again.
        self._read = b""
        self._known: tuple[Entry, ...] = ()

    def entries(self) -> Iterator[Entry]:
        """Every entry in order, the chain checked; raises CaseError at the first that does not fit.

        The file is read each time. Of its lines those are taken as checked that are, byte for byte, the ones that
        this object checked before.
        """
        known, lines = list(self._known), list[bytes]()
        try:
            with self._opened() as stream:
                if stream.read(len(self._read)) != self._read:
                    stream.seek(0)
                    known = []
                    self.forget()
                for entry, line in self._checked(stream, known[-1] if known else None):
                    known.append(entry)
                    lines.append(line)
        finally:
            # What follows a line that does not fit is never known.
            self._read, self._known = b"".join((self._read, *lines)), tuple(known)
        yield from known

    def forget(self) -> None:
        """Check every line anew when it is next read."""
        self._read, self._known = b"", ()

    def _checked(self, stream: BinaryIO, last: Entry | None) -> Iterator[tuple[Entry, bytes]]:
        """The entries from here on, each with its line; ``last`` is the one before."""
        previous, first = (last.digest, last.number + 1) if last else (GENESIS, 1)
        for number, line in enumerate(self._lines(stream), start=first):
            if self._until is not None and number > self._until:
                return
            try:
                record = json.loads(line)
                entry = Entry(**record)
                # The same record in another spelling (blanks, key order) is an edit too.
                authentic = canonical_json(record) == line and _digest(record) == entry.digest
            except (ValueError, KeyError, TypeError, RecursionError):
                raise CaseError(
                    f"{self._path} line {number} is damaged: it is no journal record. "
                    "The case cannot be trusted from there on; restore the folder from a copy."
                ) from None
            if not authentic:
                raise CaseError(
                    f"{self._path} line {number} is not what was written: the journal was changed or damaged. "
                    "Compare it with a copy, and the head with the one printed in bundles and reports."
                )
            if entry.number != number or entry.previous != previous:
                raise CaseError(
                    f"{self._path} line {number} does not follow from the line before it: the journal was changed. "
                    "Compare it with a copy, and the head with the one printed in bundles and reports."
                )
            previous = entry.digest
            yield entry, line + b"\n"

    @property
    def head(self) -> str:
        """Digest of the last line, or 64 zeros for a new journal; checks the whole chain."""
        entry = self.last()
        return entry.digest if entry else GENESIS

    def last(self) -> Entry | None:
        """The newest act; checks the whole chain."""
        return next(iter(deque(self.entries(), maxlen=1)), None)

    @property
    def torn(self) -> bool:
        """True where the last line has no end: an act that was cut off, or damage."""
        try:
            with self._path.open("rb") as stream:
                if stream.seek(0, os.SEEK_END) == 0:
                    return False
                stream.seek(-1, os.SEEK_END)
                return stream.read(1) != b"\n"
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unreadable(error) from None

    def append(self, act: str, at: datetime, details: Mapping[str, Any]) -> Entry:
        """Write one act to disk (flushed and synced) and return it; what fails leaves the journal as it was."""
        before = self.last()
        number, previous = (before.number + 1, before.digest) if before else (1, GENESIS)
        try:
            torn = self.mend()
            record: dict[str, Any] = {
                "number": number,
                "at": utc_text(at),
                "act": act,
                "details": dict(details),
                "how": {**_how(at), **({"torn": sha256_hex(torn)} if torn else {})},
                "previous": previous,
            }
            record["digest"] = _digest(record)
            line = canonical_json(record)
            if len(line) > MAX_LINE:
                raise CaseError(f"The record of '{act}' is larger than {MAX_LINE} bytes and was not written.")
            self._write(line + b"\n")
        except UnicodeEncodeError:
            raise UsageError(f"What is to be recorded of '{act}' holds characters that are no Unicode text.") from None
        except OSError as error:
            raise CaseError(
                f"{self._path} cannot be written ({error.strerror}). Nothing was done; make room and try again."
            ) from None
        return Entry(**record)

    def mend(self) -> bytes:
        """Cut a torn last line off and return it (empty where there is none).

        Only a line without its end is torn: a crash cannot damage a finished one.
        """
        if not self.torn:
            return b""
        with self._path.open("r+b") as stream:
            data = stream.read()
            torn = data[data.rfind(b"\n") + 1 :]
            aside = self._path.with_suffix(".torn")
            with open(aside, "wb", opener=owner_only) as kept:
                kept.write(torn)
                kept.flush()
                os.fsync(kept.fileno())
            stream.truncate(len(data) - len(torn))
            stream.flush()
            os.fsync(stream.fileno())
        return torn

    def _write(self, data: bytes) -> None:
        """Add to the end, all or nothing: an act that was refused to the user must not stand in the journal."""
        with open(self._path, "ab", buffering=0, opener=owner_only) as stream:
            end = stream.tell()
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[stream.write(rest) or 0 :]
                os.fsync(stream.fileno())
                if end == 0:
                    sync_folder(self._path.parent)
            except OSError:
                with contextlib.suppress(OSError):
                    stream.truncate(end)
                    os.fsync(stream.fileno())
                raise

    def _opened(self) -> BinaryIO:
        """The file, or an empty one where there is none yet."""
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return io.BytesIO()
        except OSError as error:
            raise self._unreadable(error) from None

    def _lines(self, stream: BinaryIO) -> Iterator[bytes]:
        while line := stream.readline(MAX_LINE + 1):
            if not line.endswith(b"\n"):
                if len(line) > MAX_LINE:
                    raise CaseError(f"{self._path} holds a line longer than {MAX_LINE} bytes: it is damaged.")
                # A torn tail: a reader ignores it, the next writer cuts it off.
                return
            yield line[:-1]

    def _unreadable(self, error: OSError) -> CaseError:
        return CaseError(f"{self._path} cannot be read ({error.strerror}). Restore the folder from a copy.")


def owner_only(path: str, flags: int) -> int:
    """Opener of files that nobody but their owner may read (POSIX; Windows has the folder's rights instead)."""
    return os.open(path, flags, 0o600)


def sync_folder(folder: Path) -> None:
    """Have new names in a folder survive a loss of power (Windows has no such call, and needs none)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def preimage(entry: Entry) -> bytes:
    """The bytes whose SHA-256 is the entry's digest."""
    record: dict[str, Any] = {
        "number": entry.number,
        "at": entry.at,
        "act": entry.act,
        "details": entry.details,
        "previous": entry.previous,
    }
    if entry.how:
        record["how"] = entry.how
    return canonical_json(record)


def _how(at: datetime) -> dict[str, str]:
    """By what an act was done; the account is the machine's word, who it was is said by a person."""
    try:
        account = getpass.getuser()
    except (OSError, KeyError, ImportError):
        account = "unknown"
    offset = at.astimezone().strftime("%z")
    shown = {
        "version": __version__,
        "command": Journal.command,
        "account": account,
        "host": platform.node(),
        "offset": f"{offset[:3]}:{offset[3:5]}",
    }
    return {name: text.encode("utf-8", "backslashreplace").decode("utf-8") for name, text in shown.items()}


def _digest(record: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of everything that the record says but this."""
    return sha256_hex(canonical_json({name: value for name, value in record.items() if name != "digest"}))
