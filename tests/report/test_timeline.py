"""The picture of the gap: nothing is dropped unsaid, nothing overlaps, nothing asks a network."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import permutations
from xml.etree import ElementTree

import altair as alt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carecover.model import TABLES, CaseFacts
from carecover.report import timeline, timeline_svg, use_offline_renderer
from carecover.report.timeline import MAX_BINS, Bin, Timeline, _place, make_timeline

from . import sample

BACKUP, FAILURE, RESTORED = sample.BACKUP, sample.FAILURE, sample.RESTORED
FACTS = CaseFacts(backup=BACKUP, failure=FAILURE, restored=RESTORED)


def tables(
    known: list[datetime | None], lost: list[datetime | None], revoked: list[datetime | None]
) -> dict[str, pd.DataFrame]:
    """Tables with just what the picture looks at."""
    rows = [{"request_id": n, "disposition": 20, "not_before": at} for n, at in enumerate(known)]
    findings = [{"kind": "orphaned", "issued_at": at} for at in lost]
    findings += [{"kind": "lost_revocation", "original_revoked_at": at} for at in revoked]
    return {"ca_rows": TABLES["ca_rows"].frame(rows), "findings": TABLES["findings"].frame(findings)}


def test_each_certificate_falls_into_its_bin() -> None:
    drawn = make_timeline(
        tables(
            [BACKUP - timedelta(minutes=1), BACKUP - timedelta(days=400), None],
            [BACKUP, BACKUP + timedelta(minutes=59), BACKUP + timedelta(minutes=60)],
            [FAILURE - timedelta(hours=1)],
        ),
        FACTS,
    )
    assert drawn.step == "hour"
    full = {b.begin: (b.known, b.lost, b.revoked) for b in drawn.bins if any(b[2:])}
    assert full == {
        BACKUP - timedelta(hours=1): (1, 0, 0),
        BACKUP: (0, 2, 0),
        BACKUP + timedelta(hours=1): (0, 1, 0),
        FAILURE.replace(minute=0) - timedelta(hours=1): (0, 0, 1),
    }
    assert (drawn.outside, drawn.undated) == (1, 1)
    assert "1 that the restored database knows, 3 that it does not, and 1 lost revocations" in drawn.description
    assert "1 earlier or later ones are not drawn" in drawn.description


def test_around_a_time_it_is_drawn_hour_by_hour_however_long_the_incident() -> None:
    facts = CaseFacts(backup=BACKUP, failure=BACKUP + timedelta(days=400), restored=BACKUP + timedelta(days=401))
    drawn = make_timeline(
        tables([BACKUP - timedelta(hours=30)], [BACKUP + timedelta(hours=2)], []), facts, around=BACKUP
    )
    assert drawn.step == "hour"
    assert drawn.rules == (("backup", BACKUP),), "the others lie outside"
    assert {one.begin - BACKUP: (one.known, one.lost) for one in drawn.bins if one.known or one.lost} == {
        timedelta(hours=-30): (1, 0), timedelta(hours=2): (0, 1),
    }  # fmt: skip
    far = BACKUP + timedelta(days=300)
    assert "<svg" in timeline_svg({}, facts, around=far), "within the gap, with no rule in sight"
    assert make_timeline({}, facts, around=datetime(9999, 12, 31, tzinfo=UTC)) == make_timeline({}, facts)


def test_rows_that_hold_no_certificate_are_not_counted() -> None:
    rows = [{"request_id": d, "disposition": d, "not_before": BACKUP} for d in (9, 12, 15, 16, 20, 21, 30, 31)]
    drawn = make_timeline({"ca_rows": TABLES["ca_rows"].frame(rows)}, FACTS)
    assert drawn.known == 2


@pytest.mark.parametrize(
    ("days", "step"),
    [(2, "hour"), (10, "six hours"), (60, "day"), (400, "week"), (3000, "four weeks"), (20000, "year")],
)
def test_the_step_grows_with_the_span(days: int, step: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    drawn = make_timeline({}, CaseFacts(backup=start, restored=start + timedelta(days=days)))
    assert drawn.step == step
    assert 10 <= len(drawn.bins) <= MAX_BINS


def test_a_forged_date_does_not_stretch_the_picture() -> None:
    lost: list[datetime | None] = [BACKUP + timedelta(hours=n) for n in range(200)]
    forged: list[datetime | None] = [datetime(1601, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)]
    drawn = make_timeline(tables([], [*lost, *forged], []), CaseFacts())
    assert drawn.end - drawn.start < timedelta(days=20)
    assert drawn.outside >= 2


moments = st.none() | st.datetimes(timezones=st.just(UTC))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(moments, max_size=6),
    st.lists(moments, max_size=6),
    st.lists(moments, max_size=6),
    moments,
    moments,
    moments,
)
def test_everything_is_drawn_or_said_to_be_outside(
    known: list[datetime | None],
    lost: list[datetime | None],
    revoked: list[datetime | None],
    backup: datetime | None,
    failure: datetime | None,
    restored: datetime | None,
) -> None:
    drawn = make_timeline(tables(known, lost, revoked), CaseFacts(backup=backup, failure=failure, restored=restored))
    counted = drawn.known + drawn.lost + drawn.revoked + drawn.outside + drawn.undated
    assert counted == len(known) + len(lost) + len(revoked)
    assert len(drawn.bins) <= MAX_BINS
    assert drawn.description
    timeline({}, CaseFacts(backup=backup, failure=failure, restored=restored))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=3))
def test_labels_never_overlap_and_stay_inside(offsets: list[int]) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    names = ("backup", "failure", "restored")
    rules = tuple((name, start + timedelta(minutes=n)) for name, n in zip(names, sorted(offsets), strict=False))
    labels = _place(Timeline("hour", (Bin(start, start + timedelta(minutes=1000), 0, 0, 0),), rules), 860)
    assert len(labels) == len(rules)
    assert all(label.begin >= 0 and label.end <= 880 for label in labels)
    assert not any(one.hits(other) for one, other in permutations(labels, 2))


@pytest.mark.parametrize("facts", [FACTS, CaseFacts(), CaseFacts(backup=BACKUP)])
@pytest.mark.parametrize("empty", [True, False])
def test_the_svg_is_whole_alone_and_says_what_it_shows(facts: CaseFacts, empty: bool) -> None:
    drawn = {} if empty else sample.realistic()["tables"]
    svg = timeline_svg(drawn, facts)
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own text
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert [child.tag.rpartition("}")[2] for child in root][:2] == ["title", "desc"]
    assert root[1].text == make_timeline(drawn, facts).description
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<script|<image|<foreignObject|url\(|@import|\bon\w+=", svg)
    assert svg == timeline_svg(drawn, facts)


def test_a_large_ca_makes_no_larger_picture() -> None:
    times = pd.Series(pd.date_range(BACKUP - timedelta(days=3), RESTORED, periods=200_000)).dt.as_unit("us")
    rows = TABLES["ca_rows"].typed({"disposition": [20] * len(times), "not_before": list(times)}, len(times))
    assert len(timeline_svg({"ca_rows": rows}, FACTS)) < 100_000


def days(*mails: int | None, outages: tuple[int, ...] = (), zone: timedelta = timedelta(0)) -> pd.DataFrame:
    """Table activity, from three days before the backup on."""
    first = BACKUP.replace(hour=0) - timedelta(days=3) - zone
    return TABLES["activity"].frame(
        [
            {
                "day": first + timedelta(days=n),
                "mails": count,
                "outage": n in outages or (None if count is None else False),
            }
            for n, count in enumerate(mails)
        ]
    )


def test_mails_of_each_day_stand_below_and_missing_ones_are_marked() -> None:
    drawn = make_timeline({"activity": days(3, 4, 5, 6, 0, 7, 8, outages=(4,))}, FACTS)
    assert drawn.step == "hour"
    assert [(day.mails, day.outage) for day in drawn.days] == [
        (5, False),
        (6, False),
        (0, True),
        (7, False),
        (8, False),
    ]
    assert all(drawn.start <= day.begin < day.end <= drawn.end for day in drawn.days)
    assert drawn.description.endswith("Mails per day, 26 in all: mails are missing or fewer than usual on 2026-03-02.")
    assert "mails a day" in timeline_svg({"activity": days(3, 4, 5, 6, 0, 7, 8, outages=(4,))}, FACTS)


def test_without_days_there_is_no_strip() -> None:
    assert "Mails per day" not in make_timeline({}, FACTS).description
    assert "mails a day" not in timeline_svg({"activity": TABLES["activity"].empty()}, FACTS)
    assert make_timeline({"activity": days(None, None, None, None)}, FACTS).description.endswith("no day stands out.")


def test_a_long_gap_shows_the_days_of_a_bin_as_one() -> None:
    facts = CaseFacts(backup=BACKUP - timedelta(days=300), restored=BACKUP + timedelta(days=300))
    first = BACKUP.replace(hour=0) - timedelta(days=290)
    rows = [{"day": first + timedelta(days=n), "mails": 1, "outage": n == 33} for n in range(560)]
    drawn = make_timeline({"activity": TABLES["activity"].frame(rows)}, facts)
    assert drawn.step == "week"
    assert sum(day.mails for day in drawn.days) == 560
    assert sum(day.outage for day in drawn.days) == 1
    assert len(drawn.days) <= MAX_BINS


@pytest.mark.parametrize(("zone", "hours"), [("Europe/Berlin", 1), ("Pacific/Apia", 13), ("America/Adak", -10)])
def test_a_day_has_its_date_in_the_case_s_zone(zone: str, hours: int) -> None:
    """As the table of outages names it, whatever the date is in UTC when it begins."""
    facts = CaseFacts(backup=BACKUP, failure=FAILURE, restored=RESTORED, time_zone=zone)
    activity = days(3, 4, 5, 6, 0, 7, 8, outages=(4,), zone=timedelta(hours=hours))
    assert "fewer than usual on 2026-03-02." in make_timeline({"activity": activity}, facts).description


def test_only_the_first_days_of_a_long_outage_are_named() -> None:
    drawn = make_timeline({"activity": days(*[0] * 9, outages=tuple(range(9)))}, FACTS)
    assert "2026-02-28, 2026-03-01, 2026-03-02, 2026-03-03, 2026-03-04 and 1 more." in drawn.description


def test_the_notebook_renderer_draws_offline() -> None:
    before = alt.renderers.active, alt.renderers.options
    try:
        use_offline_renderer()
        assert alt.renderers.active == "svg"
        bundle = timeline({}, FACTS)._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        assert data is not None
        assert set(data) == {"image/svg+xml"}
        assert "cdn" not in str(data)
    finally:
        alt.renderers.enable(before[0], **before[1])
