"""What was doubted of a line, told to both interpreters."""

from __future__ import annotations

from tests.planned_bundle import DONE, OPEN
from tests.wine.both import Both, WatchedBundle
from tests.wine.test_batches import _is_dummy, short_plan


def test_what_is_named_like_a_serial_number_is_not_signed(both: Both) -> None:
    plan = short_plan(_is_dummy)
    serial = plan.items[0].serial

    def story(bundle: WatchedBundle) -> None:
        place = bundle.directory / serial
        place.write_bytes(b"whatever somebody wants signed")
        assert bundle.run("prepare.cmd", "GO") == OPEN
        place.unlink()
        place.mkdir()
        assert bundle.run("prepare.cmd", "GO") == OPEN
        assert any("serial-file" in line for line in bundle.lines)
        assert "sign" not in {call.verb for call in bundle.ca.calls}
        place.rmdir()
        assert bundle.run("prepare.cmd", "GO") == DONE, bundle.lines

    both(story, plan=plan)
