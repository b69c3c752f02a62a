"""The text of ``certutil -dump`` of a CRL or a certificate.

The times and entries of a CRL are printed as a capture shows them; its extensions, and a certificate, are assumed. What
nobody here reads is left out (signature algorithm, MD5 of names).
Line ends are LF here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from cryptography import x509

from carecover.model import RevocationReason, SerialNumber
from carecover.simulator.authority import der, thumbprint
from carecover.simulator.rendering import DateStyle

_REASONS: Final = {
    x509.ReasonFlags.key_compromise: RevocationReason.KEY_COMPROMISE,
    x509.ReasonFlags.ca_compromise: RevocationReason.CA_COMPROMISE,
    x509.ReasonFlags.affiliation_changed: RevocationReason.AFFILIATION_CHANGED,
    x509.ReasonFlags.superseded: RevocationReason.SUPERSEDED,
    x509.ReasonFlags.cessation_of_operation: RevocationReason.CESSATION_OF_OPERATION,
    x509.ReasonFlags.certificate_hold: RevocationReason.CERTIFICATE_HOLD,
    x509.ReasonFlags.remove_from_crl: RevocationReason.REMOVE_FROM_CRL,
}


def crl_dump(crl: x509.CertificateRevocationList, style: DateStyle, *, padded: bool = False) -> str:
    """A CRL; entries without a reason have no block of extensions.

    ``padded``: serial numbers with their top bit set have ``00`` in front.
    """
    lines = ["X509 Certificate Revocation List:", "Version: 2", *_name("Issuer", crl.issuer)]
    end = "EMPTY" if crl.next_update_utc is None else style.text(crl.next_update_utc)
    lines += [f" ThisUpdate: {style.text(crl.last_update_utc)}", f" NextUpdate: {end}", f"CRL Entries: {len(crl)}"]
    for entry in crl:
        serial = _serial(entry.serial_number)
        sign = "00" if padded and serial[0] in "89abcdef" else ""
        lines.append(f"  Serial Number: {sign}{serial}")
        lines.append(f"   Revocation Date: {style.text(entry.revocation_date_utc)}")
        for extension in entry.extensions:
            if isinstance(extension.value, x509.CRLReason):
                reason = _REASONS.get(extension.value.reason)
                lines += ["  Extensions: 1", "    2.5.29.21: Flags = 0, Length = 3", "    CRL Reason Code"]
                lines.append(f"        {reason.designation} ({reason.value})" if reason else "        Unknown")
        lines.append("")
    for extension in crl.extensions:
        if isinstance(extension.value, x509.CRLNumber):
            lines += ["", "CRL Extensions: 1", "    2.5.29.20: Flags = 0, Length = 3", "    CRL Number"]
            lines += [f"        CRL Number={extension.value.crl_number:02x}", ""]
    return "".join(f"{line}\n" for line in lines)


def certificate_dump(certificate: x509.Certificate, style: DateStyle) -> str:
    """A certificate without its keys and extensions."""
    lines = ["X509 Certificate:", "Version: 3", f"Serial Number: {_serial(certificate.serial_number)}"]
    lines += [*_name("Issuer", certificate.issuer)]
    lines.append(f" NotBefore: {style.text(certificate.not_valid_before_utc)}")
    lines += [f" NotAfter: {style.text(certificate.not_valid_after_utc)}", ""]
    lines += [*_name("Subject", certificate.subject), f"Cert Hash(sha1): {thumbprint(der(certificate))}"]
    return "".join(f"{line}\n" for line in lines)


def _serial(number: int) -> str:
    """Lower-case hex of an even length; of a number that is none of a certificate, its digits."""
    return SerialNumber(number).text if 0 < number < 1 << 160 else f"{number:x}"


def _name(label: str, name: x509.Name) -> Iterator[str]:
    """A distinguished name: its parts a line each, from the last to the first, and a hash."""
    yield f"{label}:"
    yield from (f"    {part.rfc4514_string()}" for part in reversed(name.rdns)) if name.rdns else ("    EMPTY",)
    digest = hashlib.sha1(name.public_bytes(), usedforsecurity=False).hexdigest()
    yield f"  Name Hash(sha1): {digest}"
    yield ""
