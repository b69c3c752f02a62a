"""OCSP answers: read in every form, believed only where the CA stands behind them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from carecover.evidence import read, verify_responses
from carecover.evidence.x509 import certificate_row
from carecover.model import TABLES, Reading
from tests.proof.authority import TestCA, key_of, openssl

ReadBytes = Callable[[bytes], Reading]
# The library dates an answer by the machine's clock: everything here is relative to that.
NOW = datetime.now(UTC).replace(microsecond=0)
CA = TestCA(NOW)
SERIAL = 0x4400FF
RESPONDER = CA.issue(0x77, responder=True)


def response(
    *,
    signer: x509.Certificate = RESPONDER,
    key: ec.EllipticCurvePrivateKey | None = None,
    issuer: x509.Certificate = CA.certificate,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.REVOKED,
    carried: bool = True,
    algorithm: hashes.HashAlgorithm | None = None,
    by_name: bool = False,
) -> bytes:
    """An answer about the serial number, signed by the responder's key (1000) unless another is named."""
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    leaf = CA.issue(SERIAL)
    builder = ocsp.OCSPResponseBuilder().add_response(
        leaf, issuer, algorithm or hashes.SHA1(), status, NOW - timedelta(hours=1),  # noqa: S303 - as Windows asks
        NOW + timedelta(days=1),
        NOW - timedelta(days=2) if revoked else None, x509.ReasonFlags.superseded if revoked else None,
    )  # fmt: skip
    builder = builder.responder_id(
        ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH, signer
    )
    if carried:
        builder = builder.certificates([signer])
    return builder.sign(key or key_of(1000), hashes.SHA256()).public_bytes(Encoding.DER)


def signed(read_bytes: ReadBytes, der: bytes, *own: x509.Certificate) -> bool | None:
    """signed_by_ca of the one answer."""
    rows = [certificate_row(each.public_bytes(Encoding.DER)) for each in own or (CA.certificate,)]
    found = verify_responses(TABLES["certificates"].frame(rows), read_bytes(der).tables["ocsp_responses"])
    flag = found["signed_by_ca"].iloc[0]
    return None if pd.isna(flag) else bool(flag)


def test_the_forms_of_an_answer(read_bytes: ReadBytes) -> None:
    der = response()
    pem = b"-----BEGIN OCSP RESPONSE-----\n" + base64.encodebytes(der) + b"-----END OCSP RESPONSE-----\n"
    for form in (der, der + b"\n", base64.b64encode(der), base64.encodebytes(der), pem, pem.replace(b"\n", b"\r\n")):
        reading = read_bytes(form)
        assert reading.kind == "ocsp"
        row = reading.tables["ocsp_responses"].iloc[0]
        assert (row["serial"], row["status"], row["reason"]) == ("4400ff", "revoked", 4)
        assert row["revoked_at"] == NOW - timedelta(days=2)
        assert row["next_update"] == NOW + timedelta(days=1)
        assert row["der"] == der


def test_what_the_answers_say(read_bytes: ReadBytes) -> None:
    for status in ocsp.OCSPCertStatus:
        row = read_bytes(response(status=status)).tables["ocsp_responses"].iloc[0]
        assert row["status"] == status.name.lower()
        assert pd.isna(row["reason"]) == (status is not ocsp.OCSPCertStatus.REVOKED)


def test_the_ca_or_whom_it_authorised(read_bytes: ReadBytes) -> None:
    assert signed(read_bytes, response()) is True
    assert signed(read_bytes, response(by_name=True)) is True
    assert signed(read_bytes, response(algorithm=hashes.SHA256())) is True
    assert signed(read_bytes, response(signer=CA.certificate, key=CA.key, carried=False)) is True
    frame = verify_responses(
        TABLES["certificates"].frame([certificate_row(CA.certificate.public_bytes(Encoding.DER))]),
        read_bytes(response()).tables["ocsp_responses"],
    )
    assert list(frame["signer_key_index"]) == [0]


STRANGERS: dict[str, Callable[[], bytes]] = {
    "without the usage": lambda: response(signer=CA.issue(0x78)),
    "of another CA": lambda: response(signer=TestCA(NOW, "Other CA", 7).issue(0x79, responder=True)),
    "of another CA of the same name": lambda: response(signer=TestCA(NOW, "Corp CA", 7).issue(0x79, responder=True)),
    "whose certificate is not there": lambda: response(carried=False),
    "about a certificate of another CA": lambda: response(issuer=TestCA(NOW, "Other CA", 7).certificate),
    "about a certificate of another key": lambda: response(issuer=TestCA(NOW, "Corp CA", 7).certificate),
    "before its time": lambda: response(signer=TestCA(NOW + timedelta(days=31)).issue(0x7A, responder=True)),
    "after its time": lambda: response(signer=TestCA(NOW - timedelta(days=336)).issue(0x7A, responder=True)),
}


@pytest.mark.parametrize("make", STRANGERS.values(), ids=STRANGERS)
def test_a_responder_that_the_ca_did_not_authorise_is_not_believed(
    read_bytes: ReadBytes, make: Callable[[], bytes]
) -> None:
    assert signed(read_bytes, make()) is False


def test_a_bit_that_fell_over_is_not_believed(read_bytes: ReadBytes) -> None:
    der = response()
    at = der.index(b"\x44\x00\xff")
    bent = der[:at] + b"\x44\x00\xfe" + der[at + 3 :]
    assert read_bytes(bent).tables["ocsp_responses"]["serial"].iloc[0] == "4400fe"
    assert signed(read_bytes, bent) is False


def test_an_answer_signed_with_pss_is_read_as_well(tmp_path: Path, read_bytes: ReadBytes) -> None:
    """AlternateSignatureAlgorithm on an AD CS. The library makes none: openssl does."""
    place = tmp_path

    def run(*arguments: str) -> None:
        made = openssl(*arguments)
        assert made.returncode == 0, made.stderr

    key = str(place / "ca.key")
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", str(place / "ca.pem"),
        "-subj", "/CN=Corp CA", "-days", "30")  # fmt: skip
    ca = x509.load_pem_x509_certificate((place / "ca.pem").read_bytes())
    (place / "index").write_text("V\t491231235959Z\t\t4400FF\tunknown\t/CN=x\n", encoding="ascii")
    run("ocsp", "-issuer", str(place / "ca.pem"), "-serial", "0x4400FF", "-reqout", str(place / "asked"), "-no_nonce")
    run("ocsp", "-index", str(place / "index"), "-CA", str(place / "ca.pem"), "-rsigner", str(place / "ca.pem"),
        "-rkey", key, "-reqin", str(place / "asked"), "-respout", str(place / "said"), "-ndays", "1",
        "-rsigopt", "rsa_padding_mode:pss", "-resp_no_certs")  # fmt: skip
    said = (place / "said").read_bytes()
    assert signed(read_bytes, said, ca) is True
    assert signed(read_bytes, said[:-20] + bytes([said[-20] ^ 1]) + said[-19:], ca) is not True


def test_without_a_ca_certificate_nothing_is_known(read_bytes: ReadBytes) -> None:
    found = verify_responses(TABLES["certificates"].empty(), read_bytes(response()).tables["ocsp_responses"])
    assert found["signed_by_ca"].isna().all()
    assert len(verify_responses(TABLES["certificates"].empty(), TABLES["ocsp_responses"].empty())) == 0


def test_two_keys_for_one_index_are_both_not_believed(read_bytes: ReadBytes) -> None:
    rival = TestCA(NOW, "Corp CA", 7).certificate
    assert signed(read_bytes, response(), CA.certificate, rival) is None
    other = TestCA(NOW, "Corp CA", 7, key_index=1).certificate
    assert signed(read_bytes, response(), CA.certificate, other) is True


@pytest.mark.parametrize("status", ["unauthorized", "try_later", "malformed_request", "internal_error", "sig_required"])
def test_a_refusal_is_told_and_proves_nothing(read_bytes: ReadBytes, status: str) -> None:
    refused = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus[status.upper()])
    reading = read_bytes(refused.public_bytes(Encoding.DER))
    assert (reading.kind, reading.accounting.rejected) == ("ocsp", 1)
    assert f"answered '{status.replace('_', ' ')}'" in reading.tables["rejects"]["reason"].iloc[0]


def test_cut_off_and_bent_answers_never_end_in_an_exception(read_bytes: ReadBytes) -> None:
    der = response()
    for at in range(0, len(der), 7):
        read_bytes(der[:at] or b"0")
        read_bytes(der[:at] + bytes([der[at] ^ 0x20]) + der[at + 1 :])
    assert "is cut off: 1 bytes are missing" in read_bytes(der[:-1]).tables["rejects"]["reason"].iloc[0]


def test_answers_of_the_corpus_against_openssl(corpus: Path) -> None:
    checked = 0
    for path in sorted((corpus / "certs").glob("*ocsp_resp*.der")) + sorted((corpus / "certs").glob("msca__*ocsp.der")):
        reading = read(path)
        assert reading.kind == "ocsp", path
        printed = openssl("ocsp", "-respin", str(path), "-noverify", "-resp_text").stdout
        serials = re.findall(r"Serial Number: ([0-9A-F]+)", printed)
        if reading.accounting.rejected:
            assert not serials or "Version: 2" in printed, path
            continue
        rows = reading.tables["ocsp_responses"]
        assert [int(s, 16) for s in rows["serial"]] == [int(s, 16) for s in serials]
        assert list(rows["status"]) == re.findall(r"Cert Status: (\w+)", printed)
        checked += 1
    assert checked >= 6


def test_windows_copies_the_times_of_the_list_into_its_answers(corpus: Path) -> None:
    """What tells an old answer from a new one, seen on a real Online Responder."""
    row = read(corpus / "certs" / "msca__dss_DSS1469ExtensionTest_5.ocsp.der").tables["ocsp_responses"].iloc[0]
    assert row["produced_at"] - row["this_update"] > timedelta(hours=6)
    assert row["next_update"] - row["this_update"] > timedelta(days=1)
