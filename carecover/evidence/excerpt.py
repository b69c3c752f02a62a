"""The very place in a file that a row was read from, as it stands there: for people who want to see it.

Nothing is interpreted here. What comes back is bounded text, with every byte that is no text shown as its number; it
is as hostile as the evidence, and whoever shows it must escape it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from carecover.evidence import archives, mbox, unpacking
from carecover.evidence.driver import opened
from carecover.evidence.units import Source

# A notification has a few kilobytes, a row of a view some dozens of lines; more is read in the file itself.
MAX_BYTES: Final = 64 * 1024
MAX_LINES: Final = 120
_MAX_BINARY: Final = 1024
# Where a unit ends is looked for so far; a longer one is cut off anyway.
_WINDOW: Final = 4 * 1024 * 1024

_PLACE: Final = re.compile(r"(?:(?P<member>.*), )?(?P<unit>byte|line) (?P<number>\d{1,15})(?:, .*)?", re.DOTALL)
_ROW: Final = re.compile(r"\s{0,8}\w+ \d+:\s*")
_UTF16: Final = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A place of a file: its text, and whether there is more of it than is shown."""

    text: str
    cut: bool
    binary: bool = False
    """True where the bytes are no text and are shown as numbers."""


def excerpt(path: Path, location: str) -> Excerpt | None:
    """What stands at ``location`` (as tables name it) of a file, at most MAX_BYTES of it.

    None where the place is not told by bytes or lines (a database, a .pst, an event log) or is not there. Raises
    PathError where the file cannot be opened.
    """
    place = _PLACE.fullmatch(location)
    if place is None:
        return None
    look = _at_byte if place["unit"] == "byte" else _at_line
    with opened(path) as source:
        if place["member"] is None:
            return look(source, int(place["number"]))
        data = _member(source, "", place["member"], unpacking.Budget(source.size), 0)
        return None if data is None else look(Source.of(path, data), int(place["number"]))


def _member(source: Source, place: str, wanted: str, budget: unpacking.Budget, depth: int) -> bytes | None:
    """The bytes of a member of an archive, by the name that the driver gives it; bounded as its reading is."""
    kind = archives.archive_kind(source.head)
    if kind is None or depth >= unpacking.MAX_DEPTH:
        return None
    names: dict[str, int] = {}
    for member in archives.members(source, kind, budget, lambda _: None):
        if not isinstance(member, unpacking.Member):
            continue
        number = names[member.name] = names.get(member.name, 0) + 1
        name = member.name if number == 1 else f"{member.name} #{number}"
        where = f"{place}!{name}" if place else name
        here, within = where == wanted, wanted.startswith(f"{where}!")
        held = bytearray()
        for piece in member.content:
            if (here or within) and len(held) < unpacking.MAX_HELD:
                held += piece
        if here:
            return bytes(held)
        if within and (found := _member(Source.of(source.path, bytes(held)), where, wanted, budget, depth + 1)):
            return found
    return None


def _at_byte(source: Source, start: int) -> Excerpt | None:
    if start >= source.size:
        return None
    window = bytes(source.data[start : start + _WINDOW])
    if b"\x00" in window[:MAX_BYTES] or _mostly_binary(window[:_MAX_BINARY]):
        return _numbers(window, more=len(window) > _MAX_BINARY)
    end = len(window)
    if mbox.looks_like_mbox(source.head):
        by_length = b"ontent-" in source.head and b"ength:" in source.head
        end = next(islice(mbox.mail_starts(window, 0, by_length=by_length), 1, None), end)
    cut = end > MAX_BYTES
    return Excerpt(_lines_of(window[: min(end, MAX_BYTES)], "utf-8"), cut)


def _at_line(source: Source, number: int) -> Excerpt | None:
    charset = _UTF16.get(source.head[:2], "utf-8")
    newline = "\n".encode(charset)
    start = _start_of_line(source, number, newline)
    if start is None:
        return None
    lines = _lines_of(bytes(source.data[start : start + MAX_BYTES]), charset).split("\n")
    titles = _lines_of(source.head[:MAX_BYTES], charset).split("\n", 1)[0].lstrip("\ufeff")
    if lines[0].lstrip().startswith('"') or lines[0].count(",") > 2:
        shown = _record(lines)
        shown = [titles, *shown] if number > 1 else shown
    else:
        shown = _paragraph(lines)
    kept = shown[:MAX_LINES]
    return Excerpt("\n".join(kept).rstrip(), len(shown) > len(kept))


def _start_of_line(source: Source, number: int, newline: bytes) -> int | None:
    """Where a line begins, counted from 1; None where the file has fewer."""
    if number < 1:
        return None
    data, at = source.data, 0
    width = len(newline)
    for _ in range(number - 1):
        at = data.find(newline, at)
        # Half of another character may look like it.
        while at >= 0 and at % width:
            at = data.find(newline, at + 1)
        if at < 0:
            return None
        at += width
    return at if at < source.size else None


def _record(lines: list[str]) -> list[str]:
    """A row of a csv: it goes on while a quote is open."""
    taken: list[str] = []
    quotes = 0
    for line in lines:
        taken.append(line)
        quotes += line.count('"')
        if quotes % 2 == 0 or len(taken) > MAX_LINES:
            break
    return taken


def _paragraph(lines: list[str]) -> list[str]:
    """A row of a view or a record, up to the next one."""
    taken = [lines[0]]
    rows = _ROW.fullmatch(lines[0]) is not None
    for line in lines[1:]:
        if (rows and _ROW.fullmatch(line) and not line.startswith("  ")) or (not rows and not line.strip()):
            break
        taken.append(line)
        if len(taken) > MAX_LINES:
            break
    return taken


def _lines_of(data: bytes, charset: str) -> str:
    text = data.decode(charset, "backslashreplace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _mostly_binary(data: bytes) -> bool:
    odd = sum(1 for byte in data if byte < 9 or 13 < byte < 32)
    return odd * 20 > len(data)


def _numbers(data: bytes, *, more: bool) -> Excerpt:
    """Bytes as people look at them: their place, their numbers, and what of them is ASCII."""
    lines = []
    for at in range(0, min(len(data), _MAX_BINARY), 16):
        part = data[at : at + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{at:08x}  {part.hex(' '):<47}  {shown}")
    return Excerpt("\n".join(lines), more, binary=True)
