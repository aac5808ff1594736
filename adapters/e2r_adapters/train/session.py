"""The models, the data and the optimizer of one training, made ready."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2r_adapters import lora
from e2r_adapters.backbone import Backbone, backbone_of, load_pipeline
from e2r_adapters.config import TrainConfig
from e2r_adapters.encode import encode_prompt
from e2r_adapters.feed import Feed, make_feed
from e2r_adapters.fewshot import Selection
from e2r_adapters.profiles import Profile, prompt_for, total_steps
from e2r_adapters.step import Batch, NoiseLevels, noise_levels
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline


@dataclass(frozen=True)
class Session:
    """What the loop works with.

    Attributes:
        pipe: the pipeline; its T5 is gone and its VAE waits on the CPU.
        backbone: the seam to its transformer.
        transformer, text_encoder: as accelerate wrapped them; the latter None unless trained.
        accelerator: devices and processes.
        feed: samples, latents, prompts and draws.
        pooled: task -> (P,) CLIP vector of the untrained text encoder.
        tokens: task -> (77,) CLIP tokens, for the trained one.
        levels: the noise levels of training.
        trained: the parameters that are trained, float32.
        optimizer: AdamW over them.
        steps: optimizer steps in all.
    """

    pipe: "FluxKontextPipeline"
    backbone: Backbone
    transformer: "torch.nn.Module"
    text_encoder: "torch.nn.Module | None"
    accelerator: "Accelerator"
    feed: Feed
    pooled: Mapping[str, "torch.Tensor"]
    tokens: Mapping[str, "torch.Tensor"]
    levels: NoiseLevels
    trained: list["torch.nn.Parameter"]
    optimizer: "torch.optim.Optimizer"
    steps: int

    def batch(self, step: int) -> Batch:
        """Return this process's part of a step's batch, on its device."""
        accelerator = self.accelerator
        rank, world = accelerator.process_index, accelerator.num_processes
        return self.feed.draw(
            step, rank, world, lambda tasks: self.pool(tasks, self.text_encoder), accelerator.device
        )

    def pool(self, tasks: Sequence[str], text_encoder: "torch.nn.Module | None") -> "torch.Tensor":
        """Return the (B, P) CLIP vectors of tasks.

        Args:
            tasks: task names.
            text_encoder: runs on the tokens, with gradients; None for the untrained vectors.
        """
        import torch

        if text_encoder is None:
            return torch.stack([self.pooled[task] for task in tasks])
        tokens = torch.stack([self.tokens[task] for task in tasks])
        return text_encoder(tokens).pooler_output


def open_session(config: TrainConfig, selection: Selection) -> Session:
    """Load the models, encode everything once, free what is done, and attach the LoRA.

    Args:
        config: see `TrainConfig`.
        selection: the training pairs.

    Raises:
        UsageError: a backbone that is not there, or pairs that it cannot be trained on.
    """
    import torch
    from accelerate import Accelerator

    profile = config.profile
    accelerator = Accelerator(cpu=config.device == "cpu")
    _check_world(profile, accelerator.num_processes)
    pipe = load_pipeline(config.backbone, getattr(torch, profile.dtype), accelerator.device)
    backbone = backbone_of(pipe)
    with torch.no_grad():
        feed = make_feed(
            pipe, selection.pairs, profile, config.seed, config.replicate_prompt_cache_bug
        )
        pooled, tokens = _clip_inputs(pipe, config)
    pipe.text_encoder_2 = None
    pipe.vae.to("cpu")
    trained, optimizer = _trainable(pipe, config)
    text = accelerator.prepare(pipe.text_encoder) if config.text_encoder else None
    return Session(
        pipe=pipe,
        backbone=backbone,
        transformer=accelerator.prepare(pipe.transformer),
        text_encoder=text,
        accelerator=accelerator,
        feed=feed,
        pooled=pooled,
        tokens=tokens,
        levels=noise_levels(backbone, accelerator.device),
        trained=trained,
        optimizer=optimizer,
        steps=total_steps(profile, len(config.tasks)),
    )


def _check_world(profile: Profile, processes: int) -> None:
    if profile.batch % processes:
        raise UsageError(
            f"expected a number of processes that divides the batch of {profile.batch}, found "
            f"{processes}; start fewer"
        )


def _clip_inputs(
    pipe: "FluxKontextPipeline", config: TrainConfig
) -> tuple[dict[str, "torch.Tensor"], dict[str, "torch.Tensor"]]:
    """Return the CLIP vector and the CLIP tokens of each task's prompt."""
    pooled: dict[str, torch.Tensor] = {}
    tokens: dict[str, torch.Tensor] = {}
    for task in config.tasks:
        text = prompt_for(config.profile, task)
        pooled[task] = encode_prompt(pipe, text, config.profile.sequence).pooled[0]
        ids = pipe.tokenizer(
            text,
            padding="max_length",
            max_length=pipe.tokenizer_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        tokens[task] = ids[0].to(pooled[task].device)
    return pooled, tokens


def _trainable(
    pipe: "FluxKontextPipeline", config: TrainConfig
) -> tuple[list["torch.nn.Parameter"], "torch.optim.Optimizer"]:
    """Attach the LoRA and return what is trained, with AdamW over it, one group per network."""
    import torch

    profile = config.profile
    for part in (pipe.transformer, pipe.text_encoder, pipe.vae):
        part.requires_grad_(False)
    image = lora.attach(pipe.transformer, lora.TARGETS[config.targets], profile, config.seed)
    groups = [_group(image, profile.learning_rate, profile.weight_decay)]
    if config.text_encoder:
        text = lora.attach(pipe.text_encoder, lora.TEXT_TARGETS, profile, config.seed)
        groups.append(_group(text, profile.text_learning_rate, profile.text_weight_decay))
    if profile.checkpointing:
        pipe.transformer.enable_gradient_checkpointing()
    pipe.transformer.train()
    trained = [parameter for group in groups for parameter in group["params"]]
    return trained, torch.optim.AdamW(groups, betas=profile.betas)


def _group(parameters: list["torch.nn.Parameter"], rate: float, decay: float) -> dict[str, Any]:
    # `base_lr` is ours: the schedule multiplies it, step by step.
    return {"params": parameters, "lr": rate, "base_lr": rate, "weight_decay": decay}
