"""Plan → bundle: the folder that is carried to the CA.

Into a batch go only serial numbers, reasons, hashes, file names and digits that were checked
here, and a CA configuration string that a person typed; every batch passes the check of
``grammar.py`` before it is handed out. Evidence text goes into ``plan.json`` and, escaped,
into ``plan.html``; nowhere else.

These functions look at neither signatures nor decisions: a rehearsal runs an unsigned plan.
Whoever writes a bundle to be carried away calls ``check_signoffs`` first.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cryptography import x509

from carecover.errors import RefusedError
from carecover.model import (
    ACTIONS,
    Pin,
    Plan,
    PlanItem,
    RevocationReason,
    SerialNumber,
    canonical_json,
    sha256_hex,
)
from carecover.remediation import grammar, scripts
from carecover.remediation.plan import explain

# Three failures in a row are no longer about one certificate (design 6.5).
MAX_FAILURES: Final = 3
# More rounds than a CA publishes in three weeks with daily CRLs; beyond that somebody should look.
MAX_CRL_ROUNDS: Final = 20
# Failed imports and denied requests take request IDs too; the walk over new rows gives up after so many.
MAX_ID_GAP: Final = 1_000
# cmd.exe looks for a label by reading the file: with more lines than this a run takes days.
MAX_ITEMS: Final = 20_000
# set /a and certutil's numbers have 32 bits with a sign.
_MAX_LONG: Final = (1 << 31) - 1

# The index takes the lower half of 1.3.6.1.4.1.311.21.1.
_MAX_INDEX: Final = 1 << 16

_SERIAL = re.compile(r"(?:[0-9a-f]{2}){1,20}", re.ASCII)
_SHA1 = re.compile(r"[0-9a-f]{40}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
# HOST\NAME as typed at init; what does not fit is left out, and certutil asks the local CA.
_CONFIG = re.compile(r"[0-9A-Za-z.-]{1,255}\\[0-9A-Za-z ._()-]{1,64}", re.ASCII)
_HIGH_BIT: Final = 0x80


def certificate_name(item: PlanItem) -> str:
    """The file of an item's certificate within the bundle: ``certs/…`` or ``dummies/…``.

    Named by the serial number alone: a later plan numbers its items anew, and must find the
    dummies that an earlier one made (a second dummy would not be the imported one).
    """
    folder = "dummies" if item.method == "dummy" else "certs"
    return f"{folder}/{item.serial}.cer"


def prepare_bundle(
    plan: Plan, certificates: Mapping[str, bytes], *, journal_head: str | None = None
) -> dict[str, bytes]:
    """The bundle as far as it can be written before any dummy is made: file name → bytes.

    ``certificates``: SHA-256 → DER of the CA's own certificates and of every original in
    the plan. Where dummies are needed there is a ``prepare.cmd`` and no ``revoke.cmd`` yet;
    else ``revoke.cmd`` is complete. Raises RefusedError for a plan or certificate that does
    not hold together.
    """
    files = _common_files(plan, certificates)
    if not plan.needs_dummies:
        files |= _run_files(plan, {})
    return _with_manifest(plan, files, journal_head)


def pinned_bundle(
    plan: Plan,
    certificates: Mapping[str, bytes],
    pins: Sequence[Pin],
    dummies: Mapping[str, bytes],
    *,
    journal_head: str | None = None,
) -> dict[str, bytes]:
    """The whole bundle, with the hash of every dummy written into ``revoke.cmd``.

    ``dummies``: serial → bytes of the file as ``prepare.cmd`` made it. Raises RefusedError
    where a pin is missing, has a problem, or is not that file's.
    """
    by_serial = {pin.serial: pin for pin in pins}
    files = _common_files(plan, certificates)
    for item in plan.items:
        if item.method != "dummy":
            continue
        pin, data = by_serial.get(item.serial), dummies.get(item.serial)
        if pin is None or data is None:
            raise RefusedError(f"{item.serial}: its dummy was not checked: run prepare.cmd to its end, then pin again.")
        if pin.problems:
            raise RefusedError(f"{item.serial}: its dummy must not be imported: {' '.join(pin.problems)}")
        if sha256_hex(data) != pin.sha256:
            raise RefusedError(f"{item.serial}: the dummy was changed after it was checked: pin again.")
        files[certificate_name(item)] = data
    files |= _run_files(plan, by_serial)
    return _with_manifest(plan, files, journal_head)


# ------------------------------------------------------------------------------- the files


def _common_files(plan: Plan, certificates: Mapping[str, bytes]) -> dict[str, bytes]:
    """What does not depend on dummies."""
    _check(plan)
    files = {
        "README.txt": _lines(_readme(plan)),
        "ca.cer": _certificate(certificates, plan.ca_certificate_sha256, "the CA's own certificate"),
        "plan.html": _html(plan),
        # Its SHA-256 is the digest that was signed.
        "plan.json": canonical_json(plan.to_json()),
    }
    for item in plan.items:
        if item.method == "original":
            data = _certificate(certificates, item.certificate_sha256 or "", f"the original of {item.serial}")
            if hashlib.sha1(data, usedforsecurity=False).hexdigest() != item.expected_thumbprint:
                raise RefusedError(
                    f"{item.serial}: the thumbprint in the plan is not the original's. Make the plan again."
                )
            files[certificate_name(item)] = data
    if plan.needs_dummies:
        files["prepare.cmd"] = _prepare(plan, certificates)
    return files


def _run_files(plan: Plan, pins: Mapping[str, Pin]) -> dict[str, bytes]:
    """revoke.cmd, and undo.cmd where the plan releases something or sets a hold."""
    listed = [item for item in plan.items if item.action in ("revoke", "restore")]
    calls = [_item_line(item, item.action, pins) for item in listed]
    files = {"revoke.cmd": _batch(plan, scripts.REVOKE, calls)}
    undone = [_item_line(item, "unrevoke", pins) for item in plan.items if item.action == "unrevoke"]
    undone += [_item_line(item, "release", pins) for item in listed if item.reason == RevocationReason.CERTIFICATE_HOLD]
    if undone:
        files["undo.cmd"] = _batch(plan, scripts.UNDO, undone)
    return files


def _with_manifest(plan: Plan, files: Mapping[str, bytes], journal_head: str | None) -> dict[str, bytes]:
    body = {
        "plan": plan.digest,
        "journal_head": journal_head,
        "files": {name: {"sha256": sha256_hex(data), "size": len(data)} for name, data in sorted(files.items())},
    }
    text = json.dumps(body, indent=1, ensure_ascii=True, sort_keys=True)
    return {**files, "manifest.json": _lines(text.splitlines())}


def _certificate(certificates: Mapping[str, bytes], sha256: str, what: str) -> bytes:
    data = certificates.get(sha256)
    if data is None or sha256_hex(data) != sha256:
        raise RefusedError(f"The plan needs {what}, and no certificate of the case has its SHA-256 {sha256}.")
    return data


# ----------------------------------------------------------------------------- the batches


def _prepare(plan: Plan, certificates: Mapping[str, bytes]) -> bytes:
    signers = {
        index: SerialNumber(
            x509.load_der_x509_certificate(
                _certificate(certificates, sha256, f"CA certificate number {index}")
            ).serial_number
        ).text
        for index, sha256 in plan.signer_sha256.items()
    }
    calls = []
    for item in plan.items:
        if item.method == "dummy":
            if str(item.ca_cert_index) not in signers:
                raise RefusedError(
                    f"{item.serial}: CA certificate number {item.ca_cert_index} is not in the plan, so no dummy "
                    "can be made."
                )
            name = certificate_name(item).replace("/", "\\")
            calls.append(f'call :sign "{item.number}" "{item.serial}" "{signers[str(item.ca_cert_index)]}" "{name}"')
    return _batch(plan, scripts.PREPARE, calls)


def _batch(plan: Plan, parts: Sequence[str], calls: Sequence[str]) -> bytes:
    """Join templates, put the checked values in, and check the whole against the grammar."""
    config = _written_config(plan)
    last_crl = max((int(number) for number in plan.last_crl_numbers.values()), default=None)
    settings = [
        f'set "CASHA={plan.ca_certificate_sha256}"',
        f'set "CASPACED={_spaced(plan.ca_certificate_sha256)}"',
        *([f'set "CACONFIG={config}"'] if config else []),
        f'set "NEWEST={"" if plan.newest_request_id is None else plan.newest_request_id}"',
        f'set "LASTCRL={last_crl if last_crl is not None and last_crl <= _MAX_LONG else ""}"',
    ]
    # The CRL of the newest CA certificate, and of each other one that signed something planned.
    signers = {int(index) for index in plan.signer_sha256}
    used = {item.ca_cert_index for item in plan.items if item.method != "none"}
    indexes = sorted({max(signers), *(used & signers)})
    values = {
        "@PLAN@": plan.digest,
        "@SETTINGS@": "\n".join(settings),
        "@CONFIG@": '-config "%CACONFIG%" ' if config else "",
        "@MAX_FAILURES@": str(MAX_FAILURES),
        "@MAX_CRL_ROUNDS@": str(MAX_CRL_ROUNDS),
        "@MAX_ID_GAP@": str(MAX_ID_GAP),
        "@SAVES@": "\n".join(f'call :save "{index}"' for index in indexes),
        "@ITEMS@": "\n".join(calls),
    }
    text = "".join(parts).lstrip("\n")
    for name, value in values.items():
        text = text.replace(name, value)
    data = _lines(text.rstrip("\n").split("\n"))
    grammar.check(data)
    return data


def _written_config(plan: Plan) -> str | None:
    """The configuration string as it may stand in a batch; None where the local CA is asked."""
    return plan.config if plan.config is not None and _CONFIG.fullmatch(plan.config) else None


def _item_line(item: PlanItem, action: str, pins: Mapping[str, Pin]) -> str:
    """The data of one certificate as nine quoted arguments (form: grammar.py)."""
    thumbprint, sha256, name = item.expected_thumbprint or "", "", ""
    if item.method == "dummy":
        pin = pins[item.serial]
        thumbprint, sha256 = pin.thumbprint, pin.sha256
    elif item.method == "original":
        sha256 = item.certificate_sha256 or ""
    if sha256 and action != "release":
        name = certificate_name(item).replace("/", "\\")
    else:
        sha256 = ""
    # Whether a database keeps the sign byte of a high serial number is not known: both are asked for.
    pad = "00" if bytes.fromhex(item.serial)[0] & _HIGH_BIT else ""
    reason = item.reason if action == "revoke" and item.reason is not None else ""
    values = (action, item.number, item.serial, pad, reason, _spaced(thumbprint), name, sha256, _spaced(sha256))
    return "call :item " + " ".join(f'"{value}"' for value in values)


def _spaced(digest: str) -> str:
    """Pairs with blanks between, as the row dump and older certutil -hashfile print a hash."""
    return bytes.fromhex(digest).hex(" ")


def _lines(lines: Iterable[str]) -> bytes:
    return "".join(line + "\r\n" for line in lines).encode("ascii")


def _check(plan: Plan) -> None:
    """Refuse a plan whose values may not stand in a batch, whoever made it."""
    if len(plan.items) > MAX_ITEMS:
        raise RefusedError(
            f"The plan has {len(plan.items)} certificates; a batch takes {MAX_ITEMS}. Work in parts: have the "
            "rest waived as "
            "undecided, and plan it again afterwards."
        )
    digests = [plan.ca_certificate_sha256, *plan.signer_sha256.values()]
    if not all(_SHA256.fullmatch(digest) for digest in digests) or not all(k.isdecimal() for k in plan.signer_sha256):
        raise RefusedError("The plan does not name the CA's certificates as it should: make it again.")
    if plan.newest_request_id is not None and not 0 <= plan.newest_request_id <= _MAX_LONG:
        raise RefusedError(f"The baseline's newest request ID {plan.newest_request_id} is none: make the plan again.")
    for number, item in enumerate(plan.items, start=1):
        writes = item.method in ("row", "original", "dummy")
        fits = (
            item.number == number
            and _SERIAL.fullmatch(item.serial)
            and SerialNumber.parse(item.serial).text == item.serial
            and item.ca_cert_index in range(_MAX_INDEX)
            and item.action in ACTIONS
            and writes == (item.action in ("revoke", "restore", "unrevoke"))
            and (item.action != "restore" or item.method in ("original", "row"))
            and (item.action != "unrevoke" or item.method == "row")
            and (item.reason in range(7) if item.action == "revoke" else item.reason is None)
            and (item.expected_thumbprint is None or _SHA1.fullmatch(item.expected_thumbprint))
            and (item.method != "original" or item.expected_thumbprint is not None)
            and (item.method != "row" or item.expected_thumbprint is not None or item.hash_waived)
        )
        if not fits:
            raise RefusedError(f"Item {number} of the plan does not hold together: make the plan again.")


# ------------------------------------------------------------------------------ for people


def _readme(plan: Plan) -> list[str]:
    """The steps on the CA, for an administrator who was not there when the plan was made."""
    first = 2 if plan.needs_dummies else 1
    since, config = plan.newest_request_id, _written_config(plan)
    asked = (
        [f"- The CA that is asked is {config}. It must be the one of ca.cer, else everything is refused."]
        if config
        else [
            "- The CA that is asked is the one of this server: run this on the CA itself. (No configuration string was",
            "  given, or it holds characters that no batch may hold.)",
        ]
    )
    prepare = [
        "1. SIGN, with access to the CA key. Stay at the screen: a dialog or a card reader may ask, for each one.",
        "     prepare.cmd FIRST       one dummy certificate, then look at it: certutil -dump FILE",
        "     prepare.cmd GO          all others",
        "   Bring the folders dummies and logs back. carecover pin checks every dummy and writes revoke.cmd; copy",
        "   the whole bundle to the CA again. Import no dummy by hand. Where dummies of these serial numbers were",
        "   made for an earlier plan, copy that folder dummies into this one first: they are used again.",
        "",
    ]
    revoke = [
        f"{first}. REVOKE, with the right Issue and Manage Certificates.",
        "     revoke.cmd preflight    checks everything, changes nothing",
        "     revoke.cmd apply FIRST  one certificate, then look at it in certsrv.msc",
        "     revoke.cmd apply        all others; call it again after any interruption",
        "     revoke.cmd status       shows what is as planned, changes nothing",
        "     undo.cmd apply          where there is an undo.cmd: takes off hold what the plan wants off hold",
        f"{first + 1}. PUBLISH, with the right Manage CA. Where role separation is enforced this is another account.",
        "     revoke.cmd publish      new CRLs; refuses while a planned revocation is missing",
        "     revoke.cmd status, undo.cmd status    once more: they write down what the database says",
        f"{first + 2}. DISTRIBUTE. Clients see nothing before this. Copy the new CRLs, delta CRLs too, to every",
        "   distribution point that the CA does not write itself. Have OCSP responders load the new CRLs.",
        "   Clients may go on believing an old CRL or OCSP answer until it expires.",
        f"{first + 3}. BRING BACK logs (what was tried), out (the new CRLs, and the rows as status saw them), and",
        "   a new export of the database. carecover verify proves from them what took effect. Then make a full",
        "   backup, and only then let the CA issue again.",
        "",
        "A hold that turns out to be wrong: undo.cmd hold NUMBER (the number in plan.html), then publish PARTIAL.",
        "revoke.cmd apply would put it on hold again.",
        "",
    ]
    return [
        "carecover bundle",
        f"Plan {plan.digest}",
        "",
        "Read plan.html first. The digest above is what two people signed; it is the SHA-256 of plan.json,",
        "and it stands in every .cmd file and in every log. What plan.json is: certutil -hashfile plan.json SHA256",
        "",
        "BEFORE ANYTHING ELSE",
        "- The CA must not issue until the end: note its templates (certutil -CATemplates) and take them away in",
        "  certsrv.msc. Keep pkiview.msc (Enterprise PKI) closed: it makes the CA issue a CA Exchange certificate.",
        "- Back up the database as it is now: certutil -backupDB FOLDER, to an empty folder on another disk.",
        *(
            [
                "- Replace before you revoke: plan.html says which certificates something works with now. Have a new",
                "  one in place of each before apply.",
            ]
            if any(item.replace_first for item in plan.items)
            else []
        ),
        *(
            [
                "- What was revoked before the failure gets a new revocation date: the day of apply. plan.html has the",
                "  old dates, and says what that means for signatures.",
            ]
            if any(item.action == "revoke" and item.original_revoked_at for item in plan.items)
            else []
        ),
        "- Copy the whole folder to a local disk of the CA server: no share, no read-only medium. On a cluster, to the",
        "  node that runs the CA. Change no file: hashes are checked.",
        *asked,
        "- Open the 64-bit command prompt with Run as administrator, cd to the folder, and call the scripts there.",
        "  One person, one window: a second run at the same time is refused.",
        "",
        *(prepare if plan.needs_dummies else []),
        *revoke,
        "EXIT CODES: 0 all as planned; 1 something was stopped or left; 2 wrong usage, nothing done;",
        "3 refused, nothing was changed; 5 ended early. After 1 or 5, mend the cause and call the same again: only",
        "what the CA says decides what is skipped. What certutil said is in the folder logs, what Windows said of",
        "files in work\\errors.txt.",
        "",
        "STOPPED is about one certificate; the others go on. Nothing was done to it, and calling again does not help:",
        "take it back to those who made the plan.",
        "row-missing            the database has no row for it, and the plan has no file to import",
        "other-certificate      the row of this serial number is another certificate",
        "other-reason           it is revoked already, for another reason",
        "different              it is revoked for a reason that is no hold, so it cannot be taken off hold",
        "on-hold, odd-state     the row is in a state that the plan does not expect",
        "file-...               the certificate file is missing or was changed",
        "FAILED names the step that failed (sign, look, import, revoke, unrevoke) and the code of certutil. look",
        "means that the database did not answer. Calling again tries it again.",
        "",
        "ENDED EARLY",
        "rpc-unavailable        the service does not answer: see that it runs and its database is mounted",
        "access-denied          this account lacks the right of this step, or has one too many (role separation)",
        f"{MAX_FAILURES}-failures-in-a-row    see the log: it is hardly about one certificate any more",
        "crl                    certutil -crl failed. A CRL may be written all the same, and only one place of",
        "                       publication be out of reach (events 65, 74, 75). Windows Server 2008 R2 may crash",
        "                       here with 0xc0000005 (-1073741819): see the article on restoring certificates from",
        "                       SMTP exit module data at gradenegger.eu.",
        "",
        "REFUSED because the CA has issued since the baseline: see what is new with",
        *(
            [f'  certutil -view -restrict "RequestID>{since}" -out "RequestID,Request.Disposition,SerialNumber"']
            if since
            else []
        ),
        "Rows of this plan do not count. Anything else does, a CA Exchange certificate too. Stop the issuing, export",
        "the database again, and have the plan made again from that export.",
    ]


def _html(plan: Plan) -> bytes:
    """The plan to read: self-contained, everything escaped, no script."""
    columns = (
        "number",
        "serial",
        "kind",
        "action",
        "reason",
        "method",
        "revoked",
        "replace_first",
        "subject",
        "requester",
        "template",
        "note",
        "decided_by",
    )
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_escaped(_shown(item, name))}</td>" for name in columns) + "</tr>\r\n"
        for item in plan.items
    )
    told = "".join(f"<li>{_escaped(sentence)}</li>" for sentence in explain(plan))
    text = (
        '<!DOCTYPE html>\r\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        "<title>carecover plan</title><style>body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
        "td,th{border:1px solid #999;padding:.2em .5em;text-align:left;overflow-wrap:anywhere}</style></head><body>\r\n"
        f"<h1>Plan of case {_escaped(plan.case)}</h1>\r\n<p>CA: {_escaped(plan.ca_name)}<br>Digest: "
        f"<code>{plan.digest}</code></p>\r\n"
        f"<ul>{told}</ul>\r\n<table><thead><tr>{head}</tr></thead><tbody>\r\n"
        f"{rows}</tbody></table>\r\n</body></html>\r\n"
    )
    return text.encode("ascii", "xmlcharrefreplace")


def _shown(item: PlanItem, name: str) -> object:
    """A field for people: reasons by number and designation, revocation dates old and new."""
    if name == "revoked":
        if item.action != "revoke":
            return None
        new = "the day it is done"
        return new if item.original_revoked_at is None else f"before: {item.original_revoked_at}; anew: {new}"
    if name == "replace_first":
        return "replace before you revoke" if item.replace_first else None
    if name != "reason" or item.reason is None:
        value: object = getattr(item, name)
        return value
    return f"{item.reason} {RevocationReason(item.reason).designation}"


def _escaped(value: object) -> str:
    """Text for HTML; marks that would reorder or hide text are shown by their numbers."""
    shown = "" if value is None else str(value)
    return html.escape("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown))
