"""The docs that can be made from the code are, and the rest names every command.

Refresh docs/tables.md and docs/commands.md with CARECOVER_UPDATE_GOLDENS=1.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

import click
import pytest

from carecover.cli import _Guide, cli
from carecover.model import TABLES

DOCS = Path(__file__).resolve().parent.parent / "docs"
README = DOCS.parent / "README.md"


def tables_page() -> str:
    lines = [
        "# Tables",
        "",
        "Made from `carecover/model.py`; `carecover table CASE NAME` prints any of them. Times are UTC. Serial numbers",
        "are lower-case hex text with an even number of digits. Absent is NA (empty in csv, null in JSON).",
        "",
    ]
    for schema in TABLES.values():
        lines += [
            f"## {schema.name}",
            "",
            f"One row: {schema.row}.",
            "",
            "| column | kind | meaning |",
            "|---|---|---|",
        ]
        cells = ((c.name, c.kind, c.meaning.replace("|", "\\|")) for c in schema.columns if not c.private)
        lines += [f"| {name} | {kind} | {meaning} |" for name, kind, meaning in cells]
        lines.append("")
    return "\n".join(lines)


def commands_page() -> str:
    lines = ["# Commands", "", "Made from `carecover --help` and each command's own.", "", "```"]
    settings = {**cli.context_settings, "terminal_width": 100}
    context = click.Context(cli, info_name="carecover", **settings)
    lines += [cli.get_help(context), "```", ""]
    for title, names in _Guide.chapters.items():
        lines += [f"## {title}", ""]
        for name in names:
            command = cli.commands[name]
            inner = click.Context(command, info_name=name, parent=context, terminal_width=100)
            lines += [f"### {name}", "", "```", command.get_help(inner), "```", ""]
    return "\n".join(lines)


@pytest.mark.parametrize(("name", "make"), [("tables.md", tables_page), ("commands.md", commands_page)])
def test_pages_made_from_code_are_fresh(name: str, make: object) -> None:
    assert callable(make)
    page, wanted = DOCS / name, make()
    if os.environ.get("CARECOVER_UPDATE_GOLDENS"):
        page.write_text(wanted, encoding="utf-8")
    found = page.read_text(encoding="utf-8") if page.exists() else ""
    diff = "\n".join(difflib.unified_diff(found.splitlines(), wanted.splitlines(), "docs", "code", lineterm=""))
    assert not diff, f"Refresh with CARECOVER_UPDATE_GOLDENS=1:\n{diff[:3000]}"


def test_every_command_is_in_the_guide_and_explained() -> None:
    listed = [name for names in _Guide.chapters.values() for name in names]
    assert sorted(listed) == sorted(cli.commands)
    assert all(command.help for command in cli.commands.values())


def test_links_lead_somewhere() -> None:
    for page in (README, *DOCS.glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_speaks_of_commands_that_exist() -> None:
    named = set(re.findall(r"^    carecover ([a-z][a-z-]+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= set(cli.commands), named - set(cli.commands)
