"""The Security log of the simulated CA as XML, as Event Viewer and wevtutil export it.

The data of events 4887 follows public samples; the names of the data of 4870 and 4872 are
assumed, because only their text form is public.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import escape, quoteattr

_NAMESPACE: Final = "http://schemas.microsoft.com/win/2004/08/events/event"


def security_log(computer: str, events: Iterable[tuple[datetime, int, Mapping[str, str]]]) -> Iterator[bytes]:
    """Events (time, event ID, data) as one XML document, piece by piece."""
    yield b'<?xml version="1.0" encoding="utf-8" standalone="yes"?>\r\n<Events>\r\n'
    for record, (at, event_id, data) in enumerate(events, start=10_001):
        stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
        items = "".join(f"<Data Name={quoteattr(name)}>{escape(value)}</Data>" for name, value in data.items())
        version = 1 if event_id == 4887 else 0
        yield (
            f'<Event xmlns="{_NAMESPACE}"><System>'
            f'<Provider Name="Microsoft-Windows-Security-Auditing" '
            f'Guid="{{54849625-5478-4994-a5ba-3e3b0328c30d}}"/>'
            f"<EventID>{event_id}</EventID><Version>{version}</Version><Level>0</Level><Task>12805</Task>"
            f"<Opcode>0</Opcode><Keywords>0x8020000000000000</Keywords>"
            f'<TimeCreated SystemTime="{stamp}"/><EventRecordID>{record}</EventRecordID>'
            f"<Channel>Security</Channel><Computer>{escape(computer)}</Computer><Security/>"
            f"</System><EventData>{items}</EventData></Event>\r\n"
        ).encode()
    yield b"</Events>\r\n"
