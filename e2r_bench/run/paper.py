"""A plan on paper: cells, GPU hours, memory, storage and what sharding gives; nothing is run.

No weight file is looked for, and no set of pictures where their number is given.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from e2r_baselines.method import Draw, draws_of, options_of
from e2r_baselines.tasks import Task
from e2r_bench.report.unmeasured import unplanned
from e2r_bench.run.config import Experiment
from e2r_bench.run.data import Source
from e2r_bench.run.estimates import BUILDS, REACHED, check_gpu, estimated_seconds
from e2r_bench.run.plan import CONTROLS, Catalog, Instance, instances_of
from e2r_bench.run.prepare import cropped_size
from e2r_bench.run.protocols import Protocol, protocol_of
from e2r_bench.run.serving import refuse_idle, unserved_tasks
from e2r_bench.run.task_sets import task_sets
from e2r_bench.run.tasks import task_named
from e2r_bench.run.walls import Wall, walls
from e2r_metrics.base.errors import E2RError, UsageError

_CHANNELS, _PAIR, _HOUR = 3, 2, 3600
_MEGAPIXEL = 1024 * 1024

Timed = Mapping[tuple[str, str, str, int], float]
"""(instance, build, task, steps) -> seconds of a picture."""


@dataclass(frozen=True)
class Asked:
    """What a plan is made for.

    Attributes:
        gpus: how many there are, for the walls.
        gpu: of the table of estimates; None for no estimates.
        price: of a GPU for an hour, in the user's own currency.
        pictures: so many for each task instead of those of `data`.
        size: (height, width) of them.
        timed: seconds that were seen.
        origin: where they were seen, such as "measured on cpu, 1 picture".
        device: what the hours are of.
    """

    gpus: int = 1
    gpu: str | None = None
    price: float | None = None
    pictures: int | None = None
    size: tuple[int, int] = (512, 512)
    timed: Timed | None = None
    origin: str = ""
    device: Literal["GPU", "CPU"] = "GPU"


@dataclass(frozen=True)
class Line:
    """One instance on one task.

    Attributes:
        method, build, task: by name; the build is the first of the method's, here or not.
        pictures: of the task.
        cells: pictures to make, one for each draw of each.
        seconds: for one picture and all its draws; None where nobody knows.
        origin: "measured ..." or "estimate ...", or why it is not known.
        peak_bytes: estimated, for a batch of the task's largest picture; None where not known.
    """

    method: str
    build: str
    task: str
    pictures: int
    cells: int
    seconds: float | None
    origin: str
    peak_bytes: int | None


@dataclass(frozen=True)
class Paper:
    """A plan on paper.

    Attributes:
        gpus: what the walls are for.
        lines: in the experiment's order; controls have no time.
        cells: in all, those of the controls too.
        device: what the hours are of.
        hours: of the cells whose time is known; opening methods and metrics are not in it.
        unknown: methods whose time is not known.
        cost: `hours` times the price; None without a price.
        storage_bytes: at most, of all pictures before PNG.
        peak_bytes: the largest of all lines'; None where none is known.
        longest_hours: the critical path: the longest call of one method on one batch, which no
            number of workers divides.
        walls: from one shard on.
        unplanned: which methods do not serve which task, and so have no cells of it.
    """

    gpus: int
    lines: tuple[Line, ...]
    cells: int
    device: Literal["GPU", "CPU"]
    hours: float
    unknown: tuple[str, ...]
    cost: float | None
    storage_bytes: int
    peak_bytes: int | None
    longest_hours: float
    walls: tuple[Wall, ...]
    unplanned: tuple[str, ...]


@dataclass(frozen=True)
class _Pictures:
    """A task's pictures: their sizes."""

    task: Task
    sizes: tuple[tuple[int, int], ...]

    def mean(self) -> float:
        return sum(height * width for height, width in self.sizes) / max(1, len(self.sizes))


def plan_on_paper(experiment: Experiment, asked: Asked, catalog: Catalog) -> Paper:
    """Return what an experiment takes.

    Raises:
        UsageError: an unknown name, a set that cannot be read, a GPU without estimates.
    """
    if asked.gpu is not None:
        check_gpu(asked.gpu)
    protocol = protocol_of(experiment)
    sets = tuple(_sets(experiment, protocol, asked))
    instances = tuple(instances_of(experiment, catalog))
    gone = {one.name: _unserved(one, sets) for one in instances}
    lines = tuple(
        _line(instance, one, experiment, asked)
        for instance in instances
        for one in sets
        if one.task.name not in gone[instance.name]
    )
    seconds = sum(line.pictures * (line.seconds or 0) for line in lines)
    peaks = [line.peak_bytes for line in lines if line.peak_bytes is not None]
    longest = max((line.seconds or 0) * min(experiment.batch, line.pictures) for line in lines)
    return Paper(
        gpus=asked.gpus,
        lines=lines,
        cells=sum(line.cells for line in lines),
        device=asked.device,
        hours=seconds / _HOUR,
        unknown=tuple(dict.fromkeys(line.method for line in lines if line.seconds is None)),
        cost=None if asked.price is None else asked.price * seconds / _HOUR,
        storage_bytes=_storage(sets, lines),
        peak_bytes=max(peaks, default=None),
        longest_hours=longest / _HOUR,
        walls=_walls(sets, lines, asked.gpus),
        unplanned=tuple(unplanned(gone)),
    )


def _unserved(instance: Instance, sets: Sequence[_Pictures]) -> Mapping[str, str]:
    spec = instance.spec()
    unserved = unserved_tasks(spec, [one.task for one in sets])
    refuse_idle(instance.name, spec, unserved, len(sets))
    return unserved


def _sets(experiment: Experiment, protocol: Protocol, asked: Asked) -> Iterable[_Pictures]:
    if asked.pictures is None:
        for one in task_sets(experiment, protocol):
            yield _Pictures(one.task, _sizes(one.sources, protocol))
        return
    count = min(asked.pictures, experiment.limit or asked.pictures)
    size = cropped_size(asked.size, protocol)
    for name in dict.fromkeys(experiment.tasks):
        yield _Pictures(task_named(name, experiment.task), (size,) * count)


def _sizes(sources: Sequence[Source], protocol: Protocol) -> tuple[tuple[int, int], ...]:
    """Return the sizes of pictures; one that cannot be read fails in the run, and takes nothing."""
    found: list[tuple[int, int]] = []
    for source in sources:
        try:
            found.append(cropped_size(source.size(), protocol))
        except UsageError:
            raise
        except E2RError:
            found.append((0, 0))
    return tuple(found)


def _line(instance: Instance, one: _Pictures, experiment: Experiment, asked: Asked) -> Line:
    spec = instance.spec()
    draws = draws_of(spec, experiment.seeds, experiment.steps)
    seconds, origin = _seconds(instance, spec.builds[0].title, draws, one, asked)
    height, width = max(one.sizes, key=lambda size: size[0] * size[1])
    if experiment.tile is not None:
        height, width = min(height, experiment.tile), min(width, experiment.tile)
    peak = spec.peak_bytes and spec.peak_bytes(spec.builds[0], height, width) * experiment.batch
    return Line(
        method=instance.name,
        build=spec.builds[0].title,
        task=one.task.name,
        pictures=len(one.sizes),
        cells=len(one.sizes) * len(draws),
        seconds=seconds,
        origin=origin,
        peak_bytes=peak,
    )


def _seconds(
    instance: Instance, build: str, draws: Sequence[Draw], one: _Pictures, asked: Asked
) -> tuple[float | None, str]:
    """Return the seconds of one picture with all its draws: seen, else estimated, else None."""
    if instance.name in CONTROLS:
        return 0.0, "a control, copied"
    keys = [(instance.name, build, one.task.name, draw.steps) for draw in draws]
    timed = asked.timed or {}
    if all(key in timed for key in keys):
        return sum(timed[key] for key in keys), asked.origin
    if asked.gpu is None or build.partition("+")[0] not in BUILDS:
        return None, "not known: no timing of it, no estimate"
    resize = options_of(instance.method, instance.options).resize
    pixels = one.mean() if resize == "native" else _MEGAPIXEL
    return (
        sum(estimated_seconds(asked.gpu, draw.steps, pixels) for draw in draws),
        f"estimate for {asked.gpu}: arithmetic at {REACHED:.0%} of its peak, not measured",
    )


def _storage(sets: Sequence[_Pictures], lines: Sequence[Line]) -> int:
    means = {one.task.name: one.mean() * _CHANNELS for one in sets}
    made = sum(line.cells * means[line.task] for line in lines)
    return round(made + sum(_PAIR * len(one.sizes) * means[one.task.name] for one in sets))


def _walls(sets: Sequence[_Pictures], lines: Sequence[Line], gpus: int) -> tuple[Wall, ...]:
    names = [one.task.name for one in sets for _ in one.sizes]
    each = {n: sum(x.seconds or 0 for x in lines if x.task == n) for n in dict.fromkeys(names)}
    return walls([each[name] for name in names], gpus)
