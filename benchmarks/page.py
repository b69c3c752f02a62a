"""What came of the contests as Markdown, in proportion to carecover."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from benchmarks.contests import Contest
from benchmarks.measure import Result


def table(contest: Contest, results: Mapping[str, Result], missing: Mapping[str, str]) -> str:
    """One contest: how many times as long as carecover each contestant took, and its memory."""
    ours = results[contest.ours.name]
    lines = [
        "| | × carecover's time, median | quickest round | process start | peak memory |",
        "|---|---|---|---|---|",
    ]
    for name, result in results.items():
        start = max(0.0, min(w - t for w, t in zip(result.whole, result.work, strict=True))) / ours.median
        memory = f"{result.peak_mb:,.0f} MB"
        if contest.name == "gap":
            memory += f" ({result.above_mb:,.0f} MB above what was loaded)"
        median, least = result.median / ours.median, result.least / ours.least
        lines.append(f"| {name} | {_times(median)} | {_times(least)} | {_times(start)} | {memory} |")
    lines += [f"\nNot compared: {name}: {why}" for name, why in missing.items()]
    verdicts = [
        f"{target.of}: at least {_times(target.least)}, hoped for {_times(target.reach)}, "
        f"measured **{_times(results[target.of].median / ours.median)}** (median), "
        f"{_times(results[target.of].least / ours.least)} (quickest)."
        for target in contest.targets
        if target.of in results
    ]
    return "\n".join([*lines, "", *(f"- Target by {verdict}" for verdict in verdicts)]).rstrip() + "\n"


def _times(value: float) -> str:
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def section(name: str, title: str, told: str, measured_with: str) -> str:
    """A contest's part of the page, between marks by which the next run finds it."""
    return f"<!-- bench {name} -->\n### {title}\n\n{told.rstrip()}\n\n{measured_with}\n<!-- /bench {name} -->"


def put(page: Path, name: str, text: str) -> None:
    """Replace the contest's section of the page, or append it."""
    old = page.read_text(encoding="utf-8") if page.is_file() else "# Performance\n"
    marked = re.compile(rf"<!-- bench {re.escape(name)} -->.*<!-- /bench {re.escape(name)} -->", re.DOTALL)
    new = marked.sub(lambda _: text, old) if marked.search(old) else f"{old.rstrip()}\n\n{text}\n"
    page.write_text(new, encoding="utf-8")
