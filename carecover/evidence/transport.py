"""Who else dates a mail, and who handed it over: the headers Date, Thread-Index and Received.

Anyone can write any of them; only the first server's own words in Received are not the
sender's. They are signals of what does not fit together, never a proof.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

import numpy as np

# What is looked at of a Received header: host names stand at its start, the date at its end.
MAX_RECEIVED_BYTES: Final = 1024
_FILETIME_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FROM_1601: Final = (_EPOCH - _FILETIME_EPOCH) // _MICROSECOND
# A reply or a forwarded mail has five more bytes for each step; its clock is the first mail's.
_THREAD_INDEX_BYTES: Final = 22
_THREAD_INDEX_LETTERS: Final = 32
# AD CS and CDO are of 2000; what lies outside is no clock.
_YEARS: Final = range(1990, 2200)
_FIRST, _BEHIND = ((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND for year in (1990, 2200))
_FROM = re.compile(r"\s*from\s+(\[[^\]\s]{1,60}\]|[^\s(\[;]{1,253}(?![^\s(\[;]))\s*", re.IGNORECASE)
_BY = re.compile(r"\sby\s+([^\s(;]{1,253})", re.IGNORECASE)
# What a server adds of its own: "(name [address])", "(user@name [address])", "(address)", "[address]", "(HELO name)".
_WITNESS = re.compile(
    r"[(\s]\s*(?:[^\s()@\[\]]{1,80}@)?([A-Za-z0-9._:%-]{0,253})\s*(?:\[(?:IPv6:)?([0-9A-Za-z.:%]{1,60})\])?([^\s(]?)"
)
_WITNESSES: Final = 8
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?", re.ASCII)
_GREETINGS: Final = frozenset({"helo", "ehlo", "lhlo"})


# A moment in the form that programs give it: the day, the clock, the offset.
_DAY: Final = re.compile(rb"[A-Z][a-z]{2}, \d\d? [A-Z][a-z]{2} \d{4} ")
_CLOCK: Final = re.compile(rb"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d")
_LONGEST_STAMP: Final = 31
_OFFSET: Final = re.compile(rb" [+-]\d{4}")


@lru_cache(maxsize=4096)
def _midnight(day: bytes, offset: bytes) -> tuple[int, timezone | None] | None:
    """The start of a day in microseconds since 1970, and the offset; None where the forms are not the common ones."""
    if not _DAY.fullmatch(day) or not _OFFSET.fullmatch(offset):
        return None
    moment, zone = _read_moment(day + b"00:00:00" + offset)
    if moment is None or not _YEARS.start < moment.year < _YEARS.stop - 1:
        return None
    return (moment - _EPOCH) // _MICROSECOND, zone


@lru_cache(maxsize=1 << 17)
def _since_midnight(clock: bytes) -> int | None:
    """Microseconds of a clock of hours, minutes and seconds."""
    if not _CLOCK.fullmatch(clock):
        return None
    return ((int(clock[:2]) * 60 + int(clock[3:5])) * 60 + int(clock[6:])) * 1_000_000


def stamp(value: bytes) -> tuple[int, timezone | None] | None:
    """What ``sent_at`` gives, in microseconds since 1970, of a moment in the form that nearly all have; else None.

    Days come again in a mailbox, and so do clocks: each is read once.
    """
    value = value.strip()
    if len(value) > _LONGEST_STAMP:
        return None
    start = _midnight(value[:-14], value[-6:])
    since = None if start is None else _since_midnight(value[-14:-6])
    return None if start is None or since is None else (start[0] + since, start[1])


def stamps(values: Sequence[bytes]) -> tuple[list[int | None], list[timezone | None]]:
    """``stamp`` of each of many, in two columns; a moment is None where that gives none."""
    found = [value.strip() for value in values]
    clocks = b"".join([value[-14:-6] for value in found])
    since = _clocks(clocks) if len(clocks) == 8 * len(found) else None
    if since is None or max(map(len, found), default=0) > _LONGEST_STAMP:
        each = [stamp(value) or (None, None) for value in values]
        return [moment for moment, _ in each], [zone for _, zone in each]
    days = [value[:-14] + value[-6:] for value in found]
    starts = {day: _midnight(day[:-6], day[-6:]) or (None, None) for day in set(days)}
    told = [starts[day] for day in days]
    moments = [None if at is None else at + clock for (at, _), clock in zip(told, since, strict=True)]
    return moments, [zone for _, zone in told]


def _clocks(text: bytes) -> list[int] | None:
    """Microseconds of clocks of hours, minutes and seconds, one behind the other; None where one is no such clock."""
    digits = np.frombuffer(text, np.uint8).reshape(-1, 8).astype(np.int64) - ord("0")
    numbers = [10 * digits[:, at] + digits[:, at + 1] for at in (0, 3, 6)]
    places = digits[:, [0, 1, 3, 4, 6, 7]]
    colons = digits[:, [2, 5]] == ord(":") - ord("0")
    if not (colons.all() and ((places >= 0) & (places <= 9)).all()):
        return None
    hours, minutes, seconds = numbers
    if (hours > 23).any() or (minutes > 59).any() or (seconds > 59).any():
        return None
    clocks: list[int] = (((hours * 60 + minutes) * 60 + seconds) * 1_000_000).tolist()
    return clocks


def thread_stamps(values: Sequence[bytes | None]) -> list[int | None]:
    """The clock of each of many Thread-Index headers of the usual form in microseconds since 1970, else None."""
    found = [None if value is None else value.strip() for value in values]
    usual = [value for value in found if value is not None and len(value) == _THREAD_INDEX_LETTERS]
    try:
        # Three bytes in four letters: what is before the end of each is decoded as one.
        raw = binascii.a2b_base64(b"".join([value[:-4] for value in usual]), strict_mode=True)
        sound = all(len(binascii.a2b_base64(end, strict_mode=True)) == 1 for end in {value[-4:] for value in usual})
    except binascii.Error:
        raw, sound = b"", False
    if not sound:
        return [None if value is None else _in_range(thread_stamp(value)) for value in found]
    octets = np.frombuffer(raw, np.uint8).reshape(-1, _THREAD_INDEX_BYTES - 1)[:, :6].astype(np.uint64)
    clocks = np.zeros(len(octets), np.uint64)
    for place in range(6):
        clocks |= octets[:, place] << np.uint64(56 - 8 * place)
    moments = (clocks // np.uint64(10)).astype(np.int64) - _FROM_1601
    if len(usual) == len(found) and ((moments >= _FIRST) & (moments < _BEHIND)).all():
        told: list[int | None] = moments.tolist()
        return told
    each = iter(moments.tolist())
    return [
        None if value is None else _in_range(next(each) if len(value) == _THREAD_INDEX_LETTERS else thread_stamp(value))
        for value in found
    ]


def _in_range(moment: int | None) -> int | None:
    return moment if moment is not None and _FIRST <= moment < _BEHIND else None


def thread_stamp(value: bytes) -> int | None:
    """The same of one."""
    try:
        raw = binascii.a2b_base64(value, strict_mode=True)
    except binascii.Error:
        return None
    if len(raw) != _THREAD_INDEX_BYTES:
        return None
    return (int.from_bytes(raw[:6], "big") << 16) // 10 - _FROM_1601


def received_stamps(values: Sequence[bytes | None]) -> tuple[list[int | None], list[str | None]]:
    """Moment and host of each of many Received headers of the usual form, in two columns; else None.

    The host stands before what the server says of itself, and so it is the same wherever that is.
    """
    parts = [(b"" if value is None else value).rpartition(b";") for value in values]
    moments, zones = stamps([moment for _, _, moment in parts])
    places = [words.partition(b" with ")[:2] for words, _, _ in parts]
    hosts = {place: _handed_over(place[0]) if place[1] else None for place in set(places)}
    told = [hosts[place] for place in places]
    if None not in values and None not in zones and None not in told:
        longest = max(map(len, values), default=0)  # type: ignore[arg-type]
        if longest <= MAX_RECEIVED_BYTES:
            return moments, [host[0] for host in told]  # type: ignore[index]
    for number, (value, zone, host) in enumerate(zip(values, zones, told, strict=True)):
        if value is None or zone is None or host is None or len(value) > MAX_RECEIVED_BYTES:
            moments[number], told[number] = None, None
    return moments, [None if host is None else host[0] for host in told]


@lru_cache(maxsize=4096)
def _handed_over(place: bytes) -> tuple[str | None] | None:
    """The host of a Received header up to "with"; None where the server's name is not in it."""
    said = _FROM.match(place.decode("ascii", "replace"))
    if said is None or _BY.search(place.decode("ascii", "replace"), said.end() - 1) is None:
        return None
    return (_received_from(place),)


def witnesses(headers: Mapping[bytes, bytes]) -> dict[str, object]:
    """What the headers say besides Date: the sending machine's clock, and the first mail server's word."""
    received = headers.get(b"received")
    row: dict[str, object] = {"thread_index_at": _thread_index(headers.get(b"thread-index"))}
    if received is not None:
        row["received_at"] = _received_at(received)
        row["received_from"] = _received_from(received)
    return row


def _thread_index(value: bytes | None) -> datetime | None:
    """The clock in the Thread-Index of a fresh mail: six bytes, the upper 48 bits of a FILETIME.

    [MS-OXOMSG] 2.2.1.3. CDO writes it from the sending machine's clock. Exchange gives a mail
    that has none another form (0x01, then 40 bits), which is not the sender's clock: None.
    """
    if value is None or len(value) > 200:
        return None
    try:
        raw = base64.b64decode(b"".join(value.split()), validate=True)
        if len(raw) != _THREAD_INDEX_BYTES:
            return None
        moment = _FILETIME_EPOCH + timedelta(microseconds=(int.from_bytes(raw[:6], "big") << 16) // 10)
    except (binascii.Error, ValueError, OverflowError):
        return None
    return moment if moment.year in _YEARS else None


def _received_at(value: bytes) -> datetime | None:
    """The time behind the last semicolon of a Received header (RFC 5321 4.4)."""
    text = value[-MAX_RECEIVED_BYTES:].rpartition(b";")[2]
    moment, zone = sent_at(text) if b";" in value else (None, None)
    # A zone that nobody knows is no zone; "-0000" is UTC.
    if moment is None or (zone is None and b"-0000" not in text):
        return None
    return moment if moment.year in _YEARS else None


def _received_from(value: bytes) -> str | None:
    """The host that handed a mail over: the name that the server saw, else the address, else what the host said.

    A name behind HELO is only a claim. IIS writes "from mail pickup service by X" where a
    program on X itself put the mail into a folder: then it is X.
    """
    text = value[:MAX_RECEIVED_BYTES].decode("ascii", "replace")
    said = _FROM.match(text)
    if said is None:
        return None
    by = _BY.search(text, said.end() - 1)
    if text[said.start() :].lower().lstrip().startswith("from mail pickup service"):
        return _host(by[1]) if by else None
    place = text[said.end() - 1 : by.start() + 1 if by else None].partition(";")[0]
    for number, match in enumerate(_WITNESS.finditer(place)):
        name, address, behind = match.groups()
        if number >= _WITNESSES:
            break
        if name.lower() in _GREETINGS or "helo=" in place.lower():
            # The server put its own word first, and the greeting behind it.
            if seen := _host(said[1]):
                return seen
            continue
        told = address or (match[0].startswith("(") and behind == ")")
        if told and (found := _host(name) or _host(address)):
            return found
    return _host(said[1])


def _host(text: str | None) -> str | None:
    """A host name or address in one spelling; None for "unknown" and for what can be neither."""
    bare = (text or "").strip("[]").removeprefix("IPv6:")
    try:
        return str(ip_address(bare))
    except ValueError:
        name = bare.rpartition("@")[2].rstrip(".").lower()
        return name if name != "unknown" and _HOST.fullmatch(name) else None


def sent_at(value: bytes | None) -> tuple[datetime | None, timezone | None]:
    """A Date header in UTC, and its offset where it gives one."""
    if value is None or len(value) > 200:
        return None, None
    told = stamp(value)
    return _read_moment(value) if told is None else (_EPOCH + timedelta(microseconds=told[0]), told[1])


def _read_moment(value: bytes) -> tuple[datetime | None, timezone | None]:
    try:
        moment = parsedate_to_datetime(value.strip().decode("ascii"))
        if moment.tzinfo is None:
            # RFC 5322 3.3: "-0000" says that the time is UTC and the zone unknown.
            return moment.replace(tzinfo=UTC), None
        offset = moment.utcoffset()
        return moment.astimezone(UTC), timezone(offset) if offset is not None else None
    except (ValueError, TypeError, IndexError, OverflowError, UnicodeDecodeError):
        return None, None
