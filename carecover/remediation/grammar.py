r"""The form in which batches are written, and the check that nothing else is.

One statement a line, printable ASCII, CRLF. The form is small enough that cmd.exe, Wine's
cmd and the interpreter of the rehearsal read it alike (facts and reasons: each construct
left out is one that they read differently, or that lets a value become a command):

    @echo off | setlocal EnableExtensions DisableDelayedExpansion | cd /d "%~dp0" | rem text
    :label | goto :label | call :label "argument" ... | exit /b N
    set "NAME=value" | set /a NAME=sum of integers and names
    if [/i] [not] "a"=="b" S | if [not] exist "path" S | if [not] defined NAME S
    if %NAME% GEQ N S (EQU NEQ GEQ GTR LSS LEQ)
    for /f "delims=characters" %%a in ("%~2") do goto :label
    echo text | >>"%LOG%" echo text | mkdir "x" | del "x"
    call :start 2>>"work\errors.txt"
    "%CERTUTIL%" one of the calls in _CERTUTIL, output to "%OUT%", "%LOG%" or "%VIEW%"
    "%FIND%" "x" "file" >nul | "%FC%" /b "a" "b" >nul | "%WHOAMI%" /groups > "%OUT%" 2>&1
    "%REG%" query "HKLM\Cluster" > "%OUT%" 2>&1
    for /f "usebackq …" %%a in ("%OUT%") do … set "NAME=…", one of the lines in _ANSWER, which read an answer
    set "SEEK 44…=1" and what else _SEEKING names: what a CRL must hold

No blocks, pipes, ``&``, ``^``, ``!``, no delayed expansion, no ``for`` over commands.

collect.cmd, which only reads, has a form of its own: the same without those calls of certutil, and with _COLLECT
(reading calls of certutil, wevtutil, reg and tzutil, copy from CertEnroll, type, ver) and _COLLECT_LINE (for over the
files of a folder, for /f over the one answer that holds a number).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from carecover.errors import RefusedError

# cmd.exe cuts a line at 8191 characters after expansion (Microsoft KB 830473); ours stay far below.
MAX_LINE: Final = 1_000

_NAME = r"[A-Z][A-Z0-9_]*"
_VAR = rf"%{_NAME}%"
# What may stand between quotes: nothing that ends the quotes or is expanded but a variable or an argument.
_QUOTED = rf"(?:[A-Za-z0-9 ._()\\:;,=<>@$/-]|{_VAR}|%~(?:[1-9]|dp0))*"
# Not /? anywhere: cmd.exe looks for it behind every command of its own, and shows help instead.
_TEXT = rf"(?:[A-Za-z0-9 .,:;=?'@\[\]_\\-]|/(?!\?)|{_VAR}|%~[1-9])+"
_PATH = rf"(?:[A-Za-z0-9][A-Za-z0-9._-]*(?:\\[A-Za-z0-9][A-Za-z0-9._-]*)?|{_VAR})"
_CONFIG = r'(?:-config "%CACONFIG%" )?'
_TO_OUT = r' > "%OUT%" 2>&1'
_TO_LOG = r' >> "%LOG%" 2>&1'
_TO_FILE = r' > "%FILE%" 2>&1'

# Every call of certutil that a batch of ours makes. What is not here cannot be written: no
# -f, no foreign import, no -deleterow, no republish, nothing that stops the service.
_CERTUTIL: Final = (
    rf'{_CONFIG}-ca\.cert "work\\ca\.cer"{_TO_OUT}',
    rf'{_CONFIG}-view -restrict "{_QUOTED}" -out "%COLUMN%"(?: CRL)?{_TO_OUT}',
    rf'{_CONFIG}-gmt -view -restrict "{_QUOTED}" -out "[A-Za-z,.]+" >> "%VIEW%" 2>&1',
    rf"{_CONFIG}-ping{_TO_OUT}",
    rf'{_CONFIG}-backupDB "backup" KeepLog{_TO_LOG}',
    r'-dump "%FILE%" > "%DUMP%" 2>&1',
    rf'-getreg "%KEY%"{_TO_OUT}',
    rf'-hashfile "%FILE%" SHA256{_TO_OUT}',
    rf'{_CONFIG}-getcrl "%FILE%" %~1{_TO_LOG}',
    rf'{_CONFIG}-importcert "%FILE%"{_TO_LOG}',
    rf"{_CONFIG}-revoke %S% (?:%REASON%|-1){_TO_LOG}",
    rf"{_CONFIG}-crl{_TO_LOG}",
    rf'-Cert %SIGNER% -sign %SERIAL% "%FILE%"{_TO_LOG}',
    # A file is signed again only where :longer compared its hash: -sign FILE takes whatever lies there.
    rf'-Cert %SIGNER% -sign "%SOURCE%" "%FILE%" now\+%LIFE%{_TO_LOG}',
)
_SIMPLE: Final = (
    rf'set "{_NAME}={_QUOTED}"',
    rf"set /a {_NAME}=(?:{_NAME}|[0-9]+)(?:[+-](?:{_NAME}|[0-9]+))*",
    r"goto :[a-z_]+",
    rf'call :[a-z_]+(?: (?:[a-z]+|"{_QUOTED}"))*',
    rf"exit /b (?:[0-9]|{_VAR})",
    rf"echo (?!(?:on|off)\s*$){_TEXT}",
    rf'>>"%LOG%" echo {_TEXT}',
    rf'(?:mkdir|del) "{_PATH}"',
    rf'"%FIND%" "{_QUOTED}" "(?:{_PATH})" >nul',
    rf'"%FC%" /b "{_PATH}" "{_PATH}" >nul',
    r'"%WHOAMI%" /groups > "%OUT%" 2>&1',
)
_HEX = "(?:00)?[0-9a-f]{2,40}"
# What a CRL must hold: a variable for each serial number, named as the line of a dump reads behind its colon.
_SEEKING: Final = (
    rf'set "SEEK {_HEX}=1"',
    # A word of its own: beside a serial number that is listed it must not read as one that is sought.
    r'set "LEFT %SERIAL%=(?:left)?"',
    r'if "%SEEK ([0-9a-f]{2,40})%%LEFT \1%"=="1" call :unlisted "[1-9][0-9]{0,6}" "\1"',
    r'if "%SEEK ([0-9a-f]{2,40})%%SEEK 00\1%%LEFT \1%"=="11" call :unlisted "[1-9][0-9]{0,6}" "\1"',
    r'for /f "usebackq tokens=2 delims=:" %%b in \("%DUMP%"\) do set "SEEK%%b="',
)
_EACH_LINE = r'%%a in \("%OUT%"\) do '
# Reading an answer: what stands in a line is put in when all has been parsed, and only ever sets a variable. (Wine 8
# puts it in before, so a line with a quote or & may break the statement there: no answer of a CA that is asked
# for a hash or a number holds one.)
_ANSWER: Final = (
    rf'for /f "usebackq" {_EACH_LINE}if "%%a"=="%COLUMN%" set "HEARD=1"',
    r'for /f "usebackq tokens=2 delims=:" %%b in \("%OUT%"\) do if not defined V set "V=%%b"',
    r"""set "V=%V:"='%\"""",
    r"""if "%V:~0,2%"==" '" set "ANSWER=other\"""",
    r"""if "%V:~0,3%"==" 0x" set "ANSWER=present\"""",
    r"""if /i "%V%"==" '%WANT%'" set "ANSWER=present\"""",
    rf'for /f "usebackq delims=" {_EACH_LINE}if /i "%%a"=="%(?:SHA%|SPACED% ?)" set "ANSWER=same"',
    rf'for /f "usebackq tokens=1-2" {_EACH_LINE}if /i "%%a"=="%NAME%" set "TYPE=%%b"',
    rf'for /f "usebackq tokens=1-4 delims=\(\)= " {_EACH_LINE}if /i "%%a %%b"=="%NAME% REG_DWORD" set "HEX=%%c"',
    rf'for /f "usebackq tokens=1-4 delims=\(\)= " {_EACH_LINE}if /i "%%a %%b"=="%NAME% REG_DWORD" set "DECIMAL=%%d"',
    r'for /f "delims=0123456789" %%a in \("%DECIMAL%"\) do goto :[a-z_]+',
)
# The rest of what only these batches hold.
_OTHER: Final = (
    r'set "REG=%SystemRoot%\\System32\\reg\.exe"',
    r'"%REG%" query "HKLM\\Cluster" > "%OUT%" 2>&1',
    r'>>"%BEGUN%" echo [a-z ]+',
)
# What collect.cmd may do: all of it reads. wevtutil and reg are given a whole path, for a service may do the writing.
_COLLECT: Final = (
    *(
        rf'"%CERTUTIL%" {form}'
        for form in (
            rf'-view -restrict "(?:RequestId==\$|RequestID=%NEWEST%)" -out "RequestID"{_TO_OUT}',
            rf'-gmt -seconds -view(?: -restrict "%RANGE%")?(?: -out "[A-Za-z,.]+")?(?: CRL)?{_TO_FILE}',
            rf'-ca\.cert "%FILE%"(?: %INDEX%)?{_TO_OUT}',
            rf'-getcrl "%FILE%" %INDEX%(?: delta)?{_TO_OUT}',
            rf'(?:-getreg "%KEY%"|-CAInfo certcount|-v -uSAGE){_TO_FILE}',
            r'-hashfile "%HASHES%" SHA256',
        )
    ),
    rf'copy /y "%ENROLL%\\\*\.(?:crl|crt)" "%COPIES%"{_TO_LOG}',
    rf'type "%(?:FILE|OUT)%"{_TO_LOG}',
    r'ver > "%FILE%"',
    rf'"%WHOAMI%"(?: /groups)?{_TO_FILE}',
    rf'"%TZUTIL%" /g{_TO_FILE}',
    r'"%REG%" export "HKLM\\SYSTEM\\CurrentControlSet\\Services\\CertSvc\\Configuration" "%HERE%%FILE%"' + _TO_LOG,
    rf"\"%WEVTUTIL%\" epl (?:Security|Application) \"%HERE%%FILE%\" \"/q:[][A-Za-z0-9 *()@='<>-]+\"{_TO_LOG}",
    rf'>>"%MARKER%" echo {_TEXT}',
)
_CONDITION = (
    rf'if (?:/i )?(?:not )?"{_QUOTED}"=="{_QUOTED}" |if (?:not )?exist "{_PATH}" |if (?:not )?defined {_NAME} |'
    rf"if {_VAR} (?:EQU|NEQ|GEQ|GTR|LSS|LEQ) [0-9]+ |if {_VAR} (?:EQU|NEQ|GEQ|GTR|LSS|LEQ) {_VAR} "
)


def _form(*groups: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf"(?:{_CONDITION})?(?:{'|'.join(form for group in groups for form in group)})", re.ASCII)


_STATEMENT = _form(_SIMPLE, (rf'"%CERTUTIL%" {form}' for form in _CERTUTIL))
_READING = tuple(re.compile(form, re.ASCII) for form in (*_ANSWER, *_SEEKING, *_OTHER))
_COLLECT_STATEMENT = _form(_SIMPLE, _COLLECT)
_WHOLE_LINE = re.compile(
    r"|@echo off|setlocal EnableExtensions DisableDelayedExpansion|cd /d \"%~dp0\"|"
    r"rem [A-Za-z0-9 .,:;'-]+|:[a-z_]+|"
    r'set "(?:CERTUTIL=%SystemRoot%\\System32\\certutil|FIND=%SystemRoot%\\System32\\find)\.exe"|'
    r'set "(?:FC=%SystemRoot%\\System32\\fc|WHOAMI=%SystemRoot%\\System32\\whoami)\.exe"|'
    r'call :start 2>>"work\\errors\.txt"|'
    r'for /f "delims=[0-9a-f]+" %%a in \("%~[1-9]"\) do goto :[a-z_]+',
    re.ASCII,
)
_COLLECT_LINE = re.compile(
    r'set "(?:WEVTUTIL=%SystemRoot%\\System32\\wevtutil|REG=%SystemRoot%\\System32\\reg)\.exe"|'
    r'set "(?:TZUTIL=%SystemRoot%\\System32\\tzutil\.exe|ENROLL=%SystemRoot%\\System32\\CertSrv\\CertEnroll)"|'
    r'call :start 2>>"%ERRORS%"|'
    r'for /f "delims=0123456789" %%a in \("%NEWEST%"\) do goto :[a-z_]+|'
    r'for /f "tokens=2 delims=\(\)" %%a in \(%OUT%\) do set "NEWEST=%%a"|'
    r'for %%f in \(%(?:IN|COPIES)%\\\*\) do "%CERTUTIL%" -hashfile "%%f" SHA256 >> "%HASHES%" 2>&1',
    re.ASCII,
)
# The data of one planned certificate: number, serial, "00" for a high serial, reason, hash of
# the row, file, and the file's SHA-256 as newer and as older certutil print it.
_ITEM = re.compile(
    r'call :item "(?:revoke|restore|unrevoke|release)" "[1-9][0-9]{0,6}" "[0-9a-f]{2,40}" "(?:00)?" "[0-6]?"'
    r' "(?:(?:[0-9a-f]{2} ){19}[0-9a-f]{2})?"'
    r' "(?:certs\\[0-9a-f]{2,40}\.cer|dummies\\[0-9a-f]{2,40}(?:-longer)?\.cer)?"'
    r' "(?:[0-9a-f]{64})?" "(?:(?:[0-9a-f]{2} ){31}[0-9a-f]{2})?"',
    re.ASCII,
)
# A dummy that is signed again: number, serial, signer, the file with both spellings of its SHA-256, the new file, days.
_LONGER = re.compile(
    r'call :longer "[1-9][0-9]{0,6}" "([0-9a-f]{2,40})" "[0-9a-f]{2,40}" "dummies\\\1\.cer"'
    r' "[0-9a-f]{64}" "(?:[0-9a-f]{2} ){31}[0-9a-f]{2}" "dummies\\\1-longer\.cer" "[0-9]{1,6}:[0-9]{2}"',
    re.ASCII,
)
_LABEL = re.compile(r"(?:goto|call) :([a-z_]+)", re.ASCII)


def check(data: bytes, *, collects: bool = False) -> None:
    """Raise RefusedError, naming the line, unless ``data`` is a batch in this form.

    ``collects``: in the form of collect.cmd, which knows no call that could change a CA.
    Also checked: every label that is jumped to is there once, the file begins with
    ``@echo off`` and ends with ``exit /b`` or ``goto``, so that nothing falls off its end.
    """
    allowed = (_WHOLE_LINE, _COLLECT_STATEMENT, _COLLECT_LINE) if collects else (_WHOLE_LINE, _STATEMENT, *_READING)
    *rows, rest = data.split(b"\r\n")
    if rest:
        raise _outside(len(rows) + 1, "it does not end in CRLF")
    labels: set[str] = set()
    jumps: list[tuple[int, str]] = []
    for number, row in enumerate(rows, start=1):
        if any(byte < 0x20 or byte > 0x7E for byte in row):
            raise _outside(number, "it holds something else than printable ASCII")
        if len(row) > MAX_LINE:
            raise _outside(number, f"it is longer than {MAX_LINE} characters")
        line = row.decode("ascii")
        if not any(form.fullmatch(line) for form in allowed):
            raise _outside(number, "it is no statement of that form")
        data_of = {"call :item ": _ITEM, "call :longer ": _LONGER}
        if any(line.startswith(call) and not form.fullmatch(line) for call, form in data_of.items()):
            raise _outside(number, "its values are not those of a planned certificate")
        if line.startswith(":"):
            if line[1:] in labels:
                raise _outside(number, "its label is there twice")
            labels.add(line[1:])
        else:
            jumps += [(number, target) for target in _LABEL.findall(line)]
    for number, target in jumps:
        if target not in labels:
            raise _outside(number, f"there is no label :{target}")
    if rows[:1] != [b"@echo off"]:
        raise _outside(1, "it is not '@echo off'")
    last = next(row for row in reversed(rows) if row)
    if not last.startswith((b"exit /b ", b"goto :")):
        raise _outside(len(rows), "the file does not end with 'exit /b' or 'goto'")


def _outside(number: int, what: str) -> RefusedError:
    return RefusedError(
        f"The batch was not written: line {number} is outside the form of carecover's batches ({what}). "
        "Nothing unsafe was exported; please report this."
    )
