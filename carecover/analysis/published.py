"""What the CA's signed CRLs, in order, say about serials; and which CRL numbers the restore took back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from carecover.analysis.cells import Row, cell_moment, cell_value, forward, place
from carecover.model import RevocationReason, utc_text


@dataclass(frozen=True)
class Published:
    """One signed CRL: when it was published, its row, and its entries by serial."""

    at: datetime
    row: Row
    serials: Mapping[str, tuple[Any, Any]]

    @property
    def key(self) -> int | None:
        return key_of(self.row)

    @property
    def delta(self) -> bool:
        return cell_value(self.row["is_delta"]) is True

    @property
    def name(self) -> str:
        number = cell_value(self.row["crl_number"])
        name = f"CRL {number}" if number is not None else "CRL"
        return f"delta {name}" if self.delta else name


def key_of(row: Row) -> int | None:
    """CA-key index of a CRL: of the key that signed it, else as its CA version says."""
    signer = cell_value(row["signer_key_index"])
    if signer is not None:
        return int(signer)
    version = cell_value(row["ca_version"])
    return None if version is None else int(version) >> 16


@dataclass(frozen=True)
class Listed:
    """One thing that a CRL says of a serial; reason -1 where a later base list no longer has it."""

    at: datetime
    reason: int
    evidence: str
    revoked_at: datetime | None
    key: int | None = None


class CrlStates:
    """What the CA's signed CRLs, in order, say about a serial; each CA key has its own.

    What a list names was revoked, whoever published it. What it does not name was released
    only if the lost database published it: a list of after ``failure``, or one whose number
    does not rise, may be the restored CA's, which has forgotten. Where neither failure nor
    restore is known (``failure`` None), no list is known to be the lost database's.
    """

    def __init__(self, crls: pd.DataFrame, entries: pd.DataFrame, failure: datetime | None) -> None:
        self.lists: list[Published] = []
        self._complete: list[Published] = []
        highest: dict[int | None, tuple[int, bool]] = {}
        entries = entries[entries["serial"].notna()]
        parts = dict(iter(entries.groupby("crl_sha256", sort=False)))
        for row in crls.sort_values("this_update", kind="stable").to_dict("records"):
            began = cell_moment(row["this_update"])
            if began is None:
                continue
            mine = parts.get(row["crl_sha256"], entries.iloc[:0])
            serials = dict(zip(mine["serial"], zip(mine["revoked_at"], mine["reason"], strict=True), strict=True))
            published = Published(forward(began), row, serials)
            self.lists.append(published)
            base = not published.delta
            # Base and delta of one publication have one number.
            number = (_decimal(row["crl_number"]) or 0, base)
            risen = number > highest.get(published.key, (-1, False)) or not number[0]
            highest[published.key] = max(number, highest.get(published.key, number))
            if base and risen and failure is not None and began <= failure:
                self._complete.append(published)

    def keys(self) -> set[int | None]:
        """Keys of which there is a list."""
        return {each.key for each in self.lists}

    def says(self, skip: frozenset[str], ends: Mapping[str, datetime]) -> dict[str, list[Listed]]:
        """Serial → what the lists say of it, but for the serials in ``skip``.

        ``ends``: end of validity where it is known; an expired certificate leaves the list.
        """
        told: dict[str, list[Listed]] = {}
        keys: dict[str, int | None] = {}
        for each in self.lists:
            for serial, (revoked_at, reason) in each.serials.items():
                if serial in skip:
                    continue
                code = cell_value(reason)
                code = 0 if code is None else int(code)
                if code == RevocationReason.REMOVE_FROM_CRL:
                    code = int(RevocationReason.UNREVOKE)
                keys[serial] = each.key
                told.setdefault(serial, []).append(
                    Listed(each.at, code, place(each.row, each.name), cell_moment(revoked_at), each.key)
                )
        for serial, listed in told.items():
            newest = self.latest_base(keys[serial])
            if newest is None or serial in newest.serials or max(each.at for each in listed) >= newest.at:
                continue
            end = ends.get(serial)
            if end is None or end > newest.at:
                text = place(newest.row, f"{newest.name} no longer lists it")
                listed.append(Listed(newest.at, int(RevocationReason.UNREVOKE), text, None, newest.key))
        return told

    def later_without(self, serial: str, at: datetime | None, key: int | None) -> Published | None:
        """A later base list that lacks the serial, whoever made it; only where no list is known to be the lost CA's."""
        if self._complete or at is None:
            return None
        bases = [p for p in self.lists if not p.delta and p.key in (key, None)]
        later = [p for p in bases if p.at > at and serial not in p.serials]
        return later[-1] if later else None

    def latest_base(self, key: int | None) -> Published | None:
        """The lost database's newest base CRL of a key, or of the only key where the key is not known."""
        if key is None and len(self.keys()) > 1:
            return None
        for each in reversed(self._complete):
            if key is None or each.key in (key, None):
                return each
        return None


# -------------------------------------------------------------------------------- CRL numbers


@dataclass(frozen=True)
class _Number:
    number: int
    at: datetime | None
    evidence: str


def number_findings(
    crls: pd.DataFrame, events: pd.DataFrame, crl_rows: pd.DataFrame, *, backup: datetime | None
) -> list[dict[str, Any]]:
    """Findings ``crl_number_regression``, one a CA key: numbers that were public and that the database has forgotten.

    ``crls`` are signed, ``events`` from the CA's log, both from before the cut; ``crl_rows`` is the
    CRL table of the restored database. RFC 5280 5.2.3 wants numbers to rise: clients may keep
    the list with the higher number, whatever the newer one says.
    """
    public: dict[int, list[_Number]] = {}
    for row in crls.to_dict("records"):
        began, number = cell_moment(row["this_update"]), _decimal(row["crl_number"])
        if number is not None and began is not None:
            what = f"{'delta CRL' if cell_value(row['is_delta']) is True else 'CRL'} {number}"
            public.setdefault(key_of(row) or 0, []).append(_Number(number, forward(began), place(row, what)))
    logged = [
        _Number(number, cell_moment(row["recorded_at"]), place(row, f"event 4872, CRL {number}"))
        for row in events[events["event_id"] == 4872].to_dict("records")
        if (number := _decimal(row["crl_number"])) is not None
    ]
    # A publication has one number for all keys ([MS-CSRA] 3.1.4.1.6), and the event does not name the key.
    for key in list(public) or [0]:
        public.setdefault(key, []).extend(logged)
    known: dict[int, int] = {}
    for row in crl_rows.to_dict("records"):
        number, name_id = _decimal(row["crl_number"]), cell_value(row["name_id"])
        if number is not None:
            key = 0 if name_id is None else int(name_id) >> 16
            known[key] = max(number, known.get(key, number))
    found = []
    for key, numbers in sorted(public.items()):
        remembered = known.get(key, max(known.values(), default=None))
        if remembered is not None:
            forgotten = [n for n in numbers if n.number > remembered]
        elif backup is not None:
            forgotten = [n for n in numbers if n.at is not None and n.at > backup]
        else:
            forgotten = []
        if forgotten:
            found.append(_regression(key, forgotten, remembered, backup))
    return found


def _regression(key: int, forgotten: list[_Number], remembered: int | None, backup: datetime | None) -> dict[str, Any]:
    highest = max(forgotten, key=lambda n: n.number)
    since = (
        f"its CRL table ends at {remembered}"
        if remembered is not None
        else f"it was published after the backup of {utc_text(backup)}"
    )
    why = (
        f"CRL number {highest.number} was public, and the restored database does not know it ({since}). The next CRL "
        f"of the CA's key {key} may repeat or undercut published numbers, and clients keep the higher one (RFC 5280 "
        "5.2.3). Publish until the number passes it; 'revoke.cmd publish' does."
    )
    return {
        "finding_id": f"crl_number_regression-key{key}",
        "kind": "crl_number_regression",
        "ca_key_index": key,
        "evidence": list(dict.fromkeys(n.evidence for n in sorted(forgotten, key=lambda n: -n.number)))[:20],
        "confidence": "high",
        "why": why,
        "infrastructure": False,
        "replace_first": False,
    }


def _decimal(cell: object) -> int | None:
    text = cell_value(cell)
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= 49 else None
