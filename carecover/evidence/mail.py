"""Mails: one message, and what is attached to it → notifications. Mailboxes are in ``mbox``.

A mail is written by strangers, so nothing is parsed before its size, header blocks, part
separators and nesting have been counted in the raw bytes (linear time); what is over a
limit is rejected with its place and hash. Mails whose headers prove that they are no
notification never reach a parser.
"""

from __future__ import annotations

import binascii
import hashlib
import html
import re
from collections.abc import Callable, Iterator, Mapping
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import parseaddr
from typing import Final

from carecover.evidence import profiles, transport
from carecover.evidence.units import (
    Irrelevant,
    Parsed,
    Reader,
    Rejected,
    Row,
    Source,
    Unit,
)
from carecover.evidence.x509 import certificate_row

# Exchange Online lets 150 MB through; a notification has a few kB. Above: a reject to look at.
MAX_MAIL_BYTES: Final = 64 * 1024 * 1024
# Real header blocks reach some 30 kB (long Received and ARC chains).
MAX_HEADER_BYTES: Final = 256 * 1024
# Parts of one mail; each costs the standard parser some 50 microseconds.
MAX_PARTS: Final = 1000
# Lines that may separate parts; the parser makes a part of each.
MAX_SEPARATOR_LINES: Final = 5000
# The standard parser recurses per level and fails at about a thousand.
MAX_NESTING: Final = 50
# A Content-Type of more is made to be slow: parameters are split in quadratic time.
MAX_STRUCTURED_HEADER: Final = 8 * 1024
# Decoded text that is looked at; a notification with a certificate has less than 100 kB.
# What the parser is given at most, long base64 left out: it works line by line, and keeps every header.
MAX_PARSED_BYTES: Final = 4 * 1024 * 1024
# Longer runs of base64 are attachments; a certificate of 16,384 bytes has 22 kB.
MAX_BASE64_RUN: Final = 128 * 1024
MAX_BODY_CHARS: Final = 1024 * 1024
MAX_SUBJECT_BYTES: Final = 4 * 1024
MAX_ENCODED_WORDS: Final = 64

# Only these are handed to Python's codecs: others (punycode, rot13, zip) are slow or no charsets.
_CHARSETS: Final = frozenset(
    {"us-ascii", "ascii", "utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "latin-1", "koi8-r", "koi8-u"}
    | {f"iso-8859-{n}" for n in range(1, 17) if n != 12}
    | {f"windows-125{n}" for n in range(9)}
    | {f"cp125{n}" for n in range(9)}
    | {"cp932", "cp936", "cp949", "cp950", "gb2312", "gbk", "gb18030", "big5", "euc-kr", "euc-jp"}
    | {"shift_jis", "shift-jis", "iso-2022-jp", "ks_c_5601-1987"}
)
_NO_SUCH_CODEC: Final = {"ks_c_5601-1987": "cp949", "shift-jis": "shift_jis"}

_HEADER_LINE = re.compile(rb"[!-9;-~]{1,100}[ \t]*:", re.ASCII)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n|\r\r")
_CONTENT_TYPE = re.compile(rb"(?i)(?:\A|[\r\n])content-type[ \t]*:[^\r\n]*(?:(?:\r\n|\r|\n)[ \t][^\r\n]*)*")
_COMPOSITE = re.compile(rb"(?i)multipart/|message/")
_STATUS_REPORT = re.compile(rb"(?i)message/delivery-status")
_BASE64_RUN = re.compile(rb"(?:[A-Za-z0-9+/=]{60,80}\r?\n)+")
# message/delivery-status and its like have the form of mails and are none.
_ATTACHED_MAIL: Final = frozenset({"message/rfc822", "message/global", "message/news"})
_MIME_HEADERS = (b"content-type", b"content-transfer-encoding")
# Headers that only mails have; two of them make a text file a mail.
_MAIL_HEADERS: Final = frozenset(
    b"from to cc subject date message-id received return-path delivered-to mime-version x-mailer reply-to sender "
    b"content-type x-originating-ip envelope-to dkim-signature arc-seal thread-index thread-topic importance "
    b"x-received x-mozilla-status status x-uidl x-sender references in-reply-to bcc list-id lines path "
    b"x-gmail-labels x-gm-thrid content-transfer-encoding authentication-results x-spam-status organization "
    b"precedence errors-to user-agent x-message-flag x-priority".split()
)


# ------------------------------------------------------------------------------ mail → units


def _key(*parts: str | None) -> bytes:
    """What tells the same mail twice; the date counts, or a copy dated elsewhere would take the mail's place."""
    return hashlib.sha256("\n".join(part or "" for part in parts).encode("utf-8", "surrogatepass")).digest()


def units_of_mail(raw: bytes, location: str) -> Iterator[Unit]:
    """The units of one mail: itself and the mails that it carries as attachments."""
    if len(raw) > MAX_MAIL_BYTES:
        yield Rejected.of(location, "parse", f"The mail has more than {MAX_MAIL_BYTES} bytes.", raw)
        return
    block, separator, _ = _head_of(raw)
    if len(block) > MAX_HEADER_BYTES:
        yield Rejected.of(location, "parse", f"The mail's header has more than {MAX_HEADER_BYTES} bytes.", raw)
        return
    headers = _headers(block)
    if separator and _cannot_matter(raw, block, headers):
        yield Irrelevant()
        return
    light = _BASE64_RUN.sub(_unless_long, raw) if len(raw) > MAX_BASE64_RUN else raw
    problem = _over_a_limit(light)
    if problem:
        yield Rejected.of(location, "parse", problem, raw)
        return
    message = BytesParser(policy=compat32).parsebytes(light)
    yield from _units(message, headers, raw, location)


def _units(message: Message, headers: Mapping[bytes, bytes], raw: bytes, location: str) -> Iterator[Unit]:
    """A mail and the mails inside it; a reject of an inner mail carries the hash of the outermost."""
    yield _unit(message, headers, raw, location)
    for number, nested in enumerate(_nested(message), 1):
        inner: dict[bytes, bytes] = {}
        for name, value in nested.raw_items():
            _keep(inner, name.lower().encode("ascii", "replace"), str(value).encode("utf-8", "surrogateescape"))
        yield from _units(nested, inner, raw, f"{location}, attached mail {number}")


def _children(part: Message) -> list[Message]:
    """The parts of a multipart or of an attached mail; the payload of a leaf is never asked for.

    The standard library would decode it by whatever charset the sender names.
    """
    payload = part.get_payload() if part.is_multipart() else []
    return [child for child in payload if isinstance(child, Message)] if isinstance(payload, list) else []


def _nested(message: Message) -> Iterator[Message]:
    """The mails attached to a mail, not those inside these."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        children = _children(part)
        if part.get_content_maintype() != "message":
            waiting.extend(reversed(children))
        elif part.get_content_type() in _ATTACHED_MAIL:
            yield from children


def _unit(message: Message, headers: Mapping[bytes, bytes], raw: bytes, location: str) -> Unit:
    subject = _decoded(headers.get(b"subject", b""))
    flags: list[str] = []
    recognised = profiles.recognise(subject)
    body = _body(message, flags, None if recognised else profiles.TELLING_WORD)
    if recognised is None:
        if profiles.looks_like_notification(body):
            reason = "The body is worded like a notification, but no known profile has this subject. Look at it."
            return Rejected.of(location, "parse", reason, raw)
        return Irrelevant()
    wording, ca_name, forwarded = recognised
    if forwarded:
        flags.append("forwarded")
    message_id = _printable(headers.get(b"message-id"))
    sent_at, zone = transport.sent_at(headers.get(b"date"))
    key = _key(message_id, str(sent_at), subject, body)
    if sent_at is None:
        flags.append("date_header_unreadable")
    # When and where somebody forwarded a mail says nothing about the CA.
    reading = profiles.read(wording, ca_name, body, *((None, None) if forwarded else (sent_at, zone)))
    if reading.problem and forwarded:
        # An answer that quotes, not a notification that is damaged.
        return Irrelevant(key=key)
    if reading.problem:
        return Rejected.of(location, "validate", reading.problem, raw, key)
    certificates = _carried(reading, location)
    row: dict[str, object] = {
        **reading.fields,
        "sent_at": sent_at,
        "flags": flags + reading.flags,
        "location": location,
        "sender": parseaddr(_decoded(headers.get(b"from", b"")))[1][:320] or None,
        "message_id": message_id,
        **({} if forwarded else transport.witnesses(headers)),
    }
    return Parsed((("notifications", row), *certificates), key=key)


def _carried(reading: profiles.Reading, location: str) -> tuple[tuple[str, Row], ...]:
    """The certificate that a notification carries, as a row; the notification is told what is odd about it."""
    if reading.certificate is None:
        return ()
    try:
        certificate = certificate_row(reading.certificate, location=location, from_mail=True)
    except ValueError:
        reading.flags.append("certificate_invalid")
        return ()
    fields = reading.fields
    fields["certificate_sha256"] = certificate["certificate_sha256"]
    if any(fields.get(name) not in (None, certificate[name]) for name in ("serial", "thumbprint")):
        reading.flags.append("certificate_contradicts_mail")
    return (("certificates", certificate),)


# ------------------------------------------------------------------ what is cheap and complete


def _cannot_matter(raw: bytes, block: bytes, headers: Mapping[bytes, bytes]) -> bool:
    """True where the raw bytes prove that a mail is no notification and carries none.

    Complete, because a title must stand in the subject, and a subject that is plain ASCII
    shows its words; the wording of a body is only looked for where the body is plain text
    too, and attached mails need a Content-Type. Everything else goes to the parser.
    """
    subject = headers.get(b"subject", b"").lower()
    if b"=?" in subject or not subject.isascii() or any(word in subject for word in profiles.TITLE_WORDS):
        return False
    if any(b"\n" + name in b"\n" + block.lower() for name in _MIME_HEADERS):
        kind = headers.get(b"content-type", b"text/plain").lstrip().lower()
        coding = headers.get(b"content-transfer-encoding", b"7bit").strip().lower()
        if not kind.startswith(b"text/plain") or coding not in (b"7bit", b"8bit") or b"utf-16" in kind:
            return False
    return b"equest" not in raw


def _over_a_limit(raw: bytes) -> str | None:
    """A sentence where parsing would take too long; every count is linear in the mail's size."""
    if len(raw) > MAX_PARSED_BYTES:
        return f"The mail has more than {MAX_PARSED_BYTES} bytes besides its attachments."
    composites, reports = 0, False
    for parts, match in enumerate(_CONTENT_TYPE.finditer(raw), 1):
        if parts > MAX_PARTS:
            return f"The mail has more than {MAX_PARTS} parts."
        if match.end() - match.start() > MAX_STRUCTURED_HEADER:
            return f"The mail has a Content-Type header of more than {MAX_STRUCTURED_HEADER} bytes."
        if _COMPOSITE.search(match[0]):
            composites += 1
            if composites > MAX_NESTING:
                return f"The mail has more than {MAX_NESTING} parts that can hold other parts."
        if _STATUS_REPORT.search(match[0]):
            reports = True
    if composites and raw.count(b"\n--") + raw.count(b"\r--") > MAX_SEPARATOR_LINES:
        return f"The mail has more than {MAX_SEPARATOR_LINES} lines that may separate parts."
    # The parser makes a message of every block of a delivery report.
    if reports and sum(map(raw.count, (b"\n\n", b"\r\n\r\n", b"\r\r"))) > MAX_SEPARATOR_LINES:
        return f"The mail has a delivery report of more than {MAX_SEPARATOR_LINES} blocks."
    return None


def _unless_long(match: re.Match[bytes]) -> bytes:
    """A run of base64 lines, or nothing where it is longer than any text that is looked for."""
    return match[0] if len(match[0]) <= MAX_BASE64_RUN else b""


def _head_of(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Header block, the blank line, and the start of the body."""
    match = _BLANK_LINE.search(raw, 0, MAX_HEADER_BYTES + 4)
    if match is None:
        return raw[: MAX_HEADER_BYTES + 1], b"", b""
    return raw[: match.start()], match[0], raw[match.end() : match.end() + 64]


def _headers(block: bytes) -> dict[bytes, bytes]:
    """The value of every header that counts (``_keep``), unfolded; names in lower case."""
    headers: dict[bytes, bytes] = {}
    name: bytes | None = None
    parts: list[bytes] = []
    for line in [*block.splitlines(), b"end:"]:
        if line[:1] in (b" ", b"\t"):
            parts.append(line)
            continue
        if name is not None:
            _keep(headers, name, b"".join(parts))
        name, parts = None, []
        if _HEADER_LINE.match(line):
            key, _, value = line.partition(b":")
            name, parts = key.rstrip().lower(), [value]
    return headers


def _keep(headers: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    """Note a header: of several the first counts, but of Received the last (servers put theirs on top)."""
    if name == b"received":
        headers[name] = value
    else:
        headers.setdefault(name, value)


# ---------------------------------------------------------------------------------- decoding


def _decode(data: bytes, charset: str, flags: list[str] | None = None) -> str:
    """Bytes in a charset of the list; anything else as Latin-1, with a flag."""
    name = charset.strip().strip("\"'").lower().replace("_", "-") if len(charset) < 40 else ""
    name = "shift_jis" if name == "shift-jis" else name
    if name == "ks-c-5601-1987":
        name = "cp949"
    if name in _CHARSETS:
        if name in {"us-ascii", "ascii"} and not data.isascii():
            name = "utf-8"
        return data.decode(_NO_SUCH_CODEC.get(name, name), "replace")
    if flags is not None and "charset_unknown" not in flags:
        flags.append("charset_unknown")
    return data.decode("latin-1")


def _decoded(value: bytes) -> str:
    """A header as text: RFC 2047 words in the charsets of the list, else UTF-8, else Latin-1."""
    value = value[:MAX_SUBJECT_BYTES].strip()
    text = _utf8_or_latin1(value)
    if "=?" not in text or text.count("=?") > MAX_ENCODED_WORDS:
        return text
    try:
        chunks = decode_header(text)
    except (HeaderParseError, binascii.Error, ValueError):
        return text
    return "".join(
        chunk if isinstance(chunk, str) else _decode(chunk, charset) if charset else _utf8_or_latin1(chunk)
        for chunk, charset in chunks
    )


def _utf8_or_latin1(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _printable(value: bytes | None) -> str | None:
    """A header for the tables: bounded, without control characters."""
    if value is None:
        return None
    text = "".join(c for c in _utf8_or_latin1(value[:400].strip()) if c.isprintable())
    return text or None


def _body(message: Message, flags: list[str], wanted: str | None) -> str:
    """The mail's text: its first text/plain wherever it is nested, else its first text/html.

    HTML that has not even the ``wanted`` word is not worth its tags being taken away.
    """
    fallback = ""
    waiting = [message]
    seen = 0
    while waiting and seen <= MAX_PARTS:
        part = waiting.pop()
        seen += 1
        if part.is_multipart():
            if part.get_content_maintype() != "message":
                waiting.extend(reversed(_children(part)))
            continue
        kind = part.get_content_type()
        if kind not in {"text/plain", "text/html"} or part.get_content_disposition() == "attachment":
            continue
        text = _part_text(part, flags)
        if kind == "text/plain" and text.strip():
            return text
        if kind == "text/html" and not fallback and (wanted is None or wanted in text.lower()):
            fallback = text_of_html(text)
    return fallback


def _part_text(part: Message, flags: list[str]) -> str:
    charset = part.get_param("charset", "us-ascii")
    # With the charset gone, the library undoes the transfer encoding and nothing else.
    del part["Content-Type"]
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    text = _decode(data[: 4 * MAX_BODY_CHARS], charset if isinstance(charset, str) else "", flags)
    if len(text) > MAX_BODY_CHARS:
        flags.append("body_cut")
        text = text[:MAX_BODY_CHARS]
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")


_BREAKS: Final = frozenset({"br", "p", "div", "tr", "li", "table", "h1", "h2", "h3", "h4", "pre"})
_SILENT: Final = frozenset({"script", "style", "head", "title"})
_TAG_NAME = re.compile(r"/?([a-z][a-z0-9]{0,20})", re.IGNORECASE)


def text_of_html(markup: str) -> str:
    """The words of an HTML mail, in one pass whatever the markup: line breaks at block tags."""
    out: list[str] = []
    silent: str | None = None
    for number, chunk in enumerate(markup.split("<")):
        tag, closing, words = chunk.partition(">")
        if number == 0:
            words = chunk
        else:
            name = _TAG_NAME.match(tag)
            word = name[1].lower() if name else ""
            if silent is not None:
                if not (tag.startswith("/") and word == silent):
                    continue
                silent = None
            elif word in _SILENT and not tag.startswith("/"):
                silent = word
                continue
            if not name and not tag.startswith("!"):
                words = "<" + chunk
            elif not closing:
                continue
            elif word in _BREAKS:
                out.append("\n")
        # A line end inside a paragraph is a blank; the tags make the lines.
        out.append(words.replace("\n", " "))
    return html.unescape("".join(out)).replace("\u00a0", " ")


# ------------------------------------------------------------------------------------- files


def leading(head: bytes) -> int:
    """Bytes before the first header line: a BOM, empty lines, the blanks of a copy from a web page."""
    rest = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    return len(head) - len(rest)


def looks_like_mail(head: bytes) -> bool:
    """True where a file begins with a mail's header."""
    block, _, _ = _head_of(head[leading(head) :])
    lines = block.splitlines()
    if not lines or not _HEADER_LINE.match(lines[0]):
        return False
    names = list(_headers(block))
    known = [name for name in names if name in _MAIL_HEADERS]
    return len(known) >= 2 or (len(known) == 1 and len(names) == 1)


def _read_mail(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    if source.size > MAX_MAIL_BYTES:
        yield Rejected.of("byte 0", "open", f"The mail has more than {MAX_MAIL_BYTES} bytes.", source.data)
        return
    yield from units_of_mail(bytes(source.data[leading(source.head) :]), "byte 0")
    progress(source.size)


READER: Final = Reader("mail", lambda source: looks_like_mail(source.head), _read_mail)
