"""What training is fed: latents and conditionings computed once, every draw a function of the step.

They go by the content hash of their pair and by task, never by step number: that is how the release
came to show samples the prompts of others (see `prompt_cache`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from e2r_adapters.editors.editor import Conditioning, Editor, Instruction
from e2r_adapters.train.pictures import Pair, squared
from e2r_adapters.train.profiles import Profile, prompt_for, repeats_for
from e2r_adapters.train.prompt_cache import epoch_order, prompt_order
from e2r_adapters.train.step import Batch
from e2r_baselines.method import Photo, Pixels
from e2r_metrics.base.draws import seed_for
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Feed:
    """The repeated pairs of a training.

    Attributes:
        pairs: sample -> pair, each pair standing in as often as it is repeated in an epoch.
        clean: content hash -> (C, h, w) float32 latents of the clean picture, on the CPU.
        conditionings: (content hash, task) -> the degraded picture under a task's prompt.
        seed: of the training.
        batch: samples per step, over all devices.
        replicate_bug: show the prompts that the release would have shown.
    """

    pairs: tuple[Pair, ...]
    clean: Mapping[str, "torch.Tensor"]
    conditionings: Mapping[tuple[str, str], Conditioning]
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

    def draw(self, step: int, rank: int, world: int, editor: Editor) -> Batch:
        """Return one process's part of a step's batch: every `world`-th slot from `rank` on."""
        import torch

        mine = list(enumerate(self.samples(step)))[rank::world]
        clean = torch.stack([self.clean[pair.key] for _, (pair, _) in mine])
        draws = [_draw(self.seed, step, slot, clean.shape[1:]) for slot, _ in mine]
        shown = [self.conditionings[pair.key, task] for _, (pair, task) in mine]
        device = editor.device
        return Batch(
            clean=clean.to(device),
            conditioning=editor.together(shown),
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
    editor: Editor, pairs: Sequence[Pair], profile: Profile, seed: int, replicate_bug: bool
) -> Feed:
    """Encode each picture and each prompt once.

    Args:
        editor: not parked yet.
        pairs: the same number for each task.
        profile: how pictures become square, the repeats, the prompts and the guidance.
        seed: of the training.
        replicate_bug: see `Feed`.

    Raises:
        UsageError: an epoch does not divide into whole batches, or a picture is too small.
    """
    tasks = sorted({pair.task for pair in pairs})
    repeats = repeats_for(profile, len(pairs) // len(tasks))
    if len(pairs) * repeats % profile.batch:
        raise UsageError(
            f"expected an epoch that divides into batches of {profile.batch}, found "
            f"{len(pairs) * repeats} samples; change the number of tasks or the batch"
        )
    said = {task: instruction_for(profile, task, profile.guidance) for task in tasks}
    clean: dict[str, torch.Tensor] = {}
    conditionings: dict[tuple[str, str], Conditioning] = {}
    for pair in pairs:
        target, photo = prepared(pair, profile)
        clean[pair.key] = editor.encode([target], [photo.pixels])[0].float().cpu()
        shown = tasks if replicate_bug else [pair.task]
        given = editor.condition(photo, [said[task] for task in shown])
        conditionings |= {(pair.key, t): one for t, one in zip(shown, given, strict=True)}
    repeated = tuple(pair for pair in pairs for _ in range(repeats))
    return Feed(repeated, clean, conditionings, seed, profile.batch, replicate_bug)


def instruction_for(profile: Profile, task: str, guidance: float) -> Instruction:
    """Return what an editor is told for a task."""
    return Instruction(prompt_for(profile, task), guidance, profile.sequence)


def prepared(pair: Pair, profile: Profile) -> tuple[Pixels, Photo]:
    """Return the square clean picture and the square degraded one, float32 in [0, 1]."""
    clean, degraded = (
        np.divide(picture, 255, dtype=np.float32)
        for picture in squared(pair, profile.resolution, profile.fit)
    )
    return clean, Photo(pair.key, degraded)
