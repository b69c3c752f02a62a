"""Mailboxes in mbox form: where each mail begins and ends, in every dialect.

There is no mark in an mbox but a line that begins with "From ", and bodies have such lines
too. mboxo and mboxrd write ">From" into bodies, mboxcl2 writes nothing and says in a
Content-Length header how long the body is, and some programs do none of this. So a "From "
line counts where an empty line stands before it or a time in it, and a header follows; and a
Content-Length counts where it leads to such a line or the end. Gmail's own ("From
1844…@xxx"), LF and CRLF, and what stands before the first mail change nothing.
"""

from __future__ import annotations

import hashlib
import mmap
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, pairwise
from typing import Final, NamedTuple, Protocol

from carecover.evidence.alike import Lane
from carecover.evidence.mail import MAX_MAIL_BYTES, leading
from carecover.evidence.mime import MAX_HEADER_BYTES
from carecover.evidence.ordinary import cannot_matter
from carecover.evidence.units import Buffer, Irrelevant, Reader, Rejected, Source, Unit

# A "From " line names a sender and a date; a longer one is prose.
_LINE_AND_HEADER: Final = rb"(?=[^\r\n]{0,1000}\r?\n[!-9;-~]{1,100}[ \t]{0,100}:)"
_HEADER_FOLLOWS: Final = b"From " + _LINE_AND_HEADER
_HEADER_BEHIND = re.compile(_HEADER_FOLLOWS)
# Found by its first bytes, and what must be true of it is looked at there: an empty line before it, or a time in it.
_FROM_LINE = re.compile(
    rb"\nFrom (?:(?<=\n\nFrom )|(?<=\n\r\nFrom )|(?=[^\n]{0,200}\d:\d\d))" + _LINE_AND_HEADER,
)
_ESCAPED = re.compile(rb"\n>(>{0,1000}From )")
_LENGTH = re.compile(rb"(?i)\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r?\n")
_NEXT_MAIL = re.compile(rb"(?:\r?\n){0,2}(?:\Z|" + _HEADER_FOLLOWS + rb")")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
# What is read at once, and of a mapped file before it is let go; a mail of any size may lie over the edge.
_WINDOW: Final = 4 * 1024 * 1024
_NOTHING: Final = (Irrelevant(),)
# Where the end of a mail is looked for first.
_TAIL: Final = 64
# More than a "From " line and the header name behind it are long.
_OVERLAP: Final = 4096
# What decides whether a "From " line begins a mail stands within so many bytes.
_LOOKED_AT: Final = 1300
# More than stands before the blank of such a line, or of an escaped one.
_BACK: Final = 1010
# No blank for so long, and it is base64; what is looked at until that is asked again, at least and at most.
_FAR: Final = 256
_STEPS: Final = (2048, 32 * 1024)


def looks_like_mbox(head: bytes) -> bool:
    """True where a file begins with the "From " line of an mbox."""
    start = head[leading(head) :]
    return _HEADER_BEHIND.match(start) is not None


def _from_lines(data: bytes | bytearray) -> Iterator[int]:
    """Where the lines stand that may begin a mail, but for one at the very start."""
    for start in _found(_FROM_LINE, data):
        yield start + 1


def _found(lines: re.Pattern[bytes], data: bytes | bytearray) -> Iterator[int]:
    """Where these lines stand, each with the line end before it.

    They have a blank and base64 has none: the next blank is found many times faster than any line.
    """
    at, size, step = 0, len(data), _STEPS[0]
    while (blank := data.find(b" ", at)) >= 0:
        if blank - at > _FAR:
            at, step = max(at, blank - _BACK), _STEPS[0] if blank - at > _STEPS[0] else step
        stop = at + step
        found = [match.start() for match in lines.finditer(data, at, min(size, stop + _LOOKED_AT))]
        while found and found[-1] >= stop:
            found.pop()
        yield from found
        at, step = stop, min(2 * step, _STEPS[1])


def mail_starts(data: bytes, skip: int, *, by_length: bool, whole: bool = True) -> Iterator[int]:
    """Where the mails of an mbox begin, the first at ``skip``.

    ``by_length`` says that Content-Length headers are there to be believed where they fit. Where
    ``data`` is not the ``whole``, the last place is the first that more bytes may change.
    """
    yield skip
    if not by_length:
        yield from (at for at in _from_lines(data) if at > skip)
        return
    until = _length_ends(data, skip, whole=whole)
    for at in _from_lines(data):
        if at <= skip or at < until:
            continue
        yield at
        until = _length_ends(data, at, whole=whole)


def _length_ends(data: bytes, start: int, *, whole: bool) -> int:
    """Up to where no other mail can begin by the Content-Length of the mail at ``start``; 0 where it has none."""
    blank = _BLANK_LINE.search(data, start, start + MAX_HEADER_BYTES)
    if blank is None:
        return 0
    stated = _LENGTH.search(data, start, blank.start() + 2)
    if stated is None or int(stated[1]) > MAX_MAIL_BYTES:
        return 0
    end = blank.end() + int(stated[1])
    if not whole and end + _OVERLAP > len(data):
        return len(data) + 1
    if end > len(data):
        return 0
    return end if _NEXT_MAIL.match(data, end) else 0


def split_mbox(data: Buffer) -> Iterator[tuple[int, int]]:
    """Start and end of every mail in an mbox."""
    return pairwise(chain(_starts(data), (len(data),)))


def _starts(data: Buffer) -> Iterator[int]:
    for window in _windows(_File(data, 0, len(data))):
        yield from (window.base + at for at in window.bounds[:-1])


def _has_lengths(head: bytes) -> bool:
    return _LENGTH.search(head) is not None


class _Feed(Protocol):
    """Where the bytes of a mailbox come from."""

    def window(self, at: int, held: bytes, size: int) -> bytes:
        """So many bytes that stand ``at`` a place, of which those ``held`` are there; fewer where these are all."""

    def pieces(self, at: int) -> Iterator[bytes]:
        """What follows behind the last window, which ended ``at`` a place."""


class _File:
    """A range of a file; what was read of a mapped one is let go."""

    def __init__(self, data: Buffer, start: int, end: int) -> None:
        self._data, self._end, self._gone = data, end, start

    def window(self, at: int, held: bytes, size: int) -> bytes:
        """The bytes as they are there."""
        del held
        self._let_go(at)
        return self._data[at : min(self._end, at + size)]

    def pieces(self, at: int) -> Iterator[bytes]:
        """The rest, piece by piece."""
        for start in range(at, self._end, _WINDOW):
            self._let_go(start)
            yield self._data[start : min(self._end, start + _WINDOW)]

    def _let_go(self, until: int) -> None:
        if until - self._gone >= _WINDOW:
            self._gone = let_go(self._data, self._gone, until)


class _Stream:
    """Bytes that come once, by the piece."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def window(self, at: int, held: bytes, size: int) -> bytes:
        """What is held, and as many pieces as are needed."""
        del at
        parts, length = [held], len(held)
        while length < size and (piece := next(self._pieces, None)) is not None:
            parts.append(piece)
            length += len(piece)
        return b"".join(parts)

    def pieces(self, at: int) -> Iterator[bytes]:
        """The rest."""
        del at
        return self._pieces


class _Window(NamedTuple):
    """A piece of a mailbox: where it stands, its bytes, and where in them mails begin, with the end of the last.

    Or a single mail that is longer than any may be: its reject.
    """

    base: int
    data: bytes
    bounds: list[int]
    passed: Rejected | None = None


def _windows(feed: _Feed, base: int = 0, *, by_length: bool | None = None) -> Iterator[_Window]:
    """A mailbox that begins at ``base``, by the window; where ``by_length`` is not said, its first header says it."""
    held, size, skip = b"", max(_WINDOW, MAX_HEADER_BYTES), 0
    while True:
        data = feed.window(base, held, size)
        over = len(data) < size
        if by_length is None:
            by_length = _has_lengths(data[:MAX_HEADER_BYTES])
            skip = leading(data[:MAX_HEADER_BYTES])
        starts = list(mail_starts(data, skip, by_length=by_length, whole=over))
        if over:
            yield _Window(base, data, [*starts, len(data)])
            return
        if len(starts) > 1:
            yield _Window(base, data, starts)
        skip = 0
        base += starts[-1]
        held = data[starts[-1] :]
        longest = MAX_MAIL_BYTES + MAX_HEADER_BYTES + _OVERLAP
        if len(held) > longest:
            passed, rest, over = _passed_over(base, bytearray(held), feed.pieces(base + len(held)))
            yield _Window(base, b"", [0, passed.size], passed)
            if over:
                return
            base += passed.size
            held = bytes(rest)
        # A mail of many windows is looked at as a whole, but not again with every window of it.
        size = max(_WINDOW, len(held) + 1, min(2 * len(held), longest + _WINDOW))


def _cuts(source: Source, size: int) -> Iterator[int]:
    """Where mails begin, one for about every ``size`` bytes; finding them costs a fiftieth of reading them."""
    last: int | None = None
    for start in _starts(source.data):
        if last is None or start - last >= size:
            last = start
            yield start


def _read_range(source: Source, start: int, end: int) -> Iterator[Unit]:
    """The units of the mails between two cuts."""
    by_length = _has_lengths(source.head[:MAX_HEADER_BYTES])
    return _units(_windows(_File(source.data, start, end), start, by_length=by_length))


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    return _units(_windows(_File(source.data, 0, source.size)), progress)


def read_stream(pieces: Iterable[bytes]) -> Iterator[Unit]:
    """The units of an mbox that comes piece by piece: those that it has as a file."""
    return _units(_windows(_Stream(pieces)))


def _units(windows: Iterable[_Window], progress: Callable[[int], None] | None = None) -> Iterator[Unit]:
    lane = Lane()
    for base, data, bounds, passed in windows:
        if passed is not None:
            yield from lane.put((passed,), 0)
        else:
            escaped = {bounds[bisect_right(bounds, at) - 1] for at in _found(_ESCAPED, data)}
            yield from lane.read(data, bounds, base, escaped, partial(_otherwise, lane, data, base, escaped))
        if progress is not None:
            progress(base + bounds[-1])
    yield from lane.rest()


def let_go(data: Buffer, start: int, end: int) -> int:
    """Tell the system that what was read of a mapped file is not needed again; up to where it was told.

    Without it a mailbox of ten gigabytes is in memory as a whole where there is room, and is counted as this program's.
    """
    until = end - end % mmap.PAGESIZE
    start -= start % mmap.PAGESIZE
    if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") and until > start:
        data.madvise(mmap.MADV_DONTNEED, start, until - start)
    return until


def _otherwise(lane: Lane, data: bytes, base: int, escaped: Collection[int], start: int, end: int) -> Sequence[Unit]:
    """What is ready when a mail is read that the lane did not hold; ``data`` stands at ``base`` in the mailbox."""
    if end - start > MAX_MAIL_BYTES:
        pieces = (data[at : min(end, at + _WINDOW)] for at in range(start, end, _WINDOW))
        return lane.put((_too_long(base + start, pieces),), 0)
    begin = data.find(b"\n", start, end) + 1 or start
    if start not in escaped and cannot_matter(data, begin, end):
        return lane.put(_NOTHING, 0)
    raw = mail_at(data, begin, end)
    if start in escaped:
        raw = _unescaped(raw)
    if raw.startswith(b"From "):
        raw = raw[raw.find(b"\n") + 1 :] or b"\n"
    return lane.take(raw, base + start, seen=start not in escaped)


def _unescaped(raw: bytes) -> bytes:
    """A mail of which each escaped "From " line has lost the first of its ">"."""
    data = b"\n" + raw
    places = [at + 1 for at in _found(_ESCAPED, data)]
    return b"".join(data[start + 1 : end] for start, end in pairwise((0, *places, len(data))))


def mail_at(data: bytes, begin: int, end: int) -> bytes:
    """The bytes of a mail, copied once; the empty lines behind it are the mailbox's, and one line end is left."""
    tail = data[max(begin, end - _TAIL) : end]
    kept = len(tail.rstrip(b"\r\n"))
    if not kept:
        return data[begin:end].rstrip(b"\r\n") + b"\n"
    stop = end - len(tail) + kept
    return data[begin : stop + 1] if tail[kept : kept + 1] == b"\n" else data[begin:stop] + b"\n"


def _too_long(start: int, pieces: Iterable[bytes]) -> Rejected:
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    reason = f"The mail has more than {MAX_MAIL_BYTES} bytes."
    return Rejected(f"byte {start}", "split", reason, size, digest.hexdigest())


def _passed_over(start: int, held: bytearray, stream: Iterator[bytes]) -> tuple[Rejected, bytearray, bool]:
    """A mail that is longer than any may be: its reject, what was read behind it, and whether that is all."""
    digest, size = hashlib.sha256(), 0
    while True:
        found = next(_from_lines(held), None)
        piece = None if found is not None else next(stream, None)
        keep = found if found is not None else len(held) if piece is None else max(0, len(held) - _OVERLAP)
        digest.update(held[:keep])
        size += keep
        del held[:keep]
        if found is not None or piece is None:
            reason = f"The mail has more than {MAX_MAIL_BYTES} bytes."
            reject = Rejected(f"byte {start}", "split", reason, size, digest.hexdigest())
            return reject, held, not held
        held += piece


READER: Final = Reader(
    "mbox", lambda source: looks_like_mbox(source.head), _read, read_stream, cuts=_cuts, read_range=_read_range
)
