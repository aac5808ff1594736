"""A gate for one's own model: which differences to a baseline are more than was allowed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from e2r_bench.report.markdown import escape
from e2r_bench.report.statements import Contest, Judged, interval_words, signed, size, statement

Outcome = Literal["ok", "ok here", "failed", "no number"]
SAYS = (
    "ok: shown to be no worse than the baseline by the tolerance or more; ok here: the mean over "
    "these pictures is within it, more is not shown; failed: shown to be worse and not to be "
    "within the tolerance, or worse by more than it on these pictures"
)


@dataclass(frozen=True)
class Checked:
    """One metric of one task and method.

    Attributes:
        outcome: see `SAYS`; "no number" fails too: what is not measured is not checked.
        part: the statement behind it; its margin is the tolerance.
    """

    outcome: Outcome
    part: Judged

    @property
    def passed(self) -> bool:
        """Return whether the gate lets it through."""
        return self.outcome in ("ok", "ok here")


def check(contest: Contest) -> tuple[Checked, ...]:
    """Return the outcome of every part; margins are tolerances, baselines stand second."""
    return tuple(Checked(_outcome(one), one) for one in contest.judged)


def _outcome(one: Judged) -> Outcome:
    found = one.verdict
    if found.effect is None or found.margin is None:
        return "no number"
    loss = -found.effect if one.higher_is_better else found.effect
    # On these pictures it is worse: what holds for others does not matter any more.
    if loss > found.margin:
        return "failed"
    if found.direction > 0 or found.size == "less than the margin":
        return "ok"
    return "failed" if found.direction < 0 else "ok here"


def rows(checked: Sequence[Checked]) -> Iterator[tuple[str, ...]]:
    """Yield outcome, part, method, difference, interval, tolerance and n of every part."""
    for one in checked:
        part, found = one.part, one.part.verdict
        effect = (
            f"{signed(found.effect, part)} {part.unit}".strip() if found.effect is not None else ""
        )
        yield (
            one.outcome, part.where, part.first, effect, interval_words(part),
            size(found.margin, part) if found.margin is not None else "", str(found.n or ""),
        )  # fmt: skip


HEADS = ("outcome", "metric", "checked", "difference", "95% interval", "tolerance", "n")


def step_summary(checked: Sequence[Checked], title: str) -> str:
    """Return the outcome as Markdown, such as GitHub shows at the end of a job."""
    failed = sum(not one.passed for one in checked)
    told = (
        f"{failed} of {len(checked)} checks failed" if failed else f"{len(checked)} checks passed"
    )
    lines = [HEADS, ["---"] * len(HEADS), *rows(checked)]
    table = "\n".join(f"| {' | '.join(escape(cell) for cell in line)} |" for line in lines)
    return f"### {escape(title)}: {told}\n\n{table}\n\n{escape(SAYS)}\n"


def junit(checked: Sequence[Checked], title: str) -> str:
    """Return the outcome as JUnit XML: a test case for every part."""
    suite = ElementTree.Element(
        "testsuite", name=title, tests=str(len(checked)),
        failures=str(sum(one.outcome == "failed" for one in checked)),
        errors=str(sum(one.outcome == "no number" for one in checked)),
    )  # fmt: skip
    for one in checked:
        named = {"classname": _clean(f"{title}.{one.part.first}"), "name": _clean(one.part.where)}
        case = ElementTree.SubElement(suite, "testcase", named)
        said = _clean(statement(one.part))
        if one.passed:
            ElementTree.SubElement(case, "system-out").text = said
        else:
            kind = "failure" if one.outcome == "failed" else "error"
            ElementTree.SubElement(case, kind, message=said).text = said
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    """Return text that XML can hold: it knows no control characters."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
