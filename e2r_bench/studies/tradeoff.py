"""Better, or only prettier, and was it invented? Named pairs of methods, judged together.

Perception and distortion are at odds (Blau & Michaeli, CVPR 2018): a method that looks better may
be further from the truth, and what it added may be made up. Of each pair and task three differences
are judged, all with Holm's procedure over the study: perception, fidelity, and invention.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from e2r_bench.maps.bands import FLAG, band_split
from e2r_bench.maps.selection import shown_draw
from e2r_bench.statistics.evidence import Part, paired_evidence
from e2r_bench.statistics.judge import judge
from e2r_bench.statistics.margins import Margin, absolute, margin_of
from e2r_bench.statistics.paired import mean_estimate
from e2r_bench.statistics.results import Estimate
from e2r_bench.statistics.verdict import Evidence, Unmeasured, Verdict
from e2r_bench.store.store import Store
from e2r_bench.studies.measure import MeasuredArm, metric_of
from e2r_bench.studies.tradeoff_file import Pair, Tradeoff
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pictures import read_image

PERMUTATIONS = 9999
_SHARE = (
    f"a pixel in a hundred: few methods differ by less, and {FLAG:g} levels is where one counts"
)
SHARES: Mapping[str, Margin] = MappingProxyType(
    {
        name: Margin(name, 1.0, "% of pixels", _SHARE)
        for name in ("invented_share", "lost_share", "unfaithful_share")
    }
)
"""Scores of maps that may stand for invention, each with its margin; fewer is better."""


@dataclass(frozen=True)
class Contest:
    """A pair on a task.

    Attributes:
        pair, task: who, and on what.
        perception, fidelity, invention: the verdicts, first against second.
        words: what they say together.
    """

    pair: Pair
    task: str
    perception: Verdict
    fidelity: Verdict
    invention: Verdict
    words: str


@dataclass
class Measured:
    """The numbers of a study's runs; what maps say is computed once a method and task.

    Attributes:
        stores: run name -> run.
    """

    stores: Mapping[str, Store]
    _shares: dict[tuple[str, str, str], dict[str, dict[str, float]]] = field(
        default_factory=dict[tuple[str, str, str], dict[str, dict[str, float]]], init=False
    )

    def values(self, run: str, method: str, task: str, name: str) -> Mapping[str, float]:
        """Return image -> value of a metric, or of a score in `SHARES`; failed ones are left out.

        Raises:
            UsageError: the metric was not measured.
        """
        store = self.stores[run]
        if name in SHARES:
            return {image: one[name] for image, one in self._bands(run, method, task).items()}
        key, _ = metric_of(store, name, task)
        return store.values(method, task, shown_draw(store, method), key)

    def estimate(
        self, run: str, method: str, task: str, name: str
    ) -> tuple[float, Estimate | None, int] | None:
        """Return the mean, its interval over scenes where one can be given, and n.

        None where there is no number.
        """
        try:
            found = self.values(run, method, task, name)
        except UsageError:
            return None
        if not found:
            return None
        values, scene = np.array(list(found.values())), self.stores[run].scenes(task)
        try:
            interval = mean_estimate(values, [scene[image] for image in found])
        except UsageError:
            interval = None
        return float(values.mean()), interval, len(found)

    def _bands(self, run: str, method: str, task: str) -> dict[str, dict[str, float]]:
        if (run, method, task) not in self._shares:
            store = self.stores[run]
            arm = MeasuredArm(store, method, shown_draw(store, method))
            self._shares[run, method, task] = dict(_scores(arm, task))
        return self._shares[run, method, task]


def _scores(arm: MeasuredArm, task: str) -> Iterator[tuple[str, dict[str, float]]]:
    for image, path in arm.pictures(task).items():
        clean = read_image(arm.store.clean_path(task, image))
        try:
            yield image, band_split(read_image(path), clean).scores()
        except PictureError:
            continue  # too small for maps: told by `e2r-bench maps`, and n is one less


def contests(study: Tradeoff, measured: Measured) -> tuple[Contest, ...]:
    """Judge every pair of the study on those of its tasks that were run, all together.

    Raises:
        UsageError: a metric that has no margin.
    """
    told = study.content
    names = (told.perception, told.fidelity, told.invention)
    asked = [
        (pair, task, run)
        for pair in told.pair
        for task in pair.tasks
        if (run := study.run_of(pair, task)) in measured.stores
    ]
    parts = [_part(measured, run, pair, task, n) for pair, task, run in asked for n in names]
    verdicts = judge(parts)
    three = zip(verdicts[::3], verdicts[1::3], verdicts[2::3], strict=True)
    return tuple(
        Contest(pair, task, looks, close, made, words(pair, names, (looks, close, made)))
        for (pair, task, _), (looks, close, made) in zip(asked, three, strict=True)
    )


def _part(measured: Measured, run: str, pair: Pair, task: str, name: str) -> Evidence | Unmeasured:
    store, label = measured.stores[run], f"{task} {name}: {pair.first} against {pair.second}"
    try:
        key = name if name in SHARES else metric_of(store, name, task)[0]
        better = higher_is_better(store, name, task)
        first, second = (
            measured.values(run, method, task, name) for method in (pair.first, pair.second)
        )
    except UsageError as reason:
        return Unmeasured(label, name, str(reason))
    if first.keys() != second.keys() or not first:
        reason = f"{len(first)} and {len(second)} pictures; expected the same of both"
        return Unmeasured(label, name, reason)
    one, two = (np.array([v[image] for image in first]) for v in (first, second))
    scene = store.scenes(task)
    margin = absolute(margin_of(name, SHARES))
    return paired_evidence(
        Part(label, key, margin, better), one, two, [scene[image] for image in first],
        rng_for(0, f"{task} {name}", "permutations"), PERMUTATIONS,
    )  # fmt: skip


def higher_is_better(store: Store, name: str, task: str) -> bool:
    """Return the direction of a metric that pictures have one value of each, or of a share.

    Raises:
        UsageError: it was not measured, or it is one number for a whole set.
    """
    if name in SHARES:
        return False
    key, info = metric_of(store, name, task)
    if not info.per_image:
        raise UsageError(f"{key} is one number for a whole set; a pair needs one of each picture")
    return info.higher_is_better


def words(pair: Pair, names: Sequence[str], verdicts: Sequence[Verdict]) -> str:
    """Say what the three directions of a pair say together, in a sentence that stands alone.

    Args:
        pair: who.
        names: of perception, fidelity and invention.
        verdicts: in that order, first against second.
    """
    looks, close, made = (verdict.direction for verdict in verdicts)
    if any(verdict.label == "not measured" for verdict in verdicts):
        return "not measured"
    first, second = pair.first, pair.second
    if looks < 0 or (looks == 0 and close < 0):
        first, second, looks, close, made = second, first, -looks, -close, -made
    invented = {-1: " and invented more", 1: " and invented less", 0: ""}[made]
    if looks > 0 and close < 0:
        return f"{first} is only prettier than {second}{invented}: {_who(names, first, second)}"
    if looks > 0 and close > 0:
        return f"{first} is better than {second}, prettier and closer{invented}"
    if looks > 0:
        return f"{first} is prettier than {second}{invented}; which is closer is not resolved"
    if close > 0:
        return f"{first} is closer than {second}{invented}; which is prettier is not resolved"
    return f"{first} and {second}: neither is shown to be prettier or closer{invented}"


def _who(names: Sequence[str], first: str, second: str) -> str:
    return f"{names[0]} prefers {first}, {names[1]} prefers {second}"
