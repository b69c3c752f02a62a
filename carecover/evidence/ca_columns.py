"""Rows of a CA database view by the ten thousand → columns of ``ca_rows``.

What certutil prints in nearly every row is proved for a whole column at once: that a serial
number is hex, that a name has no blank around it. A row with any cell that is not proved is
told as unsure, and whoever asked reads it with ``ca_row``: the table is the same either way
(a test compares the two).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carecover.evidence import values
from carecover.evidence.arrow import Index, spans
from carecover.evidence.ca_row import ca_row

# Columns of few different values, read once for each of them: schema column → columns of ca_rows.
REPEATED: Final[Mapping[str, tuple[tuple[str, Callable[[str | None], object]], ...]]] = {
    "Request.Disposition": (("disposition", values.integer),),
    "CertificateTemplate": (("template", values.template), ("template_oid", values.template_oid)),
    "Request.RevokedReason": (("reason", values.reason),),
    "IssuerNameID": (("issuer_name_id", values.integer),),
}
TIMES: Final[Mapping[str, str]] = {
    "NotBefore": "not_before",
    "NotAfter": "not_after",
    "Request.SubmittedWhen": "submitted_at",
    "Request.RevokedWhen": "revoked_at",
    "Request.RevokedEffectiveWhen": "effective_revoked_at",
}
_REQUESTERS: Final = ("Request.RequesterName",)
_SUBJECTS: Final = ("DistinguishedName", "CommonName")
# A time without blanks around it.
_PRINTED: Final = r"(?s)^[0-9](?:.*[^\s\x{a0}])?$"
QUOTED: Final = frozenset({*_REQUESTERS, *_SUBJECTS, "SerialNumber", "CertificateHash"})
"""Columns of text, which certutil puts into quotes in a row dump."""
_HEX_DIGITS: Final = 40
_SPACED: Final = 59
_MAX_SERIAL: Final = 40
# One of these is in every text that was encoded twice: a leading byte of UTF-8 and one that goes on, as letters.
_TWICE: Final = "\ufffd|[\u00c2-\u00f4][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"  # noqa: RUF001 - those of cp1252
Octets: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Sure: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
"""True for a row that is proved."""


def columns_of(
    texts: Mapping[str, pa.Array], said: Callable[[str, str], str | None]
) -> tuple[dict[str, pa.Array], Sure]:
    """The columns of ``ca_rows`` from printed values by schema name, null where there is none, and the rows proved.

    ``said`` is what a printed value of a column in ``REPEATED`` (its name comes first) says.
    """
    sure = np.ones(len(next(iter(texts.values()), ())), bool)
    found: dict[str, pa.Array] = {}
    for name in REPEATED.keys() & texts.keys():
        new, proved = repeated(name, texts[name], said)
        found |= new
        sure &= proved
    for name in TIMES.keys() & texts.keys():
        found[TIMES[name]] = texts[name]
        printed = pc.match_substring_regex(texts[name], _PRINTED).fill_null(True)
        sure &= printed.to_numpy(zero_copy_only=False)
    ids = [name for name in ("Request.RequestID", "RequestID") if name in texts]
    for name in ids[:1]:
        found["request_id"], proved = request_ids(texts[name])
        sure &= proved & (_valid(texts[name]) | (len(ids) == 1))
    if "SerialNumber" in texts:
        found["serial"] = texts["SerialNumber"]
        sure &= serials(texts["SerialNumber"])
    if "CertificateHash" in texts:
        found["thumbprint"], proved = thumbprints(texts["CertificateHash"])
        sure &= proved
    for column, candidates in (("requester", _REQUESTERS), ("subject", _SUBJECTS)):
        for name in candidates:
            if name not in texts:
                continue
            found_names, proved = names(texts[name])
            if column in found:
                # The second is looked at where the first is absent.
                proved |= _valid(found[column])
                found_names = pc.coalesce(found[column], found_names)
            found[column] = found_names
            sure &= proved
    return found, sure


def serials(texts: pa.Array) -> Sure:
    """Where a serial number is canonical already: lower-case hex of 1 to 20 bytes, no zeros before it."""
    begin, end, data = spans(texts)
    size = end - begin
    sure: Sure = (size % 2 == 0) & (size >= 2) & (size <= _MAX_SERIAL)
    sure &= ~pc.starts_with(texts, "00").fill_null(False).to_numpy(zero_copy_only=False)
    sure &= _all_hex(begin, end, data)
    sure |= ~_valid(texts)
    return sure


def thumbprints(texts: pa.Array) -> tuple[pa.Array, Sure]:
    """SHA-1 hashes without the blanks between their bytes."""
    begin, end, _ = spans(texts)
    spaced = (end - begin == _SPACED) & _valid(texts)
    pairs = _bytes_of(texts, spaced)
    matrix = pairs.reshape(-1, _SPACED)
    close = np.ascontiguousarray(matrix[:, np.arange(_SPACED) % 3 != 2])
    proved = (matrix[:, 2::3] == ord(" ")).all(axis=1) & _HEX[close].all(axis=1)
    sure = ~_valid(texts)
    sure[np.flatnonzero(spaced)[proved]] = True
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(spaced * _HEX_DIGITS, out=offsets[1:])
    plain = pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(close))
    return pc.if_else(pa.array(_valid(texts)), plain, None), sure


def _bytes_of(texts: pa.Array, where: Sure) -> Octets:
    """The bytes of some of the texts, one behind the other."""
    chosen = texts.filter(pa.array(where))
    begin, end, data = spans(chosen)
    return np.frombuffer(data, np.uint8)[begin[0] if len(begin) else 0 : end[-1] if len(end) else 0]


def names(texts: pa.Array) -> tuple[pa.Array, Sure]:
    """Texts that stand for themselves: no blank around them, no letter that was damaged."""
    begin, end, data = spans(texts)
    size = end - begin
    bytes_ = np.frombuffer(data, np.uint8)
    full = size > 0
    first, last = np.zeros(len(texts), np.uint8), np.zeros(len(texts), np.uint8)
    first[full], last[full] = bytes_[begin[full]], bytes_[end[full] - 1]
    sure = ((first > ord(" ")) & (first < 0x80) & (last > ord(" ")) & (last < 0x80)) | ~full
    far = np.flatnonzero(full & ((first >= 0x80) | (last >= 0x80)))
    for place, text in zip(far.tolist(), texts.take(pa.array(far)).to_pylist(), strict=True):
        sure[place] = text == text.strip()
    foreign = np.flatnonzero(~pc.string_is_ascii(texts).fill_null(True).to_numpy(zero_copy_only=False))
    odd = pc.match_substring_regex(texts.take(pa.array(foreign)), _TWICE).to_numpy(zero_copy_only=False)
    sure[foreign[odd]] = False
    return pc.if_else(pa.array(full), texts, None), sure


def request_ids(texts: pa.Array) -> tuple[pa.Array, Sure]:
    """``0x3``, ``0xb (11)`` or ``11`` as the number."""
    begin, end, data = spans(texts)
    # Looking behind the last text must find something.
    bytes_ = np.concatenate([np.frombuffer(data, np.uint8), np.zeros(2, np.uint8)])
    hexed = (end - begin > 2) & (bytes_[begin] == ord("0")) & (bytes_[begin + 1] == ord("x"))
    at = begin + 2 * hexed
    number, at, width = digits(bytes_, at, end, np.where(hexed, 16, 10), np.where(hexed, 8, 10))
    sure = (width > 0) & (number > 0) & (number < 1 << 32)
    more = hexed & (at < end)
    behind = np.minimum(at + 2, end)
    again, at_end, wide = digits(bytes_, behind, end, np.full(len(at), 10), np.full(len(at), 10))
    closed = (bytes_[np.minimum(at, end)] == ord(" ")) & (bytes_[np.minimum(at + 1, end)] == ord("("))
    closed &= (at_end + 1 == end) & (bytes_[at_end] == ord(")")) & (wide > 0) & (again == number)
    sure &= np.where(more, closed, at == end)
    return pc.if_else(pa.array(_valid(texts)), pa.array(number), None), sure | ~_valid(texts)


def digits(bytes_: Octets, at: Index, end: Index, base: Index, most: Index) -> tuple[Index, Index, Index]:
    """The number that begins at each place, where it ends, and how many digits it has."""
    number, width, going = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64), np.ones(len(at), bool)
    for _ in range(10):
        digit = _VALUE[bytes_[np.minimum(at, end)]]
        going &= (at < end) & (digit < base) & (width < most)
        if not going.any():
            break
        number = np.where(going, number * base + digit, number)
        width += going
        at = at + going
    return number, at, width


def repeated(name: str, texts: pa.Array, said: Callable[[str, str], str | None]) -> tuple[dict[str, pa.Array], Sure]:
    """Columns of ``ca_rows`` from one of ``REPEATED``: each different text is read once, by ``ca_row`` itself."""
    encoded = texts.dictionary_encode()
    rows = [ca_row({name: said(name, text)}, location="") for text in encoded.dictionary.to_pylist()]
    kinds = {"template": pa.string(), "template_oid": pa.string()}
    found = {
        column: pa.array([row.get(column) for row in rows], kinds.get(column, pa.int64())).take(encoded.indices)
        for column, _ in REPEATED[name]
    }
    sure = pa.array([not row["flags"] for row in rows], pa.bool_()).take(encoded.indices)
    return found, sure.fill_null(True).to_numpy(zero_copy_only=False)


def _valid(texts: pa.Array) -> Sure:
    valid: Sure = texts.is_valid().to_numpy(zero_copy_only=False)
    return valid


_HEX: Final = np.zeros(256, bool)
_HEX[np.frombuffer(b"0123456789abcdef", np.uint8)] = True
_VALUE: Final = np.full(256, 99, np.int64)
for _digit, _letter in enumerate(b"0123456789abcdef"):
    _VALUE[_letter] = _digit


def _all_hex(begin: Index, end: Index, data: Any) -> Sure:  # noqa: ANN401 - an Arrow buffer
    """Whether every byte between two places is a lower-case digit of hex."""
    wrong = np.concatenate([[0], np.cumsum(~_HEX[np.frombuffer(data, np.uint8)])])
    right: Sure = wrong[begin] == wrong[end]
    return right
