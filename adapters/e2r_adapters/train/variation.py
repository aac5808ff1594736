"""What a training shows anew from epoch to epoch: geometry, degradation, wording, resolution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, get_args

from e2r_baselines.random_degradations import PIPELINES
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError, unknown

Augmentation = Literal["crop", "flip", "turn"]


@dataclass(frozen=True)
class Variation:
    """What differs between two showings of one sample; as it stands, nothing does.

    Attributes:
        augment: "crop" cuts a window of both pictures, "flip" mirrors them from left to right with
            probability 1/2, "turn" turns them by quarters, each drawn anew.
        degrade: a pipeline of `PIPELINES` that the degraded picture goes through after that; ""
            for the pair as it is.
        variants: how many draws of each sample there are, encoded before the training; epoch e
            shows number e modulo that. 0 for a draw an epoch, encoded when it is shown.
        curriculum: (first epoch, side in pixels) in rising order, instead of one resolution.
        prompts: task -> wordings, one of which is drawn for each showing.
    """

    augment: tuple[Augmentation, ...] = ()
    degrade: str = ""
    variants: int = 0
    curriculum: tuple[tuple[int, int], ...] = ()
    prompts: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def drawn(self) -> bool:
        """Return whether pictures differ from epoch to epoch at one resolution."""
        return bool(self.augment or self.degrade)

    @property
    def live(self) -> bool:
        """Return whether pictures are encoded when they are shown."""
        return self.drawn and not self.variants

    def variant(self, epoch: int) -> int:
        """Return the number of the draw that an epoch shows."""
        if not self.drawn:
            return 0
        return epoch % self.variants if self.variants else epoch

    def side(self, epoch: int, otherwise: int) -> int:
        """Return the side of the pictures of an epoch, in pixels."""
        sides = [side for first, side in self.curriculum if first <= epoch]
        return sides[-1] if sides else otherwise

    def sides(self, epochs: int, otherwise: int) -> list[int]:
        """Return every side that a training has, in its order."""
        return list(dict.fromkeys(self.side(epoch, otherwise) for epoch in range(epochs)))

    def wordings(self, task: str, otherwise: str) -> tuple[str, ...]:
        """Return what a task may be called."""
        return self.prompts.get(task, (otherwise,))


UNVARIED = Variation()
"""Every epoch shows what the one before showed."""


def wording(pool: Sequence[str], seed: int, epoch: int, index: int) -> str:
    """Return the wording that sample `index` is shown with in an epoch."""
    if len(pool) == 1:
        return pool[0]
    rng = rng_for(seed, f"{epoch}/{index}", "training-wording")
    return pool[int(rng.integers(len(pool)))]


def check_variation(one: Variation, tasks: Sequence[str], epochs: int) -> None:
    """Refuse a variation that could not be shown.

    Args:
        one: see `Variation`.
        tasks: of the training.
        epochs: of the training.

    Raises:
        UsageError: which setting, and what to change.
    """
    for name in one.augment:
        if name not in get_args(Augmentation):
            raise unknown("augmentation", name, get_args(Augmentation))
    if one.degrade and one.degrade not in PIPELINES:
        raise unknown("degradation pipeline", one.degrade, PIPELINES)
    if one.variants and not one.drawn:
        raise UsageError(
            f"--variants {one.variants}: expected --augment or --degrade too, found neither; "
            "without them all draws of a sample are equal"
        )
    stray = [task for task in one.prompts if task not in tasks]
    if stray:
        raise UsageError(f"--prompts: {stray[0]!r} is not trained: {', '.join(tasks)}")
    _check_curriculum(one.curriculum, epochs)


def _check_curriculum(stages: Sequence[tuple[int, int]], epochs: int) -> None:
    starts = [first for first, _ in stages]
    if not starts:
        return
    if starts[0] != 0:
        raise UsageError(
            f"--curriculum: expected a stage for epoch 0 first, such as 0=512, found {starts[0]}"
        )
    for one, two in pairwise(starts):
        if two <= one:
            how = "twice" if two == one else f"after {one}"
            raise UsageError(f"--curriculum: expected epochs that rise, found {two} {how}")
    if starts[-1] >= epochs:
        raise UsageError(
            f"--curriculum: expected stages that begin before epoch {epochs}, the last one, found "
            f"{starts[-1]}; give more --epochs"
        )


def record_of(one: Variation) -> dict[str, Any]:
    """Return what of a variation decides the weights, as JSON has it; empty where nothing does."""
    told: dict[str, Any] = {
        "augment": sorted(set(one.augment)),
        "degrade": one.degrade,
        "variants": one.variants,
        "curriculum": [list(stage) for stage in one.curriculum],
        "prompts": {task: list(pool) for task, pool in sorted(one.prompts.items())},
    }
    return {key: value for key, value in told.items() if value}
