"""The stories would notice a precaution that is not there: each is taken out of the batches, and a story must fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutated import MUTANTS, VARIABLE, mutate

ROOT = Path(__file__).resolve().parent.parent
STORIES = (
    "tests/test_precautions.py",
    "tests/wine/test_batches.py",
    "tests/wine/test_scenarios.py",
    "tests/wine/test_doubts.py",
    "tests/wine/test_longer.py",
    "tests/test_rehearsal.py",
    "tests/remediation/test_longer.py",
    "tests/test_interleavings.py",
)
FAILED = 1


@pytest.mark.thorough
@pytest.mark.parametrize("name", MUTANTS)
def test_a_precaution_that_is_taken_out_is_missed(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.mutated", "-p", "no:cacheprovider"]
    told = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'told'}", *STORIES],
        cwd=ROOT,
        env={**os.environ, VARIABLE: name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == FAILED, told.stdout[-2000:] + told.stderr[-2000:]


def test_a_mutant_of_what_is_in_no_batch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MUTANTS, "nowhere", ("what no batch says", ""))
    with pytest.raises(ValueError, match="no batch holds"):
        mutate("nowhere")
