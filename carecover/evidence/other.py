"""Files that carecover does not read: what they are, and what to hand in instead; or that they are no evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from carecover.evidence.text import head_text
from carecover.evidence.units import Reader, Rejected, Source, Unit
from carecover.evidence.x509 import what_der_is

_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive. Unpack it and hand in its files"),
    (b"LZIP", "an lzip archive. Unpack it and hand in its files"),
    (b"Rar!", "a rar archive. Unpack it and hand in its files"),
    (b"%PDF", "a PDF. Hand in the original that it was made from"),
    (b"\x78\x9f\x3e\x22", "a winmail.dat (TNEF). Save the mail as .eml"),
    (b"regf", "a registry hive"),
)
# Pictures and sound, each with how a whole one ends: what follows its end may be anything.
_PICTURES: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
    (b"\xff\xd8\xff", b"\xff\xd9"),
    (b"GIF8", b";"),
)
# A longer text is no note.
_NOTE_BYTES: Final = 16 * 1024
# What a certificate, a view, a list, a mail or a serial number in any form would show.
_LIKE_EVIDENCE: Final = re.compile(
    r"[0-9A-Za-z+/=]{32}|MII|(?:[0-9A-Fa-f][ :.\-]?){10}|-----|CN=|:\\|://|@|certutil|serial|seri[ea]n|request|anforder"
    r"|certifi[ck]|zertifi|thumbprint|revo[ck]|\bCRLs?\b|\bCAs?\b"
    r"|(?m:^\s*(?:from|to|cc|date|subject|received|message-id|von|an|datum|betreff|de|objet|row)\b[^\n:]{0,20}:)",
    re.IGNORECASE,
)
# Blanks only, no line ends, before a word: the head may be 256 kB of empty lines.
_STATUS = re.compile(r"(?im)^certutil:[ \t]*\S")
_VERB = re.compile(r"(?im)^certutil:[ \t]*(-[a-z]{2,20})\b", re.ASCII)
# What certutil prints of certificates and lists that it was shown.
_ABOUT_FILES: Final = frozenset({"-store", "-viewstore", "-dump", "-verify", "-sign", "-decode", "-encode"})
_FAILED = re.compile(r"\b0x[89a-f][0-9a-f]{7}\b", re.IGNORECASE)


def is_container(source: Source) -> bool:
    """True for archives and the like: what they hold in clear (a stored mail, say) is not the file's own content."""
    return source.head.startswith(tuple(magic for magic, _ in _MAGIC))


def is_no_evidence(source: Source) -> bool:
    """True for a whole picture, and for a short note in which nothing looks like a mail, certificate, list or view.

    Anything else that nobody reads may be evidence that was damaged: somebody has to look at it.
    """
    data = bytes(source.data[-64:])
    if any(source.head.startswith(begin) and data.rstrip(b"\0\r\n").endswith(end) for begin, end in _PICTURES):
        return True
    if not 0 < source.size <= _NOTE_BYTES or what_it_is(source) is not None:
        return False
    try:
        text = bytes(source.data).decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    plain = all(c.isprintable() or c in "\t\r\n" for c in text)
    return plain and not _LIKE_EVIDENCE.search(text)


def what_it_is(source: Source) -> str | None:
    """One sentence about a file of a known but unread kind; None where it cannot be told."""
    head = source.head
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return f"This is {kind}."
    if (words := what_der_is(source.data)) is not None:
        return f"This is {words}. carecover reads certificates and CRLs, DER or PEM."
    return None


def _is_certutil(source: Source) -> bool:
    """certutil's own status line, and nothing in the file that another hand-in would do better."""
    return what_it_is(source) is None and _STATUS.search(head_text(source.head)) is not None


def _read(source: Source, progress: Callable[[int], None]) -> Iterator[Unit]:
    progress(source.size)
    text = head_text(source.head)
    if re.search(r"(?i)-view\b", text) and _FAILED.search(text):
        reason = "This certutil -view failed: it shows no row, and it does not prove that there is none. Export again."
    else:
        verb = _VERB.search(text)
        what = f"certutil {verb[1].lower()} printed" if verb else "certutil printed"
        instead = "the certificate or CRL itself" if verb and verb[1].lower() in _ABOUT_FILES else "certutil -view"
        reason = f"This is what {what}, not a view of the database. Nothing is taken from it; hand in {instead}."
    yield Rejected.of("line 1", "parse", reason, source.data)


# Transcripts of -ping, -revoke, -crl, -getreg …: told, and said to hold nothing that carecover can use.
CERTUTIL_READER: Final = Reader("certutil", _is_certutil, _read)
