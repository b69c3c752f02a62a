"""The bundle for the CA: exported once the plan is signed; every file of it can be read here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import ipywidgets as widgets
import pandas as pd

from carecover.bundles import archive_of
from carecover.case import Case
from carecover.errors import PathError, RefusedError, UsageError
from carecover.folder import hash_file
from carecover.journal import Entry
from carecover.model import sha256_hex
from carecover.notebook import markup
from carecover.notebook.handing import HandOut
from carecover.notebook.markup import Head
from carecover.notebook.panel import FULL, Panel, Rows, button, choice, entry

# The scripts are as long as the plan; what is shown is bounded in lines, what is read here in bytes.
_MAX_READ: Final = 1 << 20


class FolderPanel(Panel):
    """A step that works on the exported bundle; its folder is proposed, and can be another."""

    def folder_entry(self) -> widgets.Text:
        """The box for the bundle's folder."""
        self.folder = entry("Bundle folder", tooltip="Where the bundle is, or is to be", layout=FULL)
        self._proposed = ""
        return self.folder

    def propose(self) -> None:
        """Put the expected folder into the box, unless a person has typed another."""
        place = self.desk.bundle_folder()
        if self.folder.value.strip() in ("", self._proposed):
            self.folder.value = str(place or "")
        self._proposed = str(place or "")

    @property
    def place(self) -> Path:
        """The folder in the box."""
        typed = self.folder.value.strip()
        if not typed:
            raise UsageError("Name the folder of the bundle.")
        return Path(typed).expanduser()


class BatchPanel(FolderPanel):
    """The bundle for the CA: exported once the plan is signed; every file can be read here, all of it downloaded."""

    title = "The bundle"
    step = "export"
    hint = (
        "Exports the scripts for the CA into a folder of their own beside the case, and packs it for carrying. Read "
        "revoke.cmd, or prepare.cmd where dummies are needed, before it is carried to the server; README.txt says who "
        "runs what, and when."
    )

    def build(self) -> Sequence[widgets.Widget]:
        self.export = button("Export", self._export, main=True)
        self.exported = widgets.HTML()
        self.hand_out = HandOut(self._packed)
        self.files = Rows(
            [Head("file", "file", "code"), Head("size", "bytes"), Head("sha256", "SHA-256", "code")],
            "files of the bundle",
        )
        self.pick = choice("Read", [])
        self.source = widgets.HTML()
        self.on_change(self._read, self.pick)
        return [
            self.folder_entry(), self.export, self.message, self.exported, self.hand_out, self.files, self.pick,
            self.source,
        ]  # fmt: skip

    def show(self) -> None:
        self.propose()
        self.files.show(pd.DataFrame())
        self.exported.value = self.hand_out.label = ""
        self.pick.options = []
        self.pick.layout.display = "none"
        self.need_plan()
        place = self.folder.value.strip()
        last = self._last()
        if last is not None:
            self.exported.value = markup.note(
                f"Written for the plan as it is now, {markup.moment(last.at)}; recorded in the case. SHA-256 of the "
                f"ZIP file: {last.details['zip']}",
                "good",
            )
        if not place or not (Path(place) / "manifest.json").is_file():
            return
        if last is not None:
            self.hand_out.label = f"Download {archive_of(Path(place)).name}"
        found = sorted(p for p in Path(place).rglob("*") if p.is_file())
        rows = [
            {"file": p.relative_to(place).as_posix(), "size": p.stat().st_size, "sha256": hash_file(p)} for p in found
        ]
        self.files.show(pd.DataFrame(rows))
        self.pick.options = [p.name for p in found if p.suffix in (".cmd", ".txt") and p.parent == Path(place)]
        # revoke.cmd is what matters most; where it is still to come, what comes before it.
        first = next((n for n in ("revoke.cmd", "prepare.cmd") if n in self.pick.options), None)
        self.pick.value = first or next(iter(self.pick.options), None)
        self.pick.layout.display = None
        self._read()

    def _last(self) -> Entry | None:
        """The newest act that wrote this plan's bundle; records of older versions name no ZIP file."""
        digest = self.desk.plan_digest
        written = (e for e in reversed(self.desk.history) if e.act in ("export", "longer", "pin"))
        return next((e for e in written if e.details.get("digest") == digest and "zip" in e.details), None)

    def _packed(self) -> tuple[str, bytes]:
        """The packed bundle, if it is the one that the journal records."""
        last, archive = self._last(), archive_of(self.place)
        content = archive.read_bytes()
        if last is None or sha256_hex(content) != last.details["zip"]:
            raise RefusedError(f"{archive} is not what was exported for this plan: export it into a new folder.")
        return archive.name, content

    def _read(self) -> None:
        self.source.value = ""
        if self.pick.value:
            path = Path(self.folder.value.strip()) / self.pick.value
            try:
                with path.open("rb") as stream:
                    text = stream.read(_MAX_READ).decode("utf-8", "replace")
            except OSError as error:
                raise PathError(f"{path} cannot be read: {error.strerror}.") from None
            is_batch = self.pick.value.endswith(".cmd")
            self.source.value = markup.batch_file(text) if is_batch else markup.output(text.splitlines())

    def _export(self) -> None:
        def verb() -> str:
            *written, packed = self.case.batch(self.place)
            return (
                f"{len(written):,} files were written to {self.place}, and packed into {packed.name} for carrying "
                f"(SHA-256 {hash_file(packed)})."
            )

        self.act(verb, self.export)


# ------------------------------------------------------------------------------- the door


def batch(case: Case) -> Panel:
    """Export the bundle for the CA, and read its files."""
    return BatchPanel(case)
