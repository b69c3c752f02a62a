"""What exit-module notifications look like: wordings as data, and the engine that reads by them.

There is no fixed mail format: subject and body are free text in the CA's registry. The
profile here is the sample that Microsoft documents and most administrators copy
(https://learn.microsoft.com/previous-versions/windows/it-pro/windows-server-2003/cc773129(v=ws.10),
"Configuring the SMTP Exit Module"). Marked as assumed: the titles of Startup and Shutdown
(the built-in texts are not published) and of a retrieved pending request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Final

from carecover.evidence import values
from carecover.evidence.dates import order_in_mail
from carecover.evidence.units import PrintedTime
from carecover.evidence.x509 import der_of_base64

# The widest string column of the CA database has 8,192 characters, except the attributes.
MAX_VALUE: Final = 8192
# A certificate of 16,384 bytes, the width of RawCertificate, as base64 in lines.
MAX_CERTIFICATE_TEXT: Final = 64 * 1024
# A body of notifications has some 20 lines and one certificate; disclaimers are short.
MAX_LINES: Final = 5000
# Fewer known labels than this, and a body is somebody's prose.
_TELLING: Final = 3


@dataclass(frozen=True, slots=True)
class Wording:
    """One event's mail: its title (``%1`` is the CA) and its body lines as (label, column).

    A column of None is a line that is known and not needed; ``certificate`` is the base64.
    Order matters: a label is believed only where it can stand. A mail that gives none of
    ``needs`` is damaged.
    """

    event: str
    title: str
    lines: tuple[tuple[str, str | None], ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """How one CA words its notifications."""

    name: str
    wordings: tuple[Wording, ...]


_ISSUED: Final = (
    ("Request ID", "request_id"),
    ("UPN", "upn"),
    ("Requester Name", "requester"),
    ("Serial Number", "serial"),
    ("Valid not before", "not_before"),
    ("Valid not after", "not_after"),
    ("Distinguished Name", "subject"),
    ("Certificate Template", "template"),
    ("Certificate Hash", "thumbprint"),
    ("Request Disposition Message", None),
    ("Copy and paste the following in Notepad, save and install", None),
    ("Binary Certificate", "certificate"),
)

MICROSOFT_SAMPLE: Final = Profile(
    "microsoft-sample",
    (
        Wording("issued", "Your certificate has been issued by %1", _ISSUED, ("request_id", "serial")),
        # Assumed: the sample has no text for it; the Issued list serves.
        Wording(
            "retrieve_pending",
            "Your certificate has been retrieved from %1",
            _ISSUED,
            ("request_id", "serial"),
        ),
        Wording(
            "denied",
            "Your certificate request was denied by %1",
            (
                ("Your Request ID is", "request_id"),
                ("The Requester Name is", "requester"),
                ("The Request Submission Date was", None),
                ("Subject Name", "subject"),
                ("Request Disposition Message", None),
                ("Request StatusCode", None),
            ),
            ("request_id",),
        ),
        Wording(
            "pending",
            "Your certificate is pending on %1",
            (
                ("Request ID", "request_id"),
                ("UPN", "upn"),
                ("Requester Name", "requester"),
                ("Time submitted", None),
                ("Distinguished Name", "subject"),
                ("Certificate Template used", "template"),
                ("Request Disposition Message", None),
            ),
            ("request_id",),
        ),
        Wording(
            "revoked",
            "Your certificate was revoked by %1",
            (
                ("Request ID", "request_id"),
                ("Revoked when", None),
                ("Effective", "revoked_at"),
                ("Reason for being revoked", "reason"),
                ("UPN", "upn"),
                ("Requester Name", "requester"),
                ("Serial Number", "serial"),
                # Sic: NotBefore and NotAfter.
                ("Was not valid until", "not_before"),
                ("Was not valid after", "not_after"),
                ("Distinguished Name", "subject"),
                ("Certificate Template", "template"),
                ("Certificate Hash", "thumbprint"),
                ("Request Status", None),
            ),
            ("request_id", "serial"),
        ),
        Wording("crl_issued", "A new CRL was issued by %1"),
        # Assumed: the built-in texts of Startup and Shutdown are not published.
        Wording("startup", "The Certification Authority service on %1 has started"),
        Wording("shutdown", "The Certification Authority service on %1 has stopped"),
    ),
)
PROFILES: Final = (MICROSOFT_SAMPLE,)

_TIMES: Final = ("not_before", "not_after", "revoked_at")
_CHECKS: Final[Mapping[str, Callable[[str | None], object]]] = {
    "request_id": values.request_id,
    "serial": values.serial,
    "thumbprint": values.thumbprint,
    "reason": values.reason,
}
_BLANKS = re.compile(r"\s+")
# People forward and answer notifications; the words are those of Outlook's languages.
_PREFIX = re.compile(r"(?:(?:re|fw|fwd|aw|wg|tr|rv|i|r)\s?(?:\[\d{1,3}\])?:\s*)+", re.IGNORECASE)
_PEM_EDGE = re.compile(r"-----[A-Z0-9 ]{1,60}-----")
_BASE64_LINE = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)


@dataclass(slots=True)
class Reading:
    """A notification as far as it was understood; ``problem`` says why it cannot be used."""

    fields: dict[str, object] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    certificate: bytes | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Compiled:
    profile: str
    wording: Wording
    title: re.Pattern[str]
    labels: Mapping[str, int]


def _compile(profile: Profile) -> list[_Compiled]:
    compiled = []
    for wording in profile.wordings:
        before, _, after = wording.title.partition("%1")
        title = re.compile(rf"{re.escape(before)}(\S.*?){re.escape(after)}\s*", re.IGNORECASE | re.DOTALL)
        labels = {label.casefold(): place for place, (label, _) in enumerate(wording.lines)}
        compiled.append(_Compiled(profile.name, wording, title, labels))
    return compiled


_COMPILED: Final = [each for profile in PROFILES for each in _compile(profile)]
# A title that is plain ASCII in the raw header and has none of these words is no title of ours.
TITLE_WORDS: Final = tuple(
    sorted({max(c.wording.title.replace("%1", " ").split(), key=len).lower().encode() for c in _COMPILED})
)

# A body that has not this word has the first label of no wording.
TELLING_WORD: Final = "request"


def recognise(subject: str) -> tuple[_Compiled, str, bool] | None:
    """The wording whose title this is, the CA it names, and whether it was forwarded or answered."""
    plain = _BLANKS.sub(" ", subject).strip()
    bare = _PREFIX.sub("", plain, count=1) if _PREFIX.match(plain) else plain
    for each in _COMPILED:
        match = each.title.fullmatch(bare)
        if match:
            return each, match[1].strip(), bare != plain
    return None


def looks_like_notification(body: str) -> bool:
    """True where a body has the labels of a known wording, whatever its subject says."""
    found: set[str] = set()
    for line in body.split("\n", MAX_LINES)[:MAX_LINES]:
        label = _label(line)
        if label:
            found.add(label)
    return any(
        len(found.intersection(c.labels)) >= _TELLING and c.wording.lines[0][0].casefold() in found for c in _COMPILED
    )


def read(each: _Compiled, ca_name: str, body: str, sent_at: datetime | None, zone: timezone | None) -> Reading:
    """Read a body by a wording; values by shape, everything else NA with a flag.

    ``sent_at`` and ``zone`` are those of the mail's Date header: they tell day from month,
    and the zone of times that are printed without one.
    """
    wording = each.wording
    reading = Reading({"event": wording.event, "ca_name": ca_name or None, "profile": each.profile})
    texts = _fields(each, body, reading)
    order = order_in_mail((texts[column] for column in _TIMES if texts.get(column)), sent_at)
    for column, text in texts.items():
        if column == "certificate":
            _certificate(text, reading)
        elif column in _TIMES:
            if (printed := values.given(text)) is not None:
                reading.fields[column] = PrintedTime(printed, zone, order)
        elif column in _CHECKS:
            try:
                reading.fields[column] = _CHECKS[column](text)
            except ValueError:
                reading.flags.append(f"{column}_invalid")
        else:
            reading.fields[column] = _text(text, column, reading)
    if wording.event == "revoked" and reading.fields.get("reason") == -1:
        reading.fields["event"] = "unrevoked"
    if wording.needs and all(reading.fields.get(name) is None for name in wording.needs):
        wanted = " nor a ".join(name.replace("_", " ") for name in wording.needs)
        reading.problem = (
            f"The subject is that of a notification ({wording.event}), but the body gives neither a {wanted}."
        )
        if len(wording.needs) == 1:
            reading.problem = (
                f"The subject is that of a notification ({wording.event}), but the body gives no {wanted}."
            )
    return reading


def _label(line: str) -> str:
    head, colon, _ = line[:200].partition(":")
    return _BLANKS.sub(" ", head).strip().casefold() if colon else ""


def _fields(each: _Compiled, body: str, reading: Reading) -> dict[str, str]:
    """Split a body at its labels: column → text.

    The subject's distinguished name is the requester's own text and may hold line breaks, and
    so may forge labels. The order of the lines is the CA's: a label that comes back after the
    name belongs to the name; one that is there twice in any other way is not believed at all.
    """
    lines = each.wording.lines
    name_at = next((place for place, (_, column) in enumerate(lines) if column == "subject"), len(lines))
    found: list[tuple[int, list[str]]] = []
    after_name = False
    for line in body.split("\n", MAX_LINES)[:MAX_LINES]:
        place = each.labels.get(_label(line))
        if place is None:
            bare = each.labels.get(_BLANKS.sub(" ", line[:200]).strip().casefold())
            if bare is not None and lines[bare][1] is None:
                found.append((bare, []))
                continue
        if place is None or (after_name and place <= name_at):
            if place is not None and "label_repeated" not in reading.flags:
                reading.flags.append("label_repeated")
            if found:
                found[-1][1].append(line)
            continue
        after_name = after_name or place == name_at
        found.append((place, [line.partition(":")[2]]))
    texts: dict[int, str] = {}
    for place, parts in found:
        text = _joined(parts, keep_blank_lines=lines[place][1] == "certificate")
        if place in texts and texts[place] != text:
            _flag_once(reading, "label_repeated")
            column = lines[place][1]
            if column:
                _flag_once(reading, f"{column}_ambiguous")
            texts[place] = ""
            continue
        texts[place] = text
    return {column: texts[place] for place, (_, column) in enumerate(lines) if column and place in texts}


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


def _certificate(text: str, reading: Reading) -> None:
    """The certificate of a body: base64 with or without BEGIN and END, in lines of any length."""
    if values.given(text) is None:
        return
    collected: list[str] = []
    for line in text[:MAX_CERTIFICATE_TEXT].split("\n"):
        stripped = line.strip()
        if not stripped or _PEM_EDGE.fullmatch(stripped):
            if collected and stripped.startswith("-----END"):
                break
            continue
        if not _BASE64_LINE.fullmatch(stripped):
            break
        collected.append(stripped)
    der = _longest_der(collected)
    if der is None:
        reading.flags.append("certificate_invalid")
    else:
        reading.certificate = der


def _longest_der(lines: list[str]) -> bytes | None:
    """DER from base64 lines; a word of prose behind them may look like base64 too, so it may end earlier."""
    for end in range(len(lines), max(0, len(lines) - 8), -1):
        der = der_of_base64("".join(lines[:end]).encode("ascii"))
        if der is not None:
            return der
    return None
