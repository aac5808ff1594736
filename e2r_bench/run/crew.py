"""Several workers at one plan: who does what next, and what becomes of work whose worker died.

The pictures of one method stay together, so that a worker opens each method once. A worker that
dies is replaced and its work is tried again, picture by picture; what kills its worker a second
time is recorded as failed, and the rest goes on.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from typing import Protocol

from e2r_bench.run.executor import Done, Work


class Hand(Protocol):
    """One worker, in a process or an actor of its own; does one work at a time."""

    def do(self, work: Work) -> "Future[Done]":
        """Start a work; the future raises one of `CrewExecutor.deaths` where the worker died."""
        ...

    def stop(self) -> None:
        """Let the worker go, whatever it is doing."""
        ...


@dataclass(frozen=True)
class CrewExecutor:
    """Does work with several workers at once; see `executor.Executor`.

    Attributes:
        hire: makes the worker of a place, 0 to count - 1.
        count: how many there are at once.
        deaths: what a future raises whose worker died.
        tries: how often one picture may kill its worker before it is recorded as failed.
    """

    hire: Callable[[int], Hand]
    count: int
    deaths: tuple[type[BaseException], ...]
    tries: int = 2

    def map(self, works: Sequence[Work]) -> Iterator[Done]:
        """Yield what came of each work, as it is done; the workers are gone when it ends."""
        shift = _Shift(self, _Queue(works))
        try:
            yield from shift.run()
        finally:
            shift.stop()


class _Queue:
    """Work that waits, by method."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._waiting: dict[str, deque[Work]] = {}
        for work in works:
            self._waiting.setdefault(work.method, deque()).append(work)

    def __bool__(self) -> bool:
        return any(self._waiting.values())

    def take(self, method: str | None) -> Work:
        """Return the next work of a method, or of the one with the most work where it has none."""
        own = self._waiting.get(method or "")
        if own:
            return own.popleft()
        return max(self._waiting.values(), key=len).popleft()

    def again(self, works: Sequence[Work]) -> None:
        """Put work back, to be done next."""
        for work in reversed(works):
            self._waiting[work.method].appendleft(work)


@dataclass
class _Shift:
    crew: CrewExecutor
    queue: _Queue
    hands: dict[int, Hand] = field(default_factory=dict)
    busy: dict["Future[Done]", tuple[int, Work]] = field(default_factory=dict)
    last: dict[int, str] = field(default_factory=dict)
    deaths: dict[Work, int] = field(default_factory=dict)

    def run(self) -> Iterator[Done]:
        while self.queue or self.busy:
            self._give()
            for future in wait(self.busy, return_when=FIRST_COMPLETED).done:
                place, work = self.busy.pop(future)
                error = future.exception()
                if error is None:
                    yield future.result()
                elif isinstance(error, self.crew.deaths):
                    yield from self._bury(place, work, error)
                else:
                    raise error

    def stop(self) -> None:
        for hand in self.hands.values():
            hand.stop()

    def _give(self) -> None:
        working = {place for place, _ in self.busy.values()}
        for place in range(self.crew.count):
            if place in working or not self.queue:
                continue
            work = self.queue.take(self.last.get(place))
            self.last[place] = work.method
            if place not in self.hands:
                self.hands[place] = self.crew.hire(place)
            self.busy[self.hands[place].do(work)] = place, work

    def _bury(self, place: int, work: Work, error: BaseException) -> Iterator[Done]:
        """Let a dead worker go; its place is filled when there is work for it."""
        self.hands.pop(place).stop()
        if len(work.images) > 1:
            # One of them did it: each is tried alone, and none is blamed yet.
            self.queue.again([replace(work, images=(image,)) for image in work.images])
            return
        self.deaths[work] = self.deaths.get(work, 0) + 1
        if self.deaths[work] < self.crew.tries:
            self.queue.again([work])
            return
        note = f"its worker died {self.crew.tries} times ({type(error).__name__})"
        yield Done(work, {(image, draw): note for image in work.images for draw in work.draws})
