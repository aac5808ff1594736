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
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch

_OVERLAP = 4
"""The share of a window that it has in common with the next is at least one in so many."""


@dataclass(frozen=True)
class Window:
    """A rectangle of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int


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
        first, last = self.windows[0], self.windows[-1]
        rows = height * (last.top + last.height) // first.height
        return channels, rows, width * (last.left + last.width) // first.width

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
        side: of a window, in pixels; a picture no larger is whole. None for any picture whole.
    """

    editor: Editor
    side: int | None = None

    def __post_init__(self) -> None:
        """Check the side; `UsageError`."""
        sizes, side = self.editor.sizes, self.side
        if side is not None and (side % sizes.multiple or side < sizes.least):
            raise UsageError(
                f"--set tile={side}: expected a multiple of {sizes.multiple} pixels, at least "
                f"{sizes.least}, as {self.editor.family.name} has it"
            )

    def condition(
        self, photo: Photo, instructions: Sequence[Instruction]
    ) -> tuple[WindowedConditioning, ...]:
        """See `Editor.condition`."""
        places = windows_of(*photo.pixels.shape[:2], self.side, self.editor.sizes.multiple)
        by_window = [
            self.editor.condition(Photo(photo.id, _cut(photo, place)), instructions)
            for place in places
        ]
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
        fade = _fade(given).to(total)
        for window, part in zip(given.windows, given.parts, strict=True):
            rows, columns = _place(window, given)
            seen = x[:, :, rows][..., columns]
            total[:, :, rows[:, None], columns] += self.editor.velocity(seen, sigma, part) * fade
            weight[rows[:, None], columns] += fade
        return (total / weight).to(x.dtype)


def windows_of(height: int, width: int, side: int | None, multiple: int) -> tuple[Window, ...]:
    """Return the fewest windows that cover a picture and overlap by a quarter or more, row by row.

    Args:
        height, width: of the picture, multiples of `multiple`.
        side: of a window; None for one window, the picture.
        multiple: windows begin at multiples of it.
    """
    tall, wide = (length if side is None else min(side, length) for length in (height, width))
    return tuple(
        Window(top, left, tall, wide)
        for top in _starts(height, tall, multiple)
        for left in _starts(width, wide, multiple)
    )


def _starts(length: int, side: int, multiple: int) -> list[int]:
    """Return where windows begin along one axis, evenly spread; the last ends at the border."""
    stride = max((side - side // _OVERLAP) // multiple, 1)
    room = (length - side) // multiple
    count = -(-room // stride)
    return [multiple * (room * i // count if count else 0) for i in range(count + 1)]


def _cut(photo: Photo, window: Window) -> np.ndarray:
    rows = slice(window.top, window.top + window.height)
    return np.ascontiguousarray(photo.pixels[rows, window.left : window.left + window.width])


def _place(window: Window, given: WindowedConditioning) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return the rows and columns of the picture's latents that are a window's.

    Families that see several pictures side by side have as many stretches of columns.
    """
    import torch

    panels, (_, height, width) = _panels(given), given.shape
    scale = height / window.height
    per_panel, whole = width // panels, given.whole[2] // panels
    rows = torch.arange(height) + round(window.top * scale)
    columns = torch.arange(per_panel) + round(window.left * scale)
    return rows, torch.cat([columns + panel * whole for panel in range(panels)])


def _fade(given: WindowedConditioning) -> "torch.Tensor":
    """Return (h, w) weights: 1 inside, falling linearly over the quarter next to each border."""
    import torch

    def ramp(length: int) -> "torch.Tensor":
        distance = torch.arange(length).minimum(torch.arange(length).flip(0)) + 1
        return (distance * _OVERLAP / length).clamp(max=1)

    panels, (_, height, width) = _panels(given), given.shape
    return ramp(height)[:, None] * ramp(width // panels).repeat(panels)


def _panels(given: WindowedConditioning) -> int:
    """Return how many pictures a family's latents show side by side."""
    _, height, width = given.shape
    return width * given.windows[0].height // (height * given.windows[0].width)
