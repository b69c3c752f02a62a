"""Made-up cases for the report: a realistic one, an empty one and a hostile one."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from carecover.model import TABLES, CaseFacts, Plan, PlanItem, SignOff, utc_text
from carecover.report import Execution

BACKUP = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
FAILURE = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
RESTORED = datetime(2026, 3, 4, 17, 45, tzinfo=UTC)
MADE_AT = datetime(2026, 3, 6, 8, 15, tzinfo=UTC)

TEMPLATES = ("WebServer", "User", "Workstation", "SmartcardLogon", "DomainControllerAuthentication", "VPNUser")


def digest(text: str) -> str:
    """A SHA-256 that is the same every time."""
    return hashlib.sha256(text.encode()).hexdigest()


def serial(number: int) -> str:
    """A serial in the layout 'number' of AD CS."""
    return f"63{number:08x}{digest(str(number))[:16]}0000{number:08x}"


def item(number: int, finding: dict[str, Any], action: Any, reason: int | None, method: Any) -> PlanItem:
    """A plan item for a finding."""
    return PlanItem(
        number=number,
        finding_id=finding["finding_id"],
        serial=finding["serial"],
        kind=finding["kind"],
        action=action,
        reason=reason,
        method=method,
        certificate_sha256=None,
        expected_thumbprint=None,
        not_after=utc_text(finding["not_after"]),
        ca_cert_index=0,
        ca_key_index=0,
        hash_waived=False,
        original_reason=finding.get("original_reason"),
        original_revoked_at=utc_text(finding.get("original_revoked_at")),
        subject=finding["subject"],
        requester=finding["requester"],
        template=finding["template"],
        note="Server taken out of service" if reason == 5 else None,
        decided_by="Anna Schmidt",
        replace_first=action == "revoke" and bool(finding.get("replace_first")),
    )


def realistic() -> dict[str, Any]:
    """A mid-size CA: 47 certificates and six revocations lost in two and a half days; three decisions open."""
    dice = random.Random(7)
    hours = int((FAILURE - BACKUP).total_seconds() // 3600)
    rows = []
    for number in range(1, 2600):
        at = BACKUP - timedelta(minutes=dice.randrange(60 * 24 * 90))
        rows.append(
            {"request_id": number, "disposition": 20, "serial": serial(number), "not_before": at, "submitted_at": at}
        )
    for number in range(2600, 2640):
        at = RESTORED + timedelta(minutes=dice.randrange(60 * 30))
        rows.append({"request_id": number, "disposition": 20, "serial": serial(number), "not_before": at})
    findings: list[dict[str, Any]] = []
    for number in range(47):
        at = BACKUP + timedelta(hours=dice.choice([h for h in range(hours) if 5 <= (h + 22) % 24 <= 17]), minutes=7)
        template = dice.choice(TEMPLATES)
        host = f"srv{dice.randrange(100, 999)}.corp.example.net"
        revoked = number % 9 == 0
        findings.append(
            {
                "finding_id": f"orphaned-{serial(2600 + number)}",
                "kind": "orphaned",
                "serial": serial(2600 + number),
                "request_id": 2600 + number,
                "ca_cert_index": 0,
                "ca_key_index": 0,
                "subject": f"CN={host},O=Example AG,C=DE",
                "requester": f"CORP\\{host.split('.', maxsplit=1)[0]}$",
                "template": template,
                "not_before": at,
                "not_after": at + timedelta(days=365),
                "issued_at": at,
                "evidence": [f"E0001 byte {number * 2311} (issued)", f"E0003 line {number * 3 + 9}"],
                "confidence": "high" if number % 5 else "medium",
                "why": "Not in the restored database; shown by the certificate itself, with the CA's signature "
                "verified, "
                "the CA's mail." + (" Only a mail says that it was revoked: a person must decide." if revoked else ""),
                "suggested_action": "revoke" if revoked else None,
                "suggested_reason": 5 if revoked else None,
                "circumstances": ["revoked_in_window"] if revoked else [] if number % 5 else ["mail_only"],
                "infrastructure": template.startswith("Domain"),
                "replace_first": template.startswith("Domain") or template == "WebServer",
            }
        )
    for number in range(6):
        at = BACKUP + timedelta(hours=9 + 8 * number)
        findings.append(
            {
                "finding_id": f"lost_revocation-{serial(900 + number)}",
                "kind": "lost_revocation",
                "serial": serial(900 + number),
                "request_id": 900 + number,
                "ca_cert_index": 0,
                "ca_key_index": 0,
                "subject": f"CN=User {number:02},OU=Sales,O=Example AG,C=DE",
                "requester": f"CORP\\user{number:02}",
                "template": "User",
                "not_before": BACKUP - timedelta(days=200),
                "not_after": BACKUP + timedelta(days=165),
                "original_revoked_at": at,
                "original_reason": 1,
                "evidence": ["E0004 CRL 412", f"E0001 byte {700000 + number} (revoked)"],
                "confidence": "high",
                "why": "The row is good, but the CA had revoked it before the failure.",
                "suggested_action": "revoke",
                "suggested_reason": 1,
                "infrastructure": False,
            }
        )
    acted = [
        item(n, f, "revoke", 1, "row")
        if f["kind"] == "lost_revocation"
        else item(n, f, *(("revoke", 5, "dummy") if n % 4 else ("restore", None, "original")))
        for n, f in enumerate(findings, start=1)
    ]
    acted[4] = item(5, findings[4], "leave", None, "none")
    findings.append(
        {
            "finding_id": "reused_request_id-2601",
            "kind": "reused_request_id",
            "request_id": 2601,
            "evidence": ["E0001 byte 2311 (issued)", "E0002 row 2601"],
            "confidence": "high",
            "why": "The restored CA has handed request ID 2601 out again: before the failure it was CORP\\srv412$'s "
            "request, in the restored database it is CORP\\user17's. Whoever still holds the old number must "
            "not ask by it, "
            "and nobody may resolve, deny or fetch by it without looking.",
        }
    )
    findings += [
        {
            "finding_id": f"unaccounted_request-{request_id}",
            "kind": "unaccounted_request",
            "request_id": request_id,
            "confidence": "low",
            "why": f"Nothing that was handed in says what became of request {request_id}, which lies between others "
            "that the CA had. It may have been a certificate. Its serial number is random, so it can be neither "
            "found nor "
            "revoked without further evidence.",
        }
        for request_id in (2611, 2630)
    ]
    findings.append(
        {
            "finding_id": f"suspect_notification-{serial(17)}",
            "kind": "suspect_notification",
            "serial": serial(17),
            "request_id": 18,
            "requester": "CORP\\user99",
            "evidence": ["E0001 byte 48001200 (revoked)"],
            "confidence": "low",
            "why": "It says request ID 18, and its serial carries 17. It was handed in by mx.evil.example, "
            "unlike the CA's "
            "other mails.",
        }
    )
    plan = Plan(
        case="Issuing CA 2, March 2026",
        ca_name="Example Issuing CA 2",
        config="ca02.corp.example.net\\Example Issuing CA 2",
        ca_certificate_sha256=digest("ca"),
        signer_sha256={"0": digest("ca")},
        newest_request_id=2639,
        last_crl_numbers={"0": "412"},
        items=tuple(acted),
        waivers=("baseline: the CA issued 40 certificates after the restore; all were looked at one by one.",),
    )
    outcomes: list[dict[str, object]] = [
        {
            "finding_id": i.finding_id,
            "serial": i.serial,
            "action": i.action,
            "transcript": "nothing to do" if i.method == "none" else "revoke: done",
            "database": "revoked, reason 5 (Cessation of Operation)" if i.action == "revoke" else "issued",
            "crl": f"CRL 414: listed, reason {i.reason}" if i.action == "revoke" else "CRL 414: not listed",
            "cdp": "CRL 414 at the distribution point says the same",
            "verdict": "proved",
            "why": f"CRL 414, signed by the CA and in force until 2026-03-13 09:10 UTC, lists it with the "
            f"reason {i.reason}."
            if i.action == "revoke"
            else "The later view shows it as issued, and CRL 414 does not list it.",
            "ocsp": "revoked since 2026-03-05 07:49 UTC" if i.number % 9 == 0 and i.action == "revoke" else None,
            "old_revoked_at": i.original_revoked_at,
            "new_revoked_at": RESTORED + timedelta(hours=14, minutes=i.number) if i.action == "revoke" else None,
        }
        for i in acted
    ]
    for number, verdict, why in (
        (11, "failed", "CRL 414 does not list it. The batch stopped at its step 'import' with exit code -2146885628."),
        (23, "pending", "It is revoked in the database, but CRL 414 does not list it yet: publish a CRL."),
        (31, "pending", "It is revoked in the database, but CRL 414 does not list it yet: publish a CRL."),
    ):
        outcomes[number] |= {"verdict": verdict, "why": why, "crl": "CRL 414: not listed", "cdp": None}
    rehearsed = [o | {"verdict": "proved", "cdp": None, "database": None} for o in outcomes]
    frame = TABLES["outcomes"].frame
    return {
        "case_name": plan.case,
        "facts": CaseFacts(
            ca="Example Issuing CA 2",
            backup=BACKUP,
            failure=FAILURE,
            restored=RESTORED,
            time_zone="Europe/Berlin",
            key_exposed="no",
            config=plan.config,
        ),
        "tables": {
            "ca_rows": TABLES["ca_rows"].frame(rows),
            "findings": TABLES["findings"].frame(findings),
            "coverage": TABLES["coverage"].frame(
                [
                    {
                        "aspect": "request IDs in the gap",
                        "figure": "49 of 51 seen (2600 to 2650)",
                        "verdict": "gap",
                        "why": "request IDs 2611 and 2630 left no trace: refused, failed, or a certificate that "
                        "nobody knows.",
                    },
                    {
                        "aspect": "mails day by day",
                        "figure": "9 days, 127 mails, 1 day marked",
                        "verdict": "good",
                        "why": "No day of the gap stands out. A few missing mails would not show here.",
                    },
                    {
                        "aspect": "events that are mailed",
                        "figure": "EventFilter not read",
                        "verdict": "unknown",
                        "why": "The registry of the exit module was not handed in: which events were mailed at "
                        "all is not "
                        "known. On the CA: certutil -getreg exit\\smtp",
                    },
                ]
            ),
            **_told(),
            "decisions": TABLES["decisions"].frame(
                {
                    "finding_id": i.finding_id,
                    "serial": i.serial,
                    "action": i.action,
                    "reason": i.reason,
                    "note": i.note,
                    "decided_by": i.decided_by,
                    "decided_at": RESTORED + timedelta(hours=3, minutes=i.number),
                }
                for i in acted
            ),
            "evidence": TABLES["evidence"].frame(
                {
                    "evidence_id": f"E000{n}",
                    "path": path,
                    "kind": kind,
                    "size": size,
                    "sha256": digest(path),
                    "added_at": RESTORED + timedelta(hours=1, minutes=n),
                }
                for n, (path, kind, size) in enumerate(
                    (
                        ("C:\\incident\\ca-mailbox.mbox", "mbox", 48_112_301),
                        ("C:\\incident\\view-after-restore.csv", "view_csv", 3_902_113),
                        ("C:\\incident\\view-after-restore.txt", "view_text", 12_402_113),
                        ("C:\\incident\\Example Issuing CA 2.crl", "crl", 19_233),
                        ("C:\\incident\\Example Issuing CA 2.crt", "certificate", 1_733),
                    ),
                    start=1,
                )
            ),
            "accounting": TABLES["accounting"].frame(
                {
                    "evidence_id": f"E000{n}",
                    "units": sum(counts),
                    "parsed": counts[0],
                    "irrelevant": counts[1],
                    "duplicate": counts[2],
                    "rejected": counts[3],
                }
                for n, counts in enumerate(
                    ((53, 4188, 3, 2), (2639, 0, 0, 0), (0, 0, 2639, 0), (1, 0, 0, 0), (1, 0, 0, 0)), start=1
                )
            ),
            "rejects": TABLES["rejects"].frame(
                {
                    "evidence_id": "E0001",
                    "location": f"byte {place}",
                    "stage": "parse",
                    "reason": "The mail ends within its headers: it was cut off.",
                    "size": 412,
                    "sha256": digest(str(place)),
                }
                for place in (1_200_311, 48_111_888)
            ),
            "outcomes": frame(outcomes),
            "crls": TABLES["crls"].frame(
                {
                    "crl_sha256": digest(f"crl{number}"),
                    "crl_number": str(number),
                    "this_update": at,
                    "next_update": at + timedelta(days=8),
                    "is_delta": False,
                    "entries": entries,
                    "signed_by_ca": True,
                    "ca_version": 0,
                }
                for number, at, entries in (
                    (412, BACKUP + timedelta(days=1), 218),
                    (414, MADE_AT - timedelta(hours=11), 262),
                )
            ),
        },
        "plan": plan,
        "sign_offs": [
            SignOff(plan.digest, "Anna Schmidt", "analyst", RESTORED + timedelta(hours=5)),
            SignOff(plan.digest, "Jörg Öztürk", "reviewer", RESTORED + timedelta(hours=6)),
        ],
        "rehearsal": Execution(
            at=RESTORED + timedelta(hours=6, minutes=20),
            name="simulator",
            plan_digest=plan.digest,
            phases=(
                ("prepare.cmd GO", 0),
                ("revoke.cmd preflight", 0),
                ("revoke.cmd apply", 0),
                ("revoke.cmd publish", 0),
            ),
            outcomes=frame(rehearsed),
            assumptions=(
                "A dummy made by certutil -sign lives as long as the CA certificate.",
                "A second import of the same serial number is refused.",
            ),
        ),
        "executions": [
            Execution(
                at=RESTORED + timedelta(hours=14),
                name="runs/2026-03-05T074500Z",
                plan_digest=plan.digest,
                phases=(("revoke.cmd preflight", 0), ("revoke.cmd apply", 1), ("revoke.cmd publish PARTIAL", 0)),
                transcript_sha256=(digest("log"),),
            )
        ],
        "journal_head": digest("journal"),
        "made_at": MADE_AT,
        "version": "0.1.0",
        "trusted_until": BACKUP + timedelta(days=9),
    }


def _told() -> dict[str, pd.DataFrame]:
    """What analysis and proof make of the realistic case, in small."""
    days = [BACKUP.replace(hour=0) + timedelta(days=n) for n in range(-5, 4)]
    mails = (19, 24, 21, 23, 5, 4, 22, 0, 9)
    places = (
        ("http://pki.example.net/crl/Example Issuing CA 2.crl", "base", "CRL 414, fetched 2026-03-06 07:58 UTC", True),
        (
            "http://pki2.example.net/crl/Example Issuing CA 2.crl",
            "base",
            "CRL 412, fetched 2026-03-06 07:59 UTC",
            False,
        ),
        ("http://pki.example.net/crl/Example Issuing CA 2+.crl", "delta", None, None),
        (
            "http://ocsp.example.net/ocsp",
            "ocsp",
            "answers: 6; 0 of them from before the new CRL, fetched 2026-03-06 07:58 UTC",
            True,
        ),
    )
    rows: dict[str, list[dict[str, object]]] = {
        "activity": [
            {
                "day": day,
                "mails": count,
                "events": count + 2,
                "rows": count,
                "outage": count == 0,
                "why": "Of 21 requests that are shown otherwise, 21 have no mail." if count == 0 else None,
            }
            for day, count in zip(days, mails, strict=True)
        ],
        "first_steps": [
            {
                "when": "stop",
                "step": "Keep the CA in maintenance mode (no templates, no requests) until the gap is worked off.",
                "why": "A restored CA is online at once, with its templates, and takes the lost request IDs for new "
                "requests. It has issued 40 certificates since the restore.",
            },
            {
                "when": "now",
                "step": "Check again at the next two base CRLs that the CA publishes on its schedule: carecover "
                "verify.",
                "why": "A dummy that expires too early, or an emergency CRL's entry that is not in the database, drops "
                "off there.",
            },
            {"when": "later",
             "step": "Make a new full backup of the CA when the work is done, before it leaves maintenance mode.",
             "why": "Earlier backups cannot be joined to a restored database, and lack what was mended."},
        ],
        "impact": [
            {"aspect": "template", "item": "WebServer", "figure": "11 certificates, 11 to be replaced first",
             "why": "Revoking stops what uses certificates of this template."},
            {"aspect": "validity left", "item": "up to a year", "figure": "53 certificates",
             "why": "Left after the restore: so long clients accept them unless they are revoked."},
            {"aspect": "CRL", "item": "key 0",
             "figure": "218 entries, 11,861 bytes in CRL 412 → at most 265 entries, 14,305 bytes",
             "why": "The list itself was measured; an entry's size follows from its serial number and reason."},
        ],
        "owners": [
            {"requester": "CORP\\srv412$", "account": "machine", "certificates": 2, "infrastructure": 0,
             "replace_first": 2, "last_not_after": FAILURE + timedelta(days=364)},
            {"requester": "CORP\\user00", "account": "user", "certificates": 1, "infrastructure": 0,
             "replace_first": 0, "last_not_after": BACKUP + timedelta(days=165)},
        ],
        "visibility": [
            {"url": url, "kind": kind, "ca_key_index": 0, "seen": seen, "current": current,
             "trusted_until": BACKUP + timedelta(days=9),
             "why": "The old lists that were handed in end by then; until then a client need not look again."}
            for url, kind, seen, current in places
        ],
        "crl_changes": [
            {"ca_key_index": 0, "old_number": "412", "new_number": "414", "serial": serial(n), "change": change,
             "old_reason": old, "new_reason": new, "verdict": verdict, "why": why}
            for n, change, old, new, verdict, why in (
                (2601, "added", None, 5, "planned", "It was revoked, as planned."),
                (311, "dropped", 4, None, "unexpected", ("Nobody planned a release, and the certificate is valid "
                "until 2027-01-04.")),
                (77, "dropped", 4, None, "expired", ("The certificate ended on 2026-03-02: a CA leaves expired "
                "ones out.")),
            )
        ],
        "crl_lint": [
            {"crl_sha256": digest("crl414"), "crl_number": "414", "severity": "warning", "rule": "RFC 5280 5.3.1",
             "what": "3 entries say the reason 0 (unspecified), which should be left out."},
        ],
        "stamps": [
            {"act": 41, "head": digest("act 41"), "stamped_at": MADE_AT - timedelta(hours=2), "by": "Ada Analyst",
             "authority": "CN=Example TSA,O=Example Ltd (2f)", "sha256": digest("answer"),
             "kept_at": MADE_AT - timedelta(hours=1)},
        ],
    }  # fmt: skip
    return {name: TABLES[name].frame(table) for name, table in rows.items()}


def empty() -> dict[str, Any]:
    """A case of which nothing is known."""
    return {
        "case_name": "new",
        "facts": CaseFacts(),
        "tables": {},
        "plan": None,
        "sign_offs": [],
        "rehearsal": None,
        "journal_head": "0" * 64,
        "made_at": MADE_AT,
        "version": "0.1.0",
    }


EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}{% include '/etc/passwd' %}",
    "' onmouseover='alert(1)",
    "</style><style>@import url(http://evil.example/x.css)</style>",
    "&lt;b&gt; & &#60;",
    "\u202eexe.dorc\u202c \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "a\x00b\x1b[31mc\ud800d",
    "]]><!--<svg onload=alert(1)>",
    "W" * 50_000,
)


def hostile(rows: int = 2000) -> dict[str, Any]:
    """Markup, templates, RTL, controls, lone surrogates and huge texts wherever a text can be; many findings."""
    case = realistic()
    plan = case["plan"]
    names = {c.name: c.kind for c in TABLES["findings"].columns}
    tables = {}
    for name, schema in TABLES.items():
        texts = [c.name for c in schema.columns if c.kind == "text" and c.name not in ("kind", "verdict", "action")]
        evil = {column: _plain(EVIL[(n + k) % len(EVIL)] for n in range(40)) for k, column in enumerate(texts)}
        lists = {
            c.name: [_plain([EVIL[n % len(EVIL)]] * 9) for n in range(40)] for c in schema.columns if c.kind == "list"
        }
        tables[name] = schema.typed({**evil, **lists}, 40)
    assert names["kind"] == "text"
    # The huge ones come once, or the sample alone would fill gigabytes.
    usual = tables["findings"][tables["findings"]["subject"].str.len() < 1000]
    many = pd.concat([tables["findings"], *[usual] * (rows // len(usual))], ignore_index=True)
    many = many.head(len(many) // 4 * 4)
    many["kind"] = pd.Series(
        ["orphaned", "lost_revocation", "<b>new kind</b>", None] * (len(many) // 4), dtype="string[pyarrow]"
    )
    many["not_before"] = [datetime(1601 + n % 8000, 1, 1, tzinfo=UTC) for n in range(len(many))]
    tables["findings"] = many
    tables["outcomes"]["verdict"] = "<i>proved</i>"
    evil_item = item(
        1,
        {
            **dict.fromkeys(("finding_id", "serial", "kind", "subject", "requester", "template"), EVIL[0]),
            "not_after": MADE_AT,
        },
        "leave",
        None,
        "none",
    )
    plan = Plan(
        **{
            **{f: getattr(plan, f) for f in plan.__dataclass_fields__},
            "items": (evil_item,),
            "waivers": tuple(_plain(EVIL)),
        }
    )
    run = Execution(tables["outcomes"], MADE_AT, EVIL[0], EVIL[1], ((EVIL[0], 1), (EVIL[1], 2)), (EVIL[2],), EVIL)
    return case | {
        "case_name": EVIL[0],
        "facts": CaseFacts(ca=EVIL[1], config=EVIL[4], time_zone="Europe/Berlin", key_exposed="yes"),
        "tables": tables,
        "plan": plan,
        "sign_offs": [SignOff(EVIL[0], EVIL[1], "analyst", MADE_AT)],
        "rehearsal": run,
        "executions": [run],
    }


def _plain(texts: Iterable[str]) -> list[str]:
    """Without lone surrogates, which neither Arrow's columns nor a plan's digest can hold."""
    return [text.replace("\ud800", "") for text in texts]
