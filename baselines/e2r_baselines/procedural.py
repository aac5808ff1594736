"""Dead-leaves pictures with their occlusion depth: training data that owes nobody a licence.

Opaque leaves with radii from a power law, painted back to front, have the scale-invariant
statistics of natural images (Lee, Mumford and Huang, IJCV 2001); the painting order is a depth,
which gives haze for free.
"""

import cv2
import numpy as np
import numpy.typing as npt

from e2r_baselines.degrade import Depth, Pixels

_LARGEST = 200.0
_MOST_LEAVES = 1500
_Colour = npt.NDArray[np.float32]
_Map = npt.NDArray[np.float32]


def dead_leaves(rng: np.random.Generator, side: int = 384) -> tuple[Pixels, Depth]:
    """Paint one square picture.

    Args:
        rng: every draw comes from it.
        side: height and width in pixels.

    Returns:
        The picture, (side, side, 3) float32 RGB in [0, 1], and its depth, (side, side) float32 in
        [0, 1]: the occlusion order, spread evenly over the pixels, mixed with a slanted plane.
    """
    palette = _palette(rng)
    # Fine scenes look like foliage, coarse ones like rooms: the smallest leaf is drawn per scene.
    smallest = float(np.exp(rng.uniform(np.log(2.5), np.log(24))))
    picture = _paint((side, side), rng, _colour(palette, rng))
    order = np.zeros((side, side), np.int32)
    for index in range(1, _MOST_LEAVES + 1):
        _add_leaf(picture, order, index, _power_law(rng, smallest), palette, rng)
        if index % 50 == 0 and (order > 0).mean() > 0.97:
            break
    # The optics of a camera: no edge of a photograph is sharper than a fraction of a pixel.
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 0.8))
    return np.clip(picture, 0, 1).astype(np.float32), _depth(order, rng)


def _depth(order: npt.NDArray[np.int32], rng: np.random.Generator) -> Depth:
    """Spread the painting order evenly over [0, 1] and mix it with a plane, far at the top."""
    _, inverse, counts = np.unique(-order, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - counts / 2) / order.size
    ramp = np.linspace(1, 0, order.shape[0])[:, None]
    share = rng.uniform(0.3, 0.9)
    mixed = share * rank[inverse].reshape(order.shape) + (1 - share) * ramp
    return mixed.astype(np.float32)


def _palette(rng: np.random.Generator) -> _Colour:
    """Draw a few colours of one scene: any hue, mostly of low saturation, any lightness."""
    count = int(rng.integers(3, 8))
    hue, lightness = rng.uniform(0, 360, count), rng.beta(1.2, 1.2, count)
    saturation = rng.beta(1.2, 2.5, count)
    hsv = np.stack([hue, saturation, lightness], -1).astype(np.float32)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]


def _colour(palette: _Colour, rng: np.random.Generator) -> _Colour:
    chosen = palette[rng.integers(len(palette))]
    return np.clip(chosen + rng.normal(0, 0.08, 3), 0, 1).astype(np.float32)


def _add_leaf(
    picture: Pixels,
    order: npt.NDArray[np.int32],
    index: int,
    radius: float,
    palette: _Colour,
    rng: np.random.Generator,
) -> None:
    """Paint one leaf in place; only its bounding box is touched."""
    side = picture.shape[0]
    centre = rng.uniform(0, side, 2)
    low = np.maximum(np.floor(centre - radius - 1), 0).astype(int)
    high = np.minimum(np.ceil(centre + radius + 2), side).astype(int)
    if (high <= low).any():
        return
    box = (slice(low[1], high[1]), slice(low[0], high[0]))
    shape = (int(high[1] - low[1]), int(high[0] - low[0]))
    mask = np.zeros(shape, np.uint8)
    outline = np.rint(16 * (_outline(rng, radius) + centre - low)).astype(np.int32)
    cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, shift=4)
    cover = (mask.astype(np.float32) / 255)[..., None]
    leaf = _paint(shape, rng, _colour(palette, rng))
    picture[box] += cover * (leaf - picture[box])
    order[box][mask > 127] = index


def _power_law(rng: np.random.Generator, smallest: float) -> float:
    """Draw a radius with density r^-3 between the two limits, by inverting its distribution."""
    low, high = smallest**-2.0, _LARGEST**-2.0
    return float((low - rng.random() * (low - high)) ** -0.5)


def _outline(rng: np.random.Generator, radius: float) -> npt.NDArray[np.float64]:
    """Draw a rotated ellipse, box or irregular polygon, (n, 2) xy offsets within `radius`."""
    corners = int(rng.choice([3, 4, 5, 7, 48], p=[0.1, 0.3, 0.1, 0.1, 0.4]))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    if corners in (4, 48):
        angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    squash, turn = rng.uniform(0.25, 1.0), rng.uniform(0, 2 * np.pi)
    flat = radius * np.stack([np.cos(angles), squash * np.sin(angles)], -1)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return flat @ rotation.T


def _paint(shape: tuple[int, int], rng: np.random.Generator, colour: _Colour) -> Pixels:
    """Fill a box with a colour, a shading gradient, and sometimes a texture."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / max(height, width)
    slope = rng.normal(0, 0.15, 2)
    shade = slope[0] * (x - 0.5) + slope[1] * (y - 0.5)
    kind = rng.random()
    if kind < 0.25:
        shade = shade + _grating(shape, rng)
    elif kind < 0.6:
        shade = shade + _grain(shape, rng)
    return (colour + shade[..., None]).astype(np.float32)


def _grating(shape: tuple[int, int], rng: np.random.Generator) -> _Map:
    """Stripes of a random direction, period 3 to 24 pixels, smooth or hard."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(3, 24)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + rng.uniform(0, 6))
    wave = np.sign(wave) if rng.random() < 0.3 else wave
    return (rng.uniform(0.02, 0.15) * wave).astype(np.float32)


def _grain(shape: tuple[int, int], rng: np.random.Generator) -> _Map:
    """Noise at a random scale, the look of foliage, stone or cloth."""
    scale = 2 ** rng.uniform(0, 3.5)
    small = (max(2, int(shape[0] / scale)), max(2, int(shape[1] / scale)))
    noise = rng.standard_normal(small, dtype=np.float32)
    full = cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.float32(rng.uniform(0.02, 0.12)) * full
