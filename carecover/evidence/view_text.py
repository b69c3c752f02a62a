"""The text form of ``certutil -view``: Schema block, rows, trailer; any number of pages, of requests or of CRLs.

Nothing is read from translated words: the Schema block names the labels of its own
language, row headers and trailers are known by their structure. Values are other people's
text (a subject may hold line breaks, quotes and whole forged lines), so a row's columns are
found as one sequence in the order of the Schema block, and a row that can be read in two
ways is rejected, never guessed.

The module is long because what ends a row, a value and a page is one matter, and told by the same few patterns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from carecover.evidence import crl_view
from carecover.evidence.ca_row import ENGLISH, NEEDED, ca_row
from carecover.evidence.text import OEM, Window, encoding_of, head_text, pieces, utf8_pieces
from carecover.evidence.units import Irrelevant, Parsed, Reader, Rejected, Row, Source, Unit
from carecover.evidence.view_cells import NAMED, cell
from carecover.evidence.view_runs import Run, Runs
from carecover.evidence.views import Extent, Table, is_command, restriction_of, table_of
from carecover.evidence.x509 import der_of_base64

# A full row with -v has some 600 lines; attributes and requests of 64 kB make a few thousand.
MAX_ROW_LINES: Final = 20_000
# The widest text column of the CA database, RequestAttributes, has 32,768 characters.
MAX_VALUE_LINES: Final = 1_000
MAX_LINE_CHARS: Final = 1024 * 1024
# The view has 79 columns on Windows Server 2022.
MAX_COLUMNS: Final = 500
# Lines that carecover knows by their structure are short; on long ones the patterns would be slow.
MAX_STRUCTURE_CHARS: Final = 2_000
# One blank line, or blanks on it, between two lines of the Schema block.
_BLANKS_BETWEEN: Final = 8
# How much text is looked at at once for rows that can be read together.
_PIECE: Final = 8 * 1024 * 1024
# How far the window is refilled before a row is tried against the template in one piece.
_AHEAD: Final = 64 * 1024
_TRIM: Final = 1024 * 1024

_RULE = re.compile(r"\s*-{5,}(?:\s+-{3,}){3}\s*")
_SCHEMA_LINE = re.compile(r"\s*(\S+)\s{2,}(\S.*?)\s{2,}(\S+)\s+(\d+)(?:\s+--\s+\S.*)?\s*")
_ROW = re.compile(r"(\S.*\s)(\d{1,9})\s*:\s*")
_COUNT = re.compile(r"(\d{1,9})\s+[^\W\d_]+\s*")
_LAST_INDEX = re.compile(r"\S[^:]*:\s*(\d{1,9})\s*")
_STATUS = re.compile(r"certutil:\s", re.IGNORECASE)
_FAILURE = re.compile(r"0x[89a-f][0-9a-f]{7}\b", re.IGNORECASE)
_STATISTICS = re.compile(r"\s*\d+ [^=]+= \d+, [^=]+= \d+, [^=]+= \d+\s*")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----")
_LABELS: Final = {**ENGLISH, **crl_view.ENGLISH}
_WANTED: Final = NEEDED | crl_view.NEEDED
HOW_TO_EXPORT: Final = (
    "Export again with: certutil -gmt -seconds -view -out "
    '"Request.RequestID,SerialNumber,Request.Disposition,Request.RequesterName,DistinguishedName,CommonName,'
    "CertificateTemplate,NotBefore,NotAfter,Request.SubmittedWhen,Request.RevokedWhen,Request.RevokedEffectiveWhen,"
    'Request.RevokedReason,IssuerNameID,CertificateHash" > view.txt'
)


def _structure(pattern: re.Pattern[str], line: str) -> re.Match[str] | None:
    """The pattern over a whole line, if the line is short enough to have structure."""
    return pattern.fullmatch(line) if len(line) <= MAX_STRUCTURE_CHARS else None


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    label: str


@dataclass(slots=True)
class _Page:
    """One Schema block (or none) and the rows under it."""

    location: str
    columns: tuple[_Column, ...] | None
    restriction: str | None
    extent: Extent = field(default_factory=Extent)
    rejected: int = 0
    last_number: int = 0
    claimed: int | None = None
    failed: bool = False
    damaged: bool = False
    table: Table = field(init=False)
    template: re.Pattern[str] | None = field(init=False)
    needed: tuple[str, ...] = field(init=False)
    plain: bool = field(init=False)
    """Its rows may be read together: requests, no column twice, no label that could be misread."""

    def __post_init__(self) -> None:
        """Learn what a uniform row of these columns looks like, and whose it is."""
        self.table = table_of(column.name for column in self.columns or ())
        self.template = _template(self.columns)
        names = [column.name for column in self.columns or ()]
        self.needed = tuple(name for name in names if name in _WANTED)
        unlike = len(set(names)) == len(names) > 0 and not any(":" in column.label for column in self.columns or ())
        self.plain = unlike and self.table == "requests"

    def summary(self) -> Iterator[Unit]:
        """The row of ``views``, for a capture of requests that has come to its end."""
        rows = self.extent.rows
        if self.table != "requests" or not (rows or self.rejected or self.claimed == 0):
            return
        view: Row = {
            "location": self.location,
            "columns": [column.name for column in self.columns or ()],
            "rows": rows,
            "rows_claimed": self.claimed,
            "complete": not self.failed and not self.damaged and not self.rejected and self.claimed == rows,
            "restriction": self.extent.restriction(self.restriction),
            "first_request_id": self.extent.first_id,
            "last_request_id": self.extent.last_id,
        }
        yield Parsed((("views", view),), units=0)


class _Text:
    """The decoded file as a window that slides; positions are indices into ``window``.

    What lies further ahead is ``bytes``, and need not be decoded.
    """

    def __init__(self, source: Source, encoding: str, skip: int) -> None:
        self.moved = _pasted_indent(head_text(source.head))
        parts = utf8_pieces(source.data, encoding, skip)
        if self.moved:
            back = _moved_back(pieces(source.data, encoding, skip), self.moved)
            parts = ((part.encode(), done) for part, done in back if part)
        self._ahead = Window(parts)
        self._ended = False
        self.window = ""
        self.at = 0
        self.line_number = 1

    @property
    def bytes_done(self) -> int:
        """How far the file was read."""
        return self._ahead.bytes_done

    def further(self) -> bool:
        """Make the window longer; False at the end of the file."""
        # As much again as there is: what is joined so is not joined again and again.
        piece = self._ahead.text(max(_AHEAD, len(self.window) - self.at))
        self.window += piece
        self._ended = not piece
        return bool(piece)

    def bytes(self, size: int) -> tuple[bytes, int]:
        """So many bytes from the position on, or what is left, and the place (``pass_to``) at which they begin."""
        begun = self.window[self.at :].encode()
        self._ahead.reach(size)
        return begun + self._ahead.ahead(), self._ahead.passed - len(begun)

    def pass_to(self, place: int, lines: int) -> None:
        """Move on over so many lines, to a place in bytes if it is not decoded yet."""
        self.line_number += lines
        if place >= self._ahead.passed:
            self._ahead.skip(place - self._ahead.passed)
            self.window, self.at = "", 0
            return
        for _ in range(lines):
            self.at = self.window.index("\n", self.at) + 1

    def reach(self, at: int) -> None:
        """Make sure that the window goes to ``at``, or to the end of the file."""
        while len(self.window) < at and not self._ended:
            self.further()

    def line(self, at: int) -> tuple[str, int] | None:
        """The line at a position and the position of the next one; None at the end."""
        end = self.window.find("\n", at, at + MAX_LINE_CHARS)
        while end < 0 and len(self.window) - at < MAX_LINE_CHARS and self.further():
            end = self.window.find("\n", at, at + MAX_LINE_CHARS)
        if end >= 0:
            return self.window[at:end], end + 1
        if at >= len(self.window):
            return None
        end = min(len(self.window), at + MAX_LINE_CHARS)
        return self.window[at:end], end

    def line_with_words(self, at: int) -> str:
        """The next line that is not blank, looking a few lines ahead."""
        for _ in range(4):
            found = self.line(at)
            if found is None:
                return ""
            if found[0].strip():
                return found[0]
            at = found[1]
        return ""

    def go(self, to: int) -> None:
        """Move on; what lies behind is forgotten."""
        self.line_number += self.window.count("\n", self.at, to)
        self.at = to
        if self.at > _TRIM:
            self.window = self.window[self.at :]
            self.at = 0


def _pasted_indent(head: str) -> int:
    """How far a capture was moved to the right when it was pasted: certutil itself indents its rule by two."""
    found = head.split("\n")
    rule = next((line for line in found if _structure(_RULE, line)), None)
    if rule is not None:
        return max(len(rule) - len(rule.lstrip(" ")) - len("  "), 0)
    for number, line in enumerate(found):
        if line.startswith(" ") and _structure(_ROW, bare := line.lstrip(" ")):
            moved = len(line) - len(bare)
            below = next((other for other in found[number + 1 : number + 4] if other.strip()), "")
            if below.startswith(" " * moved) and _is_label(below[moved:], None):
                return moved
    return 0


def _moved_back(parts: Iterator[tuple[str, int]], indent: int) -> Iterator[tuple[str, int]]:
    """The pieces of a text whose lines were all moved to the right, moved back."""
    if not indent:
        yield from parts
        return
    pattern, rest, done = re.compile(f"(?m)^ {{1,{indent}}}"), "", 0
    for part, done in parts:
        whole, newline, rest = (rest + part).rpartition("\n")
        yield pattern.sub("", whole + newline), done
        if len(rest) > MAX_LINE_CHARS:
            yield rest, done
            rest = ""
    yield pattern.sub("", rest), done


# ------------------------------------------------------------------------------------- reading


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    encoding, skip = encoding_of(source.data)
    flags = ("encoding_guessed",) if encoding == OEM else ()
    text = _Text(source, encoding, skip)
    page: _Page | None = None
    restriction: str | None = None
    units = 0
    runs = _Ahead()
    while (found := text.line(text.at)) is not None:
        line, following = found
        if _structure(_RULE, line):
            if page is not None:
                yield from page.summary()
            page = _Page(f"line {text.line_number}", _schema(text, following), restriction)
            restriction = None
            continue
        if (number := _row_header(text, line, following, page)) is not None:
            if page is None or (number == 1 and page.claimed is not None):
                if page is not None:
                    yield from page.summary()
                page = _Page(f"line {text.line_number}", page.columns if page else None, restriction)
            if (run := runs.here(text, page, line, number)) is not None:
                units += run.rows
                yield _together(page, run, flags)
                progress(text.bytes_done)
                continue
            text.go(following)
            units += 1
            yield _row(text, page, number, flags)
            progress(text.bytes_done)
            continue
        if is_command(line):
            restriction = restriction_of(line)
        elif _STATUS.match(line):
            if page is not None:
                page.failed = page.failed or _FAILURE.search(line) is not None
        elif (claim := _structure(_COUNT, line)) is not None:
            if page is None and int(claim[1]) == 0:
                page = _Page(f"line {text.line_number}", None, restriction)
            if page is not None and page.claimed is None:
                page.claimed = int(claim[1])
        text.go(following)
    if page is not None:
        yield from page.summary()
    if units == 0 and page is not None and (page.claimed == 0 or (page.columns and page.claimed is None)):
        # No row matched, or it is certutil -schema.
        yield Irrelevant()
        return
    if units == 0:
        reason = (
            f"This is a part of a certutil -view capture without a whole row, or without its labels. {HOW_TO_EXPORT}"
        )
        yield Rejected.of("line 1", "parse", reason, source.data)


class _Ahead:
    """The rows of the text ahead that can be read together, looked for a piece at a time."""

    def __init__(self) -> None:
        self._runs: Runs | None = None
        self._place = 0
        self._columns: tuple[_Column, ...] | None = None

    def here(self, text: _Text, page: _Page, line: str, number: int) -> Run | None:
        """The run that begins at the row header here; the text is left behind it."""
        if number != page.last_number + 1 or not page.plain or text.moved:
            return None
        if self._runs is None or text.line_number >= self._runs.until:
            head = re.match(r".*\s(?=\d+\s*:)", line)
            ahead, self._place = text.bytes(_PIECE)
            self._columns = page.columns
            names = [(column.name, column.label) for column in page.columns or ()]
            self._runs = Runs(ahead, text.line_number, head[0] if head else line, names, frozenset(page.needed))
        run = self._runs.beginning(text.line_number) if self._columns == page.columns else None
        if run is None or run.first != number:
            return None
        text.pass_to(self._place + run.stop, run.lines)
        return run


def _together(page: _Page, run: Run, flags: tuple[str, ...]) -> Unit:
    """Rows that were read together."""
    page.last_number += run.rows
    columns = dict(run.columns)
    page.extent.met_all(run.rows, columns.get("request_id"), columns.get("disposition"))
    columns["flags"] = [flags] * run.rows
    return Parsed((), units=run.rows, columns=(("ca_rows", columns),))


def _schema(text: _Text, at: int) -> tuple[_Column, ...]:
    """The lines under the rule, up to the first that is none; leaves the text behind them."""
    columns: list[_Column] = []
    ahead = at
    while (found := text.line(ahead)) is not None and len(columns) < MAX_COLUMNS:
        ahead = found[1]
        if not found[0].strip() and ahead - at < _BLANKS_BETWEEN:
            # Some pages double the line ends of what is pasted into them.
            continue
        match = _structure(_SCHEMA_LINE, found[0])
        if match is None:
            break
        columns.append(_Column(match[1], match[2]))
        at = ahead
    text.go(at)
    return tuple(columns)


def _template(columns: tuple[_Column, ...] | None) -> re.Pattern[str] | None:
    """One expression for a row whose values all stand on one line: the quick way through uniform rows.

    It accepts only what the careful way reads to the same result (a test compares the two).
    """
    if not columns:
        return None
    value = r'"[^"\n]*"(?: [^"\n]*)?|[^"\n ][^"\n]*'
    lines = "".join(
        f"  {re.escape(column.label)}: ({'' if column.name in _WANTED else '?:'}{value})\n" for column in columns
    )
    return re.compile(lines + r"(?=\n\S|\n?\Z)")


def _row_header(text: _Text, line: str, following: int, page: _Page | None) -> int | None:
    """The number of a row header: a line that ends in a number and a colon, above a line with a known label."""
    match = _structure(_ROW, line)
    if match is None:
        return None
    below = text.line_with_words(following)
    return int(match[2]) if _is_label(below, page.columns if page else None) and int(match[2]) else None


def _is_label(line: str, columns: tuple[_Column, ...] | None) -> bool:
    """True for a line that begins with a column's label; without a Schema block only where it is indented.

    The indentation tells a row from certutil -store and -dump, which number their elements too.
    """
    bare = line.lstrip()
    if columns:
        return any(bare.startswith(f"{column.label}:") for column in columns)
    return line != bare and bare.partition(":")[0] in _LABELS


def _row(text: _Text, page: _Page, number: int, flags: tuple[str, ...]) -> Unit:
    location = f"line {text.line_number - 1}, row {number}"
    noted = list(flags)
    if number != page.last_number + 1:
        page.damaged = True
        noted.append("row_number_odd")
    page.last_number = number
    start = text.at
    if page.template is not None:
        text.reach(start + _AHEAD)
        match = page.template.match(text.window, start)
        while match is not None and match.end() == len(text.window) and text.further():
            # What ends with the window may go on behind it.
            match = page.template.match(text.window, start)
        if match is not None:
            text.go(match.end())
            cells = {name: cell(name, value) for name, value in zip(page.needed, match.groups(), strict=True)}
            return _finish(page, cells, None, location, noted)
    lines, end, cut = _lines_of_row(text, page, number)
    raw = text.window[start:end]
    text.go(end)
    if cut:
        page.rejected += 1
        reason = f"The row has more than {MAX_ROW_LINES} lines."
        return Rejected.of(location, "split", reason, raw.encode("utf-8", "replace"))
    chosen = _sequence(lines, page)
    if chosen is None:
        page.rejected += 1
        reason = (
            "The row can be read in more than one way: a value holds lines that look like columns. "
            "Export this row with its certificate (certutil -view -restrict RequestID=...) and look at it."
        )
        return Rejected.of(location, "parse", reason, raw.encode("utf-8", "replace"))
    places, whole = chosen
    if not places:
        page.rejected += 1
        reason = f"The row has no column that its Schema block names. {HOW_TO_EXPORT}"
        return Rejected.of(location, "parse", reason, raw.encode("utf-8", "replace"))
    if not whole:
        noted.append("incomplete")
        page.damaged = True
    cells, der = _cells(lines, places)
    return _finish(page, cells, der, location, noted)


def _finish(page: _Page, cells: dict[str, str | None], der: bytes | None, location: str, flags: list[str]) -> Unit:
    if not page.columns and page.extent.rows == 0:
        page.table = table_of(cells)
    if page.table == "requests":
        row = ca_row(cells, location=location, der=der, flags=tuple(flags))
        page.extent.met(row.get("request_id"), row.get("disposition"))
        return Parsed((("ca_rows", row),))
    page.extent.rows += 1
    if page.table == "crls":
        return Parsed((("crl_rows", crl_view.crl_row(cells, location=location)),))
    # Rows of extensions and attributes name no certificate by themselves.
    return Irrelevant()


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a row; ``columns`` where it begins with a label at the columns' indentation."""

    text: str
    columns: tuple[str, ...] = ()
    value: str = ""
    quoted: bool = False
    """Inside a value whose quote is open: no label, unless the quote was damaged."""


def _lines_of_row(text: _Text, page: _Page, number: int) -> tuple[list[_Line], int, bool]:
    """The lines up to the next row header or trailer that is not inside a quoted value."""
    labels = page.columns or tuple(_Column(name, label) for label, name in _LABELS.items())
    by_label: dict[str, list[str]] = {}
    for column in labels:
        by_label.setdefault(column.label, []).append(column.name)
    lines: list[_Line] = []
    indent: str | None = None
    at = text.at
    quoted_since: tuple[int, int] | None = None
    named = False
    never_closed: set[int] = set()
    while (found := text.line(at)) is not None:
        line, following = found
        if len(lines) >= MAX_ROW_LINES:
            return lines, at, True
        head, colon, rest = line.partition(":")
        bare = head.lstrip(" \t")
        labelled = bool(colon) and bare in by_label and indent in (None, head[: len(head) - len(bare)])
        if quoted_since is not None:
            lines.append(_Line(line, tuple(by_label[bare]), rest.strip(), quoted=True) if labelled else _Line(line))
            stripped = line.rstrip()
            if stripped.endswith('"') or (named and re.search(r'"\s[^"]*$', stripped)):
                quoted_since = None
            elif len(lines) - quoted_since[0] > MAX_VALUE_LINES or text.line(following) is None:
                # Never closed: the quote was damaged. Go back and read on behind its first line.
                at, keep = quoted_since[1], quoted_since[0]
                never_closed.add(at)
                del lines[keep:]
                quoted_since = None
                continue
            at = following
            continue
        if _ends_row(text, line, following, page, number):
            break
        if labelled:
            indent = head[: len(head) - len(bare)]
            value = rest.strip()
            if value.startswith('"') and not _closed(value):
                value = rest.lstrip()
            lines.append(_Line(line, tuple(by_label[bare]), value))
            named = any(name in NAMED for name in by_label[bare])
            if value.startswith('"') and not _closed(value) and following not in never_closed:
                quoted_since = (len(lines), following)
        else:
            lines.append(_Line(line))
        at = following
    return lines, at, False


def _closed(value: str) -> bool:
    """True where a quoted value ends on its first line (a display name may follow)."""
    return len(value) > 1 and (value.endswith('"') or re.search(r'"\s[^"]*$', value[1:]) is not None)


def _ends_row(text: _Text, line: str, following: int, page: _Page, number: int) -> bool:
    if not line or line[0] in " \t":
        return False
    if _STATUS.match(line) or _structure(_RULE, line):
        return True
    match = _structure(_ROW, line)
    if match is not None and _row_header(text, line, following, page) is not None:
        return int(match[2]) > number or int(match[2]) == 1
    if _structure(_LAST_INDEX, line):
        return _structure(_COUNT, text.line_with_words(following)) is not None
    if _structure(_COUNT, line):
        return _structure(_STATISTICS, text.line_with_words(following)) is not None
    return line.rstrip().endswith(":") and _structure(_RULE, _second_line(text, following)) is not None


def _second_line(text: _Text, at: int) -> str:
    """The line after the next: under "Schema:" stand the headings, then the rule."""
    first = text.line(at)
    second = text.line(first[1]) if first else None
    return second[0] if second else ""


def _sequence(lines: Sequence[_Line], page: _Page) -> tuple[dict[str, int], bool] | None:
    """Column → index of its line, and whether all columns are there; None where that is not certain.

    certutil prints every column of the view once, in order. The first such sequence and the
    last one are the same unless a value forges labels. Lines inside an open quote are no
    candidates, unless nothing fits without them: then a closing quote was lost.
    """
    candidates = [index for index, line in enumerate(lines) if line.columns and not line.quoted]
    if page.columns:
        names = [column.name for column in page.columns]
        for tried in (candidates, [index for index, line in enumerate(lines) if line.columns]):
            first = _embed(names, tried, lines)
            if first is not None:
                last = _embed(names[::-1], tried[::-1], lines)
                same = last is not None and all(first[name] == last[name] or name not in _WANTED for name in names)
                return (first, True) if same else None
    places: dict[str, int] = {}
    for index in candidates:
        for name in lines[index].columns:
            if name in places and name in _WANTED and lines[places[name]].value != lines[index].value:
                return None
            places.setdefault(name, index)
    # Without a Schema block nobody knows which columns there should be.
    return places, False


def _embed(names: Sequence[str], candidates: Sequence[int], lines: Sequence[_Line]) -> dict[str, int] | None:
    """The first lines that hold all names in this order."""
    places: dict[str, int] = {}
    rest = iter(candidates)
    for name in names:
        index = next((index for index in rest if name in lines[index].columns), None)
        if index is None:
            return None
        places[name] = index
    return places


def _cells(lines: Sequence[_Line], places: dict[str, int]) -> tuple[dict[str, str | None], bytes | None]:
    starts = sorted(set(places.values()))
    ends = dict(zip(starts, [*starts[1:], len(lines)], strict=True))
    cells: dict[str, str | None] = {}
    der: bytes | None = None
    for name, start in places.items():
        if name not in _WANTED:
            continue
        body = [line.text for line in lines[start + 1 : ends[start]]]
        if name == "RawCertificate":
            match = _CERTIFICATE.search("\n".join(body))
            der = der_of_base64(match[1].encode("ascii")) if match else None
            continue
        value = lines[start].value
        if value.startswith('"') and not _closed(value):
            for line in body:
                value += "\n" + line
                if line.rstrip().endswith('"') or (name in NAMED and re.search(r'"\s[^"]*$', line)):
                    break
        cells[name] = cell(name, value)
    return cells, der


def labels_of(source: Source) -> dict[str, str]:
    """The column titles of a capture's first Schema block (case folded) and their schema names.

    A title that stands for two columns names none.
    """
    found: dict[str, str] = {}
    twice: set[str] = set()
    text = _Text(Source.of(source.path, source.head), *encoding_of(source.head))
    while (line := text.line(text.at)) is not None:
        if _structure(_RULE, line[0]):
            for column in _schema(text, line[1]):
                twice |= {column.label.casefold()} & found.keys()
                found[column.label.casefold()] = column.name
            break
        text.go(line[1])
    return {label: name for label, name in found.items() if label not in twice}


# ---------------------------------------------------------------------------------- recognising


def _recognises(source: Source) -> bool:
    head = head_text(source.head)
    indent = re.compile(f"(?m)^ {{1,{moved}}}") if (moved := _pasted_indent(head)) else None
    lines = (indent.sub("", head) if indent else head).split("\n")
    if any(_structure(_RULE, line) for line in lines):
        return any(_structure(_SCHEMA_LINE, line) and not _structure(_RULE, line) for line in lines)
    for number, line in enumerate(lines):
        if _structure(_ROW, line):
            below = next((other for other in lines[number + 1 : number + 4] if other.strip()), "")
            if _is_label(below, None):
                return True
    # The end of a capture: "8 Rows" and four lines of statistics.
    return any(
        _structure(_COUNT, line) and _structure(_STATISTICS, next((x for x in lines[n + 1 : n + 4] if x.strip()), ""))
        for n, line in enumerate(lines)
    )


READER: Final = Reader("view_text", _recognises, _read, alone=True)
