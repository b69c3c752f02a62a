"""What can go wrong, told by what the user can do about it.

    CarecoverError            one sentence: what, where, what to do
    ├── UsageError            the call itself is wrong: call again, corrected
    │   └── FactError         so is what was said of the incident; ``facts`` names it
    ├── PathError             a path cannot be opened: give another, or repair it
    ├── EvidenceError         a file is not what it should be: hand in another one
    ├── QuestionError         carecover will not guess: a person must answer first
    ├── RefusedError          refused for safety: change what is unsafe, then try again
    ├── CaseError             the case folder is damaged, busy or of another format
    └── RunError              a run stopped part-way: read the log, mend, run again

The command line prints ``str(error)`` and leaves with ``error.exit_code``
(the numbers are listed in docs/commands.md). A failed check raises; it never
returns False.
"""

from __future__ import annotations

from typing import ClassVar

DONE = 0
NEEDS_A_PERSON = 1


class CarecoverError(Exception):
    """Base of every error that carecover raises on purpose; its text is for the user."""

    exit_code: ClassVar[int] = NEEDS_A_PERSON


class UsageError(CarecoverError):
    """The call is wrong: an unknown name, a missing argument, a value outside its list."""

    exit_code = 2


class FactError(UsageError):
    """What was said is no such fact, or contradicts another.

    ``facts`` are the names of those that are meant, as ``CaseFacts`` has them.
    """

    def __init__(self, text: str, *facts: str) -> None:
        super().__init__(text)
        self.facts = facts


class PathError(CarecoverError):
    """A path is missing or cannot be opened; whatever else was named has been handled.

    ``finished`` is what came of the rest: the result that the call would have returned.
    """

    exit_code = 3

    def __init__(self, text: str, finished: object = None) -> None:
        super().__init__(text)
        self.finished = finished


class EvidenceError(CarecoverError):
    """A file cannot be read as the kind of evidence it was handed in as."""

    exit_code = NEEDS_A_PERSON


class QuestionError(CarecoverError):
    """The evidence allows more than one answer and a person must choose; the text asks."""

    exit_code = NEEDS_A_PERSON


class RefusedError(CarecoverError):
    """Refused for safety: unsigned, changed, unpinned, exposed key, wrong CA …"""

    exit_code = 4


class CaseError(CarecoverError):
    """The case folder is damaged, in use by another writer, or of a format unknown here."""

    exit_code = 3


class RunError(CarecoverError):
    """A run against a CA failed or stopped part-way; what was done is in the transcript."""

    exit_code = 5
