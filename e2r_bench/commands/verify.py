"""`e2r-bench verify`: is a bundle as it was published, and do its pictures give its numbers?"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import NAMES

if TYPE_CHECKING:
    from e2r_bench.bundle.rescore import Checked
    from e2r_bench.bundle.verify import Verdict

_SHOWN = 40


@click.command("verify", short_help="Check a bundle, and measure it again.")
@click.argument("bundle", type=click.Path(exists=True, path_type=Path))
@click.option("--sha256", "published", help="The digest that its publisher stated.")
@click.option("--data", type=NAMES, default=(), help="Sets, as for run, whose pictures it lacks.")
@options.weights
@click.option("--device", default="auto", show_default=True, help="A torch device.")
@options.offline
@options.as_json
def command(
    bundle: Path, published: str | None, data: tuple[str, ...], weights: tuple[Path, ...],
    device: str, offline: bool, as_json: bool,
) -> int:  # fmt: skip
    """Check every file of BUNDLE, measure its pictures again and compare number by number.

    Exit code 1 where something is not as it was published, or a number does not come out again; it
    is named, with the reason. Where only hashes are there, the verdict is "integrity only".
    """
    from e2r_bench.api.bundles import verify
    from e2r_bench.api.session import open_session
    from e2r_bench.console import Console

    with Console(quiet=True) as console:
        session = open_session(weights, device, offline, console.say)
        verdict = verify(bundle, sha256=published, data=data, session=session, watch=console.watch)
    if as_json:
        options.print_json(_told(verdict))
    else:
        for line in _said(verdict):
            click.echo(line)
    return 1 if verdict.wrong else 0


def _told(verdict: "Verdict") -> dict[str, Any]:
    from dataclasses import asdict

    told: dict[str, Any] = {"verdict": verdict.word, **asdict(verdict)}
    for part, checked in (("rows", verdict.rows), ("summary", verdict.summary)):
        # `asdict` makes a Counter anew, of its items.
        told[part]["unchecked"] = dict(checked.unchecked)
    return told


def _said(verdict: "Verdict") -> Iterator[str]:
    yield f"digest {verdict.digest}"
    yield f"{verdict.files} files, {verdict.absent} pictures by hash alone"
    for name, checked in (("rows", verdict.rows), ("summary", verdict.summary)):
        yield from _checked(name, checked)
    for name, both in verdict.versions.items():
        yield f"version: {name} {both}"
    for one in verdict.wrong[:_SHOWN]:
        yield str(one)
    if len(verdict.wrong) > _SHOWN:
        yield f"and {len(verdict.wrong) - _SHOWN} more; --json lists them"
    yield f"verdict: {verdict.word}"


def _checked(name: str, checked: "Checked") -> Iterator[str]:
    if checked.equal + checked.within + len(checked.differing) + checked.unchecked.total() == 0:
        return
    yield (
        f"{name}: {checked.equal} equal, {checked.within} within tolerance, "
        f"{len(checked.differing)} not"
    )
    for key, gap in checked.largest.items():
        yield f"    {key}: at most {gap:.2g} away"
    for why, count in checked.unchecked.items():
        yield f"    {count} not compared: {why}"
