"""A part of an experiment for one machine of several: an equal share of every method's pictures.

All pictures of all tasks stand in a line, in the plan's order, and shard i of n takes the i-th of n
equal pieces of it, for every method and draw. So each shard opens each method once, slow methods
fall on all machines alike, and the pieces laid end to end are the whole experiment again.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from e2r_bench.run.prepare import TaskSet
from e2r_metrics.base.errors import UsageError

PATTERN = r"[1-9][0-9]*/[1-9][0-9]*"


@dataclass(frozen=True)
class Shard:
    """Which part of how many, counted from 1."""

    part: int
    of: int

    def piece(self, total: int) -> range:
        """Return the places of this part in a line of `total` things."""
        return range((self.part - 1) * total // self.of, self.part * total // self.of)


def parse_shard(text: str) -> Shard:
    """Read "i/n".

    Raises:
        UsageError: it is nothing of the kind, or i is above n.
    """
    part, _, of = text.partition("/")
    if not re.fullmatch(PATTERN, text) or int(part) > int(of):
        raise UsageError(f"--shard: expected i/n with i from 1 to n, such as 2/4, found {text!r}")
    return Shard(int(part), int(of))


def cut(tasks: Iterable[TaskSet], shard: Shard) -> tuple[TaskSet, ...]:
    """Return the part of the pictures that a shard makes; tasks without any are left out.

    Raises:
        UsageError: there are fewer pictures than shards.
    """
    whole = tuple(tasks)
    total = sum(len(pictures.sources) for pictures in whole)
    if shard.of > total:
        raise UsageError(
            f"--shard: expected at most {total} shards, one a picture, found {shard.of}"
        )
    piece, before, found = shard.piece(total), 0, list[TaskSet]()
    for pictures in whole:
        count = len(pictures.sources)
        start, stop = (min(max(at - before, 0), count) for at in (piece.start, piece.stop))
        if start < stop:
            found.append(replace(pictures, sources=pictures.sources[start:stop]))
        before += count
    return tuple(found)
