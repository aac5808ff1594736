"""Study of seeds: whose noise is it, the image's, the seed's, or that of both together?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from e2r_bench.statistics.results import Values
from e2r_bench.store.store import Store
from e2r_bench.studies.measure import MeasuredArm, arm_of, measured_metrics, summary_lines
from e2r_bench.studies.writing import new_figure, write_study
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Components:
    """Variance of a per-image metric over images and seeds.

    Attributes:
        image: between images, over all seeds.
        seed: between seeds, over all images; near zero where each image draws its own noise.
        interaction: what a seed does to one image and not to another; with one restoration per
            image and seed it holds all other noise too.
    """

    image: float
    seed: float
    interaction: float

    @property
    def per_image_spread(self) -> float:
        """Return the standard deviation over seeds of one image's value."""
        return float(np.sqrt(self.seed + self.interaction))

    def seeds_for(self, half_width: float, images: int, level: float = 0.95) -> int:
        """Return how many seeds bring the mean over these images to +-`half_width`."""
        quantile = float(stats.norm.ppf((1 + level) / 2))
        variance = self.seed + self.interaction / images
        return max(1, int(np.ceil(variance * (quantile / half_width) ** 2)))


def components(values: Values) -> Components:
    """Split the variance of (images, seeds) values: a two-way random-effects analysis.

    Negative estimates are zero. Source: Searle, Casella & McCulloch, Variance Components (1992).

    Raises:
        UsageError: one seed, one image, values that are not finite, or no spread.
    """
    images, seeds = values.shape
    if seeds < 2:
        raise UsageError(
            f"a study of seeds needs at least two, found {seeds}; give --seeds 0,1,2,3"
        )
    if images < 2:
        raise UsageError(f"a study of seeds needs at least two images, found {images}")
    if not np.isfinite(values).all():
        raise UsageError("expected finite values; identical pictures have infinite PSNR")
    if np.ptp(values) == 0:
        raise UsageError("all values are equal: a constant has no variance to split")
    grand = values.mean()
    by_image, by_seed = values.mean(axis=1), values.mean(axis=0)
    mean_square_image = seeds * np.sum((by_image - grand) ** 2) / (images - 1)
    mean_square_seed = images * np.sum((by_seed - grand) ** 2) / (seeds - 1)
    rest = values - by_image[:, None] - by_seed[None] + grand
    mean_square_rest = np.sum(rest**2) / ((images - 1) * (seeds - 1))
    return Components(
        max(0.0, float(mean_square_image - mean_square_rest) / seeds),
        max(0.0, float(mean_square_seed - mean_square_rest) / images),
        float(mean_square_rest),
    )


@dataclass(frozen=True)
class SeedRow:
    """One line of the study."""

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
    seeds_needed: int | None
    note: str = ""


def seed_rows(store: Store, steps: int, share: float = 0.01) -> Iterator[SeedRow]:
    """Yield a line per stochastic method, task and metric.

    Args:
        store: a run with at least two seeds.
        steps: the number of sampler steps to look at.
        share: the half-width asked for, as a share of the mean.

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
    for method in methods:
        arms = [arm_of(store, method, seed, steps) for seed in store.info.seeds]
        for task in store.info.tasks:
            for key, info in measured_metrics(store, task):
                if info.per_image:
                    yield _per_image_row(arms, task, key, share)
                else:
                    found = [lines().get((method, task, arm.draw, key)) for arm in arms]
                    yield _set_row(arms, task, key, [line for line in found if line], share)


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


def _per_image_row(arms: Sequence[MeasuredArm], task: str, metric: str, share: float) -> SeedRow:
    values = matrix(arms, task, metric)
    parts = components(values)
    half = share * abs(float(values.mean()))
    return SeedRow(
        arms[0].method, arms[0].build, task, metric, len(values), values.shape[1],
        float(values.mean()), parts.image, parts.seed, parts.interaction, parts.per_image_spread,
        float(values.mean(axis=0).std(ddof=1)), half, parts.seeds_for(half, len(values)),
    )  # fmt: skip


def _set_row(
    arms: Sequence[MeasuredArm],
    task: str,
    metric: str,
    lines: Sequence[Mapping[str, Any]],
    share: float,
) -> SeedRow:
    values = np.array([line["value"] for line in lines], dtype=float)
    if len(values) < 2:
        raise UsageError(f"a study of seeds needs at least two, found {len(values)} of {metric}")
    spread = float(values.std(ddof=1))
    half = share * abs(float(values.mean()))
    needed = int(np.ceil((1.96 * spread / half) ** 2)) if half else None
    nan = float("nan")
    return SeedRow(
        arms[0].method, arms[0].build, task, metric, int(lines[0]["n"]), len(values),
        float(values.mean()), nan, spread**2, nan, nan, spread, half, needed,
        "one value per seed: nothing to split",
    )  # fmt: skip


def study_seeds(store: Store, steps: int) -> Sequence[SeedRow]:
    """Analyse the seeds of a run and write `<run>/studies/seeds`."""
    rows = list(seed_rows(store, steps))
    info = store.info
    text = (
        f"{len(info.seeds)} sampler seeds at {steps} steps, protocol {info.protocol}. The "
        "degraded input is the same for every seed. `seeds_needed` brings the mean over these "
        "images to +- 1% of itself at 95%; the per-image spread is what one viewer of one picture "
        "sees change."
    )
    figure = _plot(rows)
    write_study(
        store.folder / "studies" / "seeds", "Seeds", text, [asdict(row) for row in rows],
        {"seeds": figure},
    )  # fmt: skip
    return rows


def _plot(rows: Sequence[SeedRow]) -> "Figure":
    split = [row for row in rows if not np.isnan(row.image_variance)]
    figure = new_figure(7.5, 0.34 * len(split) + 1.4)
    axes = figure.subplots()
    names = [f"{row.method} {row.task} {row.metric}" for row in split]
    left = np.zeros(len(split))
    parts = (("image_variance", "image"), ("seed_variance", "seed"))
    for (field, label), colour in zip(
        (*parts, ("interaction_variance", "image x seed")), ("#30638e", "#d1495b", "#edae49"),
        strict=True,
    ):  # fmt: skip
        total = [r.image_variance + r.seed_variance + r.interaction_variance for r in split]
        share = np.array([getattr(row, field) for row in split]) / np.array(total)
        axes.barh(names, share, left=left, label=label, color=colour)
        left += share
    axes.invert_yaxis()
    axes.set_xlabel("share of variance")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8)
    axes.tick_params(labelsize=7)
    return figure
