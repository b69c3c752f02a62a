"""Evidence that wants to be more than text: markup, scripts, letters that turn the line around."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
import pytest

import carecover.notebook
from carecover.case import Case
from carecover.model import ACTIONABLE_KINDS
from carecover.notebook import markup
from carecover.notebook.exploring import OpenPanel
from carecover.simulator import Incident
from tests.notebook.conftest import REVIEWER, drawn, every, press, put

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</pre></td></table><iframe srcdoc='<b>'>",
    "&lt;b&gt; &#60;i&#62;",
    "\u202egro.live\u2066.example",
    "line one\nline two\x00\x1b[31m",
    "javascript:alert(1)//" + "A" * 100_000,
    "שלום العالم",
]
# What the panels are made of; nothing else may appear in them, whatever the evidence says.
TAGS = {"style", "div", "p", "h3", "h4", "b", "bdi", "span", "dl", "dt", "dd", "ul", "ol", "li", "table", "thead",
        "tbody", "tr", "th", "td", "pre", "br", "iframe", "svg", "title", "desc", "g", "path", "rect", "text", "line",
        "defs", "clippath", "details", "summary"}  # fmt: skip


class Tags(HTMLParser):
    """Collects what a browser would make of a piece of HTML."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def harmless(page: str) -> str:
    """Check a piece of HTML; return its text as a reader sees it."""
    tags = Tags(page)
    for tag, attributes in tags.found:
        if tag == "img":
            # Only a picture of our own, which is part of the page; what it is made of is looked at as well.
            source = str(attributes.pop("src"))
            assert source.startswith("data:image/svg+xml;base64,")
            picture = drawn(source)
            assert "<svg" in picture
            harmless(picture)
        assert tag in {*TAGS, "img"}, tag
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "href", "action")]
        if tag == "iframe":
            assert attributes["sandbox"] == "", "a report in its frame may run nothing"
    return "".join(tags.words)


@pytest.mark.parametrize("evil", HOSTILE, ids=range(len(HOSTILE)))
def test_every_piece_of_markup_escapes(evil: str) -> None:
    rows = pd.DataFrame({"a": [evil], "b": pd.array([7], dtype="Int64")})
    heads = [
        markup.Head("a", "A"),
        markup.Head("a", "A", "code"),
        markup.Head("a", "A", "badge"),
        markup.Head("b", "B"),
    ]
    made = [
        markup.text(evil), markup.code(evil), markup.badge(evil), markup.note(evil, "bad"),
        markup.bullets([evil]), markup.terms([("x", evil)]), markup.table(rows, heads, caption=evil),
        markup.output([evil]), markup.raw(evil), markup.batch_file(evil), markup.frame(evil, evil),
    ]  # fmt: skip
    for page in made:
        harmless(page)
        assert "\u202e" not in page or page in made[-2:], "a turned line is shown by its number"
    assert all(len(page) < 10_000 for page in made[:-2]), "bounded"


def test_a_batch_file_is_shown_character_by_character() -> None:
    source = '@echo off\nrem <b> & "%X%"\n:label\nif "%A%"=="<b>" goto :label\ncall :do "a&b" 5 > "%OUT%" 2>&1\n'
    assert harmless(markup.batch_file(source)) == source.rstrip("\n")
    long = "\n".join(f"rem {n}" for n in range(markup.MAX_LINES + 3))
    assert "3 more lines in the file" in markup.batch_file(long)


@pytest.fixture
def poisoned(incident: tuple[Incident, Path], facts: dict[str, Any], tmp_path: Path) -> tuple[Case, str]:
    """A case whose mails carry a script for a subject, and whose people have odd names."""
    folder = tmp_path / "evidence"
    shutil.copytree(incident[1] / "evidence", folder)
    clean = Case.create(tmp_path / "clean", **facts)
    clean.add([folder])
    found = clean.findings
    plain = found[(found["kind"] == "orphaned") & found["original_sha256"].isna()]
    (mailbox,) = (folder / "mail").glob("*.mbox")
    mails = mailbox.read_bytes()
    names = {str(r["serial"]): str(r["subject"]).removeprefix("CN=").encode() for _, r in plain.iterrows()}
    # Some mails are in base64; any that is not will do.
    serial, name = next((serial, name) for serial, name in names.items() if name in mails)
    (folder / "mail" / "o'brien & sons.mbox").write_bytes(mails.replace(name, b"<img src=x onerror=alert(1)>"))
    mailbox.unlink()
    case = Case.create(tmp_path / "case", **facts)
    case.add([folder])
    return case, serial


def test_no_panel_lets_evidence_out(poisoned: tuple[Case, str]) -> None:
    case, serial = poisoned
    person, note = "<b>Eve</b>", "<script>alert('note')</script>"
    findings = case.findings[case.findings["kind"].isin(ACTIONABLE_KINDS)]
    case.decide(action="leave", serials=list(findings["serial"]), by=person, note=note)
    case.sign_off(by=person, role="analyst")
    case.sign_off(by=REVIEWER, role="reviewer")
    panels = [OpenPanel(case)]
    panels += [getattr(carecover.notebook, name)(case) for name in carecover.notebook.__all__ if name != "open_case"]
    shown = dict(zip([type(p).__name__ for p in panels], panels, strict=True))
    for name in ("FindingsPanel", "DecidePanel"):
        chooser = shown[name].list
        (at,) = [n for n, (_, value) in enumerate(chooser.list._options_full) if str(value).endswith(serial)]
        put(chooser.list, index=[at] if isinstance(chooser.list, widgets.SelectMultiple) else at)
    for name, label in (("RehearsePanel", "Rehearse"), ("BatchPanel", "Export"), ("ReportPanel", "Write the report")):
        press(shown[name], label)
    texts = {}
    for name, panel in shown.items():
        pages = [w.value for w in every(panel) if isinstance(w, widgets.HTML)]
        texts[name] = "".join(harmless(page) for page in pages)
        harmless(panel._repr_mimebundle_()["text/html"])
        for control in every(panel):
            assert not getattr(control, "description_allow_html", False)
    assert "<img src=x onerror=alert(1)>" in texts["FindingsPanel"], "the text is there, as text"
    assert "<img src=x onerror=alert(1)>" in texts["DecidePanel"]
    assert "<img src=x onerror=alert(1)>" in texts["PlanPanel"]
    assert "Subject: " in texts["FindingsPanel"], "the very mail stands there"
    assert note in texts["PlanPanel"]
    assert person in texts["SignPanel"]
    assert "o'brien & sons.mbox" in texts["EvidencePanel"]
