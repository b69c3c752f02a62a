"""The panels from the signed plan to the proof: bundle, rehearsal, pin, run, verify."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import ipywidgets as widgets
import pandas as pd

from carecover.backends import backend
from carecover.bundles import Run
from carecover.case import Case
from carecover.errors import PathError, RefusedError, UsageError
from carecover.folder import hash_file
from carecover.notebook import markup
from carecover.notebook.desk import PastRun
from carecover.notebook.exploring import FilesPanel
from carecover.notebook.markup import Head
from carecover.notebook.panel import FULL, Live, Panel, Rows, button, choice, entry

_VERDICTS: Final = ("proved", "pending", "failed", "contradicted")
_OUTCOMES: Final = (
    Head("serial", "serial number", "code"),
    Head("action", "action"),
    Head("verdict", "verdict", "badge"),
    Head("transcript", "transcript"),
    Head("database", "database"),
    Head("crl", "new CRL"),
    Head("cdp", "distribution point"),
    Head("why", "why"),
)
_SIMULATOR: Final = "the simulator"
_BY_SSH: Final = "a CA by SSH"
_PLACES: Final = (_SIMULATOR, _BY_SSH, "this machine, which is the CA")
# The scripts are as long as the plan; what is shown is bounded in lines, what is read here in bytes.
_MAX_READ: Final = 1 << 20


class Outcomes(widgets.VBox):  # type: ignore[misc] # ipywidgets has no types
    """Table ``outcomes`` with a count of each verdict; what is not proved comes first."""

    def __init__(self) -> None:
        super().__init__()
        self._counts, self._rows = widgets.HTML(), Rows(_OUTCOMES, "outcomes")
        self.children = [self._counts, self._rows]

    def show(self, outcomes: pd.DataFrame) -> None:
        """Show these outcomes."""
        counts = [(verdict, int((outcomes["verdict"] == verdict).sum())) for verdict in _VERDICTS]
        told = " &nbsp; ".join(f"<b>{number:,}</b> {markup.badge(verdict)}" for verdict, number in counts if number)
        self._counts.value = markup.block(f"<p>{told}</p>") if told else ""
        worst = {verdict: -rank for rank, verdict in enumerate(_VERDICTS)}
        self._rows.show(outcomes.sort_values("verdict", key=lambda c: c.map(worst), kind="stable"))


class FolderPanel(Panel):
    """A step that works on the exported bundle; its folder is proposed, and can be another."""

    def folder_entry(self) -> widgets.Text:
        """The box for the bundle's folder."""
        self.folder = entry("Bundle folder", tooltip="Where the bundle is, or is to be", layout=FULL)
        self._proposed = ""
        return self.folder

    def propose(self) -> None:
        """Put the expected folder into the box, unless a person has typed another."""
        place = self.desk.bundle_folder()
        if self.folder.value.strip() in ("", self._proposed):
            self.folder.value = str(place or "")
        self._proposed = str(place or "")

    @property
    def place(self) -> Path:
        """The folder in the box."""
        typed = self.folder.value.strip()
        if not typed:
            raise UsageError("Name the folder of the bundle.")
        return Path(typed).expanduser()


class BatchPanel(FolderPanel):
    """The bundle for the CA: exported once the plan is signed; every file can be read here."""

    title = "The bundle"
    hint = (
        "Exports the scripts for the CA into a folder of their own. Read revoke.cmd, or prepare.cmd where dummies are "
        "needed, before it is carried to the server; README.txt says who runs what, and when."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.export = button("Export", self._export, main=True)
        self.files = Rows(
            [Head("file", "file", "code"), Head("size", "bytes"), Head("sha256", "SHA-256", "code")],
            "files of the bundle",
        )
        self.pick = choice("Read", [])
        self.source = widgets.HTML()
        self.on_change(self._read, self.pick)
        return [self.folder_entry(), self.export, self.files, self.pick, self.source]

    def show(self) -> None:
        self.propose()
        self.files.show(pd.DataFrame())
        self.pick.options = []
        self.pick.layout.display = "none"
        self.need_plan()
        place = self.folder.value.strip()
        if not place or not (Path(place) / "manifest.json").is_file():
            return
        found = sorted(p for p in Path(place).rglob("*") if p.is_file())
        rows = [
            {"file": p.relative_to(place).as_posix(), "size": p.stat().st_size, "sha256": hash_file(p)} for p in found
        ]
        self.files.show(pd.DataFrame(rows))
        self.pick.options = [p.name for p in found if p.suffix in (".cmd", ".txt") and p.parent == Path(place)]
        # revoke.cmd is what matters most; where it is still to come, what comes before it.
        first = next((n for n in ("revoke.cmd", "prepare.cmd") if n in self.pick.options), None)
        self.pick.value = first or next(iter(self.pick.options), None)
        self.pick.layout.display = None
        self._read()

    def _read(self) -> None:
        self.source.value = ""
        if self.pick.value:
            path = Path(self.folder.value.strip()) / self.pick.value
            try:
                with path.open("rb") as stream:
                    text = stream.read(_MAX_READ).decode("utf-8", "replace")
            except OSError as error:
                raise PathError(f"{path} cannot be read: {error.strerror}.") from None
            is_batch = self.pick.value.endswith(".cmd")
            self.source.value = markup.batch_file(text) if is_batch else markup.output(text.splitlines())

    def _export(self) -> None:
        def verb() -> str:
            *written, packed = self.case.batch(self.place)
            return (
                f"{len(written):,} files were written to {self.place}, and packed into {packed.name} for carrying "
                f"(SHA-256 {hash_file(packed)})."
            )

        self.act(verb, self.export)


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
        self.outcomes.show(last.outcomes if last else pd.DataFrame({h.name: [] for h in _OUTCOMES}))

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


class PinPanel(FolderPanel):
    """The check of the dummies that prepare.cmd made, by somebody who did not sign as analyst."""

    title = "Pin the dummies"
    hint = (
        "Only where the plan needs dummies. Run prepare.cmd on the CA, bring its folder dummies back into the bundle, "
        "then have a second person look. Only after this there is a revoke.cmd, and it takes these very files only. "
        "Where some end too early, a longer.cmd is written first: run it on the CA as well, and pin again."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.by = entry("Your name", placeholder="not the analyst")
        self.ca_true = widgets.Checkbox(
            value=False, indent=False, layout=FULL, description="I saw that dummies are CA certificates, and take them."
        )
        self.pin = button("Check and pin", self._pin, main=True)
        self.form = widgets.VBox([self.folder_entry(), self.by, self.ca_true, self.pin])
        self.needed = widgets.HTML()
        self.pins = Rows(
            [Head("serial", "serial number", "code"), Head("not_after", "valid until"), Head("subject", "subject"),
             Head("is_ca", "CA"), Head("own_key", "key of the CA"),
             Head("eku", "extended key usage"), Head("sha256", "SHA-256", "code")],
            "dummies",
        )  # fmt: skip
        return [self.needed, self.form, self.pins]

    def show(self) -> None:
        self.propose()
        self.needed.value = ""
        plan = self.need_plan()
        number = sum(1 for item in plan.items if item.method == "dummy")
        self.form.layout.display = None if number else "none"
        last = next(
            (e for e in reversed(self.desk.history) if e.act == "pin" and e.details["digest"] == plan.digest), None
        )
        if not number:
            self.needed.value = markup.note("This plan needs no dummies: there is nothing to pin.")
        elif last is not None:
            self.needed.value = markup.note(
                f"{len(last.details['pins']):,} dummies were pinned by {last.details['by']}, {markup.moment(last.at)}.",
                "good",
            )
        else:
            self.needed.value = markup.note(f"This plan needs {number:,} dummies. They are not pinned yet.", "warning")

    def _pin(self) -> None:
        def verb() -> str:
            pins = self.case.pin(self.place, by=self.by.value, ca_true=self.ca_true.value)
            self.pins.show(pins)
            left = pins.attrs["leftovers"]
            rest = f" {len(left):,} other files lie in dummies: destroy every copy of them (plan.html names them)."
            return (
                f"{len(pins):,} dummies are as they should be; revoke.cmd was written to {self.place}, and all of it "
                f"packed again.{rest if left else ''}"
            )

        self.act(verb, self.pin)


class CarryOutPanel(RunPanel):
    """The exported bundle, run on the simulator, on this CA, or on a CA by SSH; or carried there by hand."""

    title = "Run"
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


class VerifyPanel(FilesPanel):
    """What the CA's own files prove about each decision."""

    title = "Verify"
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


def batch(case: Case) -> Panel:
    """Export the bundle for the CA, and read its files."""
    return BatchPanel(case)


def rehearse(case: Case) -> Panel:
    """Carry the plan out against a simulated CA made from the evidence."""
    return RehearsePanel(case)


def pin(case: Case) -> Panel:
    """Check the dummies that prepare.cmd made, and write revoke.cmd."""
    return PinPanel(case)


def run(case: Case) -> Panel:
    """Run the exported bundle on the simulator."""
    return CarryOutPanel(case)


def verify(case: Case) -> Panel:
    """Hand in what the CA produced; see what it proves."""
    return VerifyPanel(case)
