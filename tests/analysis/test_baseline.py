"""Which views are the database: joined where they cannot contradict each other, else asked about."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from carecover.analysis import assemble_baseline
from carecover.errors import QuestionError
from carecover.model import TABLES

COLUMNS = ["RequestID", "SerialNumber", "Request.Disposition"]


def rows(evidence_id: str, ids: range, **more: Any) -> list[dict[str, Any]]:
    return [
        {"evidence_id": evidence_id, "request_id": i, "serial": f"44{i:08x}", "disposition": 20, **more} for i in ids
    ]


def view(evidence_id: str, ids: range, **more: Any) -> dict[str, Any]:
    plain = {
        "evidence_id": evidence_id,
        "columns": COLUMNS,
        "rows": len(ids),
        "rows_claimed": len(ids),
        "complete": True,
    }
    return {**plain, **more}


def tables(*parts: tuple[list[dict[str, Any]], dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return (
        TABLES["ca_rows"].frame([row for some, _ in parts for row in some]),
        TABLES["views"].frame([facts for _, facts in parts]),
    )


def one(evidence_id: str, ids: range, **more: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    return rows(evidence_id, ids), view(evidence_id, ids, **more)


def test_no_view_is_an_empty_baseline() -> None:
    made = assemble_baseline(*tables())
    assert (len(made.rows), made.evidence_ids, made.newest_request_id) == (0, (), None)


def test_pages_join() -> None:
    made = assemble_baseline(*tables(one("E1", range(1, 51)), one("E2", range(51, 81))))
    assert (len(made.rows), made.first_request_id, made.newest_request_id) == (80, 1, 80)


def test_a_request_id_window_is_a_page_and_no_filter() -> None:
    made = assemble_baseline(*tables(one("E1", range(1, 51), restriction="RequestID>0,RequestID<=50")))
    assert len(made.rows) == 50


def test_text_and_csv_of_the_same_rows_fill_each_other_in() -> None:
    text, csv = one("E1", range(1, 4)), one("E2", range(1, 4), complete=None, rows_claimed=None)
    for row in csv[0]:
        row["subject"] = f"CN=host{row['request_id']}"
    made = assemble_baseline(*tables(text, csv))
    assert list(made.rows["subject"]) == ["CN=host1", "CN=host2", "CN=host3"]
    assert set(made.rows["evidence_id"]) == {"E1"}
    assert len(made.notes) == 1


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([one("E1", range(1, 5), restriction="Disposition=20")], "filtered"),
        ([one("E1", range(1, 5), restriction="RequestID>0,Disposition=20")], "filtered"),
        ([one("E1", range(1, 5), complete=False, rows_claimed=9)], "claims 9 rows"),
        ([one("E1", range(1, 5), complete=False, rows_claimed=None)], "end is missing"),
        ([one("E1", range(1, 9)), one("E2", range(1, 5))], "older, newer or filtered"),
        ([one("E1", range(1, 5)), one("E2", range(1, 9))], "older, newer or filtered"),
        ([one("E1", range(1, 9, 2)), one("E2", range(2, 9, 2))], "interleave"),
        ([(rows("E1", range(1, 5)), view("E1", range(1, 5), columns=["RequestID"]))], "no column SerialNumber"),
        ([one("E1", range(1, 5)), (rows("E2", range(1, 5), disposition=21), view("E2", range(1, 5)))], "another state"),
    ],
)
def test_what_could_invent_or_hide_orphans_is_asked_about(
    parts: list[tuple[list[dict[str, Any]], dict[str, Any]]], words: str
) -> None:
    with pytest.raises(QuestionError, match=words) as asked:
        assemble_baseline(*tables(*parts))
    ids = {facts["evidence_id"] for _, facts in parts}
    printed = re.search(r"carecover baseline CASE ((?:E\d+ )+)--by YOUR-NAME", str(asked.value))
    assert "no column" in words or (printed and set(printed[1].split()) <= ids), "a command that can be run"


def test_the_command_that_is_printed_prefers_the_views_that_nothing_is_wrong_with() -> None:
    with pytest.raises(QuestionError, match="such as: carecover baseline CASE E1 --by"):
        assemble_baseline(*tables(one("E1", range(1, 5)), one("E2", range(2, 4), restriction="Disposition=20")))
    with pytest.raises(QuestionError, match="Hand in a view"):
        assemble_baseline(*tables(), ["E7"])


def test_a_person_can_answer() -> None:
    both = tables(one("E1", range(1, 9)), one("E2", range(1, 5)))
    made = assemble_baseline(*both, ["E1"])
    assert (len(made.rows), made.evidence_ids) == (8, ("E1",))
    cut = tables(one("E1", range(1, 5), complete=False))
    assert len(assemble_baseline(*cut, ["E1"]).rows) == 4
    with pytest.raises(QuestionError, match="E7 holds no database view"):
        assemble_baseline(*both, ["E7"])
    with pytest.raises(QuestionError, match="older, newer"):
        assemble_baseline(*both, ["E1", "E2"])


def test_a_file_that_repeats_rows_in_two_states_is_asked_about() -> None:
    twice = rows("E1", range(1, 3)) + rows("E1", range(1, 3), disposition=21)
    with pytest.raises(QuestionError, match="more than once"):
        assemble_baseline(*tables((twice, view("E1", range(1, 5)))))
    same = rows("E1", range(1, 3)) + rows("E1", range(1, 3))
    assert len(assemble_baseline(*tables((same, view("E1", range(1, 5))))).rows) == 2
    some = rows("E1", range(1, 3)) + rows("E1", range(1, 4))
    with pytest.raises(QuestionError, match="exports that overlap"):
        assemble_baseline(*tables((some, view("E1", range(1, 6)))))


def placed(captures: dict[str, range], **more: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Captures of one piece of evidence, by the place where each begins."""
    made = []
    for place, ids in captures.items():
        member, _, line = place.rpartition("line ")
        found = [
            {**r, "location": f"{member}line {int(line) + 3 + n}, row {n}"}
            for n, r in enumerate(rows("E1", ids, **more))
        ]
        made.append((found, view("E1", ids, location=place)))
    return tables(*made)


BOTH = [
    ("before.txt, line 1", "later, or not.txt, line 1"),
    ("line 1", "line 400"),
    ("in/a.zip!v.txt, line 2", "line 9"),
]


@pytest.mark.parametrize("places", BOTH)
def test_two_views_in_one_archive_or_file_are_two_views(places: tuple[str, str]) -> None:
    """What was issued or imported since would not look lost."""
    first, second = places
    pages = assemble_baseline(*placed({second: range(51, 81), first: range(1, 51)}))
    assert list(pages.rows["request_id"]) == list(range(1, 81)), "pages"
    for ids, words in ((range(1, 84), "one is older, newer or filtered"), (range(2, 200, 2), "one is older")):
        with pytest.raises(QuestionError, match=words) as asked:
            assemble_baseline(*placed({first: range(1, 81), second: ids}))
        assert "E1 holds both. Take it apart" in str(asked.value)
        assert second.rpartition(", line ")[0] in str(asked.value)
        with pytest.raises(QuestionError, match=words):
            assemble_baseline(*placed({second: ids, first: range(1, 81)}), ["E1"])
    with pytest.raises(QuestionError, match="interleave"):
        assemble_baseline(*placed({first: range(1, 81, 2), second: range(2, 81, 2)}))


def test_text_and_csv_in_one_archive_fill_each_other_in() -> None:
    made = placed({"view.txt, line 1": range(1, 4), "view.csv, line 1": range(1, 4)})
    made[0].loc[made[0]["location"].str.startswith("view.csv"), "subject"] = "CN=host"
    baseline = assemble_baseline(*made)
    assert list(baseline.rows["subject"]) == ["CN=host"] * 3
    assert list(baseline.notes) == [
        "E1 (view.csv) shows the same rows once more and is used to fill in missing columns."
    ]


def test_thousands_of_pages_in_one_file_are_one_database() -> None:
    many = placed({f"line {n * 9 + 1}": range(n * 2 + 1, n * 2 + 3) for n in range(1_200)})
    assert len(assemble_baseline(*many).rows) == 2_400


# ----------------------------------------------------------------- made after the mending


RESTORED = datetime(2026, 11, 21, tzinfo=UTC)


def number_form(request_id: int) -> str:
    return f"44{request_id:08x}00112233445566770000{request_id:08x}"


def mended(*late: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    before = [
        {
            "evidence_id": "E1",
            "request_id": i,
            "serial": number_form(i),
            "disposition": 20,
            "submitted_at": RESTORED - timedelta(days=9),
        }
        for i in (1, 2)
    ]
    return tables(([*before, *({"evidence_id": "E1", **r} for r in late)], view("E1", range(2 + len(late)))))


def test_a_view_with_imported_certificates_is_asked_about() -> None:
    """An imported row takes a new request ID, and its serial carries the lost one."""
    imported = {"request_id": 3, "serial": number_form(77), "disposition": 20}
    with pytest.raises(QuestionError, match="1 certificate was imported"):
        assemble_baseline(*mended(imported), restored=RESTORED)
    # A person may know better, and without the time of the restore nothing can be said.
    assert len(assemble_baseline(*mended(imported), ["E1"], restored=RESTORED).rows) == 3
    assert len(assemble_baseline(*mended(imported)).rows) == 3


def test_a_view_with_revocations_of_after_the_restore_is_asked_about() -> None:
    revoked = {
        "request_id": 3,
        "serial": number_form(3),
        "disposition": 21,
        "submitted_at": RESTORED - timedelta(days=8),
    }
    again = {**revoked, "revoked_at": RESTORED + timedelta(hours=2)}
    with pytest.raises(QuestionError, match="1 row was revoked since"):
        assemble_baseline(*mended(again), restored=RESTORED)
    before = {**revoked, "revoked_at": RESTORED - timedelta(days=7)}
    assert len(assemble_baseline(*mended(before), restored=RESTORED).rows) == 3
    # Local time that was taken for UTC may be half a day off.
    guessed = {**again, "flags": ["zone_assumed_utc"]}
    assert len(assemble_baseline(*mended(guessed), restored=RESTORED).rows) == 3


def test_an_import_of_years_ago_is_no_mending() -> None:
    old = {"request_id": 1, "serial": number_form(900), "disposition": 20}
    newer = {"request_id": 5, "serial": number_form(5), "disposition": 20, "submitted_at": RESTORED - timedelta(days=1)}
    rows_, views = tables(([{"evidence_id": "E1", **old}, {"evidence_id": "E1", **newer}], view("E1", range(2))))
    assert len(assemble_baseline(rows_, views, restored=RESTORED).rows) == 2


def test_what_the_restored_ca_issued_and_revoked_itself_is_no_mending() -> None:
    own = {
        "request_id": 3, "serial": number_form(3), "disposition": 21, "submitted_at": RESTORED + timedelta(hours=1),
        "revoked_at": RESTORED + timedelta(hours=2),
    }  # fmt: skip
    assert len(assemble_baseline(*mended(own), restored=RESTORED).rows) == 3


BACKUP, FAILURE = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)
BEFORE, BETWEEN = BACKUP - timedelta(days=2), BACKUP + timedelta(days=3)


def submitted(evidence_id: str, *times: datetime, **more: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    ids = range(1, len(times) + 1)
    made = rows(evidence_id, ids, **more)
    return [{**row, "submitted_at": at} for row, at in zip(made, times, strict=True)], view(evidence_id, ids)


@pytest.mark.parametrize("end", [{"failure": FAILURE}, {"restored": FAILURE}])
def test_a_database_of_before_the_failure_is_asked_about_and_never_silently_the_restored_one(
    end: dict[str, Any],
) -> None:
    lost = tables(submitted("E1", BEFORE, BETWEEN))
    with pytest.raises(QuestionError, match=r"E1 looks like .*before the failure: 1 of its requests was .*2026-03-04"):
        assemble_baseline(*lost, backup=BACKUP, **end)
    assert len(assemble_baseline(*lost, ["E1"], backup=BACKUP, **end).rows) == 2, "a person can say that it is right"


@pytest.mark.parametrize(
    ("at", "facts", "more"),
    [
        (BETWEEN, {"failure": FAILURE}, {}),
        (BETWEEN, {"backup": BACKUP}, {}),
        (BEFORE, {"backup": BACKUP, "failure": FAILURE}, {}),
        (BACKUP + timedelta(minutes=50), {"backup": BACKUP, "failure": FAILURE}, {}),
        (FAILURE + timedelta(days=1), {"backup": BACKUP, "failure": FAILURE}, {}),
        (BACKUP + timedelta(hours=9), {"backup": BACKUP, "failure": FAILURE}, {"flags": ["zone_assumed_utc"]}),
    ],
    ids=["no backup", "no end", "before", "while the backup ran", "after the restore", "an unknown zone"],
)
def test_what_the_restored_ca_can_know_raises_no_question(
    at: datetime, facts: dict[str, Any], more: dict[str, Any]
) -> None:
    assert len(assemble_baseline(*tables(submitted("E1", BEFORE, at, **more)), **facts).rows) == 2
