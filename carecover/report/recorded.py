"""Sentences of the case's tables in another language, and their times in the reader's zone.

The rooms write their tables in English. ``templates/tables.XX.txt`` holds what they can say as templates, each with its
translation; a text is translated as a whole or not at all, and what stays English is marked as such. Texts from
evidence inside a sentence stay as they are. Matching is by plain search, never by a backtracking pattern: the texts
may be hostile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

# Longer values, and deeper ones, stand in no sentence of ours.
_MAX_VALUE: Final = 400
_MAX_DEPTH: Final = 6
_MAX_LIST: Final = 60
# Attempts for one text; the longest honest one needs some hundreds.
_BUDGET: Final = 20_000
_HOLE: Final = re.compile(r"\{(\d)\}")
_PLACE: Final = re.compile(r"\{[#=]?\}")
_TIME: Final = re.compile(
    r"\b(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::\d\d(?:\.\d{1,6})?)?Z| (\d\d:\d\d) UTC)(?!\w)", re.ASCII
)
# What parts the members of a list, the widest first, and what parts them in the language.
_JOINTS: Final = (("; ", "; "), (" → ", " → "), (", ", ", "), (" and ", " und "))
_NUMBER: Final = re.compile(r"\d{1,3}(?:,\d{3})*|\d+", re.ASCII)
_GROUPED: Final = re.compile(r"\d{1,3}(?:,\d{3})+", re.ASCII)
# Two small words in a row are a phrase, one alone is a word: neither is a name or a number.
_ENGLISH: Final = re.compile(r"\b[a-z]{2,} [a-z]{2,}\b|^[a-z]+$", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Template:
    """The pieces around its values, what each of these is, and the translation with the values numbered."""

    pieces: tuple[str, ...]
    kinds: tuple[str, ...]
    told: str


@dataclass
class _Tries:
    """How many attempts are left for a text."""

    left: int = _BUDGET


class Catalogue:
    """What the tables can say, in one language."""

    def __init__(self, pairs: Mapping[str, str], words: Mapping[str, str]) -> None:
        """``pairs`` are templates and their translations, ``words`` those of the tables' word lists."""
        self._words = {**words, **{en: told for en, told in pairs.items() if not _PLACE.search(en)}}
        made = [_Template(tuple(_PLACE.split(en)), tuple(_PLACE.findall(en)), told) for en, told in pairs.items()]
        # The most telling first: a template that says more in letters of its own fits better.
        made.sort(key=lambda one: -sum(map(len, one.pieces)))
        # By their first letter; "" is those that begin with a value, and belongs to every letter.
        letters = {one.pieces[0][:1] for one in made}
        self._by_letter = {c: [one for one in made if one.pieces[0][:1] in (c, "")] for c in letters | {""}}
        self.told = lru_cache(4096)(self._told)

    def _told(self, text: str) -> str | None:
        """The whole text in the language, as it is where it holds no words, or None where a part is not known."""
        return self._value(text, 0, _Tries())

    def _sentences(self, text: str, depth: int, tries: _Tries) -> str | None:
        """One template after the other, parted by a space."""
        if (word := self._words.get(text)) is not None:
            return word
        for template in self._by_letter.get(text[:1], self._by_letter[""]):
            tries.left -= 1
            if tries.left < 0:
                return None
            for end, values in self._fits(template, text):
                told = [self._filled(*one, depth + 1, tries) for one in zip(values, template.kinds, strict=True)]
                if None in told:
                    continue
                said = _HOLE.sub(lambda hole, told=told: str(told[int(hole[1])]), template.told)  # type: ignore[misc]
                if end == len(text):
                    return said
                rest = self._sentences(text[end:].lstrip(" "), depth, tries)
                if rest is not None:
                    return f"{said} {rest}"
        return None

    def _filled(self, text: str, kind: str, depth: int, tries: _Tries) -> str | None:
        """A value of a template: {} is told if it is a phrase, {#} must be a number, {=} stays as it is."""
        if kind == "{=}":
            return text
        return None if kind == "{#}" and not _NUMBER.fullmatch(text) else self._value(text, depth, tries)

    def _fits(self, template: _Template, text: str) -> Iterator[tuple[int, list[str]]]:
        """Where the template ends in the text that begins with it, and its values; at most two ways."""
        if not text.startswith(template.pieces[0]):
            return
        place = len(template.pieces[0])
        values: list[str] = []
        last = len(template.pieces) - 1
        for n, piece in enumerate(template.pieces[1:], start=1):
            if n == last:
                yield from self._ends(piece, text, place, values)
                return
            found = text.find(piece, place + 1, place + _MAX_VALUE)
            if found < 0:
                return
            values.append(text[place:found])
            place = found + len(piece)
        if place == len(text) or text[place] == " ":
            yield place, values

    def _ends(self, piece: str, text: str, place: int, values: list[str]) -> Iterator[tuple[int, list[str]]]:
        """The ends at which the last piece closes a sentence: the first one, and the end of the text."""
        if not piece:
            if place < len(text) <= place + _MAX_VALUE:
                yield len(text), [*values, text[place:]]
            return
        at = text.find(piece, place + 1, place + _MAX_VALUE)
        while at >= 0:
            end = at + len(piece)
            if end == len(text) or text[end] == " ":
                yield end, [*values, text[place:at]]
                break
            at = text.find(piece, at + 1, place + _MAX_VALUE)
        if text.endswith(piece) and len(text) - len(piece) > max(at, place) and len(text) <= place + _MAX_VALUE:
            yield len(text), [*values, text[place : len(text) - len(piece)]]

    def _value(self, text: str, depth: int, tries: _Tries) -> str | None:
        """A value in the language: a phrase of ours, several of them, or a name or number as it is."""
        if depth > _MAX_DEPTH or tries.left < 0:
            return None
        if _GROUPED.fullmatch(text):
            return text.replace(",", ".")
        if (known := self._sentences(text, depth, tries)) is not None:
            return known
        for joint, said in _JOINTS:
            if joint in text:
                told = [self._value(part, depth + 1, tries) for part in text.split(joint, _MAX_LIST)]
                if None not in told:
                    return said.join(map(str, told))
        return None if _ENGLISH.search(text) else text


def read(text: str) -> dict[str, str]:
    """The pairs of a catalogue's file: template, translation, empty line; ``#`` begins a comment.

    >>> read("# days\\n{} day\\n{0} Tag\\n")
    {'{} day': '{0} Tag'}
    """
    found: dict[str, str] = {}
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith("#")]
        if lines:
            template, told = lines
            found[template] = told
    return found


@cache
def pairs(language: str) -> Mapping[str, str]:
    """What the tables can say, with its translation; English needs none."""
    if language == "en":
        return {}
    source = files("carecover.report").joinpath("templates", f"tables.{language}.txt")
    return read(source.read_text(encoding="utf-8"))


def in_zone(text: str, zone: ZoneInfo) -> str:
    """The text with its times, which the tables give in UTC, in the zone, each with its offset.

    >>> in_zone("in force until 2026-12-02 12:20 UTC.", ZoneInfo("Europe/Berlin"))
    'in force until 2026-12-02 13:20 +01:00.'
    """

    def there(found: re.Match[str]) -> str:
        try:
            moment = datetime.fromisoformat(f"{found[1]} {found[2] or found[3]}").replace(tzinfo=UTC).astimezone(zone)
        except (ValueError, OverflowError):
            return found[0]
        offset = moment.strftime("%z")
        return f"{moment:%Y-%m-%d %H:%M} {offset[:3]}:{offset[3:5]}"

    return _TIME.sub(there, text)
