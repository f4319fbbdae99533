"""The command itself: its verbs, and how every way of ending becomes an exit code.

====  ==========================================================
0     all gates (of a study: all claims) hold
1     a gate or a claim fails
2     it could not be run: usage, files, an unreachable model, a seed that failed
3     undecided: too few data, and the output says how many would do
130   stopped by Ctrl-C
====  ==========================================================
"""

from __future__ import annotations

import codecs
import io
import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from concordant.cli.cache import cache
from concordant.cli.check import check
from concordant.cli.cite import cite
from concordant.cli.compare import compare
from concordant.cli.edit import edit
from concordant.cli.explain import explain
from concordant.cli.fingerprint import fingerprint
from concordant.cli.info import info
from concordant.cli.listing import list_names
from concordant.cli.merge import merge
from concordant.cli.papers import papers
from concordant.cli.pocket import pocket
from concordant.cli.repair import repair
from concordant.cli.report import report
from concordant.cli.residuals import residuals
from concordant.cli.retention import retention
from concordant.cli.scaling import scaling
from concordant.cli.study import study
from concordant.cli.validate import validate
from concordant.core.errors import ConcordantError

VERBS: dict[str, Any] = {
    "compare": compare,
    "retention": retention,
    "check": check,
    "fingerprint": fingerprint,
    "scaling": scaling,
    "report": report,
    "repair": repair,
    "validate": validate,
    "list": list_names,
    "edit": edit,
    "residuals": residuals,
    "merge": merge,
    "study": study,
    "explain": explain,
    "pocket": pocket,
    "papers": papers,
    "cite": cite,
    "cache": cache,
    "info": info,
}
GOING_ON = {
    "explain": "; what -o or --folder keeps is not lost; the same command goes on",
    "check": "; nothing recorded is lost; go on with --resume",
    "repair": "; what is trained and asked is kept; the same command goes on",
    "study": "; the seeds that are done are kept; the same command goes on",
}
COULD_NOT_BE_RUN = 2
STOPPED = 130
BROKEN_PIPE = 141

IN_ASCII = "concordant.in_ascii"
"""How signs are written that a terminal cannot show: a number keeps its sign, and what is not known becomes "?"."""
ASCII = {
    "−": "-",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "·": "|",
    "…": "...",
    "✓": "+",
    "✗": "x",
    "–": "-",
    "⏎": "/",
}
ASCII |= dict.fromkeys("\u00a0\u2009\u202f", " ")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(ASCII.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


codecs.register_error(IN_ASCII, _in_ascii)


class Verbs(TyperGroup):
    """The verbs, in the order of `VERBS`; an error is one sentence on standard error."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command and exit with its code."""
        given = extra.get("args", args[0] if args else None)
        words = list(sys.argv[1:] if given is None else given)
        for stream in (sys.stdout, sys.stderr):  # a sign that the terminal cannot show must not end a run
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors=IN_ASCII)
        debug = "--debug" in words
        words = [word for word in words if word != "--debug"] or ["--help"]
        sys.exit(self._code(extra.get("prog_name") or "concordant", words, debug=debug))

    def _code(self, prog_name: str, words: list[str], *, debug: bool) -> int:
        try:
            with self.make_context(prog_name, words) as context:
                code = self.invoke(context)
            sys.stdout.flush()
        except typer.Exit as end:
            return end.exit_code
        except SystemExit as end:  # of code that a check runs: the codes of a check are its own
            _say(f"what was run called exit({end.code})")
            return COULD_NOT_BE_RUN
        except (KeyboardInterrupt, typer.Abort):
            _say(f"stopped{GOING_ON.get(words[0], '')}")
            return STOPPED
        except BrokenPipeError:
            # The last flush needs somewhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        except Exception as error:
            if debug:
                traceback.print_exception(error)
            _say(_sentence(error))
            return COULD_NOT_BE_RUN
        return int(code or 0)


def _sentence(error: Exception) -> str:
    if isinstance(error, ConcordantError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    usage = getattr(error, "format_message", None)
    if usage is not None:
        return str(usage()).rstrip(".")
    return f"unexpected {type(error).__name__}: {error} (this is a fault of concordant; --debug shows where)"


def _say(sentence: str) -> None:
    from concordant.report.sanitize import one_line

    sys.stdout.flush()
    typer.echo(f"concordant: {one_line(sentence)}", err=True)


def _version(asked: bool) -> None:  # noqa: FBT001 - as typer calls it
    if asked:
        from importlib.metadata import version

        typer.echo(version("concordant"))
        raise typer.Exit


app = typer.Typer(
    cls=Verbs,
    name="concordant",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all gates or claims hold, 1 one fails, 2 it could not be run, 3 undecided (too few data).",
)


@app.callback()
def concordant(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error arose; may stand anywhere.")
    ] = False,
) -> None:
    """Does a model still behave the way it should?

    Compare two versions, from their logs:

        concordant compare old.jsonl new.jsonl

    Check everything that a file asks for, and gate on it:

        concordant check check.yaml
    """  # noqa: D400, D401 - a question


for _name, _verb in VERBS.items():
    if isinstance(_verb, typer.Typer):
        app.add_typer(_verb, name=_name)
    else:
        app.command(_name)(_verb)


def main() -> None:
    """Run the command: the console script ``concordant``."""
    app()
