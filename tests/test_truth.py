"""Findings equal the truth: whole incidents with every trouble, from evidence on disk to the table.

One list of troubles for every seed, drawn by the seed itself, so that a failing seed says
everything that is needed to see it again (``python -m tests.truth_harness SEED``). The
normal run takes 50 incidents, ``start.py test --thorough`` takes 1,000 and holds
docs/accuracy.md against them; CARECOVER_UPDATE_GOLDENS=1 writes the page anew.
"""

from __future__ import annotations

import difflib
import os
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from carecover import Case
from carecover.demo import demo_scenario
from carecover.model import FINDING_KINDS
from carecover.simulator import Scenario, make_incident
from tests.truth_harness import Comparison, accuracy_page, examine, examine_seed, troubles

ACCURACY = Path(__file__).resolve().parent.parent / "docs" / "accuracy.md"
NORMAL, THOROUGH = 50, 1_000


def demonstration(seed: int) -> Scenario:
    """The demonstration as it would be at some time of some day, summer and winter."""
    return demo_scenario(seed, datetime(2026, 1, 5, tzinfo=UTC) + timedelta(hours=43 * seed, minutes=7 * seed))


@pytest.mark.parametrize("seed", range(NORMAL))
def test_findings_equal_the_truth_whatever_the_troubles(seed: int, tmp_path: Path) -> None:
    problems = examine_seed(seed, tmp_path).problems
    assert not problems, f"{problems}\n{troubles(seed)}"


@pytest.mark.parametrize("seed", range(1, 4))
def test_the_demonstrations_findings_equal_its_truth(seed: int, tmp_path: Path) -> None:
    assert not examine(demonstration(seed), tmp_path).problems


@pytest.mark.parametrize(
    "only",
    [
        {"mail": False, "audit": False},
        {"mail": False, "crl": False, "audit": True},
        {"mail": False, "crl": False, "originals": 1.0},
        {"crl": False, "originals": 0.0},
    ],
    ids=["crl and found files", "audit", "found files alone", "mail alone"],
)
def test_one_kind_of_evidence_is_enough_for_what_it_shows(only: dict[str, Any], tmp_path: Path) -> None:
    done = examine(Scenario(seed=7, certificates=60, **only), tmp_path)
    assert not done.problems
    assert done.right["orphaned"]


def test_nobody_can_tell_a_perfect_forgery_and_it_is_left_to_a_person(tmp_path: Path) -> None:
    done = examine(Scenario(seed=2, certificates=60, perfect_issued=3, perfect_revoked=4, failed=6), tmp_path)
    assert not done.problems
    assert done.fooled["orphaned"], "the mails look like any other"
    assert done.fooled["lost_revocation"]
    assert done.right["suspect_notification"], "a CRL contradicts those that are dated before it"


def test_a_zipped_mailbox_tells_what_the_mailbox_tells(tmp_path: Path) -> None:
    found = []
    for form in ("mbox", "zip"):
        make_incident(Scenario(seed=3, certificates=20, format=form)).write(tmp_path / form)
        case = Case.create(tmp_path / f"case of {form}")
        accounting = case.add([tmp_path / form / "evidence"])
        findings = case.findings[["kind", "serial", "request_id", "confidence"]]
        found.append((int(accounting["units"].sum()), findings.to_dict("records")))
    assert found[0] == found[1]
    assert found[0][1]


# ---------------------------------------------------------------------------- the harness itself


def test_a_seed_alone_draws_its_troubles_and_all_of_them_are_drawn() -> None:
    drawn = [troubles(seed) for seed in range(NORMAL)]
    assert drawn == [troubles(seed) for seed in range(NORMAL)]
    plain = Scenario()
    for name in drawn[0]:
        values = {repr(knobs[name]) for knobs in drawn}
        assert len(values) > 1, f"{name} is the same for every seed"
    never = {name for name in Scenario.__dataclass_fields__ if all(name not in knobs for knobs in drawn)}
    assert never <= {
        "lost", "language", "failure", "lost_revocations", "revoked_lost", "holds", "releases", "late_approvals",
        "pending", "denied", "mail_wording",
    }  # fmt: skip
    assert plain.view == "whole"


def test_the_page_counts_what_was_missed_wrong_and_forged() -> None:
    nothing: dict[str, set[Any]] = {kind: set() for kind in FINDING_KINDS}
    happened = dict.fromkeys(FINDING_KINDS, 4)
    one = Comparison(
        right={**nothing, "orphaned": {"aa", "bb"}},
        wrong={**nothing, "lost_pending": {7}},
        missed={**nothing, "orphaned": {"cc"}},
        fooled={**nothing, "orphaned": {"dd", "ee"}},
        happened=happened,
    )
    late = Comparison(view="late", misleading=True, broken=["a late view is taken"])
    page = accuracy_page({3: one, 4: late})
    assert "| orphaned | 3 | 2 | 1 | 0 | 0.6667 | 1 | 2 | 0.5000 |" in page
    assert "| lost_pending | 0 | 0 | 0 | 1 | – | 0.0000 | 0 | 0.0000 |" in page
    assert "| orphaned | 4 | 3 |" in page
    assert "| late | 1 | 1 | 0 | 0 | 1 |" in page
    assert "- seed 4: a late view is taken" in page
    assert "- seed 3: missed orphaned cc" in page


# ------------------------------------------------------------------------------------ thorough


@pytest.mark.thorough
def test_the_findings_of_1000_incidents_equal_the_truth_and_the_page_says_so(tmp_path: Path) -> None:
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        done = list(pool.map(partial(examine_seed, folder=tmp_path), range(THOROUGH), chunksize=5))
    results = dict(enumerate(done))
    page = accuracy_page(results)
    if os.environ.get("CARECOVER_UPDATE_GOLDENS"):
        ACCURACY.write_text(page, encoding="utf-8")
    kept = ACCURACY.read_text(encoding="utf-8") if ACCURACY.exists() else ""
    diff = "\n".join(difflib.unified_diff(kept.splitlines(), page.splitlines(), "docs", "now", lineterm=""))
    assert not diff, f"Refresh with CARECOVER_UPDATE_GOLDENS=1:\n{diff[:3000]}"
    assert not {seed: each.problems for seed, each in results.items() if each.problems}


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(4, 201))
def test_the_findings_of_200_demonstrations_equal_their_truth(seed: int, tmp_path: Path) -> None:
    assert not examine(demonstration(seed), tmp_path).problems


@pytest.mark.thorough
def test_a_large_incident_is_found_as_well(tmp_path: Path) -> None:
    many: dict[str, Any] = {
        "forged_issued": 20,
        "forged_revoked": 20,
        "perfect_issued": 5,
        "perfect_revoked": 9,
        "failed": 40,
    }
    scenario = Scenario(seed=1, certificates=20_000, lost=500, ordinary_mail=1000, lost_mails=0.1, **many)
    assert not examine(scenario, tmp_path).problems
