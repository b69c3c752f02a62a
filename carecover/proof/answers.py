"""What clients get: lists fetched at distribution points, and the answers of OCSP responders.

Both can only hold a green verdict back. What the CA wrote is proved by its own list; what
clients see is a second question, and for each place the newest answer counts.

An OCSP answer that says Good of what the CA's list calls revoked is old, or wrong. RFC 6960
4.2.2.1: thisUpdate is the moment at which the state was known to be correct; Windows copies
it from the CRL that it answers from. So an answer of before the new list (by thisUpdate) is
an old one, and holds until its nextUpdate: pending. One of after it, by more than two clock
skews (AD CS sets the list's thisUpdate one skew back; the responder's clock may be off by
another), claims to know better than the CA: contradicted, a person must look at what that
responder reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from carecover.model import PlanItem, RevocationReason
from carecover.proof.lists import (
    MAX_CLOCK_SKEW,
    Authority,
    Entries,
    RevocationList,
    clock,
    moment,
    present,
    reason_text,
    revocation_lists,
    shown,
    true,
)

SOMEWHERE: Final = "a distribution point"
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one place shows about one certificate: the state of the proof there, and in words."""

    good: bool
    wrong: bool
    """True where it cannot be an old answer that is still in use."""
    what: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One OCSP answer about one serial number."""

    place: str
    key: int | None
    trusted: bool
    status: str
    reason: int
    this_update: datetime
    next_update: datetime | None
    produced_at: datetime


# ------------------------------------------------------------------------------ fetched lists


@dataclass(slots=True)
class Place:
    """What was fetched last at one distribution point: base lists of the CA, and what was wrong with the rest."""

    url: str
    lists: dict[int, list[RevocationList]]
    """Key index → its base lists (a load balancer may give out two)."""
    faults: list[str]


def points(cdp_crls: pd.DataFrame, fetched: pd.DataFrame, ca: Authority) -> list[Place]:
    """The distribution points and what was fetched there last; ``fetched`` (schema fetched) says where and when.

    A list that it does not name was fetched somewhere; one that it names and that is not among
    ``cdp_crls`` could not be read.
    """
    readable = {str(row["crl_sha256"]): row for row in cdp_crls.to_dict("records")}
    known = {one.sha256: one for one in revocation_lists(cdp_crls, ca)}
    events = [
        (moment(row["fetched_at"]), str(row["url"]), str(row["sha256"]))
        for row in fetched[fetched["kind"] == "crl"].to_dict("records")
        if true(pd.Series([row["after_work"]])).iloc[0]
    ]
    named = {sha256 for _, _, sha256 in events}
    events += [(_LONG_AGO, SOMEWHERE, sha256) for sha256 in readable if sha256 not in named]
    places: dict[str, Place] = {}
    latest: dict[tuple[str, int | None], datetime] = {}
    # Rows are in the journal's order, whatever its clock did.
    for at, url, sha256 in events:
        place = places.setdefault(url, Place(url, {}, []))
        one = known.get(sha256)
        if one is not None and one.is_delta:
            continue
        # What was fetched there before is what it gave out before.
        if latest.get((url, None), at) != at:
            place.faults.clear()
        latest[url, None] = at
        if one is None:
            why = ca.why_not(readable[sha256]) if sha256 in readable else "cannot be read as a CRL"
            place.faults.append(f"what was fetched at {shown(url)} {why}")
            continue
        if latest.get((url, one.key), at) != at:
            place.lists.pop(one.key, None)
        latest[url, one.key] = at
        place.lists.setdefault(one.key, []).append(one)
    return list(places.values())


def at_points(
    item: PlanItem,
    places: Sequence[Place],
    newest: RevocationList,
    expected: int | None,
    entries: Entries,
    now: datetime,
) -> list[Seen]:
    """What each distribution point shows about one certificate, which must be listed with the reason ``expected``."""
    seen = []
    for place in places:
        seen += [Seen(False, False, fault) for fault in place.faults]
        for one in sorted(place.lists.get(item.ca_key_index, []), key=lambda each: each.number):
            found = [entry.reason for entry in entries.get((one.sha256, item.serial), ())]
            state = "does not list it" if not found else f"lists it with the reason {reason_text(found[0])}"
            what = f"{one.name} at {shown(place.url)}"
            if one.next_update <= now:
                seen.append(Seen(False, False, f"{what} ended on {clock(one.next_update)}"))
            elif one.refused:
                seen.append(Seen(False, False, f"{what} {one.refused}"))
            elif found == ([] if expected is None else [expected]):
                seen.append(Seen(True, False, f"{what} says the same"))
            else:
                wrong = one.number > newest.number
                seen.append(Seen(False, wrong, f"{what}, in force until {clock(one.next_update)}, {state}"))
    return seen


# ------------------------------------------------------------------------------ OCSP answers


def answers(responses: pd.DataFrame, fetched: pd.DataFrame) -> dict[str, list[Answer]]:
    """Serial number → what each place answered last; more than one answer where it gave two at once.

    A place is the URL that was asked, in the order of the journal (whatever its clock did):
    what it gives last, clients get, however old it is. Of answers that nobody fetched the
    place is the responder's name, and the newest by its own dates counts.
    """
    asked: dict[str, dict[str, tuple[int, object]]] = {}
    for order, row in enumerate(fetched[fetched["kind"] == "ocsp"].to_dict("records")):
        asked.setdefault(str(row["sha256"]), {})[str(row["url"])] = (order, row["fetched_at"])
    given: dict[tuple[str, str, bool], list[tuple[tuple[int, datetime, datetime], object, Answer]]] = {}
    for row in responses.to_dict("records"):
        for place, (order, at) in asked.get(str(row["response_sha256"]), {None: (-1, None)}).items():
            answer = _answer(row, place)
            if answer is None:
                continue
            dated = (answer.this_update, answer.produced_at)
            same = at if place is not None else dated
            given.setdefault((str(row["serial"]), answer.place, answer.trusted), []).append(
                ((order, *dated), same, answer)
            )
    found: dict[str, list[Answer]] = {}
    for (serial, _, _), each in given.items():
        _, last, _ = max(each, key=lambda one: one[0])
        found.setdefault(serial, []).extend(dict.fromkeys(answer for _, at, answer in each if at == last))
    return found


def _answer(row: Mapping[Any, Any], place: str | None) -> Answer | None:
    if not all(present(row[name]) for name in ("serial", "status", "this_update", "produced_at")):
        return None
    name = row["responder"] if isinstance(row["responder"], str) else "a responder without name"
    return Answer(
        place=shown(name if place is None else place),
        key=int(row["signer_key_index"]) if present(row["signer_key_index"]) else None,
        trusted=present(row["signed_by_ca"]) and bool(row["signed_by_ca"]),
        status=str(row["status"]),
        reason=int(row["reason"]) if present(row["reason"]) else 0,
        this_update=moment(row["this_update"]),
        next_update=moment(row["next_update"]) if present(row["next_update"]) else None,
        produced_at=moment(row["produced_at"]),
    )


def from_responders(
    item: PlanItem, given: list[Answer], newest: RevocationList | None, expected: int | None, now: datetime
) -> list[Seen]:
    """What each responder says about one certificate; without a newest list nothing is called old or wrong."""
    return [_seen(item, answer, newest, expected, now) for answer in given]


def _seen(item: PlanItem, answer: Answer, newest: RevocationList | None, expected: int | None, now: datetime) -> Seen:
    who = f"OCSP ({answer.place})"
    if not answer.trusted:
        return Seen(True, False, f"{who}: not signed by the CA or a responder that it authorised, proves nothing")
    if answer.key is not None and answer.key != item.ca_key_index:
        return Seen(True, False, f"{who}: about a certificate of another CA key")
    said = answer.status if answer.status != "revoked" else f"revoked, reason {reason_text(answer.reason)}"
    if answer.next_update is not None and answer.next_update <= now:
        return Seen(True, False, f"{who}: {said}, but that ended on {clock(answer.next_update)}; ask again")
    if answer.this_update > now + MAX_CLOCK_SKEW:
        return Seen(False, False, f"{who}: {said} only from {clock(answer.this_update)} on; a clock is wrong")
    if _as_planned(answer, expected):
        return Seen(True, False, f"{who}: {said}")
    end = "an end that it does not give" if answer.next_update is None else clock(answer.next_update)
    if answer.status == "unknown":
        return Seen(False, False, f"{who}: unknown, which clients may take for either, until {end}")
    late = newest is not None and answer.this_update > newest.this_update + 2 * MAX_CLOCK_SKEW
    when = f"as of {clock(answer.this_update)}, valid until {end}"
    return Seen(False, late, f"{who}: {said} {when}")


def _as_planned(answer: Answer, expected: int | None) -> bool:
    """An answer may leave the reason out (RFC 6960 4.2.1); a hold must not pass for a final revocation."""
    if expected is None:
        return answer.status == "good"
    if answer.status != "revoked":
        return False
    return answer.reason == expected or (answer.reason == 0 and expected != RevocationReason.CERTIFICATE_HOLD)
