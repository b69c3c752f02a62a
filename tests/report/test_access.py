"""Who cannot see the page reads it too: axe-core looks at it in Chromium, poppler at the structure of the PDF.

axe-core comes with the grid's tools (grid/package.json, for tests only). No free tool judges PDF/UA as a whole here
(veraPDF is in no registry that we reach): the PDF is written as PDF/UA-1 by WeasyPrint, and what poppler can tell of it
is checked.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import pytest

from carecover.report import make_document, render, render_html

from . import sample

CHROMIUM: Final = Path("/usr/bin/chromium")
AXE: Final = Path(__file__).parents[2] / "grid" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, once for all pages."""
    if not CHROMIUM.is_file() or not AXE.is_file():
        pytest.skip(f"There is no {CHROMIUM}, or no axe-core in grid/node_modules (start.py builds the grid by npm).")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        begun = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield begun
        begun.close()


def complaints(browser: Any, html: str, scheme: Literal["light", "dark"], width: int) -> list[str]:
    """What axe-core has against a page."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True)
    try:
        page = context.new_page()
        page.set_content(html)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run({resultTypes: ['violations']})")
        assert len(found["passes"]) > 20
        # A page may be wider than the window only inside its own boxes.
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]
    finally:
        context.close()


@pytest.mark.parametrize(
    ("name", "language", "scheme", "width"),
    [("realistic", "de", "light", 1280), ("empty", "en", "dark", 400)],
)
def test_nothing_in_the_page_keeps_anybody_out(
    browser: Any, name: str, language: str, scheme: Literal["light", "dark"], width: int
) -> None:
    html = render_html(make_document(**getattr(sample, name)(), language=language))
    assert complaints(browser, html, scheme, width) == []


@pytest.mark.thorough
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", ["realistic", "hostile"])
def test_nothing_in_any_page_keeps_anybody_out(
    browser: Any, name: str, scheme: Literal["light", "dark"], width: int
) -> None:
    html = render_html(make_document(**getattr(sample, name)()))
    assert complaints(browser, html, scheme, width) == []


def test_a_page_that_keeps_somebody_out_would_be_told(browser: Any) -> None:
    html = (
        render_html(make_document(**sample.empty())).replace('<html lang="en">', "<html>").replace("58656f", "d0d0d0")
    )
    assert {found.split(":")[0] for found in complaints(browser, html, "light", 1280)} == {
        "color-contrast",
        "html-has-lang",
    }


# ------------------------------------------------------------------------------------------------ the PDF

needs_pdf: Final = pytest.mark.skipif(
    importlib.util.find_spec("weasyprint") is None or shutil.which("pdfinfo") is None,
    reason="no WeasyPrint or no poppler is here",
)


@pytest.fixture(scope="module")
def pdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The realistic report, in German, with a word of 10,000 letters in it."""
    case = sample.realistic()
    case["tables"]["findings"].loc[0, "subject"] = "W" * 10_000
    place = tmp_path_factory.mktemp("pdf") / "report.pdf"
    told = {"cause": "X" * 8_000, "lessons": f"{'Y' * 4_000} | Eva | 2026-12-31"}
    place.write_bytes(render(make_document(**case, language="de", told=told), ".pdf", {}))
    return place


def told_by(tool: str, *options: str) -> str:
    """What a tool of poppler says."""
    return subprocess.run([tool, *options], check=True, capture_output=True, timeout=120).stdout.decode()


@needs_pdf
def test_a_pdf_can_be_read_aloud(pdf: Path) -> None:
    """PDF/UA-1: headings in order, a header for each cell, items in lists, every letter known as a character."""
    lines = told_by("pdfinfo", "-struct", str(pdf)).splitlines()
    kinds = [found[1] for line in lines if (found := re.match(r" *([A-Z][A-Za-z0-9]*)\b", line))]
    levels = [int(kind[1]) for kind in kinds if re.fullmatch("H[1-6]", kind)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert sum("/Headers" in line for line in lines) == kinds.count("TD") > 500
    assert kinds.count("TH") > kinds.count("Table") == kinds.count("THead") > 10
    assert kinds.count("LI") == kinds.count("LBody")
    assert kinds.count("Figure") == 1
    assert 'pdfuaid:part="1"' in told_by("pdfinfo", "-meta", str(pdf))
    fonts = told_by("pdffonts", str(pdf)).splitlines()[2:]
    assert fonts
    for font in fonts:
        embedded, _, known = font.split()[-5:-2]
        assert (embedded, known) == ("yes", "yes"), font


@needs_pdf
def test_no_long_word_leaves_its_cell_and_the_summary_is_one_page(pdf: Path) -> None:
    boxes = told_by("pdftotext", "-bbox", str(pdf), "-")
    pages = boxes.split("<page ")[1:]
    assert "Zusammenfassung" in pages[0]
    assert "Abbildung" in pages[0]
    assert "Zusammenfassung" in pages[1], "in the contents"
    assert len(pages) < 40, "a word of 10,000 letters is cut, not printed in full"
    for page in pages:
        width = float(page.split('width="')[1].split('"')[0])
        assert max(float(right) for right in re.findall(r'xMax="([0-9.]+)"', page)) <= width
