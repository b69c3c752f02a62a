"""LDIF, ldapsearch, ldifde, csvde: real exports, every dialect, and what must not be followed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import ldif, read, read_certificates
from carecover.evidence.x509 import sha1_hex
from carecover.model import Reading
from tests.evidence.conftest import check
from tests.evidence.test_pkcs7 import bag, prints
from tests.evidence.test_x509 import make_certificate, make_crl, openssl

ReadBytes = Callable[[bytes], Reading]
ONE, TWO, LIST = make_certificate(serial=0x14), make_certificate(serial=0x15), make_crl()


def folded(line: str, width: int = 76, *, fold: str = "\n ") -> str:
    """A line as RFC 2849 folds it."""
    return fold.join([line[:width], *(line[at : at + width - 1] for at in range(width, len(line), width - 1))]) + "\n"


def of(der: bytes, name: str = "userCertificate", width: int = 76) -> str:
    return folded(f"{name}:: {base64.b64encode(der).decode()}", width)


def text(reading: Reading) -> str:
    return str(reading.tables["rejects"]["reason"].iloc[0])


def test_a_real_administrator_has_two_certificates(corpus: Path, tmp_path: Path) -> None:
    path = corpus / "ldif" / "ad_ldapsearch__HTB-SIZZLE_Administrator_multivalue.ldif"
    reading = read(path)
    check(reading)
    table = reading.tables["certificates"]
    # By eye: the serials stand behind "AgIT" in the base64.
    assert list(table["serial"]) == [
        "6900000010" + "55a0e30c8381641200000000" + "0010",
        "6900000004" + "17ba696012d01fde00000000" + "0004",
    ]
    assert list(table["location"]) == ["line 17, record 1, userCertificate 1", "line 45, record 1, userCertificate 2"]
    assert (reading.kind, reading.accounting.units, reading.accounting.parsed) == ("ldif", 2, 2)
    (tmp_path / "one.der").write_bytes(table["der"].iloc[0])
    assert "HTB-SIZZLE-CA" in openssl("x509", "-inform", "DER", "-in", str(tmp_path / "one.der"), "-noout", "-issuer")
    assert list(read_certificates(path)["serial"]) == list(table["serial"])


def test_real_exports_without_certificates_are_irrelevant(corpus: Path) -> None:
    for path in sorted((corpus / "ldif").glob("*.ld*f")):
        reading = read(path)
        check(reading)
        assert reading.kind == "ldif", path.name
        if "HTB" not in path.name:
            assert reading.accounting.irrelevant == reading.accounting.units == 1, path.name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_one_record_of_everything(read_bytes: ReadBytes, encoding: str, newline: str) -> None:
    export = (
        "version: 1\n# extended LDIF\n#\n"
        "dn:: " + base64.b64encode("CN=Jürgen,DC=ö".encode()).decode() + "\n"
        "cn: Jürgen\n"
        + of(ONE, "userCertificate;binary")
        + of(TWO, "USERCERTIFICATE", width=40)
        + "description: userCertificate:: AAAA\n\n"
        "dn: CN=Corp CA\n"
        + of(ONE, "cACertificate")
        + of(LIST, "certificateRevocationList;binary")
        + "deltaRevocationList:: AA==\n"
        "\n# search reference\nref: ldap://x/DC=x\n\n# search result\nsearch: 2\nresult: 0 Success\n"
    )
    reading = read_bytes(export.replace("\n", newline).encode(encoding))
    assert reading.kind == "ldif"
    assert prints(reading) == [sha1_hex(ONE), sha1_hex(TWO), sha1_hex(ONE)]
    assert len(reading.tables["crl_entries"]) == 2
    assert (reading.accounting.parsed, reading.accounting.irrelevant, reading.accounting.units) == (4, 1, 5)
    assert list(reading.tables["certificates"]["location"].str.partition(", ")[2]) == [
        "record 1, userCertificate 1",
        "record 1, userCertificate 2",
        "record 2, cACertificate 1",
    ]


@pytest.mark.parametrize("width", range(18, 30))
def test_a_fold_may_leave_one_sign(read_bytes: ReadBytes, width: int) -> None:
    padded = next(
        der for serial in range(256, 556) if (der := make_certificate(serial=2**16 + serial)) and len(der) % 3 == 1
    )
    assert prints(read_bytes(("dn: cn=x\n" + of(padded, width=width)).encode())) == [sha1_hex(padded)]


def test_a_copy_that_lost_the_blanks_of_its_folds(read_bytes: ReadBytes) -> None:
    copied = "dn: cn=x\n" + of(ONE).replace("\n ", "\n") + "objectClass: top\n"
    assert prints(read_bytes(copied.encode())) == [sha1_hex(ONE)]


def test_changes_count_as_what_they_change(read_bytes: ReadBytes) -> None:
    export = "dn: cn=x\nchangetype: modify\nadd: userCertificate\n" + of(ONE) + "-\ndelete: userCertificate\n" + of(TWO)
    assert prints(read_bytes((export + "-\n").encode())) == [sha1_hex(ONE), sha1_hex(TWO)]


def test_a_value_in_another_file_is_never_followed(read_bytes: ReadBytes, tmp_path: Path) -> None:
    other = tmp_path / "other.der"
    other.write_bytes(ONE)
    reading = read_bytes(f"dn: cn=x\nuserCertificate;binary:< {other.as_uri()}\n".encode())
    assert reading.accounting.rejected == reading.accounting.units == 1
    assert "not followed" in text(reading)
    assert str(tmp_path) not in str(reading.tables)


@pytest.mark.parametrize(
    "value", [": {Certificate}", ": <ldp: Binary blob 1532 bytes>", ":: {Base64}", ":: MII", ": CN=x", ": MIIB"]
)
def test_a_placeholder_is_told(read_bytes: ReadBytes, value: str) -> None:
    reading = read_bytes(f"dn: cn=x,{{ConfigNC}}\nuserCertificate{value}\n".encode())
    assert reading.accounting.rejected == reading.accounting.units == 1


@pytest.mark.parametrize("form", ["hex", "escaped", "base64"])
def test_bytes_written_otherwise(read_bytes: ReadBytes, form: str) -> None:
    written = {
        "hex": ONE.hex(),
        "escaped": "".join(f"\\{byte:02X}" for byte in ONE),
        "base64": base64.b64encode(ONE).decode(),
    }
    assert prints(read_bytes(f"dn: cn=x\nuserCertificate: {written[form]}\n".encode())) == [sha1_hex(ONE)]


def test_names_alone_and_no_names_at_all(read_bytes: ReadBytes) -> None:
    assert read_bytes(b"dn: cn=x\nuserCertificate:\n").accounting.irrelevant == 1
    assert prints(read_bytes(of(ONE).encode())) == [sha1_hex(ONE)]
    assert read_bytes(b"# a comment\nversion: 1\n\ndn: cn=x\n").accounting.irrelevant == 1


def test_pairs_bags_and_damage(tmp_path: Path, read_bytes: ReadBytes) -> None:
    wrap = [bytes([tag, 0x82]) + len(der).to_bytes(2, "big") + der for tag, der in ((0xA0, ONE), (0xA1, TWO))]
    pair = b"\x30\x82" + len(b"".join(wrap)).to_bytes(2, "big") + b"".join(wrap)
    export = "dn: cn=x\n" + of(pair, "crossCertificatePair;binary") + of(bag(tmp_path, ONE), "userSMIMECertificate")
    reading = read_bytes(export.encode())
    assert prints(reading) == [sha1_hex(ONE), sha1_hex(TWO), sha1_hex(ONE)]
    bent = read_bytes(("dn: cn=x\n" + of(ONE[:-10]) + of(pair[:-4], "crossCertificatePair") + of(TWO)).encode())
    assert (bent.accounting.parsed, bent.accounting.rejected) == (1, 2)


def test_csvde(read_bytes: ReadBytes) -> None:
    hexed = [f"X'{der.hex()}'" for der in (ONE, TWO)]
    table = (
        "DN,objectClass,userCertificate,cACertificate\r\n"
        f'"CN=a,DC=x",user,{hexed[0]};{hexed[1]},\r\n'
        '"CN=b,DC=x",user,,\r\n'
        f'"CN=c,DC=x",user,,{hexed[1]}\r\n'
        '"CN=d,DC=x",user,{Certificate},\r\n'
    )
    for encoding in ("ascii", "utf-16"):
        reading = read_bytes(table.encode(encoding))
        assert reading.kind == "ldif"
        assert prints(reading) == [sha1_hex(ONE), sha1_hex(TWO), sha1_hex(TWO)]
        assert reading.accounting.rejected == 1
    assert list(reading.tables["certificates"]["location"])[1:] == [
        "line 2, record 1, userCertificate 2",
        "line 4, record 3, cACertificate 1",
    ]
    assert read_bytes(b"DN,cn\r\nCN=a,b\r\n").accounting.irrelevant == 1
    wide = read_bytes(b"DN,userCertificate\r\nCN=a,X'" + b"30" * 100_000 + b"'\r\n")
    assert "cannot be split" in text(wide)


def test_a_value_without_end_is_bounded(read_bytes: ReadBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ldif, "MAX_VALUE_CHARS", 10_000)
    huge = "dn: cn=x\nuserCertificate:: " + "\n ".join(["MIIB" * 15] * 1000) + "\n" + of(ONE)
    reading = read_bytes(huge.encode())
    assert prints(reading) == [sha1_hex(ONE)]
    assert (reading.accounting.rejected, reading.tables["rejects"]["size"].iloc[0]) == (1, 60_000)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from([ONE, TWO, LIST]), st.integers(20, 90), st.booleans()), min_size=1, max_size=5)
)
def test_any_folding_and_order_give_the_same(tmp_path: Path, values: list[tuple[bytes, int, bool]]) -> None:
    body = "".join(("\ndn: cn=x\n" if new else "") + of(der, width=width) for der, width, new in values)
    path = tmp_path / "any.ldif"
    path.write_text("dn: cn=first\n" + body, encoding="ascii")
    reading = read(path)
    check(reading)
    assert sorted(prints(reading)) == sorted(sha1_hex(der) for der, _, _ in values if der is not LIST)
    assert reading.accounting.parsed == len(values)
