"""One door to every form of a report, by the ending of its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import pandas as pd

from carecover.errors import UsageError
from carecover.model import sha256_hex
from carecover.report import redacted
from carecover.report.as_json import render_json
from carecover.report.document import Document, clean
from carecover.report.html import render_html
from carecover.report.markdown import render_markdown
from carecover.report.pdf import render_pdf
from carecover.report.redacted import Pseudonyms
from carecover.report.sheets import render_csv, render_xlsx
from carecover.report.word import render_docx

_PAGES: Final[Mapping[str, Callable[[Document], str | bytes]]] = MappingProxyType(
    {
        ".html": render_html,
        ".pdf": render_pdf,
        ".docx": render_docx,
        ".md": render_markdown,
        ".json": render_json,
    }
)
# The last two are the tables beside the report: a workbook, or CSV files in an archive.
FORMS: Final = (*_PAGES, ".xlsx", ".zip")


def render(
    document: Document, form: str, tables: Mapping[str, pd.DataFrame], pseudonyms: Pseudonyms | None = None
) -> bytes:
    """The document as the bytes of a file of that ending; ``tables`` are the case's, for the forms made of them.

    ``pseudonyms`` are those that the document was made with, if any: the tables get the same ones. Raises UsageError
    for an ending that is none of FORMS.
    """
    if form not in FORMS:
        raise UsageError(
            f"A report is written as {', '.join(FORMS)}, not as '{clean(form, 20) or 'a file without ending'}'."
        )
    if form in _PAGES:
        made = _PAGES[form](document)
        return made if isinstance(made, bytes) else made.encode("utf-8")
    shown = tables if pseudonyms is None else redacted.tables(tables, pseudonyms)
    # The report that belongs to these tables, by what the journal records of it.
    anchors = f"{document.anchors}; report: {sha256_hex(render_json(document).encode('utf-8'))}"
    return render_csv(shown, anchors) if form == ".zip" else render_xlsx(shown, document.title, anchors)
