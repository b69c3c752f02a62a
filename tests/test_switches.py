"""Whatever a real CA does where nobody knows, the batches end as planned or say so, and touch nothing else.

    OTHERS      every switch of Behaviour, with the values that it could have instead
    evening     prepare, pin, preflight, apply, publish, status under a behaviour and faults, held against the database

Each value alone and each pair of values of two switches is lived through; more at random in the thorough run. As in
tests/wine, a CRL is proved by openssl.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pytest
from cryptography import x509

from carecover import evidence
from carecover.bundles import Handed, read_back
from carecover.errors import RefusedError, RunError
from carecover.model import TABLES, Disposition, Plan, PlanItem, sha256_hex
from carecover.proof import judge
from carecover.remediation import prepare_bundle
from carecover.simulator import Behaviour, Faults, Incident, Scenario, SimulatedCA, SimulatedHost, make_incident
from carecover.simulator import behaviour as known
from carecover.simulator.authority import der
from carecover.simulator.behaviour import EVERYTHING, ROLES
from carecover.simulator.database import Database
from carecover.simulator.rebuild import CrlCounter
from tests.planned_bundle import (
    ABORTED,
    DONE,
    OPEN,
    REFUSED,
    Bundle,
    incident,
    make_plan,
    planned,
    the_crl_says_what_the_plan_says,
)

# What each switch could be instead of its default. Of codes one that means something else to a batch, and one unknown.
OTHERS: Final[Mapping[str, Sequence[Any]]] = {
    "dummy_validity": (timedelta(hours=1), timedelta(days=365)),
    "dummy_subject": ("empty",),
    "dummy_is_ca": (True,),
    "dummy_eku": (("1.3.6.1.5.5.7.3.1",),),
    "cert_option_suppresses_dialog": (False,),
    "silent_signs": (False,),
    "resign_validity": ("ignored", "refused"),
    "resign_serial": ("new",),
    "importcert_right": ("manager", "key"),
    "duplicate_import": (known.INVALID_PARAMETER, known.ACCESS_DENIED),
    "duplicate_import_refused": (False,),
    "bad_signature": (known.INVALID_DATA,),
    "imported_disposition": (Disposition.FOREIGN, Disposition.REVOKED),
    "imported_hash": ("none", "other"),
    "request_ids_skipped": (1, 5000),
    "import_mails": (False,),
    "revoke_unknown_serial": (known.INVALID_PARAMETER, 0x80070490),
    "unrevoke_not_held": (known.INVALID_PARAMETER,),
    "reason_zero": ("empty",),
    "release": ("keeps reason", "keeps row"),
    "restriction_ignores_case": (False,),
    "short_disposition": (False,),
    "repeated_column": ("first", "last", "refused"),
    "high_serials_padded": (True,),
    "view_crl_numbers": (False,),
    "publishes_at_start": (True,),
    "publishes_by_timer": (timedelta(seconds=1), timedelta(seconds=17)),
    "delta_crls": ("same number", "own number"),
    "crl_numbers": ("per key",),
    "crl_numbers_behind": (0, 9),
    "crl_period": (timedelta(hours=1), timedelta(days=365)),
    "crl_overlap": (timedelta(0),),
    "getcrl_index": ("key",),
    "ca_cert_default": ("first",),
    "ca_cert_form": ("base64",),
    "hash_spaced": (True,),
    "hash_upper": (True,),
    "backup_right": ("manager",),
    "backup_folder_full": (known.FILE_EXISTS,),
    "unavailable": (0x800706BF, known.ACCESS_VIOLATION),
    "access_denied": (0x80094012, known.INVALID_DATA),
    "restricted_officer": (known.ACCESS_DENIED, known.INVALID_PARAMETER),
    "role_conflict": (known.ACCESS_DENIED,),
    "language": ("de", "fr", "es", "it", "pt-BR", "ru", "ja", "zh-CN", "none"),
}
# In pairs the languages that no source shows in full are told by those whose bytes or words differ most.
IN_PAIRS: Final[Mapping[str, Sequence[Any]]] = {**OTHERS, "language": ("ja", "none")}


@cache
def small_plan() -> Plan:
    """Reason 0 from an original, a hold from a dummy, a restored one, a row that is revoked again, a release."""
    wanted: tuple[Callable[[PlanItem], bool], ...] = (
        lambda item: item.method == "original" and item.reason == 0,
        lambda item: item.method == "dummy" and item.reason == 6,
        lambda item: item.action == "restore",
        lambda item: item.kind == "lost_revocation",
        lambda item: item.action == "unrevoke",
        lambda item: item.action == "leave",
    )
    items = [next(item for item in make_plan().items if fits(item)) for fits in wanted]
    return replace(make_plan(), items=tuple(replace(item, number=n) for n, item in enumerate(items, start=1)))


@cache
def restored() -> pd.DataFrame:
    """The database as every evening finds it."""
    return SimulatedCA.from_state(incident().restored).table()


# --------------------------------------------------------------------------------- one evening


@dataclass(frozen=True, slots=True)
class Circumstance:
    """What else is the matter that evening; ``separated``: the CA separates roles."""

    faults: Faults = field(default_factory=Faults)
    separated: bool = False
    accounts: bool = False
    """Each step is run by an account of one role, not by one that may do everything."""


PLAIN: Final = Circumstance()
# Calls: the plan's dummy is signed by the third; preflight, apply and publish make about twenty each.
CIRCUMSTANCES: Final[Mapping[str, Circumstance]] = {
    "the database goes down": Circumstance(Faults(down_from=30)),
    "the database goes down at the end": Circumstance(Faults(down_from=58)),
    "the disk is full": Circumstance(Faults(disk_full_from=24)),
    "answers are cut off": Circumstance(Faults(disk_full_from=26, disk_keeps=300)),
    "one place gets no CRL": Circumstance(Faults(unpublished=known.DS_OBJ_NOT_FOUND)),
    "the service crashes": Circumstance(Faults(fail_verb={"crl": known.ACCESS_VIOLATION})),
    "a call never answers": Circumstance(Faults(hang_after=36)),
    "too many sessions": Circumstance(Faults(fail_at=dict.fromkeys((22, 31, 40, 41, 55), known.NO_DB_SESSIONS))),
    "a template is denied": Circumstance(Faults(denied_templates=frozenset({"CorpWebServer"}))),
    "three accounts": Circumstance(separated=True, accounts=True),
    "one account of all roles": Circumstance(separated=True),
}


@dataclass(slots=True)
class Evening:
    """What became of it: the exit code of each step, or the words of the error that ended it."""

    bundle: Bundle
    codes: dict[str, int]
    stopped: str | None = None

    @property
    def as_planned(self) -> bool:
        return self.stopped is None and set(self.codes.values()) == {DONE}


def evening(directory: Path, behaviour: Behaviour, circumstance: Circumstance = PLAIN) -> Evening:
    """The whole way, every step as far as the one before let it; what must hold in every case is asserted."""
    bundle = Bundle(directory, behaviour, small_plan())
    bundle.ca.faults = circumstance.faults
    if circumstance.separated:
        bundle.ca.hive = bundle.ca.hive.having("", RoleSeparationEnabled=1)
    end = Evening(bundle, {})
    try:
        _steps(end, circumstance)
    except (RefusedError, RunError) as error:
        end.stopped = str(error)
    assert end.stopped is None or end.stopped.endswith(".")
    _nothing_else(bundle.plan, restored(), bundle.ca.table())
    if end.codes.get("revoke.cmd publish") == DONE:
        _proved(bundle)
    return end


def _steps(end: Evening, circumstance: Circumstance) -> None:
    bundle = end.bundle

    def step(account: str, script: str, *words: str) -> int:
        bundle.ca.rights = ROLES[account] if circumstance.accounts else EVERYTHING
        code = bundle.run(script, *words)
        assert code in (DONE, OPEN, REFUSED, ABORTED), f"{script} {words} ended with {code}"
        # Whoever looks at the screen is told that it did not end well.
        assert code == DONE or re.search("REFUSED|STOPPED|FAILED|ENDED EARLY|not |left", "".join(bundle.lines))
        end.codes[" ".join((script, *words))] = code
        return code

    if step("key", "prepare.cmd", "GO") != DONE:
        return
    bundle.pin()
    lists = dict(bundle.ca.crls)
    if step("officer", "revoke.cmd", "preflight") == REFUSED:
        assert bundle.ca.table().equals(restored())
        assert bundle.behaviour.publishes_by_timer or bundle.ca.crls == lists
        return
    if b'set "PHASE=backup"' in (bundle.directory / "revoke.cmd").read_bytes():
        shutil.rmtree(bundle.directory / "backup", ignore_errors=True)
        step("backup", "revoke.cmd", "backup")
    step("officer", "revoke.cmd", "apply", *_without_backup(bundle))
    step("manager", "revoke.cmd", "publish")
    step("officer", "revoke.cmd", "status")


def _without_backup(bundle: Bundle, script: str = "revoke.cmd") -> list[str]:
    """The word that a person must say where there is no backup of the database."""
    needed = b"NOBACKUP" in (bundle.directory / script).read_bytes()
    whole = (bundle.directory / "backup" / "DataBase" / "certbkxp.dat").exists() and not (
        bundle.directory / "work" / "backup-begun.txt"
    ).exists()
    return ["NOBACKUP"] if needed and not whole else []


def _nothing_else(plan: Plan, before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Only rows of certificates that the plan names have changed, and only to what it wants of them."""
    acted = {item.serial: item for item in plan.items if item.method != "none"}
    old = before[~before["serial"].isin(list(acted))].reset_index(drop=True)
    assert after[~after["serial"].isin(list(acted))].reset_index(drop=True).equals(old)
    was = _states(before)
    for serial, (disposition, reason, revoked_at) in _states(after).items():
        if serial not in acted or was.get(serial) == (disposition, reason, revoked_at):
            continue
        item = acted[serial]
        assert serial in was or item.method in ("original", "dummy"), f"{serial} was imported"
        if disposition == Disposition.REVOKED and revoked_at is not None:
            # What is to be released is on hold, or off it in a row that says so.
            allowed = {6, 8} if item.action == "unrevoke" else {item.reason}
            assert (reason or 0) in allowed, f"{serial} was revoked with reason {reason}"


def _states(table: pd.DataFrame) -> dict[str, tuple[int, int | None, object]]:
    """Disposition, reason and date of each serial number, for tables of one row each."""
    plain = table[["serial", "disposition", "reason", "revoked_at"]].astype(object)
    rows = plain.where(plain.notna(), None).itertuples(index=False, name=None)
    return {serial: (disposition, reason, at) for serial, disposition, reason, at in rows if serial is not None}


def _proved(bundle: Bundle) -> None:
    """The CRL that was saved says what the plan says, and its number passes the last public one."""
    path = bundle.directory / "out" / "crl-0.crl"
    crl = x509.load_der_x509_crl(path.read_bytes())
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    if number <= int(bundle.plan.last_crl_numbers["0"]):
        # Where a delta has a number of its own, that one passes first, and publish takes it for the base's: it is
        # carecover verify that sees it.
        assert bundle.behaviour.delta_crls == "own number"
        assert "proved" not in _verdicts(bundle)
    the_crl_says_what_the_plan_says(bundle)


def _verdicts(bundle: Bundle, serials: Iterable[str] | None = None) -> set[str]:
    """What carecover verify says of planned revocations, here all, from the logs and lists of the folder."""
    files = [
        Handed(path, path.name) for name in ("logs", "out") for path in sorted((bundle.directory / name).iterdir())
    ]
    own = bundle.ca.stand_in_certificates
    back = read_back(files, evidence.Context(), own)
    outcomes = judge(
        bundle.plan,
        transcripts=back.transcripts,
        view=back.view,
        view_is_whole=back.view_is_whole,
        crls=back.crls,
        crl_entries=back.crl_entries,
        before_crls=TABLES["crls"].empty(),
        now=bundle.ca.now + timedelta(minutes=1),
        ca_certificates=own,
    )
    wanted = outcomes["action"] == "revoke" if serials is None else outcomes["serial"].isin(list(serials))
    return set(outcomes.loc[wanted, "verdict"])


# ------------------------------------------------------------------------ values and their pairs

Setting = Mapping[str, Any]
# These end a run early, the first five before anything was changed.
STOPS: Final[Sequence[tuple[str, Any]]] = (
    ("cert_option_suppresses_dialog", False),
    ("dummy_validity", timedelta(hours=1)),
    ("ca_cert_form", "base64"),
    ("short_disposition", False),
    ("repeated_column", "refused"),
    ("imported_disposition", Disposition.FOREIGN),
    ("imported_disposition", Disposition.REVOKED),
    ("imported_hash", "none"),
    ("imported_hash", "other"),
    ("reason_zero", "empty"),
)
AT_ONCE: Final = frozenset(name for name, _ in STOPS[:5])
# Beside these, what another switch does to later steps would not be lived through: they are paired with every other
# value in runs of their own. (Hashes in upper case and in pairs are in no form that is known: a batch stops.)
APART: Final = (*STOPS, ("hash_upper", True), ("view_crl_numbers", False))


def behaviour(setting: Setting) -> Behaviour:
    return replace(Behaviour(), **setting)


def open_values() -> dict[str, list[Any]]:
    """Each switch with its default and the values that let a run go its whole way."""
    default = Behaviour()
    return {
        name: [getattr(default, name), *(value for value in values if (name, value) not in APART)]
        for name, values in IN_PAIRS.items()
    }


def covering(factors: Mapping[str, Sequence[Any]], seed: int = 1) -> Iterator[Setting]:
    """Settings in which every pair of values of two factors occurs: one that is missing, and around it greedily."""
    rng = random.Random(seed)
    index = {name: range(len(values)) for name, values in factors.items()}
    missing = {
        ((one, i), (other, j)): None
        for one, other in combinations(factors, 2)
        for i in index[one]
        for j in index[other]
    }
    order = {name: at for at, name in enumerate(factors)}

    def pair(one: tuple[str, int], other: tuple[str, int]) -> tuple[tuple[str, int], tuple[str, int]]:
        return (one, other) if order[one[0]] < order[other[0]] else (other, one)

    while missing:
        chosen = dict(next(iter(missing)))
        rest = [name for name in factors if name not in chosen]
        rng.shuffle(rest)
        for name in rest:
            gains = [
                (sum(pair((name, i), fixed) in missing for fixed in chosen.items()), rng.random(), i)
                for i in index[name]
            ]
            chosen[name] = max(gains)[2]
        for one, other in combinations(chosen.items(), 2):
            missing.pop(pair(one, other), None)
        yield {name: factors[name][i] for name, i in chosen.items()}


def diagonal(factors: Mapping[str, Sequence[Any]]) -> Iterator[Setting]:
    """Settings in which every value of every factor occurs."""
    for row in range(max(map(len, factors.values()))):
        yield {name: values[row % len(values)] for name, values in factors.items()}


def pairs() -> list[Setting]:
    """Every pair of values of any two switches occurs in one of these."""
    rows = list(covering(open_values()))
    for name, value in APART:
        others = {other: values for other, values in open_values().items() if other != name}
        rows += [{**setting, name: value} for setting in diagonal(others)]
    apart: dict[str, list[Any]] = {}
    for name, value in APART:
        apart.setdefault(name, []).append(value)
    return [*rows, *covering(apart)]


def singles() -> Iterator[Setting]:
    yield from ({name: value} for name, values in OTHERS.items() for value in values)


# -------------------------------------------------------------------------------------- the tests


def test_every_switch_has_other_values_here_and_no_value_is_the_default() -> None:
    assert set(OTHERS) == {field.name for field in fields(Behaviour)}
    for name, values in OTHERS.items():
        assert values, name
        assert getattr(Behaviour(), name) not in values, name


def test_the_pairs_are_all_there() -> None:
    rows = pairs()
    wanted = {**IN_PAIRS}
    default = Behaviour()
    seen = {
        ((one, str(row.get(one, getattr(default, one)))), (other, str(row.get(other, getattr(default, other)))))
        for row in rows
        for one, other in combinations(wanted, 2)
    }
    for one, other in combinations(wanted, 2):
        for i in (getattr(default, one), *wanted[one]):
            for j in (getattr(default, other), *wanted[other]):
                assert ((one, str(i)), (other, str(j))) in seen


@pytest.mark.parametrize("setting", [pytest.param(s, id="-".join(map(str, *s.items()))) for s in singles()])
def test_each_value_alone_ends_as_planned_or_is_said(tmp_path: Path, setting: Setting) -> None:
    end = evening(tmp_path, behaviour(setting))
    ((name, value),) = setting.items()
    if (name, value) in STOPS:
        assert not end.as_planned
        assert not end.bundle.ca.crls
        assert name not in AT_ONCE or not {"importcert", "revoke", "crl"} & {call.verb for call in end.bundle.ca.calls}
    else:
        # Where the number of a CRL cannot be asked for, publish says "unknown"; the rest is done. Hashes in upper case
        # may be read, or no file is the right one.
        assert end.as_planned or name in ("view_crl_numbers", "hash_upper"), end.codes


def test_each_pair_of_values_ends_as_planned_or_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    ends = [live(tmp_path_factory, setting) for setting in pairs()]
    # Each switch is lived through to the end beside others, and not only in runs that were stopped.
    through = len(list(covering(open_values())))
    assert all(end.as_planned for end in ends[:through])
    assert not any(end.as_planned for end in ends[through:] if not end.bundle.ca.crls)


@pytest.mark.parametrize("name", CIRCUMSTANCES)
def test_each_fault_under_each_value_ends_as_planned_or_is_said_and_is_mended_by_a_second_run(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    for setting in diagonal(open_values()):
        live(tmp_path_factory, setting, CIRCUMSTANCES[name])
    end = live(tmp_path_factory, {}, CIRCUMSTANCES[name])
    if end.bundle.directory.joinpath("revoke.cmd").exists():
        bundle = end.bundle
        assert end.as_planned == (name == "three accounts")
        bundle.ca.faults, bundle.ca.rights = Faults(), EVERYTHING
        bundle.ca.hive = bundle.ca.hive.having("", RoleSeparationEnabled=None)
        assert bundle.run("revoke.cmd", "apply", *_without_backup(bundle)) == DONE, bundle.lines
        assert bundle.run("revoke.cmd", "publish") == DONE, bundle.lines
        assert bundle.run("undo.cmd", "apply", *_without_backup(bundle, "undo.cmd")) == DONE, bundle.lines
        assert bundle.states() == planned(bundle.plan, released=True)
        _proved(bundle)


def live(factory: pytest.TempPathFactory, setting: Setting, circumstance: Circumstance = PLAIN) -> Evening:
    """One evening in a folder of its own; what was set stands beside what went wrong."""
    directory = factory.mktemp("evening")
    try:
        return evening(directory, behaviour(setting), circumstance)
    except AssertionError as error:
        default = Behaviour()
        other = {name: value for name, value in setting.items() if value != getattr(default, name)}
        raise AssertionError(f"under {other} and {circumstance}: {error}") from error


@pytest.mark.thorough
def test_any_values_and_faults_together_end_as_planned_or_are_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = random.Random(4)
    every, through = {n: [getattr(Behaviour(), n), *v] for n, v in OTHERS.items()}, open_values()
    for _ in range(800):
        faults = [rng.choice(list(CIRCUMSTANCES.values())) for _ in range(rng.randint(0, 2))]
        values = {name: rng.choice(values) for name, values in (every if rng.random() < 0.2 else through).items()}
        live(tmp_path_factory, values, together(faults))


def together(several: Sequence[Circumstance]) -> Circumstance:
    """All of it on one evening; of two faults of one kind the later one."""
    changed: dict[str, Any] = {}
    for one in several:
        changed |= {f.name: getattr(one.faults, f.name) for f in fields(Faults) if getattr(one.faults, f.name)}
    return Circumstance(Faults(**changed), any(one.separated for one in several), any(one.accounts for one in several))


# --------------------------------------------------------------------------- a CA with two keys


@cache
def two_keys() -> Incident:
    """A CA that was renewed with a new key; certificates of both have lost their revocation."""
    return make_incident(Scenario(seed=7, certificates=60, lost=6, renewal="new_key", lost_revocations=4, releases=0))


def plan_of_two_keys() -> Plan:
    rows = SimulatedCA.from_state(two_keys().restored).table().set_index("serial")
    own = list(SimulatedCA.from_state(two_keys().restored).stand_in_certificates["certificate_sha256"])
    model = next(item for item in make_plan().items if item.kind == "lost_revocation")
    items = []
    for number, lost in enumerate(two_keys().truth["lost_revocations"], start=1):
        index = int(rows.loc[lost["serial"], "issuer_name_id"]) >> 16
        known_row = {"expected_thumbprint": rows.loc[lost["serial"], "thumbprint"], "reason": lost["reason"]}
        place = {"serial": lost["serial"], "finding_id": lost["serial"], "ca_cert_index": index, "ca_key_index": index}
        items.append(replace(model, number=number, **place, **known_row))
    return replace(
        make_plan(),
        ca_certificate_sha256=own[-1],
        signer_sha256={"0": own[0], "1": own[1]},
        newest_request_id=int(rows["request_id"].max()),
        last_crl_numbers=dict.fromkeys("01", str(two_keys().truth["crl"]["last_published"])),
        items=tuple(items),
    )


class TwoKeys(Bundle):
    """The same bundle on that CA; the number of the first key's lists lies ``behind`` that of the second's."""

    def __init__(self, directory: Path, setting: Behaviour, behind: int) -> None:
        self.behind = behind
        state = two_keys().restored
        own = {sha256_hex(der(c)): der(c) for c in state.authority.certificates}
        self.host, self.directory, self.plan = SimulatedHost, directory, plan_of_two_keys()
        self.behaviour, self.lines = setting, []
        self.ca = SimulatedCA(
            authority=state.authority,
            ca_certificates=dict(enumerate(state.authority.certificates)),
            database=Database.of_rows(state.rows),
            crl_counters={0: CrlCounter(state.crl_number - behind), 1: CrlCounter(state.crl_number)},
            now=state.exported_at,
            behaviour=setting,
        )
        self.write(prepare_bundle(self.plan, own))

    def whole_way(self) -> list[int]:
        """Exit codes of preflight, apply and publish."""
        steps = (["preflight"], ["apply", *_without_backup(self)], ["publish"])
        return [self.run("revoke.cmd", *words) for words in steps]


@pytest.mark.parametrize("behind", [0, 9])
@pytest.mark.parametrize(
    "setting", [{}, *({name: value} for name in ("getcrl_index", "crl_numbers") for value in OTHERS[name])]
)
def test_each_key_has_its_list_and_only_what_stands_in_it_is_proved(
    tmp_path: Path, setting: Setting, behind: int
) -> None:
    bundle = TwoKeys(tmp_path, behaviour(setting), behind)
    assert bundle.whole_way() == [DONE, DONE, DONE], bundle.lines
    last = int(bundle.plan.last_crl_numbers["0"])
    for key in (0, 1):
        crl = x509.load_der_x509_crl((tmp_path / "out" / f"crl-{key}.crl").read_bytes())
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        listed = {item.serial for item in bundle.plan.items if item.ca_key_index == key}
        for serial in listed:
            assert crl.get_revoked_certificate_by_serial_number(int(serial, 16)) is not None
        # Where keys count for themselves, publish looks at the highest number; verify looks at each list.
        passed = number > last
        assert passed is not (setting == {"crl_numbers": "per key"} and behind > 0 and key == 0)
        assert (_verdicts(bundle, listed) == {"proved"}) is passed


def test_where_the_first_ca_certificate_is_handed_out_no_step_begins(tmp_path: Path) -> None:
    bundle = TwoKeys(tmp_path, behaviour({"ca_cert_default": "first"}), 0)
    assert bundle.whole_way() == [REFUSED, REFUSED, REFUSED]
    assert bundle.ca.crls == {}
    assert not {"importcert", "revoke", "crl"} & {call.verb for call in bundle.ca.calls}
