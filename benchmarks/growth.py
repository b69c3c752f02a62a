"""What a row costs by how many there are: it must not grow. As a table, and as a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import measure

Growth = dict[str, dict[int, float]]
"""Work → number of rows → cost per row, where 1 is that at ``BASE`` rows, or at the most where they are fewer."""

BASE: Final = 100_000
ROUNDS: Final = 3
_WORKS: Final = (
    ("notifications, mbox", "product.mails", "exit.mbox"),
    ("rows, text", "product.view", "view.txt"),
    ("rows, csv", "product.view", "view.csv"),
    ("rows, gap", "product.gap", ""),
)


def measured(folder: Path, peers: Path, say: Callable[[str], None]) -> Growth:
    """Every work at every size that there is, in turn; the quickest of three rounds counts."""
    sizes = sorted(int(place.name) for place in folder.iterdir() if place.is_dir())
    runs: dict[tuple[str, int], list[float]] = {}
    for number in range(ROUNDS):
        for size in sizes:
            for name, work, file in _WORKS:
                if (folder / str(size) / (file or "ca_rows.parquet")).exists():
                    say(f"growth: round {number + 1} of {ROUNDS}, {name}, {size}")
                    run = measure.once(work, folder / str(size), file, peers)
                    runs.setdefault((name, size), []).append(run["seconds"] / size)
    growth: Growth = {}
    for (name, size), costs in runs.items():
        largest = max(of for work, of in runs if work == name)
        base = min(runs[name, BASE if (name, BASE) in runs else largest])
        growth.setdefault(name, {})[size] = min(costs) / base
    return growth


def table(growth: Mapping[str, Mapping[int, float]]) -> str:
    """Cost per row beside that at 100,000 rows."""
    sizes = sorted({size for costs in growth.values() for size in costs})
    lines = [f"| cost per row | {' | '.join(f'{size:,}' for size in sizes)} |", "|---" * (len(sizes) + 1) + "|"]
    for name, costs in growth.items():
        cells = (f"{costs[size]:.2f}" if size in costs else "" for size in sizes)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(growth: Mapping[str, Mapping[int, float]], target: Path) -> None:
    """The same as SVG."""
    import altair as alt
    import pandas as pd
    import vl_convert

    rows = [(name, size, cost) for name, costs in growth.items() for size, cost in costs.items()]
    frame = pd.DataFrame(rows, columns=["work", "rows", "cost"])
    chart: Any = (
        alt.Chart(frame, width=560, height=260)
        .mark_line(point=True)
        .encode(
            alt.X("rows:Q").scale(type="log").title("rows").axis(format="~s", values=sorted(set(frame["rows"]))),
            alt.Y("cost:Q")
            .title("cost per row (1: at 100,000 rows)")
            .scale(type="log", domainMin=0.3)
            .axis(values=[0.5, 1, 2, 5, 10, 20, 50, 100], format="~g"),
            alt.Color("work:N").title(None),
            alt.Shape("work:N").legend(None),
        )
    )
    target.write_text(vl_convert.vegalite_to_svg(json.loads(chart.to_json())), encoding="utf-8")
