"""Study of sampler steps with common noise: curves, distance to the longest schedule, the knee."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from e2r_baselines.method import Draw
from e2r_bench.runs import Run
from e2r_bench.statistics.paired import mean_estimate
from e2r_bench.statistics.results import Values, scene_index
from e2r_bench.studies.measure import Cell, scenes_of, values_of
from e2r_bench.studies.writing import new_figure, write_study
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COUNTS = (1, 2, 4, 8, 16, 28, 50)
SHARE = 0.05
_RESAMPLES = 500


@dataclass(frozen=True)
class Knee:
    """Where a metric settles.

    Attributes:
        steps: the smallest count from which the mean stays within `SHARE` of the whole change from
            the longest schedule's, whether more steps make it better or worse.
        low, high: 95% interval over resampled scenes.
    """

    steps: int
    low: int
    high: int


def find_knee(
    values: Values,
    counts: Sequence[int],
    scenes: Sequence[str],
    generator: np.random.Generator,
    share: float = SHARE,
) -> Knee:
    """Return the knee of per-image curves.

    Args:
        values: (images, counts), of one metric.
        counts: numbers of steps, ascending.
        scenes: the scene of each image; whole scenes are resampled. A mean has no duplicates'
            bias, so the bootstrap is valid here, unlike for a Frechet distance.
        generator: draws the resamples.
        share: what counts as the end of the gain.

    Raises:
        UsageError: fewer than three counts, unordered counts, one scene, or a flat curve.
    """
    if len(counts) < 3 or list(counts) != sorted(set(counts)):
        raise UsageError(f"a knee needs three or more ascending step counts, found {list(counts)}")
    if values.shape != (len(scenes), len(counts)) or not np.isfinite(values).all():
        raise UsageError(f"expected finite (images, counts) values, found shape {values.shape}")
    index = scene_index(scenes, len(values))
    total = int(index.max()) + 1
    sums = np.array([values[index == k].sum(axis=0) for k in range(total)])
    sizes = np.bincount(index)
    curve = values.mean(axis=0)
    if np.ptp(curve) <= 1e-12 * max(1.0, float(np.abs(curve).max())):
        raise UsageError("the curve is flat: steps change nothing, so there is no knee")
    drawn = generator.integers(0, total, (_RESAMPLES, total))
    curves = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)[:, None]
    places = [_place(one, share) for one in curves]
    low, high = np.quantile(places, [0.025, 0.975], method="nearest")
    return Knee(counts[_place(curve, share)], counts[int(low)], counts[int(high)])


def _place(curve: Values, share: float) -> int:
    gap = np.abs(curve - curve[-1])
    outside = np.flatnonzero(gap > share * gap.max())
    return int(outside[-1]) + 1 if len(outside) else 0


@dataclass(frozen=True)
class StepRow:
    """One line of the study: one step count under one metric."""

    method: str
    build: str
    task: str
    metric: str
    steps: int
    n: int
    scenes: int
    value: float
    low: float | None
    high: float | None
    to_longest: float
    seconds: float | None
    knee: int | None
    knee_low: int | None
    knee_high: int | None
    best: int


def step_rows(run: Run, seed: int) -> Iterator[StepRow]:
    """Yield a line per stepped method, task, per-image metric and step count.

    Raises:
        UsageError: no method with steps, or fewer than three counts.
    """
    methods = [name for name, info in run.info.methods.items() if info.stepped]
    if not methods or len(run.info.steps) < 3:
        raise UsageError(
            f"{run.folder}: a study of steps needs a method with steps at three counts or more, "
            f"found {methods} at {list(run.info.steps)}; run kontext_lora with --steps 1,4,8,28"
        )
    for method in methods:
        for task in run.info.tasks:
            away = _to_longest(run, method, task, seed)
            for key, info in run.info.metrics.items():
                chosen = run.info.tasks[task].variants.get(info.name) == info.variant
                if info.per_image and info.missing is None and chosen:
                    yield from _curve(run, method, task, key, seed, away)


def _curve(
    run: Run, method: str, task: str, metric: str, seed: int, away: Sequence[float]
) -> Iterator[StepRow]:
    counts = sorted(run.info.steps)
    info = run.info.methods[method]
    cells = [Cell(run, method, Draw(seed if info.stochastic else 0, count)) for count in counts]
    columns = [values_of(cell, task, metric) for cell in cells]
    images = [image for image in run.images(task) if all(image in c for c in columns)]
    if not images:
        raise UsageError(f"{method} on {task}: no image has {metric} at every step count")
    values = np.array([[column[image] for column in columns] for image in images])
    scenes = scenes_of(run, task, images)
    generator = rng_for(seed, f"{method} {task} {metric}", "knee")
    knee = find_knee(values, counts, scenes, generator)
    better = 1 if run.info.metrics[metric].higher_is_better else -1
    best = counts[int(np.argmax(better * values.mean(axis=0)))]
    seconds = _seconds(run, method, task)
    for place, count in enumerate(counts):
        made = mean_estimate(values[:, place], scenes)
        yield StepRow(
            method, cells[place].build, task, metric, count, made.n, made.scenes, made.value,
            made.low, made.high, away[place], seconds.get(count), knee.steps, knee.low, knee.high,
            best,
        )  # fmt: skip


def _to_longest(run: Run, method: str, task: str, seed: int) -> list[float]:
    """Return the root mean square distance of each count's pictures from the longest one's."""
    counts = sorted(run.info.steps)
    own = seed if run.info.methods[method].stochastic else 0
    squares = np.zeros(len(counts))
    images = run.images(task)
    for image in images:
        paths = [run.restored_path(method, task, Draw(own, count), image) for count in counts]
        pictures = [read_image(path).astype(np.float64) for path in paths]
        squares += [float(np.mean((picture - pictures[-1]) ** 2)) for picture in pictures]
    return np.sqrt(squares / len(images)).tolist()


def _seconds(run: Run, method: str, task: str) -> dict[int, float]:
    """Return step count -> mean seconds per image, as far as the run timed itself."""
    path = run.folder / "timing.jsonl"
    if not path.is_file():
        return {}
    found: dict[int, list[float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if (row["method"], row["task"]) == (method, task):
            found.setdefault(row["steps"], []).append(row["seconds"])
    return {steps: float(np.mean(seconds)) for steps, seconds in found.items()}


def study_steps(run: Run, seed: int) -> Sequence[StepRow]:
    """Analyse the step counts of a run and write `<run>/studies/steps`."""
    rows = list(step_rows(run, seed))
    text = (
        f"Every image starts from the same noise at every step count (seed {seed}), protocol "
        f"{run.info.protocol}. `to_longest` is the RMS distance from the longest schedule "
        f"in 8-bit levels. The knee is the smallest count from which the mean stays within "
        f"{SHARE:.0%} of the whole change; its interval resamples scenes. `best` is the count with "
        "the best mean: where it lies below the knee, more steps make this metric worse, and the "
        "knee only says where it settles."
    )
    write_study(
        run.folder / "studies" / "steps", "Sampler steps", text, [asdict(row) for row in rows],
        {"steps": _plot(rows)},
    )  # fmt: skip
    return rows


def _plot(rows: Sequence[StepRow]) -> "Figure":
    metrics = list(dict.fromkeys(row.metric for row in rows))
    figure = new_figure(3.4 * len(metrics), 3.2 + 0.08 * len(rows) / len(metrics))
    panes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panes, metrics, strict=True):
        mine = [row for row in rows if row.metric == metric]
        for name in dict.fromkeys((row.method, row.task) for row in mine):
            line = [row for row in mine if (row.method, row.task) == name]
            x = [row.steps for row in line]
            (drawn,) = axes.plot(
                x, [row.value for row in line], marker="o", ms=3, label=" ".join(name)
            )
            low = [row.value if row.low is None else row.low for row in line]
            high = [row.value if row.high is None else row.high for row in line]
            axes.fill_between(x, low, high, alpha=0.12, color=drawn.get_color())
        axes.set_xscale("log", base=2)
        axes.set_xticks(
            sorted({row.steps for row in mine}),
            [str(s) for s in sorted({row.steps for row in mine})],
        )
        axes.minorticks_off()
        axes.set_xlabel("sampler steps")
        axes.set_title(metric, fontsize=9)
    lines, names = panes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=3, fontsize=7)
    return figure
