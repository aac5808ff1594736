"""costs.json of a run folder: what each method's first pictures cost, by instance."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from e2r_metrics.base.files import read_text, write_text

if TYPE_CHECKING:
    from e2r_bench.store.store import Store

COSTS = "costs.json"


class Cost(BaseModel):
    """What an instance costs.

    Attributes:
        parameters: numbers in the parameters that a pass reads; 0 where no network of torch ran.
        multiply_adds: of one picture of `counted_on`; convolutions, matrix products and attention.
        counted_on: (height, width).
        steps: of the sampler; 0 where there is none.
        peak_bytes: most memory held from before its weights were read to the end of its first
            call; None where the machine does not say.
        called_on: (height, width) of the first picture of that call.
        batch: pictures in that call.
        device: where.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: int
    multiply_adds: int
    counted_on: tuple[int, int]
    steps: int
    peak_bytes: int | None
    called_on: tuple[int, int]
    batch: int
    device: str


_TABLE = TypeAdapter(dict[str, Cost])


def read_costs(folder: Path) -> Mapping[str, Cost]:
    """Return instance -> cost; empty where nothing was counted, or the file is damaged."""
    try:
        return _TABLE.validate_json(read_text(folder / COSTS))
    except (OSError, ValueError, ValidationError):
        return {}


def put_cost(folder: Path, method: str, cost: Cost) -> None:
    """Add an instance's cost, or replace it."""
    table = {**read_costs(folder), method: cost}
    content = {name: one.model_dump(mode="json") for name, one in sorted(table.items())}
    write_text(folder / COSTS, json.dumps(content, indent=1) + "\n")


def seconds_of(store: "Store") -> Mapping[tuple[str, str], float]:
    """Return the mean wall time of a picture, (method, task) -> seconds.

    The mean, since a batch is done at once and its time stands with its first picture.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for row in store.timings():
        found.setdefault((str(row["method"]), str(row["task"])), []).append(float(row["seconds"]))
    return {key: float(np.mean(values)) for key, values in found.items()}


def cost_lines(store: "Store") -> list[str]:
    """Return what each method costs in a line, for the report and the terminal; controls not."""
    counted, seconds = read_costs(store.folder), seconds_of(store)
    lines: list[str] = []
    for name, info in store.info.methods.items():
        took = {task: s for (method, task), s in seconds.items() if method == name}
        if info.control or not took:
            continue
        parts = [*_counts(counted[name])] if name in counted else []
        shown = ", ".join(f"{value:.3g} s a picture on {task}" for task, value in took.items())
        lines.append(f"{name}: {', '.join([*parts, shown])}")
    return lines


def _counts(cost: Cost) -> list[str]:
    parts: list[str] = []
    if cost.parameters:
        steps = f", {cost.steps} steps" if cost.steps else ""
        parts.append(f"{cost.parameters:,} parameters")
        parts.append(f"{cost.multiply_adds / 1e9:.3g} GMAC for {_size(cost.counted_on)}{steps}")
    if cost.peak_bytes is not None:
        batch = f", batch {cost.batch}" if cost.batch > 1 else ""
        held = f"{cost.peak_bytes / 2**30:.2g} GiB on {cost.device}"
        if cost.device == "cpu":
            # The first method of a run pays for what all of them share, libraries among it.
            held += " beyond what the process held"
        parts.append(f"peak {held} for {_size(cost.called_on)}{batch}")
    return parts


def _size(sides: tuple[int, int]) -> str:
    return f"{sides[1]}x{sides[0]}"
