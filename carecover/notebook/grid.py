"""The review grid: AG Grid Community in a widget of our own, where it was built; Python stays authoritative.

    grid = ReviewGrid(act=…, undo=…, detail=…)      raises nothing; ``available()`` says whether it was built
    grid = ReviewGrid(detail=…)                     to look at only: nothing can be decided in it
    grid.show(rows, undoable=…)                     sends what differs from what the browser has

What is exchanged (each message a dict with ``type``; tables as one binary buffer of column-wise JSON):

    to Python    ready · act {set, ids, patch: {action, reason, note}, by} · undo {set, by} · detail {set, id, piece}
    to browser   rows {set, rev, count, …} · changed {set, rev, …} · said {text, tone} · done {ok} · detail {set, id, …}

An id is the place of a row in the set that was sent; a message about another set is refused, so nobody decides about
rows that are not what they see. Everything that comes from the browser is checked here before anything is done with it.
Nothing is kept in the widget's state: what a notebook saves holds no row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import anywidget
import numpy as np
import pandas as pd

from carecover.errors import CarecoverError, RefusedError, UsageError
from carecover.model import RevocationReason
from carecover.notebook.choosing import STILL_ROWS, still, suggestion
from carecover.notebook.panel import NO_NAME, unexpected
from carecover.report.document import clean

BUNDLE: Final = Path(__file__).with_name("_grid")
ACTIONS: Final = (
    ("revoke", "revoke", "Import it where it is missing, then revoke it."),
    ("restore", "restore", "Import the verified original, and keep it valid."),
    ("unrevoke", "unrevoke", "Take it off hold again (undo.cmd)."),
    ("leave", "leave", "Do nothing; it stays on the watch list."),
    ("undecided", "undecided", "Take an earlier decision back."),
)
SUGGESTED: Final = "suggested"
_ALLOWED: Final = frozenset(name for name, _, _ in ACTIONS) | {SUGGESTED}
_REASONS: Final = tuple(reason for reason in RevocationReason if reason.writable)
# What the grid's own fields take; the case checks again.
MAX_NOTE: Final = 1000
MAX_NAME: Final = 100
_FINAL: Final = " This can never be undone."
_CHANGING: Final = ("action", "decision", "note", "by")

Answer = tuple[str, str]
"""A sentence and its tone."""
Detail = Callable[[int, int], Mapping[str, object]]
"""What is known about a row: its place, and which piece of evidence; gives html, fields, places, piece, evidence."""
Act = Callable[[Sequence[int], str, "int | None", "str | None", str], Answer]
"""Decides about rows (by their place): ids, action, reason, note, name; raises CarecoverError."""


def available() -> bool:
    """True where the grid was built; without it the panel is of plain controls."""
    return (BUNDLE / "grid.js").is_file() and (BUNDLE / "grid.css").is_file()


class ReviewGrid(anywidget.AnyWidget):
    """The grid; ``act``, ``undo`` and ``detail`` do what the browser asks for, and may raise CarecoverError."""

    _esm = ""
    _css = ""

    def __init__(self, *, detail: Detail, act: Act | None = None, undo: Callable[[str], Answer] | None = None) -> None:
        """Read the bundle as it is now; nothing is sent before the browser says that it is ready.

        Without ``act`` it is there to be looked at: no form is shown, and no act is taken from the browser.
        """
        super().__init__(
            _esm=(BUNDLE / "grid.js").read_text(encoding="utf-8"),
            _css=(BUNDLE / "grid.css").read_text(encoding="utf-8"),
        )
        self._act, self._undo, self._detail = act or _only_seen, undo or _only_seen, detail
        self._browse = act is None
        self._rows = pd.DataFrame({"finding_id": []})
        self._asked = False
        self._sent: dict[str, list[Any]] = {}
        self._undoable = False
        self._set, self._rev = 0, 0
        self.on_msg(self._on_message)

    # ------------------------------------------------------------------ Python → browser

    def show(self, rows: pd.DataFrame, *, undoable: bool) -> None:
        """Show these findings with their decisions (``Desk.decided``); what the browser has is not sent again."""
        same = bool(self._set) and _same_findings(rows, self._rows)
        before, self._rows, self._undoable = self._sent, rows, undoable
        self._set += not same
        if not self._asked:
            return  # the first browser that asks gets everything
        if not same:
            self._send_rows()
            return
        self._sent = now = _changing(rows)
        differs = np.zeros(len(rows), dtype=bool)
        for name in _CHANGING:
            differs |= np.asarray(before[name], dtype=object) != np.asarray(now[name], dtype=object)
        ids = np.flatnonzero(differs).tolist()
        self._tell("changed", {"ids": ids, **{name: [values[i] for i in ids] for name, values in now.items()}})

    def say(self, text: str, tone: str) -> None:
        """Show a sentence below the grid."""
        self.send({"type": "said", "text": text, "tone": tone})

    def still(self) -> str:
        """The first rows as a plain table, for viewers without a kernel."""
        head = self._rows.head(STILL_ROWS)
        if head.empty:
            return ""
        return still(head, [told or "undecided" for told in _changing(head)["decision"]], len(self._rows))

    def _send_rows(self) -> None:
        self._sent = _changing(self._rows)
        actions = [[name, title, told] for name, title, told in ACTIONS]
        reasons = [
            [int(r), f"{int(r)}  {r.designation}", r.description + (_FINAL if r.final else ""), r.final]
            for r in _REASONS
        ]
        self._tell(
            "rows", {**_lasting(self._rows), **self._sent}, count=len(self._rows), actions=actions, reasons=reasons,
            browse=self._browse,
        )  # fmt: skip

    def _tell(self, kind: str, columns: Mapping[str, list[Any]], **more: object) -> None:
        self._rev += 1
        content = {"type": kind, "set": self._set, "rev": self._rev, "undo": self._undoable, **more}
        self.send(content, [json.dumps(columns, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")])

    # ------------------------------------------------------------------ browser → Python

    def _on_message(self, _widget: object, content: object, _buffers: object) -> None:
        """Do what the browser asks; whatever goes wrong is said below the grid (Jupyter would swallow it)."""
        said = content if isinstance(content, dict) else {}
        kind = said.get("type")
        deeds = {"ready": self._ready, "detail": self._tell_detail, "act": self._carry_out, "undo": self._carry_out}
        try:
            deed = deeds.get(kind if isinstance(kind, str) else "", _not_understood)
            deed(said)
        except CarecoverError as error:
            self.say(str(error), "bad")
        except Exception as error:  # noqa: BLE001 - Jupyter swallows what a callback raises: it must be shown here
            self.say(unexpected(error), "bad")

    def _ready(self, _said: Mapping[str, Any]) -> None:
        self._asked = True
        # Where there is no case yet, or a question stands open, there is nothing to be sent: ``show`` sends it then.
        if self._set:
            self._send_rows()

    def _tell_detail(self, said: Mapping[str, Any]) -> None:
        self._check_set(said)
        (number,) = self._ids([said.get("id")])
        at = said.get("piece", 0)
        if type(at) is not int or at < 0:
            raise UsageError("The grid named evidence that is not there: run the cell again.")
        self.send({"type": "detail", "set": self._set, "id": number, **self._detail(number, at)})

    def _carry_out(self, said: Mapping[str, Any]) -> None:
        """An act or its undoing; the browser learns in any case that it may go on."""
        done = False
        try:
            by = _text(said.get("by"), MAX_NAME, "name")
            self._check_set(said)
            chosen = None if said["type"] == "undo" else self._checked(said)
            if not by:
                raise UsageError(NO_NAME)
            if chosen is None:
                text, tone = self._undo(by)
            else:
                ids, action, reason, note = chosen
                text, tone = self._act(ids, action, reason, note or None, by)
            done = tone != "bad"
            self.say(text, tone)
        finally:
            self.send({"type": "done", "ok": done})

    def _checked(self, said: Mapping[str, Any]) -> tuple[list[int], str, int | None, str]:
        """Rows and patch, each against what is allowed; raises UsageError."""
        ids, patch = self._ids(said.get("ids")), said.get("patch")
        if not ids:
            raise UsageError("Nothing is selected: select rows in the table first.")
        if not isinstance(patch, dict) or not set(patch) <= {"action", "reason", "note"}:
            raise UsageError("Only action, reason and note can be set here.")
        action, reason = patch.get("action"), patch.get("reason")
        if not isinstance(action, str) or action not in _ALLOWED:
            raise UsageError("Choose an action first.")
        if reason is not None and (type(reason) is not int or reason not in {int(r) for r in _REASONS}):
            raise UsageError("Choose one of the reasons 0 to 6.")
        if action == "revoke" and reason is None:
            raise UsageError("Choose the reason of the revocation.")
        if action != "revoke" and reason is not None:
            raise UsageError("Only a revocation has a reason.")
        return ids, action, reason, _text(patch.get("note"), MAX_NOTE, "note")

    def _check_set(self, said: Mapping[str, Any]) -> None:
        if type(said.get("set")) is not int or said["set"] != self._set:
            raise RefusedError("The findings have changed since they were shown. Look at them again, then decide.")

    def _ids(self, given: object) -> list[int]:
        """Places of rows, each once, in order."""
        number = len(self._rows)
        if not isinstance(given, list) or len(given) > number:
            raise UsageError("The grid named rows that are not there: run the cell again.")
        if not all(type(i) is int and 0 <= i < number for i in given):
            raise UsageError("The grid named rows that are not there: run the cell again.")
        return sorted(set(given))


def _only_seen(*_said: object) -> Answer:
    raise RefusedError("Here the findings are only looked at: decide in 2-revoke-and-publish.")


def _not_understood(_said: Mapping[str, Any]) -> None:
    raise UsageError("The grid sent something that is not understood: run the cell again.")


# ------------------------------------------------------------------------------- columns


def _same_findings(rows: pd.DataFrame, others: pd.DataFrame) -> bool:
    """The same findings in the same order, whatever is decided about them."""
    if len(rows) != len(others):
        return False
    lasting = [c for c in rows.columns if c not in ("action", "reason", "note", "decided_by", "decided_at")]
    return rows[lasting].equals(others.reindex(columns=lasting))


def _lasting(rows: pd.DataFrame) -> dict[str, list[Any]]:
    """What no decision changes, as the browser shows it."""
    texts = {name: _texts(rows[name]) for name in ("kind", "serial", "template", "requester", "confidence", "subject")}
    times = {name: _minutes(rows[of]) for name, of in (("issued", "issued_at"), ("ends", "not_after"))}
    flags = {name: rows[name].fillna(value=False).astype(bool).tolist() for name in ("infrastructure", "replace_first")}
    told = [
        None if pd.isna(a) else suggestion(a, r)
        for a, r in zip(rows["suggested_action"], rows["suggested_reason"], strict=True)
    ]
    return {**texts, **times, **flags, "suggestion": told}


def _changing(rows: pd.DataFrame) -> dict[str, list[Any]]:
    """What a decision changes."""
    actions = rows["action"].fillna("undecided").astype(str).tolist()
    reasons = rows["reason"].tolist()
    known: dict[tuple[str, Any], str] = {}
    told = []
    for action, reason in zip(actions, reasons, strict=True):
        key = (action, None if pd.isna(reason) else int(reason))
        if key not in known:
            known[key] = "" if action == "undecided" else suggestion(action, reason)
        told.append(known[key])
    return {"action": actions, "decision": told, "note": _texts(rows["note"]), "by": _texts(rows["decided_by"])}


def _texts(column: pd.Series[Any]) -> list[str]:
    """Each once made safe to be looked at; empty where there is none."""
    shown: dict[object, str] = {}
    values: list[str] = []
    for value in column.astype(object).where(column.notna(), None).tolist():
        if value not in shown:
            plain = isinstance(value, str) and len(value) < 300 and value.isascii() and value.isprintable()
            shown[value] = "" if value is None else value if plain else clean(value)
        values.append(shown[value])
    return values


def _minutes(column: pd.Series[Any]) -> list[str]:
    shown: list[str] = column.dt.strftime("%Y-%m-%d %H:%M").fillna("").tolist()
    return shown


def _text(given: object, limit: int, what: str) -> str:
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > limit:
        raise UsageError(f"The {what} is too long: at most {limit} characters are kept.")
    return given.strip()
