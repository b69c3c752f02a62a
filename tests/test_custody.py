"""What was done can be shown: every byte answers for itself, cut-off ends show, and another machine gets the same."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from carecover import custody, folder, keys
from carecover.case import Case
from carecover.errors import CaseError, PathError, UsageError
from carecover.folder import CaseFolder
from carecover.journal import Journal, preimage
from carecover.model import canonical_json, sha256_hex
from tests.small_case import ANALYST, REVIEWER, Clock, Story

PASSWORD: Final = "four plain words to remember"
# Forms of a report that take long to draw or to pack.
SLOW: Final = tuple(pytest.param(form, marks=pytest.mark.thorough) for form in ("docx", "pdf", "zip"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with a case that went all the way: signed by key, exported, rehearsed, verified, reported, mended."""
    place = tmp_path_factory.mktemp("whole")
    story = Story.begin(place / "story")
    case = story.copy("decided", place)
    for person, name, role in ((ANALYST, "ada", "analyst"), (REVIEWER, "rob", "reviewer")):
        keys.make_key(place / f"{name}.key", PASSWORD)
        case.sign_off(by=person, role=role, key=place / f"{name}.key", password=PASSWORD)
    case.batch(place / "bundle")
    run = case.rehearse()
    shutil.copytree(run.directory / "logs", place / "logs")
    # What a rehearsal left proves nothing; the list from before the work is the CA's.
    case.verify([story.evidence / "crl"])
    case.report(place / "report.html")
    with (case.path / "journal.jsonl").open("ab") as stream:
        stream.write(b'{"act":"dec')
    case.report(place / "journal.jsonld")
    return place


def entries(case: Path) -> list[Any]:
    return list(Journal(case / "journal.jsonl").entries())


def copied(whole: Path, to: Path) -> Path:
    shutil.copytree(whole / "case", to / "case")
    return to / "case"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is computed again: what a changed byte is found by must not need it."""

    def nothing(*_: object) -> Iterator[str]:
        yield from ()

    monkeypatch.setattr(Case, "_come_out_again", nothing)


# ---------------------------------------------------------------- what the journal says


def test_every_act_says_who_when_where_and_by_what(whole: Path) -> None:
    told = entries(whole / "case")
    assert {"create", "add", "decide", "sign", "export", "rehearsal", "verify", "report", "result"} <= {
        e.act for e in told
    }
    for entry in told:
        assert set(entry.how) >= {"version", "command", "account", "host", "offset"}, entry
        assert entry.at.endswith("Z")
        assert entry.how["offset"][0] in "+-"
        assert sha256_hex(preimage(entry)) == entry.digest
    of = {number for entry in told if entry.act == "result" for number in entry.details["of"]}
    assert of == {entry.number for entry in told if entry.act in ("add", "verify")}


def test_the_command_is_named(tmp_path: Path) -> None:
    from carecover.cli import main  # noqa: PLC0415

    assert main(["init", str(tmp_path / "c"), "--ca", "Example CA"]) == 0
    Case.create(tmp_path / "c", failure="2026-10-06T11:47Z")
    assert [e.how["command"] for e in entries(tmp_path / "c")] == ["carecover init", "python"]


@pytest.mark.skipif(os.name != "posix", reason="Windows reads no TZ")
def test_the_local_offset_is_the_machines(tmp_path: Path) -> None:
    code = f"from carecover import Case; Case.create({str(tmp_path / 'c')!r})"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "TZ": "Asia/Kathmandu"})
    (entry,) = entries(tmp_path / "c")
    assert entry.how["offset"] == "+05:45"


# ---------------------------------------------------------------- a changed byte


@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.thorough) for n in range(1, 20))])
def test_a_changed_byte_of_any_file_is_found_and_the_file_is_named(
    whole: Path, tmp_path: Path, quick: None, part: int
) -> None:
    assert quick is None
    case = copied(whole, tmp_path)
    keep_a_stamp(case, tmp_path)
    names = [name for name in CaseFolder(case).files() if (case / name).stat().st_size]
    tops = {name.partition("/")[0] for name in names}
    assert tops == {
        *("case.json", "journal.jsonl", "journal.torn", "decisions.jsonl"),
        *("evidence", "plans", "runs", "reports", "cache"),
    }
    chance = random.Random(part)
    assert Case.open(case).check() == []
    for name in names:
        path = case / name
        path.chmod(0o600)
        good = path.read_bytes()
        # The last byte, a line's end often, is the likeliest to be overlooked; what opens a case is tried byte by byte.
        more = range(part - 1, len(good), 19) if part and name == "case.json" else ()
        for place in {len(good) - 1, chance.randrange(len(good)), *more}:
            path.write_bytes(good[:place] + bytes([good[place] ^ 1 << chance.randrange(8)]) + good[place + 1 :])
            try:
                found = list(Case.open(case).check())
            except CaseError as error:
                # A case.json that is no JSON any more: what cannot be opened is named as well.
                found = [str(error)]
            named = name if not name.startswith("cache/") else name.rpartition("/")[0]
            assert any(named in text.replace("\\", "/") for text in found), (name, place, found)
        path.write_bytes(good)
    assert Case.open(case).check() == []


def keep_a_stamp(case: Path, place: Path) -> None:
    """One more kind of file, where openssl and the library are here to make it."""
    if shutil.which("openssl") is None or importlib.util.find_spec("rfc3161_client") is None:
        return
    from tests.test_stamps import Authority  # noqa: PLC0415 - skipped without that library

    opened, authority = Case.open(case), Authority.found(place / "authority", "Example")
    opened.report(place / "head.tsq")
    opened.add([authority.answer(place / "head.tsq", place / "head.tsr")], authority=authority.root)


def test_what_nobody_made_is_named(whole: Path, tmp_path: Path, quick: None) -> None:
    assert quick is None
    case = copied(whole, tmp_path)
    (case / "evidence" / "note.txt").write_text("mine")
    (case / "plans" / "link").symlink_to(tmp_path)
    (told,) = case_problems(case)
    assert "note.txt" in told
    assert "link" in told
    (case / "evidence" / "note.txt").unlink()
    (case / "plans" / "link").unlink()
    assert case_problems(case) == []


def case_problems(case: Path, **how: Any) -> list[str]:
    return list(Case.open(case).check(**how))


def test_a_forged_cache_is_found_by_computing_anew(whole: Path, tmp_path: Path) -> None:
    case = copied(whole, tmp_path)
    opened = CaseFolder(case)
    (key,) = [p.name for p in (case / "cache").glob("tables-*")]
    tables = opened.load_tables(key)
    assert tables is not None
    opened.keep_tables(key, {**tables, "notifications": tables["notifications"].head(1)})
    assert len(Case.open(case).table("notifications")) == 1, "a seal that was made anew holds"
    assert any("notifications" in text and "cache" in text for text in case_problems(case))


def test_a_journal_that_was_written_anew_does_not_keep_the_signatures(whole: Path, tmp_path: Path, quick: None) -> None:
    assert quick is None
    case = copied(whole, tmp_path)
    rewrite(case, lambda record: record["details"].update(rows=0) if record["act"] == "decide" else None)
    found = case_problems(case)
    assert sum("does not hold under the key" in text for text in found) == 2, found
    assert Case.open(case).sign_offs() == ()


def rewrite(case: Path, change: Any) -> None:
    """What somebody does who can write to the folder and knows how: a chain that holds, of another content."""
    lines, previous = [], "0" * 64
    for line in (case / "journal.jsonl").read_bytes().splitlines():
        record = json.loads(line)
        change(record)
        record["previous"] = previous
        del record["digest"]
        record["digest"] = previous = sha256_hex(canonical_json(record))
        lines.append(canonical_json(record) + b"\n")
    (case / "journal.jsonl").write_bytes(b"".join(lines))


# ---------------------------------------------------------------- a cut-off end


@pytest.mark.parametrize("form", ["bundle", "bundle.zip", "report.html", "journal.jsonld"])
def test_a_cut_off_end_shows_by_what_was_handed_out(whole: Path, tmp_path: Path, quick: None, form: str) -> None:
    assert quick is None
    case = copied(whole, tmp_path)
    checked = Case.open(case).check(against=[whole / form])
    assert checked == []
    assert len(checked.notes) == 1
    first = {"bundle": "export", "bundle.zip": "export"}.get(form, "report")
    acts = entries(case)
    at = next(e.number for e in (reversed(acts) if form == "journal.jsonld" else acts) if e.act == first)
    lines = (case / "journal.jsonl").read_bytes().splitlines(keepends=True)
    # The head that is printed is that of before the act itself.
    (case / "journal.jsonl").write_bytes(b"".join(lines[: at - 2]))
    assert any(
        form in text and "does not hold the head" in text for text in case_problems(case, against=[whole / form])
    )


@pytest.mark.parametrize("form", ["de.html", "md", "json", "xlsx", *SLOW])
def test_every_form_of_a_report_names_the_head(whole: Path, tmp_path: Path, quick: None, form: str) -> None:
    assert quick is None
    if form == "pdf":
        pytest.importorskip("weasyprint")
    case = copied(whole, tmp_path)
    head = entries(case)[-1].digest
    handed_out = Case.open(case).report(tmp_path / f"r.{form}", language="de" if form.startswith("de") else "en")
    assert head in {*(found := custody.anchor(handed_out)).heads, *found.digests}
    checked = Case.open(case).check(against=[handed_out])
    assert (list(checked), len(checked.notes)) == ([], 1)
    if form in ("xlsx", "zip"):
        # The tables say of which report they are, as the journal does.
        names = {"xlsx": "docProps/core.xml", "zip": "README.txt"}
        with zipfile.ZipFile(handed_out) as archive:
            assert f"report: {entries(case)[-1].details['document']}" in archive.read(names[form]).decode()
    lines = (case / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (case / "journal.jsonl").write_bytes(b"".join(lines[:-2]))
    assert any(handed_out.name in text for text in case_problems(case, against=[handed_out]))


@pytest.mark.parametrize("how", ["as it is", "as UTF-16", "of an older batch"])
def test_a_transcript_knows_the_head_of_its_bundle(whole: Path, tmp_path: Path, quick: None, how: str) -> None:
    assert quick is None
    case = copied(whole, tmp_path)
    data = next((whole / "logs").glob("*.log")).read_bytes()
    lines = (case / "journal.jsonl").read_bytes().splitlines(keepends=True)
    at = next(e.number for e in entries(case) if e.act == "rehearsal")
    # The batch of a rehearsal is made for it, from the journal as it is then.
    assert f"@@CR journal-head {entries(case)[at - 2].digest}\r\n".encode() in data
    if how == "of an older batch":
        # It names the plan alone: the act that exported it must be there.
        data = b"".join(line for line in data.splitlines(keepends=True) if b"journal-head" not in line)
        at = next(e.number for e in entries(case) if e.act == "export") + 1
    log = tmp_path / "apply.log"
    log.write_bytes(data.decode("ascii").encode("utf-16") if how == "as UTF-16" else data)
    assert case_problems(case, against=[log]) == []
    (case / "journal.jsonl").write_bytes(b"".join(lines[: at - 2]))
    assert any("apply.log" in text and "does not hold the head" in text for text in case_problems(case, against=[log]))


def test_a_head_can_be_typed(whole: Path, tmp_path: Path, quick: None) -> None:
    assert quick is None
    case = copied(whole, tmp_path)
    head = entries(case)[-1].digest
    assert case_problems(case, head=head) == case_problems(case, head=head[:12].upper()) == []
    lines = (case / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (case / "journal.jsonl").write_bytes(b"".join(lines[:-1]))
    assert any("cut off" in text for text in case_problems(case, head=head))
    for odd in ("", "abc", "g" * 64, "0" * 65):
        with pytest.raises(UsageError, match="64 hexadecimal"):
            case_problems(case, head=odd)


def test_what_names_no_head_is_refused(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("no digest here")
    (tmp_path / "zip").write_bytes(b"PK\3\4" + bytes(100))
    for name in ("letter", "zip"):
        with pytest.raises(UsageError, match="names no head"):
            Case.open(whole / "case").check(against=[tmp_path / name])
    for gone in ("nowhere", "a\0b"):
        with pytest.raises(PathError, match="cannot be opened"):
            Case.open(whole / "case").check(against=[tmp_path / gone])
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"journal_head": "ab" * 32}))
    assert custody.anchor(other).heads == ("ab" * 32,)


def test_of_a_pdf_only_the_label_counts(whole: Path, tmp_path: Path) -> None:
    head = entries(whole / "case")[-2].digest.encode()
    looks_like_one = b"/ID [(" + b"ab" * 32 + b")]"
    for name, said in (("with.pdf", b"/Keywords (journal head: " + head + b"; plan: x)"), ("without.pdf", b"nothing")):
        (tmp_path / name).write_bytes(b"%PDF-1.7\nstream\r\n" + zlib.compress(said) + b"\nendstream " + looks_like_one)
    assert custody.anchor(tmp_path / "with.pdf").heads == (head.decode(),)
    with pytest.raises(UsageError, match="names no head"):
        custody.anchor(tmp_path / "without.pdf")


# ---------------------------------------------------------------- owner only


@pytest.mark.skipif(os.name != "posix", reason="Windows has other rights")
def test_nobody_else_can_read_a_case(whole: Path, tmp_path: Path, quick: None) -> None:
    assert quick is None
    for path in (whole / "case", *(whole / "case").rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode & 0o077 == 0, path
    case = copied(whole, tmp_path)
    case.chmod(0o755)
    (told,) = case_problems(case)
    assert "others than its owner" in told


# ---------------------------------------------------------------- nothing leaves by the way


def test_no_byte_that_was_written_holds_the_password(whole: Path) -> None:
    spelled = [PASSWORD.encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be")]
    spelled += [base64.b64encode(spelled[0]).rstrip(b"="), spelled[0].hex().encode()]
    files = [path for path in whole.rglob("*") if path.is_file()]
    assert len(files) > 50
    for path in files:
        for part in custody._parts(path.read_bytes()):
            assert not any(word in part for word in spelled), path


@pytest.mark.parametrize("form", ["html", "md", "json", "xlsx", "bundle", *SLOW])
def test_what_is_handed_out_does_not_name_the_account_or_the_machine(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    if form == "pdf":
        pytest.importorskip("weasyprint")
    case = copied(whole, tmp_path)
    marks = ("account-of-the-machine", "name-of-the-machine")
    monkeypatch.setattr("getpass.getuser", lambda: marks[0])
    monkeypatch.setattr("platform.node", lambda: marks[1])
    opened = Case.open(case)
    opened.waive("hash: looked at", by=ANALYST)
    assert dict(entries(case)[-1].how).items() >= {"account": marks[0], "host": marks[1]}.items()
    if form == "bundle":
        for person, role in ((ANALYST, "analyst"), (REVIEWER, "reviewer")):
            opened.sign_off(by=person, role=role)
        opened.batch(tmp_path / "out")
        written = [p for p in (tmp_path / "out.zip", *(tmp_path / "out").rglob("*")) if p.is_file()]
    else:
        written = [opened.report(tmp_path / f"r.{form}")]
    # Where it was written to is nobody's business either.
    words = [*marks, str(tmp_path)]
    for path in written:
        for part in custody._parts(path.read_bytes()):
            assert not any(word.encode(code) in part for word in words for code in ("utf-8", "utf-16-be")), path


# ---------------------------------------------------------------- another machine

ELSEWHERE: Final = """
import sys
from carecover import Case
from carecover.custody import Checked
from carecover.model import TABLES, sha256_hex
case = Case.open(sys.argv[1])
problems = case.check()
print([*problems], case.plan().digest, sha256_hex(TABLES["findings"].to_json(case.findings).encode()))
"""


@pytest.mark.parametrize(
    ("zone", "language", "seed"),
    [
        ("Asia/Kathmandu", "C", "1"),
        pytest.param("America/New_York", "tr_TR.UTF-8", "77", marks=pytest.mark.thorough),
    ],
)
def test_another_machine_gets_the_same(whole: Path, tmp_path: Path, zone: str, language: str, seed: str) -> None:
    case = copied(whole, tmp_path / "somewhere else")
    shutil.rmtree(case / "cache")
    moved = whole / "story" / "incident"
    moved.rename(whole / "story" / "gone")
    names = {"TZ": zone, "LC_ALL": language, "LANG": language, "PYTHONHASHSEED": seed, "LOGNAME": "somebody-else"}
    try:
        command = [sys.executable, "-c", ELSEWHERE, str(case)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, env={**os.environ, **names}
        )
    finally:
        (whole / "story" / "gone").rename(moved)
    assert done.returncode == 0, done.stderr
    # That "check" has nothing to tell is also that plan, findings, outcomes and reports came out again.
    found = next(e for e in entries(case) if e.act == "sign").details["findings"]
    assert done.stdout == f"[] {Case.open(whole / 'case').plan().digest} {found}\n"


def test_a_result_that_does_not_come_out_again_is_named(whole: Path, tmp_path: Path) -> None:
    case = copied(whole, tmp_path)

    def other(record: dict[str, Any]) -> None:
        record["details"].pop("public_key", None)
        record["details"].pop("signature", None)
        for name in ("findings", "outcomes"):
            if name in record["details"] and record["act"] in ("sign", "result"):
                record["details"][name] = "ab" * 32
        record["how"]["version"] = "0.0.9"

    rewrite(case, other)
    found = case_problems(case)
    assert sum("(sign) says of the findings does not come out again" in text for text in found) == 2, found
    assert sum("(result) says of the outcomes does not come out again" in text for text in found) == 1, found
    assert any("made by carecover 0.0.9" in text for text in found)
    # The heads that the report prints are others now.
    assert any("(report)" in text for text in found)


def test_evidence_that_was_too_large_to_copy_is_taken_along_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.eml"
    source.write_bytes(b"From: a@example.org\r\nSubject: 1\r\n\r\nhello\r\n")
    with monkeypatch.context() as patch:
        patch.setattr(folder, "MAX_COPY_BYTES", 1)
        Case.create(tmp_path / "c", clock=Clock()).add([source])
    data = source.read_bytes()
    source.unlink()
    (told,) = case_problems(tmp_path / "c")
    assert str(tmp_path / "c" / "evidence" / sha256_hex(data)) in told
    (tmp_path / "c" / "evidence" / sha256_hex(data)).write_bytes(data)
    assert case_problems(tmp_path / "c") == []


# ---------------------------------------------------------------- a case of format 1


def older(case: Path) -> None:
    """The case as the format before would have written it."""

    def plain(record: dict[str, Any]) -> None:
        record["details"] = {**record["details"], "version": record.pop("how")["version"]}
        for name in ("created", "copy", "form", "made_at", "as_of", "findings", "public_key", "signature"):
            record["details"].pop(name, None)
        if record["act"] in ("rehearsal", "run"):
            record["details"].pop("files")

    path = case / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"act":"result"' not in line and b"jsonld" not in line))
    renumber(path)
    rewrite(case, plain)
    for extra in (case / "journal.torn", *(case / "reports").glob("*.jsonld")):
        extra.unlink()
    text = (case / "case.json").read_text(encoding="utf-8")
    (case / "case.json").write_text(text.replace('"format": 2', '"format": 1'), encoding="utf-8")


def renumber(path: Path) -> None:
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    for number, record in enumerate(records, start=1):
        record["number"] = number
    path.write_bytes(b"".join(canonical_json(record) + b"\n" for record in records))


def test_an_older_case_is_read_as_it_is_and_vouched_for_from_its_next_act_on(whole: Path, tmp_path: Path) -> None:
    case = copied(whole, tmp_path)
    older(case)
    before = {name: (case / name).read_bytes() for name in CaseFolder(case).files() if not name.startswith("cache")}
    opened = Case.open(case, clock=Clock())
    assert opened.check() == []
    assert [s.person for s in opened.sign_offs()] == [ANALYST, REVIEWER]
    assert {name: (case / name).read_bytes() for name in before} == before, "looking changes nothing"
    opened.report(tmp_path / "report.html")
    acts = [e.act for e in entries(case)]
    assert acts[-2:] == ["format", "report"]
    assert json.loads((case / "case.json").read_text(encoding="utf-8"))["format"] == 2
    assert opened.check() == []
    output = next((case / "runs").rglob("output.txt"))
    output.write_bytes(output.read_bytes() + b"x")
    assert any("output.txt" in text for text in opened.check())
