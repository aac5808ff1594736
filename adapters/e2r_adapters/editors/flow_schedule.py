"""Noise levels of flow-matching models whose schedule is shifted by the size of the picture.

Source: diffusers' FlowMatchEulerDiscreteScheduler and its pipelines' `calculate_shift`.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def fresh(scheduler: Any) -> Any:
    """Return a scheduler of the same settings: calling a pipeline changes the state of its own."""
    return type(scheduler).from_config(scheduler.config)


def schedule_of(scheduler: Any, steps: int, tokens: int) -> "torch.Tensor":
    """Return the (steps + 1,) levels from 1 to 0 for a target of so many tokens."""
    from diffusers.pipelines.flux.pipeline_flux_kontext import calculate_shift

    config: Any = scheduler.config
    mu = calculate_shift(
        tokens,
        config.base_image_seq_len,
        config.max_image_seq_len,
        config.base_shift,
        config.max_shift,
    )
    return shifted(scheduler, steps, mu)


def shifted(scheduler: Any, steps: int, mu: float) -> "torch.Tensor":
    """Return the (steps + 1,) levels from 1 to 0 that a shift of mu gives."""
    made = fresh(scheduler)
    made.set_timesteps(sigmas=list(np.linspace(1.0, 1 / steps, steps)), mu=mu)
    return made.sigmas
