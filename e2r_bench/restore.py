"""Restore every cell that has no picture yet; a photo that fails is recorded, the rest goes on."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from e2r_baselines.method import Compute, Draw, Photo, Restored, Restorer, draws_of
from e2r_bench.data import Source
from e2r_bench.plan import Plan, PlannedMethod
from e2r_bench.prepare import TaskSet, photo, to_eight_bit
from e2r_bench.runs import Run
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import write_png

T = TypeVar("T")
Watch = Callable[[str, int, int], None]
"""Told (stage, done, total) as a run goes on; a progress bar, or nothing."""
Failures = dict[tuple[str, str, str], str]
"""(method, task, image) -> what it raised."""


def restore_all(plan: Plan, run: Run, device: str, watch: Watch) -> Failures:
    """Restore every cell that has no picture yet; return what failed."""
    failures: Failures = {}
    experiment = plan.experiment
    compute = Compute(device, experiment.dtype, experiment.batch, experiment.tile)
    for method in plan.methods:
        draws = draws_of(method.spec, experiment.seeds, experiment.steps)
        todo = [(t, left) for t in plan.tasks if (left := _left(run, method, t, draws))]
        if not todo:
            continue
        _check_memory(method, todo, compute)
        restorer = method.spec.open(method.build, method.files, compute)
        for pictures, left in todo:
            stage = f"{method.spec.name} {pictures.task.name}"
            job = _Job(run, method.spec.name, pictures, restorer)
            for done, chunk in _chunks(left, experiment.batch):
                photos = [
                    photo(pictures, s, run.folder / "pairs" / pictures.task.name, method.spec.feed)
                    for s in chunk
                ]
                failures |= job.restore(photos, draws)
                watch(stage, done, len(left))
    return failures


def _left(
    run: Run, method: PlannedMethod, pictures: TaskSet, draws: Sequence[Draw]
) -> list[Source]:
    name, task = method.spec.name, pictures.task.name
    return [
        source
        for source in pictures.sources
        if not all(run.restored_path(name, task, draw, source.id).is_file() for draw in draws)
    ]


def _chunks(items: Sequence[T], size: int) -> Iterator[tuple[int, Sequence[T]]]:
    """Yield (how many are done after it, chunk)."""
    for start in range(0, len(items), size):
        chunk = items[start : start + size]
        yield start + len(chunk), chunk


@dataclass(frozen=True)
class _Job:
    """One method on one task: restore photos, write pictures, survive a photo that fails."""

    run: Run
    method: str
    pictures: TaskSet
    restorer: Restorer

    def restore(self, photos: Sequence[Photo], draws: Sequence[Draw]) -> Failures:
        try:
            self._write(photos, draws)
        except (UsageError, MemoryError):
            raise
        # A restorer may be anyone's plugin: whatever it raises is recorded, and the rest goes on.
        except Exception as error:  # noqa: BLE001
            if len(photos) > 1:
                alone = [self.restore([one], draws) for one in photos]
                return {key: text for failed in alone for key, text in failed.items()}
            key = (self.method, self.pictures.task.name, photos[0].id)
            return {key: f"{type(error).__name__}: {error}".replace("\n", " ")[:500]}
        return {}

    def _write(self, photos: Sequence[Photo], draws: Sequence[Draw]) -> None:
        shapes = {one.id: one.pixels.shape for one in photos}
        expected = {(one.id, draw) for one in photos for draw in draws}
        since = time.perf_counter()
        for result in self.restorer.restore(photos, self.pictures.task, draws):
            self._check(result, shapes)
            image = to_eight_bit(result.pixels)
            place = (self.method, self.pictures.task.name, result.draw, result.photo_id)
            write_png(self.run.restored_path(*place), image)
            self._time(result, time.perf_counter() - since)
            since = time.perf_counter()
            expected.discard((result.photo_id, result.draw))
        if expected:
            raise ValueError(f"{self.method} returned nothing for {sorted(expected)[0]}")

    def _check(self, result: Restored, shapes: Mapping[str, tuple[int, ...]]) -> None:
        wanted = shapes.get(result.photo_id)
        if result.pixels.shape != wanted:
            raise ValueError(
                f"{self.method} on {result.photo_id}: expected {wanted}, got {result.pixels.shape}"
            )
        if not np.isfinite(result.pixels).all():
            raise ValueError(
                f"{self.method} on {result.photo_id}: the picture holds NaN or infinity"
            )

    def _time(self, result: Restored, seconds: float) -> None:
        """Append to timing.jsonl: wall time, so never part of the rows that must not change."""
        row = {
            "method": self.method, "task": self.pictures.task.name, "image": result.photo_id,
            "seed": result.draw.seed, "steps": result.draw.steps, "seconds": round(seconds, 4),
        }  # fmt: skip
        with (self.run.folder / "timing.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


def _check_memory(
    method: PlannedMethod, todo: Sequence[tuple[TaskSet, Sequence[Source]]], compute: Compute
) -> None:
    """Refuse, before anything starts, a picture that the method's own estimate says will not fit.

    Raises:
        UsageError: names the largest picture, what it needs and what there is.
    """
    estimate = method.spec.peak_bytes
    if estimate is None or compute.tile is not None:
        return
    largest = max((source for _, left in todo for source in left), key=_pixels)
    height, width = largest.size()
    needed = estimate(method.build, height, width) * compute.batch
    there = available_bytes(compute.device)
    if needed > there:
        raise UsageError(
            f"{method.spec.name} on {largest.id} ({width}x{height}, batch {compute.batch}) needs "
            f"about {needed / 2**30:.1f} GiB, and {compute.device} has {there / 2**30:.1f} GiB "
            "free; give --tile 256, a smaller --batch, or another --device"
        )


def _pixels(source: Source) -> int:
    height, width = source.size()
    return height * width


def available_bytes(device: str) -> int:
    """Return the free memory of a torch device in bytes."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
