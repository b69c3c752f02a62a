"""What a case folder answers for: the files that its journal knows, the heads that lie elsewhere, and who signed.

Everything here compares; nothing is written. ``Case.check`` puts it together with what is computed
anew. Guaranteed to whom, and what is not: docs/custody.md.
"""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from carecover import __version__, keys, stamps, underway
from carecover.errors import PathError, RefusedError, UsageError
from carecover.folder import FORMAT, CaseFolder, hash_file, spelled
from carecover.journal import GENESIS, Entry
from carecover.model import CaseFacts, sha256_hex, utc_text

# A report with all its tables, or a packed bundle.
_MAX_ANCHOR: Final = 1 << 28
_MAX_MEMBERS: Final = 100_000
_MAX_STREAMS: Final = 2_000
_MAX_STREAM: Final = 1 << 20
_DIGEST: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
# How manifests, reports and exports call the head of the journal; a label wins over whatever else looks like one.
_LABELLED: Final = re.compile(rb"journal[-_ ]head[^0-9A-Za-z]{1,30}([0-9a-f]{64})(?![0-9a-f])", re.IGNORECASE)
_PDF: Final = b"%PDF"
_STREAM: Final = re.compile(rb"stream\r?\n")
_TRANSCRIPT: Final = b"@@CR plan "
_WIDE: Final = "@@CR plan ".encode("utf-16-le")
_HEAD: Final = re.compile(r"[0-9a-f]{12,64}", re.ASCII)
_SELF_NAMED: Final = re.compile(
    r"evidence/([0-9a-f]{64})|plans/([0-9a-f]{64})/plan\.json|reports/([0-9a-f]{16})\.[a-z.]{2,12}", re.ASCII
)
# The key of the pseudonyms in editions for outsiders; it never leaves the case.
PSEUDONYMS: Final = "reports/pseudonyms.key"
_LOCKS: Final = (".lock", underway.LOCK, underway.CANCEL)
_ITSELF: Final = ("case.json", "journal.jsonl")
_MAX_NAMED: Final = 10
_BUNDLES: Final = ("export", "pin", "longer")


class Checked(list[str]):
    """What does not fit, in sentences; ``notes`` are sentences about what was held against it and fits."""

    def __init__(self, problems: Iterable[str] = (), notes: Iterable[str] = ()) -> None:
        super().__init__(problems)
        self.notes = list(notes)


@dataclass(frozen=True, slots=True)
class Anchor:
    """Digests that lie outside of the case: heads by name, or everything in a file that looks like a digest."""

    name: str
    heads: tuple[str, ...]
    digests: frozenset[str] = frozenset()
    transcript: bool = False
    stamp: bytes | None = None


# ---------------------------------------------------------------- what the journal vouches for


def vouched(entries: Iterable[Entry]) -> dict[str, tuple[str, str]]:
    """Files of the case that the journal vouches for: name → SHA-256, and what the file is."""
    kept: dict[str, tuple[str, str]] = {}
    for entry in entries:
        said = entry.details
        if entry.act == "sign":
            # The digest is taken over the canonical JSON, which is all that the file holds.
            kept[plan_file(said["digest"])] = (said["digest"], "the plan that was signed")
        elif entry.act == "report" and "copy" not in said:
            kept[report_copy(said["sha256"], ".html")] = (said["sha256"], "the report that was handed out")
        elif entry.act == "stamp":
            kept[said["copy"]] = (said["sha256"], "the time stamp that was kept")
            trusted = said["authority"]
            kept[trusted["copy"]] = (trusted["sha256"], "the certificates under which a time stamp was kept")
        elif entry.act == "pseudonyms":
            kept[said["copy"]] = (said["sha256"], "the key of the pseudonyms")
        elif entry.act == "report":
            kept[said["copy"]] = (said["sha256"], "what was handed out")
        elif entry.act in ("rehearsal", "run"):
            files = said.get("files") or {"outcomes.json": said["outcomes"]}
            kept |= {f"runs/{said['directory']}/{n}": (d, f"what the {entry.act} left") for n, d in files.items()}
        elif entry.act == "run-cut":
            files = said.get("files", {})
            kept |= {f"runs/{said['directory']}/{n}": (d, "what the run had said") for n, d in files.items()}
        elif entry.act == "format":
            kept |= {n: (d, "what lay there when the case became one of format 2") for n, d in said["files"].items()}
        if "torn" in entry.how:
            kept["journal.torn"] = (entry.how["torn"], "the beginning of an act that was interrupted")
    return kept


def unvouched_files(folder: CaseFolder, entries: Sequence[Entry]) -> dict[str, str]:
    """Files of a case of format 1 that its journal does not answer for: name → SHA-256, to be recorded now."""
    known = vouched(entries)
    names = (n for n in folder.files() if n.partition("/")[0] in ("runs", "reports", "plans") and n not in known)
    return {name: hash_file(folder.path / name) for name in names if not (folder.path / name).is_symlink()}


def plan_file(digest: str) -> str:
    """Where the case keeps a plan that was signed."""
    return f"plans/{digest}/plan.json"


def report_copy(sha256: str, suffix: str) -> str:
    """Where the case keeps a copy of what was handed out."""
    return f"reports/{sha256[:16]}{suffix.lower()}"


def head_body(found: Mapping[str, Any], facts: Mapping[str, Any] | None, entries: Sequence[Entry]) -> dict[str, Any]:
    """What case.json has to hold. Before format 2 nothing but itself says when the case was made."""
    known = [e.details["created"] for e in entries if e.act in ("create", "format") and "created" in e.details]
    new = any(entry.how for entry in entries)
    created = known[0] if known else found.get("created")
    # The journal's lines are sorted, case.json is in the order of the fields.
    ordered = None if facts is None else {f.name: facts[f.name] for f in fields(CaseFacts) if f.name in facts}
    return {"format": FORMAT if new else found.get("format"), "created": created, "facts": ordered}


def folder_problems(folder: CaseFolder, entries: Sequence[Entry], decided: int) -> Iterator[str]:
    """Whatever in the folder is not as the journal says: changed, missing, or of nobody's making.

    ``decided`` is how many bytes of decisions.jsonl the journal acknowledges. The evidence itself is not looked at.
    """
    known = vouched(entries)
    for name, (sha256, what) in known.items():
        if not folder.holds(name, sha256):
            yield f"{folder.path / name} is missing or was changed: it is no longer {what}."
    recorded = {f["sha256"] for e in entries if e.act in ("add", "verify") for f in e.details["files"]}
    runs = {e.details["directory"]: e.details for e in entries if e.act in ("rehearsal", "run")}
    strange: list[str] = []
    begun, going = underway.without_end(entries), underway.directory(folder.path, entries)
    # A run that goes on, or was cut off, is told of as a whole.
    open_runs = {None if begun is None else begun.details.get("directory"), None if going is None else going.name}
    for name in folder.files():
        top, _, rest = name.partition("/")
        place = folder.path / name
        if name in known or name in _ITSELF or top == "cache" or (top == "evidence" and rest in recorded):
            continue
        if name in _LOCKS and not place.is_symlink() and place.stat().st_size == 0:
            continue
        if name == "decisions.jsonl":
            if place.stat().st_size > decided:
                yield (
                    f"{place} holds {place.stat().st_size - decided} bytes at its end that no act acknowledges: a "
                    "decision that was interrupted, or that was made by nobody. They do not count, and the next "
                    "decision removes them."
                )
            continue
        if top == "runs" and rest.partition("/")[0] in open_runs:
            continue
        run = runs.get(rest.partition("/")[0]) if top == "runs" else None
        if run is not None and "files" not in run:
            if name.endswith(".log") and not any(folder.holds(name, digest) for digest in run["transcripts"]):
                yield f"{place} was changed: it is no transcript that the journal knows."
            continue
        if not _named_by_content(folder, name):
            strange.append(spelled(name))
    if strange:
        more = f" and {len(strange) - _MAX_NAMED} more" if len(strange) > _MAX_NAMED else ""
        yield (
            f"{', '.join(str(folder.path / name) for name in strange[:_MAX_NAMED])}{more}: no act in the journal made "
            "this. It was put there or changed by something else, or an act was interrupted: look at it, and move it "
            "out of the case."
        )
    for name in folder.damaged_cache():
        yield (
            f"{folder.path / name} is damaged. Nothing is read from it, the evidence is read again: it may be deleted."
        )
    if readable := folder.open_to_others():
        yield (
            f"{folder.path} can be read by others than its owner, and {len(readable) - 1} files in it. Close it: chmod "
            "-R go= on the folder."
        )


def _named_by_content(folder: CaseFolder, name: str) -> bool:
    """True for what an interrupted act has stored under its own digest: harmless, and found when it is needed."""
    match = _SELF_NAMED.fullmatch(name)
    if match is None or (folder.path / name).is_symlink():
        return False
    return hash_file(folder.path / name).startswith(next(group for group in match.groups() if group))


def signature_problems(entries: Iterable[Entry]) -> Iterator[str]:
    """Signatures by key that do not hold."""
    for entry in entries:
        if entry.act == "sign" and by_key(entry) and not keys.signed(entry):
            yield (
                f"The signature of {entry.details['by']} in line {entry.number} of journal.jsonl does not hold under "
                "the key that stands beside it: it was not made for this. It does not count."
            )


def by_key(entry: Entry) -> bool:
    """True where a sign-off claims to be signed with a key."""
    return "public_key" in entry.details or "signature" in entry.details


# ---------------------------------------------------------------- heads that lie elsewhere


def anchor(path: Path) -> Anchor:
    """What a file from outside says of the journal's head: a bundle (folder or ZIP), transcript, report or time stamp.

    Raises PathError where it cannot be read, UsageError where it holds nothing that could be a head.
    """
    place = path / "manifest.json" if path.is_dir() else path
    try:
        with place.open("rb") as stream:
            data = stream.read(_MAX_ANCHOR + 1)
    except (OSError, ValueError) as error:
        raise PathError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or 'it is no path'}.") from None
    if len(data) > _MAX_ANCHOR:
        raise UsageError(f"{path} is too large to be looked through: give the head that it prints, with --head.")
    if stamps.is_stamp(data):
        return Anchor(str(path), (stamps.read(data).imprint,), stamp=data)
    heads: set[str] = set()
    digests: set[str] = set()
    for part in _parts(data):
        heads |= {match.decode("ascii").lower() for match in _LABELLED.findall(part)}
        # A PDF has identifiers that look like digests: of one only the label counts.
        digests |= {match.decode("ascii") for match in _DIGEST.findall(part)} if not data.startswith(_PDF) else heads
    if not digests and not heads:
        raise UsageError(
            f"{path} names no head of a journal that could be read: name a bundle, a transcript, a report or a time "
            "stamp, or give the head that it prints, with --head."
        )
    return Anchor(str(path), tuple(sorted(heads)), frozenset(digests), transcript=_TRANSCRIPT in data or _WIDE in data)


def _parts(data: bytes) -> Iterator[bytes]:
    """The bytes, and those of the members of an archive (a packed bundle, a .docx) or the streams of a PDF."""
    yield data
    if _WIDE in data:
        # A transcript that was saved again as UTF-16: without its zero bytes, ASCII is ASCII.
        yield data.replace(b"\0", b"")
    room = _MAX_ANCHOR
    # What a PDF says of itself is written last.
    for match in list(_STREAM.finditer(data))[-_MAX_STREAMS:] if data.startswith(_PDF) else ():
        with contextlib.suppress(zlib.error):
            part = zlib.decompressobj().decompress(data[match.end() : match.end() + _MAX_STREAM], room)
            room = max(room - len(part), 1)
            yield part
    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist()[:_MAX_MEMBERS]:
                with archive.open(member) as stream:
                    part = stream.read(room)
                room -= len(part)
                yield part
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        return


def anchor_problem(entries: Sequence[Entry], found: Anchor) -> tuple[str | None, str | None]:
    """What does not fit between the journal and one anchor, and what does; one of the two is None."""
    numbers = {GENESIS: 0} | {entry.digest: entry.number for entry in entries}
    known = sorted(numbers[head] for head in found.heads if head in numbers)
    if found.heads and len(known) == len(found.heads):
        return None, f"{found.name}: the journal still has all that it had then, up to act {known[-1]}."
    if found.heads:
        return _cut(found.name), None
    met = [numbers[d] for d in found.digests if d in numbers and d != GENESIS]
    if found.transcript:
        # It knows the plan only: the journal must know that a bundle was made of it.
        met += [e.number for e in entries if e.act in _BUNDLES and e.details["digest"] in found.digests]
    if met:
        return None, f"{found.name}: the journal still has act {max(met)}, which this file knows of."
    return _cut(found.name), None


def head_problem(entries: Sequence[Entry], head: str) -> tuple[str | None, str | None]:
    """The same for a head that a person typed, whole or its first twelve digits; UsageError where it is none."""
    clean = "".join(head.split()).casefold()
    if not _HEAD.fullmatch(clean):
        raise UsageError("The head of a journal is 64 hexadecimal digits, of which the first 12 will do.")
    for entry in reversed(entries):
        if entry.digest.startswith(clean):
            return (
                None,
                f"The head {clean[:12]}…: the journal still has all that it had then, up to act {entry.number}.",
            )
    return _cut(f"The head {clean[:12]}…"), None


def _cut(name: str) -> str:
    return (
        f"{name}: this journal does not hold the head that was printed there. Its end was cut off since, or it was "
        "written anew, or that belongs to another case. Restore the folder from a copy that holds it."
    )


def stamp_problem(found: Anchor, authority: str | Path | None) -> tuple[str | None, str | None]:
    """Whether a time stamp holds under the certificates of its authority."""
    at = utc_text(stamps.read(found.stamp or b"").at)
    if authority is None:
        return f"{found.name} says {at}, but nobody checked who says so: give the authority's certificate.", None
    try:
        signer = stamps.verify(found.stamp or b"", stamps.authority(Path(authority)), authority)
    except RefusedError as error:
        return f"{found.name}: {error}", None
    return None, f"{found.name}: that head existed at {at}; signed with the certificate of {signer}."


# ---------------------------------------------------------------- stamps that the case keeps


def stamp_details(entries: Sequence[Entry], data: bytes, certificates: bytes, named: str | Path) -> dict[str, Any]:
    """What the journal is to say of an answer to one of its own requests, checked with the authority's certificates.

    Raises RefusedError where the answer does not hold, stamps what nobody asked about here, or is kept already.
    """
    sha256 = sha256_hex(data)
    if any(e.act == "stamp-request" and e.details["sha256"] == sha256 for e in entries):
        raise RefusedError("This is the request, no answer: send it to the authority, and hand in what comes back.")
    said, signer = stamps.read(data), stamps.verify(data, certificates, named)
    for entry in entries:
        if entry.act == "stamp" and entry.details["sha256"] == sha256:
            raise RefusedError(f"The case keeps this very time stamp already: act {entry.number} of its journal.")
    asked = [e.number for e in entries if e.act == "stamp-request" and e.details["head"] == said.imprint]
    if not asked:
        number = next((e.number for e in entries if e.digest == said.imprint), None)
        what = "this is no head of this journal" if number is None else f"this is its act {number}"
        raise RefusedError(
            f"The time stamp is of {said.imprint[:12]}…: {what}, and nobody asked about that here. Make the request "
            "from this case (carecover report CASE --output head.tsq), and hand in the answer to that one."
        )
    return {
        "sha256": sha256,
        "copy": report_copy(sha256, ".tsr"),
        "head": said.imprint,
        "request": asked[-1],
        "gen_time": utc_text(said.at),
        "signer": signer,
        "authority": {"sha256": (trusted := sha256_hex(certificates)), "copy": report_copy(trusted, ".pem")},
    }


def stamp_rows(entries: Sequence[Entry]) -> list[dict[str, object]]:
    """Rows of table ``stamps``."""
    numbers = {entry.digest: entry.number for entry in entries}
    return [
        {
            "act": numbers.get(entry.details["head"]),
            "head": entry.details["head"],
            "stamped_at": entry.details["gen_time"],
            "authority": entry.details["signer"],
            "sha256": entry.details["sha256"],
            "by": entry.details.get("by"),
            "kept_at": entry.at,
        }
        for entry in entries
        if entry.act == "stamp"
    ]


def kept_stamp_answers(folder: CaseFolder, entries: Sequence[Entry]) -> Iterator[tuple[str | None, str | None]]:
    """Each kept stamp checked anew under the certificates beside it: what does not fit, or what it proves."""
    for entry in entries:
        if entry.act != "stamp":
            continue
        said, trusted = entry.details, entry.details["authority"]
        place = folder.path / said["copy"]
        if not folder.holds(said["copy"], said["sha256"]) or not folder.holds(trusted["copy"], trusted["sha256"]):
            # The file that was changed is named with all others that were.
            continue
        try:
            data, certificates = place.read_bytes(), (folder.path / trusted["copy"]).read_bytes()
            stamps.verify(data, certificates, folder.path / trusted["copy"])
            read = stamps.read(data)
        except OSError as error:
            yield f"{place} cannot be read ({error.strerror}): it was not checked.", None
        except UsageError as error:
            yield f"{place} is as it was kept, but was not checked: {error}", None
        except RefusedError as error:
            yield f"{place}: {error}", None
        else:
            number = next((e.number for e in entries[: entry.number - 1] if e.digest == read.imprint), None)
            if number is None or (read.imprint, utc_text(read.at)) != (said["head"], said["gen_time"]):
                told = f"{place} stamps {read.imprint[:12]}… at {utc_text(read.at)}, and line {entry.number} of "
                told += "journal.jsonl does not follow from that: the journal was written anew. Compare it with a copy."
                yield told, None
            else:
                yield None, stamp_note(said, number)


def stamp_note(said: Mapping[str, Any], number: int) -> str:
    """What a kept stamp proves, in a sentence."""
    return (
        f"{said['copy']}: the journal up to act {number} existed at {said['gen_time']}; signed with the certificate of "
        f"{said['signer']}."
    )


# ---------------------------------------------------------------- what comes out again


def results(entry: Entry) -> list[str]:
    """What an act recorded of its result that follows from the case, and must come out again."""
    names = {"sign": ("digest", "findings"), "result": ("outcomes",)}.get(entry.act, ())
    if entry.act == "report" and "form" in entry.details:
        names = ("document",) if "document" in entry.details else ("sha256",)
    return [name for name in names if name in entry.details]


def not_the_same(entry: Entry, what: str, now: str | None) -> str:
    """The sentence about a result that does not come out again."""
    by = entry.how.get("version") or entry.details.get("version")
    other = "" if by == __version__ else f" It was made by carecover {by}, and this is {__version__}."
    found = f"now it is {now[:12]}…" if now else "now there is none"
    return (
        f"What line {entry.number} of journal.jsonl ({entry.act}) says of the {what} does not come out again from the "
        f"case as it was then: {found}.{other}"
    )
