"""A case is carried out by SSH on a server that is Debian's sshd with Wine's cmd.exe behind it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carecover.case import Case
from carecover.errors import RefusedError, RunError, UsageError
from carecover.journal import Journal
from carecover.model import ACTIONABLE_KINDS, Plan
from carecover.simulator import SimulatedCA, SimulatedHost, make_incident
from carecover.simulator.ca import HangError
from carecover.simulator.windows import CallResult, Folder, Program
from tests.backends.sshd import Server, missing
from tests.planned_bundle import DONE, Bundle, make_plan, planned
from tests.small_case import ANALYST, REVIEWER, SCENARIO, Story, sign
from tests.wine.remote import windows
from tests.wine.wine import Wine

OPERATOR = "Olga Operator"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    lacking = missing()
    if lacking:
        pytest.skip(lacking)
    with Server.begin(tmp_path_factory.mktemp("server")) as made:
        yield made


def decided(story: Story, place: Path) -> Case:
    """Two dummies, all else is left: Wine takes its time for each."""
    case = story.copy("added", place)
    rows = case.findings[case.findings["kind"].isin(ACTIONABLE_KINDS)]
    case.decide(action="leave", serials=list(rows["serial"]), by=ANALYST, note="not today")
    orphaned = rows[(rows["kind"] == "orphaned") & ~rows["infrastructure"]]
    without = orphaned["original_sha256"].isna()
    case.decide(action="revoke", reason=4, serials=list(orphaned[without]["serial"][:2]), by=ANALYST)
    sign(case)
    return case


def test_the_whole_way_by_ssh_and_the_same_by_hand(server: Server, wine: Wine, tmp_path: Path) -> None:
    case, ca = (
        decided(Story.begin(tmp_path / "story"), tmp_path),
        SimulatedCA.from_state(make_incident(SCENARIO).restored),
    )
    bundle = tmp_path / "bundle"
    case.batch(bundle)
    plan, host = case.plan(), server.host()
    said: list[str] = []
    confirmed = {"on": host, "by": OPERATOR, "ca_name": plan.ca_name, "on_output": said.append}

    def run(*call: str, **given: Any) -> Any:
        return case.run(bundle, call=call, **{**confirmed, **given})

    with windows(server, wine, ca, f"carecover-{plan.digest[:12]}") as desk:
        for given, error, what in (
            ({"by": None}, UsageError, "--by PERSON"),
            ({"ca_name": plan.ca_name.lower()}, RefusedError, "type the name of the CA"),
            ({}, RefusedError, "prepare.cmd FIRST at the server itself"),
            ({"no_dialog": OPERATOR}, RefusedError, "prepare.cmd FIRST at the server itself"),
        ):
            with pytest.raises(error, match=what):
                run(**given)
        assert server.asked == []
        assert desk.starts == []
        # Attended, at the server; its folder dummies is brought back.
        SimulatedHost(ca).execute(bundle, "prepare.cmd", ["FIRST"], said.append)
        with pytest.raises(RefusedError, match="--no-dialog PERSON"):
            run()
        prepared = run(no_dialog=OPERATOR)
        assert prepared.finished, said
        assert [call.verb for call in ca.calls].count("sign") == 2, "the one that was made by hand is not made again"
        assert len(case.pin(bundle, by=REVIEWER)) == 2
        shutil.copytree(case.path, tmp_path / "by hand" / "case")
        shutil.copytree(bundle, tmp_path / "by hand" / "bundle")
        steps = [["revoke.cmd", "apply", "NOBACKUP"], ["revoke.cmd", "publish"]]
        for step in steps:
            done = run(*step)
            assert done.finished, said
    assert done.proved
    assert "apply: 2 done, 0 were so already" in "".join(said)
    assert [call for call in server.asked if call != "sftp"][-1].endswith("\\revoke.cmd publish")

    by_hand = Case.open(tmp_path / "by hand" / "case", clock=case._clock)
    # Signing has changed nothing in the database: another CA of that state and key is as good.
    other_ca = SimulatedCA.from_state(make_incident(SCENARIO).restored)
    for script, *words in steps:
        assert SimulatedHost(other_ca).execute(tmp_path / "by hand" / "bundle", script, words, said.append) == DONE
    carried = by_hand.verify([tmp_path / "by hand" / "bundle" / name for name in ("logs", "out")])
    fetched = case.verify([bundle / "logs", bundle / "out"])
    assert set(fetched["verdict"]) == {"proved"}
    # Two CAs, two clocks.
    clock = "new_revoked_at"
    pd.testing.assert_frame_equal(fetched.drop(columns=clock), carried.drop(columns=clock))

    acts = [e for e in Journal(case.path / "journal.jsonl").entries() if e.act.startswith("run")]
    assert [e.act for e in acts] == ["run-begun", "run"] * 3
    begun, ended = acts[0].details, acts[1].details
    assert (begun["by"], begun["no_dialog"], begun["calls"]) == (OPERATOR, OPERATOR, ["prepare.cmd GO"])
    assert begun["host"]["machine"] == ended["host"]["machine"] == str(server.target)
    assert ended["begun"] == acts[0].number
    assert ended["host"]["host_key"].startswith("ssh-ed25519 SHA256:")
    assert case.check() == []


# ------------------------------------------------------------------------------ cut off in the middle


def small_plan() -> Plan:
    """An original and a dummy."""
    plan = make_plan()
    chosen = [next(i for i in plan.items if i.action == "revoke" and i.method == m) for m in ("original", "dummy")]
    return replace(plan, items=tuple(replace(item, number=n) for n, item in enumerate(chosen, start=1)))


@pytest.mark.parametrize("what", ["server", "connection", pytest.param("hang", marks=pytest.mark.thorough)])
def test_a_run_that_was_cut_off_goes_on_where_the_ca_stands(
    server: Server, wine: Wine, tmp_path: Path, what: str
) -> None:
    (tmp_path / "bundle").mkdir()
    bundle = Bundle(tmp_path / "bundle", plan=small_plan())
    bundle.ready()
    folder = f"carecover-{bundle.plan.digest[:12]}"
    (server.home / folder).mkdir()
    shutil.copytree(tmp_path / "bundle" / "backup", server.home / folder / "backup")
    revoked: list[str] = []
    cancel = threading.Event()

    def watch(name: str, program: Program) -> Program:
        def watched(arguments: Sequence[str], place: Folder, /) -> CallResult:
            if "-revoke" in arguments:
                revoked.append(arguments[-2])
                if len(revoked) == 1 and what == "hang":
                    # Somebody who looks at it has had enough.
                    cancel.set()
                    raise HangError("a dialog is open.")
                if len(revoked) == 1 and what == "server":
                    desk.end()
                if len(revoked) == 1:
                    server.cut(what_runs=False)
            return program(arguments, place)

        return watched if name == "certutil.exe" else program

    said: list[str] = []
    with windows(server, wine, bundle.ca, folder, watch) as desk:
        with pytest.raises(RunError, match="Whether it goes on there is not known"):
            server.host(cancel=cancel).execute(bundle.directory, "revoke.cmd", ["apply"], said.append)
        assert revoked
        if what == "connection":
            _wait(lambda: b"@@CR end" in (server.home / folder / "logs" / "carecover-apply.log").read_bytes())
        else:
            desk.end()
            assert len(revoked) == 1
        said.clear()
        host = server.host()
        assert host.execute(bundle.directory, "revoke.cmd", ["apply"], said.append) == DONE, said
    assert bundle.states() == planned(bundle.plan)
    done = [call.arguments for call in bundle.ca.calls if call.verb in ("revoke", "importcert") and call.exit_code == 0]
    assert len(done) == len(set(done)), "nothing was done twice"
    if what == "connection":
        assert "apply: 0 done, 2 were so already" in "".join(said)


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)
