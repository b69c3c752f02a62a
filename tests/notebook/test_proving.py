"""What is proved is told row by row, and until when clients may believe what was before."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from carecover import ocsp_client
from carecover.case import Case
from carecover.notebook import batch, verify
from carecover.simulator import Incident, SimulatedCA, SimulatedHost
from tests.notebook.conftest import press, put, said

ASK = "Ask the responder"
URL = "http://127.0.0.1:1/ocsp"


def test_what_came_back_is_judged_row_by_row_and_the_clock_is_read(
    signed: Case, incident: tuple[Incident, Path]
) -> None:
    panel = verify(signed)
    assert "Until when clients may believe" in said(panel)
    assert re.search(r"as of \d{4}-\d\d-\d\d \d\d:\d\d UTC", panel.clock.value), "the moment at which it was read"
    assert panel.fetched.options, "the places that certificates name are proposed"
    press(batch(signed), "Export")
    folder = batch(signed).folder.value
    simulated = signed.run(folder)
    panel.refresh()
    put(panel.paths, value=str(simulated.directory))
    assert "It says nothing of your CA" in press(panel, "Verify")
    run = signed.run(folder, on=SimulatedHost(SimulatedCA.from_state(incident[0].restored)))
    panel.refresh()
    put(panel.paths, value=str(run.directory))
    message = press(panel, "Verify")
    proved = int((signed.table("outcomes")["verdict"] == "proved").sum())
    assert f"{proved:,} of" in message
    shown = panel.outcomes._rows._html.value
    assert len(re.findall(r'<tr role="row" class="edge (?:good|warning|bad)">', shown)) == len(signed.table("outcomes"))


def test_what_proves_nothing_is_said(signed: Case) -> None:
    panel = verify(signed)
    (signed.path.parent / "holiday.txt").write_text("hello", encoding="utf-8")
    put(panel.paths, value=str(signed.path.parent / "holiday.txt"))
    press(panel, "Verify")
    assert "nothing new is proved" in panel.notes.value


def test_a_place_that_is_none_is_refused_where_it_was_typed(signed: Case) -> None:
    panel = verify(signed)
    (signed.path.parent / "new.crl").write_bytes(b"x")
    put(panel.paths, value=str(signed.path.parent / "new.crl"))
    put(panel.fetched, value="<script>")
    message = press(panel, "Verify")
    assert "cc-note bad" in message
    assert "<script>" not in message
    assert panel.fetched.value == "<script>", "to be corrected"


def test_nothing_is_asked_of_a_responder_without_an_act_that_says_so(
    signed: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(url: str, questions: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        asked.append(url)
        yield from ((serial, b"no answer") for serial, _ in questions)

    monkeypatch.setattr(ocsp_client, "ask", ask)
    planned = {item.serial for item in signed.plan().items}
    panel = verify(signed)
    assert f"each of the {len(planned):,} serial numbers" in said(panel)
    put(panel.responder, value=URL)
    assert panel.ask.disabled
    assert "Tick the box first" in press(panel, ASK)
    put(panel.leave, value=True)
    put(panel.responder, value="  ")
    assert not panel.ask.disabled
    assert "Name the address" in press(panel, ASK)
    assert asked == []
    put(panel.responder, value=URL)
    message = press(panel, ASK)
    assert f"asked about {len(planned):,} serial numbers" in message
    assert asked == [URL]
    assert not panel.leave.value, "the next time it is asked anew"
    assert panel.ask.disabled
    assert signed.check() == []


@pytest.mark.parametrize(
    ("url", "told"), [(URL, "cannot be asked|refused"), ("file:///etc/passwd", "http://HOST/PATH")]
)
def test_a_responder_that_cannot_be_asked_is_told_in_a_sentence(signed: Case, url: str, told: str) -> None:
    panel = verify(signed)
    put(panel.responder, value=url)
    put(panel.leave, value=True)
    message = press(panel, ASK)
    assert "cc-note bad" in message
    assert re.search(told, message)
    assert panel.responder.value == url, "to be corrected"


def test_what_to_ask_can_be_carried_to_another_machine(signed: Case) -> None:
    panel = verify(signed)
    put(panel.responder, value="http://ocsp.example/$(touch owned)'\n#")
    name, content = panel._by_hand()
    lines = content.decode().splitlines()
    assert name == "ask-ocsp.sh"
    (given,) = (line for line in lines if line.startswith("URL="))
    assert shlex.split(given)[0].startswith("URL=http://ocsp.example/$(touch owned)'")
    asked = [line for line in lines if line.startswith("openssl ocsp ")]
    assert [shlex.split(line)[-1] for line in asked] == [f"{item.serial}.ors" for item in signed.plan().items]
    assert len(lines) == len(asked) + 3


def test_what_is_said_of_every_decision_is_said_once(signed: Case, tmp_path: Path) -> None:
    (tmp_path / "view.txt").write_bytes(b"nothing")
    signed.verify([tmp_path / "view.txt"])
    shown = said(verify(signed))
    (why,) = signed.table("outcomes")["why"].unique()
    assert shown.count(why.split("key", 1)[1]) == 1
    assert shown.count("as said above") == len(signed.table("outcomes"))
