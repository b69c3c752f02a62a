"""Notifications by the thousand: mails of a form that has come before are read by two patterns, and become columns.

A CA writes its mails by a format, and a mail system puts the same headers onto each. A head form is the names of
a header block in their order, a body form the labels of a wording in theirs, one a line. Both are learned from mails
that came; what has them is read by them as ``units_of_mail`` reads it, which a test compares on random mails. All
else goes there: other headers, values of another shape, a certificate, an attachment, whatever is flagged. So this
lane may refuse anything, and nothing is lost by it. Both patterns go through a mail once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timezone
from email.utils import parseaddr
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

from carecover.evidence import profiles, transport, values
from carecover.evidence.charsets import codec_of, decoded, header_text, printable
from carecover.evidence.dates import order_near
from carecover.evidence.mail import CARRYING, TEXTS, key_of, normal, text_of, units_of_mail
from carecover.evidence.mime import TooMuchError, content_type, head_of, letter_of, without_coding
from carecover.evidence.tables import strings
from carecover.evidence.units import Alike, Irrelevant, Unit
from carecover.evidence.wording import CERTIFICATE
from carecover.model import DateOrder

# A notification without a certificate has some 1,500 bytes; no value of a smaller mail is too long.
_MAX_BYTES: Final = profiles.MAX_VALUE
# Mails that wait until they become columns.
_BATCH: Final = 4096
# Bytes of mails that were read by the other lane in the meantime.
_MAX_SIZE: Final = 16 * 1024 * 1024
# A form is learned when it comes for the third time; so many of each are kept, and so many are counted.
_TELLING: Final = 3
_MAX_FORMS: Final = 24
_MAX_COUNTED: Final = 512
_MAX_HEADERS: Final = 60
_MAX_LINES: Final = 60
_MAX_SUBJECTS: Final = 2048
_READ: Final = (
    *(b"subject", b"from", b"date", b"message-id", b"content-type", b"content-transfer-encoding"),
    *(b"content-disposition", b"received", b"thread-index"),
)
_NAME: Final = re.compile(rb"[!-9;-~]{1,100}")
_PLAIN_CODINGS: Final = frozenset({"", "7bit", "8bit", "binary", "base64", "quoted-printable"})
_SERIAL: Final = re.compile(r"(?!00)(?:[0-9a-f]{2}){1,20}", re.ASCII)
_THUMBPRINT: Final = re.compile(r"[0-9a-f]{40}", re.ASCII)
_TEXT_COLUMNS: Final = ("ca_name", "serial", "requester", "upn", "subject", "template", "thumbprint")
_NUMBER_COLUMNS: Final = ("request_id", "reason")
_TIMES: Final = ("not_before", "not_after", "revoked_at")


class _Odd:
    """What stands for a value that the other lane must look at."""


_ODD: Final = _Odd()


@dataclass(frozen=True, slots=True)
class _Head:
    """A head form: its pattern, the groups of what is read, and the line end."""

    match: Callable[[bytes], re.Match[bytes] | None]
    groups: tuple[int, ...]
    line_end: bytes


@dataclass(frozen=True, slots=True)
class _Body:
    """A body form: its pattern, the columns of its groups, and the wording that it is of."""

    fullmatch: Callable[[str], re.Match[str] | None]
    columns: tuple[str, ...]
    event: str
    profile: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Title:
    """A subject that is the title of one wording: its text, the CA that it names, the body forms of the wording."""

    text: str
    ca_name: str | None
    each: profiles.Compiled
    bodies: list[_Body]


@dataclass(slots=True)
class _Mail:
    """A mail that has both forms, until its values are looked at."""

    raw: bytes
    start: int
    key: bytes
    body: _Body
    cells: tuple[str, ...]
    ca_name: str | None
    sent: int
    zone: timezone | None
    sender: str | None
    message_id: str | None
    thread: int | None
    received: int | None
    received_from: str | None


class Lane:
    """Reads the mails of a mailbox one after the other; what it gives comes by the thousand, in their order."""

    def __init__(self) -> None:
        """Know no form yet; the wordings are those that count now."""
        self._wordings = profiles.in_use()
        self._heads: list[_Head] = []
        self._seen: Counter[object] = Counter()
        self._titles: dict[bytes, _Title | None] = {}
        self._bodies: dict[int, list[_Body]] = {}
        self._waiting: list[_Mail | Unit] = []
        self._mails = self._size = 0

    def take(self, raw: bytes, start: int) -> Sequence[Unit]:
        """Read a mail that stands so many bytes behind the start; what is ready is given back."""
        mail = None
        if len(raw) <= _MAX_BYTES and not self._wordings.looks_at_all:
            mail = self._mail(raw, start)
        if mail is not None:
            self._waiting.append(mail)
            self._mails += 1
        elif self._mails:
            self._size += len(raw)
            self._waiting.extend(units_of_mail(raw, f"byte {start}"))
        else:
            return list(units_of_mail(raw, f"byte {start}"))
        return self.rest() if len(self._waiting) >= _BATCH or self._size > _MAX_SIZE else ()

    def rest(self) -> Sequence[Unit]:
        """What waits."""
        waiting, mails = self._waiting, self._mails
        self._waiting, self._mails, self._size = [], 0, 0
        return [_columns(waiting)] if mails else []

    # ---------------------------------------------------------------------------------- one mail

    def _mail(self, raw: bytes, start: int) -> _Mail | None:
        found = self._headed(raw)
        if found is None:
            return None
        head, match = found
        given: Sequence[bytes | None] = match.group(*head.groups)
        if head.line_end + b" " in match[0] or head.line_end + b"\t" in match[0]:
            given = [value.replace(head.line_end, b"") if value and b"\n" in value else value for value in given]
        subject, sender, date, message_id, kind, coding, disposition, received, thread = given
        title = self._title(subject or b"")
        sent = transport.stamp(date) if date else None
        if title is None or sent is None:
            return None
        clock = transport.thread_stamp(thread) if thread is not None else None
        handed = transport.received_stamp(received) if received is not None else (None, None)
        if handed is None or (thread is not None and clock is None):
            return None
        text = _text_of(raw, match.end(), kind, coding, disposition)
        if not text:
            return None
        read = self._body(title, text)
        if read is None:
            return None
        body, cells = read
        if body.event in CARRYING and "MI" in text and next(profiles.certificates_in(text), None) is not None:
            return None
        told = printable(message_id)
        return _Mail(
            *(raw, start, key_of(told, sent[0], title.text, text), body, cells, title.ca_name),
            *(*sent, None if sender is None else _address(sender), told, clock, *handed),
        )

    def _headed(self, raw: bytes) -> tuple[_Head, re.Match[bytes]] | None:
        """The form of a mail's header block; the one of the mail before is tried first."""
        for place, head in enumerate(self._heads):
            match = head.match(raw)
            if match is not None:
                end = match.end()
                if raw.find(b"\r", 0, end) >= 0 and (
                    head.line_end == b"\n" or raw.count(b"\r", 0, end) != raw.count(b"\r\n", 0, end)
                ):
                    return None
                if place:
                    self._heads.insert(0, self._heads.pop(place))
                return head, match
        start = raw[:_MAX_BYTES].lower()
        if len(self._heads) >= _MAX_FORMS or not any(word in start for word in self._wordings.title_words):
            return None
        headers, end = head_of(raw, 0, len(raw))
        names = _names(raw[:end])
        if b"subject" not in headers or names is None or not self._comes_again(names):
            return None
        head = _head(*names)
        match = head.match(raw)
        self._heads.insert(0, head)
        return None if match is None else (head, match)

    def _comes_again(self, form: object) -> bool:
        if form not in self._seen and len(self._seen) >= _MAX_COUNTED:
            return False
        self._seen[form] += 1
        return self._seen[form] >= _TELLING

    def _title(self, subject: bytes) -> _Title | None:
        try:
            return self._titles[subject]
        except KeyError:
            if len(self._titles) >= _MAX_SUBJECTS:
                self._titles.clear()
            title = self._titles[subject] = self._new_title(subject)
            return title

    def _new_title(self, subject: bytes) -> _Title | None:
        text = header_text(subject)
        found = profiles.recognise(text)
        if found is None or found.forwarded or len(found.candidates) != 1:
            return None
        ((each, given),) = found.candidates
        if each.wording.html or set(given) - {"ca_name"}:
            return None
        name = values.given(given.get("ca_name"))
        return _Title(text, each.wording.ca_name if name is None else name, each, self._bodies.setdefault(id(each), []))

    def _body(self, title: _Title, text: str) -> tuple[_Body, tuple[str, ...]] | None:
        for place, body in enumerate(title.bodies):
            match = body.fullmatch(text)
            if match is not None:
                if place:
                    title.bodies.insert(0, title.bodies.pop(place))
                return body, match.groups()
        if len(title.bodies) >= _MAX_FORMS:
            return None
        form = _labels(title.each, text)
        if form is None or not self._comes_again((id(title.each), form)):
            return None
        made = _new_body(title.each, form)
        match = made.fullmatch(text)
        if match is None:
            return None
        title.bodies.insert(0, made)
        return made, match.groups()


# -------------------------------------------------------------------------------------- the forms


def _names(block: bytes) -> tuple[tuple[bytes, ...], bytes] | None:
    """The names of a header block and its line end; None where a line has another form."""
    line_end = b"\r\n" if block.endswith(b"\r\n\r\n") else b"\n"
    if not block.endswith(2 * line_end):
        return None
    names: list[bytes] = []
    for line in block[: -2 * len(line_end)].split(line_end):
        name, colon, _ = line.partition(b":")
        if line[:1] in (b" ", b"\t") and names:
            continue
        if not colon or not _NAME.fullmatch(name) or b"\r" in line:
            return None
        names.append(name)
    return (tuple(names), line_end) if len(names) <= _MAX_HEADERS else None


def _head(names: tuple[bytes, ...], line_end: bytes) -> _Head:
    """The pattern of a header block. A line is a name and a value, or a fold of it; so there is one way to match.

    A carriage return within a line is looked for afterwards: a pattern that looks for it takes eight times as long.
    """
    value = rb".*+(?:\n[ \t].*+)*+" if line_end == b"\n" else rb".*(?:\r\n[ \t].*)*"
    lower = [name.lower() for name in names]
    pattern, groups, count = b"", dict[bytes, int](), 0
    for place, name in enumerate(lower):
        # Of a name the first counts, of Received the last.
        others = lower[place + 1 :] if name == b"received" else lower[:place]
        pattern += re.escape(names[place]) + b":"
        if name in _READ and name not in others:
            count += 1
            groups[name] = count
            pattern += b"(" + value + b")" + line_end
        else:
            pattern += value + line_end
    # The last group is that of what is not there.
    compiled = re.compile(pattern + line_end + b"(?:(?!)())?")
    return _Head(compiled.match, tuple(groups.get(name, count + 1) for name in _READ), line_end)


def _labels(each: profiles.Compiled, text: str) -> tuple[tuple[str, int | None], ...] | None:
    """The lines of a body: text before the value, and which line of the wording it is; None where it is not that plain.

    Labels must be in the wording's order, and each value one line long: then what splits a body at its labels
    cannot split it otherwise.
    """
    wording = each.wording
    if (
        not wording.lines
        or profiles.line_at(each, "") is not None
        or (wording.lines[0].columns and not wording.lines[0].label)
    ):
        return None
    found: list[tuple[str, int | None]] = []
    last, columns = -1, set[str | None]()
    lines = text.split("\n", _MAX_LINES)
    if len(lines) > _MAX_LINES:
        return None
    for text_line in lines:
        known = profiles.line_at(each, text_line)
        if known is None:
            if text_line:
                return None
            found.append(("", None))
            continue
        place, value = known
        line = wording.lines[place]
        if place <= last:
            return None
        last = place
        if not line.columns:
            found.append((text_line, None))
            continue
        label, colon, behind = text_line.partition(":")
        (column,) = line.columns if len(line.columns) == 1 and line.between == ("",) else ("",)
        if column == "" or not colon or behind != value or each.heads.get(profiles.label_of(text_line)) != place:
            return None
        if (
            column == "ca_name"
            or (column is not None and column in columns)
            or (column == CERTIFICATE and values.given(value) is not None)
        ):
            return None
        columns.add(column)
        found.append((f"{label}:", place))
    return tuple(found) if columns else None


def _new_body(each: profiles.Compiled, form: tuple[tuple[str, int | None], ...]) -> _Body:
    lines, columns = [], []
    for label, place in form:
        if place is None:
            lines.append(re.escape(label))
            continue
        (column,) = each.wording.lines[place].columns
        if column == CERTIFICATE:
            lines.append(re.escape(label) + r" *(?:\?\?\?)? *")
        elif column in (*_TEXT_COLUMNS, *_NUMBER_COLUMNS, *_TIMES):
            columns.append(column)
            lines.append(re.escape(label) + r"(.*)")
        else:
            lines.append(re.escape(label) + r".*")
    compiled = re.compile("\n".join(lines))
    return _Body(compiled.fullmatch, tuple(columns), each.wording.event, each.profile, each.wording.needs)


# --------------------------------------------------------------------------------------- the text


def _text_of(raw: bytes, at: int, kind: bytes | None, coding: bytes | None, disposition: bytes | None) -> str | None:
    """The text of a mail that has nothing else; None where it has, or where something about it is odd."""
    if disposition is not None:
        return None
    plan = _plan(kind, coding)
    if plan is None:
        return _text_in_parts(raw, at, kind, coding)
    way, charset = plan
    data = raw[at:]
    text = normal(decoded(without_coding(data, way) if way else data, charset))
    return text if text.strip() else None


@lru_cache(maxsize=1024)
def _plan(kind: bytes | None, coding: bytes | None) -> tuple[str, str] | None:
    """Transfer encoding (empty: none) and charset of a mail that is one text; None for any other."""
    try:
        form, parameters = content_type({} if kind is None else {b"content-type": kind})
        charset = parameters("charset")
    except TooMuchError:
        return None
    way = (coding or b"").strip().lower().decode("ascii", "replace")
    charset = "us-ascii" if charset is None else charset
    if form != "text/plain" or way not in _PLAIN_CODINGS or codec_of(charset) is None:
        return None
    return (way if way in ("base64", "quoted-printable") else ""), charset


def _text_in_parts(raw: bytes, at: int, kind: bytes | None, coding: bytes | None) -> str | None:
    """The text of a mail whose parts are all texts."""
    if kind is None or not kind.strip().lower().startswith(b"multipart/"):
        return None
    headers = {b"content-type": kind}
    if coding is not None:
        headers[b"content-transfer-encoding"] = coding
    try:
        letter = letter_of(raw, (headers, at))
    except TooMuchError:
        return None
    if letter.attached or letter.files or any(part.is_attachment or part.kind not in TEXTS for part in letter.parts):
        return None
    flags: list[str] = []
    text = text_of(letter, flags, None)
    return None if flags or not text.strip() else text


@lru_cache(maxsize=1024)
def _address(sender: bytes) -> str | None:
    return parseaddr(header_text(sender))[1][:320] or None


# ------------------------------------------------------------------------------------ the columns


def _columns(waiting: Sequence[_Mail | Unit]) -> Alike:
    """Mails and the units between them, as columns; a mail of which a value is odd is read by the other lane."""
    forms: dict[int, list[int]] = {}
    for place, each in enumerate(waiting):
        if isinstance(each, _Mail):
            forms.setdefault(id(each.body), []).append(place)
    odd: set[int] = set()
    parts: list[tuple[list[int], dict[str, list[Any]]]] = []
    for group in forms.values():
        places = group
        mails: list[Any] = [waiting[place] for place in places]
        cells = _cells(mails)
        wrong = (
            {n for column in cells.values() for n, value in enumerate(column) if value is _ODD}
            if any(_ODD in column for column in cells.values())
            else set[int]()
        )
        needs = [cells[name] for name in mails[0].body.needs if name in cells]
        if mails[0].body.needs:
            wrong |= {n for n in range(len(mails)) if all(column[n] is None for column in needs)}
        if wrong:
            odd |= {places[n] for n in wrong}
            kept = [n for n in range(len(mails)) if n not in wrong]
            places = [places[n] for n in kept]
            cells = {name: [column[n] for n in kept] for name, column in cells.items()}
        parts.append((places, cells))
    return _together(waiting, parts, odd)


def _together(
    waiting: Sequence[_Mail | Unit], parts: Sequence[tuple[list[int], dict[str, list[Any]]]], odd: set[int]
) -> Alike:
    """The columns of every form as those of all, in the order of the mails."""
    order = np.argsort(np.array([place for places, _ in parts for place in places], dtype=np.int64), kind="stable")
    known = [(cells, len(places)) for places, cells in parts]

    def column(name: str) -> list[Any]:
        return [v for cells, length in known for v in (cells[name] if name in cells else [None] * length)]

    columns: dict[str, Any] = {}
    one_form = len(parts) == 1
    for name in ("event", "profile", *_TEXT_COLUMNS, "sender", "message_id", "received_from", "location"):
        packed = strings(column(name))
        columns[name] = packed if one_form else packed.take(order)
    for name in _NUMBER_COLUMNS:
        columns[name] = pa.array(column(name), pa.int64()).take(order)
    for name in ("sent_at", "thread_index_at", "received_at"):
        columns[name] = _moments(column(name))[order]
    hints = column("hint")
    for name in _TIMES:
        texts = column(name)
        columns[name] = strings(texts).take(order), [hints[n] for n in order]
    keys: list[bytes] = []
    between: list[tuple[int, Unit]] = []
    for place, each in enumerate(waiting):
        if not isinstance(each, _Mail):
            between.append((len(keys), each))
        elif place in odd:
            between += [(len(keys), unit) for unit in units_of_mail(each.raw, f"byte {each.start}")]
        else:
            keys.append(each.key)
    return Alike(tuple(keys), columns, tuple(_counted_together(between)))


def _counted_together(between: Sequence[tuple[int, Unit]]) -> Iterator[tuple[int, Unit]]:
    """Units at their places; irrelevant ones without a key are counted together at the end."""
    irrelevant = 0
    for place, unit in between:
        if isinstance(unit, Irrelevant) and unit.key is None:
            irrelevant += unit.units
        else:
            yield place, unit
    if irrelevant:
        yield between[-1][0], Irrelevant(irrelevant)


def _moments(cells: Sequence[int | None]) -> Any:  # noqa: ANN401 - numpy's arrays have a type of many parameters
    packed = pa.array(cells, pa.int64())
    return packed.fill_null(np.iinfo(np.int64).min).to_numpy(zero_copy_only=False)


def _cells(mails: Sequence[_Mail]) -> dict[str, list[Any]]:
    """The values of mails of one form: the values of the other lane, or ``_ODD`` where that one has to look."""
    body = mails[0].body
    cells: dict[str, list[Any]] = {
        "event": [body.event] * len(mails),
        "profile": [body.profile] * len(mails),
        "ca_name": [each.ca_name for each in mails],
        "sender": [each.sender for each in mails],
        "message_id": [each.message_id for each in mails],
        "received_from": [each.received_from for each in mails],
        "location": [f"byte {each.start}" for each in mails],
        "sent_at": [each.sent for each in mails],
        "thread_index_at": [each.thread for each in mails],
        "received_at": [each.received for each in mails],
    }
    for name, column in zip(body.columns, zip(*(each.cells for each in mails), strict=True), strict=False):
        cells[name] = _VALUES.get(name, _texts)([text.strip() for text in column])
    printed = [cells[name] for name in _TIMES if name in cells]
    if printed:
        hints: dict[tuple[timezone | None, DateOrder | None], tuple[timezone | None, DateOrder | None]] = {}
        orders = [order_near(texts, each.sent) for texts, each in zip(zip(*printed, strict=True), mails, strict=True)]
        made = [(each.zone, order) for each, order in zip(mails, orders, strict=True)]
        cells["hint"] = [hints.setdefault(hint, hint) for hint in made]
    else:
        cells["hint"] = [(None, None)] * len(mails)
    if "reason" in cells and body.event == "revoked":
        cells["event"] = ["unrevoked" if reason == -1 else body.event for reason in cells["reason"]]
    return cells


def _texts(column: Sequence[str]) -> list[Any]:
    return [text if text and text[0] not in "E?U%" else values.given(text) for text in column]


def _times(column: Sequence[str]) -> list[Any]:
    return [text if text and text[0].isdigit() else values.given(text) for text in column]


def _checked(check: Callable[[str | None], object]) -> Callable[[Sequence[str]], list[Any]]:
    def read(column: Sequence[str]) -> list[Any]:
        return [_value(check, text) for text in column]

    return read


def _value(check: Callable[[str | None], object], text: str) -> object:
    try:
        return check(text)
    except ValueError:
        return _ODD


def _numbers(column: Sequence[str]) -> list[Any]:
    return [
        int(text)
        if text.isdigit() and text.isascii() and len(text) < 10 and text[0] != "0"
        else _value(values.request_id, text)
        for text in column
    ]


def _serials(column: Sequence[str]) -> list[Any]:
    return [text if _SERIAL.fullmatch(text) else _value(values.serial, text) for text in column]


def _thumbprints(column: Sequence[str]) -> list[Any]:
    return [
        bare if len(text) < 100 and _THUMBPRINT.fullmatch(bare) else _value(values.thumbprint, text)
        for text, bare in ((text, text.replace(" ", "")) for text in column)
    ]


_VALUES: Final[Mapping[str, Callable[[Sequence[str]], list[Any]]]] = {
    "request_id": _numbers,
    "serial": _serials,
    "thumbprint": _thumbprints,
    "reason": _checked(values.reason),
    "template": _checked(values.template),
    **dict.fromkeys(_TIMES, _times),
}
