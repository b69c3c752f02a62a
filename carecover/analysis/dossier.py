"""What every source says happened to a serial before the failure, in one dossier each.

Only serials that can matter get one: those that the baseline lacks, and those whose state
somebody saw change. Times that carry AD CS's clock skew are brought forward by it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import pandas as pd

from carecover.model import RevocationReason

# A row of a table as pandas hands it out: column name → cell.
Row: TypeAlias = Mapping[Any, Any]

# The greatest time less than the skew: a signed list may bear any date.
_LATEST: Final = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
# AD CS backdates thisUpdate and NotBefore by ClockSkewMinutes; the default is 10 minutes.
CLOCK_SKEW: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that happened to a serial: revoked (reason 0…), released (-1) or issued (None)."""

    at: datetime | None
    reason: int | None
    source: str
    evidence: str
    revoked_at: datetime | None = None


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
    credible: bool = False
    """A mail says it whose certificate, if it carries one, is the CA's."""
    direct: bool = False
    """A mail says it that nobody forwarded."""

    def sources(self) -> set[str]:
        return {mark.source for mark in self.marks}

    def learn(self, **facts: object) -> None:
        """Keep the first value that is known for each fact."""
        for name, value in facts.items():
            if value is not None and name not in self.facts:
                self.facts[name] = value
            if name == "template" and isinstance(value, str):
                self.templates.add(value)


def cell_value(cell: object) -> Any:  # noqa: ANN401 - a cell of any kind
    """The cell, or None where it is NA, NaT or NaN."""
    return None if cell is None or (not isinstance(cell, list) and pd.isna(cell)) else cell  # type: ignore[call-overload]


def cell_moment(cell: object) -> datetime | None:
    """A time cell as a timezone-aware datetime, or None where it is NA."""
    value = cell_value(cell)
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def _dossier(dossiers: dict[str, Dossier], serial: str) -> Dossier:
    return dossiers.setdefault(serial, Dossier(serial))


def place(row: Row, what: str) -> str:
    """Where a row comes from and what it is, as findings name their evidence."""
    where = " ".join(
        str(v) for v in (cell_value(row.get("evidence_id")), cell_value(row.get("location"))) if v is not None
    )
    return f"{where} ({what})" if where else what


def until(times: pd.Series[Any], cut: datetime | None) -> pd.Series[Any]:
    """True where the time is not after the cut; what has no time is kept and judged on its own."""
    if cut is None:
        return pd.Series(data=True, index=times.index)
    return times.isna() | (times <= cut)


@dataclass(frozen=True)
class Known:
    """What the baseline holds, as look-ups.

    ``present``: serials that it has a certificate for; ``settled``: those of them that are
    revoked for good, so that no older news can matter; ``reissued``: those whose request came
    after the cut, so that any older news is about another certificate; ``thumbprints``:
    CertificateHash by serial.
    """

    present: set[str]
    settled: set[str]
    reissued: set[str]
    thumbprints: pd.Series[str]


def gather(
    mails: pd.DataFrame,
    certificates: pd.DataFrame,
    events: pd.DataFrame,
    crls: CrlStates,
    known: Known,
    cut: datetime | None,
) -> dict[str, Dossier]:
    """A dossier for every serial that can matter; all tables hold only what came before the cut."""
    dossiers: dict[str, Dossier] = {}
    _read_mails(dossiers, mails, known)
    _read_certificates(dossiers, certificates, cut)
    _read_events(dossiers, events, known)
    crls.fill(dossiers, known)
    return dossiers


def _read_mails(dossiers: dict[str, Dossier], mails: pd.DataFrame, known: Known) -> None:
    """Mails that can matter: about a serial that is missing, a change of state, another certificate."""
    mails = mails[mails["serial"].notna()]
    changing = mails["event"].isin(["revoked", "unrevoked"]) & ~mails["serial"].isin(known.settled)
    missing = ~mails["serial"].isin(known.present)
    theirs = mails["serial"].map(known.thumbprints).astype(mails["thumbprint"].dtype)
    another = (theirs != mails["thumbprint"]).fillna(value=False).astype(bool) | mails["serial"].isin(known.reissued)
    issuing = mails["event"].isin(["issued", "retrieve_pending"]) & (missing | another)
    candidates = mails[changing | issuing | (another & ~missing)]
    for row in candidates.to_dict("records"):
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
        # Each mail stands for itself: a forged one must not spoil a true one about the same serial.
        dossier.credible |= "certificate_not_verified" not in row["flags"]
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
    mine = certs[(certs["signed_by_ca"] == True) & ~own.fillna(value=False).astype(bool)]  # noqa: E712
    mine = mine[until(mine["not_before"], cut) & mine["serial"].notna()]
    for row in mine.to_dict("records"):
        serial = str(row["serial"])
        dossier = _dossier(dossiers, serial)
        first = dossier.certificate is None
        if dossier.certificate is not None and dossier.certificate["certificate_sha256"] != row["certificate_sha256"]:
            dossier.another = True
        if first:
            dossier.certificate = row
        dossier.thumbprints.setdefault(str(row["thumbprint"]), place(row, "certificate"))
        not_before = cell_moment(row["not_before"])
        issued = None if not_before is None else min(not_before, _LATEST) + CLOCK_SKEW
        dossier.marks.append(Mark(issued, None, "certificate", place(row, "certificate, signature verified")))
        if first:
            # What the CA signed wins over what a mail says.
            for name in ("subject", "template", "not_before", "not_after"):
                value = cell_moment(row[name]) if name.startswith("not_") else cell_value(row[name])
                if value is not None:
                    dossier.facts[name] = value
                    dossier.learn(**{name: value})
            dossier.issued_at = dossier.issued_at or issued


def _read_events(dossiers: dict[str, Dossier], events: pd.DataFrame, known: Known) -> None:
    """4887 version 1 (issued, with serial) and 4870 (revoked; reason -1 is a release)."""
    news = ~events["serial"].isin(known.present) | events["serial"].isin(known.reissued)
    issued = (events["event_id"] == 4887) & news
    revoked = (events["event_id"] == 4870) & ~events["serial"].isin(known.settled)
    for row in events[events["serial"].notna() & (issued | revoked)].to_dict("records"):
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


class CrlStates:
    """What the CA's signed CRLs, in order, say about a serial; each CA key has its own.

    What a list names was revoked, whoever published it. What it does not name was released
    only if the lost database published it: a list of after ``failure``, or one whose number
    does not rise, may be the restored CA's, which has forgotten.
    """

    def __init__(self, crls: pd.DataFrame, entries: pd.DataFrame, failure: datetime | None) -> None:
        self._lists: list[tuple[datetime, Row, Mapping[str, Any]]] = []
        self._complete: list[tuple[datetime, Row, Mapping[str, Any]]] = []
        highest: dict[int | None, tuple[int, bool]] = {}
        entries = entries[entries["serial"].notna()]
        for row in crls.sort_values("this_update", kind="stable").to_dict("records"):
            mine = entries[entries["crl_sha256"] == row["crl_sha256"]]
            serials = dict(zip(mine["serial"], zip(mine["revoked_at"], mine["reason"], strict=True), strict=True))
            published = cell_moment(row["this_update"])
            if published is None:
                continue
            dated = (min(published, _LATEST) + CLOCK_SKEW, row, serials)
            self._lists.append(dated)
            base = cell_value(row["is_delta"]) is not True
            # Base and delta of one publication have one number.
            number = (int(cell_value(row["crl_number"]) or 0), base)
            risen = number > highest.get(self.key(row), (-1, False)) or not number[0]
            highest[self.key(row)] = max(number, highest.get(self.key(row), number))
            if base and risen and (failure is None or published <= failure):
                self._complete.append(dated)

    def keys(self) -> set[int | None]:
        return {self.key(row) for _, row, _ in self._lists}

    @staticmethod
    def key(row: Row) -> int | None:
        version = cell_value(row["ca_version"])
        return None if version is None else int(version) >> 16

    def fill(self, dossiers: dict[str, Dossier], known: Known) -> None:
        """Add a mark for every entry that can matter, and one for each that a later base list lacks."""
        named: dict[str, int | None] = {}
        for published, row, serials in self._lists:
            number = cell_value(row["crl_number"])
            name = f"CRL {number}" if number is not None else "CRL"
            if cell_value(row["is_delta"]) is True:
                name = f"delta {name}"
            for serial, (revoked_at, reason) in serials.items():
                if serial in known.settled:
                    continue
                code = cell_value(reason)
                code = 0 if code is None else int(code)
                if code == RevocationReason.REMOVE_FROM_CRL:
                    code = int(RevocationReason.UNREVOKE)
                named[serial] = self.key(row)
                _dossier(dossiers, serial).marks.append(
                    Mark(published, code, "crl", place(row, name), cell_moment(revoked_at))
                )
        for serial, key in named.items():
            newest = self.latest_base(key)
            if newest is None:
                continue
            published, row, serials = newest
            marks = [m for m in dossiers[serial].marks if m.source == "crl" and m.at is not None]
            if serial not in serials and marks and max(m.at for m in marks if m.at) < published:
                dossier = dossiers[serial]
                ends = dossier.facts.get("not_after")
                if ends is None or ends > published:
                    text = place(row, f"CRL {cell_value(row['crl_number'])} no longer lists it")
                    dossier.marks.append(Mark(published, int(RevocationReason.UNREVOKE), "crl", text))

    def latest_base(self, key: int | None) -> tuple[datetime, Row, Row] | None:
        """The lost database's newest base CRL of a key, or of the only key where the key is not known."""
        if key is None and len(self.keys()) > 1:
            return None
        for published, crl, serials in reversed(self._complete):
            if key is None or self.key(crl) in (key, None):
                return published, crl, serials
        return None
