"""The kit for the CA: what collect.cmd exports is what a case wants, and a cut export is never taken for a whole one.

Goldens are in ``goldens/``; refresh them with ``CARECOVER_UPDATE_GOLDENS=1`` and read the diff.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from carecover import analysis, evidence
from carecover.case import Case
from carecover.cli import cli, main
from carecover.errors import QuestionError, RefusedError, RunError
from carecover.evidence import Context
from carecover.model import TABLES
from carecover.remediation import collect, collect_kit, grammar
from carecover.simulator import Behaviour, Faults, Incident, Scenario, SimulatedCA, SimulatedHost, make_incident
from carecover.simulator import behaviour as known
from carecover.simulator import hive as hives
from carecover.simulator import incident as incidents

GOLDENS = Path(__file__).parent / "goldens"
DONE, MISSING, USAGE, REFUSED, CUT = 0, 1, 2, 3, 5
SERVICE = ("view", "ca.cert", "getcrl", "cainfo")
# Certificate Services has started.
APPLICATION_LOG = (
    b'<?xml version="1.0" encoding="utf-8"?>\r\n<Events>\r\n'
    b'<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System>'
    b'<Provider Name="Microsoft-Windows-CertificationAuthority"/><EventID>26</EventID>'
    b'<TimeCreated SystemTime="2026-10-08T09:00:00.0000000Z"/><Channel>Application</Channel>'
    b"<Computer>PKI01</Computer></System><EventData/></Event>\r\n</Events>\r\n"
)
SCENARIO = Scenario(seed=5, certificates=60, lost=12, audit=True, registry=True)


@cache
def incident() -> Incident:
    """One small incident for all tests of this file."""
    return make_incident(SCENARIO)


@cache
def files() -> Mapping[str, bytes]:
    """What a responder to it would be handed."""
    return {name: b"".join(pieces) for name, pieces in incident().files()}


class Server:
    """The restored CA's server with the kit on it, and what its screen shows."""

    def __init__(
        self, place: Path, *, story: Incident | None = None, faults: Faults | None = None, **given: Any
    ) -> None:
        self.place = place
        self.story = story or incident()
        self.given = {"behaviour": Behaviour(crl_period=self.story.scenario.crl_period), **given}
        self.screen = ""
        self.logs = {"Security": files()["evidence/events/security.xml"], "Application": APPLICATION_LOG}
        self.enrolled = {
            name.rpartition("/")[2]: data for name, data in files().items() if name.startswith("evidence/crl/")
        }
        self.start(faults)
        place.mkdir(exist_ok=True)
        for name, data in collect_kit().items():
            (place / name).write_bytes(data)

    def start(self, faults: Faults | None = None) -> None:
        """The service as it was restored."""
        state = self.story.restored
        hive = hives.Hive.of(state.authority, self.story.scenario.crl_period, audit_filter=127)
        self.ca = SimulatedCA.from_state(state, faults=faults, hive=hive, **self.given)

    def run(self, *arguments: str, elevated: bool = True) -> int:
        """Call collect.cmd; ``screen`` holds what it said."""
        said: list[str] = []
        host = SimulatedHost(self.ca, elevated=elevated, logs=self.logs, enrolled=self.enrolled)
        try:
            return host.execute(self.place, "collect.cmd", arguments or ("GO",), said.append)
        finally:
            self.screen = "".join(said)

    def evidence(self, folder: str = "out") -> Path:
        return self.place / folder / "evidence"

    def pages(self, folder: str = "out") -> list[Path]:
        return sorted(self.evidence(folder).glob("view-*.txt"), key=lambda p: int(p.stem[5:]))


def baseline_of(place: Path) -> analysis.Baseline:
    """What carecover takes for the database, from everything in a folder."""
    found = [(f"E{n}", p) for n, p in enumerate(sorted(place.rglob("*")), start=1) if p.is_file()]
    tables, _ = evidence.read_all(found, Context(time_zone="Europe/Berlin"))
    return analysis.assemble_baseline(
        tables.get("ca_rows", TABLES["ca_rows"].empty()), tables.get("views", TABLES["views"].empty())
    )


def identity(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows without what depends on the file that they came from; an export without -seconds knows minutes only."""
    kept = rows.drop(columns=["evidence_id", "location", "flags"], errors="ignore")
    for name in kept.select_dtypes("datetimetz"):
        kept[name] = kept[name].dt.floor("min")
    return kept.sort_values("request_id", ignore_index=True)


# --------------------------------------------------------------------------------- the files


@pytest.mark.parametrize(("name", "golden"), [("collect.cmd", "collect.cmd"), ("README.txt", "collect-README.txt")])
def test_the_files_are_byte_for_byte_the_golden_ones(name: str, golden: str) -> None:
    made = collect_kit()[name]
    if os.environ.get("CARECOVER_UPDATE_GOLDENS") == "1":
        (GOLDENS / golden).write_bytes(made)
    kept = (GOLDENS / golden).read_bytes()
    diff = difflib.unified_diff(kept.decode().splitlines(), made.decode().splitlines(), "golden", "made", lineterm="")
    assert made == kept, "\n".join(diff)


def test_the_script_fits_a_console_and_its_readme_a_page() -> None:
    kit = collect_kit()
    shown = [line.partition("echo ")[2] for line in kit["collect.cmd"].decode("ascii").split("\r\n") if "echo " in line]
    assert max(map(len, shown)) <= 120
    readme = kit["README.txt"].decode("ascii").split("\r\n")
    assert len(readme) <= 60
    assert max(map(len, readme)) <= 120


@pytest.mark.parametrize(
    "line",
    [
        '"%CERTUTIL%" -crl >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -revoke %S% 1 >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -importcert "%FILE%" >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -Cert %SIGNER% -sign %SERIAL% "%FILE%" >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -setreg "%KEY%" > "%FILE%" 2>&1',
        '"%CERTUTIL%" -deleterow 5 > "%FILE%" 2>&1',
        '"%CERTUTIL%" -view Queue > "%FILE%" 2>&1',
        '"%CERTUTIL%" -f -getcrl "%FILE%" %INDEX% > "%OUT%" 2>&1',
        '"%REG%" delete "HKLM\\SYSTEM" >> "%LOG%" 2>&1',
        '"%REG%" import "%HERE%%FILE%" >> "%LOG%" 2>&1',
        '"%WEVTUTIL%" cl Security >> "%LOG%" 2>&1',
        '"%WEVTUTIL%" epl System "%HERE%%FILE%" "/q:*" >> "%LOG%" 2>&1',
        '"%TZUTIL%" /s > "%FILE%" 2>&1',
        'copy /y "%IN%\\*.crl" "%ENROLL%" >> "%LOG%" 2>&1',
        'for %%f in (%ENROLL%\\*) do "%CERTUTIL%" -hashfile "%%f" SHA256 >> "%HASHES%" 2>&1',
        "for %%f in (%IN%\\*) do call :start",
        'for /f "tokens=2 delims=()" %%a in (%OUT%) do set "CERTUTIL=%%a"',
    ],
)
def test_its_form_has_no_line_that_changes_a_server(line: str) -> None:
    with pytest.raises(RefusedError, match="line 2 "):
        grammar.check(f"@echo off\r\n{line}\r\nexit /b 0\r\n".encode(), collects=True)


def test_a_bundle_may_not_do_what_the_kit_does() -> None:
    with pytest.raises(RefusedError, match="outside the form"):
        grammar.check(collect_kit()["collect.cmd"])


# ------------------------------------------------------------------- what comes out of a whole run


def test_everything_is_exported_and_nothing_is_changed(tmp_path: Path) -> None:
    server = Server(tmp_path)
    before = server.ca.table()
    assert server.run() == DONE, server.screen
    assert "DONE: everything was exported." in server.screen
    assert "TO DO" not in server.screen
    pd.testing.assert_frame_equal(server.ca.table(), before)
    assert not server.ca.crls, "nothing was published"
    assert {call.verb for call in server.ca.calls} == {*SERVICE, "getreg", "hashfile", "usage"}
    assert not (server.evidence() / "INCOMPLETE.txt").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"collect.cmd", "README.txt", "out"}


def test_the_hash_list_names_every_file_of_the_evidence(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.run()
    hashes = (tmp_path / "out" / "hashes.txt").read_text("cp850")
    for path in server.evidence().rglob("*"):
        if path.is_file():
            assert str(path.relative_to(tmp_path)).replace("/", "\\") in hashes
            assert evidence_hash(path) in hashes
    assert evidence_hash(tmp_path / "out" / "hashes.txt") in server.screen, "to be written down"


def evidence_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_case_made_of_the_export_finds_what_the_incidents_own_evidence_shows(tmp_path: Path) -> None:
    server = Server(tmp_path / "server", faults=Faults(fail_verb=dict.fromkeys(SERVICE, known.RPC_UNAVAILABLE)))
    assert server.run() == CUT, "before the service starts"
    server.start()
    assert server.run() == DONE, "when it runs"
    incident().write(tmp_path / "incident")
    own = tmp_path / "incident" / "evidence"
    facts: dict[str, Any] = dict(incident().facts.to_json())
    usual = Case.create(tmp_path / "usual", **facts)
    usual.add([own])
    ours = Case.create(tmp_path / "ours", **facts)
    accounting = ours.add([server.evidence(), server.evidence("out2"), own / "mail", own / "found"])
    assert not accounting["rejected"].sum(), ours.table("rejects")["reason"].tolist()

    pd.testing.assert_frame_equal(identity(ours.table("ca_rows")), identity(usual.table("ca_rows")))
    for name, columns in (
        ("crls", ["crl_sha256", "crl_number", "signed_by_ca"]),
        ("crl_entries", ["crl_sha256", "serial", "reason"]),
        ("certificates", ["certificate_sha256", "signed_by_ca"]),
        ("findings", ["finding_id", "kind", "serial", "confidence", "suggested_action", "suggested_reason"]),
    ):
        assert records(ours.table(name), columns) == records(usual.table(name), columns), name
    assert len(ours.findings) > len(incident().truth["expected"]["orphaned"])
    for name, columns in (
        ("audit_events", ["event_id", "recorded_at", "serial"]),
        ("registry", ["key", "name", "value", "ca_name"]),
    ):
        assert len(usual.table(name)), name
        assert records(usual.table(name), columns) <= records(ours.table(name), columns), name


def records(table: pd.DataFrame, columns: Iterable[str]) -> set[tuple[str, ...]]:
    return {tuple(map(str, row)) for row in table[list(columns)].itertuples(index=False)}


def test_the_registry_is_the_same_from_certutil_and_from_reg(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.run()
    columns = ["key", "name", "value", "ca_name"]
    file = evidence.read(server.evidence() / "registry.reg").tables["registry"]
    readings = [evidence.read(path).tables for path in server.evidence().glob("registry-*.txt")]
    listed = [tables["registry"] for tables in readings if "registry" in tables]
    assert {name.casefold() for name in file["name"]} >= {"highserial", "crlperiod", "eventfilter", "bodyformat"}

    def folded(table: pd.DataFrame) -> set[tuple[str, ...]]:
        return {tuple(part.casefold() for part in row) for row in records(table, columns)}

    assert folded(pd.concat(listed)) <= folded(file)
    assert len(folded(pd.concat(listed))) > 20


def test_the_crl_table_comes_out_in_the_form_of_a_view(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.run()
    text = (server.evidence() / "crl-table.txt").read_text("cp850")
    rows = evidence.read(server.evidence() / "crl-table.txt").tables["crl_rows"]
    assert list(rows["crl_number"]) == [str(incident().restored.crl_number)]
    assert not rows["is_delta"].any()
    assert all(f"\n  {name} " in text for name in collect.CRL_COLUMNS)


def test_every_ca_certificate_and_crl_is_asked_for_by_its_index(tmp_path: Path) -> None:
    story = make_incident(Scenario(seed=6, certificates=30, lost=5, renewal="new_key"))
    server = Server(tmp_path, story=story, behaviour=Behaviour(publishes_at_start=True))
    assert server.run() == DONE, server.screen
    own = story.restored.authority.certificates
    assert len(own) == 2
    for index in range(2):
        place = server.evidence()
        versions = evidence.read(place / f"ca-{index}.cer").tables["certificates"]["ca_version"]
        assert [int(version) & 0xFFFF for version in versions] == [index]
        assert (place / f"base-{index}.crl").read_bytes() == server.ca.crls[index]
    assert not (server.evidence() / "ca-2.cer").exists()
    assert "CA certificates  2\n" in server.screen


def test_the_columns_are_those_that_the_table_of_rows_reads() -> None:
    assert set(collect.VIEW_COLUMNS) == set(incidents.VIEW_COLUMNS)


# -------------------------------------------------------------------------------- page by page


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of ten request IDs, and of three where one of those fails."""
    monkeypatch.setattr(collect, "PAGE_SIZE", 10)
    monkeypatch.setattr(collect, "SMALL_PAGE_SIZE", 3)


def restrictions(server: Server) -> list[str]:
    """The windows that the database was asked for."""
    calls = [call.arguments for call in server.ca.calls if call.verb == "view" and "-gmt" in call.arguments]
    return [arguments[arguments.index("-restrict") + 1] for arguments in calls if "-restrict" in arguments]


@pytest.mark.usefixtures("small_pages")
def test_pages_join_to_the_whole_database(tmp_path: Path) -> None:
    server = Server(tmp_path)
    assert server.run() == DONE, server.screen
    newest = incident().restored.next_request_id - 1
    assert len(server.pages()) == -(-newest // 10)
    assert restrictions(server)[1] == "RequestID>10,RequestID<=20"
    assert restrictions(server)[-1] == f"RequestID>{(newest - 1) // 10 * 10}", "the last one has no end"
    rows = baseline_of(server.evidence()).rows
    assert sorted(rows["request_id"]) == sorted(server.ca.table()["request_id"])


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("number", ["1", "7", "20", "50", "999999", "007"])
def test_a_number_that_is_told_wrongly_costs_no_row(tmp_path: Path, number: str) -> None:
    server = Server(tmp_path)
    if number == "007":
        with pytest.raises(RefusedError, match="not both plain numbers"):
            server.run("GO", number)  # cmd.exe reads it as octal; the interpreter rather says so
        return
    assert server.run("GO", number) == DONE, server.screen
    assert sorted(baseline_of(server.evidence()).rows["request_id"]) == sorted(server.ca.table()["request_id"])
    assert (len(server.pages()) == 1) == (number in ("1", "7", "999999"))


@pytest.mark.usefixtures("small_pages")
def test_a_window_without_rows_is_no_page(tmp_path: Path) -> None:
    server = Server(tmp_path)
    real = server.ca.certutil

    def purged(arguments: Any, folder: Any) -> Any:
        """The rows 11 to 20 were deleted years ago."""
        return real([a.replace("RequestID>10,RequestID<=20", "RequestID=0") for a in arguments], folder)

    server.ca.certutil = purged  # type: ignore[method-assign]
    assert server.run() == DONE, server.screen
    assert not (server.evidence() / "view-2.txt").exists()
    rows = baseline_of(server.evidence()).rows["request_id"]
    assert set(server.ca.table()["request_id"]) - set(rows) == set(range(11, 21))


def call_number(server: Server, wanted: str) -> int:
    """The number of the first call with this argument in a run without trouble."""
    return next(n for n, call in enumerate(server.ca.calls, start=1) if wanted in call.arguments)


@pytest.mark.usefixtures("small_pages")
def test_where_a_page_fails_the_rest_is_asked_for_in_smaller_ones(tmp_path: Path) -> None:
    first = Server(tmp_path / "first")
    first.run()
    number = call_number(first, "RequestID>20,RequestID<=30")
    server = Server(tmp_path / "second", faults=Faults(fail_at={number: 0x8009400F}))
    assert server.run() == DONE, server.screen
    assert "RequestID>20,RequestID<=23" in restrictions(server)
    assert "FAILED: page 3" in server.screen
    assert sorted(baseline_of(server.evidence()).rows["request_id"]) == sorted(server.ca.table()["request_id"])


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("code", [0x8009400F, known.RPC_UNAVAILABLE, known.ACCESS_DENIED])
def test_a_page_that_cannot_be_had_is_loud_and_the_rest_no_baseline(tmp_path: Path, code: int) -> None:
    first = Server(tmp_path / "first")
    first.run()
    number = call_number(first, "RequestID>20,RequestID<=30")
    server = Server(tmp_path / "second", faults=Faults(fail_at={number: code, number + 1: code}))
    assert server.run() == CUT
    assert "NOT WHOLE, pages: 2" in server.screen
    assert "TO DO:" in server.screen
    assert ("may not read" in server.screen) == (code == known.ACCESS_DENIED)
    assert (server.evidence() / "INCOMPLETE.txt").read_text("ascii").startswith("THIS EXPORT IS NOT WHOLE.")
    with pytest.raises(QuestionError, match="incomplete"):
        baseline_of(server.evidence())


@pytest.mark.usefixtures("small_pages")
def test_an_export_that_was_killed_anywhere_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    first = Server(tmp_path / "first")
    first.run()
    begin, end = call_number(first, "RequestId==$"), call_number(first, restrictions(first)[-1])
    outcomes = set()
    for number in range(begin, end + 1):
        server = Server(tmp_path / str(number), faults=Faults(die_after=number))
        with pytest.raises(RunError, match="was interrupted"):
            server.run()
        try:
            rows = len(baseline_of(server.evidence()).rows)
        except QuestionError:
            rows = -1
        outcomes.add(rows)
    assert outcomes <= {-1, 0}, "asked about, or nothing there at all"
    assert -1 in outcomes


def test_a_database_that_does_not_tell_its_newest_request_is_exported_in_one_page(tmp_path: Path) -> None:
    first = Server(tmp_path / "first")
    first.run()
    failing = Faults(fail_at={call_number(first, "RequestId==$"): known.INVALID_PARAMETER})
    server = Server(tmp_path / "second", faults=failing)
    assert server.run() == DONE, server.screen
    assert restrictions(server) == ["RequestID>0"]


@pytest.mark.parametrize("language", ["de", "fr", "none"])
def test_no_word_of_certutil_is_needed(tmp_path: Path, language: known.Language) -> None:
    server = Server(tmp_path, behaviour=Behaviour(language=language))
    assert server.run() == DONE, server.screen
    assert sorted(baseline_of(server.evidence()).rows["serial"].dropna()) == sorted(
        server.ca.table()["serial"].dropna()
    )


def test_an_older_crl_table_is_exported_with_all_its_columns(tmp_path: Path) -> None:
    server = Server(tmp_path)
    real = server.ca.certutil

    def older(arguments: Any, folder: Any) -> Any:
        """A CA that does not know one of the columns."""
        return real([a.replace("CRLCount", "CRLNonsense") for a in arguments], folder)

    server.ca.certutil = older  # type: ignore[method-assign]
    assert server.run() == DONE, server.screen
    assert "CRLNumber" in (server.evidence() / "crl-table.txt").read_text("cp850")


# ------------------------------------------------------------------------- trouble on the server


def test_before_the_service_starts_what_it_may_overwrite_is_saved(tmp_path: Path) -> None:
    server = Server(tmp_path, faults=Faults(fail_verb=dict.fromkeys(SERVICE, known.RPC_UNAVAILABLE)))
    assert server.run() == CUT
    assert "If its service is not started yet, that is as it should be" in server.screen
    names = {p.name for p in server.evidence().rglob("*") if p.is_file()}
    assert {"security.evtx", "application.evtx", "registry.reg", "registry-ca.txt", *server.enrolled} <= names
    assert not {n for n in names if n.startswith(("view", "ca-", "INCOMPLETE"))}

    # Once it runs, the same call makes the rest, in a folder of its own; both are handed in together.
    server.start()
    kept = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert server.run() == DONE, server.screen
    assert "Exported into out2:" in server.screen
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == kept
    assert len(baseline_of(tmp_path).rows) == len(server.ca.table())


def test_a_tenth_export_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path)
    for name in ("out", *(f"out{n}" for n in range(2, 10))):
        (tmp_path / name).mkdir()
    assert server.run() == REFUSED
    assert "nine exports" in server.screen
    assert not server.ca.calls


@pytest.mark.parametrize("arguments", [("",), ("NO",), ("GO", "12a"), ("GO", "-1"), ("GO", "1", "2"), ("go now",)])
def test_without_the_word_nothing_is_done(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    server = Server(tmp_path)
    assert server.run(*arguments) == USAGE
    assert "collect.cmd GO" in server.screen
    assert {p.name for p in tmp_path.iterdir()} == {"collect.cmd", "README.txt"}


def test_a_plain_prompt_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    server = Server(tmp_path)
    assert server.run(elevated=False) == REFUSED
    assert "Run as administrator" in server.screen
    assert {p.name for p in tmp_path.iterdir()} == {"collect.cmd", "README.txt"}


def test_away_from_its_folder_it_writes_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path)
    (tmp_path / "README.txt").unlink()
    assert server.run() == REFUSED
    assert {p.name for p in tmp_path.iterdir()} == {"collect.cmd"}


def test_what_a_server_does_not_have_is_said_with_what_to_do(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.logs.clear()
    server.enrolled.clear()
    server.ca.hive = hives.Hive(server.ca.hive.ca_name, {})
    assert server.run() == MISSING
    said = server.screen
    assert "the Security log was not exported" in said
    assert "the Application log was not exported" in said
    assert "no CRL was found" in said
    assert "the registry of the CA was not read whole" in said
    assert "no SMTP exit module" in said
    assert "database         whole" in said
    assert len(baseline_of(server.evidence()).rows) == len(server.ca.table())
    assert not [p for p in server.evidence().glob("*.txt") if "FAILED" in p.read_text("cp850")], (
        "no failure among evidence"
    )


def test_names_that_somebody_left_in_certenroll_start_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.enrolled |= {"a & calc & .crl": b"x", "100%PATH%.crl": b"y", "^b!.crl": b"z", "c';(d).crl": b""}
    assert server.run() == DONE, server.screen
    copied = {p.name for p in (server.evidence() / "certenroll").iterdir()}
    assert {"a & calc & .crl", "100%PATH%.crl", "^b!.crl"} <= copied
    assert {call.verb for call in server.ca.calls} == {*SERVICE, "getreg", "hashfile", "usage"}


def test_a_ca_certificate_in_the_middle_may_be_gone(tmp_path: Path) -> None:
    story = make_incident(Scenario(seed=6, certificates=30, lost=5, renewal="new_key"))
    server = Server(tmp_path, story=story)
    del server.ca._own[0]
    assert server.run() == DONE, server.screen
    assert (server.evidence() / "ca-1.cer").exists()
    assert "CA certificates  1\n" in server.screen


# --------------------------------------------------------------------------------- the command


def test_the_command_writes_the_kit_into_a_new_folder_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert CliRunner().invoke(cli, ["collect-kit", str(tmp_path / "kit")]).exit_code == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "kit").iterdir()} == collect_kit()
    assert main(["collect-kit", str(tmp_path / "kit")]) == 4
    assert "is not empty" in capsys.readouterr().err
