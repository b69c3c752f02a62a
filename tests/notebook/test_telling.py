"""A panel tells nobody to type a command: every sentence of the analysis has a form for it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecover.notebook.telling import in_panels
from tests.report.test_recorded import HOLE, sentences

COMMAND = re.compile(r"carecover (?!collect-kit)[a-z-]+\b|(?<!\w)--[a-z]|\b(?:init|add|table|decide) (?:CASE|--)")
# What this program does, and no command of it.
NO_COMMAND = ("carecover reads", "carecover cannot")
ROOMS = ("baseline", "coverage", "first_steps", "gap", "impact", "naming", "sources")


@pytest.mark.parametrize("room", ROOMS)
def test_no_sentence_of_the_analysis_shows_a_command_in_a_panel(room: str) -> None:
    found = [text.replace(HOLE, "E0001") for text in sentences(f"analysis/{room}")]
    assert [told for text in found if COMMAND.search(told := in_panels(text))] == []


def test_a_question_about_the_baseline_points_to_its_panel() -> None:
    asked = "Views at hand: E0003, E0004. Say which to use, such as: carecover baseline CASE E0003 E0004 --by YOUR-NAME"
    assert in_panels(asked) == "Views at hand: E0003, E0004. Say which to use, in the panel The baseline."


@given(st.text(max_size=300))
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert in_panels(text) == text or "CASE" in text or "--" in text
