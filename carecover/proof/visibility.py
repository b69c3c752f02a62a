"""The visibility clock: where clients ask, and until when they may believe an old answer.

A client that holds a list or an answer which is still valid does not ask again. So at every
distribution point the old answer lives until the latest nextUpdate of all old lists of that
key and kind: the CA publishes the same list everywhere, and a copy from anywhere may be in
a cache. Of a list that was public and that nobody handed in the end is not known, and then
the clock says so rather than guess.

Windows copies nextUpdate of an OCSP answer from the CRL behind it; other responders set
their own. The end of OCSP answers is therefore known only from answers that were handed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import pandas as pd

from carecover.model import TABLES
from carecover.proof.lists import (
    Authority,
    RevocationList,
    clock,
    last_public_numbers,
    moment,
    present,
    revocation_lists,
    shown,
    true,
)

_KINDS: Final = ("base", "delta", "ocsp")


@dataclass(slots=True)
class _Old:
    """What is known of the old lists or answers of one key and kind."""

    ends: list[datetime] = field(default_factory=list)
    newest: int | None = None
    endless: bool = False


def make_visibility(
    *,
    certificates: pd.DataFrame,
    ca_certificates: pd.DataFrame,
    before_crls: pd.DataFrame,
    crls: pd.DataFrame,
    cdp_crls: pd.DataFrame,
    before_responses: pd.DataFrame,
    responses: pd.DataFrame,
    fetched: pd.DataFrame,
    last_public: Mapping[str, str],
) -> pd.DataFrame:
    """Table ``visibility``: one row for each place, CA key and kind (base, delta, ocsp).

    ``before_crls`` and ``before_responses`` came with the evidence, ``crls`` and ``responses``
    were handed to verify, ``cdp_crls`` among these were fetched; ``fetched`` says where.
    ``last_public`` is the plan's: key index → highest public number.
    """
    ca = Authority(ca_certificates, before_crls, crls, cdp_crls)
    old, last = revocation_lists(before_crls, ca), last_public_numbers(last_public, before_crls, ca)
    written = [one for one in revocation_lists(crls, ca) if one.number > last.get(one.key, -1)]
    known_old = {one.sha256 for one in old}
    later = [one for one in revocation_lists(cdp_crls, ca) if one.sha256 not in known_old]
    new = _newest([*written, *(one for one in later if one.number > last.get(one.key, -1))])
    handed_in = [one for one in revocation_lists(crls, ca) if one.sha256 not in known_old]
    old += [one for one in (*handed_in, *later) if one.number <= last.get(one.key, -1)]
    places = _places(certificates, ca_certificates, pd.concat([before_crls, crls, cdp_crls]), ca)
    lists = {one.sha256: one for one in (*old, *written, *later)}
    answers = _answers(before_responses, responses, new)
    for row in fetched.to_dict("records"):
        sha256, url = str(row["sha256"]), str(row["url"])
        if row["kind"] == "crl" and (one := lists.get(sha256)):
            places.setdefault((one.key, "delta" if one.is_delta else "base"), {})[url] = None
        elif row["kind"] == "ocsp":
            signers = answers.loc[answers["response_sha256"] == sha256, "signer_key_index"].dropna()
            for key in {int(each) for each in signers}:
                places.setdefault((key, "ocsp"), {})[url] = None
    clocks = _clocks(old, answers)
    # Base and delta CRLs share one row of numbers.
    highest = {one.key: one.number for one in sorted(old, key=lambda one: one.number)}
    keys = sorted({key for key, _ in (*places, *clocks)} | set(last))
    rows = []
    for key in keys:
        for kind in _KINDS:
            clock_ = clocks.get((key, kind), _Old())
            urls: list[str | None] = list(places.get((key, kind), {}))
            if not urls and (kind == "base" or clock_.ends):
                urls = [None]
            for place in urls:
                seen, current = _seen(place, key, kind, fetched, lists, answers, new)
                until, why = _until(key, kind, clock_, last.get(key), highest.get(key))
                rows.append(
                    {
                        "url": place,
                        "kind": kind,
                        "ca_key_index": key,
                        "seen": seen,
                        "current": current,
                        "trusted_until": until,
                        "why": why,
                    }
                )
    return TABLES["visibility"].frame(rows)


def trusted_until(visibility: pd.DataFrame) -> datetime | None:
    """The moment after which no client can believe an old list or answer; None where that is not known.

    OCSP answers that nobody handed in are not known of and do not make it unknown: Windows
    ends them with the list that they come from.
    """
    if not len(visibility) or visibility.loc[visibility["kind"] == "base", "trusted_until"].isna().any():
        return None
    return moment(visibility["trusted_until"].dropna().max())


def remaining(visibility: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """The table with ``state`` (over, running, not known) and ``left`` (in words) as they are at a moment."""
    ends = [None if pd.isna(at) else moment(at) for at in visibility["trusted_until"]]
    states = ["not known" if at is None else "over" if at <= now else "running" for at in ends]
    left = pd.Series([None if at is None else span(at, now) for at in ends], index=visibility.index, dtype="string")
    return visibility.assign(state=states, left=left)


def clock_sentence(visibility: pd.DataFrame, now: datetime) -> str:
    """Until when a client may still trust an old list or answer, and how long that is from ``now``."""
    until = trusted_until(visibility)
    drawn = f"as of {clock(now)}"
    if until is None:
        return (
            f"Until when a client may still trust an old answer is not known ({drawn}): the lines below say what is "
            "missing. Until it is known, reckon with old answers in use."
        )
    if until <= now:
        return (
            f"The last old list or answer that is known of ended on {clock(until)}: {span(until, now)} ({drawn}). A "
            "client that asks a responder with clocks of its own may differ."
        )
    return (
        f"A client may still trust an old answer until {clock(until)}: {span(until, now)} ({drawn}). Nothing that the "
        "CA does shortens this; only clients whose caches are emptied ask again before."
    )


def span(at: datetime, now: datetime) -> str:
    """How far a moment is from now, in words of two units: 3 days 4 h from now, 12 min ago."""
    minutes = int(abs(at - now).total_seconds() // 60)
    days, hours = divmod(minutes // 60, 24)
    if days:
        told = f"{days:,} day{'s' if days != 1 else ''}" + (f" {hours} h" if hours else "")
    elif hours:
        told = f"{hours} h" + (f" {minutes % 60} min" if minutes % 60 else "")
    else:
        told = f"{minutes} min" if minutes else "less than a minute"
    return f"{told} ago" if at <= now else f"{told} from now"


# ------------------------------------------------------------------------------ the old ones


def _newest(lists: Iterable[RevocationList]) -> dict[tuple[int, str], RevocationList]:
    newest: dict[tuple[int, str], RevocationList] = {}
    for one in lists:
        place = one.key, "delta" if one.is_delta else "base"
        if place not in newest or newest[place].number < one.number:
            newest[place] = one
    return newest


def _answers(before: pd.DataFrame, after: pd.DataFrame, new: Mapping[tuple[int, str], RevocationList]) -> pd.DataFrame:
    """The signed OCSP answers with a flag ``old``: made before the new list of their key."""
    both = pd.concat([before, after], ignore_index=True)
    both = both[true(both["signed_by_ca"])]
    bars = {key: one.this_update for (key, kind), one in new.items() if kind == "base"}
    old = []
    for key, at in zip(both["signer_key_index"], both["this_update"], strict=True):
        bar = bars.get(int(key)) if present(key) else None
        old.append(bar is None or not present(at) or moment(at) < bar)
    return both.assign(old=old)


def _clocks(old: Iterable[RevocationList], answers: pd.DataFrame) -> dict[tuple[int, str], _Old]:
    clocks: dict[tuple[int, str], _Old] = {}
    for one in old:
        clock_ = clocks.setdefault((one.key, "delta" if one.is_delta else "base"), _Old())
        clock_.ends.append(one.next_update)
        clock_.newest = one.number if clock_.newest is None else max(one.number, clock_.newest)
    for row in answers[answers["old"]].to_dict("records"):
        if present(row["signer_key_index"]):
            clock_ = clocks.setdefault((int(row["signer_key_index"]), "ocsp"), _Old())
            if present(row["next_update"]):
                clock_.ends.append(moment(row["next_update"]))
            else:
                clock_.endless = True
    return clocks


def _until(key: int, kind: str, old: _Old, last: int | None, highest: int | None) -> tuple[datetime | None, str]:
    whose = "the CA's key" if key == 0 else f"the CA's key {key}"
    if kind == "ocsp":
        if not old.ends:
            return None, (
                "No old OCSP answer was handed in. Windows ends its answers with the CRL that they come from; any "
                "other responder may end them later."
            )
        ended = f"The longest old OCSP answer that was handed in ends on {clock(max(old.ends))}"
        return max(old.ends), ended + ("; another gives no end." if old.endless else "; others may end later.")
    what = "delta CRL" if kind == "delta" else "base CRL"
    if not old.ends:
        return None, f"No old {what} of {whose} was handed in: until when clients may believe one is not known."
    if kind == "base" and last is not None and highest is not None and highest < last:
        return None, (
            f"CRL {last} of {whose} was public, and the newest old list that was handed in is CRL {highest}: until "
            "when clients may believe that one is not known."
        )
    return max(old.ends), (
        f"The old {what}s of {whose} that were handed in (up to number {old.newest}) end by {clock(max(old.ends))}; "
        "until then a client that has one need not look again."
    )


# ---------------------------------------------------------------------------------- the places


def _places(
    certificates: pd.DataFrame, ca_certificates: pd.DataFrame, crls: pd.DataFrame, ca: Authority
) -> dict[tuple[int, str], dict[str, None]]:
    """(key, kind) → the URLs that certificates and lists of that key name."""
    places: dict[tuple[int, str], dict[str, None]] = {}
    indexes = {
        str(key_id): int(version) >> 16 if present(version) else 0
        for key_id, version in zip(ca_certificates["key_id"], ca_certificates["ca_version"], strict=True)
        if present(key_id)
    }
    only = next(iter(indexes.values())) if len(set(indexes.values())) == 1 else None
    own = set(ca_certificates["certificate_sha256"])
    issued = certificates[true(certificates["signed_by_ca"]) & ~certificates["certificate_sha256"].isin(list(own))]
    named = zip(issued["authority_key_id"], issued["crl_urls"], issued["ocsp_urls"], strict=True)
    for key_id, crl_urls, ocsp_urls in named:
        key = indexes.get(str(key_id), only)
        if key is not None:
            places.setdefault((key, "base"), {}).update(dict.fromkeys(crl_urls))
            places.setdefault((key, "ocsp"), {}).update(dict.fromkeys(ocsp_urls))
    for row in crls[true(crls["signed_by_ca"])].to_dict("records"):
        key = ca.key_of(row)
        if key is not None and present(row["is_delta"]):
            kind = "delta" if row["is_delta"] else "base"
            places.setdefault((key, kind), {}).update(dict.fromkeys(row["urls"]))
            places.setdefault((key, "delta"), {}).update(dict.fromkeys(row["delta_urls"]))
    return places


def _seen(
    url: str | None,
    key: int,
    kind: str,
    fetched: pd.DataFrame,
    lists: Mapping[str, RevocationList],
    answers: pd.DataFrame,
    new: Mapping[tuple[int, str], RevocationList],
) -> tuple[str | None, bool | None]:
    """What was fetched there last, after the work, and whether it is the new one."""
    here = fetched[(fetched["url"] == url) & true(fetched["after_work"])] if url is not None else fetched.iloc[:0]
    here = here[here["kind"] == ("ocsp" if kind == "ocsp" else "crl")]
    if not len(here):
        return None, None
    # The journal's order, whatever its clock did.
    last = here[here["fetched_at"] == here["fetched_at"].iloc[-1]]
    when = clock(moment(here["fetched_at"].iloc[-1]))
    if kind == "ocsp":
        mine = answers[answers["response_sha256"].isin(list(last["sha256"]))]
        said = (
            ", ".join(f"{count} {status}" for status, count in mine["status"].value_counts().items()) or "none signed"
        )
        counted = f"answers: {said}; {int(mine['old'].sum())} of them from before the new CRL, fetched {when}"
        return counted, bool(len(mine) and not mine["old"].any()) if (key, "base") in new else None
    found = [one for sha256 in last["sha256"] if (one := lists.get(str(sha256))) and one.key == key]
    found = [one for one in found if one.is_delta == (kind == "delta")]
    if not found:
        return f"nothing that the CA signed with this key, fetched {when}", False
    names = ", ".join(dict.fromkeys(one.name for one in found))
    bar = new.get((key, kind))
    current = None if bar is None else all(one.number >= bar.number for one in found)
    return f"{shown(names)}, fetched {when}", current
