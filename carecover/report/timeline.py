"""The picture of the gap: what the restored CA knows, what it lost, and when; and on which days mails are missing.

One bar a bin (an hour, six hours, a day, … as the span asks), never one mark a certificate:
the picture of a million certificates is as small as that of ten. It carries no text from
evidence, only our own words and numbers. Colours: Okabe and Ito's, told apart by people
with colour-blindness and in grey print.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from html import escape
from itertools import permutations, product
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import altair as alt
import pandas as pd
import vl_convert

from carecover.model import CaseFacts, Disposition
from carecover.report.texts import Words

# A bar must stay wider than a hair on A4; above this the bins grow.
MAX_BINS: Final = 240
_STEPS: Final = (
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=7),
    timedelta(days=28),
    timedelta(days=364),
)
_STEP_NAMES: Final = ("hour", "six hours", "day", "week", "four weeks", "year")
# No CA of Windows is older, and none has issued yet what begins later: such a date is forged or
# misread, and must not stretch the picture. The widest step times MAX_BINS covers the span between.
EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

KNOWN: Final = "#5b8db8"
LOST: Final = "#c8481a"
REVOKED: Final = "#7a3b8f"
MAILS: Final = "#8a949c"
INK: Final = "#22303c"
_FONT: Final = "Segoe UI, Helvetica, Arial, sans-serif"
# Mean width of a character of the 11-pixel label font; a little wide, so labels rather give way.
_CHARACTER: Final = 6.4


class Bin(NamedTuple):
    """One bin: its ends, and what falls into it."""

    begin: datetime
    end: datetime
    known: int
    lost: int
    revoked: int


class Day(NamedTuple):
    """A day, or where the picture is long several: the mails of it, and whether some are missing."""

    begin: datetime
    end: datetime
    mails: int
    outage: bool
    name: str
    """Its date in the case's time zone."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the picture shows: counts per bin, and what lies outside it; no bins where there is nothing to show."""

    step: str = ""
    bins: tuple[Bin, ...] = ()
    rules: tuple[tuple[str, datetime], ...] = ()
    gap: tuple[datetime, datetime] | None = None
    """From the backup to the failure (or the restore), where both are known; it may reach out of the picture."""
    outside: int = 0
    """Certificates and revocations dated before or after the picture."""
    undated: int = 0
    days: tuple[Day, ...] = ()
    language: str = "en"

    @property
    def say(self) -> Words:
        """The words of the picture's language."""
        return Words(self.language)

    @property
    def start(self) -> datetime:
        """Begin of the picture; only where there is something to draw."""
        return self.bins[0].begin

    @property
    def end(self) -> datetime:
        """End of the picture; only where there is something to draw."""
        return self.bins[-1].end

    @property
    def known(self) -> int:
        """Certificates drawn that the restored database knows."""
        return sum(one.known for one in self.bins)

    @property
    def lost(self) -> int:
        """Certificates drawn that it does not know."""
        return sum(one.lost for one in self.bins)

    @property
    def revoked(self) -> int:
        """Lost revocations drawn."""
        return sum(one.revoked for one in self.bins)

    @property
    def description(self) -> str:
        """The picture in a sentence, for those who do not see it."""
        say = self.say
        if not self.bins:
            return say("drawn_nothing")
        marks = "; ".join(f"{say(f'mark_{name}')} {_minute(at)}" for name, at in self.rules) or say("drawn_no_marks")
        told = say(
            "drawn",
            step=say(f"step_{self.step}"),
            start=_minute(self.start),
            end=_minute(self.end),
            known=self.known,
            lost=self.lost,
            revoked=self.revoked,
            marks=marks,
        )
        return told + (say("drawn_aside", n=self.outside) if self.outside else "") + self._mails

    @property
    def _mails(self) -> str:
        """The strip of mails in words."""
        if not self.days:
            return ""
        say, out = self.say, [day for day in self.days if day.outage]
        named = ", ".join(day.name for day in out[:_NAMED_DAYS])
        more = say("drawn_more", n=len(out) - _NAMED_DAYS) if len(out) > _NAMED_DAYS else ""
        missing = say("drawn_missing", days=named + more) if out else say("drawn_none_missing")
        return say("drawn_mails", n=sum(day.mails for day in self.days), missing=missing)


def make_timeline(
    tables: Mapping[str, pd.DataFrame], facts: CaseFacts, language: str = "en", *, around: datetime | None = None
) -> Timeline:
    """Count ``ca_rows``, ``findings`` and ``activity`` (each may be absent or empty) into bins around the incident.

    The span reaches from well before the backup to well after the restore; where those times
    are unknown, over what was lost; where nothing was lost, over everything. With ``around``
    it is the days on both sides of that time, hour by hour.
    """
    known = _issued(tables.get("ca_rows"))
    lost = _times(tables.get("findings"), "orphaned", "issued_at", "not_before")
    revoked = _times(tables.get("findings"), "lost_revocation", "original_revoked_at")
    rules = tuple(
        (name, at.astimezone(UTC))
        for name, at in (("backup", facts.backup), ("failure", facts.failure), ("restored", facts.restored))
        if at is not None and EARLIEST <= at <= LATEST
    )
    times = dict(rules)
    begin, finish = times.get("backup"), times.get("failure") or times.get("restored")
    gap = (begin, finish) if begin is not None and finish is not None and begin < finish else None
    every = [series.dropna() for series in (known, lost, revoked)]
    undated = sum(len(series) for series in (known, lost, revoked)) - sum(len(series) for series in every)
    dated = [series[(series >= EARLIEST) & (series <= LATEST)] for series in every]
    hourly = around is not None and EARLIEST <= around <= LATEST
    span = _hours(around) if hourly and around else _span(dated, [at for _, at in rules])
    if span is None:
        return Timeline(outside=sum(len(series) for series in every), undated=undated, language=language)
    start, end, step, name = span
    edges = pd.date_range(start, end, freq=step)
    counts = [pd.cut(series, edges, right=False, labels=False).value_counts() for series in dated]
    bins = tuple(
        Bin(edges[n].to_pydatetime(), edges[n + 1].to_pydatetime(), *(int(count.get(n, 0)) for count in counts))
        for n in range(len(edges) - 1)
    )
    return Timeline(
        step=name,
        bins=bins,
        rules=tuple((rule, at) for rule, at in rules if bins[0].begin <= at <= bins[-1].end),
        gap=gap,
        outside=sum(len(series) for series in every) - sum(sum(one[2:]) for one in bins),
        undated=undated,
        days=_days(tables.get("activity"), bins[0].begin, bins[-1].end, step, _zone(facts)),
        language=language,
    )


def timeline(
    tables: Mapping[str, pd.DataFrame], facts: CaseFacts, *, width: int = 860, around: datetime | None = None
) -> alt.TopLevelMixin:
    """The picture as an Altair chart (``width`` in pixels), of the tables
    ``ca_rows``, ``findings`` and ``activity``; hour by hour ``around`` a time."""
    return _chart(make_timeline(tables, facts, around=around), width)


def timeline_svg(
    tables: Mapping[str, pd.DataFrame], facts: CaseFacts, *, width: int = 860, around: datetime | None = None
) -> str:
    """The same picture as SVG text, made offline, with its description as title and desc."""
    return svg(make_timeline(tables, facts, around=around), width=width)


def svg(drawn: Timeline, *, width: int = 860) -> str:
    """SVG of counts that are already made: ``<svg …>…</svg>`` without a prologue, script or address."""
    raw: str = vl_convert.vegalite_to_svg(_chart(drawn, width).to_dict(), show_warnings=False)
    head, _, body = raw.partition(">")
    head = head.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    head += ' role="img" aria-labelledby="timeline-title timeline-desc"'
    title = f'<title id="timeline-title">{escape(drawn.say("picture"))}</title>'
    return f'{head}>{title}<desc id="timeline-desc">{escape(drawn.description)}</desc>{body}'


def use_offline_renderer() -> None:
    """Make Altair draw static SVG in notebooks: its own default asks a CDN for its scripts."""
    alt.renderers.enable("svg")


# ------------------------------------------------------------------------------- counting


def _issued(rows: pd.DataFrame | None) -> pd.Series[Any]:
    if rows is None or rows.empty:
        return _no_times()
    held = [int(d) for d in (Disposition.ISSUED, Disposition.REVOKED)]
    certificates = rows.loc[rows["disposition"].isin(held), ["not_before", "submitted_at"]]
    # notBefore is the time of issue, ten minutes back; the request may have waited for days.
    return certificates["not_before"].fillna(certificates["submitted_at"])


def _times(findings: pd.DataFrame | None, kind: str, column: str, instead: str | None = None) -> pd.Series[Any]:
    if findings is None or findings.empty:
        return _no_times()
    wanted = findings["kind"] == kind
    dated = findings.loc[wanted, column]
    return dated if instead is None else dated.fillna(findings.loc[wanted, instead])


def _no_times() -> pd.Series[Any]:
    return pd.Series([], dtype=pd.DatetimeTZDtype("us", UTC))


def _zone(facts: CaseFacts) -> tzinfo:
    """The case's time zone, in which its days begin; UTC where it has none."""
    try:
        return ZoneInfo(facts.time_zone) if facts.time_zone else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _days(
    activity: pd.DataFrame | None, start: datetime, end: datetime, step: timedelta, zone: tzinfo
) -> tuple[Day, ...]:
    """The days within the picture; where its bins are longer than a day, the days of each bin as one."""
    if activity is None or activity.empty:
        return ()
    dated = activity[activity["day"].notna()]
    # A day that begins before the picture reaches into it; one that began a day earlier may be of 25 hours.
    dated = dated[(dated["day"] > start - timedelta(days=1)) & (dated["day"] < end)].sort_values("day")
    width = max(step, timedelta(days=1))
    days: dict[int, Day] = {}
    for at, mails, outage in zip(
        dated["day"], dated["mails"].fillna(0), dated["outage"].fillna(value=False), strict=True
    ):
        begin = at.to_pydatetime()
        number = (begin - start) // width
        # Several days in one are named by the first on which mails are missing.
        older = days.get(number, Day(begin, begin, 0, outage=False, name=""))
        name = older.name if older.outage or (older.name and not outage) else f"{begin.astimezone(zone):%Y-%m-%d}"
        days[number] = Day(
            older.begin, begin + timedelta(days=1), older.mails + int(mails), older.outage or bool(outage), name
        )
    return tuple(
        day._replace(begin=max(day.begin, start), end=min(day.end, end)) for day in days.values() if day.end > start
    )


def _span(
    dated: list[pd.Series[Any]], rules: list[datetime]
) -> tuple[pd.Timestamp, pd.Timestamp, timedelta, str] | None:
    """Start, end and step of the picture: the incident with air on both sides."""
    known, lost, revoked = dated
    ends = [pd.Timestamp(at) for at in rules]
    if not ends or min(ends) == max(ends):
        # Quantiles: one forged date far away does not set the scale.
        for series in (lost, revoked, known):
            if len(series):
                ends += [pd.Timestamp(str(series.quantile(part))) for part in (0.01, 0.99)]
                break
    if not ends:
        return None
    first, last = min(ends), max(ends)
    air = min(max((last - first) * 0.6, pd.Timedelta(hours=12)), pd.Timedelta(days=365))
    first, last = first - air, last + air * 0.5
    step, name = next(
        (step, name) for step, name in zip(_STEPS, _STEP_NAMES, strict=True) if last - first <= (MAX_BINS - 2) * step
    )
    grid = pd.Timedelta(step) if step <= timedelta(days=1) else pd.Timedelta(days=1)
    start = first.floor(grid)
    return start, start + (-(-(last - start) // step)) * step, step, name


def _hours(around: datetime) -> tuple[pd.Timestamp, pd.Timestamp, timedelta, str]:
    """As many hours on both sides of a time as fit into the picture."""
    middle, half = pd.Timestamp(around).tz_convert(UTC).floor("h"), pd.Timedelta(hours=MAX_BINS // 4)
    return middle - half, middle + half, _STEPS[0], _STEP_NAMES[0]


# -------------------------------------------------------------------------------- drawing

_HEIGHT: Final = 190
# A label may stand out a little at the right, where the page has a margin anyway.
_OVERHANG: Final = 12
_STRIP: Final = 18
_MAILS: Final = 44
# The description names so many days of missing mails.
_NAMED_DAYS: Final = 5
_SERIES: Final = {
    "known": KNOWN,
    "lost": LOST,
    "revoked": REVOKED,
}


@dataclass(frozen=True, slots=True)
class _Label:
    """A rule's label: its text, its rule's x, its extent in x, and its level above the plot (pixels, count)."""

    text: str
    at: datetime
    x: float
    begin: float
    end: float
    level: int

    @property
    def leans_left(self) -> bool:
        return self.begin < self.x

    def hits(self, other: _Label) -> bool:
        """True where it lies on the other label, or under the rule that climbs to it."""
        if self.level == other.level:
            return self.begin <= other.end and other.begin <= self.end
        return other.level > self.level and self.begin < other.x < self.end


def _chart(drawn: Timeline, width: int) -> alt.TopLevelMixin:
    picture = _gap(drawn, width) if drawn.bins else _nothing(drawn, width)
    configured: alt.TopLevelMixin = (
        picture.properties(padding={"left": 5, "right": 12, "top": 5, "bottom": 5})
        .configure(font=_FONT, aria=False, background="white")
        .configure_view(stroke=None)
        .configure_concat(spacing=2)
        .configure_axis(labelColor=INK, titleColor=INK, titleFontWeight="normal", labelFontSize=11, titleFontSize=11)
        .configure_legend(labelColor=INK, labelFontSize=11.5, symbolStrokeWidth=0, symbolSize=110, offset=4)
    )
    return configured


def _gap(drawn: Timeline, width: int) -> alt.VConcatChart:
    """Bars over a thin strip of lost revocations, one x axis, rules through both."""
    domain = [_ms(drawn.start), _ms(drawn.end)]
    say = drawn.say
    known, lost, revoked = series_names = [say(f"series_{name}") for name in _SERIES]
    bars = [
        {"from": _ms(a), "to": _ms(b), "low": low, "high": high, "series": series}
        for a, b, n_known, n_lost, _ in drawn.bins
        for series, low, high in ((known, 0, n_known), (lost, n_known, n_known + n_lost))
        if high > low
    ]
    marks = [{"from": (_ms(a) + _ms(b)) // 2, "n": n, "series": revoked} for a, b, _, _, n in drawn.bins if n]
    colour = alt.Color(
        "series:N",
        scale=alt.Scale(domain=series_names, range=list(_SERIES.values())),
        legend=alt.Legend(orient="bottom", title=None, columns=3, labelLimit=0),
    )

    def across(axis: alt.Axis | None) -> alt.X:
        # No title of its own: the axis says that its times are UTC.
        return alt.X("from:T", scale=alt.Scale(type="utc", domain=domain, nice=False), axis=axis)

    peak = max((known_n + lost_n for _, _, known_n, lost_n, _ in drawn.bins), default=0)
    counted = alt.Y(
        "low:Q",
        stack=None,
        title=say("axis_certificates", step=say(f"step_{drawn.step}")),
        scale=alt.Scale(domain=[0, max(peak, 4)], nice=True),
        axis=alt.Axis(
            format=",d", tickMinStep=1, tickCount=4, domain=False, ticks=False, gridColor="#e6eaee", minExtent=36
        ),
    )
    top = alt.layer(
        *_shade(drawn, across),
        alt.Chart(_data(bars))
        .mark_rect(stroke="white", strokeWidth=0.5)
        .encode(x=across(None), x2="to:T", y=counted, y2="high:Q", color=colour),
        *_rules_and_labels(drawn, across, width),
    ).properties(width=width, height=_HEIGHT)
    axis = alt.Axis(
        grid=False, domainColor=INK, tickColor=INK, labelOverlap=True, tickCount=8, format=_axis_format(drawn),
        title="UTC", titleAnchor="end", titlePadding=2,
    )  # fmt: skip
    # The times stand below the lowest strip.
    beneath = None if drawn.days else axis
    strip = alt.layer(
        alt.Chart(_data(marks))
        .mark_point(shape="triangle-up", filled=True, size=70, opacity=0.9)
        .encode(x=across(beneath), y=alt.value(_STRIP / 2), color=colour),
        *_rules_only(drawn, lambda _: across(beneath)),
    ).properties(width=width, height=_STRIP)
    if not drawn.days:
        return alt.vconcat(top, strip)
    return alt.vconcat(top, strip, _mails_strip(drawn, lambda _: across(axis), width))


def _mails_strip(
    drawn: Timeline, across: Callable[[alt.Axis | None], alt.X], width: int
) -> alt.LayerChart | alt.FacetChart:
    """Mails per day below the picture; a day on which some are missing is shaded, and marked by a cross."""
    peak = max(4, *(day.mails for day in drawn.days))
    mails = [
        {"from": _ms(day.begin), "to": _ms(day.end), "low": 0, "high": day.mails} for day in drawn.days if day.mails
    ]
    missing = [{"from": _ms(day.begin), "to": _ms(day.end)} for day in drawn.days if day.outage]
    crosses = [{"from": (one["from"] + one["to"]) // 2} for one in missing]
    high = alt.Y(
        "low:Q",
        stack=None,
        title=drawn.say("axis_mails"),
        scale=alt.Scale(domain=[0, peak], nice=True),
        axis=alt.Axis(
            format=",d", tickMinStep=1, tickCount=2, domain=False, ticks=False, gridColor="#e6eaee", minExtent=36
        ),
    )
    return alt.layer(
        alt.Chart(_data(missing)).mark_rect(color=LOST, opacity=0.16).encode(x=across(None), x2="to:T"),
        alt.Chart(_data(mails))
        .mark_rect(color=MAILS, stroke="white", strokeWidth=0.5)
        .encode(x=across(None), x2="to:T", y=high, y2="high:Q"),
        alt.Chart(_data(crosses))
        .mark_point(shape="cross", angle=45, filled=True, color=LOST, size=90, opacity=1)
        .encode(x=across(None), y=alt.value(6)),
        *_rules_only(drawn, across),
    ).properties(width=width, height=_MAILS)


def _shade(drawn: Timeline, across: Callable[[alt.Axis | None], alt.X]) -> list[alt.Chart]:
    """The gap itself, from backup to failure (or restore), lightly tinted."""
    begin, end = drawn.gap or (drawn.end, drawn.end)
    begin, end = max(begin, drawn.start), min(end, drawn.end)
    if begin >= end:
        return []
    gap = _data([{"from": _ms(begin), "to": _ms(end)}])
    return [alt.Chart(gap).mark_rect(color=LOST, opacity=0.07).encode(x=across(None), x2="to:T")]


def _rules_only(drawn: Timeline, across: Callable[[alt.Axis | None], alt.X]) -> list[alt.Chart]:
    return [
        alt.Chart(_data([{"from": _ms(at)}])).mark_rule(color=INK, strokeWidth=1.4).encode(x=across(None))
        for _, at in drawn.rules
    ]


def _rules_and_labels(drawn: Timeline, across: Callable[[alt.Axis | None], alt.X], width: int) -> list[alt.Chart]:
    layers = _rules_only(drawn, across)
    for label in _place(drawn, width):
        at = _ms(label.at)
        layers.append(
            alt.Chart(_data([{"from": at, "text": label.text}]))
            .mark_text(
                align="right" if label.leans_left else "left",
                dx=-4 if label.leans_left else 4,
                fontSize=11.5,
                fontWeight=600,
                color=INK,
            )
            .encode(x=across(None), y=alt.value(-9 - 15 * label.level), text="text:N")
        )
        # The rule reaches up to its label, or the eye does not connect them.
        layers.append(
            alt.Chart(_data([{"from": at}]))
            .mark_rule(color=INK, strokeWidth=1.4)
            .encode(x=across(None), y=alt.value(-15 - 15 * label.level), y2=alt.value(0))
        )
    return layers


def _place(drawn: Timeline, width: int) -> list[_Label]:
    """Labels beside their rules, inside the picture, none under another label or rule.

    There are at most three: every arrangement is tried, the lowest that fits is taken.
    """
    span = (drawn.end - drawn.start).total_seconds()

    def arrangements(name: str, at: datetime) -> list[_Label]:
        day = "%d %b" if drawn.language == "en" else "%d.%m."
        text = f"{drawn.say(f'mark_{name}')} {at.strftime(f'{day} %H:%M UTC')}"
        x = (at - drawn.start).total_seconds() / span * width
        extent = len(text) * _CHARACTER + 8
        return [
            _Label(text, at, x, begin, begin + extent, level)
            for level in range(len(drawn.rules))
            for begin in (x, x - extent)
            if begin >= 0 and begin + extent <= width + _OVERHANG
        ]

    choices = product(*(arrangements(name, at) for name, at in drawn.rules))
    ordered = sorted(choices, key=lambda labels: sum(2 * label.level + label.leans_left for label in labels))
    for labels in ordered:
        if not any(one.hits(other) for one, other in permutations(labels, 2)):
            return list(labels)
    return list(ordered[0]) if ordered else []


def _nothing(drawn: Timeline, width: int) -> alt.Chart:
    empty: alt.Chart = (
        alt.Chart(_data([{"text": drawn.description}]))
        .mark_text(fontSize=13, color=INK)
        .encode(text="text:N", x=alt.value(width / 2), y=alt.value(30))
        .properties(width=width, height=60)
    )
    return empty


def _axis_format(drawn: Timeline) -> str:
    day = "%d %b" if drawn.language == "en" else "%d.%m."
    return (
        f"{day} %H:%M" if drawn.end - drawn.start <= timedelta(days=6) else "%d %b %Y" if day == "%d %b" else "%d.%m.%Y"
    )


def _data(values: list[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=values)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _minute(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
