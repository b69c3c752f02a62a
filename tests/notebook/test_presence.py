"""Two notebooks on one case: the second says so, and each says what the other has done."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from carecover.case import Case
from carecover.notebook import plan, presence, sign
from carecover.notebook.exploring import OpenPanel
from carecover.notebook.presence import Presence
from tests.notebook.conftest import REVIEWER, press, said


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """Jupyter's folder for what runs (set by conftest)."""
    return tmp_path / "runtime"


def test_the_second_notebook_says_who_has_the_case_open(
    decided: Case, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "night/<b>2-revoke</b>.ipynb")
    other = Presence(decided.path)
    presence.enter(decided.path)
    shown = said(OpenPanel(decided))
    assert "This case is also open in" in shown
    assert "b&gt;.ipynb since " in shown
    assert "also open in" not in said(sign(decided)), "once on a page is enough"
    other.close()
    panel = OpenPanel(decided)
    panel.look_around()
    assert "also open" not in said(panel)
    presence.leave_all()
    assert list(runtime.rglob("*.lock")) == []
    assert decided.check() == [], "nothing of it is in the case"


def test_a_kernel_that_died_has_nothing_open(decided: Case, runtime: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from carecover.notebook.presence import Presence;"
        "p = Presence(Path(sys.argv[1]), Path(sys.argv[2])); print(len(p.others()), flush=True); os._exit(9)"
    )
    me = Presence(decided.path, runtime)
    line = [sys.executable, "-c", code, str(decided.path), str(runtime)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.strip() == "1", done.stderr
    assert len(list(runtime.rglob("*.lock"))) == 2
    assert me.others() == []
    assert len(list(runtime.rglob("*.lock"))) == 1, "what it left is removed"
    me.close()


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", json.dumps({"notebook": 5, "since": "x"}).encode()])
def test_odd_files_are_another_kernel_at_most(decided: Case, runtime: Path, content: bytes) -> None:
    me, other = Presence(decided.path, runtime), Presence(decided.path, runtime)
    for file in runtime.rglob("*.json"):
        file.write_bytes(content)
    assert me.others() == ["another kernel"]
    me.close()
    other.close()


def test_where_nothing_can_be_written_nobody_is_told(decided: Case, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    me = Presence(decided.path, tmp_path / "file")
    assert me.others() == []
    me.close()


def test_what_another_does_is_said_where_one_looks_and_nothing_moves_by_itself(decided: Case, runtime: Path) -> None:
    assert not runtime.exists()
    reading, signing = plan(decided), sign(decided)
    old = decided.plan().digest
    Case.open(decided.path).waive("undecided: from a shell", by=REVIEWER)

    async def a_while() -> None:
        presence.watch(reading)
        presence.watch(signing)
        await asyncio.sleep(0.2)

    presence._tasks.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presence, "LOOK_SECONDS", 0.01)
        asyncio.run(a_while())
    presence._tasks.clear()
    for panel in (reading, signing):
        assert f"waive by {REVIEWER}" in panel._elsewhere.value
    assert old in signing.signed.value, "what a person reads does not change under their eyes"
    press(signing, "Show it as it is now")
    assert decided.plan().digest in signing.signed.value
    assert signing._elsewhere.value == ""
    assert signing._anew.layout.display == "none"
