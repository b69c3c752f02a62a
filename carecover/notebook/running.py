"""The panels that run the scripts: a rehearsal against the simulated CA, and the run of the exported bundle.

What runs is a process of its own (``carecover.errand``), and the case has what it says. A panel only looks: so it
shows a run that another kernel, another tab or a shell has begun, and a run goes on when all of these are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import ipywidgets as widgets
import pandas as pd

from carecover import errand, underway
from carecover.backends import backend
from carecover.case import Case
from carecover.errors import CarecoverError, RefusedError, UsageError
from carecover.journal import Entry
from carecover.notebook import markup
from carecover.notebook.desk import PastRun
from carecover.notebook.exporting import FolderPanel
from carecover.notebook.following import Followed, Output
from carecover.notebook.panel import FULL, Panel, button, choice, entry
from carecover.notebook.proving import OUTCOMES, Outcomes

_SIMULATOR: Final = "the simulator"
_BY_SSH: Final = "a CA by SSH"
_PLACES: Final = (_SIMULATOR, _BY_SSH, "this machine, which is the CA")
# The Jupyter server drops messages above 1000 a second; five are enough for any eye.
_LIVE_SECONDS: Final = 0.2
# How soon a run that was begun elsewhere is seen.
_IDLE_SECONDS: Final = 1.0


class RunPanel(FolderPanel):
    """What rehearsal and run have in common: live output, cancelling, and the outcome of the last time."""

    kind = "rehearsal"

    def build_view(self) -> Sequence[widgets.Widget]:
        """Output and outcome, and a look at the case every now and then."""
        self._errand: errand.Errand | None = None
        self._known = self._shown = 0
        self._followed: Followed | None = None
        self.going, self.cut = widgets.HTML(), widgets.HTML()
        self.cancel = button(f"Cancel the {self.kind}", self._cancel)
        self.summary, self.outcomes, self.output = widgets.HTML(), Outcomes(), Output()
        self.whole = widgets.Accordion([self.output], layout=FULL)
        self.whole.set_title(0, "Output of the scripts")
        self._retired = False
        # Without a loop nobody would see it move: a notebook that is run by a program, or a test.
        with contextlib.suppress(RuntimeError):
            self._ticking = asyncio.get_running_loop().create_task(self._look_now_and_then())
        return [self.message, self.going, self.cancel, self.whole, self.cut, self.summary, self.outcomes]

    def show_last(self) -> None:
        """The last time, as the case keeps it; or what is going on."""
        # What has ended is told by the next look: not while all is drawn.
        self._follow()
        last = self.desk.last_run(self.kind)
        self._shown = self._newest()
        self.cut.value = "" if self.busy else self._last_cut()
        simulated = self._on_the_simulator()
        self.summary.value = (
            "" if last is None else _summary(last, current=last.digest == self.desk.plan_digest, simulated=simulated)
        )
        if last is not None and not last.directory.is_dir():
            self.summary.value += markup.note(last.output[0], "warning")
        self.outcomes.show(last.outcomes if last else pd.DataFrame({h.name: [] for h in OUTCOMES}), simulated=simulated)
        kept = self._kept()
        if not self.busy and kept is not None:
            followed = Followed(kept, underway.OUTPUT)
            followed.end()
            self.output.show(followed)
        self._draw()

    @property
    def busy(self) -> bool:
        """Whether it shows something that has not ended."""
        return self._errand is not None or self._followed is not None

    def begin(self, what: dict[str, Any]) -> None:
        """Start a process for it; raises RefusedError while another is going on."""
        if self.busy or underway.is_going(self.case.path):
            raise RefusedError(
                "A run or rehearsal of this case is going on, one at a time: wait for its end, or cancel it."
            )
        self._known = len(self.desk.history)
        self._errand = errand.begin(self.case.path, {"kind": self.kind, **what})

    def look(self) -> None:
        """See how it stands: show what has come, or what came of it."""
        if self._follow():
            return
        if self.busy:
            if self._errand is None or self._errand.over():
                self._ended()
            return
        elsewhere = self.desk.state != self._drawn_at and self._newest() != self._shown
        # Begun and ended elsewhere between two looks.
        if elsewhere and not underway.is_going(self.case.path):
            self._known = self._shown
            self._ended()

    def _follow(self) -> bool:
        """Show what has come of what is going on; False where nothing is."""
        place = underway.directory(self.case.path, self.desk.history) if underway.is_going(self.case.path) else None
        if place is None or not place.name.endswith(f"-{self.kind}"):
            return False
        if self._followed is None or self._followed.place != place:
            self._followed = Followed(place, underway.OUTPUT)
            self.whole.selected_index = 0
            self.output.show(self._followed)
            self._draw()
        if self._followed.more():
            self.output.show(self._followed)
        return True

    def retire(self) -> None:
        """Leave the desk to a newer panel, and look no longer."""
        self._retired = True
        super().retire()

    async def _look_now_and_then(self) -> None:
        look = self.guarded(self.look)
        while not self._retired:
            await asyncio.sleep(_LIVE_SECONDS if self.busy else _IDLE_SECONDS)
            look()

    def _draw(self) -> None:
        going = self.busy
        self.start.disabled = going
        self.cancel.layout.display = None if self._followed is not None else "none"
        self.whole.layout.display = None if going or self.output.lines else "none"
        closed = "It goes on when this tab is closed or the kernel restarted; come back to this panel to see it."
        told = f"The {self.kind} is going on. {closed}" if self._followed else f"The {self.kind} is being started."
        self.going.value = markup.note(told) if going else ""
        if self._followed is None and going:
            self.output.lines = []

    def _ended(self) -> None:
        over, self._errand = self._errand, None
        followed, self._followed = self._followed, None
        if over is not None and over.failed is None:
            self.forget()
        self.desk.changed()
        told = self._outcome(None if followed is None else followed.place.name, None if over is None else over.failed)
        # The same twice in one panel says no more.
        self.cut.value = ""
        self.say(*told)

    def _outcome(self, directory: str | None, failed: str | None) -> tuple[str, str]:
        """What came of it, as a sentence and its tone; the journal's word before any other."""
        after = [e for e in self.desk.history if e.act in (self.kind, f"{self.kind}-cut")]
        mine = [
            e for e in after
            if (e.details.get("directory") == directory if directory is not None else e.number > self._known)
        ]  # fmt: skip
        if mine and mine[-1].act == self.kind:
            return _told(self.desk.last_run(self.kind), finished=bool(mine[-1].details["finished"]))
        if mine:
            return _cut_off(mine[-1]), "bad"
        if failed is not None:
            return failed, "bad"
        dead = underway.without_end(self.desk.history)
        if dead is not None and dead.details.get("directory") == directory:
            return underway.told(dead), "bad"
        return (
            f"The {self.kind} ended before its end: its process is gone, and nothing of it is kept. Repeat it.",
            "bad",
        )

    def forget(self) -> None:
        """Empty the boxes that the next person fills in: what they stood for is done."""

    def _on_the_simulator(self) -> bool:
        """Whether the last of its kind was on a CA made from the evidence: no other run takes anything for granted."""
        last = next((e for e in reversed(self.desk.history) if e.act == self.kind), None)
        return last is not None and bool(last.details.get("assumptions"))

    def _newest(self) -> int:
        """Number of the newest act of this kind, its begin and its cut included; 0 where there is none."""
        return next((e.number for e in reversed(self.desk.history) if e.act.split("-")[0] == self.kind), 0)

    def _last_cut(self) -> str:
        """A note where the newest run has no good end in the journal."""
        acts = [e for e in self.desk.history if e.act in (self.kind, f"{self.kind}-cut", f"{self.kind}-begun")]
        if not acts or acts[-1].act == self.kind:
            return ""
        said = _cut_off(acts[-1]) if acts[-1].act == f"{self.kind}-cut" else underway.told(acts[-1])
        return markup.note(said, "warning")

    def _kept(self) -> Path | None:
        """The folder of the newest one that said something, whatever became of it."""
        for known in reversed(self.desk.history):
            if known.act.split("-")[0] == self.kind and "directory" in known.details:
                return self.case.path / "runs" / str(known.details["directory"])
        return None

    def _cancel(self) -> None:
        try:
            underway.ask_to_stop(self.case.path)
        except CarecoverError as error:
            self.say(str(error), "bad")
        else:
            self.say("It was asked to stop, and says here when it has.", "warning")


def _summary(last: PastRun, *, current: bool, simulated: bool) -> str:
    phases = " · ".join(markup.text(phase) for phase in last.phases)
    old = "" if current else markup.note("This was another plan than the one that stands now: do it again.", "warning")
    kept = f"plan {markup.code(last.digest[:12])}…, kept in {markup.code(last.directory)}"
    where = ", on a simulated CA: what is below says nothing of your CA" if simulated else ""
    what = f"Last time: {markup.text(markup.moment(last.at))}{where}; {kept}."
    return old + markup.block(f"<p>{what}</p><p>Scripts and their exit codes: {phases}</p>")


def _told(last: PastRun | None, *, finished: bool) -> tuple[str, str]:
    outcomes = pd.DataFrame({"verdict": []}) if last is None else last.outcomes
    proved, total = int((outcomes["verdict"] == "proved").sum()), len(outcomes)
    end = (
        f"Every script ended as it should{_but_publish(last)}"
        if finished
        else "It stopped part-way: see the exit codes and the output, mend what they say, and run the same again"
    )
    tone = "good" if finished and proved == total else "warning"
    return f"{end}; {proved:,} of {total:,} decisions are proved by the CRL that came out.", tone


def _but_publish(last: PastRun | None) -> str:
    """What a publication that saw something missing in its CRL is about: on a CA it will end so, too."""
    if last is None or "revoke.cmd publish: 1" not in last.phases:
        return ""
    missing = last.outcomes[
        (last.outcomes["action"] == "revoke") & last.outcomes["crl"].fillna("").str.endswith("not listed")
    ]
    if missing.empty:
        return ", but publish ended with 1: the output says why"
    number = f"{len(missing):,} planned certificate{'' if len(missing) == 1 else 's'}"
    if not (missing["verdict"] == "proved").all():
        return f", but publish ended with 1: {number} cannot be found in the new CRL"
    return (
        f", but publish ended with 1, as it will on the CA: {number} had ended before the new CRL was made, which need "
        "not list what has ended"
    )


def _cut_off(cut: Entry) -> str:
    return f"The run was cut off at {markup.moment(cut.at)}: {cut.details['why']}"


class RehearsePanel(RunPanel):
    """The plan, carried out against a simulated CA made from the evidence."""

    title = "Rehearse"
    step = "rehearse"
    hint = (
        "Runs the very scripts of the bundle against a simulated CA that is made from the evidence. It checks the "
        "logic against assumptions; it is not a test of your CA. It comes after the signatures and before the bundle "
        "is carried anywhere; who wants to see the plan at work before that may rehearse as often as they like."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.start = button("Rehearse", self._start, main=True)
        return [self.start, *self.build_view()]

    def show(self) -> None:
        self.show_last()
        self.need_plan()

    def _start(self) -> None:
        def verb() -> str:
            self.need_plan()
            self.begin({})
            return "It has begun: what the scripts say comes below."

        self.act(verb, self.start)


class CarryOutPanel(RunPanel):
    """The exported bundle, run on the simulator, on this CA, or on a CA by SSH; or carried there by hand."""

    title = "Run"
    step = "run"
    kind = "run"
    hint = (
        "Runs the exported folder, file by file as it was exported. On the real CA: carry the folder there and follow "
        "its README.txt, then bring the folders logs and out back for the next step; or run it from here, by SSH. To "
        "cancel a run is no undoing: what was done is done, the batch may even go on at the CA, and can be run again."
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

    def forget(self) -> None:
        """Whoever runs the next call says who they are, and confirms it, again."""
        self.by.value = self.confirm.value = ""

    def _choose(self) -> None:
        self.by_ssh.layout.display = None if self.where.value == _BY_SSH else "none"
        self.real.layout.display = "none" if self.where.value == _SIMULATOR else None
        simulated = self.where.value == _SIMULATOR
        # To run there harms nothing: nothing has to be confirmed.
        self.confirm.layout.display = "none" if simulated else None
        self.start.description = "Run on the simulator" if simulated else "Run on the CA"
        # What a simulated CA proved stands under no other choice.
        self.outcomes.layout.display = None if simulated or not self._on_the_simulator() else "none"

    def _where(self) -> dict[str, Any]:
        """Where and how, as ``errand.begin`` takes it; what is wrong with a place is said before anything is begun."""
        if self.where.value == _SIMULATOR:
            return {"on": "simulator"}
        typed = {name: getattr(self, name).value.strip() for name in ("known_hosts", "identity", "no_dialog", "by")}
        known_hosts, identity = (
            Path(typed[name]).expanduser().absolute() if typed[name] else None for name in ("known_hosts", "identity")
        )
        named = self.target.value.strip() if self.where.value == _BY_SSH else "local"
        if not named:
            raise UsageError("Name the CA's server in the box CA by SSH: ssh://USER@HOST, or ssh://USER@HOST:PORT.")
        backend(named, known_hosts=known_hosts, identity=identity)
        given = {"known_hosts": known_hosts, "identity": identity}
        files = {name: None if place is None else str(place) for name, place in given.items()}
        people = {name: typed[name] or None for name in ("by", "no_dialog")}
        return {"on": named, "call": self.call.value.split(), "ca_name": self.confirm.value.strip(), **files, **people}

    def _start(self) -> None:
        def verb() -> str:
            expected = self.case.plan().ca_name
            if self.where.value != _SIMULATOR and self.confirm.value.strip() != expected:
                raise RefusedError(f"Type the name of the CA, exactly, to confirm: {expected}")
            self.begin({"directory": str(self.place.absolute()), **self._where()})
            return "It has begun: what the scripts say comes below."

        self.act(verb, self.start)


# ------------------------------------------------------------------------------- the door


def rehearse(case: Case) -> Panel:
    """Carry the plan out against a simulated CA made from the evidence."""
    return RehearsePanel(case)


def run(case: Case) -> Panel:
    """Run the exported bundle on the simulator, or on a CA."""
    return CarryOutPanel(case)
