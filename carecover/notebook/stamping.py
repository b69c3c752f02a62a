"""The panel of time stamps (RFC 3161): a request out, an authority's answer in, without a network of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import ipywidgets as widgets
import pandas as pd

from carecover import stamps
from carecover.case import Case
from carecover.errors import UsageError
from carecover.notebook import markup
from carecover.notebook.exploring import FilesPanel
from carecover.notebook.handing import HandOut
from carecover.notebook.markup import Head
from carecover.notebook.panel import Panel, Rows, button, entry, person_in, row

_HOW: Final = (
    "<p>1. Make a request. 2. Carry the file to an authority by a machine that is connected (it takes it by HTTP, as "
    "application/timestamp-query), and bring its answer back. 3. Hand in the answer, together with the authority's "
    "certificates as PEM: both are checked here, offline.</p>"
)


class StampPanel(FilesPanel):
    """Ask for a stamp of all that was done until now; keep the answer."""

    title = "A time stamp"
    hint = (
        "Not needed, but it helps: somebody else's clock then says that the whole history of this case, as it is now, "
        "existed by that time. Only a hash leaves the case."
    )
    action = "Check and keep the answer"
    what = "the answer (.tsr) and the authority's certificates (PEM), one path a line"

    def build(self) -> Sequence[widgets.Widget]:
        self.ask = button("Make a request", self._ask, main=True)
        self.hand_out = HandOut(self._request)
        self.by = entry("Your name")
        upload, paths, hand_in, *rest = super().build()
        return [
            widgets.HTML(markup.block(_HOW)), row(self.ask, self.hand_out), upload, paths, self.by, hand_in, *rest,
        ]  # fmt: skip

    def build_result(self) -> Sequence[widgets.Widget]:
        self.kept = Rows(
            [Head("when", "stamped (authority's clock)"), Head("act", "all up to act"), Head("authority", "authority"),
             Head("by", "handed in by"), Head("head", "what is stamped", "code")],
            "time stamps of this case",
        )  # fmt: skip
        return [self.kept]

    def show(self) -> None:
        asked = self._asked()
        self.hand_out.label = f"Download {asked.name}" if asked is not None and asked.is_file() else ""
        table = self.desk.table("stamps")
        moments = [markup.moment(at.isoformat()) for at in table["stamped_at"]]
        self.kept.show(table.assign(when=pd.Series(moments, index=table.index, dtype="string")))

    def _asked(self) -> Path | None:
        """Where the newest request was written to."""
        entry = next((e for e in reversed(self.desk.history) if e.act == "stamp-request"), None)
        return None if entry is None else Path(str(entry.details["path"]))

    def _request(self) -> tuple[str, bytes]:
        place = self._asked()
        if place is None:
            raise UsageError("There is no request yet: make one.")
        return place.name, place.read_bytes()

    def _ask(self) -> None:
        def verb() -> str:
            place = self.case.path.resolve()
            written = self.case.report(place.with_name(f"{place.name}-head.tsq"))
            return f"The request was written to {written}. It asks about everything up to this moment."

        self.act(verb, self.ask)

    def take(self, paths: Sequence[Path]) -> str:
        answers = [path for path in paths if stamps.is_answer(path)]
        others = [path for path in paths if path not in answers]
        if not answers:
            raise UsageError(
                "No answer of an authority is among the files: it is what came back for the request, and mostly ends "
                "in .tsr."
            )
        if len(others) != 1:
            raise UsageError(
                "Hand in the authority's certificates as one PEM file beside the answer; there are "
                f"{len(others)} other files."
            )
        kept = self.case.add(answers, authority=others[0], by=person_in(self.by))
        self.by.value = ""
        return "\n".join(str(note) for note in kept.attrs["notes"])


def stamp(case: Case) -> Panel:
    """Have an authority's clock say by when the case was as it is (RFC 3161): a request out, its answer in."""
    return StampPanel(case)
