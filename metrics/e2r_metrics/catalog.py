"""Every metric by name and variant, as data: what a number means travels with it.

Adding a metric: write its module (an `open_metric` for per-image metrics, an `open_set` for set
metrics), add one row to its family's table in `rows/` and, if it needs weights, one table to
`weights.toml`. The first row of a name is its default variant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from e2r_metrics.base.errors import UsageError, repeated, unknown
from e2r_metrics.rows import blind, extractors, fidelity, perceptual, sets
from e2r_metrics.rows.types import VERSION, Distance, Extractor, Metric
from e2r_metrics.variants import described, with_channel

__all__ = [
    "CATALOG",
    "EXTRACTORS",
    "PROFILES",
    "VERSION",
    "Distance",
    "Extractor",
    "Metric",
    "composites",
    "metric_of",
    "resolve",
]

_ROWS = (*fidelity.ROWS, *perceptual.ROWS, *blind.ROWS, *sets.ROWS)

CATALOG: Mapping[str, Metric] = MappingProxyType({row.id: row for row in _ROWS})
EXTRACTORS: Mapping[str, Extractor] = MappingProxyType(
    {row.id: row for row in extractors.EXTRACTORS}
)

_DEFAULT = {row.name: row.variant for row in reversed(_ROWS)}
SHARES = ("invented_share", "lost_share", "unfaithful_share")
"""Columns that maps add to each run beside its metrics: nothing from outside has their names."""
_TAKEN = (*_DEFAULT, *SHARES)
# Metrics whose other variants are composed when they are asked for, and the row that they vary.
COMPOSED: Mapping[str, str] = MappingProxyType({"psnr": "psnr:rgb", "ssim": "ssim:gauss"})
PROFILES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "default": MappingProxyType(_DEFAULT),
        # Edit2Restore as released.
        "paper": MappingProxyType({**_DEFAULT, "fid": "tm17", "clip_iqa": "torchmetrics"}),
    }
)


def resolve(
    names: Sequence[str],
    profile: str = "default",
    variants: Mapping[str, str] | None = None,
    channel: str | None = None,
) -> tuple[Metric, ...]:
    """Return the metrics asked for, in that order.

    Args:
        names: bare names, whose variant the profile chooses, or "name:variant"; of composites, and
            files of a user's own: "FILE.toml", "FILE.toml:NAME"; programs: "command:LINE".
        profile: a key of `PROFILES`.
        variants: variants by bare name that replace the profile's.
        channel: what PSNR and SSIM are computed on, of `CHANNELS`; None: their own.

    Raises:
        UsageError: an unknown name, variant, profile or channel; it names the nearest one. Or two
            names for one metric.
    """
    if profile not in PROFILES:
        raise unknown("metric profile", profile, PROFILES)
    chosen = {**PROFILES[profile], **(variants or {})}
    for name, variant in (variants or {}).items():
        _row(name, variant)
    rows = _all_named(names, chosen)
    if channel is not None:
        rows = [_on(row, channel) if row.name in COMPOSED else row for row in rows]
        if not any(row.name in COMPOSED for row in rows):
            raise UsageError(
                f"--channel {channel}: expected {' or '.join(COMPOSED)} among the metrics, found "
                f"{', '.join(row.name for row in rows)}, which have no channel to choose"
            )
    # Margins and verdicts go by bare names: two programs of one name would share theirs.
    if twice := repeated(row.name for row in rows if row.program):
        raise UsageError(
            f"metrics: expected programs of different names, found {twice!r} twice; leave one out, "
            "or give name=NAME before the program"
        )
    if twice := repeated(row.id for row in rows):
        raise UsageError(f"metrics: expected each once, found {twice} twice: {', '.join(names)}")
    return tuple(rows)


def metric_of(key: str) -> Metric:
    """Return the metric of an id, "name:variant", listed or composed; UsageError for none."""
    return _row(*key.split(":", 1))


def _on(row: Metric, channel: str) -> Metric:
    return _row(row.name, with_channel(row.name, row.variant, channel))


def _all_named(names: Sequence[str], chosen: Mapping[str, str]) -> list[Metric]:
    try:
        return [_named(name, chosen) for name in names]
    except UsageError as error:
        if len(names) > 1 and any(name.startswith("command:") for name in names):
            raise UsageError(f"{error}; no comma may stand in a command: line") from error
        raise


def _named(name: str, chosen: Mapping[str, str]) -> Metric:
    bare, colon, variant = name.partition(":")
    if bare not in _DEFAULT:
        return _foreign(bare, variant)
    return _row(bare, variant if colon else chosen[bare])


def _row(name: str, variant: str) -> Metric:
    if name not in _DEFAULT:
        return _foreign(name, variant)
    if name in COMPOSED:
        told = described(name, variant)
        usual = CATALOG.get(f"{name}:{told.variant}")
        return usual or replace(CATALOG[COMPOSED[name]], **told._asdict(), reference="-")
    if f"{name}:{variant}" not in CATALOG:
        known = [row.variant for row in _ROWS if row.name == name]
        raise unknown(f"variant of {name}", variant, known)
    return CATALOG[f"{name}:{variant}"]


def composites() -> tuple[Metric, ...]:
    """Return the challenge scores that come with the package."""
    from e2r_metrics.composite_tables import composite_names

    return resolve(composite_names())


def _foreign(name: str, variant: str) -> Metric:
    """Return a composite, a program, or another package's; only other names look for them."""
    from e2r_metrics.command_line import COMMAND
    from e2r_metrics.command_metric import command_metric
    from e2r_metrics.composite_tables import composite_metric, composite_names
    from e2r_metrics.plugins import plugin_names

    taken = (*_TAKEN, *composite_names(), *plugin_names())
    if name == COMMAND:
        return command_metric(variant, taken)
    found = composite_metric(name, variant, _part, taken) or _plugin(name, variant)
    if found is None:
        raise unknown("metric", name, (*_DEFAULT, *composite_names(), *plugin_names()))
    return found


def _part(key: str) -> Metric | None:
    """Return the metric that is a part of a composite, None where nobody has its name."""
    name, _, variant = key.partition(":")
    return _named(key, _DEFAULT) if name in _DEFAULT else _plugin(name, variant)


def _plugin(name: str, variant: str) -> Metric | None:
    from e2r_metrics.composite_tables import composite_names
    from e2r_metrics.plugins import metric_plugin

    found = metric_plugin(name, (*_TAKEN, *composite_names()))
    if found is not None and variant not in ("", found.variant):
        raise unknown(f"variant of {name}", variant, [found.variant])
    return found
