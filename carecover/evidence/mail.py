"""Mails: one message, and what is attached to it → notifications. Mailboxes are in ``mbox``.

A mail is written by strangers: ``mime`` finds its parts within limits, and what is over one is
rejected with its place and hash. Mails whose headers prove that they are no notification are
not even taken apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from itertools import islice
from typing import Final

from carecover.evidence import ordinary, pkcs7, profiles, transport
from carecover.evidence.charsets import decoded, header_text, normal, printable
from carecover.evidence.markup import text_of_html
from carecover.evidence.mime import (
    MAX_NESTING,
    Letter,
    Part,
    TooMuchError,
    head_of,
    letter_of,
)
from carecover.evidence.msg import letter_of_msg
from carecover.evidence.ole import MAGIC as OLE_MAGIC
from carecover.evidence.ole import OleError
from carecover.evidence.units import Irrelevant, Parsed, Reader, Rejected, Row, Source, Unit
from carecover.evidence.x509 import certificate_row, outer_element

# Exchange Online lets 150 MB through; a notification has a few kB. Above: a reject to look at.
MAX_MAIL_BYTES: Final = 64 * 1024 * 1024
# Text that is looked at; a notification with a certificate has less than 100 kB.
MAX_BODY_CHARS: Final = 1024 * 1024
# The same as it is sent: in quoted-printable a character may have twelve bytes.
MAX_TEXT_BYTES: Final = 4 * MAX_BODY_CHARS
# Attachments that are looked at for the certificate of a notification, and certificates in one of them.
_MAX_ATTACHMENTS: Final = 20
# What of an attachment says that it is none: as sent, before a line of an encoding may end.
_TELLING: Final = 60
TEXTS: Final = ("text/plain", "text/html")
# Mails that are about a certificate.
CARRYING: Final = frozenset({"issued", "retrieve_pending", "imported", "revoked", "unrevoked"})

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
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


def key_of(message_id: str | None, sent: int | None, subject: str, body: str) -> bytes:
    """What tells the same mail twice; the date counts, or a copy dated elsewhere would take the mail's place.

    ``sent`` is in microseconds since 1970.
    """
    told = f"{message_id or ''}\n{sent}\n{subject}\n{body}"
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).digest()


def units_of_mail(raw: bytes, location: str, *, seen: bool = False) -> Iterator[Unit]:
    """The units of one mail: itself and the mails that it carries as attachments.

    Where it was ``seen`` already, somebody asked ``cannot_matter``, and nothing was proved.
    """
    if len(raw) > MAX_MAIL_BYTES:
        yield Rejected.of(location, "parse", f"The mail has more than {MAX_MAIL_BYTES} bytes.", raw)
        return
    if not seen and ordinary.cannot_matter(raw, 0, len(raw)):
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
    wordings = profiles.in_use()
    recognised = profiles.recognise(subject)
    body = text_of(letter, flags, None if recognised or wordings.looks_at_all else wordings.body_words)
    recognised = recognised or profiles.recognise_body(body)
    if recognised is None:
        if wordings.unexplained is not None:
            sender = parseaddr(header_text(headers.get(b"from", b"")))[1][:320]
            wordings.unexplained(subject, body, sender, location)
        if profiles.looks_like_notification(body):
            reason = "The body is worded like a notification, but no known profile has this subject. Look at it."
            return Rejected.of(location, "parse", reason, raw)
        return Irrelevant()
    forwarded = recognised.forwarded
    if forwarded:
        flags.append("forwarded")
    message_id = printable(headers.get(b"message-id"))
    sent_at, zone = transport.sent_at(headers.get(b"date"))
    key = key_of(message_id, None if sent_at is None else (sent_at - _EPOCH) // _MICROSECOND, subject, body)
    if sent_at is None:
        flags.append("date_header_unreadable")
    # When and where somebody forwarded a mail says nothing about the CA.
    reading = profiles.read(recognised, body, *((None, None) if forwarded else (sent_at, zone)))
    if reading.problem and forwarded:
        # An answer that quotes, not a notification that is damaged.
        return Irrelevant(key=key)
    if reading.problem:
        return Rejected.of(location, "validate", letter.unread or reading.problem, raw, key)
    certificates = _carried(letter, body, reading, location)
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


def _carried(letter: Letter, body: str, reading: profiles.Reading, location: str) -> tuple[tuple[str, Row], ...]:
    """The certificate that a notification carries, as a row; the notification is told what is odd about it.

    One that stands where the wording has none, or is attached, counts only where it is what the mail is
    about: relays and people add certificates of their own.
    """
    fields = reading.fields
    if fields["event"] not in CARRYING:
        return ()
    if reading.certificate is not None:
        row = _certificate_row(reading.certificate, location)
        if row is None:
            reading.flags.append("certificate_invalid")
    else:
        rows = [row for der in _beyond(letter, body) if (row := _certificate_row(der, location)) is not None]
        told = [name for name in ("serial", "thumbprint") if fields.get(name) is not None]
        row = next((row for row in rows if told and all(fields[name] == row[name] for name in told)), None)
        if not told and len({each["certificate_sha256"] for each in rows}) == 1:
            row = rows[0]
    if row is None:
        return ()
    fields["certificate_sha256"] = row["certificate_sha256"]
    if any(fields.get(name) not in (None, row[name]) for name in ("serial", "thumbprint")):
        reading.flags.append("certificate_contradicts_mail")
    return (("certificates", row),)


def _certificate_row(der: bytes, location: str) -> Row | None:
    try:
        return certificate_row(der, location=location, from_mail=True)
    except ValueError:
        return None


def _beyond(letter: Letter, body: str) -> Iterator[bytes]:
    """DER of the certificates in a body, wherever they stand, and in the attachments."""
    yield from profiles.certificates_in(body)
    attached = (part for part in letter.parts if part.is_attachment or part.kind not in TEXTS)
    for part in islice(attached, _MAX_ATTACHMENTS):
        start = part.decoded(_TELLING)
        if not start.startswith(b"0") and not start.isascii():
            # Neither DER nor text: a picture, a document.
            continue
        data = part.decoded(2 * profiles.MAX_CERTIFICATE_TEXT)
        if pkcs7.content_type(data) is not None:
            try:
                yield from (
                    item.der for item in islice(pkcs7.items(data), _MAX_ATTACHMENTS) if item.kind == "certificate"
                )
            except ValueError:
                continue
        elif (der := outer_element(data)) is not None:
            yield der
        elif data.isascii():
            yield from profiles.certificates_in(data.decode("ascii"))


# ---------------------------------------------------------------------------------- the text


def text_of(letter: Letter, flags: list[str], wanted: Sequence[str] | None) -> str:
    """The mail's text: its first text/plain wherever it is nested, else its first text/html.

    HTML that has none of the ``wanted`` words is not worth its tags being taken away.
    """
    fallback = ""
    for part in letter.parts:
        if part.kind not in TEXTS or part.is_attachment:
            continue
        if part.kind == "text/html" and fallback:
            continue
        text = _text(part, flags)
        if part.kind == "text/plain" and text.strip():
            return text
        if part.kind == "text/html" and (wanted is None or any(word in text.lower() for word in wanted)):
            fallback = text_of_html(text)
    return fallback


def _text(part: Part, flags: list[str]) -> str:
    text = decoded(part.decoded(MAX_TEXT_BYTES), part.charset, flags)
    if len(text) > MAX_BODY_CHARS or part.size > MAX_TEXT_BYTES:
        flags.append("body_cut")
        text = text[:MAX_BODY_CHARS]
    return normal(text)


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
