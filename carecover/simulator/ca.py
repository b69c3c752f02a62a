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
import operator
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

import pandas as pd
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from carecover.errors import CarecoverError, EvidenceError, UsageError
from carecover.model import TABLES, CaseFacts, Disposition, RevocationReason, SerialNumber
from carecover.simulator import behaviour as known
from carecover.simulator.authority import (
    CLOCK_SKEW,
    Authority,
    CrlEntry,
    DatabaseRow,
    HighSerial,
    Template,
    der,
    stays_on_crl,
    thumbprint,
)
from carecover.simulator.behaviour import EVERYTHING, Behaviour, Faults, Right
from carecover.simulator.rendering import (
    VIEW_COLUMNS,
    Cell,
    DateStyle,
    ViewColumn,
    view_columns,
    view_csv,
    view_text,
)
from carecover.simulator.windows import OEM, CallResult, Folder

# A stand-in needs some seed; its keys protect nothing.
_STAND_IN_SEED: Final = 0
# Where neither evidence nor a default says otherwise: the CA certificate of a stand-in.
_UNKNOWN_URL: Final = "http://pki.example/CertEnroll"


class UnsupportedCallError(CarecoverError):
    """A call of certutil that no batch of carecover makes, so the simulated CA has no answer."""


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


@dataclass(frozen=True, slots=True)
class CrlCounter:
    """What the database knows of one key's CRLs: the last number, and when that base was published."""

    number: int
    published_at: datetime | None = None


@dataclass(slots=True)
class _Arguments:
    """One command line, taken apart."""

    verb: str
    values: list[str]
    options: dict[str, str]
    flags: frozenset[str]


@dataclass
class _Database:
    """Rows by request ID, made when they are asked for; what was changed is kept.

    A restored CA can have a million rows, of which a recovery touches a few thousand.
    """

    ids: list[int]
    """In ascending order."""
    by_serial: dict[int, list[int]]
    load: Callable[[int], DatabaseRow]
    changed: dict[int, DatabaseRow] = field(default_factory=dict)

    def row(self, request_id: int) -> DatabaseRow:
        return self.changed.get(request_id) or self.load(request_id)

    def rows(self, ids: Iterable[int] | None = None) -> Iterator[DatabaseRow]:
        return (self.row(i) for i in (self.ids if ids is None else ids))

    def of_serial(self, serial: int) -> list[DatabaseRow]:
        return [self.row(i) for i in self.by_serial.get(serial, ())]

    def add(self, row: DatabaseRow) -> None:
        self.ids.append(row.request_id)
        self.changed[row.request_id] = row
        if row.serial is not None:
            self.by_serial.setdefault(row.serial.value, []).append(row.request_id)


class SimulatedCA:
    """One CA service with its database, keys and clock; ``certutil`` is its only door.

    Nothing is random and no clock is read: each call takes one simulated second.
    """

    def __init__(
        self,
        *,
        authority: Authority,
        ca_certificates: Mapping[int, x509.Certificate],
        rows: _Database,
        crl_counters: Mapping[int, CrlCounter],
        now: datetime,
        behaviour: Behaviour,
        faults: Faults | None = None,
        rights: frozenset[Right] = EVERYTHING,
        config: str | None = None,
        style: DateStyle | None = None,
    ) -> None:
        """``authority`` signs; ``ca_certificates`` (by index) are what the CA says its own are."""
        self.behaviour = behaviour
        self.faults = faults or Faults()
        self.rights = rights
        self.calls: list[Call] = []
        self.now = now
        self._authority = authority
        self._own = dict(sorted(ca_certificates.items()))
        self._database = rows
        self._counters = dict(crl_counters)
        self._crls: dict[int, bytes] = {}
        self._config = config
        self._style = style or DateStyle()
        if behaviour.publishes_at_start:
            self._publish()

    @classmethod
    def from_evidence(
        cls,
        *,
        ca_rows: pd.DataFrame,
        ca_certificates: pd.DataFrame,
        crls: pd.DataFrame,
        facts: CaseFacts,
        now: datetime,
        behaviour: Behaviour | None = None,
        faults: Faults | None = None,
        rights: frozenset[Right] = EVERYTHING,
    ) -> Self:
        """The CA as the evidence shows it: tables in the schemas ca_rows (the baseline), certificates
        (this CA's own, with ``der``) and crls.

        Raises EvidenceError where the CA's certificate is missing or rows have no request ID.
        """
        chosen = behaviour or Behaviour()
        own = _own_certificates(TABLES["certificates"].conform(ca_certificates))
        authority = _stand_in(own)
        zone = ZoneInfo(facts.time_zone) if facts.time_zone else None
        return cls(
            authority=authority,
            ca_certificates=own,
            rows=_database_of(TABLES["ca_rows"].conform(ca_rows)),
            crl_counters=_counters_of(TABLES["crls"].conform(crls), authority, facts.backup, chosen),
            now=now,
            behaviour=chosen,
            faults=faults,
            rights=rights,
            config=facts.config,
            style=DateStyle(zone=zone),
        )

    # ------------------------------------------------------------------------ what a test sees

    @property
    def stand_in_certificates(self) -> tuple[x509.Certificate, ...]:
        """The certificates, by index, whose keys really sign dummies and CRLs here."""
        return tuple(self._authority.certificates)

    @property
    def crls(self) -> Mapping[int, bytes]:
        """The CRLs published here, DER, by CA-key index."""
        return dict(self._crls)

    def table(self) -> pd.DataFrame:
        """The database as it is now, in the schema ca_rows."""
        return TABLES["ca_rows"].frame([_record(row) for row in self._database.rows()])

    # ------------------------------------------------------------------------------ the one door

    def certutil(self, arguments: Sequence[str], folder: Folder, /) -> CallResult:
        """Answer one call of certutil.exe; files are read and written in ``folder``.

        Raises UnsupportedCallError for a call that carecover never makes, HangError where
        certutil would show a dialog and KilledError where the faults say so.
        """
        number = len(self.calls) + 1
        if number == self.faults.die_before:
            raise KilledError(f"The batch was killed when it made call {number} of certutil.")
        call = _parse(arguments)
        self.now += timedelta(seconds=1)
        code = 0
        try:
            hresult = self.faults.fail_at.get(number, self.faults.fail_verb.get(call.verb))
            if hresult is not None:
                raise _RefusalError(hresult)
            output = self._answer(call, folder)
            output += known.completed(_SPELLING.get(call.verb, call.verb), self.behaviour.language)
        except _RefusalError as refusal:
            code = known.signed(refusal.hresult)
            spelling = _SPELLING.get(call.verb, call.verb)
            output = refusal.said + known.failed(spelling, refusal.hresult, self.behaviour.language)
        self.calls.append(Call(tuple(arguments), call.verb, code))
        if number == self.faults.die_after:
            raise KilledError(f"The batch was killed after call {number} of certutil.")
        if self.behaviour.language == "none":
            output = known.garbled(output)
        return CallResult(code, output.replace("\n", "\r\n").encode(OEM, "replace"))

    def _answer(self, call: _Arguments, folder: Folder) -> str:
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
                folder.write(_only(call, 1)[0], der(self._own[max(self._own)]))
                return ""
            case "ping":
                name = self._authority.common_name
                return (
                    f"Connecting to {self._config or name} ...\n"
                    f'Server "{name}" ICertRequest2 interface is alive (0ms)\n'
                )
            case "hashfile":
                return self._hashfile(call, folder)
            case "getreg":
                return self._getreg(call)
        raise UnsupportedCallError(f"The simulated CA does not know certutil -{call.verb}.")

    def _need(self, right: Right) -> None:
        if right not in self.rights:
            raise _RefusalError(known.ACCESS_DENIED)

    # --------------------------------------------------------------------------------- -view

    def _view(self, call: _Arguments) -> str:
        self._need("read")
        words = [word.lower() for word in call.values]
        if words == ["crl"]:
            return self._view_crls()
        if words not in ([], ["csv"]):
            raise UnsupportedCallError(f"The simulated CA does not know certutil -view {' '.join(call.values)}.")
        try:
            columns = (
                view_columns(_schema_name(n) for n in call.options["out"].split(","))
                if "out" in call.options
                else tuple(VIEW_COLUMNS.values())
            )
            rows = self._select(call.options.get("restrict", ""))
        except UsageError:
            # What certutil says of a column that it does not know is assumed.
            raise _RefusalError(known.INVALID_PARAMETER) from None
        zone = None if "gmt" in call.flags else self._style.zone
        style = replace(self._style, zone=zone, seconds="seconds" in call.flags)
        if words:
            return "".join(view_csv(rows, columns, style))
        # The last piece is the English line of success, which certutil() writes in its language.
        return "".join([*view_text(rows, columns, style)][:-1])

    def _select(self, restriction: str) -> list[DatabaseRow]:
        """The rows that a restriction lets through, by request ID; commas mean "and"."""
        clauses = [self._clause(part) for part in restriction.split(",") if part.strip()]
        ids: Sequence[int] = self._database.ids
        for column, sign, value in clauses:
            if column.name == "SerialNumber" and sign == "=":
                try:
                    serial = SerialNumber.parse(str(value)).value
                except UsageError:
                    return []
                ids = self._database.by_serial.get(serial, [])
            elif column.name in ("RequestID", "Request.RequestID") and sign == ">" and ids is self._database.ids:
                ids = ids[bisect_right(ids, int(str(value))) :]
        return [row for row in self._database.rows(ids) if all(self._holds(row, *clause) for clause in clauses)]

    def _clause(self, text: str) -> tuple[ViewColumn, str, str | int]:
        match = re.fullmatch(r"\s*([A-Za-z. ]+?)\s*(<=|>=|==|=|<|>)\s*(.*?)\s*", text)
        if not match:
            raise UsageError(f"'{text}' is no restriction.")
        column = view_columns([_schema_name(match[1])])[0]
        sign, value = match[2].replace("==", "="), match[3]
        if column.type == "Long":
            if value == "$":
                return column, sign, self._database.ids[-1] if self._database.ids else 0
            if not re.fullmatch(r"-?(0x[0-9a-fA-F]+|[0-9]+)", value):
                raise UsageError(f"'{value}' is no number.")
            return column, sign, int(value, 0) if "x" in value else int(value)
        if column.type != "String":
            raise UnsupportedCallError(f"The simulated CA restricts numbers and text only, not {column.name}.")
        return column, sign, value

    def _holds(self, row: DatabaseRow, column: ViewColumn, sign: str, value: str | int) -> bool:
        cell: Cell = column.value(row)
        if isinstance(value, str) and isinstance(cell, str) and self.behaviour.restriction_ignores_case:
            cell, value = cell.casefold(), value.casefold()
        # EMPTY compares with nothing.
        return type(cell) is type(value) and bool(_SIGNS[sign](cell, value))

    def _view_crls(self) -> str:
        """Number of each key's last CRL. The columns' form is assumed: no capture exists."""
        blocks = [
            f"Row {row}:\n  CRL Row ID: {key + 1:#x}\n  CRL Number: {_number(counter.number)}\n"
            for row, (key, counter) in enumerate(sorted(self._counters.items()), start=1)
        ]
        return "\n".join(blocks) + f"\nMaximum Row Index: {len(blocks)}\n\n{len(blocks)} Rows\n"

    # -------------------------------------------------------------------- -sign and -importcert

    def _sign(self, call: _Arguments, folder: Folder) -> str:
        self._need("key")
        text, target = _only(call, 2)
        serial = _command_serial(text)
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
        life = self.behaviour.dummy_validity
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

    def _import(self, call: _Arguments, folder: Folder) -> str:
        self._need(self.behaviour.importcert_right)
        certificate = _load(_read(folder, _only(call, 1)[0]))
        index = self._issuer_index(certificate)
        if index is None:
            raise _RefusalError(self.behaviour.bad_signature)
        serial = SerialNumber(certificate.serial_number)
        if self._database.of_serial(serial.value) and self.behaviour.duplicate_import_refused:
            raise _RefusalError(self.behaviour.duplicate_import)
        data = der(certificate)
        # The new row has an ID of its own and nothing of a request ([MS-CSRA] 3.1.4.1.26).
        self._database.add(
            DatabaseRow(
                request_id=self._database.ids[-1] + 1 if self._database.ids else 1,
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

    def _revoke(self, call: _Arguments) -> str:
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
            self._database.changed[row.request_id] = self._revoked(row, reason)
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

    def _crl(self, call: _Arguments) -> str:
        self._need("manager")
        if call.values:
            raise UnsupportedCallError(f"carecover publishes with certutil -CRL alone, not with {call.values}.")
        self._publish()
        return ""

    def _publish(self) -> None:
        """One new base CRL for each key (PublishCRL, [MS-CSRA] 3.1.4.1.6)."""
        revoked: dict[int, list[CrlEntry]] = {key: [] for key in self._authority.keys}
        for row in self._database.rows():
            if row.disposition is not Disposition.REVOKED or row.serial is None:
                continue
            key = (row.issuer_name_id or 0) >> 16
            previous = self._counters[key].published_at if key in self._counters else None
            ended = row.not_after is not None and row.not_after < self.now
            if key in revoked and not (ended and row.not_after and not stays_on_crl(row.not_after, previous)):
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

    def _getcrl(self, call: _Arguments, folder: Folder) -> str:
        self._need("read")
        if len(call.values) not in (1, 2) or not all(v.isdigit() for v in call.values[1:]):
            raise UnsupportedCallError("certutil -GetCRL takes a file and a CRL index here.")
        index = int(call.values[1]) if len(call.values) == 2 else max(self._authority.keys)
        if index not in self._crls:
            raise _RefusalError(known.FILE_NOT_FOUND)
        if folder.exists(call.values[0]):
            raise _RefusalError(known.FILE_EXISTS)
        folder.write(call.values[0], self._crls[index])
        return ""

    # ------------------------------------------------------------------- -hashfile and -getreg

    def _hashfile(self, call: _Arguments, folder: Folder) -> str:
        name, algorithm = call.values[0], (call.values[1] if len(call.values) > 1 else "SHA1").upper()
        if algorithm not in ("SHA1", "SHA256"):
            raise UnsupportedCallError(f"certutil -hashfile {algorithm} is not answered here.")
        digest = hashlib.new(algorithm.lower(), _read(folder, name), usedforsecurity=False).digest()
        return f"{algorithm} hash of {name}:\n{digest.hex(' ') if self.behaviour.hash_spaced else digest.hex()}\n"

    def _getreg(self, call: _Arguments) -> str:
        name = _only(call, 1)[0].rpartition("\\")[2]
        days = self.behaviour.crl_period.days
        values = {"crlperiod": "REG_SZ = Days", "crlperiodunits": f"REG_DWORD = {_number(days).removeprefix('0x')}"}
        head = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\CertSvc\\Configuration"
        said = f"{head}\\{self._authority.common_name}\\{name}:\n"
        if name.lower() not in values:
            raise _RefusalError(known.FILE_NOT_FOUND, said)
        return f"{said}\n  {name} {values[name.lower()]}\n"


# -------------------------------------------------------------------------------- command lines

_VERBS: Final = frozenset(
    {"view", "sign", "importcert", "revoke", "crl", "getcrl", "ca.cert", "ping", "hashfile", "getreg"}
)
# How certutil itself writes a verb in its last line.
_SPELLING: Final = {"crl": "CRL", "getcrl": "GetCRL"}
_WITH_VALUE: Final = frozenset({"config", "cert", "restrict", "out"})
_FLAGS: Final = frozenset({"gmt", "seconds", "silent", "v"})
_REVOCABLE: Final = frozenset({Disposition.ISSUED, Disposition.REVOKED})
_SIGNS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _parse(arguments: Sequence[str]) -> _Arguments:
    """Verb, values and options, in whatever order and case they stand."""
    verb: str | None = None
    values: list[str] = []
    options: dict[str, str] = {}
    flags: set[str] = set()
    rest = iter(arguments)
    for argument in rest:
        name = argument[1:].lower()
        if not argument.startswith("-") or argument[1:].isdigit():
            values.append(argument)
        elif name in _WITH_VALUE:
            value = next(rest, None)
            if value is None:
                raise UnsupportedCallError(f"certutil {argument} needs a value.")
            options[name] = value
        elif name in _FLAGS:
            flags.add(name)
        elif verb is None and name in _VERBS:
            verb = name
        else:
            # -f, -deleterow and the like are what carecover must never send.
            raise UnsupportedCallError(f"The simulated CA has no answer to certutil {' '.join(arguments)}.")
    if verb is None:
        raise UnsupportedCallError("certutil was called without a verb.")
    return _Arguments(verb, values, options, frozenset(flags))


def _only(call: _Arguments, count: int) -> list[str]:
    if len(call.values) != count:
        raise UnsupportedCallError(f"certutil -{call.verb} takes {count} values here, not {call.values}.")
    return call.values


def _schema_name(name: str) -> str:
    """certutil takes names of the Requests table without their prefix too: Disposition=21."""
    full = f"Request.{name.strip()}".casefold()
    known_names = {column.casefold() for column in VIEW_COLUMNS}
    return full if full in known_names and name.strip().casefold() not in known_names else name


def _command_serial(text: str) -> SerialNumber:
    """A serial number as -revoke wants it: an even number of hex digits, at most one leading zero."""
    if not re.fullmatch(r"(?:[0-9a-fA-F]{2}){1,20}", text, re.ASCII) or text.startswith("00"):
        raise _RefusalError(known.INVALID_PARAMETER)
    return SerialNumber(int(text, 16))


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


def _number(value: int) -> str:
    return f"{value:#x}" if value < 10 else f"{value:#x} ({value})"


# ------------------------------------------------------------------------------ from evidence


def _own_certificates(table: pd.DataFrame) -> dict[int, x509.Certificate]:
    """CA certificates by CA-certificate index, from their CA version extension (0 where it is missing)."""
    own: dict[int, x509.Certificate] = {}
    for version, data in zip(table["ca_version"], table["der"], strict=True):
        if isinstance(data, bytes):
            own[0 if pd.isna(version) else int(version) & 0xFFFF] = x509.load_der_x509_certificate(data)
    if not own:
        raise EvidenceError(
            "The CA's own certificate is not in the evidence, so the CA cannot be rebuilt for a rehearsal; add it."
        )
    return own


def _stand_in(own: Mapping[int, x509.Certificate]) -> Authority:
    """An authority of the same name with as many certificates and keys as the CA had."""
    newest = own[max(own)]
    authority = Authority(
        _STAND_IN_SEED, newest.subject, HighSerial.of("number", _STAND_IN_SEED), _UNKNOWN_URL, label="stand-in"
    )
    previous: x509.Certificate | None = None
    for index in range(max(own) + 1):
        real = own.get(index, newest)
        renewed = previous is None or real.public_key() != previous.public_key()
        authority.renew(real.not_valid_before_utc, real.not_valid_after_utc, new_key=renewed)
        previous = real
    return authority


def _database_of(table: pd.DataFrame) -> _Database:
    if table["request_id"].isna().any():
        raise EvidenceError(
            "Rows of the baseline have no request ID, so the CA cannot be rebuilt; export the view again with RequestID."
        )
    table = table.sort_values("request_id", kind="stable", ignore_index=True)
    ids = [int(i) for i in table["request_id"]]
    position = {request_id: at for at, request_id in enumerate(ids)}
    by_serial: dict[int, list[int]] = {}
    for request_id, serial in zip(ids, table["serial"], strict=True):
        if not pd.isna(serial):
            by_serial.setdefault(int(serial, 16), []).append(request_id)
    return _Database(ids, by_serial, lambda request_id: _row_of(table.iloc[position[request_id]]))


def _row_of(record: pd.Series[Any]) -> DatabaseRow:
    values = {name: None if pd.isna(value) else value for name, value in record.items() if name != "flags"}
    times = {name: values[name].to_pydatetime() if values[name] is not None else None for name in _TIMES}
    template = values["template"]
    return DatabaseRow(
        request_id=int(values["request_id"]),
        disposition=Disposition(int(values["disposition"])),
        submitted_at=times["submitted_at"],
        requester=values["requester"],
        subject=values["subject"],
        template=None if template is None else Template(template, template, None, timedelta(0), ()),
        serial=None if values["serial"] is None else SerialNumber.parse(values["serial"]),
        not_before=times["not_before"],
        not_after=times["not_after"],
        revoked_at=times["revoked_at"],
        effective_revoked_at=times["effective_revoked_at"],
        reason=None if values["reason"] is None else int(values["reason"]),
        issuer_name_id=None if values["issuer_name_id"] is None else int(values["issuer_name_id"]),
        thumbprint=values["thumbprint"],
    )


_TIMES: Final = ("submitted_at", "not_before", "not_after", "revoked_at", "effective_revoked_at")


def _record(row: DatabaseRow) -> dict[str, object]:
    return {
        "request_id": row.request_id,
        "serial": row.serial.text if row.serial else None,
        "disposition": int(row.disposition),
        "requester": row.requester,
        "subject": row.subject,
        "template": row.template.identifier if row.template else None,
        **{name: getattr(row, name) for name in _TIMES},
        "reason": row.reason,
        "issuer_name_id": row.issuer_name_id,
        "thumbprint": row.thumbprint,
        "certificate_sha256": hashlib.sha256(row.certificate).hexdigest() if row.certificate else None,
    }


def _counters_of(
    table: pd.DataFrame, authority: Authority, backup: datetime | None, behaviour: Behaviour
) -> dict[int, CrlCounter]:
    """The restored CA's CRL counters: rolled back to the last CRL before the backup, where one is known."""
    counters: dict[int, CrlCounter] = {}
    for key in authority.keys:
        index = authority.certificate_of_key(key)
        of_key = table[(table["ca_version"].fillna(index) // (1 << 16) == key) & table["crl_number"].notna()]
        lists = sorted(
            (int(number), at.to_pydatetime())
            for number, at in zip(of_key["crl_number"], of_key["this_update"], strict=True)
        )
        before = [(number, at) for number, at in lists if backup is not None and at <= backup]
        if before:
            counters[key] = CrlCounter(*before[-1])
        elif lists:
            counters[key] = CrlCounter(max(lists[-1][0] - behaviour.crl_numbers_behind, 0))
    return counters
