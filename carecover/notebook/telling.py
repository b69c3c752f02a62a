"""Sentences of the case in the notebooks' words: what they advise to type into a command line is a panel here.

The sentences themselves stand once, where they are made; what a command of theirs is in a notebook stands here.
"""

from __future__ import annotations

import re
from typing import Final

_SECOND: Final = "2-revoke-and-publish"
# Longer phrases first, where one is part of another.
_PHRASES: Final = (
    (
        "carecover init CASE --key-exposed yes - and if it surely is not: carecover init CASE --key-exposed no",
        "say so in the facts, at CA key exposed; and if it surely is not, too.",
    ),
    ("(--key-exposed yes)", "(so the facts say)"),
    (": carecover init CASE --restored TIME", ", in the facts."),
    (": init CASE --backup TIME", ". Say when, in the facts."),
    (": carecover init CASE --ca NAME", ", in the facts, at CA name."),
    (": carecover init CASE --time-zone Europe/Berlin", ", in the facts, at Time zone."),
    (": carecover init CASE --time-zone ZONE", ", in the facts, at Time zone."),
    ("(init --restored)", "(say it in the facts)"),
    ("carecover table CASE rejects says where and why", "the panel Evidence says where and why"),
    (": carecover table CASE rejects", ". The panel Evidence names it."),
    ("Hand in the evidence: carecover add CASE PATH…", "Hand in the evidence, in the panel Evidence."),
    ("that carecover collect-kit DIR makes", "that is made at a command line by: carecover collect-kit DIR"),
    ("--all never takes them", "no act on many at once takes them"),
    ("--action suggested revokes as before", "taking the suggestion revokes as before"),
    ("--action suggested takes off hold", "taking the suggestion takes off hold"),
    (" (carecover decide)", f", in {_SECOND}"),
    (": carecover sign-off, then rehearse, then batch.", f", in {_SECOND}; then rehearse it and export the bundle."),
    (": carecover verify.", f", in the last panel of {_SECOND}."),
    ("belong to 'carecover verify'", f"belong to the last panel of {_SECOND}"),
)
# The IDs come from the journal; the phrase ends where they do.
_CHOICE: Final = re.compile(
    r"(?P<before>(?:, such as|, and choose that): )?carecover baseline CASE (?:\S{1,40} ){1,12}--by YOUR-NAME"
)


def in_panels(sentence: str) -> str:
    """The sentence as a panel says it."""
    for command, here in _PHRASES:
        sentence = sentence.replace(command, here)
    return _CHOICE.sub(lambda found: f"{',' * bool(found['before'])} in the panel The baseline.", sentence)
