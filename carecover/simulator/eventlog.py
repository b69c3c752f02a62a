"""The event logs of the simulated CA as XML, as Event Viewer and wevtutil export them.

The data of events 4886 to 4889 and 46 follow public descriptions
(https://www.gradenegger.eu/en/overview-of-the-audit-events-generated-by-the-certification-body/,
https://www.gradenegger.eu/en/details-of-the-event-with-id-46-of-the-source-microsoft-windows-certificationauthority/);
the names of the data of 4870, 4872, 4880 and 4881 are assumed, because only their text form
is public. That one publication logs a pair of 4872 for each key is assumed as well, and
so are code and words of event 46 where the mail server is away (the public samples are of
another failure).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from carecover.simulator import life as lives
from carecover.simulator.authority import DatabaseRow
from carecover.simulator.correspondence import Event
from carecover.simulator.rendering import DateStyle, spaced_hex
from carecover.simulator.traces import Traces, event_of

Entry = tuple[datetime, int, dict[str, str]]

_NAMESPACE: Final = "http://schemas.microsoft.com/win/2004/08/events/event"
_SECURITY: Final = ("Microsoft-Windows-Security-Auditing", "{54849625-5478-4994-a5ba-3e3b0328c30d}", "Security")
_APPLICATION: Final = (
    "Microsoft-Windows-CertificationAuthority",
    "{6a71d062-9afe-4f35-ad08-52134f85dfb9}",
    "Application",
)
# Events that have a version; all others are 0. 4886 is version 0 in both.
_ISSUED: Final = 4887
_EXIT_EVENTS: Final[Mapping[Event, str]] = {
    "issued": "EXITEVENT_CERTISSUED",
    # Sic, as the event log has it; the header says EXITEVENT_CERTPENDING.
    "pending": "EXITEVENT_PENDING",
    "denied": "EXITEVENT_CERTDENIED",
    "revoked": "EXITEVENT_CERTREVOKED",
    "unrevoked": "EXITEVENT_CERTREVOKED",
    "retrieve_pending": "EXITEVENT_CERTRETRIEVEPENDING",
}
# The exit module tells of about so many of the mails that it could not send.
_TOLD: Final = 0.6
# The SMTP transport failed to connect to the server (CDO_E_FAILED_TO_CONNECT).
_NOT_CONNECTED: Final = "0x80040213 (-2147220973)"


def event_log(
    computer: str, events: Iterable[Entry], source: tuple[str, str, str] = _SECURITY, *, issued_version: int = 1
) -> Iterator[bytes]:
    """Events (time, event ID, data) as one XML document, piece by piece."""
    provider, guid, channel = source
    yield b'<?xml version="1.0" encoding="utf-8" standalone="yes"?>\r\n<Events>\r\n'
    for record, (at, event_id, data) in enumerate(events, start=10_001):
        stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
        items = "".join(f"<Data Name={quoteattr(name)}>{escape(value)}</Data>" for name, value in data.items())
        version = issued_version if event_id == _ISSUED else 0
        level, keywords = ("0", "0x8020000000000000") if source is _SECURITY else ("2", "0x8080000000000000")
        task = "12805" if source is _SECURITY else "0"
        yield (
            f'<Event xmlns="{_NAMESPACE}"><System>'
            f'<Provider Name="{provider}" '
            f'Guid="{guid}"/>'
            f"<EventID>{event_id}</EventID><Version>{version}</Version><Level>{level}</Level><Task>{task}</Task>"
            f"<Opcode>0</Opcode><Keywords>{keywords}</Keywords>"
            f'<TimeCreated SystemTime="{stamp}"/><EventRecordID>{record}</EventRecordID>'
            f"<Channel>{channel}</Channel><Computer>{escape(computer)}</Computer><Security/>"
            f"</System><EventData>{items}</EventData></Event>\r\n"
        ).encode()
    yield b"</Events>\r\n"


def security_log(traces: Traces, style: DateStyle, reboots: Sequence[datetime]) -> Iterator[bytes]:
    """The Security log from shortly before the backup to the failure."""
    h, life, s = traces.history, traces.life, traces.scenario
    begin = traces.audit_start
    first = bisect_left(range(1, h.last + 1), begin, key=life.submitted) + 1
    events: list[Entry] = [(h.backup, 4876, {"BackupType": "1"}), (h.backup, 4877, {})]
    for i in sorted({*range(first, h.last + 1), *life.approved}):
        if h.is_issued(i) and h.issued_at(i) >= begin:
            key_id = life.key_id(i) if s.audit_version == 0 else ""
            events.append((h.issued_at(i), _ISSUED, _issuance(life.request(i), s.audit_version, key_id)))
    for i, acts in life.acts.items():
        serial = h.serial(i).text
        events += [
            (act.at, 4870, {"CertificateSerialNumber": serial, "RevocationReason": str(act.reason)})
            for act in acts
            if act.at >= begin
        ]
    for publication in (*h.publications, *h.deltas):
        # Base and delta are made together, with one number; a delta alone says so.
        kinds = ("Yes", "No") if publication in h.publications else ("No",)
        for key in traces.keys_at(publication.at) if publication.at >= begin else ():
            data = {
                "IsBaseCRL": "",
                "CRLNumber": str(publication.number),
                "KeyContainer": lives.CA_NAME + (f"({key})" if key else ""),
                "NextPublish": f"{style.text(publication.at + s.crl_period)} 0.0s",
                "PublishURLs": "",
            }
            events += [(publication.at, 4872, {**data, "IsBaseCRL": kind}) for kind in kinds]
    if s.audit_all:
        events += _all_requests(traces, first)
        for at in reboots:
            if at >= begin:
                events += [(at, 4881, _SERVICE), (at + timedelta(minutes=4), 4880, _SERVICE)]
    return event_log(lives.HOST, sorted(events, key=lambda event: event[:2]), issued_version=s.audit_version)


_SERVICE: Final = {"CertificateDatabaseHash": "", "PrivateKeyUsageCount": "0", "CACertificateHash": ""}


def _all_requests(traces: Traces, first: int) -> Iterator[Entry]:
    """What arrived, what was denied, what waited: events 4886, 4888, 4889."""
    h, life, begin = traces.history, traces.life, traces.audit_start
    for i in range(first, h.last + 1):
        if i in life.ca_requests:
            continue
        row = life.waiting(i)
        arrived = {"RequestId": str(i), "Requester": row.requester or "", "Attributes": _attributes(row)}
        decided = {"SubjectKeyIdentifier": "", "Subject": row.subject or ""}
        yield life.submitted(i), 4886, arrived
        if i in life.pending:
            # CR_DISP_UNDER_SUBMISSION
            yield life.submitted(i), 4889, {**arrived, "Disposition": "5", **decided}
        if i in life.denied and life.denied[i] >= begin:
            # CR_DISP_DENIED
            yield life.denied[i], 4888, {**arrived, "Disposition": "2", **decided}


def unsent_mails(traces: Traces) -> Iterator[bytes]:
    """The Application log of an SMTP outage: events 46, for most of the mails that could not be sent."""
    h, life = traces.history, traces.life
    outage = traces.outage
    events: list[Entry] = []
    for i in sorted({*range(2, h.last + 1)} if outage else ()):
        tried: list[tuple[Event, datetime]] = [(event_of(act), act.at) for act in life.acts.get(i, ())]
        if h.is_issued(i):
            tried.append(("issued", h.issued_at(i)))
        if traces.retrieved(i):
            tried.append(("retrieve_pending", traces.retrieved_at(i)))
        if i in life.pending:
            tried.append(("pending", life.submitted(i)))
        if i in life.denied:
            tried.append(("denied", life.denied[i]))
        for event, at in tried:
            if traces.in_outage(at) and traces.switched_on(event) and h.share("event 46", event, i) < _TOLD:
                recipient = life.request(i).upn or "Unavailable"
                events.append((at, 46, _not_sent(event, recipient)))
    return event_log(lives.HOST, sorted(events, key=lambda event: event[:2]), _APPLICATION)


def _not_sent(event: Event, recipient: str) -> dict[str, str]:
    return {
        "ExitModuleDescription": "Windows default",
        "MethodName": "Notify",
        "ErrorCode": _NOT_CONNECTED,
        "param4": "The Certification Authority was unable to send an email notification for "
        f"{_EXIT_EVENTS[event]} to {recipient}.",
        "ErrorString": "The transport failed to connect to the server.",
    }


def _attributes(row: DatabaseRow) -> str:
    return f"CertificateTemplate:{row.template.name if row.template else ''}"


def _issuance(row: DatabaseRow, version: int, key_id: str) -> dict[str, str]:
    """The data of event 4887; Disposition 3 is CR_DISP_ISSUED, not the database's 20."""
    template = row.template.name if row.template else ""
    data = {
        "RequestId": str(row.request_id),
        "Requester": row.requester or "",
        "Attributes": _attributes(row),
        "Disposition": "3",
        "SubjectKeyIdentifier": spaced_hex(key_id),
        "Subject": row.subject or "",
    }
    if version == 0:
        return data
    return data | {
        "SubjectAlternativeName": "",
        "CertificateTemplate": template,
        "SerialNumber": row.serial.text if row.serial else "",
        "AuthenticationService": "Kerberos",
        "AuthenticationLevel": "Privacy",
        "DCOMorRPC": "RPC",
    }
