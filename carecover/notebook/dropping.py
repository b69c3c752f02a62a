"""A place to drop files on, or to choose them: what the browser hands over, checked here piece by piece.

Between browser and kernel stands a server that may drop a message, when a kernel says very much in a short time, or
while a connection is made anew. So many small files go in one message, the next one is sent when this one was answered,
and a browser that hears nothing asks::

    to Python    ahead {view, ahead}: so many files are to come · look {view, turn} · clear {}
                 parts {view, turn, ahead, parts: [{id, name, size, offset}], and a buffer each}
    to browser   heard {view, turn} · lost {view, turn}, and the browser sends it again

``view`` is one drawing of the zone in one browser, ``turn`` its messages counted.
"""

from __future__ import annotations

from collections import deque
from importlib import resources
from itertools import islice
from typing import Any, Final

import anywidget
import traitlets

from carecover.errors import UsageError
from carecover.report.document import clean

# What a browser hands over passes through memory several times; larger files are named by their path.
MAX_UPLOAD_BYTES: Final = 100 << 20
MAX_FILES: Final = 2_000
# One message of the browser; the server's own limit is above it.
PIECE_BYTES: Final = 4 << 20
_MAX_PARTS: Final = 500
_NAMES_SHOWN: Final = 3
# Turns that can still be asked for: a browser has one on its way, and a few may be open on one kernel.
_TURNS_KNOWN: Final = 64
_TOO_MUCH: Final = (
    f"That is more than {MAX_UPLOAD_BYTES >> 20} MB or {MAX_FILES:,} files at once, too much for the browser: write "
    "the paths into the box instead."
)
_NO_FILE: Final = "The browser sent what is no file: load the page again."


class DropZone(anywidget.AnyWidget):
    """Files on their way from the browser. It keeps nothing: who takes them clears it."""

    _esm = resources.files(__package__).joinpath("dropping.js").read_text(encoding="utf-8")
    received = traitlets.Dict().tag(sync=True)
    """``files`` that are here or begun (``waiting`` for their rest), their ``bytes``, the first ``names``, and how many
    files are still to be sent whole (``ahead``)."""
    refused = traitlets.Unicode("").tag(sync=True)
    limits = traitlets.Dict({"bytes": PIECE_BYTES, "parts": _MAX_PARTS, "files": MAX_FILES}).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[tuple[str, int], tuple[str, int, bytearray]] = {}
        self._bytes = self._waiting = 0
        self._ahead: dict[str, int] = {}
        self._turns: deque[tuple[str, int]] = deque(maxlen=_TURNS_KNOWN)
        self.on_msg(self._heard)
        self._show()

    def take(self) -> list[dict[str, Any]]:
        """Names and contents of what was handed over; raises UsageError where some of it is refused or on its way."""
        if self.refused:
            raise UsageError(self.refused)
        waiting = [name for name, size, content in self._files.values() if len(content) < size]
        if waiting:
            raise UsageError(f"{clean(waiting[0], 80)} is still on its way from the browser: try again in a moment.")
        if ahead := sum(self._ahead.values()):
            what = "1 file is still on its way" if ahead == 1 else f"{ahead:,} files are still on their way"
            raise UsageError(
                f"{what} from the browser: try again in a moment. Where its page was closed meanwhile, choose 'Forget "
                "them' and drop the files again."
            )
        return [{"name": name, "content": bytes(content)} for name, _, content in self._files.values()]

    def clear(self) -> None:
        """Forget what was handed over."""
        self._forget()
        self.refused = ""
        self._show()

    def _forget(self) -> None:
        self._files, self._ahead, self._bytes, self._waiting = {}, {}, 0, 0

    def _heard(self, _widget: object, message: object, buffers: list[Any]) -> None:
        """A message of the browser; one that is not as our own page writes it is refused with a sentence."""
        try:
            match message:
                case {"kind": "clear"}:
                    self.clear()
                case {"kind": "ahead", "view": str(view), "ahead": int(ahead)}:
                    self._await(view, ahead)
                    self._show()
                case {"kind": "look", "view": str(view), "turn": int(turn)}:
                    self._answer(view, turn)
                    # The same again: what was told the first time may be what was lost.
                    self.send_state(["received", "refused"])
                case {
                    "kind": "parts",
                    "view": str(view),
                    "turn": int(turn),
                    "ahead": int(ahead),
                    "parts": list(parts),
                } if len(parts) == len(buffers) <= _MAX_PARTS:
                    if not self.refused and (view, turn) not in self._turns:
                        self._await(view, ahead)
                        for part, buffer in zip(parts, buffers, strict=True):
                            self._take_part(view, part, buffer)
                        self._turns.append((view, turn))
                    self._show()
                    self._answer(view, turn)
                case _:
                    self._refuse(_NO_FILE)
        except UsageError as error:
            self._refuse(str(error))

    def _refuse(self, why: str) -> None:
        self._forget()
        self.refused = why
        self._show()

    def _await(self, view: str, ahead: int) -> None:
        self._ahead[view] = max(ahead, 0)
        self._ahead = {view: left for view, left in self._ahead.items() if left}

    def _answer(self, view: str, turn: int) -> None:
        if self.refused:
            # A browser that did not hear of it would go on for ever.
            self.send_state("refused")
        self.send({"kind": "heard" if (view, turn) in self._turns else "lost", "view": view[:80], "turn": turn})

    def _take_part(self, view: str, part: object, buffer: Any) -> None:  # noqa: ANN401 - whatever holds bytes
        match part:
            case {"id": int(number), "name": str(name), "size": int(size), "offset": int(offset)} if size >= 0:
                pass
            case _:
                raise UsageError(_NO_FILE)
        key, piece = (view, number), bytes(buffer)
        if key not in self._files:
            if size + self._bytes > MAX_UPLOAD_BYTES or len(self._files) >= MAX_FILES:
                raise UsageError(_TOO_MUCH)
            self._files[key] = (name, size, bytearray())
            self._bytes += size
            self._waiting += size > 0
        _, size, content = self._files[key]
        if offset != len(content) or len(content) + len(piece) > size or (size and not piece):
            raise UsageError("A piece of a file was lost on its way: drop the files again, or name their paths.")
        content += piece
        self._waiting -= len(content) == size > 0

    def _show(self) -> None:
        names = [clean(name, 80) for name, _, _ in islice(self._files.values(), _NAMES_SHOWN)]
        self.received = {
            "files": len(self._files),
            "waiting": self._waiting,
            "bytes": self._bytes,
            "names": names,
            "ahead": sum(self._ahead.values()),
        }
