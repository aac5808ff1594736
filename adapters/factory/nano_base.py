"""Pre-training of a miniature: pairs of generic edits, and the flow-matching loop over them.

It sees an editor alone, so that one loop trains the miniature of every family.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from e2r_adapters.editors.editor import Conditioning, Editor, Instruction
from e2r_adapters.train.step import Batch, flow_matching_loss
from e2r_baselines.method import Photo, Pixels
from e2r_metrics.base.draws import rng_for
from nano_edits import EDITS, draw_edit
from nano_pictures import cut

_AVERAGE = 0.998


@dataclass(frozen=True)
class Edited:
    """Encoded training pairs.

    Attributes:
        target: (n, c, h, w) half-precision latents that a sampler should end at.
        given: n conditionings: the sources under their prompts.
    """

    target: torch.Tensor
    given: Sequence[Conditioning]


@dataclass(frozen=True)
class EditSettings:
    """How edits are shown to a base.

    Attributes:
        side: of the square pictures in pixels.
        length: text tokens.
        guidance: the scales that are drawn between, evenly in their logarithm. The miniatures are
            not distilled and must not react to an embedded scale.
        silent: share of the pairs whose prompt is empty, for classifier-free guidance.
    """

    side: int
    length: int
    guidance: tuple[float, float] = (1.0, 1.0)
    silent: float = 0.0


@dataclass(frozen=True)
class BaseSettings:
    """How long and how fast the base is trained; see `train_base`."""

    steps: int
    batch: int = 16
    rate: float = 2e-3
    warmup: int = 100
    decay: float = 0.4
    seed: int = 1


def all_prompts() -> list[str]:
    """Return every wording of every edit, in a fixed order."""
    return [prompt for edit in EDITS.values() for prompt in edit.prompts]


def encode_edits(
    editor: Editor, canvases: list[Pixels], count: int, seed: int, shown: EditSettings
) -> Edited:
    """Cut, edit and encode `count` pairs."""
    target, given = list[torch.Tensor](), list[Conditioning]()
    for index in range(count):
        rng = rng_for(seed, str(index), "nano-edit")
        crop = cut(canvases[int(rng.integers(len(canvases)))], shown.side, rng)
        edit, prompt = draw_edit(rng)
        edited = np.clip(edit.apply(crop), 0, 1).astype(np.float32)
        said = Instruction(
            "" if rng.random() < shown.silent else prompt,
            float(np.exp(rng.uniform(*np.log(shown.guidance)))),
            shown.length,
        )
        target.append(editor.encode([edited], [crop])[0].half())
        given.extend(editor.condition(Photo(str(index), crop), [said]))
    return Edited(torch.stack(target), given)


def train_base(editor: Editor, pairs: Edited, settings: BaseSettings, folder: Path) -> None:
    """Train an editor's transformer in place; ends with the running mean of its weights.

    Writes `base.jsonl` (a row per 50 steps) and, every 500 steps, `base.pt` with the running mean.
    """
    model = editor.networks["transformer"].train().requires_grad_(True)
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), settings.rate, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(settings.seed)
    folder.mkdir(parents=True, exist_ok=True)
    began, recent = time.perf_counter(), 0.0
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * _rate(step, settings)
        loss = _loss(editor, _draw(editor, pairs, settings.batch, generator))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        keep = min(_AVERAGE, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in model.named_parameters():
                average[name].lerp_(value, 1 - keep)
        recent += float(loss.detach()) / 50
        if step % 50 == 49:
            row = {"step": step + 1, "loss": round(recent, 5),
                   "seconds": round(time.perf_counter() - began, 1)}  # fmt: skip
            with (folder / "base.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
            recent = 0.0
        if step % 500 == 499:
            torch.save(average, folder / "base.pt")
    model.load_state_dict(average, strict=False)
    model.eval().requires_grad_(False)


def _loss(editor: Editor, batch: Batch) -> torch.Tensor:
    def velocity(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return editor.velocity(x, sigma, batch.conditioning)

    mask = editor.loss_mask(batch.conditioning.shape)
    return flow_matching_loss(velocity, batch, editor.training_levels(), mask)


def _rate(step: int, settings: BaseSettings) -> float:
    """Return the factor on the learning rate: warm up, hold, then fall to nothing as a cosine."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    hold = settings.steps * (1 - settings.decay)
    if step < hold:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - hold) / (settings.steps - hold)))


def _draw(editor: Editor, pairs: Edited, size: int, generator: torch.Generator) -> Batch:
    index = torch.randint(len(pairs.target), (size,), generator=generator)
    clean = pairs.target[index].float()
    noise = torch.randn(clean.shape, generator=generator)
    u = torch.rand(size, generator=generator)
    return Batch(clean, editor.together([pairs.given[int(i)] for i in index]), noise, u)
