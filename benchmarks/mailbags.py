"""Mailboxes of the kinds that the work is measured on, written mail by mail in bounded memory."""

from __future__ import annotations

import quopri
import random
import re
from base64 import b64encode, encodebytes
from collections.abc import Iterator
from dataclasses import replace
from heapq import merge
from itertools import count
from typing import Final

from carecover.simulator.correspondence import Mail
from carecover.simulator.incident import Incident
from carecover.simulator.life import revoked_row
from carecover.simulator.postbox import DELAY
from carecover.simulator.traces import event_of

_POOL_BYTES: Final = 48 * 1024 * 1024
_LINE: Final = 77  # 76 characters of base64 and a line feed
_SAID: Final = re.compile(r"Request ID(?: is)?: (\d+)")
_SERIAL: Final = re.compile(r"Serial Number: ([0-9a-f]+)")


def told(mail: Mail) -> str | None:
    """The truth of a notification, from what a person sees of it: request ID and serial number; None of other mail."""
    said = _SAID.search(mail.text)
    if said is None:
        return None
    serial = _SERIAL.search(mail.text)
    return f"{said[1]} {serial[1] if serial else '-'}"


def of_the_gap(incident: Incident) -> Iterator[Mail]:
    """The notifications from the backup on, by time: a mailbox that was emptied when the backup was made."""
    h, mailer = incident.history, incident.postbox.mailer
    mails = [
        mailer.notification("issued", h.life.request(i), h.issued_at(i) + DELAY, carries_certificate=i % 4 == 0)
        for i in h.lost_ids
    ]
    mails += [mailer.notification("pending", h.life.waiting(i), h.life.submitted(i) + DELAY) for i in h.pending_ids]
    mails += [
        mailer.notification(event_of(act), revoked_row(h.life.request(i), act), act.at + DELAY)
        for i, acts in h.life.acts.items()
        for act in acts
        if act.at >= h.backup
    ]
    return iter(sorted(mails, key=lambda mail: mail.sent_at))


def mixed(incident: Incident, ordinary: int) -> Iterator[Mail]:
    """The gap's notifications among ``ordinary`` mails, some of which quote or resemble one; half have attachments.

    The attachments have the sizes of an office's: half of them below 100 kB, a few of several megabytes.
    """
    h, mailer = incident.history, incident.postbox.mailer
    notes = list(of_the_gap(incident))
    quotable = [("issued", h.life.request(i)) for i in h.lost_ids[:40]]
    dice = random.Random(incident.scenario.seed)
    pool = encodebytes(dice.randbytes(_POOL_BYTES))
    span = h.failure - h.backup

    def others() -> Iterator[Mail]:
        for n in range(ordinary):
            mail = mailer.ordinary(n, h.backup + span * ((n + 0.5) / ordinary), quotable)  # type: ignore[arg-type]
            yield _with_attachment(mail, pool, dice) if dice.random() < 0.5 else mail

    return merge(notes, others(), key=lambda mail: mail.sent_at)


def _with_attachment(mail: Mail, pool: bytes, dice: random.Random) -> Mail:
    lines = min(int(dice.lognormvariate(11.5, 1.3) / _LINE) + 1, len(pool) // _LINE // 4)
    first = dice.randrange(len(pool) // _LINE - lines) * _LINE
    head, content = _parted(mail.data)
    boundary = f"=_{dice.getrandbits(64):016x}"
    data = (
        head
        + f'Content-Type: multipart/mixed; boundary="{boundary}"\n\n--{boundary}\n'.encode("ascii")
        + content
        + f'\n--{boundary}\nContent-Type: application/octet-stream; name="plan.bin"\n'
        'Content-Disposition: attachment; filename="plan.bin"\nContent-Transfer-Encoding: base64\n\n'.encode("ascii")
        + pool[first : first + lines * _LINE]
        + f"--{boundary}--\n".encode("ascii")
    )
    return replace(mail, data=data)


def _parted(data: bytes) -> tuple[bytes, bytes]:
    """The headers that concern the mail as a whole, and the part that it has been so far."""
    at = data.index(b"\nContent-Type:") + 1
    return data[:at], data[at:]


def notifications(incident: Incident) -> Iterator[Mail]:
    """Every notification of a CA's life and nothing else, in the encodings that mail systems make of them.

    Most as the simulator's mail system leaves them (7bit, base64, quoted-printable); of 25 mails two
    are multipart/alternative, one is UTF-16 in base64, and one is UTF-8 in 8bit.
    """
    for number, mail in zip(count(), incident.postbox.mails, strict=False):
        yield _recoded(mail, number % 25)


def _recoded(mail: Mail, choice: int) -> Mail:
    if choice > 3 or not mail.text.strip():
        return mail
    head, _, _ = mail.data.partition(b"\n\n")
    kept = [line for line in head.split(b"\n") if not line.lower().startswith((b"content-type:", b"content-transfer"))]
    text = mail.text
    if choice == 0:
        form, way, body = "text/plain; charset=utf-16le", "base64", _lines(text.encode("utf-16-le"))
    elif choice == 1:
        form, way, body = "text/plain; charset=utf-8", "8bit", text.encode()
    else:
        page = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>\n")
        form, way = 'multipart/alternative; boundary="=_both"', "8bit"
        body = (
            b"--=_both\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
            + quopri.encodestring(text.encode())
            + b"\n--=_both\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
            + _lines(f"<html><body>{page}</body></html>".encode())
            + b"--=_both--\n"
        )
    head = b"\n".join([*kept, f"Content-Type: {form}\nContent-Transfer-Encoding: {way}".encode("ascii")])
    return replace(mail, data=head + b"\n\n" + body)


def _lines(data: bytes) -> bytes:
    text = b64encode(data)
    return b"".join(text[at : at + 76] + b"\n" for at in range(0, len(text), 76))
