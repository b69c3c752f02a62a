"""The two files of a bundle that people read: README.txt at the server, plan.html before they sign and before they run.

README.txt holds no word of the evidence: it is plain ASCII that any console shows, in lines that
fit an old one. plan.html shows evidence, escaped, and runs nothing.

Every word with which a batch stops, fails, ends early or refuses is explained in one of the four
tables here; a test reads the words from the batches.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from carecover.model import Pin, Plan, PlanItem, RevocationReason, SignOff, utc_text
from carecover.remediation.outlook import duration, for_ever, phases
from carecover.remediation.plan import KEEP_EXPIRED, explain

# prepare: dummies are still to be made; longer: some have to be signed again; run: revoke.cmd is there.
Stage = Literal["prepare", "longer", "run"]

# A console of 80 columns, and a printed page.
WIDTH: Final = 79
_WORD: Final = 20

STOPPED: Final[Mapping[str, str]] = {
    "row-missing": "no row in the database, and no file to import",
    "other-certificate": "the row of this serial number is another certificate",
    "other-reason": "it is revoked already, for another reason",
    "on-hold": "it is on hold, and the plan wants it good",
    "odd-state": "its row is in a state that the plan does not expect",
    "different": "undo.cmd: it is revoked for good, so it stays",
    "absent, other, odd": "undo.cmd: no row; another certificate; another state",
    "serial-file": "prepare.cmd: a file is named like it: whose? Move it",
    "file-missing": "longer.cmd: the first dummy is not there",
    "file-changed": "longer.cmd: the first dummy is not the one pin saw",
}
FAILED: Final[Mapping[str, str]] = {
    "sign": "the dummy was not signed",
    "look": "the database did not answer",
    "import": "the certificate was not imported",
    "revoke": "it was not revoked",
    "unrevoke": "it was not taken off hold",
    "file-failed": "the hash of its file could not be taken",
}
ENDED: Final[Mapping[str, str]] = {
    "rpc-unavailable": "the service does not answer: does it run, fully?",
    "access-denied": "a right is missing, or there is one too many (see WHO)",
    "too-many-sessions": "close other consoles of the CA, wait ten minutes",
    "disk-full": "make room; delete no file of the database",
    "file-changed": "a certificate file was changed: by whom? Export again",
    "file-missing": "a certificate file is missing: copy the bundle again",
    "backup": "-backupDB failed: room? rights? Move the folder away",
    "failures-in-a-row": "hardly about one certificate any more: see the log",
    "crl": "-crl failed; there may be a CRL (events 65, 74, 75)",
    "crl-ldap": "the directory was not reached; the CRL is there",
    "certutil-crash": (
        "0xc0000005, seen at -crl on Windows Server 2008 R2: see the article on restoring certificates from SMTP exit "
        "module data at gradenegger.eu"
    ),
}
REFUSED: Final[Mapping[str, str]] = {
    "bundle": "not the bundle's folder: copy all to a local disk",
    "cut": "the file was cut off on its way: copy the folder again",
    "bits": "a 32-bit prompt: open the one of Windows itself",
    "busy": "another window runs it, or it cannot be written",
    "folder": "logs and work cannot be written: see work\\errors.txt",
    "elevation": "administrators: open it with Run as administrator",
    "host": "not the server of the configuration string",
    "cluster": "a node of a failover cluster: ask who knows it",
    "registry": "whether it is a cluster could not be found out",
    "ca-answer": "the CA did not hand out its certificate: does it run?",
    "ca-compare": "the CA's certificate could not be compared: again",
    "ca": "another CA than that of ca.cer, or it was renewed",
    "ping": "the CA does not answer certutil -ping: does it run?",
    "database": "the database did not answer: does the service run?",
    "baseline": "the baseline's newest request is not in it",
    "issued": "the CA has issued since the baseline: see below",
    "uncounted": "new rows could not be accounted for: see below",
    "files": "a certificate file is missing or changed: copy again",
    "backup-missing": "revoke.cmd backup first, or the word NOBACKUP",
    "backup-there": "the folder backup is not whole: move it away",
    "missing": "planned revocations are missing: apply first",
    "rounds": "over 20 new CRLs are needed: publish MANY, if so",
    "too-many-rounds": "more than MANY makes: is the last number right?",
    "number": "the plan put nothing on hold under that number",
}
HINTS: Final[Mapping[str, str]] = {
    "not-elevated": "this account is no administrator here; that may do",
    "role-separation": "it is on: see WHO",
    "officer-restrictions": "managers may be limited to some templates",
    "high-serial": "a string: serials can come twice; issue nothing",
    "mails": "the exit module will send so many",
    "crl-mails": "one for each new CRL as well",
}


def readme(plan: Plan, stage: Stage, *, config: str | None, failures: int, calls: Mapping[str, int]) -> list[str]:
    """The steps on the CA, for an administrator who was not there when the plan was made: lines of ASCII.

    ``config``: the configuration string as the batches hold it. ``failures``: after how many in
    a row a run ends. ``calls``: of certutil, of each script.
    """
    return [*_head(plan, calls), *_first(plan, config), *_steps(plan, stage), *_after(plan, failures)]


# ------------------------------------------------------------------------------ README.txt


def _head(plan: Plan, calls: Mapping[str, int]) -> Iterator[str]:
    yield "carecover bundle"
    yield f"Plan {plan.digest}"
    yield ""
    yield from _text(
        "Read plan.html first. The digest above is what two people signed. It is the SHA-256 of plan.json "
        "(certutil -hashfile plan.json SHA256), and it stands in every .cmd file and every log. Have the hashes of "
        "the .cmd files read out to you by those who exported them, and compare."
    )
    yield ""
    yield "WHO"
    yield from _table(
        {
            "prepare, longer": "who may use the key of the CA, at the server's screen",
            "backup": "who may back up this server (Backup Operators)",
            "apply, undo.cmd": "the right Issue and Manage Certificates",
            "publish": "the right Manage CA",
            "preflight, status": "the right to read the CA",
        }
    )
    yield from _text(
        "These may be three accounts or more, one after the other, in the same folder: only what the CA says counts, "
        "not who was there before. Where role separation is on, an account with two of these rights is denied both. "
        "An administrator opens the prompt with Run as administrator; an account that is no administrator of this "
        "server works in an ordinary one."
    )
    yield ""
    yield "HOW LONG"
    yield from _table({name: f"{number:,} calls, {duration(number)}" for name, number in calls.items()})
    yield from _text("Half a second for a call of certutil is assumed; apply FIRST shows what it is here.")
    yield ""


def _first(plan: Plan, config: str | None) -> Iterator[str]:
    no_config = "no configuration string was given" if plan.config is None else "that string cannot stand in a batch"
    yield "BEFORE ANYTHING ELSE"
    yield from _item(
        "The CA must not issue until the end: note its templates (certutil -CATemplates) and take them away in "
        "certsrv.msc. Keep pkiview.msc (Enterprise PKI) closed: it makes the CA issue a CA Exchange certificate."
    )
    if any(item.replace_first for item in plan.items):
        yield from _item(
            "Replace before you revoke: plan.html says which certificates something works with now. Have a new one in "
            "place of each before apply."
        )
    if any(item.action == "revoke" and item.original_revoked_at for item in plan.items):
        yield from _item(
            "What was revoked before the failure gets a new revocation date: the day of apply. plan.html has the old "
            "dates, and says what that means for signatures."
        )
    if any(item.short_waived for item in plan.items):
        yield from _item(f"Some dummies may end too early, which was accepted in writing. {KEEP_EXPIRED}")
    yield from _item(
        "Copy the whole folder to a local disk of the CA server, where nobody but the accounts under WHO can write (in "
        "a new folder below C: everybody can): no share, no read-only medium. On a node of a failover cluster "
        "everything is refused. Change no file: hashes are checked."
    )
    yield from _item(
        f"The CA that is asked is {config}. It must be the one of ca.cer, and this the server of that name, else "
        "everything is refused."
        if config
        else "The CA that is asked is the one of this server: run this on the CA itself. There is no check which "
        f"server this is: {no_config}. Only the CA's certificate is compared with ca.cer, and a copy of the CA has the "
        "same."
    )
    yield from _item(
        "Open the 64-bit command prompt (see WHO), cd to the folder, and call the scripts there. One person, one "
        "window: a second run at the same time is refused."
    )
    yield ""


def _steps(plan: Plan, stage: Stage) -> Iterator[str]:
    number = 1
    if plan.needs_dummies:
        yield from _step(number, "SIGN. Stay at the screen: a dialog or a card reader may ask, for each one.")
        yield from _words(
            {
                "prepare.cmd FIRST": "one dummy; look at it: certutil -dump FILE",
                "prepare.cmd GO": "all others",
            }
        )
        yield from _text(
            "Bring the folders dummies and logs back. carecover pin checks every dummy and writes revoke.cmd; copy the "
            "whole bundle to the CA again. Import no dummy by hand. Where dummies of these serial numbers were made "
            "for an earlier plan, copy that folder dummies into this one first: they are used again.",
            "   ",
        )
        if stage == "longer":
            yield from _text(
                "Some dummies end too early. longer.cmd signs each again, from its own file, with a longer life:", "   "
            )
            yield from _words({"longer.cmd FIRST": "one of them", "longer.cmd GO": "all others"})
            yield from _text(
                "Bring dummies and logs back, and pin again. Where longer.cmd fails, or the longer ones end too early "
                f"as well, it is for two people to decide: carecover waive CASE 'short: why'. {KEEP_EXPIRED}",
                "   ",
            )
        yield ""
        number += 1
    yield from _step(number, "BACK UP AND REVOKE.")
    yield from _words(
        {
            "revoke.cmd preflight": "checks everything, changes nothing",
            "revoke.cmd backup": "copies the database as it is; apply asks for it",
            "revoke.cmd apply FIRST": "one certificate; look at it in certsrv.msc",
            "revoke.cmd apply": "all others; again after any interruption",
            **({"undo.cmd apply": "takes off hold what the plan wants off it"} if _undoes(plan) else {}),
            "revoke.cmd status": "shows what is as planned, changes nothing",
        }
    )
    yield from _text(
        "Copy the folder backup to another disk. The word NOBACKUP (apply NOBACKUP, apply FIRST NOBACKUP) works "
        "without it, and is logged: only where you have such a backup elsewhere.",
        "   ",
    )
    yield ""
    yield from _step(number + 1, "PUBLISH.")
    yield from _words(
        {
            "revoke.cmd publish": "new CRLs, once all planned is in the database",
            "revoke.cmd status": "again: it writes down what the database says",
            **({"undo.cmd status": "the same"} if _undoes(plan) else {}),
        }
    )
    yield from _text(
        "publish PARTIAL does it although something planned is missing. publish MANY makes more than 20 CRLs in a row, "
        "where the number has to pass the last public one.",
        "   ",
    )
    yield ""
    yield from _step(
        number + 2,
        "DISTRIBUTE. Clients see nothing before this. Copy the new CRLs, delta CRLs too, to every distribution point "
        "that the CA does not write itself. Have OCSP responders load the new CRLs. Clients may go on believing an old "
        "CRL or OCSP answer until it expires.",
    )
    yield from _step(
        number + 3,
        "BRING BACK the folders logs and out as they are (not packed), and a new export of the database. carecover "
        "verify proves from them what took effect. Then make a full backup, and only then let the CA issue again. "
        "Destroy every copy of the folder dummies that is no longer needed.",
    )
    yield ""


def _after(plan: Plan, failures: int) -> Iterator[str]:
    if any(item.action == "revoke" and item.reason == RevocationReason.CERTIFICATE_HOLD for item in plan.items):
        yield from _text(
            "A hold that turns out to be wrong: undo.cmd hold NUMBER (the number in plan.html), then publish PARTIAL. "
            "revoke.cmd apply would put it on hold again."
        )
        yield ""
    yield "EXIT CODES"
    yield from _table(
        {
            "0": "all as planned",
            "1": "something was stopped or left",
            "2": "wrong usage, nothing was done",
            "3": "refused, nothing was changed",
            "5": "ended early",
        },
        3,
    )
    yield from _text(
        "After 1 or 5, mend the cause and call the same again: only what the CA says decides what is skipped. What "
        "certutil said is in the folder logs, what Windows said of files in work\\errors.txt."
    )
    yield ""
    yield from _text(
        "STOPPED is about one certificate; the others go on. Nothing was done to it, and calling again does not help: "
        "take it back to those who made the plan."
    )
    yield from _table(STOPPED)
    yield ""
    yield from _text("FAILED names the step and the code of certutil. Calling again tries it again.")
    yield from _table(FAILED)
    yield ""
    yield "ENDED EARLY (the screen says what to do)"
    yield from _table(
        {f"{failures}-{word}" if word == "failures-in-a-row" else word: text for word, text in ENDED.items()}
    )
    yield ""
    yield "REFUSED, and nothing was changed (the word stands in the log)"
    yield from _table(REFUSED)
    yield ""
    yield "HINTS change nothing; the word unknown means that it could not be read"
    yield from _table(HINTS)
    yield ""
    yield from _text("issued, uncounted: see what is new with")
    since = "" if plan.newest_request_id is None else f'-restrict "RequestID>{plan.newest_request_id}" '
    yield f"  certutil -view {since}^"
    yield '    -out "RequestID,Request.Disposition,SerialNumber"'
    yield from _text(
        "Rows of this plan do not count. Anything else does, a CA Exchange certificate too. Stop the issuing, export "
        "the database again, and have the plan made again from that export."
    )


def _undoes(plan: Plan) -> bool:
    return any(item.action == "unrevoke" for item in plan.items)


def _text(text: str, indent: str = "") -> list[str]:
    return _wrapped(text, indent, indent)


def _item(text: str) -> list[str]:
    return _wrapped(text, "- ", "  ")


def _step(number: int, text: str) -> list[str]:
    return _wrapped(text, f"{number}. ", "   ")


def _words(words: Mapping[str, str]) -> Iterator[str]:
    for word, text in words.items():
        yield from _wrapped(text, f"     {word:24}", " " * 29)


def _table(rows: Mapping[str, str], width: int = _WORD) -> Iterator[str]:
    for word, text in rows.items():
        yield from _wrapped(text, f"  {word:{width}} ", " " * (width + 3))


def _wrapped(text: str, first: str, following: str) -> list[str]:
    # A command that is broken at a hyphen cannot be copied.
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=following, break_on_hyphens=False, break_long_words=False
    )


# -------------------------------------------------------------------------------- plan.html

_STYLE: Final = (
    "body{font:15px/1.5 'Segoe UI',Arial,sans-serif;color:#111;margin:2em auto;max-width:74em;padding:0 1em}"
    "h1{font-size:1.6em;margin:0}h2{font-size:1.2em;margin:1.6em 0 .4em}p{margin:.4em 0}li{margin:.3em 0}"
    "table{border-collapse:collapse;width:100%;font-size:.9em;table-layout:fixed}"
    "td,th{border-bottom:1px solid #bbb;padding:.35em .6em;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "th{border-bottom:2px solid #555;background:#f3f3f3}thead{display:table-header-group}tr{break-inside:avoid}"
    "code{font:.95em Consolas,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}small{color:#444}"
    ".digest{font-size:1.05em;border:1px solid #555;padding:.5em .8em;display:inline-block}"
    ".warn{border-left:.4em solid #b00;padding:.1em 1em;background:#fff3f3}"
    "@page{size:A4 landscape;margin:12mm}@media print{body{margin:0;max-width:none;font-size:9.5pt}}"
)


def page(
    plan: Plan,
    stage: Stage,
    pins: Sequence[Pin] = (),
    leftovers: Mapping[str, str] | None = None,
    signoffs: Sequence[SignOff] = (),
    *,
    calls: Mapping[str, int],
) -> bytes:
    """The plan to read, on a screen or on paper: self-contained, everything escaped, no script.

    ``leftovers``: dummies that are not used, name → SHA-256.
    """
    body = [
        f"<h1>Plan of case {_escaped(plan.case)}</h1>",
        f"<p>CA: <strong>{_escaped(plan.ca_name)}</strong></p>",
        f'<p class="digest">Digest: <code>{plan.digest}</code></p>',
        *_signed(signoffs),
        "<h2>What it means</h2>",
        _list(explain(plan)),
        "<h2>The work</h2>",
        *_work(plan, stage, calls),
        *_dummies(plan, pins, leftovers or {}),
        "<h2>Certificates</h2>",
        _rows(
            ("No.", "Serial number, subject", "Requester, template", "Why", "What is done", "Revoked", "Decided by"),
            (_cells(item) for item in plan.items),
            (5, 30, 15, 9, 16, 13, 12),
        ),
    ]
    text = (
        '<!DOCTYPE html>\r\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>carecover plan</title><style>{_STYLE}</style></head><body>\r\n"
        + "".join(f"{part}\r\n" for part in body)
        + "</body></html>\r\n"
    )
    return text.encode("ascii", "xmlcharrefreplace")


def _signed(signoffs: Sequence[SignOff]) -> Iterator[str]:
    if not signoffs:
        yield "<p><strong>Nobody has signed this plan: it may be read, not run.</strong></p>"
        return
    by = "; ".join(f"{_escaped(s.person)} as {s.role}, {_escaped(utc_text(s.at))}, {_with(s)}" for s in signoffs)
    yield f"<p>Signed by {by}.</p>"


def _with(signoff: SignOff) -> str:
    """What stands behind a name: a key that others know, or nothing."""
    return "by name only" if signoff.fingerprint is None else f"with the key {_escaped(signoff.fingerprint)}"


def _work(plan: Plan, stage: Stage, calls: Mapping[str, int]) -> Iterator[str]:
    yield _rows(
        ("Step", "Calls of certutil", "Time, half a second for a call (assumed)", "What it does"),
        (
            (f"<code>{phase.call}</code>", f"{phase.calls:,}", phase.time, _escaped(phase.what))
            for phase in phases(calls)
        ),
    )
    yield "<p><strong>What cannot be undone:</strong></p>"
    yield _list(for_ever(plan))
    if stage != "run":
        yield "<p>revoke.cmd is not in this bundle yet: the dummies come first, and a second person looks at them.</p>"


def _dummies(plan: Plan, pins: Sequence[Pin], leftovers: Mapping[str, str]) -> Iterator[str]:
    if pins:
        yield "<h2>Dummies that are imported</h2>"
        if any(pin.is_ca for pin in pins):
            yield f'<p class="warn">{_escaped(CA_TRUE)}</p>'
        needed = {item.serial: item.not_after or "the CA certificate's end" for item in plan.items}
        yield _rows(
            ("File, SHA-256", "Valid until", "The real one until", "CA:TRUE", "Key", "Extended key usage", "Subject"),
            (
                (
                    f"<code>{_escaped(pin.name)}<br>{pin.sha256}</code>",
                    _escaped(utc_text(pin.not_after)) + ("<br><strong>too early</strong>" if pin.ends_early else ""),
                    _escaped(needed.get(pin.serial)),
                    "<strong>yes</strong>" if pin.is_ca else "no",
                    "the CA's" if pin.own_key else "<strong>not the CA's</strong>",
                    _escaped(", ".join(pin.eku) or "none"),
                    _escaped(pin.subject),
                )
                for pin in pins
            ),
            (38, 14, 14, 8, 8, 9, 9),
        )
    if leftovers:
        yield "<h2>Leftover dummies</h2>"
        yield (
            "<p>These lie in the folder dummies, and nothing here uses them. Each that the CA signed counts as "
            "dangerous until it is destroyed: delete every copy, on the CA too.</p>"
        )
        yield _rows(("File", "SHA-256"), ((_escaped(n), f"<code>{d}</code>") for n, d in leftovers.items()))


CA_TRUE: Final = (
    "CA:TRUE: such a dummy is a CA certificate. Clients accept what its key signs, until it is revoked and they have "
    "the new CRL. Where its key is the CA's own, nobody but the CA can use it; where it is not, nobody here knows "
    "who has the private key."
)


def _cells(item: PlanItem) -> tuple[str, ...]:
    first = "<br><strong>replace before you revoke</strong>" if item.replace_first else ""
    return (
        str(item.number),
        f"<code>{item.serial}</code><br>{_escaped(item.subject)}",
        f"{_escaped(item.requester)}<br><small>{_escaped(item.template)}</small>",
        _escaped(item.kind.replace("_", " ")),
        f"<strong>{item.action}</strong> {_escaped(_reason(item))}<br><small>{_METHODS[item.method]}</small>{first}",
        _escaped(_revoked(item)),
        f"{_escaped(item.decided_by)}<br><small>{_escaped(item.note)}</small>",
    )


_METHODS: Final[Mapping[str, str]] = {
    "row": "its row is there",
    "original": "the original is imported",
    "dummy": "a dummy is imported",
    "none": "",
}


def _revoked(item: PlanItem) -> str | None:
    """Revocation dates, old and new."""
    if item.action != "revoke":
        return None
    new = "the day it is done"
    return new if item.original_revoked_at is None else f"before: {item.original_revoked_at}; anew: {new}"


def _reason(item: PlanItem) -> str | None:
    """The reason by number and designation."""
    return None if item.reason is None else f"{item.reason} {RevocationReason(item.reason).designation}"


def _list(sentences: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{_escaped(sentence)}</li>' for sentence in sentences)}</ul>"


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already; ``widths`` of its columns in per cent."""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\r\n" for row in rows)
    titles = "".join(f"<th>{title}</th>" for title in head)
    columns = "".join(f'<col style="width:{width}%">' for width in widths)
    return f"<table>{columns}<thead><tr>{titles}</tr></thead><tbody>\r\n{body}</tbody></table>"


def _escaped(value: object) -> str:
    """Text for HTML; marks that would reorder or hide text are shown by their numbers."""
    shown = "" if value is None else str(value)
    return html.escape("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown))
