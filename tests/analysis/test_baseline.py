"""Which views are the database: joined where they cannot contradict each other, else asked about."""

from __future__ import annotations

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
    with pytest.raises(QuestionError, match=words):
        assemble_baseline(*tables(*parts))


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
