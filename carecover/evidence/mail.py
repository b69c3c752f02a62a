"""Mails: one message, and what is attached to it → notifications. Mailboxes are in ``mbox``.

A mail is written by strangers: ``mime`` finds its parts within limits, and what is over one is
rejected with its place and hash. Mails whose headers prove that they are no notification are
not even taken apart.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable, Iterator, Mapping
from email.utils import parseaddr
from typing import Final

from carecover.evidence import profiles, transport
from carecover.evidence.charsets import decoded, header_text, hides_letters, printable
from carecover.evidence.mime import (
    MAX_HEADER_BYTES,
    MAX_NESTING,
    Letter,
    Part,
    TooMuchError,
    content_type,
    head_of,
    letter_of,
)
from carecover.evidence.msg import letter_of_msg
from carecover.evidence.ole import MAGIC as OLE_MAGIC
from carecover.evidence.ole import OleError
from carecover.evidence.units import Irrelevant, Parsed, Reader, Rejected, Row, Source, Unit
from carecover.evidence.x509 import certificate_row

# Exchange Online lets 150 MB through; a notification has a few kB. Above: a reject to look at.
MAX_MAIL_BYTES: Final = 64 * 1024 * 1024
# Text that is looked at; a notification with a certificate has less than 100 kB.
MAX_BODY_CHARS: Final = 1024 * 1024
# The same as it is sent: in quoted-printable a character may have twelve bytes.
MAX_TEXT_BYTES: Final = 4 * MAX_BODY_CHARS

_HEADER_LINE = re.compile(rb"[!-9;-~]{1,100}[ \t]*:", re.ASCII)
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
    headers, body = head_of(raw, 0, len(raw))
    if body <= MAX_HEADER_BYTES and _cannot_matter(raw, headers):
        yield Irrelevant()
        return
    try:
        letter = letter_of(raw)
    except TooMuchError as error:
        yield Rejected.of(location, "parse", str(error), raw)
        return
    yield from units_of_letter(letter, raw, location)


def units_of_letter(letter: Letter, raw: bytes, location: str) -> Iterator[Unit]:
    """A mail and the mails inside it; a reject of an inner mail carries the hash of the outermost, ``raw``."""
    waiting: list[tuple[Letter | bytes, str, int]] = [(letter, location, 0)]
    while waiting:
        found, place, depth = waiting.pop()
        try:
            mail = letter_of_msg(found) if isinstance(found, bytes) else found
        except (OleError, TooMuchError) as error:
            yield Rejected.of(place, "parse", f"The attached Outlook message cannot be read. {error}", raw)
            continue
        if depth > MAX_NESTING:
            yield Rejected.of(place, "parse", f"The mail lies in more than {MAX_NESTING} others.", raw)
            continue
        yield _unit(mail, raw, place)
        inner: list[Letter | bytes] = [*mail.attached, *mail.files]
        waiting += [(each, f"{place}, attached mail {n}", depth + 1) for n, each in enumerate(inner, 1)][::-1]


def _unit(letter: Letter, raw: bytes, location: str) -> Unit:
    headers = letter.headers
    subject = header_text(headers.get(b"subject", b""))
    flags: list[str] = []
    recognised = profiles.recognise(subject)
    body = _body(letter, flags, None if recognised else profiles.TELLING_WORD)
    if recognised is None:
        if profiles.looks_like_notification(body):
            reason = "The body is worded like a notification, but no known profile has this subject. Look at it."
            return Rejected.of(location, "parse", reason, raw)
        return Irrelevant()
    wording, ca_name, forwarded = recognised
    if forwarded:
        flags.append("forwarded")
    message_id = printable(headers.get(b"message-id"))
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
        return Rejected.of(location, "validate", letter.unread or reading.problem, raw, key)
    certificates = _carried(reading, location)
    row: dict[str, object] = {
        **reading.fields,
        "sent_at": sent_at,
        "flags": flags + reading.flags,
        "location": location,
        "sender": parseaddr(header_text(headers.get(b"from", b"")))[1][:320] or None,
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


def _cannot_matter(raw: bytes, headers: Mapping[bytes, bytes]) -> bool:
    """True where the raw bytes prove that a mail is no notification and carries none.

    Complete, because a title must stand in the subject, and a subject that is plain ASCII
    shows its words; the wording of a body is only looked for where the body is plain text
    too, and attached mails need a Content-Type. Everything else is looked at closely.
    """
    subject = headers.get(b"subject", b"").lower()
    if b"=?" in subject or not subject.isascii() or any(word in subject for word in profiles.TITLE_WORDS):
        return False
    if b"content-type" in headers or b"content-transfer-encoding" in headers:
        kind, parameters = content_type(headers)
        coding = headers.get(b"content-transfer-encoding", b"7bit").strip().lower()
        if kind != "text/plain" or coding not in (b"7bit", b"8bit") or b"name" in headers.get(b"content-type", b""):
            return False
        if b"content-disposition" in headers or hides_letters(parameters("charset") or ""):
            return False
    return b"equest" not in raw


# ---------------------------------------------------------------------------------- the text


def _body(letter: Letter, flags: list[str], wanted: str | None) -> str:
    """The mail's text: its first text/plain wherever it is nested, else its first text/html.

    HTML that has not even the ``wanted`` word is not worth its tags being taken away.
    """
    fallback = ""
    for part in letter.parts:
        if part.kind not in ("text/plain", "text/html") or part.is_attachment:
            continue
        if part.kind == "text/html" and fallback:
            continue
        text = _text(part, flags)
        if part.kind == "text/plain" and text.strip():
            return text
        if part.kind == "text/html" and (wanted is None or wanted in text.lower()):
            fallback = text_of_html(text)
    return fallback


def _text(part: Part, flags: list[str]) -> str:
    text = decoded(part.decoded(MAX_TEXT_BYTES), part.charset, flags)
    if len(text) > MAX_BODY_CHARS or len(part.data) > MAX_TEXT_BYTES:
        flags.append("body_cut")
        text = text[:MAX_BODY_CHARS]
    return text.rstrip("\0").replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")


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
    start = head[leading(head) :]
    headers, _ = head_of(start, 0, len(start))
    if not headers or not _HEADER_LINE.match(start):
        return False
    known = [name for name in headers if name in _MAIL_HEADERS]
    return len(known) >= 2 or (len(known) == 1 and len(headers) == 1)


def _read_mail(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    if source.size > MAX_MAIL_BYTES:
        yield Rejected.of("byte 0", "open", f"The mail has more than {MAX_MAIL_BYTES} bytes.", source.data)
        return
    yield from units_of_mail(bytes(source.data[leading(source.head) :]), "byte 0")
    progress(source.size)


def _read_msg(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    progress(source.size)
    if source.size > MAX_MAIL_BYTES:
        yield Rejected.of("byte 0", "open", f"The mail has more than {MAX_MAIL_BYTES} bytes.", source.data)
        return
    raw = bytes(source.data[:])
    try:
        letter = letter_of_msg(raw)
    except (OleError, TooMuchError) as error:
        yield Rejected.of("byte 0", "parse", str(error), raw)
        return
    yield from units_of_letter(letter, raw, "byte 0")


MSG_READER: Final = Reader("msg", lambda source: source.head.startswith(OLE_MAGIC), _read_msg)
READER: Final = Reader("mail", lambda source: looks_like_mail(source.head), _read_mail)
