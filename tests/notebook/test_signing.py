"""The plan is read before it is signed; each signs the digest that stands before them, with a key or by name only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest

from carecover.case import Case
from carecover.errors import RefusedError
from carecover.journal import Journal
from carecover.keys import MAX_PASSWORD, make_key
from carecover.model import ACTIONABLE_KINDS
from carecover.notebook import open_case, pin, plan, rehearse, sign, verify
from carecover.remediation import estimate, explain, for_ever
from tests.notebook.conftest import ANALYST, REVIEWER, every, press, put, said

PASSWORD = "correct horse battery staple"


def type_in(panel: Any, text: object) -> None:
    """As the browser sends what is typed into the box of the password."""
    panel.password._handle_custom_msg({"kind": "typed", "text": text}, [])


def sign_as(panel: Any, person: str, role: str, key: Path | None = None, password: str = "") -> str:
    put(panel.by, value=person)
    put(panel.role, index=list(panel.role.options).index(role))
    put(panel.key, value="" if key is None else str(key))
    if password:
        type_in(panel, password)
    put(panel.read, value=True)
    return press(panel, "Sign this plan")


def test_who_reads_the_plan_sees_what_runs_and_what_stays(decided: Case) -> None:
    shown = said(plan(decided))
    made = decided.plan()
    for sentence in (*explain(made), *for_ever(made)):
        assert sentence.split("'")[0].split("&")[0][:60] in shown
    for call, number in estimate(made).items():
        assert call in shown
        assert f"<bdi>{number:,}</bdi>" in shown
    assert "which is assumed: nobody has measured one" in shown
    assert "What stops working" in shown
    assert all(item.serial in shown for item in made.items[:50])


def test_infrastructure_and_what_is_in_use_is_named_before_anybody_signs(case: Case) -> None:
    rows = case.findings
    hit = rows[rows["replace_first"].fillna(value=False).astype(bool) & (rows["kind"] == "orphaned")]
    assert len(hit), "the incident has certificates that are in use"
    case.decide(action="revoke", reason=4, serials=list(hit["serial"]), by=ANALYST, note="lost")
    case.waive("undecided: not today", by=ANALYST)
    panel = plan(case)
    assert set(panel.breaks._rows["serial"]) == set(hit["serial"])
    assert "replace first" in said(panel.breaks)


def test_each_signs_with_a_key_of_their_own(decided: Case, tmp_path: Path) -> None:
    fingerprint = make_key(tmp_path / "ada.key", PASSWORD)
    panel = sign(decided)
    assert panel.password.layout.display == "none", "who signs by name is asked for no password"
    put(panel.key, value=str(tmp_path / "ada.key"))
    assert panel.password.layout.display is None
    assert "password is wrong" in sign_as(panel, ANALYST, "analyst", tmp_path / "ada.key", "not this one")
    message = sign_as(panel, ANALYST, "analyst", tmp_path / "ada.key", PASSWORD)
    assert f"signed as analyst, with the key {fingerprint[:16]}" in message
    assert "signed as reviewer, by name only" in sign_as(panel, REVIEWER, "reviewer")
    assert fingerprint in said(panel)
    assert "by name only" in said(panel)
    assert [s.fingerprint for s in decided.sign_offs()] == [fingerprint, None]


def test_a_password_is_in_no_state_and_is_forgotten(decided: Case, tmp_path: Path) -> None:
    make_key(tmp_path / "ada.key", PASSWORD)
    panel = sign(decided)
    sent: list[Any] = []
    panel.password.send = lambda message, _buffers=None: sent.append(message)
    type_in(panel, PASSWORD)
    states = json.dumps([w.get_state() for w in every(panel) if isinstance(w, widgets.Widget)], default=str)
    assert "key" in states
    assert PASSWORD not in states
    assert PASSWORD not in json.dumps(panel._repr_mimebundle_(), default=str)
    # Refused for want of a tick: gone all the same, but not what was typed besides.
    put(panel.by, value=ANALYST)
    put(panel.key, value=str(tmp_path / "ada.key"))
    assert "tick the box" in press(panel, "Sign this plan")
    assert sent == [{"kind": "clear"}]
    put(panel.read, value=True)
    assert panel.by.value == ANALYST
    assert "password is wrong" in press(panel, "Sign this plan")
    assert PASSWORD not in (decided.path / "journal.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "message",
    [
        None, [], "typed", {}, {"kind": "typed"}, {"kind": "typed", "text": 5}, {"kind": "typed", "text": None},
        {"kind": "typed", "text": "x" * (MAX_PASSWORD + 1)}, {"kind": "take"},
    ],
)  # fmt: skip
def test_what_is_no_password_leaves_none(decided: Case, message: object) -> None:
    panel = sign(decided)
    type_in(panel, PASSWORD)
    panel.password._handle_custom_msg(message, [])
    assert panel.password.take() == ""


def test_the_case_itself_refuses_a_digest_that_is_no_longer_the_plans(decided: Case) -> None:
    read = decided.plan().digest
    decided.waive("undecided: nobody is awake", by=ANALYST)
    with pytest.raises(RefusedError, match=f"that was {read}, now it is {decided.plan().digest}"):
        decided.sign_off(by=ANALYST, role="analyst", digest=read)
    assert decided.sign_offs() == ()


def test_a_plan_that_changed_under_the_pen_is_shown_anew(decided: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where nobody noticed in the panel: the case compares the digest while it holds the lock."""
    panel = sign(decided)
    old = decided.plan().digest
    Case.open(decided.path).waive("undecided: from a shell", by=REVIEWER)
    monkeypatch.setattr(type(panel.desk), "since", lambda *_: "")
    message = sign_as(panel, ANALYST, "analyst")
    new = decided.plan().digest
    assert old in message
    assert new in message
    assert new in panel.signed.value
    assert "signed as analyst" in sign_as(panel, ANALYST, "analyst")


def test_what_voided_the_signatures_is_told(signed: Case) -> None:
    one = signed.plan().items[0]
    signed.decide(action="leave", serials=[one.serial], by="Eve <b>", note="second thoughts")
    shown = said(sign(signed))
    assert "Void since" in shown
    assert "Eve &lt;b&gt; decided about 1 of the findings" in shown
    assert f"after {ANALYST} and {REVIEWER} signed" in shown
    assert f"{one.serial}: {one.action}" in shown
    assert "leave" in shown
    assert "has to be read and signed again" in shown


def test_a_change_that_was_taken_back_does_not_bring_the_signatures_back(signed: Case) -> None:
    one = signed.plan().items[0]
    signed.waive("undecided: a mistake", by=ANALYST)
    assert "Waived since: undecided: a mistake" in said(sign(signed))
    (signed.path / "plans").rename(signed.path / "gone")
    assert "cannot be read any more" in said(sign(signed))
    assert one.serial in said(plan(signed)), "the plan itself is there all the same"


def test_the_journal_says_that_it_came_from_a_notebook(decided: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carecover.notebook.exploring.display", lambda *_: None)
    monkeypatch.delenv("CARECOVER_CASE", raising=False)
    case = open_case(decided.path)
    assert "signed as analyst" in sign_as(sign(case), ANALYST, "analyst")
    acts = [json.loads(line) for line in (case.path / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [act["how"]["command"] for act in acts if act["act"] == "sign"] == ["notebook"]


def shown_boxes(panel: Any) -> list[str]:
    """What is to be ticked besides that the plan was read."""
    return [] if panel.different.layout.display == "none" else [panel.different.description]


def test_a_name_that_is_nearly_the_others_is_asked_about(decided: Case) -> None:
    panel = sign(decided)
    assert "signed as analyst" in sign_as(panel, ANALYST, "analyst")
    assert panel.by.value == "", "the next to sign is somebody else"
    assert shown_boxes(panel) == []
    assert "mend the name, or tick the box" in sign_as(panel, "Ada Anlayst", "reviewer")
    assert shown_boxes(panel) == [f"Ada Anlayst and {ANALYST} are two different people"]
    assert len(decided.sign_offs()) == 1
    put(panel.by, value=REVIEWER)
    assert shown_boxes(panel) == [], "of another name nothing is asked"
    put(panel.by, value="Ada Anlayst")
    put(panel.different, value=True)
    put(panel.read, value=True)
    assert "signed as reviewer" in press(panel, "Sign this plan")
    assert list(Journal(decided.path / "journal.jsonl").entries())[-1].details["different_from"] == ANALYST
    assert decided.check() == []


def test_who_signed_can_withdraw_and_then_no_signature_stands(signed: Case) -> None:
    panel = sign(signed)
    put(panel.by, value="Eve")
    put(panel.why, value="I do not like it")
    assert "Eve has not signed" in press(panel, "Withdraw")
    put(panel.by, value=REVIEWER)
    put(panel.why, value="")
    assert "Say why" in press(panel, "Withdraw")
    put(panel.why, value="the <b>domain controller</b> is still in use")
    assert "has withdrawn" in press(panel, "Withdraw")
    assert signed.sign_offs() == ()
    shown = said(panel)
    assert f"{REVIEWER} withdrew from plan" in shown
    assert "&lt;b&gt;domain controller" in shown
    assert f"withdrawn by {REVIEWER}" in shown, "in the strip of steps"
    assert "read and signed again" in shown
    assert "changed back" not in shown
    with pytest.raises(RefusedError):
        signed.batch(signed.path.parent / "bundle")
    assert signed.check() == []


def test_the_step_that_is_next_is_told_where_it_is_done_and_nowhere_else(signed: Case) -> None:
    shown = {door: said(door(signed)) for door in (plan, sign, rehearse, pin, verify)}
    assert [door for door, words in shown.items() if 'cc-next">' in words] == [rehearse]
    assert all("cc-steps" in words for words in shown.values())


def test_a_report_written_elsewhere_holds_up_no_act(decided: Case, tmp_path: Path) -> None:
    panel = sign(decided)
    decided.report(tmp_path / "report.html")
    panel.look_around()
    assert "has changed since" not in said(panel)
    assert "signed as analyst" in sign_as(panel, ANALYST, "analyst")
    decided.waive("undecided: nobody answers tonight", by=REVIEWER)
    panel.look_around()
    assert "has changed since" in said(panel)


def test_the_plan_says_what_is_checked_and_offers_a_waiver_only_where_something_is_open(case: Case) -> None:
    rows = case.findings[case.findings["kind"].isin(ACTIONABLE_KINDS)]
    case.decide(action="suggested", serials=list(rows["serial"]), by=ANALYST)
    panel = plan(case)
    assert panel.waivers.layout.display is None, "some have no suggestion"
    rest = rows[rows["suggested_action"].isna()]
    case.decide(action="leave", serials=list(rest["serial"]), by=ANALYST, note="on the watch list")
    panel.desk.changed()
    assert (panel.waivers.layout.display == "none") is not any(item.hash_waived for item in case.plan().items)
    shown = said(panel)
    assert "No check which server" not in shown, "the facts name it"
    again = [item for item in case.plan().items if item.action == "revoke" and item.original_revoked_at]
    assert again, "the incident has revocations that the restore undid"
    assert shown.count("; anew: the day of apply") == len(again)
    (bare,) = [told for told in explain(replace(case.plan(), config=None)) if told not in explain(case.plan())]
    assert "No check which server this is: no configuration string was given (fact 'CA configuration')" in bare


def test_once_both_have_signed_the_box_for_a_name_is_where_a_signature_is_withdrawn(decided: Case) -> None:
    panel = sign(decided)
    assert list(panel.who.children) == [panel.by]
    sign_as(panel, ANALYST, "analyst")
    assert list(panel.who.children) == [panel.by]
    sign_as(panel, REVIEWER, "reviewer")
    assert not panel.who.children
    assert panel.by in panel.back.children
    put(panel.by, value=REVIEWER)
    put(panel.why, value="a date is wrong")
    assert "has withdrawn" in press(panel, "Withdraw your signature")
    assert list(panel.who.children) == [panel.by]
    assert panel.by not in panel.back.children
