"""One JupyterLab and one browser for all stories of this folder, told by one process.

Both end with the folder, not with the session: Playwright keeps an event loop running in the process, which would
stand in the way of other tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.lab import CHROMIUM, FLAGS, Desktop, Server, browsing, missing, pictures


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab, started as ``carecover lab`` starts it."""
    if lacking := missing():
        pytest.skip(lacking)
    begun = Server(tmp_path_factory.mktemp("lab"))
    yield begun
    begun.end()


@pytest.fixture(scope="package")
def browser(server: Server) -> Iterator[Browser]:  # noqa: ARG001 - skipped where there is none
    """Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        begun = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(FLAGS))
        yield begun
        begun.close()


@pytest.fixture
def desktop(server: Server, browser: Browser) -> Iterator[Desktop]:
    """A browser session; a story that asked for anything outside, or made a page complain, fails at its end."""
    with browsing(server, browser) as begun:
        yield begun


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """The folder that pictures go to."""
    return pictures(tmp_path)
