"""Notifications that do not add up: forged, of another CA, or damaged.

A mail is unauthenticated, so nothing here proves that one is genuine. What is found are
contradictions: with the CA's own way of making serials, with itself, with its clocks, and
with the mails about certificates that the database confirms. A suspect mail is told, with
its reasons, and is evidence for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from carecover.analysis.cells import CLOCK_SKEW, Row, cell_moment, cell_value
from carecover.analysis.layout import CaLayout
from carecover.analysis.named import compared
from carecover.analysis.numbering import Flags, Numbers

# So many confirmed mails must be there before another one can be unlike them.
_ENOUGH: Final = 3
# What is not confirmed, but is as common as this among the mails of its event, is the CA's habit too.
_COMMON: Final = 0.2
# Thread-Index and Date are set by one machine within a second; a mail is made in less than that.
_CLOCKS: Final = timedelta(minutes=10)
# A local SMTP service may hold mails back for hours while the mail server is away.
_QUEUED: Final = timedelta(hours=2)
# NotBefore is printed in local time without seconds, and a zone may change by an hour in between.
_ISSUED_WITHIN: Final = timedelta(minutes=90)
# Local time that was read in a wrong zone may be off by as much (zones reach from -12 to +14 hours).
_ANY_ZONE: Final = timedelta(hours=26)
# What habits are learnt from: a copy of all columns of a million mails is not small.
_CLUES: Final = (
    "event", "request_id", "sender", "received_from", "received_at", "sent_at", "thread_index_at", "not_before",
    "certificate_sha256",
)  # fmt: skip
# A constant beginning of four bytes or more is no other CA's by chance.
_TELLING_DIGITS: Final = 8
_NO_TIME: Final = timedelta(0)


@dataclass(frozen=True)
class _Habits:
    """What the mails that the database confirms have in common."""

    senders: frozenset[str]
    relays: frozenset[str]
    count: int
    have_relay: bool
    thread_offsets: tuple[timedelta, ...]
    received_offsets: tuple[timedelta, ...]
    longest_delay: timedelta
    issue_offset: timedelta | None


@dataclass(frozen=True)
class Suspicions:
    """Looks at one mail after the other; made once for all of them."""

    layout: CaLayout
    row_ids: Mapping[str, int | None]
    """Serials of the baseline, as far as a mail names one, and the request IDs of their rows."""
    twins: frozenset[str]
    """Serials of the baseline that are one of a mail's with its bytes reversed."""
    holders: Mapping[int, str]
    """Request IDs of the restored database from before the cut, and the serial of their certificate; as far as the
    serial of a mail carries one."""
    renamed: bool
    """True where no mail names this CA, and mails in other names have its serials: it may bear one of them."""
    ca_known: bool
    cut: datetime | None
    habits: _Habits

    def of(self, mail: Row, *, other_ca: bool = False) -> list[str]:
        """Why the mail is not to be believed, in sentences; none where nothing contradicts it."""
        if other_ca:
            return list(self._of_another_ca(mail))
        return [*self._serial(mail), *self._certificate(mail), *self._path(mail), *self._times(mail)]

    def _of_another_ca(self, mail: Row) -> Iterator[str]:
        """Mails of other CAs are no finding, but one that uses this CA's numbers and address is."""
        serial = cell_value(mail["serial"])
        if serial is None:
            return
        anatomy = self.layout.decode(serial)
        if serial in self.row_ids:
            yield "It names another CA, but its serial is one of this CA's database."
        elif anatomy.layout == "string" and len(anatomy.prefix or "") >= _TELLING_DIGITS:
            yield "It names another CA, but its serial begins with the constant bytes of this CA's."
        elif self.renamed and anatomy.prefix and self.layout.native(anatomy):
            yield "It names another CA, but no mail names this one, and its serial is made as this CA's are."
        elif (
            self.layout.native(anatomy)
            and (anatomy.prefix or anatomy.ca_cert_index in self.layout.held)
            and (_sender(mail) in self.habits.senders or _relay(mail) in self.habits.relays)
        ):
            yield "It names another CA, but its serial is made as this CA's are, and it came the way of its mails."

    def _serial(self, mail: Row) -> Iterator[str]:
        serial = cell_value(mail["serial"])
        if serial is None:
            return
        layout, anatomy = self.layout, self.layout.decode(serial)
        said = cell_value(mail["request_id"])
        carried = anatomy.layout in ("number", "default") or layout.native(anatomy)
        # An imported certificate has a row of another ID than its serial carries.
        if carried and said is not None and int(said) not in (anatomy.request_id, self.row_ids.get(serial)):
            yield f"It says request ID {said}, and its serial carries {anatomy.request_id}."
        firsts = layout.firsts
        if serial in self.row_ids or not firsts:
            return
        holder = None if anatomy.request_id is None else self.holders.get(anatomy.request_id)
        if carried and holder is not None and layout.request_id(holder) == anatomy.request_id:
            yield f"Its serial carries request ID {anatomy.request_id}, whose certificate in the database is {holder}."
        if anatomy.layout not in firsts:
            forms = ", ".join(sorted(firsts))
            yield f"Serials of this CA have the layout {forms}; its serial is of another ({anatomy.layout})."
        elif not layout.native(anatomy) and anatomy.ca_cert_index in layout.held:
            begins = ", ".join(sorted(f for f in firsts[anatomy.layout] if f)[:3])
            yield f"Serials of this CA begin with {begins}; its serial does not."
        elif layout.absurd(anatomy):
            yield f"Its serial names CA certificate number {anatomy.ca_cert_index}; no CA is renewed so often."
        turned = twin(serial)
        if turned != serial and turned in self.twins:
            yield f"Its serial is {turned} of the database with its bytes reversed."

    def _certificate(self, mail: Row) -> Iterator[str]:
        if "certificate_not_verified" not in mail["flags"] or not self.ca_known:
            return
        serial = cell_value(mail["serial"])
        index = None if serial is None else self.layout.decode(serial).ca_cert_index
        # What a key signed that the case does not have cannot be verified, and is no forgery for that.
        if not self.layout.certified or (index or 0) in self.layout.certified:
            yield "The certificate that it carries was not signed by the CA."

    def _path(self, mail: Row) -> Iterator[str]:
        habits = self.habits
        if "forwarded" in mail["flags"] or habits.count < _ENOUGH:
            return
        sender, relay = _sender(mail), _relay(mail)
        if habits.senders and sender is not None and sender not in habits.senders:
            yield f"It was sent from {_shown(sender)}, unlike the CA's other mails."
        if habits.relays and relay is not None and relay not in habits.relays:
            yield f"It was handed in by {_shown(relay)}, unlike the CA's other mails."
        if habits.have_relay and relay is None and cell_value(mail["received_at"]) is None:
            yield "It has no Received header, unlike the CA's other mails: no mail server took it."

    def _times(self, mail: Row) -> Iterator[str]:
        sent = cell_moment(mail["sent_at"])
        if sent is None or "forwarded" in mail["flags"]:
            return
        habits = self.habits
        thread, received = cell_moment(mail["thread_index_at"]), cell_moment(mail["received_at"])
        if thread is not None:
            apart = _nearest(_apart(thread, sent), habits.thread_offsets)
            if abs(apart) > _CLOCKS:
                yield f"Its Date and its Thread-Index are {_length(apart)} apart."
        if received is not None:
            # Where no mails tell what is usual, the CA's clock may be off by some.
            early = _CLOCKS if habits.received_offsets else _QUEUED
            delay = _nearest(_apart(received, sent), habits.received_offsets)
            if delay < -early:
                yield f"A mail server took it {_length(delay)} before its Date."
            elif delay > max(_QUEUED, 3 * habits.longest_delay):
                yield f"A mail server took it only {_length(delay)} after its Date."
        begins = cell_moment(mail["not_before"])
        if begins is None:
            return
        since = _apart(sent, begins)
        # Where it carries the certificate, that one's NotBefore is exact and has no zone to be wrong.
        if mail["event"] == "issued" and cell_value(mail["certificate_sha256"]) is None:
            usual, within = habits.issue_offset, _ISSUED_WITHIN
            if usual is None:
                usual, within = CLOCK_SKEW, _ANY_ZONE
            if abs(since - usual) > within:
                yield f"It was sent {_length(since)} {'after' if since > _NO_TIME else 'before'} NotBefore."
        elif since < -_ANY_ZONE:
            yield f"It was sent {_length(since)} before the certificate was valid."


def twin(serial: str) -> str:
    """The serial with its bytes reversed, in canonical form as it is (``SerialNumber.reversed``, and quicker)."""
    return bytes.fromhex(serial)[::-1].lstrip(b"\0").hex()


def learn_habits(
    mails: pd.DataFrame, numbers: Numbers, rows: pd.DataFrame, first: Numbers, confirmed: Flags, forwarded: Flags
) -> _Habits:
    """What is usual, from the mails of this CA that others confirm.

    Confirmed is an issued notification about a row of the baseline with that row's hash (or its
    request ID, where the mail gives no hash), and one about a serial that a signed object or
    the CA's log shows. ``numbers`` are those of the mails' serials (``named.Named``); ``first``
    says where the first row of each stands, and ``confirmed`` which are confirmed otherwise.
    """
    at = first[numbers]
    hashed, _ = compared(rows["thumbprint"], at, mails["thumbprint"])
    numbered = mails["thumbprint"].isna().to_numpy() & _same_ids(rows["request_id"], at, mails["request_id"])
    direct = ~forwarded
    issuing = np.asarray(mails["event"].isin(["issued", "retrieve_pending"]), bool)
    clues = mails[list(_CLUES)].assign(number=numbers)
    # Whoever asked for a certificate knows its hash: many mails about one certificate are one witness.
    good = clues[direct & issuing & (hashed | numbered | confirmed[numbers])].drop_duplicates("number")
    everyone = clues[direct].drop_duplicates(["event", "number", "request_id"])
    have = good["received_at"].notna() | good["received_from"].notna()
    issued = good[(good["event"] == "issued") & good["certificate_sha256"].isna()]
    bare = everyone["received_at"].isna() & everyone["received_from"].isna()
    offsets = _offsets(good, everyone, "received_at")
    since = (issued["sent_at"] - issued["not_before"]).dropna()
    return _Habits(
        _usual(good["sender"], everyone, "sender"),
        _usual(good["received_from"], everyone, "received_from"),
        len(good),
        len(good) >= _ENOUGH and bool(have.all()) and not _common(int(bare.sum()), len(everyone)),
        _offsets(good, everyone, "thread_index_at"),
        offsets,
        _longest(good, offsets),
        _median(since) if len(since) >= _ENOUGH else None,
    )


def _same_ids(column: pd.Series[Any], at: Numbers, ids: pd.Series[Any]) -> Flags:
    """True where a mail's request ID is that of the row in the place ``at`` (-1: no row)."""
    same = np.zeros(len(ids), bool)
    both = np.flatnonzero((at >= 0) & ids.notna().to_numpy())
    same[both] = (column.iloc[at[both]].array == ids.iloc[both].array).fillna(False)
    return same


def _usual(confirmed: pd.Series[Any], everyone: pd.DataFrame, column: str) -> frozenset[str]:
    """The values that several confirmed mails have, and those that are common among the mails of an event.

    One mail makes no habit: whoever asked for a certificate can forge a mail about it.
    """
    seen = confirmed.dropna().str.casefold().value_counts()
    known = set(seen[(seen >= _ENOUGH) | (seen >= _COMMON * seen.sum())].index)
    if not known:
        return frozenset()
    for _, part in everyone.groupby("event"):
        values = part[column].dropna().str.casefold()
        if len(values) >= _ENOUGH:
            known |= {value for value, count in values.value_counts().items() if _common(int(count), len(values))}
    return frozenset(known)


def _common(count: int, total: int) -> bool:
    return count >= _ENOUGH and count >= _COMMON * total


def _offsets(good: pd.DataFrame, everyone: pd.DataFrame, clock: str) -> tuple[timedelta, ...]:
    """How far another clock is from Date as a rule, and in many mails besides: a clock may jump.

    A clock that is off is off in all mails: where few are confirmed, all together tell.
    """
    confirmed = (good[clock] - good["sent_at"]).dropna()
    told = (everyone[clock] - everyone["sent_at"]).dropna()
    first = confirmed if len(confirmed) >= _ENOUGH else told
    if len(first) < _ENOUGH:
        return ()
    steps = told.dt.round(_CLOCKS)
    often = [told[steps == step] for step, count in steps.value_counts().items() if _common(int(count), len(told))]
    return tuple(dict.fromkeys([_median(first), *map(_median, often)]))


def _longest(good: pd.DataFrame, offsets: tuple[timedelta, ...]) -> timedelta:
    """The longest that a confirmed mail was under way."""
    received = (good["received_at"] - good["sent_at"]).dropna()
    return received.max().to_pytimedelta() - offsets[0] if offsets and len(received) else _NO_TIME


def _nearest(apart: timedelta, offsets: tuple[timedelta, ...]) -> timedelta:
    """How far it is from what is usual; from none at all where nothing tells."""
    return min((apart - usual for usual in offsets or (_NO_TIME,)), key=abs)


def _median(times: pd.Series[Any]) -> timedelta:
    return pd.Timedelta(times.median()).to_pytimedelta() if len(times) else _NO_TIME


def _sender(mail: Row) -> str | None:
    value = cell_value(mail["sender"])
    return None if value is None else str(value).casefold()


def _relay(mail: Row) -> str | None:
    value = cell_value(mail["received_from"])
    return None if value is None else str(value).casefold()


def _apart(later: datetime, earlier: datetime) -> timedelta:
    return later - earlier


def _shown(text: str) -> str:
    """A name out of a mail, fit for a message: nothing that moves a cursor or has no encoding."""
    return "".join(c if c.isprintable() else "?" for c in text[:80])


def _length(span: timedelta) -> str:
    seconds = abs(span).total_seconds()
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
