"""A bundle's folder and its ZIP file: the same bytes everywhere, and nothing of anybody's overwritten."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from carecover import bundles
from carecover.errors import PathError, RefusedError
from carecover.evidence import Context
from carecover.model import TABLES, sha256_hex

FILES = {"revoke.cmd": b"@echo off\r\n", "dummies/44ab.cer": b"\x30\x00", "README.txt": b"read\r\n"}


def digests(files: dict[str, bytes]) -> dict[str, str]:
    return {name: sha256_hex(data) for name, data in files.items()}


def test_the_same_files_are_packed_into_the_same_bytes() -> None:
    packed = bundles.pack(FILES, "ab" * 32)
    assert packed == bundles.pack(dict(reversed(FILES.items())), "ab" * 32)
    # Of today's and of any other version: nothing in it depends on time, machine or compressor.
    assert sha256_hex(packed) == "8c74fa5b0a943ca5cf55cdff2d932cb2b2cc28d85cfb6de8c478b116d18d1bda"
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names == sorted(names)
        assert {name.removeprefix("carecover-abababababab/") for name in names} == set(FILES)
        assert not any(name.startswith("/") or ".." in name or ":" in name for name in names)
        assert {archive.read(name) for name in names} == set(FILES.values())


@pytest.mark.parametrize(
    ("folder", "archive"),
    [
        ("bundle", "bundle.zip"),
        ("bundle.v2", "bundle.v2.zip"),
        ("a/b/", "a/b.zip"),
        ("a/..", None),
    ],
)
def test_the_zip_file_lies_beside_the_folder(
    folder: str, archive: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = tmp_path.with_name(f"{tmp_path.name}.zip") if archive is None else Path(archive)
    assert bundles.archive_of(Path(folder)) == expected


def test_a_foreign_file_is_not_overwritten(tmp_path: Path) -> None:
    archive = tmp_path / "bundle.zip"
    archive.write_bytes(b"somebody's")
    with pytest.raises(RefusedError, match="is there already"):
        bundles.empty_folder(tmp_path / "bundle", archive=archive)
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(RefusedError, match="not overwritten"):
        bundles.check_archive(archive, set())
    bundles.check_archive(archive, {sha256_hex(b"somebody's")})
    bundles.check_archive(tmp_path / "none.zip", set())


def test_files_of_two_forms_may_lie_together_but_no_other(tmp_path: Path) -> None:
    first = {"plan.html": b"one", "prepare.cmd": b"p"}
    second = {"plan.html": b"two", "prepare.cmd": b"p", "revoke.cmd": b"r", "dummies/44ab.cer": b"d"}
    exported = [digests(first), digests(second)]
    bundles.write_files(tmp_path, {**first, "revoke.cmd": b"r"})
    bundles.check_known(tmp_path, exported)
    (tmp_path / "revoke.cmd").write_bytes(b"evil")
    with pytest.raises(RefusedError, match=r"revoke\.cmd was changed"):
        bundles.check_known(tmp_path, exported)
    (tmp_path / "revoke.cmd").unlink()
    (tmp_path / "prepare.cmd").unlink()
    with pytest.raises(RefusedError, match=r"prepare\.cmd is missing"):
        bundles.check_known(tmp_path, exported)
    with pytest.raises(RefusedError, match="No bundle was exported"):
        bundles.check_known(tmp_path, [])


def test_what_belongs_to_another_form_goes(tmp_path: Path) -> None:
    bundles.write_files(tmp_path, {"revoke.cmd": b"old", "undo.cmd": b"old", "mine.txt": b"mine", "longer.cmd": b"new"})
    bundles.remove_stale(tmp_path, {"longer.cmd"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["longer.cmd", "mine.txt"]
    (tmp_path / "undo.cmd").mkdir()
    with pytest.raises(PathError, match="cannot be deleted"):
        bundles.remove_stale(tmp_path, {"longer.cmd"})


def test_a_folder_of_something_else_is_not_read_as_dummies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "_MAX_FILES", 2)
    for number in range(3):
        bundles.write_files(tmp_path, {f"dummies/{number}.cer": b"x"})
    with pytest.raises(RefusedError, match="not the dummies of a bundle"):
        bundles.read_dummies(tmp_path)


# ------------------------------------------------------------------------ dummies that came back


def test_dummies_are_taken_by_the_names_that_our_scripts_give(tmp_path: Path) -> None:
    given = [
        ("dummies/44ab.cer", b"one"), ("C:\\b\\dummies\\44AC.CER", b"two"), ("44ad-longer.cer", b"three"),
        ("revoke.cmd", b"x"), ("../../44ae.cer.exe", b"x"), ("44a.cer", b"odd"), ("44af.cer", b""),
        ("44b0.cer", b"x" * 16_385), ("\u202e44b1.cer", b"x"), ("", b"x"), ("..", b"x"), ("44b2.cer\n", b"x"),
        ("\ud800.cer", b"x"), ("４４.cer", b"x"),
    ]  # fmt: skip
    names, aside = bundles.take_dummies(tmp_path, given)
    assert names == ["44ab.cer", "44ac.cer", "44ad-longer.cer"]
    assert aside == [name for name, _ in given[3:]]
    assert {p.name: p.read_bytes() for p in (tmp_path / "dummies").iterdir()} == {
        "44ab.cer": b"one", "44ac.cer": b"two", "44ad-longer.cer": b"three",
    }  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["dummies"], "nothing is written beside it"
    assert bundles.take_dummies(tmp_path, given[:1]) == (["44ab.cer"], []), "twice is once"


def test_no_dummy_is_replaced_by_another_in_silence(tmp_path: Path) -> None:
    bundles.take_dummies(tmp_path, [("44ab.cer", b"one")])
    with pytest.raises(RefusedError, match="is there already, and it is another file"):
        bundles.take_dummies(tmp_path, [("44ac.cer", b"two"), ("44ab.cer", b"other")])
    assert [p.name for p in (tmp_path / "dummies").iterdir()] == ["44ab.cer"], "all or nothing"
    with pytest.raises(RefusedError, match=r"two different files 44ac\.cer"):
        bundles.take_dummies(tmp_path, [("a/44ac.cer", b"two"), ("b/44AC.cer", b"other")])
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "dummies").symlink_to(tmp_path / "dummies")
    with pytest.raises(RefusedError, match="no folder of its own"):
        bundles.take_dummies(tmp_path / "x", [("44ad.cer", b"two")])
    with pytest.raises(PathError, match="cannot be written"):
        bundles.take_dummies(tmp_path / "gone" / "there", [("44ad.cer", b"two")])


def test_an_error_page_in_place_of_a_list_is_told(tmp_path: Path) -> None:
    """Short and plain as it is, it was fetched: it is not let be as a note would."""
    (page := tmp_path / "ca.crl").write_text("Not found.", encoding="ascii")
    signers = TABLES["certificates"].empty()
    fetched = bundles.read_back([bundles.Handed(page, "ca.crl", "http://pki.corp.example/ca.crl")], Context(), signers)
    assert fetched.notes == ("ca.crl: what was fetched there is neither a CRL nor an answer of a responder.",)
    assert fetched.unused == frozenset()
    note = bundles.read_back([bundles.Handed(page, "note.txt")], Context(), signers)
    assert (note.notes, note.unused) == ((), frozenset({"note.txt"}))
