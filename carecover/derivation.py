"""The tables that follow from what a case holds: one place that hands tables from room to room.

``Case`` gathers what a case holds (``Holding``); everything here is a pure function of it.
A table is made when it is asked for, so it is up to date whatever was added in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pandas as pd

from carecover import analysis, bundles, evidence, proof, remediation
from carecover.errors import QuestionError, RefusedError
from carecover.model import TABLES, CaseFacts, Plan


@dataclass(frozen=True)
class Act:
    """One journaled act that brought files: when, and the records of its files."""

    at: datetime
    files: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Holding:
    """What a case holds, as the journal vouches for it.

    ``readings`` are the tables of the evidence, ``added`` and ``verified`` the acts that brought
    files, ``baseline`` the views that a person chose, ``decisions`` the table, ``waivers`` the
    sentences, ``dummies`` and ``stamps`` the rows of those tables; ``returned`` reads what was handed to ``verify``
    (each time: files may change).
    """

    name: str
    facts: CaseFacts
    readings: Mapping[str, pd.DataFrame]
    added: Sequence[Act]
    verified: Sequence[Act]
    baseline: Sequence[str] | None
    decisions: pd.DataFrame
    waivers: tuple[str, ...]
    dummies: Sequence[Mapping[str, object]]
    stamps: Sequence[Mapping[str, object]]
    returned: Callable[[], bundles.Returned]

    def same(self, other: Holding) -> bool:
        """True where nothing can come out otherwise: tables are the very same objects, all else is equal."""
        if self.readings is not other.readings or self.decisions is not other.decisions:
            return False
        rest = (f.name for f in fields(self) if f.name not in ("readings", "decisions"))
        return all(getattr(self, name) == getattr(other, name) for name in rest)


class Investigator:
    """Looks through the evidence, and remembers the last look: every verb asks for it more than once."""

    def __init__(self) -> None:
        self._last: tuple[Any, analysis.Investigation] | None = None
        self._assembled: tuple[Any, analysis.Baseline] | None = None

    def assemble(self, held: Holding) -> analysis.Baseline:
        """The restored CA's database; it follows from exactly these three."""
        facts = held.facts
        made_of = (held.baseline, facts.backup, facts.failure, facts.restored)
        if self._assembled is None or self._assembled[0][0] is not held.readings or self._assembled[0][1] != made_of:
            baseline = analysis.assemble_baseline(
                held.readings["ca_rows"],
                held.readings["views"],
                held.baseline,
                backup=facts.backup,
                failure=facts.failure,
                restored=facts.restored,
            )
            self._assembled = ((held.readings, made_of), baseline)
        return self._assembled[1]

    def look(
        self, readings: Mapping[str, pd.DataFrame], baseline: analysis.Baseline, facts: CaseFacts, at: datetime | None
    ) -> analysis.Investigation:
        """The findings and what is behind them; they follow from exactly these four."""
        made_of = (baseline.evidence_ids, facts, at)
        if self._last is None or self._last[0][0] is not readings or self._last[0][1] != made_of:
            looked_at = {**readings, "ca_rows": baseline.rows}
            tables = analysis.Evidence.of(*(looked_at[name] for name in analysis.EVIDENCE))
            self._last = ((readings, made_of), analysis.investigate(tables, facts=facts, baseline_at=at))
        return self._last[1]


class Derivation:
    """Every derived table of a case, by its name."""

    def __init__(self, holding: Holding, investigator: Investigator) -> None:
        self.holding = holding
        self._investigator = investigator

    def table(self, name: str) -> pd.DataFrame:
        """The table, private columns and all; raises QuestionError where a person is asked first."""
        makers: dict[str, Callable[[], pd.DataFrame]] = {
            "evidence": self._evidence,
            "decisions": lambda: self.holding.decisions,
            "findings": lambda: self.looked.findings,
            "coverage": self._coverage,
            "activity": self._activity,
            "first_steps": self._first_steps,
            "owners": lambda: analysis.make_owners(self.looked.findings),
            "impact": self._impact,
            "outcomes": self._outcomes,
            "fetched": self._fetched,
            "visibility": self._visibility,
            "crl_changes": self._crl_changes,
            "crl_lint": self._crl_lint,
            "local_crl": self._local_crl,
            "dummies": self._dummies,
            "stamps": lambda: TABLES["stamps"].frame(self.holding.stamps),
            "issued_serials": self._issued_serials,
        }
        return makers[name]() if name in makers else self.holding.readings[name]

    # ------------------------------------------------------------------ what all tables need

    @cached_property
    def baseline(self) -> analysis.Baseline:
        """The restored CA's database; raises QuestionError where views contradict each other."""
        return self._investigator.assemble(self.holding)

    @cached_property
    def baseline_files(self) -> frozenset[str]:
        """SHA-256 of the files of the baseline; none where a person has to choose one first."""
        try:
            chosen = self.baseline.evidence_ids
        except QuestionError:
            return frozenset()
        files = (file for act in self.holding.added for file in act.files)
        return frozenset(file["sha256"] for file in files if file["evidence_id"] in chosen)

    @cached_property
    def own(self) -> pd.DataFrame:
        """This CA's own certificates, each once."""
        certificates = self.holding.readings["certificates"]
        return certificates[_true(certificates["own_ca"])].drop_duplicates("certificate_sha256")

    @cached_property
    def looked(self) -> analysis.Investigation:
        """What comes of looking through the evidence."""
        held, baseline = self.holding, self.baseline
        at = [act.at for act in held.added for file in act.files if file["evidence_id"] in baseline.evidence_ids]
        return self._investigator.look(held.readings, baseline, held.facts, max(at, default=None))

    @cached_property
    def plan(self) -> Plan:
        """The decisions in order, frozen; raises RefusedError where there can be no plan."""
        held = self.holding
        certificates = held.readings["certificates"]
        return remediation.make_plan(
            case=held.name,
            facts=held.facts,
            findings=self.looked.findings,
            decisions=held.decisions,
            ca_rows=self.baseline.rows,
            ca_certificates=self.own,
            originals=certificates[_true(certificates["signed_by_ca"])],
            crls=held.readings["crls"],
            audit_events=held.readings["audit_events"],
            waivers=held.waivers,
        )

    def plan_or_none(self) -> Plan | None:
        """The plan, or None where there is none yet; the verb that needs it says why."""
        try:
            return self.plan
        except (RefusedError, QuestionError):
            return None

    # ------------------------------------------------------------------ what is wrong, and how sure

    def _evidence(self) -> pd.DataFrame:
        kinds = self.holding.readings["evidence"].set_index("evidence_id")["kind"]
        columns = ("evidence_id", "path", "size", "sha256")
        first = [(file, act.at) for act in self.holding.added for file in act.files if not file["again"]]
        return TABLES["evidence"].frame(
            [{**{c: f[c] for c in columns}, "added_at": at, "kind": kinds[f["evidence_id"]]} for f, at in first]
        )

    def _coverage(self) -> pd.DataFrame:
        tables, looked = self.holding.readings, self.looked
        return analysis.assess_coverage(
            tables["notifications"], self.baseline, tables["crls"], looked.findings, tables["accounting"],
            self.own, tables["audit_events"], tables["registry"], tables["views"],
            tables["certificates"], facts=self.holding.facts, trail=looked.trail, layout=looked.layout,
        )  # fmt: skip

    def _activity(self) -> pd.DataFrame:
        tables = self.holding.readings
        return analysis.make_activity(
            tables["notifications"], tables["audit_events"], self.baseline.rows, tables["certificates"],
            tables["registry"], self.looked.layout, self.looked.findings, facts=self.holding.facts,
        )  # fmt: skip

    def _first_steps(self) -> pd.DataFrame:
        """The steps; while a question is open, those that need no database."""
        tables, facts = self.holding.readings, self.holding.facts
        signed = tables["crls"][_true(tables["crls"]["signed_by_ca"])]
        try:
            looked = self.looked
        except QuestionError as question:
            empty = TABLES["findings"].empty()
            coverage = analysis.assess_lists(
                tables["crls"], tables["notifications"], tables["audit_events"], self.own, facts=facts
            )
            situation = analysis.Situation(
                facts=facts, findings=empty, coverage=coverage, decisions=self.holding.decisions,
                outcomes=TABLES["outcomes"].empty(), rows=TABLES["ca_rows"].empty(),
                certificates=tables["certificates"], crls=signed, registry=tables["registry"],
                question=str(question), exported=bool(len(tables["views"])),
            )  # fmt: skip
            return analysis.list_first_steps(situation)
        situation = analysis.Situation(
            facts=facts,
            findings=looked.findings,
            coverage=self._coverage(),
            decisions=self.holding.decisions,
            outcomes=self._outcomes(),
            rows=self.baseline.rows,
            certificates=tables["certificates"],
            crls=signed,
            registry=tables["registry"],
            layout=looked.layout,
        )
        return analysis.list_first_steps(situation)

    def _dummies(self) -> pd.DataFrame:
        table = TABLES["dummies"].frame(self.holding.dummies)
        if not len(table):
            return table
        outcomes = self._outcomes()
        proved = outcomes.loc[(outcomes["verdict"] == "proved") & (outcomes["action"] == "revoke"), "serial"]
        return table.assign(
            state=table["state"].mask((table["state"] == "pinned") & table["serial"].isin(proved), "revoked")
        )

    def _impact(self) -> pd.DataFrame:
        tables = self.holding.readings
        return analysis.make_impact(
            self.looked.findings, tables["crls"], tables["crl_entries"], self.holding.decisions,
            certificates=tables["certificates"], cut=self.holding.facts.cut,
        )  # fmt: skip

    # ------------------------------------------------------------------ what is proved

    def judge(self, plan: Plan, returned: bundles.Returned, signers: pd.DataFrame, now: datetime) -> pd.DataFrame:
        """Hold what came back from a CA against the plan; ``signers`` are that CA's certificates."""
        tables = self.holding.readings
        return proof.judge(
            plan,
            transcripts=returned.transcripts,
            view=returned.view,
            crls=returned.crls,
            crl_entries=pd.concat([tables["crl_entries"], returned.crl_entries], ignore_index=True),
            before_crls=tables["crls"],
            now=now,
            cdp_crls=returned.cdp_crls,
            responses=returned.responses,
            fetched=returned.fetched,
            certificates=tables["certificates"],
            ca_certificates=signers,
            view_is_whole=returned.view_is_whole,
            failure=self.holding.facts.failure or self.holding.facts.restored,
        )

    def _outcomes(self) -> pd.DataFrame:
        """What the files handed to ``verify`` prove about the plan as it is now."""
        verified = self.holding.verified
        plan = self.plan_or_none() if verified else None
        if plan is None:
            return TABLES["outcomes"].empty()
        # Judged as of the last act of verifying: what was proved that night stays proved, whenever it is read.
        return self.judge(plan, self.holding.returned(), self.own, verified[-1].at)

    def _fetched(self) -> pd.DataFrame:
        """Which list or answer was fetched where: before the work (add) and after it (verify)."""
        tables = self.holding.readings
        files = [(file, act.at) for act in self.holding.added for file in act.files]
        first = {file["sha256"]: file["evidence_id"] for file, _ in reversed(files)}
        rows: list[dict[str, object]] = []
        for file, at in files:
            if "fetched_from" in file:
                names, of_it = ("crls", "ocsp_responses"), first[file["sha256"]]
                mine = {name: tables[name][tables[name]["evidence_id"] == of_it] for name in names}
                rows += bundles.fetched_rows(file["fetched_from"], at, mine, after_work=False)
        before = TABLES["fetched"].frame(rows)
        return pd.concat([before, self.holding.returned().fetched], ignore_index=True)

    def _visibility(self) -> pd.DataFrame:
        tables, returned, plan = self.holding.readings, self.holding.returned(), self.plan_or_none()
        return proof.make_visibility(
            certificates=tables["certificates"], ca_certificates=self.own,
            before_crls=tables["crls"], crls=returned.crls, cdp_crls=returned.cdp_crls,
            before_responses=tables["ocsp_responses"], responses=returned.responses, fetched=self._fetched(),
            last_public=plan.last_crl_numbers if plan else {},
        )  # fmt: skip

    def _crl_changes(self) -> pd.DataFrame:
        tables, returned = self.holding.readings, self.holding.returned()
        # What a certificate says of its end counts only where the CA signed it: anyone can mail one.
        verified = tables["certificates"][_true(tables["certificates"]["signed_by_ca"])]
        known = (verified, tables["ca_rows"], returned.view)
        return proof.compare_lists(
            self.plan_or_none(), before_crls=tables["crls"], crls=returned.crls,
            crl_entries=pd.concat([tables["crl_entries"], returned.crl_entries], ignore_index=True),
            ends=pd.concat([table[["serial", "not_after"]] for table in known if table is not None]),
            ca_certificates=self.own,
        )  # fmt: skip

    def _crl_lint(self) -> pd.DataFrame:
        tables, returned = self.holding.readings, self.holding.returned()
        acts = [*self.holding.added, *self.holding.verified]
        if not acts:
            return TABLES["crl_lint"].empty()
        lists = pd.concat([tables["crls"], returned.crls, returned.cdp_crls], ignore_index=True)
        # A list that came with the evidence and again with verify is one list.
        again = returned.crl_entries["crl_sha256"].isin(tables["crls"]["crl_sha256"])
        entries = pd.concat([tables["crl_entries"], returned.crl_entries[~again]], ignore_index=True)
        return evidence.lint_crls(lists, entries, now=max(act.at for act in acts))

    def _local_crl(self) -> pd.DataFrame:
        plan = self.plan_or_none()
        if plan is None:
            return TABLES["local_crl"].empty()
        return proof.local_crl(plan, self.holding.decisions, self._outcomes())

    def _issued_serials(self) -> pd.DataFrame:
        plan, returned = self.plan_or_none(), self.holding.returned()
        kept = [item.serial for item in plan.items if item.action != "revoke"] if plan else []
        return proof.issued_serials(self.baseline.rows, returned.view, self.holding.readings["certificates"], kept)


def moment(text: str) -> datetime:
    """A journaled time as a timezone-aware datetime in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _true(flags: pd.Series[Any]) -> pd.Series[Any]:
    return flags.fillna(value=False).astype(bool)
