"""What sharding gives: the hours until the last of n shards is done, cut as `--shard` cuts."""

from collections.abc import Sequence
from dataclasses import dataclass

from e2r_bench.run.shards import Shard

_HOUR = 3600


@dataclass(frozen=True)
class Wall:
    """What sharding gives: `shards` shards, done on the GPUs in the order in which they come."""

    shards: int
    hours: float


def walls(seconds: Sequence[float], gpus: int) -> tuple[Wall, ...]:
    """Return the hours of one shard, of one a GPU and of four a GPU.

    Args:
        seconds: of every picture, in the plan's order, by all methods together.
        gpus: how many there are.
    """
    counts = sorted({1, min(gpus, len(seconds)), min(4 * gpus, len(seconds))})
    return tuple(Wall(count, _wall(seconds, count, gpus) / _HOUR) for count in counts)


def _wall(seconds: Sequence[float], count: int, gpus: int) -> float:
    free = [0.0] * gpus
    for part in range(1, count + 1):
        piece = Shard(part, count).piece(len(seconds))
        first = min(range(gpus), key=free.__getitem__)
        free[first] += sum(seconds[piece.start : piece.stop])
    return max(free)
