"""From the flags of `claims` and `study pairs|prompts` to what runs and judges their arms."""

from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands.types import method_options

if TYPE_CHECKING:
    from e2r_bench.arms.running import ArmRunner
    from e2r_bench.run.config import Experiment
    from e2r_bench.studies.compare import Criteria
    from e2r_bench.studies.measure import Unit

_PLAIN = ("data", "tasks", "metrics", "limit", "device", "offline", "weights", "out")


def settings_of(asked: dict[str, Any]) -> dict[str, Any]:
    """Return the experiment's settings among the flags of a study."""
    return {key: asked[key] for key in _PLAIN} | {"method": method_options(asked["options"])}


def runner_of(asked: dict[str, Any]) -> "ArmRunner":
    """Return what trains and runs the arms; the backbone is resolved here, once.

    Raises:
        UsageError: settings that make no experiment, or nothing to train on.
    """
    from e2r_bench.arms.running import ArmRunner
    from e2r_bench.arms.training import plan_training
    from e2r_bench.run.config import make_experiment
    from e2r_metrics.catalog import resolve

    options = method_options(asked["options"])
    if "backbone" in options:
        raise click.UsageError("--set backbone=...: arms are trained too; give --backbone")
    settings = settings_of(asked) | {"methods": ["kontext_lora"]}
    base = make_experiment(settings, "the command line")
    # A name that nobody knows is said before anything is trained.
    resolve(base.metrics, base.profile, base.variant)
    training = plan_training(asked["backbone"], asked["train_data"], base, asked["epochs"])
    return ArmRunner(base, training, click.echo)


def criteria_of(base: "Experiment", unit: "Unit", permutations: int) -> "Criteria":
    """Return how arms are compared."""
    from e2r_bench.run.services import open_services
    from e2r_bench.studies.compare import Criteria

    _, session, _ = open_services(base, click.echo)
    return Criteria(session, unit, permutations)


def say_failures(runner: "ArmRunner") -> int:
    """Name the pictures that failed; return the exit code."""
    for cell, reason in runner.failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return 1 if runner.failures else 0
