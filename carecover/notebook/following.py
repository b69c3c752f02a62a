"""What a run says, followed in the file that it grows in: the view is never the record."""

from __future__ import annotations

from collections import deque
from importlib import resources
from pathlib import Path
from typing import Final

import anywidget
import traitlets

from carecover.notebook import markup
from carecover.report.document import clean

# What is shown; the file has all of it.
MAX_LINES: Final = 1_000
_MAX_LINE: Final = 500
_BLOCK: Final = 1 << 22


class Output(anywidget.AnyWidget):
    """Numbered lines in the browser. Their numbers say which are new, so none is lost or shown twice."""

    _esm = resources.files(__package__).joinpath("following.js").read_text(encoding="utf-8")
    _css = resources.files(__package__).joinpath("following.css").read_text(encoding="utf-8")
    lines = traitlets.List(traitlets.Unicode()).tag(sync=True)
    first = traitlets.Int(1).tag(sync=True)
    source = traitlets.Unicode("").tag(sync=True)

    def show(self, followed: Followed) -> None:
        """Show what was followed so far."""
        with self.hold_sync():
            self.source = followed.place.name
            self.first = followed.total - len(followed.lines) + 1
            self.lines = list(followed.lines)

    def still(self) -> str:
        """The last lines, where there is no kernel."""
        return markup.output(self.lines)


class Followed:
    """The file of one run, read from where the last look ended."""

    def __init__(self, place: Path, name: str) -> None:
        self.place = place
        self.total = 0
        self.lines: deque[str] = deque(maxlen=MAX_LINES)
        self._file, self._at, self._rest = place / name, 0, b""

    def more(self) -> bool:
        """Read what has come since; False where nothing has. A file that is gone says nothing."""
        data = b""
        try:
            with self._file.open("rb") as stream:
                stream.seek(self._at)
                while block := stream.read(_BLOCK):
                    data += block
        except OSError:
            return False
        self._at += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        self.total += len(whole)
        self.lines.extend(clean(line.decode("utf-8", "replace").rstrip("\r"), _MAX_LINE) for line in whole[-MAX_LINES:])
        return bool(whole)

    def end(self) -> None:
        """Take the rest as a line: no more is to come."""
        self.more()
        if self._rest:
            self.total += 1
            self.lines.append(clean(self._rest.decode("utf-8", "replace"), _MAX_LINE))
            self._rest = b""
