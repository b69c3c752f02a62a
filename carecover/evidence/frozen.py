"""Units as lines of text and back: what was read of a range can be kept, and nothing is run when it is loaded."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import numpy as np
import pyarrow as pa

from carecover.evidence.units import Alike, Duplicate, Irrelevant, Parsed, PrintedTime, Rejected, Unit

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def frozen(units: Iterable[Unit]) -> list[str]:
    """One line of JSON for each unit; raises ValueError for packed columns other than those of notifications."""
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
        case Alike(keys, packed, between):
            return {
                "alike": [each.hex() for each in keys],
                "columns": {name: _column(column) for name, column in packed.items()},
                "between": [[place, _body(other)] for place, other in between],
            }
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
    if "alike" in body:
        keys = tuple(bytes.fromhex(each) for each in body["alike"])
        packed = {str(name): _thawed_column(column, len(keys)) for name, column in body["columns"].items()}
        return Alike(keys, packed, tuple((int(place), _unit(other)) for place, other in body["between"]))
    return Duplicate()


def _column(column: Any) -> dict[str, Any]:  # noqa: ANN401 - numpy's and Arrow's arrays
    """A packed column; the hints of printed times are told once each."""
    if isinstance(column, tuple):
        printed, hints, kinds = column[:3]
        told = [[_offset(zone), order] for zone, order in kinds]
        return {"printed": printed.to_pylist(), "hints": hints.tolist(), "kinds": told}
    if isinstance(column, np.ndarray):
        return {"moments": column.tolist()}
    return {"texts" if column.type == pa.string() else "numbers": column.to_pylist()}


def _thawed_column(body: dict[str, Any], length: int) -> Any:  # noqa: ANN401 - numpy's and Arrow's arrays
    ((kind, cells),) = [(kind, body[kind]) for kind in ("printed", "moments", "texts", "numbers") if kind in body]
    if len(cells) != length:
        raise ValueError("a column has not as many cells as there are keys")
    if kind == "moments":
        return np.array(cells, dtype=np.int64)
    packed = pa.array(cells, pa.int64() if kind == "numbers" else pa.string())
    if kind != "printed":
        return packed
    kinds = [(_zone(offset), order) for offset, order in body["kinds"]]
    hints = np.array(body["hints"], dtype=np.int64)
    if len(hints) != length or (length and not 0 <= hints.min() <= hints.max() < len(kinds)):
        raise ValueError("a column has not as many hints as there are keys")
    return packed, hints, kinds


def _offset(zone: timezone | None) -> int | None:
    return None if zone is None else zone.utcoffset(None) // timedelta(microseconds=1)


def _zone(offset: int | None) -> timezone | None:
    return None if offset is None else timezone(timedelta(microseconds=offset))


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
            return ["printed", text, _offset(fallback), order]
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
            return PrintedTime(text, _zone(zone), order)
        case ["list", list(texts)]:
            return [str(text) for text in texts]
    raise ValueError("a cell is of no known kind")
