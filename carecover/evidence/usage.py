"""Which wording explains how many of the CA's mails: table ``profiles``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pandas as pd

from carecover.evidence.profiles import name_of
from carecover.evidence.sample import MICROSOFT_SAMPLE
from carecover.evidence.wording import Line, Profile, Wording
from carecover.model import TABLES, canonical_json, sha256_hex

# How a reject of a mail begins that has the subject or the labels of a notification.
_LIKE_ONE: Final = ("The subject is that of a notification", "The body is worded like a notification")


def wording_id(wording: Wording) -> str:
    """The short name of a wording: the same words have the same, on every machine."""
    return sha256_hex(canonical_json(wording.to_json()))[:10]


def shown_title(title: Line) -> str:
    """A title to read; ``…`` stands for a value."""
    words = [title.label]
    for between in title.between:
        words += ["…", between.strip()]
    return " ".join(word for word in words if word)


def wording_row(wording: Wording, name: str, origin: str, **more: object) -> dict[str, object]:
    """A wording as a row of table ``profiles``."""
    return {
        "profile_id": wording_id(wording),
        "profile": name,
        "origin": origin,
        "event": wording.event,
        "template": wording.template,
        "title": shown_title(wording.title),
        "columns": list(wording.columns),
        **more,
    }


def profile_rows(
    profiles: Sequence[Profile], notifications: pd.DataFrame, rejects: pd.DataFrame, ca_rows: pd.DataFrame
) -> pd.DataFrame:
    """Table ``profiles``: each wording in use, and the share of the CA's mails that it explains.

    A built-in one that explains nothing is left out.

    The CA's mails are those that some wording explains, and those that were rejected though they have
    the subject or the labels of a notification; these have a row of their own.
    """
    unread = int(rejects["reason"].str.startswith(_LIKE_ONE).sum())
    total = len(notifications) + unread
    event = notifications["event"].replace("unrevoked", "revoked")
    groups = dict(iter(notifications.groupby([notifications["profile"], event], sort=False)))
    known = set(ca_rows["serial"].dropna())
    rows, seen = [], set[Any]()
    for profile, wording in _in_use(profiles):
        name = name_of(profile, wording)
        mails = groups.get((name, wording.event), notifications.iloc[:0])
        if (name, wording.event) in seen:
            # Before and after a change: the mails are counted with the first.
            mails = notifications.iloc[:0]
        seen.add((name, wording.event))
        if profile.origin == "built_in" and not len(mails):
            continue
        serials = set(mails["serial"].dropna())
        counts = {"mails": len(mails), "serials": len(serials), "known": len(serials & known)}
        share = 100 * len(mails) // total if total else None
        rows.append(wording_row(wording, name, profile.origin, share=share, **counts))
    if unread:
        rows.append({"origin": "unexplained", "mails": unread, "share": 100 * unread // total})
    return TABLES["profiles"].frame(rows)


def _in_use(profiles: Sequence[Profile]) -> Iterable[tuple[Profile, Wording]]:
    return ((profile, wording) for profile in (MICROSOFT_SAMPLE, *profiles) for wording in profile.wordings)
