"""docs/custody.md: what it says to type works as it is typed, and it stays two pages."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from carecover.cli import cli
from carecover.journal import Journal
from tests.small_case import REVIEWER, Story
from tests.test_stamps import Authority, openssl

PAGE: Final = (Path(__file__).resolve().parent.parent / "docs" / "custody.md").read_text(encoding="utf-8")
COMMANDS: Final = re.findall(r"^    (carecover .+)$", PAGE, re.MULTILINE)
PASSWORD: Final = "four plain words to remember"


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's commands, typed in its order; what other people do in between is done here."""
    place = tmp_path_factory.mktemp("evening")
    case = Story.begin(place / "story").copy("decided", place)
    authority = Authority.found(place / "authority", "Example")
    (place / "authority.pem").write_bytes(authority.root.read_bytes())
    assert len(COMMANDS) == 10
    for command in COMMANDS:
        head = Journal(case.path / "journal.jsonl").head
        words = [
            {"CASE": str(case.path), "HEAD": head[:12]}.get(w, str(place / w) if re.fullmatch(r"[\w.]+", w) else w)
            for w in shlex.split(command)[2:]
        ]
        # Words that are none of files: who, and as what.
        words = [w.replace(f"{place}/analyst", "analyst") for w in words]
        if command.startswith("carecover add"):
            authority.answer(place / "head.tsq", place / "head.tsr")
        done = CliRunner().invoke(cli, [command.split()[1], *words], input=f"{PASSWORD}\n" * 2)
        assert (done.exit_code, done.return_value or 0) == (0, 0), (command, done.output)
        if "sign-off" in command:
            case.sign_off(by=REVIEWER, role="reviewer")
    return place


def test_every_command_of_the_page_works_as_it_is_typed(evening: Path) -> None:
    assert (evening / "journal.jsonld").exists()
    acts = list(Journal(evening / "case" / "journal.jsonl").entries())
    signed = next(e for e in acts if e.act == "sign")
    assert signed.details["public_key"]
    stamped = next(e for e in acts if e.act == "stamp-request")
    assert [e.details["head"] for e in acts if e.act == "stamp"] == [stamped.details["head"]]
    command = re.search(r"`(openssl ts -verify .+?)`", PAGE.replace("\n", " "))
    assert command is not None
    names = {
        "HEAD": stamped.details["head"],
        "head.tsr": evening / "head.tsr",
        "authority.pem": evening / "authority.pem",
    }
    openssl(*(str(names.get(word, word)) for word in command[1].split()[1:]))


def test_the_chain_can_be_checked_without_carecover(evening: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    journal = evening / "case" / "journal.jsonl"
    code = code.replace('"CASE/journal.jsonl"', repr(str(journal)))
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"HEAD {Journal(journal).head}\n", done.stderr


def test_it_is_two_pages() -> None:
    assert len(PAGE.split()) < 1_300
    assert max(map(len, PAGE.splitlines())) <= 400
