"""Bytes of mails as text: only charsets that mails have, and RFC 2047 words in headers.

A sender may name any codec that Python has; punycode takes quadratic time, rot13 and zip are no
charsets. Windows' programs name a national standard and write their own code page, which has
more letters: that is what is read.
"""

from __future__ import annotations

import binascii
from email.errors import HeaderParseError
from email.header import decode_header
from functools import lru_cache
from typing import Final

MAX_HEADER_TEXT_BYTES: Final = 4 * 1024
MAX_ENCODED_WORDS: Final = 64

# Code pages of consoles and of East Asia that Windows has.
_PAGES: Final = (437, 850, 852, 855, 858, 862, 866, 874, 932, 949, 950)
# Name in a mail (lower case, "-" for "_") → Python's codec.
_CODECS: Final[dict[str, str]] = (
    {name: name for name in ("us-ascii", "utf-8", "utf-16", "utf-16le", "utf-16be", "utf-32", "utf-7")}
    | {name: name for name in ("koi8-r", "koi8-u", "tis-620", "hz", "euc-jp", "iso-2022-jp", "iso-2022-kr")}
    | {f"iso-8859-{n}": f"iso-8859-{n}" for n in range(1, 17) if n != 12}
    | {f"windows-125{n}": f"cp125{n}" for n in range(9)}
    | {f"cp125{n}": f"cp125{n}" for n in range(9)}
    | {f"{start}{n}": f"cp{n}" for start in ("cp", "ibm") for n in _PAGES}
    | {"ascii": "us-ascii", "ansi-x3.4-1968": "us-ascii", "utf8": "utf-8", "unicode-1-1-utf-8": "utf-8"}
    | {"unicode-1-1-utf-7": "utf-7", "latin-1": "iso-8859-1", "latin1": "iso-8859-1", "iso8859-1": "iso-8859-1"}
    | {"iso-8859-8-i": "iso-8859-8", "windows-874": "cp874", "macintosh": "mac-roman", "hz-gb-2312": "hz"}
    | {"shift-jis": "cp932", "shift-jisx0213": "cp932", "x-sjis": "cp932", "sjis": "cp932", "windows-31j": "cp932"}
    | {"gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "cp936": "gb18030", "x-gbk": "gb18030"}
    | {"big5": "cp950", "ks-c-5601-1987": "cp949", "euc-kr": "cp949", "windows-949": "cp949"}
)
# Windows-1252 has letters where ISO 8859-1 has controls that no mail has.
_CONTROLS: Final = bytes(range(0x80, 0xA0))


def codec_of(charset: str) -> str | None:
    """The codec for a charset's name, or None where it is not one of mails."""
    return _codec(charset) if len(charset) < 40 else None


@lru_cache(maxsize=256)
def _codec(charset: str) -> str | None:
    return _CODECS.get(charset.strip().strip("\"'").lower().replace("_", "-"))


def decoded(data: bytes, charset: str, flags: list[str] | None = None) -> str:
    """Bytes in a charset of mails; anything else as Windows-1252, with the flag ``charset_unknown``."""
    codec = codec_of(charset)
    if codec is None:
        if flags is not None and "charset_unknown" not in flags:
            flags.append("charset_unknown")
        return data.decode("cp1252", "replace")
    if codec == "us-ascii" and not data.isascii():
        codec = "utf-8"
    elif codec == "iso-8859-1" and data.translate(None, _CONTROLS) != data:
        codec = "cp1252"
    return data.decode(codec, "replace")


def normal(text: str) -> str:
    """A text with line feeds alone, and blanks that are blanks."""
    text = text.rstrip("\0")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else text.replace("\u00a0", " ")


def header_text(value: bytes) -> str:
    """A header as text: RFC 2047 words in charsets of mails, else UTF-8, else Latin-1."""
    text = utf8_or_latin1(value[:MAX_HEADER_TEXT_BYTES].strip())
    if "=?" not in text or text.count("=?") > MAX_ENCODED_WORDS:
        return text
    try:
        chunks = decode_header(text)
    except (HeaderParseError, binascii.Error, ValueError):
        return text
    return "".join(
        chunk if isinstance(chunk, str) else decoded(chunk, charset) if charset else utf8_or_latin1(chunk)
        for chunk, charset in chunks
    )


def utf8_or_latin1(data: bytes) -> str:
    """Bytes that name no charset."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def printable(value: bytes | None) -> str | None:
    """A header for the tables: bounded, without control characters."""
    if value is None:
        return None
    text = utf8_or_latin1(value[:400].strip())
    return (text if text.isprintable() else "".join(c for c in text if c.isprintable())) or None
