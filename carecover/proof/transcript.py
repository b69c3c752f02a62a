"""The log of a bundle, read by carecover's own markers and by nothing that certutil said.

    @@CR plan <digest>                    which plan the lines below belong to
    @@CR <n> <serial> <step> <code>       item n: a step and how it ended, 0 is well
    @@CR <word> …                         anything else that the batch noted

A transcript says what was tried. It never proves anything by itself: whoever can write the
log can write these lines, and certutil's output between them can carry text from requests.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from carecover.errors import EvidenceError
from carecover.model import MAX_SERIAL_DIGITS, sha256_hex

# About 300 bytes a step: room for a plan of 100,000 certificates, run more than once.
MAX_TRANSCRIPT: Final = 256 << 20
# Our longest marker has 120 characters; a longer line is certutil's or somebody's play.
MAX_MARKER: Final = 200

_PLAN: Final = re.compile(r"@@CR plan ([0-9a-f]{64})")
_STEP: Final = re.compile(
    rf"@@CR ([0-9]{{1,7}}) ([0-9a-f]{{2,{MAX_SERIAL_DIGITS}}}) ([a-z][a-z0-9_-]{{0,31}}) (-?[0-9]{{1,10}})"
)
_NOTE: Final = re.compile(r"@@CR ([a-z][a-z0-9_-]{0,31})((?: [!-~]{1,80}){0,8})")


@dataclass(frozen=True, slots=True)
class Step:
    """One logged step: the item's number in the plan, its serial, the step and its exit code."""

    digest: str | None
    """The plan named last before this line; None where the log named none."""
    number: int
    serial: str
    step: str
    code: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """One log file: its SHA-256, the plans it names, its steps in order, and its other notes.

    ``damaged`` counts lines that begin like a marker and are none: a torn write, or an edit.
    """

    sha256: str
    digests: tuple[str, ...]
    steps: tuple[Step, ...]
    notes: tuple[tuple[str, str], ...] = ()
    damaged: int = 0


def read_transcript(data: bytes) -> Transcript:
    """Read a log as the batch appended it, in whatever encoding Windows left it.

    The markers are ASCII; all around them may be OEM text of any code page, or the file
    may have been saved again as UTF-16. A log of several runs, even of several plans, is
    read as one. Raises EvidenceError where the file is larger than MAX_TRANSCRIPT or has
    no marker at all.
    """
    if len(data) > MAX_TRANSCRIPT:
        raise EvidenceError(
            f"The transcript has {len(data):,} bytes, more than the {MAX_TRANSCRIPT:,} that are read. "
            "Hand in the log files of the bundle one by one."
        )
    digest: str | None = None
    digests: dict[str, None] = {}
    steps: list[Step] = []
    notes: list[tuple[str, str]] = []
    damaged = 0
    for line in _marker_lines(data):
        if plan := _PLAN.fullmatch(line):
            digest = plan[1]
            digests[digest] = None
        elif step := _STEP.fullmatch(line):
            steps.append(Step(digest, int(step[1]), step[2], step[3], int(step[4])))
        elif note := _NOTE.fullmatch(line):
            notes.append((note[1], note[2].strip()))
        else:
            damaged += 1
    if not (digests or steps or notes):
        raise EvidenceError(
            "This is no transcript of a carecover bundle: it has no line that begins with '@@CR'. "
            "Hand in the files of the bundle's folder logs."
        )
    return Transcript(sha256_hex(data), tuple(digests), tuple(steps), tuple(notes), damaged)


def _marker_lines(data: bytes) -> Iterator[str]:
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        text = data.decode("utf-16", "replace")
    else:
        # Without its zero bytes, ASCII in UTF-16 is ASCII: a log to which cmd.exe /U or
        # PowerShell appended part-way is read as well.
        text = data.replace(b"\0", b"").decode("ascii", "replace")
    for line in re.split(r"[\r\n]+", text):
        # `echo text >>file` leaves the blank before the sign in the file.
        marker = line.rstrip(" \t\ufeff\x1a")
        if marker.startswith("@@CR"):
            yield marker if len(marker) <= MAX_MARKER else marker[:MAX_MARKER] + "…"
