"""What is proved is told row by row, and until when clients may believe what was before."""

from __future__ import annotations

import re

from carecover.case import Case
from carecover.notebook import batch, verify
from tests.notebook.conftest import press, put, said


def test_what_came_back_is_judged_row_by_row_and_the_clock_is_read(signed: Case) -> None:
    panel = verify(signed)
    assert "Until when clients may believe" in said(panel)
    assert re.search(r"as of \d{4}-\d\d-\d\d \d\d:\d\d UTC", panel.clock.value), "the moment at which it was read"
    assert panel.fetched.options, "the places that certificates name are proposed"
    press(batch(signed), "Export")
    run = signed.run(batch(signed).folder.value)
    panel.refresh()
    put(panel.paths, value=str(run.directory))
    message = press(panel, "Verify")
    proved = int((signed.table("outcomes")["verdict"] == "proved").sum())
    assert f"{proved:,} of" in message
    shown = panel.outcomes._rows._html.value
    assert len(re.findall(r'<tr class="edge (?:good|warning|bad)">', shown)) == len(signed.table("outcomes"))


def test_what_proves_nothing_is_said(signed: Case) -> None:
    panel = verify(signed)
    (signed.path.parent / "holiday.txt").write_text("hello", encoding="utf-8")
    put(panel.paths, value=str(signed.path.parent / "holiday.txt"))
    press(panel, "Verify")
    assert "nothing new is proved" in panel.notes.value


def test_a_place_that_is_none_is_refused_where_it_was_typed(signed: Case) -> None:
    panel = verify(signed)
    (signed.path.parent / "new.crl").write_bytes(b"x")
    put(panel.paths, value=str(signed.path.parent / "new.crl"))
    put(panel.fetched, value="<script>")
    message = press(panel, "Verify")
    assert "cc-note bad" in message
    assert "<script>" not in message
    assert panel.fetched.value == "<script>", "to be corrected"
