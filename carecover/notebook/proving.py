"""What the CA's own files prove about each decision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import ipywidgets as widgets
import pandas as pd

from carecover.case import Case
from carecover.notebook import markup
from carecover.notebook.exploring import FilesPanel
from carecover.notebook.markup import Head
from carecover.notebook.panel import Panel, Rows

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
        self._counts, self._rows = widgets.HTML(), Rows(OUTCOMES, "outcomes")
        self.children = [self._counts, self._rows]

    def show(self, outcomes: pd.DataFrame) -> None:
        """Show these outcomes."""
        counts = [(verdict, int((outcomes["verdict"] == verdict).sum())) for verdict in _VERDICTS]
        told = " &nbsp; ".join(f"<b>{number:,}</b> {markup.badge(verdict)}" for verdict, number in counts if number)
        self._counts.value = markup.block(f"<p>{told}</p>") if told else ""
        worst = {verdict: -rank for rank, verdict in enumerate(_VERDICTS)}
        self._rows.show(outcomes.sort_values("verdict", key=lambda c: c.map(worst), kind="stable"))


class VerifyPanel(FilesPanel):
    """What the CA's own files prove about each decision."""

    title = "Verify"
    step = "prove"
    hint = (
        "Hand in the folders logs and out of the bundle, the new CRL as clients fetch it, and a new export of the "
        "database. A decision is proved only by a new CRL that the CA signed; clients may trust the old one meanwhile."
    )
    action = "Verify"

    def build_result(self) -> Sequence[widgets.Widget]:
        self.outcomes = Outcomes()
        return [self.outcomes]

    def show(self) -> None:
        self.case.facts  # noqa: B018 - says where there is no case yet
        self.outcomes.show(self.desk.table("outcomes"))

    def take(self, paths: Sequence[Path]) -> str:
        outcomes = self.case.verify(paths)
        proved = int((outcomes["verdict"] == "proved").sum())
        return f"{proved:,} of {len(outcomes):,} decisions are proved."


# ------------------------------------------------------------------------------- the door


def verify(case: Case) -> Panel:
    """Hand in what the CA produced; see what it proves."""
    return VerifyPanel(case)
