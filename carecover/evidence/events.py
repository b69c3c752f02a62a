"""Events of the CA's Security log: XML from Event Viewer or wevtutil, and .evtx.

XML copied from Event Viewer's window is not well-formed ("- <Event"); the marks are taken
away. A DOCTYPE is refused, so nothing expands. The data names of 4870 and 4872 are assumed:
no sample is public (those of 4886 and 4887 are from real events).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree

from carecover.evidence import values
from carecover.evidence.text import encoding_of
from carecover.evidence.units import Irrelevant, Parsed, Reader, Rejected, Source, Unit

# CA events: 4870 revoked, 4871 CRL asked for, 4872 CRL published, 4876/4877 backup, 4878/4879
# restore, 4886 received, 4887 issued, 4888 denied (Microsoft, Appendix L: Events to Monitor).
EVENT_IDS: Final = frozenset({4870, 4871, 4872, 4876, 4877, 4878, 4879, 4886, 4887, 4888})
# Windows limits one event to 64 kB; as XML in UTF-8 it cannot be ten times that.
MAX_EVENT_BYTES: Final = 1024 * 1024
MAX_XML_BYTES: Final = 2 * 1024 * 1024 * 1024
# An .evtx is read from memory by the library.
MAX_EVTX_BYTES: Final = 2 * 1024 * 1024 * 1024

_START = re.compile(rb"<Event(?=[\s>])")
_DECLARATION = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_TREE_MARK = re.compile(rb"(?m)^[ \t]*[-+][ \t]+(?=<)")
# Copies from the Event Viewer leave "<<" of flag names unescaped.
_EVENT_ID = re.compile(rb"<EventID[^>]{0,80}>\s*(\d{1,5})\s*</EventID>")
_SPACE = re.compile(r"\{[^}]*\}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s*(?:Z|UTC|\+00:00)?", re.ASCII)

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "request_id": ("requestid",),
    "serial": ("serialnumber", "certificateserialnumber"),
    "requester": ("requester",),
    "subject": ("subject",),
    "template": ("certificatetemplate",),
    "reason": ("reason", "revocationreason"),
    "crl_number": ("crlnumber",),
}


def _row(xml: bytes, location: str) -> dict[str, object] | None:
    """A row of ``audit_events``, or None for an event of no interest; ValueError if it is no event."""
    if _DECLARATION.search(xml):
        raise ValueError("The XML declares a DOCTYPE or an entity, which no event log does.")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - declarations are refused above
    except ElementTree.ParseError as error:
        named = _EVENT_ID.search(xml)
        if named and int(named[1]) not in EVENT_IDS:
            return None
        raise ValueError(f"The event is not well-formed XML: {error}.") from None
    for element in root.iter():
        element.tag = _SPACE.sub("", element.tag)
    number = (root.findtext("System/EventID") or "").strip()
    if not number.isascii() or not number.isdecimal():
        raise ValueError("The XML is no Windows event: it has no event ID.")
    event_id = int(number[:9])
    if event_id not in EVENT_IDS:
        return None
    created = root.find("System/TimeCreated")
    row: dict[str, object] = {
        "event_id": event_id,
        "recorded_at": _moment(created.get("SystemTime", "") if created is not None else ""),
        "computer": values.given(root.findtext("System/Computer")),
        "location": location,
    }
    row.update(_data(root))
    return row


def _data(root: ElementTree.Element) -> dict[str, object]:
    named: dict[str, str] = {}
    for element in root.iterfind("EventData/Data"):
        named.setdefault(element.get("Name", "").replace(" ", "").casefold(), element.text or "")
    row: dict[str, object] = {}
    for column, names in _NAMES.items():
        text = next((named[name] for name in names if name in named), None)
        if (value := _value(column, text)) is not None:
            row[column] = value
    return row


def _value(column: str, text: str | None) -> object:
    """A value checked by its shape; NA where it is none (a later reader of the event sees the rest)."""
    try:
        if column == "request_id":
            return values.request_id(text)
        if column == "serial":
            return values.serial(text)
        if column == "reason":
            return values.reason(text)
        if column == "crl_number":
            number = values.given(text)
            return number if number and number.isascii() and number.isdecimal() and len(number) <= 50 else None
    except ValueError:
        return None
    return values.given(text)


def _moment(text: str) -> datetime | None:
    match = _TIME.fullmatch(text.strip()[:60])
    if match is None:
        return None
    try:
        part = (match[3] or "0").ljust(6, "0")[:6]
        return datetime.fromisoformat(f"{match[1]}T{match[2]}.{part}").replace(tzinfo=UTC)
    except ValueError:
        return None


def _unit(xml: bytes, location: str) -> Unit:
    try:
        row = _row(xml, location)
    except ValueError as error:
        return Rejected.of(location, "parse", str(error), xml)
    return Irrelevant() if row is None else Parsed((("audit_events", row),))


def _recognises_xml(source: Source) -> bool:
    encoding, skip = encoding_of(source.head)
    head = source.head[skip:].decode(encoding, "replace").encode("utf-8", "replace") if encoding else source.head
    return _START.search(head[: 64 * 1024]) is not None and head.lstrip()[:1] in (b"<", b"-", b"+")


def _read_xml(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    encoding, skip = encoding_of(source.data)
    if source.size > MAX_XML_BYTES:
        yield Rejected.of("byte 0", "open", f"The file has more than {MAX_XML_BYTES} bytes.", source.data)
        return
    data = bytes(source.data[skip:]).decode(encoding, "replace").encode("utf-8", "replace")
    if _DECLARATION.search(data):
        reason = "The XML declares a DOCTYPE or an entity, which no event log does. It is not read."
        yield Rejected.of("byte 0", "detect", reason, source.data)
        return
    at, number, end = 0, 0, -1
    while (start := _START.search(data, at)) is not None:
        number += 1
        location = f"event {number}"
        if end < start.start():
            end = data.find(b"</Event>", start.start())
        if end < 0:
            yield Rejected.of(location, "split", "The file is cut off in this event.", data[start.start() :])
            return
        if end - start.start() > MAX_EVENT_BYTES:
            following = _START.search(data, start.end())
            at = following.start() if following else len(data)
            reason = f"The event has more than {MAX_EVENT_BYTES} bytes."
            yield Rejected.of(location, "split", reason, data[start.start() : at])
            continue
        at = end + len(b"</Event>")
        yield _unit(_TREE_MARK.sub(b"", data[start.start() : at]), location)
        progress(min(at, source.size))


def _read_evtx(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    import evtx  # noqa: PLC0415 - a native library that only this kind of evidence needs

    if source.size > MAX_EVTX_BYTES:
        yield Rejected.of("byte 0", "open", f"The file has more than {MAX_EVTX_BYTES} bytes.", source.data)
        return
    try:
        records = evtx.PyEvtxParser(io.BytesIO(bytes(source.data[:])), number_of_threads=1).records()
    except (RuntimeError, OSError, ValueError) as error:
        yield Rejected.of("byte 0", "open", f"The event log cannot be opened: {_line(error)}.", source.data)
        return
    number = 0
    while True:
        number += 1
        try:
            record = next(records)
        except StopIteration:
            break
        except (RuntimeError, OSError, ValueError) as error:
            yield Rejected.of(f"event {number}", "parse", f"The event cannot be read: {_line(error)}.", b"")
            continue
        if record is None:
            break
        location = f"event {record['event_record_id']}"
        yield _unit(record["data"].encode("utf-8", "replace"), location)
    progress(source.size)
    if number == 1:
        yield Irrelevant()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].encode("ascii", "backslashreplace").decode("ascii")


XML_READER: Final = Reader("events", _recognises_xml, _read_xml)
EVTX_READER: Final = Reader("events", lambda source: source.head.startswith(b"ElfFile\0"), _read_evtx)
