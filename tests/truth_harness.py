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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd

from carecover import Case
from carecover.errors import QuestionError
from carecover.model import FINDING_KINDS
from carecover.simulator import Incident, Scenario, make_incident

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


# Aspects of the coverage by which carecover says that a view is not the whole database.
VIEW_ASPECTS: Final = ("database view", "filter of the view", "end of the view", "rows that look imported")
# Of certificates that are older than the backup: that they lie behind the view's last row, and not only that they lack.
BEHIND_THE_END: Final = "above the view's last"


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
    happened: dict[str, int] = field(default_factory=dict)
    """How many there really were, whether or not anything shows them."""
    view: str = "whole"
    asked: str | None = None
    """The question that carecover asked instead of an answer."""
    warned: bool = False
    """The coverage says that the view is not the whole database."""
    misleading: bool = False
    """The view is not the whole database, and the rest of the evidence shows that."""
    broken: list[str] = field(default_factory=list)
    """Promises that were broken."""

    @property
    def problems(self) -> dict[str, Any]:
        """Everything that is not as it should be; empty where all is well."""
        told: dict[str, Any] = {f"wrong {kind}": sorted(keys, key=str) for kind, keys in self.wrong.items() if keys}
        told |= {f"missed {kind}": sorted(keys, key=str) for kind, keys in self.missed.items() if keys}
        return told | ({"broken": self.broken} if self.broken else {})


def examine(scenario: Scenario, folder: Path) -> Comparison:
    """Make an incident, hand it to a case, and compare; ``folder`` is new or empty."""
    incident = make_incident(scenario)
    incident.write(folder / "incident")
    facts = json.loads((folder / "incident" / "facts.json").read_text(encoding="utf-8"))
    truth = json.loads((folder / "incident" / "truth.json").read_text(encoding="utf-8"))
    case = Case.create(folder / "case", **facts)
    case.add([folder / "incident" / "evidence"])
    done = Comparison(view=scenario.view, misleading=_misleading(incident))
    try:
        findings = case.findings
    except QuestionError as question:
        done.asked = str(question)
        if scenario.view == "whole":
            done.broken.append(f"a whole view is asked about: {question}")
        return done
    coverage = case.table("coverage")
    told = coverage[coverage["verdict"] != "good"]
    done.warned = bool(
        (told["aspect"].isin(VIEW_ASPECTS) | told["why"].str.contains(BEHIND_THE_END, regex=False)).any()
    )
    done.broken += _broken(findings, truth, scenario)
    if scenario.view == "whole":
        _compare(findings, truth, done)
    elif done.misleading and not done.warned:
        done.broken.append(f"a {scenario.view} view is taken for the whole database, and nothing warns of it")
    return done


def _misleading(incident: Incident) -> bool:
    """Whether the evidence shows that the view is not the database right after the restore."""
    h, traces = incident.history, incident.traces
    match incident.scenario.view:
        case "filtered":
            return True
        case "late":
            return any(step.row is not None for step in incident.mending.steps)
        case "cut":
            held = {row.request_id for row in incident.view_rows}
            cut = (i for i in range(2, h.last_before + 1) if i not in held and h.life.persists(i))
            return any(
                h.is_issued(i) and h.issued_at(i) < h.backup and (traces.mails_about(i) or traces.audited(i))
                for i in cut
            )
        case _:
            return False


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
    renewals = {item["serial"] for item in truth["lost"] if item["ca_cert_index"] >= _held(truth)}
    lost = {item["serial"] for item in (*truth["lost"], *truth["not_persisted"])}
    done.happened = {
        "orphaned": len(lost - renewals - set(truth["collisions"])),
        "lost_revocation": len(truth["lost_revocations"]),
        "lost_release": len(truth["lost_releases"]),
        "serial_conflict": len(truth["collisions"]),
    }


def _held(truth: dict[str, Any]) -> int:
    """How many CA certificates the restored CA has."""
    return min((item["ca_cert_index"] for item in truth["lost_ca_certificates"]), default=1 << 16)


def _keys(findings: pd.DataFrame, kind: str) -> set[Any]:
    """What the findings of a kind are about; the finding's own name where it has no such key."""
    mine = findings[findings["kind"] == kind]
    key = mine[KEYS.get(kind, "serial")]
    return {
        name if pd.isna(value) else (int(value) if kind in KEYS else value)
        for name, value in zip(mine["finding_id"], key, strict=True)
    }


def _broken(findings: pd.DataFrame, truth: dict[str, Any], scenario: Scenario) -> Iterator[str]:
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


def examine_seed(seed: int, folder: Path) -> Comparison:
    """The incident of one seed; what it leaves on disk is taken away."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        return examine(Scenario(**troubles(seed)), Path(place))


# ------------------------------------------------------------------------------- the page

_INTRODUCTION: Final = """# How accurate the findings are

Made by `CARECOVER_UPDATE_GOLDENS=1 python3 start.py test --thorough tests/test_truth.py` from {incidents} simulated
incidents. The seed of each switches every trouble on or off (`tests/truth_harness.py`): lost mails, an SMTP outage,
events switched off, forged issued and revoked mails, mails of another CA, duplicates and forwarded copies, mails of the
recovery itself, reused request IDs, serials of a constant prefix, two CA keys, a lost renewal, undone revocations and
releases, delta CRLs, event 4887 with and without a serial number, templates that keep certificates out of the database,
a clock that is off, a wrong time zone, a view that is filtered, cut or made too late.

These are figures about simulated incidents. They show that the reasoning follows from its assumptions, not how well
those fit a real CA (docs/limitations.md).

- *true*: what perfect reading of the evidence shows. What nothing shows is not counted here, but below.
- *missed*: true, and not found. *wrong*: found, not true. Recall is found / true, precision is right / all found.
- What can be read both ways counts neither for nor against: a forgery that some would believe, a key that is lost too.
- *forged*: found because of a forged mail that nobody can tell from a true one by the mail alone. Such a finding is for
  a person to decide. The last column is the precision if they are counted as wrong.
"""


def accuracy_page(results: Mapping[int, Comparison]) -> str:
    """docs/accuracy.md, from the comparisons of all seeds."""
    whole = [done for done in results.values() if done.view == "whole"]
    lines = [
        _INTRODUCTION.format(incidents=f"{len(results):,}"),
        f"## By kind of finding ({len(whole):,} incidents with the whole view)",
        "",
        "| kind | true | found | missed | wrong | recall | precision | forged | precision, forged counted |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in FINDING_KINDS:
        right, wrong, missed, fooled = (
            sum(len(getattr(done, name).get(kind, ())) for done in whole)
            for name in ("right", "wrong", "missed", "fooled")
        )
        figures = [right + missed, right, missed, wrong]
        shares = [_share(right, right + missed), _share(right, right + wrong)]
        last = [f"{fooled:,}", _share(right, right + wrong + fooled)] if fooled else ["0", shares[1]]
        lines.append("| " + " | ".join([kind, *(f"{n:,}" for n in figures), *shares, *last]) + " |")
    lines += ["", "## What no evidence shows", ""]
    lines += [
        "Mails get lost, logs are off, nobody finds the file: then nothing can be found, by whatever tool.",
        "",
        "| kind | happened | shown by something |",
        "|---|---|---|",
    ]
    for kind in ("orphaned", "lost_revocation", "lost_release", "serial_conflict"):
        happened = sum(done.happened[kind] for done in whole)
        shown = sum(len(done.right[kind]) + len(done.missed[kind]) for done in whole)
        lines.append(f"| {kind} | {happened:,} | {shown:,} |")
    lines += ["", "## Views that are not the database right after the restore", ""]
    lines += [
        "Misleading: the rest of the evidence shows that rows are not there, or that the mending had begun.",
        "",
        "| view | incidents | misleading | asked about | warned of in the coverage | taken in silence |",
        "|---|---|---|---|---|---|",
    ]
    for view in ("filtered", "cut", "late"):
        mine = [done for done in results.values() if done.view == view]
        bad = [done for done in mine if done.misleading]
        asked = sum(done.asked is not None for done in bad)
        warned = sum(done.asked is None and done.warned for done in bad)
        lines.append(f"| {view} | {len(mine)} | {len(bad)} | {asked} | {warned} | {len(bad) - asked - warned} |")
    broken = [f"- seed {seed}: {text}" for seed, done in sorted(results.items()) for text in done.broken]
    lines += ["", "## Promises", ""]
    lines += [
        "In no incident may a forged mail lead to a suggestion, a revocation be suggested that neither a signed CRL",
        "nor event 4870 shows, a finding be without evidence, or a misleading view be taken in silence. Broken:",
        "",
        *(broken or ["Never."]),
    ]
    lines += ["", "## What was missed, and what was wrong", ""]
    told = [
        f"- seed {seed}: {what} {', '.join(map(str, keys[:5]))}{' …' if len(keys) > 5 else ''}"
        for seed, done in sorted(results.items())
        for what, keys in done.problems.items()
        if what != "broken"
    ]
    lines += told or ["Nothing."]
    return "\n".join(lines) + "\n"


def _share(part: int, whole: int) -> str:
    """A share to four places, never rounded up to 1."""
    if not whole:
        return "–"
    return "1" if part == whole else f"{min(part / whole, 0.9999):.4f}"


def main() -> None:
    """Print one seed's troubles and what came of them."""
    for seed in map(int, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            knobs = troubles(seed)
            done = examine(Scenario(**knobs), Path(folder))
        sys.stdout.write(f"{seed}: {knobs}\n  {done.problems or 'as it should be'} {done.asked or ''}\n")


if __name__ == "__main__":
    main()
