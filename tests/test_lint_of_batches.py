"""Every .cmd that the product writes went through the check of its form, and no byte of one may be another.

Three looks: where in the source a .cmd is handed out, which bytes really were checked when everything that writes one
is called, and what becomes of a batch in which one character is lost, added or exchanged.
"""

from __future__ import annotations

import ast
import hashlib
import random
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

import carecover
from carecover.bundles import write_kit
from carecover.errors import RefusedError
from carecover.remediation import grammar
from tests.planned_bundle import DONE, Bundle
from tests.small_case import REVIEWER, Story

PACKAGE: Final = Path(carecover.__file__).parent


# ------------------------------------------------------------------------------ in the source


def _is_batch_name(node: ast.expr | None) -> bool:
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[-1]
    if isinstance(node, ast.BinOp):
        node = node.right
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".cmd")


def handed_out(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, int, ast.expr]]:
    """Function, line and value of each file that is put under a name ending in .cmd into files to be written."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        if function.returns is not None and re.fullmatch(
            "(?:Mapping|dict)\\[str, int\\]", ast.unparse(function.returns)
        ):
            # What is counted by a batch's name is no batch.
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    # A file is bytes: a sentence under a batch's name is about it.
                    told = isinstance(value, ast.JoinedStr) or (
                        isinstance(value, ast.Constant) and isinstance(value.value, str)
                    )
                    if _is_batch_name(key) and not told:
                        yield function, node.lineno, value
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Subscript) and _is_batch_name(target.slice):
                        yield function, node.lineno, node.value
            elif isinstance(node, ast.Call):
                # Written under such a name at once, past the files of a bundle.
                named = [a for a in (*node.args, *(k.value for k in node.keywords)) if _is_batch_name(a)]
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if named and re.search("write|open|copy|replace|touch|setdefault", name):
                    yield function, node.lineno, node


def checked_names(function: ast.FunctionDef) -> set[str]:
    """The variables that this function hands to grammar.check."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func).removeprefix("grammar.") in ("check", "checked"):
            found |= {arg.id for arg in node.args if isinstance(arg, ast.Name)}
    return found


def is_checked(tree: ast.Module, function: ast.FunctionDef, value: ast.expr) -> bool:
    """True where a value is a checked variable, or comes from a function that returns nothing but one."""
    if isinstance(value, ast.Name):
        if value.id in checked_names(function):
            return True
        made = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == value.id for t in node.targets)
        ]
        return bool(made) and all(is_checked(tree, function, one) for one in made)
    if not isinstance(value, ast.Call):
        return False
    if isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Name):
        # A function of a module of that name.
        found = [*PACKAGE.rglob(f"{value.func.value.id}.py")]
        if len(found) != 1:
            return False
        tree, name = ast.parse(found[0].read_text(encoding="utf-8")), value.func.attr
    elif isinstance(value.func, ast.Name):
        name = value.func.id
    else:
        return False
    called = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name), None)
    if called is None:
        return False
    returns = [node.value for node in ast.walk(called) if isinstance(node, ast.Return) and node.value is not None]
    return bool(returns) and all(is_checked(tree, called, one) for one in returns)


def test_wherever_a_batch_is_handed_out_its_form_was_checked() -> None:
    places = 0
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function, line, value in handed_out(tree):
            places += 1
            where = f"{path.relative_to(PACKAGE)}:{line}: {ast.unparse(value)[:80]} is handed out as a .cmd unchecked"
            assert is_checked(tree, function, value), where
    assert places >= 4, "prepare.cmd, revoke.cmd, undo.cmd and collect.cmd are found"


@pytest.mark.parametrize(
    "code",
    [
        'def f():\n return {"x.cmd": b"data"}',
        'def f(files):\n files["x.cmd"] = made()',
        'def made():\n return b""\ndef f(files):\n files["x.cmd"] = made()',
        'def f(place):\n write_atomically(place / "x.cmd", data)',
        'def f(name):\n open(f"{name}.cmd", "wb")',
        'def f(a, b):\n check(a)\n return {"x.cmd": b}',
    ],
)
def test_a_batch_that_is_handed_out_unchecked_would_be_found(code: str) -> None:
    tree = ast.parse(code)
    assert [is_checked(tree, function, value) for function, _, value in handed_out(tree)] == [False]


# ------------------------------------------------------------------------------ when it is written


def test_every_batch_on_disk_is_one_that_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    whole = grammar.check

    def check(data: bytes, **given: Any) -> None:
        whole(data, **given)
        seen.add(hashlib.sha256(data).hexdigest())

    monkeypatch.setattr(grammar, "check", check)
    story = Story.begin(tmp_path / "story")
    case = story.copy("signed", tmp_path)
    case.rehearse()
    case.batch(tmp_path / "bundle")
    case.run(tmp_path / "bundle", on=story.host())
    case.pin(tmp_path / "bundle", by=REVIEWER)
    write_kit(tmp_path / "kit")
    batches = [path for path in tmp_path.rglob("*") if path.suffix.lower() in (".cmd", ".bat")]
    assert {path.name for path in batches} >= {"prepare.cmd", "revoke.cmd", "undo.cmd", "collect.cmd"}
    for path in batches:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in seen, path


# ------------------------------------------------------------------------------ one byte another


@cache
def real_batches() -> Mapping[str, bytes]:
    """Every batch of a bundle with all kinds of items, and of the kit."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - only here

    with TemporaryDirectory() as place:
        bundle = Bundle(Path(place))
        assert bundle.run("prepare.cmd", "GO") == DONE
        bundle.pin()
        write_kit(Path(place) / "kit")
        return {path.name: path.read_bytes() for path in Path(place).rglob("*.cmd")}


# Each is one character lost, added or exchanged; what may stand inside quotes is not among those added there.
LOST: Final = {"a quote lost": '"', "a percent sign lost": "%"}
ADDED: Final = {
    **{f"{name} added": char for name, char in (("&", "&"), ("|", "|"), ("^", "^"), ("!", "!"), ("a quote", '"'))},
    **{"a percent sign added": "%", "a tab added": "\t", "NUL added": "\0", "EOF added": "\x1a", "ESC added": "\x1b"},
    **{"a line feed added": "\n", "a carriage return added": "\r", "a form feed added": "\f", "backspace": "\b"},
    **{"a high byte added": "\xe9", "0x85 added": "\x85", "0xa0 added": "\xa0", "0xff added": "\xff"},
    **{"a brace added": "{", "a star added": "*", "a backtick added": "`", "a hash added": "#", "a plus added": "+"},
}
# Plain characters within quotes, signs of the shell outside.
OUTSIDE_QUOTES: Final = {"> added": ">", "< added": "<", "( added": "(", ") added": ")"}


def mutants(line: str, collects: bool, random_: random.Random | None) -> Iterator[tuple[str, str]]:
    """Kind and line of each mutant; ``random_``: one of each kind, by chance."""
    for kind, char in LOST.items():
        places = [i for i, c in enumerate(line) if c == char]
        yield from ((kind, line[:i] + line[i + 1 :]) for i in _some(places, random_))
    for kind, char in (ADDED | OUTSIDE_QUOTES).items():
        places = list(range(len(line) + 1))
        if kind in OUTSIDE_QUOTES:
            places = [i for i in places if line[:i].count('"') % 2 == 0]
        if char in "*+" and collects:
            # collect.cmd may name the files of a folder, and the query of an event log.
            places = [i for i in places if line[:i].count('"') % 2 == 0]
        for i in _some(places, random_):
            if char == "+" and "set /a " in line:
                # Sums are made with it.
                continue
            yield kind, line[:i] + char + line[i:]


def _some(places: list[int], random_: random.Random | None) -> list[int]:
    return places if random_ is None or not places else [random_.choice(places)]


def _mutated(random_: random.Random | None) -> tuple[int, list[str]]:
    """How many mutants were tried, and those that passed."""
    tried, passed = 0, []
    for name, data in real_batches().items():
        collects = name == "collect.cmd"
        lines = data.decode("ascii").split("\r\n")[:-1]
        # A line by itself, with every label of its file: only its own form decides.
        labels = [line for line in lines if line.startswith(":")]
        for line in dict.fromkeys(lines):
            if not line or line == "@echo off" or line.startswith(":"):
                continue
            for kind, mutant in mutants(line, collects, random_):
                tried += 1
                batch = "".join(one + "\r\n" for one in ("@echo off", mutant, *labels, "exit /b 0"))
                try:
                    grammar.check(batch.encode("latin-1"), collects=collects)
                except RefusedError:
                    continue
                passed.append(f"{name}: {kind}: {mutant!r}")
    return tried, passed


def test_a_character_lost_or_added_in_any_line_is_refused() -> None:
    for name, data in real_batches().items():
        grammar.check(data, collects=name == "collect.cmd")
    tried, passed = _mutated(random.Random(4))
    assert tried > 5_000
    assert passed == []


@pytest.mark.thorough
def test_a_character_lost_or_added_anywhere_is_refused() -> None:
    _, passed = _mutated(None)
    assert passed == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.replace(b"\r\n", b"\n"),
        lambda data: data.replace(b"\r\n", b"\n", 1),
        lambda data: data.replace(b"\r\n", b"\r"),
        lambda data: data[:-2] + b"\n",
        lambda data: data[:-1],
        lambda data: data[:-2],
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: b"\xff\xfe" + data.decode().encode("utf-16-le"),
        lambda data: data + b"\x1a",
        lambda data: data + b"\0",
        lambda data: b"\r\n" + data,
        lambda data: data.replace(b"@echo off\r\n", b"", 1),
        lambda data: data + b"certutil -deleterow 1\r\n",
        lambda data: data.replace(b"exit /b", b"exit"),
        lambda data: data.replace(b":finish\r\n", b":finish\r\n:finish\r\n", 1),
        lambda data: data.replace(b":usage\r\n", b"", 1),
        lambda data: data.replace(b"-ca.cert", b"-f -ca.cert", 1),
    ],
)
def test_a_file_of_other_bytes_is_refused(spoil: Any) -> None:
    for name, data in real_batches().items():
        spoilt = spoil(data)
        if spoilt == data:
            continue
        with pytest.raises(RefusedError, match="outside the form"):
            grammar.check(spoilt, collects=name == "collect.cmd")


@pytest.mark.parametrize("name", ["prepare.cmd", "revoke.cmd", "undo.cmd", "collect.cmd"])
def test_collecting_and_changing_have_a_form_of_their_own(name: str) -> None:
    with pytest.raises(RefusedError, match="outside the form"):
        grammar.check(real_batches()[name], collects=name != "collect.cmd")
