"""Notifications by the thousand: mails of a form that has come before are read by two patterns, and become columns.

A CA writes its mails by a format, and a mail system puts the same headers onto each. A head form is the names of
a header block in their order, a body form the labels of a wording in theirs, one a line. Both are learned from mails
that came; what has them is read by them as ``units_of_mail`` reads it, which a test compares on random mails. All
else goes there: other headers, values of another shape, a certificate, an attachment, whatever is flagged. So this
lane may refuse anything, and nothing is lost by it. Both patterns go through a mail once; what the first finds is held
until there are thousands, and all that follows is done to a column of them (``bulk``).

The module is long because what a form takes and what is made of it must be seen beside each other.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timezone
from email.utils import parseaddr
from functools import lru_cache
from itertools import compress, pairwise
from operator import itemgetter
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from carecover.evidence import bulk, profiles, transport, values
from carecover.evidence.charsets import codec_of, header_text
from carecover.evidence.dates import orders_near, parted
from carecover.evidence.mail import CARRYING, TEXTS, key_of, text_of, units_of_mail
from carecover.evidence.mime import Letter, TooMuchError, all_texts, content_type, head_of, letter_of
from carecover.evidence.units import Alike, Irrelevant, Unit
from carecover.evidence.wording import CERTIFICATE, Wording
from carecover.model import DateOrder

# A notification without a certificate has some 1,500 bytes; no value of a smaller mail is too long.
_MAX_BYTES: Final = profiles.MAX_VALUE
# Mails that wait until they become columns, and their bytes with those that the other lane read in the meantime.
_BATCH: Final = 16_384
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
_TEXT_COLUMNS: Final = ("ca_name", "serial", "requester", "upn", "subject", "template", "thumbprint")
_NUMBER_COLUMNS: Final = ("request_id", "reason")
_TIMES: Final = ("not_before", "not_after", "revoked_at")
_OF_BODIES: Final = (
    "event",
    "profile",
    *(name for name in _TEXT_COLUMNS if name != "ca_name"),
    *_NUMBER_COLUMNS,
    *_TIMES,
)
_MOMENTS: Final = ("sent_at", "thread_index_at", "received_at")
_NO_MOMENT: Final = np.iinfo(np.int64).min
# What ends a text among others; neither a line nor a text without a zero has it within.
_END: Final = "\n\0\n"
_Hint: TypeAlias = tuple[timezone | None, DateOrder | None]
# Where a mail stands that has a known head, its head, its body, its title, and what was read of the head.
_Mail: TypeAlias = "tuple[int, bytes, bytes, _Title, tuple[bytes | None, ...]]"


@dataclass(frozen=True, slots=True)
class _Head:
    """A head form: its pattern with the line before it, the groups of what is read, and the line end."""

    match: Callable[[bytes, int, int], re.Match[bytes] | None]
    groups: tuple[int, ...]
    line_end: bytes


@dataclass(frozen=True, slots=True)
class _Body:
    """A body form: its pattern, the columns of its groups, and the wording that it is of.

    The pattern is for many texts, each with its end behind it: of each it finds the groups, and the end where it fits.
    """

    findall: Callable[[str], list[tuple[str, ...]]]
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


class Lane:
    """Reads the mails of a mailbox one after the other; what it gives comes by the thousand, in their order."""

    def __init__(self) -> None:
        """Know no form yet; the wordings are those that count now."""
        self._wordings = profiles.in_use()
        self._heads: list[_Head] = []
        self._seen: Counter[object] = Counter()
        self._titles: dict[bytes, _Title | None] = {}
        self._bodies: dict[int, list[_Body]] = {}
        self._mails: list[_Mail] = []
        # What lies between the mails that wait, and how many of them are before it.
        self._between: list[tuple[int, Unit]] = []
        self._size = 0

    def read(
        self,
        window: bytes,
        bounds: Sequence[int],
        base: int,
        odd: Collection[int],
        otherwise: Callable[[int, int], Iterable[Unit]],
    ) -> Iterator[Unit]:
        """Read the mails between ``bounds`` in a window that stands at ``base``, each with its "From " line.

        One that begins at an ``odd`` place, or is none that this lane may read, is read ``otherwise``.
        """
        limit = -1 if self._wordings.looks_at_all else _MAX_BYTES
        heads, returns = self._heads, b"\r" in window
        for begin, end in pairwise(bounds):
            head = match = None
            if end - begin <= limit and begin not in odd:
                for head in heads:
                    match = head.match(window, begin, end)
                    if match is not None:
                        break
            if head is None or match is None or not self._held(head, match, window, end, base + begin, returns=returns):
                yield from otherwise(begin, end)
        yield from self.ready()

    def take(self, raw: bytes, start: int, *, seen: bool = False) -> Sequence[Unit]:
        """Read a mail that stands so many bytes behind the start; what is ready is given back.

        ``seen`` is what ``units_of_mail`` is told.
        """
        if len(raw) <= _MAX_BYTES and not self._wordings.looks_at_all and self._known(raw, start):
            return self.ready()
        return self.put(units_of_mail(raw, f"byte {start}", seen=seen), len(raw))

    def put(self, units: Iterable[Unit], size: int) -> Sequence[Unit]:
        """Something that is read otherwise, of so many bytes, in its turn."""
        if not self._mails:
            return list(units)
        self._size += size
        self._between.extend((len(self._mails), unit) for unit in units)
        return self.ready()

    def ready(self) -> Sequence[Unit]:
        """What waits, where it is enough."""
        waiting = len(self._mails) + len(self._between)
        return self.rest() if waiting >= _BATCH or self._size > _MAX_SIZE else ()

    def rest(self) -> Sequence[Unit]:
        """What waits."""
        mails, between = self._mails, self._between
        self._mails, self._between, self._size = [], [], 0
        return self._columns(mails, between) if mails else []

    # ---------------------------------------------------------------------------------- one mail

    def _held(self, head: _Head, match: re.Match[bytes], data: bytes, end: int, start: int, *, returns: bool) -> bool:
        """Hold a mail that has a head form, where it has a title as well; ``start`` is its place in the mailbox."""
        begin, body = match.span()
        if returns and not _ends_alike(data, begin, body, head.line_end):
            return False
        given = match.group(*head.groups)
        title = self._title(given[0] or b"")
        if title is None or given[2] is None:
            return False
        self._mails.append((start, data[begin:body], data[body:end], title, given))
        self._size += end - begin
        return True

    def _known(self, raw: bytes, start: int) -> bool:
        """Hold a mail by a head form that is known, or by its own, where that has come before."""
        # What is before it in a mailbox is no part of it.
        data = b"\n" + raw
        for head in self._heads:
            match = head.match(data, 0, len(data))
            if match is not None:
                return self._held(head, match, data, len(data), start, returns=True)
        lowered = raw.lower()
        if len(self._heads) >= _MAX_FORMS or not any(word in lowered for word in self._wordings.title_words):
            return False
        headers, end = head_of(raw, 0, len(raw))
        names = _names(raw[:end])
        if b"subject" not in headers or names is None or not self._comes_again(names):
            return False
        head = _head(*names)
        match = head.match(data, 0, len(data))
        if match is None:
            return False
        # What came again first is what comes most.
        self._heads.append(head)
        return self._held(head, match, data, len(data), start, returns=True)

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
        text = header_text(_unfolded(subject))
        found = profiles.recognise(text)
        if found is None or found.forwarded or len(found.candidates) != 1:
            return None
        ((each, given),) = found.candidates
        if each.wording.html or set(given) - {"ca_name"}:
            return None
        name = values.given(given.get("ca_name"))
        return _Title(text, each.wording.ca_name if name is None else name, each, self._bodies.setdefault(id(each), []))

    # ------------------------------------------------------------------------------ many mails

    def _columns(self, mails: Sequence[_Mail], between: Sequence[tuple[int, Unit]]) -> Sequence[Unit]:
        """Mails and the units between them, as columns; a mail of which anything is odd is read by the other lane."""
        many = _Many.of(mails)
        parts: list[dict[str, Any]] = []
        kept: list[int] = []
        for body, places, cells in self._bodied(many):
            sound, part = _part(body, places, cells)
            kept += sound
            parts.append(part)
        order = np.argsort(np.array(kept, dtype=np.int64), kind="stable")
        kept.sort()
        others = _in_turn(mails, kept, between)
        if not kept:
            return [unit for _, unit in others]
        columns = many.columns(kept) | _together(parts, order)
        columns |= many.times(kept, columns)
        return [Alike(many.keys(kept), columns, tuple(_counted_together(others)))]

    def _bodied(self, many: _Many) -> Iterator[tuple[_Body, list[int], list[tuple[str, ...]]]]:
        """The mails of each body form: the form, their places, and what its groups are of each."""
        of_titles: dict[int, list[int]] = {}
        texts = many.texts
        for place, (title, text) in enumerate(zip(many.titles, texts, strict=True)):
            if text is not None:
                of_titles.setdefault(id(title.each), []).append(place)
        for waiting in of_titles.values():
            title, left = many.titles[waiting[0]], waiting
            known = list(title.bodies)
            while left:
                for body in known:
                    if not left:
                        break
                    found = body.findall(_END.join([*[texts[place] or "" for place in left], ""]))
                    fits = [groups[-2] for groups in found]
                    if not any(fits):
                        continue
                    title.bodies.insert(0, title.bodies.pop(title.bodies.index(body)))
                    places = list(compress(left, fits))
                    cells = list(compress(found, fits))
                    left = (
                        []
                        if len(places) == len(left)
                        else [place for place, fit in zip(left, fits, strict=True) if not fit]
                    )
                    if body.carrying:
                        sound = [not ("MI" in (text := texts[place] or "") and _carries(text)) for place in places]
                        if not all(sound):
                            places, cells = list(compress(places, sound)), list(compress(cells, sound))
                    if places:
                        yield body, places, cells
                learned = self._new_bodies(title, left, texts)
                if learned is None:
                    break
                known, left = learned

    def _new_bodies(
        self, title: _Title, places: Sequence[int], texts: Sequence[str | None]
    ) -> tuple[list[_Body], list[int]] | None:
        """The first body form that has come again among texts that have none yet, and the texts from there on."""
        for number, place in enumerate(places):
            if len(title.bodies) >= _MAX_FORMS:
                return None
            form = _labels(title.each, texts[place] or "")
            if form is not None and self._comes_again((id(title.each), form)):
                made = _new_body(title.each, form)
                if made.findall(f"{texts[place]}{_END}")[0][-2]:
                    title.bodies.insert(0, made)
                    return [made], list(places[number:])
        return None


def _carries(text: str) -> bool:
    """True where a certificate stands in a text, which the other lane must look at."""
    return next(profiles.certificates_in(text), None) is not None


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
    compiled = re.compile(rb".*\n" + pattern + line_end + b"(?:(?!)())?")
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
            # Nearly every value has one blank before it, and none behind it.
            lines.append(re.escape(label) + r" ?(.*+)")
        else:
            lines.append(re.escape(label) + r".*+")
    # The end is found behind a text that fits; any other is passed over. Two groups more, or findall gives no tuples.
    compiled = re.compile("(?:" + "\n".join(lines) + r"\n(\0)\n|[^\0]*\0\n)()")
    return _Body(compiled.findall, tuple(columns), each.wording, each.profile, each.wording.event in CARRYING)


def _ends_alike(data: bytes, begin: int, end: int, line_end: bytes) -> bool:
    """True where every carriage return of a head is part of a line end, and those are all alike."""
    first = data.find(b"\n", begin, end) + 1
    returns = data.count(b"\r", first, end)
    return not returns or (line_end == b"\r\n" and returns == data.count(b"\r\n", first, end))


def _unfolded(value: bytes) -> bytes:
    return value.replace(b"\r\n", b"").replace(b"\n", b"")


def _all_unfolded(column: Sequence[bytes | None]) -> Sequence[bytes | None]:
    """Values of headers, each in one line."""
    joined = b"".join([value for value in column if value is not None])
    if b"\n" not in joined:
        return column
    if b"\r" not in joined:
        return [value if value is None else value.replace(b"\n", b"") for value in column]
    return [value if value is None else _unfolded(value) for value in column]


# --------------------------------------------------------------------------------------- the text


def _texts_of(
    bodies: Sequence[bytes],
    kinds: Sequence[bytes | None],
    codings: Sequence[bytes | None],
    dispositions: Sequence[bytes | None],
) -> list[str | None]:
    """The texts of mails that have nothing else; None for one that has, or where something about it is odd."""
    texts: list[str | None] = [None] * len(bodies)
    alike: dict[tuple[bytes | None, ...], list[int]] = {}
    for place, form in enumerate(zip(kinds, codings, dispositions, strict=True)):
        alike.setdefault(form, []).append(place)
    for (kind, coding, disposition), places in alike.items():
        if disposition is not None:
            continue
        plan = _plan(kind, coding)
        # As in ``mail_at``: the empty lines behind a mail are the mailbox's.
        chosen = [bodies[place].rstrip(b"\r\n") for place in places]
        found: Sequence[str | None]
        if plan is None:
            found = [_text_in_parts(body + b"\n", kind, coding) for body in chosen]
        else:
            found = bulk.texts(chosen, *plan)
        for place, text in zip(places, found, strict=True):
            if text and "\0" not in text and not text.isspace():
                texts[place] = text
    return texts


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


def _text_in_parts(body: bytes, kind: bytes | None, coding: bytes | None) -> str | None:
    """The text of a mail whose parts are all texts."""
    if kind is None or not kind.strip().lower().startswith(b"multipart/"):
        return None
    found = _boundary(kind)
    if found is None:
        return None
    parts = all_texts(body, 0, len(body), found)
    if parts is not None:
        return _first_text(Letter({}, parts))
    headers = {b"content-type": kind}
    if coding is not None:
        headers[b"content-transfer-encoding"] = coding
    try:
        letter = letter_of(body, (headers, 0))
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


def _address(sender: bytes | None) -> str | None:
    return None if sender is None else parseaddr(header_text(sender))[1][:320] or None


# ------------------------------------------------------------------------------------ the columns


@dataclass(frozen=True, slots=True)
class _Many:
    """Mails by the column: their texts (None where the other lane must look), and what their headers say."""

    titles: Sequence[_Title]
    texts: list[str | None]
    sent: list[int | None]
    zones: list[timezone | None]
    told: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, mails: Sequence[_Mail]) -> _Many:
        """Their texts and headers, as they would be read one by one."""
        starts, _, bodies, titles, given = zip(*mails, strict=True)
        _, senders, dates, ids, kinds, codings, dispositions, received, threads = map(
            _all_unfolded, zip(*given, strict=True)
        )
        texts = _texts_of(bodies, kinds, codings, dispositions)
        sent, zones = transport.stamps([value or b"" for value in dates])
        handed, hosts = transport.received_stamps(received)
        clocks = transport.thread_stamps(threads)
        for moments, values_given in ((sent, dates), (handed, received), (clocks, threads)):
            if None in moments:
                for place, (moment, value) in enumerate(zip(moments, values_given, strict=True)):
                    if moment is None and value is not None:
                        texts[place] = None
        told = {
            "ca_name": [title.ca_name for title in titles],
            "sender": bulk.by_each(_address)(senders),
            "message_id": bulk.printables(ids),
            "received_from": hosts,
            "location": [f"byte {start}" for start in starts],
            "sent_at": sent,
            "thread_index_at": clocks,
            "received_at": handed,
        }
        return cls(titles, texts, sent, zones, told)

    def columns(self, places: Sequence[int]) -> dict[str, Any]:
        """What the headers of some of them say, packed."""
        columns: dict[str, Any] = {}
        for name, whole in self.told.items():
            column = whole if len(places) == len(whole) else [whole[place] for place in places]
            if name in _MOMENTS:
                numbers = pa.array(column, pa.int64())
                columns[name] = numbers.fill_null(_NO_MOMENT).to_numpy(zero_copy_only=False)
            else:
                columns[name] = bulk.strings(column)
        return columns

    def times(self, places: Sequence[int], columns: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of printed times, with what is known of each: the zone of its mail, and the order of its day."""
        apart = {name: parted(columns[name]) for name in _TIMES if columns[name].null_count < len(places)}
        printed = [(columns[name], each) for name, each in apart.items()]
        orders = orders_near(printed, columns["sent_at"]) if printed else [None] * len(places)
        given = list(zip([self.zones[place] for place in places], orders, strict=True))
        hints: dict[_Hint, int] = {hint: number for number, hint in enumerate(dict.fromkeys(given))}
        numbers = np.array([hints[hint] for hint in given], dtype=np.int64)
        return {name: (columns[name], numbers, list(hints), apart.get(name)) for name in _TIMES}

    def keys(self, places: Sequence[int]) -> tuple[bytes, ...]:
        """What tells each of them twice."""
        ids, sent, titles, texts = self.told["message_id"], self.sent, self.titles, self.texts
        return tuple([key_of(ids[n], sent[n], titles[n].text, texts[n] or "") for n in places])


def _part(body: _Body, places: list[int], cells: Sequence[tuple[str, ...]]) -> tuple[list[int], dict[str, Any]]:
    """The values of mails of one body form, packed; those of which one is odd are left out."""
    wording = body.wording
    found: dict[str, list[Any]] = {}
    for name, column in zip(body.columns, zip(*cells, strict=True), strict=False):
        found[name] = _VALUES.get(name, bulk.free_texts)(column)
    found["event"] = [wording.event] * len(places)
    if wording.event == "revoked":
        found["event"] = ["unrevoked" if reason == -1 else "revoked" for reason in found.get("reason", places)]
    found["profile"] = [body.profile] * len(places)
    needs = [name for name in wording.needs if name in found]
    try:
        part = {name: _packed(name, column) for name, column in found.items()}
        if not needs or any(part[name].null_count == 0 for name in needs):
            return places, part
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        pass
    sound = [
        n
        for n in range(len(places))
        if not any(column[n] is bulk.ODD for column in found.values())
        and (not needs or any(found[name][n] is not None for name in needs))
    ]
    part = {name: _packed(name, [column[n] for n in sound]) for name, column in found.items()}
    return [places[n] for n in sound], part


def _packed(name: str, column: list[Any]) -> Any:  # noqa: ANN401 - Arrow's arrays
    """A column as an Arrow array; raises Arrow's errors where a value is ``ODD``."""
    return pa.array(column, pa.int64()) if name in _NUMBER_COLUMNS else bulk.strings(column)


def _together(parts: Sequence[dict[str, Any]], order: Any) -> dict[str, Any]:  # noqa: ANN401 - numpy's arrays
    """The columns of every form as those of all, in the order of the mails."""
    in_order = pa.array(order)

    def column(name: str) -> Any:  # noqa: ANN401 - Arrow's arrays
        kind = pa.int64() if name in _NUMBER_COLUMNS else pa.string()
        found = [part[name] if name in part else pa.nulls(len(part["event"]), kind) for part in parts]
        return found[0] if len(found) == 1 else pa.concat_arrays(found).take(in_order)

    return {name: column(name) for name in _OF_BODIES}


def _in_turn(
    mails: Sequence[_Mail], kept: Sequence[int], between: Sequence[tuple[int, Unit]]
) -> list[tuple[int, Unit]]:
    """Each unit that is no column's, and how many of the columns' mails are before it."""
    odd = sorted(set(range(len(mails))).difference(kept)) if len(kept) < len(mails) else []
    units = [(place, False, unit) for place, unit in between]
    for place in odd:
        start, head, body, *_ = mails[place]
        raw = (head + body).partition(b"\n")[2].rstrip(b"\r\n") + b"\n"
        units += [(place, True, unit) for unit in units_of_mail(raw, f"byte {start}", seen=True)]
    units.sort(key=itemgetter(0, 1))
    return [(place - bisect_left(odd, place), unit) for place, _, unit in units]


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


_VALUES: Final[Mapping[str, Callable[[Sequence[str]], list[Any]]]] = {
    "request_id": bulk.numbers,
    "serial": bulk.serials,
    "thumbprint": bulk.thumbprints,
    "reason": bulk.by_each(values.reason),
    "template": bulk.by_each(values.template),
    **dict.fromkeys(_TIMES, bulk.times),
}
