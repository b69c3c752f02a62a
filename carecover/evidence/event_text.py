"""Events as text: Get-WinEvent and Get-EventLog lists and tables, wevtutil, Event Viewer's copies and csv.

XML and .evtx name their data; a text has only labels, which Windows translates. Read are the
English ones, in the words of the provider's messages. Of an event in another language only
its number and time are certain: where that is what it has to say (the service was started,
a backup was made), it is taken; where its values count, it is told.

A requester can put lines into an event: request attributes and names are his. A label that
stands there twice with two values is ambiguous, and the event is rejected.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from carecover.evidence import events, values
from carecover.evidence.text import encoding_of, head_text, lines
from carecover.evidence.units import Irrelevant, Parsed, PrintedTime, Reader, Rejected, Source, Unit

# Windows limits one event to 64 kB.
MAX_EVENT_LINES: Final = 5_000
_MAX_LINE: Final = 64 * 1024
_MAX_TITLES: Final = 4_000
# Property names of .NET and column titles, which PowerShell prints in every language.
_PROPERTIES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("id", "eventid"), "id"),
    **dict.fromkeys(("timecreated", "timegenerated"), "time"),
    **dict.fromkeys(("providername", "source"), "provider"),
    **dict.fromkeys(("machinename",), "computer"),
    **dict.fromkeys(("logname",), "channel"),
    **dict.fromkeys(("recordid", "index"), "record"),
    **dict.fromkeys(("message",), "message"),
}
_OTHERS: Final = frozenset(
    {
        *("activityid", "bookmark", "category", "categorynumber", "container", "containerlog", "data"),
        *("entrytype", "instanceid", "keywords", "keywordsdisplaynames", "level", "leveldisplayname"),
        *("matchedqueryids", "opcode", "opcodedisplayname", "processid", "properties", "providerid"),
        *("qualifiers", "relatedactivityid", "replacementstrings", "site", "task", "taskdisplayname"),
        *("threadid", "timewritten", "userid", "username", "version"),
    }
)
_LISTED = re.compile(r"([A-Za-z]{2,24})[ \t]*:(?:[ \t](.*))?")
# Event Viewer's "Copy details as text" and wevtutil /f:text.
_DETAILS: Final[Mapping[str, str]] = {
    "log name": "channel",
    "source": "provider",
    "date": "time",
    "event id": "id",
    "computer": "computer",
    "description": "message",
}
_DETAIL = re.compile(r"[ \t]*([A-Z][A-Za-z ]{2,20}):[ \t]*(.*)")
_NUMBERED = re.compile(r"Event\[(\d{1,9})\]:?\s*")
_XML_BELOW = re.compile(r"Event Xml:\s*")
_ID_LISTED = re.compile(r"(?m)^(?:Id|EventID)[ \t]*:[ \t]*\d{1,6}[ \t]*$")
_TIME_LISTED = re.compile(r"(?m)^(?:TimeCreated|TimeGenerated|Message|ProviderName)[ \t]*:")
_ID_DETAILED = re.compile(r"(?m)^[ \t]*Event ID:[ \t]+\d{1,6}[ \t]*$")
_SOURCE_DETAILED = re.compile(r"(?m)^[ \t]*(?:Log Name|Source):[ \t]+\S")
_DASHES = re.compile(r"-+")
# What the messages of Microsoft-Windows-Security-Auditing call their data, in English.
_LABELS: Final[Mapping[str, str]] = {
    "request id": "requestid",
    "requester": "requester",
    "attributes": "attributes",
    "disposition": "disposition",
    "ski": "subjectkeyidentifier",
    "subject": "subject",
    "subject from csr": "subject",
    "subject alternative name": "subjectalternativename",
    "subject alternative name from csr": "subjectalternativename",
    "certificate template": "certificatetemplate",
    "requested template": "certificatetemplate",
    "serial number": "serialnumber",
    "reason": "reason",
    "base crl": "isbasecrl",
    "crl number": "crlnumber",
    "key container": "keycontainer",
    "next publish": "nextpublish",
    "publish urls": "publishurls",
    "next update": "nextupdate",
    "publish base": "nextpublishforbasecrl",
    "publish delta": "nextpublishfordeltacrl",
    "backup type": "backuptype",
    "filter": "auditfilter",
    "table id": "tableid",
    "rows deleted": "rowsdeleted",
    "certificate database hash": "certificatedatabasehash",
    "private key usage count": "privatekeyusagecount",
    "account name": "subjectusername",
    "account domain": "subjectdomainname",
    **dict.fromkeys(("authentication service", "authentication level", "dcomorrpc", "requestosversion"), "other"),
    **dict.fromkeys(("requestcspprovider", "requestclientinfo", "ca certificate hash", "ca public key hash"), "other"),
}
_LABEL = re.compile(r"[ \t]*([A-Z][A-Za-z ]{1,40}):[ \t]*(.*)")
_WRAPPED: Final = frozenset({"serialnumber", "subjectkeyidentifier", "subject", "requester", "certificatetemplate"})
_ANY_LABEL = re.compile(r"[ \t]*[A-Za-z][A-Za-z ]{1,40}:(?:\s|$)")
# Events whose values count; of the rest the number says what happened.
_NEED_VALUES: Final[Mapping[int, str]] = {
    4868: "requestid",
    4870: "serialnumber",
    4872: "crlnumber",
    4886: "requestid",
    4887: "requestid",
    4888: "requestid",
    4889: "requestid",
}
# Event Viewer's General tab shows neither number nor time; the English sentence tells the number.
_SENTENCES: Final[Mapping[str, int]] = {
    "The certificate manager denied a pending certificate request.": 4868,
    "Certificate Services revoked a certificate.": 4870,
    "Certificate Services published the certificate revocation list (CRL).": 4872,
    "Certificate Services received a request to publish the certificate revocation list (CRL).": 4871,
    "Certificate Services imported a certificate into its database.": 4884,
    "Certificate Services received a certificate request.": 4886,
    "Certificate Services approved a certificate request and issued a certificate.": 4887,
    "Certificate Services denied a certificate request.": 4888,
    "Certificate Services set the status of a certificate request to pending.": 4889,
}
_SERVICE = re.compile(r"Certificate Services", re.IGNORECASE)
HOW_TO_EXPORT: Final = "Export the log as .evtx or XML (wevtutil epl, Save All Events As), which names its data."


@dataclass(slots=True)
class _Event:
    """One event as its text gives it."""

    location: str
    of: dict[str, str] = field(default_factory=dict)
    message: list[str] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    cut: bool = False
    seen: set[str] = field(default_factory=set)


# ------------------------------------------------------------------------------------- one event


def _unit(event: _Event) -> Unit:
    raw = "\n".join(event.raw).encode("utf-8", "replace")
    number = event.of.get("id", "").strip()
    message = "\n".join(event.message)
    flags: list[str] = []
    told = _SENTENCES.get(next((line.strip() for line in event.message if line.strip()), ""))
    if number.isascii() and number.isdecimal() and len(number) <= 9:
        event_id = int(number)
    elif not number and told is not None:
        event_id = told
    else:
        return Rejected.of(event.location, "parse", f"The event has no number. {HOW_TO_EXPORT}", raw)
    provider = event.of.get("provider", "")
    if not provider and event_id in events.SERVICE_IDS:
        if not _SERVICE.search(message):
            reason = "The number may be another program's: the text does not name its provider (ProviderName)."
            return Rejected.of(event.location, "parse", f"{reason} {HOW_TO_EXPORT}", raw)
    elif not events.matters(event_id, provider, event.of.get("channel", "")):
        return Irrelevant()
    row: dict[str, object] = {
        "event_id": event_id,
        "computer": values.given(event.of.get("computer")),
        "location": event.location,
        "flags": flags,
    }
    if time := values.given(event.of.get("time")):
        row["recorded_at"] = PrintedTime(time)
    else:
        flags.append("time_missing")
    if event_id not in events.AUDIT_IDS:
        row["detail"] = events.told_by_the_service(event_id, [events.one_line(message)], message)
        return Parsed((("audit_events", row),))
    named = _named(event.message)
    needed = _NEED_VALUES.get(event_id)
    if named is None:
        reason = f"A label stands in the text twice, with two values: it can be read in two ways. {HOW_TO_EXPORT}"
    elif needed is not None and needed not in named:
        why = "The text is cut off" if event.cut else "The text is not in English, or its values are missing"
        reason = f"{why}: what the event is about cannot be told. {HOW_TO_EXPORT}"
    else:
        row |= events.said_by(event_id, named)
        return Parsed((("audit_events", row),))
    return Rejected.of(event.location, "parse", reason, raw)


def _named(message: list[str]) -> dict[str, str] | None:
    """The values under the labels that are known; None where one label has two values.

    A console wraps a long value: what follows it and is no label belongs to it.
    """
    found: list[tuple[str, str]] = []
    goes_on = False
    for line in message:
        match = _LABEL.fullmatch(line)
        known = _LABELS.get(match[1].casefold()) if match else None
        if match is not None and known is not None:
            found.append((known, match[2].strip()))
            goes_on = bool(match[2].strip()) and known in _WRAPPED
        elif goes_on and line.strip() and not _ANY_LABEL.match(line):
            known, before = found[-1]
            # A serial number has no blanks, so it is only broken where it does not fit.
            found[-1] = known, f"{before}{'' if known == 'serialnumber' else ' '}{line.strip()}"
        else:
            goes_on = False
    named = dict(found)
    return named if all(named[name] == value for name, value in found if name != "other") else None


# ---------------------------------------------------------------------------------------- lists


def _listed(text: Iterator[str]) -> Iterator[_Event]:
    """Format-List: a property a line; what goes on is indented, and a property that comes again begins an event."""
    event: _Event | None = None
    open_property = ""
    for number, line in enumerate(text, 1):
        match = _LISTED.fullmatch(line)
        name = match[1].casefold() if match else ""
        if match is not None and (name in _PROPERTIES or name in _OTHERS):
            if event is None or name in event.seen:
                if event is not None:
                    yield event
                event = _Event(f"line {number}")
            event.seen.add(name)
            event.raw.append(line)
            open_property = _PROPERTIES.get(name, "other")
            if open_property == "message":
                event.message = [(match[2] or "").strip()]
            elif open_property != "other":
                event.of.setdefault(open_property, (match[2] or "").strip())
        elif event is not None:
            if line.strip() and not line.startswith((" ", "\t")):
                # A prompt, a remark: whoever pasted this wrote on.
                open_property = ""
            if open_property == "message" and len(event.message) < MAX_EVENT_LINES:
                event.message.append(line.strip())
            if len(event.raw) < MAX_EVENT_LINES:
                event.raw.append(line)
    if event is not None:
        yield event


def _detailed(text: Iterator[str]) -> Iterator[_Event]:
    """Event Viewer's details and wevtutil: a head of labels, then the description as it is."""
    event: _Event | None = None
    counted = in_message = False
    for number, line in enumerate(text, 1):
        numbered = _NUMBERED.fullmatch(line)
        match = _DETAIL.fullmatch(line)
        name = match[1].casefold() if match else ""
        counted = counted or numbered is not None
        begins = numbered is not None or (not counted and name == "log name" and (in_message or event is None))
        if begins:
            if event is not None and event.of:
                yield event
            event, in_message = _Event(f"line {number}"), False
        if event is None:
            continue
        if len(event.raw) < MAX_EVENT_LINES:
            event.raw.append(line)
        if in_message:
            in_message = _XML_BELOW.fullmatch(line) is None
            if in_message and len(event.message) < MAX_EVENT_LINES:
                event.message.append(line.strip())
        elif match is not None and name in _DETAILS:
            if name == "description":
                in_message = True
                event.message.append(match[2].strip())
            else:
                event.of.setdefault(_DETAILS[name], match[2].strip())
    if event is not None and event.of:
        yield event


def _tabled(text: Iterator[str]) -> Iterator[_Event]:
    """Format-Table: columns under their titles; a message that did not fit ends in dots, or goes on below (-Wrap)."""
    titles: list[tuple[str, int]] = []
    before, provider = "", ""
    event: _Event | None = None
    for number, line in enumerate(text, 1):
        if line.strip().startswith("---") and not line.strip("- \t"):
            starts = [match.start() for match in _DASHES.finditer(line)]
            titles = [
                (before[at:end].strip().casefold(), at) for at, end in zip(starts, [*starts[1:], None], strict=True)
            ]
            continue
        before = line
        if (grouped := _LISTED.fullmatch(line.strip()[:_MAX_TITLES])) and grouped[1].casefold() == "providername":
            provider = (grouped[2] or "").strip()
        if not titles:
            continue
        cells = _cells(line, titles)
        if not cells.get("id", "").isdecimal():
            below = event is not None and not line[: titles[-1][1]].strip() and titles[-1][0] == "message"
            if event is not None and below and len(event.message) < MAX_EVENT_LINES:
                event.message.append(line.strip())
                event.raw.append(line)
                event.cut = line.rstrip().endswith(("...", "…"))
            continue
        if event is not None:
            yield event
        event = _Event(f"line {number}", raw=[line])
        event.of = {_PROPERTIES[name]: cell for name, cell in cells.items() if name in _PROPERTIES}
        event.of.setdefault("provider", provider)
        event.message = [event.of.pop("message", "")]
        event.cut = event.message[0].endswith(("...", "…"))
    if event is not None:
        yield event


def _cells(line: str, titles: list[tuple[str, int]]) -> dict[str, str]:
    """The cells of a line; numbers stand to the right under their title, so a border moves to the blanks."""
    borders = []
    for _, at in titles[1:]:
        border = at
        while 0 < border <= len(line) - 1 and line[border - 1] != " ":
            border -= 1
        borders.append(border)
    ends = [*borders, len(line)]
    return {
        name: line[start:end].strip()
        for (name, _), start, end in zip(titles, [0, *borders], ends, strict=True)
        if start <= len(line)
    }


def _sentenced(text: Iterator[str]) -> Iterator[_Event]:
    """The General tab: an English sentence, then labels; no number and no time."""
    event: _Event | None = None
    for number, line in enumerate(text, 1):
        if line.strip() in _SENTENCES:
            if event is not None:
                yield event
            event = _Event(f"line {number}")
        if event is not None and len(event.raw) < MAX_EVENT_LINES:
            event.raw.append(line)
            event.message.append(line.strip())
    if event is not None:
        yield event


def _has_titles(text: str) -> bool:
    """True where a line of dashes stands under titles of Format-Table."""
    before: list[str] = []
    for line in text.split("\n"):
        if {"TimeCreated", "Id"} <= set(before) and line.strip() and not line.strip("- \t"):
            return True
        before = line.split() if len(line) <= _MAX_TITLES else []
    return False


def _way(text: str) -> Callable[[Iterator[str]], Iterator[_Event]] | None:
    if _ID_LISTED.search(text) and _TIME_LISTED.search(text):
        return _listed
    if _ID_DETAILED.search(text) and _SOURCE_DETAILED.search(text):
        return _detailed
    if _has_titles(text):
        return _tabled
    first = next((line.strip() for line in text.split("\n", 50)[:50] if line.strip()), "")
    return _sentenced if first in _SENTENCES else None


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    way = _way(head_text(source.head))
    encoding, skip = encoding_of(source.data)
    if way is None:
        yield Irrelevant()
        return
    done = 0

    def stripped() -> Iterator[str]:
        nonlocal done
        for line in lines(source.data, encoding, skip):
            done += len(line)
            yield line.rstrip("\n")[:_MAX_LINE]

    for event in way(stripped()):
        progress(min(done, source.size))
        yield _unit(event)


# ------------------------------------------------------------------------------------------ csv


def _fields(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _columns(text: str) -> tuple[str, int, dict[str, int]] | None:
    """Delimiter, line of the header (from 0) and column → place, of PowerShell's csv or of Event Viewer's.

    Event Viewer translates its titles, but not their order: level or keywords, date, source,
    number, category, and the message without a title.
    """
    found = [line[:_MAX_LINE] for line in text.split("\n", 200)[:200]]
    for number, line in enumerate(found[:3]):
        for delimiter in (",", "\t", ";"):
            names = [name.strip().strip("\ufeff").casefold() for name in _fields(line, delimiter)]
            places = {_PROPERTIES[name]: at for at, name in enumerate(names) if name in _PROPERTIES}
            if len(names) > 1 and {"id", "time"} <= set(places):
                return delimiter, number, places
            row = _fields(found[number + 1], delimiter) if number + 1 < len(found) else []
            if len(names) == 5 and len(row) >= 5 and row[3].strip().isdecimal() and _looks_like_time(row[1]):
                return delimiter, number, {"time": 1, "provider": 2, "id": 3, "message": 5}
    return None


def _looks_like_time(cell: str) -> bool:
    return re.match(r"\s*\d{1,4} ?[./-] ?\d{1,2} ?[./-] ?\d{1,4}.*\d:\d\d", cell[:60]) is not None


def _read_csv(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    shape = _columns(head_text(source.head))
    encoding, skip = encoding_of(source.data)
    if shape is None:
        yield Irrelevant()
        return
    delimiter, before, places = shape
    reader = csv.reader(lines(source.data, encoding, skip), delimiter=delimiter)
    done = 0
    while True:
        location = f"line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = f"From here on the csv cannot be split into rows ({error}). {HOW_TO_EXPORT}"
            yield Rejected.of(location, "split", reason, source.data)
            return
        done += sum(map(len, cells))
        progress(min(done, source.size))
        if reader.line_num <= before + 1 or not any(cell.strip() for cell in cells):
            continue
        if len(cells) <= max(place for name, place in places.items() if name != "message"):
            reason = f"The row has {len(cells)} columns, fewer than the header names. {HOW_TO_EXPORT}"
            yield Rejected.of(location, "parse", reason, delimiter.join(cells).encode("utf-8", "replace"))
            continue
        event = _Event(location, raw=[delimiter.join(cells)])
        event.of = {name: cells[at] for name, at in places.items() if name != "message"}
        told = cells[places["message"]] if places.get("message", len(cells)) < len(cells) else ""
        event.message = [line.strip() for line in told.split("\n", MAX_EVENT_LINES)[:MAX_EVENT_LINES]]
        yield _unit(event)


READER: Final = Reader("events", lambda source: _way(head_text(source.head)) is not None, _read, alone=True)
CSV_READER: Final = Reader("events", lambda source: _columns(head_text(source.head)) is not None, _read_csv, alone=True)
