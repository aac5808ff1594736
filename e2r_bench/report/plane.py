"""Perception against distortion (Blau and Michaeli, CVPR 2018): methods as points with regions."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from e2r_bench.report.arms import Arm, facts_of
from e2r_bench.report.labels import number
from e2r_bench.statistics.judge import MIN_SCENES

WIDTH, HEIGHT = 340.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 14.0, 12.0, 36.0
_CORNERS = 48
_NAME_WIDTH = 120.0
_LEVEL = 0.95

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spot:
    """One arm in the plane.

    Attributes:
        x, y: where it stands, in the drawing's units.
        label_y: where its name stands, apart from those of its neighbours.
        region: SVG path of the joint 95% region of both means; empty where none can be given.
        series: which colour; None for controls.
    """

    name: str
    label: str
    x: float
    y: float
    label_y: float
    region: str
    series: int | None


@dataclass(frozen=True)
class Axis:
    """A metric along one side, better towards the upper right corner."""

    key: str
    unit: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Plane:
    """The drawing: `across` is fidelity, `up` is perception.

    Attributes:
        absent: controls that have no place in it, such as the ground truth with infinite PSNR.
    """

    across: Axis
    up: Axis
    spots: tuple[Spot, ...]
    absent: tuple[str, ...]


Mean = Callable[[Arm, str, str], float | None]
"""From arm, task and metric id to the arm's number."""


def plane(arms: Mapping[Arm, int], task: str, across: str, up: str, mean: Mean) -> Plane | None:
    """Return the plane of a task, None where fewer than two arms have a place in it.

    Args:
        arms: methods, then controls, each with its colour on the page.
        task: the task.
        across, up: metric ids of fidelity and perception.
        mean: see `Mean`.
    """
    placed: dict[str, tuple[Arm, float, float]] = {}
    for arm in arms:
        x, y = mean(arm, task, across), mean(arm, task, up)
        if x is not None and y is not None and math.isfinite(x) and math.isfinite(y):
            placed[arm.name] = (arm, x, y)
    if len(placed) < 2:
        return None
    outlines = {name: _outline(arm, task, across, up) for name, (arm, _, _) in placed.items()}
    points = np.array([(x, y) for _, x, y in placed.values()])
    bounds = np.concatenate([points, *(o for o in outlines.values() if o is not None)])
    frame = _Frame(bounds, *(facts_of(list(arms), key)[1] for key in (across, up)))
    lifted = _lifted({name: (frame.x(x), frame.y(y)) for name, (_, x, y) in placed.items()})
    spots = tuple(
        Spot(
            name=name,
            label=f"{name}: {across} {number(x)}, {up} {number(y)}",
            x=frame.x(x),
            y=frame.y(y),
            label_y=frame.y(y) + lifted[name],
            region=_path(frame, outlines[name]),
            series=None if arm.control else arms[arm],
        )
        for name, (arm, x, y) in placed.items()
    )
    gone = tuple(arm.name for arm in arms if arm.name not in placed)
    first, second = (facts_of(list(arms), key)[0] for key in (across, up))
    return Plane(_axis(across, first, frame.across()), _axis(up, second, frame.up()), spots, gone)


def _lifted(places: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Return how far above (negative) or below its spot each name stands: crowded ones go below."""
    found: dict[str, float] = {}
    for name, (x, y) in places.items():
        near = [
            places[other][1] + lift
            for other, lift in found.items()
            if abs(places[other][0] - x) < _NAME_WIDTH
        ]
        free = [lift for lift in (-6.0, 14.0, 26.0) if all(abs(y + lift - at) >= 11 for at in near)]
        found[name] = free[0] if free else -6.0
    return found


def _outline(arm: Arm, task: str, across: str, up: str) -> Floats | None:
    """Return the 95% region of both means as (48, 2) corners: Hotelling's, scenes as the units."""
    first, second = arm.values(task, across), arm.values(task, up)
    shared = [image for image in first if image in second]
    pairs = np.array([(first[image], second[image]) for image in shared])
    if len(pairs) < 2 or not np.isfinite(pairs).all():
        return None
    scenes = arm.scenes(task, shared)
    apart = (pairs - pairs.mean(axis=0)) / len(pairs)
    shares = np.array(
        [apart[[s == scene for s in scenes]].sum(axis=0) for scene in dict.fromkeys(scenes)]
    )
    count = len(shares)
    if count < MIN_SCENES:
        return None
    # The scenes' influence on both means: with as many images in each, their covariance over count.
    covariance = count / (count - 1) * shares.T @ shares
    reach = 2 * (count - 1) / (count - 2) * float(stats.f.ppf(_LEVEL, 2, count - 2))
    values, axes = np.linalg.eigh(covariance)
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return pairs.mean(axis=0) + circle * np.sqrt(np.maximum(values, 0) * reach) @ axes.T


@dataclass(frozen=True)
class _Frame:
    """Where values stand; both axes run so that better is up and to the right."""

    bounds: Floats
    rightwards: bool
    upwards: bool

    def across(self) -> tuple[tuple[float, float], ...]:
        """Return (place, value) of the ticks along the lower side."""
        return tuple((self.x(value), value) for value in self._ticks(0))

    def up(self) -> tuple[tuple[float, float], ...]:
        """Return (place, value) of the ticks along the left side."""
        return tuple((self.y(value), value) for value in self._ticks(1))

    def x(self, value: float) -> float:
        share = self._share(0, value)
        room = WIDTH - _LEFT - _RIGHT
        return _LEFT + room * (share if self.rightwards else 1 - share)

    def y(self, value: float) -> float:
        share = self._share(1, value)
        room = HEIGHT - _TOP - _BOTTOM
        return _TOP + room * (1 - share if self.upwards else share)

    def _ends(self, side: int) -> tuple[float, float]:
        low, high = float(self.bounds[:, side].min()), float(self.bounds[:, side].max())
        pad = 0.06 * (high - low) or abs(high) * 0.01 or 1.0
        return low - pad, high + pad

    def _share(self, side: int, value: float) -> float:
        low, high = self._ends(side)
        return (value - low) / (high - low)

    def _ticks(self, side: int) -> list[float]:
        from matplotlib.ticker import MaxNLocator

        low, high = self._ends(side)
        found = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        return [float(value) for value in found if low <= value <= high]


def _path(frame: _Frame, outline: Floats | None) -> str:
    if outline is None:
        return ""
    corners = (f"{frame.x(float(x)):.1f} {frame.y(float(y)):.1f}" for x, y in outline)
    return f"M{' L'.join(corners)}Z"


def _axis(key: str, unit: str, ticks: Sequence[tuple[float, float]]) -> Axis:
    return Axis(key, unit, tuple((place, f"{value:g}".replace("-", "−")) for place, value in ticks))
