"""Bundle folders on disk: written, compared with what was written, run, and read back.

A bundle leaves the case and comes back changed: with dummies, with logs, with a new CRL.
This module is what ``Case`` does with such a folder; what the files mean is decided in
``remediation`` and ``proof``.

It is long because all that goes out to the CA and comes back goes through here.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Final

import pandas as pd

from carecover import evidence, proof, remediation
from carecover.errors import EvidenceError, PathError, RefusedError, RunError
from carecover.folder import hash_file, spelled, write_all, write_atomically
from carecover.journal import Entry
from carecover.model import TABLES, Pin, Plan, Reading, canonical_json, sha256_hex, utc_text
from carecover.register import concat
from carecover.underway import OUTPUT

Show = Callable[[str], None]
Phases = tuple[tuple[str, int], ...]

PREPARE: Final = (("prepare.cmd", "GO"),)
LONGER: Final = (("longer.cmd", "GO"),)
# Scripts that use the CA's key, which may open a dialog.
SIGNING: Final = ("prepare.cmd", "longer.cmd")
# Scripts that belong to one form of the bundle only.
_OF_A_STAGE: Final = ("longer.cmd", "revoke.cmd", "undo.cmd")
# A ZIP knows no time before 1980, and the bytes must not depend on when it was made.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_DUMMY_NAME: Final = re.compile(r"dummies/((?:[0-9a-f]{2}){1,20})(?:-longer)?\.cer", re.ASCII)
# What a run leaves in its folder, and what the case keeps of it.
_KEPT: Final = ("logs", "out", "dummies")
_MAX_NAMED: Final = 10
# Far more than the check of a dummy lets through.
_MAX_DUMMY: Final = 1 << 20
# Two files for each of 20,000 certificates, which no batch exceeds, and some more.
_MAX_FILES: Final = 50_000


@dataclass(frozen=True)
class Run:
    """What a rehearsal or a run did.

    ``outcomes`` is the table of that name as the run's own CRL and rows prove it;
    ``output`` what was shown; ``phases`` each script call with its exit code; ``directory``
    the folder within the case that keeps transcripts, CRLs and dummies.
    """

    kind: str
    backend: str
    phases: Phases
    output: str
    outcomes: pd.DataFrame
    directory: Path
    finished: bool

    @property
    def proved(self) -> bool:
        """True where every decision took effect in the CRL that came out."""
        return self.finished and bool((self.outcomes["verdict"] == "proved").all())


class Screen:
    """Shows what a run says, has it in a file before, and remembers it; ``cancel`` is looked at by ``run_scripts``."""

    def __init__(self, show: Show, kept: Path | None = None, cancel: Event | None = None) -> None:
        self._show = show
        self._said: list[str] = []
        self._file = None if kept is None else kept.open("ab", buffering=0)
        self.cancel = cancel or Event()

    def __call__(self, text: str) -> None:
        self._said.append(text)
        if self._file is not None:
            # A full disk must not stop a batch on a CA: all of it is written once more at the end, which tells.
            with contextlib.suppress(OSError):
                self._file.write(_bytes(text))
        self._show(text)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    @property
    def text(self) -> str:
        """Everything that was said."""
        return "".join(self._said)


def scripts(plan: Plan) -> Sequence[tuple[str, str]]:
    """The calls that carry a pinned bundle out, in order; ``status`` writes the rows down at the end."""
    undo = [("undo.cmd", "apply")] if any(item.action == "unrevoke" for item in plan.items) else []
    seen = [("undo.cmd", "status")] if undo else []
    before, after = ("preflight", "backup", "apply"), ("publish", "status")
    return [*(("revoke.cmd", p) for p in before), *undo, *(("revoke.cmd", p) for p in after), *seen]


def run_scripts(backend: remediation.Backend, place: Path, calls: Sequence[tuple[str, str]], show: Screen) -> Phases:
    """Run scripts in turn, each with its words, up to the first that does not end well.

    Raises RunError where it was cancelled; a backend may be cancelled in the middle of a script as well.
    """
    phases: list[tuple[str, int]] = []
    for script, argument in calls:
        if show.cancel.is_set():
            raise RunError(
                f"It was cancelled before {script} {argument}, and what was run before is done. Run the same again: it "
                "asks the CA, and goes on where that stands."
            )
        phases.append((f"{script} {argument}", backend.execute(place, script, argument.split(), show)))
        if not ended_well(*phases[-1]):
            break
    return tuple(phases)


def ended_well(call: str, code: int) -> bool:
    """Whether the next call may follow: after a new CRL it may, also where ``publish`` saw something missing in it.

    An expired certificate may be left out; ``status`` and the proof tell which it was.
    """
    return code == 0 or (code == 1 and call == "revoke.cmd publish")


def keep(place: Path, target: Path, output: str) -> list[Path]:
    """Copy what a run left into the case; return the files that can prove something."""
    target.mkdir(parents=True, exist_ok=True)
    for name in _KEPT:
        if (place / name).is_dir() and not (place / name).is_symlink():
            shutil.copytree(place / name, target / name, ignore=_leading_out)
    write_atomically(target / OUTPUT, _bytes(output))
    return [p for name in ("logs", "out") for p in sorted((target / name).rglob("*")) if p.is_file()]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _leading_out(folder: str, names: Sequence[str]) -> set[str]:
    """Links, pipes and devices in a folder that came back: they lead out of it, or never end."""
    modes = {name: Path(folder, name).lstat().st_mode for name in names}
    return {name for name, mode in modes.items() if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)}


@dataclass(frozen=True)
class Handed:
    """One file that came back, under the name it had; ``url`` is where it was fetched, or which responder said it."""

    place: Path
    name: str
    url: str | None = None
    at: datetime | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Returned:
    """What came back: transcripts, later views, the lists that the CA wrote, and what clients can get.

    ``view`` has each serial number as the last act of ``verify`` shows it; ``view_is_whole`` is
    false where it leaves rows out. ``cdp_crls`` were fetched at distribution points,
    ``responses`` came from responders, and ``fetched`` says where; ``crl_entries`` are those of
    both kinds of lists. ``notes`` are sentences about files that prove nothing; ``unused`` are the
    names of files that are none of all this, of which no sentence speaks.
    """

    transcripts: tuple[proof.Transcript, ...]
    view: pd.DataFrame | None
    view_is_whole: bool
    crls: pd.DataFrame
    crl_entries: pd.DataFrame
    cdp_crls: pd.DataFrame
    responses: pd.DataFrame
    fetched: pd.DataFrame
    notes: tuple[str, ...]
    unused: frozenset[str] = frozenset()


_PROVING: Final = ("crls", "crl_entries", "ocsp_responses")


@dataclass(frozen=True)
class Simulated:
    """A rehearsal, or a run on the simulator: when it ended, and what it is called in a sentence."""

    at: datetime
    told: str
    certain: bool
    """False for a view: until it says so itself, a CA may have written the very same."""


_SOME_SIMULATION: Final = "a rehearsal, or a run on the simulator"
_END: Final = 128
_EMPTY: Final = sha256_hex(b"")


def simulated_files(entries: Iterable[Entry]) -> dict[str, Simulated]:
    """What the simulated CAs of this case left, SHA-256 → the first run that did."""
    found: dict[str, Simulated] = {}
    for entry in entries:
        # Only a CA that was made from the evidence has assumptions.
        if entry.act not in ("rehearsal", "run") or not entry.details.get("assumptions"):
            continue
        at = datetime.fromisoformat(entry.at)
        kind = "the rehearsal" if entry.act == "rehearsal" else "the run on the simulator"
        told = f"{kind} of {at:%Y-%m-%d %H:%M} UTC"
        for name, digest in entry.details.get("files", {}).items():
            if digest != _EMPTY:
                found.setdefault(digest, Simulated(at, told, not name.endswith("view.txt")))
    return found


def simulation_of(
    file: Path, known: Mapping[str, Simulated], sha256: str | None = None, at: datetime | None = None
) -> str | None:
    """Which simulated run a file is of, in words; None where it may be a CA's own, or cannot be read.

    Where it was handed in ``at`` an earlier time, no later run counts. ``sha256`` is its hash, where that is known.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            stream.seek(max(0, size - _END))
            says_so = proof.is_simulated(stream.read(_END))
        # Nothing as large is left by a run; a mailbox is not read once more for this.
        left = known.get(sha256 or hash_file(file)) if known and size <= proof.MAX_TRANSCRIPT_BYTES else None
    except OSError:
        return None
    if left is not None and (at is None or left.at <= at) and (left.certain or says_so):
        return left.told
    return _SOME_SIMULATION if says_so else None


def of_simulations(files: Mapping[str, str]) -> list[str]:
    """A sentence for each simulated run of which files (name → that run) were handed in."""
    named: dict[str, list[str]] = {}
    for name, told in files.items():
        named.setdefault(told, []).append(Path(name).name)
    sentences = []
    for told, names in named.items():
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        sentences.append(
            f"{', '.join(names[:3])}{more}: this is what {told} left, on a simulated CA. It says nothing of your CA, "
            "and nothing of it is used. Hand in what the CA's own folders logs and out hold."
        )
    return sentences


def read_back(
    files: Iterable[Handed], context: evidence.Context, signers: pd.DataFrame, baseline: Collection[str] = (),
    simulated: Mapping[str, Simulated] | None = None,
) -> Returned:  # fmt: skip
    """Read what came back; lists and answers count as the CA's only under the certificates in ``signers``.

    ``baseline`` are the SHA-256 of the baseline's files: handed in once more they are no later view. ``simulated`` are
    files that simulated runs left before (None: what is read is of such a run); they are told, and used for nothing.
    """
    transcripts: list[proof.Transcript] = []
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in (*_PROVING, "cdp_crls")}
    fetched: list[dict[str, object]] = []
    notes: list[str] = []
    unused: set[str] = set()
    seen: set[str] = set()
    views = _Views()
    aside: dict[str, str] = {}
    for file in dict.fromkeys(files):
        if simulated is not None and (left := simulation_of(file.place, simulated, file.sha256, file.at)):
            aside[file.name] = left
            continue
        with file.place.open("rb") as stream:
            head = stream.read(proof.MAX_TRANSCRIPT_BYTES + 1)
        if proof.is_transcript(head):
            try:
                transcripts.append(proof.read_transcript(head))
            except EvidenceError as error:
                notes.append(f"{file.name}: {error}")
            continue
        reading = evidence.read(file.place, context)
        for name in _PROVING:
            # A list that was fetched shows what clients get, not what the CA wrote.
            kept = "cdp_crls" if name == "crls" and file.url is not None else name
            if name in reading.tables:
                table = reading.tables[name]
                # A list that was handed in twice is one list.
                again = table["crl_sha256"].isin(seen) if name == "crl_entries" else pd.Series(False, index=table.index)
                frames[kept].append(table[~again])
        if "ca_rows" in reading.tables and len(reading.tables["ca_rows"]):
            if baseline and hash_file(file.place) in baseline:
                notes.append(f"{file.name} is the baseline itself, from before the work: it is no later view.")
            else:
                views.met(file.at, reading.tables["ca_rows"], reading.tables["views"])
        seen |= set(reading.tables["crls"]["crl_sha256"]) if "crls" in reading.tables else set()
        wrong = _notes(file, reading)
        notes += wrong
        if not wrong and not any(len(reading.tables.get(n, ())) for n in ("ca_rows", "crls", "ocsp_responses")):
            unused.add(file.name)
        if file.url is not None:
            fetched += fetched_rows(file.url, file.at, reading.tables, after_work=True) or [
                {**_nothing(file, reading), "after_work": True}
            ]
    notes += of_simulations(aside)
    view, whole = views.together()
    tables = {name: concat("crls" if name == "cdp_crls" else name, kept) for name, kept in frames.items()}
    lists = (tables[name].drop_duplicates("crl_sha256", ignore_index=True) for name in ("crls", "cdp_crls"))
    crls, cdp_crls = (evidence.verify_signatures(signers, each, ca_name=None)[1] for each in lists)
    return Returned(
        transcripts=tuple(transcripts),
        view=view,
        view_is_whole=whole,
        crls=crls,
        crl_entries=tables["crl_entries"],
        cdp_crls=cdp_crls,
        responses=evidence.verify_responses(signers, tables["ocsp_responses"]),
        fetched=TABLES["fetched"].frame(fetched),
        notes=tuple(notes),
        unused=frozenset(unused),
    )


class _Views:
    """Later views in the order in which they were handed in: what the last one shows of a row is how it is now."""

    def __init__(self) -> None:
        self._acts: list[tuple[datetime | None, list[pd.DataFrame], bool]] = []

    def met(self, at: datetime | None, rows: pd.DataFrame, pages: pd.DataFrame) -> None:
        """One file; those of one act belong together, and may not contradict each other."""
        filtered = pages["restriction"].notna() | (pages["complete"] == False)  # noqa: E712 - NA is no complaint
        whole = not bool(filtered.fillna(value=False).any()) and bool(rows["serial"].notna().any())
        if self._acts and self._acts[-1][0] == at:
            _, parts, known = self._acts[-1]
            self._acts[-1] = (at, [*parts, rows], known or whole)
        else:
            self._acts.append((at, [rows], whole))

    def together(self) -> tuple[pd.DataFrame | None, bool]:
        """All rows, and whether none is left out; None where there is no view."""
        now: pd.DataFrame | None = None
        covered = False
        for _, parts, whole in self._acts:
            rows = concat("ca_rows", parts)
            if now is not None and not whole:
                rows = concat("ca_rows", [now[~now["serial"].isin(rows["serial"].dropna())], rows])
            now, covered = rows, covered or whole
        return now, covered


def fetched_rows(
    url: str, at: datetime | None, tables: Mapping[str, pd.DataFrame], *, after_work: bool
) -> list[dict[str, object]]:
    """Rows of table ``fetched`` for the lists and answers that one file gave."""
    named = {"crl": ("crls", "crl_sha256"), "ocsp": ("ocsp_responses", "response_sha256")}
    return [
        {"url": url, "sha256": str(sha256), "kind": kind, "fetched_at": at, "after_work": after_work}
        for kind, (table, column) in named.items()
        if table in tables
        for sha256 in dict.fromkeys(tables[table][column])
    ]


def _nothing(file: Handed, reading: Reading) -> dict[str, object]:
    """The row for a place that gave out something else than a list or an answer (an error page, say)."""
    kind = "ocsp" if reading.kind == "ocsp" else "crl"
    return {"url": file.url, "sha256": hash_file(file.place), "kind": kind, "fetched_at": file.at}


def _notes(file: Handed, reading: Reading) -> list[str]:
    """What is wrong with a list, an answer or whatever was fetched; the batch's own captures need no word."""
    rejects = reading.tables.get("rejects")
    if file.url is not None and reading.kind == "unknown" and rejects is None:
        return [f"{file.name}: what was fetched there is neither a CRL nor an answer of a responder."]
    with file.place.open("rb") as stream:
        binary = stream.read(1) == b"\x30"
    if rejects is None or not (binary or file.url is not None or reading.kind in ("crl", "ocsp", "certificate")):
        return []
    return [f"{file.name}: {reason}" for reason in list(dict.fromkeys(rejects["reason"]))[:_MAX_NAMED]]


# ------------------------------------------------------------------------ files of a bundle


def empty_folder(target: Path, *, archive: Path | None = None) -> Path:
    """A new folder for a bundle or a kit, and no file at ``archive``; raises RefusedError where something is there."""
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise RefusedError(f"{target} is not empty: what goes to the CA gets a folder of its own. Name a new one.")
        if archive is not None and archive.exists():
            raise RefusedError(f"{archive} is there already, and the bundle is packed into it. Name a new folder.")
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PathError(f"{target} cannot be made: {error.strerror}.") from None
    return target


def write_files(target: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write a bundle's files; raises PathError, naming the folder, where that fails.

    The certificates first, then the others one after the other: no script is there before what it works with.
    """
    placed = {target / name: data for name, data in files.items()}
    try:
        write_all({path: data for path, data in placed.items() if path.parent != target})
        for path, data in placed.items():
            if path.parent == target:
                write_atomically(path, data)
    except OSError as error:
        raise PathError(
            f"{target} cannot be written: {error.strerror}. The bundle is not whole: write it again."
        ) from None
    return list(placed)


def archive_of(place: Path) -> Path:
    """The ZIP file beside a bundle's folder, of the same name."""
    # abspath, as a link keeps the name by which the folder was called.
    named = place if place.name not in ("", "..") else Path(os.path.abspath(place))  # noqa: PTH100
    return named.parent / f"{named.name}.zip"


def pack(files: Mapping[str, bytes], digest: str) -> bytes:
    """A bundle as one ZIP file, in a folder named by its plan: the same files give the same bytes everywhere.

    Stored, not compressed: what a compressor makes of the same bytes depends on its version.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            member = zipfile.ZipInfo(f"carecover-{digest[:12]}/{name}", _EPOCH)
            member.create_system, member.external_attr = 3, 0o100644 << 16
            archive.writestr(member, data)
    return packed.getvalue()


def write_archive(archive: Path, data: bytes) -> Path:
    """Write the packed bundle; raises PathError where that fails."""
    try:
        write_atomically(archive, data)
    except OSError as error:
        raise PathError(f"{archive} cannot be written: {error.strerror}. The folder itself is whole.") from None
    return archive


def check_archive(archive: Path, ours: Collection[str]) -> None:
    """Raise RefusedError where a file lies at ``archive`` that is none of ``ours`` (SHA-256)."""
    try:
        if archive.exists() and hash_file(archive) not in ours:
            raise RefusedError(f"{archive} is no bundle that was packed here, and is not overwritten: move it away.")
    except OSError as error:
        raise PathError(f"{archive} cannot be read: {error.strerror}. Move it away.") from None


def remove_stale(place: Path, files: Collection[str]) -> None:
    """Delete scripts of another form of the bundle: they belong to what the manifest no longer lists."""
    for name in _OF_A_STAGE:
        if name not in files:
            try:
                (place / name).unlink(missing_ok=True)
            except OSError as error:
                raise PathError(f"{place / name} cannot be deleted: {error.strerror}. Delete it; pin again.") from None


def write_kit(target: Path) -> list[Path]:
    """Write the kit that exports evidence from a CA into a new folder; raises RefusedError or PathError."""
    return write_files(empty_folder(target), remediation.collect_kit())


def check_bundle(place: Path, plan: Plan) -> None:
    """Raise unless the folder is a bundle that was made for exactly this plan."""
    try:
        # The SHA-256 of this file is the digest that was signed.
        found = hash_file(place / "plan.json")
    except OSError:
        raise PathError(f"{place} is no bundle: there is no plan.json that could be read.") from None
    if found != plan.digest:
        raise RefusedError(
            f"{place} was made for plan {found[:12]}…, but the signed plan of this case is {plan.digest[:12]}…. "
            "Something was changed after the export: export the bundle again."
        )


def check_known(place: Path, exported: Sequence[Mapping[str, str]]) -> None:
    """Raise unless each file of the folder, its dummies apart, is one that was written for this plan.

    ``exported`` as for ``read_files``. Files of two forms of the bundle may lie together, as an
    interrupted pin leaves them: what is about to be written over them belongs together again.
    """
    known: dict[str, set[str]] = {}
    for files in exported:
        for name, digest in files.items():
            known.setdefault(name, set()).add(digest)
    if not known:
        raise RefusedError(_nothing_exported(place))
    for name, digests in known.items():
        if name.startswith("dummies/"):
            continue
        try:
            found = hash_file(place / name)
        except OSError:
            if all(name in files for files in exported):
                raise RefusedError(f"{place / name} is missing: the bundle is not whole. Export it again.") from None
            continue
        if found not in digests:
            raise RefusedError(
                f"{place / name} was changed since it was exported. Do not run it; export the bundle again."
            )


def _nothing_exported(place: Path) -> str:
    return f"No bundle was exported for the plan as it is now. First: carecover batch CASE --output {place}"


def read_files(place: Path, exported: Sequence[Mapping[str, str]]) -> dict[str, bytes]:
    """The files of an exported bundle, each compared with the SHA-256 that the journal recorded.

    ``exported``: the bundles that were written, file name → SHA-256. The folder is held
    against the one it shares most files with, the newer of two.
    """
    if not exported:
        raise RefusedError(_nothing_exported(place))
    found: dict[str, bytes | None] = {}
    for name in dict.fromkeys(name for files in exported for name in files):
        try:
            found[name] = (place / name).read_bytes()
        except OSError:
            found[name] = None
    digests = {name: sha256_hex(data) for name, data in found.items() if data is not None}
    nearest = max(reversed(exported), key=lambda files: sum(digests.get(n) == d for n, d in files.items()))
    kept: dict[str, bytes] = {}
    for name, digest in nearest.items():
        data = found[name]
        if data is None:
            raise RefusedError(f"{place / name} is missing: the bundle is not whole. Export it again.")
        if digests[name] != digest:
            raise RefusedError(
                f"{place / name} was changed since it was exported. Do not run it; export the bundle again."
            )
        kept[name] = data
    return kept


def take_dummies(place: Path, files: Iterable[tuple[str, bytes]]) -> tuple[list[str], list[str]]:
    """Put dummies that came back into the bundle's folder; return names that are there now, and those left aside.

    Only what is named as our scripts name a dummy, and is no larger than one, is written; a file that is there already
    is never replaced by another. Raises RefusedError before anything is written, PathError where it cannot be.
    """
    folder = place / "dummies"
    wanted: dict[str, bytes] = {}
    aside: list[str] = []
    for given, data in files:
        # Windows does not tell apart what differs in case only.
        name = spelled(Path(given.replace("\\", "/").rpartition("/")[2])).lower()
        if not _DUMMY_NAME.fullmatch(f"dummies/{name}") or not 0 < len(data) <= remediation.MAX_DUMMY:
            aside.append(given)
        elif wanted.setdefault(name, data) != data:
            raise RefusedError(f"There are two different files {name} in what was handed in: which is the CA's?")
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise RefusedError(f"{folder} is no folder of its own: move it away.")
        for name, data in wanted.items():
            if (folder / name).exists() and (folder / name).read_bytes() != data:
                raise RefusedError(
                    f"{folder / name} is there already, and it is another file. It is not replaced: find out which of "
                    "the two the CA made last, and move the other away."
                )
        if new := {folder / name: data for name, data in wanted.items() if not (folder / name).exists()}:
            folder.mkdir(exist_ok=True)
            write_all(new)
    except OSError as error:
        raise PathError(f"{folder} cannot be written: {error.strerror}.") from None
    return sorted(wanted), aside


def read_dummies(place: Path) -> dict[str, bytes]:
    """The dummies that the CA made: file name → bytes, no more of each than tells that it is too large."""
    dummies = {}
    try:
        found = sorted(path for path in (place / "dummies").glob("*.cer") if path.is_file())
        if len(found) > _MAX_FILES:
            raise RefusedError(
                f"{place / 'dummies'} holds {len(found):,} files: these are not the dummies of a bundle."
            )
        for path in found:
            with path.open("rb") as stream:
                dummies[spelled(Path(path.name))] = stream.read(_MAX_DUMMY + 1)
    except OSError as error:
        raise PathError(f"{place / 'dummies'} cannot be read: {error.strerror}.") from None
    return dummies


def refuse_problems(pins: Sequence[Pin], place: Path) -> None:
    """Raise RefusedError, naming each problem and what to do next, where a dummy may not be imported."""
    bad = [pin for pin in pins if pin.problems]
    if not bad:
        return
    # What is wrong with many in the same way is told once.
    early = [pin for pin in bad if pin.ends_early and len(pin.problems) == 1]
    same_of: dict[str, list[str]] = {}
    for pin in bad:
        if pin not in early:
            for text in pin.problems:
                same_of.setdefault(text, []).append(pin.serial)
    problems = [f"{_each(serials)}: {text}" for text, serials in same_of.items()]
    more = f" … and {len(problems) - _MAX_NAMED} more." if len(problems) > _MAX_NAMED else ""
    shown = " ".join(problems[:_MAX_NAMED]) + more
    if any(not_the_cas(pin) for pin in bad):
        shown += f" {OF_A_REHEARSAL}"
    if early:
        same = [pin.serial for pin in early[1:]]
        rest = f" and {len(same) - _MAX_NAMED} more" if len(same) > _MAX_NAMED else ""
        alike = f" The same of {', '.join(same[:_MAX_NAMED])}{rest}." if same else ""
        shown = f"{shown} {early[0].serial}: {early[0].problems[0]}{alike}".strip()
    again = sum(pin.can_be_longer for pin in pins)
    stuck = any(len(pin.problems) == 1 and pin.ends_early and not pin.can_be_longer for pin in pins)
    accept = (
        "the analyst and the reviewer may accept it in writing: carecover waive CASE 'short: why'. Then both sign the "
        "changed plan, write a new bundle, copy the folder dummies of this one into it, and pin there."
    )
    next_step = ""
    if again:
        next_step = (
            f" To give {again} of them a longer life, longer.cmd was written to {place}: carry the bundle to the CA, "
            "call longer.cmd FIRST and then longer.cmd GO, bring the folder dummies back, and pin again. Where that "
            f"fails, {accept} {remediation.KEEP_EXPIRED}"
        )
    elif stuck:
        next_step = (
            " Signing again does not help, but for one case: where the CA's clock was wrong when it signed, delete the "
            f"longer file, pin again, and run the new longer.cmd. Else: {remediation.KEEP_EXPIRED} That decided, "
            f"{accept}"
        )
    raise RefusedError(f"The dummies may not be imported as they are. {shown}{next_step}")


OF_A_REHEARSAL: Final = (
    "A rehearsal makes dummies too, and signs them with a stand-in's key: bring those back that the CA made."
)


def not_the_cas(pin: Pin) -> bool:
    """Whether a file is surely no dummy of this CA: it is no certificate, or another key has signed it."""
    found = {check.name: check.verdict for check in pin.checks}
    return found.get("signature") == "fail" or set(found) == {"serial"}


def _each(serials: Sequence[str]) -> str:
    if len(serials) == 1:
        return serials[0]
    more = f" and {len(serials) - 3:,} more" if len(serials) > 3 else ""
    return f"{len(serials):,} dummies ({', '.join(serials[:3])}{more})"


def take_out(place: Path, names: Collection[str]) -> None:
    """Delete files of the folder dummies; raises PathError where one cannot be."""
    try:
        for path in (place / "dummies").glob("*.cer"):
            if path.name.lower() in names:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise PathError(f"{place / 'dummies'} cannot be changed: {error.strerror}. Delete the files there.") from None


def refuse_simulated(dummies: Iterable[tuple[str, bytes]], known: Mapping[str, Simulated]) -> None:
    """Raise RefusedError where a simulated CA of this case made one of these dummies."""
    met = {name: left.told for name, data in dummies if (left := known.get(sha256_hex(data))) is not None}
    if met:
        name, told = next(iter(met.items()))
        more = f" and {len(met) - 1:,} more" if len(met) > 1 else ""
        raise RefusedError(
            f"{Path(name).name}{more}: the simulated CA of {told} made this, with a stand-in's key. Bring the folder "
            "dummies back from your CA, where prepare.cmd has run."
        )


def refuse_ca(pins: Sequence[Pin], *, taken: bool) -> None:
    """Raise RefusedError where a dummy is a CA certificate and nobody said that it is taken all the same."""
    found = [pin for pin in pins if pin.is_ca]
    if not found or taken:
        return
    foreign = sum(not pin.own_key for pin in found)
    named = ", ".join(pin.serial for pin in found[:_MAX_NAMED])
    more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
    key = f"{foreign} of them have another key than the CA's own" if foreign else "Their key is the CA's own"
    raise RefusedError(
        f"{len(found)} of {len(pins)} dummies are CA certificates: {named}{more}. {key}. {remediation.CA_TRUE} Look at "
        "them (certutil -dump FILE). Whoever pins them knowingly says so: --ca-true. Else delete the files and decide "
        "'leave' for these serial numbers."
    )


def pin_table(pins: Sequence[Pin]) -> pd.DataFrame:
    """One row a dummy, for the person who confirms; the columns are those of ``Case.pin``."""
    rows = [
        {
            "serial": pin.serial,
            "sha256": pin.sha256,
            "not_after": utc_text(pin.not_after),
            "subject": pin.subject,
            "is_ca": pin.is_ca,
            "eku": list(pin.eku),
            "problems": list(pin.problems),
            "file": pin.name,
            "ends_early": pin.ends_early,
            "own_key": pin.own_key,
            "needed_until": utc_text(pin.needed_until),
            "checks": {check.name: (check.verdict, check.why) for check in pin.checks},
        }
        for pin in pins
    ]
    columns = ["serial", "sha256", "not_after", "subject", "is_ca", "eku", "problems", "file", "ends_early", "own_key"]
    return pd.DataFrame(rows, columns=[*columns, "needed_until", "checks"])


def seen(pins: Sequence[Pin]) -> str:
    """One SHA-256 over which files were looked at for which serial number: who confirms confirms these."""
    return sha256_hex(canonical_json({pin.serial: pin.sha256 for pin in pins}))


def dummy_rows(entries: Iterable[Entry]) -> list[dict[str, object]]:
    """Rows of table ``dummies`` as the journal has them, each file once, in the order in which it was met first."""
    rows: dict[str, dict[str, object]] = {}
    for entry in entries:
        details = entry.details
        met = {name: digest for name, digest in details.get("files", {}).items() if name.startswith("dummies/")}
        pinned = set(details.get("pins", {}).values())
        for name, digest in {**met, **details.get("leftovers", {})}.items():
            row = rows.setdefault(digest, {"sha256": digest, "serial": _serial_in(name), "state": "leftover"})
            if row["state"] != "destroyed":
                state = "pinned" if digest in pinned else row["state"]
                row.update(file=name, state=state, by=details["by"], at=datetime.fromisoformat(entry.at))
        for digest in details.get("destroyed", ()):
            rows[digest].update(state="destroyed", by=details["by"], at=datetime.fromisoformat(entry.at))
    return list(rows.values())


def _serial_in(name: str) -> str | None:
    """The serial number by which a file is named; None for a name that no script of ours gives."""
    match = _DUMMY_NAME.fullmatch(name)
    return match[1] if match else None


def outcome_rows(path: Path) -> pd.DataFrame | None:
    """Outcomes kept with a run, or None where they are gone."""
    try:
        return TABLES["outcomes"].frame(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
