"""The registry of the simulated CA as ``certutil -getreg`` prints it.

The shape of one value, and of the flags below it, is that of real captures; a listing with
sub-keys is assumed. What the exit module is told to send is its EventFilter (certexit.h).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from carecover.simulator import life as lives
from carecover.simulator.authority import HighSerial
from carecover.simulator.hive import EXIT_EVENTS
from carecover.simulator.scenario import Scenario
from carecover.simulator.worded import Format, keys_of

_ROOT: Final = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\CertSvc\\Configuration"
_EXIT: Final = "ExitModules\\CertificateAuthority_MicrosoftDefault.Exit\\SMTP"
_DONE: Final = "CertUtil: -getreg command completed successfully.\r\n"
# What a scenario calls the events, in the order of their bits.
_EVENTS: Final = (
    *("issued", "pending", "denied", "revoked", "retrieve_pending", "crl_issued", "shutdown", "startup", "imported"),
)


def registry_export(scenario: Scenario, high_serial: HighSerial) -> Iterator[bytes]:
    """What several ``certutil -getreg`` printed, one after the other."""
    key = f"{_ROOT}\\{lives.CA_NAME}"
    minutes = int(scenario.crl_period.total_seconds() // 60)
    units, period = (minutes // 1440, "Days") if minutes % 1440 == 0 else (minutes // 60, "Hours")
    values = [
        ("CRLPeriod", "REG_SZ", period),
        ("CRLPeriodUnits", "REG_DWORD", _number(units)),
        ("CRLDeltaPeriod", "REG_SZ", "Days"),
        ("CRLDeltaPeriodUnits", "REG_DWORD", _number(int(scenario.delta_crls > 0))),
        ("ClockSkewMinutes", "REG_DWORD", _number(10)),
        ("AuditFilter", "REG_DWORD", _number(127 if scenario.audit else 0)),
    ]
    match high_serial.layout:
        case "default":
            values.append(("HighSerial", "REG_DWORD", _number(0)))
        case "number":
            values.append(("HighSerial", "REG_DWORD", _number(high_serial.prefix[0])))
        case _:
            values.append(("HighSerial", "REG_SZ", high_serial.prefix.hex()))
    for name, kind, value in values:
        yield f"{key}\\{name}:\r\n\r\n  {name} {kind} = {value}\r\n{_DONE}".encode("ascii")
    on = [flag for event, flag in zip(_EVENTS, EXIT_EVENTS.items(), strict=True) if event not in scenario.events_off]
    lines = [f"{key}\\{_EXIT}:", "", "Keys:", "  CRLIssued", "  Shutdown", "  Startup", "  Templates", "", "Values:"]
    lines.append(f"  EventFilter              REG_DWORD = {_number(sum(bit for _, bit in on))}")
    lines += [f"    {name} -- {bit:x}" + (f" ({bit})" if bit > 9 else "") for name, bit in on]
    lines += ["", f"  SMTPServer               REG_SZ = mail.{lives.DOMAIN}", ""]
    lines += ["  SMTPAuthenticate         REG_DWORD = 0", ""]
    yield "".join(f"{line}\r\n" for line in lines).encode("ascii")
    yield _DONE.encode("ascii")
    for name, form in keys_of(scenario.mail_wording):
        yield "".join(f"{line}\r\n" for line in _format_lines(f"{key}\\{_EXIT}\\{name}", form)).encode("cp850")
        yield _DONE.encode("ascii")


def _format_lines(path: str, form: Format) -> Iterator[str]:
    """A key of formats; the items of a list are numbered (seen), that the key is listed so is assumed."""
    yield from (f"{path}:", "", "Values:")
    yield f"  TitleFormat              REG_SZ = {form.title}"
    for name, items in (("TitleArg", form.title_columns), ("BodyFormat", form.lines), ("BodyArg", form.columns)):
        yield f"  {name:<24} REG_MULTI_SZ = "
        yield from (f"    {number}: {item}" for number, item in enumerate(items))
    yield ""


def _number(value: int) -> str:
    return f"{value:x}" if value < 10 else f"{value:x} ({value})"
