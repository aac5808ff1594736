"""The log of a training: one JSON line per step, and the loss curve drawn from it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOG_FILE = "train.jsonl"
CURVE_FILE = "loss.png"
_WINDOW = 50


class Journal:
    """Appends to `train.jsonl`; rows past the step resumed from go, for they come again."""

    def __init__(self, folder: Path, resumed: int) -> None:
        """Open the log of a training that has done `resumed` steps."""
        self._folder = folder
        path = folder / LOG_FILE
        kept = [row for row in read_log(folder) if row["step"] <= resumed]
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
    """Return the rows of a training's log; a last line that was cut short is left out."""
    path = folder / LOG_FILE
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    # Every whole line ends in a newline, so what follows the last one is a torn row.
    return [json.loads(line) for line in lines[:-1]]


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
    path = folder / CURVE_FILE
    temporary = path.with_suffix(".part.png")
    figure.savefig(temporary, dpi=120)
    os.replace(temporary, path)
    return path


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file to a temporary name, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an indented JSON file; see `write_text`."""
    write_text(path, json.dumps(content, indent=2) + "\n")
