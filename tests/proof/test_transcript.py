"""The log of a bundle, as Windows leaves it and as somebody may have tampered with it."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecover.errors import EvidenceError
from carecover.proof import Run, Step, is_transcript, read_transcript

A, B = "a" * 64, "b" * 64
LOG = f"""@@CR plan {A}
@@CR phase apply unknown
@@CR check ca-cert 0
Certificate "LÄB" wird gesperrt
@@CR 1 6300ab import 0
@@CR 1 6300ab revoke 0
@@CR 1 6300ab done 0
@@CR 2 6300ac stopped-other-certificate 1
@@CR aborted rpc-unavailable
@@CR end 5 done=1 skipped=0 stopped=1 left=0
@@CR plan {B}
@@CR phase publish partial
@@CR missing 2 6300ac absent
@@CR crl 1 0
@@CR crl-number passed
""".replace("\n", "\r\n")

RUNS = (
    Run(
        A,
        "apply",
        (
            Step(1, "6300ab", "import", 0),
            Step(1, "6300ab", "revoke", 0),
            Step(1, "6300ab", "done", 0),
            Step(2, "6300ac", "stopped-other-certificate", 1),
        ),
        exit_code=5,
    ),
    Run(B, "publish", published=True),
)


@pytest.mark.parametrize(
    "data",
    [
        LOG.encode("cp850"),
        LOG.encode("utf-8"),
        codecs.BOM_UTF8 + b"\r\n" + LOG.encode("utf-8"),
        LOG.encode("utf-16"),
        LOG.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + LOG.encode("utf-16-be"),
        LOG.replace("\r\n", " \r\n").encode("cp1252"),
        LOG.replace("\r\n", "\n").encode("cp1252") + b"\x1a",
    ],
    ids=["oem", "utf-8", "utf-8 with mark", "utf-16", "utf-16 bare", "utf-16 big", "blanks at the end", "unix"],
)
def test_a_log_reads_the_same_in_every_encoding(data: bytes) -> None:
    transcript = read_transcript(data)
    assert transcript.runs == RUNS
    assert transcript.damaged == 0
    assert is_transcript(data)


@pytest.mark.parametrize(
    "line",
    [
        "@@CR 1 6300AB done 0",
        "@@CR 1 6300ab done",
        "@@CR 1 6300ab done 0 0",
        "@@CR 1 6300ab done 99999999999",
        "@@CR 1 " + "a" * 41 + " done 0",
        "@@CR plan " + "a" * 63,
        "@@CR " + "x" * 5000,
        "@@CR",
        "@@CRx 1",
        "@@CR 1 6300ab d\u00f6ne 0",
        "@@CR 1 6300\x1b[2Kab done 0",
    ],
)
def test_a_damaged_marker_is_counted_and_never_guessed(line: str) -> None:
    transcript = read_transcript(f"@@CR plan {A}\n{line}\n".encode())
    assert transcript.damaged == 1
    assert transcript.runs == (Run(A),)


def test_markers_inside_a_line_of_certutil_are_text() -> None:
    transcript = read_transcript(f"@@CR plan {A}\n  Subject: CN=@@CR 1 6300ab done 0\n".encode())
    assert transcript.runs == (Run(A),)


@pytest.mark.parametrize("torn", ["@", "@@CR pla", "@@CR 1 6300ab revo", "Certificate"])
def test_a_call_that_began_behind_a_line_that_a_full_disk_cut_off_is_read(torn: str) -> None:
    alone = read_transcript(f"{torn}@@CR plan {A}\r\n@@CR phase apply none\r\n@@CR end 0\r\n".encode())
    assert alone.runs == (Run(A, "apply", exit_code=0),)
    behind = read_transcript(LOG.encode() + f"{torn}@@CR plan {A}\r\n@@CR end 0\r\n".encode())
    assert behind.runs == (*RUNS, Run(A, exit_code=0))


def test_steps_before_any_plan_belong_to_none() -> None:
    transcript = read_transcript(f"@@CR 1 6300ab done 0\n@@CR plan {A}\n".encode())
    assert transcript.runs == (Run(A),)
    assert transcript.damaged == 1


@pytest.mark.parametrize("data", [b"", b"hello", b"\x00" * 1000, b"@@CR end 0", codecs.BOM_UTF16_LE + b"\x00"])
def test_a_file_without_a_plan_is_no_transcript(data: bytes) -> None:
    assert not is_transcript(data)
    with pytest.raises(EvidenceError, match="no transcript of a carecover bundle"):
        read_transcript(data)


def test_a_log_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carecover.proof.transcript.MAX_TRANSCRIPT_BYTES", 100)
    with pytest.raises(EvidenceError, match="more than 100 bytes"):
        read_transcript(LOG.encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(noise: bytes) -> None:
    head = f"@@CR plan {A}\r\n".encode()
    assert read_transcript(head + noise).runs[0].digest == A
