"""Debian's sshd on loopback: a server of one's own, which does whatever a test tells it to.

    with Server.begin(directory) as server:              a daemon with keys of its own, on a port of its own
        server.obey("echo hello; exit 7")                what every call does from now on
        server.host().execute(bundle, "revoke.cmd", ["preflight"], print)

The home of the account is a folder of the test, where sftp begins as well. Everything that a session is asked to do
goes through a script (ForceCommand), as sshd of Windows hands it to cmd.exe; tests/wine puts Wine's cmd.exe there.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from carecover.backends import Limits, SshHost, SshTarget

DAEMON: Final = "/usr/sbin/sshd"
_SFTP_SERVER: Final = "/usr/lib/openssh/sftp-server"
_PATIENCE: Final = 30.0


def missing() -> str | None:
    """What is not installed, in a sentence; None where everything is."""
    lacking = [p for p in (DAEMON, _SFTP_SERVER, "ssh", "sftp", "ssh-keygen") if shutil.which(p) is None]
    return f"No batch can be run by SSH: {', '.join(lacking)} is not here." if lacking else None


class Server:
    """One sshd; ``home`` is where its sessions begin, ``asked`` what they were asked to do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.identity, self.known_hosts = directory / "key", directory / "known_hosts"
        self._shell = directory / "shell.sh"
        self._asked = directory / "asked"
        self._daemon: subprocess.Popen[bytes] | None = None
        self.target = SshTarget("nobody", "127.0.0.1")

    @classmethod
    @contextlib.contextmanager
    def begin(cls, directory: Path) -> Iterator[Self]:
        """Start the daemon, and end it and its sessions."""
        server = cls(directory)
        server.home.mkdir()
        server._make_keys()
        server._start()
        try:
            yield server
        finally:
            server._stop()

    def _make_keys(self) -> None:
        for name in ("host_key", "key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.directory / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    def _start(self) -> None:
        if os.geteuid() == 0:
            # Where a daemon that root has started puts its worker.
            Path("/run/sshd").mkdir(exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = self.directory / "sshd_config"
        config.write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {self.directory / 'host_key'}\n"
            f"AuthorizedKeysFile {self.directory / 'key.pub'}\nPidFile {self.directory / 'pid'}\n"
            # The key exchange that is the default of today takes most of a connection's time.
            f"KexAlgorithms curve25519-sha256\nUsePAM no\nStrictModes no\n"
            f"Subsystem sftp sftp\nForceCommand {self._shell}\n"
        )
        # In a group of its own: its sessions are ended with it.
        self._daemon = subprocess.Popen(
            [DAEMON, "-D", "-f", str(config), "-E", str(self.directory / "sshd.log")],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.target = SshTarget(getpass.getuser(), "127.0.0.1", port)
        self.know(self.directory / "host_key.pub")
        self.obey(":")
        deadline = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            assert time.monotonic() < deadline, (self.directory / "sshd.log").read_text()
            time.sleep(0.02)

    def _stop(self) -> None:
        assert self._daemon is not None
        self.cut()
        self._daemon.terminate()
        self._daemon.wait(_PATIENCE)

    def know(self, public_key: Path) -> None:
        """Write the file of host keys as a person would who compared this key."""
        kind, key, *_ = public_key.read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.target.port} {kind} {key}\n")

    def cut(self, *, what_runs: bool = True) -> None:
        """End every session, as a server that falls over does; only the connection, where ``what_runs`` is false."""
        assert self._daemon is not None
        for pid in _below(self._daemon.pid):
            with contextlib.suppress(OSError):
                if what_runs or (Path("/proc") / str(pid) / "comm").read_text().startswith("sshd"):
                    os.kill(pid, signal.SIGKILL)

    # ------------------------------------------------------------------ what a session does

    def obey(self, command: str, sftp: str = f"exec {_SFTP_SERVER}") -> None:
        """What every session does from now on: one shell command for calls, one for sftp."""
        told = f"#!/bin/sh\ncd {shlex.quote(str(self.home))}\n"
        told += f'printf "%s\\n" "$SSH_ORIGINAL_COMMAND" >>{shlex.quote(str(self._asked))}\n'
        temporary = self._shell.with_suffix(".new")
        temporary.write_text(f'{told}case "$SSH_ORIGINAL_COMMAND" in sftp) {sftp} ;; esac\n{command}\n')
        temporary.chmod(0o700)
        temporary.replace(self._shell)

    @property
    def asked(self) -> list[str]:
        """What the sessions were asked to do, in order."""
        return self._asked.read_text().splitlines() if self._asked.exists() else []

    def host(self, **given: Any) -> SshHost:
        """The product's own client of this server."""
        given.setdefault("limits", Limits(whole=300, silence=100))
        given.setdefault("known_hosts", self.known_hosts)
        return SshHost(given.pop("target", self.target), identity=given.pop("identity", self.identity), **given)


def _below(pid: int) -> list[int]:
    """All processes below one, the lowest first."""
    parents: dict[int, list[int]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = (place / "stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(place.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        waiting += children
        found = [*children, *found]
    return found
