"""The main job: plan cells, restore, score, summarise; what is on disk already is kept."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from e2r_bench.config import Experiment
from e2r_bench.describe import open_folder
from e2r_bench.plan import Plan, make_plan
from e2r_bench.prepare import prepare
from e2r_bench.report.page import write_report
from e2r_bench.restore import Failures, Watch, restore_all
from e2r_bench.runs import Run
from e2r_bench.scoring import score_all
from e2r_bench.services import open_services
from e2r_bench.summary import write_summary


@dataclass(frozen=True)
class Outcome:
    """A finished run, and what failed inside it."""

    run: Run
    failures: Failures


def _unwatched(stage: str, done: int, total: int) -> None:
    del stage, done, total


def _unsaid(line: str) -> None:
    del line


def run_experiment(
    experiment: Experiment,
    passed: Mapping[str, Any] | None = None,
    watch: Watch = _unwatched,
    say: Callable[[str], None] = _unsaid,
) -> Outcome:
    """Run an experiment into its folder; the same call again resumes it.

    Args:
        experiment: what to do.
        passed: the settings that were given rather than defaulted, for the record.
        watch: told of progress.
        say: told the banner: what each method really runs with, what is not measured.

    Raises:
        UsageError, UsageError, UsageError: the user's mistakes; nothing was restored.
    """
    resolver, session, device = open_services(experiment, say)
    plan = make_plan(experiment, resolver, session)
    run = open_folder(plan, resolver.hashes, device, passed or {})
    for line in banner(plan):
        say(line)
    for pictures in plan.tasks:
        name = pictures.task.name
        for done, _ in enumerate(prepare(pictures, run.folder / "pairs" / name), 1):
            watch(f"prepare {name}", done, len(pictures.sources))
    failures = restore_all(plan, run, device, watch)
    score_all(plan, run, session, failures, watch)
    write_summary(run, session, watch)
    write_report(run)
    return Outcome(run, failures)


def banner(plan: Plan) -> Iterator[str]:
    """Yield what a reader must know before the numbers: builds, sets, metrics without weights."""
    for method in plan.methods:
        if method.build.miniature:
            yield (
                f"{method.spec.name}: runs with the MINIATURE {method.build.name}, our own small "
                "model; its numbers say nothing about the full one"
            )
    for pictures in plan.tasks:
        yield (
            f"{pictures.task.name}: {len(pictures.sources)} images of {pictures.dataset.name}, "
            f"{pictures.degradation()}; protocol {plan.protocol.describe()}"
        )
    for name, gone in plan.missing.items():
        yield f"{name}: not measured, {gone.reason}; to fetch: {gone.command}"
