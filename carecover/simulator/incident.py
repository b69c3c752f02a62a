"""Whole incidents with known truth: what a responder is handed, and what really happened.

A simulated CA issues, revokes, holds and publishes for months, is backed up, lives on,
fails and is restored; what the restored CA no longer knows is the gap. ``evidence/`` is
what a responder would have, ``facts.json`` what people know, ``truth.json`` what happened
(see ``truth``); the product never reads the truth, and nothing here uses the readers of
evidence.

The same scenario gives the same bytes. Up to SIGN_ALL certificates every row's hash is
that of a real certificate; above, rows of certificates that appear nowhere else have an
invented one, because signing a million certificates that nobody looks at is waste.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

from carecover.errors import PathError, RefusedError
from carecover.model import CaseFacts, Disposition
from carecover.simulator import life as lives
from carecover.simulator.authority import DatabaseRow, der
from carecover.simulator.correspondence import archive, mbox_entry
from carecover.simulator.eventlog import security_log, unsent_mails
from carecover.simulator.history import History, RestoredState
from carecover.simulator.mending import Mending
from carecover.simulator.postbox import Postbox
from carecover.simulator.registry import registry_export
from carecover.simulator.rendering import DateStyle, pem, view_columns, view_csv, view_text
from carecover.simulator.scenario import Scenario
from carecover.simulator.traces import Traces
from carecover.simulator.truth import Truth

__all__ = ["Incident", "RestoredState", "Scenario", "make_incident"]

# A view that was cut lacks so many of its last rows.
_CUT: Final = 0.15

VIEW_COLUMNS: Final = (
    "Request.RequestID",
    "Request.Disposition",
    "Request.SubmittedWhen",
    "Request.RevokedWhen",
    "Request.RevokedEffectiveWhen",
    "Request.RevokedReason",
    "Request.RequesterName",
    "CertificateHash",
    "CertificateTemplate",
    "SerialNumber",
    "IssuerNameID",
    "NotBefore",
    "NotAfter",
    "DistinguishedName",
    "CommonName",
)


def make_incident(scenario: Scenario | None = None) -> Incident:
    """The incident of a scenario. Files are made when they are asked for."""
    return Incident(scenario or Scenario())


class Incident:
    """One incident: ``files()`` is what ``write`` writes, ``truth`` what really happened."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.history = History(scenario)
        self.traces = Traces(self.history)
        self.mending = Mending(self.traces)
        self.postbox = Postbox(self.traces, self.mending, self._style)

    @property
    def restored(self) -> RestoredState:
        """The restored CA at the moment of the export."""
        return self.history.restored

    # ------------------------------------------------------------------- what is handed in

    @cached_property
    def facts(self) -> CaseFacts:
        """What people know about the incident, by their own clocks."""
        h, s = self.history, self.scenario
        return CaseFacts(
            ca=lives.CA_NAME,
            backup=h.backup - s.clock_offset,
            failure=h.failure - s.clock_offset,
            restored=h.restored_at - s.clock_offset,
            time_zone=s.facts_time_zone or s.time_zone,
            date_order=self._style.order,
            key_exposed="no",
            config=lives.CONFIG,
        )

    def files(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Every file as a relative POSIX path and its content in pieces."""
        h, s, traces = self.history, self.scenario, self.traces
        if s.mail:
            yield from archive(s.format, "evidence/mail", "ca-mailbox", self.postbox.mails)
            if s.duplicates:
                yield "evidence/mail/second-mailbox.mbox", map(mbox_entry, self.postbox.second)
        columns = view_columns(VIEW_COLUMNS)
        style = replace(self._style, zone=None) if s.gmt else self._style
        yield "evidence/database/view.txt", self._encode(self._view_text(view_text(self.view_rows, columns, style)))
        yield "evidence/database/view.csv", self._encode(view_csv(self.view_rows, columns, style))
        if s.crl:
            stem = h.life.authority.crl_stem
            for key, crl in traces.last_crls.items():
                yield f"evidence/crl/{stem(key)}.crl", iter([der(crl)])
            for key, crl in traces.last_deltas.items():
                yield f"evidence/crl/{stem(key, delta=True)}.crl", iter([der(crl)])
        authority = h.restored.authority
        for index, certificate in enumerate(authority.certificates):
            yield f"evidence/ca/{authority.file_stem(index)}.cer", iter([der(certificate)])
        for n, i in enumerate(sorted({*traces.found_ids, *h.found_known}), start=1):
            data = h.life.certificate(i)
            content = pem(data).replace("\n", "\r\n").encode("ascii") if n % 3 == 0 else data
            yield f"evidence/found/{n:04}.cer", iter([content])
        if s.lost_ca_found and traces.lost_ca_index is not None:
            lost = h.life.authority.certificates[traces.lost_ca_index]
            yield "evidence/found/ca.cer", iter([der(lost)])
        if s.audit:
            log = security_log(traces, self._style, self.postbox.reboots)
            yield "evidence/events/security.xml", log
            if s.smtp_outage and s.mail:
                yield "evidence/events/application.xml", unsent_mails(traces)
        if s.registry:
            yield "evidence/registry/getreg.txt", registry_export(s, authority.high_serial)
        yield "facts.json", iter([_json(self.facts.to_json())])
        yield "truth.json", iter([_json(self.truth)])

    @property
    def view_rows(self) -> Iterator[DatabaseRow]:
        """The rows that the exported view holds."""
        match self.scenario.view:
            case "filtered":
                return (row for row in self.restored.rows if row.disposition is Disposition.ISSUED)
            case "cut":
                rows = list(self.restored.rows)
                return iter(rows[: len(rows) - max(1, int(len(rows) * _CUT))])
            case "late":
                return self.mending.rows
            case _:
                return self.restored.rows

    def _view_text(self, dump: Iterator[str]) -> Iterator[str]:
        """The row dump; of a filtered one somebody copied the whole window, the command too."""
        if self.scenario.view == "filtered":
            yield 'C:\\export>certutil -view -restrict "Disposition=20" -out "' + ",".join(VIEW_COLUMNS) + '"\n'
        yield from dump

    def write(self, directory: Path, progress: Callable[[str, int], None] | None = None) -> None:
        """Write all files below a new or empty directory; ``progress`` gets path and bytes of each.

        Raises RefusedError where the directory holds anything, PathError where it cannot be
        written.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise RefusedError(f"'{directory}' is not empty. Name a new folder for the incident.")
            for name, pieces in self.files():
                path = directory / name
                path.parent.mkdir(parents=True, exist_ok=True)
                size = 0
                with path.open("wb") as file:
                    for piece in pieces:
                        size += file.write(piece)
                if progress is not None:
                    progress(name, size)
        except OSError as error:
            raise PathError(f"The incident cannot be written to '{directory}': {error.strerror}.") from error

    @property
    def _style(self) -> DateStyle:
        return DateStyle(self.scenario.date_locale, self.history.zone)

    def _encode(self, pieces: Iterator[str]) -> Iterator[bytes]:
        encoding: str = self.scenario.encoding
        plain = "ascii"
        if encoding == "utf-16":
            yield codecs.BOM_UTF16_LE
            encoding = plain = "utf-16-le"
        while batch := list(islice(pieces, 1_000)):
            # Python's code page codecs are slow, and most rows are plain ASCII.
            lines = (piece.replace("\n", "\r\n") for piece in batch)
            yield b"".join(line.encode(plain if line.isascii() else encoding) for line in lines)

    # -------------------------------------------------------------------------------- mail

    @cached_property
    def truth(self) -> dict[str, Any]:
        """What really happened; JSON values, see module ``truth``."""
        return Truth(self.traces, self.postbox.forger.forgeries).to_json()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
