"""The interpreter of our batches: what cmd.exe does, and the refusal of everything else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carecover.errors import RefusedError
from carecover.simulator.cmd import MAX_LINE, MIN_STEPS, Script, run
from carecover.simulator.windows import (
    OEM,
    CallResult,
    Folder,
    fc,
    find,
    reg,
    split_arguments,
    tzutil,
    wevtutil,
    whoami,
)

HEAD = ["@echo off", "setlocal EnableExtensions DisableDelayedExpansion", 'cd /d "%~dp0"']
TOOL = '"%SystemRoot%\\System32\\tool.exe"'


class Shell:
    """One folder, one program that answers what it is told to, and everything that was seen."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls: list[list[str]] = []
        self.codes: list[int] = []
        self.lines: list[str] = []

    def tool(self, arguments: Sequence[str], _folder: Folder) -> CallResult:
        """Record the call and leave with the next code that was told."""
        self.calls.append(list(arguments))
        return CallResult(self.codes.pop(0) if self.codes else 0, b"tool says\r\n", b"tool moans\r\n")

    def __call__(self, *lines: str, arguments: Sequence[str] = (), end: str = "exit /b 0") -> int:
        """Run the lines as one batch and return its exit code."""
        self.lines.clear()
        lines = (*lines, end) if end else lines
        return run(
            Script.parse("".join(line + "\r\n" for line in (*HEAD, *lines)).encode("latin-1"), "story.cmd"),
            Folder(self.directory),
            {"tool.exe": self.tool, "find.exe": find, "fc.exe": fc, "whoami.exe": whoami(elevated=True)},
            arguments=arguments,
            now=lambda: datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
            on_output=lambda text: self.lines.append(text.removesuffix("\n")),
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in an empty folder."""
    return Shell(tmp_path)


# ------------------------------------------------------------------------------- expansion


def test_variables_are_expanded_once_and_without_regard_to_case(shell: Shell) -> None:
    shell('set "Name=a%%b"', "echo [%NAME%] [%name%] [%MISSING%] 100%%")
    # What comes out of a variable is not looked at again: %b% would else be expanded.
    assert shell.lines == ["[a%b] [a%b] [] 100%"]


def test_an_empty_value_undefines(shell: Shell) -> None:
    shell('set "A=1"', 'set "A="', "if defined A echo defined", "if not defined a echo gone", "echo [%A%]")
    assert shell.lines == ["gone", "[]"]


def test_arguments_lose_their_quotes_only_with_a_tilde(shell: Shell) -> None:
    shell('call :show "a b" plain', "goto :eof", ":show", "echo %1 %~1 %2 [%3] %~nx0 %~dp0 %~f0", "exit /b 0")
    assert shell.lines == ['"a b" a b plain [] story.cmd C:\\carecover\\ C:\\carecover\\story.cmd']


def test_the_script_sees_the_arguments_it_was_started_with(shell: Shell) -> None:
    assert shell('if /i "%~1"=="go" exit /b 7', "exit /b 2", arguments=["GO"]) == 7
    assert shell('if /i "%~1"=="go" exit /b 7', "exit /b 2") == 2


def test_the_date_is_the_simulated_one(shell: Shell) -> None:
    shell("echo %DATE% %TIME%")
    assert shell.lines == ["02/03/2026 04:05:06.00"]


# -------------------------------------------------------------------------------- conditions


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('"a"=="a"', True),
        ('"a"=="A"', False),
        ('/i "a"=="A"', True),
        ('not "a"=="b"', True),
        ('not /i "a"=="A"', False),
        ("9 LSS 10", True),
        ("-2147023174 neq 0", True),
        ("3 GEQ 3", True),
        ("3 GTR 3", False),
        ("2 LEQ 1", False),
        ("1 EQU 1", True),
        ('exist "story.txt"', True),
        ('exist "STORY.TXT"', True),
        ('exist "story.txt\\"', False),
        ('exist "sub\\"', True),
        ('not exist "other.txt"', True),
        ("defined SystemRoot", True),
        ("not defined NOPE", True),
        ('not "x"=="y" if exist "story.txt"', True),
    ],
)
def test_conditions(shell: Shell, condition: str, holds: bool) -> None:
    (shell.directory / "Story.txt").write_bytes(b"")
    (shell.directory / "sub").mkdir()
    shell(f"if {condition} echo yes")
    assert shell.lines == ["yes"] * holds


def test_an_empty_variable_in_a_number_comparison_is_refused(shell: Shell) -> None:
    # cmd.exe would end the whole batch there with a syntax error.
    with pytest.raises(RefusedError, match=r"story\.cmd, line 4: "):
        shell("if %NOTHING% GEQ 3 echo x")


# ------------------------------------------------------------------------------------ errorlevel


def test_errorlevel_is_kept_by_echo_goto_and_call(shell: Shell) -> None:
    shell.codes = [-2147023174]
    code = shell(
        f"{TOOL} > nul 2>&1",
        "echo something",
        "goto :on",
        ":on",
        "call :nothing",
        'set "RC=%ERRORLEVEL%"',
        "echo %RC%",
        "exit /b 3",
        ":nothing",
        "goto :eof",
    )
    assert shell.lines == ["something", "-2147023174"]
    assert code == 3


def test_an_unsigned_exit_code_is_kept_as_signed_32_bits(shell: Shell) -> None:
    shell.codes = [0x80070005]
    assert shell(f"{TOOL} > nul 2>&1", end="") == -2147024891


def test_reading_errorlevel_after_set_is_refused(shell: Shell) -> None:
    with pytest.raises(RefusedError, match="ERRORLEVEL"):
        shell(f"{TOOL} > nul 2>&1", 'set "A=1"', 'if not "%ERRORLEVEL%"=="0" echo x')


def test_falling_off_the_end_returns_the_last_errorlevel(shell: Shell) -> None:
    shell.codes = [5]
    assert shell(f"{TOOL} > nul 2>&1", end="") == 5
    with pytest.raises(RefusedError, match=r"story\.cmd, line 5: "):
        shell('set "A=1"', end="rem set leaves what the version of cmd.exe likes")


# ------------------------------------------------------------------------------- calls and jumps


def test_a_call_comes_back_with_its_code_and_its_own_arguments(shell: Shell) -> None:
    code = shell(
        "call :one first",
        "echo back with %ERRORLEVEL% and [%~1]",
        "exit /b 0",
        ":one",
        "call :two second",
        "echo in one again: %~1",
        "exit /b 4",
        ":two",
        "echo in two: %~1",
        end="",
    )
    assert shell.lines == ["in two: second", "in one again: first", "back with 4 and []"]
    assert code == 0


def test_labels_do_not_depend_on_case_and_goto_finds_earlier_ones(shell: Shell) -> None:
    shell("set /a N=0", ":Again", "set /a N=N+1", "if %N% LSS 3 goto :AGAIN", "echo %N%")
    assert shell.lines == ["3"]


def test_setlocal_in_a_call_ends_with_the_call(shell: Shell) -> None:
    shell(
        'set "A=1"',
        "call :inner",
        "echo %A%",
        "exit /b 0",
        ":inner",
        "setlocal EnableExtensions",
        'set "A=2"',
        "exit /b 0",
    )
    assert shell.lines == ["1"]


def test_endless_loops_and_endless_calls_end(shell: Shell) -> None:
    with pytest.raises(RefusedError, match=f"{MIN_STEPS:,} steps"):
        shell(":again", "goto :again")
    with pytest.raises(RefusedError, match="nested"):
        shell(":again", "call :again")


def test_arithmetic_is_32_bit_and_refuses_what_cmd_reads_otherwise(shell: Shell) -> None:
    shell("set /a A=2147483647+1", "set /a B=A-1+UNKNOWN - 5", "echo %A% %B%")
    assert shell.lines == ["-2147483648 2147483642"]
    for expression in ("010", "08+1", "1*2", "1 2", "(1)", "0x10"):
        with pytest.raises(RefusedError, match="line 4"):
            shell(f"set /a A={expression}")


# -------------------------------------------------------------------------------- for /f


@pytest.mark.parametrize(
    ("value", "bad"),
    [("44ab", False), ("44aB", True), ("44 ab", True), ("", False), ("zz", True), ("44ab!", True), (";zz", False)],
)
def test_for_f_tells_a_value_with_other_characters(shell: Shell, value: str, bad: bool) -> None:
    # As in cmd.exe an empty value gives no token, and one that begins with the default
    # end-of-line character is skipped: a batch has to look for both otherwise.
    shell(
        f'set "S={value}"',
        'for /f "delims=0123456789abcdef" %%a in ("%S%") do goto :bad',
        "echo good",
        "exit /b 0",
        ":bad",
        "echo bad",
    )
    assert shell.lines == ["bad" if bad else "good"]


def test_for_f_hands_its_first_token_to_the_body(shell: Shell) -> None:
    shell('for /f "delims=,;" %%a in (",one;two") do echo [%%a]')
    assert shell.lines == ["[one]"]


# ------------------------------------------------------------------------------ files and output


def test_redirections_replace_append_and_merge(shell: Shell) -> None:
    shell(
        'mkdir "logs"',
        'set "LOG=logs\\a.log"',
        '>"%LOG%" echo first',
        '>>"%LOG%" echo second 1',
        f'{TOOL} >> "%LOG%" 2>&1',
        f'{TOOL} > "out.txt"',
    )
    assert (shell.directory / "logs/a.log").read_bytes() == b"first\r\nsecond 1\r\ntool says\r\ntool moans\r\n"
    assert (shell.directory / "out.txt").read_bytes() == b"tool says\r\n"
    assert shell.lines == ["tool moans"]


def test_a_digit_before_the_sign_is_a_handle_and_is_not_written(shell: Shell) -> None:
    shell("echo one 1>out.txt")
    assert (shell.directory / "out.txt").read_bytes() == b"one \r\n"


def test_a_command_whose_output_cannot_be_opened_is_not_started(shell: Shell) -> None:
    shell.codes = [7]
    shell(f"{TOOL} >nul 2>&1", f'{TOOL} > "missing\\out.txt" 2>&1', "echo %ERRORLEVEL%")
    # ERRORLEVEL is the one of whatever ran before.
    assert shell.lines == ["The system cannot find the path specified.", "7"]
    assert len(shell.calls) == 1


def test_a_call_sends_standard_error_to_a_file_and_is_not_made_where_that_cannot_be_opened(shell: Shell) -> None:
    before = f"{TOOL} >nul 2>&1"
    story = (before, 'call :x 2>>"{}"', "echo back %ERRORLEVEL%", "exit /b 0", ":x", "echo in", TOOL, "exit /b 3")
    for _ in range(2):
        shell(*(line.format("errors.txt") for line in story))
        assert shell.lines[-3:] == ["in", "tool says", "back 3"]
    assert (shell.directory / "errors.txt").read_bytes() == b"tool moans\r\n" * 2
    shell.lines.clear()
    shell(*(line.format("missing\\errors.txt") for line in story))
    assert shell.lines == ["The system cannot find the path specified.", "back 0"]


def test_a_variable_of_the_session_hides_a_dynamic_one_until_it_is_removed(tmp_path: Path) -> None:
    lines: list[str] = []
    text = b'@echo off\r\necho %ERRORLEVEL%\r\nset "ERRORLEVEL="\r\nexit /b 4\r\n'
    code = run(
        Script.parse(text, "x.cmd"),
        Folder(tmp_path),
        {},
        arguments=[],
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        on_output=lines.append,
        environment={"errorlevel": "7"},
    )
    assert (lines, code) == (["7\n"], 4)


def test_files_are_made_copied_shown_and_deleted(shell: Shell) -> None:
    shell(
        'mkdir "a\\b"',
        'if not exist "a\\b\\" exit /b 1',
        '>"a\\b\\one.txt" echo hello',
        'copy /y "a\\b\\one.txt" "two.txt" >nul',
        'type "TWO.TXT"',
        'del "two.txt"',
        'del "two.txt"',
        'if exist "two.txt" exit /b 2',
        'type "two.txt" >nul 2>&1',
        "echo %ERRORLEVEL%",
    )
    assert shell.lines == ["hello", "1"]


def test_for_goes_over_the_files_of_a_folder_in_order(shell: Shell) -> None:
    shell('mkdir "in"')
    for name in ("b&c.txt", "A (1)+.txt", "100%PATH%.txt", "d.dat"):
        (shell.directory / "in" / name).touch()
    (shell.directory / "in" / "folder.txt").mkdir()
    shell(
        'set "IN=in"', rf'for %%f in (%IN%\*.txt) do {TOOL} look "%%f" > nul 2>&1', r"for %%f in (none\*) do echo %%f"
    )
    # Nothing in a name is looked at again, and a folder is no file.
    names = ["100%PATH%.txt", "A (1)+.txt", "b&c.txt"]
    assert shell.calls == [["look", f"in\\{name}"] for name in names]
    assert shell.lines == []


def test_for_over_lines_takes_the_second_token_and_only_where_there_is_one(shell: Shell) -> None:
    (shell.directory / "a.txt").write_bytes(b"Row 1:\r\n\r\n  Request ID: 0x1f4 (500)\r\n;x(6)\r\n1 Rows\r\n")
    lines = ('for /f "tokens=2 delims=()" %%a in (a.txt) do set "N=%%a"', "echo [%N%]")
    shell(*lines)
    assert shell.lines == ["[500]"]
    shell(lines[0].replace("a.txt", "none.txt"), "echo [%N%]")
    assert shell.lines == ["The system cannot find the file none.txt.", "[]"]


def test_copy_with_a_pattern_takes_what_fits_into_a_folder(shell: Shell) -> None:
    for name in ("one.crl", "TWO.CRL", "three.crt"):
        (shell.directory / name).write_bytes(name.encode())
    shell('mkdir "out"', 'copy /y "*.crl" "out"', 'copy /y "*.nop" "out" >nul', "echo %ERRORLEVEL%")
    assert shell.lines == ["        2 file(s) copied.", "1"]
    assert {p.name: p.read_bytes() for p in (shell.directory / "out").iterdir()} == {
        "one.crl": b"one.crl",
        "TWO.CRL": b"TWO.CRL",
    }


def test_files_elsewhere_on_the_server_are_read_by_a_pattern_and_never_written(tmp_path: Path) -> None:
    folder = Folder(tmp_path, {"C:\\Windows\\CertEnroll\\ca.crl": b"crl"})
    assert folder.matching("C:\\Windows\\certenroll\\*.crl") == ["C:\\Windows\\CertEnroll\\ca.crl"]
    assert folder.read("C:\\Windows\\CertEnroll\\ca.crl") == b"crl"
    assert folder.matching("C:\\Elsewhere\\*") == []
    for name in ("C:\\Windows\\CertEnroll\\ca.crl", "C:\\Windows\\CertEnroll\\new.crl"):
        with pytest.raises(RefusedError, match="outside its own folder"):
            folder.write(name, b"x")
    with pytest.raises(RefusedError, match="no pattern"):
        folder.matching("a*\\b")


def test_the_other_programs_answer_just_what_our_batches_ask(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    log = wevtutil({"Security": b"<Events/>"})
    query = "/q:*[System[(EventID=1102)]]"
    assert log(["epl", "Security", "s.evtx", query], folder).exit_code == 0
    assert (tmp_path / "s.evtx").read_bytes() == b"<Events/>"
    assert log(["epl", "Security", "s.evtx", query], folder).exit_code == 80
    assert log(["epl", "Application", "a.evtx", query], folder).exit_code == 5
    assert log(["cl", "Security"], folder).exit_code == 87
    assert reg("text\r\n")(["export", "HKLM\\X", "x.reg"], folder).exit_code == 0
    assert (tmp_path / "x.reg").read_bytes().decode("utf-16") == "text\r\n"
    assert reg("")(["delete", "HKLM\\X", "/f"], folder).exit_code == 1
    assert tzutil(["/g"], folder).output == b"W. Europe Standard Time"
    assert tzutil(["/s", "UTC"], folder).exit_code == 1
    assert whoami(elevated=True)([], folder).output == b"corp\\ca-admin\r\n"


def test_relative_names_follow_the_current_directory(shell: Shell) -> None:
    shell('mkdir "sub"', 'cd /d "sub"', '>"x.txt" echo here', "echo %CD%", 'cd /d "%~dp0"', 'type "sub\\x.txt"')
    assert shell.lines == ["C:\\carecover\\sub", "here"]


@pytest.mark.parametrize(
    "name",
    [
        "..\\x",
        "C:\\Windows\\x",
        "\\x",
        "\\\\server\\share\\x",
        "C:x",
        "a:stream",
        "con",
        "NUL.txt",
        "x*",
        "a?",
        "end. ",
    ],
)
def test_nothing_outside_the_folder_is_touched(shell: Shell, name: str) -> None:
    for statement in (
        f'type "{name}"',
        f'del "{name}"',
        f'mkdir "{name}"',
        f'>"{name}" echo x',
        f'if exist "{name}" echo x',
    ):
        with pytest.raises(RefusedError):
            shell(statement)
    assert list(shell.directory.iterdir()) == []


def test_a_link_out_of_the_folder_is_refused(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("elsewhere")
    (shell.directory / "link").symlink_to(target)
    with pytest.raises(RefusedError, match="link"):
        shell('>"link\\x.txt" echo x')
    assert list(target.iterdir()) == []


# ------------------------------------------------------------------------------------- programs


def test_arguments_reach_a_program_as_windows_passes_them(shell: Shell) -> None:
    shell('set "S=00ab"', f'{TOOL} -view -restrict "SerialNumber=%S%,Disposition=21" a\\b "" >nul')
    assert shell.calls == [["-view", "-restrict", "SerialNumber=00ab,Disposition=21", "a\\b", ""]]


def test_an_unknown_program_is_9009(shell: Shell) -> None:
    shell(
        "certutil -ping >nul 2>&1",
        "echo %ERRORLEVEL%",
        '"%SystemRoot%\\System32\\nope.exe" >nul 2>&1',
        "echo %ERRORLEVEL%",
    )
    assert shell.lines == ["9009", "9009"]


def test_a_file_of_the_folder_named_like_a_program_is_never_started(shell: Shell) -> None:
    (shell.directory / "whoami.cmd").write_bytes(b"")
    with pytest.raises(RefusedError, match="current directory"):
        shell("whoami /groups")


def test_find_tells_a_hit_a_miss_and_quotes(shell: Shell) -> None:
    (shell.directory / "out.txt").write_bytes(b'  Serial Number: "00ab"\r\n')
    find_exe = '"%SystemRoot%\\System32\\find.exe"'
    shell(
        f'{find_exe} "00ab" "out.txt" >nul',
        "echo %ERRORLEVEL%",
        f'{find_exe} """00ab""" "out.txt" >nul',
        "echo %ERRORLEVEL%",
        f'{find_exe} "00AB" "out.txt" >nul',
        "echo %ERRORLEVEL%",
        f'{find_exe} "x" "missing.txt" >nul 2>&1',
        "echo %ERRORLEVEL%",
        f'{find_exe} /i "x" >nul 2>&1',
        "echo %ERRORLEVEL%",
    )
    assert shell.lines == ["0", "0", "1", "1", "2"]


def test_fc_compares_bytes(shell: Shell) -> None:
    (shell.directory / "a").write_bytes(b"\x00\x01")
    (shell.directory / "b").write_bytes(b"\x00\x01")
    (shell.directory / "c").write_bytes(b"\x00\x01\x02")
    fc_exe = '"%SystemRoot%\\System32\\fc.exe" /b'
    for other, code in (("b", 0), ("c", 1), ("missing", 2)):
        shell(f'{fc_exe} "a" "{other}" >nul 2>&1', "echo %ERRORLEVEL%")
        assert shell.lines == [str(code)]


def test_whoami_shows_the_integrity_level(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert b"S-1-16-12288" in whoami(elevated=True)(["/groups"], folder).output
    assert b"S-1-16-12288" not in whoami(elevated=False)(["/groups"], folder).output


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters='\r\n\0\t"'), max_size=20), max_size=6))
def test_quoted_arguments_come_through_unchanged(arguments: list[str]) -> None:
    # A backslash before the closing quote would make it plain, so no such argument is quoted.
    arguments = [argument.rstrip("\\") for argument in arguments]
    assert split_arguments(" ".join(f'"{argument}"' for argument in arguments)) == arguments


def test_a_backslash_before_a_quote_swallows_it_as_on_windows() -> None:
    assert split_arguments(r'"dir\" "x"') == [r'dir" x']
    assert split_arguments(r'"dir\\" "x"') == ["dir\\", "x"]


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "line",
    [
        "echo a & echo b",
        "echo a && echo b",
        "echo a | find x",
        "echo a || echo b",
        "echo a ^& b",
        "echo usage <phase>",
        "(echo a)",
        "if 1 EQU 1 (echo a)",
        "for %%a in (1 2) do echo %%a",
        "for /f %%a in ('dir') do echo %%a",
        'for /f "tokens=1" %%a in ("x") do echo %%a',
        'for /f "tokens=2" %%a in (x) do echo %%a',
        'for /f "tokens=2 delims=()" %%a in (x) do goto :x',
        "for %%a in (*) do call :x",
        "for %%a in (*) do if 1 EQU 1 echo x",
        "for %%a in (C:\\Win?\\*) do echo %%a",
        'copy /y "*.a" "b"',
        "ver x",
        "if errorlevel 1 echo x",
        "if %ERRORLEVEL%==0 echo x",
        "set A=1",
        "set /p A=x",
        'set "ERRORLEVEL=0"',
        "echo %RANDOM%",
        "echo %A:~0,1%",
        "echo %A:x=y%",
        "echo 50% off",
        "echo %*",
        "echo %~s1",
        "echo %0",
        "rem 100%",
        ":: remark",
        "goto end",
        "goto :nowhere",
        "call other.cmd",
        "call :eof",
        'call :x "%%A%%"',
        "exit 1",
        "exit /b x",
        'del /q "x"',
        "del x",
        "cd ..",
        'copy "a" "b"',
        "start /wait x",
        "echo off",
        "echo /?",
        "echo see a/? too",
        'echo a "b',
        '>>"l" 2>&1 echo x',
        'echo x 2>&1 >"l"',
        'echo x 2>"l"',
        "setlocal EnableDelayedExpansion",
        '"C:\\other\\tool.exe" x',
        "echo a\tb",
        "echo \u00e4",
        "echo " + "x" * MAX_LINE,
    ],
)
def test_what_is_outside_the_grammar_is_refused_with_its_line(shell: Shell, line: str) -> None:
    with pytest.raises(RefusedError, match=r"story\.cmd, line 4: "):
        shell(line, ":x")


def test_a_value_that_would_start_a_second_command_is_refused(shell: Shell) -> None:
    for value in ("a&b", "a|b", "a>b", "a<b", "a^b"):
        shell(f'set "V={value}"', 'echo "%V%"')
        assert shell.lines == [f'"{value}"']
        with pytest.raises(RefusedError, match="line 5"):
            shell(f'set "V={value}"', "echo %V% > >x")


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"@echo off\n", "line 1"),
        (b"@echo off\r\necho x", "line 2"),
        (b"\xef\xbb\xbf@echo off\r\n", "line 1"),
        (b"echo a\0b\r\n", "line 1"),
        (b"echo a\rb\r\n", "line 1"),
        (b":a\r\n:A\r\n", "line 2"),
        (b":eof\r\n", "line 1"),
        (b":a b\r\n", "line 1"),
    ],
)
def test_the_form_of_the_file_is_checked_before_anything_runs(data: bytes, where: str) -> None:
    with pytest.raises(RefusedError, match=where):
        Script.parse(data, "story.cmd")


def test_an_argument_cannot_bring_in_quotes_or_variables(shell: Shell) -> None:
    for argument in ('a" & x', "%PATH%"):
        with pytest.raises(RefusedError):
            shell("echo %1", arguments=[argument])


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_or_run_but_never_break_the_interpreter(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    _either_refused_or_run(tmp_path_factory, data)


_WORDS = st.sampled_from(
    [
        *(
            "echo",
            "set",
            "/a",
            '"A=1"',
            "A=A+1",
            "%A%",
            "%~1",
            '"',
            "goto",
            ":a",
            "call",
            "if",
            "not",
            "exist",
            "%",
            "..",
        ),
        *(
            '"x"=="x"',
            '"x"',
            "for /f",
            '"delims=a" %%a in ("b") do',
            "exit /b",
            "0",
            ">",
            ">>",
            "2>&1",
            "nul",
            "&",
            "(",
            ")",
        ),
        *("^", "type", "mkdir", "copy /y", "cd /d", "whoami", "-1", "EQU"),
    ]
)


@given(st.lists(st.lists(_WORDS, max_size=6).map(" ".join), max_size=8))
def test_arbitrary_statements_are_refused_or_run_but_never_break_the_interpreter(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    _either_refused_or_run(tmp_path_factory, "".join(line + "\r\n" for line in [*lines, ":a"]).encode())


def _either_refused_or_run(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    parent = tmp_path_factory.mktemp("any")
    directory = parent / "folder"
    directory.mkdir()
    lines: list[str] = []
    refusals: list[str] = []
    try:
        script = Script.parse(data, "any.cmd")
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        code = run(script, Folder(directory), {}, arguments=["x"], now=lambda: moment, on_output=lines.append)
    except RefusedError as error:
        refusals.append(str(error))
    else:
        assert -(1 << 31) <= code < 1 << 31
    assert all(refusal.startswith("any.cmd") for refusal in refusals)
    assert [path.name for path in parent.iterdir()] == ["folder"]


def test_console_text_is_decoded_from_the_code_page_of_the_console(shell: Shell) -> None:
    (shell.directory / "de.txt").write_bytes("ausgeführt\r\n".encode(OEM))
    shell('type "de.txt"')
    assert shell.lines == ["ausgeführt"]


# --------------------------------------------------------------------------- lines of an answer


def answer(shell: Shell, *lines: str) -> None:
    (shell.directory / "answer.txt").write_bytes("".join(line + "\r\n" for line in lines).encode(OEM))


READ_VALUE = (
    'set "V="',
    'for /f "usebackq tokens=2 delims=:" %%b in ("answer.txt") do if not defined V set "V=%%b"',
    "if not defined V exit /b 9",
    'set "V=%V:"=\'%"',
    'if "%V%"==" \'44ab\'" exit /b 1',
    'if "%V:~0,3%"==" 0x" exit /b 2',
    "exit /b 3",
)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (['  Numéro de série: "44ab"'], 1),
        (["Schema:", "  SerialNumber  Serial  String", "", "Row 1:", '  Serial: "44ab"', "Maximum Row Index: 1"], 1),
        (["Maximum Row Index: 0", '  Serial: "44ab"'], 3),
        (["  Request ID: 0xb (11)"], 2),
        (['  Serial: "44ab" & echo x'], 3),
        (['  Serial: "44ab""'], 3),
        (["  Serial: 44ab"], 3),
        (["  Serial: %V% ! ^ ( ) < > | * ?"], 3),
        (['; Serial: "44ab"'], 9),
        ([":"], 9),
        (["", "no value at all"], 9),
        ([], 9),
        (["  Serial: " + "a" * 8000], 3),
    ],
)
def test_the_first_value_of_an_answer_is_only_ever_a_value(shell: Shell, lines: list[str], code: int) -> None:
    answer(shell, *lines)
    assert shell(*READ_VALUE) == code
    assert shell.lines == []


def test_a_missing_answer_has_no_value(shell: Shell) -> None:
    assert shell(*READ_VALUE) == 9


def test_lines_take_away_what_is_sought(shell: Shell) -> None:
    answer(shell, "  Serial Number: 44ab", "   Revocation Date: 1/2/2026 3:04 PM", '  Odd: "q & echo', "URL=http://x=y")
    sought = ['set "SEEK 44ab=1"', 'set "SEEK 44ac=1"']
    sweep = 'for /f "usebackq tokens=2 delims=:" %%b in ("answer.txt") do set "SEEK%%b="'
    shell(*sought, sweep, 'if "%SEEK 44ab%"=="1" echo ab', 'if "%SEEK 44ac%"=="1" echo ac')
    assert shell.lines == ["ac"]


@pytest.mark.parametrize("line", ['set "W=%V%"', "echo %V%", 'set "W=%V:~0,2%"', 'set "W=%NONE:~0,2%"'])
def test_a_value_with_a_quote_is_never_put_into_a_line(shell: Shell, line: str) -> None:
    answer(shell, 'x:"44ab"')
    with pytest.raises(RefusedError):
        shell(READ_VALUE[0], READ_VALUE[1], line)
