"""What the registry of the CA and of its exit module says about how the CA worked.

The registry that was handed in is the restored CA's: as it was at the backup, or as somebody
set it since. What was changed between backup and failure is lost with the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pandas as pd

from carecover.analysis.gap import plain_ca_name
from carecover.analysis.layout import high_serial_is_string

# EventFilter, by the public header certexit.h: bit → events of table notifications.
EVENT_BITS: Final[Mapping[int, tuple[str, ...]]] = {
    0x1: ("issued",),
    0x2: ("pending",),
    0x4: ("denied",),
    # A release from hold comes through the same channel as a revocation.
    0x8: ("revoked", "unrevoked"),
    0x10: ("retrieve_pending",),
    0x20: ("crl_issued",),
    0x40: ("shutdown",),
    0x80: ("startup",),
    0x200: ("imported",),
}
# AuditFilter (Microsoft, Securing PKI, Appendix B), as far as it matters here: bit → what is logged by it.
AUDIT_BITS: Final[Mapping[int, str]] = {
    0x1: "start and stop of the service",
    0x4: "requests and what became of them",
    0x8: "revocations and CRLs",
}
_UNITS: Final[Mapping[str, timedelta]] = {
    "minutes": timedelta(minutes=1),
    "hours": timedelta(hours=1),
    "days": timedelta(days=1),
    "weeks": timedelta(weeks=1),
    "months": timedelta(days=30),
    "years": timedelta(days=365),
}
# A DWORD has ten digits; ten thousand of the longest unit is more than any CA lives.
_MAX_DIGITS: Final = 10
_MAX_UNITS: Final = 10_000
_OWN_TEMPLATES_SHOWN: Final = 50


@dataclass(frozen=True)
class Settings:
    """The values that matter here; None or empty where they were not handed in.

    ``filters``: every EventFilter found (more than one where exports differ). ``own_wording``:
    templates with a key of their own below the exit module's. ``audit``: every AuditFilter.
    ``string_serials``: HighSerial is a string. ``crl_period``: between two scheduled base CRLs
    (months and years rounded down to 30 and 365 days).
    """

    handed_in: bool = False
    exit_module: bool = False
    filters: frozenset[int] = frozenset()
    own_wording: tuple[str, ...] = ()
    audit: frozenset[int] = frozenset()
    string_serials: bool | None = None
    crl_period: timedelta | None = None

    @property
    def mailed(self) -> frozenset[str] | None:
        """Events that every EventFilter has switched on; None where none was handed in."""
        if not self.filters:
            return None
        return frozenset(e for bit, events in EVENT_BITS.items() if all(f & bit for f in self.filters) for e in events)

    def may_be_mailed(self, event: str) -> bool:
        """False only where the registry says that this event is not mailed."""
        mailed = self.mailed
        return mailed is None or event in mailed

    def logged(self, bit: int) -> bool | None:
        """Whether every AuditFilter has the bit; None where none was handed in."""
        return all(f & bit for f in self.audit) if self.audit else None


def read_settings(registry: pd.DataFrame, ca_name: str | None = None) -> Settings:
    """Read table ``registry``; another CA's keys do not count. What is no number where one is due is absent."""
    if ca_name is not None:
        named = registry["ca_name"].dropna().unique()
        mine = [name for name in named if plain_ca_name(str(name)) == plain_ca_name(ca_name)]
        registry = registry[registry["ca_name"].isna() | registry["ca_name"].isin(mine)]
    if not len(registry):
        return Settings()
    keys = registry["key"].fillna("").astype(str).str.casefold()
    names = registry["name"].fillna("").astype(str).str.casefold()
    smtp = keys.str.contains(r"(?:^|\\)smtp(?:\\|$)", regex=True)
    templates = {
        name
        for key in registry.loc[smtp, "key"].unique()
        if (name := _template(str(key))) is not None and name.casefold() != "default"
    }
    period = _first(registry, names, "crlperiod")
    units = _numbers(registry, names, "crlperiodunits")
    unit = _UNITS.get((period or "").casefold())
    count = max(units, default=0)
    return Settings(
        handed_in=True,
        exit_module=bool(smtp.any()),
        filters=_numbers(registry, names, "eventfilter"),
        own_wording=tuple(sorted(templates)[:_OWN_TEMPLATES_SHOWN]),
        audit=_numbers(registry, names, "auditfilter"),
        string_serials=high_serial_is_string(registry),
        crl_period=unit * count if unit is not None and len(units) == 1 and 0 < count <= _MAX_UNITS else None,
    )


def _template(key: str) -> str | None:
    """The name behind ``Templates`` in a key of the exit module."""
    parts = key.split("\\")
    for place, part in enumerate(parts[:-1]):
        if part.casefold() == "templates" and place and parts[place - 1].casefold() == "smtp":
            return parts[place + 1] or None
    return None


def _lines(registry: pd.DataFrame, names: pd.Series[str], name: str) -> list[str]:
    return [str(line).strip() for lines in registry.loc[names == name, "value"] for line in lines]


def _numbers(registry: pd.DataFrame, names: pd.Series[str], name: str) -> frozenset[int]:
    lines = _lines(registry, names, name)
    return frozenset(int(line) for line in lines if line.isascii() and line.isdecimal() and len(line) <= _MAX_DIGITS)


def _first(registry: pd.DataFrame, names: pd.Series[str], name: str) -> str | None:
    return next(iter(_lines(registry, names, name)), None)
