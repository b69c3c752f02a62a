"""What people read: README.txt on the worst night, plan.html before they sign and before they run."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from carecover.model import Pin, Plan, PlanItem, SignOff
from carecover.remediation import bundle, handout, longer, scripts
from carecover.remediation.bundle import prepare_bundle
from tests.planned_bundle import Bundle
from tests.remediation.conftest import CA_END, ORPHAN, Incident
from tests.remediation.test_bundle import whole

SIGNED = (
    SignOff("d", "Ada <Analyst>", "analyst", datetime(2026, 3, 1, 2, tzinfo=UTC)),
    SignOff("d", "Rob Reviewer", "reviewer", datetime(2026, 3, 1, 3, tzinfo=UTC), "3000"),
)


def pin_of(item: PlanItem, **more: object) -> Pin:
    made = Pin(item.serial, "ab" * 32, "cd" * 20, CA_END, "CN=dummy", False, name=f"dummies/{item.serial}.cer")
    return replace(made, **more)  # type: ignore[arg-type]


def dummy_of(plan: Plan) -> PlanItem:
    return next(item for item in plan.items if item.method == "dummy")


class Text(HTMLParser):
    """The text of a page, and its tags."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.text, self.tags = "", []  # type: tuple[str, list[str]]
        self.feed(page.decode("ascii"))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.append(tag)


# ------------------------------------------------------------------------------- README.txt


def test_the_readme_names_the_steps_in_the_order_in_which_they_are_done(incident: Incident) -> None:
    plan = incident.plan()
    text = whole(incident)["README.txt"].decode()
    steps = text[text.index("BEFORE ANYTHING ELSE") :]
    words = (
        "must not issue",
        "prepare.cmd FIRST",
        "revoke.cmd preflight",
        "revoke.cmd backup",
        "revoke.cmd apply FIRST",
        "revoke.cmd publish",
        "DISTRIBUTE",
        "BRING BACK",
        "full backup",
    )
    assert [steps.index(word) for word in words] == sorted(steps.index(word) for word in words)
    assert f"RequestID>{plan.newest_request_id}" in text


@pytest.mark.parametrize("stage", ["prepare", "longer", "run"])
def test_the_readme_fits_a_console_of_80_columns(incident: Incident, stage: handout.Stage) -> None:
    plan = incident.plan()
    lines = handout.readme(plan, stage, config=plan.config, failures=3, calls=bundle.estimate(plan))
    assert max(map(len, lines)) < 80
    assert all(line.isascii() and line == line.rstrip() for line in lines)
    assert ("longer.cmd GO" in "\n".join(lines)) is (stage == "longer")


def _words_of_the_batches() -> dict[str, set[str]]:
    """Every word with which a batch ends something, by how it ends it: read from the batches' own text."""
    text = "".join((*scripts.PREPARE, *scripts.REVOKE, *scripts.UNDO, *longer.LONGER))
    text = text.replace("@MAX_FAILURES@-failures", "failures")
    words = {name: set(re.findall(rf'set "{name}=([a-z0-9-]+)"', text)) for name in ("WHY", "ABORT")}
    words["hint"] = set(re.findall(r"@@CR hint ([a-z-]+)", text))
    words["say"] = set(re.findall(r'if "%WHY%"=="([a-z0-9-]+)" echo REFUSED', text))
    return words


def test_every_word_of_the_batches_is_explained() -> None:
    words = _words_of_the_batches()
    assert len(words["WHY"]) > 30
    assert len(words["ABORT"]) > 7
    one_row = {word for row in handout.STOPPED for word in row.split(", ")}
    explained = one_row | set(handout.FAILED) | set(handout.REFUSED) | {"file-changed", "file-missing"}
    assert words["WHY"] - explained == set()
    assert words["ABORT"] - set(handout.ENDED) == set()
    assert words["hint"] == set(handout.HINTS)
    assert words["say"] == set(handout.REFUSED), "and nothing is explained that no batch says"
    # Words that are put together while a batch runs.
    assert {"absent", "other", "odd", "different"} <= one_row
    assert "file-failed" in handout.FAILED


def test_every_table_is_in_the_readme(incident: Incident) -> None:
    text = whole(incident)["README.txt"].decode()
    for table in (handout.STOPPED, handout.FAILED, handout.ENDED, handout.REFUSED, handout.HINTS):
        for word in table:
            assert re.search(rf"^  (3-)?{re.escape(word)} ", text, re.MULTILINE), word


def test_the_readme_says_only_what_this_plan_needs(incident: Incident) -> None:
    incident.choices[0] = {"serials": [ORPHAN], "action": "leave"}
    incident.choices[1] = {"serials": [incident.findings[1]["serial"]], "action": "leave"}
    incident.choices[4] = {"serials": [incident.findings[4]["serial"]], "action": "leave"}
    text = prepare_bundle(incident.plan(), incident.certificates)["README.txt"].decode()
    steps = text[text.index("BEFORE ANYTHING ELSE") : text.index("EXIT CODES")]
    assert "prepare.cmd" not in steps
    assert "undo.cmd" not in steps
    assert "1. BACK UP" in steps


# -------------------------------------------------------------------------------- plan.html


def test_the_page_says_who_signed_what_and_what_cannot_be_undone(incident: Incident) -> None:
    plan = incident.plan()
    read = Text(prepare_bundle(plan, incident.certificates, signoffs=SIGNED)["plan.html"])
    assert plan.digest in read.text
    assert (
        "Signed by Ada <Analyst> as analyst, 2026-03-01T02:00:00Z, by name only; Rob Reviewer as reviewer" in read.text
    )
    assert f"with the key {SIGNED[1].fingerprint}" in read.text
    assert "What cannot be undone" in read.text
    assert "1 Key Compromise" in read.text
    for name, calls in bundle.estimate(plan).items():
        assert f"{name}{calls:,}" in read.text
    assert not {"script", "img", "link", "iframe"} & set(read.tags)


def test_a_page_that_nobody_signed_says_so(incident: Incident) -> None:
    read = Text(prepare_bundle(incident.plan(), incident.certificates)["plan.html"])
    assert "Nobody has signed this plan" in read.text


def test_markup_and_hidden_text_are_shown_not_obeyed(incident: Incident) -> None:
    incident.findings[0]["subject"] = "CN=<script>alert(1)</script>\u202eevil"
    page = prepare_bundle(incident.plan(), incident.certificates)["plan.html"]
    assert b"<script" not in page
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;\\u202eevil" in page


def test_dummies_and_leftovers_are_listed_with_what_is_odd_about_them(incident: Incident) -> None:
    plan = incident.plan()
    pin = pin_of(dummy_of(plan), is_ca=True, own_key=False, ends_early=True, subject="CN=<b>")
    left = {"dummies/\udc80<x>.cer": "ef" * 32}
    page = handout.page(plan, "run", [pin], left, SIGNED, calls={})
    read = Text(page)
    for text in ("too early", "not the CA's", "CA:TRUE", "Leftover dummies", "ef" * 32, pin.sha256, "\\udc80<x>"):
        assert text in read.text
    assert b"<b>" not in page


# ------------------------------------------------------------------------------ the estimate


def test_the_estimate_is_what_a_run_takes(tmp_path: Path) -> None:
    made = Bundle(tmp_path)
    shutil.rmtree(tmp_path / "backup")
    calls = bundle.estimate(made.plan)
    words = {"prepare.cmd": ["GO"], "undo.cmd": ["apply"]}
    for name, estimated in calls.items():
        script, *rest = name.split()
        before = len(made.ca.calls)
        made.run(script, *(rest or words[script]))
        if script == "prepare.cmd":
            made.pin()
        taken = len(made.ca.calls) - before
        # Here the number of the CRL has to be raised by four, and the estimate speaks of one.
        further = 3 * 5 if "publish" in name else 0
        assert estimated - 4 <= taken <= estimated + further, (name, made.lines)


def test_a_plan_that_does_nothing_takes_no_dummies_and_no_undo(incident: Incident) -> None:
    incident.choices = [{"serials": [f["serial"]], "action": "leave"} for f in incident.findings]
    assert set(bundle.estimate(incident.plan())) == {
        "revoke.cmd backup",
        "revoke.cmd apply",
        "revoke.cmd publish",
        "revoke.cmd status",
    }
