"""PKCS #7, and every other wrapping that certificates and CRLs come in; openssl made or judges what it can."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7 as library
from cryptography.x509 import load_der_x509_certificate
from hypothesis import given, settings
from hypothesis import strategies as st

from carecover.evidence import pkcs7, read
from carecover.evidence.x509 import certificate_row, sha1_hex, what_it_holds
from carecover.model import Reading
from tests.evidence.conftest import check
from tests.evidence.test_x509 import KEY, make_certificate, make_crl, openssl, pem

ReadBytes = Callable[[bytes], Reading]
ONE, TWO, LIST = make_certificate(serial=0x14), make_certificate(serial=0x15), make_crl()


def bag(tmp_path: Path, *certificates: bytes, lists: bytes = b"", form: str = "DER") -> bytes:
    """A certs-only PKCS #7, by openssl."""
    made, arguments = tmp_path / "made.p7b", []
    (tmp_path / "certificates.pem").write_bytes(b"".join(map(pem, certificates)))
    (tmp_path / "list.pem").write_bytes(pem(lists, "X509 CRL") if lists else b"")
    arguments += ["-certfile", str(tmp_path / "certificates.pem")] if certificates else []
    arguments += ["-in", str(tmp_path / "list.pem")] if lists else ["-nocrl"]
    openssl("crl2pkcs7", *arguments, "-outform", form, "-out", str(made))
    return made.read_bytes()


def prints(reading: Reading) -> list[str]:
    return [] if "certificates" not in reading.tables else list(reading.tables["certificates"]["thumbprint"])


@pytest.mark.parametrize("form", ["DER", "PEM"])
def test_a_bag_gives_all_that_is_in_it(tmp_path: Path, read_bytes: ReadBytes, form: str) -> None:
    reading = read_bytes(bag(tmp_path, ONE, TWO, lists=LIST, form=form))
    assert reading.kind == "certificate"
    assert sorted(prints(reading)) == sorted(map(sha1_hex, (ONE, TWO)))
    assert len(reading.tables["crls"]) == 1
    assert len(reading.tables["crl_entries"]) == 2
    assert (reading.accounting.units, reading.accounting.parsed) == (3, 3)
    assert set(reading.tables["certificates"]["location"]) == {"byte 0, certificate 1", "byte 0, certificate 2"}


def test_a_bag_of_lists_alone_is_a_crl_and_an_empty_one_is_irrelevant(tmp_path: Path, read_bytes: ReadBytes) -> None:
    assert read_bytes(bag(tmp_path, lists=LIST)).kind == "crl"
    assert read_bytes(bag(tmp_path)).accounting.irrelevant == 1


def test_a_signed_message_in_ber_gives_its_signers_certificate(read_bytes: ReadBytes) -> None:
    """openssl streams with indefinite lengths; a mail's signature is such a bag."""
    signed = (
        library.PKCS7SignatureBuilder()
        .set_data(b"hello")
        .add_signer(load_der_x509_certificate(ONE), KEY, hashes.SHA256())
        .sign(serialization.Encoding.DER, [])
    )
    assert prints(read_bytes(signed)) == [sha1_hex(ONE)]


def test_indefinite_lengths_around_the_certificates(read_bytes: ReadBytes) -> None:
    oid = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
    inner = b"\x02\x01\x01\x31\x00\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\x00\x00"
    stuff = inner + b"\xa0\x80" + ONE + TWO + b"\0\0" + b"\x31\x00"
    data = b"\x30\x80" + oid + b"\xa0\x80\x30\x80" + stuff + b"\0\0" * 3
    assert prints(read_bytes(data)) == [sha1_hex(ONE), sha1_hex(TWO)]
    cut = read_bytes(data[:-5])
    assert cut.accounting.rejected == 1


def test_layers_without_end_and_bags_in_bags_are_bounded(tmp_path: Path, read_bytes: ReadBytes) -> None:
    deep = b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02" + b"\xa0\x80" * 100_000
    assert read_bytes(deep).accounting.rejected == 1
    data = bag(tmp_path, ONE)
    assert data.count(ONE) == 1
    with pytest.raises(ValueError, match="damaged"):
        list(pkcs7.items(b"\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"))


def test_what_is_encrypted_is_told(read_bytes: ReadBytes) -> None:
    body = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x00"
    reading = read_bytes(bytes([0x30, len(body)]) + body)
    assert "enveloped data" in reading.tables["rejects"]["reason"].iloc[0]


# ----------------------------------------------------------------------------------- other wrappings


@pytest.mark.parametrize("width", [None, 64, 76])
@pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-16-le", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_bare_base64_of_several(read_bytes: ReadBytes, width: int | None, encoding: str, newline: str) -> None:
    """One after the other, as scripts write them; each says itself how long it is."""
    made = []
    for der in (ONE, LIST, TWO):
        plain = base64.b64encode(der).decode()
        made += [plain] if width is None else [plain[at : at + width] for at in range(0, len(plain), width)]
    reading = read_bytes(newline.join([*made, ""]).encode(encoding))
    assert prints(reading) == [sha1_hex(ONE), sha1_hex(TWO)]
    assert len(reading.tables["crls"]) == 1
    assert reading.accounting.units == 3


@pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-16-be"])
def test_pem_in_any_encoding_says_where_it_stands(read_bytes: ReadBytes, encoding: str) -> None:
    text = "subject=CN = é\r\n" if encoding != "ascii" else "subject=CN = e\r\n"
    data = (text + pem(ONE).decode() + pem(TWO).decode()).encode(encoding)
    reading = read_bytes(data)
    assert prints(reading) == [sha1_hex(ONE), sha1_hex(TWO)]
    place = int(reading.tables["certificates"]["location"].iloc[1].removeprefix("byte "))
    assert data[place:].startswith("-----BEGIN".encode("utf-16-be" if "be" in encoding else "utf-16-le")) or (
        encoding == "ascii" and data[place:].startswith(b"-----BEGIN")
    )


@pytest.mark.parametrize(
    ("label", "der"),
    [
        ("X509 CERTIFICATE", ONE),
        ("CERTIFICATE", LIST),
        ("X509 CRL", ONE),
        ("PKCS7", ONE),
        ("SOMETHING", TWO),
    ],
)
def test_a_label_is_not_believed(read_bytes: ReadBytes, label: str, der: bytes) -> None:
    """certutil -encode writes "CERTIFICATE" above whatever it is given."""
    reading = read_bytes(pem(der, label))
    assert reading.accounting.parsed == 1
    assert ("crls" if der is LIST else "certificates") in reading.tables


def test_certutil_encode_of_a_bag(tmp_path: Path, read_bytes: ReadBytes) -> None:
    assert prints(read_bytes(pem(bag(tmp_path, ONE, TWO)))) != []


def test_a_trusted_certificate_of_openssl(tmp_path: Path, read_bytes: ReadBytes) -> None:
    (tmp_path / "a.pem").write_bytes(pem(ONE))
    text = openssl("x509", "-in", str(tmp_path / "a.pem"), "-addtrust", "clientAuth", "-trustout")
    assert "BEGIN TRUSTED" in text
    reading = read_bytes(text.encode())
    assert prints(reading) == [sha1_hex(ONE)]
    assert reading.accounting.units == 1


def test_der_behind_der_and_bytes_behind_that(read_bytes: ReadBytes) -> None:
    reading = read_bytes(ONE + TWO + b"\r\n" + LIST + b"\0\0")
    assert (reading.kind, reading.accounting.parsed, reading.accounting.units) == ("certificate", 3, 3)
    reading = read_bytes(ONE + b"junk")
    assert (reading.accounting.parsed, reading.accounting.rejected) == (1, 1)
    assert reading.tables["rejects"]["reason"].iloc[0].startswith("4 bytes follow the certificate.")


def test_a_block_without_its_end_is_whole_where_its_der_is(read_bytes: ReadBytes) -> None:
    whole = pem(ONE).split(b"-----END")[0]
    assert prints(read_bytes(whole)) == [sha1_hex(ONE)]
    assert read_bytes(whole[:-40]).accounting.rejected == 1
    mixed = pem(ONE, "X509 CERTIFICATE").replace(b"END X509 ", b"END ")
    assert prints(read_bytes(mixed)) == [sha1_hex(ONE)]


def test_real_bags_and_damaged_certificates(corpus: Path) -> None:
    chain = read(corpus / "certs" / "dotnet__certchain.p7c")
    assert (chain.kind, chain.accounting.parsed, chain.accounting.units) == ("certificate", 3, 3)
    assert read(corpus / "certs" / "dotnet__empty.p7c").accounting.irrelevant == 1
    for name in ("bcgit__SignedData_ML-DSA-44.pem", "bcgit__SignedData_ML-DSA-87.pem"):
        check(reading := read(corpus / "certs" / name))
        assert reading.accounting.rejected == 0
    told = read(corpus / "certs" / "bcgit__DianeDSSSignByCarlInherit.cer")
    assert told.kind == "certificate"
    reason = told.tables["rejects"]["reason"].iloc[0]
    assert reason.startswith("It is not a well-formed X.509 certificate: ")
    assert "ParseError" not in reason


def test_certificates_of_the_corpus_are_told_by_its_structure(corpus: Path) -> None:
    """The structure alone says what the library finds when it reads the whole."""
    told = 0
    for path in sorted((corpus / "certs").iterdir())[::5]:
        reading = read(path)
        for der in reading.tables["certificates"]["der"] if "certificates" in reading.tables else ():
            assert what_it_holds(der) == "certificate"
            told += 1
    assert told > 50


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_bent_bags_are_told(data: st.DataObject) -> None:
    oid = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
    inner = b"\x02\x01\x01\x31\x00\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
    stuff = b"\x30\x80" + inner + b"\xa0\x80" + ONE + b"\0\0" + b"\x31\x00\0\0"
    whole = bytearray(b"\x30\x80" + oid + b"\xa0\x80" + stuff + b"\0\0" * 2)
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    bent = bytes(whole[: data.draw(st.integers(1, len(whole)))])
    if pkcs7.content_type(bent) != "signed data":
        return
    with contextlib.suppress(ValueError):
        # A bent length may still give items: no other error, and no more bytes than there are.
        assert sum(len(item.der) for item in pkcs7.items(bent)) <= len(bent)


@pytest.mark.parametrize("der", [b"\x30\x03\x02\x01", b"\x30\x00", b"\x30\x03\x02\x01\x05", make_certificate()[:-1]])
def test_what_the_library_says_of_a_damaged_certificate_is_a_sentence(der: bytes) -> None:
    with pytest.raises(ValueError, match=r"^It is not a well-formed X\.509 certificate: [a-z ]+( in \w[\w:]*)?\.$"):
        certificate_row(der)


def test_a_certificate_that_is_refused_shows_its_serial(corpus: Path, read_bytes: ReadBytes) -> None:
    """A person can look for it in the database all the same."""
    path = corpus / "certs" / "zlint__subjectCommonNamePrintableStringBadAlpha.pem"
    text = openssl("x509", "-in", str(path), "-noout", "-serial").strip().removeprefix("serial=").lower()
    reason = read(path).tables["rejects"]["reason"].iloc[0]
    assert f"Its serial number reads {text}:" in reason
    broken = bytearray(ONE)
    at = broken.index(b"\x06\x03\x55\x04\x03")
    broken[at + 5] = 0x1F
    assert "reads 14:" in read_bytes(bytes(broken)).tables["rejects"]["reason"].iloc[0]
    assert "reads" not in read_bytes(pem(b"0\x03\x02\x01\x05")).tables["rejects"]["reason"].iloc[0]
