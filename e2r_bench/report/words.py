"""Verdicts in the words of a page: short ones for a card, and sentences that can be quoted."""

from dataclasses import dataclass

from e2r_bench.report.labels import number, spread
from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.statistics.verdict import Direction, Verdict


@dataclass(frozen=True)
class Word:
    """What is said of one arm against another.

    Attributes:
        text: a few words, such as "better" or "not resolved".
        tone: "good", "bad", "level" (shown to be as good), or "open".
        sentence: the same with its numbers; stands alone.
    """

    text: str
    tone: str
    sentence: str


def printed(verdict: Verdict, unit: str) -> str:
    """Return a difference with its sign, and its simultaneous interval where it was judged.

    Such as "+0.42 [+0.20, +0.64]"; empty where nothing was measured.
    """
    effect, low, high = verdict.effect, verdict.low, verdict.high
    if effect is None:
        return ""
    if low is None or high is None:
        return _signed(effect, len(number(effect, unit).partition(".")[2]))
    digits = len(spread((high - low) / 2, effect, unit).partition(".")[2])
    ends = ", ".join(_signed(end, digits) for end in (low, high))
    return f"{_signed(effect, digits)} [{ends}]"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def word_of(verdict: Verdict, unit: str) -> Word:
    """Return the words of a verdict."""
    if not verdict.judged:
        return Word(_unjudged(verdict), "open", f"{verdict.name}: {'; '.join(verdict.notes)}")
    text = verdict.label
    if verdict.size == "less than the margin":
        margin = f"{number(verdict.margin or 0.0, unit)} {unit}".strip()
        text = text.replace("less than the margin", f"less than {margin}")
        text = f"equivalent within {margin}" if text == "equivalent" else text
    tone = {1: "good", -1: "bad"}.get(verdict.direction, "open")
    level = verdict.direction == 0 and verdict.size == "less than the margin"
    return Word(text, "level" if level else tone, _sentence(verdict, unit, text))


def _unjudged(verdict: Verdict) -> str:
    if verdict.label == "not measured" or verdict.scenes is None:
        return "not judged"
    if verdict.scenes >= MIN_SCENES:
        return "no verdict: no margin"
    return f"no verdict: {verdict.scenes} of {MIN_SCENES} scenes"


def _sentence(verdict: Verdict, unit: str, text: str) -> str:
    unit = f" {unit}" if unit else ""
    found = (
        f"{verdict.name}: {text}, {printed(verdict, unit.strip())}{unit} (95% interval and Holm's "
        f"p over all pairs of this page: p {verdict.holm:.2g}; {verdict.scenes} scenes"
    )
    if verdict.direction == 0 and verdict.detectable is not None:
        found += f"; a single test finds {number(verdict.detectable)}{unit} four times in five"
    return "; ".join((f"{found})", *verdict.notes))


def overall(fidelity: Verdict | None, perception: Verdict | None, invented: Verdict | None) -> Word:
    """Return what fidelity and perception say together, with invention beside it.

    "Prettier only" is what the field has to know: a gain in looks without one in fidelity.
    """
    heard = [v for v in (fidelity, perception, invented) if v is not None]
    judged = [verdict for verdict in heard if verdict.judged]
    if not judged:
        scenes = next((v.scenes for v in heard if v.scenes is not None), None)
        text = "not judged" if scenes is None else f"no verdict below {MIN_SCENES} scenes"
        return Word(text, "open", "")
    text, tone = _together(_direction(fidelity), _direction(perception), judged)
    return Word(", ".join(part for part in (text, _invents(invented)) if part), tone, "")


def _direction(verdict: Verdict | None) -> Direction | None:
    return None if verdict is None or not verdict.judged else verdict.direction


_TOGETHER: dict[tuple[Direction | None, Direction | None], tuple[str, str]] = {
    (1, 1): ("better: more faithful, prettier", "good"),
    (1, 0): ("more faithful, looks not resolved", "good"),
    (1, None): ("more faithful, looks not judged", "good"),
    (1, -1): ("more faithful, less pretty", "mixed"),
    (0, 1): ("prettier only", "mixed"),
    (None, 1): ("prettier, fidelity not judged", "mixed"),
    (-1, 1): ("prettier only: less faithful", "mixed"),
    (0, -1): ("worse: less pretty", "bad"),
    (None, -1): ("less pretty, fidelity not judged", "bad"),
    (-1, 0): ("worse: less faithful", "bad"),
    (-1, None): ("less faithful, looks not judged", "bad"),
    (-1, -1): ("worse: less faithful, less pretty", "bad"),
}


def _together(
    fidelity: Direction | None, perception: Direction | None, judged: list[Verdict]
) -> tuple[str, str]:
    known = _TOGETHER.get((fidelity, perception))
    if known is not None:
        return known
    if all(verdict.size == "less than the margin" for verdict in judged):
        return "equivalent", "level"
    return f"not resolved at {judged[0].scenes} scenes", "open"


def _invents(verdict: Verdict | None) -> str:
    return {1: "invents less", -1: "invents more"}.get(_direction(verdict) or 0, "")
