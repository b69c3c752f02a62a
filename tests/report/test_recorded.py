"""What the tables say, in German: every sentence that a room can write has one, and what is not ours stays English."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecover.model import ACTIONS, TABLES
from carecover.report import make_document
from carecover.report.document import Table
from carecover.report.german import GERMAN_VALUES
from carecover.report.layout import arranged
from carecover.report.recorded import Catalogue, in_zone, pairs, read

from . import sample

PACKAGE: Final = Path(__file__).parents[2] / "carecover"
# The modules that write what the report shows of its tables.
WRITERS: Final = (
    *(f"analysis/{name}" for name in ("activity", "coverage", "first_steps", "gap", "history", "impact", "judgement")),
    *(f"analysis/{name}" for name in ("naming", "published", "requests", "sources", "suspicion")),
    *(f"proof/{name}" for name in ("answers", "changes", "lists", "outcomes", "visibility")),
    "evidence/lint",
    "simulator/behaviour",
)
# Told on the terminal or in a notebook only, or a switch's word that becomes another one in a sentence.
ELSEWHERE: Final = {
    "proof/changes": ("{} serial number(s) of CRL",),
    "proof/visibility": (
        "Until when a client",
        "The last old list or answer",
        "A client may still",
        "as of {}",
        "less than a minute",
        "{} from now",
    ),
    "simulator/behaviour": ("keeps reason", "keeps row", "own number", "same number", "per key"),
}
HOLE: Final = "\0"


def german() -> Catalogue:
    return Catalogue(pairs("de"), GERMAN_VALUES)


def sentences(module: str) -> Iterator[str]:
    """Every text of two words or more that a module could write, with a mark where a value goes."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    aside: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant() as docstring):
                aside.add(id(docstring))
            case ast.Raise():
                aside.update(id(part) for part in ast.walk(node))
            case ast.JoinedStr(values=values):
                aside.update(map(id, values))
    for node in ast.walk(tree):
        if id(node) in aside:
            continue
        text = None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(str(v.value) if isinstance(v, ast.Constant) else HOLE for v in node.values)
        if text is not None and re.search("[A-Za-z]{2,} [a-z]{2,}", text):
            yield re.sub(r"\{[01]\}", HOLE, text).strip()


def tellable(text: str, told: Catalogue) -> bool:
    """Whether it can be told with numbers or with names as its values; whole sentences around it may be left out."""
    alone = re.sub(rf"^({HOLE})+ ?(?=[A-Z])|(?<=[.]) {HOLE}$|(?<=[.:]){HOLE}", "", text).strip()
    return any(told.told(alone.replace(HOLE, value)) is not None for value in ("7", "X1"))


@pytest.mark.parametrize("module", WRITERS)
def test_every_sentence_that_a_room_can_write_has_a_german_one(module: str) -> None:
    told = german()
    elsewhere = tuple(text.replace("{}", HOLE) for text in ELSEWHERE.get(module, ()))
    missing = [text for text in sentences(module) if not text.startswith(elsewhere or ("\1",))]
    missing = [text for text in missing if not tellable(text, told)]
    assert [text.replace(HOLE, "{}") for text in missing] == [], "write them into report/templates/tables.de.txt"


def test_a_new_sentence_would_be_noticed() -> None:
    assert not tellable("Nobody has ever seen \0 like this.", german())


def test_what_one_row_of_a_table_is_has_a_german_form() -> None:
    told = german()
    assert [name for name, table in TABLES.items() if told.told(table.row) is None] == []
    assert [action for action in ACTIONS if told.told(action) is None] == []


def test_both_sides_of_a_template_have_the_same_values() -> None:
    source = (PACKAGE / "report" / "templates" / "tables.de.txt").read_text(encoding="utf-8")
    found = read(source)
    blocks = [block for block in source.split("\n\n") if [x for x in block.splitlines() if x and x[0] != "#"]]
    assert len(found) == len(blocks), "no template stands there twice"
    for english, other in found.items():
        places = len(re.findall(r"\{[#=]?\}", english))
        told = {int(n) for n in re.findall(r"\{(\d)\}", other)}
        # German says "that are" and "that is" in the same words.
        assert told == set(range(places)) or english.startswith("Replace {} that {}"), english


def test_values_stay_as_they_are_and_phrases_in_them_are_told() -> None:
    told = german()
    assert told.told("CORP\\srv1$") == "CORP\\srv1$"
    assert told.told("1,020 bytes in CRL 9") == "1.020 Bytes in Sperrliste 9"
    text = "Not in the restored database; shown by a CRL that the CA signed, the CA's mail. It was revoked, as planned."
    assert told.told(text) == (
        "Nicht in der wiederhergestellten Datenbank; belegt durch eine von der CA signierte Sperrliste, die Mail der "
        "CA. Es wurde wie geplant gesperrt."
    )


@pytest.mark.parametrize(
    "text",
    [
        "The mail ends within its headers: it was cut off.",
        "It was revoked, as planned. And then somebody wrote more.",
        "CRL number 5 was public, and nobody knows why.",
    ],
)
def test_what_has_no_german_form_in_any_part_stays_english_as_a_whole(text: str) -> None:
    assert german().told(text) is None


def test_a_cell_that_stays_english_says_so() -> None:
    case = sample.realistic()
    rejects = case["tables"]["rejects"]
    document = make_document(**case, language="de")
    (table,) = [b for s in document.sections for b in s.blocks if isinstance(b, Table) and b.source == "rejects"]
    column = [c.title for c in table.columns].index("Warum")
    assert table.english == tuple((row, column) for row in range(len(rejects)))
    assert table.columns[column].recorded
    assert {heading.recorded for row in arranged(table, "Anm.").rows for heading, _ in row.below} == {True, False}
    english = [b for s in make_document(**case).sections for b in s.blocks if isinstance(b, Table)]
    assert not any(table.english for table in english)


@given(st.lists(st.sampled_from([*pairs("de")]), max_size=4), st.text(max_size=30))
def test_no_text_takes_long_or_does_harm(templates: list[str], value: str) -> None:
    """Values that look like sentences of ours, and halves of them, are told or left; nothing is raised."""
    text = " ".join(re.sub(r"\{[#=]?\}", lambda _: value, template) for template in templates)
    found = german_once().told(text[:1_200])
    assert found is None or isinstance(found, str)


def german_once(made: list[Catalogue] = []) -> Catalogue:  # noqa: B006 - kept on purpose
    if not made:
        made.append(german())
    return made[0]


@pytest.mark.parametrize(
    "text", ["a " * 600, ", and " * 200, "{} " * 400, "The row is " * 100, "1, " * 400, "W" * 1200]
)
def test_hostile_texts_have_a_bounded_number_of_tries(text: str) -> None:
    assert german_once().told(text) in (None, text)


def test_times_of_the_tables_are_in_the_readers_zone_with_the_offset() -> None:
    zone = ZoneInfo("Europe/Berlin")
    assert in_zone("from 2026-07-01T23:30:00Z to 2026-12-02 12:20 UTC.", zone) == (
        "from 2026-07-02 01:30 +02:00 to 2026-12-02 13:20 +01:00."
    )
    assert in_zone("0001-01-01T00:00:00Z 9999-12-31T23:59:59Z 2026-99-01 10:00 UTC", zone).endswith(
        "2026-99-01 10:00 UTC"
    )
    assert in_zone("2026-07-01 10:00 UTCX", zone) == "2026-07-01 10:00 UTCX"
