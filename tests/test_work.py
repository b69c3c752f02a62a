"""How often what is expensive is done: counted, never timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carecover import analysis, journal, model, remediation
from carecover.case import Case
from carecover.errors import CaseError, RefusedError
from carecover.model import TABLES, among, records
from carecover.notebook.desk import Desk
from carecover.remediation import plan
from tests.small_case import ANALYST, REVIEWER, Story, decide_everything


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story.begin(tmp_path_factory.mktemp("work"))


class Counted:
    """A function that counts its calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.times, self._real = 0, getattr(owner, name)
        monkeypatch.setattr(owner, name, self)

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.times += 1
        return self._real(*given, **named)

    def during(self, act: Callable[[], object]) -> int:
        before = self.times
        act()
        return self.times - before


def test_a_decision_looks_through_no_evidence_again(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = story.copy("added", tmp_path)
    looks = Counted(monkeypatch, analysis, "investigate")
    baselines = Counted(monkeypatch, analysis, "assemble_baseline")
    assert looks.during(lambda: decide_everything(case)) == 1
    assert looks.during(lambda: case.decide(all_of="orphaned", action="leave", by=ANALYST)) == 0
    assert baselines.times == 1


def test_signatures_export_and_report_are_of_one_plan_made_once(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = story.copy("decided", tmp_path)
    plans = Counted(monkeypatch, remediation, "make_plan")
    case.sign_off(by=ANALYST, role="analyst")
    case.sign_off(by=REVIEWER, role="reviewer")
    case.batch(tmp_path / "bundle")
    assert len(case.sign_offs()) == 2
    assert plans.times == 1
    case.decide(all_of="orphaned", action="leave", by=ANALYST)
    assert plans.times == 2, "to see whether the signatures are void"
    assert case.sign_offs() == ()


def test_while_people_still_decide_a_look_at_the_plan_takes_no_finding_apart(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = story.copy("added", tmp_path)
    taken_apart: list[int] = []

    def counted(table: pd.DataFrame) -> list[dict[str, Any]]:
        taken_apart.append(len(table))
        return records(table)

    monkeypatch.setattr(plan, "records", counted)
    with pytest.raises(RefusedError, match="not decided"):
        case.plan()
    assert max(taken_apart) < len(case.findings)


def test_a_panel_drawn_again_makes_no_table_again(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(story.copy("decided", tmp_path))
    made = Counted(monkeypatch, desk.case, "table")
    assert made.during(lambda: (desk.decided, desk.steps, desk.plan)) == 3, "findings, decisions, outcomes"
    assert made.during(lambda: (desk.decided, desk.steps, desk.plan)) == 0
    assert desk.decided is desk.decided


def test_a_line_of_the_journal_is_checked_once(story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = story.copy("decided", tmp_path)
    lines = (case.path / "journal.jsonl").read_bytes().count(b"\n")
    checks = Counted(monkeypatch, journal, "_digest")
    assert checks.during(lambda: case.findings) == lines
    assert checks.during(lambda: case.waive("undecided: later", by=ANALYST)) == 2, "written, and read back"
    assert checks.during(case.plan) == 0
    assert checks.during(case.check) > lines, "check believes no cache"


def test_an_edit_of_what_was_checked_already_is_seen(story: Story, tmp_path: Path) -> None:
    case = story.copy("decided", tmp_path)
    assert len(case.findings)
    path = case.path / "journal.jsonl"
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"decide"', b'"decibe"', 1))
    with pytest.raises(CaseError, match="not what was written"):
        case.plan()
    path.write_bytes(good)
    assert case.plan().items


def test_an_edited_decision_is_seen_though_it_was_read_already(story: Story, tmp_path: Path) -> None:
    case = story.copy("decided", tmp_path)
    assert len(case.table("decisions"))
    path = case.path / "decisions.jsonl"
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"revoke"', b'"revoce"', 1))
    with pytest.raises(CaseError, match="a decision was changed"):
        case.table("decisions")
    path.write_bytes(good)
    assert len(case.table("decisions"))


def test_of_many_decisions_only_the_new_ones_are_parsed(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = story.copy("decided", tmp_path)
    before = case.table("decisions")
    parsed: list[int] = []
    frame = type(TABLES["decisions"]).frame

    def counted(schema: Any, rows: Any) -> pd.DataFrame:
        rows = list(rows)
        if schema.name == "decisions":
            parsed.append(len(rows))
        return frame(schema, rows)

    monkeypatch.setattr(type(TABLES["decisions"]), "frame", counted)
    made = case.decide(serials=[before["serial"].iloc[0]], action="leave", by=ANALYST)
    table = case.table("decisions")
    assert max(parsed) == len(made.rows) == 1
    monkeypatch.undo()
    assert table.equals(Case.open(case.path).table("decisions"))


def test_the_digest_of_a_plan_is_taken_once(story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decided = replace(story.copy("decided", tmp_path).plan())
    told = Counted(monkeypatch, model, "canonical_json")
    assert decided.digest == decided.digest
    assert told.times == 1


def test_rows_as_plain_values() -> None:
    table = TABLES["findings"].frame(
        [{"serial": "0a", "infrastructure": True, "issued_at": "2026-11-25T01:02:03Z", "request_id": 3}, {}]
    )
    first, second = records(table)
    assert first["infrastructure"] is True
    assert first["issued_at"].isoformat() == "2026-11-25T01:02:03+00:00"
    assert (first["request_id"], first["evidence"]) == (3, [])
    assert {name: value for name, value in second.items() if value} == {}
    assert second["infrastructure"] is None
    assert second["issued_at"] is None


def test_among_is_isin_without_na() -> None:
    serials = TABLES["findings"].frame([{"serial": s} for s in ("0a", None, "0b", "0a")])["serial"]
    assert list(among(serials, {"0a", "0c"})) == [True, False, False, True]
    assert list(among(serials, serials)) == [True, False, True, True]
    assert not among(serials, ()).any()
    assert not len(among(serials.iloc[:0], ["0a"]))
