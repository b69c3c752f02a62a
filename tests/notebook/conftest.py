"""One small incident for all notebook tests, and copies of its case at several stages."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest

from carecover import errand
from carecover.case import Case
from carecover.errors import CarecoverError
from carecover.journal import Journal
from carecover.model import ACTIONABLE_KINDS
from carecover.notebook import grid, presence
from carecover.notebook.dropping import DropZone
from carecover.notebook.proving import VerifyPanel
from carecover.simulator import Incident, Scenario, make_incident

ANALYST, REVIEWER = "Ada Analyst", "Rob Reviewer"


@pytest.fixture(autouse=True)
def _nobody_else_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What says who has a case open lies in a folder of the test's own."""
    monkeypatch.setattr(presence, "jupyter_runtime_dir", lambda: str(tmp_path / "runtime"))
    yield
    presence.leave_all()


@pytest.fixture(autouse=True)
def _without_the_grid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The plain controls, built or not; the stories of test_grid put a stand-in there."""
    # open_case says for the whole kernel that it is a notebook.
    monkeypatch.setattr(Journal, "command", Journal.command)
    at = datetime.now(UTC)
    monkeypatch.setattr(VerifyPanel, "now", staticmethod(lambda: at))
    monkeypatch.setattr(grid, "BUNDLE", tmp_path / "no bundle")


class AtOnce:
    """An errand that is done in this process before anybody looks."""

    def __init__(self, case: Path, what: dict[str, Any]) -> None:
        self.failed: str | None = None
        try:
            errand._do({"case": str(case), "command": Journal.command, **what})
        except CarecoverError as error:
            self.failed = str(error)

    def over(self) -> bool:
        return True


@pytest.fixture
def own_process() -> None:
    """What is run gets a process of its own, as it has outside of tests."""


@pytest.fixture(autouse=True)
def _errands_at_once(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "own_process" not in request.fixturenames:
        monkeypatch.setattr(errand, "begin", AtOnce)


@pytest.fixture(scope="session")
def incident(tmp_path_factory: pytest.TempPathFactory) -> tuple[Incident, Path]:
    """A small incident, and the folder with its evidence and facts."""
    made = make_incident(Scenario(seed=3, certificates=60, lost=10))
    place = tmp_path_factory.mktemp("incident")
    made.write(place)
    return made, place


@pytest.fixture(scope="session")
def facts(incident: tuple[Incident, Path]) -> dict[str, Any]:
    """The facts of the incident, as people know them."""
    known: dict[str, Any] = json.loads((incident[1] / "facts.json").read_text(encoding="utf-8"))
    return known


@pytest.fixture(scope="session")
def _read_once(
    incident: tuple[Incident, Path], facts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    place = tmp_path_factory.mktemp("cases") / "case"
    Case.create(place, **facts).add([incident[1] / "evidence"])
    return place


@pytest.fixture
def case(_read_once: Path, tmp_path: Path) -> Case:
    """A case with its evidence; nothing is decided."""
    shutil.copytree(_read_once, tmp_path / "case")
    return Case.open(tmp_path / "case")


@pytest.fixture
def decided(case: Case) -> Case:
    """The same with every finding decided, without dummies: what has no original is left."""
    findings = case.findings[case.findings["kind"].isin(ACTIONABLE_KINDS)]
    case.decide(action="suggested", serials=list(findings["serial"]), by=ANALYST)
    needs_a_dummy = (findings["kind"] == "orphaned") & findings["original_sha256"].isna()
    rest = findings[findings["suggested_action"].isna() | needs_a_dummy]
    case.decide(action="leave", serials=list(rest["serial"]), by=ANALYST, note="on the watch list")
    return case


@pytest.fixture
def signed(decided: Case) -> Case:
    """The same, signed by two people."""
    decided.sign_off(by=ANALYST, role="analyst")
    decided.sign_off(by=REVIEWER, role="reviewer")
    return decided


def every(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    """A widget and everything in it."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from every(child)


def said(widget: widgets.Widget) -> str:
    """All HTML that a panel holds."""
    return "\n".join(w.value for w in every(widget) if isinstance(w, widgets.HTML))


def press(panel: widgets.Widget, label: str) -> str:
    """Press the button whose label begins so, as the browser does; return what the panel says then."""
    (button,) = (w for w in every(panel) if isinstance(w, widgets.Button) and w.description.startswith(label))
    button._handle_button_msg(None, {"event": "click"}, [])
    if callable(look := getattr(panel, "look", None)):
        look()
    message: str = panel.message.value
    return message


def put(control: widgets.Widget, **state: object) -> None:
    """Change a control as a message from the browser does."""
    control.set_state(state)


_drops = count()


def hand_over(zone: DropZone, *files: tuple[str, bytes]) -> None:
    """Drop files, as the browser sends them: in pieces, each message telling what is still to come."""
    turn, view = 0, f"drop {next(_drops)}"
    for number, (name, content) in enumerate(files):
        for offset in range(0, max(len(content), 1), 70_000):
            piece = memoryview(content)[offset : offset + 70_000]
            turn, ahead = turn + 1, len(files) - number - (offset + 70_000 >= len(content))
            zone._handle_custom_msg(*message(turn, (number, name, len(content), offset, piece), view=view, ahead=ahead))


def message(
    turn: int, *parts: tuple[int, str, int, int, bytes | memoryview], view: str = "tab", ahead: int = 0
) -> tuple[dict[str, object], list[bytes | memoryview]]:
    """A message with (number, name, size, offset, bytes) of files, as the browser sends it."""
    told = [{"id": number, "name": name, "size": size, "offset": at} for number, name, size, at, _ in parts]
    said: dict[str, object] = {"kind": "parts", "view": view, "turn": turn, "ahead": ahead, "parts": told}
    return said, [piece for *_, piece in parts]


def drawn(still: str) -> str:
    """The drawing of a picture as a saved notebook holds it."""
    (source,) = re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", still)
    return base64.b64decode(source).decode()
