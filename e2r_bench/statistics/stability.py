"""How stable an order of arms is: the share of resamples of the scenes in which it stays.

A description of these scenes, not a test: who is better is for `statistics.judge` to say, with its
calibrated rates. The bootstrap is that of means (Efron, Ann. Statist. 7, 1979), scenes its units;
all arms see the same resamples, so what is hard about a scene cancels between them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.statistics.results import check_shape, scene_index
from e2r_metrics.base.errors import UsageError

RESAMPLES = 2000


@dataclass(frozen=True)
class Stability:
    """An order of arms by their means, and how often resamples agree with it.

    Attributes:
        task, metric: of what.
        arms: the best first.
        whole: share of the resamples with the whole order.
        first: share with the same arm alone in front.
        steps: share with each arm ahead of the next one of the order.
        n, scenes, resamples: pictures, units, and how many were drawn.
    """

    task: str
    metric: str
    arms: tuple[str, ...]
    whole: float
    first: float
    steps: tuple[float, ...]
    n: int
    scenes: int
    resamples: int

    @property
    def words(self) -> str:
        """Return all of it in a line."""
        at = int(np.argmin(self.steps))
        where = f"{self.task} {self.metric}".strip()
        return (
            f"order by {where}: {' > '.join(self.arms)}; the same in {self.whole:.0%} of "
            f"{self.resamples} resamples of {self.scenes} scenes, {self.arms[0]} first in "
            f"{self.first:.0%}; least sure: {self.arms[at]} before {self.arms[at + 1]}, "
            f"{self.steps[at]:.0%}"
        )


def stability(
    where: tuple[str, str],
    values: Mapping[str, npt.NDArray[np.float64]],
    scenes: Sequence[str],
    higher_is_better: bool,
    generator: np.random.Generator,
) -> Stability:
    """Return how stable the order of arms is; a tie is no order.

    Args:
        where: task and metric id.
        values: arm -> (n,) values of the same pictures; two arms or more.
        scenes: of each picture.
        higher_is_better: the direction of the metric.
        generator: draws the resamples.

    Raises:
        UsageError: fewer than two arms or ten scenes, or values that are not finite.
    """
    if len(values) < 2:
        raise UsageError(f"an order needs two arms or more, found {len(values)}")
    table = np.stack([check_shape(one, name) for name, one in values.items()])
    index = scene_index(scenes, table.shape[1])
    count = int(index.max()) + 1
    if count < MIN_SCENES:
        raise UsageError(f"nothing is said of an order below {MIN_SCENES} scenes, found {count}")
    signed = table if higher_is_better else -table
    sums = np.stack([np.bincount(index, row, count) for row in signed])
    chosen = generator.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    # Means of the pictures that a resample holds: (arms, resamples).
    means = sums @ chosen.T / (chosen @ np.bincount(index, minlength=count))
    order = np.argsort(-signed.mean(1), kind="stable")
    ahead = means[order[:-1]] > means[order[1:]]
    leads = (means[order[0]] > means[order[1:]]).all(0)
    names = list(values)
    return Stability(
        *where, tuple(names[k] for k in order), float(ahead.all(0).mean()), float(leads.mean()),
        tuple(float(share) for share in ahead.mean(1)), table.shape[1], count, RESAMPLES,
    )  # fmt: skip


def stabilities(
    where: tuple[str, str],
    values: Mapping[str, Mapping[str, float]],
    scenes: Mapping[str, str],
    higher_is_better: bool,
    generator: np.random.Generator,
) -> list[Stability]:
    """Return the stability of three arms or more on the pictures that all have; else nothing.

    Of two arms the paired verdict says it all. An order that nothing can be said of, of too few
    scenes or with infinite values, is left out: the verdicts say why.

    Args:
        where, higher_is_better, generator: as in `stability`.
        values: arm -> picture -> value.
        scenes: picture -> scene.
    """
    if len(values) < 3:
        return []
    shared = [name for name in scenes if all(name in one for one in values.values())]
    table = {arm: np.array([one[name] for name in shared]) for arm, one in values.items()}
    try:
        return [stability(where, table, [scenes[n] for n in shared], higher_is_better, generator)]
    except UsageError:
        return []
