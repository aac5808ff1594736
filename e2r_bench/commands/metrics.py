"""`e2r-bench metrics`: every metric, what it is, and whether it can be measured here."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options

if TYPE_CHECKING:
    from e2r_metrics import Metric, Missing
    from e2r_metrics.base.weights import Resolver


@click.command("metrics", short_help="List the metrics, and which can be measured here.")
@options.weights
@options.as_json
def command(weights: tuple[Path, ...], as_json: bool) -> None:
    """List every metric and variant: direction, definition, paper, and whether it runs here.

    Downloads nothing. A bare name means the variant marked as usual.
    """
    from e2r_bench.run.services import open_resolver
    from e2r_bench.terminal import print_entry, stdout_console

    resolver = open_resolver(weights, False, lambda line: click.echo(line, err=True))
    rows = [*_rows(resolver), *_shares()]
    if as_json:
        options.print_json(rows)
        return
    console = stdout_console()
    for row in rows:
        better = "higher" if row["higher_is_better"] else "lower"
        details = {
            "kind": f"{row['scope']}; {better} is better"
            + (f"; {row['unit']}" if row["unit"] else ""),
            "usual": ", ".join(row["profiles"]),
            "protocol": row["protocol"],
            "paper": row["paper"],
            "agrees": row["agrees"],
            "margin": row["margin"],
            "here": row["here"],
            "to fetch": row["fetch"] or "",
        }
        print_entry(console, f"{row['name']}: {row['title']}", details)


def _rows(resolver: "Resolver") -> Iterator[dict[str, Any]]:
    """Yield a metric's facts, and what keeps it from being measured here."""
    from e2r_metrics import CATALOG, PROFILES
    from e2r_metrics.catalog import composites

    for metric in (*CATALOG.values(), *composites()):
        here, fetch = _here(metric, resolver)
        yield {
            "name": metric.id,
            "title": metric.title,
            "scope": metric.scope,
            "higher_is_better": metric.higher_is_better,
            "unit": metric.unit,
            "profiles": [
                n for n, usual in PROFILES.items() if usual.get(metric.name) == metric.variant
            ],
            "protocol": metric.protocol,
            "paper": metric.paper,
            "agrees": f"{metric.reference}, to {metric.tolerance}",
            "weights": list(metric.weights),
            "margin": _margin(metric.id, [metric]),
            "measurable": fetch is None,
            "here": here,
            "fetch": fetch,
        }


def _here(metric: "Metric", resolver: "Resolver") -> tuple[str, str | None]:
    """Return whether a metric can be measured, in words, and the command that would help."""
    answer = _gone(metric, resolver)
    if answer is not None:
        return f"not measured: {answer.reason}", answer.command
    return "yes" if metric.weights else "yes; needs no weights", None


def _gone(metric: "Metric", resolver: "Resolver") -> "Missing | None":
    """Return what is missing on this machine; as `Session.missing`, and nothing is fetched."""
    from e2r_metrics import Missing
    from e2r_metrics.composites import missing_parts

    if metric.composite is not None:
        return missing_parts(metric, lambda part: _gone(part, resolver))
    looked = (resolver.look(name) for name in metric.weights)
    return next((answer for answer in looked if isinstance(answer, Missing)), None)


def _shares() -> Iterator[dict[str, Any]]:
    """Yield the shares, which a run measures whatever metrics it is asked for."""
    from e2r_bench.maps.shares import SHARES

    for key, info in SHARES.items():
        yield {
            "name": key,
            "title": f"{info.name.removesuffix('_share').capitalize()} share",
            "scope": "image",
            "higher_is_better": info.higher_is_better,
            "unit": info.unit,
            "profiles": ["every run"],
            "protocol": info.protocol,
            "paper": "docs/maps.md",
            "agrees": "planted errors, see results/maps",
            "weights": [],
            "margin": _margin(info.name),
            "measurable": True,
            "here": "yes; needs no weights",
            "fetch": None,
        }


def _margin(name: str, stating: "Sequence[Metric]" = ()) -> str:
    from e2r_bench.statistics.given import stated
    from e2r_bench.statistics.margins import margin_of

    margin = margin_of(name, stated(stating, {}))
    return f"{margin.value:g} {margin.unit}".strip() + f": {margin.reason}"
