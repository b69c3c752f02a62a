"""What people say: the facts of an incident and their own names, checked once, here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from carecover.errors import UsageError
from carecover.model import CaseFacts, DateOrder, KeyExposed, utc_text

_TIMES: Final = ("backup", "failure", "restored")
_MAX_TEXT: Final = 200
_MAX_NAME: Final = 100
_MAX_URL: Final = 2048
_SCHEMES: Final = ("http", "https", "ldap", "ldaps", "file")


def change_facts(known: CaseFacts, changes: Mapping[str, object]) -> CaseFacts:
    """The facts with those changed that are given (None: not given).

    Times may be ISO 8601 text, read in the case's time zone where they have no offset.
    Raises UsageError, naming the fact, for anything that is none.
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
            raise UsageError(f"{earlier} ({utc_text(first)}) cannot be after {later} ({utc_text(second)}).")
    return after


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
        raise UsageError(f"'{name}' is no time zone. Use an IANA name such as Europe/Berlin, or UTC.") from None


def _moment(name: str, value: object, zone: ZoneInfo | None) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone or UTC)
            twice = moment.utcoffset() != moment.replace(fold=1).utcoffset()
        else:
            twice = False
        known = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"'{value}' is no time for {name}: use ISO 8601, such as 2026-11-23T04:30+01:00.") from None
    if twice:
        raise UsageError(
            f"{name}: at {value} the clocks in {zone} were changed, and that time came twice or not at all. Say it "
            "with its offset, such as +01:00."
        )
    return known


def _word(name: str, value: str) -> str:
    lists = {"date_order": get_args(DateOrder), "key_exposed": get_args(KeyExposed)}
    if name in lists and value not in lists[name]:
        raise UsageError(f"{name} is {', '.join(lists[name])}, not '{value}'.")
    if name == "config" and (value.count("\\") != 1 or not all(part.strip() for part in value.split("\\"))):
        raise UsageError(f"'{value}' is no CA configuration string: HOST\\CA name is expected.")
    if not value or len(value) > _MAX_TEXT or not value.isprintable():
        raise UsageError(f"The fact {name} must be printable text of 1 to {_MAX_TEXT} characters.")
    return value
