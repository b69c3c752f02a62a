"""The own walk over a mail's parts: it finds what the standard library's parser finds, and ends."""

from __future__ import annotations

import base64
import quopri
import re
from email import policy
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carecover.evidence.mime import Letter, letter_of

_ATTACHED: Final = {"message/rfc822", "message/global", "message/news"}


def by_the_library(raw: bytes) -> dict[str, Any]:
    """A mail as ``email.parser`` with compat32 sees it, slow and plain."""
    return seen(BytesParser(policy=policy.compat32).parsebytes(raw))


def seen(message: Message) -> dict[str, Any]:
    parts: list[Any] = []
    attached: list[Any] = []

    def walk(part: Message) -> None:
        payload = part.get_payload() if part.is_multipart() else None
        if part.get_content_maintype() == "multipart":
            for child in payload or () if isinstance(payload, list) else ():
                assert isinstance(child, Message)
                walk(child)
        elif part.get_content_type() in _ATTACHED:
            assert isinstance(payload, list)
            assert isinstance(payload[0], Message)
            attached.append(seen(payload[0]))
        elif part.get_content_maintype() != "message":
            charset = part.get_param("charset", "us-ascii")
            kind = part.get_content_type()
            # With the charset gone, the library undoes the transfer encoding and nothing else.
            del part["Content-Type"]
            data = part.get_payload(decode=True)
            parts.append((kind, charset[2] if isinstance(charset, tuple) else charset, data))

    subject = next((str(value) for name, value in message.raw_items() if name.lower() == "subject"), None)
    walk(message)
    return {"subject": None if subject is None else unfolded(subject), "parts": parts, "attached": attached}


def unfolded(subject: str) -> bytes:
    return re.sub(rb"[\r\n]", b"", subject.encode("ascii", "surrogateescape")).strip()


def by_our_walk(raw: bytes) -> dict[str, Any]:
    return told(letter_of(raw))


def told(letter: Letter) -> dict[str, Any]:
    subject = letter.headers.get(b"subject")
    return {
        "subject": None if subject is None else subject.strip(),
        "parts": [(p.kind, p.charset if p.kind.startswith("text/") else "us-ascii", p.decoded()) for p in letter.parts],
        "attached": [told(each) for each in letter.attached],
    }


def what_counts(found: dict[str, Any]) -> dict[str, Any]:
    """Of parts that are no text nobody asks for the charset, and of none for its last line ends."""
    parts = [(k, c if k.startswith("text/") else "", (d or b"").rstrip(b"\r\n")) for k, c, d in found["parts"]]
    return {**found, "parts": parts, "attached": [what_counts(each) for each in found["attached"]]}


# ---------------------------------------------------------------------------- random mails

BOUNDARIES = ["b", "b1", "=_x y", "----=_NextPart_000_0001"]
TEXTS = st.lists(
    st.sampled_from(
        [
            b"",
            b"Request ID: 1",
            b"--",
            b"--b",
            b"--b1",
            b"--b--",
            b"--b1-- ",
            b"--b x",
            b"from me",
            b"x: y",
            b"\xe9 \x80",
        ]
    ),
    max_size=5,
)


@st.composite
def entities(draw: st.DrawFn, depth: int = 0, *, plain: bool = False) -> list[bytes]:
    """The lines of a mail or part; boundaries repeat, and bodies hold what looks like them."""
    kind = draw(st.sampled_from(["text", "html", "none", "multipart", "message", "binary", "broken"]))
    lines: list[bytes] = []
    if draw(st.booleans()):
        lines.append(b"Subject: " + draw(st.sampled_from([b"a", b"b\r", b"=?utf-8?q?c?=", b"\xfc"])).strip())
    if draw(st.booleans()):
        lines += [b"X-Folded: a", b"\tb", b" c"]
    if kind in ("multipart", "message") and depth < 4:
        if kind == "message":
            lines.append(b"Content-Type: message/rfc822")
            return [*lines, b"", *draw(entities(depth + 1, plain=plain))]
        boundary = draw(st.sampled_from(BOUNDARIES)).encode()
        digest = draw(st.sampled_from([b"mixed", b"alternative", b"digest"]))
        written = draw(
            st.sampled_from(
                [b'Content-Type: multipart/%s; boundary="%s"', b'content-type: Multipart/%s;\n\tfoo=1; boundary="%s"']
            )
        )
        lines += (written % (digest, boundary)).split(b"\n")
        lines.append(b"")
        lines += draw(TEXTS)
        for _ in range(draw(st.integers(0, 3))):
            lines.append(b"--" + boundary + draw(st.sampled_from([b"", b" ", b"\t"])))
            lines += draw(entities(depth + 1, plain=plain or digest == b"digest"))
        if draw(st.booleans()):
            lines.append(b"--" + boundary + b"--")
            lines += draw(TEXTS)
        return lines
    if kind == "broken":
        return [*lines, draw(st.sampled_from([b"no header line", b": no name", b"\x80: x"])), *draw(TEXTS)]
    coding = draw(st.sampled_from([None, b"7bit", b"base64", b"quoted-printable", b"8BIT", b"x-uuencode", b"other"]))
    if kind != "none":
        what = {"text": b"text/plain", "html": b"text/html", "binary": b"application/octet-stream"}.get(kind, b"text")
        charset = draw(
            st.sampled_from(
                [
                    b"",
                    b"; charset=utf-8",
                    b'; charset="iso-8859-1"',
                    b"; charset*=us-ascii'en'utf-8",
                    b"; charset=<x>",
                    b"; a; charset=b",
                ]
            )
        )
        lines.append(b"Content-Type: " + what + charset)
    # A digest holds mails, at any depth where boundaries repeat, and of mails in a coding the library makes nothing.
    if coding and not plain:
        lines.append(b"Content-Transfer-Encoding: " + coding)
    lines.append(b"")
    body = b"\n".join(draw(TEXTS))
    if coding == b"base64" and draw(st.booleans()):
        body = base64.encodebytes(body)[draw(st.integers(0, 3)) :]
    if coding == b"quoted-printable" and draw(st.booleans()):
        body = quopri.encodestring(body)
    return lines + body.split(b"\n")


@settings(max_examples=400, deadline=None)
@given(entities(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_random_mails_have_the_parts_that_the_library_finds(lines: list[bytes], line_end: bytes) -> None:
    raw = line_end.join(lines)
    assert what_counts(by_our_walk(raw)) == what_counts(by_the_library(raw))


@pytest.mark.thorough
@settings(max_examples=50_000, deadline=None)
@given(entities(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_many_random_mails_have_the_parts_that_the_library_finds(lines: list[bytes], line_end: bytes) -> None:
    raw = line_end.join(lines)
    assert what_counts(by_our_walk(raw)) == what_counts(by_the_library(raw))


# Where the walk finds more than the library on purpose, and what.
BEYOND = {
    "mime4j__mimetools-testmsgs_multi-digest.msg": "a boundary that is folded",
    "stalwart__thirdparty_012.eml": "a boundary that is folded",
    "mime4j__mimetools-testmsgs_twopart.msg": "a blank behind the transfer encoding",
    "stalwart__thirdparty_003.eml": "a blank behind the transfer encoding",
    "mime4j__testmsgs_bad-newlines-multiple-parts-base64.msg": "an attached mail in base64",
    "stalwart__rfc_008.eml": "an attached mail in base64",
    "mime4j__testmsgs_obsolete.msg": "blanks before the colon of a header (RFC 5322 4.5.8)",
    "rubymail__rfc2822_example13.eml": "blanks before the colon of a header (RFC 5322 4.5.8)",
}


def test_every_mail_of_the_corpus_has_the_parts_that_the_library_finds(corpus: Path) -> None:
    same, other = 0, set()
    for path in sorted((corpus / "mail").iterdir()):
        raw = path.read_bytes()
        if raw[:4] in (b"!BDN", b"\xd0\xcf\x11\xe0", b"PK\x03\x04") or path.suffix == ".tsv":
            continue
        if what_counts(by_our_walk(raw)) == what_counts(by_the_library(raw)):
            same += 1
        else:
            other.add(path.name)
    assert other == set(BEYOND)
    assert same > 400
