"""The bundle in a real command interpreter: every story is told to Wine's cmd.exe and to ours, and must go alike.

What is asserted is the record of the simulated CA and the CRL as openssl reads it, never an exit code alone.
"""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from carecover.errors import RunError
from carecover.model import Plan, PlanItem
from carecover.simulator import Behaviour, Faults, Scenario, SimulatedCA, make_incident
from carecover.simulator import behaviour as known
from carecover.simulator.windows import Folder
from tests.planned_bundle import (
    ABORTED,
    DONE,
    OPEN,
    REFUSED,
    USAGE,
    incident,
    make_plan,
    planned,
    the_crl_says_what_the_plan_says,
)
from tests.wine.both import Both, Seen, WatchedBundle

# Where a step is repeated, what a CA admits once has happened once.
WRITING = ("sign", "importcert", "revoke", "crl")
SESSIONS = 0x8009400F


def short_plan(*wanted: Callable[[PlanItem], bool]) -> Plan:
    """The plan of the rehearsals with the first item of each kind that is wanted; without any: one of every kind."""
    kinds = wanted or (
        lambda item: item.method == "original" and item.action == "revoke",
        lambda item: item.method == "dummy" and item.reason == 6,
        lambda item: item.action == "restore",
        lambda item: item.kind == "lost_revocation",
        lambda item: item.action == "unrevoke",
        lambda item: item.action == "leave",
    )
    items = [next(item for item in make_plan().items if fits(item)) for fits in kinds]
    return with_items(*items)


def with_items(*items: PlanItem) -> Plan:
    return replace(make_plan(), items=tuple(replace(item, number=n) for n, item in enumerate(items, start=1)))


def _is_row(item: PlanItem) -> bool:
    return item.kind == "lost_revocation"


def _is_dummy(item: PlanItem) -> bool:
    return item.method == "dummy"


def _is_original(item: PlanItem) -> bool:
    return item.method == "original" and item.action == "revoke"


def proved(bundle: WatchedBundle) -> None:
    """The CRL that was saved says what the plan says, in the eyes of openssl."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not here.")
    the_crl_says_what_the_plan_says(bundle)


def finish(bundle: WatchedBundle) -> None:
    """What a person does after an interruption: the same again, to the end."""
    bundle.finish()
    assert bundle.states() == planned(bundle.plan)
    proved(bundle)


def once_each(bundle: WatchedBundle) -> None:
    """Nothing was revoked or imported twice: that would overwrite a date and a reason, or make a second row."""
    for verb in ("revoke", "importcert"):
        done = [call.arguments for call in bundle.ca.calls if call.verb == verb and call.exit_code == 0]
        assert len(done) == len(set(done)), verb


# ------------------------------------------------------------------------------ the whole way


@pytest.mark.parametrize("own_find", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_the_whole_way_and_all_of_it_once_more(both: Both, *, own_find: bool) -> None:
    def story(bundle: WatchedBundle) -> None:
        # One dummy is all that this plan needs: FIRST makes it, GO finds it.
        assert bundle.run("prepare.cmd", "FIRST") == DONE
        assert bundle.run("prepare.cmd", "GO") == DONE, bundle.lines
        bundle.pin()
        assert bundle.run("revoke.cmd", "preflight") == DONE, bundle.lines
        assert not {"importcert", "revoke", "crl"} & {call.verb for call in bundle.ca.calls}
        assert bundle.run("revoke.cmd", "publish") == REFUSED
        assert bundle.run("revoke.cmd", "apply", "FIRST") == OPEN
        finish(bundle)
        table, calls = bundle.ca.table(), len(bundle.ca.calls)
        assert bundle.run("revoke.cmd", "apply") == DONE
        assert bundle.ca.table().equals(table)
        assert not {*WRITING} & {call.verb for call in bundle.ca.calls[calls:]}
        assert bundle.run("undo.cmd", "apply") == DONE, bundle.lines
        assert bundle.states() == planned(bundle.plan, released=True)
        for script in ("revoke.cmd", "undo.cmd"):
            assert bundle.run(script, "status") == DONE, bundle.lines
        once_each(bundle)
        held = next(item for item in bundle.plan.items if item.reason == 6)
        assert bundle.run("undo.cmd", "hold", "99") == REFUSED
        assert bundle.run("undo.cmd", "hold", str(held.number)) == DONE, bundle.lines
        assert bundle.states()[held.serial] == (20, None)

    told = both(story, plan=short_plan(), own_find=own_find)
    assert [call.verb for call in told.ca.calls].count("sign") == 1


@pytest.mark.thorough
def test_a_plan_of_every_action_and_reason_goes_the_whole_way(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        finish(bundle)
        finish(bundle)
        once_each(bundle)

    both(story, plan=make_plan())


def test_words_that_it_does_not_know_do_nothing(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        finish(bundle)
        calls = len(bundle.ca.calls)
        for words in ((), ("",), ("Apply!",), ("apply", "ALL"), ("apply", "FIRST", "x"), ("a b",), ("apply", "/?")):
            assert bundle.run("revoke.cmd", *words) == USAGE, words
        for words in ((), ("hold",), ("hold", "x1"), ("hold", "1x"), ("hold", "1 2"), ("hold", "0x1")):
            assert bundle.run("undo.cmd", *words) == USAGE, words
        for words in ((), ("GO", "x"), ("GO NOW",)):
            assert bundle.run("prepare.cmd", *words) == USAGE, words
        assert len(bundle.ca.calls) == calls

    both(story, plan=short_plan(_is_dummy, lambda item: item.action == "unrevoke"))


# ------------------------------------------------------------------ what must stop or be refused


def test_another_ca_is_refused_before_anything_is_changed(both: Both) -> None:
    other = make_incident(Scenario(seed=8, certificates=60, lost=12)).restored

    def story(bundle: WatchedBundle) -> None:
        assert bundle.run("prepare.cmd", "GO") == DONE
        bundle.pin()
        bundle.ca = SimulatedCA.from_state(other)
        for call in (
            *(("revoke.cmd", word) for word in ("preflight", "apply", "publish", "status")),
            *(("prepare.cmd", "GO"), ("undo.cmd", "apply")),
        ):
            assert bundle.run(*call) == REFUSED
            assert any("another CA" in line for line in bundle.lines)
        assert {call.verb for call in bundle.ca.calls} == {"ca.cert"}

    both(story, plan=short_plan(_is_dummy, lambda item: item.action == "unrevoke"))


def test_a_ca_certificate_that_was_changed_along_with_the_ca_is_refused(both: Both) -> None:
    # fc.exe finds the bundle's ca.cer and the CA's equal; only the hash in the batch tells.
    other = make_incident(Scenario(seed=8, certificates=60, lost=12)).restored

    def story(bundle: WatchedBundle) -> None:
        bundle.ca = SimulatedCA.from_state(other)
        (bundle.directory / "ca.cer").write_bytes(bundle.ca.stand_in_certificates.iloc[-1]["der"])
        assert bundle.run("revoke.cmd", "apply") == REFUSED
        assert [call.verb for call in bundle.ca.calls] == ["ca.cert", "hashfile"]

    both(story, plan=short_plan(_is_row))


def test_a_plain_prompt_asks_the_ca_nothing(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        for hidden in ({}, {"ERRORLEVEL": "0"}):
            assert bundle.run("revoke.cmd", "apply", elevated=False, environment=hidden) == REFUSED
        assert bundle.ca.calls == []
        # What the session has set already changes nothing either.
        names = ("REASON", "FILE", "WHY", "H", "STATE", "WANTED", "ANSWER", "DID", "ABORT", "ALONE", "NUMBER", "LEFT")
        assert bundle.run("revoke.cmd", "apply", environment={**dict.fromkeys(names, "9"), "ERRORLEVEL": "0"}) == DONE
        assert bundle.states() == planned(bundle.plan)

    both(story, plan=short_plan(_is_row))


def test_a_file_that_was_changed_or_is_gone_is_refused(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        assert bundle.run("prepare.cmd", "GO") == DONE
        bundle.pin()
        for folder in ("certs", "dummies"):
            victim = min((bundle.directory / folder).iterdir())
            data = victim.read_bytes()
            changed = data[:-1] + bytes([data[-1] ^ 1])
            for word, bad, code in (("apply", changed, ABORTED), ("preflight", b"", REFUSED), ("apply", None, ABORTED)):
                victim.unlink() if bad is None else victim.write_bytes(bad)
                assert bundle.run("revoke.cmd", word) == code
                assert bundle.states()[victim.stem] is None
            victim.write_bytes(data)

    both(story, plan=short_plan(_is_original, _is_dummy))


def test_a_dummy_that_nobody_pinned_is_refused(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        assert bundle.run("prepare.cmd", "GO") == DONE
        bundle.pin()
        # Signed again after the pin: as good as the first, but nobody has looked at it.
        victim = min((bundle.directory / "dummies").iterdir())
        victim.unlink()
        assert bundle.run("prepare.cmd", "GO") == DONE
        assert bundle.run("revoke.cmd", "apply") == ABORTED
        assert "importcert" not in {call.verb for call in bundle.ca.calls}

    both(story, plan=short_plan(_is_dummy))


def test_a_batch_of_another_plan_or_away_from_its_bundle_does_nothing(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        script = bundle.directory / "revoke.cmd"
        data = script.read_bytes()
        altered = data.replace(bundle.plan.digest.encode("ascii"), b"0" * 64)
        assert altered != data
        script.write_bytes(altered)
        assert bundle.run("revoke.cmd", "apply") == REFUSED
        script.write_bytes(data)
        (bundle.directory / "manifest.json").unlink()
        before = sorted(bundle.directory.rglob("*"))
        assert bundle.run("revoke.cmd", "apply") == REFUSED
        assert sorted(bundle.directory.rglob("*")) == before
        assert bundle.ca.calls == []

    both(story, plan=short_plan(_is_row))


def test_another_certificate_under_a_planned_serial_number_stops_that_one(both: Both) -> None:
    plan = replace(short_plan(_is_original, _is_row), newest_request_id=None)

    def story(bundle: WatchedBundle) -> None:
        item = bundle.plan.items[0]
        side = bundle.directory.parent / "side"
        side.mkdir()
        signer = str(bundle.ca.stand_in_certificates.iloc[-1]["serial"])
        bundle.ca.certutil(["-Cert", signer, "-sign", item.serial, "x.cer"], Folder(side))
        assert bundle.ca.certutil(["-importcert", "x.cer"], Folder(side)).exit_code == 0
        assert bundle.run("revoke.cmd", "apply") == OPEN
        assert bundle.states() == {**planned(bundle.plan), item.serial: (20, None)}
        assert any("other-certificate" in line for line in bundle.lines)
        assert bundle.run("revoke.cmd", "publish") == REFUSED
        assert bundle.run("revoke.cmd", "publish", "PARTIAL") == OPEN

    both(story, plan=plan)


def _meddle(bundle: WatchedBundle, *arguments: str) -> None:
    assert bundle.ca.certutil(arguments, Folder(bundle.directory)).exit_code == 0


@pytest.mark.parametrize("case", ["as planned", "another reason", "on hold"])
def test_what_somebody_revoked_already_is_seen(both: Both, case: str) -> None:
    def story(bundle: WatchedBundle) -> None:
        (row,) = bundle.plan.items
        reason = {"as planned": row.reason, "another reason": (row.reason or 0) % 5 + 1, "on hold": 6}[case]
        _meddle(bundle, "-revoke", row.serial, str(reason))
        stopped = case == "another reason"
        assert bundle.run("revoke.cmd", "apply") == (OPEN if stopped else DONE), bundle.lines
        assert bundle.states()[row.serial] == (21, reason if stopped else row.reason)
        revoked = [call.arguments for call in bundle.ca.calls if call.verb == "revoke"]
        assert len(revoked) == (2 if case == "on hold" else 1)

    both(story, plan=short_plan(_is_row))


def test_a_certificate_issued_since_the_baseline_is_refused_and_own_imports_are_not(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        finish(bundle)
        spare = incident().truth["lost"][8]
        (bundle.directory / "spare.cer").write_bytes(base64.b64decode(spare["certificate"]))
        _meddle(bundle, "-importcert", "spare.cer")
        assert bundle.run("revoke.cmd", "preflight") == REFUSED
        assert bundle.run("revoke.cmd", "apply") == REFUSED
        assert any("issued since the baseline" in line for line in bundle.lines)

    both(story, plan=short_plan(_is_original))


def test_a_ca_that_is_restored_once_more_is_mended_once_more(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        assert bundle.run("prepare.cmd", "GO") == DONE
        bundle.pin()
        # Restored between prepare and apply, and again when half of it is done.
        bundle.ca = bundle.new_ca()
        bundle.run("revoke.cmd", "apply", "FIRST")
        bundle.ca = bundle.new_ca()
        finish(bundle)
        bundle.ca = bundle.new_ca()
        assert bundle.run("revoke.cmd", "publish") == REFUSED

    both(story, plan=short_plan(_is_dummy))


def test_a_ca_restored_from_an_older_backup_is_refused(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        state = incident().restored
        older = replace(state, make_rows=lambda: iter([*state.rows][:-3]))
        bundle.ca = SimulatedCA.from_state(older)
        assert bundle.run("revoke.cmd", "preflight") == REFUSED
        assert bundle.run("revoke.cmd", "apply") == REFUSED
        assert any("is not in this database" in line for line in bundle.lines)
        assert not {*WRITING} & {call.verb for call in bundle.ca.calls}

    both(story, plan=short_plan(_is_row))


# --------------------------------------------------------------------------- serial numbers


@pytest.mark.parametrize("padded", [False, True])
def test_serials_with_leading_zeros_and_high_bits(both: Both, *, padded: bool) -> None:
    dummy = next(item for item in make_plan().items if _is_dummy(item))
    plan = with_items(*(replace(dummy, serial=serial) for serial in ("0abc", "ff00000001", "80", "ab")))

    def story(bundle: WatchedBundle) -> None:
        for _ in range(2 if padded else 1):
            finish(bundle)
        once_each(bundle)

    both(story, plan=plan, behaviour=Behaviour(high_serials_padded=padded), own_find=True)


def test_no_certificate_at_all(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        for word in ("preflight", "apply", "status"):
            assert bundle.run("revoke.cmd", word) == DONE, bundle.lines
        assert bundle.run("revoke.cmd", "publish") == DONE, bundle.lines
        assert not {"sign", "importcert", "revoke"} & {call.verb for call in bundle.ca.calls}

    both(story, plan=short_plan(lambda item: item.action == "leave"))


@pytest.mark.thorough
def test_two_hundred_certificates(both: Both) -> None:
    dummy = next(item for item in make_plan().items if _is_dummy(item))
    plan = with_items(*(replace(dummy, serial=f"13{n:06x}", reason=n % 7) for n in range(200)))

    def story(bundle: WatchedBundle) -> None:
        finish(bundle)
        calls = len(bundle.ca.calls)
        finish(bundle)
        assert not {"sign", "importcert", "revoke"} & {call.verb for call in bundle.ca.calls[calls:]}

    both(story, plan=plan)


# ------------------------------------------------------------------------- where it may stand

# What cmd.exe reads as something else outside quotes; each is a plain character of a folder's name.
ODD_FOLDERS = ("a b & c", "(x) y", "^caret^ !bang!", "a;b,c=d", "it's @home #1 ~+[]{}$`", "-f", "find", "&calc&")


@pytest.mark.parametrize("folder", ODD_FOLDERS)
def test_the_name_of_its_folder_starts_nothing(both: Both, folder: str) -> None:
    def story(bundle: WatchedBundle) -> None:
        assert bundle.run("revoke.cmd", "preflight") == DONE, bundle.lines

    both(story, plan=short_plan(_is_original), folder=folder)


# ------------------------------------------------------------------------- faults at every step

CODES = {
    "service gone": known.RPC_UNAVAILABLE,
    "access denied": known.ACCESS_DENIED,
    "too many sessions": SESSIONS,
    "crash": known.ACCESS_VIOLATION,
}


def whole_way(plan: Plan, directory: Path) -> WatchedBundle:
    """The bundle after the whole way in our interpreter."""
    bundle = WatchedBundle(directory, plan=plan)
    bundle.seen = Seen()
    finish(bundle)
    return bundle


def calls_of(plan: Plan, tmp_path: Path) -> int:
    """How many calls of certutil the whole way takes."""
    (tmp_path / "count").mkdir()
    return len(whole_way(plan, tmp_path / "count").ca.calls)


def _failing(codes: dict[int, int]) -> Callable[[WatchedBundle], None]:
    def story(bundle: WatchedBundle) -> None:
        bundle.ca.faults = Faults(fail_at=codes)
        before, after = bundle.states(), planned(bundle.plan)
        if not (bundle.directory / "revoke.cmd").exists():
            if bundle.run("prepare.cmd", "GO") != DONE:
                assert bundle.run("prepare.cmd", "GO") == DONE, bundle.lines
            bundle.pin()
        for word in ("apply", "publish"):
            code = bundle.run("revoke.cmd", word)
            # Whatever was reached is as before, imported or as planned; never something else.
            for serial, state in bundle.states().items():
                assert state in (before[serial], after[serial], (20, None)), serial
            if code != DONE:
                assert code in (OPEN, REFUSED, ABORTED)
                assert bundle.run("revoke.cmd", word) == DONE, bundle.lines
        assert bundle.states() == after
        proved(bundle)
        once_each(bundle)

    return story


@pytest.mark.parametrize("said", CODES)
def test_a_call_that_fails_is_told_and_mended_by_a_second_run(both: Both, tmp_path: Path, said: str) -> None:
    plan = short_plan(_is_original)
    # Each code meets another step; each code at every step is the thorough run.
    steps = calls_of(plan, tmp_path)
    at = steps * (1 + 2 * list(CODES).index(said)) // (2 * len(CODES))
    both(_failing({at: CODES[said]}), plan=plan)


@pytest.mark.thorough
@pytest.mark.parametrize("said", CODES)
def test_every_call_that_fails_is_told_and_mended_by_a_second_run(both: Both, tmp_path: Path, said: str) -> None:
    plan = short_plan(_is_dummy, _is_row)
    for at in range(1, calls_of(plan, tmp_path) + 1):
        both(_failing({at: CODES[said]}), plan=plan)


def test_a_verb_that_always_fails_ends_the_run(both: Both) -> None:
    plan = with_items(*(item for item in make_plan().items if _is_original(item)))

    def story(bundle: WatchedBundle) -> None:
        for code, tries in ((SESSIONS, 1), (known.ACCESS_DENIED, 1), (known.RPC_UNAVAILABLE, 1)):
            bundle.ca = bundle.new_ca(Faults(fail_verb={"revoke": code}))
            assert bundle.run("revoke.cmd", "apply") == ABORTED
            assert [call.verb for call in bundle.ca.calls].count("revoke") == tries
        # The crash of Windows Server 2008 R2: the lists may be written, the batch says what is known.
        bundle.ca.faults = Faults(fail_verb={"crl": known.ACCESS_VIOLATION})
        assert bundle.run("revoke.cmd", "apply") == DONE
        assert bundle.run("revoke.cmd", "publish") == ABORTED
        assert any("-1073741819" in line for line in bundle.lines)

    both(story, plan=plan)


# ------------------------------------------------------------------------------ kill and resume


def _killed(kind: str, at: int) -> Callable[[WatchedBundle], None]:
    def story(bundle: WatchedBundle) -> None:
        bundle.ca.faults = Faults(**{kind: at})  # type: ignore[arg-type]
        try:
            assert bundle.run("prepare.cmd", "GO") == DONE, bundle.lines
            bundle.pin()
            for word in ("apply", "publish"):
                assert bundle.run("revoke.cmd", word) == DONE, bundle.lines
            raise AssertionError("nothing was killed")
        except RunError:
            pass
        bundle.ca.faults = Faults()
        finish(bundle)
        once_each(bundle)

    return story


@pytest.mark.parametrize("kind", ["die_before", "die_after"])
def test_a_kill_leaves_nothing_that_a_second_run_does_not_mend(both: Both, tmp_path: Path, kind: str) -> None:
    plan = short_plan(_is_dummy)
    # The two that would do harm if they were done twice; every call is met in the thorough run.
    (tmp_path / "count").mkdir()
    verbs = [call.verb for call in whole_way(plan, tmp_path / "count").ca.calls]
    verb = {"die_before": "revoke", "die_after": "importcert"}[kind]
    both(_killed(kind, verbs.index(verb) + 1), plan=plan)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["die_before", "die_after"])
def test_a_kill_at_every_single_call_is_mended_by_a_second_run(both: Both, tmp_path: Path, kind: str) -> None:
    plan = short_plan(_is_dummy, _is_row)
    for at in range(1, calls_of(plan, tmp_path) + 1):
        both(_killed(kind, at), plan=plan)


def test_a_dialog_that_nobody_sees_is_ended(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        with pytest.raises(RunError, match="Certificate List"):
            bundle.run("prepare.cmd", "GO")

    both(story, plan=short_plan(_is_dummy), behaviour=Behaviour(cert_option_suppresses_dialog=False))
