"""Outlook data files: read by libpff in another process, which may do what it likes."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import pst, pst_worker, read
from carecover.model import Accounting, Reading
from tests.evidence.conftest import check
from tests.evidence.test_mail import SERIAL, TITLE_ISSUED, make_mail, one
from tests.evidence.test_msg import BODY, HEADERS, compound, message

ReadBytes = Callable[[bytes], Reading]
FILE = b"!BDN" + bytes(1000)


def told(texts: dict[int, str], *attached: dict[str, Any], faults: tuple[str, ...] = ()) -> dict[str, Any]:
    values = [(n, 0x1F, base64.b64encode(t.encode("utf-16-le")).decode()) for n, t in texts.items()]
    return {"properties": values, "attached": list(attached), "faults": list(faults)}


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Another worker in the place of ours."""
    path = tmp_path / "worker.py"
    path.write_text(textwrap.dedent(code), encoding="utf-8")
    monkeypatch.setattr(pst, "_WORKER", path)


def saying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *lines: dict[str, Any]) -> None:
    """A worker that has only this to say."""
    (tmp_path / "said").write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    code = f"import sys; sys.stdout.buffer.write(open({str(tmp_path / 'said')!r}, 'rb').read())"
    stand_in(tmp_path, monkeypatch, code)


def test_messages_are_read_as_other_mails_are(
    read_bytes: ReadBytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {0x007D: HEADERS, 0x0037: "\x01\x01" + TITLE_ISSUED, 0x1000: BODY}
    file = base64.b64encode(make_mail(number=3)).decode()
    outlook = base64.b64encode(compound(message({0x007D: HEADERS.replace("<1@", "<4@"), 0x1000: BODY}))).decode()
    inner = told({0x007D: HEADERS.replace("<1@", "<2@"), 0x1000: BODY})
    saying(
        tmp_path,
        monkeypatch,
        {"beat": 0},
        {"id": 2097188, "folder": "Top/Inbox\n!", "message": told(texts)},
        {
            "id": 2097220,
            "folder": "",
            "message": told({0x0037: "FW"}, {"embedded": inner}, {"file": file}, {"file": outlook}),
        },
        {"id": 2097252, "folder": "Top", "message": told({0x0037: "Lunch?"}, faults=("Attachment 1: cannot",))},
        {"fault": "unable to read", "place": "Top/Sent, item 7"},
        {"tree": 3, "tables": 2, "all": 3},
    )
    reading = read_bytes(FILE)
    assert reading.kind == "pst"
    assert reading.accounting == Accounting(parsed=4, irrelevant=2, rejected=2)
    table = reading.tables["notifications"].sort_values("message_id")
    assert list(table["message_id"]) == ["<1@ca01>", "<2@ca01>", "<3@ca01>", "<4@ca01>"]
    assert set(table["serial"]) == {SERIAL}
    assert table["location"].iloc[0] == "Top/Inbox\\x0a\\x21, node 2097188"
    assert table["location"].iloc[1] == "no folder, node 2097220, attached mail 1"
    assert list(reading.tables["rejects"]["location"]) == ["Top, node 2097252", "Top/Sent, item 7"]


def test_a_subject_without_headers_loses_its_mark(
    read_bytes: ReadBytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {0x0037: "\x01\x01" + TITLE_ISSUED, 0x1000: BODY, 0x5D01: "ca@corp.example"}
    saying(tmp_path, monkeypatch, {"id": 1, "folder": "x", "message": told(texts)}, {"tree": 1, "tables": 1, "all": 1})
    assert one(read_bytes(FILE))["sender"] == "ca@corp.example"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "crashed"),
        ("import sys; sys.exit(3)", "crashed (3)"),
        ("import time; time.sleep(1000)", "hung"),
        ("print('no JSON at all', flush=True); import time; time.sleep(1000)", "makes no sense"),
        ("print('[' * 100_000)", "makes no sense"),
        ('print(\'{"error": "no such thing\\\\n"}\')', "no such thing\\x0a"),
    ],
)
def test_a_worker_that_crashes_or_hangs_does_no_harm(
    read_bytes: ReadBytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    monkeypatch.setattr(pst, "PATIENCE_SECONDS", 1.5)
    stand_in(tmp_path, monkeypatch, code)
    reading = read_bytes(FILE)
    assert reading.accounting == Accounting(rejected=1)
    assert words in reading.tables["rejects"]["reason"].iloc[0]


@pytest.mark.parametrize(
    "message_told", [1, [], {}, {"properties": 1, "attached": [], "faults": []}, told({0x37: "x"}, {"file": 5})]
)
def test_a_worker_that_was_taken_over_is_not_believed(
    read_bytes: ReadBytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message_told: Any
) -> None:
    saying(tmp_path, monkeypatch, {"message": message_told}, {"all": 1})
    reading = read_bytes(FILE)
    assert reading.accounting.rejected == 1
    assert "makes no sense" in reading.tables["rejects"]["reason"].iloc[0]


def test_what_was_told_before_a_crash_is_kept(
    read_bytes: ReadBytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {0x007D: HEADERS, 0x1000: BODY}
    saying(tmp_path, monkeypatch, {"id": 1, "folder": "x", "message": told(texts)})
    reading = read_bytes(FILE)
    assert reading.accounting == Accounting(parsed=1, rejected=1)
    assert "after 1 messages" in reading.tables["rejects"]["reason"].iloc[0]


def test_a_line_without_an_end_is_not_kept_in_memory(
    read_bytes: ReadBytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pst, "MAX_LINE", 10_000)
    stand_in(tmp_path, monkeypatch, "import sys\nwhile True: sys.stdout.write('x' * 1000)")
    assert "makes no sense" in read_bytes(FILE).tables["rejects"]["reason"].iloc[0]


def test_without_libpff_it_is_said_how_to_go_on(read_bytes: ReadBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pypff" else real(name))
    reading = read_bytes(FILE)
    assert reading.accounting == Accounting(rejected=1)
    assert "pip install 'carecover[pst]'" in reading.tables["rejects"]["reason"].iloc[0]


def test_a_file_that_is_none_is_told_by_libpff_itself(read_bytes: ReadBytes) -> None:
    reading = read_bytes(FILE)
    assert reading.accounting == Accounting(rejected=1)
    assert "libpff cannot read" in reading.tables["rejects"]["reason"].iloc[0]


# ------------------------------------------------------------------------------- the worker itself


class Entry:
    def __init__(self, number: int, kind: int, data: bytes) -> None:
        self.entry_type, self.value_type, self.data = number, kind, data


class RecordSet:
    def __init__(self, entries: list[Entry]) -> None:
        self.number_of_entries = len(entries)
        self.get_entry = entries.__getitem__


def raising(error: Exception) -> Any:
    raise error


class Node:
    """What libpff gives, as far as the worker asks for it."""

    def __init__(self, identifier: int, entries: list[Entry] | None = None, **more: Any) -> None:
        self.identifier = identifier
        self.number_of_record_sets = 1
        self.get_record_set = lambda _: RecordSet(entries or [])
        self.number_of_attachments = self.number_of_sub_items = self.number_of_sub_messages = 0
        self.number_of_orphan_items = 0
        self.__dict__.update(more)


class message_(Node):  # noqa: N801 - the worker asks for libpff's own name
    pass


class folder(Node):  # noqa: N801
    pass


message_.__name__ = "message"


def listing(*items: Any) -> Callable[[int], Any]:
    return lambda n: items[n]() if callable(items[n]) else items[n]


def said(capfdbinary: pytest.CaptureFixture[bytes], file: Any) -> list[dict[str, Any]]:
    pst_worker.tell_messages(file)
    return [body for line in capfdbinary.readouterr().out.splitlines() if "beat" not in (body := json.loads(line))]


def test_the_tree_and_the_tables_are_united_by_node(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    both, tree, table, lost = (message_(n) for n in (0x24, 0x44, 0x64, 0x84))
    contents = message_(0x8E)
    inbox = folder(
        0x22,
        name="Inbox",
        number_of_sub_items=4,
        get_sub_item=listing(both, tree, contents, lambda: raising(MemoryError())),
        number_of_sub_messages=3,
        get_sub_message=listing(both, table, lambda: raising(OSError("unable to read. And more"))),
    )
    root = folder(0, name=None, number_of_sub_items=2, get_sub_item=listing(inbox, inbox))
    file = Node(0, root_item=root, number_of_orphan_items=2, get_orphan_item=listing(lost, both))
    lines = said(capfdbinary, file)
    assert [line["id"] for line in lines if "id" in line] == [0x24, 0x44, 0x64, 0x84]
    assert [line for line in lines if "fault" in line] == [{"fault": "unable to read", "place": "Inbox, item 2"}]
    assert lines[-1] == {"tree": 2, "tables": 2, "all": 4}


def test_a_message_with_attachments_that_cannot_be_read(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    name = Entry(0x3707, 0x1F, "a.eml".encode("utf-16-le"))
    mail = Node(1, [name], get_size=lambda: 4, read_buffer=lambda size: b"abcdef"[:size])
    other = Node(2, [Entry(0x3707, 0x1F, "a.pdf".encode("utf-16-le"))])
    huge = Node(3, [name], get_size=lambda: pst_worker.MAX_VALUE + 1)
    inner = Node(4, [], number_of_sub_items=1, get_sub_item=listing(message_(9, [Entry(0x37, 0x1F, b"x\0")])))
    whole = message_(
        0x24,
        [Entry(0x37, 0x1F, b"y\0"), Entry(0x9999, 3, b"1234")],
        number_of_attachments=5,
        get_attachment=listing(mail, other, huge, inner, lambda: raising(OSError("gone"))),
    )
    root = folder(0, number_of_sub_items=1, get_sub_item=listing(whole))
    (line, _) = said(capfdbinary, Node(0, root_item=root))
    found = line["message"]
    assert found["properties"] == [[0x37, 0x1F, "eQA="]]
    embedded = {"properties": [[0x37, 0x1F, "eAA="]], "attached": [], "faults": []}
    assert found["attached"] == [{"file": "YWJjZA=="}, {"embedded": embedded}]
    assert [fault.split(":")[0] for fault in found["faults"]] == ["Attachment 2", "Attachment 4"]


def test_the_worker_uses_nothing_of_the_package() -> None:
    """It is run by its path alone, so that a crash of the library is all that can happen in it."""
    source = Path(pst_worker.__file__).read_text(encoding="utf-8")
    imports = [line for line in source.splitlines() if line.lstrip().startswith(("import ", "from "))]
    assert len(imports) > 5
    assert "carecover" not in " ".join(imports)


# ------------------------------------------------------------------------------------- the corpus

MESSAGES = {
    "ansi-32-bit.pst": 1,
    "libpst__resources_dist-list.pst": 3,
    "libyal-outlook.pst": 2,
    "mspst__examples_Empty.pst": 1,  # The file itself: there is no message in it.
}


@pytest.mark.parametrize("name", MESSAGES)
def test_files_of_outlook(corpus: Path, tmp_path: Path, name: str) -> None:
    path = corpus / "mail" / name
    reading = read(path)
    check(reading)
    assert reading.kind == "pst"
    assert reading.accounting == Accounting(irrelevant=MESSAGES[name])
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, path.read_bytes())
    (tmp_path / "a.zip").write_bytes(sink.getvalue())
    assert read(tmp_path / "a.zip").accounting == reading.accounting


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_no_damaged_file_raises(corpus: Path, tmp_path: Path, at: int, cut: int) -> None:
    damage(corpus, tmp_path, at, cut)


@pytest.mark.thorough
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_many_damaged_files_do_not_raise(corpus: Path, tmp_path: Path, at: int, cut: int) -> None:
    damage(corpus, tmp_path, at, cut)


def damage(corpus: Path, tmp_path: Path, at: int, cut: int) -> None:
    data = bytearray((corpus / "mail" / "ansi-32-bit.pst").read_bytes())
    for n in range(8):
        data[(at * (n + 1)) % len(data)] ^= (at >> n) & 255
    data[:4] = b"!BDN"
    path = tmp_path / "x.pst"
    path.write_bytes(bytes(data[: max(8, len(data) - cut % 30_000)]))
    check(read(path))
