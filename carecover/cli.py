"""The shell's door: each command is one verb of ``Case``, and some printing.

The module is long because the commands are many; each is a few lines.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import click

from carecover import __version__
from carecover.errors import DONE, NEEDS_A_PERSON, CarecoverError, PathError, QuestionError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pandas as pd

    from carecover.bundles import Run
    from carecover.case import Case

# pandas and what hangs on it take a second to import: a command imports what it needs when it runs.

_INTERRUPTED: Final = 130
# A cell of a table for people.
_WIDTH: Final = 60
# Mails that do not add up are told with their reasons, which take some lines each.
_SUSPECTS: Final = 10
# Serial numbers of one reason, where each reason is told once.
_ALIKE: Final = 10
# Names of findings that an act on many left out, of each reason.
_LEFT_OUT: Final = 40
_VERDICTS: Final = ("failed", "contradicted", "pending", "proved")
# A printed command: its verb, the place of the case, and the evidence and options behind it, which are pasted with it.
_COMMAND: Final = re.compile(
    r"(\bcarecover [a-z-]+ )CASE\b((?: E[0-9]{4,20}\b){0,20}(?: --[a-z-]+ [\w:-]+){0,5})", re.ASCII
)
# What stands for blank and hyphen where they are no place for a line end: no text holds these, they are not printable.
_GLUE: Final = str.maketrans(" -", "\x00\x01")
_UNGLUE: Final = str.maketrans("\x00\x01", " -")
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}", re.ASCII)


class _Named(click.Path):
    """A path; an empty one (a shell variable that is not set) is no name for the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """As click does it, but for the empty text."""
        if value == "":
            self.fail("an empty path names nothing.", param, ctx)
        return super().convert(value, param, ctx)


_PATH: Final = _Named(path_type=Path)


class _Verb(click.Command):
    """A command that tells what is wrong while it is known which case it was called for."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        """As click does it; a refusal's own command names the case, so that it can be run as it is printed."""
        from carecover.journal import Journal  # noqa: PLC0415 - imported when a command runs

        before, Journal.command = Journal.command, f"carecover {ctx.info_name}"
        try:
            return super().invoke(ctx)
        except CarecoverError as error:
            return _complain(str(error), error.exit_code)
        finally:
            Journal.command = before


class _Guide(click.Group):
    """A group whose help lists the commands in the order of the work, not of the alphabet."""

    command_class = _Verb
    chapters: ClassVar[dict[str, tuple[str, ...]]] = {
        "See how it goes": ("demo", "simulate"),
        "1. Hand in the evidence": ("collect-kit", "init", "add", "baseline", "profile"),
        "2. See the gap": ("gaps", "table"),
        "3. Decide, and sign with a second person": ("decide", "waive", "keygen", "sign-off"),
        "4. Make the batch, and rehearse it": ("rehearse", "batch", "pin", "run"),
        "5. Prove it, and report": ("verify", "report", "check"),
        "In a browser": ("lab",),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in the order of the work."""
        del ctx
        return [name for names in self.chapters.values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section a chapter."""
        for title, names in self.chapters.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl([(n, c.get_short_help_str(limit=80)) for n, c in commands if c is not None])


@click.group(cls=_Guide, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="carecover")
def cli() -> None:
    """Find and revoke the certificates that a restored Microsoft CA no longer knows.

    A case is a folder. Hand in what there is (the mailbox that got the CA's mails, certutil -view of the
    restored CA, its certificate, the last published CRL), look at the gap, decide with a second person,
    rehearse, carry the reviewed batch to the CA, and prove from the new CRL that it took effect.

    Results go to standard output, everything else to standard error. Exit codes: 0 done; 1 done, and
    something needs a person; 2 wrong usage; 3 a path cannot be opened; 4 refused for safety; 5 the run
    failed part-way.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; every error is one paragraph on standard error, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Evidence holds any script there is; a Windows console of 1995 must not stop the work, and what goes
            # into a file or another program must arrive as it is.
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
    try:
        result = cli.main(args=arguments, prog_name="carecover", standalone_mode=False)
    except CarecoverError as error:
        return _complain(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _complain(error.format_message() + " See: carecover --help", 2)
    except click.Abort as error:
        # Whoever presses Ctrl+C is the cause of it; a question that nobody could answer has none.
        if error.__cause__ is None and not sys.stdin.isatty():
            return _complain("A password is asked for on a terminal, and here is none: call it in one.", 2)
        return _complain("Interrupted. What was finished before is kept.", _INTERRUPTED)
    except KeyboardInterrupt:
        return _complain("Interrupted. What was finished before is kept.", _INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:  # the last line of defence: a sentence, not a traceback
        if os.environ.get("CARECOVER_DEBUG"):
            raise
        text = f"carecover failed unexpectedly ({type(error).__name__}: {error}). The case is unharmed."
        return _complain(f"{text} Set CARECOVER_DEBUG=1 to see where, and report it.", 5)
    return result if isinstance(result, int) else DONE


def _complain(text: str, code: int) -> int:
    name = "carecover: "
    click.echo(click.style(name, bold=True) + _paragraph(name + text).removeprefix(name), err=True)
    return code


def _say(text: str) -> None:
    """One paragraph on standard error; on a terminal no word is broken by its edge."""
    click.echo(_paragraph(text), err=True)


def _paragraph(text: str) -> str:
    width = min(shutil.get_terminal_size().columns, 100)
    line = _one_line(text)
    return _wrap(line, width, "", "") if sys.stderr.isatty() else _named(line)


def _one_line(text: str) -> str:
    """One paragraph: a file name may hold line ends, and sequences that command a terminal."""
    return "".join(c if c.isprintable() else "·" for c in " ".join(text.splitlines()))


def _show(text: str) -> None:
    click.echo(text, err=True, nl=False)


def _open(case: Path) -> Case:
    from carecover.case import Case  # noqa: PLC0415 - imported when a command runs

    return Case.open(case)


def _progress(what: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{what} ({done + 1} of {total})", err=True, nl=False)
        if done + 1 >= total:
            click.echo("\r\033[K", err=True, nl=False)


def _print_table(table: pd.DataFrame, columns: Sequence[str], name: str | None, limit: int = 40) -> None:
    """For people: columns as wide as needed, long cells cut, the rest counted; table ``name`` has it whole."""
    cells = [[_cell(row[c]) for c in columns] for row in table.head(limit).to_dict("records")]
    widths = [max([len(c), *(len(r[i]) for r in cells)]) for i, c in enumerate(columns)]
    for row in ([c.replace("_", " ") for c in columns], *cells):
        line = "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        click.echo(_fitted(line))
    if len(table) > limit:
        whole = "" if name is None else f": carecover table CASE {name}"
        click.echo(_wrapped(f"… and {len(table) - limit} more{whole}", "  "))


def _columns() -> int | None:
    """Width of the terminal; None where the output goes to a file or another program."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _fitted(line: str) -> str:
    """A line that does not wrap on a terminal; whole where a program reads it."""
    width = _columns()
    return line if width is None or len(line) <= width else line[: width - 1] + "…"


def _wrapped(text: str, indent: str, following: str | None = None) -> str:
    """A paragraph with an indent; a command in it names the case at hand, to be run as it is printed."""
    return _wrap(text, min(_columns() or 100, 100), indent, indent if following is None else following)


def _wrap(text: str, width: int, indent: str, following: str) -> str:
    """Wrapped, but for a command that fits into a line: it is pasted as one."""
    room = width - max(len(indent), len(following))
    whole = _named(text, lambda command: command.translate(_GLUE) if len(command) < room else command)
    told = click.wrap_text(whole, width=width, initial_indent=indent, subsequent_indent=following)
    return told.translate(_UNGLUE)


def _named(text: str, show: Callable[[str], str] = str) -> str:
    """The text with the case at hand in its commands; ``show`` says how each of them is written."""
    context = click.get_current_context(silent=True)
    case = context.params.get("case") if context else None
    if case is None:
        return text
    name = shlex.quote(_one_line(str(case)))
    return _COMMAND.sub(lambda m: show(m[1] + name + (m[2] or "")), text)


def _cell(value: object) -> str:
    import pandas as pd  # noqa: PLC0415

    if isinstance(value, list):
        return "; ".join(map(str, value))[:_WIDTH]
    if pd.isna(value):  # type: ignore[call-overload]
        return "-"
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%MZ")
    text = _one_line(str(value))
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


# ------------------------------------------------------------------------- see how it goes


@cli.command()
@click.option("--out", type=_PATH, default=Path("carecover-demo"), show_default=True, help="Where to put it.")
@click.option("--seed", default=1, show_default=True, help="Another seed is another incident.")
def demo(out: Path, seed: int) -> int:
    """The whole main job on a fresh simulated incident."""
    from carecover.demo import run_demo  # noqa: PLC0415

    click.echo(run_demo(out, seed, _say))
    return DONE


@cli.command()
@click.argument("directory", type=_PATH)
@click.option("--seed", default=1, show_default=True)
@click.option("--certificates", default=200, show_default=True, help="Issued before the failure, 10 to 1,000,000.")
@click.option("--lost", type=int, help="How many of them after the backup; by itself, in proportion.")
@click.option(
    "--format", "form", default="mbox", show_default=True, type=click.Choice(["mbox", "maildir", "eml", "zip"])
)
@click.option("--language", default="en", show_default=True, help="Wording of the CA's mails and views.")
@click.option(
    "--layout", default="number", show_default=True, help="Serial layout: number, default, string, generated_string."
)
@click.option("--ordinary-mail", type=int, help="Other mails in the mailbox; by itself, in proportion.")
@click.option("--audit/--no-audit", default=False, help="Write Security log events as well.")
@click.option("--mail/--no-mail", default=True, help="Whether the exit module was on.")
def simulate(directory: Path, form: Any, layout: Any, **knobs: Any) -> int:  # noqa: ANN401 - Scenario checks them
    """Make an incident with known truth: evidence/, facts.json, truth.json."""
    from carecover.simulator import Scenario, make_incident  # noqa: PLC0415

    make_incident(Scenario(format=form, serial_layout=layout, **knobs)).write(directory)
    click.echo(f"{directory / 'evidence'}\n{directory / 'facts.json'}\n{directory / 'truth.json'}")
    return DONE


# --------------------------------------------------------------------------- the evidence


@cli.command("collect-kit")
@click.argument("directory", type=_PATH)
def collect_kit(directory: Path) -> int:
    """A read-only script for the CA that exports what carecover wants."""
    from carecover.bundles import write_kit  # noqa: PLC0415

    for path in write_kit(directory):
        click.echo(path)
    _say("Carry the folder to the CA and read README.txt there, before the restored service starts.")
    return DONE


@cli.command()
@click.argument("case", type=_PATH)
@click.option("--ca", metavar="NAME", help="The CA's name, as its certificate says (CN).")
@click.option("--backup", metavar="T", help="When the backup was made that was restored.")
@click.option("--failure", metavar="T", help="When the CA was lost.")
@click.option("--restored", metavar="T", help="When the restored CA ran again.")
@click.option("--time-zone", metavar="Z", help="Where the CA stands, such as Europe/Berlin.")
@click.option("--date-order", type=click.Choice(["dmy", "mdy", "ymd"]), help="How the CA's Windows writes dates.")
@click.option("--key-exposed", type=click.Choice(["yes", "no", "unknown"]), help="May the CA's key be in other hands?")
@click.option("--config", metavar="HOST\\CA", help="CA configuration string for certutil -config; typed by you.")
def init(case: Path, **facts: Any) -> int:  # noqa: ANN401 - Case checks them
    """Make a case, or change its facts. T is ISO 8601, read in --time-zone without an offset."""
    from carecover.case import Case  # noqa: PLC0415

    made = Case.create(case, **facts)
    for name, value in made.facts.to_json().items():
        click.echo(f"{name:12} {value if value is not None else 'not known'}")
    return _key_at_risk(made)


@cli.command()
@click.argument("case", type=_PATH)
@click.argument("paths", type=_PATH, nargs=-1, required=True)
@click.option("--fetched-from", metavar="URL", help="The distribution point that these were copied from.")
@click.option("--cluster", metavar="ADDRESS", help="Read large files by the workers of a Dask cluster (tcp://…).")
@click.option("--shared", metavar="URL", help="Where those workers find the files, if not at the same path (fsspec).")
@click.option("--json", "as_json", is_flag=True, help="The accounting as JSON.")
@click.option("--authority", type=_PATH, metavar="FILE", help="PATHS are time stamps (.tsr); its certificates.")
@click.option("--by", metavar="PERSON", help="Who brings time stamps of an --authority.")
def add(
    case: Path,
    paths: tuple[Path, ...],
    fetched_from: str | None,
    cluster: str | None,
    shared: str | None,
    as_json: bool,
    authority: Path | None,
    by: str | None,
) -> int:
    """Hand evidence in: files or folders of any kind, told apart by content. Or time stamps of the journal."""
    if shared is not None and cluster is None:
        raise click.UsageError("--shared says where the workers of a --cluster find the files.")
    if by is not None and authority is None:
        raise click.UsageError("--by names who brings time stamps: say whose they are with --authority.")
    opened = _open(case)
    if authority is not None:
        kept = opened.add(paths, fetched_from=fetched_from, authority=authority, by=by)
        for note in kept.attrs["notes"]:
            click.echo(f"Kept as {_one_line(note)}")
        return DONE
    with (
        _told_of_the_rest(lambda accounting: _show_accounting(opened, accounting, as_json=as_json)),
        _readers(cluster, shared) as executor,
    ):
        accounting = opened.add(paths, fetched_from=fetched_from, progress=_progress, executor=executor)
    _show_accounting(opened, accounting, as_json=as_json)
    if not len(accounting):
        _say("There was no file in what you named: nothing was added.")
        return NEEDS_A_PERSON
    known = opened.table("profiles")
    unread = int(known.loc[known["origin"] == "unexplained", "mails"].sum())
    kinds = opened.table("evidence").set_index("evidence_id")["kind"]
    of_mail = accounting[accounting["evidence_id"].map(kinds).isin(("mbox", "mail", "msg", "pst"))]
    if unread or (int(of_mail["irrelevant"].sum()) and not len(opened.table("notifications"))):
        told = f"Mails that look like the CA's and that no known wording explains: {unread}."
        _say(
            f"{told if unread else 'No mail is explained by a known wording.'} Where the CA's mails are among them, "
            "hand in its registry (certutil -v -getreg exit\\smtp) or see what can be learned: carecover profile CASE"
        )
    if int(accounting["rejected"].sum()):
        _say("Some units were rejected. Where and why: carecover table CASE rejects")
        return NEEDS_A_PERSON
    return DONE


def _readers(cluster: str | None, shared: str | None) -> AbstractContextManager[Executor | None]:
    """Who reads large files: the cluster's workers, or whoever does without one."""
    if cluster is None:
        return nullcontext()
    from carecover.cluster import readers_of  # noqa: PLC0415

    return readers_of(cluster, shared)


@contextmanager
def _told_of_the_rest(show: Callable[[pd.DataFrame], None]) -> Iterator[None]:
    """Where a path cannot be opened, what came of the others is a result all the same."""
    try:
        yield
    except PathError as error:
        if error.finished is not None:
            show(cast("pd.DataFrame", error.finished))
        raise


def _show_accounting(opened: Case, accounting: pd.DataFrame, *, as_json: bool) -> None:
    shown = accounting.merge(opened.table("evidence")[["evidence_id", "kind", "path"]], on="evidence_id", how="left")
    if as_json:
        click.echo(_schema("accounting").to_json(accounting), nl=False)
    elif len(shown):
        width, counts = _columns(), ["units", "parsed", "irrelevant", "duplicate", "rejected"]
        room = _WIDTH
        if width is not None and width < 130:
            # What was read, and the name: a narrow terminal has room for no more.
            kinds = max([11, *map(len, shown["kind"])])
            counts, room = ["units", "parsed", "rejected"], max(width - 42 - kinds, 12)
        # The end of a long path tells one file from another.
        shown["path"] = [path if len(path) <= room else "…" + path[1 - room :] for path in shown["path"]]
        _print_table(shown, ["evidence_id", "kind", *counts, "path"], "accounting")


@cli.command()
@click.argument("case", type=_PATH)
@click.argument("evidence_ids", nargs=-1, required=True, metavar="EVIDENCE_ID…")
@click.option("--by", required=True, metavar="PERSON")
def baseline(case: Path, evidence_ids: tuple[str, ...], by: str) -> int:
    """Say which views show the database right after the restore."""
    _open(case).add(baseline=evidence_ids, by=by)
    click.echo(f"Baseline, by {_one_line(by)}: {', '.join(map(_one_line, evidence_ids))}")
    return DONE


@cli.command()
@click.argument("case", type=_PATH)
@click.option("--accept", multiple=True, metavar="PROFILE_ID", help="Read mails by this proposal from now on.")
@click.option("--withdraw", multiple=True, metavar="PROFILE_ID", help="No longer read mails by it.")
@click.option("--by", metavar="PERSON", help="Who looked at it.")
@click.option("--json", "as_json", is_flag=True, help="Table profiles as JSON, proposals too.")
def profile(case: Path, accept: tuple[str, ...], withdraw: tuple[str, ...], by: str | None, as_json: bool) -> int:
    """How the CA words its mails: what is known, and what could be learned from mails of unknown wording."""
    opened = _open(case)
    known = opened.profile(accept=accept, withdraw=withdraw, by=by, progress=_progress)
    if as_json:
        click.echo(_schema("profiles").to_json(known), nl=False)
        return DONE
    used, proposed = known[known["origin"] != "proposed"], known[known["origin"] == "proposed"]
    if len(used):
        _print_table(used, ["profile", "origin", "event", "mails", "share", "title"], "profiles")
    else:
        click.echo("No mail is explained by any wording.")
    for row in proposed.to_dict("records"):
        click.echo()
        click.echo(_wrapped(f"Proposed {row['profile_id']}: {row['event']} - {_one_line(row['title'])}", "", "  "))
        told = f"{row['mails']} mails, {row['serials']} serial numbers; "
        told += f"the CA's rows know {row['known']} of what they are about, {row['agreeing']} agree in more. "
        told += f"Read: {', '.join(row['columns'])}. Found in the rows: {', '.join(row['checked'])}. "
        click.echo(_wrapped(told + f"From: {', '.join(map(_one_line, row['senders']))}", "  "))
        for example in row["examples"]:
            click.echo(_wrapped(f"Example: {_one_line(example)}", "    ", "      "))
    if len(proposed):
        _say("Nothing of a proposal counts. Accept one that is right: carecover profile CASE --accept ID --by PERSON")
    return NEEDS_A_PERSON if len(proposed) or (used["origin"] == "unexplained").any() else DONE


# -------------------------------------------------------------------------------- the gap


@cli.command()
@click.argument("case", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Findings, coverage and first steps as one JSON object.")
def gaps(case: Path, as_json: bool) -> int:
    """What the restored CA does not know, how far to believe it, and what to do first."""
    opened = _open(case)
    names = ("findings", "coverage", "first_steps")
    try:
        findings, coverage, steps = (opened.table(name) for name in names)
    except QuestionError:
        if not as_json:
            # A person who is asked something at night has to know meanwhile what cannot wait.
            _print_steps(opened.table("first_steps"))
            click.echo()
        raise
    if as_json:
        parts = zip(names, (findings, coverage, steps), strict=True)
        texts = (f'"{name}": {_schema(name).to_json(table).strip()}' for name, table in parts)
        click.echo("{" + ", ".join(texts) + "}")
    else:
        _print_findings(findings)
        _print_coverage(coverage)
        _print_steps(steps)
    at_risk = _key_at_risk(opened)
    return NEEDS_A_PERSON if at_risk or len(findings) or (coverage["verdict"] != "good").any() else DONE


def _print_findings(findings: pd.DataFrame) -> None:
    """By kind; what tells one from another comes first, so that a narrow terminal cuts off the rest."""
    from carecover.model import CIRCUMSTANCES, KIND_MEANINGS, RevocationReason  # noqa: PLC0415

    click.echo(f"Findings: {len(findings)}")
    if not len(findings):
        click.echo("That nothing was found does not mean that nothing was lost.")
    for kind, group in findings.groupby("kind", sort=False):
        part = group.copy()
        click.echo()
        click.echo(_wrapped(f"{kind}: {len(part)} - {KIND_MEANINGS[str(kind)]}", "", "  "))
        words = part["circumstances"].explode().value_counts()
        for word, told in CIRCUMSTANCES.items():
            if word in words:
                click.echo(_wrapped(f"{words[word]} of them: {told}", "  ", "    "))
        if kind == "suspect_notification":
            for row in part.head(_SUSPECTS).to_dict("records"):
                click.echo(_wrapped(f"{_cell(row['serial'])}: {_one_line(row['why'])}", "  ", "      "))
            if len(part) > _SUSPECTS:
                click.echo(_wrapped(f"… and {len(part) - _SUSPECTS} more: carecover table CASE findings", "  "))
        elif part["serial"].notna().any():
            part["suggestion"] = [_suggestion(row) for row in part.to_dict("records")]
            narrow = (_columns() or 100) < 100
            columns = ["serial", "suggestion", "confidence", "template", *([] if narrow else ["subject"])]
            _print_table(part, columns, "findings")
        elif part["request_id"].notna().any():
            _print_table(part, ["request_id", "confidence", "requester", "template"], "findings")
        else:
            for row in part.to_dict("records"):
                click.echo(_wrapped(f"{row['finding_id']}: {_one_line(row['why'])}", "  ", "      "))
    used = findings.loc[findings["suggested_action"] == "revoke", "suggested_reason"].dropna().unique()
    named = "".join(f"; revoke {r} = {RevocationReason(r).designation}" for r in sorted(map(int, used)))
    if len(findings):
        told = "Suggestions: - = none, a person must decide; restore = import the original; unrevoke = take off hold"
        click.echo()
        click.echo(_wrapped(f"{told}{named}. Why, and who holds it: carecover table CASE findings", "", "  "))


def _suggestion(finding: dict[Any, Any]) -> str:
    import pandas as pd  # noqa: PLC0415

    action, reason = finding["suggested_action"], finding["suggested_reason"]
    if pd.isna(action):
        return "-"
    return str(action) if pd.isna(reason) or reason < 0 else f"{action} {reason}"


def _print_coverage(coverage: pd.DataFrame) -> None:
    """The verdict first, as it is the answer; then what is missing, what is open, what is good."""
    click.echo("\nHow far to believe it:")
    last = coverage["aspect"] == "verdict"
    for row in coverage[last].to_dict("records"):
        click.echo(_wrapped(f"{_one_line(str(row['why']))} ({row['figure']})", "  "))
    for verdict in ("gap", "unknown", "good"):
        for row in coverage[~last & (coverage["verdict"] == verdict)].to_dict("records"):
            figure = f": {_one_line(str(row['figure']))}" if row["figure"] else ""
            click.echo(_wrapped(f"[{verdict}] {row['aspect']}{figure}", "  ", "      "))
            click.echo(_wrapped(_one_line(str(row["why"])), "      "))


_WHEN: Final = {"before_start": "Before the restored service starts: ", "later": "Afterwards: "}


def _print_steps(steps: pd.DataFrame) -> None:
    click.echo("\nWhat to do first:")
    for number, row in enumerate(steps.to_dict("records"), start=1):
        first = f"  {number}. "
        step = f"{_WHEN.get(row['when'], '')}{_one_line(row['step'])}"
        click.echo(_wrapped(step, first, " " * len(first)))
        click.echo(_wrapped(_one_line(row["why"]), " " * (len(first) + 2)))


@cli.command()
@click.argument("case", type=_PATH)
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["csv", "json", "parquet"]), default="csv", show_default=True)
@click.option("--output", type=_PATH, help="Write to a file instead of standard output.")
def table(case: Path, name: str, form: str, output: Path | None) -> int:
    """One table of the case, for other tools."""
    frame = _open(case).table(name)
    if form == "parquet":
        if output is None:
            raise click.UsageError("Parquet is no text: say where to write it with --output FILE.")
        buffer = io.BytesIO()
        frame.to_parquet(buffer)
        _write(output, buffer.getvalue())
        return DONE
    text = _schema(name).to_json(frame) if form == "json" else _schema(name).to_csv(frame)
    if output is None:
        # Other tools get it as it is; a terminal would obey what a mail says.
        click.echo("\n".join(map(_one_line, text.split("\n"))) if sys.stdout.isatty() else text, nl=False)
    else:
        _write(output, text.encode("utf-8"))
    return DONE


def _write(output: Path, data: bytes) -> None:
    from carecover.folder import write_atomically  # noqa: PLC0415

    try:
        write_atomically(output, data)
    except OSError as error:
        raise PathError(f"{output} cannot be written: {error.strerror}.") from None


# -------------------------------------------------------------------------------- decide


@cli.command()
@click.argument("case", type=_PATH)
@click.option("--all", "all_of", metavar="KIND", help="All findings of a kind, infrastructure excepted.")
@click.option("--serial", "serials", multiple=True, metavar="S", help="One certificate; may be repeated.")
@click.option(
    "--action",
    required=True,
    type=click.Choice(["revoke", "restore", "unrevoke", "leave", "undecided", "suggested"]),
    help="What to do; 'suggested' takes each finding's own suggestion.",
)
@click.option("--reason", metavar="R", help="0 to 6, or its name, such as 'Key Compromise'.")
@click.option("--note", metavar="T", help="Why.")
@click.option("--by", required=True, metavar="PERSON")
def decide(
    case: Path, all_of: str | None, serials: tuple[str, ...], action: str, reason: str | None, note: str | None, by: str
) -> int:
    """Decide what is to be done about findings."""
    from carecover.model import RevocationReason  # noqa: PLC0415

    # A number is judged where it is decided, with a sentence of its own for those that are never written.
    number = reason is not None and _NUMBER.fullmatch(reason.strip())
    code = None if reason is None else int(reason) if number else RevocationReason.parse(reason)
    made = _open(case).decide(all_of=all_of, serials=serials, action=action, reason=code, note=note, by=by)  # type: ignore[arg-type]
    click.echo(f"{len(made.rows)} decided, {len(made.skipped)} left out.")
    reasons: dict[str, list[str]] = {}
    for skipped in made.skipped:
        reasons.setdefault(skipped.why, []).append(skipped.serial or skipped.finding_id)
    for why, names in reasons.items():
        click.echo(_wrapped(f"{len(names)} left out: {_one_line(why)}", "  ", "    "))
        for name in names[:_LEFT_OUT]:
            click.echo(f"    {name}")
        if len(names) > _LEFT_OUT:
            click.echo(_wrapped(f"… and {len(names) - _LEFT_OUT} more: carecover table CASE findings", "    "))
    return NEEDS_A_PERSON if made.skipped else DONE


@cli.command()
@click.argument("case", type=_PATH)
@click.option("--note", required=True, metavar="T", help="'undecided: why', 'hash: why' or 'baseline: why'.")
@click.option("--by", required=True, metavar="PERSON")
def waive(case: Path, note: str, by: str) -> int:
    """Accept in writing what the plan would be refused for; both people sign it."""
    _open(case).waive(note, by=by)
    click.echo(f"Kept as waived by {_one_line(by)}: {_one_line(note)}")
    click.echo("Both people sign it with the plan: sign-off shows it to each of them.")
    return DONE


@cli.command("sign-off")
@click.argument("case", type=_PATH)
@click.option("--by", required=True, metavar="PERSON")
@click.option("--as", "role", type=click.Choice(["analyst", "reviewer"]))
@click.option("--key", type=_PATH, metavar="FILE", help="Your own key, made by keygen; without it, by name only.")
@click.option("--different", is_flag=True, help="A name that is nearly the other's is another person's.")
@click.option("--withdraw", metavar="WHY", help="Take your own signature back; the other one is void with it.")
def sign_off(case: Path, by: str, role: str | None, key: Path | None, different: bool, withdraw: str | None) -> int:
    """Sign the plan as it is now: two different people, analyst and reviewer."""
    from carecover.remediation import explain  # noqa: PLC0415

    opened = _open(case)
    if withdraw is not None:
        taken = opened.sign_off(by=by, withdraw=withdraw)
        click.echo(f"{taken.person} has withdrawn from plan {taken.digest}: every signature under it is void.")
        return DONE
    if role is None:
        raise click.UsageError("Say as what you sign: --as analyst or --as reviewer.")
    # Asked, never an argument: arguments stand in histories and lists of processes.
    password = None if key is None else click.prompt(f"Password of {key}", hide_input=True, err=True)
    signed = opened.sign_off(by=by, role=role, key=key, password=password, different=different)
    for sentence in explain(opened.plan()):
        _say(f"- {sentence}")
    how = "by name only" if signed.fingerprint is None else f"with the key {signed.fingerprint}"
    click.echo(f"{signed.person} signed plan {signed.digest} as {signed.role}, {how}.")
    return DONE


@cli.command()
@click.argument("file", type=_PATH)
def keygen(file: Path) -> int:
    """Make a key to sign with, yours alone: FILE with a password, and FILE.pub to give to the others."""
    from carecover.keys import make_key  # noqa: PLC0415

    made = make_key(file, click.prompt(f"Password of {file}", hide_input=True, confirmation_prompt=True, err=True))
    click.echo(f"{made}  {file}.pub")
    _say("Read these 64 digits to the others in person; sign-off, plan and report print them. Keep FILE to yourself.")
    return DONE


# ----------------------------------------------------------------------------- the batch


@cli.command()
@click.argument("case", type=_PATH)
@click.option("--output", required=True, type=_PATH, metavar="DIR", help="A new folder.")
def batch(case: Path, output: Path) -> int:
    """The bundle for the CA; refuses an unsigned or changed plan."""
    paths = _open(case).batch(output)
    _print_files(paths)
    _say(f"Next: carry {output} or {paths[-1].name} to the CA; README.txt in it says what to do there.")
    if output / "revoke.cmd" not in paths:
        pinning = _named(f"carecover pin CASE {shlex.quote(str(output))} --by REVIEWER")
        _say(f"It has no revoke.cmd yet: prepare.cmd signs dummies on the CA, then this writes it: {pinning}")
    return DONE


@cli.command()
@click.argument("case", type=_PATH)
@click.option("--dummy-days", type=click.IntRange(1, 36_500), help="Assume that dummies live so long.")
def rehearse(case: Path, dummy_days: int | None) -> int:
    """Carry the plan out against a simulated CA made from the evidence."""
    from carecover.simulator import Behaviour  # noqa: PLC0415

    assumed = None if dummy_days is None else Behaviour(dummy_validity=timedelta(days=dummy_days))
    return _show_run(_open(case).rehearse(on_output=_show, behaviour=assumed))


@cli.command()
@click.argument("case", type=_PATH)
@click.argument("directory", type=_PATH, required=False)
@click.option("--by", required=True, metavar="PERSON", help="Not the analyst who signed.")
@click.option("--ca-true", is_flag=True, help="You saw that dummies are CA certificates, and take them.")
@click.option("--destroyed", multiple=True, metavar="SHA256|all", help="Pin nothing: every copy of it is gone.")
@click.option("--different", is_flag=True, help="A name that is nearly the analyst's is another person's.")
def pin(case: Path, directory: Path | None, by: str, ca_true: bool, destroyed: tuple[str, ...], different: bool) -> int:
    """Check the dummies that prepare.cmd made; writes revoke.cmd, or longer.cmd where some end too early."""
    from carecover.bundles import archive_of  # noqa: PLC0415

    gone = [digest.lower() for digest in destroyed]
    pins = _open(case).pin(directory, by=by, ca_true=ca_true, destroyed=gone, different=different)
    if destroyed or directory is None:
        _print_table(pins, ["state", "file", "sha256"], "dummies")
        return NEEDS_A_PERSON if (pins["state"] == "leftover").any() else DONE
    if len(pins):
        _print_table(pins, ["serial", "not_after", "is_ca", "own_key", "eku", "subject", "sha256"], None)
    _print_files([directory / "revoke.cmd", archive_of(directory)])
    if left := pins.attrs["leftovers"]:
        click.echo("Not used, so dangerous until destroyed (every copy, on the CA too):")
        for name, digest in list(left.items())[:_LEFT_OUT]:
            click.echo(f"{digest}  {_one_line(str(directory / name))}")
        more = "" if len(left) <= _LEFT_OUT else f"… and {len(left) - _LEFT_OUT} more: carecover table CASE dummies. "
        _say(f"{more}When that is done: carecover pin CASE --by PERSON --destroyed all")
    return DONE


@cli.command()
@click.argument("case", type=_PATH)
@click.argument("directory", type=_PATH)
@click.argument("call", nargs=-1, metavar="[SCRIPT WORDS…]")
@click.option("--on", default="simulator", show_default=True, metavar="simulator|local|ssh://USER@HOST[:PORT]")
@click.option("--known-hosts", type=_PATH, metavar="FILE", help="The CA's host key, for ssh.")
@click.option("--identity", type=_PATH, metavar="FILE", help="Your private key, for ssh; by itself, the agent's.")
@click.option("--patience", default=30.0, show_default=True, metavar="MINUTES", help="Without a word from the CA.")
@click.option("--by", metavar="PERSON", help="Who runs it on a CA.")
@click.option("--ca", "ca_name", metavar="NAME", help="The name of the CA, typed to confirm.")
@click.option("--no-dialog", metavar="PERSON", help="Who saw at the server that prepare.cmd FIRST opened no dialog.")
def run(case: Path, directory: Path, on: str, known_hosts: Path, identity: Path, patience: float, **given: Any) -> int:  # noqa: ANN401 - checked by Case
    """Run an exported bundle, unchanged: all of it, or one call such as revoke.cmd apply FIRST."""
    from carecover.backends import backend  # noqa: PLC0415
    from carecover.underway import Cancel  # noqa: PLC0415

    place: Any = on
    if on != "simulator":
        place = backend(on, known_hosts=known_hosts, identity=identity, patience=patience, cancel=Cancel(case))
    return _show_run(_open(case).run(directory, on=place, on_output=_show, **given), directory)


def _print_files(paths: Sequence[Path]) -> None:
    """Each file with its SHA-256, to compare on the CA: a batch cannot vouch for itself."""
    from carecover.folder import hash_file  # noqa: PLC0415

    for path in paths:
        click.echo(f"{hash_file(path)}  {path}")
    batches = " and ".join(f"certutil -hashfile {path.name} SHA256" for path in paths if path.suffix == ".cmd")
    _say(f"Compare on the CA before you run anything: {batches}")


def _key_at_risk(case: Case) -> int:
    """Say what a stolen CA key means, where it may be stolen: then a batch is the wrong answer."""
    from carecover.errors import RefusedError  # noqa: PLC0415
    from carecover.remediation import check_key  # noqa: PLC0415

    try:
        check_key(case.facts)
    except RefusedError as error:
        _say(str(error))
        return NEEDS_A_PERSON
    return DONE


def _print_outcomes(outcomes: pd.DataFrame) -> None:
    """By verdict, the worst first; what is not proved with its whole reason, told once for all it is about."""
    click.echo(f"Outcomes by verdict, of {len(outcomes)} decisions:")
    for verdict in sorted(outcomes["verdict"].unique(), key=_VERDICTS.index):
        group = outcomes[outcomes["verdict"] == verdict]
        click.echo(f"{verdict}: {len(group)}")
        if verdict == "proved":
            for action, number in group["action"].value_counts(sort=False).items():
                waived = ": nobody decided, as waived in writing; nothing was to be done"
                click.echo(f"  {number} {_one_line(str(action))}{waived if action == 'undecided' else ''}")
            continue
        for why, part in group.groupby("why", sort=False):
            click.echo(_wrapped(_one_line(str(why)), "  "))
            for row in part.head(_ALIKE).to_dict("records"):
                click.echo(f"    {row['action']:9}  {_cell(row['serial'])}")
            if len(part) > _ALIKE:
                click.echo(f"    … and {len(part) - _ALIKE} more")


def _show_run(result: Run, directory: Path | None = None) -> int:
    for phase, code in result.phases:
        click.echo(f"{phase}: exit code {code}")
    _print_outcomes(result.outcomes)
    click.echo(f"Kept in {result.directory}")
    if result.backend == "simulator" or directory is None:
        click.echo("On a simulated CA: logic checked against assumptions, never tested on your CA.")
    else:
        back = " ".join(shlex.quote(_one_line(str(directory / name))) for name in ("logs", "out"))
        click.echo(_wrapped(f"What the CA wrote is proved by: carecover verify CASE {back}", ""))
    if not result.finished:
        return 5
    return DONE if result.proved else NEEDS_A_PERSON


# ------------------------------------------------------------------------- proof, report


@cli.command()
@click.argument("case", type=_PATH)
@click.argument("files", type=_PATH, nargs=-1)
@click.option("--fetched-from", metavar="URL", help="FILES were fetched at this distribution point.")
@click.option("--ask-ocsp", metavar="URL", help="Ask this OCSP responder about every planned serial number.")
def verify(case: Path, files: tuple[Path, ...], fetched_from: str | None, ask_ocsp: str | None) -> int:
    """Transcripts, a later view, new CRLs and OCSP answers: what is proved about each decision?"""
    if not files and ask_ocsp is None:
        raise click.UsageError("Name the files that came back, or a responder to ask: --ask-ocsp URL.")

    def show(outcomes: pd.DataFrame) -> None:
        _print_outcomes(outcomes)
        click.echo(_wrapped("Each decision, with its reason: carecover table CASE outcomes", ""))
        for note in outcomes.attrs.get("notes", ()):
            _say(note)

    with _told_of_the_rest(show):
        outcomes = _open(case).verify(files, fetched_from=fetched_from, ask_ocsp=ask_ocsp)
    show(outcomes)
    # No outcome at all is nothing proved, and what a new CRL lost needs a person whatever is proved.
    proved = len(outcomes) and (outcomes["verdict"] == "proved").all() and not outcomes.attrs.get("notes")
    return DONE if proved else NEEDS_A_PERSON


@cli.command()
@click.argument("case", type=_PATH)
@click.option(
    "--output",
    required=True,
    type=_PATH,
    metavar="FILE",
    help="Ending in .html, .pdf, .docx, .md, .json; .xlsx or .zip for the tables; .jsonld, .tsq for the journal.",
)
@click.option("--language", type=click.Choice(("en", "de")), default="en", help="Of the report.")
@click.option("--edition", type=click.Choice(("full", "redacted")), default="full", help="redacted: without names.")
@click.option(
    "--for",
    "audience",
    type=click.Choice(("all", "leadership", "technical", "legal")),
    default="all",
    help="Who reads it.",
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=TEXT",
    help="What only people know, kept for later reports: classification, authors, approvers, cause, systems, custody, "
    "lessons. A lesson is 'what | owner | date'.",
)
def report(case: Path, output: Path, language: str, edition: Any, audience: str, fields: tuple[str, ...]) -> int:  # noqa: ANN401 - a choice
    """The post-incident report; the journal as CASE/UCO (.jsonld); a request to stamp its head (.tsq, RFC 3161)."""
    told: dict[str, str] = {}
    for field in fields:
        name, equals, text = field.partition("=")
        if not equals:
            raise click.UsageError(f"A field is NAME=TEXT, not '{_one_line(field)}'.")
        # Several lessons are several lines.
        told[name] = f"{told[name]}\n{text}" if name in told else text
    click.echo(_open(case).report(output, language=language, edition=edition, audience=audience, fields=told))
    return DONE


@cli.command()
@click.argument("case", type=_PATH)
@click.option("--head", metavar="DIGEST", help="A head of the journal, as a bundle or report prints it.")
@click.option("--against", type=_PATH, multiple=True, metavar="FILE", help="A bundle, transcript, report or .tsr.")
@click.option("--authority", type=_PATH, metavar="FILE", help="Certificates of the authority of time stamps.")
def check(case: Path, **elsewhere: Any) -> int:  # noqa: ANN401 - Case checks them
    """Recompute journal, evidence hashes, tables, plans and reports; name what does not fit."""
    problems = _open(case).check(**elsewhere)
    for note in problems.notes:
        click.echo(_one_line(note))
    for problem in problems:
        click.echo(_one_line(problem))
    if not problems:
        click.echo("Journal, evidence, tables, signed plans and reports fit together.")
    return NEEDS_A_PERSON if problems else DONE


@cli.command()
@click.argument("case", type=_PATH, required=False)
@click.option("--allow-root", is_flag=True, help="Although you are root: whoever gets at the notebooks is, too.")
def lab(case: Path | None, *, allow_root: bool) -> int:
    """JupyterLab on the notebooks, on this machine only, with a token."""
    from carecover.folder import CaseFolder  # noqa: PLC0415
    from carecover.notebook.lab import start_lab  # noqa: PLC0415

    if case is not None and not CaseFolder.is_case(case):
        click.echo(f"There is no case {case} yet: the first panel of 1-explore makes it.", err=True)
    return start_lab(case, arguments=["--allow-root"] if allow_root else [])


def _schema(name: str) -> Any:  # noqa: ANN401 - model.TableSchema, imported late
    from carecover.model import TABLES  # noqa: PLC0415

    return TABLES[name]


if __name__ == "__main__":
    sys.exit(main())
