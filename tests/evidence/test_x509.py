"""Certificates and CRLs, held against the openssl command."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from carecover.errors import EvidenceError
from carecover.evidence import read, read_certificates, read_crl, verify_signatures
from carecover.evidence.crl import read_list
from carecover.evidence.x509 import sha1_hex
from carecover.model import TABLES, Reading
from tests.evidence.conftest import check

ReadBytes = Callable[[bytes], Reading]
T0 = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ec.derive_private_key(0x1234567, ec.SECP256R1())
OTHER = ec.derive_private_key(0x7654321, ec.SECP256R1())


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def make_certificate(
    *,
    serial: int = 0x14,
    subject: str = "host01",
    issuer: str = "Corp CA",
    key: ec.EllipticCurvePrivateKey = KEY,
    signer: ec.EllipticCurvePrivateKey = KEY,
    is_ca: bool = False,
    version: int | None = None,
) -> bytes:
    builder = (
        x509.CertificateBuilder(name(issuer), name(subject), key.public_key(), serial, T0, T0 + timedelta(days=365))
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if version is not None:
        oid = ObjectIdentifier("1.3.6.1.4.1.311.21.1")
        raw = b"\x02\x03" + version.to_bytes(3, "big")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, raw), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def make_crl(signer: ec.EllipticCurvePrivateKey = KEY, issuer: str = "Corp CA") -> bytes:
    builder = x509.CertificateRevocationListBuilder(name(issuer), T0, T0 + timedelta(days=7))
    builder = builder.add_extension(x509.CRLNumber(2**80), critical=False)
    for serial, reason in ((5, None), (6, x509.ReasonFlags.certificate_hold)):
        entry = x509.RevokedCertificateBuilder(serial, T0)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def pem(der: bytes, label: str = "CERTIFICATE") -> bytes:
    return f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(der) + f"-----END {label}-----\n".encode()


def test_the_forms_of_a_certificate(read_bytes: ReadBytes) -> None:
    der = make_certificate(serial=0x80FF)
    crlf = pem(der).replace(b"\n", b"\r\n")
    for form in (
        der,
        der + b"\n",
        pem(der),
        crlf,
        b"Bag Attributes\n" + pem(der),
        base64.encodebytes(der),
        base64.b64encode(der),
    ):
        reading = read_bytes(form)
        assert reading.kind == "certificate"
        row = reading.tables["certificates"].iloc[0]
        assert row["serial"] == "80ff"
        assert row["der"] == der
        assert not row["from_mail"]
        assert (row["subject"], row["issuer"]) == ("CN=host01", "CN=Corp CA")


def test_several_blocks_and_damaged_ones(read_bytes: ReadBytes) -> None:
    der = make_certificate()
    broken = pem(der)[:-30]
    data = pem(der) + pem(make_crl(), "X509 CRL") + pem(b"0\x03\x02\x01\x05") + pem(b"0\0", "RSA PRIVATE KEY") + broken
    reading = read_bytes(data)
    assert (reading.accounting.parsed, reading.accounting.rejected) == (2, 3)
    assert len(reading.tables["crl_entries"]) == 2


@pytest.mark.parametrize(("number", "reason"), [(0, "positive"), (-5, "positive"), (2**160, "40 hex digits")])
def test_serials_that_no_row_can_hold_are_rejected(read_bytes: ReadBytes, number: int, reason: str) -> None:
    # The builder refuses such numbers: they are patched into the DER, whose signature does not matter here.
    der = bytearray(make_certificate(serial=0x7FFF_FFFF_FFFF if number == 2**160 else 0x14))
    if number == 2**160:
        pytest.importorskip("cryptography")
        raw = (2**160).to_bytes(21, "big")
        at = der.index(b"\x02\x06\x7f\xff\xff\xff\xff\xff")
        inner = bytes(der[:at]) + b"\x02\x15" + raw + bytes(der[at + 8 :])
        grown = bytearray(inner)
        for place in (2, 6):
            size = int.from_bytes(grown[place : place + 2], "big") + 15
            grown[place : place + 2] = size.to_bytes(2, "big")
        der = grown
    else:
        at = der.index(b"\x02\x01\x14")
        der[at + 2] = number & 0xFF
    reading = read_bytes(bytes(der))
    assert reading.accounting.rejected == 1
    assert reason in reading.tables["rejects"]["reason"].iloc[0]


def test_a_crl(tmp_path: Path) -> None:
    path = tmp_path / "a.crl"
    path.write_bytes(make_crl())
    crls, entries = read_crl(path)
    row = crls.iloc[0]
    assert row["crl_number"] == str(2**80)
    assert (row["issuer"], row["is_delta"], row["entries"]) == ("CN=Corp CA", False, 2)
    assert row["next_update"] == T0 + timedelta(days=7)
    assert list(entries["serial"]) == ["05", "06"]
    assert list(entries["reason"]) == [0, 6]
    assert set(entries["crl_sha256"]) == {row["crl_sha256"]}
    (tmp_path / "x").write_bytes(b"\x30\x03\x02\x01\x05")
    with pytest.raises(EvidenceError, match="is not a CRL"):
        read_crl(tmp_path / "x")


# ------------------------------------------------------------------------------------ signatures


def tables(read_bytes: ReadBytes, *ders: bytes) -> pd.DataFrame:
    return read_bytes(b"".join(pem(der) for der in ders)).tables["certificates"]


def test_signatures_are_checked_with_every_key_of_the_ca(read_bytes: ReadBytes) -> None:
    old = make_certificate(serial=1, subject="Corp CA", is_ca=True, version=0)
    new = make_certificate(serial=2, subject="Corp CA", is_ca=True, key=OTHER, signer=OTHER, version=0x10001)
    good = make_certificate(serial=3)
    newer = make_certificate(serial=4, signer=OTHER)
    forged = make_certificate(serial=5, signer=ec.derive_private_key(99, ec.SECP256R1()))
    foreign = make_certificate(serial=6, issuer="Other CA")
    certificates = tables(read_bytes, old, new, good, newer, forged, foreign)
    crls = read_bytes(pem(make_crl(OTHER), "X509 CRL") + pem(make_crl(issuer="X"), "X509 CRL")).tables["crls"]
    for ca_name in ("Corp CA", "corp ca", "!0043orp CA", None):
        checked, lists, own = verify_signatures(certificates, crls, ca_name=ca_name)
        assert list(checked["signed_by_ca"]) == [True, True, True, True, False, False]
        assert list(lists["signed_by_ca"]) == [True, False]
        assert list(own["ca_version"]) == [0, 0x10001]
    assert certificates["signed_by_ca"].isna().all(), "the frame that was handed in is left alone"


def test_without_a_ca_certificate_nothing_is_known(read_bytes: ReadBytes) -> None:
    certificates = tables(read_bytes, make_certificate())
    crls = read_bytes(make_crl()).tables["crls"]
    checked, lists, own = verify_signatures(certificates, crls, ca_name="Corp CA")
    assert checked["signed_by_ca"].isna().all()
    assert lists["signed_by_ca"].isna().all()
    assert own.empty


def test_a_ca_certificate_that_came_by_mail_is_no_ca(read_bytes: ReadBytes) -> None:
    forged_ca = make_certificate(subject="Corp CA", is_ca=True, key=OTHER, signer=OTHER)
    certificates = tables(read_bytes, forged_ca, make_certificate(serial=9, signer=OTHER))
    certificates["from_mail"] = pd.array([True, True], dtype="boolean")
    checked, _, own = verify_signatures(certificates, read_bytes(make_crl()).tables["crls"], ca_name="Corp CA")
    assert own.empty
    assert not checked["signed_by_ca"].fillna(False).any()


def test_sha1_of_an_old_ca_is_read_and_md5_is_not(tmp_path: Path) -> None:
    """A CA of 2008 R2 signed everything over SHA-1; the library checks that no more, openssl does."""
    (tmp_path / "cnf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={tmp_path}/index\ncrlnumber={tmp_path}/number\ndefault_crl_days=7\n"
        f"certificate={tmp_path}/ca.pem\nprivate_key={tmp_path}/ca.key\ncrl_extensions=list\n"
        "[list]\nauthorityKeyIdentifier=keyid\n[req]\ndistinguished_name=name\n[name]\n"
        "[own]\nbasicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\nkeyUsage=keyCertSign,cRLSign\n",
        encoding="ascii",
    )
    cnf, ca, key = (str(tmp_path / name) for name in ("cnf", "ca.pem", "ca.key"))
    (tmp_path / "index").write_bytes(b"")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", ca, "-subj", "/CN=Corp CA",
            "-config", cnf, "-extensions", "own")  # fmt: skip
    openssl("req", "-new", "-key", key, "-out", f"{ca}.csr", "-subj", "/CN=leaf", "-config", cnf)
    own = read(tmp_path / "ca.pem").tables["certificates"]
    for digest, good in (("sha256", True), ("sha1", True), ("md5", False)):
        (tmp_path / "number").write_text("0190", encoding="ascii")
        openssl("ca", "-config", cnf, "-gencrl", "-md", digest, "-out", str(tmp_path / "list.pem"))
        openssl("x509", "-req", "-in", f"{ca}.csr", "-CA", ca, "-CAkey", key, "-set_serial", "7", f"-{digest}",
                "-out", str(tmp_path / "leaf.pem"))  # fmt: skip
        leaf, crls = read(tmp_path / "leaf.pem").tables["certificates"], read(tmp_path / "list.pem").tables["crls"]
        checked, lists, _ = verify_signatures(pd.concat([own, leaf]), crls, ca_name="Corp CA")
        assert list(checked["signed_by_ca"]) == [True, good], digest
        assert list(lists["signed_by_ca"]) == [good], digest
        for table, column in ((crls, 0), (leaf, 1)):
            bent = bytearray(table["der"].iloc[0])
            bent[-1] ^= 1
            wrong = table.assign(der=[bytes(bent)])
            tables_ = (own, wrong) if column == 0 else (pd.concat([own, wrong]), crls)
            assert not verify_signatures(*tables_, ca_name="Corp CA")[1 - column]["signed_by_ca"].iloc[-1]


def test_a_list_with_bytes_behind_it_is_read_and_the_rest_is_told(read_bytes: ReadBytes, tmp_path: Path) -> None:
    """openssl reads it, and so do clients: what it says must not be overlooked."""
    (tmp_path / "a.crl").write_bytes(make_crl() + b"junk")
    assert "BEGIN X509 CRL" in openssl("crl", "-inform", "DER", "-in", str(tmp_path / "a.crl"))
    reading = read_bytes(make_crl() + b"junk")
    assert reading.kind == "crl"
    assert len(reading.tables["crls"]) == 1
    (told,) = reading.tables["rejects"]["reason"]
    assert told.startswith("4 bytes follow the CRL.")


def test_one_key_index_has_one_key(read_bytes: ReadBytes) -> None:
    """A CA renewed with its key has two certificates of one key index: a second key cannot claim it that way."""
    first = make_certificate(serial=1, subject="Corp CA", is_ca=True, version=0)
    renewed = make_certificate(serial=2, subject="Corp CA", is_ca=True, version=1)
    rival = make_certificate(serial=3, subject="Corp CA", is_ca=True, key=OTHER, signer=OTHER, version=1)
    known = make_certificate(serial=4)
    crls = read_bytes(pem(make_crl(), "X509 CRL") + pem(make_crl(OTHER), "X509 CRL")).tables["crls"]

    def checked(*ders: bytes, vouched: bool = False) -> tuple[list[object], list[object]]:
        thumbprints = [sha1_hex(known)] if vouched else []
        table = tables(read_bytes, *ders, known)
        _, lists, own = verify_signatures(table, crls, ca_name="Corp CA", known_thumbprints=thumbprints)
        return list(lists["signed_by_ca"].fillna(value=False)), list(own["serial"])

    assert checked(first, renewed) == ([True, False], ["01", "02"])
    # Two keys, none vouched for: nobody is believed, and a person sees both certificates.
    assert checked(first, rival) == ([False, False], ["01", "03"])
    assert checked(first, rival, vouched=True) == ([True, False], ["01"])


def test_a_key_without_index_cannot_sign_for_a_key_that_has_one(read_bytes: ReadBytes) -> None:
    """The list says for itself of which key it is: that must not be another key than the one that signed it."""
    renewed = make_certificate(serial=2, subject="Corp CA", is_ca=True, version=0x10001)
    rival = make_certificate(serial=3, subject="Corp CA", is_ca=True, key=OTHER, signer=OTHER)
    builder = x509.CertificateRevocationListBuilder(name("Corp CA"), T0, T0 + timedelta(days=7))
    version = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.311.21.1"), b"\x02\x03\x01\x00\x01")
    borrowed = builder.add_extension(version, critical=False).sign(OTHER, hashes.SHA256())
    crls = read_bytes(borrowed.public_bytes(serialization.Encoding.DER)).tables["crls"]
    _, lists, _ = verify_signatures(tables(read_bytes, renewed, rival), crls, ca_name="Corp CA")
    assert list(lists["signed_by_ca"]) == [False]
    _, lists, _ = verify_signatures(tables(read_bytes, rival), crls, ca_name="Corp CA")
    assert list(lists["signed_by_ca"]) == [True]


def test_two_equally_likely_cas_are_not_guessed_between(read_bytes: ReadBytes) -> None:
    one = make_certificate(serial=1, subject="A", issuer="A", is_ca=True)
    two = make_certificate(serial=2, subject="B", issuer="B", is_ca=True)
    empty = read_bytes(make_crl()).tables["crls"].iloc[:0]
    assert verify_signatures(tables(read_bytes, one, two), empty, ca_name=None)[2].empty


# ---------------------------------------------------------------------------------------- corpus


def openssl(*arguments: str) -> str:
    program = shutil.which("openssl")
    if program is None:
        if os.environ.get("CARECOVER_REQUIRE_ALL"):
            pytest.fail("openssl is not at hand")
        pytest.skip("openssl is not at hand")
    run = subprocess.run([program, *arguments], capture_output=True, text=True, check=True, timeout=30)
    return run.stdout


def test_every_file_of_the_corpus_is_accounted_for(corpus: Path) -> None:
    kinds: dict[str, int] = {}
    for path in sorted((corpus / "certs").iterdir()):
        reading = read(path)
        check(reading)
        kinds[reading.kind] = kinds.get(reading.kind, 0) + 1
    assert kinds["certificate"] > 250
    assert kinds["crl"] > 150


def _moment(text: str) -> datetime:
    return datetime.strptime(" ".join(text.split()), "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)


def test_certificates_of_the_corpus_against_openssl(corpus: Path) -> None:
    checked = 0
    for path in [
        *sorted((corpus / "certs").glob("pkits__*.crt"))[::3],
        corpus / "certs" / "pyca__ms-certificate-template.pem",
    ]:
        row = read_certificates(path)
        if row.empty:
            continue
        form = "PEM" if path.suffix == ".pem" else "DER"
        out = openssl("x509", "-inform", form, "-in", str(path), "-noout", "-serial", "-dates", "-fingerprint", "-sha1")
        fields = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
        assert int(row["serial"].iloc[0], 16) == int(fields["serial"], 16)
        assert (
            row["thumbprint"].iloc[0]
            == next(v for k, v in fields.items() if "ingerprint" in k).replace(":", "").lower()
        )
        assert row["not_before"].iloc[0] == _moment(fields["notBefore"])
        assert row["not_after"].iloc[0] == _moment(fields["notAfter"])
        checked += 1
    assert checked > 25
    assert row["template"].iloc[0] == "1.2.3.4.5.6.7.8.9.0"


def test_crls_of_the_corpus_against_openssl(corpus: Path) -> None:
    checked = 0
    for path in sorted((corpus / "certs").glob("*.crl"))[::4]:
        reading = read(path)
        if reading.kind != "crl" or reading.accounting.parsed != 1:
            continue
        crls, entries = reading.tables["crls"], reading.tables.get("crl_entries")
        form = "PEM" if path.read_bytes().lstrip().startswith(b"-") else "DER"
        out = openssl("crl", "-inform", form, "-in", str(path), "-noout", "-text")
        serials = re.findall(r"Serial Number: ([0-9A-F]+)$", out, re.MULTILINE)
        found = [] if entries is None else list(entries["serial"])
        assert [int(s, 16) for s in found if isinstance(s, str)] == [int(s, 16) for s in serials if int(s, 16)]
        assert crls["this_update"].iloc[0] == _moment(re.search(r"Last Update: (.*)", out)[1])  # type: ignore[index]
        checked += 1
    assert checked > 20


def test_microsoft_crls_of_the_corpus(corpus: Path) -> None:
    rows = [
        read_crl(path)[0].iloc[0] for path in sorted((corpus / "certs").glob("msca__*.crl")) if read(path).kind == "crl"
    ]
    assert rows
    assert all(not pd.isna(row["next_publish"]) and row["next_publish"] > row["this_update"] for row in rows)
    assert all(not pd.isna(row["ca_version"]) for row in rows)


# ------------------------------------------------------------------------------- what a list says


def library_entries(der: bytes) -> list[tuple[int, datetime, x509.ReasonFlags | None]]:
    """Serial, date and reason of each entry, by the library's own slow way."""
    found = []
    for entry in x509.load_der_x509_crl(der):
        reason = None
        for extension in entry.extensions:
            if isinstance(extension.value, x509.CRLReason):
                reason = extension.value.reason
        found.append((entry.serial_number, entry.revocation_date_utc, reason))
    return found


def test_entries_are_what_the_library_says(corpus: Path) -> None:
    """The entries are taken from the bytes in one pass; the library, asked for each, says the same."""
    checked = 0
    for path in sorted((corpus / "certs").iterdir()):
        tables = read(path).tables
        if "crls" not in tables or len(tables["crls"]) != 1:
            continue
        try:
            expected = library_entries(tables["crls"]["der"].iloc[0])
        except (ValueError, x509.DuplicateExtension):
            continue
        entries = tables.get("crl_entries", TABLES["crl_entries"].empty())
        assert len(entries) == len(expected) == tables["crls"]["entries"].iloc[0]
        for row, (serial, date, reason) in zip(entries.to_dict("records"), expected, strict=True):
            assert row["serial"] == (
                f"{serial:x}".zfill(len(f"{serial:x}") + len(f"{serial:x}") % 2) if serial > 0 else None
            )
            assert row["revoked_at"] == date
            assert (row["reason"] == 0) == (reason in (None, x509.ReasonFlags.unspecified))
        checked += len(expected)
    assert checked > 5_000


@given(
    st.lists(st.tuples(st.integers(1, 2**159), st.integers(0, 10**9), st.sampled_from([None, *x509.ReasonFlags]))),
    st.booleans(),
)
@settings(deadline=None)
def test_any_entries_are_what_the_library_says(
    entries: list[tuple[int, int, x509.ReasonFlags | None]], late: bool
) -> None:
    builder = x509.CertificateRevocationListBuilder(name("Corp CA"), T0, T0 + timedelta(days=7))
    for serial, seconds, reason in entries:
        date = (datetime(2055 if late else 2001, 1, 1, tzinfo=UTC)) + timedelta(seconds=seconds % 10**8)
        entry = x509.RevokedCertificateBuilder(serial, date)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        if seconds % 3 == 0:
            entry = entry.add_extension(x509.InvalidityDate(T0 + timedelta(seconds=seconds)), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    der = builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    parsed = read_list(der)
    assert dict(parsed.rows)["crls"]["entries"] == len(entries)
    found = [
        (int(serial, 16), datetime.fromtimestamp(at / 1e6, UTC))
        for _, batch in parsed.columns
        for serial, at in zip(batch["serial"].to_pylist(), batch["revoked_at"], strict=True)
    ]
    assert found == [each[:2] for each in library_entries(der)]


def test_a_list_of_many_entries_is_read_in_batches(read_bytes: ReadBytes) -> None:
    count = 70_000
    entry = b"\x30\x16\x02\x05\x44%b\x17\x0d260101000000Z"
    body = b"".join(entry % n.to_bytes(4, "big") for n in range(count))

    def tlv(tag: int, content: bytes) -> bytes:
        size = len(content)
        if size < 0x80:
            return bytes([tag, size]) + content
        octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
        return bytes([tag, 0x80 | len(octets)]) + octets + content

    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    time_ = b"\x17\x0d260101000000Z"
    tbs = tlv(0x30, b"\x02\x01\x01" + algorithm + name("Corp CA").public_bytes() + time_ + time_ + tlv(0x30, body))
    der = tlv(0x30, tbs + algorithm + tlv(0x03, b"\0" + KEY.sign(tbs, ec.ECDSA(hashes.SHA256()))))
    reading = read_bytes(der)
    entries = reading.tables["crl_entries"]
    assert len(entries) == reading.tables["crls"]["entries"].iloc[0] == count
    assert entries["serial"].iloc[-1] == f"44{count - 1:08x}"
    assert entries["serial"].is_unique
    assert (entries["revoked_at"] == T0).all()


def test_where_a_list_is_published_and_what_it_is_limited_to(read_bytes: ReadBytes) -> None:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier("http://a/ca+.crl")], None, None, None)
    published = x509.CRLDistributionPoints(
        [x509.DistributionPoint([x509.UniformResourceIdentifier("ldap:///CN=CA")], None, None, None)]
    ).public_bytes()
    builder = (
        x509.CertificateRevocationListBuilder(name("Corp CA"), T0, T0 + timedelta(days=7))
        .add_extension(
            x509.IssuingDistributionPoint(
                [x509.UniformResourceIdentifier("http://a/ca.crl")], None, False, True, None, False, False
            ),
            critical=True,
        )
        .add_extension(x509.FreshestCRL([point]), critical=False)
        .add_extension(x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.311.21.14"), published), critical=False)
        .add_extension(x509.UnrecognizedExtension(ObjectIdentifier("1.2.3"), b"\5\0"), critical=True)
    )
    row = read_bytes(builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)).tables["crls"].iloc[0]
    assert row["scope"] == ["ca_certificates"]
    assert row["unknown_critical"] == ["1.2.3"]
    assert row["point_urls"] == ["http://a/ca.crl"]
    assert row["urls"] == ["http://a/ca.crl", "ldap:///CN=CA"]
    assert row["delta_urls"] == ["http://a/ca+.crl"]


def test_where_a_certificate_says_to_ask(corpus: Path) -> None:
    row = read_certificates(corpus / "certs" / "C2SP__cryptography.io.pem").iloc[0]
    assert all(url.startswith("http") for url in [*row["crl_urls"], *row["ocsp_urls"]])
    assert read_certificates(corpus / "certs" / "pyca__aia_ocsp.pem").iloc[0]["ocsp_urls"] == ["http://ocsp.domain.com"]


def test_the_key_that_signed_is_named_not_the_key_that_a_list_claims(read_bytes: ReadBytes) -> None:
    old = make_certificate(serial=1, subject="Corp CA", is_ca=True, version=0)
    new = make_certificate(serial=2, subject="Corp CA", is_ca=True, key=OTHER, signer=OTHER, version=0x10001)
    crls = read_bytes(pem(make_crl(OTHER), "X509 CRL") + pem(make_crl(), "X509 CRL")).tables["crls"]
    lists = verify_signatures(tables(read_bytes, old, new), crls, ca_name="Corp CA")[1]
    assert list(lists["signer_key_index"]) == [1, 0]


def test_a_version_that_does_not_exist_is_no_traceback(read_bytes: ReadBytes) -> None:
    der = make_crl()
    at = der.index(b"\x02\x01\x01")
    reading = read_bytes(der[:at] + b"\x02\x01\x21" + der[at + 3 :])
    assert reading.accounting.rejected == 1


def test_a_list_that_is_cut_off_says_so(read_bytes: ReadBytes) -> None:
    reading = read_bytes(make_crl()[:-20])
    assert "cut off: 20 bytes are missing" in reading.tables["rejects"]["reason"].iloc[0]


def test_nothing_to_verify_keeps_every_column() -> None:
    empty = TABLES["certificates"].empty(), TABLES["crls"].empty()
    certificates, crls, own = verify_signatures(*empty, ca_name=None)
    assert list(own.columns) == list(empty[0].columns)
    assert len(certificates) == len(crls) == len(own) == 0
