"""`e2r-bench run`: restore, score, report."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from e2r_bench.commands import options
from e2r_bench.commands.addresses import OUTPUT_OR_ADDRESS, refuse_addresses
from e2r_bench.commands.types import (
    FILE,
    NAMES,
    POSITIVE,
    WHOLE,
    joined,
    method_options,
)
from e2r_metrics.base.addresses import is_address
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_bench.api.run import Ran
    from e2r_bench.run.config import Experiment
    from e2r_bench.run.engine import Engine
    from e2r_bench.run.staging import Stage
    from e2r_bench.store.store import Store


@click.command("run", short_help="Restore, score and report.")
@click.argument("experiment", required=False, type=FILE)
@click.option(
    "--methods", type=NAMES,
    help="e.g. kontext_lora,promptir, or a=kontext_lora,b=kontext_lora; the controls always join.",
)  # fmt: skip
@options.set_option
@click.option(
    "--tasks", type=NAMES, help="denoise15 denoise25 denoise50 derain dehaze dejpeg lowlight."
)
@click.option(
    "--task", "tables", multiple=True, type=FILE, help="A TOML file with [[task]] tables."
)
@click.option("--data", type=NAMES, help="'mini', a folder, or TASK=FOLDER,...  [mini]")
@options.reading
@click.option("--protocol", help="Named protocol: crop, noise, rounding, metric variants.  [e2r]")
@click.option("--noise-seed", type=int, help="Seed of the degradations.  [0]")
@click.option("--seeds", type=WHOLE, help="Sampler seeds, e.g. 0,1,2.  [0]")
@click.option("--steps", type=POSITIVE, help="Sampler steps, e.g. 4,8,28.  [28]")
@click.option("--metrics", type=NAMES, help="e.g. psnr,ssim,lpips,fid,cmmd,clip_iqa.")
@click.option("--profile", help="Which variant a bare metric name means: default or paper.")
@options.variant
@options.cuts
@options.scenes
@click.option("--no-truth", is_flag=True, default=None, help="--data holds inputs alone.")
@click.option("--limit", type=click.IntRange(min=1), help="The first so many images of each set.")
@click.option("--prompts", help="Edit2Restore's prompts: g1 (paper) or g2 (repository).  [g1]")
@click.option("--prompt", help="One prompt for all tasks instead.")
@click.option("--batch", type=click.IntRange(min=1), help="Pictures at once.  [4]")
@click.option("--device", help="A torch device.  [auto]")
@click.option("--dtype", help="float32 or bfloat16.  [float32]")
@click.option(
    "--tile",
    type=click.IntRange(min=64),
    help="Side of square tiles, at most; whole pictures without.",
)
@options.weights
@click.option("--offline", is_flag=True, default=None, is_eager=True, help="Open no connection.")
@click.option("--shard", help="i/n: make this part of the pictures, for `e2r-bench merge`.")
@options.engine
@click.option("--redo", is_flag=True, help="Make anew what stands on inputs that changed.")
@click.option(
    "--allow-commands", is_flag=True, help="Start programs that EXPERIMENT or a judge names."
)
@click.option("--against", help="What the others are set against at the end.  [the first method]")
@click.option("--dry-run", is_flag=True, help="Say what it takes; write, fetch, restore nothing.")
@options.as_json
@click.option("--out", type=OUTPUT_OR_ADDRESS, help="The run folder, or address.  [results/run]")
def command(
    experiment: Path | None,
    redo: bool,
    allow_commands: bool,
    executor: Literal["serial", "processes", "ray"],
    workers: int | None,
    address: str | None,
    against: str | None,
    dry_run: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """Restore photographs with several methods, score them, and report.

    EXPERIMENT is a TOML file with the same settings ([method.INSTANCE] for options of a method);
    flags override it. Exit code 1 when a picture failed; it is named, and the others are there.
    """
    from e2r_bench.run.config import make_experiment, read_toml
    from e2r_bench.run.engine import Engine
    from e2r_bench.run.plan import refuse_programs
    from e2r_bench.run.staging import staged

    settings = _settings(read_toml(experiment) if experiment else {}, flags)
    origin = str(experiment or "the command line")
    if settings.get("offline") is True:
        _refuse_fetching(settings)
    made = make_experiment(settings, origin, allow_commands or dry_run)
    if experiment and not (allow_commands or dry_run):  # what starts nothing asks for nothing
        own = [settings.get(k, ()) if flags[k] is None else () for k in ("methods", "metrics")]
        refuse_programs(own[0], own[1], origin)
    engine, place = Engine(executor, workers, address), str(settings.get("out", ""))
    if made.offline:
        refuse_addresses([place, *made.data])
    names = _names(made, against)
    if dry_run:
        return _dry(made)
    with staged(place) if is_address(place) else nullcontext() as stage:
        if stage:
            made = make_experiment(settings | {"out": stage.folder}, origin, allow_commands)
        outcome = _run(made, settings, engine, redo, stage)
        code = _tell(outcome, made, None if as_json else names, against)
    if stage or made.shard is None:
        told = f"written: {place}" if stage else f"report: {made.out / 'report.html'}"
        click.echo(told, err=as_json)
    return code


def _run(
    made: "Experiment",
    settings: Mapping[str, Any],
    engine: "Engine",
    redo: bool,
    stage: "Stage | None" = None,
) -> "Ran":
    from e2r_bench.api import run
    from e2r_bench.console import Console

    with Console() as console:

        def watch(name: str, done: int, total: int) -> None:
            console.watch(name, done, total)
            if stage is not None:
                stage.push_sometimes()

        return run.run(
            made, redo=redo, engine=engine, say=console.say, watch=watch, passed=settings
        )


def _tell(
    outcome: "Ran", made: "Experiment", names: tuple[str, ...] | None, against: str | None
) -> int:
    """Print the table, as JSON where no method is named, and the failures; return the exit code."""
    from e2r_bench.console import Console
    from e2r_bench.report.export import records

    if made.shard is None and names is None:
        options.print_json(records(outcome.store))
    elif made.shard is None and names is not None:
        Console().table(outcome.store)
        _compare(outcome.store, made, names, against)
    else:
        click.echo(f"shard {made.shard}: {made.out}; `e2r-bench merge` has the numbers")
    for cell, reason in outcome.failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return 1 if outcome.failures else 0


def _dry(experiment: "Experiment") -> int:
    from e2r_bench.run.dry import dry_run

    for line in dry_run(experiment):
        click.echo(line)
    return 0


def _refuse_fetching(settings: Mapping[str, Any]) -> None:
    """Refuse weights at an address before the experiment is made, which fetches them."""
    said = settings.get("weights")
    refuse_addresses([str(one) for one in said] if isinstance(said, (list, tuple)) else [])


def _names(experiment: "Experiment", against: str | None) -> tuple[str, ...]:
    """Return the instances that this call names; UsageError for an unknown one to set against."""
    from e2r_bench.run.plan import CONTROLS, instance_of, known_methods
    from e2r_metrics.base.errors import unknown

    known = known_methods()
    names = tuple(dict.fromkeys(instance_of(entry, known)[0] for entry in experiment.methods))
    if against is not None and against not in (*CONTROLS, *names):
        raise unknown("method of this run, for --against", against, (*CONTROLS, *names))
    return names


def _compare(
    store: "Store", experiment: "Experiment", names: tuple[str, ...], against: str | None
) -> None:
    """Print the paired statements of the methods that this call named."""
    from e2r_bench.console import print_contest
    from e2r_bench.run.services import open_services
    from e2r_bench.run.tasks import task_names
    from e2r_bench.studies.contest import Asked, contest
    from e2r_bench.studies.pairing import strangers
    from e2r_bench.studies.sides import Criteria
    from e2r_bench.terminal import print_line, print_note, stdout_console

    methods = tuple(name for name in names if not store.info.methods[name].control)
    lines = store.summary()
    if lines[(lines["status"] == "ok") & lines["method"].isin(methods)].empty:
        return
    _, session, _ = open_services(experiment, _unsaid)
    asked = Asked(methods, against, tasks=task_names(experiment.tasks))
    console = stdout_console()
    print_line(console, "")
    for line in (apart := strangers(store, asked.methods, against, asked.tasks)):
        print_note(console, line)
    if apart:
        return
    print_contest(console, contest({"": store}, asked, Criteria(session)))


def _unsaid(line: str) -> None:
    del line


def _settings(said: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """Return a file's settings with the flags that were given over them."""
    chosen, variants = flags.pop("options"), joined(flags.pop("variant"))
    tables = [row for path in flags.pop("tables") for row in _tables(path)]
    given = {key: value for key, value in flags.items() if value not in (None, ())}
    if tables:
        given["task"] = [*said.get("task", ()), *tables]
    if chosen:
        given["method"] = method_options(chosen, said.get("method"))
    if variants:
        given["variant"] = variants
    return said | given


def _tables(path: Path) -> list[Any]:
    """Return the tasks of a file that has nothing else."""
    from e2r_bench.run.config import read_toml

    said = read_toml(path)
    if list(said) != ["task"] or not isinstance(said["task"], list):
        raise UsageError(
            f"{path}: expected [[task]] tables alone, found {', '.join(said) or 'none'}"
        )
    return said["task"]
