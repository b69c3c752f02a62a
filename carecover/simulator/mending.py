"""The beginning of the recovery: what a late view shows, and the mails that the mending itself causes.

A day after the export somebody imports the first half of the lost certificates and revokes
what had been revoked. Imported rows take fresh request IDs, so that the ID inside the
serial is another than the row's ([MS-CSRA] 3.1.4.1.26).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from carecover.simulator.authority import DatabaseRow
from carecover.simulator.correspondence import Event
from carecover.simulator.life import UNREVOKE, Act, revoked_row
from carecover.simulator.traces import Traces

_AFTER_EXPORT: Final = timedelta(days=1)
_STEP: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the recovery did: the event that it causes, and the row as it is then."""

    at: datetime
    event: Event
    row: DatabaseRow | None


class Mending:
    """Half of the recovery, as it is under way."""

    def __init__(self, traces: Traces) -> None:
        self.traces = traces
        self.history = traces.history

    @cached_property
    def steps(self) -> list[Step]:
        """Imports, then revocations, then a CRL, in order."""
        h, life = self.history, self.history.life
        at = h.exported_at + _AFTER_EXPORT
        # What the restored CA issued between the export and now has taken two more.
        fresh = h.restored.next_request_id + 2
        again = {h.second.request(i).serial for i in range(h.last_before + 1, fresh)}
        known = [i for i in h.lost_ids if self.traces.shown_by(i) and life.persists(i) and h.serial(i) not in again]
        steps: list[Step] = []
        for n, i in enumerate(known[: (len(known) + 1) // 2]):
            at += _STEP
            row = replace(life.request(i), request_id=fresh + n, submitted_at=at, resolved_at=at, requester=None)
            steps.append(Step(at, "imported", row))
            act = life.last_act(i, h.failure)
            if act is not None and act.reason != UNREVOKE:
                at += _STEP
                steps.append(Step(at, "revoked", revoked_row(row, Act(at, at, act.reason))))
        for i in sorted(set(life.acts) - set(h.lost_ids)):
            before, act = life.last_act(i, h.backup), life.last_act(i, h.failure)
            if act is not None and act != before and act.reason != UNREVOKE and self.traces.acts_shown_by(i):
                at += _STEP
                steps.append(Step(at, "revoked", revoked_row(life.request(i), Act(at, at, act.reason))))
        steps.append(Step(at + _STEP, "crl_issued", None))
        return steps

    @property
    def rows(self) -> Iterator[DatabaseRow]:
        """All rows as they are after the last step, by request ID."""
        h = self.history
        newest: dict[int, DatabaseRow] = {step.row.request_id: step.row for step in self.steps if step.row}
        for row in h.restored.rows:
            yield newest.pop(row.request_id, row)
        for i in range(h.restored.next_request_id, h.restored.next_request_id + 2):
            yield h.second.row(i, self.steps[-1].at)
        yield from (newest[i] for i in sorted(newest))
