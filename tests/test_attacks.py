"""Forged files against a whole case, from bytes to findings and decisions: each test is one attack, told as a story."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carecover import Case
from carecover.analysis import find_gap
from carecover.errors import RefusedError
from carecover.evidence.x509 import sha1_hex
from carecover.model import TABLES, CaseFacts, sha256_hex
from carecover.remediation import decide, make_plan
from tests.analysis.test_gap import ENDS, mail, row, serial
from tests.evidence.test_x509 import OTHER, T0, make_certificate, make_crl

RESTORED = "2026-03-01T00:00:00Z"
HEAD = '"Request ID","Serial Number","Request Disposition","Certificate Hash","Request Submission Date"\n'
Make = Callable[..., Case]


@pytest.fixture
def make_case(tmp_path: Path) -> Make:
    """A case from named bytes."""

    def make(files: dict[str, bytes], **facts: Any) -> Case:
        folder = tmp_path / "evidence"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        case = Case.create(tmp_path / "case", **{"restored": RESTORED, **facts})
        case.add([folder])
        return case

    return make


def view(*rows: tuple[int, str, int, str]) -> bytes:
    lines = (f'{number},"{text}","{state} -- x","{thumb}","2026-01-05 10:00"\n' for number, text, state, thumb in rows)
    return (HEAD + "".join(lines)).encode()


def notification(
    request_id: int, *, number: str | None = None, der: bytes | None = None, message_id: str = "m",
    sent: str = "Thu, 5 Feb 2026 10:00:00 +0000", event: str = "issued", upn: str = "a@b",
) -> bytes:  # fmt: skip
    title = {"issued": "has been issued by", "revoked": "was revoked by"}[event]
    body = f"Request ID: {request_id}\nUPN: {upn}\nSerial Number: {number or serial(request_id)}\n"
    if event == "revoked":
        body = body.replace("UPN", "Reason for being revoked: 1\nUPN")
    if der is not None:
        body += "Distinguished Name: CN=x\nBinary Certificate: " + base64.encodebytes(der).decode()
    head = (
        f"From: ca@corp\nTo: a@b\nDate: {sent}\nMessage-ID: <{message_id}>\nSubject: Your certificate {title} Corp CA\n"
    )
    return f"{head}\n{body}".encode()


def mbox(*mails: bytes) -> bytes:
    return b"\n".join(b"From ca@corp Thu Feb  5 10:00:00 2026\n" + each for each in mails)


GOOD = make_certificate(serial=int(serial(1), 16))
CA = make_certificate(serial=1, subject="Corp CA", issuer="Root CA", signer=OTHER, is_ca=True, version=0)
FAKE_CA = make_certificate(
    serial=2, subject="Corp CA", issuer="Corp CA", key=OTHER, signer=OTHER, is_ca=True, version=0
)
ROWS = view((1, serial(1), 20, sha1_hex(GOOD)), (5, "05", 20, "0" * 40), (6, "06", 20, "1" * 40))


def test_one_mail_with_an_impossible_name_in_its_certificate_does_not_take_the_case_down(make_case: Make) -> None:
    """A common name that is a BIT STRING makes the library raise TypeError whenever the name is asked for."""
    at = GOOD.index(b"\x0c\x07Corp CA")
    impossible = GOOD[:at] + b"\x03\x07\x00" + GOOD[at + 3 :]
    case = make_case({"view.csv": ROWS, "ca.cer": CA, "m.eml": notification(9, der=impossible)}, ca="Corp CA")
    assert len(case.table("notifications")) == 1
    assert len(case.findings) == 1
    assert case.report(case.path.parent / "report.html").is_file()


def test_mails_with_certificates_in_the_parents_name_do_not_make_the_parent_the_ca(make_case: Make) -> None:
    root = make_certificate(serial=3, subject="Root CA", issuer="Root CA", key=OTHER, signer=OTHER, is_ca=True)
    junk = [make_certificate(serial=100 + n, issuer="Root CA") for n in range(3)]
    mails = mbox(*(notification(50 + n, der=der, message_id=str(n)) for n, der in enumerate(junk)))
    files = {"view.csv": ROWS, "ca.cer": CA, "root.cer": root, "a.cer": GOOD, "b.crl": make_crl(), "m.mbox": mails}
    case = make_case(files)
    crls = case.table("crls")
    assert list(crls["signed_by_ca"]) == [True]


def test_ones_own_notification_sent_again_with_a_later_date_does_not_take_the_true_ones_place(make_case: Make) -> None:
    """Same Message-ID and body, dated after the restore, and first in a mailbox that lists the newest first."""
    late = notification(9, sent="Mon, 1 Jun 2026 10:00:00 +0000")
    case = make_case({"view.csv": ROWS, "m.mbox": mbox(late, notification(9))}, ca="Corp CA")
    assert list(case.findings["serial"].dropna()) == [serial(9)]


def test_a_line_break_in_a_upn_does_not_make_a_lost_certificate_disappear(make_case: Make) -> None:
    blinded = notification(9, upn="a@b\nSerial Number: 4411")
    case = make_case({"view.csv": ROWS, "m.eml": blinded}, ca="Corp CA")
    assert set(case.findings["kind"]) == {"unaccounted_request"}
    assert 9 in set(case.findings["request_id"])
    made = case.decide(action="leave", all_of="unaccounted_request", by="Ada", note="seen")
    assert len(made.rows) == len(case.findings)
    assert case.report(case.path.parent / "report.html").is_file()


def test_a_ca_certificate_of_the_same_name_signs_nothing_that_is_believed(make_case: Make) -> None:
    """Self-made and found among certificates; its CRL would revoke two good rows. The database knows its own."""
    files = {"view.csv": ROWS, "ca.cer": CA, "found.cer": FAKE_CA, "good.cer": GOOD, "f.crl": make_crl(signer=OTHER)}
    case = make_case(files, ca="Corp CA")
    assert list(case.table("crls")["signed_by_ca"]) == [False]
    assert len(case.findings) == 0
    assert case.plan().ca_certificate_sha256 == _sha256(CA)


def test_of_two_cas_of_one_name_none_is_believed_where_nothing_tells_them_apart(make_case: Make) -> None:
    files = {"view.csv": ROWS, "ca.cer": CA, "found.cer": FAKE_CA, "f.crl": make_crl(signer=OTHER)}
    case = make_case(files, ca="Corp CA")
    assert not case.table("crls")["signed_by_ca"].fillna(value=False).any()
    assert len(case.findings) == 0
    with pytest.raises(RefusedError, match="Two different certificates claim"):
        case.plan()


def test_a_ca_certificate_that_comes_by_mail_is_not_the_cas(make_case: Make) -> None:
    files = {"view.csv": ROWS, "m.eml": notification(9, number="02", der=FAKE_CA), "f.crl": make_crl(signer=OTHER)}
    case = make_case(files, ca="Corp CA")
    assert not case.table("crls")["signed_by_ca"].fillna(value=False).any()
    assert "lost_revocation" not in set(case.findings["kind"])


def test_a_forged_revoked_mail_is_taken_by_no_suggestion(make_case: Make) -> None:
    files = {"view.csv": ROWS, "ca.cer": CA, "m.eml": notification(1, event="revoked")}
    case = make_case(files, ca="Corp CA")
    assert list(case.findings["kind"]) == ["lost_revocation"]
    made = case.decide(action="suggested", all_of="lost_revocation", by="Ada")
    assert (len(made.rows), len(made.skipped)) == (0, 1)


def test_all_takes_no_certificate_whose_template_is_only_a_number() -> None:
    """A view of few columns gives no template names: the orphan may be a domain controller's."""
    orphan = {
        "finding_id": "orphaned-44", "kind": "orphaned", "serial": "44", "confidence": "high", "infrastructure": False,
        "template": "1.3.6.1.4.1.311.21.8.1.2.3.1.33",
    }  # fmt: skip
    findings = TABLES["findings"].frame([orphan])
    now = datetime(2026, 3, 2, tzinfo=UTC)
    made = decide(findings, select_all="orphaned", action="revoke", reason=4, by="Ada", at=now)
    assert len(made.rows) == 0
    assert "OID" in made.skipped[0].why
    assert len(decide(findings, serials=["44"], action="revoke", reason=4, by="Ada", at=now).rows) == 1


def test_a_denied_row_that_bears_the_serial_does_not_bar_every_plan() -> None:
    denied = TABLES["ca_rows"].frame([row(2, disposition=31)])
    orphan = {"finding_id": "o", "kind": "orphaned", "serial": serial(2), "confidence": "high", "ca_cert_index": 0}
    findings = TABLES["findings"].frame([orphan])
    now = datetime(2026, 3, 2, tzinfo=UTC)
    own = {"certificate_sha256": _sha256(CA), "subject": "CN=Corp CA", "ca_version": 0, "der": CA}
    plan = make_plan(
        case="c",
        facts=CaseFacts(ca="Corp CA"),
        findings=findings,
        decisions=decide(findings, serials=[serial(2)], action="revoke", reason=4, by="Ada", at=now).rows,
        ca_rows=denied,
        ca_certificates=TABLES["certificates"].frame([own]),
        originals=TABLES["certificates"].empty(),
        crls=TABLES["crls"].empty(),
    )
    assert [item.method for item in plan.items] == ["dummy"]


def test_thousands_of_forged_mails_about_one_serial_are_one_finding_in_bounded_time() -> None:

    at = T0 + timedelta(days=40)
    mails = [
        {**mail("revoked", 2, reason=n % 7, location=str(n)), "sent_at": at, "not_after": ENDS} for n in range(5000)
    ]
    found = find_gap(TABLES["notifications"].frame(mails), TABLES["ca_rows"].frame([row(1)]), facts=CaseFacts())
    assert len(found) == 1
    assert pd.notna(found["serial"].iloc[0])


def _sha256(der: bytes) -> str:

    return sha256_hex(der)
