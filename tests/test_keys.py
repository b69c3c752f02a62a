"""Keys that people keep: what they sign holds for openssl too, and no password is ever seen."""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from carecover import keys
from carecover.case import Case
from carecover.cli import cli, main
from carecover.errors import CarecoverError, PathError, RefusedError, UsageError
from carecover.journal import Entry, Journal
from carecover.model import sha256_hex
from tests.small_case import ANALYST, REVIEWER, Story

PASSWORD: Final = "MARKER-of-the-password-4711"
WRONG: Final = "MARKER-of-another-one-0815"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story.begin(tmp_path_factory.mktemp("story"))


def openssl(*words: str, data: bytes = b"") -> bytes:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    return subprocess.run(["openssl", *words], input=data, capture_output=True, check=True).stdout


def signed_entries(case: Case) -> list[Entry]:
    return [e for e in Journal(case.path / "journal.jsonl").entries() if e.act == "sign"]


def test_a_key_is_its_owners_and_openssl_reads_it(tmp_path: Path) -> None:
    made = keys.make_key(tmp_path / "ada.key", PASSWORD)
    for name in ("ada.key", "ada.key.pub"):
        assert os.name != "posix" or stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert PASSWORD.encode() not in (tmp_path / "ada.key").read_bytes()
    shown = openssl("pkey", "-in", str(tmp_path / "ada.key"), "-passin", f"pass:{PASSWORD}", "-pubout")
    assert shown == (tmp_path / "ada.key.pub").read_bytes()
    assert sha256_hex(openssl("pkey", "-pubin", "-outform", "DER", data=shown)) == made
    for name in ("ada.key", "rob.key"):
        (tmp_path / "rob.key.pub").touch()
        with pytest.raises(RefusedError, match="never overwritten"):
            keys.make_key(tmp_path / name, PASSWORD)
    assert not (tmp_path / "rob.key").exists()


@pytest.mark.parametrize("weak", ["", "short", "aaaaaaaaaaaaaaaa", "abababababababab", "x" * 2000])
def test_a_weak_password_makes_no_key(tmp_path: Path, weak: str) -> None:
    with pytest.raises(UsageError, match="password"):
        keys.make_key(tmp_path / "k", weak)
    assert list(tmp_path.iterdir()) == []


def test_no_key_lies_in_a_case(tmp_path: Path) -> None:
    case = Case.create(tmp_path / "c")
    (tmp_path / "link").symlink_to(case.path)
    for place in (case.path, case.path / "plans", tmp_path / "link", case.path / ".." / "c"):
        with pytest.raises(RefusedError, match="lies in a case"):
            keys.make_key(place / "ada.key", PASSWORD)
    keys.make_key(tmp_path / "ada.key", PASSWORD)
    shutil.copy(tmp_path / "ada.key", case.path / "ada.key")
    assert "lies in a case" in str(keys.open_key(case.path / "ada.key", PASSWORD))


def test_two_people_sign_with_two_keys_and_openssl_agrees(story: Story, tmp_path: Path) -> None:
    case = story.copy("decided", tmp_path)
    prints = {name: keys.make_key(tmp_path / name, PASSWORD) for name in ("ada", "rob")}
    signed = case.sign_off(by=ANALYST, role="analyst", key=tmp_path / "ada", password=PASSWORD)
    assert signed.fingerprint == prints["ada"]
    with pytest.raises(RefusedError, match="this very key"):
        case.sign_off(by=REVIEWER, role="reviewer", key=tmp_path / "ada", password=PASSWORD)
    case.sign_off(by=REVIEWER, role="reviewer", key=tmp_path / "rob", password=PASSWORD)
    assert [s.fingerprint for s in case.sign_offs()] == [prints["ada"], prints["rob"]]
    assert case.check() == []
    for name, entry in zip(("ada", "rob"), signed_entries(case), strict=True):
        said = entry.details
        # As docs/custody.md says it: put together here without carecover.
        text = {"at": entry.at, "by": said["by"], "carecover": "sign-off", "digest": said["digest"], "format": 1}
        text |= {"journal": entry.previous, "role": said["role"]}
        message = json.dumps(text, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        (tmp_path / "message").write_bytes(message)
        (tmp_path / "signature").write_bytes(bytes.fromhex(said["signature"]))
        public = ["-pubin", "-inkey", str(tmp_path / f"{name}.pub")]
        files = ["-in", str(tmp_path / "message"), "-sigfile", str(tmp_path / "signature")]
        assert b"Verified Successfully" in openssl("pkeyutl", "-verify", *public, "-rawin", *files)
    case.batch(tmp_path / "bundle")
    page = (tmp_path / "bundle" / "plan.html").read_text(encoding="ascii")
    assert prints["ada"] in page
    assert prints["rob"] in page


def test_by_name_only_is_said(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    assert [s.fingerprint for s in case.sign_offs()] == [None, None]
    case.batch(tmp_path / "bundle")
    assert "by name only" in (tmp_path / "bundle" / "plan.html").read_text(encoding="ascii")


@pytest.mark.parametrize("what", ["digest", "by", "role", "signature", "public_key", "at"])
def test_a_signature_is_over_all_that_it_says(story: Story, tmp_path: Path, what: str) -> None:
    case = story.copy("decided", tmp_path)
    keys.make_key(tmp_path / "ada", PASSWORD)
    case.sign_off(by=ANALYST, role="analyst", key=tmp_path / "ada", password=PASSWORD)
    (entry,) = signed_entries(case)
    assert keys.signed(entry)
    if what == "at":
        assert not keys.signed(replace(entry, at="2026-10-08T00:00:00Z"))
        return
    others: tuple[object, ...] = ("reviewer", "00" * 32, None, 5, "zz", [], {})
    for other in others:
        assert not keys.signed(replace(entry, details={**entry.details, what: other}))


def _ec_key(place: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    sealed = BestAvailableEncryption(PASSWORD.encode())
    place.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))


# How a key file can be wrong, and what to try it with.
WRONGS: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "wrong password": (lambda place: keys.make_key(place, PASSWORD), WRONG),
    "no password": (lambda place: keys.make_key(place, PASSWORD), ""),
    "odd password": (lambda place: keys.make_key(place, PASSWORD), WRONG + "\udcff\0"),
    "long password": (lambda place: keys.make_key(place, PASSWORD), WRONG * 1000),
    "missing": (lambda _: None, PASSWORD),
    "folder": (lambda place: place.mkdir(), PASSWORD),
    "empty": (lambda place: place.touch(), PASSWORD),
    "junk": (lambda place: place.write_bytes(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"), PASSWORD),
    "other kind": (_ec_key, PASSWORD),
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_no_password_is_ever_seen(
    story: Story, tmp_path: Path, wrong: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    make, tried = WRONGS[wrong]
    case = story.copy("decided", tmp_path)
    make(tmp_path / "ada")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(CarecoverError) as caught:
        case.sign_off(by=ANALYST, role="analyst", key=tmp_path / "ada", password=tried)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    # As a notebook shows it to those who ask: every variable of every frame of ours.
    inside = caught.value.with_traceback(caught.tb.tb_next)
    said = "".join(traceback.TracebackException.from_exception(inside, capture_locals=True).format())
    assert "in sign_off" in said
    said += str(caught.value) + caplog.text
    # The same at the shell, where it is asked for.
    if "\0" not in tried and len(tried) < 1000:
        command = ["sign-off", str(case.path), "--by", ANALYST, "--as", "analyst", "--key", str(tmp_path / "ada")]
        done = CliRunner().invoke(cli, command, input=f"{tried}\n")
        assert done.exit_code != 0 or done.return_value != 0
        said += done.output + done.stderr
    captured = capsys.readouterr()
    kept = b"".join(p.read_bytes() for p in case.path.rglob("*") if p.is_file())
    for text in (said, captured.out, captured.err, kept.decode("latin-1")):
        assert "MARKER" not in text
    assert signed_entries(case) == []


def test_the_shell_asks_and_shows_nothing(story: Story, tmp_path: Path) -> None:
    case = story.copy("decided", tmp_path)
    runner = CliRunner()
    made = runner.invoke(cli, ["keygen", str(tmp_path / "ada")], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert (made.exit_code, made.return_value or 0) == (0, 0)
    (line,) = made.stdout.splitlines()
    assert line == f"{line[:64]}  {tmp_path / 'ada'}.pub"
    command = ["sign-off", str(case.path), "--by", ANALYST, "--as", "analyst", "--key", str(tmp_path / "ada")]
    done = runner.invoke(cli, command, input=f"{PASSWORD}\n")
    assert f"as analyst, with the key {line[:64]}." in done.stdout
    kept = b"".join(p.read_bytes() for p in case.path.rglob("*") if p.is_file())
    for text in (made.output, done.output, kept.decode("latin-1")):
        assert "MARKER" not in text
    assert main(["keygen", str(case.path / "k"), "--password", PASSWORD]) == 2, "no password is an argument"


def test_where_no_terminal_can_give_a_password_that_is_said(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "carecover.cli", "keygen", str(tmp_path / "ada")]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, start_new_session=True
    )
    assert done.returncode == 2
    assert "on a terminal, and here is none" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_traceback_for_those_who_debug_shows_no_password(story: Story, tmp_path: Path) -> None:
    case = story.copy("decided", tmp_path)
    keys.make_key(tmp_path / "ada", PASSWORD)
    # What goes wrong after the key was opened, in a way that nobody foresaw.
    code = f"""
import sys
from carecover.case import Case
from carecover.folder import CaseFolder
CaseFolder.write = lambda *_: 1 / 0
word = sys.stdin.readline().strip()
Case.open({str(case.path)!r}).sign_off(by="A", role="analyst", key={str(tmp_path / "ada")!r}, password=word)
"""
    done = subprocess.run([sys.executable, "-c", code], input=PASSWORD, capture_output=True, text=True, check=False)
    assert "ZeroDivisionError" in done.stderr
    assert "MARKER" not in done.stderr


def test_what_cannot_be_written_leaves_no_key(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PathError, match="cannot be written"):
        keys.make_key(tmp_path / "file" / "ada", PASSWORD)
    assert "SigningKey(public_key=" in repr(keys.open_key(_made(tmp_path), PASSWORD))


def _made(place: Path) -> Path:
    keys.make_key(place / "ada", PASSWORD)
    return place / "ada"
