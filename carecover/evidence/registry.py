"""The CA's registry: what ``certutil -getreg`` and ``reg query`` print, and .reg files.

One unit is one key as it is listed. Seen in real captures are listings of one value: the
key's line ends in the value's name and a colon, numbers are hexadecimal with the decimal in
parentheses, flags and URLs stand decoded on indented lines, the items of a multi-string are
numbered. The shape of a listing with sub-keys is assumed: headings that end in a colon, any
padding between name and type, a key's own line before its values. Nothing is read from
translated words.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Final

from carecover.evidence.text import OEM, encoding_of, head_text, lines
from carecover.evidence.units import Duplicate, Irrelevant, Parsed, Reader, Rejected, Row, Source, Unit

# A body of a notification has some 20 lines, a whole CA key some 60 values.
MAX_ITEMS: Final = 5_000
MAX_VALUES: Final = 5_000
# Microsoft advises to keep registry values below 2,048 bytes; certificates and ACLs have some more.
MAX_VALUE_CHARS: Final = 256 * 1024
# Structure is looked for in the first characters of a line only.
MAX_STRUCTURE_CHARS: Final = 4_000

_CONFIGURATION = re.compile(
    r"(?:HKEY_LOCAL_MACHINE|HKLM)\\SYSTEM\\(?:CurrentControlSet|ControlSet\d{3})\\Services\\CertSvc\\Configuration"
    r"(?:\\([^\\]+)(?:\\(.+))?)?",
    re.IGNORECASE,
)
_KEY_LINE = re.compile(r"[ \t]*(HKEY_[A-Z_]{5,20}(?:\\.*)?)", re.IGNORECASE)
# certutil: "  CRLPeriodUnits REG_DWORD = 63 (99)"; reg query: "    CRLPeriodUnits    REG_DWORD    0x63".
_NAME: Final = r"\S(?:.{0,250}?\S)?"
# The padding is possessive: a line of blanks is gone over once.
_PRINTED = re.compile(rf"([ \t]*)({_NAME})[ \t]{{1,80}}+(REG_[A-Z_]{{2,30}})[ \t]{{1,80}}+=(.*)")
_QUERIED = re.compile(rf"( {{4}})({_NAME}) {{4}}(REG_[A-Z_]{{2,30}})(.*)")
_ITEM = re.compile(r"[ \t]*(\d{1,5}):(.*)")
_NUMBER = re.compile(r"(0x)?([0-9a-f]{1,16})(?:[ \t]+\((-?\d{1,20})\))?", re.IGNORECASE | re.ASCII)
_STATUS = re.compile(r"[ \t]*certutil:[ \t]", re.IGNORECASE)
_FAILED = re.compile(r"\b(0x[89a-f][0-9a-f]{7})\b", re.IGNORECASE | re.ASCII)
# A command echoed with its prompt: what is listed next is another key's.
_COMMAND = re.compile(r"(?i)\bcertutil(?:\.exe)?\"?[ \t].{0,200}-[gs]etreg\b|\breg(?:\.exe)?[ \t]+query[ \t]")
_NOT_THERE: Final = "0x80070002"
_BITS: Final = {"REG_DWORD": 32, "REG_DWORD_BIG_ENDIAN": 32, "REG_QWORD": 64}

_VERSION_5: Final = "Windows Registry Editor Version 5"
_VERSION_4: Final = "REGEDIT4"
_FILE_KEY = re.compile(r"\[(-?)(HKEY_[^\n]*)\]\s*", re.IGNORECASE)
_FILE_NAME = re.compile(r'(?:@|"((?:[^"\\]|\\.)*)")\s*=\s*')
_FILE_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"\s*', re.DOTALL)
_TEXT_ENDS = re.compile(r'(?:\A|[^\\])(?:\\\\)*"\s*\Z')
_FILE_NUMBER = re.compile(r"dword:([0-9a-f]{1,8})\s*", re.IGNORECASE | re.ASCII)
_WHOLE_NUMBER = re.compile(r"dword:[0-9a-f]{8}", re.IGNORECASE | re.ASCII)
_FILE_BYTES = re.compile(r"hex(?:\(([0-9a-f]{1,8})\))?:([0-9a-f,\s]*)", re.IGNORECASE | re.ASCII)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_TYPES: Final = {
    0: "REG_NONE",
    1: "REG_SZ",
    2: "REG_EXPAND_SZ",
    3: "REG_BINARY",
    4: "REG_DWORD",
    5: "REG_DWORD_BIG_ENDIAN",
    6: "REG_LINK",
    7: "REG_MULTI_SZ",
    11: "REG_QWORD",
}
# Bytes are written as "0a,", a character of a multi-string has two.
_MAX_FILE_VALUE: Final = 8 * MAX_VALUE_CHARS
_TEXTS: Final = frozenset({"REG_SZ", "REG_EXPAND_SZ", "REG_MULTI_SZ", "REG_LINK"})
HOW_TO_EXPORT: Final = (
    r"Export it again: reg export HKLM\SYSTEM\CurrentControlSet\Services\CertSvc\Configuration ca.reg"
)


class _Value:
    """One value while its lines are read."""

    def __init__(self, name: str, kind: str, location: str, indent: int = 0) -> None:
        self.name, self.kind, self.location, self.indent = name, kind, location, indent
        self.items: list[str] = []
        self.numbered = False
        self.open = True
        self._chars = 0

    def add(self, item: str) -> None:
        """Add a line of the value; ValueError where it is out of bounds."""
        self._chars += len(item)
        if self._chars > MAX_VALUE_CHARS or len(self.items) >= MAX_ITEMS:
            raise ValueError(f"A value has more than {MAX_VALUE_CHARS} characters or more than {MAX_ITEMS} lines.")
        self.items.append(item)

    def takes_item(self, line: str) -> bool:
        """Take the next item of a numbered multi-string; whatever it looks like, its number says what it is."""
        item = _ITEM.fullmatch(line) if self.kind == "REG_MULTI_SZ" and (self.numbered or not self.items) else None
        if item is None or int(item[1]) != len(self.items):
            return False
        self.numbered = True
        self.add(item[2].removeprefix(" ").rstrip())
        return True

    def takes_line(self, line: str) -> bool:
        """Take an indented line below the value: an item of a list, or the same in words (flags), which is left out."""
        if not line.strip():
            # Where a list is not numbered, nobody knows what belongs to it behind a blank line.
            self.open = self.open and self.numbered
            return True
        if not self.open or _indent(line) <= self.indent:
            return False
        if not self.numbered and self.kind not in _BITS and self.kind not in {"REG_SZ", "REG_EXPAND_SZ"}:
            self.add(line.strip())
        return True

    def cell(self) -> list[str]:
        """The value's lines; a number as decimal text, nothing where its two forms contradict each other."""
        if self.kind not in _BITS:
            return self.items
        number = _number(self.items[0], _BITS[self.kind]) if self.items else None
        return [] if number is None else [str(number)]


class _Key:
    """One listed key: its values, and what is needed to count it."""

    def __init__(self, path: str, location: str) -> None:
        self.path, self.location = path, location
        self.values: dict[str, _Value] = {}
        # A listing of one value has the value's name behind the key's path.
        self.whole = False
        self.twice = False
        self.failure: str | None = None
        self.problem: str | None = None
        self._hash = hashlib.sha256()
        self._size = 0

    def saw(self, line: str) -> None:
        """Note a line, for the hash."""
        raw = line.encode("utf-8", "replace")
        self._hash.update(raw)
        self._size += len(raw)

    def put(self, value: _Value) -> None:
        """Add a value; ValueError where there are too many."""
        if len(self.values) >= MAX_VALUES:
            raise ValueError(f"The key has more than {MAX_VALUES} values.")
        self.twice = self.twice or value.name.casefold() in self.values
        self.values[value.name.casefold()] = value

    def rejected(self, reason: str) -> Rejected:
        """The key as a reject."""
        return Rejected(self.location, "parse", reason, self._size, self._hash.hexdigest())

    def unit(self, seen: set[bytes]) -> Unit:
        """What the key is worth."""
        place = _CONFIGURATION.fullmatch(self._place())
        if place is None:
            return Irrelevant()
        if self.problem:
            return self.rejected(f"{self.problem} {HOW_TO_EXPORT}")
        if self.twice and len(self.values) > 1:
            return self.rejected(f"The key lists a value twice, so two keys may be mixed up here. {HOW_TO_EXPORT}")
        if self.failure and self.failure.lower() != _NOT_THERE:
            return self.rejected(f"certutil could not read this key ({self.failure}): nothing is known of it.")
        if not self.values:
            # A key of sub-keys only, or a value that is not there.
            return Irrelevant()
        rows = [self._row(value, place[1], place[2]) for value in self.values.values()]
        shown = repr([{**row, "location": ""} for row in rows])
        digest = hashlib.sha256(shown.encode("utf-8", "replace")).digest()
        if digest in seen:
            return Duplicate()
        seen.add(digest)
        return Parsed(tuple(("registry", row) for row in rows))

    def _place(self) -> str:
        parent, _, last = self.path.rpartition("\\")
        named = not self.whole and len(self.values) == 1 and last.casefold() in self.values
        return parent if named else self.path

    @staticmethod
    def _row(value: _Value, ca_name: str | None, key: str | None) -> Row:
        return {
            "key": key,
            "name": value.name,
            "type": value.kind,
            "value": value.cell(),
            "ca_name": ca_name,
            "location": value.location,
        }


def _indent(line: str) -> int:
    return len(line.expandtabs()) - len(line.expandtabs().lstrip())


def _number(text: str, bits: int) -> int | None:
    """``63 (99)``, ``0x63`` or ``5`` as the number; None where it contradicts itself or its base is not certain."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    number = int(match[2], 16)
    if number >= 1 << bits or (match[3] is not None and int(match[3]) % (1 << bits) != number):
        return None
    return number if match[1] or match[3] or len(match[2]) == 1 else None


# ------------------------------------------------------------------------------ what is printed


def _read_text(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    seen: set[bytes] = set()
    key: _Key | None = None
    value: _Value | None = None
    stray: _Key | None = None
    done = 0
    for number, line in enumerate(lines(source.data, *encoding_of(source.data)), 1):
        done += len(line)
        text = line.rstrip("\n")
        start = text[:MAX_STRUCTURE_CHARS]
        try:
            if key is not None and value is not None and value.takes_item(text):
                key.saw(line)
                continue
            path = _KEY_LINE.fullmatch(text) if len(text) == len(start) else None
            if path is not None:
                if key is not None:
                    yield key.unit(seen)
                progress(min(done, source.size))
                key, value = _Key(path[1].rstrip().removesuffix(":"), f"line {number}"), None
                key.saw(line)
                continue
            found = (_PRINTED.match(start) or _QUERIED.match(start)) if "REG_" in start else None
            if key is None:
                if found and stray is None:
                    stray = _Key("", f"line {number}")
                if stray is not None:
                    stray.saw(line)
                continue
            key.saw(line)
            if found and (value is None or _indent(start) <= value.indent or not value.open):
                value = _printed(found, text, number, key)
            elif value is not None and value.takes_line(text):
                continue
            elif (status := _STATUS.match(start)) or _COMMAND.search(start[:500]):
                failed = _FAILED.search(start) if status else None
                key.failure = failed[1] if failed else None
                yield key.unit(seen)
                key = value = None
            elif start.rstrip().endswith(":"):
                # "Keys:", "Values:", "New Value:" in whatever language.
                value = None
        except ValueError as error:
            if key is not None:
                key.problem, value = key.problem or str(error), None
    if key is not None:
        yield key.unit(seen)
    if stray is not None:
        yield stray.rejected(f"These are values of the registry without the line that names their key. {HOW_TO_EXPORT}")
    progress(source.size)


def _printed(found: re.Match[str], text: str, number: int, key: _Key) -> _Value:
    value = _Value(found[2], found[3], f"line {number}", _indent(found[0]))
    rest = text[found.start(4) :].strip()
    if found.re is _QUERIED:
        key.whole, value.open = True, False
        for item in rest.split(r"\0") if value.kind == "REG_MULTI_SZ" else [rest] if rest else []:
            value.add(item)
    elif rest:
        value.add(rest)
    key.put(value)
    return value


# ------------------------------------------------------------------------------------ .reg files


def _read_file(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    encoding, skip = encoding_of(source.data)
    old = head_text(source.head[:200]).lstrip("\ufeff \n").startswith(_VERSION_4)
    if encoding == OEM:
        # Written by regedit, which uses the ANSI code page; which one, nothing says.
        encoding = "cp1252"
    seen: set[bytes] = set()
    key: _Key | None = None
    parts: list[str] = []
    quoted = False
    size = begun = done = 0
    for number, line in enumerate(lines(source.data, encoding, skip), 1):
        done += len(line)
        path = _FILE_KEY.fullmatch(line) if len(line) <= MAX_STRUCTURE_CHARS else None
        if path:
            if key is not None:
                if parts:
                    key.problem = key.problem or f"The value in line {begun} does not end."
                yield key.unit(seen)
            progress(min(done, source.size))
            key, parts = None if path[1] else _Key(path[2], f"line {number}"), []
            if key is None:
                # "[-HKEY_…]" takes a key away; it says nothing about what the key held.
                yield Irrelevant()
            else:
                key.whole = True
        if key is None:
            continue
        key.saw(line)
        if path or key.problem or (not parts and (not line.strip() or line.lstrip().startswith(";"))):
            continue
        if parts:
            ended = _TEXT_ENDS.search(line) is not None if quoted else not line.rstrip().endswith("\\")
        else:
            begun, size = number, 0
            quoted, ended = _begins(line)
        parts.append(line)
        size += len(line)
        if size > _MAX_FILE_VALUE:
            key.problem, parts = f"The value in line {begun} has more than {_MAX_FILE_VALUE} characters.", []
        elif ended:
            try:
                _assign(key, "".join(parts), begun, old=old)
            except ValueError as error:
                key.problem = str(error)
            parts = []
    if key is not None:
        if parts:
            key.problem = f"The file is cut off in the value in line {begun}."
        yield key.unit(seen)


def _begins(line: str) -> tuple[bool, bool]:
    """Of a value's first line: whether it is a quoted text, and whether the value ends with it.

    Bytes go on behind a backslash; a text goes on until its quote is closed.
    """
    name = _FILE_NAME.match(line)
    rest = line[name.end() :] if name else ""
    if rest.startswith('"'):
        return True, _TEXT_ENDS.search(rest[1:]) is not None
    return False, not line.rstrip().endswith("\\")


def _assign(key: _Key, text: str, number: int, *, old: bool) -> None:
    """One assignment of a .reg file; ValueError where it is none."""
    name = _FILE_NAME.match(text)
    if name is None:
        raise ValueError(f"Line {number} is no assignment.")
    rest = text[name.end() :]
    # regedit ends every line; bytes and numbers in a line that has no end may be cut short.
    if not rest.endswith("\n") and not rest.startswith('"') and not _WHOLE_NUMBER.fullmatch(rest):
        raise ValueError(f"The file is cut off in the value in line {number}.")
    if rest.strip() == "-":
        return
    kind, items = _contents(rest, number, old=old)
    value = _Value(_ESCAPED.sub(r"\1", name[1] or "@"), kind, f"line {number}")
    for item in items:
        value.add(item)
    key.put(value)


def _contents(rest: str, number: int, *, old: bool) -> tuple[str, list[str]]:
    if words := _FILE_TEXT.fullmatch(rest):
        return "REG_SZ", [_ESCAPED.sub(r"\1", words[1])] if words[1] else []
    if figure := _FILE_NUMBER.fullmatch(rest):
        return "REG_DWORD", [f"0x{figure[1]}"]
    listed = _FILE_BYTES.fullmatch(rest.replace("\\\n", "\n").rstrip())
    if listed is None:
        raise ValueError(f"The value in line {number} is of no form that .reg files have.")
    raw = bytes.fromhex(re.sub(r"[,\s]", "", listed[2]))
    code = int(listed[1], 16) if listed[1] else 3
    kind = _TYPES.get(code, f"REG_{code:x}")
    if kind in _BITS:
        return kind, [f"0x{int.from_bytes(raw, 'big' if code == 5 else 'little'):x}"] if raw and len(raw) <= 8 else []
    if kind not in _TEXTS:
        return kind, [raw.hex()] if raw else []
    words_in = raw.decode("cp1252" if old else "utf-16-le", "replace")
    if kind != "REG_MULTI_SZ":
        return kind, [words_in.rstrip("\0")] if words_in.rstrip("\0") else []
    # Each text ends with a NUL and the list with one more; a BodyFormat may hold empty lines.
    items = words_in.removesuffix("\0").removesuffix("\0")
    return kind, items.split("\0") if items else []


def _recognises_text(source: Source) -> bool:
    text = head_text(source.head)
    if re.search(r"(?im)^[ \t]*HKEY_[A-Z_]{5,20}\\", text) is None:
        return False
    return any(
        _STATUS.match(line) or ("REG_" in line and (_PRINTED.match(line) or _QUERIED.match(line)))
        for line in (line[:MAX_STRUCTURE_CHARS] for line in text.split("\n"))
    )


def _recognises_file(source: Source) -> bool:
    return head_text(source.head[:1024]).lstrip("\ufeff \n").startswith((_VERSION_5, _VERSION_4))


TEXT_READER: Final = Reader("registry", _recognises_text, _read_text)
FILE_READER: Final = Reader("registry", _recognises_file, _read_file)
