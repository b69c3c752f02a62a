"""Plan → bundle: the folder that is carried to the CA.

Into a batch go only serial numbers, reasons, hashes, file names and digits that were checked
here, and a CA configuration string that a person typed; every batch passes the check of
``grammar.py`` before it is handed out. Evidence text goes into ``plan.json`` and, escaped,
into ``plan.html`` (``handout.py``); nowhere else.

These functions look at neither signatures nor decisions: a rehearsal runs an unsigned plan.
Whoever writes a bundle to be carried away calls ``check_signoffs`` first.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    SignOff,
    canonical_json,
    sha256_hex,
)
from carecover.remediation import grammar, handout, outlook, scripts

# Three failures in a row are no longer about one certificate (design 6.5).
MAX_FAILURES: Final = 3
# More rounds than a CA publishes in three weeks with daily CRLs; beyond that somebody should look.
MAX_CRL_ROUNDS: Final = 20
# Where a person asked for them: a CA that publishes every hour, for a week. Each is a call of a minute or less.
MANY_CRL_ROUNDS: Final = 200
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
# %COMPUTERNAME% is the NetBIOS name, of this many characters at most.
_MAX_COMPUTER: Final = 15
# The CA's certificate and its hash; apply looks for the baseline, too, and for what is newer.
_CALLS_OF_A_RUN: Final = 2


def certificate_name(item: PlanItem, *, longer: bool = False) -> str:
    """The file of an item's certificate within the bundle: ``certs/…`` or ``dummies/…``.

    Named by the serial number alone: a later plan numbers its items anew, and must find the
    dummies that an earlier one made (a second dummy would not be the imported one). ``longer``
    is the dummy as longer.cmd made it.
    """
    if longer:
        return f"dummies/{item.serial}-longer.cer"
    folder = "dummies" if item.method == "dummy" else "certs"
    return f"{folder}/{item.serial}.cer"


def prepare_bundle(
    plan: Plan,
    certificates: Mapping[str, bytes],
    *,
    signoffs: Sequence[SignOff] = (),
    journal_head: str | None = None,
    written: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """The bundle as far as it can be written before any dummy is made: file name → bytes.

    ``certificates``: SHA-256 → DER of the CA's own certificates and of every original in
    the plan. ``signoffs`` are shown to people, not checked. Where dummies are needed there
    is a ``prepare.cmd`` and no ``revoke.cmd`` yet; else ``revoke.cmd`` is complete. ``written``:
    the journal's head at which a batch of this plan was first written, by its name; done again it
    is the same file, which may lie on a CA already. Raises RefusedError for a plan or certificate
    that does not hold together.
    """
    stage: handout.Stage = "prepare" if plan.needs_dummies else "run"
    heads = Heads(journal_head, written or {})
    files = common_files(plan, certificates, stage=stage, signoffs=signoffs, heads=heads)
    if not plan.needs_dummies:
        files |= _run_files(plan, {}, heads)
    return with_manifest(plan, files, journal_head)


def pinned_bundle(
    plan: Plan,
    certificates: Mapping[str, bytes],
    pins: Sequence[Pin],
    dummies: Mapping[str, bytes],
    *,
    leftovers: Mapping[str, str] | None = None,
    signoffs: Sequence[SignOff] = (),
    journal_head: str | None = None,
    written: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """The whole bundle, with the hash of every dummy written into ``revoke.cmd``.

    ``dummies``: serial → bytes of the file as ``prepare.cmd`` or ``longer.cmd`` made it.
    ``leftovers``: dummies that are not used, name → SHA-256, to be told to people.
    ``written`` as for ``prepare_bundle``. Raises RefusedError where a pin is missing, has a
    problem, or is not that file's.
    """
    by_serial = {pin.serial: pin for pin in pins}
    if len(by_serial) != len(pins):
        raise RefusedError("Two dummies were pinned for one serial number: only one can be imported. Pin again.")
    heads = Heads(journal_head, written or {})
    files = common_files(
        plan, certificates, stage="run", pins=pins, leftovers=leftovers, signoffs=signoffs, heads=heads
    )
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
        files[_dummy_name(item, pin)] = data
    files |= _run_files(plan, by_serial, heads)
    return with_manifest(plan, files, journal_head)


# ------------------------------------------------------------------------------- the files


@dataclass(frozen=True, slots=True)
class Heads:
    """The journal's head that each batch names: the one of now, unless the batch was written before."""

    now: str | None
    written: Mapping[str, str]

    def of(self, name: str) -> str | None:
        """The head that the batch of this name has."""
        return self.written.get(name, self.now)


def common_files(
    plan: Plan,
    certificates: Mapping[str, bytes],
    *,
    stage: handout.Stage,
    pins: Sequence[Pin] = (),
    leftovers: Mapping[str, str] | None = None,
    signoffs: Sequence[SignOff] = (),
    heads: Heads,
) -> dict[str, bytes]:
    """What every form of the bundle has: for people, for ``verify``, the originals, and prepare.cmd where it is needed.

    Raises RefusedError for a plan or certificate that does not hold together.
    """
    _check(plan)
    files = {
        "README.txt": _lines(
            handout.readme(plan, stage, config=_written_config(plan), failures=MAX_FAILURES, calls=estimate(plan))
        ),
        "ca.cer": _certificate(certificates, plan.ca_certificate_sha256, "the CA's own certificate"),
        "plan.html": handout.page(plan, stage, pins, leftovers, signoffs, calls=estimate(plan)),
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
        files["prepare.cmd"] = _prepare(plan, certificates, heads.of("prepare.cmd"))
    return files


def _run_files(plan: Plan, pins: Mapping[str, Pin], heads: Heads) -> dict[str, bytes]:
    """revoke.cmd, and undo.cmd where the plan releases something or sets a hold."""
    listed = [item for item in plan.items if item.action in ("revoke", "restore")]
    calls = [_item_line(item, item.action, pins) for item in listed]
    files = {"revoke.cmd": batch(plan, scripts.REVOKE, calls, heads.of("revoke.cmd"))}
    undone = [_item_line(item, "unrevoke", pins) for item in plan.items if item.action == "unrevoke"]
    undone += [_item_line(item, "release", pins) for item in listed if item.reason == RevocationReason.CERTIFICATE_HOLD]
    if undone:
        files["undo.cmd"] = batch(plan, scripts.UNDO, undone, heads.of("undo.cmd"))
    return files


def _dummy_name(item: PlanItem, pin: Pin) -> str:
    """Where a pinned dummy lies; a pin without a name is of the file that prepare.cmd made."""
    return certificate_name(item, longer=pin.name == certificate_name(item, longer=True))


def with_manifest(plan: Plan, files: Mapping[str, bytes], journal_head: str | None) -> dict[str, bytes]:
    """The files, and manifest.json with the SHA-256 and size of each."""
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


def signers(plan: Plan, certificates: Mapping[str, bytes]) -> dict[int, x509.Certificate]:
    """The CA certificates that can sign dummies, by index; raises RefusedError where one that is needed is missing."""
    known = {
        int(index): x509.load_der_x509_certificate(_certificate(certificates, sha256, f"CA certificate number {index}"))
        for index, sha256 in plan.signer_sha256.items()
    }
    for item in plan.items:
        if item.method == "dummy" and item.ca_cert_index not in known:
            raise RefusedError(
                f"{item.serial}: CA certificate number {item.ca_cert_index} is not in the plan, so no dummy can be "
                "made."
            )
    return known


def _prepare(plan: Plan, certificates: Mapping[str, bytes], journal_head: str | None) -> bytes:
    known = signers(plan, certificates)
    calls = [
        f'call :sign "{item.number}" "{item.serial}" "{hex_serial(known[item.ca_cert_index])}" '
        f'"{windows_name(certificate_name(item))}"'
        for item in plan.items
        if item.method == "dummy"
    ]
    return batch(plan, scripts.PREPARE, calls, journal_head)


def hex_serial(certificate: x509.Certificate) -> str:
    """The serial number by which ``certutil -Cert`` finds a CA certificate."""
    return SerialNumber(certificate.serial_number).text


def windows_name(name: str) -> str:
    """A file of the bundle as cmd.exe writes it."""
    return name.replace("/", "\\")


def batch(plan: Plan, parts: Sequence[str], calls: Sequence[str], journal_head: str | None) -> bytes:
    """Join templates, put the checked values in, and check the whole against the grammar.

    ``journal_head`` (64 digits) goes into each log that the batch writes: whoever holds a log can show that the
    journal was cut off.
    """
    config = _written_config(plan)
    last_crl = max((int(number) for number in plan.last_crl_numbers.values()), default=None)
    settings = [
        f'set "CASHA={plan.ca_certificate_sha256}"',
        f'set "CASPACED={spaced(plan.ca_certificate_sha256)}"',
        *([f'set "CACONFIG={config}"'] if config else []),
        f'set "NEWEST={"" if plan.newest_request_id is None else plan.newest_request_id}"',
        f'set "LASTCRL={last_crl if last_crl is not None and last_crl <= _MAX_LONG else ""}"',
        f'set "CAHOST={_computer(config)}"',
    ]
    # The CRL of the newest CA certificate, and of each other one that signed something planned.
    signers = {int(index) for index in plan.signer_sha256}
    used = {item.ca_cert_index for item in plan.items if item.method != "none"}
    indexes = sorted({max(signers), *(used & signers)})
    revoked = [item for item in plan.items if item.action == "revoke"]
    listed = [item for item in revoked if item.ca_cert_index in indexes]
    number = estimate(plan)["revoke.cmd apply"]
    values = {
        "@PLAN@": plan.digest,
        "@HEAD@\n": f'>>"%LOG%" echo @@CR journal-head {journal_head}\n' if journal_head else "",
        "@SETTINGS@": "\n".join(settings),
        "@CONFIG@": '-config "%CACONFIG%" ' if config else "",
        "@MAX_FAILURES@": str(MAX_FAILURES),
        "@MAX_CRL_ROUNDS@": str(MAX_CRL_ROUNDS),
        "@MANY_CRL_ROUNDS@": str(MANY_CRL_ROUNDS),
        "@MAX_ID_GAP@": str(MAX_ID_GAP),
        "@SAVES@": "\n".join(f'call :save "{index}"' for index in indexes),
        "@SWEEPS@": "\n".join(f'call :sweep "{index}"' for index in indexes),
        "@EXPECTED@": "\n".join(f'set "SEEK {serial}=1"' for item in listed for serial in _spellings(item)),
        "@LISTED@": "\n".join(map(_listed, listed)),
        "@IMPORTS@": str(sum(item.method in ("original", "dummy") for item in plan.items)),
        "@REVOKES@": str(len(revoked)),
        "@CALLS@": str(number),
        "@MINUTES@": str(math.ceil(number * outlook.SECONDS_A_CALL / 60)),
        "@ITEMS@": "\n".join(calls),
    }
    text = "".join(parts).lstrip("\n")
    for name, value in values.items():
        text = text.replace(name, value)
    data = _lines(text.rstrip("\n").split("\n"))
    grammar.check(data)
    return data


def estimate(plan: Plan) -> dict[str, int]:
    """Calls of certutil that each step makes, where nothing is done yet; script and word → number.

    Of publish with one new CRL; each further one takes three calls more, and two for each CA certificate.
    """
    dummies = sum(item.method == "dummy" for item in plan.items)
    listed = sum(item.action in ("revoke", "restore") for item in plan.items)
    revoked = sum(item.action == "revoke" for item in plan.items)
    undone = sum(item.action == "unrevoke" for item in plan.items)
    calls = {
        "prepare.cmd": _CALLS_OF_A_RUN + dummies if dummies else 0,
        "revoke.cmd backup": _CALLS_OF_A_RUN + 1,
        "revoke.cmd apply": _CALLS_OF_A_RUN + 2 + sum(map(calls_of, plan.items)),
        "undo.cmd": _CALLS_OF_A_RUN + 3 * undone if undone else 0,
        "revoke.cmd publish": _CALLS_OF_A_RUN + revoked + 2 * len(plan.signer_sha256) + 3,
        "revoke.cmd status": _CALLS_OF_A_RUN + 2 * listed,
    }
    return {name: number for name, number in calls.items() if number}


def calls_of(item: PlanItem) -> int:
    """Calls of certutil for one certificate at ``apply``, where nothing is done yet (the table in scripts.py)."""
    high = bool(_pad(item.serial))
    revokes = 2 * (item.action == "revoke")
    if item.action not in ("revoke", "restore"):
        return 0
    return (4 if item.method in ("original", "dummy") else 1) + high + revokes


def _pad(serial: str) -> str:
    """Whether a database keeps the sign byte of a high serial number is not known: both are asked for."""
    return "00" if bytes.fromhex(serial)[0] & _HIGH_BIT else ""


def _spellings(item: PlanItem) -> list[str]:
    return list(dict.fromkeys([item.serial, _pad(item.serial) + item.serial]))


def _listed(item: PlanItem) -> str:
    """Says so where an entry that was sought is still sought when the CRLs have been read, and was not left out."""
    seek = "".join(f"%SEEK {serial}%" for serial in _spellings(item))
    ones = "1" * len(_spellings(item))
    return f'if "{seek}%LEFT {item.serial}%"=="{ones}" call :unlisted "{item.number}" "{item.serial}"'


def _computer(config: str | None) -> str:
    """The name by which the server of a configuration string knows itself: the first label, as NetBIOS cuts it."""
    return "" if config is None else config.partition("\\")[0].partition(".")[0][:_MAX_COMPUTER]


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
        name = windows_name(_dummy_name(item, pins[item.serial]) if item.method == "dummy" else certificate_name(item))
    else:
        sha256 = ""
    reason = item.reason if action == "revoke" and item.reason is not None else ""
    values = (
        action,
        item.number,
        item.serial,
        _pad(item.serial),
        reason,
        spaced(thumbprint),
        name,
        sha256,
        spaced(sha256),
    )
    return "call :item " + " ".join(f'"{value}"' for value in values)


def spaced(digest: str) -> str:
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
