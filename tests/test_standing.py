"""Where a case stands, told from its tables and its journal alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from carecover.journal import Entry
from carecover.model import TABLES, Plan, PlanItem, SignOff
from carecover.standing import Step, following, steps

NOW = datetime(2026, 11, 25, 2, tzinfo=UTC)


def a_plan(method: Any = "row") -> Plan:
    item = PlanItem(
        number=1, finding_id="orphaned-01", serial="01", kind="orphaned", action="revoke", reason=1, method=method,
        certificate_sha256=None, expected_thumbprint=None, not_after=None, ca_cert_index=0, ca_key_index=0,
        hash_waived=False, original_reason=None, original_revoked_at=None, subject=None, requester=None, template=None,
        note=None, decided_by="Ada",
    )  # fmt: skip
    return Plan("c", "CA", None, "0" * 64, {}, None, {}, (item,))


def act(name: str, **details: Any) -> Entry:
    return Entry(1, "2026-11-25T02:00:00Z", name, {"digest": a_plan().digest, **details}, "", "")


def signed(*roles: Any) -> list[SignOff]:
    return [SignOff(a_plan().digest, f"The {role}", role, NOW) for role in roles]


def outcomes(*verdicts: str, transcript: str | None = None) -> pd.DataFrame:
    return TABLES["outcomes"].frame([{"verdict": v, "transcript": transcript} for v in verdicts])


def told(
    *entries: Entry,
    actions: tuple[str | None, ...] = ("revoke",),
    plan: Plan | None = a_plan(),  # noqa: B008 - frozen
    signs: Any = (),
    proof: pd.DataFrame | None = None,
) -> Mapping[str, Step]:
    made = steps(
        decided=pd.DataFrame({"action": pd.array(actions, dtype="string")}), plan=plan, sign_offs=signs,
        entries=entries, outcomes=outcomes() if proof is None else proof,
    )  # fmt: skip
    return {step.name: step for step in made}


def test_the_first_thing_is_to_decide() -> None:
    known = told(actions=("revoke", None, "undecided"), plan=None)
    assert (known["decide"].done, known["decide"].told) == (False, "1 of 3")
    assert following(list(known.values())) == known["decide"]
    assert known["decide"].ahead == "decide about 2 more of 3 findings"


def test_a_plan_that_cannot_be_made_is_the_next_thing() -> None:
    ahead = following(list(told(plan=None).values()))
    assert ahead is not None
    assert (ahead.name, ahead.told) == ("sign", "no plan yet")


def test_signatures_are_named_and_a_change_voids_them_visibly() -> None:
    assert told(signs=signed("analyst"))["sign"].told == "The analyst; reviewer missing"
    assert told(signs=signed("analyst", "reviewer"))["sign"].done
    voided = told(act("sign"), act("void"))["sign"]
    assert (voided.done, voided.told) == (False, "void: the plan was changed")


def test_what_was_done_for_another_plan_does_not_count() -> None:
    old = told(act("rehearsal", digest="f" * 64), act("export", digest="f" * 64))
    assert (old["rehearse"].done, old["rehearse"].told) == (False, "not this plan")
    assert (old["export"].done, old["export"].told) == (False, "an older plan")
    now = told(act("rehearsal", finished=True), act("export"))
    assert (now["rehearse"].done, now["export"].done) == (True, True)
    assert not told(act("rehearsal", finished=False))["rehearse"].done


def test_dummies_are_pinned_only_where_there_are_some() -> None:
    assert not told()["pin"].needed
    plan = a_plan("dummy")
    mine = {"digest": plan.digest}
    assert told(plan=plan)["pin"].told == "1 to come"
    early = told(act("longer", by="Rob", **mine), plan=plan)["pin"]
    assert (early.done, early.told) == (False, "some end too early")
    pinned = told(act("longer", by="Rob", **mine), act("pin", by="Rob", pins={"01": "x"}, **mine), plan=plan)["pin"]
    assert (pinned.done, pinned.told) == (True, "1 by Rob")


@pytest.mark.parametrize(
    ("backend", "phase", "done", "words"),
    [
        ("simulator", "revoke.cmd publish: 0", False, "on the simulator only"),
        ("ssh", "revoke.cmd preflight: 0", False, "begun"),
        ("ssh", "revoke.cmd publish: 5", False, "begun"),
        ("ssh", "revoke.cmd publish: 0", True, "by ssh"),
        ("local", "revoke.cmd publish: 1", True, "by local"),
    ],
)
def test_only_a_new_crl_on_a_real_ca_is_a_run(backend: str, phase: str, done: bool, words: str) -> None:
    step = told(act("run", backend=backend, phases=[phase]))["run"]
    assert (step.done, step.told) == (done, words)


def test_a_run_by_hand_is_known_by_its_log() -> None:
    assert not told(proof=outcomes("pending"))["run"].done
    assert told(proof=outcomes("pending", transcript="revoked"))["run"].told == "its log came back"


def test_a_log_in_which_nothing_was_done_is_no_run() -> None:
    """Only prepare ran, or the log is of an older plan; a certificate that is left as it is needs no log."""
    for words in ("not in the log", "nothing to do"):
        assert not told(proof=outcomes("pending", transcript=words))["run"].done


def test_nothing_was_carried_out_while_dummies_are_still_to_be_pinned() -> None:
    plan = a_plan("dummy")
    logged, mine = outcomes("pending", transcript="done"), {"digest": plan.digest}
    early = told(plan=plan, proof=logged)["run"]
    assert (early.done, early.told) == (False, "before the dummies were pinned")
    ran = act("run", backend="ssh", phases=["revoke.cmd publish: 0"], **mine)
    assert not told(ran, plan=plan)["run"].done
    assert told(act("pin", by="Rob", pins={"01": "x"}, **mine), plan=plan, proof=logged)["run"].done


def test_what_is_proved_was_carried_out_however_that_was_done() -> None:
    known = told(plan=a_plan("dummy"), proof=outcomes("proved"))["run"]
    assert (known.done, known.told) == (True, "as the new CRL shows")


def test_done_means_proved() -> None:
    half = told(proof=outcomes("proved", "pending"))["prove"]
    assert (half.done, half.told) == (False, "1 of 2")
    assert told(proof=outcomes("proved", "proved"))["prove"].done
    assert not told()["prove"].done, "nothing handed in is nothing proved"


def test_when_all_is_done_nothing_is_next() -> None:
    known = told(
        act("rehearsal", finished=True), act("export"), act("run", backend="ssh", phases=["revoke.cmd publish: 0"]),
        signs=signed("analyst", "reviewer"), proof=outcomes("proved"),
    )  # fmt: skip
    assert following(list(known.values())) is None
