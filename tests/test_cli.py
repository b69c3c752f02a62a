"""The command line: what goes where, which exit code, and one paragraph for whatever is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carecover import cli, demo, folder
from carecover.case import Case
from carecover.cli import main
from carecover.errors import PathError, QuestionError
from carecover.folder import CaseFolder
from carecover.model import CIRCUMSTANCES, KIND_MEANINGS, TABLES, RevocationReason, sha256_hex
from carecover.simulator import Scenario
from tests.small_case import ANALYST, REVIEWER, Story

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story.begin(tmp_path_factory.mktemp("story"))


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Call the command line; returns exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert "unexpectedly" not in err, err
        return code, out, err

    return call


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """Call it with something wrong: nothing on standard output, one paragraph on standard error."""

    def call(code: int, *arguments: object) -> str:
        found, out, err = run(*arguments)
        assert (found, out) == (code, ""), err
        assert err.startswith("carecover: ")
        assert err.endswith(("\n", "\r\n"))
        assert len(err.splitlines()) == 1, err
        assert len(err) > 30
        return err

    return call


# ---------------------------------------------------------------- help and usage


def test_every_command_explains_itself(run: Run) -> None:
    listed = [name for names in cli._Guide.chapters.values() for name in names]
    assert set(listed) == set(cli.cli.commands)
    for name in listed:
        for flag in ("--help", "-h"):
            code, out, err = run(name, flag)
            assert (code, err) == (0, "")
            assert out.startswith(f"Usage: carecover {name}")
    code, out, _ = run("--help")
    assert code == 0
    assert all(f"  {name} " in out for name in listed)
    assert run("--version")[0] == 0
    code, out, err = run()
    assert (code, out) == (2, "")
    assert "sign-off" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["recover"],
        ["add"],
        ["add", "CASE"],
        ["add", "CASE", ""],
        ["init", ""],
        ["init", "CASE", "--failure", "yesterday"],
        ["init", "CASE", "--time-zone", "Berlin"],
        ["init", "CASE", "--date-order", "ydm"],
        ["init", "CASE", "--key-exposed", "perhaps"],
        ["init", "CASE", "--config", "host"],
        ["init", "CASE", "--backup", "2026-02-01", "--restored", "2026-01-01"],
        ["table", "CASE", "secrets"],
        ["table", "CASE", "findings", "--format", "xml"],
        ["table", "CASE", "findings", "--format", "parquet"],
        ["decide", "CASE", "--all", "orphaned", "--action", "burn", "--by", "Ada"],
        ["decide", "CASE", "--all", "orphaned", "--action", "leave"],
        ["decide", "CASE", "--action", "leave", "--by", "Ada"],
        ["decide", "CASE", "--all", "orphaned", "--serial", "aa", "--action", "leave", "--by", "Ada"],
        ["decide", "CASE", "--serial", "", "--action", "leave", "--by", "Ada"],
        ["decide", "CASE", "--serial", "00", "--action", "leave", "--by", "Ada"],
        ["decide", "CASE", "--serial", "4711", "--action", "leave", "--by", "Ada"],
        ["decide", "CASE", "--all", "all", "--action", "leave", "--by", "Ada"],
        ["decide", "CASE", "--all", "orphaned", "--action", "leave", "--by", ""],
        ["decide", "CASE", "--all", "orphaned", "--action", "leave", "--reason", "1", "--by", "Ada"],
        ["decide", "CASE", "--all", "orphaned", "--action", "revoke", "--by", "Ada"],
        *(
            ["decide", "CASE", "--all", "orphaned", "--action", "revoke", "--by", "Ada", "--reason", reason]
            for reason in ("abc", "--5", "²", "", "11", "9" * 50)
        ),
        ["waive", "CASE", "--note", "", "--by", "Ada"],
        ["waive", "CASE", "--note", "never mind", "--by", "Ada"],
        ["waive", "CASE", "--note", "undecided: \udcff", "--by", "Ada"],
        ["sign-off", "CASE", "--by", "Ada", "--as", "boss"],
        ["sign-off", "CASE", "--by", " ", "--as", "analyst"],
        ["batch", "CASE"],
        ["batch", "CASE", "--output", ""],
        ["run", "CASE", "nowhere", "--on", "cloud"],
        ["pin", "CASE", "nowhere"],
        ["verify", "CASE"],
        ["report", "CASE", "--output", "report.txt"],
        ["report", "CASE", "--output", "report"],
        ["simulate", "DIR", "--certificates", "0"],
        ["simulate", "DIR", "--language", "xx"],
        ["simulate", "DIR", "--layout", "xx"],
        ["demo", "--seed", "one"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_two(
    refused: Callable[..., str], story: Story, tmp_path: Path, arguments: list[str]
) -> None:
    before = story.copy("added", tmp_path)
    acts = (before.path / "journal.jsonl").read_bytes()
    places = {"CASE": str(before.path), "DIR": str(tmp_path / "new")}
    refused(2, *(places.get(a, a) for a in arguments))
    assert (before.path / "journal.jsonl").read_bytes() == acts
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "NOCASE", "FILE"],
        ["baseline", "NOCASE", "E0001", "--by", "Ada"],
        ["gaps", "NOCASE"],
        ["table", "NOCASE", "findings"],
        ["decide", "NOCASE", "--all", "orphaned", "--action", "leave", "--by", "Ada"],
        ["waive", "NOCASE", "--note", "undecided: x", "--by", "Ada"],
        ["sign-off", "NOCASE", "--by", "Ada", "--as", "analyst"],
        ["batch", "NOCASE", "--output", "OUT"],
        ["rehearse", "NOCASE"],
        ["pin", "NOCASE", "OUT", "--by", "Ada"],
        ["run", "NOCASE", "OUT"],
        ["verify", "NOCASE", "FILE"],
        ["report", "NOCASE", "--output", "OUT.html"],
        ["check", "NOCASE"],
        ["init", "FILE"],
        ["gaps", "FILE"],
        ["table", "CASE", "findings", "--output", "BELOW"],
        ["table", "CASE", "findings", "--format", "parquet", "--output", "BELOW"],
        ["report", "CASE", "--output", "BELOW"],
        ["run", "SIGNED", "NOCASE"],
        ["pin", "SIGNED", "NOCASE", "--by", REVIEWER],
        ["simulate", "BELOW"],
        ["demo", "--out", "BELOW"],
        ["gaps", "x" * 5_000],
        ["init", "x" * 5_000],
        ["demo", "--out", "x" * 5_000],
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_a_path_that_cannot_be_opened_ends_with_three(
    refused: Callable[..., str], story: Story, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "file").write_text("x")
    places = {
        "NOCASE": tmp_path / "nowhere",
        "FILE": tmp_path / "file",
        "BELOW": tmp_path / "file" / "below.html",
        "OUT": tmp_path / "out",
        "CASE": story.place / "added",
        "SIGNED": story.place / "signed",
    }
    refused(3, *(places.get(a, a) for a in arguments))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


# ---------------------------------------------------------------- the whole way


def test_the_whole_way(run: Run, refused: Callable[..., str], story: Story, tmp_path: Path) -> None:
    case, bundle = tmp_path / "case", tmp_path / "bundle"
    facts = story.facts
    named = [x for name, value in facts.items() for x in (f"--{name.replace('_', '-')}", value)]
    code, out, err = run("init", case, *named)
    assert (code, err) == (0, "")
    assert facts["ca"] in out

    code, out, err = run("add", case, story.evidence)
    assert (code, err) == (0, "")
    assert "E0001" in out
    assert "mbox" in out

    code, out, err = run("gaps", case)
    assert (code, err) == (1, "")
    assert "orphaned: " in out
    assert "How far to believe it" in out
    assert "What to do first:\n  1. " in out
    both = json.loads(run("gaps", case, "--json")[1])
    assert {row["kind"] for row in both["findings"]} >= {"orphaned", "lost_revocation"}
    assert len(both["coverage"]) > 3
    assert both["coverage"][-1]["aspect"] == "verdict"
    assert {row["when"] for row in both["first_steps"]} == {"now", "later"}

    assert "findings are not decided" in refused(4, "rehearse", case)
    for kind in ("orphaned", "lost_revocation", "lost_release"):
        code, out, err = run("decide", case, "--all", kind, "--action", "suggested", "--by", ANALYST)
        assert code in (0, 1)
        assert err == ""
        assert "decided" in out
    code, out, _ = run("decide", case, "--all", "orphaned", "--action", "restore", "--by", ANALYST)
    assert code == 1, "what was left out needs a person"
    revoke = ("decide", case, "--all", "orphaned", "--action", "revoke", "--by", ANALYST)
    for reason in ("8", "-1", "9", "7"):
        assert f"eason {reason}" in refused(4, *revoke, "--reason", reason)
    assert run(*revoke, "--reason", "Certificate Hold")[0] == 1
    rows = json.loads(run("table", case, "findings", "--format", "json")[1])
    for kind, action in (("orphaned", "leave"), ("lost_revocation", "leave"), ("lost_release", "unrevoke")):
        serials = [x for row in rows if row["kind"] == kind and (row["infrastructure"] or kind != "orphaned")
                   for x in ("--serial", row["serial"].upper())]  # fmt: skip
        if serials:
            assert run("decide", case, *serials, "--action", action, "--by", ANALYST, "--note", "known")[0] == 0

    assert "not signed" in refused(4, "batch", case, "--output", bundle)
    code, out, err = run("sign-off", case, "--by", ANALYST, "--as", "analyst")
    assert code == 0
    assert "signed plan" in out
    assert "for ever" in err or "hold" in err
    assert "another person" in refused(4, "sign-off", case, "--by", ANALYST.lower(), "--as", "reviewer")
    assert run("sign-off", case, "--by", REVIEWER, "--as", "reviewer")[0] == 0

    code, out, err = run("rehearse", case)
    assert code in (0, 1)
    assert "revoke.cmd publish: exit code 0" in out
    assert "never tested on your CA" in out
    assert "done" in err
    code, out, err = run("batch", case, "--output", bundle)
    assert code == 0
    assert "Compare on the CA" in err
    written = dict(line.split("  ", 1)[::-1] for line in out.splitlines())
    files = [bundle.with_name("bundle.zip"), *(p for p in bundle.rglob("*") if p.is_file())]
    assert written == {str(p): sha256_hex(p.read_bytes()) for p in files}
    assert "not empty" in refused(4, "batch", case, "--output", bundle)
    assert "dummies" in refused(4, "pin", case, bundle, "--by", REVIEWER)
    code, out, _ = run("run", case, bundle, "--on", "simulator")
    assert code in (0, 1)
    kept = Path(next(line for line in out.splitlines() if line.startswith("Kept in ")).removeprefix("Kept in "))
    code, out, err = run("verify", case, kept / "logs", kept / "out")
    assert code == 3, "what a simulated CA left is not handed in as the CA's"
    assert "It says nothing of your CA" in err
    assert "Nothing else was taken." in err

    report = tmp_path / "report.html"
    assert run("report", case, "--output", report) == (0, f"{report}\n", "")
    assert run("check", case)[0] == 0
    (case / "decisions.jsonl").unlink()
    code, out, err = run("check", case)
    assert (code, err) == (1, "")
    assert "decisions.jsonl" in out


def test_a_stolen_key_is_said_wherever_it_counts(
    run: Run, refused: Callable[..., str], story: Story, tmp_path: Path
) -> None:
    case = story.copy("signed", tmp_path).path
    assert "build a new one" in run("init", case, "--key-exposed", "yes")[2]
    code, out, err = run("gaps", case)
    assert code == 1
    assert "orphaned" in out
    assert "build a new one" in err
    refused(4, "batch", case, "--output", tmp_path / "bundle")
    refused(4, "rehearse", case)


# ---------------------------------------------------------------- adding


def test_the_others_are_added_and_shown(run: Run, story: Story, tmp_path: Path) -> None:
    run("init", tmp_path / "case")
    code, out, err = run("add", tmp_path / "case", tmp_path / "nowhere", story.evidence / "ca")
    assert code == 3
    assert "nowhere does not exist" in err
    assert "certificate" in out
    code, out, _ = run("add", tmp_path / "case", "--json", tmp_path / "nowhere", story.evidence / "ca")
    assert code == 3
    assert [row["duplicate"] for row in json.loads(out)] == [1]


@pytest.mark.parametrize("what", ["junk", "truncated", "empty", "folder", "none"])
def test_what_has_nothing_in_it_needs_a_person(run: Run, story: Story, tmp_path: Path, what: str) -> None:
    run("init", tmp_path / "case")
    place = tmp_path / "evidence"
    if what == "folder":
        place.mkdir()
    elif what == "none":
        (place / "empty" / "deeper").mkdir(parents=True)
    else:
        view = (story.evidence / "database" / "view.txt").read_bytes()
        place.write_bytes({"junk": bytes(range(256)) * 20, "truncated": view[:9_000], "empty": b""}[what])
    code, out, err = run("add", tmp_path / "case", "--json", place)
    rows = json.loads(out)
    assert len(rows) == (0 if what in ("folder", "none") else 1)
    assert all(r["units"] == r["parsed"] + r["irrelevant"] + r["duplicate"] + r["rejected"] > 0 for r in rows)
    if what == "truncated":
        assert rows[0]["parsed"] > 1
    else:
        assert code == 1
        assert err
    rejects = json.loads(run("table", tmp_path / "case", "rejects", "--format", "json")[1])
    assert len(rejects) == sum(r["rejected"] for r in rows)


@pytest.mark.skipif(os.name != "posix", reason="needs pipes, devices and names of any bytes")
def test_odd_paths_neither_wait_nor_command_the_terminal(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path / "case")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    odd = tmp_path / os.fsdecode(b"a\n\x1b]0;b\xff.eml")
    odd.write_bytes(b"From: a@b\r\nSubject: x\r\n\r\nhello\r\n")
    for path in ("/dev/zero", tmp_path / "pipe", tmp_path / "dangling", str(odd) + "gone"):
        code, _, err = run("add", tmp_path / "case", path)
        assert code == 3
        assert len(err.splitlines()) == 1
        assert "\x1b]0" not in err
    code, out, err = run("add", tmp_path / "case", odd)
    assert code == 0
    assert "\x1b" not in out + err
    text = run("table", tmp_path / "case", "evidence", "--format", "json")[1]
    assert json.loads(text)[0]["path"].endswith("a\n\x1b]0;b\\udcff.eml")


def test_a_file_that_may_not_be_read_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("init", tmp_path / "case")
    (tmp_path / "a.eml").write_bytes(b"From: a@b\r\n\r\nx\r\n")
    (tmp_path / "b.eml").write_bytes(b"From: a@b\r\n\r\ny\r\n")
    real = CaseFolder.store

    def store(self: CaseFolder, source: Path) -> Any:
        if source.name == "a.eml":
            raise PathError(f"{source} cannot be opened: Permission denied.")
        return real(self, source)

    monkeypatch.setattr(CaseFolder, "store", store)
    code, out, err = run("add", tmp_path / "case", tmp_path / "a.eml", tmp_path / "b.eml")
    assert code == 3
    assert "Permission denied" in err
    assert "b.eml" in out


def test_a_busy_case_says_so(
    refused: Callable[..., str], story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "LOCK_PATIENCE_SECONDS", 0.1)
    case = story.copy("added", tmp_path)
    with CaseFolder(case.path).locked():
        assert "in use" in refused(3, "add", case.path, story.evidence)
        assert "in use" in refused(3, "decide", case.path, "--all", "orphaned", "--action", "leave", "--by", "Ada")


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_arrives_as_its_schema_says(run: Run, story: Story, tmp_path: Path, name: str) -> None:
    case = story.place / "signed"
    code, text, err = run("table", case, name, "--format", "json")
    assert (code, err) == (0, "")
    rows = json.loads(text)
    columns = [c for c in TABLES[name].columns if not c.private]
    kinds = {"integer": int, "flag": bool, "list": list, "text": str, "time": str}
    for row in rows:
        assert list(row) == [c.name for c in columns]
        for column in columns:
            value = row[column.name]
            if value is None:
                assert column.kind != "list"
                continue
            assert type(value) is kinds[column.kind], column
            assert value != "" or column.name == "figure"
            if column.kind == "time":
                assert str(value).endswith("Z")
                assert pd.Timestamp(str(value)).tzinfo is not None
    code, text, err = run("table", case, name)
    assert (code, err) == (0, "")
    cells = list(csv.DictReader(io.StringIO(text)))
    assert text.splitlines()[0] == ",".join(c.name for c in columns)
    assert len(cells) == len(rows)
    for cell, row in zip(cells, rows, strict=True):
        for column in columns:
            value = row[column.name]
            expected = {"list": json.dumps(value, ensure_ascii=False), "flag": str(value).lower()}.get(
                column.kind, str(value)
            )
            assert cell[column.name].replace("\r\n", "\n") == ("" if value is None else expected.replace("\r\n", "\n"))
    for form in ("json", "csv", "parquet"):
        place = tmp_path / f"table.{form}"
        assert run("table", case, name, "--format", form, "--output", place) == (0, "", "")
        if form == "json":
            assert json.loads(place.read_text(encoding="utf-8")) == rows
        elif form == "parquet":
            assert len(pd.read_parquet(place)) == len(rows)


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"coverage", "first_steps"}))
def test_a_table_of_an_empty_case_is_empty(run: Run, tmp_path: Path, name: str) -> None:
    run("init", tmp_path / "case")
    assert run("table", tmp_path / "case", name, "--format", "json") == (0, "[]\n", "")


def test_a_table_arrives_whole_through_a_pipe(story: Story) -> None:
    command = [sys.executable, "-m", "carecover.cli", "table", str(story.place / "signed"), "notifications"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([*command, "--format", "json"], capture_output=True, env=environment, check=True)
    assert not done.stderr
    expected = TABLES["notifications"].to_json(Case.open(story.place / "signed").table("notifications"))
    assert json.loads(done.stdout.decode("utf-8")) == json.loads(expected)


def test_a_table_commands_no_terminal_and_arrives_elsewhere_as_it_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = (
        "Subject: Your certificate has been issued by Corp CA\nDate: Thu, 01 Oct 2026 08:52:00 +0000\n"
        'Content-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: 8bit\n\n'
        "Request ID: 9\nRequester Name: CORP\\\x1b]0;owned\x07\u202efdp\n"
        "Serial Number: 4400000009aabbccddeeff0011000000000009\n"
    )
    (tmp_path / "one.eml").write_text(mail, encoding="utf-8")
    run("init", tmp_path / "case", "--ca", "Corp CA")
    run("add", tmp_path / "case", tmp_path / "one.eml")
    _, piped, _ = run("table", tmp_path / "case", "notifications")
    assert "\x1b]0;owned\x07\u202efdp" in piped
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _, shown, _ = run("table", tmp_path / "case", "notifications")
    assert "·]0;owned··fdp" in shown
    assert all(line.isprintable() for line in shown.split("\n"))
    assert len(shown.split("\n")) == len(piped.split("\n"))


# ---------------------------------------------------------------- proof


def test_nothing_verified_is_nothing_proved(run: Run, story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path).path
    (tmp_path / "empty").mkdir()
    assert run("verify", case, tmp_path / "empty")[0] == 1
    (tmp_path / "junk").write_bytes(b"junk")
    code, out, err = run("verify", case, tmp_path / "junk", tmp_path / "nowhere")
    assert code == 3
    assert "nowhere" in err
    assert "verdict" in out
    run("decide", case, "--all", "orphaned", "--action", "undecided", "--by", ANALYST)
    assert run("table", case, "outcomes", "--format", "json") == (0, "[]\n", "")


def test_files_that_are_no_proof_are_called_so(run: Run, story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path).path
    (tmp_path / "note.txt").write_text("hello world", encoding="ascii")
    (tmp_path / "empty").mkdir()
    authority = next(story.evidence.rglob("ca/*.cer"))
    for what in ([tmp_path / "note.txt"], [tmp_path / "note.txt", authority], [authority]):
        code, _, err = run("verify", case, *what)
        assert code == 1
        assert "nothing new is proved" in err
        assert all(path.name in err for path in what)
    code, _, err = run("verify", case, tmp_path / "empty")
    assert (code, "There was no file in what you named" in err) == (1, True)
    code, _, err = run("verify", case, next(story.evidence.rglob("*.crl")), tmp_path / "note.txt")
    assert "nothing new is proved" not in err, "with a list, a note beside it is no trouble"


def test_what_is_not_proved_comes_first_with_its_whole_reason(
    run: Run, story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = story.copy("signed", tmp_path).path
    monkeypatch.setattr(cli, "_columns", lambda: 80)
    code, out, err = run("rehearse", case)
    assert code in (0, 1), (out, err)
    rows = json.loads(run("table", case, "outcomes", "--format", "json")[1])
    assert rows == [], "a rehearsal proves nothing"
    assert "proved: " in out
    (tmp_path / "note.txt").write_text("hello world", encoding="ascii")
    _, out, _ = run("verify", case, tmp_path / "note.txt")
    rows = json.loads(run("table", case, "outcomes", "--format", "json")[1])
    assert {row["verdict"] for row in rows} == {"pending"}
    assert f"pending: {len(rows)}\n" in out
    for why in {row["why"] for row in rows}:
        assert out.split().count(why.split()[-1]) >= 1
        assert why in " ".join(out.split())
    assert "…" not in out.replace("… and", "")
    assert all(len(line) <= 80 for line in out.splitlines())


def test_what_nobody_decided_is_not_shown_as_something_that_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"action": a, "verdict": "proved", "why": "x", "serial": "44"} for a in ("revoke", "undecided")]
    cli._print_outcomes(TABLES["outcomes"].frame(rows))
    out = capsys.readouterr().out
    assert "1 undecided: nobody decided" in out
    assert "  1 revoke\n" in out


def test_on_a_narrow_terminal_a_file_is_told_by_its_name(
    run: Run, story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = tmp_path / "case"
    run("init", case)
    monkeypatch.setattr(cli, "_columns", lambda: 80)
    out = run("add", case, story.evidence)[1]
    assert all(len(line) <= 80 for line in out.splitlines())
    assert all(path.name in out for path in story.evidence.rglob("*") if path.is_file())


def test_what_a_kind_means_and_a_suggestion_means_is_printed(run: Run, story: Story, tmp_path: Path) -> None:
    case = story.copy("added", tmp_path).path
    out = " ".join(run("gaps", case)[1].split())
    findings = json.loads(run("gaps", case, "--json")[1])["findings"]
    for kind in {row["kind"] for row in findings}:
        assert KIND_MEANINGS[kind] in out
    reasons = {row["suggested_reason"] for row in findings if row["suggested_action"] == "revoke"}
    assert reasons
    assert all(f"revoke {r} = {RevocationReason(r).designation}" in out for r in reasons)
    mail_only = [r for r in findings if r["kind"] == "orphaned" and "mail_only" in r["circumstances"]]
    assert mail_only
    assert f"{len(mail_only)} of them: {CIRCUMSTANCES['mail_only']}" in out


def test_a_printed_command_names_the_case(run: Run, tmp_path: Path) -> None:
    case = tmp_path / "my case"
    run("init", case)
    out = " ".join(run("gaps", case)[1].split())
    assert f"carecover init '{case}'" in out
    assert "CASE" not in out


def test_a_question_does_not_keep_back_what_needs_no_database(run: Run, story: Story, tmp_path: Path) -> None:
    """A view that overlaps is asked about; what to do meanwhile is told all the same."""
    made = story.copy("added", tmp_path)
    view = next(p for p in (story.evidence / "database").iterdir() if p.name.startswith("view"))
    shorter = tmp_path / "older.csv"
    shorter.write_bytes(b"".join(view.read_bytes().splitlines(keepends=True)[:-3]))
    run("add", made.path, shorter)
    code, out, err = run("gaps", made.path)
    assert code == QuestionError.exit_code
    assert "What to do first" in out
    assert "Keep the CA in maintenance mode" in out
    assert "Settle which view is the database" in out
    assert "Findings:" not in out, "nothing was compared"
    named = re.search(r"carecover baseline (.*) --by YOUR-NAME", err)
    assert named, err
    assert str(made.path) in named[1]
    assert run("table", made.path, "first_steps")[0] == 0
    words = shlex.split(named[0].replace("YOUR-NAME", "Ada"))
    assert run(*words[1:])[0] == 0, "the command that is printed can be run"
    assert "Findings:" in run("gaps", made.path)[1]


def test_a_printed_command_is_not_broken_by_the_edge_of_the_terminal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("init", "my-case")
    for width in (64, 71, 80, 99):
        monkeypatch.setattr(cli, "_columns", lambda width=width: width)
        lines = run("gaps", "my-case")[1].splitlines()
        for word in ("yes", "no"):
            assert any(f"carecover init my-case --key-exposed {word}" in line for line in lines), width


def test_what_is_left_out_is_told_once_for_each_reason(
    run: Run, story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = story.copy("added", tmp_path).path
    out = run("decide", case, "--all", "orphaned", "--action", "suggested", "--by", ANALYST)[1]
    assert out.count("a person must decide") == 1
    left = [row for row in json.loads(run("table", case, "findings", "--format", "json")[1])
            if row["kind"] == "orphaned" and (row["infrastructure"] or row["suggested_action"] is None)]  # fmt: skip
    assert left
    assert all(row["serial"] in out for row in left)
    monkeypatch.setattr(cli, "_LEFT_OUT", 1)
    out = run("decide", case, "--all", "orphaned", "--action", "suggested", "--by", ANALYST)[1]
    assert "more: carecover table " in " ".join(out.split())
    assert sum(row["serial"] in out for row in left) < len(left)


def test_where_rejects_are_is_a_command_that_can_be_run(run: Run, tmp_path: Path) -> None:
    case = tmp_path / "case"
    run("init", case)
    (tmp_path / "odd.crl").write_bytes(b"\x30\x82\x03\xe8 no list")
    code, _, err = run("add", case, tmp_path / "odd.crl")
    assert (code, f"carecover table {case} rejects" in err) == (1, True)


def test_a_waiver_and_a_baseline_say_that_they_are_kept(run: Run, story: Story, tmp_path: Path) -> None:
    case = story.copy("added", tmp_path).path
    code, out, _ = run("waive", case, "--note", "undecided: owners are asked", "--by", ANALYST)
    assert (code, "owners are asked" in out, ANALYST in out) == (0, True, True)
    views = json.loads(run("table", case, "views", "--format", "json")[1])
    code, out, _ = run("baseline", case, views[0]["evidence_id"], "--by", ANALYST)
    assert (code, views[0]["evidence_id"] in out) == (0, True)


def test_the_hashes_to_compare_are_of_files_that_are_there(run: Run, story: Story, tmp_path: Path) -> None:
    case, bundle = story.copy("signed", tmp_path).path, tmp_path / "bundle"
    err = run("batch", case, "--output", bundle)[2]
    named = re.findall(r"-hashfile (\S+)", err)
    assert named
    assert all((bundle / name).is_file() for name in named)


# ---------------------------------------------------------------- demo and simulate


def test_simulate_writes_an_incident(run: Run, refused: Callable[..., str], tmp_path: Path) -> None:
    code, out, err = run("simulate", tmp_path / "i", "--certificates", "30", "--seed", "4")
    assert (code, err) == (0, "")
    assert all(Path(line).exists() for line in out.split())
    assert "not empty" in refused(4, "simulate", tmp_path / "i")


def test_the_demonstration(
    run: Run, refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "Scenario", partial(Scenario, certificates=40))
    out = tmp_path / "demo"
    parts = ("evidence", "case", "bundle/revoke.cmd", "report.html")
    code, summary, progress = run("demo", "--out", out)
    assert code == 0
    assert "no real CA was touched" in summary
    assert "7/7" in progress
    assert all((out / part).exists() for part in parts)
    assert run("check", out / "case")[0] == 0
    shown = run("verify", out / "case", *(out / "bundle" / part for part in ("logs", "out")))
    assert (shown[0], shown[2]) == (0, ""), "the demonstration forgets no revocation"
    before = (out / "truth.json").read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(demo, "_decide", _interrupt)
        code, _, err = run("demo", "--out", out, "--seed", "2")
    assert code == 130
    assert "Interrupted" in err
    assert not (out / "report.html").exists()
    assert run("demo", "--out", out, "--seed", "2")[0] == 0
    assert (out / "truth.json").read_bytes() != before
    assert all((out / part).exists() for part in parts)

    (out / "notes.txt").write_text("mine")
    assert "notes.txt" in refused(4, "demo", "--out", out)
    assert all((out / part).exists() for part in parts), "nothing is removed before it is known that all may be"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    refused(4, "demo", "--out", tmp_path / "mine")
    assert (tmp_path / "mine" / "file").read_text() == "mine"


def test_the_demonstration_follows_every_suggestion(story: Story, tmp_path: Path) -> None:
    case = story.copy("added", tmp_path)
    findings = case.findings
    proved = findings[findings["suggested_action"].notna()].set_index("finding_id")
    assert proved["infrastructure"].astype(bool).any(), "one by one, as no act on many takes them"
    demo._decide(case)
    decided = case.table("decisions").set_index("finding_id").loc[proved.index]
    assert list(decided["action"]) == list(proved["suggested_action"])


def _interrupt(*_arguments: object) -> None:
    raise KeyboardInterrupt


def test_the_last_line_of_defence_is_a_sentence(
    capfd: pytest.CaptureFixture[str], story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_case: Case, **_named: object) -> None:
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(Case, "check", broken)
    monkeypatch.delenv("CARECOVER_DEBUG", raising=False)
    assert main(["check", str(story.place / "added")]) == 5
    out, err = capfd.readouterr()
    assert out == ""
    assert "first second" in err
    assert len(err.splitlines()) == 1
    monkeypatch.setenv("CARECOVER_DEBUG", "1")
    with pytest.raises(RuntimeError):
        main(["check", str(story.place / "added")])


def test_who_hands_in_mails_that_nothing_explains_is_told_what_to_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "box").write_bytes(b"From ca@corp.example Sat Jul 11 13:17:00 2026\nSubject: Neues Papier\n\nNr. 44\n")
    run("init", tmp_path / "case")
    code, _, err = run("add", tmp_path / "case", tmp_path / "box")
    assert code == 0
    assert "No mail is explained by a known wording." in err
    assert "carecover profile" in err
