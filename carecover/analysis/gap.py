"""The gap: what the restored CA's database does not know, or knows wrongly.

The serial number is the only identity. For every serial that any source shows, a dossier
is made of what happened to it before the failure, in order; the dossier is then held
against the baseline. Only serials that can matter get one, so the cost of a large database
is two set look-ups a row. Mails that do not add up are put aside first: they are told, and
are evidence for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from carecover.analysis.cells import CLOCK_SKEW, Row, asked_after, cell_moment, cell_value, divide, place, true, until
from carecover.analysis.dossier import Dossier, Known, add_listed, gather, mattering
from carecover.analysis.judgement import Judge
from carecover.analysis.layout import CaLayout, learn_layout, own_certificates
from carecover.analysis.named import Named, canonical, kept, name, picked, with_ids
from carecover.analysis.numbering import Flags, Numbers
from carecover.analysis.published import CrlStates, number_findings
from carecover.analysis.requests import Trail, follow_requests, request_findings
from carecover.analysis.suspicion import Suspicions, learn_habits, twin
from carecover.errors import QuestionError, UsageError
from carecover.model import (
    ACTIONABLE_KINDS,
    TABLES,
    CaseFacts,
    Disposition,
    RevocationReason,
    SerialNumber,
    among,
    records,
)

_CANONICAL: Final = r"(?:[1-9a-f][0-9a-f]|0[1-9a-f])(?:[0-9a-f]{2}){0,19}"
_COMMON_NAME: Final = re.compile(r"(?:^|,)CN=((?:\\.|[^,\\+])+)")
# A person reads so many doubts about one finding; a flood of mails is counted.
_MAX_NOTES: Final = 20
# So many certificates of the database must mails speak of before their CA's name is believed.
_ENOUGH: Final = 3
# What tells who holds a request ID, and since when.
_OF_HOLDERS: Final = ("request_id", "serial", "submitted_at", "not_before")
# Local time that was read in a wrong zone may be off by as much (zones reach from -12 to +14 hours).
_ANY_ZONE: Final = timedelta(hours=26)
# [MS-WCCE] 3.1.1.4.1.1 SanitizedCAName: a character that is not allowed becomes !xxxx.
_SANITIZED: Final = re.compile(r"!([0-9a-f]{4})", re.IGNORECASE)


def find_gap(
    notifications: pd.DataFrame | None = None,
    ca_rows: pd.DataFrame | None = None,
    certificates: pd.DataFrame | None = None,
    crls: pd.DataFrame | None = None,
    crl_entries: pd.DataFrame | None = None,
    audit_events: pd.DataFrame | None = None,
    registry: pd.DataFrame | None = None,
    crl_rows: pd.DataFrame | None = None,
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
    return investigate(
        Evidence.of(notifications, ca_rows, certificates, crls, crl_entries, audit_events, registry, crl_rows),
        facts=facts,
        baseline_at=baseline_at,
    ).findings


@dataclass(frozen=True)
class Evidence:
    """The tables that the gap is found in, each in its schema; ``ca_rows`` is the baseline."""

    notifications: pd.DataFrame
    ca_rows: pd.DataFrame
    certificates: pd.DataFrame
    crls: pd.DataFrame
    crl_entries: pd.DataFrame
    audit_events: pd.DataFrame
    registry: pd.DataFrame
    crl_rows: pd.DataFrame

    @classmethod
    def of(cls, *tables: pd.DataFrame | None) -> Evidence:
        """Tables in the order of the fields, brought into their schemas; None is an empty one."""
        return cls(*(_table(name, table) for name, table in zip(cls.__dataclass_fields__, tables, strict=True)))


EVIDENCE: Final = tuple(Evidence.__dataclass_fields__)


@dataclass(frozen=True)
class Investigation:
    """What comes of looking through the evidence: the findings, and the trail of request IDs behind them."""

    findings: pd.DataFrame
    trail: Trail
    layout: CaLayout


def investigate(evidence: Evidence, *, facts: CaseFacts, baseline_at: datetime | None = None) -> Investigation:
    """``find_gap``, with what else it learns on the way."""
    rows, certs, events = evidence.ca_rows, evidence.certificates, evidence.audit_events
    cut = facts.cut or baseline_at
    born = divide(facts.backup, cut)
    late = asked_after(rows, born).to_numpy()
    own = own_certificates(certs)
    crls = evidence.crls[true(evidence.crls["signed_by_ca"]) & until(evidence.crls["this_update"], cut)]
    events = _with_serials(events[until(events["recorded_at"], cut)], certs)
    layout = learn_layout(rows, own, crls, evidence.registry, backup=facts.backup, cut=cut, certificates=certs)
    published = CrlStates(crls, evidence.crl_entries, facts.failure or facts.cut)

    sources = (evidence.notifications, certs, events, evidence.crl_entries, picked(rows[["serial"]], _held(rows)))
    named, numbers = name(rows["serial"], *(source["serial"] for source in sources))
    by_mail, by_certificate, by_event, by_entry, on_hold = numbers
    known = _known(rows, named, late)
    in_rows = named.flags(named.of)
    mine = _of_this_ca(evidence.notifications, in_rows[by_mail], facts.ca, own_name(own))
    forwarded = np.array(["forwarded" in flags for flags in evidence.notifications["flags"]], bool)
    mails = _as_sent_by_the_ca(evidence.notifications, forwarded)
    ours = mine & until(mails["sent_at"], cut).to_numpy()
    mails, by_our_mail = kept(mails, ours), by_mail[ours]
    confirmed = named.flags(by_certificate[true(certs["signed_by_ca"])]) | named.flags(
        by_event[true(events["event_id"] == 4887)]
    )
    matter = mattering(mails, by_our_mail, known, rows["thumbprint"])
    looked_at = np.flatnonzero(matter | (mails["request_id"].notna().to_numpy() & (by_our_mail < 0)))
    others = _of_others(evidence.notifications, mine, by_mail, cut)
    told = records(picked(mails, looked_at))
    row_ids = _row_ids(rows, known, named.flags(by_our_mail[looked_at]) | named.flags(by_mail[others]))
    twins, holders = _rivals(told, rows, row_ids, layout, facts, born)
    suspicions = Suspicions(
        layout=layout,
        row_ids=row_ids,
        twins=twins,
        holders=holders,
        renamed=_renamed(evidence.notifications, mine, layout),
        ca_known=bool(len(own)) and bool(certs["signed_by_ca"].notna().any()),
        cut=cut,
        habits=learn_habits(mails, by_our_mail, rows, named.first(in_rows[named.of]), confirmed, forwarded[ours]),
    )
    suspects, believed = _sorted_out(told, suspicions)
    suspects += _suspects_of_others(records(picked(evidence.notifications, others)), suspicions)
    good = np.ones(len(mails), bool)
    good[looked_at[~believed]] = False

    telling = [mail for mail, tells in zip(told, believed & matter[looked_at], strict=True) if tells]
    dossiers = gather(telling, certs, events, by_event, known, cut)
    settled = frozenset(named.texts(known.settled & named.flags(by_entry)))
    listed = named.at[named.flags(by_entry)[named.of]]
    add_listed(
        dossiers, published.says(settled, _ends(picked(rows[["serial", "not_after"]], listed), certs, published))
    )
    hard = named.flags(by_certificate) | named.flags(by_event) | named.flags(by_entry)
    present = frozenset(named.texts(known.present & ~known.reissued & hard))
    trail = follow_requests(mails, good, events, _shown(dossiers, present), rows, late, layout)

    wanted = named.among(dossiers) | named.flags(on_hold)
    about = named.at[(wanted & known.present)[named.of]]
    of_serial = {row["serial"]: row for row in records(picked(rows, about))}
    lowest, newest = rows["request_id"].min(), rows["request_id"].max()
    judge = Judge(
        layout=layout,
        first_request_id=cell_value(lowest),
        newest_request_id=cell_value(newest),
        taken=frozenset(rows.loc[late, "request_id"].dropna().tolist()),
        backup=facts.backup,
        cut=cut,
        born=born,
        snapshot=_snapshot(rows, facts, born),
        published=published,
        template_names=_template_names(rows),
    )
    found: list[dict[str, Any]] = []
    serials = dossiers.keys() | set(named.texts(named.flags(on_hold)))
    # All are canonical: the shorter is the smaller number.
    for serial in sorted(serials, key=lambda s: (len(s), s)):
        finding = judge.judge(dossiers.get(serial) or Dossier(serial), of_serial.get(serial))
        if finding is not None:
            found.append(finding)
    _doubt_rivals(found)
    found += _lost_ca_certificates(own, layout, {f["finding_id"] for f in found})
    found += request_findings(trail, rows, late, serials, layout)
    found += number_findings(crls, events, evidence.crl_rows, backup=facts.backup)
    found = _with_suspects(found, suspects)
    return Investigation(TABLES["findings"].frame(found), trail, layout)


# ------------------------------------------------------------------------------ reading in


def _table(name: str, table: pd.DataFrame | None) -> pd.DataFrame:
    schema = TABLES[name]
    if table is None:
        return schema.empty()
    frame = schema.conform(table)
    if not isinstance(frame.index, pd.RangeIndex):
        # Rows are named by where they stand.
        frame = frame.reset_index(drop=True)
    if "serial" in frame.columns and not canonical(frame["serial"]):
        odd = frame["serial"].notna() & ~true(frame["serial"].str.fullmatch(_CANONICAL))
        if odd.any():
            frame = frame.copy()
            try:
                spelled = [SerialNumber.parse(str(text)).text for text in frame.loc[odd, "serial"]]
            except UsageError as error:
                raise UsageError(f"Table {name}: {error}") from None
            frame.loc[odd, "serial"] = spelled
    return frame


def plain_ca_name(name: str) -> str:
    """A CA name without the escapes of SanitizedCAName, for comparison only."""
    return _SANITIZED.sub(_escaped, name).casefold().strip()


def _escaped(match: re.Match[str]) -> str:
    """The character that is meant; half of one (a surrogate) is none and stays as it is written."""
    code = int(match.group(1), 16)
    return match.group(0) if 0xD800 <= code <= 0xDFFF else chr(code)


def _fit_to_print(name: str) -> str:
    """A name out of a mail, fit for a message: nothing that moves a cursor or has no encoding."""
    return "".join(c if c.isprintable() else "?" for c in name[:80])


def _of_this_ca(mails: pd.DataFrame, in_rows: Flags, ca_name: str | None, own_name: str | None) -> Flags:
    """True for mails of the restored CA, and for those that name none.

    ``in_rows`` marks mails about a serial of the database; ``ca_name`` is what people say; ``own_name``, by its
    certificate, tells which of several is meant.
    """
    named = [str(name) for name in mails["ca_name"].unique() if not pd.isna(name)]
    if ca_name is None and own_name is not None and plain_ca_name(own_name) in {plain_ca_name(n) for n in named}:
        ca_name = own_name
    if ca_name is None:
        # Only a CA that names rows of this database can be the restored one.
        mine = {plain_ca_name(str(n)) for n in mails.loc[in_rows, "ca_name"].unique() if not pd.isna(n)}
        names = sorted({_fit_to_print(plain_ca_name(n)) for n in named})
        if len(names) <= 1:
            return np.ones(len(mails), bool)
        if len(mine) != 1 or _witnesses(mails, in_rows, named, *mine) < _ENOUGH:
            raise QuestionError(
                f"The mails name {len(names)} CAs ({', '.join(names[:5])}) and nothing tells which one was restored. "
                "Say so: carecover init CASE --ca NAME"
            )
        ca_name = mine.pop()
    return (mails["ca_name"].isna() | mails["ca_name"].isin(_spellings(named, ca_name))).to_numpy()


def _spellings(named: Iterable[str], ca_name: str) -> list[str]:
    """The names of a CA as mails write it."""
    wanted = plain_ca_name(ca_name)
    return [name for name in named if plain_ca_name(name) == wanted]


def _renamed(mails: pd.DataFrame, mine: Flags, layout: CaLayout) -> bool:
    """True where no mail names this CA, and several that name others have serials as this CA makes them."""
    if mails.loc[mine, "ca_name"].notna().any():
        return False
    anatomies = (layout.decode(str(serial)) for serial in mails.loc[~mine, "serial"].dropna().unique())
    claims = (True for anatomy in anatomies if anatomy.prefix and layout.native(anatomy))
    return sum(islice(claims, _ENOUGH)) == _ENOUGH


def _witnesses(mails: pd.DataFrame, in_rows: Flags, named: Iterable[str], ca_name: str) -> int:
    """How many certificates of the database mails in this name speak of: one can be anybody's."""
    return int(mails.loc[in_rows & mails["ca_name"].isin(_spellings(named, ca_name)), "serial"].nunique())


def own_name(own: pd.DataFrame) -> str | None:
    """The CA's common name by these certificates of it, where they agree on one."""
    names = {match[1] for subject in own["subject"].dropna() if (match := _COMMON_NAME.search(str(subject)))}
    return names.pop() if len(names) == 1 else None


def _as_sent_by_the_ca(mails: pd.DataFrame, forwarded: Flags) -> pd.DataFrame:
    """A forwarded mail was dated by who forwarded it: what it says of the event itself counts instead."""
    if not forwarded.any():
        return mails
    told = mails["revoked_at"].where(mails["event"].isin(["revoked", "unrevoked"]), mails["not_before"] + CLOCK_SKEW)
    return mails.assign(sent_at=mails["sent_at"].where(~forwarded, told))


def _held(rows: pd.DataFrame) -> Numbers:
    """Where the rows stand that are on hold."""
    at: Numbers = np.flatnonzero(true(rows["disposition"] == Disposition.REVOKED))
    held: Flags = true(rows["reason"].iloc[at] == RevocationReason.CERTIFICATE_HOLD).to_numpy()
    return at[held]


def _present(rows: pd.DataFrame) -> Flags:
    """True for rows that hold a certificate; an unknown disposition counts as one."""
    holding = [d.value for d in Disposition if d.holds_certificate]
    return np.asarray(rows["disposition"].isna() | true(rows["disposition"].isin(holding)), bool)


def _row_ids(rows: pd.DataFrame, known: Known, which: Flags) -> dict[str, int | None]:
    """Request ID of the row that holds each certificate, of those serials that are marked."""
    named = known.named
    last = named.last((known.present & which)[named.of])
    numbers = np.flatnonzero(last >= 0)
    ids = rows["request_id"].iloc[last[numbers]]
    return dict(zip(named.serials.take(pa.array(numbers)).to_pylist(), map(cell_value, ids), strict=True))


def _known(rows: pd.DataFrame, named: Named, late: Flags) -> Known:
    about = picked(rows[["disposition", "reason", "thumbprint"]], named.at)
    present = named.flags(named.of[_present(about)])
    revoked = (about["disposition"] == Disposition.REVOKED) & (about["reason"] != RevocationReason.CERTIFICATE_HOLD)
    reissued = named.flags(named.of[late[named.at]])
    settled = named.flags(named.of[true(revoked)]) & ~reissued
    return Known(named, present, settled, reissued & present, named.first(about["thumbprint"].notna().to_numpy()))


def _rivals(
    mails: Sequence[Row],
    rows: pd.DataFrame,
    row_ids: Mapping[str, int | None],
    layout: CaLayout,
    facts: CaseFacts,
    born: datetime | None,
) -> tuple[frozenset[str], dict[int, str]]:
    """For serials of mails that the baseline lacks: those of it with reversed bytes; who holds their request IDs.

    Those are request ID → serial of the certificate that the restored database has for it.
    """
    missing = {serial for mail in mails if (serial := mail["serial"]) is not None and serial not in row_ids}
    twins = {twin(serial) for serial in missing}
    ids = {i for serial in missing if (i := layout.decode(serial).request_id) is not None}
    old = _surely_old(picked(rows[list(_OF_HOLDERS)], with_ids(rows["request_id"], ids)), facts, born)
    reversed_twins = pd.Series(sorted(twins), dtype=rows["serial"].dtype)
    named, (by_twin, by_old) = name(rows["serial"], reversed_twins, old["serial"])
    present = named.flags(named.of[_present(picked(rows[["disposition"]], named.at))])
    held = old[present[by_old]]
    holders = {int(i): str(serial) for i, serial in zip(held["request_id"], held["serial"], strict=True)}
    return frozenset(named.texts(present & named.flags(by_twin))), holders


def _surely_old(rows: pd.DataFrame, facts: CaseFacts, born: datetime | None) -> pd.DataFrame:
    """Rows whose requests the lost CA took, whatever zone they are in: the restored one hands out IDs again."""
    if facts.cut is None or born is None:
        return rows.iloc[:0]
    asked = rows["submitted_at"].where(rows["submitted_at"].notna(), rows["not_before"])
    return rows[true((asked <= born) & (asked + _ANY_ZONE <= facts.cut))]


def _ends(rows: pd.DataFrame, certs: pd.DataFrame, published: CrlStates) -> dict[str, datetime]:
    """End of validity of what the lists name, by rows and by what the CA signed; a mail can give any."""
    listed = {serial for each in published.lists for serial in each.serials}
    verified = certs[true(certs["signed_by_ca"])]
    known = pd.concat([verified[["serial", "not_after"]], rows[["serial", "not_after"]]], ignore_index=True)
    known = known[among(known["serial"], listed) & known["not_after"].notna()]
    return {str(s): end.to_pydatetime() for s, end in zip(known["serial"], known["not_after"], strict=True)}


def _doubt_rivals(found: list[dict[str, Any]]) -> None:
    """Two orphans of one request: a request has one certificate, so what only mails say is doubted."""
    rivals: dict[Any, list[dict[str, Any]]] = {}
    for finding in found:
        if finding["kind"] == "orphaned" and finding["request_id"] is not None:
            rivals.setdefault(finding["request_id"], []).append(finding)
    for group in rivals.values():
        for finding in group if len(group) > 1 else ():
            if "mail_only" in finding["circumstances"]:
                finding["confidence"] = "low"
            finding["why"] += (
                f" {len(group)} serial numbers have the same request ID: all but one are false, or the CA was restored "
                "twice."
            )


def _with_serials(events: pd.DataFrame, certs: pd.DataFrame) -> pd.DataFrame:
    """Event 4887 of version 0 gives no serial, but a key identifier: the one certificate with that key has it."""
    verified = certs[true(certs["signed_by_ca"]) & certs["key_id"].notna()].drop_duplicates("certificate_sha256")
    single = verified[~verified["key_id"].duplicated(keep=False)]
    bare = (events["event_id"] == 4887) & events["serial"].isna() & events["key_id"].notna()
    if not len(single) or not bare.any():
        return events
    serials = events["key_id"].map(single.set_index("key_id")["serial"]).astype(events["serial"].dtype)
    return events.assign(serial=events["serial"].where(~bare, serials))


def _snapshot(rows: pd.DataFrame, facts: CaseFacts, born: datetime | None) -> datetime | None:
    """The latest moment that the restored database is known to show: its backup, or its newest row of before."""
    end = min((t for t in (facts.failure, born) if t is not None), default=None)
    newest = None if end is None else cell_moment(rows.loc[rows["submitted_at"] <= end, "submitted_at"].max())
    return max((t for t in (facts.backup, newest) if t is not None), default=None)


def _template_names(rows: pd.DataFrame) -> Mapping[str, str]:
    """Template OID → name: mails and certificates carry the OID, certutil prints both."""
    named = rows.loc[rows["template_oid"].notna(), ["template_oid", "template"]]
    pairs = named[named["template"] != named["template_oid"]].drop_duplicates("template_oid")
    return dict(zip(pairs["template_oid"], pairs["template"], strict=True))


def _shown(dossiers: Mapping[str, Dossier], present: frozenset[str]) -> Iterable[tuple[str, str, bool]]:
    """Serials that something other than a mail shows (a mail's request ID is followed by itself, a row has its own)."""
    for serial, dossier in dossiers.items():
        if serial in present:
            continue
        hard = [mark for mark in dossier.marks if mark.source != "mail"]
        if hard:
            yield serial, hard[0].evidence, True


# -------------------------------------------------------------------------- suspect mails


@dataclass(frozen=True)
class _Suspect:
    """A mail that does not add up, and why."""

    mail: Row
    doubts: tuple[str, ...]


def _sorted_out(mails: Sequence[Row], suspicions: Suspicions) -> tuple[list[_Suspect], Flags]:
    """The suspects among the mails; True for those that are none."""
    suspects: list[_Suspect] = []
    believed = np.ones(len(mails), bool)
    for number, mail in enumerate(mails):
        if doubts := suspicions.of(mail):
            suspects.append(_Suspect(mail, tuple(doubts)))
            believed[number] = False
    return suspects, believed


def _of_others(mails: pd.DataFrame, mine: Flags, numbers: Numbers, cut: datetime | None) -> Numbers:
    """Where the mails in another CA's name stand that give a serial."""
    return np.flatnonzero(~mine & (numbers >= 0) & until(mails["sent_at"], cut).to_numpy())


def _suspects_of_others(mails: Iterable[Row], suspicions: Suspicions) -> list[_Suspect]:
    """Mails in another CA's name that use this CA's serials: the only ones of others that are told."""
    judged = ((mail, suspicions.of(mail, other_ca=True)) for mail in mails)
    return [_Suspect(mail, tuple(doubts)) for mail, doubts in judged if doubts]


def _with_suspects(found: list[dict[str, Any]], suspects: Sequence[_Suspect]) -> list[dict[str, Any]]:
    """Findings with the suspect mails told: by themselves, or with the finding that better evidence made."""
    kinds = (*ACTIONABLE_KINDS, "lost_ca_certificate")
    by_serial = {f["serial"]: f for f in found if f.get("serial") and f["kind"] in kinds}
    told: dict[str, dict[str, Any]] = {f["finding_id"]: f for f in found if f["kind"] == "suspect_notification"}
    notes: dict[str, dict[str, None]] = {}
    for suspect in suspects:
        mail, serial = suspect.mail, cell_value(suspect.mail["serial"])
        where = place(mail, f"{mail['event']} mail, suspect")
        better = by_serial.get(serial)
        if better is not None:
            note = f"A mail about it does not add up and was not used ({where}): {' '.join(suspect.doubts)}"
            notes.setdefault(better["finding_id"], {})[note] = None
            continue
        name = serial or f"{cell_value(mail['evidence_id'])}-{cell_value(mail['location'])}".replace(" ", "-")
        finding = told.setdefault(f"suspect_notification-{name}", _suspect_finding(name, serial, mail))
        finding["evidence"].append(where)
        notes.setdefault(finding["finding_id"], {}).update(dict.fromkeys(suspect.doubts))
    for finding in (*by_serial.values(), *told.values()):
        mine = list(notes.get(finding["finding_id"], ()))
        more = [f"And {len(mine) - _MAX_NOTES:,} more like these."] if len(mine) > _MAX_NOTES else []
        finding["why"] = " ".join(filter(None, (finding["why"], *mine[:_MAX_NOTES], *more)))
        finding["evidence"] = list(dict.fromkeys(finding["evidence"]))
    return [f for f in found if f["kind"] != "suspect_notification"] + list(told.values())


def _suspect_finding(name: str, serial: str | None, mail: Row) -> dict[str, Any]:
    names = ("request_id", "requester", "subject", "template", "not_before", "not_after")
    return {
        "finding_id": f"suspect_notification-{name}",
        "kind": "suspect_notification",
        "serial": serial,
        **{column: cell_value(mail[column]) for column in names},
        "evidence": [],
        "confidence": "low",
        "why": "",
        "infrastructure": False,
        "circumstances": ["mail_only"],
        "replace_first": False,
    }


# ------------------------------------------------------------------- the CA's own certificates


def _lost_ca_certificates(own: pd.DataFrame, layout: CaLayout, taken: set[str]) -> list[dict[str, Any]]:
    """Findings about this CA's own certificates that were handed in and that the restored CA does not have.

    ``taken`` are the names of other findings: two certificates may have one serial number.
    """
    found = []
    taken = set(taken)
    for row in own[own["ca_version"].notna()].drop_duplicates("certificate_sha256").to_dict("records"):
        index = int(row["ca_version"]) & 0xFFFF
        if index not in layout.lost:
            continue
        name = f"lost_ca_certificate-{row['serial']}"
        if name in taken:
            name += f"-{row['certificate_sha256']}"
        taken.add(name)
        why = (
            f"The CA's own certificate of index {index} was handed in, and the restored CA does not have it: the CA "
            "was renewed between backup and failure. What it signed cannot be imported or carried by a dummy until the "
            "CA has this certificate and its key again."
        )
        names = ("serial", "subject", "not_before", "not_after")
        found.append(
            {
                "finding_id": name,
                "kind": "lost_ca_certificate",
                **{column: cell_value(row[column]) for column in names},
                "ca_cert_index": index,
                "ca_key_index": int(row["ca_version"]) >> 16,
                "issued_at": cell_moment(row["not_before"]),
                "evidence": [place(row, "CA certificate")],
                "confidence": "high",
                "why": why,
                "infrastructure": True,
                "original_sha256": row["certificate_sha256"],
                "replace_first": False,
            }
        )
    return found
