"""The gap: what the restored CA's database does not know, or knows wrongly.

The serial number is the only identity. For every serial that any source shows, a dossier
is made of what happened to it before the failure, in order; the dossier is then held
against the baseline. Only serials that can matter get one, so the cost of a large database
is two set look-ups a row.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import pandas as pd

from carecover.errors import QuestionError, UsageError
from carecover.model import (
    TABLES,
    CaseFacts,
    Disposition,
    RevocationReason,
    SerialAnatomy,
    SerialNumber,
    utc_text,
)

# A row of a table as pandas hands it out: column name → cell.
Row: TypeAlias = Mapping[Any, Any]

# AD CS backdates thisUpdate and NotBefore by ClockSkewMinutes; the default is 10 minutes.
CLOCK_SKEW: Final = timedelta(minutes=10)

_CANONICAL: Final = r"(?:[1-9a-f][0-9a-f]|0[1-9a-f])(?:[0-9a-f]{2}){0,19}"
# [MS-WCCE] 3.1.1.4.1.1 SanitizedCAName: a character that is not allowed becomes !xxxx.
_SANITIZED: Final = re.compile(r"!([0-9a-f]{4})", re.IGNORECASE)

# Templates whose certificates carry others' trust: taken one by one, never by --all.
_INFRASTRUCTURE: Final = frozenset(
    {
        "ca",
        "subca",
        "crossca",
        "caexchange",
        "domaincontroller",
        "domaincontrollerauthentication",
        "kerberosauthentication",
        "directoryemailreplication",
        "ocspresponsesigning",
        "enrollmentagent",
        "enrollmentagentoffline",
        "machineenrollmentagent",
        "exchangeenrollmentagent",
        "cepencryption",
        "keyrecoveryagent",
        "efsrecovery",
        "rasandiasserver",
    }
)
_INFRASTRUCTURE_EKUS: Final = frozenset(
    {
        "1.3.6.1.5.5.7.3.9",  # OCSP signing
        "1.3.6.1.5.2.3.5",  # KDC authentication
        "1.3.6.1.4.1.311.20.2.1",  # certificate request agent
        "1.3.6.1.4.1.311.21.5",  # private key archival (CA exchange)
        "1.3.6.1.4.1.311.21.6",  # key recovery agent
        "1.3.6.1.4.1.311.10.3.4.1",  # EFS recovery
    }
)


@dataclass(frozen=True, slots=True)
class _Mark:
    """One thing that happened to a serial: revoked (reason 0…), released (-1) or issued (None)."""

    at: datetime | None
    reason: int | None
    source: str
    evidence: str
    revoked_at: datetime | None = None


@dataclass(slots=True)
class _Dossier:
    """Everything known about one serial from outside the baseline."""

    serial: str
    marks: list[_Mark] = field(default_factory=list)
    request_ids: set[int] = field(default_factory=set)
    thumbprints: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    certificate: Row | None = None
    issued_at: datetime | None = None
    flags: set[str] = field(default_factory=set)

    def sources(self) -> set[str]:
        return {mark.source for mark in self.marks}

    def learn(self, **facts: object) -> None:
        """Keep the first value that is known for each fact."""
        for name, value in facts.items():
            if value is not None and name not in self.facts:
                self.facts[name] = value


def find_gap(
    notifications: pd.DataFrame | None = None,
    ca_rows: pd.DataFrame | None = None,
    certificates: pd.DataFrame | None = None,
    crls: pd.DataFrame | None = None,
    crl_entries: pd.DataFrame | None = None,
    audit_events: pd.DataFrame | None = None,
    *,
    facts: CaseFacts | None = None,
    baseline_at: datetime | None = None,
) -> pd.DataFrame:
    """Compare everything that was handed in with the baseline; return table ``findings``.

    Each argument is a frame with the columns of its table in ``carecover.model.TABLES``
    (missing columns count as unknown). ``ca_rows`` is the baseline. ``baseline_at`` bounds
    what can have been lost where ``facts`` holds neither restore nor failure.

    Raises QuestionError where the mails name several CAs and ``facts.ca`` does not say
    which one was restored.
    """
    facts = facts or CaseFacts()
    mails = _table("notifications", notifications)
    rows = _table("ca_rows", ca_rows)
    certs = _table("certificates", certificates)
    lists = _table("crls", crls)
    entries = _table("crl_entries", crl_entries)
    events = _table("audit_events", audit_events)
    cut = facts.cut or baseline_at

    mails = _of_this_ca(mails, rows, facts.ca)
    known_ca = certs[(certs["is_ca"] == True) & (certs["from_mail"] != True) & certs["ca_version"].notna()]  # noqa: E712
    key_of_index = {int(v) & 0xFFFF: int(v) >> 16 for v in known_ca["ca_version"]}
    lists = lists[(lists["signed_by_ca"] == True) & _until(lists["this_update"], cut)]  # noqa: E712

    dossiers: dict[str, _Dossier] = {}
    present = _present(rows)
    _read_mails(dossiers, mails[_until(mails["sent_at"], cut)], present)
    _read_certificates(dossiers, certs, cut)
    _read_events(dossiers, events[_until(events["recorded_at"], cut)], present)
    crl_states = _CrlStates(lists, entries)
    crl_states.fill(dossiers)

    held = rows[(rows["disposition"] == Disposition.REVOKED) & (rows["reason"] == RevocationReason.CERTIFICATE_HOLD)]
    wanted = set(dossiers) | set(held["serial"].dropna())
    of_serial = {r["serial"]: r for r in rows[rows["serial"].isin(wanted)].to_dict("records") if r["serial"] in present}

    lowest = rows["request_id"].min()
    judge = _Judge(
        learnt=_learn_layout(rows),
        key_of_index=key_of_index,
        first_request_id=None if pd.isna(lowest) else int(lowest),
        cut=cut,
        crl_states=crl_states,
    )
    found: list[dict[str, Any]] = []
    for serial in sorted(wanted, key=lambda s: int(s, 16)):
        row = of_serial.get(serial)
        finding = judge.judge(dossiers.get(serial) or _Dossier(serial), row)
        if finding is not None:
            found.append(finding)
    return TABLES["findings"].frame(found)


# ------------------------------------------------------------------------------ reading in


def _table(name: str, table: pd.DataFrame | None) -> pd.DataFrame:
    schema = TABLES[name]
    if table is None:
        return schema.empty()
    frame = schema.conform(table)
    if "serial" in frame.columns:
        odd = frame["serial"].notna() & ~frame["serial"].str.fullmatch(_CANONICAL).fillna(value=False).astype(bool)
        if odd.any():
            frame = frame.copy()
            try:
                canonical = [SerialNumber.parse(str(text)).text for text in frame.loc[odd, "serial"]]
            except UsageError as error:
                raise UsageError(f"Table {name}: {error}") from None
            frame.loc[odd, "serial"] = canonical
    return frame


def _until(times: pd.Series[Any], cut: datetime | None) -> pd.Series[Any]:
    """True where the time is not after the cut; what has no time is kept and judged on its own."""
    if cut is None:
        return pd.Series(data=True, index=times.index)
    return times.isna() | (times <= cut)


def plain_ca_name(name: str) -> str:
    """A CA name without the escapes of SanitizedCAName, for comparison only."""
    return _SANITIZED.sub(lambda m: chr(int(m.group(1), 16)), name).casefold().strip()


def _of_this_ca(mails: pd.DataFrame, rows: pd.DataFrame, ca_name: str | None) -> pd.DataFrame:
    named = mails["ca_name"].dropna().unique()
    if ca_name is None:
        # Only a CA that names rows of this database can be the restored one.
        known = set(rows["serial"].dropna())
        mine = mails[mails["serial"].isin(known)]["ca_name"].dropna().map(plain_ca_name).unique()
        names = sorted({plain_ca_name(str(n)) for n in named})
        if len(names) <= 1:
            return mails
        if len(mine) != 1:
            raise QuestionError(
                f"The mails name {len(names)} CAs ({', '.join(names[:5])}) and nothing tells which one was restored. "
                "Say so: carecover init CASE --ca NAME"
            )
        ca_name = str(mine[0])
    wanted = plain_ca_name(ca_name)
    keep = mails["ca_name"].isna() | mails["ca_name"].isin([n for n in named if plain_ca_name(str(n)) == wanted])
    return mails[keep]


def _present(rows: pd.DataFrame) -> set[str]:
    """Serials that the baseline holds a certificate for; an unknown disposition counts as one."""
    holding = [d.value for d in Disposition if d.holds_certificate]
    return set(rows.loc[rows["disposition"].isna() | rows["disposition"].isin(holding), "serial"].dropna())


def _value(cell: object) -> Any:  # noqa: ANN401 - a cell of any kind
    """The cell, or None where it is NA, NaT or NaN."""
    return None if cell is None or (not isinstance(cell, list) and pd.isna(cell)) else cell  # type: ignore[call-overload]


def _moment(cell: object) -> datetime | None:
    value = _value(cell)
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def _dossier(dossiers: dict[str, _Dossier], serial: str) -> _Dossier:
    return dossiers.setdefault(serial, _Dossier(serial))


def _place(row: Row, what: str) -> str:
    where = " ".join(str(v) for v in (_value(row.get("evidence_id")), _value(row.get("location"))) if v is not None)
    return f"{where} ({what})" if where else what


def _read_mails(dossiers: dict[str, _Dossier], mails: pd.DataFrame, present: set[str]) -> None:
    """Mails that can matter: about a serial that is missing, or about a change of state."""
    changing = mails["event"].isin(["revoked", "unrevoked"])
    issuing = mails["event"].isin(["issued", "retrieve_pending"])
    # An issued mail about a row that is there matters only where it names another certificate.
    missing = ~mails["serial"].isin(present)
    candidates = mails[mails["serial"].notna() & (changing | (issuing & (missing | mails["thumbprint"].notna())))]
    for row in candidates.to_dict("records"):
        event, serial = str(row["event"]), str(row["serial"])
        dossier = _dossier(dossiers, serial)
        sent_at = _moment(row["sent_at"])
        reason = _value(row["reason"])
        if event == "unrevoked":
            reason = int(RevocationReason.UNREVOKE)
        elif event == "revoked":
            reason = int(RevocationReason.UNSPECIFIED) if reason is None else int(reason)
        else:
            reason = None
            dossier.issued_at = min(filter(None, (dossier.issued_at, sent_at)), default=None)
        dossier.marks.append(_Mark(sent_at, reason, "mail", _place(row, f"{event} mail"), _moment(row["revoked_at"])))
        if (request_id := _value(row["request_id"])) is not None:
            dossier.request_ids.add(int(request_id))
        if (thumbprint := _value(row["thumbprint"])) is not None:
            dossier.thumbprints.setdefault(str(thumbprint), _place(row, f"{event} mail"))
        dossier.flags.update(row["flags"])
        dossier.learn(
            subject=_value(row["subject"]),
            requester=_value(row["requester"]),
            template=_value(row["template"]),
            not_before=_moment(row["not_before"]),
            not_after=_moment(row["not_after"]),
        )


def _read_certificates(dossiers: dict[str, _Dossier], certs: pd.DataFrame, cut: datetime | None) -> None:
    """Certificates whose signature was checked; a CA's own self-issued ones are no loss."""
    own = certs["subject"] == certs["issuer"]
    mine = certs[(certs["signed_by_ca"] == True) & ~own.fillna(value=False).astype(bool)]  # noqa: E712
    mine = mine[_until(mine["not_before"], cut) & mine["serial"].notna()]
    for row in mine.to_dict("records"):
        serial = str(row["serial"])
        dossier = _dossier(dossiers, serial)
        if dossier.certificate is not None and dossier.certificate["certificate_sha256"] != row["certificate_sha256"]:
            dossier.flags.add("two_certificates")
        first = dossier.certificate is None
        if first:
            dossier.certificate = row
        dossier.thumbprints.setdefault(str(row["thumbprint"]), _place(row, "certificate"))
        not_before = _moment(row["not_before"])
        issued = None if not_before is None else not_before + CLOCK_SKEW
        dossier.marks.append(_Mark(issued, None, "certificate", _place(row, "certificate, signature verified")))
        if first:
            # What the CA signed wins over what a mail says.
            for name in ("subject", "template", "not_before", "not_after"):
                value = _moment(row[name]) if name.startswith("not_") else _value(row[name])
                if value is not None:
                    dossier.facts[name] = value
            dossier.issued_at = dossier.issued_at or issued


def _read_events(dossiers: dict[str, _Dossier], events: pd.DataFrame, present: set[str]) -> None:
    """4887 version 1 (issued, with serial) and 4870 (revoked; reason -1 is a release)."""
    issued = (events["event_id"] == 4887) & ~events["serial"].isin(present)
    revoked = events["event_id"] == 4870
    for row in events[events["serial"].notna() & (issued | revoked)].to_dict("records"):
        dossier = _dossier(dossiers, str(row["serial"]))
        at = _moment(row["recorded_at"])
        if row["event_id"] == 4870:
            reason = _value(row["reason"])
            reason = 0 if reason is None else int(reason)
            dossier.marks.append(_Mark(at, reason, "audit", _place(row, "event 4870"), at))
            continue
        dossier.marks.append(_Mark(at, None, "audit", _place(row, "event 4887")))
        dossier.issued_at = dossier.issued_at or at
        if (request_id := _value(row["request_id"])) is not None:
            dossier.request_ids.add(int(request_id))
        dossier.learn(
            subject=_value(row["subject"]), requester=_value(row["requester"]), template=_value(row["template"])
        )


class _CrlStates:
    """What the CA's signed CRLs, in order, say about a serial; each CA key has its own."""

    def __init__(self, crls: pd.DataFrame, entries: pd.DataFrame) -> None:
        self._lists: list[tuple[datetime, Row, Mapping[str, Any]]] = []
        for row in crls.sort_values("this_update", kind="stable").to_dict("records"):
            mine = entries[entries["crl_sha256"] == row["crl_sha256"]]
            serials = dict(zip(mine["serial"], zip(mine["revoked_at"], mine["reason"], strict=True), strict=True))
            published = _moment(row["this_update"])
            if published is not None:
                self._lists.append((published + CLOCK_SKEW, row, serials))

    def keys(self) -> set[int | None]:
        return {self.key(row) for _, row, _ in self._lists}

    @staticmethod
    def key(row: Row) -> int | None:
        version = _value(row["ca_version"])
        return None if version is None else int(version) >> 16

    def fill(self, dossiers: dict[str, _Dossier]) -> None:
        """Add a mark for every entry, and one for every entry that a later base list lacks."""
        named: defaultdict[str, int | None] = defaultdict(lambda: None)
        for published, row, serials in self._lists:
            number = _value(row["crl_number"])
            name = f"CRL {number}" if number is not None else "CRL"
            if row["is_delta"] == True:  # noqa: E712
                name = f"delta {name}"
            for serial, (revoked_at, reason) in serials.items():
                code = _value(reason)
                code = 0 if code is None else int(code)
                if code == RevocationReason.REMOVE_FROM_CRL:
                    code = int(RevocationReason.UNREVOKE)
                named[serial] = self.key(row)
                _dossier(dossiers, serial).marks.append(
                    _Mark(published, code, "crl", _place(row, name), _moment(revoked_at))
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
                    text = _place(row, f"CRL {_value(row['crl_number'])} no longer lists it")
                    dossier.marks.append(_Mark(published, int(RevocationReason.UNREVOKE), "crl", text))

    def latest_base(self, key: int | None) -> tuple[datetime, Row, Row] | None:
        """The newest base CRL of a key, or of the only key where the key is not known."""
        if key is None and len(self.keys()) > 1:
            return None
        for published, crl, serials in reversed(self._lists):
            if crl["is_delta"] != True and (key is None or self.key(crl) in (key, None)):  # noqa: E712
                return published, crl, serials
        return None


# --------------------------------------------------------------------------------- judging


def _learn_layout(rows: pd.DataFrame) -> Mapping[str, set[str]]:
    """Which serial layouts, and which first bytes of the 19-byte one, the CA's rows have."""
    learnt: dict[str, set[str]] = {}
    sample = rows.loc[rows["disposition"].isin([Disposition.ISSUED, Disposition.REVOKED]), "serial"].dropna()
    # The layout changes only with the CA's configuration: the first and last thousand tell.
    for serial in pd.concat([sample.head(1000), sample.tail(1000)]).unique():
        anatomy = SerialNumber.parse(str(serial)).anatomy
        learnt.setdefault(anatomy.layout, set()).add(anatomy.prefix or "")
    return learnt


@dataclass(frozen=True)
class _Judge:
    """Holds one dossier against one row."""

    learnt: Mapping[str, set[str]]
    key_of_index: Mapping[int, int]
    first_request_id: int | None
    cut: datetime | None
    crl_states: _CrlStates

    def judge(self, dossier: _Dossier, row: Row | None) -> dict[str, Any] | None:
        anatomy = SerialNumber.parse(dossier.serial).anatomy
        state, last = self._state(dossier)
        if row is None:
            return self._missing(dossier, anatomy, state)
        conflict = self._conflict(dossier, row)
        if conflict is not None:
            return self._finding("serial_conflict", dossier, anatomy, row, None, "high", conflict)
        disposition = _value(row["disposition"])
        if disposition == Disposition.ISSUED and state is not None:
            return self._lost_revocation(dossier, anatomy, row, state)
        if disposition == Disposition.REVOKED and _value(row["reason"]) == RevocationReason.CERTIFICATE_HOLD:
            return self._lost_release(dossier, anatomy, row, last)
        return None

    def _state(self, dossier: _Dossier) -> tuple[_Mark | None, _Mark | None]:
        """The revocation in force before the failure, and the last change of any kind.

        At equal times the stronger source speaks last: a CRL is what the CA itself signed.
        """
        strength = {"mail": 0, "audit": 1, "crl": 2}
        earliest = datetime.min.replace(tzinfo=UTC)
        changes = [m for m in dossier.marks if m.reason is not None]
        changes.sort(key=lambda m: (m.at or earliest, strength.get(m.source, 0)))
        if not changes:
            return None, None
        last = changes[-1]
        if last.reason == RevocationReason.UNREVOKE:
            return None, last
        # Several sources tell of one revocation; the effective time comes from whoever has it.
        same = [m for m in changes if m.reason == last.reason and m.revoked_at is not None]
        best = max(same, key=lambda m: strength.get(m.source, 0), default=last)
        return _Mark(last.at, last.reason, last.source, last.evidence, best.revoked_at), last

    def _missing(self, dossier: _Dossier, anatomy: SerialAnatomy, state: _Mark | None) -> dict[str, Any] | None:
        covered_from = self.first_request_id or 0
        if anatomy.request_id is not None and anatomy.layout in self.learnt and anatomy.request_id < covered_from:
            # The baseline does not cover it: missing from a page is not missing.
            return None
        sources = dossier.sources()
        doubts = self._doubts(dossier, anatomy)
        if sources == {"mail"} and doubts:
            return self._finding("suspect_notification", dossier, anatomy, None, None, "low", " ".join(doubts))
        if self.key_of_index and anatomy.ca_cert_index is not None and anatomy.ca_cert_index not in self.key_of_index:
            why = (
                f"The serial names CA certificate index {anatomy.ca_cert_index}, which the restored CA does not have: "
                "a renewal of the CA was lost. No dummy is possible."
            )
            return self._finding("lost_ca_certificate", dossier, anatomy, None, state, "medium", why)
        words = {
            "certificate": "the certificate itself, with the CA's signature verified",
            "crl": "a CRL that the CA signed",
            "audit": "the CA's audit log",
            "mail": "the CA's mail",
        }
        shown = [text for source, text in words.items() if source in sources]
        confidence = "high" if sources & {"certificate", "crl", "audit"} else "medium"
        why = f"Not in the restored database; shown by {', '.join(shown)}."
        if sources == {"mail"}:
            if anatomy.layout in self.learnt and anatomy.request_id in dossier.request_ids:
                confidence = "high"
                why += " The serial has this CA's form and carries the mail's request ID."
            else:
                why += " A mail can be forged, and nothing else confirms it."
        return self._finding("orphaned", dossier, anatomy, None, state, confidence, why)

    def _doubts(self, dossier: _Dossier, anatomy: SerialAnatomy) -> list[str]:
        """Reasons not to believe a serial that only mails show."""
        doubts = []
        native = anatomy.layout in ("number", "default")
        if native and dossier.request_ids and anatomy.request_id not in dossier.request_ids:
            ids = ", ".join(str(i) for i in sorted(dossier.request_ids))
            doubts.append(f"The mail says request ID {ids}, the serial carries {anatomy.request_id}.")
        if self.learnt and anatomy.layout not in self.learnt:
            doubts.append(f"Serials of this CA have the form {', '.join(sorted(self.learnt))}; this one has not.")
        return doubts

    def _conflict(self, dossier: _Dossier, row: Row) -> str | None:
        theirs = _value(row["thumbprint"])
        others = {t: place for t, place in dossier.thumbprints.items() if theirs is not None and t != theirs}
        if not others:
            return None
        verified = dossier.certificate is not None and dossier.certificate["thumbprint"] in others
        submitted = _moment(row["submitted_at"])
        reissued = self.cut is not None and submitted is not None and submitted > self.cut
        if not verified and not reissued:
            return None
        return (
            f"One serial, two certificates: the database has {theirs}, the evidence shows {', '.join(sorted(others))}. "
            "Revoking the serial revokes both; importing is refused. A person must look."
        )

    def _lost_revocation(self, dossier: _Dossier, anatomy: SerialAnatomy, row: Row, state: _Mark) -> dict[str, Any]:
        proven = {m.source for m in dossier.marks if m.reason is not None} & {"crl", "audit"}
        if proven:
            confidence, why = "high", "The row is good, but the CA had revoked it before the failure."
        else:
            confidence = "medium"
            why = (
                "The row is good; only a mail says that it was revoked, and a mail can be forged: a person must decide."
            )
            newest = self.crl_states.latest_base(_key_index(row))
            ends = _moment(row["not_after"])
            later = newest is not None and state.at is not None and newest[0] > state.at
            if newest and later and dossier.serial not in newest[2] and (ends is None or ends > newest[0]):
                confidence = "low"
                why += f" CRL {_value(newest[1]['crl_number'])} of a later time does not list it: suspect."
        finding = self._finding("lost_revocation", dossier, anatomy, row, state, confidence, why)
        if not proven:
            finding["suggested_action"] = finding["suggested_reason"] = None
        return finding

    def _lost_release(
        self, dossier: _Dossier, anatomy: SerialAnatomy, row: Row, last: _Mark | None
    ) -> dict[str, Any] | None:
        held_at = _moment(row["effective_revoked_at"]) or _moment(row["revoked_at"])
        newest = self.crl_states.latest_base(_key_index(row))
        ends = _moment(row["not_after"])
        evidence = list(dossier.marks)
        released = last is not None and last.reason == RevocationReason.UNREVOKE
        proven = any(m.reason == RevocationReason.UNREVOKE and m.source != "mail" for m in dossier.marks)
        # The service may have published between effective time and entry only within the skew.
        later = newest is not None and held_at is not None and newest[0] > held_at + CLOCK_SKEW
        listed = newest is not None and dossier.serial in newest[2]
        if newest and later and not listed and (ends is None or ends > newest[0]) and (last is None or released):
            text = _place(newest[1], f"CRL {_value(newest[1]['crl_number'])} does not list it")
            evidence.append(_Mark(newest[0], int(RevocationReason.UNREVOKE), "crl", text))
            released = proven = True
        if not released:
            return None
        dossier.marks = evidence
        why = "The row is on hold again, but the hold had been released before the failure."
        if not proven:
            why += " Only a mail says so: a person must decide."
        finding = self._finding("lost_release", dossier, anatomy, row, None, "high" if proven else "medium", why)
        finding["original_reason"] = int(RevocationReason.UNREVOKE)
        finding["suggested_action"] = "unrevoke" if proven else None
        finding["suggested_reason"] = int(RevocationReason.UNREVOKE) if proven else None
        return finding

    def _finding(
        self,
        kind: str,
        dossier: _Dossier,
        anatomy: SerialAnatomy,
        row: Row | None,
        state: _Mark | None,
        confidence: str,
        why: str,
    ) -> dict[str, Any]:
        row = row or {}
        known = dossier.facts

        def best(name: str) -> Any:  # noqa: ANN401 - a cell of any kind
            from_row = _moment(row.get(name)) if name.startswith("not_") else _value(row.get(name))
            return from_row if from_row is not None else known.get(name)

        index = anatomy.ca_cert_index if anatomy.layout != "foreign" else None
        name_id = _value(row.get("issuer_name_id"))
        if name_id is not None:
            index = int(name_id) & 0xFFFF
        index = 0 if index is None else index
        key = int(name_id) >> 16 if name_id is not None else self.key_of_index.get(index, 0)
        verified = dossier.certificate
        row_id = _value(row.get("request_id"))
        native = anatomy.layout in ("number", "default") or anatomy.layout in self.learnt
        request_id = anatomy.request_id if native else row_id
        if request_id is None and dossier.request_ids:
            request_id = min(dossier.request_ids)
        action: str | None = None
        reason: int | None = None
        if kind in ("orphaned", "lost_revocation") and state is not None:
            action, reason = "revoke", state.reason
        elif kind == "orphaned" and verified is not None:
            action = "restore"
        if reason is not None and not 0 <= reason <= 6:
            action = reason = None
        template = best("template")
        ends = best("not_after")
        infrastructure = _is_infrastructure(template, verified)
        return {
            "finding_id": f"{kind}-{dossier.serial}",
            "kind": kind,
            "serial": dossier.serial,
            "request_id": request_id,
            "ca_cert_index": index,
            "ca_key_index": key,
            "subject": best("subject"),
            "requester": best("requester"),
            "template": template,
            "not_before": best("not_before"),
            "not_after": ends,
            "issued_at": dossier.issued_at or _moment(row.get("submitted_at")),
            "original_revoked_at": state.revoked_at or state.at if state else None,
            "original_reason": state.reason if state else None,
            "evidence": list(dict.fromkeys(m.evidence for m in dossier.marks)),
            "confidence": confidence,
            "why": why + _expiry_note(ends, self.cut),
            "blast_radius": _blast_radius(template, best("subject"), ends, infrastructure=infrastructure),
            "suggested_action": action,
            "suggested_reason": reason,
            "infrastructure": infrastructure,
            "original_sha256": verified["certificate_sha256"] if verified else None,
            "row_thumbprint": _value(row.get("thumbprint")),
        }


def _key_index(row: Row) -> int | None:
    version = _value(row.get("issuer_name_id"))
    return None if version is None else int(version) >> 16


def _is_infrastructure(template: str | None, certificate: Row | None) -> bool:
    name = re.sub(r"[^a-z0-9]", "", (template or "").casefold())
    ekus: Iterable[str] = certificate["eku"] if certificate else ()
    is_ca = certificate is not None and certificate["is_ca"] is True
    return name in _INFRASTRUCTURE or is_ca or not _INFRASTRUCTURE_EKUS.isdisjoint(ekus)


def _expiry_note(not_after: datetime | None, cut: datetime | None) -> str:
    if not_after is not None and cut is not None and not_after <= cut:
        return f" It expired on {utc_text(not_after)}, before the restore."
    return ""


def _blast_radius(
    template: str | None, subject: str | None, not_after: datetime | None, *, infrastructure: bool
) -> str:
    who = subject or "an unknown holder"
    what = f"a certificate of template {template}" if template else "a certificate of unknown template"
    until = f"valid until {utc_text(not_after)}" if not_after else "its end of validity is unknown"
    text = f"Revoking hits {who}: {what}, {until}."
    if infrastructure:
        text += " It is infrastructure: others depend on it. Replace it before you revoke it."
    return text
