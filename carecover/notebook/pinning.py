"""The check of the dummies: they are looked at by a second person before anything is revoked with them."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets

from carecover.case import Case
from carecover.notebook import markup
from carecover.notebook.exporting import FolderPanel
from carecover.notebook.markup import Head
from carecover.notebook.panel import FULL, Panel, Rows, button, entry


class PinPanel(FolderPanel):
    """The check of the dummies that prepare.cmd made, by somebody who did not sign as analyst."""

    title = "Pin the dummies"
    step = "pin"
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


# ------------------------------------------------------------------------------- the door


def pin(case: Case) -> Panel:
    """Check the dummies that prepare.cmd made, and write revoke.cmd."""
    return PinPanel(case)
