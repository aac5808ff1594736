"""DiffUIR (Zheng et al., CVPR 2024): three steps from the degraded picture, some noise added.

The sampler; the network is in `diffuir_unet`. The diffusion adds the residual (degraded less clean)
and takes away the picture itself, so that its end is the same for every degradation: a tenth of the
degraded picture and noise. Written from a description of the tensors and of the schedule (MIT).
Nothing is drawn but the noise at the start: one result per seed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from e2r_baselines.checkpoints import load_strict
from e2r_baselines.diffuir_unet import SIZES, DiffUIR
from e2r_baselines.method import Build, Compute, Draw, Photo, Pixels, Restored
from e2r_baselines.network import place
from e2r_baselines.sizes import pad_to_multiple, tiled
from e2r_baselines.tasks import Task
from e2r_metrics.base.checkpoints import read_tensors
from e2r_metrics.base.draws import rng_for

STEPS = 3
NOISE = 0.1  # standard deviation of the noise at the start, on the scale [-1, 1]

_TIMES = 1000
_SMALLEST = 16  # no side is shorter: the network reflects at the border


@dataclass(frozen=True)
class Schedule:
    """What has been added and taken away at each of the times 0..999.

    Attributes:
        residual: share of the residual that is in x_t, from 0 to nearly 1.
        removed: share of the degraded picture that is gone from x_t, from 0 to .9.
    """

    residual: tuple[float, ...]
    removed: tuple[float, ...]


def schedule() -> Schedule:
    """Return the authors' schedule: beta from 1e-4 to 2e-2, delta from 1e-6 to 1.8e-3, linear."""
    kept = np.cumprod(1 - np.linspace(1e-4, 2e-2, _TIMES))
    removed = np.clip(np.cumsum(np.linspace(1e-6, 1.8e-3, _TIMES)), 0, 1)
    return Schedule(tuple((1 - np.sqrt(kept)).tolist()), tuple(removed.tolist()))


def times(steps: int = STEPS) -> tuple[int, ...]:
    """Return the times of the steps, the last one first; -1 stands for the restored picture."""
    return tuple(int(t) for t in np.linspace(-1, _TIMES - 1, steps + 1)[::-1])


def sample(network: DiffUIR, degraded: Tensor, noise: Tensor) -> Tensor:
    """Restore.

    Args:
        network: predicts the residual.
        degraded: (B, 3, H, W) RGB on [-1, 1], sides of 9 pixels or more.
        noise: (B, 3, H, W), standard normal.

    Returns:
        (B, 3, H, W) on [-1, 1].
    """
    plan = schedule()

    def residual(x: Tensor, now: int) -> Tensor:
        time = degraded.new_full((len(x),), _TIMES * plan.residual[now], dtype=torch.float32)
        return network(torch.cat([x, degraded], 1), time).clamp(-1, 1)

    x = (1 - plan.removed[-1]) * degraded + NOISE * noise
    *steps, (last, _) = pairwise(times())
    for now, then in steps:
        x = x - (plan.residual[now] - plan.residual[then]) * residual(x, now)
        x = x + (plan.removed[now] - plan.removed[then]) * degraded
    return (degraded - residual(x, last)).clamp(-1, 1)


@dataclass(frozen=True)
class DiffUIRRestorer:
    """One result per photo and seed; the noise is drawn from the seed and the photo's id."""

    network: DiffUIR
    compute: Compute

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield one result per photo and draw, blind to the task; see `Restorer.restore`."""
        del task
        for photo in photos:
            pixels = pad_to_multiple(photo.pixels, 1, "reflect", _SMALLEST)
            height, width = photo.pixels.shape[:2]
            for draw in draws:
                rng = rng_for(draw.seed, photo.id, "diffuir")
                noise = rng.standard_normal(pixels.shape, dtype=np.float32)
                both = np.concatenate([pixels, noise], -1)
                tile = self.compute.tile
                done = self._run(both) if tile is None else tiled(both, tile, self._run)
                yield Restored(photo.id, draw, np.ascontiguousarray(done[:height, :width, :3]))

    def _run(self, both: Pixels) -> Pixels:
        """Restore (H, W, 6), picture and noise; returns the restored one and the noise again."""
        stack = torch.from_numpy(both).movedim(-1, 0)[None]
        stack = stack.to(self.compute.device, getattr(torch, self.compute.dtype))
        degraded, noise = stack.chunk(2, dim=1)
        with torch.inference_mode():
            restored = (sample(self.network, 2 * degraded - 1, noise) + 1) / 2
        pixels = restored[0].float().movedim(0, -1).cpu().numpy()
        return np.concatenate([pixels, both[..., 3:]], -1)


def open_diffuir(build: Build, files: Mapping[str, Path], compute: Compute) -> DiffUIRRestorer:
    """Load the user's checkpoint of one of the four sizes; see `MethodSpec.open`."""
    (path,) = (files[name] for name in build.files)
    network = DiffUIR(SIZES[build.name])
    load_strict(network, read_tensors(path), path, build.name)
    return DiffUIRRestorer(place(network, compute), compute)
