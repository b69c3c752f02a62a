"""The very place of a row: the mail, the row, the member of an archive; and nothing where there is no such place."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecover.evidence import excerpt, read
from carecover.evidence.excerpt import MAX_BYTES
from carecover.simulator import Scenario, make_incident


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("incident")
    make_incident(Scenario(seed=4, certificates=60, lost=10)).write(place)
    return place / "evidence"


def test_each_notification_is_found_again_as_the_mail_that_it_was(files: Path) -> None:
    (mailbox,) = (files / "mail").glob("*.mbox")
    whole = mailbox.read_bytes()
    notifications = read(mailbox).tables["notifications"]
    assert len(notifications) > 20
    for one in notifications.to_dict("records"):
        shown = excerpt(mailbox, one["location"])
        assert shown is not None
        assert not shown.cut
        assert shown.text.count("Message-ID:") == 1, "one mail, and not the next as well"
        assert one["message_id"].strip("<>") in shown.text
        assert shown.text.encode("utf-8", "replace")[:40] in whole


@pytest.mark.parametrize("name", ["view.txt", "view.csv"])
def test_each_row_of_a_view_is_found_again_by_its_line(files: Path, name: str) -> None:
    view = files / "database" / name
    rows = read(view).tables["ca_rows"]
    with_serial = rows[rows["serial"].notna()]
    assert len(with_serial) > 20
    others = set(with_serial["serial"])
    for one in with_serial.to_dict("records"):
        shown = excerpt(view, one["location"])
        assert shown is not None
        assert one["serial"] in shown.text
        assert not any(serial in shown.text for serial in others - {one["serial"]}), "and no other row"


def test_a_member_of_an_archive_in_an_archive_is_opened(files: Path, tmp_path: Path) -> None:
    (mailbox,) = (files / "mail").glob("*.mbox")
    with zipfile.ZipFile(tmp_path / "inner.zip", "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr("other.txt", "nothing")
        inner.writestr("a folder/in, byte 5.mbox", mailbox.read_bytes())
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as outer:
        outer.write(tmp_path / "inner.zip", "inner.zip")
    found = read(tmp_path / "outer.zip").tables["notifications"]
    assert len(found) == len(read(mailbox).tables["notifications"])
    for one in found.head(5).to_dict("records"):
        shown = excerpt(tmp_path / "outer.zip", one["location"])
        assert shown is not None
        assert one["message_id"].strip("<>") in shown.text


def test_what_is_no_text_is_shown_by_its_numbers(files: Path) -> None:
    (crl,) = (files / "crl").iterdir()
    shown = excerpt(crl, "byte 0")
    assert shown is not None
    assert shown.binary
    data = crl.read_bytes()
    assert shown.cut == (len(data) > 1024)
    numbers = "".join(line[10:57] for line in shown.text.splitlines())
    assert bytes.fromhex(numbers) == data[:1024]


@pytest.mark.parametrize(
    "location", ["", "byte", "byte -1", "byte 99999999999", "line 0", "line 99999999", "mail 7", "no/such.mbox, byte 0"]
)
def test_there_is_nothing_where_there_is_no_such_place(files: Path, location: str) -> None:
    (mailbox,) = (files / "mail").glob("*.mbox")
    assert excerpt(mailbox, location) is None


@given(st.binary(max_size=4_000), st.integers(0, 5_000), st.sampled_from(["byte", "line"]))
def test_whatever_the_bytes_are_the_text_is_bounded(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, number: int, unit: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.bin"
    file.write_bytes(content)
    shown = excerpt(file, f"{unit} {number}")
    assert shown is None or len(shown.text) <= MAX_BYTES * 5


def test_a_mail_without_end_is_cut_off_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "long.eml"
    file.write_bytes(b"From: a@example\nSubject: x\n\n" + b"line\n" * 100_000)
    shown = excerpt(file, "byte 0")
    assert shown is not None
    assert shown.cut
    assert len(shown.text) <= MAX_BYTES
