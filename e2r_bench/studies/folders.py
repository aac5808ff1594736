"""Folders of results against each other: paired by picture, and judged as methods of a run are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from e2r_bench import __version__
from e2r_bench.maps.shares import SHARES
from e2r_bench.report.statements import Contest, Level
from e2r_bench.statistics.blocks import clustered_blocks
from e2r_bench.statistics.evidence import Part, identical_evidence, paired_evidence, set_evidence
from e2r_bench.statistics.given import stated
from e2r_bench.statistics.margins import Margin, absolute, known_margin, margin_of, margins_words
from e2r_bench.statistics.scope import Scope
from e2r_bench.statistics.sets import distance_of
from e2r_bench.statistics.stability import Stability, stabilities
from e2r_bench.statistics.verdict import Evidence, unmeasured
from e2r_bench.studies.contest import Found, judged, level_of, permutations_for
from e2r_bench.studies.entrants import Entrant, Measures, matched, share_protocol
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.catalog import Metric


@dataclass(frozen=True)
class Rules:
    """How folders are judged.

    Attributes:
        against: name of the folder that others are set against; None for the first.
        margins: those that replace the metrics' own.
        every: judge all pairs too, for a table's marks.
    """

    against: str | None = None
    margins: Mapping[str, Margin] = field(default_factory=dict[str, Margin])
    every: bool = False


def folder_contest(
    entrants: Sequence[Entrant], measures: Measures, rules: Rules, inputs: Entrant | None = None
) -> Contest:
    """Compare scored folders; each clean picture is a scene.

    Args:
        entrants: two or more.
        measures: what they were scored by.
        rules: see `Rules`.
        inputs: the degraded pictures, scored alike; margins of set metrics are a share of their
            distance.

    Raises:
        UsageError: an unknown name, or fewer than two folders.
    """
    known = {one.name: one for one in entrants}
    if rules.against is not None and rules.against not in known:
        raise unknown("folder to compare against", rules.against, known)
    lead = known[rules.against] if rules.against is not None else entrants[0]
    pairs = [(one, lead) for one in entrants if one is not lead]
    wanted = list(combinations(entrants, 2)) if rules.every else []
    infos = list(_infos(measures))
    count = len(infos) * max(len(pairs), len(wanted))
    judge_ = _Judge(stated(measures.metrics, rules.margins), permutations_for(count), inputs)
    made = [judge_.found(info, *pair) for info in infos for pair in pairs]
    every = [judge_.found(info, *pair) for info in infos for pair in wanted]
    levels = tuple(_levels(entrants, infos))
    facts = tuple(_facts(entrants, infos, judge_))
    return Contest(judged(made), judged(every), levels, facts, tuple(_orders(entrants, infos)))


def _orders(entrants: Sequence[Entrant], infos: "Sequence[_Info]") -> Iterator[Stability]:
    """Yield how stable the orders of three folders or more are; pictures by their clean files."""
    for info in infos:
        values = {
            one.name: {
                str(one.partners[image]): value
                for image, value in one.by_metric.get(info.key, {}).items()
            }
            for one in entrants
        }
        scenes = {name: name for name in next(iter(values.values()))}
        draws = rng_for(0, info.key, "order")
        yield from stabilities(("", info.key), values, scenes, info.higher_is_better, draws)


@dataclass(frozen=True)
class _Info:
    key: str
    unit: str
    higher_is_better: bool
    protocol: str
    metric: Metric | None


def _infos(measures: Measures) -> Iterator[_Info]:
    told = measures.parts.told
    for metric in measures.metrics:
        how = told(metric).protocol
        yield _Info(metric.id, metric.unit, metric.higher_is_better, how, metric)
    for key in measures.shares:
        info = SHARES[key]
        yield _Info(
            key, info.unit, info.higher_is_better, share_protocol(key, measures.parts), None
        )


@dataclass(frozen=True)
class _Judge:
    margins: Mapping[str, Margin]
    permutations: int
    inputs: Entrant | None

    def found(self, info: _Info, first: Entrant, second: Entrant) -> Found:
        name = f"{info.key}: {first.name} against {second.name}"
        head = ("", info.key, info.unit, info.higher_is_better, first.name, second.name)
        try:
            evidence, spread = self._measured(name, info, first, second)
        except UsageError as error:
            return Found(*head, unmeasured(name, info.key, error))
        return Found(*head, evidence, spread)

    def _measured(
        self, name: str, info: _Info, first: Entrant, second: Entrant
    ) -> tuple[Evidence, float | None]:
        for one in (first, second):
            if info.key in one.scores.missing:
                raise UsageError(f"not measured, {one.scores.missing[info.key].words}")
            if info.key in one.scores.unmeasured:
                raise UsageError(one.scores.unmeasured[info.key])
        if info.metric is not None and not info.metric.per_image:
            return self._set(name, info, info.metric, first, second), None
        ours, theirs = (one.by_metric.get(info.key, {}) for one in (first, second))
        shared = matched(first, second, ours, theirs)
        values = np.array([[ours[a], theirs[b]] for a, b in shared], dtype=np.float64)
        margin = known_margin(info.key, self.margins)
        part = Part(name, info.key, margin and absolute(margin), info.higher_is_better)
        scenes = [str(first.partners[image]) for image, _ in shared]
        draws = rng_for(0, info.key, "permutations")
        gap = values.reshape(-1, 2)
        evidence = paired_evidence(part, gap[:, 0], gap[:, 1], scenes, draws, self.permutations)
        return evidence, float(np.std(gap[:, 0] - gap[:, 1], ddof=1))

    def _set(
        self, name: str, info: _Info, metric: Metric, first: Entrant, second: Entrant
    ) -> Evidence:
        if metric.extractor is None or metric.distance is None:
            raise UsageError(f"{metric.id} looks at single images, it is no set metric")
        one, two = (side.scores.features.get(metric.extractor) for side in (first, second))
        if one is None or two is None:
            raise UsageError("no picture could be measured")
        rows = [{image: k for k, image in enumerate(side.names)} for side in (one, two)]
        shared = matched(first, second, *rows)
        chosen = [rows[0][a] for a, _ in shared]
        ours, theirs = one.restored.of(chosen), two.restored.of([rows[1][b] for _, b in shared])
        scenes = [str(first.partners[image]) for image, _ in shared]
        part = Part(name, info.key, self._margin(metric), info.higher_is_better)
        if np.array_equal(ours.rows, theirs.rows):
            return identical_evidence(part, scenes, Scope())
        blocks = clustered_blocks(metric.distance, ours, theirs, one.clean.of(chosen))
        draws = rng_for(0, info.key, "permutations")
        return set_evidence(part, blocks, scenes, draws, self.permutations)

    def _margin(self, metric: Metric) -> float:
        margin = margin_of(metric.id, self.margins)
        if not margin.relative:
            return absolute(margin)
        if self.inputs is None or metric.extractor is None or metric.distance is None:
            raise UsageError(
                f"{metric.id}: its margin is a {margin.unit}; give the degraded pictures too, with "
                "--degraded FOLDER"
            )
        seen = self.inputs.scores.features[metric.extractor]
        blocks = clustered_blocks(metric.distance, seen.restored, seen.clean, seen.clean)
        return absolute(margin, distance_of(blocks, 0), distance_of(blocks, 1))


def _levels(entrants: Sequence[Entrant], infos: Sequence[_Info]) -> Iterator[Level]:
    for info in infos:
        head = ("", info.key, info.unit, info.higher_is_better)
        for one in entrants:
            values = one.by_metric.get(info.key, {})
            if values:
                yield level_of(head, one.name, values, [str(one.partners[i]) for i in values])
            for row in one.scores.values:
                if row.metric.id == info.key and not row.image:
                    n = next(s.n for s in one.scores.summaries if s.metric.id == info.key)
                    yield Level(*head, one.name, row.value, None, None, n)


def _facts(entrants: Sequence[Entrant], infos: Sequence[_Info], judge_: _Judge) -> Iterator[str]:
    for one in entrants:
        said = (
            "each clean picture is" if one.parts.reference != "none" else "pictures of one name are"
        )
        yield f"{one.name}: {len(one.partners)} pictures; {said} a scene"
    yield from (info.protocol for info in infos)
    yield f"margins: {margins_words([info.key for info in infos], judge_.margins)}"
    yield f"e2r-bench {__version__}; {judge_.permutations} permutations"
