"""Plain DataFrames from files, without a case."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pandas as pd

from carecover.errors import EvidenceError, PathError
from carecover.evidence.configured import configured
from carecover.evidence.driver import read
from carecover.evidence.units import Context
from carecover.model import TABLES, Accounting, DateOrder, Reading

_WHAT: Final = {
    "mbox": "an mbox",
    "mail": "a mail",
    "msg": "an Outlook message",
    "pst": "an Outlook data file",
    "view_text": "a certutil -view text",
    "view_csv": "a certutil -view csv",
    "edb": "a database file",
    "certificate": "a certificate file",
    "crl": "a CRL",
    "ocsp": "an OCSP response",
    "ldif": "an LDIF export",
    "dump": "a text of certificates or CRLs",
    "events": "an event log",
    "registry": "a listing of the registry",
    "certutil": "certutil output without a view",
    "archive": "an archive",
}


def read_mail(
    path: str | os.PathLike[str],
    *,
    time_zone: str | None = None,
    date_order: DateOrder | None = None,
    registry: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Table ``notifications`` from an mbox, a mail file, an archive or a folder of them (links are not followed).

    ``time_zone`` (IANA name) and ``date_order`` say how the CA printed its dates; ``registry`` is a file that says
    how it words its mails (``certutil -getreg exit\\smtp…`` or a ``.reg`` export). Raises PathError for a missing
    path, EvidenceError where a file is no mail or no such export, UsageError for an unknown zone.
    """
    context = Context(time_zone, date_order)
    if registry is not None:
        wordings = configured(
            _of(_one(Path(registry), ("registry", "archive"), "an export of the registry", context), "registry")
        )
        if not wordings:
            raise EvidenceError(
                f"{registry} words no mail: hand in the key of the SMTP exit module with its sub-keys "
                "(certutil -v -getreg exit\\smtp, or a .reg export of ExitModules)."
            )
        context = replace(context, profiles=wordings)
    return _table(path, "notifications", ("mbox", "mail", "msg", "pst", "archive"), "mails", context, folder=True)


def read_view(
    path: str | os.PathLike[str], *, time_zone: str | None = None, date_order: DateOrder | None = None
) -> pd.DataFrame:
    """Table ``ca_rows`` from ``certutil -view``, text or csv, or the database file; errors as ``read_mail``."""
    context = Context(time_zone, date_order)
    return _table(path, "ca_rows", ("view_text", "view_csv", "edb", "archive"), "a certutil -view export", context)


def read_certificates(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Table ``certificates`` from DER, PEM, base64, PKCS #7 or LDIF (a folder of them too); errors as ``read_mail``."""
    kinds = ("certificate", "crl", "ldif", "archive")
    return _table(path, "certificates", kinds, "certificates", Context(), folder=True)


def read_crl(path: str | os.PathLike[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables ``crls`` and ``crl_entries`` from a file of one CRL or more; errors as ``read_mail``."""
    reading = _one(Path(path), ("crl", "certificate", "ldif"), "a CRL", Context())
    crls, entries = (_of(reading, name) for name in ("crls", "crl_entries"))
    for frame in (crls, entries):
        _describe(frame, [reading])
    return crls, entries


def _table(
    path: str | os.PathLike[str],
    name: str,
    kinds: tuple[str, ...],
    wanted: str,
    context: Context,
    *,
    folder: bool = False,
) -> pd.DataFrame:
    start = Path(path)
    files = list(_files(start)) if folder and start.is_dir() else [start]
    if not files:
        raise EvidenceError(f"{start} holds no files.")
    readings = [_one(file, kinds, wanted, context) for file in files]
    frames = [frame for reading in readings if len(frame := _of(reading, name))]
    table = pd.concat(frames, ignore_index=True) if frames else TABLES[name].empty()
    _describe(table, readings)
    return table


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            file = Path(root, name)
            if file.is_file() and not file.is_symlink():
                yield file


def _one(path: Path, kinds: tuple[str, ...], wanted: str, context: Context) -> Reading:
    if not path.exists():
        raise PathError(f"{path} does not exist.")
    reading = read(path, context)
    if reading.kind not in kinds:
        rejects = reading.tables.get("rejects")
        why = f"it is {_WHAT[reading.kind]}" if reading.kind in _WHAT else "its kind cannot be told"
        if reading.kind == "unknown" and rejects is not None:
            why = str(rejects["reason"].iloc[0]).rstrip(".")
        raise EvidenceError(f"{path} is not {wanted}: {why}.")
    return reading


def _of(reading: Reading, name: str) -> pd.DataFrame:
    frame = reading.tables.get(name)
    return TABLES[name].empty() if frame is None else frame


def _describe(frame: pd.DataFrame, readings: list[Reading]) -> None:
    """Plain values, so that the frame can still be concatenated, compared and written to Parquet."""
    total = Accounting(
        *(
            sum(getattr(reading.accounting, name) for reading in readings)
            for name in ("parsed", "irrelevant", "duplicate", "rejected")
        )
    )
    frame.attrs["accounting"] = {
        "units": total.units,
        "parsed": total.parsed,
        "irrelevant": total.irrelevant,
        "duplicate": total.duplicate,
        "rejected": total.rejected,
    }
    frame.attrs["rejects"] = [
        {key: row[key] for key in ("location", "stage", "reason", "size", "sha256")}
        for reading in readings
        for row in _of(reading, "rejects").to_dict("records")
    ]
