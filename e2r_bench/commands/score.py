"""`e2r-bench score`: folders of images to numbers, in one pass; several of them are compared."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options, references
from e2r_bench.commands.types import FILE, NAMES, OUTPUT, flat

if TYPE_CHECKING:
    from e2r_bench.api.judge import Judgement
    from e2r_bench.api.score import Scored

_HEAD = 10
"""Bytes by which files of each format are known; run.json differs in them."""
_USUAL, _BLIND = ("psnr", "ssim", "lpips"), ("niqe", "brisque", "clip_iqa")
_SUFFIXES = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".txt": "table"}


@click.command("score", short_help="Score folders of results.")
@click.argument("folders", nargs=-1, required=True, type=FILE, metavar="RESTORED... CLEAN")
@click.option("--metrics", type=NAMES, help="Names, by comma; invented_share and its like too.  "
              "[psnr,ssim,lpips; without a reference niqe,brisque,clip_iqa]")  # fmt: skip
@click.option("--no-reference", is_flag=True, help="There is no CLEAN: all folders are RESTORED.")
@click.option("--profile", default="default", show_default=True, help="default or paper.")
@options.variant
@options.reading
@options.parts
@options.pooling
@options.margin
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json", "parquet"]),
    help="Of what is printed, or of --out.  [table, or by its suffix]",
)  # fmt: skip
@options.json_form
@click.option("--out", type=OUTPUT, help="File for what is printed otherwise: .csv .json .parquet.")
@click.option("--beside", help="Show what papers report of this task or method, below.")
@references.clean_extractor
@references.keep_clean
@options.weights
@click.option("--device", default="cpu", show_default=True, help="A torch device, or auto.")
@options.offline
def command(
    folders: Sequence[Path], form: str | None, out: Path | None, beside: str | None, **asked: Any
) -> int:
    """Score folders of RESTORED images against a folder of CLEAN ones, paired by name.

    The last folder is the clean one; where several are scored, they are compared with the first.
    With --no-reference there is none, and only what needs none is measured.
    For metrics of sets it may be an .npz of statistics instead (pytorch-fid, clean-fid, or of
    --keep-clean); nothing is compared then.
    Exit code 1 when a picture failed, a weight file is not what it should be, or nothing could be
    measured; all are named.
    """
    if len(folders) < 2 and not asked["no_reference"]:
        raise click.UsageError(
            "expected folders of results and one of clean pictures, found one; where "
            "there are no clean ones, --no-reference"
        )
    if asked["no_reference"]:
        _refuse_reference(asked)
        asked["reference"] = "none"
    if asked["margins"] and len(folders) < (2 if asked["no_reference"] else 3):
        raise click.UsageError(
            "--margin: expected two folders of results or more to compare, found one; leave it out"
        )
    form = form or (_SUFFIXES.get(out.suffix.lower(), "table") if out else "table")
    if form == "parquet" and out is None:
        raise click.UsageError("--format parquet: expected --out FILE with it, found none")
    published = () if beside is None else _published(beside)
    results, judgement = _scored(folders, asked)
    _tell(results, judgement, form, out)
    for line in published:
        click.echo(line, err=form != "table")
    for one in results:
        _say_failures(one, len(results) > 1)
    measured = all(one.numbers for one in results)
    broken = any(one.failed or one.entrant.scores.broken for one in results)
    return 1 if broken or not measured else 0


def _refuse_reference(asked: Mapping[str, Any]) -> None:
    """Refuse what speaks of clean pictures where there are none."""
    for name, flag in (("keep_clean", "--keep-clean"), ("clean_extractor", "--clean-extractor")):
        if asked[name] is not None:
            raise click.UsageError(f"expected one of {flag} and --no-reference, found both")
    if asked["reference"] != "clean":
        raise click.UsageError("expected one of --reference and --no-reference, found both")


def _published(name: str) -> tuple[str, ...]:
    from e2r_bench.report.beside import lines_beside, rows_beside

    return tuple(lines_beside(rows_beside(name)))


def _scored(
    folders: Sequence[Path], asked: Mapping[str, Any]
) -> "tuple[list[Scored], Judgement | None]":
    from e2r_bench.api.judge import judge
    from e2r_bench.commands.folders import measures_of, scored_folders, session_of
    from e2r_bench.console import Console

    restored, clean = (folders[:-1], folders[-1]) if not asked["no_reference"] else (folders, None)
    measures = measures_of(asked["metrics"] or (_USUAL if clean else _BLIND), asked)
    with Console(quiet=True) as console:
        if clean is not None and references.is_file(clean):
            of_file = references.scored_against
            return of_file(restored, clean, measures, asked, console.watch), None
        if clean is not None:
            references.refuse_folder(clean, asked)
        results = scored_folders(restored, clean, measures, asked, console.watch)
    if asked["keep_clean"] is not None:
        references.keep(asked["keep_clean"], results[0].entrant, session_of(asked))
    if len(results) == 1:
        return results, None
    return results, judge(*results, margins=flat(asked["margins"]))


def _tell(
    results: "Sequence[Scored]", judgement: "Judgement | None", form: str, out: Path | None
) -> None:
    from e2r_bench.api import scored_text
    from e2r_bench.commands.scored import print_scores
    from e2r_bench.terminal import console_to

    entrants = [one.entrant for one in results]
    contest = judgement.contest if judgement is not None else None
    if form == "table":
        with console_to(out) as console:
            print_scores(console, entrants, contest)
        return
    makers = {
        "csv": scored_text.csv_text,
        "json": scored_text.json_text,
        "parquet": scored_text.parquet_bytes,
    }
    _write(makers[form](entrants, contest), out)
    for line in (line for one in results for line in one.not_measured):
        click.echo(line, err=True)


def _say_failures(one: "Scored", several: bool) -> None:
    whose = f"{one.name}: " if several else ""
    for name, reason in one.failed.items():
        click.echo(f"failed: {whose}{name}: {reason}", err=True)


def _write(content: str | bytes, out: Path | None) -> None:
    from e2r_metrics.base.files import refuse_foreign, write_bytes

    if out is None:
        click.echo(content, nl=False)
        return
    # A file name may hold bytes that are no text; they are written escaped.
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    refuse_foreign(out, lambda head: head[:_HEAD] == data[:_HEAD])
    write_bytes(out, data)
