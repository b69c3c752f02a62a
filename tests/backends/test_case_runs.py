"""What a case records of runs on a real CA, and what the command line says of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from carecover import underway
from carecover.backends import LocalHost
from carecover.case import Case
from carecover.cli import main
from carecover.errors import RefusedError, RunError, UsageError
from carecover.journal import Entry, Journal
from carecover.underway import Cancel
from tests.backends.sshd import Server
from tests.small_case import Story

OPERATOR = "Olga Operator"


class Desk:
    """A backend that does what a test says, in the place of a CA."""

    name = "local"

    def __init__(self, does: Callable[[Path, str, Sequence[str], Callable[[str], None]], int]) -> None:
        self.does = does

    @property
    def details(self) -> Mapping[str, str]:
        return {"machine": "ca01"}

    def execute(self, directory: Path, script: str, arguments: Sequence[str], on_output: Callable[[str], None]) -> int:
        return self.does(directory, script, arguments, on_output)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story.begin(tmp_path_factory.mktemp("story"))


@pytest.fixture
def case(story: Story, tmp_path: Path) -> Case:
    """A signed case with its bundle beside it."""
    made = story.copy("signed", tmp_path)
    made.batch(tmp_path / "bundle")
    return made


def run(case: Case, does: Any, *call: str, **given: Any) -> Any:
    backend = does if isinstance(does, LocalHost) else Desk(does)
    confirmed = {"on": backend, "by": OPERATOR, "ca_name": case.plan().ca_name, "call": call}
    return case.run(case.path.parent / "bundle", **{**confirmed, **given})


def runs(case: Case) -> list[Entry]:
    return [e for e in Journal(case.path / "journal.jsonl").entries() if e.act.startswith("run")]


def test_a_call_is_made_in_the_words_that_are_typed_at_the_server(case: Case) -> None:
    made: list[tuple[str, ...]] = []

    def does(_directory: Path, script: str, words: Sequence[str], say: Callable[[str], None]) -> int:
        say(f"{script} {' '.join(words)}\n")
        made.append((script, *words))
        return 1

    done = run(case, does, "prepare.cmd", "FIRST")
    assert made == [("prepare.cmd", "FIRST")]
    assert (done.phases, done.output, done.finished) == ((("prepare.cmd FIRST", 1),), "prepare.cmd FIRST\n", False)
    with pytest.raises(UsageError, match=r"no 'revoke\.cmd' in this bundle: it has prepare\.cmd"):
        run(case, does, "revoke.cmd", "apply")
    with pytest.raises(UsageError, match="leave the call out"):
        run(case, does, "prepare.cmd", on="simulator")
    assert len(made) == 1


def test_begin_and_end_are_in_the_journal(case: Case) -> None:
    def does(*_given: object) -> int:
        (begun,) = runs(case)
        assert begun.act == "run-begun", "before anything is done"
        return 0

    run(case, does)
    begun, ended = runs(case)
    assert begun.details["by"] == OPERATOR
    assert begun.details["host"] == {"machine": "ca01"}
    assert begun.details["calls"] == ["prepare.cmd GO"]
    assert (ended.act, ended.details["begun"]) == ("run", begun.number)
    assert ended.details["phases"] == ["prepare.cmd GO: 0"]
    assert case.check() == []


def test_what_leads_out_of_the_folder_is_not_kept(case: Case) -> None:
    def does(directory: Path, *_given: object) -> int:
        (directory / "logs").mkdir()
        (directory / "logs" / "carecover-prepare.log").write_text("log")
        (directory / "logs" / "zero.log").symlink_to("/dev/zero")
        (directory / "logs" / "case").symlink_to(case.path)
        os.mkfifo(directory / "logs" / "pipe.log")
        (directory / "out").symlink_to(case.path / "evidence")
        return 0

    kept = run(case, does).directory
    assert sorted(p.relative_to(kept).as_posix() for p in kept.rglob("*") if p.is_file()) == [
        "logs/carecover-prepare.log",
        "outcomes.json",
        "output.txt",
    ]


def test_a_run_that_was_cut_off_is_recorded_with_its_sentence(case: Case) -> None:
    def does(*_given: object) -> int:
        raise RunError("The connection ended.")

    with pytest.raises(RunError, match="The connection ended"):
        run(case, does)
    begun, cut = runs(case)
    assert (cut.act, cut.details["begun"], cut.details["why"]) == ("run-cut", begun.number, "The connection ended.")
    assert case.check() == []


def test_a_desk_that_died_in_the_middle_says_so_until_a_run_has_an_end(case: Case) -> None:
    journal, disk = case.path / "journal.jsonl", []

    def does(*_given: object) -> int:
        disk.append(journal.read_bytes())
        return 0

    run(case, does)
    # What a disk holds when the power goes away while the batch runs.
    journal.write_bytes(disk[0])
    shutil.rmtree(case.path / "runs")
    case = Case.open(case.path, clock=case._clock)
    assert [e.act for e in runs(case)] == ["run-begun"]
    (problem,) = case.check()
    assert f"prepare.cmd GO that {OPERATOR} began" in problem
    assert "has no end in the journal" in problem
    assert "Run the same again" in problem
    said: list[str] = []
    run(case, lambda *_: 0, on_output=said.append)
    assert said[0] == problem + "\n"
    assert case.check() == []


@pytest.mark.parametrize("words", [("prepare.cmd", "GO&calc"), ("prepare.cmd", "%PATH%"), ("manifest.json",)])
def test_nothing_but_plain_words_is_called(case: Case, words: Sequence[str]) -> None:
    local = LocalHost(interpreter=["false"], code_page="cp850", windows=True)
    with pytest.raises(UsageError):
        run(case, local, *words)


def test_the_command_line_runs_by_ssh(case: Case, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = case.path.parent / "bundle"
    ca = case.plan().ca_name
    where = ["--on", str(server.target), "--known-hosts", str(server.known_hosts)]
    where += ["--identity", str(server.identity)]

    def refused(code: int, *words: str) -> str:
        assert main(["run", str(case.path), str(bundle), *words]) == code
        return capsys.readouterr().err

    assert "ssh-keyscan" in refused(2, "--on", str(server.target))
    assert "no place to run" in refused(2, "--on", "telnet://ca01")
    assert "--by PERSON" in refused(2, *where)
    assert f"--ca '{ca}'" in refused(4, *where, "--by", OPERATOR)
    assert "prepare.cmd FIRST at the server" in refused(4, *where, "--by", OPERATOR, "--ca", ca)
    assert server.asked == []
    if sys.platform != "win32":
        assert "runs no Windows" in refused(4, "--on", "local")

    # A plan without dummies needs no signing.
    keep = [i.serial for i in case.plan().items if i.method == "dummy"]
    case.decide(action="leave", serials=keep, by="Ada Analyst", note="later")
    case.sign_off(by="Ada Analyst", role="analyst")
    case.sign_off(by="Rob Reviewer", role="reviewer")
    case.batch(case.path.parent / "second")
    bundle = case.path.parent / "second"
    server.obey("printf 'REFUSED: \\033[31mnot elevated.\\r\\n'; exit 3")
    assert (
        main(["run", str(case.path), str(bundle), "revoke.cmd", "preflight", *where, "--by", OPERATOR, "--ca", ca]) == 5
    )
    out, err = capsys.readouterr()
    assert err == "REFUSED: ·[31mnot elevated.\n"
    assert "revoke.cmd preflight: exit code 3" in out
    assert "carecover verify" in out
    assert "simulated" not in out
    assert "host_key" in runs(case)[-1].details["host"]


def test_what_is_said_is_in_the_case_before_it_is_shown(case: Case) -> None:
    seen: list[tuple[str, bytes]] = []

    def does(_directory: Path, _script: str, _words: object, say: Callable[[str], None]) -> int:
        say("first\n")
        say("sec\udc80ond\n")
        return 0

    def shown(text: str) -> None:
        (place,) = (case.path / "runs").iterdir()
        seen.append((text, (place / "output.txt").read_bytes()))

    done = run(case, does, on_output=shown)
    assert seen == [("first\n", b"first\n"), ("sec\udc80ond\n", b"first\nsec\\udc80ond\n")]
    assert done.directory.name == runs(case)[0].details["directory"]
    assert (done.directory / "output.txt").read_bytes() == seen[-1][1]


def test_one_run_at_a_time_whoever_begins_it(case: Case) -> None:
    def does(*_given: object) -> int:
        with pytest.raises(RefusedError, match="one at a time"):
            run(Case.open(case.path, clock=case._clock), lambda *_: 0)
        with pytest.raises(RefusedError, match="one at a time"):
            case.rehearse()
        return 0

    run(case, does)
    assert [e.act for e in runs(case)] == ["run-begun", "run"]
    assert not underway.is_going(case.path)


def test_whoever_asks_for_the_end_gets_it_between_two_scripts(case: Case) -> None:
    def does(*_given: object) -> int:
        underway.ask_to_stop(case.path)
        assert Cancel(case.path).is_set()
        return 0

    keep = [i.serial for i in case.plan().items if i.method == "dummy"]
    case.decide(action="leave", serials=keep, by="Ada Analyst", note="later")
    case.sign_off(by="Ada Analyst", role="analyst")
    case.sign_off(by="Rob Reviewer", role="reviewer")
    bundle = case.path.parent / "second"
    case.batch(bundle)
    with pytest.raises(RunError, match=r"cancelled before revoke\.cmd backup.*Run the same again"):
        case.run(bundle, on=Desk(does), by=OPERATOR, ca_name=case.plan().ca_name)
    assert [e.act for e in runs(case)] == ["run-begun", "run-cut"]
    assert not Cancel(case.path).is_set(), "the next run is not stopped by it"
    with pytest.raises(RefusedError, match="nothing to cancel"):
        underway.ask_to_stop(case.path)


KILLED: Final = """
import os, signal, sys
from pathlib import Path
from carecover.case import Case

class Ca:
    name, details = "local", {"machine": "ca01"}
    def execute(self, directory, script, words, say):
        say("half of it\\n")
        os.kill(os.getpid(), signal.SIGKILL)

case = Case.open(sys.argv[1])
case.run(sys.argv[2], on=Ca(), by="Olga Operator", ca_name=case.plan().ca_name)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_process_that_is_killed_leaves_what_it_said_and_blocks_nobody(case: Case) -> None:
    bundle = case.path.parent / "bundle"
    done = subprocess.run([sys.executable, "-c", KILLED, str(case.path), str(bundle)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not underway.is_going(case.path)
    (begun,) = runs(case)
    said = case.path / "runs" / begun.details["directory"] / "output.txt"
    assert said.read_bytes() == b"half of it\n"
    run(case, lambda *_: 0)
    assert [e.act for e in runs(case)] == ["run-begun", "run-cut", "run-begun", "run"], "the next closes the dead one"
    assert case.check() == [], "and answers for what it had said"
    said.write_bytes(b"all of it\n")
    assert "no longer what the run had said" in case.check()[0]
