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
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import Final

from carecover.evidence.alike import Lane
from carecover.evidence.mail import MAX_MAIL_BYTES, leading
from carecover.evidence.mime import MAX_HEADER_BYTES
from carecover.evidence.units import Buffer, Reader, Rejected, Source, Unit

# A "From " line names a sender and a date; a longer one is prose.
_HEADER_FOLLOWS: Final = rb"From (?=[^\r\n]{0,1000}\r?\n[!-9;-~]{1,100}[ \t]*:)"
# Found by its first bytes alone, a hundred times faster than with all that must be true of it.
_CANDIDATE = re.compile(rb"\nFrom ")
_HEADER_BEHIND = re.compile(_HEADER_FOLLOWS)
_WITH_A_TIME = re.compile(rb"From [^\n]{0,200}\d:\d\d")
# The same twice: the one that begins with a line end is found by its first bytes, the other anywhere.
_ESCAPED = re.compile(rb"\n>(>*From )")
_ESCAPED_FROM = re.compile(rb"(?m)^>(>*From )")
_LENGTH = re.compile(rb"(?i)\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r?\n")
_NEXT_MAIL = re.compile(rb"(?:\r?\n){0,2}(?:\Z|" + _HEADER_FOLLOWS + rb")")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
# What is read of a mapped file before it is let go.
_HELD: Final = 64 * 1024 * 1024
# What is read of a stream before it is split; a mail of any size may lie over the edge.
_WINDOW: Final = 8 * 1024 * 1024
# Of a mail of so many bytes one look at all of it is the shortest way.
_SHORT: Final = 8192
# Where the end of a mail is looked for first.
_TAIL: Final = 64
# More than a "From " line and the header name behind it are long.
_OVERLAP: Final = 4096


def looks_like_mbox(head: bytes) -> bool:
    """True where a file begins with the "From " line of an mbox."""
    start = head[leading(head) :]
    return _HEADER_BEHIND.match(start) is not None


def _from_lines(data: Buffer | bytearray) -> Iterator[int]:
    """Where the lines stand that may begin a mail, but for one at the very start."""
    for match in _CANDIDATE.finditer(data):
        at = match.start() + 1
        apart = data[at - 2 : at - 1] == b"\n" or data[max(0, at - 3) : at - 1] == b"\n\r"
        if (apart or _WITH_A_TIME.match(data, at)) and _HEADER_BEHIND.match(data, at):
            yield at


def mail_starts(data: Buffer, skip: int, *, by_length: bool, whole: bool = True) -> Iterator[int]:
    """Where the mails of an mbox begin, the first at ``skip``.

    ``by_length`` says that Content-Length headers are there to be believed where they fit. Where
    ``data`` is not the ``whole``, the last place is the first that more bytes may change.
    """
    yield skip
    until = _length_ends(data, skip, whole=whole) if by_length else 0
    for at in _from_lines(data):
        if at <= skip or at < until:
            continue
        yield at
        if by_length:
            until = _length_ends(data, at, whole=whole)


def _length_ends(data: Buffer, start: int, *, whole: bool) -> int:
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
    head = bytes(data[:MAX_HEADER_BYTES])
    return mail_starts(data, leading(head), by_length=_has_lengths(head))


def _has_lengths(head: bytes) -> bool:
    return _LENGTH.search(head) is not None


def _cuts(source: Source, size: int) -> Iterator[int]:
    """Where mails begin, one for about every ``size`` bytes; finding them costs a fiftieth of reading them."""
    last: int | None = None
    for start in _starts(source.data):
        if last is None or start - last >= size:
            let_go(source.data, last or 0, start)
            last = start
            yield start


def _read_range(source: Source, start: int, end: int) -> Iterator[Unit]:
    """The units of the mails between two cuts."""
    data, lane = bytes(source.data[start:end]), Lane()
    starts = mail_starts(data, 0, by_length=_has_lengths(source.head[:MAX_HEADER_BYTES]))
    for begin, behind in pairwise(chain(starts, (len(data),))):
        yield from _units(lane, data, begin, behind, start)
    yield from lane.rest()


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    lane, gone = Lane(), 0
    for start, end in split_mbox(source.data):
        yield from _units(lane, source.data, start, end, 0)
        progress(end)
        if end - gone > _HELD:
            gone = let_go(source.data, gone, end)
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


def _units(lane: Lane, data: Buffer, start: int, end: int, base: int) -> Sequence[Unit]:
    """What is ready when a mail with its "From " line is read; ``base`` is where ``data`` begins in the mailbox."""
    if end - start > MAX_MAIL_BYTES:
        pieces = (data[at : min(end, at + _WINDOW)] for at in range(start, end, _WINDOW))
        return (*lane.rest(), _too_long(base + start, pieces))
    raw = mail_at(data, data.find(b"\n", start, end) + 1 or start, end)
    # An attachment in base64 has no ">" and mostly stands last: from the end there is a short way to what may have.
    if (len(raw) > _SHORT or b"\n>" in raw) and _ESCAPED.search(raw, 0, raw.rfind(b">") + len(b">From ")):
        raw = _ESCAPED_FROM.sub(rb"\1", raw) if raw.startswith(b">") else _ESCAPED.sub(rb"\n\1", raw)
    if raw.startswith(b"From "):
        raw = raw[raw.find(b"\n") + 1 :] or b"\n"
    return lane.take(raw, base + start)


def mail_at(data: Buffer, begin: int, end: int) -> bytes:
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


def read_stream(pieces: Iterable[bytes]) -> Iterator[Unit]:
    """The units of an mbox that comes piece by piece: those that it has as a file."""
    stream, base, held, over = iter(pieces), 0, bytearray(), False
    by_length: bool | None = None
    lane = Lane()
    while not over:
        want = len(held) + max(_WINDOW, MAX_HEADER_BYTES)
        while len(held) < want and not over:
            piece = next(stream, None)
            held += piece or b""
            over = piece is None
        data = bytes(held)
        if by_length is None:
            by_length = _has_lengths(data[:MAX_HEADER_BYTES])
            skip = leading(data[:MAX_HEADER_BYTES])
        starts = list(mail_starts(data, skip, by_length=by_length, whole=over))
        for start, end in pairwise((*starts, len(data)) if over else starts):
            yield from _units(lane, data, start, end, base)
        if over:
            yield from lane.rest()
            return
        skip = 0
        base += starts[-1]
        held = bytearray(data[starts[-1] :])
        if len(held) > MAX_MAIL_BYTES + MAX_HEADER_BYTES + _OVERLAP:
            reject, held, over = _passed_over(base, held, stream)
            base += reject.size
            yield from lane.rest()
            yield reject


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
