"""What cmd.exe and certutil of a real Windows would make of a line, where neither Wine nor our interpreter shows it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from carecover.errors import RefusedError
from carecover.remediation import grammar
from tests.planned_bundle import DONE, OPEN, Bundle, make_plan
from tests.remediation.test_bundle import GOLDENS
from tests.remediation.test_grammar import GOOD, batch


@pytest.mark.parametrize("line", ["echo see /? for more", 'if "%S%"=="4400" echo a/?', '>>"%LOG%" echo @@CR x /?'])
def test_nothing_that_is_said_asks_for_the_help_of_echo(line: str) -> None:
    # cmd.exe looks for /? anywhere behind an internal command, and shows its help instead.
    with pytest.raises(RefusedError, match="line 4 "):
        grammar.check(batch(*GOOD[:3], line, *GOOD[3:]))


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_named_like_a_serial_number_is_not_signed(tmp_path: Path, what: str) -> None:
    # -sign takes a file or a serial number: what lies in the folder under that name would get the CA's signature.
    dummy = next(item for item in make_plan().items if item.method == "dummy")
    other = next(item for item in make_plan().items if item.method == "dummy" and item != dummy)
    items = (replace(dummy, number=1), replace(other, number=2))
    bundle = Bundle(tmp_path, plan=replace(make_plan(), items=items))
    if what == "file":
        (tmp_path / dummy.serial).write_bytes(b"whatever somebody wants signed")
    else:
        (tmp_path / dummy.serial).mkdir()
    assert bundle.run("prepare.cmd", "GO") == OPEN, bundle.lines
    assert f"1 {dummy.serial} STOPPED: serial-file" in "".join(bundle.lines)
    signed = [call.arguments for call in bundle.ca.calls if call.verb == "sign"]
    assert len(signed) == 1
    assert other.serial in signed[0]
    # And it goes on where that is gone.
    (tmp_path / dummy.serial).unlink() if what == "file" else (tmp_path / dummy.serial).rmdir()
    assert bundle.run("prepare.cmd", "GO") == DONE, bundle.lines


# Jumped back to once in a run, or once for each row or CRL; never once for each certificate that is asked for.
BACKWARDS = {"item", "walk", "count_one", "crl"}


@pytest.mark.parametrize("name", ["prepare.cmd", "revoke.cmd", "undo.cmd"])
def test_labels_are_found_without_reading_all_certificates_again(name: str) -> None:
    # cmd.exe looks for a label from where it stands to the end of the file, then from its beginning.
    lines = (GOLDENS / name).read_text("ascii").splitlines()
    labels = {line[1:]: number for number, line in enumerate(lines) if line.startswith(":")}
    back = {
        target
        for number, line in enumerate(lines)
        for target in re.findall(r"(?:goto|call) :([a-z_]+)", line)
        if labels[target] < number
    }
    assert back <= BACKWARDS, f"{name}: looked for through the whole file: {back - BACKWARDS}"
