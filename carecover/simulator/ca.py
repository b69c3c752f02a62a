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
from carecover.simulator.authority import (
    CLOCK_SKEW,
    Authority,
    CrlEntry,
    DatabaseRow,
    der,
    stays_on_crl,
    thumbprint,
)
from carecover.simulator.behaviour import EVERYTHING, Behaviour, Faults, Right
from carecover.simulator.commandline import CommandLine, UnsupportedCallError
from carecover.simulator.database import Database, named_columns
from carecover.simulator.dump import certificate_dump, crl_dump
from carecover.simulator.hive import Hive
from carecover.simulator.incident import RestoredState
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
    CrlTableRow,
    DateStyle,
    ViewColumn,
    hex_number,
    schema_block,
    trailer,
    view_columns,
    view_csv,
    view_text,
)
from carecover.simulator.windows import OEM, CallResult, Folder


class HangError(CarecoverError):
    """certutil waits for a person at a dialog, for ever where nobody sees it."""


class KilledError(CarecoverError):
    """The batch was killed here, as by a power cut or a closed window."""


class _RefusalError(Exception):
    """The CA answers with an HRESULT; ``said`` is what certutil prints before its last two lines."""

    def __init__(self, hresult: int, said: str = "") -> None:
        super().__init__(f"{hresult:#010x}")
        self.hresult = hresult
        self.said = said


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
        self.now = now
        self._authority = authority
        self._own = dict(sorted(ca_certificates.items()))
        self._database = database
        self._counters = dict(crl_counters)
        self._crls: dict[int, bytes] = {}
        self._config = config
        self._style = style or DateStyle()
        self.hive = hive or Hive.of(authority, behaviour.crl_period)
        if behaviour.publishes_at_start:
            self._publish()

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
    def crls(self) -> Mapping[int, bytes]:
        """The CRLs published here, DER, by CA-key index."""
        return dict(self._crls)

    def table(self) -> pd.DataFrame:
        """The database as it is now, in the schema ca_rows."""
        return self._database.table()

    # ------------------------------------------------------------------------------ the one door

    def certutil(self, arguments: Sequence[str], folder: Folder, /) -> CallResult:
        """Answer one call of certutil.exe; files are read and written in ``folder``.

        Raises UnsupportedCallError for a call that carecover never makes, HangError where
        certutil would show a dialog and KilledError where the faults say so.
        """
        number = len(self.calls) + 1
        if number == self.faults.die_before:
            raise KilledError(f"The batch was killed when it made call {number} of certutil.")
        call = CommandLine.parse(arguments)
        self.now += timedelta(seconds=1)
        code = 0
        try:
            self._stumble(number, call.verb)
            output = self._answer(call, folder)
            output += known.completed(call.spelling, self.behaviour.language)
        except _RefusalError as refusal:
            code = known.signed(refusal.hresult)
            spelling = call.spelling
            output = refusal.said + known.failed(spelling, refusal.hresult, self.behaviour.language)
        self.calls.append(Call(tuple(arguments), call.verb, code))
        if number == self.faults.die_after:
            raise KilledError(f"The batch was killed after call {number} of certutil.")
        if self.behaviour.language == "none":
            output = known.garbled(output)
        return CallResult(code, output.replace("\n", "\r\n").encode(OEM, "replace"))

    def _answer(self, call: CommandLine, folder: Folder) -> str:
        if (
            "config" in call.options
            and self._config is not None
            and call.options["config"].casefold() != self._config.casefold()
        ):
            raise _RefusalError(known.RPC_UNAVAILABLE)
        match call.verb:
            case "view":
                return self._view(call)
            case "sign":
                return self._sign(call, folder)
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
                name = self._authority.common_name
                return (
                    f"Connecting to {self._config or name} ...\n"
                    f'Server "{name}" ICertRequest2 interface is alive (0ms)\n'
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

    def _stumble(self, number: int, verb: str) -> None:
        hresult = self.faults.fail_at.get(number, self.faults.fail_verb.get(verb))
        if hresult is not None:
            raise _RefusalError(hresult)

    def _need(self, right: Right) -> None:
        if right not in self.rights:
            raise _RefusalError(known.ACCESS_DENIED)

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
        form = {"padded": self.behaviour.high_serials_padded}
        try:
            columns = named_columns(out.split(",") if out else VIEW_COLUMNS, **form)
            rows = self._database.select(restriction, ignore_case=self.behaviour.restriction_ignores_case, **form)
        except UsageError:
            # What certutil says of a column that it does not know is assumed.
            raise _RefusalError(known.INVALID_PARAMETER) from None
        if words:
            return "".join(view_csv(rows, columns, style))
        # The last piece is the English line of success, which certutil() writes in its language.
        return "".join([*view_text(rows, columns, style)][:-1])

    def _dates(self, call: CommandLine) -> DateStyle:
        """How a call writes times: ``-gmt`` and ``-seconds``."""
        zone = None if "gmt" in call.flags else self._style.zone
        return replace(self._style, zone=zone, seconds="seconds" in call.flags)

    def _view_crls(self, restriction: str, out: str | None) -> str:
        """The numbers of each key's last CRL; that the column can be asked for like this is assumed."""
        match = re.fullmatch(r"CRLNumber>([0-9]+)", restriction)
        if out != "CRLNumber" or not match or not self.behaviour.view_crl_numbers:
            raise _RefusalError(known.INVALID_PARAMETER)
        numbers = [c.number for _, c in sorted(self._counters.items()) if c.number > int(match[1])]
        shown = [f"Row {row}:\n  CRL Number: {hex_number(number)}\n\n" for row, number in enumerate(numbers, start=1)]
        column = ViewColumn("CRLNumber", "CRL Number", "Long", "4 -- Indexed", lambda _row: None)
        cells = (len(numbers), 4 * len(numbers), 4 if numbers else 0)
        return "".join([schema_block([column]), "\n", *shown, trailer(len(numbers), cells)])

    def _view_crl_table(self, out: str | None, style: DateStyle) -> str:
        """The CRL table: here the last base CRL of each key; a real one keeps many."""
        try:
            columns = view_columns(out.split(",") if out else CRL_COLUMNS, CRL_COLUMNS)
        except UsageError:
            raise _RefusalError(known.INVALID_PARAMETER) from None
        rows = []
        for row_id, (key, counter) in enumerate(sorted(self._counters.items()), start=1):
            at = counter.published_at
            end = at and at + self.behaviour.crl_period + self.behaviour.crl_overlap
            name_id = self._authority.issuer_name_id(self._authority.certificate_of_key(key))
            rows.append(CrlTableRow(row_id, counter.number, name_id, at and at - CLOCK_SKEW, end, at))
        return "".join([*view_text(rows, columns, style)][:-1])

    # ---------------------------------------------------------------- dummies and their import

    def _sign(self, call: CommandLine, folder: Folder) -> str:
        self._need("key")
        if len(call.values) not in (2, 3):
            raise UnsupportedCallError(
                "certutil -sign takes a serial number or a file, a new file and a validity here."
            )
        text, target, *validity = call.values
        again = folder.exists(text) if "." in text else False
        if validity and not again:
            # "Validity period and other options must not be present" with a serial number (Microsoft's page).
            raise _RefusalError(known.INVALID_PARAMETER if "." not in text else known.FILE_NOT_FOUND)
        serial = SerialNumber(_load(_read(folder, text)).serial_number) if again else _command_serial(text)
        chosen = call.options.get("cert")
        if chosen is None or not self.behaviour.cert_option_suppresses_dialog:
            raise HangError(
                "certutil -sign shows its Certificate List dialog and waits for somebody to choose; run "
                "prepare.cmd at the server's screen."
            )
        index = self._index_of(chosen)
        if folder.exists(target):
            # Without -f an existing file is not overwritten.
            raise _RefusalError(known.FILE_EXISTS)
        life = _validity(validity[0]) if validity else self.behaviour.dummy_validity
        last = self._authority.certificates[index].not_valid_after_utc
        extensions: list[x509.Extension[x509.ExtensionType]] = []
        if self.behaviour.dummy_is_ca:
            basic = x509.BasicConstraints(ca=True, path_length=None)
            extensions.append(x509.Extension(basic.oid, True, basic))
        if self.behaviour.dummy_eku:
            eku = x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in self.behaviour.dummy_eku])
            extensions.append(x509.Extension(eku.oid, False, eku))
        made = self._authority.sign_dummy(
            serial,
            not_before=self.now - CLOCK_SKEW,
            not_after=last if life == "ca" else min(last, self.now + life),
            ca_cert_index=index,
            subject=x509.Name([]) if self.behaviour.dummy_subject == "empty" else None,
            extensions=extensions,
        )
        folder.write(target, der(made))
        return ""

    def _index_of(self, text: str) -> int:
        """Index of the CA certificate whose serial number ``-Cert`` names."""
        try:
            wanted = SerialNumber.parse(text).value
        except UsageError:
            raise _RefusalError(known.CRYPT_E_NOT_FOUND) from None
        index = next((i for i, own in self._own.items() if own.serial_number == wanted), None)
        if index is None:
            raise _RefusalError(known.CRYPT_E_NOT_FOUND)
        return index

    def _import(self, call: CommandLine, folder: Folder) -> str:
        self._need(self.behaviour.importcert_right)
        certificate = _load(_read(folder, call.exactly(1)[0]))
        index = self._issuer_index(certificate)
        if index is None:
            raise _RefusalError(self.behaviour.bad_signature)
        serial = SerialNumber(certificate.serial_number)
        if self._database.of_serial(serial.value) and self.behaviour.duplicate_import_refused:
            raise _RefusalError(self.behaviour.duplicate_import)
        data = der(certificate)
        # The new row has an ID of its own and nothing of a request ([MS-CSRA] 3.1.4.1.26).
        self._database.put(
            DatabaseRow(
                request_id=self._database.newest + 1,
                disposition=Disposition.ISSUED,
                submitted_at=self.now,
                requester=None,
                subject=certificate.subject.rfc4514_string() or None,
                serial=serial,
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                resolved_at=self.now,
                issuer_name_id=self._authority.issuer_name_id(index),
                thumbprint=thumbprint(data),
                certificate=data,
            )
        )
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
        self._need("officer")
        if len(call.values) not in (1, 2):
            raise UnsupportedCallError("certutil -revoke takes a serial number and a reason.")
        text, reason_text = call.values[0], call.values[1] if len(call.values) == 2 else "0"
        if not re.fullmatch(r"-1|[0-9]{1,2}", reason_text) or int(reason_text) == RevocationReason.REMOVE_FROM_CRL:
            raise UnsupportedCallError(f"carecover revokes with the reasons 0 to 6 and -1, not {reason_text!r}.")
        code = int(reason_text)
        try:
            reason = RevocationReason(code)
        except ValueError:
            raise _RefusalError(known.INVALID_PARAMETER, f'Revoking "{text}" -- Reason: {code}\n') from None
        said = f'Revoking "{text}" -- Reason: {reason.designation}\n'
        try:
            serial = _command_serial(text)
        except _RefusalError as refusal:
            code_said = known.code_text(refusal.hresult)
            sentence = known.sentence(refusal.hresult, self.behaviour.language)
            raise _RefusalError(
                refusal.hresult, f"{said}ICertAdmin::RevokeCertificate: {sentence} {code_said}\n"
            ) from None
        rows = [row for row in self._database.of_serial(serial.value) if row.disposition in _REVOCABLE]
        if not rows:
            raise _RefusalError(self.behaviour.revoke_unknown_serial, said)
        if reason is RevocationReason.UNREVOKE and any(row.reason != RevocationReason.CERTIFICATE_HOLD for row in rows):
            raise _RefusalError(self.behaviour.unrevoke_not_held, said)
        for row in rows:
            self._database.put(self._revoked(row, reason))
        return said

    def _revoked(self, row: DatabaseRow, reason: RevocationReason) -> DatabaseRow:
        if reason is RevocationReason.UNREVOKE:
            # That a release clears these columns is assumed.
            return replace(row, disposition=Disposition.ISSUED, revoked_at=None, effective_revoked_at=None, reason=None)
        # A second revocation overwrites date and reason (ICertAdmin::RevokeCertificate).
        return replace(
            row,
            disposition=Disposition.REVOKED,
            revoked_at=self.now,
            effective_revoked_at=self.now,
            reason=int(reason),
        )

    def _crl(self, call: CommandLine) -> str:
        self._need("manager")
        if call.values:
            raise UnsupportedCallError(f"carecover publishes with certutil -CRL alone, not with {call.values}.")
        self._publish()
        return ""

    def _publish(self) -> None:
        """One new base CRL for each key (PublishCRL, [MS-CSRA] 3.1.4.1.6)."""
        revoked: dict[int, list[CrlEntry]] = {key: [] for key in self._authority.keys}
        for row in self._database.revoked():
            key = (row.issuer_name_id or 0) >> 16
            previous = self._counters[key].published_at if key in self._counters else None
            ended = row.not_after is not None and row.not_after < self.now
            if (
                row.serial is not None
                and key in revoked
                and not (ended and row.not_after and not stays_on_crl(row.not_after, previous))
            ):
                since = row.effective_revoked_at or row.revoked_at or self.now
                revoked[key].append(CrlEntry(row.serial, since, row.reason or 0))
        for key, entries in revoked.items():
            number = self._counters.get(key, CrlCounter(0)).number + 1
            publish = self.now + self.behaviour.crl_period
            crl = self._authority.sign_crl(
                entries,
                number=number,
                this_update=self.now - CLOCK_SKEW,
                next_update=publish + self.behaviour.crl_overlap,
                next_publish=publish,
                key_index=key,
            )
            self._crls[key] = der(crl)
            self._counters[key] = CrlCounter(number, self.now)

    def _ca_cert(self, call: CommandLine, folder: Folder) -> str:
        """One CA certificate, in DER, by default the newest: assumed. What an unknown index gives is assumed, too."""
        name, *index = call.values
        wanted = int(index[0]) if index and index[0].isdigit() else max(self._own)
        if len(index) > 1 or (index and not index[0].isdigit()):
            raise UnsupportedCallError("certutil -ca.cert takes a file and an index here.")
        if wanted not in self._own:
            raise _RefusalError(known.INVALID_PARAMETER)
        if folder.exists(name):
            raise _RefusalError(known.FILE_EXISTS)
        folder.write(name, der(self._own[wanted]))
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
        # No delta CRLs are made here.
        if delta or index >= len(keys) or keys[index] not in self._crls:
            raise _RefusalError(known.FILE_NOT_FOUND)
        if folder.exists(call.values[0]):
            raise _RefusalError(known.FILE_EXISTS)
        folder.write(call.values[0], self._crls[keys[index]])
        return ""

    # ------------------------------------------------------------------- -hashfile and -getreg

    def _hashfile(self, call: CommandLine, folder: Folder) -> str:
        name, algorithm = call.values[0], (call.values[1] if len(call.values) > 1 else "SHA1").upper()
        if algorithm not in ("SHA1", "SHA256"):
            raise UnsupportedCallError(f"certutil -hashfile {algorithm} is not answered here.")
        digest = hashlib.new(algorithm.lower(), _read(folder, name), usedforsecurity=False).digest()
        return f"{algorithm} hash of {name}:\n{digest.hex(' ') if self.behaviour.hash_spaced else digest.hex()}\n"

    def _dump(self, call: CommandLine, folder: Folder) -> str:
        data = _read(folder, call.exactly(1)[0])
        style = self._dates(call)
        try:
            return crl_dump(x509.load_der_x509_crl(data), style)
        except ValueError:
            return certificate_dump(_load(data), style)

    def _backup(self, call: CommandLine, folder: Folder) -> str:
        """The database and its log in a folder; names of Microsoft's page on backups, what certutil says is assumed."""
        self._need("backup")
        name, *more = call.values or ("",)
        if not name or [word.lower() for word in more] not in ([], ["keeplog"]):
            raise UnsupportedCallError("certutil -backupDB takes a folder and KeepLog here.")
        try:
            empty = folder.is_empty(name)
        except NotADirectoryError:
            raise _RefusalError(known.INVALID_PARAMETER) from None
        if not empty:
            raise _RefusalError(known.DIRECTORY_NOT_EMPTY)
        folder.make(f"{name}\\DataBase")
        state = hashlib.sha256(repr(self._database.table().to_csv()).encode()).hexdigest()
        for file in ("certbkxp.dat", f"{self._authority.common_name}.edb", "edb00001.log"):
            folder.write(f"{name}\\DataBase\\{file}", f"simulated: {state}\r\n".encode("ascii"))
        lines = ["Backing up Database files: 100%", "Backing up Log files: 100%"]
        lines += [] if more else ["Truncating Logs: 100%"]
        lines += [f"Backed up database to {name}."] + ([] if more else ["Database logs successfully truncated."])
        place = self._config or self._authority.common_name
        return "".join(f"{line}\n" for line in [f"Full database backup for {place}.", *lines])

    def _getreg(self, call: CommandLine) -> str:
        said, values = self.hive.getreg(call.exactly(1)[0])
        if values is None:
            raise _RefusalError(known.FILE_NOT_FOUND, said)
        return said + values


_REVOCABLE: Final = frozenset({Disposition.ISSUED, Disposition.REVOKED})


def _command_serial(text: str) -> SerialNumber:
    """A serial number as -revoke wants it: an even number of hex digits, 00 only before a high bit."""
    if not re.fullmatch(r"(?:00(?=[89a-fA-F]))?(?!00)(?:[0-9a-fA-F]{2}){1,20}", text, re.ASCII):
        raise _RefusalError(known.INVALID_PARAMETER)
    return SerialNumber(int(text, 16))


def _validity(text: str) -> timedelta:
    """``now+dd:hh``: how long the file lives that -sign makes of another."""
    match = re.fullmatch(r"now\+([0-9]{1,6}):([0-9]{1,2})", text)
    if not match:
        raise UnsupportedCallError(f"carecover signs files again for now+DAYS:HOURS, not for {text!r}.")
    return timedelta(days=int(match[1]), hours=int(match[2]))


def _read(folder: Folder, name: str) -> bytes:
    try:
        return folder.read(name)
    except OSError:
        raise _RefusalError(known.FILE_NOT_FOUND) from None


def _load(data: bytes) -> x509.Certificate:
    try:
        return (
            x509.load_pem_x509_certificate(data) if data.startswith(b"-----") else x509.load_der_x509_certificate(data)
        )
    except ValueError:
        raise _RefusalError(known.INVALID_DATA) from None


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
