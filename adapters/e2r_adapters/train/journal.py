"""The log of a training: one JSON line per step, and the loss curve drawn from it."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_bytes, write_text

LOG_FILE = "train.jsonl"
CURVE_FILE = "loss.png"
_WINDOW = 50


class Journal:
    """Appends to `train.jsonl`; rows past the step resumed from go, for they come again."""

    def __init__(self, folder: Path, resumed: int) -> None:
        """Open the log of a training that has done `resumed` steps.

        Raises:
            UsageError: rows of those steps are missing or damaged.
        """
        path = folder / LOG_FILE
        kept = [row for row in read_log(folder) if row["step"] <= resumed]
        if [row["step"] for row in kept] != list(range(1, resumed + 1)):
            raise UsageError(
                f"{path}: expected the rows of steps 1 to {resumed}, which the newest checkpoint "
                f"has done, found {len(kept)}; put the log back, or begin anew in another --out"
            )
        write_text(path, "".join(f"{json.dumps(row)}\n" for row in kept))
        self._stream = path.open("a", encoding="utf-8")

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row; it is on disk after the next `flush`."""
        self._stream.write(f"{json.dumps(row)}\n")

    def flush(self) -> None:
        """Write out what was added."""
        self._stream.flush()

    def close(self) -> None:
        """Close the log."""
        self._stream.close()


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a training's log; a last line that was cut short is left out.

    Raises:
        UsageError: another line is damaged.
    """
    path = folder / LOG_FILE
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    # Every whole line ends in a newline, so what follows the last one is a torn row.
    return [_row(path, number, line) for number, line in enumerate(lines[:-1], 1)]


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row: Any = json.loads(line)
    except ValueError:
        row = None
    if not (isinstance(row, dict) and isinstance(row.get("step"), int) and "loss" in row):
        raise UsageError(
            f"{path}: expected a row of a training in line {number}, found {line[:40]!r}; put the "
            "log back, or begin anew in another --out"
        )
    return row


def last_loss(folder: Path) -> float:
    """Return the mean loss of the last 50 steps; NaN without a log."""
    losses = [float(row["loss"]) for row in read_log(folder)[-_WINDOW:]]
    return sum(losses) / len(losses) if losses else float("nan")


def draw_curve(folder: Path) -> Path:
    """Draw the loss of each step and its running mean over 50 steps; returns the PNG's path."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read_log(folder)
    step, loss = (np.array([row[name] for row in rows]) for name in ("step", "loss"))
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(step, loss, linewidth=0.5, color="0.75", label="each step")
    if len(loss) >= _WINDOW:
        mean = np.convolve(loss, np.ones(_WINDOW) / _WINDOW, mode="valid")
        axes.plot(step[_WINDOW - 1 :], mean, color="C0", label=f"mean of {_WINDOW} steps")
    axes.set(xlabel="optimizer step", ylabel="flow-matching loss (MSE of the velocity)")
    axes.set_yscale("log")
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, dpi=120, format="png")
    write_bytes(folder / CURVE_FILE, content.getvalue())
    return folder / CURVE_FILE
