"""Draws docs/pictures/gap.png and report.png from simulated incidents: python docs/pictures/make.py

report.png is page 1 of the report as PDF: it needs Pango, and poppler's pdftoppm.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

import vl_convert

from carecover import TABLES, Case
from carecover.demo import run_demo
from carecover.report import timeline_svg
from carecover.simulator import Scenario, make_incident


def draw(target: Path) -> None:
    """Make the incident, find its gap, draw it."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        scenario = Scenario(
            seed=11, certificates=2400, lost=420, history=timedelta(days=45), ordinary_mail=0, lost_revocations=24
        )
        make_incident(scenario).write(place / "incident")
        facts = json.loads((place / "incident" / "facts.json").read_text(encoding="utf-8"))
        case = Case.create(place / "case", **facts)
        case.add([place / "incident" / "evidence"])
        drawn = timeline_svg({table: case.table(table) for table in TABLES}, case.facts)
    target.write_bytes(vl_convert.svg_to_png(drawn, scale=1.5))


def draw_report(target: Path) -> None:
    """Carry out a demonstration, and draw the first page of its report."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        run_demo(place / "demo", 11, lambda _: None)
        made = Case.open(place / "demo" / "case").report(place / "report.pdf")
        page = ["pdftoppm", "-r", "80", "-png", "-singlefile", str(made), str(target.with_suffix(""))]
        subprocess.run(page, check=True)


if __name__ == "__main__":
    draw(Path(__file__).with_name("gap.png"))
    draw_report(Path(__file__).with_name("report.png"))
