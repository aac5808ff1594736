"""Second reading of a claim: what a run supports, part by part, Holm-adjusted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal

from e2r_bench.arms.claims import Claim, Claims
from e2r_bench.arms.parts import ALPHA, NOT_MEASURED, Part, adjusted, measured
from e2r_bench.arms.tables import spearman
from e2r_bench.studies.compare import Criteria
from e2r_bench.studies.measure import MeasuredArm, full_size, summary_value
from e2r_metrics.base.errors import UsageError

Verdict = Literal["supported", "refuted", "not resolved", "not measured"]
VERDICTS: tuple[Verdict, ...] = ("supported", "refuted", "not resolved", "not measured")
Arms = Callable[[str, str], MeasuredArm]
"""Arm name and task to the arm, running it where needed."""

# Measured beside the paper's metric, under its own name, where that one's weights are not here.
PROXIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"fid": ("fd_effnet",), "cmmd": ("mmd_effnet",), "clip_iqa": ()}
)


@dataclass(frozen=True)
class Ruling:
    """A claim's verdict by this run, in a line that can stand alone."""

    claim: str
    verdict: Verdict
    line: str
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


def rule(claims: Claims, claim: Claim, arms: Arms, under: Conditions) -> Ruling:
    """Judge one claim; a part that cannot be measured says why and is no number."""
    if claim.kind == "correlation":
        parts = [_correlated(claim, task, arms, len(under.tasks)) for task in under.tasks]
    else:
        found = adjusted(list(_parts(claim, arms, under)))
        parts = [replace(p, verdict=_verdict(claim, p)) if p.measured else p for p in found]
    verdict = _overall(claim, parts)
    return Ruling(claim.id, verdict, _line(claims, claim, verdict, parts, under), tuple(parts))


def _parts(claim: Claim, arms: Arms, under: Conditions) -> Iterator[Part]:
    if claim.kind == "trend":
        order = (claim.first, *claim.second)
        pairs = [(later, earlier) for earlier, later in pairwise(order)]
    else:
        pairs = [(claim.first, second) for second in claim.second]
    for task in under.tasks:
        if claim.tasks and task not in claim.tasks:
            continue
        for first, second in pairs:
            for metric in claim.metrics:
                asked = Part(task, metric, first, second)
                yield from _measured(claim, asked, arms, under.criteria)


def _measured(claim: Claim, asked: Part, arms: Arms, criteria: Criteria) -> Iterator[Part]:
    """Yield the paper's metric, and its proxy where that one cannot be measured."""
    try:
        sides = arms(asked.first, asked.task), arms(asked.second, asked.task)
    except UsageError as error:
        yield replace(asked, note=f"arm not run: {error}")
        return
    for name in (asked.metric, *PROXIES.get(asked.metric, ())):
        note = "" if name == asked.metric else f"a proxy under its own name, not {asked.metric}"
        try:
            yield measured(replace(asked, metric=name, note=note), *sides, claim.margin, criteria)
        except UsageError as error:
            yield replace(asked, metric=name, note=str(error))
            continue
        return


def _verdict(claim: Claim, part: Part) -> Verdict:
    differs, equal = part.differs, part.equal
    if claim.kind == "equivalent":
        margin, low, high = part.margin or 0.0, part.low or 0.0, part.high or 0.0
        outside = low > margin or high < -margin
        return "supported" if equal else "refuted" if differs and outside else "not resolved"
    gains = differs and part.improves is True
    fails = equal or (differs and part.improves is False)
    if claim.kind == "trend":
        return "refuted" if gains else "supported" if fails else "not resolved"
    return "supported" if gains else "refuted" if fails else "not resolved"


def _overall(claim: Claim, parts: Sequence[Part]) -> Verdict:
    """Return the claim's verdict: it says "every", so that one part can refute it.

    A trend is no longer monotone when a single step of it brings nothing; to refute that there is
    none, every step must gain.
    """
    found = {part.verdict for part in parts if part.verdict != NOT_MEASURED}
    if not found:
        return "not measured"
    decisive = "supported" if claim.kind == "trend" else "refuted"
    if decisive in found:
        return "supported" if claim.kind == "trend" else "refuted"
    return next(v for v in VERDICTS if v in found) if len(found) == 1 else "not resolved"


def _correlated(claim: Claim, task: str, arms: Arms, tasks: int) -> Part:
    """Correlate two metrics over the arms; a set metric has one value per arm."""
    asked = Part(task, " ~ ".join(claim.metrics), claim.first, "all arms")
    try:
        found = [arms(name, task) for name in (claim.first, *claim.second)]
        values = [[summary_value(arm, task, name) for arm in found] for name in claim.metrics]
    except UsageError as error:
        return replace(asked, note=str(error))
    rho, p = spearman(values[0], values[1])
    # Seven points bound a correlation loosely: only a significant one can refute "does not follow".
    verdict: Verdict = "refuted" if p <= ALPHA / tasks else "not resolved"
    return replace(
        asked, verdict=verdict, effect=rho, p=p, holm=min(1.0, p * tasks), n=len(found),
        build=found[0].build,
        note="Spearman over arms, exact permutation p, Bonferroni over tasks",
    )  # fmt: skip


def _line(
    claims: Claims, claim: Claim, verdict: Verdict, parts: Sequence[Part], under: Conditions
) -> str:
    """Return the verdict with what it was judged on: never a miniature in the paper's name."""
    found = [part for part in parts if part.verdict != NOT_MEASURED]
    counts = ", ".join(f"{sum(p.verdict == name for p in parts)} {name}" for name in VERDICTS)
    trained = any(claims.arms[name].training for name in claim.arms() if name in claims.arms)
    taught = f", arms trained on {under.trained_on}" if trained else ""
    floors = [part.floor for part in found if part.floor is not None]
    short = f"; so few scenes give no p of a difference below {max(floors, default=0):.3g}"
    low = short if floors and max(floors) * len(floors) > ALPHA else ""
    return (
        f"{verdict}{_where(claims, found)}{_size(found, under)}{taught}: of {len(parts)} parts "
        f"{counts}{low}"
    )


def _where(claims: Claims, found: Sequence[Part]) -> str:
    builds = dict.fromkeys(part.build for part in found)
    if not builds:
        return ""
    named = " and ".join(full_size(build) for build in builds)
    if any(full_size(build) != build for build in builds):
        return f" on the miniature {named}, not {claims.paper.backbone}"
    return f" on {named}"


def _size(found: Sequence[Part], under: Conditions) -> str:
    if not found or found[0].scenes is None:
        return ""
    n, scenes = found[0].n, found[0].scenes
    by_scene = under.criteria.unit == "scene"
    return f" at n = {n} ({scenes} scenes)" if by_scene else f" for these {n} images"


def as_rows(rulings: Sequence[Ruling]) -> list[dict[str, Any]]:
    """Return one mapping per part."""
    return [{"claim": r.claim, **asdict(part)} for r in rulings for part in r.parts]
