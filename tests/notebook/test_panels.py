"""What a person does in the panels, by the messages that a browser sends."""

from __future__ import annotations

import ast
import hashlib
import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
import pytest

import carecover.notebook
from carecover import errand
from carecover.case import Case
from carecover.errors import QuestionError, UsageError
from carecover.folder import CaseFolder
from carecover.model import ACTIONABLE_KINDS, CIRCUMSTANCES, TABLES
from carecover.notebook import (
    add_evidence,
    baseline,
    batch,
    coverage,
    decide,
    facts,
    findings,
    first_steps,
    open_case,
    pin,
    plan,
    rehearse,
    report,
    run,
    sign,
    timeline,
    verify,
)
from carecover.notebook.choosing import PAGE_ROWS, decision, spaced
from carecover.notebook.dropping import MAX_UPLOAD_BYTES
from carecover.notebook.exploring import OpenPanel, TimelinePanel
from carecover.notebook.panel import Advance
from carecover.simulator import Incident, SimulatedCA, SimulatedHost
from tests.notebook.conftest import ANALYST, REVIEWER, drawn, every, hand_over, press, put, said

PANELS = [
    first_steps,
    facts,
    add_evidence,
    baseline,
    timeline,
    coverage,
    findings,
    decide,
    plan,
    sign,
    batch,
    rehearse,
    pin,
    run,
    verify,
    report,
]


@pytest.fixture(autouse=True)
def _no_case_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARECOVER_CASE", raising=False)


def pick(control: widgets.Widget, *values: object) -> None:
    """Choose in a list, as the browser says it: by number."""
    numbers = [[value for _, value in control._options_full].index(v) for v in values]
    put(control, index=numbers if isinstance(control, widgets.SelectMultiple) else numbers[0])


def sign_as(panel: Any, person: str, role: str) -> str:
    put(panel.by, value=person)
    pick(panel.role, role)
    put(panel.read, value=True)
    return press(panel, "Sign this plan")


# ------------------------------------------------------------------------------- first steps


def steps(*rows: tuple[str, str]) -> pd.DataFrame:
    return TABLES["first_steps"].frame([{"when": when, "step": step, "why": "shown"} for when, step in rows])


def test_the_picture_shows_the_hours_around_a_time_that_is_known(case: Case) -> None:
    panel = timeline(case)
    assert isinstance(panel, TimelinePanel)
    whole = drawn(panel.picture.still())
    assert [value for _, value in panel.view.options] == ["", "backup", "failure", "restored"]
    assert panel.view.label == "the whole incident", "no list box stands there empty"
    panel.view.value = "backup"
    assert "per hour" in drawn(panel.picture.still()) != whole
    panel.refresh()
    assert panel.view.value == "backup", "what is looked at stays, whatever else changes"


def test_what_stops_the_work_is_said_first_and_in_red(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    told = steps(("later", "Back up."), ("before_start", "Copy the CRLs."), ("stop", "Do not issue <b>anything</b>."))
    tables = dict.fromkeys(["first_steps"], told)
    whole = Case.table
    monkeypatch.setattr(Case, "table", lambda self, name: tables[name] if name in tables else whole(self, name))
    panel = first_steps(case)
    assert 'class="cc-note bad">Stop. Do not issue &lt;b&gt;anything&lt;/b&gt;.' in panel.stop.value
    assert 'role="alert"' in panel.stop.value
    order = re.findall(r'cc-badge (\w+)">([\w ]+)<', said(panel))
    assert order == [("bad", "stop"), ("warning", "before start"), ("plain", "later")]
    still = panel._repr_mimebundle_()["text/html"]
    assert "Stop. Do not issue" in still, "whoever has no kernel reads it all the same"


def test_the_first_steps_follow_the_case(case: Case) -> None:
    panel = first_steps(case)
    told = said(panel)
    assert "Stop." not in told
    assert "<table" in told
    Case.create(case.path, key_exposed="yes")
    panel.refresh()
    assert "Stop." in panel.stop.value


def test_no_older_steps_stand_where_none_can_be_told(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = first_steps(case)
    assert "<table" in said(panel)

    def asks(_: Case, name: str) -> pd.DataFrame:
        raise QuestionError(f"Which view is the baseline? ({name})")

    monkeypatch.setattr(Case, "table", asks)
    Case.create(case.path, key_exposed="yes")
    panel.refresh()
    assert "<table" not in said(panel)
    assert "Which view is the baseline?" in said(panel)


def test_nothing_left_to_do_is_said(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Case, "table", lambda _, name: TABLES[name].empty())
    assert "Nothing in the evidence asks for anything" in said(first_steps(case))


def test_findings_are_counted_by_kind_and_by_what_tells_them_apart(case: Case) -> None:
    panel = findings(case)
    known = case.findings
    for kind, number in known["kind"].value_counts().items():
        assert f'<td class="figure"><bdi>{number}</bdi></td><td><bdi>{spaced(kind)}</bdi>' in panel.counts.value
    words = known["circumstances"].explode().dropna()
    assert len(words)
    for word in set(words):
        assert f"· {spaced(word)}" in panel.counts.value
        assert CIRCUMSTANCES[word].split(":")[0] in html.unescape(panel.counts.value)
    one = known[known["circumstances"].map(len) > 0].iloc[0]
    put(panel.list.list, index=[v for _, v in panel.list.list._options_full].index(one["finding_id"]))
    assert "what tells it apart" in panel.detail.value


def test_the_picture_has_the_mails_of_each_day(case: Case) -> None:
    still = timeline(case).picture.still()
    assert "mails a day" in drawn(still)
    assert "Mails per day" in drawn(still)
    assert "Mails per day" in still.partition(" alt=")[2], "in words where no picture can be seen"


def test_the_picture_moves_and_asks_nobody(case: Case) -> None:
    chart, words = timeline(case).picture.children
    assert "Mails per day" in words.value, "whoever cannot see it reads it"
    spec = json.dumps(chart.spec)
    assert '"bind": "scales"' in spec
    assert '"tooltip"' in spec
    assert not re.search(r"https?://(?!vega\.github\.io/schema)", spec), "the schema's name is no address to ask"
    assert "esm.sh" not in str(chart._esm)
    assert "jsdelivr" not in str(chart._esm)[:2_000]


# ------------------------------------------------------------------------------ whole stories


def test_from_an_empty_folder_to_the_report(
    incident: tuple[Incident, Path], facts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything a responder does, in the order of the notebooks, by nothing but the panels."""
    shown: list[Any] = []
    monkeypatch.setattr("carecover.notebook.exploring.display", lambda *them: shown.extend(them))
    case = open_case(tmp_path / "night")
    assert not case.path.exists()
    opened = shown[0]
    known = carecover.notebook.facts(case)
    assert "There is no case yet" in said(known)
    put(opened.ca, value=facts["ca"])
    assert "was made" in press(opened, "Make this case")
    assert opened.form.layout.display == "none"

    for name in ("config", "time_zone", "backup", "failure", "restored"):
        put(known.fields[name], value=facts[name])
    pick(known.date_order, facts["date_order"])
    pick(known.key_exposed, "no")
    assert "Saved." in press(known, "Save the facts")
    assert case.facts.backup is not None
    assert known.fields["backup"].value.endswith(("+01:00", "+02:00")), "shown in the CA's own time"

    taken = add_evidence(case)
    assert "Nothing was named" in press(taken, "Add to the case")
    evidence = incident[1] / "evidence"
    certificates = sorted((evidence / "ca").iterdir()) + sorted((evidence / "crl").iterdir())
    hand_over(taken.upload, *((p.name, p.read_bytes()) for p in certificates))
    put(taken.paths, value=f'"{evidence / "mail"}"\n{evidence / "database"}\n\n{evidence / "found"}')
    message = press(taken, "Add to the case")
    assert re.search(r"Files added: \d+\. Units found in them: [\d,]+", message)
    assert taken.upload.take() == []
    assert set(case.table("evidence")["kind"]) >= {"mbox", "view_text", "certificate", "crl"}
    assert certificates[0].name in said(taken)

    assert "nothing to ask" in said(baseline(case))
    assert "<svg" in drawn(timeline(case).picture.still())
    assert "request IDs in the gap" in said(coverage(case))
    rows = case.table("coverage")
    badges = re.findall(r">(gap|unknown|good)<", said(coverage(case)))
    own = rows.loc[rows["aspect"] == "verdict", "verdict"].tolist()
    assert badges[:1] == own, "the answer comes first"
    assert badges[1:] == sorted(badges[1:], key=("gap", "unknown", "good").index)
    assert len(badges) == len(rows)
    assert "-1" not in decision(pd.Series({"action": None, "suggested_action": "unrevoke", "suggested_reason": -1}))
    assert "orphaned" in said(findings(case))

    deciding = decide(case)
    put(deciding.by, value=ANALYST)
    pick(deciding.scope, "matching")
    message = press(deciding, "Take the suggestions")
    assert "decided as suggested" in message
    assert "a person must decide" in message
    pick(deciding.list.state, "not decided yet")
    press(deciding, "Select all shown")
    pick(deciding.scope, "selected")
    pick(deciding.action, "leave")
    put(deciding.note, value="owner unknown")
    assert "decided: leave" in press(deciding, f"Decide about {len(deciding.list.chosen)}")
    assert "undecided" not in deciding.counts.value

    signing = sign(case)
    assert "signed as analyst" in sign_as(signing, ANALYST, "analyst")
    assert "another person" in sign_as(signing, ANALYST.upper(), "reviewer")
    assert "signed as reviewer" in sign_as(signing, REVIEWER, "reviewer")
    assert signing.form.layout.display == "none"
    assert case.plan().digest in said(signing)

    rehearsing = rehearse(case)
    assert "Every script ended as it should" in press(rehearsing, "Rehearse")
    assert "proved" in said(rehearsing)
    assert "revoke.cmd publish: 0" in said(rehearsing)

    bundle = batch(case)
    folder = Path(bundle.folder.value)
    assert folder.parent == tmp_path
    assert "files were written" in press(bundle, "Export")
    assert bundle.pick.value == "prepare.cmd", "what has no original needs a dummy first"
    digest = hashlib.sha256((folder / "prepare.cmd").read_bytes()).hexdigest()
    assert digest in said(bundle)
    assert '<span class="comment">' in bundle.source.value
    assert "is not empty" in press(bundle, "Export"), "done twice"
    assert "They are not pinned yet" in said(pin(case))

    running = run(case)
    assert "Every script ended as it should" in press(running, "Run on the simulator")

    proving = verify(case)
    put(proving.paths, value=str(next((case.path / "runs").glob("*-run"))))
    assert "It says nothing of your CA" in press(proving, "Verify")
    put(proving.paths, value=str(folder / "ca.cer"))
    assert "decisions are proved" in press(proving, "Verify")

    writing = report(case)
    put(writing.texts["cause"], value="A disk died, and the backup was a week old.")
    what, owner, due = writing.lessons._rows.children[0].children
    put(what, value="a backup each night")
    put(due, value="soon")
    assert "is no date" in press(writing, "Write the report")
    put(owner, value="Ops")
    put(due, value="2026-12-31")
    assert "was written" in press(writing, "Write the report")
    assert "A disk died" in said(report(case)), "the preview"
    again = report(case)
    assert again.texts["cause"].value.startswith("A disk died"), "it is kept by the case"
    assert [part.value for part in again.lessons._rows.children[0].children] == [
        "a backup each night",
        "Ops",
        "2026-12-31",
    ]
    sent: list[Any] = []
    again.hand_out.send = lambda message, buffers=None: sent.append((message, buffers))
    again.hand_out._handle_custom_msg({"kind": "fetch"}, [])
    assert sent[0][1] == [(tmp_path / "night-report.html").read_bytes()]
    assert sent[0][0]["sha256"] in said(again)
    assert sent[0][0]["name"] == "night-report.html"
    page = tmp_path / "night-report.html"
    assert page.is_file()
    assert 'sandbox=""' in said(again)
    assert "✓ hand in the report" in said(opened)
    assert case.check() == []


def test_dummies_are_pinned_by_somebody_else(case: Case, incident: tuple[Incident, Path]) -> None:
    rows = case.findings[case.findings["kind"].isin(ACTIONABLE_KINDS)]
    case.decide(action="leave", serials=list(rows["serial"]), by=ANALYST, note="not today")
    orphaned = rows[(rows["kind"] == "orphaned") & rows["original_sha256"].isna() & ~rows["infrastructure"]]
    case.decide(action="revoke", reason=4, serials=list(orphaned["serial"][:2]), by=ANALYST)
    signing = sign(case)
    sign_as(signing, ANALYST, "analyst")
    sign_as(signing, REVIEWER, "reviewer")
    bundle, pinning = batch(case), pin(case)
    press(bundle, "Export")
    assert bundle.pick.value == "prepare.cmd"
    assert "needs 2 dummies" in said(pinning)
    folder = Path(bundle.folder.value)
    case.run(folder, on=SimulatedHost(SimulatedCA.from_state(incident[0].restored)))
    pinning.refresh()
    put(pinning.by, value=ANALYST)
    put(pinning.seen, value=True)
    assert "Somebody else must look" in press(pinning, "Confirm and pin")
    put(pinning.by, value=REVIEWER)
    assert "tick the box" in press(pinning, "Confirm and pin"), "each ticks for himself"
    put(pinning.seen, value=True)
    assert "2 dummies are as they should be" in press(pinning, "Confirm and pin")
    assert f"pinned by {REVIEWER}" in said(pinning)
    assert bundle.pick.value == "revoke.cmd", "the other panel shows it at once"


def test_a_change_voids_both_signatures_where_everybody_sees_it(signed: Case) -> None:
    signing, deciding = sign(signed), decide(signed)
    assert "Signed by two people" in said(signing)
    pick(deciding.list.list, deciding.list.matching[0])
    pick(deciding.action, "leave")
    put(deciding.by, value=ANALYST)
    put(deciding.note, value="second thoughts")
    press(deciding, "Decide about 1")
    assert f"after {ANALYST} and {REVIEWER} signed" in said(signing)
    assert "Signed by two people" not in said(signing)
    assert "is not signed" in press(batch(signed), "Export")


def test_what_is_signed_is_what_was_shown(decided: Case) -> None:
    """Another tab changes the case; the click must not sign what nobody has read."""
    signing = sign(decided)
    serial = decided.findings["serial"].iloc[0]
    decided.decide(action="leave", serials=[serial], by="Somebody Else", note="from a shell")
    assert "changed since it was shown" in sign_as(signing, ANALYST, "analyst")
    assert decided.sign_offs() == ()
    assert "signed as analyst" in sign_as(signing, ANALYST, "analyst"), "drawn anew, read anew, signed"


def test_to_sign_asks_for_a_tick_each_time(decided: Case) -> None:
    signing = sign(decided)
    put(signing.by, value=ANALYST)
    assert "tick the box" in press(signing, "Sign this plan")
    sign_as(signing, ANALYST, "analyst")
    assert (signing.read.value, signing.by.value) == (False, "")
    assert signing.role.options == ("reviewer",)


def test_nothing_is_kept_in_the_panels(signed: Case) -> None:
    """Another kernel, which knows nothing but the folder, shows the same."""
    press(rehearse(signed), "Rehearse")
    press(batch(signed), "Export")
    first = [said(panel(signed)) for panel in PANELS]
    again = Case.open(signed.path)
    assert [said(panel(again)) for panel in PANELS] == first


def test_a_waiver_becomes_part_of_the_plan(case: Case) -> None:
    reading, signing = plan(case), sign(case)
    assert "are not decided" in said(reading)
    assert "the panel of the plan says why" in said(signing)
    assert signing.form.layout.display == "none"
    put(reading.waiver, value="undecided: nobody is awake")
    put(reading.waived_by, value=ANALYST)
    assert "part of the plan" in press(reading, "Waive in writing")
    assert signing.form.layout.display is None
    assert "nobody is awake" in said(reading)


# ------------------------------------------------------------------------------ single panels


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_says_that_there_is_no_case_yet(
    panel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carecover.notebook.exploring.display", lambda *_: None)
    shown = panel(open_case(tmp_path / "none"))
    assert "no case" in said(shown) or "no plan yet" in said(shown)
    for button in [w for w in every(shown) if isinstance(w, widgets.Button)]:
        button._handle_button_msg(None, {"event": "click"}, [])
    assert not (tmp_path / "none").exists(), "no button makes a case by the way"


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_shows_an_empty_case(panel: Any, tmp_path: Path) -> None:
    shown = panel(Case.create(tmp_path / "empty"))
    assert "unexpected" not in said(shown)
    for button in [w for w in every(shown) if isinstance(w, widgets.Button)]:
        button._handle_button_msg(None, {"event": "click"}, [])
        assert "unexpected" not in said(shown), button.description


def test_an_open_case_needs_a_name() -> None:
    with pytest.raises(UsageError, match="Name the folder"):
        open_case()


def test_the_environment_names_the_case_first(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARECOVER_CASE", str(case.path))
    monkeypatch.setattr("carecover.notebook.exploring.display", lambda *_: None)
    assert open_case("my-case").path == case.path


def test_facts_change_only_what_was_typed(case: Case) -> None:
    known = facts(case)
    before = case.facts
    assert "Saved." in press(known, "Save the facts")
    assert case.facts == before
    put(known.fields["backup"], value="yesterday")
    assert "Write it as 2026-11-23 04:30" in press(known, "Save the facts")
    put(known.fields["backup"], value="")
    assert "not emptied" in press(known, "Save the facts")
    assert case.facts == before


def test_an_unreadable_path_is_said_and_the_rest_is_kept(case: Case, tmp_path: Path) -> None:
    taken = add_evidence(case)
    good = tmp_path / "note.txt"
    good.write_text("nothing to see", encoding="utf-8")
    put(taken.paths, value=f"{tmp_path / 'missing.mbox'}\n{good}")
    message = press(taken, "Add to the case")
    assert "missing.mbox does not exist. 1 other file(s) were added." in message
    assert "note.txt" in said(taken)
    assert "missing.mbox" in taken.paths.value, "to be corrected, not typed again"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../evil.cmd", "evil.cmd"),
        ("C:\\windows\\system32\\x.cer", "x.cer"),
        ("..", "_"),
        ("", "_"),
        ("NUL.txt", "_NUL.txt"),
        ("a" * 300 + ".cer", "a" * 96 + ".cer"),
        ("kölner\u202e<b>.mbox", "k_lner__b_.mbox"),
    ],
)
def test_uploaded_names_are_harmless(case: Case, name: str, kept: str) -> None:
    taken = add_evidence(case)
    hand_over(taken.upload, (name, b"hi"))
    assert "Files added: 1." in press(taken, "Add to the case")
    assert Path(case.table("evidence")["path"].iloc[-1]).name == kept


def test_too_large_an_upload_is_refused_with_advice(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_UPLOAD_BYTES == 100 << 20
    monkeypatch.setattr("carecover.notebook.dropping.MAX_UPLOAD_BYTES", 3)
    taken = add_evidence(case)
    hand_over(taken.upload, ("x", b"hi"), ("y", b"ho"))
    before = len(case.table("evidence"))
    assert "paths into the box" in press(taken, "Add to the case")
    assert len(case.table("evidence")) == before, "nothing is taken of what was refused"
    taken.upload._handle_custom_msg({"kind": "clear"}, [])
    assert "Nothing was named" in press(taken, "Add to the case")


def test_the_baseline_question_is_asked_and_answered(
    case: Case, incident: tuple[Incident, Path], tmp_path: Path
) -> None:
    view = (incident[1] / "evidence" / "database" / "view.csv").read_bytes()
    shorter = tmp_path / "older.csv"
    shorter.write_bytes(b"".join(view.splitlines(keepends=True)[:-3]))
    case.add([shorter])
    asked, listed = baseline(case), findings(case)
    assert "overlaps" in said(asked) or "interleave" in said(asked)
    assert asked.form.layout.display is None
    assert "overlaps" in said(listed) or "interleave" in said(listed), "nothing is guessed elsewhere either"
    pick(asked.pick, "E0003", "E0004")
    assert "Write your name" in press(asked, "This is the baseline")
    put(asked.by, value=ANALYST)
    assert "The baseline is E0003, E0004." in press(asked, "This is the baseline")
    assert "orphaned" in said(listed)


def test_findings_are_filtered_and_traced_to_their_evidence(case: Case) -> None:
    listed = findings(case)
    everything = len(listed.list.matching)
    pick(listed.list.kind, "orphaned")
    assert 0 < len(listed.list.matching) < everything
    wanted = case.findings.query("kind == 'orphaned'").iloc[0]
    put(listed.list.search, value=" ".join(re.findall("..", wanted["serial"].upper())))
    assert listed.list.matching == (wanted["finding_id"],)
    pick(listed.list.list, wanted["finding_id"])
    detail = listed.detail.value
    assert wanted["serial"] in detail
    put(
        listed.evidence.place,
        index=next(n for n, (name, _) in enumerate(listed.evidence.place.options) if "mail" in name),
    )
    shown = said(listed.evidence)
    assert "ca-mailbox.mbox" in shown
    assert "message_id" in shown, "what was read of it"
    assert "Message-ID: " in shown, "and what stands in the file"
    put(listed.list.search, value="no such thing")
    assert listed.list.matching == ()
    assert listed.detail.value == ""


def test_many_findings_come_in_pages(case: Case) -> None:
    listed = findings(case)
    one = listed.list._rows.iloc[[0]]
    many = pd.concat([one.assign(finding_id=f"orphaned-{n}") for n in range(PAGE_ROWS + 7)], ignore_index=True)
    listed.list.show(many)
    assert len(listed.list.list.options) == PAGE_ROWS
    press(listed, "Later ▶")
    assert len(listed.list.list.options) == 7
    press(listed, "◀ Earlier")
    assert len(listed.list.list.options) == PAGE_ROWS


def test_infrastructure_is_never_taken_in_bulk(case: Case) -> None:
    deciding = decide(case)
    rows = deciding.rows
    important = rows.loc[rows["kind"] == "orphaned", "finding_id"].iloc[0]
    marked = rows.assign(infrastructure=(rows["finding_id"] == important).astype("boolean"))
    deciding.rows = marked
    deciding.list.show(marked)
    press(deciding, "Select all shown")
    assert important not in deciding.list.chosen
    assert len(deciding.list.chosen) == len(rows) - int((rows["confidence"] == "low").sum()) - 1
    pick(deciding.scope, "matching")
    assert important not in set(deciding._taken()["finding_id"])
    pick(deciding.scope, "selected")
    pick(deciding.list.list, important)
    assert set(deciding._taken()["finding_id"]) == {important}, "by itself it can be decided"


def test_a_reason_is_explained_and_required(case: Case) -> None:
    deciding = decide(case)
    put(deciding.by, value=ANALYST)
    assert "select certificates" in press(deciding, "Take the suggestions")
    pick(deciding.list.list, case.findings.query("kind == 'orphaned'")["finding_id"].iloc[0])
    assert "Choose an action" in press(deciding, "Decide")
    pick(deciding.action, "revoke")
    assert "one of 0 to 6" in press(deciding, "Decide")
    pick(deciding.reason, 1)
    assert "never be undone" in deciding.meaning.value
    pick(deciding.reason, 6)
    assert "can be undone" in deciding.meaning.value
    put(deciding.by, value="")
    assert "person" in press(deciding, "Decide")
    assert len(case.table("decisions")) == 0


def test_an_unforeseen_error_is_told_without_its_text(decided: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise RuntimeError("secret evidence")

    rehearsing = rehearse(decided)
    monkeypatch.setattr(errand, "begin", fail)
    message = press(rehearsing, "Rehearse")
    assert "unexpected happened (RuntimeError at notebook/" in message
    assert "secret" not in message
    monkeypatch.setattr(Case, "table", fail)
    shown = coverage(Case.open(decided.path.rename(decided.path.with_name("other"))))
    assert "unexpected" in said(shown)
    assert "secret" not in said(shown)


def test_what_is_gone_from_the_case_is_said(signed: Case) -> None:
    rehearsing, writing = rehearse(signed), report(signed)
    press(rehearsing, "Rehearse")
    press(writing, "Write the report")
    shutil.rmtree(signed.path / "runs")
    shutil.rmtree(signed.path / "reports")
    assert "is missing or damaged" in said(rehearse(signed))
    assert "write the report again" in said(report(signed))


def test_a_case_in_use_by_another_window_is_left_alone(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carecover.folder.LOCK_PATIENCE_SECONDS", 0.1)
    deciding = decide(case)
    put(deciding.by, value=ANALYST)
    pick(deciding.scope, "matching")
    with CaseFolder(case.path).locked():
        assert "is in use" in press(deciding, "Take the suggestions")
    assert len(case.table("decisions")) == 0
    assert "decided as suggested" in press(deciding, "Take the suggestions")


def test_the_second_tab_says_that_the_first_has_changed_the_case(case: Case) -> None:
    here = carecover.notebook.facts(case)
    put(here.fields["ca"], value="Typed here")
    Case.open(case.path).waive("undecided: the log is gone", by=REVIEWER)
    said_now = press(here, "Save the facts")
    assert "changed since it was shown here, in another tab" in said_now
    assert f"waive by {REVIEWER}" in said_now
    assert case.facts.ca != "Typed here", "nothing is done by somebody who has not seen it"
    put(here.fields["ca"], value="Typed here")
    assert "Saved." in press(here, "Save the facts")


def test_a_panel_shown_twice_says_where_it_went(case: Case) -> None:
    old = findings(case)
    new = findings(case)
    assert "Shown anew" in said(old)
    assert "orphaned" in said(new)


def test_the_steps_follow_the_case(signed: Case) -> None:
    panel = OpenPanel(signed)
    assert "✓ have the plan signed by two people" in said(panel)
    assert "Next: rehearse it." in said(panel)
    press(rehearse(signed), "Rehearse")
    assert "Next: export the bundle." in said(panel)


def test_a_report_that_was_written_on_the_way_is_not_the_one_to_hand_in(decided: Case, tmp_path: Path) -> None:
    """The report of an unsigned plan is a report of how far it is, and no tick."""
    panel = OpenPanel(decided)
    assert "○ hand in the report" in said(panel)
    decided.report(tmp_path / "early.html")
    panel.refresh()
    assert "○ hand in the report" in said(panel)
    assert "written before it was verified" in said(panel)


# ------------------------------------------------------------------------------ small parts


def test_what_was_said_goes_away_when_the_case_has_become_another(decided: Case) -> None:
    signing = sign(decided)
    put(signing.by, value=ANALYST)
    put(signing.read, value=True)
    assert "signed as analyst" in press(signing, "Sign this plan")
    signing.refresh()
    assert "signed as analyst" in signing.message.value, "nothing has changed since"
    decided.waive("undecided: nobody answers tonight", by=REVIEWER)
    signing.refresh()
    assert signing.message.value == ""
    assert "Void since" in signing.signed.value


def test_a_name_that_is_missing_is_asked_for_in_words_of_this_page(decided: Case) -> None:
    deciding = decide(decided)
    put(deciding.action, index=4)  # leave
    put(deciding.scope, index=1)  # all that match the filter
    told = press(deciding, "Decide")
    assert "Write your name" in told
    assert "--by" not in told


def test_progress_is_there_only_while_there_is_some() -> None:
    now = [0.0]
    bar = Advance(lambda: now[0])
    assert bar.layout.display == "none"
    bar("reading <b>.mbox", 1, 4)
    assert bar.layout.display is None
    assert bar.children[1].value == "reading <b>.mbox (1 of 4)"
    bar("reading again", 2, 4)
    assert bar.children[0].value == 1, "not more often than an eye can follow"
    bar.stop()
    assert bar.layout.display == "none"


def test_a_wording_counts_once_a_person_accepts_it(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The panel shows what the case proposes, accepts it by name, and shows no proposal of an older state."""
    asked: list[dict[str, Any]] = []
    known = case.table("profiles")
    assert len(known)
    lists: dict[str, Any] = {name: [["<b>one</b>"]] for name in ("examples", "columns", "checked", "senders")}
    proposed = known.head(1).assign(origin="proposed", profile_id="P1", serials=3, known=2, agreeing=2, **lists)

    def profile(_: Case, **how: Any) -> pd.DataFrame:
        asked.append({name: value for name, value in how.items() if name != "progress"})
        return pd.concat([known, proposed], ignore_index=True)

    monkeypatch.setattr(Case, "profile", profile)
    panel = carecover.notebook.wordings(case)
    assert "of a known wording" in panel.told.value
    assert "could be learned: 1" in press(panel, "Look for wordings")
    assert "&lt;b&gt;one&lt;/b&gt;" in panel.detail.value, "an example is text"
    put(panel.by, value=ANALYST)
    assert "was accepted" in press(panel, "Accept this wording")
    assert asked == [{}, {"accept": ["P1"], "by": ANALYST}]


def test_every_table_of_two_lines_knows_how_many_columns_it_has() -> None:
    """A count without its rule has no columns: every cell would stand on a line of its own."""
    folder = Path(carecover.notebook.__file__).parent
    ruled = re.findall(r"\.cc-two\.n(\d+) \{ --cc-columns: (\d+); \}", (folder / "panel.css").read_text("utf-8"))
    columns = {int(count): int(number) for count, number in ruled}
    assert all(number == count - 1 for count, number in columns.items())
    trees = [ast.parse(file.read_text("utf-8")) for file in folder.glob("*.py")]
    lists = [n for tree in trees for n in ast.walk(tree) if isinstance(n, (ast.List, ast.Tuple))]
    counts = {
        len(found.elts)
        for found in lists
        if any(isinstance(e, ast.Call) and isinstance(e.func, ast.Name) and e.func.id == "Head" for e in found.elts)
    }
    assert max(counts) >= 10, "the steps of the plan have ten"
    assert {count for count in counts if count >= 6} <= set(columns)
