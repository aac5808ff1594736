"""`e2r-bench study`: seeds, steps, pairs and prompts."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from e2r_bench.runs import Run
    from e2r_bench.studies.grids import Grid

_METRICS = "psnr,lpips,fd_effnet,mmd_effnet"


@click.group("study", short_help="Seeds, steps, pairs, prompts: does a number hold?")
def command() -> None:
    """Does a number hold over seeds, sampler steps, training pairs and prompts?"""


def _shared(function: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--data", default="mini", help="'mini', a folder, or TASK=FOLDER,..."),
        click.option("--tasks", default="denoise25,derain,dehaze", show_default=True),
        click.option("--metrics", default=_METRICS, show_default=True),
        click.option("--limit", type=click.IntRange(min=3), help="The first so many images."),
        click.option("--backbone", default="auto", help="auto, kontext-nano, hub id or folder."),
        click.option("--device", default="auto", help="A torch device."),
        click.option("--offline", is_flag=True, help="Open no connection."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _trained(function: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True,
                     help="Of each few-shot training; the profiles' own: 20, miniature 60."),
        click.option("--unit", type=click.Choice(["scene", "image"]), default="scene"),
        click.option("--margin", type=float, default=0.05, show_default=True,
                     help="What counts as no difference, as a share."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def _numbers(text: str, name: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdigit() for part in parts):
        raise click.BadParameter(
            f"expected whole numbers such as 1,4,8, found {text!r}", None, None, name
        )
    return [int(part) for part in parts]


def _run(folder: Path | None, asked: dict[str, Any], **more: Any) -> "Run":
    """Open the run that was given, or make the one that was asked for."""
    from e2r_bench.config import make_experiment
    from e2r_bench.runner import run_experiment
    from e2r_bench.runs import open_run

    if folder is not None:
        return open_run(folder)
    settings = _settings(asked) | more
    return run_experiment(
        make_experiment(settings, "the command line"), settings, say=click.echo
    ).run


def _settings(asked: dict[str, Any]) -> dict[str, Any]:
    listed = {key: asked[key].split(",") for key in ("tasks", "metrics", "data")}
    plain = {key: asked[key] for key in ("limit", "backbone", "device", "offline", "out")}
    return {**plain, **listed}


@command.command("seeds")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--methods", default="kontext_lora", show_default=True)
@click.option("--seeds", default="0,1,2,3", show_default=True)
@click.option("--steps", default=28, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/seeds"))
@_shared
def seeds_command(run: Path | None, methods: str, seeds: str, steps: int, **asked: Any) -> None:
    """Split a metric's variance into image, seed and both; say how many seeds are needed.

    RUN is a finished run folder with several seeds; without it one is made in --out.
    """
    from e2r_bench.studies.seeds import study_seeds

    more = {"methods": methods.split(","), "seeds": _numbers(seeds, "--seeds"), "steps": [steps]}
    made = _run(run, asked, **more)
    for row in study_seeds(made, steps):
        click.echo(
            f"{row.method} {row.task} {row.metric}: mean {row.mean:.4g}, n {row.n}, seeds "
            f"{row.seeds}, spread of the mean over seeds {row.spread_of_mean:.3g}, of one image "
            f"{row.per_image_spread:.3g}, seeds for +-{row.half_width:.3g}: {row.seeds_needed}"
        )
    click.echo(f"written: {made.folder / 'studies' / 'seeds'}")


@command.command("steps")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option("--methods", default="kontext_lora", show_default=True)
@click.option("--steps", default="1,2,4,8,16,28,50", show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/steps"))
@_shared
def steps_command(run: Path | None, methods: str, steps: str, seed: int, **asked: Any) -> None:
    """Draw each metric against the number of sampler steps, with common noise; find the knee.

    RUN is a finished run folder with several step counts; without it one is made in --out.
    """
    from e2r_bench.studies.steps import study_steps

    more = {"methods": methods.split(","), "seeds": [seed], "steps": _numbers(steps, "--steps")}
    made = _run(run, asked, **more)
    rows = study_steps(made, seed)
    for name in dict.fromkeys((row.method, row.task, row.metric) for row in rows):
        row = next(r for r in rows if (r.method, r.task, r.metric) == name)
        click.echo(
            f"{' '.join(name)}: knee at {row.knee} steps (95% {row.knee_low} to {row.knee_high}), "
            f"best at {row.best}, n {row.n}, {row.scenes} scenes, {row.build}"
        )
    click.echo(f"written: {made.folder / 'studies' / 'steps'}")


@command.command("pairs")
@click.option("--pairs", default="16,32,64,128", show_default=True)
@click.option("--training-seeds", default="42,43", show_default=True)
@click.option("--specific/--unified", default=False, help="Train task-specific adapters too.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/pairs"))
@_shared
@_trained
def pairs_command(pairs: str, training_seeds: str, specific: bool, **asked: Any) -> None:
    """Train on 16 to 128 pairs and test whether fewer are as good."""
    from e2r_bench.studies.grids import study_pairs

    seeds = _numbers(training_seeds, "--training-seeds")
    _say_rows(study_pairs(_grid(asked), _numbers(pairs, "--pairs"), seeds, specific))
    click.echo(f"written: {asked['out'] / 'studies' / 'pairs'}")


@command.command("prompts")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/prompts"))
@_shared
@_trained
def prompts_command(**asked: Any) -> None:
    """Compare the right prompt with a wrong one and with none."""
    from e2r_bench.studies.grids import study_prompts

    _say_rows(study_prompts(_grid(asked)))
    click.echo(f"written: {asked['out'] / 'studies' / 'prompts'}")


def _grid(asked: dict[str, Any]) -> "Grid":
    from e2r_bench.config import make_experiment
    from e2r_bench.studies.grids import Grid

    settings = _settings(asked) | {"methods": ["kontext_lora"]}
    base = make_experiment(settings, "the command line")
    return Grid(base, asked["epochs"], asked["unit"], asked["margin"], click.echo)


def _say_rows(rows: Any) -> None:
    for row in rows:
        names = f"{row['task']} {row['metric']}: {row['first']} against {row['second']}"
        numbers = row["note"] if row["p"] is None else (
            f"{row['effect']:+.4g} ({row['low']:.4g} to {row['high']:.4g}), p {row['p']:.3g}, "
            f"p_equal {row['p_equal']:.3g}, n {row['n']}, {row['build']}"
        )  # fmt: skip
        click.echo(f"{names}: {row['verdict']}; {numbers}")
