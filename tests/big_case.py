"""A case of any number of findings, made in seconds: what a browser, a profile or a count of work is tried on.

    python -m tests.big_case FOLDER [FINDINGS]      makes FOLDER/case, with as many findings that can be acted on

The simulator writes a small incident; behind its own mails stand as many more of one wording, each about a
certificate that the restored CA does not have. Only the mails' number is big, so nothing has to be signed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

from carecover.case import Case
from carecover.simulator import Scenario, make_incident
from carecover.simulator.authority import derive
from carecover.simulator.incident import Incident

SCENARIO = Scenario(seed=3, certificates=60, ordinary_mail=0, mail_carries_certificate=0.0)
# Of so many people and templates a company of this size has a few each.
_PEOPLE, _TEMPLATES = 400, ("User", "WebServer", "Machine", "CodeSigning")
_MAIL = """\
From pki@corp.example {envelope}
From: pki@corp.example
To: {person}@corp.example
Subject: Your certificate has been issued by Example Issuing CA 1
Date: {date}
Message-ID: <{request}@pki01.corp.example>
MIME-Version: 1.0
Content-Type: text/plain; charset="us-ascii"
Content-Transfer-Encoding: 7bit

Request ID: {request}
UPN: {person}@corp.example
Requester Name: CORP\\{person}
Serial Number: {serial}
Valid not before: {begin}
Valid not after: {end}
Distinguished Name: CN={person}-{request}, O=Example, C=DE
Certificate Template: {template}
Certificate Hash: {thumbprint}
Request Disposition Message: Issued

"""


def make_big_case(place: Path, findings: int = 100_000) -> Case:
    """A case in ``place``/case with its evidence added and about ``findings`` more orphaned certificates.

    A few others are the small incident's own: lost revocations and releases, infrastructure, what needs no action.
    """
    incident = make_incident(SCENARIO)
    incident.write(place / "incident")
    with (place / "incident" / "evidence" / "mail" / "many.mbox").open("w", encoding="ascii", newline="\n") as file:
        file.writelines(many_mails(incident, findings))
    now = SCENARIO.failure + timedelta(hours=52)
    case = Case.create(place / "case", clock=lambda: now, **incident.facts.to_json())
    case.add([place / "incident" / "evidence"])
    return case


def many_mails(incident: Incident, number: int) -> Iterator[str]:
    """Entries of an mbox: so many certificates that were issued between backup and failure, by request ID."""
    h = incident.history
    first = max(h.lost_ids) + 1
    step = (h.failure - h.backup) / (number + 2)
    for n in range(number):
        at = (h.backup + step * (n + 1)).astimezone(h.zone)
        begin = at - timedelta(minutes=10)
        person = f"person{n % _PEOPLE}"
        random = derive(SCENARIO.seed, "many", n)
        serial = h.life.authority.high_serial.serial(first + n, 0, random)
        yield _MAIL.format(
            envelope=at.strftime("%a %b %d %H:%M:%S %Y"),
            person=person,
            date=format_datetime(at),
            request=first + n,
            serial=serial.text,
            begin=_printed(begin.strftime("%m/%d/%Y %I:%M %p")),
            end=_printed((begin + timedelta(days=365)).strftime("%m/%d/%Y %I:%M %p")),
            template=_TEMPLATES[n % len(_TEMPLATES)],
            thumbprint=(random * 2)[:20].hex(" "),
        )


def _printed(date: str) -> str:
    return date.lstrip("0").replace("/0", "/").replace(" 0", " ")


if __name__ == "__main__":
    made = make_big_case(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
    print(f"{made.path}: {len(made.findings):,} findings")
