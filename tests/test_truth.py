"""Findings equal the truth: whole incidents, any switches, from evidence on disk to the table.

One list of switches for every seed, drawn by the seed itself, so that a failing seed says
everything that is needed to see it again. The normal run takes 20 incidents of the plain
kind and 30 with switches; ``start.py test --thorough`` takes 200 and 300.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from carecover import Case
from carecover.demo import demo_scenario
from carecover.simulator import Scenario, make_incident

KINDS = ("orphaned", "lost_revocation", "lost_release", "serial_conflict")


def differences(scenario: Scenario, folder: Path) -> dict[str, tuple[set[str], set[str]]]:
    """Kind → (found but not true, true but not found), empty where findings equal the truth."""
    make_incident(scenario).write(folder / "incident")
    facts = json.loads((folder / "incident" / "facts.json").read_text(encoding="utf-8"))
    case = Case.create(folder / "case", **facts)
    case.add([folder / "incident" / "evidence"])
    findings = case.findings
    expected = json.loads((folder / "incident" / "truth.json").read_text(encoding="utf-8"))["expected"]
    wrong: dict[str, tuple[set[str], set[str]]] = {}
    for kind in KINDS:
        found = set(findings.loc[findings["kind"] == kind, "serial"])
        if found != set(expected[kind]):
            wrong[kind] = (found - set(expected[kind]), set(expected[kind]) - found)
    assert findings["finding_id"].is_unique
    assert all(findings["evidence"].map(len) > 0)
    return wrong


def switches(seed: int) -> dict[str, Any]:
    draw = random.Random(seed)
    return {
        "certificates": draw.choice([10, 11, 17, 30, 60, 120, 200]),
        "serial_layout": draw.choice(["number", "number", "default", "string", "generated_string"]),
        "date_locale": draw.choice(["en-US", "de-DE"]),
        "gmt": draw.random() < 0.3,
        "encoding": draw.choice(["cp850", "utf-8", "utf-16"]),
        "renewal": draw.choice(["none", "none", "same_key", "new_key"]),
        "lost_renewal": draw.choice(["none"] * 6 + ["new_key"]),
        "mail": draw.random() < 0.85,
        "crl": draw.random() < 0.8,
        "audit": draw.random() < 0.4,
        "originals": draw.choice([0.0, 0.3, 1.0]),
        "mail_carries_certificate": draw.choice([0.0, 0.25, 1.0]),
        "lost_mails": draw.choice([0.0, 0.0, 0.1, 0.5]),
        "after_restore": draw.choice([0, 3, 6]),
    }


def demonstration(seed: int) -> Scenario:
    """The demonstration as it would be at some time of some day, summer and winter."""
    return demo_scenario(seed, datetime(2026, 1, 5, tzinfo=UTC) + timedelta(hours=43 * seed, minutes=7 * seed))


@pytest.mark.parametrize("seed", range(1, 21))
def test_the_demonstrations_findings_equal_its_truth(seed: int, tmp_path: Path) -> None:
    assert not differences(demonstration(seed), tmp_path)


@pytest.mark.parametrize("seed", range(30))
def test_findings_equal_the_truth_whatever_the_switches(seed: int, tmp_path: Path) -> None:
    assert not differences(Scenario(seed=seed, **switches(seed)), tmp_path), switches(seed)


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
    assert not differences(Scenario(seed=7, **only), tmp_path)


@pytest.mark.parametrize("form", ["maildir", "eml"])
def test_the_form_of_the_mailbox_does_not_matter(form: Any, tmp_path: Path) -> None:
    assert not differences(Scenario(seed=3, certificates=60, format=form, ordinary_mail=20), tmp_path)


def test_a_zipped_mailbox_is_rejected_with_a_reason_and_never_skipped(tmp_path: Path) -> None:
    make_incident(Scenario(seed=3, certificates=20, format="zip")).write(tmp_path / "incident")
    case = Case.create(tmp_path / "case")
    assert case.add([tmp_path / "incident" / "evidence" / "mail"])["rejected"].sum() == 1
    assert "zip" in case.table("rejects")["reason"].iloc[0]


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(21, 201))
def test_the_findings_of_200_demonstrations_equal_their_truth(seed: int, tmp_path: Path) -> None:
    assert not differences(demonstration(seed), tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(30, 300))
def test_findings_equal_the_truth_for_many_switches(seed: int, tmp_path: Path) -> None:
    assert not differences(Scenario(seed=seed, **switches(seed)), tmp_path), switches(seed)


@pytest.mark.thorough
def test_a_large_incident_is_found_as_well(tmp_path: Path) -> None:
    assert not differences(Scenario(seed=1, certificates=20_000, lost=500, ordinary_mail=1000), tmp_path)
