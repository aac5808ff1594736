"""All claims of a file against runs: what both readings say, in one table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2r_bench.arms.claims import Arm, Claim, Claims
from e2r_bench.arms.dry import dry_arms
from e2r_bench.arms.foresee import Foreseen, Needs, foreseen
from e2r_bench.arms.forest import forest
from e2r_bench.arms.power import Known, cost_words, found_lines, plan_lines
from e2r_bench.arms.repeats import Repeats
from e2r_bench.arms.running import ArmRunner
from e2r_bench.arms.sharing import make_shard
from e2r_bench.arms.tables import TableReading
from e2r_bench.arms.verdicts import PROXIES, Conditions, Judged, asked_of, judge_claim, tasks_of
from e2r_bench.run.shards import Shard
from e2r_bench.statistics.margins import Fixed, fixed_margins
from e2r_bench.statistics.ruling import Family, family
from e2r_bench.studies.sides import Criteria, Side
from e2r_bench.studies.writing import markdown_table, write_study
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_text


@dataclass(frozen=True)
class Reading:
    """How a file of claims is read against runs.

    Attributes:
        runner: trains and runs the arms.
        criteria: how two arms are compared.
        repeats: trainings and sampling seeds of every arm.
        known: spreads that a plan of power stands on; None where none was asked for.
    """

    runner: ArmRunner
    criteria: Criteria
    repeats: Repeats = field(default_factory=Repeats)
    known: Known | None = None

    @property
    def out(self) -> Path:
        """Return where the verdicts are written."""
        return self.runner.base.out / "studies" / "claims"


def judge_claims(claims: Claims, tables: Sequence[TableReading], reading: Reading) -> Iterator[str]:
    """Run what the claims need, judge each, write `<out>/studies/claims`, and yield the verdicts.

    What cannot be judged and the margins are said, and the margins written, before anything is
    trained. Claims that no run here can measure are not run.

    Args:
        claims: the file.
        tables: the readings of its tables, in the order of the claims.
        reading: how.

    Raises:
        UsageError: the user's mistakes.
    """
    before, fixed = _before(claims, reading)
    yield from _lines_before(claims, reading, before, fixed)
    yield from _fix(fixed, reading.out / "margins.json")
    arms = [claims.arms[name] for claim in _run(claims, before) for name in claim.arms()]
    judged = list[Judged]()
    runner = reading.runner.planning([o for arm in arms for o in reading.repeats.every(arm)])
    for claim, table in zip(claims.claims, tables, strict=True):
        judged.append(_judged(claims, claim, reading, runner, before))
        yield f"{claim.id}  {claim.statement}"
        yield f"    the table alone: {table.words}"
        yield f"    this run: {judged[-1].line}"
        if reading.known is not None:
            yield from found_lines(judged[-1].parts)
    over = family([one.ruling for one in judged])
    yield over.words
    _write(claims, tables, judged, reading, (fixed, over))
    yield f"written: {reading.out}"


def dry_claims(claims: Claims, reading: Reading) -> Iterator[str]:
    """Yield what `judge_claims` says before it runs, and what it would take; nothing is done.

    Raises:
        UsageError: the user's mistakes.
    """
    before, fixed = _before(claims, reading)
    yield from _lines_before(claims, reading, before, fixed)
    yield from dry_arms(reading.runner, _wanted(claims, reading, before))


def share_claims(claims: Claims, reading: Reading, shard: Shard) -> Iterator[str]:
    """Make one shard of the arms that claims need, and yield what was made; see `make_shard`.

    The margins are written before anything is trained, as by `judge_claims`.

    Raises:
        UsageError: the user's mistakes.
    """
    before, fixed = _before(claims, reading)
    yield from _lines_before(claims, reading, before, fixed)
    yield from _fix(fixed, reading.out / "margins.json")
    yield from make_shard(reading.runner, _wanted(claims, reading, before), shard)


def _wanted(claims: Claims, reading: Reading, before: Foreseen) -> list[tuple[Arm, str]]:
    """Return every arm of the claims that can be measured, with the tasks that it is asked on."""
    return [
        (one, task)
        for claim in _run(claims, before)
        for task in tasks_of(claim, reading.runner.base.tasks)
        for name in claim.arms()
        for one in reading.repeats.every(claims.arms[name])
    ]


def _before(claims: Claims, reading: Reading) -> tuple[Foreseen, Fixed]:
    tasks = reading.runner.base.tasks
    needs = [_needs(claims, claim, tasks) for claim in claims.claims]
    named = _named(claims)
    asked = reading.runner.base.metrics
    if len(_idle(claims, reading)) == len(asked):
        raise UsageError(
            f"--metrics: expected some of {', '.join(dict.fromkeys(named))}, which the claims use, "
            f"found {', '.join(asked)}"
        )
    return (
        foreseen(reading.runner, reading.criteria, needs),
        fixed_margins(named, reading.criteria.margins),
    )


def _run(claims: Claims, before: Foreseen) -> list[Claim]:
    """Return the claims that can be measured here."""
    return [claim for claim in claims.claims if claim.id not in before.hopeless]


def _lines_before(
    claims: Claims, reading: Reading, before: Foreseen, fixed: Fixed
) -> Iterator[str]:
    yield from before.lines
    if idle := _idle(claims, reading):
        yield f"measured, though no claim here uses it: {', '.join(idle)}"
    yield f"margins, fixed before the run: {fixed.words}"
    if reading.known is not None:
        run, tasks = _run(claims, before), reading.runner.base.tasks
        parts = _most_parts(run, tasks)
        yield from plan_lines(fixed, reading.known, parts, before.scenes, reading.repeats)
        arms = [claims.arms[name] for claim in run for name in claim.arms()]
        yield f"    {cost_words(arms, tasks, reading.repeats)}"


def _judged(
    claims: Claims, claim: Claim, reading: Reading, runner: ArmRunner, before: Foreseen
) -> Judged:
    def side(name: str, task: str) -> Side:
        if claim.id in before.hopeless:
            raise UsageError("none of its metrics can be measured here, as said before the run")
        return reading.repeats.side(name, claims.arms[name], lambda arm: runner.arm(arm, task))

    under = Conditions(runner.base.tasks, reading.criteria, runner.training.data.words())
    return judge_claim(claims, claim, side, under)


def _metrics(claim: Claim) -> list[tuple[str, ...]]:
    proxied = claim.kind != "correlation"
    return [(name, *(PROXIES.get(name, ()) if proxied else ())) for name in claim.metrics]


def _named(claims: Claims) -> list[str]:
    """Return the metrics of all claims, with the proxies that may stand beside them."""
    return [name for claim in claims.claims for row in _metrics(claim) for name in row]


def _idle(claims: Claims, reading: Reading) -> list[str]:
    """Return the metrics that are asked for, and that no claim uses."""
    used = {name.partition(":")[0] for name in _named(claims)}
    return [name for name in reading.runner.base.metrics if name.partition(":")[0] not in used]


def _needs(claims: Claims, claim: Claim, tasks: Sequence[str]) -> Needs:
    arms = [claims.arms[name] for name in claim.arms()]
    correlation = claim.kind == "correlation"
    return Needs(claim.id, tasks_of(claim, tasks), _metrics(claim), arms, correlation)


def _most_parts(claims: Sequence[Claim], tasks: Sequence[str]) -> dict[str, int]:
    """Return metric, or its proxy, to the most parts that it is read with in one claim."""
    found: dict[str, int] = {}
    for claim in claims:
        if claim.kind != "correlation":
            asked = list(asked_of(claim, tasks))
            for name in {n for one in asked for n in (one.metric, *one.proxies)}:
                found[name] = max(found.get(name, 0), len(asked))
    return found


def _fix(fixed: Fixed, path: Path) -> Iterator[str]:
    """Write the margins before anything is known; say where an earlier judgement had others."""
    import json
    from dataclasses import asdict

    rows = {name: asdict(margin) for name, margin in fixed.margins.items()}
    text = json.dumps({"sha256": fixed.sha256, "margins": rows}, indent=1) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        yield f"    other margins than those of the earlier verdicts in {path.parent}"
    write_text(path, text)


def _write(
    claims: Claims,
    tables: Sequence[TableReading],
    judged: Sequence[Judged],
    reading: Reading,
    known: tuple[Fixed, Family],
) -> None:
    fixed, over = known
    rows: list[dict[str, Any]] = [
        {
            "claim": claim.id, "statement": claim.statement,
            "table alone": table.words,
            "this run": one.line, "p adjusted over the claims": p, "note": claim.note,
            "margins_sha256": fixed.sha256,
        }
        for claim, table, one, p in zip(
            claims.claims, tables, judged, over.adjusted, strict=True
        )
    ]  # fmt: skip
    base = reading.runner.base
    text = (
        "Two readings of every claim: what the published table alone supports, and what this run "
        f"supports. {over.words} {reading.repeats.words()}; margins, fixed before the run: "
        f"{fixed.words}; protocol {base.protocol}, data {', '.join(base.data)}; "
        f"{reading.runner.training.describe()}.\n\n{markdown_table(rows)}\n\nPart by part:"
    )
    records = [
        {"claim": one.claim, **record, "margins_sha256": fixed.sha256}
        for one in judged
        for record in one.records
    ]
    write_study(
        reading.out, f"Claims of {claims.paper.name}", text, records,
        {"claims": forest(claims.claims, judged)}, rows,
    )  # fmt: skip
