"""Incidents and an openssl that the tests of this room share."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from carecover.simulator.incident import Incident, Scenario, make_incident

OpenSsl = Callable[[Sequence[str | Path]], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def incident() -> Incident:
    """A small incident with everything in it."""
    return make_incident(Scenario(seed=5, certificates=160, lost=40, audit=True, originals=0.5))


@pytest.fixture(scope="session")
def openssl() -> OpenSsl:
    """Run the openssl command; the oracle for everything that is signed."""
    program = shutil.which("openssl")
    if program is None:
        if os.environ.get("CARECOVER_REQUIRE_ALL"):
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed")

    def run(arguments: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)

    return run
