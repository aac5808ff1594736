"""The command line: subcommands are imported only when called, errors become one line and 2."""

import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from e2r_bench import __version__
from e2r_bench.memory import keep_freed_memory
from e2r_bench.mistakes import line_of
from e2r_bench.threads import wait_passively
from e2r_metrics.base.errors import E2RError

FAILED, MISTAKE, INTERRUPTED = 1, 2, 130
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

COMPLETE = "_E2R_BENCH_COMPLETE"
"""The variable through which a shell asks what may come next; click's own name for it."""

# Name -> what `e2r-bench --help` says; the module of a command is imported only when it is called.
COMMANDS = {
    "init": "Write a commented file to start from.",
    "run": "Restore pictures with several methods, score them, report.",
    "score": "Score folders of restored images against a folder of clean ones.",
    "explain": "Say which protocol gives a stated number.",
    "train": "Train a few-shot LoRA adapter of an editing model.",
    "adapter": "Inspect a LoRA adapter file, or convert it.",
    "study": "Seeds, steps, pairs, prompts: does a number hold?",
    "claims": "Judge a paper's claims, from its tables and from runs.",
    "leakage": "Find test images among training images.",
    "maps": "Write error, invention and trust maps of a run.",
    "plan": "What an experiment takes: GPU hours, storage, memory.",
    "status": "What of a run is done, failed and left.",
    "merge": "Lay the shards of a run end to end.",
    "report": "Write a run's report again.",
    "cite": "BibTeX of all that a run used.",
    "export": "A run's table for papers, programs and the model hub.",
    "compare": "Is A better than B? Methods of a run, runs, or folders.",
    "publish": "A finished run as a bundle that others can verify.",
    "verify": "Check a bundle, and measure its pictures again.",
    "weights": "List and fetch weight files.",
    "data": "List public picture sets, and fetch one.",
    "selfcheck": "Compute published values with this machine's weights.",
    "drift": "Recompute the golden numbers and say what moved.",
    "check": "A gate for your own model: is a run no worse than a baseline?",
    "metrics": "List the metrics, and which can be measured here.",
    "completion": "Complete commands and flags in bash, zsh or fish.",
    "methods": "List the methods, their licences, and what would run here.",
}


class _Lazy(click.Group):
    """A group that knows its commands by name and imports them when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"e2r_bench.commands.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="e2r-bench")
def cli() -> None:
    """Decide whether a perceptual claim about image restoration survives its own noise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    0: done. 1: something failed, and was named; the rest is there. 2: a user's mistake, one line on
    standard error. 130: interrupted. Whatever else is raised is a defect of ours.
    """
    _print_any_name()
    try:
        return _answered(arguments)
    except OSError as error:
        # What is opened, made or renamed has a name; what is printed has none.
        if error.filename is not None or error.errno not in _NO_ROOM:
            raise
        _say(f"e2r-bench: expected room for what is printed, found: {error.strerror}; free some")
        return FAILED


def _answered(arguments: Sequence[str] | None) -> int:
    try:
        result = cli.main(args=arguments, prog_name="e2r-bench", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        _say(error.format_message())
        return MISTAKE
    except click.ClickException as error:
        _say(f"e2r-bench: {line_of(error)}")
        return MISTAKE
    except E2RError as error:
        _say(f"e2r-bench: {error}")
        return MISTAKE
    except click.Abort as error:
        return _aborted(error)
    except KeyboardInterrupt:
        return _interrupted()
    except (BrokenPipeError, SystemExit):
        # Nobody reads what is printed, as in `e2r-bench methods | head`. Click leaves with
        # SystemExit there, and when it has answered a shell; nothing else of ours does.
        return 0 if COMPLETE in os.environ else FAILED
    return result if isinstance(result, int) else 0


def _say(line: str) -> None:
    """Print a line on standard error; the exit code stands where that is full or closed."""
    with suppress(OSError):
        click.echo(line, err=True)


def _aborted(error: click.Abort) -> int:
    # Click takes the end of a file, wherever it is met, for Ctrl-D.
    if isinstance(error.__cause__, EOFError):
        raise error.__cause__
    return _interrupted()


def _interrupted() -> int:
    _say("interrupted; the same command resumes")
    return INTERRUPTED


def _print_any_name() -> None:
    """Let file names that are no text be printed, escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _open_what_is_closed() -> None:
    """Point standard streams that the shell closed, `>&- 2>&-`, at nothing.

    A file opened later would have their numbers, and take in what libraries print there.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(number)
    for name in ("stdout", "stderr"):
        if not hasattr(getattr(sys, name), "write"):
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def script() -> None:
    """Entry point of the installed script."""
    keep_freed_memory()
    wait_passively()
    _open_what_is_closed()
    code = main()
    try:
        sys.stdout.flush()
    except OSError:
        # What is still buffered would be written, and fail aloud, at the interpreter's end.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.exit(code)
