"""What a revocation would hit: infrastructure, and the blast radius in words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from carecover.analysis.dossier import Row
from carecover.model import utc_text

# Templates whose certificates carry others' trust: taken one by one, never by --all.
_INFRASTRUCTURE: Final = frozenset(
    {
        "ca",
        "subca",
        "crossca",
        "caexchange",
        "domaincontroller",
        "domaincontrollerauthentication",
        "kerberosauthentication",
        "directoryemailreplication",
        "ocspresponsesigning",
        "enrollmentagent",
        "enrollmentagentoffline",
        "machineenrollmentagent",
        "exchangeenrollmentagent",
        "cepencryption",
        "keyrecoveryagent",
        "efsrecovery",
        "rasandiasserver",
    }
)
_INFRASTRUCTURE_EKUS: Final = frozenset(
    {
        "1.3.6.1.5.5.7.3.9",  # OCSP signing
        "1.3.6.1.5.2.3.5",  # KDC authentication
        "1.3.6.1.4.1.311.20.2.1",  # certificate request agent
        "1.3.6.1.4.1.311.21.5",  # private key archival (CA exchange)
        "1.3.6.1.4.1.311.21.6",  # key recovery agent
        "1.3.6.1.4.1.311.10.3.4.1",  # EFS recovery
    }
)


def is_infrastructure(template: str | None, certificate: Row | None) -> bool:
    """True for a certificate that others' trust hangs on, by its template's name or what it may be used for."""
    name = re.sub(r"[^a-z0-9]", "", (template or "").casefold())
    ekus: Iterable[str] = certificate["eku"] if certificate else ()
    is_ca = certificate is not None and certificate["is_ca"] is True
    return name in _INFRASTRUCTURE or is_ca or not _INFRASTRUCTURE_EKUS.isdisjoint(ekus)


def expiry_note(not_after: datetime | None, cut: datetime | None) -> str:
    """A sentence where the certificate had expired before the restore; else nothing."""
    if not_after is not None and cut is not None and not_after <= cut:
        return f" It expired on {utc_text(not_after)}, before the restore."
    return ""


def blast_radius(template: str | None, subject: str | None, not_after: datetime | None, *, infrastructure: bool) -> str:
    """What a revocation would hit, in words."""
    who = subject or "an unknown holder"
    what = f"a certificate of template {template}" if template else "a certificate of unknown template"
    until = f"valid until {utc_text(not_after)}" if not_after else "its end of validity is unknown"
    text = f"Revoking hits {who}: {what}, {until}."
    if infrastructure:
        text += " It is infrastructure: others depend on it. Replace it before you revoke it."
    return text
