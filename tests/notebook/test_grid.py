"""The review grid, told by messages as a browser sends them: Python is authoritative, and believes none of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from carecover.case import Case
from carecover.errors import UsageError
from carecover.folder import CaseFolder
from carecover.notebook import decide, findings, grid
from carecover.notebook.deciding import DecidePanel
from carecover.notebook.desk import Desk
from carecover.notebook.reviewing import ReviewPanel, known
from tests.notebook.conftest import ANALYST


class Browser:
    """Stands for the browser: hears what Python sends, and sends what it is told to."""

    def __init__(self, panel: ReviewPanel) -> None:
        self.panel, self.heard = panel, list[tuple[dict[str, Any], dict[str, list[Any]]]]()
        panel.grid.send = self._hear

    def _hear(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.heard.append((content, json.loads(buffers[0]) if buffers else {}))

    def send(self, **message: object) -> list[str]:
        """Send a message; give the kinds of what came back."""
        self.heard.clear()
        self.panel.grid._handle_custom_msg(message, [])
        return [content["type"] for content, _ in self.heard]

    def act(self, ids: list[Any], **patch: object) -> list[str]:
        return self.send(type="act", set=self.panel.grid._set, ids=ids, patch=patch, by=ANALYST)

    def of(self, kind: str) -> tuple[dict[str, Any], dict[str, list[Any]]]:
        (one,) = [(content, columns) for content, columns in self.heard if content["type"] == kind]
        return one

    @property
    def told(self) -> str:
        return str(self.of("said")[0]["text"])


@pytest.fixture(autouse=True)
def bundle(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle stands in: what is tested here is Python's half."""
    for name in ("grid.js", "grid.css"):
        (tmp_path / name).write_text("/* nothing */", encoding="utf-8")
    monkeypatch.setattr(grid, "BUNDLE", tmp_path)


@pytest.fixture
def browser(case: Case) -> Browser:
    made = Browser(ReviewPanel(case))
    assert made.send(type="ready") == ["rows"], made.panel._state.value
    return made


def calm(browser: Browser, number: int) -> list[int]:
    """Rows that many at once may take."""
    rows = browser.panel.rows
    good = (
        (rows["kind"] == "orphaned")
        & ~rows["infrastructure"].fillna(value=False).astype(bool)
        & (rows["confidence"] != "low")
    )
    return [place for place, fits in enumerate(good) if fits][:number]


def test_the_rows_go_out_as_columns_in_one_buffer_and_nothing_is_kept_in_the_widget(browser: Browser) -> None:
    content, columns = browser.of("rows")
    assert content["count"] == len(browser.panel.rows)
    assert {len(values) for values in columns.values()} == {content["count"]}
    assert columns["serial"] == browser.panel.rows["serial"].tolist()
    assert [code for code, *_ in content["reasons"]] == list(range(7)), "only what a batch may write"
    state = browser.panel.grid.get_state()
    assert not any(columns["serial"][0] in str(value) for value in state.values())


def test_a_browser_that_asks_before_there_is_a_case_gets_the_rows_once_they_are_there(
    case: Case, tmp_path: Path
) -> None:
    early = Browser(ReviewPanel(Case(CaseFolder(tmp_path / "later"))))
    assert early.send(type="ready") == []
    shutil.copytree(case.path, tmp_path / "later")
    early.heard.clear()
    early.panel.refresh()
    assert early.of("rows")[0]["count"] == len(early.panel.rows) > 0


def test_findings_that_are_only_looked_at_take_no_act(case: Case) -> None:
    browser = Browser(findings(case))
    assert browser.send(type="ready") == ["rows"]
    content, columns = browser.of("rows")
    assert content["browse"] is True
    assert len(columns["serial"]) == len(case.findings), "those that name nothing to act on as well"
    assert browser.send(type="detail", set=1, id=0) == ["detail"]
    for message in ({"type": "act", "ids": [0], "patch": {"action": "leave"}}, {"type": "undo"}):
        assert browser.send(set=1, by=ANALYST, **message) == ["done", "said"]
        assert "only looked at" in browser.told
    assert case.table("decisions").empty


def test_many_are_decided_by_one_act_and_undone_by_one(case: Case, browser: Browser) -> None:
    acts = len(browser.panel.desk.history)
    ids = calm(browser, 4)
    assert browser.act(ids, action="revoke", reason=4, note="replaced") == ["changed", "said", "done"]
    content, columns = browser.of("changed")
    assert (columns["ids"], set(columns["decision"])) == (ids, {"revoke, 4 Superseded"})
    assert content["undo"] is True
    assert browser.of("done")[0]["ok"] is True
    assert len(browser.panel.desk.history) == acts + 1, "one entry for all of it"
    browser.act(ids[:2], action="leave", note="second thoughts")
    browser.send(type="undo", set=browser.panel.grid._set, by=ANALYST)
    assert browser.of("changed")[1]["decision"] == ["revoke, 4 Superseded"] * 2
    browser.send(type="undo", set=browser.panel.grid._set, by=ANALYST)
    assert set(browser.of("changed")[1]["action"]) == {"undecided"}
    assert browser.of("changed")[0]["undo"] is False
    browser.send(type="undo", set=browser.panel.grid._set, by=ANALYST)
    assert "no decision to take back" in browser.told
    assert set(case.table("decisions").drop_duplicates("finding_id", keep="last")["action"]) == {"undecided"}


def test_undoing_goes_on_after_a_restart_and_in_another_tab(case: Case, browser: Browser) -> None:
    first, other = calm(browser, 2)
    browser.act([first, other], action="leave", note="one")
    browser.act([first], action="revoke", reason=4, note="two")
    browser.act([first, other], action="revoke", reason=6, note="three")
    for stands in (["two", "one"], ["one", "one"], None):
        # A kernel of its own, that knows nothing but the case.
        Desk._all.clear()
        again = Browser(ReviewPanel(Case.open(case.path)))
        again.send(type="ready")
        again.send(type="undo", set=again.panel.grid._set, by=ANALYST)
        last = case.table("decisions").drop_duplicates("finding_id", keep="last").set_index("finding_id")
        mine = last.loc[browser.panel.rows["finding_id"][[first, other]]]
        assert (list(mine["note"]) if stands else set(mine["action"])) == (stands or {"undecided"})
    again.send(type="undo", set=again.panel.grid._set, by=ANALYST)
    assert "no decision to take back" in again.told
    assert case.check() == []


def test_an_undoing_that_was_stopped_half_way_is_finished_by_the_next(
    case: Case, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = calm(browser, 2)
    browser.act([first], action="leave", note="one")
    browser.act([first, other], action="revoke", reason=6, note="two")
    whole, calls = Case.decide, list[object]()

    def stopped(*given: Any, **named: Any) -> object:
        calls.append(named["serials"])
        if len(calls) > 1:
            raise OSError("No space left on device")
        return whole(*given, **named)

    monkeypatch.setattr(Case, "decide", stopped)
    browser.send(type="undo", set=browser.panel.grid._set, by=ANALYST)
    monkeypatch.setattr(Case, "decide", whole)
    assert len(calls) == 2, "what stood before differs: two acts"
    browser.panel.desk.changed()
    browser.send(type="undo", set=browser.panel.grid._set, by=ANALYST)
    last = case.table("decisions").drop_duplicates("finding_id", keep="last").set_index("serial")
    serials = browser.panel.rows["serial"]
    assert list(last.loc[[serials[first], serials[other]], "action"]) == ["leave", "undecided"]
    assert browser.panel._last_act()["note"].tolist() == ["one"]


def test_only_decisions_that_are_there_can_be_taken_back(case: Case) -> None:
    serial = case.findings["serial"][0]
    for rows in ((0, 1), (-1, 0), (1, 1)):
        with pytest.raises(UsageError, match="no such decisions"):
            case.decide(action="leave", serials=[serial], by=ANALYST, takes_back=rows)
    assert case.table("decisions").empty


def test_many_at_once_never_take_infrastructure_and_one_by_itself_may(browser: Browser) -> None:
    first, other = calm(browser, 2)
    browser.panel.rows = browser.panel.rows.assign(infrastructure=browser.panel.rows.index == first)
    browser.act([first, other], action="leave", note="watched")
    assert "Left out: 1 infrastructure. Select each of them by itself." in browser.told
    assert len(browser.of("changed")[1]["ids"]) == 1, "and the other was decided"
    browser.act([first], action="leave", note="looked at")
    assert browser.of("changed")[1]["ids"] == [first]


def test_the_grid_follows_whoever_changes_the_case(case: Case, browser: Browser) -> None:
    browser.heard.clear()
    place = calm(browser, 1)[0]
    case.decide(action="leave", serials=[browser.panel.rows["serial"][place]], by="Somebody Else", note="from a shell")
    browser.panel.refresh()
    assert browser.of("changed")[1] == {
        "ids": [place], "action": ["leave"], "decision": ["leave"], "note": ["from a shell"], "by": ["Somebody Else"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({}, "not understood"),
        ({"type": []}, "not understood"),
        ({"type": "act"}, "have changed"),
        ({"type": "act", "set": True}, "have changed"),
        ({"type": "act", "set": 99}, "have changed"),
        ({"type": "act", "set": 1, "by": "x" * 101}, "too long"),
        ({"type": "act", "set": 1, "by": {"a": 1}}, "too long"),
        ({"type": "act", "set": 1, "ids": []}, "Nothing is selected"),
        ({"type": "act", "set": 1, "ids": "0"}, "not there"),
        ({"type": "act", "set": 1, "ids": [-1]}, "not there"),
        ({"type": "act", "set": 1, "ids": [True]}, "not there"),
        ({"type": "act", "set": 1, "ids": [0.0]}, "not there"),
        ({"type": "act", "set": 1, "ids": [10**30]}, "not there"),
        ({"type": "act", "set": 1, "ids": [0] * 100_000}, "not there"),
        ({"type": "act", "set": 1, "ids": [0]}, "Only action, reason and note"),
        ({"type": "act", "set": 1, "ids": [0], "patch": {"serial": "00"}}, "Only action, reason and note"),
        ({"type": "act", "set": 1, "ids": [0], "patch": {"action": "delete"}}, "Choose an action"),
        ({"type": "act", "set": 1, "ids": [0], "patch": {"action": ["revoke"]}}, "Choose an action"),
        ({"type": "act", "set": 1, "ids": [0], "patch": {"action": "revoke"}}, "Choose the reason"),
        ({"type": "act", "set": 1, "ids": [0], "patch": {"action": "revoke", "reason": 8}}, "0 to 6"),
        ({"type": "act", "set": 1, "ids": [0], "patch": {"action": "revoke", "reason": True}}, "0 to 6"),
        ({"type": "act", "set": 1, "ids": [0], "patch": {"action": "leave", "reason": 1}}, "Only a revocation"),
        ({"type": "act", "set": 1, "ids": [0], "patch": {"action": "leave", "note": "n" * 1001}}, "too long"),
        ({"type": "act", "set": 1, "ids": [0], "patch": {"action": "leave"}, "by": ""}, "Write your name"),
        ({"type": "undo", "set": 1, "by": ANALYST}, "no decision to take back"),
        ({"type": "detail", "set": 1, "id": 10**9}, "not there"),
        ({"type": "detail", "set": 1, "id": 0, "piece": -1}, "not there"),
        ({"type": "detail", "set": 1, "id": 0, "piece": "x"}, "not there"),
    ],
)
def test_what_a_browser_must_not_say_is_refused_in_a_sentence(
    case: Case, browser: Browser, message: dict[str, Any], said: str
) -> None:
    before = (case.path / "journal.jsonl").read_bytes()
    browser.send(**message)
    assert said in browser.told
    assert "unexpected" not in browser.told
    assert (case.path / "journal.jsonl").read_bytes() == before


def test_what_is_no_message_at_all_is_refused(browser: Browser) -> None:
    browser.heard.clear()
    browser.panel.grid._handle_custom_msg([1], [])
    assert "not understood" in browser.told


def test_the_side_panel_says_what_a_revocation_hits_and_shows_the_evidence(browser: Browser) -> None:
    assert browser.send(type="detail", set=1, id=0) == ["detail"]
    content, _ = browser.of("detail")
    finding = browser.panel.rows.iloc[0]
    assert finding["serial"] in content["html"]
    assert "what a revocation hits" in content["html"]
    assert content["html"].index(">why<") < content["html"].index(">what a revocation hits<")
    assert finding["serial"] not in content["fields"], "once is enough"
    assert ">subject<" in content["fields"]
    assert len(content["places"]) == len(set(finding["evidence"]))
    assert content["evidence"]


def test_without_the_bundle_the_plain_controls_do_the_job(
    case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    assert isinstance(decide(case), ReviewPanel)
    monkeypatch.setattr(grid, "BUNDLE", tmp_path / "none")
    assert isinstance(decide(case), DecidePanel)


def test_a_reader_without_a_kernel_sees_the_first_rows(browser: Browser) -> None:
    page = browser.panel._repr_mimebundle_()["text/html"]
    assert "<table" in page
    assert browser.panel.rows["serial"][0] in page
    assert "<script" not in page


def test_infrastructure_is_a_word_in_every_form(case: Case, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    place = calm(browser, 1)[0]
    marked = browser.panel.rows.assign(infrastructure=browser.panel.rows.index == place)
    browser.panel.rows = marked
    browser.panel.grid.show(marked.iloc[place:].reset_index(drop=True), undoable=False)
    badge = ">infrastructure</span>"
    assert browser.panel.grid.still().count(badge) == 1
    assert badge in str(known(browser.panel.desk, marked.iloc[place], 0)["html"])
    plain = DecidePanel(case)
    monkeypatch.setattr(Desk, "decided", marked)
    plain.refresh()
    (line,) = (told for told, finding_id in plain.list.list.options if finding_id == marked["finding_id"][place])
    assert "infrastructure" in line


def test_the_plain_form_says_and_leaves_what_many_at_once_never_take(
    case: Case, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = calm(browser, 2)
    marked = browser.panel.rows.assign(infrastructure=browser.panel.rows.index == first)
    monkeypatch.setattr(Desk, "decided", marked)
    plain = DecidePanel(case)
    both = tuple(marked["finding_id"][[first, other]])
    plain.list.list.value = both
    assert plain.save.description == "Decide about 1 (1 infrastructure: one by one)"
    plain.action.value, plain.by.value = "leave", ANALYST
    plain.save.click()
    assert list(case.table("decisions")["finding_id"]) == [both[1]]
    assert "Left out: 1 infrastructure." in plain.message.value
    plain.list.list.value = both[:1]
    assert plain.save.description == "Decide about 1"
    assert plain.action.value is None, "no loaded choice waits for the next one"
    plain.action.value = "leave"
    plain.save.click()
    assert set(case.table("decisions")["finding_id"]) == set(both)
