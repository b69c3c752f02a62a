#!/usr/bin/env python3
"""Sets up carecover beside this file, then passes on to it.

It needs Python and nothing else: everything that is not in the standard library goes into .venv, from
requirements.lock, where every file is known by its hash.
"""

# Too old a Python must get as far as saying so: nothing here that 3.8 could not read, and nothing newer is
# executed before main() has looked.
from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Run = Callable[[Sequence[str]], int]  # carries out a command, gives its exit code

GUIDE = """\
carecover finds the certificates that a restored Microsoft certification authority
no longer knows, and helps to revoke them.

    python3 start.py COMMAND [ARGUMENTS]        (on Windows: py start.py ...)

    demo     the whole job on a made-up incident: evidence, case, batch and report
    lab      the notebooks in JupyterLab, on this machine only
    test     tests and checks; --thorough adds the slow searches, any other argument
             is pytest's
    bench    the benchmarks
    lock     for developers: renews requirements.lock (needs uv and a network)

"start.py demo --help" and the like explain a command's own arguments.

The first start makes .venv beside this file, in about a minute and 700 MB; every later
one uses it at once. Then .venv/bin/carecover (.venv\\Scripts\\carecover.exe on Windows)
can be called directly, too. Delete .venv to get a new one.

Without a network, put the packages into a folder wheelhouse beside this file. Fetch
them on a connected machine with the same system and the same Python:

    python3 -m pip download --require-hashes --only-binary :all: -r requirements.lock -d wheelhouse
"""

OLDEST_PYTHON = (3, 11)
MARKER = "# === development ==="
RUNTIME, DEVELOPMENT = "runtime", "development"
DONE, FAILED, WRONG_USAGE, SETUP_FAILED, INTERRUPTED = 0, 1, 2, 5, 130

# What pip or uv said → what the user can do.
ADVICE = {
    r"name resolution|Name or service not known|getaddrinfo failed|dns error|resolving DNS|error sending request"
    r"|Network is unreachable|NewConnectionError|Could not connect|Cannot connect to proxy|timed out": (
        "There is no network, or the package index is out of reach. Start again with a network, or with a "
        "folder wheelhouse: start.py --help says how to fill it."
    ),
    r"DO NOT MATCH THE HASHES|Hash mismatch": (
        "A package is not the one that requirements.lock names: it was damaged or replaced on its way, and "
        "was not installed. Look at the wheelhouse, or at the package index that this machine uses."
    ),
    r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate": (
        "The package index shows a certificate that this machine does not trust, often that of a proxy: name "
        "the proxy's CA file in the environment, PIP_CERT for pip and SSL_CERT_FILE for uv."
    ),
    r"No space left on device": "The disk is full; carecover takes about 700 MB.",
    r"ensurepip is not": "Install what this Python needs for that; on Debian and Ubuntu: python3-venv.",
}
WHEELHOUSE_ADVICE = (
    "The folder wheelhouse does not hold every package for this system and this Python; start.py --help says "
    "how to fill it. Remove the folder to use the network instead."
)


class StartError(Exception):
    """Ends the start with a sentence for the user."""

    def __init__(self, exit_code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Tree:
    """The folder of this file, and what belongs where in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requirements = root / "requirements.lock"
        self.wheelhouse = root / "wheelhouse"
        self.log = root / ".venv-setup.log"
        self.mutex = root / ".venv.lock"
        self.venv = root / ".venv"
        self.grid = root / "grid"  # sources of the notebooks' review grid
        self.grid_stamp = root / "carecover" / "notebook" / "_grid" / "stamp"  # written last, too
        self.stamp = self.venv / "carecover-stamp"  # written last: a .venv without it is half-made
        self.python = self.executable("python")

    def executable(self, name: str) -> Path:
        return self.venv / "Scripts" / f"{name}.exe" if os.name == "nt" else self.venv / "bin" / name


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def too_old(version: Sequence[int]) -> str | None:
    """The sentence to say where this Python cannot run carecover."""
    if tuple(version) >= OLDEST_PYTHON:
        return None
    wanted, found = (".".join(str(number) for number in numbers) for numbers in (OLDEST_PYTHON, version))
    return f"carecover needs Python {wanted} or newer and this is {found}: try python{wanted} start.py."


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The user's environment without what would mix other packages into .venv, or install past it."""
    foreign = {"PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"}
    kept = {name: value for name, value in environment.items() if name not in foreign}
    # UTF-8: the default on Windows is a code page, in which not every subject can be written.
    return {**kept, "PYTHONUTF8": "1", "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


# --- requirements.lock ------------------------------------------------------------------------------------


def requirements_for(part: str, lock: str) -> str:
    """The runtime part ends at the marker; for development everything is needed."""
    runtime, marker, _ = lock.partition(f"\n{MARKER}\n")
    if not marker:
        raise StartError(SETUP_FAILED, f'requirements.lock is damaged: it has no line "{MARKER}".')
    return lock if part == DEVELOPMENT else f"{runtime}\n"


def blocks(lock: str) -> dict[str, str]:
    """Package → its requirement, with the lines of hashes that belong to it."""
    found: dict[str, str] = {}
    package = ""
    for line in lock.splitlines(keepends=True):
        if line.strip() and not line.startswith("#"):
            package = package if line[0].isspace() else line.partition("==")[0]
            found[package] = found.get(package, "") + line
    return found


def compose_lock(everything: str, runtime: str) -> str:
    """Both parts from one resolution, so that no package is in it twice."""
    names = blocks(runtime).keys()
    parts = ["", ""]
    for package, block in blocks(everything).items():
        parts[package not in names] += block
    return (
        "# Made by start.py lock, for uv and for pip. First what carecover needs to run and to be installed in\n"
        f"# place; below the marker what only its tests and checks need.\n\n{parts[0]}\n{MARKER}\n\n{parts[1]}"
    )


def renew_lock(tree: Tree) -> int:
    uv = shutil.which("uv")
    if uv is None:
        raise StartError(WRONG_USAGE, "start.py lock needs uv on PATH.")
    # Neither the configuration nor the environment of this machine may have a say: an index of rebuilt
    # packages, for one, would put hashes into the lock that nobody else can match.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    resolve = [uv, "pip", "compile", "pyproject.toml", "--no-config", "--quiet", "--no-header", "--no-annotate"]
    resolve += ["--universal", "--generate-hashes", "--python-version", "{}.{}".format(*OLDEST_PYTHON)]
    resolve += ["--fork-strategy", "fewest"]  # the same version for every Python, wherever there is one

    def resolved(constraints: str, *groups: str) -> str:
        command = [*resolve, "--constraints", "-", *(f"--group={group}" for group in groups)]
        try:
            return subprocess.check_output(command, cwd=tree.root, env=environment, input=constraints, text=True)
        except subprocess.CalledProcessError:
            sentence = "uv could not resolve the packages; requirements.lock is as it was."
            raise StartError(FAILED, sentence) from None

    everything = resolved("", "build", "start", "dev")
    lock = compose_lock(everything, resolved(everything, "build", "start"))
    tree.requirements.write_bytes(lock.encode())
    say(f"requirements.lock now names {len(blocks(lock))} packages.")
    return DONE


# --- .venv ------------------------------------------------------------------------------------------------


def fingerprint(tree: Tree, part: str) -> str:
    """Changes with whatever makes an existing .venv wrong; its place too, which its scripts have in them."""
    try:
        lock = tree.requirements.read_text(encoding="utf-8")
        project = (tree.root / "pyproject.toml").read_text(encoding="utf-8")
    except OSError as error:
        raise StartError(SETUP_FAILED, f"This copy of carecover is not complete: {error}.") from None
    what = [requirements_for(part, lock), project, sys.implementation.cache_tag, sys.platform, str(tree.root)]
    return hashlib.sha256("\0".join(what).encode("utf-8", "surrogateescape")).hexdigest()


def is_ready(tree: Tree, part: str) -> bool:
    wanted = fingerprint(tree, part)
    try:
        stamped = wanted in tree.stamp.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return False
    try:
        return stamped and tree.python.exists() and tree.executable("carecover").exists()
    except PermissionError as error:
        sentence = f".venv was made by another account, whose Python this one may not use ({error.filename}): "
        sentence += "start from a copy of this folder without .venv, or have its owner delete .venv."
        raise StartError(SETUP_FAILED, sentence) from None


def write_stamp(tree: Tree, *parts: str) -> None:
    tree.stamp.write_text("".join(f"{part} {fingerprint(tree, part)}\n" for part in parts), encoding="utf-8")


def remove_venv(tree: Tree) -> None:
    try:
        if tree.venv.is_dir() and not tree.venv.is_symlink():
            tree.stamp.unlink(missing_ok=True)  # first, or an interruption would leave a torso with a stamp
            shutil.rmtree(tree.venv)
        else:
            tree.venv.unlink(missing_ok=True)
    except OSError as error:
        advice = "Close what still runs from it, JupyterLab or a terminal for instance, and start again."
        raise StartError(SETUP_FAILED, f"The old .venv cannot be removed ({error}). {advice}") from None


if sys.platform == "win32":
    import msvcrt

    def take(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def locked(descriptor: int) -> bool:
    try:
        take(descriptor)
    except (BlockingIOError, PermissionError):  # what Linux and Windows say while somebody else has it
        return False
    return True


@contextmanager
def one_at_a_time(tree: Tree, pause: float = 0.2) -> Iterator[None]:
    """The lock is the system's, not the file: it ends with the process that holds it, however that ends.

    Installers inherit it: one that outlives a killed start.py still writes into .venv.
    """
    with tree.mutex.open("a") as file:
        os.set_inheritable(file.fileno(), True)
        if not locked(file.fileno()):
            say("Another start.py is at work on .venv; waiting for it ...")
            while not locked(file.fileno()):
                time.sleep(pause)
        yield


def run_logged(tree: Tree) -> Run:
    """Runs commands that have nothing to say to the user unless they fail."""

    def run(command: Sequence[str]) -> int:
        with tree.log.open("a", encoding="utf-8") as log:
            print("$", *command, file=log, flush=True)
            try:
                return subprocess.run(
                    command,
                    cwd=tree.root,
                    env=child_environment(os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    close_fds=False,  # the lock goes with it, see one_at_a_time
                    check=False,
                ).returncode
            except OSError as error:
                print(error, file=log)
                return 127

    return run


def steps(tree: Tree, uv: str | None, requirements: Path) -> dict[str, list[str]]:
    """What to say → what to do. Everything may find its work done already, where only tools are added."""
    # Not the Python of .venv, which may be running this and about to be removed.
    base = getattr(sys, "_base_executable", None) or sys.executable
    if uv:
        make = [uv, "venv", "--allow-existing", "--python", base, str(tree.venv)]
        install = [uv, "pip", "install", "--python", str(tree.python), "--no-deps"]
    else:
        make = [base, "-m", "venv", str(tree.venv)]
        install = [str(tree.python), "-m", "pip", "--no-input", "install", "--progress-bar", "off", "--no-deps"]
    # Only wheels, and no build isolation: both would fetch build tools that no hash here vouches for.
    locked = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(requirements)]
    in_place = ["--no-index", "--no-build-isolation", "--editable", str(tree.root)]
    source = "the network (the first time about a minute)"
    if tree.wheelhouse.is_dir():
        source = "the folder wheelhouse"
        locked += ["--no-index", "--find-links", str(tree.wheelhouse)]
    return {
        f"Making .venv with {'uv' if uv else 'pip'} ...": make,
        f"Installing the packages of requirements.lock from {source} ...": [*install, *locked],
        "Installing carecover ...": [*install, *in_place],
    }


def make_ready(tree: Tree, part: str, run: Run | None = None) -> None:
    """Returns when .venv holds the part; at once if it does already."""
    if is_ready(tree, part):
        return
    try:
        with one_at_a_time(tree):
            if not is_ready(tree, part):  # another start.py may have seen to it meanwhile
                tree.log.write_text("", encoding="utf-8")
                set_up(tree, part, run or run_logged(tree))
    except OSError as error:
        raise StartError(SETUP_FAILED, f"carecover cannot set up .venv in its folder: {error}.") from None


def set_up(tree: Tree, part: str, run: Run) -> None:
    lock = tree.requirements.read_text(encoding="utf-8")
    only_tools_missing = part == DEVELOPMENT and is_ready(tree, RUNTIME)
    if not only_tools_missing and (tree.venv.exists() or tree.venv.is_symlink()):
        say(".venv is unfinished, out of date or from another place: making it again.")
        remove_venv(tree)
    uv = shutil.which("uv")
    # Where uv fails, pip may not: it knows the proxies and indexes of pip's configuration.
    for installer in (uv, None) if uv else (None,):
        tree.venv.mkdir(exist_ok=True)
        tree.stamp.unlink(missing_ok=True)  # an interruption from here on leaves a .venv known as half-made
        requirements = tree.venv / f"{part}.txt"
        requirements.write_text(requirements_for(part, lock), encoding="utf-8")
        for sentence, command in steps(tree, installer, requirements).items():
            say(sentence)
            if run(command):
                say("That failed." if installer is None else "That failed with uv; trying with pip.")
                break
        else:
            write_stamp(tree, *([RUNTIME, part] if part == DEVELOPMENT else [RUNTIME]))
            return
        if only_tools_missing:
            write_stamp(tree, RUNTIME)  # tools are packages of their own; carecover runs as before
        else:
            remove_venv(tree)
    log = tree.log.read_text(encoding="utf-8", errors="replace")
    general = WHEELHOUSE_ADVICE if tree.wheelhouse.is_dir() else "Mend what the last lines name and start again."
    advice = next((advice for said, advice in ADVICE.items() if re.search(said, log)), general)
    last_lines = "\n    ".join(log.splitlines()[-8:])
    raise StartError(SETUP_FAILED, f"    {last_lines}\n{advice} The whole story is in {tree.log.name}.")


# --- The review grid --------------------------------------------------------------------------------------


def grid_fingerprint(tree: Tree) -> str:
    """Of everything that the bundle is made from."""
    names = ["package.json", "package-lock.json", "build.mjs", "src/grid.js", "src/grid.css"]
    parts = [(tree.grid / name).read_bytes() for name in names if (tree.grid / name).is_file()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def build_grid(tree: Tree, run: Run, again: bool = True) -> bool:
    """Builds the notebooks' review grid where npm is found; False where there is none: plain controls do its job.

    What failed once is tried again only where ``again`` says so, or its sources have changed.
    """
    if not (tree.grid / "package-lock.json").is_file():
        return False
    wanted = grid_fingerprint(tree)
    known = tree.grid_stamp.read_text(encoding="utf-8") if tree.grid_stamp.is_file() else ""
    npm = shutil.which("npm")
    if known == wanted or npm is None or (known == f"failed {wanted}" and not again):
        return known == wanted
    say("Building the review grid of the notebooks ...")
    calm = ["--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=20000"]
    commands = ([npm, "--prefix", str(tree.grid), "ci", *calm], [npm, "--prefix", str(tree.grid), "run", "build"])
    try:
        tree.grid_stamp.parent.mkdir(exist_ok=True)
        tree.grid_stamp.unlink(missing_ok=True)
        for old in tree.grid_stamp.parent.iterdir():
            old.unlink()  # a half-made or outdated one is none
        done = not any(run(command) for command in commands)
        tree.grid_stamp.write_text(wanted if done else f"failed {wanted}", encoding="utf-8")
    except OSError as error:
        say(f"It cannot be written ({error}).")
        return False
    if not done:
        say(f"That failed; the notebooks use plain controls instead. The whole story is in {tree.log.name}.")
    return done


# --- The commands -----------------------------------------------------------------------------------------


def hand_over(command: list[str]) -> NoReturn:
    """Becomes the command; on Windows, which has no such thing, ends as it ends."""
    environment = child_environment(os.environ)
    if os.name != "nt":
        os.execve(command[0], command, environment)  # noqa: S606 - no shell is wanted
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command gets it too, and decides
    sys.exit(subprocess.run(command, env=environment, check=False).returncode)


class SystemTool(NamedTuple):
    """A program that only tests need and that is no Python package."""

    command: str  # looked for on PATH, or an absolute path
    package: str  # of Debian and Ubuntu
    skipped: str  # without it


SYSTEM_TOOLS = (
    SystemTool("openssl", "openssl", "the second opinion of OpenSSL on CRLs and OCSP answers"),
    # Not on PATH: Debian's wrapper of that name is another package.
    SystemTool("/usr/lib/wine/wine64", "wine64", "the batches in a real command interpreter"),
    SystemTool("x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64-win32", "the batches in a real command interpreter"),
    SystemTool("ssh", "openssh-client", "the runs by SSH"),
    SystemTool("/usr/sbin/sshd", "openssh-server", "the runs by SSH"),
    SystemTool("chromium", "chromium", "the notebooks and the report in a real browser"),
    SystemTool("pdftoppm", "poppler-utils", "the report as PDF, looked at"),
)


def provide(tools: Sequence[SystemTool], run: Run, require_all: bool) -> None:
    missing = [tool for tool in tools if shutil.which(tool.command) is None]
    apt = shutil.which("apt-get")
    if missing and apt and sys.platform == "linux" and os.geteuid() == 0:
        say(f"Installing with apt-get, for the tests: {', '.join(tool.package for tool in missing)} ...")
        quietly = ["env", "DEBIAN_FRONTEND=noninteractive", apt, "--quiet"]
        run([*quietly, "update"])
        for tool in missing:  # one by one, so that an unknown name does not keep the others out
            run([*quietly, "install", "--yes", "--no-install-recommends", tool.package])
        missing = [tool for tool in missing if shutil.which(tool.command) is None]
    for tool in missing:
        say(f"Without {tool.command} (on Debian and Ubuntu: {tool.package}) is skipped: {tool.skipped}.")
    if missing and require_all:
        raise StartError(SETUP_FAILED, "With CARECOVER_REQUIRE_ALL set, nothing may be missing.")


def test(tree: Tree, arguments: Sequence[str]) -> int:
    make_ready(tree, DEVELOPMENT)
    provide(SYSTEM_TOOLS, run_logged(tree), bool(os.environ.get("CARECOVER_REQUIRE_ALL")))
    require_all = bool(os.environ.get("CARECOVER_REQUIRE_ALL"))
    if not build_grid(tree, run_logged(tree)) and require_all and shutil.which("npm") and tree.grid.is_dir():
        raise StartError(SETUP_FAILED, f"The review grid was not built; {tree.log.name} says why.")
    wanted = [argument for argument in arguments if argument != "--thorough"]
    thorough = ["-m", "thorough or not thorough"] if "--thorough" in arguments else []
    checks = {"pytest": ["pytest", *thorough, *wanted]}
    if not wanted:  # who is after certain tests does not want to wait for the rest
        checks["pytest"] += ["-n", "auto", "--dist", "loadgroup"]  # a process for each processor
        ruff = {"ruff check": ["ruff", "check"], "ruff format": ["ruff", "format", "--check"]}
        checks = {**ruff, "mypy": ["mypy"], **checks}
    failed = []
    for name, check in checks.items():
        say(f"== {name}")
        command = [str(tree.python), "-m", *check]
        if subprocess.run(command, cwd=tree.root, env=child_environment(os.environ), check=False).returncode:
            failed.append(name)
    say(f"Failed: {', '.join(failed)}." if failed else f"Passed: {', '.join(checks)}.")
    return FAILED if failed else DONE


def dispatch(tree: Tree, command: str, arguments: Sequence[str]) -> int:
    if command in {"demo", "lab"}:
        if command == "lab" and os.name != "nt" and os.geteuid() == 0 and not {"--allow-root", "--help"} & {*arguments}:
            # Said before a minute of setting up, not after it.
            sentence = (
                "JupyterLab is not meant to be run by root: start it as the person who works on the case, from a "
            )
            raise StartError(WRONG_USAGE, f"{sentence}copy of their own, or say: python3 start.py lab --allow-root")
        make_ready(tree, RUNTIME)
        if command == "lab":
            build_grid(tree, run_logged(tree), again=False)
        hand_over([str(tree.executable("carecover")), command, *arguments])
    if command == "bench":
        script = tree.root / "benchmarks" / "run.py"
        if not script.is_file():
            raise StartError(WRONG_USAGE, "This copy of carecover has no benchmarks (benchmarks/run.py).")
        make_ready(tree, RUNTIME)
        hand_over([str(tree.python), str(script), *arguments])
    if command == "test":
        return test(tree, arguments)
    if command == "lock" and not arguments:
        return renew_lock(tree)
    asked = " ".join([command, *arguments])
    raise StartError(WRONG_USAGE, f'There is no "start.py {asked}"; start.py --help lists what there is.')


def main(arguments: Sequence[str], version: Sequence[int] = sys.version_info[:2]) -> int:
    if sentence := too_old(version):
        say(sentence)
        return WRONG_USAGE
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(GUIDE, end="")
        return DONE
    try:
        return dispatch(Tree(Path(__file__).resolve().parent), arguments[0], arguments[1:])
    except StartError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say("Interrupted.")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
