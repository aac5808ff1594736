"""Pictures larger than a model takes at once: overlapping windows, blended at every step.

Source: Bar-Tal et al., MultiDiffusion, ICML 2023: all windows share one latent, and its velocity is
the weighted mean of theirs. Each window has the positions and the schedule of a picture of its own
size, which is what the model was trained on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from e2r_adapters.editors.editor import Conditioning, Editor, Instruction, Shift
from e2r_baselines.method import Photo
from e2r_baselines.sizes import ramp, spans
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch

Window = tuple[slice, slice]
"""Rows and columns of a picture."""


@dataclass(frozen=True)
class WindowedConditioning:
    """See `Conditioning`; what a model is told of each window of a picture.

    Attributes:
        windows: they cover the picture.
        parts: the conditioning of each.
    """

    windows: tuple[Window, ...]
    parts: tuple[Conditioning, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(c, h, w) of the latents of one window: what the network sees at once."""
        return self.parts[0].shape

    @property
    def whole(self) -> tuple[int, int, int]:
        """(c, h, w) of the latents of the picture."""
        channels, height, width = self.shape
        (rows, columns), (below, right) = self.windows[0], self.windows[-1]
        return channels, height * below.stop // rows.stop, width * right.stop // columns.stop

    @property
    def dtype(self) -> "torch.dtype":
        """See `Conditioning.dtype`."""
        return self.parts[0].dtype

    @property
    def device(self) -> "torch.device":
        """See `Conditioning.device`."""
        return self.parts[0].device


@dataclass(frozen=True)
class Windowed:
    """An editor, picture by picture or window by window: the part of `Editor` that sampling needs.

    Attributes:
        editor: the model.
        side: of a window at most, in pixels, rounded down to what the model takes; a picture no
            larger is whole. None for any picture whole.
    """

    editor: Editor
    side: int | None = None

    @property
    def _side(self) -> int | None:
        multiple = self.editor.sizes.multiple
        return None if self.side is None else self.side // multiple * multiple

    def __post_init__(self) -> None:
        """Check the side; `UsageError`."""
        if self._side is not None and self._side < self.editor.sizes.least:
            raise UsageError(
                f"--tile {self.side}: expected at least {self.editor.sizes.least} pixels for an "
                f"editor of the family {self.editor.family.name}"
            )

    def condition(
        self, photo: Photo, instructions: Sequence[Instruction]
    ) -> tuple[WindowedConditioning, ...]:
        """See `Editor.condition`."""
        height, width = photo.pixels.shape[:2]
        places = windows_of(height, width, self._side, self.editor.sizes.multiple)
        cuts = [np.ascontiguousarray(photo.pixels[place]) for place in places]
        by_window = [self.editor.condition(Photo(photo.id, cut), instructions) for cut in cuts]
        return tuple(WindowedConditioning(places, parts) for parts in zip(*by_window, strict=True))

    def together(self, parts: Sequence[WindowedConditioning]) -> WindowedConditioning:
        """See `Editor.together`."""
        by_window = zip(*(part.parts for part in parts), strict=True)
        joined = tuple(self.editor.together(same) for same in by_window)
        return WindowedConditioning(parts[0].windows, joined)

    def schedule(
        self, steps: int, shape: tuple[int, int, int], shift: Shift = "own"
    ) -> "torch.Tensor":
        """See `Editor.schedule`; the shape is a window's."""
        return self.editor.schedule(steps, shape, shift)

    def velocity(
        self, x: "torch.Tensor", sigma: "torch.Tensor", conditioning: Conditioning
    ) -> "torch.Tensor":
        """See `Editor.velocity`; the mean of the windows', each fading towards its borders."""
        given = cast("WindowedConditioning", conditioning)
        if len(given.windows) == 1:
            return self.editor.velocity(x, sigma, given.parts[0])
        total = x.new_zeros(x.shape).float()
        weight = total.new_zeros(total.shape[2:])
        for window, part in zip(given.windows, given.parts, strict=True):
            rows, columns, share = _place(window, given)
            share = share.to(total)
            seen = x[:, :, rows][..., columns]
            total[:, :, rows, columns] += self.editor.velocity(seen, sigma, part) * share
            weight[rows, columns] += share
        return (total / weight).to(x.dtype)


def windows_of(height: int, width: int, side: int | None, multiple: int) -> tuple[Window, ...]:
    """Return windows that cover a picture and overlap by a quarter or more, row by row.

    Args:
        height, width: of the picture, multiples of `multiple`.
        side: of a window; None for one window, the picture.
        multiple: windows begin at multiples of it.
    """
    side = side or max(height, width)
    return tuple(
        (rows, columns)
        for rows in spans(height, side, multiple)
        for columns in spans(width, side, multiple)
    )


def _place(
    window: Window, given: WindowedConditioning
) -> tuple[slice, "torch.Tensor", "torch.Tensor"]:
    """Return the rows and columns of the picture's latents that are a window's, and their weights.

    Families whose latents show several pictures side by side have as many stretches of columns.
    """
    import torch

    (rows, columns), (_, height, width) = given.windows[0], given.shape
    panels = width * rows.stop // (height * columns.stop)

    def scaled(span: slice) -> slice:
        return slice(span.start * height // rows.stop, span.stop * height // rows.stop)

    tall, wide = (scaled(span) for span in window)
    one = given.whole[2] // panels
    share = np.outer(ramp(tall, given.whole[1]), np.tile(ramp(wide, one), panels))
    stretches = [torch.arange(wide.start, wide.stop) + panel * one for panel in range(panels)]
    return tall, torch.cat(stretches), torch.from_numpy(share)
