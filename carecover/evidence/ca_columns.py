"""Rows of a CA database view by the ten thousand → columns of ``ca_rows``.

What certutil prints in nearly every row is proved for a whole column at once: that a serial
number is hex, that a name has no blank around it. A row with any cell that is not proved is
told as unsure, and whoever asked reads it with ``ca_row``: the table is the same either way
(a test compares the two).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from carecover.evidence import values
from carecover.evidence.arrow import FIRST, Index, Letters, Octets, Sure, digit_bits, letters_of, strings
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
QUOTED: Final = frozenset({*_REQUESTERS, *_SUBJECTS, "SerialNumber", "CertificateHash"})
"""Columns of text, which certutil puts into quotes in a row dump."""
_THUMBPRINT: Final = 20
_SPACED: Final = 59
_MAX_SERIAL: Final = 40
# One of these is in every text that was encoded twice: a leading byte of UTF-8 and one that goes on, as letters.
_TWICE: Final = "\ufffd|[\u00c2-\u00f4][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"  # noqa: RUF001 - those of cp1252


@dataclass(frozen=True, slots=True)
class Cells:
    """One column of some rows: where each value begins and ends, in the order of the text, and whether there is one."""

    begin: Index
    end: Index
    there: Sure

    def texts(self, letters: Letters) -> pa.Array:
        """The values, null where there is none."""
        return strings(letters.data, self.begin, self.end, self.there)


def spared(cells: dict[str, Cells]) -> None:
    """Leave out the second name of a subject where the first is there: nobody looks at it."""
    first, second = (cells.get(name) for name in _SUBJECTS)
    if first is not None and second is not None:
        without = ~first.there | (first.begin == first.end)
        cells[_SUBJECTS[1]] = Cells(second.begin, second.end, second.there & without)


def replaced(texts: pa.Array, which: Index, pairs: Sequence[tuple[str, str]]) -> pa.Array:
    """Texts in which some (``which``) have the second of each pair where the first stood."""
    some = texts.take(pa.array(which))
    for old, new in pairs:
        some = pc.replace_substring(some, old, new)
    order = np.arange(len(texts))
    order[which] = len(texts) + np.arange(len(which))
    return pa.concat_arrays([texts, some]).take(pa.array(order))


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
        sure &= _printed(texts[name])
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


def _printed(texts: pa.Array) -> Sure:
    """Where a time begins with a digit and has no blank around it."""
    letters, begin, end = letters_of(texts)
    octets = letters.octets
    last = octets[np.maximum(end, 1) - 1]
    sure: Sure = (octets[begin] - np.uint8(ord("0")) < 10) & (last > ord(" ")) & (last < 0x80) & (end > begin)
    return sure | ~_valid(texts)


def serials(texts: pa.Array) -> Sure:
    """Where a serial number is canonical already: lower-case hex of 1 to 20 bytes, no zeros before it."""
    letters, begin, end = letters_of(texts)
    size = end - begin
    sure: Sure = (size % 2 == 0) & (size >= 2) & (size <= _MAX_SERIAL) & ~letters.begins(begin, b"00")
    proved = _hex(letters.octets[: int(end[-1]) if len(end) else 0])
    if not proved.all():
        wrong = np.concatenate([[0], np.cumsum(~proved)])
        sure &= wrong[begin] == wrong[end]
    return sure | ~_valid(texts)


def thumbprints(texts: pa.Array) -> tuple[pa.Array, Sure]:
    """SHA-1 hashes without the blanks between their bytes."""
    _, begin, end = letters_of(texts)
    spaced = (end - begin == _SPACED) & _valid(texts)
    chosen = texts if spaced.all() else texts.filter(pa.array(spaced))
    padded = letters_of(chosen)[0].octets
    pairs: Any = np.ndarray((len(chosen), _THUMBPRINT), "<u2", padded, strides=(_SPACED, 3))
    blanks: Any = np.ndarray((len(chosen), _THUMBPRINT - 1), np.uint8, padded[2:], strides=(_SPACED, 3))
    close = np.ascontiguousarray(pairs)
    right = np.ones(len(chosen), bool)
    for each in (np.ascontiguousarray(blanks) == ord(" "), _hex(close.view(np.uint8))):
        if not each.all():
            right &= each.all(axis=1)
    sure = ~_valid(texts)
    sure[np.flatnonzero(spaced)[right]] = True
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(spaced * (2 * _THUMBPRINT), out=offsets[1:])
    plain = pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(close))
    return (plain if spaced.all() else pc.if_else(pa.array(_valid(texts)), plain, None)), sure


def names(texts: pa.Array) -> tuple[pa.Array, Sure]:
    """Texts that stand for themselves: no blank around them, no letter that was damaged."""
    letters, begin, end = letters_of(texts)
    octets = letters.octets
    full = end > begin
    first, last = octets[begin], octets[np.maximum(end, 1) - 1]
    sure: Sure = ((first > ord(" ")) & (first < 0x80) & (last > ord(" ")) & (last < 0x80)) | ~full
    far = np.flatnonzero(full & ((first >= 0x80) | (last >= 0x80)))
    for place, text in zip(far.tolist(), texts.take(pa.array(far)).to_pylist(), strict=True):
        sure[place] = text == text.strip()
    # Only these can begin what was encoded twice or lost: a letter of U+00C0 to U+00FF before another, and U+FFFD.
    foreign = np.flatnonzero(octets >= 0x80)
    foreign = foreign[((octets[foreign] == 0xC3) & (octets[foreign + 2] >= 0x80)) | (octets[foreign] == 0xEF)]
    maybe = np.unique(np.searchsorted(begin, foreign, "right") - 1) if len(texts) else foreign
    maybe = maybe[maybe >= 0]
    if len(maybe):
        odd = pc.match_substring_regex(texts.take(pa.array(maybe)), _TWICE).fill_null(False)
        sure[maybe[odd.to_numpy(zero_copy_only=False)]] = False
    return (texts if (full | ~_valid(texts)).all() else pc.if_else(pa.array(full), texts, None)), sure


def request_ids(texts: pa.Array) -> tuple[pa.Array, Sure]:
    """``0x3``, ``0xb (11)`` or ``11`` as the number."""
    letters, begin, end = letters_of(texts)
    hexed = letters.begins(begin, b"0x") & (end - begin > 2)
    if not hexed.any():
        number, sure = decimals(letters, begin, end)
    else:
        number, wide = _hex_numbers(letters, begin + 2, end)
        at = begin + 2 + wide
        again, closed = decimals(letters, at + 2, end - 1)
        closed &= (again == number) & letters.begins(at, b" (") & letters.begins(np.maximum(end, 1) - 1, b")")
        sure = (wide > 0) & ((at == end) | closed)
        if not hexed.all():
            other, proved = decimals(letters, begin, end)
            number, sure = np.where(hexed, number, other), np.where(hexed, sure, proved)
    valid = _valid(texts)
    sure &= (number > 0) & (number < 1 << 32)
    return pa.array(number, mask=~valid), sure | ~valid


def decimals(letters: Letters, begin: Index, end: Index) -> tuple[Index, Sure]:
    """Numbers of up to ten decimal digits, and where nothing else stands between two places."""
    size = end - begin
    number, sure = _eight_digits(letters, begin, end)
    if (long := size > 8).any():
        rest, proved = _eight_digits(letters, begin + 8, np.where(long, end, begin + 8))
        number = number * np.where(long, 10 ** np.clip(size - 8, 0, 2), 1) + np.where(long, rest, 0)
        sure &= proved | ~long
    return number, sure & (size > 0) & (size <= 10)


def _eight_digits(letters: Letters, begin: Index, end: Index) -> tuple[Index, Sure]:
    """The number of the first eight digits at most, and where all of them are digits."""
    words = letters.words_until(np.maximum(begin, 0), np.maximum(end, 0))
    size = np.clip(end - begin, 0, 8)
    sure: Sure = digit_bits(words) == FIRST[size] & _HIGHEST
    words = np.where(size > 0, words << np.minimum(64 - 8 * size, 63).astype(np.uint64), 0)
    words = (words & np.uint64(0x0F0F0F0F0F0F0F0F)) * np.uint64(2561) >> np.uint64(8)
    words = (words & np.uint64(0x00FF00FF00FF00FF)) * np.uint64(6553601) >> np.uint64(16)
    words = (words & np.uint64(0x0000FFFF0000FFFF)) * np.uint64(42949672960001) >> np.uint64(32)
    return words.astype(np.int64), sure


def _hex_numbers(letters: Letters, begin: Index, end: Index) -> tuple[Index, Index]:
    """The number of up to eight lower-case digits of hex at each place, and how many there are."""
    words = letters.words_until(np.minimum(begin, end), end)
    low = words & np.uint64(0x7F7F7F7F7F7F7F7F)
    letter = (low + _FROM_A) & ~(low + _BEHIND_F) & ~words & _HIGHEST
    wrong = ~(digit_bits(words) | letter) & _HIGHEST
    # The lowest bit that is set alone is a power of two, which a float holds exactly.
    lowest = wrong & (~wrong + np.uint64(1))
    wide = np.where(wrong == 0, 8, (np.frexp(lowest.astype(np.float64))[1] - 1) // 8).astype(np.int64)
    digits = (words & np.uint64(0x0F0F0F0F0F0F0F0F)) + (letter >> np.uint64(7)) * np.uint64(9)
    digits = np.where(wide > 0, digits << np.clip(64 - 8 * wide, 0, 63).astype(np.uint64), 0)
    digits = digits * np.uint64(0x1001) >> np.uint64(8) & np.uint64(0x00FF00FF00FF00FF)
    digits = digits * np.uint64(0x1000001) >> np.uint64(16) & np.uint64(0x0000FFFF0000FFFF)
    digits = digits * np.uint64(0x1000000000001) >> np.uint64(32) & np.uint64(0xFFFFFFFF)
    return digits.astype(np.int64), wide


def repeated(name: str, texts: pa.Array, said: Callable[[str, str], str | None]) -> tuple[dict[str, pa.Array], Sure]:
    """Columns of ``ca_rows`` from one of ``REPEATED``: each different text is read once, by ``ca_row`` itself."""
    encoded = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
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


def _hex(octets: Octets) -> Sure:
    """Which bytes are lower-case digits of hex."""
    sure: Sure = octets - np.uint8(ord("0")) < 10
    sure |= octets - np.uint8(ord("a")) < 6
    return sure


EMPTY: Final = np.uint64(int.from_bytes(b"EMPTY", "little"))
"""certutil's word for nothing, as a word of eight bytes."""
_HIGHEST: Final = np.uint64(0x8080808080808080)
_FROM_A: Final = np.uint64(0x0101010101010101 * (0x80 - ord("a")))
_BEHIND_F: Final = np.uint64(0x0101010101010101 * (0x80 - ord("f") - 1))
