"""The evidence of a case as tables: what was handed in, read once, and put together.

Everything here follows from the journal's records of what was added, the bytes they name
and the facts. Tables are remembered, cached on disk under a key of all three, or read
again; nothing parsed is kept unless it comes from bytes with the recorded hash.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import pandas as pd

from carecover import evidence
from carecover.errors import PathError
from carecover.folder import CaseFolder
from carecover.model import TABLES, Accounting, CaseFacts, Reading, canonical_json, sha256_hex

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
    "registry",
    "crl_rows",
    "ocsp_responses",
    "printed",
    "rejects",
    "accounting",
)
_COUNTS: Final = ("parsed", "irrelevant", "duplicate", "rejected")
# Reading a small file again is cheaper than unpacking what is kept of it.
_WORTH_KEEPING: Final = 1 << 20
PROCESSES_FROM: Final = 4 * 1024 * 1024 * 1024
"""A file above this is read by processes of our own: to start them, and to bring here what they read, takes longer than
to read a smaller one (docs/performance.md)."""
_MOST_PROCESSES: Final = 4
# Files that workers elsewhere read at once; what they make of them is held here until its turn comes.
_ITEMS_AHEAD: Final = 4
# The pace of a reading is that of its last hundredths: what was kept of an earlier one goes by at once.
_PACE: Final = 10
_NAME_SHOWN: Final = 40


class EvidenceRegister:
    """Turns the journal's ``add`` records into tables."""

    def __init__(
        self, folder: CaseFolder, *, afresh: bool = False, clock: Callable[[], datetime] | None = None
    ) -> None:
        """``afresh``: neither read nor write the cache, but believe the evidence alone.

        With a ``clock`` progress says how long the rest of a large file will take.
        """
        self._folder = folder
        self._clock = clock
        self.afresh = afresh
        self._memory: tuple[str, dict[str, pd.DataFrame]] | None = None

    def tables(
        self,
        records: Sequence[Mapping[str, Any]],
        facts: CaseFacts,
        progress: Progress | None = None,
        accepted: tuple[evidence.Profile, ...] = (),
        *,
        executor: Executor | None = None,
    ) -> dict[str, pd.DataFrame]:
        """Every table of ``READ_TABLES``, ``evidence`` (kinds only) and ``profiles``, for these records.

        ``accepted`` are the wordings that a person accepted; those of the registry count at once. An ``executor``
        reads the ranges of large files; without one, processes of our own do where a file is above
        ``PROCESSES_FROM`` (``_own_processes``).
        """
        ingredients = [evidence.READER_VERSION, facts.ca or "", facts.time_zone or "", facts.date_order or ""]
        ingredients += [f"{r['evidence_id']} {r['sha256']} {r['again']}" for r in records]
        ingredients.append(_digest(accepted))
        key = "tables-" + sha256_hex(canonical_json(ingredients))[:32]
        if self._memory is None or self._memory[0] != key:
            tables = None if self.afresh else self._folder.load_tables(key)
            if tables is None:
                tables = self.read(
                    records, facts, progress, use_cache=not self.afresh, accepted=accepted, executor=executor
                )
                if self.afresh:
                    self._memory = (key, tables)
                    return tables
                self._folder.keep_tables(key, tables)
                self._folder.forget_tables(keep=key)
                self._folder.forget_lines(keep=f"{evidence.READER_VERSION}-")
            self._memory = (key, tables)
        return self._memory[1]

    def read(
        self,
        records: Sequence[Mapping[str, Any]],
        facts: CaseFacts,
        progress: Progress | None = None,
        *,
        use_cache: bool = True,
        accepted: tuple[evidence.Profile, ...] = (),
        executor: Executor | None = None,
    ) -> dict[str, pd.DataFrame]:
        """The same, read from the evidence itself (``use_cache`` False: down to every file)."""
        parts: dict[str, list[pd.DataFrame]] = {name: [] for name in READ_TABLES}
        context = evidence.Context(time_zone=facts.time_zone, date_order=facts.date_order)
        first: dict[str, Mapping[str, Any]] = {}
        for record in records:
            first.setdefault(record["sha256"], record)
        small = [r for r in first.values() if r["size"] <= _WORTH_KEEPING]
        large = [r for r in first.values() if r["size"] > _WORTH_KEEPING]
        profiles = (*self._configured([*small, *large], context, use_cache=use_cache), *accepted)
        context = replace(context, profiles=profiles)
        kinds: dict[str, str] = {}
        totals: dict[str, Accounting] = {}
        if progress and small:
            progress(f"reading {len(small)} small files", 0, len(first))
        read_small, counted = evidence.read_all(
            ((r["evidence_id"], place) for r in small for place in [self._folder.unchanged(r)]), context
        )
        for name in READ_TABLES:
            parts[name] += [read_small[name]] if name in read_small else []
        for record, (_, kind, total) in zip(small, counted, strict=True):
            kinds[record["sha256"]], totals[record["sha256"]] = kind, total
        items = _Items(self._folder, large, context, executor)
        for done, record in enumerate(large):
            if progress:
                progress(f"reading {Path(record['path']).name}", len(small) + done, len(first))
            inside = _inside(progress, record, len(small) + done, len(first), self._clock)
            with _own_processes(record["size"], executor) as workers:
                tables, kind, total = self._read_one(
                    record, context, use_cache=use_cache, progress=inside, executor=workers, items=items
                )
            kinds[record["sha256"]], totals[record["sha256"]] = kind, total
            for name, table in tables.items():
                has_id = "evidence_id" in table.columns
                parts[name].append(table.assign(evidence_id=record["evidence_id"]) if has_id else table)
        parts["accounting"] = [TABLES["accounting"].frame([_row(r, first, totals[r["sha256"]]) for r in records])]
        named = [
            {"evidence_id": r["evidence_id"], "kind": kinds[r["sha256"]], "sha256": r["sha256"]}
            for r in records
            if not r["again"]
        ]
        tables = {name: _in_order(concat(name, frames)) for name, frames in parts.items()}
        tables["evidence"] = TABLES["evidence"].frame(named)
        certificates, crls, own = evidence.verify_signatures(
            tables["certificates"],
            tables["crls"],
            ca_name=facts.ca,
            known_thumbprints=frozenset(tables["ca_rows"]["thumbprint"].dropna()),
        )
        is_own = certificates["certificate_sha256"].isin(own["certificate_sha256"]) & ~_true(certificates["from_mail"])
        tables["certificates"] = certificates.assign(own_ca=is_own.astype("boolean"))
        tables["crls"] = crls
        tables["ocsp_responses"] = evidence.verify_responses(own, tables["ocsp_responses"])
        tables["notifications"] = _with_certificates(tables["notifications"], certificates)
        tables["profiles"] = evidence.profile_rows(
            profiles, tables["notifications"], tables["rejects"], tables["ca_rows"]
        )
        return tables

    def _configured(
        self, records: Sequence[Mapping[str, Any]], context: evidence.Context, *, use_cache: bool
    ) -> tuple[evidence.Profile, ...]:
        """The wordings of the registry exports among the files, which must be known before the mails are read."""
        found = []
        for record in records:
            try:
                kind = evidence.kind_of(self._folder.place_of(record))
            except PathError:
                # Reading it will say what is wrong.
                continue
            if kind in {"registry", "archive"}:
                if record["size"] > _WORTH_KEEPING:
                    tables, _, _ = self._read_one(record, context, use_cache=use_cache)
                else:
                    tables = dict(evidence.read(self._folder.unchanged(record), context).tables)
                if "registry" in tables:
                    found.append(tables["registry"].assign(evidence_id=record["evidence_id"]))
        return evidence.configured(concat("registry", found))

    def _read_one(
        self,
        record: Mapping[str, Any],
        context: evidence.Context,
        *,
        use_cache: bool,
        progress: Callable[[int, int], None] | None = None,
        executor: Executor | None = None,
        items: _Items | None = None,
    ) -> tuple[dict[str, pd.DataFrame], str, Accounting]:
        """Tables, kind and accounting of one large file, kept for the next time."""
        said = _digest(context.profiles)
        settings = canonical_json([evidence.READER_VERSION, context.time_zone or "", context.date_order or "", said])
        key = f"file-{record['sha256'][:32]}-{sha256_hex(settings)[:8]}"
        kept = self._folder.load_tables(key) if use_cache else None
        if kept is None:
            place = self._folder.unchanged(record)
            store = _KeptRanges(self._folder, str(record["sha256"]), said) if use_cache else None
            reading = None if items is None else items.brought(record)
            if reading is None:
                reading = evidence.read(place, context, progress=progress, executor=executor, store=store)
            if not record["copied"]:
                # A copy of ours is read-only; what lies elsewhere may change while it is read.
                self._folder.unchanged(record)
            counts = {name: getattr(reading.accounting, name) for name in _COUNTS}
            kept = {name: TABLES[name].conform(t) for name, t in reading.tables.items() if name in READ_TABLES}
            kept["accounting"] = TABLES["accounting"].frame([{**counts, "units": reading.accounting.units}])
            kept["evidence"] = TABLES["evidence"].frame([{"kind": reading.kind}])
            if use_cache:
                self._folder.keep_tables(key, kept)
        row = kept["accounting"].iloc[0]
        total = Accounting(**{name: int(row[name]) for name in _COUNTS})
        tables = {name: table for name, table in kept.items() if name not in ("accounting", "evidence")}
        return tables, str(kept["evidence"]["kind"].iloc[0]), total


class _Items:
    """Large files that are read as a whole by workers elsewhere, some ahead of the one that is asked for.

    A mailbox is none of them: its ranges go to all workers. Without ``Distant`` workers there is none at all.
    """

    def __init__(
        self,
        folder: CaseFolder,
        records: Sequence[Mapping[str, Any]],
        context: evidence.Context,
        executor: Executor | None,
    ) -> None:
        self._folder, self._context = folder, context
        self._executor = executor if isinstance(executor, evidence.Distant) else None
        self._waiting = deque(records if self._executor is not None else ())
        self._asked: dict[str, Future[Reading]] = {}

    def brought(self, record: Mapping[str, Any]) -> Reading | None:
        """What a worker made of the file, or None: it is read here then."""
        while self._executor is not None and self._waiting and len(self._asked) < _ITEMS_AHEAD:
            self._submit(self._executor, self._waiting.popleft())
        future = self._asked.pop(record["sha256"], None)
        if future is None or self._executor is None:
            return None
        self._executor.wait_for(future)
        try:
            return future.result() if future.exception() is None else None
        except CancelledError:
            return None

    def _submit(self, executor: evidence.Distant, record: Mapping[str, Any]) -> None:
        with suppress(PathError, RuntimeError):
            # PathError: reading it will say what is wrong. RuntimeError: nobody is there any more.
            place = self._folder.place_of(record)
            if evidence.kind_of(place) != "mbox":
                self._asked[record["sha256"]] = executor.submit(
                    evidence.read_elsewhere, executor.place_of(place), self._context, record["sha256"]
                )


class _KeptRanges:
    """What was read of a large file's ranges, in the case's cache under the hash of the file.

    It holds printed dates as they are, so it serves whatever zone the case turns out to have.
    """

    def __init__(self, folder: CaseFolder, sha256: str, profiles: str) -> None:
        self._folder = folder
        self._prefix = f"range-{sha256[:32]}-{evidence.READER_VERSION}-{profiles}-"

    def load(self, name: str) -> list[str] | None:
        """The lines of a range, or None."""
        return self._folder.load_lines(self._prefix + name)

    def keep(self, name: str, lines: list[str]) -> None:
        """Keep the lines of a range."""
        self._folder.keep_lines(self._prefix + name, lines)


@contextmanager
def _own_processes(size: int, executor: Executor | None) -> Iterator[Executor | None]:
    """Who reads the ranges of a file of this size: the executor that was handed in, processes of our own, or nobody.

    Ours are started afresh ("spawn"): what runs in a notebook has threads, and does not live through a fork.
    Such a process runs the program's own file once more, so there are none where somebody else's
    program runs: it hands in an executor, or its files are read one range after the other.
    """
    workers = min(os.cpu_count() or 1, _MOST_PROCESSES)
    if executor is not None or size <= PROCESSES_FROM or workers < 2 or not _may_start():
        yield executor
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_unmoved_by_interrupts)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _may_start() -> bool:
    """True where the program that runs is carecover itself, or a notebook or prompt, which has no file."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    package = getattr(getattr(main, "__spec__", None), "name", "").partition(".")[0]
    return file is None or package == "carecover" or Path(file).stem == "carecover"


def _unmoved_by_interrupts() -> None:
    """A Ctrl-C reaches every process of a terminal: ours end when the one that started them says so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _inside(
    progress: Progress | None,
    record: Mapping[str, Any],
    done: int,
    total: int,
    clock: Callable[[], datetime] | None = None,
) -> Callable[[int, int], None] | None:
    """Progress inside one large file: told once for each hundredth of it, with the time that is left."""
    if progress is None:
        return None
    told = [0]
    pace: deque[tuple[float, int]] = deque(maxlen=_PACE)
    name = Path(record["path"]).name
    name = name if len(name) <= _NAME_SHOWN else name[: _NAME_SHOWN - 1] + "…"

    def inside(at: int, size: int) -> None:
        percent = 100 * at // size if size else 100
        if percent > told[0]:
            told[0] = percent
            left = ""
            if clock is not None:
                pace.append((clock().timestamp(), at))
                left = _left(pace, size)
            progress(f"reading {name}, {percent} % of {size:,} bytes{left}", done, total)

    return inside


def _left(pace: Sequence[tuple[float, int]], size: int) -> str:
    """How long the rest of a file takes at its pace of late, in words; empty where nobody can tell."""
    seconds, read = pace[-1][0] - pace[0][0], pace[-1][1] - pace[0][1]
    if seconds <= 0 or read <= 0 or pace[-1][1] >= size:
        return ""
    minutes = (size - pace[-1][1]) * seconds / read / 60
    if minutes < 1:
        return ", less than a minute left"
    return f", about {round(minutes)} min left" if minutes < 90 else f", about {round(minutes / 60)} h left"


def _digest(profiles: Sequence[evidence.Profile]) -> str:
    """What stands for a set of wordings in the key of what was read by them; empty where there is none."""
    return sha256_hex(repr(tuple(profiles)).encode("utf-8", "backslashreplace"))[:16] if profiles else ""


def _row(record: Mapping[str, Any], first: Mapping[str, Mapping[str, Any]], total: Accounting) -> dict[str, object]:
    """One row of ``accounting``: the same bytes again are the same evidence."""
    if first[record["sha256"]] is not record:
        total = Accounting(duplicate=total.units)
    counts = {name: getattr(total, name) for name in _COUNTS}
    return {"evidence_id": record["evidence_id"], "units": total.units, **counts}


def concat(name: str, frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of one table as one frame in its schema."""
    schema = TABLES[name]
    full = [schema.conform(frame) for frame in frames if len(frame)]
    return pd.concat(full, ignore_index=True) if full else schema.empty()


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order in which evidence was added."""
    if "evidence_id" not in table.columns:
        return table
    return table.sort_values("evidence_id", kind="stable", ignore_index=True)


def _true(flags: pd.Series[Any]) -> pd.Series[Any]:
    return flags.fillna(value=False).astype(bool)


def _with_certificates(mails: pd.DataFrame, certificates: pd.DataFrame) -> pd.DataFrame:
    """A carried certificate with the CA's signature wins over the mail's words, and settles what its dates leave open.

    One whose signature does not verify is flagged: the mail does not add up.
    """
    carried = mails["certificate_sha256"].notna()
    if not carried.any():
        return mails
    known = certificates[_true(certificates["signed_by_ca"])]
    verified = known.drop_duplicates("certificate_sha256").set_index("certificate_sha256")
    mails = mails.copy()
    # pandas cannot look anything up in a column of times without rows.
    settled = ("serial", "thumbprint", "subject", "template", "not_before", "not_after")
    for name in settled if len(verified) else ():
        better = mails["certificate_sha256"].map(verified[name]).astype(mails[name].dtype)
        mails[name] = better.where(better.notna(), mails[name])
    sure = carried & mails["certificate_sha256"].isin(verified.index)
    # The time of a revocation is in no certificate: what was guessed for it stays guessed.
    dated = sure & mails["revoked_at"].isna()
    mails["flags"] = [
        [*flags, "certificate_not_verified"]
        if doubt
        else [flag for flag in flags if not (told and flag in evidence.DATE_FLAGS)]
        for flags, doubt, told in zip(mails["flags"], carried & ~sure, dated, strict=True)
    ]
    return mails
