"""Two hundred configurations of claims with a known truth: wrong verdicts, opposites, power.

Power is compared with an oracle that is valid for the family: the sign flip where it is symmetric,
else a t test with the critical values of the family's own null distribution, the same for both
directions; for recipes a t test on the trainings' means that is told what the scenes add to all of
them. Holm's procedure is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats

from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.statistics.results import Values
from e2r_metrics.base.draws import rng_for
from tests.calibration import fast
from tests.calibration.families import CALIBRATED_ON
from tests.calibration.parts import SYMMETRIC, limits_of
from tests.calibration.rates import ANY_POWER, POWER, Rate

MARGIN = 0.5
DEVIATION = 0.6
TRAINING, SCENE, BOTH = 0.2, 0.5, 0.33
TRUTHS = {"none": 0.0, "half the margin": 0.25, "the margin": 0.5, "twice the margin": 1.0}
_NULL = 200_000


@dataclass(frozen=True)
class Configuration:
    """One claim: its family, the true gain of every part, parts, images, trainings per arm."""

    family: str
    truth: str
    parts: int
    n: int
    trainings: int = 1

    @property
    def name(self) -> str:
        trained = "" if self.trainings == 1 else f", {self.trainings} trainings"
        return f"gain {self.truth}, {self.parts} parts{trained}"

    def truths(self) -> Values:
        """Return (k,) true gains."""
        if self.truth == "mixed":
            return np.resize(list(TRUTHS.values()), self.parts)
        return np.full(self.parts, TRUTHS[self.truth])


def configurations() -> list[Configuration]:
    """Return all two hundred."""
    found = [
        Configuration(family, truth, parts, n)
        for family in ("normal", "heavy tails (t, 4)", "log-normal(0.5)")
        for truth in TRUTHS
        for parts in (1, 5, 30)
        for n in (5, 10, 20, 68)
    ]
    found += [
        Configuration("normal", truth, parts, n, trainings)
        for truth in TRUTHS
        for parts in (1, 5)
        for n in (20, 68)
        for trainings in (2, 3, 5)
    ]
    return found + [
        Configuration("normal", "mixed", parts, n) for parts in (5, 30) for n in (5, 10, 20, 68)
    ]


def _alone(family: str, generator: np.random.Generator, shape: tuple[int, ...]) -> Values:
    """Return (D, k, n) differences of two adapters without any gain."""
    return DEVIATION * CALIBRATED_ON[family](generator, shape)


def _trained(
    one: Configuration, generator: np.random.Generator, draws: int
) -> tuple[Values, Values]:
    """Return (D, k, trainings, n) differences of two recipes without any gain, and (D, k): what
    these scenes add to every training's mean."""
    shape = (draws, one.parts, one.trainings, one.n)
    scenes = SCENE * generator.standard_normal((draws, one.parts, 1, one.n))
    x = TRAINING * generator.standard_normal((*shape[:3], 1)) + scenes
    return x + BOTH * generator.standard_normal(shape), scenes.mean((-1, -2))


def rates(one: Configuration, draws: int, seed: int = 0) -> Iterator[Rate]:
    """Yield what the verdicts of one configuration do."""
    generator = rng_for(seed, f"{one.family} {one.name} {one.n}", "calibration, claims")
    truths = one.truths()
    if one.trainings == 1:
        x = _alone(one.family, generator, (draws, one.parts, one.n)) + truths[:, None]
        means, oracle = fast.means_of(x, np.arange(one.n)), None
    else:
        made, scenes = _trained(one, generator, draws)
        made = made + truths[:, None, None]
        means, x = fast.trained_means(made), made.mean(-2)
        oracle = _told(made, scenes)
    flips = fast.sign_flip(x, np.arange(one.n), generator, 999)
    found = fast.judge(means, flips, MARGIN)
    yield from _wrong(one, found, truths)
    yield from _power(one, found, truths, oracle or _knowing(one.family, means, flips))


def _wrong(one: Configuration, found: fast.Judged, truths: Values) -> Iterator[Rate]:
    where = {"values": one.family, "scenario": one.name, "n": one.n}
    limits = limits_of(one.family, one.n)
    wrong = (found.direction != 0) & (found.direction != np.sign(truths))
    yield Rate.of("claim", "some wrong direction", wrong.any(1), limits, **where)
    small = found.within & (truths >= MARGIN)
    yield Rate.of("claim", "some size wrongly below the margin", small.any(1), limits, **where)
    large = found.outside & (truths <= MARGIN)
    yield Rate.of("claim", "some size wrongly above the margin", large.any(1), limits, **where)
    claims = found.supported()
    both = (claims["better"] & claims["worse"]) | (claims["better"] & claims["better refuted"])
    both |= claims["worse"] & claims["worse refuted"]
    both |= claims["equivalent"] & claims["equivalent refuted"]
    yield Rate.of("claim", "a claim and its opposite both hold", both, (0.0, 0.0), **where)
    every = bool((truths > 0).all())
    yield Rate.of("claim", "'better in every part' wrongly supported",
                  claims["better"] & (not every), limits, **where)  # fmt: skip
    yield Rate.of("claim", "'better in every part' wrongly refuted",
                  claims["better refuted"] & bool((truths >= 0).all()), limits,
                  **where)  # fmt: skip
    equal = bool((truths < MARGIN).all())
    yield Rate.of("claim", "'equivalent in every part' wrongly supported",
                  claims["equivalent"] & (not equal), limits, **where)  # fmt: skip
    yield Rate.of("claim", "'equivalent in every part' wrongly refuted",
                  claims["equivalent refuted"] & bool((truths <= MARGIN).all()), limits,
                  **where)  # fmt: skip


@dataclass(frozen=True)
class _Oracle:
    """P-values of tests that are valid for the family, (D, k)."""

    differs: Values
    within: Values


def _told(x: Values, scenes: Values) -> _Oracle:
    """Return t tests on the trainings' means, told what the scenes add to all of them."""
    means, trainings = x.mean(-1), x.shape[-2]
    value, error = means.mean(-1) - scenes, means.std(-1, ddof=1) / np.sqrt(trainings)
    p = 2 * stats.t.sf(np.abs(value) / error, trainings - 1)
    return _Oracle(p, stats.t.sf((MARGIN - np.abs(value)) / error, trainings - 1))


def _knowing(family: str, means: fast.Means, flips: Values) -> _Oracle:
    """Return the sign flip where the family is symmetric, else t with critical values of its own.

    Sizes are compared with t of the family's own critical values always.
    """
    null = _null(family, means.scenes)
    chance = _above(np.sort(np.abs(null)), np.abs(means.value / means.error))
    differs = flips if family in SYMMETRIC else np.maximum(chance, 1 / _NULL)
    t = (MARGIN - np.abs(means.value)) / means.error
    within = np.maximum(_above(null, t), _above(-null[::-1], t))
    return _Oracle(differs, np.maximum(within, 1 / _NULL))


def _power(
    one: Configuration, found: fast.Judged, truths: Values, oracle: _Oracle
) -> Iterator[Rate]:
    where = {"values": one.family, "scenario": one.name, "n": one.n}
    limits = POWER if one.n >= MIN_SCENES else ANY_POWER
    least = "" if one.n >= MIN_SCENES else f", none below {MIN_SCENES} scenes"
    real, near = truths > 0, truths < MARGIN
    if real.any():
        seen = (fast.holm(oracle.differs) <= 0.05) & (found.leans > 0)
        gain = (found.direction > 0).astype(float) - seen
        yield Rate.of("power of a direction minus the oracle's", f"each part{least}",
                      gain[:, real].mean(1), limits, **where)  # fmt: skip
    if near.any():
        gain = found.within.astype(float) - (fast.holm(oracle.within) <= 0.05)
        yield Rate.of("power of 'below the margin' minus the oracle's", f"each part{least}",
                      gain[:, near].mean(1), limits, **where)  # fmt: skip


def _above(null: Values, t: Values) -> Values:
    """Return the share of sorted null values that lie above each t."""
    return 1 - np.searchsorted(null, t) / len(null)


@cache
def _null(family: str, n: int) -> Values:
    generator = rng_for(1, f"{family} {n}", "calibration, the oracle's null")
    found: list[Values] = []
    for _ in range(20):
        means = fast.means_of(_alone(family, generator, (_NULL // 20, 1, n)), np.arange(n))
        found.append((means.value / means.error)[:, 0])
    return np.sort(np.concatenate(found))
