"""What studies left in the run folder: verdict rows, and sections of text and plots."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import read_text


@dataclass(frozen=True)
class Section:
    """One study.

    Attributes:
        name: its folder's name.
        title: its heading.
        markdown: its text; raw HTML in it is shown as text.
        plots: paths of its PNG or SVG files; where both exist, the SVG.
    """

    name: str
    title: str
    markdown: str
    plots: tuple[Path, ...]


@dataclass(frozen=True)
class Verdicts:
    """The verdict rows of all studies, as text under the union of their keys."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_sections(folder: Path) -> tuple[Section, ...]:
    """Read `studies/*/section.json` of a run folder, and of the claims that it is an arm of.

    Raises:
        UsageError: a file that is not what a study writes.
    """
    return tuple(_section(path) for path in _written(folder, "section.json"))


def read_verdicts(folder: Path) -> Verdicts:
    """Read `studies/*/verdicts.json`: lists of rows; a cell that a row lacks is empty.

    Raises:
        UsageError: a file that is not a list of objects.
    """
    rows = [row for path in _written(folder, "verdicts.json") for row in _rows(path)]
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    return Verdicts(columns, tuple(tuple(_text(row.get(key)) for key in columns) for row in rows))


def _written(folder: Path, name: str) -> list[Path]:
    """Return what studies wrote of a run; arms lie in `runs` beside the studies that judge them."""
    found = sorted(folder.glob(f"studies/*/{name}"))
    home = folder.resolve().parent
    return found + (sorted(home.parent.glob(f"studies/*/{name}")) if home.name == "runs" else [])


def _section(path: Path) -> Section:
    content = _json(path)
    if not isinstance(content, Mapping) or not {"title", "markdown"} <= content.keys():
        raise UsageError(f"{path}: expected title, markdown and plots; run the study again")
    files = [path.parent / Path(str(name)).name for name in content.get("plots", ())]
    return Section(
        path.parent.name, str(content["title"]), str(content["markdown"]), tuple(_sharpest(files))
    )


def _sharpest(files: Sequence[Path]) -> Iterator[Path]:
    """Yield one file per plot that is there: the SVG where a PNG has one beside it."""
    for stem in dict.fromkeys(file.stem for file in files):
        kinds = {file.suffix.lower(): file for file in files if file.stem == stem}
        chosen = kinds.get(".svg", kinds.get(".png"))
        if chosen is not None and chosen.is_file():
            yield chosen


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    content = _json(path)
    if not isinstance(content, list):
        raise UsageError(f"{path}: expected a list of verdicts; run the study again")
    for row in content:
        if not isinstance(row, Mapping):
            raise UsageError(f"{path}: expected verdicts with named values, found {row!r}")
        yield row


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: expected JSON of a study, found: {error}") from error


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_text(entry) for entry in value)
    return str(value)
