"""The panel for deciding about findings, in plain controls; ``reviewing`` has the grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import ipywidgets as widgets
import pandas as pd

from carecover.case import Case
from carecover.errors import UsageError
from carecover.model import RevocationReason
from carecover.notebook import grid, markup
from carecover.notebook.choosing import EvidenceView, FindingList, by_themselves, careful, fields, summary
from carecover.notebook.panel import Panel, button, choice, entry, person_in, row
from carecover.notebook.reviewing import ReviewPanel, of_all

_ACTIONS: Final = (
    ("revoke: import it where it is missing, then revoke it", "revoke"),
    ("restore: import the verified original, keep it valid", "restore"),
    ("unrevoke: take it off hold again (undo.cmd)", "unrevoke"),
    ("leave: do nothing; it stays on the watch list", "leave"),
    ("undecided: take an earlier decision back", "undecided"),
)
_WRITABLE: Final = tuple(reason for reason in RevocationReason if reason.writable)
_SELECTED, _MATCHING = "selected", "matching"
# How many of many findings a sentence names.
_MAX_NAMED: Final = 5


class DecidePanel(Panel):
    """What is to be done about each finding, by whom, and why."""

    title = "Decide"
    step = "decide"
    hint = (
        "Filter, select one or many, choose what is to be done. A later decision replaces an earlier one; all of them "
        "are kept. Any change voids the signatures under the plan. Many at once never take what is marked as "
        "infrastructure, nor what is of low confidence."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.counts = widgets.HTML()
        self.list = FindingList(self, self._chosen, several=True)
        self.all = button(
            "Select all shown",
            self.list.choose_all,
            tooltip="Select all that are shown, without infrastructure and low confidence",
        )
        self.none = button("Select none", self.list.choose_none)
        self.detail, self.evidence, self.fields = widgets.HTML(), EvidenceView(self), widgets.HTML()
        self.scope = choice("Applies to", [("what is selected", _SELECTED), ("all that match the filter", _MATCHING)])
        self.action = choice("Action", [("choose …", None), *_ACTIONS])
        self.reason = choice(
            "Reason", [("choose …", None), *((f"{int(r)}  {r.designation}", int(r)) for r in _WRITABLE)]
        )
        self.meaning = widgets.HTML()
        self.note = entry("Note", placeholder="why, in a sentence; it goes into the plan and the report")
        self.by = entry("Your name", placeholder="it stands under the decision")
        self.save = button("Decide", self._decide, main=True)
        self.suggest = button(
            "Take the suggestions", self._take_suggestions, tooltip="Decide each as it is suggested in brackets"
        )
        self.on_change(self._chosen, self.scope)
        self.on_change(self._explain, self.action, self.reason)
        self._explain()
        return [
            self.counts, self.list, row(self.all, self.none), self.scope, self.action, self.reason, self.meaning,
            self.note, self.by, row(self.save, self.suggest), self.message, self.detail, self.evidence,
            self.fields,
        ]  # fmt: skip

    def show(self) -> None:
        rows = self.desk.decided
        self.rows = rows
        made = rows["action"].fillna("undecided")
        order = [action for _, action in _ACTIONS]
        figures = " · ".join(f"<b>{int((made == a).sum()):,}</b> {a}" for a in order if (made == a).any())
        nothing = "There is nothing to decide: no certificate was found that can be acted on."
        self.counts.value = markup.block(f"<p>{figures or nothing}</p><p>{of_all(self.desk)}</p>")
        self.list.show(rows)

    def _explain(self) -> None:
        revoking = self.action.value == "revoke"
        self.reason.layout.display = None if revoking else "none"
        code = self.reason.value
        told = RevocationReason(code).description if revoking and code is not None else ""
        final = " This can never be undone." if told and RevocationReason(code).final else ""
        self.meaning.value = markup.note(told + final, "warning" if final else "plain") if told else ""

    def _chosen(self) -> None:
        finding, number = self.list.first, len(self.list.chosen)
        one = finding if number == 1 else None
        self.detail.value = "" if one is None else summary(one)
        self.fields.value = "" if one is None else fields(one)
        self.evidence.show(one)
        aimed = self._aimed()
        left = by_themselves(aimed) if len(aimed) > 1 else ""
        self.save.description = f"Decide about {len(self._taken()):,}" if len(aimed) else "Decide"
        self.save.description += f" ({left}: one by one)" if left else ""

    def _aimed(self) -> pd.DataFrame:
        """The findings that are selected, or that match."""
        those = self.list.chosen if self.scope.value == _SELECTED else self.list.matching
        return self.rows[self.rows["finding_id"].isin(those)]

    def _taken(self) -> pd.DataFrame:
        """The findings that an act is about; many at once never take infrastructure or low confidence."""
        rows = self._aimed()
        return rows if self.scope.value == _SELECTED and len(rows) == 1 else rows[~careful(rows)]

    def _decide(self) -> None:
        def verb() -> str:
            if self.action.value is None:
                raise UsageError("Choose an action first.")
            return self._do(self.action.value, self.reason.value if self.action.value == "revoke" else None)

        self.act(verb, self.save, self.suggest)

    def _take_suggestions(self) -> None:
        self.act(lambda: self._do("suggested", None), self.save, self.suggest)

    def _do(self, action: str, reason: int | None) -> str:
        """Decide about what is taken; the sentence says what was decided and what was left out."""
        aimed, taken = self._aimed(), self._taken()
        if taken.empty:
            raise UsageError(
                "Nothing is selected that many at once may take: select certificates in the list, those of "
                "infrastructure or low confidence one by one."
            )
        made = self.case.decide(
            action=action,  # type: ignore[arg-type] # the case checks it
            serials=list(taken["serial"]),
            reason=reason,
            note=self.note.value.strip() or None,
            by=person_in(self.by),
        )
        # The next is chosen anew: a loaded choice is soon pressed once too often.
        self.action.value = self.reason.value = None
        told = [f"{len(made.rows):,} decided{' as' if action == 'suggested' else ':'} {action}."]
        told += [f"Left out: {one.serial}: {one.why}" for one in made.skipped[:_MAX_NAMED]]
        if len(made.skipped) > _MAX_NAMED:
            told.append(f"… and {len(made.skipped) - _MAX_NAMED:,} more.")
        if len(taken) < len(aimed):
            told.append(f"Left out: {by_themselves(aimed)}. Select each of them by itself.")
        return "\n".join(told)


# ------------------------------------------------------------------------------- the door


def decide(case: Case) -> Panel:
    """Decide about findings: filter, select, set action, reason and note."""
    return ReviewPanel(case) if grid.available() else DecidePanel(case)
