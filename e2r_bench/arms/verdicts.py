"""Second reading of a claim: what a run supports, by the one function that judges."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from e2r_bench.arms.claims import Claim, Claims
from e2r_bench.arms.parts import NOT_MEASURED, Asked, Part, Sides, judged, record_of
from e2r_bench.statistics.correlation import Correlation, rank_correlation
from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.statistics.ruling import Kind, Ruling, rule, rule_unfollowed
from e2r_bench.store.info import unmarked
from e2r_bench.studies.measure import MeasuredArm, summary_value, units_of
from e2r_bench.studies.sides import Criteria
from e2r_metrics.base.errors import UsageError

# Measured beside the paper's metric, under its own name, where that one's weights are not here.
PROXIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"fid": ("fd_effnet",), "cmmd": ("mmd_effnet",)}
)
_KINDS: Mapping[str, Kind] = MappingProxyType(
    {"better": "better", "equivalent": "equivalent", "trend": "no gain"}
)


@dataclass(frozen=True)
class Judged:
    """A claim's verdict by this run.

    Attributes:
        claim: its id.
        ruling: what its parts say.
        line: the verdict with what it was judged on, fit to stand alone.
        records: a mapping for each part.
        parts: of comparisons; a correlation has none.
    """

    claim: str
    ruling: Ruling
    line: str
    records: tuple[Mapping[str, Any], ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Conditions:
    """What claims are judged under.

    Attributes:
        tasks: the run's.
        criteria: how two arms are compared.
        trained_on: what the trained arms were trained on, in words.
    """

    tasks: tuple[str, ...]
    criteria: Criteria
    trained_on: str


def judge_claim(claims: Claims, claim: Claim, sides: Sides, under: Conditions) -> Judged:
    """Judge one claim; a part that cannot be measured says why and is no number."""
    if claim.kind == "correlation":
        return _unfollowed(claims, claim, sides, under)
    parts = judged(list(asked_of(claim, under.tasks)), sides, under.criteria)
    ruling = rule(_KINDS[claim.kind], [part.verdict for part in parts])
    line = _line(claims, claim, ruling.words, [p.build for p in parts if p.measured], under)
    records = tuple(record_of(part) for part in parts)
    return Judged(
        claim.id, ruling, f"{line}{_size(parts, under)}{_proxies(parts)}", records, tuple(parts)
    )


def asked_of(claim: Claim, tasks: Sequence[str]) -> Iterator[Asked]:
    """Yield the comparisons that a claim is about, on those of its tasks that are run."""
    if claim.kind == "trend":
        pairs = [(later, earlier) for earlier, later in pairwise((claim.first, *claim.second))]
    else:
        pairs = [(claim.first, second) for second in claim.second]
    for task in tasks_of(claim, tasks):
        for first, second in pairs:
            for metric in claim.metrics:
                yield Asked(task, metric, first, second, PROXIES.get(metric, ()))


def tasks_of(claim: Claim, tasks: Sequence[str]) -> list[str]:
    """Return those of the run's tasks that a claim is about.

    Raises:
        UsageError: none of them.
    """
    found = [task for task in tasks if not claim.tasks or task in claim.tasks]
    if not found:
        raise UsageError(
            f"{claim.id} is about {', '.join(claim.tasks)}: expected --tasks with one of them, "
            f"found {', '.join(tasks)}"
        )
    return found


def _unfollowed(claims: Claims, claim: Claim, sides: Sides, under: Conditions) -> Judged:
    """Correlate two metrics over the arms; a set metric has one value per arm."""
    found: dict[str, Correlation | str] = {}
    builds: list[str] = []
    for task in tasks_of(claim, under.tasks):
        try:
            arms = [sides(name, task).arms[0][0] for name in (claim.first, *claim.second)]
            found[task] = _correlated(claim, task, arms, under.criteria)
            builds.append(arms[0].build)
        except UsageError as error:
            found[task] = str(error)
    ruling = rule_unfollowed(found)
    records = tuple(
        {
            "task": task, "metric": " ~ ".join(claim.metrics), "first": claim.first,
            "second": "all arms", "verdict": NOT_MEASURED, "note": one,
        }
        if isinstance(one, str)
        else {
            "task": task, "metric": " ~ ".join(claim.metrics), "first": claim.first,
            "second": "all arms", "verdict": ruling.decision, "effect": one.rho, "p": one.p,
            "floor": one.floor, "n": one.n,
            "note": "Spearman over arms (first training and seed), exact permutation p",
        }
        for task, one in found.items()
    )  # fmt: skip
    return Judged(claim.id, ruling, _line(claims, claim, ruling.words, builds, under), records, ())


def _correlated(
    claim: Claim, task: str, arms: Sequence[MeasuredArm], criteria: Criteria
) -> Correlation:
    store = arms[0].store
    scenes = len(set(units_of(store, task, store.images(task), criteria.unit)))
    if scenes < MIN_SCENES:
        raise UsageError(f"{scenes} scenes: no verdict of any kind below {MIN_SCENES}")
    one, two = ([summary_value(arm, task, name) for arm in arms] for name in claim.metrics)
    return rank_correlation(one, two)


def _line(
    claims: Claims, claim: Claim, words: str, builds: Sequence[str], under: Conditions
) -> str:
    """Return the verdict with what it was judged on: never a miniature in the paper's name."""
    trained = any(claims.arms[name].training for name in claim.arms() if name in claims.arms)
    taught = f", arms trained on {under.trained_on}" if trained and builds else ""
    return f"{words}{_where(claims, builds)}{taught}"


def _where(claims: Claims, builds: Sequence[str]) -> str:
    found = dict.fromkeys(builds)
    if not found:
        return ""
    named = " and ".join(unmarked(build) for build in found)
    if any(unmarked(build) != build for build in found):
        return f"; on the miniature {named}, not {claims.paper.backbone}"
    return f"; on {named}"


def _size(parts: Sequence[Part], under: Conditions) -> str:
    """Return n and scenes, and once each what a reader has to know of the parts."""
    found = dict.fromkeys((p.verdict.n, p.verdict.scenes) for p in parts if p.measured)
    if not found:
        reasons = dict.fromkeys(note for part in parts for note in part.verdict.notes)
        return ": " + "; ".join(reasons)
    said = ", ".join(f"n = {n} ({scenes} scenes)" for n, scenes in found)
    if under.criteria.unit == "image":
        said += ", for these images only"
    few = any((scenes or 0) < MIN_SCENES for _, scenes in found)
    return f", at {said}" + (f": no verdict of any kind below {MIN_SCENES} scenes" if few else "")


def _proxies(parts: Sequence[Part]) -> str:
    named = dict.fromkeys(f"{p.asked.metric}, {p.note}" for p in parts if p.measured and p.note)
    return f"; judged by {' and '.join(named)}" if named else ""
