"""Pictures that two sets have in common under one framing: the same file, recoded, or resized.

A cheaper question than `nearduplicate`'s: no keypoints, so that it can be asked of every run; crops
of one another are not found. Candidates come from the pixels' hash and the 64-bit perceptual hash,
and each is verified by the correlation of fine detail.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2r_baselines.nearduplicate import CORRELATION, HASH_BITS
from e2r_baselines.picture_alignment import agreement, stretch
from e2r_baselines.picture_prints import Framing, framing


@dataclass(frozen=True)
class Copy:
    """Two pictures that are one, by their places in the two lists; `identical` to the pixel."""

    first: int
    second: int
    identical: bool


def find_copies(first: Sequence[Path], second: Sequence[Path]) -> list[Copy]:
    """Return the pictures of `second` that stand in `first` under the same framing.

    Args:
        first, second: image files; only a hash of each is kept.

    Returns:
        In the order of `second`, then of `first`.

    Raises:
        PictureError: a file is missing or is not an image.
    """
    known = [_hashes(path) for path in first]
    bits = np.array([entry[1] for entry in known], np.uint64)
    found: list[Copy] = []
    for place, path in enumerate(second):
        probe = framing(path)
        near = np.flatnonzero(np.bitwise_count(bits ^ probe.bits) <= HASH_BITS).tolist()
        for k in near:
            same = known[k][0] == probe.pixels
            if same or _agree(first[k], probe):
                found.append(Copy(k, place, same))
    return found


def _hashes(path: Path) -> tuple[str, np.uint64]:
    kept = framing(path)
    return kept.pixels, kept.bits


def _agree(path: Path, probe: Framing) -> bool:
    gray = framing(path).gray
    affine = stretch(gray.shape, probe.gray.shape)
    seen, _ = agreement(gray.astype(np.float32), probe.gray.astype(np.float32), affine)
    return seen >= CORRELATION
