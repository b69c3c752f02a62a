"""What people say: the facts of an incident and their own names, checked once, here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from carecover.errors import FactError, UsageError
from carecover.model import CaseFacts, DateOrder, KeyExposed

LABELS: Final[Mapping[str, str]] = {
    "ca": "CA name",
    "config": "CA configuration",
    "time_zone": "Time zone",
    "backup": "Last backup",
    "failure": "Failure",
    "restored": "Restored",
    "date_order": "Dates are written",
    "key_exposed": "CA key exposed?",
}
"""What people are asked for, by the names of the facts."""

_TIMES: Final = ("backup", "failure", "restored")
_MOST_SHOWN: Final = 60
# Day.month.year with dots is written nowhere as anything else; slashes and dashes are.
_DOTTED: Final = re.compile(
    r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4})"
    r"(?:[ ,T]\s?(?P<hour>\d{1,2}):(?P<rest>\d{2}(?::\d{2})?)(?:\s*uhr)?\s*(?P<offset>Z|[+-]\d{2}:\d{2})?)?",
    re.ASCII | re.IGNORECASE,
)
_MAX_TEXT: Final = 200
_MAX_NAME: Final = 100
_MAX_URL: Final = 2048
_SCHEMES: Final = ("http", "https", "ldap", "ldaps", "file")


def change_facts(known: CaseFacts, changes: Mapping[str, object]) -> CaseFacts:
    """The facts with those changed that are given (None: not given).

    Times may be text, ISO 8601 or day.month.year and the time, read in the case's time zone where they have no offset.
    Raises FactError, naming the facts, for anything that is none, and UsageError for the name of a fact that is none.
    """
    names = CaseFacts.__dataclass_fields__
    if unknown := sorted(set(changes) - set(names)):
        raise UsageError(f"There is no fact '{', '.join(unknown)}'. Facts: {', '.join(names)}.")
    given = {name: value for name, value in changes.items() if value is not None}
    zone = _zone(given.get("time_zone", known.time_zone))
    changed: dict[str, Any] = {}
    for name, value in given.items():
        changed[name] = _moment(name, value, zone) if name in _TIMES else _word(name, str(value).strip())
    after = replace(known, **changed)
    told = [(name, moment) for name in _TIMES if (moment := getattr(after, name)) is not None]
    for (earlier, first), (later, second) in pairwise(told):
        if first > second:
            shown = [f"{LABELS[n]} ({_as_said(given.get(n), t, zone)})" for n, t in ((earlier, first), (later, second))]
            raise FactError(f"{shown[0]} cannot be after {shown[1]}: correct the one that is wrong.", earlier, later)
    return after


def _as_said(said: object, moment: datetime, zone: ZoneInfo | None) -> str:
    """A time as a person typed it; one that was known before in the zone of the case."""
    if isinstance(said, str):
        return _printable(said.strip())
    return f"{moment.astimezone(zone or UTC):%Y-%m-%d %H:%M}{f' {zone}' if zone else ' UTC'}"


def person_name(name: str) -> str:
    """A person's name as it is recorded; raises UsageError where it is none."""
    clean = " ".join(name.split())
    if not clean or len(clean) > _MAX_NAME or not clean.isprintable():
        raise UsageError(f"A person's name is printable text of 1 to {_MAX_NAME} characters: --by 'First Last'.")
    return clean


def check_place(url: str) -> str:
    """The URL of a distribution point, as it is recorded; raises UsageError where it is none."""
    clean = url.strip()
    try:
        parts = urlsplit(clean)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in _SCHEMES or not (parts.netloc or parts.path.strip("/")) or len(clean) > _MAX_URL:
        raise UsageError(f"A distribution point is a URL of {', '.join(_SCHEMES)}, as the certificates name it.")
    if not clean.isprintable() or "@" in parts.netloc:
        raise UsageError("The URL of a distribution point is recorded: it has no name, password or control characters.")
    return clean


def _zone(name: object) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        said = str(name).strip().replace(" ", "_").casefold()
        meant = sorted(z for z in available_timezones() if z.rpartition("/")[2].casefold() == said and "/" in z)
        helps = (
            f"Did you mean {' or '.join(meant[:3])}?"
            if meant
            else "Write its IANA name, such as Europe/Berlin, or UTC."
        )
        raise FactError(f"{LABELS['time_zone']}: {_quoted(name)} is no time zone. {helps}", "time_zone") from None


def _moment(name: str, value: object, zone: ZoneInfo | None) -> datetime:
    label = LABELS[name]
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(_iso(str(value).strip()))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone or UTC)
            twice = moment.utcoffset() != moment.replace(fold=1).utcoffset()
        else:
            twice = False
        known = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise FactError(
            f"{label}: {_quoted(value)} is no time. Write it as 2026-11-23 04:30, or with its offset as "
            "2026-11-23 04:30+01:00.",
            name,
        ) from None
    if twice:
        raise FactError(
            f"{label}: at {value} the clocks in {zone} were changed, and that time came twice or not at all. Say it "
            "with its offset, such as +01:00.",
            name,
        )
    return known


def _iso(said: str) -> str:
    """The same as ISO 8601 where the day comes first, with dots."""
    if not (found := _DOTTED.fullmatch(said)):
        return said
    day = f"{found['year']}-{int(found['month']):02}-{int(found['day']):02}"
    return day if found["hour"] is None else f"{day}T{int(found['hour']):02}:{found['rest']}{found['offset'] or ''}"


def _quoted(value: object) -> str:
    """What was typed, fit for a sentence."""
    shown = _printable(str(value)[: _MOST_SHOWN + 1])
    return f"'{shown if len(shown) <= _MOST_SHOWN else shown[:_MOST_SHOWN] + '…'}'"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _word(name: str, value: str) -> str:
    lists = {"date_order": get_args(DateOrder), "key_exposed": get_args(KeyExposed)}
    if name in lists and value not in lists[name]:
        raise FactError(f"{name} is {', '.join(lists[name])}, not {_quoted(value)}.", name)
    if name == "config" and (value.count("\\") != 1 or not all(part.strip() for part in value.split("\\"))):
        raise FactError(
            f"{LABELS[name]}: {_quoted(value)} is no CA configuration string: HOST\\CA name is expected.", name
        )
    if not value or len(value) > _MAX_TEXT or not value.isprintable():
        raise FactError(f"{LABELS[name]} must be printable text of 1 to {_MAX_TEXT} characters.", name)
    return value
