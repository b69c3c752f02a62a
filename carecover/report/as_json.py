"""The report as JSON: the document itself, for programs; docs/report.schema.json says what stands where."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from carecover.model import utc_text
from carecover.report.document import Document

FORMAT: Final = "carecover-report-1"


def body(document: Document) -> dict[str, Any]:
    """The document as JSON values; what a block is stands in its ``block``."""
    found: dict[str, Any] = _plain(document)
    return {"format": FORMAT, **{name: value for name, value in found.items() if name != "block"}}


def render_json(document: Document) -> str:
    """The document as indented JSON with a final newline; no byte depends on the machine."""
    return json.dumps(body(document), ensure_ascii=False, indent=1) + "\n"


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON values
    if is_dataclass(value) and not isinstance(value, type):
        return {"block": type(value).__name__, **{f.name: _plain(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
