"""`e2r-bench explain`: which protocol gives the number that a paper prints?"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import FILE
from e2r_bench.explained import by_chance, command_of, record, sentence, words

if TYPE_CHECKING:
    from e2r_metrics.explain.folders import Measured
    from e2r_metrics.explain.search import Findings, Said
    from e2r_metrics.parts import Parts

_METRICS = ("psnr", "ssim", "lpips")
_MOST_DIGITS = 6


class _Stated(click.ParamType):
    """A stated number, its digits kept: "psnr=37.44" is ("psnr", "37.44")."""

    name = "METRIC=NUMBER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        name, _, text = str(value).partition("=")
        whole, _, digits = text.strip().partition(".")
        if not (whole + digits).isascii() or not (whole + digits).isdigit():
            self.fail(f"expected METRIC=NUMBER such as psnr=37.44, found {value!r}", param, ctx)
        if name not in _METRICS:
            self.fail(
                f"expected {', '.join(_METRICS[:-1])} or {_METRICS[-1]}, found {name!r}", param, ctx
            )
        if len(digits) > _MOST_DIGITS:
            self.fail(
                f"expected at most {_MOST_DIGITS} decimals, as papers print them, found {text}",
                param,
                ctx,
            )
        return name, text.strip()


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
    from e2r_bench.console import Console
    from e2r_metrics import Resolver, Session, own_declarations
    from e2r_metrics.explain.folders import measure_folders
    from e2r_metrics.explain.search import search

    said = _said(stated)
    parts = options.parts_of(asked)
    resolver = Resolver(
        own_declarations(), weights, offline=offline, say=lambda line: click.echo(line, err=True)
    )
    with Console() as console:
        measured = measure_folders(
            restored, clean, [one.metric for one in said], parts,
            lambda done, total: console.watch("measure", done, total), Session(resolver),
        )  # fmt: skip
    for name, reason in measured.failed.items():
        click.echo(f"failed: {name}: {reason}", err=True)
    if measured.n == 0:
        click.echo("nothing could be measured", err=True)
        return 1
    found = search(measured.table, said, top)
    show = _print_json if as_json else _print
    show(found, measured, _Call(str(restored), str(clean), parts), top)
    return 0 if found.hits and not measured.failed else 1


def _said(stated: Sequence[tuple[str, str]]) -> list["Said"]:
    from e2r_metrics.explain.search import Said

    names = [name for name, _ in stated]
    if len(set(names)) < len(names):
        raise click.UsageError("--says: expected each metric once")
    return [
        Said(name, float(text), 0.5 * 10.0 ** -len(text.partition(".")[2]), text)
        for name, text in sorted(stated)
    ]


class _Call:
    """What a printed command repeats of this one."""

    def __init__(self, restored: str, clean: str, parts: "Parts") -> None:
        self.folders = (restored, clean)
        self.parts = parts


def _print(found: "Findings", measured: "Measured", call: _Call, top: int) -> None:
    from e2r_bench.terminal import print_line, print_table, stdout_console

    console = stdout_console()
    for line in sentence(found, measured.n):
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
        command = command_of(answer.protocol, call.folders, call.parts)
        print_line(console, f"{number}: {command or 'no command: score makes no such mistake'}")
        for other in answer.same[:3]:
            print_line(console, f"   the same numbers here: {words(other)}")
        if len(answer.same) > 3:
            print_line(console, f"   and {len(answer.same) - 3} more with the same numbers here")
    for line in _left_out(measured.left_out):
        print_line(console, line)


def _shown(text: str) -> int:
    return len(text.partition(".")[2]) + 2


def _left_out(reasons: Mapping[str, str]) -> Iterator[str]:
    for what, reason in reasons.items():
        yield f"not tried: {what}: {reason}"


def _print_json(found: "Findings", measured: "Measured", call: _Call, top: int) -> None:
    del top
    content = {
        "said": [{"metric": s.metric, "value": s.value, "digits": s.text} for s in found.said],
        "n": measured.n,
        "tried": found.tried,
        "distinct": found.distinct,
        "by_chance": found.by_chance,
        "two_channels": found.mixed,
        "hits": [record(a, call.folders, call.parts) for a in found.hits],
        "nearest": [record(a, call.folders, call.parts) for a in found.nearest],
        "failed": measured.failed,
        "not_tried": measured.left_out,
    }
    click.echo(json.dumps(content, indent=1, allow_nan=False))
