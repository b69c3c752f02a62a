"""One incident, exported in every form, language and encoding: the same tables.

What a form cannot hold is named in ``LEFT_OUT``, and nothing else may differ but where a row
stands and what is said about its printed dates. Mails have a test of their own.
"""

from __future__ import annotations

import base64
import io
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from carecover.evidence import Context, read
from carecover.evidence.driver import read_all
from carecover.evidence.x509 import sha1_hex
from carecover.model import TABLES
from carecover.simulator.authority import DatabaseRow
from carecover.simulator.dump import certificate_dump, crl_dump
from carecover.simulator.incident import make_incident
from carecover.simulator.rendering import DateLocale, DateStyle, ViewColumn, pem, view_columns, view_csv, view_text
from carecover.simulator.scenario import Scenario
from tests.evidence.ese import DATE, LONG, LONG_BINARY, LONG_TEXT, TEXT, Column, Table, database, file_time
from tests.evidence.test_event_text import message
from tests.evidence.test_ldif import of
from tests.evidence.test_pkcs7 import bag

# What carecover reads of a row, so that a narrow export holds all that counts.
NAMES = (
    "Request.RequestID", "Request.Disposition", "Request.RequesterName", "Request.SubmittedWhen",
    "Request.RevokedWhen", "Request.RevokedEffectiveWhen", "Request.RevokedReason", "SerialNumber", "IssuerNameID",
    "NotBefore", "NotAfter", "CertificateTemplate", "DistinguishedName", "CommonName", "CertificateHash",
)  # fmt: skip
# Words of no real certutil, so that nothing can know them: labels are learned from the file.
WORDS: dict[str, dict[str, str]] = {
    "en": {},
    "de": {"label": "Spalte \u00fc {}", "Row": "Zeile", "EMPTY": "LEER", "Rows": "Zeilen", "Schema": "Schema"},
    "fr": {"label": "Colonne \u00e9 {}", "Row": "Ligne", "EMPTY": "VIDE", "Rows": "Lignes", "Schema": "Sch\u00e9ma"},
}
LOCALES: dict[str, DateLocale] = {"en": "en-US", "de": "de-DE", "fr": "en-GB"}
ZONE = "Europe/Berlin"
# Form -> columns that it cannot hold.
LEFT_OUT: dict[str, set[str]] = {
    "text": set(),
    "csv": set(),
    "edb": {"template"},
}
# A printed time has milliseconds at best; where a row stands and what is odd about it differ of course.
OF_THE_FORM = {"location", "flags", "evidence_id"}


@lru_cache
def incident_rows() -> tuple[DatabaseRow, ...]:
    incident = make_incident(Scenario(seed=11, certificates=70, lost=9, gmt=True))
    return tuple(row for row in incident.view_rows)


def columns(language: str) -> tuple[ViewColumn, ...]:
    words = WORDS[language]
    chosen = view_columns(NAMES)
    return tuple(replace(c, label=words["label"].format(n)) if words else c for n, c in enumerate(chosen))


def translated(text: str, language: str) -> str:
    for english, other in WORDS[language].items():
        if english == "Row":
            text = "".join(
                line.replace("Row ", f"{other} ", 1) if line.startswith("Row ") else line
                for line in text.splitlines(keepends=True)
            )
        elif english == "EMPTY":
            text = text.replace(": EMPTY\n", f": {other}\n").replace('"EMPTY"', f'"{other}"')
        elif english == "Rows":
            text = text.replace(" Rows\n", f" {other}\n")
    return text


def style(language: str, *, gmt: bool) -> DateStyle:
    return DateStyle(LOCALES[language], None if gmt else ZoneInfo(ZONE), seconds=True)


def text_pages(language: str, rows: Sequence[DatabaseRow], *, page: int, gmt: bool = True) -> list[str]:
    return [
        translated("".join(view_text(rows[at : at + page], columns(language), style(language, gmt=gmt))), language)
        for at in range(0, len(rows), page)
    ]


def csv_pages(language: str, rows: Sequence[DatabaseRow], *, page: int) -> list[str]:
    command = f'C:\\>certutil -gmt -seconds -view -restrict "RequestID>0" -out "{",".join(NAMES)}" csv\n'
    made = []
    for at in range(0, len(rows), page):
        body = "".join(view_csv(rows[at : at + page], columns(language), style(language, gmt=True)))
        made.append((command if language != "en" else "") + translated(body, language))
    return made


def edb_file(rows: Sequence[DatabaseRow]) -> bytes:
    requests = [
        Column(1, "RequestID", LONG), Column(2, "Disposition", LONG), Column(3, "SubmittedWhen", DATE),
        Column(4, "RevokedWhen", DATE), Column(5, "RevokedEffectiveWhen", DATE), Column(6, "RevokedReason", LONG),
        Column(256, "$RequesterName", LONG_TEXT),
    ]  # fmt: skip
    certificates = [
        Column(1, "RequestID", LONG), Column(2, "NotBefore", DATE), Column(3, "NotAfter", DATE),
        Column(4, "IssuerNameID", LONG), Column(128, "$SerialNumber", TEXT), Column(129, "$CertificateHash2", TEXT),
        Column(256, "$CertificateTemplate", LONG_TEXT), Column(257, "$DistinguishedName", LONG_TEXT),
        Column(258, "$CommonName", LONG_TEXT), Column(259, "RawCertificate", LONG_BINARY),
    ]  # fmt: skip
    values = {column.name: column.value for column in view_columns(NAMES)}
    first, second = [], []
    for row in rows:
        cells = {name: value(row) for name, value in values.items()}
        shown = {n: file_time(v) if isinstance(v, datetime) else v for n, v in cells.items()}
        first.append({column.name: shown[f"Request.{column.name.lstrip('$')}"] for column in requests})
        renamed = {"$CertificateHash2": "CertificateHash", "RequestID": "Request.RequestID"}
        known = {c.name: renamed.get(c.name, c.name.lstrip("$")) for c in certificates}
        second.append({name: shown.get(meaning) for name, meaning in known.items()})
    return database(
        [Table("Requests", requests, first), Table("Certificates", certificates, second), Table("CRLs", [])]
    )


def gathered(tmp_path: Path, files: Sequence[bytes], *, name: str = "file") -> dict[str, pd.DataFrame]:
    """All files of one export, read as one hand-in."""
    places = []
    for number, data in enumerate(files):
        place = tmp_path / f"{name}{number}"
        place.write_bytes(data)
        places.append((f"E{number:04}", place))
    tables, counted = read_all(places, Context(ZONE, None))
    assert all(each.rejected == 0 for _, _, each in counted)
    return tables


def same(left: pd.DataFrame, right: pd.DataFrame, *, by: list[str], without: set[str]) -> None:
    kept = [c.name for c in TABLES[_name(left)].columns if c.name not in without | OF_THE_FORM]
    pd.testing.assert_frame_equal(
        left.sort_values(by, ignore_index=True)[kept], right.sort_values(by, ignore_index=True)[kept]
    )


def _name(table: pd.DataFrame) -> str:
    return next(name for name, schema in TABLES.items() if [c.name for c in schema.columns] == list(table.columns))


# ------------------------------------------------------------------------------------ the baseline


def plain(tmp_path: Path) -> pd.DataFrame:
    made = "".join(text_pages("en", incident_rows(), page=10_000)).encode()
    rows = gathered(tmp_path, [made], name="plain")["ca_rows"]
    assert len(rows) == len(incident_rows()) > 60
    return rows


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp850"])
@pytest.mark.parametrize("form", ["text", "csv"])
def test_a_baseline_is_the_same_in_any_language_and_encoding(
    tmp_path: Path, language: str, encoding: str, form: str
) -> None:
    expected = plain(tmp_path)
    pages = (text_pages if form == "text" else csv_pages)(language, incident_rows(), page=10_000)
    data = pages[0].replace("\n", "\r\n").encode(encoding, "replace")
    rows = gathered(tmp_path, [data])["ca_rows"]
    # A code page has not every letter of every name.
    lossy = {"requester", "subject"} if encoding == "cp850" else set()
    same(rows, expected, by=["request_id"], without=LEFT_OUT[form] | lossy)


@pytest.mark.parametrize("form", ["text", "csv"])
@pytest.mark.parametrize("way", ["one file", "files", "zip", "tar.gz"])
def test_pages_are_the_same_however_they_are_handed_in(tmp_path: Path, form: str, way: str) -> None:
    expected = plain(tmp_path)
    pages = [p.encode() for p in (text_pages if form == "text" else csv_pages)("de", incident_rows(), page=17)]
    assert len(pages) > 3
    files = {
        "one file": lambda: [b"Fri 07/25/2026\r\n" + b"".join(pages)] if form == "text" else [b"".join(pages)],
        "files": lambda: pages,
        "zip": lambda: [zipped(pages)],
        "tar.gz": lambda: [tarred(pages)],
    }[way]()
    tables = gathered(tmp_path, files)
    same(tables["ca_rows"], expected, by=["request_id"], without=LEFT_OUT[form])
    if form == "text":
        assert list(tables["views"]["complete"]) == [True] * len(pages)


def zipped(pages: Sequence[bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, page in enumerate(pages):
            archive.writestr(f"page{number}.txt", page)
    return out.getvalue()


def tarred(pages: Sequence[bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for number, page in enumerate(pages):
            entry = tarfile.TarInfo(f"page{number}.txt")
            entry.size = len(page)
            archive.addfile(entry, io.BytesIO(page))
    return out.getvalue()


def test_rows_in_another_order_are_the_same_rows(tmp_path: Path) -> None:
    mixed = list(incident_rows())
    random.Random(5).shuffle(mixed)
    rows = gathered(tmp_path, [text_pages("en", mixed, page=10_000)[0].encode()])["ca_rows"]
    same(rows, plain(tmp_path), by=["request_id"], without=LEFT_OUT["text"])


def test_local_times_in_a_known_zone_are_the_same_moments(tmp_path: Path) -> None:
    local = text_pages("de", incident_rows(), page=10_000, gmt=False)[0].encode()
    same(gathered(tmp_path, [local])["ca_rows"], plain(tmp_path), by=["request_id"], without=LEFT_OUT["text"])


def test_a_paste_with_an_indentation_is_the_same(tmp_path: Path) -> None:
    text = text_pages("fr", incident_rows(), page=10_000)[0]
    moved = "".join("    " + line for line in text.splitlines(keepends=True)).encode()
    same(gathered(tmp_path, [moved])["ca_rows"], plain(tmp_path), by=["request_id"], without=LEFT_OUT["text"])


def test_the_database_file_gives_the_same_rows(tmp_path: Path) -> None:
    rows = gathered(tmp_path, [edb_file(incident_rows())])["ca_rows"]
    expected = plain(tmp_path)
    # certutil prints milliseconds, and prints a template's name that the file does not hold.
    for name in ("not_before", "not_after", "submitted_at", "revoked_at", "effective_revoked_at"):
        rows[name] = rows[name].dt.floor("ms").astype(expected[name].dtype)
    same(rows, expected, by=["request_id"], without=LEFT_OUT["edb"])


# -------------------------------------------------------------------------------------- certificates


@lru_cache
def ders() -> tuple[bytes, ...]:
    incident = make_incident(Scenario(seed=11, certificates=70, lost=9))
    history = incident.history
    return tuple(history.life.certificate(i) for i in range(1, history.last + 1) if history.is_issued(i))[-12:]


def ldif_of(certificates: Sequence[bytes]) -> bytes:
    return "".join(f"dn: CN=u{n}\n" + of(der) + "\n" for n, der in enumerate(certificates)).encode()


def csvde_of(certificates: Sequence[bytes]) -> bytes:
    rows = "".join(f"\"CN=u{n},DC=x\",X'{der.hex()}'\r\n" for n, der in enumerate(certificates))
    return f"DN,userCertificate\r\n{rows}".encode("utf-16")


FORMS: dict[str, Callable[[Path, Sequence[bytes]], list[bytes]]] = {
    "DER files": lambda _, c: list(c),
    "one after the other": lambda _, c: [b"".join(c)],
    "PEM files": lambda _, c: [pem(der).encode() for der in c],
    "one PEM file": lambda _, c: ["".join(map(pem, c)).replace("\n", "\r\n").encode("utf-16")],
    "base64": lambda _, c: ["\n".join(base64.b64encode(der).decode() for der in c).encode()],
    "PKCS #7": lambda place, c: [bag(place, *c)],
    "PKCS #7 as PEM": lambda place, c: [bag(place, *c, form="PEM")],
    "hex": lambda _, c: [der.hex(" ").encode() for der in c],
    "LDIF": lambda _, c: [ldif_of(c)],
    "csvde": lambda _, c: [csvde_of(c)],
    "zip of LDIF": lambda _, c: [zipped([ldif_of(c)])],
}


@pytest.mark.parametrize("form", FORMS)
def test_certificates_are_the_same_in_any_wrapping(tmp_path: Path, form: str) -> None:
    expected = gathered(tmp_path, list(ders()), name="plain")["certificates"]
    assert len(expected) == len(ders()) > 5
    rows = gathered(tmp_path, FORMS[form](tmp_path, ders()))["certificates"]
    same(rows, expected, by=["certificate_sha256"], without=set())
    assert sorted(rows["der"]) == sorted(ders())


def test_a_certificate_twice_is_the_same_certificate(tmp_path: Path) -> None:
    twice = gathered(tmp_path, [ldif_of([*ders(), *ders()])])["certificates"]
    once = gathered(tmp_path, [ldif_of(ders())])["certificates"]
    same(twice.drop_duplicates("certificate_sha256", ignore_index=True), once, by=["serial"], without=set())


# --------------------------------------------------------------------------------------------- events

LABELS = {
    "RequestId": "Request ID", "SubjectKeyIdentifier": "SKI", "CertificateTemplate": "Certificate Template",
    "SerialNumber": "Serial Number", "CertificateSerialNumber": "Serial Number", "RevocationReason": "Reason",
    "IsBaseCRL": "Base CRL", "CRLNumber": "CRL Number", "KeyContainer": "Key Container",
    "NextPublish": "Next Publish", "PublishURLs": "Publish URLs", "BackupType": "Backup Type",
    "CertificateDatabaseHash": "Certificate Database Hash", "PrivateKeyUsageCount": "Private Key Usage Count",
}  # fmt: skip


def entries(xml: bytes) -> Iterator[tuple[str, int, list[tuple[str, str, str]]]]:
    for event in ElementTree.fromstring(xml):  # noqa: S314 - made by the simulator
        for element in event.iter():
            element.tag = element.tag.rpartition("}")[2]
        created = event.find("System/TimeCreated")
        assert created is not None
        data = [(d.get("Name", ""), d.text or "") for d in event.iterfind("EventData/Data")]
        named = [(LABELS.get(name, name), name, value) for name, value in data if name in LABELS or " " not in name]
        yield created.get("SystemTime", ""), int(event.findtext("System/EventID") or 0), named


def as_list(xml: bytes) -> str:
    blocks = []
    for at, number, data in entries(xml):
        first, *rest = message("Certificate Services said something.", data)
        blocks.append(
            f"TimeCreated  : {at[:10].replace('-', '/')} {at[11:19]} GMT\nId           : {number}\n"
            f"MachineName  : {HOST}\nMessage      : {first}\n" + "".join(f"               {line}\n" for line in rest)
        )
    return "\n" + "\n".join(blocks) + "\n"


def as_wevtutil(xml: bytes) -> str:
    return "\n".join(
        f"Event[{n}]:\n  Log Name: Security\n  Source: Microsoft-Windows-Security-Auditing\n"
        f"  Date: {at[:23]}Z\n  Event ID: {number}\n  Computer: {HOST}\n  Description: \n"
        + "\n".join(message("Certificate Services said something.", data))
        + "\n"
        for n, (at, number, data) in enumerate(entries(xml))
    )


HOST = "pki01.corp.example"


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("form", [as_list, as_wevtutil])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_security_log_says_the_same_as_text(
    tmp_path: Path, version: Literal[0, 1], form: Callable[[bytes], str], encoding: str
) -> None:
    incident = make_incident(Scenario(seed=11, certificates=70, lost=9, audit=True, audit_version=version))
    log = dict(incident.files())["evidence/events/security.xml"]
    xml = b"".join(log)
    (tmp_path / "a.xml").write_bytes(xml)
    (tmp_path / "a.txt").write_bytes(form(xml).encode(encoding))
    expected, got = read(tmp_path / "a.xml"), read(tmp_path / "a.txt")
    assert got.accounting == expected.accounting
    assert expected.accounting.parsed > 10
    left = ["location", "flags"]
    pd.testing.assert_frame_equal(
        got.tables["audit_events"].drop(columns=left), expected.tables["audit_events"].drop(columns=left)
    )


# ---------------------------------------------------------------------------------------------- dumps


@pytest.mark.parametrize("locale", ["en-US", "de-DE", "ja-JP"])
def test_what_is_printed_of_a_list_says_what_the_list_says(tmp_path: Path, locale: DateLocale) -> None:
    incident = make_incident(Scenario(seed=11, certificates=70, lost=9))
    crl = next(iter(incident.traces.last_crls.values()))
    (tmp_path / "a.crl").write_bytes(crl.public_bytes(serialization.Encoding.DER))
    (tmp_path / "a.txt").write_text(crl_dump(crl, DateStyle(locale)), encoding="utf-16")
    truth, printed = read(tmp_path / "a.crl").tables, read(tmp_path / "a.txt").tables["printed"]
    entries = printed[printed["what"] == "crl_entry"]
    assert list(entries["serial"]) == list(truth["crl_entries"]["serial"])
    assert list(entries["reason"].fillna(0)) == list(truth["crl_entries"]["reason"].fillna(0))
    # certutil prints minutes.
    assert list(entries["revoked_at"]) == list(truth["crl_entries"]["revoked_at"].dt.floor("min"))
    head = printed.iloc[0]
    assert head["not_before"] == truth["crls"]["this_update"].iloc[0].floor("min")
    assert head["not_after"] == truth["crls"]["next_update"].iloc[0].floor("min")
    assert "incomplete" not in head["flags"]


def test_what_is_printed_of_certificates_says_what_they_say(tmp_path: Path) -> None:
    loaded = [x509.load_der_x509_certificate(der) for der in ders()]
    (tmp_path / "a.txt").write_text(
        "\n".join(certificate_dump(c, DateStyle("de-DE")) for c in loaded), encoding="utf-8"
    )
    printed = read(tmp_path / "a.txt").tables["printed"]
    assert list(printed["serial"]) == [f"{c.serial_number:038x}" for c in loaded]
    assert list(printed["not_after"]) == [pd.Timestamp(c.not_valid_after_utc).floor("min") for c in loaded]
    assert list(printed["thumbprint"]) == [sha1_hex(der) for der in ders()]
