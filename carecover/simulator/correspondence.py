"""The mails of a simulated incident: the exit module's notifications and ordinary mail.

The wording is Microsoft's published sample for the SMTP exit module ("Configuring the
SMTP Exit Module", http://technet.microsoft.com/en-us/library/cc773129(v=ws.10).aspx), the
header block that of mails sent through CDO. Assumed, because nothing is public: the titles
of start, stop, import and retrieval, and that a release arrives in the Revoked wording with reason
0xffffffff.

Mails are put together here rather than by the email package, whose output changes from one
Python to the next: the same seed must give the same bytes. Line ends are LF.
"""

from __future__ import annotations

import quopri
import zipfile
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import BinaryIO, Final, Literal, cast
from zoneinfo import ZoneInfo

from carecover.simulator import worded
from carecover.simulator.authority import DatabaseRow, derive
from carecover.simulator.rendering import DateStyle, base64_lines, pem, spaced_hex

Event = Literal[
    "issued",
    "pending",
    "denied",
    "revoked",
    "unrevoked",
    "retrieve_pending",
    "crl_issued",
    "startup",
    "shutdown",
    "imported",
]

ArchiveFormat = Literal["mbox", "maildir", "eml", "zip"]

_TITLES: Final[dict[Event, str]] = {
    "issued": "Your certificate has been issued by {ca}",
    "pending": "Your certificate is pending on {ca}",
    "denied": "Your certificate request was denied by {ca}",
    "revoked": "Your certificate was revoked by {ca}",
    "unrevoked": "Your certificate was revoked by {ca}",
    "retrieve_pending": "Your certificate has been retrieved from {ca}",
    "crl_issued": "A new CRL was issued by {ca}",
    "startup": "The Certification Authority service on {ca} has started",
    "shutdown": "The Certification Authority service on {ca} has stopped",
    "imported": "A certificate was imported on {ca}",
}

# The constant that stands for a property without a value (certsrv.h, wszREGEXITPROPNOTFOUND).
_NOT_FOUND: Final = "???"

_EPOCH_1601: Final = datetime(1601, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as it lies in a mailbox: when it came, its envelope sender, its bytes.

    ``title`` and ``text`` are what a person sees of a notification; empty for other mail.
    """

    sent_at: datetime
    sender: str
    data: bytes
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Transport:
    """What the headers of a mail say of its way where that is not the CA's own.

    ``thread_at`` and ``received_at`` are the times in Thread-Index and Received.
    """

    sender: str | None = None
    relay: str | None = None
    thread_at: datetime | None = None
    received_at: datetime | None = None


_DIRECT: Final = Transport()


@dataclass(frozen=True, slots=True)
class Mailer:
    """Writes mails as the CA's host and its mail system would."""

    seed: int
    ca_name: str
    host: str
    domain: str
    style: DateStyle
    zone: ZoneInfo
    clock_offset: timedelta = timedelta()
    """How far the CA's clock is ahead of the mail servers'."""
    mailbox: str | None = None
    """Domain of the mailbox, where that is not the CA's own."""
    wording: worded.MailWording = "sample"

    @property
    def _mailbox(self) -> str:
        return self.mailbox or self.domain

    @property
    def address(self) -> str:
        """The From address of every notification."""
        return f"pki@{self.domain}"

    def title(self, event: Event, row: DatabaseRow | None = None) -> str:
        """The subject of one kind of notification."""
        if (form := self._format(event, row)) is not None:
            return worded.printed([form.title], form.title_columns, self.ca_name, row, self._when).rstrip()
        return _TITLES[event].format(ca=self.ca_name)

    def body(self, event: Event, row: DatabaseRow | None, *, carries_certificate: bool = False) -> str:
        """The text of one notification."""
        if (form := self._format(event, row)) is not None:
            shown = row if carries_certificate or row is None else replace(row, certificate=None)
            return worded.printed(form.lines, form.columns, self.ca_name, shown, self._when)
        if event == "crl_issued":
            return "A new CRL has been issued\n"
        if row is None:
            return "\n"
        # BodyFormat is first set to an empty string, then appended to: an empty line leads.
        return "\n" + "".join(f"{line}\n" for line in self._lines(event, row, carries_certificate))

    def notification(
        self,
        event: Event,
        row: DatabaseRow | None,
        sent_at: datetime,
        *,
        carries_certificate: bool = False,
        transport: Transport = _DIRECT,
    ) -> Mail:
        """One notification mail as a mailbox holds it; ``sent_at`` is by the CA's clock."""
        request = row.request_id if row else ""
        salt = derive(self.seed, "notification", event, request, sent_at.isoformat())
        subject, text = self.title(event, row), self.body(event, row, carries_certificate=carries_certificate)
        charset, encoding, payload = _encoded(text, salt[0])
        guid = salt[1:17]
        recipients = [] if row is None or row.upn is None else [f"To: {row.upn}"]
        sender = transport.sender or self.address
        came = (transport.received_at or sent_at) - self.clock_offset
        headers = [
            *self._received(came, sender, salt, transport.relay),
            f"thread-index: {_thread_index(transport.thread_at or sent_at, guid)}",
            f"Thread-Topic: {_header_text(subject)}",
            f"From: {sender}",
            *recipients,
            f"Cc: pki-team@{self._mailbox}",
            f"Subject: {_header_text(subject)}",
            f"Date: {format_datetime(sent_at.astimezone(self.zone))}",
            f"Message-ID: <{guid.hex().upper()}@{self.host}>",
            "MIME-Version: 1.0",
            f'Content-Type: text/{"html" if text.startswith("<html>") else "plain"}; charset="{charset}"',
            f"Content-Transfer-Encoding: {encoding}",
            "X-Mailer: Microsoft CDO for Windows 2000",
            "Content-Class: urn:content-classes:message",
            "Importance: normal",
            "Priority: normal",
            "X-MimeOLE: Produced By Microsoft MimeOLE",
        ]
        data = "\n".join(headers).encode("ascii") + b"\n\n" + payload
        return Mail(sent_at - self.clock_offset, sender, data, subject, worded.as_seen(text))

    def forwarded(self, number: int, mail: Mail, sent_at: datetime) -> Mail:
        """A notification as a person passes it on: every other one attached whole, else its text quoted."""
        salt = derive(self.seed, "forwarded", number)
        sender = f"{_PEOPLE[salt[1] % len(_PEOPLE)]}@{self.domain}"
        boundary = f"----=_Part_{salt[2:10].hex()}"
        if number % 2:
            content = (
                f'Content-Type: multipart/mixed; boundary="{boundary}"\n\n--{boundary}\n'
                f"Content-Type: text/plain; charset=us-ascii\n\nPlease keep.\n{_SIGNATURE}--{boundary}\n"
                "Content-Type: message/rfc822\nContent-Disposition: attachment\n\n"
            ).encode("ascii")
            content += mail.data.rstrip(b"\n") + f"\n--{boundary}--\n".encode("ascii")
        else:
            quoted = (
                f"Please keep.\n\n-----Original Message-----\nFrom: {self.address}\n"
                f"Subject: {mail.title}\n{mail.text}{_SIGNATURE}"
            )
            content = _plain(quoted) if quoted.isascii() else _utf8_text(quoted)
        headers = self._person_headers(f"FW: {mail.title}", sender, sent_at, salt)
        return Mail(sent_at, sender, headers + content)

    def ordinary(self, number: int, sent_at: datetime, quotable: Sequence[tuple[Event, DatabaseRow]]) -> Mail:
        """One mail that is none of the exit module's, though some quote or resemble one."""
        salt = derive(self.seed, "ordinary", number)
        sender = f"{_PEOPLE[salt[1] % len(_PEOPLE)]}@{self.domain}"
        kind = number % (8 if quotable else 6)
        boundary = f"----=_Part_{salt[2:10].hex()}"
        match kind:
            case 0:
                subject, content = "Maintenance window on Thursday", _plain(_CHAT[salt[3] % len(_CHAT)])
            case 1:
                # "From " at the start of a line is what an mbox must escape.
                text = "Hello,\n\nFrom what I saw, the certificate on the old proxy expires soon.\n" + _SIGNATURE
                subject, content = "certificate on the old proxy", _plain(text)
            case 2:
                subject, content = "Rückfrage zur Zertifikatssperrung", _quoted_printable(_GERMAN)
            case 3:
                subject, content = "証明書の更新について", _base64_text(_JAPANESE)
            case 4:
                subject, content = "PKI news of the week", _newsletter(boundary, salt)
            case 5:
                subject, content = "Scan of the signed form", _with_attachment(boundary, self.seed, number, salt)
            case _:
                event, row = quotable[salt[3] % len(quotable)]
                quoted = worded.as_seen(self.body(event, row))
                if kind == 6:
                    subject = f"RE: {self.title(event, row)}"
                    lines = "".join(f"> {line}\n" for line in quoted.splitlines())
                    text = f"Is this one of ours?\n\n{self.address} wrote:\n{lines}{_SIGNATURE}"
                else:
                    subject = f"FW: {self.title(event, row)}"
                    text = (
                        f"For your records.\n\n-----Original Message-----\nFrom: {self.address}\n"
                        f"Subject: {self.title(event, row)}\n{quoted}{_SIGNATURE}"
                    )
                content = _plain(text)
        return Mail(sent_at, sender, self._person_headers(subject, sender, sent_at, salt) + content)

    def _person_headers(self, subject: str, sender: str, sent_at: datetime, salt: bytes) -> bytes:
        headers = [
            *self._received(sent_at, sender, salt),
            f"From: {sender}",
            f"To: pki-team@{self.domain}",
            f"Subject: {_header_text(subject)}",
            f"Date: {format_datetime(sent_at.astimezone(self.zone))}",
            f"Message-ID: <{salt[10:26].hex()}@mail.{self.domain}>",
            "MIME-Version: 1.0",
        ]
        return "\n".join(headers).encode("ascii") + b"\n"

    def _received(self, sent_at: datetime, sender: str, salt: bytes, relay: str | None = None) -> list[str]:
        arrived = format_datetime((sent_at + timedelta(seconds=1)).astimezone(UTC))
        return [
            f"Return-Path: <{sender}>",
            f"Received: from {relay or self.host} by mx1.{self._mailbox} with ESMTP id {salt[26:32].hex()};",
            f"\t{arrived}",
        ]

    def _format(self, event: Event, row: DatabaseRow | None) -> worded.Format | None:
        template = row.template.name if row is not None and row.template is not None else None
        return worded.format_of(self.wording, event, template)

    def _when(self, moment: datetime | None) -> str:
        return _NOT_FOUND if moment is None else self.style.text(moment)

    def _lines(self, event: Event, row: DatabaseRow, carries_certificate: bool) -> list[str]:
        def shown(value: str | None) -> str:
            return value or _NOT_FOUND

        when = self._when

        request_id = f"Request ID: {row.request_id}"
        upn, requester = f"UPN: {shown(row.upn)}", f"Requester Name: {shown(row.requester)}"
        name = f"Distinguished Name: {shown(row.subject)}"
        serial = f"Serial Number: {shown(row.serial.text if row.serial else None)}"
        fingerprint = f"Certificate Hash: {spaced_hex(row.thumbprint) if row.thumbprint else _NOT_FOUND}"
        template = shown(row.template.identifier if row.template else None)
        disposition = f"Request Disposition Message: {shown(row.message)}"
        match event:
            case "pending":
                return [
                    request_id,
                    upn,
                    requester,
                    f"Time submitted: {when(row.submitted_at)}",
                    name,
                    f"Certificate Template used: {template}",
                    disposition,
                ]
            case "denied":
                return [
                    f"Your Request ID is: {row.request_id}",
                    f"The Requester Name is: {shown(row.requester)}",
                    f"The Request Submission Date was: {when(row.submitted_at)}",
                    f"Subject Name: {shown(row.subject)}",
                    disposition,
                    # CERTSRV_E_ADMIN_DENIED_REQUEST
                    "Request StatusCode: 0x80094014",
                ]
            case "revoked" | "unrevoked":
                return [
                    request_id,
                    f"Revoked when: {when(row.revoked_at)}",
                    f"Effective: {when(row.effective_revoked_at)}",
                    f"Reason for being revoked: {(row.reason or 0) & 0xFFFFFFFF:#x}",
                    upn,
                    requester,
                    serial,
                    f"Was not valid until: {when(row.not_before)}",
                    f"Was not valid after: {when(row.not_after)}",
                    name,
                    f"Certificate Template: {template}",
                    fingerprint,
                    f"Request Status: {shown(row.message)}",
                ]
            case _:
                lines = [
                    request_id,
                    upn,
                    requester,
                    serial,
                    f"Valid not before: {when(row.not_before)}",
                    f"Valid not after: {when(row.not_after)}",
                    name,
                    f"Certificate Template: {template}",
                    fingerprint,
                    disposition,
                ]
                if carries_certificate and row.certificate is not None:
                    lines.append("Copy and paste the following in Notepad, save and install")
                    lines.append(f"Binary Certificate: {pem(row.certificate).rstrip()}")
                return lines


def archive(
    kind: ArchiveFormat, folder: str, stem: str, mails: Iterator[Mail]
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The mails in one of the forms that archives come in: path and content of every file."""
    match kind:
        case "mbox":
            yield f"{folder}/{stem}.mbox", map(mbox_entry, mails)
        case "maildir":
            for n, mail in enumerate(mails, start=1):
                # Only in cur/ have names a colon, which Windows cannot write: all mail is new.
                name = f"{int(mail.sent_at.timestamp())}.M{n:06}P1.mx1"
                yield f"{folder}/{stem}/new/{name}", iter([mail.data])
        case "eml":
            for n, mail in enumerate(mails, start=1):
                yield f"{folder}/{n:07}.eml", iter([_crlf(mail.data)])
        case "zip":
            yield f"{folder}/{stem}.zip", _zipped(mails)


def _zipped(mails: Iterator[Mail]) -> Iterator[bytes]:
    """A zip archive of .eml files, written without ever being whole in memory.

    Nothing is compressed: what zlib makes of the same bytes differs between its versions.
    """
    sink = _Sink()
    with zipfile.ZipFile(cast("BinaryIO", sink), "w") as target:
        for n, mail in enumerate(mails, start=1):
            stamp = mail.sent_at.astimezone(UTC)
            # A zip file keeps even seconds only.
            member = zipfile.ZipInfo(f"{n:07}.eml", (*stamp.timetuple()[:5], stamp.second // 2 * 2))
            member.create_system = 0
            target.writestr(member, _crlf(mail.data))
            yield sink.take()
    yield sink.take()


class _Sink:
    """A stream that cannot seek and gives up what was written since it was last asked."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def mbox_entry(mail: Mail) -> bytes:
    """A mail as an mbox holds it: separator line, ``From `` escaped by ``>``, empty line (mboxrd)."""
    stamp = mail.sent_at.astimezone(UTC)
    day = f"{_DAYS[stamp.weekday()]} {_MONTHS[stamp.month - 1]} {stamp.day:2} {stamp:%H:%M:%S} {stamp.year}"
    lines = mail.data.split(b"\n")
    escaped = b"\n".join(b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in lines)
    return f"From {mail.sender} {day}\n".encode("ascii") + escaped.rstrip(b"\n") + b"\n\n"


# English whatever the locale of the machine: strftime's names would follow it.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PEOPLE: Final = ("anna.beck", "helpdesk", "jonas.krug", "network-team", "m.tanaka", "news")
_SIGNATURE: Final = "\n-- \nService desk, extension 4711\n"
_CHAT: Final = (
    "Hello,\n\nthe proxies restart on Thursday at 22:00. No action is needed.\n" + _SIGNATURE,
    "Hi,\n\ncan you renew the web server certificate of the intranet? Serial number follows.\n" + _SIGNATURE,
    "All,\n\nthe request ID of a pending request is shown on the web page after you submit it.\n" + _SIGNATURE,
)
_GERMAN: Final = (
    "Hallo zusammen,\n\nbitte prüft, ob das Zertifikat für den Drucker gesperrt wurde. Die Seriennummer "
    "reiche ich nach, sobald der Händler zurückruft.\n\nViele Grüße\nJörg\n"
)
_JAPANESE: Final = "お疲れ様です。\n\nサーバー証明書の更新をお願いします。\n\nよろしくお願いします。\n田中\n"


def _thread_index(sent_at: datetime, guid: bytes) -> str:
    """22 bytes: the upper 48 bits of a FILETIME, then a GUID."""
    ticks = (sent_at - _EPOCH_1601) // timedelta(microseconds=1) * 10
    return b64encode((ticks >> 16).to_bytes(6, "big") + guid).decode("ascii")


def _header_text(text: str) -> str:
    if text.isascii():
        return text
    return f"=?utf-8?B?{b64encode(text.encode()).decode('ascii')}?="


def _encoded(text: str, choice: int) -> tuple[str, str, bytes]:
    """Charset, transfer encoding and payload; mail systems on the way re-encode some mails."""
    charset = "iso-8859-1" if text.isascii() else "utf-8"
    raw = text.encode()
    if choice < 40:
        return charset, "base64", base64_lines(raw, 76).encode("ascii")
    if choice < 80 or not text.isascii():
        return charset, "quoted-printable", quopri.encodestring(raw)
    return charset, "7bit", raw


def _plain(text: str) -> bytes:
    return b"Content-Type: text/plain; charset=us-ascii\nContent-Transfer-Encoding: 7bit\n\n" + text.encode()


def _quoted_printable(text: str) -> bytes:
    body = quopri.encodestring(text.encode("iso-8859-1"))
    return b"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n" + body


def _utf8_text(text: str) -> bytes:
    body = quopri.encodestring(text.encode())
    return b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n" + body


def _base64_text(text: str) -> bytes:
    body = base64_lines(text.encode("iso-2022-jp"), 76).encode("ascii")
    return b"Content-Type: text/plain; charset=iso-2022-jp\nContent-Transfer-Encoding: base64\n\n" + body


def _newsletter(boundary: str, salt: bytes) -> bytes:
    link = f"https://news.example/{salt[3:9].hex()}"
    return (
        f'List-Unsubscribe: <{link}>\nContent-Type: multipart/alternative; boundary="{boundary}"\n\n'
        f"--{boundary}\nContent-Type: text/plain; charset=us-ascii\n\n"
        f"This week: why certificates expire, and what to do about it.\n{link}\n"
        f"--{boundary}\nContent-Type: text/html; charset=us-ascii\n\n"
        f'<html><body><h1>This week</h1><p><a href="{link}">Why certificates expire</a></p></body></html>\n'
        f"--{boundary}--\n"
    ).encode("ascii")


def _with_attachment(boundary: str, seed: int, number: int, salt: bytes) -> bytes:
    blocks = 16 + 4 * salt[4]
    scan = b"%PDF-1.4\n" + b"".join(derive(seed, "attachment", number, i) for i in range(blocks))
    return (
        f'Content-Type: multipart/mixed; boundary="{boundary}"\n\n'
        f"--{boundary}\nContent-Type: text/plain; charset=us-ascii\n\nSee attachment.\n{_SIGNATURE}"
        f'--{boundary}\nContent-Type: application/pdf; name="form.pdf"\n'
        f'Content-Disposition: attachment; filename="form.pdf"\nContent-Transfer-Encoding: base64\n\n'
        f"{base64_lines(scan, 76)}--{boundary}--\n"
    ).encode("ascii")
