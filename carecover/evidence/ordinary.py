"""Ordinary mail: what a mail's own bytes prove to be no notification, and to carry none.

Most of a mailbox is that, so it is told without taking a mail apart: from its place in a window, nothing copied but its
header and its texts. The proof is complete. A title must stand in the subject, which is decoded where it is not plain
ASCII without a word of any. Else the wording must stand in a text, each of which is decoded: either it shows no word of
any wording's first label, in whatever case, or it has not the labels of one. Whatever may hold another mail, or is of a
form not known here, proves nothing and is looked at closely; a test compares both ways on every kind of mail.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from carecover.evidence import profiles
from carecover.evidence.charsets import codec_of, decoded, header_text, normal
from carecover.evidence.mime import (
    Budget,
    TooMuchError,
    blank_line,
    content_type,
    file_name,
    head_of,
    parts_of,
    without_coding,
)

# A header of more, or a part's, is looked at closely; so are more parts, and more of them in each other.
_MAX_HEAD: Final = 64 * 1024
_MAX_PART_HEAD: Final = 2048
_MAX_PARTS: Final = 64
_MAX_DEPTH: Final = 4
_MAX_TEXT: Final = 1024 * 1024
# A header that may come again in the same words.
_REMEMBERED: Final = 400
# A name, a colon and what follows, or a fold of it.
_HEADS: Final = {
    ending: re.compile(rb"(?:[!-9;-~]{1,100}:.*" + ending + rb"(?:[ \t].*" + ending + rb")*)+")
    for ending in (b"\n", b"\r\n")
}
_REST: Final = re.compile(rb".*(?:\n[ \t].*)*")
_NAMES: Final = (b"\nsubject:", b"\ncontent-type:", b"\ncontent-transfer-encoding:", b"\ncontent-disposition:")
_CODINGS: Final = frozenset({"", "7bit", "8bit", "binary", "base64", "quoted-printable"})
# A letter of ASCII is this byte in these charsets and nothing else is.
_PLAIN: Final = re.compile(r"us-ascii|utf-8|iso-8859-\d+|cp125\d")


class _Form(NamedTuple):
    """What a part is by its header: text in a transfer encoding and charset, other parts, nothing to read, or odd."""

    kind: Literal["text", "page", "parts", "nothing", "odd"]
    coding: str = ""
    charset: str = ""
    boundary: str = ""


_ODD: Final = _Form("odd")
_NOTHING: Final = _Form("nothing")
_TEXT: Final = _Form("text", "", "us-ascii")


def cannot_matter(data: bytes, begin: int, end: int) -> bool:
    """True where the mail between these places is no notification and carries none; False where that is not proved."""
    wordings = profiles.in_use()
    first = data.find(b"\n", begin, end)
    ending = b"\r\n" if data[first - 1 : first] == b"\r" else b"\n"
    blank = data.find(2 * ending, begin, min(end, begin + _MAX_HEAD))
    if blank < 0 or wordings.looks_at_all:
        return False
    head = data[begin : blank + len(ending)]
    returns = head.count(b"\r")
    if (returns and (ending == b"\n" or returns != head.count(b"\r\n"))) or not _HEADS[ending].fullmatch(head):
        return False
    head = b"\n" + (head.replace(b"\r\n", b"\n") if returns else head)
    lowered = head.lower()
    subject, kind, coding, disposition = [_value(head, lowered, name) for name in _NAMES]
    if subject is not None and _has_a_title(subject, wordings):
        return False
    try:
        form = _form(kind, coding, disposition)
        return _says_nothing(data, blank + 2 * len(ending), end, form, wordings)
    except TooMuchError:
        return False


def _has_a_title(subject: bytes, wordings: profiles.Wordings) -> bool:
    lowered = subject.lower()
    if lowered.isascii() and b"=?" not in lowered and not any(word in lowered for word in wordings.title_words):
        return False
    return profiles.recognise(_text_of(subject)) is not None


# Words in other letters take the library long, and they come again.
_text_of = lru_cache(maxsize=4096)(header_text)


def _value(head: bytes, lowered: bytes, name: bytes) -> bytes | None:
    """The first header of this name, in one line."""
    at = lowered.find(name)
    if at < 0:
        return None
    found = _REST.match(head, at + len(name))
    return b"" if found is None else found[0].replace(b"\n", b"")


def _says_nothing(data: bytes, begin: int, end: int, form: _Form, wordings: profiles.Wordings) -> bool:
    """True where no text of a body has a word of a wording, and nothing in it may hold a mail."""
    waiting = [(begin, end, form, 0)]
    seen, budget = 0, Budget()
    while waiting:
        begin, end, form, depth = waiting.pop()
        seen += 1
        if form.kind == "odd" or seen > _MAX_PARTS or depth > _MAX_DEPTH:
            return False
        if form.kind in ("text", "page") and not _is_prose(data[begin:end], form, wordings):
            return False
        if form.kind == "parts":
            for start, stop in parts_of(data, begin, end, form.boundary, budget):
                found = _part(data, start, stop)
                if found is None:
                    return False
                waiting.append((*found, depth + 1))
    return True


def _is_prose(data: bytes, form: _Form, wordings: profiles.Wordings) -> bool:
    if len(data) > _MAX_TEXT:
        return False
    if form.coding:
        data = without_coding(data, form.coding)
    codec = codec_of(form.charset)
    if data.isascii() and (codec is None or _PLAIN.fullmatch(codec)):
        lowered = data.lower()
        if not any(word in lowered for word in wordings.label_words):
            return True
    elif not wordings.may_have_labels(decoded(data, form.charset)):
        return True
    return form.kind == "text" and not profiles.looks_like_notification(normal(decoded(data, form.charset)))


def _part(data: bytes, start: int, stop: int) -> tuple[int, int, _Form] | None:
    """Where the body of a part begins and ends, and what it is; None where its header has no usual form."""
    if data[start : start + 1] in (b"\n", b"\r"):
        return start, stop, _TEXT
    blank = blank_line(data, start, min(stop, start + _MAX_PART_HEAD))
    if blank is None:
        return None
    block = data[start : blank[0]]
    return blank[1], stop, _form_of_block(block) if len(block) < _REMEMBERED else _read_block(block)


def _read_block(block: bytes) -> _Form:
    headers, body = head_of(block + b"\n\n", 0, len(block) + 2)
    if body != len(block) + 2:
        return _ODD
    names = (b"content-type", b"content-transfer-encoding", b"content-disposition")
    try:
        return _form(*(headers.get(name) for name in names))
    except TooMuchError:
        return _ODD


_form_of_block = lru_cache(maxsize=1024)(_read_block)


def _form(kind: bytes | None, coding: bytes | None, disposition: bytes | None) -> _Form:
    """What a part is; as ``letter_of`` takes it. Raises TooMuchError like ``content_type``."""
    if kind is None and coding is None and disposition is None:
        return _TEXT
    told = b" ".join((kind or b"", coding or b"", disposition or b""))
    # A boundary never comes again.
    read = _known_form if len(told) < _REMEMBERED and b"boundary" not in told else _new_form
    return read(kind, coding, disposition)


def _new_form(kind: bytes | None, coding: bytes | None, disposition: bytes | None) -> _Form:
    told, parameters = content_type({} if kind is None else {b"content-type": kind})
    way = (coding or b"").strip().lower().decode("ascii", "replace")
    if told.startswith("multipart/"):
        boundary = parameters("boundary")
        if told == "multipart/digest":
            return _ODD
        return _NOTHING if boundary is None else _Form("parts", boundary=boundary.rstrip())
    name = file_name(disposition or b"", parameters)
    if told.startswith("message/") or name.endswith((".eml", ".msg")):
        return _ODD
    attached = (disposition or b"").split(b";", 1)[0].strip().lower() == b"attachment"
    if attached or told not in ("text/plain", "text/html"):
        return _NOTHING
    charset = parameters("charset")
    if way not in _CODINGS:
        return _ODD
    way = way if way in ("base64", "quoted-printable") else ""
    return _Form("text" if told == "text/plain" else "page", way, "us-ascii" if charset is None else charset)


_known_form = lru_cache(maxsize=1024)(_new_form)
