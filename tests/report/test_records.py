"""What the report says of time stamps: by whom, of what, when; that there are none; that a clock was wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from carecover.model import TABLES
from carecover.report import Pseudonyms, make_document
from carecover.report.document import Act, Document, Paragraph, Table

from . import sample


def custody(**changed: Any) -> tuple[Document, list[Paragraph], list[Table]]:
    """The report on the realistic sample, and what its part on evidence says in sentences and tables of stamps."""
    document = make_document(**{**sample.realistic(), **changed})
    blocks = next(section.blocks for section in document.sections if section.key == "evidence")
    told = [block for block in blocks if isinstance(block, Paragraph)]
    return document, told, [block for block in blocks if isinstance(block, Table) and block.source == "stamps"]


def stamps(**changed: Any) -> dict[str, pd.DataFrame]:
    tables = sample.realistic()["tables"]
    return {**tables, "stamps": tables["stamps"].assign(**changed)}


def test_a_stamp_is_listed_with_its_time_its_authority_and_what_it_is_of() -> None:
    _, told, (table,) = custody(facts=sample.empty()["facts"])
    (row,) = table.rows
    shown = dict(zip((heading.title for heading in table.columns), row, strict=True))
    assert shown["Existed at (UTC)"] == f"{sample.MADE_AT - timedelta(hours=2):%Y-%m-%d %H:%M}"
    assert shown["Authority"] == "CN=Example TSA,O=Example Ltd (2f)"
    assert (shown["Up to act"], shown["Person"]) == ("41", "Ada Analyst")
    assert any("What came after act 41 has no such stamp" in block.text for block in told)


@pytest.mark.parametrize(("language", "words"), [("en", "keeps no time stamp"), ("de", "kein Zeitstempel")])
def test_that_there_is_none_is_said(language: str, words: str) -> None:
    _, told, tables = custody(tables={**sample.realistic()["tables"], "stamps": None}, language=language)
    assert sum(words in block.text for block in told) == 1
    assert tables == []


@pytest.mark.parametrize(("ahead", "warned"), [(timedelta(0), 0), (timedelta(seconds=1), 0), (timedelta(hours=1), 1)])
def test_a_stamp_from_before_what_it_stamps_says_that_a_clock_was_wrong(ahead: timedelta, warned: int) -> None:
    wrote = sample.MADE_AT - timedelta(hours=2) + ahead
    _, told, _ = custody(acts=[Act(41, wrote, "report", None, None, "0" * 64)])
    assert sum("one of the two clocks was wrong" in block.text for block in told) == warned


def test_a_stamp_of_nothing_that_is_known_is_listed_all_the_same() -> None:
    """A journal that was written anew has no act any more for what was stamped."""
    _, told, (table,) = custody(tables=stamps(act=pd.array([None], "Int64"), stamped_at=pd.NaT, authority=None))
    assert len(table.rows) == 1
    assert any("What came after act 0" in block.text for block in told)


def test_outsiders_see_when_and_of_what_but_not_by_whom() -> None:
    _, _, (table,) = custody(pseudonyms=Pseudonyms(b"k" * 32))
    text = " ".join(table.rows[0])
    assert "Example" not in text
    assert "Ada" not in text
    assert sample.digest("act 41")[:16] in text
    assert set(TABLES["stamps"].frame([]).columns) == {
        *("act", "head", "stamped_at", "authority", "sha256", "by", "kept_at")
    }
