"""The report page: byte-exact for a sample, whole, self-contained, and deaf to hostile text.

Refresh the golden file with CARECOVER_UPDATE_GOLDENS=1 and read the diff before you keep it.
The drawing is left out of it: where its legend stands depends on the fonts of the machine.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carecover.errors import UsageError
from carecover.model import ACTIONS, FINDING_KINDS, TABLES, CaseFacts, SignOff
from carecover.report import Execution, make_document, render_html
from carecover.report.document import (
    MAX_DETAIL,
    MAX_LETTERS,
    MAX_ROWS,
    MAX_TEXT,
    Document,
    Heading,
    Items,
    Paragraph,
    Picture,
    Table,
    cell,
    clean,
)
from carecover.report.layout import arranged
from carecover.report.material import VERDICTS
from carecover.report.texts import LANGUAGES, Words

from . import sample

GOLDENS = Path(__file__).parent / "goldens"
VOID = {"meta", "link", "br", "img", "hr", "input", "col", "wbr"}
# All that the page is made of; the drawing has its own test.
ELEMENTS = {"html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "footer"}
ELEMENTS |= {"h1", "h2", "h3", "p", "a", "ol", "ul", "li", "dl", "dt", "dd", "div", "figure", "figcaption"}
ELEMENTS |= {"table", "caption", "thead", "tbody", "tr", "th", "td", "bdi", "wbr", "span", "strong", "b", "small"}
DRAWING = {"svg", "title", "desc", "rect", "g", "path", "line", "text"}


class Page(HTMLParser):
    """The elements of a page, checked for balance while they are read."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of this name."""
        return [attrs for name, attrs in self.elements if name == tag]


def page(case: dict[str, Any]) -> str:
    """The page of a case."""
    return render_html(make_document(**case))


@pytest.fixture(scope="module", params=["realistic", "empty", "hostile"])
def html(request: pytest.FixtureRequest) -> str:
    """The page of each sample."""
    return page(getattr(sample, request.param)())


def without_drawing(html: str) -> str:
    """The page without what depends on the machine's fonts."""
    return re.sub(r"<svg .*?</svg>", "<svg/>", html, flags=re.DOTALL)


@pytest.mark.parametrize("name", ["realistic", "empty"])
def test_the_page_is_byte_for_byte_as_it_was(name: str) -> None:
    found = without_drawing(page(getattr(sample, name)()))
    golden = GOLDENS / f"{name}.html"
    if os.environ.get("CARECOVER_UPDATE_GOLDENS"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_bytes(found.encode())
    expected = golden.read_bytes().decode()
    diff = difflib.unified_diff(expected.splitlines(), found.splitlines(), golden.name, "found", lineterm="", n=1)
    assert found == expected, "\n".join(diff)


def test_the_page_is_whole(html: str) -> None:
    parsed = Page(html)
    assert parsed.all("html") == [{"lang": "en"}]
    assert len(parsed.all("h1")) == len(parsed.all("main")) == len(parsed.all("figure")) == 1
    assert {name for name, _ in parsed.elements} <= ELEMENTS | DRAWING
    ids = [str(attrs["id"]) for _, attrs in parsed.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [str(attrs["href"]) for attrs in parsed.all("a")]
    assert targets[0] == "#summary"
    assert {target.removeprefix("#") for target in targets} <= set(ids)
    labels = " ".join(str(attrs["aria-labelledby"]) for _, attrs in parsed.elements if "aria-labelledby" in attrs)
    assert set(labels.split()) <= set(ids)
    levels = [int(name[1]) for name, _ in parsed.elements if name in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(attrs.get("scope") == "col" for attrs in parsed.all("th"))
    assert len(parsed.all("caption")) == len(parsed.all("table")) == len(parsed.all("thead"))


def test_the_page_asks_nobody_and_runs_nothing(html: str) -> None:
    parsed = Page(html)
    policy = [m["content"] for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy
    assert str(policy[0]).startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    for name, attrs in parsed.elements:
        assert name not in ("script", "iframe", "object", "embed", "link", "img", "base", "form")
        for attribute, value in attrs.items():
            assert not attribute.startswith("on")
            if attribute in ("src", "href", "xlink:href", "action", "srcset", "style"):
                assert attribute == "href"
                assert str(value).startswith("#")
    styles = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    assert len(styles) == 1
    assert not re.search(r"@import|url\(|expression\(|https?:", styles[0])


def test_hostile_text_arrives_as_text_and_hides_nothing() -> None:
    html = page(sample.hostile())
    html.encode("utf-8")
    for evil in sample.EVIL[:6]:
        assert evil not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "{{ 7*7 }}" in html
    assert "root:" not in html
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", html)
    assert "[U+202E]exe.dorc[U+202C]" in html
    assert "W" * (MAX_DETAIL + 1) not in html
    assert ">" + "W" * MAX_TEXT + "…" in html
    assert Page(html).text.count("<script>alert(1)</script>") > 10


def test_a_hundred_thousand_findings_show_two_hundred_and_say_so() -> None:
    case = sample.realistic()
    findings = pd.concat([case["tables"]["findings"]] * 2000, ignore_index=True)
    html = page(case | {"tables": {**case["tables"], "findings": findings}})
    assert "The first 200 of 106,000 rows. All of them: carecover table CASE findings" in html
    assert "94,000 orphaned certificates" in html
    assert len(html) < 700_000


def test_long_rows_are_fewer_and_the_most_urgent_stay() -> None:
    case = sample.realistic()
    outcomes = pd.concat([case["tables"]["outcomes"]] * 40, ignore_index=True)
    outcomes["why"] = [f"{n} {'W' * 50_000}" for n in range(len(outcomes))]
    document = make_document(**case | {"tables": {**case["tables"], "outcomes": outcomes}})
    found = table(document, "What is proved about every decision")
    assert MAX_LETTERS // 2 < sum(len(text) for text in column(found, "Why")) <= MAX_LETTERS
    assert 40 <= len(found.rows) < 60, "of 2,120"
    assert set(column(found, "Verdict")[:40]) == {"failed"}
    assert f"The first {len(found.rows)} of 2,120 rows" in str(found.note)


def test_a_text_that_is_cut_between_two_words_says_so() -> None:
    assert clean("a" * 300 + " b") == "a" * 300 + "…"
    assert clean("a" * 300 + " \n ") == "a" * 300
    assert clean("a" * 299 + "  " + "b" * 9_000).endswith("…")


def test_a_column_of_dashes_is_not_shown_and_a_table_of_dashes_keeps_its_first() -> None:
    columns = (Heading("Serial"), Heading("Place"), Heading("Why", "detail"))
    sheet = arranged(Table("t", columns, (("1", "—", "x"), ("2", "—", "y")), 2), "Notes")
    assert [(one.title, sheet.rows[0].cells) for one in sheet.columns] == [("Serial", ("1",))]
    assert len(arranged(Table("t", columns, (("—", "—", "—"),), 1), "Notes").columns) == 1
    assert len(arranged(Table("t", columns, (), 0), "Notes").columns) == 2


def test_the_list_that_proves_stands_in_the_order_of_events_and_in_a_table() -> None:
    case = sample.realistic()
    crls = case["tables"]["crls"]
    before, after = crls.head(1), crls.tail(1)
    document = make_document(**case | {"tables": {**case["tables"], "crls": before}}, new_crls=after)
    (number,) = after["crl_number"]
    assert column(table(document, "Certificate revocation lists handed in after the work"), "Number") == [number]
    assert f"CRL {number} of the CA begins" in column(table(document, "Events in order"), "What")


@pytest.mark.parametrize(
    ("audience", "told"),
    [("all", "leadership: Summary, What happened, Impact"), ("leadership", "leadership; the whole report has 13")],
)
def test_the_head_says_who_reads_what(audience: str, told: str) -> None:
    (readers,) = [
        text for name, text, _ in make_document(**sample.empty(), audience=audience).head.rows if name == "Readers"
    ]
    assert readers.startswith(told)


def test_a_leftover_dummy_is_a_risk_and_stands_before_all_others() -> None:
    states = ("revoked", "pinned", "leftover", "destroyed")
    rows = [{"state": state, "serial": f"0{n}", "file": f"dummies/0{n}.cer"} for n, state in enumerate(states)]
    document = make_document(**with_tables(dummies=TABLES["dummies"].frame(rows)))
    found = table(document, "Dummies that the CA signed")
    assert column(found, "State")[:2] == ["leftover", "pinned"]
    assert column(found, "File")[0] == "02.cer"
    assert "1 dummy is left over" in page(with_tables(dummies=TABLES["dummies"].frame(rows)))


def test_no_row_is_left_out_of_a_short_table() -> None:
    tables = [
        block
        for section in make_document(**sample.realistic()).sections
        for block in section.blocks
        if isinstance(block, Table)
    ]
    for table in tables:
        assert (table.note is None) == (len(table.rows) == table.total)
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert len(table.rows) <= MAX_ROWS


def table(document: Document, caption: str) -> Table:
    """The one table whose caption begins so."""
    blocks = [block for section in document.sections for block in section.blocks]
    (found,) = [b for b in blocks if isinstance(b, Table) and b.caption.startswith(caption)]
    return found


def column(found: Table, title: str) -> list[str]:
    """The cells below a title."""
    (number,) = [n for n, heading in enumerate(found.columns) if heading.title == title]
    return [row[number] for row in found.rows]


def with_tables(**changed: pd.DataFrame | None) -> dict[str, Any]:
    """The realistic case with other tables, or without them."""
    case = sample.realistic()
    tables = {**case["tables"], **changed}
    return case | {"tables": {name: frame for name, frame in tables.items() if frame is not None}}


def words_of(document: Document) -> str:
    """Every sentence of a report that stands outside its tables."""
    told = []
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Paragraph):
                told.append(block.text)
            elif isinstance(block, Items):
                told += block.texts
            elif isinstance(block, Picture):
                told.append(block.caption)
    return "\n".join(told)


def words(case: dict[str, Any]) -> str:
    """The same of a case."""
    return words_of(make_document(**case))


def test_every_figure_names_its_table() -> None:
    document = make_document(**sample.realistic())
    sources = {
        block.source for section in document.sections for block in section.blocks if isinstance(block, Table)
    } - {None}
    assert sources <= set(TABLES)
    assert sources >= {
        "findings",
        "impact",
        "owners",
        "first_steps",
        "activity",
        "visibility",
        "crl_changes",
        "crl_lint",
    }
    assert "(53, table outcomes)" in Page(render_html(document)).text


def test_findings_are_in_three_tables_by_what_can_be_done() -> None:
    document = make_document(**sample.realistic())
    acted, told, suspect = (table(document, c) for c in ("Findings that", "Findings to be ack", "Suspect notif"))
    assert set(column(acted, "Kind")) == {"orphaned", "lost revocation"}
    assert column(told, "Kind") == ["reused request id", "unaccounted request", "unaccounted request"]
    assert column(told, "Request ID") == ["2601", "2611", "2630"], "a name, not a quantity"
    assert column(suspect, "Kind") == ["suspect notification"]
    findings = sample.realistic()["tables"]["findings"]
    assert acted.total + told.total + suspect.total == len(findings)
    assert "It was revoked between backup and failure." in column(acted, "Circumstances")
    assert "revoke (1 Key Compromise)" in column(acted, "Suggested")


def test_suspect_mails_prove_nothing_anywhere() -> None:
    """Without the suspect finding, only its own table, its counts, its risk and its row in the appendix are gone."""
    case = sample.realistic()
    findings = case["tables"]["findings"]
    without = findings[findings["kind"] != "suspect_notification"].reset_index(drop=True)
    whole, less = make_document(**case), make_document(**with_tables(findings=without))
    for section, other in zip(whole.sections, less.sections, strict=True):
        if section.key in ("summary", "findings", "risks", "appendices"):
            continue
        assert section == other
    assert table(whole, "Findings that") == table(less, "Findings that")


def test_requests_without_a_trace_say_what_helps_and_what_does_not() -> None:
    html = words(sample.realistic())
    assert "2 request IDs were handed out before the failure" in html
    assert "nobody can compute the serial number from the request ID" in html
    assert "deterministic OCSP" in html
    assert "What does not help: a new CRL" in html
    case = sample.realistic()
    findings = case["tables"]["findings"]
    none = findings[findings["kind"] != "unaccounted_request"].reset_index(drop=True)
    assert "deterministic OCSP" not in words(with_tables(findings=none))


@pytest.mark.parametrize(
    ("serials", "says"),
    [
        (["44de0000beef000000000055"], "they can be worked out"),
        (["15fba3bb000000000002"], "hold random bytes"),
        (["x" * 5000, "0", "", "-1", "\u0663"], "nothing shows how this CA makes them"),
        ([], "hold random bytes"),
    ],
)
def test_what_can_be_done_depends_on_how_the_ca_makes_serials(serials: list[str], says: str) -> None:
    """Without rows, the serials of the findings tell."""
    rows = TABLES["ca_rows"].frame([{"serial": serial} for serial in serials])
    assert says in words(with_tables(ca_rows=rows))


def test_old_and_new_revocation_dates_stand_side_by_side() -> None:
    dates = table(make_document(**sample.realistic()), "Revocation dates")
    assert column(dates, "Before the failure")[0] == "2026-03-02 08:00 +01:00"
    assert column(dates, "By the new CRL")[0] == "2026-03-05 09:33 +01:00"
    assert column(dates, "Days between")[0] == "3"
    assert dates.total == 6
    planned = make_document(**with_tables(outcomes=None))
    assert set(column(table(planned, "Revocation dates"), "By the new CRL")) == {"not yet"}
    facts = replace(sample.realistic()["facts"], time_zone=None)
    in_utc = table(make_document(**sample.realistic() | {"facts": facts}), "Revocation dates")
    assert column(in_utc, "Before the failure (UTC)")[0] == "2026-03-02 07:00", "without a zone the title says UTC"
    text = words(sample.realistic())
    assert "For 6 of them the key was compromised" in text
    assert "that matters for code signing" in text


def test_what_clients_can_fetch_is_a_proof_of_its_own() -> None:
    document = make_document(**sample.realistic())
    places = table(document, "Visibility clock")
    assert column(places, "New one there") == ["yes", "no", "not seen", "yes"]
    assert column(places, "Kind") == ["base CRL", "base CRL", "delta CRL", "OCSP"]
    assert "At 2 of 4 places the new list or answer was fetched." in words_of(document)
    visibility = sample.realistic()["tables"]["visibility"].assign(current=pd.array([True] * 4, dtype="boolean"))
    everywhere = make_document(**with_tables(visibility=visibility))
    told = [b for s in everywhere.sections for b in s.blocks if isinstance(b, Paragraph) and "At 4 of 4" in b.text]
    assert [b.tone for b in told] == ["good"]


def test_what_dropped_out_of_the_crl_is_said_first() -> None:
    document = make_document(**sample.realistic())
    assert column(table(document, "Old and new CRL"), "Verdict") == ["unexpected", "expired", "planned"]
    told = words_of(document)
    assert "1 serial number dropped out of the new CRL and nobody planned that" in told
    changes = sample.realistic()["tables"]["crl_changes"]
    kept = words(with_tables(crl_changes=changes[changes["verdict"] != "unexpected"].reset_index(drop=True)))
    assert "Nothing dropped out of the new CRL that should be there." in kept
    assert "Nothing dropped" not in words(with_tables(crl_changes=None)), "no comparison, no claim"


def test_what_stops_the_work_stands_on_the_first_page() -> None:
    html = words(sample.realistic())
    first = html.index("Stop, and settle this first: Keep the CA in maintenance mode")
    assert first < html.index("The certification authority was lost")
    steps = sample.realistic()["tables"]["first_steps"]
    assert "Stop, and" not in words(with_tables(first_steps=steps[steps["when"] != "stop"].reset_index(drop=True)))
    shuffled = table(make_document(**with_tables(first_steps=steps.iloc[::-1].reset_index(drop=True))), "First steps")
    assert column(shuffled, "When") == ["stop", "now", "later"]


def test_days_without_mails_are_told_in_the_case_s_zone() -> None:
    document = make_document(**sample.realistic())
    days = table(document, "Days on which mails are missing")
    assert column(days, "Day") == ["2026-03-03"]
    assert "mails are missing or fewer than usual on 2026-03-03" in words_of(document)


def test_what_is_to_be_replaced_first_and_by_whom() -> None:
    document = make_document(**sample.realistic())
    findings = sample.realistic()["tables"]["findings"]
    assert table(document, "To be replaced before").total == int(findings["replace_first"].fillna(value=False).sum())
    assert column(table(document, "Owners"), "Requester") == ["CORP\\srv412$", "CORP\\user00"]
    assert column(table(document, "Blast radius"), "Which") == ["WebServer", "up to a year", "key 0"]


def test_the_rehearsal_is_never_called_a_test_of_the_ca() -> None:
    html = page(sample.realistic())
    assert "Logic checked against assumptions, never tested on your CA." in html
    assert "logic checked against assumptions, never tested on your CA." in html


def status(**changes: Any) -> Paragraph:
    """The status line of the realistic case with changes."""
    case = sample.realistic()
    tables = dict(case["tables"])
    tables["crl_changes"] = changes.pop("lost", TABLES["crl_changes"].empty())
    outcomes = tables["outcomes"]
    verdict = changes.pop("verdict", None)
    if verdict == "none":
        del tables["outcomes"]
    elif verdict:
        outcomes = outcomes.assign(verdict="proved")
        outcomes.loc[0, "verdict"] = verdict
        tables["outcomes"] = outcomes
    return make_document(**{**case, "tables": tables, **changes}).status


def test_a_crl_that_lost_something_is_never_green() -> None:
    lost = sample.realistic()["tables"]["crl_changes"]
    assert status(verdict="proved", lost=lost).tone == "bad"
    assert "lost from the new CRL" in status(verdict="proved", lost=lost).text
    assert status(verdict="proved", lost=lost[lost["verdict"] != "unexpected"]).tone == "good"


def test_the_status_says_the_worst_first() -> None:
    facts: CaseFacts = sample.realistic()["facts"]
    assert status(verdict="proved") == Paragraph("All 53 decisions are proved.", "good")
    assert status(verdict="pending").tone == "warning"
    assert status(verdict="failed").tone == "bad"
    assert status(verdict="contradicted").tone == "bad"
    assert status(verdict="<i>proved</i>").tone != "good"
    assert "not verified" in status(verdict="none").text
    assert "no plan" in status(plan=None).text
    assert "decommission" in status(verdict="proved", facts=replace(facts, key_exposed="yes")).text


def test_outcomes_that_leave_decisions_out_are_not_all_proved() -> None:
    case = sample.realistic()
    del case["tables"]["crl_changes"]
    outcomes = case["tables"]["outcomes"].assign(verdict="proved")
    tables = {**case["tables"], "outcomes": outcomes.head(50)}
    assert make_document(**{**case, "tables": tables}).status.text.startswith("50 of 53 decisions are proved; 3")
    other = outcomes.assign(action="leave")
    tables = {**case["tables"], "outcomes": other}
    assert make_document(**{**case, "tables": tables}).status.tone == "warning"


def test_a_plan_counts_as_signed_by_two_people_in_two_roles_only() -> None:
    digest = sample.realistic()["plan"].digest
    at = sample.MADE_AT

    def text(*signed: SignOff) -> str:
        return status(verdict="proved", sign_offs=signed).text

    anna, joerg = SignOff(digest, "Anna", "analyst", at), SignOff(digest, "Jörg", "reviewer", at)
    assert "proved" in text(anna, joerg)
    assert "Not signed off" in text(anna)
    assert "Not signed off" in text(anna, replace(joerg, person=" ANNA "))
    assert "Not signed off" in text(anna, replace(joerg, role="analyst"))
    assert "Not signed off" in text(anna, replace(joerg, digest="0" * 64))


def test_until_when_old_lists_are_trusted_is_said_or_said_to_be_unknown() -> None:
    case = sample.realistic()
    assert "Until 2026-03-10 23:00 +01:00 clients may still trust" in page(case)
    past = case["made_at"] - timedelta(days=1)
    assert "no client can trust it any more" in page(case | {"trusted_until": past})
    assert "Until when clients may trust an old CRL is not known" in page(case | {"trusted_until": None})


def test_a_broken_accounting_is_told() -> None:
    case = sample.realistic()
    assert "The units do not add up" not in page(case)
    case["tables"]["accounting"].loc[0, "parsed"] += 1
    assert "The units do not add up" in page(case)


def test_outcomes_of_a_rehearsal_are_enough_and_another_plan_is_named() -> None:
    case = sample.realistic()
    outcomes = case["rehearsal"].outcomes
    assert "CRL shows: 53 proved." in page(case | {"rehearsal": outcomes})
    other = Execution(outcomes, plan_digest="e" * 64)
    assert f"earlier plan (digest {'e' * 64})" in page(case | {"rehearsal": other})


def test_equal_inputs_make_equal_documents() -> None:
    assert make_document(**sample.realistic()) == make_document(**sample.realistic())


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "Europe", "<b>"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    case = sample.empty()
    with pytest.raises(UsageError, match="is no time zone"):
        make_document(**{**case, "facts": CaseFacts(time_zone=zone)})


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_the_ends_of_the_calendar_are_shown(at: datetime) -> None:
    for zone in ("Pacific/Kiritimati", "America/Adak"):
        assert " +" in page(sample.empty() | {"facts": CaseFacts(backup=at, failure=at, time_zone=zone)})


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match="there is one in: en"):
        make_document(**sample.empty(), language="xx")


def test_every_language_has_every_word_of_every_list() -> None:
    for language, texts in LANGUAGES.items():
        say = Words(language)
        assert texts.keys() == LANGUAGES["en"].keys()
        for prefix, words in (("kind", FINDING_KINDS), ("action", ACTIONS), ("verdict", VERDICTS)):
            for word in words:
                assert "2" in say(f"{prefix}_{word}", n=2)


def test_every_text_is_used() -> None:
    sources = "".join(
        p.read_text(encoding="utf-8")
        for p in (Path(__file__).parents[2] / "carecover/report").glob("*.py")
        if p.name != "texts.py"
    )
    composed = ("kind_", "action_", "verdict_", "method_", "key_", "risk_key_", "column_", "place_", "trace_")
    unused = [key for key in LANGUAGES["en"] if f'"{key}"' not in sources and not key.startswith(composed)]
    assert unused == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\t c", "a b c"),
        ("\x1b[2J", "[U+001B][2J"),
        ("\ud800", "[U+D800]"),
        ("a\u200bb", "a[U+200B]b"),
        ("x" * 400, "x" * MAX_TEXT + "…"),
        ("", ""),
        ("مرحبا", "مرحبا"),
    ],
)
def test_clean_shows_what_would_be_invisible(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_a_long_list_says_how_much_more_there_is() -> None:
    assert cell(["a", "b", "c"]) == "a; b; c"
    assert cell(["a", "b", "c", "d", "e"]) == "a; b; c; and 2 more"
