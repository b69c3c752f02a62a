"""Whatever is done in whatever order: a bundle goes out only under two people's signatures on what it holds."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from carecover.case import Case
from carecover.errors import CarecoverError, RefusedError
from carecover.journal import Journal
from carecover.model import person_key
from tests.small_case import Clock, Story

PEOPLE: Final = st.sampled_from(["Ada Analyst", "ADA  analyst", "Rob Reviewer", "Eve"])
ROLES: Final = st.sampled_from(["analyst", "reviewer"])
ACTIONS: Final = st.sampled_from([("revoke", 1), ("revoke", 6), ("leave", None), ("undecided", None)])


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story.begin(tmp_path_factory.mktemp("story"))


def test_a_bundle_goes_out_only_under_two_signatures(story: Story) -> None:
    _search(story, max_examples=6, stateful_step_count=10)


@pytest.mark.thorough
def test_a_bundle_goes_out_only_under_two_signatures_thoroughly(story: Story) -> None:
    _search(story, max_examples=150, stateful_step_count=30)


def _search(story: Story, *, max_examples: int, stateful_step_count: int) -> None:
    class OnThisStory(FourEyes):
        def __init__(self) -> None:
            super().__init__(story)

    run_state_machine_as_test(
        OnThisStory,
        settings=settings(
            max_examples=max_examples,
            stateful_step_count=stateful_step_count,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


class FourEyes(RuleBasedStateMachine):
    """A case in the hands of people who do anything; what they signed is written down here once more."""

    def __init__(self, story: Story) -> None:
        super().__init__()
        self.story = story
        self.folder = Path(tempfile.mkdtemp(prefix="carecover-test-"))
        self.signed: list[tuple[str, str, str]] = []
        self.exports = 0

    @initialize(state=st.sampled_from(["decided", "signed"]))
    def begin(self, state: str) -> None:
        self.case = self.story.copy(state, self.folder)
        self.digest = self.case.plan().digest
        if state == "signed":
            self.signed = [(self.digest, "ada analyst", "analyst"), (self.digest, "rob reviewer", "reviewer")]

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(number=st.integers(0, 9), action=ACTIONS, by=PEOPLE)
    def decide(self, number: int, action: tuple[str, int | None], by: str) -> None:
        findings = self.case.findings
        serial = findings.loc[findings["kind"] == "orphaned", "serial"].iloc[number]
        self.case.decide(serials=[serial], action=action[0], reason=action[1], by=by)  # type: ignore[arg-type]

    @rule(by=PEOPLE, role=ROLES)
    def sign(self, by: str, role: str) -> None:
        with contextlib.suppress(RefusedError):
            signature = self.case.sign_off(by=by, role=role)
            self.signed.append((signature.digest, person_key(by), role))

    @rule(config=st.sampled_from(["pki01.corp.example\\Example Issuing CA 1", "pki02\\Example Issuing CA 1"]))
    def change_a_fact(self, config: str) -> None:
        Case.create(self.case.path, clock=Clock(), config=config)

    @rule(exposed=st.sampled_from(["yes", "no"]))
    def tell_about_the_key(self, exposed: str) -> None:
        Case.create(self.case.path, clock=Clock(), key_exposed=exposed)

    @rule(again=st.booleans())
    def add(self, again: bool) -> None:
        extra = self.folder / "extra.eml"
        extra.write_bytes(b"From: a@example.org\r\nSubject: hello\r\n\r\nhello\r\n")
        self.case.add([self.story.evidence / "crl" if again else extra])

    @rule(by=PEOPLE)
    def waive(self, by: str) -> None:
        self.case.waive("undecided: later", by=by)

    @rule()
    def open_again(self) -> None:
        self.case = Case.open(self.case.path, clock=Clock())

    @rule()
    def batch(self) -> None:
        self.exports += 1
        place = self.folder / f"bundle {self.exports}"
        try:
            self.case.batch(place)
        except CarecoverError:
            assert not place.exists()
            return
        digest = self.case.plan().digest
        assert self.case.facts.key_exposed != "yes"
        last = self.signed[-2:]
        assert [d for d, _, _ in last] == [digest, digest], "the last two signatures stand under this plan"
        assert len({person for _, person, _ in last}) == 2
        assert {role for _, _, role in last} == {"analyst", "reviewer"}

    @invariant()
    def signatures_follow_the_plan(self) -> None:
        if not hasattr(self, "case"):
            return
        try:
            digest: str | None = self.case.plan().digest
        except CarecoverError:
            digest = None
        if digest != self.digest:
            # Any change voids what was signed, for good.
            self.signed = []
            self.digest = digest or ""
        if digest is not None:
            standing = [(s.digest, person_key(s.person), s.role) for s in self.case.sign_offs()]
            assert standing == self.signed
        # Raises where the chain does not hold.
        list(Journal(self.case.path / "journal.jsonl").entries())
