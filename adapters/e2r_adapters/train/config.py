"""What a training is asked, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from e2r_adapters.editors.editor import Targets
from e2r_adapters.editors.releases import Routing
from e2r_adapters.train.optimizers import Optimizer
from e2r_adapters.train.profiles import Profile
from e2r_adapters.train.variation import UNVARIED, Variation
from e2r_metrics.base.pairs import EXACT, Matching
from e2r_metrics.base.pictures import AS_STORED, Reading

PAINTED = Path("painted")
"""In the place of a folder: pictures painted by our own code (dead leaves)."""
TRAINED_ROUTINGS: tuple[Routing, ...] = ("switch", "top2", "released")
"""Those of `e2r_adapters.lora.mixture` that a training may have; the others are controls."""
Recipe = Literal["edit2restore", "channel-concat"]
"""What is trained: a LoRA on an editing model; or, on a text-to-image model, a LoRA and the
projection by which the degraded picture joins its latents."""


@dataclass(frozen=True)
class TrainConfig:
    """One training.

    Attributes:
        out: folder of the adapter; a half-done training in it is gone on with.
        profile: how to train; see `PROFILES`.
        tasks: trained together into one adapter.
        pairs: pairs per task, a divisor of the profile's exposure.
        backbone: "auto", a miniature's name, a folder, or a hub id; see `resolve_backbone`.
        data: task -> folder of pairs, in a layout that `dataset_pairs` knows; a list of pairs (see
            `pair_lists`); for denoise and dehaze, and where `variation` degrades, also a folder of
            clean pictures; or `PAINTED`. Tasks without an entry are painted for a miniature, and
            refused for a full-size backbone.
        reading, matching: how pictures are read and paired.
        pairs_seed: which pairs.
        seed: of everything else: LoRA, order, noise, levels.
        targets: a set that the backbone's family has: "full" (of Kontext: the release's list), or
            "attention" (the paper's text); klein has "common" too, its trainers' usual list.
        text_encoder: train a LoRA on the text encoder too.
        recipe: see `Recipe`; it has to be that of the backbone's family.
        variation: what differs from epoch to epoch.
        latents: folder that what is encoded before the training is kept in; None for memory alone.
        ema: decay of the moving average that is saved instead of the last weights; 0 for those.
        optimizer: "adamw", or "adamw8bit" where a CUDA device and bitsandbytes are.
        experts: 0 for a plain LoRA; else how many stand beside each Linear of ICEdit's mixtures.
        routing: how they are weighted: "switch", the best with its weight among all, and "top2"
            give the router a gradient; "released" is ICEdit's, which gives it none.
        replicate_prompt_cache_bug: show prompts as the release does without `text_encoder`.
        test: folders of test pictures that no training picture may stand in.
        allow_overlap: record such pictures instead of refusing.
        drop_overlap: draw no pair from such pictures, and record them.
        device: "auto", "cpu" or "cuda".
        checkpoint_every, sample_every: in steps; 0 for never.
    """

    out: Path
    profile: Profile
    tasks: tuple[str, ...]
    pairs: int
    backbone: str = "kontext-nano"
    data: Mapping[str, Path] = field(default_factory=dict[str, Path])
    reading: Reading = AS_STORED
    matching: Matching = EXACT
    pairs_seed: int = 0
    seed: int = 42
    targets: Targets = "full"
    text_encoder: bool = False
    recipe: Recipe = "edit2restore"
    variation: Variation = UNVARIED
    latents: Path | None = None
    ema: float = 0.0
    optimizer: Optimizer = "adamw"
    experts: int = 0
    routing: Routing = "switch"
    replicate_prompt_cache_bug: bool = False
    test: tuple[Path, ...] = ()
    allow_overlap: bool = False
    drop_overlap: bool = False
    device: str = "auto"
    checkpoint_every: int = 500
    sample_every: int = 500


@dataclass(frozen=True)
class TrainResult:
    """A finished training.

    Attributes:
        adapter: the adapter file.
        steps: optimizer steps in all.
        resumed: the step that this call went on from; 0 for a fresh start.
        loss: mean loss of the last 50 steps; NaN where the log of a finished training is gone.
        seconds: of the steps of this call.
        backbone: what was trained on; never "auto".
        trained_on: task -> which pictures, in words.
    """

    adapter: Path
    steps: int
    resumed: int
    loss: float
    seconds: float
    backbone: str
    trained_on: Mapping[str, str]
