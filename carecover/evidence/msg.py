"""Outlook messages (.msg, [MS-OXMSG]) → letters, of which ``mail`` makes notifications.

The message's own transport headers are used as those of any other mail; what they lack is
taken from the properties. Text that is not Unicode is in the code page that the message names
(PR_MESSAGE_CODEPAGE), or in that of Windows for the charset that it was sent in
(PR_INTERNET_CPID: a message sent in ISO-2022-JP holds code page 932), else in Windows-1252
with a flag.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final, TypeAlias

from carecover.evidence.charsets import decoded
from carecover.evidence.mime import MAX_NESTING, MAX_PARTS, Letter, Part, TooMuchError, head_of, letter_of
from carecover.evidence.ole import CompoundFile, Entry, OleError

# Exchange's own limit for a header block is far below.
MAX_TRANSPORT_HEADERS: Final = 256 * 1024
ONLY_RTF: Final = "The mail's body is RTF alone, which is not read. Save the mail as .eml, or print its text."

SUBJECT, BODY, HTML, RTF, HEADERS = 0x0037, 0x1000, 0x1013, 0x1009, 0x007D
MESSAGE_ID, CONVERSATION_INDEX, SUBMITTED, DELIVERED = 0x1035, 0x0071, 0x0039, 0x0E06
# Sender's SMTP address, that of the one it was sent for, and addresses of any kind.
SENDERS: Final = (0x5D01, 0x5D02, 0x0C1F, 0x0065)
MESSAGE_CODEPAGE, INTERNET_CODEPAGE = 0x3FFD, 0x3FDE
_ATTACH_METHOD, _ATTACH_DATA, _ATTACH_NAMES, _MIME_TAG = 0x3705, 0x3701, (0x3707, 0x3704), 0x370E
_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_PROPERTY: Final = struct.Struct("<HHLQ")
# Before the properties of a message, of one in another, and of an attachment.
_ROOT_HEADER, _EMBEDDED_HEADER, _ATTACHMENT_HEADER = 32, 24, 8
_PROPERTIES: Final = "__PROPERTIES_VERSION1.0"
_CODE_PAGES: Final = {
    1200: "utf-16le",
    10000: "macintosh",
    20127: "us-ascii",
    20866: "koi8-r",
    21866: "koi8-u",
    50220: "iso-2022-jp",
    50221: "iso-2022-jp",
    50222: "iso-2022-jp",
    51932: "euc-jp",
    51949: "euc-kr",
    52936: "hz-gb-2312",
    54936: "gb18030",
    65000: "utf-7",
    65001: "utf-8",
} | {28590 + n: f"iso-8859-{n}" for n in (*range(1, 10), 13, 15)}


# What Windows itself writes where a mail was sent in another charset of the same letters.
_WINDOWS: Final = {
    20127: 1252,
    20866: 1251,
    21866: 1251,
    50220: 932,
    50221: 932,
    50222: 932,
    51932: 932,
    51949: 949,
    52936: 936,
    54936: 936,
} | dict(zip(range(28591, 28600), (1252, 1250, 1254, 1257, 1251, 1256, 1253, 1255, 1254), strict=True))
# Streams, length of the header before the properties, depth, and who takes the letter.
_Waiting: TypeAlias = tuple[Mapping[str, Entry], int, int, Callable[[Letter], None]]


def charset_of_page(number: int | None) -> str:
    """The charset of a Windows code page; the empty string where there is none."""
    return "" if not number else _CODE_PAGES.get(number, f"cp{number}")


def letter_of_msg(data: bytes) -> Letter:
    """The mail in a .msg file; raises OleError where it is none or damaged, TooMuchError over a limit."""
    file = CompoundFile(data)
    root = file.children(file.root)
    if _PROPERTIES not in root:
        raise OleError("This is a compound (OLE) file, and no Outlook message: a document perhaps.")
    whole: list[Letter] = []
    count = 0
    first: _Waiting = (root, _ROOT_HEADER, 0, whole.append)
    waiting = [first]
    while waiting:
        streams, header, depth, put = waiting.pop()
        if depth > MAX_NESTING:
            raise TooMuchError(f"The mail has more than {MAX_NESTING} parts inside each other.")
        storage = _Storage(file, streams, header)
        letter = letter_of_properties(storage)
        put(letter)
        inner = []
        for attachment in _attachments(file, streams):
            count += 1
            if count > MAX_PARTS:
                raise TooMuchError(f"The mail has more than {MAX_PARTS} attachments.")
            embedded = _attach(attachment, letter)
            if embedded is not None:
                inner.append((embedded, _EMBEDDED_HEADER, depth + 1, letter.attached.append))
        waiting.extend(reversed(inner))
    return whole[0]


class Properties:
    """The properties of a message or an attachment ([MS-OXPROPS]), wherever they are kept.

    ``fixed`` has what fits into eight bytes: property → type and value.
    """

    def __init__(self, fixed: Mapping[int, tuple[int, int]]) -> None:
        self._fixed = fixed

    def stream(self, property_id: int, kind: int) -> bytes | None:
        """The bytes of a longer property of this type, or None where there is none."""
        raise NotImplementedError

    def number(self, property_id: int) -> int | None:
        """An integer (PT_LONG)."""
        kind, value = self._fixed.get(property_id, (0, 0))
        return value & 0xFFFFFFFF if kind == 0x0003 else None

    def moment(self, property_id: int) -> datetime | None:
        """A time (PT_SYSTIME)."""
        kind, value = self._fixed.get(property_id, (0, 0))
        try:
            return _EPOCH + timedelta(microseconds=value // 10) if kind == 0x0040 and value else None
        except OverflowError:
            return None

    def charset(self) -> str:
        """The charset of text that is not Unicode."""
        sent_in = self.number(INTERNET_CODEPAGE) or 0
        return charset_of_page(self.number(MESSAGE_CODEPAGE) or _WINDOWS.get(sent_in, sent_in))

    def text(self, property_id: int) -> tuple[bytes, str] | None:
        """A text property as bytes and the charset that they are in."""
        wide = self.stream(property_id, 0x001F)
        if wide is not None:
            return wide, "utf-16le"
        narrow = self.stream(property_id, 0x001E)
        return None if narrow is None else (narrow, self.charset())

    def words(self, property_id: int) -> str | None:
        """A text property, decoded; nothing where it is empty."""
        found = self.text(property_id)
        return None if found is None else decoded(found[0], found[1]).rstrip("\0") or None


class _Storage(Properties):
    """Properties in a .msg file."""

    def __init__(self, file: CompoundFile, streams: Mapping[str, Entry], header: int) -> None:
        self.file, self.streams = file, streams
        entry = streams.get(_PROPERTIES)
        raw = file.read(entry)[header:] if entry is not None and entry.is_stream else b""
        fixed: dict[int, tuple[int, int]] = {}
        for kind, number, _, value in _PROPERTY.iter_unpack(raw[: len(raw) // _PROPERTY.size * _PROPERTY.size]):
            fixed.setdefault(number, (kind, value))
        super().__init__(fixed)

    def stream(self, property_id: int, kind: int) -> bytes | None:
        entry = self.streams.get(f"__SUBSTG1.0_{property_id:04X}{kind:04X}")
        return self.file.read(entry) if entry is not None and entry.is_stream else None


def letter_of_properties(storage: Properties) -> Letter:
    """A message's own headers and bodies, without what is attached to it."""
    letter = Letter(_headers(storage))
    body, html = storage.text(BODY), storage.text(HTML)
    if html is None and (raw := storage.stream(HTML, 0x0102)) is not None:
        page = storage.number(INTERNET_CODEPAGE) or storage.number(MESSAGE_CODEPAGE)
        html = raw, charset_of_page(page)
    for kind, found in (("text/plain", body), ("text/html", html)):
        if found is not None and found[0]:
            letter.parts.append(Part(kind, found[1], "", is_attachment=False, raw=found[0]))
    if not letter.parts and storage.stream(RTF, 0x0102) is not None:
        letter.unread = ONLY_RTF
    return letter


def _headers(storage: Properties) -> dict[bytes, bytes]:
    """The headers that the mail came with; what they lack is made of the properties."""
    text = storage.words(HEADERS) or ""
    raw = text[:MAX_TRANSPORT_HEADERS].encode("utf-8", "replace").lstrip()
    headers, _ = head_of(raw, 0, len(raw))
    made: dict[bytes, str | None] = {
        b"subject": _subject(storage.words(SUBJECT)),
        b"message-id": storage.words(MESSAGE_ID),
        b"from": next(filter(None, map(storage.words, SENDERS)), None),
    }
    for name, value in made.items():
        if value is not None and name not in headers:
            headers[name] = " ".join(value.split()).encode("utf-8", "replace")
    sent = storage.moment(SUBMITTED) or storage.moment(DELIVERED)
    if b"date" not in headers and sent is not None:
        headers[b"date"] = format_datetime(sent).encode("ascii")
    index = storage.stream(CONVERSATION_INDEX, 0x0102)
    if b"thread-index" not in headers and index:
        headers[b"thread-index"] = base64.b64encode(index[:400])
    return headers


def _subject(text: str | None) -> str | None:
    """A subject in a .pst begins with a mark and the length of its "RE:" ([MS-PST] 2.5.3.1.1.1)."""
    return text[2:] if text and text[0] == "\1" else text


def _attachments(file: CompoundFile, streams: Mapping[str, Entry]) -> Iterator[_Storage]:
    for name in sorted(streams):
        if name.startswith("__ATTACH_VERSION1.0_#") and not streams[name].is_stream:
            yield _Storage(file, file.children(streams[name]), _ATTACHMENT_HEADER)


def _attach(attachment: _Storage, letter: Letter) -> Mapping[str, Entry] | None:
    """Take an attached mail in; one that Outlook embedded is given back, to be read as the letter was."""
    embedded = attachment.streams.get(f"__SUBSTG1.0_{_ATTACH_DATA:04X}000D")
    if embedded is not None and not embedded.is_stream:
        return attachment.file.children(embedded)
    name = next(filter(None, map(attachment.words, _ATTACH_NAMES)), "").lower()
    is_mail = name.endswith(".eml") or (attachment.words(_MIME_TAG) or "").lower() == "message/rfc822"
    if is_mail or name.endswith(".msg"):
        data = attachment.stream(_ATTACH_DATA, 0x0102) or b""
        if is_mail:
            letter.attached.append(letter_of(data))
        else:
            letter.files.append(data)
    return None
