"""The panel for deciding in the review grid; where that was not built, ``deciding.DecidePanel`` does the same job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import ipywidgets as widgets
import pandas as pd

from carecover.errors import RefusedError, UsageError
from carecover.model import TABLES
from carecover.notebook import markup
from carecover.notebook.choosing import by_themselves, careful, fields, piece, summary
from carecover.notebook.desk import Desk
from carecover.notebook.grid import Answer, ReviewGrid
from carecover.notebook.panel import Panel
from carecover.report.document import clean

# How many of many findings a sentence names, and of how many pieces of evidence one can choose.
_MAX_NAMED: Final = 5
_MAX_PIECES: Final = 200
# Undoing gives back what stood before, one act for each different decision: more than these are not one act's undoing.
MAX_UNDONE: Final = 50

_Span = tuple[int, int]
"""Rows of table ``decisions``: from, up to but without."""


class ReviewPanel(Panel):
    """What is to be done about each finding, by whom, and why, in a grid for any number of rows."""

    title = "Decide"
    step = "decide"
    hint = (
        "Filter, look (click a row), select (its box, the space bar, Ctrl or Shift and a click), choose what is to "
        "be done. A later decision replaces an earlier one; all of them are kept. Any change voids the signatures "
        "under the plan. Many at once never take what is marked as infrastructure, nor what is of low confidence."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.counts = widgets.HTML()
        self.rows = pd.DataFrame()
        self.grid = ReviewGrid(act=self._act, undo=self._undo, detail=self._detail)
        return [self.counts, self.grid]

    def show(self) -> None:
        self.rows = self.desk.decided
        nothing = "" if len(self.rows) else "There is nothing to decide: no certificate was found that can be acted on."
        told = " ".join(filter(None, (nothing, of_all(self.desk))))
        self.counts.value = markup.block(f"<p>{told}</p>") if told else ""
        self.grid.layout.display = None if len(self.rows) else "none"
        self.grid.show(self.rows, undoable=not self._last_act().empty)

    def _detail(self, number: int, at: int) -> dict[str, object]:
        return known(self.desk, self.rows.iloc[number], at)

    # ------------------------------------------------------------------ acting

    def _act(self, ids: Sequence[int], action: str, reason: int | None, note: str | None, by: str) -> Answer:
        """Decide about rows in one act; many at once never take infrastructure or low confidence."""
        rows = self.rows.iloc[list(ids)]
        left = careful(rows) if len(rows) > 1 else pd.Series(data=False, index=rows.index)
        taken = rows[~left]
        if taken.empty:
            raise RefusedError(
                "Everything selected is infrastructure or of low confidence: decide about each of them by itself."
            )
        made = self.case.decide(
            action=action,  # type: ignore[arg-type] # the grid has checked it, and the case checks it
            serials=list(taken["serial"]), reason=reason, note=note, by=by,
        )  # fmt: skip
        self.desk.changed()
        told = [f"{len(made.rows):,} decided{' as' if action == 'suggested' else ':'} {action}."]
        told += [f"Left out: {one.serial}: {one.why}" for one in made.skipped[:_MAX_NAMED]]
        if len(made.skipped) > _MAX_NAMED:
            told.append(f"… and {len(made.skipped) - _MAX_NAMED:,} more.")
        if left.any():
            told.append(f"Left out: {by_themselves(rows)}. Select each of them by itself.")
        return "\n".join(told), "good" if len(made.rows) else "warning"

    def _last_act(self) -> pd.DataFrame:
        """The decisions of the newest act that nobody took back; empty where there is none.

        The journal says what an undoing took back: so it goes on after a restart, and in another tab. What undoing
        decided is not undone in its turn: the next goes one act further back.
        """
        decisions = self.desk.table("decisions")
        acts: list[_Span] = []
        given_back: dict[_Span, list[_Span]] = {}
        end = 0
        for entry in self.desk.history:
            if entry.act == "decide":
                start, end = end, end + int(entry.details["rows"])
                if "takes_back" in entry.details:
                    taken = entry.details["takes_back"]
                    given_back.setdefault((taken[0], taken[1]), []).append((start, end))
                else:
                    acts.append((start, end))
        ids = decisions["finding_id"]
        for start, stop in reversed(acts if end == len(decisions) else []):
            # An undoing of several acts may have been stopped between two of them: then it is still to be done.
            given = [ids.iloc[slice(*span)] for span in given_back.get((start, stop), [])]
            if not given or not ids.iloc[start:stop].isin(pd.concat(given)).all():
                return decisions.iloc[start:stop]
        return TABLES["decisions"].empty()

    def _undo(self, by: str) -> Answer:
        """Give every finding of the newest act what was decided before it; these are decisions like all others."""
        last = self._last_act()
        if last.empty:
            raise UsageError("There is no decision to take back.")
        decisions = self.desk.table("decisions")
        start = int(last.index[0])
        earlier = decisions.iloc[:start].drop_duplicates("finding_id", keep="last").set_index("finding_id")
        before = earlier.reindex(last["finding_id"].unique())
        serials = last.drop_duplicates("finding_id").set_index("finding_id")["serial"]
        groups: dict[tuple[str, int | None, str | None], list[str]] = {}
        for finding_id, action, reason, note in zip(
            before.index, before["action"], before["reason"], before["note"], strict=True
        ):
            key = _key(action, reason, note)
            groups.setdefault(key, []).append(serials[finding_id])
        if len(groups) > MAX_UNDONE:
            raise RefusedError(
                f"Before that act stood {len(groups):,} different decisions; at most {MAX_UNDONE} are given back at "
                "once. Select the rows and decide anew."
            )
        for (action, reason, note), those in groups.items():
            self.case.decide(
                action=action,  # type: ignore[arg-type] # it was decided before
                serials=those, reason=reason, note=note, by=by, takes_back=(start, start + len(last)),
            )  # fmt: skip
        self.desk.changed()
        return f"{len(before):,} taken back: what was decided before stands again.", "good"

    def say(self, sentence: str, tone: str = "plain") -> None:
        """Show a sentence below the grid, where the user looks."""
        self.grid.say(sentence, tone)


def of_all(desk: Desk) -> str:
    """How many of all findings can be acted on; empty where all can."""
    findings, total = desk.decided, len(desk.table("findings"))
    if len(findings) == total:
        return ""
    return (
        f"{len(findings):,} of {total:,} findings can be acted on and stand here; 1-explore lists the other "
        f"{total - len(findings):,} as well."
    )


def known(desk: Desk, finding: pd.Series[Any], at: int) -> dict[str, object]:
    """What is known about a finding, and one piece of its evidence, in the parts that the grid shows."""
    places = list(dict.fromkeys(finding["evidence"]))[:_MAX_PIECES]
    at = min(at, max(len(places) - 1, 0))
    return {
        "html": summary(finding),
        "fields": fields(finding),
        "places": [clean(place, 120) for place in places],
        "piece": at,
        "evidence": piece(desk, places[at]) if places else "",
    }


def _key(action: Any, reason: Any, note: Any) -> tuple[str, int | None, str | None]:  # noqa: ANN401 - cells
    if pd.isna(action) or action == "undecided":
        return "undecided", None, None
    code = int(reason) if action == "revoke" and not pd.isna(reason) else None
    return str(action), code, None if pd.isna(note) else str(note)
