"""One simulated incident with random troubles, handed to a case, and its findings held against the truth.

Every trouble is drawn by the seed alone, so that a seed says everything that is needed to
see a failure again: ``python -m tests.truth_harness SEED`` prints it. What a finding kind
means is written in docs/accuracy.md.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd

from carecover import Case
from carecover.errors import QuestionError
from carecover.model import FINDING_KINDS
from carecover.simulator import Scenario, make_incident

# What tells one finding of a kind from another; the others are told by their serial number.
KEYS: Final[Mapping[str, str]] = {
    "reused_request_id": "request_id",
    "lost_pending": "request_id",
    "unaccounted_request": "request_id",
    "crl_number_regression": "ca_key_index",
}
FILTERABLE: Final = ("issued", "pending", "denied", "revoked", "retrieve_pending", "crl_issued", "startup")


def troubles(seed: int) -> dict[str, Any]:
    """The knobs of one incident, every trouble switched on or off at random."""
    draw = random.Random(f"troubles {seed}")

    def rarely(value: Any, other: Any, share: float) -> Any:
        return value if draw.random() < share else other

    days = draw.choice([2, 5, 9, 16])
    window = timedelta(days=days, seconds=draw.randrange(86_400))
    zones = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]
    zone = draw.choice(zones)
    knobs: dict[str, Any] = {
        "seed": seed,
        "certificates": draw.choice([12, 17, 25, 40, 60]),
        "window": window,
        "history": timedelta(days=draw.choice([30, 90, 300])),
        "crl_period": timedelta(days=draw.choice([1, 3, 7])),
        "ordinary_mail": draw.choice([0, 8]),
        "format": draw.choice(["mbox", "mbox", "mbox", "maildir", "eml"]),
        "serial_layout": draw.choice(["number", "number", "default", "string", "generated_string"]),
        "date_locale": draw.choice(["en-US", "de-DE", "en-GB", "ja-JP"]),
        "time_zone": zone,
        "gmt": draw.random() < 0.4,
        "encoding": draw.choice(["cp850", "utf-8", "utf-16"]),
        "renewal": draw.choice(["none", "none", "same_key", "new_key"]),
        "lost_renewal": draw.choice(["none", "none", "none", "same_key", "new_key"]),
        "lost_ca_found": draw.random() < 0.5,
        "mail": draw.random() < 0.93,
        "crl": draw.random() < 0.85,
        "delta_crls": draw.choice([0, 0, 1, 2]),
        "audit": draw.random() < 0.45,
        "audit_version": draw.choice([0, 1]),
        "audit_all": draw.random() < 0.5,
        "registry": draw.random() < 0.5,
        "originals": draw.choice([0.0, 0.3, 1.0]),
        "mail_carries_certificate": draw.choice([0.0, 0.25, 1.0]),
        "lost_mails": draw.choice([0.0, 0.0, 0.1, 0.5]),
        "smtp_outage": rarely(window * draw.choice([0.2, 0.4]), timedelta(), 0.3),
        "events_off": rarely(tuple(draw.sample(FILTERABLE, draw.choice([1, 2, 3]))), (), 0.2),
        "clock_offset": rarely(timedelta(minutes=draw.choice([-12, -5, 4, 9, 14])), timedelta(), 0.3),
        "facts_time_zone": rarely(draw.choice([z for z in zones if z != zone]), None, 0.15),
        "duplicates": rarely(draw.choice([0.2, 1.0]), 0.0, 0.3),
        "other_ca_mails": rarely(draw.choice([4, 12]), 0, 0.3),
        "recovery_mails": draw.random() < 0.3,
        "forged_issued": rarely(draw.choice([1, 2, 3]), 0, 0.5),
        "forged_revoked": rarely(draw.choice([1, 2, 3]), 0, 0.5),
        "perfect_issued": rarely(draw.choice([1, 2]), 0, 0.3),
        "perfect_revoked": rarely(draw.choice([1, 2, 3]), 0, 0.3),
        "failed": draw.choice([0, 0, 1, 3]),
        "not_persisted": draw.choice([0.0, 0.0, 0.1]),
        "passing_holds": draw.choice([None, 0, 2]),
        "after_restore": draw.choice([0, 3, 6]),
        "view": rarely(draw.choice(["filtered", "cut", "late"]), "whole", 0.15),
    }
    knobs["smtp_outage"] = timedelta(seconds=int(knobs["smtp_outage"].total_seconds()))
    return knobs


@dataclass
class Comparison:
    """What one incident showed, kind by kind, as keys (serials, request IDs, key indexes)."""

    right: dict[str, set[Any]] = field(default_factory=dict)
    """Found and true."""
    wrong: dict[str, set[Any]] = field(default_factory=dict)
    """Found, not true, and no forgery that nobody can tell."""
    missed: dict[str, set[Any]] = field(default_factory=dict)
    """True and not found."""
    fooled: dict[str, set[Any]] = field(default_factory=dict)
    """Found because of a forged mail that nobody can tell."""
    asked: str | None = None
    """The question that carecover asked instead of an answer."""
    warnings: list[str] = field(default_factory=list)
    """Aspects of the coverage that are not good."""
    broken: list[str] = field(default_factory=list)
    """Promises that were broken."""

    @property
    def problems(self) -> dict[str, Any]:
        """Everything that is not as it should be; empty where all is well."""
        told: dict[str, Any] = {f"wrong {kind}": sorted(keys) for kind, keys in self.wrong.items() if keys}
        told |= {f"missed {kind}": sorted(keys) for kind, keys in self.missed.items() if keys}
        return told | ({"broken": self.broken} if self.broken else {})


def examine(scenario: Scenario, folder: Path) -> Comparison:
    """Make an incident, hand it to a case, and compare; ``folder`` is new or empty."""
    make_incident(scenario).write(folder / "incident")
    facts = json.loads((folder / "incident" / "facts.json").read_text(encoding="utf-8"))
    truth = json.loads((folder / "incident" / "truth.json").read_text(encoding="utf-8"))
    case = Case.create(folder / "case", **facts)
    case.add([folder / "incident" / "evidence"])
    done = Comparison()
    try:
        findings = case.findings
    except QuestionError as question:
        done.asked = str(question)
        return done
    coverage = case.table("coverage")
    bad = coverage[coverage["verdict"] != "good"]
    done.warnings = [f"{row.aspect}: {row.why}" for row in bad.itertuples()]
    done.broken = list(_broken(findings, truth, scenario))
    if scenario.view == "whole":
        _compare(findings, truth, done)
    return done


def _compare(findings: pd.DataFrame, truth: dict[str, Any], done: Comparison) -> None:
    for kind in FINDING_KINDS:
        found = _keys(findings, kind)
        expected = set(truth["expected"][kind])
        fooling = set(truth["undetectable"].get(kind, ())) - expected
        allowed = set(truth["either"].get(kind, ()))
        done.right[kind] = found & expected
        done.wrong[kind] = found - expected - fooling - allowed
        done.missed[kind] = expected - found - allowed
        done.fooled[kind] = found & fooling


def _keys(findings: pd.DataFrame, kind: str) -> set[Any]:
    """What the findings of a kind are about; the finding's own name where it has no such key."""
    mine = findings[findings["kind"] == kind]
    key = mine[KEYS.get(kind, "serial")]
    return {
        name if pd.isna(value) else (int(value) if kind in KEYS else value)
        for name, value in zip(mine["finding_id"], key, strict=True)
    }


def _broken(findings: pd.DataFrame, truth: dict[str, Any], scenario: Scenario) -> Any:
    """Promises that hold whatever was handed in, however the view was made."""
    if not findings["finding_id"].is_unique:
        yield "a finding is there twice"
    if not all(findings["evidence"].map(len) > 0):
        yield "a finding has no evidence"
    about_rows = {item["serial"] for item in truth["forgeries"] if item["about_row"]}
    forged = {item["serial"] for item in truth["forgeries"]}
    proved = {
        item["serial"]
        for item in (*truth["lost"], *truth["lost_revocations"])
        if {"crl", "delta", "audit"} & set(item.get("revocation_shown_by", item["shown_by"]))
    }
    for row in findings[findings["suggested_action"].notna()].itertuples():
        if row.serial in forged and not (scenario.view == "cut" and row.serial in about_rows):
            yield f"a forged mail led to a suggestion: {row.suggested_action} {row.serial} ({row.kind})"
        if row.suggested_action == "revoke" and scenario.view == "whole" and row.serial not in proved:
            yield f"revoke is suggested without proof: {row.serial} ({row.kind})"


def main() -> None:
    """Print one seed's troubles and what came of them."""
    for seed in map(int, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            knobs = troubles(seed)
            done = examine(Scenario(**knobs), Path(folder))
        sys.stdout.write(f"{seed}: {knobs}\n  {done.problems or 'as it should be'} {done.asked or ''}\n")


if __name__ == "__main__":
    main()
