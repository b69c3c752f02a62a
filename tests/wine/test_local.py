"""The backend for the CA server itself, with Wine's cmd.exe in the place of the system's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from carecover.backends import Limits, LocalHost, backend
from carecover.errors import RefusedError, RunError
from tests.planned_bundle import DONE, USAGE, Bundle
from tests.wine.remote import answering
from tests.wine.wine import Wine


def test_a_batch_runs_in_its_folder_and_says_what_it_does(wine: Wine, tmp_path: Path) -> None:
    (tmp_path / "a bundle").mkdir()
    bundle = Bundle(tmp_path / "a bundle")
    with answering(bundle.ca, bundle.directory) as desk:
        local = LocalHost(
            interpreter=[*wine.command, "cmd", "/d", "/c"],
            code_page="cp850",
            environment={**wine.environment, **wine.overrides(own_find=False), **desk.environment},
            windows=True,
        )
        said: list[str] = []
        assert local.execute(bundle.directory, "prepare.cmd", ["GO"], said.append) == DONE
        assert "".join(said).endswith("prepare: 3 done, 0 were so already, 0 stopped, 0 left.\n")
        assert local.execute(bundle.directory, "prepare.cmd", [], said.append) == USAGE
    assert [call.verb for call in bundle.ca.calls].count("sign") == 3
    bundle.pin()


def test_it_is_for_windows_and_for_the_cmd_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "win32":
        with pytest.raises(RefusedError, match="runs no Windows"):
            backend("local")
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    with pytest.raises(RefusedError, match=r"cmd\.exe is not where"):
        LocalHost(windows=True)


def test_a_batch_that_never_ends_is_ended(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path)
    local = LocalHost(
        interpreter=["sh", "-c", "echo begun; sleep 1000"], code_page="cp850", windows=True, limits=Limits(silence=1)
    )
    with pytest.raises(RunError, match=r"prepare\.cmd was ended before its end: there was no word"):
        local.execute(bundle.directory, "prepare.cmd", ["GO"], print)
