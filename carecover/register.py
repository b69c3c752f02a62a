"""The evidence of a case as tables: what was handed in, read once, and put together.

Everything here follows from the journal's records of what was added, the bytes they name
and the facts. Tables are remembered, cached on disk under a key of all three, or read
again; nothing parsed is kept unless it comes from bytes with the recorded hash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from carecover import evidence
from carecover.errors import CaseError
from carecover.folder import CaseFolder, hash_file
from carecover.model import TABLES, CaseFacts, canonical_json, sha256_hex

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is."""

READ_TABLES: Final = (
    "notifications",
    "ca_rows",
    "views",
    "certificates",
    "crls",
    "crl_entries",
    "audit_events",
    "rejects",
    "accounting",
)
# Reading a small file again is cheaper than unpacking what is kept of it.
_WORTH_KEEPING: Final = 1 << 20


class EvidenceRegister:
    """Turns the journal's ``add`` records into tables."""

    def __init__(self, folder: CaseFolder) -> None:
        self._folder = folder
        self._memory: tuple[str, dict[str, pd.DataFrame]] | None = None

    def tables(
        self, records: Sequence[Mapping[str, Any]], facts: CaseFacts, progress: Progress | None = None
    ) -> dict[str, pd.DataFrame]:
        """Every table of ``READ_TABLES``, and ``evidence`` (kinds only), for these records."""
        ingredients = [evidence.READER_VERSION, facts.ca or "", facts.time_zone or "", facts.date_order or ""]
        ingredients += [f"{r['evidence_id']} {r['sha256']} {r['again']}" for r in records]
        key = "tables-" + sha256_hex(canonical_json(ingredients))[:32]
        if self._memory is None or self._memory[0] != key:
            tables = self._folder.load_tables(key)
            if tables is None:
                tables = self.read(records, facts, progress)
                self._folder.keep_tables(key, tables)
                self._folder.forget_tables(keep=key)
            self._memory = (key, tables)
        return self._memory[1]

    def read(
        self,
        records: Sequence[Mapping[str, Any]],
        facts: CaseFacts,
        progress: Progress | None = None,
        *,
        use_cache: bool = True,
    ) -> dict[str, pd.DataFrame]:
        """The same, read from the evidence itself (``use_cache`` False: down to every file)."""
        parts: dict[str, list[pd.DataFrame]] = {name: [] for name in READ_TABLES}
        context = evidence.Context(time_zone=facts.time_zone, date_order=facts.date_order)
        units: dict[str, int] = {}
        kinds: dict[str, str] = {}
        named: list[dict[str, Any]] = []
        for done, record in enumerate(records):
            if progress:
                progress(f"reading {Path(record['path']).name}", done, len(records))
            sha256, evidence_id = record["sha256"], record["evidence_id"]
            if sha256 in units:
                # The same bytes again are the same evidence.
                parts["accounting"].append(count(evidence_id, units=units[sha256], duplicate=units[sha256]))
            else:
                reading = self._read_one(record, context, use_cache=use_cache)
                units[sha256] = int(reading["accounting"]["units"].sum())
                kinds[sha256] = str(reading["evidence"]["kind"].iloc[0])
                for name in READ_TABLES:
                    table = reading.get(name)
                    if table is not None and len(table):
                        has_id = "evidence_id" in table.columns
                        parts[name].append(table.assign(evidence_id=evidence_id) if has_id else table)
            if not record["again"]:
                named.append({"evidence_id": evidence_id, "kind": kinds[sha256], "sha256": sha256})
        tables = {name: concat(name, frames) for name, frames in parts.items()}
        tables["evidence"] = TABLES["evidence"].frame(named)
        certificates, crls, own = evidence.verify_signatures(tables["certificates"], tables["crls"], ca_name=facts.ca)
        is_own = certificates["certificate_sha256"].isin(own["certificate_sha256"]) & ~_true(certificates["from_mail"])
        tables["certificates"] = certificates.assign(own_ca=is_own.astype("boolean"))
        tables["crls"] = crls
        tables["notifications"] = _with_certificates(tables["notifications"], certificates)
        return tables

    def _read_one(
        self, record: Mapping[str, Any], context: evidence.Context, *, use_cache: bool
    ) -> dict[str, pd.DataFrame]:
        settings = canonical_json([evidence.READER_VERSION, context.time_zone or "", context.date_order or ""])
        key = f"file-{record['sha256'][:32]}-{sha256_hex(settings)[:8]}"
        kept = self._folder.load_tables(key) if use_cache else None
        if kept is not None:
            return kept
        place = self._folder.evidence(record["sha256"]) if record["copied"] else Path(record["path"])
        try:
            before = hash_file(place)
            reading = evidence.read(place, context)
            # A copy of ours is read-only; what lies elsewhere may change while it is read.
            unchanged = before == record["sha256"] and (record["copied"] or hash_file(place) == before)
        except OSError as error:
            raise CaseError(
                f"Evidence {record['evidence_id']} ({record['path']}) is gone: {error.strerror}. Restore the file, or "
                "work on a copy of the case."
            ) from None
        if not unchanged:
            raise CaseError(
                f"Evidence {record['evidence_id']} ({record['path']}) was changed since it was added: its SHA-256 is "
                "no longer the recorded one. Restore the file; nothing is read from a changed one."
            )
        tables = {name: table for name, table in reading.tables.items() if name in READ_TABLES}
        total = reading.accounting
        tables["accounting"] = count(
            None,
            units=total.units,
            parsed=total.parsed,
            irrelevant=total.irrelevant,
            duplicate=total.duplicate,
            rejected=total.rejected,
        )
        tables["evidence"] = TABLES["evidence"].frame([{"kind": reading.kind}])
        if use_cache and record["size"] > _WORTH_KEEPING:
            self._folder.keep_tables(key, {name: TABLES[name].conform(t) for name, t in tables.items()})
        return tables


def count(evidence_id: str | None, **counts: int) -> pd.DataFrame:
    """One row of table ``accounting``."""
    zero = {"units": 0, "parsed": 0, "irrelevant": 0, "duplicate": 0, "rejected": 0}
    return TABLES["accounting"].frame([{**zero, **counts, "evidence_id": evidence_id}])


def concat(name: str, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of one table as one frame in its schema."""
    schema = TABLES[name]
    full = [schema.conform(frame) for frame in frames if len(frame)]
    return pd.concat(full, ignore_index=True) if full else schema.empty()


def _true(flags: pd.Series[Any]) -> pd.Series[Any]:
    return flags.fillna(value=False).astype(bool)


def _with_certificates(mails: pd.DataFrame, certificates: pd.DataFrame) -> pd.DataFrame:
    """A carried certificate with the CA's signature wins over the mail's own words.

    One whose signature does not verify is flagged: the mail does not add up.
    """
    carried = mails["certificate_sha256"].notna()
    if not carried.any():
        return mails
    known = certificates[_true(certificates["signed_by_ca"])]
    verified = known.drop_duplicates("certificate_sha256").set_index("certificate_sha256")
    mails = mails.copy()
    for name in ("serial", "thumbprint", "subject", "not_before", "not_after"):
        better = mails["certificate_sha256"].map(verified[name]).astype(mails[name].dtype)
        mails[name] = better.where(better.notna(), mails[name])
    doubtful = carried & ~mails["certificate_sha256"].isin(verified.index)
    mails["flags"] = [
        [*flags, "certificate_not_verified"] if doubt else flags
        for flags, doubt in zip(mails["flags"], doubtful, strict=True)
    ]
    return mails
