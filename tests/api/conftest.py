"""Two folders of results, their truth, and what was restored: fourteen small pictures each."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from e2r_metrics.base.pictures import write_png

N, SIDE = 14, 48


class Sides(NamedTuple):
    """Pictures by name: (H, W, 3) uint8; the folders that hold them have the same names."""

    near: dict[str, np.ndarray]
    far: dict[str, np.ndarray]
    clean: dict[str, np.ndarray]


def _scene(k: int) -> np.ndarray:
    smooth = cv2.GaussianBlur(np.random.default_rng(k).uniform(0, 255, (SIDE, SIDE, 3)), (0, 0), 2)
    return np.clip(128 + 4 * (smooth - 128), 30, 220).astype(np.uint8)


def _noisy(picture: np.ndarray, k: int, sigma: float) -> np.ndarray:
    noise = np.random.default_rng([k, 7]).normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


@pytest.fixture
def sides() -> Sides:
    clean = {f"{k:02}": _scene(k) for k in range(N)}
    near = {name: _noisy(one, int(name), 4 + 0.1 * int(name)) for name, one in clean.items()}
    far = {name: _noisy(one, int(name), 9) for name, one in clean.items()}
    return Sides(near, far, clean)


@pytest.fixture
def folders(sides: Sides, tmp_path: Path) -> Path:
    for folder, pictures in sides._asdict().items():
        for name, picture in pictures.items():
            write_png(tmp_path / folder / f"{name}.png", picture)
    return tmp_path
