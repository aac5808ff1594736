"""Seconds of a picture: of a run that is there, or of one short run that is thrown away."""

import tempfile
from pathlib import Path

from e2r_bench.run.config import Experiment
from e2r_bench.run.paper import Timed
from e2r_bench.run.runner import run_experiment
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError


def time_here(experiment: Experiment) -> tuple[Timed, str]:
    """Restore the first picture of each task with one seed; return what it took, and how to say so.

    Raises:
        UsageError: the user's mistakes; or a picture failed.
    """
    with tempfile.TemporaryDirectory(prefix="e2r-bench-") as place:
        changed = {
            "limit": 1, "seeds": experiment.seeds[:1], "metrics": ("psnr",), "batch": 1,
            "shard": None, "out": Path(place) / "run",
        }  # fmt: skip
        outcome = run_experiment(experiment.model_copy(update=changed))
        for cell, reason in outcome.failures.items():
            raise UsageError(f"--time: expected {cell} to be restored: {reason}")
        times, origin = times_of(outcome.store)
        return times, f"{origin}, warm-up in it"


def times_of(store: Store) -> tuple[Timed, str]:
    """Return the mean seconds of a run's pictures, and how to call them.

    The mean, since a batch is done at once and its time stands with its first picture.
    """
    found: dict[tuple[str, str, str, int], list[float]] = {}
    for row in store.timings():
        method = str(row["method"])
        build = store.info.methods[method].build
        key = method, build, str(row["task"]), int(row["steps"])
        found.setdefault(key, []).append(float(row["seconds"]))
    times = {key: sum(seen) / len(seen) for key, seen in found.items()}
    count = min((len(seen) for seen in found.values()), default=0)
    pictures = "1 picture" if count == 1 else f"{count} pictures or more"
    return times, f"measured on {store.info.device}, mean of {pictures} a step count"
