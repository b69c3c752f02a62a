"""What every panel is made of: a frame, a place for sentences, and one way to act.

A panel keeps no state but what a person is just typing. ``refresh`` draws the case as it
is; ``act`` carries a verb of the case out and says what came of it, errors included,
inside the panel, where the user looks.
"""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import ipywidgets as widgets
import pandas as pd
import traitlets
from IPython.display import display

import carecover
from carecover.case import Case
from carecover.errors import CarecoverError, QuestionError, RefusedError, UsageError
from carecover.folder import CaseFolder
from carecover.model import Plan
from carecover.notebook import markup, presence
from carecover.notebook.desk import BESIDE, Desk
from carecover.notebook.markup import Head
from carecover.report.document import clean

# The Jupyter server drops messages above 1000 a second; ten are enough for any eye.
UPDATE_SECONDS: Final = 0.1

# Plain mappings: ipywidgets makes a layout of each widget's own from them. A shared one would hide all at once.
WIDE: Final = {"width": "100%", "max_width": "640px"}
FULL: Final = {"width": "auto", "align_self": "stretch"}
_BUTTON: Final = {"width": "auto", "min_width": "120px", "align_self": "flex-start"}
_LABEL: Final = {"description_width": "130px"}


def _saved(at: datetime) -> str:
    """What stands over a panel that is no longer alive, loud: a page of before is not the case."""
    return markup.block(
        f'<div class="cc-saved"><b>Not the case as it is now.</b> This was drawn on {at:%Y-%m-%d at %H:%M} UTC, and '
        "much may have been done since. Run all cells of this notebook to see the case as it is.</div>",
        role="note",
    )


_WORDS: Final = re.compile(r'<(t[dh])\b(?![^>]* class="figure")')

NO_NAME: Final = "Write your name: the journal says which person did this."


class Panel(widgets.VBox):  # type: ignore[misc] # ipywidgets has no types
    """A titled frame over one step; subclasses build their controls once and draw in ``show``."""

    title: str = ""
    hint: str = ""
    needs_case: bool = True
    """False for the panel that makes the case."""
    tells_who_else: bool = False
    """True for the panel that says who else has the case open: the one at the top."""
    now: Callable[[], datetime] = staticmethod(lambda: datetime.now(UTC))
    """The clock; tests bring their own."""
    leads: bool = True
    """False for a panel that comes before the one in which the step is done."""
    beside: Collection[str] = BESIDE
    """Acts of others that change nothing of what it shows."""
    step: str = ""
    """Its step between the decisions and the proof (``carecover.standing``): all of them head the panel then."""

    def __init__(self, case: Case) -> None:
        """Build the controls, take the place on the desk, and draw the case as it is."""
        super().__init__()
        self._stillness: Any = None
        self.add_class("carecover")
        self.desk = Desk.of(case)
        self.message = widgets.HTML()
        self._said_at: object = None
        self._state, self._strip = widgets.HTML(), widgets.HTML()
        head = f"<h3>{self.title}</h3>" + (f'<p class="cc-quiet">{self.hint}</p>' if self.hint else "")
        # A frame around the controls: what a subclass hides itself stays hidden.
        built = list(self.build())
        self._controls = [widgets.VBox(built)]
        self._elsewhere = widgets.HTML()
        self._anew = button("Show it as it is now", self.desk.changed)
        self._anew.layout.display = "none"
        self._title = widgets.HTML(markup.STYLE + markup.block(head))
        around = [self._title, self._strip, self._elsewhere, self._anew, self._state]
        self.children = [*around, *self._controls, *([] if self.message in built else [self.message])]
        self.desk.take(type(self).__name__, self)
        self.refresh()
        presence.watch(self)

    @property
    def case(self) -> Case:
        """The case that is shown."""
        return self.desk.case

    # ------------------------------------------------------------------ for subclasses

    def build(self) -> Sequence[widgets.Widget]:
        """The controls, made once; ``message`` among them where a sentence at the foot would be out of sight."""
        raise NotImplementedError

    def show(self) -> None:
        """Fill the controls with the case as it is now; may raise CarecoverError, which is then said."""
        raise NotImplementedError

    # ------------------------------------------------------------------ drawing and acting

    def refresh(self) -> None:
        """Draw the case as it is now; what stands in the way is said in the panel."""
        if self.desk.state != self._said_at:
            # What was said of the case as it was, a signature for one, may no longer hold.
            self.message.value = ""
        try:
            self._redraw()
            self.look_around()
        finally:
            self._show_still()

    def look_around(self) -> None:
        """Say whether somebody else was at work since this was drawn, or has the case open; draw nothing anew.

        What a person is reading must not change under their eyes: they ask for it.
        """
        try:
            changed = self.desk.since(self._drawn_at, self.beside)
        except (CarecoverError, OSError):
            # Whatever is wrong with the journal is said where something is done with it.
            changed = ""
        told = ""
        if changed:
            told = markup.note(
                f"The case has changed since this was drawn, in another tab or by a command ({changed}).", "warning"
            )
        elif self.tells_who_else and (others := presence.elsewhere(self.case.path)):
            told = markup.block(f'<p class="cc-quiet">{markup.text(others)}</p>', role="status")
        if self._elsewhere.value != told:
            self._elsewhere.value = told
            self._anew.layout.display = None if changed else "none"

    def _redraw(self) -> None:
        self._drawn_at = self.desk.state
        there = not self.needs_case or CaseFolder.is_case(self.case.path)
        for control in self._controls:
            control.layout.display = None if there else "none"
        self._strip.value = self._steps() if there and self.step else ""
        if not there:
            self._state.value = markup.note("There is no case yet. The first panel of this notebook makes it.")
            return
        try:
            self.show()
        except CarecoverError as error:
            self._state.value = markup.note(str(error), "warning")
        except Exception as error:  # noqa: BLE001 - a panel that fails to draw must say so, not vanish
            self._state.value = markup.note(unexpected(error), "bad")
        else:
            self._state.value = ""

    def _steps(self) -> str:
        try:
            return markup.steps(self.desk.steps, self.step, leads=self.leads)
        except (CarecoverError, OSError):
            # What stands in the way is said by the panel itself.
            return ""

    def act(self, verb: Callable[[], str], *buttons: widgets.Button) -> None:
        """Carry out a verb and show its sentence, or that of the error; then draw every panel again."""
        try:
            elsewhere = self.desk.since(self._drawn_at, self.beside)
        except (CarecoverError, OSError):
            # The verb itself says what is wrong with the journal.
            elsewhere = ""
        if elsewhere:
            self.desk.changed()
            self.say(
                f"The case has changed since it was shown here, in another tab or by a command ({elsewhere}). All "
                "is drawn anew, and nothing was done: look at it again, then repeat.",
                "warning",
            )
            return
        self.say("Working …")
        for button in buttons:
            button.disabled = True
        try:
            sentence = verb()
            tone = "warning" if isinstance(sentence, Careful) else "good"
        except CarecoverError as error:
            sentence, tone = str(error), "bad"
        except Exception as error:  # noqa: BLE001 - Jupyter swallows what a callback raises: it must be shown here
            sentence, tone = unexpected(error), "bad"
        finally:
            for button in buttons:
                button.disabled = False
        # At once: to draw all panels may take a while.
        self.say(sentence, tone)
        self.desk.changed()
        self.say(sentence, tone)
        self._show_still()

    def guarded(self, draw: Callable[[], None]) -> Callable[[], None]:
        """The same, but an error is said in the panel: Jupyter would swallow it."""

        def careful() -> None:
            try:
                draw()
            except CarecoverError as error:
                self.say(str(error), "bad")
            except Exception as error:  # noqa: BLE001 - as in act
                self.say(unexpected(error), "bad")

        return careful

    def on_change(self, draw: Callable[[], None], *controls: widgets.Widget) -> None:
        """Draw a part of the panel anew whenever one of the controls is changed."""
        draw = self.guarded(draw)
        for control in controls:
            control.observe(lambda _: draw(), "value")

    def need_plan(self) -> Plan:
        """The plan as it is now; raises RefusedError, in few words, where there can be none yet."""
        try:
            return self.desk.plan
        except (RefusedError, QuestionError):
            raise RefusedError(
                "There is no plan yet that this step could work with; the panel of the plan says why."
            ) from None

    def say(self, sentence: str, tone: str = "plain") -> None:
        """Show a sentence where the panel has its ``message``; it goes away when the case has become another since."""
        self._said_at = self.desk.state
        self.message.value = markup.note(sentence, tone)  # type: ignore[arg-type] # one of Tone

    def retire(self) -> None:
        """Leave the desk to a newer panel of this kind."""
        presence.unwatch(self)
        self.children = [
            widgets.HTML(markup.STYLE + markup.note("Shown anew by another cell; run this one to see it here."))
        ]

    # ------------------------------------------------------------------ where there are no widgets

    def _ipython_display_(self, **_options: object) -> None:
        """Two outputs: the live panel, and the same as plain HTML, which is seen where the first cannot live.

        A notebook that is opened again has no kernel that knows the panel, and JupyterLab writes an error there. The
        second output is kept up to date with the first, so the notebook that is saved says what was shown.
        """
        display({**(super()._repr_mimebundle_() or {}), "text/plain": f"carecover: {self.title}"}, raw=True)  # type: ignore[no-untyped-call]
        self._stillness = display(self._still(), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, **_options: object) -> dict[str, Any]:
        """The live panel, and for viewers without a kernel what it says, in one.

        ipywidgets' own text form would write every value that a widget holds into the notebook.
        """
        return {**(super()._repr_mimebundle_() or {}), **self._still()}

    def _still(self) -> dict[str, str]:
        # Where styles are taken out, JupyterLab sets words in tables to the right.
        still = _WORDS.sub(r'<\1 style="text-align: left; vertical-align: top"', "".join(_still(self)))
        page = f'<div class="carecover cc-still">{_saved(self.now())}{still}</div>'
        return {"text/plain": f"carecover: {self.title}", "text/html": page}

    def _show_still(self) -> None:
        if self._stillness is not None:
            self._stillness.update(self._still(), raw=True)


class Careful(str):
    """What came of an act, where it is not quite what was wanted: it is shown as a warning."""

    __slots__ = ()


class Rows(widgets.VBox):  # type: ignore[misc] # ipywidgets has no types
    """A table with a count and, where it is long, a pager."""

    def __init__(self, heads: Sequence[Head], caption: str, *, page: int = 50, edge: str | None = None) -> None:
        super().__init__()
        self._heads, self._caption, self._page, self._edge = heads, caption, page, edge
        self._rows, self._start = pd.DataFrame(), 0
        self._html, self._count = widgets.HTML(), widgets.Label()
        self._back = button("◀ Earlier rows", lambda: self._turn(-1))
        self._on = button("Later rows ▶", lambda: self._turn(+1))
        self._bar = widgets.HBox([self._back, self._on, self._count])
        self.children = [self._html, self._bar]
        self._draw()

    def show(self, rows: pd.DataFrame) -> None:
        """Show these rows from the first; nothing where there are none."""
        self._rows, self._start = rows, 0
        self._draw()

    def _turn(self, by: int) -> None:
        self._start += by * self._page
        self._draw()

    def _draw(self) -> None:
        total = len(self._rows)
        end = min(self._start + self._page, total)
        part = self._rows.iloc[self._start : end]
        self._html.value = markup.table(part, self._heads, caption=self._caption, edge=self._edge) if total else ""
        self._count.value = f"{self._start + 1:,} to {end:,} of {total:,}" if total else ""
        self._back.disabled, self._on.disabled = self._start == 0, end >= total
        self._bar.layout.display = None if total > self._page else "none"


class Advance(widgets.HBox):  # type: ignore[misc] # ipywidgets has no types
    """A progress bar that is there only while there is progress; call it as ``Case.add`` does."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic, self._shown_at = monotonic, float("-inf")
        self._bar = widgets.IntProgress(layout={"width": "260px"})
        self._label = widgets.Label()
        self.children = [self._bar, self._label]
        self.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say what is being done, and how much of it is done."""
        if self._monotonic() - self._shown_at >= UPDATE_SECONDS:
            self.layout.display = None
            self._bar.max, self._bar.value = max(total, 1), done
            self._label.value = f"{clean(what, 200)} ({done:,} of {total:,})"
            self._shown_at = self._monotonic()

    def stop(self) -> None:
        """Hide the bar."""
        self.layout.display = "none"


# ------------------------------------------------------------------------------- controls


def button(label: str, on_click: Callable[[], None], *, main: bool = False, tooltip: str = "") -> widgets.Button:
    """A button; ``main`` marks the one that the step is about."""
    made = widgets.Button(
        description=label, tooltip=tooltip or label, layout=_BUTTON, button_style="primary" if main else ""
    )
    made.on_click(lambda _: on_click())
    return made


def entry(label: str, *, placeholder: str = "", tooltip: str = "", layout: Mapping[str, str] = WIDE) -> widgets.Text:
    """A line to type in, with its label."""
    return widgets.Text(
        description=label, placeholder=placeholder, tooltip=tooltip or label, layout=dict(layout), style=_LABEL
    )


class Choice(widgets.Dropdown):  # type: ignore[misc] # ipywidgets has no types
    """A list to choose one of: never blank, and what was chosen stays when the list is made anew with it."""

    index: int | None

    @traitlets.observe("options")
    def _propagate_options(self, _change: object) -> None:
        """In place of ipywidgets' own, which chooses the first, or nothing where the list was empty before."""
        kept = None if self._initializing_traits_ else self.value
        self.set_trait("_options_labels", tuple(label for label, _ in self._options_full))
        self._options_values = values = tuple(value for _, value in self._options_full)
        if self._initializing_traits_:
            return
        index = None if not values else values.index(kept) if kept in values else 0
        if self.index == index:
            # The same place may stand for something else now.
            self._notify_trait("index", index, index)
        else:
            self.index = index

    @traitlets.validate("index")
    def _validate_index(self, proposal: Mapping[str, Any]) -> int | None:
        """A browser that draws a list anew may say that nothing is chosen: what was chosen still is."""
        index: int | None = proposal["value"]
        known = range(len(self._options_values))
        if index is None and known:
            self.send_state("index")
            return self.index if self.index in known else 0
        if index is not None and index not in known:
            raise traitlets.TraitError("There is no such place in the list.")
        return index


def choice(
    label: str, options: Sequence[tuple[str, Any]], *, tooltip: str = "", layout: Mapping[str, str] = WIDE
) -> Choice:
    """A list to choose from, as (what is shown, what it stands for)."""
    return Choice(options=options, description=label, tooltip=tooltip or label, layout=dict(layout), style=_LABEL)


def row(*parts: widgets.Widget) -> widgets.HBox:
    """Controls side by side; they wrap where the window is narrow."""
    return widgets.HBox(parts, layout={"flex_flow": "row wrap", "align_items": "center", "overflow": "visible"})


def person_in(box: widgets.Text) -> str:
    """The name of a person in a box; raises UsageError where there is none."""
    name: str = box.value.strip()
    if not name:
        raise UsageError(NO_NAME)
    return name


def paths_of(typed: str) -> list[Path]:
    """The paths of a box, one a line; quotes that a file manager adds when copying are taken off."""
    lines = (line.strip().strip('"').strip("'") for line in typed.splitlines())
    return [Path(line).expanduser() for line in lines if line]


def unexpected(error: Exception) -> str:
    """What to say of an error that nobody foresaw: where it happened, but nothing from the evidence."""
    home = Path(carecover.__file__).parent
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(home)]
    where = f" at {Path(frames[-1].filename).relative_to(home).as_posix()}:{frames[-1].lineno}" if frames else ""
    return (
        f"Something unexpected happened ({type(error).__name__}{where}). The case keeps everything up to here. "
        "Please report this line; 'carecover check' tells whether the case is whole."
    )


def _still(widget: widgets.Widget) -> Iterator[str]:
    """What a panel shows as plain HTML, in reading order, without what is hidden.

    A part that is no HTML itself says by a method ``still`` what stands there without a kernel.
    """
    for child in widget.children:
        if child.layout.display == "none":
            continue
        if isinstance(child, widgets.HTML):
            yield child.value
        elif callable(still := getattr(child, "still", None)):
            yield still()
        elif isinstance(child, widgets.Box | widgets.Accordion):
            yield from _still(child)
