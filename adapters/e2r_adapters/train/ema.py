"""An exponential moving average of what is trained, which forgets the first steps quickly.

A plain average of decay 0.9999 still holds e^-1 of the initial weights after 10,000 steps. With the
warm-up that diffusers' trainers use, the decay after s + 1 steps is (1 + s) / (10 + s) until the
full one is reached (0.9991 after 10,000 steps, 0.9999 after 90,000).
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

WARM_UP = "(1 + s) / (10 + s) after s + 1 steps"


def decay_after(steps: int, decay: float) -> float:
    """Return the share of the average that is kept at the update after so many steps."""
    before = steps - 1
    return min(decay, (1 + before) / (10 + before)) if before > 0 else 0.0


def start(trained: Sequence["torch.nn.Parameter"]) -> list["torch.Tensor"]:
    """Return the average before the first step: copies of what is trained."""
    return [parameter.detach().clone() for parameter in trained]


def follow(
    average: Sequence["torch.Tensor"],
    trained: Sequence["torch.nn.Parameter"],
    steps: int,
    decay: float,
) -> None:
    """Move the average, if there is one, towards what is trained, after so many steps."""
    weight = 1 - decay_after(steps, decay)
    for held, parameter in zip(average, trained, strict=bool(average)):
        held.lerp_(parameter.detach(), weight)


@contextmanager
def in_place(
    average: Sequence["torch.Tensor"], trained: Sequence["torch.nn.Parameter"]
) -> Generator[None]:
    """Put an average, if there is one, where the trained parameters are until the block ends."""
    own = start(trained) if average else []
    _fill(trained, average)
    try:
        yield
    finally:
        _fill(trained, own)


def _fill(trained: Sequence["torch.nn.Parameter"], values: Sequence["torch.Tensor"]) -> None:
    import torch

    with torch.no_grad():
        for parameter, value in zip(trained, values, strict=bool(values)):
            parameter.copy_(value)
