"""What a run would do, without doing it: pictures, time, disk and downloads."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from e2r_baselines.method import draws_of
from e2r_bench.run.config import Experiment
from e2r_bench.run.data import Source
from e2r_bench.run.plan import CONTROLS, Catalog, Plan, make_plan
from e2r_bench.run.runner import banner
from e2r_bench.run.services import open_resolver
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import RUN_JSON, Store, open_store
from e2r_metrics.base.errors import E2RError
from e2r_metrics.base.weights import UNASKED_BYTES, Found, Missing, Resolver

_CHANNELS = 3
_PAIR = 2


class _Pretending(Resolver):
    """Finds what is here, and takes what a run would fetch unasked for found; fetches nothing.

    Attributes:
        fetched: name -> bytes of what would be fetched.
    """

    def __init__(self, real: Resolver) -> None:
        super().__init__(real.declared, real.directories, offline=real.offline)
        self.fetched: dict[str, int] = {}

    def find(self, name: str) -> Found | Missing:
        """See `Resolver.find`."""
        answer = self.look(name)
        if isinstance(answer, Found) or self.offline or not 0 < answer.size <= UNASKED_BYTES:
            return answer
        self.fetched[name] = answer.size
        return Found(name, Path(name), "to be fetched", "")


def dry_run(experiment: Experiment, catalog: Catalog | None = None) -> Iterator[str]:
    """Yield what a run would do, in lines; nothing is written, fetched or restored.

    Args:
        experiment: what is asked.
        catalog: the methods there are; None for ours and those of plugins.

    Raises:
        UsageError: the user's mistakes, as the run itself would find them.
    """
    from e2r_metrics import Session

    resolver = _Pretending(open_resolver(experiment.weights, experiment.offline, _unsaid))
    plan = make_plan(experiment, resolver, Session(resolver), catalog)
    store = open_store(experiment.out) if (experiment.out / RUN_JSON).is_file() else None
    yield from banner(plan)
    left = _left(plan, store)
    yield from _cells(plan, left)
    yield _time(left, store)
    yield f"disk: at most {_bytes(_disk(plan, left))} of pictures in {experiment.out}, before PNG"
    fetched = ", ".join(f"{name} {_bytes(size)}" for name, size in resolver.fetched.items())
    unsure = "; where one fails, the next build of the method runs, or none" if fetched else ""
    yield f"downloads: {fetched or 'none'}{unsure}"
    yield "dry run: nothing was written, fetched or restored"


def _unsaid(line: str) -> None:
    del line


Left = Mapping[tuple[str, str], int]
"""(method, task) -> pictures that are still to be restored."""


def _left(plan: Plan, store: Store | None) -> Left:
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    for method in plan.methods:
        draws = draws_of(method.spec, plan.experiment.seeds, plan.experiment.steps)
        for pictures in plan.tasks:
            task = pictures.task.name
            cells = (Cell(method.name, task, d, s.id) for s in pictures.sources for d in draws)
            found[method.name, task] = sum(store is None or not store.has(cell) for cell in cells)
    return found


def _cells(plan: Plan, left: Left) -> Iterator[str]:
    for method in plan.methods:
        draws = len(draws_of(method.spec, plan.experiment.seeds, plan.experiment.steps))
        counts = ", ".join(f"{p.task.name} {left[method.name, p.task.name]}" for p in plan.tasks)
        often = f"; each picture {draws} times" if draws > 1 else ""
        yield f"restore with {method.name} ({method.build.name}): {counts}{often}"
    asked = {name: len(row) for name, row in plan.metrics.items()}
    pictures = sum(left.values())
    yield (
        f"in all {pictures} pictures to restore; metrics: "
        + ", ".join(f"{task} {count}" for task, count in asked.items())
        + " and three shares for each picture"
    )


def _time(left: Left, store: Store | None) -> str:
    """Return how long restoring takes, from the pictures of this folder; nothing is assumed."""
    seen: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for row in store.timings() if store is not None else ():
        seen[str(row["method"]), str(row["task"])].append(float(row["seconds"]))
    known = {key: sum(found) / len(found) for key, found in seen.items()}
    seconds = sum(known[key] * count for key, count in left.items() if key in known)
    unknown = dict.fromkeys(
        method
        for (method, task), count in left.items()
        if count and (method, task) not in known and method not in CONTROLS
    )
    said = f"time: {_clock(seconds)} to restore what was timed in this folder before"
    if unknown:
        said += f"; not known for {', '.join(unknown)}, of which no picture was restored here yet"
    return said


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _disk(plan: Plan, left: Left) -> int:
    """Return the bytes of all pictures as they are before they are compressed."""
    total = 0
    for pictures in plan.tasks:
        sizes = [height * width * _CHANNELS for height, width in _sizes(pictures.sources)]
        mean = sum(sizes) / max(1, len(sizes))
        new = sum(count for (_, task), count in left.items() if task == pictures.task.name)
        total += round(mean * new) + _PAIR * sum(sizes)
    return total


def _sizes(sources: Sequence[Source]) -> Iterator[tuple[int, int]]:
    """Yield height and width of pictures; one that cannot be read is the run's own affair."""
    for source in sources:
        try:
            yield source.size()
        except E2RError:
            continue


def _bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
