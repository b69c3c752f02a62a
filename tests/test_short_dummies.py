"""The night on which the CA's dummies end too early: signed again, or accepted in writing; never silently used."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509

from carecover.case import Case
from carecover.cli import cli
from carecover.errors import PathError, RefusedError, UsageError
from carecover.folder import write_atomically
from carecover.journal import Journal
from carecover.model import sha256_hex
from carecover.remediation import certificate_name
from carecover.simulator import Behaviour, SimulatedCA, SimulatedHost, make_incident
from tests.small_case import ANALYST, REVIEWER, SCENARIO, Clock, Story, sign

SHORT = timedelta(days=2)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story.begin(tmp_path_factory.mktemp("story"))


class Night:
    """A signed case, its bundle, and a CA whose dummies live for some days only."""

    def __init__(self, story: Story, folder: Path, *, prepared: Path | None = None, **more: Any) -> None:
        self.said: list[str] = []
        self.bundle = folder / "bundle"
        behaviour = Behaviour(**{"dummy_validity": SHORT, **more})
        self.ca = SimulatedCA.from_state(make_incident(SCENARIO).restored, behaviour=behaviour)
        self.host = SimulatedHost(self.ca, environment={"COMPUTERNAME": "PKI01"})
        if prepared is None:
            self.case = story.copy("signed", folder)
            self.case.batch(self.bundle)
            self.sign("prepare.cmd")
        else:
            shutil.copytree(prepared, folder, dirs_exist_ok=True)
            clock = Clock()
            clock.now += timedelta(hours=2)
            self.case = Case.open(folder / "case", clock=clock)

    def sign(self, script: str, word: str = "GO") -> int:
        """Run prepare.cmd or longer.cmd on the CA."""
        self.said.clear()
        return self.host.execute(self.bundle, script, [word], self.said.append)

    def pin(self, **more: Any) -> Any:
        return self.case.pin(self.bundle, by=REVIEWER, **more)

    def refused(self, **more: Any) -> str:
        """What pin says when it refuses."""
        with pytest.raises(RefusedError) as refusal:
            self.pin(**more)
        return str(refusal.value)

    @property
    def dummies(self) -> list[str]:
        return [item.serial for item in self.case.plan().items if item.method == "dummy"]

    def acts(self) -> list[str]:
        return [entry.act for entry in Journal(self.case.path / "journal.jsonl").entries()]

    def file(self, number: int = 0, *, longer: bool = False) -> Path:
        items = [item for item in self.case.plan().items if item.method == "dummy"]
        return self.bundle / certificate_name(items[number], longer=longer)


@pytest.fixture(scope="module")
def prepared(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A night up to where prepare.cmd has made its dummies; each test goes on from a copy."""
    place = tmp_path_factory.mktemp("prepared")
    Night(story, place)
    return place


@pytest.fixture
def night(story: Story, prepared: Path, tmp_path: Path) -> Night:
    return Night(story, tmp_path, prepared=prepared)


def test_short_dummies_are_signed_again_and_the_longer_ones_are_imported(night: Night) -> None:
    said = night.refused()
    assert "longer.cmd FIRST" in said
    assert "CRLF_PUBLISH_EXPIRED_CERT_CRLS" in said
    assert not (night.bundle / "revoke.cmd").exists()
    assert night.sign("longer.cmd", "FIRST") == 1, "the others are left"
    assert night.file(longer=True).exists()
    assert not night.file(1, longer=True).exists()
    assert night.sign("longer.cmd") == 0
    firsts = {night.file(i).read_bytes() for i in range(len(night.dummies))}
    pins = night.pin()
    assert set(pins["file"]) == {f"dummies/{serial}-longer.cer" for serial in night.dummies}
    assert set(pins.attrs["leftovers"].values()) == {sha256_hex(data) for data in firsts}
    assert not (night.bundle / "longer.cmd").exists(), "the next step is revoke.cmd"
    ran = night.case.run(night.bundle, on=night.host)
    assert ran.finished, ran.output
    outcomes = night.case.verify([night.bundle / "logs", night.bundle / "out"])
    assert set(outcomes["verdict"]) == {"proved"}, outcomes
    # Not by our own reader: each serial number is in the CRL that the CA wrote.
    command = ["openssl", "crl", "-inform", "DER", "-in", str(night.bundle / "out" / "crl-0.crl"), "-noout", "-text"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    revoked = [i.serial for i in night.case.plan().items if i.method == "dummy" and i.action == "revoke"]
    assert [serial for serial in revoked if f"Serial Number: {serial.upper()}\n" not in listed] == []
    rows = night.ca.table().set_index("serial")
    last = max(x509.load_der_x509_certificate(data).not_valid_after_utc for data in firsts)
    assert (rows.loc[night.dummies, "not_after"] > last).all()
    assert night.case.check() == []


def test_leftover_dummies_are_listed_until_somebody_says_that_they_are_destroyed(night: Night) -> None:
    assert night.case.table("dummies").empty
    night.refused()
    made = night.case.table("dummies")
    assert set(made["state"]) == {"leftover"}
    night.sign("longer.cmd")
    night.file().with_name("hand made.cer").write_bytes(night.file().read_bytes() + b"x")
    night.pin()
    met = night.case.table("dummies").set_index("file")
    assert (met["state"] == "pinned").sum() == len(night.dummies)
    assert (met.loc["dummies/hand made.cer", "state"], met["serial"].isna().sum()) == ("leftover", 1)
    assert night.case.run(night.bundle, on=night.host).finished
    night.case.verify([night.bundle / "logs", night.bundle / "out"])
    after = night.case.table("dummies").set_index("file")["state"]
    assert set(after[after.index.str.contains("longer")]) <= {"revoked", "pinned"}
    assert (after == "revoked").sum() == sum(i.method == "dummy" for i in night.case.plan().items)
    with pytest.raises(UsageError, match="no SHA-256 of a dummy"):
        night.case.pin(by=ANALYST, destroyed=["ab" * 32])
    left = met.loc[met["state"] == "leftover", "sha256"]
    runner = CliRunner()
    arguments = ["pin", str(night.case.path), "--by", ANALYST]
    for word, code in ((left.iloc[0].upper(), 1), ("all", 0)):
        done = runner.invoke(cli, [*arguments, "--destroyed", word], standalone_mode=False)
        assert done.return_value == code, done.output
    assert set(night.case.table("dummies")["state"]) == {"revoked", "destroyed"}
    assert night.case.check() == []
    with pytest.raises(UsageError, match="Name the folder"):
        night.case.pin(by=REVIEWER)


def test_what_is_signed_again_is_the_file_that_was_looked_at(night: Night) -> None:
    """certutil -sign FILE signs whatever lies there: a file that was exchanged must not get the CA's signature."""
    night.refused()
    before = len(night.ca.calls)
    night.file().write_bytes(night.file(1).read_bytes())
    night.file(2).unlink()
    assert night.sign("longer.cmd") == 1
    assert [w for w in ("file-changed", "file-missing") if w not in "".join(night.said)] == []
    signed = [call.arguments for call in night.ca.calls[before:] if call.verb == "sign"]
    assert len(signed) == len(night.dummies) - 2
    assert not any(night.dummies[0] in word for call in signed for word in call)


def test_files_that_are_there_are_kept(night: Night) -> None:
    night.refused()
    night.sign("longer.cmd")
    made = night.file(longer=True).read_bytes()
    before = sum(call.verb == "sign" for call in night.ca.calls)
    assert night.sign("longer.cmd") == 0
    assert night.sign("prepare.cmd") == 0
    assert sum(call.verb == "sign" for call in night.ca.calls) == before
    assert night.file(longer=True).read_bytes() == made


@pytest.mark.parametrize("odd", ["other serial", "junk", "swapped first"])
def test_an_odd_longer_file_is_refused_by_its_name(night: Night, odd: str) -> None:
    night.refused()
    night.sign("longer.cmd")
    target = night.file(longer=True)
    if odd == "other serial":
        target.write_bytes(night.file(1, longer=True).read_bytes())
    elif odd == "junk":
        target.write_bytes(b"junk")
    else:
        target.write_bytes(night.file().read_bytes())
    said = night.refused()
    assert night.dummies[0] in said
    assert night.dummies[1] not in said.split(night.dummies[0])[0]
    assert not (night.bundle / "revoke.cmd").exists()
    assert "pin" not in night.acts()
    if odd != "swapped first":
        assert "delete it, and run longer.cmd again" in said
        target.unlink()
        assert night.sign("longer.cmd") == 0
        assert len(night.pin()) == len(night.dummies)


@pytest.mark.parametrize("resign", ["ignored", "refused"])
def test_where_signing_again_does_not_help_two_people_can_accept_it(story: Story, tmp_path: Path, resign: str) -> None:
    night = Night(story, tmp_path, resign_validity=resign)
    night.refused()
    night.sign("longer.cmd")
    said = night.refused()
    assert "carecover waive CASE 'short: why'" in said
    assert "CRLF_PUBLISH_EXPIRED_CERT_CRLS" in said
    if resign == "ignored":
        assert "Signing again does not help" in said
    night.case.waive("short: the flag was set and the service restarted by Ada, until 2030", by=ANALYST)
    assert night.case.sign_offs() == ()
    with pytest.raises(RefusedError):
        night.pin()
    sign(night.case)
    second = tmp_path / "second"
    night.case.batch(second)
    assert "CRLF_PUBLISH" in (second / "README.txt").read_text()
    shutil.copytree(night.bundle / "dummies", second / "dummies")
    night.bundle = second
    pins = night.pin()
    assert pins["ends_early"].all()
    assert b"too early" in (second / "plan.html").read_bytes()
    assert night.case.run(second, on=night.host).finished
    outcomes = night.case.verify([second / "logs", second / "out"])
    assert set(outcomes["verdict"]) == {"proved"}
    dummy = outcomes[outcomes["serial"].isin(night.dummies)]
    assert dummy["why"].str.contains("accepted in writing").all()


def test_a_later_plan_takes_the_dummy_that_may_be_in_the_database(night: Night, tmp_path: Path) -> None:
    night.refused()
    night.sign("longer.cmd")
    pinned = dict(zip(night.pin()["serial"], night.pin()["sha256"], strict=True))
    assert night.case.run(night.bundle, on=night.host).finished
    night.case.waive("short: a change of mind", by=ANALYST)
    sign(night.case)
    later = tmp_path / "later"
    night.case.batch(later)
    shutil.copytree(night.bundle / "dummies", later / "dummies")
    night.bundle = later
    assert dict(zip(night.pin()["serial"], night.pin()["sha256"], strict=True)) == pinned
    assert night.case.run(later, on=night.host).finished


def test_a_pin_that_was_interrupted_can_be_made_again(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = Night(story, tmp_path, dummy_validity="ca")
    real = write_atomically
    for survived in (0, 1, 4):
        count = 0

        def stumbling(target: Path, data: bytes, survived: int = survived) -> None:
            nonlocal count
            if night.bundle in target.parents:
                count += 1
                if count > survived:
                    raise OSError(28, "No space left on device")
            real(target, data)

        monkeypatch.setattr("carecover.bundles.write_atomically", stumbling)
        with pytest.raises(PathError, match="not whole"):
            night.pin()
        monkeypatch.setattr("carecover.bundles.write_atomically", real)
        if survived:
            with pytest.raises(RefusedError):
                night.case.run(night.bundle)
    night.pin()
    assert night.pin() is not None, "twice is once"
    assert night.case.run(night.bundle, on=night.host).finished


def test_a_dummy_that_was_exchanged_after_the_pin_is_not_imported(story: Story, tmp_path: Path) -> None:
    night = Night(story, tmp_path, dummy_validity="ca")
    night.pin()
    night.file().write_bytes(night.file(1).read_bytes())
    with pytest.raises(RefusedError, match="was changed"):
        night.case.run(night.bundle, on=night.host)
    assert night.host.execute(night.bundle, "revoke.cmd", ["preflight"], night.said.append) == 3
    assert not any(call.verb == "importcert" for call in night.ca.calls)


def test_two_files_whose_names_differ_in_case_are_refused(story: Story, tmp_path: Path) -> None:
    night = Night(story, tmp_path, dummy_validity="ca")
    twin = night.file().with_name(night.file().name.upper().replace(".CER", ".cer"))
    twin.write_bytes(night.file(1).read_bytes())
    assert "differ in case" in night.refused()


def test_a_dummy_that_is_a_ca_certificate_is_taken_knowingly_only(story: Story, tmp_path: Path) -> None:
    night = Night(story, tmp_path, dummy_validity="ca", dummy_is_ca=True)
    said = night.refused()
    assert "are CA certificates" in said
    assert "--ca-true" in said
    assert "Their key is the CA's own" in said
    assert "pin" not in night.acts()
    assert night.pin(ca_true=True)["is_ca"].all()
    page = (night.bundle / "plan.html").read_bytes()
    assert page.count(b"<strong>yes</strong>") == len(night.dummies)
    entry = list(Journal(night.case.path / "journal.jsonl").entries())[-1]
    assert sorted(entry.details["ca_true"]) == sorted(night.dummies)


def test_a_rehearsal_shows_the_whole_way_of_short_dummies(story: Story, tmp_path: Path) -> None:
    case = story.copy("decided", tmp_path)
    run = case.rehearse(behaviour=Behaviour(dummy_validity=SHORT))
    assert [phase for phase, _ in run.phases][:2] == ["prepare.cmd GO", "longer.cmd GO"]
    assert run.proved, run.output
    assert any(
        "2 days" in text for text in list(Journal(case.path / "journal.jsonl").entries())[-1].details["assumptions"]
    )
    with pytest.raises(RefusedError, match="Signing again does not help"):
        case.rehearse(behaviour=Behaviour(dummy_validity=SHORT, resign_validity="ignored"))


def test_the_command_line_says_what_to_do_next(night: Night) -> None:
    arguments = ["pin", str(night.case.path), str(night.bundle), "--by", REVIEWER]
    runner = CliRunner()
    night.refused()
    night.sign("longer.cmd")
    done = runner.invoke(cli, arguments, standalone_mode=False)
    assert (done.exception, done.return_value) == (None, 0), done.output
    assert "dangerous until destroyed" in done.output
    assert str(night.bundle) + ".zip" in done.output
    shown = Case.open(night.case.path).check()
    assert shown == []
