"""A CA whose name in the case is wrong: the evidence says how it is spelled, and nothing is concluded from it alone."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from carecover.analysis import naming
from carecover.analysis.layout import learn_layout
from carecover.model import TABLES, CaseFacts
from tests.analysis.test_attacks import own_ca
from tests.analysis.test_gap import BACKUP, FAILURE, mail, row, serial

TYPO = CaseFacts(ca="Exmaple CA", backup=BACKUP, failure=FAILURE)


def told(
    mails: list[dict[str, Any]],
    certificates: list[dict[str, Any]] | None = None,
    *,
    own: list[dict[str, Any]] | None = None,
    facts: CaseFacts = TYPO,
) -> list[dict[str, Any]]:
    frame = TABLES["certificates"].frame
    layout = learn_layout(
        TABLES["ca_rows"].frame([row(1), row(2)]), frame([]), TABLES["crls"].empty(), TABLES["registry"].empty(),
        backup=BACKUP, cut=FAILURE,
    )  # fmt: skip
    return list(
        naming.other_name(
            TABLES["notifications"].frame(mails), frame(own or []), frame(certificates or []), layout, facts
        )
    )


def issued(*names: str) -> list[dict[str, Any]]:
    return [mail("issued", n, ca_name=name) for n, name in enumerate(names, start=3)]


def of_a_ca(name: str) -> dict[str, Any]:
    return {**own_ca(0, 0), "subject": f"CN={name},DC=corp,DC=example", "own_ca": False}


def test_a_typing_error_in_the_name_is_told_with_the_name_that_is_meant() -> None:
    (found,) = told(issued("Example CA", "Example CA", "Other CA"), [of_a_ca("Example CA")])
    assert (found["aspect"], found["figure"], found["verdict"]) == ("name of the CA", "Example CA", "gap")
    assert "2 mails whose serial numbers are made as this CA's are bear another: Example CA." in found["why"]
    (found,) = told([], [of_a_ca("Example CA")])
    assert found["figure"] == "Example CA"


def test_the_certificate_tells_how_a_name_is_written_that_mails_escape() -> None:
    facts = CaseFacts(ca="Muller CA")
    (found,) = told(issued("M!00fcller CA"), [of_a_ca("Müller CA")], facts=facts)
    assert found["figure"] == "Müller CA"


def test_no_other_name_is_offered_where_one_thing_bears_the_cases_or_nothing_bears_any() -> None:
    assert told(issued("Example CA", "exmaple ca")) == [], "the mails of other CAs are counted, no more"
    assert told(issued("Example CA"), own=[of_a_ca("Exmaple CA")]) == []
    assert told(issued("Example CA"), facts=CaseFacts()) == []
    assert told([]) == []
    assert told([mail("issued", 3, ca_name="Other CA", serial="5a" * 16)]) == [], "no serial of this CA"
    assert told([], [of_a_ca("Root CA"), of_a_ca("Example CA")]) == [], "two could be meant"
    assert told([], [{**of_a_ca("Example CA"), "from_mail": True}]) == [], "anyone can mail a certificate"


@given(st.text(min_size=1, max_size=300))
def test_what_is_offered_as_a_name_can_be_one(name: str) -> None:
    for found in told([mail("issued", 3, serial=serial(3), ca_name=name)]):
        assert found["figure"].isprintable()
        assert len(found["figure"]) <= 200
        assert found["why"].isprintable()
