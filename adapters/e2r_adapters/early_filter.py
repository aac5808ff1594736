"""The early filter: several noises for a few steps each, and the full schedule from the best.

Source: Zhang et al., ICEdit, NeurIPS 2025, appendix B.3; there the judge is a vision-language
model. What it costs beside the n steps of a draw is M m evaluations of the model, for M candidates
of m steps each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2r_adapters.judges import Judge
from e2r_adapters.sampling import noise_for
from e2r_baselines.degrade import Task
from e2r_baselines.method import Draw, Photo, Pixels
from e2r_metrics.base.pictures import eight_bit

if TYPE_CHECKING:
    import torch

Sampled = Callable[[Sequence["torch.Tensor"], int], Sequence[Pixels]]
"""(the noise of each sample, steps) -> the pictures."""


@dataclass(frozen=True)
class EarlyFilter:
    """How the noise of a picture is chosen.

    Attributes:
        candidates: M, at least 2.
        steps: m of each.
        judge: chooses.
    """

    candidates: int
    steps: int
    judge: Judge

    def choose(
        self,
        wanted: Sequence[tuple[Photo, Draw]],
        task: Task,
        shape: tuple[int, int, int],
        family: str,
        sampled: Sampled,
    ) -> list["torch.Tensor"]:
        """Return the noise that each sample goes on from, (1, c, h, w).

        Args:
            wanted: a batch; candidates of a sample depend on its seed and its photo's id alone.
            task: what the judge is told.
            shape: (c, h, w) of the noise.
            family: see `candidate`.
            sampled: runs the sampler on the batch.
        """
        tries = [
            [candidate(draw, photo, shape, family, place) for photo, draw in wanted]
            for place in range(self.candidates)
        ]
        made = [[eight_bit(picture) for picture in sampled(one, self.steps)] for one in tries]
        best = [
            self.judge([pictures[at] for pictures in made], photo, task)
            for at, (photo, _) in enumerate(wanted)
        ]
        return [tries[place][at] for at, place in enumerate(best)]


def candidate(
    draw: Draw, photo: Photo, shape: tuple[int, int, int], family: str, place: int = 0
) -> "torch.Tensor":
    """Return the noise of a candidate; the first is that of the draw without a filter.

    Args:
        draw: its seed names the noise.
        photo: its id does too.
        shape: (c, h, w).
        family: of the editor.
        place: of the candidate.
    """
    purpose = f"{family} candidate {place}" if place else family
    return noise_for(draw.seed, photo.id, shape, purpose)
