"""A child process under watch, seen without any network."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecover.backends.process import Console, EndedError, Limits, check_call, watched
from carecover.errors import PathError, UsageError


def run(place: Path, code: str, limits: Limits | None = None) -> tuple[int, list[str]]:
    said: list[str] = []
    ended = watched(
        [sys.executable, "-c", code], cwd=place, console=Console("cp850"), on_output=said.append,
        limits=limits or Limits(),
    )  # fmt: skip
    return ended, said


def test_output_comes_while_the_process_runs(tmp_path: Path) -> None:
    code = (
        "import pathlib, time\nprint('first', flush=True)\n"
        "while not pathlib.Path('go').exists(): time.sleep(.01)\nprint('last'); exit(7)"
    )
    said: list[str] = []

    def hear(text: str) -> None:
        said.append(text)
        (tmp_path / "go").touch()

    code_ = watched(
        [sys.executable, "-c", code], cwd=tmp_path, console=Console("cp850"), on_output=hear, limits=Limits()
    )
    assert (code_, "".join(said)) == (7, "first\nlast\n")


def test_both_outputs_are_one_and_nothing_can_be_typed(tmp_path: Path) -> None:
    ended, said = run(tmp_path, "import sys; sys.stderr.write('e'); print(repr(sys.stdin.read()))")
    assert (ended, "".join(said)) == (0, "e''\n")


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        "print(child.pid, flush=True); time.sleep(1000)"
    )
    said: list[str] = []
    cancel = threading.Event()

    def hear(text: str) -> None:
        said.append(text)
        cancel.set()

    with pytest.raises(EndedError, match="cancelled"):
        watched(
            [sys.executable, "-c", code], cwd=tmp_path, console=Console("cp850"), on_output=hear, limits=Limits(),
            cancel=cancel,
        )  # fmt: skip
    deadline = time.monotonic() + 30
    while _alive(int("".join(said))):
        assert time.monotonic() < deadline, "the child of the child still runs"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_pipe_that_somebody_keeps_open_keeps_nobody_waiting(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\nprint(child.pid)\n"
    )
    ended, said = run(tmp_path, code)
    assert ended == 0
    os.kill(int("".join(said)), signal.SIGKILL)


def test_what_cannot_be_started_is_said(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="cannot be started"):
        watched([str(tmp_path / "none")], cwd=tmp_path, console=Console("cp850"), on_output=print, limits=Limits())


@given(st.binary(max_size=300), st.sampled_from(["cp850", "cp437", "cp65001", "cp932", "cp1252"]), st.integers(1, 50))
def test_no_bytes_command_a_screen_and_no_cut_changes_them(data: bytes, page: str, size: int) -> None:
    whole, pieces = Console(page), Console(page)
    text = whole(data, final=True)
    assert all(c.isprintable() or c in "\n\t" for c in text)
    cut = "".join(pieces(data[at : at + size]) for at in range(0, len(data), size)) + pieces(b"", final=True)
    assert cut == text


@given(st.text(max_size=30))
def test_only_plain_words_reach_an_interpreter(word: str) -> None:
    plain = word.isascii() and word.isalnum() and len(word) <= 20
    for script, arguments in ((f"{word}.cmd", []), ("revoke.cmd", [word])):
        if plain and ((word.islower() and word.isalpha()) or arguments):
            check_call(script, arguments)
        else:
            with pytest.raises(UsageError):
                check_call(script, arguments)
