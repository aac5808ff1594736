"""Seconds of a picture: of a run that is there, or of one short run that is thrown away."""

import tempfile
from pathlib import Path

from e2r_baselines.method import Build
from e2r_bench.run.config import Experiment
from e2r_bench.run.paper import Timed
from e2r_bench.run.runner import run_experiment
from e2r_bench.run.services import open_resolver
from e2r_bench.store.info import MethodInfo, is_edition
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
    builds = {name: build_now(info) for name, info in store.info.methods.items()}
    for row in store.timings():
        method = str(row["method"])
        key = method, builds[method], str(row["task"]), int(row["steps"])
        found.setdefault(key, []).append(float(row["seconds"]))
    times = {key: sum(seen) / len(seen) for key, seen in found.items()}
    count = min((len(seen) for seen in found.values()), default=0)
    pictures = "1 picture" if count == 1 else f"{count} pictures or more"
    return times, f"measured on {store.info.device}, mean of {pictures} a step count"


def build_now(info: MethodInfo) -> str:
    """Return a method's build as it is called now.

    Runs that an earlier version made do not name the edition of a miniature: where all of its
    declared files are those of now, by their hashes, it is that of now; else it stays unnamed.
    """
    resolver = open_resolver((), True, _unsaid)
    files = [resolver.declared[name] for name in info.weights if name in resolver.declared]
    edition = next((file.edition for file in files if file.edition is not None), None)
    if edition is None or is_edition(info.build):
        return info.build
    same = all(resolver.hashes(file.name) == info.weights[file.name] for file in files)
    return Build(info.build, edition=edition).title if same else info.build


def _unsaid(line: str) -> None:
    del line
