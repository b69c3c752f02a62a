"""Files on their way from the browser: messages that are lost, doubled, hostile, or of a page that was closed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from carecover.case import Case
from carecover.errors import UsageError
from carecover.notebook import add_evidence
from carecover.notebook.dropping import MAX_FILES, DropZone
from tests.notebook.conftest import hand_over, message, press


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Python answers, in order."""
    answers: list[Any] = []
    monkeypatch.setattr(DropZone, "send", lambda _self, content, *_: answers.append(content))
    return answers


def test_many_small_files_go_in_one_message_and_are_answered(said: list[Any]) -> None:
    zone = DropZone()
    zone._handle_custom_msg(*message(1, *((n, f"{n}.eml", 2, 0, b"hi") for n in range(400)), ahead=1))
    assert said == [{"kind": "heard", "view": "tab", "turn": 1}]
    assert zone.received == {"files": 400, "waiting": 0, "bytes": 800, "names": ["0.eml", "1.eml", "2.eml"], "ahead": 1}
    zone._handle_custom_msg(*message(2, (400, "empty.eml", 0, 0, b"")))
    assert len(zone.take()) == 401


def test_a_message_that_was_lost_is_asked_for_and_one_that_comes_twice_counts_once(said: list[Any]) -> None:
    zone = DropZone()
    look = {"kind": "look", "view": "tab", "turn": 1}
    zone._handle_custom_msg(look, [])
    for _ in range(2):
        zone._handle_custom_msg(*message(1, (0, "big.mbox", 4, 0, b"12")))
    zone._handle_custom_msg(look, [])
    zone._handle_custom_msg({**look, "view": "another tab"}, [])
    assert [answer["kind"] for answer in said] == ["lost", "heard", "heard", "heard", "lost"]
    zone._handle_custom_msg(*message(2, (0, "big.mbox", 4, 2, b"34")))
    assert zone.take() == [{"name": "big.mbox", "content": b"1234"}]


def test_two_tabs_that_drop_at_once_do_not_mix_their_files() -> None:
    zone = DropZone()
    zone._handle_custom_msg(*message(1, (0, "a.mbox", 4, 0, b"aa"), view="one"))
    zone._handle_custom_msg(*message(1, (0, "b.mbox", 2, 0, b"bb"), view="two"))
    zone._handle_custom_msg(*message(2, (0, "a.mbox", 4, 2, b"AA"), view="one"))
    assert [file["content"] for file in zone.take()] == [b"aaAA", b"bb"]


def test_files_that_are_still_on_their_way_are_waited_for(case: Case) -> None:
    taken = add_evidence(case)
    taken.upload._handle_custom_msg({"kind": "ahead", "view": "tab", "ahead": 2}, [])
    assert "2 files are still on their way" in press(taken, "Add to the case")
    taken.upload._handle_custom_msg(*message(1, (0, "big.mbox", 4, 0, b"12"), ahead=2))
    assert "big.mbox is still on its way" in press(taken, "Add to the case")
    taken.upload._handle_custom_msg(*message(2, (0, "big.mbox", 4, 2, b"34"), ahead=1))
    assert "1 file is still on its way" in press(taken, "Add to the case")
    taken.upload._handle_custom_msg(*message(3, (1, "x.eml", 2, 0, b"hi")))
    assert "Files added: 2." in press(taken, "Add to the case"), "and then they are there"


def test_a_page_that_was_closed_on_the_way_is_forgotten() -> None:
    zone = DropZone()
    zone._handle_custom_msg(*message(1, (0, "big.mbox", 4, 0, b"12"), ahead=7))
    with pytest.raises(UsageError, match="still on its way"):
        zone.take()
    zone._handle_custom_msg({"kind": "clear"}, [])
    assert zone.take() == []


@pytest.mark.parametrize(
    ("said", "buffers"),
    [
        (None, []), ([], []), ("parts", []), ({}, []), ({"kind": "begin"}, []),
        ({"kind": "ahead", "view": "tab", "ahead": "2"}, []),
        ({"kind": "parts", "view": "tab", "turn": 1, "ahead": 0, "parts": [{}]}, [b"12"]),
        (message(1, (0, "x", 4, 0, b"12"))[0], []),
        (message(1, (0, "x", 4, 0, b"12"))[0], [b"12", b"34"]),
        message(1, (0, "x", -1, 0, b"")),
        message(1, (0, b"x", 1, 0, b"1")),  # type: ignore[arg-type]
        message(1, ("0", "x", 1, 0, b"1")),  # type: ignore[arg-type]
        message(1, (0, "x", 4, 2, b"34")),
        message(1, (0, "x", 4, 0, b"")),
        message(1, (0, "x", 4, 0, b"12345")),
        message(1, (0, "x", 0, 0, b""), (0, "x", 0, 0, b"1")),
        message(1, *((n, "x", 0, 0, b"") for n in range(501))),
    ],
)  # fmt: skip
def test_a_browser_that_sends_what_is_no_file_is_told_so(case: Case, said: Any, buffers: list[bytes]) -> None:
    taken = add_evidence(case)
    taken.upload._handle_custom_msg(said, buffers)
    assert re.search("load the page again|drop the files again", taken.upload.refused)
    assert taken.upload.refused in press(taken, "Add to the case")


def test_more_files_than_a_browser_should_hand_over_are_refused_and_nothing_is_kept() -> None:
    zone = DropZone()
    hand_over(zone, *((f"{n}.eml", b"hi") for n in range(MAX_FILES + 1)))
    assert "write the paths into the box" in zone.refused
    assert zone.received["files"] == zone.received["bytes"] == zone.received["ahead"] == 0
