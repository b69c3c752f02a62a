"""What the marks of one serial amount to: the revocation that was in force at the failure.

A mail is unauthenticated, a signed CRL and the CA's own audit log are not. So two histories
are read: what is proved, and what is said with the mails. A mail may raise a question about
what is proved; it never takes it back, and never makes it worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from carecover.analysis.dossier import Mark
from carecover.model import RevocationReason

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
# At equal times the stronger source speaks last: a CRL is what the CA itself signed.
STRENGTH: Final = {"mail": 0, "foreign": 0, "audit": 1, "crl": 2}
# A mail can be forged; a list of another key than the certificate's revokes nothing (RFC 5280 6.3.3).
SOFT: Final = frozenset({"mail", "foreign"})


@dataclass(frozen=True, slots=True)
class History:
    """The revocation in force before the failure, and how far it can be believed.

    ``state`` is the revocation (None: there is none), ``last`` the last change of any kind.
    ``proved``: CRL or audit log show the state. ``said``: what mails say against a proved
    one, as a sentence. ``released_by_mail``: that sentence is a release. ``ever``: anything
    says that it was revoked, and nothing proves a release.
    """

    state: Mark | None = None
    last: Mark | None = None
    proved: bool = False
    said: str = ""
    released_by_mail: bool = False
    ever: bool = False


def history_of(marks: Sequence[Mark]) -> History:
    """Read the changes of state among the marks, in order."""
    changes = sorted(
        (m for m in marks if m.reason is not None), key=lambda m: (m.at or _EARLIEST, STRENGTH.get(m.source, 0))
    )
    if not changes:
        return History()
    last = changes[-1]
    hard = [m for m in changes if m.source not in SOFT]
    proved, told = _in_force(hard), _in_force(changes)
    if proved is None:
        release_proved = told is None and bool(hard)
        return History(_with_time(told, changes), last, ever=not release_proved)
    said = ""
    if told is None:
        said = " A later mail says that the hold was released, and a mail can be forged: a person must decide."
    elif told.reason != proved.reason:
        said = f" A mail gives reason {told.reason} instead of {proved.reason}; nothing else confirms it."
    return History(_with_time(proved, hard), last, True, said, told is None, True)


def _in_force(changes: Sequence[Mark]) -> Mark | None:
    """The revocation that is left at the end; a final one is neither lifted nor turned into a hold."""
    state: Mark | None = None
    for mark in changes:
        final = state is not None and state.reason != RevocationReason.CERTIFICATE_HOLD
        if final and mark.reason in (RevocationReason.UNREVOKE, RevocationReason.CERTIFICATE_HOLD):
            continue
        state = None if mark.reason == RevocationReason.UNREVOKE else mark
    return state


def _with_time(state: Mark | None, changes: Sequence[Mark]) -> Mark | None:
    """Several sources tell of one revocation; the effective time comes from whoever has it."""
    if state is None:
        return None
    same = [m for m in changes if m.reason == state.reason and m.revoked_at is not None]
    best = max(same, key=lambda m: STRENGTH.get(m.source, 0), default=state)
    return replace(state, revoked_at=best.revoked_at)
