"""The picture of the gap, to be worked with: zoomed, moved, and asked what a bar stands for; all of it offline.

It is the very picture of the report; what is added here is only what a pointer does. Altair's scripts come from the
installed package, through the kernel: nothing is asked of a CDN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import datetime
from html import escape, unescape
from typing import Any, Final

import altair as alt
import ipywidgets as widgets
import pandas as pd

from carecover.model import CaseFacts
from carecover.notebook import markup
from carecover.report import timeline, timeline_svg

# The report's picture puts the names of its rules on levels so far apart, in pixels.
_LEVEL: Final = 15
_WIDTH: Final = 960
_TIME: Final = "%a %d %b %Y %H:%M"


class Picture(widgets.VBox):  # type: ignore[misc] # ipywidgets has no types
    """The picture of the gap of some tables; without a kernel the same one, which does not move."""

    _svg = ""

    def show(self, tables: Mapping[str, pd.DataFrame], facts: CaseFacts, around: datetime | None = None) -> None:
        """Draw the picture, hour by hour where it is ``around`` a time; where nothing has changed it stays."""
        drawn = timeline_svg(tables, facts, width=_WIDTH, around=around)
        if drawn == self._svg:
            return
        self._svg = drawn
        self.add_class("cc-chart")
        self.children = [live(timeline(tables, facts, width=_WIDTH, around=around)), self._words()]

    def still(self) -> str:
        """The picture for viewers without a kernel."""
        return markup.picture(self._svg, _told(self._svg))

    def _words(self) -> widgets.HTML:
        """What the picture shows, for whoever cannot see it."""
        return widgets.HTML(markup.folded("In words", f"<p>{escape(_told(self._svg))}</p>"))


def _told(drawn: str) -> str:
    """The description that the picture brings along."""
    told = re.search(r"<desc[^>]*>(.*?)</desc>", drawn, re.DOTALL)
    return unescape(told[1]) if told else ""


def live(chart: alt.TopLevelMixin) -> alt.JupyterChart:
    """A widget of the report's chart that can be zoomed by the wheel, dragged, and reset by a double click."""
    spec = chart.to_dict()
    views = spec.get("vconcat", [])
    if views:
        # One x axis for all strips: who zooms one zooms them all.
        spec["resolve"] = {"scale": {"x": "shared", "color": "shared"}}
        first = views[0]["layer"][0]
        _lower_labels(views[0]["layer"])
        first["params"] = [{"name": "zoom", "select": {"type": "interval", "encodings": ["x"]}, "bind": "scales"}]
    for layer in _layers(views):
        # Read aloud, bar after bar without a name would say nothing: the description below does.
        layer["mark"]["aria"] = False
        _answer(layer)
    alt.JupyterChart.enable_offline()
    kind = alt.VConcatChart if views else alt.Chart
    options = {"actions": False, "renderer": "svg", "theme": "none"}
    return alt.JupyterChart(kind.from_dict(spec), embed_options=options)


def _lower_labels(layers: list[dict[str, Any]]) -> None:
    """Put the names of the rules into the picture: what stands above it is cut off where a picture can be moved."""
    levels = 0
    for layer in list(layers):
        encoding = layer.get("encoding", {})
        above = encoding.get("y", {}).get("value", 0)
        if layer["mark"]["type"] == "text" and above < 0:
            encoding["y"]["value"] = -above
            # Within the picture a name may lie on another's rule: it is read before a ground of its own.
            ground = deepcopy(layer)
            ground["mark"] |= {"stroke": "white", "strokeWidth": 5, "strokeJoin": "round"}
            layers.insert(layers.index(layer), ground)
            levels = max(levels, 1 + round(-above / _LEVEL))
        elif above < 0:
            layers.remove(layer)
    for layer in layers:
        scale = layer.get("encoding", {}).get("y", {}).get("scale", {})
        if "domain" in scale:
            bottom, top = scale["domain"]
            scale["domain"] = [bottom, top * (1 + 0.1 * levels)]


def _layers(views: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for view in views:
        yield from view.get("layer", ())


def _answer(layer: dict[str, Any]) -> None:
    """Let a bar or mark say from when to when it reaches, and how many it stands for."""
    mark, encoding = layer["mark"], layer.get("encoding", {})
    if mark["type"] not in ("rect", "point"):
        return
    mark["clip"] = True
    if "y" not in encoding:
        return
    shown: list[dict[str, Any]] = [{"field": "from", "type": "temporal", "format": _TIME, "title": "from (UTC)"}]
    for tip in shown:
        tip["timeUnit"] = "utcyearmonthdatehoursminutes"
    if mark["type"] == "rect" and "y2" in encoding:
        layer["transform"] = [{"calculate": "datum.high - datum.low", "as": "number"}]
        shown.append({"field": "number", "type": "quantitative", "format": ",d"})
    if encoding.get("color", {}).get("field"):
        shown.append({"field": encoding["color"]["field"], "type": "nominal", "title": "certificates"})
    encoding["tooltip"] = shown
