"""A figure of crops: input, methods and truth with the boxes marked, and enlarged below."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from e2r_bench.maps.selection import restorers, shown_draw
from e2r_bench.report.drawing import new_figure, save_figure
from e2r_bench.report.labels import label_build, number
from e2r_bench.report.palette import on_paper
from e2r_bench.report.roles import FIDELITY, PERCEPTION, chosen
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.base.pictures import EightBit, read_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""
_INCHES = 1.75
_DPI = 300


@dataclass(frozen=True)
class Wanted:
    """One case of the run, as the page's links name it."""

    task: str
    method: str
    image: str

    @property
    def stem(self) -> str:
        """Return a name for its file."""
        return "_".join(quote(part, safe="") for part in (self.task, self.image))


@dataclass(frozen=True)
class _Shown:
    """A picture of a row: its title, what is said below it, and its pixels."""

    title: str
    note: str
    pixels: EightBit


def parse_case(text: str, store: Store) -> Wanted:
    """Return the case that a link's end or `TASK/METHOD/IMAGE` names; parts are percent-encoded.

    Raises:
        UsageError: another form, or a task, method or picture that the run lacks.
    """
    parts = [unquote(part) for part in text.removeprefix("#").split("/")]
    if len(parts) != 3:
        raise UsageError(
            f"--figure {text}: expected TASK/METHOD/IMAGE, as a case's link in the report ends; "
            "write a slash within a name as %2F"
        )
    wanted = Wanted(*parts)
    for what, name, known in (
        ("task of this run", wanted.task, store.info.tasks),
        ("method of this run", wanted.method, store.info.methods),
    ):
        if name not in known:
            raise unknown(what, name, known)
    if wanted.image not in store.images(wanted.task):
        raise unknown(f"picture of {wanted.task}", wanted.image, store.images(wanted.task))
    return wanted


def write_figure(store: Store, cases: Sequence[Wanted], boxes: Sequence[Box]) -> tuple[Path, ...]:
    """Write `figures/<name>.png` and `.pdf` into the run folder: per case a row of whole pictures,
    and a row of each box's crops, enlarged without interpolation.

    The method of a case goes first; the others of the run stand beside it.

    Args:
        store: the run.
        cases: at least one.
        boxes: what is cut out of every picture; none for whole pictures alone.

    Raises:
        UsageError: a box that does not lie inside a picture, or a folder that cannot be written to.
        PictureError: a picture that is not there.
    """
    rows = [list(_row(store, case)) for case in cases]
    for row in rows:
        for box in boxes:
            _check(box, row[0].pixels)
    columns = max(map(len, rows))
    heights = [height for row in rows for height in _heights(row, boxes)]
    figure = new_figure(_INCHES * columns, sum(heights) * _INCHES + 0.4 * len(rows) + 0.25)
    grid = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    for axes in grid.flat:
        axes.set_axis_off()
    for at, (case, row) in enumerate(zip(cases, rows, strict=True)):
        top = at * (1 + len(boxes))
        for column, shown in enumerate(row):
            _draw(list(grid[top : top + 1 + len(boxes), column]), shown, boxes)
        # Beside the row: names of files may be longer than a picture is wide.
        grid[top, 0].text(
            -0.03, 0.5, f"{case.task}\n{case.image}", transform=grid[top, 0].transAxes, fontsize=5,
            rotation=90, ha="right", va="center", parse_math=False,
        )  # fmt: skip
    figure.supxlabel(f"protocol {store.info.protocol}; {_said(boxes)}", fontsize=4.5, color="#555")
    folder = store.folder / "figures"
    stem = cases[0].stem if len(cases) == 1 else f"{cases[0].stem}_and_{len(cases) - 1}_more"
    return tuple(folder / name for name in save_figure(folder, stem, figure, ("png", "pdf"), _DPI))


def _row(store: Store, case: Wanted) -> Iterator[_Shown]:
    yield _Shown("input", "", read_image(store.degraded_path(case.task, case.image)))
    others = (name for name in restorers(store) if name != case.method)
    for method in (case.method, *others):
        cell = Cell(method, case.task, shown_draw(store, method), case.image)
        if method == case.method or store.has(cell):
            build = label_build(method, store.info.methods[method])
            note = "\n".join(part for part in (build, _scores(store, cell)) if part)
            yield _Shown(method, note, read_image(store.path(cell)))
    if store.info.tasks[case.task].truth:
        truth = read_image(store.clean_path(case.task, case.image))
        yield _Shown("ground truth", "", truth)


def _scores(store: Store, cell: Cell) -> str:
    """Return the picture's own fidelity and perception: of the whole picture, not of the crop."""
    found: list[str] = []
    for role in (FIDELITY, PERCEPTION):
        key = chosen(role, store.info.metrics)
        values = {} if key is None else store.values(cell.method, cell.task, cell.draw, key)
        if key is not None and cell.image in values:
            unit = store.info.metrics[key].unit
            found.append(f"{key} {number(values[cell.image], unit)} {unit}".strip())
    return ", ".join(found)


def _check(box: Box, pixels: EightBit) -> None:
    left, top, width, height = box
    rows, columns = pixels.shape[:2]
    if min(width, height) < 1 or left + width > columns or top + height > rows:
        raise UsageError(
            f"--crop {','.join(map(str, box))}: expected x,y,w,h inside {columns} x {rows} pixels"
        )


def _heights(row: Sequence[_Shown], boxes: Sequence[Box]) -> list[float]:
    rows, columns = row[0].pixels.shape[:2]
    return [rows / columns, *(height / width for _, _, width, height in boxes)]


def _draw(column: "Sequence[Axes]", shown: _Shown, boxes: Sequence[Box]) -> None:
    from matplotlib.patches import Rectangle

    whole, *crops = column
    whole.imshow(shown.pixels, interpolation="nearest")
    whole.set_title(shown.title, fontsize=6.5, pad=2, parse_math=False)
    if shown.note:
        whole.text(
            0.5,
            -0.02,
            shown.note,
            transform=whole.transAxes,
            fontsize=4,
            ha="center",
            va="top",
            parse_math=False,
        )
    for axes, box, colour in zip(crops, boxes, on_paper(len(boxes)), strict=True):
        left, top, width, height = box
        edge = Rectangle(
            (left - 0.5, top - 0.5), width, height, fill=False, lw=1.2, edgecolor=colour
        )
        whole.add_patch(edge)
        axes.imshow(shown.pixels[top : top + height, left : left + width], interpolation="nearest")
        axes.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, lw=1.6, edgecolor=colour))


def _said(boxes: Sequence[Box]) -> str:
    cut = "; ".join(",".join(map(str, box)) for box in boxes)
    return f"boxes x,y,w,h: {cut}; scores are of whole pictures" if cut else "whole pictures"
