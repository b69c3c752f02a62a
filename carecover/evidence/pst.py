"""Outlook data files (.pst, .ost) → units, read by libpff in a process of its own.

libpff is a C library that has crashed and hung on damaged files, and takes long for large
folders; so it runs in ``pst_worker``, which is ended when it says nothing for a while. It is an
extra (``pip install 'carecover[pst]'``); without it such a file is told with how to go on. A
password of Outlook's protects nothing but Outlook's window, and is not asked for.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from carecover.evidence.mail import units_of_letter
from carecover.evidence.mime import Letter, TooMuchError, letter_of
from carecover.evidence.msg import Properties, letter_of_properties
from carecover.evidence.ole import MAGIC as OLE_MAGIC
from carecover.evidence.units import Buffer, Reader, Rejected, Source, Unit
from carecover.evidence.unpacking import shown_name

# The worker says something for every 200 items at least; a folder of 250,000 takes minutes to begin.
PATIENCE_SECONDS: Final = 300.0
# One message with all that is attached to it, as JSON; the worker leaves out what is larger.
MAX_LINE: Final = 256 << 20
HOW_TO_INSTALL: Final = (
    "This is an Outlook data file (.pst or .ost). To read it, install libpff: pip install 'carecover[pst]'. Or export "
    "its folders as mbox or .eml, and hand those in."
)
_WORKER: Final = Path(__file__).with_name("pst_worker.py")
_LINES_AHEAD: Final = 16


class _Record(Properties):
    """Properties as the worker tells them."""

    def __init__(self, told: Sequence[Sequence[Any]]) -> None:
        fixed: dict[int, tuple[int, int]] = {}
        self._long: dict[tuple[int, int], bytes] = {}
        for number, kind, value in told:
            data = base64.b64decode(value)
            if kind in (0x0003, 0x0040):
                fixed.setdefault(int(number), (int(kind), int.from_bytes(data[:8], "little")))
            self._long.setdefault((int(number), int(kind)), data)
        super().__init__(fixed)

    def stream(self, property_id: int, kind: int) -> bytes | None:
        return self._long.get((property_id, kind))


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    progress(0)
    if importlib.util.find_spec("pypff") is None:
        yield Rejected.of("byte 0", "open", HOW_TO_INSTALL, source.data)
        return
    number = 0
    for told in _told_by_the_worker(source):
        if "message" in told:
            number += 1
            place = f"{shown_name(str(told.get('folder'))) or 'no folder'}, node {shown_name(str(told.get('id')))}"
            yield from _units(told["message"], place)
        elif "fault" in told:
            reason = f"libpff cannot read it ({shown_name(str(told['fault']))}): the file is damaged here."
            yield Rejected.of(shown_name(str(told.get("place"))) or "byte 0", "parse", reason, b"")
        elif "error" in told:
            reason = (
                f"libpff cannot read the Outlook data file ({shown_name(str(told['error']))}): it is damaged, "
                "encrypted or of a new kind. Export its folders as mbox or .eml, and hand those in."
            )
            yield Rejected.of("byte 0", "open", reason, source.data)
        elif "end" in told:
            reason = (
                f"libpff {told['end']} after {number} messages: those were read, and the rest is missing. Export the "
                "folders as mbox or .eml, and hand those in."
            )
            yield Rejected.of("byte 0", "open", reason, source.data)
    progress(source.size)


def _units(message: Mapping[str, Any], place: str) -> Iterator[Unit]:
    raw = json.dumps(message, sort_keys=True).encode("ascii")
    try:
        letter, faults = _letter(message), list(message["faults"])
    except TooMuchError as error:
        yield Rejected.of(place, "parse", str(error), raw)
        return
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        # A process that hostile bytes may have taken over is believed in nothing.
        yield Rejected.of(place, "parse", "What libpff gave for this message makes no sense: it is damaged.", raw)
        return
    yield from units_of_letter(letter, raw, place)
    for fault in faults:
        reason = f"What is attached cannot be read ({shown_name(str(fault))}): the file is damaged here."
        yield Rejected.of(place, "parse", reason, raw)


def _letter(message: Mapping[str, Any]) -> Letter:
    """A message with the mails in it; the worker bounds how deep they lie."""
    letter = letter_of_properties(_Record(message["properties"]))
    for attached in message["attached"]:
        if "embedded" in attached:
            letter.attached.append(_letter(attached["embedded"]))
            continue
        data = base64.b64decode(attached["file"])
        if data.startswith(OLE_MAGIC):
            letter.files.append(data)
        else:
            letter.attached.append(letter_of(data))
    return letter


def _told_by_the_worker(source: Source) -> Iterator[dict[str, Any]]:
    """What the worker says; at the end ``{"end": …}`` where it did not come to its own."""
    by_path = source.path != Path()
    with subprocess.Popen(
        [sys.executable, "-I", str(_WORKER), str(source.path) if by_path else "-"],
        stdin=subprocess.DEVNULL if by_path else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as worker:
        try:
            lines: queue.Queue[bytes] = queue.Queue(_LINES_AHEAD)
            stop = threading.Event()
            assert worker.stdout is not None  # noqa: S101 - it was asked for
            threading.Thread(target=_listen, args=(worker.stdout, lines, stop), daemon=True).start()
            if worker.stdin is not None:
                threading.Thread(target=_hand_over, args=(worker.stdin, source.data), daemon=True).start()
            yield from _heard(lines, worker)
        finally:
            stop.set()
            worker.kill()


def _heard(lines: queue.Queue[bytes], worker: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    while True:
        try:
            line = lines.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            yield {"end": "hung"}
            return
        if not line:
            yield {"end": f"crashed ({worker.wait()})"}
            return
        try:
            told = json.loads(line) if len(line) < MAX_LINE else None
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            yield {"end": "gave what makes no sense"}
            return
        yield told
        if "all" in told or "error" in told:
            return


def _listen(stream: IO[bytes], lines: queue.Queue[bytes], stop: threading.Event) -> None:
    """Put the worker's lines into the queue, an empty one at the end, as long as somebody takes them."""
    with contextlib.suppress(OSError, ValueError):
        while True:
            line = stream.readline(MAX_LINE)
            while not stop.is_set():
                try:
                    lines.put(line, timeout=0.2)
                    break
                except queue.Full:
                    continue
            if not line or stop.is_set():
                return


def _hand_over(stream: IO[bytes], data: Buffer) -> None:
    with contextlib.suppress(OSError, ValueError), stream:
        stream.write(data)


READER: Final = Reader("pst", lambda source: source.head.startswith(b"!BDN"), _read)
