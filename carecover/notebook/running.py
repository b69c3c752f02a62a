"""The panels that run the scripts: a rehearsal against the simulated CA, and the run of the exported bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import ipywidgets as widgets
import pandas as pd

from carecover.backends import backend
from carecover.bundles import Run
from carecover.case import Case
from carecover.errors import RefusedError
from carecover.notebook import markup
from carecover.notebook.desk import PastRun
from carecover.notebook.exporting import FolderPanel
from carecover.notebook.panel import FULL, Live, Panel, button, choice, entry
from carecover.notebook.proving import OUTCOMES, Outcomes

_SIMULATOR: Final = "the simulator"
_BY_SSH: Final = "a CA by SSH"
_PLACES: Final = (_SIMULATOR, _BY_SSH, "this machine, which is the CA")


class RunPanel(FolderPanel):
    """What rehearsal and run have in common: live output, and the outcome of the last time."""

    kind = "rehearsal"

    def build_view(self) -> Sequence[widgets.Widget]:
        """Output and outcome."""
        self.summary, self.outcomes, self.output = widgets.HTML(), Outcomes(), widgets.HTML()
        self.whole = widgets.Accordion([self.output], layout=FULL)
        self.whole.set_title(0, "Output of the scripts")
        return [self.summary, self.outcomes, self.whole]

    def show_last(self) -> None:
        """The last time, as the case keeps it."""
        last = self.desk.last_run(self.kind)
        self.whole.layout.display = "none" if last is None else None
        self.summary.value = "" if last is None else _summary(last, current=last.digest == self.desk.plan_digest)
        self.output.value = "" if last is None else markup.output(last.output)
        self.outcomes.show(last.outcomes if last else pd.DataFrame({h.name: [] for h in OUTCOMES}))

    def live(self) -> Live:
        """A view of the output while the scripts run."""
        self.whole.layout.display, self.whole.selected_index = None, 0
        return Live(self.output)


def _summary(last: PastRun, *, current: bool) -> str:
    phases = " · ".join(markup.text(phase) for phase in last.phases)
    old = "" if current else markup.note("This was another plan than the one that stands now: do it again.", "warning")
    kept = f"plan {markup.code(last.digest[:12])}…; kept in {markup.code(last.directory)}"
    what = f"Last time: {markup.text(markup.moment(last.at))}, {kept}."
    return old + markup.block(f"<p>{what}</p><p>Scripts and their exit codes: {phases}</p>")


def _told(run: Run) -> str:
    proved = int((run.outcomes["verdict"] == "proved").sum())
    end = (
        "Every script ended as it should" if run.finished else "It stopped part-way: see the exit codes and the output"
    )
    return f"{end}; {proved:,} of {len(run.outcomes):,} decisions are proved by the CRL that came out."


class RehearsePanel(RunPanel):
    """The plan, carried out against a simulated CA made from the evidence."""

    title = "Rehearse"
    step = "rehearse"
    hint = (
        "Runs the very scripts of the bundle against a simulated CA that is made from the evidence. It checks the "
        "logic against assumptions; it is not a test of your CA. Do it before signing, and as often as you like."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.start = button("Rehearse", self._start, main=True)
        return [self.start, *self.build_view()]

    def show(self) -> None:
        self.show_last()
        self.need_plan()

    def _start(self) -> None:
        def verb() -> str:
            live = self.live()
            try:
                run = self.case.rehearse(on_output=live)
            finally:
                live.flush()
            return _told(run)

        self.act(verb, self.start)


class CarryOutPanel(RunPanel):
    """The exported bundle, run on the simulator, on this CA, or on a CA by SSH; or carried there by hand."""

    title = "Run"
    step = "run"
    kind = "run"
    hint = (
        "Runs the exported folder, file by file as it was exported. On the real CA: carry the folder there and follow "
        "its README.txt, then bring the folders logs and out back for the next step; or run it from here, by SSH. To "
        "cancel a run, interrupt the kernel (■): the batch may go on at the CA, and can be run again."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.where = choice("Where", [(place, place) for place in _PLACES])
        self.target = entry("CA by SSH", placeholder="ssh://user@host[:port]")
        self.known_hosts = entry("Host key", placeholder="file with the CA's host key (known_hosts)")
        self.identity = entry("Your key", placeholder="file with your private key; empty: the agent's")
        self.no_dialog = entry("No dialog", placeholder="who saw at the server that signing opens no dialog")
        self.call = entry("Script", placeholder="one call, such as revoke.cmd preflight; empty: all of it")
        self.by = entry("Your name")
        self.by_ssh = widgets.VBox([self.target, self.known_hosts, self.identity, self.no_dialog])
        self.real = widgets.VBox([self.call, self.by])
        self.confirm = entry("CA name", placeholder="type the CA's name to confirm")
        self.start = button("Run", self._start, main=True)
        self.on_change(self._choose, self.where)
        chosen = [self.where, self.by_ssh, self.real, self.confirm]
        return [self.folder_entry(), *chosen, self.start, *self.build_view()]

    def show(self) -> None:
        self.propose()
        self._choose()
        self.show_last()
        self.need_plan()

    def _choose(self) -> None:
        self.by_ssh.layout.display = None if self.where.value == _BY_SSH else "none"
        self.real.layout.display = "none" if self.where.value == _SIMULATOR else None
        self.start.description = "Run on the simulator" if self.where.value == _SIMULATOR else "Run on the CA"

    def _place(self) -> dict[str, Any]:
        """Where and how, as ``Case.run`` takes it."""
        if self.where.value == _SIMULATOR:
            return {}
        typed = {name: getattr(self, name).value.strip() for name in ("known_hosts", "identity", "no_dialog", "by")}
        known_hosts, identity = (
            Path(typed[name]).expanduser() if typed[name] else None for name in ("known_hosts", "identity")
        )
        named = self.target.value.strip() if self.where.value == _BY_SSH else "local"
        there = backend(named, known_hosts=known_hosts, identity=identity)
        people = {name: typed[name] or None for name in ("by", "no_dialog")}
        return {"on": there, "call": self.call.value.split(), "ca_name": self.confirm.value.strip(), **people}

    def _start(self) -> None:
        def verb() -> str:
            expected = self.case.plan().ca_name
            if self.confirm.value.strip() != expected:
                raise RefusedError(f"Type the name of the CA, exactly, to confirm: {expected}")
            live = self.live()
            try:
                run = self.case.run(self.place, on_output=live, **self._place())
            finally:
                live.flush()
            return _told(run)

        self.act(verb, self.start)


# ------------------------------------------------------------------------------- the door


def rehearse(case: Case) -> Panel:
    """Carry the plan out against a simulated CA made from the evidence."""
    return RehearsePanel(case)


def run(case: Case) -> Panel:
    """Run the exported bundle on the simulator."""
    return CarryOutPanel(case)
