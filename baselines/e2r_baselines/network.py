"""What every torch restorer shares: device and dtype, padding, tiles, batches of one size."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from e2r_baselines.method import Compute, Draw, Photo, Pixels, Restored
from e2r_baselines.sizes import Padding, pad_to_multiple, tiled
from e2r_baselines.tasks import Task

Network = TypeVar("Network", bound=nn.Module)

Forward = Callable[[Tensor, Task], Tensor]
"""Maps (B, 3, H, W) RGB and a task to a tensor of the same shape, on the device and in the dtype
of `Compute`."""


def place(network: Network, compute: Compute) -> Network:
    """Return the network frozen, in evaluation mode, on its device and in its dtype."""
    return network.eval().requires_grad_(False).to(compute.device, getattr(torch, compute.dtype))


@dataclass(frozen=True)
class NetworkRestorer:
    """A deterministic restorer around a network.

    Attributes:
        forward: the network, told the task.
        compute: where and how it runs.
        multiple: both sides of what it is given are multiples of this.
        padding: what stands in the pixels that `multiple` adds; they are cropped off again.
        smallest: no side is shorter than this.
    """

    forward: Forward
    compute: Compute
    multiple: int = 1
    padding: Padding = "reflect"
    smallest: int = 1

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield one result per photo and draw; see `Restorer.restore`."""
        for batch in self._batches(photos):
            for photo, pixels in zip(batch, self._run(batch, task), strict=True):
                for draw in draws:
                    yield Restored(photo.id, draw, pixels)

    def _batches(self, photos: Sequence[Photo]) -> Iterator[Sequence[Photo]]:
        for _, same_size in groupby(photos, key=lambda photo: photo.pixels.shape):
            group = list(same_size)
            for start in range(0, len(group), self.compute.batch):
                yield group[start : start + self.compute.batch]

    def _run(self, batch: Sequence[Photo], task: Task) -> Sequence[Pixels]:
        if self.compute.tile is None:
            return self._whole([photo.pixels for photo in batch], task)
        tile = max(self.compute.tile // self.multiple, 1) * self.multiple
        return [
            tiled(photo.pixels, tile, lambda part: self._whole([part], task)[0]) for photo in batch
        ]

    def _whole(self, pictures: Sequence[Pixels], task: Task) -> Sequence[Pixels]:
        height, width = pictures[0].shape[:2]
        padded = [
            pad_to_multiple(pixels, self.multiple, self.padding, self.smallest)
            for pixels in pictures
        ]
        stack = torch.from_numpy(np.stack(padded)).movedim(-1, 1)
        dtype = getattr(torch, self.compute.dtype)
        with torch.inference_mode():
            restored = self.forward(stack.to(self.compute.device, dtype), task)
        pixels = restored.float().movedim(1, -1).cpu().numpy()
        return [np.ascontiguousarray(one[:height, :width]) for one in pixels]
