"""How an adapter is trained: the two generations of Edit2Restore, and one for the miniature.

Source: Edit2Restore's paper (g1) and later repository (g2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from e2r_adapters.editors.editor import Family
from e2r_adapters.editors.releases import LENGTH
from e2r_baselines.tasks import PROMPTS, TASKS, Kind, Prompts, Task
from e2r_metrics.base.errors import UsageError, unknown


@dataclass(frozen=True)
class Profile:
    """Every setting of a training that the few-shot experiment does not vary.

    Attributes:
        name: said in every result.
        prompts: which generation's prompts; None for g1's, and g2's where g1 lacks the task.
        tasks: task names trained together unless others are asked for.
        pairs: pairs per task unless another number is asked for.
        exposure: how often an epoch shows each task. Fewer pairs are repeated, so that the number
            of pairs never changes the number of steps.
        epochs: passes over the repeated pairs.
        batch: samples per optimizer step, over all devices.
        resolution: side of the square training pictures in pixels.
        painted: side of painted scenes in pixels.
        fit: how a picture becomes square: "squash" resizes and ignores the aspect (the paper),
            "crop" cuts a window at a place drawn once per pair.
        rank, alpha: of the LoRA; its scale is alpha / rank.
        learning_rate, weight_decay: AdamW's, for the transformer.
        text_learning_rate, text_weight_decay: the same for the text encoder's LoRA.
        betas: AdamW's.
        schedule: "constant", or "cosine" to a tenth of the learning rate.
        clip: largest norm of the gradient.
        guidance: the guidance scale seen in training, embedded; families with another kind of
            guidance put their own in its place.
        sequence: length of the text in tokens; families that need more take more.
        dtype: of the frozen weights; what is trained is always float32.
        checkpointing: recompute activations in the backward pass to save memory.
    """

    name: str
    prompts: Prompts | None
    tasks: tuple[str, ...]
    pairs: int
    exposure: int = 128
    epochs: int = 20
    batch: int = 4
    resolution: int = 1024
    painted: int = 1024
    fit: Literal["squash", "crop"] = "squash"
    rank: int = 64
    alpha: int = 4
    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    text_learning_rate: float = 5e-6
    text_weight_decay: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["constant", "cosine"] = "constant"
    clip: float = 1.0
    guidance: float = 3.5
    sequence: int = 512
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    checkpointing: bool = True


_G1 = Profile("g1", "g1", ("denoise", "derain", "dehaze"), pairs=128)
_G2 = Profile("g2", "g2", ("denoise", "derain", "dehaze", "dejpeg", "lowlight"), pairs=32)
# The paper's alpha 4 and rate 1e-4 hardly move a network of 1.7 M parameters: hence a third one,
# with both learning rates 20 times as high.
_NANO = Profile(
    "nano",
    None,
    ("denoise", "derain", "dehaze"),
    pairs=128,
    epochs=60,
    resolution=64,
    painted=256,
    fit="crop",
    alpha=64,
    learning_rate=2e-3,
    text_learning_rate=1e-4,
    schedule="cosine",
    sequence=LENGTH,
    dtype="float32",
    checkpointing=False,
)
PROFILES: Mapping[str, Profile] = MappingProxyType({p.name: p for p in (_G1, _G2, _NANO)})


def with_changes(
    profile: Profile, *, epochs: int | None = None, resolution: int | None = None
) -> Profile:
    """Return the profile with some settings changed, and a name that says so."""
    asked = {"epochs": epochs, "resolution": resolution}
    changed = {k: v for k, v in asked.items() if v is not None and v != getattr(profile, k)}
    if not changed:
        return profile
    name = "+".join([profile.name, *(f"{key}={value}" for key, value in changed.items())])
    return replace(profile, name=name, **changed)


def for_family(profile: Profile, family: Family) -> Profile:
    """Return the profile with a family's own guidance and no shorter text than it needs."""
    own = family.training_guidance
    return replace(
        profile,
        guidance=profile.guidance if own is None else own,
        sequence=max(profile.sequence, family.least_length),
    )


def prompt_for(profile: Profile, task: str) -> str:
    """Return the instruction that `task` is trained with.

    Args:
        profile: names the generation of prompts.
        task: a task name such as "denoise25", or a kind such as "denoise" (all sigmas).

    Raises:
        UsageError: no such task, or the profile's generation has no prompt for it.
    """
    known = _known(task)
    if profile.prompts is None:
        return known.prompt
    prompts = PROMPTS[profile.prompts]
    if known.kind not in prompts:
        raise UsageError(
            f"profile {profile.name} has no prompt for {task!r}, only for {', '.join(prompts)}; "
            "use --profile g2"
        )
    return prompts[known.kind]


def kind_of(task: str) -> Kind:
    """Return the kind of a training task; errors as `prompt_for`."""
    return _known(task).kind


def _known(task: str) -> Task:
    found = next((t for name, t in TASKS.items() if task in (name, t.kind)), None)
    if found is None:
        raise unknown("training task", task, [*PROMPTS["g2"], *TASKS])
    return found


def repeats_for(profile: Profile, pairs: int) -> int:
    """Return how often an epoch shows each pair, so that every task is seen `exposure` times.

    Raises:
        UsageError: `pairs` does not divide the exposure, so it could not be equal.
    """
    if pairs < 1 or profile.exposure % pairs:
        raise UsageError(
            f"expected a number of pairs that divides {profile.exposure}, so that every number of "
            f"pairs gives a task the same exposure; found {pairs}; use 16, 32, 64 or 128"
        )
    return profile.exposure // pairs


def total_steps(profile: Profile, tasks: int) -> int:
    """Return the number of optimizer steps of a training on so many tasks."""
    per_epoch = -(-tasks * profile.exposure // profile.batch)
    return profile.epochs * per_epoch
