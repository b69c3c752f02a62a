"""A simulated CA that answers the certutil verbs that a recovery uses.

Two ways to one::

    SimulatedCA.from_evidence(ca_rows=…, ca_certificates=…, …)   what a rehearsal runs against
    SimulatedCA.from_state(incident.restored)                    the restored CA of a made-up incident

The CA of a rehearsal is rebuilt from evidence only. The real private key is not in
evidence, so it signs with a stand-in key under the same name; the real CA certificates are
what ``-ca.cert`` hands out and what the originals are checked with. A rehearsal therefore
shows that the logic of a plan holds under the assumptions of ``Behaviour``; it is no test
of a real CA.

Sources: captures of certutil's output; the pages of ICertAdmin2 (RevokeCertificate,
ImportCertificate, PublishCRL); [MS-CSRA] 3.1.4.1; RFC 5280 5.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo

import pandas as pd
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from carecover.errors import CarecoverError, UsageError
from carecover.model import TABLES, CaseFacts, Disposition, RevocationReason, SerialNumber
from carecover.simulator import behaviour as known
from carecover.simulator import words
from carecover.simulator.authority import Authority, DatabaseRow, der, thumbprint
from carecover.simulator.behaviour import CA_ROLES, EVERYTHING, Behaviour, Faults, Right
from carecover.simulator.commandline import SERVICE, CommandLine, RefusalError, UnsupportedCallError
from carecover.simulator.database import Database, named_columns
from carecover.simulator.dump import certificate_dump, crl_dump
from carecover.simulator.hive import CRLF_PUBLISH_EXPIRED_CERT_CRLS, EXIT_EVENTS, Hive
from carecover.simulator.incident import RestoredState
from carecover.simulator.life import HOST
from carecover.simulator.publishing import Publisher
from carecover.simulator.rebuild import (
    CrlCounter,
    certificate_record,
    crl_counters_of,
    own_certificates,
    stand_in,
    with_reasons,
)
from carecover.simulator.rendering import (
    CRL_COLUMNS,
    VIEW_COLUMNS,
    DateStyle,
    ViewColumn,
    hex_number,
    pem,
    schema_block,
    trailer,
    view_columns,
    view_csv,
    view_text,
)
from carecover.simulator.signing import UNREADABLE, HangError, Signer, command_serial, create, load, read
from carecover.simulator.windows import CallResult, Folder

__all__ = ["Call", "HangError", "KilledError", "SimulatedCA"]


class KilledError(CarecoverError):
    """The batch was killed here, as by a power cut or a closed window."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was answered."""

    arguments: tuple[str, ...]
    verb: str
    exit_code: int


class SimulatedCA:
    """One CA service with its database, keys and clock; ``certutil`` is its only door.

    Nothing is random and no clock is read: each call takes one simulated second.
    """

    def __init__(
        self,
        *,
        authority: Authority,
        ca_certificates: Mapping[int, x509.Certificate],
        database: Database,
        crl_counters: Mapping[int, CrlCounter],
        now: datetime,
        behaviour: Behaviour,
        faults: Faults | None = None,
        rights: frozenset[Right] = EVERYTHING,
        config: str | None = None,
        style: DateStyle | None = None,
        hive: Hive | None = None,
    ) -> None:
        """``authority`` signs; ``ca_certificates`` (by index) are what the CA says its own are."""
        self.behaviour = behaviour
        self.faults = faults or Faults()
        self.rights = rights
        self.calls: list[Call] = []
        self._restored = database.newest
        self.now = now
        self._authority = authority
        self._own = dict(sorted(ca_certificates.items()))
        self._database = database
        self._config = config
        self._style = style or DateStyle()
        self.hive = hive or Hive.of(authority, behaviour.crl_period, deltas=behaviour.delta_crls != "none")
        self.mails: Counter[str] = Counter()
        """How many mails the exit module has sent, by their events (EXITEVENT_…)."""
        self._number = 0
        self._signer = Signer(authority, self._own, behaviour)
        self._publisher = Publisher(authority, crl_counters, behaviour, database.revoked, now)
        if behaviour.publishes_at_start:
            self._publish(now)

    @classmethod
    def from_evidence(
        cls,
        *,
        ca_rows: pd.DataFrame,
        ca_certificates: pd.DataFrame,
        crls: pd.DataFrame,
        crl_entries: pd.DataFrame,
        facts: CaseFacts,
        now: datetime,
        behaviour: Behaviour | None = None,
        faults: Faults | None = None,
        rights: frozenset[Right] = EVERYTHING,
    ) -> Self:
        """The CA as the evidence shows it: tables in the schemas ca_rows (the baseline), certificates
        (this CA's own, with ``der``), crls and crl_entries.

        Raises EvidenceError where the CA's certificate is missing or rows have no request ID.
        """
        chosen = behaviour or Behaviour()
        own = own_certificates(TABLES["certificates"].conform(ca_certificates))
        authority = stand_in(own)
        zone = ZoneInfo(facts.time_zone) if facts.time_zone else None
        return cls(
            authority=authority,
            ca_certificates=own,
            database=Database.of_table(with_reasons(ca_rows, crl_entries)),
            crl_counters=crl_counters_of(TABLES["crls"].conform(crls), authority, facts.backup, chosen),
            now=now,
            behaviour=chosen,
            faults=faults,
            rights=rights,
            config=facts.config,
            style=DateStyle(zone=zone),
        )

    @classmethod
    def from_state(
        cls,
        state: RestoredState,
        *,
        behaviour: Behaviour | None = None,
        faults: Faults | None = None,
        rights: frozenset[Right] = EVERYTHING,
        config: str | None = None,
        hive: Hive | None = None,
    ) -> Self:
        """The restored CA of a made-up incident, with its own keys: what a real run would meet."""
        authority = state.authority
        return cls(
            authority=authority,
            ca_certificates=dict(enumerate(authority.certificates)),
            database=Database.of_rows(state.rows),
            crl_counters={key: CrlCounter(state.crl_number, state.published_at) for key in authority.keys},
            now=state.exported_at,
            behaviour=behaviour or Behaviour(),
            faults=faults,
            rights=rights,
            config=config,
            hive=hive,
        )

    # ------------------------------------------------------------------------ what a test sees

    @property
    def stand_in_certificates(self) -> pd.DataFrame:
        """The certificates whose keys really sign dummies and CRLs here, in the schema certificates."""
        return TABLES["certificates"].frame(
            certificate_record(certificate, self._authority.issuer_name_id(index))
            for index, certificate in enumerate(self._authority.certificates)
        )

    @property
    def computer(self) -> str:
        """The NetBIOS name of its server: of the configuration string, or the one in every incident that is made up."""
        return (self._config or HOST).partition("\\")[0].partition(".")[0][:15].upper()

    @property
    def crls(self) -> Mapping[int, bytes]:
        """The CRLs published here, DER, by CA-key index."""
        return dict(self._publisher.bases)

    @property
    def crls_elsewhere(self) -> Mapping[int, bytes]:
        """The same at the place that ``Faults.unpublished`` keeps a publication from."""
        return dict(self._publisher.elsewhere)

    def room(self) -> int | None:
        """How many bytes of what is written next fit on the disk; None is all of them."""
        full_from = self.faults.disk_full_from
        return None if full_from is None or self._number < full_from else self.faults.disk_keeps

    def table(self) -> pd.DataFrame:
        """The database as it is now, in the schema ca_rows."""
        return self._database.table()

    # ------------------------------------------------------------------------------ the one door

    def certutil(self, arguments: Sequence[str], folder: Folder, /) -> CallResult:
        """Answer one call of certutil.exe; files are read and written in ``folder``.

        Raises UnsupportedCallError for a call that carecover never makes, HangError where
        certutil would show a dialog and KilledError where the faults say so.
        """
        number = self._number = len(self.calls) + 1
        if number == self.faults.die_before:
            raise KilledError(f"The batch was killed when it made call {number} of certutil.")
        if number == self.faults.hang_before:
            raise HangError(f"call {number} of certutil does not answer; nothing of it happened.")
        call = CommandLine.parse(arguments)
        self.now += timedelta(seconds=1)
        for moment in self._publisher.passed(self.now):
            self._publish(moment)
        language = self.behaviour.language
        code = 0
        try:
            self._stumble(number, call.verb)
            output = self._answer(call, folder)
            output += words.completed(call.spelling, language)
        except RefusalError as refusal:
            code = known.signed(refusal.hresult)
            output = refusal.said + words.failed(call.spelling, refusal.hresult, language)
        self.calls.append(Call(tuple(arguments), call.verb, code))
        if number == self.faults.die_after:
            raise KilledError(f"The batch was killed after call {number} of certutil.")
        if number == self.faults.hang_after:
            raise HangError(f"call {number} of certutil does not answer; it was carried out.")
        if language == "none":
            output = words.garbled(output)
        return CallResult(code, words.encoded(output, language))

    def _answer(self, call: CommandLine, folder: Folder) -> str:
        if (
            "config" in call.options
            and self._config is not None
            and call.options["config"].casefold() != self._config.casefold()
        ):
            raise RefusalError(self.behaviour.unavailable)
        match call.verb:
            case "view":
                return self._view(call)
            case "sign":
                self._need("key")
                return self._signer.sign(call, folder, self.now)
            case "importcert":
                return self._import(call, folder)
            case "revoke":
                return self._revoke(call)
            case "crl":
                return self._crl(call)
            case "getcrl":
                return self._getcrl(call, folder)
            case "ca.cert":
                return self._ca_cert(call, folder)
            case "ping":
                return (
                    f'{self._connecting}Server "{self._authority.common_name}" ICertRequest2 interface is alive (0ms)\n'
                )
            case "hashfile":
                return self._hashfile(call, folder)
            case "dump":
                return self._dump(call, folder)
            case "backupdb":
                return self._backup(call, folder)
            case "getreg":
                return self._getreg(call)
            case "cainfo":
                self._need("read")
                if call.exactly(1) != ("certcount",):
                    raise UnsupportedCallError(f"The simulated CA does not know certutil -CAInfo {call.values[0]}.")
                return f"CA cert count: {len(self._own)}\n"
            case "usage":
                return (
                    "Usage:\n  CertUtil [Options] -view [Queue | Log | LogFail | Revoked | Ext | Attrib | CRL] [csv]\n"
                )
        raise UnsupportedCallError(f"The simulated CA does not know certutil -{call.verb}.")

    @property
    def _connecting(self) -> str:
        return f"Connecting to {self._config or self._authority.common_name} ...\n"

    def _stumble(self, number: int, verb: str) -> None:
        hresult = self.faults.fail_at.get(number, self.faults.fail_verb.get(verb))
        down = self.faults.down_from is not None and number >= self.faults.down_from
        if hresult is None and down and verb in SERVICE:
            hresult = self.behaviour.unavailable
        if hresult is None:
            return
        said = ""
        if verb == "ping":
            why = f"{words.sentence(hresult, self.behaviour.language)} {words.code_text(hresult)}"
            said = f"{self._connecting}Server could not be reached: {why} -- (0ms)\n\n"
        raise RefusalError(hresult, said)

    def _need(self, right: Right, said: str = "") -> None:
        """Refuse who lacks a right; with role separation whoever has two roles may do nothing ("Using role separation",
        Windows Server 2003)."""
        if right != "key" and self.hive.number("RoleSeparationEnabled") and len(self.rights & CA_ROLES) > 1:
            raise RefusalError(self.behaviour.role_conflict, said)
        if right not in self.rights:
            raise RefusalError(self.behaviour.access_denied, said)

    def _mail(self, event: str) -> None:
        """The exit module sends what EventFilter lets it."""
        if self.hive.mailed & EXIT_EVENTS[event]:
            self.mails[event] += 1

    # --------------------------------------------------------------------------------- -view

    def _view(self, call: CommandLine) -> str:
        self._need("read")
        words = [word.lower() for word in call.values]
        restriction, out = call.options.get("restrict", ""), call.options.get("out")
        if words == ["crl"] and restriction:
            return self._view_crls(restriction, out)
        if words not in ([], ["csv"], ["crl"]):
            raise UnsupportedCallError(f"The simulated CA does not know certutil -view {' '.join(call.values)}.")
        style = self._dates(call)
        if words == ["crl"]:
            return self._view_crl_table(out, style)
        try:
            columns = named_columns(out.split(",") if out else VIEW_COLUMNS, self.behaviour)
            rows = self._database.select(restriction, self.behaviour)
        except UsageError:
            # What certutil says of a column that it does not know is assumed.
            raise RefusalError(known.INVALID_PARAMETER) from None
        if words:
            return "".join(view_csv(rows, columns, style))
        # The last piece is the English line of success, which certutil() writes in its language.
        return "".join([*view_text(rows, columns, style)][:-1])

    def _dates(self, call: CommandLine) -> DateStyle:
        """How a call writes times: ``-gmt`` and ``-seconds``."""
        zone = None if "gmt" in call.flags else self._style.zone
        return replace(self._style, zone=zone, seconds="seconds" in call.flags)

    def _view_crls(self, restriction: str, out: str | None) -> str:
        """The numbers in the CRL table; that the column can be asked for like this is assumed."""
        match = re.fullmatch(r"CRLNumber>([0-9]+)", restriction)
        if out != "CRLNumber" or not match or not self.behaviour.view_crl_numbers:
            raise RefusalError(known.INVALID_PARAMETER)
        numbers = [row.number for row in self._publisher.table() if row.number > int(match[1])]
        shown = [f"Row {row}:\n  CRL Number: {hex_number(number)}\n\n" for row, number in enumerate(numbers, start=1)]
        column = ViewColumn("CRLNumber", "CRL Number", "Long", "4 -- Indexed", lambda _row: None)
        cells = (len(numbers), 4 * len(numbers), 4 if numbers else 0)
        return "".join([schema_block([column]), "\n", *shown, trailer(len(numbers), cells)])

    def _view_crl_table(self, out: str | None, style: DateStyle) -> str:
        try:
            columns = view_columns(out.split(",") if out else CRL_COLUMNS, CRL_COLUMNS)
        except UsageError:
            raise RefusalError(known.INVALID_PARAMETER) from None
        return "".join([*view_text(self._publisher.table(), columns, style)][:-1])

    # ------------------------------------------------------------------- the import

    def _import(self, call: CommandLine, folder: Folder) -> str:
        self._need(self.behaviour.importcert_right)
        certificate = load(read(folder, call.exactly(1)[0]))
        index = self._issuer_index(certificate)
        if index is None:
            raise RefusalError(self.behaviour.bad_signature)
        serial = SerialNumber(certificate.serial_number)
        if self._database.of_serial(serial.value) and self.behaviour.duplicate_import_refused:
            raise RefusalError(self.behaviour.duplicate_import)
        data = der(certificate)
        hashes = {"own": thumbprint(data), "other": thumbprint(data + b"\0"), "none": None}
        newest = self._database.newest
        gap = self.behaviour.request_ids_skipped if newest == self._restored else 0
        # The new row has an ID of its own and nothing of a request ([MS-CSRA] 3.1.4.1.26).
        self._database.put(
            DatabaseRow(
                request_id=newest + 1 + gap,
                disposition=self.behaviour.imported_disposition,
                submitted_at=self.now,
                requester=None,
                subject=certificate.subject.rfc4514_string() or None,
                serial=serial,
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                resolved_at=self.now,
                issuer_name_id=self._authority.issuer_name_id(index),
                thumbprint=hashes[self.behaviour.imported_hash],
                certificate=data,
            )
        )
        if self.behaviour.import_mails:
            self._mail("EXITEVENT_CERTIMPORTED")
        return ""

    def _issuer_index(self, certificate: x509.Certificate) -> int | None:
        """Index of the CA certificate, real or stand-in, whose key signed; the newest where several fit."""
        for index in reversed(range(len(self._authority.certificates))):
            for issuer in (self._own.get(index), self._authority.certificates[index]):
                if issuer is not None and _signed_by(certificate, issuer):
                    return index
        return None

    # -------------------------------------------------------------------------- -revoke and -crl

    def _revoke(self, call: CommandLine) -> str:
        if len(call.values) not in (1, 2):
            raise UnsupportedCallError("certutil -revoke takes a serial number and a reason.")
        text, reason_text = call.values[0], call.values[1] if len(call.values) == 2 else "0"
        if not re.fullmatch(r"-1|[0-9]{1,2}", reason_text) or int(reason_text) == RevocationReason.REMOVE_FROM_CRL:
            raise UnsupportedCallError(f"carecover revokes with the reasons 0 to 6 and -1, not {reason_text!r}.")
        code = int(reason_text)
        try:
            reason = RevocationReason(code)
        except ValueError:
            raise RefusalError(known.INVALID_PARAMETER, f'Revoking "{text}" -- Reason: {code}\n') from None
        said = f'Revoking "{text}" -- Reason: {reason.designation}\n'
        self._need("officer", said)
        try:
            serial = command_serial(text)
        except RefusalError as refusal:
            code_said = words.code_text(refusal.hresult)
            sentence = words.sentence(refusal.hresult, self.behaviour.language)
            raise RefusalError(
                refusal.hresult, f"{said}ICertAdmin::RevokeCertificate: {sentence} {code_said}\n"
            ) from None
        rows = [row for row in self._database.of_serial(serial.value) if row.disposition in _REVOCABLE]
        if not rows:
            raise RefusalError(self.behaviour.revoke_unknown_serial, said)
        if any(row.template is not None and row.template.name in self.faults.denied_templates for row in rows):
            raise RefusalError(self.behaviour.restricted_officer, said)
        if reason is RevocationReason.UNREVOKE and any(row.reason != RevocationReason.CERTIFICATE_HOLD for row in rows):
            raise RefusalError(self.behaviour.unrevoke_not_held, said)
        for row in rows:
            self._database.put(self._revoked(row, reason))
            # A release comes through the same event (the exit module's own documentation lists no other).
            self._mail("EXITEVENT_CERTREVOKED")
        return said

    def _revoked(self, row: DatabaseRow, reason: RevocationReason) -> DatabaseRow:
        if reason is RevocationReason.UNREVOKE:
            match self.behaviour.release:
                case "keeps row":
                    return replace(row, reason=int(RevocationReason.REMOVE_FROM_CRL))
                case "keeps reason":
                    return replace(row, disposition=Disposition.ISSUED)
            return replace(row, disposition=Disposition.ISSUED, revoked_at=None, effective_revoked_at=None, reason=None)
        # A second revocation overwrites date and reason (ICertAdmin::RevokeCertificate).
        return replace(
            row,
            disposition=Disposition.REVOKED,
            revoked_at=self.now,
            effective_revoked_at=self.now,
            reason=None
            if reason is RevocationReason.UNSPECIFIED and self.behaviour.reason_zero == "empty"
            else int(reason),
        )

    def _crl(self, call: CommandLine) -> str:
        self._need("manager")
        if call.values:
            raise UnsupportedCallError(f"carecover publishes with certutil -CRL alone, not with {call.values}.")
        self._publish(self.now, everywhere=self.faults.unpublished is None)
        if self.faults.unpublished is not None:
            raise RefusalError(self.faults.unpublished)
        return ""

    def _publish(self, moment: datetime, *, everywhere: bool = True) -> None:
        keep_expired = bool(self.hive.number("CRLFlags") & CRLF_PUBLISH_EXPIRED_CERT_CRLS)
        self._publisher.publish(moment, keep_expired=keep_expired, everywhere=everywhere)
        self._mail("EXITEVENT_CRLISSUED")

    def _ca_cert(self, call: CommandLine, folder: Folder) -> str:
        """One CA certificate. What an unknown index gives is assumed."""
        name, *index = call.values
        if len(index) > 1 or (index and not index[0].isdigit()):
            raise UnsupportedCallError("certutil -ca.cert takes a file and an index here.")
        default = max(self._own) if self.behaviour.ca_cert_default == "newest" else min(self._own)
        wanted = int(index[0]) if index else default
        if wanted not in self._own:
            raise RefusalError(known.INVALID_PARAMETER)
        data = der(self._own[wanted])
        create(folder, name, pem(data).encode("ascii") if self.behaviour.ca_cert_form == "base64" else data)
        return ""

    def _getcrl(self, call: CommandLine, folder: Folder) -> str:
        self._need("read")
        delta = [v.lower() for v in call.values[2:]]
        if (
            not 1 <= len(call.values) <= 3
            or not all(v.isdigit() for v in call.values[1:2])
            or delta not in ([], ["delta"])
        ):
            raise UnsupportedCallError("certutil -GetCRL takes a file, a CRL index and the word delta here.")
        keys = self._authority.key_index if self.behaviour.getcrl_index == "certificate" else self._authority.keys
        index = int(call.values[1]) if len(call.values) > 1 else len(keys) - 1
        lists = self._publisher.deltas if delta else self._publisher.bases
        if index >= len(keys) or keys[index] not in lists:
            raise RefusalError(known.FILE_NOT_FOUND)
        create(folder, call.values[0], lists[keys[index]])
        return ""

    # ------------------------------------------------------------------- -hashfile and -getreg

    def _hashfile(self, call: CommandLine, folder: Folder) -> str:
        name, algorithm = call.values[0], (call.values[1] if len(call.values) > 1 else "SHA1").upper()
        if algorithm not in ("SHA1", "SHA256"):
            raise UnsupportedCallError(f"certutil -hashfile {algorithm} is not answered here.")
        digest = hashlib.new(algorithm.lower(), read(folder, name), usedforsecurity=False).digest()
        text = digest.hex(" ") if self.behaviour.hash_spaced else digest.hex()
        return f"{algorithm} hash of {name}:\n{text.upper() if self.behaviour.hash_upper else text}\n"

    def _dump(self, call: CommandLine, folder: Folder) -> str:
        data, style = read(folder, call.exactly(1)[0]), self._dates(call)
        try:
            crl = x509.load_der_x509_crl(data)
        except UNREADABLE:
            crl = None
        try:
            if crl is None:
                return certificate_dump(load(data), style)
            return crl_dump(crl, style, padded=self.behaviour.high_serials_padded)
        except UNREADABLE:
            raise RefusalError(known.INVALID_DATA) from None

    def _backup(self, call: CommandLine, folder: Folder) -> str:
        """The database and its log in a folder; names of Microsoft's page on backups, what certutil says is assumed."""
        self._need(self.behaviour.backup_right)
        name, *more = call.values or ("",)
        if not name or [word.lower() for word in more] not in ([], ["keeplog"]):
            raise UnsupportedCallError("certutil -backupDB takes a folder and KeepLog here.")
        try:
            empty = folder.is_empty(name)
        except NotADirectoryError:
            raise RefusalError(known.INVALID_PARAMETER) from None
        if not empty:
            raise RefusalError(self.behaviour.backup_folder_full)
        folder.make(f"{name}\\DataBase")
        state = hashlib.sha256(repr(self._database.table().to_csv()).encode()).hexdigest()
        for file in ("certbkxp.dat", f"{self._authority.common_name}.edb", "edb00001.log"):
            create(folder, f"{name}\\DataBase\\{file}", f"simulated: {state}\r\n".encode("ascii"))
        lines = ["Backing up Database files: 100%", "Backing up Log files: 100%"]
        lines += [] if more else ["Truncating Logs: 100%"]
        lines += [f"Backed up database to {name}."] + ([] if more else ["Database logs successfully truncated."])
        place = self._config or self._authority.common_name
        return "".join(f"{line}\n" for line in [f"Full database backup for {place}.", *lines])

    def _getreg(self, call: CommandLine) -> str:
        said, values = self.hive.getreg(call.exactly(1)[0])
        if values is None:
            raise RefusalError(known.FILE_NOT_FOUND, said)
        return said + values


_REVOCABLE: Final = frozenset({Disposition.ISSUED, Disposition.REVOKED})


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
