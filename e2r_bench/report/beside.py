"""Published numbers beside measured ones: never in their column, each with its source."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from e2r_baselines.published import Published, published
from e2r_bench.statistics.power import detectable
from e2r_metrics.base.errors import unknown

_CLOSE = 0.2  # dB


@dataclass(frozen=True)
class Spread:
    """How much two methods differ from picture to picture, where we measured two.

    Attributes:
        deviation: standard deviation of their difference over scenes, in dB.
        n: scenes.
        who: the methods, and where the pictures are.
    """

    deviation: float
    n: int
    who: str

    def finds(self, n: int) -> float:
        """Return the difference of means, in dB, that n scenes find four times in five at 5%."""
        return detectable(self.deviation / math.sqrt(n), n - 1)


SPREADS: Mapping[tuple[str, str], Spread] = MappingProxyType(
    {("denoise25", "CBSD68"): Spread(0.171, 34, "FFDNet and BM3D (results/real)")}
)
"""By task and set: what is assumed of any two neighbours of a ranking."""
_MARK = "second hand"


def rows_beside(name: str) -> tuple[Published, ...]:
    """Return what papers report of a task, or of a method; the best PSNR first.

    Raises:
        UsageError: nobody published anything under that name; the nearest is named.
    """
    found = [row for row in published() if name in (row.task, row.method)]
    if not found:
        known = {name for row in published() for name in (row.task, row.method)}
        raise unknown("task or method with published numbers", name, sorted(known))
    return tuple(sorted(found, key=lambda row: (row.task, row.metric, -row.value)))


def lines_beside(rows: Sequence[Published]) -> Iterator[str]:
    """Yield a line a method, task and set, then what the tables cannot say."""
    yield "published, not measured here:"
    ssim = {_key(row): row.value for row in rows if row.metric == "ssim"}
    for row in (row for row in rows if row.metric == "psnr"):
        also = f" / {ssim[_key(row)]:.3f}" if _key(row) in ssim else ""
        mark = f" [{_MARK}]" if row.second_hand else ""
        yield (
            f"  {row.method}{mark}, {row.task}: {row.value:.2f} dB{also}; {row.dataset}, "
            f"n {row.n}; protocol {row.protocol}; {row.source}"
        )
    for task, dataset in dict.fromkeys((row.task, row.dataset) for row in rows):
        yield from _ties(
            [r for r in rows if (r.task, r.dataset, r.metric) == (task, dataset, "psnr")]
        )


def _key(row: Published) -> tuple[str, str, str]:
    return row.method, row.task, row.dataset


def _ties(rows: Sequence[Published]) -> Iterator[str]:
    """Say how many neighbours in the ranking lie closer than the tables can tell apart."""
    gaps = [one.value - two.value for one, two in pairwise(rows)]
    close = sum(gap < _CLOSE for gap in gaps)
    if close:
        yield (
            f"  {rows[0].task}, {rows[0].dataset}: {close} of {len(gaps)} neighbours in this "
            f"ranking are less than {_CLOSE:g} dB apart. The papers give means alone: without each "
            f"picture's value none of these ranks can be tested; with both methods' pictures, "
            "`e2r-bench compare` says what the "
            f"{rows[0].n} resolve"
        )
        yield from _resolved(rows[0], gaps)


def _resolved(row: Published, gaps: Sequence[float]) -> Iterator[str]:
    """Say how many close neighbours the set could tell apart, if they differ as two of ours do."""
    spread = SPREADS.get((row.task, row.dataset))
    if spread is None:
        return
    least, close = spread.finds(row.n), [gap for gap in gaps if gap < _CLOSE]
    yield (
        f"  Assumed: neighbours differ from picture to picture as {spread.who} do (standard "
        f"deviation {spread.deviation:.2f} dB of {spread.n} scenes). Then {row.n} pictures find "
        f"{least:.2f} dB four times in five (one pair, two-sided 5%), and "
        f"{sum(gap >= least for gap in close)} of these {len(close)} are that far apart"
    )


def beside_data(task: str, data: str) -> tuple[str, ...]:
    """Return the lines of a task on the set of a run; none where no paper has that set."""
    known = {row.dataset for row in published()}
    sets = {name for name in known if data.lower().startswith(name.lower().split()[0])}
    rows = tuple(row for row in published() if row.task == task and row.dataset in sets)
    ordered = sorted(rows, key=lambda row: (row.metric, -row.value))
    return tuple(lines_beside(ordered)) if rows else ()
