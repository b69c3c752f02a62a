"""Which CRL counts: the lists of the CA as records, and for every other one the reason why it proves nothing.

Each CA key has its own CRL ([MS-CSRA] 3.1.4.1.6). Of which key a list is, the key says that
signed it; what the list itself says (CA version 1.3.6.1.4.1.311.21.1, authority key
identifier) must not contradict that.

A list proves nothing about a certificate where clients would not use it for that: limited
by its issuing distribution point (RFC 5280 5.2.5) to other kinds of certificates, to some
reasons or to other distribution points; indirect; or with a critical extension that a
client may not know (5.2). ``thisUpdate`` is never compared with a revocation's date: AD CS
sets it about ten minutes back, so an entry may be newer.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pandas as pd

from carecover.model import RevocationReason

# A CRL number has at most 20 octets (RFC 5280 5.2.3), which are 49 decimal digits.
_NUMBER: Final = re.compile(r"[0-9]{1,49}", re.ASCII)
# Clocks of a CA and of a responder may differ; a list dated later than this is from a wrong clock.
MAX_CLOCK_SKEW: Final = timedelta(minutes=10)
_MAX_NAMED: Final = 3
_MAX_NAME: Final = 80
_LIMITS: Final = {
    "ca_certificates": "is limited to CA certificates",
    "attribute_certificates": "is limited to attribute certificates",
    "some_reasons": "is limited to some reasons",
    "indirect": "is an indirect CRL",
    "other_names": "is for a distribution point that has no URL",
}
USER_CERTIFICATES: Final = "user_certificates"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a list: its reason (0 where it gives none) and since when."""

    reason: int
    revoked_at: datetime | None


Entries = Mapping[tuple[str, str], Sequence[Entry]]
"""(crl_sha256, serial) → what the list says about it: more than one where it is listed twice."""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """One CRL that the CA signed, as far as it matters here."""

    sha256: str
    key: int
    number: int
    this_update: datetime
    next_update: datetime
    is_delta: bool
    base: int | None
    points: frozenset[str]
    """URLs of its issuing distribution point; empty where it is for all certificates."""
    user_only: bool
    refused: str | None
    """Why clients would not use it for an ordinary certificate; None where they would."""

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return f"{'delta ' if self.is_delta else ''}CRL {self.number}"


@dataclass(frozen=True, slots=True)
class Newest:
    """What the newest lists of one CA key are, or why there is none to go by."""

    lists: tuple[RevocationList, ...] = ()
    deltas: tuple[RevocationList, ...] = ()
    """Those that clients may use with it, oldest first: the newest that all would, and any that some would."""
    missing: str | None = None

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return self.lists[0].name if self.lists else "no CRL"


class Authority:
    """What is known of the CA's own names and keys, to say what is wrong with a list."""

    def __init__(self, ca_certificates: pd.DataFrame | None, *tables: pd.DataFrame | None) -> None:
        """``tables`` are CRLs (schema crls): signed ones teach which key identifier has which index."""
        known = () if ca_certificates is None else ca_certificates.to_dict("records")
        self._subjects = {str(row["subject"]) for row in known if isinstance(row["subject"], str)}
        self._key_ids = {str(row["key_id"]) for row in known if isinstance(row["key_id"], str)}
        self.ends = {_low(row["ca_version"]): moment(row["not_after"]) for row in known if present(row["not_after"])}
        self.key_ends: dict[int, datetime] = {}
        for row in known:
            if present(row["not_after"]):
                key = int(row["ca_version"]) >> 16 if present(row["ca_version"]) else 0
                end = moment(row["not_after"])
                # A certificate that was renewed with its key lets the key live on.
                self.key_ends[key] = max(end, self.key_ends.get(key, end))
        self._indexes: dict[str, int] = {}
        for table in tables:
            if table is not None:
                said = table[true(table["signed_by_ca"])].dropna(subset=["ca_version", "authority_key_id"])
                pairs = zip(said["authority_key_id"], said["ca_version"], strict=True)
                self._indexes |= {str(key_id): int(version) >> 16 for key_id, version in pairs}

    def key_of(self, row: Mapping[Hashable, Any]) -> int | None:
        """Index of the CA key that a list is of; None where nothing says it."""
        signer: Any = row["signer_key_index"]
        return int(signer) if present(signer) else self.claimed(row)

    def claimed(self, row: Mapping[Hashable, Any]) -> int | None:
        """Index of the CA key that a list says it is of."""
        version = row["ca_version"]
        return int(version) >> 16 if present(version) else self._indexes.get(str(row["authority_key_id"]))

    def bears_name(self, row: Mapping[Hashable, Any]) -> bool:
        """True where a list is in the CA's name and does not name a key of somebody else."""
        key_id = row["authority_key_id"]
        return row["issuer"] in self._subjects and (not isinstance(key_id, str) or key_id in self._key_ids)

    def why_not(self, row: Mapping[Hashable, Any]) -> str | None:
        """Why a list can be held against nothing (a part of a sentence), or None where it can."""
        if not present(row["signed_by_ca"]):
            return "cannot be checked, because no certificate of the CA is known"
        if not row["signed_by_ca"]:
            issuer, key_id = row["issuer"], row["authority_key_id"]
            if self._subjects and isinstance(issuer, str) and issuer not in self._subjects:
                return f"is of another CA ({shown(issuer)})"
            if self._key_ids and isinstance(key_id, str) and key_id not in self._key_ids:
                return f"names a key that is not the CA's ({shown(key_id)})"
            return "has no valid signature of this CA: it is damaged, forged, or of another key"
        key, claimed = self.key_of(row), self.claimed(row)
        if key is None:
            return "does not say of which CA key it is"
        if claimed is not None and claimed != key:
            return f"says that it is of the CA's key {claimed}, but key {key} signed it"
        if number(row["crl_number"]) is None:
            return "has no CRL number that could be compared"
        if not present(row["this_update"]) or not present(row["next_update"]):
            return "does not say until when it is in force"
        return None if present(row["is_delta"]) else "does not say whether it is a delta CRL"


def revocation_lists(crls: pd.DataFrame, ca: Authority) -> list[RevocationList]:
    """The lists that the CA signed and that say which key, number and times they have."""
    found = []
    for row in crls.to_dict("records"):
        key, own = ca.key_of(row), number(row["crl_number"])
        if ca.why_not(row) is not None or key is None or own is None:
            continue
        found.append(
            RevocationList(
                str(row["crl_sha256"]),
                key,
                own,
                moment(row["this_update"]),
                moment(row["next_update"]),
                bool(row["is_delta"]),
                number(row["base_crl_number"]),
                frozenset(row["point_urls"]),
                USER_CERTIFICATES in row["scope"],
                _refused(row),
            )
        )
    return found


def _refused(row: Mapping[Hashable, Any]) -> str | None:
    if unknown := list(row["unknown_critical"]):
        return f"has a critical extension that clients may not know ({shown(', '.join(unknown))}), and so may refuse it"
    limits = [text for word, text in _LIMITS.items() if word in row["scope"]]
    return " and ".join(limits) or None


def newest_lists(
    crls: pd.DataFrame,
    key: int,
    last: int | None,
    now: datetime,
    ca: Authority,
    before: Iterable[RevocationList] = (),
    fetched: Iterable[RevocationList] = (),
    failure: datetime | None = None,
    again: Iterable[RevocationList] = (),
) -> Newest:
    """The list of this key that counts, or the sentence that says why none does.

    ``crls`` are those handed in after the work, ``last`` the highest number that was public
    before it, ``before`` the newest lists from before it, ``fetched`` what clients can get,
    ``failure`` when the CA was lost: a list of before that was not made by the restored one;
    ``again`` are lists of before the work that came back as if they were new.
    """
    whose = "the CA's key" if key == 0 else f"the CA's key {key}"
    own = [one for one in revocation_lists(crls, ca) if one.key == key]
    bases = [one for one in own if not one.is_delta]
    if not bases:
        if own:
            return Newest(missing=f"Only a delta CRL of {whose} was handed in; a base CRL is needed.")
        if reasons := _reasons(crls, key, ca):
            return Newest(missing=f"No CRL of {whose} that proves anything was handed in: {reasons}.")
        if (old := max((one.number for one in again if one.key == key), default=None)) is not None:
            return Newest(
                missing=f"CRL {old} of {whose} was published before the work: hand in one from after it (publish one "
                "first)."
            )
        return Newest(missing=f"No CRL of {whose} was handed in since: publish one and hand it to verify.")
    top = max(one.number for one in bases)
    newest = tuple(one for one in bases if one.number == top)
    deltas = {one.sha256: one for one in (*own, *fetched) if one.is_delta and one.key == key and one.base is not None}
    missing: str | None = None
    if last is None:
        missing = (
            f"No CRL of {whose} from before the work is known, so nothing shows that CRL {top} is newer than "
            "the last public one. Hand in the last list that was public."
        )
    elif top <= last and any(o.key == key and o.this_update >= newest[0].this_update for o in before):
        missing = (
            f"CRL {top} is dated {clock(newest[0].this_update)} and not newer than the last public one ({last}): it "
            "was published before the work. Hand in one from after it."
        )
    elif top <= last:
        missing = (
            f"CRL {top} is not newer than the last public one ({last}): clients would ignore it. "
            "Publish again until the number passes it."
        )
    elif (ended := ca.key_ends.get(key)) is not None and ended <= now:
        missing = f"The certificate of {whose} ended on {clock(ended)}: clients take none of its lists any more."
    elif late := [one for one in newest if one.next_update <= now]:
        missing = f"The newest list, CRL {top}, ended on {clock(late[0].next_update)}: publish again."
    elif early := [one for one in newest if one.this_update > now + MAX_CLOCK_SKEW]:
        missing = f"The newest list, CRL {top}, begins only on {clock(early[0].this_update)}: a clock is wrong."
    elif failure is not None and newest[0].this_update < failure - 2 * MAX_CLOCK_SKEW:
        missing = (
            f"CRL {top} is dated {clock(newest[0].this_update)}, before the failure ({clock(failure)}): the restored "
            "CA did not make it, or a clock was wrong. Publish a new CRL."
        )
    elif younger := [o for o in (*bases, *before) if o.key == key and o.this_update > newest[0].this_update]:
        missing = (
            f"CRL {top} is dated {clock(newest[0].this_update)}, before {younger[0].name} "
            f"({clock(younger[0].this_update)}): clients that go by the date keep that one. A clock is or was wrong."
        )
    elif behind := [one for one in deltas.values() if one.base is not None and one.base > top]:
        missing = (
            f"The {behind[0].name} is of the base CRL {behind[0].base}, which is newer than CRL {top}: hand that in."
        )
    elif damaged := _may_be_newer(crls, key, newest[0], now, ca):
        missing = (
            f"CRL {damaged}, which was handed in as well, is in the CA's name and newer than CRL {top}, and its "
            "signature is not good: hand it in again, undamaged, or a later one."
        )
    elif refused := [one.refused for one in newest if one.refused]:
        missing = f"The newest list, CRL {top}, {refused[0]}: it proves nothing about this certificate."
    if missing is not None:
        return Newest(missing=missing)
    usable = [one for one in deltas.values() if one.number >= top and one.next_update > now]
    bar = max((one.number for one in usable if not one.refused and one.this_update <= now + MAX_CLOCK_SKEW), default=0)
    return Newest(newest, tuple(sorted((one for one in usable if one.number >= bar), key=lambda one: one.number)))


def _may_be_newer(crls: pd.DataFrame, key: int, newest: RevocationList, now: datetime, ca: Authority) -> int | None:
    """The number of a list in the CA's name that does not verify and says that it is newer: a damaged copy, perhaps.

    One that is dated before the good list, or later than now, is not waited for: a file that
    somebody made himself would otherwise hold the proof back for ever.
    """
    numbers = []
    for row in crls.to_dict("records"):
        if not present(row["signed_by_ca"]) or row["signed_by_ca"] or not ca.bears_name(row):
            continue
        own, begin = number(row["crl_number"]), row["this_update"]
        dated = present(begin) and not newest.this_update <= moment(begin) <= now + MAX_CLOCK_SKEW
        if ca.claimed(row) in (key, None) and own is not None and own > newest.number and not dated:
            numbers.append(own)
    return max(numbers, default=None)


def _reasons(crls: pd.DataFrame, key: int, ca: Authority) -> str:
    """What is wrong with each list that was handed in, the same fault once."""
    told: dict[str, None] = {}
    for row in crls.to_dict("records"):
        name = f"CRL {shown(str(row['crl_number']))}" if isinstance(row["crl_number"], str) else "a CRL without number"
        why = ca.why_not(row)
        if why is None and (own := ca.key_of(row)) != key:
            why = f"is of the CA's key {own}"
        if why is not None:
            told[f"{name} {why}"] = None
    more = f"; and {len(told) - _MAX_NAMED} more" if len(told) > _MAX_NAMED else ""
    return "; ".join(list(told)[:_MAX_NAMED]) + more


def last_public_numbers(known: Mapping[str, str], before: pd.DataFrame, ca: Authority) -> dict[int, int]:
    """Key index → highest public number: of the plan and of the old lists. Unsigned ones raise no bar."""
    last = {int(key): int(text) for key, text in known.items()}
    for one in revocation_lists(before, ca):
        last[one.key] = max(one.number, last.get(one.key, one.number))
    return last


def entries_of(
    crl_entries: pd.DataFrame, lists: Iterable[str], wanted: Iterable[str]
) -> dict[tuple[str, str], list[Entry]]:
    """What these lists say about these serial numbers; one pass over the table."""
    mask = crl_entries["crl_sha256"].isin(list(lists)) & crl_entries["serial"].isin(list(wanted))
    few = crl_entries.loc[mask, ["crl_sha256", "serial", "reason", "revoked_at"]]
    found: dict[tuple[str, str], list[Entry]] = {}
    for row in few.to_dict("records"):
        entry = Entry(
            int(row["reason"]) if present(row["reason"]) else 0,
            moment(row["revoked_at"]) if present(row["revoked_at"]) else None,
        )
        known = found.setdefault((str(row["crl_sha256"]), str(row["serial"])), [])
        if entry not in known:
            known.append(entry)
    return found


# ------------------------------------------------------------------------- cells and words


def true(flags: pd.Series[bool]) -> pd.Series[bool]:
    """A column of flags with NA as false."""
    return flags.fillna(value=False).astype(bool)


def number(value: object) -> int | None:
    """A CRL number, or None where the text is none."""
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def present(value: object) -> bool:
    """True for a cell that is not NA."""
    return value is not None and not bool(pd.isna(value))  # type: ignore[call-overload]


def moment(value: Any) -> datetime:  # noqa: ANN401 - a pandas cell
    """A cell of times as a datetime."""
    found: datetime = value.to_pydatetime(warn=False)
    return found


def clock(at: datetime) -> str:
    """A time in a sentence."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def shown(text: str) -> str:
    """Text from evidence in a sentence: one line, printable, not too long."""
    plain = "".join(c if c.isprintable() else "·" for c in text)
    return plain if len(plain) <= _MAX_NAME else plain[: _MAX_NAME - 1] + "…"


def reason_text(code: int | None) -> str:
    """A reason by number and name."""
    if code is None:
        return "(none)"
    known = {int(reason): reason.designation for reason in RevocationReason}
    return f"{code} ({known[code]})" if code in known else str(code)


def _low(version: Any) -> int:  # noqa: ANN401 - a pandas cell
    return int(version) & 0xFFFF if present(version) else 0
