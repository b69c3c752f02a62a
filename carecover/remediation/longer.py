r"""Dummies that end too early → ``longer.cmd``, which signs each again with a longer life.

``certutil -sign SERIAL FILE`` takes no validity; ``certutil -sign IN OUT now+dd:hh`` does
(certutil's own help). That the second works on what the first made is documented by its parts
only, so what comes out is checked by ``pin`` like any dummy.

``-sign IN`` signs whatever lies there: a file that was exchanged would get the CA's signature.
So the script compares the file's SHA-256 with the one that ``pin`` found to be in order, right
before it signs. It keeps files that exist, and changes nothing in the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from carecover.model import Pin, Plan, PlanItem, SignOff
from carecover.remediation import bundle, scripts
from carecover.remediation.pin import needed_until

# The CA's clock may be behind, and the script may be run days after it was written.
_MARGIN: Final = timedelta(days=3)
_HOUR: Final = timedelta(hours=1)

LONGER_MAIN: Final = r"""
if /i "%~1"=="GO" set "OPTION=go"
if /i "%~1"=="FIRST" set "OPTION=first"
if "%OPTION%"=="unknown" goto :usage
if not "%~2"=="" goto :usage
set "PHASE=longer"
set "KEYED=1"
goto :alone

:usage
echo longer.cmd FIRST signs one dummy again, with a longer life, and stops. Stay at the screen: a dialog may open.
echo longer.cmd GO signs all that are not there yet.
echo It uses the key of the CA, changes nothing in its database and leaves the first files as they are.
exit /b 2
"""

LONGER_ITEMS: Final = r"""
@ITEMS@
goto :finish

:longer
set "N=%~1"
set "SERIAL=%~2"
set "SIGNER=%~3"
set "SOURCE=%~4"
set "SHA=%~5"
set "SPACED=%~6"
set "FILE=%~7"
set "LIFE=%~8"
set "DID="
if defined ABORT goto :item_left
if defined ENOUGH goto :item_left
if exist "%FILE%" goto :item_done
set "WHY=file-missing"
if not exist "%SOURCE%" goto :item_stopped
set "FILE=%SOURCE%"
call :hash
set "WHY=file-%ANSWER%"
if "%ANSWER%"=="failed" goto :item_failed
if not "%ANSWER%"=="same" goto :item_stopped
set "FILE=%~7"
set "DID=1"
call :doubt
"%CERTUTIL%" -Cert %SIGNER% -sign "%SOURCE%" "%FILE%" now+%LIFE% >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR %N% %SERIAL% sign %RC%
call :trouble
set "WHY=sign"
if not "%RC%"=="0" goto :item_failed
if not exist "%FILE%" goto :item_failed
goto :item_done
"""

# All else is as in prepare.cmd.
LONGER: Final = tuple(
    {scripts.PREPARE_MAIN: LONGER_MAIN, scripts.PREPARE_ITEMS: LONGER_ITEMS}.get(part, part) for part in scripts.PREPARE
)


def longer_bundle(
    plan: Plan,
    certificates: Mapping[str, bytes],
    pins: Sequence[Pin],
    dummies: Mapping[str, bytes],
    *,
    now: datetime,
    signoffs: Sequence[SignOff] = (),
    journal_head: str | None = None,
    written: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """The bundle with ``longer.cmd`` and the dummies it starts from; empty where none can be signed again.

    ``certificates`` and ``written`` as for ``prepare_bundle``; ``pins`` and ``dummies`` (serial → bytes) as
    found; ``now`` is when the lives are counted from. Raises RefusedError like ``prepare_bundle``.
    """
    short = {pin.serial: pin for pin in pins if pin.can_be_longer}
    if not short:
        return {}
    signers = bundle.signers(plan, certificates)
    heads = bundle.Heads(journal_head, written or {})
    files = bundle.common_files(plan, certificates, stage="longer", signoffs=signoffs, heads=heads)
    calls = []
    for item in plan.items:
        pin = short.get(item.serial)
        if item.method != "dummy" or pin is None:
            continue
        files[pin.name] = dummies[item.serial]
        calls.append(_call(item, pin, signers[item.ca_cert_index], now))
    files["longer.cmd"] = bundle.batch(plan, LONGER, calls, heads.of("longer.cmd"))
    return bundle.with_manifest(plan, files, journal_head)


def _call(item: PlanItem, pin: Pin, signer: x509.Certificate, now: datetime) -> str:
    values = (
        item.number,
        item.serial,
        bundle.hex_serial(signer),
        bundle.windows_name(pin.name),
        pin.sha256,
        bundle.spaced(pin.sha256),
        bundle.windows_name(bundle.certificate_name(item, longer=True)),
        life(item, signer, now),
    )
    return "call :longer " + " ".join(f'"{value}"' for value in values)


def life(item: PlanItem, signer: x509.Certificate, now: datetime) -> str:
    """How long the new dummy lives, ``dd:hh`` from ``now`` on, as certutil -sign takes it.

    It must outlive the real certificate, by a margin where that does not pass the end of the CA
    certificate. Where both end together it passes it by hours: too short would be worse.
    """
    needed = needed_until(item, signer)
    end = max(needed + _HOUR, min(needed + _MARGIN, signer.not_valid_after_utc))
    hours = max(-((now - end) // _HOUR), 24)
    return f"{hours // 24}:{hours % 24:02}"
