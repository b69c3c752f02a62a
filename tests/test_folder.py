"""The case folder: what is written is whole, what is kept is what was handed in, nobody writes beside another."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover import folder
from carecover.errors import CarecoverError, CaseError, PathError
from carecover.folder import CaseFolder, spelled, walk
from carecover.model import TABLES, sha256_hex

posix = pytest.mark.skipif(os.name != "posix", reason="needs pipes, sockets and names of any bytes")


@pytest.fixture
def case(tmp_path: Path) -> CaseFolder:
    return CaseFolder.create(tmp_path / "case", {"facts": {}})


def test_a_new_case_is_private_and_readable(case: CaseFolder) -> None:
    assert CaseFolder.is_case(case.path)
    assert case.read_head() == {"format": 2, "facts": {}}
    if os.name == "posix":
        assert stat.S_IMODE(case.path.stat().st_mode) == 0o700


@pytest.mark.parametrize("what", ["file", "folder", "below a file", "long"])
def test_a_case_takes_nobody_elses_place(tmp_path: Path, what: str) -> None:
    place = tmp_path / "case"
    if what == "folder":
        (place / "mine").mkdir(parents=True)
    elif what == "long":
        place = tmp_path / ("x" * 5_000)
    else:
        place.write_text("mine")
        place = place / "inside" if what == "below a file" else place
    with pytest.raises((CaseError, PathError), match=r"no case|cannot be"):
        CaseFolder.create(place, {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "case.json cannot be read"),
        (b"[]", "case.json says no format"),
        (b'{"format": 3}', "case.json says no format"),
        (b'{"formaT": 2}', "case.json says no format"),
        (b"\xff\xfe", "case.json cannot be read"),
    ],
)
def test_a_head_that_is_none_is_told(case: CaseFolder, content: bytes, said: str) -> None:
    (case.path / "case.json").write_bytes(content)
    with pytest.raises(CaseError, match=said):
        case.read_head()


def test_a_copy_is_named_by_its_bytes_and_read_only(case: CaseFolder, tmp_path: Path) -> None:
    source = tmp_path / "mail"
    source.write_bytes(b"evidence")
    stored = case.store(source)
    copy = case.evidence(stored.sha256)
    assert (stored.sha256, stored.size, stored.copied) == (sha256_hex(b"evidence"), 8, True)
    assert copy.read_bytes() == b"evidence"
    assert [p.name for p in (case.path / "evidence").iterdir()] == [stored.sha256]
    if os.name == "posix":
        assert stat.S_IMODE(copy.stat().st_mode) == 0o400


def test_a_damaged_copy_is_healed_by_handing_the_file_in_again(case: CaseFolder, tmp_path: Path) -> None:
    source = tmp_path / "mail"
    source.write_bytes(b"evidence")
    stored = case.store(source)
    record = {"path": str(source), "sha256": stored.sha256, "copied": True}
    copy = case.evidence(stored.sha256)
    copy.chmod(0o600)
    copy.write_bytes(b"Evidence")
    with pytest.raises(CaseError, match="changed"):
        case.unchanged(record)
    case.store(source)
    assert case.unchanged(record) == copy


def test_a_file_too_large_to_copy_is_a_reference(
    case: CaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MAX_COPY_BYTES", 4)
    source = tmp_path / "mail"
    source.write_bytes(b"evidence")
    stored = case.store(source)
    assert (stored.sha256, stored.copied) == (sha256_hex(b"evidence"), False)
    assert list((case.path / "evidence").iterdir()) == []


def test_a_file_without_end_is_not_copied_for_ever(
    case: CaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MAX_COPY_BYTES", 4)
    monkeypatch.setattr(folder, "_size", lambda _source: 0)
    source = tmp_path / "pseudo"
    source.write_bytes(b"more than it said")
    with pytest.raises(PathError, match="grows"):
        case.store(source)
    assert list((case.path / "evidence").iterdir()) == []


@pytest.mark.parametrize("failing", ["read", "write"])
def test_whose_fault_it_is_is_said(
    case: CaseFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    source = tmp_path / "mail"
    source.write_bytes(b"evidence")
    real = Path.open

    def unreadable(path: Path, mode: str = "r") -> object:
        if path == source:
            raise PermissionError(13, "Permission denied")
        return real(path, mode)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left")

    monkeypatch.setattr(*((Path, "open", unreadable) if failing == "read" else (os, "fsync", full)))
    expected, named = (PathError, str(source)) if failing == "read" else (CaseError, "evidence")
    with pytest.raises(expected, match=r"denied|space") as caught:
        case.store(source)
    assert named in str(caught.value)


def test_a_busy_case_is_left_alone(case: CaseFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LOCK_PATIENCE_SECONDS", 0.1)
    with case.locked(), pytest.raises(CaseError, match="in use"), CaseFolder(case.path).locked():
        pytest.fail("two writers at a time")
    with CaseFolder(case.path).locked():
        pass


def test_a_case_that_cannot_be_written_says_so(case: CaseFolder) -> None:
    (case.path / ".lock").mkdir()
    with pytest.raises(CaseError, match="writable"), case.locked():
        pytest.fail("no lock was taken")
    (case.path / "plans" / "x").mkdir()
    with pytest.raises(CaseError, match="cannot be written"):
        case.write("plans/x", b"a folder is in the way")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(min_value=0), byte=st.integers(0, 255), name=st.sampled_from(["seal.json", "rejects.parquet"]))
def test_a_damaged_cache_is_no_cache(case: CaseFolder, place: int, byte: int, name: str) -> None:
    table = TABLES["rejects"].frame([{"evidence_id": "E0001", "location": "byte 0", "reason": "ü", "size": 1}])
    case.keep_tables("k", {"rejects": table})
    path = case.path / "cache" / "k" / name
    data = bytearray(path.read_bytes())
    data[place % len(data)] = byte
    path.write_bytes(data)
    loaded = case.load_tables("k")
    assert loaded is None or loaded["rejects"].equals(table)


# ------------------------------------------------------------------------ walking


@posix
def test_walking_takes_regular_files_only_and_never_waits(tmp_path: Path) -> None:
    evidence = tmp_path / "evidence"
    (evidence / "b").mkdir(parents=True)
    (evidence / "b" / "1.eml").write_text("one")
    (evidence / "a.eml").write_text("two")
    (evidence / "link").symlink_to(tmp_path)
    (evidence / "dangling").symlink_to("nowhere")
    os.mkfifo(evidence / "pipe")
    files, unopened = walk([evidence, evidence / "dangling", "/dev/zero"], tmp_path / "case")
    assert files == [evidence / "a.eml", evidence / "b" / "1.eml"]
    assert [text.split(" ", 1)[1] for text in unopened] == [
        "is neither file nor folder.",
        "does not exist.",
        "is neither file nor folder.",
    ]


@posix
def test_a_socket_and_impossible_names_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        files, unopened = walk(["s", "a\0b", "x" * 5_000], tmp_path / "case")
    assert files == []
    assert len(unopened) == 3


def test_the_case_is_no_evidence_of_itself(tmp_path: Path) -> None:
    case = CaseFolder.create(tmp_path / "case", {})
    (tmp_path / "mail.eml").write_text("mail")
    assert walk([tmp_path], case.path) == ([tmp_path / "mail.eml"], [])
    assert walk([case.path], case.path)[1] == [f"{case.path} is the case itself, not evidence."]
    assert walk([case.path / "case.json"], case.path)[0] == [case.path / "case.json"]


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MAX_FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(CarecoverError, match="more than 2 files"):
        walk([tmp_path], tmp_path / "case")


@posix
def test_any_name_can_be_written_down(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9\n.eml")
    path.write_text("mail")
    assert walk([tmp_path], tmp_path / "case")[0] == [path]
    assert spelled(path).endswith("caf\\udce9\n.eml")
