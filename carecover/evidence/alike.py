"""Notifications by the thousand: mails of a form that has come before are read by two patterns, and become columns.

A CA writes its mails by a format, and a mail system puts the same headers onto each. A head form is the names of
a header block in their order, a body form the labels of a wording in theirs, one a line. Both are learned from mails
that came; what has them is read by them as ``units_of_mail`` reads it, which a test compares on random mails. All
else goes there: other headers, values of another shape, a certificate, an attachment, whatever is flagged. So this
lane may refuse anything, and nothing is lost by it. Both patterns go through a mail once.

The module is long because what a form takes and what is made of it must be seen beside each other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timezone
from email.utils import parseaddr
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from carecover.evidence import profiles, transport, values
from carecover.evidence.charsets import codec_of, decoded, header_text, printable
from carecover.evidence.dates import orders_near
from carecover.evidence.mail import CARRYING, TEXTS, key_of, normal, text_of, units_of_mail
from carecover.evidence.mime import Letter, TooMuchError, all_texts, content_type, head_of, letter_of, without_coding
from carecover.evidence.tables import strings
from carecover.evidence.units import Alike, Irrelevant, Unit
from carecover.evidence.wording import CERTIFICATE, Wording
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
_SERIAL: Final = re.compile(r"(?!00)[0-9a-f]{2,40}+", re.ASCII)
_THUMBPRINT: Final = re.compile(r"[0-9a-f]{40}", re.ASCII)
_TEXT_COLUMNS: Final = ("ca_name", "serial", "requester", "upn", "subject", "template", "thumbprint")
_NUMBER_COLUMNS: Final = ("request_id", "reason")
_TIMES: Final = ("not_before", "not_after", "revoked_at")
_STRINGS: Final = ("event", "profile", *_TEXT_COLUMNS, *_TIMES, "sender", "message_id", "received_from", "location")
_NUMBERS: Final = (*_NUMBER_COLUMNS, "sent_at", "thread_index_at", "received_at")
_Hint: TypeAlias = tuple[timezone | None, DateOrder | None]


class _Odd:
    """What stands for a value that the other lane must look at."""


_ODD: Final = _Odd()


@dataclass(frozen=True, slots=True)
class _Head:
    """A head form: its pattern, the groups of what is read, and the line end."""

    match: Callable[[bytes], re.Match[bytes] | None]
    groups: tuple[int, ...]
    line_end: bytes
    folds: bool


@dataclass(frozen=True, slots=True)
class _Body:
    """A body form: its pattern, the columns of its groups, and the wording that it is of."""

    fullmatch: Callable[[str], re.Match[str] | None]
    columns: tuple[str, ...]
    wording: Wording
    profile: str
    carrying: bool


@dataclass(frozen=True, slots=True)
class _Title:
    """A subject that is the title of one wording: its text, the CA that it names, the body forms of the wording."""

    text: str
    ca_name: str | None
    each: profiles.Compiled
    bodies: list[_Body]


class _Mail(NamedTuple):
    """A mail that has both forms, as it stands there, until its values are looked at with those of many others."""

    body: _Body
    raw: bytes
    start: int
    title: _Title
    text: str
    sender: bytes | None
    date: bytes
    message_id: bytes | None
    received: bytes | None
    thread: bytes | None
    cells: tuple[str, ...]


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
        if head.folds:
            given = [value.replace(head.line_end, b"") if value else value for value in given]
        subject, sender, date, message_id, kind, coding, disposition, received, thread = given
        title = self._title(subject or b"")
        if title is None or date is None:
            return None
        text = _text_of(raw, match.end(), kind, coding, disposition)
        read = None if text is None else self._body(title, text)
        if read is None or text is None:
            return None
        body, cells = read
        if body.carrying and "MI" in text and next(profiles.certificates_in(text), None) is not None:
            return None
        return _Mail(body, raw, start, title, text, sender, date, message_id, received, thread, cells)

    def _headed(self, raw: bytes) -> tuple[_Head, re.Match[bytes]] | None:
        """The form of a mail's header block; the one that came last is tried first."""
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
    """The names of a header block, a blank behind those that are folded, and its line end; None for any other form."""
    line_end = b"\r\n" if block.endswith(b"\r\n\r\n") else b"\n"
    if not block.endswith(2 * line_end):
        return None
    names: list[bytes] = []
    for line in block[: -2 * len(line_end)].split(line_end):
        name, colon, _ = line.partition(b":")
        if line[:1] in (b" ", b"\t") and names:
            names[-1] = names[-1].rstrip() + b" "
            continue
        if not colon or not _NAME.fullmatch(name) or b"\r" in line:
            return None
        names.append(name)
    return (tuple(names), line_end) if len(names) <= _MAX_HEADERS else None


def _head(names: tuple[bytes, ...], line_end: bytes) -> _Head:
    """The pattern of a header block. A line is a name and a value, or a fold of it; so there is one way to match.

    A carriage return within a line is looked for afterwards: a pattern that looks for it takes eight times as long.
    """
    one_line = rb".*+" if line_end == b"\n" else rb".*"
    value = one_line + rb"(?:" + line_end + rb"[ \t]" + one_line + rb")*" + (b"+" if line_end == b"\n" else b"")
    lower = [name.strip().lower() for name in names]
    pattern, groups, count = b"", dict[bytes, int](), 0
    for place, name in enumerate(lower):
        # Of a name the first counts, of Received the last.
        others = lower[place + 1 :] if name == b"received" else lower[:place]
        pattern += re.escape(names[place].strip()) + b":"
        if name in _READ and name not in others:
            count += 1
            groups[name] = count
            pattern += b"(" + (value if names[place].endswith(b" ") else one_line) + b")" + line_end
        else:
            pattern += value + line_end
    # The last group is that of what is not there.
    compiled = re.compile(pattern + line_end + b"(?:(?!)())?")
    folds = any(name.endswith(b" ") for name in names)
    return _Head(compiled.match, tuple(groups.get(name, count + 1) for name in _READ), line_end, folds)


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
    return _Body(compiled.fullmatch, tuple(columns), each.wording, each.profile, each.wording.event in CARRYING)


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
    found = _boundary(kind)
    if found is None:
        return None
    parts = all_texts(raw, at, len(raw), found)
    if parts is not None:
        return _first_text(Letter({}, parts))
    headers = {b"content-type": kind}
    if coding is not None:
        headers[b"content-transfer-encoding"] = coding
    try:
        letter = letter_of(raw, (headers, at))
    except TooMuchError:
        return None
    if letter.attached or letter.files or any(part.is_attachment or part.kind not in TEXTS for part in letter.parts):
        return None
    return _first_text(letter)


@lru_cache(maxsize=1024)
def _boundary(kind: bytes) -> str | None:
    """The boundary of a multipart whose parts are texts where they do not say otherwise."""
    try:
        form, parameters = content_type({b"content-type": kind})
        return parameters("boundary") if form.startswith("multipart/") and form != "multipart/digest" else None
    except TooMuchError:
        return None


def _first_text(letter: Letter) -> str | None:
    flags: list[str] = []
    text = text_of(letter, flags, None)
    return None if flags or not text.strip() else text


@lru_cache(maxsize=1024)
def _address(sender: bytes) -> str | None:
    return parseaddr(header_text(sender))[1][:320] or None


# ------------------------------------------------------------------------------------ the columns


def _columns(waiting: Sequence[_Mail | Unit]) -> Alike:
    """Mails and the units between them, as columns; a mail of which a value is odd is read by the other lane."""
    groups: dict[int, list[int]] = {}
    for place, each in enumerate(waiting):
        if isinstance(each, _Mail):
            groups.setdefault(id(each.body), []).append(place)
    hints: dict[_Hint, int] = {}
    parts: list[dict[str, Any]] = []
    kept: list[int] = []
    keys: dict[int, bytes] = {}
    for group in groups.values():
        places = group
        cells = _cells([waiting[place] for place in places])  # type: ignore[misc]
        try:
            part = _packed(cells, hints)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            part = None
        needs = [cells[name] for name in cells["needs"]]
        if part is None or (needs and not any(part[name].null_count == 0 for name in cells["needs"])):
            lists = [column for name, column in cells.items() if name != "needs"]
            sound = [
                n
                for n in range(len(places))
                if not any(column[n] is _ODD for column in lists)
                and (not needs or any(column[n] is not None for column in needs))
            ]
            places = [places[n] for n in sound]
            cells = {name: [column[n] for n in sound] for name, column in cells.items() if name != "needs"}
            part = _packed(cells, hints)
        kept += places
        keys.update(zip(places, cells["key"], strict=True))
        parts.append(part)
    order = np.argsort(np.array(kept, dtype=np.int64), kind="stable")
    between: list[tuple[int, Unit]] = []
    before = 0
    for place, each in enumerate(waiting):
        if place in keys:
            before += 1
        elif isinstance(each, _Mail):
            between += [(before, unit) for unit in units_of_mail(each.raw, f"byte {each.start}")]
        else:
            between.append((before, each))
    columns = _together(parts, order, list(hints))
    return Alike(tuple(keys[place] for place in sorted(keys)), columns, tuple(_counted_together(between)))


def _packed(cells: Mapping[str, list[Any]], hints: dict[_Hint, int]) -> dict[str, Any]:
    """The values of one form as Arrow arrays; raises Arrow's errors where one is ``_ODD``."""
    part = {name: strings(cells[name]) for name in _STRINGS if name in cells}
    part |= {name: pa.array(cells[name], pa.int64()) for name in _NUMBERS if name in cells}
    printed = [part[name] for name in _TIMES if name in part]
    sent = part["sent_at"].to_numpy()
    orders = orders_near(printed, sent) if printed else [None] * len(sent)
    given = zip(cells["zone"], orders, strict=True)
    part["hint"] = pa.array([hints.setdefault(hint, len(hints)) for hint in given], pa.int64())
    part["length"] = len(sent)
    return part


def _together(parts: Sequence[dict[str, Any]], order: Any, hints: list[_Hint]) -> dict[str, Any]:  # noqa: ANN401 - numpy's arrays
    """The columns of every form as those of all, in the order of the mails."""
    in_order = pa.array(order)

    def column(name: str, kind: pa.DataType) -> Any:  # noqa: ANN401 - Arrow's arrays
        found = [part[name] if name in part else pa.nulls(part["length"], kind) for part in parts]
        return found[0] if len(found) == 1 else pa.concat_arrays(found).take(in_order)

    columns: dict[str, Any] = {name: column(name, pa.string()) for name in _STRINGS if name not in _TIMES}
    columns |= {name: column(name, pa.int64()) for name in ("request_id", "reason")}
    for name in ("sent_at", "thread_index_at", "received_at"):
        moments = column(name, pa.int64()).fill_null(np.iinfo(np.int64).min)
        columns[name] = moments.to_numpy(zero_copy_only=False)
    numbers = column("hint", pa.int64()).to_numpy(zero_copy_only=False)
    return columns | {name: (column(name, pa.string()), numbers, hints) for name in _TIMES}


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


def _cells(mails: Sequence[_Mail]) -> dict[str, list[Any]]:
    """The values of mails of one form: those of the other lane, or ``_ODD`` where that one has to look."""
    bodies, _, starts, titles, texts, senders, dates, ids, received, threads, cells = zip(*mails, strict=True)
    body = bodies[0]
    wording = body.wording
    sent = [transport.stamp(value) or (_ODD, None) for value in dates]
    handed = [(None, None) if value is None else transport.received_stamp(value) or (_ODD, None) for value in received]
    message_ids = [printable(value) for value in ids]
    found: dict[str, list[Any]] = {
        "event": [wording.event] * len(mails),
        "profile": [body.profile] * len(mails),
        "ca_name": [title.ca_name for title in titles],
        "sender": [None if value is None else _address(value) for value in senders],
        "message_id": message_ids,
        "received_from": [host for _, host in handed],
        "location": [f"byte {start}" for start in starts],
        "sent_at": [moment for moment, _ in sent],
        "zone": [zone for _, zone in sent],
        "thread_index_at": [None if value is None else _thread(value) for value in threads],
        "received_at": [moment for moment, _ in handed],
        "key": [
            key_of(message_id, moment if isinstance(moment, int) else None, title.text, text)
            for message_id, (moment, _), title, text in zip(message_ids, sent, titles, texts, strict=True)
        ],
        "needs": [name for name in wording.needs if name in body.columns],
    }
    for name, column in zip(body.columns, zip(*cells, strict=True), strict=False):
        found[name] = _VALUES.get(name, _texts)([text.strip() for text in column])
    if "reason" in found and wording.event == "revoked":
        found["event"] = ["unrevoked" if reason == -1 else wording.event for reason in found["reason"]]
    return found


def _thread(value: bytes) -> object:
    moment = transport.thread_stamp(value)
    return _ODD if moment is None else moment


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
    canonical = _SERIAL.fullmatch
    return [text if canonical(text) and not len(text) % 2 else _value(values.serial, text) for text in column]


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
