"""From the verdicts of a claim's parts to the claim's own: supported, refuted, or not resolved.

A claim says "every part". It is supported where each part passes by itself (an intersection-union
test, Berger, Technometrics 24, 1982: no adjustment is needed, none would help), and refuted where
one part, adjusted for their number, shows the opposite. Claims of a direction are decided by
directions alone and claims of equivalence by sizes alone; the other one is told beside it. So a
claim and its opposite are never both supported, and a gain below the margin refutes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from e2r_bench.statistics.correlation import Correlation
from e2r_bench.statistics.judge import ALPHA
from e2r_bench.statistics.paired import holm
from e2r_bench.statistics.verdict import Direction, Verdict
from e2r_metrics.base.errors import UsageError

Kind = Literal["better", "equivalent", "no gain", "does not follow"]
Decision = Literal["supported", "refuted", "not resolved", "not measured"]


@dataclass(frozen=True)
class Ruling:
    """What the parts say of a claim.

    Attributes:
        kind: "better": the first arm is better in every part; "equivalent": in every part the arms
            differ by less than the margin; "no gain": not every part is better, the opposite of
            "better"; "does not follow": two metrics are not correlated over the arms.
        decision: as by direction or size alone.
        words: the decision with the direction and size of what decided it; stands alone.
        p_supported: of the intersection-union test.
        p_refuted: smallest adjusted p of a part that shows the opposite.
        parts: their verdicts.
    """

    kind: Kind
    decision: Decision
    words: str
    p_supported: float
    p_refuted: float
    parts: tuple[Verdict, ...]


def rule(kind: Kind, parts: Sequence[Verdict], alpha: float = ALPHA) -> Ruling:
    """Return the claim's ruling from `judge`'s verdicts of its parts.

    Parts that were not measured are left out, and counted in the words. A part on too few scenes
    leaves the claim open.

    Raises:
        UsageError: no part at all.
    """
    if not parts:
        raise UsageError("a claim without parts: expected at least one task and metric")
    measured = [part for part in parts if part.label != "not measured"]
    every, opposite = (
        (_within(measured), _beyond(measured))
        if kind == "equivalent"
        else (_all(measured, 1), _any(measured, -1))
    )
    if kind == "no gain":
        every, opposite = opposite, every
    decision = _decision(measured, every, opposite, alpha)
    return Ruling(kind, decision, _words(kind, decision, parts), every, opposite, tuple(parts))


def rule_unfollowed(found: Mapping[str, Correlation | str], alpha: float = ALPHA) -> Ruling:
    """Return the ruling of "one metric does not follow another", from a correlation per task.

    A few arms bound a correlation loosely: only one that is shown, adjusted over the tasks, can
    refute the claim, and nothing supports it.

    Args:
        found: task to its correlation over the arms, or to why there is none.
        alpha: level over all tasks.
    """
    known = {task: one for task, one in found.items() if not isinstance(one, str)}
    if not known:
        reasons = "; ".join(dict.fromkeys(str(reason) for reason in found.values()))
        return Ruling("does not follow", "not measured", f"not measured: {reasons}", 1.0, 1.0, ())
    adjusted = dict(zip(known, holm([one.p for one in known.values()]), strict=True))
    lowest = min(adjusted.values())
    decision: Decision = "refuted" if lowest <= alpha else "not resolved"
    shown = [
        f"rho {known[task].rho:+.2f} in {task} ({known[task].n} arms, p {p:.3g})"
        for task, p in adjusted.items()
    ]
    words = f"{decision}: {', '.join(shown)}"
    if len(known) < len(found):
        words += f"; {len(found) - len(known)} of {len(found)} tasks not measured"
    return Ruling("does not follow", decision, words, 1.0, lowest, ())


def _decision(
    measured: Sequence[Verdict], supported: float, refuted: float, alpha: float
) -> Decision:
    if not measured:
        return "not measured"
    return "supported" if supported <= alpha else "refuted" if refuted <= alpha else "not resolved"


def _all(parts: Sequence[Verdict], direction: Direction) -> float:
    return max(
        (part.p if part.p is not None and part.leans == direction else 1.0 for part in parts),
        default=1.0,
    )


def _any(parts: Sequence[Verdict], direction: Direction) -> float:
    return min(
        (part.holm for part in parts if part.holm is not None and part.leans == direction),
        default=1.0,
    )


def _within(parts: Sequence[Verdict]) -> float:
    return max((1.0 if part.p_within is None else part.p_within for part in parts), default=1.0)


def _beyond(parts: Sequence[Verdict]) -> float:
    return min((part.holm_outside for part in parts if part.holm_outside is not None), default=1.0)


def _words(kind: Kind, decision: Decision, parts: Sequence[Verdict]) -> str:
    measured = [part for part in parts if part.label != "not measured"]
    if not measured:
        return "not measured"
    said = [_why(kind, decision, measured), *_subjects(measured)]
    missing = len(parts) - len(measured)
    if missing:
        said.append(f"{missing} of {len(parts)} parts not measured")
    return "; ".join([decision, *(text for text in said if text)])


def _why(kind: Kind, decision: Decision, parts: Sequence[Verdict]) -> str:
    """Return the size beside a decided direction, or the direction beside a decided size."""
    small = sum(part.size == "less than the margin" for part in parts)
    if decision == "not resolved":
        return "any difference is below the margin in every part" if small == len(parts) else ""
    if kind == "equivalent":
        if decision == "refuted":
            outside = [p for p in parts if p.size == "more than the margin"]
            return "by more than the margin: " + _list(outside)
        shown = [part for part in parts if part.direction]
        return "every difference is below the margin" + (f" ({_list(shown)})" if shown else "")
    if (kind == "better") == (decision == "supported"):
        return _better_everywhere(parts, small)
    return _list([part for part in parts if part.direction < 0])


def _better_everywhere(parts: Sequence[Verdict], small: int) -> str:
    said = "better in every part"
    if small:
        said += f", by less than the margin in {small} of {len(parts)}"
    alone = sum(part.direction == 0 for part in parts)
    if alone:
        said += f"; each passes by itself, but {alone} of them not when picked from {len(parts)}"
    return said


def _list(parts: Sequence[Verdict]) -> str:
    return ", ".join(f"{part.label} in {part.name}" for part in parts)


def _subjects(parts: Sequence[Verdict]) -> list[str]:
    found = dict.fromkeys(part.scope.subject for part in parts if part.scope is not None)
    return [f"said of {name}" for name in found if name != "these two arms"]


@dataclass(frozen=True)
class Family:
    """All claims of one file, read together.

    Attributes:
        adjusted: p of each decided claim, by Holm's procedure over the claims; None where nothing
            was decided.
        words: how many wrong decisions to expect, for the file's own head.
    """

    adjusted: tuple[float | None, ...]
    words: str


def family(rulings: Sequence[Ruling], alpha: float = ALPHA) -> Family:
    """State the multiplicity over all claims of a file: each is controlled by itself alone."""
    decisive = [
        min(ruling.p_supported, ruling.p_refuted)
        for ruling in rulings
        if ruling.decision != "not measured"
    ]
    adjusted = iter(holm(decisive))
    found = [None if r.decision == "not measured" else next(adjusted) for r in rulings]
    count = len(decisive)
    kept = sum(p is not None and p <= alpha for p in found)
    decided = sum(ruling.decision in ("supported", "refuted") for ruling in rulings)
    words = (
        f"{count} claims, each wrong with at most {alpha:.0%}: over the file up to "
        f"{alpha * count:.2g} wrong decisions are expected. {decided} are decided; {kept} of them "
        f"stand when all claims are adjusted together (Holm)."
    )
    return Family(tuple(found), words)
