"""The report as PDF: the same template as the page, tagged as PDF/UA-1 asks, without a trace of the machine."""

from __future__ import annotations

import logging

from carecover.errors import UsageError
from carecover.model import canonical_json, sha256_hex
from carecover.report.as_json import body
from carecover.report.document import Document
from carecover.report.html import render_html


def render_pdf(document: Document) -> bytes:
    """The PDF file; equal documents give equal bytes on one machine (fonts are the machine's).

    Raises UsageError where WeasyPrint or the system's Pango is missing, with the way around.
    """
    try:
        import weasyprint  # noqa: PLC0415 - an extra, and slow to load
    except (ImportError, OSError):
        raise UsageError(
            "A PDF needs the extra 'pdf' (WeasyPrint) and the system's Pango. Write the report as .html instead and "
            "hand that in, or print it to a PDF file in a browser."
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
