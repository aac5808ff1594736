"""Painted rain for the miniature's adapter: more kinds of it than the benchmark's own.

`python adapters/factory/nano_rain.py --out FOLDER` writes 128 pairs of dead-leaves pictures, for
`e2r-bench train --data derain=FOLDER`. An adapter that has met one model of rain alone takes the
streaks of others for a part of the scene. No photograph is used, and no set was looked at to choose
the ranges: they are wide.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from e2r_baselines.method import Pixels
from e2r_baselines.tasks import rain_streaks
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.pictures import eight_bit, write_png
from nano_pictures import paint_canvases

_PAIRS, _SEED, _OWN = 128, 1, 0.3


def layered_rain(clean: Pixels, rng: np.random.Generator) -> Pixels:
    """Add one to three layers of streaks of about one direction, O = B + S; unclipped.

    Length 6 to 45 pixels, width 1 to 5, brightness 0.1 to 0.6, slant up to 45 degrees, each
    streak of a brightness of its own: from drizzle near by to sheets of rain.
    """
    slant, rain = rng.uniform(-45, 45), np.zeros(clean.shape[:2], np.float32)
    for _ in range(int(rng.integers(1, 4))):
        drops = (rng.random(rain.shape) < np.exp(rng.uniform(*np.log([5e-4, 4e-3])))) * rng.uniform(
            0.3, 1, rain.shape
        )
        kernel = _streak(
            np.exp(rng.uniform(*np.log([6, 45]))), slant + rng.normal(0, 4), rng.uniform(0.4, 1.6)
        )
        layer = cv2.filter2D(drops.astype(np.float32), cv2.CV_32F, kernel)
        rain += np.float32(rng.uniform(0.1, 0.6)) * np.minimum(np.asarray(layer), 1)
    return (clean + rain[..., None]).astype(np.float32)


def _streak(length: float, slant: float, sigma: float) -> npt.NDArray[np.float32]:
    """Return a soft line, its peak 1: a segment `slant` degrees off the vertical, blurred."""
    side = 2 * int(np.ceil(length / 2 + 3 * sigma)) + 1
    half, angle = length / 2, np.deg2rad(slant)
    rows, columns = np.mgrid[:side, :side] - side // 2
    along = np.clip(rows * np.cos(angle) + columns * np.sin(angle), -half, half)
    far = np.hypot(rows - along * np.cos(angle), columns - along * np.sin(angle))
    return np.exp(-0.5 * (far / sigma) ** 2).astype(np.float32)


def main() -> None:
    """Write the pairs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of input and target")
    parser.add_argument("--pairs", type=int, default=_PAIRS)
    parser.add_argument("--seed", type=int, default=_SEED, help="another one paints other pairs")
    parser.add_argument(
        "--own", type=float, default=_OWN, help="share with the streaks of the benchmark's own task"
    )
    asked = parser.parse_args()
    for part in ("target", "input"):
        (asked.out / part).mkdir(parents=True, exist_ok=True)
    canvases = paint_canvases(asked.pairs, asked.seed, "leaf-rain", varied=True)
    for index, clean in enumerate(canvases):
        rng = rng_for(asked.seed, str(index), "nano-rain")
        add = rain_streaks if rng.random() < asked.own else layered_rain
        name = f"{index:04d}.png"
        write_png(asked.out / "target" / name, eight_bit(clean))
        write_png(asked.out / "input" / name, eight_bit(np.clip(add(clean, rng), 0, 1)))


if __name__ == "__main__":
    main()
