"""Archives: what is in them reads as if it had been handed in, and none of them can fill memory or write a file."""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import lzma
import random
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carecover.evidence import archives, driver, mbox, read, read_mail, unpacking, zips
from carecover.evidence.frozen import frozen
from carecover.evidence.units import Source, Unit
from carecover.evidence.unpacking import Budget, Member, Stream, shown_name
from carecover.model import Accounting, Reading
from tests.evidence.conftest import check
from tests.evidence.test_mail import HASH, ISSUED, SERIAL, make_mail, make_mbox
from tests.evidence.test_view import row, schema, trailer
from tests.evidence.test_x509 import make_certificate, pem

ReadBytes = Callable[[bytes], Reading]


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 11, 24, 12, 0, 0)), data, method)
    return sink.getvalue()


def tarred(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


FORMS: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {
    "zip, Deflate": zipped,
    "zip, stored": lambda files: zipped(files, zipfile.ZIP_STORED),
    "zip, bzip2": lambda files: zipped(files, zipfile.ZIP_BZIP2),
    "zip behind something": lambda files: zipped(files)[:0] + b"PK\x03\x04 a stub" * 3 + zipped(files),
    "tar, v7 and ustar": lambda files: tarred(files, tarfile.USTAR_FORMAT),
    "tar, GNU": lambda files: tarred(files, tarfile.GNU_FORMAT),
    "tar, pax": tarred,
    "tar.gz": lambda files: gzip.compress(tarred(files)),
    "tar.bz2": lambda files: bz2.compress(tarred(files)),
    "tar.xz": lambda files: lzma.compress(tarred(files)),
    "zip in tar in gz": lambda files: gzip.compress(tarred({"a/inner.zip": zipped(files)})),
    "gz in zip": lambda files: zipped({name + ".gz": gzip.compress(data) for name, data in files.items()}),
}
MAILS = [make_mail(number=n, body=ISSUED.replace("ID: 20", f"ID: {n}")) for n in range(1, 6)]


def events(reading: Reading) -> list[object]:
    return sorted(reading.tables["notifications"]["request_id"].tolist())


# ------------------------------------------------------------------------------------- what is in them


@pytest.mark.parametrize("form", FORMS)
def test_a_mailbox_in_any_archive_gives_what_it_gives_as_it_is(read_bytes: ReadBytes, form: str) -> None:
    plain = read_bytes(make_mbox(*MAILS))
    packed = read_bytes(FORMS[form]({"mail/inbox.mbox": make_mbox(*MAILS)}))
    assert packed.kind == "archive"
    assert packed.accounting == plain.accounting
    left, right = (reading.tables["notifications"].drop(columns="location") for reading in (plain, packed))
    pd.testing.assert_frame_equal(left, right)


def test_where_a_row_comes_from(read_bytes: ReadBytes) -> None:
    box, second = make_mbox(*MAILS), len(make_mbox(MAILS[0]))
    in_zip = read_bytes(zipped({"mail/inbox.mbox": box})).tables["notifications"]["location"]
    assert in_zip.iloc[1] == f"mail/inbox.mbox, byte {second}"
    in_both = read_bytes(tarred({"a.zip": zipped({"b.mbox": box})})).tables["notifications"]["location"]
    assert in_both.iloc[1] == f"a.zip!b.mbox, byte {second}"
    named = io.BytesIO()
    with gzip.GzipFile("in!box\n.mbox", "wb", fileobj=named) as file:
        file.write(box)
    assert read_bytes(named.getvalue()).tables["notifications"]["location"].iloc[0] == "in\\x21box\\x0a.mbox, byte 0"
    assert read_bytes(bz2.compress(box)).tables["notifications"]["location"].iloc[0] == "content, byte 0"


@pytest.mark.parametrize("form", ["zip, Deflate", "tar, pax", "tar.gz"])
def test_a_folder_of_single_mails_is_one_mailbox(read_bytes: ReadBytes, form: str) -> None:
    """One mail tells day from month for all of them."""
    open_date = ISSUED.replace("7/11/2026", "2/9/2025").replace("7/25/2027", "2/9/2027")
    mails = {
        "Maildir/cur/1.host:2,S": make_mail(body=open_date),
        "Maildir/new/2.host%3A2,": make_mail(number=2),
        "Maildir/cur/3.eml": b"\xef\xbb\xbf" + make_mail("Lunch?", "At noon.\n", number=3),
    }
    reading = read_bytes(FORMS[form](mails))
    assert reading.accounting == Accounting(parsed=2, irrelevant=1)
    assert reading.tables["notifications"]["not_before"].dt.month.tolist() == [2, 7]


def test_every_kind_is_read_in_an_archive_and_each_view_stands_alone(read_bytes: ReadBytes) -> None:
    files = {
        "in/inbox.mbox": make_mbox(*MAILS),
        "view1.txt": (schema() + row(1) + trailer(1)).encode("utf-16"),
        "view2.txt": (schema() + row(2) + trailer(1)).encode(),
        "ca.cer": pem(make_certificate(), "CERTIFICATE"),
        "notes.txt": b"hello\n",
        "empty": b"",
        "folder/": b"",
    }
    reading = read_bytes(zipped(files))
    alone = [read_bytes(data) for name, data in files.items() if name != "folder/"]
    assert reading.accounting.units == sum(each.accounting.units for each in alone)
    for name, table in reading.tables.items():
        assert len(table) == sum(len(each.tables.get(name, ())) for each in alone), name
    assert set(reading.tables["rejects"]["location"]) == {"empty, byte 0"}, "a note is no business of ours"
    assert reading.tables["views"]["location"].str.startswith("view").all()


def test_the_same_mail_in_two_members_counts_once(read_bytes: ReadBytes) -> None:
    box = make_mbox(*MAILS)
    reading = read_bytes(zipped({"a.mbox": box, "copy.eml": MAILS[0], "b.mbox": box, "c/a.mbox": box[:-1]}))
    assert reading.accounting == Accounting(parsed=5, duplicate=11)
    twice = read_bytes(tarred({"a.txt": b"hello", "b.txt": b"hello"}))
    assert twice.accounting == Accounting(irrelevant=1, duplicate=1)


def test_members_of_one_name_are_told_apart(read_bytes: ReadBytes) -> None:
    data = zipped({"x.eml": MAILS[0], "y.eml": MAILS[1]}).replace(b"y.eml", b"x.eml")
    assert list(read_bytes(data).tables["notifications"]["location"]) == ["x.eml, byte 0", "x.eml #2, byte 0"]


def test_read_mail_reads_archives(tmp_path: Path) -> None:
    (tmp_path / "mails.zip").write_bytes(zipped({"a.mbox": make_mbox(*MAILS)}))
    table = read_mail(tmp_path / "mails.zip")
    assert len(table) == table.attrs["accounting"]["parsed"] == 5


def test_progress_is_that_of_the_archive(tmp_path: Path) -> None:
    for name, data in (("a.zip", zipped({"a": make_mbox(*MAILS)})), ("a.gz", gzip.compress(make_mbox(*MAILS)))):
        (tmp_path / name).write_bytes(data)
        calls: list[tuple[int, int]] = []
        read(tmp_path / name, progress=lambda done, total, calls=calls: calls.append((done, total)))  # type: ignore[misc]
        assert calls
        assert all(0 <= done <= total == len(data) for done, total in calls)


def test_a_mapped_archive_reads_like_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for form in FORMS.values():
        (tmp_path / "a").write_bytes(form({"a.mbox": make_mbox(*MAILS)}))
        small = read(tmp_path / "a")
        with monkeypatch.context() as patch:
            patch.setattr(driver, "_MAP_FROM", 0)
            mapped = read(tmp_path / "a")
        pd.testing.assert_frame_equal(small.tables["notifications"], mapped.tables["notifications"])


# ------------------------------------------------------------------------------------ the formats by others


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=300).filter(
    lambda name: name.strip("/.\\ ") and not name.endswith(("/", "\\"))
)


def contents(data: bytes) -> dict[str, bytes]:
    found = {}
    kind = archives.archive_kind(data[:4096])
    assert kind is not None
    source = Source.of(Path("x"), data)
    for member in archives.members(source, kind, Budget(len(data)), lambda _: None):
        assert isinstance(member, Member), member
        assert member.refused is None
        found[member.name] = b"".join(member.content)
        assert member.trouble is None
    return found


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=3000), min_size=1, max_size=5), st.sampled_from(list(FORMS)[:7]))
def test_what_the_standard_library_writes_is_read_back(files: dict[str, bytes], form: str) -> None:
    expected = {shown_name(name): data for name, data in files.items()}
    if len(expected) < len(files):
        return
    try:
        packed = FORMS[form](files)
    except ValueError:
        # ustar has no place for some long names.
        return
    if form.startswith("zip"):
        # zipfile itself cuts names at a NUL and changes separators of the system.
        expected = {shown_name(zipfile.ZipInfo(name).filename): data for name, data in files.items()}
    assert contents(packed) == expected


def test_a_zip_of_64_bits_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    files = {f"{n}.txt": bytes([n]) * 3000 for n in range(5)}
    data = zipped(files, zipfile.ZIP_STORED)
    assert b"PK\x06\x06" in data
    assert contents(data) == files
    assert contents(b"PK\x03\x04 a stub" + data) == files


def test_compressed_files_one_after_the_other_are_one() -> None:
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        assert contents(pack(b"one ") + pack(b"two")) == {"content": b"one two"}
        assert contents(pack(b"one ") + bytes(4 * 512)) == {"content": b"one "}
        assert contents(pack(b"")) == {"content": b""}
        # A piece of output that ends just where the input does.
        assert contents(pack(bytes(unpacking.PIECE))) == {"content": bytes(unpacking.PIECE)}


# ------------------------------------------------------------------------------------------- what is odd


def the_reject(reading: Reading) -> str:
    assert reading.accounting.rejected == 1
    return str(reading.tables["rejects"]["reason"].iloc[0])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (zipped({}), "holds no file"),
        (zipped({"folder/": b""}), "holds no file"),
        (zipped({"a": b"x"})[:-30], "directory, at its end, is missing"),
        (b"PK\x03\x04....", "directory, at its end, is missing"),
        (zipped({"[Content_Types].xml": b"<x/>", "word/document.xml": b"<x/>"}), "Office document"),
        (tarred({"a": b""})[:512] + b"\x01" * 512, "cut off"),
        (gzip.compress(b"", mtime=0), "empty"),
        (gzip.compress(make_mail("x", "y\n"), mtime=0)[:-20], "cut off"),
        (gzip.compress(make_mail("x", "y\n"), mtime=0) + b"garbage", "Something else follows"),
        (gzip.compress(make_mail("x", "y\n"), mtime=0)[:-8] + bytes(8), "damaged"),
        (bz2.compress(make_mail("x", "y\n"))[:-8] + bytes(8), "damaged"),
        (tarred({"a.eml": make_mail("x", "y\n")})[:600], "cut off"),
        (tarred({"a.eml": make_mail("x", "y\n")})[:1024], "without its end mark"),
        (tarred({"a.eml": make_mail("x", "y\n")}) + b"x" * 512, "follows the end of the tar"),
    ],
)
def test_a_damaged_archive_is_told(read_bytes: ReadBytes, data: bytes, words: str) -> None:
    reading = read_bytes(data)
    assert reading.kind == "archive"
    reasons = list(reading.tables["rejects"]["reason"])
    assert any(words in reason for reason in reasons), reasons
    assert "notifications" not in reading.tables


def test_what_stands_before_the_damage_is_read(read_bytes: ReadBytes) -> None:
    box = make_mbox(*MAILS)
    for packed in (gzip.compress(box, mtime=0), lzma.compress(box), tarred({"a.mbox": box})):
        cut = read_bytes(packed[: len(packed.rstrip(b"\0")) * 2 // 3])
        assert cut.accounting.rejected >= 1
        assert "cut off" in cut.tables["rejects"]["reason"].iloc[-1]
        found = events(cut) if "notifications" in cut.tables else []
        assert found == list(range(1, len(found) + 1))
    assert events(read_bytes(tarred({"a.mbox": box})[:1900]))


def test_a_wrong_checksum_is_told_and_what_is_there_is_read(read_bytes: ReadBytes) -> None:
    data = bytearray(zipped({"a.mbox": make_mbox(*MAILS)}, zipfile.ZIP_STORED))
    at = data.index(b"Request ID: 3")
    data[at + 12 : at + 13] = b"9"
    reading = read_bytes(bytes(data))
    assert events(reading) == [1, 2, 4, 5, 9]
    assert "checksum" in the_reject(reading)
    assert reading.tables["rejects"]["location"].iloc[0] == "a.mbox, its end"


def test_what_cannot_be_unpacked_is_told_for_each_member(read_bytes: ReadBytes) -> None:
    def changed(at: int, value: int) -> bytes:
        """One byte of the first entry, in the directory and the local header."""
        data = bytearray(zipped({"a.eml": MAILS[0], "b.eml": MAILS[1]}))
        data[data.index(b"PK\x01\x02") + at] = value
        data[at - 2] = value
        return bytes(data)

    for at, value, words in ((8, 1, "encrypted"), (10, 9, "Deflate64"), (10, 14, "LZMA"), (10, 77, "method 77")):
        reading = read_bytes(changed(at, value))
        assert events(reading) == [2]
        assert words in the_reject(reading)
        assert reading.tables["rejects"]["location"].iloc[0] == "a.eml, byte 0"


def test_other_archives_are_told_in_archives_too(read_bytes: ReadBytes) -> None:
    reading = read_bytes(
        zipped({"a.7z": b"7z\xbc\xaf\x27\x1c" + bytes(99), "b.rar": b"Rar!" + bytes(99), "c": b"LZIP"})
    )
    assert reading.accounting == Accounting(rejected=3)
    assert list(reading.tables["rejects"]["reason"].str.contains("7-Zip|rar|lzip")) == [True] * 3


def test_links_and_devices_in_a_tar_are_told_and_the_rest_is_read(read_bytes: ReadBytes) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, kind in (
            ("a", tarfile.SYMTYPE),
            ("b", tarfile.LNKTYPE),
            ("c", tarfile.FIFOTYPE),
            ("d", tarfile.DIRTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("../../etc/x.eml")
        member.size = len(MAILS[0])
        archive.addfile(member, io.BytesIO(MAILS[0]))
    reading = read_bytes(sink.getvalue())
    assert reading.accounting == Accounting(parsed=1, rejected=3)
    assert reading.tables["notifications"]["location"].iloc[0] == "../../etc/x.eml, byte 0"


def test_a_tar_with_holes_is_told(read_bytes: ReadBytes) -> None:
    data = bytearray(tarred({"a.eml": MAILS[0], "b.eml": MAILS[1]}, tarfile.USTAR_FORMAT))
    data[156:157] = b"S"
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    assert "sparse" in the_reject(read_bytes(bytes(data)))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../x", "../../x"),
        ("C:\\Windows\\x", "C:\\x5cWindows\\x5cx"),
        ("a\0b\n\x1b[31m\u202eb", "a\\x00b\\x0a\\x1b[31m\\u202eb"),
        ("a!b", "a\\x21b"),
        ("x" * 1000, "x" * 159 + "…"),
        ("Grüße", "Grüße"),
    ],
)
def test_names_are_text_and_nothing_else(name: str, shown: str) -> None:
    assert shown_name(name) == shown
    assert shown_name(name).isprintable()


def test_no_archive_writes_a_file(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    hostile = {"../up.eml": MAILS[0], "/etc/x.eml": MAILS[1], "..\\..\\x.eml": MAILS[2]}
    for number, form in enumerate(FORMS.values()):
        (inside / str(number)).write_bytes(form(hostile))
    before = sorted(tmp_path.rglob("*"))
    for number in range(len(FORMS)):
        assert read(inside / str(number)).accounting.parsed == 3
    assert sorted(tmp_path.rglob("*")) == before


# ------------------------------------------------------------------------------------------------ limits


def test_a_zip_whose_entries_lie_over_each_other_is_not_read(read_bytes: ReadBytes) -> None:
    """As in the well-known bombs: fifty thousand entries, one and the same kernel of data."""
    data = zipped({"a": bytes(100_000)})
    at = data.index(b"PK\x01\x02")
    entry, end = data[at : data.index(b"PK\x05\x06")], data[data.index(b"PK\x05\x06") :]
    many = data[:at] + entry * 50_000
    end = end[:8] + struct.pack("<HHL", 50_000, 50_000, len(entry) * 50_000) + end[16:]
    reading = read_bytes(many + end)
    assert reading.accounting.parsed == 0
    assert reading.accounting.rejected == 50_000
    assert set(reading.tables["rejects"]["reason"].str[:30]) == {"It lies over other members, as"}


def test_a_zip_that_lies_about_sizes_gives_no_more_than_it_said(read_bytes: ReadBytes) -> None:
    data = bytearray(zipped({"a.txt": bytes(1_000_000)}))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<L", 10)
    reading = read_bytes(bytes(data))
    assert list(reading.tables["rejects"]["size"]) == [10, 0]
    assert "has more" in reading.tables["rejects"]["reason"].iloc[1]
    data[at + 42 : at + 46] = struct.pack("<L", 2**31)
    assert "lies where it does not" in the_reject(read_bytes(bytes(data)))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, lambda d: zipped({"a": d, "b": b"x"})])
def test_a_bomb_is_stopped_and_told(
    read_bytes: ReadBytes, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "RATIO_FREE", 3 * unpacking.PIECE)
    data = pack(bytes(20 * unpacking.PIECE))
    budgets: list[Budget] = []
    real = unpacking.Budget

    def made(size: int) -> Budget:
        budgets.append(real(size))
        return budgets[-1]

    monkeypatch.setattr(unpacking, "Budget", made)
    reading = read_bytes(data)
    reasons = list(reading.tables["rejects"]["reason"])
    assert any("made to fill memory" in reason for reason in reasons)
    assert "Nothing is read from what follows" in reasons[-1]
    assert budgets[0].unpacked <= 4 * unpacking.PIECE + 250 * len(data)


@pytest.mark.parametrize("form", ["zip, Deflate", "tar.gz"])
def test_too_many_members_are_told(read_bytes: ReadBytes, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 3)
    reading = read_bytes(FORMS[form]({f"{n}.eml": mail for n, mail in enumerate(MAILS)}))
    assert reading.accounting.parsed in (2, 3)
    assert "more than 3 members" in the_reject(reading)


def test_archives_that_lie_too_deep_are_told(read_bytes: ReadBytes) -> None:
    for pack in (gzip.compress, lambda data: zipped({"a": data}), lambda data: tarred({"a": data})):
        data = make_mbox(*MAILS)
        for depth in range(unpacking.MAX_DEPTH):
            data = pack(data)
            assert events(read_bytes(data)) == [1, 2, 3, 4, 5], depth
        assert "made to be deep" in the_reject(read_bytes(pack(data)))


def test_a_zip_of_itself_ends(read_bytes: ReadBytes) -> None:
    """A quine cannot be made in a few lines; four hundred levels can, and end alike."""
    data = b"hello"
    for _ in range(400):
        data = gzip.compress(data)
    assert "made to be deep" in the_reject(read_bytes(data))


def test_a_tar_of_long_names_before_long_names_ends(read_bytes: ReadBytes) -> None:
    """The standard library calls itself for each of them."""
    note = tarred({"x" * 200: b""}, tarfile.GNU_FORMAT)[:1024]
    assert note[156:157] == b"L"
    reading = read_bytes(note * 5000 + tarred({"a.eml": MAILS[0]}))
    assert "longer than any name" in the_reject(reading)
    giant = bytearray(note)
    giant[124:136] = b"%011o\0" % (2**32)
    giant[148:156] = b" " * 8
    giant[148:156] = b"%06o\0 " % sum(giant[:512])
    assert "longer than any name" in the_reject(read_bytes(bytes(giant)))


def test_what_does_not_fit_into_memory_is_read_by_pieces_or_told(
    read_bytes: ReadBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_HELD_UNSEEN", 3000)
    monkeypatch.setattr(unpacking, "MAX_HELD", 5000)
    monkeypatch.setattr(unpacking, "PIECE", 512)
    box = make_mbox(*MAILS, make_mail("Lunch?", "x\n" * 3000, number=9))
    view = (schema() + "".join(row(n) for n in range(1, 30)) + trailer(29)).encode()
    files = {"a.mbox": box, "view.txt": view, "b.bin": b"\xff" * 9000, "z.zip": zipped({"x": MAILS[0] * 9}, 0)}
    for form in (zipped, tarred):
        reading = read_bytes(form(files))
        assert events(reading) == [1, 2, 3, 4, 5]
        assert reading.accounting == Accounting(parsed=5, irrelevant=1, rejected=3)
        told = reading.tables["rejects"].set_index("location")["reason"]
        assert "held in memory" in told["view.txt, byte 0"]
        assert "no kind" in told["b.bin, byte 0"]
        assert "held in memory" in told["z.zip, byte 0"]
        assert list(reading.tables["rejects"]["size"]) == [len(view), 9000, len(files["z.zip"])]


def test_a_large_member_costs_no_more_memory_than_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mailbox of 60 MB and 80 MB of zeros, with small limits: only a window of either is in memory."""
    monkeypatch.setattr(unpacking, "RATIO_FREE", 1 << 40)
    monkeypatch.setattr(driver, "_HELD_UNSEEN", 4 << 20)
    (tmp_path / "zeros.gz").write_bytes(gzip.compress(bytes(80 << 20), 1))
    mail = make_mbox(make_mail("Lunch?", "At noon, as always, in the small room.\n" * 25_000))
    sink = zipfile.ZipFile(tmp_path / "box.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with sink as archive, archive.open("box.mbox", "w", force_zip64=True) as member:
        for _ in range(60):
            member.write(mail)
        member.write(make_mbox(MAILS[0]))
    for name, expected in (
        ("zeros.gz", Accounting(rejected=1)),
        ("box.zip", Accounting(parsed=1, irrelevant=60)),
    ):
        tracemalloc.start()
        try:
            reading = read(tmp_path / name)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert reading.accounting == expected
        assert peak < 45 << 20


# ------------------------------------------------------------------------------- mboxes by pieces


def plain_units(data: bytes) -> list[Unit]:
    return list(mbox.READER.read(Source.of(Path("x"), data), lambda _: None))


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            [
                *MAILS,
                make_mail("x", "From y\n\nFrom here on\nTo: nobody\n\n"),
                make_mail("x", "From a 1:23\nX: y\n"),
                b"Subject: a\nContent-Length: 44\n\nFrom a@b Sat Jul 11 13:17:00 2026\nFrom: c\n\nyy\n",
                b"Subject: a\nContent-Length: 99999\n\nx\n",
                make_mail("long", "x\n" * 700),
            ]
        ),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\n\n  "]),
    st.lists(st.integers(0, 9000), max_size=6),
    st.integers(1, 4000),
)
def test_an_mbox_in_pieces_gives_the_same_units(
    mails: list[bytes], crlf: bool, start: bytes, cuts: list[int], window: int
) -> None:
    data = start + make_mbox(*mails)
    data = data.replace(b"\n", b"\r\n") if crlf else data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mbox, "_WINDOW", window)
        patch.setattr(mbox, "MAX_MAIL_BYTES", 1200)
        patch.setattr(mbox, "MAX_HEADER_BYTES", 500)
        patch.setattr(mbox, "_OVERLAP", 200)
        places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        pieces = [data[a:b] for a, b in itertools.pairwise(places) if a < b]
        # As lines: columns cannot be compared as they are.
        assert frozen(mbox.read_stream(pieces)) == frozen(plain_units(data))


# -------------------------------------------------------------------------------------------- hostile


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(list(FORMS)), st.integers(0, 3000), st.binary(max_size=8), st.integers(0, 12), st.booleans())
def test_no_damage_raises(tmp_path: Path, form: str, at: int, noise: bytes, gone: int, cut: bool) -> None:
    data = FORMS[form]({"a/b.mbox": make_mbox(*MAILS[:2]), "c.eml": MAILS[3], "d": b"hello"})
    at %= len(data)
    data = data[:at] if cut else data[:at] + noise + data[at + gone :]
    (tmp_path / "x").write_bytes(data)
    check(read(tmp_path / "x"))


@pytest.mark.thorough
@settings(max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(list(FORMS)),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=8), st.integers(0, 12)), min_size=1, max_size=5),
)
def test_no_damage_raises_in_a_long_search(tmp_path: Path, form: str, changes: list[tuple[int, bytes, int]]) -> None:
    data = FORMS[form]({"a/b.mbox": make_mbox(*MAILS[:2]), "c.eml": MAILS[3], "d": b"hello"})
    for at, noise, gone in changes:
        data = data[: at % len(data)] + noise + data[at % len(data) + gone :] if data else noise
    (tmp_path / "x").write_bytes(data)
    check(read(tmp_path / "x"))


def test_a_stream_gives_what_it_was_given() -> None:
    stream = Stream([b"abc", b"", b"def", b"g"])
    assert stream.peek(2) == b"ab"
    assert stream.take(4) == b"abcd"
    assert stream.skip(1) == 1
    assert b"".join(stream) == b"fg"
    assert stream.take(9) == stream.peek(1) == b""
    assert stream.skip(5) == 0


def test_the_deepest_ratio_of_deflate_is_a_bomb_and_a_mailbox_is_none() -> None:
    """The limit lies between what compresses well because it is text and what was made to."""
    drawn = random.Random(7)
    bodies = (
        ISSUED.replace(SERIAL, drawn.randbytes(19).hex()).replace(HASH, drawn.randbytes(20).hex(" "))
        for _ in range(5000)
    )
    box = make_mbox(*(make_mail(body=body, number=n) for n, body in enumerate(bodies)))
    assert len(box) < unpacking.MAX_RATIO * len(zlib.compress(box, 9))
    assert len(box) < unpacking.MAX_RATIO * len(lzma.compress(box))
    assert unpacking.MAX_RATIO * len(zlib.compress(bytes(1 << 24), 9)) < 1 << 24


def test_a_directory_that_is_too_large_is_not_read(read_bytes: ReadBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MAX_DIRECTORY_BYTES", 100)
    assert "directory of more than" in the_reject(read_bytes(zipped({f"{n}": b"x" for n in range(9)})))
