"""Make the decoder that the miniatures share, and write it into copies of their autoencoders.

`python adapters/factory/make_decoder.py --out FOLDER --log FOLDER` keeps the code of the embedded
kontext-nano, on which all transformers and adapters were trained, and trains a decoder for it on
painted pictures; FOLDER then holds a `vae` folder for each miniature. No photograph is ever seen.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from e2r_adapters.editors.loading import open_editor
from e2r_adapters.editors.miniatures import MINIATURES
from e2r_adapters.editors.releases import NANO
from e2r_baselines.method import Pixels
from nano_decoder import DecoderSettings, decoded_error, fit_decoder, write_decoder
from nano_pictures import paint_canvases
from nano_recipes import SEED, painted
from nano_vae import build_vae, fit_linear, normalised, read_code, write_linear

_CANVASES, _HELD, _LINEAR_STEPS = 400, 24, 2000
_CODED = 200
"""Pictures of klein-nano's recipe that its normalisation was taken from."""


def _tensor(canvases: Sequence[Pixels]) -> torch.Tensor:
    return torch.from_numpy(np.stack(canvases)).permute(0, 3, 1, 2) * 2 - 1


def main() -> None:
    """Make the decoder from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the autoencoders")
    parser.add_argument("--log", type=Path, required=True, help="folder of the training log")
    parser.add_argument("--fraction", type=float, default=1.0, help="of the steps: for a try")
    asked = parser.parse_args()
    began, settings = time.perf_counter(), DecoderSettings()
    settings = replace(settings, steps=max(4, round(settings.steps * asked.fraction)))
    before: Any = open_editor(NANO, torch.float32, "cpu")
    held = _tensor(paint_canvases(_HELD, SEED, "leaf-held", varied=True))[..., :128, :128]
    canvases, vae = painted(_CANVASES), build_vae()
    code = fit_linear(
        canvases, round(_LINEAR_STEPS * asked.fraction), 0, read_code(before.pipe.vae)
    )
    write_linear(vae, code)
    write_decoder(vae.decoder, code)
    linear = decoded_error(vae, held)
    fit_decoder(vae, _tensor(canvases), settings, asked.log)
    for name, one in MINIATURES.items():
        own: Any = normalised(vae, painted(_CODED)) if one.family == "klein" else vae
        own.to(torch.float16).save_pretrained(asked.out / name / "vae")
        own.float()
    told = {
        "settings": asdict(settings),
        "seconds": round(time.perf_counter() - began),
        "held_back_psnr_lpips": {
            "embedded": decoded_error(before.pipe.vae, held),
            "linear": linear,
            "trained": decoded_error(vae, held),
        },
    }
    (asked.log / "decoder.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
