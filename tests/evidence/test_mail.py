"""Mails: the known wording, what transports do to it, and what hostile senders send."""

from __future__ import annotations

import base64
import binascii
import quopri
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.header import Header
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.errors import EvidenceError, PathError, UsageError
from carecover.evidence import Context, mbox, mime, read, read_mail, transport, values
from carecover.evidence.mbox import split_mbox
from carecover.model import Reading
from tests.evidence.conftest import check
from tests.evidence.test_x509 import make_certificate

ReadBytes = Callable[[bytes], Reading]

SERIAL = "4400000014178d21c3ed6a4575000000000014"
HASH = "4f 8b c1 0a 30 77 8d d3 fd ee cb 7e ce ba f2 be 66 f1 b2 d9"
ISSUED = f"""
Request ID: 20
UPN: host01@corp.example
Requester Name: CORP\\host01$
Serial Number: {SERIAL}
Valid not before: 7/11/2026 1:06 PM
Valid not after: 7/25/2027 1:06 PM
Distinguished Name: CN=host01.corp.example
Certificate Template: 1.3.6.1.4.1.311.21.8.3914223.11151747
Certificate Hash: {HASH}
Request Disposition Message: Issued
"""
REVOKED = f"""
Request ID: 0x14 (20)
Revoked when: 7/13/2026 1:16 PM
Effective: 7/13/2026 1:14 PM
Reason for being revoked: 0x1 -- Reason: Key Compromise
UPN: ???
Requester Name: CORP\\host01$
Serial Number: {SERIAL.upper()}
Was not valid until: 7/11/2026 1:06 PM
Was not valid after: 7/25/2027 1:06 PM
Distinguished Name: CN=host01.corp.example
Certificate Template: WebServer
Certificate Hash: {HASH}
Request Status: 0x0
"""
TITLE_ISSUED = "Your certificate has been issued by Corp Issuing CA"
TITLE_REVOKED = "Your certificate was revoked by Corp Issuing CA"
HEADERS = (
    "From: ca@corp.example\nTo: host01@corp.example\nSubject: {subject}\n"
    "Date: Sat, 11 Jul 2026 15:17:00 +0200\nMessage-ID: <{number}@ca01>\nMIME-Version: 1.0\n"
)
PLAIN = 'Content-Type: text/plain; charset="iso-8859-1"\nContent-Transfer-Encoding: 7bit\n'


def make_mail(subject: str = TITLE_ISSUED, body: str = ISSUED, *, number: int = 1, mime: str = PLAIN) -> bytes:
    return (HEADERS.format(subject=subject, number=number) + mime + "\n" + body).encode("utf-8")


def make_mbox(*mails: bytes) -> bytes:
    return b"".join(b"From ca@corp.example Sat Jul 11 13:17:00 2026\n" + each + b"\n" for each in mails)


def one(reading: Reading) -> Any:
    check(reading)
    table = reading.tables["notifications"]
    assert len(table) == 1
    return table.iloc[0]


# ------------------------------------------------------------------------------ the known wording


def test_issued(read_bytes: ReadBytes) -> None:
    row = one(read_bytes(make_mail()))
    assert row["event"] == "issued"
    assert row["ca_name"] == "Corp Issuing CA"
    assert row["request_id"] == 20
    assert row["serial"] == SERIAL
    assert row["requester"] == "CORP\\host01$"
    assert row["upn"] == "host01@corp.example"
    assert row["subject"] == "CN=host01.corp.example"
    assert row["template"] == "1.3.6.1.4.1.311.21.8.3914223.11151747"
    assert row["thumbprint"] == HASH.replace(" ", "")
    assert row["sent_at"] == datetime(2026, 7, 11, 13, 17, tzinfo=UTC)
    # No zone of the case: the offset of the Date header, and it is said so.
    assert row["not_before"] == datetime(2026, 7, 11, 11, 6, tzinfo=UTC)
    assert row["not_after"] == datetime(2027, 7, 25, 11, 6, tzinfo=UTC)
    assert row["flags"] == ["zone_from_date_header"]
    assert row["profile"] == "microsoft-sample"
    assert row["sender"] == "ca@corp.example"
    assert row["message_id"] == "<1@ca01>"


def test_revoked_reads_reason_and_times(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(make_mail(TITLE_REVOKED, REVOKED))
    row = one(read(path, Context(time_zone="America/New_York")))
    assert (row["event"], row["reason"], row["serial"], row["request_id"]) == ("revoked", 1, SERIAL, 20)
    assert row["revoked_at"] == datetime(2026, 7, 13, 17, 14, tzinfo=UTC)
    assert pd.isna(row["upn"])
    assert row["template"] == "WebServer"
    assert row["flags"] == []


@pytest.mark.parametrize(
    "reason", ["-1", "4294967295", "0xffffffff (-1)", "Unrevoke", "0xffffffff -- Reason: Unrevoke"]
)
def test_unrevoked_comes_through_the_revoked_channel(read_bytes: ReadBytes, reason: str) -> None:
    row = one(read_bytes(make_mail(TITLE_REVOKED, REVOKED.replace("0x1 -- Reason: Key Compromise", reason))))
    assert (row["event"], row["reason"]) == ("unrevoked", -1)


@pytest.mark.parametrize(
    ("text", "number"),
    [("6", 6), ("Certificate Hold", 6), ("CRL_REASON_CERTIFICATE_HOLD", 6), ("0x0", 0), ("Reason: Superseded", 4)],
)
def test_reasons_in_all_spellings(read_bytes: ReadBytes, text: str, number: int) -> None:
    body = REVOKED.replace("0x1 -- Reason: Key Compromise", text)
    assert one(read_bytes(make_mail(TITLE_REVOKED, body)))["reason"] == number


def test_the_other_events(read_bytes: ReadBytes) -> None:
    denied = (
        "Your Request ID is: 21\nThe Requester Name is: CORP\\bob\nSubject Name: %4\nRequest StatusCode: 0x80094012\n"
    )
    mails = [
        make_mail("Your certificate request was denied by A", denied, number=1),
        make_mail("Your certificate is pending on A", "Request ID: 22\nUPN: Unavailable\n", number=2),
        make_mail("Your certificate has been retrieved from A", ISSUED, number=3),
        make_mail("A new CRL was issued by A", "A new CRL has been issued\n", number=4),
        make_mail("The Certification Authority service on A has started", "", number=5),
        make_mail("The Certification Authority service on A has stopped", "", number=6),
        make_mail("Lunch?", "At noon.\n", number=7),
    ]
    reading = read_bytes(make_mbox(*mails))
    table = reading.tables["notifications"]
    assert list(table["event"]) == ["denied", "pending", "retrieve_pending", "crl_issued", "startup", "shutdown"]
    assert set(table["ca_name"]) == {"A"}
    assert list(table["request_id"].iloc[:2]) == [21, 22]
    assert table["subject"].isna().iloc[0]
    assert (reading.accounting.parsed, reading.accounting.irrelevant) == (6, 1)


def test_a_title_without_id_and_serial_is_rejected_not_dropped(read_bytes: ReadBytes) -> None:
    body = ISSUED.replace("Request ID: 20", "Request ID: ???").replace(SERIAL, "???")
    reading = read_bytes(make_mail(body=body))
    assert reading.accounting.rejected == 1
    assert "neither a request id nor a serial" in reading.tables["rejects"]["reason"].iloc[0]


def test_a_body_in_the_known_wording_under_another_subject_is_shown(read_bytes: ReadBytes) -> None:
    reading = read_bytes(make_mail(subject="Ihr Zertifikat"))
    assert reading.accounting.rejected == 1
    assert "worded like a notification" in reading.tables["rejects"]["reason"].iloc[0]


@pytest.mark.parametrize(
    ("old", "new", "column", "flag"),
    [
        (SERIAL, "CN=shifted", "serial", "serial_invalid"),
        ("Request ID: 20", "Request ID: -5", "request_id", "request_id_invalid"),
        (HASH, HASH[:-3], "thumbprint", "thumbprint_invalid"),
        ("7/11/2026 1:06 PM", "11. Juli", "not_before", "date_unreadable"),
        ("CN=host01.corp.example", "CN=" + "x" * 9000, "subject", "subject_too_long"),
    ],
)
def test_values_are_checked_by_shape(read_bytes: ReadBytes, old: str, new: str, column: str, flag: str) -> None:
    row = one(read_bytes(make_mail(body=ISSUED.replace(old, new))))
    assert pd.isna(row[column])
    assert flag in row["flags"]


# -------------------------------------------------------------------------- what transports do


def test_encodings_folding_and_attachments_change_nothing(read_bytes: ReadBytes) -> None:
    subject = "Your certificate has been issued by Zürich CA"
    body = ISSUED.replace("CN=host01", "CN=Büro")
    latin = body.encode("iso-8859-1")
    encoded = Header(subject, "iso-8859-1", maxlinelen=40).encode()
    head = HEADERS.format(subject=encoded, number=1)
    b64 = base64.encodebytes(latin).decode()
    qp = quopri.encodestring(latin).decode()
    text = 'Content-Type: text/plain; charset="iso-8859-1"\nContent-Transfer-Encoding: '
    inner = f"--in\n{text}quoted-printable\n\n{qp}\n--in\nContent-Type: text/html\n\n<p>no\n--in--\n"
    nested = (
        'Content-Type: multipart/mixed; boundary="out"\n\nprose\n--out\n'
        f'Content-Type: multipart/alternative; boundary="in"\n\n{inner}\n--out\n'
        "Content-Type: text/plain\nContent-Disposition: attachment\n\nRequest ID: 99\n--out--\n"
    )
    lines = "".join(f"<div>{line}</div>\n" for line in body.splitlines())
    html = f"Content-Type: text/html; charset=utf-8\n\n<style>Request ID: 1</style><html><body>{lines}</body>"
    forms = {
        "base64": head + f"{text}base64\n\n{b64}",
        "quoted-printable": head + f"{text}quoted-printable\n\n{qp}",
        "nested": head + nested,
        "html": head + html,
        "8bit": head + "Content-Type: text/plain; charset=utf-8\n\n" + body,
    }
    for name, form in forms.items():
        for ends in ("\n", "\r\n"):
            row = one(read_bytes(form.replace("\n", ends).encode("utf-8")))
            assert (row["ca_name"], row["subject"], row["serial"]) == ("Zürich CA", "CN=Büro.corp.example", SERIAL), (
                name
            )


def test_values_over_several_lines_and_text_behind(read_bytes: ReadBytes) -> None:
    body = (
        ISSUED.replace("CN=host01.corp.example", "\n  CN=host01\n  OU=a") + "\n\nDisclaimer: we mean no harm.\nUPN: x\n"
    )
    row = one(read_bytes(make_mail(body=body)))
    assert row["subject"] == "CN=host01\nOU=a"
    assert row["upn"] == "host01@corp.example"


def test_a_carried_certificate_becomes_a_row_of_its_own(read_bytes: ReadBytes) -> None:
    der = make_certificate(serial=int(SERIAL, 16))
    base64_lines = textwrap.fill(base64.b64encode(der).decode(), 60)
    forms = [
        f"Binary Certificate: \n-----BEGIN CERTIFICATE-----\n{base64_lines}\n-----END CERTIFICATE-----\n",
        f"Binary Certificate: {base64_lines}\n",
        f"Binary Certificate:\n{textwrap.fill(base64.b64encode(der).decode(), 31)}\n\nPlease think before you print.\n",
    ]
    for form in forms:
        reading = read_bytes(make_mail(body=ISSUED + form))
        row = one(reading)
        certificate = reading.tables["certificates"].iloc[0]
        assert certificate["der"] == der
        assert certificate["from_mail"]
        assert row["certificate_sha256"] == certificate["certificate_sha256"]
        # The body's hash is another certificate's.
        assert "certificate_contradicts_mail" in row["flags"]
    row = one(read_bytes(make_mail(body=ISSUED + "Binary Certificate: MIIB\nnot base64\n")))
    assert "certificate_invalid" in row["flags"]


def test_the_same_mail_twice_is_a_duplicate(read_bytes: ReadBytes) -> None:
    accounting = read_bytes(make_mbox(make_mail(), make_mail(), make_mail(number=2))).accounting
    assert (accounting.parsed, accounting.duplicate) == (2, 1)


def test_attached_and_forwarded_notifications(read_bytes: ReadBytes) -> None:
    outer = b"From: a@b\nSubject: see attached\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n"
    attached = outer + b"Content-Type: message/rfc822\n\n" + make_mail() + b"\n--x--\n"
    reading = read_bytes(attached)
    assert (reading.accounting.parsed, reading.accounting.irrelevant) == (1, 1)
    assert one(reading)["location"] == "byte 0, attached mail 1"
    row = one(read_bytes(make_mail("WG: " + TITLE_ISSUED)))
    # Who forwarded it sits in another zone perhaps.
    assert row["flags"] == ["forwarded", "zone_assumed_utc"]
    answer = make_mail("RE: " + TITLE_ISSUED, "Is this ours?\n" + ISSUED.replace("\n", "\n> "))
    assert read_bytes(answer).accounting.irrelevant == 1


ATTACHED = {
    "message/rfc822": "Content-Type: message/rfc822\n\n{plain}",
    "message/rfc822 in base64": "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{base64}",
    "a file of bytes": 'Content-Type: application/octet-stream; name="Your certificate.eml"\n'
    "Content-Transfer-Encoding: base64\nContent-Disposition: attachment\n\n{base64}",
    "a file with a name in pieces": "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
    "Content-Disposition: attachment; filename*0*=utf-8''Zertifikat%20; filename*1=a.EML\n\n{base64}",
    "a file with an encoded name": "Content-Type: application/x\nContent-Transfer-Encoding: quoted-printable\n"
    'Content-Disposition: attachment; filename="=?utf-8?B?WmVydGlmaWthdC5lbWw=?="\n\n{quoted}',
    "a text file": 'Content-Type: text/plain; name="a"\nContent-Disposition: attachment; filename="a.eml"\n\n{plain}',
    "in a mail in a mail": "Content-Type: message/rfc822\n\nSubject: FW\nContent-Type: message/rfc822\n\n{plain}",
}


@pytest.mark.parametrize("form", ATTACHED)
def test_a_notification_is_found_however_it_is_attached(read_bytes: ReadBytes, form: str) -> None:
    inner = make_mail()
    part = ATTACHED[form].format(
        plain=inner.decode(), base64=base64.encodebytes(inner).decode(), quoted=quopri.encodestring(inner).decode()
    )
    head = "From: a@b\nSubject: see attached\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
    reading = read_bytes(f"{head}--x\n{PLAIN}\nhello\n--x\n{part}\n--x--\n".encode())
    row = one(reading)
    assert (row["serial"], row["flags"]) == (SERIAL, ["zone_from_date_header"])
    assert row["location"].startswith("byte 0, attached mail 1")
    assert reading.accounting.irrelevant == (2 if form.startswith("in a") else 1)


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("us-ascii", "utf-8"),
        ("UTF-8", "utf-8"),
        ("utf-16", "utf-16"),
        ("UTF-16LE", "utf-16-le"),
        ("utf-7", "utf-7"),
        ("unicode-1-1-utf-7", "utf-7"),
        ("iso-8859-1", "cp1252"),
        ("Windows-1252", "cp1252"),
        ("cp850", "cp850"),
        ("iso-8859-15", "iso-8859-15"),
    ],
)
@pytest.mark.parametrize("coding", ["base64", "quoted-printable", "8bit", "x-uuencode"])
def test_charsets_and_transfer_encodings_of_windows(
    read_bytes: ReadBytes, charset: str, codec: str, coding: str
) -> None:
    check_coding(read_bytes, charset, codec, coding, "CN=Bürö–42" if codec in ("cp1252", "utf-7") else "CN=Bürö")


@pytest.mark.parametrize(
    ("charset", "codec", "name"),
    [
        ("windows-1251", "cp1251", "CN=Сервер"),
        ("koi8-r", "koi8-r", "CN=Сервер"),
        ("windows-1253", "cp1253", "CN=Διακομιστής"),
        ("windows-1250", "cp1250", "CN=Žluťoučký"),
        ("gb2312", "gbk", "CN=服务器镕"),
        ("GB18030", "gb18030", "CN=服务器"),
        ("big5", "cp950", "CN=伺服器"),
        ("shift_jis", "cp932", "CN=サーバー①"),
        ("iso-2022-jp", "iso-2022-jp", "CN=サーバー"),
        ("ks_c_5601-1987", "cp949", "CN=서버똠"),
        ("euc-kr", "euc-kr", "CN=서버"),
        ("hz-gb-2312", "hz", "CN=服务器"),
    ],
)
@pytest.mark.parametrize("coding", ["base64", "quoted-printable", "8bit"])
def test_charsets_of_other_scripts(read_bytes: ReadBytes, charset: str, codec: str, name: str, coding: str) -> None:
    check_coding(read_bytes, charset, codec, coding, name)


def check_coding(read_bytes: ReadBytes, charset: str, codec: str, coding: str, name: str) -> None:
    """The subject is no title at first: the body alone must show what it is, whatever its bytes look like."""
    body = ISSUED.replace("CN=host01.corp.example", name).replace("\n", "\r\n").encode(codec)
    uu = b"begin 644 x\n" + b"".join(binascii.b2a_uu(body[n : n + 45]) for n in range(0, len(body), 45)) + b"`\nend\n"
    sent = {"base64": base64.encodebytes(body), "quoted-printable": quopri.encodestring(body), "x-uuencode": uu}
    mime_headers = f'Content-Type: text/plain;\n\tcharset="{charset}"\nContent-Transfer-Encoding: {coding}\n'
    mail = make_mail(body="", mime=mime_headers) + sent.get(coding, body)
    row = one(read_bytes(mail))
    assert (row["subject"], row["serial"], row["flags"]) == (name, SERIAL, ["zone_from_date_header"])
    other = mail.replace(TITLE_ISSUED.encode(), b"something else")
    reason = read_bytes(other).tables["rejects"]["reason"].iloc[0]
    assert "worded like a notification" in reason


def test_soft_breaks_of_quoted_printable_are_no_breaks(read_bytes: ReadBytes) -> None:
    body = (
        ISSUED.replace(SERIAL, SERIAL[:20] + "=\n" + SERIAL[20:])
        .replace("20\n", "2=\r\n0\n", 1)
        .replace("CN=", "CN=3D")
    )
    mime_headers = "Content-Type: text/plain\nContent-Transfer-Encoding: Quoted-Printable \n"
    row = one(read_bytes(make_mail(body=body, mime=mime_headers)))
    assert (row["serial"], row["request_id"], row["subject"]) == (SERIAL, 20, "CN=host01.corp.example")


def test_mbox_splits_only_where_a_header_follows(read_bytes: ReadBytes) -> None:
    body = ISSUED + "\nFrom here on it is prose.\n>From me\nFrom\n\nFrom the sea\nX\n"
    reading = read_bytes(make_mbox(make_mail(body=body), make_mail("Hello", "x\n", number=2)).replace(b"\n", b"\r\n"))
    assert reading.kind == "mbox"
    assert (reading.accounting.parsed, reading.accounting.irrelevant) == (1, 1)


@given(st.lists(st.sampled_from([make_mail(number=n) for n in range(5)] + [make_mail("x", "From y\n")]), min_size=1))
def test_joined_mails_split_into_the_same_mails(mails: list[bytes]) -> None:
    data = make_mbox(*mails)
    found = [data[start:end].split(b"\n", 1)[1] for start, end in split_mbox(data)]
    assert [each.rstrip(b"\n") for each in found] == [each.rstrip(b"\n") for each in mails]


# ----------------------------------------------------------------------------------- the dates


@pytest.mark.parametrize(
    ("printed", "order", "expected"),
    [
        ("02/09/2017 10:39", None, None),
        ("02/09/2017 10:39", "dmy", datetime(2017, 9, 2, 10, 39, tzinfo=UTC)),
        ("02/09/2017 10:39", "mdy", datetime(2017, 2, 9, 10, 39, tzinfo=UTC)),
        ("09/09/2017 10:39", None, datetime(2017, 9, 9, 10, 39, tzinfo=UTC)),
        ("25/12/2017 10:39", None, datetime(2017, 12, 25, 10, 39, tzinfo=UTC)),
        ("25/12/2017 10:39", "mdy", None),
        ("3. 10. 2023 10:11:26", None, datetime(2023, 10, 3, 10, 11, 26, tzinfo=UTC)),
        ("27.08.2020 12:44", None, datetime(2020, 8, 27, 12, 44, tzinfo=UTC)),
        ("2026/1/1 8:00", "dmy", datetime(2026, 1, 1, 8, 0, tzinfo=UTC)),
        ("2026-01-02T08:00:01Z", None, datetime(2026, 1, 2, 8, 0, 1, tzinfo=UTC)),
        ("8/17/2025 6:35:35.061 PM", None, datetime(2025, 8, 17, 18, 35, 35, 61000, tzinfo=UTC)),
        ("8/17/2025 6:35 PM 22.165s", None, datetime(2025, 8, 17, 18, 35, 22, 165000, tzinfo=UTC)),
        ("8/17/2025 12:05\u202fAM GMT", None, datetime(2025, 8, 17, 0, 5, tzinfo=UTC)),
        ("8/17/2025 13:05 PM", None, None),
        ("8/17/25 1:05 PM", None, None),
        ("13/13/2025 1:05", None, None),
        ("2/30/2025 1:05 PM", None, None),
        ("tomorrow", None, None),
    ],
)
def test_printed_dates(tmp_path: Path, printed: str, order: str | None, expected: datetime | None) -> None:
    path = tmp_path / "a.eml"
    body = ISSUED.replace("7/11/2026 1:06 PM", printed).replace("7/25/2027 1:06 PM", "???")
    path.write_bytes(make_mail(body=body, mime="Content-Type: text/plain; charset=utf-8\n"))
    row = one(read(path, Context("UTC", order)))  # type: ignore[arg-type]
    assert pd.isna(row["not_before"]) if expected is None else row["not_before"] == expected
    assert bool(row["flags"]) == (expected is None)


def test_the_order_of_a_file_is_learnt_from_all_its_dates(read_bytes: ReadBytes) -> None:
    open_date = ISSUED.replace("7/11/2026", "2/9/2025").replace("7/25/2027", "2/9/2027")
    us = make_mail(body=ISSUED, number=2)
    eu = make_mail(body=ISSUED.replace("7/11/2026", "11/7/2026").replace("7/25/2027", "25/7/2027"), number=3)
    row = read_bytes(make_mbox(make_mail(body=open_date), us)).tables["notifications"].iloc[0]
    assert row["not_before"].month == 2
    row = read_bytes(make_mbox(make_mail(body=open_date), us, eu)).tables["notifications"].iloc[0]
    assert pd.isna(row["not_before"])
    assert "date_order_unknown" in row["flags"]


def test_a_mail_close_to_its_own_dates_needs_no_other(read_bytes: ReadBytes) -> None:
    genuine = make_mail(body=ISSUED.replace("7/25/2027", "7/11/2027"))
    forged = make_mail(body=ISSUED.replace("7/11/2026", "25/12/2025").replace("7/25/2027", "25/12/2027"), number=2)
    row = read_bytes(make_mbox(genuine, forged, forged)).tables["notifications"].iloc[0]
    assert row["not_before"] == datetime(2026, 7, 11, 11, 6, tzinfo=UTC)
    assert row["not_after"] == datetime(2027, 7, 11, 11, 6, tzinfo=UTC)


def test_summer_time_of_the_case(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(make_mail())
    assert one(read(path, Context("Europe/Berlin")))["not_before"] == datetime(2026, 7, 11, 11, 6, tzinfo=UTC)
    with pytest.raises(UsageError, match="IANA"):
        read(path, Context("Berlin"))


# ------------------------------------------------------------------- other clocks, other witnesses


def with_headers(headers: str, mail: bytes | None = None) -> bytes:
    return headers.encode() + (mail or make_mail())


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        # Genuine CDO mails of 2002 to 2022; where only the first bytes are public, the GUID is made up.
        ("AdJ95xC3WthkIFbPRrOnrv7P2lwRYQ==", datetime(2017, 2, 3, 6, 30, 51, 851161, tzinfo=UTC)),
        ("AcjUh+kfAAAAAAAAAAAAAAAAAAAAAA==", datetime(2008, 6, 22, 16, 49, 17, 686000, tzinfo=UTC)),
        ("AdjchaDDAAAAAAAAAAAAAAAAAAAAAA==", datetime(2022, 10, 10, 8, 52, 29, 332000, tzinfo=UTC)),
        ("Adjch045AAAAAAAAAAAAAAAAAAAAAA==", datetime(2022, 10, 10, 9, 4, 29, 848000, tzinfo=UTC)),
        ("AcJJ4OWpAAAAAAAAAAAAAAAAAAAAAA==", datetime(2002, 8, 22, 13, 36, 19, 436000, tzinfo=UTC)),
        # Folded.
        ("AdJ95xC3WthkIFbPRrO\n nrv7P2lwRYQ==", datetime(2017, 2, 3, 6, 30, 51, 851161, tzinfo=UTC)),
        # An answer carries the clock of the mail that it answers.
        ("Acj2FjkWvteFtLHTTYeVz4ES7E2ggAAGRxeI", None),
        # Exchange's own form, of the year 1830; the year 58,000; and what is no base64 at all.
        ("AQHTXFWT3T6z7C8m9k2GE+t0ZVEeeQ==", None),
        ("/////////////////////////////w==", None),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", None),
        ("nothing", None),
        ("", None),
        ("A" * 100_000, None),
    ],
)
def test_the_thread_index_is_a_second_clock(read_bytes: ReadBytes, value: str, moment: datetime | None) -> None:
    row = one(read_bytes(with_headers(f"Thread-Index: {value}\nThread-Topic: x\n")))
    if moment is None:
        assert pd.isna(row["thread_index_at"])
    else:
        assert abs(row["thread_index_at"] - moment) < timedelta(milliseconds=7)


@given(st.datetimes(datetime(1990, 1, 2), datetime(2056, 1, 1)), st.binary(min_size=16, max_size=16))  # noqa: DTZ001
def test_any_thread_index_is_read_to_its_resolution(moment: datetime, guid: bytes) -> None:
    ticks = (moment - datetime(1601, 1, 1)) // timedelta(microseconds=1) * 10  # noqa: DTZ001
    value = base64.b64encode((ticks >> 16).to_bytes(6, "big") + guid)
    read_back = transport.witnesses({b"thread-index": value})["thread_index_at"]
    assert isinstance(read_back, datetime)
    assert timedelta() <= moment.replace(tzinfo=UTC) - read_back < timedelta(milliseconds=7)


@pytest.mark.parametrize(
    ("received", "host"),
    [
        ("from ca01 (ca01.corp.example [10.0.0.5]) by relay", "ca01.corp.example"),
        ("from liar (CA01.corp.example. [10.0.0.5])\n\tby relay (Postfix) with ESMTP id 1", "ca01.corp.example"),
        ("from ca01 (root@ca01.corp.example [10.0.0.5] (may be forged)) by relay", "ca01.corp.example"),
        ("from ca01 (using TLSv1.3 (256/256 bits)) (ca01.seen [10.0.0.5]) by relay", "ca01.seen"),
        ("from ca01 (unknown [10.0.0.5]) (Authenticated sender: x) by relay", "10.0.0.5"),
        ("from ca01 ([10.0.0.5]) by relay with Microsoft SMTPSVC(8.0.9200.16384)", "10.0.0.5"),
        ("from ca01.corp.example (10.0.0.5) by mail (10.0.0.6) with Microsoft SMTP Server id 15.1", "10.0.0.5"),
        ("from EX01 ([fe80::1c2a:1%12]) by EX01 ([fe80::2%12]) with mapi id 15.1", "fe80::1c2a:1%12"),
        ("from ca01 ([IPv6:2001:DB8:0::1]) by relay", "2001:db8::1"),
        ("from unknown (HELO ca01) (10.0.0.5) by relay", "10.0.0.5"),
        ("from ca01.seen (HELO liar) (10.0.0.5) by relay", "ca01.seen"),
        ("from ca01.seen ([10.0.0.5] helo=liar) by relay", "ca01.seen"),
        ("from [10.0.0.5] (helo=liar) by relay", "10.0.0.5"),
        ("from gateway.example [10.0.0.5] by relay", "10.0.0.5"),
        ("from ca01 by relay with SMTP", "ca01"),
        ("from mail pickup service by CA01.corp.example with Microsoft SMTPSVC", "ca01.corp.example"),
        ("by 10.0.0.1 with SMTP id x", None),
        ("(qmail 1 invoked by uid 0)", None),
        ("from <b>ca01</b> by relay", None),
        ("from " + "a" * 10_000 + " by relay", None),
    ],
)
def test_the_first_server_names_who_handed_the_mail_over(
    read_bytes: ReadBytes, received: str, host: str | None
) -> None:
    later = "Received: from relay (relay.example [10.9.9.9]) by inbox; Sat, 11 Jul 2026 16:00:00 +0200\n"
    headers = f"{later}Received: {received};\n Sat, 11 Jul 2026 15:17:03 +0200 (CEST)\n"
    row = one(read_bytes(with_headers(headers)))
    assert row["received_at"] == datetime(2026, 7, 11, 13, 17, 3, tzinfo=UTC)
    assert pd.isna(row["received_from"]) if host is None else row["received_from"] == host


@pytest.mark.parametrize(
    ("end", "moment"),
    [
        ("; 11 Jul 2026 13:17:03 -0000", datetime(2026, 7, 11, 13, 17, 3, tzinfo=UTC)),
        ("; 11 Jul 2026 06:17:03 -0700 (PDT)", datetime(2026, 7, 11, 13, 17, 3, tzinfo=UTC)),
        # Nobody knows this zone, and nobody guesses it.
        ("; 11 Jul 2026 13:17:03 PPE", None),
        ("; 11 Jul 2026 13:17:03", None),
        (" 11 Jul 2026 13:17:03 +0200", None),
        ("; 11 Jul 9999 23:59:59 -2300", None),
        ("; tomorrow", None),
    ],
)
def test_when_the_first_server_took_it(read_bytes: ReadBytes, end: str, moment: datetime | None) -> None:
    row = one(read_bytes(with_headers(f"Received: from ca01 by relay{end}\n")))
    assert pd.isna(row["received_at"]) if moment is None else row["received_at"] == moment
    assert row["received_from"] == "ca01"


def test_whoever_passed_a_notification_on_is_no_witness_of_it(read_bytes: ReadBytes) -> None:
    mine = "Thread-Index: AdJ95xC3WthkIFbPRrOnrv7P2lwRYQ==\nReceived: from ca01 by relay; 11 Jul 2026 13:17:03 +0000\n"
    others = "Thread-Index: AcjUh+kfAAAAAAAAAAAAAAAAAAAAAA==\nReceived: from pc9 by relay; 12 Jul 2026 08:00:00 +0000\n"
    outer = "From: a@b\nSubject: see attached\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n"
    inner = with_headers(mine)
    attached = with_headers(others, outer.encode() + b"Content-Type: message/rfc822\n\n" + inner + b"\n--x--\n")
    row = one(read_bytes(attached))
    assert (row["received_from"], row["received_at"].day, row["thread_index_at"].year) == ("ca01", 11, 2017)
    row = one(read_bytes(with_headers(others, make_mail("WG: " + TITLE_ISSUED))))
    assert row[["received_from", "received_at", "thread_index_at"]].isna().all()


def test_thousands_of_servers_and_giant_lines_change_nothing(read_bytes: ReadBytes) -> None:
    line = "Received: from relay by relay; 12 Jul 2026 13:17:03 +0000\n"
    last = "Received: from ca01 by relay; 11 Jul 2026 13:17:03 +0000\n"
    row = one(read_bytes(with_headers(line * 4000 + last)))
    assert (row["received_from"], row["received_at"].day) == ("ca01", 11)
    giant = f"Received: from ca01 {'(' * 50_000}{' ' * 50_000}{'a@' * 50_000}; 11 Jul 2026 13:17:03 +0000\n"
    row = one(read_bytes(with_headers(giant)))
    assert (row["received_from"], row["received_at"].day) == ("ca01", 11)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [
                    b"from ",
                    b"by ",
                    b"(",
                    b")",
                    b"[",
                    b"]",
                    b"ca01",
                    b"10.0.0.5",
                    b" ",
                    b";",
                    b"\t",
                    b"HELO ",
                    b"@",
                    b"::1",
                ]
            ),
            max_size=40,
        ).map(b"".join),
    ),
    st.binary(max_size=60).map(base64.b64encode),
)
def test_no_header_raises(received: bytes, thread_index: bytes) -> None:
    row = transport.witnesses({b"received": received, b"thread-index": thread_index})
    host = row["received_from"]
    assert host is None or (isinstance(host, str) and set(host) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-:%"))


# ------------------------------------------------------------------------------ round trip


def _is_plain(text: str) -> bool:
    return values.given(text) == text


_WORDS: st.SearchStrategy[str] = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"], exclude_characters=":?"), min_size=1
).filter(_is_plain)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    request_id=st.integers(1, 2**32 - 1),
    serial=st.integers(1, 2**152 - 1),
    thumbprint=st.binary(min_size=20, max_size=20),
    requester=_WORDS,
    subject=_WORDS,
    template=_WORDS.filter(lambda text: not text[0].isdigit()),
    coding=st.sampled_from(["base64", "quoted-printable", "8bit"]),
)
def test_a_rendered_notification_is_read_back(
    tmp_path: Path,
    request_id: int,
    serial: int,
    thumbprint: bytes,
    requester: str,
    subject: str,
    template: str,
    coding: str,
) -> None:
    hex_serial = f"{serial:x}"
    body = (
        f"Request ID: {request_id}\nRequester Name: {requester}\nSerial Number: {hex_serial}\n"
        f"Distinguished Name: {subject}\nCertificate Template: {template}\nCertificate Hash: {thumbprint.hex(' ')}\n"
    ).encode()
    coded = body if coding == "8bit" else quopri.encodestring(body) if coding[0] == "q" else base64.encodebytes(body)
    head = HEADERS.format(subject=TITLE_ISSUED, number=1)
    mime = f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {coding}\n\n"
    path = tmp_path / "a.eml"
    path.write_bytes((head + mime).encode() + coded)
    row = one(read(path))
    assert row["request_id"] == request_id
    assert int(str(row["serial"]), 16) == serial
    assert row["thumbprint"] == thumbprint.hex()
    assert (row["requester"], row["subject"], row["template"]) == (requester, subject, template)


# ------------------------------------------------------------------------------------- hostile


def test_a_forged_line_in_a_subject_does_not_move_the_serial(read_bytes: ReadBytes) -> None:
    evil = "1400000099178d21c3ed6a4575000000000099"
    body = ISSUED.replace("CN=host01.corp.example", f"CN=x\nSerial Number: {evil}\nRequest ID: 99")
    row = one(read_bytes(make_mail(body=body)))
    assert (row["serial"], row["request_id"]) == (SERIAL, 20)
    assert "label_repeated" in row["flags"]
    body = ISSUED.replace("UPN: host01@corp.example", f"UPN: x\nSerial Number: {evil}")
    row = one(read_bytes(make_mail(body=body)))
    assert pd.isna(row["serial"])
    assert "serial_ambiguous" in row["flags"]


def hostile_mails() -> dict[str, bytes]:
    start = b"From: a@b\nSubject: =?utf-8?q?Your_certificate?=\nMIME-Version: 1.0\n"
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(2000))
    shallow = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(500))
    return {
        "2,000 nested multiparts": start + nested,
        "500 nested multiparts": start + shallow,
        "1 M folded header lines": start + b"X: a\n" + b" b\n" * 1_000_000 + b"\nbody",
        "200k RFC 2047 words": b"From: a@b\nSubject: " + b"=?utf-8?q?a?= " * 200_000 + b"\n\nbody",
        "20k open quotes": start + b"To: " + b'"' * 20_000 + b"\n\nbody",
        "100k parentheses": start + b"To: " + b"(" * 100_000 + b"\n\nbody",
        "200k parameters": start + b"Content-Type: text/plain" + b"; a=b" * 200_000 + b"\n\nbody",
        "40k parameters below the header limit": start + b"Content-Type: text/plain" + b";a=b" * 40_000 + b"\n\nbody",
        "1 M boundary hits": start + b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\n" * 1_000_000,
        "1 M boundary hits in CR": start + b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\r" * 1_000_000,
        "100k parts": start
        + b"Content-Type: multipart/mixed; boundary=x\n\n"
        + b"--x\nContent-Type: text/plain\n\na\n" * 100_000,
        "punycode": start + b"Content-Type: text/plain; charset=punycode\n\n" + b"a-b" * 70_000,
        "rot13": start + b"Content-Type: text/plain; charset=rot13\n\nabc",
        "zlib": start + b"Content-Type: text/plain; charset=zlib\n\nabc",
        "no such charset": start + b"Content-Type: text/plain; charset=no-such\n\nabc",
        "bad base64": start + b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n%%%=A" + b"=" * 9,
        "giant date": start + b"Date: " + b"9" * 100_000 + b"\n\nbody",
        "endless html": start + b"Content-Type: text/html\n\n" + b"<script" * 100_000,
        "html of angles": start + b"Content-Type: text/html\n\n" + b"<!--" * 200_000 + b"&" * 100_000,
        "one line": start + b"\n" + b"Request ID: " * 300_000,
        "a million lines": start + b"\n" + b"Request ID: 1\n" * 1_000_000,
        "no header end": b"From: a@b\nSubject: x\n" + b"X: y\n" * 100_000,
        "NUL": b"From: a@b\nSubject: x\0y\n\n\0" * 100,
        "delivery report of a million blocks": start
        + b"Content-Type: message/delivery-status\n\n"
        + b"A: b\n\n" * 1_000_000,
        "a part of headers alone": start + b"Content-Type: multipart/mixed; boundary=x\n\n--x\n" + b"A:\n" * 2_000_000,
        "uuencoded": start + b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x\n" + b"M" * 100_000,
    }


@pytest.mark.parametrize("name", hostile_mails())
def test_hostile_mails_end_with_an_account(read_bytes: ReadBytes, name: str) -> None:
    reading = read_bytes(hostile_mails()[name])
    assert reading.accounting.parsed == 0
    assert reading.accounting.units <= mime.MAX_NESTING + 1


@pytest.mark.parametrize(
    "name",
    [
        "2,000 nested multiparts",
        "500 nested multiparts",
        "1 M folded header lines",
        "200k parameters",
        "1 M boundary hits",
        "1 M boundary hits in CR",
        "100k parts",
        "a part of headers alone",
    ],
)
def test_what_would_take_long_is_told_and_not_done(read_bytes: ReadBytes, name: str) -> None:
    reading = read_bytes(hostile_mails()[name])
    assert reading.accounting.rejected == 1
    assert "more than" in reading.tables["rejects"]["reason"].iloc[0]


def test_a_mail_over_the_cap_in_an_mbox_is_rejected_and_the_rest_read(
    read_bytes: ReadBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mbox, "MAX_MAIL_BYTES", 10_000)
    reading = read_bytes(make_mbox(make_mail(), make_mail(body="x" * 20_000, number=2), make_mail(number=3)))
    assert (reading.accounting.parsed, reading.accounting.rejected) == (2, 1)
    assert reading.tables["rejects"]["size"].iloc[0] > 20_000


def test_a_notification_behind_a_large_attachment_is_found(read_bytes: ReadBytes) -> None:
    large = base64.encodebytes(bytes(6_000_000)).decode()
    parts = (
        f"--x\nContent-Transfer-Encoding: base64\nContent-Type: image/png\n\n{large}\n--x\n{PLAIN}\n{ISSUED}\n--x--\n"
    )
    assert (
        one(read_bytes(make_mail(body=parts, mime="Content-Type: multipart/mixed; boundary=x\n")))["serial"] == SERIAL
    )


def test_unknown_charsets_are_read_and_flagged(read_bytes: ReadBytes) -> None:
    mime = "Content-Type: text/plain; charset=punycode\n"
    assert "charset_unknown" in one(read_bytes(make_mail(mime=mime)))["flags"]


# ------------------------------------------------------------------------------ without a case


@pytest.mark.parametrize("charset", ["punycode", "rot13", '"\xe9"', "*=utf-8''%ff", "idna", "x" * 500])
def test_the_library_never_decodes_by_the_senders_charset(read_bytes: ReadBytes, charset: str) -> None:
    mime = f"Content-Type: text/plain; charset{'' if charset[0] == '*' else '='}{charset}\n"
    row = one(read_bytes(make_mail(body=ISSUED + "\xe9" * 100, mime=mime)))
    assert row["serial"] == SERIAL
    assert "charset_unknown" in row["flags"]


def test_read_mail_takes_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "cur").mkdir()
    (tmp_path / "cur" / "1.eml").write_bytes(make_mail())
    (tmp_path / "2.mbox").write_bytes(make_mbox(make_mail(number=2), make_mail("Lunch?", "x\n", number=3)))
    table = read_mail(tmp_path, time_zone="UTC")
    assert sorted(table["message_id"]) == ["<1@ca01>", "<2@ca01>"]
    assert table.attrs["accounting"] == {"units": 3, "parsed": 2, "irrelevant": 1, "duplicate": 0, "rejected": 0}
    assert table.attrs["rejects"] == []
    pd.concat([table, table]).to_parquet(tmp_path / "x.parquet")


def test_read_mail_refuses_what_is_no_mail(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="does not exist"):
        read_mail(tmp_path / "missing")
    (tmp_path / "x").write_text("nothing\n")
    with pytest.raises(EvidenceError, match="is not mails"):
        read_mail(tmp_path / "x")
    with pytest.raises(PathError, match="folder"):
        read(tmp_path)


# ------------------------------------------------------------------------------------- corpus


def test_every_mail_of_the_corpus_is_accounted_for(corpus: Path) -> None:
    kinds = {}
    for path in sorted((corpus / "mail").iterdir()):
        if path.is_file():
            reading = read(path)
            check(reading)
            kinds[path.name] = reading
    assert len(kinds) > 400
    assert sum(r.kind in {"mbox", "mail"} for r in kinds.values()) > 350
    for name in ("mboxmp__mailarc-1.txt", "mboxmp__mailarc-1-dos.txt"):
        assert kinds[name].accounting.units == 18
    # Nobody's mail of the corpus is a notification, and none is taken for one.
    assert all("notifications" not in reading.tables for reading in kinds.values())
