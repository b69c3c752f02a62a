"""What verify takes, says and keeps: files of the CA, of distribution points, and odd ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from carecover.case import Case
from carecover.cli import main
from carecover.errors import RunError, UsageError
from tests.small_case import REVIEWER, Story

POINT = "http://pki.example/ca.crl"


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case whose plan was carried out, not verified yet, its bundle beside it."""
    place = tmp_path_factory.mktemp("mended")
    story = Story.begin(place / "story")
    case, host = story.copy("signed", place), story.host()
    case.batch(place / "bundle")
    if case.plan().needs_dummies:
        case.run(place / "bundle", on=host)
        case.pin(place / "bundle", by=REVIEWER)
    case.run(place / "bundle", on=host)
    return place


@pytest.fixture
def fresh(mended: Path, tmp_path: Path) -> Callable[[], tuple[Case, Path]]:
    """A copy of that case, and the folder of what came back."""

    def copy() -> tuple[Case, Path]:
        shutil.copytree(mended / "case", tmp_path / "case")
        begin = Case.open(mended / "case").table("evidence")["added_at"].max().to_pydatetime() + timedelta(hours=2)
        seconds = count()
        return Case.open(tmp_path / "case", clock=lambda: begin + timedelta(seconds=next(seconds))), mended / "bundle"

    return copy


Fresh = Callable[[], tuple[Case, Path]]


def old_crl(case: Case) -> Path:
    """The list that was public before the work, as the case keeps it."""
    row = case.table("evidence").set_index("kind").loc[["crl"]].iloc[0]
    return Path(row["path"])


def test_what_the_ca_wrote_and_what_clients_fetch_are_two_proofs(fresh: Fresh) -> None:
    case, bundle = fresh()
    outcomes = case.verify([bundle / "logs", bundle / "out"])
    assert set(outcomes["verdict"]) == {"proved"}
    assert outcomes["cdp"].isna().all()
    assert outcomes.attrs["notes"] == []

    outcomes = case.verify([old_crl(case)], fetched_from=POINT)
    changed = outcomes[outcomes["action"] == "revoke"]
    assert not (changed["verdict"] == "proved").all()
    pending = outcomes[outcomes["verdict"] == "pending"]
    assert pending["why"].str.contains("Clients cannot see it yet", regex=False).all()
    assert pending["why"].str.contains(f"at {POINT}, in force until", regex=False).all()
    clock = case.table("visibility").set_index("url")
    assert not clock.loc[POINT, "current"]

    outcomes = case.verify([bundle / "out" / "crl-0.crl"], fetched_from=POINT)
    assert set(outcomes["verdict"]) == {"proved"}
    assert outcomes["cdp"].str.contains(POINT, regex=False).all()
    assert case.table("visibility").set_index("url").loc[POINT, "current"]
    fetched = case.table("fetched")
    assert list(fetched["url"]) == [POINT, POINT]
    assert list(fetched["after_work"]) == [True, True]
    assert case.check() == []


def test_a_fetched_list_alone_is_not_what_the_ca_wrote(fresh: Fresh) -> None:
    case, bundle = fresh()
    outcomes = case.verify([bundle / "out" / "crl-0.crl"], fetched_from=POINT)
    assert set(outcomes["verdict"]) == {"pending"}
    assert outcomes["crl"].isna().all()


def test_an_error_page_instead_of_a_list_is_told(fresh: Fresh, tmp_path: Path) -> None:
    case, bundle = fresh()
    (tmp_path / "ca.crl").write_text("<html><h1>404 Not Found</h1></html>", encoding="ascii")
    case.verify([bundle / "logs", bundle / "out"])
    outcomes = case.verify([tmp_path / "ca.crl"], fetched_from=POINT)
    assert set(outcomes["verdict"]) == {"pending"}
    assert outcomes["why"].str.contains(f"what was fetched at {POINT} cannot be read as a CRL", regex=False).all()
    assert len(outcomes.attrs["notes"]) == 1


def test_a_list_that_is_cut_off_is_told_by_name(
    fresh: Fresh, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, bundle = fresh()
    (tmp_path / "cut.crl").write_bytes((bundle / "out" / "crl-0.crl").read_bytes()[:-100])
    outcomes = case.verify([tmp_path / "cut.crl"])
    (note,) = outcomes.attrs["notes"]
    assert "cut.crl" in note
    assert "cut off: 100 bytes are missing" in note
    assert set(outcomes["verdict"]) == {"pending"}
    assert main(["verify", str(case.path), str(tmp_path / "cut.crl")]) == 1
    assert "cut off: 100 bytes are missing" in capsys.readouterr().err


def test_an_old_list_may_be_added_with_the_place_it_was_copied_from(
    fresh: Fresh, capsys: pytest.CaptureFixture[str]
) -> None:
    case, _ = fresh()
    assert main(["add", str(case.path), str(old_crl(case)), "--fetched-from", POINT]) == 0
    capsys.readouterr()
    (row,) = case.table("fetched").to_dict("records")
    assert (row["url"], row["kind"], row["after_work"]) == (POINT, "crl", False)
    here = case.table("visibility").set_index("url").loc[POINT]
    assert here["kind"] == "base"
    assert pd.isna(here["current"]), "what was there before the work says nothing about now"


def test_what_is_no_place_is_refused_before_anything_is_taken(fresh: Fresh) -> None:
    case, bundle = fresh()
    before = len(case.table("fetched"))
    for url in ("", "ca.crl", "javascript:alert(1)", "http://user:pass@a/", "http://a/\x1b[2J", "C:\\ca.crl"):
        with pytest.raises(UsageError):
            case.verify([bundle / "out"], fetched_from=url)
        with pytest.raises(UsageError):
            case.add([bundle / "out"], fetched_from=url)
    with pytest.raises(UsageError):
        case.verify(ask_ocsp="file:///etc/passwd")
    assert len(case.table("fetched")) == before
    assert case.table("outcomes").empty


def test_a_responder_that_is_not_there_is_told_and_nothing_is_lost(
    fresh: Fresh, capsys: pytest.CaptureFixture[str]
) -> None:
    case, bundle = fresh()
    with pytest.raises(RunError, match="0 answers were kept"):
        case.verify([bundle / "logs", bundle / "out"], ask_ocsp="http://127.0.0.1:1/")
    assert set(case.table("outcomes")["verdict"]) == {"proved"}
    assert main(["verify", str(case.path), "--ask-ocsp", "http://127.0.0.1:1/"]) == 5
    assert "cannot be asked" in capsys.readouterr().err
    assert main(["verify", str(case.path)]) == 2


def test_what_the_new_list_changed_was_all_planned(fresh: Fresh) -> None:
    case, bundle = fresh()
    case.verify([bundle / "logs", bundle / "out"])
    changes = case.table("crl_changes")
    planned = {item.serial: item.action for item in case.plan().items}
    added = changes[changes["change"] == "added"]
    assert len(added) >= 5
    assert set(added["serial"]) <= {serial for serial, action in planned.items() if action == "revoke"}
    assert not (changes["verdict"] == "unexpected").any(), changes.to_string()


def test_lists_for_an_online_responder(fresh: Fresh, capsys: pytest.CaptureFixture[str]) -> None:
    case, bundle = fresh()
    items = case.plan().items
    local = case.table("local_crl")
    assert set(local["serial"]) == {item.serial for item in items if item.action == "revoke"}
    assert local["revoked_at"].notna().all()
    assert not local["proved"].any()
    case.verify([bundle / "logs", bundle / "out"])
    assert case.table("local_crl")["proved"].all()
    issued = case.table("issued_serials")
    rows = case.table("ca_rows")
    assert set(rows.loc[rows["disposition"].isin([20, 21]), "serial"]) <= set(issued["serial"])
    assert issued["serial"].is_unique
    assert main(["table", str(case.path), "local_crl"]) == 0
    assert capsys.readouterr().out.startswith("ca_key_index,serial,reason,revoked_at")


def test_an_undecided_case_has_nothing_for_a_local_crl(tmp_path: Path) -> None:
    case = Case.create(tmp_path / "empty", ca="CA")
    for name in ("local_crl", "visibility", "crl_changes", "crl_lint", "fetched", "issued_serials"):
        assert case.table(name).empty, name
