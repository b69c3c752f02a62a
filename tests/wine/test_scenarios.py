"""The rest of what must be run for real, and which test is which.

clean run, re-run after success     test_batches: the_whole_way_and_all_of_it_once_more
each fault at each step             test_batches: every_call_that_fails_… (thorough), a_call_that_fails_…
kill and resume at every step       test_batches: a_kill_at_every_single_call_… (thorough), a_kill_leaves_…
wrong CA                            test_batches: another_ca_…, a_ca_certificate_that_was_changed_…
unpinned or altered file            test_batches: a_dummy_that_nobody_pinned_…, a_file_that_was_changed_…
altered .cmd                        test_batches: a_batch_of_another_plan_…; here: a_reason_altered_…
another certificate under a planned serial number, revoked already with another reason
                                    test_batches: another_certificate_…, what_somebody_revoked_…;
                                    the CRL after them here: what_was_stopped_…
leading zero and high bit           test_batches: serials_with_leading_zeros_…
0, 1 and 200 serials                test_batches: no_certificate_at_all, …, two_hundred_certificates (thorough);
                                    here: two_hundred_certificates_in_our_interpreter
restored once more                  test_batches: a_ca_that_is_restored_once_more_… (before and within apply);
                                    here: before and after publish
injection                           here: evil_text_starts_what_calm_text_starts
random interleavings                tests/test_interleavings; some of them here, in Wine (thorough)
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carecover.model import Plan
from carecover.simulator.windows import Folder
from tests.planned_bundle import DONE, OPEN, REASONS, REFUSED, Bundle, make_plan, openssl_entries, planned
from tests.remediation.test_injection import EVIL
from tests.test_interleavings import Act, Evening, evening_of, small_plan
from tests.wine.both import Both, WatchedBundle
from tests.wine.test_batches import finish, once_each, proved, short_plan, with_items
from tests.wine.wine import Start


def _is_row(item: Any) -> bool:
    return bool(item.kind == "lost_revocation")


def _is_original(item: Any) -> bool:
    return bool(item.method == "original" and item.action == "revoke")


def _is_dummy(item: Any) -> bool:
    return bool(item.method == "dummy")


def listed(bundle: WatchedBundle) -> dict[str, str | None]:
    """The planned serial numbers on the CRL that was saved, with their reasons, in the eyes of openssl."""
    entries = openssl_entries(bundle.directory / "out" / "crl-0.crl", bundle.directory / "ca.cer")
    return {i.serial: entries[int(i.serial, 16)] for i in bundle.plan.items if int(i.serial, 16) in entries}


# --------------------------------------------------------------------- the CRL after what was stopped


def test_what_was_stopped_is_on_no_crl_as_planned_and_all_else_is(both: Both) -> None:
    plan = replace(short_plan(_is_original, _is_row, _is_dummy), newest_request_id=None)

    def story(bundle: WatchedBundle) -> None:
        original, row, dummy = bundle.plan.items
        other = (row.reason or 0) % 5 + 1
        side = bundle.directory.parent / "side"
        side.mkdir()
        signer = str(bundle.ca.stand_in_certificates.iloc[-1]["serial"])
        for arguments in (
            ("-Cert", signer, "-sign", original.serial, "x.cer"),
            ("-importcert", "x.cer"),
            ("-revoke", row.serial, str(other)),
        ):
            assert bundle.ca.certutil(arguments, Folder(side)).exit_code == 0
        assert bundle.run("prepare.cmd", "GO") == DONE
        bundle.pin()
        assert bundle.run("revoke.cmd", "apply") == OPEN
        assert bundle.run("revoke.cmd", "publish") == REFUSED
        bundle.run("revoke.cmd", "publish", "PARTIAL")
        assert listed(bundle) == {row.serial: REASONS[other], dummy.serial: REASONS[dummy.reason or 0]}
        assert bundle.states()[original.serial] == (20, None)

    both(story, plan=plan)


# ------------------------------------------------------------------------------ restored once more


def test_a_ca_that_is_restored_before_or_after_publish_is_mended_once_more(both: Both) -> None:
    def story(bundle: WatchedBundle) -> None:
        assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
        bundle.ca = bundle.new_ca()
        assert bundle.run("revoke.cmd", "status") == OPEN
        assert bundle.run("revoke.cmd", "publish") == REFUSED, "what the log says was done is gone"
        finish(bundle)
        bundle.ca = bundle.new_ca()
        assert bundle.run("revoke.cmd", "status") == OPEN, "what was published before is no longer so"
        finish(bundle)
        once_each(bundle)

    both(story, plan=short_plan(_is_original))


# ---------------------------------------------------------------------------------- an altered .cmd


def test_a_reason_altered_in_a_batch_is_carried_out_and_the_crl_tells(both: Both) -> None:
    # A batch cannot know its own bytes: the SHA-256 on paper, Case.run and verify do. Nothing else than the planned
    # serial number is touched, and the log names the plan that says otherwise.
    def story(bundle: WatchedBundle) -> None:
        (item,) = bundle.plan.items
        script = bundle.directory / "revoke.cmd"
        wanted, other = f'"{item.reason}"', f'"{(item.reason or 0) % 5 + 1}"'
        lines = script.read_bytes().decode().split("\r\n")
        lines = [line.replace(wanted, other) if line.startswith("call :item ") else line for line in lines]
        script.write_bytes("\r\n".join(lines).encode())
        assert bundle.run("revoke.cmd", "apply") == DONE
        assert bundle.run("revoke.cmd", "publish") == DONE
        assert listed(bundle) == {item.serial: REASONS[(item.reason or 0) % 5 + 1]}
        with pytest.raises((AssertionError, KeyError)):
            proved(bundle)
        evening = Evening(bundle)
        assert list(evening.outcomes()["verdict"]) == ["contradicted"]

    plan = short_plan(_is_row)
    # A reason of its own, so that nothing else in the line is exchanged.
    both(story, plan=with_items(replace(plan.items[0], reason=4)))


# -------------------------------------------------------------------------------------- how many


def test_two_hundred_certificates_in_our_interpreter(tmp_path: Path) -> None:
    dummy = next(item for item in make_plan().items if _is_dummy(item))
    plan = with_items(*(replace(dummy, serial=f"13{n:06x}", reason=n % 7) for n in range(200)))
    bundle = Bundle(tmp_path, plan=plan).ready()
    assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines[-3:]
    assert bundle.states() == planned(plan)
    calls = len(bundle.ca.calls)
    assert bundle.run("revoke.cmd", "apply") == DONE
    assert not {"importcert", "revoke"} & {call.verb for call in bundle.ca.calls[calls:]}
    assert bundle.run("revoke.cmd", "publish") == DONE, bundle.lines[-3:]
    entries = openssl_entries(tmp_path / "out" / "crl-0.crl", tmp_path / "ca.cer")
    assert {item.serial: REASONS[item.reason or 0] for item in plan.items} == {
        item.serial: entries.get(int(item.serial, 16), "not listed") for item in plan.items
    }


# ------------------------------------------------------------------------------------- injection


def evil_plan(plan: Plan, words: list[str]) -> Plan:
    """Every text of the plan is evil, and so is the configuration string (which then is left out)."""
    items = []
    for n, item in enumerate(plan.items):
        a, b, c, d, e, f = (words[(n + k) % len(words)] for k in range(6))
        items.append(
            replace(item, finding_id=a, subject=b, requester=c, template=d, note=e, decided_by=f, kind=item.kind)
        )
    return replace(
        plan, case=words[0], ca_name=words[-1], config=f"HOST\\{words[0]}&", waivers=(words[0],), items=tuple(items)
    )


def _starts(bundle: WatchedBundle) -> list[Start]:
    """What was started, without the digest of the plan, which is of all its text."""
    return [
        replace(s, arguments=tuple(a.replace(bundle.plan.digest, "digest") for a in s.arguments))
        for s in bundle.seen.starts
    ]


def _run(bundle: WatchedBundle) -> None:
    if bundle.plan.needs_dummies:
        assert bundle.run("prepare.cmd", "GO") == DONE, bundle.lines
        bundle.pin()
    for word in ("preflight", "apply", "publish"):
        assert bundle.run("revoke.cmd", word) == DONE, bundle.lines
    assert not any("pwned" in path.name for path in bundle.directory.parent.parent.rglob("*"))


def _same_as_calm(both: Both, plan: Plan, lists: list[list[str]]) -> None:
    calm = _starts(both(_run, plan=plan))
    for words in lists:
        assert _starts(both(_run, plan=evil_plan(plan, words))) == calm, words


WHOLE = [word for word in EVIL if not any("\ud800" <= c <= "\udfff" for c in word)]


def test_evil_text_starts_what_calm_text_starts(both: Both) -> None:
    _same_as_calm(both, short_plan(_is_row), [WHOLE])


@pytest.mark.thorough
def test_each_evil_text_in_each_field_starts_what_calm_text_starts(both: Both) -> None:
    _same_as_calm(both, short_plan(_is_dummy, _is_row), [[word] for word in WHOLE])


# ------------------------------------------------------------------------------ random evenings


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(5_000, 5_030))
def test_an_evening_in_wine_ends_as_in_our_interpreter(both: Both, seed: int) -> None:
    begin, behaviour, acts = evening_of(seed)
    # Wine's cmd.exe writes to a real disk, which is never full here.
    acts = [replace(act, trouble=None) if act.trouble and act.trouble.kind == "disk_full_from" else act for act in acts]

    def story(bundle: WatchedBundle) -> None:
        evening = Evening(bundle)
        if begin:
            assert evening.run(Act("prepare", "GO")) == DONE
            assert evening.pin()
        evening.spend(acts)

    both(story, plan=small_plan(), behaviour=behaviour)
