"""Whenever the machine dies or the disk is full: nothing that was acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from carecover.case import Case
from carecover.errors import CarecoverError
from carecover.folder import CaseFolder
from carecover.journal import Journal
from tests.small_case import ANALYST, REVIEWER, Clock, Story

# What an interrupted act may leave to be told; the next act clears it up, or a person looks at it.
TOLD: Final = (
    "no act in the journal made this",
    "no act acknowledges",
    "ends in the middle of a line",
    "does not hold the facts that the journal records",
    "has no end in the journal",
)


class Death(BaseException):
    """The machine stops: from here on nothing reaches the disk."""


class Disk:
    """Counts what touches the disk; from the ``at``-th time on, it goes wrong."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int | None, how: str) -> None:
        self.at, self.how, self.count = at, how, 0
        self.seen: list[str] = []
        for name in ("fsync", "open"):
            patch.setattr(os, name, self._watched(name, getattr(os, name)))
        for name in ("replace", "unlink", "mkdir", "chmod"):
            patch.setattr(Path, name, self._watched(name, getattr(Path, name)))

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **named: Any) -> Any:
            if name == "open" and not arguments[1] & (os.O_WRONLY | os.O_RDWR):
                return real(*arguments, **named)
            self.count += 1
            self.seen.append(f"{name} {arguments[0]}")
            if self.at is not None and self.count >= self.at:
                self._fail(name, arguments)
            return real(*arguments, **named)

        return watched

    def _fail(self, name: str, arguments: tuple[Any, ...]) -> None:
        if self.how == "full":
            # Deleting works on a full disk.
            if name not in ("unlink", "chmod"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return
        if self.how == "torn" and name == "fsync" and self.count == self.at:
            # Not all of what was written has reached the disk.
            size = os.fstat(arguments[0]).st_size
            if size and not os.path.isdir(f"/proc/self/fd/{arguments[0]}"):  # noqa: PTH112
                os.ftruncate(arguments[0], size - min(size, 5))
        raise Death


Act = Callable[[Case, Path], object]


def _create(case: Case, _: Path) -> object:
    return Case.create(case.path, clock=Clock(), ca="Example CA")


def _facts(case: Case, _: Path) -> object:
    return Case.create(case.path, clock=Clock(), key_exposed="no")


def _add(case: Case, place: Path) -> object:
    return case.add([place / "mails"])


def _decide(case: Case, _: Path) -> object:
    return case.decide(all_of="orphaned", action="leave", by=ANALYST)


def _waive(case: Case, _: Path) -> object:
    case.waive("undecided: later", by=REVIEWER)
    return None


def _sign(case: Case, _: Path) -> object:
    if any(s.person == ANALYST for s in case.sign_offs()):
        return None
    return case.sign_off(by=ANALYST, role="analyst")


def _batch(case: Case, place: Path) -> object:
    return case.batch(place / f"bundle-{len(list(place.glob('bundle-*')))}")


def _rehearse(case: Case, _: Path) -> object:
    return case.rehearse()


def _verify(case: Case, place: Path) -> object:
    (place / "junk").write_bytes(b"\0junk")
    return case.verify([place / "junk"])


def _export(case: Case, place: Path) -> object:
    return case.report(place / "journal.jsonld")


def _stamp(case: Case, place: Path) -> object:
    # What was recorded before the machine died is refused a second time, as it should be.
    return None if len(case.table("stamps")) else case.add([place / "head.tsr"], authority=place / "root.pem")


# Act, and how far the case is before it.
ACTS: Final[dict[str, tuple[Act, str]]] = {
    "create": (_create, "nothing"),
    "facts": (_facts, "empty"),
    "add": (_add, "empty"),
    "decide": (_decide, "added"),
    "waive": (_waive, "empty"),
    "sign": (_sign, "decided"),
    "batch": (_batch, "signed"),
    "rehearse": (_rehearse, "signed"),
    "verify": (_verify, "signed"),
    "export": (_export, "signed"),
    "stamp": (_stamp, "asked"),
}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    story = Story.begin(tmp_path_factory.mktemp("story"))
    Case.create(story.place / "empty", clock=Clock(), ca="Example CA")
    return story


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is computed again: what is on disk is what this is about."""

    def nothing(*_: object) -> Iterator[str]:
        yield from ()

    monkeypatch.setattr(Case, "_come_out_again", nothing)


def begun(story: Story, state: str, place: Path) -> Case:
    (place / "mails").mkdir(parents=True)
    for number in range(2):
        text = f"From: a@example.org\r\nSubject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\nhello\r\n"
        (place / "mails" / f"{number}.eml").write_text(text, encoding="ascii", newline="")
    if state == "nothing":
        return Case(CaseFolder(place / "case"), Clock())
    if state == "asked":
        for path in asked(story):
            shutil.copy(path, place)
    return story.copy(state, place)


def asked(story: Story) -> list[Path]:
    """The answer of an authority to a case that asked for a stamp, and the authority's certificate."""
    pytest.importorskip("rfc3161_client")
    from tests.test_stamps import Authority  # noqa: PLC0415 - skipped without that library

    place = story.place / "authority"
    if not place.exists():
        Case.create(story.place / "asked", clock=Clock(), ca="Example CA").report(story.place / "head.tsq")
        Authority.found(place, "Example").answer(story.place / "head.tsq", place / "head.tsr")
    return [place / "head.tsr", place / "root.pem"]


def acts(case: Case) -> list[str]:
    return [entry.act for entry in Journal(case.path / "journal.jsonl").entries()]


def holds(case: Case) -> dict[str, Any]:
    """What a case holds, whatever way led there."""
    evidence = case.table("evidence")
    decided = case.table("decisions").drop_duplicates("finding_id", keep="last")
    return {
        "facts": case.facts,
        "evidence": sorted((Path(row["path"]).name, row["sha256"]) for row in evidence.to_dict("records")),
        "units": int(case.table("accounting")["parsed"].sum()),
        "decided": sorted(zip(decided["finding_id"], decided["action"], strict=True)),
        "stamps": list(case.table("stamps")["sha256"]),
        "kinds": set(acts(case)),
    }


def points(count: int, most: int) -> list[int]:
    """Some of the numbers from 1 to ``count``, the first and the last of them always."""
    if count <= most:
        return list(range(1, count + 1))
    return sorted({1 + round(n * (count - 1) / (most - 1)) for n in range(most)})


def interrupted(story: Story, place: Path, name: str, how: str, most: int) -> None:
    act, state = ACTS[name]
    whole = begun(story, state, place / "whole")
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, None, how)
        act(whole, place / "whole")
    wanted, count = holds(whole), disk.count
    assert count >= 3, disk.seen
    for at in points(count, most):
        here = place / str(at)
        case = begun(story, state, here)
        before = acts(case)
        told: str | None = None
        with pytest.MonkeyPatch.context() as patch:
            disk = Disk(patch, at, how)
            try:
                act(case, here)
            except Death:
                told = ""
            except CarecoverError as error:
                told = str(error)
        if how == "full":
            # A full disk is told in a sentence; one that was met by the cache alone need not be told.
            assert told is None or "space left" in told or "cannot be" in told, told
        else:
            assert told == "", (at, count, told)
        if (case.path / "case.json").exists():
            opened = Case.open(case.path, clock=Clock())
            after = acts(opened)
            assert after[: len(before)] == before, "what was acknowledged is there"
            for problem in opened.check():
                assert any(told in problem for told in TOLD), (at, disk.seen[-1], problem)
        else:
            opened = case
        act(opened, here)
        later = Case.open(case.path, clock=Clock())
        assert holds(later) == wanted, (at, disk.seen[-1])
        left = [p for p in later.check() if not (name == "rehearse" and "/runs/" in p)]
        assert left == [], (at, disk.seen[-1], left)
        assert not [p for p in later.path.glob("[!c]*/.*") if p.is_file()], "nothing half-written is left"
        shutil.rmtree(here)


CHEAP: Final = ("create", "facts", "add", "waive")


@pytest.mark.parametrize(
    ("name", "how", "most"),
    [
        *((name, how, 5) for name in CHEAP for how in ("dead", "torn", "full")),
        *((name, how, 2) for name, how in zip(("decide", "sign", "batch"), ("torn", "dead", "full"), strict=True)),
        ("export", "torn", 2),
        ("stamp", "torn", 3),
    ],
)
def test_an_act_that_is_interrupted_at_some_write_is_done_or_not(
    story: Story, tmp_path: Path, quick: None, name: str, how: str, most: int
) -> None:
    assert quick is None
    interrupted(story, tmp_path, name, how, most)


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["dead", "torn", "full"])
@pytest.mark.parametrize("name", ACTS)
def test_an_act_that_is_interrupted_at_every_write_is_done_or_not(
    story: Story, tmp_path: Path, quick: None, name: str, how: str
) -> None:
    assert quick is None
    interrupted(story, tmp_path, name, how, 1000)


def test_the_journal_speaks_of_nothing_that_could_still_be_lost(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A rename is on disk once its folder is synced: after a loss of power the line must not be there without the file.
    case = begun(story, "added", tmp_path / "a")
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        real(handle)
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("There is no /proc here to tell a file by its handle.")
    monkeypatch.setattr(os, "fsync", fsync)
    _decide(case, tmp_path / "a")
    journal, folder = str(case.path / "journal.jsonl"), str(case.path)
    assert synced.index(folder) < synced.index(journal)
    assert ".decisions.jsonl." in synced[synced.index(folder) - 1]
    del synced[:]
    _add(case, tmp_path / "a")
    assert synced.index(str(case.path / "evidence")) < synced.index(journal)


def test_many_writers_get_their_turn_and_none_is_lost(story: Story, tmp_path: Path) -> None:
    case = begun(story, "empty", tmp_path / "c")

    def write(person: str) -> None:
        mine = Case.open(case.path)
        for number in range(8):
            mine.waive(f"undecided: {number}", by=person)

    writers = [threading.Thread(target=write, args=(f"Person {n}",)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = list(Journal(case.path / "journal.jsonl").entries())
    said = sorted((e.details["by"], e.details["note"]) for e in found if e.act == "waive")
    assert said == sorted((f"Person {n}", f"undecided: {m}") for n in range(4) for m in range(8))
    assert case.check() == []
