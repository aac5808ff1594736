"""Rows of several seeds as one: the mean over seeds by picture, with an interval over scenes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from e2r_baselines.method import Draw
from e2r_bench.statistics.paired import mean_estimate
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError

Told = Mapping[str, Mapping[str, Any]]
"""Rows of summary.csv of one method and draw, by metric id."""


def seed_mean(
    store: Store, task: str, method: str, told: Mapping[Draw, Told]
) -> dict[str, dict[str, Any]]:
    """Return rows like those of summary.csv, for the mean over seeds.

    Args:
        store: the run.
        task, method: whose rows they are.
        told: the rows of each seed, all of one schedule.
    """
    keys = [key for key in next(iter(told.values())) if all(key in rows for rows in told.values())]
    return {
        key: _mean(store, (method, task, key), {draw: rows[key] for draw, rows in told.items()})
        for key in keys
    }


def _mean(
    store: Store, where: tuple[str, str, str], rows: Mapping[Draw, Mapping[str, Any]]
) -> dict[str, Any]:
    method, task, key = where
    bad = [row for row in rows.values() if row["status"] != "ok"]
    if bad:
        # A mean over fewer seeds than the line says would be another number.
        return dict(bad[0])
    first = next(iter(rows.values()))
    if not store.info.metrics[key].per_image:
        made = {"value": float(np.mean([row["value"] for row in rows.values()]))}
        how = f"none: mean of {len(rows)} seeds"
        return {**first, **made, "low": np.nan, "high": np.nan, "interval": how}
    seeds = [store.values(method, task, draw, key) for draw in rows]
    asked = len(store.images(task))
    shared = [image for image in seeds[0] if all(image in seed for seed in seeds)]
    gone = f"{asked - len(shared)} of {asked} images failed" if len(shared) < asked else ""
    if not shared:
        return {**first, "status": "failed", "note": gone, "n": 0}
    values = np.array([np.mean([seed[image] for seed in seeds]) for image in shared])
    made = {"value": float(values.mean()), "n": len(shared), "note": gone, "asked": asked}
    scene = store.scenes(task)
    return {**first, **made, **_interval(values, [scene[image] for image in shared], len(seeds))}


def _interval(values: np.ndarray, scenes: Sequence[str], seeds: int) -> dict[str, Any]:
    try:
        made = mean_estimate(values, scenes)
    except UsageError as reason:
        return {"low": np.nan, "high": np.nan, "interval": f"none: {reason}"}
    how = f"{made.level:.0%} {made.how}, {made.scenes} scenes, means of {seeds} seeds"
    return {"low": made.low, "high": made.high, "interval": how}
