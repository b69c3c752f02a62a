"""The driver: whatever the bytes are, there is an account and no exception."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.errors import PathError
from carecover.evidence import driver, read
from carecover.evidence.mail import looks_like_mail
from carecover.model import TABLES, Reading
from tests.evidence.conftest import check
from tests.evidence.test_mail import make_mail, make_mbox
from tests.evidence.test_registry import listing
from tests.evidence.test_view import row, schema, trailer
from tests.evidence.test_x509 import make_certificate, make_crl, pem

ReadBytes = Callable[[bytes], Reading]

SAMPLES = {
    "mbox": make_mbox(make_mail(), make_mail(number=2)),
    "mail": make_mail(),
    "view_text": (schema() + row(1) + trailer(1)).encode(),
    "view_csv": b'"Request ID","Serial Number"\n"1","ab"\n',
    "certificate": make_certificate(),
    "crl": pem(make_crl(), "X509 CRL"),
    "events": b"<Event><System><EventID>4887</EventID></System></Event>",
    "ldif": b"dn: cn=x\nuserCertificate:: " + base64.b64encode(make_certificate()) + b"\n",
    "registry": listing().encode(),
    "certutil": b"CertUtil: -ping command completed successfully.\n",
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_kinds_are_told_by_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "misnamed.pst"
    path.write_bytes(SAMPLES[kind])
    calls: list[tuple[int, int]] = []
    reading = read(path, progress=lambda done, total: calls.append((done, total)))
    check(reading)
    assert reading.kind == kind
    assert all(0 <= done <= total == len(SAMPLES[kind]) for done, total in calls)
    for name, frame in reading.tables.items():
        assert TABLES[name].conform(frame) is frame, "every frame is in its schema already"
        assert frame.get("evidence_id", pd.Series(dtype=object)).isna().all()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\0" * 1000, "of no kind"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "PRIVATE KEY"),
        (b"hello, serial 61\n", "of no kind"),
        # Patterns that would go back over what they have read have nothing to go back over.
        (b"\n" * 300_000, "of no kind"),
        (b" \n" * 300_000 + b"x", "of no kind"),
        (b"certutil " * 100_000, "of no kind"),
        (b"a  " * 300_000, "of no kind"),
        (b"- " * 300_000, "of no kind"),
        (b"<Event " * 100_000, "cut off"),
    ],
)
def test_what_is_not_read_is_one_reasoned_reject(read_bytes: ReadBytes, data: bytes, words: str) -> None:
    reading = read_bytes(data)
    assert reading.kind == ("events" if data.startswith(b"<Event") else "unknown")
    assert (reading.accounting.rejected, reading.accounting.units) == (1, 1)
    assert words in reading.tables["rejects"]["reason"].iloc[0]


def test_paths_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path, Path("/dev/null")):
        if path.exists() or path.parent == tmp_path:
            with pytest.raises(PathError):
                read(path)


def test_a_mapped_file_reads_like_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, data in SAMPLES.items():
        path = tmp_path / kind
        path.write_bytes(data)
        small = read(path)
        with monkeypatch.context() as patch:
            patch.setattr(driver, "_MAP_FROM", 0)
            mapped = read(path)
        assert small.accounting == mapped.accounting
        for name in small.tables:
            pd.testing.assert_frame_equal(small.tables[name], mapped.tables[name])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.builds(
            lambda start, at, noise: start[:at] + noise + start[at + len(noise) // 2 :],
            st.sampled_from(list(SAMPLES.values())),
            st.integers(0, 1200),
            st.binary(max_size=12),
        ),
        st.builds(
            lambda parts: b"\n".join(itertools.chain.from_iterable(part.split(b"\n")[:9] for part in parts)),
            st.lists(st.sampled_from(list(SAMPLES.values())), min_size=2, max_size=4),
        ),
    )
)
def test_no_bytes_raise(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    check(read(path))


def test_a_text_that_mentions_a_header_is_no_mail() -> None:
    assert not looks_like_mail(b"Connecting to: x\nServer: y\n")
    assert looks_like_mail(b"Received: by x\nSubject: y\n\n")
