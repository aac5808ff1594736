"""`e2r-bench methods`: the catalog, and what each method would run with on this machine."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options

if TYPE_CHECKING:
    from e2r_metrics.base.weights import Resolver


@click.command("methods", short_help="List the methods.")
@options.offline
@click.option("--recipes", is_flag=True, help="Ready lines for restorers that run elsewhere.")
@options.as_json
def command(offline: bool, recipes: bool, as_json: bool) -> None:
    """List the methods, their options and licences, and the build each would run with here."""
    from e2r_bench.run.services import open_resolver
    from e2r_bench.terminal import print_entry, stdout_console

    if recipes:
        _recipes(as_json)
        return
    resolver = open_resolver((), offline, lambda line: click.echo(line, err=True))
    rows = list(_rows(resolver))
    if as_json:
        options.print_json(rows)
        return
    console = stdout_console()
    for row in rows:
        set_to = {k: "unset" if v is None else v for k, v in row["options"].items()}
        settings = ", ".join(f"{name} = {value}" for name, value in set_to.items())
        details = {
            "note": row["note"],
            "tasks": ", ".join(row["tasks"]),
            "options": settings,
            "licence": row["licence"],
            "here": row["here"],
        }
        print_entry(console, f"{row['name']}: {row['title']}", details)


def _recipes(as_json: bool) -> None:
    from dataclasses import asdict

    from e2r_baselines.recipes import recipes
    from e2r_bench.terminal import print_entry, stdout_console

    if as_json:
        options.print_json([asdict(one) for one in recipes()])
        return
    console = stdout_console()
    for one in recipes():
        details = {
            "licence": one.licence, "weights": one.weights, "note": one.note,
            "give": f"--methods {one.how}",
        }  # fmt: skip
        print_entry(console, f"{one.name}: {one.source}", details)


def _rows(resolver: "Resolver") -> Iterator[dict[str, Any]]:
    """Yield a method's facts; its options with their defaults."""
    from dataclasses import asdict

    from e2r_baselines.method import options_of
    from e2r_bench.run.plan import known_methods, runnable_build

    for name, method in known_methods().items():
        options = options_of(method, {})
        spec = method.make(options)
        yield {
            "name": name,
            "title": spec.title,
            "note": spec.note,
            "source": spec.source,
            "tasks": sorted(spec.tasks),
            "options": asdict(options),
            "licence": spec.licence,
            "here": runnable_build(spec, resolver),
        }
