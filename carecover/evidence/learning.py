"""Mails of an unknown wording → proposals of how the CA words them, for a person to accept.

A mail proves nothing of itself, and anyone can send a thousand: a proposal is made only where serial
numbers (or request IDs with their requester) of such mails stand in the CA's rows, and it is ranked by how
many different ones stand there whose mail agrees with the row in another value too. What a value is, the rows
say, not its label: that works in any language. Mails about nothing in the rows cannot be learned from, nor
those that only have a title (a CRL was issued, the service started).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

import pandas as pd

from carecover.evidence import values
from carecover.evidence.dates import naive, orders
from carecover.evidence.profiles import is_answer, reading_by
from carecover.evidence.usage import wording_id, wording_row
from carecover.evidence.wording import CERTIFICATE, MAX_FORMAT_LINES, Line, Wording, plain
from carecover.model import TABLES, Disposition

PROPOSED: Final = "proposed"
# Layouts of mail that are kept apart: a mailbox has some hundred kinds of newsletters.
MAX_LAYOUTS: Final = 2_000
# Mails of a layout that are compared with the rows, and that are shown.
_SAMPLES: Final = 200
_EXAMPLES: Final = 3
_MAX_BODY: Final = 64 * 1024
_MAX_LINES: Final = 300
_MAX_LABEL: Final = 60
_MAX_VALUE: Final = 400
_MAX_SERIALS: Final = 200_000
# Digits of a hash (SHA-1), which is shaped like the longest serial numbers.
_HASH: Final = 40
# Bodies that are kept, to read them by a proposal before a person sees it: so many of a layout, so many characters.
_READ_AGAIN: Final = 20
_MAX_TEXT: Final = 64 * 1024 * 1024
_MAX_PROPOSALS: Final = 50
# Of the values of a label so many must fit: a mail may be damaged, or somebody's answer.
_MOST: Final = 0.8
_HALF: Final = 0.5
_FEW: Final = 0.3

_SEPARATOR = re.compile(r":(?=\s|$)|\s=\s|\t")
_TOKEN = re.compile(r"(?<![0-9A-Za-z])(?:0x)?([0-9a-fA-F]{12,40})(?![0-9A-Za-z])", re.ASCII)
_DN = re.compile(r"(?:CN|OU|O|DC|C|E|L|S|ST)\s?=", re.IGNORECASE)
_ACCOUNT = re.compile(r"[^\s\\]{1,60}\\[^\s\\][^\\]{0,60}")
_ENDS = ("-- ", "-----Original")
# Values of the rows that a label's values are held against, in this order.
_CHECKED: Final = ("thumbprint", "request_id", "requester", "subject", "template")
# Dates of a row → the column of a notification that they are.
_DATES: Final[Mapping[str, str | None]] = {
    "not_before": "not_before",
    "not_after": "not_after",
    "effective_revoked_at": "revoked_at",
    "revoked_at": None,
    "submitted_at": None,
}


@dataclass(slots=True)
class _Mail:
    """A mail as far as it is learned from: label → value, and the row's key that it is about."""

    fields: dict[str, str]
    subject: str
    key: str | int
    body: str = ""


@dataclass(slots=True)
class _Layout:
    mails: int = 0
    known: list[_Mail] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    serials: set[str] = field(default_factory=set)
    hits: set[str | int] = field(default_factory=set)
    senders: Counter[str] = field(default_factory=Counter)


class Unexplained:
    """Collects what the mails look like that no wording explains; ``rows`` are the CA's, ``ca_names`` its names."""

    def __init__(self, rows: pd.DataFrame, ca_names: Sequence[str] = ()) -> None:
        """Start with no mails."""
        held = rows[rows["serial"].notna()].drop_duplicates("serial")
        self._by_serial: dict[str, int] = dict(zip(held["serial"], held.index, strict=True))
        asked = rows[rows["request_id"].notna() & rows["requester"].notna()].drop_duplicates("request_id")
        self._by_request: dict[int, tuple[int, str]] = {
            int(number): (at, str(requester).casefold())
            for number, at, requester in zip(asked["request_id"], asked.index, asked["requester"], strict=True)
        }
        self._rows = rows
        self._names = [name for name in ca_names if name]
        self._layouts: dict[tuple[str, tuple[str, ...]], _Layout] = {}
        self._room, self._text = _MAX_SERIALS, _MAX_TEXT

    def __call__(self, subject: str, body: str, sender: str, _location: str) -> None:
        """Take one mail."""
        title = plain(subject)[:_MAX_VALUE]
        fields = dict(_fields(body[:_MAX_BODY]))
        if len(fields) < 2 or not title or is_answer(title):
            return
        key = (self._skeleton(title), tuple(fields))
        layout = self._layouts.get(key)
        if layout is None:
            if len(self._layouts) >= MAX_LAYOUTS:
                self._forget()
            layout = self._layouts[key] = _Layout()
        layout.mails += 1
        if len(layout.senders) < _EXAMPLES or sender in layout.senders:
            layout.senders[sender] += 1
        serials = [serial for value in fields.values() if (serial := _serial(value)) is not None]
        for serial in [each for each in serials if len(each) < _HASH] or serials:
            if self._room > 0 and serial not in layout.serials:
                layout.serials.add(serial)
                self._room -= 1
        about = next((serial for serial in serials if serial in self._by_serial), None)
        found: str | int | None = about if about is not None or serials else self._request(fields)
        if found is None:
            return
        layout.hits.add(found)
        # A mail that says what another has said teaches nothing more.
        if len(layout.known) < _SAMPLES and len(layout.hits) > len(layout.known):
            kept = body[: min(_MAX_BODY, self._text)] if len(layout.known) < _READ_AGAIN else ""
            self._text -= len(kept)
            layout.known.append(_Mail(fields, title, found, kept))

    def proposals(self) -> pd.DataFrame:
        """Table ``profiles``: the wordings that these mails suggest, the best first."""
        made = [row for (_, labels), layout in self._merged() if (row := self._proposal(labels, layout)) is not None]
        made.sort(key=lambda row: (-row["agreeing"], -row["known"], -row["mails"], row["profile_id"]))
        once: dict[str, dict[str, Any]] = {}
        for row in made:
            once.setdefault(row["profile_id"], row)
        return TABLES["profiles"].frame([_without(row) for row in list(once.values())[:_MAX_PROPOSALS]])

    def wording(self, profile_id: str) -> Wording | None:
        """The wording of a proposal, by its short name."""
        for (_, labels), layout in self._merged():
            row = self._proposal(labels, layout)
            if row is not None and row["profile_id"] == profile_id:
                found: Wording = row["_wording"]
                return found
        return None

    # ------------------------------------------------------------------ layouts

    def _skeleton(self, title: str) -> str:
        """A title without what changes from mail to mail."""
        for name in self._names:
            title = title.replace(name, "\x00")
        return " ".join("\x01" if _changes(word) else word for word in title.split())

    def _request(self, fields: Mapping[str, str]) -> int | None:
        """The request ID of a mail without serial number, where its requester is the row's."""
        given = {value.casefold() for value in fields.values()}
        for value in fields.values():
            number = _number(value)
            row = None if number is None else self._by_request.get(number)
            if row is not None and row[1] in given:
                return number
        return None

    def _forget(self) -> None:
        """Make room: what no row speaks for goes first, the rarest before the others."""
        idle = sorted((each for each in self._layouts.items() if not each[1].hits), key=lambda each: each[1].mails)
        for key, layout in (
            idle[: max(len(idle) // 2, 1)] or sorted(self._layouts.items(), key=lambda each: len(each[1].hits))[:1]
        ):
            self._room += len(layout.serials)
            del self._layouts[key]

    def _merged(self) -> Iterator[tuple[tuple[str, tuple[str, ...]], _Layout]]:
        """The layouts that rows speak for; titles that name somebody are one title."""
        of_labels: dict[tuple[str, ...], list[tuple[str, _Layout]]] = {}
        for (title, labels), layout in self._layouts.items():
            if layout.hits:
                of_labels.setdefault(labels, []).append((title, layout))
        for labels, layouts in of_labels.items():
            few = [each for each in layouts if each[1].mails < 3]
            if len(few) > 2 and _common([each[0].split() for each in few]) != (0, 0):
                whole = _Layout()
                for _, each in few:
                    whole.mails += each.mails
                    whole.known += each.known[: _SAMPLES - len(whole.known)]
                    whole.serials |= each.serials
                    whole.hits |= each.hits
                    whole.senders.update(each.senders)
                yield ("", labels), whole
                yield from (((title, labels), each) for title, each in layouts if each.mails >= 3)
            else:
                yield from (((title, labels), each) for title, each in layouts)

    # ------------------------------------------------------------------ one layout → a wording

    def _proposal(self, labels: Sequence[str], layout: _Layout) -> dict[str, Any] | None:
        mails = layout.known
        by_serial = isinstance(mails[0].key, str)
        rows = [self._row(mail.key) for mail in mails]
        columns: dict[str, str | None] = {}
        agreed: list[set[str]] = [set() for _ in mails]
        checked: list[str] = []

        def assign(column: str | None, label: str, fitting: Sequence[bool]) -> None:
            columns[label] = column
            checked.append(column or "another date")
            for mail, fits in zip(agreed, fitting, strict=True):
                if fits:
                    mail.add(column or label)

        if by_serial:
            about = max(labels, key=lambda each: sum(_serial(mail.fields[each]) == mail.key for mail in mails))
            columns[about] = "serial"
        for column in _CHECKED:
            best = _best(labels, columns, mails, rows, _FITS[column], column)
            if best is not None:
                assign(column, *best)
        for source, meant in _DATES.items():
            best = _best_date(labels, columns, mails, rows, source)
            if best is not None:
                assign(meant, *best)
        reason = _best(labels, columns, mails, rows, _same_reason, "reason")
        if reason is not None and sum(reason[1]) > 1:
            assign("reason", *reason)
        for each in labels:
            guess = None if each in columns else _shape([mail.fields[each] for mail in mails], columns)
            if guess is not None:
                columns[each] = guess
        if not by_serial and "request_id" not in columns.values():
            return None
        event = _event(columns, rows, by_serial=by_serial)
        if event is None:
            return None
        lines = tuple(_line(label, columns.get(label), mails) for label in labels[:MAX_FORMAT_LINES])
        needs = tuple(name for name in ("request_id", "serial") if name in columns.values())
        wording = Wording(event, self._title([mail.subject for mail in mails]), lines, needs)
        told = "serial" if by_serial else "request_id"
        again = [reading_by(wording, mail.body).fields.get(told) == mail.key for mail in mails if mail.body]
        if sum(again) < _MOST * len(again) or not again:
            # What was seen in the mails is not what a reader would find there.
            return None
        agreeing = {mail.key for mail, with_ in zip(mails, agreed, strict=True) if with_}
        return wording_row(
            wording, f"learned-{wording_id(wording)}", PROPOSED,
            mails=layout.mails, serials=len(layout.serials), known=len(layout.hits), agreeing=len(agreeing),
            checked=[*(["serial"] if by_serial else []), *checked],
            examples=[_example(wording, mail) for mail in mails[:_EXAMPLES] if mail.body],
            senders=[sender for sender, _ in layout.senders.most_common()],
        ) | {"_wording": wording}  # fmt: skip

    def _row(self, key: str | int) -> Mapping[str, Any]:
        at = self._by_serial[key] if isinstance(key, str) else self._by_request[key][0]
        return {str(name): None if _absent(value) else value for name, value in self._rows.loc[at].items()}

    def _title(self, subjects: Sequence[str]) -> Line:
        """The title: the CA's name where it has it, else what all of them begin and end with."""
        for name in self._names:
            parts = {subject.partition(name)[::2] for subject in subjects if name in subject}
            if len(parts) == 1 and all(name in subject for subject in subjects):
                before, after = parts.pop()
                return Line(before.strip(), ("ca_name",), (after.strip(),))
        words = [subject.split() for subject in subjects]
        if all(each == words[0] for each in words):
            return Line(subjects[0])
        first, last = _common(words)
        return Line(" ".join(words[0][:first]), (None,), (" ".join(words[0][len(words[0]) - last :]),))


def _without(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if not name.startswith("_")}


def _absent(value: object) -> bool:
    return not isinstance(value, list) and bool(pd.isna(value))  # type: ignore[call-overload]


def _changes(word: str) -> bool:
    return any(letter.isdigit() or letter in "\\@=" for letter in word)


def _common(words: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How many words all of them begin and end with; (0, 0) where that is less than two."""
    shortest = min(map(len, words))
    first = next((n for n in range(shortest) if len({each[n] for each in words}) > 1), shortest)
    room = shortest - first
    last = next((n for n in range(room) if len({each[-1 - n] for each in words}) > 1), room)
    return (first, last) if first + last > 1 else (0, 0)


def _fields(body: str) -> Iterator[tuple[str, str]]:
    """Label → value of the lines of a body that have both; a label of its own line has its value on the next."""
    waiting: str | None = None
    seen: set[str] = set()
    for raw in body.split("\n", _MAX_LINES)[:_MAX_LINES]:
        if raw.startswith(_ENDS):
            return
        line = raw.strip()[:2_000]
        if not line:
            continue
        found = _SEPARATOR.search(line, 0, _MAX_LABEL + 2)
        head = line[: found.start()].strip() if found else ""
        if found and _is_label(head):
            label = f"{head}{found[0].strip()}"
            value = line[found.end() :].strip()
            waiting = None if value else label
        elif waiting is not None:
            label, value, waiting = waiting, line, None
        elif (token := _TOKEN.search(line)) is not None and _is_label(line[: token.start()].strip()):
            label, value = line[: token.start()].strip(), line[token.start() :]
        else:
            continue
        if value and label not in seen:
            seen.add(label)
            yield label, value[:_MAX_VALUE]


def _is_label(text: str) -> bool:
    few = len(text) <= _MAX_LABEL and len(text.split()) <= 8
    return few and any(map(str.isalpha, text)) and not _TOKEN.search(text) and not _DN.match(text)


def _serial(value: str) -> str | None:
    """A serial number, where the value begins with something of that shape."""
    if value.count(" ") > 18 and len(value) < 80:
        value = value.replace(" ", "")
    token = _TOKEN.match(value.strip().replace(":", "")[:60].strip('"'))
    try:
        return values.serial(token[1]) if token else None
    except ValueError:
        return None


def _number(value: str) -> int | None:
    try:
        return values.request_id(value)
    except ValueError:
        return None


# ------------------------------------------------------------------------- values and rows


def _same_number(value: str, wanted: Any) -> bool:  # noqa: ANN401 - a cell
    return bool(_number(value) == int(wanted))


def _same_hash(value: str, wanted: Any) -> bool:  # noqa: ANN401 - a cell
    try:
        return bool(values.thumbprint(value) == wanted)
    except ValueError:
        return False


def _same_text(value: str, wanted: Any) -> bool:  # noqa: ANN401 - a cell
    return "".join(value.split()).casefold() == "".join(str(wanted).split()).casefold()


def _same_reason(value: str, wanted: Any) -> bool:  # noqa: ANN401 - a cell
    try:
        return values.reason(value) == int(wanted)
    except ValueError:
        return False


_FITS: Final[Mapping[str, Callable[[str, Any], bool]]] = {
    "thumbprint": _same_hash,
    "request_id": _same_number,
    "requester": _same_text,
    "subject": _same_text,
    "template": lambda value, wanted: values.template(value) == wanted or values.template_oid(value) == wanted,
}


def _best(
    labels: Sequence[str],
    taken: Mapping[str, str | None],
    mails: Sequence[_Mail],
    rows: Sequence[Mapping[str, Any]],
    fits: Callable[[str, Any], bool],
    column: str,
) -> tuple[str, list[bool]] | None:
    """The label whose values are those of a column of the rows, and for which mails they are."""
    best: tuple[str, list[bool]] | None = None
    for label in labels:
        if label in taken:
            continue
        fitting, compared = [], 0
        for mail, row in zip(mails, rows, strict=True):
            wanted = [w for w in (row.get(column), row.get("template_oid") if column == "template" else None) if w]
            value = values.given(mail.fields[label])
            there = bool(wanted) and value is not None
            compared += there
            fitting.append(there and any(fits(str(value), each) for each in wanted))
        if compared and sum(fitting) >= _MOST * compared and (best is None or sum(fitting) > sum(best[1])):
            best = label, fitting
    return best


def _best_date(
    labels: Sequence[str],
    taken: Mapping[str, str | None],
    mails: Sequence[_Mail],
    rows: Sequence[Mapping[str, Any]],
    source: str,
) -> tuple[str, list[bool]] | None:
    """The same for a time, whose zone and order are not known: it and the row's are whole quarters of an hour apart."""
    best: tuple[tuple[int, int, int], str, list[bool]] | None = None
    for place, label in enumerate(labels):
        if label in taken:
            continue
        for order in orders():
            printed = [
                None if (value := values.given(mail.fields[label])) is None else naive(value, order) for mail in mails
            ]
            fitting = [_quarters_apart(time, row.get(source)) for time, row in zip(printed, rows, strict=True)]
            given = [values.given(mail.fields[label]) is not None for mail in mails]
            compared = sum(there and row.get(source) is not None for there, row in zip(given, rows, strict=True))
            # Two times of a row are often the same minute: the label that fits another time less well is this one.
            others = [name for name in _DATES if name != source]
            rivals = sum(
                any(_quarters_apart(time, row.get(name)) for name in others)
                for time, row in zip(printed, rows, strict=True)
            )
            # Where that tells nothing either, the CA's own list has the effective time behind the other (inferred).
            rank = (sum(fitting), -rivals, place if source == "effective_revoked_at" else -place)
            if compared and sum(fitting) >= _MOST * compared and (best is None or rank > best[0]):
                best = rank, label, fitting
    return None if best is None else best[1:]


def _quarters_apart(printed: Any, moment: Any) -> bool:  # noqa: ANN401 - times of two kinds
    if printed is None or moment is None:
        return False
    minutes = ceil((printed - moment.tz_convert(None).to_pydatetime()).total_seconds() / 60)
    # The zones of the world: UTC-12 to UTC+14.
    return bool(minutes % 15 == 0 and -12 * 60 <= minutes <= 14 * 60)


def _shape(given: Sequence[str], columns: Mapping[str, str | None]) -> str | None:
    """What a value must be by its shape, where no row says it."""
    told = [value for text in given if (value := values.given(text)) is not None]
    shapes: Mapping[str, Callable[[str], bool]] = {
        CERTIFICATE: lambda value: value.startswith(("MII", "-----BEGIN")),
        "thumbprint": lambda value: _same_hash(value, "".join(value.split()).lower().replace(":", "")),
        "template": lambda value: value.startswith("1.3.6.1.4.1.311.21.8."),
        "subject": lambda value: _DN.match(value) is not None,
        "upn": lambda value: value.count("@") == 1 and " " not in value,
        "requester": lambda value: _ACCOUNT.fullmatch(value) is not None,
    }
    for column, fits in shapes.items():
        if column not in columns.values() and told and sum(map(fits, told)) >= _MOST * len(told):
            return column
    return None


def _line(label: str, column: str | None, mails: Sequence[_Mail]) -> Line:
    """A line of a wording; behind a serial number in a sentence, the sentence goes on."""
    if column == "serial" and not label.endswith((":", "=")):
        rests = [mail.fields[label][found.end() :] for mail in mails if (found := _TOKEN.match(mail.fields[label]))]
        alike = plain(_beginning(rests)).rstrip("0123456789")
        if any(rests) and alike:
            return Line(label, (column, None), (alike, ""))
    return Line(label, (column,), ("",))


def _beginning(texts: Sequence[str]) -> str:
    """What all of them begin with."""
    first, last = min(texts, default=""), max(texts, default="")
    alike = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:alike]


def _event(columns: Mapping[str, str | None], rows: Sequence[Mapping[str, Any]], *, by_serial: bool) -> str | None:
    """What these mails are about, by what became of the rows; None where that is not clear.

    The rows are those of a backup: what was revoked afterwards is valid there.
    """
    states = Counter(row.get("disposition") for row in rows)
    if by_serial:
        revoked = states[int(Disposition.REVOKED)]
        told = {"revoked_at", "reason"} & set(columns.values())
        if told or revoked > _HALF * len(rows):
            return "revoked"
        return "issued" if revoked <= _FEW * len(rows) else None
    refused = states[int(Disposition.DENIED)] + states[int(Disposition.FAILED)]
    return "denied" if 2 * refused > len(rows) else "pending"


def _example(wording: Wording, mail: _Mail) -> str:
    """What would be read of a mail, in one line."""
    reading = reading_by(wording, mail.body)
    told = {name: reading.fields.get(name) for name in wording.columns if name not in (CERTIFICATE, "ca_name")}
    shown = {name: getattr(value, "text", value) for name, value in told.items() if value is not None}
    return "; ".join([f"event {wording.event}", *(f"{name} {plain(str(value))[:80]}" for name, value in shown.items())])
