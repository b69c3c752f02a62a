"""What every test may use: the corpus of real files, and one rule about what is missing.

A test that needs a file or program which is not here is skipped and says so; with
CARECOVER_REQUIRE_ALL set (CI sets it) every such skip is a failure.

The whole suite runs in one process for each processor. The stories of tests/wine share one Wine, so they go to one
process, and first: nothing else takes as long. Those of tests/browser share one JupyterLab and one browser.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent
_WINE, _BROWSER = Path(__file__).with_name("wine"), Path(__file__).with_name("browser")
# No test may depend on how fast the machine is at the moment.
settings.register_profile("carecover", deadline=None)
settings.load_profile("carecover")
# What a process of its own has to say at the end.
SAID_BY_WORKERS = pytest.StashKey[list[str]]()


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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The stories of Wine first, and all of them to the process that has the Wine; likewise those of the browser."""
    for item in items:
        for folder in (_WINE, _BROWSER):
            if item.path.is_relative_to(folder):
                item.add_marker(pytest.mark.xdist_group(folder.name))
    items.sort(key=lambda item: not item.path.is_relative_to(_WINE))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Whole files are no names of tests: a time in them would be another for each process."""
    return argname if isinstance(val, bytes) and len(val) > 60 else None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ARG001 - the names are the hook's
    """Keep what a process wants to say in the summary; one that crashed says nothing."""
    node.config.stash.setdefault(SAID_BY_WORKERS, []).extend(getattr(node, "workeroutput", {}).get("said", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it."""
    for line in terminalreporter.config.stash.get(SAID_BY_WORKERS, []):
        terminalreporter.write_line(line)


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
