"""`e2r-bench completion`: the script that completes commands and flags in a shell."""

import click

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="Complete commands and flags in bash, zsh or fish.")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script of SHELL that completes commands and flags.

    \b
    bash, in ~/.bashrc:  eval "$(e2r-bench completion bash)"
    zsh,  in ~/.zshrc:   eval "$(e2r-bench completion zsh)"
    fish, in config.fish:  e2r-bench completion fish | source
    """
    from click.shell_completion import get_completion_class

    from e2r_bench.cli import COMPLETE, cli
    from e2r_metrics.base.errors import UsageError

    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"expected a shell that click completes, found {shell}")
    click.echo(found(cli, {}, "e2r-bench", COMPLETE).source())
