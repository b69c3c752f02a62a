"""What the browser downloads is the file, and it is the one that the journal records."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from carecover.case import Case
from carecover.notebook import batch
from tests.notebook.conftest import ANALYST, press, said


def fetch(panel: Any, message: object = None) -> list[Any]:
    """Press the button of the download, as the browser says it; what Python sends then."""
    sent: list[Any] = []
    panel.hand_out.send = lambda message, buffers=None: sent.append((message, buffers))
    panel.hand_out._handle_custom_msg({"kind": "fetch"} if message is None else message, [])
    return sent


def test_the_download_is_the_very_file(signed: Case) -> None:
    panel = batch(signed)
    assert panel.hand_out.label == "", "nothing to download yet"
    assert "files were written" in press(panel, "Export")
    archive = Path(panel.folder.value + ".zip")
    assert panel.hand_out.label == f"Download {archive.name}"
    ((message, buffers),) = fetch(panel)
    assert buffers == [archive.read_bytes()]
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert message == {"kind": "file", "name": archive.name, "sha256": digest}
    assert digest in said(panel), "it stands there before anybody downloads"
    assert digest in (signed.path / "journal.jsonl").read_text(encoding="utf-8")


def test_a_file_that_is_not_the_exported_one_is_not_handed_out(signed: Case) -> None:
    panel = batch(signed)
    press(panel, "Export")
    archive = Path(panel.folder.value + ".zip")
    archive.write_bytes(archive.read_bytes() + b"x")
    ((message, buffers),) = fetch(panel)
    assert buffers is None
    assert "is not what was exported for this plan" in message["said"]
    archive.unlink()
    assert "cannot be read" in fetch(panel)[0][0]["said"]


def test_the_bundle_of_an_older_plan_is_not_offered(signed: Case) -> None:
    panel = batch(signed)
    press(panel, "Export")
    signed.waive("undecided: another", by=ANALYST)
    panel.refresh()
    assert panel.hand_out.label == ""
    assert "an older plan" in said(panel)


@pytest.mark.parametrize("message", [[], "fetch", {"kind": "fetch", "name": "../../etc/passwd"}, {"kind": "file"}, 7])
def test_nothing_else_is_handed_out(signed: Case, message: object) -> None:
    panel = batch(signed)
    press(panel, "Export")
    assert fetch(panel, message) == []
