"""Differences between four simple denoisers on real photographs, as populations to draw from.

`python tests/calibration/real.py DATA OUT.csv` measures them once: every photograph below DATA, its
central 256 x 256 pixels, Gaussian noise of 25 grey levels. Only the numbers are kept.
"""

import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from e2r_bench.statistics.results import Values
from e2r_metrics.base.draws import rng_for
from tests.calibration import fast
from tests.calibration.parts import limits_of
from tests.calibration.rates import WIDE_95, Rate

METHODS = {
    "gaussian": lambda noisy: cv2.GaussianBlur(noisy, (0, 0), 1.2),
    "median": lambda noisy: cv2.medianBlur(noisy, 5),
    "bilateral": lambda noisy: cv2.bilateralFilter(noisy, 7, 60, 3),
    "nlmeans": lambda noisy: cv2.fastNlMeansDenoisingColored(noisy, None, 12, 12, 5, 11),
}
_FOLDERS = ("cbsd68", "rain100l/test/target", "rain100l/train/target")


def measure(data: Path) -> Iterator[dict[str, object]]:
    """Yield a row per photograph and method."""
    paths = [path for folder in _FOLDERS for path in sorted((data / folder).glob("*.png"))]
    for path in paths:
        photo = cv2.imread(str(path))
        top, left = (max(0, (size - 256) // 2) for size in photo.shape[:2])
        clean = photo[top : top + 256, left : left + 256]
        name = str(path.relative_to(data))
        noise = rng_for(0, name, "calibration, real noise").normal(0, 25, clean.shape)
        noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
        for method, restore in METHODS.items():
            out = restore(noisy)
            yield {
                "photo": name, "method": method,
                "psnr": round(float(peak_signal_noise_ratio(clean, out)), 4),
                "ssim": round(float(structural_similarity(clean, out, channel_axis=2)), 5),
            }  # fmt: skip


def populations(path: Path) -> Iterator[tuple[str, Values]]:
    """Yield a name and all photographs' differences, for pairs of methods and both metrics."""
    table = pd.read_csv(path)
    for metric in ("psnr", "ssim"):
        wide = table.pivot_table(index="photo", columns="method", values=metric)
        for one, two in combinations(METHODS, 2):
            yield f"{metric}, {one} - {two}", (wide[one] - wide[two]).to_numpy()


def rates(path: Path, n: int, draws: int, seed: int = 0) -> Iterator[Rate]:
    """Draw photographs from the populations, whose means are known."""
    for name, population in populations(path):
        generator = rng_for(seed, f"{name} {n}", "calibration, real differences")
        centred = (population - population.mean()) / population.std()
        x = generator.choice(centred, (draws, 1, n))
        means = fast.means_of(x, np.arange(n))
        flips = fast.sign_flip(x, np.arange(n), generator, 999)
        margin = 4 * float(means.error.mean())
        where = {"values": name, "scenario": "real photographs", "n": n}
        limits = limits_of(name, n)
        found = fast.judge(means, flips, margin).direction[:, 0] != 0
        yield Rate.of("verdict, one part", "false direction", found, limits, **where)
        for side in (1, -1):
            moved = fast.judge(fast.means_of(x + side * margin, np.arange(n)), flips, margin)
            yield Rate.of(f"verdict, one part, truth at {'+-'[side < 0]}margin",
                          "false equivalence", moved.within[:, 0], limits, **where)  # fmt: skip
        both = np.minimum(fast.p_beyond(means, 0.0, 1), fast.p_beyond(means, 0.0, -1)) > 0.025
        least = WIDE_95 if limits[1] < 0.1 else (1 - limits[1], 1.0)
        yield Rate.of("interval that allows for skewness", "coverage of 95%", both[:, 0], least,
                      **where)  # fmt: skip


if __name__ == "__main__":
    pd.DataFrame(list(measure(Path(sys.argv[1])))).to_csv(sys.argv[2], index=False)
