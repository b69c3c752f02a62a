"""What nobody reads: a picture of a holiday is let be, and whatever may be damaged evidence is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from carecover.evidence import Context, read

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) + b"\0\0\0\0IEND\xaeB`\x82"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(range(256)) + b"\xff\xd9"
NOTE = "Buy milk.\nCall Bob about the lift at 10:30, room 12.\n"


def counted(path: Path, data: bytes) -> tuple[int, int]:
    """How many units of the file are no business of ours, and how many are rejected."""
    path.write_bytes(data)
    reading = read(path, Context())
    return reading.accounting.irrelevant, reading.accounting.rejected


@pytest.mark.parametrize("data", [PNG, JPEG, b"GIF89a" + bytes(90) + b";", NOTE.encode(), "Grüße aus Köln".encode()])
def test_a_whole_picture_and_a_note_are_no_business_of_ours(tmp_path: Path, data: bytes) -> None:
    assert counted(tmp_path / "file", data) == (1, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"LZIP",
        b"%PDF-1.4 a plain text inside",
        PNG[:-20],
        PNG + b"From ca@corp.example Mon Oct  5 10:00:00 2026\nSubject: a mail behind the picture",
        JPEG[:100],
        bytes(range(256)) * 20,
        NOTE.encode("utf-16"),
        (NOTE * 1_000).encode(),
        *(
            (NOTE + said).encode()
            for said in (
                "61 00 00 00 2a 5f 3c 11 9e 00 00 00 00 00 2a", "6100002a5f3c", "Seriennummer 12", "-----BEGIN X",
                "Betreff: CA", "Subject : x", "ca@corp.example", "http://pki/x", "the certificate of srv1", "CN=srv1",
                "MIIC", "Request ID 12", "TUlJQ2xEQ0NBWHlnQXdJQkFnSUJBVEFO", "1234567890", "a\0b",
            )
        ),
    ],
)  # fmt: skip
def test_what_may_be_evidence_or_was_damaged_is_looked_at(tmp_path: Path, data: bytes) -> None:
    assert counted(tmp_path / "file", data) == (0, 1)
