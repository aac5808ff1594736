"""What a row of the catalog says: a metric, and a way from pictures to features."""

from dataclasses import dataclass
from math import inf
from typing import Literal

VERSION = "1"
"""Raised whenever a definition below changes what a number means."""


Distance = Literal["frechet", "kid", "mmd_v", "mmd_u", "precision", "recall", "density", "coverage"]
"""What the resamples of a set metric compute: see `e2r_bench.statistics`."""


@dataclass(frozen=True)
class Term:
    """One part of a composite: clip(offset + weight * value, low, high).

    Attributes:
        metric: its id, or the name that nobody gives here.
        row: what measures it; None where nobody does.
        offset, weight, low, high: as in the formula.
        shave: pixels left out at each border before it is measured.
    """

    metric: str
    row: "Metric | None"
    offset: float = 0.0
    weight: float = 1.0
    low: float = -inf
    high: float = inf
    shave: int = 0


@dataclass(frozen=True)
class Composite:
    """A number made of others: scale * sum of the terms, or scale * their product."""

    terms: tuple[Term, ...]
    join: Literal["sum", "product"] = "sum"
    scale: float = 1.0


@dataclass(frozen=True)
class Program:
    """Somebody's program that gives a metric its values.

    Attributes:
        words: program and arguments, with `{restored}`, `{reference}` and `{values}` in them.
        timeout: seconds that one call may take.
    """

    words: tuple[str, ...]
    timeout: float


@dataclass(frozen=True)
class Metric:
    """One row of the catalog.

    Attributes:
        name: the bare name, such as "psnr".
        variant: which definition of it, such as "rgb".
        title: how a table names it.
        module: the module of `e2r_metrics` that computes it.
        higher_is_better: the direction.
        unit: "dB", or "" for none.
        low: the smallest value it can take.
        high: the largest value it can take.
        identical: what a pair of equal images, or of equal sets, gives; None where nothing is
            compared.
        scope: "image" compares pairs, "single" looks at the restored image alone, "set" compares
            two sets of features.
        definition: the formula and its constants, from which a number can be recomputed.
        colour: which channels are read.
        crop: what is cut.
        resize: how pictures are brought to the network's size.
        paper: where it is defined.
        reference: the implementation that it agrees with.
        tolerance: how closely, absolute, and on what.
        weights: names of weight files, as in `weights.toml`.
        extractor: id of the feature extractor, for set metrics.
        distance: which distance a set metric is; its intervals and tests resample that one.
        symmetric: restored and clean may change places without a change of value.
        composite: the parts that it is made of, None for a metric of its own.
        against: what restored pictures are compared with.
        program: what gives its values, None for all but `command:LINE`.
        margin: what counts as no difference, where the metric states it; None for ours, whose
            margins stand in `e2r_bench.statistics.margins`.
    """

    name: str
    variant: str
    title: str
    module: str
    higher_is_better: bool
    definition: str
    paper: str
    reference: str
    tolerance: str
    scope: Literal["image", "single", "set"] = "image"
    unit: str = ""
    low: float = -inf
    high: float = inf
    identical: float | None = None
    colour: str = "RGB"
    crop: str = "none"
    resize: str = "none"
    weights: tuple[str, ...] = ()
    extractor: str | None = None
    distance: Distance | None = None
    symmetric: bool = True
    composite: Composite | None = None
    against: Literal["clean", "degraded"] = "clean"
    program: Program | None = None
    margin: float | None = None

    def __post_init__(self) -> None:
        told = (self.extractor is not None, self.distance is not None)
        if told != ((True, True) if self.scope == "set" else (False, False)):
            raise TypeError(f"{self.id}: a set metric states its extractor and its distance")

    @property
    def id(self) -> str:
        """Return name and variant, such as "psnr:rgb"."""
        return f"{self.name}:{self.variant}"

    @property
    def per_image(self) -> bool:
        """Return whether every picture has its own value."""
        return self.scope != "set"

    @property
    def protocol(self) -> str:
        """Return the line that travels with every value of this metric."""
        weights = f"; weights {'+'.join(self.weights)}" if self.weights else ""
        against = "" if self.against == "clean" else f"; against the {self.against} pictures"
        return (
            f"{self.id} v{VERSION} [{self.definition}{against}; colour {self.colour}; "
            f"crop {self.crop}; resize {self.resize}{weights}]"
        )


@dataclass(frozen=True)
class Extractor:
    """One way from pictures to features.

    Attributes:
        id: its name, which says network and preprocessing.
        module: the module of `e2r_metrics` with its `open_extractor`.
        dimension: length of a feature vector.
        preprocessing: what happens before the network, in words that define it.
        weights: names of weight files.
        patch: side of the square crops whose features a picture has, see `patches`; None where it
            has those of the whole.
        crops_by: id of the extractor that each crop is given to as a picture; None for the whole.
    """

    id: str
    module: str
    dimension: int
    preprocessing: str
    weights: tuple[str, ...]
    patch: int | None = None
    crops_by: str | None = None

    def __post_init__(self) -> None:
        if (self.patch is None) != (self.crops_by is None):
            raise TypeError(f"{self.id}: crops have a side and an extractor")
