"""Time stamps by exchange of files: the authority is openssl's, which also judges what carecover asks and believes."""

from __future__ import annotations

import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from carecover import stamps
from carecover.case import Case
from carecover.errors import CarecoverError, PathError, RefusedError, UsageError
from carecover.journal import Journal
from tests.small_case import Clock

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
    said = stamps.verify(good, authority.root), stamps.read(good)
    chance = random.Random(1)
    believed = 0
    for _ in range(300):
        data = bytearray(good)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        try:
            # Some bytes say nothing that is signed: the status text, or bytes of certificates that nobody asks.
            now = stamps.verify(bytes(data), authority.root), stamps.read(bytes(data))
        except CarecoverError:
            continue
        assert now[1] == said[1], "what is believed is what was signed"
        believed += 1
    assert believed < 150, "most bytes count"


@pytest.mark.parametrize("odd", [b"", b"\x30", b"\x30\x03\x02\x01\x02", b"junk", b"\x30\x80" + bytes(100)])
def test_what_is_no_stamp_is_told(authority: Authority, odd: bytes) -> None:
    for look in (stamps.read, lambda data: stamps.verify(data, authority.root)):
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
    import sys  # noqa: PLC0415

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
        stamps.verify(good.replace(third, b"\xa0\x03\x02\x01\x22"), authority.root)
