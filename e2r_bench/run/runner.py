"""The main job: plan cells, restore, score, summarise; what is on disk already is kept."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2r_baselines.method import Compute
from e2r_bench.report.page import write_report
from e2r_bench.report.unmeasured import unplanned
from e2r_bench.run.config import Experiment
from e2r_bench.run.describe import open_folder
from e2r_bench.run.engine import Engine, make_executor
from e2r_bench.run.executor import Executor
from e2r_bench.run.plan import Catalog, Plan, instances_of, known_methods, make_plan
from e2r_bench.run.prepare import prepare
from e2r_bench.run.restore import Watch, announce, restore_all
from e2r_bench.run.scoring import asked_count, put_aside, score_all
from e2r_bench.run.services import open_services
from e2r_bench.run.serving import refuse_idle, unserved_tasks
from e2r_bench.run.shared import shared_lines, with_shared
from e2r_bench.run.summary import write_summary
from e2r_bench.run.tasks import task_named
from e2r_bench.store.cell import Cell
from e2r_bench.store.fitting import failures_of_run
from e2r_bench.store.info import NO_TRUTH
from e2r_bench.store.store import RUN_MARKS, Store, create_store
from e2r_metrics.base.locks import locked, refuse_other_folder

if TYPE_CHECKING:
    from e2r_metrics import Session

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """A finished run, and the pictures and numbers that failed inside it."""

    store: Store
    failures: Mapping[Cell, str]


_SERIAL = Engine()


def unwatched(stage: str, done: int, total: int) -> None:
    """Take no notice of progress."""
    del stage, done, total


def _unsaid(line: str) -> None:
    del line


def run_experiment(
    experiment: Experiment,
    passed: Mapping[str, Any] | None = None,
    watch: Watch = unwatched,
    say: Say = _unsaid,
    methods: Catalog | None = None,
    redo: bool = False,
    engine: Engine = _SERIAL,
) -> Outcome:
    """Run an experiment into its folder; the same call again resumes it.

    Args:
        experiment: what to do.
        passed: the settings that were given rather than defaulted, for the record.
        watch: told of progress.
        say: told the banner: what each method really runs with, what is not measured.
        methods: the catalog; None for ours and those of plugins.
        redo: make anew what stands on inputs that changed since, instead of refusing.
        engine: who restores.

    Raises:
        UsageError: the user's mistakes; nothing was restored.
    """
    # Before weights are fetched for it.
    refuse_other_folder(experiment.out, RUN_MARKS)
    resolver, session, device = open_services(experiment, say)
    refuse_idle_methods(experiment, methods)
    plan = make_plan(experiment, resolver, session, methods)
    with locked(experiment.out, RUN_MARKS):
        store = open_folder(plan, resolver.hashes, device, passed or {}, redo)
        compute = Compute(device, experiment.dtype, experiment.batch, experiment.tile)
        executor = make_executor(engine, plan, store, compute, methods)
        return _run(plan, store, session, executor, watch, say)


def refuse_idle_methods(experiment: Experiment, catalog: Catalog | None) -> None:
    """Refuse an experiment with a method that would do nothing; see `refuse_idle`."""
    tasks = [task_named(name, experiment.task) for name in dict.fromkeys(experiment.tasks)]
    for instance in instances_of(experiment, known_methods() if catalog is None else catalog):
        spec = instance.spec()
        refuse_idle(instance.name, spec, unserved_tasks(spec, tasks), len(tasks))


def _run(
    plan: Plan, store: Store, session: "Session", executor: Executor, watch: Watch, say: Say
) -> Outcome:
    for line in banner(plan):
        say(line)
    for line in put_aside(store):
        say(line)
    _announce(plan, store, watch)
    store = _prepared(plan, store, watch)
    if plan.experiment.shard is None:  # of some of the pictures little could be said
        store = with_shared(store)
        for line in shared_lines(store.info):
            say(line)
    restore_all(plan, store, executor, watch)
    score_all(plan, store, session, watch)
    if plan.experiment.shard is None:  # a number of some of the pictures is none of the run
        write_summary(store, session, watch)
        write_report(store)
    return Outcome(store, failures_of_run(store))


def _announce(plan: Plan, store: Store, watch: Watch) -> None:
    """Say what is ahead, so that the time left is that of all of it."""
    for pictures in plan.tasks:
        watch(f"prepare {pictures.task.name}", 0, len(pictures.sources))
    announce(plan, store, watch)
    watch("score", 0, asked_count(plan, store))


def _prepared(plan: Plan, store: Store, watch: Watch) -> Store:
    """Write the pairs of every task; sources that cannot be used are recorded in run.json."""
    tasks = dict(store.info.tasks)
    for pictures in plan.tasks:
        name, unreadable = pictures.task.name, dict[str, str]()
        pairs = prepare(pictures, store.folder / "pairs" / name)
        for done, (image, error) in enumerate(pairs, 1):
            if error is not None:
                unreadable[image] = str(error)
            watch(f"prepare {name}", done, len(pictures.sources))
        tasks[name] = tasks[name].model_copy(update={"unreadable": unreadable})
    if tasks == dict(store.info.tasks):
        return store
    return create_store(store.folder, store.info.model_copy(update={"tasks": tasks}))


def banner(plan: Plan) -> Iterator[str]:
    """Yield what a reader must know before the numbers: builds, sets, metrics without weights."""
    for method in plan.methods:
        if method.build.miniature:
            yield (
                f"{method.name}: runs with the MINIATURE {method.build.title}, our own small "
                "model; its numbers say nothing about the full one"
            )
    yield from unplanned({method.name: method.unserved for method in plan.methods})
    for pictures in plan.tasks:
        yield (
            f"{pictures.task.name}: {len(pictures.sources)} images of {pictures.dataset.name}, "
            f"{pictures.degradation()}; protocol {plan.protocol.describe()}"
        )
    untold = [name for name, gone in plan.missing.items() if gone.reason == NO_TRUTH]
    if not plan.truth:
        yield (
            f"{NO_TRUTH}: fidelity, and what was invented or lost, cannot be measured"
            f"{'; not measured: ' if untold else ''}{', '.join(untold)}"
        )
    for name, gone in plan.missing.items():
        if name not in untold:
            yield f"{name}: not measured, {gone.words}"
