"""How a CA words one kind of mail, as data, and how a format of the registry becomes such data.

A format is text with places ``%1``, ``%2``, … for the columns of its argument list
(``BodyFormat`` with ``BodyArg``, ``TitleFormat`` with ``TitleArg``). It is taken apart once, and laid
over a mail by looking for its texts in turn: no pattern is ever made of it, so no format and no
mail can make that slow. ``%%n`` stays behind where somebody typed a batch file's text at a prompt;
such a place, and one beyond the argument list, holds no value (assumed: it is printed as ``%n``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from carecover.model import EVENTS

# A body has some 20 lines; a format is a person's text in the registry, but a file can hold anything.
MAX_FORMAT_LINES: Final = 200
MAX_LABEL: Final = 200
MAX_PLACES: Final = 60
# Pseudo-columns: the requester's own text, which may hold anything, and the base64 of the certificate.
FREE: Final = "_free"
CERTIFICATE: Final = "certificate"
# The columns of table ``notifications`` that a mail's text can give, and the two above.
COLUMNS: Final = (
    *("ca_name", "request_id", "serial", "requester", "upn", "subject", "template", "not_before", "not_after"),
    *("revoked_at", "reason", "thumbprint", CERTIFICATE, FREE),
)
_PLACE: Final = re.compile(r"(%{1,2})(\d{1,2})", re.ASCII)

Origin = Literal["built_in", "registry", "accepted"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a mail: the text it begins with, then values in turn, each with the text that follows it.

    ``columns`` say where a value goes (None: known, and not needed); the last text of ``between`` is
    mostly empty, and a line end is one where nothing else parts two values. Without columns it is a
    text that only says where other values end.
    """

    label: str
    columns: tuple[str | None, ...] = ()
    between: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wording:
    """One event's mail: its title and its body lines.

    The order of the lines counts: a label is believed only where it can stand. A mail that gives none
    of ``needs`` is damaged. ``template`` is that of an override, ``ca_name`` the CA whose registry has
    the format; ``html`` says that the format is HTML.
    """

    event: str
    title: Line
    lines: tuple[Line, ...] = ()
    needs: tuple[str, ...] = ()
    template: str | None = None
    ca_name: str | None = None
    html: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """What it gives, in the order of ``COLUMNS``; the requester's own text is nothing."""
        held = {column for line in (self.title, *self.lines) for column in line.columns}
        return tuple(column for column in COLUMNS if column in held and column != FREE)

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {
            "event": self.event,
            "title": _line_to_json(self.title),
            "lines": [_line_to_json(line) for line in self.lines],
            "needs": list(self.needs),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Wording:
        """What ``to_json`` gave; ValueError or KeyError for anything else."""
        if data["event"] not in EVENTS:
            raise ValueError(data["event"])
        lines = tuple(_line_from_json(line) for line in data["lines"][:MAX_FORMAT_LINES])
        return cls(data["event"], _line_from_json(data["title"]), lines, tuple(map(str, data["needs"])))


@dataclass(frozen=True, slots=True)
class Profile:
    """How one CA words its notifications, and where that is known from."""

    name: str
    wordings: tuple[Wording, ...]
    origin: Origin = "built_in"


def _line_to_json(line: Line) -> list[Any]:
    return [line.label, list(line.columns), list(line.between)]


def _line_from_json(data: Sequence[Any]) -> Line:
    label, columns, between = data
    if len(columns) != len(between) or any(c is not None and c not in COLUMNS for c in columns):
        raise ValueError(columns)
    return Line(str(label), tuple(columns), tuple(map(str, between)))


def says_something(text: str) -> bool:
    """True for a text with a letter or digit: what a line can be known by."""
    return any(letter.isalnum() for letter in text)


def plain(text: str) -> str:
    """The text in one line, with single blanks."""
    return " ".join(text.split())


def line_of(text: str, columns: Sequence[str | None]) -> Line:
    """One line of a format; ``columns`` are those of its argument list, ``%1`` first."""
    label, at = "", 0
    names: list[str | None] = []
    between: list[str] = []
    for place in _PLACE.finditer(text):
        literal = text[at : place.start()]
        if names:
            between.append(literal)
        else:
            label = literal
        number = int(place[2])
        known = len(place[1]) == 1 and 1 <= number <= len(columns)
        names.append(columns[number - 1] if known else None)
        at = place.end()
        if len(names) >= MAX_PLACES:
            break
    if not names:
        return Line(text.strip()[:MAX_LABEL])
    between.append(text[at:])
    return Line(label.strip()[:MAX_LABEL], tuple(names), tuple(plain(each) for each in between))


def lines_of(formats: Sequence[str], columns: Sequence[str | None]) -> tuple[Line, ...]:
    """The lines of a format; one that begins with a value goes on with the line above it."""
    lines: list[Line] = []
    for text in [line for each in formats for line in each.splitlines()][:MAX_FORMAT_LINES]:
        line = line_of(text, columns)
        if says_something(line.label) or (line.label and not line.columns):
            lines.append(line)
        elif line.columns:
            above = lines.pop() if lines else Line("")
            between = above.between
            if between:
                between = (*between[:-1], plain(f"{between[-1]} {line.label}") or "\n")
            lines.append(Line(above.label, (*above.columns, *line.columns), (*between, *line.between)))
    return tuple(lines)
