"""The log of a bundle, read by carecover's own markers and by nothing that certutil said.

    @@CR plan <digest>                    a call of the bundle begins, for this plan
    @@CR phase <phase> <option>           what it was called for: prepare, apply, publish, …
    @@CR journal-head <digest>            head of the case's journal when the bundle was written: for custody.anchor
    @@CR <n> <serial> <step> <code>       item n: a step and how it ended, 0 is well
    @@CR crl <round> <code>               certutil -crl ended so
    @@CR end <code> …                     the call ended; without it, it was interrupted
    @@CR <word> …                         anything else that the batch noted
    @@CR simulated                        last line of a log, or of a view, of a CA that is none: made from the evidence

A transcript says what was tried. It never proves anything by itself: whoever can write the
log can write these lines, and certutil's output between them can carry text from requests.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from carecover.errors import EvidenceError
from carecover.model import MAX_SERIAL_DIGITS, sha256_hex

# About 300 bytes a step: room for a plan of 100,000 certificates, run more than once.
MAX_TRANSCRIPT_BYTES: Final = 256 << 20
# Our longest marker has 120 characters; a longer line is certutil's or somebody's play.
MAX_MARKER: Final = 200
# A log begins with a marker; text of certutil's own may stand before it where logs were joined.
_SNIFF_BYTES: Final = 1 << 16

_PLAN: Final = re.compile(r"@@CR plan ([0-9a-f]{64})")
_PHASE: Final = re.compile(r"@@CR phase ([a-z]{1,20})(?: [!-~]{1,80})?")
_STEP: Final = re.compile(
    rf"@@CR ([0-9]{{1,7}}) ([0-9a-f]{{2,{MAX_SERIAL_DIGITS}}}) ([a-z][a-z0-9_-]{{0,31}}) (-?[0-9]{{1,10}})"
)
_CRL: Final = re.compile(r"@@CR crl [0-9]{1,3} (-?[0-9]{1,10})")
_END: Final = re.compile(r"@@CR end (-?[0-9]{1,10})(?: [!-~]{1,80}){0,8}")
_SIMULATED: Final = b"\n@@CR simulated"
_NOTE: Final = re.compile(r"@@CR (?!(?:plan|phase|crl|end) )[a-z][a-z0-9_-]{0,31}(?: [!-~]{1,80}){0,8}")


@dataclass(frozen=True, slots=True)
class Step:
    """One logged step: the item's number in the plan, its serial, the step and its exit code."""

    number: int
    serial: str
    step: str
    code: int

    @property
    def well(self) -> bool:
        """True where the batch ended the item as planned (now, or found it so)."""
        return self.code == 0 and self.step in ("done", "already")


@dataclass(frozen=True, slots=True)
class Run:
    """One call of the bundle: its plan, its phase, its steps in order, and how it ended."""

    digest: str
    phase: str | None = None
    steps: tuple[Step, ...] = ()
    published: bool = False
    """certutil -crl ended well at least once."""
    exit_code: int | None = None
    """None where the call was interrupted."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """One log file: its SHA-256 and the calls it holds, oldest first.

    ``damaged`` counts lines that begin like a marker and are none, or that stand before any
    plan: a torn write, or an edit.
    """

    sha256: str
    runs: tuple[Run, ...]
    damaged: int = 0


@dataclass(slots=True)
class _Open:
    """A run that is still being read."""

    digest: str
    phase: str | None = None
    steps: list[Step] = field(default_factory=list)
    published: bool = False
    exit_code: int | None = None

    def closed(self) -> Run:
        return Run(self.digest, self.phase, tuple(self.steps), self.published, self.exit_code)


def is_transcript(data: bytes) -> bool:
    """True where the first bytes of a file hold a marker that names a plan."""
    return any(_PLAN.fullmatch(line) for line in _marker_lines(data[:_SNIFF_BYTES]))


def is_simulated(end: bytes) -> bool:
    """True where a log or a view ends with the words of a simulated CA; ``end`` are its last bytes, 64 or more.

    The last line only: a request may carry any words into what certutil prints, but none behind the batch's own.
    """
    return end.replace(b"\0", b"").rstrip().endswith(_SIMULATED)


def read_transcript(data: bytes) -> Transcript:
    """Read a log as the batch appended it, in whatever encoding Windows left it.

    The markers are ASCII; all around them may be OEM text of any code page, or the file
    may have been saved again as UTF-16. Raises EvidenceError where the file is larger than
    MAX_TRANSCRIPT_BYTES or names no plan.
    """
    if len(data) > MAX_TRANSCRIPT_BYTES:
        raise EvidenceError(
            f"The transcript has more than {MAX_TRANSCRIPT_BYTES:,} bytes and was not read. "
            "Hand in the log files of the bundle one by one."
        )
    runs: list[_Open] = []
    run: _Open | None = None
    damaged = 0
    for line in _marker_lines(data):
        if plan := _PLAN.fullmatch(line):
            run = _Open(plan[1])
            runs.append(run)
        elif run is None or line.startswith("@@CR plan"):
            # After a torn plan line nobody knows which plan the next lines belong to.
            run = None
            damaged += 1
        elif step := _STEP.fullmatch(line):
            run.steps.append(Step(int(step[1]), step[2], step[3], int(step[4])))
        elif phase := _PHASE.fullmatch(line):
            run.phase = phase[1]
        elif crl := _CRL.fullmatch(line):
            run.published |= int(crl[1]) == 0
        elif end := _END.fullmatch(line):
            run.exit_code = int(end[1])
        elif not _NOTE.fullmatch(line):
            damaged += 1
    if not runs:
        raise EvidenceError(
            "This is no transcript of a carecover bundle: it has no line '@@CR plan' with the digest of a plan. "
            "Hand in the files of the bundle's folder logs."
        )
    return Transcript(sha256_hex(data), tuple(one.closed() for one in runs), damaged)


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
        # Where the disk was full, a line was cut off, and the next call began behind it in the same line.
        torn, sign, digest = marker.rpartition("@@CR plan ")
        if torn and _PLAN.fullmatch(sign + digest):
            if torn.startswith("@@CR"):
                yield torn[:MAX_MARKER]
            marker = sign + digest
        if marker.startswith("@@CR"):
            yield marker if len(marker) <= MAX_MARKER else marker[:MAX_MARKER] + "…"
