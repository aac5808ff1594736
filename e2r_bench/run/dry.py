"""What a run would do, without doing it: pictures, time, disk and downloads."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_baselines.method import draws_of
from e2r_bench.run.config import Experiment
from e2r_bench.run.data import Source
from e2r_bench.run.plan import (
    CONTROLS,
    Catalog,
    Plan,
    instance_of,
    known_methods,
    make_plan,
)
from e2r_bench.run.runner import banner, refuse_idle_methods
from e2r_bench.run.services import open_resolver
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import RUN_JSON, Store, open_store
from e2r_metrics.base.errors import E2RError
from e2r_metrics.base.weights import UNASKED_BYTES, Found, Missing, Resolver

if TYPE_CHECKING:
    from e2r_metrics import Session

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


Left = Mapping[tuple[str, str, int], int]
"""(method, task, sampler steps) -> pictures that are still to be restored."""
NOTHING_DONE = "dry run: nothing was written, fetched or restored"


@dataclass(frozen=True)
class Survey:
    """What a run would do.

    Attributes:
        plan: the run.
        store: what is there of it by now; None for nothing.
        left: what is still to be restored.
        fetched: name -> bytes of the weights that would be fetched.
    """

    plan: Plan
    store: Store | None
    left: Left
    fetched: Mapping[str, int]

    @property
    def disk(self) -> int:
        """Return the bytes of all pictures as they are before they are compressed."""
        total = 0
        for pictures in self.plan.tasks:
            sizes = [height * width * _CHANNELS for height, width in _sizes(pictures.sources)]
            mean = sum(sizes) / max(1, len(sizes))
            name = pictures.task.name
            new = sum(count for (_, task, _), count in self.left.items() if task == name)
            total += round(mean * new) + _PAIR * sum(sizes)
        return total


def pretending_session(experiment: Experiment) -> "Session":
    """Return a session that takes what would be fetched for found."""
    from e2r_metrics import Session

    return Session(_pretending(experiment))


def _pretending(experiment: Experiment) -> _Pretending:
    return _Pretending(open_resolver(experiment.weights, experiment.offline, _unsaid))


def survey(experiment: Experiment, catalog: Catalog | None = None) -> Survey:
    """Look up what a run would do; nothing is written, fetched or restored.

    Args:
        experiment: what is asked.
        catalog: the methods there are; None for ours and those of plugins.

    Raises:
        UsageError: the user's mistakes, as the run itself would find them.
    """
    from e2r_metrics import Session

    resolver = _pretending(experiment)
    refuse_idle_methods(experiment, catalog)
    plan = make_plan(experiment, resolver, Session(resolver), catalog)
    store = open_store(experiment.out) if (experiment.out / RUN_JSON).is_file() else None
    return Survey(plan, store, _left(plan, store), resolver.fetched)


def dry_run(experiment: Experiment, catalog: Catalog | None = None) -> Iterator[str]:
    """Yield what a run would do, in lines; see `survey`."""
    found = survey(experiment, catalog)
    yield from banner(found.plan)
    yield from _cells(found)
    yield from _programs(found.plan, known_methods() if catalog is None else catalog)
    yield time_words([found])
    yield f"disk: at most {size_words(found.disk)} of pictures in {experiment.out}, before PNG"
    yield download_words([found])
    yield NOTHING_DONE


def _unsaid(line: str) -> None:
    del line


def _left(plan: Plan, store: Store | None) -> Left:
    found: Counter[tuple[str, str, int]] = Counter()
    for method in plan.methods:
        draws = draws_of(method.spec, plan.experiment.seeds, plan.experiment.steps)
        mine = [pictures for pictures in plan.tasks if pictures.task.name not in method.unserved]
        for pictures, draw in product(mine, draws):
            task = pictures.task.name
            cells = (Cell(method.name, task, draw, source.id) for source in pictures.sources)
            left = sum(store is None or not store.has(cell) for cell in cells)
            found[method.name, task, draw.steps] += left
    return found


def method_words(found: Survey, name: str) -> str:
    """Return how many pictures of each task a method has still to restore."""
    counts: Counter[str] = Counter()
    for (method, task, _), count in found.left.items():
        if method == name:
            counts[task] += count
    return ", ".join(f"{task} {count}" for task, count in counts.items())


def _cells(found: Survey) -> Iterator[str]:
    plan = found.plan
    for method in plan.methods:
        draws = len(draws_of(method.spec, plan.experiment.seeds, plan.experiment.steps))
        often = f"; each picture {draws} times" if draws > 1 else ""
        counts = method_words(found, method.name)
        yield f"restore with {method.name} ({method.build.title}): {counts}{often}"
    asked = {name: len(row) for name, row in plan.metrics.items()}
    yield (
        f"in all {sum(found.left.values())} pictures to restore; metrics: "
        + ", ".join(f"{task} {count}" for task, count in asked.items())
        + (" and three shares for each picture" if plan.truth else "")
    )


def _programs(plan: Plan, known: Catalog) -> Iterator[str]:
    """Yield the command lines that the run would start, of methods and of metrics."""
    methods = (instance_of(entry, known)[1].runs for entry in plan.experiment.methods)
    metrics = (row.program.words for rows in plan.metrics.values() for row in rows if row.program)
    for words in dict.fromkeys((*methods, *metrics)):
        if words:
            yield f"would start: {' '.join(shlex.join(words).split())}"


def time_words(surveys: Sequence[Survey]) -> str:
    """Return how long restoring takes, from pictures timed here before; nothing is assumed."""
    seen: defaultdict[tuple[str, str, int], list[float]] = defaultdict(list)
    for row in (row for one in surveys if one.store for row in one.store.timings()):
        seen[str(row["method"]), str(row["task"]), int(row["steps"])].append(float(row["seconds"]))
    known = {key: sum(found) / len(found) for key, found in seen.items()}
    left = [(key, count) for one in surveys for key, count in one.left.items() if count]
    seconds = sum(known[key] * count for key, count in left if key in known)
    unknown = dict.fromkeys(
        _timed(*key) for key, _ in left if key not in known and key[0] not in CONTROLS
    )
    said: list[str] = []
    if any(key in known for key, _ in left) or not unknown:
        said.append(f"{clock_words(seconds)} to restore what was timed in this folder before")
    if unknown:
        said.append(f"not known for {', '.join(unknown)}, of which none was restored here yet")
    return f"time: {'; '.join(said)}"


def _timed(method: str, task: str, steps: int) -> str:
    del task
    return f"{method} at {steps} steps" if steps else method


def download_words(surveys: Sequence[Survey]) -> str:
    """Return what would be fetched unasked."""
    sizes = {name: size for one in surveys for name, size in one.fetched.items()}
    fetched = ", ".join(f"{name} {size_words(size)}" for name, size in sizes.items())
    unsure = "; where one fails, the next build of the method runs, or none" if fetched else ""
    return f"downloads: {fetched or 'none'}{unsure}"


def clock_words(seconds: float) -> str:
    """Return a time in hours and minutes, or minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _sizes(sources: Sequence[Source]) -> Iterator[tuple[int, int]]:
    """Yield height and width of pictures; one that cannot be read is the run's own affair."""
    for source in sources:
        try:
            yield source.size()
        except E2RError:
            continue


def size_words(size: int) -> str:
    """Return bytes as MB or GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
