"""What the batches look at before and after each step, and what that costs: each refusal, end and hint has a story."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from carecover.errors import RefusedError
from carecover.model import Disposition, Plan, PlanItem
from carecover.proof import read_transcript
from carecover.remediation import certificate_name
from carecover.remediation.bundle import MANY_CRL_ROUNDS, MAX_CRL_ROUNDS, calls_of
from carecover.simulator import Behaviour, Faults, SimulatedHost
from carecover.simulator import behaviour as known
from carecover.simulator.behaviour import EVERYTHING
from carecover.simulator.windows import CallResult, Folder, Program
from tests.planned_bundle import ABORTED, DONE, OPEN, REFUSED, USAGE, Bundle, incident, make_plan, planned

SESSIONS, DISK_FULL, LDAP = 0x8009400F, 0x80070070, 0x8007208D
LAST = incident().truth["crl"]["last_published"]
RESTORED = incident().truth["crl"]["restored"]


def one(fits: Callable[[PlanItem], bool], **changes: Any) -> Plan:
    """The plan with one item of a kind only."""
    item = next(item for item in make_plan().items if fits(item))
    return replace(make_plan(), items=(replace(item, number=1, **changes),))


def is_row(item: PlanItem) -> bool:
    return item.kind == "lost_revocation"


def is_dummy(item: PlanItem) -> bool:
    return item.method == "dummy"


def is_original(item: PlanItem) -> bool:
    return item.method == "original" and item.action == "revoke"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A row to revoke, and a database that nobody has backed up yet."""
    made = Bundle(tmp_path, plan=one(is_row))
    shutil.rmtree(tmp_path / "backup")
    return made


def said(bundle: Bundle) -> str:
    return "".join(bundle.lines)


def log(bundle: Bundle, phase: str) -> str:
    """The markers of one phase; the reader of transcripts knows them all."""
    data = (bundle.directory / "logs" / f"carecover-{phase}.log").read_bytes()
    assert read_transcript(data).damaged == 0
    return data.decode("cp850")


# ------------------------------------------------------------------------------------- the cost


@pytest.mark.parametrize(
    ("plan", "verbs"),
    [
        (one(is_dummy), {"view": 3, "hashfile": 1, "importcert": 1, "revoke": 1}),
        (one(is_dummy, serial="ff00000001"), {"view": 4, "hashfile": 1, "importcert": 1, "revoke": 1}),
        (one(is_original), {"view": 3, "hashfile": 1, "importcert": 1, "revoke": 1}),
        (one(lambda item: item.action == "restore"), {"view": 2, "hashfile": 1, "importcert": 1}),
        (one(is_row), {"view": 2, "revoke": 1}),
        (one(is_row, action="restore", reason=None), {"view": 1}),
    ],
    ids=["dummy", "high dummy", "original", "restored", "row", "restored row"],
)
def test_the_calls_for_a_certificate_are_those_that_are_stated(
    tmp_path: Path, plan: Plan, verbs: dict[str, int]
) -> None:
    bundle = Bundle(tmp_path, plan=plan)
    if plan.needs_dummies:
        bundle.ready()
    bundle.ca.calls.clear()
    assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
    # Once in a run: the CA's certificate, its hash, the baseline and what is newer.
    assert Counter(call.verb for call in bundle.ca.calls) - Counter({"ca.cert": 1, "hashfile": 1, "view": 2}) == verbs
    assert sum(verbs.values()) == calls_of(plan.items[0])
    assert f"about {4 + sum(verbs.values())} calls" in said(bundle)
    bundle.ca.calls.clear()
    bundle.run("revoke.cmd", "status")
    assert len(bundle.ca.calls) - 2 == 2, "one question, one line of the view"


@pytest.mark.parametrize(("fits", "calls"), [(is_row, 2), (is_original, 3)])
def test_what_is_as_planned_is_only_asked_for(tmp_path: Path, fits: Callable[[PlanItem], bool], calls: int) -> None:
    bundle = Bundle(tmp_path, plan=one(fits))
    for _ in range(2):
        bundle.ca.calls.clear()
        assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
    # Imported before: its row and its number are accounted for, and what is newer is asked for once more.
    counted = 0 if fits is is_row else 3
    assert len(bundle.ca.calls) == 4 + counted + calls


# ----------------------------------------------------------------------------------- the backup


def test_without_a_backup_nothing_is_applied(bundle: Bundle) -> None:
    assert bundle.run("revoke.cmd", "apply") == REFUSED
    assert "revoke.cmd backup" in said(bundle)
    assert "NOBACKUP" in said(bundle)
    assert "revoke" not in {call.verb for call in bundle.ca.calls}
    assert bundle.run("revoke.cmd", "backup") == DONE, bundle.lines
    assert ["-backupDB", "backup", "KeepLog"] in [list(call.arguments) for call in bundle.ca.calls]
    calls = len(bundle.ca.calls)
    assert bundle.run("revoke.cmd", "backup") == DONE
    assert "backupdb" not in {call.verb for call in bundle.ca.calls[calls:]}, "a whole one is not made again"
    assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
    assert "@@CR backup whole" in log(bundle, "apply")
    assert bundle.states() == planned(bundle.plan)


@pytest.mark.parametrize("words", [("NOBACKUP",), ("FIRST", "NOBACKUP"), ("first", "nobackup")])
def test_who_has_a_backup_elsewhere_says_so_and_it_is_logged(bundle: Bundle, words: tuple[str, ...]) -> None:
    assert bundle.run("revoke.cmd", "apply", *words) == DONE, bundle.lines
    assert "@@CR backup none" in log(bundle, "apply")


@pytest.mark.parametrize(
    "words",
    [
        *(("apply", "NOBACKUP", "FIRST"), ("apply", "FIRST", "MANY"), ("apply", "FIRST NOBACKUP"), ("backup", "FIRST")),
        *(("apply", "FIRST", "NOBACKUP", "x"), ("publish", "MANY", "PARTIAL"), ("publish", "NOBACKUP")),
    ],
)
def test_words_in_another_order_or_too_many_do_nothing(bundle: Bundle, words: tuple[str, ...]) -> None:
    assert bundle.run("revoke.cmd", *words) == USAGE
    assert bundle.ca.calls == []


def test_a_backup_that_failed_or_was_cut_off_is_none(bundle: Bundle) -> None:
    bundle.ca.faults = Faults(fail_verb={"backupdb": DISK_FULL})
    assert bundle.run("revoke.cmd", "backup") == ABORTED
    assert "the disk is full" in said(bundle)
    assert bundle.run("revoke.cmd", "apply") == REFUSED
    # Power failed when the file was there already: what is in the folder is not known to be whole.
    bundle.back_up()
    assert bundle.run("revoke.cmd", "apply") == REFUSED
    assert bundle.run("revoke.cmd", "backup") == REFUSED
    assert "move it away" in said(bundle).lower()
    shutil.rmtree(bundle.directory / "backup")
    bundle.ca.faults = Faults()
    assert bundle.run("revoke.cmd", "backup") == DONE, bundle.lines
    assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
    (bundle.directory / "backup" / "DataBase" / "certbkxp.dat").unlink()
    assert bundle.run("revoke.cmd", "backup") == REFUSED


def test_the_account_of_another_role_makes_no_backup(bundle: Bundle) -> None:
    bundle.ca = bundle.new_ca(rights=EVERYTHING - {"backup"})
    assert bundle.run("revoke.cmd", "backup") == ABORTED
    assert "access-denied" in said(bundle)


def test_a_release_wants_the_backup_too(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, plan=one(lambda item: item.action == "unrevoke"))
    shutil.rmtree(tmp_path / "backup")
    assert bundle.run("undo.cmd", "apply") == REFUSED
    assert bundle.run("undo.cmd", "hold", "1") == REFUSED
    assert bundle.run("undo.cmd", "hold", "1", "x") == USAGE
    assert bundle.run("undo.cmd", "apply", "NOBACKUP") == DONE, bundle.lines
    assert bundle.states() == planned(bundle.plan, released=True)


# ------------------------------------------------------------------------ who, where, which server


def test_who_is_no_administrator_of_the_server_needs_no_elevation(bundle: Bundle) -> None:
    assert bundle.run("revoke.cmd", "apply", "NOBACKUP", elevated=False) == REFUSED
    assert bundle.run("revoke.cmd", "apply", "NOBACKUP", elevated=False, administrator=False) == DONE, bundle.lines
    assert "@@CR hint not-elevated" in log(bundle, "apply")


def test_what_uses_the_key_is_always_elevated(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, plan=one(is_dummy))
    assert bundle.run("prepare.cmd", "GO", elevated=False, administrator=False) == REFUSED
    assert bundle.ca.calls == []


def test_a_node_of_a_cluster_is_refused(bundle: Bundle) -> None:
    for phase in ("preflight", "backup", "apply", "publish"):
        assert bundle.run("revoke.cmd", phase, cluster=True) == REFUSED
        assert "failover cluster" in said(bundle)
    assert bundle.ca.calls == []


@pytest.mark.parametrize(
    ("config", "computer", "code"),
    [
        ("CA01\\Example Issuing CA 1", "CA01", DONE),
        ("ca01.corp.example\\Example Issuing CA 1", "CA01", DONE),
        ("a-very-long-name-of-a-ca.corp.example\\Example Issuing CA 1", "A-VERY-LONG-NAM", DONE),
        ("CACLUSTER\\Example Issuing CA 1", "NODE1", REFUSED),
        ("CA01\\Example Issuing CA 1", "CA010", REFUSED),
        ("CA01\\Example Issuing CA 1", "", REFUSED),
        # Outside the whitelist the string is left out, and the CA of this server is asked.
        ("CA01\\Prüfstelle & Söhne", "NODE1", DONE),
    ],
)
def test_a_bundle_runs_on_the_server_that_its_string_names(
    tmp_path: Path, config: str, computer: str, code: int
) -> None:
    bundle = Bundle(tmp_path, plan=replace(one(is_row), config=config))
    assert bundle.run("revoke.cmd", "apply", environment={"COMPUTERNAME": computer}) == code, bundle.lines
    assert (bundle.ca.calls == []) == (code == REFUSED)
    assert ("-config" in {word for call in bundle.ca.calls for word in call.arguments}) == (
        code == DONE and "&" not in config
    )


def test_a_ca_that_does_not_answer_a_ping_is_refused(bundle: Bundle) -> None:
    bundle.ca.faults = Faults(fail_verb={"ping": known.RPC_UNAVAILABLE})
    assert bundle.run("revoke.cmd", "preflight") == REFUSED
    assert "-ping" in said(bundle)
    assert "ADVICE" in said(bundle)


# ------------------------------------------------------------------------------------- the hints


def test_what_preflight_knows_of_the_ca_it_hints_at_and_refuses_nothing(bundle: Bundle) -> None:
    # Where role separation is on, the CA denies an account that has two roles.
    bundle.ca = bundle.new_ca(rights=frozenset({"read", "officer"}))
    hive = bundle.ca.hive.having("", RoleSeparationEnabled=1, OfficerRights=b"\1\2", HighSerial="4400aa")
    bundle.ca.hive = hive.having("exit\\smtp", EventFilter=0x2 + 0x8 + 0x20 + 0x40 + 0x200)
    assert bundle.run("revoke.cmd", "preflight") == DONE, bundle.lines
    text = log(bundle, "preflight")
    for hint in ("role-separation", "officer-restrictions", "high-serial string", "mails 1", "crl-mails"):
        assert f"@@CR hint {hint}\r\n" in text
    assert said(bundle).count("HINT") == 5
    assert "nothing is switched off" in said(bundle)


def test_a_plain_ca_needs_no_hint(bundle: Bundle) -> None:
    bundle.ca.hive = bundle.ca.hive.having("", HighSerial=0x44).having("exit\\smtp", EventFilter=None)
    assert bundle.run("revoke.cmd", "preflight") == DONE
    assert "HINT" not in said(bundle)


def test_a_value_that_cannot_be_read_is_said_and_not_guessed(bundle: Bundle) -> None:
    bundle.ca.faults = Faults(fail_verb={"getreg": known.ACCESS_DENIED})
    assert bundle.run("revoke.cmd", "preflight") == DONE
    assert log(bundle, "preflight").count(" unknown") == 4
    bundle.ca.faults = Faults()
    bundle.ca.hive = bundle.ca.hive.having("exit\\smtp", EventFilter=0x400)
    assert bundle.run("revoke.cmd", "preflight") == DONE
    assert "@@CR hint mails unknown" in log(bundle, "preflight")


# -------------------------------------------------------------------------- failures by their code


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (known.RPC_UNAVAILABLE, "rpc-unavailable"),
        (known.ACCESS_DENIED, "access-denied"),
        (SESSIONS, "too-many-sessions"),
        (DISK_FULL, "disk-full"),
        (known.ACCESS_VIOLATION, "certutil-crash"),
    ],
)
def test_a_failure_that_is_known_ends_the_run_with_advice(tmp_path: Path, code: int, word: str) -> None:
    rows = [item for item in make_plan().items if is_row(item) or is_original(item)]
    plan = replace(make_plan(), items=tuple(replace(item, number=n) for n, item in enumerate(rows, start=1)))
    bundle = Bundle(tmp_path, plan=plan)
    bundle.ca.faults = Faults(fail_verb={"revoke": code})
    assert bundle.run("revoke.cmd", "apply") == ABORTED
    assert f"@@CR aborted {word}" in log(bundle, "apply")
    assert "ADVICE" in said(bundle)
    assert [call.verb for call in bundle.ca.calls].count("revoke") == 1
    bundle.ca.faults = Faults()
    assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines


def test_signing_knows_the_same_failures(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, plan=one(is_dummy))
    bundle.ca.faults = Faults(fail_verb={"sign": DISK_FULL})
    assert bundle.run("prepare.cmd", "GO") == ABORTED
    assert "the disk is full" in said(bundle)


@pytest.mark.parametrize(("code", "word"), [(LDAP, "crl-ldap"), (0x80070035, "crl"), (SESSIONS, "too-many-sessions")])
def test_a_publication_that_failed_is_looked_at_all_the_same(bundle: Bundle, code: int, word: str) -> None:
    assert bundle.run("revoke.cmd", "apply", "NOBACKUP") == DONE
    bundle.ca.faults = Faults(fail_verb={"crl": code})
    calls = len(bundle.ca.calls)
    assert bundle.run("revoke.cmd", "publish") == ABORTED
    assert f"@@CR aborted {word}" in log(bundle, "publish")
    assert "ADVICE" in said(bundle)
    assert "getcrl" in {call.verb for call in bundle.ca.calls[calls:]}


# -------------------------------------------------------------------------------------- publish


def crl_calls(bundle: Bundle) -> int:
    return [call.verb for call in bundle.ca.calls].count("crl")


@pytest.mark.parametrize("rounds", [1, 2, MAX_CRL_ROUNDS, MAX_CRL_ROUNDS + 1, MANY_CRL_ROUNDS + 1])
def test_new_crls_are_counted_before_the_first_is_made(tmp_path: Path, rounds: int) -> None:
    plan = replace(one(is_row), last_crl_numbers={"0": str(RESTORED + rounds - 1)})
    bundle = Bundle(tmp_path, plan=plan)
    assert bundle.run("revoke.cmd", "apply") == DONE
    code = bundle.run("revoke.cmd", "publish")
    if rounds > MAX_CRL_ROUNDS:
        assert (code, crl_calls(bundle)) == (REFUSED, 0)
        assert "MANY" in said(bundle)
        code = bundle.run("revoke.cmd", "publish", "MANY")
    if rounds > MANY_CRL_ROUNDS:
        assert (code, crl_calls(bundle)) == (REFUSED, 0)
        assert "Nothing was published" in said(bundle)
    else:
        assert (code, crl_calls(bundle)) == (DONE, rounds), bundle.lines
        assert f"@@CR rounds {rounds}" in log(bundle, "publish")


def test_an_entry_that_is_missing_from_a_new_crl_is_said_once_and_the_number_still_passes(tmp_path: Path) -> None:
    plan = replace(one(is_row), last_crl_numbers={"0": str(RESTORED + 9)})
    bundle = Bundle(tmp_path, plan=plan)
    assert bundle.run("revoke.cmd", "apply") == DONE
    # It has expired meanwhile: the CA keeps it on one more CRL, and drops it from the next.
    bundle.ca.now += timedelta(days=3 * 365)
    code = bundle.run("revoke.cmd", "publish")
    assert code == OPEN, bundle.lines
    assert "is not in the new CRL" in said(bundle)
    # A list whose number is behind would be ignored by clients, with all others that are on it.
    assert log(bundle, "publish").count(f"@@CR unlisted 1 {plan.items[0].serial}") == 1
    assert "@@CR crl-number passed" in log(bundle, "publish")
    assert crl_calls(bundle) == 10


def test_what_was_left_out_on_purpose_is_not_missed(bundle: Bundle) -> None:
    assert bundle.run("revoke.cmd", "publish", "PARTIAL") == OPEN
    assert "unlisted" not in log(bundle, "publish")


def test_a_crl_that_cannot_be_looked_through_is_said(bundle: Bundle) -> None:
    assert bundle.run("revoke.cmd", "apply", "NOBACKUP") == DONE
    bundle.ca.faults = Faults(fail_verb={"dump": 0x80070002})
    assert bundle.run("revoke.cmd", "publish") == OPEN
    assert "carecover verify" in said(bundle)
    assert (bundle.directory / "out" / "crl-0.crl").exists()


@pytest.mark.parametrize("padded", [False, True])
def test_a_high_serial_number_is_found_in_the_crl(tmp_path: Path, *, padded: bool) -> None:
    plan = one(is_dummy, serial="ff00000001")
    bundle = Bundle(tmp_path, Behaviour(high_serials_padded=padded), plan).ready()
    assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
    assert bundle.run("revoke.cmd", "publish") == DONE, bundle.lines


def test_status_shows_until_when_each_row_lives(bundle: Bundle) -> None:
    assert bundle.run("revoke.cmd", "status") == OPEN
    view = (bundle.directory / "out" / "view.txt").read_bytes()
    assert b"NotAfter" in view
    assert b" GMT" in view


# --------------------------------------------------------------------------------- a file that is not whole


@pytest.mark.parametrize("word", ["preflight", "apply", "publish", "status"])
def test_a_batch_that_was_cut_off_says_so_and_does_nothing(tmp_path: Path, word: str) -> None:
    # Its items stand at the end: without the last of them all would seem to be as planned.
    rows = [item for item in make_plan().items if is_row(item)]
    plan = replace(make_plan(), items=tuple(replace(item, number=n) for n, item in enumerate(rows, start=1)))
    bundle = Bundle(tmp_path, plan=plan)
    lines = (tmp_path / "revoke.cmd").read_bytes().splitlines(keepends=True)
    end = lines.index(b":whole\r\n")
    assert end > lines.index(b":items\r\n"), "nothing stands behind it"
    (tmp_path / "revoke.cmd").write_bytes(b"".join(lines[: end + 1]))
    assert bundle.run("revoke.cmd", word) == REFUSED
    assert "not whole" in said(bundle)
    # Shorter still: cmd.exe does not find the label (tests/wine), and the interpreter reads no such file.
    for kept in range(lines.index(b":items\r\n"), end + 1, 3):
        (tmp_path / "revoke.cmd").write_bytes(b"".join(lines[:kept]))
        with pytest.raises(RefusedError, match="there is no label"):
            bundle.run("revoke.cmd", word)
    assert not bundle.ca.calls


# ------------------------------------------------------------------------- an answer that is not believed


def answering(bundle: Bundle, verb: str, answer: Callable[[CallResult], CallResult], *, effect: bool = True) -> None:
    """certutil's ``verb`` says something else from now on; without ``effect`` it does nothing either."""

    class Host(SimulatedHost):
        @property
        def programs(self) -> Mapping[str, Program]:
            real = super().programs

            def certutil(arguments: Sequence[str], folder: Folder, /) -> CallResult:
                if f"-{verb}" not in arguments:
                    return real["certutil.exe"](arguments, folder)
                return answer(real["certutil.exe"](arguments, folder) if effect else CallResult(0))

            return {**real, "certutil.exe": certutil}

    bundle.host = Host


def by_hand(bundle: Bundle, *arguments: str) -> None:
    assert bundle.ca.certutil(arguments, Folder(bundle.directory)).exit_code == 0


def test_an_import_that_says_failure_is_looked_for_all_the_same(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, plan=one(is_original))
    answering(bundle, "importcert", lambda real: replace(real, exit_code=5))
    assert bundle.run("revoke.cmd", "apply") == DONE, bundle.lines
    assert bundle.states() == planned(bundle.plan)


def test_a_revocation_that_says_success_is_looked_for_all_the_same(bundle: Bundle) -> None:
    bundle.back_up()
    answering(bundle, "revoke", lambda _: CallResult(0), effect=False)
    assert bundle.run("revoke.cmd", "apply") == OPEN
    assert "FAILED: revoke" in said(bundle)
    assert bundle.run("revoke.cmd", "publish") == REFUSED


@pytest.mark.parametrize(
    "text", [b"\r\nMaximum Row Index: 0\r\n", b"Row 1:\r\n  A: 0\r\n", b"", b"CertUtil: done: 0\r\n"]
)
def test_an_answer_without_the_column_that_was_asked_for_is_none(tmp_path: Path, text: bytes) -> None:
    bundle = Bundle(tmp_path, plan=one(is_original))
    before = bundle.ca.table()

    def cut(real: CallResult) -> CallResult:
        return replace(real, output=text) if b"Serial Number" in real.output or b"Hash" in real.output else real

    answering(bundle, "view", cut)
    assert bundle.run("revoke.cmd", "apply") in (OPEN, ABORTED)
    assert "FAILED: look" in said(bundle)
    assert bundle.ca.table().equals(before)


def test_what_is_to_stay_valid_and_is_on_hold_is_left_to_a_person(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, plan=one(lambda item: item.action == "restore"))
    (item,) = bundle.plan.items
    by_hand(bundle, "-importcert", certificate_name(item).replace("/", "\\"))
    by_hand(bundle, "-revoke", item.serial, "6")
    assert bundle.run("revoke.cmd", "apply") == OPEN
    assert "STOPPED: on-hold" in said(bundle)
    assert bundle.states() == {item.serial: (21, 6)}


def test_a_row_that_is_neither_valid_nor_revoked_is_left_to_a_person(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, plan=one(is_original))
    (item,) = bundle.plan.items
    by_hand(bundle, "-importcert", certificate_name(item).replace("/", "\\"))
    # As an import of another CA's certificate leaves it, which only certutil's -f would make.
    (row,) = bundle.ca._database.of_serial(int(item.serial, 16))
    bundle.ca._database.put(replace(row, disposition=Disposition.FOREIGN))
    assert bundle.run("revoke.cmd", "apply") == OPEN
    assert "STOPPED: odd-state" in said(bundle)
    assert bundle.states() == {item.serial: (12, None)}
    assert "revoke" not in {call.verb for call in bundle.ca.calls}


def test_a_signature_that_says_success_and_left_no_file_is_a_failure(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path, plan=one(is_dummy))
    answering(bundle, "sign", lambda _: CallResult(0), effect=False)
    assert bundle.run("prepare.cmd", "GO") == OPEN
    assert "FAILED: sign" in said(bundle)
