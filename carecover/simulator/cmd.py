"""An interpreter for the few constructs of cmd.exe that carecover's batches are written in.

A rehearsal runs the very file that is carried to the CA, so what is not understood here
exactly as cmd.exe understands it is refused, with its line number, instead of guessed at::

    run(Script.parse(data, "revoke.cmd"), Folder(directory), programs, arguments=["preflight"], …)

The grammar is one statement a line, ASCII, CRLF: ``set``, ``set /a``, ``echo``, ``if``,
``goto``, ``call :label``, ``exit /b``, ``for /f`` over a string or a file, one that sets a variable for
each line, ``for`` over the files of a folder, ``mkdir``, ``del``, ``type``, ``copy /y``, ``cd /d``, ``ver``, ``rem``,
``setlocal``, ``endlocal``, and programs by their path. No blocks, pipes, ``&&``, ``||``,
carets or delayed expansion: cmd.exe and Wine's cmd disagree about those, or an expanded value
could break out of them. ``call :label`` may send what is said on standard error meanwhile to
a file: ``2>>"file"``.

Like cmd.exe it expands percent signs first and looks at special characters afterwards, so
a value that would start a second command there is refused here. Sources: ``cmd /?``,
``for /?``, ``if /?``, ``set /?``, ``call /?`` of Windows; compared with Wine 8's cmd, which
differs where a comment says so.

The module is long because an interpreter is one thing: expansion, statements and streams share its state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from carecover.errors import RefusedError
from carecover.simulator.windows import NEWLINE, OEM, CallResult, Folder, Program, split_arguments

# cmd.exe cuts a batch line, after expansion, at this length (Microsoft KB 830473).
MAX_LINE: Final = 8191
# A plan of 100,000 certificates is a batch of this order; a larger file is not one of ours.
MAX_SCRIPT_BYTES: Final = 64 << 20
# A loop that does not end must not hang a rehearsal: no subroutine of ours takes this many steps.
STEPS_PER_LINE: Final = 1000
MIN_STEPS: Final = 100_000
MAX_CALL_DEPTH: Final = 50

NOT_RECOGNIZED: Final = 9009


# ------------------------------------------------------------------------------- the script

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_LABEL_LINE = re.compile(rf":({_NAME})", re.ASCII)
_JUMP = re.compile(rf"(?:^|\s)(?:goto|call)\s+:({_NAME})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Script:
    """A batch file whose form has been checked: its name, its lines and where its labels are."""

    name: str
    lines: tuple[str, ...]
    labels: Mapping[str, int] = field(repr=False)

    @classmethod
    def parse(cls, data: bytes, name: str) -> Script:
        """Check the bytes and the labels of a batch file; raises RefusedError naming the line."""
        if len(data) > MAX_SCRIPT_BYTES:
            raise RefusedError(
                f"{name} has {len(data):,} bytes; no batch of carecover is larger than {MAX_SCRIPT_BYTES:,}."
            )
        lines: list[str] = []
        labels: dict[str, int] = {}
        jumps: list[tuple[int, str]] = []
        *rows, rest = data.split(NEWLINE)
        if rest:
            raise outside(name, len(rows) + 1, "the last line does not end in CRLF")
        for number, row in enumerate(rows, 1):
            # Everything below the blank, tabs too: cmd.exe takes some of them for delimiters.
            if any(byte < 0x20 or byte > 0x7E for byte in row):
                raise outside(name, number, "only printable ASCII between CRLF is allowed")
            if len(row) > MAX_LINE:
                raise outside(name, number, f"it is longer than {MAX_LINE} characters")
            line = row.decode("ascii")
            if line.startswith(":"):
                label = _LABEL_LINE.fullmatch(line)
                if not label or label[1].lower() == "eof" or label[1].lower() in labels:
                    raise outside(name, number, f"{line[:40]!r} is not a label, or it is there twice")
                labels[label[1].lower()] = number - 1
            elif line and not line.lower().startswith("rem "):
                jumps += [(number, target.lower()) for target in _JUMP.findall(line)]
            elif "%" in line:
                # cmd.exe expands even remarks, and stops the batch at a malformed one.
                raise outside(name, number, "a remark holds a percent sign")
            lines.append(line)
        for number, target in jumps:
            if target != "eof" and target not in labels:
                raise outside(name, number, f"there is no label :{target}")
        return cls(name, tuple(lines), labels)


def outside(name: str, number: int, what: str) -> RefusedError:
    """The error for a line that is outside the grammar."""
    return RefusedError(
        f"{name}, line {number}: {what}. It is outside the form in which carecover writes batches, so it is not run; "
        "write the bundle again."
    )


# ---------------------------------------------------------------------------- the interpreter


@dataclass(slots=True)
class _Frame:
    """One level of ``call``: its arguments, where it returns to, the file that gets standard error, and what
    ``setlocal`` saved in it."""

    arguments: tuple[str, ...]
    back: int
    errors: str | None = None
    saved: list[dict[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Streams:
    """Where one statement's output goes: a file (path, append), nothing (``nul``) or the console."""

    target: str | None = None
    append: bool = False
    merged: bool = False
    errors: str | None = None


_ARGUMENT = re.compile(r"%(~(?:dp|nx|f|n)?)?([0-9])")
# A name may end in a blank and digits: the sweep over a CRL names variables so, for that is how its lines read.
_KEPT = rf"{_NAME}(?: [0-9a-f]+)?"
_VARIABLE = re.compile(rf"%({_KEPT})%", re.ASCII)
# A part of a value: its first characters, or all of it with another sign for each quote.
_PART = re.compile(rf"%({_NAME}):(?:~0,([1-9])|\"=('))%", re.ASCII)
_COMPARE: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "equ": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
    "lss": lambda a, b: a < b,
    "leq": lambda a, b: a <= b,
    "gtr": lambda a, b: a > b,
    "geq": lambda a, b: a >= b,
}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,9})", re.ASCII)
_IF_TEXT = re.compile(r'"([^"]*)"=="([^"]*)" (.+)', re.DOTALL)
_IF_EXIST = re.compile(r'exist "([^"]+)" (.+)', re.IGNORECASE)
_IF_DEFINED = re.compile(rf"defined ({_NAME}) (.+)", re.ASCII | re.IGNORECASE)
_IF_NUMBER = re.compile(r"(\S+) (equ|neq|lss|leq|gtr|geq) (\S+) (.+)", re.IGNORECASE)
_FOR = re.compile(r'for /f "delims=([^"]*)" %([A-Za-z]) in \("(.*)"\) do (.+)', re.IGNORECASE)
_FOR_LINES = re.compile(r'for /f "tokens=2 delims=([^"]+)" %([A-Za-z]) in \(([^"() ]+)\) do (.+)', re.IGNORECASE)
_FOR_FILES = re.compile(r"for %([A-Za-z]) in \(([^\"() ]+)\) do (.+)", re.IGNORECASE)
_FOR_SETS = re.compile(
    r'for /f "usebackq(?: tokens=([1-9])(?:-([1-9]))?)?( delims=[^"]*)?" %([a-z]) in \("([^"]+)"\) do '
    rf'(?:if (/i )?"([^"]*)"=="([^"]*)" |if not defined ({_NAME}) )?set "([^"]+)"'
)
_SET = re.compile(rf'set "({_KEPT})=(.*)"', re.ASCII | re.IGNORECASE)
_SET_A = re.compile(rf"set /a ({_NAME})=(.+)", re.ASCII | re.IGNORECASE)
_GOTO = re.compile(rf"goto :({_NAME})", re.ASCII | re.IGNORECASE)
_CALL = re.compile(rf'call :({_NAME})((?: (?:"[^"]*"|[A-Za-z0-9_.\\-]+))*)', re.ASCII | re.IGNORECASE)
_FILES = re.compile(r'(mkdir|del|type|copy /y|cd /d) "([^"]+)"(?: "([^"]+)")?', re.IGNORECASE)
# Quoted parts, and what means nothing to cmd.exe outside of quotes.
_PLAIN = re.compile(r'(?:"[^"]*"|[^"&|<>^])+')
_TARGET = re.compile(r' *(?:"([^"]+)"|([A-Za-z0-9_.\\-]+))')
_WORD = re.compile(r"[A-Za-z]+\.?")
_FILE_VERBS: Final = frozenset({"mkdir", "del", "type", "copy", "cd", "ver"})
_WINDOWS: Final = b"Microsoft Windows [Version 10.0.20348.2113]"
# cmd.exe does these itself and starts no program, so they must not be told to be unknown.
_REFUSED: Final = re.compile(
    "assoc|break|chdir|cls|color|copy|date|del|dir|dpath|erase|for|ftype|if|keys|md|mklink|move|path|pause|popd|prompt|"
    "pushd|rd|rem|ren|rename|rmdir|shift|start|time|title|type|verify|vol",
    re.IGNORECASE,
)
# Versions of cmd.exe differ in whether success of these clears ERRORLEVEL.
_VAGUE: Final = frozenset({"mkdir", "del", "cd"})
_TERM = re.compile(rf"\s*([+-]?)\s*({_NAME}|0|[1-9][0-9]*)\s*", re.ASCII)
# Their values change by themselves; a batch that sets one of them hides the real one.
_DYNAMIC: Final = frozenset({"errorlevel", "cd", "date", "time", "random", "cmdcmdline", "cmdextversion"})


def run(
    script: Script,
    folder: Folder,
    programs: Mapping[str, Program],
    *,
    arguments: Sequence[str],
    now: Callable[[], datetime],
    on_output: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run a batch to its end and return its exit code (signed 32 bits).

    ``programs`` are known by their file names in lower case (``certutil.exe``); ``now``
    answers ``%DATE%`` and ``%TIME%``; ``on_output`` gets each line that reaches the console, with its line feed.
    Raises RefusedError, naming the line, for anything outside the grammar and for a batch
    that does not end; whatever a program raises passes through, as a power cut would.
    """
    if any('"' in a or "%" in a for a in arguments):
        raise RefusedError("An argument of a batch may hold neither quotes nor percent signs.")
    return _Run(script, folder, programs, arguments, now, on_output, environment or {}).to_end()


class _Run:
    """The state of one run."""

    def __init__(
        self,
        script: Script,
        folder: Folder,
        programs: Mapping[str, Program],
        arguments: Sequence[str],
        now: Callable[[], datetime],
        on_output: Callable[[str], None],
        environment: Mapping[str, str],
    ) -> None:
        self._script = script
        self._folder = folder
        self._programs = programs
        self._now = now
        self._on_output = on_output
        base = {"SystemRoot": "C:\\Windows", **environment}
        # Names do not depend on case, so they are kept in lower case.
        self._variables: dict[str, str] = {name.lower(): value for name, value in base.items()}
        self._frames = [_Frame((script.name, *arguments), len(script.lines))]
        self._line = 0
        # Where the standard error of the call that is about to be made goes.
        self._errors: str | None = None
        # None where cmd.exe's own versions differ in what they leave; reading it is refused.
        self._errorlevel: int | None = 0

    def to_end(self) -> int:
        """Step until the outermost frame returns."""
        lines, name = self._script.lines, self._script.name
        limit = max(MIN_STEPS, STEPS_PER_LINE * len(lines))
        at = 0
        try:
            for _ in range(limit):
                if self._line >= len(lines):
                    if not self._return():
                        return self._level()
                    continue
                at, self._line = self._line, self._line + 1
                line = lines[at]
                idle = not line or line.startswith(":") or line.lower().startswith("rem ")
                if not idle and not self._statement(self._expand(line)):
                    return self._level()
        except _OutsideError as error:
            raise outside(name, at + 1, str(error)) from None
        except RefusedError as error:
            raise RefusedError(f"{name}, line {at + 1}: {error}") from None
        raise RefusedError(f"{name} did not end within {limit:,} steps; it is not a batch that carecover wrote.")

    # ------------------------------------------------------------------ expansion and parsing

    def _expand(self, line: str) -> str:
        """The percent phase: arguments and variables, once, from left to right."""
        out: list[str] = []
        at = 0
        while (sign := line.find("%", at)) >= 0:
            out.append(line[at:sign])
            if line.startswith("%%", sign):
                out.append("%")
                at = sign + 2
            elif match := _ARGUMENT.match(line, sign):
                out.append(self._argument(match[1], int(match[2])))
                at = match.end()
            elif match := _VARIABLE.match(line, sign):
                out.append(self._variable(match[1]))
                if '"' in out[-1]:
                    raise _OutsideError(f"%{match[1]}% holds a quote")
                at = match.end()
            elif match := _PART.match(line, sign):
                out.append(self._part(match[1], match[2]))
                at = match.end()
            else:
                raise _OutsideError(f"{line[sign : sign + 20]!r} is no %NAME%, %~1, %~dp0 or %%a")
        text = "".join([*out, line[at:]])
        if len(text) > MAX_LINE:
            raise _OutsideError(f"after expansion it is longer than {MAX_LINE} characters")
        return text

    def _argument(self, form: str | None, number: int) -> str:
        if number == 0:
            values = {"~dp": Folder.ROOT, "~nx": self._script.name, "~f": Folder.ROOT + self._script.name}
            if form not in values:
                raise _OutsideError("of %0 only %~dp0, %~nx0 and %~f0 are allowed")
            return values[form]
        if form not in (None, "~"):
            raise _OutsideError(f"%{form}{number} is not allowed")
        arguments = self._frames[-1].arguments
        value = arguments[number] if number < len(arguments) else ""
        if form == "~" and len(value) > 1 and value[0] == value[-1] == '"':
            return value[1:-1]
        return value

    def _variable(self, name: str) -> str:
        key = name.lower()
        if key in _DYNAMIC and key in self._variables:
            # A variable of that name in the session hides the built-in one (set /?).
            return self._variables[key]
        if key == "errorlevel":
            return str(self._level())
        if key == "cd":
            return self._folder.current
        if key in ("date", "time"):
            moment = self._now()
            # The en-US forms; a batch may log them, never read them.
            return f"{moment:%m/%d/%Y}" if key == "date" else f"{moment:%H:%M:%S.00}"
        if key in _DYNAMIC:
            raise _OutsideError(f"%{name}% is different at each run")
        return self._variables.get(key, "")

    def _part(self, name: str, length: str | None) -> str:
        value = self._variables.get(name.lower())
        if value is None:
            # cmd.exe leaves the text behind the colon then.
            raise _OutsideError(f"a part is taken of {name}, which is not defined")
        if length is None:
            return value.replace('"', "'")
        if '"' in value[: int(length)]:
            raise _OutsideError(f"the part of {name} holds a quote")
        return value[: int(length)]

    def _level(self) -> int:
        if self._errorlevel is None:
            raise _OutsideError("ERRORLEVEL is read where versions of cmd.exe differ; read it right after the program")
        return self._errorlevel

    def _split(self, text: str) -> tuple[str, _Streams]:
        """The command without its redirections; refuses every special character outside quotes."""
        streams = _Streams()
        command = ""
        at = 0
        while at < len(text):
            if plain := _PLAIN.match(text, at):
                command += plain[0]
                at = plain.end()
            elif text[at] == ">":
                command, at = _redirection(text, at, command, streams)
            elif text[at] == '"':
                raise _OutsideError("a quote is not closed")
            else:
                raise _OutsideError(f"{text[at]!r} stands outside quotes")
        return command, streams

    # ------------------------------------------------------------------------- the statements

    def _statement(self, text: str) -> bool:
        """Carry out one expanded statement; False when the outermost frame has returned."""
        text = text.strip(" ")
        if text.lower() == "@echo off":
            return True
        lowered = text.lower()
        if lowered.startswith("if "):
            body = self._if(text)
            return body is None or self._statement(body)
        if match := _FOR_SETS.fullmatch(text):
            self._set_for_each(match)
            return True
        if lowered.startswith("for "):
            return all(self._statement(body) for body in self._for(text))
        command, streams = self._split(text)
        command = command.lstrip(" ")
        word = _WORD.match(command)
        name = word[0].lower() if word else ""
        if streams.errors is not None and name != "call":
            raise _OutsideError("only call :label may send standard error to a file of its own")
        if name in _FLOW:
            if streams.target is not None:
                raise _OutsideError(f"{name} is redirected")
            if streams.errors is not None:
                if not self._opened(_Streams(streams.errors, append=True)):
                    return True
                self._errors = streams.errors
            return _FLOW[name](self, command.rstrip(" "))
        if self._opened(streams):
            if name in ("echo", "echo."):
                # echo leaves ERRORLEVEL as it is.
                self._write(_echo(command), b"", streams)
            else:
                act = self._files if name in _FILE_VERBS else self._program
                result = act(command.rstrip(" "))
                self._errorlevel = None if name in _VAGUE and result.exit_code == 0 else result.exit_code
                self._write(result.output, result.error, streams)
        return True

    def _if(self, text: str) -> str | None:
        """The statement after ``if``, or None where the condition does not hold."""
        rest = text[3:].lstrip(" ")
        ignore_case = negated = False
        while match := re.match(r"(/i|not) +", rest, re.IGNORECASE):
            ignore_case |= match[1].lower() == "/i"
            negated |= match[1].lower() == "not"
            rest = rest[match.end() :]
        if match := _IF_TEXT.fullmatch(rest):
            left, right = (match[1].lower(), match[2].lower()) if ignore_case else (match[1], match[2])
            holds, body = left == right, match[3]
        elif match := _IF_EXIST.fullmatch(rest):
            holds, body = self._folder.exists(match[1]), match[2]
        elif match := _IF_DEFINED.fullmatch(rest):
            holds, body = match[1].lower() in self._variables, match[2]
        elif match := _IF_NUMBER.fullmatch(rest):
            if not (_INTEGER.fullmatch(match[1]) and _INTEGER.fullmatch(match[3])):
                # cmd.exe would compare them as text: 9 after 10.
                raise _OutsideError(f"{match[1][:20]!r} and {match[3][:20]!r} are not both plain numbers")
            holds, body = _COMPARE[match[2].lower()](int(match[1]), int(match[3])), match[4]
        else:
            raise _OutsideError(f"{text[:60]!r} is no condition that is allowed")
        return body if holds != negated else None

    def _for(self, text: str) -> list[str]:
        """The bodies of a ``for``: of one over a string at most one, of one over lines or files any number."""
        match = _FOR.fullmatch(text)
        if match:
            return self._for_string(*match.groups())
        if match := _FOR_LINES.fullmatch(text):
            delimiters, variable, name, body = match.groups()
            found = [_second(line, delimiters) for line in self._lines_of(name)]
            values = [token for token in found if token is not None]
        elif match := _FOR_FILES.fullmatch(text):
            variable, pattern, body = match.groups()
            values = self._folder.matching(pattern)
        else:
            raise _OutsideError(
                f"{text[:60]!r} is no for over a string, a file or the files of a folder that is allowed"
            )
        word = _WORD.match(body)
        if word and word[0].lower() in ("goto", "call", "exit", "if", "for"):
            raise _OutsideError("a for that may come round again holds one plain statement")
        return [body.replace(f"%{variable}", value) for value in values]

    def _set_for_each(self, match: re.Match[str]) -> None:
        """``for /f "usebackq …" %a in ("file") do [if …] set "…"``: the values are put in when all has been parsed.

        So no character of a line means anything to cmd.exe. (Wine 8 puts them in before: there a quote or ``&`` of a
        line can break the statement.)
        """
        first, last, delimiters, variable, name, ignore_case, left, right, undefined, setting = match.groups()
        wanted = range(int(first or 1), int(last or first or 1) + 1)
        cut = " \t" if delimiters is None else delimiters.removeprefix(" delims=")
        names = {chr(ord(variable) + n): number for n, number in enumerate(wanted)}
        for line in self._lines_of(name):
            # The default end-of-line character: such a line is skipped, unseen.
            tokens = [] if line.startswith(";") else _tokens(line, cut)
            if len(tokens) < wanted[0]:
                continue
            values = {v: tokens[n - 1] if n <= len(tokens) else "" for v, n in names.items()}

            def put(text: str, values: Mapping[str, str] = values) -> str:
                return re.sub(r"%([a-z])", lambda found: values.get(found[1], found[0]), text)

            if left is not None:
                one, other = put(left), put(right)
                holds = one.lower() == other.lower() if ignore_case else one == other
            else:
                holds = undefined is None or undefined.lower() not in self._variables
            if holds:
                key, _, value = put(setting).partition("=")
                if value:
                    self._variables[key.lower()] = value
                else:
                    self._variables.pop(key.lower(), None)
        self._errorlevel = None

    def _lines_of(self, name: str) -> list[str]:
        try:
            return [line.removesuffix("\r") for line in self._folder.read(name).decode(OEM).split("\n")]
        except OSError:
            self._complain(f"The system cannot find the file {name}.".encode(OEM, "replace") + NEWLINE)
            return []

    @staticmethod
    def _for_string(delimiters: str, variable: str, value: str, body: str) -> list[str]:
        # The default end-of-line character (for /?): cmd.exe skips a line that begins with it,
        # unseen; Wine 8 does not.
        if value.startswith(";"):
            return []
        token = re.split(f"[{re.escape(delimiters)}]", value.lstrip(delimiters))[0] if delimiters else value
        return [body.replace(f"%{variable}", token)] if token else []

    def _goto(self, command: str) -> bool:
        match = _GOTO.fullmatch(command)
        if not match:
            raise _OutsideError(f"{command[:40]!r} is no goto :label")
        if match[1].lower() == "eof":
            return self._return()
        self._line = self._target(match[1])
        return True

    def _target(self, label: str) -> int:
        if label.lower() not in self._script.labels:
            raise _OutsideError(f"there is no label :{label}")
        return self._script.labels[label.lower()]

    def _call(self, command: str) -> bool:
        match = _CALL.fullmatch(command)
        if not match:
            raise _OutsideError(f"{command[:40]!r} is no call :label with plain or quoted arguments")
        if "%" in command:
            # call expands a second time; what comes out then has been seen by nobody.
            raise _OutsideError("a percent sign is left on a line with call")
        if len(self._frames) >= MAX_CALL_DEPTH:
            raise _OutsideError(f"calls are nested more than {MAX_CALL_DEPTH} deep")
        arguments = re.findall(r'"[^"]*"|[^ "]+', match[2])
        self._frames.append(_Frame((f":{match[1]}", *arguments), self._line, self._errors))
        self._errors = None
        self._line = self._target(match[1])
        return True

    def _exit(self, command: str) -> bool:
        match = re.fullmatch(r"exit /b(?: (-?[0-9]{1,10}))?", command, re.IGNORECASE)
        if not match:
            raise _OutsideError(f"{command[:40]!r} is no exit /b with a number")
        if match[1] is not None:
            self._errorlevel = _signed(int(match[1]))
        return self._return()

    def _return(self) -> bool:
        """Leave a frame; what its ``setlocal`` changed is undone, as cmd.exe does at the end of a call."""
        frame = self._frames[-1]
        if frame.saved:
            self._variables = frame.saved[0]
        self._line = frame.back
        if len(self._frames) == 1:
            return False
        self._frames.pop()
        return True

    def _set(self, command: str) -> bool:
        # What set leaves in ERRORLEVEL depends on the ending of the file's name and on the version.
        self._errorlevel = None
        if match := _SET_A.fullmatch(command):
            name, value = match[1], str(self._arithmetic(match[2]))
        elif match := _SET.fullmatch(command):
            name, value = match[1], match[2]
        else:
            raise _OutsideError(f'{command[:60]!r} is no set "NAME=value" and no set /a NAME=sum')
        if name.lower() in _DYNAMIC and value:
            raise _OutsideError(f"{name} may not be set: it would hide the real one")
        if '"' in value:
            raise _OutsideError("a value holds a quote")
        if value:
            self._variables[name.lower()] = value
        else:
            self._variables.pop(name.lower(), None)
        return True

    def _arithmetic(self, text: str) -> int:
        """A sum of numbers and variables, in 32 bits; an undefined variable counts as 0."""
        total, at = 0, 0
        while at < len(text):
            match = _TERM.match(text, at)
            if not match or (at > 0 and not match[1]):
                raise _OutsideError(f"{text[:40]!r} is no sum of plain numbers and names")
            value = match[2] if match[2].isdigit() else self._variables.get(match[2].lower(), "0")
            if not _INTEGER.fullmatch(value):
                # cmd.exe reads a leading 0 as octal and takes words for 0.
                raise _OutsideError(f"{match[2]} holds {value[:20]!r}, which is no plain number")
            total += -int(value) if match[1] == "-" else int(value)
            at = match.end()
        return _signed(total)

    def _setlocal(self, command: str) -> bool:
        if not re.fullmatch(r"setlocal( enableextensions| disabledelayedexpansion)*", command.lower()):
            raise _OutsideError("setlocal may only enable extensions and disable delayed expansion")
        self._frames[-1].saved.append(dict(self._variables))
        return True

    def _endlocal(self, command: str) -> bool:
        if command.lower() != "endlocal":
            raise _OutsideError(f"{command[:40]!r} is not endlocal alone")
        if self._frames[-1].saved:
            self._variables = self._frames[-1].saved.pop()
        return True

    def _files(self, command: str) -> CallResult:
        """mkdir, del, type, copy /y and cd /d with quoted names, and ver."""
        if command.lower() == "ver":
            return CallResult(0, NEWLINE + _WINDOWS + NEWLINE)
        match = _FILES.fullmatch(command)
        if not match:
            raise _OutsideError(f"{command[:60]!r} is not allowed; names stand in quotes")
        verb, first, second = match[1].lower(), match[2], match[3]
        if (verb == "copy /y") != (second is not None):
            raise _OutsideError(f"{verb} has a wrong number of names")
        try:
            if verb == "mkdir":
                self._folder.path(first).mkdir(parents=True)
            elif verb == "cd /d":
                self._folder.change(first)
            elif verb == "type":
                return CallResult(0, self._folder.read(first))
            elif verb == "del":
                self._folder.path(first).unlink(missing_ok=True)
            else:
                return self._copy(first, second)
        except FileExistsError:
            return CallResult(
                1, error=f"A subdirectory or file {first} already exists.".encode(OEM, "replace") + NEWLINE
            )
        except FileNotFoundError:
            return CallResult(1, error=b"The system cannot find the file specified." + NEWLINE)
        except NotADirectoryError:
            return CallResult(1, error=b"The system cannot find the path specified." + NEWLINE)
        except (IsADirectoryError, PermissionError):
            return CallResult(1, error=b"Access is denied." + NEWLINE)
        return CallResult(0)

    def _copy(self, source: str, target: str) -> CallResult:
        """One file to a name, or all that a pattern fits into a folder that is there."""
        if "*" not in source:
            self._folder.write(target, self._folder.read(source))
            return CallResult(0, b"        1 file(s) copied." + NEWLINE)
        if not self._folder.exists(target + "\\"):
            raise _OutsideError("copy with a pattern needs a folder to copy into")
        names = self._folder.matching(source)
        for name in names:
            self._folder.write(target + "\\" + name.rpartition("\\")[2], self._folder.read(name))
        if not names:
            # Words and code as Wine 8 has them; cmd.exe names the pattern first.
            return CallResult(1, b"The system cannot find the file specified." + NEWLINE)
        return CallResult(0, b"%9d file(s) copied." % len(names) + NEWLINE)

    def _program(self, command: str) -> CallResult:
        """A program by its path, or by its name where the current directory has none of that name."""
        match = re.fullmatch(r'(?:"([^"]+)"|([A-Za-z][A-Za-z0-9_.-]*))(?: (.*))?', command)
        if not match:
            raise _OutsideError(f"{command[:60]!r} is not allowed")
        name = match[1] or match[2]
        if _REFUSED.fullmatch(name):
            raise _OutsideError(f"{name} is not allowed")
        system = re.fullmatch(r"C:\\Windows\\System32\\([a-z0-9]+\.exe)", name, re.IGNORECASE)
        key = system[1].lower() if system else f"{name.lower()}.exe"
        if not system and any(self._folder.exists(name + ending) for ending in ("", ".com", ".exe", ".bat", ".cmd")):
            # cmd.exe looks into the current directory first: somebody's find.cmd would run.
            raise _OutsideError(f"{name} would start a file of the current directory")
        program = self._programs.get(key)
        if program is None:
            text = f"'{name}' is not recognized as an internal or external command,"
            return CallResult(
                NOT_RECOGNIZED,
                error=text.encode(OEM, "replace") + NEWLINE + b"operable program or batch file." + NEWLINE,
            )
        result = program(split_arguments(match[3] or ""), self._folder)
        return CallResult(_signed(result.exit_code), result.output, result.error)

    # ----------------------------------------------------------------------------- the output

    def _opened(self, streams: _Streams) -> bool:
        """Open the file that output goes to; without it cmd.exe does not start the command.

        ERRORLEVEL stays as it was: seen in Wine 8, and said of Windows, which sets it for a
        failed redirection only where ``||`` follows.
        """
        if streams.target is None or streams.target.lower() == "nul":
            return True
        try:
            self._folder.write(streams.target, b"", append=streams.append)
        except OSError:
            self._complain(b"The system cannot find the path specified." + NEWLINE)
            return False
        return True

    def _write(self, output: bytes, error: bytes, streams: _Streams) -> None:
        written = output + error if streams.merged else output
        if streams.target is None:
            self._console(written)
        elif streams.target.lower() != "nul":
            self._folder.write(streams.target, written, append=True)
        if not streams.merged:
            self._complain(error)

    def _complain(self, error: bytes) -> None:
        """Standard error: to the file of the innermost call that has one, else to the console."""
        target = next((frame.errors for frame in reversed(self._frames) if frame.errors is not None), None)
        if target is None:
            self._console(error)
        elif error:
            self._folder.write(target, error, append=True)

    def _console(self, data: bytes) -> None:
        for line in data.decode(OEM).splitlines():
            self._on_output(line + "\n")


class _OutsideError(Exception):
    """A statement outside the grammar; becomes a RefusedError with the line number."""


def _tokens(line: str, delimiters: str) -> list[str]:
    """The tokens of a line; without delimiters all of it is one, and an empty line has none."""
    pieces = re.split(f"[{re.escape(delimiters)}]", line) if delimiters else [line]
    return [piece for piece in pieces if piece]


def _second(line: str, delimiters: str) -> str | None:
    """The second token of a line, or None: then the body of ``for /f "tokens=2"`` does not run."""
    if line.startswith(";"):
        return None
    tokens = [token for token in re.split(f"[{re.escape(delimiters)}]", line) if token]
    return tokens[1] if len(tokens) > 1 else None


def _redirection(text: str, at: int, command: str, streams: _Streams) -> tuple[str, int]:
    """Read one redirection that begins at ``>``; returns the command before it and where the text goes on."""
    handle = "1"
    # A digit right before the sign is a handle, even where it was meant as text.
    if command[-1:].isdigit() and command[-2:-1] in ("", " ", "\t", ",", ";", "="):
        command, handle = command[:-1], command[-1]
    append = text.startswith(">>", at)
    at += 2 if append else 1
    if handle == "2" and not append and text.startswith("&1", at):
        if streams.target is None or not command.strip():
            raise _OutsideError("2>&1 must come last, after the redirection to a file")
        streams.merged = True
        return command, at + 2
    target = _TARGET.match(text, at)
    if handle == "2" and append and target and not (streams.target or streams.errors):
        streams.errors = target[1] or target[2]
        return command, target.end()
    if handle != "1" or streams.target is not None or not target:
        raise _OutsideError("only one redirection to a file and then 2>&1 are allowed")
    streams.target, streams.append = target[1] or target[2], append
    return command, target.end()


def _signed(value: int) -> int:
    """The value as cmd.exe keeps it: 32 bits with a sign."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def _echo(command: str) -> bytes:
    text = command[5:]
    if (text.strip().lower() in ("on", "off") and command[4] == " ") or "/?" in text:
        raise _OutsideError(f"echo {text.strip()} prints nothing but changes or explains echo")
    if command[4:5] != "." and not text.strip():
        return b"ECHO is off." + NEWLINE
    return text.encode("ascii") + NEWLINE


# The words after which cmd.exe does not go on to the next line by itself, and those that only
# change the interpreter; none of them writes anything.
_FLOW: Final[Mapping[str, Callable[[_Run, str], bool]]] = {
    "goto": _Run._goto,
    "call": _Run._call,
    "exit": _Run._exit,
    "set": _Run._set,
    "setlocal": _Run._setlocal,
    "endlocal": _Run._endlocal,
}
