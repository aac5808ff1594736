"""Restoring on one machine: opens a method once, writes pictures, survives a photo that fails."""

import os
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from e2r_baselines.checks import check_restored
from e2r_baselines.method import Compute, Draw, Photo, Restorer
from e2r_bench.run.costs import Counted, Peak, count
from e2r_bench.run.data import Source
from e2r_bench.run.executor import Done, Work
from e2r_bench.run.guest import hosted
from e2r_bench.run.plan import Plan, PlannedMethod
from e2r_bench.run.prepare import TaskSet, cropped_size, photo, to_eight_bit
from e2r_bench.store.cell import Cell
from e2r_bench.store.costs import Cost, read_costs
from e2r_metrics.base.errors import PictureError, UsageError, one_line
from e2r_metrics.base.pictures import EightBit

Failed = dict[tuple[str, Draw], str]
Put = Callable[[Cell, EightBit, float], None]
Note = Callable[[str, Cost], None]


@dataclass
class LocalWorker:
    """Does the work of a plan in this process; see `executor.Worker`.

    Attributes:
        plan: with this machine's files and builds.
        folder: of the run, which has the pairs.
        compute: device, dtype and batch.
        put: takes each picture with the wall time it took.
        note: takes what a method costs, once.
    """

    plan: Plan
    folder: Path
    compute: Compute
    put: Put
    note: Note
    _open: tuple[str, Restorer] | None = field(default=None, init=False)
    _methods: Mapping[str, PlannedMethod] = field(init=False)
    _tasks: Mapping[str, TaskSet] = field(init=False)
    _sources: Mapping[tuple[str, str], Source] = field(init=False)
    _counted: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._counted = set(read_costs(self.folder))
        self._methods = {method.name: method for method in self.plan.methods}
        self._tasks = {pictures.task.name: pictures for pictures in self.plan.tasks}
        self._sources = {(t.task.name, s.id): s for t in self.plan.tasks for s in t.sources}

    def __call__(self, work: Work) -> Done:
        """Restore the pictures of `work`; what fails is told, and the rest goes on."""
        method, pictures = self._methods[work.method], self._tasks[work.task]
        peak = None if method.name in self._counted else Peak(self.compute.device)
        restorer = self._restorer(method)
        folder = self.folder / "pairs" / work.task
        failed: Failed = {}
        photos: list[Photo] = []
        for image in work.images:
            try:
                source = self._sources[work.task, image]
                self._check_memory(method, cropped_size(source.size(), pictures.protocol))
                photos.append(photo(pictures, source, folder, method.spec.feed))
            except PictureError as error:
                failed |= {(image, draw): str(error) for draw in work.draws}
        made = _Call(work, pictures, restorer, self._put).restore(photos)
        if peak is not None and photos and not made:
            self._note(work, photos, restorer, peak.bytes())
        return Done(work, failed | made)

    def _note(
        self, work: Work, photos: Sequence[Photo], restorer: Restorer, peak: int | None
    ) -> None:
        """Record what a method costs, once; a method that cannot be counted has no record."""
        self._counted.add(work.method)
        build, counted = self._methods[work.method].build, Counted()
        if build.files or build.own_files:
            try:
                counted = count(restorer, photos[0], self._tasks[work.task].task, work.draws[0])
            except Exception:  # noqa: BLE001 - anyone's plugin; its pictures are there
                return
        cost = Cost(
            parameters=counted.parameters, multiply_adds=counted.multiply_adds,
            counted_on=(counted.height, counted.width), steps=work.draws[0].steps,
            peak_bytes=peak, called_on=photos[0].pixels.shape[:2], batch=len(photos),
            device=self.compute.device,
        )  # fmt: skip
        self.note(work.method, cost)

    def _put(self, cell: Cell, pixels: np.ndarray, seconds: float) -> None:
        self.put(cell, to_eight_bit(pixels), seconds)

    def _restorer(self, method: PlannedMethod) -> Restorer:
        """Return the open method; one network is held at a time, so the one before is let go."""
        if self._open is None or self._open[0] != method.name:
            self._open = None
            opened = method.spec.open(method.build, method.files, self.compute)
            self._open = method.name, opened
        return self._open[1]

    def _check_memory(self, method: PlannedMethod, size: tuple[int, int]) -> None:
        estimate = method.spec.peak_bytes
        if estimate is None or self.compute.tile is not None:
            return
        height, width = size
        needed = estimate(method.build, height, width) * self.compute.batch
        there = available_bytes(self.compute.device)
        if needed > there:
            raise PictureError(
                f"{width}x{height}, batch {self.compute.batch}: expected to fit into "
                f"{there / 2**30:.1f} GiB free on {self.compute.device}, needs about "
                f"{needed / 2**30:.1f} GiB; give --tile 256, a smaller --batch, or another --device"
            )


@dataclass(frozen=True)
class _Call:
    """One call of a method, repeated photo by photo where it fails."""

    work: Work
    pictures: TaskSet
    restorer: Restorer
    put: Callable[[Cell, np.ndarray, float], None]
    _sums: dict[str, int] = field(default_factory=dict[str, int])

    def restore(self, photos: Sequence[Photo]) -> Failed:
        if not photos:
            return {}
        left = {(one.id, draw) for one in photos for draw in self.work.draws}
        try:
            self._write(photos, left)
        except UsageError:
            raise
        except (KeyboardInterrupt, GeneratorExit):
            raise
        # A restorer may be anyone's plugin: whatever it raises, SystemExit too, is recorded.
        except BaseException as error:  # noqa: BLE001
            if len(photos) > 1:
                alone = [self.restore([one]) for one in photos]
                return {key: text for failed in alone for key, text in failed.items()}
            return dict.fromkeys(left, one_line(error))
        note = f"{self.work.method} returned nothing for it"
        return dict.fromkeys(left, note)

    def _write(self, photos: Sequence[Photo], left: set[tuple[str, Draw]]) -> None:
        given = {one.id: one for one in photos}
        for one in photos:
            self._sums.setdefault(one.id, _sum(one))
        since = time.perf_counter()
        task, draws = self.pictures.task, self.work.draws
        for result in hosted(lambda: self.restorer.restore(photos, task, draws)):
            if result.photo_id not in given:
                raise PictureError(
                    f"found a result for {result.photo_id!r}, which nobody asked for"
                )
            source = given[result.photo_id]
            check_restored(result, source.pixels.shape)
            if _sum(source) != self._sums[source.id]:
                raise PictureError(
                    f"{source.id}: expected the picture to be left as it is, found it changed by "
                    f"{self.work.method}: its other draws would start from something else"
                )
            cell = Cell(self.work.method, self.work.task, result.draw, result.photo_id)
            self.put(cell, result.pixels, time.perf_counter() - since)
            since = time.perf_counter()
            left.discard((result.photo_id, result.draw))


def _sum(one: Photo) -> int:
    return zlib.crc32(np.ascontiguousarray(one.pixels).data.cast("B"))


def available_bytes(device: str) -> int:
    """Return the free memory of a torch device in bytes."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(device)[0]
    return _available() or os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _available() -> int:
    """Return what Linux could hand out, the file cache that it would drop included; 0 elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = [line.split() for line in lines if line.startswith("MemAvailable:")]
    return int(found[0][1]) * 1024 if found else 0
