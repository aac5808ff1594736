"""Figures for paper and page: PNG, SVG and PDF, the same bytes for the same numbers."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_bench.report.palette import on_paper
from e2r_metrics.base.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL_KINDS = ("png", "svg", "pdf")
_METADATA = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def new_figure(width: float = 7.0, height: float = 4.0) -> "Figure":
    """Return an empty figure that needs no display and no global state; sides in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(
    folder: Path, stem: str, figure: "Figure", kinds: Sequence[str] = ALL_KINDS, dpi: int = 150
) -> list[str]:
    """Write a figure in every kind and return the files' names.

    Raises:
        UsageError: the folder cannot be written to.
    """
    import matplotlib as mpl

    names: list[str] = []
    with mpl.rc_context({"svg.hashsalt": stem, "svg.fonttype": "path", "pdf.fonttype": 42}):
        for kind in kinds:
            stream = BytesIO()
            figure.savefig(stream, format=kind, dpi=dpi, metadata=_METADATA[kind])
            names.append(f"{stem}.{kind}")
            write_bytes(folder / names[-1], stream.getvalue())
    return names


def series_colours(names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each series on white; see `palette`."""
    return dict(zip(names, on_paper(len(names)), strict=True))
