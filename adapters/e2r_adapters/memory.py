"""How much memory an editor takes, so that what does not fit is refused before it starts."""

from e2r_adapters.editors.backbones import family_named
from e2r_adapters.editors.editor import Resize
from e2r_adapters.editors.releases import RELEASES, WORK, Quantize, Release
from e2r_baselines.method import Build

_MEGAPIXEL = 1024 * 1024
# Measured as growth of the process at 128, 512 and 768 pixels square: 34, 210 and 318 MB.
_NANO = 40 * 10**6
_NANO_PIXEL = 800


def peak_bytes(
    backbone: str, resize: Resize, quantize: Quantize, build: Build, height: int, width: int
) -> int:
    """Return the estimated peak memory in bytes of one picture.

    Args:
        backbone: resolved; of one that is no release, its family's numbers are taken.
        resize: decides at what size the model works.
        quantize: how the full model is loaded.
        build: miniatures count as `kontext-nano`, which is measured; the full model's weights are
            those of docs/kontext.md with 4 GB of work for a picture of 1024x1024.
        height, width: of the picture.
    """
    pixels = height * width if resize == "native" else _MEGAPIXEL
    if build.miniature:
        return _NANO + _NANO_PIXEL * pixels
    needed = (RELEASES.get(backbone) or _released(backbone)).needed[quantize]
    return needed - WORK + WORK * pixels // _MEGAPIXEL


def _released(backbone: str) -> Release:
    family = family_named(backbone).name
    return next(release for release in RELEASES.values() if release.family == family)
