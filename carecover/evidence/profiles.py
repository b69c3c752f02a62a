"""What exit-module notifications look like, and the engine that reads by it.

There is no fixed mail format: subject and body are free text in the CA's registry. Built in is
Microsoft's ``sample``; ``configured`` makes profiles of a CA's registry, ``learning`` proposes some
for mails of an unknown wording.

``using`` says which profiles count while mails are read; without it the built-in one alone does.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from itertools import islice
from typing import Final

from carecover.evidence import values
from carecover.evidence.dates import order_in_mail
from carecover.evidence.markup import text_of_html
from carecover.evidence.sample import MICROSOFT_SAMPLE
from carecover.evidence.units import PrintedTime
from carecover.evidence.wording import CERTIFICATE, FREE, MAX_LABEL, Line, Profile, Wording, plain, says_something
from carecover.evidence.x509 import outer_element

# The widest string column of the CA database has 8,192 characters, except the attributes.
MAX_VALUE: Final = 8192
# A certificate of 16,384 bytes, the width of RawCertificate, as base64 in lines.
MAX_CERTIFICATE_TEXT: Final = 64 * 1024
# A body of notifications has some 20 lines and one certificate; disclaimers are short.
MAX_LINES: Final = 5000
# Places of a body at which a certificate may begin.
_MAX_BEGINNINGS: Final = 20
# Fewer known labels than this, and a body is somebody's prose.
_TELLING: Final = 3
_REMEMBERED: Final = 2048
# A word that a body is looked through for; shorter ones are everywhere.
_SHORTEST_WORD: Final = 5
_TIMES: Final = ("not_before", "not_after", "revoked_at")
_CHECKS: Final[Mapping[str, Callable[[str | None], object]]] = {
    "request_id": values.request_id,
    "serial": values.serial,
    "thumbprint": values.thumbprint,
    "reason": values.reason,
}
_FREE_TEXTS: Final = frozenset({"subject", FREE})
# A UPN may come from the request as well, but a line of its own it has.
_WRITTEN_BY_REQUESTERS: Final = _FREE_TEXTS | {"upn"}
# People forward and answer notifications; the words are those of Outlook's languages.
_PREFIX = re.compile(r"(?:(?:re|fw|fwd|aw|wg|tr|rv|i|r)\s?(?:\[\d{1,3}\])?:\s*)+", re.IGNORECASE)
# What relays put before a subject: "[EXTERNAL]".
_BANNER = re.compile(r"\[[^\[\]]{1,30}\]\s*")
_MAX_PREFIXES: Final = 6
_PEM_EDGE = re.compile(r"-----[A-Z0-9 ]{1,60}-----")
_QUOTE = re.compile(r"^(?:[>|] ?)+", re.MULTILINE)
_BASE64_WORD = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
_BEGINS = re.compile(r"(?:^|[\s:>-])(MI[A-Za-z0-9+/]{14})", re.ASCII)


@dataclass(slots=True)
class Reading:
    """A notification as far as it was understood; ``problem`` says why it cannot be used."""

    fields: dict[str, object] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    certificate: bytes | None = None
    problem: str | None = None
    explained: float = 0.0
    """Share of the wording's lines that were there."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A wording, taken apart for reading by it."""

    profile: str
    wording: Wording
    heads: Mapping[str, int]
    """Labels that are all before the first colon, without it → which line."""
    starts: tuple[tuple[str, int], ...]
    """Other labels, longest first."""
    wholes: Mapping[str, int]
    """Lines that are nothing but a text."""
    titled: bool
    """The title has words: without, only the body can tell."""


def name_of(profile: Profile, wording: Wording) -> str:
    """What table ``notifications`` calls the wording of a mail."""
    return profile.name if wording.template is None else f"{profile.name} ({wording.template})"


def _compile(profile: Profile) -> list[Compiled]:
    compiled = []
    for wording in profile.wordings:
        heads: dict[str, int] = {}
        wholes: dict[str, int] = {}
        starts: list[tuple[str, int]] = []
        for place, line in enumerate(wording.lines):
            label = plain(line.label)
            if not line.columns:
                wholes.setdefault(_bare(label), place)
            elif label.endswith(":") and ":" not in label[:-1]:
                heads.setdefault(label[:-1].strip().casefold(), place)
            elif label:
                starts.append((label, place))
        starts.sort(key=lambda each: -len(each[0]))
        words = "".join([wording.title.label, *wording.title.between])
        titled = sum(map(str.isalpha, words)) >= _TELLING
        compiled.append(Compiled(name_of(profile, wording), wording, heads, tuple(starts), wholes, titled))
    return compiled


class Wordings:
    """Every wording that counts, and the words by which most mail is told apart from notifications."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        """What is known of this CA comes first: the built-in sample has the same labels on many."""
        self.profiles: Final = tuple(profiles)
        self.known: Final = [each for profile in (*profiles, MICROSOFT_SAMPLE) for each in _compile(profile)]
        titles = [_longest_word((c.wording.title.label, *c.wording.title.between)) for c in self.known if c.titled]
        bodies = [_longest_word(_first_label(c)) for c in self.known if len(c.heads) >= _TELLING]
        self.title_words: Final = tuple(sorted({word.encode() for word in titles if word.isascii()}))
        self.body_words: Final = tuple(sorted(set(bodies)))
        self.label_words: Final = tuple(word.encode() for word in self.body_words)
        self._plain_words = all(word.isascii() for word in self.body_words)
        self.recognised: Final[dict[str, Recognised | None]] = {}
        self.unexplained: Callable[[str, str, str, str], None] | None = None
        # A wording without a word of its own to look for has every mail looked at.
        unlike = any(len(word) < _SHORTEST_WORD or not word.isascii() for word in bodies)
        self._looks_at_all = unlike or not all(c.titled for c in self.known)

    def may_be_title(self, subject: str) -> bool:
        """False where a subject, which is ASCII, lacks a word of every title: a title stands in it as it is."""
        lowered = subject.lower().encode("ascii")
        return any(word in lowered for word in self.title_words)

    def may_have_labels(self, body: str) -> bool:
        """False where a body lacks a word of the first label of every wording; case is folded letter by letter."""
        if not self._plain_words:
            return True
        folded = body.lower() if body.isascii() else body.casefold()
        return any(word in folded for word in self.body_words)

    @property
    def looks_at_all(self) -> bool:
        """True where no word tells a mail that cannot matter."""
        return self._looks_at_all or self.unexplained is not None


def _longest_word(texts: Sequence[str]) -> str:
    return max(re.split(r"[\s:]+", " ".join(texts).lower()), key=len, default="")


def _first_label(each: Compiled) -> tuple[str, ...]:
    """The text that a body must have before it is said to look like a notification."""
    return tuple(line.label for line in each.wording.lines if line.columns and says_something(line.label))[:1]


@lru_cache(maxsize=16)
def _wordings(profiles: tuple[Profile, ...]) -> Wordings:
    return Wordings(profiles)


_IN_USE: ContextVar[Wordings | None] = ContextVar("wordings", default=None)


def in_use() -> Wordings:
    """The wordings that count here and now."""
    return _IN_USE.get() or _wordings(())


@contextmanager
def using(
    profiles: tuple[Profile, ...], unexplained: Callable[[str, str, str, str], None] | None = None
) -> Iterator[None]:
    """Let these profiles count, and the built-in one, for what is read inside.

    ``unexplained`` is told subject, body, sender and place of every mail that no wording explains.
    """
    wordings = _wordings(profiles)
    if unexplained is not None:
        wordings = Wordings(profiles)
        wordings.unexplained = unexplained
    token = _IN_USE.set(wordings)
    try:
        yield
    finally:
        _IN_USE.reset(token)


@dataclass(frozen=True, slots=True)
class Recognised:
    """The wordings whose title a subject is, with what the title gave; and whether it was forwarded or answered."""

    candidates: tuple[tuple[Compiled, Mapping[str, str]], ...]
    forwarded: bool = False


def is_answer(subject: str) -> bool:
    """True for the subject of a mail that somebody answered or passed on."""
    return _PREFIX.match(plain(subject)) is not None


def recognise(subject: str) -> Recognised | None:
    """The wordings whose title this subject is; None where there is none."""
    text, wordings = plain(subject), in_use()
    if text.isascii() and not wordings.may_be_title(text):
        return None
    # The subjects of answers to answers come again.
    if text not in wordings.recognised:
        if len(wordings.recognised) >= _REMEMBERED:
            wordings.recognised.clear()
        wordings.recognised[text] = _recognised(text, wordings)
    return wordings.recognised[text]


def _recognised(text: str, wordings: Wordings) -> Recognised | None:
    forwarded = False
    for _ in range(_MAX_PREFIXES):
        fitting = [(each, _laid_over(each.wording.title, text)) for each in wordings.known if each.titled]
        candidates = tuple((each, given) for each, given in fitting if given is not None)
        if candidates:
            return Recognised(candidates, forwarded)
        # A relay's banner may stand before or behind "FW:"; a CA's own title may begin like one.
        found = _PREFIX.match(text) or _BANNER.match(text)
        if found is None:
            return None
        forwarded = forwarded or found.re is _PREFIX
        text = text[found.end() :]
    return None


def recognise_body(body: str) -> Recognised | None:
    """The same by the body, for wordings whose title has no words; most of its lines must be there."""
    untitled = [each for each in in_use().known if not each.titled and each.wording.needs]
    for each in untitled:
        reading = _read(each, {}, body, None, None)
        if reading.problem is None and reading.explained > 0.5 and len(each.wording.lines) >= _TELLING:
            return Recognised(((each, {}),))
    return None


def looks_like_notification(body: str) -> bool:
    """True where a body has the labels of a known wording, whatever its subject says."""
    if not in_use().may_have_labels(body):
        return False
    found: set[str] = set()
    for line in body.split("\n", MAX_LINES)[:MAX_LINES]:
        label = label_of(line)
        if label:
            found.add(label)
    return any(
        len(found.intersection(c.heads)) >= _TELLING and _bare("".join(_first_label(c))) in found
        for c in in_use().known
    )


def read(found: Recognised, body: str, sent_at: datetime | None, zone: timezone | None) -> Reading:
    """Read a body by the wording that explains most of it; values by shape, everything else NA with a flag.

    ``sent_at`` and ``zone`` are those of the mail's Date header: they tell day from month,
    and the zone of times that are printed without one.
    """
    readings = [_read(each, given, body, sent_at, zone) for each, given in found.candidates]
    # One title may serve several events and templates. Of equal readings the first is of the CA's own wording.
    return max(readings, key=lambda each: (each.problem is None, each.explained, -len(each.flags)))


def reading_by(wording: Wording, body: str) -> Reading:
    """What one wording gives of a body: for a wording that does not count yet."""
    (each,) = _compile(Profile("", (wording,)))
    return _read(each, {}, body, None, None)


def _read(
    each: Compiled, given: Mapping[str, str], body: str, sent_at: datetime | None, zone: timezone | None
) -> Reading:
    wording = each.wording
    reading = Reading({"event": wording.event, "ca_name": wording.ca_name, "profile": each.profile})
    if wording.html and "</" in body:
        # Sent as plain text, the tags stand in it.
        body = text_of_html(body)
    texts = {**given, **_fields(each, body, reading)}
    order = order_in_mail((texts[column] for column in _TIMES if texts.get(column)), sent_at)
    for column, text in texts.items():
        if column == FREE:
            continue
        if column == CERTIFICATE:
            _certificate(text, reading)
        elif column in _TIMES:
            if (printed := values.given(text)) is not None:
                reading.fields[column] = PrintedTime(printed, zone, order)
        elif column in _CHECKS:
            try:
                reading.fields[column] = _CHECKS[column](text)
            except ValueError:
                reading.flags.append(f"{column}_invalid")
        elif (value := _text(text, column, reading)) is not None or column != "ca_name":
            reading.fields[column] = value
    if wording.event == "revoked" and reading.fields.get("reason") == -1:
        reading.fields["event"] = "unrevoked"
    reading.problem = _problem(wording, reading)
    return reading


def _problem(wording: Wording, reading: Reading) -> str | None:
    start = f"The subject is that of a notification ({wording.event}), but the body"
    if wording.needs:
        if any(reading.fields.get(name) is not None for name in wording.needs):
            return None
        wanted = " nor a ".join(name.replace("_", " ") for name in wording.needs)
        return f"{start} gives neither a {wanted}." if len(wording.needs) > 1 else f"{start} gives no {wanted}."
    if any(line.columns for line in wording.lines) and not reading.explained:
        return f"{start} has none of the lines of that wording."
    return None


def _bare(label: str) -> str:
    return plain(label).removesuffix(":").strip().casefold()


def label_of(line: str) -> str:
    """What stands before the first colon of a line, case folded; empty where nothing does."""
    head, colon, _ = line[:MAX_LABEL].partition(":")
    return _folded(head) if colon else ""


@lru_cache(maxsize=4096)
def _folded(head: str) -> str:
    return plain(head).casefold()


def line_at(each: Compiled, line: str) -> tuple[int, str] | None:
    """Which line of the wording this one is, and what stands behind its label; None where it is none."""
    place = each.heads.get(label_of(line))
    if place is not None:
        return place, line.partition(":")[2]
    if each.starts or each.wholes:
        start = plain(line[: 2 * MAX_LABEL])
        place = each.wholes.get(_bare(start))
        if place is not None:
            return place, ""
        for label, place in each.starts:
            if _begins_with(start, label):
                return place, _behind(line, label)
    return None


def _begins_with(text: str, label: str) -> bool:
    if text[: len(label)].casefold() != label.casefold():
        return False
    # "Serial" is not the beginning of "Serials".
    return not (label[-1].isalnum() and text[len(label) : len(label) + 1].isalnum())


def _behind(line: str, label: str) -> str:
    """What stands behind a label, whatever blanks are in it."""
    left = sum(not letter.isspace() for letter in label)
    for at, letter in enumerate(line):
        if not left:
            return line[at:]
        left -= not letter.isspace()
    return ""


def _fields(each: Compiled, body: str, reading: Reading) -> dict[str, str]:
    """Split a body at its labels: column → text.

    The subject's distinguished name is the requester's own text and may hold line breaks, and
    so may forge labels. The order of the lines is the CA's: a label that comes back after the
    name belongs to the name; one that is there twice in any other way is not believed at all.
    """
    lines = each.wording.lines
    name_at = next((place for place, line in enumerate(lines) if _FREE_TEXTS.intersection(line.columns)), len(lines))
    # A format may begin with a value: then the body's first lines are its.
    found: list[tuple[int, list[str]]] = [(0, [])] if lines and lines[0].columns and not lines[0].label else []
    after_name = False
    for line in body.split("\n", MAX_LINES)[:MAX_LINES]:
        known = line_at(each, line)
        if known is None or (after_name and known[0] <= name_at):
            if known is not None and lines[known[0]].columns:
                _flag_once(reading, "label_repeated")
            if found:
                found[-1][1].append(line)
            continue
        after_name = after_name or known[0] == name_at
        found.append((known[0], [known[1]]))
    if any(line.columns for line in lines):
        reading.explained = len({place for place, _ in found if lines[place].columns}) / sum(
            1 for line in lines if line.columns
        )
    texts: dict[int, str] = {}
    for place, parts in found:
        columns = lines[place].columns
        if not columns:
            continue
        text = _joined(parts, keep_blank_lines=CERTIFICATE in columns or len(columns) > 1)
        if place in texts and texts[place] != text:
            _flag_once(reading, "label_repeated")
            for column in columns:
                if column and column != FREE:
                    _flag_once(reading, f"{column}_ambiguous")
            texts[place] = ""
            continue
        texts[place] = text
    given: dict[str, str] = {}
    for place in sorted(texts):
        given.update(_values(lines[place], texts[place], reading))
    return given


def _values(line: Line, text: str, reading: Reading) -> dict[str, str]:
    """The values of one line: column → text."""
    if len(line.columns) == 1 and line.between == ("",):
        return {line.columns[0]: text} if line.columns[0] else {}
    taken, doubtful = _parted(line, text)
    for column in doubtful:
        _flag_once(reading, f"{column}_ambiguous")
    return taken


def _laid_over(line: Line, text: str) -> dict[str, str] | None:
    """A text that must be this line from its beginning to its end: column → value, or None where it is not."""
    label = plain(line.label)
    if not line.columns:
        return {} if _bare(text) == _bare(label) else None
    if label and not _begins_with(text, label):
        return None
    rest = _behind(text, label) if label else text
    if line.between[-1] and not rest.casefold().rstrip().endswith(line.between[-1].casefold()):
        return None
    at = 0
    for literal in line.between[:-1]:
        at = rest.find(literal, at)
        if at < 0:
            return None
    taken, _ = _parted(line, rest, whole=True)
    return taken if rest.strip() else None


def _parted(line: Line, text: str, *, whole: bool = False) -> tuple[dict[str, str], list[str]]:
    """Part a text at the literals of a line: column → value, and the columns that cannot be told.

    ``whole``: the last literal is the end of the text. Where the value before a literal is free text, the
    literal may be part of it; if it is there twice, nothing beside it is believed.
    """
    parts = [plain(part) for part in text.split("\n")]
    rest = "\n".join(part for part in parts if part)
    taken: dict[str, str] = {}
    doubtful: list[str] = []
    columns, last = line.columns, len(line.columns) - 1
    for number, (column, literal) in enumerate(zip(columns, line.between, strict=True)):
        flat = rest.replace("\n", " ").casefold() if literal != "\n" else rest
        if len(flat) != len(rest):
            flat = rest.replace("\n", " ")
            wanted = literal
        else:
            wanted = literal.casefold()
        if number == last and (not literal or whole):
            at = len(rest) - len(literal) if literal and flat.endswith(wanted) else len(rest)
        elif number == last:
            # It ends a line; what follows is no part of the format.
            at = _line_end(rest, literal)
        else:
            at = flat.find(wanted) if literal else 0
        if at < 0 and number == last:
            at = len(rest)
        if at < 0 or (number < last and not literal):
            doubtful += [each for each in columns[number:] if each and each != FREE]
            break
        again = number < last and flat.find(wanted, at + 1) >= 0
        if again and column in _WRITTEN_BY_REQUESTERS:
            doubtful += [each for each in columns[number:] if each and each != FREE]
            break
        if column:
            taken[column] = rest[:at].strip()
        rest = rest[at + len(literal) :]
    return taken, doubtful


def _line_end(text: str, literal: str) -> int:
    """Where the first line that ends with this text has it; -1 where none does."""
    at = 0
    for line in text.split("\n"):
        if line.endswith(literal):
            return at + len(line) - len(literal)
        at += len(line) + 1
    return -1


def _flag_once(reading: Reading, flag: str) -> None:
    if flag not in reading.flags:
        reading.flags.append(flag)


def _joined(parts: list[str], *, keep_blank_lines: bool) -> str:
    """The lines of one value; a blank line ends it (except base64, which transports re-wrap)."""
    if keep_blank_lines:
        return "\n".join(parts)
    kept: list[str] = []
    for part in parts:
        text = part.strip()
        if not text and any(kept):
            break
        kept.append(text)
    return "\n".join(kept).strip()


def _text(text: str, column: str, reading: Reading) -> str | None:
    value = values.given(text)
    if value is None:
        return None
    if len(value) > MAX_VALUE:
        reading.flags.append(f"{column}_too_long")
        return None
    if column == "template":
        return values.template(value)
    return value


# ------------------------------------------------------------------------------ the certificate


def _certificate(text: str, reading: Reading) -> None:
    """The certificate of a line that is there for it."""
    if values.given(text.strip().partition("\n")[0]) is None:
        return
    reading.certificate = _der_in(text[: 2 * MAX_CERTIFICATE_TEXT])
    if reading.certificate is None:
        reading.flags.append("certificate_invalid")


def certificates_in(text: str) -> Iterator[bytes]:
    """The certificates of a text: base64 with or without BEGIN and END, re-wrapped, or quoted with ``>``."""
    for found in islice(_BEGINS.finditer(text), _MAX_BEGINNINGS):
        der = _der_in(text[found.start(1) : found.start(1) + 2 * MAX_CERTIFICATE_TEXT])
        if der is not None:
            yield der


def _der_in(text: str) -> bytes | None:
    """DER from the base64 that a text begins with; how long it is, its own first bytes say, so prose may follow."""
    words: list[str] = []
    size = 0
    for word in _PEM_EDGE.sub(" ", _QUOTE.sub("", text.strip())).split():
        if not _BASE64_WORD.fullmatch(word):
            break
        words.append(word)
        size += len(word)
        if word.endswith("=") or size > MAX_CERTIFICATE_TEXT:
            break
    encoded = "".join(words)
    start = _decoded(encoded[:8])
    if len(start) < 6 or start[0] != 0x30 or start[1] != 0x82:
        return None
    length = 4 + int.from_bytes(start[2:4], "big")
    data = _decoded(encoded[: -(-length // 3) * 4])
    return outer_element(data, followed=True) if len(data) >= length else None


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return b""
