"""Who is compared with whom, at which work, and what is aimed at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

CORPORA_VERSION: Final = 2
"""To be raised when a corpus of the same name would have other bytes."""


def place_of(cache: Path, size: str, corpus: str) -> Path:
    """The folder of one corpus."""
    return cache / f"{size}-{CORPORA_VERSION}" / corpus


@dataclass(frozen=True)
class Contestant:
    """One side of a contest: its name for people, its work (``module.function``), what it needs from outside."""

    name: str
    work: str
    needs: str | None = None
    """A package of benchmarks/requirements.lock."""


@dataclass(frozen=True)
class Target:
    """``of`` takes at least ``least`` times as long as carecover, and ``reach`` is hoped for."""

    of: str
    least: float
    reach: float


@dataclass(frozen=True)
class Contest:
    """One work on one corpus; the first contestant is carecover."""

    name: str
    title: str
    corpus: str
    file: str
    truth: str | None
    contestants: tuple[Contestant, ...]
    targets: tuple[Target, ...] = ()
    also: tuple[str, ...] = ()
    """Corpora that it needs besides."""

    @property
    def ours(self) -> Contestant:
        """carecover's side, to which all others are put in proportion."""
        return self.contestants[0]


_STDLIB: Final = Contestant("stdlib mailbox + email (compat32)", "peers.stdlib_mailbox")
_FAST: Final = Contestant("split + fast-mail-parser", "peers.fast_mail_parser", "fast-mail-parser")
_SLOW: Final = Contestant("split + mail-parser", "peers.mail_parser", "mail-parser")
_SCAN: Final = Contestant("rg -c '^From '", "peers.scan")
_HASH: Final = Contestant("(SHA-256 of the file, apart)", "product.digest")
_MAILS: Final = Contestant("carecover", "product.mails")
_MAILS_BY_TWO: Final = Contestant("carecover, two processes", "product.mails_by_two")
_VIEW: Final = Contestant("carecover", "product.view")
_LOOP: Final = Contestant("line loop, no dates read", "peers.line_loop")
_PANDAS: Final = Contestant("pandas read_csv (C), dates read", "peers.pandas_csv")

CONTESTS: Final = (
    Contest(
        "mixed",
        "An mbox of 1 GB: ordinary mail with attachments, 2 % notifications",
        "mixed",
        "mixed.mbox",
        "mails",
        (_MAILS, _MAILS_BY_TWO, _STDLIB, _FAST, _SLOW, _SCAN, _HASH),
        (Target(_STDLIB.name, 12, 20), Target(_SCAN.name, 1 / 10, 1 / 4)),
    ),
    Contest(
        "big",
        "Memory: the mixed mbox, four times as long",
        "big",
        "mixed.mbox",
        "mails",
        (_MAILS, _MAILS_BY_TWO, _SCAN),
    ),
    Contest(
        "exit",
        "An mbox of 300 MB: notifications only, in all encodings",
        "exit",
        "exit.mbox",
        "mails",
        (_MAILS, _MAILS_BY_TWO, _STDLIB, _FAST, _SCAN, _HASH),
        (Target(_STDLIB.name, 5, 5), Target(_FAST.name, 1, 1 / 0.6)),
    ),
    Contest(
        "text",
        "certutil -view, text, 1,000,000 rows",
        "views",
        "view.txt",
        "rows",
        (_VIEW, _LOOP, _HASH),
        (Target(_LOOP.name, 3.5, 5),),
    ),
    Contest(
        "text16",
        "The same in UTF-16LE",
        "views",
        "utf16-view.txt",
        "rows",
        (_VIEW, _LOOP, _HASH),
        (Target(_LOOP.name, 3.5, 5),),
    ),
    Contest(
        "csv",
        "certutil -view csv, 1,000,000 rows",
        "views",
        "view.csv",
        "rows",
        (_VIEW, _PANDAS, _HASH),
        (Target(_PANDAS.name, 4, 8),),
    ),
    Contest(
        "csv16",
        "The same in UTF-16LE",
        "views",
        "utf16-view.csv",
        "rows",
        (_VIEW, _PANDAS, _HASH),
        (Target(_PANDAS.name, 4, 8),),
    ),
    Contest(
        "gap",
        "The gap between 10,000,000 rows and 1,000,000 notifications, loaded",
        "gap",
        "",
        "missing",
        (
            Contestant("carecover find_gap, with findings", "product.gap"),
            Contestant("pandas merge, serials only", "peers.pandas_merge"),
            Contestant("duckdb anti join, serials only", "peers.duckdb_join", "duckdb"),
        ),
        (Target("pandas merge, serials only", 3, 3), Target("duckdb anti join, serials only", 0, 1)),
    ),
    Contest(
        "case",
        "A whole case: init, add (1 GB of mail, 1,000,000 rows as text), gaps",
        "mixed",
        "mixed.mbox",
        "missing",
        (
            Contestant("carecover", "product.whole_case"),
            Contestant("stdlib mailbox, line loop and a set", "peers.scripts"),
        ),
        also=("views",),
    ),
    Contest(
        "help",
        "carecover --help, a process by itself",
        "mixed",
        "",
        None,
        (Contestant("carecover --help", "product.usage"), Contestant("python -c pass", "product.nothing")),
    ),
)
BY_NAME: Final = {contest.name: contest for contest in CONTESTS}
