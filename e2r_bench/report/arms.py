"""The arms that a report compares: a method at its longest schedule, as the mean of its seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from e2r_baselines.method import Draw
from e2r_bench.maps.selection import restorers, seeds_of
from e2r_bench.report.labels import label_build
from e2r_bench.report.roles import INVENTED
from e2r_bench.store.store import Store

Shares = Mapping[tuple[str, str, str], Mapping[str, float]]
"""(origin, method, task) -> image -> share of invented pixels in %, of the draw that is shown."""


@dataclass(frozen=True, eq=False)
class Arm:
    """One method of one run.

    Attributes:
        origin: which run; empty on the page of a single run.
        store: that run.
        method: the instance.
        shares: see `Shares`.
    """

    origin: str
    store: Store
    method: str
    shares: Shares = field(default_factory=dict[tuple[str, str, str], Mapping[str, float]])

    @property
    def name(self) -> str:
        """Return the method, with its run where a page has several."""
        return f"{self.origin}: {self.method}" if self.origin else self.method

    @property
    def build(self) -> str:
        """Return what it really ran with."""
        return label_build(self.method, self.store.info.methods[self.method])

    @property
    def control(self) -> bool:
        """Return whether it shows what the pipeline costs."""
        return self.store.info.methods[self.method].control

    @property
    def unserved(self) -> Mapping[str, str]:
        """Return the tasks that it was not planned for, each with the reason."""
        return self.store.info.methods[self.method].unserved

    def draws(self) -> Sequence[Draw]:
        """Return the seeds of the longest schedule."""
        return seeds_of(self.store, self.method)

    @property
    def steps(self) -> int:
        """Return the steps of the longest schedule; 0 where steps change nothing."""
        return self.draws()[0].steps

    @property
    def schedule(self) -> int | None:
        """Return the same; None where steps change nothing."""
        return self.steps if self.store.info.methods[self.method].stepped else None

    @property
    def drawn(self) -> bool:
        """Return whether a sampling seed decides what comes out."""
        return self.store.info.methods[self.method].stochastic

    def by_seed(self, task: str, key: str) -> list[dict[str, float]]:
        """Return image -> value for each seed; of the invented share, for the first alone."""
        if key == INVENTED:
            return [dict(self.shares.get((self.origin, self.method, task), {}))]
        return [self.store.values(self.method, task, draw, key) for draw in self.draws()]

    def values(self, task: str, key: str) -> dict[str, float]:
        """Return image -> mean over seeds; images that a seed has no number of are left out."""
        seeds = self.by_seed(task, key)
        shared = [image for image in seeds[0] if all(image in seed for seed in seeds)]
        return {image: float(np.mean([seed[image] for seed in seeds])) for image in shared}

    def scenes(self, task: str, images: Sequence[str]) -> list[str]:
        """Return the scene of each image."""
        scene = self.store.scenes(task)
        return [scene[image] for image in images]


def arms_of(stores: Mapping[str, Store], shares: Shares) -> tuple[Arm, ...]:
    """Return every restorer of every run, in their order."""
    return tuple(
        Arm(origin, store, method, shares)
        for origin, store in stores.items()
        for method in restorers(store)
    )


def controls_of(stores: Mapping[str, Store], shares: Shares) -> tuple[Arm, ...]:
    """Return the controls of the first run; those of a second are the same pictures."""
    origin, store = next(iter(stores.items()))
    shown = set(restorers(store))
    named = (name for name, info in store.info.methods.items() if info.control)
    return tuple(Arm(origin, store, name, shares) for name in named if name not in shown)


def mean_of(arm: Arm, task: str, key: str) -> float | None:
    """Return the mean over images of a per-image metric, None where there are none."""
    values = arm.values(task, key)
    return float(np.mean(list(values.values()))) if values else None


def facts_of(arms: Sequence[Arm], key: str) -> tuple[str, bool]:
    """Return unit and direction of a metric id, or of the invented share."""
    if key == INVENTED:
        return "% of pixels", False
    metric = next(a.store.info.metrics[key] for a in arms if key in a.store.info.metrics)
    return metric.unit, metric.higher_is_better


def set_values(store: Store) -> dict[tuple[str, str, str], float]:
    """Return (method, task, metric id) -> mean over seeds of a set metric, longest schedule."""
    return {key: value for key, (value, _) in set_levels(store).items()}


def set_levels(store: Store) -> dict[tuple[str, str, str], tuple[float, int]]:
    """Return the same with n, the pictures that were measured: of the seed with the fewest."""
    found: dict[tuple[str, str, str], list[tuple[float, int]]] = {}
    for row in store.summary().to_dict(orient="records"):
        method, key = str(row["method"]), f"{row['metric']}:{row['variant']}"
        metric = store.info.metrics.get(key)
        if row["status"] != "ok" or metric is None or metric.per_image:
            continue
        if Draw(int(row["seed"]), int(row["steps"])) in seeds_of(store, method):
            level = (float(row["value"]), int(row["n"]))
            found.setdefault((method, str(row["task"]), key), []).append(level)
    return {
        key: (float(np.mean([value for value, _ in seeds])), min(n for _, n in seeds))
        for key, seeds in found.items()
    }


def shares_of(rows: Sequence[Mapping[str, Any]]) -> Shares:
    """Return the invented shares of the gallery's cases."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in rows:
        if INVENTED in row["scores"]:
            key = (str(row["origin"]), str(row["method"]), str(row["task"]))
            found.setdefault(key, {})[str(row["image"])] = float(row["scores"][INVENTED])
    return found


def measured(arms: Sequence[Arm], task: str) -> Iterator[str]:
    """Yield the ids of metrics that some arm has a number of, on a task."""
    keys = dict.fromkeys(key for arm in arms for key in arm.store.info.metrics)
    for key in (*keys, INVENTED):
        if any(task in arm.store.info.tasks and arm.values(task, key) for arm in arms):
            yield key
