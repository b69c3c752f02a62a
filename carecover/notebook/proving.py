"""What the CA's own files prove about each decision."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import ipywidgets as widgets
import pandas as pd

from carecover.case import Case
from carecover.errors import CarecoverError, UsageError
from carecover.notebook import markup
from carecover.notebook.exploring import FilesPanel
from carecover.notebook.handing import HandOut
from carecover.notebook.markup import Head
from carecover.notebook.panel import FULL, WIDE, Panel, Rows, button
from carecover.proof import clock_sentence, remaining, trusted_until
from carecover.report.document import clean

_SAID_ONCE: Final = 3
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

    def show(self, outcomes: pd.DataFrame, *, simulated: bool = False) -> None:
        """Show these outcomes; of a ``simulated`` CA nothing is proved about any other."""
        counts = [(verdict, int((outcomes["verdict"] == verdict).sum())) for verdict in _VERDICTS]
        told = " &nbsp; ".join(f"<b>{number:,}</b> {markup.badge(verdict)}" for verdict, number in counts if number)
        if told and simulated:
            told = f"On the simulated CA: {told}"
        whys = outcomes.loc[outcomes["verdict"] != "proved", "why"].value_counts()
        # Said of many it is said once, where it is read first.
        same = {str(why): int(number) for why, number in whys.items() if number > _SAID_ONCE}
        lines = "".join(f"<p><b>{number:,}</b> times: {markup.text(why)}</p>" for why, number in same.items())
        self._counts.value = markup.block(f"<p>{told}</p>{lines}") if told else ""
        worst = {verdict: -rank for rank, verdict in enumerate(_VERDICTS)}
        rows = outcomes.sort_values("verdict", key=lambda c: c.map(worst), kind="stable")
        self._rows.show(rows.assign(why=rows["why"].mask(rows["why"].isin(list(same)), "as said above")))


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
        upload, paths, hand_in, advance, *rest = super().build()
        return [upload, paths, self.fetched, hand_in, advance, self._build_asking(), *rest]

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

    def _build_asking(self) -> widgets.Accordion:
        """What asking an OCSP responder would do, and how it is asked: never but by an act of its own."""
        self.asking = widgets.HTML()
        self.responder = widgets.Combobox(
            description="Responder", placeholder="http://HOST/PATH", layout=WIDE, options=(), ensure_option=False,
            tooltip="Address of the OCSP responder that is asked", style={"description_width": "130px"},
        )  # fmt: skip
        self.leave = widgets.Checkbox(
            description="Ask it from this machine, over the network", indent=False, layout=WIDE
        )
        self.ask = button("Ask the responder", self._ask, main=True)
        self.by_hand = HandOut(self._by_hand)
        self.on_change(self._ready_to_ask, self.leave)
        inside = widgets.VBox([self.asking, self.responder, self.leave, self.ask, self.by_hand])
        asking = widgets.Accordion([inside], layout=FULL)
        asking.set_title(0, "Ask an OCSP responder: this leaves the machine …")
        return asking

    def show(self) -> None:
        self.case.facts  # noqa: B018 - says where there is no case yet
        self.clock.value = ""
        self.places.show(pd.DataFrame())
        self.outcomes.show(self.desk.table("outcomes"))
        visibility = self.desk.table("visibility")
        self.fetched.options = _places(visibility)
        self.responder.options = _places(visibility[visibility["kind"] == "ocsp"])
        self._show_asking()
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

    # ------------------------------------------------------------------ asking a responder

    def _show_asking(self) -> None:
        number = len(self._planned())
        nothing = markup.block("<p>There is no plan yet: nothing could be asked.</p>")
        told = (
            f"One request by HTTP for each of the {number:,} serial numbers of the plan. What leaves the machine: the "
            "serial number, and hashes of the CA's name and key; whoever sees this network sees that you ask. Nothing "
            "else of the case leaves it, and nothing is asked before the button below is pressed. The answers are kept "
            "in the case and held against the plan."
        )
        elsewhere = (
            "From an isolated machine: download what to ask, carry it to a machine that reaches the responder, and "
            "hand the answers in above, with the responder's address as the place where they were fetched."
        )
        self.asking.value = markup.block(f"<p>{told}</p><p>{elsewhere}</p>") if number else nothing
        self.by_hand.label = "Download what to ask" if number else ""
        self._ready_to_ask()

    def _ready_to_ask(self) -> None:
        self.ask.disabled = not (self.leave.value and self._planned())

    def _planned(self) -> list[str]:
        try:
            return list(dict.fromkeys(item.serial for item in self.desk.plan.items))
        except CarecoverError:
            # Where there is no plan the panel says why.
            return []

    def _ask(self) -> None:
        def verb() -> str:
            url = self.responder.value.strip()
            if not self.leave.value:
                raise UsageError("Tick the box first: to ask a responder leaves this machine.")
            if not url:
                raise UsageError("Name the address of the responder: http://HOST/PATH.")
            # Each time it is asked anew whether this may leave the machine.
            self.leave.value = False
            outcomes = self.case.verify(ask_ocsp=url)
            if notes := outcomes.attrs["notes"]:
                self.notes.value = markup.note("\n".join(notes), "warning")
            proved = int((outcomes["verdict"] == "proved").sum())
            asked = f"The responder was asked about {len(self._planned()):,} serial numbers; its answers are kept."
            return f"{asked} {proved:,} of {len(outcomes):,} decisions are proved."

        self.act(verb, self.ask)
        self._ready_to_ask()

    def _by_hand(self) -> tuple[str, bytes]:
        """The same questions as commands of openssl, for a machine that reaches the responder."""
        url = shlex.quote(clean(self.responder.value.strip(), 2_000) or "http://HOST/PATH")
        lines = [
            "# CA.cer: the certificate of the CA, of the key that signed the certificate asked about.",
            "# Hand the .ors files to carecover as fetched at the address of the responder.",
            f"URL={url}",
            *(
                f'openssl ocsp -issuer CA.cer -serial 0x{serial} -url "$URL" -no_nonce -noverify -respout {serial}.ors'
                for serial in self._planned()
            ),
        ]
        return "ask-ocsp.sh", ("\n".join(lines) + "\n").encode()


def _places(visibility: pd.DataFrame) -> tuple[str, ...]:
    return tuple(dict.fromkeys(clean(url, 200) for url in visibility["url"].dropna()))


# ------------------------------------------------------------------------------- the door


def verify(case: Case) -> Panel:
    """Hand in what the CA produced; see what it proves."""
    return VerifyPanel(case)
