"""How this CA makes its serial numbers, learnt from its own rows; and what a serial says by that.

AD CS puts the request ID and the index of the CA certificate into every serial, in one of
four layouts ([MS-WCCE] 3.2.1.4.2.1.4.6). Which one a CA uses is its registry's choice
(HighSerial), so a serial alone does not tell: a string layout of four bytes looks like the
default one. The rows tell, because they hold request ID and serial side by side.

CA-certificate index and CA-key index are two things: a renewal with the same key adds a
certificate and no key, and so no CRL of its own. The CA version extension
(1.3.6.1.4.1.311.21.1) and the column IssuerNameID hold both: key index << 16 | index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pandas as pd

from carecover.analysis.cells import cell_moment, cell_value, true
from carecover.model import Disposition, SerialAnatomy, SerialNumber, among

# The layout changes only with the CA's configuration: the first and last thousand rows tell.
_SAMPLE: Final = 1000
_AT_A_TIME: Final = 1 << 16
# Bytes of a serial behind HighSerial: index and request ID.
_TAIL_DIGITS: Final = 12
_MIN_DIGITS, _MAX_DIGITS = _TAIL_DIGITS + 2, 38
# A flood of mails must not fill the memory.
_MOST_DECODED: Final = 100_000
# A CA is renewed a few times in its life. Index 128 is a typing error or a forgery.
MAX_RENEWALS_LOST: Final = 8


@dataclass(frozen=True)
class CaLayout:
    """What is learnt about one CA.

    ``firsts``: layout → the bytes that all its serials of that layout begin with;
    ``strings``: those beginnings of the string layouts, by which a lost serial can come back;
    ``key_of_index``: CA-certificate index → CA-key index; ``held``: indexes that the restored
    CA has for certain; ``lost``: indexes of CA certificates that were handed in and that it
    does not have; ``certified``: indexes whose certificate is at hand; ``key_ids``: CA-key index →
    key identifiers of those; ``signed_strings``: beginnings that only found certificates show,
    made under a HighSerial that the restored CA no longer has.
    """

    firsts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    strings: frozenset[str] = frozenset()
    key_of_index: Mapping[int, int] = field(default_factory=dict)
    held: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()
    certified: frozenset[int] = frozenset()
    key_ids: Mapping[int, frozenset[str]] = field(default_factory=dict)
    signed_strings: frozenset[str] = frozenset()
    _decoded: dict[str, SerialAnatomy] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was decoded already: everyone who looks at a serial asks again."""

    @property
    def newest(self) -> int:
        """Index of the CA certificate under which the restored CA issues."""
        return max(self.held, default=0)

    def decode(self, serial: str) -> SerialAnatomy:
        """What the serial says; read as a string layout where the CA is known to use one."""
        known = self._decoded.get(serial)
        if known is None:
            if len(self._decoded) >= _MOST_DECODED:
                self._decoded.clear()
            known = self._decoded[serial] = self._decode(serial)
        return known

    def _decode(self, serial: str) -> SerialAnatomy:
        prefix = serial[:-_TAIL_DIGITS]
        if prefix in self.strings or prefix in self.signed_strings:
            return SerialAnatomy("string", int(serial[-8:], 16), int(serial[-_TAIL_DIGITS:-8], 16), prefix)
        anatomy = SerialNumber.parse(serial).anatomy
        if anatomy.layout == "string" and self.strings:
            # The right length by chance: the CA's own beginning is another.
            return SerialAnatomy("foreign")
        return anatomy

    def native(self, anatomy: SerialAnatomy) -> bool:
        """True where the CA's own rows have this form: layout, and the bytes that never change."""
        return (anatomy.prefix or "") in self.firsts.get(anatomy.layout, ())

    def carries(self, anatomy: SerialAnatomy) -> bool:
        """True where index and request ID in the serial can be believed; the 19-byte form checks itself."""
        return anatomy.layout == "number" or self.native(anatomy) or (not self.firsts and anatomy.layout == "default")

    def key_of(self, anatomy: SerialAnatomy) -> int | None:
        """Index of the key that signed a certificate, by its serial; None where that is not known."""
        index = anatomy.ca_cert_index
        return None if index is None or not self.carries(anatomy) else self.key_of_index.get(index)

    def request_id(self, serial: str) -> int | None:
        """The request ID that the serial carries, where it can be believed."""
        anatomy = self.decode(serial)
        return anatomy.request_id if self.carries(anatomy) else None

    def unheld(self, anatomy: SerialAnatomy) -> bool:
        """True where the serial was made under a CA certificate that the restored CA does not have."""
        index = anatomy.ca_cert_index
        if index is None or not self.carries(anatomy):
            return False
        return index in self.lost or (bool(self.held) and index > self.newest and index not in self.held)

    def absurd(self, anatomy: SerialAnatomy) -> bool:
        """True where the index is one that no CA reaches."""
        known = max([*self.held, *self.lost, *self.key_of_index], default=0)
        return (anatomy.ca_cert_index or 0) > known + MAX_RENEWALS_LOST


def learn_layout(
    rows: pd.DataFrame,
    ca_certificates: pd.DataFrame,
    crls: pd.DataFrame,
    registry: pd.DataFrame,
    *,
    backup: datetime | None,
    cut: datetime | None,
    certificates: pd.DataFrame | None = None,
) -> CaLayout:
    """Learn from the baseline, this CA's own certificates, its signed CRLs, its registry, and what it signed.

    ``backup`` and ``cut`` bound the window in which a renewal can have been lost.
    """
    firsts, strings = _forms(rows)
    signed_strings = (
        frozenset[str]() if certificates is None or not firsts else _learn_from_signed(certificates, firsts)
    )
    named = [int(v) for v in rows["issuer_name_id"].unique() if not pd.isna(v)]
    lost = _lost_certificates(rows, named, ca_certificates, registry, backup, cut)
    versions = [int(v) for v in ca_certificates["ca_version"].dropna()]
    published = [int(v) for v in crls["ca_version"].dropna().unique()]
    key_of_index = {v & 0xFFFF: v >> 16 for v in (*published, *named, *versions)}
    own = frozenset(v & 0xFFFF for v in versions)
    held = frozenset(({v & 0xFFFF for v in named} | own) - lost)
    key_ids: dict[int, frozenset[str]] = {}
    known = ca_certificates.dropna(subset=["ca_version", "key_id"])
    for version, key_id in zip(known["ca_version"], known["key_id"], strict=True):
        key_ids[int(version) >> 16] = key_ids.get(int(version) >> 16, frozenset()) | {str(key_id)}
    return CaLayout(firsts, strings, key_of_index, held, frozenset(lost), own, key_ids, signed_strings)


def _learn_from_signed(certificates: pd.DataFrame, firsts: dict[str, frozenset[str]]) -> frozenset[str]:
    """Add what certificates that the CA signed begin with: HighSerial may have been changed in the window.

    A string beginning needs two of them: one may be an imported certificate's. Where no row
    tells what is usual, nothing can be unlike it.
    """
    if not firsts:
        return frozenset()
    mine = certificates[true(certificates["signed_by_ca"]) & ~true(certificates["is_ca"])]
    strings: dict[str, set[str]] = {}
    for serial in mine["serial"].dropna().unique():
        anatomy = SerialNumber.parse(str(serial)).anatomy
        if anatomy.layout == "number" and anatomy.prefix:
            firsts["number"] = firsts.get("number", frozenset()) | {anatomy.prefix}
        elif anatomy.layout == "string" and anatomy.prefix:
            strings.setdefault(anatomy.prefix, set()).add(str(serial))
    learnt = frozenset(prefix for prefix, serials in strings.items() if len(serials) > 1)
    if learnt:
        firsts["string"] = firsts.get("string", frozenset()) | learnt
    return learnt


def _forms(rows: pd.DataFrame) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Layouts with their constant beginnings, and the beginnings of string layouts."""
    rows = rows[["serial", "request_id", "disposition"]]
    sample = pd.concat([_issued(rows, last=False), _issued(rows, last=True)])
    ids: dict[str, set[int]] = {}
    for serial, request_id in zip(sample["serial"], sample["request_id"], strict=True):
        if not _MIN_DIGITS <= len(serial) <= _MAX_DIGITS or pd.isna(request_id):
            continue
        if int(serial[-8:], 16) == request_id and SerialNumber.parse(serial).anatomy.layout != "number":
            ids.setdefault(serial[:-_TAIL_DIGITS], set()).add(int(request_id))
    # Four bytes that are the same in two rows of the default layout would be a chance of 2^-32.
    strings = frozenset(prefix for prefix, seen in ids.items() if len(seen) > 1)
    firsts: dict[str, set[str]] = {}
    for serial in sample["serial"].unique():
        prefix = serial[:-_TAIL_DIGITS]
        if prefix in strings:
            firsts.setdefault("string", set()).add(prefix)
            continue
        anatomy = SerialNumber.parse(str(serial)).anatomy
        firsts.setdefault(anatomy.layout, set()).add(anatomy.prefix or "")
    return {layout: frozenset(prefixes) for layout, prefixes in firsts.items()}, strings


def _issued(rows: pd.DataFrame, *, last: bool) -> pd.DataFrame:
    """The first or last thousand rows that hold a certificate; of a large database little else is looked at."""
    found, count = [rows.iloc[:0]], 0
    begins = range(0, len(rows), _AT_A_TIME)
    for begin in reversed(begins) if last else begins:
        part = rows.iloc[begin : begin + _AT_A_TIME]
        part = part[true(part["disposition"].isin([Disposition.ISSUED, Disposition.REVOKED])) & part["serial"].notna()]
        found.append(part)
        count += len(part)
        if count >= _SAMPLE:
            break
    whole = pd.concat(reversed(found) if last else found)
    return whole.tail(_SAMPLE) if last else whole.head(_SAMPLE)


def _lost_certificates(
    rows: pd.DataFrame,
    named: Iterable[int],
    ca_certificates: pd.DataFrame,
    registry: pd.DataFrame,
    backup: datetime | None,
    cut: datetime | None,
) -> set[int]:
    """Indexes of this CA's certificates that the restored CA does not have.

    ``named`` are the CA versions in the rows' IssuerNameID.

    The registry's CACertHash lists those that it has; it is this CA's where it lists at least one
    of them. Without it, a certificate made in the window is lost. Either way none is lost whose
    hash a row knows, or under whose index a row was signed: a registry may be an old export, or
    anybody's.
    """
    listed = {
        line.replace(" ", "").casefold()
        for lines in registry.loc[registry["name"].str.casefold() == "cacerthash", "value"]
        for line in lines
    }
    if listed.isdisjoint(ca_certificates["thumbprint"].dropna()):
        listed = set()
    known = set(rows.loc[among(rows["thumbprint"], ca_certificates["thumbprint"].dropna()), "thumbprint"])
    used = {version & 0xFFFF for version in named} | _carried(rows)
    lost: set[int] = set()
    for each in ca_certificates[ca_certificates["ca_version"].notna()].to_dict("records"):
        index, begins = int(each["ca_version"]) & 0xFFFF, cell_moment(each["not_before"])
        if listed:
            gone = cell_value(each["thumbprint"]) not in listed
        else:
            in_window = backup is not None and begins is not None and begins > backup and (cut is None or begins <= cut)
            gone = in_window
        if gone and index not in used and cell_value(each["thumbprint"]) not in known:
            lost.add(index)
    return lost


def _carried(rows: pd.DataFrame) -> set[int]:
    """Indexes in serials of rows that do not show IssuerNameID; only the 19-byte form, which checks itself."""
    bare = rows.loc[rows["issuer_name_id"].isna(), "serial"]
    serials = bare[true(bare.str.len() == _MAX_DIGITS)]
    return {int(index, 16) for index in serials[serials.str[2:10] == serials.str[-8:]].str[-_TAIL_DIGITS:-8].unique()}


def own_certificates(certificates: pd.DataFrame) -> pd.DataFrame:
    """This CA's own certificates; a subordinate's counts its own renewals and says nothing here."""
    own = true(certificates["is_ca"]) & ~true(certificates["from_mail"])
    return certificates[own & certificates["own_ca"].fillna(value=True).astype(bool)]


def high_serial_is_string(registry: pd.DataFrame) -> bool | None:
    """Whether the registry's HighSerial is a string; None where it was not handed in."""
    found: Any = registry[registry["name"].str.casefold() == "highserial"]
    if not len(found):
        return None
    return bool((found["type"].str.upper() == "REG_SZ").any())
