"""The three notebooks: executed from top to bottom, small, empty, and without logic."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import altair as alt
import nbformat
import pytest
from nbclient import NotebookClient

import carecover.notebook
from carecover.case import Case
from tests.conftest import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
WORDS = {
    "1-explore": [
        "What to do first",
        "The facts",
        "ca-mailbox.mbox",
        "nothing to ask",
        "data:image/svg+xml;base64,",
        "request IDs in the gap",
        "orphaned",
    ],
    "2-revoke-and-publish": ["undecided", "are not decided", "There is no plan yet"],
    "3-report": ["data:image/svg+xml;base64,", "request IDs in the gap", "The report"],
}
SIGNED = {
    "1-explore": ["Next: rehearse it."],
    "2-revoke-and-publish": ["Signed by two people", "needs no dummies"],
    "3-report": ["The report"],
}
# Where a browser would be sent outside: to a script, a style, a picture, a font.
OUTSIDE = re.compile(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", re.IGNORECASE)


def read(path: Path) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def executed(name: str, case: Path | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Outputs of a notebook, run in a copy, with the case named as ``carecover lab`` names it."""
    shutil.copy(REPOSITORY / "notebooks" / f"{name}.ipynb", folder)
    if case is None:
        monkeypatch.delenv("CARECOVER_CASE", raising=False)
    else:
        monkeypatch.setenv("CARECOVER_CASE", str(case))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = read(folder / f"{name}.ipynb")
    client = NotebookClient(
        notebook, timeout=120, store_widget_state=False, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def shown(outputs: list[dict[str, Any]]) -> str:
    return "\n".join(output["data"].get("text/html", "") for output in outputs if "data" in output)


def test_there_are_these_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(WORDS)


@pytest.mark.parametrize("name", WORDS)
def test_a_notebook_runs_from_top_to_bottom(
    name: str, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = executed(name, case.path, tmp_path, monkeypatch)
    assert {output["output_type"] for output in outputs} <= {"display_data", "execute_result"}, (
        "no error, no stray text"
    )
    page = shown(outputs)
    assert [word for word in WORDS[name] if word not in page] == []
    assert OUTSIDE.search(page) is None
    (guard,) = [output["data"] for output in outputs if "application/javascript" in output["data"]]
    assert "data-lm-suppress-shortcuts" in guard["application/javascript"], "keys in a panel leave the cell alone"
    shown_ = [output["data"] for output in outputs if output["data"] is not guard]
    live = [data for data in shown_ if "text/html" not in data]
    still = [data for data in shown_ if "text/html" in data]
    assert all("application/vnd.jupyter.widget-view+json" in data for data in live)
    assert len(live) == len(still), "beside each live panel stands what it says, for viewers without a kernel"
    assert all('class="carecover cc-still"' in data["text/html"] for data in still)
    assert all(len(data["text/plain"]) < 100 for data in live), "the values of widgets stay out of the notebook"


@pytest.mark.thorough
@pytest.mark.parametrize("name", SIGNED)
def test_a_notebook_shows_a_signed_case(
    name: str, signed: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = shown(executed(name, signed.path, tmp_path, monkeypatch))
    assert [word for word in SIGNED[name] if word not in page] == []


@pytest.mark.parametrize("name", WORDS)
def test_a_notebook_runs_where_there_is_no_case(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = executed(name, None, tmp_path, monkeypatch)
    assert "There is no case in" in shown(outputs)
    assert not (tmp_path / "my-case").exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_saved_small_and_empty(path: Path) -> None:
    assert path.stat().st_size < 20_000
    notebook = read(path)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_cell_is_one_call(path: Path) -> None:
    """No logic in notebooks: an import, ``case = open_case(…)``, or one function of the room."""
    imported: set[str] = set()
    called: list[str] = []
    for cell in read(path).cells:
        if cell.cell_type != "code":
            continue
        (statement,) = ast.parse(cell.source).body
        if isinstance(statement, ast.ImportFrom):
            assert statement.module == "carecover.notebook"
            imported = {alias.name for alias in statement.names}
            continue
        assert isinstance(statement, ast.Assign | ast.Expr)
        assert isinstance(statement.value, ast.Call)
        assert isinstance(statement.value.func, ast.Name)
        called.append(statement.value.func.id)
    assert set(called) == imported
    assert imported <= set(carecover.notebook.__all__)


def test_every_function_of_the_room_has_its_cell() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in NOTEBOOKS)
    assert [name for name in carecover.notebook.__all__ if f"{name}(" not in sources] == []


def test_charts_need_no_network() -> None:
    assert alt.renderers.active == "svg"
