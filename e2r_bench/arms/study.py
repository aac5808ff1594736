"""A study of arms: some arms against others, on every task and metric, judged in one table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from e2r_bench.arms.claims import Arm
from e2r_bench.arms.dry import dry_arms
from e2r_bench.arms.foresee import Needs, foreseen
from e2r_bench.arms.parts import Asked, Part, judged
from e2r_bench.arms.repeats import Repeats
from e2r_bench.arms.running import ArmRunner
from e2r_bench.arms.sharing import make_shard
from e2r_bench.run.shards import Shard
from e2r_bench.statistics.given import stated
from e2r_bench.statistics.margins import Fixed, known_margins
from e2r_bench.studies.sides import Criteria, Side
from e2r_bench.studies.writing import write_study
from e2r_metrics.catalog import Metric, resolve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ArmStudy:
    """How a study of arms is made and judged.

    Attributes:
        runner: trains and runs the arms; the study is written below its `base.out`.
        criteria: how two arms are compared.
        repeats: trainings and sampling seeds of every arm.
    """

    runner: ArmRunner
    criteria: Criteria
    repeats: Repeats = field(default_factory=Repeats)

    def parts(self, arms: Mapping[str, Arm], against: Sequence[tuple[str, str]]) -> Sequence[Part]:
        """Run all arms and judge each first one against its second one.

        What cannot be judged and the margins are said before anything is trained.

        Args:
            arms: by name.
            against: names of a first and a second arm.

        Raises:
            UsageError: what training and running raise.
        """
        base = self.runner.base
        for line in self._before():
            self.runner.say(line)
        every = [one for arm in arms.values() for one in self.repeats.every(arm)]
        runner = self.runner.planning(every)

        def side(name: str, task: str) -> Side:
            return self.repeats.side(name, arms[name], lambda arm: runner.arm(arm, task))

        names = dict.fromkeys(name for pair in against for name in pair)
        # A study stands on all of its arms: one that cannot run ends it.
        sides = {(name, task): side(name, task) for task in base.tasks for name in names}
        asked = [
            Asked(task, metric, first, second)
            for task in base.tasks for first, second in against for metric in self.metrics
        ]  # fmt: skip
        return judged(asked, lambda name, task: sides[name, task], self.criteria)

    def dry_run(self, arms: Mapping[str, Arm]) -> Iterator[str]:
        """Yield what `parts` would say first, and what it would take; nothing is done.

        Raises:
            UsageError: the user's mistakes.
        """
        yield from self._before()
        yield from dry_arms(self.runner, self._wanted(arms))

    def share(self, arms: Mapping[str, Arm], shard: Shard) -> Iterator[str]:
        """Make one shard of the arms, and yield what was made; see `make_shard`.

        Raises:
            UsageError: the user's mistakes.
        """
        yield from self._before()
        yield from make_shard(self.runner, self._wanted(arms), shard)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics as runs know them: those from outside by id, others as asked for."""
        asked = zip(self.runner.base.metrics, self._rows(), strict=True)
        return tuple(row.id if row.program or row.composite else name for name, row in asked)

    def _rows(self) -> tuple[Metric, ...]:
        base = self.runner.base
        return resolve(base.metrics, base.profile, base.variant)

    def _fixed(self) -> Fixed:
        return known_margins(self.metrics, stated(self._rows(), self.criteria.margins))

    def _wanted(self, arms: Mapping[str, Arm]) -> list[tuple[Arm, str]]:
        every = [one for arm in arms.values() for one in self.repeats.every(arm)]
        return [(arm, task) for arm in every for task in self.runner.base.tasks]

    def _before(self) -> Iterator[str]:
        base, fixed = self.runner.base, self._fixed()
        needs = [Needs("the study", base.tasks, tuple((name,) for name in self.metrics), ())]
        yield from foreseen(self.runner, self.criteria, needs).lines
        yield f"margins, fixed before the run: {fixed.words}"

    def write(self, name: str, title: str, text: str, records: Sequence[Mapping[str, Any]],
              figure: "Figure") -> None:  # fmt: skip
        """Write a study with the conditions that all its numbers were made under."""
        base, fixed = self.runner.base, self._fixed()
        how = (
            f" {self.repeats.words()}; tests over {self.criteria.unit}s, Holm-adjusted over the "
            f"table, intervals simultaneous; margins, fixed before the run: {fixed.words}; "
            f"protocol {base.protocol}, data {', '.join(base.data)}; "
            f"{self.runner.training.describe()}."
        )
        rows = [{**record, "margins_sha256": fixed.sha256} for record in records]
        write_study(base.out / "studies" / name, title, text + how, rows, {name: figure})
