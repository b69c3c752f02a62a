"""What certutil -dump and -store print: real captures by eye, any language, and no more than a text can say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import dump, read
from carecover.evidence.x509 import sha1_hex
from carecover.model import Reading
from tests.evidence.conftest import check
from tests.evidence.test_pkcs7 import bag, prints
from tests.evidence.test_x509 import make_certificate, make_crl, pem

ReadBytes = Callable[[bytes], Reading]
SERIAL = "44000000030d20ca71500ba5c4000000000003"
PRINT = "e0046ea8c9d051f976c47ff60246cf3f488ad4f8"


def stored(number: int = 0, *, serial: str = SERIAL, words: str = "Certificate", extra: str = "") -> str:
    return (
        f"================ {words} {number} ================\n"
        f"Serial Number: {serial}\nIssuer: CN=CVI Issuing CA 1, DC=corp\n"
        " NotBefore: 25/5/2026 5:45 PM\n NotAfter: 25/4/2027 7:36 PM\n"
        f"Subject: CN=PKI-SRV01\n{extra}Non-root Certificate\nTemplate: CVI-WebServer\n"
        f"Cert Hash(sha1): {PRINT}\n  Key Container = x\n\n"
    )


def printed(reading: Reading) -> pd.DataFrame:
    return reading.tables["printed"]


def test_a_real_list_that_was_cut(corpus: Path) -> None:
    reading = read(corpus / "certutil" / "15-dump-crl-en.txt")
    check(reading)
    table = printed(reading)
    assert (reading.kind, reading.accounting.units, reading.accounting.parsed) == ("dump", 1, 1)
    assert list(table["what"]) == ["crl"] + ["crl_entry"] * 4
    assert list(table["serial"].iloc[1:]) == [
        "4400000014178d21c3ed6a4575000000000014",
        "44000000130e1e92ae5f7a0764000000000013",
        "440000000ef02bb109f34551ad00000000000e",
        "4400000005b4922c2e24e100eb000000000005",
    ]
    assert list(table["reason"].iloc[1:4]) == [5, 5, 5]
    assert pd.isna(table["reason"].iloc[4]), "the capture ends in this entry"
    assert table["flags"].iloc[0] == ["incomplete", "zone_assumed_utc"], "it claims seven"
    assert table["not_before"].iloc[0] == datetime(2026, 7, 11, 13, 6, tzinfo=UTC)
    assert set(reading.tables) == {"printed"}, "a text is neither a certificate nor a CRL"


@pytest.mark.parametrize(
    ("name", "serials", "subject"),
    [
        ("localized__de__tokentimer-keyinfo-testfixture.txt", ["1a2b3c4d5e"], "CN=www.example.com"),
        ("localized__fr__tokentimer-keyinfo-nbsp-testfixture.txt", ["1a2b3c4d5e"], "CN=www.example.com"),
        (
            "localized__pt-BR__store-my.txt",
            ["6f8c4e2158ab119142c358e1aef32071867ea4ff"],
            "CN=teste teste one4-01, O=one4teste, L=florianopolis, S=santa-catarina, C=BR",
        ),
        (
            "localized__zh-CN__dump-pfx-server2022.txt",
            ["6c8f1dc727c7117f7baf853ac980f9cd", "872165fc34b6e5fba8add5b3705fb53a"],
            "CN=ISRG Root X2, O=Internet Security Research Group, C=US",
        ),
        (
            "dump__ms-kb216831__1998-cert.txt",
            ["25f51e4e0000115a"],
            "CN=Name (Signing), OU=IASG, O=Microsoft, L=Redmond, S=WA, C=US",
        ),
    ],
)
def test_real_texts_of_any_language(corpus: Path, name: str, serials: list[str], subject: str) -> None:
    reading = read(corpus / "certutil" / name)
    check(reading)
    assert list(printed(reading)["serial"]) == serials
    assert printed(reading)["subject"].iloc[0] == subject
    assert set(printed(reading)["what"]) == {"certificate"}


def test_a_language_that_nobody_knows_is_told_by_its_structure(read_bytes: ReadBytes) -> None:
    text = stored(words="Mystery")
    for known, other in (("Serial Number", "Qwer"), ("Issuer", "Asdf"), ("NotBefore", "Von"), ("NotAfter", "Bis")):
        text = text.replace(known, other)
    text = text.replace("Cert Hash", "Hsh").replace("Subject", "Zxcv").replace("Template", "Tmpl")
    row = printed(read_bytes(text.encode("cp850"))).iloc[0]
    assert (row["serial"], row["thumbprint"]) == (SERIAL, PRINT)
    assert row["not_before"] == datetime(2026, 5, 25, 17, 45, tzinfo=UTC)
    assert pd.isna(row["subject"]), "a name is only taken under a label that is known"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp850"])
def test_a_list_in_another_language(read_bytes: ReadBytes, encoding: str) -> None:
    text = (
        "X.509-Zertifikatsperrliste:\nVersion: 2\nSignaturalgorithmus:\n    Objektkennung: 1.2\nAussteller:\n"
        "    CN=Corp CA\n    DC=x\n  Namenshash(sha1): " + "ab" * 20 + "\n\n"
        " Diese Aktualisierung: 11.07.2026 13:06\n Nächste Aktualisierung: 18.07.2026 13:06\n"
        "Einträge: 2\n"
        "  Seriennummer: 44000000140e1e92\n   Sperrdatum: 11.07.2026 13:14\n"
        "  Erweiterungen: 1\n    2.5.29.21: Kennz. = 0, Länge = 3\n    Grund\n        Wird zurückgehalten (6)\n\n"
        "  Seriennummer: 44000000140e1e93\n   Sperrdatum: 10.07.2026 13:14\n\n"
        "CertUtil: -dump-Befehl wurde erfolgreich ausgeführt.\n"
    )
    table = printed(read_bytes(text.encode(encoding)))
    assert list(table["what"]) == ["crl", "crl_entry", "crl_entry"]
    assert list(table["serial"].iloc[1:]) == ["44000000140e1e92", "44000000140e1e93"]
    assert table["reason"].iloc[1] == 6
    assert pd.isna(table["reason"].iloc[2])
    assert table["revoked_at"].iloc[1] == datetime(2026, 7, 11, 13, 14, tzinfo=UTC)
    assert table["issuer"].iloc[2] == "CN=Corp CA, DC=x"
    assert "incomplete" not in table["flags"].iloc[0]


def test_the_hash_of_a_key_is_not_the_hash_of_a_certificate(read_bytes: ReadBytes) -> None:
    keys = f"Key Id Hash(rfc-sha1): {'11' * 20}\nKey Id Hash(sha1): {'22' * 20}\nCert Hash(md5): {'33' * 16}\n"
    table = printed(read_bytes((stored(extra=keys) + stored(1, extra=keys).split("Cert Hash(sha1)")[0]).encode()))
    assert table["thumbprint"].iloc[0] == PRINT
    assert pd.isna(table["thumbprint"].iloc[1]), "its hash was cut off"
    assert "incomplete" in table["flags"].iloc[1]


def test_a_list_in_a_store_is_a_list_without_entries(read_bytes: ReadBytes) -> None:
    text = (
        stored()
        + "================ CRL 0 ================\nIssuer:\n    CN=Corp CA\n    DC=corp\n"
        + f"  Name Hash(sha1): {'ab' * 20}\n ThisUpdate: 7/25/2026 1:06 PM\n NextUpdate: 8/25/2026 1:06 PM\n"
        + f"CRL Hash(sha1): {'cd' * 20}\nCertUtil: -store command completed successfully.\n"
    )
    table = printed(read_bytes(text.encode()))
    assert list(table["what"]) == ["certificate", "crl"]
    assert (table["thumbprint"].iloc[1], table["issuer"].iloc[1]) == ("cd" * 20, "CN=Corp CA, DC=corp")
    assert table["not_after"].iloc[1] == datetime(2026, 8, 25, 13, 6, tzinfo=UTC)


def test_a_name_cannot_give_itself_a_serial(read_bytes: ReadBytes) -> None:
    lie = f"Serial Number: {'ff' * 10}\nCRL Entries: 1\n  Serial Number: {'ee' * 10}\n"
    table = printed(read_bytes(stored(extra=lie).encode()))
    assert list(table["serial"]) == [SERIAL]


def test_what_shows_no_serial_is_told(read_bytes: ReadBytes) -> None:
    reading = read_bytes((stored(serial="00") + stored(1, serial="zz")).encode())
    assert reading.accounting.rejected == reading.accounting.units == 2
    reading = read_bytes(b"Cert Hash(sha1): " + b"ab " * 20 + b"\n")
    assert reading.accounting.rejected == 1
    assert "Hand in the certificate or CRL itself" in reading.tables["rejects"]["reason"].iloc[0]


def test_a_text_that_repeats_itself_and_one_without_end(read_bytes: ReadBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = read_bytes((stored() * 3).encode())
    assert reading.accounting.parsed == 3
    monkeypatch.setattr(dump, "MAX_ENTRIES", 5)
    entry = "  Serial Number: 44000000140e1e92\n   Revocation Date: 7/25/2026 1:14 PM\n"
    listed = (
        "X509 Certificate Revocation List:\nVersion: 2\n ThisUpdate: 7/25/2026 1:06 PM\nCRL Entries: 6\n" + entry * 6
    )
    assert "more than 5 entries" in read_bytes(listed.encode()).tables["rejects"]["reason"].iloc[0]


# --------------------------------------------------------------------------------------- bytes in hex


def hexed(der: bytes, form: str) -> str:
    lines = []
    for at in range(0, len(der), 16):
        pairs = [f"{byte:02x}" for byte in der[at : at + 16]]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in der[at : at + 16])
        halves = f"{' '.join(pairs[:8])}  {' '.join(pairs[8:])}"
        lines.append(
            {
                "certutil": f"{at:04x}\t{halves:48}   {shown}",
                "blanks": f"    {at:04x}  {halves:48}   {shown}",
                "plain": "".join(pairs),
                "spaced": " ".join(pairs),
            }[form]
        )
    return "\r\n".join(lines) + "\r\n"


@pytest.mark.parametrize("form", ["certutil", "blanks", "plain", "spaced"])
@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_hex_gives_the_certificate_itself(tmp_path: Path, read_bytes: ReadBytes, form: str, encoding: str) -> None:
    der = make_certificate(subject="30 82 aa bb")
    assert prints(read_bytes(hexed(der, form).encode(encoding))) == [sha1_hex(der)]
    assert "crls" in read_bytes(hexed(make_crl(), form).encode(encoding)).tables
    assert len(prints(read_bytes(hexed(bag(tmp_path, der), form).encode(encoding)))) == 1
    cut = read_bytes(hexed(der[:-20], form).encode(encoding))
    assert cut.accounting.rejected == 1
    assert "cut off" in cut.tables["rejects"]["reason"].iloc[0]


def test_a_dump_that_holds_the_certificate_gives_the_certificate(read_bytes: ReadBytes) -> None:
    der = make_certificate()
    reading = read_bytes((stored() + pem(der).decode() + stored(1)).encode())
    assert (reading.kind, prints(reading)) == ("certificate", [sha1_hex(der)])
    assert "printed" not in reading.tables, "what the text says beside it is worth less"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from([stored(), stored(1), "  Serial Number: 44\n", "CRL Entries: 2\n", "x\n", " =\n"]), max_size=9
    )
)
def test_any_mixture_is_accounted_for(tmp_path: Path, parts: list[str]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(parts) + stored(7), encoding="utf-8")
    reading = read(path)
    check(reading)
    assert reading.kind == "dump"
    assert list(printed(reading)["serial"].dropna()).count(SERIAL) == sum("=====" in part for part in parts) + 1
