"""Units as lines of text and back: what was read of a range can be kept, and nothing is run when it is loaded."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from carecover.evidence.units import Duplicate, Irrelevant, Parsed, PrintedTime, Rejected, Unit

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def frozen(units: Iterable[Unit]) -> list[str]:
    """One line of JSON for each unit; raises ValueError for units that are packed columns."""
    return [json.dumps(_body(unit), ensure_ascii=True) for unit in units]


def thawed(lines: Sequence[str]) -> list[Unit]:
    """The units again; raises ValueError, KeyError or TypeError where the lines are not ours."""
    return [_unit(json.loads(line)) for line in lines]


def _body(unit: Unit) -> dict[str, Any]:
    match unit:
        case Parsed(rows, units, columns, key):
            if columns:
                raise ValueError("packed columns are not kept as lines")
            told = [[table, {name: _value(value) for name, value in row.items()}] for table, row in rows]
            return {"parsed": told, "units": units, "key": _key(key)}
        case Irrelevant(units, key):
            return {"irrelevant": units, "key": _key(key)}
        case Duplicate():
            return {"duplicate": 1}
        case Rejected(location, stage, reason, size, sha256, key):
            return {"rejected": [location, stage, reason, size, sha256], "key": _key(key)}


def _unit(body: dict[str, Any]) -> Unit:
    key = bytes.fromhex(body["key"]) if body.get("key") else None
    if "parsed" in body:
        rows = tuple((str(table), {n: _thawed_value(v) for n, v in row.items()}) for table, row in body["parsed"])
        return Parsed(rows, int(body["units"]), (), key)
    if "irrelevant" in body:
        return Irrelevant(int(body["irrelevant"]), key)
    if "rejected" in body:
        location, stage, reason, size, sha256 = body["rejected"]
        return Rejected(str(location), stage, str(reason), int(size), str(sha256), key)
    return Duplicate()


def _key(key: bytes | None) -> str | None:
    return None if key is None else key.hex()


def _value(value: object) -> object:
    """A cell: what JSON has no word for is a list with its kind; lists of text are one as well."""
    match value:
        case None | bool() | int() | str():
            return value
        case bytes():
            return ["bytes", base64.b64encode(value).decode("ascii")]
        case datetime():
            return ["time", (value - _EPOCH) // timedelta(microseconds=1)]
        case PrintedTime(text, fallback, order):
            zone = None if fallback is None else fallback.utcoffset(None) // timedelta(microseconds=1)
            return ["printed", text, zone, order]
        case list() | tuple():
            return ["list", [str(each) for each in value]]
    raise ValueError(f"a cell of {type(value).__name__} cannot be kept")


def _thawed_value(value: Any) -> object:  # noqa: ANN401 - whatever JSON has
    if not isinstance(value, list):
        return value
    match value:
        case ["bytes", str(text)]:
            return base64.b64decode(text, validate=True)
        case ["time", int(moment)]:
            return _EPOCH + timedelta(microseconds=moment)
        case ["printed", str(text), zone, order]:
            return PrintedTime(text, None if zone is None else timezone(timedelta(microseconds=zone)), order)
        case ["list", list(texts)]:
            return [str(text) for text in texts]
    raise ValueError("a cell is of no known kind")
