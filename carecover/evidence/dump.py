"""What certutil prints of certificates and CRLs: ``-dump``, ``-store``, and their bytes in hex (``-encodehex``).

A text proves nothing: it has no signature, and anyone can type it. What it shows becomes rows
of ``printed``, to be read and to be followed up, never rows of ``certificates`` or ``crls``. Of
hex the DER is taken, which is a certificate like any other.

certutil prints a certificate in one order in every language: its serial number before any
name, and in ``-store`` one line a field. So serial and hashes are told by place and shape
("(sha1)" is not translated), dates by their place where their labels are translated, and
names only under labels that are known. CRL entries are told by their indentation and by the
OID of the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from carecover.evidence import values
from carecover.evidence.text import OEM, encoding_of, head_text, lines, told_encoding
from carecover.evidence.units import Parsed, PrintedTime, Reader, Rejected, Row, Source, Unit
from carecover.evidence.x509 import MAX_CRL_BYTES, units_of_der, what_it_holds

# A certificate of twenty extensions has some 300 lines.
MAX_BLOCK_LINES: Final = 20_000
# What tells an entry of a list in any language: a number of four bytes or more in hex, indented by two.
_MIN_SERIAL: Final = 8
# Entries of one printed list; above it the list itself must be handed in.
MAX_ENTRIES: Final = 2_000_000
_MAX_LINE: Final = 4_000
_RULE = re.compile(r"={5,} \S.{0,79}?\s(\d{1,9}) ={5,}\s*")
_LABELLED = re.compile(r"([ \t]*)(\S[^:=]{0,79}?)[\s\u00a0]?:(?:[ \t\u00a0]+(\S.*))?\s*")
_SERIAL = re.compile(r"(?:[0-9a-f]{2} ?){1,24}", re.IGNORECASE | re.ASCII)
_SHA1 = re.compile(r"(?:[0-9a-f]{2} ?){20}", re.IGNORECASE | re.ASCII)
_DIGITS = re.compile(r"\d{1,9}", re.ASCII)
_REASON = re.compile(r"\s*\S.{0,60}\((\d{1,2})\)\s*")
_CODE: Final = "2.5.29.21"
_DATE = re.compile(r"\d{1,4} ?[./-] ?\d{1,2}")
# English first, then what public samples show of other languages.
_NAMES: Final = {
    **dict.fromkeys(("issuer", "aussteller", "émetteur", "emissor", "颁发者", "emittente", "emisor"), "issuer"),
    **dict.fromkeys(("subject", "antragsteller", "objet", "requerente", "使用者", "soggetto", "asunto"), "subject"),
    **dict.fromkeys(("template", "vorlage", "modèle", "modelo"), "template"),
    **dict.fromkeys(("notbefore", "nicht vor", "thisupdate", "diese aktualisierung"), "not_before"),
    **dict.fromkeys(("notafter", "nicht nach", "nextupdate", "nächste aktualisierung"), "not_after"),
}
# "Key Id Hash(sha1)" is the hash of a key; it stands above "Cert Hash(sha1)", with "(rfc-sha1)" of the same words.
_OF_THE_KEY: Final = "(rfc-sha1)"
_START_OF_LIST = re.compile(r"(?i)x\.?509[ -]certificate revocation list:")
_START_OF_CERTIFICATE = re.compile(r"(?i)x\.?509[ -](?:certificate|zertifikat):")
_SERIAL_LINE = re.compile(r"(?im)^[ \t]*serial number: ?\S")
_LIST_LINE = re.compile(r"(?im)^[ \t]*(?:crl entries|revocation date): ?\S")
_HASH_LINE = re.compile(r"(?im)^[ \t]*cert hash\(sha1\): ?\S")
# An entry of a list, and the beginning of a certificate, whatever their labels are called.
_ENTRY = re.compile(r"(?im)^  \S[^:\n]{0,79}: ?(?:[0-9a-f]{2}){4,20}\n   \S[^:\n]{0,79}: ?\d{1,4} ?[./-] ?\d")
_VERSION_AND_SERIAL = re.compile(r"(?im)^\S[^:\n]{0,79}: ?[123]\n\S[^:\n]{0,79}: ?(?:[0-9a-f]{2}){4,20}$")
_ADDRESS = re.compile(r"^[0-9a-f]{4,8}:?[ \t]+(?=[0-9a-f]{2}(?:[ \t]|$))", re.IGNORECASE | re.ASCII)
_BESIDE = re.compile(r"[ \t]{3,}")
_DER_IN_HEX = re.compile(r"30[ \t]?8[0-4][ \t]?[0-9a-f]{2}", re.IGNORECASE | re.ASCII)
# An address, two digits and a blank a byte, the characters: some five for one.
_HEX_PER_BYTE: Final = 5
WHAT_TO_HAND_IN: Final = (
    "Hand in the certificate or CRL itself: certutil -encode, -ca.cert, -getcrl, or the .cer and .crl files."
)


@dataclass(slots=True)
class _Block:
    """One certificate or list as it is printed."""

    location: str
    kind: Literal["certificate", "crl"] | None = None
    row: dict[str, object] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    entries: list[dict[str, object]] = field(default_factory=list)
    claimed: int | None = None
    labels: int = 0
    serial_text: str | None = None
    hash_of_key: str | None = None
    name: str | None = None
    name_indent: int = 0
    reason_follows: int = 0
    too_long: bool = False


def _is_dump(source: Source) -> bool:
    text = head_text(source.head)
    if _SERIAL_LINE.search(text) or _LIST_LINE.search(text) or _HASH_LINE.search(text):
        return True
    if _START_OF_LIST.search(text[: 64 * 1024]) or _START_OF_CERTIFICATE.search(text[: 64 * 1024]):
        return True
    if _ENTRY.search(text) or _VERSION_AND_SERIAL.search(text):
        return True
    found = text.split("\n", 4000)[:4000]
    for number, line in enumerate(found):
        if len(line) <= _MAX_LINE and _RULE.fullmatch(line):
            below = (_LABELLED.fullmatch(other[:_MAX_LINE]) for other in found[number + 1 : number + 4])
            if any(match and match[3] and _SERIAL.fullmatch(match[3].strip()) for match in below):
                return True
    return False


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    encoding, skip = encoding_of(source.data)
    flags = ["encoding_guessed"] if encoding == OEM else []
    block: _Block | None = None
    found = done = 0
    last = ""
    for number, raw in enumerate(lines(source.data, encoding, skip), 1):
        done += len(raw)
        line = raw.rstrip("\n")[:_MAX_LINE]
        started = _starts(line, last, block)
        if line.strip():
            last = line
        if started is not None:
            for unit in _finished(block):
                found += 1
                yield unit
            progress(min(done, source.size))
            block = _Block(f"line {number}", None if started == "rule" else started, flags=list(flags))
            block.lines.append(line)
            continue
        if block is None and _begins_without_head(line):
            block = _Block(f"line {number}", flags=list(flags))
        if block is not None:
            _take(block, line)
    for unit in _finished(block):
        found += 1
        yield unit
    if not found:
        reason = (
            "This is text of certificates (certutil -dump, -store) in which no serial number and no list is whole. "
            f"{WHAT_TO_HAND_IN}"
        )
        yield Rejected.of("line 1", "parse", reason, source.data)


def _starts(line: str, last: str, block: _Block | None) -> Literal["rule", "certificate", "crl"] | None:
    """What begins on this line: an element of a store, a certificate or a list of -dump."""
    if _RULE.fullmatch(line):
        return "rule"
    if _START_OF_LIST.fullmatch(line.strip()):
        return "crl"
    if _START_OF_CERTIFICATE.fullmatch(line.strip()):
        return "certificate"
    # "Version: 3" under a heading, in a language whose heading is not known.
    match = _LABELLED.fullmatch(line)
    fresh = block is None or block.serial_text is not None or block.kind == "crl"
    headed = last.endswith(":") and not last.startswith((" ", "\t"))
    version = match is not None and not match[1] and (match[3] or "").strip() in {"1", "2", "3"}
    return "certificate" if version and headed and fresh else None


def _begins_without_head(line: str) -> bool:
    """A copy that lost its heading begins with the serial number of its first certificate, or in a list."""
    match = _LABELLED.fullmatch(line)
    if match is None or match[3] is None:
        return False
    label, value = match[2].casefold(), match[3].strip()
    return label in {"serial number", "crl entries", "thisupdate"} and bool(
        _SERIAL.fullmatch(value) or _DATE.match(value)
    )


def _take(block: _Block, line: str) -> None:
    if len(block.lines) < MAX_BLOCK_LINES:
        block.lines.append(line)
    match = _LABELLED.fullmatch(line)
    if block.reason_follows:
        block.reason_follows -= 1
        if (reason := _REASON.fullmatch(line)) is not None and block.entries:
            block.entries[-1]["reason"] = _checked(values.reason, reason[1])
            block.reason_follows = 0
    if block.kind == "crl" and _CODE in line and block.entries:
        block.reason_follows = 3
    if match is None or match[3] is None:
        _name_goes_on(block, line, match)
        return
    block.name = None
    indent, label, value = match[1], match[2], match[3].strip()
    block.labels += 1
    known = _NAMES.get(label.casefold())
    if _took_number(block, indent, label, value):
        return
    if known in ("not_before", "not_after") or (known is None and indent == " " and _DATE.match(value)):
        _date(block, known, value)
    elif known in ("issuer", "subject", "template") and known not in block.row and len(indent) < 2:
        block.row[known] = value
        block.name, block.name_indent = known, len(indent)


def _took_number(block: _Block, indent: str, label: str, value: str) -> bool:
    """Take serial numbers, counts and hashes; True where the line was one of them."""
    if (count := _DIGITS.fullmatch(value)) and block.serial_text is None and not indent:
        if label.casefold() == "crl entries":
            block.kind = "crl"
        if (block.kind == "crl" or "not_before" in block.row) and block.claimed is None and not block.entries:
            # In whatever language, the number between the dates of a list and its entries is how many it has.
            block.claimed = int(count[0])
            return True
    entry = len(indent) == 2 and "(" not in label and len(value) >= _MIN_SERIAL and _SERIAL.fullmatch(value) is not None
    if entry and block.serial_text is None and block.row and label.casefold() not in _NAMES:
        block.kind = "crl"
    if block.kind == "crl" and len(indent) == 2 and _SERIAL.fullmatch(value) and "(" not in label:
        if len(block.entries) >= MAX_ENTRIES:
            block.too_long = True
        else:
            block.entries.append({"what": "crl_entry", "serial": _checked(values.serial, value), "printed": value})
        return True
    if block.kind == "crl" and len(indent) == 3 and block.entries and _DATE.match(value):
        block.entries[-1].setdefault("revoked_at", PrintedTime(value))
        return True
    if "(" not in label and not indent and _is_serial(block, label, value):
        block.serial_text = value
        block.row["serial"] = _checked(values.serial, value)
        return True
    if label.endswith(_OF_THE_KEY):
        block.hash_of_key = label.removesuffix(_OF_THE_KEY)
    elif label.endswith("(sha1)") and len(indent) < 2 and _SHA1.fullmatch(value):
        words = label.removesuffix("(sha1)").strip()
        if words != (block.hash_of_key or "").strip() and words.casefold() != "key id hash":
            block.row["thumbprint"] = _checked(values.thumbprint, value)
        return True
    return False


def _is_serial(block: _Block, label: str, value: str) -> bool:
    """The first hex of a certificate stands before every name in it; a version and an element number may precede it."""
    if block.serial_text is not None or block.kind == "crl" or block.row or not _SERIAL.fullmatch(value):
        return False
    return block.labels <= 3 or label.casefold() == "serial number"


def _date(block: _Block, known: str | None, value: str) -> None:
    if known is None:
        known = "not_before" if "not_before" not in block.row else "not_after"
    if _DATE.match(value) and known not in block.row:
        block.row[known] = PrintedTime(value)


def _name_goes_on(block: _Block, line: str, match: re.Match[str] | None) -> None:
    """The lines of a name that -dump prints one attribute a line, or that it wrapped."""
    if match is not None and match[3] is None:
        known = _NAMES.get(match[2].casefold())
        block.name = known if known in ("issuer", "subject") and known not in block.row and not match[1] else None
        block.name_indent = 0
        return
    if block.name is None:
        return
    text = line.strip()
    if not text or len(line) - len(line.lstrip()) <= block.name_indent or "=" not in text:
        block.name = None
        return
    before = str(block.row.get(block.name) or "").rstrip(", ")
    block.row[block.name] = f"{before}, {text}".strip(", ")[:_MAX_LINE]


def _checked(read: Callable[[str], object], text: str) -> object:
    try:
        return read(text)
    except ValueError:
        return None


def _finished(block: _Block | None) -> Iterator[Unit]:
    """What a block gives: nothing for a heading alone, else one unit."""
    if block is None or not (block.labels or block.entries):
        return
    raw = "\n".join(block.lines).encode("utf-8", "replace")
    listed = block.kind == "crl" or (block.serial_text is None and re.search(r"\bCRL\b", block.lines[0]) is not None)
    if listed:
        yield _list(block, raw)
    elif block.row.get("serial") is None:
        shown = f"'{block.serial_text}' is no serial number" if block.serial_text else "No serial number is shown"
        reason = f"{shown} in this text of a certificate. {WHAT_TO_HAND_IN}"
        yield Rejected.of(block.location, "parse", reason, raw)
    else:
        flags = block.flags + ([] if "thumbprint" in block.row else ["incomplete"])
        yield Parsed((("printed", _row(block, "certificate", flags)),))


def _list(block: _Block, raw: bytes) -> Unit:
    if block.too_long:
        reason = f"The list has more than {MAX_ENTRIES} entries. {WHAT_TO_HAND_IN}"
        return Rejected.of(block.location, "split", reason, raw)
    if not block.entries and not ({"not_before", "thumbprint"} & set(block.row)):
        reason = f"Of this list of revocations neither an entry nor its date is shown. {WHAT_TO_HAND_IN}"
        return Rejected.of(block.location, "parse", reason, raw)
    bad = [entry for entry in block.entries if entry["serial"] is None]
    short = block.claimed is not None and block.claimed != len(block.entries)
    head = _row(block, "crl", block.flags + (["incomplete"] if short or bad else []))
    rows: list[Row] = [head]
    for number, entry in enumerate(block.entries, 1):
        shown = {name: value for name, value in entry.items() if name != "printed"}
        flags = [*block.flags, *(["serial_invalid"] if entry["serial"] is None else [])]
        place = f"{block.location}, entry {number}"
        rows.append({**shown, "issuer": head.get("issuer"), "location": place, "flags": flags})
    return Parsed(tuple(("printed", row) for row in rows))


def _row(block: _Block, what: str, flags: list[str]) -> Row:
    return {**block.row, "what": what, "location": block.location, "flags": flags}


# ----------------------------------------------------------------------------------------- bytes in hex


def _hex_of(text: str) -> bytes | None:
    """The bytes of a dump in hex, with or without addresses and characters beside them; None where a line is none."""
    digits: list[str] = []
    for line in text.split("\n"):
        # Behind three blanks stand the characters, which may look like hex as well.
        bare = _BESIDE.split(_ADDRESS.sub("", line.strip(), count=1), maxsplit=1)[0]
        digits.append("".join(bare.split()))
    try:
        return bytes.fromhex("".join(digits))
    except ValueError:
        return None


def _is_hex(source: Source) -> bool:
    encoding, skip = told_encoding(source.head)
    start = source.head[skip : skip + 512].decode(encoding, "replace").lstrip()
    first = start.partition("\n")[0].rstrip("\r")
    if not _DER_IN_HEX.match(_ADDRESS.sub("", first, count=1)) or source.size > _HEX_PER_BYTE * MAX_CRL_BYTES:
        return False
    # The last line of the start may be cut.
    text = head_text(source.head)
    return _hex_of(text if source.size <= len(source.head) else text.rpartition("\n")[0]) is not None


def _read_hex(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    encoding, skip = told_encoding(source.data)
    der = _hex_of(bytes(source.data[skip:]).decode(encoding, "replace").replace("\r", ""))
    if der is None or what_it_holds(der) is None:
        reason = f"The hex is cut off, or holds no certificate or CRL. {WHAT_TO_HAND_IN}"
        yield Rejected.of("byte 0", "parse", reason, source.data)
    else:
        yield from units_of_der(der, "byte 0")
    progress(source.size)


# Each was printed by its own machine: its order of day and month says nothing about the others.
READER: Final = Reader("dump", _is_dump, _read, alone=True)
HEX_READER: Final = Reader("certificate", _is_hex, _read_hex)
