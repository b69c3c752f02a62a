"""The report of a case as its commands write it: fields that stay, and an edition for outsiders, all recomputed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from carecover import Case
from carecover.cli import main
from carecover.errors import CaseError, UsageError
from carecover.report import AUDIENCES, FIELDS, FORMS, LANGUAGES, make_document, render_json
from carecover.report import redacted as outsiders
from tests.small_case import ANALYST, REVIEWER, Story

from . import sample


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story.begin(tmp_path_factory.mktemp("story"))


def body(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_what_people_wrote_stands_in_every_later_report_until_it_is_written_anew(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    case.report(
        tmp_path / "1.md", fields={"cause": "The array failed.", "lessons": "Back up hourly | Anna | 2026-12-31"}
    )
    case.report(tmp_path / "2.md", audience="leadership")
    case.report(tmp_path / "3.md", audience="leadership", fields={"cause": ""})
    assert "The array failed." in body(tmp_path / "2.md")
    assert "| Back up hourly | Anna | 2026\\-12\\-31 |" in body(tmp_path / "2.md")
    assert "The array failed." not in body(tmp_path / "3.md")
    assert "Back up hourly" in body(tmp_path / "3.md")
    assert case.check() == []


@pytest.mark.parametrize(
    "fields",
    [{"blame": "x"}, {"cause": "x" * 8_001}, {"lessons": "later | Anna | soon"}],
)
def test_a_field_that_there_is_not_is_refused_and_nothing_is_written(
    story: Story, tmp_path: Path, fields: dict[str, str]
) -> None:
    case = story.copy("signed", tmp_path)
    with pytest.raises(UsageError):
        case.report(tmp_path / "1.md", fields=fields)
    assert not (tmp_path / "1.md").exists()


def test_the_edition_for_outsiders_names_nobody_and_keeps_its_pseudonyms(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    case.report(tmp_path / "full.json", fields={"cause": "Bob did it."})
    case.report(tmp_path / "1.json", edition="redacted")
    case.report(tmp_path / "2.json", edition="redacted", language="de")
    full, first, second = (body(tmp_path / name) for name in ("full.json", "1.json", "2.json"))
    findings = case.findings
    names = {*findings["requester"].dropna(), *findings["subject"].dropna(), ANALYST, REVIEWER, str(case.facts.ca)}
    names |= {part for name in names for part in re.split(r"[\\=,@/ ]+", name) if re.search(r"[0-9]", part[1:])}
    spelled = {json.dumps(name, ensure_ascii=False)[1:-1] for name in names}
    assert any(name in full for name in spelled)
    assert [name for name in spelled if name in first or name in second] == []
    assert "Bob did it." not in first
    pseudonyms = [set(re.findall(r"account-[0-9a-f]{12}", text)) for text in (first, second)]
    assert pseudonyms[0] == pseudonyms[1] != set()
    assert set(findings["serial"].dropna()) <= set(re.findall(r"[0-9a-f]{20,}", first)), "or nobody outside could act"
    key = (case.path / "reports" / "pseudonyms.key").read_bytes()
    assert key.hex() not in first + second + body(case.path / "journal.jsonl")
    assert case.check() == []


@pytest.mark.thorough
def test_another_case_has_other_pseudonyms(story: Story, tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        case = story.copy("signed", tmp_path / name)
        case.report(tmp_path / f"{name}.json", edition="redacted")
        found.append(set(re.findall(r"account-[0-9a-f]{12}", body(tmp_path / f"{name}.json"))))
    assert not found[0] & found[1]


@pytest.mark.thorough
def test_a_key_that_was_changed_makes_no_other_pseudonyms(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    case.report(tmp_path / "1.json", edition="redacted")
    (case.path / "reports" / "pseudonyms.key").write_bytes(b"x" * 32)
    with pytest.raises(CaseError, match="was changed"):
        case.report(tmp_path / "2.json", edition="redacted")
    assert any("pseudonyms.key" in problem for problem in case.check())


def test_tables_for_outsiders_hold_only_what_is_decided_about(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    case.report(tmp_path / "t.zip", edition="redacted")
    given = {name: case.table(name) for name in outsiders.SHOWN}
    shown = outsiders.tables(given, outsiders.Pseudonyms(b"k" * 32))
    assert set(shown) == set(outsiders.SHOWN)
    for name, table in shown.items():
        assert len(table) == len(given[name])
    assert set(shown["coverage"]["aspect"]) == set(given["coverage"]["aspect"]), "an aspect is new: is it ours to tell?"


def test_the_command_takes_fields_languages_and_readers(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = story.copy("signed", tmp_path)
    target = tmp_path / "r.md"
    options = ["--language", "de", "--for", "legal", "--field", "lessons=A", "--field", "lessons=B | Eva"]
    assert main(["report", str(case.path), "--output", str(target), *options]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert "## Zusammenfassung" in body(target)
    assert "| B | Eva | — |" in body(target)
    assert main(["report", str(case.path), "--output", str(target), "--field", "lessons"]) == 2
    assert main(["report", str(case.path), "--output", str(tmp_path / "r.rtf")]) == 2
    assert main(["report", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for word in (*LANGUAGES, *AUDIENCES, *FIELDS, *FORMS):
        assert word in told


@pytest.mark.parametrize("audience", AUDIENCES[1:])
def test_each_reader_gets_the_summary_the_risks_and_the_lessons(audience: str) -> None:
    whole = [section.key for section in make_document(**sample.realistic()).sections]
    part = [section.key for section in make_document(**sample.realistic(), audience=audience).sections]
    assert part == [key for key in whole if key in part]
    assert {"summary", "happened", "risks", "lessons"} <= set(part)
    assert (audience == "technical") == (part == whole)


@pytest.mark.parametrize(("name", "language"), [("realistic", "de"), ("empty", "en"), ("hostile", "en")])
def test_the_json_is_what_its_schema_says_and_nothing_else(name: str, language: str) -> None:
    schema = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text(encoding="utf-8"))
    case = getattr(sample, name)()
    found = json.loads(render_json(make_document(**case, language=language)))
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)
    assert [problem.message[:200] for problem in checker.iter_errors(found)] == []
    for name_of_key in found if name == "empty" else ():
        less = {key: value for key, value in found.items() if key != name_of_key}
        assert not checker.is_valid(less)


def test_an_unknown_reader_is_refused() -> None:
    with pytest.raises(UsageError, match="there is one for: all, leadership"):
        make_document(**sample.empty(), audience="press")


@pytest.mark.thorough
def test_the_opened_case_still_recomputes_what_was_handed_out(story: Story, tmp_path: Path) -> None:
    case = story.copy("signed", tmp_path)
    for form in (".docx", ".xlsx"):
        case.report(tmp_path / f"r{form}")
    assert Case.open(case.path).check() == []
