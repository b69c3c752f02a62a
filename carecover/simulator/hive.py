"""The whole registry key of a simulated CA: what each ``certutil -getreg`` prints, and what ``reg export`` writes.

Keys and values of the SMTP exit module are those of Microsoft's sample script (``exit\\smtp``, newer layout); one value
is printed as captures show it. How certutil prints a whole key, with its ``Keys:`` and ``Values:``, a
value of several lines and a binary one is assumed: no capture of a whole key is public. Flags below a number are
printed as public transcripts of ``-setreg CA\\CRLFlags`` show them; that those of EventFilter look alike is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Self

from carecover.simulator.authority import Authority, thumbprint
from carecover.simulator.authority import der as der_of
from carecover.simulator.rendering import spaced_hex

Value = int | str | tuple[str, ...] | bytes
"""REG_DWORD, REG_SZ, REG_MULTI_SZ or REG_BINARY."""

ROOT: Final = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\CertSvc\\Configuration"
_EXIT: Final = "ExitModules\\CertificateAuthority_MicrosoftDefault.Exit"
_SMTP: Final = f"{_EXIT}\\SMTP"
# certexit.h: what an exit module can be told of.
EXIT_EVENTS: Final[Mapping[str, int]] = {
    "EXITEVENT_CERTISSUED": 0x1,
    "EXITEVENT_CERTPENDING": 0x2,
    "EXITEVENT_CERTDENIED": 0x4,
    "EXITEVENT_CERTREVOKED": 0x8,
    "EXITEVENT_CERTRETRIEVEPENDING": 0x10,
    "EXITEVENT_CRLISSUED": 0x20,
    "EXITEVENT_SHUTDOWN": 0x40,
    "EXITEVENT_STARTUP": 0x80,
    "EXITEVENT_CERTIMPORTED": 0x200,
}
# certsrv.h, the first and the one that keeps expired serial numbers on the CRL.
CRLF_PUBLISH_EXPIRED_CERT_CRLS: Final = 0x200
_CRL_FLAGS: Final[Mapping[str, int]] = {
    "CRLF_DELTA_USE_OLDEST_UNEXPIRED_BASE": 0x1,
    "CRLF_DELETE_EXPIRED_CRLS": 0x2,
    "CRLF_CRLNUMBER_CRITICAL": 0x4,
    "CRLF_REVCHECK_IGNORE_OFFLINE": 0x8,
    "CRLF_PUBLISH_EXPIRED_CERT_CRLS": CRLF_PUBLISH_EXPIRED_CERT_CRLS,
}
_FLAGS: Final = {"eventfilter": EXIT_EVENTS, "crlflags": _CRL_FLAGS}
_ALIASES: Final = {"ca": "", "exit": _EXIT}

_ISSUED_ARGS: Final = (
    *("RequestID", "UPN", "Request.RequesterName", "SerialNumber", "NotBefore", "NotAfter", "DistinguishedName"),
    *("CertificateTemplate", "CertificateHash", "Request.DispositionMessage"),
)
# Event → TitleFormat, BodyArg, BodyFormat, as the simulated mails are worded. A BodyFormat begins with the empty line
# that a script sets before it appends to it.
_MAILS: Final[Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "Issued": (
        "Your certificate has been issued by %1",
        _ISSUED_ARGS,
        (
            *("", "Request ID: %1", "UPN: %2", "Requester Name: %3", "Serial Number: %4", "Valid not before: %5"),
            *("Valid not after: %6", "Distinguished Name: %7", "Certificate Template: %8", "Certificate Hash: %9"),
            "Request Disposition Message: %10",
        ),
    ),
    "Pending": (
        "Your certificate is pending on %1",
        (
            *("RequestID", "UPN", "Request.RequesterName", "Request.SubmittedWhen", "DistinguishedName"),
            *("CertificateTemplate", "Request.DispositionMessage"),
        ),
        (
            *("", "Request ID: %1", "UPN: %2", "Requester Name: %3", "Time submitted: %4", "Distinguished Name: %5"),
            *("Certificate Template used: %6", "Request Disposition Message: %7"),
        ),
    ),
}


@dataclass(frozen=True)
class Hive:
    """The keys of one CA: path below the CA's own key → name of a value → the value."""

    ca_name: str
    keys: Mapping[str, Mapping[str, Value]]

    @classmethod
    def of(
        cls, authority: Authority, crl_period: timedelta, *, deltas: bool = False, audit_filter: int | None = None
    ) -> Self:
        """The settings under which a simulated CA works, with an SMTP exit module that sends everything.

        A CA that nobody told to audit has no value AuditFilter.
        """
        high = authority.high_serial
        serial: Value = high.prefix.hex() if "string" in high.layout else int.from_bytes(high.prefix, "big")
        keys: dict[str, Mapping[str, Value]] = {
            "": {
                "CommonName": authority.common_name,
                "CACertHash": tuple(spaced_hex(thumbprint(der_of(c))) for c in authority.certificates),
                "CRLPeriod": "Days",
                "CRLPeriodUnits": crl_period.days,
                "CRLDeltaPeriod": "Days",
                "CRLDeltaPeriodUnits": int(deltas),
                "CRLPublicationURLs": (
                    "65:C:\\Windows\\system32\\CertSrv\\CertEnroll\\%3%8%9.crl",
                    f"6:{authority.publication_url}/%3%8%9.crl",
                ),
                "CRLFlags": _CRL_FLAGS["CRLF_DELETE_EXPIRED_CRLS"],
                "ClockSkewMinutes": 10,
                "HighSerial": serial,
                **({} if audit_filter is None else {"AuditFilter": audit_filter}),
            },
            "ExitModules": {"Active": ("CertificateAuthority_MicrosoftDefault.Exit",)},
            _EXIT: {"PublishCertFlags": 1},
            _SMTP: {"EventFilter": sum(EXIT_EVENTS.values()), "SMTPServer": "mail.corp.example", "SMTPAuthenticate": 0},
            f"{_SMTP}\\CRLIssued": {
                "TitleFormat": "A new CRL was issued by %1",
                "TitleArg": ("SanitizedCAName",),
                "BodyFormat": ("A new CRL has been issued",),
            },
        }
        for event, (title, arguments, lines) in _MAILS.items():
            keys[f"{_SMTP}\\Templates\\Default\\{event}"] = {
                "From": "pki@corp.example",
                "TitleFormat": title,
                "TitleArg": ("SanitizedCAName",),
                "BodyFormat": lines,
                "BodyArg": arguments,
            }
        return cls(authority.common_name, keys)

    def having(self, key: str, **values: Value | None) -> Self:
        """The same with values of one key (``""`` is the CA's own, ``exit\\smtp`` an alias) set, or away where None."""
        alias, _, rest = key.partition("\\")
        path = "\\".join(part for part in (_ALIASES.get(alias.lower(), alias), rest) if part).lower()
        own = next(known for known in self.keys if known.lower() == path)
        kept = {name: value for name, value in {**self.keys[own], **values}.items() if value is not None}
        return replace(self, keys={**self.keys, own: kept})

    def number(self, name: str) -> int:
        """A number of the CA's own key; 0 where it is missing or no number."""
        value = self.keys.get("", {}).get(name)
        return value if isinstance(value, int) else 0

    @property
    def mailed(self) -> int:
        """EventFilter: what the SMTP exit module is told to send, 0 where it is not set up."""
        value = self.keys.get(_SMTP, {}).get("EventFilter", 0)
        return value if isinstance(value, int) else 0

    def getreg(self, name: str) -> tuple[str, str | None]:
        """What ``-getreg name`` prints: the line with the key, and what follows, None where there is no such thing."""
        alias, _, rest = name.partition("\\")
        parts = [part for part in (_ALIASES.get(alias.lower()), rest) if part]
        head = "\\".join([ROOT, self.ca_name, *parts]) + ":\n"
        path = "\\".join(parts).lower()
        children = sorted({child for key in self.keys for child in _child(key, path)})
        key = next((key for key in self.keys if key.lower() == path), None)
        if alias.lower() in _ALIASES and (children or key is not None):
            return head, "".join(["\n", *self._whole(children, key)])
        above, _, wanted = path.rpartition("\\")
        values = next((values for key, values in self.keys.items() if key.lower() == above), {})
        found = next((n for n in values if n.lower() == wanted and alias.lower() in _ALIASES), None)
        return head, None if found is None else "\n" + _printed(found, values[found])

    def reg_file(self) -> str:
        """The text of a .reg file with every key, as regedit and reg.exe write it."""
        pieces = ["Windows Registry Editor Version 5.00\r\n\r\n", f"[{ROOT}]\r\n", f'"Active"="{self.ca_name}"\r\n\r\n']
        for key, values in self.keys.items():
            path = "\\".join(part for part in (ROOT, self.ca_name, key) if part)
            pieces += [f"[{path}]\r\n", *(f'"{n}"={_exported(v)}\r\n' for n, v in values.items()), "\r\n"]
        return "".join(pieces)

    def _whole(self, children: list[str], key: str | None) -> Iterator[str]:
        if children:
            yield "Keys:\n" + "".join(f"  {child}\n" for child in children) + "\n"
        if key is not None:
            yield "Values:\n"
            yield from (_printed(f"{name:<24}", value) for name, value in self.keys[key].items())


def _child(key: str, path: str) -> Iterator[str]:
    """The name of the sub-key of ``path`` that ``key`` is or lies below."""
    below = key[len(path) + 1 :] if path and key.lower().startswith(path + "\\") else "" if path else key
    if below:
        yield below.split("\\", maxsplit=1)[0]


def _printed(name: str, value: Value) -> str:
    if isinstance(value, int):
        flags = _FLAGS.get(name.strip().lower(), {}).items()
        said = "".join(f"    {flag} -- {_hex(bit)}\n" for flag, bit in flags if value & bit)
        return f"  {name} REG_DWORD = {_hex(value)}\n{said}"
    if isinstance(value, str):
        return f"  {name} REG_SZ = {value}\n"
    if isinstance(value, bytes):
        rows = [value[at : at + 16] for at in range(0, len(value), 16)]
        dump = "".join(f"    {16 * number:04x}  {row.hex(' ')}\n" for number, row in enumerate(rows))
        return f"  {name} REG_BINARY =\n{dump}"
    return f"  {name} REG_MULTI_SZ = \n" + "".join(f"    {number}: {line}\n" for number, line in enumerate(value))


def _hex(value: int) -> str:
    return f"{value:x}" if value < 10 else f"{value:x} ({value})"


def _exported(value: Value) -> str:
    if isinstance(value, bytes):
        return "hex:" + value.hex(",")
    if isinstance(value, int):
        return f"dword:{value:08x}"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    data = "".join(f"{line}\0" for line in (*value, "")).encode("utf-16-le")
    pairs = [f"{byte:02x}" for byte in data]
    # regedit breaks long values, with a backslash at the line's end.
    lines = [",".join(pairs[at : at + 25]) for at in range(0, len(pairs), 25)]
    return "hex(7):" + ",\\\r\n  ".join(lines)
