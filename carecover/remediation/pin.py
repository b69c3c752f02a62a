"""The check of every dummy before it may be imported.

How long a dummy lives is documented nowhere, and a CA drops an expired serial number from its
CRL: a dummy that ends before the real certificate would make that certificate good again,
silently. So each is parsed, and whatever is not as it must be is a problem in words.

For one serial number there may be two files: what ``prepare.cmd`` made, and what ``longer.cmd``
made of it. Each is checked by all rules. The longer one is taken, but for one case: a file that
was pinned before may be in the database, which takes a serial number once, so it stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import pandas as pd
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from carecover.errors import RefusedError, UsageError
from carecover.model import TABLES, Check, Pin, Plan, PlanItem, SerialNumber, records, sha256_hex, utc_text
from carecover.remediation.bundle import certificate_name
from carecover.remediation.decisions import MAX_NAMED

# A certificate of some hundred bytes is expected; the CA's database takes 16,384 (RawCertificate).
MAX_DUMMY: Final = 16_384


def check_dummies(
    plan: Plan, files: Mapping[str, bytes], ca_certificates: pd.DataFrame, *, pinned: Collection[str] = ()
) -> list[Pin]:
    """One Pin for every dummy that the plan needs, problems included, in the plan's order.

    ``files``: name in the bundle (``dummies/<serial>.cer``, ``dummies/<serial>-longer.cer``) →
    bytes as ``prepare.cmd`` and ``longer.cmd`` made them. ``ca_certificates``: schema
    certificates, the CA's own, with their DER. ``pinned``: SHA-256 of what was pinned before.
    Raises RefusedError where a file is missing, or two have one name but for case.
    """
    given: dict[str, bytes] = {}
    for name, data in files.items():
        if given.setdefault(_base(name), data) != data:
            raise RefusedError(
                f"There are two different files {_base(name)} in dummies, whose names differ in case: Windows holds "
                "one of them only. Bring the folder dummies back from the CA once more."
            )
    needed = [item for item in plan.items if item.method == "dummy"]
    missing = [item.serial for item in needed if not any(name in given for name in dummy_names(item))]
    if missing:
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise RefusedError(
            f"{len(missing)} of {len(needed)} dummies are not there ({', '.join(missing[:MAX_NAMED])}{more}): run "
            "prepare.cmd to its end and bring its folder dummies back."
        )
    signers = {
        int(record["ca_version"] or 0) & 0xFFFF: x509.load_der_x509_certificate(record["der"])
        for record in records(TABLES["certificates"].conform(ca_certificates))
        if record["der"] is not None
    }
    pins = []
    for item in needed:
        first, longer = (
            None if name not in given else _pin(item, given[name], signers.get(item.ca_cert_index), longer=is_longer)
            for name, is_longer in zip(dummy_names(item), (False, True), strict=True)
        )
        pins.append(_chosen(first, longer, pinned))
    return pins


def leftovers(pins: Sequence[Pin], files: Mapping[str, bytes]) -> dict[str, str]:
    """Files of the folder dummies that are not used, name → SHA-256: dangerous until they are destroyed."""
    used = {pin.sha256 for pin in pins}
    found = {f"dummies/{_last_part(name)}": sha256_hex(data) for name, data in files.items()}
    return {name: digest for name, digest in sorted(found.items()) if digest not in used}


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _base(name: str) -> str:
    return _last_part(name).lower()


def dummy_names(item: PlanItem) -> tuple[str, str]:
    """What prepare.cmd and what longer.cmd call the dummy, without the folder, in lower case."""
    return _base(certificate_name(item)), _base(certificate_name(item, longer=True))


def _chosen(first: Pin | None, longer: Pin | None, pinned: Collection[str]) -> Pin:
    """The one of two files that is imported; where none may be, the one whose problems help on."""
    there = [pin for pin in (longer, first) if pin is not None]
    there.sort(key=lambda pin: pin.sha256 not in pinned)
    good = [pin for pin in there if not pin.problems]
    if there[0].sha256 in pinned and there[0].ends_early:
        # Whatever lies beside it, the database may hold this one.
        return replace(there[0], can_be_longer=False)
    if good:
        return good[0]
    if longer is None:
        return there[0]
    if first is not None and first.can_be_longer and not longer.can_be_longer:
        odd = f"{longer.name} cannot take its place ({' '.join(longer.problems)}): delete it, and run longer.cmd again."
        return replace(first, problems=(*first.problems, odd))
    # Once is enough: what was signed again and ends early once more is no better the next time.
    return replace(longer, can_be_longer=False)


def _pin(item: PlanItem, data: bytes, signer: x509.Certificate | None, *, longer: bool) -> Pin:
    name = certificate_name(item, longer=longer)
    script = "longer.cmd" if longer else "prepare.cmd"
    try:
        if len(data) > MAX_DUMMY:
            raise ValueError  # noqa: TRY301 - too large is as little a certificate as any other file
        # certutil writes DER; anything else has been through other hands.
        certificate = x509.load_der_x509_certificate(data)
        subject = certificate.subject.rfc4514_string()
        is_ca, eku = _extensions(certificate)
        serial = SerialNumber(certificate.serial_number).text
        own_key = _own_key(certificate, signer)
    except (ValueError, UsageError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        detail = f" ({error})" if str(error) else ""
        return Pin(
            serial=item.serial,
            sha256=sha256_hex(data),
            thumbprint=hashlib.sha1(data, usedforsecurity=False).hexdigest(),
            not_after=datetime.fromtimestamp(0, UTC),
            subject="",
            is_ca=False,
            problems=(broken := f"The file is no certificate in DER{detail}: delete it and run {script} again.",),
            name=name,
            checks=(Check("serial", "fail", broken),),
        )
    checks = [*_identity(item, certificate, serial, signer)]
    problems = [check.why for check in checks if check.verdict == "fail"]
    ends_early = signer is not None and certificate.not_valid_after_utc < needed_until(item, signer)
    checks.append(_end(item, certificate, signer, longer=longer))
    checks += [_authority(is_ca=is_ca, own_key=own_key), _usage(eku)]
    return Pin(
        serial=item.serial,
        sha256=sha256_hex(data),
        thumbprint=hashlib.sha1(data, usedforsecurity=False).hexdigest(),
        not_after=certificate.not_valid_after_utc,
        subject=subject,
        is_ca=is_ca,
        eku=eku,
        problems=tuple(check.why for check in checks if check.verdict == "fail"),
        name=name,
        ends_early=ends_early,
        can_be_longer=ends_early and not problems and not item.short_waived,
        own_key=own_key,
        needed_until=None if signer is None else needed_until(item, signer),
        checks=tuple(checks),
    )


def needed_until(item: PlanItem, signer: x509.Certificate) -> datetime:
    """Before this the dummy must not end: the real certificate's end, or the CA certificate's where it is not known."""
    return datetime.fromisoformat(item.not_after) if item.not_after else signer.not_valid_after_utc


def _identity(
    item: PlanItem, certificate: x509.Certificate, serial: str, signer: x509.Certificate | None
) -> Iterator[Check]:
    """Whether it bears the serial number, and whether the right CA certificate issued and signed it."""
    if serial == item.serial:
        yield Check("serial", "pass", f"It is {serial}.")
    else:
        yield Check("serial", "fail", f"Its serial number is {serial}, not {item.serial}.")
    if signer is None:
        missing = f"CA certificate number {item.ca_cert_index}, which should have signed it, is not in the case."
        yield Check("issuer", "fail", missing)
        yield Check("signature", "not checked", "There is no CA certificate to check it with.")
        return
    by = f"CA certificate number {item.ca_cert_index}"
    try:
        # Compares the issuer's name as well; the key is the one of the planned CA certificate.
        certificate.verify_directly_issued_by(signer)
    except InvalidSignature:
        yield Check("issuer", "pass", f"It is {by}.")
        yield Check("signature", "fail", f"Its signature is not by the key of {by}.")
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        yield Check("issuer", "fail", f"It was not issued by {by}: {error}.")
        yield Check("signature", "not checked", "It names another issuer, or is signed in an unknown way.")
    else:
        yield Check("issuer", "pass", f"It is {by}.")
        yield Check("signature", "pass", f"It is by the key of {by}.")


def _end(item: PlanItem, certificate: x509.Certificate, signer: x509.Certificate | None, *, longer: bool) -> Check:
    if signer is None:
        return Check("end", "not checked", "Without the CA certificate it is not known how long it has to live.")
    ends, needed = certificate.not_valid_after_utc, needed_until(item, signer)
    if ends >= needed:
        return Check("end", "pass", f"It ends on {utc_text(ends)}, not before {utc_text(needed)}.")
    early = _ends_early(item, certificate, signer, longer=longer)
    if item.short_waived:
        return Check("end", "look", f"{early} That was accepted in writing.")
    return Check("end", "fail", early)


def _authority(*, is_ca: bool, own_key: bool) -> Check:
    if not is_ca:
        return Check("CA", "pass", "It is no CA certificate.")
    whose = "its key is the CA's own" if own_key else "its key is not the CA's own: nobody here knows who has it"
    return Check("CA", "look", f"It is a CA certificate (CA:TRUE); {whose}.")


def _usage(eku: Sequence[str]) -> Check:
    if not eku:
        return Check("usage", "pass", "It names no extended key usage.")
    return Check("usage", "look", f"It may be used for {', '.join(eku[:MAX_NAMED])}, until it is revoked.")


def _ends_early(item: PlanItem, certificate: x509.Certificate, signer: x509.Certificate, *, longer: bool) -> str:
    whose = "the real certificate's" if item.not_after else "the CA certificate's, as the real one's is not known"
    which = "Signed again with a longer life, it still ends" if longer else "It ends"
    return (
        f"{which} on {utc_text(certificate.not_valid_after_utc)}, before {utc_text(needed_until(item, signer))} "
        f"({whose}): the CA would drop the serial number from its CRL too early."
    )


def _own_key(certificate: x509.Certificate, signer: x509.Certificate | None) -> bool:
    """Whether the dummy's key is the CA's own; a kind of key that the library does not know is not."""
    try:
        return signer is not None and certificate.public_key() == signer.public_key()
    except UnsupportedAlgorithm:
        return False


def _extensions(certificate: x509.Certificate) -> tuple[bool, tuple[str, ...]]:
    """CA:TRUE, and the extended key usages: shown to the person who confirms."""
    try:
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return is_ca, ()
    return is_ca, tuple(usage.dotted_string for usage in usages)
