"""The client of a CA that is slow, absent, wrong or hostile; tests/wine has the one that runs batches."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from carecover.backends import Limits, SshHost, SshTarget, backend, process, ssh
from carecover.errors import CarecoverError, PathError, RefusedError, RunError, UsageError
from carecover.model import sha256_hex
from carecover.remediation import prepare_bundle
from tests.backends.sshd import Server
from tests.planned_bundle import Bundle, certificates


def folder_of(bundle: Bundle) -> str:
    return f"carecover-{bundle.plan.digest[:12]}"


def files(place: Path) -> dict[str, bytes]:
    return {p.relative_to(place).as_posix(): p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file()}


class Prompt:
    """Runs scripts of a bundle on a server, and keeps what was said."""

    def __init__(self, server: Server, bundle: Bundle) -> None:
        self.server, self.bundle = server, bundle
        self.there = server.home / folder_of(bundle)
        self.text = ""

    def hear(self, text: str) -> None:
        self.text += text

    def call(self, *words: str, host: SshHost | None = None) -> int:
        script, *arguments = words or ("prepare.cmd", "GO")
        return (host or self.server.host()).execute(self.bundle.directory, script, arguments, self.hear)

    def fails(self, error: type[CarecoverError], pattern: str, host: SshHost | None = None) -> str:
        """The sentence of the refusal, in which there is nothing that commands a screen."""
        with pytest.raises(error, match=pattern) as caught:
            self.call(host=host)
        assert str(caught.value).isprintable()
        return str(caught.value)

    @property
    def calls(self) -> list[str]:
        """What was run, carrying files aside."""
        return [line for line in self.server.asked if line != "sftp"]


@pytest.fixture
def prompt(server: Server, bundle: Bundle) -> Prompt:
    return Prompt(server, bundle)


# ------------------------------------------------------------------------------ all is well


def test_the_bundle_goes_there_once_and_what_it_left_comes_back(prompt: Prompt) -> None:
    folder = folder_of(prompt.bundle)
    prompt.server.obey(
        f"mkdir -p {folder}/logs {folder}/out {folder}/work; echo log >>{folder}/logs/carecover-prepare.log;"
        f"echo list >{folder}/out/crl-0.crl; echo words >{folder}/work/errors.txt; printf 'done\\r\\n'; exit 1"
    )
    before = files(prompt.bundle.directory)
    host = prompt.server.host()
    assert "host_key" not in host.details
    assert prompt.call(host=host) == 1
    assert prompt.text == "done\n"
    assert {n: d for n, d in files(prompt.there).items() if n in before} == before
    left = {"logs/carecover-prepare.log": b"log\n", "out/crl-0.crl": b"list\n", "work/errors.txt": b"words\n"}
    assert files(prompt.bundle.directory) == before | left
    assert prompt.calls == [f"cmd.exe /d /c {folder}\\prepare.cmd GO"]
    sessions = len(prompt.server.asked)
    assert prompt.call(host=host) == 1
    assert len(prompt.server.asked) - sessions == 4, "look, run, list, fetch"
    assert files(prompt.bundle.directory)["logs/carecover-prepare.log"] == b"log\nlog\n"
    public = (prompt.server.directory / "host_key.pub").read_text().split()[0]
    assert host.details["host_key"].startswith(f"{public} SHA256:")
    assert host.details["machine"] == str(prompt.server.target)


def test_dummies_that_were_made_by_hand_go_there_and_only_signing_brings_any_back(prompt: Prompt) -> None:
    folder = folder_of(prompt.bundle)
    mine = prompt.bundle.directory / "dummies" / "00ab.cer"
    mine.parent.mkdir()
    mine.write_bytes(b"made at the server")
    prompt.server.obey(f"printf theirs >{folder}/dummies/00cd.cer; printf theirs >{folder}/dummies/00ab.cer")
    assert prompt.call() == 0
    assert files(mine.parent) == {"00ab.cer": b"theirs", "00cd.cer": b"theirs"}
    mine.write_bytes(b"pinned")
    prompt.bundle.write({"revoke.cmd": b"@echo off\r\n"})
    body = json.loads((prompt.bundle.directory / "manifest.json").read_text())
    body["files"]["revoke.cmd"] = {"sha256": sha256_hex(b"@echo off\r\n")}
    prompt.bundle.write({"manifest.json": json.dumps(body).encode()})
    assert prompt.call("revoke.cmd", "apply", "FIRST") == 0
    assert mine.read_bytes() == b"pinned"


# ------------------------------------------------------------------------------ who is there


def test_another_host_key_is_refused_before_anything_is_sent(prompt: Prompt) -> None:
    prompt.server.know(prompt.server.directory / "key.pub")
    said = prompt.fails(RefusedError, "host key")
    assert "Compare the key at the CA itself" in said
    assert "ssh-keygen -f" not in said, "the client's advice is to throw the known key away"
    (prompt.server.known_hosts).write_text("")
    prompt.fails(RefusedError, "host key")
    assert prompt.server.asked == []
    assert files(prompt.server.home) == {}


def test_the_key_of_a_person_must_be_one_that_is_known_there(prompt: Prompt) -> None:
    (prompt.server.directory / "key.pub").write_text("")
    assert "a password is never asked" in prompt.fails(RefusedError, "takes no key of yours")
    assert prompt.server.asked == []


def test_where_nobody_listens_there_is_no_connection(prompt: Prompt) -> None:
    here = prompt.server.target
    nobody = SshTarget(here.user, "nowhere.invalid", here.port)
    assert "nowhere.invalid" in prompt.fails(RunError, "no connection", prompt.server.host(target=nobody))
    closed = SshTarget(here.user, here.host, 1)
    prompt.fails(RunError, "no connection|not the one", prompt.server.host(target=closed))


def test_what_is_missing_here_is_said_before_anything_else(
    prompt: Prompt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="ssh-keyscan"):
        prompt.server.host(known_hosts=None)
    with pytest.raises(PathError, match="cannot be read"):
        prompt.server.host(known_hosts=tmp_path / "none")
    with pytest.raises(PathError, match="no file with a private key"):
        prompt.server.host(identity=tmp_path / "none")
    (tmp_path / "50%d").touch()
    with pytest.raises(UsageError, match="another place"):
        prompt.server.host(identity=tmp_path / "50%d")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(1 << 30)
    with pytest.raises(UsageError, match="no file of host keys"):
        prompt.server.host(known_hosts=tmp_path / "large")
    (tmp_path / "ssh").write_text("#!/bin/sh\n")
    (tmp_path / "ssh").chmod(0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RefusedError, match="lies in the current folder"):
        prompt.server.host()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(RefusedError, match="OpenSSH client is not here"):
        prompt.server.host()


@pytest.mark.parametrize(
    "text",
    [
        "ssh://", "ssh://ca01", "ssh://jane@", "ssh://@ca01", "ssh://jane:secret@ca01", "ssh://-oProxyCommand=x@ca01",
        "ssh://jane@-oProxyCommand=x", "ssh://jane@ca01:0", "ssh://jane@ca01:65536", "ssh://jane@ca01:22/C:/",
        "ssh://jane@ca01 x", "ssh://ja ne@ca01", "ssh://jane@ca01\n", "ssh://jane@ca`id`", "ssh://jane@$HOME",
        "ssh://jane@ca01;id", "ssh://jane\\@ca01", "ssh://jane@cä01", "ssh://jane@[::1", "ssh://j@" + "a" * 300,
    ],
)  # fmt: skip
def test_what_is_no_account_at_a_host_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="named as ssh://USER@HOST") as caught:
        SshTarget.parse(text)
    assert "secret" not in str(caught.value)


def test_accounts_of_a_domain_ports_and_addresses_are_understood() -> None:
    assert SshTarget.parse("ssh://jane@ca01") == SshTarget("jane", "ca01", 22)
    assert SshTarget.parse("ssh://CORP\\jane@ca01.corp.example:2222") == SshTarget(
        "CORP\\jane", "ca01.corp.example", 2222
    )
    assert SshTarget.parse("ssh://jane@corp.example@10.0.0.1") == SshTarget("jane@corp.example", "10.0.0.1", 22)
    assert SshTarget.parse("ssh://jane@[fe80::1]:22/").host == "[fe80::1]"


def test_a_backend_has_a_name_that_is_known(prompt: Prompt) -> None:
    target = str(prompt.server.target)
    made = backend(target, known_hosts=prompt.server.known_hosts, identity=prompt.server.identity)
    assert made.details["machine"] == target
    for wrong in ("winrm", "SSH://jane@ca01", "ssh:jane@ca01", ""):
        with pytest.raises(UsageError, match="no place to run"):
            backend(wrong)
    for patience in (0, -1, 1e9, float("nan")):
        with pytest.raises(UsageError, match="patience"):
            backend("local", patience=patience)


# ------------------------------------------------------------------------------ what lies there already


def test_a_folder_of_another_plan_is_left_alone(prompt: Prompt) -> None:
    prompt.there.mkdir()
    for odd in (b"{", b'{"plan": "0000"}', b"[" * 100_000, b"\xff"):
        (prompt.there / "manifest.json").write_bytes(odd)
        if odd == b"{":
            # The beginning of ours: an upload that was torn.
            assert prompt.call() == 0
            continue
        prompt.fails(RefusedError, "belongs to another plan")
        assert (prompt.there / "manifest.json").read_bytes() == odd
    assert len(prompt.calls) == 1


def test_a_batch_that_was_changed_there_is_neither_run_nor_written_over(prompt: Prompt) -> None:
    host = prompt.server.host()
    assert prompt.call(host=host) == 0
    changed = (prompt.there / "prepare.cmd").read_bytes().replace(b"-sign", b"-sigh")
    (prompt.there / "prepare.cmd").write_bytes(changed)
    prompt.fails(RefusedError, "is not the one of this bundle", host)
    prompt.fails(RefusedError, "is not the one of this bundle")
    assert (prompt.there / "prepare.cmd").read_bytes() == changed
    assert len(prompt.calls) == 1


def test_an_upload_that_was_interrupted_is_finished(prompt: Prompt) -> None:
    # No file may grow beyond 4096 bytes there: the server of sftp ends in the middle of one.
    prompt.server.obey("exit 0", sftp="ulimit -f 8; exec /usr/lib/openssh/sftp-server")
    prompt.fails(RunError, "could not be carried")
    assert prompt.calls == []
    assert 4096 in map(len, files(prompt.there).values())
    prompt.server.obey("exit 0")
    (prompt.there / "ca.cer").write_bytes(b"")
    (prompt.there / "prepare.cmd").write_bytes((prompt.bundle.directory / "prepare.cmd").read_bytes()[:100])
    assert prompt.call() == 0
    assert files(prompt.there) == files(prompt.bundle.directory)


def test_a_disk_that_loses_what_is_put_there_runs_nothing(prompt: Prompt) -> None:
    prompt.there.mkdir()
    (prompt.there / "ca.cer").symlink_to("/dev/null")
    prompt.fails(RunError, "ca.cer on .* is not what was put there")
    assert prompt.calls == []


def test_a_file_in_the_place_of_the_folder_is_said(prompt: Prompt) -> None:
    prompt.there.write_text("in the way")
    prompt.fails(RunError, "could not be carried")
    assert prompt.calls == []


@pytest.mark.parametrize("name", ["../x.cmd", "/etc/passwd", "certs/../../x.cer", "a b.txt", "x.exe", "certs/x.cer\n"])
def test_a_bundle_that_names_other_files_leaves_no_desk(prompt: Prompt, name: str) -> None:
    body = json.loads((prompt.bundle.directory / "manifest.json").read_text())
    body["files"][name] = {"sha256": "0" * 64}
    prompt.bundle.write({"manifest.json": json.dumps(body).encode()})
    prompt.fails(RefusedError, "manifest.json was changed")
    assert prompt.server.asked == []


def test_a_changed_or_missing_file_leaves_no_desk(prompt: Prompt) -> None:
    prompt.bundle.write({"ca.cer": b"another"})
    prompt.fails(RefusedError, "ca.cer was changed")
    (prompt.bundle.directory / "ca.cer").unlink()
    prompt.fails(PathError, "ca.cer cannot be read")
    with pytest.raises(UsageError, match="no batch of a bundle"):
        prompt.call("cmd.exe")
    with pytest.raises(UsageError, match="words such as"):
        prompt.call("prepare.cmd", "GO&calc")
    prompt.bundle.write(prepare_bundle(prompt.bundle.plan, certificates()))
    with pytest.raises(PathError, match="not in the bundle's manifest"):
        prompt.call("other.cmd")
    assert prompt.server.asked == []


# ------------------------------------------------------------------------------ what is said from there


def test_hostile_output_commands_no_screen(prompt: Prompt) -> None:
    prompt.server.obey(r"printf 'a\033[2J\033]0;owned\007b\rc\r\nd\000\010e\377\205\n'; printf 'f\033[31m' >&2; exit 0")
    assert prompt.call() == 0
    assert "\x1b" not in prompt.text
    assert all(c.isprintable() or c == "\n" for c in prompt.text)
    assert prompt.text.startswith("a·[2J·]0;owned·b\nc\nd··e")


def test_a_flood_is_dammed(prompt: Prompt) -> None:
    prompt.server.obey("exec yes all is well, nothing was changed")
    host = prompt.server.host(limits=Limits(whole=300, silence=100, output=300_000))
    prompt.fails(RunError, "more than 300,000 bytes", host)
    assert len(prompt.text) <= 300_000
    prompt.server.obey("exit 0", sftp="exec yes")
    prompt.fails(RunError, "could not be carried", host)


def test_a_code_of_no_batch_is_no_success(prompt: Prompt) -> None:
    prompt.server.obey("exit 10")
    prompt.fails(RunError, "ended with 10, which no batch")


class Clock:
    """Time as the watch over a process sees it: hours go by where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead, self.pace = 0.0, 0.0
        monkeypatch.setattr(process, "time", self)

    def monotonic(self) -> float:
        self.ahead += self.pace
        return time.monotonic() + self.ahead


def test_silence_has_an_end(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    host = prompt.server.host(limits=Limits(whole=10_000, silence=1_000))

    def run(hours: float) -> str:
        prompt.text = ""

        def hear(text: str) -> None:
            prompt.text += text
            # From the first word on each look at the clock finds it so much later.
            clock.pace = hours * 3600

        with pytest.raises(RunError) as caught:
            host.execute(prompt.bundle.directory, "prepare.cmd", ["GO"], hear)
        clock.pace = 0.0
        return str(caught.value)

    prompt.server.obey("echo begun; exec sleep 1000")
    said = run(0.1)
    assert "there was no word of it for 17 minutes. A dialog may be waiting" in said
    assert "the next call says busy" in said
    assert prompt.text == "begun\n"
    prompt.server.obey("while :; do echo x; sleep 0.1; done")
    assert "it did not end within 167 minutes" in run(10)
    prompt.server.obey("exit 0", sftp="exec sleep 1000")
    clock.pace = 360
    assert "Nothing was run" in run(0.1)


def test_a_person_can_cancel(prompt: Prompt) -> None:
    cancel = threading.Event()
    host = prompt.server.host(cancel=cancel)
    prompt.server.obey("echo begun; exec sleep 1000")

    def hear(text: str) -> None:
        prompt.text += text
        cancel.set()

    with pytest.raises(RunError, match="cancelled"):
        host.execute(prompt.bundle.directory, "prepare.cmd", ["GO"], hear)
    assert prompt.text == "begun\n"


def test_what_the_desk_raises_while_it_listens_ends_the_run(prompt: Prompt) -> None:
    prompt.server.obey("echo begun; exec sleep 1000")

    def hear(_text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(RunError, match="cancelled"):
        prompt.server.host().execute(prompt.bundle.directory, "prepare.cmd", ["GO"], hear)


def test_a_connection_that_is_cut_says_what_is_not_known(prompt: Prompt) -> None:
    prompt.server.obey("echo begun; exec sleep 1000")

    def hear(_text: str) -> None:
        prompt.server.cut()

    with pytest.raises(RunError, match=r"ended before prepare\.cmd did\. Whether it goes on there is not known"):
        prompt.server.host().execute(prompt.bundle.directory, "prepare.cmd", ["GO"], hear)


# ------------------------------------------------------------------------------ what comes back from there


def leave(prompt: Prompt, shell: str) -> None:
    """What the next call leaves in its folder."""
    prompt.server.obey(f"cd {folder_of(prompt.bundle)}; mkdir -p logs out work dummies; {shell}")


def test_hostile_names_stay_there(prompt: Prompt) -> None:
    hostile = [
        "logs/..%5c..%5cx.log", "logs/-rf.log", "logs/CARECOVER-A.LOG", "logs/carecover-a.log.exe", "logs/*.log",
        "logs/carecover-\u202egol.log", "out/con.txt", "out/nul.crl", "out/$(id).crl", "out/.bashrc", "out/a b.crl",
        "out/x.crl\nsftp> ls -1 out", "dummies/../x.cer", "dummies/AB.cer", "dummies/calc.exe",
        "logs/carecover-b.log\n-get back", "logs/" + "carecover-" + "x" * 200 + ".log",
    ]  # fmt: skip
    leave(prompt, "mkdir out/d.crl; exit 0")
    for name in ("logs", "out", "dummies"):
        (prompt.there / name).mkdir(parents=True)
    for name in hostile:
        place = prompt.there / name
        if ".." not in Path(name).parts:
            place.write_text("evil")
    before = files(prompt.bundle.directory)
    prompt.call()
    found = files(prompt.bundle.directory)
    assert found == before
    assert "left there" in prompt.text
    assert prompt.text.isascii()


@pytest.mark.parametrize("kind", ["sparse", "growing", "many"])
def test_more_than_may_come_back_does_not(prompt: Prompt, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(ssh, "MAX_FETCHED_BYTES", 4_000_000)
    monkeypatch.setattr(ssh, "MAX_FETCHED_FILES", 50)
    leave(
        prompt,
        {
            "sparse": "truncate -s 20G logs/carecover-prepare.log",
            "growing": "for n in 1 2 3; do truncate -s 1500K out/$n.crl; done",
            "many": "for n in $(seq 60); do touch out/$n.crl; done",
        }[kind],
    )
    before = files(prompt.bundle.directory)
    said = prompt.fails(RunError, "more than")
    assert files(prompt.bundle.directory) == before
    if kind != "many":
        assert "It had ended with 0, and its logs were not fetched" in said


def test_a_pipe_and_a_device_keep_nobody_waiting(prompt: Prompt) -> None:
    leave(prompt, "mkfifo logs/carecover-pipe.log; ln -s /dev/zero out/zero.crl; ln -s /dev/null out/null.crl; exit 0")
    assert prompt.call() == 0
    assert not {"logs/carecover-pipe.log", "out/zero.crl"} & files(prompt.bundle.directory).keys()


@pytest.mark.parametrize("put", [lambda p, t: p.symlink_to(t), lambda p, _: p.write_text("a file")])
def test_what_comes_back_leads_nowhere_else(
    prompt: Prompt, tmp_path: Path, put: Callable[[Path, Path], object]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    put(prompt.bundle.directory / "logs", tmp_path / "elsewhere")
    leave(prompt, "echo x >logs/carecover-prepare.log; exit 0")
    with pytest.raises((RefusedError, PathError), match="logs"):
        prompt.call()
    assert files(tmp_path / "elsewhere") == {}
