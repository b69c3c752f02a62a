"""start.py: what it installs, when it begins anew, and what it says. Nothing here needs the network."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent

if TYPE_CHECKING:
    import start
else:
    specification = importlib.util.spec_from_file_location("start", ROOT / "start.py")
    start = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(start)

LOCK = f"# About it.\n\nclick==8 \\\n    --hash=sha256:aa\n\n{start.MARKER}\n\nruff==1 \\\n    --hash=sha256:bb\n"
REMADE = ".venv is unfinished, out of date or from another place: making it again."


class Installer:
    """Stands for venv, pip and uv: makes the files that they would make, unless told to fail."""

    def __init__(self, tree: start.Tree) -> None:
        self.tree = tree
        self.commands: list[list[str]] = []
        self.fails: Callable[[Sequence[str]], bool] = lambda _command: False
        self.interrupted = False

    def __call__(self, command: Sequence[str]) -> int:
        self.commands.append(list(command))
        if self.fails(command):
            if self.interrupted:
                raise KeyboardInterrupt
            return 1
        made = self.tree.python if "venv" in command else None
        made = self.tree.executable("carecover") if "--editable" in command else made
        if made:
            made.parent.mkdir(parents=True, exist_ok=True)
            made.touch()
        return 0


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> start.Tree:
    """A tree of its own, on a machine with neither uv nor apt-get."""
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    (tmp_path / "requirements.lock").write_text(LOCK, encoding="utf-8")
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    return start.Tree(tmp_path)


@pytest.fixture
def installer(tree: start.Tree) -> Installer:
    return Installer(tree)


def installs_packages(command: Sequence[str]) -> bool:
    return "--require-hashes" in command


# --- requirements.lock ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lock() -> str:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_every_line_of_the_lock_is_a_pinned_requirement_or_a_hash(lock: str) -> None:
    """So there is no index, no address, no path, no option, no local version and no comment beside ours."""
    comment = r"# [^/@]*"
    requirement = r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [A-Za-z0-9_.'()<>=! -]+)? \\"
    sha256 = r"    --hash=sha256:[0-9a-f]{64}( \\)?"
    allowed = re.compile(f"{comment}|{requirement}|{sha256}|")
    assert [line for line in lock.split("\n") if not allowed.fullmatch(line)] == []


def test_every_requirement_has_a_hash_and_stands_in_the_lock_once(lock: str) -> None:
    blocks = start.blocks(lock)
    assert len(blocks) > 100
    assert [name for name, block in blocks.items() if "--hash=sha256:" not in block] == []
    assert [name for name, block in blocks.items() if block.count("==") - block.split("\n")[0].count("==")] == []
    assert lock.count(start.MARKER) == 1


def test_the_lock_covers_what_pyproject_asks_for(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = project["dependency-groups"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[<>=\[; ]", requirement)[0] for requirement in requirements}

    runtime = start.blocks(start.requirements_for(start.RUNTIME, lock)).keys()
    everything = start.blocks(start.requirements_for(start.DEVELOPMENT, lock)).keys()
    installed = groups["build"] + groups["start"]
    run = names(project["project"]["dependencies"] + installed + project["build-system"]["requires"])
    assert run <= runtime
    assert names(groups["dev"]) <= everything
    assert {"pytest", "mypy", "ruff"} & runtime == set()
    extras = names(project["project"]["optional-dependencies"]["pdf"])
    assert extras <= runtime, "what the README shows works after what the README says"


def test_the_runtime_part_ends_at_the_marker() -> None:
    assert start.requirements_for(start.RUNTIME, LOCK).endswith("sha256:aa\n\n")
    assert start.requirements_for(start.DEVELOPMENT, LOCK) == LOCK


def test_a_lock_without_its_marker_is_refused() -> None:
    with pytest.raises(start.StartError, match="damaged") as refusal:
        start.requirements_for(start.RUNTIME, "click==8\n")
    assert refusal.value.exit_code == start.SETUP_FAILED


def test_a_composed_lock_has_each_package_in_one_part() -> None:
    click, wide = "click==8 \\\n    --hash=sha256:aa\n", "six==1 ; os_name == 'nt' \\\n    --hash=sha256:cc\n"
    narrow = wide.replace("os_name == 'nt'", "python_version < '3.12'")
    ruff = "ruff==1 \\\n    --hash=sha256:bb\n"
    lock = start.compose_lock(click + ruff + wide, click + narrow)
    assert start.blocks(start.requirements_for(start.RUNTIME, lock)) == {"click": click, "six": wide}
    assert start.blocks(lock) == {"click": click, "six": wide, "ruff": ruff}


# --- .venv ------------------------------------------------------------------------------------------------


def test_a_first_start_installs_by_hash_and_the_second_does_nothing(tree: start.Tree, installer: Installer) -> None:
    start.make_ready(tree, start.RUNTIME, installer)
    make, packages, itself = installer.commands
    assert make[1:] == ["-m", "venv", str(tree.venv)]
    assert {"--require-hashes", "--only-binary", "--no-deps"} <= set(packages)
    assert {"--no-deps", "--no-build-isolation", "--no-index"} <= set(itself)
    assert "ruff" not in (tree.venv / "runtime.txt").read_text(encoding="utf-8")
    start.make_ready(tree, start.RUNTIME, installer)
    assert len(installer.commands) == 3


def test_the_tools_are_added_to_a_good_venv(
    tree: start.Tree, installer: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    start.make_ready(tree, start.RUNTIME, installer)
    (tree.venv / "kept").touch()
    start.make_ready(tree, start.DEVELOPMENT, installer)
    assert (tree.venv / "kept").exists()
    assert "ruff" in (tree.venv / "development.txt").read_text(encoding="utf-8")
    assert REMADE not in capsys.readouterr().err
    assert start.is_ready(tree, start.RUNTIME)
    assert start.is_ready(tree, start.DEVELOPMENT)


def test_tools_that_cannot_be_added_leave_carecover_usable(tree: start.Tree, installer: Installer) -> None:
    start.make_ready(tree, start.RUNTIME, installer)
    installer.fails = installs_packages
    with pytest.raises(start.StartError):
        start.make_ready(tree, start.DEVELOPMENT, installer)
    assert start.is_ready(tree, start.RUNTIME)
    assert not start.is_ready(tree, start.DEVELOPMENT)


def test_a_wheelhouse_is_used_instead_of_the_network(tree: start.Tree, installer: Installer) -> None:
    tree.wheelhouse.mkdir()
    start.make_ready(tree, start.RUNTIME, installer)
    packages = installer.commands[1]
    assert packages[packages.index("--find-links") + 1] == str(tree.wheelhouse)
    assert {"--no-index", "--require-hashes"} <= set(packages)


def test_pip_is_tried_where_uv_fails(
    tree: start.Tree,
    installer: Installer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(shutil, "which", {"uv": "/usr/bin/uv"}.get)
    installer.fails = lambda command: command[0] == "/usr/bin/uv" and installs_packages(command)
    start.make_ready(tree, start.RUNTIME, installer)
    assert start.is_ready(tree, start.RUNTIME)
    assert [command[0] == "/usr/bin/uv" for command in installer.commands] == [True, True, False, False, False]
    assert "trying with pip" in capsys.readouterr().err


def test_a_venv_of_another_account_is_told_in_a_sentence(
    tree: start.Tree, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One made by root points to a Python in root's home, which nobody else may even look at."""
    start.make_ready(tree, start.RUNTIME, installer)

    def exists(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", exists)
    with pytest.raises(start.StartError, match=r"another account.*without \.venv") as refusal:
        start.make_ready(tree, start.RUNTIME, installer)
    assert refusal.value.exit_code == start.SETUP_FAILED


def forget_stamp(tree: start.Tree) -> None:
    tree.stamp.unlink()


def damage_stamp(tree: start.Tree) -> None:
    tree.stamp.write_bytes(b"\xff\x00")


def lose_interpreter(tree: start.Tree) -> None:
    tree.python.unlink()
    tree.python.symlink_to(tree.root / "gone")


def lose_script(tree: start.Tree) -> None:
    tree.executable("carecover").unlink()


def change_lock(tree: start.Tree) -> None:
    tree.requirements.write_text(LOCK.replace("aa", "ab"), encoding="utf-8")


def change_project(tree: start.Tree) -> None:
    (tree.root / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")


def put_a_file_there(tree: start.Tree) -> None:
    shutil.rmtree(tree.venv)
    tree.venv.touch()


def put_a_dangling_link_there(tree: start.Tree) -> None:
    shutil.rmtree(tree.venv)
    tree.venv.symlink_to(tree.root / "gone")


@pytest.mark.parametrize(
    "harm",
    [
        forget_stamp,
        damage_stamp,
        lose_interpreter,
        lose_script,
        change_lock,
        change_project,
        put_a_file_there,
        put_a_dangling_link_there,
    ],
)
def test_a_venv_that_is_not_as_it_should_be_is_made_again(
    harm: Callable[[start.Tree], None],
    tree: start.Tree,
    installer: Installer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    start.make_ready(tree, start.RUNTIME, installer)
    (tree.venv / "left over").touch()
    harm(tree)
    capsys.readouterr()
    start.make_ready(tree, start.RUNTIME, installer)
    assert capsys.readouterr().err.splitlines()[0] == REMADE
    assert not (tree.venv / "left over").exists()
    assert start.is_ready(tree, start.RUNTIME)


def test_another_python_and_a_moved_folder_need_another_venv(
    tree: start.Tree, installer: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start.make_ready(tree, start.RUNTIME, installer)
    moved = tmp_path.with_name(f"{tmp_path.name} moved")
    tmp_path.rename(moved)
    assert not start.is_ready(start.Tree(moved), start.RUNTIME)
    moved.rename(tmp_path)
    assert start.is_ready(tree, start.RUNTIME)
    monkeypatch.setattr(sys.implementation, "cache_tag", "cpython-399")
    assert not start.is_ready(tree, start.RUNTIME)


def test_a_change_of_the_tools_alone_leaves_the_runtime_as_it_is(tree: start.Tree, installer: Installer) -> None:
    start.make_ready(tree, start.DEVELOPMENT, installer)
    tree.requirements.write_text(LOCK.replace("bb", "bc"), encoding="utf-8")
    assert start.is_ready(tree, start.RUNTIME)
    assert not start.is_ready(tree, start.DEVELOPMENT)


@pytest.mark.parametrize("before", [[], [start.RUNTIME]])
def test_an_interrupted_installation_is_begun_anew(
    before: list[str], tree: start.Tree, installer: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in before:
        start.make_ready(tree, part, installer)
    installer.fails, installer.interrupted = installs_packages, True
    with pytest.raises(KeyboardInterrupt):
        start.make_ready(tree, start.DEVELOPMENT, installer)
    assert not start.is_ready(tree, start.RUNTIME)
    installer.fails = lambda _command: False
    start.make_ready(tree, start.RUNTIME, installer)
    assert REMADE in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("[Errno -3] Temporary failure in name resolution", "wheelhouse: start.py --help"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "damaged or replaced"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("something new", "Mend what the last lines name"),
    ],
)
def test_a_failure_shows_the_last_lines_and_says_what_to_do(said: str, advice: str, tree: start.Tree) -> None:
    def fail(_command: Sequence[str]) -> int:
        tree.log.write_text("".join(f"line {number}\n" for number in range(50)) + said, encoding="utf-8")
        return 1

    with pytest.raises(start.StartError) as failure:
        start.make_ready(tree, start.RUNTIME, fail)
    assert failure.value.exit_code == start.SETUP_FAILED
    assert said in str(failure.value)
    assert advice in str(failure.value).splitlines()[-1]
    assert tree.log.name in str(failure.value)
    assert "line 40\n" not in str(failure.value)
    assert not tree.venv.exists()


def test_a_wheelhouse_that_lacks_something_is_named(tree: start.Tree) -> None:
    tree.wheelhouse.mkdir()
    with pytest.raises(start.StartError, match="The folder wheelhouse does not hold every package"):
        start.make_ready(tree, start.RUNTIME, lambda _command: 1)


def test_an_incomplete_copy_of_carecover_is_said_to_be_one(tree: start.Tree) -> None:
    tree.requirements.unlink()
    with pytest.raises(start.StartError, match="not complete"):
        start.make_ready(tree, start.RUNTIME, lambda _command: 0)


def test_the_log_keeps_what_commands_say(tree: start.Tree, capfd: pytest.CaptureFixture[str]) -> None:
    run = start.run_logged(tree)
    assert run([sys.executable, "-c", "import sys; print('out'); sys.exit('err')"]) == 1
    assert run([str(tree.root / "no such program")]) == 127
    assert re.search(r"^\$ .*\nout\nerr\n\$ .*no such program\n", tree.log.read_text(), re.MULTILINE)
    assert capfd.readouterr() == ("", "")


def test_a_second_start_waits_for_the_first(
    tree: start.Tree, installer: Installer, capsys: pytest.CaptureFixture[str]
) -> None:
    with start.one_at_a_time(tree):
        second = threading.Thread(target=start.make_ready, args=(tree, start.RUNTIME, installer))
        second.start()
        deadline = time.monotonic() + 3
        said = ""
        while "waiting for it" not in said and time.monotonic() < deadline:
            said += capsys.readouterr().err
            time.sleep(0.01)
        assert "Another start.py is at work on .venv" in said
        assert installer.commands == []
        start.set_up(tree, start.RUNTIME, installer)
    second.join(timeout=3)
    assert len(installer.commands) == 3  # the first did it all


def test_the_lock_of_a_killed_start_does_not_last(tree: start.Tree, capsys: pytest.CaptureFixture[str]) -> None:
    hold = (
        "import pathlib, start, time\n"
        "with start.one_at_a_time(start.Tree(pathlib.Path.cwd())):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{hold}"]
    with subprocess.Popen(command, cwd=tree.root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with tree.mutex.open("a") as file:
            assert not start.locked(file.fileno())
        process.kill()
    with start.one_at_a_time(tree):
        assert capsys.readouterr().err == ""


# --- The commands -----------------------------------------------------------------------------------------


def test_start_can_be_read_by_a_python_that_is_too_old() -> None:
    ast.parse((ROOT / "start.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_a_python_that_is_too_old_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert start.main(["demo"], (3, 10)) == 2
    assert capsys.readouterr().err.startswith("carecover needs Python 3.11 or newer and this is 3.10: ")
    assert start.too_old((3, 11)) is None
    assert start.too_old((4, 0)) is None


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_guide_names_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert start.main(arguments) == 0
    guide = capsys.readouterr().out
    assert guide.isascii()
    assert re.findall(r"^    (\w+)  ", guide, re.MULTILINE) == ["demo", "lab", "test", "bench", "lock"]


@pytest.mark.parametrize("arguments", [["dmeo"], ["lock", "now"], ["--version"]])
def test_an_unknown_command_is_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert start.main(arguments) == 2
    assert f'no "start.py {" ".join(arguments)}"' in capsys.readouterr().err


def test_a_keyboard_interrupt_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_arguments: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "make_ready", interrupt)
    assert start.main(["demo"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


class HandedOver(Exception):  # noqa: N818 - not an error
    """Raised in place of becoming another process."""


@pytest.mark.parametrize("command", ["demo", "lab"])
def test_demo_and_lab_pass_their_arguments_on(command: str, tree: start.Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[list[str]] = []

    def hand_over(command: list[str]) -> NoReturn:
        handed.append(command)
        raise HandedOver

    monkeypatch.setattr(start, "hand_over", hand_over)
    monkeypatch.setattr(start, "make_ready", lambda *_arguments: None)
    with pytest.raises(HandedOver):
        start.dispatch(tree, command, ["--help", "x y"])
    assert handed == [[str(tree.executable("carecover")), command, "--help", "x y"]]


@pytest.mark.skipif(os.name == "nt", reason="there is no root")
def test_root_is_told_before_anything_is_set_up(tree: start.Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(start.StartError, match=r"start\.py lab --allow-root") as refusal:
        start.dispatch(tree, "lab", ["night"])
    assert refusal.value.exit_code == start.WRONG_USAGE
    assert not tree.venv.exists()


def test_bench_without_benchmarks_says_so(tree: start.Tree) -> None:
    with pytest.raises(start.StartError, match="no benchmarks") as refusal:
        start.dispatch(tree, "bench", [])
    assert refusal.value.exit_code == 2


def test_children_get_no_foreign_packages() -> None:
    environment = start.child_environment({"PYTHONPATH": "x", "PYTHONHOME": "x", "PIP_TARGET": "x", "LANG": "C"})
    assert environment.keys() & {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET"} == set()
    assert environment["PYTHONUTF8"] == "1"
    assert environment["LANG"] == "C"


EVERY_PROCESSOR = "-n auto --dist loadgroup"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["ruff check", "ruff format --check", "mypy", f"pytest {EVERY_PROCESSOR}"]),
        (
            ["--thorough"],
            ["ruff check", "ruff format --check", "mypy", f"pytest -m thorough or not thorough {EVERY_PROCESSOR}"],
        ),
        (["-k", "start"], ["pytest -k start"]),
        (["--thorough", "tests/x.py"], ["pytest -m thorough or not thorough tests/x.py"]),
    ],
)
def test_test_runs_the_checks_and_names_what_failed(
    arguments: list[str],
    expected: list[str],
    tree: start.Tree,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran: list[str] = []

    def run(command: Sequence[str], **_options: object) -> subprocess.CompletedProcess[str]:
        ran.append(" ".join(command[2:]))
        return subprocess.CompletedProcess(command, int(command[2] in {"ruff", "pytest"}))

    monkeypatch.setattr(start, "make_ready", lambda *_arguments: None)
    monkeypatch.setattr(start, "provide", lambda *_arguments: None)
    monkeypatch.setattr(subprocess, "run", run)
    assert start.dispatch(tree, "test", arguments) == 1
    assert ran == expected
    failed = "Failed: ruff check, ruff format, pytest." if len(expected) > 1 else "Failed: pytest."
    assert capsys.readouterr().err.splitlines()[-1] == failed


OPENSSL = start.SystemTool("openssl", "openssl", "something")


def test_a_missing_system_tool_is_named_or_fails(
    tree: start.Tree, capsys: pytest.CaptureFixture[str], installer: Installer
) -> None:
    start.provide([OPENSSL], installer, require_all=False)
    assert "Without openssl (on Debian and Ubuntu: openssl) is skipped: something." in capsys.readouterr().err
    with pytest.raises(start.StartError, match="CARECOVER_REQUIRE_ALL") as refusal:
        start.provide([OPENSSL], installer, require_all=True)
    assert refusal.value.exit_code == 5
    assert installer.commands == []
    assert not tree.venv.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="apt-get is a thing of Debian and Ubuntu")
def test_root_gets_missing_system_tools_from_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"apt-get": "/usr/bin/apt-get"}
    commands: list[str] = []

    def run(command: Sequence[str]) -> int:
        commands.append(" ".join(command))
        if command[-1] == "openssl":
            present["openssl"] = "/usr/bin/openssl"
        return 0

    monkeypatch.setattr(shutil, "which", present.get)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    start.provide([OPENSSL], run, require_all=True)
    assert [command.rpartition("--quiet ")[2].split()[0] for command in commands] == ["update", "install"]
    assert all("DEBIAN_FRONTEND=noninteractive" in command for command in commands)
    start.provide([OPENSSL], run, require_all=True)
    assert len(commands) == 2
