"""Pre-training of `kontext-nano`: pairs of generic edits, and the flow-matching loop over them."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import torch

from e2r_adapters.editors.flux_inputs import FluxConditioning, Text, read_text
from e2r_adapters.editors.kontext import KontextEditor
from e2r_adapters.editors.releases import LENGTH
from e2r_adapters.train.step import Batch, flow_matching_loss
from e2r_baselines.method import Pixels
from e2r_baselines.procedural import dead_leaves
from e2r_metrics.base.draws import rng_for
from nano_edits import EDITS, draw_edit
from nano_text import WIDTH

if TYPE_CHECKING:
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

SIDE = 64
_CANVAS = 256
_AVERAGE = 0.998


@dataclass(frozen=True)
class Edited:
    """Encoded training pairs: (n, c, h, w) half-precision latents, and which prompt each has."""

    source: torch.Tensor
    target: torch.Tensor
    prompt: torch.Tensor


@dataclass(frozen=True)
class BaseSettings:
    """How long and how fast the base is trained; see `train_base`."""

    steps: int
    batch: int = 16
    rate: float = 2e-3
    warmup: int = 100
    decay: float = 0.4
    seed: int = 1


def build_transformer(seed: int) -> "FluxTransformer2DModel":
    """Return the untrained transformer: 1 double and 4 single blocks of 4 heads x 32."""
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FluxTransformer2DModel(
            patch_size=1,
            in_channels=64,
            num_layers=1,
            num_single_layers=4,
            attention_head_dim=32,
            num_attention_heads=4,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=True,
            axes_dims_rope=(8, 12, 12),
        )


def paint_canvases(count: int, seed: int, purpose: str, varied: bool = False) -> list[Pixels]:
    """Return dead-leaves pictures of 256x256; `purpose` names the draw.

    `varied` pictures come nearer to photographs: finer detail (painted up to twice as large and
    shrunk), patches out of focus, patches of fractal texture, and less colour.
    """
    paint = _varied if varied else _plain
    return [paint(rng_for(seed, str(i), purpose)) for i in range(count)]


def _plain(rng: np.random.Generator) -> Pixels:
    return dead_leaves(rng, _CANVAS)[0]


def _varied(rng: np.random.Generator) -> Pixels:
    side = int(_CANVAS * rng.choice([1.0, 1.5, 2.0], p=[0.5, 0.25, 0.25]))
    picture, _ = dead_leaves(rng, side)
    picture = cv2.resize(picture, (_CANVAS, _CANVAS), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.6:
        blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(1, 5))
        picture = picture + _patches(rng) * (blurred - picture)
    if rng.random() < 0.5:
        texture = _fractal(rng, rng.uniform(0.6, 1.4)) * rng.uniform(0.03, 0.12)
        picture = picture + _patches(rng) * texture[..., None] * rng.uniform(0.6, 1.0, 3)
    grey = picture.mean(axis=2, keepdims=True)
    picture = picture + rng.uniform(0, 0.8) * (grey - picture)
    return np.clip(picture, 0, 1).astype(np.float32)


def _patches(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return a mask of soft patches that covers about half of a canvas, (H, W, 1) in [0, 1]."""
    return np.clip(2 * _fractal(rng, 2.0) + 0.5, 0, 1)[..., None]


def _fractal(rng: np.random.Generator, slope: float) -> npt.NDArray[np.float32]:
    """Return noise of unit variance whose amplitude falls with frequency to the power `slope`."""
    noise = np.fft.rfft2(rng.standard_normal((_CANVAS, _CANVAS)))
    y, x = np.fft.fftfreq(_CANVAS)[:, None], np.fft.rfftfreq(_CANVAS)
    frequency = np.maximum(np.hypot(y, x), 2 / _CANVAS)
    field = np.fft.irfft2(noise * frequency**-slope, (_CANVAS, _CANVAS))
    return (field / field.std()).astype(np.float32)


def all_prompts() -> list[str]:
    """Return every wording of every edit, in a fixed order."""
    return [prompt for edit in EDITS.values() for prompt in edit.prompts]


def encode_edits(editor: KontextEditor, canvases: list[Pixels], count: int, seed: int) -> Edited:
    """Cut, edit and encode `count` pairs."""
    prompts = all_prompts()
    source, target, chosen = [], [], []
    for index in range(count):
        rng = rng_for(seed, str(index), "nano-edit")
        crop = _crop(canvases[int(rng.integers(len(canvases)))], rng)
        edit, prompt = draw_edit(rng)
        edited = np.clip(edit.apply(crop), 0, 1).astype(np.float32)
        latents = editor.encode([crop, edited], [crop, crop]).half()
        source.append(latents[0])
        target.append(latents[1])
        chosen.append(prompts.index(prompt))
    return Edited(torch.stack(source), torch.stack(target), torch.tensor(chosen))


def _crop(canvas: Pixels, rng: np.random.Generator) -> Pixels:
    top, left = rng.integers(0, _CANVAS - SIDE + 1, 2)
    crop = canvas[top : top + SIDE, left : left + SIDE]
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    crop = crop.transpose(1, 0, 2) if rng.random() < 0.5 else crop
    return np.ascontiguousarray(crop)


def train_base(editor: KontextEditor, pairs: Edited, settings: BaseSettings, folder: Path) -> None:
    """Train the transformer of a pipeline in place; ends with the running mean of its weights.

    Writes `base.jsonl` (a row per 50 steps) and, every 500 steps, `base.pt` with the running mean.
    """
    model = editor.pipe.transformer.train().requires_grad_(True)
    texts = [read_text(editor.pipe, text, LENGTH) for text in all_prompts()]
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), settings.rate, betas=(0.9, 0.98))
    generator = torch.Generator().manual_seed(settings.seed)
    folder.mkdir(parents=True, exist_ok=True)
    began, recent = time.perf_counter(), 0.0
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * _rate(step, settings)
        loss = _loss(editor, _draw(editor, pairs, texts, settings.batch, generator))
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


def _loss(editor: KontextEditor, batch: Batch) -> torch.Tensor:
    def velocity(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return editor.velocity(x, sigma, batch.conditioning)

    return flow_matching_loss(velocity, batch, editor.training_levels())


def _rate(step: int, settings: BaseSettings) -> float:
    """Return the factor on the learning rate: warm up, hold, then fall to nothing as a cosine."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    hold = settings.steps * (1 - settings.decay)
    if step < hold:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - hold) / (settings.steps - hold)))


def _draw(
    editor: KontextEditor,
    pairs: Edited,
    texts: Sequence[Text],
    size: int,
    generator: torch.Generator,
) -> Batch:
    index = torch.randint(len(pairs.prompt), (size,), generator=generator)
    said = [texts[int(prompt)] for prompt in pairs.prompt[index]]
    source, clean = pairs.source[index].float(), pairs.target[index].float()
    noise, u = (
        torch.randn(clean.shape, generator=generator),
        torch.rand(size, generator=generator),
    )
    # The guidance scale is drawn too: the miniature is not distilled and must not react to it.
    guidance = 1 + 4 * float(torch.rand((), generator=generator))
    conditioning = FluxConditioning(
        tokens=editor.pack(source),
        shape=(clean.shape[1], clean.shape[2], clean.shape[3]),
        states=torch.cat([text.states for text in said]),
        pooled=torch.cat([text.pooled for text in said]),
        clip=torch.cat([text.clip for text in said]),
        guidance=torch.full((size,), guidance),
    )
    return Batch(clean, conditioning, noise, u)
