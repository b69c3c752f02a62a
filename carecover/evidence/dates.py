"""Printed dates → moments in UTC.

certutil and the exit module print times in the locale of a machine, mostly without zone and
seconds: ``7/11/2026 1:06 PM`` (en-US), ``02/09/2017 10:39`` (fr), ``3. 10. 2023 10:11:26``
(cs), ``27.08.2020 12:44`` (de), ``2026/1/1 8:00`` (zh), ``… GMT`` with ``-gmt``, and with
``-seconds`` either ``6:35:35.061 PM`` or ``6:35 PM 22.165s`` (both seen). Day and month are
undecidable from one value, so a file's dates are read together; what stays undecidable is NA
with a flag, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from carecover.errors import UsageError
from carecover.evidence.arrow import Index, Sure, Words, digit_bits, letters_of
from carecover.evidence.units import Context, PrintedTime
from carecover.model import DateOrder

ORDER_UNKNOWN: Final = "date_order_unknown"
ORDER_CONTRADICTED: Final = "date_order_contradicted"
UNREADABLE: Final = "date_unreadable"
ZONE_ASSUMED: Final = "zone_assumed_utc"
ZONE_FROM_HEADER: Final = "zone_from_date_header"
DATE_FLAGS: Final = frozenset({ORDER_UNKNOWN, ZONE_ASSUMED, ZONE_FROM_HEADER})
"""What a printed date leaves open, until something surer tells it."""

# Longer than any date that a locale prints.
_MAX_TEXT: Final = 64
# AD CS is of 2000 (the first CA of Windows NT of 1996); 99 years from now is a real CRL period.
_YEARS: Final = range(1990, 2200)
_OPEN: Final[tuple[DateOrder, ...]] = ("dmy", "mdy")
# A notification is sent when the thing happens; zones, slow relays and back-dating take hours.
_NEAR: Final = timedelta(days=3)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_NEAR_US: Final = _NEAR // _MICROSECOND
# Clocks that are put forward or back on a day show at one of these: none is put back again within the hour.
_HOURS: Final = (*(timedelta(hours=n) for n in range(24)), timedelta(hours=23, minutes=59, seconds=59))
_BLANKS = re.compile("[\\s\u00a0\u202f\u200e\u200f]+")
_AM: Final = ("am", "a.m.", "上午", "午前", "오전")
_PM: Final = ("pm", "p.m.", "下午", "午後", "오후")
_HALF = "|".join(re.escape(word) for word in (*_AM, *_PM))
_DATE = re.compile(
    r"(?P<a>\d{1,4}) ?(?P<sep>[./-]) ?(?P<b>\d{1,2}) ?(?P=sep) ?(?P<c>\d{1,4})\.?"
    r",?(?:[ t] ?"
    rf"(?P<early>{_HALF})? ?"
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2})(?:[.,](?P<part>\d{1,7}))?)?"
    rf" ?(?P<half>{_HALF})?"
    r"(?: (?P<late>\d{1,2})[.,](?P<latepart>\d{1,7})s)?"
    r")? ?(?P<zone>gmt|utc|z|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class _Shape:
    """A date whose fields are split but whose order may still be open."""

    fields: tuple[int, int, int]
    separator: str
    year_first: bool
    clock: tuple[int, int, int, int]
    zone: tzinfo | None

    def order(self) -> DateOrder | None:
        """The order that this value alone proves; None where it proves nothing."""
        if self.year_first:
            return "ymd"
        first, second, _ = self.fields
        if first > 12 >= second:
            return "dmy"
        if second > 12 >= first:
            return "mdy"
        # Windows has no locale that writes month.day.year.
        return "dmy" if self.separator == "." else None

    def read(self, order: DateOrder) -> datetime:
        """The moment without its zone; raises ValueError where the order does not fit."""
        first, second, third = self.fields
        year, month, day = {
            "ymd": (first, second, third),
            "dmy": (third, second, first),
            "mdy": (third, first, second),
        }[order]
        if year not in _YEARS:
            raise ValueError(year)
        return datetime(year, month, day, *self.clock)  # noqa: DTZ001 - the zone comes afterwards


@lru_cache(maxsize=4096)
def _shape(text: str) -> _Shape | None:
    if len(text) > _MAX_TEXT:
        return None
    plain = _BLANKS.sub(" ", text).strip().lower()
    # Spanish and others write "a. m.".
    match = _DATE.fullmatch(plain) or _DATE.fullmatch(plain.replace(". m.", ".m."))
    if match is None:
        return None
    hour, minute, second = int(match["hour"] or 0), int(match["minute"] or 0), int(match["second"] or 0)
    part = match["part"]
    if match["late"]:
        second, part = int(match["late"]), match["latepart"]
    half = match["half"] or match["early"]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in _PM else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    year_first = len(match["a"]) == 4
    if year_first == (len(match["c"]) == 4):
        return None
    if len(match["a"] if not year_first else match["c"]) > 2:
        return None
    return _Shape(
        (int(match["a"]), int(match["b"]), int(match["c"])),
        match["sep"],
        year_first,
        (hour, minute, second, int((part or "0").ljust(6, "0")[:6])),
        _zone(match["zone"]),
    )


def _zone(text: str | None) -> tzinfo | None:
    if not text:
        return None
    if text in {"gmt", "utc", "z"}:
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes)) if minutes < 24 * 60 else None


def zone_named(name: str | None) -> ZoneInfo | None:
    """The zone of an IANA name; UsageError where there is none of that name."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"'{name}' is not a time zone. Give an IANA name, such as Europe/Berlin or America/New_York."
        ) from None


def orders() -> tuple[DateOrder, ...]:
    """The orders in which a date may be written."""
    return ("dmy", "mdy", "ymd")


def naive(text: str, order: DateOrder) -> datetime | None:
    """A printed time read in an order, without its zone; None where it cannot be read so."""
    shape = _shape(text)
    if shape is None or shape.year_first != (order == "ymd"):
        return None
    try:
        return shape.read(order)
    except ValueError:
        return None


def order_in_mail(texts: Iterable[str], sent_at: datetime | None) -> DateOrder | None:
    """The order that the dates of one mail prove, by themselves or by lying close to its Date header.

    A mail that proves its own order is out of reach of what forged mails in the same archive
    would have the file's order be.
    """
    proved: set[DateOrder] = set()
    for text in texts:
        shape = _shape(text)
        if shape is None or shape.year_first:
            continue
        own = shape.order()
        if own is not None:
            proved.add(own)
        elif sent_at is not None:
            near = [order for order in _OPEN if _is_near(shape, order, sent_at)]
            if len(near) == 1:
                proved.add(near[0])
    return proved.pop() if len(proved) == 1 else None


def _is_near(shape: _Shape, order: DateOrder, sent_at: datetime) -> bool:
    try:
        return abs(shape.read(order).replace(tzinfo=UTC) - sent_at) <= _NEAR
    except ValueError:
        return False


# A day alone, as ``parted`` writes it: what was printed beside a clock, and the zone if it says one.
_DAY = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}(?: gmt)?", re.ASCII)
_GMT: Final = frozenset({"gmt", "utc", "z"})
# Texts of more shapes in one column, or of longer ones, were made to be odd.
_MAX_SHAPES: Final = 64
_MAX_SHAPED: Final = 40
_MIXER: Final = np.uint64(0x9E3779B97F4A7C15)

_FAR: Final = -(1 << 60)
_PROVED: Final[tuple[DateOrder | None, ...]] = (None, *_OPEN, None)


@lru_cache(maxsize=4096)
def _day(text: str) -> tuple[int, int | None, int | None] | None:
    """What a day says: 1 where it proves day first, 2 for month first, else 0; and its start if read so and so."""
    shape = _shape(text) if _DAY.fullmatch(text) else None
    if shape is None:
        return None
    if shape.year_first:
        return 0, None, None
    starts = [None if (day := naive(text, order)) is None else _since_1970(day) for order in _OPEN]
    own = shape.order()
    return (0 if own is None else 1 + _OPEN.index(own)), starts[0], starts[1]


def _since_1970(local: datetime) -> int:
    return (local.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Parted:
    """Printed times by the thousand, parted into days and clocks; ``rows`` are those of which that can be told.

    ``days`` are texts, ``day`` says which of them a row has, ``since`` its microseconds since midnight; ``others`` are
    the rows of any other form.
    """

    days: list[str]
    rows: Any
    day: Any
    since: Any
    others: list[int]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the numbers stand in every text that differs from one in its digits only."""

    fields: tuple[tuple[int, int], ...]
    """Begin and end of day, month and year as printed, hour, minute, second and its fraction."""
    separator: str
    half: int | None
    """Hours to add after noon; None for a clock of 24 hours."""
    zone: str

    def day(self, number: int) -> str:
        """The text of a day, which is told by its numbers in one: 01022025."""
        first, second, third = number // 1_000_000, number // 10_000 % 100, number % 10_000
        widths = (end - begin for begin, end in self.fields[:3])
        parts = (f"{n:0{width}}" for n, width in zip((first, second, third), widths, strict=True))
        return self.separator.join(parts) + self.zone


@lru_cache(maxsize=4096)
def _places(text: str) -> _Places | None:
    """The places of a text, or None for one whose numbers cannot be told by their places."""
    plain = text.lower()
    match = _DATE.fullmatch(plain) if text.isascii() else None
    zone = match["zone"] if match else None
    if match is None or _BLANKS.sub(" ", plain).strip() != plain or (zone and zone not in _GMT):
        return None
    if (len(match["a"]) == 4) == (len(match["c"]) == 4) or min(len(match["a"]), len(match["c"])) > 2:
        return None
    second, part = ("late", "latepart") if match["late"] else ("second", "part")
    spans = tuple(match.span(name) for name in ("a", "b", "c", "hour", "minute", second, part))
    half = match["half"] or match["early"]
    added = None if not half else 12 if half in _PM else 0
    return _Places(spans, match["sep"], added, " gmt" if zone else "")


@lru_cache(maxsize=1 << 15)
def _day_text(places: _Places, number: int) -> str:
    return places.day(number)


def parted(texts: Any) -> Parted:  # noqa: ANN401 - Arrow's arrays
    """Part texts (an Arrow array) into days and clocks: each shape is looked at once, each day is written once."""
    letters, begin, end = letters_of(texts)
    size = end - begin
    there = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False) & (size <= _MAX_SHAPED))
    begin, end = begin[there], end[there]
    words = [letters.words_until(begin + at, end) for at in range(0, int(size[there].max(initial=0)), 8)]
    bits = [digit_bits(word) for word in words]
    shapes = [word & ~((bit >> np.uint64(3)) - (bit >> np.uint64(7))) for word, bit in zip(words, bits, strict=True)]
    which, known = _grouped([(end - begin).astype(np.uint64), *shapes])
    days, clocks = np.zeros(len(there), np.int64), np.zeros(len(there), np.int64)
    fits = np.zeros(len(there), bool)
    names: list[str] = []
    for number, example in enumerate(known[:_MAX_SHAPES]):
        places = _places(bytes(letters.data[begin[example] : end[example]]).decode("utf-8", "replace"))
        if places is None:
            continue
        rows = np.flatnonzero(which == number)
        chosen = [word[rows] for word in words]
        first, second, third, *clock = (_number(chosen, *field) for field in places.fields)
        since, possible = _since_midnight(clock, places)
        days[rows], told = pd.factorize((first * 100 + second) * 10_000 + third)
        days[rows] += len(names)
        names += [_day_text(places, day) for day in told.tolist()]
        clocks[rows], fits[rows] = since, possible
    rows = np.flatnonzero(fits)
    valid = texts.is_valid().to_numpy(zero_copy_only=False)
    valid[there[rows]] = False
    return Parted(names, there[rows], days[rows], clocks[rows], np.flatnonzero(valid).tolist())


def _grouped(words: Sequence[Words]) -> tuple[Index, list[int]]:
    """The number of each row's group, whose rows have all words alike (-1: of none), and a row of each group."""
    key = np.zeros(len(words[0]), np.uint64)
    for word in words:
        key = (key ^ word) * _MIXER
        key ^= key >> np.uint64(29)
    which, groups = pd.factorize(key)
    example = np.zeros(len(groups), np.int64)
    example[which[::-1]] = np.arange(len(which))[::-1]
    for word in words:
        # Two that are not alike may have one key.
        which = np.where(word == word[example][which], which, -1)
    return which, example.tolist()


def _number(words: Sequence[Words], begin: int, end: int) -> Index:
    """The number between two places of every text; 0 where nothing stands."""
    number = np.zeros(len(words[0]), np.uint64)
    for place in range(max(begin, 0), end):
        number = number * np.uint64(10) + (words[place // 8] >> np.uint64(8 * (place % 8)) & np.uint64(15))
    found: Index = number.astype(np.int64)
    return found


def _since_midnight(clock: Sequence[Index], places: _Places) -> tuple[Index, Sure]:
    """Microseconds since midnight of hours, minutes, seconds and fractions, and whether there is such a time."""
    hour, minute, second, part = clock
    possible = (hour <= 23) & (minute <= 59) & (second <= 59)
    if places.half is not None:
        possible &= (hour >= 1) & (hour <= 12)
        hour = hour % 12 + places.half
    begin, end = places.fields[-1]
    # A seventh digit is cut off.
    part = part // 10 if end - begin > 6 else part * 10 ** (6 - (end - begin))
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + part, possible


def orders_near(columns: Sequence[tuple[Any, Parted]], sent: Any) -> list[DateOrder | None]:  # noqa: ANN401 - Arrow's and numpy's arrays
    """What ``order_in_mail`` says of mails: their printed times by columns, and when each was sent (microseconds)."""
    proved = np.zeros(len(sent), np.int8)
    alone: set[int] = set()
    for _, found in columns:
        told = [_day(text) or (0, None, None) for text in found.days] or [(0, None, None)]
        own = np.array([each[0] for each in told], np.int8)[found.day]
        for bit, place in ((1, 1), (2, 2)):
            start = np.array([_FAR if each[place] is None else each[place] for each in told], np.int64)[found.day]
            near = (np.abs(start + found.since - sent[found.rows]) <= _NEAR_US) & (start != _FAR)
            own |= np.where(np.array([each[0] == 0 for each in told])[found.day] & near, bit, 0).astype(np.int8)
        # Where both orders are near neither is proved.
        proved[found.rows] |= np.where(own == 3, 0, own)
        alone.update(found.others)
    orders = [_PROVED[each] for each in proved.tolist()]
    for row in alone:
        texts = [text for column, _ in columns if (text := column[row].as_py())]
        orders[row] = order_in_mail(texts, _EPOCH + int(sent[row]) * _MICROSECOND)
    return orders


class DateReader:
    """Reads the printed times of one file, after having seen them all.

    ``see`` every value first, ``read`` afterwards. The order of day and month is the
    context's; else what a value proves by itself; else what its mail suggests; else what the
    other values of the file prove, unless they contradict each other.
    """

    def __init__(self, context: Context) -> None:
        """Raise UsageError for a time zone that does not exist."""
        self._zone = zone_named(context.time_zone)
        self._stated = context.date_order
        self._proved: set[DateOrder] = set()
        self._days: dict[tuple[str, timezone | None, DateOrder | None], tuple[int, tuple[str, ...]] | None] = {}

    def see(self, texts: Iterable[str]) -> None:
        """Learn from values what order the file's dates have."""
        for text in texts:
            shape = _shape(text)
            if shape is not None and not shape.year_first and (proved := shape.order()) is not None:
                self._proved.add(proved)

    def see_all(self, texts: Any, found: Parted) -> None:  # noqa: ANN401 - Arrow's arrays
        """The same of an Arrow array and what it was parted into; beside a clock a day proves what it proves alone."""
        self.see(found.days[day] for day in np.flatnonzero(np.bincount(found.day)).tolist())
        self.see(texts[row].as_py() for row in found.others)

    def day(self, text: str, fallback: timezone | None, order: DateOrder | None) -> tuple[int, tuple[str, ...]] | None:
        """Where a day begins by ``read``, in microseconds since 1970; None where its times must be read one by one."""
        key = (text, fallback, order)
        try:
            return self._days[key]
        except KeyError:
            found = self._days[key] = self._read_day(*key)
            return found

    def _read_day(
        self, text: str, fallback: timezone | None, order: DateOrder | None
    ) -> tuple[int, tuple[str, ...]] | None:
        """The start of a day whose every clock is as far from it as it says; None where one may not be."""
        shape = _shape(text)
        if shape is None or _day(text) is None:
            return None
        first, odd = self.read(PrintedTime(text, fallback, order))
        if first is None:
            return None
        if self._zone is not None and shape.zone is None:
            # The zone may put its clocks forward or back on that day.
            local = (first.astimezone(self._zone)).replace(tzinfo=None)
            offsets = {(local + since).replace(tzinfo=self._zone).utcoffset() for since in _HOURS}
            if len(offsets) != 1 or (local.hour, local.minute) != (0, 0):
                return None
        return (first - _EPOCH) // _MICROSECOND, odd

    def read(self, printed: PrintedTime) -> tuple[datetime | None, tuple[str, ...]]:
        """The moment in UTC, or None, and the flags that say how far it can be trusted."""
        shape = _shape(printed.text)
        if shape is None:
            return None, (UNREADABLE,)
        order, problem = self._order(shape, printed.order)
        if order is None:
            return None, (problem,)
        try:
            local = shape.read(order)
            if shape.zone is not None:
                return local.replace(tzinfo=shape.zone).astimezone(UTC), ()
            if self._zone is not None:
                return local.replace(tzinfo=self._zone).astimezone(UTC), ()
            if printed.fallback is not None:
                return local.replace(tzinfo=printed.fallback).astimezone(UTC), (ZONE_FROM_HEADER,)
            return local.replace(tzinfo=UTC), (ZONE_ASSUMED,)
        except (ValueError, OverflowError):
            return None, (UNREADABLE,)

    def _order(self, shape: _Shape, suggested: DateOrder | None) -> tuple[DateOrder | None, str]:
        """The order to read a value in, or None and the flag that says why not."""
        own = shape.order()
        if shape.year_first:
            return "ymd", ""
        first, second, _ = shape.fields
        if self._stated in ("dmy", "mdy"):
            wrong = second > 12 if self._stated == "dmy" else first > 12
            return (None, ORDER_CONTRADICTED) if wrong else (self._stated, "")
        if own is not None:
            return own, ""
        if first == second:
            return "dmy", ""
        if suggested is not None:
            return suggested, ""
        if len(self._proved) == 1:
            return next(iter(self._proved)), ""
        return None, ORDER_UNKNOWN
