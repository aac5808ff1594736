"""The models, the data and the optimizer of one training, made ready."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2r_adapters.editors.editor import Editor
from e2r_adapters.editors.loading import open_editor
from e2r_adapters.editors.sana_facts import PROJECTION
from e2r_adapters.train import ema
from e2r_adapters.train.config import TrainConfig
from e2r_adapters.train.experts import attach_trained
from e2r_adapters.train.feed import Feed, Show, make_feed
from e2r_adapters.train.latents import Memory, open_shelf
from e2r_adapters.train.optimizers import make_optimizer
from e2r_adapters.train.profiles import Profile, total_steps
from e2r_adapters.train.samples import Shown, choose_shown
from e2r_adapters.train.selection import Selection
from e2r_adapters.train.step import Batch
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator


@dataclass(frozen=True)
class Session:
    """What the loop works with.

    Attributes:
        editor: the model with its LoRA, parked unless it encodes in every step; for saving and for
            samples.
        training: the same through the networks as accelerate wrapped them.
        accelerator: devices and processes.
        feed: samples, latents, conditionings and draws.
        shown: what samples show; empty where none are drawn.
        levels: (L,) the noise levels of training.
        trained: the parameters that are trained, float32.
        average: their moving average; empty where none is kept.
        optimizer: AdamW over them.
        steps: optimizer steps in all.
    """

    editor: Editor
    training: Editor
    accelerator: "Accelerator"
    feed: Feed
    shown: tuple[Shown, ...]
    levels: "torch.Tensor"
    trained: list["torch.nn.Parameter"]
    average: list["torch.Tensor"]
    optimizer: "torch.optim.Optimizer"
    steps: int

    def batch(self, step: int) -> Batch:
        """Return this process's part of a step's batch, on its device."""
        accelerator = self.accelerator
        rank, world = accelerator.process_index, accelerator.num_processes
        return self.feed.draw(step, rank, world, self.training)


def open_session(config: TrainConfig, selection: Selection) -> Session:
    """Load the models, encode everything once, free what is done, and attach the LoRA.

    Args:
        config: see `TrainConfig`; its backbone is concrete.
        selection: the training pairs.

    Raises:
        UsageError: a backbone that is not there, or pairs that it cannot be trained on.
    """
    import torch
    from accelerate import Accelerator

    profile = config.profile
    accelerator = Accelerator(cpu=config.device == "cpu")
    _check_world(profile, accelerator.num_processes)
    bare = open_editor(config.backbone, getattr(torch, profile.dtype), accelerator.device)
    show = Show(profile, config.variation, config.seed, config.replicate_prompt_cache_bug)
    store = open_shelf(config.latents, bare) if config.latents else Memory()
    feed = make_feed(bare, selection.pairs, show, store)
    shown = choose_shown(bare, selection.pairs, show) if config.sample_every else ()
    if not config.variation.live:
        bare.park()
    names = _trained_parts(config)
    trained, optimizer = _trainable(bare, config, names)
    networks = {name: bare.networks[name] for name in names}
    wrapped = {name: accelerator.prepare(network) for name, network in networks.items()}
    return Session(
        editor=bare.through(networks),
        training=bare.through(wrapped),
        accelerator=accelerator,
        feed=feed,
        shown=shown,
        levels=bare.training_levels().to(accelerator.device),
        trained=trained,
        average=ema.start(trained) if config.ema else [],
        optimizer=optimizer,
        steps=total_steps(profile, len(config.tasks)),
    )


def _check_world(profile: Profile, processes: int) -> None:
    if profile.batch % processes:
        raise UsageError(
            f"expected a number of processes that divides the batch of {profile.batch}, found "
            f"{processes}; start fewer"
        )


def _trained_parts(config: TrainConfig) -> list[str]:
    others = {"text_encoder": config.text_encoder, PROJECTION: config.recipe == "channel-concat"}
    return ["transformer", *(name for name, trained in others.items() if trained)]


def _trainable(
    editor: Editor, config: TrainConfig, names: list[str]
) -> tuple[list["torch.nn.Parameter"], "torch.optim.Optimizer"]:
    """Attach what is trained and return it, with AdamW over it, one group per network."""
    profile = config.profile
    rates = {
        "transformer": (profile.learning_rate, profile.weight_decay),
        "text_encoder": (profile.text_learning_rate, profile.text_weight_decay),
        # Decay would pull it to 0, where neither latents nor condition pass.
        PROJECTION: (profile.learning_rate, 0.0),
    }
    groups: list[dict[str, Any]] = []
    for name in names:
        if name not in editor.networks:
            raise UsageError(f"{editor.family.pipeline}: expected a {name} to train, found none")
        added = attach_trained(editor, name, config)
        rate, decay = rates[name]
        # `base_lr` is ours: the schedule multiplies it, step by step.
        groups.append({"params": added, "lr": rate, "base_lr": rate, "weight_decay": decay})
    transformer: Any = editor.networks["transformer"]
    if profile.checkpointing:
        transformer.enable_gradient_checkpointing()
    transformer.train()
    trained = [parameter for group in groups for parameter in group["params"]]
    return trained, make_optimizer(config.optimizer, groups, profile.betas)
