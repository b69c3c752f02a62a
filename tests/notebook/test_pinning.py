"""Dummies come back through the browser, and nobody pins what was not looked at."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from carecover.case import Case
from carecover.errors import RefusedError
from carecover.model import ACTIONABLE_KINDS
from carecover.notebook import pin
from carecover.simulator import Incident, SimulatedCA, SimulatedHost
from tests.notebook.conftest import ANALYST, REVIEWER, hand_over, press, put, said


@pytest.fixture
def waiting(case: Case, incident: tuple[Incident, Path], tmp_path: Path) -> tuple[Case, Path, dict[str, bytes]]:
    """A case whose bundle needs two dummies, that bundle, and the dummies as the CA made them."""
    rows = case.findings[case.findings["kind"].isin(ACTIONABLE_KINDS)]
    case.decide(action="leave", serials=list(rows["serial"]), by=ANALYST, note="not today")
    orphaned = rows[(rows["kind"] == "orphaned") & rows["original_sha256"].isna() & ~rows["infrastructure"]]
    case.decide(action="revoke", reason=4, serials=list(orphaned["serial"][:2]), by=ANALYST)
    case.sign_off(by=ANALYST, role="analyst")
    case.sign_off(by=REVIEWER, role="reviewer")
    folder = tmp_path / f"case-bundle-{case.plan().digest[:8]}"
    case.batch(folder)
    at_the_ca = tmp_path / "at the CA"
    shutil.copytree(folder, at_the_ca)
    host = SimulatedHost(SimulatedCA.from_state(incident[0].restored))
    host.execute(at_the_ca, "prepare.cmd", ["GO"], lambda _: None)
    return case, folder, {p.name: p.read_bytes() for p in (at_the_ca / "dummies").glob("*.cer")}


def test_dummies_are_dropped_looked_at_and_pinned_by_somebody_else(
    waiting: tuple[Case, Path, dict[str, bytes]],
) -> None:
    case, folder, made = waiting
    panel = pin(case)
    assert panel.confirm.layout.display == "none", "there is nothing to confirm yet"
    assert "drop the files" in press(panel, "Bring them")
    first, second = made.items()
    hand_over(panel.upload, first, ("notes.txt", b"hello"))
    message = press(panel, "Bring them")
    assert "1 dummy is in" in message
    assert "named like no dummy or too large: notes.txt" in message
    assert "Missing: 1." in said(panel), panel._state.value + panel.rest.value
    hand_over(panel.upload, second)
    assert panel.confirm.layout.display == "none", "one is still missing"
    assert "1 dummy is in" in press(panel, "Bring them")
    assert panel.confirm.layout.display is None
    shown = panel.pins._html.value
    assert re.findall(r"cc-badge (\w+)", shown).count("good") >= 10
    assert all(name.removesuffix(".cer") in shown for name in made)
    put(panel.by, value="Ada Anlayst")
    assert panel.different.description == f"Ada Anlayst and {ANALYST} are two different people."
    put(panel.seen, value=True)
    assert "mend the name" in press(panel, "Confirm and pin")
    put(panel.by, value=REVIEWER)
    assert "tick the box" in press(panel, "Confirm and pin")
    put(panel.seen, value=True)
    assert "2 dummies are as they should be" in press(panel, "Confirm and pin")
    assert (folder / "revoke.cmd").is_file()
    assert f"pinned by {REVIEWER}" in said(panel)


def test_what_was_changed_after_the_look_is_not_pinned(waiting: tuple[Case, Path, dict[str, bytes]]) -> None:
    case, folder, made = waiting
    panel = pin(case)
    hand_over(panel.upload, *made.items())
    press(panel, "Bring them")
    name, other = next(iter(made)), list(made.values())[1]
    (folder / "dummies" / name).write_bytes(other)
    put(panel.by, value=REVIEWER)
    put(panel.seen, value=True)
    assert "others than those that were looked at" in press(panel, "Confirm and pin")
    assert not (folder / "revoke.cmd").exists()
    assert "May not be imported: 1." in said(panel), "drawn anew, with what is wrong"
    assert "Its serial number is" in said(panel.pins)


def test_a_dummy_of_another_ca_is_told_before_anybody_confirms(waiting: tuple[Case, Path, dict[str, bytes]]) -> None:
    case, _, made = waiting
    panel = pin(case)
    hand_over(panel.upload, *((name, b"0" + data[1:-1]) for name, data in made.items()))
    press(panel, "Bring them")
    assert "May not be imported: 2." in said(panel)
    assert "2 dummies: The file is no certificate in DER" in said(panel), "what is wrong with both is told once"
    assert panel.confirm.layout.display == "none", "there is nothing to be confirmed"
    put(panel.by, value=REVIEWER)
    put(panel.seen, value=True)
    assert "no certificate in DER" in press(panel, "Confirm and pin")


def test_a_hostile_name_stays_outside(waiting: tuple[Case, Path, dict[str, bytes]], tmp_path: Path) -> None:
    case, folder, made = waiting
    before = sorted(tmp_path.rglob("*"))
    panel: Any = pin(case)
    data = next(iter(made.values()))
    hand_over(panel.upload, ("../../evil.cer", data), ("<img src=x>.cer", data), ("revoke.cmd", data))
    message = press(panel, "Bring them")
    assert "&lt;img src=x&gt;" in message
    assert sorted(p for p in tmp_path.rglob("*") if "journal" not in p.name) == [
        p for p in before if "journal" not in p.name
    ]
    assert not (folder / "dummies").exists()


def test_what_a_rehearsal_signed_is_told_and_can_be_taken_out(
    waiting: tuple[Case, Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    case, folder, made = waiting
    case.rehearse()
    (left,) = case.path.glob("runs/*-rehearsal/dummies")
    simulated = [(file.name, file.read_bytes()) for file in left.iterdir()]
    panel = pin(case)
    hand_over(panel.upload, *simulated)
    assert "the simulated CA of the rehearsal of" in press(panel, "Bring them")
    assert not (folder / "dummies").exists(), "none of them is in the bundle"
    # Of another case's rehearsal nothing is known here but that the CA did not sign it.
    monkeypatch.setattr("carecover.bundles.simulated_files", lambda _: {})
    panel = pin(case)
    hand_over(panel.upload, *simulated)
    press(panel, "Bring them")
    assert "2 dummies: Its signature is not by the key of CA certificate number 0." in said(panel)
    assert "signs them with a stand-in" in said(panel)
    assert panel.confirm.layout.display == "none"
    with pytest.raises(RefusedError, match=r"2 dummies \(\w+, \w+\): Its signature is not by the key") as found:
        case.pin(folder, by=REVIEWER)
    assert str(found.value).count("Its signature") == 1
    assert "left 0 dummies" in press(panel, "Take out")
    assert panel.out.layout.display == "none"
    hand_over(panel.upload, *made.items())
    press(panel, "Bring them")
    put(panel.by, value=REVIEWER)
    put(panel.seen, value=True)
    assert "2 dummies are as they should be" in press(panel, "Confirm and pin")
