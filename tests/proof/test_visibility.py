"""Until when clients may believe an old answer: told only where it is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from carecover.model import TABLES
from carecover.proof import clock_sentence, make_visibility, remaining, trusted_until
from carecover.proof.visibility import span

from .conftest import NOW, OWN, answer, crl

CERTIFICATE = {
    "certificate_sha256": "d" * 64,
    "serial": "07",
    "signed_by_ca": True,
    "authority_key_id": "aa",
    "crl_urls": ["http://a/ca.crl", "ldap:///CN=CA"],
    "ocsp_urls": ["http://ocsp/"],
}


def clock(**changes: Any) -> pd.DataFrame:
    """The table of a story in which CRL 412 was public and CRL 414 is new."""
    story: dict[str, Any] = {
        "certificates": [CERTIFICATE],
        "ca_certificates": [OWN],
        "before_crls": [crl("old", 412, next_update=NOW + timedelta(days=3))],
        "crls": [crl("new", 414)],
        "cdp_crls": [],
        "before_responses": [],
        "responses": [],
        "fetched": [],
    } | changes
    schemas = {"ca_certificates": "certificates", "before_crls": "crls", "cdp_crls": "crls"}
    schemas |= {"before_responses": "ocsp_responses", "responses": "ocsp_responses"}
    last = story.pop("last_public", {})
    frames = {name: TABLES[schemas.get(name, name)].frame(rows) for name, rows in story.items()}
    return make_visibility(**frames, last_public=last)


def row(table: pd.DataFrame, kind: str, url: str | None = "http://a/ca.crl") -> dict[str, Any]:
    """The row of one place."""
    here = table[(table["kind"] == kind) & (table["url"].isna() if url is None else table["url"] == url)]
    assert len(here) == 1, table
    return {str(name): value for name, value in here.to_dict("records")[0].items()}


def fetch(
    name: str, hour: int = 1, url: str = "http://a/ca.crl", kind: str = "crl", *, after: bool = True
) -> dict[str, object]:
    at = NOW + timedelta(hours=hour)
    return {"url": url, "sha256": name, "kind": kind, "fetched_at": at, "after_work": after}


def test_every_place_that_certificates_name_has_a_clock() -> None:
    table = clock()
    assert set(table["url"]) == {"http://a/ca.crl", "ldap:///CN=CA", "http://ocsp/"}
    for url in ("http://a/ca.crl", "ldap:///CN=CA"):
        assert row(table, "base", url)["trusted_until"] == pd.Timestamp(NOW + timedelta(days=3))
        assert pd.isna(row(table, "base", url)["current"])
    assert pd.isna(row(table, "ocsp", "http://ocsp/")["trusted_until"])
    assert "No old OCSP answer was handed in" in row(table, "ocsp", "http://ocsp/")["why"]
    assert trusted_until(table) == NOW + timedelta(days=3)


def test_without_any_named_place_the_clock_runs_all_the_same() -> None:
    table = clock(certificates=[])
    assert row(table, "base", None)["trusted_until"] == pd.Timestamp(NOW + timedelta(days=3))


def test_the_latest_end_counts_not_the_newest_list() -> None:
    table = clock(
        before_crls=[crl("old", 412, next_update=NOW), crl("older", 411, next_update=NOW + timedelta(days=9))]
    )
    assert trusted_until(table) == NOW + timedelta(days=9)


def test_the_end_of_a_list_that_nobody_handed_in_is_not_guessed() -> None:
    table = clock(last_public={"0": "413"})
    assert pd.isna(row(table, "base")["trusted_until"])
    assert "CRL 413 of the CA's key was public" in row(table, "base")["why"]
    assert trusted_until(table) is None
    nothing = clock(before_crls=[])
    assert "No old base CRL of the CA's key was handed in" in row(nothing, "base")["why"]
    assert trusted_until(nothing) is None
    assert trusted_until(TABLES["visibility"].empty()) is None


def test_an_old_list_that_only_verify_was_handed_counts_as_old() -> None:
    """Of the last public list only the number was known; then somebody finds the list itself."""
    known = {"last_public": {"0": "413"}}
    assert pd.isna(row(clock(**known), "base")["trusted_until"])
    found = [crl("new", 414), crl("found", 413, next_update=NOW + timedelta(days=5))]
    assert row(clock(**known, crls=found), "base")["trusted_until"] == NOW + timedelta(days=5)


def test_a_forged_list_does_not_move_the_clock() -> None:
    forged = crl("forged", 413, next_update=NOW + timedelta(days=36_500), signed_by_ca=False)
    table = clock(before_crls=[crl("old", 412, next_update=NOW + timedelta(days=3)), forged])
    assert trusted_until(table) == NOW + timedelta(days=3)


def test_old_deltas_have_their_own_clock() -> None:
    delta = crl("delta", 413, is_delta=True, base_crl_number="412", next_update=NOW + timedelta(days=4))
    delta |= {"urls": ["http://a/ca+.crl"]}
    table = clock(before_crls=[crl("old", 412, next_update=NOW), delta], last_public={"0": "412"})
    assert row(table, "delta", "http://a/ca+.crl")["trusted_until"] == pd.Timestamp(NOW + timedelta(days=4))
    assert trusted_until(table) == NOW + timedelta(days=4)


@pytest.mark.parametrize(
    ("fetched", "seen", "current"),
    [
        ([fetch("new")], "CRL 414, fetched 2026-03-06 13:00 UTC", True),
        ([fetch("old")], "CRL 412, fetched 2026-03-06 13:00 UTC", False),
        ([fetch("old", 1), fetch("new", 2)], "CRL 414, fetched 2026-03-06 14:00 UTC", True),
        ([fetch("new", 1), fetch("old", 2)], "CRL 412, fetched 2026-03-06 14:00 UTC", False),
        ([fetch("html")], "nothing that the CA signed with this key, fetched 2026-03-06 13:00 UTC", False),
        ([fetch("old", after=False)], None, None),
    ],
)
def test_what_was_fetched_there_is_told(
    fetched: list[dict[str, object]], seen: str | None, current: bool | None
) -> None:
    table = clock(fetched=fetched, cdp_crls=[crl("new", 414), crl("old", 412)])
    here = row(table, "base")
    assert (None if pd.isna(here["seen"]) else here["seen"]) == seen
    assert (None if pd.isna(here["current"]) else here["current"]) == current
    assert pd.isna(row(table, "base", "ldap:///CN=CA")["seen"])


def test_a_place_that_no_certificate_names_is_there_once_something_was_fetched_from_it() -> None:
    table = clock(fetched=[fetch("old", url="http://web2/ca.crl", after=False)])
    assert row(table, "base", "http://web2/ca.crl")["trusted_until"] == pd.Timestamp(NOW + timedelta(days=3))


def test_answers_from_before_the_new_list_are_old_ones() -> None:
    old = answer("good", this_update=NOW - timedelta(days=2), next_update=NOW + timedelta(days=5))
    late = answer("revoked", this_update=NOW, next_update=NOW + timedelta(days=8))
    table = clock(
        before_responses=[old], responses=[late], fetched=[fetch("answer-revoked", 1, "http://ocsp/", "ocsp")]
    )
    here = row(table, "ocsp", "http://ocsp/")
    assert here["trusted_until"] == pd.Timestamp(NOW + timedelta(days=5))
    assert here["current"] is True
    assert trusted_until(table) == NOW + timedelta(days=5)
    unsigned = clock(before_responses=[old | {"signed_by_ca": False}])
    assert pd.isna(row(unsigned, "ocsp", "http://ocsp/")["trusted_until"])


def test_each_key_has_its_own_places_and_lists() -> None:
    second = OWN | {"certificate_sha256": "e" * 64, "key_id": "bb", "ca_version": 1 << 16 | 1}
    table = clock(
        ca_certificates=[OWN, second],
        certificates=[CERTIFICATE, CERTIFICATE | {"authority_key_id": "bb", "crl_urls": ["http://a/ca(1).crl"]}],
        before_crls=[crl("old", 412), crl("old1", 9, ca_version=1 << 16, next_update=NOW + timedelta(days=30))],
    )
    assert row(table, "base", "http://a/ca(1).crl")["ca_key_index"] == 1
    assert row(table, "base", "http://a/ca(1).crl")["trusted_until"] == pd.Timestamp(NOW + timedelta(days=30))
    assert row(table, "base")["ca_key_index"] == 0


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (timedelta(days=3, hours=4, minutes=59), "3 days 4 h from now"), (timedelta(days=1), "1 day from now"),
        (timedelta(hours=2, minutes=10), "2 h 10 min from now"), (timedelta(minutes=12), "12 min from now"),
        (timedelta(seconds=1), "less than a minute from now"), (timedelta(0), "less than a minute ago"),
        (-timedelta(days=400), "400 days ago"),
    ],
)  # fmt: skip
def test_a_span_is_told_in_two_units(away: timedelta, words: str) -> None:
    assert span(NOW + away, NOW) == words


def test_the_clock_says_how_long_from_the_moment_it_is_read() -> None:
    table = clock()
    running, over = NOW + timedelta(hours=1), NOW + timedelta(days=4)
    assert set(remaining(table, running).query("kind == 'base'")["state"]) == {"running"}
    assert set(remaining(table, over).query("kind == 'base'")["state"]) == {"over"}
    assert set(remaining(table, over).query("kind == 'ocsp'")["state"]) == {"not known"}, "never guessed"
    assert "may still trust an old answer until" in clock_sentence(table, running)
    assert "2 days 23 h from now" in clock_sentence(table, running)
    assert "1 day ago" in clock_sentence(table, over)
    unknown = clock(last_public={"0": "413"})
    assert "is not known" in clock_sentence(unknown, over), "a list that nobody handed in keeps the clock open"
