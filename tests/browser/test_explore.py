"""1-explore and 3-report in a real browser."""

from __future__ import annotations

from pathlib import Path

from tests.browser.lab import Desktop


def test_open_only(desktop: Desktop, album: Path) -> None:
    folder = desktop.lay_out("open")
    tab = desktop.tab(folder / "1-explore.ipynb")
    tab.run_all()
    tab.picture(album / "open.png")
