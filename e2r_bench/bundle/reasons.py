"""Why a number is another one here: by evidence where there is some, and never more than that."""

from collections.abc import Mapping
from functools import cache

from e2r_bench.versions import package_versions
from e2r_metrics import CATALOG, Metric
from e2r_metrics.drift import GOLDENS, TOLERANCE, check
from e2r_metrics.goldens import catalog_numbers, precision_of

_BAND_SHARE = 0.02
"""In % of pixels: float32 sums of another order move the few that lie at the threshold."""
_STATISTICS = 1e-8
"""Relative: ends of intervals come from quantiles that libraries find by iteration."""
_ROUNDING = 100
"""A number that is off by more tolerances than this is no rounding."""


def allowed(key: str, value: float, interval: bool) -> float:
    """Return how far a number may lie from its recomputation, in its unit.

    Args:
        key: metric id.
        value: the published number.
        interval: whether it is an end of an interval.
    """
    size = max(1.0, abs(value))
    own = TOLERANCE[precision_of(CATALOG[key])] * size if key in CATALOG else _BAND_SHARE
    return max(own, _STATISTICS * size) if interval else own


def reason(key: str, times: float, interval: bool, moved: Mapping[str, str]) -> str:
    """Return why a number that was computed from what was published differs.

    Args:
        key: metric id.
        times: the distance in tolerances.
        interval: whether it is an end of an interval.
        moved: package -> both versions, of those that are others here.
    """
    metric = CATALOG.get(key)
    versions = ", ".join(f"{name} {both}" for name, both in moved.items())
    if metric is not None and (golden := _moved(metric)):
        return f"library: this machine misses a golden number too, {golden}; {versions}"
    exact = metric is None or precision_of(metric) in ("float64", "float32")
    if exact and not interval:
        return "altered: golden numbers hold on this machine, and its pictures give another one"
    if times <= _ROUNDING and versions:
        return f"rounding, of another library or device, by {times:.2g} tolerances: {versions}"
    return f"altered, or other code: {times:.2g} tolerances are more than rounding explains"


@cache
def _moved(metric: Metric) -> str:
    """Return the golden of a metric that this machine does not reach; "" where all hold."""
    return next((name for name in _goldens() if name.startswith(f"{metric.id} ")), "")


@cache
def _goldens() -> tuple[str, ...]:
    found = check(GOLDENS, catalog_numbers)
    return tuple(one.golden.name for one in found.moved)


def other_versions(then: Mapping[str, str]) -> dict[str, str]:
    """Return package -> "then -> now" for those whose version is another one here."""
    now = package_versions()
    return {
        name: f"{version} -> {now.get(name, 'absent')}"
        for name, version in then.items()
        if now.get(name) != version
    }
