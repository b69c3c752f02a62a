"""LDIF (RFC 2849), what ldapsearch and ldifde print, and csvde's table: certificates and CRLs of a directory.

Only the attributes that hold them are looked at; what a directory says of people is nobody's
business here. A value counts by its DER. A value that stands in another file (``:<``) is
never followed, whatever the URL. Every value of an attribute counts: a renewal is a second
value beside the first.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from carecover.evidence import der as asn1
from carecover.evidence.text import encoding_of, head_text, lines
from carecover.evidence.units import Irrelevant, Reader, Rejected, Source, Unit
from carecover.evidence.x509 import units_of_der

# RFC 4523 and what Active Directory adds; the OIDs, because a name may be given so.
_ATTRIBUTES: Final = {
    name.lower(): name
    for name in (
        *("userCertificate", "cACertificate", "userCert", "userSMIMECertificate", "crossCertificatePair"),
        *("certificateRevocationList", "authorityRevocationList", "deltaRevocationList"),
    )
} | {
    "2.5.4.36": "userCertificate",
    "2.5.4.37": "cACertificate",
    "2.5.4.38": "authorityRevocationList",
    "2.5.4.39": "certificateRevocationList",
    "2.5.4.40": "crossCertificatePair",
    "2.5.4.53": "deltaRevocationList",
}
# The CRL of a CA that revoked a million certificates, in base64.
MAX_VALUE_CHARS: Final = 128 * 1024 * 1024
# What stands before the first record: a prompt, comments, the words of ldapsearch.
_LINES_BEFORE: Final = 200
_DN = re.compile(r"(?i)dn:(?::|<)?[ \t]*")
_NAME = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,60}|\d[\d.]{2,60})(?:;[A-Za-z0-9=*;_-]{1,80})?(::|:<|:)[ \t]*", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)
_HEX = re.compile(r"(?:0x|\\)?((?:[0-9A-Fa-f]{2}[ \\]?){8,})", re.ASCII)
_CSVDE_BYTES = re.compile(r"X'([0-9A-Fa-f]*)'", re.ASCII)
# A certificate of 2 kB is 4 kB in csvde; Python's csv takes cells of 128 kB.
_TOO_WIDE: Final = (
    "From here on the table cannot be split into rows ({}). Export with ldifde, or with a narrower list (-l)."
)


@dataclass(slots=True)
class _Value:
    """One value of an attribute that is looked at, as its lines come."""

    location: str
    name: str
    kind: str
    parts: list[str] = field(default_factory=list)
    size: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, text: str) -> None:
        """The next line of it, without its fold."""
        self.size += len(text)
        if self.size <= MAX_VALUE_CHARS:
            self.parts.append(text)
        self.digest.update(text.encode("utf-8", "replace"))

    def units(self) -> Iterator[Unit]:
        """What the value gives, now that it is whole."""
        if self.size > MAX_VALUE_CHARS:
            reason = f"The value has more than {MAX_VALUE_CHARS} characters. Hand in the CRL or certificate as a file."
            yield Rejected(self.location, "split", reason, self.size, self.digest.hexdigest())
            return
        text = "".join(self.parts).strip()
        if self.kind == ":<":
            reason = "The value is in another file, which is not followed. Hand in that file itself."
            yield Rejected.of(self.location, "open", reason, text.encode("utf-8", "replace"))
        elif not text:
            # ldapsearch -A prints the names of attributes alone.
            yield Irrelevant()
        else:
            yield from _units(self.name, self.location, text, _bytes(text, encoded=self.kind == "::"))


def _bytes(text: str, *, encoded: bool) -> bytes | None:
    """The bytes of a value: base64 behind ``::``; elsewhere base64 or hex where it can be nothing else."""
    compact = "".join(text.split())
    try:
        if encoded or (compact.startswith("M") and _BASE64.fullmatch(compact)):
            return base64.b64decode(compact, validate=True)
        digits = _HEX.fullmatch(text)
        return bytes.fromhex(re.sub(r"[ \\]", "", digits[1])) if digits else None
    except (binascii.Error, ValueError):
        return None


def _units(name: str, location: str, text: str, data: bytes | None) -> Iterator[Unit]:
    if data is None:
        reason = (
            f"The value of {name} is no certificate and no base64: a placeholder, a mark such as 'binary blob', or "
            "text. Export again with ldifde or ldapsearch, which write the bytes."
        )
        yield Rejected.of(location, "parse", reason, text.encode("utf-8", "replace"))
    elif not data.strip(b"\0"):
        # Active Directory fills attributes that its schema demands with one NUL.
        yield Irrelevant()
    elif name == "crossCertificatePair":
        yield from _pair(data, location)
    else:
        yield from units_of_der(data, location)


def _pair(data: bytes, location: str) -> Iterator[Unit]:
    """CertificatePair (X.509 11.2.3): at most two certificates in wrappings of their own."""
    try:
        outer = asn1.element(data, 0, len(data))
        parts = list(asn1.elements(data, outer.start, outer.stop))
    except ValueError as error:
        yield Rejected.of(location, "parse", f"The pair of certificates is damaged: {error}.", data)
        return
    if not parts or any(part.tag not in (0xA0, 0xA1) for part in parts) or len(parts) > 2:
        yield from units_of_der(data, location)
        return
    for part in parts:
        half = "issued to" if part.tag == 0xA0 else "issued by"
        yield from units_of_der(data[part.start : part.stop], f"{location}, {half}")


# ---------------------------------------------------------------------------------------- LDIF


def _recognises(source: Source) -> bool:
    seen = 0
    for line in head_text(source.head).split("\n", 4 * _LINES_BEFORE)[: 4 * _LINES_BEFORE]:
        if not line.strip() or line[0] in "# ":
            continue
        if _DN.match(line) is not None and (line[0] in "dD") and len(line) > 3:
            return True
        name = _NAME.match(line[:200])
        if name is not None and name[2] != ":" and name[1].lower() in _ATTRIBUTES:
            return True
        seen += 1
        if seen >= _LINES_BEFORE:
            return False
    return False


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    encoding, skip = encoding_of(source.data)
    record = found = done = 0
    counts: dict[str, int] = {}
    value: _Value | None = None
    for number, line in enumerate(_rejoined(lines(source.data, encoding, skip)), 1):
        done += len(line)
        bare = line.rstrip("\n")
        if value is not None:
            if bare.startswith(" "):
                value.add(bare[1:])
                continue
            if value.kind == "::" and bare and _BASE64.fullmatch(bare):
                # A copy of a page loses the blank that folds a line; nothing else of LDIF looks so.
                value.add(bare)
                continue
            yield from value.units()
            progress(min(done, source.size))
            value = None
        if _DN.match(bare) is not None:
            record += 1
            counts = {}
            continue
        match = _NAME.match(bare[:200]) if bare and bare[0] not in "# " else None
        name = _ATTRIBUTES.get(match[1].lower()) if match else None
        if match is None or name is None:
            continue
        found += 1
        counts[name] = counts.get(name, 0) + 1
        value = _Value(f"line {number}, record {record}, {name} {counts[name]}", name, match[2])
        value.add(bare[match.end() :])
    if value is not None:
        yield from value.units()
    if not found:
        yield Irrelevant()


def _rejoined(parts: Iterator[str]) -> Iterator[str]:
    """Lines that came in parts, because they are longer than others are: a whole value on one line is allowed."""
    held: list[str] = []
    size = 0
    for part in parts:
        held.append(part)
        size += len(part)
        if part.endswith("\n") or size > MAX_VALUE_CHARS:
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)


# --------------------------------------------------------------------------------------- csvde


def _fields(line: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([line]), [])]
    except csv.Error:
        return []


def _header(text: str) -> list[str] | None:
    """The header of csvde: DN first, then attributes."""
    first = next((line for line in text.split("\n", 20)[:20] if line.strip()), "")
    names = _fields(first[: 64 * 1024])
    return names if len(names) > 1 and names[0].casefold() == "dn" else None


def _read_csvde(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    encoding, skip = encoding_of(source.data)
    found = done = 0
    reader = csv.reader(lines(source.data, encoding, skip))
    columns: dict[int, str] | None = None
    record = 0
    while True:
        location = f"line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            found += 1
            yield Rejected.of(location, "split", _TOO_WIDE.format(error), source.data)
            break
        done += sum(map(len, cells))
        progress(min(done, source.size))
        if columns is None:
            if any(cell.strip() for cell in cells):
                names = [cell.strip().partition(";")[0].lower() for cell in cells]
                columns = {at: _ATTRIBUTES[name] for at, name in enumerate(names) if name in _ATTRIBUTES}
            continue
        if not any(cell.strip() for cell in cells):
            continue
        record += 1
        for at, name in columns.items():
            for place, (text, data) in enumerate(_of_cell(cells[at] if at < len(cells) else ""), 1):
                found += 1
                yield from _units(name, f"{location}, record {record}, {name} {place}", text, data)
    if not found:
        yield Irrelevant()


def _of_cell(cell: str) -> Iterator[tuple[str, bytes | None]]:
    """The values of a cell: ``X'3082…'``, several with semicolons between them."""
    for text in filter(None, (part.strip() for part in cell.split(";"))):
        match = _CSVDE_BYTES.fullmatch(text)
        if match is None:
            yield text, _bytes(text, encoded=False)
        else:
            yield text, bytes.fromhex(match[1]) if len(match[1]) % 2 == 0 else None


READER: Final = Reader("ldif", _recognises, _read)
CSVDE_READER: Final = Reader("ldif", lambda source: _header(head_text(source.head)) is not None, _read_csvde)
