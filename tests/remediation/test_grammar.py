"""The form of a batch: what is outside it never leaves the house."""

from __future__ import annotations

import pytest

from carecover.errors import RefusedError
from carecover.remediation import grammar

GOOD = [
    "@echo off",
    'cd /d "%~dp0"',
    "",
    "rem Words, and nothing else.",
    'set "S=4400"',
    'if "%S%"=="4400" goto :end',
    'call :item "revoke" "1" "44ab" "" "4" "" "" "" ""',
    ":item",
    ":end",
    "exit /b 0",
]


def batch(*lines: str) -> bytes:
    return "".join(line + "\r\n" for line in lines).encode("latin-1")


def test_a_batch_of_ours_passes() -> None:
    grammar.check(batch(*GOOD))


@pytest.mark.parametrize(
    "line",
    [
        # values that would become commands, or change what a line does
        'set "S=1" & echo x',
        'set "S=1&2"',
        'set "S=1"2"',
        'set "S=a^"',
        'set "S=!A!"',
        'set "S=100% x"',
        'set "S=%COMSPEC:~0,1%"',
        'set "S=a|b"',
        'set "CERTUTIL=C:\\evil.exe & x"',
        "echo %0 %*",
        "echo a > b",
        "echo text^",
        "echo a & b",
        "echo (text)",
        "echo on",
        "echo /?",
        "rem %~x",
        "rem a & b",
        "REM other",
        "rem text > file",
        'call :item "revoke" "1" "44ab" "" "4" "" "" "" "" & echo x',
        'call :item "revoke" "1" "44AB" "" "4" "" "" "" ""',
        'call :item "revoke" "1" "44ab" "" "7" "" "" "" ""',
        'call :item "revoke" "1" "44ab" "" "8" "" "" "" ""',
        'call :item "revoke" "1" "44ab" "" "-1" "" "" "" ""',
        'call :item "revoke" "1" "4" "" "4" "" "" "" ""',
        'call :item "revoke" "1" "44ab" "" "4" "" "..\\x.cer" "" ""',
        'call :item "revoke" "1" "44ab" "" "4" "" "certs\\evil.cer" "" ""',
        'call :item "erase" "1" "44ab" "" "4" "" "" "" ""',
        # constructs that cmd.exe and Wine read differently, or that a batch of ours never needs
        "ver && ver",
        "ver || ver",
        "type x | find y",
        "if errorlevel 1 goto :end",
        "if exist x (",
        ")",
        "setlocal enabledelayedexpansion",
        "for /f %%a in ('certutil -view') do echo %%a",
        "for %%a in (1 2) do echo %%a",
        "findstr x y",
        "choice /c YN",
        "set /p S=go?",
        "timeout 5",
        "chcp 65001",
        "powershell -c x",
        "net session",
        "start x",
        "call other.cmd",
        "exit 1",
        "del *",
        'del "..\\x"',
        'del "C:\\x"',
        'mkdir "a\\b\\c"',
        'copy "a" "b"',
        # certutil calls that are never made
        '"%CERTUTIL%" -f -importcert "%FILE%" >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -importcert -f "%FILE%" >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -importcert "%FILE%" 1 >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -deleterow 5 >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -crl republish >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -setreg ca\\KRAFlags +1 >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -revoke %S% 8 >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -config "%OTHER%" -crl >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -config %CACONFIG% -crl >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -crl > "C:\\x" 2>&1',
        '"%CERTUTIL%" -view -restrict "SerialNumber=%S%" | find "x"',
        'certutil -crl >> "%LOG%" 2>&1',
        '"C:\\tools\\certutil.exe" -crl >> "%LOG%" 2>&1',
        "net stop certsvc",
        # bytes
        "echo \x00",
        "echo \x1b[2J",
        "echo \xe9",
        "echo\ttext",
        "\xef\xbb\xbfecho x",
        "echo a\necho b",
        "echo a\recho b",
        "echo " + "a" * grammar.MAX_LINE,
        # labels
        "goto :nowhere",
        "call :nowhere",
        ":end",
        "goto end",
    ],
)
def test_a_line_outside_the_form_is_refused_by_its_number(line: str) -> None:
    with pytest.raises(RefusedError, match="line 4 "):
        grammar.check(
            batch(*GOOD[:3], line, *GOOD[3:]) if line != ":end" else batch(*GOOD[:2], ":end", ":end", *GOOD[-1:])
        )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        batch(*GOOD)[:-2],
        batch(*GOOD).replace(b"\r\n", b"\n"),
        b"\xef\xbb\xbf" + batch(*GOOD),
        batch(*GOOD).decode().encode("utf-16"),
        batch(*GOOD[1:]),
        batch(*GOOD, 'set "S=1"'),
    ],
)
def test_a_file_of_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError, match="outside the form"):
        grammar.check(data)


@pytest.mark.parametrize(
    "line",
    [
        'for /f "usebackq" %%a in ("%OUT%") do if "%%a"=="%COLUMN%" set "HEARD=1"',
        'for /f "usebackq tokens=2 delims=:" %%b in ("%OUT%") do if not defined V set "V=%%b"',
        'set "V=%V:"=\'%"',
        'if /i "%V%"==" \'%WANT%\'" set "ANSWER=present"',
        'for /f "usebackq delims=" %%a in ("%OUT%") do if /i "%%a"=="%SPACED% " set "ANSWER=same"',
        'set "SEEK 00ff01=1"',
        'if "%SEEK ff01%%SEEK 00ff01%%LEFT ff01%"=="11" call :end "1" "ff01"'.replace(":end", ":unlisted"),
        '"%CERTUTIL%" -backupDB "backup" KeepLog >> "%LOG%" 2>&1',
        '"%REG%" query "HKLM\\Cluster" > "%OUT%" 2>&1',
    ],
)
def test_an_answer_is_read_in_these_lines(line: str) -> None:
    grammar.check(batch(*GOOD[:3], line, *GOOD[3:], ":unlisted", "exit /b 0"))


@pytest.mark.parametrize(
    "line",
    [
        'for /f "usebackq" %%a in ("%OUT%") do %%a',
        'for /f "usebackq" %%a in ("%OUT%") do call :end "%%a"',
        'for /f "usebackq" %%a in ("%OUT%") do echo %%a',
        'for /f "usebackq" %%a in ("%FILE%") do if "%%a"=="%COLUMN%" set "HEARD=1"',
        'for /f "usebackq tokens=2 delims=:" %%b in ("%OUT%") do set "CERTUTIL=%%b"',
        'for /f "usebackq" %%a in (\'%OUT%\') do if "%%a"=="%COLUMN%" set "HEARD=1"',
        'set "V=%V:a=&%"',
        'set "LOG=%V:"=\'%"',
        'set "SEEK 44ab=2"',
        'set "SEEK %V%=1"',
        'if "%SEEK 44ab%%LEFT 44ac%"=="1" call :end "1" "44ab"',
        '"%CERTUTIL%" -backupDB "backup" >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -f -backupDB "backup" KeepLog >> "%LOG%" 2>&1',
        '"%CERTUTIL%" -restoreDB "backup" >> "%LOG%" 2>&1',
        '"%REG%" delete "HKLM\\Cluster" > "%OUT%" 2>&1',
    ],
)
def test_nothing_else_is_done_with_an_answer(line: str) -> None:
    with pytest.raises(RefusedError, match="line 4 "):
        grammar.check(batch(*GOOD[:3], line, *GOOD[3:]))
