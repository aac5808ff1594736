"""Trainings and sampling seeds of an arm: repeated, so that a verdict speaks of a recipe."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from e2r_bench.arms.claims import Arm
from e2r_bench.studies.measure import MeasuredArm
from e2r_bench.studies.sides import Side


@dataclass(frozen=True)
class Repeats:
    """How often arms are trained and sampled.

    Attributes:
        trainings: seeds of the trainings; empty for each arm's own.
        seeds: of the sampler; empty for each arm's own.
    """

    trainings: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()

    def of(self, arm: Arm) -> tuple[tuple[Arm, ...], ...]:
        """Return (trainings, seeds) arms; an arm that nothing trains has one training."""
        trained = [arm]
        if arm.training is not None and self.trainings:
            trained = [
                arm.model_copy(update={"training": arm.training.model_copy(update={"seed": seed})})
                for seed in dict.fromkeys(self.trainings)
            ]
        seeds = tuple(dict.fromkeys(self.seeds)) or (arm.seed,)
        return tuple(
            tuple(one.model_copy(update={"seed": seed}) for seed in seeds) for one in trained
        )

    def every(self, arm: Arm) -> Iterator[Arm]:
        """Yield all of them."""
        for row in self.of(arm):
            yield from row

    def side(self, name: str, arm: Arm, measured: Callable[[Arm], MeasuredArm]) -> Side:
        """Return the arm as it is compared, running what is not there.

        Raises:
            UsageError: what training and running raise.
        """
        arms = tuple(tuple(measured(one) for one in row) for row in self.of(arm))
        return Side(name, arms, arm.training is not None)

    def words(self) -> str:
        """Return in words what was repeated."""
        trained = f"training seeds {list(self.trainings)}" if self.trainings else "one training"
        drawn = f"sampling seeds {list(self.seeds)}" if self.seeds else "one sampling seed"
        return f"{trained}, {drawn}"
