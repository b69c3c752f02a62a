"""certutil's words are those that a source shows, in its code page; every other word is English."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from carecover.simulator import behaviour as known
from carecover.simulator import words
from carecover.simulator.behaviour import Language


def test_the_lines_are_those_of_the_captures(corpus: Path) -> None:
    text = (corpus / "certutil" / "25-status-lines-localized.txt").read_text(encoding="utf-8")
    seen = 0
    for language, kind, line in re.findall(r"^(\S+) (ok|fail) *\|(CertUtil: .+?) +\|", text, re.MULTILINE):
        verb = next(iter(re.findall(r"-([a-zA-Z?]+)|comando ([a-z]+)", line)))
        name = verb[0] or verb[1]
        if kind == "ok":
            assert words.completed(name, language) == line + "\n"
        else:
            code = int(re.findall("0x([0-9a-f]{8})", line)[0], 16)
            known_part = line[: line.index(" (WIN32")]
            assert words.failed(name, code, language).startswith(known_part), line
        seen += 1
    assert seen >= 14


@pytest.mark.parametrize("language", get_args(Language))
def test_every_language_has_prefix_code_and_symbol_in_bytes_of_its_code_page(language: Language) -> None:
    failed = words.failed("revoke", known.RPC_UNAVAILABLE, language)
    assert failed.count("CertUtil: ") == 2
    assert "0x800706ba (WIN32: 1722 RPC_S_SERVER_UNAVAILABLE)" in failed
    data = words.encoded(failed + words.completed("revoke", language), language)
    assert b"0x800706ba (WIN32: 1722 RPC_S_SERVER_UNAVAILABLE)" in data
    assert data.endswith(b"\r\n")
    page = words.CODE_PAGES.get(language, "cp850")
    lost = data.decode(page).count("?")
    # U+2019 and U+2014 are in neither of these old code pages.
    assert lost <= {"fr": 2, "ru": 1}.get(language, 0)


def test_an_unknown_code_has_its_number_and_no_invented_symbol() -> None:
    assert words.code_text(0x80094ABC) == "0x80094abc (-2146874692)"
    assert words.code_text(0x8007ABCD) == "0x8007abcd (WIN32: 43981)"
    assert words.sentence(0x80094ABC, "de") == "The operation failed."
