"""What a CRL does that it should not: kinds of faults, held against lists that nobody here wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from carecover.evidence import lint_crls, read
from carecover.model import TABLES
from tests.proof.authority import TestCA, Wish
from tests.proof.conftest import NOW


def lint(path: Path, now: datetime = NOW) -> pd.DataFrame:
    """The remarks about the lists of one file."""
    tables = read(path).tables
    entries = tables.get("crl_entries", TABLES["crl_entries"].empty())
    return lint_crls(tables["crls"], entries, now=now)


def remarks(tmp_path: Path, wish: Wish, now: datetime = NOW) -> set[tuple[str, str]]:
    """Severity and rule of each remark about a list as wished."""
    (tmp_path / "a.crl").write_bytes(TestCA(NOW).crl(wish))
    table = lint(tmp_path / "a.crl", now)
    return set(zip(table["severity"], table["rule"], strict=True))


def test_a_list_as_ad_cs_writes_it_has_no_remark(tmp_path: Path) -> None:
    assert remarks(tmp_path, Wish(entries={5: 1, 6: 0, 7: 6})) == set()
    assert remarks(tmp_path, Wish(base=412, entries={5: 8})) == set()


WISHES: dict[str, tuple[Wish, tuple[str, str]]] = {
    "no number": (Wish(number=None), ("warning", "RFC 5280 5.2.3")),
    "a critical number": (Wish(number_critical=True), ("error", "RFC 5280 5.2.3")),
    "a base above itself": (Wish(number=414, base=415), ("error", "RFC 5280 5.2.4")),
    "no authority key identifier": (Wish(key_id=False), ("warning", "RFC 5280 5.2.1")),
    "an unknown critical extension": (Wish(unknown=True), ("error", "RFC 5280 5.2, 5.3")),
    "a critical extension of an entry": (
        Wish(entries={5: 1}, reason_critical=True), ("error", "RFC 5280 5.2, 5.3")
    ),
    "a scope": (Wish(scope="some_reasons"), ("notice", "RFC 5280 5.2.5")),
    "removal from a base": (Wish(entries={5: 8}), ("error", "RFC 5280 5.3.1")),
    "an end in the past": (Wish(begin=timedelta(-9), end=timedelta(-1)), ("notice", "RFC 5280 5.1.2.5")),
    "a begin in the future": (Wish(begin=timedelta(1)), ("error", "RFC 5280 5.1.2.4")),
    "entries after thisUpdate": (Wish(begin=timedelta(hours=-3), entries={5: 1}), ("notice", "AD CS ClockSkewMinutes")),
}  # fmt: skip


@pytest.mark.parametrize(("wish", "expected"), WISHES.values(), ids=WISHES)
def test_each_fault_has_its_rule(tmp_path: Path, wish: Wish, expected: tuple[str, str]) -> None:
    assert expected in remarks(tmp_path, wish)


def test_an_entry_ten_minutes_after_this_update_is_how_ad_cs_works(tmp_path: Path) -> None:
    """The builder dates entries two hours back."""
    assert remarks(tmp_path, Wish(begin=timedelta(hours=-2, minutes=-10), entries={5: 1})) == set()


def test_a_list_without_any_extension_is_of_version_1_or_as_good_as_that(tmp_path: Path) -> None:
    assert ("warning", "RFC 5280 5.1.2.1") in remarks(tmp_path, Wish(number=None, key_id=False, version=None))


# The lists of zlint and PKITS are made to break one rule each: kind of fault → severity, rule, a word of the sentence.
CORPUS = {
    "zlint__crlWithReasonCode7.pem": ("error", "RFC 5280 5.3.1", "reason 7"),
    "zlint__crlWithReasonCode0.pem": ("warning", "RFC 5280 5.3.1", "reason 0"),
    "zlint__crlWithRevokedCertificatesContainerButNoActualRevokedCerts-CBonnell.pem": (
        "warning", "RFC 5280 5.1.2.6", "no entries"),
    "zlint__crl_missing_crl_number_ko.pem": ("warning", "RFC 5280 5.2.3", "no CRL number"),
    "zlint__crl_no_crl_number.pem": ("warning", "RFC 5280 5.2.3", "no CRL number"),
    "zlint__crl_number_negative.pem": ("error", "RFC 5280 5.2.3", "negative"),
    "zlint__crl_number_too_large.pem": ("error", "RFC 5280 5.2.3", "20 octets"),
    "zlint__crl_with_wrong_critical_for_authkey_id.pem": ("warning", "RFC 5280 4.2.1.1", "critical"),
    "zlint__crl_revocation_time_after_this_update.pem": ("notice", "AD CS ClockSkewMinutes", "after thisUpdate"),
    "pkits__UnknownCRLExtensionCACRL.crl": ("error", "RFC 5280 5.2, 5.3", "2.16.840.1.101.2.1.12.2"),
    "pkits__OldCRLnextUpdateCACRL.crl": ("notice", "RFC 5280 5.1.2.5", "ended on"),
    "pkits__NegativeSerialNumberCACRL.crl": ("warning", "RFC 5280 4.1.2.2", "negative"),
    "pkits__onlyContainsCACertsCACRL.crl": ("notice", "RFC 5280 5.2.5", "ca certificates"),
    "pyca__crl_md2_unknown_crit_entry_ext.pem": ("error", "RFC 5280 5.2, 5.3", "1.2.3.4"),
    "pyca__crl_idp_relativename_only.pem": ("warning", "RFC 5280 5.2.3", "no CRL number"),
}  # fmt: skip


@pytest.mark.parametrize("name", CORPUS)
def test_lists_that_others_made_to_break_a_rule(corpus: Path, name: str) -> None:
    severity, rule, word = CORPUS[name]
    table = lint(corpus / "certs" / name, datetime(2026, 1, 1, tzinfo=UTC))
    here = table[(table["severity"] == severity) & (table["rule"] == rule)]
    assert here["what"].str.contains(word, regex=False).any(), table.to_string()


WELL_MADE = (
    "zlint__crl_no_revoked_certs.pem",
    "zlint__crl_with_valid_extensions.pem",
    "zlint__crl_revocation_time_equals_this_update.pem",
)


@pytest.mark.parametrize("name", WELL_MADE)
def test_lists_that_others_made_well_are_not_called_wrong(corpus: Path, name: str) -> None:
    table = lint(corpus / "certs" / name, datetime(2020, 1, 1, tzinfo=UTC))
    wrong = table[(table["severity"] == "error") & ~table["what"].str.contains("begins only on")]
    assert wrong.empty, wrong.to_string()


def test_every_list_of_the_corpus_can_be_looked_at(corpus: Path) -> None:
    seen = 0
    for path in sorted((corpus / "certs").iterdir()):
        if "crls" in read(path).tables:
            table = lint(path)
            assert set(table["severity"]) <= {"error", "warning", "notice"}
            assert table["what"].str.len().between(20, 200).all()
            seen += 1
    assert seen > 150


def test_the_lists_of_a_microsoft_ca_break_no_rule(corpus: Path) -> None:
    for path in (corpus / "certs").glob("msca__*.crl"):
        table = lint(path, datetime(2018, 1, 1, tzinfo=UTC))
        assert not (table["severity"] == "error").any() or table["what"].str.contains("begins only on").any(), table


def test_a_list_that_was_handed_in_twice_is_one_list(tmp_path: Path) -> None:
    """As DER by one person and as PEM by another: nothing in it is listed more than once."""
    (tmp_path / "a.crl").write_bytes(TestCA(NOW).crl(Wish(entries={5: 1, 6: 4})))
    tables = read(tmp_path / "a.crl").tables
    lists, entries = (pd.concat([tables[name]] * 2, ignore_index=True) for name in ("crls", "crl_entries"))
    assert lint_crls(lists, entries, now=NOW).empty


def test_nothing_to_look_at() -> None:
    assert lint_crls(TABLES["crls"].empty(), TABLES["crl_entries"].empty(), now=NOW).empty
