"""What the page draws of seeds and steps, in the drawing's units."""

from dataclasses import dataclass

WIDTH, HEIGHT = 260.0, 132.0
LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 8.0, 20.0


@dataclass(frozen=True)
class Point:
    """One seed at one schedule, in the drawing's units, with what it says."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Mark:
    """What was found on a curve: "knee" or "best"."""

    kind: str
    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Series:
    """One method: a dot per seed, a path through the means over seeds.

    Attributes:
        level: for a method without seeds and steps, its height; None for others.
        bars: (x, upper end, lower end) of the intervals.
        marks: knee and best.
        says: what was found, in a line.
    """

    method: str
    name: str
    points: tuple[Point, ...]
    path: str
    level: float | None
    bars: tuple[tuple[float, float, float], ...] = ()
    marks: tuple[Mark, ...] = ()
    says: str = ""


@dataclass(frozen=True)
class Chart:
    """One metric on one task.

    Attributes:
        against: what was subtracted, such as "28 steps"; empty where values are shown.
        band: upper and lower end of the margin, and zero between; None without.
    """

    task: str
    metric: str
    unit: str
    ticks: tuple[tuple[float, str], ...]
    steps: tuple[tuple[float, str], ...]
    series: tuple[Series, ...]
    against: str = ""
    band: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Frame:
    """Where values stand in the drawing; schedules stand side by side, in order."""

    steps: tuple[int, ...]
    low: float
    high: float

    def x(self, count: int) -> float:
        """Return the place of a schedule."""
        order = sorted(self.steps)
        room = WIDTH - LEFT - _RIGHT
        return LEFT + room * (order.index(count) + 0.5) / len(order)

    def y(self, value: float) -> float:
        """Return the height of a value."""
        room = HEIGHT - _TOP - _BOTTOM
        return _TOP + room * (self.high - value) / (self.high - self.low)
