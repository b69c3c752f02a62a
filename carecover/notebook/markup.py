"""HTML for the panels. Everything that comes from outside goes through ``text``, which escapes it.

Colours are JupyterLab's own variables, so light and dark both fit; the values after the
comma serve where the notebook runs elsewhere.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Any, Final, Literal, NamedTuple

import pandas as pd

from carecover.notebook.telling import in_panels
from carecover.report.document import MAX_DETAIL, cell, clean
from carecover.standing import Step, following

Kind = Literal["text", "code", "badge"]
Tone = Literal["plain", "good", "warning", "bad"]

# More rows help nobody on a screen, and a browser draws them slowly; the pager has the rest.
MAX_ROWS: Final = 200
# A generated file of thousands of serials is read in an editor; here its form is looked at.
MAX_LINES: Final = 400

# So many columns of words are hard to read in a narrow window; with so many the last gets a line of its own in any.
_FLOWING: Final = 5
_IN_TWO_LINES: Final = 6
# So many rows stand there whole; more are scrolled in a box of their own.
_IN_SIGHT: Final = 50

_TONES: Final[Mapping[str, Tone]] = {
    "proved": "good",
    "good": "good",
    "done": "good",
    "pass": "good",
    "fail": "bad",
    "look": "warning",
    "replace first": "warning",
    "others depend on it": "bad",
    "over": "good",
    "running": "warning",
    "not known": "warning",
    "yes": "good",
    "pending": "warning",
    "unknown": "warning",
    "medium": "warning",
    "undecided": "warning",
    "infrastructure": "warning",
    "failed": "bad",
    "contradicted": "bad",
    "gap": "bad",
    "stop": "bad",
    "before start": "warning",
    "now": "warning",
    "low": "bad",
}

STYLE: Final = f"<style>{files(__package__).joinpath('panel.css').read_text(encoding='utf-8')}</style>"
ABSENT: Final = cell(None)


class Head(NamedTuple):
    """One column to show: its name in the table, its title, and how its cells look."""

    name: str
    title: str
    kind: Kind = "text"


def text(value: object) -> str:
    """Any value as one line of HTML that hides nothing and does nothing."""
    return f"<bdi>{escape(cell(value, MAX_DETAIL))}</bdi>"


def code(value: object) -> str:
    """The same in fixed width: serial numbers, digests, paths."""
    return f'<bdi class="cc-code">{escape(clean(value))}</bdi>'


def badge(word: object) -> str:
    """A verdict as a word with a colour; the word alone says it all."""
    shown = cell(word)
    return f'<span class="cc-badge {_TONES.get(shown, "plain")}">{escape(shown)}</span>'


def block(inner: str, *, role: str | None = None) -> str:
    """HTML made here, in the style of the panels."""
    spoken = f' role="{role}"' if role else ""
    return f'<div class="cc"{spoken}>{inner}</div>'


def moment(at: str) -> str:
    """A time of the journal as plain text, to the minute."""
    return f"{cell(datetime.fromisoformat(at))} UTC"


def note(sentence: str, tone: Tone = "plain") -> str:
    """A sentence that stands out, in the notebooks' words; line breaks are kept."""
    lines = "<br>".join(escape(clean(line, 2_000)) for line in in_panels(sentence).splitlines() if line.strip())
    return block(f'<div class="cc-note {tone}">{lines}</div>', role="alert" if tone == "bad" else "status")


def steps(known: Sequence[Step], here: str, *, leads: bool = True) -> str:
    """Where the case stands, in one line of steps; ``here`` is the step of this panel.

    What is next is said where it is done, and of two panels of a step in the one that ``leads``: a page that says it
    in every panel is not read.
    """
    ahead = following(known)
    shown = []
    for step in known:
        state = "done" if step.done else "none" if not step.needed else "next" if step is ahead else "ahead"
        spoken = {"done": "done", "none": "not needed", "next": "next", "ahead": "to come"}[state]
        current = ' aria-current="step"' if step.name == here else ""
        shown.append(
            f'<li class="{state}"{current}><b title="{spoken}">{escape(step.name)}</b> '
            f"<span>{text(step.told)}</span></li>"
        )
    sentence = "Every step is done." if ahead is None else f"<b>Next:</b> {text(ahead.ahead)}."
    line = f'<ol class="cc-steps" aria-label="where the case stands">{"".join(shown)}</ol>'
    told = leads and here == (known[-1] if ahead is None else ahead).name
    return block(f'{line}<p class="cc-next">{sentence}</p>' if told else line)


def bullets(sentences: Iterable[str]) -> str:
    """Sentences as a list."""
    return block("<ul>" + "".join(f"<li>{escape(clean(s, 2_000))}</li>" for s in sentences) + "</ul>")


def terms(rows: Iterable[tuple[str, object]]) -> str:
    """Names and values; what is absent is left out."""
    shown = "".join(
        f"<dt>{escape(name)}</dt><dd>{text(value)}</dd>" for name, value in rows if cell(value) not in (ABSENT, "")
    )
    return block(f"<dl>{shown}</dl>")


def folded(title: str, inner: str) -> str:
    """HTML made here, behind a line to click."""
    return block(f"<details><summary>{escape(title)}</summary>{inner}</details>")


def table(rows: pd.DataFrame, heads: Sequence[Head], *, caption: str, edge: str | None = None) -> str:
    """The first MAX_ROWS rows of some columns as a table; ``caption`` is for screen readers.

    The words of column ``edge`` give each row a coloured edge. Figures are compared down a column; a table without any
    may be told line by line where there is no room for its columns.
    """
    figures = {h.name for h in heads if pd.api.types.is_integer_dtype(rows[h.name])}
    flows = not figures and len(heads) >= _FLOWING
    # Where a style lays rows out by itself, browsers forget that it is a table.
    as_row, as_cell, as_head = (f' role="{role}"' if flows else "" for role in ("row", "cell", "columnheader"))
    top = "".join(f"<th{as_head}{_figure(h.name in figures)}>{escape(h.title)}</th>" for h in heads)
    shown = rows.head(MAX_ROWS)
    names = [f'{as_cell} data-head="{escape(h.title)}"' if flows else "" for h in heads]
    columns = [
        [_cell(v, h.kind, h.name in figures, name) for v in shown[h.name]] for h, name in zip(heads, names, strict=True)
    ]
    edges = (
        [""] * len(shown) if edge is None else [f' class="edge {_TONES.get(cell(w), "plain")}"' for w in shown[edge]]
    )
    body = "".join(
        f"<tr{as_row}{tone}>{''.join(cells)}</tr>"
        for tone, cells in zip(edges, zip(*columns, strict=True), strict=True)
    )
    look = f" cc-flow{f' cc-two n{len(heads)}' if len(heads) >= _IN_TWO_LINES else ''}" if flows else ""
    look += " cc-tall" if len(shown) > _IN_SIGHT else ""
    whole, part = (f' role="{role}"' if flows else "" for role in ("table", "rowgroup"))
    return block(
        f'<div class="cc-scroll{look}" tabindex="0" role="region" aria-label="{escape(clean(caption))}"><table{whole}>'
        f"<thead{part}><tr{as_row}>{top}</tr></thead><tbody{part}>{body}</tbody></table></div>"
    )


def output(lines: Sequence[str]) -> str:
    """The last lines of a running script."""
    shown = "\n".join(escape(clean(line, 500)) for line in lines[-MAX_LINES:])
    return block(f'<pre tabindex="0">{shown}</pre>')


def raw(source: str) -> str:
    """Text from evidence as it stands there, line by line; nothing invisible stays so, and nothing of it acts."""
    shown = "\n".join(_raw_line(line) for line in source.split("\n"))
    return f'<pre class="cc-raw" tabindex="0" aria-label="as it stands in the file">{shown}</pre>'


def _raw_line(line: str) -> str:
    # Unlike clean, blanks stay: in raw text they mean something.
    kept = (c if c.isprintable() else f"[U+{ord(c):04X}]" for c in line[:2_000].expandtabs(4))
    return escape("".join(kept)) + ("…" if len(line) > 2_000 else "")


def frame(page: str, title: str) -> str:
    """A whole page in a frame that may run nothing and reach nothing."""
    return block(f'<iframe sandbox="" title="{escape(clean(title))}" srcdoc="{escape(page)}"></iframe>')


def picture(svg: str, told: str) -> str:
    """A picture made by ourselves, on the white ground that its colours were chosen for, and what it shows in words.

    As an image: viewers that trust nobody take the elements of a drawing out, and leave a heap of its words.
    """
    source = b64encode(svg.encode()).decode()
    shown = f'<img src="data:image/svg+xml;base64,{source}" alt="{escape(clean(told, 5_000))}">'
    return block(f'<div class="cc-picture">{shown}</div>')


_COMMENT = re.compile(r"\s*(?:rem\b|::)", re.IGNORECASE)
_LABEL = re.compile(r"\s*:\w")
_WORDS = re.compile(
    r'(%[\w~*]+%?)|("[^"]*")|\b(if|not|exist|defined|goto|call|set|exit|for|in|do|echo|rem)\b', re.IGNORECASE
)


def batch_file(source: str) -> str:
    """A .cmd file with comments, labels, words and values told apart."""
    lines = source.splitlines()
    shown = [_batch_line(line) for line in lines[:MAX_LINES]]
    if len(lines) > MAX_LINES:
        shown.append(f'<span class="comment">… {len(lines) - MAX_LINES:,} more lines in the file</span>')
    return block('<pre tabindex="0">' + "\n".join(shown) + "</pre>")


def _batch_line(line: str) -> str:
    if _COMMENT.match(line):
        return f'<span class="comment">{escape(line)}</span>'
    if _LABEL.match(line):
        return f'<span class="label">{escape(line)}</span>'
    parts, at = [], 0
    for match in _WORDS.finditer(line):
        look = "word" if match[3] else "value"
        parts.append(f'{escape(line[at : match.start()])}<span class="{look}">{escape(match[0])}</span>')
        at = match.end()
    return "".join(parts) + escape(line[at:])


def _figure(is_figure: bool) -> str:
    return ' class="figure"' if is_figure else ""


def _cell(value: Any, kind: Kind, is_figure: bool, name: str) -> str:  # noqa: ANN401 - a cell of any table
    if not isinstance(value, list) and pd.isna(value):
        value = None
    if kind == "badge":
        return f"<td{name}>{text(None) if value is None else badge(value)}</td>"
    if kind == "code":
        # No separators in numbers that are names, such as request IDs.
        return f'<td{name} class="code">{text(None if value is None else str(value))}</td>'
    return f"<td{name}{_figure(is_figure)}>{text(value)}</td>"
