"""Draws docs/pictures/gap.png from a simulated incident: python docs/pictures/make.py"""

from __future__ import annotations

import json
import tempfile
from datetime import timedelta
from pathlib import Path

import vl_convert

from carecover import TABLES, Case
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


if __name__ == "__main__":
    draw(Path(__file__).with_name("gap.png"))
