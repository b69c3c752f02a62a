"""The panels of 3-report: what only people can write, for whom it is, and the report itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import ipywidgets as widgets
import pandas as pd

from carecover.case import Case
from carecover.errors import CaseError, UsageError
from carecover.journal import Entry
from carecover.model import sha256_hex
from carecover.notebook import markup
from carecover.notebook.choosing import spaced
from carecover.notebook.handing import HandOut
from carecover.notebook.markup import Head
from carecover.notebook.panel import FULL, WIDE, Panel, Rows, button, choice, entry, row
from carecover.report.document import clean
from carecover.report.fields import Lesson, lessons

_AUDIENCES: Final = (
    ("everybody: all of it", "all"),
    ("leadership: what happened, what it means, what is open", "leadership"),
    ("technical: findings, decisions and proofs", "technical"),
    ("legal: custody, decisions and who made them", "legal"),
)
_FORMS: Final = (
    ("web page (.html)", ".html"),
    ("Word (.docx)", ".docx"),
    ("PDF (.pdf)", ".pdf"),
    ("Markdown (.md)", ".md"),
    ("JSON (.json)", ".json"),
    ("its tables, a workbook (.xlsx)", ".xlsx"),
    ("its tables, CSV (.zip)", ".zip"),
)
_LINES: Final = {"classification": "Classification", "authors": "Written by", "approvers": "Approved by"}
_TEXTS: Final = {
    "cause": ("Root cause", "Why the CA was lost, why the backup was that old, whether the CA key was ever at risk."),
    "systems": ("Systems affected", "What stood still, or may have trusted what it should not."),
    "custody": ("Custody", "Who collected the evidence, where and when; who kept it; how far the clocks were off."),
}
# A lesson is one line of the field, its parts parted so.
_PART: Final = "|"


class Lessons(widgets.VBox):  # type: ignore[misc] # ipywidgets has no types
    """What changes, who sees to it, and by when: a row each."""

    def __init__(self) -> None:
        super().__init__()
        self.more = button("Another lesson", self.add)
        self._rows = widgets.VBox()
        self.children = [self._rows, self.more]
        self.show(())

    def show(self, known: Sequence[Lesson]) -> None:
        """Show these, and an empty row after them."""
        self._rows.children = [self._row(one) for one in known] + [self._row(Lesson(""))]

    def add(self) -> None:
        """One more empty row."""
        self._rows.children = [*self._rows.children, self._row(Lesson(""))]

    @property
    def text(self) -> str:
        """The lessons as the field takes them; raises UsageError for what would not come back as it was typed."""
        lines = []
        for number, one in enumerate(self._rows.children, 1):
            what, owner, due = (part.value.strip() for part in one.children)
            if due:
                try:
                    date.fromisoformat(due)
                except ValueError:
                    raise UsageError(
                        f"Lesson {number}: '{clean(due, 40)}' is no date. Write it as 2026-12-31 into the box Due."
                    ) from None
            if _PART in what + owner + due:
                raise UsageError(f"A lesson cannot hold the sign {_PART}: it parts what, owner and date in the record.")
            if what or owner or due:
                lines.append(f" {_PART} ".join((what or "—", owner, due)).rstrip(f" {_PART}"))
        return "\n".join(lines)

    def _row(self, one: Lesson) -> widgets.HBox:
        what = entry("Lesson", placeholder="what changes", layout={"flex": "1 1 290px", "min_width": "0"})
        owner = entry("Owner", placeholder="who sees to it", layout={"flex": "1 1 180px", "min_width": "0"})
        due = entry("Due", placeholder="2026-12-31", layout={"flex": "0 1 150px", "min_width": "0"})
        for part, width, value in ((what, "130px", one.what), (owner, "55px", one.owner), (due, "40px", one.due)):
            part.style.description_width, part.value = width, value or ""
        line = row(what, owner, due)
        line.layout.max_width = WIDE["max_width"]
        return line


class ReportPanel(Panel):
    """The post-incident report: written to a file, kept in the case, and shown as it was written."""

    title = "The report"
    hint = (
        "What you write here is kept by the case, and stands in every later report. It may stay empty: the report then "
        "leaves room for it. Write the report again after every step that matters."
    )
    # Another report brings other words of people.
    beside = frozenset({"stamp", "stamp-request"})

    def build(self) -> Sequence[widgets.Widget]:
        self.lines = {name: entry(label) for name, label in _LINES.items()}
        self.texts = {
            name: widgets.Textarea(
                description=label, placeholder=like, tooltip=label, rows=3, layout=WIDE,
                style={"description_width": "130px"},
            )
            for name, (label, like) in _TEXTS.items()
        }  # fmt: skip
        self.lessons = Lessons()
        self.audience = choice("For", _AUDIENCES)
        self.language = choice("Language", [("English", "en"), ("Deutsch", "de")])
        self.edition = choice(
            "Names", [("as they are", "full"), ("pseudonyms, no free text: for outsiders", "redacted")]
        )
        self.form = choice("As", _FORMS)
        self.file = entry("File", tooltip="Where the report is to be written", layout=FULL)
        self.on_change(self._propose, self.audience, self.language, self.edition, self.form)
        self.write = button("Write the report", self._write, main=True)
        self.hand_out = HandOut(self._newest)
        self.written = Rows(
            [Head("at", "written"), Head("form", "form"), Head("audience", "for"), Head("edition", "names"),
             Head("language", "language"), Head("path", "file"), Head("sha256", "SHA-256", "code")],
            "reports written",
        )  # fmt: skip
        self.page = widgets.HTML()
        self._filled: object = None
        told = widgets.HTML(markup.block("<h4>What only people know</h4>"))
        made = widgets.HTML(markup.block("<h4>For whom, and how</h4>"))
        chosen = [self.audience, self.language, self.edition, self.form, self.file]
        return [
            told, *self.texts.values(), self.lessons, *self.lines.values(), made, *chosen, self.write, self.message,
            self.hand_out, self.written, self.page,
        ]  # fmt: skip

    def show(self) -> None:
        self.case.facts  # noqa: B018 - says where the case is damaged
        reports = self._reports()
        if self._filled != len(reports):
            # Only what a report has kept: a word that is just being typed is not taken away by another panel.
            self._filled = len(reports)
            self._fill(next((e.details["told"] for e in reversed(reports) if "told" in e.details), {}))
        self._propose()
        self.written.show(pd.DataFrame([self._line(e) for e in reversed(reports)]))
        self.hand_out.label = f"Download {Path(reports[-1].details['path']).name}" if reports else ""
        self._show_page(next((e for e in reversed(reports) if e.details.get("form", ".html") == ".html"), None))

    def _reports(self) -> list[Entry]:
        return [e for e in self.desk.history if e.act == "report" and e.details.get("form") != ".jsonld"]

    def _fill(self, told: dict[str, str]) -> None:
        for name, control in (*self.lines.items(), *self.texts.items()):
            control.value = told.get(name, "")
        self.lessons.show(lessons(told.get("lessons", "")))

    def _line(self, report: Entry) -> dict[str, Any]:
        known = {name: spaced(report.details.get(name, "")) for name in ("form", "audience", "edition", "language")}
        place = {"path": report.details["path"], "sha256": report.details["sha256"]}
        return {"at": markup.moment(report.at), **known, **place}

    def _kept(self, report: Entry) -> Path:
        older = f"reports/{report.details['sha256'][:16]}.html"
        return self.case.path / str(report.details.get("copy", older))

    def _newest(self) -> tuple[str, bytes]:
        """The last report, from the copy that the case keeps."""
        report = self._reports()[-1]
        content = self._kept(report).read_bytes()
        if sha256_hex(content) != report.details["sha256"]:
            raise CaseError("The copy of the report in the case was changed: write the report again.")
        return report.details["path"], content

    def _show_page(self, report: Entry | None) -> None:
        self.page.value = ""
        if report is None:
            return
        told = f"<h4>Preview</h4><p>The web page as written {markup.text(markup.moment(report.at))}:</p>"
        try:
            page = markup.frame(self._kept(report).read_text(encoding="utf-8"), "preview of the report")
        except (OSError, ValueError):
            page = markup.note(f"{self._kept(report)} is missing or damaged: write the report again.", "warning")
        self.page.value = markup.block(told) + page

    def _propose(self) -> None:
        """A file name that says what it is; a name that a person typed stays."""
        place = self.case.path.resolve()
        parts = [place.name, "report"]
        parts += [] if self.audience.value == "all" else [self.audience.value]
        parts += [] if self.edition.value == "full" else ["outsiders"]
        parts += [] if self.language.value == "en" else [self.language.value]
        proposed = str(place.with_name("-".join(parts) + self.form.value))
        if self.file.value in ("", getattr(self, "_proposed", "")):
            self.file.value = proposed
        self._proposed = proposed

    def _write(self) -> None:
        def verb() -> str:
            typed = self.file.value.strip()
            if not typed:
                raise UsageError(f"Name the file of the report, ending in {self.form.value}.")
            told = {name: control.value for name, control in (*self.lines.items(), *self.texts.items())}
            told["lessons"] = self.lessons.text
            written = self.case.report(
                Path(typed).expanduser(), language=self.language.value, edition=self.edition.value,
                audience=self.audience.value, fields=told,
            )  # fmt: skip
            return f"The report was written to {written}, and a copy of it is kept in the case."

        self.act(verb, self.write)


def report(case: Case) -> Panel:
    """What only people can write, for whom the report is; write it, read it, take it along."""
    return ReportPanel(case)
