"""The verdict on every planned certificate, from what the CA signed after the plan was carried out.

Only one thing turns an outcome green: the newest base CRL that the CA signed with the
item's key, in force now, with a number above the last public one (``lists`` says which that
is). Everything else (the batch's log, a view of the database, what clients fetch or are
answered) can hold a verdict back or contradict it, and can never replace that list. For
what stays valid the database must say so too: a list that does not name a serial cannot
tell a good certificate from one the CA does not know. A dummy's row must not end before
the real certificate does: the CA would drop the serial number from its lists unasked.

One thing no list has to show: a certificate that ended before the list was made. A complete
list names the unexpired revoked ones (RFC 5280 5), and an entry may go once it stood on a
regular list of after the end (3.3). There the database proves the revocation, and the end
counts only where the CA signed it or holds it: a mail's date settles nothing. Code signing
is different, as its signatures outlive it, and AD CS keeps it on its lists.

The module is long because every verdict is a sentence, and all of them are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import pandas as pd

from carecover.model import TABLES, Disposition, Plan, PlanItem, RevocationReason
from carecover.proof.answers import Answer, Place, Seen, answers, at_points, from_responders, points
from carecover.proof.lists import (
    Authority,
    Entries,
    Entry,
    Newest,
    RevocationList,
    clock,
    entries_of,
    last_public_numbers,
    moment,
    newest_lists,
    present,
    reason_text,
    revocation_lists,
    true,
)
from carecover.proof.transcript import Step, Transcript

PROVED: Final = "proved"
PENDING: Final = "pending"
FAILED: Final = "failed"
CONTRADICTED: Final = "contradicted"

# EKUOIDsForPublishExpiredCertInCRL: what AD CS keeps on its lists after it has expired.
_CODE_SIGNING: Final = frozenset({"1.3.6.1.5.5.7.3.3", "1.3.6.1.4.1.311.61.1.1"})
_MUST_STAY: Final = "though it was to stay valid."
# Local time that was taken for UTC may be anywhere within the zones.
_ANY_ZONE: Final = timedelta(hours=14)
_LATEST: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
# The readers' word for that, in column flags.
_ZONE_ASSUMED: Final = "zone_assumed_utc"
_REMOVED: Final = int(RevocationReason.REMOVE_FROM_CRL)


@dataclass(frozen=True, slots=True)
class _Row:
    disposition: int | None
    reason: int | None
    thumbprint: str | None
    not_after: datetime | None
    zone_known: bool | None
    """Of its end; None where it has none."""

    def with_(self, other: _Row) -> _Row | None:
        """Both as one, where what both say agrees (captures of a row may have different columns); else None."""
        cells = []
        for mine, theirs in zip(astuple(self), astuple(other), strict=True):
            if mine is not None and theirs is not None and mine != theirs:
                return None
            cells.append(theirs if mine is None else mine)
        return _Row(*cells)


@dataclass(frozen=True, slots=True)
class _Certificate:
    """What the certificate itself says, where the CA's signature on it was found good."""

    points: frozenset[str]
    is_ca: bool
    not_after: datetime | None
    code_signing: bool


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
    responses: pd.DataFrame | None = None,
    fetched: pd.DataFrame | None = None,
    certificates: pd.DataFrame | None = None,
    ca_certificates: pd.DataFrame | None = None,
    view_is_whole: bool = True,
    failure: datetime | None = None,
) -> pd.DataFrame:
    """One row of table ``outcomes`` for each item of the plan, in the plan's order.

    ``view`` is a later capture of the database (schema ca_rows), ``crls`` the lists handed in
    after the work, ``before_crls`` those that were public before it (they prove nothing, and
    their numbers must be passed), ``cdp_crls`` and ``responses`` what clients can fetch and
    are answered (schemas crls, ocsp_responses), ``fetched`` where (schema fetched);
    ``crl_entries`` holds the entries of all lists. ``certificates`` are the known ones (their
    distribution points and whether they are CAs), ``ca_certificates`` the CA's own.
    ``view_is_whole`` is false where the view leaves rows out, so that one which it lacks may be
    there; ``failure`` is when the CA was lost: a list of before that was not made after the work.
    ``transcripts`` come oldest first. Pure: the same tables at the same ``now`` give the same
    verdicts.

    Verdicts: ``proved``; ``pending`` (not shown yet, with what is missing and until when an
    old answer is valid); ``failed`` (the batch stopped there); ``contradicted`` (two of the
    proofs exclude each other, or the CA did something else than was planned: a person must look).
    """
    wanted = {item.serial for item in plan.items}
    ca = Authority(ca_certificates, before_crls, crls, cdp_crls)
    last = last_public_numbers(plan.last_crl_numbers, before_crls, ca)
    old = set(before_crls["crl_sha256"].dropna())
    fresh = crls[~crls["crl_sha256"].isin(list(old))]
    again = revocation_lists(crls[crls["crl_sha256"].isin(list(old))], ca)
    before = _newest_old(before_crls, ca)
    fetchable_lists = [] if cdp_crls is None else revocation_lists(cdp_crls, ca)
    public = {
        key: newest_lists(fresh, key, last.get(key), now, ca, before.values(), fetchable_lists, failure, again)
        for key in {item.ca_key_index for item in plan.items}
    }
    if fetched is None:
        fetched = TABLES["fetched"].empty()
    places = [] if cdp_crls is None else points(cdp_crls, fetched, ca)
    asked = {} if responses is None else answers(responses[responses["serial"].isin(list(wanted))], fetched)
    used = [*(one for newest in public.values() for one in (*newest.lists, *newest.deltas)), *before.values()]
    used += [one for place in places for lists in place.lists.values() for one in lists]
    entries = entries_of(crl_entries, {one.sha256 for one in used}, wanted)
    rows = None if view is None else _rows(view, wanted)
    known, named = _certificates(certificates, wanted), _points_named(certificates)
    logged = _logged(transcripts, plan.digest)
    published = _published(transcripts, plan.digest)

    outcomes = []
    for item in plan.items:
        step = logged.get((item.number, item.serial))
        found = None if rows is None else rows.get(item.serial, [] if view_is_whole else None)
        newest = public[item.ca_key_index]
        if newest.missing is None and (unfit := _unfit(newest, known.get(item.serial), named)):
            newest = Newest(missing=unfit)
        over = _over(item, found, known.get(item.serial), newest, entries)
        verdict = _strange(item, found, ca) or _verdict(
            item, step, found, newest, entries, published=published, over=over
        )
        fetchable, told = _visible(item, newest, places, asked.get(item.serial, []), entries, now)
        # What has ended no client accepts, whatever it is told about it.
        seen = [] if over is not None and over.at is not None else [*fetchable, *told]
        verdict = _held_back(_unsure(verdict, item, found, ca), seen)
        since = _since(item, before.get(item.ca_key_index), newest, entries)
        if verdict.word == PROVED and item.action == "revoke" and _later(*since):
            verdict = _Verdict(PROVED, f"{verdict.why} {_new_date(*since)}")
        if verdict.word == PROVED and item.short_waived:
            verdict = _Verdict(PROVED, f"{verdict.why} {_SHORT}")
        outcomes.append(
            {
                "finding_id": item.finding_id,
                "serial": item.serial,
                "action": item.action,
                "transcript": _transcript_text(item, step, bool(transcripts)),
                "database": _database_text(found),
                "crl": _crl_text(item, newest, entries),
                "cdp": "; ".join(seen.what for seen in fetchable) or None,
                "verdict": verdict.word,
                "why": verdict.why,
                "ocsp": "; ".join(seen.what for seen in told) or None,
                "old_revoked_at": since[0],
                "new_revoked_at": since[1],
            }
        )
    return TABLES["outcomes"].frame(outcomes)


# ------------------------------------------------------------------------------ the verdicts


def _verdict(
    item: PlanItem,
    step: Step | None,
    rows: list[_Row] | None,
    public: Newest,
    entries: Entries,
    *,
    published: bool,
    over: _Over | None,
) -> _Verdict:
    if public.missing is not None:
        if step is not None and step.code != 0:
            return _Verdict(FAILED, f"{_stopped(step)} {public.missing}")
        return _Verdict(PENDING, public.missing)
    states = {_state(item.serial, one, entries) for one in public.lists}
    if len(states) > 1:
        return _Verdict(
            CONTRADICTED,
            f"Two different lists of the CA bear the number {public.lists[0].number} and disagree about this "
            "serial number. Publish a new CRL and verify again.",
        )
    state = states.pop()
    if len(state) > 1:
        said = " and ".join(reason_text(reason) for reason in state)
        return _Verdict(CONTRADICTED, f"{public.name} lists it more than once, with the reasons {said}.")
    listed = state[0] if state else None
    told = [_by_delta(item, public, delta, listed, entries) for delta in public.deltas]
    if verdicts := [verdict for verdict in told if verdict is not None]:
        return next((verdict for verdict in verdicts if verdict.word == CONTRADICTED), verdicts[-1])
    if refused := [one for one in public.deltas if one.refused]:
        return _Verdict(
            PENDING,
            f"The {refused[-1].name} {refused[-1].refused}: clients that use deltas cannot tell. Publish again.",
        )
    if item.action == "revoke":
        return _verdict_revoked(item, step, rows, public, listed, published=published, over=over)
    return _verdict_valid(item, step, rows, public, listed)


def _by_delta(
    item: PlanItem, public: Newest, delta: RevocationList, listed: int | None, entries: Entries
) -> _Verdict | None:
    """What a delta CRL over the newest base settles; None where it leaves the word to the base.

    What the base does not say, no delta proves: clients that fetch no deltas trust the base.
    """
    changed = _state(item.serial, delta, entries)
    said = f"The delta CRL {delta.number}"
    if len(changed) > 1:
        return _Verdict(CONTRADICTED, f"{said} lists it more than once.")
    if not changed or changed[0] == listed:
        return None
    if _REMOVED in changed and item.action == "revoke":
        return _Verdict(CONTRADICTED, f"{said} takes it off {public.name} again: somebody unrevoked it.")
    if _REMOVED in changed:
        return _Verdict(PENDING, f"{said} takes it off again; the next base CRL will prove it.")
    named = f"{said} lists it with the reason {reason_text(changed[0])}"
    if item.action != "revoke":
        return _Verdict(CONTRADICTED, f"{named}, {_MUST_STAY}")
    if changed[0] != item.reason:
        return _Verdict(CONTRADICTED, f"{named}, the plan says {reason_text(item.reason)}.")
    if listed is None:
        return None
    still = f"{public.name} still lists it with the reason {reason_text(listed)}"
    return _Verdict(PENDING, f"{named}, as planned, but {still}; the next base CRL will prove it.")


def _verdict_revoked(
    item: PlanItem,
    step: Step | None,
    rows: list[_Row] | None,
    public: Newest,
    listed: int | None,
    *,
    published: bool,
    over: _Over | None,
) -> _Verdict:
    revoked = rows and rows[0].disposition == Disposition.REVOKED
    well = step is not None and step.well
    if listed is not None:
        if listed != item.reason:
            return _Verdict(
                CONTRADICTED,
                f"{public.name} lists it with the reason {reason_text(listed)}, "
                f"the plan says {reason_text(item.reason)}.",
            )
        if rows and not revoked:
            return _Verdict(
                CONTRADICTED,
                f"{public.name} lists it, but the later view of the database shows it as "
                f"{_disposition(rows[0].disposition)}: the next CRL would drop it.",
            )
        return _Verdict(
            PROVED,
            f"{public.name}, signed by the CA and in force until {clock(public.lists[0].next_update)}, "
            f"lists it with the reason {reason_text(listed)}.",
        )
    if over is not None and over.at is not None:
        return _verdict_ended(item, step, rows, public, over.at)
    note = "" if over is None else f" {over.why}"
    if step is not None and step.code != 0:
        return _Verdict(FAILED, f"{_stopped(step)} {public.name} does not list it.{note}")
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
            f"the database row: an expired row is dropped from the CRL.{note}",
        )
    if well or revoked:
        return _Verdict(
            PENDING, f"It is revoked in the database, but {public.name} does not list it yet: publish a CRL.{note}"
        )
    return _Verdict(PENDING, f"{public.name} does not list it: the batch has not been applied to it yet.{note}")


def _verdict_ended(
    item: PlanItem, step: Step | None, rows: list[_Row] | None, public: Newest, end: datetime
) -> _Verdict:
    """To be revoked, and ended before the list was made, which does not name it: the database must say so."""
    why = (
        f"{public.name} does not list it and need not list it: it ended on {clock(end)}, before that list was made, "
        "and a CRL names the unexpired ones (RFC 5280 5). No client accepts it any more."
    )
    otherwise = "or decide to leave it (decide --action leave), as nothing is left to be revoked"
    if rows and rows[0].disposition == Disposition.REVOKED:
        if rows[0].reason is None:
            return _Verdict(
                PENDING, f"{why} The later view shows it as revoked, but not why: export RevokedReason too."
            )
        if rows[0].reason != item.reason:
            return _Verdict(
                CONTRADICTED,
                f"The later view shows it as revoked with the reason {reason_text(rows[0].reason)}, the plan says "
                f"{reason_text(item.reason)}. {why}",
            )
        reason = reason_text(item.reason)
        return _Verdict(PROVED, f"The later view shows it as revoked, reason {reason}. {why}")
    if step is not None and step.code != 0:
        return _Verdict(FAILED, f"{_stopped(step)} {why}")
    if not rows:
        return _Verdict(PENDING, f"{why} Hand in a later view of the database that shows it as revoked, {otherwise}.")
    state = _disposition(rows[0].disposition)
    if step is not None and step.well:
        return _Verdict(
            CONTRADICTED, f"The log says that it was revoked, but the later view shows it as {state}. {why}"
        )
    return _Verdict(
        PENDING, f"{why} The later view shows it as {state}: the batch has not been applied to it yet; {otherwise}."
    )


def _verdict_valid(
    item: PlanItem, step: Step | None, rows: list[_Row] | None, public: Newest, listed: int | None
) -> _Verdict:
    """restore, unrevoke and leave: it must not be on the list; what was acted on must be good in the database."""
    if item.action == "unrevoke" and listed == RevocationReason.CERTIFICATE_HOLD:
        if step is not None and step.code != 0:
            return _Verdict(FAILED, f"{_stopped(step)} {public.name} still lists it as on hold.")
        what = "publish a CRL" if step is not None and step.well else "undo.cmd has not been applied to it yet"
        return _Verdict(PENDING, f"{public.name} still lists it as on hold: {what}.")
    if item.kind == "lost_release" and listed == RevocationReason.CERTIFICATE_HOLD:
        if item.action == "leave":
            return _Verdict(PROVED, f"Left as it is, as decided: {public.name} lists it as on hold.")
        if item.action == "undecided":
            return _Verdict(
                PROVED,
                f"Nobody decided about it, which was waived in writing, so nothing was to be done: {public.name} lists "
                "it as on hold, as the restore left it, and clients refuse it.",
            )
    if listed is not None:
        return _Verdict(CONTRADICTED, f"{public.name} lists it with the reason {reason_text(listed)}, {_MUST_STAY}")
    if item.action == "undecided":
        return _Verdict(
            PROVED,
            f"Nobody decided about it, which was waived in writing, so nothing was to be done: {public.name} does not "
            "list it, and clients take it as valid.",
        )
    if item.method == "none":
        return _Verdict(PROVED, f"Left as it is, as decided: {public.name} does not list it.")
    if step is not None and step.code != 0 and not rows:
        return _Verdict(FAILED, _stopped(step))
    if rows is None:
        return _Verdict(
            PENDING,
            f"{public.name} does not list it; that the CA knows it again only a later view of the database shows (one "
            "that leaves rows out need not have it). Export one and hand it to verify.",
        )
    if not rows:
        word = CONTRADICTED if step is not None and step.well else FAILED
        return _Verdict(word, "The later view of the database has no row with this serial number.")
    if rows[0].disposition != Disposition.ISSUED:
        return _Verdict(CONTRADICTED, f"The later view shows it as {_disposition(rows[0].disposition)}, not as issued.")
    return _Verdict(PROVED, f"The later view shows it as issued, and {public.name} does not list it.")


def _strange(item: PlanItem, rows: list[_Row] | None, ca: Authority) -> _Verdict | None:
    """What is wrong with the row itself, whatever the list says."""
    if not rows:
        return None
    if len(rows) > 1:
        why = f"The later view has {len(rows)} rows that do not agree about this serial number: a person must look."
        return _Verdict(CONTRADICTED, why)
    found, expected = rows[0].thumbprint, item.expected_thumbprint
    if found and expected and found != expected:
        return _Verdict(
            CONTRADICTED,
            f"The row in the later view holds another certificate (hash {found}) than the expected one "
            f"({expected}): a person must look.",
        )
    end, needed = rows[0].not_after, _needed(item, ca)
    if end is None or needed is None or end + (timedelta() if rows[0].zone_known else _ANY_ZONE) >= needed:
        return None
    whose = "the CA certificate, as the end of the real one is not known" if item.not_after is None else "the real one"
    return _Verdict(
        CONTRADICTED,
        f"The dummy in the database ends on {clock(end)}, before {whose} ({clock(needed)}): the CA will then drop the "
        "serial number from its CRL while the certificate is still valid. Have expired certificates kept on the CRL "
        "(certutil -setreg CA\\CRLFlags +CRLF_PUBLISH_EXPIRED_CERT_CRLS, and restart the service), and publish again.",
    )


_SHORT: Final = (
    "Its dummy may end before the real certificate, which was accepted in writing: this lasts only as long as the CA "
    "keeps expired certificates on its CRL (certutil -getreg CA\\CRLFlags shows CRLF_PUBLISH_EXPIRED_CERT_CRLS)."
)


def _needed(item: PlanItem, ca: Authority) -> datetime | None:
    """Up to when the row of a dummy must last; None where it is no dummy, nobody knows, or an early end is accepted."""
    if item.method != "dummy" or item.short_waived:
        return None
    return ca.ends.get(item.ca_cert_index) if item.not_after is None else datetime.fromisoformat(item.not_after)


def _unsure(verdict: _Verdict, item: PlanItem, rows: list[_Row] | None, ca: Authority) -> _Verdict:
    """A dummy whose end is given by a clock of unknown zone may end too early."""
    end, needed = rows[0].not_after if rows else None, _needed(item, ca)
    if verdict.word != PROVED or not rows or end is None or needed is None or rows[0].zone_known:
        return verdict
    if end - _ANY_ZONE >= needed:
        return verdict
    return _Verdict(
        PENDING,
        f"{verdict.why} But in which time zone the later view says that the dummy ends is not known, and it must not "
        f"end before {clock(needed)}: export with -gmt -seconds, or name the zone (init --time-zone).",
    )


def _held_back(verdict: _Verdict, seen: Sequence[Seen]) -> _Verdict:
    """A proof that clients do not see yet is pending; where what they see cannot be old, it is contradicted."""
    bad = [one for one in seen if not one.good]
    if verdict.word != PROVED or not bad:
        return verdict
    if wrong := [one.what for one in bad if one.wrong]:
        return _Verdict(CONTRADICTED, f"{verdict.why} But clients are told otherwise, and later: {'; '.join(wrong)}.")
    return _Verdict(PENDING, f"{verdict.why} Clients cannot see it yet: {'; '.join(one.what for one in bad)}.")


def _visible(
    item: PlanItem,
    public: Newest,
    places: Sequence[Place],
    given: list[Answer],
    entries: Entries,
    now: datetime,
) -> tuple[list[Seen], list[Seen]]:
    """What distribution points and responders show about one certificate."""
    expected = item.reason if item.action == "revoke" else None
    newest = public.lists[0] if public.lists else None
    if newest is not None and item.action == "leave" and item.kind == "lost_release":
        hold = [entry.reason for entry in entries.get((newest.sha256, item.serial), ())]
        expected = RevocationReason.CERTIFICATE_HOLD if RevocationReason.CERTIFICATE_HOLD in hold else None
    told = from_responders(item, given, newest, expected, now)
    if newest is None:
        # Without the CA's own list nothing shows which of the fetched ones is new.
        return [], told
    return at_points(item, places, newest, expected, entries, now), told


def _unfit(public: Newest, certificate: _Certificate | None, named: frozenset[str]) -> str | None:
    """Why the newest list proves nothing about this very certificate; ``named`` are the points of the CA's others."""
    for one in public.lists:
        if certificate is None:
            if one.points and not one.points & named:
                return (
                    f"{one.name} is only for the distribution points that it names, and no certificate is at hand that "
                    "shows that this one names them: add one that the CA issued, and verify again."
                )
            continue
        if one.points and not one.points & certificate.points:
            return (
                f"{one.name} is for other distribution points than the certificate names: it proves nothing about it."
            )
        if one.user_only and certificate.is_ca:
            return f"{one.name} is limited to certificates that are no CA's: it proves nothing about this one."
    return None


def _stopped(step: Step) -> str:
    return f"The batch stopped at its step '{step.step}' with exit code {step.code}."


@dataclass(frozen=True, slots=True)
class _Over:
    """A certificate that is said to have ended before the list was made: ``at`` where that is certain, else why not."""

    at: datetime | None
    why: str = ""


def _over(
    item: PlanItem, rows: list[_Row] | None, certificate: _Certificate | None, public: Newest, entries: Entries
) -> _Over | None:
    """Whether it had ended when the newest list was made, by what the CA signed or holds; None where it had not.

    A list that names it all the same is judged as any other; a dummy's row has an end of its own.
    """
    if not public.lists or any(_state(item.serial, one, entries) for one in public.lists):
        return None
    made = min(one.this_update for one in public.lists)
    said = None if item.not_after is None else datetime.fromisoformat(item.not_after)
    ends = [] if certificate is None or certificate.not_after is None else [certificate.not_after]
    if rows and len(rows) == 1 and item.method != "dummy" and rows[0].not_after is not None:
        zone = timedelta() if rows[0].zone_known else _ANY_ZONE
        ends.append(min(rows[0].not_after, _LATEST) + zone)
    # Where they disagree the later end counts.
    last = max([*ends, *([] if said is None else [said])], default=None)
    if last is None or last > made:
        return None
    if not ends:
        return _Over(None, f"By the plan it ended on {clock(last)}, yet nothing that the CA signed or holds says so.")
    named = "codesign" in "".join(filter(str.isalnum, item.template or "")).casefold()
    if named or (certificate is not None and certificate.code_signing):
        return _Over(
            None,
            f"It ended on {clock(last)}, but it is for code signing: signatures outlive it, and AD CS keeps such "
            "certificates on its lists (EKUOIDsForPublishExpiredCertInCRL), unless somebody changed that.",
        )
    return _Over(last)


def _state(serial: str, one: RevocationList, entries: Entries) -> tuple[int, ...]:
    """The reasons with which a list names the serial: none, one, or more where it is listed twice."""
    return tuple(dict.fromkeys(entry.reason for entry in entries.get((one.sha256, serial), ())))


def _since(
    item: PlanItem, old: RevocationList | None, public: Newest, entries: Entries
) -> tuple[datetime | None, datetime | None]:
    """Since when it was revoked before the failure, and since when it is by the new list."""
    before = None if item.original_revoked_at is None else datetime.fromisoformat(item.original_revoked_at)
    if before is None and old is not None:
        before = _first_date(entries.get((old.sha256, item.serial), ()))
    after = _first_date(entries.get((public.lists[0].sha256, item.serial), ())) if public.lists else None
    return before, after


def _first_date(found: Sequence[Entry]) -> datetime | None:
    return min((entry.revoked_at for entry in found if entry.revoked_at is not None), default=None)


def _later(old: datetime | None, new: datetime | None) -> bool:
    return old is not None and new is not None and new > old


def _new_date(old: datetime | None, new: datetime | None) -> str:
    if old is None or new is None:
        return ""
    return (
        f"Before the failure it counted as revoked from {clock(old)} on, by the new list it does from {clock(new)} on: "
        "what was signed with it in between will count as valid wherever a signature is judged by its time."
    )


# -------------------------------------------------------------------------------- look-ups


def _newest_old(before: pd.DataFrame, ca: Authority) -> dict[int, RevocationList]:
    """Key index → the newest base list from before the work."""
    newest: dict[int, RevocationList] = {}
    for one in revocation_lists(before, ca):
        if not one.is_delta and (one.key not in newest or newest[one.key].number < one.number):
            newest[one.key] = one
    return newest


def _certificates(certificates: pd.DataFrame | None, wanted: set[str]) -> dict[str, _Certificate]:
    """Serial → what the verified certificate says; nothing where two different ones bear the serial."""
    if certificates is None:
        return {}
    verified = certificates[true(certificates["signed_by_ca"]) & certificates["serial"].isin(list(wanted))]
    found: dict[str, dict[str, _Certificate]] = {}
    for row in verified.to_dict("records"):
        about = _Certificate(
            points=frozenset(row["crl_urls"]),
            is_ca=present(row["is_ca"]) and bool(row["is_ca"]),
            not_after=moment(row["not_after"]) if present(row["not_after"]) else None,
            code_signing=not _CODE_SIGNING.isdisjoint(row["eku"]),
        )
        found.setdefault(str(row["serial"]), {})[str(row["certificate_sha256"])] = about
    return {serial: next(iter(each.values())) for serial, each in found.items() if len(each) == 1}


def _points_named(certificates: pd.DataFrame | None) -> frozenset[str]:
    """The distribution points that verified certificates of the CA name."""
    if certificates is None:
        return frozenset()
    return frozenset(url for urls in certificates.loc[true(certificates["signed_by_ca"]), "crl_urls"] for url in urls)


def _rows(view: pd.DataFrame, wanted: set[str]) -> dict[str, list[_Row]]:
    """Serial → its distinct rows (one, in any database that is as it should be)."""
    rows: dict[str, list[_Row]] = {}
    for record in view[view["serial"].isin(list(wanted))].to_dict("records"):
        end = moment(record["not_after"]) if present(record["not_after"]) else None
        zone_known = None if end is None else _ZONE_ASSUMED not in record["flags"]
        row = _Row(
            _integer(record["disposition"]), _integer(record["reason"]), _text(record["thumbprint"]), end, zone_known
        )
        known = rows.setdefault(str(record["serial"]), [])
        for place, other in enumerate(known):
            if (both := other.with_(row)) is not None:
                known[place] = both
                break
        else:
            known.append(row)
    return rows


def _logged(transcripts: Sequence[Transcript], digest: str) -> dict[tuple[int, str], Step]:
    """(item, serial) → its last step when this plan was applied; signing dummies or looking is no step here."""
    applied = (run for t in transcripts for run in t.runs if run.digest == digest and run.phase == "apply")
    return {(step.number, step.serial): step for run in applied for step in run.steps}


def _published(transcripts: Sequence[Transcript], digest: str) -> bool:
    return any(run.published for t in transcripts for run in t.runs if run.digest == digest)


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


# ------------------------------------------------------------------------------------ words


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
        state += f", reason {reason_text(row.reason)}"
    return state if len(rows) == 1 else f"{len(rows)} different rows"


def _crl_text(item: PlanItem, public: Newest, entries: Entries) -> str | None:
    if not public.lists:
        return None
    told = []
    for one in (public.lists[0], *public.deltas):
        listed = _state(item.serial, one, entries)
        said = ", ".join(reason_text(reason) for reason in listed)
        if listed or not one.is_delta:
            told.append(f"{one.name}: " + (f"listed, reason {said}" if listed else "not listed"))
    return "; ".join(told)
