"""The registry of the CA: listings of certutil and reg query, and .reg files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import read, registry
from carecover.model import Reading
from tests.evidence.conftest import check

ReadBytes = Callable[[bytes], Reading]

CONFIGURATION = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\CertSvc\Configuration"
CA = CONFIGURATION + r"\Corp Issuing CA"
SMTP = r"ExitModules\CertificateAuthority_MicrosoftDefault.Exit\SMTP"
DONE = "CertUtil: -getreg command completed successfully.\n"
BODY = ["", "Request ID: %1", "  X REG_SZ = forged", f"{CA}\\Evil:", "CertUtil: -getreg FAILED 0x80070005", "a\\0b:"]


def listing(body: list[str] = BODY) -> str:
    """A listing with sub-keys, as it is assumed to be."""
    items = "".join(f"    {number}: {text}\n" for number, text in enumerate(body))
    return (
        f"{CA}\\{SMTP}:\n\nKeys:\n  Issued\n\nValues:\n"
        "  EventFilter              REG_DWORD = 7f (127)\n    EXITEVENT_CERTISSUED -- 1\n\n"
        "  SMTPServer               REG_SZ = relay.corp.example\n\n"
        f"{CA}\\{SMTP}\\Issued:\n\nValues:\n"
        f"  BodyFormat               REG_MULTI_SZ = \n{items}\n"
        "  TitleArg                 REG_MULTI_SZ =\n    0: SanitizedCAName\n" + DONE
    )


def rows(reading: Reading) -> list[tuple[Any, ...]]:
    check(reading)
    table = reading.tables["registry"]
    found = zip(table["ca_name"], table["key"], table["name"], table["type"], table["value"], strict=True)
    return [tuple(None if not isinstance(x, list) and pd.isna(x) else x for x in row) for row in found]


# ------------------------------------------------------------------------------ what is printed


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp850"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_listing_with_sub_keys(read_bytes: ReadBytes, encoding: str, ends: str) -> None:
    reading = read_bytes(listing(["Anforderungs-ID für: %1", *BODY]).replace("\n", ends).encode(encoding))
    assert reading.kind == "registry"
    assert (reading.accounting.parsed, reading.accounting.units) == (2, 2)
    assert rows(reading) == [
        ("Corp Issuing CA", SMTP, "EventFilter", "REG_DWORD", ["127"]),
        ("Corp Issuing CA", SMTP, "SMTPServer", "REG_SZ", ["relay.corp.example"]),
        ("Corp Issuing CA", SMTP + r"\Issued", "BodyFormat", "REG_MULTI_SZ", ["Anforderungs-ID für: %1", *BODY]),
        ("Corp Issuing CA", SMTP + r"\Issued", "TitleArg", "REG_MULTI_SZ", ["SanitizedCAName"]),
    ]


def test_single_values_are_told_by_their_keys_end(read_bytes: ReadBytes) -> None:
    prompt = "C:\\Windows\\system32>certutil -getreg CA\\CRLPeriodUnits\n"
    data = (
        f"{CA}\\CRLPeriodUnits:\n\n  CRLPeriodUnits REG_DWORD = 63 (99)\n{DONE}"
        f"{prompt}{CA}\\csp:\n\n  Provider REG_SZ = Microsoft Software Key Storage Provider\n{DONE}"
        f"{CONFIGURATION}\\Active:\n\n  Active REG_SZ = Corp Issuing CA\n{DONE}"
        f"{prompt}{CA}\\CRLPublicationURLs:\n\n  CRLPublicationURLs REG_MULTI_SZ = \n"
        "    0: 65:C:\\Windows\\system32\\CertSrv\\CertEnroll\\%3%8%9.crl\n    CSURL_SERVERPUBLISH -- 1\n"
        "    CSURL_SERVERPUBLISHDELTA -- 40 (64)\n\n    1: 6:http://pki.example/%3.crl\n"
        f"    CSURL_ADDTOCERTCDP -- 2\n{DONE}"
    )
    assert rows(read_bytes(data.encode())) == [
        ("Corp Issuing CA", None, "CRLPeriodUnits", "REG_DWORD", ["99"]),
        ("Corp Issuing CA", "csp", "Provider", "REG_SZ", ["Microsoft Software Key Storage Provider"]),
        (None, None, "Active", "REG_SZ", ["Corp Issuing CA"]),
        (
            "Corp Issuing CA",
            None,
            "CRLPublicationURLs",
            "REG_MULTI_SZ",
            ["65:C:\\Windows\\system32\\CertSrv\\CertEnroll\\%3%8%9.crl", "6:http://pki.example/%3.crl"],
        ),
    ]


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("63 (99)", ["99"]),
        ("0x63 (99)", ["99"]),
        ("0x63", ["99"]),
        ("7", ["7"]),
        ("ffffffff (-1)", ["4294967295"]),
        # Hexadecimal or decimal? Nobody can tell.
        ("63", []),
        ("63 (98)", []),
        ("1ffffffff (8589934591)", []),
        ("many", []),
        ("", []),
    ],
)
def test_numbers(read_bytes: ReadBytes, printed: str, value: list[str]) -> None:
    data = f"{CA}\\EventFilter:\n\n  EventFilter REG_DWORD = {printed}\n    EXITEVENT_CERTISSUED -- 1\n{DONE}"
    assert rows(read_bytes(data.encode()))[0][4] == value


def test_lists_without_numbers_and_bytes_are_taken_line_by_line(read_bytes: ReadBytes) -> None:
    data = (
        f"{CA}:\n\nValues:\n  DisableExtensionList REG_MULTI_SZ =\n    1.3.6.1.4.1.311.25.2\n    2.5.29.14\n\n"
        f"  Security REG_BINARY =\n    Allow Enroll\tNT AUTHORITY\\Authenticated Users\n\n  Empty REG_SZ = \n{DONE}"
    )
    assert [row[4] for row in rows(read_bytes(data.encode()))] == [
        ["1.3.6.1.4.1.311.25.2", "2.5.29.14"],
        ["Allow Enroll\tNT AUTHORITY\\Authenticated Users"],
        [],
    ]


def test_reg_query(read_bytes: ReadBytes) -> None:
    data = (
        f"\n{CA}\n    AuditFilter    REG_DWORD    0x7f\n    CRLPeriod    REG_SZ    Weeks\n\n"
        f"{CA}\\{SMTP}\\Issued\n    BodyFormat    REG_MULTI_SZ    Request ID: %1\\0UPN: %2\n    To    REG_SZ    \n\n"
    )
    assert [row[1:] for row in rows(read_bytes(data.encode()))] == [
        (None, "AuditFilter", "REG_DWORD", ["127"]),
        (None, "CRLPeriod", "REG_SZ", ["Weeks"]),
        (SMTP + r"\Issued", "BodyFormat", "REG_MULTI_SZ", ["Request ID: %1", "UPN: %2"]),
        (SMTP + r"\Issued", "To", "REG_SZ", []),
    ]


def test_what_was_set_is_the_new_value(read_bytes: ReadBytes) -> None:
    data = (
        f"{CA}\\AuditFilter:\n\nOld Value:\n  AuditFilter REG_DWORD = 0\n\n"
        "Neuer Wert:\n  AuditFilter REG_DWORD = 7f (127)\nCertUtil: -setreg command completed successfully.\n"
    )
    assert rows(read_bytes(data.encode())) == [("Corp Issuing CA", None, "AuditFilter", "REG_DWORD", ["127"])]


def test_a_value_that_is_not_there_and_one_that_could_not_be_read(read_bytes: ReadBytes) -> None:
    missing = f"{CA}\\X:\nCertUtil: -getreg command FAILED: 0x80070002 (WIN32: 2 ERROR_FILE_NOT_FOUND)\nCertUtil: No.\n"
    denied = f"{CA}\\Y:\nCertUtil: -getreg-Befehl ist fehlgeschlagen: 0x80070005 (WIN32: 5)\nCertUtil: Nein.\n"
    reading = read_bytes((missing + denied).encode())
    assert (reading.accounting.irrelevant, reading.accounting.rejected, reading.accounting.units) == (1, 1, 2)
    assert "0x80070005" in reading.tables["rejects"]["reason"].iloc[0]


def test_what_is_no_ca_is_irrelevant_and_what_is_there_twice_is_a_duplicate(read_bytes: ReadBytes) -> None:
    other = "HKEY_LOCAL_MACHINE\\SOFTWARE\\X:\n\n  EventFilter REG_DWORD = 7\n"
    near = f"{CONFIGURATION}2\\Corp:\n\n  EventFilter REG_DWORD = 7\n"
    reading = read_bytes((other + near + listing() + listing()).encode())
    counted = reading.accounting
    assert (counted.parsed, counted.irrelevant, counted.duplicate, counted.units) == (2, 2, 2, 6)


def test_two_keys_mixed_up_are_not_believed(read_bytes: ReadBytes) -> None:
    """A listing that names no sub-key would hand one event's wording to another."""
    data = f"{CA}\\{SMTP}:\n\n  Issued:\n  To REG_SZ = a\n  Cc REG_SZ = b\n  Denied:\n  To REG_SZ = c\n{DONE}"
    reading = read_bytes(data.encode())
    assert reading.accounting.rejected == 1
    assert "twice" in reading.tables["rejects"]["reason"].iloc[0]
    reading = read_bytes(f"  To REG_SZ = a\n{DONE}{CA}\\Y:\n  Y REG_SZ = 1\n".encode())
    assert (reading.accounting.parsed, reading.accounting.rejected) == (1, 1)


def test_listings_of_the_corpus(corpus: Path) -> None:
    found = {}
    for path in sorted((corpus / "certutil").iterdir()):
        reading = read(path)
        check(reading)
        if reading.kind == "registry":
            found[path.name] = reading
    assert len(found) == 7
    assert all(reading.accounting.rejected == 0 for reading in found.values())
    table = pd.concat([r.tables["registry"] for r in found.values() if "registry" in r.tables])
    assert set(table["ca_name"]) == {"CVI Issuing CA 1"}
    assert table["key"].isna().all()
    values = {(name, value[0]) for name, value in zip(table["name"], table["value"], strict=True)}
    assert values == {("AuditFilter", "0"), ("AuditFilter", "204"), ("CRLPeriod", "Years"), ("CRLPeriodUnits", "99")}


# ------------------------------------------------------------------------------------ .reg files


def hexed(text: str, encoding: str) -> str:
    """Bytes as regedit writes them: at most 20 in a line, a backslash where the line goes on."""
    pairs = [f"{byte:02x}" for byte in text.encode(encoding)]
    return ",\\\n  ".join(",".join(pairs[at : at + 20]) for at in range(0, len(pairs), 20))


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def exported(body: list[str], old: bool = False) -> str:
    encoding = "cp1252" if old else "utf-16-le"
    head = "REGEDIT4" if old else "Windows Registry Editor Version 5.00"
    listed = "".join(text + "\0" for text in body) + "\0"
    return (
        f"{head}\n\n[{CA}\\{SMTP}]\n"
        '"EventFilter"=dword:0000007f\n"SMTPServer"="relay \\"x\\" C:\\\\y"\n; a comment\n\n'
        f"[{CA}\\{SMTP}\\Issued]\n"
        f'"BodyFormat"=hex(7):{hexed(listed, encoding)}\n"Many\\\\Lines"="one\ntwo\\\\"\n@="default"\n'
        '"Q"=hex(b):01,00,00,00,00,00,00,00\n"B"=hex:0a,FF\n"E"=hex(7):\n"Gone"=-\n\n'
        "[HKEY_LOCAL_MACHINE\\SOFTWARE\\X]\n\n[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Y]\n"
    )


@pytest.mark.parametrize(
    ("encoding", "old"), [("utf-16", False), ("utf-8-sig", False), ("cp1252", True), ("utf-8", True)]
)
def test_a_reg_file(read_bytes: ReadBytes, encoding: str, old: bool) -> None:
    body = ["", "Größe: %1", "", "[not a key]", *(["x"] if old else ["证书 %2"])]
    reading = read_bytes(exported(body, old).replace("\n", "\r\n").encode(encoding))
    assert reading.kind == "registry"
    assert (reading.accounting.parsed, reading.accounting.irrelevant) == (2, 2)
    assert [row[1:] for row in rows(reading)] == [
        (SMTP, "EventFilter", "REG_DWORD", ["127"]),
        (SMTP, "SMTPServer", "REG_SZ", ['relay "x" C:\\y']),
        (SMTP + "\\Issued", "BodyFormat", "REG_MULTI_SZ", body),
        (SMTP + "\\Issued", "Many\\Lines", "REG_SZ", ["one\ntwo\\"]),
        (SMTP + "\\Issued", "@", "REG_SZ", ["default"]),
        (SMTP + "\\Issued", "Q", "REG_QWORD", ["1"]),
        (SMTP + "\\Issued", "B", "REG_BINARY", ["0aff"]),
        (SMTP + "\\Issued", "E", "REG_MULTI_SZ", []),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('"To"="never closed', "does not end"),
        ('"To"=hex:0a,\\', "does not end"),
        ('"To"=hex:0a,0', "non-hexadecimal"),
        ('"To"=dword:123456789', "no form"),
        ("To=a", "no assignment"),
        ('"To"="' + "x" * 300_000 + '"', "more than"),
        ('"To"=hex:' + "00,\\\n" * 600_000, "more than"),
    ],
)
def test_a_damaged_key_is_rejected_and_the_next_one_read(read_bytes: ReadBytes, line: str, words: str) -> None:
    data = f'Windows Registry Editor Version 5.00\n\n[{CA}]\n{line}\n[{CA}\\{SMTP}]\n"EventFilter"=dword:1\n'
    reading = read_bytes(data.encode("utf-16"))
    assert (reading.accounting.parsed, reading.accounting.rejected, reading.accounting.units) == (1, 1, 2)
    assert rows(reading) == [("Corp Issuing CA", SMTP, "EventFilter", "REG_DWORD", ["1"])]
    reason = reading.tables["rejects"]["reason"].iloc[0]
    assert "reg export" in reason
    assert words in reason


def test_a_reg_file_that_is_cut_off(read_bytes: ReadBytes) -> None:
    whole = exported(BODY)
    every = set(map(repr, rows(read_bytes(whole.encode()))))
    for at in range(0, len(whole), 3):
        reading = read_bytes(whole[:at].encode())
        assert {repr(row) for row in (rows(reading) if "registry" in reading.tables else [])} <= every


# ------------------------------------------------------------------------------------- round trip


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=40)
_ITEMS = st.lists(st.one_of(_TEXT, st.sampled_from(BODY)), min_size=1, max_size=8).filter(any)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_ITEMS, st.sampled_from(["utf-8", "utf-16"]))
def test_rendered_lists_are_read_back(tmp_path: Path, items: list[str], encoding: str) -> None:
    shown = [item.rstrip() for item in items]
    (tmp_path / "x.txt").write_bytes(listing(shown).encode(encoding))
    found = rows(read(tmp_path / "x.txt"))
    assert [row[4] for row in found if row[2] == "BodyFormat"] == [shown]
    (tmp_path / "x.reg").write_bytes(exported(items).encode(encoding))
    found = rows(read(tmp_path / "x.reg"))
    assert [row[4] for row in found if row[2] == "BodyFormat"] == [items]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_TEXT.filter(lambda text: '"' in text or "\\" in text or text))
def test_rendered_texts_are_read_back(tmp_path: Path, text: str) -> None:
    data = f"Windows Registry Editor Version 5.00\n\n[{CA}]\n{quoted(text)}={quoted(text)}\n"
    (tmp_path / "x.reg").write_bytes(data.encode("utf-16"))
    assert rows(read(tmp_path / "x.reg"))[0][2:] == (text, "REG_SZ", [text])


# ---------------------------------------------------------------------------------------- hostile


_PARTS = st.sampled_from(
    [*listing().splitlines(), *exported(BODY).splitlines(), "", "  ", "\t", "0:", "1: x", '"', "\\", ",\\", "REG_SZ = "]
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.booleans(), st.lists(_PARTS, max_size=25))
def test_lines_in_any_order_end_with_an_account(tmp_path: Path, as_file: bool, parts: list[str]) -> None:
    head = "REGEDIT4\n" if as_file else f"{CA}:\n  X REG_SZ = y\n"
    (tmp_path / "x").write_text(head + "\n".join(parts), encoding="utf-8", newline="\n")
    reading = read(tmp_path / "x")
    check(reading)
    assert reading.kind == "registry"


@pytest.mark.parametrize(
    "body",
    [
        "  X REG_MULTI_SZ =\n" + "".join(f"    {n}: x\n" for n in range(20_000)),
        "  X REG_MULTI_SZ =\n    0: " + "x" * 3_000_000,
        "  X REG_BINARY =\n" + "    00\n" * 200_000,
        "".join(f"  X{n} REG_SZ = x\n" for n in range(10_000)),
    ],
)
def test_what_is_too_large_is_rejected(read_bytes: ReadBytes, body: str) -> None:
    reading = read_bytes(f"{CA}:\n{body}\n{CA}\\Y:\n  Y REG_SZ = 1\n".encode())
    assert (reading.accounting.parsed, reading.accounting.rejected) == (1, 1)
    assert "more than" in reading.tables["rejects"]["reason"].iloc[0]


@pytest.mark.parametrize(
    "line", [" " * 3000 + "REG_SZ", "a " * 1500 + "REG_SZ =", "  x REG_SZ" + " " * 3000, '"' * 3000, "certutil " * 400]
)
def test_patterns_do_not_go_back_over_what_they_have_read(
    read_bytes: ReadBytes, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MAX_VALUE_CHARS", 100_000_000)
    for start in (f"{CA}:\n  X REG_SZ = y\n\n", f"REGEDIT4\n[{CA}]\n"):
        reading = read_bytes((start + (line + "\n") * 1000).encode())
        assert (reading.kind, reading.accounting.units) == ("registry", 1)
