"""The post-incident report: one frozen document, its renderers, and the picture of the gap.

make_document(…) → Document        render_html(document) → str
timeline(tables, facts) → chart    timeline_svg(tables, facts) → str
"""

from carecover.report.document import Document, Execution
from carecover.report.html import render_html
from carecover.report.make import make_document
from carecover.report.timeline import timeline, timeline_svg, use_offline_renderer

__all__ = [
    "Document",
    "Execution",
    "make_document",
    "render_html",
    "timeline",
    "timeline_svg",
    "use_offline_renderer",
]
