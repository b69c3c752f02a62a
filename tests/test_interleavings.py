"""Random evenings at the CA: kills, failing calls, a changed mind, somebody else at work, the database restored again.

    Evening(bundle).spend(acts)     plays acts on a bundle and its CA, holds each against the plan; then the faults
                                    stop, somebody calls the same again, and what came out is proved

A model of what a run may do is kept beside it, from the plan and the database alone; it knows nothing of the batches.
Whatever the acts were:

* a run changes only rows that its plan names, only to what the plan says, and never a row of another certificate;
* nothing is revoked or imported twice, and what is revoked for ever stays as it is;
* exit code and log say what happened: 0 is "all as planned", 3 is "nothing was changed", what is left has its reason;
* in the end all is as planned, as openssl reads the CRL, or what is not is refused or stopped for a reason that is so;
* carecover calls nothing proved that this CRL contradicts.
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
import shutil
import traceback
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from cryptography import x509

from carecover import evidence
from carecover.bundles import Handed, read_back
from carecover.errors import RefusedError, RunError
from carecover.model import TABLES, Plan, PlanItem
from carecover.proof import judge, read_transcript
from carecover.remediation import certificate_name, prepare_bundle
from carecover.simulator import Behaviour, Faults, SimulatedCA
from carecover.simulator import behaviour as known
from carecover.simulator.windows import OEM, Folder
from tests.planned_bundle import (
    ABORTED,
    DONE,
    OPEN,
    REASONS,
    REFUSED,
    Bundle,
    certificates,
    incident,
    make_plan,
    openssl_entries,
)

ISSUED, REVOKED, HOLD = 20, 21, 6
SESSIONS = 0x8009400F
CODES = (known.RPC_UNAVAILABLE, known.ACCESS_DENIED, known.ACCESS_VIOLATION, SESSIONS, 0x80070020)
WRITES = frozenset({"sign", "importcert", "revoke", "crl"})
KILLED: Final = "killed"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the CA's database, as far as a revocation could change it."""

    serial: str | None
    disposition: int
    reason: int | None
    thumbprint: str | None
    revoked_at: str | None


Rows = Mapping[int, Row]


def rows_of(ca: SimulatedCA) -> Rows:
    """Request ID → row."""
    table = ca.table().astype(object)
    table = table.where(table.notna(), None)
    columns = ("request_id", "serial", "disposition", "reason", "thumbprint", "revoked_at")
    return {
        int(i): Row(s, int(d), None if r is None else int(r), t, None if at is None else str(at))
        for i, s, d, r, t, at in zip(*(table[name] for name in columns), strict=True)
    }


# -------------------------------------------------------------------------------- what may happen


@dataclass(frozen=True, slots=True)
class Trouble:
    """What goes wrong in one run: ``fail`` and ``die_…`` at the n-th call, ``verb``: each call of it fails."""

    kind: str
    at: int = 1
    code: int = known.RPC_UNAVAILABLE
    verb: str = "view"


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens; ``which`` chooses among items or certificates."""

    what: str
    word: str = ""
    option: str = ""
    which: int = 0
    reason: int = 0
    trouble: Trouble | None = None


# What may be called, as often as it stands here.
RUNS: Final = (
    *[("revoke", "apply", "NOBACKUP")] * 6,
    *[("revoke", "apply", "FIRST NOBACKUP")] * 2,
    *[("revoke", "publish", "")] * 2,
    *[("undo", "apply", "NOBACKUP")] * 2,
    *(("revoke", "apply", ""), ("revoke", "backup", ""), ("revoke", "preflight", ""), ("revoke", "status", "")),
    *(("revoke", "publish", "PARTIAL"), ("undo", "apply", "FIRST NOBACKUP"), ("undo", "hold", "NOBACKUP")),
    *(("undo", "preflight", ""), ("undo", "status", ""), ("prepare", "GO", ""), ("prepare", "FIRST", "")),
)
TROUBLES: Final = (
    *("die_before", "die_after", "die_before", "die_after", "hang_before", "hang_after", "fail_at", "fail_at"),
    *("fail_verb", "down_from", "disk_full_from", "unpublished"),
)
VERBS: Final = ("view", "sign", "importcert", "revoke", "crl", "getcrl", "hashfile")
SOMEBODY: Final = (
    *("revokes a planned one", "revokes a planned one", "releases a planned one", "imports a planned one"),
    *("imports a planned one", "revokes another one", "releases another one", "publishes", "publishes"),
    *("imports another one", "imports a dummy of his own"),
)
TURNS: Final = (
    *("restored again", "restored again", "restored from our backup", "restored from an older one", "backed up"),
    *("backed up", "pin", "pin", "file changed", "file lost", "dummy lost", "copied again", "folder lost"),
)
MINDS: Final = ("other reason", "one fewer", "one more", "hold becomes final", "planned anew")
FOLDERS: Final = ("same folder", "new folder", "new folder with the dummies")
BEHAVIOURS: Final = (
    Behaviour(),
    Behaviour(),
    Behaviour(duplicate_import_refused=False),
    Behaviour(restriction_ignores_case=False, hash_spaced=True, language="none"),
    Behaviour(publishes_at_start=True, high_serials_padded=True, request_ids_skipped=7),
    Behaviour(publishes_by_timer=timedelta(minutes=1), delta_crls="same number"),
)


def acts_of(random_: random.Random) -> list[Act]:
    """One evening by chance (hypothesis draws too much of what is short and alike)."""
    return [_act(random_) for _ in range(random_.randint(1, 12))]


def _act(random_: random.Random) -> Act:
    which, reason = random_.randrange(10), random_.randrange(7)
    kind = random_.random()
    if kind < 0.6:
        script, word, option = random_.choice(RUNS)
        trouble = None
        if random_.random() < 0.5:
            trouble = Trouble(
                random_.choice(TROUBLES),
                at=1 + int(30 * random_.random() ** 1.5),
                code=random_.choice(CODES),
                verb=random_.choice(VERBS),
            )
        return Act(script, word, option, which=which, trouble=trouble)
    if kind < 0.75:
        return Act(random_.choice(SOMEBODY), which=which, reason=reason)
    if kind < 0.9:
        return Act(random_.choice(TURNS), which=which)
    return Act(random_.choice(MINDS), random_.choice(FOLDERS), which=which, reason=reason)


def small_plan() -> Plan:
    """One item of each kind, two of what is imported."""
    chosen = {1: "original", 3: "original, hold", 4: "dummy", 6: "dummy, hold", 7: "restore", 9: "row", 10: "unrevoke"}
    return numbered(make_plan(), [item for item in make_plan().items if item.number in chosen])


def numbered(plan: Plan, items: Iterable[PlanItem]) -> Plan:
    return replace(plan, items=tuple(replace(item, number=n) for n, item in enumerate(items, start=1)))


# --------------------------------------------------------------------------------------- the model


def expected_hash(item: PlanItem, pinned: Mapping[str, str]) -> str | None:
    return pinned.get(item.serial) if item.method == "dummy" else item.expected_thumbprint


def imports(item: PlanItem) -> bool:
    return item.action in ("revoke", "restore") and item.method in ("original", "dummy")


@dataclass(frozen=True, slots=True)
class Expected:
    """How an undisturbed run of a plan must end: refused, or what each serial is then and which are stopped."""

    refused: bool
    ends: Mapping[str, Row | None]
    stopped: Mapping[str, str]


def expect(plan: Plan, pinned: Mapping[str, str], rows: Rows) -> Expected:
    """From the plan and the database: what revoke.cmd apply and undo.cmd apply may and must do."""
    own = {(item.serial, expected_hash(item, pinned)) for item in plan.items if imports(item)}
    newest = plan.newest_request_id
    refused = newest is not None and (
        newest not in rows
        or any(
            (row.serial, row.thumbprint) not in own
            for i, row in rows.items()
            if i > newest and 12 <= row.disposition <= 21
        )
    )
    ends: dict[str, Row | None] = {}
    stopped: dict[str, str] = {}
    for item in plan.items:
        if item.method == "none":
            continue
        row = next((row for row in rows.values() if row.serial == item.serial), None)
        end, why = _end(item, expected_hash(item, pinned), row)
        ends[item.serial] = end
        if why:
            stopped[item.serial] = why
    return Expected(refused, ends, stopped)


def _end(item: PlanItem, thumbprint: str | None, row: Row | None) -> tuple[Row | None, str | None]:
    if row is None:
        if not imports(item):
            return None, "absent"
        row = Row(item.serial, ISSUED, None, thumbprint, None)
    if row.thumbprint != thumbprint:
        return row, "other"
    state = (row.disposition, row.reason)
    wanted = (REVOKED, item.reason) if item.action == "revoke" else (ISSUED, None)
    if state == wanted:
        return row, None
    if state == (REVOKED, HOLD) and item.action == "restore":
        return row, "on-hold"
    if state in ((ISSUED, None), (REVOKED, HOLD)):
        return replace(row, disposition=wanted[0], reason=wanted[1]), None
    return row, "different"


# --------------------------------------------------------------------------------------- an evening


class Evening:
    """A bundle, its CA, and everybody who works on them."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.pinned: dict[str, str] = {}
        self.side = bundle.directory.parent / "side"
        self.side.mkdir(exist_ok=True)
        self.backups: list[Any] = []
        self.runs: list[tuple[str, int | str]] = []
        # What somebody or something did that no run is to be blamed for.
        self.story: list[Act] = []

    # ----------------------------------------------------------------------------------- one run

    def run(self, act: Act) -> int | str | None:
        """Call a script, and hold what it did against the plan; None where there is no such script."""
        script = f"{act.what}.cmd"
        if not (self.bundle.directory / script).exists():
            return None
        words = self.words(act)
        ca, plan = self.bundle.ca, self.bundle.plan
        before, calls, lists = rows_of(ca), len(ca.calls), dict(ca.crls)
        ca.faults = _faults(act.trouble, calls)
        code: int | str
        try:
            code = self.bundle.run(script, *words)
        except RunError:
            code = KILLED
        ca.faults = Faults()
        after, made = rows_of(ca), ca.calls[calls:]
        said = f"{script} {words} → {code}: {''.join(self.bundle.lines)[-600:]}"
        self._only_as_planned(act, before, after, said)
        verbs = [call.verb for call in made]
        allowed = {
            "prepare": {"sign"},
            "apply": {"importcert", "revoke"} if act.what == "revoke" else {"revoke"},
            "hold": {"revoke"},
            "publish": {"crl"},
            "backup": set(),
        }
        may = allowed.get(act.what if act.what == "prepare" else act.word, set())
        assert WRITES & set(verbs) <= may, said
        if code == REFUSED:
            assert not WRITES & set(verbs), said
            assert after == before, said
            assert self.bundle.behaviour.publishes_by_timer or ca.crls == lists, said
        if code != KILLED:
            assert code in (DONE, OPEN, REFUSED, ABORTED), said
            if act.trouble is None or act.trouble.kind != "disk_full_from":
                # Where the disk is full, the log is as well.
                self._log_says(act, int(code), before, after, said)
        if code == DONE:
            self._all_as_planned(act, after, said)
        assert plan is self.bundle.plan
        self.runs.append((said, code))
        return code

    def words(self, act: Act) -> list[str]:
        """The words after the script's name."""
        words = [act.word, *act.option.split()]
        if act.word == "hold":
            held = [item.number for item in self.bundle.plan.items if item.reason == HOLD]
            words.insert(1, str(held[act.which % len(held)] if held else act.which))
        return words

    def _only_as_planned(self, act: Act, before: Rows, after: Rows, said: str) -> None:
        """Whatever a run changed, the plan names it, and says that it is to be so."""
        by_serial = {item.serial: item for item in self.bundle.plan.items}
        assert before.keys() <= after.keys(), said
        serials = [row.serial for row in after.values() if row.serial is not None]
        assert len(serials) == len(set(serials)), f"imported twice: {said}"
        for request_id, row in after.items():
            old = before.get(request_id)
            if row == old:
                continue
            item = by_serial.get(row.serial or "")
            assert item is not None, f"{row} is in no plan: {said}"
            assert row.thumbprint == expected_hash(item, self.pinned), f"another certificate, {row}: {said}"
            if old is None:
                assert act.what == "revoke", said
                assert imports(item), f"{row}: {said}"
                old = Row(row.serial, ISSUED, None, row.thumbprint, None)
            was, now = (old.disposition, old.reason), (row.disposition, row.reason)
            if was == now:
                # Not revoked anew with the same reason: that would overwrite the date.
                assert row.revoked_at == old.revoked_at, f"{row}: {said}"
                continue
            assert was in ((ISSUED, None), (REVOKED, HOLD)), f"{old} was for ever: {said}"
            if act.what == "revoke":
                assert item.action == "revoke", f"{row}: {said}"
                assert now == (REVOKED, item.reason), f"{row}: {said}"
            else:
                assert item.action == "unrevoke" or (act.word == "hold" and item.reason == HOLD), f"{row}: {said}"
                assert now == (ISSUED, None), f"{row}: {said}"

    def _log_says(self, act: Act, code: int, before: Rows, after: Rows, said: str) -> None:
        """The last call in the log ended with this code, and names what it changed and what it stopped."""
        logs = [p for p in (self.bundle.directory / "logs").glob("*.log") if self._is_log_of(act, p.name)]
        if not logs and code == REFUSED:
            # Not this folder's plan: nothing was written at all.
            return
        (log,) = logs
        text = log.read_bytes().decode(OEM)
        last = text.rpartition("@@CR plan ")[2]
        run = read_transcript(log.read_bytes()).runs[-1]
        if code == REFUSED and not last.startswith(self.bundle.plan.digest):
            return
        assert last.startswith(self.bundle.plan.digest), said
        assert run.exit_code == code, f"{run} {said}"
        if code == REFUSED:
            assert re.search(r"@@CR refused [a-z-]+\r\n", last), said
        changed = {row.serial for i, row in after.items() if before.get(i) != row}
        named = {step.serial for step in run.steps}
        assert changed <= named, f"{changed - named} were changed without a word: {said}"
        counts = re.search(r"@@CR end [0-9] .*stopped=([0-9]+) left=([0-9]+)", last)
        if code in (OPEN, ABORTED):
            assert counts is not None, said
            assert code == ABORTED or (int(counts[1]), int(counts[2])) != (0, 0), said
        if code == ABORTED:
            assert re.search(r"@@CR aborted [a-z0-9-]+\r\n", last), said

    @staticmethod
    def _is_log_of(act: Act, name: str) -> bool:
        phase = "prepare" if act.what == "prepare" else act.word
        return name == f"carecover-{'undo-' if act.what == 'undo' else ''}{phase}.log"

    def _all_as_planned(self, act: Act, rows: Rows, said: str) -> None:
        """0 means what the README says that it means."""
        plan = self.bundle.plan
        if act.what == "prepare":
            for item in plan.items:
                assert item.method != "dummy" or (self.bundle.directory / certificate_name(item)).exists(), said
            return
        wanted: dict[str, tuple[int, int | None]] = {}
        for item in plan.items:
            acted = "unrevoke" if act.what == "undo" else act.word in ("apply", "status") and "restore"
            if act.what == "revoke" and act.word in ("apply", "publish", "status") and item.action == "revoke":
                wanted[item.serial] = (REVOKED, item.reason)
            elif act.word in ("apply", "status") and item.action == acted:
                wanted[item.serial] = (ISSUED, None)
        for serial, state in wanted.items():
            assert self._state(rows, serial) == state, f"{serial}: {said}"
            item = next(item for item in plan.items if item.serial == serial)
            row = next(row for row in rows.values() if row.serial == serial)
            assert row.thumbprint == expected_hash(item, self.pinned), f"{serial}: {said}"
        if act.word == "publish":
            crl = x509.load_der_x509_crl((self.bundle.directory / "out" / "crl-0.crl").read_bytes())
            number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
            assert number > int(plan.last_crl_numbers["0"]), said
            for serial in wanted:
                assert crl.get_revoked_certificate_by_serial_number(int(serial, 16)) is not None, said

    @staticmethod
    def _state(rows: Rows, serial: str) -> tuple[int, int | None] | None:
        return next(((row.disposition, row.reason) for row in rows.values() if row.serial == serial), None)

    # ------------------------------------------------------------------------------ all other acts

    def do(self, act: Act) -> None:
        """One act; one that is not possible now is left out."""
        self.story.append(act)
        if act.what in ("prepare", "revoke", "undo"):
            self.run(act)
        elif act.what == "pin":
            self.pin()
        elif act.what.startswith(("revokes", "releases", "imports", "publishes")):
            self._somebody(act)
        elif act.what.startswith(("restored", "backed")):
            self._restore(act)
        elif act.what.startswith(("file", "dummy", "copied", "folder")):
            self._touch(act)
        else:
            self._change_mind(act)

    def pin(self) -> bool:
        """As carecover pin: False where a dummy is missing or is none."""
        if not self.bundle.plan.needs_dummies:
            return True
        with suppress(RefusedError):
            self.bundle.pin()
            dummies = [item for item in self.bundle.plan.items if item.method == "dummy"]
            self.pinned |= {
                item.serial: hashlib.sha1(
                    (self.bundle.directory / certificate_name(item)).read_bytes(), usedforsecurity=False
                ).hexdigest()
                for item in dummies
            }
            return True
        return False

    def _call(self, *arguments: str) -> bool:
        return self.bundle.ca.certutil(arguments, Folder(self.side)).exit_code == 0

    def _somebody(self, act: Act) -> None:
        """Somebody else at the same CA, by hand."""
        plan, rows = self.bundle.plan, rows_of(self.bundle.ca)
        item = plan.items[act.which % len(plan.items)]
        planned = {one.serial for one in plan.items}
        others = [row for row in rows.values() if row.serial is not None and row.serial not in planned]
        other = others[act.which % len(others)]
        assert other.serial is not None
        known_serials = {row.serial for row in rows.values()}
        for old in self.side.iterdir():
            old.unlink()
        match act.what:
            case "revokes a planned one":
                self._call("-revoke", item.serial, str(act.reason))
            case "revokes another one":
                self._call("-revoke", other.serial, str(act.reason))
            case "releases a planned one":
                self._call("-revoke", item.serial, "-1")
            case "releases another one":
                self._call("-revoke", other.serial, "-1")
            case "publishes":
                assert self._call("-crl")
            case "imports another one":
                lost = incident().truth["lost"][8 + act.which % 3]
                if lost["serial"] not in known_serials:
                    (self.side / "x.cer").write_bytes(base64.b64decode(lost["certificate"]))
                    assert self._call("-importcert", "x.cer")
            case "imports a planned one":
                place = self.bundle.directory / certificate_name(item)
                if imports(item) and item.serial not in known_serials and place.exists():
                    (self.side / "x.cer").write_bytes(place.read_bytes())
                    self._call("-importcert", "x.cer")
            case "imports a dummy of his own":
                signer = str(self.bundle.ca.stand_in_certificates.iloc[-1]["serial"])
                if item.serial not in known_serials:
                    assert self._call("-Cert", signer, "-sign", item.serial, "x.cer")
                    assert self._call("-importcert", "x.cer")

    def _restore(self, act: Act) -> None:
        """The database of a backup again; what was published since stays public, and clocks go on."""
        old = self.bundle.ca
        state = incident().restored
        if act.what == "backed up":
            self.backups.append(self._backup())
            return
        if act.what == "restored from our backup":
            if not self.backups:
                return
            state = self.backups[act.which % len(self.backups)]
        elif act.what == "restored from an older one":
            rows = [*state.rows][: -1 - act.which % 3]
            state = replace(state, make_rows=lambda: iter(rows))
        self.bundle.ca = SimulatedCA.from_state(state, behaviour=self.bundle.behaviour)
        self.bundle.ca.now = max(self.bundle.ca.now, old.now + timedelta(minutes=30))

    def _backup(self) -> Any:
        ca = self.bundle.ca
        # No door hands out whole rows, and a backup is whole rows.
        rows = ca._database.select("", ca.behaviour)
        number = incident().restored.crl_number
        if ca.crls:
            crl = x509.load_der_x509_crl(ca.crls[0])
            number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        return replace(incident().restored, make_rows=lambda: iter(rows), crl_number=number)

    def _touch(self, act: Act) -> None:
        """What becomes of files on the way and on the server."""
        folder, plan = self.bundle.directory, self.bundle.plan
        files = sorted([*folder.glob("certs/*.cer"), *folder.glob("dummies/*.cer")])
        dummies = sorted(folder.glob("dummies/*.cer"))
        match act.what:
            case "file changed" if files:
                victim = files[act.which % len(files)]
                data = victim.read_bytes()
                victim.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            case "file lost" if files:
                files[act.which % len(files)].unlink()
            case "dummy lost" if dummies:
                dummies[act.which % len(dummies)].unlink()
            case "folder lost":
                empty(folder)
                self.bundle.write(prepare_bundle(plan, certificates()))
            case "copied again":
                self.copy_again()

    def copy_again(self) -> None:
        """The bundle as it was written, over whatever is there; dummies as they are."""
        self.bundle.write(prepare_bundle(self.bundle.plan, certificates()))
        self.pin()

    def _change_mind(self, act: Act) -> None:
        """Another plan for the same case, in the same folder or in a new one."""
        plan = self.bundle.plan
        items = list(plan.items)
        at = act.which % len(items)
        item = items[at]
        match act.what:
            case "other reason" if item.action == "revoke":
                items[at] = replace(item, reason=act.reason)
            case "hold becomes final":
                items = [replace(i, reason=1) if i.reason == HOLD else i for i in items]
            case "one fewer" if len(items) > 1:
                del items[at]
            case "one more":
                more = spare(act.which)
                if more.serial not in {i.serial for i in items}:
                    items.insert(at, replace(more, reason=act.reason))
            case "planned anew":
                self.plan_anew()
                return
        self.use(numbered(plan, items), act.word)

    def plan_anew(self) -> None:
        """From a new export: what has a row now is revoked by its row, and the newest request is today's."""
        plan, rows = self.bundle.plan, rows_of(self.bundle.ca)
        by_serial = {row.serial: row for row in rows.values() if row.serial is not None}
        items = []
        for item in plan.items:
            row = by_serial.get(item.serial)
            method = item.method
            if item.method == "row" and row is None:
                # A row that a restore took away: its finding is another one now.
                continue
            if item.method in ("original", "dummy") and row is not None:
                method = "row"
            print_ = row.thumbprint if row is not None and method == "row" else item.expected_thumbprint
            items.append(replace(item, method=method, expected_thumbprint=print_))
        newest = max(rows)
        self.use(replace(numbered(plan, items), newest_request_id=newest), "new folder with the dummies")

    def use(self, plan: Plan, folder: str) -> None:
        """Write the bundle of another plan."""
        place = self.bundle.directory
        dummies = {p.name: p.read_bytes() for p in place.glob("dummies/*.cer")}
        if folder != "same folder":
            empty(place)
        self.bundle.plan = plan
        self.bundle.write(prepare_bundle(plan, certificates()))
        if folder == "new folder with the dummies":
            self.bundle.write({f"dummies/{name}": data for name, data in dummies.items()})

    # ------------------------------------------------------------------------------------- the end

    def spend(self, acts: Sequence[Act]) -> None:
        """All acts; then the same again without faults, up to a proof or to a reason why not."""
        for act in acts:
            self.do(act)
        self.settle()
        if self.refused:
            # What README.txt says then: stop, export again, have the plan made again.
            self.plan_anew()
            self.settle()
            assert not self.refused, "a plan of a new export is refused"

    def settle(self) -> None:
        """What a person does in the end, and what must come of it."""
        ca = self.bundle.ca
        ca.faults = Faults()
        self.refused = False
        if self.bundle.plan.needs_dummies:
            # A dummy that is no certificate any more is to be made again, says pin.
            self.bundle.write(prepare_bundle(self.bundle.plan, certificates()))
            assert self.run(Act("prepare", "GO")) == DONE, self.bundle.lines
            if not self.pin():
                for dummy in self.bundle.directory.glob("dummies/*.cer"):
                    dummy.unlink()
                assert self.run(Act("prepare", "GO")) == DONE, self.bundle.lines
                assert self.pin()
        self.copy_again()
        plan = self.bundle.plan
        expected = expect(plan, self.pinned, rows_of(ca))
        code = self.run(Act("revoke", "apply", "NOBACKUP"))
        if expected.refused:
            assert code == REFUSED, self.runs[-1]
            self.refused = True
            return
        of = {item.serial: item.action for item in plan.items}
        stops = {s: why for s, why in expected.stopped.items() if of[s] != "unrevoke"}
        assert code == (OPEN if stops else DONE), (stops, self.runs[-1])
        self._stops_are_named("carecover-apply.log", stops)
        undo = (self.bundle.directory / "undo.cmd").exists()
        if undo:
            held = {s: why for s, why in expected.stopped.items() if of[s] == "unrevoke"}
            assert self.run(Act("undo", "apply", "NOBACKUP")) == (OPEN if held else DONE), (held, self.runs[-1])
            self._stops_are_named("carecover-undo-apply.log", held)
        rows = rows_of(ca)
        for serial, end in expected.ends.items():
            row = next((row for row in rows.values() if row.serial == serial), None)
            assert (row and (row.disposition, row.reason, row.thumbprint)) == (
                end and (end.disposition, end.reason, end.thumbprint)
            ), serial
        missing = [s for s in stops if of[s] == "revoke"]
        if missing:
            assert self.run(Act("revoke", "publish")) == REFUSED, self.runs[-1]
        code = self.run(Act("revoke", "publish", "PARTIAL" if missing else ""))
        assert code == (OPEN if missing else DONE), self.runs[-1]
        assert self.run(Act("revoke", "status")) == (OPEN if stops else DONE), self.runs[-1]
        if undo:
            self.run(Act("undo", "status"))
        self._proved(rows, expected)

    def _stops_are_named(self, log: str, stops: Mapping[str, str]) -> None:
        """Each serial that was stopped has its reason in the log, and no other has one."""
        text = (self.bundle.directory / "logs" / log).read_bytes().decode(OEM).rpartition("@@CR plan ")[2]
        found = dict(re.findall(r"@@CR [0-9]+ ([0-9a-f]+) stopped-([a-z-]+) ", text))
        words = {"absent": ("row-missing", "absent"), "other": ("other-certificate", "other")}
        words |= {"different": ("other-reason", "different"), "on-hold": ("on-hold", "held")}
        assert found.keys() == stops.keys(), text
        for serial, why in stops.items():
            assert found[serial] in words[why], (serial, why, found)

    def _proved(self, rows: Rows, expected: Expected) -> None:
        """The CRL in openssl's eyes is what the database says, and carecover's verdicts are what the CRL says."""
        plan, folder = self.bundle.plan, self.bundle.directory
        entries = openssl_entries(folder / "out" / "crl-0.crl", folder / "ca.cer")
        for item in plan.items:
            state = self._state(rows, item.serial)
            listed = entries.get(int(item.serial, 16), "not listed")
            if state is not None and state[0] == REVOKED:
                assert listed == REASONS[state[1] or 0], item.serial
            else:
                assert listed == "not listed", item.serial
        outcomes = self.outcomes()
        for item, verdict, why in zip(plan.items, outcomes["verdict"], outcomes["why"], strict=True):
            listed = entries.get(int(item.serial, 16), "not listed")
            wanted = REASONS[item.reason or 0] if item.action == "revoke" else "not listed"
            if verdict == "proved":
                assert listed == wanted, (item, why)
            elif item.serial not in expected.stopped:
                raise AssertionError((item, verdict, why))

    def outcomes(self) -> Any:
        """What carecover verify makes of the folders logs and out."""
        folder = self.bundle.directory
        files = [Handed(path, path.name) for name in ("logs", "out") for path in sorted((folder / name).iterdir())]
        own = self.bundle.ca.stand_in_certificates
        back = read_back(files, evidence.Context(), own)
        return judge(
            self.bundle.plan,
            transcripts=back.transcripts,
            view=back.view,
            view_is_whole=back.view_is_whole,
            crls=back.crls,
            crl_entries=back.crl_entries,
            before_crls=TABLES["crls"].empty(),
            now=self.bundle.ca.now + timedelta(minutes=1),
            ca_certificates=own,
        )


def _faults(trouble: Trouble | None, calls: int) -> Faults:
    match trouble:
        case None:
            return Faults()
        case Trouble(kind="fail_at"):
            return Faults(fail_at={calls + trouble.at: trouble.code})
        case Trouble(kind="fail_verb"):
            return Faults(fail_verb={trouble.verb: trouble.code})
        case Trouble(kind="unpublished"):
            return Faults(unpublished=trouble.code)
        case Trouble(kind="disk_full_from"):
            return Faults(disk_full_from=calls + trouble.at, disk_keeps=trouble.at)
    return Faults(**{trouble.kind: calls + trouble.at})  # type: ignore[arg-type]


def spare(which: int) -> PlanItem:
    """A lost certificate that the plan says nothing of, as it would be planned: by its original, or by a dummy."""
    lost = incident().truth["lost"][8 + which % 3]
    like = next(item for item in make_plan().items if item.method == ("dummy" if which % 2 else "original"))
    found = {"certificate_sha256": lost["certificate_sha256"], "expected_thumbprint": lost["thumbprint"]}
    if which % 2:
        return replace(like, serial=lost["serial"], finding_id="spare", not_after=lost["not_after"])
    return replace(like, serial=lost["serial"], finding_id="spare", **found)


def empty(folder: Path) -> None:
    for child in folder.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()


# --------------------------------------------------------------------------------------- the stories


def tell(begin: bool, behaviour: Behaviour, acts: Sequence[Act]) -> Evening:
    """One evening in a folder of its own; ``begin``: prepared and pinned already."""
    with TemporaryDirectory() as place:
        folder = Path(place) / "bundle"
        folder.mkdir()
        evening = Evening(Bundle(folder, behaviour, small_plan()))
        if begin:
            assert evening.run(Act("prepare", "GO")) == DONE
            assert evening.pin()
        evening.spend(acts)
        return evening


def evening_of(seed: int) -> tuple[bool, Behaviour, list[Act]]:
    """Whether all was prepared before, how this CA behaves, and what happens."""
    random_ = random.Random(seed)
    return random_.random() < 0.8, random_.choice(BEHAVIOURS), acts_of(random_)


def told(seeds: Iterable[int]) -> None:
    """Tell the evenings; of the first that goes wrong, show the fewest acts that go wrong as well."""
    for seed in seeds:
        begin, behaviour, acts = evening_of(seed)
        try:
            tell(begin, behaviour, acts)
        except Exception:  # noqa: BLE001 - whatever went wrong is told again, shorter
            for at in reversed(range(len(acts))):
                fewer = [*acts[:at], *acts[at + 1 :]]
                try:
                    tell(begin, behaviour, fewer)
                except Exception:  # noqa: BLE001 - this one was not needed
                    acts = fewer
            listed = "".join(f"\n    {act}," for act in acts)
            pytest.fail(f"seed {seed}: {begin}, {behaviour}, [{listed}\n]\n{_said_by(begin, behaviour, acts)}")


def _said_by(begin: bool, behaviour: Behaviour, acts: Sequence[Act]) -> str:
    try:
        tell(begin, behaviour, acts)
    except Exception:  # noqa: BLE001 - it is what is to be shown
        return traceback.format_exc(limit=-3)
    return "It went well the second time."


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
def test_what_is_left_as_it_is_keeps_no_publication_from_its_number() -> None:
    # It was revoked for another reason: it is on the CRL, and PARTIAL has said that it is not as planned.
    apply = Act("revoke", "apply", "NOBACKUP")
    tell(True, Behaviour(), [apply, Act("other reason", "new folder with the dummies", which=2, reason=1)])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
@pytest.mark.parametrize("part", range(3))
def test_whatever_happens_it_ends_as_planned_or_with_a_reason(part: int) -> None:
    told(range(part * 8, part * 8 + 8))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
@pytest.mark.thorough
@pytest.mark.parametrize("part", range(5))
def test_whatever_happens_in_a_thousand_evenings_it_ends_as_planned_or_with_a_reason(part: int) -> None:
    told(range(1_000 + part * 200, 1_200 + part * 200))
