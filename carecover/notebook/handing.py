"""A file handed to the browser: made when it is asked for, never kept in the notebook, with its SHA-256 beside it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import anywidget
import traitlets

from carecover.errors import CarecoverError
from carecover.model import sha256_hex
from carecover.report.document import clean


class HandOut(anywidget.AnyWidget):
    """A button to download what ``fetch`` gives (name and bytes); without a label it is not there.

    The file on disk is the record; this is a copy of it for whoever sits at another machine.
    """

    _esm = resources.files(__package__).joinpath("handing.js").read_text(encoding="utf-8")
    label = traitlets.Unicode("").tag(sync=True)

    def __init__(self, fetch: Callable[[], tuple[str, bytes]]) -> None:
        super().__init__()
        self._fetch = fetch
        self.on_msg(self._heard)

    def _heard(self, _widget: object, message: object, _buffers: object) -> None:
        if message != {"kind": "fetch"}:
            return
        try:
            name, content = self._fetch()
        except CarecoverError as error:
            self.send({"kind": "error", "said": str(error)})
        except OSError as error:
            self.send({"kind": "error", "said": f"The file cannot be read: {error.strerror or error}. Write it again."})
        else:
            digest = sha256_hex(content)
            self.send({"kind": "file", "name": clean(Path(name).name, 100), "sha256": digest}, [content])
