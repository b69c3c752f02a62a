"""Time stamps by exchange of files: the authority is openssl's, which also judges what carecover asks and believes."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from carecover import stamps
from carecover.case import Case
from carecover.cli import main
from carecover.errors import CarecoverError, PathError, RefusedError, UsageError
from carecover.folder import CaseFolder
from carecover.journal import Entry, Journal
from carecover.model import utc_text
from tests.small_case import Clock
from tests.test_custody import rewrite

pytest.importorskip("rfc3161_client")

CONFIG: Final = """
[tsa]
default_tsa = here
[here]
dir = {place}
serial = {place}/serial
crypto_device = builtin
signer_cert = {place}/tsa.pem
signer_key = {place}/tsa.key
certs = {place}/root.pem
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
accuracy = secs:1
ordering = yes
ess_cert_id_chain = no
[tsa_ext]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
[root_ext]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[req]
distinguished_name = dn
[dn]
"""


def openssl(*words: str | Path) -> str:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Authority:
    """An authority for time stamps, made by openssl."""

    place: Path

    @classmethod
    def found(cls, place: Path, name: str) -> Authority:
        place.mkdir()
        config = place / "openssl.cnf"
        config.write_text(CONFIG.format(place=place), encoding="ascii")
        (place / "serial").write_text("01\n", encoding="ascii")
        for who, extensions in (("root", "root_ext"), ("tsa", "tsa_ext")):
            key: list[str | Path] = [
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                place / f"{who}.key",
            ]
            signer: list[str | Path] = (
                [] if who == "root" else ["-CA", place / "root.pem", "-CAkey", place / "root.key"]
            )
            openssl(
                *("req", "-x509", "-config", config, "-extensions", extensions, "-days", "3650"),
                *("-subj", f"/CN={name} {who}", *key, *signer, "-out", place / f"{who}.pem"),
            )
        return cls(place)

    @property
    def root(self) -> Path:
        return self.place / "root.pem"

    def answer(self, request: Path, response: Path) -> Path:
        config = ("-config", self.place / "openssl.cnf")
        openssl("ts", "-reply", *config, "-queryfile", request, "-out", response)
        return response


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.found(tmp_path_factory.mktemp("tsa") / "one", "Example")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    case = Case.create(tmp_path / "case", clock=Clock(), ca="Example CA")
    case.waive("undecided: later", by="Ada Analyst")
    return case


def test_a_stamp_holds_for_carecover_and_for_openssl(case: Case, authority: Authority, tmp_path: Path) -> None:
    head = Journal(case.path / "journal.jsonl").head
    case.report(tmp_path / "head.tsq")
    last = Journal(case.path / "journal.jsonl").last()
    assert last is not None
    assert (last.act, last.details["head"]) == ("stamp-request", head)
    assert "Certificate required: yes" in openssl("ts", "-query", "-in", tmp_path / "head.tsq", "-text")
    answer = authority.answer(tmp_path / "head.tsq", tmp_path / "head.tsr")
    # The imprint is the head itself.
    trusted = ("-CAfile", authority.root)
    openssl("ts", "-verify", "-digest", head, "-in", answer, *trusted)
    openssl("ts", "-verify", "-queryfile", tmp_path / "head.tsq", "-in", answer, *trusted)
    checked = case.check(against=[answer], authority=authority.root)
    assert checked == []
    assert len(checked.notes) == 2
    assert "up to act 2" in checked.notes[0]
    assert "Example" in checked.notes[1]
    (told,) = case.check(against=[answer])
    assert "nobody checked who says so" in told


def test_a_stamp_shows_a_cut_off_end(case: Case, authority: Authority, tmp_path: Path) -> None:
    case.report(tmp_path / "head.tsq")
    answer = authority.answer(tmp_path / "head.tsq", tmp_path / "head.tsr")
    journal = case.path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
    assert any("does not hold the head" in text for text in case.check(against=[answer], authority=authority.root))


def test_a_stamp_of_somebody_else_does_not_hold(case: Case, authority: Authority, tmp_path: Path) -> None:
    other = Authority.found(tmp_path / "other", "Other")
    case.report(tmp_path / "head.tsq")
    answer = other.answer(tmp_path / "head.tsq", tmp_path / "head.tsr")
    (told,) = case.check(against=[answer], authority=authority.root)
    assert "does not hold under" in told
    assert case.check(against=[answer], authority=other.root) == []


def test_a_changed_stamp_is_not_believed(case: Case, authority: Authority, tmp_path: Path) -> None:
    case.report(tmp_path / "head.tsq")
    good = authority.answer(tmp_path / "head.tsq", tmp_path / "head.tsr").read_bytes()
    trusted = stamps.authority(authority.root)
    said = stamps.verify(good, trusted, "it"), stamps.read(good)
    chance = random.Random(1)
    believed = 0
    for _ in range(300):
        data = bytearray(good)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            # Some bytes say nothing that is signed: the status text, or bytes of certificates that nobody asks.
            now = stamps.verify(bytes(data), trusted, "it"), stamps.read(bytes(data))
        except CarecoverError:
            continue
        assert now[1] == said[1], "what is believed is what was signed"
        believed += 1
    assert believed < 150, "most bytes count"


@pytest.mark.parametrize("odd", [b"", b"\x30", b"\x30\x03\x02\x01\x02", b"junk", b"\x30\x80" + bytes(100)])
def test_what_is_no_stamp_is_told(authority: Authority, odd: bytes) -> None:
    for look in (stamps.read, lambda data: stamps.verify(data, stamps.authority(authority.root), "it")):
        with pytest.raises(RefusedError, match="time stamp"):
            look(odd)


def test_a_refusal_and_odd_certificates_are_told(case: Case, authority: Authority, tmp_path: Path) -> None:
    case.report(tmp_path / "head.tsq")
    data = bytearray((tmp_path / "head.tsq").read_bytes())
    data[-1] ^= 1
    # A request that is cut short is refused by the authority, in an answer without a stamp.
    (tmp_path / "bad.tsq").write_bytes(data[:20])
    config = ["-config", str(authority.place / "openssl.cnf")]
    words = ["openssl", "ts", "-reply", *config, "-queryfile", str(tmp_path / "bad.tsq")]
    refused = subprocess.run([*words, "-out", str(tmp_path / "bad.tsr")], capture_output=True, check=False)
    if refused.returncode == 0:
        with pytest.raises(RefusedError, match="refused"):
            stamps.read((tmp_path / "bad.tsr").read_bytes())
    answer = authority.answer(tmp_path / "head.tsq", tmp_path / "head.tsr")
    (tmp_path / "junk.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(UsageError, match="no certificate"):
        case.check(against=[answer], authority=tmp_path / "junk.pem")
    with pytest.raises(PathError, match="cannot be opened"):
        case.check(against=[answer], authority=tmp_path / "nowhere")


def test_without_the_library_it_says_what_to_install(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    with pytest.raises(UsageError, match=r"carecover\[stamp\]"):
        case.report(tmp_path / "head.tsq")
    assert not (tmp_path / "head.tsq").exists()


def test_a_stamp_with_a_certificate_of_no_version_is_refused(case: Case, authority: Authority, tmp_path: Path) -> None:
    case.report(tmp_path / "head.tsq")
    good = authority.answer(tmp_path / "head.tsq", tmp_path / "head.tsr").read_bytes()
    third = b"\xa0\x03\x02\x01\x02"
    assert third in good
    with pytest.raises(RefusedError):
        stamps.verify(good.replace(third, b"\xa0\x03\x02\x01\x22"), stamps.authority(authority.root), "it")


# ---------------------------------------------------------------- stamps that the case keeps


@dataclass(frozen=True)
class Asked:
    """A case that asked for a stamp, and the answer to it, not yet handed in."""

    case: Case
    answer: Path
    head: str
    authority: Authority
    place: Path

    def files(self) -> dict[str, bytes]:
        """Every file of the case but its cache, byte for byte."""
        names = CaseFolder(self.case.path).files()
        return {name: (self.case.path / name).read_bytes() for name in names if not name.startswith("cache/")}

    def acts(self) -> list[Entry]:
        return list(Journal(self.case.path / "journal.jsonl").entries())


@pytest.fixture
def asked(case: Case, authority: Authority, tmp_path: Path) -> Asked:
    head = Journal(case.path / "journal.jsonl").head
    case.report(tmp_path / "head.tsq")
    answer = authority.answer(tmp_path / "head.tsq", tmp_path / "answer.tsr")
    return Asked(case, answer, head, authority, tmp_path)


def test_an_answer_is_kept_beside_its_authority_and_checked_ever_after(asked: Asked, authority: Authority) -> None:
    case = asked.case
    accounting = case.add([asked.answer], authority=authority.root, by="Ada Analyst")
    (note,) = accounting.attrs["notes"]
    assert len(accounting) == 0, "it is no evidence"
    assert len(case.table("evidence")) == 0
    act = asked.acts()[-1]
    said, data = act.details, asked.answer.read_bytes()
    assert (act.act, said["by"], said["head"], said["request"]) == ("stamp", "Ada Analyst", asked.head, 3)
    assert said["copy"] == f"reports/{hashlib.sha256(data).hexdigest()[:16]}.tsr"
    assert (case.path / said["copy"]).read_bytes() == data
    assert "Example root" in said["signer"]
    # What lies in the case is enough for others to check it.
    pem = case.path / said["authority"]["copy"]
    openssl("ts", "-verify", "-digest", asked.head, "-in", case.path / said["copy"], "-CAfile", pem)
    told = openssl("ts", "-reply", "-in", asked.answer, "-text")
    at = datetime.strptime(re.findall(r"Time stamp: (.+) GMT", told)[0], "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    assert said["gen_time"] == utc_text(at)
    checked = case.check()
    assert (list(checked), checked.notes) == ([], [note])
    assert note.startswith(f"{said['copy']}: the journal up to act 2 existed at {said['gen_time']}")
    (row,) = case.table("stamps").to_dict("records")
    assert (row["act"], row["head"], row["by"], row["stamped_at"]) == (2, asked.head, "Ada Analyst", at)
    held = case.check(against=[case.path / said["copy"]], authority=authority.root)
    assert (list(held), len(held.notes)) == ([], 3)


def test_two_authorities_may_stamp_the_same_and_answers_come_together(
    asked: Asked, authority: Authority, tmp_path: Path
) -> None:
    other = Authority.found(tmp_path / "other", "Other")
    case = asked.case
    second = other.answer(tmp_path / "head.tsq", tmp_path / "second.tsr")
    case.report(tmp_path / "later.tsq")
    third = other.answer(tmp_path / "later.tsq", tmp_path / "third.tsr")
    case.add([asked.answer], authority=authority.root)
    notes = case.add([third, second, third], authority=other.root).attrs["notes"]
    assert ["up to act 3" in notes[0], "up to act 2" in notes[1], len(notes)] == [True, True, 2]
    assert [act.act for act in asked.acts()[-3:]] == ["stamp"] * 3
    assert len(list((case.path / "reports").glob("*.pem"))) == 2
    assert len(case.check().notes) == 3


def test_only_certificates_of_the_authority_come_into_the_case(
    asked: Asked, authority: Authority, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed.pem"
    mixed.write_bytes((authority.place / "root.key").read_bytes() + authority.root.read_bytes() * 2)
    assert b"PRIVATE KEY" in mixed.read_bytes()
    asked.case.add([asked.answer], authority=mixed)
    der = tmp_path / "root.cer"
    openssl("x509", "-in", authority.root, "-outform", "DER", "-out", der)
    assert stamps.authority(der) == stamps.authority(mixed)
    (kept,) = (asked.case.path / "reports").glob("*.pem")
    assert kept.read_bytes() == authority.root.read_bytes()
    assert not any(b"PRIVATE KEY" in data for data in asked.files().values())


def _other_case(asked: Asked) -> tuple[Path, Path]:
    other = Case.create(asked.place / "b", clock=Clock(), ca="Another CA")
    other.report(asked.place / "b.tsq")
    return asked.authority.answer(asked.place / "b.tsq", asked.place / "b.tsr"), asked.authority.root


def _never_asked(asked: Asked) -> tuple[Path, Path]:
    head = Journal(asked.case.path / "journal.jsonl").head
    openssl("ts", "-query", "-digest", head, "-sha256", "-cert", "-out", asked.place / "own.tsq")
    return asked.authority.answer(asked.place / "own.tsq", asked.place / "own.tsr"), asked.authority.root


def _bad_signature(asked: Asked) -> tuple[Path, Path]:
    data = bytearray(asked.answer.read_bytes())
    # The signature is what a SignedData ends with (RFC 5652 5.3).
    data[-1] ^= 1
    (asked.place / "bad.tsr").write_bytes(data)
    return asked.place / "bad.tsr", asked.authority.root


def _another_authority(asked: Asked) -> tuple[Path, Path]:
    return asked.answer, Authority.found(asked.place / "other", "Other").root


def _twice(asked: Asked) -> tuple[Path, Path]:
    asked.case.add([asked.answer], authority=asked.authority.root)
    (asked.place / "again.tsr").write_bytes(asked.answer.read_bytes())
    return asked.place / "again.tsr", asked.authority.root


def _garbage(asked: Asked) -> tuple[Path, Path]:
    (asked.place / "junk.tsr").write_bytes(b"\x30\x82\xff\xff" + bytes(100))
    return asked.place / "junk.tsr", asked.authority.root


def _request(asked: Asked) -> tuple[Path, Path]:
    return asked.place / "head.tsq", asked.authority.root


def _refusal(asked: Asked) -> tuple[Path, Path]:
    # TimeStampResp of PKIStatusInfo alone: rejection (RFC 3161 2.4.2).
    (asked.place / "no.tsr").write_bytes(bytes.fromhex("30053003020102"))
    return asked.place / "no.tsr", asked.authority.root


def _huge(asked: Asked) -> tuple[Path, Path]:
    (asked.place / "huge.tsr").write_bytes(asked.answer.read_bytes() + bytes(1 << 21))
    return asked.place / "huge.tsr", asked.authority.root


def _no_certificate(asked: Asked) -> tuple[Path, Path]:
    return asked.answer, asked.answer


def _nowhere(asked: Asked) -> tuple[Path, Path]:
    return asked.place / "nowhere.tsr", asked.authority.root


def _empty_folder(asked: Asked) -> tuple[Path, Path]:
    (asked.place / "empty").mkdir()
    return asked.place / "empty", asked.authority.root


Wrong = Callable[[Asked], tuple[Path, Path]]


@pytest.mark.parametrize(
    ("make", "words", "error"),
    [
        (_other_case, "this is no head of this journal", RefusedError),
        (_never_asked, "this is its act 3, and nobody asked about that here", RefusedError),
        (_bad_signature, "does not hold under", RefusedError),
        (_another_authority, "does not hold under", RefusedError),
        (_twice, "keeps this very time stamp already: act 4", RefusedError),
        (_garbage, "no time stamp that could be read", RefusedError),
        (_refusal, "The authority refused", RefusedError),
        (_request, "the request, no answer: send it", RefusedError),
        (_huge, "no time stamp that could be read", RefusedError),
        (_no_certificate, "holds no certificate", UsageError),
        (_nowhere, "does not exist", PathError),
        (_empty_folder, "no file in what you named", PathError),
    ],
)
def test_a_wrong_answer_is_refused_and_nothing_is_written(
    asked: Asked, make: Wrong, words: str, error: type[CarecoverError]
) -> None:
    answer, trusted = make(asked)
    before = asked.files()
    with pytest.raises(error, match=words):
        asked.case.add([answer], authority=trusted)
    assert asked.files() == before
    if make not in (_twice, _another_authority, _no_certificate, _empty_folder):
        # One that is wrong among right ones: none is kept.
        with pytest.raises(error, match="No time stamp was kept"):
            asked.case.add([asked.answer, answer], authority=trusted)
        assert asked.files() == before


def test_without_an_authority_it_says_what_to_do_and_takes_the_rest(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = asked.files()
    assert main(["add", str(asked.case.path), str(asked.answer)]) == 3
    told = capsys.readouterr().err
    assert "carecover add" in told
    assert "--authority PEM" in told
    assert asked.files() == before
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "1.eml").write_bytes(b"From: a@example.org\r\nSubject: 1\r\n\r\nhello\r\n")
    (folder / "answer.tsr").write_bytes(asked.answer.read_bytes())
    with pytest.raises(PathError, match=r"was not taken.+ 1 other file\(s\) were added") as found:
        asked.case.add([folder])
    assert len(found.value.finished) == 1  # type: ignore[arg-type]
    assert [Path(path).name for path in asked.case.table("evidence")["path"]] == ["1.eml"]
    for number in range(4):
        (folder / f"{number}.tsr").write_bytes(asked.answer.read_bytes())
    with pytest.raises(PathError, match=r"2\.tsr and 2 more: a time stamp"):
        asked.case.add([folder])


def test_what_only_carries_a_time_stamp_is_evidence(asked: Asked, tmp_path: Path) -> None:
    token = tmp_path / "token.p7s"
    openssl("ts", "-reply", "-in", asked.answer, "-token_out", "-out", token)
    assert not stamps.is_answer(token)
    assert not stamps.is_answer(tmp_path)
    assert not stamps.is_stamp(b"\x30\x84\xff\xff\xff\xff" + asked.answer.read_bytes())
    asked.case.add([token])
    assert len(asked.case.table("evidence")) == 1


def test_the_command_tells_what_is_kept(asked: Asked, authority: Authority, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["add", str(asked.case.path), str(asked.answer), "--authority", str(authority.root)]
    assert main([*words[:3], "--by", "Ada Analyst"]) == 2
    assert main([*words, "--fetched-from", "http://pki.example.org/a.crl"]) == 2
    assert "no evidence of the CA" in capsys.readouterr().err
    assert main([*words, "--by", "Ada Analyst"]) == 0
    told = capsys.readouterr().out
    assert re.fullmatch(
        r"Kept as reports/[0-9a-f]{16}\.tsr: the journal up to act 2 existed at .+ root \([0-9a-f]+\)\.\n", told
    )
    assert main(["check", str(asked.case.path)]) == 0
    assert told.removeprefix("Kept as ") in capsys.readouterr().out
    assert main(words) == 4
    assert "keeps this very time stamp already: act 4" in capsys.readouterr().err


def test_without_the_library_nothing_is_kept_and_what_is_kept_is_not_called_good(
    asked: Asked, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "rfc3161_client", None)
        before = asked.files()
        with pytest.raises(UsageError, match=r"carecover\[stamp\]"):
            asked.case.add([asked.answer], authority=authority.root)
        assert asked.files() == before
    asked.case.add([asked.answer], authority=authority.root)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "rfc3161_client", None)
        checked = asked.case.check()
        (told,) = checked
        assert "is as it was kept, but was not checked" in told
        assert checked.notes == []
        assert len(asked.case.table("stamps")) == 1
    assert asked.case.check() == []


@pytest.mark.parametrize("every", [101, pytest.param(1, marks=pytest.mark.thorough)])
def test_a_changed_byte_of_a_kept_stamp_or_of_its_authority_is_named(
    asked: Asked, authority: Authority, every: int
) -> None:
    asked.case.add([asked.answer], authority=authority.root)
    for path in (p for p in (asked.case.path / "reports").iterdir() if p.suffix in (".tsr", ".pem")):
        good = path.read_bytes()
        for place in {*range(0, len(good), every), len(good) - 1}:
            path.write_bytes(good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :])
            checked = asked.case.check()
            assert [path.name in text for text in checked] == [True], (place, list(checked))
            assert checked.notes == []
        path.write_bytes(good)
    assert asked.case.check() == []


def test_a_journal_that_was_written_anew_does_not_keep_its_stamp(asked: Asked, authority: Authority) -> None:
    asked.case.add([asked.answer], authority=authority.root)

    def later(record: dict[str, Any]) -> None:
        if record["act"] == "waive":
            record["details"]["by"] = "Rob Reviewer"

    rewrite(asked.case.path, later)
    (told,) = Case.open(asked.case.path).check()
    assert "the journal was written anew" in told

    def at_another_time(record: dict[str, Any]) -> None:
        if record["act"] == "waive":
            record["details"]["by"] = "Ada Analyst"
        if record["act"] == "stamp":
            record["details"]["gen_time"] = "2001-01-01T00:00:00Z"

    rewrite(asked.case.path, at_another_time)
    (told,) = Case.open(asked.case.path).check()
    assert "does not follow from that" in told


def test_a_later_report_shows_it_and_earlier_ones_come_out_again(
    asked: Asked, authority: Authority, tmp_path: Path
) -> None:
    case = asked.case
    case.report(tmp_path / "before.md")
    case.add([asked.answer], authority=authority.root, by="Ada Analyst")
    for name, language, edition in (("a", "en", "full"), ("b", "de", "full"), ("c", "en", "redacted")):
        case.report(tmp_path / f"{name}.md", language=language, edition=edition)  # type: ignore[arg-type]
    before, english, german, outside = ((tmp_path / f"{n}.md").read_text("utf-8") for n in ("before", "a", "b", "c"))
    assert "keeps no time stamp of an authority" in before
    assert "keeps no time stamp" not in english
    assert "What came after act 2 has no such stamp" in english
    assert "CN=Example root" in english.replace("\\", "")
    assert "Zeitstempelstelle (RFC 3161) hat unterschrieben" in german
    assert "Example root" not in outside
    assert re.search(r"authority\\?-[0-9a-f]{12}", outside)
    assert [act.act for act in asked.acts()][-5:-3] == ["stamp", "report"]
    assert case.check() == []
