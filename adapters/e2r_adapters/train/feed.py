"""What training is fed: latents and prompts computed once, and every draw a function of the step.

Latents go by the content hash of their pair and embeddings by task, never by step number: that is
how the release came to show samples the prompts of others (see `prompt_cache`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from e2r_adapters.dataset import Pair, squared
from e2r_adapters.profiles import Profile, prompt_for, repeats_for
from e2r_adapters.prompt_cache import epoch_order, prompt_order
from e2r_adapters.step import Batch
from e2r_metrics.base.draws import seed_for
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline

Pooled = Callable[[Sequence[str]], "torch.Tensor"]
"""Task names -> (B, P) CLIP vectors, with gradients where the text encoder is trained."""


@dataclass(frozen=True)
class Feed:
    """The repeated pairs of a training.

    Attributes:
        pairs: sample -> pair, each pair standing in as often as it is repeated in an epoch.
        latents: content hash -> (C, h, w) latents of the clean and the degraded picture.
        prompts: task -> (L, D) T5 states.
        seed: of the training.
        batch: samples per step, over all devices.
        replicate_bug: show the prompts that the release would have shown.
    """

    pairs: tuple[Pair, ...]
    latents: Mapping[str, tuple["torch.Tensor", "torch.Tensor"]]
    prompts: Mapping[str, "torch.Tensor"]
    seed: int
    batch: int
    replicate_bug: bool

    @property
    def steps_per_epoch(self) -> int:
        """Return the number of batches that an epoch is cut into."""
        return len(self.pairs) // self.batch

    def samples(self, step: int) -> list[tuple[Pair, str]]:
        """Return the pair of each slot of a step's batch and the task whose prompt it is shown."""
        epoch, place = divmod(step, self.steps_per_epoch)
        slots = slice(place * self.batch, (place + 1) * self.batch)
        pairs, prompts = _orders(self.seed, epoch, len(self.pairs), self.replicate_bug)
        shown = (self.pairs[index].task for index in prompts[slots])
        return [(self.pairs[i], task) for i, task in zip(pairs[slots], shown, strict=True)]

    def draw(
        self, step: int, rank: int, world: int, pooled: Pooled, device: "torch.device"
    ) -> Batch:
        """Return one process's part of a step's batch: every `world`-th slot from `rank` on."""
        import torch

        mine = list(enumerate(self.samples(step)))[rank::world]
        latents = [self.latents[pair.key] for _, (pair, _) in mine]
        draws = [_draw(self.seed, step, slot, latents[0][0].shape) for slot, _ in mine]
        tasks = [task for _, (_, task) in mine]
        return Batch(
            clean=torch.stack([clean for clean, _ in latents]).to(device),
            condition=torch.stack([degraded for _, degraded in latents]).to(device),
            prompt=torch.stack([self.prompts[task] for task in tasks]).to(device),
            pooled=pooled(tasks),
            noise=torch.stack([noise for noise, _ in draws]).to(device),
            u=torch.stack([u for _, u in draws]).to(device),
        )


@lru_cache(maxsize=2)
def _orders(seed: int, epoch: int, count: int, bug: bool) -> tuple[list[int], list[int]]:
    return epoch_order(seed, epoch, count), prompt_order(seed, epoch, count, bug)


def _draw(seed: int, step: int, slot: int, shape: Sequence[int]) -> tuple["torch.Tensor", ...]:
    """Return the noise of one slot, float32 of `shape`, and its uniform draw for the level."""
    import torch

    generator = torch.Generator().manual_seed(seed_for(seed, f"{step}/{slot}", "training-noise"))
    return torch.randn(tuple(shape), generator=generator), torch.rand((), generator=generator)


def make_feed(
    pipe: "FluxKontextPipeline",
    pairs: Sequence[Pair],
    profile: Profile,
    seed: int,
    replicate_bug: bool,
) -> Feed:
    """Encode each pair and each prompt once.

    Args:
        pipe: with its VAE and T5, which are not needed afterwards.
        pairs: the same number for each task.
        profile: how pictures become square, the repeats and the prompts.
        seed: of the training.
        replicate_bug: see `Feed`.

    Raises:
        UsageError: an epoch does not divide into whole batches, or a picture is too small.
    """
    from e2r_adapters.encode import encode_prompt

    tasks = sorted({pair.task for pair in pairs})
    repeats = repeats_for(profile, len(pairs) // len(tasks))
    if len(pairs) * repeats % profile.batch:
        raise UsageError(
            f"expected an epoch that divides into batches of {profile.batch}, found "
            f"{len(pairs) * repeats} samples; change the number of tasks or the batch"
        )
    latents = {pair.key: _encode(pipe, pair, profile) for pair in pairs}
    prompts = {
        task: encode_prompt(pipe, prompt_for(profile, task), profile.sequence).t5[0].cpu()
        for task in tasks
    }
    repeated = tuple(pair for pair in pairs for _ in range(repeats))
    return Feed(repeated, latents, prompts, seed, profile.batch, replicate_bug)


def _encode(
    pipe: "FluxKontextPipeline", pair: Pair, profile: Profile
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return the (C, h, w) latents of the clean and the degraded picture, float32 on the CPU."""
    from e2r_adapters.encode import encode_images

    pictures = squared(pair, profile.resolution, profile.fit)
    clean, degraded = (
        encode_images(pipe, [np.divide(picture, 255, dtype=np.float32)])[0].float().cpu()
        for picture in pictures
    )
    return clean, degraded
