"""The released models that methods run by default, and the miniature that stands in for one."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Offload = Literal["none", "model", "sequential"]
Quantize = Literal["none", "nf4", "int8"]

Routing = Literal["released", "top2", "switch", "random", "one", "average"]
"""How the experts of a mixture are weighted; see `e2r_adapters.lora.mixture`."""
Constraint = Literal["task", "low-band"]
"""What a sample is held to; see `e2r_adapters.fidelity`."""

NANO = "kontext-nano"
"""Kontext's embedded miniature; see `miniatures` for the others."""
LENGTH = 32
"""Text tokens that miniatures and their adapters are trained with."""
SIDE = 128
"""Pixels on a side of the largest pictures that miniatures were trained on."""
FULL = "black-forest-labs/FLUX.1-Kontext-dev"
FULL_LENGTH = 512
FILL_DEV = "black-forest-labs/FLUX.1-Fill-dev"
"""What ICEdit's adapters are for."""
KLEIN_BASE = "black-forest-labs/FLUX.2-klein-base-4B"
"""The undistilled klein: the one that adapters are trained on."""
KLEIN = "black-forest-labs/FLUX.2-klein-4B"
"""The klein that was distilled to four steps."""
QWEN_EDIT_2511 = "Qwen/Qwen-Image-Edit-2511"
QWEN_EDIT_2509 = "Qwen/Qwen-Image-Edit-2509"
SANA_1_5 = "Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers"
"""A text-to-image model, which paired training makes a restorer."""

WORK = 4 * 10**9
"""Bytes of work for a picture of 1024x1024, beside the weights."""


@dataclass(frozen=True)
class Release:
    """A model as its authors released it.

    Attributes:
        family: of editing models.
        title: of its build, in every row.
        weights: its table in weights.toml.
        licence: of the weights.
        needed: bytes on the device while the transformer runs: parameters times their bytes, and
            `WORK`; an estimate, not a measurement.
    """

    family: str
    title: str
    weights: str
    licence: str
    needed: Mapping[Quantize, int]


def _needed(whole: int, int8: int, nf4: int) -> Mapping[Quantize, int]:
    return MappingProxyType({"none": whole * 10**9, "int8": int8 * 10**9, "nf4": nf4 * 10**9})


# klein 4B: 3.88 G parameters beside 4.02 G of Qwen3 and 0.08 G of the autoencoder.
_KLEIN_NEEDED = _needed(20, 13, 9)
# Qwen-Image: 20.43 G parameters beside 8.29 G of Qwen2.5-VL and 0.13 G of the autoencoder.
_QWEN_NEEDED = _needed(62, 33, 19)
RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        FULL: Release(
            "kontext",
            "FLUX.1-Kontext-dev",
            "flux1-kontext-dev",
            "FLUX.1 [dev] non-commercial",
            _needed(38, 21, 13),
        ),
        FILL_DEV: Release(
            "fill",
            "FLUX.1-Fill-dev",
            "flux1-fill-dev",
            "FLUX.1 [dev] non-commercial",
            _needed(38, 21, 13),
        ),
        KLEIN_BASE: Release(
            "klein", "FLUX.2-klein-base-4B", "flux2-klein-base-4b", "Apache-2.0", _KLEIN_NEEDED
        ),
        KLEIN: Release("klein", "FLUX.2-klein-4B", "flux2-klein-4b", "Apache-2.0", _KLEIN_NEEDED),
        QWEN_EDIT_2511: Release(
            "qwen-edit",
            "Qwen-Image-Edit-2511",
            "qwen-image-edit-2511",
            "Apache-2.0",
            _QWEN_NEEDED,
        ),
        QWEN_EDIT_2509: Release(
            "qwen-edit",
            "Qwen-Image-Edit-2509",
            "qwen-image-edit-2509",
            "Apache-2.0",
            _QWEN_NEEDED,
        ),
        # 1.60 G parameters beside 2.61 G of Gemma 2 and 0.31 G of the autoencoder.
        SANA_1_5: Release(
            "sana-concat",
            "SANA1.5-1.6B",
            "sana-15-1600m",
            "NVIDIA License (NSCL v2) and Gemma Terms of Use",
            _needed(13, 9, 7),
        ),
    }
)
