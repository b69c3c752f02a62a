"""What every source says happened to a serial before the failure, in one dossier each.

Only serials that can matter get one: those that the baseline lacks, and those whose state
somebody saw change. Times that carry AD CS's clock skew are brought forward by it here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from carecover.analysis.cells import Row, cell_moment, cell_value, forward, place, true, until
from carecover.analysis.named import Named, compared
from carecover.analysis.numbering import Flags, Numbers
from carecover.analysis.published import Listed
from carecover.model import RevocationReason, records


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that happened to a serial: revoked (reason 0…), released (-1) or issued (None)."""

    at: datetime | None
    reason: int | None
    source: str
    evidence: str
    revoked_at: datetime | None = None
    key: int | None = None
    """Index of the CA key whose list says it."""


@dataclass(slots=True)
class Dossier:
    """Everything known about one serial from outside the baseline."""

    serial: str
    marks: list[Mark] = field(default_factory=list)
    request_ids: set[int] = field(default_factory=set)
    thumbprints: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    certificate: Row | None = None
    another: bool = False
    """The CA signed two different certificates with this serial."""
    issued_at: datetime | None = None
    templates: set[str] = field(default_factory=set)
    direct: bool = False
    """A mail says it that nobody forwarded."""

    @property
    def hashes_by_mail_alone(self) -> bool:
        """True where no verified certificate stands behind the hashes."""
        return self.certificate is None

    def sources(self) -> set[str]:
        return {mark.source for mark in self.marks}

    def learn(self, **facts: object) -> None:
        """Keep the first value that is known for each fact."""
        for name, value in facts.items():
            if value is not None and name not in self.facts:
                self.facts[name] = value
            if name == "template" and isinstance(value, str):
                self.templates.add(value)


def _dossier(dossiers: dict[str, Dossier], serial: str) -> Dossier:
    known = dossiers.get(serial)
    if known is None:
        known = dossiers[serial] = Dossier(serial)
    return known


@dataclass(frozen=True)
class Known:
    """What the baseline holds of the serials that evidence names, each by its number (``named.Named``).

    ``present``: it has a certificate for the serial; ``settled``: that is revoked for good, so that
    no older news can matter; ``reissued``: its request came after the cut, so that any older news
    is about another certificate; ``hashed``: where its row stands that has a CertificateHash.
    """

    named: Named
    present: Flags
    settled: Flags
    reissued: Flags
    hashed: Numbers


def gather(
    mails: Sequence[Row],
    certificates: pd.DataFrame,
    events: pd.DataFrame,
    numbers: Numbers,
    known: Known,
    cut: datetime | None,
) -> dict[str, Dossier]:
    """A dossier for every serial that can matter, by mails that can be believed, certificates and events.

    All hold only what came before the cut; ``add_listed`` adds what the CRLs say. ``numbers`` are
    those of the events' serials.
    """
    dossiers: dict[str, Dossier] = {}
    _read_mails(dossiers, mails)
    _read_certificates(dossiers, certificates, cut)
    _read_events(dossiers, events, numbers, known)
    return dossiers


def add_listed(dossiers: dict[str, Dossier], told: Mapping[str, Sequence[Listed]]) -> None:
    """Add what CRLs say; a serial that only they know gets a dossier too."""
    for serial, listed in told.items():
        marks = [Mark(each.at, each.reason, "crl", each.evidence, each.revoked_at, each.key) for each in listed]
        _dossier(dossiers, serial).marks.extend(marks)


def mattering(mails: pd.DataFrame, numbers: Numbers, known: Known, thumbprints: pd.Series[Any]) -> Flags:
    """True for mails that can matter: about a serial that is missing, a change of state, another certificate.

    ``numbers`` are those of the mails' serials, ``thumbprints`` the baseline's.
    """
    changing = np.asarray(mails["event"].isin(["revoked", "unrevoked"]), bool) & ~known.settled[numbers]
    missing = ~known.present[numbers]
    _, another = compared(thumbprints, known.hashed[numbers], mails["thumbprint"])
    another |= known.reissued[numbers]
    issuing = np.asarray(mails["event"].isin(["issued", "retrieve_pending"]), bool) & (missing | another)
    return (numbers >= 0) & (changing | issuing | (another & ~missing))


def _read_mails(dossiers: dict[str, Dossier], mails: Sequence[Row]) -> None:
    for row in mails:
        event, serial = str(row["event"]), str(row["serial"])
        dossier = _dossier(dossiers, serial)
        sent_at = cell_moment(row["sent_at"])
        reason = cell_value(row["reason"])
        if event == "unrevoked":
            reason = int(RevocationReason.UNREVOKE)
        elif event == "revoked":
            reason = int(RevocationReason.UNSPECIFIED) if reason is None else int(reason)
        else:
            reason = None
            dossier.issued_at = min(filter(None, (dossier.issued_at, sent_at)), default=None)
        dossier.marks.append(Mark(sent_at, reason, "mail", place(row, f"{event} mail"), cell_moment(row["revoked_at"])))
        if (request_id := cell_value(row["request_id"])) is not None:
            dossier.request_ids.add(int(request_id))
        if (thumbprint := cell_value(row["thumbprint"])) is not None:
            dossier.thumbprints.setdefault(str(thumbprint), place(row, f"{event} mail"))
        dossier.direct |= "forwarded" not in row["flags"]
        dossier.learn(
            subject=cell_value(row["subject"]),
            requester=cell_value(row["requester"]),
            template=cell_value(row["template"]),
            not_before=cell_moment(row["not_before"]),
        )
        # Where mails disagree the later end is the safe one: a dummy must not end before the real certificate.
        ends = [t for t in (dossier.facts.get("not_after"), cell_moment(row["not_after"])) if t is not None]
        if ends:
            dossier.facts["not_after"] = max(ends)


def _read_certificates(dossiers: dict[str, Dossier], certs: pd.DataFrame, cut: datetime | None) -> None:
    """Certificates whose signature was checked; a CA's own self-issued ones are no loss."""
    own = certs["subject"] == certs["issuer"]
    mine = certs[true(certs["signed_by_ca"]) & ~true(own)]
    mine = mine[until(mine["not_before"], cut) & mine["serial"].notna()]
    for row in records(mine):
        serial = str(row["serial"])
        dossier = _dossier(dossiers, serial)
        first = dossier.certificate is None
        if dossier.certificate is not None and dossier.certificate["certificate_sha256"] != row["certificate_sha256"]:
            dossier.another = True
        if first:
            dossier.certificate = row
        dossier.thumbprints.setdefault(str(row["thumbprint"]), place(row, "certificate"))
        not_before = cell_moment(row["not_before"])
        issued = None if not_before is None else forward(not_before)
        dossier.marks.append(Mark(issued, None, "certificate", place(row, "certificate, signature verified")))
        if first:
            # What the CA signed wins over what a mail says.
            for name in ("subject", "template", "not_before", "not_after"):
                value = cell_moment(row[name]) if name.startswith("not_") else cell_value(row[name])
                if value is not None:
                    dossier.facts[name] = value
                    dossier.learn(**{name: value})
            dossier.issued_at = dossier.issued_at or issued


def _read_events(dossiers: dict[str, Dossier], events: pd.DataFrame, numbers: Numbers, known: Known) -> None:
    """4887 version 1 (issued, with serial) and 4870 (revoked; reason -1 is a release)."""
    news = ~known.present[numbers] | known.reissued[numbers]
    issued = true(events["event_id"] == 4887) & news
    revoked = true(events["event_id"] == 4870) & ~known.settled[numbers]
    for row in records(events[(numbers >= 0) & (issued | revoked)]):
        dossier = _dossier(dossiers, str(row["serial"]))
        at = cell_moment(row["recorded_at"])
        if row["event_id"] == 4870:
            reason = cell_value(row["reason"])
            reason = 0 if reason is None else int(reason)
            dossier.marks.append(Mark(at, reason, "audit", place(row, "event 4870"), at))
            continue
        dossier.marks.append(Mark(at, None, "audit", place(row, "event 4887")))
        dossier.issued_at = dossier.issued_at or at
        if (request_id := cell_value(row["request_id"])) is not None:
            dossier.request_ids.add(int(request_id))
        dossier.learn(
            subject=cell_value(row["subject"]),
            requester=cell_value(row["requester"]),
            template=cell_value(row["template"]),
        )
