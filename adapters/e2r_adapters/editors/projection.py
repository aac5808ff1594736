"""The 1x1 projection by which a condition joins the latents as channels, and its turns.

Source: new channels that begin at zero are InstructPix2Pix's (Brooks et al., CVPR 2023); a
projection in front of the network keeps the network itself, and so its LoRA, a stock one.
"""

from collections.abc import Mapping

import torch


class Projection(torch.nn.Module):
    """P over [latents | condition]; [I | 0] lets the latents pass to the bit: the bare base.

    Its weight is (c, 2c, 1, 1) float32 whatever the network computes in: bfloat16 would round most
    updates away.
    """

    def __init__(self, channels: int) -> None:
        """Begin at [I | 0], for latents of so many channels."""
        super().__init__()
        self.weight = torch.nn.Parameter(identity(channels), requires_grad=False)
        self._loaded: dict[str, torch.Tensor] = {}

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return (B, c, h, w) float32 from two of that shape."""
        joined = torch.cat([x.float(), condition.float()], dim=1).movedim(1, -1)
        # A matrix product: convolutions take TF32 on CUDA, which would round the latents.
        mixed = torch.nn.functional.linear(joined, self.weight[:, :, 0, 0])
        return mixed.movedim(-1, 1).contiguous()

    def load(self, name: str, weight: torch.Tensor) -> None:
        """Keep an adapter's weight under its name, and let it act."""
        self._loaded[name] = weight.to(self.weight)
        self.use({name: 1.0})

    def use(self, mix: Mapping[str, float]) -> None:
        """Let loaded weights act as their adapters do; one alone at weight 1 acts to the bit.

        Args:
            mix: adapter -> weight; what each differs by from [I | 0] is summed.
        """
        base = identity(len(self.weight)).to(self.weight)
        if list(mix.values()) == [1.0]:
            total = self._loaded[next(iter(mix))]
        else:
            total = base + sum(w * (self._loaded[name] - base) for name, w in mix.items())
        with torch.no_grad():
            self.weight.copy_(total)


def identity(channels: int) -> torch.Tensor:
    """Return [I | 0], (c, 2c, 1, 1)."""
    return torch.eye(channels, 2 * channels)[:, :, None, None]
