"""The verdict on every planned certificate, from what the CA signed after the plan was carried out.

Only one thing turns an outcome green: the newest base CRL that the CA signed with the
item's key, in force now, with a number above the last public one. Everything else (the
batch's log, a view of the database, the list at a distribution point) can hold a verdict
back or contradict it, and can never replace that list. For what stays valid the database
must say so too: a list that does not name a serial cannot tell a good certificate from
one the CA does not know.

Each CA key has its own CRL ([MS-CSRA] 3.1.4.1.6); the key's index is the upper half of the
CA version in the list (1.3.6.1.4.1.311.21.1). thisUpdate is never compared with a
revocation's date: AD CS sets it about ten minutes back, so an entry may be newer.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import pandas as pd

from carecover.model import TABLES, Disposition, Plan, PlanItem, RevocationReason
from carecover.proof.transcript import Step, Transcript

# A CRL number has at most 20 octets (RFC 5280 5.2.3), which are 49 decimal digits.
_NUMBER: Final = re.compile(r"[0-9]{1,49}", re.ASCII)
# Clocks of a CA and of a responder may differ; a list dated later than this is from a wrong clock.
MAX_CLOCK_SKEW: Final = timedelta(minutes=10)

PROVED: Final = "proved"
PENDING: Final = "pending"
FAILED: Final = "failed"
CONTRADICTED: Final = "contradicted"

_MUST_STAY: Final = "though it was to stay valid."
_REMOVED: Final = int(RevocationReason.REMOVE_FROM_CRL)


@dataclass(frozen=True, slots=True)
class _List:
    """One CRL of the CA, as far as it matters here."""

    sha256: str
    key: int
    number: int
    this_update: datetime
    next_update: datetime
    is_delta: bool
    base: int | None


@dataclass(frozen=True, slots=True)
class _Public:
    """What the newest lists of one CA key say, or why there is none to go by."""

    lists: tuple[_List, ...] = ()
    delta: _List | None = None
    missing: str | None = None

    @property
    def name(self) -> str:
        return f"CRL {self.lists[0].number}" if self.lists else "no CRL"


@dataclass(frozen=True, slots=True)
class _Row:
    disposition: int | None
    reason: int | None
    thumbprint: str | None


@dataclass(frozen=True, slots=True)
class _Verdict:
    word: str
    why: str


def judge(
    plan: Plan,
    *,
    transcripts: Sequence[Transcript],
    view: pd.DataFrame | None,
    crls: pd.DataFrame,
    crl_entries: pd.DataFrame,
    before_crls: pd.DataFrame,
    now: datetime,
    cdp_crls: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row of table ``outcomes`` for each item of the plan, in the plan's order.

    ``view`` is a later capture of the database (schema ca_rows), ``crls`` the lists handed in
    after the work, ``before_crls`` those that were public before it (they prove nothing, and
    their numbers must be passed), ``cdp_crls`` what clients can fetch at the distribution
    points; ``crl_entries`` holds the entries of all of them. ``transcripts`` come oldest first.
    Pure: the same tables at the same ``now`` give the same verdicts.

    Verdicts: ``proved``; ``pending`` (not shown yet, with what is missing); ``failed`` (the
    batch stopped there); ``contradicted`` (two of the proofs exclude each other, or the CA
    did something else than was planned: a person must look).
    """
    wanted = {item.serial for item in plan.items}
    last = _last_public_numbers(plan, before_crls)
    keys = {item.ca_key_index for item in plan.items}
    names = _key_names(before_crls, crls, cdp_crls)
    old = set(before_crls["crl_sha256"].dropna())
    fresh = crls[~crls["crl_sha256"].isin(list(old))]
    public = {key: _newest(fresh, key, last.get(key), now, names) for key in keys}
    at_points = {} if cdp_crls is None else {key: _at_points(cdp_crls, key, names) for key in keys}
    lists = {one.sha256 for p in (*public.values(), *at_points.values()) for one in (*p.lists, p.delta) if one}
    entries = _entries(crl_entries, lists, wanted)
    rows = None if view is None else _rows(view, wanted)
    logged = _logged(transcripts, plan.digest)
    published = _published(transcripts, plan.digest)

    outcomes = []
    for item in plan.items:
        step = logged.get((item.number, item.serial))
        found = None if rows is None else rows.get(item.serial, [])
        newest = public[item.ca_key_index]
        point = at_points.get(item.ca_key_index)
        verdict = _verdict(item, step, found, newest, entries, published=published, now=now)
        reached = None if point is None else _point_says(item, point, entries)
        if verdict.word == PROVED and reached is not None and not reached[0]:
            verdict = _Verdict(PENDING, f"{verdict.why} Clients cannot see it yet: {reached[1]}.")
        outcomes.append(
            {
                "finding_id": item.finding_id,
                "serial": item.serial,
                "action": item.action,
                "transcript": _transcript_text(item, step, bool(transcripts)),
                "database": _database_text(found),
                "crl": _crl_text(item, newest, entries),
                "cdp": None if reached is None else reached[1],
                "verdict": verdict.word,
                "why": verdict.why,
            }
        )
    return TABLES["outcomes"].frame(outcomes)


def last_trust_moment(crls: pd.DataFrame) -> datetime | None:
    """The latest nextUpdate of the CA's own old lists, base and delta: until then a client may trust them.

    Only lists whose signature was checked count: no client believes another one. None where
    there is no such list, which means unknown, not over. (OCSP answers may live longer; they
    are no CRLs and have to be looked at besides.)
    """
    own = crls.loc[_true(crls["signed_by_ca"]), "next_update"].dropna()
    return None if own.empty else _moment(own.max())


# ------------------------------------------------------------------------------ the verdicts


def _verdict(
    item: PlanItem,
    step: Step | None,
    rows: list[_Row] | None,
    public: _Public,
    entries: Mapping[tuple[str, str], int],
    *,
    published: bool,
    now: datetime,
) -> _Verdict:
    if (strange := _strange_row(item, rows)) is not None:
        return _Verdict(CONTRADICTED, strange)
    stopped = step is not None and step.code != 0
    if public.missing is not None:
        if stopped and step is not None:
            return _Verdict(FAILED, f"{_stopped(step)} {public.missing}")
        return _Verdict(PENDING, public.missing)
    changed = None if public.delta is None else entries.get((public.delta.sha256, item.serial))
    if public.delta is not None and changed is not None:
        delta = f"The delta CRL {public.delta.number}"
        if changed == _REMOVED and item.action == "revoke":
            return _Verdict(CONTRADICTED, f"{delta} takes it off {public.name} again: somebody unrevoked it.")
        if changed == _REMOVED:
            return _Verdict(PENDING, f"{delta} takes it off again; the next base CRL will prove it.")
        if item.action != "revoke":
            return _Verdict(CONTRADICTED, f"{delta} lists it with the reason {_reason(changed)}, {_MUST_STAY}")
    states = {_state(item.serial, one, public.delta, entries) for one in public.lists}
    if len(states) > 1:
        return _Verdict(
            CONTRADICTED,
            f"Two different lists of the CA bear the number {public.lists[0].number} and disagree about this "
            "serial number. Publish a new CRL and verify again.",
        )
    listed = states.pop()
    if item.action == "revoke":
        return _verdict_revoked(item, step, rows, public, listed, published=published, now=now)
    return _verdict_valid(item, step, rows, public, listed)


def _verdict_revoked(
    item: PlanItem,
    step: Step | None,
    rows: list[_Row] | None,
    public: _Public,
    listed: int | None,
    *,
    published: bool,
    now: datetime,
) -> _Verdict:
    revoked = rows and rows[0].disposition == Disposition.REVOKED
    well = step is not None and step.well
    if listed is not None:
        if listed != item.reason:
            return _Verdict(
                CONTRADICTED,
                f"{public.name} lists it with the reason {_reason(listed)}, the plan says {_reason(item.reason)}.",
            )
        if rows and not revoked:
            return _Verdict(
                CONTRADICTED,
                f"{public.name} lists it, but the later view of the database shows it as "
                f"{_disposition(rows[0].disposition)}: the next CRL would drop it.",
            )
        return _Verdict(
            PROVED,
            f"{public.name}, signed by the CA and in force until {_time(public.lists[0].next_update)}, "
            f"lists it with the reason {_reason(listed)}.",
        )
    if (ended := _ended(item, now)) is not None:
        return _Verdict(
            PENDING,
            f"{public.name} does not list it; the certificate ended on {ended}, and a CA leaves expired "
            "certificates out of its lists. No list can prove this any more; no client accepts it any more.",
        )
    if step is not None and step.code != 0:
        return _Verdict(FAILED, f"{_stopped(step)} {public.name} does not list it.")
    if well and rows and not revoked:
        return _Verdict(
            CONTRADICTED,
            f"The log says that it was revoked, but the later view shows it as {_disposition(rows[0].disposition)}.",
        )
    if well and published:
        return _Verdict(
            CONTRADICTED,
            f"The log says that it was revoked and that a CRL was published, but {public.name} does not list it. "
            "Hand in the list that 'revoke.cmd publish' wrote; if it is this one, look at the end of validity of "
            "the database row: an expired row is dropped from the CRL.",
        )
    if well or revoked:
        return _Verdict(
            PENDING, f"It is revoked in the database, but {public.name} does not list it yet: publish a CRL."
        )
    return _Verdict(PENDING, f"{public.name} does not list it: the batch has not been applied to it yet.")


def _verdict_valid(
    item: PlanItem, step: Step | None, rows: list[_Row] | None, public: _Public, listed: int | None
) -> _Verdict:
    """restore, unrevoke and leave: it must not be on the list; what was acted on must be good in the database."""
    if item.action == "unrevoke" and listed == RevocationReason.CERTIFICATE_HOLD:
        if step is not None and step.code != 0:
            return _Verdict(FAILED, f"{_stopped(step)} {public.name} still lists it as on hold.")
        what = "publish a CRL" if step is not None and step.well else "undo.cmd has not been applied to it yet"
        return _Verdict(PENDING, f"{public.name} still lists it as on hold: {what}.")
    if item.action == "leave" and item.kind == "lost_release" and listed == RevocationReason.CERTIFICATE_HOLD:
        return _Verdict(PROVED, f"Left as it is, as decided: {public.name} lists it as on hold.")
    if listed is not None:
        return _Verdict(CONTRADICTED, f"{public.name} lists it with the reason {_reason(listed)}, {_MUST_STAY}")
    if item.method == "none":
        return _Verdict(PROVED, f"Left as it is, as decided: {public.name} does not list it.")
    if step is not None and step.code != 0:
        return _Verdict(FAILED, _stopped(step))
    if rows is None:
        return _Verdict(
            PENDING,
            f"{public.name} does not list it; that the CA knows it again only a later view of the database shows. "
            "Export one and hand it to verify.",
        )
    if not rows:
        word = CONTRADICTED if step is not None and step.well else FAILED
        return _Verdict(word, "The later view of the database has no row with this serial number.")
    if rows[0].disposition != Disposition.ISSUED:
        return _Verdict(CONTRADICTED, f"The later view shows it as {_disposition(rows[0].disposition)}, not as issued.")
    return _Verdict(PROVED, f"The later view shows it as issued, and {public.name} does not list it.")


def _strange_row(item: PlanItem, rows: list[_Row] | None) -> str | None:
    if not rows:
        return None
    if len(rows) > 1:
        return f"The later view has {len(rows)} rows that do not agree about this serial number: a person must look."
    found, expected = rows[0].thumbprint, item.expected_thumbprint
    if found and expected and found != expected:
        return (
            f"The row in the later view holds another certificate (hash {found}) than the expected one "
            f"({expected}): a person must look."
        )
    return None


def _stopped(step: Step) -> str:
    return f"The batch stopped at its step '{step.step}' with exit code {step.code}."


def _ended(item: PlanItem, now: datetime) -> str | None:
    if item.not_after is None:
        return None
    end = datetime.fromisoformat(item.not_after)
    return _time(end) if end < now else None


# ---------------------------------------------------------------------------- which list counts


def _newest(crls: pd.DataFrame, key: int, last: int | None, now: datetime, names: Mapping[str, int]) -> _Public:
    """The list of this key that counts, or the sentence that says why none does."""
    signed = crls[_true(crls["signed_by_ca"])]
    unknown = len(crls) - len(signed)
    own = [one for one in _lists(signed, names) if one.key == key]
    bases = [one for one in own if not one.is_delta]
    whose = "the CA's key" if key == 0 else f"the CA's key {key}"
    if not bases:
        if own:
            return _Public(missing=f"Only a delta CRL of {whose} was handed in; a base CRL is needed.")
        if unknown:
            return _Public(
                missing=f"No CRL that {whose} signed was handed in; {unknown} with no valid signature of this CA "
                f"prove{'s' if unknown == 1 else ''} nothing."
            )
        return _Public(missing=f"No CRL of {whose} was handed in since: publish one and hand it to verify.")
    top = max(one.number for one in bases)
    newest = tuple(one for one in bases if one.number == top)
    if last is None:
        return _Public(
            missing=f"No CRL of {whose} from before the work is known, so nothing shows that CRL {top} is newer than "
            "the last public one. Hand in the last list that was public."
        )
    if top <= last:
        return _Public(
            missing=f"CRL {top} is not newer than the last public one ({last}): clients would ignore it. "
            "Publish again until the number passes it."
        )
    if late := [one for one in newest if one.next_update <= now]:
        return _Public(missing=f"The newest list, CRL {top}, ended on {_time(late[0].next_update)}: publish again.")
    if early := [one for one in newest if one.this_update > now + MAX_CLOCK_SKEW]:
        return _Public(
            missing=f"The newest list, CRL {top}, begins only on {_time(early[0].this_update)}: a clock is wrong."
        )
    deltas = [
        one for one in own if one.is_delta and one.number >= top and one.next_update > now and one.base is not None
    ]
    deltas = [one for one in deltas if one.base is not None and one.base <= top]
    return _Public(newest, max(deltas, key=lambda one: one.number, default=None))


def _at_points(crls: pd.DataFrame, key: int, names: Mapping[str, int]) -> _Public:
    """Every base list of this key that a distribution point gave out: all of them must agree."""
    signed = crls[_true(crls["signed_by_ca"])]
    bases = tuple(one for one in _lists(signed, names) if one.key == key and not one.is_delta)
    if not bases:
        return _Public(missing="no list that the CA signed with this key was fetched from a distribution point")
    return _Public(tuple(sorted(bases, key=lambda one: one.number)))


def _point_says(item: PlanItem, point: _Public, entries: Mapping[tuple[str, str], int]) -> tuple[bool, str]:
    if point.missing is not None:
        return False, point.missing
    expected = item.reason if item.action == "revoke" else None
    for one in point.lists:
        found = entries.get((one.sha256, item.serial))
        if found != expected:
            shown = "does not list it" if found is None else f"lists it with the reason {_reason(found)}"
            return False, f"CRL {one.number} at a distribution point, in force until {_time(one.next_update)}, {shown}"
    numbers = ", ".join(dict.fromkeys(str(one.number) for one in point.lists))
    return True, f"CRL {numbers} at the distribution point says the same"


def _lists(crls: pd.DataFrame, names: Mapping[str, int]) -> Iterable[_List]:
    """The lists that say which key, number and times they have; the others can prove nothing."""
    for row in crls.to_dict("records"):
        key, number = _key(row, names), _number(row["crl_number"])
        this_update, next_update = row["this_update"], row["next_update"]
        if key is None or number is None or pd.isna(this_update) or pd.isna(next_update) or pd.isna(row["is_delta"]):
            continue
        yield _List(
            str(row["crl_sha256"]),
            key,
            number,
            _moment(this_update),
            _moment(next_update),
            bool(row["is_delta"]),
            _number(row["base_crl_number"]),
        )


def _key(row: Mapping[Hashable, object], names: Mapping[str, int]) -> int | None:
    version = row["ca_version"]
    if isinstance(version, int):
        return version >> 16
    return names.get(str(row["authority_key_id"]))


def _key_names(*tables: pd.DataFrame | None) -> dict[str, int]:
    """Key identifier → key index, learned from signed lists that say both (one may lack the CA version)."""
    names: dict[str, int] = {}
    for table in tables:
        if table is None:
            continue
        known = table[_true(table["signed_by_ca"])].dropna(subset=["ca_version", "authority_key_id"])
        names |= {str(k): int(v) >> 16 for k, v in zip(known["authority_key_id"], known["ca_version"], strict=True)}
    return names


def _last_public_numbers(plan: Plan, before: pd.DataFrame) -> dict[int, int]:
    """Key index → highest public number, of the plan and of the old lists; unsigned ones raise no bar."""
    last = {int(key): int(number) for key, number in plan.last_crl_numbers.items()}
    signed = before[_true(before["signed_by_ca"])]
    for one in _lists(signed, _key_names(before)):
        last[one.key] = max(one.number, last.get(one.key, one.number))
    return last


def _state(serial: str, base: _List, delta: _List | None, entries: Mapping[tuple[str, str], int]) -> int | None:
    """Reason with which a base CRL lists the serial, None where it does not.

    Of a delta CRL only the removal counts, and the change of a listed reason: what a base
    does not list, no delta proves (clients that fetch no deltas trust it).
    """
    found = entries.get((base.sha256, serial))
    if found is None or delta is None:
        return found
    return entries.get((delta.sha256, serial), found)


# -------------------------------------------------------------------------------- look-ups


def _entries(crl_entries: pd.DataFrame, lists: set[str], wanted: set[str]) -> dict[tuple[str, str], int]:
    mask = crl_entries["crl_sha256"].isin(list(lists)) & crl_entries["serial"].isin(list(wanted))
    few = crl_entries.loc[mask, ["crl_sha256", "serial", "reason"]]
    reasons = few["reason"].fillna(0)
    return {
        (str(sha256), str(serial)): int(reason)
        for sha256, serial, reason in zip(few["crl_sha256"], few["serial"], reasons, strict=True)
    }


def _rows(view: pd.DataFrame, wanted: set[str]) -> dict[str, list[_Row]]:
    """Serial → its distinct rows (one, in any database that is as it should be)."""
    rows: dict[str, list[_Row]] = {}
    for record in view[view["serial"].isin(list(wanted))].to_dict("records"):
        row = _Row(_integer(record["disposition"]), _integer(record["reason"]), _text(record["thumbprint"]))
        known = rows.setdefault(str(record["serial"]), [])
        if row not in known:
            known.append(row)
    return rows


def _logged(transcripts: Sequence[Transcript], digest: str) -> dict[tuple[int, str], Step]:
    """(item, serial) → its last step when this plan was applied; signing dummies or looking is no step here."""
    applied = (run for t in transcripts for run in t.runs if run.digest == digest and run.phase == "apply")
    return {(step.number, step.serial): step for run in applied for step in run.steps}


def _published(transcripts: Sequence[Transcript], digest: str) -> bool:
    return any(run.published for t in transcripts for run in t.runs if run.digest == digest)


def _true(flags: pd.Series[bool]) -> pd.Series[bool]:
    return flags.fillna(value=False).astype(bool)


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _moment(value: pd.Timestamp) -> datetime:
    moment: datetime = value.to_pydatetime(warn=False)
    return moment


# ------------------------------------------------------------------------------------ words


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _reason(code: int | None) -> str:
    if code is None:
        return "(none)"
    known = {int(reason): reason.designation for reason in RevocationReason}
    return f"{code} ({known[code]})" if code in known else str(code)


def _disposition(number: int | None) -> str:
    known = {int(d): d.name.lower().replace("_", " ") for d in Disposition}
    return known.get(number, f"disposition {number}") if number is not None else "of unknown state"


def _transcript_text(item: PlanItem, step: Step | None, handed_in: bool) -> str | None:
    if item.method == "none":
        return "nothing to do"
    if step is None:
        return "not in the log" if handed_in else None
    return step.step if step.code == 0 else f"{step.step}, exit code {step.code}"


def _database_text(rows: list[_Row] | None) -> str | None:
    if rows is None:
        return None
    if not rows:
        return "no row"
    row = rows[0]
    state = _disposition(row.disposition)
    if row.disposition == Disposition.REVOKED and row.reason is not None:
        state += f", reason {_reason(row.reason)}"
    return state if len(rows) == 1 else f"{len(rows)} different rows"


def _crl_text(item: PlanItem, public: _Public, entries: Mapping[tuple[str, str], int]) -> str | None:
    if not public.lists:
        return None
    listed = _state(item.serial, public.lists[0], public.delta, entries)
    return f"{public.name}: " + ("not listed" if listed is None else f"listed, reason {_reason(listed)}")
