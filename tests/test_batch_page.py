"""docs/batch.md holds every statement of the batches and none that no batch holds, and what it says of them is so."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from carecover.remediation import grammar, longer, scripts
from carecover.remediation.handout import ENDED, FAILED, HINTS, REFUSED, STOPPED
from carecover.simulator.behaviour import Behaviour
from tests.planned_bundle import DONE, Bundle, planned

ROOT: Final = Path(__file__).resolve().parent.parent
GOLDENS: Final = ROOT / "tests" / "remediation" / "goldens"
PAGE: Final = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^```bat\n(.*?)^```\n(.*?)(?=^```|^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)

# The rules that the page names; a statement that none of them covers must stand on the page as it is.
_SAID = r"[A-Za-z0-9 .,:;=?'@/\[\]_\\%~-]+"
_IF = r"(?:if .+ )?"
RULES: Final = {
    "a label": r":[a-z_]+",
    "a jump": r"goto :[a-z_]+|call :[a-z_]+|exit /b [0-9]",
    "a word": r'set "[A-Z]+=[A-Za-z0-9.-]*"',
    "what is said": rf"{_IF}echo {_SAID}",
    "a marker": rf'{_IF}>>"%LOG%" echo @@CR {_SAID}',
    "a code": r'set "RC=%ERRORLEVEL%"',
    "a value of the plan": r'call :(?:item|sign|longer|save|sweep)(?: "[^"]*")+|set "SEEK [0-9a-f]+=1"|'
    r'if "(?:%(?:SEEK|LEFT) [0-9a-f]+%)+"=="11?" call :unlisted "[0-9]+" "[0-9a-f]+"|'
    r'set "(?:PLAN|CASHA|CASPACED|CACONFIG|CAHOST)=[^"%]*"',
    "an empty line": "",
}
# They say what holds for each line of a kind; those that decide, call a program or name a file are no such kind.
UNRULED: Final = ("%CERTUTIL%", "%FIND%", "%FC%", "%WHOAMI%", "%REG%", "for /f", "set /a", "exist", "mkdir", "del ")


def shown(line: str) -> str:
    """A line of a batch as the page shows it: hashes by a word."""
    line = re.sub(r'(set "PLAN=)[0-9a-f]{64}', r"\1<plan>", line)
    for pattern, word in (
        (r"(?:[0-9a-f]{2} ){31}[0-9a-f]{2}", "<spaced sha256>"),
        (r"(?:[0-9a-f]{2} ){19}[0-9a-f]{2}", "<sha1>"),
        (r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])", "<sha256>"),
    ):
        line = re.sub(pattern, word, line)
    return line


def lines_of(*names: str) -> list[str]:
    return [shown(line) for name in names for line in (GOLDENS / name).read_text("ascii").splitlines()]


def longer_lines() -> list[str]:
    """What longer.cmd has of its own; the golden bundle needs none."""
    return [line for part in (longer.LONGER_MAIN, longer.LONGER_ITEMS) for line in part.splitlines() if "@" not in line]


def on_the_page() -> list[str]:
    return [line for block, _ in BLOCKS for line in block.splitlines()]


def ruled(line: str) -> bool:
    told = line.split(" echo ", maxsplit=1)[0]
    return not any(word in told for word in UNRULED) and any(re.fullmatch(rule, line) for rule in RULES.values())


# ------------------------------------------------------------------------------ complete and true


def test_every_statement_of_the_batches_is_on_the_page_or_under_a_rule_that_it_names() -> None:
    known = set(on_the_page())
    product = dict.fromkeys([*lines_of("prepare.cmd", "revoke.cmd", "undo.cmd"), *longer_lines()])
    missing = [line for line in product if line not in known and not ruled(line)]
    assert not missing, "The batches hold what docs/batch.md does not explain:\n" + "\n".join(missing)


def test_every_line_on_the_page_is_one_of_a_batch() -> None:
    product = {*lines_of("prepare.cmd", "revoke.cmd", "undo.cmd", "collect.cmd"), *longer_lines()}
    strange = [line for line in on_the_page() if line not in product]
    assert not strange, "docs/batch.md shows what no batch holds:\n" + "\n".join(strange)


def test_the_page_names_the_rules() -> None:
    table = PAGE.split("## Lines that are everywhere", 1)[1].split("\n\n", 2)[1]
    assert re.findall(r"^\| ([a-z][a-z ]+) \|", table, re.MULTILINE) == ["rule", *RULES]


def test_a_changed_batch_would_be_noticed() -> None:
    known = set(on_the_page())
    for line in (
        '"%CERTUTIL%" -config "%CACONFIG%" -revoke %S% %REASON% > "%OUT%" 2>&1',
        'if "%ANSWER%"=="other" goto :item_done',
        'del "work\\ca.cer"',
        'if exist "x" echo text',
        'set "S=%~4"',
        "set /a FAILS=FAILS-1",
    ):
        assert line not in known, line
        assert not ruled(line), line


def forms() -> Iterable[tuple[str, re.Pattern[str]]]:
    """Each line form that the check of the batches lets through, with whatever condition before it."""
    groups = {
        "certutil": tuple(f'"%CERTUTIL%" {form}' for form in grammar._CERTUTIL),
        "statements": grammar._SIMPLE,
        "answers": grammar._ANSWER,
        "seeking": grammar._SEEKING,
        "others": grammar._OTHER,
        "collect": grammar._COLLECT,
    }
    for name, group in groups.items():
        for form in group:
            yield name, re.compile(rf"(?:{grammar._CONDITION})?(?:{form})", re.ASCII)


def test_every_form_of_the_grammar_is_on_the_page() -> None:
    known = [line.replace("<plan>", "0" * 64) for line in on_the_page()]
    unnamed = [f"{name}: {form.pattern[-90:]}" for name, form in forms() if not any(map(form.fullmatch, known))]
    assert not unnamed, "\n".join(unnamed)
    whole = [line for line in lines_of("revoke.cmd", "undo.cmd", "collect.cmd") if grammar._WHOLE_LINE.fullmatch(line)]
    whole += [line for line in lines_of("collect.cmd") if grammar._COLLECT_LINE.fullmatch(line)]
    assert len(whole) > 100
    assert [line for line in whole if line not in known and not line.startswith((":", "rem ")) and line] == []


# ------------------------------------------------------------------------------ reasons and sources


def test_every_block_is_followed_by_a_reason_that_names_its_source() -> None:
    defined = dict(re.findall(r"^\[([a-z0-9.-]+)\]: (\S+)$", PAGE, re.MULTILINE))
    lines = [line for line in PAGE.splitlines() if not re.match(r"\[[a-z0-9.-]+\]: ", line)]
    named = {key for line in lines for key in re.findall(r"\[([a-z0-9.-]+)\](?!\()", line)}
    assert named == set(defined)
    for target in defined.values():
        assert re.match(r"https://|#", target) or (ROOT / "docs" / target).exists(), target
    reason = ""
    for block, text in reversed(BLOCKS):
        # Where nothing but a line break parts two blocks, the reason of the second is that of both.
        reason = text if len(text.split()) > 3 else reason
        assert len(reason.split()) > 10, block
        assert set(re.findall(r"\[([a-z0-9.-]+)\](?!\()", reason)) or "And " in reason, block


def test_the_calls_are_those_that_the_batches_state() -> None:
    table = PAGE.split("```text\n", 1)[1].split("```", 1)[0]
    doc = scripts.__doc__ or ""
    stated = [line[4:] for line in doc.splitlines() if re.search(r"\d(?: \(\d\)|, \d)?$", line) and line[:4] == " " * 4]
    assert len(stated) == 7
    assert table.splitlines() == stated


def test_what_is_never_in_them_is_not() -> None:
    never = re.findall(r"`([^`]+)`", PAGE.split("**Never in them**", 1)[1].split("No registry", 1)[0])
    assert len(never) > 10
    # A redirection is no command that follows another.
    lines = [line.replace("2>&1", "") for line in [*lines_of("prepare.cmd", "revoke.cmd", "undo.cmd"), *longer_lines()]]
    said = [re.sub(r"(^| )(?:echo|rem) .*", "", line) for line in lines]
    assert any("-importcert" in line.split() for line in said)
    for word in never:
        assert not [line for line in said if (word in line.split() if word[-1].isalnum() else word in line)], word


def test_every_call_of_a_batch_is_in_the_table_of_what_runs_when() -> None:
    table = PAGE.split("## What runs when", 1)[1].split("```", 1)[0]
    words = set(re.findall(r'"%~1"=="(\w+)"', scripts.PREPARE_MAIN + scripts.REVOKE_MAIN + scripts.UNDO_MAIN))
    assert len(words) == 8
    assert words - {"preflight"} <= set(re.findall(r"\b\w+\b", table))
    assert "revoke.cmd preflight" in table


def test_every_word_with_which_one_ends_is_explained_in_the_readme_that_the_page_links() -> None:
    assert "(../tests/remediation/goldens/README.txt)" in PAGE
    readme = " ".join(lines_of("README.txt"))
    for word in (*STOPPED, *FAILED, *ENDED, *REFUSED, *HINTS):
        assert word in readme, word
    for state in set(re.findall(r'set "STATE=([a-z]+)"', "".join((*scripts.REVOKE, *scripts.UNDO)))):
        assert f"`{state}`" in PAGE, state


# ------------------------------------------------------------------------------ what it says of the session


@pytest.mark.parametrize("value", ["9", "0", "1 2"])
def test_whatever_a_session_has_set_changes_nothing(tmp_path: Path, value: str) -> None:
    text = "".join((*scripts.PREPARE, *scripts.REVOKE, *scripts.UNDO))
    names = set(re.findall(r'(?:set "|set /a |%|defined )([A-Z][A-Z0-9_]*)', text))
    names -= {"PROCESSOR_ARCHITEW6432", "COMPUTERNAME", "ERRORLEVEL", "SEEK", "CACONFIG"}
    assert len(names) > 60
    bundle = Bundle(tmp_path, Behaviour())
    odd = dict.fromkeys(names - {"SystemRoot"}, value)
    odd |= {f"{word} {item.serial}": "1" for item in bundle.plan.items for word in ("SEEK", "LEFT")}
    assert bundle.run("prepare.cmd", "GO", environment=odd) == DONE, bundle.lines
    bundle.pin()
    for script, word in (
        *(("revoke.cmd", word) for word in ("preflight", "apply", "publish", "status")),
        *(("undo.cmd", word) for word in ("apply", "status")),
    ):
        assert bundle.run(script, word, environment=odd) == DONE, (script, word, bundle.lines)
    assert bundle.states() == planned(bundle.plan, released=True)
