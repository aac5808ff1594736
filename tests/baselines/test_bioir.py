"""BioIR's blocks against arithmetic in NumPy."""

from itertools import product

import numpy as np
import pytest
import torch

from e2r_baselines.bioir import (
    BioIR,
    BioIRBlock,
    BioIRConfig,
    Fuse,
    HighToLow,
    LowToHigh,
    Mixer,
    Rescale,
    weighed_neighbours,
)
from tests.baselines.arithmetic import (
    A,
    agree,
    conv,
    feed_forward,
    norm,
    picture,
    randomised,
    resized,
    run,
    values,
)

DIM = 4


def neighbours(x: A, weights: A) -> A:
    side = round(len(weights) ** 0.5)
    mean = np.pad(x.mean(0), side // 2, mode="reflect")
    height, width = x.shape[1:]
    out = np.zeros((1, height, width))
    for i, j in product(range(side), repeat=2):
        out[0] += weights[side * i + j] * mean[i : i + height, j : j + width]
    return out


def context(x: A) -> A:
    """Means of 16x16 cells whose borders are floors and ceilings, (C, 256)."""
    height, width = x.shape[1:]

    def span(i: int, side: int) -> slice:
        return slice(i * side // 16, -(-(i + 1) * side // 16))

    cells = [
        x[:, span(i, height), span(j, width)].mean((1, 2)) for i, j in product(range(16), repeat=2)
    ]
    return np.stack(cells, 1)


def low_to_high(low: A, high: A, p: dict[str, A], at: str = "") -> A:
    likeness = np.tensordot(context(low).T, high, 1)
    weights = conv(likeness, p[f"{at}conv.weight"], p[f"{at}conv.bias"])
    return high * (1 + neighbours(high, weights))


def high_to_low(low: A, high: A, p: dict[str, A], at: str = "") -> A:
    detail = conv(high, p[f"{at}dw.weight"], p[f"{at}dw.bias"])
    low = low * (detail + 1)
    return low + neighbours(low, conv(detail, p[f"{at}cv2.weight"], p[f"{at}cv2.bias"]))


def mixer(x: A, p: dict[str, A], at: str = "") -> A:
    low, high = np.split(conv(conv(x, p[f"{at}conv.weight"]), p[f"{at}dw.weight"]), 2)
    both = high_to_low(low, high, p, f"{at}h2l.") * low_to_high(low, high, p, f"{at}l2h.")
    return conv(both, p[f"{at}project_out.weight"])


@pytest.mark.parametrize("side", [3, 5])
def test_neighbours_are_weighed_row_by_row_with_reflected_borders(side: int) -> None:
    x, weights = picture(), picture(side * side, seed=2)
    measured = weighed_neighbours(torch.from_numpy(x)[None], torch.from_numpy(weights)[None])
    agree(measured[0].numpy(), neighbours(x, weights))


@pytest.mark.parametrize(("height", "width"), [(5, 6), (18, 35)])
def test_the_branches_steer_each_other(height: int, width: int) -> None:
    low, high = picture(DIM, height, width), picture(DIM, height, width, seed=2)
    up, down = randomised(LowToHigh()), randomised(HighToLow(DIM))
    agree(run(up, low, high), low_to_high(low, high, values(up)))
    agree(run(down, low, high), high_to_low(low, high, values(down)))
    both = randomised(Mixer(DIM))
    agree(run(both, low), mixer(low, values(both)))


def test_block() -> None:
    block = randomised(BioIRBlock(DIM, 3.0))
    p, x = values(block), picture()
    x = x + mixer(norm(x, p["norm1.body.weight"], p["norm1.body.bias"], 1e-5), p, "attn.")
    second = norm(x, p["norm2.body.weight"], p["norm2.body.bias"], 1e-5)
    agree(run(block, picture()), x + feed_forward(second, p, "ffn."))


def test_resizing_is_bilinear_and_skips_go_second() -> None:
    x = picture(DIM, 4, 6)
    half, double = randomised(Rescale(0.5, DIM, 8)), randomised(Rescale(2, DIM, 2))
    agree(run(half, x), conv(resized(x, 2, 3), values(half)["body.1.weight"]))
    agree(run(double, x), conv(resized(x, 8, 12), values(double)["body.1.weight"]))
    fuse = randomised(Fuse(DIM))
    p, encoded = values(fuse), picture(DIM, 4, 6, seed=2)
    agree(
        run(fuse, x, encoded), conv(np.concatenate([x, encoded]), p["conv.weight"], p["conv.bias"])
    )


def test_the_convolution_that_is_never_read_changes_nothing() -> None:
    network = randomised(BioIR(BioIRConfig(4, (1, 1, 1), 1)))
    x = torch.from_numpy(picture(3, 16, 24))[None]
    with torch.inference_mode():
        before = network(x)
        network.reduce_chan_level2.weight.zero_()
        assert torch.equal(network(x), before)
