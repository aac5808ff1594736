"""Image-restoration metrics: exact, named, and watched for drift.

Importing this package is cheap: NumPy, OpenCV and torch come in with the first number that needs
them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2r_metrics.base.declarations import own_declarations, read_declarations
    from e2r_metrics.base.errors import PictureError, UsageError
    from e2r_metrics.base.weights import Found, Missing, Resolver
    from e2r_metrics.catalog import CATALOG, EXTRACTORS, PROFILES, Extractor, Metric, resolve
    from e2r_metrics.features import FeatureStore
    from e2r_metrics.session import Session

__all__ = [
    "CATALOG",
    "EXTRACTORS",
    "PROFILES",
    "Extractor",
    "FeatureStore",
    "Found",
    "Metric",
    "Missing",
    "PictureError",
    "Resolver",
    "Session",
    "UsageError",
    "own_declarations",
    "read_declarations",
    "resolve",
]

_HOME = {
    "CATALOG": "catalog",
    "EXTRACTORS": "catalog",
    "PROFILES": "catalog",
    "Extractor": "catalog",
    "FeatureStore": "features",
    "Found": "base.weights",
    "Metric": "catalog",
    "UsageError": "base.errors",
    "Missing": "base.weights",
    "Resolver": "base.weights",
    "PictureError": "base.errors",
    "Session": "session",
    "own_declarations": "base.declarations",
    "read_declarations": "base.declarations",
    "resolve": "catalog",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
