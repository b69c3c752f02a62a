"""Events of a CA's logs: XML from Event Viewer or wevtutil, and .evtx.

Of the Security log the audit events of the CA (Microsoft-Windows-Security-Auditing, 4868 to
4896) and its clearing (1102); of the Application log what the CA's service says about itself
(Microsoft-Windows-CertificationAuthority). The same numbers of other providers are others'
business. The data names of 4868 to 4896 are those of the provider's manifest, as the public
project airbus-cert/etl-parser lists them; of 4886, 4887 and 4898 there are real samples.
The data of the CA's own provider have no known names and are read by what they hold.

XML copied from Event Viewer's window is not well-formed ("- <Event"); the marks are taken
away. A DOCTYPE is refused, so nothing expands.
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

# 4868 denied by a manager, 4870 revoked, 4871 CRL asked for, 4872 CRL published, 4875 told to shut down,
# 4876/4877 backup, 4878/4879 restore, 4880/4881 service started and stopped, 4882 permissions changed,
# 4884 certificate imported, 4885 audit filter changed, 4886 received, 4887 issued, 4888 denied, 4889 set to
# pending, 4896 rows deleted (Microsoft, Appendix L: Events to Monitor).
AUDIT_IDS: Final = frozenset(
    {4868, 4870, 4871, 4872, 4875, 4876, 4877, 4878, 4879, 4880, 4881, 4882, 4884, 4885, 4886, 4887, 4888, 4889, 4896}
)
# 17 did not start, 26 started, 38 stopped, 46 an exit module failed, 65, 66, 67, 74, 75 a CRL could not be published.
SERVICE_IDS: Final = frozenset({17, 26, 38, 46, 65, 66, 67, 74, 75})
LOG_CLEARED: Final = 1102
EXIT_MODULE_FAILED: Final = 46
_AUDIT_PROVIDER: Final = "microsoft-windows-security-auditing"
# "CertSvc" until Windows Server 2003.
_SERVICE_PROVIDERS: Final = frozenset({"microsoft-windows-certificationauthority", "certsvc"})
_LOG_PROVIDER: Final = "microsoft-windows-eventlog"
# Windows limits one event to 64 kB; as XML in UTF-8 it cannot be ten times that.
MAX_EVENT_BYTES: Final = 1024 * 1024
MAX_XML_BYTES: Final = 2 * 1024 * 1024 * 1024
# An .evtx is read from memory by the library.
MAX_EVTX_BYTES: Final = 2 * 1024 * 1024 * 1024

_START = re.compile(rb"<Event(?=[\s>])")
_NAMESPACE: Final = b"http://schemas.microsoft.com/win/2004/08/events/event"
_DECLARATION = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_TREE_MARK = re.compile(rb"(?m)^[ \t]*[-+][ \t]+(?=<)")
# Copies from the Event Viewer leave "<<" of flag names unescaped.
_EVENT_ID = re.compile(rb"<EventID[^>]{0,80}>\s*(\d{1,5})\s*</EventID>")
_SPACE = re.compile(r"\{[^}]*\}")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s*(?:Z|UTC|\+00:00)?", re.ASCII)

# Some events name a datum otherwise in their text than in the manifest: "CRL Number", "Serial Number".
_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "request_id": ("requestid",),
    "serial": ("serialnumber", "certificateserialnumber"),
    "requester": ("requester",),
    "subject": ("subject",),
    "template": ("certificatetemplate",),
    "reason": ("reason", "revocationreason"),
    "crl_number": ("crlnumber",),
    "key_id": ("subjectkeyidentifier",),
}
# What else an event says: data name → word for it, in the order of columns.
_DETAILS: Final[Mapping[int, Mapping[str, str]]] = {
    4871: {"nextupdate": "next update", "nextpublishforbasecrl": "base", "nextpublishfordeltacrl": "delta"},
    4872: {"nextpublish": "next publish", "keycontainer": "key container", "publishurls": "URLs"},
    4876: {"backuptype": "backup type"},
    4880: {"privatekeyusagecount": "private key used", "certificatedatabasehash": "database hash"},
    4881: {"privatekeyusagecount": "private key used", "certificatedatabasehash": "database hash"},
    4885: {"auditfilter": "audit filter"},
    4896: {"tableid": "table", "filter": "filter", "rowsdeleted": "rows deleted"},
}
# Whether the manifest's IsBaseCRL is translated is not known (assumed: it may be).
_YES: Final = frozenset(
    {"yes", "true", "1", "ja", "oui", "sí", "si", "sì", "sim", "да", "tak", "ano", "是", "はい", "예"}
)
_NO: Final = frozenset({"no", "false", "0", "nein", "non", "não", "нет", "nie", "ne", "nee", "否", "いいえ", "아니요"})
_MAX_DETAIL: Final = 500
# The exit event is a constant in every language; the sentence around it is not.
_NOT_MAILED = re.compile(r"\b(EXITEVENT_[A-Z]{3,30})(?: to (\S{1,320}))?", re.ASCII)
_HEX = re.compile(r"(?:[0-9a-f]{2}){2,64}", re.ASCII)


def _row(xml: bytes, location: str) -> dict[str, object] | None:
    """A row of ``audit_events``, or None for an event of no interest; ValueError if it is no event."""
    if _DECLARATION.search(xml):
        raise ValueError("The XML declares a DOCTYPE or an entity, which no event log does.")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - declarations are refused above
    except ElementTree.ParseError as error:
        if not _may_matter(xml):
            return None
        raise ValueError(f"The event is not well-formed XML: {error}.") from None
    for element in root.iter():
        element.tag = _SPACE.sub("", element.tag)
    number = (root.findtext("System/EventID") or "").strip()
    if not number.isascii() or not number.isdecimal():
        raise ValueError("The XML is no Windows event: it has no event ID.")
    event_id = int(number[:9])
    if not _matters(event_id, root):
        return None
    created = root.find("System/TimeCreated")
    row: dict[str, object] = {
        "event_id": event_id,
        "recorded_at": _moment(created.get("SystemTime", "") if created is not None else ""),
        "computer": values.given(root.findtext("System/Computer")),
        "location": location,
    }
    named = _named(root)
    row |= said_by(event_id, named) if event_id in AUDIT_IDS else {}
    if event_id == LOG_CLEARED:
        row["detail"] = _by(named)
    elif event_id not in AUDIT_IDS:
        row["detail"] = _service_detail(event_id, root)
    return row


def said_by(event_id: int, named: Mapping[str, str]) -> dict[str, object]:
    """The columns of an audit event, from its data by the manifest's names in lower case without blanks."""
    return {**_columns(named), "detail": _detail(event_id, named)}


def _matters(event_id: int, root: ElementTree.Element) -> bool:
    element = root.find("System/Provider")
    provider = element.get("Name", "") if element is not None else ""
    return matters(event_id, provider, root.findtext("System/Channel") or "")


def matters(event_id: int, provider: str, channel: str) -> bool:
    """Whether an event is one of the CA's; a number says nothing without its provider."""
    provider = provider.strip().casefold()
    if event_id in AUDIT_IDS:
        return provider in {"", _AUDIT_PROVIDER}
    if event_id == LOG_CLEARED:
        return provider == _LOG_PROVIDER and channel.strip().casefold() in {"", "security"}
    return event_id in SERVICE_IDS and provider in _SERVICE_PROVIDERS


def _may_matter(xml: bytes) -> bool:
    """Whether a damaged event may have been one of the CA's; where its number is lost, it may."""
    named = _EVENT_ID.search(xml)
    number = int(named[1]) if named else None
    if number is None or number in AUDIT_IDS or number == LOG_CLEARED:
        return True
    return number in SERVICE_IDS and any(name.encode() in xml.lower() for name in _SERVICE_PROVIDERS)


def _named(root: ElementTree.Element) -> dict[str, str]:
    """The data by name, in lower case without blanks; of 1102 they are elements of their own."""
    named: dict[str, str] = {}
    for element in root.iterfind("EventData/Data"):
        named.setdefault(element.get("Name", "").replace(" ", "").casefold(), element.text or "")
    for element in root.iterfind("UserData/*/*"):
        named.setdefault(element.tag.casefold(), element.text or "")
    return named


def _detail(event_id: int, named: Mapping[str, str]) -> str | None:
    """What an audit event says besides its columns; 4872 begins with "base" or "delta"."""
    parts = []
    if event_id == 4872:
        answer = " ".join(named.get("isbasecrl", named.get("basecrl", "")).split())[:20].casefold()
        parts += ["base"] if answer in _YES else ["delta"] if answer in _NO else []
    for name, word in _DETAILS.get(event_id, {}).items():
        if text := one_line(named.get(name)):
            parts.append(f"{word} {text}")
    if by := _by(named):
        parts.append(by)
    return "; ".join(parts)[:_MAX_DETAIL] or None


def _by(named: Mapping[str, str]) -> str | None:
    """Who did it."""
    name, domain = one_line(named.get("subjectusername")), one_line(named.get("subjectdomainname"))
    return f"by {domain}\\{name}" if name and domain else f"by {name}" if name else None


def _service_detail(event_id: int, root: ElementTree.Element) -> str | None:
    """The data of an event of the CA's service; of 46 the exit event and who should have had the mail."""
    texts = [
        text
        for part in ("EventData", "UserData")
        for element in root.iterfind(part)
        for word in element.itertext()
        if (text := one_line(word))
    ]
    return told_by_the_service(event_id, texts, root.findtext("RenderingInfo/Message"))


def told_by_the_service(event_id: int, texts: list[str], message: str | None) -> str | None:
    """What an event of the CA's service says, from its data and its text; bounded, on one line."""
    if event_id == EXIT_MODULE_FAILED:
        for place, text in enumerate([*texts, one_line(message)]):
            if match := _NOT_MAILED.search(text):
                # The sentence may have been taken apart: then the recipient is the next datum.
                alone = match[0] == text and place + 1 < len(texts)
                to = (match[2] or (texts[place + 1] if alone else "")).rstrip(".")[:320]
                return f"{match[1]} to {to}" if to else match[1]
    return "; ".join(texts)[:_MAX_DETAIL] or None


def one_line(text: str | None) -> str:
    """A datum on one line, bounded, without control characters."""
    words = " ".join((text or "")[: 4 * _MAX_DETAIL].split())
    return "".join(c for c in words if c.isprintable())[:_MAX_DETAIL]


def _columns(named: Mapping[str, str]) -> dict[str, object]:
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
        if column == "key_id":
            digits = "".join((values.given(text) or "")[:300].split()).lower()
            return digits if _HEX.fullmatch(digits) else None
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
    start = _START.search(head[: 64 * 1024])
    # "Copy details as text" has the event's XML below its words.
    return start is not None and (head.lstrip()[:1] in (b"<", b"-", b"+") or _NAMESPACE in head[: 64 * 1024])


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
            line = _line(error)
            # A chunk of the log has 64 kB; the library tells of it once, whatever it held.
            what = "A part of the log with all its events" if "chunk" in line else "The event"
            yield Rejected.of(f"event {number}", "parse", f"{what} cannot be read: {line}.", b"")
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
