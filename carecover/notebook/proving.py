"""What the CA's own files prove about each decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import ipywidgets as widgets
import pandas as pd

from carecover.case import Case
from carecover.notebook import markup
from carecover.notebook.exploring import FilesPanel
from carecover.notebook.markup import Head
from carecover.notebook.panel import WIDE, Panel, Rows
from carecover.proof import clock_sentence, remaining, trusted_until
from carecover.report.document import clean

_VERDICTS: Final = ("proved", "pending", "failed", "contradicted")
OUTCOMES: Final = (
    Head("serial", "serial number", "code"),
    Head("action", "action"),
    Head("verdict", "verdict", "badge"),
    Head("transcript", "transcript"),
    Head("database", "database"),
    Head("crl", "new CRL"),
    Head("cdp", "distribution point"),
    Head("why", "why"),
)


class Outcomes(widgets.VBox):  # type: ignore[misc] # ipywidgets has no types
    """Table ``outcomes`` with a count of each verdict; what is not proved comes first."""

    def __init__(self) -> None:
        super().__init__()
        self._counts, self._rows = widgets.HTML(), Rows(OUTCOMES, "outcomes", edge="verdict")
        self.children = [self._counts, self._rows]

    def show(self, outcomes: pd.DataFrame) -> None:
        """Show these outcomes."""
        counts = [(verdict, int((outcomes["verdict"] == verdict).sum())) for verdict in _VERDICTS]
        told = " &nbsp; ".join(f"<b>{number:,}</b> {markup.badge(verdict)}" for verdict, number in counts if number)
        self._counts.value = markup.block(f"<p>{told}</p>") if told else ""
        worst = {verdict: -rank for rank, verdict in enumerate(_VERDICTS)}
        self._rows.show(outcomes.sort_values("verdict", key=lambda c: c.map(worst), kind="stable"))


class VerifyPanel(FilesPanel):
    """What the CA's own files prove about each decision, and until when clients may believe what was before."""

    title = "Verify"
    step = "prove"
    hint = (
        "Hand in the folders logs and out of the bundle and a new export of the database; then, named as fetched, the "
        "new CRL as clients fetch it. A decision is proved only by a new CRL that the CA signed."
    )
    action = "Verify"
    # Tests stop it: two drawings within one minute say the same.
    now = staticmethod(lambda: datetime.now(UTC))

    def build(self) -> Sequence[widgets.Widget]:
        self.fetched = widgets.Combobox(
            description="Fetched at", placeholder="URL where clients fetch it; empty: the CA's own files", layout=WIDE,
            tooltip="The distribution point or responder that all of these files were fetched at", options=(),
            ensure_option=False, style={"description_width": "130px"},
        )  # fmt: skip
        upload, paths, *rest = super().build()
        return [upload, paths, self.fetched, *rest]

    def build_result(self) -> Sequence[widgets.Widget]:
        self.notes, self.clock = widgets.HTML(), widgets.HTML()
        self.places = Rows(
            [Head("kind", "kind"), Head("url", "where clients ask", "code"), Head("new", "new one there", "badge"),
             Head("state", "old ones", "badge"), Head("trusted_until", "trusted until"), Head("left", "that is"),
             Head("why", "why")],
            "until when clients may believe old answers", edge="state",
        )  # fmt: skip
        self.outcomes = Outcomes()
        return [self.notes, self.outcomes, self.clock, self.places]

    def show(self) -> None:
        self.case.facts  # noqa: B018 - says where there is no case yet
        self.clock.value = ""
        self.places.show(pd.DataFrame())
        self.outcomes.show(self.desk.table("outcomes"))
        visibility = self.desk.table("visibility")
        self.fetched.options = tuple(dict.fromkeys(clean(url, 200) for url in visibility["url"].dropna()))
        if not len(visibility):
            return
        now = self.now()
        title = markup.block("<h4>Until when clients may believe what was before</h4>")
        until = trusted_until(visibility)
        told = markup.note(clock_sentence(visibility, now), "good" if until is not None and until <= now else "warning")
        self.clock.value = title + told
        new = visibility["current"].map({True: "yes", False: "no"}).fillna("not fetched")
        self.places.show(remaining(visibility, now).assign(new=new))

    def take(self, paths: Sequence[Path]) -> str:
        self.notes.value = ""
        outcomes = self.case.verify(paths, fetched_from=self.fetched.value.strip() or None)
        self.fetched.value = ""
        if notes := outcomes.attrs["notes"]:
            self.notes.value = markup.note("\n".join(notes), "warning")
        proved = int((outcomes["verdict"] == "proved").sum())
        return f"{proved:,} of {len(outcomes):,} decisions are proved."


# ------------------------------------------------------------------------------- the door


def verify(case: Case) -> Panel:
    """Hand in what the CA produced; see what it proves."""
    return VerifyPanel(case)
