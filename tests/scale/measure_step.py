"""Matrix products and attention of one Kontext step, timed on a GPU: `python measure_step.py`.

Random weights of FLUX.1's shapes, bfloat16; no norms, no modulation, no text encoder. So it says
what part of the peak the shapes reach, and is a lower bound of a real step's time.
"""

import statistics
import time

import torch
from torch.nn import functional

WIDTH, HEADS, BLOCKS = 3072, 24, 57


def step(x: torch.Tensor, weights: list[list[torch.Tensor]]) -> torch.Tensor:
    """Return tokens after all blocks."""
    for into, out, up, down in weights:
        q, k, v = (
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in functional.linear(x, into).chunk(3, -1)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = functional.linear(mixed.transpose(1, 2).flatten(2), out)
        x = functional.linear(functional.gelu(functional.linear(x, up), approximate="tanh"), down)
    return x


def main() -> None:
    """Print the median, least and most seconds of ten steps at two sizes."""
    like = {"device": "cuda", "dtype": torch.bfloat16}
    shapes = [(3 * WIDTH, WIDTH), (WIDTH, WIDTH), (4 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH)]
    weights = [[torch.randn(s, **like) / s[1] ** 0.5 for s in shapes] for _ in range(BLOCKS)]
    print(torch.__version__, torch.cuda.get_device_name())
    for side in (512, 1024):
        x = torch.randn(1, 2 * (side // 16) ** 2 + 512, WIDTH, **like)
        seconds: list[float] = []
        with torch.inference_mode():
            for _ in range(13):
                torch.cuda.synchronize()
                since = time.perf_counter()
                step(x, weights)
                torch.cuda.synchronize()
                seconds.append(time.perf_counter() - since)
        seen = seconds[3:]
        print(f"{side}: {statistics.median(seen):.4f} s, {min(seen):.4f} to {max(seen):.4f}")


if __name__ == "__main__":
    main()
