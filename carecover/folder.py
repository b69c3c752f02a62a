"""The case folder on disk, and the files that are handed in. Only ``Case`` uses it.

A case is a folder of plain files that any tool can read:

    case.json                  format number, and the facts of the incident
    journal.jsonl              every act, hash-chained
    evidence/<sha256>          copies of what was handed in, named by content
    decisions.jsonl            one decision a line
    plans/<digest>/            plan.json and the certificates it imports
    runs/<time>/               transcripts, CRLs, outcomes of rehearsals and runs
    reports/                   copies of the reports handed out; time stamps of the journal, and their authorities
    cache/                     tables as Parquet; may be deleted at any time

Every write is atomic (a temporary file, then a rename), and one writer at a time holds the
lock, which the operating system drops with the process. Only their owner can read the files
(POSIX: 0600 and 0700; on Windows they have the rights of the folder that the case lies in).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from carecover.errors import CaseError, PathError, UsageError
from carecover.journal import owner_only, sync_folder
from carecover.model import TABLES, sha256_hex

# 1: records say no more of how an act was done than the version, and not every file of a run is recorded. Such a case
# is read as it is; the first new act records what lies there, and makes it format 2.
FORMAT: Final = 2
_READABLE: Final = (1, 2)
# A copy keeps the case whole; above this a reference with its hash must do, for the disk's sake.
MAX_COPY_BYTES: Final = 1 << 30
# A disk is told of so many files at once, each of which is waited for.
_WAITING_AT_ONCE: Final = 16
# How long a second writer waits: acts take seconds, and a notebook and a shell may share a case.
LOCK_PATIENCE_SECONDS: Final = 20.0
# A folder of single mails is large; a loop through a mistaken mount is larger.
MAX_FILES: Final = 1_000_000
_BLOCK: Final = 1 << 20
_FOLDERS: Final = ("evidence", "plans", "runs", "reports", "cache")
# What a writer that died has left: the file that would have got its name next.
_LEFT: Final = re.compile(r"\..+\.[0-9]{1,10}|\.incoming", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Stored:
    """One file taken into the case: digest, size, and whether a copy is kept."""

    sha256: str
    size: int
    copied: bool


class CaseFolder:
    """Reads and writes the files of one case folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # ------------------------------------------------------------------ case.json

    @staticmethod
    def create(path: Path, body: Mapping[str, Any]) -> CaseFolder:
        """Make a new case folder; raises CaseError where something else is in the way."""
        try:
            # What a making that was interrupted at its very beginning has left is in nobody's way.
            if path.exists() and (not path.is_dir() or any(not _LEFT.fullmatch(p.name) for p in path.iterdir())):
                raise CaseError(f"{path} exists and is no case: name another folder for the case.")
            path.mkdir(parents=True, exist_ok=True)
            # What a case holds is the company's worst week: nobody else's business.
            _close_to_others(path)
            folder = CaseFolder(path)
            # First, so that a folder whose making was interrupted is a case, and can be made again.
            folder.write_json("case.json", {"format": FORMAT, **body})
            for name in _FOLDERS:
                _make_folder(path / name)
        except OSError as error:
            raise PathError(f"{path} cannot be made into a case folder: {error.strerror}.") from None
        return folder

    @staticmethod
    def is_case(path: Path) -> bool:
        """True where the folder holds a case.json."""
        try:
            return (path / "case.json").is_file()
        except OSError as error:
            raise PathError(f"{path} cannot be opened: {error.strerror}.") from None

    def read_head(self) -> dict[str, Any]:
        """The content of case.json; raises CaseError where it is no case of this format."""
        try:
            body = json.loads((self.path / "case.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise PathError(
                f"{self.path} is no case folder: it has no case.json. Make one: carecover init CASE"
            ) from None
        except (OSError, ValueError) as error:
            raise CaseError(
                f"{self.path / 'case.json'} cannot be read ({error}). Restore the folder from a copy."
            ) from None
        # True counts as 1, but is none.
        if not isinstance(body, dict) or body.get("format") not in _READABLE or body["format"] is True:
            raise CaseError(
                f"{self.path / 'case.json'} says no format that this carecover reads, which are "
                f"{' and '.join(map(str, _READABLE))}. Use the version that made the case; where the file was changed, "
                "restore it from a copy."
            )
        return body

    def head_is(self, body: Mapping[str, Any]) -> bool:
        """True where case.json has exactly the bytes that ``body`` gives."""
        return self.holds("case.json", sha256_hex(_pretty(body)))

    # ------------------------------------------------------------------ writing

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the case for one act; raises CaseError when another writer keeps it too long."""
        try:
            lock = os.fdopen(owner_only(str(self.path / ".lock"), os.O_RDWR | os.O_CREAT), "r+b")
        except OSError as error:
            raise CaseError(
                f"{self.path} cannot be written ({error.strerror}): nothing was changed. Make it writable, or work "
                "on a copy of it."
            ) from None
        try:
            deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
            while not try_lock(lock):
                if time.monotonic() > deadline:
                    raise CaseError(
                        f"{self.path} is in use: another notebook or command is writing to it. Close it, or wait and "
                        "try again; nothing was changed."
                    )
                time.sleep(0.05)
            self._sweep()
            yield
        finally:
            lock.close()

    def write(self, name: str, data: bytes) -> Path:
        """Write one file of the case atomically: whole or not at all."""
        target = self.path / name
        try:
            write_atomically(target, data, private=True)
        except OSError as error:
            raise self._unwritable(target, error) from None
        return target

    def take_private(self, place: Path) -> dict[str, str]:
        """Close what was copied into the case to others, have it on disk; file name within ``place`` → SHA-256."""
        found: dict[str, str] = {}
        try:
            with ThreadPoolExecutor(_WAITING_AT_ONCE) as pool:
                for folder, _, names in os.walk(place, topdown=False):
                    paths = [Path(folder, name) for name in sorted(names)]
                    for path, digest in zip(paths, pool.map(_close_and_hash, paths), strict=True):
                        found[spelled(path.relative_to(place).as_posix())] = digest
                    _close_to_others(Path(folder))
                    sync_folder(Path(folder))
            sync_folder(place.parent)
        except OSError as error:
            raise self._unwritable(place, error) from None
        return dict(sorted(found.items()))

    def settle(self) -> None:
        """Have the names of all stored evidence on disk, before the journal speaks of them."""
        try:
            sync_folder(self.path / "evidence")
        except OSError as error:
            raise self._unwritable(self.path / "evidence", error) from None

    def files(self) -> Iterator[str]:
        """Every name in the case that is no folder, in a stable order, relative and with ``/``; links are names too."""
        for folder, folders, names in os.walk(self.path, followlinks=False):
            folders.sort()
            links = [name for name in folders if Path(folder, name).is_symlink()]
            for name in sorted([*names, *links]):
                yield Path(folder, name).relative_to(self.path).as_posix()

    def open_to_others(self) -> list[str]:
        """Names that somebody else than the owner can read (POSIX): none where the folder itself is closed."""
        if os.name != "posix" or not _others(self.path):
            return []
        return [".", *(name for name in self.files() if _others(self.path / name))]

    def _sweep(self) -> None:
        """Delete what writers that died have left half-written; only who holds the lock may call it."""
        for name in ("", "evidence", "plans/*", "runs/*", "reports"):
            for path in self.path.glob(f"{name}/.*" if name else ".*"):
                if _LEFT.fullmatch(path.name) and path.is_file():
                    with contextlib.suppress(OSError):
                        path.unlink()

    def write_json(self, name: str, body: Mapping[str, Any]) -> Path:
        """Write one JSON file of the case, readable for people."""
        return self.write(name, _pretty(body))

    # ------------------------------------------------------------------ evidence

    def store(self, source: Path) -> Stored:
        """Take a file in: hash it, and keep a copy named by its hash unless it is too large.

        Raises PathError where the file cannot be read, CaseError where the case cannot be
        written. Only who holds the lock may call it.
        """
        # One name will do for one writer: what an interrupted one left is written over.
        temporary = self.path / "evidence" / ".incoming"
        digest, size, copied = hashlib.sha256(), 0, _size(source) <= MAX_COPY_BYTES
        if not copied:
            for block in _blocks(source):
                digest.update(block)
                size += len(block)
            return Stored(digest.hexdigest(), size, copied)
        try:
            _make_folder(temporary.parent)
            with open(temporary, "wb", opener=owner_only) as copy:
                for block in _blocks(source):
                    digest.update(block)
                    size += copy.write(block)
                    if size > MAX_COPY_BYTES:
                        raise PathError(f"{source} grows while it is read. Hand in a copy of it.")
                copy.flush()
                os.fsync(copy.fileno())
            target = self.evidence(digest.hexdigest())
            # A copy that was damaged since is healed by handing its file in again.
            if not target.exists() or hash_file(target) != target.name:
                if os.name == "posix":
                    temporary.chmod(0o400)
                temporary.replace(target)
        except OSError as error:
            raise self._unwritable(temporary.parent, error) from None
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        return Stored(target.name, size, copied)

    def evidence(self, sha256: str) -> Path:
        """Where the copy of a piece of evidence lies."""
        return self.path / "evidence" / sha256

    def place_of(self, record: Mapping[str, Any]) -> Path:
        """Where the bytes of a recorded file should lie: as the case's own copy, or where it was handed in.

        A file that was too large to copy may be put beside the copies by hand, under its SHA-256: a case that is
        carried to another machine takes it along so.
        """
        copy = self.evidence(record["sha256"])
        return copy if record["copied"] or copy.is_file() else Path(record["path"])

    def unchanged(self, record: Mapping[str, Any]) -> Path:
        """Where the bytes of a recorded file lie (``path``, ``sha256``, ``copied``).

        Raises CaseError where they are gone, or no longer those that were recorded.
        """
        place = self.place_of(record)
        try:
            found = hash_file(place)
        except OSError as error:
            raise CaseError(
                f"{record['path']} is gone from the case ({place}: {error.strerror}). Hand it in again, or restore the "
                f"case from a copy; a copy of the file itself may be put at {self.evidence(record['sha256'])}."
            ) from None
        if found != record["sha256"]:
            raise CaseError(
                f"{record['path']} was changed since it was handed in ({place}): its SHA-256 is no longer the recorded "
                "one. Hand the file in again as it was; nothing is read from a changed one."
            )
        return place

    def holds(self, name: str, sha256: str) -> bool:
        """True where the case has this file with exactly these bytes."""
        try:
            return hash_file(self.path / name) == sha256
        except OSError:
            return False

    def _unwritable(self, place: Path, error: OSError) -> CaseError:
        return CaseError(
            f"{place} cannot be written ({error.strerror}): what was just asked for was not done. Make room, or make "
            f"{self.path} writable, and try again."
        )

    # ------------------------------------------------------------------ cache

    def damaged_cache(self) -> list[str]:
        """Kept tables whose seal does not hold, by their names in the cache: no reader believes them."""
        damaged = []
        for place in sorted((self.path / "cache").glob("*/")):
            if not (place / "seal.json").exists():
                # Whoever kept it was interrupted: it never counted.
                continue
            try:
                data = (place / "seal.json").read_bytes()
                seal = json.loads(data)
                whole = data == json.dumps(seal).encode("ascii") and {f"{n}.parquet" for n in seal} | {"seal.json"} == {
                    path.name for path in place.iterdir() if not _LEFT.fullmatch(path.name)
                }
                whole = whole and all(hash_file(place / f"{name}.parquet") == sha256 for name, sha256 in seal.items())
            except (OSError, ValueError, TypeError, AttributeError, RecursionError):
                whole = False
            damaged += [] if whole else [f"cache/{place.name}"]
        return damaged

    def load_tables(self, key: str) -> dict[str, pd.DataFrame] | None:
        """Tables kept under ``key``, or None where there are none (or they are damaged)."""
        place = self.path / "cache" / key
        try:
            seal = json.loads((place / "seal.json").read_text(encoding="utf-8"))
            tables = {}
            for name, digest in seal.items():
                data = (place / f"{name}.parquet").read_bytes()
                if sha256_hex(data) != digest or name not in TABLES:
                    return None
                tables[name] = TABLES[name].conform(_lists(name, pq.read_table(pa.BufferReader(data)).to_pandas()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError, pa.ArrowException):
            # A cache is only a cache: whatever is wrong with it, the evidence is read again.
            return None
        return tables

    def keep_tables(self, key: str, tables: Mapping[str, pd.DataFrame]) -> None:
        """Keep tables under ``key``; a full disk only costs the next reader time."""
        place = self.path / "cache" / key
        try:
            seal = {}
            for name, table in tables.items():
                sink = pa.BufferOutputStream()
                pq.write_table(_arrow(name, table), sink, compression="zstd")
                data = sink.getvalue().to_pybytes()
                write_atomically(place / f"{name}.parquet", data, private=True)
                seal[name] = sha256_hex(data)
            write_atomically(place / "seal.json", json.dumps(seal).encode("ascii"), private=True)
        except OSError:
            shutil.rmtree(place, ignore_errors=True)

    def load_lines(self, key: str) -> list[str] | None:
        """Lines of text kept under ``key``, or None where there are none (or they are damaged)."""
        place = self.path / "cache" / key
        try:
            data = (place / "lines.parquet").read_bytes()
            if json.loads((place / "seal.json").read_text(encoding="utf-8")) != {"lines": sha256_hex(data)}:
                return None
            lines = pq.read_table(pa.BufferReader(data)).column("line").to_pylist()
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            return None
        return lines if all(isinstance(line, str) for line in lines) else None

    def keep_lines(self, key: str, lines: Sequence[str]) -> None:
        """Keep lines of text under ``key``; a full disk only costs the next reader time."""
        place = self.path / "cache" / key
        try:
            sink = pa.BufferOutputStream()
            pq.write_table(pa.table({"line": pa.array(lines, pa.string())}), sink, compression="zstd")
            data = sink.getvalue().to_pybytes()
            write_atomically(place / "lines.parquet", data, private=True)
            seal = json.dumps({"lines": sha256_hex(data)}).encode("ascii")
            write_atomically(place / "seal.json", seal, private=True)
        except OSError:
            shutil.rmtree(place, ignore_errors=True)

    def forget_tables(self, *, keep: str) -> None:
        """Drop every kept set of tables but one, so that the cache does not grow with each act."""
        for place in (self.path / "cache").glob("tables-*"):
            if place.name != keep:
                shutil.rmtree(place, ignore_errors=True)

    def forget_lines(self, *, keep: str) -> None:
        """Drop the kept ranges of other versions of the readers: nobody asks for them again.

        ``keep`` is what the names of those that count begin with behind the hash of their file.
        """
        for place in (self.path / "cache").glob("range-*"):
            if not place.name.split("-", 2)[-1].startswith(keep):
                shutil.rmtree(place, ignore_errors=True)


def spelled(path: Path | str) -> str:
    """A path as text that can be written down: bytes that are no Unicode as backslash and digits."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def walk(paths: Iterable[str | Path], case: Path) -> tuple[list[Path], list[str]]:
    """Files below the paths in a stable order, and a sentence for each path that cannot be opened.

    Links inside a folder are not followed. Only regular files are taken: a pipe or a device
    could keep the reader waiting for ever. The case itself, met on the way through a folder
    around it, is no evidence. Raises UsageError for more than ``MAX_FILES``.
    """
    files: list[Path] = []
    unopened: list[str] = []
    own = case.resolve()

    def take(path: Path, mode: int) -> None:
        if stat.S_ISREG(mode):
            files.append(path)
        elif not stat.S_ISLNK(mode):
            unopened.append(f"{path} is neither file nor folder.")
        if len(files) > MAX_FILES:
            raise UsageError(f"{path.parent} and what was before it hold more than {MAX_FILES} files: name fewer.")

    def complain(error: OSError) -> None:
        unopened.append(f"{error.filename} cannot be opened: {error.strerror}.")

    for given in paths:
        path = Path(given).absolute()
        try:
            mode = path.stat().st_mode
            if not stat.S_ISDIR(mode):
                take(path, mode)
                continue
            if path.resolve() == own:
                unopened.append(f"{path} is the case itself, not evidence.")
                continue
            for folder, folders, names in os.walk(path, followlinks=False, onerror=complain):
                folders[:] = sorted(name for name in folders if Path(folder, name).resolve() != own)
                for name in sorted(names):
                    take(Path(folder, name), Path(folder, name).lstat().st_mode)
        except FileNotFoundError as error:
            unopened.append(f"{error.filename} does not exist.")
        except OSError as error:
            unopened.append(f"{error.filename} cannot be opened: {error.strerror}.")
        except ValueError:
            unopened.append(f"{path} is no path: it holds a character that no file name has.")
    return files, unopened


def _size(source: Path) -> int:
    try:
        return source.stat().st_size
    except OSError as error:
        raise PathError(f"{source} cannot be opened: {error.strerror or error}.") from None


def _blocks(source: Path) -> Iterator[bytes]:
    """The file in pieces; raises PathError where it cannot be read, and lets the reader's own errors through."""
    try:
        with source.open("rb") as stream:
            while block := stream.read(_BLOCK):
                yield block
    except OSError as error:
        raise PathError(f"{source} cannot be opened: {error.strerror or error}.") from None


def hash_file(path: Path) -> str:
    """SHA-256 of a file, lower-case hex; raises OSError where it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_atomically(target: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all, also when the machine dies while writing.

    ``private``: only the owner can read it, and the folders that are made for it.
    """
    if private:
        _make_folder(target.parent)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(target, data, private=private)
    # The journal may speak of it next: the name must not be lost where the journal's line is not.
    sync_folder(target.parent)


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write many files, each whole or not at all; all of them are on the disk when this returns.

    What takes long is waiting for the disk, and a disk takes many requests at once: one after the other, a bundle of
    thousands of certificates took minutes.
    """
    folders = dict.fromkeys(target.parent for target in files)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_WAITING_AT_ONCE) as pool:
        list(pool.map(_write_whole, files, files.values()))
    for folder in folders:
        sync_folder(folder)


def _write_whole(target: Path, data: bytes, *, private: bool = False) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(temporary, "wb", opener=owner_only if private else None) as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _make_folder(place: Path) -> None:
    """A folder of the case, and those above it that are missing, closed to others."""
    if not place.is_dir():
        _make_folder(place.parent)
        place.mkdir(mode=0o700, exist_ok=True)
        sync_folder(place.parent)


def _close_and_hash(path: Path) -> str:
    """Close a file to others, have it on disk; its SHA-256."""
    path.chmod(0o600)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
    return hash_file(path)


def _close_to_others(folder: Path) -> None:
    if os.name == "posix":
        folder.chmod(0o700)


def _others(path: Path) -> bool:
    mode = path.lstat().st_mode
    return not stat.S_ISLNK(mode) and bool(mode & 0o077)


def _pretty(body: Mapping[str, Any]) -> bytes:
    """A JSON file of the case, readable for people."""
    return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def _arrow(name: str, table: pd.DataFrame) -> pa.Table:
    kinds = {"text": pa.string(), "integer": pa.int64(), "time": pa.timestamp("us", "UTC"), "flag": pa.bool_()}
    other = {"list": pa.list_(pa.string()), "bytes": pa.binary()}
    schema = pa.schema([(c.name, {**kinds, **other}[c.kind]) for c in TABLES[name].columns])
    return pa.Table.from_pandas(table, schema=schema, preserve_index=False)


def _lists(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Parquet's arrays back to the lists that the schema promises."""
    for column in TABLES[name].columns:
        if column.kind == "list":
            table[column.name] = pd.Series([list(v) if v is not None else [] for v in table[column.name]], dtype=object)
    return table


if sys.platform == "win32":
    import msvcrt

    def try_lock(stream: IO[bytes], *, shared: bool = False) -> bool:
        """Lock an open file for this process, until it is closed; False where another has it (none is shared here)."""
        del shared
        stream.seek(0)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(stream: IO[bytes], *, shared: bool = False) -> bool:
        """Lock an open file for this process, until it is closed; False where another holds it."""
        try:
            fcntl.flock(stream.fileno(), (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
