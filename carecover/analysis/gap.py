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

import pandas as pd

from carecover.analysis.cells import CLOCK_SKEW, Row, asked_after, cell_moment, cell_value, divide, place, true, until
from carecover.analysis.dossier import Dossier, Known, add_listed, gather, mattering
from carecover.analysis.judgement import Judge
from carecover.analysis.layout import CaLayout, learn_layout, own_certificates
from carecover.analysis.published import CrlStates, number_findings
from carecover.analysis.requests import Trail, follow_requests, request_findings
from carecover.analysis.suspicion import Suspicions, learn_habits
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
    own = own_certificates(certs)
    crls = evidence.crls[true(evidence.crls["signed_by_ca"]) & until(evidence.crls["this_update"], cut)]
    events = _with_serials(events[until(events["recorded_at"], cut)], certs)
    layout = learn_layout(rows, own, crls, evidence.registry, backup=facts.backup, cut=cut, certificates=certs)
    published = CrlStates(crls, evidence.crl_entries, facts.failure or facts.cut)

    present = _present(rows)
    known = _known(rows, present, born)
    mine = _of_this_ca(evidence.notifications, rows, facts.ca, _own_name(own))
    mails = _as_sent_by_the_ca(evidence.notifications[mine])
    mails = mails[until(mails["sent_at"], cut)]
    confirmed = frozenset(
        set(certs.loc[true(certs["signed_by_ca"]), "serial"].dropna())
        | set(events.loc[events["event_id"] == 4887, "serial"].dropna())
    )
    suspicions = Suspicions(
        layout=layout,
        row_ids=_row_ids(rows, present),
        holders=_holders(_surely_old(rows, facts, born), present),
        renamed=_renamed(evidence.notifications, mine, layout),
        ca_known=bool(len(own)) and bool(certs["signed_by_ca"].notna().any()),
        cut=cut,
        habits=learn_habits(mails, rows, confirmed),
    )
    matter = mattering(mails, known)
    suspects, believed = _sorted_out(mails, matter, suspicions)
    suspects += _of_others(evidence.notifications[~mine], cut, suspicions)

    dossiers = gather(records(believed[matter.loc[believed.index]]), certs, events, known, cut)
    add_listed(dossiers, published.says(known.settled, _ends(rows, certs, published)))
    trail = follow_requests(believed, events, _shown(dossiers, present - known.reissued), rows, layout, born)

    held = rows[(rows["disposition"] == Disposition.REVOKED) & (rows["reason"] == RevocationReason.CERTIFICATE_HOLD)]
    wanted = set(dossiers) | set(held["serial"].dropna())
    of_serial = {r["serial"]: r for r in records(rows[among(rows["serial"], wanted)]) if r["serial"] in present}
    lowest, newest = rows["request_id"].min(), rows["request_id"].max()
    judge = Judge(
        layout=layout,
        first_request_id=cell_value(lowest),
        newest_request_id=cell_value(newest),
        taken=frozenset(int(i) for i in rows.loc[asked_after(rows, born), "request_id"].dropna()),
        backup=facts.backup,
        cut=cut,
        born=born,
        snapshot=_snapshot(rows, facts, born),
        published=published,
        template_names=_template_names(rows),
    )
    found: list[dict[str, Any]] = []
    # All are canonical: the shorter is the smaller number.
    for serial in sorted(wanted, key=lambda s: (len(s), s)):
        finding = judge.judge(dossiers.get(serial) or Dossier(serial), of_serial.get(serial))
        if finding is not None:
            found.append(finding)
    _doubt_rivals(found)
    found += _lost_ca_certificates(own, layout, {f["finding_id"] for f in found})
    found += request_findings(trail, rows, wanted, layout, born)
    found += number_findings(crls, events, evidence.crl_rows, backup=facts.backup)
    found = _with_suspects(found, suspects)
    return Investigation(TABLES["findings"].frame(found), trail, layout)


# ------------------------------------------------------------------------------ reading in


def _table(name: str, table: pd.DataFrame | None) -> pd.DataFrame:
    schema = TABLES[name]
    if table is None:
        return schema.empty()
    frame = schema.conform(table)
    if "serial" in frame.columns:
        odd = frame["serial"].notna() & ~true(frame["serial"].str.fullmatch(_CANONICAL))
        if odd.any():
            frame = frame.copy()
            try:
                canonical = [SerialNumber.parse(str(text)).text for text in frame.loc[odd, "serial"]]
            except UsageError as error:
                raise UsageError(f"Table {name}: {error}") from None
            frame.loc[odd, "serial"] = canonical
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


def _of_this_ca(mails: pd.DataFrame, rows: pd.DataFrame, ca_name: str | None, own_name: str | None) -> pd.Series[bool]:
    """True for mails of the restored CA, and for those that name none.

    ``ca_name`` is what people say; ``own_name``, by its certificate, tells which of several is meant.
    """
    named = mails["ca_name"].dropna().unique()
    if ca_name is None and own_name is not None and plain_ca_name(own_name) in {plain_ca_name(str(n)) for n in named}:
        ca_name = own_name
    if ca_name is None:
        # Only a CA that names rows of this database can be the restored one.
        known = set(rows["serial"].dropna())
        mine = mails[among(mails["serial"], known)]["ca_name"].dropna().map(plain_ca_name).unique()
        names = sorted({_fit_to_print(plain_ca_name(str(n))) for n in named})
        if len(names) <= 1:
            return pd.Series(data=True, index=mails.index)
        if len(mine) != 1 or len(mails) == 0 or _witnesses(mails, known, str(mine[0])) < _ENOUGH:
            raise QuestionError(
                f"The mails name {len(names)} CAs ({', '.join(names[:5])}) and nothing tells which one was restored. "
                "Say so: carecover init CASE --ca NAME"
            )
        ca_name = str(mine[0])
    wanted = plain_ca_name(ca_name)
    return mails["ca_name"].isna() | mails["ca_name"].isin([n for n in named if plain_ca_name(str(n)) == wanted])


def _renamed(mails: pd.DataFrame, mine: pd.Series[bool], layout: CaLayout) -> bool:
    """True where no mail names this CA, and several that name others have serials as this CA makes them."""
    if mails.loc[mine, "ca_name"].notna().any():
        return False
    anatomies = (layout.decode(str(serial)) for serial in mails.loc[~mine, "serial"].dropna().unique())
    claims = (True for anatomy in anatomies if anatomy.prefix and layout.native(anatomy))
    return sum(islice(claims, _ENOUGH)) == _ENOUGH


def _witnesses(mails: pd.DataFrame, known: set[Any], name: str) -> int:
    """How many certificates of the database mails in this name speak of: one can be anybody's."""
    about = mails[mails["serial"].isin(known) & mails["ca_name"].notna()]
    return int(about.loc[about["ca_name"].map(lambda n: plain_ca_name(str(n))) == name, "serial"].nunique())


def _own_name(own: pd.DataFrame) -> str | None:
    """The CA's common name by its own certificates, where they agree on one."""
    names = {match[1] for subject in own["subject"].dropna() if (match := _COMMON_NAME.search(str(subject)))}
    return names.pop() if len(names) == 1 else None


def _as_sent_by_the_ca(mails: pd.DataFrame) -> pd.DataFrame:
    """A forwarded mail was dated by who forwarded it: what it says of the event itself counts instead."""
    forwarded = mails["flags"].map(lambda flags: "forwarded" in flags).astype(bool)
    if not forwarded.any():
        return mails
    told = mails["revoked_at"].where(mails["event"].isin(["revoked", "unrevoked"]), mails["not_before"] + CLOCK_SKEW)
    return mails.assign(sent_at=mails["sent_at"].where(~forwarded, told))


def _present(rows: pd.DataFrame) -> set[str]:
    """Serials that the baseline holds a certificate for; an unknown disposition counts as one."""
    holding = [d.value for d in Disposition if d.holds_certificate]
    return set(rows.loc[rows["disposition"].isna() | rows["disposition"].isin(holding), "serial"].dropna())


def _row_ids(rows: pd.DataFrame, present: set[str]) -> dict[str, int | None]:
    """Request ID of the row that holds each certificate."""
    pairs = zip(rows["serial"], rows["request_id"], strict=True)
    return {serial: cell_value(request_id) for serial, request_id in pairs if serial in present}


def _known(rows: pd.DataFrame, present: set[str], born: datetime | None) -> Known:
    revoked = (rows["disposition"] == Disposition.REVOKED) & (rows["reason"] != RevocationReason.CERTIFICATE_HOLD)
    hashed = rows[rows["serial"].notna() & rows["thumbprint"].notna()].drop_duplicates("serial")
    settled = set(rows.loc[true(revoked), "serial"].dropna())
    late = set(rows.loc[asked_after(rows, born), "serial"].dropna())
    return Known(present, settled - late, late & present, hashed.set_index("serial")["thumbprint"])


def _surely_old(rows: pd.DataFrame, facts: CaseFacts, born: datetime | None) -> pd.DataFrame:
    """Rows whose requests the lost CA took, whatever zone they are in: the restored one hands out IDs again."""
    if facts.cut is None or born is None:
        return rows.iloc[:0]
    asked = rows["submitted_at"].where(rows["submitted_at"].notna(), rows["not_before"])
    return rows[true((asked <= born) & (asked + _ANY_ZONE <= facts.cut))]


def _holders(old: pd.DataFrame, present: set[str]) -> dict[int, str]:
    """Request ID → serial of the certificate that the restored database has for it."""
    held = old[old["serial"].isin(present) & old["request_id"].notna()]
    return {int(i): str(serial) for i, serial in zip(held["request_id"], held["serial"], strict=True)}


def _ends(rows: pd.DataFrame, certs: pd.DataFrame, published: CrlStates) -> dict[str, datetime]:
    """End of validity of what the lists name, by rows and by what the CA signed; a mail can give any."""
    listed = {serial for each in published.lists for serial in each.serials}
    verified = certs[true(certs["signed_by_ca"])]
    known = pd.concat([verified[["serial", "not_after"]], rows[["serial", "not_after"]]], ignore_index=True)
    known = known[known["serial"].isin(listed) & known["not_after"].notna()]
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
    known = rows[rows["template_oid"].notna() & (rows["template"] != rows["template_oid"])]
    pairs = known[["template_oid", "template"]].drop_duplicates("template_oid")
    return dict(zip(pairs["template_oid"], pairs["template"], strict=True))


def _shown(dossiers: Mapping[str, Dossier], present: set[str]) -> Iterable[tuple[str, str, bool]]:
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


def _sorted_out(
    mails: pd.DataFrame, matter: pd.Series[bool], suspicions: Suspicions
) -> tuple[list[_Suspect], pd.DataFrame]:
    """The suspects among the mails that can matter, and all mails without them."""
    ids = mails["request_id"].notna() & mails["serial"].isna()
    looked_at = mails[matter | ids]
    suspects: list[_Suspect] = []
    dropped: list[Any] = []
    for index, mail in zip(looked_at.index, records(looked_at), strict=True):
        doubts = suspicions.of(mail)
        if doubts:
            suspects.append(_Suspect(mail, tuple(doubts)))
            dropped.append(index)
    return suspects, mails.drop(index=dropped)


def _of_others(mails: pd.DataFrame, cut: datetime | None, suspicions: Suspicions) -> list[_Suspect]:
    """Mails in another CA's name that use this CA's serials: the only ones of others that are told."""
    looked_at = mails[until(mails["sent_at"], cut) & mails["serial"].notna()]
    judged = ((mail, suspicions.of(mail, other_ca=True)) for mail in records(looked_at))
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
