"""Bundle folders on disk: written, compared with what was written, run, and read back.

A bundle leaves the case and comes back changed: with dummies, with logs, with a new CRL.
This module is what ``Case`` does with such a folder; what the files mean is decided in
``remediation`` and ``proof``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from carecover import evidence, proof, remediation
from carecover.errors import PathError, RefusedError
from carecover.folder import hash_file, write_atomically
from carecover.model import TABLES, Pin, Plan, sha256_hex, utc_text
from carecover.register import concat

Show = Callable[[str], None]
Phases = tuple[tuple[str, int], ...]

PREPARE: Final = (("prepare.cmd", "GO"),)
# What a run leaves in its folder, and what the case keeps of it.
_KEPT: Final = ("logs", "out", "dummies")
_MAX_NAMED: Final = 10
# Far more than the check of a dummy lets through.
_MAX_DUMMY: Final = 1 << 20


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
    """Shows what a run says, and remembers it."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._said: list[str] = []

    def __call__(self, text: str) -> None:
        self._said.append(text)
        self._show(text)

    @property
    def text(self) -> str:
        """Everything that was said."""
        return "".join(self._said)


def scripts(plan: Plan) -> Sequence[tuple[str, str]]:
    """The calls that carry a pinned bundle out, in order; ``status`` writes the rows down at the end."""
    undo = [("undo.cmd", "apply")] if any(item.action == "unrevoke" for item in plan.items) else []
    seen = [("undo.cmd", "status")] if undo else []
    before, after = ("preflight", "apply"), ("publish", "status")
    return [*(("revoke.cmd", p) for p in before), *undo, *(("revoke.cmd", p) for p in after), *seen]


def run_scripts(backend: remediation.Backend, place: Path, calls: Sequence[tuple[str, str]], show: Show) -> Phases:
    """Run scripts in turn, up to the first that does not end with 0."""
    phases: list[tuple[str, int]] = []
    for script, argument in calls:
        phases.append((f"{script} {argument}", backend.execute(place, script, [argument], show)))
        if phases[-1][1] != 0:
            break
    return tuple(phases)


def keep(place: Path, target: Path, output: str) -> list[Path]:
    """Copy what a run left into the case; return the files that can prove something."""
    target.mkdir(parents=True)
    for name in _KEPT:
        if (place / name).is_dir():
            shutil.copytree(place / name, target / name)
    write_atomically(target / "output.txt", output.encode("utf-8"))
    return [p for name in ("logs", "out") for p in sorted((target / name).rglob("*")) if p.is_file()]


@dataclass(frozen=True)
class Returned:
    """What came back from a CA: transcripts, and the tables of later views and new CRLs."""

    transcripts: tuple[proof.Transcript, ...]
    view: pd.DataFrame | None
    crls: pd.DataFrame
    crl_entries: pd.DataFrame


def read_back(places: Iterable[Path], context: evidence.Context, signers: pd.DataFrame) -> Returned:
    """Read what came back; CRLs count as the CA's only under the certificates in ``signers``."""
    transcripts: list[proof.Transcript] = []
    frames: dict[str, list[pd.DataFrame]] = {"ca_rows": [], "crls": [], "crl_entries": []}
    for place in dict.fromkeys(places):
        with place.open("rb") as stream:
            head = stream.read(proof.MAX_TRANSCRIPT_BYTES + 1)
        if proof.is_transcript(head):
            transcripts.append(proof.read_transcript(head))
            continue
        reading = evidence.read(place, context)
        for name, kept in frames.items():
            if name in reading.tables:
                kept.append(reading.tables[name])
    tables = {name: concat(name, kept) for name, kept in frames.items()}
    crls = evidence.verify_signatures(signers, tables["crls"], ca_name=None)[1]
    view = tables["ca_rows"] if len(tables["ca_rows"]) else None
    return Returned(tuple(transcripts), view, crls, tables["crl_entries"])


# ------------------------------------------------------------------------ files of a bundle


def empty_folder(target: Path) -> Path:
    """A new folder for a bundle; raises RefusedError where anything is in the way."""
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise RefusedError(f"{target} is not empty: the bundle gets a folder of its own. Name a new one.")
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PathError(f"{target} cannot be made: {error.strerror}.") from None
    return target


def write_files(target: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write a bundle's files; raises PathError, naming the folder, where that fails."""
    written = []
    try:
        for name, data in files.items():
            write_atomically(target / name, data)
            written.append(target / name)
    except OSError as error:
        raise PathError(f"{target} cannot be written: {error.strerror}. The bundle is not whole: delete it.") from None
    return written


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


def read_files(place: Path, exported: Sequence[Mapping[str, str]]) -> dict[str, bytes]:
    """The files of an exported bundle, each compared with the SHA-256 that the journal recorded.

    ``exported``: the bundles that were written, file name → SHA-256. The folder is held
    against the one it shares most files with, the newer of two.
    """
    if not exported:
        raise RefusedError(
            f"No bundle was exported for the plan as it is now. First: carecover batch CASE --output {place}"
        )
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


def read_dummies(place: Path) -> dict[str, bytes]:
    """The dummies that prepare.cmd left: file name → bytes (no more of each than tells that it is too large)."""
    dummies = {}
    try:
        for path in sorted((place / "dummies").glob("*.cer")):
            if path.is_file():
                with path.open("rb") as stream:
                    dummies[path.name] = stream.read(_MAX_DUMMY + 1)
    except OSError as error:
        raise PathError(f"{place / 'dummies'} cannot be read: {error.strerror}.") from None
    return dummies


def refuse_problems(pins: Sequence[Pin]) -> None:
    """Raise RefusedError, naming each problem, where a dummy may not be imported."""
    problems = [f"{pin.serial}: {text}" for pin in pins for text in pin.problems]
    if problems:
        more = f" … and {len(problems) - _MAX_NAMED} more." if len(problems) > _MAX_NAMED else ""
        shown = " ".join(problems[:_MAX_NAMED])
        raise RefusedError(f"The dummies may not be imported as they are. {shown}{more}")


def pin_table(pins: Sequence[Pin]) -> pd.DataFrame:
    """One row a dummy, for the person who confirms."""
    rows = [
        {
            "serial": pin.serial,
            "sha256": pin.sha256,
            "not_after": utc_text(pin.not_after),
            "subject": pin.subject,
            "is_ca": pin.is_ca,
            "eku": list(pin.eku),
            "problems": list(pin.problems),
        }
        for pin in pins
    ]
    return pd.DataFrame(rows, columns=["serial", "sha256", "not_after", "subject", "is_ca", "eku", "problems"])


def outcome_rows(path: Path) -> pd.DataFrame | None:
    """Outcomes kept with a run, or None where they are gone."""
    try:
        return TABLES["outcomes"].frame(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
