"""`e2r-bench export`: a run's table for papers, programs and the model hub."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2r_bench.commands.types import FILE, OUTPUT

if TYPE_CHECKING:
    from e2r_bench.store.store import Store

_FORMS = ("latex", "csv", "markdown", "json", "hub", "model-card", "tensorboard")
_HUB = ("hub", "model-card")
_HEAD = 12
"""Bytes by which a file of each form is known."""


@click.command("export", short_help="A run's table for papers, programs, the model hub.")
@click.argument("run", type=FILE)
@click.option("--to", "form", type=click.Choice(_FORMS), required=True)
@click.option("--method", help="hub, model-card: whose numbers.")
@click.option("--dataset", help="hub, model-card: id of the data set's repository, org/NAME.")
@click.option("--task-id", default="{task}_{metric}", show_default=True,
              help="hub: id of a task there.")  # fmt: skip
@click.option("--source", default="", help="hub, model-card: page where the run is published.")
@click.option(
    "--out", type=OUTPUT, help="File for it, instead of printing; a new folder for tensorboard."
)
def command(
    run: Path, form: str, method: str | None, dataset: str | None, task_id: str, source: str,
    out: Path | None,
) -> None:  # fmt: skip
    """Print the table of RUN with intervals, n and protocols: LaTeX (booktabs), CSV, Markdown...

    hub is a file for .eval_results/ of a model's repository, model-card the metadata of its card;
    both take the numbers of one --method on a --dataset of the hub, and refuse a miniature's.
    tensorboard writes event files into --out.
    """
    from e2r_bench.store.store import open_store

    if form in _HUB and not (method and dataset):
        raise click.UsageError(f"--to {form}: expected --method and --dataset with it")
    if form not in _HUB and (method or dataset or source):
        raise click.UsageError(f"--to {form}: expected no --method, --dataset or --source")
    store = open_store(run)
    if form == "tensorboard":
        _events(store, out)
        return
    if form in _HUB:
        text = _for_hub(store, form, (str(method), str(dataset), task_id, source))
    else:
        text = _table(store, form)
    _write(text, out)


def _events(store: "Store", out: Path | None) -> None:
    from e2r_bench.report.tensorboard import write_scalars

    if out is None:
        raise click.UsageError("--to tensorboard: expected --out FOLDER with it")
    count = write_scalars(store, out)
    click.echo(f"{out}: {count} numbers; tensorboard --logdir {out}")


def _table(store: "Store", form: str) -> str:
    from e2r_bench.report import export

    if form == "json":
        return json.dumps(export.records(store), indent=1, ensure_ascii=False) + "\n"
    makers = {"latex": export.latex, "csv": export.csv_text, "markdown": export.markdown}
    return makers[form](store)


def _for_hub(store: "Store", form: str, told: tuple[str, str, str, str]) -> str:
    from e2r_bench.report.hub import Target, eval_results, model_card

    return (eval_results if form == "hub" else model_card)(store, Target(*told))


def _write(text: str, out: Path | None) -> None:
    from e2r_metrics.base.files import refuse_foreign, write_bytes

    # A file name may hold bytes that are no text; they are written escaped.
    data = text.encode(errors="backslashreplace")
    if out is None:
        click.echo(data.decode(), nl=False)
        return
    refuse_foreign(out, lambda head: head[:_HEAD] == data[:_HEAD])
    write_bytes(out, data)
    click.echo(str(out))
