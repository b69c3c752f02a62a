"""The report as PDF: the same template as the page, tagged as PDF/UA-1 asks, without a trace of the machine."""

from __future__ import annotations

import logging
import sys
from typing import Final

from carecover.errors import UsageError
from carecover.model import canonical_json, sha256_hex
from carecover.report.as_json import body
from carecover.report.document import Document
from carecover.report.html import render_html

_INSTALL: Final = f'"{sys.executable}" -m pip install weasyprint'
_OTHERWISE: Final = (
    "Or write the report as .html, and hand that in or print it to a PDF file in a browser: it is made for paper, too."
)


def render_pdf(document: Document) -> bytes:
    """The PDF file; equal documents give equal bytes on one machine (fonts are the machine's).

    Raises UsageError where WeasyPrint or the system's Pango is missing, with the way around.
    """
    try:
        import weasyprint  # noqa: PLC0415 - an extra, and slow to load
    except ImportError:
        raise UsageError(f"A PDF needs WeasyPrint: {_INSTALL}. {_OTHERWISE}") from None
    except OSError as error:
        raise UsageError(
            f"A PDF needs Pango, a library of the system that is not there ({error}); on Debian and Ubuntu it "
            f"is in the packages libpango-1.0-0 and libpangoft2-1.0-0. {_OTHERWISE}"
        ) from None
    for name in ("weasyprint", "fontTools"):
        # What it says of style sheets and fonts is of no use to somebody who writes a report.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # The drawing is part of the page; nothing is fetched from anywhere, whatever a page may name.
    nothing = weasyprint.urls.URLFetcher(allowed_protocols=("data",), allow_redirects=False)
    page = weasyprint.HTML(string=render_html(document, paged=True), url_fetcher=nothing)
    identifier = sha256_hex(canonical_json(body(document))).encode("ascii")
    made: bytes = page.write_pdf(pdf_variant="pdf/ua-1", pdf_identifier=identifier, pdf_tags=True)
    return made
