"""The panels of 1-explore: the case, what to do first, its evidence, and what is wrong with the CA."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Final

import ipywidgets as widgets
import pandas as pd
from IPython.display import Javascript, display

from carecover.analysis.naming import NAME_OF_CA
from carecover.case import Case
from carecover.errors import CarecoverError, QuestionError, UsageError
from carecover.folder import CaseFolder
from carecover.journal import Journal
from carecover.model import ACTIONABLE_KINDS, CIRCUMSTANCES, KIND_MEANINGS, CaseFacts
from carecover.notebook import grid, markup, presence
from carecover.notebook.choosing import EvidenceView, FindingList, details, spaced
from carecover.notebook.dropping import DropZone
from carecover.notebook.grid import ReviewGrid
from carecover.notebook.markup import Head
from carecover.notebook.panel import WIDE, Advance, Careful, Panel, Rows, button, choice, entry, paths_of, person_in
from carecover.notebook.picture import Picture
from carecover.notebook.reviewing import known
from carecover.notebook.telling import in_panels
from carecover.report.document import cell, clean

CASE_VARIABLE: Final = "CARECOVER_CASE"
_UNSAFE_IN_NAMES = re.compile(r"[^\w.\- ]", re.ASCII)
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def open_case(path: str | Path | None = None) -> Case:
    """Open the case at ``path`` and show how far it has come; offer to make it where there is none.

    The environment variable CARECOVER_CASE, which ``carecover lab CASE`` sets, goes before
    ``path``. Raises UsageError where neither names a folder, CaseError for a damaged case.
    """
    named = os.environ.get(CASE_VARIABLE) or path
    if not named:
        raise UsageError('Name the folder of the case: open_case("my-case").')
    place = Path(named).expanduser().resolve()
    Journal.command = "notebook"
    presence.enter(place)
    # A case that is still to be made can be passed to every panel: each says that it is not there yet.
    case = Case.open(place) if CaseFolder.is_case(place) else Case(CaseFolder(place))
    script = resources.files(__package__).joinpath("panel.js").read_text(encoding="utf-8")
    display(OpenPanel(case), _Guard(script))  # type: ignore[no-untyped-call] # IPython has no types
    return case


class _Guard(Javascript):
    """A script that says nothing where it may not run."""

    def __repr__(self) -> str:
        return ""


class OpenPanel(Panel):
    """Where the case is and how far it has come; or the form that makes it."""

    title = "The case"
    needs_case = False
    tells_who_else = True

    def build(self) -> Sequence[widgets.Widget]:
        self.steps = widgets.HTML()
        self.ca = entry("CA name", placeholder="Corp Issuing CA 1", tooltip="The CA's common name")
        self.make = button("Make this case", self._make, main=True)
        self.form = widgets.VBox([self.ca, self.make])
        return [self.steps, self.form]

    def show(self) -> None:
        exists = CaseFolder.is_case(self.case.path)
        self.form.layout.display = "none" if exists else None
        if not exists:
            self.steps.value = markup.note(
                f"There is no case in {self.case.path} yet. Make it here, or correct the name in this cell and run it "
                "again. Everything of the case stays in that folder."
            )
            return
        steps = _progress(self)
        following = next((name for name, done, _ in steps if not done), None)
        rows = "".join(
            f'<li class="{"next" if name == following else "known"}"><b>{"✓" if done else "○"} {name}</b> '
            f"<span>{markup.text(told)}</span></li>"
            for name, done, told in steps
        )
        ahead = f"Next: {following}." if following else "Every step is done."
        if self.case.facts == CaseFacts() and following == _FIRST:
            ahead = f"Next: fill in the facts as far as they are known, then {following}."
        if files_bear_another_name(self):
            ahead = "Next: set the CA's name right, in the facts. What was handed in is of another CA."
        where = f'<p>{markup.code(self.case.path)}</p><ul class="cc-progress" aria-label="steps">{rows}</ul>'
        self.steps.value = markup.block(f"{where}<p><b>{ahead}</b></p>")

    def _make(self) -> None:
        def verb() -> str:
            Case.create(self.case.path, **({"ca": self.ca.value} if self.ca.value.strip() else {}))
            if not self.ca.value.strip():
                return Careful(
                    f"The case was made in {self.case.path}, without the name of the CA: write it into the facts, or "
                    "hand in the CA's certificate, which tells it."
                )
            return f"The case of {self.ca.value.strip()} was made in {self.case.path}."

        self.act(verb, self.make)


def files_bear_another_name(panel: Panel) -> bool:
    """True where the name of the CA was misspelled, by all that is there."""
    try:
        return bool((panel.desk.table("coverage")["aspect"] == NAME_OF_CA).any())
    except CarecoverError:
        # Whatever a person is asked about, the panel of it asks.
        return False


def _progress(panel: Panel) -> list[tuple[str, bool, str]]:
    """Each step of the whole job: its name, whether it is done, and what is known of it."""
    desk = panel.desk
    files = desk.table("evidence")
    steps = [(_FIRST, len(files) > 0, f"{len(files):,} files")]
    try:
        decided = desk.decided
        baseline = f"{len(desk.table('ca_rows')):,} rows of the restored database"
    except QuestionError:
        return [*steps, ("answer the question about the baseline", False, "more than one view, or none that can serve")]
    steps.append(("have a baseline", len(desk.table("ca_rows")) > 0, baseline))
    done = int((decided["action"].notna() & (decided["action"] != "undecided")).sum())
    complete = 0 < len(decided) == done
    steps.append(("decide about every finding", complete, f"{done:,} of {len(decided):,} that can be acted on"))
    digest = desk.plan_digest
    signed = len(desk.case.sign_offs(desk.plan)) if digest else 0
    steps.append(("have the plan signed by two people", signed == 2, f"{signed} of 2 signatures"))
    acts = [(e.act, e.details.get("digest")) for e in desk.history]
    steps += [(_NAMES[step.name], step.done, step.told) for step in desk.steps if step.name in _NAMES and step.needed]
    reported = max((place for place, (act, _) in enumerate(acts) if act == "report"), default=None)
    # What is handed in tells of what was proved: a report of before that is one of how far it has come.
    proved = max((place for place, act in enumerate(acts) if act == ("verify", digest)), default=None)
    final = digest is not None and reported is not None and proved is not None and reported > proved
    told = "written before it was verified: write it again" if reported is not None else "not written"
    steps.append(("hand in the report", final and signed == 2, "written" if final else told))
    return steps


_FIRST: Final = "add evidence"
_NAMES: Final[Mapping[str, str]] = {
    "rehearse": "rehearse it",
    "export": "export the bundle",
    "pin": "pin the dummies",
    "run": "carry it out on the CA",
    "prove": "verify what it did",
}


class FirstStepsPanel(Panel):
    """What has to be done first, by what the evidence shows: drawn anew whenever the case changes."""

    title = "What to do first"
    hint = "The most urgent first. A step goes away when the evidence shows that it was done."

    def build(self) -> Sequence[widgets.Widget]:
        self.stop = widgets.HTML()
        self.steps = Rows(
            [Head("when", "when", "badge"), Head("step", "what to do"), Head("why", "why")], "what to do first"
        )
        return [self.stop, self.steps]

    def show(self) -> None:
        # Where the table cannot be made, no older one may stand there as if it were this one.
        self.stop.value = ""
        self.steps.show(pd.DataFrame())
        steps = self.desk.table("first_steps")
        self.stop.value = "".join(
            markup.note(f"Stop. {step}", "bad") for step in steps.loc[steps["when"] == "stop", "step"]
        )
        order = {word: number for number, word in enumerate(_URGENCY)}
        rank = steps["when"].map(order).fillna(len(order))
        shown = _in_panels(steps.loc[rank.sort_values(kind="stable").index], "step", "why")
        self.steps.show(shown.assign(when=shown["when"].str.replace("_", " ")))
        if not len(steps):
            self.stop.value = markup.note(
                "Nothing in the evidence asks for anything to be done first any more.", "good"
            )


def _in_panels(rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The rows with the sentences of these columns as a panel says them."""
    return rows.assign(**{name: rows[name].map(in_panels, na_action="ignore") for name in columns})


_URGENCY: Final = ("stop", "before_start", "now", "later")


# ------------------------------------------------------------------------------- evidence


# The evidence room's words for where it failed.
_STAGES: Final[Mapping[str, str]] = {
    "open": "opening it", "detect": "telling what it is", "split": "taking it apart", "parse": "reading it",
    "validate": "checking it",
}  # fmt: skip
_WHOLE_FILE: Final = "byte 0"
_MOST_NAMED: Final = 6


class FilesPanel(Panel):
    """Files from the browser or by their paths; what is done with them, a subclass says."""

    action = "Add"
    what = "files or folders on this machine, one path a line"

    def build(self) -> Sequence[widgets.Widget]:
        self.upload = DropZone()
        self.paths = widgets.Textarea(
            description="Or by path", placeholder=self.what, rows=3, layout=WIDE, tooltip=self.what,
            style={"description_width": "130px"},
        )  # fmt: skip
        self.hand_in = button(self.action, self._hand_in, main=True)
        self.advance = Advance()
        return [self.upload, self.paths, self.hand_in, self.advance, self.message, *self.build_result()]

    def build_result(self) -> Sequence[widgets.Widget]:
        """What is shown below the controls."""
        raise NotImplementedError

    def take(self, paths: Sequence[Path]) -> str:
        """Hand the files to the case; return the sentence that says what came of it."""
        raise NotImplementedError

    def _hand_in(self) -> None:
        def verb() -> str:
            with uploaded(self.upload.take()) as handed_over:
                paths = [*handed_over, *paths_of(self.paths.value)]
                if not paths:
                    raise UsageError("Nothing was named: choose files, or write a path into the box.")
                try:
                    sentence = self.take(paths)
                finally:
                    self.advance.stop()
            self.upload.clear()
            self.paths.value = ""
            return sentence

        self.act(verb, self.hand_in)


class EvidencePanel(FilesPanel):
    """Take evidence in, and account for every unit of it."""

    title = "Evidence"
    hint = (
        "The CA's mails (mbox, eml, folders of them), exports of the restored database (certutil -view, text or csv), "
        "the CA's certificates, the last published CRL, certificates found elsewhere. What a file is, its content "
        "tells. Large archives are best named by their path."
    )
    action = "Add to the case"

    def build_result(self) -> Sequence[widgets.Widget]:
        self.accounting = Rows(
            [Head("evidence_id", "ID", "code"), Head("kind", "what it is"), Head("file", "file"),
             Head("units", "units"), Head("parsed", "read"), Head("irrelevant", "not relevant"),
             Head("duplicate", "seen before"), Head("rejected", "rejected")],
            "evidence and its accounting",
        )  # fmt: skip
        self.rejects_title = widgets.HTML()
        self.rejects = Rows(
            [
                Head("evidence_id", "ID", "code"),
                Head("file", "file"),
                Head("location", "where"),
                Head("stage", "failed at"),
                Head("reason", "why"),
            ],
            "units that could not be used",
        )
        self.foreign = widgets.HTML()
        return [self.accounting, self.foreign, self.rejects_title, self.rejects]

    def show(self) -> None:
        files, accounting, rejects = (self.desk.table(n) for n in ("evidence", "accounting", "rejects"))
        sums = accounting.groupby("evidence_id", sort=False).sum(numeric_only=True).reset_index()
        files = files.assign(file=[Path(p).name for p in files["path"]], kind=files["kind"].map(spaced))
        shown = files.merge(sums, on="evidence_id", how="left")
        self.accounting.show(shown)
        other = list(shown.loc[(shown["kind"] == "unknown") & (shown["irrelevant"] == shown["units"]), "file"])
        named = ", ".join(markup.text(name) for name in other[:_MOST_NAMED])
        more = f" and {len(other) - _MOST_NAMED:,} more" if len(other) > _MOST_NAMED else ""
        told = f'<p class="cc-quiet">Nothing that carecover reads: {named}{more}. That does no harm.</p>'
        self.foreign.value = markup.block(told) if other else ""
        names = dict(zip(files["evidence_id"], files["file"], strict=True))
        self.rejects.show(
            rejects.assign(
                file=rejects["evidence_id"].map(names),
                location=rejects["location"].replace(_WHOLE_FILE, "the whole file"),
                stage=rejects["stage"].map(lambda stage: _STAGES.get(stage, stage)),
            )
        )
        told = "<h4>What could not be used</h4><p>Each may hold evidence: look at it, or hand in another copy.</p>"
        self.rejects_title.value = markup.block(told) if len(rejects) else ""

    def take(self, paths: Sequence[Path]) -> str:
        new = self.case.add(paths, progress=self.advance)
        sums = {name: int(new[name].sum()) for name in ("units", "parsed", "irrelevant", "duplicate", "rejected")}
        again = int(((new["duplicate"] == new["units"]) & (new["units"] > 0)).sum())
        told = f"Files added: {len(new) - again:,}."
        if again:
            told += f" Files of which everything was seen before: {again:,}."
        told += (
            f" Units found in them: {sums['units']:,}, of which {sums['parsed']:,} were read, {sums['irrelevant']:,} "
            f"are not relevant, {sums['duplicate']:,} were seen before and {sums['rejected']:,} could not be used."
        )
        if files_bear_another_name(self):
            return Careful(f"{told} But nothing in it bears the CA's name in the case: the facts say which it bears.")
        return told if sums["parsed"] and not sums["rejected"] else Careful(told)


@contextmanager
def uploaded(handed_over: Sequence[Mapping[str, Any]]) -> Iterator[list[Path]]:
    """What a DropZone holds, as files with harmless names in a folder that goes away again."""
    with tempfile.TemporaryDirectory(prefix="carecover-upload-") as name:
        paths = []
        for number, file in enumerate(handed_over, start=1):
            # Each in a folder of its own: two browsers' files may have the same name.
            path = Path(name) / str(number) / _harmless(str(file["name"]))
            path.parent.mkdir()
            path.write_bytes(bytes(file["content"]))
            paths.append(path)
        yield paths


def _harmless(name: str) -> str:
    """A file name that no system takes for anything else; its ending is kept."""
    last = _UNSAFE_IN_NAMES.sub("_", name.replace("\\", "/").rpartition("/")[2])[-100:].strip(" .")
    return f"_{last}" if not last or _DEVICES.match(last) else last


class BaselinePanel(Panel):
    """Which view is the database right after the restore; asks where carecover will not guess."""

    title = "The baseline"
    hint = "The export of the restored database that was made before anybody mended it. Later exports belong to verify."

    def build(self) -> Sequence[widgets.Widget]:
        self.views = Rows(
            [Head("evidence_id", "ID", "code"), Head("file", "file"), Head("rows", "rows"),
             Head("complete", "complete"), Head("restriction", "filtered by"), Head("range", "request IDs")],
            "views of the database",
        )  # fmt: skip
        self.pick = widgets.SelectMultiple(
            description="The baseline is", rows=4, layout=WIDE, style={"description_width": "130px"},
            tooltip="One or more files; several are joined as pages of one export",
        )  # fmt: skip
        self.by = entry("Your name", layout=WIDE)
        self.choose = button("This is the baseline", self._choose, main=True)
        self.form = widgets.VBox([self.pick, self.by, self.choose])
        self.answer = widgets.HTML()
        return [self.views, self.answer, self.form]

    def show(self) -> None:
        views, files = self.desk.table("views"), self.desk.table("evidence")
        names = {r["evidence_id"]: Path(r["path"]).name for r in files.to_dict("records")}
        shown = views.assign(
            file=views["evidence_id"].map(names),
            complete=views["complete"].map({True: "yes", False: "no"}),
            range=[f"{cell(a)} to {cell(b)}" for a, b in
                   zip(views["first_request_id"], views["last_request_id"], strict=True)],
        )  # fmt: skip
        self.views.show(shown)
        ids = list(dict.fromkeys(views["evidence_id"]))
        self.pick.options = [(f"{i}  {clean(names.get(i, ''), 80)}", i) for i in ids]
        self.form.layout.display = "none"
        self.answer.value = ""
        if not ids:
            raise QuestionError("No view of the restored database was handed in yet.")
        last = next((e for e in reversed(self.desk.history) if e.act == "baseline"), None)
        self.form.layout.display = None
        self.desk.table("findings")
        # Where there is no question, nobody has to think about an answer; an answer given can be corrected.
        self.form.layout.display = "none" if last is None else None
        said = (
            "There is nothing to ask: the views fit together."
            if last is None
            else f"{last.details['by']} chose {', '.join(last.details['evidence_ids'])}, {markup.moment(last.at)}."
        )
        self.answer.value = markup.note(said, "good")

    def _choose(self) -> None:
        def verb() -> str:
            self.case.add(baseline=self.pick.value, by=person_in(self.by))
            return f"The baseline is {', '.join(self.pick.value)}."

        self.act(verb, self.choose)


# --------------------------------------------------------------------------------- the gap


_WHOLE: Final = ("the whole incident", "")
# What the picture may be drawn around, by the facts' own names; the restore is named as people call it.
_AROUND: Final = {"backup": "backup", "failure": "failure", "restored": "restore"}


class TimelinePanel(Panel):
    """The picture of the gap."""

    title = "The gap"
    hint = (
        "Certificates by the time of their issue; what the restored database does not know, in red. Below, the CA's "
        "mails of each day; a day on which some are missing bears a cross. Point at a bar to read its figure; turn the "
        "wheel to look closer, drag to move, click twice to see all of it again. Its times are in UTC."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.view = choice("Show", [_WHOLE], tooltip="All of it, or hour by hour around one of its times")
        self.picture = Picture()
        self.on_change(self._draw, self.view)
        return [self.view, self.picture]

    def show(self) -> None:
        facts, kept = self.case.facts, self.view.value
        known = [(f"the hours around the {told}", name) for name, told in _AROUND.items() if getattr(facts, name)]
        self.view.options = [_WHOLE, *known]
        self.view.value = kept if kept in dict(known).values() else _WHOLE[1]
        self.view.layout.display = None if known else "none"
        self._draw()

    def _draw(self) -> None:
        tables = {name: self.desk.table(name) for name in ("ca_rows", "findings", "activity")}
        around = getattr(self.case.facts, self.view.value) if self.view.value else None
        self.picture.show(tables, self.case.facts, around)


class CoveragePanel(Panel):
    """How far the evidence can be believed to be complete."""

    title = "How complete is this?"
    hint = "Nothing here proves that nothing else was lost. A gap below is a reason to look for further evidence."

    def build(self) -> Sequence[widgets.Widget]:
        self.aspects = Rows(
            [Head("aspect", "aspect"), Head("verdict", "verdict", "badge"), Head("figure", "figure"),
             Head("why", "what it means")],
            "coverage",
        )  # fmt: skip
        return [self.aspects]

    def show(self) -> None:
        # The answer first, then what is missing: the good news may scroll out of sight.
        order = {"gap": 0, "unknown": 1, "good": 2}
        coverage = self.desk.table("coverage")
        rank = coverage["verdict"].map(order).mask(coverage["aspect"] == "verdict", -1)
        self.aspects.show(_in_panels(coverage.iloc[rank.argsort(kind="stable")], "why"))


class FindingsPanel(Panel):
    """Every finding, with filters, and the evidence of the one that is selected."""

    title = "Findings"
    hint = "Select one to see what shows it; nothing is decided by itself."

    def build(self) -> Sequence[widgets.Widget]:
        self.counts = widgets.HTML()
        return [self.counts, *self.build_list()]

    def build_list(self) -> Sequence[widgets.Widget]:
        """What is selected from, and what shows the one that is selected."""
        self.detail, self.evidence = widgets.HTML(), EvidenceView(self)
        self.list = FindingList(self, self._chosen, several=False)
        return [self.list, self.detail, self.evidence]

    def show(self) -> None:
        findings, decisions = self.desk.table("findings"), self.desk.table("decisions")
        last = decisions.drop_duplicates("finding_id", keep="last").drop(columns="serial")
        heads = [Head("number", "number"), Head("kind", "kind"), Head("meaning", "what it means")]
        nothing = markup.note(
            "Nothing was found that the restored CA is wrong about. See the coverage above for what that is worth."
        )
        summary = markup.table(_by_kind(findings), heads, caption="findings by kind")
        actionable = int(findings["kind"].isin(ACTIONABLE_KINDS).sum())
        told = (
            f"<p>{len(findings):,} findings. {actionable:,} of them can be acted on, in 2-revoke-and-publish; the "
            "others are to be looked at.</p>"
        )
        self.counts.value = summary + markup.block(told) if len(findings) else nothing
        self.show_list(findings.merge(last, on="finding_id", how="left"))

    def show_list(self, rows: pd.DataFrame) -> None:
        """Show these findings, each with its decision."""
        self.list.show(rows)

    def _chosen(self) -> None:
        finding = self.list.first
        self.detail.value = "" if finding is None else details(finding)
        self.evidence.show(finding)


class FindingsGridPanel(FindingsPanel):
    """The same in the review grid, for any number of findings."""

    hint = "Choose one to see, beside it, what shows it; nothing is decided by itself."

    def build_list(self) -> Sequence[widgets.Widget]:
        self.rows = pd.DataFrame()
        self.grid = ReviewGrid(detail=lambda number, at: known(self.desk, self.rows.iloc[number], at))
        return [self.grid]

    def show_list(self, rows: pd.DataFrame) -> None:
        self.rows = rows
        self.grid.layout.display = None if len(rows) else "none"
        self.grid.show(rows, undoable=False)


def _by_kind(findings: pd.DataFrame) -> pd.DataFrame:
    """Findings counted by kind, and within a kind by what tells them apart."""
    rows = []
    for kind, part in findings.groupby("kind", sort=False):
        rows.append((spaced(kind), len(part), KIND_MEANINGS.get(str(kind))))
        counts = part["circumstances"].explode().value_counts()
        rows += [(f"· {spaced(c)}", int(counts[c]), told) for c, told in CIRCUMSTANCES.items() if c in counts]
    return pd.DataFrame(rows, columns=["kind", "number", "meaning"]).astype({"number": "Int64"})


# ------------------------------------------------------------------------------- the door


def first_steps(case: Case) -> Panel:
    """What has to be done first, by what the evidence shows."""
    return FirstStepsPanel(case)


def add_evidence(case: Case) -> Panel:
    """Files to hand in, and the accounting of everything handed in so far."""
    return EvidencePanel(case)


def baseline(case: Case) -> Panel:
    """Which database view is the baseline; asks where that is not clear."""
    return BaselinePanel(case)


def timeline(case: Case) -> Panel:
    """The picture of the gap, made offline."""
    return TimelinePanel(case)


def coverage(case: Case) -> Panel:
    """How far the evidence can be believed to be complete."""
    return CoveragePanel(case)


def findings(case: Case) -> Panel:
    """Everything about which the restored CA is wrong, with its evidence."""
    return FindingsGridPanel(case) if grid.available() else FindingsPanel(case)
