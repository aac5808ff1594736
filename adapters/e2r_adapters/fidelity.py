"""Data consistency: how far a sample is pulled towards what its input certainly shows.

Two constraints. "variance", for noise of a known deviation: a restored picture may differ from its
input by no more than the noise does (Morozov's discrepancy principle, 1966), so that one further
away is moved onto the nearest picture that does not. "low-band", for any task: what is slower than
`PERIOD` pixels is the input's (Choi et al., ILVR, ICCV 2021; Wang et al., DDNM, ICLR 2023, whose
range part it is). It suits what leaves slow structure alone, and undoes what has to change it, such
as haze or darkness: that price is measured, not assumed (docs/kontext.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from e2r_adapters.editors.editor import Editor, Resize
from e2r_adapters.editors.releases import Constraint
from e2r_adapters.resize import Fitted, fit
from e2r_adapters.sampling import Correction
from e2r_baselines.degrade import Task
from e2r_baselines.method import Pixels

if TYPE_CHECKING:
    import torch

PERIOD = 16
"""Pixels of the shortest period that belongs to the low band."""


@dataclass(frozen=True)
class Fidelity:
    """A constraint and how much of it is applied.

    Attributes:
        strength: 0 leaves a sample as it is, 1 moves it all the way, what is between in proportion.
        constraint: "task" for the variance where the task states that of its noise, else the low
            band; or always the low band.
    """

    strength: float
    constraint: Constraint = "task"

    def share(self, picture: Pixels, given: Pixels, task: Task) -> Pixels:
        """Return what is added to a picture to pull it towards its input, (H, W, 3) float32.

        Args:
            picture: (H, W, 3) float32 in [0, 1], a sample or what a sampler expects to end at.
            given: (H, W, 3) float32, the input; values outside [0, 1] count as they are.
            task: states sigma where the noise is known.
        """
        gap = given - picture
        if self.constraint == "task" and task.kind == "denoise" and task.sigma is not None:
            return np.float32(self.strength) * beyond_variance(gap, task.sigma / 255)
        return np.float32(self.strength) * low_band(gap)

    def pulled(self, picture: Pixels, given: Pixels, task: Task) -> Pixels:
        """Return a picture after the pull; at strength 1 it meets the constraint. See `share`."""
        return picture + self.share(picture, given, task)


def beyond_variance(gap: Pixels, sigma: float) -> Pixels:
    """Return the shortest step that brings an RMS of `gap` down to `sigma`; 0 if it is below.

    Inputs that were clipped to [0, 1] lost some of their noise: the bound is then a little wide.
    """
    spread = float(np.sqrt(np.mean(np.square(gap, dtype=np.float64))))
    return gap * np.float32(max(0.0, 1 - sigma / spread) if spread > 0 else 0.0)


def low_band(gap: Pixels) -> Pixels:
    """Return the part of (H, W, 3) that is slower than `PERIOD` pixels: a projection, by cosines.

    Cosines continue a picture by reflection, so that no border rings.
    """
    from scipy.fft import dctn, idctn

    spectrum = np.asarray(dctn(gap.astype(np.float64), axes=(0, 1), norm="ortho"))
    for axis, length in enumerate(gap.shape[:2]):
        # The k-th cosine of N points has a period of 2 N / k pixels.
        first = 2 * length // PERIOD + 1
        np.moveaxis(spectrum, axis, 0)[first:] = 0
    return np.asarray(idctn(spectrum, axes=(0, 1), norm="ortho"), np.float32)


@dataclass(frozen=True)
class Held:
    """A sample that is held to its input: the input, and how it meets the model."""

    given: Pixels
    fitted: Fitted


def correction_of(
    editor: Editor, held: Sequence[Held], task: Task, how: Fidelity, resize: Resize
) -> Correction:
    """Return the pull of a batch in latents, for `sampling.sample`.

    Latents are decoded, the pull is found at the pictures' own sizes, and what comes back is the
    difference that it makes to the encoding: what the autoencoder itself changes is in neither.

    Args:
        editor: has the autoencoder.
        held: the samples of the batch, of one size at the model.
        task: see `Fidelity.share`.
        how: the constraint.
        resize: the policy that `held` was fitted by.
    """

    def correct(latents: "torch.Tensor") -> "torch.Tensor":
        pictures = editor.decode(latents)
        shares = [
            fit(
                how.share(one.fitted.restore(picture), one.given, task), resize, editor.sizes
            ).pixels
            for one, picture in zip(held, pictures, strict=True)
        ]
        if not any(share.any() for share in shares):
            return latents.new_zeros(latents.shape)
        moved = [picture + share for picture, share in zip(pictures, shares, strict=True)]
        sources = [one.fitted.pixels for one in held]
        both = editor.encode([*moved, *pictures], [*sources, *sources]).float()
        return both[: len(held)] - both[len(held) :]

    return correct
