"""All claims of a file against runs: what both readings say, in one table."""

from collections.abc import Callable, Iterator, Sequence

from e2r_bench.config import Experiment
from e2r_bench.services import open_services
from e2r_bench.studies.arms import Workshop
from e2r_bench.studies.claims import Claims
from e2r_bench.studies.measure import Unit
from e2r_bench.studies.tables import TableReading
from e2r_bench.studies.verdicts import Court, Ruling, as_rows, rule
from e2r_bench.studies.writing import markdown_table, new_figure, write_study

Say = Callable[[str], None]


def judge(
    claims: Claims,
    readings: Sequence[TableReading],
    base: Experiment,
    how: tuple[Unit, int, int | None],
    say: Say,
) -> Iterator[str]:
    """Run what the claims need, judge each, write `<out>/studies/claims`, and yield the verdicts.

    Args:
        claims: the file.
        readings: of its tables, in the order of the claims.
        base: data, tasks, metrics, limit, backbone and folder.
        how: the independent unit, permutations per part, and epochs of each training.
        say: told what is being done.

    Raises:
        UsageError, UsageError: the user's mistakes.
    """
    unit, permutations, epochs = how
    _, session, _ = open_services(base, say)
    planned = [claims.arms[name] for claim in claims.claims for name in claim.arms()]
    workshop = Workshop(base, base.out, epochs, say, planned)
    court = Court(session, base.tasks, unit, permutations)
    rulings: list[Ruling] = []
    for claim, reading in zip(claims.claims, readings, strict=True):
        rulings.append(
            rule(claims, claim, lambda name, task: workshop.cell(claims.arms[name], task), court)
        )
        yield f"{claim.id}  {claim.statement}"
        yield f"    the table alone: {reading.verdict}; {reading.counts}"
        yield f"    this run: {rulings[-1].line}"
    _write(claims, readings, rulings, base)
    yield f"written: {base.out / 'studies' / 'claims'}"


def _write(
    claims: Claims,
    readings: Sequence[TableReading],
    rulings: Sequence[Ruling],
    base: Experiment,
) -> None:
    table = [
        {
            "claim": claim.id, "statement": claim.statement,
            "table alone": f"{reading.verdict}; {reading.counts}".rstrip("; "),
            "this run": ruling.line, "note": claim.note,
        }
        for claim, reading, ruling in zip(claims.claims, readings, rulings, strict=True)
    ]  # fmt: skip
    rows = as_rows(rulings)
    figure = new_figure(7, 0.45 * len(rulings) + 1)
    axes = figure.subplots()
    names = ("supported", "refuted", "not resolved", "not measured")
    left = [0] * len(rulings)
    for name, colour in zip(names, ("#2a7f62", "#b3382c", "#8a8f98", "#dcdfe4"), strict=True):
        counts = [sum(part.verdict == name for part in ruling.parts) for ruling in rulings]
        axes.barh([ruling.claim for ruling in rulings], counts, left=left, label=name, color=colour)
        left = [a + b for a, b in zip(left, counts, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("parts (task x metric x arm)")
    axes.legend(loc="best", fontsize=8)
    title = f"Claims of {claims.paper.name}"
    text = (
        "Two readings of every claim: what the published table alone supports, and what this run "
        f"supports. p by permutation, Holm-adjusted within a claim; protocol {base.protocol}, data "
        f"{', '.join(base.data)}.\n\n{markdown_table(table)}\n\nPart by part:"
    )
    write_study(base.out / "studies" / "claims", title, text, rows, {"claims": figure}, table)
