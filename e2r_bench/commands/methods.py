"""`e2r-bench methods`: the catalog, and what each method would run with on this machine."""

import click


@click.command("methods", short_help="List the methods.")
@click.option("--offline", is_flag=True, help="Open no connection.")
def command(offline: bool) -> None:
    """List the methods, their licences, and the build each would run with here."""
    from rich.console import Console
    from rich.table import Table

    from e2r_baselines.method import options_of
    from e2r_bench.run.plan import known_methods, runnable_build
    from e2r_bench.run.services import open_resolver

    resolver = open_resolver((), offline, click.echo)
    table = Table("method", "what", "tasks", "licence", "here")
    for name, method in known_methods().items():
        spec = method.make(options_of(method, {}))
        here = runnable_build(spec, resolver)
        table.add_row(name, spec.title, " ".join(sorted(spec.tasks)), spec.licence, here)
    Console().print(table)
