"""The script of an evening with a lab CA asks about everything that is assumed, and can be typed as it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import click
import pytest

from carecover.cli import cli
from carecover.remediation import scripts
from carecover.simulator.behaviour import Behaviour

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "field-test.md").read_text(encoding="utf-8")
LIMITS = (ROOT / "docs" / "limitations.md").read_text(encoding="utf-8")

# Verbs of Microsoft's certutil page that the facts about certutil, or a batch or a page of ours, speak of.
READING = {"-ca.cert", "-dump", "-getcrl", "-getreg", "-hashfile", "-ping", "-view"}
CHANGING = {"-backupDB", "-crl", "-importcert", "-renewCert", "-restoreDB", "-resubmit", "-revoke", "-setreg", "-sign"}
# Options that stand before the verb, and what each takes.
OPTIONS = {"-Cert": 1, "-silent": 0, "-gmt": 0, "-seconds": 0, "-v": 0, "-f": 0}
BATCHES = {"collect.cmd", "prepare.cmd", "revoke.cmd", "undo.cmd"}
# The one point that tries an import which must be refused.
FOREIGN = "F06"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Point:
    name: str
    text: str

    def listed(self, label: str) -> list[str]:
        """What stands after a label, up to the full stop that ends a line or begins the next label."""
        found = re.search(rf"\b{label}: (.*?)\.(?=\s+[A-Z][a-z]+: |\n```|\s+By hand|\n[A-Z])", self.text, re.DOTALL)
        if not found:
            return []
        text = " ".join(found[1].split())
        return text.split("; ") if label == "Limits" else re.findall(r"`([^`]+)`", text)


def points() -> list[Point]:
    _, *parts = re.split(r"^### (?=F)", PAGE, flags=re.MULTILINE)
    return [Point(part[:3], re.split(r"^## ", part, flags=re.MULTILINE)[0]) for part in parts]


def typed(kind: str) -> Iterator[tuple[str, str]]:
    """Each line of the blocks of a kind, in order, with the point that it stands in ("" for none)."""
    for block in _BLOCK.finditer(PAGE):
        if block[1] == kind:
            head = re.findall(r"^##+ (?:(F\d\d)|\d|B)", PAGE[: block.start()], re.MULTILINE)
            yield from ((head[-1] if head else "", line) for line in block[2].splitlines())


def calls() -> Iterator[tuple[str, str, list[str], list[str]]]:
    """Each call of certutil: its point, the line, its options, and its verb with what follows."""
    for name, line in typed("bat"):
        found = re.search(r"\bcertutil (-.*)", line)
        if found:
            words = shlex.split(found[1].replace("\\", "/"))
            options = []
            while words[0] in OPTIONS:
                options.append(words[0])
                words = words[1 + OPTIONS[words[0]] :]
            yield name, line, options, words


def test_points_are_numbered_without_a_gap_and_each_has_one_empty_place_for_its_answer() -> None:
    names = [point.name for point in points()]
    assert names == [f"F{number:02}" for number in range(1, len(names) + 1)]
    assert re.findall(r"^(F\d\d) =$", PAGE, re.MULTILINE) == names
    for point in points():
        assert f"\n\n{point.name} =\n" in point.text, point.name


def test_each_point_says_what_is_assumed_where_it_is_used_and_what_answers_mean() -> None:
    for point in points():
        assert "Assumed: " in point.text, point.name
        used = point.listed("Used")
        assert used, point.name
        for place in used:
            assert place in BATCHES or (ROOT / "carecover" / place).is_file(), f"{point.name} names {place}"
        assert re.search(r"\ba: ", point.text), point.name
        assert re.search(r"\bb: ", point.text), point.name
        assert "```" in point.text, point.name


def test_every_switch_of_the_simulator_is_asked_about_and_no_other_is_named() -> None:
    assert {switch for point in points() for switch in point.listed("Switches")} == {f.name for f in fields(Behaviour)}


def test_every_assumption_of_the_limits_is_asked_about_and_no_other_is_named() -> None:
    assumed = LIMITS.split("## Assumed about a real CA", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (.+?) \| .+ \| .+ \|$", assumed, re.MULTILINE)
    bullets = re.findall(r"^- \*\*(.+?)\*\*:", assumed, re.MULTILINE)
    assert rows[0] == "point"
    assert len(rows) > 1
    assert bullets
    assert {limit for point in points() for limit in point.listed("Limits")} == {*rows[1:], *bullets}


def test_only_known_verbs_of_certutil_are_typed_and_none_forces_its_way() -> None:
    assert list(calls())
    for name, line, options, words in calls():
        assert words[0] in READING | CHANGING, line
        assert ("-f" in options) <= (words[0] == "-restoreDB"), line
        assert not {"-f", "republish"} & set(words), line
        if words[0] == "-importcert":
            assert len(words) == 2, line
            assert (words[1] in ("foreign.cer", "bad.cer")) == (name == FOREIGN), line
    assert "to see it refused" in next(point.text for point in points() if point.name == FOREIGN)
    for never in ("-deleterow", "KRA", "ENABLEFOREIGN"):
        assert never not in PAGE


def test_what_runs_certutil_or_a_batch_is_kept_and_runs_nowhere_but_in_the_lab() -> None:
    for name, line in typed("bat"):
        if re.search(r"\b(certutil|certreq|net|call|move|diskpart|xcopy|wevtutil|powershell)\b", line):
            kept = re.match(r"(?:for .+ do )?t (\w+) ", line)
            assert kept or re.fullmatch(r"certutil -ping > \w+\.txt", line), line
            assert not kept or kept[1] in ({name, "LIFE"} if name else {"SETUP", "LIFE"}), line
    helper = next(block[2] for block in _BLOCK.finditer(PAGE) if block[1] == "cmd").splitlines()
    assert helper.index('if /i not "%COMPUTERNAME%"=="CALAB" exit /b 9') < helper.index(
        '%ARGS% > "C:\\lab\\t.tmp" 2>&1'
    )
    assert PAGE.index("Never on a production CA") < PAGE.index("```")


def test_variables_and_files_come_from_earlier_lines() -> None:
    known, seen = {"PATH", "ERRORLEVEL"}, ""
    for _, line in typed("bat"):
        loop = re.match(r"for %(\w) in \(([^)]*)\)", line)
        for use in re.findall(r"%([A-Z][A-Z0-9]*)%", line):
            assert use in known, f"%{use}% in {line}"
        for prefix in re.findall(r"\bset (\w*)%\w=", line):
            assert loop, line
            known |= {prefix + item for item in loop[2].split()}
        known |= set(re.findall(r"\bset (\w+)=", line))
        read = re.search(r"-(?:importcert|dump|hashfile) (\S+\.(?:cer|crl))\b|-sign (\S+\.cer) ", line)
        if read and "%i" not in line and "\\" not in (read[1] or ""):
            wanted = read[1] or read[2]
            assert wanted in seen, line
        seen += line + "\n"


def test_commands_of_carecover_and_their_options_exist() -> None:
    lines = [line for _, line in typed("sh")]
    assert lines
    inline = re.findall(r"`(carecover [^`]+)`", PAGE)
    for line in [*lines, *inline]:
        program, name, *words = shlex.split(line)
        assert program == "carecover"
        assert name in cli.commands, line
        options = {spelling: p for p in cli.commands[name].params if isinstance(p, click.Option) for spelling in p.opts}
        given = {word for word in words if word.startswith("--")}
        assert given <= set(options), line
        for option, value in pairwise(words):
            if option in given and isinstance(options[option].type, click.Choice):
                options[option].type.convert(value, options[option], None)
        missing = {spelling for spelling, p in options.items() if p.required and not given & set(p.opts)}
        assert not missing, f"{line}: {missing}"


@pytest.mark.parametrize(
    ("batch", "text"), [("prepare", scripts.PREPARE_MAIN), ("revoke", scripts.REVOKE_MAIN), ("undo", scripts.UNDO_MAIN)]
)
def test_batches_are_called_with_words_that_they_know(batch: str, text: str) -> None:
    firsts = set(re.findall(r'"%~1"=="(\w+)"', text))
    pairs = set(re.findall(r'"%PHASE% %~2"=="(\w+ \w+)"', text))
    used = re.findall(
        rf"\b{batch}\.cmd ((?:[a-z]+|[A-Z]+)(?: (?:[A-Z]{{3,}}|%NUMBER%))?)$",
        "\n".join(line for _, line in typed("bat")),
        re.MULTILINE,
    )
    assert len(used) > 1
    for words in used:
        first, _, second = words.partition(" ")
        assert first in firsts, words
        assert not second or words in pairs or (words == "hold %NUMBER%" and "undo.cmd hold NUMBER" in text), words


def test_the_blocks_take_one_evening() -> None:
    minutes = [int(number) for number in re.findall(r"^## \d\. .+ \((\d+) minutes\)$", PAGE, re.MULTILINE)]
    assert len(minutes) == len(re.findall(r"^## \d\. ", PAGE, re.MULTILINE))
    assert sum(minutes) <= 180
