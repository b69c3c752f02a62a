"""A real Dask cluster reads: two processes, one of which is killed, storage that has other bytes, and nobody at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from carecover import Case, cli, cluster, evidence, register
from carecover.errors import PathError, UsageError
from carecover.evidence import driver
from carecover.model import sha256_hex
from tests.evidence.test_mail import make_mail
from tests.test_register import box, plain, same

__all__ = ["box"]  # a fixture
# What Dask and its kin warn of is not about us.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.xdist_group("cluster")]


@pytest.fixture(scope="module")
def dask() -> Iterator[Any]:
    """A scheduler and two workers, each a process of its own on this machine."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as local:
        yield local


@pytest.fixture
def expected(tmp_path: Path, box: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, pd.DataFrame]:
    """The tables of one reading here; behind it every mailbox is cut into ranges."""
    tables = plain(tmp_path, box)
    monkeypatch.setattr(driver, "RANGE_BYTES", 3000)
    monkeypatch.setattr(register, "_WORTH_KEEPING", 0)
    return tables


@pytest.fixture
def opened_here(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Each time that a file is opened in this process: once for the cuts, and for each range that is read here."""
    seen: list[Path] = []
    real = driver.opened

    def noted(path: Path) -> Any:
        seen.append(path)
        return real(path)

    monkeypatch.setattr(driver, "opened", noted)
    return seen


def test_two_processes_read_and_the_case_is_the_same(
    tmp_path: Path, box: Path, dask: Any, expected: dict[str, pd.DataFrame], opened_here: list[Path]
) -> None:
    case = Case.create(tmp_path / "case")
    with cluster.readers_of(dask.scheduler_address) as executor:
        case.add([box], executor=executor)
    same(case, expected)
    assert len(opened_here) <= 3, "no range was read here"


def test_one_is_killed_in_the_middle_and_the_case_is_the_same(
    tmp_path: Path, box: Path, dask: Any, expected: dict[str, pd.DataFrame]
) -> None:
    case, killed = Case.create(tmp_path / "case"), list[int]()
    with cluster.readers_of(dask.scheduler_address) as executor:
        first = executor.submit(os.getpid).result()

        def kill(what: str, _done: int, _total: int) -> None:
            if " % of " in what and not killed:
                killed.append(first)
                os.kill(first, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)

        case.add([box], executor=executor, progress=kill)
    assert killed
    same(case, expected)


def test_files_that_are_no_mailbox_are_read_as_a_whole(
    tmp_path: Path, box: Path, dask: Any, expected: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "one.eml").write_bytes(make_mail())
    (folder / "note.txt").write_text("no evidence at all", encoding="utf-8")
    (folder / box.name).write_bytes(box.read_bytes())
    here, there = Case.create(tmp_path / "here"), Case.create(tmp_path / "there")
    here.add([folder])
    read_here: list[Path] = []
    real = evidence.read

    def noted(path: Path, *given: Any, **more: Any) -> Any:
        read_here.append(path)
        return real(path, *given, **more)

    with cluster.readers_of(dask.scheduler_address) as executor:
        monkeypatch.setattr(evidence, "read", noted)
        there.add([folder], executor=executor)
    assert [path.name for path in read_here if path.name != sha256_hex(box.read_bytes())] == []
    same(there, {name: here.table(name) for name in expected})


def test_shared_storage_is_read_by_its_address(
    tmp_path: Path, box: Path, dask: Any, expected: dict[str, pd.DataFrame], opened_here: list[Path]
) -> None:
    case = Case.create(tmp_path / "case")
    command = [case.path, box, "--cluster", dask.scheduler_address, "--shared", (case.path / "evidence").as_uri()]
    result = CliRunner().invoke(cli.cli, ["add", *map(str, command)])
    assert result.exit_code == 0, result.output
    same(case, expected)
    assert len(opened_here) <= 3, "no range was read here"


@pytest.mark.parametrize(
    "what", ["other bytes", *(pytest.param(w, marks=pytest.mark.thorough) for w in ("the end is missing", "nothing"))]
)
def test_storage_that_is_not_the_evidence_changes_nothing(
    tmp_path: Path, box: Path, dask: Any, expected: dict[str, pd.DataFrame], opened_here: list[Path], what: str
) -> None:
    case, shared = Case.create(tmp_path / "case"), tmp_path / "shared"
    shared.mkdir()
    data = box.read_bytes()
    if what != "nothing":
        forged = data.replace(b"Request ID", b"Request Id") if what == "other bytes" else data[: len(data) // 2]
        (shared / sha256_hex(data)).write_bytes(forged)
    with cluster.readers_of(dask.scheduler_address, shared.as_uri()) as executor:
        case.add([box], executor=executor)
    same(case, expected)
    assert len(opened_here) > 5, "what lies there is not the evidence: its ranges were read here"


@pytest.mark.thorough
def test_the_whole_cluster_goes_away_and_the_rest_is_read_here(
    tmp_path: Path, box: Path, expected: dict[str, pd.DataFrame]
) -> None:
    distributed = pytest.importorskip("distributed")
    case = Case.create(tmp_path / "case")
    local = distributed.LocalCluster(
        n_workers=1, processes=False, protocol="tcp://", dashboard_address=None, silence_logs=50
    )
    gone: list[bool] = []

    def go(what: str, _done: int, _total: int) -> None:
        if " % of " in what and not gone:
            gone.append(True)
            local.close()

    with cluster.readers_of(local.scheduler_address) as executor:
        case.add([box], executor=executor, progress=go)
    assert gone
    same(case, expected)


def test_a_cluster_that_is_none_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "_PATIENCE", "1s")
    with pytest.raises(UsageError, match="no address of a scheduler"), cluster.readers_of("scheduler:8786"):
        pass
    with (
        pytest.raises(PathError, match="No scheduler of a Dask cluster answers"),
        cluster.readers_of("tcp://127.0.0.1:9"),
    ):
        pass
    Case.create(tmp_path / "case")
    alone = CliRunner().invoke(cli.cli, ["add", str(tmp_path / "case"), str(tmp_path), "--shared", "s3://bucket"])
    assert "--shared says where the workers of a --cluster" in alone.output


def test_workers_of_another_version_are_not_believed(dask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "READER_VERSION", "another")
    with (
        pytest.raises(PathError, match="another version of carecover: tcp://"),
        cluster.readers_of(dask.scheduler_address),
    ):
        pass
