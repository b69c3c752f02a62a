"""The panel of the mails' wording: what is known, and what a person may accept that was learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import ipywidgets as widgets
import pandas as pd

from carecover.case import Case
from carecover.errors import UsageError
from carecover.notebook import markup
from carecover.notebook.choosing import spaced
from carecover.notebook.markup import Head
from carecover.notebook.panel import WIDE, Advance, Panel, Rows, button, choice, entry, person_in, row
from carecover.report.document import clean

# No option may stand for None: a list box shows nothing then.
_NONE: Final = ""


class WordingsPanel(Panel):
    """How the CA words its mails; wordings that could be learned from the others, to be accepted by a person."""

    title = "The wording of the mails"
    hint = (
        "Each CA may word its mails in its own way. Mails of a wording that nobody knows say nothing here, and are "
        "missing from everything below."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.known = Rows(
            [Head("profile", "wording"), Head("origin", "known from"), Head("event", "about"), Head("mails", "mails"),
             Head("title", "subject")],
            "wordings of the mails",
        )  # fmt: skip
        self.told = widgets.HTML()
        self.look = button("Look for wordings to learn", self._look, main=True)
        self.advance = Advance()
        self.proposal = choice("Wording", [("none", _NONE)], layout=WIDE)
        self.detail = widgets.HTML()
        self.by = entry("Your name", placeholder="it stands in the journal")
        self.accept = button("Accept this wording", lambda: self._settle(withdraw=False), main=True)
        self.withdraw = button("Withdraw it", lambda: self._settle(withdraw=True))
        self.form = widgets.VBox([self.proposal, self.detail, self.by, row(self.accept, self.withdraw)])
        self.proposed, self.seen = pd.DataFrame(), -1
        self.on_change(self._describe, self.proposal)
        return [self.known, self.told, self.look, self.advance, self.form]

    def show(self) -> None:
        used = self.desk.table("profiles")
        known = used[used["origin"] != "unexplained"]
        self.known.show(known.assign(origin=known["origin"].map(spaced), event=known["event"].map(spaced)))
        unknown = int(used.loc[used["origin"] == "unexplained", "mails"].sum())
        self.told.value = (
            markup.note(
                f"{unknown:,} mails are of a wording that nobody knows. They may be of no concern, or hold what is "
                "missing: let carecover look what could be learned from them.",
                "warning",
            )
            if unknown
            else markup.note("Every mail that could be one of the CA's is of a known wording.", "good")
            if len(used)
            else markup.note("No mails were handed in yet.")
        )
        self.look.layout.display = None if unknown else "none"
        if self.seen != len(self.desk.history):
            # A proposal is one of the case as it was; whatever was done since, it has to be looked for again.
            self.proposed = self.proposed.head(0)
        accepted = used[used["origin"] == "accepted"]
        self.rows = pd.concat([self.proposed, accepted], ignore_index=True)
        self.proposal.options = [
            (f"{one['origin']}: {one['event']}, {clean(one['title'], 60)}", one["profile_id"])
            for one in self.rows.to_dict("records")
        ] or [("none", _NONE)]
        self.form.layout.display = None if len(self.rows) else "none"
        self._describe()

    def _describe(self) -> None:
        one = next((r for r in self.rows.to_dict("records") if r["profile_id"] == self.proposal.value), None)
        proposed = one is not None and one["origin"] == "proposed"
        self.accept.layout.display = None if proposed else "none"
        self.withdraw.layout.display = "none" if proposed or one is None else None
        self.detail.value = ""
        if one is not None and proposed:
            told = markup.terms([
                ("about", one["event"]), ("subject", one["title"]), ("mails", f"{one['mails']:,}"),
                ("serial numbers", f"{one['serials']:,}"), ("… that the CA's rows know", f"{one['known']:,}"),
                ("… that agree in more", f"{one['agreeing']:,}"), ("read from a mail", ", ".join(one["columns"])),
                ("found in the rows too", ", ".join(one["checked"])), ("senders", ", ".join(one["senders"])),
            ])  # fmt: skip
            examples = "".join(markup.raw(example) for example in one["examples"])
            self.detail.value = told + markup.block(f"<h4>Examples</h4>{examples}")

    def _look(self) -> None:
        def verb() -> str:
            try:
                found = self.case.profile(progress=self.advance)
            finally:
                self.advance.stop()
            self.proposed, self.seen = found[found["origin"] == "proposed"], len(self.desk.history)
            number = len(self.proposed)
            return (
                f"Wordings that could be learned: {number:,}. Read each; nothing of it counts before you accept it."
                if number
                else "Nothing could be learned from these mails. If the exit module's registry key is at hand, hand it "
                "in as evidence: it tells the wording."
            )

        self.act(verb, self.look)

    def _settle(self, *, withdraw: bool) -> None:
        def verb() -> str:
            chosen = [self.proposal.value] if self.proposal.value else []
            if not chosen:
                raise UsageError("Choose a wording first.")
            if withdraw:
                self.case.profile(withdraw=chosen, by=person_in(self.by))
                return "The wording was withdrawn: its mails say nothing any more."
            self.case.profile(accept=chosen, by=person_in(self.by))
            return "The wording was accepted; its mails are read now, and count."

        self.act(verb, self.accept, self.withdraw)


def wordings(case: Case) -> Panel:
    """How the CA words its mails, and what could be learned of it."""
    return WordingsPanel(case)
