"""MoCE-IR's experts (Zamfir et al., CVPR 2025): Fourier attention in few channels, one a block.

What chooses among them is kept as it is in the authors' Apache-2.0 code, since weights were trained
with it: noise is added to the scores in evaluation too, and the high-pass kernels are loaded, not
assumed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_baselines.blocks import ChannelNorm, depthwise, pointwise


class FourierAttention(nn.Module):
    """Correlate queries with keys inside square patches by a product of their spectra."""

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.q, self.q_dwconv = pointwise(dim, dim), depthwise(dim, 3, bias=True)
        self.kv, self.kv_dwconv = pointwise(dim, 2 * dim), depthwise(2 * dim, 7, bias=True)
        self.norm = ChannelNorm(dim)
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        key, value = self.kv_dwconv(self.kv(x)).chunk(2, dim=1)
        query = self.q_dwconv(self.q(x))
        product = torch.fft.rfft2(self._patches(query)) * torch.fft.rfft2(self._patches(key))
        mixed = torch.fft.irfft2(product, s=(self.patch, self.patch))
        return self.proj_out(self.norm(self._whole(mixed, x)) * value)

    def _patches(self, x: Tensor) -> Tensor:
        """Zero-pad (B, C, H, W) and cut it into (B, C, rows, columns, patch, patch) float32."""
        down, right = (-side % self.patch for side in x.shape[-2:])
        padded = F.pad(x.float(), (0, right, 0, down))
        return padded.unfold(2, self.patch, self.patch).unfold(3, self.patch, self.patch)

    def _whole(self, patches: Tensor, like: Tensor) -> Tensor:
        joined = patches.transpose(3, 4).flatten(4, 5).flatten(2, 3)
        return joined[..., : like.shape[-2], : like.shape[-1]].to(like.dtype)


class Expert(nn.Module):
    """Fourier attention in a few channels, gated by the shared branch, around an identity."""

    def __init__(self, dim: int, inner: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.ModuleList(
            [pointwise(dim, inner), pointwise(dim, inner), pointwise(inner, dim)]
        )
        self.body = FourierAttention(inner, patch)

    def forward(self, x: Tensor, shared: Tensor) -> Tensor:
        """Map two (B, C, H, W) to one."""
        gated = self.body(self.proj[0](x)) * F.silu(self.proj[1](shared))
        return self.proj[2](gated) + x


class Routing(nn.Module):
    """Score the experts by the mean feature and the frequency embedding."""

    def __init__(self, dim: int, embedding: int, complexity: Tensor) -> None:
        super().__init__()
        experts = len(complexity)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(dim, experts, bias=False)
        )
        self.freq_gate = nn.Linear(embedding, experts, bias=False)
        self.register_buffer("complexity", complexity)

    def forward(
        self, x: Tensor, embedding: Tensor, noise: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return each picture's best expert and its softmax score, (B,) each.

        All pictures of a batch get the same noise, of standard deviation one over the number of
        experts, so that a picture's route does not depend on its neighbours.
        """
        logits = self.gate(x) + self.freq_gate(embedding)
        drawn = torch.randn(1, logits.shape[1], generator=noise).to(logits)
        scores, chosen = (logits + drawn / logits.shape[1]).softmax(-1).max(-1)
        return chosen, scores


class Adapter(nn.Module):
    """The experts of one decoder block and what chooses among them."""

    def __init__(self, dim: int, embedding: int, experts: int) -> None:
        super().__init__()
        # Each expert stands in a list of its own: the checkpoint's names ask for it.
        self.experts = nn.ModuleList(
            nn.Sequential(Expert(dim, dim // 2 ** (experts - 1 - i), 2 ** (i + 2)))
            for i in range(experts)
        )
        self.proj_out = pointwise(dim, dim)
        sizes = [float(sum(p.numel() for p in e.parameters())) for e in self.experts]
        self.routing = Routing(dim, embedding, torch.tensor(sizes) / max(sizes))

    def forward(
        self, x: Tensor, embedding: Tensor, shared: Tensor, noise: torch.Generator
    ) -> Tensor:
        """Map two (B, C, H, W) to one: each picture goes through its expert alone."""
        chosen, scores = self.routing(x, embedding, noise)
        parts = [
            self.experts[int(expert)][0](x[i : i + 1], shared[i : i + 1])  # pyright: ignore[reportIndexIssue]
            for i, expert in enumerate(chosen)
        ]
        return self.proj_out(torch.cat(parts) * scores[:, None, None, None])


class FrequencyEmbedding(nn.Module):
    """Mean of what a (learned) high-pass leaves of the latent, through a small network."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.high_conv = nn.Sequential(_HighPass(dim), nn.GELU())
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C)."""
        return self.mlp(self.high_conv(x).mean((-2, -1)))


class _HighPass(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = depthwise(dim, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)
