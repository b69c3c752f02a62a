"""What a revocation would hit: infrastructure, owners, and the blast radius in words and in figures.

Whether something stops working is judged by what a certificate may be used for, and by its
template's name where only that is known. A name can be anything: these are hints for the
people who decide, and the report says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import pandas as pd

from carecover.analysis.cells import Row
from carecover.model import ACTIONABLE_KINDS, TABLES, RevocationReason, utc_text

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
# Microsoft's own templates that let a computer serve; names of people's own say "server" where they do.
_SERVING: Final = frozenset({"machine", "computer", "ipsecintermediateonline", "ipsecintermediateoffline"})
_SERVING_EKUS: Final = frozenset(
    {
        "1.3.6.1.5.5.7.3.1",  # server authentication
        "1.3.6.1.5.5.7.3.17",  # IPsec IKE
        "1.3.6.1.5.5.8.2.2",  # IPsec IKE intermediate
        "1.3.6.1.4.1.311.54.1.2",  # remote desktop authentication
    }
)
# The two that AD CS keeps on its CRLs after they have expired (EKUOIDsForPublishExpiredCertInCRL).
_CODE_SIGNING_EKUS: Final = frozenset({"1.3.6.1.5.5.7.3.3", "1.3.6.1.4.1.311.61.1.1"})

# Owners and templates beyond these are counted together: mails may name as many as they like.
MAX_ITEMS: Final = 50
# OSSL_HTTP_DEFAULT_MAX_CRL_LEN in OpenSSL's include/openssl/http.h: it fetches no larger list.
LARGE_CRL: Final = 32 * 1024 * 1024
# RFC 5280 5.1: SEQUENCE { INTEGER, UTCTime, [ reasonCode ] }; what surrounds the serial, and the reason code.
_ENTRY: Final = 2 + 2 + 15
_REASON: Final = 14
_HIGH: Final = "89abcdef"
_NUMBER: Final = re.compile(r"[0-9]{1,60}", re.ASCII)
_VALIDITY: Final = (
    ("expired", 0),
    ("up to 30 days", 30),
    ("up to 90 days", 90),
    ("up to a year", 365),
    ("more than a year", None),
)


def is_infrastructure(template: str | None, certificate: Row | None) -> bool:
    """True for a certificate that others' trust hangs on, by its template's name or what it may be used for."""
    is_ca = certificate is not None and certificate["is_ca"] is True
    return _plain(template) in _INFRASTRUCTURE or is_ca or not _INFRASTRUCTURE_EKUS.isdisjoint(_ekus(certificate))


def replace_first(
    template: str | None,
    certificate: Row | None,
    not_after: datetime | None,
    cut: datetime | None,
    *,
    infrastructure: bool,
    revoked: bool = False,
) -> bool:
    """True where something stops working when it is revoked: a new certificate is to be in place before.

    That is so for infrastructure, and for what a computer serves with: by its extended key
    usage (server authentication, IPsec, remote desktop) where the certificate is at hand,
    else by its template's name. It is not so for what had expired by the cut, or was
    ``revoked`` before the failure: nobody accepts it, or nobody was to accept it. An end of
    validity that is not known counts as still to come. People's certificates are not among
    them: a person asks for another one and loses no more than a log-on.
    """
    if revoked or (not_after is not None and cut is not None and not_after <= cut):
        return False
    name = _plain(template)
    return infrastructure or name in _SERVING or "server" in name or not _SERVING_EKUS.isdisjoint(_ekus(certificate))


def expiry_note(not_after: datetime | None, cut: datetime | None) -> str:
    """A sentence where the certificate had expired before the restore; else nothing."""
    if not_after is not None and cut is not None and not_after <= cut:
        return f" It expired on {utc_text(not_after)}, before the restore."
    return ""


def blast_radius(
    template: str | None,
    subject: str | None,
    not_after: datetime | None,
    *,
    infrastructure: bool,
    replace: bool = False,
    held: bool = False,
    cut: datetime | None = None,
) -> str:
    """What a revocation would hit, in words; ``replace`` is what ``replace_first`` says.

    ``held``: it is on hold and was released, so that nothing is to be revoked; ``cut`` is the
    restore, by which it may have expired.
    """
    who = subject or "an unknown holder"
    what = f"a certificate of template {template}" if template else "a certificate of unknown template"
    if not_after is not None and cut is not None and not_after <= cut:
        return (
            f"Revoking hits nobody's work: {who}, {what}, expired on {utc_text(not_after)}, and nobody accepts it any "
            "more. It matters only where signatures that were made with it are still judged."
        )
    until = f"valid until {utc_text(not_after)}" if not_after else "its end of validity is unknown"
    if held:
        now = f"It is on hold, so nobody accepts it now: {who}, {what}, {until}."
        return f"{now} It works again when it is taken off hold."
    text = f"Revoking hits {who}: {what}, {until}."
    if infrastructure:
        text += " It is infrastructure: others depend on it."
        text += " Replace it before you revoke it." if replace else ""
    elif replace:
        text += " A computer may serve with it: replace it before you revoke it."
    return text


def make_owners(findings: pd.DataFrame) -> pd.DataFrame:
    """Who holds the certificates that findings are about: table ``owners``, the most urgent first.

    One row a requester, machines and users; names that differ only in case are one (Windows
    does not tell them apart), and what has no known requester is the last row, with NA. Only
    findings that can be acted on count. Nothing is cut short: the serial numbers are all there.
    """
    actionable = _actionable(findings)
    rows: dict[str, dict[str, Any]] = {}
    columns = ("requester", "infrastructure", "replace_first", "template", "subject", "serial", "not_after")
    for requester, infrastructure, replace, template, subject, serial, not_after, suggested in zip(
        *(actionable[c].astype(object).where(actionable[c].notna(), None) for c in columns),
        _suggestions(actionable),
        strict=True,
    ):
        row = rows.setdefault(
            "" if requester is None else requester.casefold(),
            {
                "requester": requester,
                "account": None if requester is None else ("machine" if requester.endswith("$") else "user"),
                **dict.fromkeys(("certificates", "infrastructure", "replace_first"), 0),
                **{name: {} for name in ("templates", "subjects", "serials", "suggested")},
                "last_not_after": None,
            },
        )
        row["certificates"] += 1
        row["infrastructure"] += bool(infrastructure)
        row["replace_first"] += bool(replace)
        told = (("templates", template), ("subjects", subject), ("serials", serial), ("suggested", suggested))
        for name, value in told:
            if value is not None:
                # A dictionary keeps the order and forgets doubles.
                row[name][value] = None
        if not_after is not None and (row["last_not_after"] is None or not_after > row["last_not_after"]):
            row["last_not_after"] = not_after
    ordered = sorted(
        rows.items(), key=lambda r: (r[0] == "", -r[1]["replace_first"], -r[1]["certificates"], r[0])
    )  # fmt: skip
    return TABLES["owners"].frame([row for _, row in ordered])


def make_impact(
    findings: pd.DataFrame,
    crls: pd.DataFrame,
    crl_entries: pd.DataFrame,
    decisions: pd.DataFrame | None = None,
    *,
    certificates: pd.DataFrame | None = None,
    cut: datetime | None = None,
) -> pd.DataFrame:
    """What revoking would hit, counted: table ``impact``.

    All findings that can be acted on, by template, requester, validity left after ``cut`` and
    use; what a new revocation date means for how many; and how far the CRL of each CA key
    grows if all of them are revoked that ``decisions`` do not keep (restore, leave,
    unrevoke). ``certificates`` tells the use of those whose original was found. The sizes
    follow from the DER of an entry (RFC 5280 5.1).
    """
    actionable = _actionable(findings)
    told = [
        *_by_template(actionable, cut),
        *_by_requester(actionable),
        *_by_validity(actionable, cut),
        *_by_use(actionable, certificates),
        *_by_date(actionable),
        *_growth(actionable, TABLES["crls"].conform(crls), TABLES["crl_entries"].conform(crl_entries), decisions),
    ]
    names = ("aspect", "item", "figure", "why")
    return TABLES["impact"].frame([dict(zip(names, row, strict=True)) for row in told])


# ------------------------------------------------------------------------------ one by one


@lru_cache(maxsize=4096)
def _plain(name: str | None) -> str:
    return re.sub(r"[^a-z0-9]", "", (name or "").casefold())


def _ekus(certificate: Row | None) -> Iterable[str]:
    ekus: Iterable[str] = certificate["eku"] if certificate else ()
    return ekus


def _actionable(findings: pd.DataFrame) -> pd.DataFrame:
    table = TABLES["findings"].conform(findings)
    return table[table["kind"].isin(ACTIONABLE_KINDS)]


def _suggestions(findings: pd.DataFrame) -> list[str | None]:
    """What is suggested, as people say it: 'revoke (1 Key Compromise)'."""
    known = {int(r): f" ({int(r)} {r.designation})" for r in RevocationReason}
    return [
        None if pd.isna(action) else f"{action}{known.get(reason, '') if action == 'revoke' else ''}"
        for action, reason in zip(
            findings["suggested_action"], findings["suggested_reason"].fillna(-2).astype(int), strict=True
        )
    ]


# ---------------------------------------------------------------------------- the counting

Told = tuple[str, str | None, str, str]


def _many(count: int, of: str = "certificate") -> str:
    return f"{count:,} {of}{'' if count == 1 else 's'}"


def _flagged(findings: pd.DataFrame, column: str) -> int:
    return int(findings[column].fillna(value=False).astype(bool).sum())


def _by_template(findings: pd.DataFrame, cut: datetime | None) -> list[Told]:
    expired = pd.Series(data=False, index=findings.index) if cut is None else findings["not_after"] <= cut
    counted = pd.DataFrame(
        {
            "all": 1,
            "valid": ~expired.fillna(value=False).astype(bool),
            "infrastructure": findings["infrastructure"].fillna(value=False).astype(bool),
            "replace": findings["replace_first"].fillna(value=False).astype(bool),
        },
        index=findings.index,
    )
    sums = counted.groupby(findings["template"].fillna(""), sort=True).sum()
    sums = sums.sort_values("all", ascending=False, kind="stable")
    told: list[Told] = []
    for template, row in zip(map(str, sums.head(MAX_ITEMS).index), sums.to_dict("records"), strict=False):
        parts = [_many(int(row["all"]))]
        if cut is not None:
            parts.append(f"{int(row['valid']):,} not expired by the restore")
        if row["infrastructure"]:
            parts.append(f"{int(row['infrastructure']):,} infrastructure")
        if row["replace"]:
            parts.append(f"{int(row['replace']):,} to be replaced first")
        why = "" if template else "Nothing that was handed in tells the template of these."
        why = why or (
            "Others depend on certificates of this template."
            if row["infrastructure"]
            else "Revoking stops what uses certificates of this template."
        )
        told.append(("template", template or None, ", ".join(parts), why))
    rest = sums.iloc[MAX_ITEMS:]
    if len(rest):
        figure = f"{_many(int(rest['all'].sum()))} of {len(rest):,} templates"
        told.append(("template", "all others", figure, "Templates of fewer certificates each."))
    return told


def _by_requester(findings: pd.DataFrame) -> list[Told]:
    names = findings["requester"].fillna("")
    machine = names.str.endswith("$")
    kinds = (
        ("machine", machine, "The name ends in $. Computers enrol again by themselves where autoenrolment is on."),
        ("user", ~machine & (names != ""), "People and service accounts: each owner is to be told (table owners)."),
        ("unknown", names == "", "Nothing tells who asked for these: their owners cannot be told."),
    )
    told: list[Told] = []
    for name, chosen, why in kinds:
        count = int(chosen.fillna(value=False).sum())
        if count:
            owners = names[chosen].str.casefold().nunique()
            figure = _many(count) + (f" of {_many(int(owners), 'requester')}" if name != "unknown" else "")
            told.append(("requester", name, figure, why))
    return told


def _by_validity(findings: pd.DataFrame, cut: datetime | None) -> list[Told]:
    ends = findings["not_after"]
    told: list[Told] = []
    if cut is None:
        why = "The time of the restore is not known (init --restored): validity left cannot be told."
        told.append(("validity left", "not counted", _many(int(ends.notna().sum())), why))
    else:
        left, placed = ends - cut, ends.isna()
        for name, days in _VALIDITY:
            here = ~placed if days is None else ~placed & (left <= pd.Timedelta(days=days)).fillna(value=False)
            placed |= here
            why = (
                "No client accepts them any more; revoking them matters for signatures only."
                if days == 0
                else "Left after the restore: so long clients accept them unless they are revoked."
            )
            told.append(("validity left", name, _many(int(here.sum())), why))
    why = "Nothing tells when they end: taken as valid, and a dummy lives as long as the CA's certificate."
    told.append(("validity left", "unknown", _many(int(ends.isna().sum())), why))
    return [row for row in told if not row[2].startswith("0 ")]


def _by_use(findings: pd.DataFrame, certificates: pd.DataFrame | None) -> list[Told]:
    code = findings["template"].fillna("").map(lambda name: "codesign" in _plain(name)).astype(bool)
    found = findings["original_sha256"].notna()
    if certificates is not None and found.any():
        table = TABLES["certificates"].conform(certificates)
        table = table[table["certificate_sha256"].isin(set(findings["original_sha256"].dropna()))]
        signing = [not _CODE_SIGNING_EKUS.isdisjoint(ekus) for ekus in table["eku"]]
        code |= findings["original_sha256"].isin(set(table.loc[signing, "certificate_sha256"])).astype(bool)
    vague = findings["template"].isna() & ~found
    rows = (
        ("infrastructure", _flagged(findings, "infrastructure"), "Others depend on them. --all never takes them."),
        (
            "replace first",
            _flagged(findings, "replace_first"),
            "Something stops working when they are revoked: have new certificates in place before.",
        ),
        (
            "code signing",
            int(code.sum()),
            "AD CS keeps them on the CRL after they expire; a later date makes more of their signatures count.",
        ),
        ("unknown", int(vague.sum()), "Neither template nor certificate is known: nobody can tell what will stop."),
    )
    return [("use", name, _many(count), why) for name, count, why in rows if count]


def _by_date(findings: pd.DataFrame) -> list[Told]:
    again = findings[findings["original_revoked_at"].notna() & (findings["original_reason"] >= 0).fillna(value=False)]
    if again.empty:
        return []
    stolen = int((again["original_reason"] == RevocationReason.KEY_COMPROMISE).sum())
    why = (
        f"They were revoked before the failure, the first on {utc_text(again['original_revoked_at'].min())}. Revoking "
        "them again sets the date of the day it is done: certutil -revoke takes no date."
    )
    if stolen:
        why += f" For {stolen:,} the key was compromised: what its thief signed between the two dates counts as before."
    return [("revocation date", "set anew", _many(len(again)), why)]


# ------------------------------------------------------------------------ growth of the CRL


def _entry_bytes(serials: pd.Series[Any], with_reason: pd.Series[Any]) -> int:
    """Bytes of DER that entries for these serial numbers take (RFC 5280 5.1)."""
    if serials.empty:
        return 0
    sign = serials.str[0].isin(list(_HIGH))
    sizes = serials.str.len() // 2 + sign.astype(int) + _ENTRY + with_reason.astype(int) * _REASON
    return int(sizes.sum())


def _growth(
    findings: pd.DataFrame, crls: pd.DataFrame, entries: pd.DataFrame, decisions: pd.DataFrame | None
) -> list[Told]:
    kept: set[str] = set()
    if decisions is not None and len(decisions):
        table = TABLES["decisions"].conform(decisions).drop_duplicates("finding_id", keep="last")
        kept = set(table.loc[table["action"].isin(["restore", "leave", "unrevoke"]), "finding_id"])
    listed = findings[~findings["finding_id"].isin(kept) & findings["serial"].notna()].drop_duplicates("serial")
    told: list[Told] = []
    for key, added in listed.groupby(listed["ca_key_index"].fillna(-1).astype("int64"), sort=True):
        index = int(str(key))
        name = "key unknown" if index < 0 else f"key {index}"
        newest = _newest_base(crls, index)
        if newest is None:
            size = _entry_bytes(added["serial"], pd.Series(data=True, index=added.index))
            why = "No CRL of this key was handed in: how long the list is now is not known."
            told.append(("CRL", name, f"at most {_entries(len(added))} and {size:,} bytes more", why))
            continue
        old = entries[(entries["crl_sha256"] == newest["crl_sha256"]) & entries["serial"].notna()]
        new = added[~added["serial"].isin(set(old["serial"]))]
        more = _entry_bytes(new["serial"], pd.Series(data=True, index=new.index))
        count, now = len(old), len(newest["der"]) if isinstance(newest["der"], bytes) else 0
        how = "The list itself was measured"
        if not now:
            now = _entry_bytes(old["serial"], old["reason"].fillna(0) != 0)
            how = "The list itself is not at hand and was calculated from its entries"
        why = (
            f"{how}; an entry's size follows from its serial number and reason (RFC 5280 5.1). Counted is everything "
            "that is not decided to be kept; what has expired leaves the list again."
        )
        if now + more > LARGE_CRL:
            why += (
                f" OpenSSL fetches no list above {LARGE_CRL:,} bytes (OSSL_HTTP_DEFAULT_MAX_CRL_LEN): its clients will "
                "refuse what they cannot check."
            )
        elif more > now:
            why += " It more than doubles: every client fetches it when its old list expires."
        figure = (
            f"{_entries(count)}, {now:,} bytes in CRL {newest['crl_number']} → at most {_entries(count + len(new))}, "
            f"{now + more:,} bytes"
        )
        told.append(("CRL", name, figure, why))
    return told


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _newest_base(crls: pd.DataFrame, key: int) -> Row | None:
    """The complete list with the highest number that this key signed; None where there is none."""
    mine = crls[
        (crls["signed_by_ca"] == True).fillna(value=False)  # noqa: E712
        & ~crls["is_delta"].fillna(value=False).astype(bool)
        & ((crls["ca_version"].fillna(0).astype("int64") // 65536) == key)
        & ~crls["scope"].map(bool).astype(bool)
    ].to_dict("records")
    numbered = [r for r in mine if isinstance(r["crl_number"], str) and _NUMBER.fullmatch(r["crl_number"])]
    return max(numbered, key=lambda r: int(r["crl_number"]), default=None)
