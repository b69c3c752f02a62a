"""The report as Markdown (GitHub's tables): readable as it stands, and nothing in it is markup but ours."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Final

from carecover.report.document import (
    Block,
    Document,
    Items,
    OpenField,
    Paragraph,
    Picture,
    Section,
    Table,
    Terms,
    Tiles,
)
from carecover.report.texts import Words
from carecover.report.timeline import svg

_MARKS: Final = re.compile(r"([\\`*_{}\[\]<>#|!~$^=+-])")
# What viewers make links of by themselves: addresses, and names with an @ in them.
_LINKS: Final = re.compile(r"://|(?i:www)\.|@|&")
_PICTURE: Final = "figure-1"


def render_markdown(document: Document) -> str:
    """The whole report as text, to be written as UTF-8; the picture stands at the end, as a data address."""
    drawings: list[str] = []
    lines = [
        f"# {_text(document.ca_name)}",
        f"**{_text(document.title)}.** {_text(document.subtitle)}",
        f"> **{_text(document.status.text)}**",
    ]
    for number, section in enumerate(document.sections):
        lines += _section(section, document, drawings)
        if number == 0:
            lines += [f"## {_text(document.interface['about'])}", _terms(document.head)]
    lines += ["---", _text(document.footer), *drawings]
    return "\n\n".join(lines) + "\n"


def _section(section: Section, document: Document, drawings: list[str]) -> Iterator[str]:
    yield f"## {_text(section.title)}"
    for block in section.blocks:
        yield from _block(block, document, drawings)


def _block(block: Block, document: Document, drawings: list[str]) -> Iterator[str]:
    match block:
        case Paragraph(text, tone):
            yield _text(text) if tone in ("plain", "quiet") else f"> **{_text(text)}**"
        case Items(texts, title):
            if title:
                yield f"### {_text(title)}"
            yield "\n".join(f"- {_text(text)}" for text in texts)
        case Terms():
            yield _terms(block)
        case Tiles(figures):
            yield "\n".join(f"- **{_text(number)}** {_text(text)}" for number, text, _ in figures)
        case Picture(timeline, caption):
            data = base64.b64encode(svg(timeline).encode("utf-8")).decode("ascii")
            drawings.append(f"[{_PICTURE}]: data:image/svg+xml;base64,{data}")
            yield f"![{_text(timeline.description)}][{_PICTURE}]"
            yield f"*{_text(caption)}*"
        case OpenField(title, prompt, texts):
            yield f"### {_text(title)}"
            yield from (_text(text) for text in texts)
            if not texts:
                yield f"*({_text(document.interface['open_field'])}) {_text(prompt)}*"
        case Table():
            yield from _table(block, document)


def _table(table: Table, document: Document) -> Iterator[str]:
    source = f", {document.interface['table']} {table.source}" if table.source else ""
    yield f"### {_text(table.caption)} ({Words(document.language).number(table.total)}{_text(source)})"
    heads = " | ".join(_text(column.title) for column in table.columns)
    rule = " | ".join("---:" if column.kind == "number" else "---" for column in table.columns)
    rows = (" | ".join(_text(text) for text in row) for row in table.rows)
    yield "\n".join(f"| {line} |" for line in (heads, rule, *rows))
    if table.note:
        yield _text(table.note)


def _terms(terms: Terms) -> str:
    return "\n".join(f"- **{_text(name)}:** {_text(value)}" for name, value, _ in terms.rows)


def _text(text: str) -> str:
    """Text in which nothing is markup, no tag, and no address becomes a link."""
    quoted = _LINKS.sub(lambda found: "".join(f"&#{ord(c)};" if not c.isalpha() else c for c in found[0]), text)
    parts = re.split(r"(&#[0-9]+;)", quoted)
    quoted = "".join(part if n % 2 else _MARKS.sub(r"\\\1", part) for n, part in enumerate(parts))
    # A line that begins with a number and a stop would be a list.
    return re.sub(r"^(\d+)([.)])", r"\1\\\2", quoted)
