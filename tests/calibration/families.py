"""Families of differences with mean 0 and variance 1, and scenes that hold one or several images.

The rule for skewness was chosen on the first group and is calibrated on the second.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from e2r_bench.statistics.results import Values

Draw = Callable[[np.random.Generator, tuple[int, ...]], Values]


def _gamma(shape: float) -> Draw:
    def draw(generator: np.random.Generator, size: tuple[int, ...]) -> Values:
        return (generator.gamma(shape, 1.0, size) - shape) / math.sqrt(shape)

    return draw


def _lognormal(sigma: float) -> Draw:
    mean = math.exp(sigma**2 / 2)
    deviation = mean * math.sqrt(math.exp(sigma**2) - 1)

    def draw(generator: np.random.Generator, size: tuple[int, ...]) -> Values:
        return (np.exp(sigma * generator.standard_normal(size)) - mean) / deviation

    return draw


def _weibull(shape: float) -> Draw:
    mean = math.gamma(1 + 1 / shape)
    deviation = math.sqrt(math.gamma(1 + 2 / shape) - mean**2)

    def draw(generator: np.random.Generator, size: tuple[int, ...]) -> Values:
        return (generator.weibull(shape, size) - mean) / deviation

    return draw


def _failures(rate: float, depth: float = 8.0) -> Draw:
    """Return normal differences of which a share lies `depth` deviations off."""
    deviation = math.sqrt(1 + depth**2 * rate * (1 - rate))

    def draw(generator: np.random.Generator, size: tuple[int, ...]) -> Values:
        failed = generator.random(size) < rate
        return (generator.standard_normal(size) + depth * (failed - rate)) / deviation

    return draw


def _normal(generator: np.random.Generator, size: tuple[int, ...]) -> Values:
    return generator.standard_normal(size)


def _heavy(generator: np.random.Generator, size: tuple[int, ...]) -> Values:
    return generator.standard_t(4, size) / math.sqrt(2)


CHOSEN_ON: Mapping[str, Draw] = MappingProxyType(
    {"normal": _normal, "gamma(6)": _gamma(6), "gamma(1)": _gamma(1), "gamma(0.5)": _gamma(0.5)}
)
CALIBRATED_ON: Mapping[str, Draw] = MappingProxyType(
    {
        "normal": _normal,
        "heavy tails (t, 4)": _heavy,
        "log-normal(0.5)": _lognormal(0.5),
        "log-normal(1)": _lognormal(1.0),
        "Weibull(0.7)": _weibull(0.7),
        "5% failures": _failures(0.05),
        "10% failures": _failures(0.10),
        "20% failures": _failures(0.20),
    }
)
FAILURES: Mapping[str, float] = MappingProxyType(
    {"5% failures": 0.05, "10% failures": 0.10, "20% failures": 0.20}
)


def scenes_of(n: int, scenario: str) -> list[str]:
    """Return scene names for n images: one each, or one to four in turn."""
    if scenario == "alone":
        return [f"{k:04}" for k in range(n)]
    sizes = np.resize((1, 2, 3, 4), n)
    return [f"{k:04}" for k in np.repeat(np.arange(n), sizes)[:n]]


def drawn(
    draw: Draw, generator: np.random.Generator, draws: int, parts: int, index: np.ndarray
) -> Values:
    """Return (draws, parts, n) differences; half of the variance belongs to scenes, if shared."""
    n, count = len(index), int(index.max()) + 1
    own = draw(generator, (draws, parts, n))
    if count == n:
        return own
    return (own + draw(generator, (draws, parts, count))[..., index]) / math.sqrt(2)
