"""What every test may use: the corpus of real files, and one rule about what is missing.

A test that needs a file or program which is not here is skipped and says so; with
CARECOVER_REQUIRE_ALL set (CI sets it) every such skip is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def corpus_folder() -> Path | None:
    """Where the real captures lie: CARECOVER_CORPUS, else ../shared/corpus; None where they are not."""
    place = Path(os.environ.get("CARECOVER_CORPUS") or REPOSITORY.parent / "shared" / "corpus")
    return place if place.is_dir() else None


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The corpus of real files that nobody here wrote."""
    place = corpus_folder()
    if place is None:
        pytest.skip("The corpus of real files is not here: set CARECOVER_CORPUS.")
    return place


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn every skip into a failure where everything is required."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CARECOVER_REQUIRE_ALL"):
        reason = str(call.excinfo.value) if call.excinfo else "skipped"
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CARECOVER_REQUIRE_ALL forbids that: {reason}"
    return report
