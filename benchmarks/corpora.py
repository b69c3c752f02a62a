"""Evidence to measure on: made by the simulator from a seed, once, into a folder that is kept.

Run as a program of its own (``python -m benchmarks.corpora FOLDER SIZE NAME…``), so that whoever
measures stays small. Everything is written piece by piece. The same seed gives the same bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import mailbags, truths
from benchmarks.contests import place_of
from carecover.simulator import Scenario, make_incident
from carecover.simulator.authority import HighSerial
from carecover.simulator.correspondence import Mail, mbox_entry
from carecover.simulator.incident import VIEW_COLUMNS, Incident
from carecover.simulator.rendering import DateStyle, view_columns, view_csv, view_text

ZONE: Final = "Europe/Berlin"
_PIECE: Final = 100_000

Truths = dict[str, truths.Truth]
"""What was there, by what was asked: ``mails``, ``rows``, ``missing``."""


class Size(NamedTuple):
    """How much of everything; the full one is what the targets are about."""

    mixed_mails: int
    rows: int
    notifications: int
    gap_rows: int


SIZES: Final = {"full": Size(8_300, 1_000_000, 190_000, 10_000_000), "small": Size(400, 30_000, 6_000, 200_000)}


def _incident(size: Size) -> Incident:
    """The CA of the views and of the mixed mailbox, one and the same."""
    lost = 120 if size.rows >= 1_000_000 else 40
    return make_incident(Scenario(seed=8, certificates=size.rows, lost=lost, ordinary_mail=0, time_zone=ZONE))


def _write_mails(path: Path, mails: Iterable[Mail]) -> truths.Truth:
    pairs = set[str]()
    with path.open("wb") as file:
        for mail in mails:
            file.write(mbox_entry(mail))
            if (pair := mailbags.told(mail)) is not None:
                pairs.add(pair)
    return truths.of_mails(pairs)


def _mixed(folder: Path, size: Size) -> Truths:
    incident = _incident(size)
    (folder / "facts.json").write_text(json.dumps(incident.facts.to_json()), encoding="utf-8")
    for name, pieces in incident.files():
        if name.startswith(("evidence/ca/", "evidence/crl/")):
            (folder / Path(name).name).write_bytes(b"".join(pieces))
    mails = _write_mails(folder / "mixed.mbox", mailbags.mixed(incident, size.mixed_mails))
    return {
        "mails": mails,
        "missing": truths.of_mails(incident.history.serial(i).text for i in incident.history.lost_ids),
    }


def _big(folder: Path, size: Size) -> Truths:
    """The mixed mailbox four times as long, with as many notifications."""
    return {"mails": _write_mails(folder / "mixed.mbox", mailbags.mixed(_incident(size), 4 * size.mixed_mails))}


def _exit(folder: Path, size: Size) -> Truths:
    incident = make_incident(Scenario(seed=9, certificates=size.notifications, ordinary_mail=0, time_zone=ZONE))
    return {"mails": _write_mails(folder / "exit.mbox", mailbags.notifications(incident))}


def _views(folder: Path, size: Size) -> Truths:
    """``view.txt`` and ``view.csv`` in UTF-8, and the same in UTF-16LE, as PowerShell redirects it."""
    incident, columns = _incident(size), view_columns(VIEW_COLUMNS)
    style = DateStyle("en-US", incident.history.zone)
    truth, pieces = truths.Rows(), {"txt": Sheet(folder, "view.txt"), "csv": Sheet(folder, "view.csv")}
    seen: list[Any] = []

    def watched() -> Iterator[Any]:
        for row in incident.view_rows:
            seen.append(row)
            yield row

    # Two renderings of one walk through the rows: the text asks for them, the csv gets the same by the piece.
    header, csv = next(view_csv((), columns, style)), pieces["csv"]
    csv.write(header)
    text = view_text(watched(), columns, style)
    while batch := list(islice(text, 2 * _PIECE)):
        pieces["txt"].write("".join(batch))
        if seen:
            csv.write("".join(islice(view_csv(seen, columns, style), 1, None)))
            truth.take(
                pd.Series([row.request_id for row in seen]),
                pd.Series([None if row.serial is None else row.serial.text for row in seen], dtype="str"),
                pd.to_datetime(pd.Series([row.not_after for row in seen]), utc=True).dt.floor("min"),
                ZONE,
            )
            seen.clear()
    for sheet in pieces.values():
        sheet.close()
    return {"rows": truth.told()}


class Sheet:
    """One text in two encodings; line ends are those of Windows."""

    def __init__(self, folder: Path, name: str) -> None:
        self._utf8 = (folder / name).open("wb")
        self._utf16 = (folder / f"utf16-{name}").open("wb")
        self._utf16.write(b"\xff\xfe")

    def write(self, text: str) -> None:
        """Append to both."""
        text = text.replace("\n", "\r\n")
        self._utf8.write(text.encode())
        self._utf16.write(text.encode("utf-16-le"))

    def close(self) -> None:
        """All is on disk."""
        self._utf8.close()
        self._utf16.close()


def _gap(folder: Path, size: Size) -> Truths:
    """Tables as read already: ``ca_rows``, and a tenth as many ``notifications``, of which 5 % have no row.

    The serial numbers are those of a CA whose HighSerial was never set, which are 20 digits long; request IDs go on
    where the rows end.
    """
    high = HighSerial.of("default", 10)
    random = np.random.default_rng(10)
    lost = size.gap_rows // 200
    start = np.datetime64("2024-01-01T00:00:00", "us")
    step = np.timedelta64(63_000_000_000_000 // size.gap_rows, "us")
    writers: dict[str, pq.ParquetWriter] = {}
    missing: list[str] = []
    for first in range(0, size.gap_rows + lost, _PIECE):
        ids = np.arange(first + 2, min(first + _PIECE, size.gap_rows + lost) + 2)
        salt = random.bytes(8 * len(ids))
        serials = [high.serial(int(i), 0, salt[8 * n : 8 * n + 8]).text for n, i in enumerate(ids)]
        at = start + ids * step
        known = ids < size.gap_rows + 2
        missing += [serial for serial, there in zip(serials, known, strict=True) if not there]
        rows = pd.DataFrame({"request_id": ids, "serial": serials, "disposition": 20, "issuer_name_id": 0})
        rows = rows.assign(submitted_at=at, not_before=at, not_after=at + np.timedelta64(365, "D"))
        mails = rows[["request_id", "serial", "not_before", "not_after"]].assign(sent_at=at)
        mails = mails.assign(event="issued", ca_name="Gap CA", location=[f"byte {1300 * i}" for i in ids])
        told = ~known | (random.random(len(ids)) < 0.095)
        _append(writers, folder / "ca_rows.parquet", rows[known])
        _append(writers, folder / "notifications.parquet", mails[told])
    for writer in writers.values():
        writer.close()
    moments = [start + np.timedelta64(63_000_000 + n * 3600, "s") for n in (0, 400, 430)]
    facts = {name: _iso(at) for name, at in zip(("backup", "failure", "restored"), moments, strict=True)}
    (folder / "facts.json").write_text(json.dumps({"ca": "Gap CA", **facts}), encoding="utf-8")
    return {"missing": truths.of_mails(missing)}


def _iso(moment: np.datetime64) -> str:
    return datetime.fromtimestamp(int(moment.astype("datetime64[s]").astype("int64")), UTC).isoformat()


def _append(writers: dict[str, pq.ParquetWriter], path: Path, frame: pd.DataFrame) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if path.name not in writers:
        writers[path.name] = pq.ParquetWriter(path, table.schema)
    writers[path.name].write_table(table)


def _growth(folder: Path, size: Size) -> Truths:
    """Beginnings of the mailbox of notifications and of the views, and gaps of their own, each ten times the last."""
    for name in ("exit", "views", "gap"):
        make(folder.parents[1], folder.parent.name.partition("-")[0], name)
    counts = [10**n for n in range(3, 8) if 10**n <= size.gap_rows]
    for count in counts:
        place = folder / str(count)
        place.mkdir(exist_ok=True)
        for corpus, name, first in (
            ("exit", "exit.mbox", b"From "),
            ("views", "view.txt", b"Row "),
            ("views", "view.csv", b'"'),
        ):
            _beginning(folder.parent / corpus / name, place / name, first, count)
        if count == size.gap_rows:
            for file in ("ca_rows.parquet", "notifications.parquet", "facts.json"):
                (place / file).symlink_to(folder.parent / "gap" / file)
        else:
            _gap(place, size._replace(gap_rows=count))
    return {}


def _beginning(source: Path, target: Path, first: bytes, count: int) -> None:
    """The first ``count`` of what begins with ``first`` at a line's start; nothing where there are fewer."""
    seen = 0
    with source.open("rb") as whole, target.open("wb") as part:
        for line in whole:
            seen += line.startswith(first)
            # The header of a csv begins as its rows do.
            if seen > count + (first == b'"'):
                return
            part.write(line)
    target.unlink()


MAKERS: Final[dict[str, Callable[[Path, Size], Truths]]] = {
    "mixed": _mixed,
    "exit": _exit,
    "views": _views,
    "gap": _gap,
    "big": _big,
    "growth": _growth,
}


def make(cache: Path, size: str, name: str) -> None:
    """Make a corpus unless it is there; ``truth.json`` is written last."""
    folder = place_of(cache, size, name)
    if (folder / "truth.json").is_file():
        return
    print(f"making corpus {name} ({size}) ...", file=sys.stderr, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    truth = MAKERS[name](folder, SIZES[size])
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")


if __name__ == "__main__":
    for wanted in sys.argv[3:]:
        make(Path(sys.argv[1]), sys.argv[2], wanted)
