"""``carecover lab``: the command, the environment, and whose notebooks are whose."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from carecover.errors import PathError, UsageError
from carecover.notebook.lab import MAX_MESSAGE_BYTES, lay_out, start_lab
from tests.conftest import REPOSITORY

NAMES = ["1-explore.ipynb", "2-revoke-and-publish.ipynb", "3-report.ipynb"]


@pytest.fixture(autouse=True)
def _a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may be run by root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)


class Runner:
    """Stands in for the process; remembers how it was called."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.line: Sequence[str] = ()
        self.environment: Mapping[str, str] = {}

    def __call__(self, line: Sequence[str], environment: Mapping[str, str]) -> int:
        self.line, self.environment = line, environment
        return self.code


def test_lab_listens_here_only_and_asks_nobody(tmp_path: Path) -> None:
    runner = Runner(code=7)
    assert start_lab(tmp_path / "night", runner=runner, arguments=["--no-browser"]) == 7
    assert runner.line[1:3] == ["-m", "jupyterlab"]
    assert "--ip=127.0.0.1" in runner.line
    assert "--LabApp.news_url=" in runner.line
    assert "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate" in runner.line
    assert f"--ServerApp.root_dir={tmp_path / 'night-notebooks'}" in runner.line
    assert runner.line[-1] == "--no-browser"
    assert not any("token" in part for part in runner.line), "Jupyter makes one, and no process list shows it"
    assert runner.environment["CARECOVER_CASE"] == str(tmp_path / "night")
    assert runner.environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert not (tmp_path / "night").exists(), "the notebook makes the case, when a person says so"


@pytest.mark.skipif(os.name != "posix", reason="there is no root")
def test_root_is_told_what_to_do_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    runner = Runner()
    with pytest.raises(UsageError, match=r"the person who works on the case.*--allow-root"):
        start_lab(tmp_path / "night", runner=runner)
    assert not runner.line
    assert not list(tmp_path.iterdir()), "no folder is left of it"
    assert start_lab(tmp_path / "night", runner=runner, arguments=["--allow-root"]) == 0
    assert "--allow-root" in runner.line


def test_without_a_case_the_notebooks_lie_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARECOVER_CASE", "left over")
    runner = Runner()
    assert start_lab(None, runner=runner) == 0
    assert "CARECOVER_CASE" not in runner.environment
    assert sorted(p.name for p in (tmp_path / "carecover-notebooks").iterdir()) == NAMES


def test_a_notebook_that_was_changed_stays_as_it_is(tmp_path: Path) -> None:
    assert [p.name for p in lay_out(tmp_path / "mine")] == NAMES
    mine = tmp_path / "mine" / NAMES[0]
    assert mine.read_bytes() == (REPOSITORY / "notebooks" / NAMES[0]).read_bytes()
    mine.write_text("my notes", encoding="utf-8")
    (tmp_path / "mine" / NAMES[2]).unlink()
    assert [p.name for p in lay_out(tmp_path / "mine")] == [NAMES[2]]
    assert mine.read_text(encoding="utf-8") == "my notes"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(PathError, match="cannot be put into"):
        start_lab(None, notebooks=tmp_path / "file", runner=Runner())


def test_the_server_takes_these_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line, read by JupyterLab itself, ends in the settings that are meant."""
    from jupyterlab.labapp import LabApp  # type: ignore[import-untyped] # noqa: PLC0415 - only this test needs it

    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    runner = Runner()
    start_lab(tmp_path / "a case", runner=runner)
    app = LabApp()
    app.parse_command_line(list(runner.line[3:]))
    server = app.config.ServerApp
    assert server.ip == "127.0.0.1"
    assert str(server.root_dir) == str(tmp_path / "a case-notebooks")
    assert str(MAX_MESSAGE_BYTES) in repr(server.tornado_settings)
    assert app.news_url is None or app.news_url == ""
