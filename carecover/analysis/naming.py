"""Whose mails and certificates were handed in, by their names: of the CA, of another, or of it by another name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pandas as pd

from carecover.analysis.cells import true
from carecover.analysis.gap import own_name, plain_ca_name
from carecover.analysis.layout import CaLayout
from carecover.analysis.sources import aspect, many
from carecover.model import CaseFacts

NAME_OF_CA: Final = "name of the CA"
"""The aspect of a case of whose CA there is nothing; its figure is the name that is meant, where it can be one."""
# Longer names stand in no case.
_MAX_NAME: Final = 200
_MAX_NAMED: Final = 6


def mails_of_other_cas(notifications: pd.DataFrame, own: pd.DataFrame, layout: CaLayout) -> Iterable[dict[str, Any]]:
    """Mails in another CA's name: no finding follows from them, but they are counted.

    ``own`` are the mails of this CA (``mails_of``).
    """
    # Of a mail that lies in two mailboxes ``own`` holds one copy: the other is no other CA's.
    mine = {plain_ca_name(str(name)) for name in own["ca_name"].dropna().unique()}
    theirs = [name for name in notifications["ca_name"].dropna().unique() if plain_ca_name(str(name)) not in mine]
    others = notifications[notifications["ca_name"].isin(theirs)]
    if not len(others):
        return
    told = others[others["serial"].map(lambda s: isinstance(s, str) and layout.native(layout.decode(s)))]
    names = ", ".join(sorted({_printable(str(n)) for n in told["ca_name"].head(_MAX_NAMED)}))
    why = "They are kept, and no finding follows from them."
    if len(told):
        why = (
            f"{len(told)} of them have serial numbers made as this CA's are (from {names}): where it was renamed, or "
            "its name in the case is wrong, say so: carecover init CASE --ca NAME"
        )
    yield aspect("mails of other CAs", f"{len(others)}", "unknown" if len(told) else "good", why)


def other_name(
    notifications: pd.DataFrame,
    ca_certificates: pd.DataFrame,
    certificates: pd.DataFrame,
    layout: CaLayout,
    facts: CaseFacts,
) -> Iterable[dict[str, Any]]:
    """Where neither a mail nor a CA certificate bears the case's name of the CA, but another: it was misspelled."""
    named = notifications[notifications["ca_name"].notna()]
    spelled = {str(name): plain_ca_name(str(name)) for name in named["ca_name"].unique()}
    if facts.ca is None or len(ca_certificates) or plain_ca_name(facts.ca) in spelled.values():
        return
    told = named.loc[named["serial"].map(lambda s: isinstance(s, str) and layout.native(layout.decode(s))), "ca_name"]
    certified = own_name(certificates[true(certificates["is_ca"]) & ~true(certificates["from_mail"])])
    if not len(told) and certified is None:
        return
    name = str(told.value_counts().index[0]) if len(told) else str(certified)
    if certified is not None and plain_ca_name(certified) == plain_ca_name(name):
        # Mails may write it with the escapes of a sanitized name.
        name = certified
    shown = _printable(name)
    bearing = (
        f"{many(int((told.map(spelled) == plain_ca_name(name)).sum()), 'mail')} whose serial numbers are made as this "
        "CA's are"
        if len(told)
        else "CA certificates that were handed in"
    )
    why = (
        f"Nothing that was handed in bears the name that the case gives the CA. {bearing} bear another: {shown}. Where "
        "that is the CA, all else here follows from a wrong name. Set it right: carecover init CASE --ca NAME"
    )
    yield aspect(NAME_OF_CA, name if name.isprintable() and len(name) <= _MAX_NAME else "", "gap", why)


def _printable(text: str) -> str:
    """A name out of a mail, fit for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text[:60])
