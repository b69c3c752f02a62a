"""A fuzzer for every reader: real and made files, bent; whatever comes, there is an account, a bound, and no exception.

The normal run takes a small sample; ``pytest -m thorough`` bends every file of the corpus many times.
"""

from __future__ import annotations

import base64
import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from carecover.evidence import read
from tests.evidence.conftest import check
from tests.evidence.ese import database
from tests.evidence.test_driver import SAMPLES
from tests.evidence.test_dump import hexed, stored
from tests.evidence.test_edb import tables
from tests.evidence.test_event_text import FORMS, as_xml
from tests.evidence.test_ldif import of
from tests.evidence.test_quirks import COMMAND, GERMAN, GERMAN_ROW
from tests.evidence.test_view import row, schema, trailer
from tests.evidence.test_x509 import make_certificate, make_crl, pem

MADE: dict[str, bytes] = {
    **SAMPLES,
    "edb": database(tables()),
    "ldif of many": ("dn: cn=x\n" + of(make_certificate()) * 3 + of(make_crl(), "cACertificate")).encode(),
    "csvde": f"DN,userCertificate\r\nCN=x,X'{make_certificate().hex()}'\r\n".encode("utf-16"),
    "dump": (stored() * 3).encode(),
    "hex": hexed(make_certificate(), "certutil").encode(),
    "base64": base64.b64encode(make_certificate()),
    "pem": pem(make_certificate()) + pem(make_crl(), "X509 CRL"),
    "csv by its command": (COMMAND + GERMAN + GERMAN_ROW * 3).encode(),
    "view": (schema() + row(1) + row(2) + trailer(2)).encode("utf-16"),
    "events": as_xml().encode(),
    **{f"events as {name}": made().encode() for name, made in FORMS.items()},
}
FOLDERS = ("certs", "certutil", "edb", "evtx", "ldif", "exitmail")
# What readers look for: put into a file where it does not belong, it must not lead anybody astray.
TOKENS = (
    b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----", b"\nRow 1:\n", b"Schema:\n", b"\ndn: cn=x\n",
    b"userCertificate:: ", b"<Event>", b"</Event>", b"TimeCreated : ", b"Serial Number: ", b"\"", b"\n\n", b"\0" * 8,
    b"\xff" * 8, b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"========= x 1 =========\n", b"CertUtil: -view\n",
    b"\xef\xbb\xbf",
)  # fmt: skip


def bent(data: bytes, chance: random.Random) -> bytes:
    """The bytes with a few changes: turned bits, cuts, doubled parts, words of other formats."""
    made = bytearray(data[: 1 << 20])
    for _ in range(chance.randint(1, 6)):
        if not made:
            break
        at = chance.randrange(len(made))
        match chance.randrange(6):
            case 0:
                made[at] ^= 1 << chance.randrange(8)
            case 1:
                made[at : at + chance.randint(1, 64)] = chance.randbytes(chance.randint(0, 64))
            case 2:
                del made[at : at + chance.randint(1, len(made))]
            case 3:
                made[at:at] = made[at : at + chance.randint(1, 4096)]
            case 4:
                made[at:at] = chance.choice(TOKENS)
            case _:
                made[at : at + 4] = chance.choice(TOKENS)[:4]
    return bytes(made)


def tried(place: Path, data: bytes, chance: random.Random, times: int) -> Iterator[int]:
    """Read bent copies; how many units each gave."""
    for _ in range(times):
        place.write_bytes(bent(data, chance))
        reading = read(place)
        check(reading)
        yield reading.accounting.units


@pytest.mark.parametrize("kind", MADE)
def test_bent_files_of_every_kind(tmp_path: Path, kind: str) -> None:
    """A small sample; the same bytes every time."""
    data = MADE[kind]
    for units in tried(tmp_path / "bent", data, random.Random(kind), 12):
        # One unit cannot take less than a few bytes: no file tells of more than it holds.
        assert units <= len(data) * 40 + 10_000


@pytest.mark.parametrize("folder", FOLDERS)
def test_bent_files_of_the_corpus(corpus: Path, tmp_path: Path, folder: str) -> None:
    """A few real files, once."""
    chance = random.Random(folder)
    files = sorted(path for path in (corpus / folder).iterdir() if path.stat().st_size < 100_000)
    for path in chance.sample(files, min(6, len(files))):
        assert sum(tried(tmp_path / "bent", path.read_bytes(), chance, 1)) >= 1


@pytest.mark.thorough
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_of_the_corpus_bent_many_times(corpus: Path, tmp_path: Path, folder: str) -> None:
    chance = random.Random(f"thorough {folder}")
    for path in sorted((corpus / folder).iterdir()):
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        assert sum(tried(tmp_path / "bent", data, chance, 20)) >= 20


@pytest.mark.thorough
@pytest.mark.parametrize("kind", MADE)
def test_made_files_bent_many_times(tmp_path: Path, kind: str) -> None:
    assert sum(tried(tmp_path / "bent", MADE[kind], random.Random(f"thorough {kind}"), 400)) >= 400


@pytest.mark.parametrize(
    "line",
    [
        b"dn: cn=x\nuserCertificate:: " + b"A" * 3_000_000 + b"\n",
        b"dn: cn=x\n" + b"userCertificate:: AAAA\n" * 10_000,
        b"dn: cn=x\nuserCertificate:: MIIB\n" + b" AAAA\n" * 30_000,
        b"Serial Number: 44\n" * 20_000,
        b"================ x 1 ================\n" * 10_000,
        b"CRL Entries: 1\n" + b"  Serial Number: 4400000000\n   Revocation Date: 1/1/2026 1:00 AM\n" * 10_000,
        b"TimeCreated : 1/1/2026 1:00 AM\nId : 4887\nMessage : x\n" + b"    Request ID:\t1\n" * 20_000,
        b"Event[0]:\n  Source: x\n  Event ID: 4887\n" * 6_000,
        b"TimeCreated Id Message\n----------- -- -------\n" + b"1/1/2026 4887 x\n" * 10_000,
        b'"Message","Id","TimeCreated"\n' + b'"x","4887","1/1/2026"\n' * 10_000,
        b"DN,userCertificate\n" + b"CN=x,X'30'\n" * 10_000,
        b"M" * 4_000_000,
        b"30 82 " * 600_000,
        b"-----BEGIN CERTIFICATE-----\n" * 10_000,
        b"\x30\x80" * 1_000_000,
        b"    Row 1:\n      Serial Number: 1\n" * 5_000,
    ],
    ids=range(16),
)
def test_sizes_that_were_made_to_hurt(tmp_path: Path, line: bytes) -> None:
    """Each is some megabytes of one thing: it is read in one pass, or refused in one."""
    place = tmp_path / "large"
    place.write_bytes(line)
    reading = read(place)
    check(reading)
    assert reading.accounting.units <= 20_001


SAME = (
    b" ", b"\t", b"\n", b" \n", b"-", b"- ", b"=", b"= ", b":", b": ", b"a: ", b"A", b"Ab: ", b"30 ", b"Id ", b"0",
    b'"', b'","', b"TimeCreated ", b"Row 1: ", b"dn: ", b"  a: 44", b"Event ID: ", b"\0", b"\xff", b"<Event ", b"M",
    b"MIIB", b"certutil -view ",
)  # fmt: skip


@pytest.mark.parametrize("piece", SAME)
@pytest.mark.parametrize("size", [200_000])
def test_one_thing_again_and_again(tmp_path: Path, piece: bytes, size: int) -> None:
    """A pattern that goes back over what it has read would take minutes over these."""
    place = tmp_path / "same"
    place.write_bytes(piece * (size // len(piece)))
    check(read(place))
