"""All claims of a file against runs: what both readings say, in one table."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from e2r_bench.arms.claims import Claims
from e2r_bench.arms.running import ArmRunner
from e2r_bench.arms.tables import TableReading
from e2r_bench.arms.verdicts import VERDICTS, Conditions, Ruling, as_rows, rule
from e2r_bench.studies.compare import Criteria
from e2r_bench.studies.measure import MeasuredArm
from e2r_bench.studies.writing import markdown_table, new_figure, write_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#2a7f62", "#b3382c", "#8a8f98", "#dcdfe4")


def judge_claims(
    claims: Claims, readings: Sequence[TableReading], runner: ArmRunner, criteria: Criteria
) -> Iterator[str]:
    """Run what the claims need, judge each, write `<out>/studies/claims`, and yield the verdicts.

    Args:
        claims: the file.
        readings: of its tables, in the order of the claims.
        runner: trains and runs the arms.
        criteria: how two arms are compared.

    Raises:
        UsageError: the user's mistakes.
    """
    runner = runner.planning(
        [claims.arms[name] for claim in claims.claims for name in claim.arms()]
    )
    under = Conditions(runner.base.tasks, criteria, runner.training.data.words())

    def arm(name: str, task: str) -> MeasuredArm:
        return runner.arm(claims.arms[name], task)

    rulings: list[Ruling] = []
    for claim, reading in zip(claims.claims, readings, strict=True):
        rulings.append(rule(claims, claim, arm, under))
        yield f"{claim.id}  {claim.statement}"
        yield f"    the table alone: {reading.verdict}; {reading.counts}"
        yield f"    this run: {rulings[-1].line}"
    _write(claims, readings, rulings, runner)
    yield f"written: {runner.base.out / 'studies' / 'claims'}"


def _write(
    claims: Claims,
    readings: Sequence[TableReading],
    rulings: Sequence[Ruling],
    runner: ArmRunner,
) -> None:
    table: list[dict[str, Any]] = [
        {
            "claim": claim.id, "statement": claim.statement,
            "table alone": f"{reading.verdict}; {reading.counts}".rstrip("; "),
            "this run": ruling.line, "note": claim.note,
        }
        for claim, reading, ruling in zip(claims.claims, readings, rulings, strict=True)
    ]  # fmt: skip
    base = runner.base
    text = (
        "Two readings of every claim: what the published table alone supports, and what this run "
        f"supports. p by permutation, Holm-adjusted within a claim; protocol {base.protocol}, data "
        f"{', '.join(base.data)}; {runner.training.describe()}.\n\n{markdown_table(table)}\n\n"
        "Part by part:"
    )
    write_study(
        base.out / "studies" / "claims", f"Claims of {claims.paper.name}", text, as_rows(rulings),
        {"claims": _plot(rulings)}, table,
    )  # fmt: skip


def _plot(rulings: Sequence[Ruling]) -> "Figure":
    figure = new_figure(7, 0.45 * len(rulings) + 1)
    axes = figure.subplots()
    left = [0] * len(rulings)
    for name, colour in zip(VERDICTS, _COLOURS, strict=True):
        counts = [sum(part.verdict == name for part in ruling.parts) for ruling in rulings]
        axes.barh([ruling.claim for ruling in rulings], counts, left=left, label=name, color=colour)
        left = [a + b for a, b in zip(left, counts, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("parts (task x metric x arm)")
    axes.legend(loc="best", fontsize=8)
    return figure
