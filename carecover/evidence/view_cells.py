"""One value of ``certutil -view`` text: what stands in it, without its quotes."""

from __future__ import annotations

import re
from typing import Final

NAMED: Final = frozenset({"CertificateTemplate", "PublicKeyAlgorithm"})
"""Columns whose quoted value may have a display name behind the closing quote."""
_WORD = re.compile(r"[^\W\d_]+")


def cell(name: str, value: str) -> str | None:
    """A printed value without its quotes; None for the unquoted word that stands for "nothing".

    That word may be translated: numbers and dates have digits, strings have quotes, so an
    unquoted word without digits is it.
    """
    value = value.strip()
    if value.startswith('"'):
        if name not in NAMED and value[-1] == '"' and len(value) > 1:
            return value[1:-1]
        inner, _, behind = value[1:].rpartition('"')
        if name in NAMED:
            # A console that wraps breaks the long OID.
            return f"{inner.replace(chr(10), '')} {behind.strip()}".strip()
        return inner
    return None if _WORD.fullmatch(value) else value
