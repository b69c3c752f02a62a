"""One Wine for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wine.both import Both, Totals
from tests.wine.wine import Wine, missing

_TOTALS = Totals()


@pytest.fixture(scope="session")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wine]:
    """A prefix with the stand-ins; it takes some seconds and 700 MB, which are given back."""
    lacking = missing()
    if lacking:
        pytest.skip(lacking)
    with Wine.begin(tmp_path_factory.mktemp("wine")) as made:
        yield made


@pytest.fixture
def both(wine: Wine, tmp_path: Path) -> Both:
    """What tells a story to our interpreter and to Wine's cmd.exe, and compares."""
    return Both(wine, tmp_path, _TOTALS)


def _summary() -> list[str]:
    """How much was compared, and what Wine did not start: a repeated story is no secret."""
    if not _TOTALS.stories:
        return []
    compared = (
        f"Wine's cmd.exe and the interpreter agree: {_TOTALS.stories} stories, {_TOTALS.runs} runs of a script, "
        f"{_TOTALS.starts} starts of a program, {_TOTALS.calls} calls of certutil; "
        f"{len(_TOTALS.repeated)} repeated because Wine did not start a program."
    )
    return [compared, *_TOTALS.repeated]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where the tests run in processes of their own, the one that collects says it (tests/conftest.py)."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["said"] = _summary()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where all tests run in this process: here."""
    for line in _summary():
        terminalreporter.write_line(line)
