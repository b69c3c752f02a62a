"""A pytest plugin that takes one precaution out of the batches, so that the tests can show that they would notice.

    CARECOVER_MUTANT=other-ignored pytest -p tests.mutated ...

What is told to Wine's cmd.exe too is told to the interpreter alone then: a fault of the batch shows in either.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from carecover.remediation import longer, scripts, subroutines
from tests.wine.both import Both, WatchedBundle
from tests.wine.wine import Wine

VARIABLE: Final = "CARECOVER_MUTANT"

# Name → what stands in the batches, and what stands there instead.
MUTANTS: Final = {
    "other-ignored": (
        'if "%STATE%"=="other" goto :item_stopped\n',
        "",
    ),
    "failed-is-absent": (
        'set "ANSWER=failed"\nset "COLUMN=SerialNumber"',
        'set "ANSWER=absent"\nset "COLUMN=SerialNumber"',
    ),
    "import-rc-trusted": (
        (
            'set "STATE=good"\n'
            'call :ask ",Disposition=20"\n'
            'if "%ANSWER%"=="present" goto :known\n'
            'set "STATE=%ANSWER%"\n'
            'if not "%ANSWER%"=="absent" goto :known\n'
        ),
        'set "STATE=good"\ngoto :known\n',
    ),
    "revoke-rc-trusted": (
        (
            'call :ask ",Disposition=21,Request.RevokedReason=%REASON%"\n'
            'if "%ANSWER%"=="present" goto :item_done\n'
            'set "WHY=revoke"'
        ),
        'if "%RC%"=="0" goto :item_done\nset "WHY=revoke"',
    ),
    "publish-does-not-look": (
        'if "%LEFT%"=="0" goto :count',
        "goto :count",
    ),
    "held-restore": (
        'if "%STATE%"=="held" goto :item_stopped\ngoto :item_done\n',
        "goto :item_done\n",
    ),
    "import-not-looked-for": (
        ":imported_not\ncall :state\n",
        ":imported_not\n",
    ),
    "odd-ignored": (
        'if "%STATE%"=="odd" goto :item_stopped\n',
        "",
    ),
    "different-goes-on": (
        'if "%STATE%"=="different" goto :item_stopped\n',
        "",
    ),
    "planned-again": (
        'if "%STATE%"=="planned" goto :item_done\n',
        "",
    ),
    "hash-not-asked": (
        'if defined H set "COLUMN=CertificateHash"\nif defined H set "WANT=%H%"\n',
        "",
    ),
    "file-not-checked": (
        'set "ANSWER=changed"',
        'set "ANSWER=same"',
    ),
    "issued-ignored": (
        (
            'call :rows "RequestID>%ID%,Disposition>=12,Disposition<=21"\n'
            'if "%ANSWER%"=="failed" goto :database_failed\n'
            'if "%ANSWER%"=="present" set "REFUSED=1"\n'
        ),
        "",
    ),
    "baseline-ignored": (
        'if "%ANSWER%"=="absent" set "REFUSED=1"\nif "%ANSWER%"=="absent" exit /b 0\ncall :rows "RequestID>',
        'if "%ANSWER%"=="absent" exit /b 0\ncall :rows "RequestID>',
    ),
    "finish-0": (
        'if not "%STOPPED%"=="0" set "RESULT=1"\n',
        "",
    ),
    "left-0": (
        'if not "%LEFT%"=="0" set "RESULT=1"\n',
        "",
    ),
    "undo-all": (
        'if not "%N%"=="%WANTED%" exit /b 0\n',
        "",
    ),
    "crl-old-kept": (
        'if exist "%FILE%" del "%FILE%"\ncall :doubt\n"%CERTUTIL%" @CONFIG@-getcrl',
        'call :doubt\n"%CERTUTIL%" @CONFIG@-getcrl',
    ),
    "one-round": (
        "if %ROUND% LSS %ROUNDS% goto :crl\n",
        "",
    ),
    "heard-not-asked": (
        'if not defined HEARD set "V="\n',
        "",
    ),
    "three-failures": (
        'if %FAILS% GEQ @MAX_FAILURES@ set "ABORT=@MAX_FAILURES@-failures-in-a-row"\n',
        "",
    ),
    "abort-ignored": (
        "if defined ABORT goto :item_left\n",
        "",
    ),
    "whole-not-asked": (
        "if not defined WHOLE goto :unlogged\n",
        "",
    ),
    "ca-hash-not-compared": (
        'set "WHY=ca"\nif not "%ANSWER%"=="same" goto :refused\n',
        "",
    ),
    "fc-not-compared": (
        'if "%RC%"=="1" goto :refused\nset "WHY=ca-compare"',
        'set "WHY=ca-compare"\nif "%RC%"=="1" set "RC=0"',
    ),
    "serial-file": (
        'if exist "%SERIAL%" goto :item_stopped\n',
        "",
    ),
    "signed-unseen": (
        'if not exist "%FILE%" goto :item_failed\ngoto :item_done',
        "goto :item_done",
    ),
    "first-does-all": (
        'if "%OPTION%"=="first" set "ENOUGH=1"\n',
        "",
    ),
    "pad-not-asked": (
        'set "S=%PAD%%SERIAL%"\ncall :ask\n',
        "",
    ),
}


def mutate(name: str) -> None:
    """Change every text of the batches that holds it; raises ValueError where none does."""
    old, new = MUTANTS[name]
    found = 0
    for module in (scripts, subroutines, longer):
        for key, value in list(vars(module).items()):
            if isinstance(value, str) and key.isupper() and old in value:
                setattr(module, key, value.replace(old, new))
                found += 1
            elif isinstance(value, tuple) and any(isinstance(text, str) and old in text for text in value):
                setattr(module, key, tuple(text.replace(old, new) for text in value))
                found += 1
    if not found:
        raise ValueError(f"{name}: no batch holds {old!r}.")


def _ours(
    self: Both, story: Callable[[WatchedBundle], None], *, plan: Any, behaviour: Any = None, **given: Any
) -> WatchedBundle:
    folder, own_find = given.get("folder", "bundle"), given.get("own_find", False)
    return self._tell("ours", story, plan, behaviour, folder, own_find)


@contextlib.contextmanager
def _none(_: Path) -> Iterator[None]:
    yield None


if VARIABLE in os.environ:
    mutate(os.environ[VARIABLE])
    Both.__call__ = _ours  # type: ignore[method-assign]
    Wine.begin = _none  # type: ignore[assignment, method-assign]
