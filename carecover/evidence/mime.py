"""The parts of a mail: an own walk over the bytes, without recursion, bounded in every direction.

Everything is found by position in the raw bytes, outermost first, and nothing is copied before
it is asked for; so the work is linear in the mail's size for each level, and levels, parts,
separators and headers are counted. What a part is called and where it ends is what the
standard library's parser (``compat32``) says, which tests compare; two things go beyond it:
an attached mail may be encoded as base64, and one that is attached as a file is one too.
RFC 2045, 2046, 2231.
"""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from functools import lru_cache
from typing import Final

from carecover.evidence.charsets import header_text

# Real header blocks reach some 30 kB (long Received and ARC chains).
MAX_HEADER_BYTES: Final = 256 * 1024
# Of all parts together; a mail that holds a hundred others has some 3 MB.
MAX_HEADERS_BYTES: Final = 4 * 1024 * 1024
# Parts of one mail, those of attached mails as well.
MAX_PARTS: Final = 1000
# Lines that may separate parts.
MAX_SEPARATOR_LINES: Final = 5000
# Parts in parts: each level is looked through once more.
MAX_NESTING: Final = 50
# A Content-Type of more is made to be slow: the library splits parameters in quadratic time.
MAX_STRUCTURED_HEADER: Final = 8 * 1024
# A header value that may come again in the same words.
_REMEMBERED: Final = 200
# How far several letters are looked for before the first of them is looked for alone again.
_STEP: Final = 2048
# Parts of a mail that is one text in several forms.
_FEW: Final = 4
# Attached mails, decoded, all together: one in another counts twice.
MAX_ATTACHED_BYTES: Final = 256 * 1024 * 1024
# What is looked through for separators, each level again: a large mail of eight levels.
MAX_LOOKED_THROUGH: Final = 512 * 1024 * 1024

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n|\r\r")
# What the library takes for a line of a header block: a name, or a fold; a "From " line at the start.
_HEADER_LIKE = re.compile(rb"[!-9;-~]*[\t ]*")
_MAX_NAME: Final = 100
_CR: Final = 13
_BLANKS: Final = (b" ", b"\t")
_PLAIN_PARAMETER = re.compile(
    rb';[ \t\r\n]*([A-Za-z-]{1,30})[ \t]*=[ \t]*(?:"([^"\\;]*)"|([^\s";*<][^\s";]*))[ \t\r\n]*(?=;|\Z)'
)
_NAMES: Final = ("boundary", "charset", "name", "filename")
# message/delivery-status and its like have the form of mails and are none.
_ATTACHED_MAIL: Final = frozenset({"message/rfc822", "message/global", "message/news"})
_CODINGS: Final = frozenset({"base64", "quoted-printable", "x-uuencode", "uuencode", "uue", "x-uue"})


class TooMuchError(Exception):
    """A sentence about a mail that is over a limit; never leaves the room."""


@dataclass(slots=True)
class Part:
    """A part that holds no others, as it was sent; ``coding`` is its transfer encoding.

    It stands in ``raw`` from ``start`` to ``end``: of an attachment that nobody looks at nothing is copied.
    """

    kind: str
    charset: str
    coding: str
    is_attachment: bool
    raw: bytes
    start: int = 0
    end: int | None = None

    @property
    def size(self) -> int:
        """Bytes as they were sent."""
        return (len(self.raw) if self.end is None else self.end) - self.start

    @property
    def data(self) -> bytes:
        """The bytes as they were sent."""
        return self.raw[self.start : self.end]

    def decoded(self, limit: int | None = None) -> bytes:
        """The bytes without their transfer encoding, of no more than the first ``limit`` as sent.

        What is no such encoding stays as it is.
        """
        end = self.start + self.size
        return without_coding(
            self.raw[self.start : end if limit is None else min(end, self.start + limit)], self.coding
        )


@dataclass(slots=True)
class Letter:
    """A mail: its headers (first of a name, names in lower case), its parts in order, and the mails attached to it.

    ``files`` are attached Outlook messages (.msg), decoded. ``unread`` says what of it cannot be
    read, where that is all that there is.
    """

    headers: dict[bytes, bytes]
    parts: list[Part] = field(default_factory=list)
    attached: list[Letter] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    unread: str | None = None


@dataclass(frozen=True, slots=True)
class _Entity:
    """Bytes that are a mail or a part, and the letter that it belongs to."""

    raw: bytes
    start: int
    end: int
    letter: Letter
    depth: int
    is_mail: bool = False
    default: str = "text/plain"


@dataclass(slots=True)
class Budget:
    """What was looked at of one mail so far."""

    parts: int = 0
    separators: int = 0
    headers: int = 0
    attached: int = 0
    looked: int = 0


def letter_of(raw: bytes, head: tuple[dict[bytes, bytes], int] | None = None) -> Letter:
    """The whole of a mail; raises TooMuchError where it is over a limit.

    ``head`` is what ``head_of`` gave for it, where somebody has looked already.
    """
    counts, whole = Budget(), Letter({})
    waiting = [_Entity(raw, 0, len(raw), whole, 0, is_mail=True)]
    while waiting:
        entity = waiting.pop()
        headers, body = head or head_of(entity.raw, entity.start, entity.end)
        head = None
        _count(counts, body - entity.start, entity.depth)
        if entity.is_mail:
            entity.letter.headers = headers
        waiting.extend(reversed(list(_inside(entity, headers, body, counts))))
    return whole


def _count(counts: Budget, header: int, depth: int) -> None:
    counts.parts += 1
    counts.headers += header
    if header > MAX_HEADER_BYTES:
        raise TooMuchError(f"The mail has a header of more than {MAX_HEADER_BYTES} bytes.")
    if counts.headers > MAX_HEADERS_BYTES:
        raise TooMuchError(f"The mail's parts have headers of more than {MAX_HEADERS_BYTES} bytes.")
    if counts.parts > MAX_PARTS:
        raise TooMuchError(f"The mail has more than {MAX_PARTS} parts.")
    if depth > MAX_NESTING:
        raise TooMuchError(f"The mail has more than {MAX_NESTING} parts inside each other.")


def head_of(raw: bytes, start: int, end: int) -> tuple[dict[bytes, bytes], int]:
    """The headers that count, unfolded, and where the body begins.

    The header ends at an empty line, or before the first line that has no header's form. Of
    several headers of a name the first counts, of Received the last (servers put theirs on top).
    """
    if raw[start : start + 1] in (b"\n", b"\r"):
        first = _LINE_END.match(raw, start, end)
        return {}, first.end() if first else start
    limit = min(end, start + MAX_HEADER_BYTES + 4)
    blank = blank_line(raw, start, limit)
    if blank is None and limit < end:
        return {}, limit
    stop, body = blank or (limit, limit)
    headers: dict[bytes, bytes] = {}
    at, name, value = start, b"", [b""]
    lines = raw[start:stop].splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        if line[:1] in _BLANKS:
            value.append(line.rstrip(b"\r\n"))
        else:
            before, colon, rest = line.partition(b":")
            told = _name_of(before) if colon and len(before) <= _MAX_NAME else None
            of_a_mailbox = line.startswith(b"From ")
            if (told is None and not of_a_mailbox and not (colon and _HEADER_LIKE.fullmatch(before))) or (
                of_a_mailbox and number == len(lines) > 1
            ):
                # A line that is no header's: the body begins without an empty line before it.
                body = at
                break
            _keep(headers, name, value)
            name, value = told or b"", [rest.rstrip(b"\r\n")]
        at += len(line)
    _keep(headers, name, value)
    return headers, body


def _keep(headers: dict[bytes, bytes], name: bytes, value: list[bytes]) -> None:
    if name == b"received" or (name and name not in headers):
        headers[name] = b"".join(value)


def blank_line(raw: bytes, start: int, limit: int) -> tuple[int, int] | None:
    """Where the empty line behind a header block begins and ends.

    What nearly all mails have is found faster, and is the same where all line ends before it are alike.
    """
    line_end = raw.find(b"\n", start, limit)
    if line_end > start and raw[line_end - 1] == _CR:
        at = raw.find(b"\r\n\r\n", start, limit)
        if at >= 0 and raw.count(b"\n", start, at) == raw.count(b"\r", start, at) == raw.count(b"\r\n", start, at):
            return at, at + 4
    elif line_end >= 0:
        at = raw.find(b"\n\n", line_end, limit)
        if at >= 0 and raw.find(b"\r", start, at) < 0:
            return at, at + 2
    found = _BLANK_LINE.search(raw, start, limit)
    return None if found is None else found.span()


@lru_cache(maxsize=4096)
def _name_of(text: bytes) -> bytes | None:
    """What stands before a colon as a header's name, which may be empty; None where it is none."""
    return None if _HEADER_LIKE.fullmatch(text) is None else text.rstrip(b" \t").lower()


def _inside(entity: _Entity, headers: Mapping[bytes, bytes], body: int, counts: Budget) -> Iterator[_Entity]:
    """What a part holds: other parts, or an attached mail; a part that holds nothing is put down in its letter."""
    kind, parameters = content_type(headers, entity.default)
    coding = headers.get(b"content-transfer-encoding", b"").strip().lower().decode("ascii", "replace")
    if kind.startswith("multipart/"):
        boundary = parameters("boundary")
        if boundary is not None:
            default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
            for start, end in parts_of(entity.raw, body, entity.end, boundary.rstrip(), counts):
                yield _Entity(entity.raw, start, end, entity.letter, entity.depth + 1, default=default)
        return
    if kind in _ATTACHED_MAIL:
        raw = entity.raw[body : entity.end]
        yield _attached(without_coding(raw, coding) if coding in _CODINGS else raw, entity, counts)
        return
    disposition = headers.get(b"content-disposition", b"")
    name = "" if kind == "text/plain" and not disposition else file_name(disposition, parameters)
    charset = parameters("charset") if kind.startswith("text/") else ""
    part = Part(
        kind,
        "us-ascii" if charset is None else charset,
        coding,
        disposition.split(b";", 1)[0].strip().lower() == b"attachment",
        entity.raw,
        min(body, entity.end),
        entity.end,
    )
    if name.endswith(".eml"):
        yield _attached(part.decoded(), entity, counts)
    elif name.endswith(".msg"):
        entity.letter.files.append(part.decoded())
    elif not kind.startswith("message/"):
        entity.letter.parts.append(part)


def _attached(raw: bytes, entity: _Entity, counts: Budget) -> _Entity:
    counts.attached += len(raw)
    if counts.attached > MAX_ATTACHED_BYTES:
        raise TooMuchError(f"The mails attached to the mail have more than {MAX_ATTACHED_BYTES} bytes.")
    letter = Letter({})
    entity.letter.attached.append(letter)
    return _Entity(raw, 0, len(raw), letter, entity.depth + 1, is_mail=True)


def parts_of(raw: bytes, start: int, end: int, boundary: str, counts: Budget) -> Iterator[tuple[int, int]]:
    """Start and end of each part between the separator lines of a multipart (RFC 2046 5.1)."""
    try:
        separator = b"--" + boundary.encode("latin-1")
    except UnicodeEncodeError:
        return
    counts.looked += end - start
    if counts.looked > MAX_LOOKED_THROUGH:
        raise TooMuchError("The mail is large, and its parts are in each other more often than any program puts them.")
    begin: int | None = None
    at = start
    while (at := _next(raw, separator, at, end)) >= 0:
        counts.separators += 1
        if counts.separators > MAX_SEPARATOR_LINES:
            raise TooMuchError(f"The mail has more than {MAX_SEPARATOR_LINES} lines that may separate parts.")
        behind = at + len(separator)
        last = raw[behind : behind + 2] == b"--"
        if last:
            behind += 2
        while raw[behind : behind + 1] in (b" ", b"\t") and behind < end:
            behind += 1
        line_end = _LINE_END.match(raw, behind, end)
        if (at > start and raw[at - 1 : at] not in (b"\n", b"\r")) or (line_end is None and behind < end):
            at += 1
            continue
        if begin is not None and at > begin:
            yield begin, _before_line_end(raw, begin, at)
        if last and at != begin:
            return
        begin = at = line_end.end() if line_end else end
    if begin is not None:
        yield begin, _before_line_end(raw, begin, end)


def _next(raw: bytes, separator: bytes, at: int, end: int) -> int:
    """What ``find`` gives for a text that begins with "-".

    Base64 has none, and for one letter the memory is searched many times faster than for several.
    """
    while (dash := raw.find(b"-", at, end)) >= 0:
        at = dash + _STEP
        found = raw.find(separator, dash, min(end, at + len(separator)))
        if found >= 0:
            return found
    return -1


def _before_line_end(raw: bytes, begin: int, end: int) -> int:
    """The line end before a separator belongs to the separator."""
    if raw[end - 2 : end] == b"\r\n":
        end -= 2
    elif raw[end - 1 : end] in (b"\n", b"\r"):
        end -= 1
    return max(begin, end)


# ---------------------------------------------------------------------------------- Content-Type


def all_texts(raw: bytes, start: int, end: int, boundary: str) -> list[Part] | None:
    """The parts of a multipart (of a body from ``start`` to ``end``) that holds texts and nothing else; else None.

    What ``letter_of`` finds of it, where no part holds others, is attached or has a name.
    """
    parts: list[Part] = []
    for begin, stop in parts_of(raw, start, end, boundary.rstrip(), Budget()):
        blank = blank_line(raw, begin, min(stop, begin + _REMEMBERED))
        told = None if blank is None or len(parts) >= _FEW else _text_part(raw[begin : blank[0]])
        if told is None or blank is None:
            return None
        parts.append(Part(*told, is_attachment=False, raw=raw, start=min(blank[1], stop), end=stop))
    return parts


@lru_cache(maxsize=1024)
def _text_part(block: bytes) -> tuple[str, str, str] | None:
    """Kind, charset and coding of a part with such headers, where it is a text."""
    headers, body = head_of(block + b"\n\n", 0, len(block) + 2)
    if body != len(block) + 2 or block[:1] in (b"\n", b"\r") or b"content-disposition" in headers:
        return None
    kind, parameters = content_type(headers)
    try:
        charset, name = parameters("charset"), parameters("name")
    except TooMuchError:
        return None
    if kind not in ("text/plain", "text/html") or name is not None:
        return None
    coding = headers.get(b"content-transfer-encoding", b"").strip().lower().decode("ascii", "replace")
    return kind, "us-ascii" if charset is None else charset, coding


class Parameters:
    """The parameters of a header, of which the common forms are read at once and the others by the library."""

    __slots__ = ("_common", "_value")

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._common: dict[str, str] | None = None

    def __call__(self, wanted: str) -> str | None:
        """The value of a parameter, or None."""
        if self._common is None:
            self._common = _parameters(self._value) if len(self._value) < _REMEMBERED else _read_parameters(self._value)
        return self._common.get(wanted)


def _read_parameters(value: bytes) -> dict[str, str]:
    common: dict[str, str] = {}
    at = value.find(b";")
    while at >= 0 and (match := _PLAIN_PARAMETER.match(value, at)):
        found = match[2] if match[2] is not None else match[3]
        common.setdefault(match[1].decode("ascii").lower(), found.decode("latin-1"))
        at = match.end() if match.end() < len(value) else -1
    return _by_the_library(value) if at >= 0 else common


_parameters = lru_cache(maxsize=1024)(_read_parameters)


def _by_the_library(value: bytes) -> dict[str, str]:
    """Parameters in any other form, in more pieces than one, in a charset of their own."""
    if len(value) > MAX_STRUCTURED_HEADER:
        raise TooMuchError(f"The mail has a Content-Type header of more than {MAX_STRUCTURED_HEADER} bytes.")
    message = Message()
    message["content-type"] = value.decode("latin-1")
    found: dict[str, str] = {}
    for name in _NAMES:
        text = message.get_param(name)
        if isinstance(text, str):
            found[name] = text
        elif text is not None:
            # Charset, language and text, by RFC 2231.
            found[name] = str(text[2])
    return found


def content_type(headers: Mapping[bytes, bytes], default: str = "text/plain") -> tuple[str, Parameters]:
    """``text/plain`` and the like, in lower case, and the parameters."""
    value = headers.get(b"content-type")
    if value is None:
        return default, Parameters(b"")
    kind = value.split(b";", 1)[0].strip().lower().decode("latin-1")
    return (kind if kind.count("/") == 1 else "text/plain"), Parameters(value.strip())


def file_name(disposition: bytes, parameters: Parameters) -> str:
    """The end of the name under which a part is attached, in lower case."""
    name = (Parameters(disposition)("filename") if disposition else None) or parameters("name") or ""
    if "=?" in name:
        name = header_text(name.encode("latin-1", "replace"))
    return name.strip().lower()[-8:]


# ------------------------------------------------------------------------------ transfer encodings


def without_coding(data: bytes, coding: str) -> bytes:
    """Bytes without their transfer encoding; what is none of it stays as it is."""
    if coding == "quoted-printable":
        return quopri.decodestring(data)
    if coding == "base64":
        return _base64(b"".join(data.splitlines()))
    if coding in _CODINGS:
        return _uudecoded(data)
    return data


def _base64(data: bytes) -> bytes:
    """What base64 gives, damaged or not; what gives nothing stays as it is."""
    missing = -len(data) % 4
    for text, strict in ((data + b"=" * missing, True), (data, False), (data + b"==", False)):
        try:
            return binascii.a2b_base64(text, strict_mode=strict)
        except binascii.Error:
            continue
    return data


def _uudecoded(data: bytes) -> bytes:
    """The file between "begin 644 name" and "end"; the data itself where there is none."""
    lines = iter(data.splitlines())
    for line in lines:
        mode, _, name = line.removeprefix(b"begin ").partition(b" ")
        if line.startswith(b"begin ") and mode.isdigit() and name:
            break
    else:
        return data
    out = []
    for line in lines:
        if not line or line.strip(b" \t\r\n\f") == b"end":
            break
        try:
            out.append(binascii.a2b_uu(line))
        except binascii.Error:
            # Some programs write more or fewer blanks at the end than the length says.
            wanted = (((line[0] - 32) & 63) * 4 + 5) // 3
            try:
                out.append(binascii.a2b_uu(line[:wanted]))
            except binascii.Error:
                return data
    return b"".join(out)
