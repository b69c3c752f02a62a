"""A box for a password, which is in no state of a widget and is forgotten once it was taken."""

from __future__ import annotations

from importlib import resources

import anywidget
import traitlets

from carecover.keys import MAX_PASSWORD


class SecretBox(anywidget.AnyWidget):
    """What is typed here comes as messages: a notebook that is saved with the states of its widgets has none of it."""

    _esm = resources.files(__package__).joinpath("secret.js").read_text(encoding="utf-8")
    label = traitlets.Unicode("").tag(sync=True)

    def __init__(self, label: str) -> None:
        super().__init__(label=label)
        self._typed = ""
        self.on_msg(self._heard)

    def take(self) -> str:
        """What was typed (empty: nothing); it is forgotten here, and in the browser."""
        typed, self._typed = self._typed, ""
        self.send({"kind": "clear"})
        return typed

    def _heard(self, _widget: object, message: object, _buffers: object) -> None:
        match message:
            case {"kind": "typed", "text": str(text)} if len(text) <= MAX_PASSWORD:
                self._typed = text
            case _:
                # Whatever that was, it is no password: nothing is better than a part of one.
                self._typed = ""
