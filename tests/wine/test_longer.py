"""longer.cmd in both interpreters: a dummy that was looked at is signed again, one that was exchanged is not."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

from carecover.remediation import certificate_name, check_dummies, longer_bundle, pinned_bundle
from carecover.simulator import Behaviour
from tests.planned_bundle import DONE, OPEN, USAGE, certificates, make_plan
from tests.wine.both import Both, WatchedBundle
from tests.wine.test_batches import proved


def test_short_dummies_are_signed_again_one_first_and_an_exchanged_file_never(both: Both) -> None:
    plan = make_plan()
    dummies = [replace(item, number=n) for n, item in enumerate((i for i in plan.items if i.method == "dummy"), 1)]
    plan = replace(plan, items=tuple(dummies))
    names = [certificate_name(item) for item in plan.items]
    longer = [certificate_name(item, longer=True) for item in plan.items]

    def story(bundle: WatchedBundle) -> None:
        def found(file_names: list[str]) -> dict[str, bytes]:
            return {name: (bundle.directory / name).read_bytes() for name in file_names}

        assert bundle.run("prepare.cmd", "GO") == DONE, bundle.lines
        first = found(names)
        signers = bundle.ca.stand_in_certificates
        pins = check_dummies(plan, first, signers)
        assert all(pin.can_be_longer for pin in pins)
        sources = {pin.serial: first[pin.name] for pin in pins}
        bundle.write(longer_bundle(plan, certificates(), pins, sources, now=bundle.ca.now))
        assert bundle.run("longer.cmd") == USAGE
        assert bundle.run("longer.cmd", "FIRST") == OPEN, bundle.lines
        assert [(bundle.directory / name).exists() for name in longer] == [True, False, False]
        # Somebody puts another file in the place of the second one, and takes it back when it was seen.
        (bundle.directory / names[1]).write_bytes(first[names[2]])
        assert bundle.run("longer.cmd", "GO") == OPEN
        assert any("file-changed" in line for line in bundle.lines)
        assert [(bundle.directory / name).exists() for name in longer] == [True, False, True]
        (bundle.directory / names[1]).write_bytes(first[names[1]])
        assert bundle.run("longer.cmd", "GO") == DONE, bundle.lines
        both_kinds = found([*names, *longer])
        pins = check_dummies(plan, both_kinds, signers)
        assert [(pin.name, pin.problems) for pin in pins] == [(name, ()) for name in longer]
        taken = {pin.serial: both_kinds[pin.name] for pin in pins}
        assert {hashlib.sha256(data).hexdigest() for data in taken.values()} == {pin.sha256 for pin in pins}
        bundle.write(pinned_bundle(plan, certificates(), pins, taken))
        assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
        assert bundle.run("revoke.cmd", "publish") == DONE, bundle.lines
        proved(bundle)

    told = both(story, plan=plan, behaviour=Behaviour(dummy_validity=timedelta(days=1)))
    assert sum(call.verb == "sign" for call in told.ca.calls) == 2 * len(names)
