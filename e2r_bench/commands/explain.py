"""`e2r-bench explain`: which protocol gives the number that a paper prints?"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import FILE
from e2r_bench.explained import by_chance, command_of, sentence, words
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_bench.api.explain import Explained


class _Stated(click.ParamType):
    """A stated number, its digits kept: "psnr=37.44" is ("psnr", "37.44")."""

    name = "METRIC=NUMBER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        from e2r_bench.api.explain import said_of

        name, equals, text = str(value).partition("=")
        if not equals:
            self.fail(f"expected METRIC=NUMBER such as psnr=37.44, found {value!r}", param, ctx)
        try:
            return name, said_of(name, text).text
        except UsageError as error:
            self.fail(str(error), param, ctx)


@click.command("explain", short_help="Which protocol gives a stated number?")
@click.argument("restored", type=FILE)
@click.argument("clean", type=FILE)
@click.option("--says", "stated", multiple=True, required=True, type=_Stated(),
              help="psnr=37.44, ssim=.978, lpips=.06: digits as printed; several say more.",
              )  # fmt: skip
@options.reading
@options.weights
@options.offline
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True,
              help="Protocols to print.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table; all protocols.")
def command(
    restored: Path,
    clean: Path,
    stated: tuple[tuple[str, str], ...],
    weights: tuple[Path, ...],
    offline: bool,
    top: int,
    as_json: bool,
    **asked: Any,
) -> int:
    """Try the protocols of published code on two folders, and say which give the stated numbers.

    Tried are channels, borders, crops, depths, windows and covariances of SSIM, both means over
    pictures, orders of pairs, and networks and usual mistakes of LPIPS. Exit code 1 when none gives
    the numbers, or a picture failed.
    """
    from e2r_bench.api.explain import explain
    from e2r_bench.api.session import open_session
    from e2r_bench.console import Console

    says = dict(stated)
    if len(says) < len(stated):
        raise click.UsageError("--says: expected each metric once")
    parts = options.parts_of(asked)
    session = open_session(weights, "cpu", offline, lambda line: click.echo(line, err=True))
    with Console() as console:
        made = explain(
            restored, clean, says, parts=parts, top=top, session=session, watch=console.watch
        )
    measured = made.measured
    for name, reason in measured.failed.items():
        click.echo(f"failed: {name}: {reason}", err=True)
    if measured.n == 0:
        click.echo("nothing could be measured", err=True)
        return 1
    if as_json:
        click.echo(json.dumps(made.records(), indent=1, allow_nan=False))
    else:
        _print(made, top)
    return 0 if made.found.hits and not measured.failed else 1


def _print(made: "Explained", top: int) -> None:
    from e2r_bench.terminal import print_line, print_table, stdout_console

    console, found = stdout_console(), made.found
    for line in sentence(found, made.measured.n):
        print_line(console, line)
    answers = (found.hits or found.nearest)[:top]
    heads = ["protocol", *(f"{one.metric} ({one.text})" for one in found.said), "by chance"]
    rows = [
        [
            words(answer.protocol),
            *(f"{c.value:.{_shown(s.text)}f}"
              for c, s in zip(answer.protocol.choices, found.said, strict=True)),
            by_chance(answer, found),
        ]
        for answer in answers
    ]  # fmt: skip
    print_table(console, heads, rows)
    for number, answer in enumerate(answers, 1):
        command = command_of(answer.protocol, made.folders, made.parts)
        print_line(console, f"{number}: {command or 'no command: score makes no such mistake'}")
        for other in answer.same[:3]:
            print_line(console, f"   the same numbers here: {words(other)}")
        if len(answer.same) > 3:
            print_line(console, f"   and {len(answer.same) - 3} more with the same numbers here")
    for line in _left_out(made.measured.left_out):
        print_line(console, line)


def _shown(text: str) -> int:
    return len(text.partition(".")[2]) + 2


def _left_out(reasons: Mapping[str, str]) -> Iterator[str]:
    for what, reason in reasons.items():
        yield f"not tried: {what}: {reason}"
