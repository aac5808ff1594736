"""Second reading of a claim: what a run supports, part by part, Holm-adjusted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from e2r_bench.statistics.paired import holm
from e2r_bench.statistics.power import detectable
from e2r_bench.studies.claims import Claim, Claims
from e2r_bench.studies.measure import Cell, Comparison, Unit, compare, metric_of
from e2r_bench.studies.tables import spearman
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_metrics import Session

Verdict = Literal["supported", "refuted", "not resolved", "not measured"]
Arms = Callable[[str, str], Cell]
"""Arm name and task to its cell, running it where needed."""

ALPHA = 0.05
_SMALL = " (miniature)"  # as `measure.Cell.build` marks it
# Measured beside the paper's metric, under its own name, where that one's weights are not here.
PROXIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"fid": ("fd_effnet",), "cmmd": ("mmd_effnet",), "clip_iqa": ()}
)


@dataclass(frozen=True)
class Part:
    """One comparison of a claim: two arms, one task, one metric.

    Attributes:
        claim, task, metric, first, second: what was compared.
        verdict: of this part.
        effect: first minus second; `low`, `high`: 95% interval.
        p: of no difference, by permutation; `holm`: adjusted over the parts of the claim.
        p_equal: of the test that the difference is smaller than the margin; `holm_equal`: adjusted.
        floor: the smallest p that the scenes or permutations can give.
        permutations: drawn; 0 where all patterns were enumerated.
        n, scenes: images and independent units.
        detectable: the smallest difference that this n finds four times in five.
        margin: absolute, what counts as no difference.
        build: what the first arm ran with.
        note: why there is no number, or what a proxy is.
    """

    claim: str
    task: str
    metric: str
    first: str
    second: str
    verdict: Verdict
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    holm: float | None = None
    p_equal: float | None = None
    holm_equal: float | None = None
    floor: float | None = None
    permutations: int | None = None
    n: int | None = None
    scenes: int | None = None
    detectable: float | None = None
    margin: float | None = None
    improves: bool | None = None
    build: str = ""
    note: str = ""


@dataclass(frozen=True)
class Ruling:
    """A claim's verdict by this run, in a line that can stand alone."""

    claim: str
    verdict: Verdict
    line: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Court:
    """How claims are judged.

    Attributes:
        session: computes features.
        tasks: the run's.
        unit: what is independent.
        permutations: per part.
    """

    session: "Session"
    tasks: tuple[str, ...]
    unit: Unit = "scene"
    permutations: int = 999


def rule(claims: Claims, claim: Claim, arms: Arms, court: Court) -> Ruling:
    """Judge one claim; a part that cannot be measured says why and is no number."""
    if claim.kind == "correlation":
        parts = [_correlated(claim, task, arms, court) for task in court.tasks]
    else:
        parts = _judged(claim, list(_parts(claim, arms, court)))
    verdict = _overall(claim, parts)
    return Ruling(claim.id, verdict, _line(claims, verdict, parts, court), tuple(parts))


def _parts(claim: Claim, arms: Arms, court: Court) -> Iterator[Part]:
    if claim.kind == "trend":
        order = (claim.first, *claim.second)
        pairs = [(later, earlier) for earlier, later in pairwise(order)]
    else:
        pairs = [(claim.first, second) for second in claim.second]
    for task in court.tasks:
        if claim.tasks and task not in claim.tasks:
            continue
        for first, second in pairs:
            for metric in claim.metrics:
                yield from _measured(claim, (task, metric, first, second), arms, court)


def _measured(
    claim: Claim, names: tuple[str, str, str, str], arms: Arms, court: Court
) -> Iterator[Part]:
    """Yield the paper's metric, and its proxy where that one cannot be measured."""
    task, metric, first, second = names
    asked = Part(claim.id, task, metric, first, second, "not measured")
    try:
        cells = arms(first, task), arms(second, task)
    except UsageError as error:
        yield replace(asked, note=f"arm not run: {error}")
        return
    for name in (metric, *PROXIES.get(metric, ())):
        try:
            made = compare(
                *cells, task, name, court.session, claim.margin, court.unit, court.permutations
            )
        except UsageError as error:
            yield replace(asked, metric=name, note=str(error))
            continue
        note = "" if name == metric else f"a proxy under its own name, not {metric}"
        yield _numbers(replace(asked, metric=name, note=note), made, cells[0].build)
        return


def _numbers(asked: Part, made: Comparison, build: str) -> Part:
    test, tost = made.test, made.equivalence
    return replace(
        asked,
        verdict="not resolved",
        effect=test.effect,
        low=made.interval.low,
        high=made.interval.high,
        p=test.p,
        p_equal=tost.p,
        floor=test.floor,
        permutations=test.permutations,
        n=test.n,
        scenes=test.scenes,
        detectable=detectable(made.interval.error, test.scenes - 1),
        margin=tost.margin,
        improves=made.improves > 0,
        build=build,
    )


def _judged(claim: Claim, parts: Sequence[Part]) -> list[Part]:
    """Adjust the p-values over the parts of the claim, then judge each part."""
    differ = iter(holm([part.p for part in parts if part.p is not None]))
    equal = iter(holm([part.p_equal for part in parts if part.p_equal is not None]))
    judged: list[Part] = []
    for part in parts:
        if part.p is not None:
            part = replace(part, holm=next(differ), holm_equal=next(equal))
            part = replace(part, verdict=_verdict(claim, part))
        judged.append(part)
    return judged


def _verdict(claim: Claim, part: Part) -> Verdict:
    differs = part.holm is not None and part.holm <= ALPHA
    equal = part.holm_equal is not None and part.holm_equal <= ALPHA
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
    found: list[Verdict] = [p.verdict for p in parts if p.verdict != "not measured"]
    if not found:
        return "not measured"
    decisive: Verdict = "supported" if claim.kind == "trend" else "refuted"
    if decisive in found:
        return decisive
    return found[0] if len(set(found)) == 1 else "not resolved"


def _correlated(claim: Claim, task: str, arms: Arms, court: Court) -> Part:
    """Correlate two metrics over the arms; a set metric has one value per arm."""
    one, two = claim.metrics
    asked = Part(claim.id, task, f"{one} ~ {two}", claim.first, "all arms", "not measured")
    try:
        cells = [arms(name, task) for name in (claim.first, *claim.second)]
        values = [[_value(cell, task, name) for cell in cells] for name in claim.metrics]
    except UsageError as error:
        return replace(asked, note=str(error))
    rho, p = spearman(values[0], values[1])
    # Seven points bound a correlation loosely: only a significant one can refute "does not follow".
    verdict: Verdict = "refuted" if p <= ALPHA / len(court.tasks) else "not resolved"
    adjusted = min(1.0, p * len(court.tasks))
    return replace(
        asked, verdict=verdict, effect=rho, p=p, holm=adjusted, n=len(cells), build=cells[0].build,
        note="Spearman over arms, exact permutation p, Bonferroni over tasks",
    )  # fmt: skip


def _value(cell: Cell, task: str, name: str) -> float:
    key, _ = metric_of(cell.run, name, task)
    bare, _, variant = key.partition(":")
    table = cell.run.summary()
    row = table[
        (table.method == cell.method) & (table.task == task) & (table.seed == cell.draw.seed)
        & (table.steps == cell.draw.steps) & (table.metric == bare) & (table.variant == variant)
    ]  # fmt: skip
    if len(row) != 1 or row.status.iloc[0] != "ok":
        raise UsageError(f"{cell.run.folder}: no value of {key} for {cell.method} on {task}")
    return float(row.value.iloc[0])


def _line(claims: Claims, verdict: Verdict, parts: Sequence[Part], court: Court) -> str:
    """Return the verdict with what it was judged on: never a miniature in the paper's name."""
    measured = [part for part in parts if part.verdict != "not measured"]
    counts = ", ".join(
        f"{sum(part.verdict == name for part in parts)} {name}"
        for name in ("supported", "refuted", "not resolved", "not measured")
    )
    builds = " and ".join(dict.fromkeys(part.build for part in measured))
    where = f" on {builds}" if builds else ""
    if _SMALL in builds:
        where = f" on the miniature {builds.replace(_SMALL, '')}, not {claims.paper.backbone}"
    at = ""
    if measured and measured[0].scenes is not None:
        n, scenes = measured[0].n, measured[0].scenes
        at = f" at n = {n} ({scenes} scenes)" if court.unit == "scene" else f" for these {n} images"
    floors = [part.floor for part in measured if part.floor is not None]
    short = f"; so few scenes give no p of a difference below {max(floors, default=0):.3g}"
    low = short if _short(floors) else ""
    return f"{verdict}{where}{at}: of {len(parts)} parts {counts}{low}"


def _short(floors: Sequence[float]) -> bool:
    return bool(floors) and max(floors) * len(floors) > ALPHA


def as_rows(rulings: Sequence[Ruling]) -> list[dict[str, Any]]:
    """Return one mapping per part."""
    return [asdict(part) for ruling in rulings for part in ruling.parts]
