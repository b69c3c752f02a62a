"""HTML → its words, for mails and for formats of mails."""

from __future__ import annotations

import html
import re
from typing import Final

_BREAKS: Final = frozenset({"br", "p", "div", "tr", "li", "table", "h1", "h2", "h3", "h4", "pre"})
_CELLS: Final = frozenset({"td", "th"})
_SILENT: Final = frozenset({"script", "style", "head", "title"})
_TAG_NAME = re.compile(r"/?([a-z][a-z0-9]{0,20})", re.IGNORECASE)


def text_of_html(markup: str) -> str:
    """The words of an HTML mail, in one pass whatever the markup: line breaks at block tags."""
    out: list[str] = []
    silent: str | None = None
    for number, chunk in enumerate(markup.split("<")):
        tag, closing, words = chunk.partition(">")
        if number == 0:
            words = chunk
        else:
            name = _TAG_NAME.match(tag)
            word = name[1].lower() if name else ""
            if silent is not None:
                if not (tag.startswith("/") and word == silent):
                    continue
                silent = None
            elif word in _SILENT and not tag.startswith("/"):
                silent = word
                continue
            if not name and not tag.startswith("!"):
                words = "<" + chunk
            elif not closing:
                continue
            elif word in _BREAKS:
                out.append("\n")
            elif word in _CELLS:
                out.append(" ")
        # A line end inside a paragraph is a blank; the tags make the lines.
        out.append(words.replace("\n", " "))
    return html.unescape("".join(out)).replace("\u00a0", " ")
