"""What a study leaves behind: Markdown, CSV, JSON, plots, and its section of the report."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_bench.report.drawing import save_figure
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = Mapping[str, Any]
_FILES = ("README.md", "results.csv", "results.json")


def refuse_other_page(folder: Path, plot: str) -> None:
    """Raise `UsageError` where `write_study` would replace files of somebody else.

    Args:
        folder: where a study is to be written; what else is in it stays.
        plot: file stem of a plot of that study, by which an earlier page of it is known.
    """
    taken = [name for name in _FILES if (folder / name).exists()]
    if taken and not (folder / f"{plot}.png").is_file():
        raise UsageError(
            f"{folder}: expected a folder without {taken[0]}, or with an earlier page of this "
            f"study, found {', '.join(taken)} and no {plot}.png; choose another folder"
        )


def write_study(
    folder: Path,
    title: str,
    text: str,
    records: Sequence[Record],
    figures: Mapping[str, "Figure"],
    verdicts: Sequence[Record] = (),
) -> None:
    """Write README.md, results.csv, results.json, section.json and every plot as PNG, SVG and PDF.

    Args:
        folder: `<run>/studies/<name>`, where the report finds it.
        title: heading of the section.
        text: Markdown: what was done, with n, protocol and builds, and what it says.
        records: the numbers, one mapping per line of the table.
        figures: file stem to figure.
        verdicts: rows for the report's verdict table.

    Raises:
        UsageError: the folder cannot be written to.
    """
    import pandas as pd

    plots = [name for stem, figure in figures.items() for name in save_figure(folder, stem, figure)]
    markdown = f"{text}\n\n{markdown_table(records)}"
    images = "\n\n".join(f"![{Path(name).stem}]({name})" for name in plots if name.endswith("png"))
    write_text(folder / "README.md", f"# {title}\n\n{markdown}\n\n{images}\n")
    write_text(folder / "results.csv", pd.DataFrame(list(records)).to_csv(index=False))
    write_text(folder / "results.json", _dump([dict(record) for record in records]))
    section = {"title": title, "markdown": markdown, "plots": plots}
    write_text(folder / "section.json", _dump(section))
    if verdicts:
        write_text(folder / "verdicts.json", _dump([dict(row) for row in verdicts]))


def _dump(content: Any) -> str:
    return json.dumps(_plain(content), indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold; it has no infinity."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def markdown_table(records: Sequence[Record]) -> str:
    """Return a Markdown table of the records; numbers with four significant digits."""
    if not records:
        return ""
    columns = list(dict.fromkeys(key for record in records for key in record))
    lines = [columns, ["---"] * len(columns)]
    lines += [[_cell(record.get(key)) for key in columns] for record in records]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).replace("|", "/")
