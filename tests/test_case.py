"""Case: what was acknowledged is there, what was changed shows, and nothing unsafe goes out."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from carecover import folder
from carecover.case import Case
from carecover.errors import (
    CarecoverError,
    CaseError,
    PathError,
    QuestionError,
    RefusedError,
    UsageError,
)
from carecover.folder import CaseFolder
from carecover.journal import Journal
from carecover.model import TABLES, sha256_hex
from carecover.remediation import certificate_name
from tests.small_case import ANALYST, REVIEWER, Clock, Story, decide_everything, sign

VIEW_HEAD: Final = "Issued Request ID,Serial Number,Request Disposition\r\n"


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story.begin(tmp_path_factory.mktemp("story"))


def acts(case: Case) -> list[str]:
    return [entry.act for entry in Journal(case.path / "journal.jsonl").entries()]


def files_of(table: pd.DataFrame) -> list[str]:
    return sorted(table["path"])


def mail(number: int) -> bytes:
    return f"From: a@example.org\r\nSubject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nhello\r\n".encode()


def comparable(case: Case, name: str) -> list[str]:
    """A table without what depends on the order of adding: the names of evidence, the order of rows."""
    rows = json.loads(TABLES[name].to_json(case.table(name)))
    named = ("evidence_id", "evidence")
    return sorted(json.dumps({k: v for k, v in row.items() if k not in named}) for row in rows)


# ---------------------------------------------------------------- the case and its facts


def test_making_a_case_again_changes_only_the_facts_that_are_named(tmp_path: Path) -> None:
    case = Case.create(tmp_path / "c", clock=Clock(), ca="Example CA", time_zone="Europe/Berlin")
    Case.create(tmp_path / "c", clock=Clock(), failure="2026-10-06T11:47")
    Case.create(tmp_path / "c", clock=Clock(), failure="2026-10-06T11:47")
    assert case.facts.ca == "Example CA"
    assert case.facts.failure == datetime(2026, 10, 6, 9, 47, tzinfo=UTC)
    assert acts(case) == ["create", "facts"]
    with pytest.raises(UsageError, match="backup"):
        Case.create(tmp_path / "c", backup="2026-10-07T00:00")
    assert acts(case) == ["create", "facts"]
    assert case.check() == []


def test_a_case_whose_making_was_interrupted_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            Case.create(tmp_path / "c", ca="Example CA")
    case = Case.create(tmp_path / "c", ca="Example CA")
    assert acts(case) == ["create"]
    assert case.check() == []


def test_facts_that_were_journaled_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case.create(tmp_path / "c", key_exposed="yes")
    text = (case.path / "case.json").read_text(encoding="utf-8")
    (case.path / "case.json").write_text(text.replace('"yes"', '"no"'), encoding="utf-8")
    assert case.facts.key_exposed == "yes", "an edited case.json does not lift a stop"
    assert [p for p in case.check() if "case.json" in p]
    with monkeypatch.context() as patch:
        patch.setattr(CaseFolder, "write_json", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            Case.create(case.path, ca="Example CA")
    assert case.facts.ca == "Example CA"
    Case.create(case.path)
    assert case.check() == []


@pytest.mark.parametrize("what", ["missing", "file", "folder"])
def test_what_is_no_case_is_not_opened(tmp_path: Path, what: str) -> None:
    place = tmp_path / "c"
    if what == "file":
        place.write_text("x")
    elif what == "folder":
        place.mkdir()
    with pytest.raises((PathError, CaseError), match="case"):
        Case.open(place)


# ---------------------------------------------------------------- adding


def test_copies_of_evidence_are_named_by_hash_and_read_only(story: Story) -> None:
    case = Case.open(story.place / "added")
    evidence = case.table("evidence")
    assert len(evidence) == sum(p.is_file() for p in story.evidence.rglob("*"))
    for row in evidence.to_dict("records"):
        copy = case.path / "evidence" / row["sha256"]
        assert sha256_hex(copy.read_bytes()) == row["sha256"] == sha256_hex(Path(row["path"]).read_bytes())
        assert copy.stat().st_size == row["size"]
        assert os.name != "posix" or not stat.S_IMODE(copy.stat().st_mode) & 0o222


def test_the_same_bytes_again_are_the_same_evidence(story: Story, tmp_path: Path) -> None:
    case = story.copy("added", tmp_path)
    before = {name: case.table(name) for name in ("notifications", "ca_rows", "certificates", "findings")}
    rows, counted = len(case.table("evidence")), len(case.table("accounting"))
    again = case.add([story.evidence])
    assert (again["duplicate"] == again["units"]).all()
    assert len(case.table("evidence")) == rows, "the same path with the same bytes is no further evidence"
    assert len(case.table("accounting")) == 2 * counted
    elsewhere = tmp_path / "copy of the mailbox"
    shutil.copy(next((story.evidence / "mail").iterdir()), elsewhere)
    twice = case.add([elsewhere, elsewhere])
    assert list(twice["duplicate"]) == list(twice["units"])
    assert len(case.table("evidence")) == rows + 1, "another path is a row of its own"
    for name, table in before.items():
        pd.testing.assert_frame_equal(case.table(name), table)
    accounting = case.table("accounting")
    parts = accounting[["parsed", "irrelevant", "duplicate", "rejected"]].sum(axis=1)
    assert (accounting["units"] == parts).all()


def test_the_order_of_adding_does_not_matter(story: Story, tmp_path: Path) -> None:
    files = sorted(p for p in story.evidence.rglob("*") if p.is_file())
    random.Random(5).shuffle(files)
    case = Case.create(tmp_path / "c", clock=Clock(), **story.facts)
    for file in files:
        case.add([file])
    other = Case.open(story.place / "added")
    for name in ("notifications", "certificates", "crls", "crl_entries", "audit_events", "rejects", "findings"):
        assert comparable(case, name) == comparable(other, name), name


def test_a_missing_path_does_not_stop_the_others(tmp_path: Path) -> None:
    case = Case.create(tmp_path / "c")
    (tmp_path / "a.eml").write_bytes(mail(1))
    with pytest.raises(PathError, match=r"nowhere does not exist.*1 other file") as caught:
        case.add([tmp_path / "nowhere", tmp_path / "a.eml"])
    assert isinstance(caught.value.finished, pd.DataFrame)
    assert int(caught.value.finished["units"].sum()) == 1
    assert files_of(case.table("evidence")) == [str(tmp_path / "a.eml")]


def test_what_cannot_be_told_is_unknown_with_one_reject(tmp_path: Path) -> None:
    case = Case.create(tmp_path / "c")
    (tmp_path / "junk").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "empty").touch()
    accounting = case.add([tmp_path / "junk", tmp_path / "empty"])
    assert list(accounting["rejected"]) == [1, 1]
    assert list(case.table("evidence")["kind"]) == ["unknown", "unknown"]
    assert list(case.table("rejects")["evidence_id"]) == ["E0001", "E0002"]


def test_a_folder_of_many_mails(tmp_path: Path) -> None:
    (tmp_path / "mails").mkdir()
    for number in range(300):
        (tmp_path / "mails" / f"{number:03}.eml").write_bytes(mail(number))
    case = Case.create(tmp_path / "c")
    accounting = case.add([tmp_path / "mails"])
    assert len(accounting) == 300
    assert int(accounting["units"].sum()) == 300


def test_relative_names_are_found_again_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.eml").write_bytes(mail(1))
    monkeypatch.setattr(folder, "MAX_COPY_BYTES", 1)
    monkeypatch.chdir(tmp_path)
    Case.create("c").add(["a.eml"])
    monkeypatch.chdir("/")
    case = Case.open(tmp_path / "c")
    assert case.check() == []
    assert files_of(case.table("evidence")) == [str(tmp_path / "a.eml")]


def test_a_reference_that_changed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MAX_COPY_BYTES", 1)
    source = tmp_path / "a.eml"
    source.write_bytes(mail(1))
    Case.create(tmp_path / "c").add([source])
    source.write_bytes(mail(2))
    shutil.rmtree(tmp_path / "c" / "cache")
    case = Case.open(tmp_path / "c")
    with pytest.raises(CaseError, match=r"a\.eml.*changed"):
        case.table("notifications")
    assert [p for p in case.check() if "a.eml" in p]


@pytest.mark.skipif(os.name != "posix", reason="needs file names of any bytes")
def test_a_file_with_an_impossible_name_is_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / os.fsdecode(b"caf\xe9\n\x1b[2J.eml")
    source.write_bytes(mail(1))
    case = Case.create(tmp_path / "c")
    case.add([source])
    assert case.table("evidence")["path"][0].endswith("caf\\udce9\n\x1b[2J.eml")
    assert case.check() == []
    monkeypatch.setattr(folder, "MAX_COPY_BYTES", 1)
    with pytest.raises(PathError, match="too large"):
        case.add([source])


def test_very_long_paths_fit_the_journal(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 200] * 15)
    deep.mkdir(parents=True)
    for number in range(510):
        (deep / f"{number}.eml").write_bytes(mail(number))
    case = Case.create(tmp_path / "c")
    assert len(case.add([deep])) == 510
    assert acts(case) == ["create", "add", "add", "result"]


@pytest.mark.parametrize("damage", ["gone", "junk", "sealed junk"])
def test_the_cache_may_be_deleted_at_any_time(story: Story, tmp_path: Path, damage: str) -> None:
    names = ("notifications", "ca_rows", "certificates", "crls", "rejects", "accounting", "findings")
    before = Case.open(story.place / "added")
    case = story.copy("added", tmp_path)
    cache = case.path / "cache"
    assert any(cache.iterdir())
    if damage == "gone":
        shutil.rmtree(cache)
    else:
        for file in [*cache.rglob("*.parquet"), *(cache.rglob("seal.json") if damage == "sealed junk" else ())]:
            file.write_bytes(b"[]")
    for name in names:
        pd.testing.assert_frame_equal(case.table(name), before.table(name))


def _interrupt(*_arguments: object, **_named: object) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["store", "append", "keep_tables"])
def test_an_interrupted_add_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    for number in range(4):
        (tmp_path / f"{number}.eml").write_bytes(mail(number))
    case = Case.create(tmp_path / "c")
    case.add([tmp_path / "0.eml"])
    owner: Any = Journal if where == "append" else CaseFolder
    real, calls = getattr(owner, where), iter(range(100))

    def sometimes(*arguments: Any, **named: Any) -> Any:
        if where != "store" or next(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    wanted = [tmp_path / f"{n}.eml" for n in range(4)]
    with monkeypatch.context() as patch:
        patch.setattr(owner, where, sometimes)
        with pytest.raises(KeyboardInterrupt):
            case.add(wanted)
    again = Case.open(tmp_path / "c")
    assert again.check() == []
    assert "0.eml" in " ".join(files_of(again.table("evidence")))
    again.add(wanted)
    assert files_of(again.table("evidence")) == [str(p) for p in wanted]
    assert int(again.table("accounting")["irrelevant"].sum()) == 4
    assert again.check() == []


def test_two_writers_at_a_time_both_get_their_turn(tmp_path: Path) -> None:
    Case.create(tmp_path / "c")
    for number in range(2):
        (tmp_path / f"{number}").mkdir()
        for mails in range(40):
            (tmp_path / f"{number}" / f"{mails}.eml").write_bytes(mail(number * 1000 + mails))
    command = [sys.executable, "-m", "carecover.cli", "add", str(tmp_path / "c")]
    running = [
        subprocess.Popen([*command, str(tmp_path / f"{n}")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for n in range(2)
    ]
    for process in running:
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint
    case = Case.open(tmp_path / "c")
    evidence = case.table("evidence")
    assert len(evidence) == evidence["evidence_id"].nunique() == 80
    assert case.check() == []


# ---------------------------------------------------------------- deciding


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"serials": ["aabb"], "action": "revoke", "reason": 1}, UsageError),
        ({"serials": ["zz"], "action": "revoke", "reason": 1}, UsageError),
        ({"all_of": "orphaned", "action": "revoke", "reason": 8}, RefusedError),
        ({"all_of": "orphaned", "action": "revoke", "reason": -1}, RefusedError),
        ({"all_of": "orphaned", "action": "revoke", "reason": 9}, RefusedError),
        ({"all_of": "orphaned", "action": "revoke", "reason": 77}, UsageError),
        ({"all_of": "orphaned", "action": "revoke"}, UsageError),
        ({"all_of": "everything", "action": "leave"}, UsageError),
        ({"action": "leave"}, UsageError),
        ({"all_of": "orphaned", "action": "leave", "by": " "}, UsageError),
        ({"all_of": "orphaned", "action": "leave", "by": "A\nB\x07"}, UsageError),
        ({"all_of": "orphaned", "action": "leave", "note": "\udcff"}, UsageError),
    ],
)
def test_a_decision_that_cannot_be_is_refused_before_anything_is_written(
    story: Story, tmp_path: Path, how: dict[str, Any], error: type[CarecoverError]
) -> None:
    case = story.copy("added", tmp_path)
    with pytest.raises(error):
        case.decide(**{"by": ANALYST, **how})
    assert acts(case)[-1] == "result"
    assert not (case.path / "decisions.jsonl").exists()


def test_only_a_verified_original_can_be_restored(story: Story, tmp_path: Path) -> None:
    case = story.copy("added", tmp_path)
    findings = case.findings
    without = findings[(findings["kind"] == "orphaned") & findings["original_sha256"].isna()]
    assert len(without)
    with pytest.raises(RefusedError, match="original"):
        case.decide(serials=[without["serial"].iloc[0]], action="restore", by=ANALYST)


def test_all_of_a_kind_leaves_infrastructure_out_and_says_so(story: Story, tmp_path: Path) -> None:
    case = story.copy("added", tmp_path)
    made = case.decide(all_of="orphaned", action="revoke", reason=4, by=ANALYST)
    findings = case.findings
    orphaned = findings[findings["kind"] == "orphaned"]
    protected = set(orphaned.loc[orphaned["infrastructure"], "serial"])
    assert protected
    assert protected <= {s.serial for s in made.skipped}
    assert not protected & set(made.rows["serial"])
    assert len(made.rows) + len(made.skipped) == len(orphaned)


def test_the_last_decision_counts_and_what_is_open_is_refused(story: Story, tmp_path: Path) -> None:
    case = story.copy("decided", tmp_path)
    serial = case.table("decisions")["serial"].iloc[0]
    case.decide(serials=[serial.upper()], action="leave", by=REVIEWER, note="known")
    assert next(i for i in case.plan().items if i.serial == serial).action == "leave"
    case.decide(serials=[serial], action="undecided", by=REVIEWER)
    with pytest.raises(RefusedError, match=f"1 of .*{serial}"):
        case.plan()
    for note in ("", "because", "undecided:", "x" * 600, "undecided: " + "x" * 490, "hash 0: zero"):
        with pytest.raises(UsageError, match="waive"):
            case.waive(note, by=REVIEWER)
    case.waive("undecided: the owner is on holiday", by=REVIEWER)
    plan = case.plan()
    assert plan.waivers == (f"undecided: the owner is on holiday ({REVIEWER})",)
    assert next(i for i in plan.items if i.serial == serial).method == "none"


def test_changed_decisions_are_refused_and_named(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    path = case.path / "decisions.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"revoke"', b'"leave" ', 1))
    for use in (case.plan, lambda: case.table("decisions"), lambda: case.batch(tmp_path / "bundle")):
        with pytest.raises(CaseError, match=r"decisions\.jsonl"):
            use()
    assert [p for p in case.check() if "decisions.jsonl" in p]
    assert not (tmp_path / "bundle").exists()


def test_a_decision_that_the_journal_does_not_know_was_never_made(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = story.copy("signed", tmp_path)
    before, digest = case.table("decisions"), case.plan().digest
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            case.decide(all_of="orphaned", action="leave", by=ANALYST)
    case = Case.open(case.path, clock=Clock())
    pd.testing.assert_frame_equal(case.table("decisions"), before)
    assert case.plan().digest == digest
    assert len(case.sign_offs()) == 2
    (told,) = case.check()
    assert "no act acknowledges" in told
    case.decide(serials=[before["serial"].iloc[0]], action="leave", by=ANALYST)
    assert len(case.table("decisions")) == len(before) + 1


def test_a_time_to_the_second_stands_beside_finer_ones(story: Story, tmp_path: Path) -> None:
    plain = Clock()()
    case = story.copy("added", tmp_path)
    for moment in (plain, plain.replace(microsecond=709_643), plain):
        case = Case.open(case.path, clock=lambda moment=moment: moment)  # type: ignore[misc]
        case.decide(all_of="orphaned", action="leave", by=ANALYST)
        case.add([story.evidence / "ca"])
    assert set(case.table("decisions")["decided_at"]) == {plain, plain.replace(microsecond=709_643)}
    assert len(case.table("evidence"))


# ---------------------------------------------------------------- signing


def test_two_signatures_are_two_people_in_two_roles(story: Story, tmp_path: Path) -> None:
    case = story.copy("decided", tmp_path)
    with pytest.raises(RefusedError, match="analyst and a reviewer"):
        case.batch(tmp_path / "bundle")
    case.sign_off(by=ANALYST, role="analyst")
    with pytest.raises(RefusedError, match="another person"):
        case.sign_off(by="\u3000ADA   \uff21nalyst", role="reviewer")
    with pytest.raises(RefusedError, match="analyst already"):
        case.sign_off(by=REVIEWER, role="analyst")
    with pytest.raises(UsageError, match="role"):
        case.sign_off(by=REVIEWER, role="boss")
    with pytest.raises(RefusedError, match="reviewer"):
        case.batch(tmp_path / "bundle")
    case.sign_off(by=REVIEWER, role="reviewer")
    assert [s.person for s in case.sign_offs()] == [ANALYST, REVIEWER]
    assert not (tmp_path / "bundle").exists()
    case.batch(tmp_path / "bundle")


def _decide_more(case: Case, _folder: Path) -> None:
    case.decide(serials=[case.plan().items[0].serial], action="leave", by=ANALYST)


def _change_the_config(case: Case, _folder: Path) -> None:
    Case.create(case.path, clock=Clock(), config="pki02.corp.example\\Example Issuing CA 1")


def _add_another_view(case: Case, folder_: Path) -> None:
    rows = "".join(f"{n},49000000{n:030x},20\r\n" for n in range(900, 903))
    (folder_ / "another.csv").write_text(VIEW_HEAD + rows, newline="")
    case.add([folder_ / "another.csv"])


def _waive(case: Case, _folder: Path) -> None:
    case.waive("undecided: later", by=REVIEWER)


@pytest.mark.parametrize("change", [_decide_more, _change_the_config, _add_another_view, _waive])
def test_any_change_of_the_plan_voids_both_signatures(
    story: Story, tmp_path: Path, change: Callable[[Case, Path], None]
) -> None:
    case = story.copy("signed", tmp_path)
    case.batch(tmp_path / "before")
    change(case, tmp_path)
    assert "void" in acts(case)
    assert "plans" in str(next((case.path / "plans").rglob("plan.json"))), "what was signed can still be shown"
    with pytest.raises((RefusedError, QuestionError)):
        case.batch(tmp_path / "bundle")
    with pytest.raises((RefusedError, QuestionError)):
        case.run(tmp_path / "before")
    assert not (tmp_path / "bundle").exists()


def test_a_void_signature_does_not_come_back_with_the_old_plan(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    item, digest = case.plan().items[0], case.plan().digest
    case.decide(serials=[item.serial], action="leave", by=ANALYST)
    case.decide(serials=[item.serial], action=item.action, reason=item.reason, by=item.decided_by, note=item.note)
    assert case.plan().digest == digest
    assert case.sign_offs() == ()
    with pytest.raises(RefusedError, match="not signed"):
        case.batch(tmp_path / "bundle")
    sign(case)
    case.batch(tmp_path / "bundle")


def test_what_changes_nothing_leaves_the_signatures(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    case.add([story.evidence])
    Case.create(case.path, clock=Clock(), **story.facts)
    case.table("findings")
    assert len(case.sign_offs()) == 2


def test_a_stolen_key_stops_everything_but_looking(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    case.batch(tmp_path / "before")
    Case.create(case.path, clock=Clock(), key_exposed="yes")
    for stopped in (
        lambda: case.batch(tmp_path / "bundle"),
        case.rehearse,
        lambda: case.run(tmp_path / "before"),
        lambda: case.pin(tmp_path / "before", by=REVIEWER),
        lambda: case.sign_off(by=ANALYST, role="analyst"),
    ):
        with pytest.raises(RefusedError, match="key"):
            stopped()
    assert len(case.findings)
    case.report(tmp_path / "report.html")


# ---------------------------------------------------------------- bundle, pin, run


def test_every_file_of_a_bundle_is_in_the_journal(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    written = case.batch(tmp_path / "bundle")
    recorded = list(Journal(case.path / "journal.jsonl").entries())[-1].details
    *loose, packed = written
    found = {p.relative_to(tmp_path / "bundle").as_posix(): sha256_hex(p.read_bytes()) for p in loose}
    assert recorded["files"] == found
    assert {p for p in (tmp_path / "bundle").rglob("*") if p.is_file()} == set(loose)
    assert (packed, recorded["zip"]) == (tmp_path / "bundle.zip", sha256_hex(packed.read_bytes()))
    with pytest.raises(RefusedError, match="not empty"):
        case.batch(tmp_path / "bundle")
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match="not empty"):
        case.batch(tmp_path / "file")
    with pytest.raises(PathError, match="cannot be made"):
        case.batch(tmp_path / "file" / "below")


@pytest.mark.parametrize("name", ["prepare.cmd", "manifest.json", "plan.html", "ca.cer"])
def test_a_changed_bundle_is_not_run(story: Story, tmp_path: Path, name: str) -> None:
    case = story.copy("signed", tmp_path)
    bundle = tmp_path / "bundle"
    case.batch(bundle)
    good = (bundle / name).read_bytes()
    (bundle / name).write_bytes(good + b"x")
    for use in (lambda: case.run(bundle), lambda: case.pin(bundle, by=REVIEWER)):
        with pytest.raises(RefusedError, match=f"{name} was changed"):
            use()
    (bundle / name).unlink()
    with pytest.raises(RefusedError, match=f"{name} is missing"):
        case.run(bundle)
    (bundle / name).write_bytes(good)
    (bundle / "plan.json").write_bytes((bundle / "plan.json").read_bytes() + b" ")
    with pytest.raises(RefusedError, match="export the bundle again"):
        case.run(bundle)
    (bundle / "plan.json").unlink()
    with pytest.raises(PathError, match="no bundle"):
        case.run(bundle)
    with pytest.raises(UsageError, match="backend"):
        case.run(bundle, on="ssh://somewhere")


def _prepared(case: Case, story: Story, bundle: Path) -> Any:
    """A bundle whose dummies the incident's own CA has made; returns that CA's host."""
    case.batch(bundle)
    host = story.host()
    assert case.run(bundle, on=host).finished
    return host


def test_the_whole_way_of_a_bundle(story: Story, tmp_path: Path) -> None:
    case, bundle = story.copy("signed", tmp_path), tmp_path / "bundle"
    host = _prepared(case, story, bundle)
    with pytest.raises(RefusedError, match="analyst"):
        case.pin(bundle, by=ANALYST.upper())
    prepared = (bundle / "prepare.cmd").read_bytes()
    pins = case.pin(bundle, by=REVIEWER)
    assert len(pins) == sum(item.method == "dummy" for item in case.plan().items)
    written = (bundle / "revoke.cmd").read_bytes()
    case.pin(bundle, by=REVIEWER)
    assert (bundle / "revoke.cmd").read_bytes() == written, "it may lie on the CA already"
    assert case.batch(tmp_path / "second"), "a second export of the same plan"
    for place in (bundle, tmp_path / "second"):
        assert (place / "prepare.cmd").read_bytes() == prepared
    ran = case.run(bundle, on=host)
    assert ran.finished, ran.phases
    outcomes = case.verify([bundle / "logs", bundle / "out"])
    assert set(outcomes["verdict"]) == {"proved"}, outcomes
    later = Case.open(case.path)
    pd.testing.assert_frame_equal(later.table("outcomes"), outcomes)
    assert later.check() == []
    report = case.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert case.plan().digest in report
    assert case.run(tmp_path / "second").kind == "run", "the other folder can be run on the simulator as it is"


@pytest.mark.parametrize("odd", ["missing", "junk", "swapped", "own key", "huge", "folder"])
def test_an_odd_dummy_is_not_pinned(story: Story, tmp_path: Path, odd: str) -> None:
    case, bundle = story.copy("signed", tmp_path), tmp_path / "bundle"
    _prepared(case, story, bundle)
    item, other = [item for item in case.plan().items if item.method == "dummy"][:2]
    first, second, serial = bundle / certificate_name(item), bundle / certificate_name(other), item.serial
    if odd == "missing":
        first.unlink()
    elif odd == "swapped":
        first.write_bytes(second.read_bytes())
    elif odd == "own key":
        first.write_bytes(_forged(first.read_bytes()))
    elif odd == "folder":
        first.unlink()
        first.mkdir()
    else:
        first.write_bytes(b"junk" if odd == "junk" else b"0" * 3_000_000)
    with pytest.raises(RefusedError, match=serial):
        case.pin(bundle, by=REVIEWER)
    assert not (bundle / "revoke.cmd").exists()
    assert "pin" not in acts(case)


def _forged(data: bytes) -> bytes:
    """The same certificate, signed by another key."""
    real = x509.load_der_x509_certificate(data)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        issuer_name=real.issuer,
        subject_name=real.subject,
        public_key=key.public_key(),
        serial_number=real.serial_number,
        not_valid_before=real.not_valid_before_utc,
        not_valid_after=real.not_valid_after_utc,
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_a_rehearsal_needs_no_signature_and_is_kept(story: Story, tmp_path: Path) -> None:
    case = story.copy("decided", tmp_path)
    seen: list[str] = []
    run = case.rehearse(on_output=seen.append)
    assert run.proved, run.outcomes
    assert "".join(seen) == run.output
    assert (run.directory / "outcomes.json").is_file()
    assert list((run.directory / "logs").iterdir())
    assert len({case.rehearse().directory, run.directory}) == 2
    assert case.check() == []
    (run.directory / "outcomes.json").write_text("[]")
    assert [p for p in case.check() if "outcomes.json" in p]


# ---------------------------------------------------------------- proof and report


def test_nothing_useful_proves_nothing(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    (tmp_path / "junk").write_bytes(b"\0junk")
    (tmp_path / "other.crl").write_bytes(_foreign_crl(case))
    assert not (case.verify([tmp_path / "junk"])["verdict"] == "proved").any()
    outcomes = case.verify([tmp_path / "other.crl"])
    revoked = outcomes[outcomes["action"] == "revoke"]
    assert len(revoked)
    assert not (revoked["verdict"] == "proved").any(), "a list that somebody else signed is no proof"
    with pytest.raises(PathError, match="nowhere"):
        case.verify([tmp_path / "nowhere"])


def _foreign_crl(case: Case) -> bytes:
    """A CRL in the CA's name that revokes all that was asked for, signed by another key."""
    ca = case.table("certificates").query("own_ca").iloc[0]
    real = x509.load_der_x509_certificate(case.path.joinpath("evidence", _sha256_of(case, ca)).read_bytes())
    key, now = ec.generate_private_key(ec.SECP256R1()), Clock()()
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=real.subject, last_update=now, next_update=now.replace(year=2027)
    )
    builder = builder.add_extension(x509.CRLNumber(9_999), critical=False)
    for item in case.plan().items:
        entry = x509.RevokedCertificateBuilder(serial_number=int(item.serial, 16), revocation_date=now)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _sha256_of(case: Case, row: Any) -> str:
    evidence = case.table("evidence").set_index("evidence_id")
    return str(evidence.loc[row["evidence_id"], "sha256"])


def test_evidence_of_proof_that_changed_is_not_believed(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    (tmp_path / "junk").write_bytes(b"junk")
    case.verify([tmp_path / "junk"])
    copy = case.path / "evidence" / sha256_hex(b"junk")
    copy.chmod(0o600)
    copy.write_bytes(b"gold")
    with pytest.raises(CaseError, match="changed"):
        case.table("outcomes")


def test_a_report_of_any_case(story: Story, tmp_path: Path) -> None:
    empty = Case.create(tmp_path / "empty", clock=Clock())
    asked = story.copy("signed", tmp_path)
    _add_another_view(asked, tmp_path)
    for case in (empty, asked, story.copy("added", tmp_path / "a"), story.copy("signed", tmp_path / "s")):
        page = case.report(tmp_path / "reports" / "report.html").read_text(encoding="utf-8")
        assert "<html" in page
        kept = case.path / "reports" / f"{sha256_hex(page.encode())[:16]}.html"
        assert kept.read_text(encoding="utf-8") == page
        assert case.check() == []
        kept.write_text("another")
        assert [p for p in case.check() if kept.name in p]


def test_a_report_that_cannot_be_written_says_so(story: Story, tmp_path: Path) -> None:
    case = story.copy("added", tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder.html").mkdir()
    for place in (tmp_path / "file" / "r.html", tmp_path / "folder.html"):
        with pytest.raises(PathError, match="cannot be written"):
            case.report(place)
    with pytest.raises(UsageError, match="html"):
        case.report(tmp_path / "report.exe")
    assert "report" not in acts(case)


def test_an_empty_case_has_empty_tables(tmp_path: Path) -> None:
    case = Case.create(tmp_path / "c")
    for name in TABLES:
        # What is missing, and what to do first, is never nothing.
        assert case.table(name).empty == (name not in ("coverage", "first_steps")), name
    with pytest.raises(UsageError, match="no table"):
        case.table("secrets")
    with pytest.raises(CarecoverError):
        case.plan()


# ---------------------------------------------------------------- check


def test_a_clean_case_has_no_problem(story: Story) -> None:
    for state in ("added", "decided", "signed"):
        assert Case.open(story.place / state).check() == []


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(n, marks=pytest.mark.thorough) for n in range(5, 40))])
@pytest.mark.parametrize("name", ["journal.jsonl", "decisions.jsonl", "evidence/*", "plans/*/plan.json"])
def test_any_changed_byte_is_found_and_named(story: Story, tmp_path: Path, name: str, seed: int) -> None:
    chance = random.Random(f"{name} {seed}")
    case = story.copy("signed", tmp_path)
    path = chance.choice(sorted(case.path.glob(name)))
    data = bytearray(path.read_bytes())
    # The last byte, the last line's end among them, is the likeliest to be overlooked.
    place = len(data) - 1 - seed if seed < 2 else chance.randrange(len(data))
    data[place] ^= 1 << chance.randrange(8)
    path.chmod(0o600)
    path.write_bytes(data)
    problems = Case.open(case.path).check()
    assert problems
    assert any(path.name in problem for problem in problems), problems


def test_what_is_gone_is_named(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    gone = min((case.path / "evidence").iterdir())
    gone.unlink()
    (case.path / "decisions.jsonl").unlink()
    shutil.rmtree(case.path / "plans")
    problems = " ".join(case.check())
    assert gone.name in problems
    assert "decisions.jsonl" in problems


def test_a_case_made_elsewhere_gives_the_same_result(story: Story, tmp_path: Path) -> None:
    case = Case.create(tmp_path / "added", clock=Clock(), **story.facts)
    case.add([story.evidence])
    decide_everything(case)
    assert case.plan().digest == Case.open(story.place / "signed").plan().digest
