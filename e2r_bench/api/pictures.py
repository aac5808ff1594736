"""Whatever a caller has in hand to pairs of pictures: one rule for each kind, nothing guessed.

| kind | shape | values |
| --- | --- | --- |
| file | as `e2r_metrics.base.pictures` reads it | 8 bits, or deeper |
| NumPy array | (H, W, 3), a batch (N, H, W, 3) | uint8, or float32 / float64 in [0, 1] |
| torch tensor | (3, H, W), a batch (N, 3, H, W) | uint8, or float32 / float64 in [0, 1] |
| PIL image | mode RGB, or L, whose grey is repeated | 8 bits |

All are RGB as displayed. Everything else is refused with a line that says what to do.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pairs import SUFFIXES, Matching, Pair, pair_folders
from e2r_metrics.base.pictures import EightBit, Reading, read_image
from e2r_metrics.images import Image, check_image, to_uint8
from e2r_metrics.pair_pixels import Given

if TYPE_CHECKING:
    import numpy.typing as npt
    import PIL.Image
    import torch

Picture: TypeAlias = "str | Path | npt.NDArray[Any] | torch.Tensor | PIL.Image.Image"
"""One picture, or (arrays and tensors with four axes) a batch of one size."""
Pictures: TypeAlias = "Picture | Sequence[Picture] | Mapping[str, Picture]"
"""A folder, a picture, a batch, a list of pictures, or pictures by name."""


def pairs_of(restored: Pictures, clean: Pictures, matching: Matching) -> list[Pair | Given]:
    """Return the pairs that two sides make.

    Args:
        restored, clean: two folders, paired by file name; or pictures: by place in lists and
            batches (named "0", "1", ...), by key in mappings.
        matching: how folders are searched and paired.

    Raises:
        UsageError: sides of two kinds, pictures without partner, or what is no picture.
    """
    if _is_folder(restored) and _is_folder(clean):
        return list(pair_folders(_path(restored), _path(clean), matching))
    if _is_folder(restored) or _is_folder(clean):
        raise UsageError(
            "expected two folders, or pictures on both sides, found "
            f"{_kind(restored)} and {_kind(clean)}"
        )
    ours, theirs = _named(restored, "restored"), _named(clean, "clean")
    alone = sorted(ours.keys() ^ theirs.keys())
    if alone or not ours:
        shown = ", ".join(alone[:8]) or "no picture"
        raise UsageError(
            "expected a partner for each picture, found none for: "
            f"{shown} ({len(ours)} restored, {len(theirs)} clean)"
        )
    return [Given(name, picture, theirs[name]) for name, picture in ours.items()]


def pixels_of(picture: Picture, what: str) -> Path | Image:
    """Return one picture as a file's path, or as pixels, (H, W, 3) RGB.

    Args:
        picture: see the module.
        what: names it in an error.

    Raises:
        UsageError: another kind, shape, dtype or range.
    """
    if isinstance(picture, str | Path):
        return Path(picture)
    if _is(picture, "torch", "Tensor"):
        return _checked(_of_tensor(picture, what), what)
    if _is(picture, "PIL.Image", "Image"):
        return _of_pil(picture, what)
    if isinstance(picture, np.ndarray):
        return _checked(picture, what)
    raise UsageError(
        f"{what}: expected a path, a NumPy array, a torch tensor or a PIL image, found "
        f"{type(picture).__name__}"
    )


def eight_bits_of(picture: Picture, what: str, reading: Reading) -> EightBit:
    """Return one picture as (H, W, 3) uint8 RGB; deeper ones are rounded.

    Raises:
        UsageError: see `pixels_of`.
        PictureError: a file that cannot be read.
    """
    found = pixels_of(picture, what)
    return read_image(found, reading) if isinstance(found, Path) else to_uint8(found)


def _named(side: Any, what: str) -> dict[str, Path | Image]:
    if isinstance(side, Mapping):
        return {str(name): pixels_of(one, f"{what} {name}") for name, one in side.items()}
    batch = getattr(side, "ndim", 0) == 4
    if batch or isinstance(side, list | tuple):
        return {str(k): pixels_of(one, f"{what} {k}") for k, one in enumerate(side)}
    return {"0": pixels_of(side, what)}


def _is_folder(side: Any) -> bool:
    if not isinstance(side, str | Path):
        return False
    return Path(side).is_dir() or Path(side).suffix.lower() not in SUFFIXES


def _path(side: Any) -> Path:
    return Path(side)


def _kind(side: Any) -> str:
    return f"the folder {side}" if _is_folder(side) else f"a {type(side).__name__}"


def _is(picture: object, module: str, name: str) -> bool:
    """Return whether it is of a class; a library that nobody imported made no object."""
    home = sys.modules.get(module)
    return home is not None and isinstance(picture, getattr(home, name))


def _of_tensor(tensor: Any, what: str) -> Any:
    if tensor.ndim != 3 or tensor.shape[0] != 3:
        raise UsageError(
            f"{what}: expected a (3, H, W) RGB tensor, found shape {tuple(tensor.shape)}"
        )
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in ("uint8", "float32", "float64"):
        raise UsageError(
            f"{what}: expected uint8, float32 or float64, found {dtype}; .float() keeps its values"
        )
    return np.ascontiguousarray(tensor.detach().cpu().numpy().transpose(1, 2, 0))


def _of_pil(picture: Any, what: str) -> Image:
    if picture.mode not in ("RGB", "L"):
        raise UsageError(
            f"{what}: expected a PIL image of mode RGB or L, found {picture.mode}; "
            '.convert("RGB") says how it is shown'
        )
    return _checked(np.array(picture.convert("RGB")), what)


def _checked(pixels: Any, what: str) -> Image:
    try:
        check_image(pixels, what)
    except PictureError as error:
        raise UsageError(str(error)) from error
    return pixels
