"""What a CRL does that RFC 5280, or AD CS, does not: a second look, never a proof.

Severities: ``error`` where clients may refuse the list or read it differently, ``warning``
where a rule is broken that clients put up with, ``notice`` where it is worth knowing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import pandas as pd
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from carecover.evidence import der as asn1
from carecover.evidence.crl import entry_spellings, list_parts, raw_list_extensions, reason_of
from carecover.evidence.extensions import DAMAGED, quietly
from carecover.model import TABLES, utc_text

# AD CS sets thisUpdate back by its clock skew (ClockSkewMinutes, default 10): an entry may be that much newer.
_SKEW: Final = timedelta(minutes=10)
_MAX_NUMBER: Final = 1 << 159
_CRITICAL: Final[Mapping[str, tuple[bool, str, str]]] = {
    "2.5.29.20": (False, "RFC 5280 5.2.3", "the CRL number"),
    "2.5.29.35": (False, "RFC 5280 4.2.1.1", "the authority key identifier"),
    "2.5.29.46": (False, "RFC 5280 5.2.6", "Freshest CRL"),
    "2.5.29.27": (True, "RFC 5280 5.2.4", "the delta CRL indicator"),
    "2.5.29.28": (True, "RFC 5280 5.2.5", "the issuing distribution point"),
}
_FRESHEST: Final = "2.5.29.46"
_NUMBER: Final = "2.5.29.20"
_POINT: Final = "2.5.29.28"
_REMOVE: Final = 8
_HIGHEST_REASON: Final = 10
_UNUSED_REASON: Final = 7
_UTC_UNTIL: Final = 2050


@dataclass(frozen=True, slots=True)
class _Remark:
    severity: str
    rule: str
    what: str


@quietly
def lint_crls(crls: pd.DataFrame, crl_entries: pd.DataFrame, *, now: datetime) -> pd.DataFrame:
    """Table ``crl_lint`` for lists (schema crls, with their bytes) and their entries, as of ``now``."""
    facts = _entry_facts(crls, crl_entries)
    rows = [
        {
            "crl_sha256": crl["crl_sha256"],
            "crl_number": crl["crl_number"],
            "severity": remark.severity,
            "rule": remark.rule,
            "what": remark.what,
        }
        for crl in crls.drop_duplicates("crl_sha256").to_dict("records")
        for remark in _remarks(crl, facts.get(str(crl["crl_sha256"]), {}), now)
    ]
    return TABLES["crl_lint"].frame(rows)


def _entry_facts(crls: pd.DataFrame, crl_entries: pd.DataFrame) -> dict[str, dict[str, int]]:
    """What is counted over the entries of each list, in one pass over all of them."""
    if not len(crl_entries):
        return {}
    lists = crls.drop_duplicates("crl_sha256").set_index("crl_sha256")
    bars = lists["this_update"]
    per_list = crl_entries.groupby("crl_sha256", sort=False)
    late = crl_entries["revoked_at"] > crl_entries["crl_sha256"].map(bars) + _SKEW
    counted: dict[str, pd.Series[int]] = {
        "nameless": crl_entries["serial"].isna().astype(int).groupby(crl_entries["crl_sha256"]).sum(),
        "named": per_list["serial"].count(),
        "distinct": per_list["serial"].nunique(),
        "late": late.fillna(value=False).astype(int).groupby(crl_entries["crl_sha256"]).sum(),
    }
    facts = {}
    for name, rows in per_list.size().items():
        sha256 = str(name)
        # A list that was handed in more than once (as DER and as PEM, say) is one list.
        said = lists["entries"].get(sha256)
        copies = max(1, int(rows) // int(said)) if said is not None and not pd.isna(said) and said else 1
        mine = {each: int(column[sha256]) for each, column in counted.items()}
        once = {each: mine[each] // copies for each in ("nameless", "named", "late")}
        facts[sha256] = {**once, "twice": once["named"] - mine["distinct"]}
    return facts


def _remarks(row: Mapping[Hashable, Any], facts: Mapping[str, int], now: datetime) -> Iterator[_Remark]:
    der = row["der"]
    if not isinstance(der, bytes):
        return
    try:
        crl = x509.load_der_x509_crl(der)
        tbs = crl.tbs_certlist_bytes
        found = raw_list_extensions(tbs)
    except DAMAGED:
        yield _Remark("error", "RFC 5280 5.2", "Its extensions are damaged.")
        return
    yield from _about_times(row, tbs, now)
    yield from _about_number(row, found)
    yield from _about_extensions(row, crl, found)
    yield from _about_entries(row, tbs, facts)
    yield from _about_signature(crl)


def _about_times(row: Mapping[Hashable, Any], tbs: bytes, now: datetime) -> Iterator[_Remark]:
    begin, end = row["this_update"], row["next_update"]
    if pd.isna(end):
        yield _Remark("error", "RFC 5280 5.1.2.5", "It has no nextUpdate: until when it is in force nobody can tell.")
    else:
        if end <= begin:
            yield _Remark(
                "error", "RFC 5280 5.1.2.5", "Its nextUpdate is not after its thisUpdate: it is never in force."
            )
        if end <= now:
            yield _Remark("notice", "RFC 5280 5.1.2.5", f"It ended on {utc_text(end)}: clients refuse it by now.")
    if begin > now + _SKEW:
        yield _Remark("error", "RFC 5280 5.1.2.4", f"It begins only on {utc_text(begin)}: a clock is wrong.")
    parts, _, _ = list_parts(tbs)
    odd = [
        part
        for part in parts
        if part.tag == asn1.GENERALIZED_TIME and int(tbs[part.start : part.start + 4]) < _UTC_UNTIL
    ]
    if odd:
        yield _Remark("error", "RFC 5280 5.1.2.4", "A time before 2050 is written as GeneralizedTime, not as UTCTime.")


def _about_number(row: Mapping[Hashable, Any], found: list[asn1.RawExtension]) -> Iterator[_Remark]:
    written = next((each.value for each in found if each.oid == _NUMBER), None)
    if written is None:
        yield _Remark("warning", "RFC 5280 5.2.3", "It has no CRL number: which of two lists is newer nobody can tell.")
        return
    # The library refuses a negative one, so it is read from the bytes.
    number = int.from_bytes(written[2:], "big", signed=True)
    if number < 0:
        yield _Remark("error", "RFC 5280 5.2.3", "Its CRL number is negative.")
    if number >= _MAX_NUMBER:
        yield _Remark("error", "RFC 5280 5.2.3", "Its CRL number has more than 20 octets.")
    if row["is_delta"] and int(row["base_crl_number"]) > number:
        yield _Remark("error", "RFC 5280 5.2.4", "It is a delta CRL of a base with a higher number than its own.")


def _about_extensions(
    row: Mapping[Hashable, Any], crl: x509.CertificateRevocationList, found: list[asn1.RawExtension]
) -> Iterator[_Remark]:
    try:
        _ = crl.extensions
    except DAMAGED:
        yield _Remark("error", "RFC 5280 5.2", "One of its extensions is damaged or there twice.")
    if not found:
        yield _Remark("warning", "RFC 5280 5.1.2.1", "It is of version 1 or has no extensions: AD CS writes version 2.")
    elif "2.5.29.35" not in {each.oid for each in found}:
        yield _Remark(
            "warning", "RFC 5280 5.2.1", "It has no authority key identifier: with which key to check it is open."
        )
    for each in found:
        must, rule, name = _CRITICAL.get(each.oid, (each.critical, "", ""))
        if each.critical != must:
            should = "must be critical, and is not" if must else "is critical, and must not be"
            severity = "warning" if each.oid == "2.5.29.35" else "error"
            yield _Remark(severity, rule, f"{name[0].upper()}{name[1:]} {should}.")
        if each.oid == _POINT and each.value == b"\x30\x00":
            yield _Remark("warning", "RFC 5280 5.2.5", "Its issuing distribution point is empty.")
    if row["is_delta"] and _FRESHEST in {each.oid for each in found}:
        yield _Remark("warning", "RFC 5280 5.2.6", "A delta CRL must not name delta CRLs of its own.")
    unknown = [oid for oid in row["unknown_critical"] if oid not in _CRITICAL]
    if unknown:
        named = ", ".join(dict.fromkeys(unknown))
        yield _Remark("error", "RFC 5280 5.2, 5.3", f"A client that does not know {named} must refuse it (critical).")
    if row["scope"]:
        words = ", ".join(word.replace("_", " ") for word in row["scope"])
        yield _Remark("notice", "RFC 5280 5.2.5", f"It is limited ({words}): AD CS writes lists for all certificates.")


def _about_entries(row: Mapping[Hashable, Any], tbs: bytes, facts: Mapping[str, int]) -> Iterator[_Remark]:
    _, revoked, _ = list_parts(tbs)
    if revoked is not None and revoked.start == revoked.stop:
        yield _Remark(
            "warning", "RFC 5280 5.1.2.6", "It has no entries, and the sequence for them is there all the same."
        )
    spelled, general = entry_spellings(tbs)
    if general:
        yield _Remark("error", "RFC 5280 5.1.2.6", f"{general} entries have a date before 2050 as GeneralizedTime.")
    reasons: dict[int, int] = {}
    for extensions, count in spelled.items():
        code = reason_of(extensions)
        if code is not None:
            reasons[code] = reasons.get(code, 0) + count
    if count := reasons.get(0, 0):
        yield _Remark("warning", "RFC 5280 5.3.1", f"{count} entries say reason 0, which should be left out instead.")
    for code, count in sorted(reasons.items()):
        if code == _UNUSED_REASON or code > _HIGHEST_REASON:
            yield _Remark("error", "RFC 5280 5.3.1", f"{count} entries have the reason {code}, which does not exist.")
        elif code > _REMOVE:
            yield _Remark(
                "notice", "RFC 5280 5.3.1", f"{count} entries have the reason {code}, which AD CS never writes."
            )
    if not row["is_delta"] and (count := reasons.get(_REMOVE, 0)):
        what = f"{count} entries of a base CRL are marked removeFromCRL, which only a delta CRL may do."
        yield _Remark("error", "RFC 5280 5.3.1", what)
    if count := facts.get("twice", 0):
        yield _Remark("warning", "RFC 5280 5.1.2.6", f"{count} serial numbers are listed more than once.")
    if count := facts.get("nameless", 0):
        what = f"{count} entries have a serial number that is zero, negative or longer than 20 octets."
        yield _Remark("warning", "RFC 5280 4.1.2.2", what)
    if count := facts.get("late", 0):
        what = f"{count} entries are dated more than ten minutes after thisUpdate, by which AD CS sets that back."
        yield _Remark("notice", "AD CS ClockSkewMinutes", what)


def _about_signature(crl: x509.CertificateRevocationList) -> Iterator[_Remark]:
    try:
        digest = crl.signature_hash_algorithm
    except (UnsupportedAlgorithm, *DAMAGED):
        yield _Remark("error", "RFC 5280 5.1.1.2", "Its signature is of a kind that is not known here.")
        return
    name = "" if digest is None else digest.name
    if name in ("md5", "md4", "md2"):
        yield _Remark(
            "error", "RFC 6151", f"It is signed over {name.upper()}: anyone can make another list with this signature."
        )
    elif name == "sha1":
        yield _Remark("warning", "RFC 6194, NIST SP 800-131A", "It is signed over SHA-1, which newer clients refuse.")
