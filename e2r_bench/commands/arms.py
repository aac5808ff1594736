"""From the flags of `claims` and `study pairs|prompts` to what runs and judges their arms."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands.types import method_options

if TYPE_CHECKING:
    from e2r_bench.arms.repeats import Repeats
    from e2r_bench.arms.running import ArmRunner
    from e2r_bench.run.config import Experiment
    from e2r_bench.statistics.margins import Margin
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
    training = plan_training(
        asked["backbone"], asked["train_data"], base, asked["epochs"], asked["drop_overlap"]
    )
    return ArmRunner(base, training, click.echo)


def criteria_of(
    base: "Experiment", asked: dict[str, Any], permutations: int, margins: "Mapping[str, Margin]"
) -> "Criteria":
    """Return how arms are compared; on `--dry-run` with a session that fetches nothing."""
    from e2r_bench.run.dry import pretending_session
    from e2r_bench.run.services import open_services
    from e2r_bench.studies.sides import Criteria

    if asked["dry_run"]:
        session = pretending_session(base)
    else:
        _, session, _ = open_services(base, click.echo)
    return Criteria(session, asked["unit"], permutations, margins)


def margins_of(given: "Sequence[Mapping[str, float]]") -> "dict[str, Margin]":
    """Return `--margin` in each metric's own unit.

    Raises:
        UsageError: a metric that no margin is known of.
    """
    from e2r_bench.statistics.margins import given_margins

    return given_margins({name: value for one in given for name, value in one.items()})


def repeats_of(asked: dict[str, Any]) -> "Repeats":
    """Return `--training-seeds` and `--seeds`."""
    from e2r_bench.arms.repeats import Repeats

    return Repeats(tuple(asked["training_seeds"] or ()), tuple(asked["seeds"] or ()))


def finish(runner: "ArmRunner") -> int:
    """Write the arms' reports again, with what was judged; name the pictures that failed.

    Returns:
        The exit code.
    """
    from e2r_bench.report.page import write_report
    from e2r_bench.store.store import open_store

    for found in sorted(runner.base.out.glob("runs/*/report.html")):
        write_report(open_store(found.parent))
    for cell, reason in runner.failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return 1 if runner.failures else 0
