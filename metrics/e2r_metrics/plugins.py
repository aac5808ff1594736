"""Metrics of other packages, by the entry points `e2r_bench.metrics`: each a `Metric`.

Its `module` is the full name of a module with an `open_metric`; distribution and version travel in
its definition, so that a new release is another metric.
"""

from collections.abc import Container
from dataclasses import replace

from e2r_metrics.base import plugins
from e2r_metrics.base.errors import UsageError
from e2r_metrics.rows.types import Metric

ENTRY_POINTS = "e2r_bench.metrics"


def plugin_names() -> list[str]:
    """Return the names of plugins' metrics, without importing them."""
    return plugins.names(ENTRY_POINTS)


def metric_plugin(name: str, taken: Container[str]) -> Metric | None:
    """Return the metric that another package gives under a name, None if there is none.

    Args:
        name: as on the command line and in its entry point.
        taken: names that no plugin may have.

    Raises:
        UsageError: it cannot be loaded, is no metric of single pictures, is called otherwise than
            its entry point, needs files that it does not bring, or its name is in use.
    """
    points = plugins.named(ENTRY_POINTS, name)
    if not points:
        return None
    point = plugins.only(points, taken, "metric")
    found, where = plugins.loaded(point), plugins.where(point)
    if not isinstance(found, Metric):
        raise UsageError(f"{where}: expected a Metric, found {type(found).__name__}")
    if found.name != name:
        raise UsageError(f"{where}: expected its metric to be called so, found {found.name!r}")
    if not found.per_image or found.weights or "." not in found.module:
        raise UsageError(
            f"{where}: expected a metric of single pictures or pairs, without entries in "
            f"weights.toml, in a module given by its full name; found {found.scope}, "
            f"{found.weights}, {found.module!r}"
        )
    return replace(found, definition=f"{found.definition}; {plugins.version(point)}".rstrip("; "))
