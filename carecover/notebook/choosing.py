"""Choosing findings: filters, a list to select from, and everything known about one of them.

The list is a plain HTML list box: one widget however many rows, worked by keyboard and
read aloud like any other. A grid can take its place behind the same few names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import ipywidgets as widgets
import pandas as pd

from carecover.errors import CarecoverError
from carecover.evidence import Excerpt, excerpt
from carecover.model import CIRCUMSTANCES, RevocationReason
from carecover.notebook import markup
from carecover.notebook.desk import Desk
from carecover.notebook.markup import Head
from carecover.notebook.panel import FULL, WIDE, Panel, button, choice, entry, row
from carecover.report.document import cell, clean

# A list box is quick to draw and to scroll up to here; the pager has the rest.
PAGE_ROWS: Final = 200
# What a saved notebook holds of the findings: as many as a person sees at once.
STILL_ROWS: Final = 14
_STILL: Final = (
    Head("decision", "decision"), Head("marks", "marks", "badge"), Head("serial", "serial number", "code"),
    Head("kind", "kind"), Head("subject", "subject"),
)  # fmt: skip
_INFRASTRUCTURE: Final = "infrastructure"
_EVERY: Final = ""
_NARROW: Final = {"width": "330px"}

_COLUMNS: Final = (
    ("decision", 27),
    ("serial number", 20),
    ("kind", 17),
    ("marks", 16),
    ("subject", 30),
    ("template", 18),
    ("issued (UTC)", 18),
)
_SHORT = re.compile(r"\b(?:ca|crl|csv|id|ocsp)\b")
_COMMON_NAME = re.compile(r"(?:^|,\s*)CN=((?:\\.|[^,\\])+)", re.IGNORECASE)
_PLACE = re.compile(r"(E\d{4,}) (.*) \(([^()]+)\)", re.DOTALL)

States = dict[str, Callable[[pd.DataFrame], "pd.Series[Any]"]]
STATES: Final[States] = {
    "not decided yet": lambda rows: rows["action"].isna() | (rows["action"] == "undecided"),
    "decided": lambda rows: rows["action"].notna() & (rows["action"] != "undecided"),
    "infrastructure": lambda rows: careful(rows, "infrastructure"),
    "low confidence": lambda rows: careful(rows, "low confidence"),
    "with a suggestion": lambda rows: rows["suggested_action"].notna(),
}


class FindingList(widgets.VBox):  # type: ignore[misc] # ipywidgets has no types
    """Filters over findings, and a list box to choose one (or, with ``several``, many) from.

    ``on_choice`` is called whenever the choice changes. ``chosen`` and ``matching`` are
    finding IDs.
    """

    def __init__(self, panel: Panel, on_choice: Callable[[], None], *, several: bool) -> None:
        super().__init__()
        self._rows = pd.DataFrame()
        self._on_choice = panel.guarded(on_choice)
        self._page = 0
        self.matching: tuple[str, ...] = ()
        self.kind = choice("Kind", [("every kind", _EVERY)], layout=_NARROW)
        self.state = choice("Show", [("everything", _EVERY), *((s, s) for s in STATES)], layout=_NARROW)
        self.search = entry("Search", placeholder="serial, subject, requester, template", layout=_NARROW)
        self.search.continuous_update = False
        kind_of_list = widgets.SelectMultiple if several else widgets.Select
        # Its name is for screen readers: to the eye the line above says what it is.
        self.list = kind_of_list(description="Findings", rows=14, layout=FULL)
        self.list.add_class("cc-unlabelled")
        self._head = widgets.HTML()
        self._count = widgets.Label()
        self._back = button("◀ Earlier", lambda: self._turn(-1))
        self._on = button("Later ▶", lambda: self._turn(+1))
        self._pager = row(self._back, self._on)
        for control in (self.kind, self.state, self.search):
            control.style.description_width = "60px"
        panel.on_change(self._filter, self.kind, self.state, self.search)
        panel.on_change(on_choice, self.list)
        self.children = [row(self.kind, self.state, self.search), self._head, self.list, row(self._pager, self._count)]

    def show(self, rows: pd.DataFrame) -> None:
        """Show these findings (with the columns of ``decisions``); filters and choice stay as they are."""
        self._rows = rows
        counts = rows["kind"].value_counts(sort=False)
        kept = self.kind.value
        self.kind.options = [("every kind", _EVERY), *((f"{spaced(kind)} ({n:,})", kind) for kind, n in counts.items())]
        self.kind.value = kept if kept in counts.index else _EVERY
        self._filter(keep_page=True)

    @property
    def chosen(self) -> tuple[str, ...]:
        """What is selected in the list."""
        value = self.list.value
        return value if isinstance(value, tuple) else (value,) if value else ()

    @property
    def first(self) -> pd.Series[Any] | None:
        """The first finding that is selected."""
        rows = self._rows[self._rows["finding_id"].isin(self.chosen[:1])] if self.chosen else self._rows.head(0)
        return rows.iloc[0] if len(rows) else None

    def still(self) -> str:
        """The first findings of the list as a table, for viewers without a kernel."""
        shown = self._rows[self._rows["finding_id"].isin(self.matching[:STILL_ROWS])]
        if shown.empty:
            return ""
        told = [decision(finding) for _, finding in shown.iterrows()]
        return still(shown, told, len(self.matching))

    def choose_all(self) -> None:
        """Select everything on this page but what only its serial number may decide."""
        here = self._rows[self._rows["finding_id"].isin([value for _, value in self.list.options])]
        self.list.value = tuple(here.loc[~careful(here), "finding_id"])

    def choose_none(self) -> None:
        """Select nothing."""
        self.list.value = ()

    def _filter(self, *, keep_page: bool = False) -> None:
        rows = self._rows
        if self.kind.value:
            rows = rows[rows["kind"] == self.kind.value]
        if self.state.value:
            rows = rows[STATES[self.state.value](rows)]
        if wanted := self.search.value.strip().casefold():
            serial = re.sub(r"[\s:\-]", "", wanted)
            hit = rows["serial"].str.contains(serial, regex=False).fillna(value=False)
            for name in ("subject", "requester", "template"):
                hit |= rows[name].str.casefold().str.contains(wanted, regex=False).fillna(value=False)
            rows = rows[hit]
        self.matching = tuple(rows["finding_id"])
        self._page = min(self._page, max(0, (len(rows) - 1) // PAGE_ROWS)) if keep_page else 0
        self._draw()

    def _turn(self, by: int) -> None:
        self._page += by
        self._draw()

    def _draw(self) -> None:
        start, total = self._page * PAGE_ROWS, len(self.matching)
        shown = self.matching[start : start + PAGE_ROWS]
        rows = self._rows[self._rows["finding_id"].isin(shown)]
        kept = [finding_id for finding_id in self.chosen if finding_id in set(shown)]
        self.list.options = [(_line(finding), finding["finding_id"]) for _, finding in rows.iterrows()]
        if isinstance(self.list, widgets.SelectMultiple):
            self.list.value = tuple(kept)
        else:
            self.list.value = kept[0] if kept else None
        titles = "".join(_column(title, width) for title, width in _COLUMNS)
        self._head.value = f'<div class="cc-columns" aria-hidden="true">{titles}</div>'
        of_all = f" of {len(self._rows):,}" if total != len(self._rows) else ""
        page = f", {start + 1:,} to {start + len(shown):,} shown" if total > len(shown) else ""
        self._count.value = f"{total:,} finding{'' if total == 1 else 's'}{of_all}{page}"
        self._back.disabled, self._on.disabled = start == 0, start + len(shown) >= total
        self._pager.layout.display = None if total > PAGE_ROWS else "none"
        self._on_choice()


def still(shown: pd.DataFrame, decisions: Sequence[str], total: int) -> str:
    """The first findings of ``total`` as a plain table, each with what is decided; infrastructure is a word."""
    marks = pd.Series(_INFRASTRUCTURE, index=shown.index).where(careful(shown, _INFRASTRUCTURE))
    told_of = shown.assign(decision=decisions, marks=marks)
    table = markup.table(told_of, _STILL, caption="findings", edge="marks")
    more = total - len(shown)
    told = f"<p>The first {len(shown):,} of {total:,} findings.</p>" if more else ""
    return table + markup.block(told)


def careful(rows: pd.DataFrame, why: str | None = None) -> pd.Series[Any]:
    """Findings that no act on many at once may take: infrastructure, and what is of low confidence."""
    infrastructure = rows["infrastructure"].fillna(value=False).astype(bool)
    low = (rows["confidence"] == "low").fillna(value=False).astype(bool)
    return {"infrastructure": infrastructure, "low confidence": low}.get(why or "", infrastructure | low)


def _mark(finding: pd.Series[Any]) -> str:
    marked = finding["infrastructure"]
    return _INFRASTRUCTURE if not pd.isna(marked) and bool(marked) else ""


def by_themselves(rows: pd.DataFrame) -> str:
    """What of these many at once never take, in a few words; empty where there is none."""
    marked = int(careful(rows, _INFRASTRUCTURE).sum())
    low = int(careful(rows).sum()) - marked
    told = [f"{marked:,} infrastructure"] * bool(marked) + [f"{low:,} of low confidence"] * bool(low)
    return ", ".join(told)


def decision(finding: pd.Series[Any]) -> str:
    """The decision about a finding, or the suggestion in brackets, in a few words."""
    if not pd.isna(finding["action"]):
        return suggestion(finding["action"], finding["reason"])
    if pd.isna(finding["suggested_action"]):
        return markup.ABSENT
    return f"({suggestion(finding['suggested_action'], finding['suggested_reason'])}?)"


def details(finding: pd.Series[Any]) -> str:
    """Everything known about one finding, as HTML; ``EvidenceView`` shows the mail, row or list behind it."""
    return summary(finding) + fields(finding)


def summary(finding: pd.Series[Any]) -> str:
    """Which finding it is, what stands or is suggested for it and why, and what a revocation would hit."""
    badges = f" {markup.badge(mark)}" if (mark := _mark(finding)) else ""
    decided = None if pd.isna(finding["action"]) or finding["action"] == "undecided" else decision(finding)
    known = [
        ("decided", decided),
        ("… by", finding["decided_by"] if decided else None),
        ("… because", finding["note"] if decided else None),
        ("suggested", _suggested(finding)),
        ("confidence", finding["confidence"]),
        ("why", finding["why"]),
        *(("what tells it apart", CIRCUMSTANCES[c]) for c in finding["circumstances"] if c in CIRCUMSTANCES),
        ("what a revocation hits", finding["blast_radius"]),
    ]
    title = f"<h4>{markup.text(spaced(finding['kind']))}{badges}</h4>"
    return markup.block(title + f"<p>{markup.code(cell(finding['serial']))}</p>") + markup.terms(known)


def fields(finding: pd.Series[Any]) -> str:
    """The certificate itself, field by field."""
    reason = finding["original_reason"]
    known = [
        ("subject", finding["subject"]),
        ("requester", finding["requester"]),
        ("template", finding["template"]),
        ("request ID", None if pd.isna(finding["request_id"]) else str(finding["request_id"])),
        ("valid (UTC)", f"{cell(finding['not_before'])} to {cell(finding['not_after'])}"),
        ("issued (UTC)", finding["issued_at"]),
        ("revoked before (UTC)", finding["original_revoked_at"]),
        ("… with reason", None if pd.isna(reason) else _reason(int(reason))),
        ("original found", finding["original_sha256"]),
    ]
    return markup.terms(known)


def _suggested(finding: pd.Series[Any]) -> str:
    if pd.isna(finding["suggested_action"]):
        return "nothing: a person must decide unaided"
    return suggestion(finding["suggested_action"], finding["suggested_reason"])


class EvidenceView(widgets.VBox):  # type: ignore[misc] # ipywidgets has no types
    """The pieces of evidence of one finding: what was read there, and the very bytes it was read from."""

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self._panel = panel
        self.place = choice("Evidence", [(_NOTHING, _EVERY)], layout=WIDE, tooltip="Which piece of evidence is shown")
        self.place.style.description_width = "70px"
        self._shown = widgets.HTML()
        self.children = [self.place, self._shown]
        self.show(None)
        panel.on_change(self._draw, self.place)

    def show(self, finding: pd.Series[Any] | None) -> None:
        """Offer the evidence of this finding, and show the first of it."""
        places = [] if finding is None else list(dict.fromkeys(finding["evidence"]))[:PAGE_ROWS]
        named = [(clean(place, 120), place) for place in places]
        kept = self.place.value
        self.place.options = named or [(_NOTHING, _EVERY)]
        self.place.value = kept if kept in places else (places[0] if places else _EVERY)
        self.layout.display = None if places else "none"
        self._panel.guarded(self._draw)()

    def _draw(self) -> None:
        self._shown.value = piece(self._panel.desk, self.place.value) if self.place.value else ""


_NOTHING: Final = "none"


def piece(desk: Desk, place: str) -> str:
    """One piece of evidence: what stands there, its file, and the row that was read there."""
    match = _PLACE.fullmatch(place)
    if match is None:
        return markup.terms([("", place)])
    evidence_id, location, what = match.groups()
    try:
        files = desk.table("evidence")
        file = next(iter(files[files["evidence_id"] == evidence_id].to_dict("records")), {})
        read = next(_read_there(desk, evidence_id, location), {})
        kept = desk.original(evidence_id)
        found = excerpt(kept, location)
    except CarecoverError as error:
        return markup.note(str(error), "warning")
    shown = [(name, value) for name, value in read.items() if name not in ("evidence_id", "location")]
    # What the browser handed over lay in a folder that is gone; the case has its own copy.
    name = Path(str(file.get("path", ""))).name
    source = [
        ("evidence", evidence_id), (what, location), ("file", name), ("its copy in the case", _inside(desk, kept)),
        ("SHA-256", file.get("sha256")),
    ]  # fmt: skip
    # What stands there first: that is what was asked for.
    return _as_it_stands(found) + markup.terms(source) + markup.folded("What carecover read there", markup.terms(shown))


def _inside(desk: Desk, place: Path) -> str:
    """A file of the case by its way from the case's folder."""
    folder = desk.case.path.resolve()
    resolved = place.resolve()
    return resolved.relative_to(folder).as_posix() if resolved.is_relative_to(folder) else str(place)


def _as_it_stands(found: Excerpt | None) -> str:
    if found is None:
        return markup.note(
            "This file is a database or an archive of a kind that has no lines to show; what was read of it stands "
            "below. Open the file itself in a program of its kind to see more."
        )
    told = "The bytes at that place of the file; its SHA-256 was checked just now, and is the recorded one."
    if found.binary:
        told += " They are no text: each is shown as its number."
    if found.cut:
        told += " There is more than is shown here: open the file itself to see all."
    return markup.block(markup.raw(found.text) + f'<p class="cc-quiet">{told}</p>')


def _read_there(desk: Desk, evidence_id: str, location: str) -> Iterator[dict[str, Any]]:
    for name in ("notifications", "certificates", "ca_rows", "crls", "audit_events"):
        table = desk.table(name)
        rows = table[(table["evidence_id"] == evidence_id) & (table["location"] == location)]
        for record in rows.to_dict("records"):
            yield {str(k): v for k, v in record.items() if (isinstance(v, list) and v) or not _absent(v)}


def spaced(name: object) -> str:
    """A name of the tables as people write it."""
    return _SHORT.sub(lambda word: word[0].upper(), str(name).replace("_", " "))


def _absent(value: object) -> bool:
    return isinstance(value, list) or bool(pd.isna(value))  # type: ignore[call-overload]


def _reason(code: int) -> str:
    known = RevocationReason._value2member_map_.get(code)
    return f"{code} {known.designation}" if isinstance(known, RevocationReason) else str(code)


def suggestion(action: object, reason: Any) -> str:  # noqa: ANN401 - a cell
    """An action with its reason, in a few words."""
    return str(action) if pd.isna(reason) or reason < 0 else f"{action}, {_reason(int(reason))}"


def _line(finding: pd.Series[Any]) -> str:
    """One row of the list box, in columns."""
    serial = cell(finding["serial"])
    subject = cell(finding["subject"])
    if match := _COMMON_NAME.search(subject):
        subject = match[1]
    values: Sequence[str] = (
        decision(finding),
        serial if len(serial) <= 19 else f"{serial[:10]}…{serial[-8:]}",
        spaced(finding["kind"]),
        _mark(finding),
        subject,
        cell(finding["template"]),
        cell(finding["issued_at"]),
    )
    return "".join(_column(value, width) for value, (_, width) in zip(values, _COLUMNS, strict=True))


def _column(value: str, width: int) -> str:
    """Padded with NO-BREAK SPACE, which a list box does not fold; isolated, so that Arabic stays in its column."""
    shown = value if len(value) < width else value[: width - 2] + "…"
    return f"\u2068{shown}\u2069" + "\u00a0" * (width - len(shown))
