"""Pictures of how a training goes: the first pair of each task, restored with a few steps.

They are training pairs, and say nothing about pictures that the adapter has not seen.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from e2r_adapters.dataset import EightBit, Pair, squared
from e2r_adapters.profiles import Profile
from e2r_metrics.base.draws import seed_for

if TYPE_CHECKING:
    from e2r_adapters.session import Session

_FOLDER = "samples"
_STEPS = 8
_GUIDANCE = 2.5


def draw_samples(out: Path, session: "Session", profile: Profile, seed: int, done: int) -> Path:
    """Write `samples/step<done>.png`: a row per task of degraded, restored and clean.

    Args:
        out: folder of the training.
        session: its pipeline's VAE is fetched from the CPU and put back.
        profile: how pictures become square, and the prompts.
        seed: of the training; the noise is the same every time.
        done: optimizer steps done.
    """
    from PIL import Image

    pipe, device = session.pipe, session.accelerator.device
    first = {pair.task: pair for pair in reversed(session.feed.pairs)}
    pipe.vae.to(device)
    pipe.transformer.eval()
    try:
        rows = [_row(session, pair, profile, seed) for _, pair in sorted(first.items())]
    finally:
        pipe.transformer.train()
        pipe.vae.to("cpu")
    path = out / _FOLDER / f"step{done:06d}.png"
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".part.png")
    Image.fromarray(np.concatenate(rows)).save(temporary)
    temporary.replace(path)
    return path


def _row(session: "Session", pair: Pair, profile: Profile, seed: int) -> EightBit:
    import torch

    clean, degraded = squared(pair, profile.resolution, profile.fit)
    height, width = clean.shape[:2]
    pipe: Any = session.pipe
    # Not the wrapped encoder: only the main process is here, and the wrapper waits for all.
    encoder = pipe.text_encoder if session.text_encoder is not None else None
    with torch.no_grad():
        restored = pipe(
            image=torch.from_numpy(degraded.copy()).permute(2, 0, 1)[None] / 255,
            prompt_embeds=session.feed.prompts[pair.task][None].to(session.accelerator.device),
            pooled_prompt_embeds=session.pool([pair.task], encoder),
            height=height,
            width=width,
            max_area=height * width,
            _auto_resize=False,
            num_inference_steps=_STEPS,
            guidance_scale=_GUIDANCE,
            generator=torch.Generator().manual_seed(seed_for(seed, pair.key, "training-sample")),
            output_type="np",
        ).images[0]
    shown = np.rint(np.clip(restored, 0, 1) * 255).astype(np.uint8)
    return np.concatenate([degraded, shown, clean], axis=1)
