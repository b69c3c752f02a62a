"""What was there to be found, as a count and a digest: everybody who does the work must come to the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Truth = dict[str, Any]
"""``count`` and ``digest``."""


def of_mails(pairs: Iterable[str]) -> Truth:
    """Notifications as ``request-id serial`` (``-`` without a serial), whatever their order, each once."""
    once = sorted(set(pairs))
    return {"count": len(once), "digest": hashlib.sha256("\n".join(once).encode()).hexdigest()}


class Rows:
    """Rows of a database in their order; given in as many pieces as there are."""

    def __init__(self) -> None:
        self._count, self._digest = 0, hashlib.sha256()

    def take(self, request_id: pd.Series[Any], serial: pd.Series[Any], not_after: pd.Series[Any], zone: str) -> Rows:
        """Columns of whole numbers, hex text and UTC times; ``zone`` is where the CA stands.

        What was printed in the hour that happens twice when summer time ends says no moment: the hour is left out
        of those.
        """
        import pandas as pd  # not before: what a peer takes of memory is told without it

        local = not_after.dt.tz_convert(zone)
        wall = local.dt.tz_localize(None)
        hour = pd.Timedelta(hours=1)
        twice = pd.Series(False, index=wall.index)
        for other in (not_after + hour, not_after - hour):
            twice |= other.dt.tz_convert(zone).dt.tz_localize(None) == wall
        said = wall.dt.strftime("%Y-%m-%d %H:%M").where(~twice, wall.dt.strftime("%Y-%m-%d")).fillna("-")
        lines = request_id.astype("int64").astype("str") + " " + serial.astype("str").fillna("-") + " " + said + "\n"
        self._digest.update("".join(lines).encode())
        self._count += len(lines)
        return self

    def told(self) -> Truth:
        """Count and digest of all pieces."""
        return {"count": self._count, "digest": self._digest.hexdigest()}
