"""`e2r-bench compare`: methods, runs or folders against each other, with significance."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from e2r_bench.commands import options
from e2r_bench.commands.types import FILE, NAMES, OUTPUT, flat
from e2r_bench.mistakes import name_of

if TYPE_CHECKING:
    from e2r_bench.api.judge import Judgement
    from e2r_bench.report.statements import Contest

_RUN = Path("results/run")
_SUFFIXES = {
    ".md": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".json": "json",
    ".html": "page",
    ".txt": "table",
}
_OF_FOLDERS = ("degraded", "profile", "variant", "recursive", "pair", "value_range", "flatten",
               "max_megapixels", "shave", "channel", "crop", "depth", "order",
               "reference")  # fmt: skip
_OF_RUNS = ("run", "tasks", "unit")


@click.command("compare", short_help="Is A better than B? Methods, runs, or folders.")
@click.argument("arms", nargs=-1, required=True)
@click.option("--run", type=FILE, help=f"The run whose methods they are.  [{_RUN}]")
@click.option("--clean", type=FILE, help="Clean pictures: the others are folders of results.")
@click.option("--degraded", type=FILE, help="What was restored; set metrics need it for margins.")
@click.option("--against", help="What the others are set against.  [the first]")
@click.option(
    "--metrics", type=NAMES, help="Only these; of folders: psnr,ssim,lpips,invented_share."
)
@click.option("--tasks", type=NAMES, help="Only these tasks of a run.")
@options.margin
@click.option(
    "--power", is_flag=True, help="Say what this n could find, and what one margin takes."
)
@click.option("--unit", type=click.Choice(["scene", "image"]), default="scene", show_default=True,
              help="What is independent.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["table", "markdown", "latex", "csv", "json"]),
              help="Of what is printed, or of --out.  [table, or by its suffix]")  # fmt: skip
@options.json_form
@click.option("--out", type=OUTPUT, help="File: .md .tex .csv .json, or .html for two runs.")
@click.option("--embed/--beside", default=True, show_default=True,
              help="Pictures inside an .html page, or links to the runs' files.")  # fmt: skip
@click.option("--profile", default="default", show_default=True, help="default or paper.")
@options.variant
@options.reading
@options.parts
@options.weights
@click.option("--device", default="cpu", show_default=True, help="A torch device, or auto.")
@options.offline
def command(arms: tuple[str, ...], form: str | None, out: Path | None, **asked: Any) -> int:
    """Compare ARMS, paired by picture: A is set against the first, or against --against.

    ARMS are methods of a run (--run), run folders, or, with --clean, folders of results. Every
    difference has an interval, a p that is adjusted over all of them, the smallest difference that
    this n finds, and a margin below which it counts as none. Exit code 1 when a picture failed.
    """
    form = form or _form_of(out)
    if form == "page" and out is not None:
        click.echo(str(_page(arms, out, bool(asked["embed"]))))
        return 0
    made, code = _judged(arms, asked, every=form in ("markdown", "latex"))
    if form == "table":
        _print(made.contest, bool(asked["power"]), out)
    else:
        _write(_text(made, form, bool(asked["power"])), out)
    return code


def _form_of(out: Path | None) -> str:
    if out is None:
        return "table"
    if out.suffix.lower() not in _SUFFIXES:
        raise click.UsageError(
            f"--out {out}: expected one of {' '.join(_SUFFIXES)}, or --format to say what it is"
        )
    return _SUFFIXES[out.suffix.lower()]


def _page(arms: tuple[str, ...], out: Path, embed: bool) -> Path:
    from e2r_bench.report.compare import write_comparison
    from e2r_bench.store.store import open_store

    if len(arms) != 2:
        raise click.UsageError(f"--out {out}: expected two runs for a page, found {len(arms)}")
    first, second = (open_store(Path(arm)) for arm in arms)
    return write_comparison(first, second, out, embed)


def _judged(
    arms: tuple[str, ...], asked: Mapping[str, Any], every: bool
) -> "tuple[Judgement, int]":
    _refuse_idle(_OF_RUNS if asked["clean"] is not None else _OF_FOLDERS, asked["clean"] is None)
    if asked["clean"] is not None:
        from e2r_bench.commands.folders import compare_folders

        folders, margins = [Path(arm) for arm in arms], flat(asked["margins"])
        return compare_folders(folders, asked["clean"], asked, every, margins)
    return _of_runs(arms, asked, every), 0


def _refuse_idle(names: tuple[str, ...], runs: bool) -> None:
    """Refuse flags that would have no effect on what is compared."""
    context = click.get_current_context()
    for param in context.command.params:
        source = context.get_parameter_source(param.name or "")
        if param.name in names and source is ParameterSource.COMMANDLINE:
            kind = "methods and runs; folders of results need --clean" if runs else "folders"
            raise click.UsageError(f"{name_of(param)}: has no effect on {kind}; leave it out")


def _of_runs(arms: tuple[str, ...], asked: Mapping[str, Any], every: bool) -> "Judgement":
    from e2r_bench.api.judge import judge_runs
    from e2r_bench.commands.folders import session_of
    from e2r_bench.store.store import RUN_JSON

    runs = [arm for arm in arms if (Path(arm) / RUN_JSON).is_file()]
    alone = asked["run"] is None and len(runs) == len(arms)
    _refuse_folders([arm for arm in arms if arm not in runs], asked["run"] or _RUN)
    return judge_runs(
        *(arms if alone else (asked["run"] or _RUN,)),
        methods=() if alone else arms,
        against=asked["against"],
        metrics=asked["metrics"] or (),
        tasks=asked["tasks"] or (),
        margins=flat(asked["margins"]),
        unit=asked["unit"],
        every=every,
        session=session_of(asked),
    )


def _refuse_folders(arms: list[str], run: Path) -> None:
    """Say what folders of results need, where the run has no methods of their names."""
    from e2r_bench.store.store import RUN_JSON, open_store

    folders = [arm for arm in arms if Path(arm).is_dir()]
    known = open_store(run).info.methods if folders and (run / RUN_JSON).is_file() else {}
    for arm in (arm for arm in folders if arm not in known):
        raise click.UsageError(
            f"{arm}: expected a run, or a method of {run}, found a folder without {RUN_JSON}; "
            "folders of results need --clean CLEAN"
        )


def _print(made: "Contest", power: bool, out: Path | None) -> None:
    from e2r_bench.console import print_contest
    from e2r_bench.report.contest_text import order_lines, power_lines
    from e2r_bench.report.statements import statement
    from e2r_bench.terminal import console_to, print_line, print_note

    with console_to(out) as console:
        print_contest(console, made)
        print_line(console, "")
        for line in (*map(statement, made.judged), *(power_lines(made) if power else ())):
            print_line(console, line)
        print_line(console, "")
        for line in (*order_lines(made), *made.facts):
            print_note(console, line)


def _text(made: "Judgement", form: str, power: bool) -> str:
    from e2r_bench.report.contest_text import power_lines

    text = made.text(form)
    if power and form == "markdown":
        text += "\n" + "".join(f"- {line}\n" for line in power_lines(made.contest))
    return text


def _write(text: str, out: Path | None) -> None:
    from e2r_metrics.base.files import refuse_foreign, write_text

    if out is None:
        click.echo(text, nl=False)
        return
    start = text.encode()[:10]
    refuse_foreign(out, lambda head: head[:10] == start)
    write_text(out, text)
    click.echo(str(out))
