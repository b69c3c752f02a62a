"""The check of the dummies: a second person looks at each before anything is revoked with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, get_args, get_type_hints

import ipywidgets as widgets
import pandas as pd

from carecover.bundles import OF_A_REHEARSAL
from carecover.case import Case
from carecover.errors import RefusedError, UsageError
from carecover.model import Check, nearly_the_same
from carecover.notebook import markup
from carecover.notebook.dropping import DropZone
from carecover.notebook.exporting import FolderPanel
from carecover.notebook.markup import Head
from carecover.notebook.panel import FULL, Panel, Rows, button, entry, person_in, row
from carecover.report.document import clean

_CHECKS: Final = get_args(get_type_hints(Check)["name"])
_MAX_NAMED: Final = 5


class PinPanel(FolderPanel):
    """The dummies that prepare.cmd made: brought back, checked one by one, and pinned by somebody else."""

    title = "Pin the dummies"
    step = "pin"
    hint = (
        "Only where the plan needs dummies. Run prepare.cmd on the CA and bring its folder dummies back; then a second "
        "person looks at every check and confirms. Only after this there is a revoke.cmd, and it takes these very "
        "files only. Where some end too early, a longer.cmd is written first: run it on the CA as well, and pin again."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.needed = widgets.HTML()
        self.upload = DropZone()
        self.bring = button("Bring them into the bundle", self._bring)
        self.again = button("Look again", self._look)
        self.out = button("Take out what is not the CA's", self._take_out)
        self.pins = Rows(
            [Head("serial", "serial number", "code"), *(Head(f"check {name}", name, "badge") for name in _CHECKS),
             Head("not_after", "ends"), Head("needed_until", "the real one ends"), Head("why", "what to look at")],
            "checks of every dummy",
        )  # fmt: skip
        self.rest = widgets.HTML()
        self.by = entry("Your name", placeholder="not the analyst")
        self.seen = widgets.Checkbox(
            value=False, indent=False, layout=FULL, description="I looked at every check below, and take these dummies."
        )
        self.ca_true = widgets.Checkbox(
            value=False, indent=False, layout=FULL, description="I saw that dummies are CA certificates, and take them."
        )
        self.different = widgets.Checkbox(value=False, indent=False, layout=FULL, description="")
        self.on_change(self._ask_who, self.by)
        self.pin = button("Confirm and pin", self._pin, main=True)
        self.confirm = widgets.VBox([self.by, self.different, self.seen, self.ca_true, self.pin])
        bringing = [self.folder_entry(), self.upload, row(self.bring, self.again, self.out)]
        self.form = widgets.VBox([*bringing, self.rest, self.confirm])
        self._shown: str | None = None
        return [self.needed, self.form, self.message, self.pins]

    def show(self) -> None:
        self.propose()
        self.needed.value = self.rest.value = ""
        self.pins.show(pd.DataFrame())
        self.confirm.layout.display = self.form.layout.display = self.out.layout.display = "none"
        self._shown = None
        self._analyst = ""
        self._ask_who()
        plan = self.need_plan()
        number = sum(1 for item in plan.items if item.method == "dummy")
        if not number:
            self.needed.value = markup.note("This plan needs no dummies: there is nothing to pin. Go on to the run.")
            return
        self.form.layout.display = None
        acts = (e for e in reversed(self.desk.history) if e.act == "pin" and e.details["digest"] == plan.digest)
        if (last := next(acts, None)) is not None:
            self.needed.value = markup.note(
                f"{_dummies(len(last.details['pins']))} pinned by {last.details['by']}, {markup.moment(last.at)}.",
                "good",
            )
        else:
            pinned = "It is not pinned yet." if number == 1 else "They are not pinned yet."
            self.needed.value = markup.note(f"This plan needs {_dummies(number)}. {pinned}", "warning")
        self._analyst = next((s.person for s in self.case.sign_offs(plan) if s.role == "analyst"), "")
        self._ask_who()
        if (self.place / "dummies").is_dir():
            self._draw(self.case.pin(self.place, look=True))

    def _draw(self, found: pd.DataFrame) -> None:
        """The checks of what is there; only where all of it may be pinned there is something to confirm."""
        judged = [_row(*known) for known in zip(found["checks"], found["problems"], strict=True)]
        ends = {name: pd.to_datetime(found[name], utc=True) for name in ("not_after", "needed_until")}
        rows = found.assign(**ends).join(
            pd.DataFrame(judged, columns=[*(f"check {name}" for name in _CHECKS), "why"], index=found.index)
        )
        wrong = found["problems"].map(len).astype(int) > 0
        # What failed comes first: it may be one of thousands.
        self.pins.show(rows.iloc[(~wrong).argsort(kind="stable")])
        missing, left, bad = found.attrs["missing"], found.attrs["leftovers"], int(wrong.sum())
        told = [f"There: {_dummies(len(found))}. May not be imported: {bad:,}. Missing: {missing:,}."]
        told += _alike(found["problems"])
        if not_the_cas := found.attrs["not_the_cas"]:
            told.append(OF_A_REHEARSAL)
        if left:
            told.append(
                f"{len(left):,} other files lie in dummies ({_some(list(left))}): whatever of them the CA signed is "
                "dangerous until every copy is destroyed."
            )
        self.rest.value = markup.note("\n".join(told), "warning" if bad or missing or left else "good")
        self.ca_true.layout.display = None if found["is_ca"].any() else "none"
        self.out.layout.display = None if not_the_cas else "none"
        # What only ends too early is confirmed like the rest: then the case writes longer.cmd, and says what to do.
        early = (found["problems"].map(len) == 1) & found["ends_early"].astype(bool)
        ready = len(found) and not missing and not bool((wrong & ~early).any())
        self.confirm.layout.display = None if ready else "none"
        self._shown = found.attrs["seen"]

    def _ask_who(self) -> None:
        """A name that is nearly the analyst's: whoever pins says whether that is another person."""
        alike = nearly_the_same(self._analyst, self.by.value)
        self.different.layout.display = None if alike else "none"
        self.different.value = False
        self.different.description = (
            f"{clean(self.by.value, 60)} and {clean(self._analyst, 60)} are two different people." if alike else ""
        )

    def _bring(self) -> None:
        def verb() -> str:
            files = [(str(file["name"]), bytes(file["content"])) for file in self.upload.take()]
            if not files:
                raise UsageError("Nothing was handed in: drop the files, or the folder dummies, above.")
            found = self.case.pin(self.place, look=True, dummies=files)
            self.upload.clear()
            aside = found.attrs["aside"]
            rest = f" Left aside, as they are named like no dummy or too large: {_some(aside)}." if aside else ""
            brought = len(files) - len(aside)
            are = "is" if brought == 1 else "are"
            return f"{_dummies(brought)} {are} in {self.place / 'dummies'} now.{rest}"

        self.act(verb, self.bring)

    def _take_out(self) -> None:
        def verb() -> str:
            found = self.case.pin(self.place, look=True, take_out=True)
            return f"What this CA has not signed is deleted from {self.place / 'dummies'}: left {_dummies(len(found))}."

        self.act(verb, self.out)

    def _look(self) -> None:
        def verb() -> str:
            found = self.case.pin(self.place, look=True)
            return f"Checked just now: {_dummies(len(found))}. Missing: {found.attrs['missing']:,}."

        self.act(verb, self.again)

    def _pin(self) -> None:
        shown = self._shown

        def verb() -> str:
            if not self.seen.value:
                raise UsageError("Look at every check below, tick the box, then confirm.")
            if self.different.description and not self.different.value:
                raise RefusedError(
                    f"That name is nearly {self._analyst}, who signed as analyst. Somebody else must look at the "
                    "dummies: mend the name, or tick the box if these are two different people."
                )
            pins = self.case.pin(
                self.place, by=person_in(self.by), ca_true=self.ca_true.value, seen=shown,
                different=bool(self.different.value),
            )  # fmt: skip
            left = pins.attrs["leftovers"]
            rest = f" {len(left):,} other files lie in dummies: destroy every copy of them (plan.html names them)."
            self.by.value = ""
            return (
                f"{_dummies(len(pins))} {'is as it' if len(pins) == 1 else 'are as they'} should be; revoke.cmd was "
                f"written to {self.place}, and all of it packed again.{rest if left else ''}"
            )

        self.act(verb, self.pin)
        self.seen.value = self.ca_true.value = False


def _row(checks: dict[str, tuple[str, str]], problems: Sequence[str]) -> list[str]:
    """The verdict of each check, and in one cell what is not simply in order."""
    verdicts = [checks.get(name, ("not checked", ""))[0] for name in _CHECKS]
    odd = [why for verdict, why in checks.values() if verdict in ("fail", "look")]
    told = list(dict.fromkeys([*odd, *problems]))
    return [*verdicts, " ".join(told) or "all is in order"]


def _dummies(number: int) -> str:
    return "1 dummy" if number == 1 else f"{number:,} dummies"


def _alike(problems: pd.Series[Any]) -> list[str]:
    """What is wrong with many in the same way, once; what is wrong with one stands beside it."""
    counted = problems.explode().dropna().value_counts(sort=False)
    return [f"{_dummies(int(number))}: {problem}" for problem, number in counted.items() if number > 1]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED:,} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(str(name)[-60:] for name in names[:_MAX_NAMED]) + more


# ------------------------------------------------------------------------------- the door


def pin(case: Case) -> Panel:
    """Bring the dummies back, see each check, have a second person confirm; writes revoke.cmd."""
    return PinPanel(case)
