"""Every metric by name and variant, as data: what a number means travels with it.

Adding a metric: write its module (an `open_metric` for per-image metrics, an `open_set` for set
metrics), add one row to its family's table in `rows/` and, if it needs weights, one table to
`weights.toml`. The first row of a name is its default variant.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from e2r_metrics.base.errors import unknown
from e2r_metrics.rows import extractors, fidelity, perceptual, sets
from e2r_metrics.rows.types import VERSION, Distance, Extractor, Metric

__all__ = [
    "CATALOG",
    "EXTRACTORS",
    "PROFILES",
    "VERSION",
    "Distance",
    "Extractor",
    "Metric",
    "resolve",
]

_ROWS = (*fidelity.ROWS, *perceptual.ROWS, *sets.ROWS)

CATALOG: Mapping[str, Metric] = MappingProxyType({row.id: row for row in _ROWS})
EXTRACTORS: Mapping[str, Extractor] = MappingProxyType(
    {row.id: row for row in extractors.EXTRACTORS}
)

_DEFAULT = {row.name: row.variant for row in reversed(_ROWS)}
PROFILES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "default": MappingProxyType(_DEFAULT),
        # Edit2Restore as released.
        "paper": MappingProxyType({**_DEFAULT, "fid": "tm17", "clip_iqa": "torchmetrics"}),
    }
)


def resolve(
    names: Sequence[str], profile: str = "default", variants: Mapping[str, str] | None = None
) -> tuple[Metric, ...]:
    """Return the metrics asked for, in that order, each once.

    Args:
        names: bare names, whose variant the profile chooses, or "name:variant".
        profile: a key of `PROFILES`.
        variants: variants by bare name that replace the profile's.

    Raises:
        UsageError: an unknown name, variant or profile; it names the nearest one.
    """
    if profile not in PROFILES:
        raise unknown("metric profile", profile, PROFILES)
    chosen = {**PROFILES[profile], **(variants or {})}
    for name, variant in (variants or {}).items():
        _row(name, variant)
    return tuple(dict.fromkeys(_named(name, chosen) for name in names))


def _named(name: str, chosen: Mapping[str, str]) -> Metric:
    bare, colon, variant = name.partition(":")
    if bare not in _DEFAULT:
        raise unknown("metric", bare, _DEFAULT)
    return _row(bare, variant if colon else chosen[bare])


def _row(name: str, variant: str) -> Metric:
    if name not in _DEFAULT:
        raise unknown("metric", name, _DEFAULT)
    if f"{name}:{variant}" not in CATALOG:
        known = [row.variant for row in _ROWS if row.name == name]
        raise unknown(f"variant of {name}", variant, known)
    return CATALOG[f"{name}:{variant}"]
