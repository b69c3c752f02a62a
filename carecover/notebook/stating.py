"""The panel of the facts: what people know about the incident, typed at night, kept until it is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import ipywidgets as widgets

from carecover.analysis.gap import own_name
from carecover.analysis.naming import NAME_OF_CA
from carecover.case import Case
from carecover.errors import CarecoverError, FactError
from carecover.facts import LABELS
from carecover.model import CaseFacts
from carecover.notebook import markup
from carecover.notebook.desk import Desk
from carecover.notebook.panel import Panel, button, choice, entry
from carecover.report.document import clean

_FACTS: Final[Mapping[str, tuple[str, str]]] = {
    "ca": ("Corp Issuing CA 1", "The CA's common name, as in its certificate"),
    "config": (r"SERVER\Corp Issuing CA 1", r"HOST\CA name: certutil -dump prints it on the CA, as Config"),
    "time_zone": ("Europe/Berlin", "Time zone of the CA server (IANA name)"),
    "backup": ("2026-11-20 22:00", "When the backup was made that was restored"),
    "failure": ("2026-11-23 03:10", "When the CA was lost"),
    "restored": ("2026-11-23 09:40", "When the restored CA first ran"),
}
# No option may stand for None: a list box shows nothing then.
_BY_EVIDENCE: Final = ""
_DATE_ORDERS: Final = (
    ("as the evidence tells", _BY_EVIDENCE), ("day, month, year", "dmy"), ("month, day, year", "mdy"),
    ("year, month, day", "ymd"),
)  # fmt: skip
_TIMES: Final = ("backup", "failure", "restored")


class FactsPanel(Panel):
    """What people know about the incident; everything may be unknown."""

    title = "The facts"
    hint = (
        "What you know, as exactly as you know it; leave empty what nobody knows. Times are those of the time zone, "
        "unless they say otherwise (2026-11-23 04:30+01:00). By the CA configuration the scripts for the CA check that "
        "they run on the right server: certutil -dump, without more words, prints it there as Config (HOST\\CA name)."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.fields = {
            name: entry(LABELS[name], placeholder=f"e.g. {like}", tooltip=tip) for name, (like, tip) in _FACTS.items()
        }
        self.date_order = choice(LABELS["date_order"], _DATE_ORDERS)
        self.key_exposed = choice(LABELS["key_exposed"], [(word, word) for word in ("unknown", "no", "yes")],
                                  tooltip="May somebody else have the CA's private key?")  # fmt: skip
        self.save = button("Save the facts", self._save, main=True)
        self.boxes = {**self.fields, "date_order": self.date_order, "key_exposed": self.key_exposed}
        # What was drawn last: a box that holds something else was touched, and is the person's until it is saved.
        self._drawn = {name: box.value for name, box in self.boxes.items()}
        self._name = ""
        self.meant = widgets.HTML()
        self.take_name = button("Take it", self._take)
        return [self.meant, self.take_name, *self.boxes.values(), self.save]

    def show(self) -> None:
        known = _shown(self.case.facts)
        for name, box in self.boxes.items():
            if box.value == self._drawn[name]:
                box.value = known[name]
        self._drawn = known
        # Last: what is known can be typed even where the evidence cannot be read.
        self._offer_name()

    def _offer_name(self) -> None:
        """Offer the name that the evidence gives the CA, where the case has none or a wrong one."""
        self._name, told = _meant(self.desk)
        self.meant.value = told
        self.take_name.description = self.take_name.tooltip = f"Take '{clean(self._name, 80)}'"
        self.take_name.layout.display = None if self._name else "none"

    def _take(self) -> None:
        def verb() -> str:
            name = self._name
            Case.create(self.case.path, ca=name)
            # What stands in the box is given up for it.
            self._drawn["ca"] = self.fields["ca"].value
            return f"The CA of this case is {name} now."

        self.act(verb, self.take_name)

    def _save(self) -> None:
        def verb() -> str:
            typed = {name: box.value.strip() for name, box in self.boxes.items()}
            wrong: tuple[str, ...] = ()
            try:
                self._write(typed)
                # What was said stands in the case now: it is drawn as the case tells it.
                self._drawn = {name: box.value for name, box in self.boxes.items()}
            except FactError as error:
                wrong = error.facts
                raise
            finally:
                for name, box in self.boxes.items():
                    (box.add_class if name in wrong else box.remove_class)("cc-wrong")
            return "Saved."

        self.act(verb, self.save)

    def _write(self, typed: Mapping[str, str]) -> None:
        """Change what was typed and is not known yet; raises FactError for what is none."""
        known = _shown(self.case.facts)
        if emptied := [name for name in typed if known[name] and not typed[name]]:
            was = ", ".join(f"{LABELS[name]} (it is {known[name]})" for name in emptied)
            raise FactError(f"{was}: a fact can be corrected, but not emptied again.", *emptied)
        changes: dict[str, Any] = {name: said for name, said in typed.items() if said and said != known[name]}
        Case.create(self.case.path, **changes)


def _meant(desk: Desk) -> tuple[str, str]:
    """The name that the evidence gives the CA and a sentence, where the case's is wrong or absent; else empty."""
    known = desk.case.facts.ca
    try:
        if known is None:
            certificates = desk.table("certificates")
            name = own_name(certificates[certificates["own_ca"].fillna(value=False).astype(bool)]) or ""
            sentence = "The case does not name the CA yet. By the certificates that were handed in it is this one."
            return name, markup.note(f"{sentence}", "warning") if name else ""
        coverage = desk.table("coverage")
    except CarecoverError:
        # The panel of the baseline asks, or says what is wrong.
        return "", ""
    row = next(iter(coverage[coverage["aspect"] == NAME_OF_CA].to_dict("records")), None)
    if row is None:
        return "", ""
    # What it says to do is the button below.
    told, _, _ = str(row["why"]).partition(" Set it right")
    return str(row["figure"]), markup.note(f"CA name: {told}", "bad")


def _shown(facts: CaseFacts) -> dict[str, str]:
    """The facts as they are typed: times in the case's zone, with its offset."""
    zone = ZoneInfo(facts.time_zone or "UTC")
    shown: dict[str, Any] = {name: getattr(facts, name) or "" for name in (*_FACTS, "date_order", "key_exposed")}
    for name in _TIMES:
        if shown[name]:
            local = shown[name].astimezone(zone)
            shown[name] = local.isoformat(sep=" ", timespec="seconds" if local.second else "minutes")
    return shown


def facts(case: Case) -> Panel:
    """The facts of the incident, to fill in."""
    return FactsPanel(case)
