"""The whole way of a plan: bundle, dummies, pin, revoke.cmd, undo.cmd, against the simulated CA of an incident.

The plan is made from the incident's truth, so that these tests are about the batches only:
they run as they are carried to a CA, line by line, against a CA with the incident's own keys.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from carecover.errors import RefusedError, RunError
from carecover.model import SerialNumber
from carecover.simulator import Behaviour, Faults, Scenario, SimulatedCA, SimulatedHost, make_incident
from carecover.simulator import behaviour as known
from carecover.simulator.behaviour import EVERYTHING
from carecover.simulator.windows import OEM, Folder
from tests.planned_bundle import (
    ABORTED,
    DONE,
    OPEN,
    REFUSED,
    USAGE,
    Bundle,
    incident,
    make_plan,
    planned,
    states,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle that is ready to be applied."""
    return Bundle(tmp_path).ready()


# ------------------------------------------------------------------------------ the whole way


def test_a_plan_ends_as_it_says(bundle: Bundle) -> None:
    before = len(bundle.ca.calls)
    assert bundle.run("revoke.cmd", "preflight") == DONE, bundle.lines
    assert {call.verb for call in bundle.ca.calls[before:]} <= {"view", "hashfile", "ca.cert", "ping", "getreg"}
    assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
    assert bundle.states() == planned(bundle.plan)
    assert bundle.run("revoke.cmd", "publish") == DONE, bundle.lines
    crl = x509.load_der_x509_crl((bundle.directory / "out" / "crl-0.crl").read_bytes())
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert number == incident().truth["crl"]["last_published"] + 1
    for item in bundle.plan.items:
        listed = crl.get_revoked_certificate_by_serial_number(int(item.serial, 16)) is not None
        assert listed == (item.action in ("revoke", "unrevoke"))
    assert bundle.run("undo.cmd", "apply") == DONE, bundle.lines
    assert bundle.states() == planned(bundle.plan, released=True)
    assert bundle.run("revoke.cmd", "status") == DONE, bundle.lines
    assert bundle.run("undo.cmd", "status") == DONE, bundle.lines


def test_everything_can_be_done_twice(bundle: Bundle) -> None:
    for _ in range(2):
        assert bundle.run("prepare.cmd", "GO") == DONE, bundle.lines
        assert bundle.run("revoke.cmd", "preflight") == DONE, bundle.lines
        assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
        assert bundle.states() == planned(bundle.plan)
    table, calls = bundle.ca.table(), len(bundle.ca.calls)
    assert bundle.run("revoke.cmd", "apply") == DONE
    assert bundle.ca.table().equals(table)
    assert not {"revoke", "importcert"} & {call.verb for call in bundle.ca.calls[calls:]}
    revoked = [call.arguments for call in bundle.ca.calls if call.verb == "revoke"]
    # Nothing is ever revoked twice: that would overwrite date and reason.
    assert len(revoked) == len(set(revoked)) == sum(item.action == "revoke" for item in bundle.plan.items)


def test_first_does_one_and_stops(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path)
    assert bundle.run("prepare.cmd", "FIRST") == OPEN
    assert len(list((tmp_path / "dummies").iterdir())) == 1
    bundle.ready()
    table = bundle.ca.table()
    assert bundle.run("revoke.cmd", "apply", "FIRST") == OPEN
    changed = [
        serial for serial, state in bundle.states().items() if state != states(bundle.new_ca(), bundle.plan)[serial]
    ]
    assert len(changed) == 1
    assert len(bundle.ca.table()) == len(table) + 1
    assert bundle.run("revoke.cmd", "apply") == DONE
    assert bundle.states() == planned(bundle.plan)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("",),
        ("Apply!",),
        ("apply", "ALL"),
        ("preflight", "FIRST"),
        ("publish", "FIRST"),
        ("apply", "FIRST", "x"),
        ("GO",),
    ],
)
def test_without_a_word_that_it_knows_revoke_does_nothing(bundle: Bundle, arguments: tuple[str, ...]) -> None:
    calls = len(bundle.ca.calls)
    assert bundle.run("revoke.cmd", *arguments) == USAGE
    assert len(bundle.ca.calls) == calls
    for script, others in (
        ("prepare.cmd", ((), ("apply",), ("GO", "x"))),
        ("undo.cmd", ((), ("hold",), ("hold", "x1"))),
    ):
        for other in others:
            assert bundle.run(script, *other) == USAGE
    assert len(bundle.ca.calls) == calls


# ------------------------------------------------------------------------------ interruptions


class Reruns:
    """One prepared and pinned bundle, copied for each run against a fresh CA."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "first").mkdir()
        first = Bundle(directory / "first").ready()
        self._pristine = shutil.copytree(first.directory, directory / "pristine")
        start = len(first.ca.calls)
        assert first.run("revoke.cmd", "apply") == DONE
        self.apply_calls = len(first.ca.calls) - start
        assert first.run("revoke.cmd", "publish") == DONE
        self.calls = len(first.ca.calls) - start

    @contextmanager
    def again(self, faults: Faults) -> Iterator[Bundle]:
        """The bundle in a folder of its own, and a CA with faults."""
        bundle = Bundle.__new__(Bundle)
        bundle.directory = shutil.copytree(self._pristine, self._directory / "again")
        bundle.plan, bundle.behaviour, bundle.lines, bundle.host = make_plan(), Behaviour(), [], SimulatedHost
        bundle.ca = bundle.new_ca(faults)
        yield bundle
        shutil.rmtree(bundle.directory)


def _kill_and_finish(reruns: Reruns, kind: str, number: int) -> None:
    with reruns.again(Faults(**{kind: number})) as bundle:  # type: ignore[arg-type]
        with pytest.raises(RunError, match="interrupted"):
            bundle.finish()
        bundle.ca.faults = Faults()
        bundle.finish()
        assert bundle.states() == planned(bundle.plan), f"{kind} {number}"
        revoked = [call.arguments for call in bundle.ca.calls if call.verb == "revoke" and call.exit_code == 0]
        assert len(revoked) == len(set(revoked))


@pytest.mark.parametrize("kind", ["die_before", "die_after"])
def test_a_kill_leaves_nothing_that_a_second_run_does_not_mend(tmp_path: Path, kind: str) -> None:
    reruns = Reruns(tmp_path)
    assert reruns.calls > 50
    # A stride prime to the calls of one certificate meets every step of some certificate.
    for number in range(1 + (kind == "die_after"), reruns.calls + 1, 11):
        _kill_and_finish(reruns, kind, number)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["die_before", "die_after"])
def test_a_kill_at_every_single_call_is_mended_by_a_second_run(tmp_path: Path, kind: str) -> None:
    reruns = Reruns(tmp_path)
    for number in range(1, reruns.calls + 1):
        _kill_and_finish(reruns, kind, number)


def _fail_and_finish(reruns: Reruns, code: int, number: int) -> None:
    with reruns.again(Faults(fail_at={number: code})) as bundle:
        before, after = bundle.states(), planned(bundle.plan)
        assert bundle.run("revoke.cmd", "apply") in (OPEN, REFUSED, ABORTED), number
        # Whatever was reached is as before, imported or as planned; never something else.
        for serial, state in bundle.states().items():
            assert state in (before[serial], after[serial], (20, None)), serial
        assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
        assert bundle.states() == after


CODES = (known.RPC_UNAVAILABLE, known.ACCESS_DENIED, 0x80070020)


@pytest.mark.parametrize("code", CODES)
def test_a_call_that_fails_never_counts_as_absent(tmp_path: Path, code: int) -> None:
    reruns = Reruns(tmp_path)
    for number in range(1 + code % 11, reruns.apply_calls + 1, 11):
        _fail_and_finish(reruns, code, number)


@pytest.mark.thorough
@pytest.mark.parametrize("code", CODES)
def test_no_single_call_that_fails_counts_as_absent(tmp_path: Path, code: int) -> None:
    reruns = Reruns(tmp_path)
    for number in range(1, reruns.apply_calls + 1):
        _fail_and_finish(reruns, code, number)


def test_the_run_ends_when_access_is_denied_or_the_service_is_gone(bundle: Bundle) -> None:
    for code in (known.ACCESS_DENIED, known.RPC_UNAVAILABLE):
        bundle.ca = bundle.new_ca(Faults(fail_verb={"revoke": code}))
        assert bundle.run("revoke.cmd", "apply") == ABORTED
        assert [call.verb for call in bundle.ca.calls].count("revoke") == 1
    bundle.ca = bundle.new_ca(rights=EVERYTHING - {"officer"})
    assert bundle.run("revoke.cmd", "apply") == ABORTED
    assert [call.verb for call in bundle.ca.calls].count("importcert") == 1


def test_the_run_ends_after_three_failures_in_a_row(bundle: Bundle) -> None:
    bundle.ca = bundle.new_ca(Faults(fail_verb={"revoke": 0x80070020}))
    assert bundle.run("revoke.cmd", "apply") == ABORTED
    assert [call.verb for call in bundle.ca.calls].count("revoke") == 3


# ------------------------------------------------------------------ what must stop or be refused


def test_another_ca_is_refused_before_anything_is_changed(bundle: Bundle) -> None:
    other = make_incident(Scenario(seed=8, certificates=60, lost=12)).restored
    bundle.ca = SimulatedCA.from_state(other)
    table = bundle.ca.table()
    for arguments in (("preflight",), ("apply",), ("publish",), ("status",)):
        assert bundle.run("revoke.cmd", *arguments) == REFUSED
    assert bundle.run("prepare.cmd", "GO") == REFUSED
    assert bundle.run("undo.cmd", "apply") == REFUSED
    assert bundle.ca.table().equals(table)
    assert bundle.ca.crls == {}
    assert {call.verb for call in bundle.ca.calls} == {"ca.cert"}


def test_without_elevation_the_ca_is_not_even_asked(bundle: Bundle) -> None:
    calls = len(bundle.ca.calls)
    assert bundle.run("revoke.cmd", "preflight", elevated=False) == REFUSED
    assert len(bundle.ca.calls) == calls


@pytest.mark.parametrize("folder", ["certs", "dummies"])
def test_a_file_changed_after_pinning_is_refused_and_ends_the_run(bundle: Bundle, folder: str) -> None:
    victim = min((bundle.directory / folder).iterdir())
    whole, serial = victim.read_bytes(), victim.stem
    victim.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert bundle.run("revoke.cmd", "preflight") == REFUSED
    # Somebody who changes files of the bundle is about more than one certificate.
    assert bundle.run("revoke.cmd", "apply") == ABORTED
    assert any("was changed" in line for line in bundle.lines)
    assert bundle.states()[serial] is None
    assert not [call for call in bundle.ca.calls if call.verb == "importcert" and serial in call.arguments[1]]
    victim.unlink()
    assert bundle.run("revoke.cmd", "preflight") == REFUSED
    assert bundle.run("revoke.cmd", "apply") == ABORTED
    assert any("is missing" in line for line in bundle.lines)
    victim.write_bytes(whole)
    assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
    assert bundle.states() == planned(bundle.plan)


def test_a_row_with_another_hash_stops_that_serial_only(bundle: Bundle) -> None:
    # Somebody imported a dummy of his own under a planned serial number.
    item = next(item for item in bundle.plan.items if item.method == "original" and item.action == "revoke")
    side = bundle.directory.parent / "side"
    side.mkdir()
    signer = str(bundle.ca.stand_in_certificates.iloc[-1]["serial"])
    bundle.ca.certutil(["-Cert", signer, "-sign", item.serial, "x.cer"], Folder(side))
    assert bundle.ca.certutil(["-importcert", "x.cer"], Folder(side)).exit_code == 0
    # The row is newer than the baseline and not the plan's: nothing at all is done.
    assert bundle.run("revoke.cmd", "apply") == REFUSED
    # The same met by a plan that does not know the baseline.
    loose = Bundle(bundle.directory, plan=replace(bundle.plan, newest_request_id=None))
    loose.ca = bundle.ca
    loose.pin()
    assert loose.run("revoke.cmd", "apply") == OPEN
    assert loose.states() == {**planned(loose.plan), item.serial: (20, None)}
    assert any("other-certificate" in line for line in loose.lines)
    assert loose.run("revoke.cmd", "publish") == REFUSED
    assert loose.run("revoke.cmd", "publish", "PARTIAL") == OPEN


def _meddle(bundle: Bundle, *arguments: str) -> None:
    assert bundle.ca.certutil(arguments, Folder(bundle.directory)).exit_code == 0


def test_revoked_already_with_another_reason_stops_that_serial(bundle: Bundle) -> None:
    row = next(item for item in bundle.plan.items if item.kind == "lost_revocation")
    other = (row.reason or 0) % 5 + 1
    _meddle(bundle, "-revoke", row.serial, str(other))
    assert bundle.run("revoke.cmd", "apply") == OPEN
    assert bundle.states() == {**planned(bundle.plan), row.serial: (21, other)}
    assert any("other-reason" in line for line in bundle.lines)


def test_on_hold_with_a_final_reason_planned_is_revoked(bundle: Bundle) -> None:
    row = next(item for item in bundle.plan.items if item.kind == "lost_revocation")
    _meddle(bundle, "-revoke", row.serial, "6")
    assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
    assert bundle.states() == planned(bundle.plan)


def test_revoked_already_as_planned_keeps_its_date(bundle: Bundle) -> None:
    row = next(item for item in bundle.plan.items if item.kind == "lost_revocation")
    _meddle(bundle, "-revoke", row.serial, str(row.reason))
    before = bundle.ca.table()
    bundle.ca.now += timedelta(days=1)
    assert bundle.run("revoke.cmd", "apply") == DONE
    after = bundle.ca.table()
    assert after[after["serial"] == row.serial].equals(before[before["serial"] == row.serial])


def test_a_certificate_issued_since_the_baseline_is_refused(bundle: Bundle) -> None:
    # Nothing that the plan knows: an original of a lost certificate that it leaves alone.
    spare = incident().truth["lost"][8]
    (bundle.directory / "spare.cer").write_bytes(base64.b64decode(spare["certificate"]))
    _meddle(bundle, "-importcert", "spare.cer")
    assert bundle.run("revoke.cmd", "preflight") == REFUSED
    assert bundle.run("revoke.cmd", "apply") == REFUSED
    assert any("issued since the baseline" in line for line in bundle.lines)


def test_publish_waits_for_apply_unless_it_is_told_not_to(bundle: Bundle) -> None:
    assert bundle.run("revoke.cmd", "publish") == REFUSED
    assert bundle.ca.crls == {}
    assert bundle.run("revoke.cmd", "publish", "PARTIAL") == OPEN
    assert bundle.ca.crls
    missing = [item.serial for item in bundle.plan.items if item.action == "revoke"]
    shown = "".join(bundle.lines)
    assert all(serial in shown for serial in missing)


def test_a_dummy_that_ends_too_early_is_never_pinned(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, Behaviour(dummy_validity=timedelta(days=1)))
    assert bundle.run("prepare.cmd", "GO") == DONE
    with pytest.raises(RefusedError, match="ends on"):
        bundle.pin()
    assert not (tmp_path / "revoke.cmd").exists()


def test_prepare_that_waits_at_a_dialog_is_reported(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, Behaviour(cert_option_suppresses_dialog=False))
    with pytest.raises(RunError, match="Certificate List"):
        bundle.run("prepare.cmd", "GO")


def test_a_batch_that_somebody_edited_is_not_run(bundle: Bundle) -> None:
    script = bundle.directory / "revoke.cmd"
    script.write_bytes(script.read_bytes() + b"del *.* & echo gone\r\n")
    # What stands after the last line is never reached; what is reached is refused.
    lines = script.read_bytes().split(b"\r\n")
    script.write_bytes(b"\r\n".join([lines[0], b"echo x & certutil -deleterow 1", *lines[1:]]))
    with pytest.raises(RefusedError, match=r"revoke\.cmd, line 2"):
        bundle.run("revoke.cmd", "apply")


# ------------------------------------------------------------------- what an administrator meets


def test_a_variable_named_errorlevel_hides_nothing(bundle: Bundle) -> None:
    # A real variable of that name stands before the built-in one: every check would pass.
    hidden = {"ERRORLEVEL": "0"}
    calls = len(bundle.ca.calls)
    assert bundle.run("revoke.cmd", "apply", elevated=False, environment=hidden) == REFUSED
    assert len(bundle.ca.calls) == calls
    assert bundle.run("revoke.cmd", "apply", environment=hidden) == DONE, bundle.lines
    assert bundle.states() == planned(bundle.plan)


def test_what_the_session_has_set_already_changes_nothing(bundle: Bundle) -> None:
    names = ("REASON", "FILE", "WHY", "H", "STATE", "WANTED", "ANSWER", "DID", "ABORT", "ALONE", "NUMBER", "LEFT")
    assert bundle.run("revoke.cmd", "apply", environment=dict.fromkeys(names, "9")) == DONE, bundle.lines
    assert bundle.states() == planned(bundle.plan)
    # A certutil of 32 bits may not see the keys of the CA, nor a module's provider.
    assert bundle.run("revoke.cmd", "status", environment={"PROCESSOR_ARCHITEW6432": "AMD64"}) == REFUSED
    assert any("32-bit" in line for line in bundle.lines)


class Locked:
    """Somebody else holds a file open (a scanner, a backup, a second window): one opening of it fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, at: int | None) -> None:
        self.opened = 0
        whole = Folder.write

        def write(folder: Folder, target: str, data: bytes, *, append: bool = False) -> None:
            if target.endswith(name) and not data:
                self.opened += 1
                if at in (None, self.opened):
                    raise PermissionError(13, "in use", target)
            whole(folder, target, data, append=append)

        monkeypatch.setattr(Folder, "write", write)


def test_an_answer_that_could_not_be_written_is_never_an_older_one(tmp_path: Path) -> None:
    # cmd.exe starts no command whose output cannot be opened, and leaves ERRORLEVEL as it was.
    reruns, at = Reruns(tmp_path), 1
    while True:
        with pytest.MonkeyPatch.context() as patch, reruns.again(Faults()) as bundle:
            row = next(item for item in bundle.plan.items if item.kind == "lost_revocation")
            other = (row.reason or 0) % 5 + 1
            _meddle(bundle, "-revoke", row.serial, str(other))
            lock = Locked(patch, "answer.txt", at)
            code = bundle.run("revoke.cmd", "apply")
            assert code in (OPEN, REFUSED, ABORTED), at
            assert bundle.states()[row.serial] == (21, other), at
            revoked = [call.arguments for call in bundle.ca.calls if call.verb == "revoke"]
            assert len(revoked) == len(set(revoked)), at
            if lock.opened < at:
                break
            at += 7
    assert at > 40


def test_a_crl_that_was_not_written_is_not_called_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle(tmp_path, plan=replace(make_plan(), last_crl_numbers={})).ready()
    assert bundle.run("revoke.cmd", "apply") == DONE
    Locked(monkeypatch, "carecover-publish.log", 5)
    code = bundle.run("revoke.cmd", "publish")
    assert bundle.ca.crls == {}, "the call of certutil -crl is the one whose log was locked"
    assert code == ABORTED, bundle.lines


def test_two_windows_do_not_run_at_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first holds work\\errors.txt open for as long as it runs.
    Locked(monkeypatch, "errors.txt", None)
    calls = len(bundle.ca.calls)
    for script, word in (("revoke.cmd", "apply"), ("prepare.cmd", "GO"), ("undo.cmd", "apply")):
        assert bundle.run(script, word) == REFUSED
        assert any("already" in line for line in bundle.lines), bundle.lines
    assert len(bundle.ca.calls) == calls


def test_outside_its_folder_a_batch_leaves_nothing(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> None:
    # cd fails on a UNC path, so the batch finds itself where the prompt stood: in System32.
    elsewhere = tmp_path_factory.mktemp("System32")
    for name in ("revoke.cmd", "prepare.cmd", "undo.cmd"):
        shutil.copy(bundle.directory / name, elsewhere)
    bundle.directory, calls = elsewhere, len(bundle.ca.calls)
    for manifest in (None, b'{"plan": "another"}'):
        if manifest:
            (elsewhere / "manifest.json").write_bytes(manifest)
        before = sorted(elsewhere.iterdir())
        for script, word in (("revoke.cmd", "apply"), ("prepare.cmd", "GO"), ("undo.cmd", "apply")):
            assert bundle.run(script, word) == REFUSED
            assert any("local disk" in line for line in bundle.lines)
        assert sorted(elsewhere.iterdir()) == before
    assert len(bundle.ca.calls) == calls


def test_a_log_of_an_earlier_plan_hides_nothing(bundle: Bundle) -> None:
    logs = bundle.directory / "logs"
    earlier = f"@@CR plan {'0' * 64}\r\n@@CR phase apply none\r\n@@CR end 0\r\n".encode("ascii")
    (logs / "carecover-apply.log").write_bytes(earlier)
    assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
    log = (logs / "carecover-apply.log").read_bytes()
    assert log.startswith(earlier)
    assert f"@@CR plan {bundle.plan.digest}".encode("ascii") in log
    assert bundle.states() == planned(bundle.plan)


def test_a_second_plan_takes_over_the_dummies_of_the_first(
    bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # On hold first; later its owner is found, and another item comes in before it.
    assert bundle.run("revoke.cmd", "apply") == DONE
    first = bundle.plan.items
    held = next(item for item in first if item.method == "dummy" and item.reason == 6)
    spare = incident().truth["lost"][8]
    added = replace(held, serial=spare["serial"], finding_id="spare", not_after=spare["not_after"], reason=1)
    items = [replace(item, reason=1) if item is held else item for item in (added, *first)]
    numbered = tuple(replace(item, number=number) for number, item in enumerate(items, start=1))
    second = Bundle(tmp_path_factory.mktemp("second"), plan=replace(bundle.plan, items=numbered))
    second.ca = bundle.ca
    shutil.copytree(bundle.directory / "dummies", second.directory / "dummies")
    before = len(second.ca.calls)
    second.ready()
    assert [call.verb for call in second.ca.calls[before:]].count("sign") == 1
    assert second.run("revoke.cmd", "apply") == DONE, second.lines
    assert second.states() == planned(second.plan)


# -------------------------------------------------------------- under every assumption of ours


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(language="de"),
        Behaviour(language="fr"),
        Behaviour(language="none"),
        Behaviour(hash_spaced=True),
        Behaviour(restriction_ignores_case=False),
        Behaviour(publishes_at_start=True),
        Behaviour(dummy_subject="empty", dummy_is_ca=True, dummy_eku=("1.3.6.1.5.5.7.3.1",)),
        Behaviour(high_serials_padded=True),
        Behaviour(getcrl_index="key"),
        Behaviour(duplicate_import=0x80070050),
        Behaviour(revoke_unknown_serial=known.INVALID_PARAMETER),
        Behaviour(dummy_validity=timedelta(days=5000)),
    ],
    ids=lambda behaviour: " ".join(
        f"{f.name}={value}"
        for f in fields(behaviour)
        if (value := getattr(behaviour, f.name)) != getattr(Behaviour(), f.name)
    ),
)
def test_the_plan_ends_as_it_says_under_each_assumption(tmp_path: Path, behaviour: Behaviour) -> None:
    bundle = Bundle(tmp_path, behaviour).ready()
    for phase in ("preflight", "apply", "publish", "status"):
        assert bundle.run("revoke.cmd", phase) == DONE, bundle.lines
    assert bundle.states() == planned(bundle.plan)
    number = x509.load_der_x509_crl(bundle.ca.crls[0]).extensions.get_extension_for_class(x509.CRLNumber)
    assert number.value.crl_number > incident().truth["crl"]["last_published"]


@pytest.mark.parametrize("padded", [False, True])
def test_serials_with_leading_zeros_and_high_bits_go_the_whole_way(tmp_path: Path, *, padded: bool) -> None:
    dummy = next(item for item in make_plan().items if item.method == "dummy")
    serials = ("0abc", "ff00000001", "80", "00ab".removeprefix("00"))
    items = tuple(replace(dummy, number=n, serial=serial) for n, serial in enumerate(serials, start=1))
    bundle = Bundle(tmp_path, Behaviour(high_serials_padded=padded), replace(make_plan(), items=items)).ready()
    for _ in range(2):
        assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
        assert bundle.states() == planned(bundle.plan)
    assert bundle.run("revoke.cmd", "publish") == DONE, bundle.lines
    crl = x509.load_der_x509_crl(bundle.ca.crls[0])
    assert all(crl.get_revoked_certificate_by_serial_number(int(serial, 16)) for serial in serials)


def test_where_the_crl_number_cannot_be_asked_for_publish_says_so(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, Behaviour(view_crl_numbers=False)).ready()
    assert bundle.run("revoke.cmd", "apply") == DONE
    assert bundle.run("revoke.cmd", "publish") == OPEN
    assert any("not known" in line for line in bundle.lines)


def test_a_duplicate_import_that_a_ca_accepts_is_seen_as_strange_or_mended(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, Behaviour(duplicate_import_refused=False)).ready()
    assert bundle.run("revoke.cmd", "apply") == DONE
    # Even then the batch looks before it imports, so there is no second row.
    assert bundle.run("revoke.cmd", "apply") == DONE
    serials = bundle.ca.table()["serial"].dropna()
    assert serials.is_unique


def test_the_transcript_is_plain_text_with_our_markers(bundle: Bundle) -> None:
    assert bundle.run("revoke.cmd", "apply") == DONE
    log = (bundle.directory / "logs" / "carecover-apply.log").read_bytes().decode(OEM)
    assert f"@@CR plan {bundle.plan.digest}\r\n" in log
    assert "@@CR end 0 " in log
    for item in bundle.plan.items:
        assert (f" {item.serial} done 0" in log) == (item.action in ("revoke", "restore"))
    assert SerialNumber.parse(bundle.plan.items[0].serial).text in log
