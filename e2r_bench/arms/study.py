"""A study of arms: some arms against others, on every task and metric, judged in one table."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from e2r_bench.arms.claims import Arm
from e2r_bench.arms.parts import NOT_MEASURED, Part, adjusted, measured
from e2r_bench.arms.running import ArmRunner
from e2r_bench.studies.compare import Criteria
from e2r_bench.studies.writing import write_study
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 0.05


@dataclass(frozen=True)
class ArmStudy:
    """How a study of arms is made and judged.

    Attributes:
        runner: trains and runs the arms; the study is written below its `base.out`.
        criteria: how two arms are compared.
        margin: share of the reference arm's value that counts as no difference.
    """

    runner: ArmRunner
    criteria: Criteria
    margin: float = MARGIN

    def parts(self, arms: Mapping[str, Arm], against: Sequence[tuple[str, str]]) -> Sequence[Part]:
        """Run all arms and judge each first one against its second one.

        Args:
            arms: by name.
            against: names of a first and a second arm.

        Raises:
            UsageError: what training and running raise.
        """
        runner = self.runner.planning(list(arms.values()))
        found: list[Part] = []
        for task in runner.base.tasks:
            for first, second in against:
                sides = runner.arm(arms[first], task), runner.arm(arms[second], task)
                for metric in runner.base.metrics:
                    asked = Part(task, metric, first, second)
                    try:
                        made = measured(asked, *sides, self.margin, self.criteria)
                    except UsageError as error:
                        made = replace(asked, note=str(error))
                    found.append(made)
        return [replace(part, verdict=verdict_of(part)) for part in adjusted(found)]

    def write(self, name: str, title: str, text: str, records: Sequence[Mapping[str, Any]],
              figure: "Figure") -> None:  # fmt: skip
        """Write a study with the conditions that all its numbers were made under."""
        base = self.runner.base
        how = (
            f" p by permutation over {self.criteria.unit}s, Holm-adjusted over the table; p_equal "
            f"by TOST; margin {self.margin:.0%} of the second arm's value; protocol "
            f"{base.protocol}, data {', '.join(base.data)}; {self.runner.training.describe()}."
        )
        write_study(base.out / "studies" / name, title, text + how, records, {name: figure})


def verdict_of(part: Part) -> str:
    """Return what a part of a study says."""
    if not part.measured:
        return NOT_MEASURED
    if part.equal:
        return "equivalent"
    if part.differs:
        return "better" if part.improves else "worse"
    return "not resolved at this n"


def record_of(part: Part, **more: Any) -> dict[str, Any]:
    """Return a part as a line of a study's table."""
    return {**asdict(part), **more}
