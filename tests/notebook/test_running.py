"""The panels of rehearsal and run: only views of a process that outlives them, and that any of them can stop."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from carecover import underway
from carecover.case import Case
from carecover.journal import Journal
from carecover.notebook import batch, rehearse, run
from carecover.notebook.desk import PastRun
from carecover.notebook.following import MAX_LINES, Followed
from carecover.notebook.panel import Panel
from carecover.notebook.running import _told
from tests.backends.sshd import Server, missing
from tests.notebook.conftest import press, put, said


def ended(panel: Panel) -> str:
    """What the panel says once nothing is under way any more."""
    while panel.busy:
        panel.look()
        time.sleep(0.02)
    message: str = panel.message.value
    return message


@contextmanager
def held(case: Case, name: str) -> Iterator[Path]:
    """Another process that runs this case and has not ended, as far as anybody can see."""
    place = case.path / "runs" / name
    place.mkdir()
    (place / "output.txt").write_bytes(b"one\ntwo\n")
    with underway.turn(case.path):
        yield place


def test_a_run_on_a_real_ca_asks_who_and_where(signed: Case, tmp_path: Path) -> None:
    if lacking := missing():
        pytest.skip(lacking)
    press(batch(signed), "Export")
    panel = run(signed)
    assert [panel.by_ssh.layout.display, panel.real.layout.display] == ["none", "none"]
    assert panel.confirm.layout.display == "none", "a simulated CA needs no confirming"
    put(panel.where, index=1)
    assert "Type the name of the CA" in press(panel, "Run")
    put(panel.confirm, value=signed.plan().ca_name)
    assert [panel.by_ssh.layout.display, panel.real.layout.display] == [None, None]
    assert panel.start.description == "Run on the CA"
    assert "Name the CA&#x27;s server in the box CA by SSH" in press(panel, "Run")
    (tmp_path / "server").mkdir()
    with Server.begin(tmp_path / "server") as server:
        put(panel.target, value=str(server.target))
        assert "ssh-keyscan" in press(panel, "Run")
        put(panel.known_hosts, value=str(server.known_hosts))
        put(panel.identity, value=str(server.identity))
        assert "who runs this" in press(panel, "Run")
        put(panel.by, value="Olga Operator")
        put(panel.call, value="revoke.cmd preflight")
        server.obey("printf '<b>\\033[31mall is well\\r\\n'; exit 0")
        assert "Every script ended as it should" in press(panel, "Run")
        assert "<b>·[31mall is well" in panel.output.lines
        assert "&lt;b&gt;" in panel.output.still()
    put(panel.where, index=2)
    assert panel.by_ssh.layout.display == "none"
    assert panel.by.value == panel.confirm.value == "", "the next call is confirmed anew"
    put(panel.confirm, value=signed.plan().ca_name)
    if sys.platform != "win32":
        assert "runs no Windows" in press(panel, "Run")


def test_a_rehearsal_has_a_process_of_its_own(signed: Case, own_process: None) -> None:
    assert own_process is None
    panel = rehearse(signed)
    assert "It has begun" in press(panel, "Rehearse")
    assert panel.start.disabled
    assert "one at a time" in press(panel, "Rehearse")
    assert "Every script ended as it should" in ended(panel)
    assert not panel.start.disabled
    assert panel.output.first + len(panel.output.lines) - 1 == len(
        next((signed.path / "runs").glob("*-rehearsal/output.txt")).read_text(encoding="utf-8").splitlines()
    )
    assert [e.act for e in Journal(signed.path / "journal.jsonl").entries()][-1] == "rehearsal"


def test_another_kernel_follows_what_goes_on_and_one_alone_may_run(signed: Case) -> None:
    with held(signed, "20260302T100000Z-1-rehearsal") as place:
        panel = rehearse(Case.open(signed.path))
        assert panel.output.lines == ["one", "two"]
        assert "is going on" in said(panel)
        assert panel.start.disabled
        with (place / "output.txt").open("ab") as file:
            file.write(b"three\nfo")
        panel.look()
        assert panel.output.lines == ["one", "two", "three"], "a line is shown once it is whole"
        other = run(signed)
        assert not other.busy, "that is the other panel's"
        put(other.confirm, value=signed.plan().ca_name)
        assert "one at a time" in press(other, "Run")
        assert "is going on" in signed.check()[0]
    panel.look()
    assert not panel.start.disabled
    assert "its process is gone" in panel.message.value
    assert "Every script ended as it should" in press(panel, "Rehearse")
    assert not place.exists(), "what a dead rehearsal said is swept away"


@pytest.mark.parametrize(
    ("code", "verdict", "said_so"),
    [
        (0, "proved", "Every script ended as it should; 2 of 2 decisions"),
        (1, "proved", "but publish ended with 1, as it will on the CA: 1 planned certificate had ended before"),
        (1, "contradicted", "but publish ended with 1: 1 planned certificate cannot be found in the new CRL; 1 of 2"),
    ],
)
def test_a_publication_that_saw_something_missing_is_not_told_as_if_all_went_well(
    code: int, verdict: str, said_so: str
) -> None:
    rows = [
        {"finding_id": "a", "action": "revoke", "crl": "CRL 104: not listed", "verdict": verdict},
        {"finding_id": "b", "action": "leave", "crl": "CRL 104: not listed", "verdict": "proved"},
    ]
    phases = ("revoke.cmd apply: 0", f"revoke.cmd publish: {code}", "revoke.cmd status: 0")
    last = PastRun("2026-10-07T18:00:00Z", "d", phases, Path("runs"), (), pd.DataFrame(rows))
    assert said_so in _told(last, finished=True)[0]
    if code:
        nothing = replace(last, outcomes=last.outcomes[last.outcomes["action"] == "leave"])
        assert "but publish ended with 1: the output says why" in _told(nothing, finished=True)[0]


def test_a_run_is_cancelled_by_a_click_in_any_kernel(signed: Case) -> None:
    press(batch(signed), "Export")
    here, stopped, told = threading.Event(), threading.Event(), list[str]()

    def wait(_text: str) -> None:
        here.set()
        stopped.wait(60)

    def running() -> None:
        try:
            signed.run(next(signed.path.parent.glob("*-bundle-*")), on_output=wait)
        except Exception as error:  # noqa: BLE001 - looked at below
            told.append(str(error))

    worker = threading.Thread(target=running)
    worker.start()
    assert here.wait(60)
    panel = run(Case.open(signed.path))
    assert panel.cancel.layout.display is None
    assert "asked to stop" in press(panel, "Cancel the run")
    stopped.set()
    worker.join()
    assert ["It was cancelled" in text for text in told] == [True]
    ended(panel)
    assert list((signed.path / "runs").iterdir()) == []
    assert "nothing to cancel" in press(panel, "Cancel the run")
    assert signed.check() == []


def test_a_file_that_grows_is_shown_line_by_line_and_never_whole(tmp_path: Path) -> None:
    file = tmp_path / "output.txt"
    followed = Followed(tmp_path, "output.txt")
    assert not followed.more()
    file.write_bytes(b"".join(b"%d\r\n" % n for n in range(1, 5001)) + b"\xff\x1b[2J<b>" + b"x" * 10_000)
    assert followed.more()
    assert (followed.total, len(followed.lines), followed.lines[0]) == (5000, MAX_LINES, str(5001 - MAX_LINES))
    assert not followed.more()
    followed.end()
    assert followed.total == 5001
    assert len(followed.lines[-1]) < 520
    assert "\x1b" not in followed.lines[-1]


def test_what_a_simulated_ca_proved_stands_under_no_other(signed: Case) -> None:
    press(batch(signed), "Export")
    panel = run(signed)
    assert "decisions are proved" in press(panel, "Run on the simulator")
    shown = said(panel)
    assert "On the simulated CA:" in shown
    assert "what is below says nothing of your CA" in shown
    assert panel.outcomes.layout.display is None
    put(panel.where, index=1)
    assert panel.outcomes.layout.display == "none"
