"""Certificate revocation lists: the list, and its entries as columns.

The library checks the whole list when it loads it; its entries are then taken from the
bytes in one pass, because asking the library for the extensions of each of a million
entries takes longer than everything else together, and its look-up by serial number is
linear. What an entry's extensions say is worked out once for each different spelling.

Critical extensions: a client must refuse a list that has one it does not know (RFC 5280
5.2). Known to every client are those that RFC 5280 itself makes critical (delta CRL
indicator, issuing distribution point) and the authority key identifier; whatever else is
marked critical, of the list or of an entry, is told, because a client may refuse it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from carecover.evidence import der as asn1
from carecover.evidence.extensions import (
    DAMAGED,
    MAX_URLS,
    ca_version,
    distribution_urls,
    extension_value,
    first_line,
    key_identifier,
    name_urls,
    or_none,
    printed_name,
    quietly,
    raw_extension,
    short_content,
)
from carecover.evidence.units import ColumnBatch, Parsed, Row
from carecover.model import MAX_SERIAL_DIGITS, sha256_hex

_NEXT_PUBLISH: Final = ObjectIdentifier("1.3.6.1.4.1.311.21.4")
# szOID_CRL_SELF_CDP, "Published CRL Locations" in Windows: distribution points, as in 2.5.29.31.
_PUBLISHED: Final = ObjectIdentifier("1.3.6.1.4.1.311.21.14")
_REASON: Final = "2.5.29.21"
_CERTIFICATE_ISSUER: Final = "2.5.29.29"
_EVERY_CLIENT_KNOWS: Final = frozenset({"2.5.29.27", "2.5.29.28", "2.5.29.35"})
# Entries that are kept as Python objects before they are packed.
_BATCH: Final = 65_536
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# A list may hold invalidity dates, each another spelling: what is remembered of them is bounded.
_MAX_SPELLINGS: Final = 100_000


@quietly
def read_list(der: bytes, *, location: str = "") -> Parsed:
    """One CRL: its row of ``crls`` and its entries of ``crl_entries``; ValueError with a sentence if it is none."""
    try:
        crl = x509.load_der_x509_crl(der)
        digest = sha256_hex(der)
        extensions = or_none(lambda: crl.extensions)
        batches, strange, count = _entries(crl.tbs_certlist_bytes, digest)
        delta = extension_value(extensions, x509.DeltaCRLIndicator, lambda value: str(value.crl_number))
        scope, point_urls = _scope(extensions)
        head: Row = {
            "crl_sha256": digest,
            "issuer": or_none(lambda: printed_name(crl.issuer)),
            "crl_number": extension_value(extensions, x509.CRLNumber, lambda value: str(value.crl_number)),
            "this_update": crl.last_update_utc,
            "next_update": crl.next_update_utc,
            "next_publish": _next_publish(extensions),
            "is_delta": delta is not None,
            "base_crl_number": delta,
            "entries": count,
            "location": location,
            "ca_version": ca_version(extensions),
            "authority_key_id": extension_value(extensions, x509.AuthorityKeyIdentifier, key_identifier),
            "scope": scope,
            "unknown_critical": _unknown_critical(crl, extensions, strange),
            "point_urls": point_urls,
            "urls": list(dict.fromkeys([*point_urls, *_published(extensions)]))[:MAX_URLS],
            "delta_urls": distribution_urls(extension_value(extensions, x509.FreshestCRL, list) or []),
            "der": der,
        }
    except (*DAMAGED, IndexError) as error:
        raise ValueError(f"It is not a well-formed X.509 CRL: {first_line(error)}.") from None
    return Parsed((("crls", head),), columns=tuple(("crl_entries", batch) for batch in batches))


def list_parts(tbs: bytes) -> tuple[list[asn1.Element], asn1.Element | None, asn1.Element | None]:
    """The parts of a TBSCertList: all elements, the revokedCertificates and the wrapped extensions among them."""
    outer = asn1.element(tbs, 0, len(tbs))
    parts = list(asn1.elements(tbs, outer.start, outer.stop))
    times = [n for n, part in enumerate(parts) if part.tag in (asn1.UTC_TIME, asn1.GENERALIZED_TIME)]
    rest = parts[times[-1] + 1 :] if times else []
    revoked = next((part for part in rest if part.tag == asn1.SEQUENCE), None)
    return parts, revoked, next((part for part in rest if part.tag == 0xA0), None)


def _entries(tbs: bytes, digest: str) -> tuple[list[ColumnBatch], list[str], int]:
    """The entries in batches of columns, the extensions that a client may not know, and the count."""
    _, revoked, _ = list_parts(tbs)
    if revoked is None:
        return [], [], 0
    batches: list[ColumnBatch] = []
    strange: dict[str, None] = {}
    spellings: dict[bytes, int] = {b"": 0}
    times: dict[bytes, int] = {}
    serials: list[str | None] = []
    moments: list[int] = []
    reasons: list[int] = []
    count, at, end = 0, revoked.start, revoked.stop
    while at < end:
        # Nearly every entry is shorter than 128 bytes: its lengths are one octet each.
        if (length := tbs[at + 1]) < 0x80:
            start, stop = at + 2, at + 2 + length
        else:
            _, start, stop = asn1.element(tbs, at, end)
        if tbs[start + 1] < 0x80:
            first, last = start + 2, start + 2 + tbs[start + 1]
        else:
            _, first, last = asn1.element(tbs, start, stop)
        serials.append(_serial(tbs[first:last]))
        after = last + 2 + tbs[last + 1]
        stamp = tbs[last:after]
        found = times.get(stamp)
        if found is None:
            if len(times) >= _MAX_SPELLINGS:
                times.clear()
            found = times[stamp] = (asn1.moment(stamp[0], stamp[2:]) - _EPOCH) // _MICROSECOND
        moments.append(found)
        spelled = tbs[after:stop]
        reason = spellings.get(spelled)
        if reason is None:
            if len(spellings) >= _MAX_SPELLINGS:
                spellings.clear()
                spellings[b""] = 0
            reason, odd = _said(spelled)
            spellings[spelled] = reason
            strange |= dict.fromkeys(odd)
        reasons.append(reason)
        at = stop
        count += 1
        if len(serials) >= _BATCH:
            batches.append(_batch(digest, serials, moments, reasons))
            serials, moments, reasons = [], [], []
    if serials:
        batches.append(_batch(digest, serials, moments, reasons))
    return batches, list(strange), count


def entry_spellings(tbs: bytes) -> tuple[dict[bytes, int], int]:
    """How often each spelling of an entry's extensions occurs, and how many dates before 2050 are GeneralizedTime."""
    _, revoked, _ = list_parts(tbs)
    counted: dict[bytes, int] = {}
    general = 0
    for entry in asn1.elements(tbs, revoked.start, revoked.stop) if revoked else ():
        serial = asn1.element(tbs, entry.start, entry.stop)
        date = asn1.element(tbs, serial.stop, entry.stop)
        general += date.tag == asn1.GENERALIZED_TIME and tbs[date.start : date.start + 4] < b"2050"
        spelled = tbs[date.stop : entry.stop]
        if spelled in counted or len(counted) < _MAX_SPELLINGS:
            counted[spelled] = counted.get(spelled, 0) + 1
    return counted, general


def reason_of(spelled: bytes) -> int | None:
    """The reason code that an entry's extensions hold; None where they hold none, or cannot be read."""
    try:
        outer = asn1.element(spelled, 0, len(spelled))
        found = asn1.extensions(spelled, outer.start, outer.stop)
        codes = [each.value for each in found if each.oid == _REASON]
        return codes[0][-1] if codes else None
    except (ValueError, IndexError):
        return None


def _batch(digest: str, serials: Sequence[str | None], moments: Sequence[int], reasons: Sequence[int]) -> ColumnBatch:
    return {
        "crl_sha256": pa.repeat(digest, len(serials)),
        "serial": pa.array(serials, pa.string()),
        "revoked_at": np.array(moments, dtype=np.int64),
        "reason": pa.array(reasons, pa.int64()),
    }


def _serial(content: bytes) -> str | None:
    """Canonical text; NA for the zero, negative and overlong serials that RFC 5280 forbids: AD CS never makes one."""
    if not content or content[0] & 0x80:
        return None
    text = (content[1:] if content[0] == 0 else content).hex()
    return text if 0 < len(text) <= MAX_SERIAL_DIGITS else None


def _said(spelled: bytes) -> tuple[int, list[str]]:
    """The reason that an entry's extensions give (0 where they give none), and what in them a client may not know."""
    outer = asn1.element(spelled, 0, len(spelled))
    found = asn1.extensions(spelled, outer.start, outer.stop)
    if len({each.oid for each in found}) < len(found):
        raise ValueError("an entry has one extension twice")
    reason = 0
    for each in found:
        if each.oid == _REASON:
            code = asn1.element(each.value, 0, len(each.value))
            if code.tag != asn1.ENUMERATED or code.stop != len(each.value) or code.stop - code.start != 1:
                raise ValueError("a reason code in it is damaged")
            reason = each.value[code.start]
    return reason, [each.oid for each in found if each.critical or each.oid == _CERTIFICATE_ISSUER]


# --------------------------------------------------------------------------- the list itself


def _unknown_critical(
    crl: x509.CertificateRevocationList, extensions: x509.Extensions | None, strange: Sequence[str]
) -> list[str]:
    if extensions is not None:
        critical = [each.oid.dotted_string for each in extensions if each.critical]
        return [*(oid for oid in critical if oid not in _EVERY_CLIENT_KNOWS), *strange]
    # The library cannot read one of them: none of the critical ones has been understood.
    return [*(each.oid for each in raw_list_extensions(crl.tbs_certlist_bytes) if each.critical), *strange]


def raw_list_extensions(tbs: bytes) -> list[asn1.RawExtension]:
    """The list's extensions as they are written; ValueError where one is damaged."""
    _, _, wrapped = list_parts(tbs)
    if wrapped is None:
        return []
    inner = asn1.element(tbs, wrapped.start, wrapped.stop)
    return asn1.extensions(tbs, inner.start, inner.stop)


def _scope(extensions: x509.Extensions | None) -> tuple[list[str], list[str]]:
    """What the issuing distribution point (RFC 5280 5.2.5) limits the list to, and the URLs of that point."""
    point = extension_value(extensions, x509.IssuingDistributionPoint, lambda value: value)
    if point is None:
        return [], []
    limits = {
        "user_certificates": point.only_contains_user_certs,
        "ca_certificates": point.only_contains_ca_certs,
        "attribute_certificates": point.only_contains_attribute_certs,
        "some_reasons": point.only_some_reasons is not None,
        "indirect": point.indirect_crl,
    }
    urls = name_urls(point.full_name or [])
    # A point named in another way than by URLs can be compared with no certificate here.
    limits["other_names"] = point.relative_name is not None or (point.full_name is not None and not urls)
    return [word for word, limited in limits.items() if limited], urls


def _published(extensions: x509.Extensions | None) -> list[str]:
    """URLs of Microsoft's Published CRL Locations; the names are taken as they stand, whatever is around them."""
    raw = raw_extension(extensions, _PUBLISHED)
    if raw is None:
        return []
    found: list[str] = []
    open_ = [(0, len(raw))]
    try:
        while open_ and len(found) < MAX_URLS:
            start, stop = open_.pop()
            inner = []
            for each in asn1.elements(raw, start, stop):
                if each.tag == 0x86:  # [6] uniformResourceIdentifier
                    found.append(raw[each.start : each.stop].decode("ascii", "replace")[:2048])
                elif each.tag in (asn1.SEQUENCE, 0xA0):
                    inner.append((each.start, each.stop))
            open_ += reversed(inner)
    except ValueError:
        return []
    return found


def _next_publish(extensions: x509.Extensions | None) -> datetime | None:
    raw = raw_extension(extensions, _NEXT_PUBLISH)
    for tag in (asn1.UTC_TIME, asn1.GENERALIZED_TIME):
        content = short_content(raw, tag)
        if content is not None:
            return or_none(lambda: asn1.moment(tag, content))  # noqa: B023
    return None
