"""`e2r-bench methods`: the catalog, and what each method would run with on this machine."""

import click


@click.command("methods", short_help="List the methods.")
@click.option("--offline", is_flag=True, help="Open no connection.")
def command(offline: bool) -> None:
    """List the methods, their licences, and the build each would run with here."""
    from rich.console import Console
    from rich.table import Table

    from e2r_bench.config import Experiment
    from e2r_bench.plan import known_methods, runnable_build
    from e2r_bench.services import open_resolver

    resolver = open_resolver((), offline, click.echo)
    table = Table("method", "what", "tasks", "licence", "here")
    for spec in known_methods(Experiment(methods=(), offline=offline)).values():
        here = runnable_build(spec, resolver)
        what = f"{spec.title}: {spec.note}" if spec.note else spec.title
        table.add_row(spec.name, what, " ".join(sorted(spec.tasks)), spec.licence, here)
    Console().print(table)
