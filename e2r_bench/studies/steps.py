"""Study of sampler steps with common noise: curves, distance to the longest schedule, the knee."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from e2r_bench.report.drawing import new_figure, series_colours
from e2r_bench.statistics.given import stated
from e2r_bench.statistics.knee import Settling, find_knee
from e2r_bench.statistics.margins import Margin, absolute, fixed_margins, known_margin, unmargined
from e2r_bench.statistics.paired import mean_estimate
from e2r_bench.statistics.results import Values, is_constant
from e2r_bench.store.store import Store
from e2r_bench.studies.measure import MeasuredArm, arm_of, measured_metrics, units_of
from e2r_bench.studies.writing import write_study
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class StepRow:
    """One line of the study: one step count under one metric.

    `gap` is the mean difference from the longest schedule, `gap_low` to `gap_high` its 95%
    interval, in the metric's unit; `to_longest` the RMS distance of the pictures themselves.
    """

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
    gap: float
    gap_low: float
    gap_high: float
    margin: float
    to_longest: float
    seconds: float | None
    settling: Settling
    knee: int | None
    knee_low: int
    knee_high: int
    words: str
    best: int


def step_rows(
    store: Store, seed: int, margins: Mapping[str, Margin] | None = None
) -> Iterator[StepRow]:
    """Yield a line per stepped method, task, per-image metric with a margin, and step count.

    Raises:
        UsageError: no method with steps, or fewer than three counts.
    """
    counts = sorted(store.info.steps)
    methods = [name for name, info in store.info.methods.items() if info.stepped]
    if not methods or len(counts) < 3:
        raise UsageError(
            f"{store.folder}: a study of steps needs a method with steps at three counts or more, "
            f"found {methods} at {counts}; run kontext_lora with --steps 1,4,8,28"
        )
    margins = stated(store.info.metrics.values(), margins or {})
    for method in methods:
        arms = [arm_of(store, method, seed, count) for count in counts]
        for task in store.tasks(method):
            away, seconds = _to_longest(arms, task), _seconds(store, method, task)
            for key, info in measured_metrics(store, task):
                margin = known_margin(key, margins)
                if info.per_image and margin is not None:
                    yield from _curve(_Curve(arms, task, key, absolute(margin), away, seconds))


def left_out(store: Store, margins: Mapping[str, Margin] | None = None) -> tuple[str, ...]:
    """Return why metrics of single pictures are in no line of a study: they have no margin."""
    known = stated(store.info.metrics.values(), margins or {})
    return tuple(
        f"{key}: {unmargined(key)}"
        for key, info in store.info.metrics.items()
        if info.per_image and info.missing is None and known_margin(key, known) is None
    )


@dataclass(frozen=True)
class _Curve:
    """One method on one task under one metric: its arms by steps, ascending, and what they cost."""

    arms: Sequence[MeasuredArm]
    task: str
    metric: str
    margin: float
    away: Sequence[float]
    seconds: Mapping[int, float]


def _curve(one: _Curve) -> Iterator[StepRow]:
    store, method = one.arms[0].store, one.arms[0].method
    columns = [arm.values(one.task, one.metric) for arm in one.arms]
    images = [image for image in store.images(one.task) if all(image in c for c in columns)]
    if not images:
        raise UsageError(f"{method} on {one.task}: no image has {one.metric} at every step count")
    values = np.array([[column[image] for column in columns] for image in images])
    scenes = units_of(store, one.task, images)
    counts = [arm.draw.steps for arm in one.arms]
    knee = find_knee(values, counts, scenes, one.margin)
    better = 1 if store.info.metrics[one.metric].higher_is_better else -1
    best = counts[int(np.argmax(better * values.mean(axis=0)))]
    for place, count in enumerate(counts):
        mean, low, high = _mean(values[:, place], scenes)
        gap = knee.to_longest[place]
        yield StepRow(
            method, one.arms[place].build, one.task, one.metric, count, gap.n, gap.scenes,
            mean, low, high, gap.value, gap.low, gap.high, knee.margin, one.away[place],
            one.seconds.get(count), knee.settling, knee.steps, knee.low, knee.high, knee.words,
            best,
        )  # fmt: skip


def _mean(values: Values, scenes: Sequence[str]) -> tuple[float, float | None, float | None]:
    """Return a mean with its interval; a constant has none."""
    if is_constant(values):
        return float(values.mean()), None, None
    made = mean_estimate(values, scenes)
    return made.value, made.low, made.high


def _to_longest(arms: Sequence[MeasuredArm], task: str) -> list[float]:
    """Return the root mean square distance of each count's pictures from the longest one's.

    Raises:
        UsageError: no image has a picture at every step count.
    """
    found = [arm.pictures(task) for arm in arms]
    images = [image for image in found[-1] if all(image in one for one in found)]
    if not images:
        raise UsageError(f"{arms[0].method} on {task}: no image has a picture at every step count")
    squares = np.zeros(len(arms))
    for image in images:
        pictures = [read_image(one[image]).astype(np.float64) for one in found]
        squares += [float(np.mean((picture - pictures[-1]) ** 2)) for picture in pictures]
    return np.sqrt(squares / len(images)).tolist()


def _seconds(store: Store, method: str, task: str) -> dict[int, float]:
    """Return step count -> mean seconds per image, as far as the run timed itself."""
    found: dict[int, list[float]] = {}
    for row in store.timings():
        if (row["method"], row["task"]) == (method, task):
            found.setdefault(row["steps"], []).append(row["seconds"])
    return {steps: float(np.mean(seconds)) for steps, seconds in found.items()}


def study_steps(
    store: Store, seed: int, margins: Mapping[str, Margin] | None = None
) -> Sequence[StepRow]:
    """Analyse the step counts of a run and write `<run>/studies/steps`."""
    rows, gone = list(step_rows(store, seed, margins)), left_out(store, margins)
    if not rows:
        raise UsageError(
            "study steps: expected a metric of single pictures with a margin, found none"
            + "".join(f"; {line}" for line in gone)
        )
    fixed = fixed_margins(
        [row.metric for row in rows], stated(store.info.metrics.values(), margins or {})
    )
    text = (
        f"Every image starts from the same noise at every step count (seed {seed}), protocol "
        f"{store.info.protocol}. `to_longest` is the RMS distance from the longest schedule "
        f"in 8-bit levels, `gap` the mean difference of the metric from the longest schedule, "
        "image by image, with its 95% interval. A metric is flat (within `margin` at every count), "
        "not settled, or has a knee: the smallest count from which on it differs from the longest "
        "by less than the margin. `best` is the count with the best mean: more steps may make a "
        "metric worse, and the knee only says where it settles. "
        f"Margins: {fixed.words}." + "".join(f" Left out: {line}." for line in gone)
    )
    write_study(
        store.folder / "studies" / "steps", "Sampler steps", text,
        [{**asdict(row), "margins_sha256": fixed.sha256} for row in rows],
        {"steps": _plot(rows)},
    )  # fmt: skip
    return rows


def _plot(rows: Sequence[StepRow]) -> "Figure":
    """Return a pane per metric: differences to the longest schedule, knee and best marked."""
    metrics = list(dict.fromkeys(row.metric for row in rows))
    names = list(dict.fromkeys(f"{row.method} {row.task}" for row in rows))
    colours = series_colours(names)
    figure = new_figure(3.4 * len(metrics), 3.2 + 0.08 * len(rows) / len(metrics))
    panes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(panes, metrics, strict=True):
        mine = [row for row in rows if row.metric == metric]
        axes.axhspan(-mine[0].margin, mine[0].margin, color="#888", alpha=0.12, lw=0)
        axes.axhline(0, color="#555", lw=0.8)
        for name in names:
            line = [row for row in mine if f"{row.method} {row.task}" == name]
            _curve_of(axes, line, name, colours[name])
        counts = sorted({row.steps for row in mine})
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.set_xlabel("sampler steps")
        axes.set_title(f"{metric}, minus that of {counts[-1]} steps", fontsize=8)
    lines, said = panes[0].get_legend_handles_labels()
    figure.legend(lines, said, loc="outside lower center", ncols=3, fontsize=7)
    figure.suptitle("grey: within the margin; ring: knee; star: best mean", fontsize=7)
    return figure


def _curve_of(axes: "Axes", line: Sequence[StepRow], name: str, colour: str) -> None:
    """Draw one method on one task: its gaps with their intervals, and what was found on them."""
    if not line:
        return
    x, y = [row.steps for row in line], [row.gap for row in line]
    axes.plot(x, y, marker="o", ms=3, label=name, color=colour)
    axes.fill_between(
        x, [r.gap_low for r in line], [r.gap_high for r in line], alpha=0.12, color=colour, lw=0
    )
    best, knee = line[0].best, line[0].knee
    axes.plot([best], [y[x.index(best)]], marker="*", ms=8, color=colour, ls="none")
    if knee is not None:
        at = [y[x.index(knee)]]
        axes.plot([knee], at, marker="o", ms=9, mfc="none", color=colour, ls="none")
