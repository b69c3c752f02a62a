"""Case: one incident, from evidence to report; one verb a step.

Everything that carecover computes is a pure function of the evidence, the facts, the
decisions and the journal. ``Case`` is the only one who touches disk, clock and journal: it
takes files in, hands tables from room to room, and records every act. Nothing derived is
kept but as a cache, so a table is up to date whenever it is read.

The file is long because it is the one object that every notebook cell and every command
speaks to; what is behind a verb lies in ``register``, ``derivation``, ``bundles`` and the rooms.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd

from carecover import (
    __version__,
    analysis,
    bundles,
    custody,
    evidence,
    keys,
    ocsp_client,
    proof,
    provenance,
    remediation,
    simulator,
    stamps,
    underway,
)
from carecover.bundles import Run
from carecover.derivation import Act, Derivation, Holding, Investigator, moment
from carecover.errors import CarecoverError, CaseError, PathError, QuestionError, RefusedError, RunError, UsageError
from carecover.facts import change_facts, check_place, person_name
from carecover.folder import FORMAT, CaseFolder, Stored, spelled, walk, write_atomically
from carecover.journal import GENESIS, Entry, Journal
from carecover.model import (
    ROLES,
    TABLES,
    Action,
    CaseFacts,
    Pin,
    Plan,
    Role,
    SignOff,
    canonical_json,
    nearly_the_same,
    person_key,
    sha256_hex,
    utc_text,
)
from carecover.register import READ_TABLES, EvidenceRegister, Progress
from carecover.report import Act as ReportAct
from carecover.report import Document, Execution, Pseudonyms, make_document, render, render_json
from carecover.report import fields as report_fields

# A profile_id is short; whatever else was typed is cut.
_SHOWN: Final = 40
# The common name in a subject as RFC 4514 writes it: the CA's name, as its mails give it.
_COMMON_NAME: Final = r"(?:^|,)CN=([^,\\+]{1,200})"
# What the journal tells of dummies.
_ABOUT_DUMMIES: Final = ("pin", "longer", "destroyed")
# Why somebody withdrew is told in a line.
_WHY: Final = 500
# One journal line stays far below journal.MAX_LINE.
_FILES_PER_ENTRY: Final = 500


class Case:
    """One incident: a folder of plain files, and the verbs that work on it.

    Open one with ``Case.open(path)`` or make one with ``Case.create(path, ca="…")``.
    ``clock`` gives the time of every act (tests and demonstrations set it).
    """

    def __init__(self, folder: CaseFolder, clock: Callable[[], datetime] | None = None) -> None:
        self._folder = folder
        self._clock = clock or (lambda: datetime.now(UTC))
        self._journal = Journal(folder.path / "journal.jsonl")
        self._register = EvidenceRegister(folder, clock=self._clock)
        self._investigator = Investigator()
        self._made: Derivation | None = None
        # The decisions as they were last read: the same bytes are hashed, but not parsed again.
        self._decided: tuple[bytes, pd.DataFrame] = (b"", TABLES["decisions"].empty())
        self._read_back: tuple[Any, bundles.Returned] | None = None

    def __repr__(self) -> str:
        return f"Case({str(self.path)!r})"

    # ------------------------------------------------------------------ the case itself

    @classmethod
    def create(cls, path: str | Path, *, clock: Callable[[], datetime] | None = None, **facts: Any) -> Case:  # noqa: ANN401 - any fact
        """Make a case folder; on an existing case change only the facts that are named.

        Facts are the fields of ``CaseFacts``; times may be ISO 8601 text, read in the
        case's time zone where they have no offset.
        """
        place = Path(path)
        if CaseFolder.is_case(place):
            case = cls.open(place, clock=clock)
            case._change_facts(**facts)
            return case
        known = change_facts(CaseFacts(), facts)
        now = (clock or (lambda: datetime.now(UTC)))()
        created = {"created": utc_text(now), "facts": known.to_json()}
        folder = CaseFolder.create(place, created)
        case = cls(folder, clock)
        with folder.locked():
            case._record("create", {**created, "name": spelled(place.resolve().name)})
        return case

    @classmethod
    def open(cls, path: str | Path, *, clock: Callable[[], datetime] | None = None) -> Case:
        """Open a case; raises PathError or CaseError with the sentence that helps."""
        folder = CaseFolder(Path(path))
        folder.read_head()
        return cls(folder, clock)

    @property
    def path(self) -> Path:
        """The case folder."""
        return self._folder.path

    @property
    def facts(self) -> CaseFacts:
        """What people know about the incident, as the journal records it."""
        head = self._folder.read_head()
        return change_facts(CaseFacts(), self._recorded_facts() or head.get("facts", {}))

    def _change_facts(self, **changes: object) -> None:
        """Change only the facts named; journaled, and a signature under another plan is void."""
        with self._folder.locked():
            head, before = self._folder.read_head(), self.facts
            after = change_facts(before, changes)
            if self._journal.head == GENESIS:
                # The making of the case was interrupted: this is the rest of it.
                made = {"created": head.get("created"), "facts": after.to_json()}
                self._record("create", {**made, "name": spelled(self.path.resolve().name)})
            elif after != before:
                self._record("facts", {"before": before.to_json(), "after": after.to_json()})
            entries = list(self._journal.entries())
            body = custody.head_body(head, after.to_json(), entries)
            if not self._folder.head_is(body):
                self._folder.write_json("case.json", body)
            self._void_if_changed()

    # ------------------------------------------------------------------ evidence → tables

    def add(
        self,
        paths: Iterable[str | Path] = (),
        *,
        fetched_from: str | None = None,
        baseline: Sequence[str] = (),
        authority: str | Path | None = None,
        by: str | None = None,
        progress: Progress | None = None,
        executor: Executor | None = None,
    ) -> pd.DataFrame:
        """Take evidence in; return the accounting of this act (table ``accounting``).

        ``fetched_from`` is the distribution point that all of it was copied from, before the work.
        ``baseline``: nothing is taken in; ``by`` answers the question which views (evidence_ids) are the
        database right after the restore.
        ``authority``: the files are its answers to requests of this case (RFC 3161), no evidence; they are checked
        with its certificates in that file and kept, each with a sentence in the result's ``attrs["notes"]``. ``by`` may
        say who brought them. Raises RefusedError, and keeps none, where one does not hold. Without it answers are left
        out, and told like paths that cannot be opened.
        An ``executor`` of ``concurrent.futures`` reads the parts of large mailboxes; without one, processes do where a
        mailbox is above ``register.PROCESSES_FROM``. A reading that was interrupted goes on where it stopped when a
        table is next asked for: the files are in the case by then.
        Folders are walked, links in them are not followed. Raises PathError at the end when a
        path could not be opened; everything else has been added by then, and its accounting
        is the error's ``finished``.
        """
        if baseline:
            self._choose_baseline(baseline, person_name(by or ""))
            return TABLES["accounting"].empty()
        if authority is not None:
            if fetched_from is not None:
                raise UsageError("A time stamp is no evidence of the CA: it is fetched from no distribution point.")
            return self._keep_stamps(paths, Path(authority), by)
        source = {} if fetched_from is None else {"fetched_from": check_place(fetched_from)}
        files, unopened = walk(paths, self.path)
        stamped: list[str] = []
        made, simulated = bundles.simulated_files(self._journal.entries()), dict[str, str]()
        with self._folder.locked():
            known = self._evidence_records()
            by_digest = {r["sha256"]: r for r in reversed(known)}
            by_place = {(r["path"], r["sha256"]) for r in known}
            number = len({r["evidence_id"] for r in known})
            added: list[dict[str, Any]] = []
            for done, file in enumerate(files):
                if progress:
                    progress(f"reading {file.name}", done, len(files))
                if stamps.is_answer(file):
                    stamped.append(spelled(file))
                    continue
                if told := bundles.simulation_of(file, made):
                    simulated[spelled(file)] = told
                    continue
                try:
                    stored = self._store(file)
                except PathError as error:
                    unopened.append(str(error))
                    continue
                name = spelled(file)
                again = (name, stored.sha256) in by_place
                first = by_digest.get(stored.sha256)
                if again and first is not None:
                    evidence_id = next(
                        r["evidence_id"] for r in (*known, *added)
                        if (r["path"], r["sha256"]) == (name, stored.sha256)
                    )  # fmt: skip
                else:
                    number += 1
                    evidence_id = f"E{number:04d}"
                record = {
                    "evidence_id": evidence_id,
                    "path": name,
                    "size": stored.size,
                    "sha256": stored.sha256,
                    "copied": stored.copied,
                    "again": again,
                    **source,
                }
                added.append(record)
                by_place.add((name, stored.sha256))
                by_digest.setdefault(stored.sha256, record)
            self._folder.settle()
            parts = [added[start : start + _FILES_PER_ENTRY] for start in range(0, len(added), _FILES_PER_ENTRY)]
            acts = [self._record("add", {"files": part}) for part in parts]
            if added:
                self._void_if_changed()
        unopened += [*_not_taken(stamped), *bundles.of_simulations(simulated)]
        accounting = self._added(added, {r["sha256"] for r in known}, self._readings(progress, executor))
        self._record_result(acts, {n: int(accounting[n].sum()) for n in ("units", "parsed", "duplicate", "rejected")})
        if unopened:
            raise PathError(" ".join(unopened) + f" {len(added)} other file(s) were added.", accounting)
        return accounting

    def _keep_stamps(self, paths: Iterable[str | Path], authority: Path, by: str | None) -> pd.DataFrame:
        """Check answers of a time-stamping authority, all before any is kept; keep them beside its certificates."""
        person = {} if by is None else {"by": person_name(by)}
        certificates = stamps.authority(authority)
        files, unopened = walk(paths, self.path)
        if unopened or not files:
            raise PathError(" ".join(unopened or ["There was no file in what you named."]) + " No time stamp was kept.")
        answers: dict[str, tuple[dict[str, Any], bytes]] = {}
        with self._folder.locked():
            entries = list(self._journal.entries())
            for file in files:
                try:
                    data = stamps.content(file)
                    said = custody.stamp_details(entries, data, certificates, spelled(authority))
                except RefusedError as error:
                    raise RefusedError(f"{spelled(file)}: {error} No time stamp was kept.") from None
                answers.setdefault(said["copy"], ({"path": spelled(file), **said, **person}, data))
            self._renew()
            for said, data in answers.values():
                self._folder.write(said["authority"]["copy"], certificates)
                self._folder.write(said["copy"], data)
            for said, _ in answers.values():
                self._record("stamp", said)
        numbers = {entry.digest: entry.number for entry in entries}
        kept = TABLES["accounting"].empty()
        kept.attrs["notes"] = [custody.stamp_note(said, numbers[said["head"]]) for said, _ in answers.values()]
        return kept

    def profile(
        self,
        *,
        accept: Sequence[str] = (),
        withdraw: Sequence[str] = (),
        by: str | None = None,
        progress: Progress | None = None,
    ) -> pd.DataFrame:
        """What the CA's mails look like: table ``profiles``, and behind it what could be learned from the other mails.

        A proposal counts only once ``by`` accepts it by its profile_id; it can be withdrawn as well. Both are
        journaled. All mail is looked through for proposals, which takes as long as reading it. Raises UsageError
        for an id that is none.
        """
        if not accept and not withdraw:
            used = self.table("profiles")
            return pd.concat([used, self._unexplained(progress).proposals()], ignore_index=True)
        person = person_name(by or "")
        with self._folder.locked():
            known, changes = self._accepted_wordings(), list[dict[str, Any]]()
            for profile_id in withdraw:
                if profile_id not in known:
                    raise UsageError(f"'{_shown(profile_id)}' is no wording that was accepted: carecover profile CASE")
                changes.append({"withdraw": profile_id})
            proposed = self._unexplained(progress) if accept else None
            for profile_id in accept:
                wording = proposed.wording(profile_id) if proposed else None
                if wording is None:
                    raise UsageError(f"'{_shown(profile_id)}' is no wording that is proposed: carecover profile CASE")
                changes.append({"accept": profile_id, "wording": wording.to_json()})
            for change in changes:
                self._record("profile", {**change, "by": person})
            self._void_if_changed()
        return self.table("profiles")

    def table(self, name: str) -> pd.DataFrame:
        """One table of the case, up to date, as a plain DataFrame (columns: docs/tables.md).

        ``ca_rows`` is the baseline; while carecover still has to ask which view that is,
        it shows the rows of all views.
        """
        if name not in TABLES:
            raise UsageError(f"There is no table '{name}'. Tables: {', '.join(sorted(TABLES))}.")
        if name == "ca_rows":
            try:
                return self._derived.baseline.rows
            except QuestionError:
                return self._derived.table(name)
        private = [c.name for c in TABLES[name].columns if c.private]
        return self._derived.table(name).drop(columns=private)

    @property
    def findings(self) -> pd.DataFrame:
        """Table ``findings``: what the restored CA is wrong about."""
        return self.table("findings")

    # ------------------------------------------------------------------ decide and sign

    def decide(
        self,
        *,
        action: Action | Literal["suggested"],
        by: str,
        serials: Sequence[str] = (),
        all_of: str | None = None,
        reason: int | None = None,
        note: str | None = None,
        takes_back: tuple[int, int] | None = None,
    ) -> remediation.Decided:
        """Record a decision about some findings, by serial number or all of a kind.

        ``suggested`` takes each finding's own suggestion, and leaves out those that have
        none. ``takes_back`` names the rows of table ``decisions`` (from, up to but without) that this one takes back,
        wholly or in part: the journal keeps that, so that whoever undoes goes on where the last stopped. Returns the
        new rows of table ``decisions`` and what was left out, with the reason why. Raises UsageError or RefusedError
        before anything is written when a serial, action or reason is not allowed.
        """
        person = person_name(by)
        with self._folder.locked():
            now = self._clock()
            if action == "suggested":
                made = remediation.take_suggestions(
                    self.findings, select_all=all_of, serials=serials, note=note, by=person, at=now
                )
            else:
                made = remediation.decide(
                    self.findings,
                    select_all=all_of,
                    serials=serials,
                    action=action,
                    reason=reason,
                    note=note,
                    by=person,
                    at=now,
                )
            rows = TABLES["decisions"].json_rows(made.rows)
            if rows:
                known = self._decision_lines()
                details: dict[str, Any] = {"by": person, "action": action, "rows": len(rows)}
                if takes_back is not None:
                    if not 0 <= takes_back[0] < takes_back[1] <= known.count(b"\n"):
                        raise UsageError("There are no such decisions to take back: nothing was decided.")
                    details["takes_back"] = list(takes_back)
                data = known + b"".join(canonical_json(row) + b"\n" for row in rows)
                self._folder.write("decisions.jsonl", data)
                details["size"] = len(data)
                self._record("decide", {**details, "sha256": sha256_hex(data)})
                self._void_if_changed()
        return made

    def waive(self, note: str, *, by: str) -> None:
        """Accept in writing that findings stay undecided, or that a row's hash is not known.

        The words become part of the plan, and so of what both people sign.
        """
        person = person_name(by)
        # Checked here: a waiver that no plan takes would stand in the way of every later one.
        for text in (note, _waiver(note.strip(), person)):
            remediation.check_waiver(text)
        with self._folder.locked():
            self._record("waive", {"note": note.strip(), "by": person})
            self._void_if_changed()

    def plan(self) -> Plan:
        """The decisions in order, frozen; raises RefusedError where there can be no plan."""
        return self._derived.plan

    def sign_off(
        self,
        *,
        by: str,
        role: Role | str = "",
        key: str | Path | None = None,
        password: str | None = None,
        digest: str | None = None,
        different: bool = False,
        withdraw: str | None = None,
    ) -> SignOff:
        """Sign the plan as it is now, as ``analyst`` or as ``reviewer``: two different people.

        ``key`` is the file of the person's own key (``carecover keygen``), ``password`` what opens it; it is written
        nowhere. Without a key the sign-off is by name only, and whatever shows it says so. ``digest`` is that of the
        plan that the person has read: raises RefusedError where the plan is another by now. ``different``: a name that
        is nearly that of the other who signed is another person's; without it such a name is refused.

        ``withdraw``, why: nothing is signed, and the person's own signature is taken back, with which the other is void
        as well. Returns that signature.
        """
        if withdraw is not None:
            return self._withdraw(person_name(by), withdraw)
        if role not in ROLES:
            raise UsageError(f"'{role}' is no role: sign off as {' or '.join(ROLES)}.")
        person = person_name(by)
        signing = None if key is None else keys.open_key(Path(key), password or "")
        del password
        if isinstance(signing, CarecoverError):
            raise signing
        with self._folder.locked():
            plan = self.plan()
            if digest not in (None, plan.digest):
                raise RefusedError(
                    f"The plan has changed since it was read: that was {digest}, now it is {plan.digest}. Nothing was "
                    "signed. Read it again, then sign."
                )
            for other in self.sign_offs(plan):
                if person_key(other.person) == person_key(person):
                    raise RefusedError(
                        f"{other.person} has signed this plan as {other.role} already. The second signature must be "
                        "another person's."
                    )
                if other.role == role:
                    raise RefusedError(f"The plan has its {role} already ({other.person}); the other role is missing.")
                if signing is not None and other.public_key == signing.public_key:
                    raise RefusedError(
                        f"{other.person} has signed this plan with this very key. Each of the two people makes a key "
                        "of their own: carecover keygen FILE"
                    )
            alike = _alike(person, self.sign_offs(plan), different=different)
            self._renew()
            self._folder.write(custody.plan_file(plan.digest), canonical_json(plan.to_json()))
            details: dict[str, Any] = {"digest": plan.digest, "by": person, "role": str(role), **alike}
            details["findings"] = _digest_of("findings", self.findings)
            now = self._clock()
            if signing is not None:
                details |= keys.sign_details(signing, details, utc_text(now) or "", self._journal.head)
            return _sign_off(self._record("sign", details, at=now))

    def _withdraw(self, person: str, why: str) -> SignOff:
        """Void both signatures, as one of the two asks for it; raises RefusedError for anybody else."""
        if not (why := " ".join(why.split())[:_WHY]):
            raise UsageError("Say why the signature is withdrawn: the journal keeps it.")
        with self._folder.locked():
            standing = self.sign_offs(self.plan())
            own = next((s for s in standing if person_key(s.person) == person_key(person)), None)
            if own is None:
                raise RefusedError(f"{person} has not signed the plan as it is now: there is nothing to withdraw.")
            self._record("void", {"digest": own.digest, "new_digest": own.digest, "by": person, "why": why})
        return own

    def sign_offs(self, plan: Plan | None = None) -> tuple[SignOff, ...]:
        """The signatures that stand under the plan as it is now; one by key counts only where it holds."""
        digest = (plan or self.plan()).digest
        standing: list[SignOff] = []
        for entry in self._journal.entries():
            if entry.act == "void":
                standing = []
            elif entry.act == "sign" and (keys.signed(entry) or not custody.by_key(entry)):
                standing.append(_sign_off(entry))
        return tuple(s for s in standing if s.digest == digest)

    # ------------------------------------------------------------------ batch, rehearse, run

    def batch(self, output: str | Path) -> list[Path]:
        """Write the bundle for the CA into a new folder, and packed beside it; refuses an unsigned or changed plan.

        Returns the files of the folder, and last the ZIP file, which has the folder's name.
        """
        plan = self._signed_plan()
        place = Path(output)
        archive = bundles.archive_of(place)
        target = bundles.empty_folder(place, archive=archive)
        with self._folder.locked():
            files = remediation.prepare_bundle(
                plan, self._certificate_files(plan), signoffs=self.sign_offs(plan), journal_head=self._journal.head,
                written=self._written(plan),
            )  # fmt: skip
            packed = bundles.pack(files, plan.digest)
            written = bundles.write_files(target, files)
            self._record("export", _handed_out(plan, files, packed))
            return [*written, bundles.write_archive(archive, packed)]

    def rehearse(
        self, *, on_output: Callable[[str], None] | None = None, behaviour: simulator.Behaviour | None = None
    ) -> Run:
        """Carry the plan out against a simulated CA made from the evidence.

        What this shows is that the plan's logic holds under the simulator's assumptions;
        it is never a test of the real CA. ``behaviour`` are other assumptions than the usual.
        """
        plan = self.plan()
        remediation.check_key(self.facts)
        files = remediation.prepare_bundle(plan, self._certificate_files(plan), journal_head=self._journal.head)
        with underway.turn(self.path):
            return self._simulate(plan, files, "rehearsal", on_output or (lambda _text: None), behaviour)

    def pin(
        self,
        directory: str | Path | None = None,
        *,
        by: str = "",
        ca_true: bool = False,
        destroyed: Sequence[str] = (),
        look: bool = False,
        dummies: Iterable[tuple[str, bytes]] = (),
        seen: str | None = None,
        take_out: bool = False,
        different: bool = False,
    ) -> pd.DataFrame:
        """Check the dummies that prepare.cmd made; write revoke.cmd with their hashes, and the ZIP file anew.

        Returns one row a dummy: serial, sha256, not_after, subject, is_ca, eku, problems, file,
        ends_early, own_key, needed_until, checks (name → verdict and why); its ``attrs["leftovers"]``
        are the dummies that are not used, name → SHA-256. ``ca_true``: that a dummy is a CA
        certificate was seen, and it is taken. Raises RefusedError, naming each problem, where a
        dummy may not be used; where the only one is that it ends too early, longer.cmd was written to sign it again.

        ``destroyed``: nothing is pinned; ``by`` says that every copy of the dummies with these
        SHA-256 is gone (``["all"]``: of all that are left over). Returns table ``dummies`` then.

        ``look``: nothing is pinned, and ``by`` is not needed; ``dummies`` (names and bytes, as they came back) are
        put into the folder first. The table has those that are there; its attrs say how many are ``missing``, which
        files were left ``aside``, and what was ``seen``: given to a later call, it pins these very files or raises.
        ``take_out``: those of them that are surely not the CA's are deleted from the folder. ``different`` as for
        ``sign_off``.
        """
        if look and directory is not None:
            return self._look_at(Path(directory), dummies, take_out=take_out)
        person = person_name(by)
        if destroyed:
            return self._destroyed(destroyed, person)
        if directory is None:
            raise UsageError("Name the folder of the bundle whose dummies are to be pinned.")
        plan = self._signed_plan()
        place = Path(directory)
        bundles.check_bundle(place, plan)
        analyst = next(s for s in self.sign_offs(plan) if s.role == "analyst")
        if person_key(analyst.person) == person_key(person):
            raise RefusedError(f"{person} signed as analyst. Somebody else must look at the dummies: --by PERSON.")
        alike = _alike(person, [analyst], different=different)
        bundles.check_known(place, self._exported(plan))
        acts = [e for e in self._journal.entries() if e.act in ("export", "pin", "longer")]
        bundles.check_archive(bundles.archive_of(place), {str(e.details.get("zip")) for e in acts})
        made = bundles.read_dummies(place)
        bundles.refuse_simulated(made.items(), bundles.simulated_files(self._journal.entries()))
        before = {sha256 for e in acts if e.act == "pin" for sha256 in e.details["pins"].values()}
        pins = remediation.check_dummies(plan, made, self._derived.own, pinned=before)
        if seen not in (None, bundles.seen(pins)):
            raise RefusedError("The dummies are others than those that were looked at: look at them again.")
        with self._folder.locked():
            if longer := self._longer(plan, pins, made, self._clock()):
                self._hand_out("longer", plan, place, longer, {"by": person})
        bundles.refuse_problems(pins, place)
        bundles.refuse_ca(pins, taken=ca_true)
        left = remediation.leftovers(pins, made)
        with self._folder.locked():
            known = {p.serial: p.sha256 for p in pins if p.is_ca}
            made_of = {"pins": {p.serial: p.sha256 for p in pins}, "leftovers": left, "ca_true": known}
            details = {"by": person, **alike, **made_of}
            self._hand_out("pin", plan, place, self._pinned(plan, pins, made, left), details)
        table = bundles.pin_table(pins)
        table.attrs["leftovers"] = left
        return table

    def _look_at(self, place: Path, dummies: Iterable[tuple[str, bytes]], *, take_out: bool = False) -> pd.DataFrame:
        """Check the dummies in a bundle's folder, of those needed the ones that are there; pin none."""
        plan = self._signed_plan()
        bundles.check_bundle(place, plan)
        bundles.check_known(place, self._exported(plan))
        brought = list(dummies)
        bundles.refuse_simulated(brought, bundles.simulated_files(self._journal.entries()))
        _, aside = bundles.take_dummies(place, brought)
        made = bundles.read_dummies(place)
        needed = [item for item in plan.items if item.method == "dummy"]
        names = {name.lower() for name in made}
        there = [item for item in needed if not names.isdisjoint(remediation.dummy_names(item))]
        before = {s for e in self._acts("pin") for s in e.details["pins"].values()}
        partly = replace(plan, items=tuple(there))
        pins = remediation.check_dummies(partly, made, self._derived.own, pinned=before) if there else []
        if take_out and (bad := {Path(pin.name).name for pin in pins if bundles.not_the_cas(pin)}):
            bundles.take_out(place, bad)
            return self._look_at(place, ())
        table = bundles.pin_table(pins)
        table.attrs.update(leftovers=remediation.leftovers(pins, made), seen=bundles.seen(pins), aside=aside)
        table.attrs.update(missing=len(needed) - len(there), not_the_cas=sum(map(bundles.not_the_cas, pins)))
        return table

    def run(
        self,
        directory: str | Path,
        *,
        on: str | remediation.Backend = "simulator",
        call: Sequence[str] = (),
        by: str | None = None,
        ca_name: str | None = None,
        no_dialog: str | None = None,
        on_output: Callable[[str], None] | None = None,
    ) -> Run:
        """Run an exported bundle: on the simulator (a copy of it, start to end), or on a backend.

        On a backend the next step is taken: ``prepare.cmd`` where dummies are still to be
        made and pinned, else ``revoke.cmd`` with preflight, apply and publish; or one ``call``, in
        the words that are typed at the server (``["revoke.cmd", "apply", "FIRST"]``). The files
        must be those that were exported: each is compared with the journal first.

        On a real CA (``backends.backend``) ``by`` is who runs it and ``ca_name`` the CA's name, typed
        to confirm. ``no_dialog`` is who saw at the server that signing opens no dialog: without it
        nothing is signed by SSH. Begin and end are journaled, so a run that was cut off can be seen.

        What the scripts say lies in the case as they say it, so that other processes can follow it and ask for its
        end (``carecover.underway``). Raises RefusedError while another run or rehearsal of the case goes on.
        """
        if isinstance(on, str) and on != "simulator":
            raise UsageError(f"'{on}' is no name here: 'simulator', or what carecover.backends.backend('{on}') gives.")
        plan = self._signed_plan()
        place = Path(directory)
        bundles.check_bundle(place, plan)
        files = bundles.read_files(place, self._exported(plan))
        show = on_output or (lambda _text: None)
        if isinstance(on, str):
            if call:
                raise UsageError("The simulator runs the whole bundle from start to end: leave the call out.")
            with underway.turn(self.path):
                return self._simulate(plan, files, "run", show)
        if call and call[0] not in files:
            scripts = ", ".join(sorted(name for name in files if name.endswith(".cmd")))
            raise UsageError(f"There is no {call[0]!r} in this bundle: it has {scripts}.")
        before = bundles.LONGER if "longer.cmd" in files else bundles.PREPARE
        calls = bundles.scripts(plan) if "revoke.cmd" in files else before
        calls = [(call[0], " ".join(call[1:]))] if call else calls
        with underway.turn(self.path):
            if on.name == simulator.SimulatedHost.name:
                with self._screen("run", show) as (screen, target):
                    return self._execute(plan, on, place, calls, "run", screen, target, self._derived.own)
            return self._run_for_real(plan, on, place, calls, show, by=by, ca_name=ca_name, no_dialog=no_dialog)

    # ------------------------------------------------------------------ proof and report

    def verify(
        self, files: Iterable[str | Path] = (), *, fetched_from: str | None = None, ask_ocsp: str | None = None
    ) -> pd.DataFrame:
        """Take transcripts, later views, new CRLs and OCSP answers; return table ``outcomes``.

        ``fetched_from`` is the distribution point at which all of ``files`` were fetched: they
        show what clients can get, not what the CA wrote. ``ask_ocsp`` is the URL of a responder
        that is asked about every planned serial number; nothing is asked without it. Sentences
        about files that prove nothing, and about what the new CRL lost, are the table's
        ``attrs["notes"]``. Raises PathError like ``add`` (the error's ``finished`` is the table),
        and RunError where a responder cannot be asked (the answers before that are kept).
        """
        source = {} if fetched_from is None else {"fetched_from": check_place(fetched_from)}
        paths, unopened = walk(files, self.path)
        plan, records, stamped = self.plan(), [], list[str]()
        made, simulated = bundles.simulated_files(self._journal.entries()), dict[str, str]()
        with tempfile.TemporaryDirectory(prefix="carecover-") as name:
            asked, failure = ([], None) if ask_ocsp is None else self._ask(plan, ask_ocsp, Path(name))
            with self._folder.locked():
                digest = self.plan().digest
                for path, shown, where in [*((p, spelled(p), source) for p in paths), *asked]:
                    if stamps.is_answer(path):
                        stamped.append(shown)
                        continue
                    if told := bundles.simulation_of(path, made):
                        simulated[shown] = told
                        continue
                    try:
                        stored = self._store(path)
                    except PathError as error:
                        unopened.append(str(error))
                        continue
                    kept = {"path": shown, "sha256": stored.sha256, "size": stored.size, "copied": stored.copied}
                    records.append({**kept, **where})
                self._folder.settle()
                parts = [
                    records[start : start + _FILES_PER_ENTRY] for start in range(0, len(records), _FILES_PER_ENTRY)
                ]
                acts = [self._record("verify", {"digest": digest, "files": part}) for part in parts]
        unopened += [*_not_taken(stamped), *bundles.of_simulations(simulated)]
        outcomes = self._derived.table("outcomes")
        counted = {str(verdict): int(number) for verdict, number in outcomes["verdict"].value_counts().items()}
        self._record_result(acts, {"outcomes": _digest_of("outcomes", outcomes), "verdicts": counted})
        returned, changes = self._returned(), self._derived.table("crl_changes")
        useless = [] if unopened else _of_no_use([str(record["path"]) for record in records], returned.unused)
        outcomes.attrs["notes"] = [*returned.notes, *useless, *proof.warnings_about(changes)]
        if failure is not None:
            raise RunError(f"{failure} {len(asked)} answers were kept; 'carecover table CASE outcomes' has them.")
        if unopened:
            others = {0: "Nothing else was taken.", 1: "1 other file was taken."}
            taken = others.get(len(records), f"{len(records):,} other files were taken.")
            raise PathError(f"{' '.join(unopened)} {taken}", outcomes)
        return outcomes

    def report(
        self,
        output: str | Path,
        *,
        language: str = "en",
        edition: Literal["full", "redacted"] = "full",
        audience: str = "all",
        fields: Mapping[str, str] | None = None,
    ) -> Path:
        """Write the report (.html .docx .pdf .md .json, its tables as .xlsx or .zip of CSV); a copy stays in the case.

        ``language`` is en or de, ``audience`` all, leadership, technical or legal. Edition ``redacted`` has pseudonyms
        for names and no free text. ``fields`` is what only people can write (``carecover.report.FIELDS``: cause,
        systems, lessons, …; a lesson is a line ``what | owner | date``); it is kept by the journal and stands in every
        later report until it is written anew. Raises UsageError for what there is not.

        The same of the journal: .jsonld is all of it in the words of CASE/UCO, .tsq asks a time-stamping authority
        (RFC 3161) about its head.
        """
        target = Path(output)
        form = target.suffix.lower()
        if form == ".tsq":
            return self._ask_for_stamp(target)
        if edition not in ("full", "redacted"):
            raise UsageError(f"There is no edition '{edition}'; there are: full, redacted.")
        if edition == "redacted" and form == ".jsonld":
            raise UsageError(
                "The journal has no edition for outsiders: it is full of names. Hand out a report instead."
            )
        told = {**self._last_told(), **report_fields.checked(fields or {})}
        if edition == "redacted":
            self._make_pseudonyms()
        said: dict[str, Any] = {
            "form": form,
            "made_at": utc_text(self._clock()),
            "as_of": len(list(self._journal.entries())),
        }
        if form != ".jsonld":
            said |= {"language": language, "edition": edition, "audience": audience, "told": told}
        page, document = self._rendered(said)
        with self._folder.locked():
            _write_out(target, page)
            copy = custody.report_copy(sha256_hex(page), form)
            self._folder.write(copy, page)
            kept = {} if document is None else {"document": _digest_of_report(document)}
            self._record("report", {"path": spelled(target), "sha256": sha256_hex(page), "copy": copy, **kept, **said})
        return target

    def _last_told(self) -> dict[str, str]:
        """What people wrote into the last report."""
        written = [e.details["told"] for e in self._acts("report") if "told" in e.details]
        return dict(written[-1]) if written else {}

    def _make_pseudonyms(self) -> None:
        """Make the key of the case's pseudonyms, once; the journal answers for it by its hash."""
        with self._folder.locked():
            if self._last("pseudonyms") is None:
                key = secrets.token_bytes(32)
                self._folder.write(custody.PSEUDONYMS, key)
                self._record("pseudonyms", {"copy": custody.PSEUDONYMS, "sha256": sha256_hex(key)})

    def _pseudonyms(self) -> Pseudonyms:
        made = self._last("pseudonyms")
        try:
            key = (self.path / custody.PSEUDONYMS).read_bytes()
        except OSError:
            key = b""
        if made is None or sha256_hex(key) != made.details["sha256"]:
            raise CaseError(
                f"{self.path / custody.PSEUDONYMS} is missing or was changed: pseudonyms would not be those of earlier "
                "reports. Bring it back from a copy of the case."
            )
        return Pseudonyms(key)

    def _rendered(self, said: Mapping[str, Any]) -> tuple[bytes, Document | None]:
        """A report or export as bytes: they follow from the case, and from ``said``, which the journal keeps."""
        form = said["form"]
        if form == ".jsonld":
            return provenance.case_uco(list(self._journal.entries())), None
        document, tables, names = self._document(said)
        return render(document, form, tables, names), document

    def _document(self, said: Mapping[str, Any]) -> tuple[Document, dict[str, pd.DataFrame], Pseudonyms | None]:
        """The frozen report, the tables that it was made of, and the pseudonyms in it."""
        try:
            plan: Plan | None = self.plan()
        except (RefusedError, QuestionError):
            # The report of an unfinished case says how far it has come.
            plan = None
        tables = {}
        for name in TABLES:
            try:
                tables[name] = self.table(name)
            except QuestionError as error:
                tables[name] = TABLES[name].empty()
                if name == "coverage":
                    row = {"aspect": "database view", "figure": "", "verdict": "unknown", "why": str(error)}
                    tables[name] = TABLES[name].frame([row])
        names = self._pseudonyms() if said.get("edition") == "redacted" else None
        document = make_document(
            case_name=self._name,
            facts=self.facts,
            tables=tables,
            plan=plan,
            sign_offs=self.sign_offs(plan) if plan else (),
            rehearsal=self._last_run("rehearsal", plan),
            executions=[run for run in (self._last_run("run", plan),) if run is not None],
            trusted_until=proof.trusted_until(tables["visibility"]),
            journal_head=self._journal.head,
            made_at=moment(said["made_at"]),
            version=__version__,
            language=said.get("language", "en"),
            audience=said.get("audience", "all"),
            told=said.get("told"),
            acts=[
                ReportAct(e.number, moment(e.at), e.act, e.details.get("by"), e.how.get("command"), e.digest)
                for e in self._journal.entries()
            ],
            pseudonyms=names,
            new_crls=self._returned().crls,
        )
        return document, tables, names

    def _ask_for_stamp(self, target: Path) -> Path:
        with self._folder.locked():
            entry = self._journal.last()
            if entry is None:
                raise UsageError("There is no act in the journal yet that could be stamped.")
            asked = stamps.request(entry)
            self._record("stamp-request", {"path": spelled(target), "sha256": sha256_hex(asked), "head": entry.digest})
            return _write_out(target, asked)

    def check(
        self, *, head: str | None = None, against: Iterable[str | Path] = (), authority: str | Path | None = None
    ) -> custody.Checked:
        """Recompute everything from the folder; return what does not fit, in sentences.

        ``head`` is a head of the journal that was printed somewhere, ``against`` are files that name one: bundles,
        transcripts, reports, or time stamps (.tsr), which are checked with the certificates in ``authority``; those
        that the case keeps, with the ones beside them. What fits of these is in ``notes``. Writes nothing, and
        believes no cache.
        """
        self._journal.forget()
        self._decided = (b"", TABLES["decisions"].empty())
        anchors = [custody.anchor(Path(path)) for path in against]
        try:
            entries = list(self._journal.entries())
        except CaseError as error:
            return custody.Checked([str(error)])
        answers = [custody.anchor_problem(entries, found) for found in anchors]
        answers += [custody.stamp_problem(found, authority) for found in anchors if found.stamp is not None]
        answers += [] if head is None else [custody.head_problem(entries, head)]
        answers += custody.kept_stamp_answers(self._folder, entries)
        checked = custody.Checked([bad for bad, _ in answers if bad], [good for _, good in answers if good])
        if self._journal.torn:
            checked.append(
                f"{self.path / 'journal.jsonl'} ends in the middle of a line: the last act was interrupted and does "
                "not count, or the file was damaged. The next act puts that line aside."
            )
        if not self._folder.head_is(custody.head_body(self._folder.read_head(), self._recorded_facts(), entries)):
            checked.append(
                f"{self.path / 'case.json'} does not hold the facts that the journal records, which are those that "
                "count, or not in the form in which they are written. 'carecover init CASE' writes it again."
            )
        if underway.is_going(self.path):
            checked.append("A run or rehearsal of this case is going on: check it again when that has ended.")
        elif cut := self._without_end():
            checked.append(cut)
        checked += custody.signature_problems(entries)
        broken: list[str] = []
        recorded = [f for e in entries if e.act in ("add", "verify") for f in e.details["files"]]
        looks: list[Callable[[], object]] = [partial(self._folder.unchanged, file) for file in _each_once(recorded)]
        for look in (*looks, self._decision_lines):
            try:
                look()
            except CaseError as error:
                broken.append(str(error))
        last = self._last("decide")
        checked += custody.folder_problems(self._folder, entries, last.details["size"] if last else 0)
        checked += broken
        if broken:
            return checked
        checked += self._come_out_again(entries)
        return checked

    def _come_out_again(self, entries: Iterable[Entry]) -> Iterator[str]:
        """What is not the same when everything is computed once more, from the evidence alone."""
        fresh = self._afresh()
        read, remembered = fresh._readings(), self._readings()
        for name in READ_TABLES:
            if not _same(remembered[name], read[name]):
                yield f"Table {name} is not what the evidence gives. Delete {self.path / 'cache'}."
        for entry in entries:
            yield from fresh._recomputed(entry)

    def _afresh(self, until: int | None = None) -> Case:
        """The case as it was after an act, from the evidence alone: no cache is read or written."""
        then = Case(self._folder, self._clock)
        then._journal = Journal(self.path / "journal.jsonl", until=until)
        then._register = self._register if self._register.afresh else EvidenceRegister(self._folder, afresh=True)
        then._investigator = self._investigator
        return then

    def _recomputed(self, entry: Entry) -> list[str]:
        """What an act recorded of its result, and what comes out now."""
        said, now = entry.details, dict[str, str | None]()
        then = self._afresh(said.get("as_of", entry.number - 1))
        # CaseError: the key of the pseudonyms is gone, which is told of its file as well.
        with contextlib.suppress(QuestionError, RefusedError, CaseError):
            if entry.act == "sign":
                now["digest"] = then.plan().digest
                now["findings"] = _digest_of("findings", then.findings)
            elif entry.act == "report" and "form" in said:
                if "document" in said:
                    # Fonts and libraries are the machine's: what is compared is what the report says.
                    now["document"] = _digest_of_report(then._document(said)[0])
                else:
                    now["sha256"] = sha256_hex(then._rendered(said)[0])
            elif entry.act == "result" and "outcomes" in said:
                now["outcomes"] = _digest_of("outcomes", then.table("outcomes"))
        what = {"digest": "plan", "findings": "findings", "sha256": said.get("copy"), "outcomes": "outcomes"}
        what["document"] = said.get("copy")
        return [
            custody.not_the_same(entry, str(what[n]), now.get(n))
            for n in custody.results(entry)
            if now.get(n) != said[n]
        ]

    # ------------------------------------------------------------------ inside: journal

    @property
    def _name(self) -> str:
        first = next(self._journal.entries(), None)
        return str(first.details["name"]) if first else self.path.name

    def _recorded_facts(self) -> dict[str, Any] | None:
        """The facts by the journal; None before there is one."""
        found: dict[str, Any] | None = None
        for entry in self._journal.entries():
            if entry.act in ("create", "facts"):
                found = dict(entry.details.get("after") or entry.details["facts"])
        return found

    def _store(self, file: Path) -> Stored:
        """Take a file into the case; a reference must have a name that can be written down."""
        stored = self._folder.store(file)
        if not stored.copied and spelled(file) != str(file):
            raise PathError(
                f"{spelled(file)} is too large to be copied, and its name is no Unicode text: give it another name."
            )
        return stored

    def _record(self, act: str, details: Mapping[str, Any], *, at: datetime | None = None) -> Entry:
        self._renew()
        return self._journal.append(act, at or self._clock(), details)

    def _renew(self) -> None:
        """Before the first new act on a case of format 1: record what its journal does not answer for."""
        head = self._folder.read_head()
        if head["format"] == FORMAT:
            return
        entries = list(self._journal.entries())
        if not any(entry.act == "format" for entry in entries):
            files = custody.unvouched_files(self._folder, entries)
            known = {"created": head.get("created"), "files": files}
            self._journal.append("format", self._clock(), {"before": head["format"], "after": FORMAT, **known})
        self._folder.write_json("case.json", {**head, "format": FORMAT})

    def _record_result(self, acts: Sequence[Entry], result: Mapping[str, Any]) -> None:
        """Record what came of acts that are recorded already: they stand, whether this can be written or not."""
        if acts:
            with contextlib.suppress(CaseError), self._folder.locked():
                self._record("result", {"of": [entry.number for entry in acts], **result})

    def _acts(self, act: str) -> Iterator[Entry]:
        return (e for e in self._journal.entries() if e.act == act)

    def _last(self, act: str) -> Entry | None:
        return next(iter(deque(self._acts(act), maxlen=1)), None)

    def _void_if_changed(self) -> None:
        """Any change voids both signatures, visibly."""
        standing: str | None = None
        for entry in self._journal.entries():
            if entry.act == "sign":
                standing = entry.details["digest"]
            elif entry.act == "void":
                standing = None
        if standing is None:
            return
        try:
            now: str | None = self.plan().digest
        except CarecoverError:
            now = None
        if now != standing:
            self._record("void", {"digest": standing, "new_digest": now})

    def _signed_plan(self) -> Plan:
        remediation.check_key(self.facts)
        plan = self.plan()
        remediation.check_signoffs(plan, self.sign_offs(plan))
        return plan

    # ------------------------------------------------------------------ inside: tables

    @property
    def _derived(self) -> Derivation:
        """The tables that follow from what the case holds now."""
        last = self._last("baseline")
        holding = Holding(
            name=self._name,
            facts=self.facts,
            readings=self._readings(),
            added=[Act(moment(e.at), e.details["files"]) for e in self._acts("add")],
            verified=[Act(moment(e.at), e.details["files"]) for e in self._acts("verify")],
            baseline=last.details["evidence_ids"] if last else None,
            decisions=self._decisions(),
            waivers=tuple(_waiver(e.details["note"], e.details["by"]) for e in self._acts("waive")),
            dummies=bundles.dummy_rows(e for e in self._journal.entries() if e.act in _ABOUT_DUMMIES),
            stamps=custody.stamp_rows(list(self._journal.entries())),
            returned=self._returned,
        )
        # To sign, export or run changes nothing of what a case holds.
        if self._made is None or not self._made.holding.same(holding):
            self._made = Derivation(holding, self._investigator)
        return self._made

    def _decisions(self) -> pd.DataFrame:
        """Table ``decisions``; what was there before the last act is not parsed again."""
        data = self._decision_lines()
        known, table = self._decided
        if data == known:
            return table
        if not data.startswith(known):
            known, table = b"", TABLES["decisions"].empty()
        rows = [json.loads(line) for line in data[len(known) :].decode("utf-8").splitlines()]
        more = TABLES["decisions"].frame(rows)
        table = pd.concat([table, more], ignore_index=True) if len(table) else more
        self._decided = (data, table)
        return table

    def _evidence_records(self) -> list[dict[str, Any]]:
        return [{**f, "added_at": e.at} for e in self._acts("add") for f in e.details["files"]]

    def _readings(self, progress: Progress | None = None, executor: Executor | None = None) -> dict[str, pd.DataFrame]:
        records, accepted = self._evidence_records(), self._accepted_profiles()
        return self._register.tables(records, self.facts, progress, accepted, executor=executor)

    def _choose_baseline(self, evidence_ids: Sequence[str], person: str) -> None:
        analysis.assemble_baseline(self._derived.table("ca_rows"), self._derived.table("views"), evidence_ids)
        with self._folder.locked():
            self._record("baseline", {"evidence_ids": list(evidence_ids), "by": person})
            self._void_if_changed()

    def _accepted_wordings(self) -> dict[str, Mapping[str, Any]]:
        """The wordings that a person accepted and nobody withdrew, by their profile_id."""
        standing: dict[str, Mapping[str, Any]] = {}
        for entry in self._acts("profile"):
            if "withdraw" in entry.details:
                standing.pop(entry.details["withdraw"], None)
            else:
                standing[entry.details["accept"]] = entry.details["wording"]
        return standing

    def _accepted_profiles(self) -> tuple[evidence.Profile, ...]:
        return tuple(
            evidence.Profile(f"learned-{profile_id}", (evidence.Wording.from_json(wording),), "accepted")
            for profile_id, wording in self._accepted_wordings().items()
        )

    def _unexplained(self, progress: Progress | None) -> evidence.Unexplained:
        """All mail gone through for what no wording in use explains."""
        tables = self._readings()
        names = [self.facts.ca or "", *self._derived.own["subject"].str.extract(_COMMON_NAME)[0].dropna()]
        found = evidence.Unexplained(tables["ca_rows"], names)
        known = (*evidence.configured(tables["registry"]), *self._accepted_profiles())
        kinds = tables["evidence"].set_index("evidence_id")["kind"]
        first = {r["sha256"]: r for r in reversed(self._evidence_records())}
        mails = [r for r in first.values() if kinds.get(r["evidence_id"]) in evidence.MAIL_KINDS]
        for done, record in enumerate(mails):
            if progress:
                progress(f"looking through {Path(record['path']).name}", done, len(mails))
            evidence.unexplained_mails(self._folder.unchanged(record), known, found)
        return found

    @property
    def _context(self) -> evidence.Context:
        facts = self.facts
        return evidence.Context(time_zone=facts.time_zone, date_order=facts.date_order)

    def _added(
        self, added: Sequence[Mapping[str, Any]], before: set[str], tables: Mapping[str, pd.DataFrame]
    ) -> pd.DataFrame:
        """What one act of adding brought: one row of ``accounting`` a file."""
        counted = tables["accounting"].groupby("evidence_id", sort=False).first()
        rows, seen = [], set(before)
        for record in added:
            row = {"evidence_id": record["evidence_id"], **counted.loc[record["evidence_id"]].to_dict()}
            if record["sha256"] in seen:
                row.update(parsed=0, irrelevant=0, rejected=0, duplicate=int(row["units"]))
            seen.add(record["sha256"])
            rows.append(row)
        return TABLES["accounting"].frame(rows)

    def _decision_lines(self) -> bytes:
        """The decisions that the journal acknowledges; a line it does not know was never made."""
        entry = self._last("decide")
        if entry is None:
            return b""
        name = self.path / "decisions.jsonl"
        try:
            data = name.read_bytes()[: entry.details["size"]]
        except OSError as error:
            raise CaseError(f"{name} cannot be read: {error.strerror}. Restore it from a copy of the case.") from None
        if sha256_hex(data) != entry.details["sha256"]:
            raise CaseError(f"{name} is not what the journal records: a decision was changed. Restore it from a copy.")
        return data

    # ------------------------------------------------------------------ inside: running

    def _certificate_files(self, plan: Plan) -> dict[str, bytes]:
        """DER of every certificate that the plan names, by SHA-256."""
        wanted = {item.certificate_sha256 for item in plan.items} | set(plan.signer_sha256.values())
        wanted |= {plan.ca_certificate_sha256}
        table = self._readings()["certificates"]
        mine = table[table["certificate_sha256"].isin([w for w in wanted if w])]
        return {str(sha256): der for sha256, der in zip(mine["certificate_sha256"], mine["der"], strict=True)}

    def _pinned(
        self, plan: Plan, pins: Sequence[Pin], dummies: Mapping[str, bytes], leftovers: Mapping[str, str]
    ) -> dict[str, bytes]:
        return remediation.pinned_bundle(
            plan, self._certificate_files(plan), pins, _of_pins(pins, dummies), leftovers=leftovers,
            signoffs=self.sign_offs(plan), journal_head=self._journal.head,
            written=self._written(plan, {p.serial: p.sha256 for p in pins}),
        )  # fmt: skip

    def _longer(self, plan: Plan, pins: Sequence[Pin], dummies: Mapping[str, bytes], now: datetime) -> dict[str, bytes]:
        return remediation.longer_bundle(
            plan, self._certificate_files(plan), pins, _of_pins(pins, dummies), now=now,
            signoffs=self.sign_offs(plan), journal_head=self._journal.head, written=self._written(plan),
        )  # fmt: skip

    def _written(self, plan: Plan, pins: Mapping[str, str] | None = None) -> dict[str, str]:
        """The batches of this plan (with these pins) that were written before, each with the head that it names.

        Written again they are the same files: one of them may lie on a CA already, where another is refused.
        """
        heads: dict[str, str] = {}
        for entry in self._journal.entries():
            said = entry.details
            if entry.act not in ("export", "pin", "longer") or said["digest"] != plan.digest:
                continue
            if entry.act != "pin" or said["pins"] == pins:
                for name in said["files"]:
                    heads.setdefault(name, entry.previous)
        return heads

    def _destroyed(self, digests: Sequence[str], person: str) -> pd.DataFrame:
        """Record what a person says of leftover dummies; returns table ``dummies``."""
        known = self.table("dummies")
        if list(digests) == ["all"]:
            digests = list(known.loc[known["state"] == "leftover", "sha256"])
        unknown = sorted(set(digests) - set(known["sha256"]))
        if unknown:
            raise UsageError(
                f"{unknown[0]} is no SHA-256 of a dummy that was pinned or left over: carecover table CASE dummies"
            )
        with self._folder.locked():
            self._record("destroyed", {"by": person, "destroyed": sorted(set(digests))})
        return self.table("dummies")

    def _hand_out(
        self, act: str, plan: Plan, place: Path, files: Mapping[str, bytes], details: Mapping[str, Any]
    ) -> None:
        """Write another form of a bundle over the one in its folder, and pack it.

        The journal first: what it does not know would count as changed by somebody else, and an
        interrupted act could not be repeated.
        """
        packed = bundles.pack(files, plan.digest)
        self._record(act, {**_handed_out(plan, files, packed), **details})
        bundles.write_files(place, files)
        bundles.remove_stale(place, files)
        bundles.write_archive(bundles.archive_of(place), packed)

    def _exported(self, plan: Plan) -> list[dict[str, str]]:
        """Every bundle written for this plan, oldest first: its files with their SHA-256, as the journal records them.

        A plan may be exported more than once, and pinning makes a further bundle of one.
        """
        acts = (e for e in self._journal.entries() if e.act in ("export", "pin", "longer"))
        return [e.details["files"] for e in acts if e.details["digest"] == plan.digest]

    def _simulate(
        self,
        plan: Plan,
        files: Mapping[str, bytes],
        kind: str,
        show: Callable[[str], None],
        behaviour: simulator.Behaviour | None = None,
    ) -> Run:
        """The whole bundle, start to end, on a CA made from the evidence, in a folder of its own."""
        crls = self._readings()["crls"]
        ca = simulator.SimulatedCA.from_evidence(
            ca_rows=self._derived.baseline.rows,
            ca_certificates=self._derived.own,
            crls=crls[crls["signed_by_ca"].fillna(value=False).astype(bool)],
            crl_entries=self._readings()["crl_entries"],
            facts=self.facts,
            now=self._clock(),
            behaviour=behaviour,
        )
        host = simulator.SimulatedHost(ca, says_so=True)
        with (
            _room_for(kind),
            self._screen(kind, show) as (screen, target),
            tempfile.TemporaryDirectory(prefix="carecover-") as name,
        ):
            # The CA's own key is not in evidence: what this CA signs is checked with its stand-in's certificate.
            signers = ca.stand_in_certificates
            place = Path(name)
            bundles.write_files(place, files)
            before: bundles.Phases = ()
            if plan.needs_dummies and "revoke.cmd" not in files:
                before, pins, dummies = self._dummies_for(plan, host, place, screen, signers, ca)
                bundles.refuse_problems(pins, place)
                left = remediation.leftovers(pins, dummies)
                bundles.write_files(place, self._pinned(plan, pins, dummies, left))
            return self._execute(plan, host, place, bundles.scripts(plan), kind, screen, target, signers, ca, before)

    def _dummies_for(
        self, plan: Plan, host: simulator.SimulatedHost, place: Path, screen: bundles.Screen,
        signers: pd.DataFrame, ca: simulator.SimulatedCA,
    ) -> tuple[bundles.Phases, list[Pin], dict[str, bytes]]:  # fmt: skip
        """Have the dummies made on a simulated CA, and signed again where they end too early, as people would."""
        before: bundles.Phases = ()
        for calls in (bundles.PREPARE, bundles.LONGER):
            before = (*before, *bundles.run_scripts(host, place, calls, screen))
            dummies = bundles.read_dummies(place)
            script, code = calls[0][0], before[-1][1]
            if code != 0 and calls is bundles.PREPARE:
                raise RunError(f"{script} ended with exit code {code} on the simulated CA: see its output.")
            pins = remediation.check_dummies(plan, dummies, signers)
            if calls is bundles.LONGER or not (longer := self._longer(plan, pins, dummies, ca.now)):
                break
            bundles.write_files(place, longer)
        return before, pins, dummies

    def _execute(
        self,
        plan: Plan,
        backend: remediation.Backend,
        place: Path,
        calls: Sequence[tuple[str, str]],
        kind: str,
        screen: bundles.Screen,
        target: Path,
        signers: pd.DataFrame,
        ca: simulator.SimulatedCA | None = None,
        before: bundles.Phases = (),
        begun: Entry | None = None,
    ) -> Run:
        """Run scripts in turn; keep transcripts and CRLs; judge what came out."""
        phases = bundles.run_scripts(backend, place, calls, screen)
        finished = len(phases) == len(calls) and bundles.ended_well(*phases[-1])
        with self._folder.locked():
            left = bundles.keep(place, target, screen.text)
            kept = self._folder.take_private(target)
            # A simulated CA's clock runs with its calls; its CRL is fresh by that clock.
            now = self._clock() if ca is None else max(self._clock(), ca.now)
            returned = bundles.read_back([bundles.Handed(p, p.name) for p in left], self._context, signers)
            outcomes = self._derived.judge(plan, returned, signers, now)
            proved = TABLES["outcomes"].to_json(outcomes).encode("utf-8")
            self._folder.write(f"runs/{target.name}/outcomes.json", proved)
            kept["outcomes.json"] = sha256_hex(proved)
            details: dict[str, Any] = {"digest": plan.digest, "backend": backend.name, "directory": target.name}
            details["finished"] = finished
            details |= {} if begun is None else {"begun": begun.number, "host": dict(backend.details)}
            details |= {"outcomes": sha256_hex(proved), "files": kept}
            details["transcripts"] = [sha256_hex(p.read_bytes()) for p in left if p.suffix == ".log"]
            details["assumptions"] = list(ca.behaviour.assumptions) if ca is not None else []
            self._record(kind, {**details, "phases": [f"{phase}: {code}" for phase, code in (*before, *phases)]})
        return Run(kind, backend.name, (*before, *phases), screen.text, outcomes, target, finished)

    def _next_directory(self, kind: str) -> str:
        """Name of a folder of its own below ``runs``: two runs within one second are two runs."""
        stamp = self._clock().strftime("%Y%m%dT%H%M%SZ")
        taken = sum(1 for _ in (self.path / "runs").glob(f"{stamp}*"))
        return f"{stamp}-{taken + 1}-{kind}"

    @contextlib.contextmanager
    def _screen(self, kind: str, show: Callable[[str], None]) -> Iterator[tuple[bundles.Screen, Path]]:
        """For a simulated run: its screen and its folder, which is gone again where there was no end of it."""
        with self._folder.locked():
            underway.sweep(self.path, self._journal.entries())
            target = self.path / "runs" / self._next_directory(kind)
            kept = self._folder.write(f"runs/{target.name}/{underway.OUTPUT}", b"")
        cancel = underway.Cancel(self.path)

        def watching(text: str) -> None:
            show(text)
            if cancel.is_set():
                raise RunError("It was cancelled. Nothing of it is kept: the simulated CA was made for this only.")

        screen = bundles.Screen(watching, kept, cancel)
        try:
            yield screen, target
        except (Exception, KeyboardInterrupt):
            screen.close()
            shutil.rmtree(target, ignore_errors=True)
            raise
        finally:
            screen.close()

    def _run_for_real(
        self, plan: Plan, on: remediation.Backend, place: Path, calls: Sequence[tuple[str, str]],
        show: Callable[[str], None], **said: str | None,
    ) -> Run:  # fmt: skip
        """Run scripts on a CA, begin and end on record."""
        cut = self._without_end()
        begun = self._begin(plan, on, place, calls, **said)
        try:
            target = self.path / "runs" / begun.details["directory"]
            kept = self._folder.write(f"runs/{target.name}/{underway.OUTPUT}", b"")
            with contextlib.closing(bundles.Screen(show, kept, underway.Cancel(self.path))) as screen:
                if cut:
                    screen(f"{cut}\n")
                return self._execute(plan, on, place, calls, "run", screen, target, self._derived.own, begun=begun)
        except BaseException as error:
            with self._folder.locked():
                why = str(error) if isinstance(error, CarecoverError) else type(error).__name__
                self._cut(begun, on.details, why)
            raise

    def _begin(
        self, plan: Plan, on: remediation.Backend, place: Path, calls: Sequence[tuple[str, str]],
        *, by: str | None, ca_name: str | None, no_dialog: str | None,
    ) -> Entry:  # fmt: skip
        """Record that a run on a real CA begins; raise where it must not."""
        if by is None:
            raise UsageError("The journal records who runs this on the CA: say --by PERSON.")
        if ca_name != plan.ca_name:
            raise RefusedError(f"To confirm, type the name of the CA, exactly: --ca '{plan.ca_name}'")
        saw = None if no_dialog is None else person_name(no_dialog)
        if on.name == "ssh" and any(script in bundles.SIGNING for script, _ in calls):
            self._check_silent(plan, place, saw)
        with self._folder.locked():
            if (dead := underway.without_end(self._journal.entries())) is not None:
                self._cut(dead, dead.details["host"], "This program or machine stopped.")
            details = {"digest": plan.digest, "by": person_name(by), "backend": on.name, "host": dict(on.details)}
            calls_made = [f"{script} {words}".strip() for script, words in calls]
            more = {"calls": calls_made, "no_dialog": saw, "directory": self._next_directory("run")}
            return self._record("run-begun", {**details, **more})

    def _cut(self, begun: Entry, host: Mapping[str, str], why: str) -> None:
        """Record that a run on a real CA was cut off, and what it had said."""
        details: dict[str, Any] = {"begun": begun.number, "host": dict(host), "why": why}
        # Runs of earlier versions had no folder before their end.
        if "directory" in begun.details:
            target = self.path / "runs" / begun.details["directory"]
            files = self._folder.take_private(target) if target.is_dir() else {}
            details |= {"directory": target.name, "files": files}
        self._record("run-cut", details)

    def _check_silent(self, plan: Plan, place: Path, saw: str | None) -> None:
        """Refuse to sign where nobody looks, unless this CA signed once already and somebody saw no dialog."""
        # A run by SSH that signed all, however it was allowed, has shown it.
        if any(
            e.details["backend"] == "ssh" and any(p.endswith("GO: 0") for p in e.details["phases"])
            for e in self._acts("run")
        ):
            return
        made = bundles.read_dummies(place)
        names = {f"dummies/{name}" for name in made}
        items = tuple(i for i in plan.items if i.method == "dummy" and remediation.certificate_name(i) in names)
        pins = remediation.check_dummies(replace(plan, items=items), made, self._derived.own) if items else []
        if saw is None or not any(not pin.problems for pin in pins):
            raise RefusedError(
                "Signing may open a dialog on the CA's own screen, where nobody sees it. First run prepare.cmd FIRST "
                "at the server itself and bring its folder dummies back into this one. Where no dialog opened, call "
                "this again with --no-dialog PERSON: who saw it."
            )

    def _without_end(self) -> str | None:
        """A sentence about the newest run on a CA, where no end of it is recorded."""
        begun = underway.without_end(self._journal.entries())
        return None if begun is None else underway.told(begun)

    def _ask(self, plan: Plan, url: str, place: Path) -> tuple[list[tuple[Path, str, dict[str, str]]], str | None]:
        """Ask a responder about every planned serial number; the answers as files, and what went wrong."""
        own = self._derived.own
        indexes = [int(version) >> 16 for version in own["ca_version"].fillna(0)]
        issuers = dict(zip(indexes, own["der"], strict=True))
        planned = {item.serial: issuers[item.ca_key_index] for item in plan.items if item.ca_key_index in issuers}
        questions = [(serial, ocsp_client.question(issuer, serial)) for serial, issuer in planned.items()]
        asked: list[tuple[Path, str, dict[str, str]]] = []
        try:
            for serial, answer in ocsp_client.ask(url, questions):
                write_atomically(place / f"{serial}.ors", answer)
                asked.append((place / f"{serial}.ors", f"{url} about {serial}", {"fetched_from": url}))
        except RunError as error:
            return asked, str(error)
        return asked, None

    def _returned(self) -> bundles.Returned:
        """Everything that was handed to ``verify``, read once."""
        acts, own = list(self._acts("verify")), self._derived.own
        files = [
            bundles.Handed(
                self._folder.unchanged(file), file["path"], file.get("fetched_from"), moment(act.at), file["sha256"]
            )
            for act in acts
            for file in act.details["files"]
        ]
        made_of = (files, self._context, sorted(own["certificate_sha256"]), self._derived.baseline_files)
        if self._read_back is None or self._read_back[0] != made_of:
            simulated = bundles.simulated_files(self._journal.entries())
            read = bundles.read_back(files, self._context, own, self._derived.baseline_files, simulated)
            self._read_back = (made_of, read)
        return self._read_back[1]

    def _last_run(self, kind: str, plan: Plan | None) -> Execution | None:
        """The newest rehearsal or run of the plan as it is now."""
        entry = self._last(kind)
        if entry is None or plan is None or entry.details["digest"] != plan.digest:
            return None
        return Execution(
            outcomes=bundles.outcome_rows(self.path / "runs" / entry.details["directory"] / "outcomes.json"),
            at=moment(entry.at),
            name=entry.details["backend"],
            plan_digest=entry.details["digest"],
            phases=tuple((name, int(code)) for name, _, code in (p.rpartition(": ") for p in entry.details["phases"])),
            transcript_sha256=tuple(entry.details["transcripts"]),
            assumptions=tuple(entry.details["assumptions"]),
        )


# ------------------------------------------------------------------------------ plain helpers


@contextlib.contextmanager
def _room_for(kind: str) -> Iterator[None]:
    """What the machine refuses to a rehearsal or simulated run, room on its disk most often, as a sentence."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"The {kind} on the simulated CA stopped: {error.strerror or error} ({tempfile.gettempdir()} or the case). "
            "Nothing outside this machine was touched. Make room there, and begin it again."
        ) from None


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "·" for c in text[:_SHOWN])


def _alike(person: str, others: Iterable[SignOff], *, different: bool) -> dict[str, str]:
    """What the journal keeps where a name is nearly another's; raises RefusedError where nobody said they differ."""
    other = next((o for o in others if nearly_the_same(o.person, person)), None)
    if other is None:
        return {}
    if not different:
        raise RefusedError(
            f"'{person}' is nearly '{other.person}', who signed as {other.role}. The second must be another person: "
            "write your own name, or say that these are two different people: --different"
        )
    return {"different_from": other.person}


def _role(text: str) -> Role:
    return "analyst" if text == "analyst" else "reviewer"


def _waiver(note: str, person: str) -> str:
    return f"{note} ({person})"


def _of_pins(pins: Sequence[Pin], dummies: Mapping[str, bytes]) -> dict[str, bytes]:
    """Serial number → the file that was looked at, whatever its name."""
    by_digest = {sha256_hex(data): data for data in dummies.values()}
    return {pin.serial: by_digest[pin.sha256] for pin in pins}


def _handed_out(plan: Plan, files: Mapping[str, bytes], packed: bytes) -> dict[str, Any]:
    """What the journal records of a bundle that was written."""
    return {
        "digest": plan.digest,
        "files": {name: sha256_hex(data) for name, data in files.items()},
        "zip": sha256_hex(packed),
    }


def _sign_off(entry: Entry) -> SignOff:
    said = entry.details
    key = said["public_key"] if custody.by_key(entry) else None
    return SignOff(said["digest"], said["by"], _role(said["role"]), moment(entry.at), key)


def _digest_of(name: str, table: pd.DataFrame) -> str:
    """What the journal records of a table that came out."""
    return sha256_hex(TABLES[name].to_json(table).encode("utf-8"))


def _each_once(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list({record["sha256"]: record for record in records}.values())


def _digest_of_report(document: Document) -> str:
    """SHA-256 over all that a report says; it is the same on every machine."""
    return sha256_hex(render_json(document).encode("utf-8"))


def _write_out(target: Path, data: bytes) -> Path:
    """Write what leaves the case; raises PathError where it cannot be written."""
    try:
        write_atomically(target, data)
    except OSError as error:
        raise PathError(f"{target} cannot be written: {error.strerror or error}.") from None
    return target


def _not_taken(stamped: Sequence[str]) -> list[str]:
    """A sentence where time stamps were handed in like evidence."""
    if not stamped:
        return []
    more = f" and {len(stamped) - 3} more" if len(stamped) > 3 else ""
    told = "a time stamp (RFC 3161) is no evidence of the CA: it was not taken. Hand it in with the certificates of its"
    return [f"{', '.join(stamped[:3])}{more}: {told} authority: carecover add CASE FILE --authority PEM."]


def _of_no_use(names: Sequence[str], unused: Collection[str]) -> list[str]:
    """A sentence where nothing that was handed to this act of ``verify`` can prove anything."""
    if not names:
        return ["There was no file in what you named: nothing new is proved."]
    if not set(names) <= set(unused):
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    wanted = "no transcript, view of the database, CRL or OCSP answer"
    return [f"{', '.join(names[:3])}{more}: there is {wanted} in what you named, so nothing new is proved."]


def _same(left: pd.DataFrame, right: pd.DataFrame) -> bool:
    """Equal but for the order of columns' storage; NA equals NA."""
    return left.shape == right.shape and bool(left.reset_index(drop=True).equals(right.reset_index(drop=True)))
