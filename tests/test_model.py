"""Serial numbers, reasons, schemas and plans: the words everything else is said in."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecover.errors import UsageError
from carecover.model import (
    TABLES,
    CaseFacts,
    Plan,
    PlanItem,
    RevocationReason,
    SerialNumber,
    canonical_json,
    nearly_the_same,
    person_key,
    utc_text,
)

serials = st.integers(min_value=1, max_value=(1 << 160) - 1)


# Serials read by eye from public captures; what they decode to was calculated by hand.
@pytest.mark.parametrize(
    ("text", "layout", "request_id", "index"),
    [
        ("2000000055b6d772ba7b06d5ea000000000055", "number", 85, 0),
        ("200000002D8D36C22BD8DD7C7D00000000002D", "number", 45, 0),
        ("6F0000000DBAE881F84D4D48CF00010000000D", "number", 13, 1),
        ("15fba3bb000000000002", "default", 2, 0),
        ("5800000002f7714edc7f317c46008000000002", "number", 2, 0x80),
        ("25f51e4e0000115a", "foreign", None, None),
        ("1169f0517d9b598e4ba7af46e4674066", "foreign", None, None),
        ("14000000000075456aedc3218d171400000044", "foreign", None, None),
        ("020000000000bba3fb15", "foreign", None, None),
    ],
)
def test_a_serial_tells_its_request_id(text: str, layout: str, request_id: int | None, index: int | None) -> None:
    anatomy = SerialNumber.parse(text).anatomy
    assert (anatomy.layout, anatomy.request_id, anatomy.ca_cert_index) == (layout, request_id, index)


def test_the_byte_reversed_twin_reads_as_native_again() -> None:
    twin = SerialNumber.parse("14000000000075456aedc3218d171400000044").reversed
    assert twin is not None
    assert twin.text == "4400000014178d21c3ed6a4575000000000014"
    assert twin.anatomy.request_id == 20


@given(serials, st.booleans(), st.sampled_from(["", " ", ":", "-"]), st.sampled_from(["", "0x", "\u200e", "00", '"']))
def test_any_spelling_is_one_value(value: int, upper: bool, between: str, before: str) -> None:
    plain = SerialNumber(value).text
    pairs = between.join(plain[i : i + 2] for i in range(0, len(plain), 2))
    if before == "00" and len(plain) == 40:
        before = ""
    spelled = before + (pairs.upper() if upper else pairs)
    assert SerialNumber.parse(spelled) == SerialNumber(value)
    assert len(plain) % 2 == 0
    assert int(plain, 16) == value


@pytest.mark.parametrize("text", ["", "0", "00", "xyz", "12 34 g", "0x", "1" * 41, "ff" * 21, "１２"])
def test_what_is_no_serial_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        SerialNumber.parse(text)


def test_only_the_seeds_reasons_are_written() -> None:
    assert [r.value for r in RevocationReason if r.writable] == [0, 1, 2, 3, 4, 5, 6]
    assert [r.value for r in RevocationReason if r.final] == [0, 1, 2, 3, 4, 5]
    assert all(r.designation and r.description for r in RevocationReason)


def test_a_reason_that_is_none_is_answered_with_the_table() -> None:
    with pytest.raises(UsageError, match="Reasons: 0 Unspecified"):
        RevocationReason.parse("lost on the train")


@pytest.mark.parametrize("text", ["1", "Key Compromise", "keyCompromise", "CRL_REASON_KEY_COMPROMISE"])
def test_a_reason_has_many_names(text: str) -> None:
    assert RevocationReason.parse(text) is RevocationReason.KEY_COMPROMISE


@pytest.mark.parametrize("name", sorted(TABLES))
def test_an_empty_table_has_every_column_in_its_type(name: str) -> None:
    schema = TABLES[name]
    empty = schema.empty()
    assert list(empty.columns) == [c.name for c in schema.columns]
    assert schema.to_json(empty).strip() == "[]"
    assert schema.conform(empty) is empty
    assert all(c.meaning for c in schema.columns)


def test_absent_is_na_and_lists_are_lists() -> None:
    schema = TABLES["findings"]
    frame = schema.frame([{"finding_id": "a", "not_after": datetime(2027, 1, 1, tzinfo=UTC)}, {"evidence": ["x"]}])
    assert frame["serial"].isna().all()
    assert frame["request_id"].isna().all()
    assert frame["not_after"].iloc[0] == pd.Timestamp("2027-01-01", tz="UTC")
    assert list(frame["evidence"]) == [[], ["x"]]
    assert '"not_after": "2027-01-01T00:00:00Z"' in schema.to_json(frame)
    assert '"serial": null' in schema.to_json(frame)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_columns_of_other_pandas_types_come_out_as_their_cells_would(unit: Any) -> None:
    """A column of a million is not looked through where its type says what is in it; nobody can tell by the result."""
    texts = ["2026-01-01 00:00:01.5+02:00", None, "1912-01-01 00:00:00.0+02:00"]
    at = pd.to_datetime(pd.Series(texts)).dt.as_unit(unit)
    theirs = pd.DataFrame(
        {
            "request_id": pd.Series([1, 2, 2**40], dtype="int64"),
            "disposition": pd.Series([20, None, 21], dtype="Int16"),
            "serial": pd.Series(["0a", None, "\u4e2d\U0001f600"], dtype="str"),
            "subject": pd.Series(["CN=a", None, ""], dtype="string[python]"),
            "submitted_at": at,
            "not_before": at.dt.tz_convert("Asia/Tokyo"),
        },
        index=[5, 5, 7],
    )
    schema = TABLES["ca_rows"]
    cells = [{str(name): list(theirs[name])[row] for name in theirs} for row in range(3)]
    pd.testing.assert_frame_equal(schema.conform(theirs), schema.frame(cells))
    flags = pd.DataFrame({"complete": [True, False]})
    pd.testing.assert_frame_equal(
        TABLES["views"].conform(flags), TABLES["views"].frame([{"complete": True}, {"complete": False}])
    )


def test_a_users_own_frame_is_brought_into_the_schema() -> None:
    mine = pd.DataFrame({"serial": ["0a", None], "request_id": [1.0, float("nan")], "colour": ["red", "blue"]})
    frame = TABLES["ca_rows"].conform(mine)
    assert "colour" not in frame.columns
    assert frame["request_id"].tolist()[0] == 1
    assert frame["request_id"].isna().tolist() == [False, True]
    with pytest.raises(UsageError, match=r"ca_rows\.request_id"):
        TABLES["ca_rows"].conform(pd.DataFrame({"request_id": ["many"]}))


def test_private_columns_are_not_exported() -> None:
    frame = TABLES["certificates"].frame([{"serial": "0a", "der": b"secret"}])
    assert "der" in frame.columns
    assert "secret" not in TABLES["certificates"].to_json(frame)
    assert "der" not in TABLES["certificates"].to_csv(frame).splitlines()[0].split(",")


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": 1, "a": ["ü", None, True]}) == '{"a":["ü",null,true],"b":1}'.encode()
    for wrong in ({"a": 1.5}, {1: 2}, {"a": {1, 2}}, [float("nan")]):
        with pytest.raises(TypeError):
            canonical_json(wrong)


def _item() -> PlanItem:
    return PlanItem(
        number=1, finding_id="orphaned-0a", serial="0a", kind="orphaned", action="revoke", reason=1, method="dummy",
        certificate_sha256=None, expected_thumbprint=None, not_after=None, ca_cert_index=0, ca_key_index=0,
        hash_waived=False, original_reason=None, original_revoked_at=None, subject="CN=a", requester=None,
        template=None, note=None, decided_by="Ann",
    )  # fmt: skip


def _plan() -> Plan:
    return Plan(
        case="night", ca_name="CA", config=None, ca_certificate_sha256="ab", signer_sha256={"0": "ab"},
        newest_request_id=7, last_crl_numbers={"0": "5"}, items=(_item(),),
    )  # fmt: skip


def test_a_plan_reads_back_equal() -> None:
    assert Plan.from_json(_plan().to_json()) == _plan()
    assert Plan.from_json(_plan().to_json()).digest == _plan().digest
    with pytest.raises(UsageError, match="damaged"):
        Plan.from_json({"items": [{}]})


@pytest.mark.parametrize("name", [f.name for f in fields(PlanItem)])
def test_any_change_of_an_item_changes_the_digest(name: str) -> None:
    old = getattr(_item(), name)
    new: Any = not old if isinstance(old, bool) else old + 1 if isinstance(old, int) else f"{old}x"
    assert replace(_plan(), items=(replace(_item(), **{name: new}),)).digest != _plan().digest


def test_one_person_is_one_person_however_the_name_is_spelled() -> None:
    assert person_key(" Ann  LEE") == person_key("ann lee")
    assert person_key("Ａnn Lee") == person_key("Ann Lee")
    assert person_key("Ann Lee") != person_key("Ann Li")


def test_the_restore_bounds_what_was_lost() -> None:
    failure, restored = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
    assert CaseFacts(failure=failure, restored=restored).cut == restored
    assert CaseFacts(failure=failure).cut == failure
    assert CaseFacts().cut is None
    assert utc_text(restored) == "2026-01-03T00:00:00Z"


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Ada Analyst", "Ada Anlayst", True),
        ("Ada Analyst", "ada analist", True),
        ("Ada Analyst", "Analyst, Ada", True),
        ("Rob", "Bob", True),
        ("Ada Analyst", "Rob Reviewer", False),
        ("Ada Analyst", "  ADA   Analyst", False),  # the same, which is asked before
        ("Ada", "Rob", False),
        ("A", "B", False),
        ("", "Ada", False),
    ],
)
def test_a_name_mistyped_is_nearly_the_same(one: str, other: str, alike: bool) -> None:
    assert nearly_the_same(one, other) is alike
    assert nearly_the_same(other, one) is alike
