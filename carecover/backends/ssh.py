"""A CA reached by the system's own OpenSSH client: sftp carries the folder, the batch runs there, its logs come back.

What is trusted: the two programs on this machine, the host keys in the file that a person named,
and nothing that the other side says. No password is asked or kept, nothing is forwarded, no
configuration file is read, no connection is shared, and no shell of this machine sees any of it.

The folder lies in the home of the account (``carecover-<digest>``), where a session begins: on
Windows, any user of the server may put files into a folder below ``C:\\``, but not into that one.

Each call of a script does four things, each with a connection of its own (there is no shared one):

1. Fetch every file of the bundle that is there already, and compare the bytes. A batch that
   is there and is not ours is never run and never written over: it may be running, or
   somebody changed it. What is missing, or the beginning of ours, is put there and compared
   again.
2. Run ``cmd.exe /d /c FOLDER\\SCRIPT WORDS``: fixed text, but for the checked words.
3. List what the batch left, and take the names that ours have, in bounded number.
4. Fetch those, in bounded size.

A connection can end while the batch goes on at the other end, or ends with it: which of the two
depends on the server. So it is never said that something was done or not done; the next call
asks the CA.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final, Self

from carecover.backends.process import Console, EndedError, Limits, check_call, watched
from carecover.errors import CarecoverError, PathError, RefusedError, RunError, UsageError
from carecover.model import sha256_hex

# Which page the other side's cmd.exe writes is not known; the batches themselves write ASCII.
_CODE_PAGE: Final = "cp850"
# A user of Windows may be DOMAIN\user or user@domain. Nothing here may look like an option, or like more than a word.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_TARGET: Final = re.compile(
    rf"ssh://(?P<user>(?:{_LABEL}\\)?[A-Za-z0-9_][A-Za-z0-9._-]{{0,63}}(?:@{_LABEL})?)"
    rf"@(?P<host>{_LABEL}|\[[0-9A-Fa-f:]{{2,39}}\])(?::(?P<port>[0-9]{{1,5}}))?/?",
    re.ASCII,
)
_MAX_PORT: Final = 65_535
_SSH_PORT: Final = 22
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SHORT: Final = 12
# What a bundle consists of; other names do not leave this machine.
_OURS: Final = re.compile(
    r"[A-Za-z]{1,20}\.(?:txt|json|html|cer|cmd)|(?:certs|dummies)/[0-9a-f]{2,40}(?:-[a-z]{1,20})?\.cer", re.ASCII
)
# What a batch leaves, by folder. Lower case only, and no name that is a device on a desk with Windows.
_LEFT: Final = {
    "logs": re.compile(r"carecover-[a-z0-9-]{1,40}\.log", re.ASCII),
    "out": re.compile(r"(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])\.)[a-z0-9][a-z0-9-]{0,40}\.(?:crl|txt|cer)", re.ASCII),
    "dummies": re.compile(r"[0-9a-f]{2,40}(?:-[a-z]{1,20})?\.cer", re.ASCII),
}
# These leave dummies; what others would leave in that folder is not wanted: dummies that were pinned lie there.
_SIGNING: Final = ("prepare.cmd", "longer.cmd")
_ERRORS: Final = "work/errors.txt"
MAX_FETCHED_FILES: Final = 25_000
# The largest log that is read (proof.MAX_TRANSCRIPT_BYTES), and lists and views beside it.
MAX_FETCHED_BYTES: Final = 1 << 30
_MAX_KNOWN_HOSTS: Final = 1 << 22
# The host keys, a list of sftp commands for all files, and the client's own protocol.
_MAX_CLIENT: Final = 16 << 20
_UNKNOWN: Final = (
    "Whether it goes on there is not known: while it does, the next call says busy; afterwards that goes on where the "
    "CA stands."
)
# The protocol of the client about one connection.
_CLIENT_LOG: Final = "client.log"
_MAX_SAID: Final = 300
_LOST: Final = 255
_MAX_CODE: Final = 9
_HOST_KEY: Final = re.compile(r"debug1: Server host key: ([a-z0-9@.-]{1,60}) (SHA256:[A-Za-z0-9+/]{43})", re.ASCII)
# Lines of the client that tell no reason; nor is its advice wanted to throw the known key away.
_NO_REASON: Final = (
    "debug",
    "OpenSSH_",
    "Authenticated to ",
    "Transferred: ",
    "Bytes per second",
    "ssh-keygen ",
    "remove with:",
)
_SAFE_OPTIONS: Final = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    # A copy, in the folder that the client stands in: no place has to be quoted.
    "UserKnownHostsFile=known_hosts",
    "GlobalKnownHostsFile=known_hosts",
    "UpdateHostKeys=no",
    "VerifyHostKeyDNS=no",
    "PreferredAuthentications=publickey",
    "PasswordAuthentication=no",
    "NumberOfPasswordPrompts=0",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "ProxyCommand=none",
    "ControlMaster=no",
    "ControlPath=none",
    "Tunnel=no",
    "ConnectionAttempts=1",
    "ConnectTimeout=20",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
)


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Who is asked, and as whom: an account, a host name or address, a port."""

    user: str
    host: str
    port: int = _SSH_PORT

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``ssh://user@host[:port]``; raises UsageError for anything else, a password in it too."""
        found = _TARGET.fullmatch(text)
        if found is None or not 0 < int(found["port"] or _SSH_PORT) <= _MAX_PORT:
            raise UsageError(
                "The CA is named as ssh://USER@HOST[:PORT], in letters, digits, dots and hyphens. Without a password: "
                "a key is used."
            )
        return cls(found["user"], found["host"], int(found["port"] or _SSH_PORT))

    def __str__(self) -> str:
        return f"ssh://{self.user}@{self.host}:{self.port}"


class SshHost:
    """The CA at the other end of SSH.

    ``known_hosts``: file with the host's key, in OpenSSH's form; ``identity``: private key, else
    those of the account's agent and default places. Raises UsageError, PathError or RefusedError
    where one is missing, or the client is.
    """

    name: Final = "ssh"

    def __init__(
        self,
        target: SshTarget,
        *,
        known_hosts: Path | None,
        identity: Path | None = None,
        limits: Limits | None = None,
        cancel: Event | None = None,
    ) -> None:
        self._target = target
        self._ssh, self._sftp = _program("ssh"), _program("sftp")
        self._known_hosts, self._identity = _host_keys(known_hosts), _key(identity)
        self._limits, self._cancel = limits or Limits(), cancel
        self._host_key: str | None = None
        # Files that were compared at the other end in this run already; batches are compared each time.
        self._compared: set[tuple[str, str]] = set()

    @property
    def details(self) -> Mapping[str, str]:
        """What the journal says of it; the host's key once it was seen."""
        seen = {} if self._host_key is None else {"host_key": self._host_key}
        return {"machine": str(self._target), "known_hosts_sha256": sha256_hex(self._known_hosts), **seen}

    def execute(self, directory: Path, script: str, arguments: Sequence[str], on_output: Callable[[str], None]) -> int:
        """Put the bundle there, run ``script``, fetch what it left; the exit code of the script.

        Raises RefusedError where the host's key, the account's key or the folder there is not as it must be, and
        RunError where there is no connection or it ended before the script did.
        """
        check_call(script, arguments)
        files = _own_files(directory, dummies_too=script in _SIGNING)
        if script not in files:
            raise PathError(f"{directory / script} is not in the bundle's manifest. Write the bundle again.")
        folder = f"carecover-{json.loads(files['manifest.json'])['plan'][:_SHORT]}"
        ours = sum(map(len, files.values()))
        stage = "Nothing was run."
        try:
            # What is there is compared with ours, so more than ours is not wanted; and twice: as it was, as it became.
            with self._session(_MAX_CLIENT + 3 * ours) as place:
                self._put(place, folder, files)
            stage = _UNKNOWN
            with self._session(_MAX_CLIENT) as place:
                code = self._run(place, folder, script, arguments, on_output)
            stage = f"It had ended with {code}, and its logs were not fetched."
            with self._session(MAX_FETCHED_BYTES) as place:
                self._fetch(place, folder, directory, on_output, dummies_too=script in _SIGNING)
        except EndedError as error:
            raise RunError(f"{script} on {self._target}: {error} {stage} Run the same again.") from None
        except OSError as error:
            raise PathError(f"{error.filename or 'The disk'}: {error.strerror or error}. {stage}") from None
        return code

    # ------------------------------------------------------------------ the three parts of a call

    def _put(self, place: Path, folder: str, files: Mapping[str, bytes]) -> None:
        """See that the bundle lies there, byte for byte."""
        wanted = [n for n, d in files.items() if n.endswith(".cmd") or (n, sha256_hex(d)) not in self._compared]
        there = self._bring(place, folder, wanted)
        self._refuse_others(folder, files, there)
        missing = [name for name in wanted if there.get(name) != files[name]]
        if missing:
            for name in missing:
                staged = place / "put" / name
                staged.parent.mkdir(parents=True, exist_ok=True)
                staged.write_bytes(files[name])
            folders = dict.fromkeys(name.rpartition("/")[0] for name in missing if "/" in name)
            lines = [f"-mkdir {folder}", *(f"-mkdir {folder}/{name}" for name in folders)]
            # The manifest first, the batches last: who finds half of it sees whose it is, and runs nothing.
            missing.sort(key=lambda name: (name.endswith(".cmd"), name != "manifest.json"))
            there = self._bring(
                place, folder, missing, first=[*lines, *(f"put put/{name} {folder}/{name}" for name in missing)]
            )
            wrong = next((name for name in missing if there.get(name) != files[name]), None)
            if wrong is not None:
                raise RunError(
                    f"{folder}/{wrong} on {self._target} is not what was put there. Nothing was run. Look at its disk, "
                    "and run the same again."
                )
        self._compared |= {(name, sha256_hex(files[name])) for name in wanted}

    def _refuse_others(self, folder: str, files: Mapping[str, bytes], there: Mapping[str, bytes]) -> None:
        away = f"Nothing was run or written there. Look who put it there, move {folder} away, and run the same again."
        manifest = there.get("manifest.json")
        if manifest is not None and not files["manifest.json"].startswith(manifest):
            try:
                plan = json.loads(manifest)["plan"]
            except (ValueError, KeyError, TypeError, RecursionError):
                plan = None
            if plan != json.loads(files["manifest.json"])["plan"]:
                raise RefusedError(f"{folder} on {self._target} is there already and belongs to another plan. {away}")
        for name, data in there.items():
            # A torn batch is the beginning of ours; another one is somebody's, or of an earlier pin and may be running.
            if name.endswith(".cmd") and not files[name].startswith(data):
                raise RefusedError(f"{folder}/{name} on {self._target} is not the one of this bundle. {away}")

    def _run(
        self, place: Path, folder: str, script: str, arguments: Sequence[str], on_output: Callable[[str], None]
    ) -> int:
        command = [self._ssh, "-v", "-E", _CLIENT_LOG, "-n", "-T", "-e", "none", *self._options()]
        command += ["-p", str(self._target.port), "-l", self._target.user, "--", self._target.host.strip("[]")]
        command.append(" ".join(["cmd.exe", "/d", "/c", f"{folder}\\{script}", *arguments]))
        try:
            code = self._watched(command, place, on_output, self._limits)
        finally:
            said = _read(place / _CLIENT_LOG)
            key = _HOST_KEY.search(said)
            self._host_key = f"{key[1]} {key[2]}" if key else self._host_key
        if code == _LOST:
            raise self._no_connection(
                said.splitlines(),
                f"The connection ended before {script} did. {_UNKNOWN} Run the same again.",
            )
        if not 0 <= code <= _MAX_CODE:
            raise RunError(f"{script} on {self._target} ended with {code}, which no batch of carecover does.")
        return code

    def _fetch(
        self, place: Path, folder: str, directory: Path, on_output: Callable[[str], None], *, dummies_too: bool
    ) -> None:
        """Bring back what the batch left; what has another name stays there, and is counted."""
        places = [name for name in _LEFT if dummies_too or name != "dummies"]
        listing = self._transfer(place, [f"-ls -1 {folder}/{name}" for name in places])
        wanted, others = [_ERRORS], 0
        for line in listing.splitlines():
            above, _, name = line.strip().rpartition("/")
            kind = above.rpartition("/")[2]
            if line.startswith("sftp>") or not above.startswith(folder):
                continue
            if kind in places and _LEFT[kind].fullmatch(name):
                wanted.append(f"{kind}/{name}")
            else:
                others += 1
        if len(wanted) > MAX_FETCHED_FILES:
            raise RunError(
                f"{folder} on {self._target} holds more than {MAX_FETCHED_FILES:,} files to fetch: no batch of "
                "carecover leaves so many. Nothing was fetched; look at it there."
            )
        found = self._bring(place, folder, dict.fromkeys(wanted), keep=True)
        for name in found:
            parent = directory / name.rpartition("/")[0]
            if parent.is_symlink():
                raise RefusedError(f"{parent} is a link. Put a folder in its place, and run the same again.")
            try:
                parent.mkdir(exist_ok=True)
                temporary = parent / f".{Path(name).name}.incoming"
                shutil.copyfile(place / "back" / name, temporary)
                temporary.replace(directory / name)
            except OSError as error:
                raise PathError(f"{directory / name} cannot be written: {error.strerror}.") from None
        if others:
            on_output(f"{others:,} files in {folder} have names that no batch of carecover writes: left there.\n")

    # ------------------------------------------------------------------ the client

    @contextmanager
    def _session(self, allowed: int) -> Iterator[Path]:
        """A private folder that the client stands in, and that may hold so many bytes."""
        self._allowed = allowed
        with tempfile.TemporaryDirectory(prefix="carecover-") as name:
            place = Path(name)
            (place / "known_hosts").write_bytes(self._known_hosts)
            yield place

    def _options(self) -> list[str]:
        own = [] if self._identity is None else ["-i", str(self._identity), "-o", "IdentitiesOnly=yes"]
        return ["-F", "none", *own, *(word for option in _SAFE_OPTIONS for word in ("-o", option))]

    def _bring(
        self,
        place: Path,
        folder: str,
        names: Sequence[str] | Mapping[str, None],
        *,
        first: Sequence[str] = (),
        keep: bool = False,
    ) -> dict[str, bytes]:
        """Fetch files of the folder into ``back``, after the ``first`` commands.

        Returns those that are there, with their bytes; without, where they are only to be kept.
        """
        back = place / "back"
        shutil.rmtree(back, ignore_errors=True)
        for parent in dict.fromkeys((back / name).parent for name in names):
            parent.mkdir(parents=True, exist_ok=True)
        self._transfer(place, [*first, *(f"-get {folder}/{name} back/{name}" for name in names)])
        there = [name for name in names if (back / name).is_file()]
        return {name: b"" if keep else (back / name).read_bytes() for name in there}

    def _transfer(self, place: Path, lines: Sequence[str]) -> str:
        """Carry a list of sftp commands out; a line that begins with a hyphen may fail."""
        (place / "batch").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        said: list[str] = []
        host = self._target.host
        command = [self._sftp, "-b", "batch", *self._options(), "-P", str(self._target.port)]
        code = self._watched([*command, f"{self._target.user}@{host}"], place, said.append, self._limits)
        if code != 0:
            told = [line for line in "".join(said).splitlines() if not line.startswith("sftp>")]
            raise self._no_connection(told, "Files could not be carried between here and there. Run the same again.")
        return "".join(said)

    def _watched(self, command: Sequence[str], place: Path, show: Callable[[str], None], limits: Limits) -> int:
        return watched(
            command,
            cwd=place,
            console=Console(_CODE_PAGE),
            on_output=show,
            limits=limits,
            cancel=self._cancel,
            check=lambda: _too_large(place, self._allowed),
        )

    def _no_connection(self, told: Sequence[str], otherwise: str) -> CarecoverError:
        """What the client said, as the sentence that helps."""
        text = " ".join(" ".join([line for line in told if not line.strip().startswith(_NO_REASON)][-4:]).split())
        shown = "".join(c if c.isprintable() else "·" for c in text)[-_MAX_SAID:]
        where, whole = str(self._target), "\n".join(told)
        if re.search(r"Host key verification failed|host key is known for|HOST IDENTIFICATION HAS CHANGED", whole):
            return RefusedError(
                f"The host key of {where} is not the one in the file of --known-hosts: this may be another machine. "
                "Nothing was run. Compare the key at the CA itself (ssh-keygen -l -f, on its ssh_host_..._key.pub). "
                f"ssh said: {shown}"
            )
        if "Permission denied (" in whole:
            return RefusedError(
                f"{where} takes no key of yours. Nothing was run. Name one with --identity, or load it into the "
                f"agent; a password is never asked. ssh said: {shown}"
            )
        if re.search(r"Could not resolve|Connection refused|timed out|No route|unreachable|banner exchange", whole):
            return RunError(f"There is no connection to {where}. Run the same again when there is. ssh said: {shown}")
        return RunError(f"{where}: {otherwise} ssh said: {shown or 'nothing'}")


# ------------------------------------------------------------------------------ plain helpers


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RefusedError(
            f"The OpenSSH client is not here: no {name} on PATH. Install it (Debian: openssh-client; Windows: the "
            "optional feature OpenSSH Client), or carry the folder to the CA by hand."
        )
    place = Path(found).resolve()
    if place.parent == Path.cwd().resolve():
        # Windows looks in the current folder first, and that may be anybody's.
        raise RefusedError(f"{place} lies in the current folder: it may be anything. Go to another folder.")
    return str(place)


def _host_keys(known_hosts: Path | None) -> bytes:
    if known_hosts is None:
        raise UsageError(
            "Name the file with the CA's host key: --known-hosts FILE. One is made with ssh-keyscan HOST > FILE; then "
            "compare ssh-keygen -l -f FILE with what the CA's own screen shows."
        )
    try:
        with known_hosts.open("rb") as stream:
            data = stream.read(_MAX_KNOWN_HOSTS + 1)
    except OSError as error:
        raise PathError(f"{known_hosts} cannot be read: {error.strerror}.") from None
    if len(data) > _MAX_KNOWN_HOSTS:
        raise UsageError(f"{known_hosts} is larger than {_MAX_KNOWN_HOSTS:,} bytes: that is no file of host keys.")
    return data


def _key(identity: Path | None) -> Path | None:
    if identity is None:
        return None
    place = identity.absolute()
    if not place.is_file():
        raise PathError(f"{identity} is no file with a private key.")
    if any(c in str(place) for c in '%$"~'):
        # ssh would read these as something that stands for something else.
        raise UsageError(f'{identity} holds one of the characters % $ " ~: move the key to another place.')
    return place


def _own_files(directory: Path, *, dummies_too: bool) -> dict[str, bytes]:
    """The bundle as its manifest names it, its bytes compared; dummies that were made elsewhere, where asked for."""
    try:
        manifest = (directory / "manifest.json").read_bytes()
        named = _named(manifest)
        files = {"manifest.json": manifest}
        for name, digest in named.items():
            files[name] = (directory / name).read_bytes()
            if sha256_hex(files[name]) != digest:
                raise RefusedError(f"{directory / name} was changed since it was exported. Export the bundle again.")
        if dummies_too:
            for path in sorted((directory / "dummies").glob("*.cer")):
                if _OURS.fullmatch(f"dummies/{path.name}"):
                    files.setdefault(f"dummies/{path.name}", path.read_bytes())
    except OSError as error:
        raise PathError(f"{error.filename} cannot be read: {error.strerror}. Export the bundle again.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RefusedError(f"{directory / 'manifest.json'} was changed. Export the bundle again.") from None
    return files


def _named(manifest: bytes) -> dict[str, str]:
    """File → SHA-256; raises ValueError or its like where this is no manifest, or names what no bundle has."""
    body = json.loads(manifest)
    named = {str(name): str(entry["sha256"]) for name, entry in body["files"].items()}
    if not _DIGEST.fullmatch(body["plan"]) or not all(_OURS.fullmatch(name) for name in named):
        raise ValueError("a name that no bundle has")
    return named


def _too_large(place: Path, allowed: int) -> str | None:
    """A sentence where the session's folder grew beyond what may come back."""
    size = 0
    for path in place.rglob("*"):
        size += path.lstat().st_size
        if size > allowed:
            return f"more than {allowed:,} bytes come from there: no bundle of carecover is so large."
    return None


def _read(path: Path) -> str:
    """The first mebibyte of the client's own protocol."""
    try:
        with path.open("rb") as stream:
            return stream.read(1 << 20).decode("utf-8", "replace")
    except OSError:
        return ""
