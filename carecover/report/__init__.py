"""The post-incident report: one frozen document, its renderers, and the picture of the gap.

make_document(…) → Document        render(document, form, tables) → bytes, form one of FORMS
timeline(tables, facts) → chart    timeline_svg(tables, facts) → str
"""

from carecover.report.as_json import render_json
from carecover.report.document import Act, Document, Execution
from carecover.report.fields import FIELDS
from carecover.report.forms import FORMS, render
from carecover.report.html import render_html
from carecover.report.make import AUDIENCES, make_document
from carecover.report.redacted import Pseudonyms
from carecover.report.texts import LANGUAGES
from carecover.report.timeline import timeline, timeline_svg, use_offline_renderer

__all__ = [
    "AUDIENCES",
    "FIELDS",
    "FORMS",
    "LANGUAGES",
    "Act",
    "Document",
    "Execution",
    "Pseudonyms",
    "make_document",
    "render",
    "render_html",
    "render_json",
    "timeline",
    "timeline_svg",
    "use_offline_renderer",
]
