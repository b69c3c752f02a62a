"""A place to drop files on, or to choose them: what the browser hands over, checked here piece by piece."""

from __future__ import annotations

from importlib import resources
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
_TOO_MUCH: Final = (
    f"That is more than {MAX_UPLOAD_BYTES >> 20} MB or {MAX_FILES:,} files at once, too much for the browser: write "
    "the paths into the box instead."
)


class DropZone(anywidget.AnyWidget):
    """Files on their way from the browser. It keeps nothing: who takes them clears it."""

    _esm = resources.files(__package__).joinpath("dropping.js").read_text(encoding="utf-8")
    received = traitlets.List(traitlets.Dict()).tag(sync=True)
    refused = traitlets.Unicode("").tag(sync=True)
    piece = traitlets.Int(PIECE_BYTES).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[int, tuple[str, int, bytearray]] = {}
        self.on_msg(self._heard)

    def take(self) -> list[dict[str, Any]]:
        """Names and contents of what was handed over; raises UsageError where some of it is refused or on its way."""
        if self.refused:
            raise UsageError(self.refused)
        waiting = [name for name, size, content in self._files.values() if len(content) < size]
        if waiting:
            raise UsageError(f"{clean(waiting[0], 80)} is still on its way from the browser: try again in a moment.")
        return [{"name": name, "content": bytes(content)} for name, _, content in self._files.values()]

    def clear(self) -> None:
        """Forget what was handed over."""
        self._files = {}
        self.refused = ""
        self._show()

    def _heard(self, _widget: object, message: object, buffers: list[Any]) -> None:
        """A message of the browser; one that is not as our own page writes it is refused with a sentence."""
        try:
            match message:
                case {"kind": "clear"}:
                    self.clear()
                case {"kind": "begin", "id": int(number), "name": str(name), "size": int(size)} if size >= 0:
                    self._begin(number, name, size)
                case {"kind": "piece", "id": int(number), "offset": int(offset)} if len(buffers) == 1:
                    self._add(number, offset, bytes(buffers[0]))
                case _:
                    self.refused = "The browser sent what is no file: load the page again."
        except UsageError as error:
            self._files = {}
            self.refused = str(error)
        self._show()

    def _begin(self, number: int, name: str, size: int) -> None:
        if self.refused:
            return
        if size + sum(n for _, n, _ in self._files.values()) > MAX_UPLOAD_BYTES or len(self._files) >= MAX_FILES:
            raise UsageError(_TOO_MUCH)
        self._files[number] = (name, size, bytearray())

    def _add(self, number: int, offset: int, piece: bytes) -> None:
        if self.refused:
            return
        _, size, content = self._files.get(number, ("", 0, bytearray()))
        if offset != len(content) or len(content) + len(piece) > size:
            raise UsageError("A piece of a file was lost on its way: drop the files again, or name their paths.")
        content += piece

    def _show(self) -> None:
        self.received = [
            {"name": clean(name, 80), "size": size, "here": len(content)}
            for name, size, content in self._files.values()
        ]
