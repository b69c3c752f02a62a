"""The report as one self-contained HTML page: no script, no address, prints on A4."""

from __future__ import annotations

import base64
import re
from importlib.resources import files
from typing import Final

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from carecover.report.document import Document, Picture
from carecover.report.layout import arranged, numbers
from carecover.report.texts import LANGUAGES, VALUES, Words
from carecover.report.timeline import svg

_TEMPLATE = "report.html.j2"
_MARKS: Final = re.compile(r' (?:role="graphics-[a-z]+"|aria-roledescription="[^"]*")')
_MAX_PARTS: Final = 8
# After a comma, within a path, and before a further label of a DNS name or the domain of an address.
_BREAKS: Final = re.compile(r"([,\\/]|(?<=[A-Za-z0-9]{3})[.@](?=[A-Za-z]{2}))(?=[^\s<>&])")
# Words of value lists → how they look; the word alone says it all. What is none of them is shown as text.
_WORD_TONES: Final = {
    **dict.fromkeys(("proved", "good", "planned", "yes"), "good"),
    **dict.fromkeys(("pending", "unknown", "before start", "warning", "not seen"), "warning"),
    **dict.fromkeys(("failed", "contradicted", "gap", "stop", "unexpected", "error", "no"), "bad"),
    **dict.fromkeys(("now", "later", "expired", "notice", "pinned", "revoked", "destroyed"), "plain"),
    "leftover": "bad",
}
_TONES: Final[dict[str, str]] = {
    **_WORD_TONES,
    **{values[word]: tone for values in VALUES.values() for word, tone in _WORD_TONES.items() if word in values},
    **{
        texts[f"current_{word}"]: tone
        for texts in LANGUAGES.values()
        for word, tone in (("yes", "good"), ("no", "bad"), ("unknown", "warning"))
    },
}


def render_html(document: Document, *, paged: bool = False) -> str:
    """The whole page as text, to be written as UTF-8; ``paged`` is the form that a PDF is made of.

    Everything in the document is escaped here; the only markup that is let through is the
    picture, which the timeline draws of numbers and words of its own.
    """
    source = files("carecover.report").joinpath("templates", _TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        loader=DictLoader({_TEMPLATE: source}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["kind_of"] = lambda block: type(block).__name__
    environment.globals["draw"] = _as_image if paged else _draw
    environment.globals["paged"] = paged
    environment.globals["number"] = Words(document.language).number
    environment.globals["arranged"] = arranged
    environment.globals["numbers"] = numbers
    environment.globals["tone_of"] = _TONES.get
    environment.globals["breakable"] = _in_parts if paged else _breakable
    return environment.get_template(_TEMPLATE).render(document=document)


def _draw(picture: Picture) -> Markup:
    # The drawing as a whole has a title and a description; its single marks have none to be read out.
    return Markup(_MARKS.sub("", svg(picture.timeline)))  # noqa: S704 - holds no text from evidence


def _as_image(picture: Picture) -> Markup:
    """The drawing with its description as alternative text, which a PDF keeps of pictures only."""
    data = base64.b64encode(svg(picture.timeline).encode("utf-8")).decode("ascii")
    told = escape(picture.timeline.description)
    return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(told, data)


def _breakable(text: str) -> Markup:
    """A name as markup that may go on in the next line where a reader would break it, though it has no space."""
    return Markup(_BREAKS.sub(r"\1<wbr>", str(escape(text))))  # noqa: S704 - it was escaped


def _in_parts(text: str) -> Markup:
    """The same for print, whose layout knows no such place: parts that stay together where there is room."""
    parts = _BREAKS.split(str(escape(text)), maxsplit=_MAX_PARTS)
    if len(parts) == 1 or len(parts) > 2 * _MAX_PARTS:
        return escape(text)
    joined = [parts[n] + (parts[n + 1] if n + 1 < len(parts) else "") for n in range(0, len(parts), 2)]
    return Markup("").join(Markup('<span class="part">{}</span>').format(Markup(part)) for part in joined)  # noqa: S704
