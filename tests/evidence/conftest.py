"""Fixtures of the evidence room: a reader of bytes, and what must hold for every reading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from carecover.evidence import read
from carecover.model import Reading


@pytest.fixture
def read_bytes(tmp_path: Path) -> Callable[[bytes], Reading]:
    """Read bytes as a file of evidence."""

    def reading(data: bytes) -> Reading:
        path = tmp_path / "evidence.bin"
        path.write_bytes(data)
        result = read(path)
        check(result)
        return result

    return reading


def check(reading: Reading) -> None:
    """What must hold for every file: the sum, one reject row for each rejected unit, at least one unit."""
    rejects = reading.tables.get("rejects")
    assert (0 if rejects is None else len(rejects)) == reading.accounting.rejected
    assert reading.accounting.units >= 1
    if rejects is not None:
        assert rejects["reason"].str.len().min() > 10
        assert rejects["sha256"].str.fullmatch("[0-9a-f]{64}").all()
