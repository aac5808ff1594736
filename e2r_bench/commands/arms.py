"""From the flags of `claims` and `study pairs|prompts` to what runs and judges their arms."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands.types import method_options

if TYPE_CHECKING:
    from e2r_bench.api.arm_studies import Taught
    from e2r_bench.api.studies import Study
    from e2r_bench.arms.repeats import Repeats
    from e2r_bench.arms.running import ArmRunner
    from e2r_bench.run.config import Experiment
    from e2r_bench.statistics.margins import Margin
    from e2r_bench.store.cell import Cell
    from e2r_bench.studies.sides import Criteria

_PLAIN = (
    "data",
    "tasks",
    "metrics",
    "crop",
    "scenes",
    "limit",
    "device",
    "offline",
    "weights",
    "out",
)


def settings_of(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the experiment's settings among the flags of a study."""
    return {key: asked[key] for key in _PLAIN} | {"method": method_options(asked["options"])}


def taught_of(asked: dict[str, Any]) -> "Taught":
    """Return how arms are trained, repeated and judged, from the flags of `options.trained`."""
    from e2r_bench.api.arm_studies import Taught
    from e2r_bench.commands.types import flat

    return Taught(
        asked["backbone"], asked["train_data"], asked["drop_overlap"], asked["epochs"],
        asked["training_seeds"] or (), asked["seeds"] or (), asked["unit"],
        flat(asked.get("margins", ())),
    )  # fmt: skip


def base_of(asked: dict[str, Any]) -> "Experiment":
    """Return what arms are run on; their backbone is none of a method's options."""
    from e2r_bench.run.config import make_experiment

    settings = settings_of(asked) | {"methods": ["kontext_lora"]}
    if "backbone" in settings["method"]:
        raise click.UsageError("--set backbone=...: arms are trained too; give --backbone")
    return make_experiment(settings, "the command line")


def runner_of(asked: dict[str, Any]) -> "ArmRunner":
    """Return what trains and runs the arms; the backbone is resolved here, once.

    Raises:
        UsageError: settings that make no experiment, or nothing to train on.
    """
    from e2r_bench.api.arm_studies import open_runner

    return open_runner(base_of(asked), taught_of(asked), click.echo)


def criteria_of(
    base: "Experiment", asked: dict[str, Any], permutations: int, margins: "Mapping[str, Margin]"
) -> "Criteria":
    """Return how arms are compared; on `--dry-run` with a session that fetches nothing."""
    from e2r_bench.api import arm_studies

    return arm_studies.criteria_of(
        base, asked["unit"], permutations, margins, click.echo, asked["dry_run"]
    )


def repeats_of(asked: dict[str, Any]) -> "Repeats":
    """Return `--training-seeds` and `--seeds`."""
    from e2r_bench.arms.repeats import Repeats

    return Repeats(tuple(asked["training_seeds"] or ()), tuple(asked["seeds"] or ()))


def finish(runner: "ArmRunner") -> int:
    """Write the arms' reports again, with what was judged; name the pictures that failed.

    Returns:
        The exit code.
    """
    from e2r_bench.api import arm_studies

    arm_studies.finish(runner)
    return _failed(runner.failures)


def told(study: "Study") -> int:
    """Print what a study found and where it is; name the pictures that failed.

    Returns:
        The exit code.
    """
    for line in study.lines:
        click.echo(line)
    click.echo(f"written: {study.folder}")
    return _failed(study.failures)


def _failed(failures: "Mapping[Cell, str]") -> int:
    for cell, reason in failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return 1 if failures else 0
