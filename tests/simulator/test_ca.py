"""The simulated CA: certutil's verbs as captures and Microsoft's pages show them; CRLs judged by openssl."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cryptography import x509

from carecover.errors import EvidenceError, PathError
from carecover.model import TABLES, CaseFacts, SerialNumber
from carecover.simulator import Behaviour, Faults, Incident, Scenario, SimulatedCA, SimulatedHost, make_incident
from carecover.simulator import behaviour as known
from carecover.simulator.authority import der, thumbprint
from carecover.simulator.behaviour import EVERYTHING
from carecover.simulator.ca import HangError, KilledError
from carecover.simulator.commandline import UnsupportedCallError
from carecover.simulator.windows import OEM, CallResult, Folder


@cache
def incident() -> Incident:
    """One small incident for all tests of this file; it is never changed."""
    return make_incident(Scenario(seed=5, certificates=60, lost=12, releases=1, lost_revocations=2))


class Desk:
    """A CA, a folder and the last answer."""

    def __init__(self, directory: Path, ca: SimulatedCA) -> None:
        self.ca = ca
        self.directory = directory
        self.folder = Folder(directory)

    def call(self, *arguments: str) -> CallResult:
        """The answer to one call of certutil."""
        return self.ca.certutil(arguments, self.folder)

    def text(self, *arguments: str) -> str:
        """What a call that succeeds printed, with plain line feeds."""
        result = self.call(*arguments)
        assert result.exit_code == 0, result.output
        return result.output.decode(OEM).replace("\r\n", "\n")

    def code(self, *arguments: str) -> int:
        """The HRESULT that a call failed with, 0 where it did not."""
        return self.call(*arguments).exit_code % (1 << 32)

    def state(self, serial: str) -> tuple[int, int | None] | None:
        """Disposition and reason of a serial number, None where the CA does not know it."""
        if serial not in set(self.ca.table()["serial"].dropna()):
            return None
        row = self.row(serial)
        return int(row["disposition"]), None if pd.isna(row["reason"]) else int(row["reason"])

    def row(self, serial: str) -> pd.Series[Any]:
        """The one row of a serial number."""
        rows = self.ca.table()
        rows = rows[rows["serial"] == serial]
        assert len(rows) == 1
        return rows.iloc[0]

    def crl(self, key: int = 0) -> x509.CertificateRevocationList:
        """The CRL that was published last."""
        return x509.load_der_x509_crl(self.ca.crls[key])


MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk(tmp_path: Path) -> MakeDesk:
    """Makes a desk with the restored CA of the incident."""

    def make(behaviour: Behaviour | None = None, **given: object) -> Desk:
        ca = SimulatedCA.from_state(incident().restored, behaviour=behaviour, **given)  # type: ignore[arg-type]
        return Desk(tmp_path, ca)

    return make


def lost(index: int) -> tuple[str, bytes]:
    """Serial number and certificate of a lost certificate."""
    item = incident().truth["lost"][index]
    return item["serial"], base64.b64decode(item["certificate"])


def a_row(disposition: int, reason: int | None = None) -> str:
    """The serial number of a row of the restored CA that is in a state."""
    table = SimulatedCA.from_state(incident().restored).table()
    rows = table[table["disposition"] == disposition]
    if reason is not None:
        rows = rows[rows["reason"] == reason]
    return str(rows.iloc[0]["serial"])


# ------------------------------------------------------------------------------------- -view


def test_a_view_of_one_row_has_the_form_of_the_captures(desk: MakeDesk) -> None:
    serial = a_row(20)
    text = desk().text("-view", "-restrict", f"SerialNumber={serial}", "-out", "SerialNumber,CommonName")
    lines = text.split("\n")
    assert lines[:5] == [
        "Schema:",
        "  Column Name                   Localized Name                Type    MaxLength",
        "  ----------------------------  ----------------------------  ------  ---------",
        "  SerialNumber                  Serial Number                 String  128 -- Indexed",
        "  CommonName                    Issued Common Name            String  8192 -- Indexed",
    ]
    assert lines[5:8] == ["", "Row 1:", f'  Serial Number: "{serial}"']
    assert lines[9:13] == ["", "Maximum Row Index: 1", "", "1 Rows"]
    assert lines[-2:] == ["CertUtil: -view command completed successfully.", ""]


def test_a_view_without_a_hit_is_a_success(desk: MakeDesk) -> None:
    text = desk().text("-view", "-restrict", "SerialNumber=00ab", "-out", "SerialNumber")
    assert "Maximum Row Index: 0\n\n0 Rows\n" in text
    assert "00ab" not in text


@pytest.mark.parametrize(
    ("restriction", "hits"),
    [
        ("Disposition=20", True),
        ("Request.Disposition=20", True),
        ("Request Disposition=20", True),
        ("disposition=0x14", True),
        ("Disposition>=20,Disposition<=20", True),
        ("Disposition=21", False),
        ("Disposition<20", False),
        ("Disposition>20", False),
        ("Disposition=20,Request.RevokedReason=0", False),
        ("RequestID==$", False),
        ("RequestID>0", True),
    ],
)
def test_restrictions_are_joined_by_and(desk: MakeDesk, restriction: str, hits: bool) -> None:
    serial = a_row(20)
    text = desk().text("-view", "-restrict", f"SerialNumber={serial},{restriction}", "-out", "SerialNumber")
    assert (f'"{serial}"' in text) is hits


def test_the_last_request_is_found_by_a_dollar_sign(desk: MakeDesk) -> None:
    place = desk()
    newest = incident().restored.next_request_id - 1
    assert "1 Rows" in place.text("-view", "-restrict", "RequestID==$", "-out", "RequestID")
    assert f"({newest})" in place.text("-view", "-restrict", "RequestID=$", "-out", "RequestID")
    assert "0 Rows" in place.text("-view", "-restrict", f"RequestID>{newest}", "-out", "RequestID")
    assert "1 Rows" in place.text("-view", "-restrict", f"RequestID>{newest - 1}", "-out", "RequestID")


def test_whether_a_restriction_ignores_case_is_a_switch(desk: MakeDesk) -> None:
    serial = a_row(20)
    arguments = ("-view", "-restrict", f"SerialNumber={serial.upper()}", "-out", "SerialNumber")
    assert serial in desk().text(*arguments)
    assert serial not in desk(Behaviour(restriction_ignores_case=False)).text(*arguments)


def test_csv_and_gmt_are_understood(desk: MakeDesk) -> None:
    text = desk().text("-gmt", "-view", "-restrict", "RequestID=2", "-out", "RequestID,NotAfter", "csv")
    head, row, *_ = text.split("\n")
    assert head == '"Issued Request ID","Certificate Expiration Date"'
    assert row.startswith('"2","')
    assert row.endswith(' GMT"')


def test_an_unknown_column_is_an_invalid_parameter(desk: MakeDesk) -> None:
    assert desk().code("-view", "-restrict", "Nonsense=1") == known.INVALID_PARAMETER
    assert desk().code("-view", "-out", "Nonsense") == known.INVALID_PARAMETER
    assert desk().code("-view", "-restrict", "RequestID=x") == known.INVALID_PARAMETER


# ------------------------------------------------------------------------------------- -revoke


def test_a_revocation_prints_what_the_capture_shows_and_changes_the_row(desk: MakeDesk) -> None:
    place, serial = desk(), a_row(20)
    assert place.text("-revoke", serial, "5") == (
        f'Revoking "{serial}" -- Reason: Cessation of Operation\nCertUtil: -revoke command completed successfully.\n'
    )
    assert place.state(serial) == (21, 5)


def test_a_second_revocation_overwrites_date_and_reason(desk: MakeDesk) -> None:
    place, serial = desk(), a_row(20)
    place.text("-revoke", serial, "1")
    first = place.row(serial)["revoked_at"]
    place.text("-revoke", serial, "4")
    assert place.state(serial) == (21, 4)
    assert place.row(serial)["revoked_at"] > first


def test_only_a_hold_can_be_undone(desk: MakeDesk) -> None:
    place, serial = desk(), a_row(20)
    place.text("-revoke", serial, "6")
    assert place.state(serial) == (21, 6)
    assert "Reason: Unrevoke" in place.text("-revoke", serial, "-1")
    assert place.state(serial) == (20, None)
    assert place.code("-revoke", serial, "-1") == known.BAD_REQUESTSTATUS
    place.text("-revoke", serial, "1")
    assert place.code("-revoke", serial, "-1") == known.BAD_REQUESTSTATUS
    assert place.state(serial) == (21, 1)


def test_a_bad_serial_prints_the_three_lines_of_the_capture(desk: MakeDesk) -> None:
    result = desk().call("-revoke", "Serial Number", "4")
    assert result.exit_code == -2147024809
    assert result.output.decode().split("\r\n") == [
        'Revoking "Serial Number" -- Reason: Superseded',
        "ICertAdmin::RevokeCertificate: The parameter is incorrect. 0x80070057 (WIN32: 87 ERROR_INVALID_PARAMETER)",
        "CertUtil: -revoke command FAILED: 0x80070057 (WIN32: 87 ERROR_INVALID_PARAMETER)",
        "CertUtil: The parameter is incorrect.",
        "",
    ]


@pytest.mark.parametrize("serial", ["abc", "0x12", "0012", "0000", "", "zz"])
def test_odd_serials_are_refused(desk: MakeDesk, serial: str) -> None:
    assert desk().code("-revoke", serial, "1") == known.INVALID_PARAMETER


def test_reasons_outside_microsofts_list_are_refused(desk: MakeDesk) -> None:
    serial = a_row(20)
    for reason in ("7", "9", "10"):
        assert desk().code("-revoke", serial, reason) == known.INVALID_PARAMETER
    with pytest.raises(UnsupportedCallError):
        desk().call("-revoke", serial, "8")


def test_an_unknown_serial_fails_as_the_switch_says(desk: MakeDesk) -> None:
    assert desk().code("-revoke", "5a01", "1") == known.PROPERTY_EMPTY
    assert desk(Behaviour(revoke_unknown_serial=0x80070002)).code("-revoke", "5a01", "1") == 0x80070002


# ---------------------------------------------------------------------------- dummy and import


def _ca_serial(place: Desk) -> str:
    return str(place.ca.stand_in_certificates.iloc[-1]["serial"])


def test_an_original_is_imported_under_a_new_request_id_and_can_be_revoked(desk: MakeDesk) -> None:
    place = desk()
    serial, data = lost(0)
    (place.directory / "a.cer").write_bytes(data)
    assert place.text("-importcert", "a.cer") == "CertUtil: -importcert command completed successfully.\n"
    row = place.row(serial)
    assert row["request_id"] == incident().restored.next_request_id
    assert row["thumbprint"] == thumbprint(data)
    # Not the request ID inside of the serial number.
    assert row["request_id"] != SerialNumber.parse(serial).anatomy.request_id
    place.text("-revoke", serial, "1")
    assert place.state(serial) == (21, 1)


def test_a_serial_that_exists_is_not_imported_again(desk: MakeDesk) -> None:
    place = desk()
    (place.directory / "a.cer").write_bytes(lost(0)[1])
    place.text("-importcert", "a.cer")
    before = len(place.ca.table())
    assert place.code("-importcert", "a.cer") == known.CRYPT_E_EXISTS
    assert len(place.ca.table()) == before


def test_files_that_are_no_certificate_of_this_ca_are_refused(desk: MakeDesk) -> None:
    place = desk()
    other = make_incident(Scenario(seed=6, certificates=10, lost=2)).truth["lost"][0]["certificate"]
    (place.directory / "other.cer").write_bytes(base64.b64decode(other))
    (place.directory / "text.cer").write_bytes(b"hello")
    assert place.code("-importcert", "other.cer") == known.CERT_SIGNATURE
    assert place.code("-importcert", "text.cer") == known.INVALID_DATA
    assert place.code("-importcert", "missing.cer") == known.FILE_NOT_FOUND


def test_a_dummy_carries_the_serial_and_is_signed_by_the_ca(desk: MakeDesk) -> None:
    place, (serial, _) = desk(), lost(1)
    place.text("-Cert", _ca_serial(place), "-sign", serial, "d.cer")
    data = (place.directory / "d.cer").read_bytes()
    dummy = x509.load_der_x509_certificate(data)
    own = x509.load_der_x509_certificate(place.ca.stand_in_certificates.iloc[-1]["der"])
    assert dummy.serial_number == int(serial, 16)
    dummy.verify_directly_issued_by(own)
    assert dummy.not_valid_after_utc == own.not_valid_after_utc
    place.text("-importcert", "d.cer")
    assert place.state(serial) == (20, None)
    # Nothing is overwritten without -f, and -f is never sent.
    assert place.code("-Cert", _ca_serial(place), "-sign", serial, "d.cer") == known.FILE_EXISTS
    assert (place.directory / "d.cer").read_bytes() == data


def test_what_a_dummy_holds_is_a_matter_of_switches(desk: MakeDesk) -> None:
    place = desk(
        Behaviour(
            dummy_validity=timedelta(days=2), dummy_subject="empty", dummy_is_ca=True, dummy_eku=("1.3.6.1.5.5.7.3.3",)
        )
    )
    place.text("-Cert", _ca_serial(place), "-sign", "5a01", "d.cer")
    dummy = x509.load_der_x509_certificate((place.directory / "d.cer").read_bytes())
    assert dummy.not_valid_after_utc == place.ca.now.replace(microsecond=0) + timedelta(days=2)
    assert not dummy.subject.rdns
    assert dummy.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert [o.dotted_string for o in dummy.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value] == [
        "1.3.6.1.5.5.7.3.3"
    ]


def test_sign_hangs_at_its_dialog_without_cert_or_where_cert_does_not_help(desk: MakeDesk) -> None:
    with pytest.raises(HangError):
        desk().call("-sign", "5a01", "d.cer")
    place = desk(Behaviour(cert_option_suppresses_dialog=False))
    with pytest.raises(HangError):
        place.call("-Cert", _ca_serial(place), "-sign", "5a01", "d.cer")
    assert desk().code("-Cert", "5a01", "-sign", "5a01", "d.cer") == known.CRYPT_E_NOT_FOUND


# ------------------------------------------------------------------------------- -crl, -getcrl


def test_each_publication_raises_the_number_and_lists_what_is_revoked(desk: MakeDesk) -> None:
    place, good, held = desk(), a_row(20), a_row(21)
    place.text("-revoke", good, "0")
    place.text("-crl")
    place.text("-crl")
    crl = place.crl()
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == incident().restored.crl_number + 2
    entry = crl.get_revoked_certificate_by_serial_number(int(good, 16))
    assert entry is not None
    assert entry.revocation_date_utc > place.ca.now - timedelta(minutes=1)
    # Reason 0 is an entry without a reason code.
    assert len(entry.extensions) == 0
    assert crl.last_update_utc < entry.revocation_date_utc
    assert crl.get_revoked_certificate_by_serial_number(int(held, 16)) is not None
    place.text("-getcrl", "out.crl", "0")
    assert (place.directory / "out.crl").read_bytes() == place.ca.crls[0]


def test_a_released_hold_leaves_the_crl(desk: MakeDesk) -> None:
    place, serial = desk(), a_row(21, reason=6)
    place.text("-revoke", serial, "-1")
    place.text("-crl")
    assert place.crl().get_revoked_certificate_by_serial_number(int(serial, 16)) is None


def test_a_dummy_that_expires_early_drops_its_serial_after_one_more_crl(desk: MakeDesk) -> None:
    # The trap: the CA judges by the end of the imported row, not by that of the real certificate.
    place, (serial, _) = desk(Behaviour(dummy_validity=timedelta(hours=1))), lost(1)
    place.text("-Cert", _ca_serial(place), "-sign", serial, "d.cer")
    place.text("-importcert", "d.cer")
    place.text("-revoke", serial, "1")
    number = int(serial, 16)
    listed = []
    for _ in range(3):
        place.text("-crl")
        listed.append(place.crl().get_revoked_certificate_by_serial_number(number) is not None)
        place.ca.now += timedelta(hours=2)
    assert listed == [True, True, False]


def test_a_start_of_the_service_may_have_published(desk: MakeDesk) -> None:
    place = desk(Behaviour(publishes_at_start=True))
    assert place.crl().extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == (
        incident().restored.crl_number + 1
    )


def test_the_number_of_the_crl_can_be_asked_for(desk: MakeDesk) -> None:
    place, number = desk(), incident().restored.crl_number
    arguments = ("-view", "-restrict", f"CRLNumber>{number}", "-out", "CRLNumber", "CRL")
    assert "0 Rows" in place.text(*arguments)
    place.text("-crl")
    assert f"CRL Number: {number + 1:#x} ({number + 1})" in place.text(*arguments)
    assert desk(Behaviour(view_crl_numbers=False)).code(*arguments) == known.INVALID_PARAMETER


def _openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)


def test_openssl_agrees_about_the_real_lost_certificates(desk: MakeDesk, tmp_path: Path) -> None:
    place = desk()
    for index, (reason, release) in enumerate([("1", False), ("0", False), ("6", True), ("", False)]):
        serial, data = lost(index)
        (tmp_path / "a.cer").write_bytes(data)
        place.text("-importcert", "a.cer")
        if reason:
            place.text("-revoke", serial, reason)
        if release:
            place.text("-revoke", serial, "-1")
    place.text("-crl")
    own = x509.load_der_x509_certificate(place.ca.stand_in_certificates.iloc[-1]["der"])
    (tmp_path / "ca.cer").write_bytes(der(own))
    (tmp_path / "new.crl").write_bytes(place.ca.crls[0])
    _openssl("x509", "-inform", "DER", "-in", str(tmp_path / "ca.cer"), "-out", str(tmp_path / "ca.pem"))
    made = _openssl(
        *("crl", "-inform", "DER", "-in", str(tmp_path / "new.crl"), "-out", str(tmp_path / "crl.pem")),
        *("-CAfile", str(tmp_path / "ca.pem"), "-crlnumber", "-noout"),
    )
    assert "verify OK" in made.stderr
    assert (
        int(made.stdout.strip().removeprefix("crlNumber=").removeprefix("0x"), 16) == incident().restored.crl_number + 1
    )
    _openssl("crl", "-inform", "DER", "-in", str(tmp_path / "new.crl"), "-out", str(tmp_path / "crl.pem"))
    (tmp_path / "both.pem").write_bytes((tmp_path / "ca.pem").read_bytes() + (tmp_path / "crl.pem").read_bytes())
    at = str(int(place.ca.now.timestamp()))
    answers = []
    for index in range(4):
        (tmp_path / "c.cer").write_bytes(lost(index)[1])
        _openssl("x509", "-inform", "DER", "-in", str(tmp_path / "c.cer"), "-out", str(tmp_path / "c.pem"))
        answer = _openssl(
            *("verify", "-crl_check", "-attime", at, "-CAfile", str(tmp_path / "both.pem"), str(tmp_path / "c.pem"))
        )
        answers.append(
            "OK" if answer.returncode == 0 else "error 23" if "error 23 " in answer.stderr else answer.stderr
        )
    assert answers == ["error 23", "error 23", "OK", "OK"]


# ----------------------------------------------------------------------------- the other verbs


def test_hashfile_prints_both_spellings(desk: MakeDesk, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert desk().text("-hashfile", "x", "SHA256").split("\n")[:2] == ["SHA256 hash of x:", digest]
    spaced = desk(Behaviour(hash_spaced=True)).text("-hashfile", "x", "SHA256")
    assert bytes.fromhex(digest).hex(" ") in spaced
    assert "a9993e364706816aba3e25717850c26c9cd0d89d" in desk().text("-hashfile", "x")
    assert desk().code("-hashfile", "missing", "SHA256") == known.FILE_NOT_FOUND


def test_ping_getreg_and_ca_cert(desk: MakeDesk, tmp_path: Path) -> None:
    place = desk(config="PKI01\\Example Issuing CA 1")
    assert place.text("-ping") == (
        "Connecting to PKI01\\Example Issuing CA 1 ...\n"
        'Server "Example Issuing CA 1" ICertRequest2 interface is alive (0ms)\n'
        "CertUtil: -ping command completed successfully.\n"
    )
    assert "\n\n  CRLPeriod REG_SZ = Days\nCertUtil: -getreg command" in place.text("-getreg", "CA\\CRLPeriod")
    missing = place.call("-getreg", "CA\\AuditFilter")
    assert missing.exit_code == -2147024894
    assert missing.output.startswith(
        b"HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\CertSvc\\Configuration\\"
    )
    assert (
        b"AuditFilter:\r\nCertUtil: -getreg command FAILED: 0x80070002 (WIN32: 2 ERROR_FILE_NOT_FOUND)"
        in missing.output
    )
    place.text("-config", "pki01\\example issuing ca 1", "-ca.cert", "ca.cer")
    assert (tmp_path / "ca.cer").read_bytes() == place.ca.stand_in_certificates.iloc[-1]["der"]
    assert place.code("-config", "OTHER\\CA", "-ping") == known.RPC_UNAVAILABLE


@pytest.mark.parametrize(
    "arguments",
    [
        ("-f", "-importcert", "x"),
        ("-deleterow", "1"),
        ("-crl", "republish"),
        ("-setreg", "CA\\X", "1"),
        ("-view", "Queue"),
        ("-config",),
        ("x",),
        (),
    ],
)
def test_what_carecover_must_never_send_is_loud(desk: MakeDesk, arguments: tuple[str, ...]) -> None:
    with pytest.raises(UnsupportedCallError):
        desk().call(*arguments)


@pytest.mark.parametrize(
    ("language", "good", "bad"),
    [
        (
            "de",
            "CertUtil: -CRL-Befehl wurde erfolgreich ausgeführt.",
            "-revoke-Befehl ist fehlgeschlagen: 0x80094004 (",
        ),
        (
            "fr",
            "CertUtil: -CRL La commande s?est terminée correctement.",
            "-revoke La commande a échoué : 0x80094004 (",
        ),
    ],
)
def test_status_lines_come_in_the_language_of_the_user(desk: MakeDesk, language: str, good: str, bad: str) -> None:
    place = desk(replace(Behaviour(), language=language))  # type: ignore[arg-type]
    assert good in place.text("-crl")
    assert bad in place.call("-revoke", "5a01", "1").output.decode(OEM)


def test_garbled_words_leave_values_and_schema_names_alone(desk: MakeDesk) -> None:
    serial = a_row(20)
    text = desk(Behaviour(language="none")).text(
        "-view", "-restrict", f"SerialNumber={serial}", "-out", "SerialNumber,RequestID"
    )
    assert f'"{serial}"' in text
    assert "  SerialNumber  " in text
    assert "0x" in text
    assert not {"Serial", "Rows", "successfully."} & set(text.split())


# -------------------------------------------------------------------------- rights and faults


def test_each_verb_needs_its_right(desk: MakeDesk) -> None:
    serial = a_row(20)
    needs = {
        "read": ("-view", "-restrict", "RequestID=1", "-out", "RequestID"),
        "officer": ("-revoke", serial, "1"),
        "manager": ("-crl",),
        "key": ("-Cert", "5a", "-sign", "5a01", "d.cer"),
    }
    for right, arguments in needs.items():
        place = desk(rights=EVERYTHING - {right})
        assert place.code(*arguments) == known.ACCESS_DENIED
    assert desk(rights=EVERYTHING - {"officer"}).code("-importcert", "x") == known.ACCESS_DENIED


def test_faults_have_no_effect_but_their_code(desk: MakeDesk) -> None:
    serial = a_row(20)
    place = desk(faults=Faults(fail_at={2: known.RPC_UNAVAILABLE}, fail_verb={"crl": known.ACCESS_VIOLATION}))
    place.text("-ping")
    assert place.code("-revoke", serial, "1") == known.RPC_UNAVAILABLE
    assert place.state(serial) == (20, None)
    assert place.code("-crl") == 0xC0000005
    assert place.ca.crls == {}
    assert [(call.verb, call.exit_code) for call in place.ca.calls] == [
        ("ping", 0),
        ("revoke", -2147023174),
        ("crl", -1073741819),
    ]


def test_a_kill_comes_before_or_after_the_effect(desk: MakeDesk) -> None:
    serial = a_row(20)
    for faults, state in ((Faults(die_before=1), (20, None)), (Faults(die_after=1), (21, 1))):
        place = desk(faults=faults)
        with pytest.raises(KilledError):
            place.call("-revoke", serial, "1")
        assert place.state(serial) == state


def test_each_call_takes_one_second(desk: MakeDesk) -> None:
    place = desk()
    start = place.ca.now
    place.text("-ping")
    place.text("-ping")
    assert place.ca.now - start == timedelta(seconds=2)


# ------------------------------------------------------------------------------ from evidence


def _rebuilt(
    *, facts: CaseFacts | None = None, crls: list[dict[str, object]] | None = None, **given: object
) -> SimulatedCA:
    """The CA rebuilt from its own table and certificate, as a case would hand them over."""
    real = SimulatedCA.from_state(incident().restored)
    tables = {
        "ca_rows": real.table(),
        "ca_certificates": real.stand_in_certificates,
        "crls": TABLES["crls"].frame(crls or []),
        "crl_entries": TABLES["crl_entries"].empty(),
        **given,
    }
    moment = incident().restored.exported_at
    return SimulatedCA.from_evidence(**tables, facts=facts or CaseFacts(), now=moment)  # type: ignore[arg-type]


def test_a_rebuilt_ca_has_the_same_rows_and_its_own_key(tmp_path: Path) -> None:
    real, ca = SimulatedCA.from_state(incident().restored), _rebuilt()
    columns = ["request_id", "serial", "disposition", "reason", "thumbprint", "not_after", "issuer_name_id"]
    assert ca.table()[columns].equals(real.table()[columns])
    stand_in, own = ca.stand_in_certificates.iloc[0], real.stand_in_certificates.iloc[0]
    assert stand_in["subject"] == own["subject"]
    assert stand_in["key_id"] != own["key_id"]
    place = Desk(tmp_path, ca)
    # -ca.cert hands out the real certificate, -Cert takes its serial number, and originals are checked with it.
    place.text("-ca.cert", "ca.cer")
    assert (tmp_path / "ca.cer").read_bytes() == own["der"]
    (tmp_path / "a.cer").write_bytes(lost(0)[1])
    place.text("-importcert", "a.cer")
    place.text("-Cert", own["serial"], "-sign", lost(1)[0], "d.cer")
    place.text("-importcert", "d.cer")
    dummy = x509.load_der_x509_certificate((tmp_path / "d.cer").read_bytes())
    dummy.verify_directly_issued_by(x509.load_der_x509_certificate(stand_in["der"]))
    place.text("-crl")
    key = x509.load_der_x509_certificate(stand_in["der"]).public_key()
    assert place.crl().is_signature_valid(key)  # type: ignore[arg-type]


def test_the_rebuilt_crl_number_is_that_of_the_backup_or_lies_behind() -> None:
    day = datetime(2026, 9, 1, tzinfo=UTC)
    crls: list[dict[str, object]] = [
        {"crl_sha256": str(n), "crl_number": str(n), "this_update": day + timedelta(days=n), "ca_version": 0}
        for n in (7, 8, 9)
    ]
    for backup, expected in ((day + timedelta(days=7, hours=1), 8), (None, 9 - 2 + 1), (day, 9 - 2 + 1)):
        ca = _rebuilt(crls=crls, facts=CaseFacts(backup=backup))
        ca.certutil(["-crl"], None)  # type: ignore[arg-type]
        number = x509.load_der_x509_crl(ca.crls[0]).extensions.get_extension_for_class(x509.CRLNumber)
        assert number.value.crl_number == expected


def test_reasons_that_the_view_does_not_show_come_from_the_crl() -> None:
    rows = SimulatedCA.from_state(incident().restored).table()
    revoked = rows[rows["disposition"] == 21].iloc[0]
    rows["reason"] = rows["reason"].mask(rows["serial"] == revoked["serial"])
    entry = {"crl_sha256": "x", "serial": revoked["serial"], "revoked_at": revoked["revoked_at"], "reason": 3}
    ca = _rebuilt(ca_rows=rows, crl_entries=TABLES["crl_entries"].frame([entry]))
    assert ca.table().set_index("serial").loc[revoked["serial"], "reason"] == 3


def test_a_ca_without_certificate_or_request_ids_cannot_be_rebuilt() -> None:
    with pytest.raises(EvidenceError, match="certificate"):
        _rebuilt(ca_certificates=TABLES["certificates"].empty())
    own = SimulatedCA.from_state(incident().restored).stand_in_certificates
    other = SimulatedCA.from_state(
        make_incident(Scenario(seed=6, certificates=10, lost=2)).restored
    ).stand_in_certificates
    with pytest.raises(EvidenceError, match="Two different certificates"):
        _rebuilt(ca_certificates=pd.concat([own, other], ignore_index=True))
    rows = SimulatedCA.from_state(incident().restored).table()
    rows["request_id"] = rows["request_id"].mask(rows["request_id"] == 2)
    with pytest.raises(EvidenceError, match="request ID"):
        _rebuilt(ca_rows=rows)


@pytest.mark.parametrize("renewal", ["same_key", "new_key"])
def test_after_a_renewal_there_is_one_crl_a_key(tmp_path: Path, renewal: str) -> None:
    scenario = Scenario(seed=8, certificates=60, lost=10, renewal=renewal)  # type: ignore[arg-type]
    state = make_incident(scenario).restored
    ca = SimulatedCA.from_state(state)
    place = Desk(tmp_path, ca)
    place.text("-crl")
    keys = {"same_key": 1, "new_key": 2}[renewal]
    assert len(ca.crls) == keys
    table = ca.table()
    for key in range(keys):
        own = state.authority.certificates[state.authority.certificate_of_key(key)]
        crl = place.crl(key)
        assert crl.is_signature_valid(own.public_key())  # type: ignore[arg-type]
        listed = {f"{entry.serial_number:x}" for entry in crl}
        here = table[(table["disposition"] == 21) & (table["issuer_name_id"] // 65536 == key)]
        assert listed <= {serial.lstrip("0") for serial in here["serial"]}
    # The index of -GetCRL counts CA certificates: both certificates of one key have one CRL.
    place.text("-getcrl", "0.crl", "0")
    place.text("-getcrl", "1.crl", "1")
    assert ((tmp_path / "0.crl").read_bytes() == (tmp_path / "1.crl").read_bytes()) is (keys == 1)
    assert place.code("-getcrl", "2.crl", "2") == known.FILE_NOT_FOUND


def test_serials_with_leading_zeros_and_high_bits_are_kept(tmp_path: Path) -> None:
    for behaviour, shown in ((Behaviour(), '"ff01"'), (Behaviour(high_serials_padded=True), '"00ff01"')):
        ca = SimulatedCA.from_state(incident().restored, behaviour=behaviour)
        place = Desk(tmp_path, ca)
        for serial in ("0abc", "ff01"):
            (tmp_path / "d.cer").unlink(missing_ok=True)
            place.text("-Cert", _ca_serial(place), "-sign", serial, "d.cer")
            place.text("-importcert", "d.cer")
        one = shown.strip('"')
        assert shown in place.text("-view", "-restrict", f"SerialNumber={one}", "-out", "SerialNumber")
        other = {"ff01": "00ff01", "00ff01": "ff01"}[one]
        assert "0 Rows" in place.text("-view", "-restrict", f"SerialNumber={other}", "-out", "SerialNumber")
        assert '"0abc"' in place.text("-view", "-restrict", "SerialNumber=0abc", "-out", "SerialNumber")
        place.text("-revoke", one, "1")
        assert place.state("ff01") == (21, 1)


def test_a_host_tells_of_a_missing_script_and_lives_with_a_call_that_nobody_knows(tmp_path: Path) -> None:
    ca = SimulatedCA.from_state(incident().restored)
    host = SimulatedHost(ca)
    lines: list[str] = []
    with pytest.raises(PathError, match=r"revoke\.cmd"):
        host.execute(tmp_path, "revoke.cmd", [], lines.append)
    batch = (
        b'@echo off\r\n"%SystemRoot%\\System32\\certutil.exe" -deleterow 1 > "out.txt" 2>&1\r\necho %ERRORLEVEL%\r\n'
    )
    (tmp_path / "x.cmd").write_bytes(batch)
    assert host.execute(tmp_path, "x.cmd", [], lines.append) == -2147024809
    assert lines == ["-2147024809\n"]
    assert b"no answer to certutil -deleterow 1" in (tmp_path / "out.txt").read_bytes()
    assert ca.calls == []
