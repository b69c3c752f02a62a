"""The simulated authority signs what openssl accepts, and numbers as Microsoft's CA does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from carecover.errors import UsageError
from carecover.model import SerialNumber
from carecover.simulator.authority import (
    CA_VERSION,
    ENROLL_CERTTYPE,
    Authority,
    CrlEntry,
    HighSerial,
    SerialLayout,
    Template,
    der,
    stays_on_crl,
    thumbprint,
)
from tests.simulator.conftest import OpenSsl

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Issuing CA")])
SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host.corp.example")])
SERVER = Template("WebServer", "Web Server", None, timedelta(days=365), ("1.3.6.1.5.5.7.3.1",))
USER = Template("User2", "User 2", "1.3.6.1.4.1.311.21.8.1.2.3", timedelta(days=365), ("1.3.6.1.5.5.7.3.2",))


def an_authority(layout: SerialLayout = "number", seed: int = 7) -> Authority:
    authority = Authority(seed, NAME, HighSerial.of(layout, seed), "http://pki.corp.example")
    authority.renew(START, START + timedelta(days=3650))
    return authority


def a_certificate(
    authority: Authority, request_id: int = 85, template: Template = SERVER, index: int | None = None
) -> x509.Certificate:
    return authority.issue(
        authority.serial_for(request_id, ca_cert_index=index),
        subject=SUBJECT,
        template=template,
        not_before=START,
        not_after=START + template.validity,
        alternative_names=[x509.DNSName("host.corp.example")],
        ca_cert_index=index,
    )


@pytest.mark.parametrize(
    ("first", "becomes"),
    [(0x00, 0x61), (0x05, 0x15), (0x80, 0x61), (0x85, 0x15), (0x8F, 0x1F), (0x9A, 0x1A), (0xFF, 0x7F), (0x44, 0x44)],
)
def test_the_first_byte_of_a_serial_follows_microsofts_rule(first: int, becomes: int) -> None:
    serial = HighSerial("string", bytes([first, 0xAB])).serial(85, 1, bytes(8))
    assert serial.text == f"{becomes:02x}ab000100000055"


@given(
    st.sampled_from(["default", "number", "string", "generated_string"]),
    st.integers(0, 1 << 40),
    st.integers(1, (1 << 31) - 1),
    st.integers(0, 4095),
    st.binary(min_size=8, max_size=8),
)
def test_every_native_serial_tells_its_request_and_its_ca_certificate(
    layout: SerialLayout, seed: int, request_id: int, index: int, random: bytes
) -> None:
    serial = HighSerial.of(layout, seed).serial(request_id, index, random)
    anatomy = serial.anatomy
    raw = bytes.fromhex(serial.text)
    assert 0x10 <= raw[0] < 0x80
    assert int.from_bytes(raw[-4:], "big") == request_id
    assert int.from_bytes(raw[-6:-4], "big") == index
    sizes = {"default": {10}, "number": {19}, "string": set(range(10, 20)), "generated_string": {14}}
    assert len(raw) in sizes[layout]
    if layout in ("default", "number", "generated_string"):
        assert anatomy.layout == layout.removeprefix("generated_")
        assert (anatomy.request_id, anatomy.ca_cert_index) == (request_id, index)


def test_a_string_layout_gives_a_restored_ca_the_same_serial_again() -> None:
    again: dict[SerialLayout, bool] = {
        "string": True,
        "generated_string": True,
        "default": False,
        "number": False,
    }
    for layout, same in again.items():
        authority = an_authority(layout)
        assert (authority.serial_for(9, life="first") == authority.serial_for(9, life="restored")) is same


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(UsageError, match="no serial layout"):
        HighSerial.of("octal", 1)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    assert der(a_certificate(an_authority())) == der(a_certificate(an_authority()))
    assert der(a_certificate(an_authority())) != der(a_certificate(an_authority(seed=8)))


def test_openssl_reads_and_verifies_a_certificate(openssl: OpenSsl, tmp_path: Path) -> None:
    authority = an_authority()
    certificate = a_certificate(authority)
    (tmp_path / "leaf.der").write_bytes(der(certificate))
    (tmp_path / "leaf.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "ca.pem").write_bytes(authority.certificates[0].public_bytes(Encoding.PEM))
    shown = openssl(["x509", "-inform", "der", "-in", tmp_path / "leaf.der", "-noout", "-serial", "-fingerprint"])
    assert f"serial={authority.serial_for(85).text.upper()}" in shown.stdout
    assert thumbprint(der(certificate)).upper() in shown.stdout.replace(":", "")
    at = str(int(START.timestamp()) + 3600)
    verified = openssl(["verify", "-attime", at, "-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem"])
    assert verified.returncode == 0, verified.stderr


def test_the_template_is_named_by_name_in_version_1_and_by_oid_later() -> None:
    authority = an_authority()
    old = a_certificate(authority, template=SERVER).extensions.get_extension_for_oid(ENROLL_CERTTYPE).value
    assert isinstance(old, x509.UnrecognizedExtension)
    assert old.value[2:].decode("utf-16-be") == "WebServer"
    new = a_certificate(authority, template=USER).extensions
    oid = new.get_extension_for_oid(ExtensionOID.MS_CERTIFICATE_TEMPLATE).value
    assert isinstance(oid, x509.MSCertificateTemplate)
    assert oid.template_id.dotted_string == USER.oid


def test_renewals_count_certificates_and_keys(openssl: OpenSsl, tmp_path: Path) -> None:
    authority = an_authority()
    authority.renew(START, START + timedelta(days=4000), new_key=False)
    authority.renew(START, START + timedelta(days=4000))
    assert authority.key_index == [0, 0, 1]
    assert list(authority.keys) == [0, 1]
    assert [authority.issuer_name_id(i) for i in range(3)] == [0, 1, 1 << 16 | 2]
    versions = [c.extensions.get_extension_for_oid(CA_VERSION).value for c in authority.certificates]
    assert [v.value for v in versions if isinstance(v, x509.UnrecognizedExtension)] == [
        bytes.fromhex("020100"),
        bytes.fromhex("020101"),
        bytes.fromhex("0203010002"),
    ]
    (tmp_path / "new.pem").write_bytes(authority.certificates[2].public_bytes(Encoding.PEM))
    (tmp_path / "leaf.pem").write_bytes(a_certificate(authority).public_bytes(Encoding.PEM))
    (tmp_path / "old.pem").write_bytes(a_certificate(authority, index=1).public_bytes(Encoding.PEM))
    at = str(int(START.timestamp()) + 3600)
    check: list[str | Path] = ["verify", "-attime", at, "-CAfile", tmp_path / "new.pem"]
    assert openssl([*check, tmp_path / "leaf.pem"]).returncode == 0
    assert openssl([*check, tmp_path / "old.pem"]).returncode != 0


def test_openssl_sees_what_a_crl_revokes(openssl: OpenSsl, tmp_path: Path) -> None:
    authority = an_authority()
    entries = [CrlEntry(authority.serial_for(n), START + timedelta(hours=n), n % 7) for n in range(1, 15) if n % 7 != 2]
    crl = authority.sign_crl(
        entries,
        number=41,
        this_update=START + timedelta(days=1),
        next_update=START + timedelta(days=8),
        next_publish=START + timedelta(days=7),
    )
    (tmp_path / "last.crl").write_bytes(crl.public_bytes(Encoding.PEM))
    (tmp_path / "ca.pem").write_bytes(authority.certificates[0].public_bytes(Encoding.PEM))
    assert (
        "verify OK" in openssl(["crl", "-in", tmp_path / "last.crl", "-CAfile", tmp_path / "ca.pem", "-noout"]).stderr
    )
    number = openssl(["crl", "-in", tmp_path / "last.crl", "-noout", "-crlnumber"]).stdout
    assert number.strip() == "crlNumber=0x29"
    at = str(int((START + timedelta(days=2)).timestamp()))
    for request_id, revoked in ((4, True), (9, False)):
        leaf = tmp_path / f"{request_id}.pem"
        leaf.write_bytes(a_certificate(authority, request_id).public_bytes(Encoding.PEM))
        files: list[str | Path] = ["-CAfile", tmp_path / "ca.pem", "-CRLfile", tmp_path / "last.crl", leaf]
        result = openssl(["verify", "-crl_check", "-attime", at, *files])
        assert (result.returncode != 0) is revoked, result.stderr
        assert ("certificate revoked" in result.stderr) is revoked


def test_reason_zero_is_written_without_a_reason_code() -> None:
    authority = an_authority()
    crl = authority.sign_crl(
        [CrlEntry(SerialNumber(5), START, 0), CrlEntry(SerialNumber(6), START, 6)],
        number=1,
        this_update=START,
        next_update=START + timedelta(days=1),
        next_publish=START + timedelta(days=1),
    )
    silent, held = crl.get_revoked_certificate_by_serial_number(5), crl.get_revoked_certificate_by_serial_number(6)
    assert silent is not None
    assert held is not None
    assert not list(silent.extensions)
    assert held.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.certificate_hold


def test_a_delta_crl_names_its_base() -> None:
    crl = an_authority().sign_crl(
        [],
        number=42,
        base_number=41,
        this_update=START,
        next_update=START + timedelta(days=1),
        next_publish=START + timedelta(days=1),
    )
    indicator = crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert indicator.critical
    assert indicator.value.crl_number == 41


def test_an_expired_certificate_stays_for_one_more_base_crl() -> None:
    published = START + timedelta(days=7)
    assert stays_on_crl(published + timedelta(seconds=1), published)
    assert not stays_on_crl(published - timedelta(seconds=1), published)
    assert stays_on_crl(START, None)


def test_a_dummy_carries_the_serial_and_nothing_of_the_certificate() -> None:
    authority = an_authority()
    dummy = authority.sign_dummy(authority.serial_for(85), not_before=START, not_after=START + timedelta(days=7))
    dummy.verify_directly_issued_by(authority.certificates[0])
    assert dummy.serial_number == authority.serial_for(85).value
    assert dummy.subject == NAME
    assert not list(dummy.extensions)
