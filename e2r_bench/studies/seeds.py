"""Study of seeds: whose noise is it, the image's, the seed's, or that of both together?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from e2r_baselines.method import Draw
from e2r_bench.report.drawing import new_figure, series_colours
from e2r_bench.run.plan import CONTROLS
from e2r_bench.statistics.components import SeedsNeeded, components, seeds_needed
from e2r_bench.statistics.given import stated
from e2r_bench.statistics.margins import (
    Margin,
    absolute,
    known_margin,
    known_margins,
    margin_of,
    unmargined,
)
from e2r_bench.statistics.results import Values, is_constant
from e2r_bench.store.store import Store
from e2r_bench.studies.measure import MeasuredArm, arm_of, measured_metrics, summary_lines
from e2r_bench.studies.writing import write_study
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SeedRow:
    """One line of the study.

    `seeds_low` to `seeds_high` is the 95% interval of the number of seeds that bring the mean to
    +- `half_width`, `seeds_enough` the number to plan with; all None where the seeds at hand tell
    no spread, or for more than a million.
    """

    method: str
    build: str
    task: str
    metric: str
    n: int
    seeds: int
    mean: float
    image_variance: float
    seed_variance: float
    interaction_variance: float
    per_image_spread: float
    spread_of_mean: float
    half_width: float
    seeds_low: int | None
    seeds_high: int | None
    seeds_enough: int | None
    words: str
    note: str = ""


def seed_rows(
    store: Store,
    steps: int,
    margins: Mapping[str, Margin] | None = None,
    seeds: Sequence[int] | None = None,
) -> Iterator[SeedRow]:
    """Yield a line per stochastic method, task and metric.

    Args:
        store: a run with at least two seeds.
        steps: the number of sampler steps to look at.
        margins: those that replace the metrics' own; half a margin is the half-width asked for.
        seeds: of the run's; None for all.

    Raises:
        UsageError: one seed, or no method whose result depends on the seed.
    """
    methods = [name for name, info in store.info.methods.items() if info.stochastic]
    if not methods:
        raise UsageError(
            f"{store.folder}: expected a method whose results depend on a seed, found none; "
            "run kontext_lora"
        )
    lines = cache(lambda: summary_lines(store))
    margins = stated(store.info.metrics.values(), margins or {})
    for method in methods:
        arms = [arm_of(store, method, seed, steps) for seed in seeds or store.info.seeds]
        for task in store.tasks(method):
            for key, info in measured_metrics(store, task):
                if info.per_image:
                    margin = known_margin(key, margins)
                    half = _NAN if margin is None else absolute(margin) / 2
                    yield _per_image_row(arms, task, key, half)
                else:
                    found = [lines().get((method, task, arm.draw, key)) for arm in arms]
                    half = _half_of_set(lines(), task, key, margins)
                    yield _set_row(arms, task, key, [line for line in found if line], half)


def matrix(arms: Sequence[MeasuredArm], task: str, metric: str) -> Values:
    """Return (images, seeds) values of one method; UsageError if some image lacks a seed."""
    columns = [arm.values(task, metric) for arm in arms]
    every = arms[0].store.images(task)
    images = [image for image in every if all(image in column for column in columns)]
    if len(images) < len(every):
        raise UsageError(
            f"{arms[0].method} on {task}: {len(every) - len(images)} images lack {metric} at a "
            f"seed with {arms[0].draw.steps} steps; finish the run first"
        )
    return np.array([[column[image] for column in columns] for image in images])


_NAN = float("nan")
Summary = Mapping[tuple[str, str, Draw, str], Mapping[str, Any]]


def _per_image_row(arms: Sequence[MeasuredArm], task: str, metric: str, half: float) -> SeedRow:
    values = matrix(arms, task, metric)
    if values.size and is_constant(values.ravel()):
        return _row(arms, task, metric, values, half, "the same in every image and seed")
    parts = components(values)
    split = (parts.image, parts.seed, parts.interaction, parts.per_image_spread)
    return _row(arms, task, metric, values, half, "", split)


def _row(
    arms: Sequence[MeasuredArm],
    task: str,
    metric: str,
    values: Values,
    half: float,
    note: str,
    split: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
) -> SeedRow:
    """Return the line of (images, seeds) values."""
    means = values.mean(axis=0)
    if len(means) < 2:
        raise UsageError(f"a study of seeds needs at least two, found {len(means)} of {metric}")
    needed = SeedsNeeded(None, None, None, f"not resolved: {unmargined(metric)}")
    if half > 0:
        needed = seeds_needed(float(means.var(ddof=1)), len(means), half)
    return SeedRow(
        arms[0].method, arms[0].build, task, metric, len(values), len(means), float(values.mean()),
        *split, float(means.std(ddof=1)), half, needed.low, needed.high, needed.enough,
        needed.words, note,
    )  # fmt: skip


def _half_of_set(
    lines: Summary,
    task: str,
    metric: str,
    margins: Mapping[str, Margin] | None,
) -> float:
    """Return half the margin of a set metric; NaN where the run has no controls to take it from."""
    margin = margin_of(metric, margins)
    if not margin.relative:
        return absolute(margin) / 2
    found = {
        method: float(line["value"])
        for (method, where, _, key), line in lines.items()
        if method in CONTROLS and where == task and key == metric and line["status"] == "ok"
    }
    if len(found) < len(CONTROLS):
        return _NAN
    return absolute(margin, *(found[name] for name in CONTROLS)) / 2


def _set_row(
    arms: Sequence[MeasuredArm],
    task: str,
    metric: str,
    lines: Sequence[Mapping[str, Any]],
    half: float,
) -> SeedRow:
    """Return the line of a set metric, of which a seed has one value: nothing to split."""
    values = np.array([line["value"] for line in lines], dtype=float)
    if len(values) < 2:
        raise UsageError(f"a study of seeds needs at least two, found {len(values)} of {metric}")
    if not np.isfinite(values).all():
        raise UsageError(f"{metric} on {task}: expected finite values, found {values.tolist()}")
    needed = SeedsNeeded(None, None, None, "not resolved: the run has no controls, so no margin")
    if half > 0:
        needed = seeds_needed(float(values.var(ddof=1)), len(values), half)
    spread = float(values.std(ddof=1))
    return SeedRow(
        arms[0].method, arms[0].build, task, metric, int(lines[0]["n"]), len(values),
        float(values.mean()), _NAN, spread**2, _NAN, _NAN, spread, half, needed.low, needed.high,
        needed.enough, needed.words, "one value per seed: nothing to split",
    )  # fmt: skip


def study_seeds(
    store: Store,
    steps: int,
    margins: Mapping[str, Margin] | None = None,
    seeds: Sequence[int] | None = None,
) -> Sequence[SeedRow]:
    """Analyse the seeds of a run and write `<run>/studies/seeds`."""
    rows = list(seed_rows(store, steps, margins, seeds))
    info = store.info
    margins = stated(info.metrics.values(), margins or {})
    fixed = known_margins([row.metric for row in rows], margins)
    text = (
        f"{len(seeds or info.seeds)} sampler seeds at {steps} steps, protocol {info.protocol}. The "
        "degraded input is the same for every seed. `seeds_low` to `seeds_high` (95%) is the "
        "number of seeds that brings the mean over these images to +- `half_width`, half the "
        "metric's margin, by Student's t; `seeds_enough` is enough with a chance of 80%. The "
        "per-image spread is what one viewer of one picture sees change. Margins: "
        f"{fixed.words}."
    )
    figure = _plot(rows)
    write_study(
        store.folder / "studies" / "seeds", "Seeds", text,
        [{**asdict(row), "margins_sha256": fixed.sha256} for row in rows],
        {"seeds": figure},
    )  # fmt: skip
    return rows


def _plot(rows: Sequence[SeedRow]) -> "Figure":
    split = [row for row in rows if row.per_image_spread + row.image_variance > 0]
    figure = new_figure(7.5, 0.34 * len(split) + 1.4)
    axes = figure.subplots()
    names = [f"{row.method} {row.task} {row.metric}" for row in split]
    left = np.zeros(len(split))
    parts = {
        "image": "image_variance", "seed": "seed_variance", "image x seed": "interaction_variance",
    }  # fmt: skip
    colours = series_colours(list(parts))
    for label, field in parts.items():
        total = [r.image_variance + r.seed_variance + r.interaction_variance for r in split]
        share = np.array([getattr(row, field) for row in split]) / np.array(total)
        axes.barh(names, share, left=left, label=label, color=colours[label])
        left += share
    axes.invert_yaxis()
    axes.set_xlabel("share of variance")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    axes.tick_params(labelsize=7)
    return figure
