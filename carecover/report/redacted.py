"""The edition for outsiders: who and what is named becomes a pseudonym, and free text is left out.

Every column of every table is in exactly one list here, and what is in none is left out: a new column leaks nothing
until somebody decides about it. Pseudonyms are HMAC-SHA256 under a key of the case: the same name has the same
pseudonym in every edition of the case, and nobody without the key can try names. Serial numbers, digests and times
stay: the CRL shows them to everybody, and without them nobody outside could act.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from carecover.model import (
    ACTIONS,
    CIRCUMSTANCES,
    FINDING_KINDS,
    ROLES,
    TABLES,
    CaseFacts,
    Plan,
    PlanItem,
    SignOff,
    person_key,
)
from carecover.report.document import Act, Execution

_LETTERS: Final = 12
# Microsoft's templates name nobody; every other template may.
TEMPLATES: Final = frozenset(
    [
        "Administrator",
        "CA",
        "CAExchange",
        "CEPEncryption",
        "ClientAuth",
        "CodeSigning",
        "CrossCA",
        "CTLSigning",
        "DirectoryEmailReplication",
        "DomainController",
        "DomainControllerAuthentication",
        "EFS",
        "EFSRecovery",
        "EnrollmentAgent",
        "EnrollmentAgentOffline",
        "ExchangeUser",
        "ExchangeUserSignature",
        "IPSECIntermediateOffline",
        "IPSECIntermediateOnline",
        "KerberosAuthentication",
        "KeyRecoveryAgent",
        "Machine",
        "MachineEnrollmentAgent",
        "OCSPResponseSigning",
        "OfflineRouter",
        "RASAndIASServer",
        "SmartcardLogon",
        "SmartcardUser",
        "SubCA",
        "User",
        "UserSignature",
        "WebServer",
        "Workstation",
    ]
)
# Whose value is a name of which sort. Lists are pseudonymised one by one.
NAMES: Final[Mapping[str, str]] = {
    "requester": "account",
    "upn": "account",
    "subject": "subject",
    "subjects": "subject",
    "issuer": "ca",
    "ca_name": "ca",
    "decided_by": "person",
    "by": "person",
    "authority": "authority",
    "path": "file",
    "url": "place",
}
# Values out of a list of ours; anything else in such a column is left out.
# fmt: off
_ITEMS: Final = frozenset(
    (
        "machine", "user", "expired", "up to 30 days", "up to 90 days", "up to a year", "more than a year",
        "infrastructure", "replace first", "set anew",
    )
)
WORDS: Final[Mapping[str, frozenset[str]]] = {
    "kind": frozenset(
        (
            *FINDING_KINDS, "base", "delta", "ocsp", "mbox", "eml", "msg", "pst", "maildir", "zip", "gzip", "tar",
            "view_csv", "view_text", "edb", "evtx", "crl", "certificate", "registry", "ldif", "transcript", "unknown",
        )
    ),
    "aspect": frozenset(
        (
            "CA certificate", "certificates of before the backup", "clocks and time zone", "columns of the view",
            "database view", "earlier CA certificates", "edges of the mailbox", "end of the view",
            "events that are mailed", "evidence read", "failure and restore", "filter of the view",
            "holes in the view", "last delta CRL", "last published CRL", "later CRLs", "mails day by day",
            "mails of other CAs", "mails that could not be sent", "name of the CA", "notifications",
            "request IDs in the gap", "request IDs without a trace", "requests after the restore",
            "requests with a mail", "rows of the gap", "rows that look imported", "Security log",
            "start and stop of the service", "time zone", "verdict",
            "views of the database", "template", "requester", "validity left", "use", "revocation date", "CRL",
        )
    ),
    "confidence": frozenset(("high", "medium", "low")),
    "suggested_action": frozenset(ACTIONS),
    "action": frozenset(ACTIONS),
    "verdict": frozenset(("proved", "pending", "failed", "contradicted", "good", "gap", "unknown"))
    | {"planned", "unexpected", "expired"},
    "change": frozenset(("added", "dropped", "reason", "date")),
    "account": frozenset(("machine", "user")),
    "state": frozenset(("pinned", "leftover", "revoked", "destroyed")),
    "severity": frozenset(("error", "warning", "notice")),
    "circumstances": frozenset(CIRCUMSTANCES),
    "stage": frozenset(("open", "read", "split", "parse", "detect", "limit")),
}
# Digests, numbers and numbers as text, held to their form.
CODES: Final = frozenset(
    (
        "serial", "sha256", "crl_sha256", "thumbprint", "crl_number", "base_crl_number", "old_number", "new_number",
        "evidence_id", "original_sha256", "row_thumbprint", "serials", "evidence", "certificate_sha256",
        "head",
    )
)
# fmt: on
_CODE: Final = re.compile(r"[0-9a-f]{1,64}|E[0-9]{1,9}", re.ASCII)
_CALL: Final = re.compile(r"(prepare|revoke|undo|longer)\.cmd( [A-Za-z]{1,12}){0,2}", re.ASCII)
# What an edition for outsiders holds at all; evidence as it was read is none of their business.
SHOWN: Final = (
    "evidence", "rejects", "accounting", "findings", "coverage", "activity", "owners", "impact", "decisions",
    "outcomes", "visibility", "crls", "dummies", "crl_lint", "crl_changes", "stamps",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Names → pseudonyms under one key (32 random bytes or more); ``withheld`` is what stands for what is left out."""

    key: bytes
    withheld: str = "withheld"

    def __call__(self, sort: str, name: object) -> str | None:
        """The pseudonym of a name: ``account-k3v…``; None where there is no name."""
        if not isinstance(name, str) or not name.strip():
            return None
        same = person_key(name) if sort == "person" else unicodedata.normalize("NFKC", name).casefold().strip()
        found = hmac.new(self.key, f"{sort}\0{same}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()
        return f"{sort}-{found[:_LETTERS]}"

    def template(self, name: object) -> str | None:
        """Microsoft's own templates by name, every other one by pseudonym."""
        return name if isinstance(name, str) and name in TEMPLATES else self("template", name)

    def column(self, name: str) -> Callable[[object], object]:
        """How the texts of a column of that name are changed."""
        if name in ("template", "templates"):
            return self.template
        if name in NAMES:
            return lambda value: self(NAMES[name], value)
        if name in WORDS:
            return lambda value: value if value in WORDS[name] else self._out(value)
        if name in CODES:
            return self._code
        return self._out

    def _code(self, value: object) -> object:
        """A digest or number as it is; of a place in evidence only the file's number."""
        first = str(value).split(" ", 1)[0]
        return first if _CODE.fullmatch(first) else self._out(value)

    def _out(self, value: object) -> str | None:
        return None if value is None or value is pd.NA else self.withheld


def tables(given: Mapping[str, pd.DataFrame], names: Pseudonyms) -> dict[str, pd.DataFrame]:
    """The tables that outsiders may see, with pseudonyms; the frames given stay as they are."""
    found = {}
    for name in SHOWN:
        if name not in given:
            continue
        table = given[name]
        columns: dict[str, Any] = {}
        for column in TABLES[name].columns:
            # Private columns are not in the tables that a case shows.
            values = table[column.name].tolist() if column.name in table else [None] * len(table)
            change = names.column(column.name)
            if column.kind == "text":
                cache: dict[Any, object] = {}
                columns[column.name] = [cache.setdefault(v, None if pd.isna(v) else change(v)) for v in values]
            elif column.kind == "list":
                columns[column.name] = [[change(v) for v in vs] if isinstance(vs, list) else None for vs in values]
            elif column.kind == "bytes":
                columns[column.name] = [None] * len(values)
            else:
                columns[column.name] = [None if pd.isna(v) else v for v in values]
        if "finding_id" in columns:
            columns["finding_id"] = [_finding(value) for value in table["finding_id"].tolist()]
        if name == "impact":
            told = zip(table["aspect"].tolist(), table["item"].tolist(), table["figure"].tolist(), strict=True)
            kept = [(aspect, _item(aspect, item, names), _counted(figure)) for aspect, item, figure in told]
            columns["item"] = [item for _, item, _ in kept]
            columns["figure"] = [figure for _, _, figure in kept]
        found[name] = TABLES[name].typed(columns, len(table))
    return found


def _item(aspect: object, item: object, names: Pseudonyms) -> str | None:
    """What an impact is on: a template, or one of the product's own words."""
    if aspect == "template":
        return names.template(item)
    known = isinstance(item, str) and (item in _ITEMS or re.fullmatch(r"key [0-9]{1,5}", item, re.ASCII))
    return str(item) if known else names.withheld


def _counted(figure: object) -> str:
    """How many certificates, out of a figure that says it in words."""
    number = re.match(r"[0-9][0-9,]{0,15}", str(figure), re.ASCII)
    return number[0] if number else "?"


def _finding(value: object) -> str | None:
    """A finding's name holds a serial number or another name: outsiders get its digest, which joins as well."""
    return None if pd.isna(value) else hashlib.sha256(str(value).encode("utf-8", "replace")).hexdigest()[:16]  # type: ignore[call-overload]


class _KnownPlan(Plan):
    """A plan without names that bears the digest of the one that was signed."""

    @property
    def digest(self) -> str:
        """The digest of the plan as it was signed."""
        return str(self.case)


def plan(given: Plan | None, names: Pseudonyms) -> Plan | None:
    """The plan with pseudonyms, under the digest that was signed."""
    if given is None:
        return None
    body = {name: getattr(given, name) for name in Plan.__dataclass_fields__}
    body |= {
        "case": given.digest,
        "ca_name": names("ca", given.ca_name),
        "config": None,
        "ca_certificate_sha256": names.withheld,
        "items": tuple(_step(item, names) for item in given.items),
        "waivers": (names.withheld,) * len(given.waivers),
    }
    return _KnownPlan(**body)


def _step(item: PlanItem, names: Pseudonyms) -> PlanItem:
    return replace(
        item,
        finding_id=_finding(item.finding_id) or "",
        subject=names("subject", item.subject),
        requester=names("account", item.requester),
        template=names.template(item.template),
        note=None if item.note is None else names.withheld,
        decided_by=names("person", item.decided_by) or "",
    )


def facts(given: CaseFacts, names: Pseudonyms) -> CaseFacts:
    """The facts without the CA's name and configuration string; times stay."""
    return replace(given, ca=names("ca", given.ca), config=names.withheld if given.config else None)


def sign_off(given: SignOff, names: Pseudonyms) -> SignOff:
    """A signature of a pseudonym."""
    role = given.role if given.role in ROLES else "analyst"
    return replace(given, person=names("person", given.person) or "", role=role)


def execution(given: Execution | None, names: Pseudonyms) -> Execution | None:
    """A run by its calls and exit codes only."""
    if given is None:
        return None
    shown = None if given.outcomes is None else tables({"outcomes": given.outcomes}, names)["outcomes"]
    calls = tuple((call if _CALL.fullmatch(call) else names.withheld, code) for call, code in given.phases)
    return replace(given, outcomes=shown, name=names("run", given.name), phases=calls, assumptions=())


def act(given: Act, names: Pseudonyms) -> Act:
    """An act without the command that was typed."""
    return replace(given, by=names("person", given.by), command=None)
