"""How a CA makes its serials, learnt from rows; and what a serial says by that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carecover.analysis.layout import CaLayout, high_serial_is_string, learn_layout, own_certificates
from carecover.model import TABLES
from tests.analysis.test_attacks import own_ca
from tests.analysis.test_gap import BACKUP, IN_GAP, RESTORED, row, serial


def learnt(
    rows: list[dict[str, Any]],
    cas: list[dict[str, Any]] | None = None,
    registry: list[dict[str, Any]] | None = None,
    crls: list[dict[str, Any]] | None = None,
) -> CaLayout:
    certificates = own_certificates(TABLES["certificates"].frame(cas or []))
    return learn_layout(
        TABLES["ca_rows"].frame(rows), certificates, TABLES["crls"].frame(crls or []),
        TABLES["registry"].frame(registry or []), backup=BACKUP, cut=RESTORED,
    )  # fmt: skip


def test_the_19_byte_form_is_learnt_with_its_first_byte() -> None:
    layout = learnt([row(1), row(2)])
    assert layout.native(layout.decode(serial(77)))
    assert layout.request_id(serial(77)) == 77
    other = layout.decode(serial(77, first="52"))
    assert not layout.native(other)
    # The form checks itself: the ID is there twice.
    assert layout.carries(other)


def test_ten_bytes_with_four_that_never_change_are_a_string_and_no_default_form() -> None:
    """A HighSerial string of four bytes has the length of the default form; only the rows tell them apart."""
    string = [row(n, serial=f"6c6f6e67{0:04x}{n:08x}") for n in (5, 6, 7)]
    random = [row(n, serial=f"{0x15FBA300 + n * 7919:08x}{0:04x}{n:08x}") for n in (5, 6, 7)]
    assert learnt(string).strings == {"6c6f6e67"}
    assert learnt(string).decode("6c6f6e67000000000009").layout == "string"
    assert learnt(string).request_id("6c6f6e67000000000009") == 9
    assert learnt(random).strings == frozenset()
    assert learnt(random).decode("15fba3bb000000000009").layout == "default"


@settings(deadline=None)
@given(prefix=st.binary(min_size=1, max_size=13), ids=st.lists(st.integers(1, 2**31 - 1), min_size=2, unique=True))
def test_a_string_of_any_length_is_learnt_from_two_rows(prefix: bytes, ids: list[int]) -> None:
    """[MS-WCCE] 3.2.1.4.2.1.4.6.3: up to 13 constant bytes; the top one is made 0x10 to 0x7f."""
    text = bytes([prefix[0] & 0x6F | 0x10, *prefix[1:]]).hex()
    serials = [f"{text}{0:04x}{n:08x}" for n in ids]
    layout = learnt([row(n, serial=each) for n, each in zip(ids, serials, strict=True)])
    decoded = [layout.decode(each) for each in serials]
    # Thirteen bytes can by chance hold the request ID where the 19-byte form does: then it is read as that.
    assert all(d.layout == "string" or len(text) == 26 for d in decoded)
    assert [d.request_id for d in decoded] == ids


def test_a_serial_of_the_right_length_and_another_beginning_is_foreign_to_a_string_ca() -> None:
    layout = learnt([row(n, serial=f"4411223344556677{0:04x}{n:08x}") for n in (5, 6)])
    assert layout.decode("4411223344556678000000000009").layout == "foreign"


def test_a_same_key_renewal_adds_a_certificate_and_no_key() -> None:
    layout = learnt([row(1)], [own_ca(0, 0), own_ca(1, 0), own_ca(2, 1)])
    assert layout.key_of_index == {0: 0, 1: 0, 2: 1}
    assert layout.newest == 2
    # Rows and CRLs say it too, where a certificate is not at hand.
    named = learnt([row(1), row(2, issuer_name_id=1 << 16 | 3)], crls=[{"ca_version": 2 << 16 | 4}])
    assert (named.key_of_index[3], named.key_of_index[4]) == (1, 2)
    assert 4 not in named.held


def test_a_ca_certificate_of_the_window_that_no_row_knows_was_lost() -> None:
    renewed = own_ca(1, 1, not_before=IN_GAP, thumbprint="9" * 40)
    assert learnt([row(1)], [own_ca(0, 0), renewed]).lost == {1}
    assert learnt([row(1), row(2, issuer_name_id=1 << 16 | 1)], [own_ca(0, 0), renewed]).lost == frozenset()
    assert learnt([row(1), row(2, thumbprint="9" * 40)], [own_ca(0, 0), renewed]).lost == frozenset()
    after = own_ca(1, 1, not_before=RESTORED + timedelta(hours=1))
    assert learnt([row(1)], [own_ca(0, 0), after]).lost == frozenset()


def test_the_registry_says_which_ca_certificates_the_ca_has() -> None:
    cas = [own_ca(0, 0, thumbprint="1" * 40), own_ca(1, 1, thumbprint="2" * 40, not_before=IN_GAP)]
    spaced = " ".join(["11"] * 20)
    assert learnt([row(1)], cas, [{"name": "CACertHash", "value": [spaced]}]).lost == {1}
    both = [{"name": "CACertHash", "value": [spaced, " ".join(["22"] * 20)]}]
    assert learnt([row(1)], cas, both).lost == frozenset()


def test_an_index_that_nobody_reaches_is_absurd() -> None:
    layout = learnt([row(1)], [own_ca(0, 0)])
    assert layout.absurd(layout.decode(serial(5, index=0x80)))
    assert not layout.absurd(layout.decode(serial(5, index=1)))
    assert layout.unheld(layout.decode(serial(5, index=1)))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], None),
        ([{"name": "HighSerial", "type": "REG_DWORD", "value": ["68"]}], False),
        ([{"name": "highserial", "type": "REG_SZ", "value": ["6c6f6e67"]}], True),
    ],
)
def test_the_registry_says_whether_serials_can_come_back(rows: list[dict[str, Any]], expected: bool | None) -> None:
    assert high_serial_is_string(TABLES["registry"].frame(rows)) is expected


def test_nothing_is_learnt_from_nothing() -> None:
    layout = learnt([])
    assert layout == CaLayout()
    assert layout.request_id("15fba3bb000000000002") == 2
    assert isinstance(TABLES["ca_rows"].empty(), pd.DataFrame)
