"""The sample incident is what the simulator makes, byte for byte, and carecover finds its truth."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from carecover import Case
from carecover.simulator import Scenario, make_incident

SAMPLES = Path(__file__).resolve().parent.parent / "data" / "samples"
SCENARIO = Scenario(seed=7, certificates=40, lost=8, ordinary_mail=12, audit=True)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_sample_is_made_by_the_simulator(tmp_path: Path) -> None:
    make_incident(SCENARIO).write(tmp_path / "incident")
    if os.environ.get("CARECOVER_UPDATE_GOLDENS"):
        shutil.rmtree(SAMPLES / "incident", ignore_errors=True)
        shutil.copytree(tmp_path / "incident", SAMPLES / "incident")
    made, kept = bytes_of(tmp_path / "incident"), bytes_of(SAMPLES / "incident")
    assert sorted(made) == sorted(kept)
    assert [name for name in made if made[name] != kept[name]] == []


def test_the_sample_is_small_and_complete() -> None:
    files = bytes_of(SAMPLES / "incident")
    assert sum(map(len, files.values())) < 400_000
    assert {name.split("/")[0] for name in files} == {"evidence", "facts.json", "truth.json"}


def test_carecover_finds_the_samples_truth(tmp_path: Path) -> None:
    facts = json.loads((SAMPLES / "incident" / "facts.json").read_text(encoding="utf-8"))
    case = Case.create(tmp_path / "case", **facts)
    accounting = case.add([SAMPLES / "incident" / "evidence"])
    assert (accounting["units"] == accounting[["parsed", "irrelevant", "duplicate", "rejected"]].sum(axis=1)).all()
    expected = json.loads((SAMPLES / "incident" / "truth.json").read_text(encoding="utf-8"))["expected"]
    for kind in ("orphaned", "lost_revocation", "lost_release"):
        assert set(case.findings.loc[case.findings["kind"] == kind, "serial"]) == set(expected[kind])
