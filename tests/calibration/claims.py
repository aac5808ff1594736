"""Two hundred configurations of claims with a known truth: wrong verdicts, opposites, power.

Power is compared with an oracle that knows the family: a t test whose critical values, the same for
both directions, are those of the family's own null distribution, so that it is valid. Holm's
procedure is the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from e2r_baselines.draws import rng_for
from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.statistics.results import Values
from tests.calibration import fast
from tests.calibration.families import CALIBRATED_ON
from tests.calibration.rates import ANY, FALSE, POWER, Rate

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


def _drawn(one: Configuration, generator: np.random.Generator, draws: int, parts: int) -> Values:
    """Return (D, k, n) or (D, k, trainings, n) differences without any gain."""
    if one.trainings == 1:
        return DEVIATION * CALIBRATED_ON[one.family](generator, (draws, parts, one.n))
    shape = (draws, parts, one.trainings, one.n)
    return (
        TRAINING * generator.standard_normal((*shape[:3], 1))
        + SCENE * generator.standard_normal((*shape[:2], 1, one.n))
        + BOTH * generator.standard_normal(shape)
    )


def _means(one: Configuration, x: Values) -> fast.Means:
    return fast.means_of(x, np.arange(one.n)) if one.trainings == 1 else fast.trained_means(x)


def rates(one: Configuration, draws: int, seed: int = 0) -> Iterator[Rate]:
    """Yield what the verdicts of one configuration do."""
    generator = rng_for(seed, f"{one.family} {one.name} {one.n}", "calibration, claims")
    truths = one.truths()
    x = _drawn(one, generator, draws, one.parts)
    x = x + (truths[:, None] if one.trainings == 1 else truths[:, None, None])
    means = _means(one, x)
    flat = x if one.trainings == 1 else x.mean(-2)
    flips = fast.sign_flip(flat, np.arange(one.n), generator, 999)
    found = fast.judge(means, flips, MARGIN)
    yield from _wrong(one, found, truths)
    yield from _power(one, means, found, truths)


def _wrong(one: Configuration, found: fast.Judged, truths: Values) -> Iterator[Rate]:
    where = {"values": one.family, "scenario": one.name, "n": one.n}
    wrong = (found.direction != 0) & (found.direction != np.sign(truths))
    yield Rate.of("claim", "some wrong direction", wrong.any(1), FALSE, **where)
    small = found.within & (truths >= MARGIN)
    yield Rate.of("claim", "some size wrongly below the margin", small.any(1), FALSE, **where)
    large = found.outside & (truths <= MARGIN)
    yield Rate.of("claim", "some size wrongly above the margin", large.any(1), FALSE, **where)
    claims = found.supported()
    both = (claims["better"] & claims["worse"]) | (claims["better"] & claims["better refuted"])
    both |= claims["worse"] & claims["worse refuted"]
    both |= claims["equivalent"] & claims["equivalent refuted"]
    yield Rate.of("claim", "a claim and its opposite both hold", both, (0.0, 0.0), **where)
    every = bool((truths > 0).all())
    yield Rate.of("claim", "'better in every part' wrongly supported",
                  claims["better"] & (not every), FALSE, **where)  # fmt: skip
    yield Rate.of("claim", "'better in every part' wrongly refuted",
                  claims["better refuted"] & bool((truths >= 0).all()), FALSE, **where)  # fmt: skip
    equal = bool((truths < MARGIN).all())
    yield Rate.of("claim", "'equivalent in every part' wrongly supported",
                  claims["equivalent"] & (not equal), FALSE, **where)  # fmt: skip
    yield Rate.of("claim", "'equivalent in every part' wrongly refuted",
                  claims["equivalent refuted"] & bool((truths <= MARGIN).all()), FALSE,
                  **where)  # fmt: skip


def _power(
    one: Configuration, means: fast.Means, found: fast.Judged, truths: Values
) -> Iterator[Rate]:
    where = {"values": one.family, "scenario": one.name, "n": one.n}
    limits = POWER if one.n >= MIN_SCENES else ANY
    least = "" if one.n >= MIN_SCENES else f", none below {MIN_SCENES} scenes"
    real = truths > 0
    if real.any():
        t = np.abs(means.value / means.error)
        null = _null(one.family, one.n, one.trainings)
        chance = np.maximum(_above(np.sort(np.abs(null)), t), 1 / _NULL)
        oracle = (fast.holm(chance) <= 0.05) & (means.value > 0)
        gain = (found.direction > 0).astype(float) - oracle
        yield Rate.of("power of a direction minus the oracle's", f"each part{least}",
                      gain[:, real].mean(1), limits, **where)  # fmt: skip
    near = truths < MARGIN
    if near.any():
        t = (MARGIN - np.abs(means.value)) / means.error
        null = _null(one.family, one.n, one.trainings)
        chance = np.maximum(_above(null, t), _above(-null[::-1], t))
        oracle = fast.holm(np.maximum(chance, 1 / _NULL)) <= 0.05
        gain = found.within.astype(float) - oracle
        yield Rate.of("power of 'below the margin' minus the oracle's", f"each part{least}",
                      gain[:, near].mean(1), limits, **where)  # fmt: skip


def _above(null: Values, t: Values) -> Values:
    """Return the share of sorted null values that lie above each t."""
    return 1 - np.searchsorted(null, t) / len(null)


@cache
def _null(family: str, n: int, trainings: int) -> Values:
    one = Configuration(family, "none", 1, n, trainings)
    generator = rng_for(1, f"{family} {n} {trainings}", "calibration, the oracle's null")
    found: list[Values] = []
    for _ in range(20):
        means = _means(one, _drawn(one, generator, _NULL // 20, 1))
        found.append((means.value / means.error)[:, 0])
    return np.sort(np.concatenate(found))
