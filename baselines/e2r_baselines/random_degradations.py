"""Random degradations for training, by name: a few kinds in random order, and two published models.

Each is a function of a clean picture and a generator. Values stay float32 between the steps; the
one rounding to 8 bits, at the end, is the caller's, since several of them would change the noise.
(JPEG codes 8-bit pixels, wherever it stands.)
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np

from e2r_baselines.bsrgan_degradation import bsrgan
from e2r_baselines.degrade import Pixels
from e2r_baselines.mixtures import Step, draw_step
from e2r_baselines.realesrgan_degradation import realesrgan

Pipeline = Callable[[Pixels, np.random.Generator], Pixels]
"""From ((H, W, 3) float32 RGB in [0, 1], generator) to its degraded twin, unclipped, unrounded."""

_NEUTRAL = (
    Step("noise", {"sigma": (5, 50)}),
    Step("poisson", {"scale": (1, 5)}),
    Step("jpeg", {"quality": (10, 40)}),
    # What OpenCV takes for kernels of 3 to 11 pixels.
    Step("blur", {"sigma": (0.8, 2)}),
    Step("low_resolution", {"scale": (2, 4)}),
)
_COLOUR = Step("colour", {"brightness": (-0.2, 0.2), "contrast": (-0.2, 0.2)})
_MOST = 3


def mixed(steps: Sequence[Step], clean: Pixels, rng: np.random.Generator) -> Pixels:
    """Apply one to three of some degradations, each at most once, in random order.

    Between two of them the picture is clipped to [0, 1], not rounded.
    """
    count = int(rng.integers(1, _MOST + 1))
    x, flat = clean, np.zeros(clean.shape[:2], np.float32)
    for index in rng.permutation(len(steps))[:count]:
        x = draw_step(steps[index], np.clip(x, 0, 1), flat, rng)
    return x


PIPELINES: Mapping[str, Pipeline] = MappingProxyType(
    {
        "mixed": partial(mixed, (*_NEUTRAL, _COLOUR)),
        "mixed-neutral": partial(mixed, _NEUTRAL),
        "real-esrgan": realesrgan,
        "bsrgan": bsrgan,
    }
)
"""By name. Targets keep their colours, so that `mixed` teaches to correct brightness and contrast;
`mixed-neutral` has the five kinds that leave them alone."""
