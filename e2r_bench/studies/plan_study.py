"""From tools and mixtures to a page: which order, which tool, and is a plan worth its calls?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from e2r_baselines.method import Compute, draws_of
from e2r_bench.report.drawing import new_figure
from e2r_bench.run.config import Experiment
from e2r_bench.run.data import Source, read_clean
from e2r_bench.run.plan import Plan, make_plan
from e2r_bench.run.prepare import TaskSet, crop, degraded_pixels, to_eight_bit, to_float
from e2r_bench.run.services import open_services
from e2r_bench.statistics.given import stated
from e2r_bench.statistics.margins import absolute, margin_of
from e2r_bench.statistics.verdict import Verdict
from e2r_bench.studies.planner import Path, Toolbox, Tree, check_parts, task_of
from e2r_bench.studies.planner_rules import Ground, order_effects, policies, records
from e2r_bench.studies.writing import markdown_table, refuse_other_page, write_study
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import EightBit
from e2r_metrics.catalog import Metric

Say = Callable[[str], None]
_PLOT = "plans"


@dataclass(frozen=True)
class Planned:
    """What came of a study: a row a policy and task, and the verdicts on order."""

    rows: Sequence[Mapping[str, Any]]
    effects: Sequence[Verdict]


def parse_tools(said: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return degradation -> tools, from "noise=ffdnet", "noise=nlm", ...

    Raises:
        UsageError: an entry that is not DEGRADATION=METHOD.
    """
    found: dict[str, tuple[str, ...]] = {}
    for entry in said:
        part, equals, tool = entry.partition("=")
        if not (part and equals and tool):
            raise UsageError(f"--tools: expected DEGRADATION=METHOD by comma, found {entry!r}")
        found[part] = (*found.get(part, ()), tool)
    return found


def study_plan(
    experiment: Experiment, tools: Mapping[str, Sequence[str]], folder: FilePath, say: Say
) -> Planned:
    """Run every plan on every picture and write the page.

    Args:
        experiment: tasks (mixtures), pictures, one metric of single pictures, and the tools as its
            methods.
        tools: degradation -> tools, the one that fixed rules take first; "all": for one call.
        folder: where README.md, results.csv and the plot go.
        say: told of progress.

    Raises:
        UsageError: a task that is no mixture or has one picture, a degradation without a tool, or
            a metric of sets.
    """
    refuse_other_page(folder, _PLOT)
    resolver, session, device = open_services(experiment, say)
    plan = make_plan(experiment, resolver, session)
    own = {part: names for part, names in tools.items() if part != "all"}
    for pictures in plan.tasks:
        check_parts(pictures.task, own)
        _check_pictures(pictures)
    metric = _metric(plan)
    box = _opened(plan, own, tools.get("all", ()), Compute(device, experiment.dtype))
    rows: list[dict[str, Any]] = []
    grounds: list[Ground] = []
    for pictures in plan.tasks:
        cleans: dict[str, EightBit] = {}
        trees = [_tree(pictures, source, box, cleans) for source in pictures.sources]

        def score(tree: Tree, path: Path, cleans: dict[str, EightBit] = cleans) -> float:
            done = to_eight_bit(tree.at(path))
            true = metric.against == "clean"
            beside = cleans[tree.name] if true else to_eight_bit(tree.at(()))
            return float(session.per_image(metric, [done], [beside])[0])

        scenes = [source.scene for source in pictures.sources]
        margin = absolute(margin_of(metric.id, stated((metric,), {})))
        grounds.append(Ground(pictures.task, trees, scenes, score, metric, margin))
        rows += records(grounds[-1], policies(grounds[-1]))
        say(f"{pictures.task.name}: {len(trees)} pictures, {len(rows)} rows so far")
    made = Planned(rows, order_effects(grounds))
    _write(plan, made, own, folder)
    return made


def _check_pictures(pictures: TaskSet) -> None:
    """Refuse what no order could be judged on, before every plan is run on it."""
    if len(pictures.sources) < 2:
        raise UsageError(
            f"{pictures.task.name}: expected two pictures or more, found {len(pictures.sources)}"
        )


def _metric(plan: Plan) -> Metric:
    found = {metric.id: metric for row in plan.metrics.values() for metric in row}
    if len(found) != 1 or plan.missing or not next(iter(found.values())).per_image:
        reasons = "; ".join(gone.reason for gone in plan.missing.values())
        raise UsageError(
            f"--metric: expected one metric of single pictures, found {', '.join(found)}"
            f"{f' ({reasons})' if reasons else ''}"
        )
    return next(iter(found.values()))


def _opened(
    plan: Plan, tools: Mapping[str, Sequence[str]], single: Sequence[str], compute: Compute
) -> Toolbox:
    asked = {name for names in (*tools.values(), single) for name in names}
    chosen = {one.name: one for one in plan.methods if one.name in asked}
    mixtures = dict.fromkeys((pictures.task.kind for pictures in plan.tasks), single)
    for part, names in {**tools, **mixtures}.items():
        for name in names:
            why = chosen[name].spec.unserved(task_of(part))
            if why is not None:
                raise UsageError(f"--tools: expected one that undoes {part}, found {name}: {why}")
    return Toolbox(
        tools, single,
        {name: one.spec.open(one.build, one.files, compute) for name, one in chosen.items()},
        {n: draws_of(one.spec, (0,), plan.experiment.steps[:1])[0] for n, one in chosen.items()},
    )  # fmt: skip


def _tree(pictures: TaskSet, source: Source, box: Toolbox, cleans: dict[str, EightBit]) -> Tree:
    cleans[source.id] = crop(read_clean(source, pictures.reading), pictures.protocol)
    return Tree(source.id, to_float(to_eight_bit(degraded_pixels(pictures, source))), box)


def _write(plan: Plan, made: Planned, tools: Mapping[str, Sequence[str]], folder: FilePath) -> None:
    names = ", ".join(f"{part} by {' or '.join(found)}" for part, found in tools.items())
    builds = ", ".join(f"{one.name}: {one.build.title}" for one in plan.methods)
    small = [one.build.title for one in plan.methods if one.build.miniature]
    data = "; ".join(f"{t.task.name}: {len(t.sources)} of {t.dataset.name}" for t in plan.tasks)
    says = "\n".join(f"- {t.task.name}: {t.degradation()}" for t in plan.tasks)
    text = "\n\n".join([
        f"Tools: {names}; the first is the one that fixed rules and the blind planner take. None "
        f"is told the strength. {builds}. Protocol {plan.protocol.describe()}; {data}.",
        says,
        "gain: over the best single call (the first row of a task, chosen on these pictures); "
        "regret: to the oracle, which knows the truth and takes each picture's best order and "
        "tools. Intervals: 95%, scenes as the units. seconds: a picture, one machine, in memory. "
        "The oracle pays for every path; what begins alike is run once.",
        "### Does the order matter?\n\nFirst minus second, first tools; all orders judged "
        f"together (Holm).\n\n{markdown_table([_effect(one) for one in made.effects])}",
        *([f"Miniatures, never the full models: {', '.join(small)}."] if small else []),
    ])  # fmt: skip
    write_study(folder, "Plans of several steps", text, made.rows, {_PLOT: _figure(made)})


def _effect(one: Verdict) -> dict[str, Any]:
    return {
        "order": one.name, "difference": one.effect, "low": one.low, "high": one.high,
        "verdict": one.label, "p_holm": one.holm, "n": one.n, "scenes": one.scenes,
        "note": "; ".join(one.notes),
    }  # fmt: skip


def _figure(made: Planned) -> Any:
    """Draw the gain of each policy with its interval, a panel a task."""
    tasks = list(dict.fromkeys(row["task"] for row in made.rows))
    figure = new_figure(7, 2.6 * len(tasks))
    for place, task in enumerate(tasks, 1):
        here = [row for row in made.rows if row["task"] == task][::-1]
        axes = figure.add_subplot(len(tasks), 1, place)
        for at, row in enumerate(here):
            low, high = row["gain_low"], row["gain_high"]
            axes.plot(row["gain"], at, "o", color="C0", ms=4)
            if low is not None:
                axes.plot([low, high], [at, at], color="C0", lw=1)
        axes.axvline(0, color="0.6", lw=0.8)
        axes.set_yticks(range(len(here)), [row["policy"] for row in here], fontsize=7)
        axes.set_title(f"{task}: gain over the best single call, {here[0]['metric']}", fontsize=9)
    return figure
