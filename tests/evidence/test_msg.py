"""Outlook messages: read as other mails are, whatever their code page, and bounded whatever their bytes."""

from __future__ import annotations

import base64
import struct
import tracemalloc
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import oxmsg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import read
from carecover.evidence.charsets import decoded, header_text
from carecover.evidence.mime import TooMuchError
from carecover.evidence.msg import letter_of_msg
from carecover.evidence.ole import MAGIC, CompoundFile, OleError
from carecover.model import Accounting, Reading
from tests.evidence.conftest import check
from tests.evidence.test_mail import ISSUED, SERIAL, TITLE_ISSUED, make_mail, one

ReadBytes = Callable[[bytes], Reading]
Tree: TypeAlias = "dict[str, bytes | Tree]"
FREE, END = 0xFFFFFFFF, 0xFFFFFFFE


# ------------------------------------------------------------------------------- a tiny writer


def compound(tree: Tree) -> bytes:
    """A compound file of version 3 ([MS-CFB]): every storage's children in a row, to the right."""
    entries: list[list[Any]] = [["Root Entry", 5, FREE, FREE, b""]]

    def add(inside: Tree, parent: int) -> None:
        before = None
        for name, content in inside.items():
            entries.append([name, 1 if isinstance(content, dict) else 2, FREE, FREE, content])
            number = len(entries) - 1
            if before is None:
                entries[parent][3] = number
            else:
                entries[before][2] = number
            before = number
            if isinstance(content, dict):
                add(content, number)

    add(tree, 0)
    fat: list[int] = []
    sectors: list[bytes] = []

    def chain(data: bytes) -> int:
        count = -(-len(data) // 512)
        first = len(sectors)
        for n in range(count):
            sectors.append(data[n * 512 : n * 512 + 512].ljust(512, b"\0"))
            fat.append(first + n + 1 if n + 1 < count else END)
        return first if count else END

    mini_fat: list[int] = []
    small, starts = b"", {}
    for number, (_, kind, _, _, content) in enumerate(entries):
        if kind == 2 and len(content) >= 4096:
            starts[number] = chain(content)
        elif kind == 2 and content:
            starts[number] = len(small) // 64
            count = -(-len(content) // 64)
            mini_fat += [*range(len(mini_fat) + 1, len(mini_fat) + count), END]
            small += content.ljust(count * 64, b"\0")
    starts[0] = chain(small)
    sizes = {0: len(small)}
    directory = b""
    for number, (name, kind, right, child, content) in enumerate(entries):
        text = name.encode("utf-16-le")
        directory += struct.pack(
            "<64sHBB3L36xLQ",
            text,
            len(text) + 2,
            kind,
            1,
            FREE,
            right,
            child,
            starts.get(number, END),
            sizes.get(number, len(content) if kind == 2 else 0),
        )
    first_directory, first_mini = chain(directory), chain(struct.pack(f"<{len(mini_fat)}L", *mini_fat))
    count = 1
    while count * 128 < len(fat) + count:
        count += 1
    places = list(range(len(fat), len(fat) + count))
    fat += [0xFFFFFFFD] * count
    fat += [FREE] * (count * 128 - len(fat))
    header = struct.pack(
        "<8s16s5H6x9L", MAGIC, b"", 0x3E, 3, 0xFFFE, 9, 6, 0, count, first_directory, 0, 4096, first_mini,
        -(-len(mini_fat) // 128), END, 0,
    )  # fmt: skip
    header += struct.pack("<109L", *places, *[FREE] * (109 - count))
    return header + b"".join(sectors) + struct.pack(f"<{len(fat)}L", *fat)


def message(
    texts: Mapping[int, str | bytes],
    numbers: Mapping[int, int] | None = None,
    *,
    header: int = 32,
    more: Tree | None = None,
) -> Tree:
    """The storage of a message: text as Unicode, bytes as PT_STRING8 or, below, as they are."""
    fixed = b"".join(struct.pack("<HHLQ", 3, n, 6, v) for n, v in (numbers or {}).items() if n not in (0x0039, 0x0E06))
    fixed += b"".join(struct.pack("<HHLQ", 0x40, n, 6, v) for n, v in (numbers or {}).items() if n in (0x0039, 0x0E06))
    tree: Tree = {}
    for number, value in texts.items():
        kind = 0x1F if isinstance(value, str) else 0x102 if number in (0x1013, 0x1009, 0x0071, 0x3701) else 0x1E
        data = value.encode("utf-16-le") if isinstance(value, str) else value
        tree[f"__substg1.0_{number:04X}{kind:04X}"] = data
        fixed += struct.pack("<HHLQ", kind, number, 6, len(data))
    tree["__properties_version1.0"] = bytes(header) + fixed
    return tree | (more or {})


def attachment(content: Tree | bytes, name: str = "") -> Tree:
    if isinstance(content, bytes):
        return message({0x3707: name, 0x3701: content}, {0x3705: 1}, header=8)
    return message({}, {0x3705: 5}, header=8, more={"__substg1.0_3701000D": content})


BODY = ISSUED.replace("\n", "\r\n")
HEADERS = make_mail().partition(b"\n\n")[0].decode() + (
    "\nThread-Index: AdJ95xC3WthkIFbPRrOnrv7P2lwRYQ==\n"
    "Received: from ca01 (ca01.corp.example [10.0.0.5])\n\tby relay; Sat, 11 Jul 2026 13:17:03 +0000\n"
)


# --------------------------------------------------------------------------------- what they say


def test_a_notification_saved_by_outlook_reads_as_the_mail_itself(read_bytes: ReadBytes) -> None:
    row = one(read_bytes(compound(message({0x007D: HEADERS, 0x0037: TITLE_ISSUED, 0x1000: BODY}))))
    mail = one(read_bytes(HEADERS.encode() + b"\n" + ISSUED.encode()))
    assert {k: str(v) for k, v in row.items()} == {k: str(v) for k, v in mail.items()}
    assert (row["serial"], row["received_from"], row["thread_index_at"].year) == (SERIAL, "ca01.corp.example", 2017)


def test_what_the_headers_lack_is_taken_from_the_properties(read_bytes: ReadBytes) -> None:
    sent = int((datetime(2026, 7, 11, 13, 17, tzinfo=UTC) - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10**7
    index = bytes.fromhex("01d27de710b75ad8642056cf46b3a7aefecfda5c1161")
    texts: dict[int, str | bytes] = {
        0x0037: TITLE_ISSUED,
        0x1000: BODY,
        0x1035: "<1@ca01>",
        0x0C1F: "ca@corp.example",
        0x0071: index,
    }
    row = one(read_bytes(compound(message(texts, {0x0039: sent}))))
    assert (row["message_id"], row["sender"]) == ("<1@ca01>", "ca@corp.example")
    assert row["sent_at"] == datetime(2026, 7, 11, 13, 17, tzinfo=UTC)
    assert row["thread_index_at"].year == 2017


@pytest.mark.parametrize(
    ("numbers", "codec", "name", "flag"),
    [
        ({0x3FFD: 932}, "cp932", "CN=サーバー①", None),
        ({0x3FDE: 50220}, "cp932", "CN=サーバー", None),
        ({0x3FFD: 1251, 0x3FDE: 20127}, "cp1251", "CN=Сервер", None),
        ({0x3FDE: 28592}, "cp1250", "CN=Žluťoučký", None),
        ({0x3FDE: 65001}, "utf-8", "CN=Büro", None),
        ({0x3FFD: 936}, "gbk", "CN=服务器", None),
        ({}, "cp1252", "CN=Büro – 1", "charset_unknown"),
        ({0x3FFD: 4242}, "cp1252", "CN=Büro – 1", "charset_unknown"),
    ],
)
def test_text_in_a_code_page(
    read_bytes: ReadBytes, numbers: dict[int, int], codec: str, name: str, flag: str | None
) -> None:
    body = BODY.replace("CN=host01.corp.example", name).encode(codec)
    row = one(read_bytes(compound(message({0x007D: HEADERS.encode(), 0x0037: b"x", 0x1000: body}, numbers))))
    assert (row["subject"], row["serial"]) == (name, SERIAL)
    assert ("charset_unknown" in row["flags"]) == (flag is not None)


def test_bodies_of_html_alone_and_of_rtf_alone(read_bytes: ReadBytes) -> None:
    markup = ("<p>" + ISSUED.strip().replace("\n", "<br>") + "</p>").encode()
    assert one(read_bytes(compound(message({0x007D: HEADERS, 0x1013: markup}, {0x3FDE: 65001}))))["serial"] == SERIAL
    reading = read_bytes(compound(message({0x007D: HEADERS, 0x1009: b"LZFu"})))
    assert reading.accounting == Accounting(rejected=1)
    assert "RTF alone" in reading.tables["rejects"]["reason"].iloc[0]
    other = read_bytes(compound(message({0x0037: "Lunch?", 0x1009: b"LZFu"})))
    assert other.accounting == Accounting(irrelevant=1)


def test_attached_messages_of_every_form(read_bytes: ReadBytes) -> None:
    inner = message({0x007D: HEADERS, 0x1000: BODY}, header=24)
    file = compound(message({0x007D: HEADERS.replace("<1@", "<2@"), 0x1000: BODY}))
    mail = make_mail(number=3)
    outer = message(
        {0x0037: "see attached", 0x1000: "x"},
        more={
            "__attach_version1.0_#00000000": attachment(inner),
            "__attach_version1.0_#00000001": attachment(file, "b.MSG"),
            "__attach_version1.0_#00000002": attachment(mail, "c.eml"),
            "__attach_version1.0_#00000003": attachment(b"x" * 5000, "d.pdf"),
        },
    )
    reading = read_bytes(compound(outer))
    assert reading.accounting == Accounting(parsed=3, irrelevant=1)
    assert sorted(reading.tables["notifications"]["message_id"]) == ["<1@ca01>", "<2@ca01>", "<3@ca01>"]
    assert reading.tables["notifications"]["location"].str.startswith("byte 0, attached mail ").all()


def test_a_message_attached_to_a_mail(read_bytes: ReadBytes) -> None:
    file = base64.encodebytes(compound(message({0x007D: HEADERS, 0x1000: BODY}))).decode()
    head = "From: a@b\nSubject: see attached\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n"
    part = 'Content-Type: application/vnd.ms-outlook; name="a.msg"\nContent-Transfer-Encoding: base64\n\n'
    reading = read_bytes((head + part + file + "--x--\n").encode())
    assert one(reading)["serial"] == SERIAL
    broken = read_bytes((head + part + "AAAA\n--x--\n").encode())
    assert broken.accounting == Accounting(irrelevant=1, rejected=1)
    assert "attached Outlook message cannot be read" in broken.tables["rejects"]["reason"].iloc[0]


# -------------------------------------------------------------------------------------- hostile


def test_what_is_no_message_is_told(read_bytes: ReadBytes) -> None:
    for data, words in (
        (compound({"WordDocument": b"x" * 9000}), "no Outlook message"),
        (MAGIC, "cut off"),
        (MAGIC + bytes(600), "damaged"),
        (compound(message({0x0037: TITLE_ISSUED}))[:1500], "directory"),
        (compound(message({0x0037: TITLE_ISSUED, 0x1000: BODY * 9}))[:4000], "cut off or damaged"),
    ):
        reading = read_bytes(data)
        assert reading.kind == "msg"
        assert reading.accounting == Accounting(rejected=1)
        assert words in reading.tables["rejects"]["reason"].iloc[0]


def test_a_chain_that_bites_its_tail_ends(read_bytes: ReadBytes) -> None:
    data = bytearray(compound(message({0x0037: TITLE_ISSUED, 0x1000: BODY * 20})))
    fat = (int.from_bytes(data[76:80], "little") + 1) * 512
    for sector in range(128):
        data[fat + sector * 4 : fat + sector * 4 + 4] = struct.pack("<L", 0)
    check(read_bytes(bytes(data)))


def test_a_directory_that_is_a_ring_ends(read_bytes: ReadBytes) -> None:
    data = bytearray(compound(message({0x0037: TITLE_ISSUED, 0x1000: BODY})))
    at = data.index("__properties".encode("utf-16-le"))
    data[at + 68 : at + 80] = struct.pack("<3L", 0, 1, 0)
    check(read_bytes(bytes(data)))


def test_many_entries_over_one_stream_are_not_many_streams() -> None:
    """Thousands of attachments, and all of them the same megabyte: a reader of all of them would hold gigabytes."""
    big = make_mail(body="x" * 1_000_000)
    many: Tree = {f"__attach_version1.0_#{n:08X}": attachment(big if n == 0 else b"", "a.eml") for n in range(900)}
    data = bytearray(compound(message({0x0037: "x"}, more=many)))
    name = "__substg1.0_37010102".encode("utf-16-le")
    at = data.index(name)
    where = bytes(data[at + 116 : at + 128])
    while (at := data.find(name, at + 1)) >= 0:
        data[at + 116 : at + 128] = where
    tracemalloc.start()
    try:
        with pytest.raises(OleError, match="lie over each other"):
            letter_of_msg(bytes(data))
        assert tracemalloc.get_traced_memory()[1] < 30 << 20
    finally:
        tracemalloc.stop()


def test_messages_in_messages_have_an_end(read_bytes: ReadBytes) -> None:
    inner: Tree = message({0x007D: HEADERS, 0x1000: BODY}, header=24)
    for _ in range(60):
        inner = message({0x0037: "FW"}, header=24, more={"__attach_version1.0_#00000000": attachment(inner)})
    inner["__properties_version1.0"] = bytes(32)
    with pytest.raises(TooMuchError, match="inside each other"):
        letter_of_msg(compound(inner))
    assert read_bytes(compound(inner)).accounting == Accounting(rejected=1)


def test_files_in_files_have_an_end(read_bytes: ReadBytes) -> None:
    """Each is a message of its own, so that no reader of one sees how deep they lie."""
    data = compound(message({0x0037: "x"}))
    for _ in range(60):
        data = compound(message({0x0037: "FW"}, more={"__attach_version1.0_#00000000": attachment(data, "a.msg")}))
    reading = read_bytes(data)
    assert "lies in more than" in reading.tables["rejects"]["reason"].iloc[0]


SAMPLES = [
    compound(message({0x007D: HEADERS, 0x0037: TITLE_ISSUED, 0x1000: BODY * 8}, {0x3FFD: 932})),
    compound(message({0x0037: b"x"}, more={"__attach_version1.0_#00000000": attachment(make_mail(), "a.eml")})),
]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 12000), st.binary(min_size=1, max_size=4)), max_size=6),
    st.integers(0, 12000),
)
def test_no_damage_raises(tmp_path: Path, data: bytes, changes: list[tuple[int, bytes]], cut: int) -> None:
    damaged = bytearray(data)
    for at, noise in changes:
        damaged[at % len(data) : at % len(data) + len(noise)] = noise
    path = tmp_path / "x.msg"
    path.write_bytes(bytes(damaged[: len(damaged) - cut % 500]))
    check(read(path))


# ---------------------------------------------------------------------------------- by others


def test_our_own_writer_is_read_by_others() -> None:
    message_file = oxmsg.Message.load(compound(message({0x007D: HEADERS, 0x0037: TITLE_ISSUED, 0x1000: BODY})))
    assert (message_file.subject, message_file.body) == (TITLE_ISSUED, BODY)


# python-oxmsg does not know that text sent in ISO-2022-JP is kept in code page 932.
BEYOND = {"msgreader__nonUnicodeCP932.msg", "msgreader__contactAnsi.msg"}


def test_every_message_of_the_corpus_says_what_others_read(corpus: Path) -> None:
    compared, other = 0, set()
    for path in sorted((corpus / "mail").glob("*.msg")):
        data = path.read_bytes()
        if not data.startswith(MAGIC):
            continue
        letter = letter_of_msg(data)
        body = next((decoded(p.data, p.charset).rstrip("\0") for p in letter.parts if p.kind == "text/plain"), None)
        subject = header_text(letter.headers.get(b"subject", b""))
        try:
            theirs = oxmsg.Message.load(data)
            said = (" ".join(theirs.subject.rstrip("\0").split()), theirs.body or None)
        except UnicodeDecodeError:
            said = None
        if said == (subject, body or None):
            compared += 1
        else:
            other.add(path.name)
        check(read(path))
    assert other <= BEYOND | {"omp__test-messages_embedded_image.msg"}, other
    assert compared > 30
    cp932 = letter_of_msg((corpus / "mail" / "msgreader__nonUnicodeCP932.msg").read_bytes())
    assert header_text(cp932.headers[b"subject"]) == "日本語 Non Unicode タイトル"


def test_a_compound_file_by_outlook_has_its_streams(corpus: Path) -> None:
    file = CompoundFile((corpus / "mail" / "oxmsg__message.msg").read_bytes())
    assert "__PROPERTIES_VERSION1.0" in file.children(file.root)
